/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * run.S - into the guest and back
 *
 * The VMCS takes care of RIP, RSP, RFLAGS, segments and control registers of both sides. Here the
 * general-purpose registers are exchanged: the host's callee-saved ones are kept on the stack, the
 * guest's in struct rs_regs. A VM exit continues at rs_vmx_exit with RSP as it was at the entry,
 * which is why HOST_RSP must be the RSP of this very call.
 *
 * Order after an exit: save the guest's registers, zero them all (so that no speculated instruction
 * of the host uses a guest's value), then clean the return stack and restore IBRS before the first
 * RET.
 */
#include <linux/linkage.h>
#include <asm/alternative.h>
#include <asm/asm.h>
#include <asm/cpufeatures.h>
#include <asm/msr-index.h>
#include <asm/nospec-branch.h>
#include <asm/percpu.h>
#include <asm/unwind_hints.h>
#include "asm-offsets.h"

#define FIELD_HOST_RSP	0x6c14			/* checked against vmx.h in vmx.c */

	.text

/* int rs_vmx_run(struct rs_regs *regs, unsigned long *host_rsp, bool launched) */
SYM_FUNC_START(rs_vmx_run)
	push	%rbp				/* what the C caller wants back */
	push	%r15
	push	%r14
	push	%r13
	push	%r12
	push	%rbx
	push	%rdi				/* regs, for the way back */

	cmp	%rsp, (%rsi)			/* another stack than last time: tell the VMCS */
	jne	.Lnew_rsp
.Lrsp_ok:
	test	%dl, %dl			/* ZF: VMLAUNCH. The moves below leave it alone */

	mov	RS_REGS_RAX(%rdi), %rax
	mov	RS_REGS_RCX(%rdi), %rcx
	mov	RS_REGS_RDX(%rdi), %rdx
	mov	RS_REGS_RBX(%rdi), %rbx
	mov	RS_REGS_RBP(%rdi), %rbp
	mov	RS_REGS_RSI(%rdi), %rsi
	mov	RS_REGS_R8(%rdi), %r8
	mov	RS_REGS_R9(%rdi), %r9
	mov	RS_REGS_R10(%rdi), %r10
	mov	RS_REGS_R11(%rdi), %r11
	mov	RS_REGS_R12(%rdi), %r12
	mov	RS_REGS_R13(%rdi), %r13
	mov	RS_REGS_R14(%rdi), %r14
	mov	RS_REGS_R15(%rdi), %r15
	mov	RS_REGS_RDI(%rdi), %rdi		/* last: it was the pointer */
	jz	.Llaunch

	UNWIND_HINT_SAVE			/* the exit comes back with this stack */
#ifdef X86_FEATURE_CLEAR_CPU_BUF
	CLEAR_CPU_BUFFERS			/* VERW on CPUs with MDS; spoils ZF */
#endif
.Lresume:
	vmresume
	jmp	.Lfail				/* refused before it began */

.Llaunch:
#ifdef X86_FEATURE_CLEAR_CPU_BUF
	CLEAR_CPU_BUFFERS
#endif
.Lvmlaunch:
	vmlaunch
	jmp	.Lfail

.Lnew_rsp:
	mov	%rsp, (%rsi)
	mov	$FIELD_HOST_RSP, %eax
	vmwrite	%rsp, %rax
	jmp	.Lrsp_ok

SYM_INNER_LABEL(rs_vmx_exit, SYM_L_GLOBAL)	/* HOST_RIP */
	UNWIND_HINT_RESTORE
	ENDBR
	push	%rax				/* a free register to find regs with */
	mov	8(%rsp), %rax
	pop	RS_REGS_RAX(%rax)
	mov	%rcx, RS_REGS_RCX(%rax)
	mov	%rdx, RS_REGS_RDX(%rax)
	mov	%rbx, RS_REGS_RBX(%rax)
	mov	%rbp, RS_REGS_RBP(%rax)
	mov	%rsi, RS_REGS_RSI(%rax)
	mov	%rdi, RS_REGS_RDI(%rax)
	mov	%r8, RS_REGS_R8(%rax)
	mov	%r9, RS_REGS_R9(%rax)
	mov	%r10, RS_REGS_R10(%rax)
	mov	%r11, RS_REGS_R11(%rax)
	mov	%r12, RS_REGS_R12(%rax)
	mov	%r13, RS_REGS_R13(%rax)
	mov	%r14, RS_REGS_R14(%rax)
	mov	%r15, RS_REGS_R15(%rax)
	xor	%ebx, %ebx			/* result: exited */
.Lclear:
	pop	%rax				/* drop regs */
	xor	%eax, %eax
	xor	%ecx, %ecx
	xor	%edx, %edx
	xor	%esi, %esi
	xor	%edi, %edi
	xor	%ebp, %ebp
	xor	%r8d, %r8d
	xor	%r9d, %r9d
	xor	%r10d, %r10d
	xor	%r11d, %r11d
	xor	%r12d, %r12d
	xor	%r13d, %r13d
	xor	%r14d, %r14d
	xor	%r15d, %r15d

	/*
	 * The return stack may hold the guest's entries. Refills it, or retires one call, where
	 * this CPU needs that.
	 */
	FILL_RETURN_BUFFER %rcx, RSB_CLEAR_LOOPS, X86_FEATURE_RSB_VMEXIT, \
			   X86_FEATURE_RSB_VMEXIT_LITE

	/*
	 * SPEC_CTRL keeps the host's value in the guest, which cannot reach it. But legacy IBRS has
	 * to be written again after each step to more privilege, even with the value it has.
	 */
	ALTERNATIVE "jmp .Librs_done", "", X86_FEATURE_KERNEL_IBRS
	mov	PER_CPU_VAR(x86_spec_ctrl_current), %rdx
	mov	%edx, %eax
	shr	$32, %rdx
	mov	$MSR_IA32_SPEC_CTRL, %ecx
	wrmsr
.Librs_done:
#ifdef X86_FEATURE_CLEAR_BHB_LOOP_ON_VMEXIT
	CLEAR_BRANCH_HISTORY_VMEXIT
#endif
	mov	%ebx, %eax
	pop	%rbx
	pop	%r12
	pop	%r13
	pop	%r14
	pop	%r15
	pop	%rbp
	RET

.Lfail:						/* the registers are the guest's still */
	mov	$1, %ebx
	jmp	.Lclear

	_ASM_EXTABLE(.Lresume, .Lfail)
	_ASM_EXTABLE(.Lvmlaunch, .Lfail)
SYM_FUNC_END(rs_vmx_run)
