/* SPDX-License-Identifier: MIT */
/*
 * uthread_switch.S - from one user thread to another
 *
 * The ABI (System V, x86-64) says what a function leaves as it was, and so what has to be kept:
 * rbx, rbp, rsp, r12 to r15, the control bits of mxcsr and the x87 control word. The registers
 * stay on the stack that is left, below the address to go on at, the rest is in struct rs_uthread.
 * All that are switched from look the same, so it does not matter by which of the two ways they go
 * on.
 *
 *	rs_uthread_switch()	the common case: the other one waits to be switched to, which is one
 *				comparison (struct rs_uthread.in); all others go to uthread.c
 *	rs_uthread_swap()	uthread.c has decided
 *
 * The alarm may come between any two instructions. Code between rs_uthread_text and
 * rs_uthread_text_end is not preempted (rs_uthread_tick()).
 *
 * The call frame information holds on both sides of the change of stacks, as both look the same;
 * so does a debugger's backtrace. It ends at rs_uthread_first, by its undefined return address,
 * and a chain of frame pointers at the rbp of 0 that a new stack has.
 */
#include "internal.h"

	.text
	.globl	rs_uthread_text
	.hidden	rs_uthread_text
rs_uthread_text:

	/* From the current one (rcx), of the kernel thread at rax, to rdi. */
	.macro	SWAP
	push	%rbp
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %rbp, 0
	push	%rbx
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %rbx, 0
	push	%r12
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r12, 0
	push	%r13
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r13, 0
	push	%r14
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r14, 0
	push	%r15
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %r15, 0
	stmxcsr	UT_MXCSR(%rcx)
	fnstcw	UT_FCW(%rcx)
	mov	%rsp, UT_SP(%rcx)
	mov	%rdi, HOME_CURRENT(%rax)
	mov	UT_SP(%rdi), %rsp
	ldmxcsr	UT_MXCSR(%rdi)
	fldcw	UT_FCW(%rdi)
	pop	%r15
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r15
	pop	%r14
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r14
	pop	%r13
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r13
	pop	%r12
	.cfi_adjust_cfa_offset -8
	.cfi_restore %r12
	pop	%rbx
	.cfi_adjust_cfa_offset -8
	.cfi_restore %rbx
	pop	%rbp
	.cfi_adjust_cfa_offset -8
	.cfi_restore %rbp
	.endm

/* int rs_uthread_switch(struct rs_uthread *to, void *value) */
	.globl	rs_uthread_switch
	.type	rs_uthread_switch, @function
	.balign	64
rs_uthread_switch:
	.cfi_startproc
	mov	rs_uthread_home@gottpoff(%rip), %rax
	add	%fs:0, %rax
	test	%rdi, %rdi
	jz	1f
	cmp	%rax, UT_IN(%rdi)
	jne	1f
	mov	HOME_CURRENT(%rax), %rcx
	mov	%rsi, UT_VALUE(%rdi)
	movq	$0, UT_IN(%rdi)
	mov	%rax, UT_IN(%rcx)
	SWAP
	xor	%eax, %eax
	ret
1:	jmp	rs_uthread_switch_slow
	.cfi_endproc
	.size	rs_uthread_switch, . - rs_uthread_switch

/* void rs_uthread_swap(struct uthread_home *home, struct rs_uthread *to) */
	.globl	rs_uthread_swap
	.hidden	rs_uthread_swap
	.type	rs_uthread_swap, @function
	.balign	16
rs_uthread_swap:
	.cfi_startproc
	mov	%rdi, %rax
	mov	%rsi, %rdi
	mov	HOME_CURRENT(%rax), %rcx
	SWAP
	xor	%eax, %eax
	ret
	.cfi_endproc
	.size	rs_uthread_swap, . - rs_uthread_swap

/* Where a new one begins, with itself in rbx, 0 in rbp, and rsp a multiple of 16. */
	.globl	rs_uthread_first
	.hidden	rs_uthread_first
	.type	rs_uthread_first, @function
	.balign	16
rs_uthread_first:
	.cfi_startproc
	.cfi_undefined %rip
	mov	%rbx, %rdi
	call	rs_uthread_begin
	ud2
	.cfi_endproc
	.size	rs_uthread_first, . - rs_uthread_first

	.globl	rs_uthread_text_end
	.hidden	rs_uthread_text_end
rs_uthread_text_end:

	.section .note.GNU-stack, "", @progbits
