// SPDX-License-Identifier: MIT
/*
 * bench.c - the operations of the cost ledger, measured from ring 3
 *
 * The same binary runs natively and in the ring of one VM. The unit is the time-stamp counter, which in the test machines advances by one
 * per instruction executed by the whole machine, whatever the ring; on real hardware it counts cycles.
 *
 * An operation is run in batches of some 30,000 instructions, so that most batches see no timer interrupt (100,000 instructions apart in the
 * slower machine); the least batch is the figure: a tick does not show, and two runs of one binary agree to the instruction. Each
 * operation is warmed up by one batch first.
 * Exits come from RS_SYS_EXITS around one batch (host interrupts are not counted there) and are 0 natively.
 *
 * Output, a line each: op,param,instructions per operation,exits per operation.   usage: rs-bench native|ring|outside [OP]
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <x86intrin.h>
#include "../../uapi/ringside_app.h"

#define BATCHES 40

static int in_ring;
static const char *self;

static void die(const char *what)
{
	fprintf(stderr, "rs-bench: %s: %s\n", what, strerror(errno));
	exit(1);
}

/** struct sample - what one batch cost, and how many operations it did */
struct sample {
	uint64_t ticks;
	uint64_t ops;
};

static uint64_t exits_now(void)
{
	long n;

	if (!in_ring)
		return 0;
	n = syscall(RS_SYS_EXITS);
	if (n < 0)
		die("reading the number of exits");
	return n;
}

/* Reading the counter of exits may exit by itself; what an empty batch shows is taken off. */
static void report(const char *op, const char *param, void (*batch)(struct sample *))
{
	uint64_t best = UINT64_MAX, exits = UINT64_MAX, e0, e1, own;
	struct sample s = { 0 };

	e0 = exits_now();
	own = exits_now() - e0;
	batch(&s);
	for (int i = 0; i < BATCHES; i++) {
		e0 = exits_now();
		batch(&s);
		e1 = exits_now();
		if (s.ticks < best)
			best = s.ticks;
		if (e1 - e0 - own < exits)
			exits = e1 - e0 - own;
	}
	printf("%s,%s,%.2f,%.4f\n", op, param, (double)best / s.ops, (double)exits / s.ops);
	fflush(stdout);
}

static void batch_getpid(struct sample *s)
{
	uint64_t t = __rdtsc();

	s->ops = 100;
	for (uint64_t i = 0; i < s->ops; i++)
		syscall(SYS_getpid);
	s->ticks = __rdtsc() - t;
}

static int bench_fd = -1;

static void batch_forwarded(struct sample *s)
{
	uint64_t t;

	if (bench_fd < 0) {
		bench_fd = open(self, O_RDONLY);
		if (bench_fd < 0)
			die(self);
	}
	s->ops = 16;
	t = __rdtsc();
	for (uint64_t i = 0; i < s->ops; i++)
		syscall(SYS_lseek, bench_fd, 0L, SEEK_SET);
	s->ticks = __rdtsc() - t;
}

/*
 * 16 pages in the middle of 64, so that nobody backs them with a 2 MiB page; the first touch of the mapping, with new tables perhaps, is
 * not counted.
 */
static void batch_zero_fill(struct sample *s)
{
	size_t size = 64 * 4096;
	volatile char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t t;

	if (p == MAP_FAILED)
		die("mmap");
	madvise((void *)p, size, MADV_NOHUGEPAGE);
	s->ops = 16;
	p[0] = 1;
	t = __rdtsc();
	for (size_t i = size / 2; i < size / 2 + 16 * 4096; i += 4096)
		p[i] = 1;
	s->ticks = __rdtsc() - t;
	munmap((void *)p, size);
}

/* The least of several empty loops is taken off: one that a tick has lengthened would make the operation look cheaper than it is. */
static void guest_batch(struct sample *s, int op)
{
	long with, without, least = LONG_MAX;

	s->ops = op == RS_BENCH_PAGE_ALLOC ? 1000 : 100;
	with = syscall(RS_SYS_BENCH, op, s->ops);
	for (int i = 0; i < 8; i++) {
		without = syscall(RS_SYS_BENCH, RS_BENCH_EMPTY, s->ops);
		if (with < 0 || without < 0)
			die("RS_SYS_BENCH");
		if (without < least)
			least = without;
	}
	s->ticks = with - least;
}

static void batch_hypercall_null(struct sample *s)
{
	guest_batch(s, RS_BENCH_HYPERCALL_NULL);
}

static void batch_page_alloc(struct sample *s)
{
	guest_batch(s, RS_BENCH_PAGE_ALLOC);
}

static void spawn_wait(char *const argv[])
{
	extern char **environ;
	int status;
	pid_t pid;

	errno = posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ);
	if (errno)
		die(argv[0]);
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status)) {
		fprintf(stderr, "rs-bench: %s failed with wait status %#x\n", argv[0], status);
		exit(1);
	}
}

/* Start to end of a program that does nothing, as its parent sees it: both measured outside the ring. */
static void batch_true_native(struct sample *s)
{
	char *const argv[] = { "busybox", "true", NULL };
	uint64_t t = __rdtsc();

	s->ops = 1;
	spawn_wait(argv);
	s->ticks = __rdtsc() - t;
}

static void batch_true_ring(struct sample *s)
{
	char *const argv[] = { "ringside", "run", "--", "busybox", "true", NULL };
	uint64_t t = __rdtsc();

	s->ops = 1;
	spawn_wait(argv);
	s->ticks = __rdtsc() - t;
}

#define NATIVE	1	/* run when measuring Linux */
#define RING	2	/* run inside the ring */
#define OUTSIDE	4	/* the ring's figure, measured by a process outside it */

static const struct op {
	const char *name, *param;
	int where;
	void (*batch)(struct sample *);
} ops[] = {
	{ "hypercall_null", "", RING, batch_hypercall_null },
	{ "forwarded_call", "", NATIVE | RING, batch_forwarded },
	{ "getpid", "", NATIVE | RING, batch_getpid },
	{ "zero_fill_fault", "", NATIVE | RING, batch_zero_fill },
	{ "page_alloc_free", "", RING, batch_page_alloc },
	{ "run_true", "", NATIVE, batch_true_native },
	{ "run_true", "", OUTSIDE, batch_true_ring },
};

int main(int argc, char **argv)
{
	int where = 0, found = 0;

	if (argc >= 2)
		where = !strcmp(argv[1], "native") ? NATIVE : !strcmp(argv[1], "ring") ? RING : !strcmp(argv[1], "outside") ? OUTSIDE : 0;
	if (!where || argc > 3) {
		fprintf(stderr, "usage: rs-bench native|ring|outside [OP]\n");
		return 2;
	}
	self = (const char *)getauxval(AT_EXECFN);
	in_ring = where == RING;
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		if (!(ops[i].where & where) || (argc == 3 && strcmp(argv[2], ops[i].name)))
			continue;
		report(ops[i].name, ops[i].param, ops[i].batch);
		found = 1;
	}
	if (!found)
		fprintf(stderr, "rs-bench: no such operation here\n");
	return !found;
}
