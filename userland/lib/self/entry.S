/* SPDX-License-Identifier: MIT */
/*
 * entry.S - self-entry: native assembly: into the loop, out of it, system calls of the program
 */
#include "layout.h"

#define SYS_RT_SIGRETURN	15
#define SYS_EXIT		60
#define INTERRUPTED		-512

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

/*
 * void self_run(struct self_vcpu *): the loop, on the native stack. Whoever unwinds from there (a debugger) gets to the program: the
 * registers that belong to this frame's caller are those in v->frame, whose distance to the stack pointer is constant here.
 */
#define TO_FRAME	(RS_V_FRAME - (RS_BLOCK_NATIVE_TOP - RS_F_SIZE))
	/* DW_CFA_expression of register REG: at RSP + TO_FRAME + OFF. A three-byte SLEB128 holds the distance. */
#define SLEB3(x)	(((x) & 0x7f) | 0x80), ((((x) >> 7) & 0x7f) | 0x80), (((x) >> 14) & 0x7f)
#define REG_AT(reg, off) \
	.cfi_escape 0x10, reg, 4, 0x77, SLEB3(TO_FRAME + (off))

	.globl	self_run
	.hidden	self_run
	.type	self_run, @function
self_run:
	.cfi_startproc
	.cfi_signal_frame
	leaq	(RS_BLOCK_NATIVE_TOP - RS_F_SIZE)(%rdi), %rsp
	/* The CFA is the program's RSP. */
	.cfi_escape 0x0f, 5, 0x77, SLEB3(TO_FRAME + RS_F_RSP), 0x06
	REG_AT(0, RS_F_RAX)
	REG_AT(1, RS_F_RDX)
	REG_AT(2, RS_F_RCX)
	REG_AT(3, RS_F_RBX)
	REG_AT(4, RS_F_RSI)
	REG_AT(5, RS_F_RDI)
	REG_AT(6, RS_F_RBP)
	REG_AT(7, RS_F_RSP)
	REG_AT(8, RS_F_R8)
	REG_AT(9, RS_F_R9)
	REG_AT(10, RS_F_R10)
	REG_AT(11, RS_F_R11)
	REG_AT(12, RS_F_R12)
	REG_AT(13, RS_F_R13)
	REG_AT(14, RS_F_R14)
	REG_AT(15, RS_F_R15)
	REG_AT(16, RS_F_RIP)
	nop
	xorl	%ebp, %ebp
	call	self_loop
	ud2
	.cfi_endproc
	.size	self_run, . - self_run

/* long self_syscall(const struct rs_trap_frame *f, const volatile int *pending): see self.h */
	.globl	self_syscall, self_syscall_begin, self_syscall_insn, self_syscall_interrupted
	.hidden	self_syscall, self_syscall_begin, self_syscall_insn, self_syscall_interrupted
	.type	self_syscall, @function
self_syscall:
	.cfi_startproc
	movq	%rdi, %r11
	movq	%rsi, %rcx
self_syscall_begin:
	movq	RS_F_RAX(%r11), %rax
	movq	RS_F_RDI(%r11), %rdi
	movq	RS_F_RSI(%r11), %rsi
	movq	RS_F_RDX(%r11), %rdx
	movq	RS_F_R10(%r11), %r10
	movq	RS_F_R8(%r11), %r8
	movq	RS_F_R9(%r11), %r9
	cmpl	$0, (%rcx)
	jne	self_syscall_interrupted
self_syscall_insn:
	syscall
	ret
self_syscall_interrupted:
	movq	$INTERRUPTED, %rax
	ret
	.cfi_endproc
	.size	self_syscall, . - self_syscall

/*
 * void self_go_outside(struct ucontext *uc, void *area, u64 mask): the vector registers into @area (XSAVE with @mask; 0: FXSAVE), then
 * rt_sigreturn, for which RSP is at the ucontext
 */
	.globl	self_go_outside
	.hidden	self_go_outside
	.type	self_go_outside, @function
self_go_outside:
	.cfi_startproc
	.cfi_undefined rip
	movq	%rdi, %rsp
	movl	%edx, %eax
	testq	%rdx, %rdx
	jz	1f
	shrq	$32, %rdx
	xsave64	(%rsi)
	jmp	2f
1:	fxsave64 (%rsi)
2:	movl	$SYS_RT_SIGRETURN, %eax
	syscall
	ud2
	.cfi_endproc
	.size	self_go_outside, . - self_go_outside

/* void self_give_back_and_exit(volatile int *state, int code, int free): a store, and the end: no stack in between */
	.globl	self_give_back_and_exit
	.hidden	self_give_back_and_exit
	.type	self_give_back_and_exit, @function
self_give_back_and_exit:
	.cfi_startproc
	.cfi_undefined rip
	movl	%edx, (%rdi)
	movl	%esi, %edi
	movl	$SYS_EXIT, %eax
	syscall
	ud2
	.cfi_endproc
	.size	self_give_back_and_exit, . - self_give_back_and_exit

	.section .note.GNU-stack, "", @progbits
