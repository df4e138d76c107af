/* SPDX-License-Identifier: MIT */
/*
 * switch.S - from one kernel stack to another
 *
 * A thread that does not run has, on top of its stack, what the ABI says a function preserves, and
 * the address to go on at. A thread that has never run begins at rs_thread_begin, with its frame of
 * ring 3 right above.
 */
	.text

/* rs_switch_stack(u64 *save, u64 load) */
	.globl	rs_switch_stack
rs_switch_stack:
	push	%rbp
	push	%rbx
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	mov	%rsp, (%rdi)
	mov	%rsi, %rsp
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbx
	pop	%rbp
	ret

	.globl	rs_thread_begin
rs_thread_begin:
	call	rs_thread_first
	mov	%rsp, %rdi
	jmp	enter_user

	.section .note.GNU-stack, "", @progbits
