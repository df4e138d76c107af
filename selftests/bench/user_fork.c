// SPDX-License-Identifier: MIT
/*
 * user_fork.c - the ledger's fork that a program makes itself of page calls, beside fork(2)
 *
 * A process that has written a MiB, once more before each fork, so that neither side finds pages
 * that are still shared: the fork, the end of the child, and the wait for it. The library's child
 * writes to its stack at least; so does the other, in returning from fork().
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <ringside/fork.h>
#include "bench.h"

#define PAGE	4096UL
#define MIB	(1024UL * 1024)

static long fork_as_here(void)
{
	long pid;

	if (!rs_app_features())
		return fork();
	pid = rs_user_fork();
	if (pid < 0)
		errno = (int)-pid;
	return pid;
}

static void batch_user_fork(struct sample *s, unsigned int mib)
{
	static volatile char *memory;
	int status;
	long pid;

	if (!memory) {
		char *p = mmap(NULL, mib * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			       -1, 0);

		if (p == MAP_FAILED)
			die("mmap");
		madvise(p, mib * MIB, MADV_NOHUGEPAGE);
		memory = p;
	}
	for (size_t i = 0; i < mib * MIB; i += PAGE)
		memory[i]++;
	s->ops = 1;
	span_begin(s);
	pid = fork_as_here();
	if (!pid)
		syscall(SYS_exit_group, 0);
	if (pid < 0)
		die("fork");
	if (waitpid((pid_t)pid, &status, 0) != pid)
		die("waitpid");
	span_end(s);
	if (status) {
		errno = ECHILD;
		die("the child did not end as it should");
	}
}

const struct op user_fork_ops[] = {
	{ "fork", "user_fork", 1, NATIVE | RING, 20, batch_user_fork },
	{ 0 }
};
