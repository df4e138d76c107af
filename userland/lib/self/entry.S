/* SPDX-License-Identifier: MIT */
/*
 * entry.S - self-entry: the way in
 */


	.text

/*
 * int rs_enter(unsigned flags): struct self_caller on the stack is what the program goes on with when it is inside, as if this had
 * returned 0.
 */
	.globl	rs_enter
	.type	rs_enter, @function
rs_enter:
	.cfi_startproc
	endbr64
	subq	$72, %rsp
	.cfi_adjust_cfa_offset 72
	movq	%rbx, 0(%rsp)
	movq	%rbp, 8(%rsp)
	movq	%r12, 16(%rsp)
	movq	%r13, 24(%rsp)
	movq	%r14, 32(%rsp)
	movq	%r15, 40(%rsp)
	leaq	80(%rsp), %rax
	movq	%rax, 48(%rsp)		/* rsp behind the return */
	movq	72(%rsp), %rax
	movq	%rax, 56(%rsp)		/* rip */
	movq	%rsp, %rsi
	call	self_enter
	/* It is back: it failed. */
	addq	$72, %rsp
	.cfi_adjust_cfa_offset -72
	ret
	.cfi_endproc
	.size	rs_enter, . - rs_enter

	.section .note.GNU-stack, "", @progbits
