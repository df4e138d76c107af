/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * run.S - the way into the guest and back
 *
 * void rs_svm_run(struct rs_regs *regs, u64 vmcb_pa, u64 host_pa), interrupts off.
 *
 * Interrupts. GIF = 0 from CLGI to STGI holds off everything, NMIs included, while the host's GS
 * base is not there. With V_INTR_MASKING the host's RFLAGS.IF at VMRUN says whether physical
 * interrupts make the guest exit, so it is set around VMRUN (APM 15.21.1); GIF = 0 keeps them from
 * being taken here. An NMI that ended the guest's run is taken at STGI, a maskable interrupt
 * when the caller turns them on.
 *
 * After the exit all registers but RAX (vmcb_pa again) and RSP are the guest's. What is needed lies
 * on the stack. Before the first RET the return stack and return predictions of the guest are made
 * useless, then its register values are wiped.
 */
#include <linux/linkage.h>
#include <asm/asm.h>
#include <asm/cpufeatures.h>
#include <asm/nospec-branch.h>
#include "asm-offsets.h"

.section .noinstr.text, "ax"

SYM_FUNC_START(rs_svm_run)
	push	%rbp
	push	%r15
	push	%r14
	push	%r13
	push	%r12
	push	%rbx

	push	%rdi			/* regs, wanted second after the exit */
	push	%rdx			/* host_pa, wanted first */
	mov	%rsi, %rax		/* vmcb_pa */

	clgi
	vmload	%rax			/* FS GS TR LDTR and system call MSRs: now the guest's */

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
	sti
	mov	RS_REGS_RDI(%rdi), %rdi	/* not VMRUN: the shadow of STI must not reach the guest */
#ifdef VM_CLEAR_CPU_BUFFERS
	VM_CLEAR_CPU_BUFFERS		/* changes flags only */
#endif

	vmrun	%rax
	cli

	vmsave	%rax
	pop	%rax
	vmload	%rax			/* the host's; per-CPU data is there again */

	pop	%rax			/* regs */
	mov	%rcx, RS_REGS_RCX(%rax)
	mov	%rdx, RS_REGS_RDX(%rax)
	mov	%rbx, RS_REGS_RBX(%rax)
	mov	%rbp, RS_REGS_RBP(%rax)
	mov	%rsi, RS_REGS_RSI(%rax)
	mov	%rdi, RS_REGS_RDI(%rax)
	mov	%r8,  RS_REGS_R8(%rax)
	mov	%r9,  RS_REGS_R9(%rax)
	mov	%r10, RS_REGS_R10(%rax)
	mov	%r11, RS_REGS_R11(%rax)
	mov	%r12, RS_REGS_R12(%rax)
	mov	%r13, RS_REGS_R13(%rax)
	mov	%r14, RS_REGS_R14(%rax)
	mov	%r15, RS_REGS_R15(%rax)

	/* Return stack: each macro is empty where the CPU or the configuration does not need it. */
	FILL_RETURN_BUFFER %rax, RSB_CLEAR_LOOPS, X86_FEATURE_RSB_VMEXIT
	/* May use RAX, RCX, RDX, which hold nothing any more. */
#ifdef UNTRAIN_RET_VM
	UNTRAIN_RET_VM
#else
	UNTRAIN_RET
#ifdef X86_FEATURE_IBPB_ON_VMEXIT
	ALTERNATIVE "", "call entry_ibpb", X86_FEATURE_IBPB_ON_VMEXIT
#endif
#endif

	/*
	 * No speculation on the guest's values. RAX was overwritten, RBX, RBP, R12-R15 are popped,
	 * but wiping them first is free.
	 */
	xor	%eax, %eax
	xor	%ecx, %ecx
	xor	%edx, %edx
	xor	%ebx, %ebx
	xor	%ebp, %ebp
	xor	%esi, %esi
	xor	%edi, %edi
	xor	%r8d, %r8d
	xor	%r9d, %r9d
	xor	%r10d, %r10d
	xor	%r11d, %r11d
	xor	%r12d, %r12d
	xor	%r13d, %r13d
	xor	%r14d, %r14d
	xor	%r15d, %r15d

	stgi				/* a pending NMI is taken here */

	pop	%rbx
	pop	%r12
	pop	%r13
	pop	%r14
	pop	%r15
	pop	%rbp
	RET
SYM_FUNC_END(rs_svm_run)
