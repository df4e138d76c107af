/* SPDX-License-Identifier: MIT */
/*
 * regs.h - all registers of ring 3 with values of a test's choosing, until something has happened
 * to them
 *
 *	regs_pattern(&want, 3);
 *	regs_hold(&want, &got, &stop);		all registers are those of @want until @stop is not 0
 *	regs_compare(&want, &got);
 */
#ifndef SELFTESTS_APP_REGS_H
#define SELFTESTS_APP_REGS_H

#include <stdbool.h>
#include <string.h>
#include "harness.h"

/* rax is where this lies while the registers are held; rsp is the function's own. */
struct regs {
	uint64_t r[16];		/* rax rbx rcx rdx rsi rdi rbp rsp r8 .. r15 */
	uint32_t mxcsr;
	uint16_t fcw, avx;
	uint64_t red[16];	/* the 128 bytes below rsp */
	uint8_t vec[16][32];
	uint8_t x87[3][16];	/* 10 bytes of each, from the top of the stack */
	uint64_t stop;		/* where the word is that ends it */
	uint64_t got;		/* where to */
};
#define REGS_MXCSR	128
#define REGS_RED	136
#define REGS_VEC	264
#define REGS_X87	776
#define REGS_STOP	824
#define REGS_GOT	832
_Static_assert(offsetof(struct regs, mxcsr) == REGS_MXCSR && offsetof(struct regs, red) == REGS_RED &&
	       offsetof(struct regs, vec) == REGS_VEC && offsetof(struct regs, x87) == REGS_X87 &&
	       offsetof(struct regs, stop) == REGS_STOP && offsetof(struct regs, got) == REGS_GOT, "the assembly counts on it");

static inline void regs_pattern(struct regs *w, unsigned int seed)
{
	uint8_t *raw = (uint8_t *)w;

	for (size_t i = 0; i < sizeof(*w); i++)
		raw[i] = (uint8_t)(i * 41 + 13 + seed * 7);
	w->mxcsr = 0x1f80 | (seed & 3) << 13;
	w->fcw = 0x37f | (seed & 3) << 10;
	w->avx = !!__builtin_cpu_supports("avx");
	for (int i = 0; i < 16 && !w->avx; i++)
		memset(w->vec[i] + 16, 0, 16);
	/* numbers: an integer bit, and an exponent of some size */
	for (int i = 0; i < 3; i++) {
		w->x87[i][7] |= 0x80;
		w->x87[i][9] = 0x3f;
		memset(w->x87[i] + 10, 0, 6);
	}
}

asm(".text\n.balign 16\n.type regs_hold_asm, @function\nregs_hold_asm:\n"
    "push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
    "mov %rdi, %rax\n mov %rsp, 56(%rax)\n"
    "cmpw $0, 134(%rax)\n jz 1f\n"
    ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n vmovdqu 264+\\n*32(%rax), %ymm\\n\n.endr\n jmp 2f\n"
    "1:\n"
    ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n movdqu 264+\\n*32(%rax), %xmm\\n\n.endr\n"
    "2: fninit\n fldt 808(%rax)\n fldt 792(%rax)\n fldt 776(%rax)\n fldcw 132(%rax)\n ldmxcsr 128(%rax)\n"
    ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n mov 136+\\n*8(%rax), %rbx\n mov %rbx, -128+\\n*8(%rsp)\n.endr\n"
    "mov 8(%rax), %rbx; mov 16(%rax), %rcx; mov 24(%rax), %rdx; mov 32(%rax), %rsi; mov 48(%rax), %rbp\n"
    "mov 64(%rax), %r8; mov 72(%rax), %r9; mov 80(%rax), %r10; mov 88(%rax), %r11; mov 96(%rax), %r12; mov 104(%rax), %r13\n"
    "mov 112(%rax), %r14; mov 120(%rax), %r15\n"
    "mov 824(%rax), %rdi\n"
    "3: cmpq $0, (%rdi)\n je 3b\n"
    "mov 832(%rax), %rax\n"
    "mov %rbx, 8(%rax); mov %rcx, 16(%rax); mov %rdx, 24(%rax); mov %rsi, 32(%rax); mov %rdi, 40(%rax); mov %rbp, 48(%rax)\n"
    "mov %rsp, 56(%rax); mov %r8, 64(%rax); mov %r9, 72(%rax); mov %r10, 80(%rax); mov %r11, 88(%rax); mov %r12, 96(%rax)\n"
    "mov %r13, 104(%rax); mov %r14, 112(%rax); mov %r15, 120(%rax)\n"
    ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n mov -128+\\n*8(%rsp), %rbx\n mov %rbx, 136+\\n*8(%rax)\n.endr\n"
    "cmpw $0, 134(%rax)\n jz 1f\n"
    ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n vmovdqu %ymm\\n, 264+\\n*32(%rax)\n.endr\n vzeroupper\n jmp 2f\n"
    "1:\n"
    ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n movdqu %xmm\\n, 264+\\n*32(%rax)\n.endr\n"
    "2: stmxcsr 128(%rax)\n fnstcw 132(%rax)\n fstpt 776(%rax)\n fstpt 792(%rax)\n fstpt 808(%rax)\n fninit\n ldmxcsr regs_default_mx(%rip)\n"
    "pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n ret\n"
    "regs_default_mx: .long 0x1f80\n.size regs_hold_asm, . - regs_hold_asm\n");
void regs_hold_asm(struct regs *want);

static inline void regs_hold(struct regs *want, struct regs *got, volatile uint64_t *stop)
{
	memset(got, 0, sizeof(*got));
	got->avx = want->avx;
	want->stop = want->r[5] = (uint64_t)stop;
	want->got = (uint64_t)got;
	regs_hold_asm(want);
}

static inline void regs_compare(const struct regs *want, const struct regs *got)
{
	for (int i = 1; i < 16; i++)
		if (want->r[i] != got->r[i])
			FAIL("register %d: %#lx, not %#lx", i, got->r[i], want->r[i]);
	EXPECT_EQ(got->mxcsr & 0xffc0, want->mxcsr & 0xffc0);
	EXPECT_EQ(got->fcw, want->fcw);
	EXPECT(!memcmp(got->red, want->red, sizeof(got->red)));
	EXPECT(!memcmp(got->vec, want->vec, sizeof(got->vec)));
	EXPECT(!memcmp(got->x87, want->x87, sizeof(got->x87)));
}

#endif /* SELFTESTS_APP_REGS_H */
