// SPDX-License-Identifier: MIT
/*
 * pages_test.c - rights and dirty bits page by page, memory at two addresses, the own page tables
 */
#include <pthread.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include "app.h"

#define N	600	/* pages: more than a table has */

static volatile int count;
static struct rs_trap_frame seen;

static int open_page(struct rs_trap_frame *f)
{
	seen = *f;
	count++;
	if (rs_page_protect((void *)(f->addr & -PAGE), PAGE, RS_PAGE_WRITE))
		return RS_TRAP_SIGNAL;
	return RS_TRAP_RESUME;
}

static void start(void)
{
	ASSERT_EQ(rs_trap_stack_alloc(64 << 10), 0);
	ASSERT_EQ(rs_trap_handle(VEC_PF, open_page, 0), 0);
}

TEST(outside_page_calls_are_enosys)
{
	struct rs_page_op op = { .op = RS_OP_MAP, .len = PAGE };
	uint64_t bits;

	if (rs_app_features())
		SKIP("this is a ring");
	EXPECT_EQ(rs_page_protect(&bits, PAGE, 0), -ENOSYS);
	EXPECT_EQ(rs_page_ops(&op, 1), -ENOSYS);
	EXPECT_EQ(rs_page_dirty(&op, PAGE, &bits, 0), -ENOSYS);
	EXPECT_EQ(rs_page_entry(&op, NULL), 0);
	EXPECT_ERRNO(syscall(RS_SYS_PROTECT, 0, 0, 0, 0), ENOSYS);
}

/* --- rights ------------------------------------------------------------------------------------------- */

TEST(rights_of_a_page)
{
	char *p = private_pages(3);

	NEEDS(RS_APP_PAGES);
	start();
	memset(p, 1, 3 * PAGE);
	EXPECT_EQ(rs_page_protect(p + PAGE, PAGE, RS_PAGE_READ), 0);
	EXPECT_EQ(((volatile char *)p)[PAGE], 1);
	*(volatile char *)p = 2;
	((volatile char *)p)[2 * PAGE] = 2;
	EXPECT_EQ(count, 0);
	((volatile char *)p)[PAGE + 5] = 3;
	EXPECT_EQ(count, 1);
	EXPECT_EQ(seen.addr, p + PAGE + 5);
	EXPECT_EQ(seen.cause, RS_CAUSE_WRITE);
	((volatile char *)p)[PAGE + 6] = 3;
	EXPECT_EQ(count, 1);
	EXPECT_EQ(rs_page_protect(p, 3 * PAGE, RS_PAGE_NONE), 0);
	EXPECT_EQ(((volatile char *)p)[PAGE + 5], 3);
	EXPECT_EQ(seen.cause, RS_CAUSE_READ);
	EXPECT_EQ(((volatile char *)p)[2 * PAGE], 2);
	EXPECT_EQ(((volatile char *)p)[0], 2);
	EXPECT_EQ(count, 4);
}

/* What was never touched keeps what has been taken from it, and is all zero afterwards. */
TEST(rights_of_untouched_pages)
{
	volatile char *p = (char *)private_pages(N);

	NEEDS(RS_APP_PAGES);
	start();
	EXPECT_EQ(rs_page_protect((void *)p, N * PAGE, RS_PAGE_NONE), 0);
	for (int i = 0; i < N; i++)
		EXPECT_EQ(p[i * PAGE], 0);
	EXPECT_EQ(count, N);
	EXPECT_EQ(rs_page_protect((void *)p, N * PAGE, RS_PAGE_READ), 0);
	for (int i = 0; i < N; i++)
		p[i * PAGE] = i;
	EXPECT_EQ(count, 2 * N);
	for (int i = 0; i < N; i++)
		EXPECT_EQ(p[i * PAGE], (char)i);
}

TEST(a_right_that_is_taken_is_efault_for_calls)
{
	char *p = private_pages(2);
	int fd[2];

	NEEDS(RS_APP_PAGES);
	start();
	SYS(pipe(fd));
	memset(p, 1, 2 * PAGE);
	EXPECT_EQ(rs_page_protect(p, PAGE, RS_PAGE_NONE), 0);
	EXPECT_ERRNO(write(fd[1], p, 1), EFAULT);
	SYS(write(fd[1], p + PAGE, 1));
	EXPECT_ERRNO(read(fd[0], p, 1), EFAULT);
	EXPECT_EQ(rs_page_protect(p, PAGE, RS_PAGE_READ), 0);
	SYS(write(fd[1], p, 1));
	EXPECT_ERRNO(read(fd[0], p, 1), EFAULT);
	EXPECT_EQ(count, 0);
}

TEST(mappings_still_say_what_is_allowed)
{
	char *p = private_pages(2);
	struct sigaction sa = { .sa_handler = SIG_DFL };

	NEEDS(RS_APP_PAGES);
	SYS(sigaction(SIGSEGV, &sa, NULL));
	memset(p, 1, 2 * PAGE);
	SYS(mprotect(p, PAGE, PROT_READ));
	EXPECT_EQ(rs_page_protect(p, PAGE, RS_PAGE_WRITE), -EACCES);
	EXPECT_EQ(rs_page_protect(p, 2 * PAGE, RS_PAGE_WRITE), -EACCES);
	EXPECT_EQ(rs_page_protect(p, PAGE, RS_PAGE_READ), 0);
	EXPECT_EQ(dies_by(touch_write, p), SIGSEGV);
	/* mprotect gives the mapping its right back, and not the page */
	SYS(mprotect(p, PAGE, PROT_READ | PROT_WRITE));
	EXPECT_EQ(dies_by(touch_write, p), SIGSEGV);
	EXPECT_EQ(dies_by(touch_read, p), 0);
	SYS(mprotect(p, PAGE, PROT_NONE));
	EXPECT_EQ(rs_page_protect(p, PAGE, RS_PAGE_READ), -EACCES);
	EXPECT_EQ(rs_page_protect(p, PAGE, RS_PAGE_NONE), 0);
	SYS(mprotect(p, PAGE, PROT_READ | PROT_WRITE));
	EXPECT_EQ(dies_by(touch_read, p), SIGSEGV);
	EXPECT_EQ(rs_page_protect(p, PAGE, RS_PAGE_WRITE), 0);
	p[0] = 3;
	/* a page that goes takes it along, one that moves keeps it */
	EXPECT_EQ(rs_page_protect(p, PAGE, RS_PAGE_READ), 0);
	SYS(madvise(p, PAGE, MADV_DONTNEED));
	p[0] = 4;
	EXPECT_EQ(rs_page_protect(p, PAGE, RS_PAGE_READ), 0);
	p = mremap(p, PAGE, 2 * PAGE, MREMAP_MAYMOVE);
	ASSERT(p != MAP_FAILED);
	EXPECT_EQ(p[0], 4);
	EXPECT_EQ(dies_by(touch_write, p), SIGSEGV);
}

/* Parent and child: each has what was taken before the fork, and none what the other does after it. */
TEST(rights_over_fork)
{
	volatile char *p = (char *)private_pages(N);
	struct gate g[2];
	pid_t pid;

	NEEDS(RS_APP_PAGES);
	start();
	for (int i = 0; i < N; i++)
		p[i * PAGE] = 1;
	EXPECT_EQ(rs_page_protect((void *)p, N / 2 * PAGE, RS_PAGE_READ), 0);
	g[0] = gate_make();
	g[1] = gate_make();
	pid = CHILD({
		gate_wait(g[0]);
		for (int i = 0; i < N; i++)
			p[i * PAGE] = 2;
		EXPECT_EQ(count, N / 2);
		EXPECT_EQ(rs_page_protect((void *)p, N * PAGE, RS_PAGE_NONE), 0);
		gate_open(g[1]);
		for (int i = 0; i < N; i++)
			EXPECT_EQ(p[i * PAGE], 2);
		EXPECT_EQ(count, N / 2 + N);
	});
	EXPECT_EQ(rs_page_protect((void *)p, N * PAGE, RS_PAGE_WRITE), 0);
	EXPECT_EQ(rs_page_protect((void *)(p + PAGE), PAGE, RS_PAGE_NONE), 0);
	gate_open(g[0]);
	gate_wait(g[1]);
	for (int i = 0; i < N; i++) {
		EXPECT_EQ(p[i * PAGE], 1);
		p[i * PAGE] = 3;
	}
	EXPECT_EQ(count, 1);
	EXITS(pid, 0);
	for (int i = 0; i < N; i++)
		EXPECT_EQ(p[i * PAGE], 3);
}

/* --- many at once ---------------------------------------------------------------------------------------- */

TEST(operations_on_many_ranges)
{
	struct rs_page_op op[5] = {
		{ .op = RS_OP_MAP, .len = 4 * PAGE, .arg = PROT_READ | PROT_WRITE | RS_PAGES_NOW },
		{ .op = RS_OP_MAP, .len = 2 * PAGE, .arg = PROT_READ },
	};
	char *p;

	NEEDS(RS_APP_PAGES);
	EXPECT_EQ(rs_page_ops(op, 2), 2);
	EXPECT_EQ(op[0].result, 0);
	EXPECT_NE(op[0].to, 0);
	p = (char *)op[0].to;
	memset(p, 7, 4 * PAGE);
	EXPECT_EQ(dies_by(touch_write, (char *)op[1].to), SIGSEGV);
	op[2] = (struct rs_page_op){ .op = RS_OP_PROTECT, .addr = (uint64_t)p, .len = PAGE, .arg = RS_PAGE_READ };
	op[3] = (struct rs_page_op){ .op = RS_OP_UNMAP, .addr = (uint64_t)p + PAGE, .len = PAGE };
	op[4] = (struct rs_page_op){ .op = RS_OP_PROTECT, .addr = (uint64_t)p + 2 * PAGE, .len = PAGE };
	EXPECT_EQ(rs_page_ops(op + 2, 3), 3);
	EXPECT_EQ(dies_by(touch_write, p), SIGSEGV);
	EXPECT_EQ(dies_by(touch_read, p), 0);
	EXPECT_EQ(dies_by(touch_read, p + PAGE), SIGSEGV);
	EXPECT_EQ(dies_by(touch_read, p + 2 * PAGE), SIGSEGV);
	EXPECT_EQ(dies_by(touch_write, p + 3 * PAGE), 0);
	/* up to the first that fails */
	op[2] = (struct rs_page_op){ .op = RS_OP_PROTECT, .addr = (uint64_t)p, .len = PAGE, .arg = RS_PAGE_WRITE };
	op[3] = (struct rs_page_op){ .op = RS_OP_PROTECT, .addr = (uint64_t)p + PAGE, .len = PAGE };
	op[4] = (struct rs_page_op){ .op = RS_OP_UNMAP, .addr = (uint64_t)p, .len = PAGE, .result = 77 };
	EXPECT_EQ(rs_page_ops(op + 2, 3), 1);
	EXPECT_EQ(op[3].result, -ENOMEM);
	EXPECT_EQ(op[4].result, 77);
	p[0] = 1;
	/* exactly there or not at all */
	op[0] = (struct rs_page_op){ .op = RS_OP_MAP, .to = (uint64_t)p, .len = PAGE, .arg = PROT_READ };
	EXPECT_EQ(rs_page_ops(op, 1), 0);
	EXPECT_EQ(op[0].result, -EEXIST);
	op[0].to += PAGE;
	EXPECT_EQ(rs_page_ops(op, 1), 1);
	EXPECT_EQ(op[0].to, p + PAGE);
}

TEST(writable_and_executable_is_refused)
{
	struct rs_page_op op[3] = {
		{ .op = RS_OP_MAP, .len = PAGE, .arg = PROT_READ | PROT_WRITE | PROT_EXEC },
		{ .op = RS_OP_MAP, .len = PAGE, .arg = PROT_READ | PROT_WRITE | RS_PAGES_SHARED },
	};

	NEEDS(RS_APP_PAGES);
	EXPECT_EQ(rs_page_ops(op, 1), 0);
	EXPECT_EQ(op[0].result, -EACCES);
	EXPECT_EQ(rs_page_ops(op + 1, 1), 1);
	op[2] = (struct rs_page_op){ .op = RS_OP_MAP2, .addr = op[1].to, .len = PAGE, .arg = PROT_READ | PROT_EXEC };
	EXPECT_EQ(rs_page_ops(op + 2, 1), 0);
	EXPECT_EQ(op[2].result, -EACCES);
}

/* --- two addresses ----------------------------------------------------------------------------------------- */

TEST(memory_at_two_addresses)
{
	struct rs_page_op op[2] = { { .op = RS_OP_MAP, .len = 8 * PAGE, .arg = PROT_READ | PROT_WRITE | RS_PAGES_SHARED } };
	volatile char *p, *q;

	NEEDS(RS_APP_PAGES);
	start();
	ASSERT_EQ(rs_page_ops(op, 1), 1);
	p = (char *)op[0].to;
	p[2 * PAGE] = 1;
	op[1] = (struct rs_page_op){ .op = RS_OP_MAP2, .addr = op[0].to + PAGE, .len = 4 * PAGE, .arg = PROT_READ | PROT_WRITE };
	ASSERT_EQ(rs_page_ops(op + 1, 1), 1);
	q = (char *)op[1].to;
	EXPECT_EQ(q[PAGE], 1);
	/* the program's view is closed, the collector's is not */
	EXPECT_EQ(rs_page_protect((void *)p, 8 * PAGE, RS_PAGE_NONE), 0);
	q[PAGE] = 2;
	q[0] = 3;
	EXPECT_EQ(count, 0);
	EXPECT_EQ(p[2 * PAGE], 2);
	EXPECT_EQ(p[PAGE], 3);
	EXPECT_EQ(count, 2);
	/* read only at the second */
	op[1] = (struct rs_page_op){ .op = RS_OP_MAP2, .addr = op[0].to, .len = PAGE, .arg = PROT_READ };
	ASSERT_EQ(rs_page_ops(op + 1, 1), 1);
	q = (char *)op[1].to;
	p[0] = 9;
	EXPECT_EQ(q[0], 9);
	EXPECT_EQ(dies_by(touch_write, q), SIGSEGV);
	/* private memory has one address */
	op[1] = (struct rs_page_op){ .op = RS_OP_MAP2, .addr = (uint64_t)private_pages(1), .len = PAGE, .arg = PROT_READ };
	EXPECT_EQ(rs_page_ops(op + 1, 1), 0);
	EXPECT_EQ(op[1].result, -EINVAL);
	op[1] = (struct rs_page_op){ .op = RS_OP_MAP2, .addr = op[0].to, .len = PAGE, .to = op[0].to + PAGE, .arg = PROT_READ };
	EXPECT_EQ(rs_page_ops(op + 1, 1), 0);
	EXPECT_EQ(op[1].result, -EEXIST);
	op[1] = (struct rs_page_op){ .op = RS_OP_MAP2, .addr = op[0].to, .len = 64 * PAGE, .arg = PROT_READ };
	EXPECT_EQ(rs_page_ops(op + 1, 1), 0);
	EXPECT_EQ(op[1].result, -ENOMEM);
}

/* --- dirty bits -------------------------------------------------------------------------------------------- */

static uint64_t bitmap[(N + 63) / 64 + 1];

/* The pages of @p that are dirty are those i with i % @step == 0 (none: 0). */
static void expect_dirty(volatile char *p, int step, unsigned int flags)
{
	long n = 0;

	memset(bitmap, 0xff, sizeof(bitmap));
	for (int i = 0; i < N; i++)
		n += step && i % step == 0;
	EXPECT_EQ(rs_page_dirty((void *)p, N * PAGE, bitmap, flags), n);
	for (int i = 0; i < N; i++)
		if ((bitmap[i / 64] >> (i % 64) & 1) != (step && i % step == 0)) {
			FAIL("page %d of step %d", i, step);
			break;
		}
	EXPECT_EQ(bitmap[(N - 1) / 64] >> (N - 1) % 64 >> 1, 0);
	EXPECT_EQ(bitmap[(N + 63) / 64], -1ul);
}

static void write_each(volatile char *p, int step)
{
	for (int i = 0; i < N; i += step)
		p[i * PAGE]++;
}

TEST(dirty_bits)
{
	volatile char *p = (char *)private_pages(N);
	int fd[2];

	NEEDS(RS_APP_PAGES);
	expect_dirty(p, 0, RS_DIRTY_CLEAR);
	for (int i = 0; i < N; i++)
		(void)p[i * PAGE];
	expect_dirty(p, 0, 0);
	write_each(p, 1);
	expect_dirty(p, 1, 0);
	expect_dirty(p, 1, RS_DIRTY_CLEAR);
	expect_dirty(p, 0, 0);
	write_each(p, 7);
	expect_dirty(p, 7, 0);
	expect_dirty(p, 7, RS_DIRTY_CLEAR);
	/* what calls write counts */
	SYS(pipe(fd));
	SYS(write(fd[1], "x", 1));
	SYS(read(fd[0], (void *)p, 1));
	expect_dirty(p, N, RS_DIRTY_CLEAR);
	expect_dirty(p, 0, RS_DIRTY_CLEAR);
	/* closed pages keep theirs */
	write_each(p, 100);
	EXPECT_EQ(rs_page_protect((void *)p, N * PAGE, RS_PAGE_NONE), 0);
	expect_dirty(p, 100, RS_DIRTY_CLEAR);
	expect_dirty(p, 0, 0);
}

TEST(accessed_bits)
{
	volatile char *p = (char *)private_pages(N);

	NEEDS(RS_APP_PAGES);
	write_each(p, 1);
	rs_page_dirty((void *)p, N * PAGE, bitmap, RS_DIRTY_ACCESSED | RS_DIRTY_CLEAR);
	expect_dirty(p, 0, RS_DIRTY_ACCESSED);
	for (int i = 0; i < N; i += 5)
		(void)p[i * PAGE];
	expect_dirty(p, 5, RS_DIRTY_ACCESSED);
	expect_dirty(p, 1, RS_DIRTY_CLEAR);
	expect_dirty(p, 5, RS_DIRTY_ACCESSED | RS_DIRTY_CLEAR);
}

/* What the host is writing to while the bits are taken is written after that. */
static int sockets[2];

static void *receives(void *page)
{
	EXPECT_EQ(read(sockets[0], page, 100), 100);
	return NULL;
}

TEST(dirty_bits_of_a_call_that_sleeps)
{
	char *p = private_pages(1), data[100] = { 7 };
	pthread_t t;

	NEEDS(RS_APP_PAGES);
	SYS(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
	*p = 1;
	EXPECT_EQ(rs_page_dirty(p, PAGE, bitmap, RS_DIRTY_CLEAR), 1);
	EXPECT_EQ(rs_page_dirty(p, PAGE, bitmap, RS_DIRTY_CLEAR), 0);
	ASSERT_EQ(pthread_create(&t, NULL, receives, p), 0);
	/* the page is dirty from the call's beginning on, whoever takes the bit */
	ASSERT(eventually(rs_page_dirty(p, PAGE, bitmap, RS_DIRTY_CLEAR) == 1));
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(rs_page_dirty(p, PAGE, bitmap, RS_DIRTY_CLEAR), 1);
	ASSERT_EQ(write(sockets[1], data, 100), 100);
	pthread_join(t, NULL);
	EXPECT_EQ(*p, 7);
	EXPECT_EQ(rs_page_dirty(p, PAGE, bitmap, RS_DIRTY_CLEAR), 1);
	EXPECT_EQ(rs_page_dirty(p, PAGE, bitmap, RS_DIRTY_CLEAR), 0);
}

/* Tables are shared after a fork: neither takes a bit from the other, and each write leaves one. */
TEST(dirty_bits_over_fork)
{
	volatile char *p = (char *)private_pages(N);
	struct gate g[2];
	pid_t pid;

	NEEDS(RS_APP_PAGES);
	g[0] = gate_make();
	g[1] = gate_make();
	write_each(p, 1);
	rs_page_dirty((void *)p, N * PAGE, bitmap, RS_DIRTY_CLEAR);
	write_each(p, 3);
	pid = CHILD({
		expect_dirty(p, 3, RS_DIRTY_CLEAR);
		gate_open(g[0]);
		gate_wait(g[1]);
		expect_dirty(p, 0, 0);
		write_each(p, 9);
		expect_dirty(p, 9, 0);
		EXPECT_EQ(p[0], 3);
	});
	gate_wait(g[0]);
	expect_dirty(p, 3, RS_DIRTY_CLEAR);
	write_each(p, 11);
	expect_dirty(p, 11, 0);
	gate_open(g[1]);
	EXITS(pid, 0);
	expect_dirty(p, 11, RS_DIRTY_CLEAR);
	write_each(p, 13);
	expect_dirty(p, 13, 0);
	EXPECT_EQ(p[0], 4);
}

/* --- page tables --------------------------------------------------------------------------------------------- */

TEST(the_own_page_tables)
{
	volatile char *p = (char *)private_pages(N);
	uint64_t e;
	int level = 0;
	pid_t pid;

	NEEDS(RS_APP_PAGES | RS_APP_PAGE_TABLES);
	EXPECT_EQ(rs_page_entry((void *)0x10000, NULL), 0);
	EXPECT_EQ(rs_page_entry((void *)-4096l, NULL), 0);
	EXPECT_EQ(rs_page_entry((void *)p, NULL), 0);
	(void)*p;
	e = rs_page_entry((void *)p, &level);
	EXPECT_EQ(level, 1);
	EXPECT_EQ(e & (RS_PTE_P | RS_PTE_U | RS_PTE_W | RS_PTE_D), RS_PTE_P | RS_PTE_U);
	EXPECT_EQ(e & RS_PTE_NX, RS_PTE_NX);
	*p = 1;
	EXPECT_NE(rs_page_entry((void *)p, NULL) & RS_PTE_ADDR, e & RS_PTE_ADDR);
	e = rs_page_entry((void *)p, NULL);
	EXPECT_EQ(e & (RS_PTE_W | RS_PTE_D), RS_PTE_W | RS_PTE_D);
	EXPECT_EQ(rs_page_dirty((void *)p, PAGE, bitmap, RS_DIRTY_CLEAR), 1);
	EXPECT_EQ(rs_page_entry((void *)p, NULL) & RS_PTE_D, 0);
	EXPECT_EQ(rs_page_protect((void *)p, PAGE, RS_PAGE_READ), 0);
	EXPECT_EQ(rs_page_entry((void *)p, NULL) & (RS_PTE_W | RS_PTE_NO_WRITE), RS_PTE_NO_WRITE);
	EXPECT_EQ(rs_page_protect((void *)p, PAGE, RS_PAGE_WRITE), 0);
	/* the same pages, and no right to write, in both after a fork; then each its own, in tables of its own */
	e = rs_page_entry((void *)p, NULL) & RS_PTE_ADDR;
	for (int i = 0; i < N; i++)
		p[i * PAGE] = i;
	pid = CHILD({
		EXPECT_EQ(rs_page_entry((void *)p, NULL) & (RS_PTE_ADDR | RS_PTE_W), e);
		*p = 5;
		EXPECT_EQ(rs_page_entry((void *)p, NULL) & RS_PTE_W, RS_PTE_W);
		EXPECT_NE(rs_page_entry((void *)p, NULL) & RS_PTE_ADDR, e);
		EXPECT_EQ(rs_page_entry((void *)(p + PAGE), NULL) & RS_PTE_W, 0);
	});
	EXITS(pid, 0);
	*p = 6;
	EXPECT_EQ(rs_page_entry((void *)p, NULL) & (RS_PTE_ADDR | RS_PTE_W), e | RS_PTE_W);
	/* what is unmapped is gone at once, with its tables */
	SYS(munmap((void *)p, N * PAGE));
	EXPECT_EQ(rs_page_entry((void *)p, NULL), 0);
}

#define ENTRY(va, level) (*(const volatile uint64_t *)RS_PT_ENTRY(va, level))

static void write_entry(volatile char *p) { *(volatile uint64_t *)&ENTRY(p, 1) = 0; }
static void read_kernel(volatile char *p) { (void)ENTRY(0xffffffff80200000, 2); }
static void run_entry(volatile char *p) { ((void (*)(void))(uintptr_t)&ENTRY(p, 1))(); }
static void read_missing(volatile char *p) { (void)ENTRY(0x10000, 1); }
static void read_top(volatile char *p) { (void)ENTRY(0x10000, 4); }

TEST(page_tables_are_for_reading_only)
{
	char *p = private_pages(1);

	NEEDS(RS_APP_PAGE_TABLES);
	*p = 1;
	EXPECT_EQ(dies_by(write_entry, p), SIGSEGV);
	EXPECT_EQ(dies_by(run_entry, p), SIGSEGV);
	EXPECT_EQ(dies_by(read_kernel, p), SIGSEGV);
	EXPECT_EQ(dies_by(read_missing, p), SIGSEGV);
	EXPECT_EQ(dies_by(read_top, p), 0);
	EXPECT_ERRNO(write(1, (const void *)(uintptr_t)&ENTRY(p, 1), 8), EFAULT);
	EXPECT_EQ(*p, 1);
}

/* --- hostile arguments ------------------------------------------------------------------------------------------ */

TEST(bad_page_arguments)
{
	char *p = private_pages(2);
	struct rs_page_op op = { .op = 9 };

	NEEDS(RS_APP_PAGES);
	SYS(munmap(p + PAGE, PAGE));
	EXPECT_EQ(rs_page_protect(p + 1, PAGE, 0), -EINVAL);
	EXPECT_EQ(rs_page_protect(p, PAGE + 1, 0), -EINVAL);
	EXPECT_EQ(rs_page_protect(p, 0, 0), -EINVAL);
	EXPECT_EQ(rs_page_protect(p, PAGE, 2), -EINVAL);
	EXPECT_EQ(rs_page_protect(p, PAGE, 4), -EINVAL);
	EXPECT_EQ(rs_page_protect(p, 2 * PAGE, 0), -ENOMEM);
	EXPECT_EQ(rs_page_protect(p, -PAGE, 0), -ENOMEM);
	EXPECT_EQ(rs_page_protect((void *)-PAGE, PAGE, 0), -ENOMEM);
	EXPECT_EQ(rs_app_call(RS_SYS_PAGES, (long)&op, RS_PAGE_OPS_MAX + 1, 0, 0), -EINVAL);
	EXPECT_EQ(rs_app_call(RS_SYS_PAGES, 0, 1, 0, 0), -EFAULT);
	EXPECT_EQ(rs_app_call(RS_SYS_PAGES, -8, 1, 0, 0), -EFAULT);
	EXPECT_EQ(rs_page_ops(&op, 1), 0);
	EXPECT_EQ(op.result, -EINVAL);
	EXPECT_EQ(rs_page_dirty(p, PAGE, bitmap, 4), -EINVAL);
	EXPECT_EQ(rs_page_dirty(p, 0, bitmap, 0), -EINVAL);
	EXPECT_EQ(rs_page_dirty(p + 8, PAGE, bitmap, 0), -EINVAL);
	EXPECT_EQ(rs_page_dirty(p, PAGE, (void *)0x10, RS_DIRTY_CLEAR), -EFAULT);
	EXPECT_EQ(rs_page_dirty(p, PAGE, (void *)-8, RS_DIRTY_CLEAR), -EFAULT);
	EXPECT_EQ(rs_page_dirty(p, -PAGE, bitmap, RS_DIRTY_CLEAR), -EINVAL);
	EXPECT_EQ(rs_page_dirty((void *)-PAGE, PAGE, bitmap, 0), -ENOMEM);
}

/* Random operations by several threads of several processes: whoever makes them may die of it. */
TEST_FOR(random_page_calls, 200)
{
	volatile unsigned int *made = shared_pages(1);
	unsigned int wanted = fuzz_calls() / 2;

	NEEDS(RS_APP_PAGES);
	/*
	 * Bitmaps that are far too long are zeros up to here, and not in the count, which lies
	 * above.
	 */
	SYS(mprotect(private_pages(16), 16 * PAGE, PROT_NONE));
	for (int round = 0; *made < wanted; round++) {
		int status;
		pid_t pid = SYS(fork());

		if (!pid) {
			char *p = shared_pages(16);
			char *q = private_pages(16);
			unsigned int seed = round * 77 + 5;
			const uint64_t value[] = { 0, 1, PAGE, 3 * PAGE, -1ul, -PAGE, 1ul << 47, (1ul << 47) - PAGE, (uint64_t)p, (uint64_t)q,
						   (uint64_t)p + 5 * PAGE, (uint64_t)q + 3 * PAGE, 2, 3, RS_PT_BASE, 64 * PAGE };

			start();
			for (int i = 0; i < 5000; i++) {
				uint64_t a[4];
				struct rs_page_op op;

				for (int k = 0; k < 4; k++)
					a[k] = value[(seed = seed * 1103515245 + 12345) >> 16 & 15];
				op = (struct rs_page_op){ .op = seed >> 20 & 7, .addr = a[0], .len = a[1], .arg = a[2], .to = a[3] };
				switch (seed >> 24 & 3) {
				case 0: ++*made; rs_app_call(RS_SYS_PROTECT, a[0], a[1], a[2], a[3]); break;
				case 1: ++*made; rs_app_call(RS_SYS_DIRTY, a[0], a[1], a[2], a[3]); break;
				case 2: ++*made; rs_app_call(RS_SYS_PAGES, (long)&op, 1, 0, 0); break;
				default: q[seed % (16 * PAGE)]++; p[seed % (16 * PAGE)]++;
				}
				if (i % 500 == 0 && !fork())
					_exit(0);
			}
			_exit(0);
		}
		status = status_of(pid);
		if (status && !WIFSIGNALED(status))
			FAIL("round %d: wait status %#x", round, status);
	}
	test_note("%u calls", *made);
}
