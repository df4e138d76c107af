// SPDX-License-Identifier: MIT
/*
 * librsenter.so - any dynamically linked program in the ring, by LD_PRELOAD
 *
 *	LD_PRELOAD=librsenter.so RINGSIDE_ENTER=ring0 python3 ...
 *
 * Enters before main, with all threads that are made later; again in each forked child. What a program executes has the same
 * environment and enters by itself. RINGSIDE_ENTER: ring3 (or nothing), ring0.
 *
 * Whoever asks for the ring gets it or no program: what cannot enter says why on standard error and ends with status 125.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <ringside/self.h>

#define STATUS	125

static unsigned int flags = RS_ENTER_THREADS;

static void refuse(const char *what, const char *why)
{
	dprintf(STDERR_FILENO, "librsenter: %s: %s\n", what, why);
	_exit(STATUS);
}

static const char *reason(int err)
{
	switch (err) {
	case -ENODEV:
		return "no /dev/ringside, or it cannot run on this machine (`ringside doctor` says more)";
	case -EACCES:
		return "no permission to open /dev/ringside";
	case -EPROTO:
		return "the module is of another release";
	case -EBUSY:
		return "the CPU's virtualisation is in use by another hypervisor";
	default:
		return strerror(-err);
	}
}

static void enter_child(void)
{
	int ret = rs_enter(flags);

	if (ret)
		refuse("a forked child cannot enter the ring", reason(ret));
}

__attribute__((constructor(101))) static void enter(void)
{
	const char *ring = getenv("RINGSIDE_ENTER");
	int ret;

	if (ring && !strcmp(ring, "ring0"))
		flags |= RS_ENTER_RING0;
	else if (ring && *ring && strcmp(ring, "ring3"))
		refuse("RINGSIDE_ENTER is neither ring0 nor ring3", ring);
	ret = pthread_atfork(NULL, NULL, enter_child);
	if (ret)
		refuse("pthread_atfork", strerror(ret));
	ret = rs_enter(flags);
	if (ret)
		refuse("cannot enter the ring", reason(ret));
}
