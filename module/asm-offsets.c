// SPDX-License-Identifier: GPL-2.0-only
/*
 * asm-offsets.c - offsets of structure members for svm/run.S and vmx/run.S
 *
 * Compiled to assembly only; Kbuild turns the marked lines into asm-offsets.h, so that assembly
 * never counts bytes of a C structure.
 */
#define RS_ASM_OFFSETS
#include <linux/kbuild.h>
#include <linux/stddef.h>
#include "vcpu.h"

static void __used offsets(void)
{
	OFFSET(RS_REGS_RAX, rs_regs, rax);
	OFFSET(RS_REGS_RCX, rs_regs, rcx);
	OFFSET(RS_REGS_RDX, rs_regs, rdx);
	OFFSET(RS_REGS_RBX, rs_regs, rbx);
	OFFSET(RS_REGS_RBP, rs_regs, rbp);
	OFFSET(RS_REGS_RSI, rs_regs, rsi);
	OFFSET(RS_REGS_RDI, rs_regs, rdi);
	OFFSET(RS_REGS_R8, rs_regs, r8);
	OFFSET(RS_REGS_R9, rs_regs, r9);
	OFFSET(RS_REGS_R10, rs_regs, r10);
	OFFSET(RS_REGS_R11, rs_regs, r11);
	OFFSET(RS_REGS_R12, rs_regs, r12);
	OFFSET(RS_REGS_R13, rs_regs, r13);
	OFFSET(RS_REGS_R14, rs_regs, r14);
	OFFSET(RS_REGS_R15, rs_regs, r15);
}
