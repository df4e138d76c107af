/* SPDX-License-Identifier: MIT */
/*
 * dune_test.h - what the tests of Dune's interface share
 */
#ifndef SELFTESTS_DUNE_TEST_H
#define SELFTESTS_DUNE_TEST_H

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "harness.h"
#include "libdune/dune.h"
#include "libdune/cpu-x86.h"

#define GIB	(1ul << 30)

/* dune_init() and dune_enter(); without the device the test is skipped. */
static inline void enter(bool full)
{
	int ret = dune_init(full);

	if (ret == -ENODEV)
		SKIP("no device: the module is not loaded");
	ASSERT_EQ(ret, 0);
	ASSERT_EQ(dune_enter(), 0);
}

static inline char *pages_of(size_t n)
{
	return (char *)SYS(mmap(NULL, n * PGSIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

/* How a child ends that runs @fn: its exit status, or 128 and the signal. */
static inline int end_of(void (*fn)(void))
{
	pid_t pid;
	int status;

	fflush(NULL);
	pid = SYS(fork());
	if (!pid) {
		fn();
		_exit(0);
	}
	SYS(waitpid(pid, &status, 0));
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* What @fn writes to standard output; the caller frees it. */
static inline char *output_of(void (*fn)(void))
{
	char path[] = "/tmp/rs-dune-XXXXXX", *text = calloc(1, 1 << 18);
	int fd = SYS(mkstemp(path)), old = SYS(dup(1));

	unlink(path);
	fflush(stdout);
	SYS(dup2(fd, 1));
	fn();
	fflush(stdout);
	SYS(dup2(old, 1));
	SYS(pread(fd, text, (1 << 18) - 1, 0));
	close(old);
	close(fd);
	return text;
}

/* To a place that the compiler knows nothing of, and believes in faults at; what handlers have written is read afterwards. */
#define PLACE(p)	({ volatile char *place_ = (volatile char *)(p); asm("" : "+r"(place_)); place_; })
#define STORE(p, v)	do { *PLACE(p) = (v); asm volatile("" : : : "memory"); } while (0)
#define LOAD(p)		({ char value_ = *PLACE(p); asm volatile("" : : : "memory"); value_; })

#endif
