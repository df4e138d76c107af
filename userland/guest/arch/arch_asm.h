/* SPDX-License-Identifier: MIT */
/*
 * arch_asm.h - what C and entry.S must agree on
 */
#ifndef RS_ARCH_ASM_H
#define RS_ARCH_ASM_H

#include "frame.h"

#define SYSCALL_STUB_SIZE	32
#define TRAP_STUB_SIZE		16

/* RFLAGS that SYSCALL clears: the value Linux has, so that the MSR need not be switched. */
#define SYSCALL_MASK	(RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_TF | \
			 RFLAGS_IF | RFLAGS_DF | RFLAGS_OF | RFLAGS_IOPL | RFLAGS_NT | RFLAGS_RF | \
			 RFLAGS_AC | RFLAGS_ID)

/*
 * System calls below RS_FIELD_CALLS that only tell a u32 of struct process have its offset here,
 * the others 0 (kernel/fields.c). Emptied when calls are traced.
 */
#define RS_FIELD_CALLS		512
extern u16 rs_syscall_field[RS_FIELD_CALLS];

extern char rs_syscall_stubs[], rs_trap_stubs[];

/** rs_main() - kernel/main.c: the first C function of a CPU */
struct rs_boot;
void rs_main(struct rs_boot *boot, unsigned int cpu) __attribute__((noreturn));
/** rs_bad_rip() - ring 3 is about to go on at an address outside the lower half */
void rs_bad_rip(struct rs_frame *f);

#endif
