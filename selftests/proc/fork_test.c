// SPDX-License-Identifier: MIT
/*
 * fork_test.c - memory and processes after fork, vfork, clone and clone3
 *
 * Every kind of memory is filled, forked, and written on both sides in both orders; what each side must
 * see is what the other has not written. The tests at the end make many processes.
 */
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <linux/sched.h>
#include <pthread.h>
#include "proc.h"

static void fill(unsigned char *p, size_t n, unsigned int seed)
{
	for (size_t i = 0; i < n; i++)
		*(uint64_t *)(p + i * PAGE + 8) = i * 2654435761u + seed;
}

static bool holds(const unsigned char *p, size_t n, unsigned int seed)
{
	for (size_t i = 0; i < n; i++)
		if (*(const uint64_t *)(p + i * PAGE + 8) != i * 2654435761u + seed)
			return false;
	return true;
}

/* Child and parent write in turn, each sees its own; the child begins when @child_first. */
static void check_private(unsigned char *p, size_t n, bool child_first)
{
	struct gate to_child = gate_make(), to_parent = gate_make();
	pid_t pid;

	fill(p, n, 1);
	pid = CHILD({
		if (!child_first)
			gate_wait(to_child);
		EXPECT(holds(p, n, 1));
		fill(p, n, 2);
		EXPECT(holds(p, n, 2));
		gate_open(to_parent);
		gate_wait(to_child);
		EXPECT(holds(p, n, 2));
	});
	if (child_first)
		gate_wait(to_parent);
	EXPECT(holds(p, n, 1));
	fill(p, n, 3);
	gate_open(to_child);
	if (!child_first) {
		gate_wait(to_parent);
		gate_open(to_child);
	}
	EXPECT(holds(p, n, 3));
	EXITS(pid, 0);
	EXPECT(holds(p, n, 3));
	gate_close(to_child);
	gate_close(to_parent);
}

TEST(private_memory)
{
	unsigned char *p = private_pages(600);

	check_private(p, 600, true);
	check_private(p, 600, false);
	SYS(munmap(p, 600 * PAGE));
}

TEST(heap_and_stack)
{
	unsigned char on_stack[8 * PAGE], *heap = sbrk(64 * PAGE);
	unsigned char *p = (void *)(((uintptr_t)on_stack + PAGE - 1) & -PAGE);

	ASSERT(heap != (void *)-1);
	check_private(p, 6, true);
	check_private(p, 6, false);
	check_private((void *)(((uintptr_t)heap + PAGE - 1) & -PAGE), 60, true);
	/* the child's break is its own */
	EXITS(CHILD({
		EXPECT(sbrk(16 * PAGE) == heap + 64 * PAGE);
		memset(heap + 64 * PAGE, 1, 16 * PAGE);
	}), 0);
	EXPECT(sbrk(0) == heap + 64 * PAGE);
}

static unsigned char in_data[4 * PAGE] __attribute__((aligned(PAGE))) = { 1 };
static unsigned char in_bss[4 * PAGE] __attribute__((aligned(PAGE)));

TEST(data_and_bss)
{
	check_private(in_data, 4, true);
	check_private(in_bss, 4, true);
	check_private(in_data, 4, false);
}

TEST(memory_first_touched_after_fork)
{
	unsigned char *p = private_pages(64);

	EXITS(CHILD({
		for (int i = 0; i < 64; i++)
			EXPECT_EQ(p[i * PAGE], 0);
		fill(p, 64, 9);
		EXPECT(holds(p, 64, 9));
	}), 0);
	for (int i = 0; i < 64; i++)
		EXPECT_EQ(*(uint64_t *)(p + i * PAGE + 8), 0);
	fill(p, 64, 3);
	EXPECT(holds(p, 64, 3));
}

TEST(zero_page)
{
	unsigned char *p = private_pages(64);
	unsigned int sum = 0;

	/* read only: what is mapped now is nobody's own page */
	for (int i = 0; i < 64; i++)
		sum += p[i * PAGE];
	EXPECT_EQ(sum, 0);
	EXITS(CHILD({
		p[5 * PAGE] = 1;
		EXPECT_EQ(p[6 * PAGE], 0);
		EXITS(CHILD({ EXPECT_EQ(p[5 * PAGE], 1); p[6 * PAGE] = 2; }), 0);
		EXPECT_EQ(p[6 * PAGE], 0);
	}), 0);
	EXPECT_EQ(p[5 * PAGE], 0);
	p[5 * PAGE] = 7;
	EXPECT_EQ(p[4 * PAGE] + p[6 * PAGE], 0);
	/* another mapping must not have been hit through a page that is shared by all */
	EXPECT_EQ(*(unsigned char *)private_pages(1), 0);
}

TEST(shared_memory)
{
	struct gate to_child = gate_make(), to_parent = gate_make();
	unsigned char *p = shared_pages(80);
	pid_t pid;

	fill(p, 40, 1);		/* the other half is touched only after the fork */
	pid = CHILD({
		EXPECT(holds(p, 40, 1));
		fill(p, 80, 2);
		gate_open(to_parent);
		gate_wait(to_child);
		EXPECT(holds(p, 80, 3));
		EXITS(CHILD(fill(p, 80, 4)), 0);
		EXPECT(holds(p, 80, 4));
	});
	gate_wait(to_parent);
	EXPECT(holds(p, 80, 2));
	fill(p, 80, 3);
	gate_open(to_child);
	EXITS(pid, 0);
	EXPECT(holds(p, 80, 4));
}

/* Private and shared pages in turn, so that the same tables hold both. */
TEST(private_between_shared)
{
	unsigned char *p = private_pages(64);

	for (int i = 1; i < 64; i += 2)
		ASSERT(mmap(p + i * PAGE, PAGE, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED);
	memset(p, 1, 64 * PAGE);
	EXITS(CHILD(memset(p, 2, 64 * PAGE)), 0);
	for (int i = 0; i < 64; i++)
		EXPECT_EQ(p[i * PAGE + 100], i % 2 ? 2 : 1);
	memset(p, 3, 64 * PAGE);
	EXITS(CHILD({
		for (int i = 0; i < 64; i++)
			EXPECT_EQ(p[i * PAGE + 4095], 3);
	}), 0);
}

static unsigned char file_data[16 * PAGE];

TEST(private_file_mapping)
{
	unsigned char *p, c;
	int fd;

	memset(file_data, 'f', sizeof(file_data));
	fd = scratch_file(file_data, sizeof(file_data));
	p = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	ASSERT(p != MAP_FAILED);
	p[0] = 'p';			/* 0: copied before, 1: read before, 2..: not touched */
	EXPECT_EQ(p[PAGE], 'f');
	EXITS(CHILD({
		EXPECT_EQ(p[0], 'p');
		for (int i = 0; i < 8; i++)
			p[i * PAGE] = 'c';
		EXPECT_EQ(p[3 * PAGE] + p[3 * PAGE + 1], 'c' + 'f');
	}), 0);
	EXPECT_EQ(p[0], 'p');
	for (int i = 1; i < 16; i++)
		EXPECT_EQ(p[i * PAGE], 'f');
	for (int i = 0; i < 16; i++) {
		ASSERT_EQ(pread(fd, &c, 1, i * PAGE), 1);
		EXPECT_EQ(c, 'f');
	}
}

TEST(shared_file_mapping)
{
	unsigned char *p, c;
	int fd;

	memset(file_data, 'f', sizeof(file_data));
	fd = scratch_file(file_data, sizeof(file_data));
	p = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT(p != MAP_FAILED);
	p[0] = 'p';
	EXITS(CHILD({
		EXPECT_EQ(p[0], 'p');
		p[0] = 'c';
		p[9 * PAGE] = 'c';
		ASSERT_EQ(pwrite(fd, "w", 1, 12 * PAGE), 1);
	}), 0);
	EXPECT_EQ(p[0], 'c');
	EXPECT_EQ(p[9 * PAGE], 'c');
	EXPECT_EQ(p[12 * PAGE], 'w');
	ASSERT_EQ(pread(fd, &c, 1, 9 * PAGE), 1);
	EXPECT_EQ(c, 'c');
}

TEST(memfd_shared_after_fork)
{
	int fd = SYS(memfd_create("shared", MFD_CLOEXEC));
	unsigned char *p;

	SYS(ftruncate(fd, 4 * PAGE));
	p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT(p != MAP_FAILED);
	EXITS(CHILD({
		unsigned char *q = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

		ASSERT(q != MAP_FAILED);
		q[0] = 1;
		p[PAGE] = 2;
		EXPECT_EQ(p[0] + q[PAGE], 3);
	}), 0);
	EXPECT_EQ(p[0], 1);
	EXPECT_EQ(p[PAGE], 2);
}

TEST(large_pages)
{
	unsigned char *all = private_pages(5 * 512), *p;

	p = (void *)(((uintptr_t)all + 2 * MIB - 1) & -(2 * MIB));
	madvise(p, 8 * MIB, MADV_HUGEPAGE);	/* where there is none, they are small pages */
	fill(p, 4 * 512, 1);
	EXITS(CHILD({
		EXPECT(holds(p, 4 * 512, 1));
		p[3 * MIB + 12] = 99;		/* breaks one page out of the second 2 MiB */
		EXPECT(holds(p, 512, 1) && holds(p + 4 * MIB, 0, 1));
		SYS(munmap(p + 2 * MIB + 64 * PAGE, 100 * PAGE));
		EXPECT_EQ(dies_by(touch_read, (char *)p + 2 * MIB + 64 * PAGE), SIGSEGV);
		EXPECT_EQ(dies_by(touch_read, (char *)p + 2 * MIB + 63 * PAGE), 0);
		SYS(mprotect(p + 4 * MIB, 7 * PAGE, PROT_READ));
		EXPECT_EQ(dies_by(touch_write, (char *)p + 4 * MIB + 6 * PAGE), SIGSEGV);
		EXPECT_EQ(dies_by(touch_write, (char *)p + 4 * MIB + 7 * PAGE), 0);
	}), 0);
	EXPECT(holds(p, 4 * 512, 1));
	check_private(p, 4 * 512, true);
}

TEST(read_only_stays_so)
{
	unsigned char *p = private_pages(8);

	memset(p, 5, 8 * PAGE);
	SYS(mprotect(p, 4 * PAGE, PROT_READ));
	EXPECT_EQ(dies_by(touch_write, (char *)p), SIGSEGV);
	EXPECT_EQ(dies_by(touch_write, (char *)p + 4 * PAGE), 0);
	EXITS(CHILD({
		EXPECT_EQ(p[0], 5);
		SYS(mprotect(p, PAGE, PROT_READ | PROT_WRITE));
		p[0] = 6;
		EXPECT_EQ(dies_by(touch_write, (char *)p + PAGE), SIGSEGV);
		SYS(mprotect(p + 5 * PAGE, PAGE, PROT_NONE));
		EXPECT_EQ(dies_by(touch_read, (char *)p + 5 * PAGE), SIGSEGV);
	}), 0);
	EXPECT_EQ(p[0], 5);
	EXPECT_EQ(p[5 * PAGE], 5);
	EXPECT_EQ(dies_by(touch_write, (char *)p), SIGSEGV);
	SYS(mprotect(p, 4 * PAGE, PROT_READ | PROT_WRITE));
	p[PAGE] = 7;
	EXITS(CHILD(EXPECT_EQ(p[PAGE], 7)), 0);
}

/* Protected, forked, made writable on one side: the page must be copied although no fault saw it so. */
TEST(writable_again_after_fork)
{
	struct gate go = gate_make();
	unsigned char *p = private_pages(4);
	pid_t pid;

	memset(p, 1, 4 * PAGE);
	SYS(mprotect(p, 4 * PAGE, PROT_READ));
	pid = CHILD({
		gate_wait(go);
		EXPECT_EQ(p[0], 1);
		SYS(mprotect(p, 4 * PAGE, PROT_READ | PROT_WRITE));
		p[PAGE] = 3;
	});
	SYS(mprotect(p, 4 * PAGE, PROT_READ | PROT_WRITE));
	p[0] = 2;
	gate_open(go);
	EXITS(pid, 0);
	EXPECT_EQ(p[PAGE], 1);
}

TEST(code_written_then_forked)
{
	static const unsigned char returns_42[] = { 0xb8, 42, 0, 0, 0, 0xc3 };
	unsigned char *p = private_pages(1);
	int (*fn)(void) = (int (*)(void))(uintptr_t)p;

	memcpy(p, returns_42, sizeof(returns_42));
	SYS(mprotect(p, PAGE, PROT_READ | PROT_EXEC));
	EXITS(CHILD({
		EXPECT_EQ(fn(), 42);
		SYS(mprotect(p, PAGE, PROT_READ | PROT_WRITE));
		p[1] = 43;
		SYS(mprotect(p, PAGE, PROT_READ | PROT_EXEC));
		EXPECT_EQ(fn(), 43);
	}), 0);
	EXPECT_EQ(fn(), 42);
}

TEST(unmapping_is_private)
{
	struct gate go = gate_make();
	unsigned char *p = private_pages(32), *s = shared_pages(32);
	pid_t pid;

	fill(p, 32, 1);
	fill(s, 32, 1);
	EXITS(CHILD({
		SYS(munmap(p, 16 * PAGE));
		SYS(munmap(s, 16 * PAGE));
		ASSERT(mmap(p + 20 * PAGE, PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED);
		EXPECT_EQ(p[20 * PAGE + 8], 0);
	}), 0);
	EXPECT(holds(p, 32, 1));
	EXPECT(holds(s, 32, 1));
	pid = CHILD({
		gate_wait(go);
		EXPECT(holds(p, 32, 1));
		EXPECT(holds(s, 32, 1));
	});
	SYS(munmap(p, 32 * PAGE));
	SYS(munmap(s, 32 * PAGE));
	gate_open(go);
	EXITS(pid, 0);
}

TEST(mremap_after_fork)
{
	unsigned char *p = private_pages(64);

	fill(p, 64, 1);
	EXITS(CHILD({
		unsigned char *q = mremap(p, 32 * PAGE, 512 * PAGE, MREMAP_MAYMOVE);

		ASSERT(q != MAP_FAILED);
		EXPECT(holds(q, 32, 1));
		EXPECT_EQ(q[400 * PAGE], 0);
		fill(q, 512, 5);
		EXPECT(holds(q, 512, 5));
	}), 0);
	EXPECT(holds(p, 64, 1));
}

TEST(madvise_after_fork)
{
	unsigned char *p = private_pages(32);

	fill(p, 32, 1);
	EXITS(CHILD({
		SYS(madvise(p, 16 * PAGE, MADV_DONTNEED));
		EXPECT_EQ(p[8], 0);
		EXPECT_EQ(p[15 * PAGE + 8], 0);
		EXPECT(*(uint64_t *)(p + 16 * PAGE + 8) == 16 * 2654435761ul + 1);
	}), 0);
	EXPECT(holds(p, 32, 1));
}

TEST(madvise_for_fork)
{
	unsigned char *p = private_pages(8);

	memset(p, 1, 8 * PAGE);
	SYS(madvise(p, PAGE, MADV_DONTFORK));
	SYS(madvise(p + 2 * PAGE, PAGE, MADV_WIPEONFORK));
	EXPECT_EQ(dies_by(touch_read, (char *)p), SIGSEGV);
	EXITS(CHILD({
		EXPECT_EQ(p[PAGE], 1);
		EXPECT_EQ(p[2 * PAGE], 0);
		EXPECT_EQ(p[3 * PAGE], 1);
	}), 0);
	EXPECT_EQ(p[0] + p[2 * PAGE], 2);
}

/* The kernel writes into memory that a fork shares. */
TEST(copyout_to_shared_pages)
{
	unsigned char *p = private_pages(16);
	int fd, end[2];

	memset(file_data, 'k', sizeof(file_data));
	fd = scratch_file(file_data, sizeof(file_data));
	memset(p, 'p', 16 * PAGE);
	SYS(pipe(end));
	EXITS(CHILD({
		struct timespec *ts = (void *)(p + 12 * PAGE);
		int *status = (void *)(p + 13 * PAGE);

		ASSERT_EQ(pread(fd, p + PAGE - 10, 20, 0), 20);	/* over a page's end */
		EXPECT(!memcmp(p + PAGE - 11, "pkkkkkkkkkkkkkkkkkkkkp", 22));
		ASSERT_EQ(pread(fd, p + 4 * PAGE, 4 * PAGE, 0), 4 * PAGE);
		ASSERT_EQ(write(end[1], "pipe", 4), 4);
		ASSERT_EQ(read(end[0], p + 10 * PAGE, 4), 4);
		EXPECT(!memcmp(p + 10 * PAGE, "pipep", 5));
		SYS(clock_gettime(CLOCK_REALTIME, ts));
		EXPECT_NE(ts->tv_sec, 0x7070707070707070);
		ASSERT_GE(waitpid(CHILD(_exit(3)), status, 0), 0);
		EXPECT_EQ(*status, 3 << 8);
	}), 0);
	for (size_t i = 0; i < 16 * PAGE; i++)
		if (p[i] != 'p') {
			FAIL("byte %#zx of the parent was written", i);
			break;
		}
	/* and the parent, whose pages are its own again or still shared with a child that waits */
	struct gate go = gate_make();
	pid_t pid = CHILD({
		gate_wait(go);
		for (size_t i = 0; i < 16 * PAGE; i++)
			ASSERT_EQ(p[i], 'p');
	});

	ASSERT_EQ(pread(fd, p, 16 * PAGE, 0), 16 * PAGE);
	gate_open(go);
	EXITS(pid, 0);
	EXPECT_EQ(p[15 * PAGE + 7], 'k');
}

TEST(copyout_to_bad_memory)
{
	unsigned char *p = private_pages(4);
	int fd;

	fd = scratch_file(file_data, 4 * PAGE);
	memset(p, 1, 4 * PAGE);
	SYS(mprotect(p + PAGE, PAGE, PROT_READ));
	SYS(munmap(p + 2 * PAGE, PAGE));
	EXITS(CHILD({
		EXPECT_ERRNO(pread(fd, p + PAGE, 10, 0), EFAULT);
		EXPECT_ERRNO(pread(fd, p + 2 * PAGE, 10, 0), EFAULT);
		EXPECT_ERRNO(pipe((int *)(p + PAGE)), EFAULT);
		EXPECT_ERRNO(write(-1, p, 1), EBADF);
	}), 0);
	EXPECT_EQ(p[PAGE], 1);
}

TEST(nested)
{
	volatile int *p = private_pages(21);
	volatile int *s = shared_pages(1);

	for (int depth = 0; depth < 20; depth++) {
		p[depth * 1024] = depth + 1;
		pid_t pid = SYS(fork());

		if (pid) {
			EXITS(pid, 0);
			for (int i = 0; i < 20; i++)
				EXPECT_EQ(p[i * 1024], i <= depth ? i + 1 : 0);
			if (depth)
				test_leave();
			EXPECT_EQ(s[0], 20);
			return;
		}
		s[0]++;
	}
}

static void tree(volatile unsigned int *p, unsigned int path, int depth)
{
	pid_t kid[2];

	p[depth * 1024] = path;
	if (depth == 6)
		return;
	for (unsigned int i = 0; i < 2; i++)
		kid[i] = CHILD(tree(p, path * 2 + i, depth + 1));
	for (int i = 0; i < 2; i++)
		EXITS(kid[i], 0);
	for (int i = depth; i >= 0; i--, path /= 2)
		EXPECT_EQ(p[i * 1024], path);
	EXPECT_EQ(p[(depth + 1) * 1024], 0);
}

TEST(binary_tree)
{
	tree(private_pages(8), 1, 0);
}

/* Whoever is last to hold a page gets it for writing without a copy; in which order they went must not matter. */
TEST(exit_in_every_order)
{
	volatile unsigned char *p = private_pages(8);
	struct gate go[4];
	pid_t pid[4];

	for (int perm = 0; perm < 24; perm++) {
		int order[4], left[4] = { 0, 1, 2, 3 }, n = perm;

		for (int i = 0; i < 4; i++) {
			int k = n % (4 - i);

			n /= 4 - i;
			order[i] = left[k];
			memmove(left + k, left + k + 1, (3 - k) * sizeof(int));
		}
		for (int i = 0; i < 4; i++) {
			p[0] = i;
			go[i] = gate_make();
			pid[i] = CHILD({
				p[PAGE] = i;
				gate_wait(go[i]);
				EXPECT_EQ(p[0], i);
				EXPECT_EQ(p[PAGE], i);
				p[0] = 100;
				_exit(10 + i);
			});
		}
		for (int i = 0; i < 4; i++) {
			gate_open(go[order[i]]);
			EXITS(pid[order[i]], 10 + order[i]);
			EXPECT_EQ(p[0], 3);
			p[2 * PAGE] = i;
		}
		for (int i = 0; i < 4; i++)
			gate_close(go[i]);
	}
}

/* The generation in between dies first; what it shared is still right for both ends. */
TEST(middle_dies_first)
{
	struct gate go = gate_make(), done = gate_make();
	volatile int *p = private_pages(4), *s = shared_pages(1);

	p[0] = 1;
	EXITS(CHILD({
		p[0] = 2;
		p[1024] = 2;
		if (!SYS(fork())) {
			gate_wait(go);
			s[0] = p[0] * 100 + p[1024];
			p[0] = 3;
			gate_open(done);
			_exit(0);
		}
	}), 0);
	p[1024] = 5;
	gate_open(go);
	gate_wait(done);
	EXPECT_EQ(s[0], 202);
	EXPECT_EQ(p[0], 1);
}

static volatile int keep_running;
static _Atomic int running;
static volatile uint64_t counters[4 * 512] __attribute__((aligned(PAGE)));

static void *counting(void *arg)
{
	volatile uint64_t *mine = arg;

	running++;
	while (keep_running)
		++*mine;
	return NULL;
}

/* Only the thread that calls fork lives on in the child; the others' stores come before the fork or never. */
TEST(fork_while_threads_write)
{
	pthread_t t[3];

	keep_running = 1;
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, counting, (void *)&counters[i * 512]), 0);
	while (running < 3)
		sched_yield();
	for (int i = 0; i < 20; i++) {
		uint64_t before = counters[0];

		EXITS(CHILD({
			uint64_t seen[3];

			for (int k = 0; k < 3; k++)
				seen[k] = counters[k * 512];
			EXPECT_GE(seen[0], before);
			for (int k = 0; k < 20; k++)
				sched_yield();
			for (int k = 0; k < 3; k++) {
				EXPECT_EQ(counters[k * 512], seen[k]);
				counters[k * 512] = 0;
			}
		}), 0);
		EXPECT_GE(counters[0], before);
	}
	keep_running = 0;
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
}

static void *forking(void *arg)
{
	volatile uint64_t *mine = arg;

	for (int i = 0; i < 25; i++) {
		*mine = i;
		EXITS(CHILD({
			EXPECT_EQ(*mine, i);
			EXPECT_EQ(gettid(), getpid());
			*mine = 1000;
		}), 0);
		EXPECT_EQ(*mine, i);
	}
	return NULL;
}

TEST(fork_in_several_threads)
{
	pthread_t t[4];

	for (int i = 0; i < 4; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, forking, (void *)&counters[i * 512 + 8]), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
}

static pthread_mutex_t atfork_order = PTHREAD_MUTEX_INITIALIZER;
static char atfork_log[16];

static void log_add(char c)
{
	atfork_log[strlen(atfork_log)] = c;
}

static void at_prepare(void)
{
	pthread_mutex_lock(&atfork_order);
	log_add('p');
}

static void at_parent(void)
{
	log_add('P');
	pthread_mutex_unlock(&atfork_order);
}

static void at_child(void)
{
	log_add('C');
	pthread_mutex_unlock(&atfork_order);
}

TEST(pthread_atfork_handlers)
{
	ASSERT_EQ(pthread_atfork(at_prepare, at_parent, at_child), 0);
	EXITS(CHILD(EXPECT(!strcmp(atfork_log, "pC"))), 0);
	EXPECT(!strcmp(atfork_log, "pP"));
	EXPECT_EQ(pthread_mutex_trylock(&atfork_order), 0);
}

TEST(ids)
{
	pid_t me = getpid(), pid;
	int *seen = shared_pages(1);

	pid = CHILD({
		seen[0] = getpid();
		seen[1] = getppid();
		seen[2] = gettid();
		seen[3] = getpgrp();
		seen[4] = getsid(0);
	});
	EXPECT_NE(pid, me);
	EXITS(pid, 0);
	EXPECT_EQ(seen[0], pid);
	EXPECT_EQ(seen[1], me);
	EXPECT_EQ(seen[2], pid);
	EXPECT_EQ(seen[3], getpgrp());
	EXPECT_EQ(seen[4], getsid(0));
	EXPECT_EQ(getpid(), me);
}

TEST(inherited_attributes)
{
	umask(031);
	SYS(chdir("/"));
	SYS(prctl(PR_SET_NAME, "a-name"));
	EXITS(CHILD({
		char name[16] = "", cwd[64];

		EXPECT_EQ(umask(0), 031);
		ASSERT(getcwd(cwd, sizeof(cwd)));
		EXPECT(!strcmp(cwd, "/"));
		prctl(PR_GET_NAME, name);
		EXPECT(!strcmp(name, "a-name"));
		SYS(prctl(PR_SET_NAME, "other"));
		EXPECT_EQ(alarm(0), 0);
	}), 0);
	EXPECT_EQ(umask(022), 031);
}

/* A child's descriptors are copies that point to the same open files. */
TEST(descriptors)
{
	int fd = scratch_file("0123456789", 10), end[2];
	char c;

	SYS(pipe(end));
	EXITS(CHILD({
		EXPECT_EQ(lseek(fd, 4, SEEK_SET), 4);
		close(fd);
		SYS(dup2(end[1], 77));
		EXPECT_EQ(write(77, "x", 1), 1);
	}), 0);
	EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 4);
	EXPECT_ERRNO(fcntl(77, F_GETFD), EBADF);
	EXPECT_EQ(read(end[0], &c, 1), 1);
	EXPECT_EQ(c, 'x');
}

TEST(vfork_shares_memory)
{
	volatile int *p = private_pages(1);
	pid_t pid;

	pid = vfork();
	if (!pid) {
		p[0] = 1;		/* seen by the parent, which stands still until then */
		_exit(5);
	}
	ASSERT(pid > 0);
	EXPECT_EQ(p[0], 1);
	EXITS(pid, 5);
}

static int clone_body(void *arg)
{
	volatile int *p = arg;

	p[0] = getpid();
	p[1] = getppid();
	return 9;
}

TEST(clone_vm)
{
	volatile int *p = private_pages(1);
	char *stack = private_pages(16);
	pid_t pid;

	pid = SYS(clone(clone_body, stack + 16 * PAGE, CLONE_VM | SIGCHLD, (void *)p));
	EXITS(pid, 9);
	EXPECT_EQ(p[0], pid);
	EXPECT_EQ(p[1], getpid());
	p[0] = 0;
	pid = SYS(clone(clone_body, stack + 16 * PAGE, CLONE_VM | CLONE_VFORK | SIGCHLD, (void *)p));
	EXPECT_EQ(p[0], pid);
	EXITS(pid, 9);
}

TEST(clone_without_exit_signal)
{
	volatile int *p = private_pages(1);
	char *stack = private_pages(16);
	int status;
	pid_t pid;

	pid = SYS(clone(clone_body, stack + 16 * PAGE, 0, (void *)p));
	EXPECT_ERRNO(waitpid(pid, &status, 0), ECHILD);
	EXPECT_EQ(waitpid(pid, &status, __WALL), pid);
	EXPECT_EQ(status, 9 << 8);
	EXPECT_EQ(p[0], 0);
	pid = SYS(clone(clone_body, stack + 16 * PAGE, 0, (void *)p));
	EXPECT_EQ(waitpid(-1, &status, __WCLONE), pid);
}

static int close_body(void *arg)
{
	return close(*(int *)arg);
}

static int chdir_body(void *arg)
{
	umask(055);
	return chdir(arg);
}

TEST(clone_files_and_fs)
{
	char *stack = private_pages(16), cwd[64];
	int fd = SYS(dup(0)), keep = SYS(dup(0));

	EXITS(SYS(clone(close_body, stack + 16 * PAGE, CLONE_FILES | SIGCHLD, &fd)), 0);
	EXPECT_ERRNO(fcntl(fd, F_GETFD), EBADF);
	EXITS(SYS(clone(close_body, stack + 16 * PAGE, SIGCHLD, &keep)), 0);
	EXPECT_EQ(fcntl(keep, F_GETFD), 0);
	EXITS(SYS(clone(chdir_body, stack + 16 * PAGE, CLONE_FS | SIGCHLD, "/")), 0);
	ASSERT(getcwd(cwd, sizeof(cwd)));
	EXPECT(!strcmp(cwd, "/"));
	EXPECT_EQ(umask(022), 055);
}

TEST(clone_tid_words)
{
	volatile int *p = private_pages(1), *s = shared_pages(1);
	pid_t pid;

	pid = SYS(syscall(SYS_clone, CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | SIGCHLD, 0, &p[0],
			  &p[1], 0));
	if (!pid) {
		s[0] = p[0];
		s[1] = p[1];
		_exit(0);
	}
	EXPECT_EQ(p[0], pid);
	EXPECT_EQ(p[1], 0);
	EXITS(pid, 0);
	EXPECT_EQ(s[1], pid);
	/* cleared when a thread or a process that shares the memory ends */
	s[2] = 1;
	pid = SYS(syscall(SYS_clone, CLONE_CHILD_CLEARTID | SIGCHLD, 0, 0, &s[2], 0));
	if (!pid)
		_exit(0);
	EXITS(pid, 0);
	EXPECT_EQ(s[2], 1);	/* a child alone in its memory clears nothing */
}

TEST(clone_bad_flags)
{
	static const unsigned long bad[] = {
		CLONE_SIGHAND | SIGCHLD, CLONE_THREAD | SIGCHLD, CLONE_THREAD | CLONE_SIGHAND | SIGCHLD,
		CLONE_THREAD | CLONE_VM | SIGCHLD, CLONE_FS | CLONE_NEWNS | SIGCHLD,
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		EXPECT_ERRNO(syscall(SYS_clone, bad[i], 0, 0, 0, 0), EINVAL);
}

TEST(clone3_process)
{
	struct clone_args a = { .exit_signal = SIGCHLD };
	volatile int *p = shared_pages(1);
	pid_t pid;

	pid = syscall(SYS_clone3, &a, sizeof(a));
	if (pid == -1 && errno == ENOSYS)
		SKIP("no clone3: libraries fall back to clone");
	if (!pid) {
		p[0] = getpid();
		_exit(4);
	}
	ASSERT(pid > 0);
	EXITS(pid, 4);
	EXPECT_EQ(p[0], pid);
	EXPECT_ERRNO(syscall(SYS_clone3, &a, 8), EINVAL);
	EXPECT_ERRNO(syscall(SYS_clone3, &a, 5000), E2BIG);
	EXPECT_ERRNO(syscall(SYS_clone3, (void *)8, sizeof(a)), EFAULT);
	a.exit_signal = 500;
	EXPECT_ERRNO(syscall(SYS_clone3, &a, sizeof(a)), EINVAL);
	a.exit_signal = 0;
	a.flags = CLONE_SIGHAND;
	EXPECT_ERRNO(syscall(SYS_clone3, &a, sizeof(a)), EINVAL);
}

TEST_FOR(ten_thousand_in_a_loop, 300)
{
	volatile int *p = private_pages(4);

	for (int i = 0; i < 10000; i++) {
		pid_t pid = SYS(fork());

		if (!pid) {
			p[0] = i;
			_exit(i & 127);
		}
		p[1024] = i;
		ASSERT_EQ(status_of(pid), (i & 127) << 8);
	}
	EXPECT_EQ(p[0], 0);
}

TEST_FOR(thousand_alive_at_once, 300)
{
	volatile int *p = private_pages(1);
	static pid_t pid[1000];
	struct gate go = gate_make();

	for (int i = 0; i < 1000; i++) {
		p[0] = i;
		pid[i] = CHILD({
			close(go.fd[1]);
			/* all at once: the end of the file is for everybody */
			char c;
			ASSERT_EQ(read(go.fd[0], &c, 1), 0);
			_exit(p[0] == i ? i % 100 : 200);
		});
	}
	close(go.fd[1]);
	for (int i = 999; i >= 0; i--)
		EXITS(pid[i], i % 100);
	EXPECT_ERRNO(wait(NULL), ECHILD);
}

/* Random trees: every process checks what it inherited and changes some of it. */
static unsigned int next_random(unsigned int *r)
{
	*r = *r * 1103515245 + 12345;
	return *r >> 16;
}

static void random_tree(unsigned char *p, unsigned int r, int depth)
{
	unsigned char model[32];
	int kids = depth < 5 ? 1 + next_random(&r) % 3 : 0;
	pid_t pid[3];

	for (int i = 0; i < 32; i++)
		model[i] = p[i * PAGE];
	for (int k = 0; k < kids; k++) {
		for (int i = 0; i < 6; i++) {
			unsigned int at = next_random(&r) % 32;

			model[at] = p[at * PAGE] = next_random(&r);
		}
		pid[k] = CHILD({
			for (int i = 0; i < 32; i++)
				ASSERT_EQ(p[i * PAGE], model[i]);
			random_tree(p, r + k, depth + 1);
		});
		if (next_random(&r) % 2) {
			EXITS(pid[k], 0);
			pid[k] = 0;
		}
	}
	for (int k = 0; k < kids; k++)
		if (pid[k])
			EXITS(pid[k], 0);
	for (int i = 0; i < 32; i++)
		ASSERT_EQ(p[i * PAGE], model[i]);
}

TEST(random_trees)
{
	for (int i = 0; i < 5; i++)
		random_tree(private_pages(32), 7 * i + 1, 0);
}
