/* SPDX-License-Identifier: MIT */
/*
 * start.S - entry, exception stubs, ring 3 and back, and the checks that need exact control of
 * registers
 *
 * Exceptions run on the current stack in ring 0, on TSS.RSP0 (the stack below the frame of
 * g_user_enter) from ring 3.
 */

	.section .entry, "ax"
	.globl _start
_start:
	cld
	call	g_main
	ud2

	.text

/* --- exceptions: a frame of struct g_frame, then C ---------------------- */

	.macro	STUB n
	.p2align 4
	/*
	 * The CPU pushes an error code for these, but not for INT n: then only the vector is right.
	 */
	.if	(\n < 32) && ((0x60227d00 >> (\n & 31)) & 1)
	.else
	pushq	$0
	.endif
	pushq	$\n
	jmp	common
	.endm

	.p2align 4
	.globl	g_stubs
g_stubs:
	.set	n, 0
	.rept	256
	STUB	n
	.set	n, n + 1
	.endr

common:
	pushq	%rax
	pushq	%rbx
	pushq	%rcx
	pushq	%rdx
	pushq	%rsi
	pushq	%rdi
	pushq	%rbp
	pushq	%r8
	pushq	%r9
	pushq	%r10
	pushq	%r11
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	cld
	movq	%rsp, %rdi
	movq	%rsp, %rbx
	andq	$-16, %rsp
	call	g_trap
	movq	%rbx, %rsp
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%r11
	popq	%r10
	popq	%r9
	popq	%r8
	popq	%rbp
	popq	%rdi
	popq	%rsi
	popq	%rdx
	popq	%rcx
	popq	%rbx
	popq	%rax
	addq	$16, %rsp
	iretq

/* --- a call that may end with an exception ------------------------------ */

/* long g_try(void (*fn)(u64), u64 arg, struct g_jump *): 0, or what g_jump_back() gives */
	.globl	g_try
g_try:
	pushfq
	popq	%rax
	movq	%rax, 56(%rdx)
	movq	%rbx, 0(%rdx)
	movq	%rbp, 8(%rdx)
	movq	%r12, 16(%rdx)
	movq	%r13, 24(%rdx)
	movq	%r14, 32(%rdx)
	movq	%r15, 40(%rdx)
	movq	%rsp, 48(%rdx)
	movq	%rdi, %rax
	movq	%rsi, %rdi
	subq	$8, %rsp
	call	*%rax
	addq	$8, %rsp
	xorl	%eax, %eax
	ret

/*
 * void g_jump_back(struct g_jump *, long value): return from g_try or g_user_enter once more, with
 * value
 */
	.globl	g_jump_back
g_jump_back:
	movq	0(%rdi), %rbx
	movq	8(%rdi), %rbp
	movq	16(%rdi), %r12
	movq	24(%rdi), %r13
	movq	32(%rdi), %r14
	movq	40(%rdi), %r15
	movq	48(%rdi), %rsp
	pushq	56(%rdi)
	popfq
	movq	%rsi, %rax
	ret

/*
 * long g_user_enter(rip, arg, struct g_jump *, user rsp, u64 *rsp0): to ring 3; returns by
 * g_jump_back
 */
	.globl	g_user_enter
g_user_enter:
	pushfq
	popq	%rax
	movq	%rax, 56(%rdx)
	movq	%rbx, 0(%rdx)
	movq	%rbp, 8(%rdx)
	movq	%r12, 16(%rdx)
	movq	%r13, 24(%rdx)
	movq	%r14, 32(%rdx)
	movq	%r15, 40(%rdx)
	movq	%rsp, 48(%rdx)
	leaq	-64(%rsp), %r9
	andq	$-16, %r9
	movq	%r9, (%r8)
	pushq	$0x2b
	pushq	%rcx
	pushq	$0x202
	pushq	$0x33
	pushq	%rdi
	movq	%rsi, %rdi
	iretq

/* --- code for ring 3, one snippet per enum g_user ----------------------- */

	.globl	gu_leave, gu_cli, gu_read, gu_vmcall, gu_vmmcall, gu_syscall, gu_in
	.globl	gu_hlt, gu_ud2, gu_loop
gu_leave:
	int	$0x81
gu_cli:
	cli
	int	$0x81
gu_read:
	movq	(%rdi), %rax
	int	$0x81
gu_vmcall:
	xorl	%eax, %eax
	vmcall
	int	$0x81
gu_vmmcall:
	xorl	%eax, %eax
	vmmcall
	int	$0x81
gu_syscall:
	movq	%rdi, %rbx
1:	syscall
	decq	%rbx
	jnz	1b
	int	$0x81
gu_in:
	movl	%edi, %edx
	inb	%dx, %al
	int	$0x81
gu_hlt:
	hlt
	int	$0x81
gu_ud2:
	ud2
gu_loop:
	jmp	gu_loop

/* LSTAR: counts at GS:0 (struct g_cpu), interrupts off by SFMASK, and straight back */
	.globl	g_syscall_entry
g_syscall_entry:
	movq	%gs:0, %rax
	incq	(%rax)
	sysretq

/* void g_int_table: 256 times "INT n; RET", 16 bytes each */
	.p2align 4
	.globl	g_int_table
g_int_table:
	.set	n, 0
	.rept	256
	.p2align 4
	.byte	0xcd, n
	ret
	.set	n, n + 1
	.endr

/* --- registers over a hypercall ----------------------------------------- */

/*
 * u64 g_gprs(u64 nr, u64 vmx): a pattern in every register but RAX and RSP, the hypercall, and the
 * comparison. Returns a bit per register that changed, in the order of the checks below.
 */
	.globl	g_gprs
g_gprs:
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	movq	%rdi, %rax
	testq	%rsi, %rsi
	movq	$0x1111111111111111, %rbx
	movq	$0x2222222222222222, %rcx
	movq	$0x3333333333333333, %rdx
	movq	$0x4444444444444444, %rsi
	movq	$0x5555555555555555, %rdi
	movq	$0x6666666666666666, %rbp
	movq	$0x7777777777777777, %r8
	movq	$0x8888888888888888, %r9
	movq	$0x9999999999999999, %r10
	movq	$0xaaaaaaaaaaaaaaaa, %r11
	movq	$0xbbbbbbbbbbbbbbbb, %r12
	movq	$0xcccccccccccccccc, %r13
	movq	$0xdddddddddddddddd, %r14
	movq	$0xeeeeeeeeeeeeeeee, %r15
	jz	1f
	vmcall
	jmp	2f
1:	vmmcall
2:	pushq	%rax			/* the hypercall's result is not looked at here */
	pushq	$0
	.macro	SAME reg, bit, pattern
	movq	$\pattern, %rax
	cmpq	%rax, \reg
	je	9f
	orq	$(1 << \bit), (%rsp)
9:
	.endm
	SAME	%rbx, 0, 0x1111111111111111
	SAME	%rcx, 1, 0x2222222222222222
	SAME	%rdx, 2, 0x3333333333333333
	SAME	%rsi, 3, 0x4444444444444444
	SAME	%rdi, 4, 0x5555555555555555
	SAME	%rbp, 5, 0x6666666666666666
	SAME	%r8, 6, 0x7777777777777777
	SAME	%r9, 7, 0x8888888888888888
	SAME	%r10, 8, 0x9999999999999999
	SAME	%r11, 9, 0xaaaaaaaaaaaaaaaa
	SAME	%r12, 10, 0xbbbbbbbbbbbbbbbb
	SAME	%r13, 11, 0xcccccccccccccccc
	SAME	%r14, 12, 0xdddddddddddddddd
	SAME	%r15, 13, 0xeeeeeeeeeeeeeeee
	popq	%rax
	popq	%rcx
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	ret

/* --- vector registers over time ----------------------------------------- */

/*
 * u64 g_xmm(u64 seed, u64 rounds), g_ymm: a value of its own in each register, a pause in which the
 * host may take the CPU away, and the comparison. Returns the number of registers found wrong.
 */
	.globl	g_xmm
g_xmm:
	xorl	%eax, %eax
1:
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	leaq	\n(%rdi), %rdx
	movq	%rdx, %xmm\n
	punpcklqdq %xmm\n, %xmm\n
	.endr
	movl	$2000, %ecx
2:	pause
	decl	%ecx
	jnz	2b
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	leaq	\n(%rdi), %rdx
	movq	%xmm\n, %rcx
	cmpq	%rdx, %rcx
	je	3f
	incq	%rax
3:	psrldq	$8, %xmm\n
	movq	%xmm\n, %rcx
	cmpq	%rdx, %rcx
	je	4f
	incq	%rax
4:
	.endr
	addq	$16, %rdi
	decq	%rsi
	jnz	1b
	ret

	.globl	g_ymm
g_ymm:
	xorl	%eax, %eax
1:
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	leaq	\n(%rdi), %rdx
	vmovq	%rdx, %xmm\n
	vpunpcklqdq %xmm\n, %xmm\n, %xmm\n
	vinsertf128 $1, %xmm\n, %ymm\n, %ymm\n
	.endr
	movl	$2000, %ecx
2:	pause
	decl	%ecx
	jnz	2b
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	leaq	\n(%rdi), %rdx
	vmovq	%xmm\n, %rcx
	cmpq	%rdx, %rcx
	je	3f
	incq	%rax
3:	vextractf128 $1, %ymm\n, %xmm\n
	vmovq	%xmm\n, %rcx
	cmpq	%rdx, %rcx
	je	4f
	incq	%rax
4:
	.endr
	addq	$16, %rdi
	decq	%rsi
	jnz	1b
	ret

	.section .note.GNU-stack, "", @progbits
