// SPDX-License-Identifier: MIT
/*
 * call.c - in a ring or not
 */
#include <errno.h>
#include <sys/auxv.h>
#include <ringside/app.h>
#include "internal.h"

#define ASKED	(1ul << 32)

#define known	rs_app_known
uint64_t rs_app_known;

unsigned int rs_app_features(void)
{
	uint64_t v = __atomic_load_n(&known, __ATOMIC_RELAXED);
	int err;

	if (!v) {
		err = errno;
		/* Looks at the auxiliary vector only. 0 without an entry, which sets errno. */
		v = getauxval(AT_RINGSIDE);
		errno = err;
		v = ASKED | (v >> 32 == RS_APP_ABI ? (uint32_t)v : 0);
		__atomic_store_n(&known, v, __ATOMIC_RELAXED);
	}
	return (unsigned int)v;
}

long rs_app_call(long nr, long a, long b, long c, long d)
{
	register long r10 asm("r10");
	long ret;

	if (!rs_app_features())
		return -ENOSYS;
	r10 = d;	/* no function is called from here on */
	asm volatile("syscall"
		     : "=a"(ret)
		     : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10)
		     : "rcx", "r11", "memory");
	return ret;
}
