/* SPDX-License-Identifier: MIT */
/*
 * pte.h - the x86-64 page-table entry
 *
 * Four levels: 4 (PML4) to 1 (page table). Bits 9-11 and 52-58 are ours.
 */
#ifndef RS_ARCH_PTE_H
#define RS_ARCH_PTE_H

#include "../lib/types.h"

typedef u64 pte_t;

#define PTE_P		(1ul << 0)
#define PTE_W		(1ul << 1)
#define PTE_U		(1ul << 2)
#define PTE_PWT		(1ul << 3)
#define PTE_PCD		(1ul << 4)
#define PTE_A		(1ul << 5)
#define PTE_D		(1ul << 6)
#define PTE_PS		(1ul << 7)	/* levels 2 and 3: maps a page of 2 MiB, 1 GiB */
#define PTE_G		(1ul << 8)
#define PTE_OWNED	(1ul << 9)	/* ours: holds a reference on the arena page it maps */
/* ours: rights of this page that the process has taken from itself (mm/pages.c) */
#define PTE_NO_WRITE	(1ul << 10)
#define PTE_NO_ACCESS	(1ul << 11)
#define PTE_TAKEN	(PTE_NO_WRITE | PTE_NO_ACCESS)
#define PTE_MARKS	(15ul << 52)	/* the process's own */
#define PTE_CALLS	(1ul << 56)	/* ours, with PTE_NO_WRITE: that is not for calls */
#define PTE_NX		(1ul << 63)
#define PTE_ADDR	0x000ffffffffff000ul

#define PT_LEVELS	4
#define PT_ENTRIES	512
#define PT_KERNEL_FIRST	256		/* first PML4 entry of the kernel's half */
/* The PML4 entry that leads back to the PML4 itself: ring 3 reads its tables there (pgtable.c). */
#define PT_SELF		496

/** pt_shift() - log2 of what one entry of @level maps */
static inline unsigned int pt_shift(int level)
{
	return PAGE_SHIFT + 9 * (level - 1);
}

static inline u64 pt_size(int level)
{
	return 1ul << pt_shift(level);
}

static inline unsigned int pt_index(u64 va, int level)
{
	return va >> pt_shift(level) & (PT_ENTRIES - 1);
}

/** pt_self() - where ring 3 sees the entry of @level for @va */
static inline u64 pt_self(u64 va, int level)
{
	while (level--)
		va = (va >> 9 & ((1ul << 39) - 1)) | (u64)PT_SELF << 39;
	return (va & ~7ull) | 0xffffull << 48;
}

#endif
