/* SPDX-License-Identifier: MIT */
/*
 * user.S - ring 3 of a program in ring 0: there, and back by rs_ring0_user_exit()
 *
 * self_user() leaves on the stack what it returns with, and in the vCPU where that is. Handlers that run for ring 3 find their place below
 * it when it is on the trap stack: so they may come here once more.
 */
#include "layout.h"

	.text

/* int self_user(struct self_vcpu *v rdi, const struct rs_trap_frame *f rsi) */
	.globl	self_user
	.hidden	self_user
	.type	self_user, @function
self_user:
	.cfi_startproc
	pushfq
	pushq	%rbp
	pushq	%rbx
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	subq	$8, %rsp
	stmxcsr	(%rsp)
	fnstcw	4(%rsp)
	.cfi_adjust_cfa_offset 64
	cli
	cld
	movq	%rdi, %rdx
	pushq	RS_V_TRAP_TOP(%rdx)
	pushq	RS_V_USER_CONTEXT(%rdx)
	.cfi_adjust_cfa_offset 16
	leaq	RS_V_STAGING(%rdx), %rdi
	movl	$RS_F_SIZE / 8, %ecx
	rep movsq
	orq	$3, RS_V_STAGING + RS_F_CS(%rdx)
	movq	%rsp, RS_V_USER_CONTEXT(%rdx)
	movq	%rsp, %rax
	cmpq	RS_V_BLOCK(%rdx), %rax
	jb	1f
	cmpq	RS_V_TRAP_END(%rdx), %rax
	jae	1f
	movq	%rax, RS_V_TRAP_TOP(%rdx)
1:	jmp	*RS_V_RESUME(%rdx)
	.cfi_endproc
	.size	self_user, . - self_user

/* void self_user_exit(struct self_vcpu *v rdi, int value rsi): self_user() returns */
	.globl	self_user_exit
	.hidden	self_user_exit
	.type	self_user_exit, @function
self_user_exit:
	.cfi_startproc
	.cfi_undefined rip
	cli
	movq	RS_V_USER_CONTEXT(%rdi), %rsp
	popq	RS_V_USER_CONTEXT(%rdi)
	popq	RS_V_TRAP_TOP(%rdi)
	fninit
	fldcw	4(%rsp)
	ldmxcsr	(%rsp)
	addq	$8, %rsp
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbx
	popq	%rbp
	movl	%esi, %eax
	popfq
	ret
	.cfi_endproc
	.size	self_user_exit, . - self_user_exit

/* void self_resume(struct self_vcpu *v rdi, const struct rs_trap_frame *f rsi) */
	.globl	self_resume
	.hidden	self_resume
	.type	self_resume, @function
self_resume:
	.cfi_startproc
	.cfi_undefined rip
	cli
	cld
	movq	%rdi, %rdx
	leaq	RS_V_STAGING(%rdx), %rdi
	movl	$RS_F_SIZE / 8, %ecx
	rep movsq
	jmp	*RS_V_RESUME(%rdx)
	.cfi_endproc
	.size	self_resume, . - self_resume

/* long self_linux(const struct rs_trap_frame *f rdi): the system call */
	.globl	self_linux
	.hidden	self_linux
	.type	self_linux, @function
self_linux:
	.cfi_startproc
	LOAD_CALL
	syscall
	ret
	.cfi_endproc
	.size	self_linux, . - self_linux

	.section .note.GNU-stack, "", @progbits
