// SPDX-License-Identifier: MIT
/*
 * bench.c - the operations of the cost ledger, measured from ring 3
 *
 * The same binary runs natively and in the ring of one VM. The unit is the time-stamp counter, which in the test machines advances by one
 * per instruction executed by the whole machine, whatever the ring; on real hardware it counts cycles.
 *
 * A short operation is run in batches of some 30,000 instructions, so that most batches see no timer interrupt (100,000 instructions apart
 * in the slower machine); the least batch is the figure: a tick does not show, and two runs of one binary agree to the instruction. An
 * operation that is longer than the time between two ticks contains them, natively and in the ring. Each operation is warmed up by one
 * batch first. Exits come from RS_SYS_EXITS around the same span (host interrupts are not counted there) and are 0 natively. Inside (self.c) a process
 * is its own guest and has no guest kernel to ask: there host interrupts are among them, and not among those of the least batch.
 *
 * Output, a line each: op,param,instructions per operation,exits per operation. An operation that fails is named on standard error, has no
 * line, and makes the exit status 1.   usage: rs-bench native|ring|inside|outside [OP|GROUP]
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
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
#include "bench.h"
#include "../../uapi/ringside_app.h"

static int in_ring, inside;
const char *self;
uint64_t exits_own;
static const struct op *current;
static sigjmp_buf next_op;

void die(const char *what)
{
	fprintf(stderr, "rs-bench: %s: %s: %s\n", current ? current->name : "start", what, strerror(errno));
	if (!current)
		exit(1);
	siglongjmp(next_op, 1);
}

uint64_t exits_now(void)
{
	long n;

	if (inside)
		return self_exits();
	if (!in_ring)
		return 0;
	n = syscall(RS_SYS_EXITS);
	if (n < 0)
		die("reading the number of exits");
	return n;
}

/* Reading the counter of exits may exit by itself; what an empty span shows is taken off. */
static void report(const struct op *op)
{
	uint64_t best = UINT64_MAX, exits = UINT64_MAX;
	struct sample s = { 0 };
	char param[16] = "";

	op->batch(&s, op->param);
	exits_own = UINT64_MAX;
	for (int i = 0; i < 8; i++) {
		uint64_t n = exits_now();

		n = exits_now() - n;
		if (n < exits_own)
			exits_own = n;
	}
	for (unsigned int i = 0; i < op->batches; i++) {
		op->batch(&s, op->param);
		if (s.ticks < best)
			best = s.ticks;
		if (s.exits < exits)
			exits = s.exits;
	}
	if (op->param)
		snprintf(param, sizeof(param), "%u", op->param);
	printf("%s,%s,%.2f,%.4f\n", op->name, param, (double)best / s.ops, (double)exits / s.ops);
	fflush(stdout);
}

static void batch_getpid(struct sample *s, unsigned int param)
{
	(void)param;
	s->ops = 100;
	span_begin(s);
	for (uint64_t i = 0; i < s->ops; i++)
		syscall(SYS_getpid);
	span_end(s);
}

static int bench_fd = -1;

void batch_forwarded(struct sample *s, unsigned int param)
{
	(void)param;
	if (bench_fd < 0) {
		bench_fd = open(self, O_RDONLY);
		if (bench_fd < 0)
			die(self);
	}
	s->ops = 16;
	span_begin(s);
	for (uint64_t i = 0; i < s->ops; i++)
		syscall(SYS_lseek, bench_fd, 0L, SEEK_SET);
	span_end(s);
}

/*
 * 16 pages in the middle of 64, so that nobody backs them with a 2 MiB page; the first touch of the mapping, with new tables perhaps, is
 * not counted.
 */
static void batch_zero_fill(struct sample *s, unsigned int param)
{
	size_t size = 64 * 4096;
	volatile char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)param;
	if (p == MAP_FAILED)
		die("mmap");
	madvise((void *)p, size, MADV_NOHUGEPAGE);
	s->ops = 16;
	p[0] = 1;
	span_begin(s);
	for (size_t i = size / 2; i < size / 2 + 16 * 4096; i += 4096)
		p[i] = 1;
	span_end(s);
	munmap((void *)p, size);
}

/* The least of several empty loops is taken off: one that a tick has lengthened would make the operation look cheaper than it is. */
static void guest_batch(struct sample *s, int op)
{
	long with, without, least = LONG_MAX;

	s->ops = op == RS_BENCH_PAGE_ALLOC ? 1000 : 100;
	span_begin(s);
	with = syscall(RS_SYS_BENCH, op, s->ops);
	span_end(s);
	for (int i = 0; i < 8; i++) {
		without = syscall(RS_SYS_BENCH, RS_BENCH_EMPTY, s->ops);
		if (with < 0 || without < 0)
			die("RS_SYS_BENCH");
		if (without < least)
			least = without;
	}
	s->ticks = with - least;
}

static void batch_hypercall_null(struct sample *s, unsigned int param)
{
	(void)param;
	guest_batch(s, RS_BENCH_HYPERCALL_NULL);
}

static void batch_page_alloc(struct sample *s, unsigned int param)
{
	(void)param;
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
static void batch_true_native(struct sample *s, unsigned int param)
{
	char *const argv[] = { "busybox", "true", NULL };

	(void)param;
	s->ops = 1;
	span_begin(s);
	spawn_wait(argv);
	span_end(s);
}

static void batch_true_ring(struct sample *s, unsigned int param)
{
	char *const argv[] = { "ringside", "run", "--", "busybox", "true", NULL };

	(void)param;
	s->ops = 1;
	span_begin(s);
	spawn_wait(argv);
	span_end(s);
}

static const struct op basic_ops[] = {
	{ "basic", "hypercall_null", 0, RING, BATCHES, batch_hypercall_null },
	{ "basic", "forwarded_call", 0, NATIVE | RING, BATCHES, batch_forwarded },
	{ "basic", "getpid", 0, NATIVE | RING, BATCHES, batch_getpid },
	{ "basic", "zero_fill_fault", 0, NATIVE | RING, BATCHES, batch_zero_fill },
	{ "basic", "page_alloc_free", 0, RING, BATCHES, batch_page_alloc },
	{ "basic", "run_true", 0, NATIVE, BATCHES, batch_true_native },
	{ "basic", "run_true", 0, OUTSIDE, BATCHES, batch_true_ring },
	{ 0 }
};

/* Returns 0, or 1 when the operation left by die(). */
static int try_op(const struct op *op)
{
	current = op;
	if (sigsetjmp(next_op, 1))
		return 1;
	report(op);
	return 0;
}

/* Runs those of @ops that are for @where and have @word as name or group; counts them, and those that failed. */
static void run_ops(const struct op *ops, unsigned int where, const char *word, int *found, int *failed)
{
	for (; ops->name; ops++) {
		if (!(ops->where & where) || (word && strcmp(word, ops->name) && strcmp(word, ops->group)))
			continue;
		++*found;
		*failed += try_op(ops);
	}
}

int main(int argc, char **argv)
{
	const char *word = argc == 3 ? argv[2] : NULL;
	int found = 0, failed = 0, where = 0;

	/* What exec_true and shell_script execute: nothing is smaller that is there for certain. */
	if (argc == 2 && !strcmp(argv[1], "true"))
		return 0;
	if (argc == 2 && !strcmp(argv[1], "peer"))
		return net_peer();
	if (argc >= 2)
		where = !strcmp(argv[1], "native") ? NATIVE : !strcmp(argv[1], "ring") ? RING : !strcmp(argv[1], "outside") ? OUTSIDE :
			!strcmp(argv[1], "inside") ? INSIDE : 0;
	if (!where || argc > 3) {
		fprintf(stderr, "usage: rs-bench native|ring|inside|outside [OP|GROUP], rs-bench peer\n");
		return 2;
	}
	self = (const char *)getauxval(AT_EXECFN);
	in_ring = where == RING;
	inside = where == INSIDE;
	run_ops(basic_ops, where, word, &found, &failed);
	run_ops(net_ops, where, word, &found, &failed);
	run_ops(self_ops, where, word, &found, &failed);
	run_ops(app_ops, where, word, &found, &failed);
	run_ops(ipc_ops, where, word, &found, &failed);
	run_ops(uthread_ops, where, word, &found, &failed);
	run_ops(pages_ops, where, word, &found, &failed);
	run_ops(user_fork_ops, where, word, &found, &failed);
	run_ops(process_ops, where, word, &found, &failed);
	/* the GiB that is touched then is there already */
	run_ops(dirty_ops, where, word, &found, &failed);
	/* last: leaves a thread, and forks do more from then on */
	run_ops(rcu_ops, where, word, &found, &failed);
	if (!found)
		fprintf(stderr, "rs-bench: no such operation here\n");
	return !found || failed;
}
