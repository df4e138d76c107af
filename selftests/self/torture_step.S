/* SPDX-License-Identifier: MIT */
/*
 * torture_step.S - see torture.h
 *
 * The frame at rsp: 0 the step, 8 the event (no register is left to hold it), 16 rax for a moment, 24 MXCSR and 28 the x87 control word of
 * the caller. Nothing between popfq and the event, nor between the event and pushfq, changes a flag.
 */
#include "torture.h"

	.text
	.globl	torture_step
	.type	torture_step, @function
	.balign	16
torture_step:
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	sub	$40, %rsp
	mov	%rdi, (%rsp)
	mov	T_EVENT(%rdi), %rax
	mov	%rax, 8(%rsp)
	stmxcsr	24(%rsp)
	fnstcw	28(%rsp)
	mov	%rsp, T_RSP(%rdi)

	mov	T_X_WANT(%rdi), %rbx
	mov	T_X_MASK(%rdi), %rax
	mov	%rax, %rdx
	shr	$32, %rdx
	test	%rax, %rax
	jz	1f
	xrstor64 (%rbx)
	jmp	2f
1:	fxrstor64 (%rbx)
2:	pushq	T_WANT_FLAGS(%rdi)
	popfq
	.set	i, 0
	.rept	16
	mov	T_RED_WANT + 8 * i(%rdi), %rax
	mov	%rax, -128 + 8 * i(%rsp)
	.set	i, i + 1
	.endr
	mov	%rdi, %rax
	mov	T_WANT + 8(%rax), %rbx
	mov	T_WANT + 16(%rax), %rcx
	mov	T_WANT + 24(%rax), %rdx
	mov	T_WANT + 32(%rax), %rsi
	mov	T_WANT + 40(%rax), %rdi
	mov	T_WANT + 48(%rax), %rbp
	mov	T_WANT + 64(%rax), %r8
	mov	T_WANT + 72(%rax), %r9
	mov	T_WANT + 80(%rax), %r10
	mov	T_WANT + 88(%rax), %r11
	mov	T_WANT + 96(%rax), %r12
	mov	T_WANT + 104(%rax), %r13
	mov	T_WANT + 112(%rax), %r14
	mov	T_WANT + 120(%rax), %r15
	mov	T_WANT(%rax), %rax
	jmp	*8(%rsp)

torture_after:
	mov	%rax, 16(%rsp)
	mov	(%rsp), %rax
	mov	%rbx, T_GOT + 8(%rax)
	mov	%rcx, T_GOT + 16(%rax)
	mov	%rdx, T_GOT + 24(%rax)
	mov	%rsi, T_GOT + 32(%rax)
	mov	%rdi, T_GOT + 40(%rax)
	mov	%rbp, T_GOT + 48(%rax)
	mov	%r8, T_GOT + 64(%rax)
	mov	%r9, T_GOT + 72(%rax)
	mov	%r10, T_GOT + 80(%rax)
	mov	%r11, T_GOT + 88(%rax)
	mov	%r12, T_GOT + 96(%rax)
	mov	%r13, T_GOT + 104(%rax)
	mov	%r14, T_GOT + 112(%rax)
	mov	%r15, T_GOT + 120(%rax)
	mov	16(%rsp), %rbx
	mov	%rbx, T_GOT(%rax)
	.set	i, 0
	.rept	16
	mov	-128 + 8 * i(%rsp), %rbx
	mov	%rbx, T_RED_GOT + 8 * i(%rax)
	.set	i, i + 1
	.endr
	pushfq
	popq	T_GOT_FLAGS(%rax)
	pushq	$0x202
	popfq

	mov	%rax, %rdi
	mov	T_X_GOT(%rdi), %rbx
	mov	T_X_MASK(%rdi), %rax
	mov	%rax, %rdx
	shr	$32, %rdx
	test	%rax, %rax
	jz	1f
	xsave64	(%rbx)
	jmp	2f
1:	fxsave64 (%rbx)
2:	fninit
	fldcw	28(%rsp)
	ldmxcsr	24(%rsp)
	test	$4, %al		/* AVX: leave no upper halves to slow down what follows */
	jz	3f
	vzeroupper
3:	add	$40, %rsp
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	ret
	.size	torture_step, . - torture_step

	.macro	event name
	.globl	torture_\name
	.type	torture_\name, @function
torture_\name:
	.endm

	event	nothing
	jmp	torture_after
	event	syscall
	syscall
	jmp	torture_after
	event	load
	mov	(%rsi), %rbx
	jmp	torture_after
	event	store
	mov	%rbx, (%rsi)
	jmp	torture_after
	event	ud2
	ud2
	jmp	torture_after
	event	int3
	int3
	jmp	torture_after
	event	div
	div	%rsi
	jmp	torture_after
	event	wait
1:	mov	(%rsi), %rcx
	jrcxz	1b
	jmp	torture_after
	event	call
	mov	(%rsp), %rax
	call	*T_CALL(%rax)
	jmp	torture_after

	event	clobber
	push	%rbx
	mov	$0x5a5a5a5a5a5a5a5a, %rax
	mov	%rax, %rcx
	mov	%rax, %rdx
	mov	%rax, %rsi
	mov	%rax, %r8
	mov	%rax, %r9
	mov	%rax, %r10
	mov	%rax, %r11
	fninit
	.rept	8
	fldpi
	.endr
	movl	$0x5f80, -8(%rsp)
	ldmxcsr	-8(%rsp)
	test	%edi, %edi
	jz	1f
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	vmovq	%rax, %xmm\n
	vpermilpd $0, %xmm\n, %xmm\n
	vinsertf128 $1, %xmm\n, %ymm\n, %ymm\n
	.endr
	jmp	2f
1:
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	movq	%rax, %xmm\n
	punpcklqdq %xmm\n, %xmm\n
	.endr
2:	fninit
	movl	$0x1f80, -8(%rsp)
	ldmxcsr	-8(%rsp)
	mov	%rax, %rdi
	pop	%rbx
	ret

	.section .note.GNU-stack, "", @progbits
