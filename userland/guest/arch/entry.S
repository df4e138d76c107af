/* SPDX-License-Identifier: MIT */
/*
 * entry.S - the ways into ring 0 and back
 *
 * Three doors: the first instruction (rs_start), exceptions and interrupts (256 stubs, one per vector), and
 * SYSCALL (one stub per CPU). All build the same struct rs_frame. GS is never used and SWAPGS never
 * executed: the SYSCALL stub of CPU N knows the address of rs_cpus[N] relative to RIP, and everything else
 * finds the CPU through the stack pointer (arch/cpu.h). Offsets come from kernel/asm_offsets.c.
 *
 * On every way back to ring 3: while the thread has work, or signals are pending for this CPU,
 * rs_return_to_user() runs first. Interrupts stay off until the IRET or SYSRET itself.
 */
#include "asm_offsets.h"

	.text

/*
 * First instruction of a CPU: RDI = boot page, RSI = CPU, on a stack of the host's choosing. CPU 0 goes
 * on on its own stack, below the room for the frame of ring 3, and never returns.
 */
	.globl	rs_start
rs_start:
	cld
	test	%esi, %esi
	jnz	1f
	lea	rs_boot_kstack + KSTACK_SIZE - FRAME_SIZE(%rip), %rsp
1:	and	$-16, %rsp
	xor	%ebp, %ebp
	call	rs_main
	ud2

/* Registers below vector and error of the frame. */
	.macro	SAVE_REGS
	push	%rdi
	push	%rsi
	push	%rdx
	push	%rcx
	push	%rax
	push	%r8
	push	%r9
	push	%r10
	push	%r11
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	.endm

	.macro	RESTORE_REGS
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	pop	%r11
	pop	%r10
	pop	%r9
	pop	%r8
	pop	%rax
	pop	%rcx
	pop	%rdx
	pop	%rsi
	pop	%rdi
	.endm

/* Jumps to \label when something is to be done before ring 3 may go on. Clobbers rax, rcx. */
	.macro	IF_WORK label
	mov	$-KSTACK_SIZE, %rax
	and	%rsp, %rax
	mov	KSTACK_THREAD(%rax), %rcx
	cmpl	$0, THREAD_WORK(%rcx)
	jne	\label
	mov	KSTACK_CPU(%rax), %rax
	mov	CPU_SHARED(%rax), %rax
	cmpq	$0, SHARED_PENDING(%rax)
	jne	\label
	.endm

/* --- SYSCALL ------------------------------------------------------------------------------------------ */

/*
 * RCX = rip, R11 = rflags, RSP = the user's; interrupts are off by SFMASK. The user's stack pointer waits
 * in rs_cpus[N] until it can be pushed. Each stub takes SYSCALL_STUB_SIZE bytes.
 */
	.balign	64
	.globl	rs_syscall_stubs
rs_syscall_stubs:
	.set	n, 0
	.rept	RS_NR_CPUS
	.balign	SYSCALL_STUB_SIZE
	mov	%rsp, rs_cpus + n * CPU_SIZE + CPU_USER_RSP(%rip)
	mov	rs_cpus + n * CPU_SIZE + CPU_KSTACK_TOP(%rip), %rsp
	pushq	$USER_SS
	pushq	rs_cpus + n * CPU_SIZE + CPU_USER_RSP(%rip)
	jmp	syscall_common
	.set	n, n + 1
	.endr

syscall_common:
	push	%r11
	pushq	$USER_CS
	push	%rcx
	push	%rax
	pushq	$RS_VECTOR_SYSCALL
	SAVE_REGS
	xor	%ebp, %ebp
	mov	%rsp, %rdi
	call	rs_syscall
syscall_return:
	IF_WORK	syscall_work
	/* SYSRET takes rip from rcx and rflags from r11, and cannot load a rip that is not canonical. */
	mov	FRAME_RCX(%rsp), %rcx
	cmp	FRAME_RIP(%rsp), %rcx
	jne	iret_user
	mov	FRAME_R11(%rsp), %r11
	cmp	FRAME_RFLAGS(%rsp), %r11
	jne	iret_user
	mov	%rcx, %rax
	shr	$46, %rax
	shr	$1, %rax
	jnz	iret_user
	test	$(RFLAGS_TF | RFLAGS_RF), %r11d
	jnz	iret_user
	RESTORE_REGS
	mov	FRAME_RSP - FRAME_VECTOR(%rsp), %rsp
	sysretq

syscall_work:
	mov	%rsp, %rdi
	call	rs_return_to_user
	jmp	syscall_return

/* --- exceptions and interrupts ------------------------------------------------------------------------ */

/* Vectors for which the CPU pushes an error code: 8, 10-14, 17, 21, 29, 30. */
	.balign	16
	.globl	rs_trap_stubs
rs_trap_stubs:
	.set	n, 0
	.rept	256
	.balign	TRAP_STUB_SIZE
	.if	!(n == 8 || (n >= 10 && n <= 14) || n == 17 || n == 21 || n == 29 || n == 30)
	pushq	$0
	.endif
	pushq	$n
	jmp	trap_common
	.set	n, n + 1
	.endr

trap_common:
	SAVE_REGS
	cld
	/* Whoever was interrupted may have opened user memory to the kernel (RFLAGS.AC). */
	cmpb	$0, cpu_has + CPU_HAS_SMAP(%rip)
	je	1f
	clac
1:	mov	%rsp, %rdi
	testb	$3, FRAME_CS(%rsp)
	jz	trap_kernel
	xor	%ebp, %ebp
	call	rs_trap
trap_return:
	IF_WORK	trap_work
iret_user:
	/* An IRET to an address that is not the lower half's may fault in ring 0: to be dealt with before. */
	mov	FRAME_RIP(%rsp), %rax
	shr	$47, %rax
	jnz	trap_bad_rip
	RESTORE_REGS
	add	$16, %rsp
	iretq

trap_work:
	mov	%rsp, %rdi
	call	rs_return_to_user
	jmp	trap_return

trap_bad_rip:
	mov	%rsp, %rdi
	call	rs_bad_rip
	jmp	trap_return

trap_kernel:
	call	rs_trap
	RESTORE_REGS
	add	$16, %rsp
	iretq

/* enter_user(frame): the frame is where this stack's frame belongs. */
	.globl	enter_user
enter_user:
	mov	%rdi, %rsp
	jmp	trap_return

	.section .note.GNU-stack, "", @progbits
