/* SPDX-License-Identifier: MIT */
/*
 * guest.h - what the tests and the code they run in the guest's ring 0 agree on
 *
 * The payload is a flat image at G_CODE. Its first byte is the entry: RDI holds the GVA of this
 * vCPU's struct g_args. It does what args->fn says, leaves the result there and makes the hypercall
 * GHC_DONE. Addresses: the first G_ARENA bytes of the guest are mapped one to one, GVA = GPA, with
 * 4 KiB pages, writable, executable, accessible from ring 3, by tables at G_TABLES.
 */
#ifndef SELFTESTS_GUEST_H
#define SELFTESTS_GUEST_H

#define G_ARENA		(16ul << 20)
#define G_ARGS		0x8000ul	/* struct g_args [G_CPUS], 4 KiB each */
#define G_CPUS		4
/* top level, then one each of the next two, then the last level's */
#define G_TABLES	0x10000ul
#define G_PML4		G_TABLES
#define G_PDPT		(G_TABLES + 0x1000)
#define G_PD		(G_TABLES + 0x2000)
#define G_PT		(G_TABLES + 0x3000)
#define G_CODE		0x100000ul
#define G_STACKS	0x300000ul	/* 64 KiB per vCPU, the top is used first */
#define G_USER_STACKS	0x380000ul
#define G_SCRATCH	0x400000ul	/* the tests' own, to the end */

#define GHC_DONE	0x1000	/* the function is finished */
#define GHC_PANIC	0x1001	/* an exception that nobody expected: (vector, error, rip, cr2) */
/* (tag): the host does something, then continues with a return value */
#define GHC_SYNC	0x1002

#define G_NO_VECTOR	0x100	/* args->vector: no exception */

enum g_fn {
	G_NULL,			/* nothing */
	G_HYPERCALL,		/* hypercall a0 with arguments a1..a4 */
	G_EXIT_DELTA,		/* ret: growth of RS_HC_EXIT_COUNT over a0 null hypercalls */
	/* hypercall a0 with all registers full of patterns; ret: bit per register that changed */
	G_GPRS,
	G_SYNCS,		/* a0 times GHC_SYNC, then a1 turns of a loop; ret: sum of what the host answered */
	G_HLT,			/* HLT with IF as a0 says; if a1, after CLI and a sync */
	G_TRIPLE_FAULT,
	G_LOAD,			/* ret: u64 at a0 */
	G_STORE,		/* u64 at a0 = a1 */
	G_CALL,			/* call a0 */
	G_RDMSR,		/* ret: MSR a0 */
	G_WRMSR,		/* MSR a0 = a1; ret: what reading it gives then */
	G_IN,			/* ret: byte from port a0 */
	G_OUT,			/* byte a1 to port a0 */
	G_INT,			/* INT a0 */
	G_CPUID,		/* out[0..3]: leaf a0, subleaf a1 */
	/* call a0 in ring 3 with argument a1; it ends with an exception or INT 0x81 */
	G_USER,
	G_USER_CODE,		/* ret: address of the ring-3 snippet a0, enum g_user */
	G_SPIN,			/* for ever: u64 at a0 += 1 */
	/* with IF set: until vector a0 came a1 times; counts in *a2 meanwhile */
	G_WAIT_IRQ,
	G_IRQ_COUNT,		/* ret: how often vector a0 came */
	/* IF clear, sync, sti; ret: vector that came right after, bits 8..: how often */
	G_STI_WINDOW,
	G_READER,		/* see notifier_test.c */
	G_WRITER,
	G_ATOMIC,		/* a1 times: locked increment of u64 at a0 */
	/* a1 rounds of pattern checks in the vector registers, seed a0; ret: mismatches */
	G_XMM,
	G_YMM,
	/* a1 rounds: unmap, map elsewhere, use pages from a0 on; ret: mismatches */
	G_CHURN,
	G_FUZZ_HC,		/* a1 hypercalls with random numbers and arguments, seed a0 */
	G_FUZZ_REGS,		/* a1 random MSR, I/O, CR, CPUID accesses, seed a0 */
	/* write the vCPU's own GDT/IDT/TR with wild values, then use them; a0 says which */
	G_STEAL,
	/* a driver of the e1000 by its register page at G_NIC_REGS: enum g_nic a0, arguments a1.. */
	G_NIC,
	G_FN_NR
};

#define G_NIC_REGS	0x2000000ul	/* GVA and GPA; the test maps it */
#define G_NIC_BUFS	0xb00000ul	/* the driver's buffers: 2 KiB for each descriptor, of two rings */
#define G_NIC_RING	64		/* descriptors in each */

enum g_nic {
	GN_START,		/* reset and set up; ret: the MAC, as RAL and RAH have it */
	GN_SEND,		/* frame at a1, of a2 bytes; ret: 1, or 0 when the ring is full */
	GN_RECEIVE,		/* to a1; ret: length, 0 when there is none */
	GN_ECHO,		/* until u64 at a2 is not 0, at most a1 frames: back to where they came from; ret: how many */
	GN_ICR,			/* ret: ICR */
	GN_FORMS,		/* every form of MOV; ret: a bit for each that went wrong */
	GN_REFUSED,		/* access a1 of those that are refused; ret: 1 when there is no such one */
	/* the queue page of the test (nic/link.h): see edge_test.c; struct g_edges at a1; ret: rounds */
	GN_EDGES_TX,
	GN_EDGES_RX,
	GN_FUZZ,		/* a2 random writes and reads of registers, seed a1 */
};

enum g_user {
	GU_LEAVE,		/* INT 0x81 */
	GU_CLI,
	GU_READ,		/* read from the address in RDI */
	GU_VMCALL,		/* RS_HC_NULL; RAX goes to args->out[0] */
	GU_VMMCALL,
	GU_SYSCALL,		/* SYSCALL RDI times */
	GU_IN,
	GU_HLT,
	GU_UD2,
	GU_LOOP,		/* for ever */
};

#ifndef __ASSEMBLY__
/* What the edges share with the test. */
struct g_edges {
	unsigned long count, seed, pause;	/* rounds, and how long it waits between two at most */
	unsigned long page, ring, bufs;		/* GVAs: queue page, the ring used, its buffers of 2 KiB */
	unsigned long entries;
	/* results and signals */
	volatile unsigned long progress, woken;	/* rounds so far; 1: the interrupt has come, set by the test */
	volatile unsigned long doorbells, sleeps;
	volatile unsigned long exits, counted;		/* exits, and doorbells, of all rounds but the first */
};

struct g_args {
	unsigned long fn;
	unsigned long a[6];
	unsigned long vmx;		/* VMCALL, else VMMCALL */
	unsigned long cpu;
	/* results */
	unsigned long ret;
	unsigned long vector;		/* exception that ended the function, or G_NO_VECTOR */
	unsigned long error;
	unsigned long rip, cr2, cpl, rflags;
	unsigned long out[8];
	unsigned long fault_info[3];	/* RS_HC_FAULT_INFO at the last RS_VECTOR_NESTED_FAULT */
	unsigned long syscalls;
	/* per vector, since the VM was made; a start does not reset them */
	unsigned long irqs[256];
};
#endif

#endif /* SELFTESTS_GUEST_H */
