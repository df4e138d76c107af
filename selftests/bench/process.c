// SPDX-License-Identifier: MIT
/*
 * process.c - the ledger's operations on processes, threads, signals and pipes
 *
 * One CPU runs everything, so what a second process does inside a measured span is part of the figure. Where it shall not be
 * (fork_call, cow_fault, cow_all), the child blocks in a pipe until the parent has measured; it writes the time
 * of its first instruction into shared memory, and a span in which it had already begun is thrown away
 * and measured again.
 *
 * Memory is touched once, page by page, in a private anonymous mapping that is told not to use 2 MiB pages, natively and in the ring: the
 * tables that a native fork copies, and the pages that a first write copies, are then those of 4 KiB pages on both sides.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "bench.h"

#define PAGE	4096UL
#define MIB	(1024UL * 1024)
#define RETRIES	20

/* What parent and child share. @started: the child's time-stamp counter at its first instructions, 0 before. */
static struct shared {
	_Atomic uint64_t started;
	_Atomic int last;
	_Atomic uint64_t switches;
	_Atomic int stop;
} *shared;

static void shared_make(void)
{
	if (!shared) {
		shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		if (shared == MAP_FAILED) {
			shared = NULL;
			die("mmap of shared memory");
		}
	}
	memset(shared, 0, sizeof(*shared));
}

/* --- memory that has been touched ------------------------------------------------------------------------------------ */

static char *memory;
static size_t touched;
#define MEMORY_MAX (1024 * MIB)

/* More of it is touched, or all of it is given back and touched anew. */
char *memory_pages(size_t n)
{
	char *p = mmap(NULL, n * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		die("mmap");
	memset(p, 1, n * 4096);
	return p;
}

char *memory_touch(unsigned int mib)
{
	size_t want = mib * MIB;

	if (want > MEMORY_MAX) {
		errno = EINVAL;
		die("size of memory");
	}
	if (want < touched) {
		munmap(memory, MEMORY_MAX);
		memory = NULL;
		touched = 0;
	}
	if (!memory) {
		/* 2 MiB more, so that the start can be that of a page table */
		char *p = mmap(NULL, MEMORY_MAX + 2 * MIB, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		if (p == MAP_FAILED)
			die("mmap of the memory to touch");
		memory = (char *)(((uintptr_t)p + 2 * MIB - 1) & -(2 * MIB));
		if (memory > p)
			munmap(p, memory - p);
		if (memory < p + 2 * MIB)
			munmap(memory + MEMORY_MAX, p + 2 * MIB - memory);
		/* no such advice in a kernel without 2 MiB pages: then there are none either */
		madvise(memory, MEMORY_MAX, MADV_NOHUGEPAGE);
	}
	for (; touched < want; touched += PAGE)
		memory[touched] = 1;
	return memory;
}

/* --- a child that waits ---------------------------------------------------------------------------------------------- */

static int hold[2] = { -1, -1 };	/* the child reads one byte before it ends */

static void child_wait_and_end(void)
{
	char c;

	shared->started = __rdtsc();
	syscall(SYS_exit_group, read(hold[0], &c, 1) == 1 ? 0 : 1);
	__builtin_unreachable();
}

static void reap(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		die("waitpid");
	if (status) {
		errno = ECHILD;
		die("the child did not end as it should");
	}
}

static void child_release(pid_t pid)
{
	if (write(hold[1], "", 1) != 1)
		die("write to the child's pipe");
	reap(pid);
}

/*
 * fork(2) itself, between two readings of the counter: no store by the parent, which would be a first write to its own stack and thus a
 * copied page, lies in between. The child comes back with @ret 0.
 */
static inline long fork_timed(uint64_t *begin, uint64_t *end)
{
	uint64_t b, e;
	long ret;

	asm volatile("rdtsc\n\tshlq $32, %%rdx\n\torq %%rdx, %%rax\n\tmovq %%rax, %0\n\t"
		     "movl %3, %%eax\n\tsyscall\n\tmovq %%rax, %2\n\t"
		     "rdtsc\n\tshlq $32, %%rdx\n\torq %%rdx, %%rax\n\tmovq %%rax, %1"
		     : "=&r" (b), "=&r" (e), "=&r" (ret) : "i" (SYS_fork)
		     : "rax", "rcx", "rdx", "r11", "memory", "cc");
	*begin = b;
	*end = e;
	return ret;
}

/* A child that waits, and in @s what the fork alone cost the parent. */
static pid_t fork_waiting(struct sample *s)
{
	shared_make();
	if (hold[0] < 0 && pipe(hold))
		die("pipe");
	for (int i = 0; i < RETRIES; i++) {
		uint64_t begin, end;
		long pid;

		shared->started = 0;
		s->exits = exits_now();
		pid = fork_timed(&begin, &end);
		if (!pid)
			child_wait_and_end();
		s->exits = exits_now() - s->exits - exits_own;
		if (pid < 0) {
			errno = -pid;
			die("fork");
		}
		s->ticks = end - begin;
		s->ops = 1;
		if (!shared->started || shared->started > end)
			return pid;
		child_release(pid);
	}
	errno = EAGAIN;
	die("the child always runs before fork is back in the parent");
}

static void batch_fork_call(struct sample *s, unsigned int mib)
{
	memory_touch(mib);
	child_release(fork_waiting(s));
}

static void batch_fork_exit_wait(struct sample *s, unsigned int mib)
{
	pid_t pid;

	memory_touch(mib);
	s->ops = 1;
	span_begin(s);
	pid = syscall(SYS_fork);
	if (!pid)
		syscall(SYS_exit_group, 0);
	if (pid < 0)
		die("fork");
	reap(pid);
	span_end(s);
}

/* The child has to be where it waits before the writes are measured, or it would begin in the middle of them. */
static pid_t fork_settled(struct sample *s)
{
	pid_t pid = fork_waiting(s);

	for (int i = 0; !shared->started; i++) {
		if (i == 100000) {
			errno = EAGAIN;
			die("the child does not begin");
		}
		sched_yield();
	}
	/* once more, so that it is asleep in its pipe as well */
	sched_yield();
	return pid;
}

/* @pages first writes at the start of the memory, the copies of shared tables included. */
static void write_after_fork(struct sample *s, size_t pages)
{
	pid_t pid = fork_settled(s);
	volatile char *p = memory;

	s->ops = pages;
	span_begin(s);
	for (size_t i = 0; i < pages; i++)
		p[i * PAGE] = 2;
	span_end(s);
	child_release(pid);
}

static void batch_cow_fault(struct sample *s, unsigned int param)
{
	(void)param;
	memory_touch(4);
	write_after_fork(s, 32);
}

static void batch_cow_all(struct sample *s, unsigned int mib)
{
	memory_touch(mib);
	write_after_fork(s, mib * MIB / PAGE);
	s->ops = 1;
}

/* One process that executes @path, from the fork until it has been waited for. */
static void batch_exec(struct sample *s, const char *path, char *const argv[])
{
	char *const env[] = { NULL };
	pid_t pid;

	s->ops = 1;
	span_begin(s);
	pid = syscall(SYS_fork);
	if (!pid) {
		execve(path, argv, env);
		syscall(SYS_exit_group, 126);
	}
	if (pid < 0)
		die("fork");
	reap(pid);
	span_end(s);
}

static void batch_exec_true(struct sample *s, unsigned int param)
{
	char *const argv[] = { (char *)self, "true", NULL };

	(void)param;
	batch_exec(s, self, argv);
}

/* A shell with 200 commands that are files; the shell's own start is part of it. */
static void batch_shell_script(struct sample *s, unsigned int param)
{
	static const char script[] = "i=0; while [ $i -lt 200 ]; do \"$0\" true || exit 1; i=$((i+1)); done";
	char *const argv[] = { "/usr/bin/busybox", "sh", "-c", (char *)script, (char *)self, NULL };

	(void)param;
	batch_exec(s, argv[0], argv);
}

/* --- threads --------------------------------------------------------------------------------------------------------- */

static void *thread_nothing(void *arg)
{
	return arg;
}

static void batch_thread(struct sample *s, unsigned int param)
{
	pthread_t t;

	(void)param;
	s->ops = 4;
	span_begin(s);
	for (uint64_t i = 0; i < s->ops; i++) {
		errno = pthread_create(&t, NULL, thread_nothing, NULL);
		if (errno)
			die("pthread_create");
		pthread_join(t, NULL);
	}
	span_end(s);
}

static long futex(_Atomic int *word, int op, int value)
{
	return syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

/* Two words, one for each direction: each side waits for its own to reach the number of the round, and wakes the other's. */
static _Atomic int ping, pong;

static void futex_until(_Atomic int *word, int value)
{
	int now;

	while ((now = *word) != value)
		futex(word, FUTEX_WAIT, now);
}

static void *futex_peer(void *arg)
{
	for (int round = 1; round <= (int)(intptr_t)arg; round++) {
		futex_until(&ping, round);
		pong = round;
		futex(&pong, FUTEX_WAKE, 1);
	}
	return NULL;
}

static void futex_round(int round)
{
	ping = round;
	futex(&ping, FUTEX_WAKE, 1);
	futex_until(&pong, round);
}

static void batch_futex(struct sample *s, unsigned int param)
{
	pthread_t t;
	int warm = 2;

	(void)param;
	s->ops = 16;
	ping = pong = 0;
	errno = pthread_create(&t, NULL, futex_peer, (void *)(intptr_t)(warm + s->ops + 1));
	if (errno)
		die("pthread_create");
	for (int i = 1; i <= warm; i++)
		futex_round(i);
	span_begin(s);
	for (int i = 1; i <= (int)s->ops; i++)
		futex_round(warm + i);
	span_end(s);
	/* one round more: the peer may end before we go on, and its end is not part of a round */
	futex_round(warm + s->ops + 1);
	pthread_join(t, NULL);
}

/* --- two processes --------------------------------------------------------------------------------------------------- */

static void pipe_peer(int in, int out)
{
	char c;

	while (read(in, &c, 1) == 1)
		if (write(out, &c, 1) != 1)
			syscall(SYS_exit_group, 1);
	syscall(SYS_exit_group, 0);
}

static void pipe_round(int out, int in)
{
	char c = 'x';

	if (write(out, &c, 1) != 1 || read(in, &c, 1) != 1)
		die("a pipe between two processes");
}

static void batch_pipe(struct sample *s, unsigned int param)
{
	int to[2], from[2];
	pid_t pid;

	(void)param;
	if (pipe(to) || pipe(from))
		die("pipe");
	pid = syscall(SYS_fork);
	if (pid < 0)
		die("fork");
	if (!pid) {
		close(to[1]);
		close(from[0]);
		pipe_peer(to[0], from[1]);
	}
	close(to[0]);
	close(from[1]);
	for (int i = 0; i < 2; i++)
		pipe_round(to[1], from[0]);
	s->ops = 8;
	span_begin(s);
	for (uint64_t i = 0; i < s->ops; i++)
		pipe_round(to[1], from[0]);
	span_end(s);
	close(to[1]);
	reap(pid);
	close(from[0]);
}

/*
 * Parent and child yield in turn. A yield after which the same process goes on is no switch: each side counts when it finds
 * the other's mark, so the figure is per switch that happened.
 */
static void yield_once(int me)
{
	syscall(SYS_sched_yield);
	if (shared->last != me) {
		shared->last = me;
		shared->switches++;
	}
}

static void batch_switch(struct sample *s, unsigned int param)
{
	uint64_t first;
	pid_t pid;
	int yields = 0;

	(void)param;
	shared_make();
	pid = syscall(SYS_fork);
	if (pid < 0)
		die("fork");
	if (!pid) {
		while (!shared->stop)
			yield_once(2);
		syscall(SYS_exit_group, 0);
	}
	while (shared->switches < 4 && yields++ < 100000)
		yield_once(1);
	first = shared->switches;
	span_begin(s);
	for (int i = 0; i < 16; i++)
		yield_once(1);
	span_end(s);
	s->ops = shared->switches - first;
	shared->stop = 1;
	reap(pid);
	if (s->ops < 2) {
		errno = EAGAIN;
		die("sched_yield does not let the other process run");
	}
	/* the batches differ in switches: make each stand for the same number */
	s->ticks = s->ticks * 1000 / s->ops;
	s->exits = s->exits * 1000 / s->ops;
	s->ops = 1000;
}

/* --- signals --------------------------------------------------------------------------------------------------------- */

static volatile sig_atomic_t signals;

static void on_signal(int sig)
{
	(void)sig;
	signals++;
}

static void batch_signal(struct sample *s, unsigned int param)
{
	struct sigaction sa = { .sa_handler = on_signal }, old;
	pid_t me = getpid();

	(void)param;
	if (sigaction(SIGUSR1, &sa, &old))
		die("sigaction");
	s->ops = 8;
	signals = 0;
	span_begin(s);
	for (uint64_t i = 0; i < s->ops; i++)
		kill(me, SIGUSR1);
	span_end(s);
	sigaction(SIGUSR1, &old, NULL);
	if (signals != (int)s->ops) {
		errno = EIO;
		die("the handler did not run each time");
	}
}

#define BOTH (NATIVE | RING)

const struct op process_ops[] = {
	{ "process", "signal_roundtrip", 0, BOTH, BATCHES, batch_signal },
	{ "process", "thread_create_join", 0, BOTH, BATCHES, batch_thread },
	{ "process", "futex_pingpong", 0, BOTH, BATCHES, batch_futex },
	{ "process", "pipe_pingpong", 0, BOTH, BATCHES, batch_pipe },
	{ "process", "context_switch", 0, BOTH, BATCHES, batch_switch },
	{ "process", "exec_true", 0, BOTH, 10, batch_exec_true },
	{ "process", "shell_script", 0, BOTH, 1, batch_shell_script },
	{ "process", "cow_fault", 0, BOTH, 20, batch_cow_fault },
	{ "process", "fork_call", 4, BOTH, 20, batch_fork_call },
	{ "process", "fork_exit_wait", 4, BOTH, 20, batch_fork_exit_wait },
	{ "process", "fork_call", 64, BOTH, 8, batch_fork_call },
	{ "process", "fork_exit_wait", 64, BOTH, 8, batch_fork_exit_wait },
	{ "process", "fork_call", 256, BOTH, 5, batch_fork_call },
	{ "process", "fork_exit_wait", 256, BOTH, 3, batch_fork_exit_wait },
	{ "process", "cow_all", 256, BOTH, 1, batch_cow_all },
	{ "process", "fork_call", 1024, BOTH, 5, batch_fork_call },
	{ "process", "fork_exit_wait", 1024, BOTH, 2, batch_fork_exit_wait },
	{ 0 }
};
