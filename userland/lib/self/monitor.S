/* SPDX-License-Identifier: MIT */
/*
 * monitor.S - self-entry: what runs in ring 0 of the guest, in the upper half
 *
 * Never executed where it is linked: every vCPU's block has a copy, in which V (the block, at the monitor's address) is found by RIP. So
 * the monitor needs no segment base: FS and GS are the program's, SWAPGS is not used.
 *
 * Interrupts are off in all of it, and nothing in it faults: what it reads and writes is in the arena. All that comes in (exceptions,
 * interrupts, system calls) puts the program's registers into v->frame, in the order of struct rs_trap_frame; the first words by the CPU,
 * because the stack of all vectors ends where the frame ends. From there it goes
 *
 *	to the loop		a hypercall with the whole frame; the answer says how to go on
 *	to a handler		the frame is pushed once more, onto the trap stack, so that v->frame is free for whatever happens in it
 *
 * and back by IRETQ (or SYSRET when a system call of ring 3 has been answered, which leaves RCX and R11 as Linux does).
 *
 * The program's handler runs with the interrupt flag as it was, the initial x87 and MXCSR state, DF clear; after it, interrupts are off
 * again until IRETQ has loaded the flags with everything else.
 */
#include "layout.h"

#define F(x)	(V + RS_V_FRAME + (x))(%rip)
#define AT(x)	(V + (x))(%rip)

#define EFLAGS_USER	0x250dd5	/* what ring 3 may have: no IOPL, NT */
#define EFLAGS_USER_SET	0x202
#define SYSCALL_MASK	0x57700		/* TF IF DF IOPL NT RF AC */
#define MSR_STAR	0xc0000081
#define MSR_LSTAR	0xc0000082
#define MSR_SFMASK	0xc0000084
#define MSR_FS_BASE	0xc0000100
#define MSR_GS_BASE	0xc0000101

	.macro	HYPERCALL
1:	vmmcall				/* or VMCALL: whoever copies the monitor knows */
	.pushsection .rodata.rs_self_sites, "a"
	.long	1b - self_monitor_start
	.popsection
	.endm

	.macro	PUSH_RDI_TO_RAX
	pushq	%rdi
	pushq	%rsi
	pushq	%rdx
	pushq	%rcx
	pushq	%rax
	.endm
	.macro	PUSH_R8_TO_R15
	pushq	%r8
	pushq	%r9
	pushq	%r10
	pushq	%r11
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	.endm
	.macro	POP_R15_TO_R8
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	popq	%r11
	popq	%r10
	popq	%r9
	popq	%r8
	.endm
	.macro	POP_RAX_TO_RDI
	popq	%rax
	popq	%rcx
	popq	%rdx
	popq	%rsi
	popq	%rdi
	.endm

	/* The bases to two words at AT(from), new ones from AT(to). RAX, RCX, RDX. */
	.macro	CHANGE_BASES from, to
	cmpb	$0, AT(RS_V_FSGSBASE)
	je	71f
	rdfsbase %rax
	movq	%rax, AT(\from)
	rdgsbase %rax
	movq	%rax, AT(\from + 8)
	movq	AT(\to), %rax
	wrfsbase %rax
	movq	AT(\to + 8), %rax
	wrgsbase %rax
	jmp	72f
71:	movl	$MSR_FS_BASE, %ecx
	rdmsr
	movl	%eax, AT(\from)
	movl	%edx, AT(\from + 4)
	movl	AT(\to), %eax
	movl	AT(\to + 4), %edx
	wrmsr
	movl	$MSR_GS_BASE, %ecx
	rdmsr
	movl	%eax, AT(\from + 8)
	movl	%edx, AT(\from + 12)
	movl	AT(\to + 8), %eax
	movl	AT(\to + 12), %edx
	wrmsr
72:
	.endm

	/* From the frame at RSP to v->frame and the registers: as after PUSH_RDI_TO_RAX */
	.macro	TO_V_FRAME
	addq	$RS_F_R15, %rsp
	POP_R15_TO_R8
	popq	F(RS_F_RAX)
	popq	F(RS_F_RCX)
	popq	F(RS_F_RDX)
	popq	F(RS_F_RSI)
	popq	F(RS_F_RDI)
	popq	F(RS_F_VECTOR)
	popq	F(RS_F_ERROR)
	popq	F(RS_F_RIP)
	popq	F(RS_F_CS)
	popq	F(RS_F_RFLAGS)
	popq	F(RS_F_RSP)
	popq	F(RS_F_SS)
	leaq	F(RS_F_RAX), %rsp
	.endm

	.section .rodata.rs_self_sites, "a"
	.globl	self_monitor_sites
	.hidden	self_monitor_sites
self_monitor_sites:

	.section .rodata.rs_self_monitor, "a"
	.globl	self_monitor_resume
	.hidden	self_monitor_resume
	.globl	self_monitor_start, self_monitor_end, self_monitor_first, self_monitor_vectors, self_monitor_syscall, self_monitor_here
	.hidden	self_monitor_start, self_monitor_end, self_monitor_first, self_monitor_vectors, self_monitor_syscall, self_monitor_here
	.balign	64
self_monitor_start:
	.set	V, self_monitor_start - RS_BLOCK_MONITOR

/* --- the first entry ------------------------------------------------------------------------------------------------------------- */

/* By RS_SET_STATE. The program's registers are in the frame. */
self_monitor_first:
	lgdt	AT(RS_BLOCK_GDTR)
	lidt	AT(RS_BLOCK_IDTR)
	movl	$RS_SEL_TSS, %eax
	ltr	%ax
	movl	$RS_SEL_KERNEL_SS, %eax
	movl	%eax, %ss
	xorl	%eax, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %fs
	movl	%eax, %gs
	movl	$MSR_STAR, %ecx
	movl	$0x230010, %edx
	wrmsr
	movl	$MSR_LSTAR, %ecx
	leaq	self_monitor_syscall(%rip), %rax
	movq	%rax, %rdx
	shrq	$32, %rdx
	wrmsr
	movl	$MSR_SFMASK, %ecx
	movl	$SYSCALL_MASK, %eax
	xorl	%edx, %edx
	wrmsr
load_all_fresh:
	movq	%cr3, %rax
	movq	%rax, %cr3
	jmp	load_all

/* --- system calls ---------------------------------------------------------------------------------------------------------------- */

	.balign	16
self_monitor_syscall:
	movq	%rsp, F(RS_F_RSP)
	leaq	F(RS_F_RSP), %rsp
	pushq	%r11			/* rflags */
	cmpb	$0, AT(RS_V_USER)
	je	1f
	movq	$RS_SEL_USER_SS, F(RS_F_SS)
	pushq	$RS_SEL_USER_CS
	jmp	2f
1:	movq	$RS_SEL_KERNEL_SS, F(RS_F_SS)
	pushq	$RS_SEL_KERNEL_CS
2:	pushq	%rcx			/* rip */
	pushq	$0			/* error */
	pushq	$RS_VECTOR_SYSCALL
	PUSH_RDI_TO_RAX
	cmpb	$0, AT(RS_V_USER)
	je	3f
	cmpb	$0, AT(RS_V_RING0)
	jne	user_syscall
3:	movl	$RS_HC_SYSCALL, %eax
	jmp	to_loop_noaddr
	/* Ring 3 of a program in ring 0: its handler's, if there is one. */
user_syscall:
	call	leave_ring3
	movq	AT(RS_V_SHARED), %rax
	movq	(RS_SH_HANDLERS + 32 * 8)(%rax), %rax
	testq	%rax, %rax
	jz	3b
	movq	%rax, %rdi
	xorl	%esi, %esi
	xorl	%edx, %edx
	jmp	to_handler

/* --- to the loop ----------------------------------------------------------------------------------------------------------------- */

/*
 * RSP is at frame.rax; RSI, RDX: addr and cause; EAX: the hypercall. All but RAX, RCX, RDX, RSI, RDI is still in its register.
 */
to_loop:
	PUSH_R8_TO_R15
	pushq	%rdx
	pushq	%rsi
	jmp	hyper
to_loop_noaddr:				/* the same, where RSI and RDX are still the program's */
	PUSH_R8_TO_R15
	pushq	$0
	pushq	$0
/* The frame is whole. EAX: the hypercall; RDI, RSI, RDX: its arguments. R8 to R15, RBP and whatever else is not named here stay. */
hyper:
	cmpb	$0, AT(RS_V_FSGSBASE)
	je	1f
	rdfsbase %rbx
	movq	%rbx, AT(RS_V_FS_BASE)
	rdgsbase %rbx
	movq	%rbx, AT(RS_V_GS_BASE)
	jmp	2f
1:	movl	%eax, %ebx
	movq	%rdx, %rbp
	movl	$MSR_FS_BASE, %ecx
	rdmsr
	movl	%eax, AT(RS_V_FS_BASE)
	movl	%edx, AT(RS_V_FS_BASE + 4)
	movl	$MSR_GS_BASE, %ecx
	rdmsr
	movl	%eax, AT(RS_V_GS_BASE)
	movl	%edx, AT(RS_V_GS_BASE + 4)
	movq	%rbp, %rdx
	movq	F(RS_F_RBP), %rbp
	movq	F(RS_F_RCX), %rcx
	jmp	3f
2:	movl	%eax, %ebx
3:	movl	%ebx, %eax
	HYPERCALL
	cmpl	$RS_ANS_LOAD, %eax
	je	load_all
	ja	4f
	/* a system call has been answered; RDI, RSI, RDX, RCX, R8 to R11 are the program's still */
	movq	F(RS_F_RBX), %rbx
	movq	F(RS_F_RAX), %rax
	testb	$3, F(RS_F_CS)
	jz	5f
	cmpb	$0, AT(RS_V_RING0)
	jne	load_all
	movq	F(RS_F_RSP), %rsp
	sysretq
5:	leaq	F(RS_F_RIP), %rsp
	iretq
4:	cmpl	$RS_ANS_HANDLER, %eax
	je	6f
	cmpl	$RS_ANS_ENTER, %eax
	je	load_all_fresh
	movb	$0, AT(RS_BLOCK_FLUSH)
	jmp	3b
	/* A handler of the program for what is in the frame now */
6:	movq	F(RS_F_RBX), %rbx
	movq	F(RS_F_ADDR), %rsi
	movq	F(RS_F_CAUSE), %rdx
	movq	F(RS_F_VECTOR), %rcx
	leaq	F(RS_F_RAX), %rsp
	movq	AT(RS_V_SHARED), %rax
	movq	RS_SH_HANDLERS(%rax, %rcx, 8), %rdi
	movl	$RS_HC_TRAP, %eax
	testq	%rdi, %rdi
	jz	to_loop			/* taken away meanwhile */
	cmpl	$14, %ecx
	jne	to_handler
	movq	%rsi, %cr2
	jmp	to_handler

/* --- exceptions ------------------------------------------------------------------------------------------------------------------ */

	.macro	VECTOR n
	.balign	16
	.if	(0x60227d00 >> \n) & 1
	.else
	pushq	$0
	.endif
	pushq	$\n
	.if	\n == 2
	jmp	broken_nmi
	.elseif	\n == 8
	jmp	broken_double
	.elseif	\n == 18
	jmp	broken_mce
	.elseif	\n == 20
	jmp	refused
	.else
	jmp	exception
	.endif
	.endm

	.balign	16
self_monitor_vectors:
	.set	n, 0
	.rept	32
	VECTOR	n
	.set	n, n + 1
	.endr

	.balign	16
exception:
	PUSH_RDI_TO_RAX
	cld
	testb	$3, F(RS_F_CS)
	jnz	exception_user
exception_ring0:
	testb	$0x80, (V + RS_V_FRAME + RS_F_RIP + 7)(%rip)
	jnz	upper_half
not_mine:
	movl	F(RS_F_VECTOR), %ecx
	cmpl	$14, %ecx
	je	page_fault
	xorl	%esi, %esi
	movl	$RS_CAUSE_EXCEPTION_, %edx
	movl	$RS_HC_TRAP, %eax
	cmpl	$6, %ecx
	je	to_loop			/* may be the literal VMCALL */
/* ECX: vector, RSI: addr, RDX: cause */
dispatch:
	movq	AT(RS_V_SHARED), %rax
	movq	RS_SH_HANDLERS(%rax, %rcx, 8), %rdi
	movl	$RS_HC_TRAP, %eax
	testq	%rdi, %rdi
	jz	to_loop
/*
 * RDI: the handler. RSP is at frame.rax; R8 to R15, RBX, RBP are in their registers. On the trap stack: below what was interrupted there,
 * else at the top, or below the frames of who runs ring 3 (rs_ring0_user).
 */
to_handler:
	testb	$3, F(RS_F_CS)
	jnz	2f
	movq	F(RS_F_RSP), %rax
	subq	$128, %rax		/* the red zone */
	cmpq	AT(RS_V_BLOCK), %rax
	jb	2f
	cmpq	AT(RS_V_TRAP_END), %rax
	jb	3f
2:	movq	AT(RS_V_TRAP_TOP), %rax
3:	cmpq	AT(RS_V_TRAP_LOW), %rax
	jb	broken_stack
	andq	$-64, %rax
	movq	%rax, %rsp
	pushq	F(RS_F_SS)
	pushq	F(RS_F_RSP)
	pushq	F(RS_F_RFLAGS)
	pushq	F(RS_F_CS)
	pushq	F(RS_F_RIP)
	pushq	F(RS_F_ERROR)
	pushq	F(RS_F_VECTOR)
	pushq	F(RS_F_RDI)
	pushq	F(RS_F_RSI)
	pushq	F(RS_F_RDX)
	pushq	F(RS_F_RCX)
	pushq	F(RS_F_RAX)
	PUSH_R8_TO_R15
	pushq	%rdx
	pushq	%rsi
	movq	%rsp, %rbx
	movq	%rdi, %r12
	subq	AT(RS_V_XSAVE_SIZE), %rsp
	cmpb	$0, AT(RS_V_XSAVE)
	je	4f
	movl	AT(RS_V_XSAVE_MASK), %eax
	movl	AT(RS_V_XSAVE_MASK + 4), %edx
	movq	$0, 512(%rsp)		/* XSTATE_BV: bits of what is not saved would stay */
	xsave64	(%rsp)
	xorps	%xmm0, %xmm0		/* all of the header but its first word, which XRSTOR checks and XSAVE leaves alone */
	movups	%xmm0, 520(%rsp)
	movups	%xmm0, 536(%rsp)
	movups	%xmm0, 552(%rsp)
	movups	%xmm0, 560(%rsp)
	jmp	5f
4:	fxsave64 (%rsp)
5:	fninit
	ldmxcsr	initial_mxcsr(%rip)
	movq	%rbx, %rdi
	xorl	%ebp, %ebp
	testl	$0x200, RS_F_RFLAGS(%rbx)
	jz	6f
	sti
6:	call	*%r12
	cli
	cmpb	$0, AT(RS_V_XSAVE)
	je	7f
	movl	AT(RS_V_XSAVE_MASK), %eax
	movl	AT(RS_V_XSAVE_MASK + 4), %edx
	xrstor64 (%rsp)
	jmp	8f
7:	fxrstor64 (%rsp)
8:	movq	%rbx, %rsp
	cmpl	$RS_CAUSE_SIGNAL_, RS_F_CAUSE(%rsp)
	je	pass
	jmp	load

/* --- back ------------------------------------------------------------------------------------------------------------------------ */

/* All from v->frame, and the bases. */
load_all:
	cmpb	$0, AT(RS_V_FSGSBASE)
	je	1f
	movq	AT(RS_V_FS_BASE), %rax
	wrfsbase %rax
	movq	AT(RS_V_GS_BASE), %rax
	wrgsbase %rax
	jmp	2f
1:	movl	$MSR_FS_BASE, %ecx
	movl	AT(RS_V_FS_BASE), %eax
	movl	AT(RS_V_FS_BASE + 4), %edx
	wrmsr
	movl	$MSR_GS_BASE, %ecx
	movl	AT(RS_V_GS_BASE), %eax
	movl	AT(RS_V_GS_BASE + 4), %edx
	wrmsr
2:	leaq	F(0), %rsp
/* RSP: a frame, in the arena. What IRETQ would choke on is found before. */
load:
	movq	RS_F_RIP(%rsp), %rax
	shlq	$16, %rax
	sarq	$16, %rax
	cmpq	RS_F_RIP(%rsp), %rax
	jne	bad_rip
	testb	$3, RS_F_CS(%rsp)
	jz	1f
	movq	$RS_SEL_USER_CS, RS_F_CS(%rsp)
	movq	$RS_SEL_USER_SS, RS_F_SS(%rsp)
	andq	$EFLAGS_USER, RS_F_RFLAGS(%rsp)
	orq	$EFLAGS_USER_SET, RS_F_RFLAGS(%rsp)
	movb	$1, AT(RS_V_USER)
	cmpb	$0, AT(RS_V_RING0)
	je	2f
	CHANGE_BASES RS_V_RING0_FS, RS_V_USER_FS
	jmp	2f
1:	movq	$RS_SEL_KERNEL_CS, RS_F_CS(%rsp)
	movq	$RS_SEL_KERNEL_SS, RS_F_SS(%rsp)
2:	addq	$RS_F_R15, %rsp
	POP_R15_TO_R8
	POP_RAX_TO_RDI
	addq	$16, %rsp
	iretq

/* self_monitor_resume: rs_ring0_resume() comes here, interrupts are off. */
self_monitor_resume:
	leaq	AT(RS_V_STAGING), %rsp
	jmp	load

/* #GP at an address that is none: as if the instruction had got there. The frame may be v->frame itself. */
bad_rip:
	movq	$13, RS_F_VECTOR(%rsp)
	movq	$0, RS_F_ERROR(%rsp)
	TO_V_FRAME
	movl	$13, %ecx
	xorl	%esi, %esi
	movl	$RS_CAUSE_EXCEPTION_, %edx
	jmp	dispatch

/* The handler says that Linux shall do what it does without one. */
pass:
	movq	RS_F_ADDR(%rsp), %rax
	movq	%rax, AT(RS_V_CR2)
	TO_V_FRAME
	movq	AT(RS_V_CR2), %rsi
	movl	$RS_CAUSE_SIGNAL_, %edx
	movl	$RS_HC_PASS, %eax
	jmp	to_loop

/*
 * From ring 3 of a program in ring 0, whose ring 3 has bases of its own. RSP is at frame.rax: what the call pushes is where R8 goes later.
 * RAX, RCX, RDX are free. Nothing to be done for a program in ring 3.
 */
exception_user:
	call	leave_ring3
	jmp	exception_ring0
leave_ring3:
	cmpb	$0, AT(RS_V_RING0)
	je	1f
	movb	$0, AT(RS_V_USER)
	CHANGE_BASES RS_V_USER_FS, RS_V_RING0_FS
1:	ret

/* --- page faults ----------------------------------------------------------------------------------------------------------------- */

/*
 * An address whose chunk has not been given out is the loop's. Where there are other threads and an entry is there by now (another one had the
 * chunk given out, or an entry made, between the access and this), the access is repeated. All else is the program's own table's doing.
 */
page_fault:
	movq	%cr2, %rsi
	movq	%rsi, AT(RS_V_CR2)
	movl	$RS_CAUSE_TABLES_, %edx
	testb	$1, F(RS_F_ERROR)
	jnz	dispatch
	movq	%rsi, %rax
	shrq	$30, %rax
	cmpq	$(1 << 17), %rax
	jae	dispatch		/* the upper half */
	movq	AT(RS_V_SHARED), %rdi
	shlq	$3, %rax
	addq	RS_SH_PDPTS(%rdi), %rax
	movq	(%rax), %rax
	testb	$1, %al
	jz	chunk
	cmpl	$1, RS_SH_INSIDE(%rdi)
	je	dispatch		/* nobody else changes anything */
	movq	%cr3, %rcx
	cmpq	AT(RS_V_CR3), %rcx
	jne	1f
	movl	$21, %ecx
	/* RAX: an entry that is present; ECX: the shift of the next level's index */
2:	shlq	$12, %rax
	shrq	$24, %rax
	shlq	$12, %rax		/* its address, 52 bits */
	subq	RS_SH_GPA(%rdi), %rax
	cmpq	$RS_SELF_ARENA, %rax
	jae	1f			/* a table of the program's own: it knows */
	leaq	AT(0), %rdx
	andq	$-RS_SELF_ARENA, %rdx	/* the arena */
	addq	%rax, %rdx
	movq	%rsi, %rax
	shrq	%cl, %rax
	andl	$511, %eax
	movq	(%rdx, %rax, 8), %rax
	testb	$1, %al
	jz	1f
	testb	$0x80, %al
	jnz	again
	subl	$9, %ecx
	cmpl	$12, %ecx
	je	2b
again:
	POP_RAX_TO_RDI
	addq	$16, %rsp
	iretq
1:	movl	$14, %ecx
	movl	$RS_CAUSE_TABLES_, %edx
	jmp	dispatch
chunk:
	movl	$RS_HC_CHUNK, %eax
	jmp	to_loop

/* The nested fault vector: what, is asked of the module. */
refused:
	PUSH_RDI_TO_RAX
	cld
	testb	$3, F(RS_F_CS)
	jz	1f
	call	leave_ring3
1:	testb	$0x80, (V + RS_V_FRAME + RS_F_RIP + 7)(%rip)
	jnz	upper_half
refused_not_mine:
	PUSH_R8_TO_R15
	pushq	$0
	pushq	$0
	xorl	%edi, %edi
	movl	$2, %eax		/* RS_HC_FAULT_INFO */
	HYPERCALL
	movq	%rax, %rbx
	movl	$1, %edi
	movl	$2, %eax
	HYPERCALL
	movq	%rax, %rsi
	movl	$2, %edi
	movl	$2, %eax
	HYPERCALL
	movq	%rax, %rdx
	movq	%rbx, %rdi
	movl	$RS_HC_REFUSED, %eax
	jmp	hyper

	.balign	16
self_monitor_here:
	pushq	$0
	pushq	$RS_VECTOR_HERE
	PUSH_RDI_TO_RAX
	cld
	testb	$3, F(RS_F_CS)
	jz	1f
	call	leave_ring3
1:	movl	$RS_HC_HERE, %eax
	jmp	to_loop_noaddr

/* --- what must not happen -------------------------------------------------------------------------------------------------------- */

/* An exception in the monitor: kernel CS and an address in it. Its frame lies over the program's. */
upper_half:
	testb	$3, F(RS_F_CS)
	jnz	1f
	movq	F(RS_F_RIP), %rax
	leaq	self_monitor_start(%rip), %rcx
	subq	%rcx, %rax
	cmpq	$RS_BLOCK_MONITOR_SIZE, %rax
	jb	broken_monitor
1:	cmpb	$20, F(RS_F_VECTOR)
	je	refused_not_mine
	jmp	not_mine
broken_monitor:
	PUSH_R8_TO_R15
	xorl	%edi, %edi
	movl	$2, %eax		/* RS_HC_FAULT_INFO: of vector 20, else of some earlier one */
	HYPERCALL
	movq	%rax, %rbx
	movl	$2, %edi
	movl	$2, %eax
	HYPERCALL
	pushq	%rax			/* cause: RS_FAULT_* */
	pushq	%rbx			/* addr: GPA */
	movl	$RS_BROKEN_MONITOR, %edi
	jmp	broken
broken_stack:
	movl	$RS_BROKEN_STACK, %edi
1:	PUSH_R8_TO_R15
	pushq	$0
	pushq	$0
	jmp	broken
	/* These three are on stacks of their own. */
broken_double:
	PUSH_RDI_TO_RAX
	movl	$RS_BROKEN_DOUBLE, %edi
	jmp	1b
broken_nmi:
	PUSH_RDI_TO_RAX
	movl	$RS_BROKEN_NMI, %edi
	jmp	1b
broken_mce:
	PUSH_RDI_TO_RAX
	movl	$RS_BROKEN_MCE, %edi
	jmp	1b
broken:
	movq	%rsp, %rsi
	movq	%cr2, %rdx
	movl	$RS_HC_BROKEN, %eax
	HYPERCALL
	jmp	broken

	.balign	4
initial_mxcsr:
	.long	0x1f80
	.balign	64
self_monitor_end:

	.section .rodata.rs_self_sites, "a"
	.globl	self_monitor_sites_end
	.hidden	self_monitor_sites_end
self_monitor_sites_end:

	.section .note.GNU-stack, "", @progbits
