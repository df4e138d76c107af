// SPDX-License-Identifier: MIT
/*
 * backtrace_test.c - backtraces by frame pointers, of stacks in order and of any other
 *
 * Compiled with frame pointers and without calls that become jumps (Makefile).
 */
#include "app.h"

#define MAX 64
static void *pcs[MAX];
static size_t found;

static int in(const void *fn, const void *pc)
{
	return (uint64_t)pc - (uint64_t)fn < 512;
}

__attribute__((noinline)) static void third(void)
{
	found = rs_backtrace(pcs, MAX, NULL);
	asm volatile("");
}

__attribute__((noinline)) static void second(void)
{
	third();
	asm volatile("");
}

__attribute__((noinline)) static void again(int n)
{
	if (n)
		again(n - 1);
	else
		second();
	asm volatile("");
}

TEST(from_here_outwards)
{
	errno = 55;
	again(20);
	EXPECT_EQ(errno, 55);
	ASSERT_GE(found, 24);
	EXPECT(in(third, pcs[0]));
	EXPECT(in(second, pcs[1]));
	for (int i = 2; i < 23; i++)
		EXPECT(in(again, pcs[i]));
	EXPECT(in(test_from_here_outwards, pcs[23]));
	/* as many as there is room for */
	pcs[1] = NULL;
	EXPECT_EQ(rs_backtrace(pcs, 1, NULL), 1);
	EXPECT(in(test_from_here_outwards, pcs[0]));
	EXPECT_EQ(pcs[1], 0);
	EXPECT_EQ(rs_backtrace(NULL, 0, NULL), 0);
}

/* Without a descriptor to be had it does what it can. */
TEST(without_descriptors)
{
	struct rs_trap_frame f = { .rip = 0x1234, .rbp = (uint64_t)__builtin_frame_address(0) };
	int fd = dup(0);

	while (dup(0) != -1)
		;
	EXPECT_EQ(rs_backtrace(pcs, MAX, &f), 1);
	EXPECT_EQ(pcs[0], 0x1234);
	EXPECT_EQ(rs_backtrace(pcs, MAX, NULL), 0);
	close(fd);
	EXPECT_EQ(rs_backtrace(pcs, MAX, &f), 1);
}

/* A chain that a test writes, in memory of its own. */
static uint64_t walk(uint64_t fp, uint64_t low)
{
	struct rs_trap_frame f = { .rip = 0x77, .rbp = fp, .rsp = low };

	memset(pcs, 0, sizeof(pcs));
	found = rs_backtrace(pcs, MAX, &f);
	ASSERT_GE(found, 1);
	EXPECT_EQ(pcs[0], 0x77);
	return found;
}

TEST(broken_stacks)
{
	char *base = (char *)private_pages(6);
	uint64_t *p = (uint64_t *)base, at = (uint64_t)p;

	SYS(munmap(base + 4 * PAGE, PAGE));
	SYS(mprotect(base + 3 * PAGE, PAGE, PROT_NONE));
	static const uint64_t bad[] = { 0, 8, 0x1000, 0xfffffffffffffff8, -16ul, -8ul, 0xffffffff80200000, 0x123456789abcdef0, 1ul << 47,
					(1ul << 47) - 4096, (1ul << 47) - 8, 7 };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		EXPECT_EQ(walk(bad[i], 0), 1);
		p[0] = bad[i];
		p[1] = 0x1000;
		EXPECT_EQ(walk(at, 0), 2);
		EXPECT_EQ(pcs[1], 0x1000);
	}
	/* below where the stack is, not aligned, itself, downwards, no return address */
	p[0] = 0;
	EXPECT_EQ(walk(at, at), 2);
	EXPECT_EQ(walk(at, at + 1), 1);
	EXPECT_EQ(walk(at + 4, at), 1);
	p[0] = at;
	EXPECT_EQ(walk(at, at), 2);
	p[0] = at + 8;
	EXPECT_EQ(walk(at, at), 2);
	p[2] = at;
	p[3] = 0x2000;
	EXPECT_EQ(walk(at + 16, at), 2);
	p[0] = at + 16;
	EXPECT_EQ(walk(at, at), 3);
	p[3] = 0;
	EXPECT_EQ(walk(at, at), 2);
	/* across pages, within one frame, too; into what is closed, and into what is not there */
	p = (uint64_t *)(base + PAGE - 8);
	p[0] = (uint64_t)(base + 3 * PAGE - 16);
	p[1] = 0x3000;
	p = (uint64_t *)(base + 3 * PAGE - 16);
	p[0] = (uint64_t)(base + 3 * PAGE);
	p[1] = 0x4000;
	EXPECT_EQ(walk((uint64_t)(base + PAGE - 8), 0), 3);
	EXPECT_EQ(pcs[2], 0x4000);
	p[0] = (uint64_t)(base + 4 * PAGE - 8);
	EXPECT_EQ(walk((uint64_t)(base + PAGE - 8), 0), 3);
	p[0] = (uint64_t)(base + 4 * PAGE + 8);
	EXPECT_EQ(walk((uint64_t)(base + PAGE - 8), 0), 3);
	EXPECT_EQ(walk((uint64_t)(base + 3 * PAGE - 8), 0), 1);
	/* a long one fills what it is given */
	for (int i = 0; i < 100; i++) {
		p = (uint64_t *)(base + i * 32);
		p[0] = (uint64_t)(p + 4);
		p[1] = 0x5000 + i;
	}
	EXPECT_EQ(walk(at, 0), MAX);
	EXPECT_EQ(pcs[MAX - 1], 0x5000 + MAX - 2);
	if (!(rs_app_features() & RS_APP_PAGES))
		return;
	/* what the process has closed itself is no fault of its own here */
	ASSERT_EQ(rs_page_protect(base, PAGE, RS_PAGE_NONE), 0);
	EXPECT_EQ(walk(at, 0), 1);
}

/* --- of whoever trapped ---------------------------------------------------------------------- */

static int backtraces(struct rs_trap_frame *f)
{
	found = rs_backtrace(pcs, MAX, f);
	f->rip += 3;
	return RS_TRAP_RESUME;
}

/* A function that calls nothing may have no frame, whatever the options: it gets one here. */
void faults(void);
asm(".text\nfaults: push %rbp\n mov %rsp, %rbp\n mov $0x7000, %eax\n movb $1, (%rax)\n pop %rbp\n ret\n");

__attribute__((noinline)) static void calls_what_faults(void)
{
	faults();
	asm volatile("");
}

TEST(of_a_trap)
{
	NEEDS(RS_APP_UPCALL);
	ASSERT_EQ(rs_trap_stack_alloc(64 << 10), 0);
	ASSERT_EQ(rs_trap_handle(VEC_PF, backtraces, 0), 0);
	calls_what_faults();
	ASSERT_GE(found, 3);
	EXPECT(in(faults, pcs[0]));
	EXPECT(in(calls_what_faults, pcs[1]));
	EXPECT(in(test_of_a_trap, pcs[2]));
}
