/* SPDX-License-Identifier: MIT */
/*
 * trap.h - what entry.S calls, and what kernel/trap.c implements
 *
 * Vector numbers, the meaning of #PF's error code, and the exception table: an instruction that may
 * fault on a process's memory has an entry (address of the instruction, address to go on at); the
 * fault handler looks there before it calls a kernel fault a bug.
 */
#ifndef RS_ARCH_TRAP_H
#define RS_ARCH_TRAP_H

#include "frame.h"

#define VEC_DE		0
#define VEC_DB		1
#define VEC_NMI		2
#define VEC_BP		3
#define VEC_OF		4
#define VEC_BR		5
#define VEC_UD		6
#define VEC_NM		7
#define VEC_DF		8
#define VEC_TS		10
#define VEC_NP		11
#define VEC_SS		12
#define VEC_GP		13
#define VEC_PF		14
#define VEC_MF		16
#define VEC_AC		17
#define VEC_MC		18
#define VEC_XM		19

#define PF_PRESENT	(1u << 0)
#define PF_WRITE	(1u << 1)
#define PF_USER		(1u << 2)
#define PF_RSVD		(1u << 3)
#define PF_FETCH	(1u << 4)
#define PF_PKEY		(1u << 5)

/**
 * rs_trap() - an exception or interrupt; from ring 3 the thread's state is as after rs_syscall()
 * when it returns
 */
void rs_trap(struct rs_frame *f);

/**
 * rs_syscall() - a SYSCALL from ring 3, number in f->error; the result goes to f->rax. Implemented
 * in syscall/.
 */
void rs_syscall(struct rs_frame *f);

/**
 * rs_return_to_user() - there is work (signals pending, ...) before ring 3 may go on; called by
 * entry.S when thread.work is not 0
 */
void rs_return_to_user(struct rs_frame *f);

/**
 * extable_fixup() - where to go on after a fault at @rip in the kernel; 0 when there is no entry
 */
u64 extable_fixup(u64 rip);

/** EXTABLE() - inside asm: a fault at label @from goes on at label @to */
#define EXTABLE(from, to)				\
	".pushsection .rs_extable, \"a\"\n"		\
	".balign 8\n"					\
	".quad " #from ", " #to "\n"			\
	".popsection\n"

#endif
