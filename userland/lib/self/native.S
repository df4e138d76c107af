/* SPDX-License-Identifier: MIT */
/*
 * native.S - the places where the loop's instruction counts
 *
 * 1. self_syscall, self_clone_*: a handler that finds the thread at [begin, insn] knows that the
 *    call has not begun, or that Linux begins it anew after the handler (SA_RESTART): it sends the
 *    thread to interrupted, and the program's handler runs first, with the program's instruction
 *    pointer at the call, as Linux does it. The number in RAX then is that of the call, or
 *    restart_syscall's. Behind insn the call has its result. A signal noted before begin keeps the
 *    call from beginning, by the look at v->pending.
 * 2. self_copy, self_xsave, self_xrstor, self_touch_*: memory of the program may be anything.
 *    SIGSEGV and SIGBUS at [self_safe_begin, self_safe_end) send the thread to self_safe_faulted.
 *    These functions push nothing, so the return address is where it was.
 * 3. self_sigreturn: all registers, the mask and the alternate stack at one stroke, by Linux.
 * 4. self_first: the program's registers lie at fixed offsets from the bottom of the native stack,
 *    and the unwinder is told so: who looks at the thread from outside sees the program's own stack
 *    below the loop's.
 */
#include "layout.h"

#define NR_rt_sigreturn	15
#define NR_exit		60

#define BLOCK_MASK	-RS_SELF_BLOCK
#define ERESTARTSYS	512

	.text

/* long self_syscall(const struct rs_trap_frame *f rdi) */
	.globl	self_syscall
	.hidden	self_syscall
	.type	self_syscall, @function
self_syscall:
	.cfi_startproc
	movq	%rsp, %rcx
	andq	$BLOCK_MASK, %rcx	/* v; RCX and R11 are lost in SYSCALL anyway */
	LOAD_CALL
	.globl	self_syscall_begin
	.hidden	self_syscall_begin
self_syscall_begin:
	cmpl	$0, RS_V_PENDING(%rcx)
	jne	self_syscall_interrupted
	.globl	self_syscall_insn
	.hidden	self_syscall_insn
self_syscall_insn:
	syscall
	.globl	self_syscall_end
	.hidden	self_syscall_end
self_syscall_end:
	ret
	.globl	self_syscall_interrupted
	.hidden	self_syscall_interrupted
self_syscall_interrupted:
	movq	%rsp, %rcx
	andq	$BLOCK_MASK, %rcx
	movq	%rax, RS_V_RESTART(%rcx)
	movq	$-ERESTARTSYS, %rax
	ret
	.cfi_endproc
	.size	self_syscall, . - self_syscall

/*
 * long self_clone_outside(const struct rs_trap_frame *f rdi)
 * clone or clone3 whose child shares memory, has a stack of its own, and goes on outside: the child
 * has all registers of the program from the start. Below its stack pointer lie, put there by the
 * caller, its RFLAGS (at -16) and RIP (at -8); nothing is on a new stack's lower side, and the
 * kernel keeps away from the next 128 bytes when a signal comes first.
 */
	.globl	self_clone_outside
	.hidden	self_clone_outside
	.type	self_clone_outside, @function
self_clone_outside:
	.cfi_startproc
	pushq	%rbx
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rbx, 0
	pushq	%rbp
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rbp, 0
	pushq	%r12
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r12, 0
	pushq	%r13
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r13, 0
	pushq	%r14
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r14, 0
	pushq	%r15
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r15, 0
	movq	%rsp, %rcx
	andq	$BLOCK_MASK, %rcx
	movq	RS_F_R15(%rdi), %r15
	movq	RS_F_R14(%rdi), %r14
	movq	RS_F_R13(%rdi), %r13
	movq	RS_F_R12(%rdi), %r12
	movq	RS_F_RBP(%rdi), %rbp
	movq	RS_F_RBX(%rdi), %rbx
	LOAD_CALL
	.globl	self_clone_outside_begin
	.hidden	self_clone_outside_begin
self_clone_outside_begin:
	cmpl	$0, RS_V_PENDING(%rcx)
	jne	self_clone_outside_interrupted
	.globl	self_clone_outside_insn
	.hidden	self_clone_outside_insn
self_clone_outside_insn:
	syscall
	testq	%rax, %rax
	jz	2f
1:	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	ret
	.globl	self_clone_outside_interrupted
	.hidden	self_clone_outside_interrupted
self_clone_outside_interrupted:
	movq	%rsp, %rcx
	andq	$BLOCK_MASK, %rcx
	movq	%rax, RS_V_RESTART(%rcx)
	movq	$-ERESTARTSYS, %rax
	jmp	1b
	/* The child. RCX and R11 are what SYSCALL leaves there. */
2:	leaq	-16(%rsp), %rsp
	movq	(%rsp), %r11
	popfq
	popq	%rcx
	jmp	*%rcx
	.cfi_endproc
	.size	self_clone_outside, . - self_clone_outside

/*
 * long self_clone_inside(const struct rs_trap_frame *f rdi)
 * A thread whose stack is the bottom of another vCPU's native stack: it goes to
 * self_thread_begin(that vCPU).
 */
	.globl	self_clone_inside
	.hidden	self_clone_inside
	.type	self_clone_inside, @function
self_clone_inside:
	.cfi_startproc
	movq	%rsp, %rcx
	andq	$BLOCK_MASK, %rcx
	LOAD_CALL
	.globl	self_clone_inside_begin
	.hidden	self_clone_inside_begin
self_clone_inside_begin:
	cmpl	$0, RS_V_PENDING(%rcx)
	jne	self_syscall_interrupted
	.globl	self_clone_inside_insn
	.hidden	self_clone_inside_insn
self_clone_inside_insn:
	syscall
	testq	%rax, %rax
	jz	1f
	ret
	.cfi_endproc
	.hidden	self_thread_begin
1:	movq	%rsp, %rdi
	andq	$BLOCK_MASK, %rdi
	leaq	self_thread_begin(%rip), %rsi
	jmp	self_first
	.size	self_clone_inside, . - self_clone_inside

/*
 * long self_vfork(const struct rs_trap_frame *f rdi, void (*child)(void *) rsi, void *arg rdx)
 * A child that shares memory and has no stack of its own: it is on ours while we sleep in the call.
 * It uses what is below only, and never returns. Signals are blocked by the caller.
 */
	.globl	self_vfork
	.hidden	self_vfork
	.type	self_vfork, @function
self_vfork:
	.cfi_startproc
	pushq	%rbx
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rbx, 0
	pushq	%r12
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r12, 0
	pushq	%r13
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r13, 0
	movq	%rsi, %rbx
	movq	%rdx, %r12
	LOAD_CALL
	syscall
	testq	%rax, %rax
	jz	1f
	popq	%r13
	popq	%r12
	popq	%rbx
	ret
1:	movq	%r12, %rdi
	andq	$-16, %rsp
	call	*%rbx
	ud2
	.cfi_endproc
	.size	self_vfork, . - self_vfork

/*
 * void self_first(struct self_vcpu *v rdi, void (*fn)(struct self_vcpu *) rsi)
 * fn(v) at the bottom of v's native stack; it does not return. FIRST bytes of it stay empty.
 */
#define FIRST		64
#define AT(field)	(field) - (RS_BLOCK_NATIVE_TOP - FIRST)
	.globl	self_first
	.hidden	self_first
	.type	self_first, @function
self_first:
	leaq	RS_BLOCK_NATIVE_TOP - FIRST(%rdi), %rsp
	.cfi_startproc
	.cfi_signal_frame
	.cfi_def_cfa rsp, 0
	.cfi_offset rax, AT(RS_F_RAX)
	.cfi_offset rbx, AT(RS_F_RBX)
	.cfi_offset rcx, AT(RS_F_RCX)
	.cfi_offset rdx, AT(RS_F_RDX)
	.cfi_offset rsi, AT(RS_F_RSI)
	.cfi_offset rdi, AT(RS_F_RDI)
	.cfi_offset rbp, AT(RS_F_RBP)
	.cfi_offset r8, AT(RS_F_R8)
	.cfi_offset r9, AT(RS_F_R9)
	.cfi_offset r10, AT(RS_F_R10)
	.cfi_offset r11, AT(RS_F_R11)
	.cfi_offset r12, AT(RS_F_R12)
	.cfi_offset r13, AT(RS_F_R13)
	.cfi_offset r14, AT(RS_F_R14)
	.cfi_offset r15, AT(RS_F_R15)
	.cfi_offset rip, AT(RS_F_RIP)
	.cfi_offset rsp, AT(RS_F_RSP)
	nop
	call	*%rsi
	ud2
	.cfi_endproc
	.size	self_first, . - self_first

/*
 * void self_sigreturn(const struct self_sigframe *frame rdi) - the registers, mask and alternate
 * stack of the frame, natively. Does not return.
 */
	.globl	self_sigreturn
	.hidden	self_sigreturn
	.type	self_sigreturn, @function
self_sigreturn:
	leaq	8(%rdi), %rsp
	movl	$NR_rt_sigreturn, %eax
	syscall
	ud2
	.size	self_sigreturn, . - self_sigreturn

/* long self_call_on(void *stack rdi, long nr rsi, long a rdx, long b rcx): a system call on another stack */
	.globl	self_call_on
	.hidden	self_call_on
	.type	self_call_on, @function
self_call_on:
	.cfi_startproc
	pushq	%rbx
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rbx, 0
	movq	%rsp, %rbx
	.cfi_def_cfa_register rbx
	movq	%rsi, %rax
	movq	%rcx, %rsi
	movq	%rdi, %rsp
	movq	%rdx, %rdi
	syscall
	movq	%rbx, %rsp
	.cfi_def_cfa_register rsp
	popq	%rbx
	.cfi_adjust_cfa_offset -8
	.cfi_restore rbx
	ret
	.cfi_endproc
	.size	self_call_on, . - self_call_on

/*
 * What the kernel's frames return to where the program has given nothing. Unwinders know it by
 * these bytes, as it has no unwind information.
 */
	.globl	self_restore_rt
	.hidden	self_restore_rt
	.type	self_restore_rt, @function
	.byte	0x90
self_restore_rt:
	movq	$NR_rt_sigreturn, %rax
	syscall
	.size	self_restore_rt, . - self_restore_rt

/*
 * void self_exit(volatile int *state rdi, int free esi, long code rdx)
 * The thread ends. Once *state is written its stack is somebody else's: nothing of it is touched
 * after that.
 */
	.globl	self_exit
	.hidden	self_exit
	.type	self_exit, @function
self_exit:
	movl	$NR_exit, %eax
	movl	%esi, (%rdi)
	movq	%rdx, %rdi
	syscall
	ud2
	.size	self_exit, . - self_exit

/* --- memory that may be anything: 0, or -1 --- */
	.globl	self_safe_begin
	.hidden	self_safe_begin
	.globl	self_safe_end
	.hidden	self_safe_end
	.globl	self_safe_faulted
	.hidden	self_safe_faulted
	.p2align 4
self_safe_begin:

/* int self_copy(void *dst rdi, const void *src rsi, unsigned long n rdx) */
	.globl	self_copy
	.hidden	self_copy
	.type	self_copy, @function
self_copy:
	movq	%rdx, %rcx
	rep movsb
	xorl	%eax, %eax
	ret

/* int self_xsave(void *area rdi, unsigned long mask rsi) */
	.globl	self_xsave
	.hidden	self_xsave
	.type	self_xsave, @function
self_xsave:
	movl	%esi, %eax
	movq	%rsi, %rdx
	shrq	$32, %rdx
	xsave64	(%rdi)
	xorl	%eax, %eax
	ret

/* int self_xrstor(const void *area rdi, unsigned long mask rsi) */
	.globl	self_xrstor
	.hidden	self_xrstor
	.type	self_xrstor, @function
self_xrstor:
	movl	%esi, %eax
	movq	%rsi, %rdx
	shrq	$32, %rdx
	xrstor64 (%rdi)
	xorl	%eax, %eax
	ret

/* int self_fxsave(void *area rdi); int self_fxrstor(const void *area rdi) */
	.globl	self_fxsave
	.hidden	self_fxsave
	.type	self_fxsave, @function
self_fxsave:
	fxsave64 (%rdi)
	xorl	%eax, %eax
	ret
	.globl	self_fxrstor
	.hidden	self_fxrstor
	.type	self_fxrstor, @function
self_fxrstor:
	fxrstor64 (%rdi)
	xorl	%eax, %eax
	ret

/* int self_touch_read(unsigned long addr rdi); int self_touch_write(unsigned long addr rdi) */
	.globl	self_touch_read
	.hidden	self_touch_read
	.type	self_touch_read, @function
self_touch_read:
	movb	(%rdi), %al
	xorl	%eax, %eax
	ret
	.globl	self_touch_write
	.hidden	self_touch_write
	.type	self_touch_write, @function
self_touch_write:
	lock orb $0, (%rdi)
	xorl	%eax, %eax
	ret

self_safe_end:
self_safe_faulted:
	movl	$-1, %eax
	ret

	.section .note.GNU-stack, "", @progbits
