/* SPDX-License-Identifier: MIT */
/*
 * layout.h - self-entry: where things are, for C and assembly
 *
 * The arena is all that the library maps, once: a program may have ideas about addresses that are free. It is one mapping of the process,
 * RS_SELF_ARENA bytes at a 2 MiB boundary, in blocks of 2 MiB:
 *
 *	0 .. 63		one per vCPU
 *	64		what all vCPUs share
 *	65 ..		page-table pages
 *
 * It is seen at two addresses: where Linux mapped it (the loop's address), and in the upper half of the guest's address space, at
 * RS_SELF_BASE (the monitor's address), supervisor only. Its entries in the lower half are supervisor, too. The trap stack is used at the
 * loop's address: what handlers have there is given to system calls.
 *
 * A vCPU's block. The frame is where the registers of interrupted code are: its end is the stack on which the CPU pushes for every
 * exception, every interrupt and (by hand) every system call, so that what it pushes falls into the right places. The monitor runs with
 * interrupts off and never faults, so one frame is enough: before anything that may trap runs in the guest, the frame has been moved.
 *
 *	0x00000		struct self_vcpu, its first part known to the monitor
 *	0x02000		GDT, TSS
 *	0x03000		IDT
 *	0x04000		the monitor's text: a copy, as it finds its data by RIP
 *	0x08000		stacks for #DF, NMI, #MC, and for an exception in the monitor
 *	0x0c000		vector registers of the loop's slow path
 *	0x20000		guard; native stack of the loop up to 0x60000
 *	0x60000		guard; trap stack up to 0x100000
 *	0x1fe000	struct rs_run, shared with the module
 *	0x1ff000	page whose loss to Linux flushes all vCPUs (see rs_ring0_flush)
 */
#ifndef RS_SELF_LAYOUT_H
#define RS_SELF_LAYOUT_H

#define RS_SELF_BASE		0xffff800000000000
#define RS_SELF_ARENA		0x10000000
#define RS_SELF_BLOCK		0x200000
#define RS_SELF_SHARED_BLOCK	64
#define RS_SELF_TABLES_BLOCK	65

#define RS_BLOCK_GDT		0x2000
#define RS_BLOCK_TSS		0x2400
#define RS_BLOCK_GDTR		0x2800
#define RS_BLOCK_IDTR		0x2810
#define RS_BLOCK_IDT		0x3000
#define RS_BLOCK_MONITOR		0x4000
#define RS_BLOCK_MONITOR_SIZE	0x4000
#define RS_BLOCK_STACKS		0x8000	/* four of a page */
#define RS_BLOCK_VECTORS	0xc000
#define RS_BLOCK_VECTORS_SIZE	0x14000
#define RS_BLOCK_NATIVE		0x20000
#define RS_BLOCK_NATIVE_TOP	0x60000
#define RS_BLOCK_TRAP		0x60000
#define RS_BLOCK_TRAP_TOP	0x100000
#define RS_BLOCK_RUN		0x1fe000
#define RS_BLOCK_FLUSH		0x1ff000

/* Selectors are Linux's, but these two: the TSS, and one that exists in our guest alone, whose limit says which vCPU this is */
#define RS_SEL_KERNEL_CS	0x10
#define RS_SEL_KERNEL_SS	0x18
#define RS_SEL_USER_SS		0x2b
#define RS_SEL_USER_CS		0x33
#define RS_SEL_TSS		0x40
#define RS_SEL_CPUNODE		0x7b	/* the vDSO's */
#define RS_SEL_SELF		0x83
#define RS_SELF_MAGIC		0x5a500	/* limit of RS_SEL_SELF, the vCPU in the low 6 bits */

/* offsets in struct self_vcpu; self.h asserts them. The frame's are those of struct rs_trap_frame. */
#define RS_V_FRAME		0x00
#define RS_V_FRAME_END		0xc0
#define RS_V_STAGING		0xc0	/* a frame on its way into the registers */
#define RS_V_FS_BASE		0x180
#define RS_V_GS_BASE		0x188
#define RS_V_USER		0x190	/* system calls come from ring 3 */
#define RS_V_TRAP_TOP		0x198	/* the next trap's frame goes below; Linux's address, as the two that follow */
#define RS_V_SHARED		0x1a0	/* struct self_shared, the monitor's address */
#define RS_V_CR3		0x1a8	/* the process's own table */
#define RS_V_TRAP_LOW		0x1b0	/* lowest address of the trap stack that a frame may take */
#define RS_V_TRAP_END		0x1b8
#define RS_V_FSGSBASE		0x1c0	/* CR4.FSGSBASE is set */
#define RS_V_XSAVE		0x1c1	/* CR4.OSXSAVE is set */
#define RS_V_RING0		0x1c2	/* the program runs in ring 0 */
#define RS_V_XSAVE_MASK		0x1c8
#define RS_V_XSAVE_SIZE		0x1d0	/* multiple of 64 */
#define RS_V_CR2		0x1d8	/* of the exception in the frame */
#define RS_V_RESTART		0x1e0	/* the loop's: number of a call that has not begun */
#define RS_V_BLOCK		0x1e8	/* Linux's address of the block */
#define RS_V_USER_FS		0x1f0	/* bases of ring 3 while ring 0 runs, of a program that runs in ring 0 */
#define RS_V_USER_GS		0x1f8
#define RS_V_RING0_FS		0x200	/* and the other way round */
#define RS_V_RING0_GS		0x208
#define RS_V_USER_CONTEXT	0x210	/* stack pointer of the innermost rs_ring0_user(), 0: none */
#define RS_V_RESUME		0x218	/* the monitor's way to load the staging frame */
#define RS_V_PENDING		0x250	/* the loop's: signals are noted */

#define RS_F_ADDR		0x00
#define RS_F_CAUSE		0x08
#define RS_F_R15		0x10
#define RS_F_R14		0x18
#define RS_F_R13		0x20
#define RS_F_R12		0x28
#define RS_F_RBP		0x30
#define RS_F_RBX		0x38
#define RS_F_R11		0x40
#define RS_F_R10		0x48
#define RS_F_R9			0x50
#define RS_F_R8			0x58
#define RS_F_RAX		0x60
#define RS_F_RCX		0x68
#define RS_F_RDX		0x70
#define RS_F_RSI		0x78
#define RS_F_RDI		0x80
#define RS_F_VECTOR		0x88
#define RS_F_ERROR		0x90
#define RS_F_RIP		0x98
#define RS_F_CS			0xa0
#define RS_F_RFLAGS		0xa8
#define RS_F_RSP		0xb0
#define RS_F_SS			0xb8
#define RS_F_SIZE		0xc0

/* offsets in struct self_shared */
#define RS_SH_HANDLERS		0x00	/* of vectors 0 to 31, 32: system calls of ring 3 */
#define RS_SH_PDPTS		0x108	/* the monitor's address of the page of level 3 for address 0; the others follow */
#define RS_SH_GPA		0x110	/* of the arena */
#define RS_SH_INSIDE		0x118	/* u32: threads inside */

/* RS_CAUSE_* of C headers */
#define RS_CAUSE_EXCEPTION_	10
#define RS_CAUSE_TABLES_	65
#define RS_CAUSE_SIGNAL_	66

/* Interrupt vectors of the monitor, and what rs_trap_frame.vector is for a system call. */
#define RS_VECTOR_SYSCALL	0x100
#define RS_VECTOR_HERE		0xe0	/* the loop wants the vCPU in RS_HC_HERE */

/*
 * Hypercalls of the monitor. The interrupted code's registers are in the frame. The answer (RAX) is one of RS_ANS_*.
 * RS_HC_SYSCALL: a system call, not to be answered but by RS_ANS_CALL, RS_ANS_LOAD
 * RS_HC_CHUNK: a page fault (CR2 in v->cr2, error code in the frame) at an address that has no chunk; RS_ANS_LOAD: try again
 * RS_HC_TRAP: an exception for which the program has no handler, or #UD. RS_ANS_HANDLER only where it has one.
 * RS_HC_REFUSED: the nested fault vector: Linux refuses. RDI GPA, RSI GVA or 0, RDX RS_FAULT_*
 * RS_HC_HERE: the interrupt of that name
 * RS_HC_BROKEN: an exception in the monitor itself, a double fault, no room on the trap stack: RDI RS_BROKEN_*, RSI the address of a frame.
 *		Does not come back.
 * RS_HC_PASS: a handler has returned with RS_CAUSE_SIGNAL: Linux's signal, or system call, of what is in the frame (v->cr2: its addr)
 */
#define RS_HC_SELF		0x200
#define RS_HC_SYSCALL		0x200
#define RS_HC_CHUNK		0x201
#define RS_HC_TRAP		0x202
#define RS_HC_REFUSED		0x203
#define RS_HC_HERE		0x204
#define RS_HC_BROKEN		0x205
#define RS_HC_PASS		0x206

#define RS_ANS_CALL		0	/* a system call is answered: all but RAX, RCX, R11 is as it was */
#define RS_ANS_LOAD		1	/* everything from the frame, FS and GS bases as well */
#define RS_ANS_HANDLER		2	/* the program's handler of the vector in the frame */
#define RS_ANS_TOUCH		3	/* touch the flush page, then the same hypercall again */
#define RS_ANS_ENTER		4	/* as RS_ANS_LOAD, after a time outside: other threads' changes of tables have not been seen */

#define RS_BROKEN_DOUBLE	0	/* #DF */
#define RS_BROKEN_NMI		1
#define RS_BROKEN_MCE		2
#define RS_BROKEN_MONITOR		3	/* an exception in the monitor */
#define RS_BROKEN_STACK		4	/* the trap stack is used up */

/*
 * System calls that the loop answers itself. Outside of the ring they are ENOSYS.
 */
#define RS_SELF_SYS		0x52530000
#define RS_SELF_SYS_LEAVE	(RS_SELF_SYS + 0)	/* () */
#define RS_SELF_SYS_CHUNK	(RS_SELF_SYS + 1)	/* (va): gives the chunk out for good; 0, -EFAULT, -ENOMEM, -EAGAIN: touch the flush page, call again */
#define RS_SELF_SYS_STATS	(RS_SELF_SYS + 2)	/* (struct rs_self_stats *): 0 */
#define RS_SELF_SYS_ENTER	(RS_SELF_SYS + 3)	/* () inside: -EALREADY */

#ifdef __ASSEMBLER__
/* RDI: a struct rs_trap_frame. The number and arguments of the system call in it, to where Linux takes them. */
	.macro	LOAD_CALL
	movq	RS_F_RAX(%rdi), %rax
	movq	RS_F_RSI(%rdi), %rsi
	movq	RS_F_RDX(%rdi), %rdx
	movq	RS_F_R10(%rdi), %r10
	movq	RS_F_R8(%rdi), %r8
	movq	RS_F_R9(%rdi), %r9
	movq	RS_F_RDI(%rdi), %rdi
	.endm
#endif

#endif /* RS_SELF_LAYOUT_H */
