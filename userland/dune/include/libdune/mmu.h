/* SPDX-License-Identifier: MIT */
/*
 * mmu.h - page tables and descriptors of programs written for Dune: types, and the constants of mmu-x86.h
 */
#ifndef RINGSIDE_DUNE_MMU_H
#define RINGSIDE_DUNE_MMU_H

#define UINT64(x)	((uint64_t)x)
#define CAST64(x)	((uint64_t)x)
#define ONE		UINT64(1)

#ifndef __ASSEMBLER__
#include "types.h"
#endif
#include "mmu-x86.h"

#define NPTBITS		9	/* bits of an address that one level of tables takes */
#define NPTLVLS		3	/* the root's level; 0 is that of 4 KiB pages */
#define PD_SKIP		6	/* of a Pseudodesc, what LGDT and LIDT do not read */

#ifndef __ASSEMBLER__
typedef uint64_t ptent_t;

/* What LGDT and LIDT take, from @pd_lim on. */
struct Pseudodesc {
	uint16_t pd__garbage1;
	uint16_t pd__garbage2;
	uint16_t pd__garbage3;
	uint16_t pd_lim;
	uint64_t pd_base;
} __attribute__((packed));

struct Tss {
	char tss__ign1[4];
	uint64_t tss_rsp[3];	/* stacks of rings 0 to 2 */
	uint64_t tss_ist[8];	/* tss_ist[0] means nothing */
	char tss__ign2[10];
	uint16_t tss_iomb;
	uint8_t tss_iopb[];
} __attribute__((packed));

/* A gate of an interrupt table: SETGATE() */
struct Gatedesc {
	uint64_t gd_lo;
	uint64_t gd_hi;
};

struct Trapframe_aux {
};

/* A layout some programs keep registers in; the library itself has struct dune_tf. */
struct Trapframe {
	uint64_t tf_rcx, tf_rdx, tf_rdi, tf_r8, tf_r9, tf_r10, tf_r11;
	uint64_t tf_rbx, tf_rbp, tf_r12, tf_r13, tf_r14, tf_r15;
	union {
		uint64_t tf_rsi;
		uint64_t tf__trapentry_rip;
	};
	uint64_t tf_rax;
	uint32_t tf_err;
	uint32_t tf__pad1;
	uint64_t tf_rip;
	uint16_t tf_cs, tf_ds, tf_es, tf_fs;
	uint64_t tf_rflags;
	uint64_t tf_rsp;
	uint16_t tf_ss, tf_gs;
	uint16_t tf__pad3[2];
};
#endif /* __ASSEMBLER__ */

#endif
