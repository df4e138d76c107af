/* SPDX-License-Identifier: MIT */
/*
 * cpu-x86.h - exception vectors, the interrupt table's entries and MSRs, by the names that programs written for Dune use
 *
 * The MSRs a program in ring 0 may read and write without an exit are the ones that concern it alone: FS, GS and kernel GS base, STAR, LSTAR
 * and SFMASK. The last three belong to the library: see README.md. Any other is #GP.
 */
#ifndef RINGSIDE_DUNE_CPU_X86_H
#define RINGSIDE_DUNE_CPU_X86_H

#include <stdint.h>

typedef uint64_t u64;

static inline void native_write_msr(unsigned int msr, unsigned low, unsigned high)
{
	asm volatile("wrmsr" : : "c"(msr), "a"(low), "d"(high) : "memory");
}

static inline unsigned long long native_read_msr(unsigned int msr)
{
	uint32_t low, high;

	asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return low | (unsigned long long)high << 32;
}

#define wrmsrl(msr, val)	native_write_msr((msr), (uint32_t)((uint64_t)(val)), (uint32_t)((uint64_t)(val) >> 32))
#define rdmsrl(msr, val)	((val) = native_read_msr((msr)))

#ifndef MSR_FS_BASE
#define MSR_FS_BASE		0xc0000100
#define MSR_GS_BASE		0xc0000101
#endif
#define MSR_KERNEL_GS_BASE	0xc0000102
#define MSR_LSTAR		0xc0000082

/* What LGDT and LIDT take. */
struct tptr {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

#define IDTD_P			(1 << 7)
#define IDTD_CPL3		(3 << 5)
#define IDTD_TRAP_GATE		0xF
#define IDTD_INTERRUPT_GATE	0xE
#define IDT_ENTRIES		256

/* An entry of the interrupt table. */
struct idtd {
	uint16_t low;		/* of the address, bits 0 to 15 */
	uint16_t selector;
	uint8_t ist;
	uint8_t type;
	uint16_t middle;	/* bits 16 to 31 */
	uint32_t high;		/* bits 32 to 63 */
	uint32_t zero;
} __attribute__((packed)) __attribute__((aligned));

#define T_DIVIDE	0
#define T_DEBUG		1
#define T_NMI		2
#define T_BRKPT		3
#define T_OFLOW		4
#define T_BOUND		5
#define T_ILLOP		6
#define T_DEVICE	7
#define T_DBLFLT	8
#define T_TSS		10
#define T_SEGNP		11
#define T_STACK		12
#define T_GPFLT		13
#define T_PGFLT		14
#define T_FPERR		16
#define T_ALIGN		17
#define T_MCHK		18
#define T_SIMDERR	19

#define T_SYSCALL	48	/* a vector that no hardware uses */

#endif
