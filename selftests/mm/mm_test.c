// SPDX-License-Identifier: MIT
/*
 * mm_test.c - the mmap family over several processes, wherever it runs
 *
 * The same static binary runs natively and in the ring; every case must hold in both. Private memory is the process's own after a fork,
 * shared memory everybody's; files are the host's page cache, which somebody outside may read and write at the same time. Processes tell one
 * another when it is their turn through pipes, never by time.
 *
 * Each case is a process of its own, so that none sees what another one has mapped. Prints TAP.
 * usage: rs-mm-test [CASE] | rs-mm-test exhaust | rs-mm-test exhaust-forks | rs-mm-test outside-writer FILE (natively, see in-vm)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <ringside_app.h>

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#define MADV_KEEPONFORK 19
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

#define PAGE	4096UL
#define RW	(PROT_READ | PROT_WRITE)
#define PRIVATE	(MAP_PRIVATE | MAP_ANONYMOUS)
#define SHARED	(MAP_SHARED | MAP_ANONYMOUS)

/* The first condition that does not hold ends the process; a case is one. */
#define CHECK(cond) do {										\
	if (!(cond)) {											\
		int e = errno;										\
													\
		dprintf(1, "# line %d: %s (errno %d)\n", __LINE__, #cond, e);				\
		_exit(1);										\
	}												\
} while (0)

static char *map(size_t pages, int prot, int flags)
{
	char *p = mmap(NULL, pages * PAGE, prot, flags, -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

/* A file of the test's directory with @pages pages, each filled with 'a', 'b', ...; no name is left. */
static int file_of(size_t pages)
{
	char name[] = "rs-mm-XXXXXX", page[PAGE];
	int fd = mkstemp(name);

	CHECK(fd >= 0 && !unlink(name));
	for (size_t i = 0; i < pages; i++) {
		memset(page, 'a' + i % 26, PAGE);
		CHECK(write(fd, page, PAGE) == (ssize_t)PAGE);
	}
	return fd;
}

static pid_t start(void)
{
	pid_t pid = fork();

	CHECK(pid >= 0);
	return pid;
}

/* The child must have found everything right. */
static void finish(pid_t pid)
{
	int status = -1;

	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(status == 0);
}

/* What @body does in a child. */
#define IN_CHILD(body) do {		\
	pid_t pid_ = start();		\
					\
	if (!pid_) {			\
		body;			\
		_exit(0);		\
	}				\
	finish(pid_);			\
} while (0)

static sigjmp_buf back;
static volatile int caught;

static void on_fault(int sig)
{
	caught = sig;
	siglongjmp(back, 1);
}

/* The signal that reading (or writing) *@p raises, 0 if none. */
static int fault_of(volatile char *p, int write)
{
	caught = 0;
	signal(SIGSEGV, on_fault);
	signal(SIGBUS, on_fault);
	if (!sigsetjmp(back, 1)) {
		if (write)
			*p = 1;
		else
			(void)*p;
	}
	signal(SIGSEGV, SIG_DFL);
	signal(SIGBUS, SIG_DFL);
	return caught;
}

/* Turns, between two processes. */
struct turn {
	int fd[2];
};

static void turn_init(struct turn *t)
{
	CHECK(!pipe(t->fd));
}

static void turn_give(struct turn *t)
{
	CHECK(write(t->fd[1], "x", 1) == 1);
}

static void turn_wait(struct turn *t)
{
	char c;

	CHECK(read(t->fd[0], &c, 1) == 1);
}

/* --- private memory over a fork --------------------------------------------------------------------------------------- */

static void t_cow_both_ways(void)
{
	size_t n = 1100;
	char *p = map(n, RW, PRIVATE);
	struct turn to_child, to_parent;
	pid_t pid;

	for (size_t i = 0; i < n; i++)
		*(size_t *)(p + i * PAGE) = i;
	turn_init(&to_child);
	turn_init(&to_parent);
	pid = start();
	if (!pid) {
		for (size_t i = 0; i < n; i += 3)
			*(size_t *)(p + i * PAGE) = i + 1000000;
		turn_give(&to_parent);
		turn_wait(&to_child);
		for (size_t i = 0; i < n; i++)
			CHECK(*(size_t *)(p + i * PAGE) == (i % 3 ? i : i + 1000000));
		_exit(0);
	}
	turn_wait(&to_parent);
	for (size_t i = 0; i < n; i++)
		CHECK(*(size_t *)(p + i * PAGE) == i);
	for (size_t i = 0; i < n; i += 2)
		*(size_t *)(p + i * PAGE) = i + 2000000;
	turn_give(&to_child);
	finish(pid);
	for (size_t i = 0; i < n; i++)
		CHECK(*(size_t *)(p + i * PAGE) == (i % 2 ? i : i + 2000000));
}

static void t_untouched_after_fork(void)
{
	char *p = map(8, RW, PRIVATE);

	p[0] = 1;
	CHECK(p[PAGE] == 0);			/* the zero page */
	IN_CHILD(({
		CHECK(p[0] == 1 && p[PAGE] == 0 && p[2 * PAGE] == 0);
		p[PAGE] = p[2 * PAGE] = 5;
		CHECK(p[0] == 1 && p[PAGE] == 5 && p[2 * PAGE] == 5 && p[3 * PAGE] == 0);
	}));
	CHECK(p[0] == 1 && p[PAGE] == 0 && p[2 * PAGE] == 0);
}

static void t_generations(void)
{
	char *p = map(3, RW, PRIVATE);
	int depth;
	pid_t pid = 0;

	/* Each generation changes one page and hands the rest on. */
	for (depth = 0; depth < 12; depth++) {
		p[depth % 3 * PAGE] = depth + 1;
		pid = start();
		if (pid)
			break;
	}
	if (depth < 12) {
		finish(pid);
		CHECK(p[depth % 3 * PAGE] == depth + 1);
		if (depth)
			_exit(0);
	} else {
		CHECK(p[0] == 10 && p[PAGE] == 11 && p[2 * PAGE] == 12);
		_exit(0);
	}
}

static void t_mprotect_after_fork(void)
{
	char *p = map(600, RW, PRIVATE);

	memset(p, 3, 600 * PAGE);
	IN_CHILD(({
		CHECK(!mprotect(p + PAGE, 2 * PAGE, PROT_READ));
		CHECK(p[PAGE] == 3 && fault_of(p + PAGE, 1) == SIGSEGV && !fault_of(p + 3 * PAGE, 1));
		CHECK(!mprotect(p + PAGE, 2 * PAGE, RW) && !fault_of(p + PAGE, 1) && p[PAGE] == 1);
		CHECK(!mprotect(p, 600 * PAGE, PROT_NONE) && fault_of(p + 500 * PAGE, 0) == SIGSEGV);
		CHECK(!mprotect(p, 600 * PAGE, PROT_READ) && p[500 * PAGE] == 3);
	}));
	CHECK(!fault_of(p + PAGE, 1) && p[2 * PAGE] == 3);
	CHECK(!mprotect(p, 600 * PAGE, PROT_READ));
	IN_CHILD(({
		CHECK(fault_of(p, 1) == SIGSEGV);
		CHECK(!mprotect(p, PAGE, RW) && !fault_of(p, 1) && p[0] == 1);
	}));
	CHECK(p[0] == 3 && fault_of(p, 1) == SIGSEGV);
}

static void t_mprotect_splits(void)
{
	char *p = map(64, RW, PRIVATE);

	for (int i = 0; i < 64; i++)
		p[i * PAGE] = i;
	for (int i = 0; i < 64; i += 2)
		CHECK(!mprotect(p + i * PAGE, PAGE, PROT_READ));
	IN_CHILD(({
		for (int i = 0; i < 64; i++)
			CHECK(p[i * PAGE] == i && fault_of(p + i * PAGE, 1) == (i % 2 ? 0 : SIGSEGV));
		CHECK(!mprotect(p, 64 * PAGE, RW));
		for (int i = 0; i < 64; i++)
			CHECK(!fault_of(p + i * PAGE, 1));
	}));
	for (int i = 0; i < 64; i++)
		CHECK(p[i * PAGE] == i);
}

static void t_unmap_in_child(void)
{
	char *p = map(1200, RW, PRIVATE);

	memset(p, 4, 1200 * PAGE);
	IN_CHILD(({
		CHECK(!munmap(p + 10 * PAGE, 1000 * PAGE));
		CHECK(fault_of(p + 10 * PAGE, 0) == SIGSEGV && fault_of(p + 1009 * PAGE, 0) == SIGSEGV);
		CHECK(p[9 * PAGE] == 4 && p[1010 * PAGE] == 4);
		CHECK(mmap(p + 10 * PAGE, PAGE, RW, PRIVATE | MAP_FIXED, -1, 0) == p + 10 * PAGE && p[10 * PAGE] == 0);
	}));
	for (int i = 0; i < 1200; i++)
		CHECK(p[i * PAGE] == 4);
}

static void t_dontneed_after_fork(void)
{
	char *p = map(20, RW, PRIVATE);

	memset(p, 6, 20 * PAGE);
	IN_CHILD(({
		CHECK(!madvise(p + PAGE, 2 * PAGE, MADV_DONTNEED) && p[PAGE] == 0 && p[3 * PAGE] == 6);
		p[PAGE] = 9;
	}));
	CHECK(p[PAGE] == 6 && p[2 * PAGE] == 6);
}

static void t_mremap_after_fork(void)
{
	char *p = map(10, RW, PRIVATE), *q;

	for (int i = 0; i < 10; i++)
		p[i * PAGE] = i + 1;
	IN_CHILD(({
		q = mremap(p, 10 * PAGE, 2000 * PAGE, MREMAP_MAYMOVE);
		CHECK(q != MAP_FAILED);
		for (int i = 0; i < 10; i++)
			CHECK(q[i * PAGE] == i + 1);
		q[0] = 100;
		CHECK(q[1999 * PAGE] == 0);
		CHECK(mremap(q, 2000 * PAGE, PAGE, 0) == q && fault_of(q + PAGE, 0) == SIGSEGV && q[0] == 100);
	}));
	for (int i = 0; i < 10; i++)
		CHECK(p[i * PAGE] == i + 1);
}

static void t_brk_after_fork(void)
{
	char *start_ = sbrk(0), *p;

	CHECK(sbrk(10 * PAGE) == start_);
	memset(start_, 7, 10 * PAGE);
	IN_CHILD(({
		CHECK(sbrk(0) == start_ + 10 * PAGE && sbrk(10 * PAGE) == start_ + 10 * PAGE);
		p = start_ + 15 * PAGE;
		CHECK(*p == 0 && start_[PAGE] == 7);
		*p = 1;
		CHECK(sbrk(-15 * (long)PAGE) != (void *)-1 && start_[4 * PAGE] == 7);
		CHECK(fault_of((char *)(((uintptr_t)start_ + 7 * PAGE) & ~(PAGE - 1)), 0) == SIGSEGV);
	}));
	CHECK(sbrk(0) == start_ + 10 * PAGE && start_[9 * PAGE] == 7);
	CHECK(fault_of((char *)(((uintptr_t)start_ + 12 * PAGE) & ~(PAGE - 1)), 0) == SIGSEGV);
}

static int deep(int n)
{
	volatile char room[16384];

	room[0] = (char)n;
	room[8192] = 1;
	return n ? deep(n - 1) + room[8192] : 0;
}

static void t_stack_after_fork(void)
{
	/* Both grow their stacks by themselves, the child further than the parent ever did. */
	CHECK(deep(10) == 10);
	IN_CHILD(CHECK(deep(200) == 200));
	CHECK(deep(100) == 100);
	IN_CHILD(CHECK(deep(150) == 150));
}

static void t_guard(void)
{
	char *p = map(3, PROT_NONE, PRIVATE);

	CHECK(!mprotect(p + PAGE, PAGE, RW));
	p[PAGE] = 1;
	IN_CHILD(({
		CHECK(fault_of(p, 0) == SIGSEGV && fault_of(p + 2 * PAGE, 1) == SIGSEGV && p[PAGE] == 1);
		p[2 * PAGE - 1] = 2;
		CHECK(fault_of(p + 2 * PAGE, 1) == SIGSEGV);
	}));
	CHECK(fault_of(p, 1) == SIGSEGV && p[2 * PAGE - 1] == 0);
	CHECK(read(-1, p, 1) == -1 && errno == EBADF);
}

/* --- what children have ----------------------------------------------------------------------------------------------- */

static void t_dontfork(void)
{
	char *p = map(10, RW, PRIVATE), *s = map(2, RW, SHARED);

	memset(p, 8, 10 * PAGE);
	s[0] = 1;
	CHECK(!madvise(p + 3 * PAGE, 2 * PAGE, MADV_DONTFORK) && !madvise(s, 2 * PAGE, MADV_DONTFORK));
	IN_CHILD(({
		CHECK(p[2 * PAGE] == 8 && p[5 * PAGE] == 8);
		CHECK(fault_of(p + 3 * PAGE, 0) == SIGSEGV && fault_of(p + 4 * PAGE, 1) == SIGSEGV && fault_of(s, 0) == SIGSEGV);
		/* the place is free */
		CHECK(mmap(p + 3 * PAGE, PAGE, RW, PRIVATE | MAP_FIXED_NOREPLACE, -1, 0) == p + 3 * PAGE && p[3 * PAGE] == 0);
	}));
	CHECK(p[3 * PAGE] == 8 && s[0] == 1);
	p[3 * PAGE] = 9;
	CHECK(!madvise(p, 10 * PAGE, MADV_DOFORK));
	IN_CHILD(CHECK(p[3 * PAGE] == 9 && p[4 * PAGE] == 8));
	CHECK(madvise(p + 1, PAGE, MADV_DONTFORK) == -1 && errno == EINVAL);
}

static void t_wipeonfork(void)
{
	char *p = map(10, RW, PRIVATE), *s = map(1, RW, SHARED), *f;
	int fd = file_of(1);

	memset(p, 8, 10 * PAGE);
	CHECK(!madvise(p + 3 * PAGE, 2 * PAGE, MADV_WIPEONFORK));
	IN_CHILD(({
		CHECK(p[2 * PAGE] == 8 && p[3 * PAGE] == 0 && p[4 * PAGE + 100] == 0 && p[5 * PAGE] == 8);
		p[3 * PAGE] = 1;
		/* the mark stays */
		IN_CHILD(CHECK(p[3 * PAGE] == 0 && p[2 * PAGE] == 8));
		CHECK(p[3 * PAGE] == 1);
	}));
	CHECK(p[3 * PAGE] == 8 && p[4 * PAGE] == 8);
	CHECK(!madvise(p, 10 * PAGE, MADV_KEEPONFORK));
	IN_CHILD(CHECK(p[3 * PAGE] == 8));
	CHECK(madvise(s, PAGE, MADV_WIPEONFORK) == -1 && errno == EINVAL);
	f = mmap(NULL, PAGE, RW, MAP_PRIVATE, fd, 0);
	CHECK(f != MAP_FAILED && madvise(f, PAGE, MADV_WIPEONFORK) == -1 && errno == EINVAL);
}

static void t_marks_of_large_areas(void)
{
	char *p = map(2048, RW, PRIVATE);

	memset(p, 1, 2048 * PAGE);
	CHECK(!madvise(p + 100 * PAGE, 1500 * PAGE, MADV_DONTFORK) && !madvise(p + 1700 * PAGE, 100 * PAGE, MADV_WIPEONFORK));
	for (int k = 0; k < 3; k++) {
		IN_CHILD(({
			CHECK(p[99 * PAGE] == 1 && fault_of(p + 100 * PAGE, 0) == SIGSEGV && fault_of(p + 1599 * PAGE, 0) == SIGSEGV);
			CHECK(p[1600 * PAGE] == 1 && p[1700 * PAGE] == 0 && p[1799 * PAGE] == 0 && p[1800 * PAGE] == 1);
			memset(p + 1600 * PAGE, 2, 448 * PAGE);
		}));
		for (int i = 0; i < 2048; i++)
			CHECK(p[i * PAGE] == 1);
		memset(p, 1, 2048 * PAGE);
	}
}

/* --- shared memory ---------------------------------------------------------------------------------------------------- */

static void t_shared_over_fork(void)
{
	volatile int *p = (int *)map(700, RW, SHARED);
	size_t step = PAGE / sizeof(int);
	struct turn to_child, to_parent;
	pid_t pid;

	turn_init(&to_child);
	turn_init(&to_parent);
	p[0] = 1;
	pid = start();
	if (!pid) {
		CHECK(p[0] == 1);
		p[699 * step] = 2;			/* first touched here */
		turn_give(&to_parent);
		turn_wait(&to_child);
		CHECK(p[300 * step] == 3 && p[0] == 4);
		IN_CHILD(p[5 * step] = 6);
		_exit(0);
	}
	turn_wait(&to_parent);
	CHECK(p[699 * step] == 2);
	p[300 * step] = 3;
	p[0] = 4;
	turn_give(&to_child);
	finish(pid);
	CHECK(p[5 * step] == 6);
}

static void t_shared_mprotect(void)
{
	char *p = map(4, RW, SHARED);

	memset(p, 1, 4 * PAGE);
	IN_CHILD(({
		CHECK(!mprotect(p, 2 * PAGE, PROT_READ) && fault_of(p, 1) == SIGSEGV && p[0] == 1);
		p[2 * PAGE] = 2;
		CHECK(!mprotect(p, 2 * PAGE, RW));
		p[0] = 3;
	}));
	CHECK(p[0] == 3 && p[2 * PAGE] == 2 && !fault_of(p, 1));
}

static void t_shared_pieces(void)
{
	char *p = map(8, RW, SHARED), *q;

	/* Cut and moved, it is still the same memory. */
	IN_CHILD(({
		CHECK(!munmap(p + PAGE, PAGE));
		p[2 * PAGE] = 2;
	}));
	CHECK(p[2 * PAGE] == 2 && p[PAGE] == 0);
	q = map(4, PROT_NONE, PRIVATE);
	CHECK(mremap(p + 4 * PAGE, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, q) == q);
	IN_CHILD(q[PAGE] = 5);
	CHECK(q[PAGE] == 5 && fault_of(p + 4 * PAGE, 0) == SIGSEGV);
	CHECK(!madvise(q, 2 * PAGE, MADV_DONTNEED) && q[PAGE] == 5);
}

static void t_shared_duplicate(void)
{
	char *p = map(4, RW, SHARED), *q;

	p[PAGE] = 1;
	q = mremap(p + PAGE, 0, 2 * PAGE, MREMAP_MAYMOVE);
	CHECK(q != MAP_FAILED && q != p && q[0] == 1);
	q[PAGE] = 2;
	CHECK(p[2 * PAGE] == 2);
	IN_CHILD(p[PAGE] = 7);
	CHECK(q[0] == 7);
	CHECK(!munmap(p, 4 * PAGE) && q[0] == 7 && q[PAGE] == 2);
	p = map(1, RW, PRIVATE);
	CHECK(mremap(p, 0, PAGE, MREMAP_MAYMOVE) == MAP_FAILED && errno == EINVAL);
	p = map(4, RW, SHARED);
	CHECK(mremap(p, 0, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p) == MAP_FAILED);
	p = map(4, RW, SHARED);
	q = mremap(p + PAGE, 0, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p);
	CHECK(q == MAP_FAILED || q == p);
}

#define REGION	96

static unsigned long random_state;

static unsigned long rnd(unsigned long n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state % n;
}

/* In a ring with --debug an allocation of each call may fail: RS_INJECT=1. */
static int injecting;

static void inject(unsigned long n)
{
	errno = 0;		/* what the call may touch is there */
	if (injecting)
		syscall(RS_SYS_INJECT, n);
}

/* Any call of the family on any part of one region; what comes of it is the kernel's to say, but that it must survive. */
static void random_call(char *base, int fd)
{
	static const int advice[] = { MADV_DONTNEED, MADV_FREE, MADV_DONTFORK, MADV_DOFORK, MADV_WIPEONFORK, MADV_KEEPONFORK, MADV_WILLNEED,
				      MADV_POPULATE_READ, MADV_POPULATE_WRITE };
	static const int prots[] = { PROT_NONE, PROT_READ, RW, RW, PROT_READ | PROT_EXEC };
	size_t from = rnd(REGION), n = 1 + rnd(rnd(3) ? 6 : REGION), to = rnd(REGION), m = rnd(4) ? n : rnd(12);
	char *p = base + from * PAGE, *q;
	unsigned char v[REGION];
	int flags;

	if (n > REGION - from)
		n = REGION - from;
	if (m > REGION - to)
		m = REGION - to;
	memset(v, 0, sizeof(v));
	inject(1 + rnd(6));
	switch (rnd(10)) {
	case 0:
	case 1:
		flags = rnd(2) ? MAP_PRIVATE : MAP_SHARED;
		if (rnd(3))
			mmap(p, n * PAGE, prots[rnd(5)], flags | MAP_ANONYMOUS | MAP_FIXED | (rnd(8) ? 0 : MAP_POPULATE), -1, 0);
		else
			mmap(p, n * PAGE, prots[rnd(3)], flags | MAP_FIXED, fd, rnd(8) * PAGE);
		break;
	case 2:
		munmap(p, n * PAGE);
		break;
	case 3:
		mprotect(p, n * PAGE, prots[rnd(5)]);
		break;
	case 4:
	case 5:
		flags = MREMAP_MAYMOVE | (rnd(4) ? MREMAP_FIXED : 0) | (rnd(3) ? 0 : MREMAP_DONTUNMAP);
		q = mremap(p, (rnd(6) ? n : 0) * PAGE, m * PAGE, flags, flags & MREMAP_FIXED ? base + to * PAGE : NULL);
		if (q != MAP_FAILED && (q < base || q >= base + REGION * PAGE))
			munmap(q, m * PAGE);
		break;
	case 6:
		madvise(p, n * PAGE, advice[rnd(sizeof(advice) / sizeof(advice[0]))]);
		break;
	case 7:
		if (rnd(4))
			mincore(p, n * PAGE, v);
		else
			mlock(p, n * PAGE);
		break;
	case 8:
		msync(p, n * PAGE, MS_ASYNC);
		break;
	default:
		break;
	}
	inject(0);
	for (int i = 0; i < 3; i++)
		fault_of(base + rnd(REGION) * PAGE, rnd(2));
}

static void random_calls(char *base, int fd, int calls, int depth)
{
	for (int i = 1; i <= calls; i++) {
		random_call(base, fd);
		if (depth && i % 100 == 0)
			IN_CHILD(({
				random_state += (unsigned long)depth * 77777 + 1;
				random_calls(base, fd, 120, depth - 1);
			}));
	}
}

/* RS_SEED=N: others than the first five. */
static void t_random_calls(void)
{
	const char *s = getenv("RS_SEED");
	unsigned long first = s ? strtoul(s, NULL, 0) : 1;

	injecting = !!getenv("RS_INJECT");

	for (unsigned long seed = first; seed < first + 5; seed++) {
		int fd = file_of(8);
		char *base = map(REGION, RW, PRIVATE);

		random_state = seed * 0x9e3779b97f4a7c15;
		random_calls(base, fd, 600, 2);
		munmap(base, REGION * PAGE);
		close(fd);
	}
}

static void t_shared_survives_unmap(void)
{
	char *p = map(2, RW, SHARED);
	struct turn go;
	pid_t pid;

	turn_init(&go);
	p[0] = 1;
	pid = start();
	if (!pid) {
		turn_wait(&go);
		CHECK(p[0] == 2 && p[PAGE] == 3);
		_exit(0);
	}
	p[0] = 2;
	p[PAGE] = 3;
	CHECK(!munmap(p, 2 * PAGE));
	turn_give(&go);
	finish(pid);
}

/* --- mremap ----------------------------------------------------------------------------------------------------------- */

static void t_dontunmap(void)
{
	char *p = map(6, RW, PRIVATE), *q, *place;

	for (int i = 0; i < 6; i++)
		p[i * PAGE] = i + 1;
	q = mremap(p, 6 * PAGE, 6 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
	CHECK(q != MAP_FAILED && q != p);
	for (int i = 0; i < 6; i++)
		CHECK(q[i * PAGE] == i + 1 && p[i * PAGE] == 0);
	p[0] = 50;
	CHECK(q[0] == 1);
	place = map(6, PROT_NONE, PRIVATE);
	CHECK(mremap(q + PAGE, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, place + PAGE) == place + PAGE);
	CHECK(place[PAGE] == 2 && place[2 * PAGE] == 3 && q[PAGE] == 0 && q[3 * PAGE] == 4);
	CHECK(fault_of(place, 0) == SIGSEGV && fault_of(place + 3 * PAGE, 0) == SIGSEGV);
	CHECK(mremap(p, 6 * PAGE, 7 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL) == MAP_FAILED && errno == EINVAL);
	CHECK(mremap(p, 6 * PAGE, 6 * PAGE, MREMAP_DONTUNMAP, NULL) == MAP_FAILED && errno == EINVAL);
	/* with pages that a fork shares */
	IN_CHILD(({
		q = mremap(p, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
		CHECK(q != MAP_FAILED && q[0] == 50 && p[0] == 0);
	}));
	CHECK(p[0] == 50);
}

static void t_noreplace(void)
{
	char *p = map(4, RW, PRIVATE);

	p[0] = 1;
	CHECK(mmap(p + 3 * PAGE, 2 * PAGE, RW, PRIVATE | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED && errno == EEXIST && p[0] == 1);
	CHECK(!munmap(p + 2 * PAGE, PAGE));
	CHECK(mmap(p + 2 * PAGE, PAGE, RW, PRIVATE | MAP_FIXED_NOREPLACE, -1, 0) == p + 2 * PAGE && p[2 * PAGE] == 0);
}

static void t_file_grows(void)
{
	int fd = file_of(8);
	char *p = mmap(NULL, 2 * PAGE, RW, MAP_SHARED, fd, PAGE), *q, c;

	CHECK(p != MAP_FAILED && p[0] == 'b' && p[PAGE] == 'c');
	p[0] = 'X';
	q = mremap(p, 2 * PAGE, 5 * PAGE, MREMAP_MAYMOVE);
	CHECK(q != MAP_FAILED && q[0] == 'X' && q[PAGE] == 'c' && q[2 * PAGE] == 'd' && q[4 * PAGE] == 'f');
	q[4 * PAGE] = 'Y';
	CHECK(pread(fd, &c, 1, 5 * PAGE) == 1 && c == 'Y');
	CHECK(pread(fd, &c, 1, PAGE) == 1 && c == 'X');
	/* over the end of the file, which grows later; the descriptor is not needed */
	p = mremap(q, 5 * PAGE, 20 * PAGE, MREMAP_MAYMOVE);
	CHECK(p != MAP_FAILED && p[6 * PAGE] == 'h' && fault_of(p + 7 * PAGE, 0) == SIGBUS);
	CHECK(!ftruncate(fd, 12 * PAGE) && p[7 * PAGE] == 0);
	IN_CHILD(({
		CHECK(p[0] == 'X');
		p[10 * PAGE] = 'Z';
		q = mremap(p, 20 * PAGE, 40 * PAGE, MREMAP_MAYMOVE);
		CHECK(q != MAP_FAILED && q[10 * PAGE] == 'Z' && q[4 * PAGE] == 'Y');
	}));
	CHECK(p[10 * PAGE] == 'Z');
	close(fd);
	q = mremap(p + 2 * PAGE, 2 * PAGE, 4 * PAGE, MREMAP_MAYMOVE);
	CHECK(q != MAP_FAILED && q[0] == 'd' && q[2 * PAGE] == 'Y' && q[3 * PAGE] == 'g' && p[0] == 'X');
}

/* What was written stays, the rest is the file's; with a child that has it all, too, and nobody that has it open. */
static void private_grows(int fd)
{
	char *p = mmap(NULL, 4 * PAGE, RW, MAP_PRIVATE, fd, PAGE), *q;

	CHECK(p != MAP_FAILED && p[0] == 'b' && p[3 * PAGE] == 'e');
	close(fd);
	p[PAGE] = 'X';
	p[2 * PAGE + 1] = 'Y';
	CHECK(!mprotect(p + 2 * PAGE, PAGE, PROT_NONE) && !mprotect(p + 2 * PAGE, PAGE, RW));
	IN_CHILD(({
		q = mremap(p, 4 * PAGE, 6 * PAGE, MREMAP_MAYMOVE);
		CHECK(q != MAP_FAILED && q[0] == 'b' && q[PAGE] == 'X' && q[2 * PAGE] == 'd' && q[2 * PAGE + 1] == 'Y' && q[5 * PAGE] == 'g');
		q[PAGE] = q[4 * PAGE] = 'C';
	}));
	q = mremap(p, 4 * PAGE, 12 * PAGE, MREMAP_MAYMOVE);
	CHECK(q != MAP_FAILED && q[PAGE] == 'X' && q[2 * PAGE + 1] == 'Y' && q[4 * PAGE] == 'f' && q[6 * PAGE] == 'h');
	CHECK(fault_of(q + 7 * PAGE, 0) == SIGBUS && fault_of(q + 11 * PAGE, 1) == SIGBUS);
	/* from inside it, which moves that part */
	q[6 * PAGE] = 'Z';
	p = mremap(q + 2 * PAGE, 5 * PAGE, 20 * PAGE, MREMAP_MAYMOVE);
	CHECK(p != MAP_FAILED && p[1] == 'Y' && p[2 * PAGE] == 'f' && p[4 * PAGE] == 'Z' && fault_of(p + 5 * PAGE, 0) == SIGBUS);
	CHECK(q[0] == 'b' && q[PAGE] == 'X' && fault_of(q + 2 * PAGE, 0) == SIGSEGV && fault_of(q + 7 * PAGE, 0) == SIGBUS);
	/* it is one mapping */
	CHECK(mremap(p, 20 * PAGE, 3 * PAGE, 0) == p && !mprotect(p, 3 * PAGE, PROT_READ) && p[1] == 'Y');
	CHECK(!madvise(p, 3 * PAGE, MADV_DONTNEED) && p[1] == 'd');
}

static void t_private_file_grows(void)
{
	char name[32];
	int fd = file_of(8), at;

	private_grows(fd);
	/* the same through a descriptor that can only read */
	fd = file_of(8);
	snprintf(name, sizeof(name), "rs-mm-%d", getpid());
	at = open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
	CHECK(at >= 0 && sendfile(at, fd, &(off_t){ 0 }, 8 * PAGE) == 8 * PAGE);
	close(fd);
	close(at);
	at = open(name, O_RDONLY);
	CHECK(at >= 0 && !unlink(name));
	private_grows(at);
}

/* Who has it mapped privately does not keep a memfd from being sealed; who has it mapped shared does. */
static void t_memfd_sealed(void)
{
	int fd = memfd_create("rs-mm", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	char *p, *q;

	CHECK(fd >= 0 && write(fd, "sealed", 6) == 6);
	p = mmap(NULL, PAGE, RW, MAP_PRIVATE, fd, 0);
	CHECK(p != MAP_FAILED && p[0] == 's');
	q = mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0);
	CHECK(q != MAP_FAILED && q[0] == 's');
	CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == -1 && errno == EBUSY);
	CHECK(!munmap(q, PAGE));
	CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SEAL) == 0);
	CHECK(mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0) == MAP_FAILED && errno == EPERM);
	CHECK(write(fd, "x", 1) == -1 && errno == EPERM);
	q = mmap(NULL, PAGE, RW, MAP_PRIVATE, fd, 0);
	CHECK(q != MAP_FAILED && q[0] == 's');
	p[0] = 'p';
	CHECK(p[1] == 'e' && q[0] == 's');
	/* one that could never be sealed can be mapped in any way */
	close(fd);
	fd = memfd_create("rs-mm", MFD_CLOEXEC);
	CHECK(fd >= 0 && write(fd, "open", 4) == 4);
	p = mmap(NULL, PAGE, RW, MAP_PRIVATE, fd, 0);
	CHECK(p != MAP_FAILED && p[0] == 'o' && fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == -1 && errno == EPERM);
}

static void t_file_shrinks_and_returns(void)
{
	int fd = file_of(8);
	char *p = mmap(NULL, 8 * PAGE, RW, MAP_PRIVATE, fd, 0);

	CHECK(p != MAP_FAILED);
	p[0] = 'W';
	CHECK(mremap(p, 8 * PAGE, 3 * PAGE, 0) == p && fault_of(p + 3 * PAGE, 0) == SIGSEGV);
	CHECK(p[0] == 'W' && p[2 * PAGE] == 'c');
}

/* --- files ------------------------------------------------------------------------------------------------------------ */

static void t_file_shared_by_processes(void)
{
	int fd = file_of(4);
	char *p = mmap(NULL, 4 * PAGE, RW, MAP_SHARED, fd, 0), *q, c;
	struct turn to_child, to_parent;
	pid_t pid;

	CHECK(p != MAP_FAILED);
	turn_init(&to_child);
	turn_init(&to_parent);
	p[0] = '0';
	pid = start();
	if (!pid) {
		CHECK(p[0] == '0' && p[PAGE] == 'b');
		/* a mapping of its own, not the inherited one */
		q = mmap(NULL, PAGE, RW, MAP_SHARED, fd, PAGE);
		CHECK(q != MAP_FAILED);
		*q = '1';
		turn_give(&to_parent);
		turn_wait(&to_child);
		CHECK(p[2 * PAGE] == '2' && pread(fd, &c, 1, 2 * PAGE) == 1 && c == '2');
		CHECK(pwrite(fd, "3", 1, 3 * PAGE) == 1);
		_exit(0);
	}
	turn_wait(&to_parent);
	CHECK(p[PAGE] == '1');
	p[2 * PAGE] = '2';
	turn_give(&to_child);
	finish(pid);
	CHECK(p[3 * PAGE] == '3' && !msync(p, 4 * PAGE, MS_SYNC));
	CHECK(pread(fd, &c, 1, 0) == 1 && c == '0');
}

static void t_file_private_sees_file(void)
{
	int fd = file_of(4);
	char *p = mmap(NULL, 4 * PAGE, RW, MAP_PRIVATE, fd, 0), c;

	CHECK(p != MAP_FAILED && p[0] == 'a' && p[PAGE] == 'b');
	p[PAGE] = 'P';
	IN_CHILD(({
		CHECK(p[PAGE] == 'P' && p[2 * PAGE] == 'c');
		p[PAGE] = 'Q';
		p[2 * PAGE] = 'R';
	}));
	/* what was copied stays, what was not is the file */
	CHECK(pwrite(fd, "123", 1, 0) == 1 && pwrite(fd, "2", 1, PAGE) == 1 && pwrite(fd, "3", 1, 2 * PAGE) == 1);
	CHECK(p[0] == '1' && p[PAGE] == 'P' && p[2 * PAGE] == '3');
	CHECK(pread(fd, &c, 1, PAGE) == 1 && c == '2');
	CHECK(!madvise(p, 4 * PAGE, MADV_DONTNEED) && p[PAGE] == '2');
}

static void t_file_readonly(void)
{
	char name[] = "rs-mm-XXXXXX";
	int fd = mkstemp(name), ro = open(name, O_RDONLY);
	char *p;

	CHECK(fd >= 0 && ro >= 0 && !unlink(name) && write(fd, "abc", 3) == 3);
	CHECK(mmap(NULL, PAGE, RW, MAP_SHARED, ro, 0) == MAP_FAILED && errno == EACCES);
	p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, ro, 0);
	CHECK(p != MAP_FAILED && p[1] == 'b');
	CHECK(mprotect(p, PAGE, RW) == -1 && errno == EACCES);
	IN_CHILD(CHECK(mprotect(p, PAGE, RW) == -1 && errno == EACCES && p[2] == 'c'));
	CHECK(pwrite(fd, "x", 1, 1) == 1 && p[1] == 'x');
	CHECK(fault_of(p, 1) == SIGSEGV);
}

static void t_file_truncated(void)
{
	int fd = file_of(4);
	char *p = mmap(NULL, 4 * PAGE, RW, MAP_SHARED, fd, 0);

	CHECK(p != MAP_FAILED && p[3 * PAGE] == 'd');
	CHECK(!ftruncate(fd, PAGE));
	CHECK(p[0] == 'a' && fault_of(p + 3 * PAGE, 0) == SIGBUS);
	IN_CHILD(CHECK(fault_of(p + PAGE, 1) == SIGBUS && p[0] == 'a'));
	CHECK(!ftruncate(fd, 4 * PAGE) && p[3 * PAGE] == 0);
}

/* Two mappings of one file, made by each for itself, are one memory to futexes as well. */
static void t_file_semaphore(void)
{
	char name[] = "rs-mm-XXXXXX";
	int fd = mkstemp(name);
	sem_t *a, *b;
	pid_t pid;

	CHECK(fd >= 0 && !ftruncate(fd, 4 * PAGE));
	a = (sem_t *)(mmap(NULL, 2 * PAGE, RW, MAP_SHARED, fd, PAGE) + 64);
	CHECK(!sem_init(a, 1, 0) && !sem_init(a + 1, 1, 0));
	pid = start();
	if (!pid) {
		int other = open(name, O_RDWR);

		munmap((char *)a - 64, 2 * PAGE);
		b = (sem_t *)(mmap(NULL, 3 * PAGE, RW, MAP_SHARED, other, 0) + PAGE + 64);
		for (int i = 0; i < 200; i++)
			CHECK(!sem_wait(b) && !sem_post(b + 1));
		_exit(0);
	}
	for (int i = 0; i < 200; i++)
		CHECK(!sem_post(a) && !sem_wait(a + 1));
	finish(pid);
	CHECK(!unlink(name));
}

static void t_memfd(void)
{
	int fd = memfd_create("rs-mm", MFD_CLOEXEC);
	char *p, *q, c;

	CHECK(fd >= 0 && !ftruncate(fd, 3 * PAGE));
	p = mmap(NULL, 3 * PAGE, RW, MAP_SHARED, fd, 0);
	q = mmap(NULL, 3 * PAGE, RW, MAP_PRIVATE, fd, 0);
	CHECK(p != MAP_FAILED && q != MAP_FAILED && p[PAGE] == 0);
	IN_CHILD(p[PAGE] = 'm');
	CHECK(p[PAGE] == 'm' && q[PAGE] == 'm' && pread(fd, &c, 1, PAGE) == 1 && c == 'm');
	q[PAGE] = 'n';
	CHECK(p[PAGE] == 'm' && fcntl(fd, F_GETFD) == FD_CLOEXEC);
	CHECK(write(fd, "hello", 5) == 5 && !memcmp(p, "hello", 5));
}

static void t_msync(void)
{
	int fd = file_of(3);
	char *p = mmap(NULL, 3 * PAGE, RW, MAP_SHARED, fd, 0);

	CHECK(p != MAP_FAILED);
	p[0] = 'S';
	CHECK(!msync(p, 3 * PAGE, MS_SYNC) && !msync(p, PAGE, MS_ASYNC) && !msync(p, PAGE, MS_INVALIDATE | MS_SYNC));
	CHECK(msync(p, PAGE, MS_SYNC | MS_ASYNC) == -1 && errno == EINVAL);
	CHECK(msync(p + 1, PAGE, MS_SYNC) == -1 && errno == EINVAL);
	CHECK(!munmap(p + PAGE, PAGE));
	CHECK(msync(p, 3 * PAGE, MS_SYNC) == -1 && errno == ENOMEM);
	IN_CHILD(CHECK(!msync(p, PAGE, MS_SYNC)));
}

static void t_mincore(void)
{
	char *p = map(4, RW, PRIVATE), *s = map(4, RW, SHARED);
	unsigned char v[4];

	p[PAGE] = 1;
	CHECK(!mincore(p, 4 * PAGE, v) && !(v[0] & 1) && v[1] & 1 && !(v[2] & 1));
	IN_CHILD(({
		CHECK(!mincore(p, 4 * PAGE, v) && v[1] & 1 && !(v[2] & 1));
		p[2 * PAGE] = 1;
		s[3 * PAGE] = 1;
		CHECK(!mincore(p, 4 * PAGE, v) && v[2] & 1);
	}));
	CHECK(!mincore(p, 4 * PAGE, v) && !(v[2] & 1));
	CHECK(!mincore(s, 4 * PAGE, v) && v[3] & 1 && !(v[2] & 1));	/* the child has touched it */
	CHECK(mincore(p + 1, PAGE, v) == -1 && errno == EINVAL);
	CHECK(!munmap(p + 2 * PAGE, PAGE));
	CHECK(mincore(p, 4 * PAGE, v) == -1 && errno == ENOMEM);
	CHECK(mincore(p, PAGE, NULL) == -1 && errno == EFAULT);
}

static void t_mlock(void)
{
	char *p = map(8, RW, PRIVATE), *n = map(1, PROT_NONE, PRIVATE);
	unsigned char v[8];

	CHECK(!mlock(p + PAGE, 2 * PAGE) && !mincore(p, 8 * PAGE, v));
	CHECK(!(v[0] & 1) && v[1] & 1 && v[2] & 1 && !(v[3] & 1));
	CHECK(!munlock(p, 8 * PAGE));
	CHECK(!syscall(SYS_mlock2, p + 4 * PAGE, PAGE, 1) && !mincore(p, 8 * PAGE, v) && !(v[4] & 1));
	CHECK(syscall(SYS_mlock2, p, PAGE, 4) == -1 && errno == EINVAL);
	CHECK(mlock(n, PAGE) == -1 && errno == ENOMEM);
	CHECK(!munmap(p + 6 * PAGE, PAGE) && mlock(p, 8 * PAGE) == -1 && errno == ENOMEM);
	CHECK(munlock(p, 8 * PAGE) == -1 && errno == ENOMEM);
	CHECK(mlockall(0) == -1 && errno == EINVAL);
	CHECK(!mlockall(MCL_CURRENT) && !mincore(p, 6 * PAGE, v) && v[0] & 1 && v[5] & 1);
	IN_CHILD(p[0] = 1);
	CHECK(p[0] == 0 && !munlockall());
}

static void t_populate(void)
{
	char *p = map(4, RW, PRIVATE | MAP_POPULATE), *s = map(4, RW, SHARED | MAP_POPULATE);
	unsigned char v[4];

	CHECK(!mincore(p, 4 * PAGE, v) && v[0] & v[1] & v[2] & v[3] & 1);
	CHECK(!mincore(s, 4 * PAGE, v) && v[0] & v[1] & v[2] & v[3] & 1);
	IN_CHILD(p[0] = s[0] = 1);
	CHECK(p[0] == 0 && s[0] == 1);
}

/* --- one address space, two processes --------------------------------------------------------------------------------- */

static volatile char *vfork_area;

static void t_vfork_unmaps(void)
{
	static volatile int done;
	char *p = map(4, RW, PRIVATE);
	pid_t pid;

	vfork_area = p;
	memset(p, 1, 4 * PAGE);
	pid = vfork();
	CHECK(pid >= 0);
	if (!pid) {
		munmap((char *)vfork_area + PAGE, PAGE);
		vfork_area[0] = 9;
		done = mmap((char *)vfork_area + 2 * PAGE, PAGE, PROT_READ, PRIVATE | MAP_FIXED, -1, 0) != MAP_FAILED;
		_exit(0);
	}
	finish(pid);
	CHECK(done && p[0] == 9 && fault_of(p + PAGE, 0) == SIGSEGV && p[2 * PAGE] == 0 && fault_of(p + 2 * PAGE, 1) == SIGSEGV);
	CHECK(p[3 * PAGE] == 1);
}

static char clone_stack[64 * 1024] __attribute__((aligned(16)));
static struct turn clone_go, clone_done;

static int sharer(void *arg)
{
	char *p = arg;

	turn_wait(&clone_go);
	if (p[PAGE] != 3)
		return 1;
	munmap(p + PAGE, PAGE);
	p[0] = 4;
	turn_give(&clone_done);
	return 0;
}

/* CLONE_VM alone: both run at the same time. */
static void t_clone_vm(void)
{
	char *p = map(4, RW, PRIVATE);
	pid_t pid;

	turn_init(&clone_go);
	turn_init(&clone_done);
	pid = clone(sharer, clone_stack + sizeof(clone_stack), CLONE_VM | SIGCHLD, p);
	CHECK(pid > 0);
	p[PAGE] = 3;
	IN_CHILD(CHECK(p[PAGE] == 3));		/* a copy of what two processes share */
	turn_give(&clone_go);
	turn_wait(&clone_done);
	CHECK(p[0] == 4 && fault_of(p + PAGE, 0) == SIGSEGV);
	finish(pid);
}

/* --- several threads -------------------------------------------------------------------------------------------------- */

#define CHURN 200

static void *churn(void *arg)
{
	unsigned long k = (unsigned long)arg;

	for (int i = 0; i < CHURN; i++) {
		char *p = map(8, RW, PRIVATE);

		memset(p, (int)k, 8 * PAGE);
		CHECK(!mprotect(p + PAGE, PAGE, PROT_READ));
		for (int j = 0; j < 8; j++)
			CHECK(p[j * PAGE] == (char)k);
		CHECK(!munmap(p, 8 * PAGE));
	}
	return NULL;
}

static void t_threads_map_while_forking(void)
{
	char *p = map(64, RW, PRIVATE);
	pthread_t t[3];

	for (unsigned long i = 0; i < 3; i++)
		CHECK(!pthread_create(&t[i], NULL, churn, (void *)(i + 1)));
	for (int i = 0; i < 40; i++) {
		memset(p, i, 64 * PAGE);
		IN_CHILD(({
			for (int j = 0; j < 64; j++)
				CHECK(p[j * PAGE] == (char)i);
			memset(p, 99, 64 * PAGE);
		}));
		for (int j = 0; j < 64; j++)
			CHECK(p[j * PAGE] == (char)i);
	}
	for (int i = 0; i < 3; i++)
		CHECK(!pthread_join(t[i], NULL));
}

/* --- a page that the host writes into, while the process forks ---------------------------------------------------------- */

struct reading {
	int fd;
	char *buf;
	size_t len;
	ssize_t got;
	int vector;
	pid_t tid;
};

static void *reader(void *arg)
{
	struct reading *r = arg;
	struct iovec v[2] = { { r->buf, r->len / 2 }, { r->buf + r->len / 2, r->len - r->len / 2 } };

	__atomic_store_n(&r->tid, (pid_t)syscall(SYS_gettid), __ATOMIC_SEQ_CST);
	r->got = r->vector ? readv(r->fd, v, 2) : read(r->fd, r->buf, r->len);
	return NULL;
}

/*
 * Is it sleeping in its call? Where /proc tells, that; in the ring a thread that waits in the host on a CPU of its own counts as running, so
 * then a while of looking must do. If it is not there yet, what follows must hold all the same.
 */
static void wait_until_blocked(struct reading *r)
{
	char path[64], text[512], *state;
	ssize_t n;
	int fd;

	while (!__atomic_load_n(&r->tid, __ATOMIC_SEQ_CST))
		sched_yield();
	for (int i = 0; i < 1000; i++) {
		snprintf(path, sizeof(path), "/proc/self/task/%d/stat", r->tid);
		fd = open(path, O_RDONLY);
		if (fd < 0) {
			for (i = 0; i < 100; i++)
				sched_yield();
			return;
		}
		n = read(fd, text, sizeof(text) - 1);
		close(fd);
		CHECK(n > 0);
		text[n] = 0;
		state = strrchr(text, ')');
		if (state && state[2] == 'S')
			return;
		sched_yield();
	}
}

/*
 * @pages: the buffer, whose every page has been written. @forks children are made while the reader sleeps; the parent writes beside the
 * buffer's bytes after that, which copies what is shared.
 */
static void host_write(size_t pages, int vector, int forks, int mark)
{
	char *p = map(pages + 2, RW, PRIVATE), *data = map(pages, RW, PRIVATE);
	size_t len = pages * PAGE - 200;
	struct turn go[4];
	struct reading r = { .buf = p + PAGE + 100, .len = len, .vector = vector };
	pid_t pid[4];
	pthread_t t;
	int s[2];

	memset(p, 'o', (pages + 2) * PAGE);
	for (size_t i = 0; i < len; i++)
		data[i] = (char)(i * 7 + (i >> 8) + 1);
	CHECK(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s));
	r.fd = s[0];
	if (mark)
		CHECK(!madvise(p + PAGE, PAGE, mark));
	CHECK(!pthread_create(&t, NULL, reader, &r));
	wait_until_blocked(&r);
	for (int i = 0; i < forks; i++) {
		turn_init(&go[i]);
		pid[i] = start();
		if (pid[i])
			continue;
		turn_wait(&go[i]);
		for (size_t k = mark ? PAGE - 100 : 0; k < len; k++)
			CHECK(r.buf[k] == 'o');
		if (mark == MADV_WIPEONFORK)
			CHECK(r.buf[0] == 0);
		memset(p + 2 * PAGE, 'c', PAGE);
		_exit(0);
	}
	p[PAGE] = 'P';				/* beside the buffer, in its first page */
	CHECK(write(s[1], data, len) == (ssize_t)len);
	CHECK(!pthread_join(t, NULL));
	CHECK(r.got == (ssize_t)len && !memcmp(r.buf, data, len));
	CHECK(p[PAGE] == 'P' && p[PAGE + 99] == 'o' && p[0] == 'o');
	for (int i = 0; i < forks; i++) {
		turn_give(&go[i]);
		finish(pid[i]);
	}
	CHECK(!memcmp(r.buf, data, len));
	close(s[0]), close(s[1]);
}

static void t_host_write_while_forking(void) { host_write(1, 0, 1, 0); }
static void t_host_write_of_many_pages(void) { host_write(9, 0, 2, 0); }
static void t_host_write_in_pieces(void) { host_write(5, 1, 3, 0); }
static void t_host_write_dontfork(void) { host_write(2, 0, 2, MADV_DONTFORK); }
static void t_host_write_wipeonfork(void) { host_write(2, 0, 2, MADV_WIPEONFORK); }

static struct reading vm_reading;

static int vm_reader(void *arg)
{
	(void)arg;
	reader(&vm_reading);
	return vm_reading.got != 3;
}

/* The reader is another process in the same address space. */
static void t_host_write_of_a_sharer(void)
{
	char *p = map(1, RW, PRIVATE);
	struct turn go;
	pid_t other, pid;
	int s[2];

	p[0] = 'o';
	CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	vm_reading = (struct reading){ .fd = s[0], .buf = p, .len = 3 };
	other = clone(vm_reader, clone_stack + sizeof(clone_stack), CLONE_VM | SIGCHLD, NULL);
	CHECK(other > 0);
	while (!__atomic_load_n(&vm_reading.tid, __ATOMIC_SEQ_CST))
		sched_yield();
	for (int i = 0; i < 100; i++)
		sched_yield();
	turn_init(&go);
	pid = start();
	if (!pid) {
		turn_wait(&go);
		CHECK(p[0] == 'o');
		_exit(0);
	}
	p[100] = 'P';
	CHECK(write(s[1], "new", 3) == 3);
	finish(other);
	CHECK(!memcmp(p, "new", 3));
	turn_give(&go);
	finish(pid);
}

/* --- somebody outside ------------------------------------------------------------------------------------------------- */

/*
 * Beside this one another instance runs natively on the same file: the two take turns by the file's bytes, which each sees in its own mapping.
 * Word 0 is whose turn it is; both add to word 1, at other pages as well.
 */
#define ROUNDS	50

static int outside(const char *name, int me)
{
	volatile unsigned int *p;
	int fd = open(name, O_RDWR);

	if (fd < 0)
		return 1;
	p = mmap(NULL, 16 * PAGE, RW, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return 1;
	for (unsigned int i = 0; i < ROUNDS; i++) {
		volatile unsigned int *q = p + (1 + i % 15) * (PAGE / sizeof(*p));

		while (__atomic_load_n(&p[0], __ATOMIC_ACQUIRE) != 2 * i + me)
			sched_yield();
		if (p[1] != 2 * i + me || (me && *q != i))
			return 1;
		p[1]++;
		*q = me ? ~i : i;
		__atomic_store_n(&p[0], 2 * i + me + 1, __ATOMIC_RELEASE);
	}
	return 0;
}

/* --- no memory ---------------------------------------------------------------------------------------------------------- */

/*
 * A tree of processes that touches more than there is: those that fault when nothing is left die, of SIGKILL, the others find what they
 * wrote, and their parents are not harmed. What is left at the end is as much as before: the next tree begins with it. Only for a ring with
 * little memory, less than LEAVES * LEAF bytes. Prints how many have died and how many found everything right.
 */
#define TREES	3
#define LEAVES	8
#define LEAF	(6UL << 20)

static unsigned int *results;	/* shared: leaves that found everything right */
static struct turn exhaust_go, exhaust_end;

static void leaf(void)
{
	unsigned char *p;

	turn_wait(&exhaust_go);
	p = (unsigned char *)map(LEAF / PAGE, RW, PRIVATE);
	for (size_t i = 0; i < LEAF; i += PAGE)
		p[i] = (unsigned char)(i >> 12) ^ (unsigned char)getpid();
	for (size_t i = 0; i < LEAF; i += PAGE)
		CHECK(p[i] == (unsigned char)((i >> 12) ^ (size_t)getpid()));
	__atomic_add_fetch(results, 1, __ATOMIC_SEQ_CST);
	/* holds it until all are done or dead */
	turn_wait(&exhaust_end);
	_exit(0);
}

/* One tree; how many leaves have died. */
static unsigned int tree(void)
{
	unsigned int alive = LEAVES;
	int status = 0;

	for (int i = 0; i < LEAVES; i++)
		if (!start())
			leaf();
	for (int i = 0; i < LEAVES; i++)
		turn_give(&exhaust_go);
	while (__atomic_load_n(results, __ATOMIC_SEQ_CST) < alive) {
		if (waitpid(-1, &status, WNOHANG) > 0) {
			CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
			alive--;
		}
		sched_yield();
	}
	for (unsigned int i = 0; i < alive; i++)
		turn_give(&exhaust_end);
	for (unsigned int i = 0; i < alive; i++)
		CHECK(wait(&status) > 0 && !status);
	return LEAVES - alive;
}

static int exhaust(void)
{
	unsigned int died = 0, right = 0;
	int status;

	results = (unsigned int *)map(1, RW, SHARED);
	for (int n = 0; n < TREES; n++) {
		pid_t pid;

		*results = 0;
		turn_init(&exhaust_go);
		turn_init(&exhaust_end);
		pid = start();
		if (!pid)
			_exit(100 + (int)tree());
		CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) >= 100);
		died += WEXITSTATUS(status) - 100;
		right += *results;
	}
	printf("died %u right %u of %u\n", died, right, TREES * LEAVES);
	return 0;
}

/* Forks until that fails, or until it or the new child dies of its next write. The children live until their end of the pipe says that it is over. */
struct forks {
	volatile unsigned int made, waiting, died;
};

/*
 * Each child has touched what it touches before the next is made, or how many there can be would hang on when the scheduler let
 * them run.
 */
static void fork_without_end(struct forks *n, struct turn *t)
{
	int status;

	for (;;) {
		unsigned int before = n->waiting;
		pid_t pid = fork();

		if (!pid) {
			char c;

			close(t->fd[1]);
			n->waiting++;
			_exit(read(t->fd[0], &c, 1) ? 1 : 0);
		}
		if (pid < 0)
			_exit(errno == ENOMEM || errno == EAGAIN ? 0 : 1);
		n->made++;
		while (n->waiting == before) {
			if (waitpid(pid, &status, WNOHANG) == pid) {
				CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
				n->died++;
				/* What it had is free again: the next one would get as far, and so on without end. */
				_exit(0);
			}
			sched_yield();
		}
	}
}

/*
 * Twice: the second time there must be as much room as the first time, but for who it is that has the last page, and what
 * there is besides at that moment.
 */
static int exhaust_forks(void)
{
	struct forks *forks = (struct forks *)map(1, RW, SHARED);
	unsigned int died = 0, first = 0;
	int status;

	for (int n = 0; n < 2; n++) {
		struct turn t;
		pid_t pid;

		first = forks->made;
		*forks = (struct forks){ 0 };
		turn_init(&t);
		pid = start();
		if (!pid)
			fork_without_end(forks, &t);
		close(t.fd[0]), close(t.fd[1]);
		/* the one that forks, then its children, whose parent we are now */
		while (waitpid(-1, &status, 0) > 0) {
			CHECK(!status || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
			died += !!status;
		}
		died += forks->died;
	}
	if (forks->made < first - first / 10 || forks->made > first + first / 10)
		printf("# made %u, then %u\n", first, forks->made);
	CHECK(forks->made > 100 && forks->made >= first - first / 10 && forks->made <= first + first / 10);
	printf("made %u and %u, died %u\n", first, forks->made, died);
	return 0;
}

/* ------------------------------------------------------------------------------------------------------------------------ */

static const struct { const char *name; void (*run)(void); } cases[] = {
#define T(f) { #f, t_##f }
	T(cow_both_ways), T(untouched_after_fork), T(generations), T(mprotect_after_fork), T(mprotect_splits), T(unmap_in_child),
	T(dontneed_after_fork), T(mremap_after_fork), T(brk_after_fork), T(stack_after_fork), T(guard), T(dontfork), T(wipeonfork),
	T(marks_of_large_areas), T(shared_over_fork), T(shared_mprotect), T(shared_pieces), T(shared_duplicate), T(shared_survives_unmap),
	T(random_calls),
	T(dontunmap), T(noreplace), T(file_grows), T(private_file_grows), T(memfd_sealed),
	T(file_shrinks_and_returns), T(file_shared_by_processes), T(file_private_sees_file),
	T(file_readonly), T(file_truncated), T(file_semaphore),
	T(memfd), T(msync), T(mincore), T(mlock), T(populate), T(vfork_unmaps), T(clone_vm),
	T(threads_map_while_forking), T(host_write_while_forking), T(host_write_of_many_pages), T(host_write_in_pieces),
	T(host_write_dontfork), T(host_write_wipeonfork), T(host_write_of_a_sharer),
};

int main(int argc, char **argv)
{
	size_t n = sizeof(cases) / sizeof(cases[0]);
	int failed = 0;

	if (argc == 3 && !strncmp(argv[1], "outside-", 8))
		return outside(argv[2], !strcmp(argv[1], "outside-reader"));
	if (argc == 2 && !strcmp(argv[1], "exhaust"))
		return exhaust();
	if (argc == 2 && !strcmp(argv[1], "exhaust-forks"))
		return exhaust_forks();
	printf("TAP version 13\n");
	if (argc == 1)
		printf("1..%zu\n", n);
	fflush(stdout);
	for (size_t i = 0; i < n; i++) {
		int status = -1;
		pid_t pid;

		if (argc == 2 && strcmp(argv[1], cases[i].name))
			continue;
		pid = fork();
		if (!pid) {
			cases[i].run();
			_exit(0);
		}
		if (pid < 0 || waitpid(pid, &status, 0) != pid)
			status = -1;
		if (status)
			printf("# wait status %#x\n", status);
		printf("%s %zu %s\n", status ? "not ok" : "ok", i + 1, cases[i].name);
		fflush(stdout);
		failed |= status;
	}
	return !!failed;
}
