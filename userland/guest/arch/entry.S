/* SPDX-License-Identifier: MIT */
/*
 * entry.S - the ways into ring 0 and back
 *
 * Three doors: the first instruction (rs_start), exceptions and interrupts (256 stubs), and SYSCALL
 * (one stub per CPU). All build the same struct rs_frame. GS is never used and SWAPGS never
 * executed: the SYSCALL stub of CPU N knows the address of rs_cpus[N] relative to RIP, and
 * everything else finds the CPU through the stack pointer (arch/cpu.h). Offsets come from
 * kernel/asm_offsets.c.
 *
 * On every way back to ring 3: while the thread has work, or signals are pending for this CPU,
 * rs_return_to_user() runs first. Interrupts stay off until the IRET or SYSRET itself.
 */
#include "asm_offsets.h"

	.text

/*
 * First instruction of a CPU: RDI = boot page, RSI = CPU, on a stack of the host's choosing. It
 * goes on on its own stack and never returns. CPU 0's is in the image; the others' addresses are
 * left by CPU 0 before it has them started.
 */
	.globl	rs_start
rs_start:
	cld
	test	%esi, %esi
	jnz	1f
	lea	rs_boot_kstack + KSTACK_SIZE(%rip), %rsp
	jmp	2f
1:	mov	%esi, %eax
	mov	rs_cpu_stacks(, %rax, 8), %rsp
	add	$KSTACK_SIZE, %rsp
2:	and	$-16, %rsp
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

/*
 * Jumps to \label when something is to be done before ring 3 may go on. The top \size bytes of the
 * stack are in use. Clobbers \reg.
 */
	.macro	IF_WORK label, reg, size
	mov	\size - KSTACK_SIZE + KSTACK_THREAD(%rsp), \reg
	cmpl	$0, THREAD_WORK(\reg)
	jne	\label
	mov	\size - KSTACK_SIZE + KSTACK_SHARED(%rsp), \reg
	cmpq	$0, SHARED_PENDING(\reg)
	jne	\label
	.endm

/* The rest of a SYSCALL's frame, then \fn(frame). What \fn returns to is right below the frame. */
	.macro	C_SYSCALL fn
	mov	(%rsp), %rcx
	push	%rax
	pushq	$RS_VECTOR_SYSCALL
	SAVE_REGS
	xor	%ebp, %ebp
	mov	%rsp, %rdi
	call	\fn
	.endm

/* --- SYSCALL ---------------------------------------------------------------------------------- */

/*
 * RCX = rip, R11 = rflags, RSP = the user's; interrupts are off by SFMASK. The user's stack pointer
 * waits in rs_cpus[N] until it can be pushed. Each stub takes SYSCALL_STUB_SIZE bytes.
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

/*
 * Calls that only tell a number of the process (getpid, getuid, ...) are answered here, before the
 * registers are saved: rs_syscall_field has the number's place in struct process, 0 for all other
 * calls. What is pushed so far is the upper end of a frame, so that the long way can go on from
 * anywhere.
 */
	.set	SHORT_SIZE, FRAME_SIZE - FRAME_RIP
syscall_common:
	push	%r11
	pushq	$USER_CS
	push	%rcx
	cmp	$RS_FIELD_CALLS, %rax
	jae	syscall_high
	movzwl	rs_syscall_field(, %rax, 2), %ecx
	test	%ecx, %ecx
	jz	syscall_long
	mov	SHORT_SIZE - KSTACK_SIZE + KSTACK_SHARED(%rsp), %r11
	incq	SHARED_SHORT(%r11)
	IF_WORK	syscall_long_counted, %r11, SHORT_SIZE
	mov	SHORT_SIZE - KSTACK_SIZE + KSTACK_THREAD(%rsp), %r11
	mov	THREAD_PROC(%r11), %r11
	mov	(%r11, %rcx), %eax
	mov	(%rsp), %rcx
	mov	FRAME_RFLAGS - FRAME_RIP(%rsp), %r11
	mov	FRAME_RSP - FRAME_RIP(%rsp), %rsp
	sysretq

syscall_long_counted:
	mov	SHORT_SIZE - KSTACK_SIZE + KSTACK_SHARED(%rsp), %r11
	decq	SHARED_SHORT(%r11)
syscall_long:
	C_SYSCALL rs_syscall
syscall_return:
	IF_WORK	trap_work, %rcx, FRAME_SIZE
	cmpl	$RS_VECTOR_SYSCALL, FRAME_VECTOR(%rsp)
	jne	iret_user
	/*
	 * Nothing but rax has changed, and C code preserves rbx, r12 .. r15. rip is behind a
	 * SYSCALL below USER_TOP and thus canonical, as SYSRET needs it. SYSRET takes it from rcx,
	 * and rflags from r11.
	 */
	mov	FRAME_RBP(%rsp), %rbp
	add	$FRAME_R11, %rsp
	pop	%r11
	pop	%r10
	pop	%r9
	pop	%r8
	pop	%rax
	pop	%rcx
	pop	%rdx
	pop	%rsi
	pop	%rdi
	mov	FRAME_RFLAGS - FRAME_VECTOR(%rsp), %r11
	mov	FRAME_RSP - FRAME_VECTOR(%rsp), %rsp
	sysretq

/*
 * rs_leave_syscall, jumped to with a frame in rdi: out of the SYSCALL that the frame is of, which
 * lies on another stack than this. rip and flags are as the SYSCALL left them.
 */
	.globl	rs_leave_syscall
rs_leave_syscall:
	mov	%rdi, %rsp
	IF_WORK	trap_work, %rax, FRAME_SIZE
	RESTORE_REGS
	mov	FRAME_RFLAGS - FRAME_VECTOR(%rsp), %r11
	mov	FRAME_RSP - FRAME_VECTOR(%rsp), %rsp
	sysretq

/* Where a thread goes on that was parked in a SYSCALL (proc/park.h): nothing but its frame is left. */
	.globl	rs_parked
rs_parked:
	xor	%ebp, %ebp
	mov	%rsp, %rdi
	call	rs_unparked
	jmp	trap_return

/* Messages in registers have a shorter way (proc/ipc_fast.c). */
syscall_high:
	cmp	$RS_SYS_IPC_CALL, %rax
	jne	1f
	C_SYSCALL rs_ipc_call
	jmp	syscall_return
1:	cmp	$RS_SYS_IPC_REPLY_WAIT, %rax
	jne	syscall_long
	C_SYSCALL rs_ipc_reply_wait
	jmp	syscall_return

/* --- exceptions and interrupts ---------------------------------------------------------------- */

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
	/*
	 * A thread that may want this trap itself is asked first. If so there is nothing to look at
	 * on the way back: no code has run that makes work, and what the host announces
	 * meanwhile comes with an interrupt of its own. The upcall's address has been checked.
	 */
	mov	FRAME_SIZE - KSTACK_SIZE + KSTACK_THREAD(%rsp), %rax
	cmpq	$0, THREAD_UPCALL(%rax)
	jne	trap_upcall
trap_user:
	call	rs_trap
trap_return:
	IF_WORK	trap_work, %rax, FRAME_SIZE
iret_user:
	/*
	 * An IRET to an address that is not the lower half's may fault in ring 0: to be dealt with
	 * before.
	 */
	mov	FRAME_RIP(%rsp), %rax
	shr	$47, %rax
	jnz	trap_bad_rip
iret_restore:
	RESTORE_REGS
	add	$16, %rsp
	iretq

trap_upcall:
	call	upcall_fast
	test	%al, %al
	jnz	iret_restore
	mov	%rsp, %rdi
	jmp	trap_user

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
