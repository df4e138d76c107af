/* SPDX-License-Identifier: MIT */
/*
 * frame.h - the registers of whoever was interrupted
 *
 * One layout for all ways into the kernel: exceptions, interrupts and SYSCALL. It lies at the top
 * of the kernel stack (ring 3) or wherever the kernel was (ring 0). entry.S builds it; its offsets
 * there are checked against this structure at compile time (arch/trap.c).
 *
 * What is changed here is what the interrupted code finds when it goes on: a system call's result
 * goes into rax. A system call that changes any other register (sigreturn, exec) says so with
 * vector = RS_VECTOR_RESTORED: without that the way back is SYSRET, and what the call's C code
 * preserves anyway is not loaded again. rs_return_to_user() may change all.
 */
#ifndef RS_ARCH_FRAME_H
#define RS_ARCH_FRAME_H

#include "../lib/types.h"

/* frame.vector of a SYSCALL; frame.error is then the system call's number. */
#define RS_VECTOR_SYSCALL	0x100

#define RS_VECTOR_RESTORED	0x101	/* was a SYSCALL, which has replaced all registers */

struct rs_frame {
	u64 r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8;
	u64 rax, rcx, rdx, rsi, rdi;
	u64 vector;
	u64 error;	/* error code, 0 for vectors without one; system call number */
	u64 rip, cs, rflags, rsp, ss;
};

static inline bool frame_from_user(const struct rs_frame *f)
{
	return (f->cs & 3) == 3;
}

#define RFLAGS_CF	(1ul << 0)
#define RFLAGS_FIXED	(1ul << 1)
#define RFLAGS_PF	(1ul << 2)
#define RFLAGS_AF	(1ul << 4)
#define RFLAGS_ZF	(1ul << 6)
#define RFLAGS_SF	(1ul << 7)
#define RFLAGS_TF	(1ul << 8)
#define RFLAGS_IF	(1ul << 9)
#define RFLAGS_DF	(1ul << 10)
#define RFLAGS_OF	(1ul << 11)
#define RFLAGS_IOPL	(3ul << 12)
#define RFLAGS_NT	(1ul << 14)
#define RFLAGS_RF	(1ul << 16)
#define RFLAGS_AC	(1ul << 18)
#define RFLAGS_ID	(1ul << 21)
/* What a process may choose (sigreturn); the rest is as frame_set_flags() leaves it. */
#define RFLAGS_USER	(RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_TF | \
			 RFLAGS_DF | RFLAGS_OF | RFLAGS_RF | RFLAGS_AC)

/**
 * frame_set_flags() - takes the bits a process may choose from @flags, forces the rest (IF on, IOPL
 * 0)
 */
static inline void frame_set_flags(struct rs_frame *f, u64 flags)
{
	f->rflags = (flags & RFLAGS_USER) | RFLAGS_FIXED | RFLAGS_IF;
}

#endif
