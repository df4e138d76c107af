/* SPDX-License-Identifier: MIT */
/*
 * entry.S - the three places where the instruction counts
 *
 * 1. rs_host_call: a signal handler that runs before the SYSCALL instruction has executed must keep
 *    a blocking call from starting, or the signal would wait until the call ends by itself. Between
 *    _begin and _end nothing has happened yet: a handler that finds the thread there sends it to
 *    _interrupted. On _end and later the kernel has seen the signal itself and the call has
 *    returned.
 * 2. rs_copy_*: memory of the guest may be inaccessible (beyond the end of a mapped file). SIGSEGV
 *    and SIGBUS between _begin and _end send the thread to _faulted.
 * 3. rs_slow: C code with vector registers runs between saving and restoring the guest's. XSAVE
 *    leaves out protection keys and tile data, which no code of ours touches; without OSXSAVE it is
 *    FXSAVE.
 */

#define EINTR	4
#define EFAULT	14

	.text

/* long rs_host_call(long nr rdi, const long args[6] rsi, const u64 *pending rdx) */
	.globl	rs_host_call
	.type	rs_host_call, @function
rs_host_call:
	movq	%rdi, %rax
	movq	%rdx, %rcx		/* RCX and R11 are lost in SYSCALL anyway */
	movq	%rsi, %r11
	movq	0(%r11), %rdi
	movq	8(%r11), %rsi
	movq	16(%r11), %rdx
	movq	24(%r11), %r10
	movq	32(%r11), %r8
	movq	40(%r11), %r9
	.globl	rs_host_call_begin
rs_host_call_begin:
	cmpq	$0, (%rcx)
	jne	rs_host_call_interrupted
	syscall
	.globl	rs_host_call_end
rs_host_call_end:
	ret
	.globl	rs_host_call_interrupted
rs_host_call_interrupted:
	movq	$-EINTR, %rax
	ret
	.size	rs_host_call, . - rs_host_call

/* long rs_copy_from_guest(void *dst rdi, const void *src rsi, unsigned long n rdx) */
	.globl	rs_copy_from_guest
	.globl	rs_copy_to_guest
	.type	rs_copy_from_guest, @function
	.type	rs_copy_to_guest, @function
rs_copy_from_guest:
rs_copy_to_guest:
	movq	%rdx, %rcx
	xorl	%eax, %eax
	.globl	rs_copy_begin
rs_copy_begin:
	rep movsb
	.globl	rs_copy_end
rs_copy_end:
	ret
	.globl	rs_copy_faulted
rs_copy_faulted:
	movq	$-EFAULT, %rax
	ret
	.size	rs_copy_from_guest, . - rs_copy_from_guest
	.size	rs_copy_to_guest, . - rs_copy_to_guest

/*
 * long rs_slow(long (*fn)(void *) rdi, void *arg rsi, void *area rdx)
 * RBX keeps the area, R12 the result; the stack is aligned for the call by the two pushes and
 * RBP's.
 */
	.globl	rs_slow
	.type	rs_slow, @function
rs_slow:
	pushq	%rbp
	movq	%rsp, %rbp
	pushq	%rbx
	pushq	%r12
	movq	%rdx, %rbx
	movq	%rdi, %rcx
	movq	%rsi, %rdi
	cmpl	$0, rs_vector_xsave(%rip)
	je	1f
	movl	rs_vector_mask(%rip), %eax
	movl	rs_vector_mask+4(%rip), %edx
	xsave64	(%rbx)
	jmp	2f
1:	fxsave64 (%rbx)
	/* The guest may have unmasked exceptions: libc gets the ABI's initial state. */
2:	fninit
	ldmxcsr	rs_initial_mxcsr(%rip)
	call	*%rcx
	movq	%rax, %r12
	cmpl	$0, rs_vector_xsave(%rip)
	je	3f
	movl	rs_vector_mask(%rip), %eax
	movl	rs_vector_mask+4(%rip), %edx
	xrstor64 (%rbx)
	jmp	4f
3:	fxrstor64 (%rbx)
4:	movq	%r12, %rax
	popq	%r12
	popq	%rbx
	popq	%rbp
	ret
	.size	rs_slow, . - rs_slow

	.section .rodata
	.balign	4
rs_initial_mxcsr:
	.long	0x1f80

	.section .note.GNU-stack, "", @progbits
