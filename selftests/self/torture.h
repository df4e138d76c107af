/* SPDX-License-Identifier: MIT */
/*
 * torture.h - one step of torture_test.c: all registers are loaded, something happens, all registers are stored
 *
 * torture_step() loads what @want and @x_want say, goes to @event with rsp at a frame of its own (the 128 bytes below it are @red_want), and
 * stores what it finds when that has come back. rsp, FS and GS are the caller's. What an event may count on: 64-bit registers only as in
 * @want; that it ends by a jump to torture_after with rsp as it was.
 */
#ifndef SELFTESTS_SELF_TORTURE_H
#define SELFTESTS_SELF_TORTURE_H

#define T_WANT		0	/* rax rbx rcx rdx rsi rdi rbp (none) r8 .. r15 */
#define T_WANT_FLAGS	128
#define T_RED_WANT	136
#define T_GOT		264
#define T_GOT_FLAGS	392
#define T_RED_GOT	400
#define T_EVENT		528
#define T_X_WANT	536
#define T_X_GOT		544
#define T_X_MASK	552
#define T_RSP		560
#define T_CALL		568

#ifndef __ASSEMBLER__
#include <stddef.h>
#include <stdint.h>

enum { RAX, RBX, RCX, RDX, RSI, RDI, RBP, NO_REG, R8, R9, R10, R11, R12, R13, R14, R15, REGS };

struct step {
	uint64_t want[REGS], want_flags, red_want[16];
	uint64_t got[REGS], got_flags, red_got[16];
	void (*event)(void);
	uint8_t *x_want, *x_got;	/* 64 bytes aligned; @x_mask: XSAVE's, 0: FXSAVE */
	uint64_t x_mask;
	uint64_t rsp;
	void (*call)(void);		/* of torture_call */
};

void torture_step(struct step *s);

/* Everything that C code may change, and all of the vector state, is something else. @avx: upper halves too */
void torture_clobber(int avx);

/* What happens. Where it is a fault, the length of the instruction is beside it. */
void torture_nothing(void);
void torture_syscall(void);
void torture_load(void);	/* rbx = (rsi) */
void torture_store(void);	/* (rsi) = rbx */
void torture_ud2(void);
void torture_int3(void);
void torture_div(void);		/* by rsi */
void torture_wait(void);	/* rcx = (rsi), until it is not 0 */
void torture_call(void);	/* @call, a C function: what that keeps, is kept */
#define LEN_SYSCALL	2
#define LEN_LOAD	3
#define LEN_STORE	3
#define LEN_UD2		2
#define LEN_DIV		3

#define T_IS(field, at) _Static_assert(offsetof(struct step, field) == (at), #field)
T_IS(want_flags, T_WANT_FLAGS);
T_IS(red_want, T_RED_WANT);
T_IS(got, T_GOT);
T_IS(got_flags, T_GOT_FLAGS);
T_IS(red_got, T_RED_GOT);
T_IS(event, T_EVENT);
T_IS(x_want, T_X_WANT);
T_IS(x_got, T_X_GOT);
T_IS(x_mask, T_X_MASK);
T_IS(rsp, T_RSP);
T_IS(call, T_CALL);
#undef T_IS
#endif
#endif /* SELFTESTS_SELF_TORTURE_H */
