/* SPDX-License-Identifier: MIT */
/*
 * proc.h - what the tests of processes share
 *
 * A test is a TEST of lib/harness.h: it runs in a process of its own. Its children are made by
 * CHILD({ ... }): the block runs in the child, a failed EXPECT in it makes the child's exit status 1,
 * which the parent sees in EXITS(pid, 0).
 *
 * Nobody sleeps in order to be late enough. Two sides meet in a gate (a pipe); where only the state
 * of another process can be waited for, eventually() asks again until a limit is over.
 */
#ifndef SELFTESTS_PROC_H
#define SELFTESTS_PROC_H

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "harness.h"

#define PAGE	4096UL
#define MIB	(1024UL * 1024)

#define CHILD(...) ({									\
	pid_t child_ = SYS(fork());							\
	if (!child_) {									\
		__VA_ARGS__;								\
		test_leave();								\
	}										\
	child_;										\
})

/* The child's wait status. */
static inline int status_of(pid_t pid)
{
	int status = -1;

	while (waitpid(pid, &status, 0) == -1)
		if (errno != EINTR)
			return -1;
	return status;
}

#define EXITS(pid, code) do {								\
	int status_ = status_of(pid);							\
	if (!WIFEXITED(status_) || WEXITSTATUS(status_) != (code))			\
		test_failed(__FILE__, __LINE__, "%.50s: wait status %#x, not exit(%d)",	\
			    #pid, status_, (int)(code));				\
} while (0)

#define DIES(pid, sig) do {								\
	int status_ = status_of(pid);							\
	if (!WIFSIGNALED(status_) || WTERMSIG(status_) != (sig))			\
		test_failed(__FILE__, __LINE__, "%.50s: wait status %#x, not signal %d",	\
			    #pid, status_, (int)(sig));					\
} while (0)

/* For the programs that are no tests: their exit status. */
static inline int say(const char *what)
{
	printf("%s (%s)\n", what, strerror(errno));
	return 1;
}

/* Any number of bytes may wait in a gate: opening it before somebody waits is not lost. */
struct gate {
	int fd[2];
};

static inline struct gate gate_make(void)
{
	struct gate g;

	SYS(pipe2(g.fd, O_CLOEXEC));
	return g;
}

static inline void gate_open(struct gate g)
{
	ssize_t n;

	do
		n = write(g.fd[1], "", 1);
	while (n == -1 && errno == EINTR);
	ASSERT_EQ(n, 1);
}

static inline void gate_wait(struct gate g)
{
	ssize_t n;
	char c;

	do
		n = read(g.fd[0], &c, 1);
	while (n == -1 && errno == EINTR);
	ASSERT_EQ(n, 1);
}

static inline void gate_close(struct gate g)
{
	close(g.fd[0]);
	close(g.fd[1]);
}

static inline double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* True as soon as the expression is; false when it is not within 20 seconds. */
#define eventually(x) ({								\
	double end_ = now() + 20;							\
	bool true_;									\
	while (!(true_ = (x)) && now() < end_)						\
		usleep(1000);								\
	true_;										\
})

static inline void *pages(size_t n, int flags)
{
	void *p = mmap(NULL, n * PAGE, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);

	ASSERT(p != MAP_FAILED);
	return p;
}
#define private_pages(n)	pages(n, MAP_PRIVATE)
#define shared_pages(n)		pages(n, MAP_SHARED)

/* An address that the compiler knows nothing about. */
static inline volatile int *at(uintptr_t address)
{
	asm("" : "+r" (address));
	return (volatile int *)address;
}

/* A file in the working directory that has no name any more. */
static inline int scratch_file(const void *data, size_t size)
{
	int fd = SYS(open(".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));

	ASSERT_EQ(write(fd, data, size), size);
	SYS(lseek(fd, 0, SEEK_SET));
	return fd;
}

/* The signal that the access raises in a child, 0 if none. */
static inline int dies_by(void (*touch)(volatile char *), volatile char *p)
{
	pid_t pid = SYS(fork());
	int status;

	if (!pid) {
		signal(SIGSEGV, SIG_DFL);
		signal(SIGBUS, SIG_DFL);
		touch(p);
		_exit(0);
	}
	status = status_of(pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static inline void touch_read(volatile char *p) { (void)*p; }
static inline void touch_write(volatile char *p) { *p = 1; }

/* The path of this program, for exec. */
const char *self_path(void);

#endif /* SELFTESTS_PROC_H */
