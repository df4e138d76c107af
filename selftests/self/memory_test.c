// SPDX-License-Identifier: MIT
/*
 * Memory: chunks that are taken from one address for another, by several threads at once; stacks that grow; files; what fork makes of it.
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "self.h"
#include "self/self.h"

#define PAGE	4096ul
#define GIB	(1ul << 30)
#define BASE	0x200000000000ul	/* nothing is near */
#define PLACES	24

static void map_places(void)
{
	unsigned int i;

	for (i = 0; i < PLACES; i++) {
		uint64_t *p = mmap((void *)(BASE + i * GIB), 4 * PAGE, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

		ASSERT(p == (void *)(BASE + i * GIB));
		p[0] = i;
	}
}

static volatile uint64_t *place(unsigned int i)
{
	return (volatile uint64_t *)(BASE + i * GIB);
}

/* Each place keeps its own number, however often its chunk comes and goes; counts of visits stay exact. */
static void *visit(void *arg)
{
	unsigned int seed = (uintptr_t)arg, n = test_rounds(800), i;
	uintptr_t bad = 0;

	if (seed && rs_enter(rs_self.ring0 ? RS_ENTER_RING0 : 0))
		return (void *)1ul;
	for (i = 0; i < n; i++) {
		unsigned int k;

		seed = seed * 1103515245 + 12345;
		k = (seed >> 16) % PLACES;
		if (place(k)[0] != k)
			bad++;
		__atomic_fetch_add(&place(k)[1], 1, __ATOMIC_RELAXED);
	}
	if (arg)
		rs_leave();
	return (void *)bad;
}

static void recycling(unsigned int flags, int threads)
{
	unsigned int i;
	uint64_t sum = 0;
	struct rs_self_stats st;
	pthread_t t[4];
	void *ret;

	map_places();
	enter(flags);
	rs_leave();
	/* the program's, the arena, the libraries and stacks, and a few more */
	rs_self.chunk_limit = 12;
	for (i = 1; i <= (unsigned int)threads; i++)
		SYS(-pthread_create(&t[i], NULL, visit, (void *)(uintptr_t)i));
	enter(flags);
	EXPECT(!visit(NULL));
	rs_leave();
	for (i = 1; i <= (unsigned int)threads; i++) {
		pthread_join(t[i], &ret);
		EXPECT(!ret);
	}
	for (i = 0; i < PLACES; i++)
		sum += place(i)[1];
	EXPECT_EQ(sum, (threads + 1) * test_rounds(800));
	EXPECT_EQ(rs_self_stats(&st), 0);
	EXPECT_GT(st.recycled, 100);
	test_note("%lu chunks given out, %lu taken away", (unsigned long)st.chunks, (unsigned long)st.recycled);
}

TEST(chunks_are_recycled_in_ring3)
{
	recycling(0, 0);
}

TEST(chunks_are_recycled_in_ring0)
{
	recycling(RS_ENTER_RING0, 0);
}

TEST(chunks_are_recycled_under_several_threads)
{
	recycling(0, 3);
}

TEST(chunks_are_recycled_when_memory_is_locked)
{
	SYS(mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT));
	recycling(0, 3);
}

TEST(what_rs_ring0_gpa_has_told_stays)
{
	uint64_t told[4];
	unsigned int i;
	int status;
	pid_t pid;

	map_places();
	enter(RS_ENTER_RING0);
	for (i = 0; i < 4; i++) {
		told[i] = rs_ring0_gpa((void *)place(i));
		EXPECT_NE(told[i], ~0ul);
		EXPECT_EQ(told[i] % GIB, 0);
		EXPECT(rs_ring0_va(told[i] + 24) == &place(i)[3]);
	}
	EXPECT_EQ(rs_ring0_gpa(told), (uintptr_t)told < 64 * GIB ? (uintptr_t)told : rs_ring0_gpa(told));
	EXPECT_EQ(rs_ring0_gpa((void *)0x800000000000), ~0ul);
	EXPECT(!rs_ring0_va(~0ul));
	rs_self.chunk_limit = 14;
	for (i = 0; i < 10 * PLACES; i++)
		EXPECT_EQ(place(i % PLACES)[0], i % PLACES);
	for (i = 0; i < 4; i++)
		EXPECT_EQ(rs_ring0_gpa((void *)place(i)), told[i]);
	EXPECT_GT(rs_self.recycled, 5);
	rs_self.chunk_limit = 0;
	EXPECT_EQ(rs_ring0_protect((void *)place(2), PAGE, RS_PAGE_READ), 0);
	pid = fork();
	if (!pid) {
		if (rs_inside() != -1 || rs_enter(RS_ENTER_RING0))
			_exit(1);
		for (i = 0; i < 4; i++)
			if (rs_ring0_gpa((void *)place(i)) != told[i] || place(i)[0] != i)
				_exit(2);
		if (*rs_ring0_entry(rs_ring0_root(), (void *)place(2), 0) & 2)
			_exit(3);
		_exit(rs_leave() ? 4 : 42);
	}
	EXPECT_EQ(rs_inside(), 0);
	SYS(waitpid(pid, &status, 0));
	EXPECT_EQ(status, 42 << 8);
	EXPECT_EQ(rs_leave(), 0);
}

TEST(a_child_of_vfork_cannot_enter)
{
	volatile int ret = 0;
	pid_t pid;

	enter(0);
	rs_leave();
	pid = vfork();
	if (!pid) {
		ret = rs_enter(0);
		_exit(0);
	}
	SYS(waitpid(pid, NULL, 0));
	EXPECT_EQ(ret, -EBUSY);
	enter(0);
	EXPECT_EQ(rs_leave(), 0);
}

static int recurse(int depth)
{
	volatile char use[2000];

	use[0] = depth;
	return depth ? recurse(depth - 1) + use[0] * 0 : 0;
}

TEST(stacks_grow)
{
	enter(0);
	EXPECT_EQ(recurse(2000), 0);
	EXPECT_EQ(rs_leave(), 0);
}

TEST(stacks_grow_in_ring0)
{
	enter(RS_ENTER_RING0);
	EXPECT_EQ(recurse(2000), 0);
	EXPECT_EQ(rs_leave(), 0);
}

static sigjmp_buf back;

static void on_fault(int sig)
{
	siglongjmp(back, 1);
}

/* A file that shrinks: SIGBUS beyond its end. */
TEST(files_are_followed)
{
	char path[] = "/tmp/rs-self-XXXXXX";
	volatile uint8_t *p;
	struct sigaction sa = { .sa_handler = on_fault };
	int fd = SYS(mkstemp(path));
	volatile int signals = 0;

	unlink(path);
	SYS(sigaction(SIGBUS, &sa, NULL));
	SYS(ftruncate(fd, 2 * PAGE));
	p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT(p != MAP_FAILED);
	enter(RS_ENTER_RING0);
	p[PAGE] = 5;
	EXPECT_EQ(pwrite(fd, "x", 1, PAGE + 1), 1);
	EXPECT_EQ(p[PAGE + 1], 'x');
	SYS(ftruncate(fd, PAGE));
	if (!sigsetjmp(back, 1)) {
		p[PAGE] = 6;
		FAIL("no signal");
	} else {
		signals++;
	}
	p[0] = 9;
	SYS(ftruncate(fd, 2 * PAGE));
	EXPECT_EQ(p[PAGE], 0);
	EXPECT_EQ(signals, 1);
	EXPECT_EQ(rs_leave(), 0);
}

/* Memory that may be executed and nothing else: with protection keys Linux denies the thread every other access, its own tables' too. */
static void exec_only(unsigned int flags)
{
	uint8_t *code = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT(code != MAP_FAILED);
	memcpy(code, "\xb8\x2a\0\0\0\xc3", 6);
	memcpy(code + 4096, "\xb8\x2b\0\0\0\xc3", 6);
	SYS(mprotect(code, 4096, PROT_EXEC));
	enter(flags);
	EXPECT_EQ(((int (*)(void))(uintptr_t)code)(), 42);
	SYS(mprotect(code + 4096, 4096, PROT_EXEC));
	EXPECT_EQ(((int (*)(void))(uintptr_t)(code + 4096))(), 43);
	EXPECT_EQ(rs_leave(), 0);
}

TEST(execute_only_in_ring3)
{
	exec_only(0);
}

TEST(execute_only_in_ring0)
{
	exec_only(RS_ENTER_RING0);
}
