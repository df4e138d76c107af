/* SPDX-License-Identifier: MIT */
/*
 * tlb.h - forgetting translations
 *
 * An entry that becomes present needs nothing (no negative caching); one that changes in any other
 * way needs tlb_flush_page() or tlb_flush_all() before the old page is given to somebody else. Both
 * are about the present address space, on all CPUs: when they return, none uses what was there.
 */
#ifndef RS_ARCH_TLB_H
#define RS_ARCH_TLB_H

#include "../lib/types.h"

/* Makes the other CPUs that are in this address space forget it; NULL with one CPU (proc/sched.c). */
extern void (*tlb_flush_others)(void);

#ifdef RS_HOSTED
void tlb_flush_page(u64 va);
void tlb_flush_all(void);
void tlb_load_root(u64 gpa);
static inline void tlb_flush_here(void)
{
}

static inline void tlb_flush_page_here(u64 va)
{
	tlb_flush_page(va);
}

static inline void tlb_flush_rest(void)
{
}
#else
#include "cpu.h"

/*
 * tlb_flush_page_here() - on this CPU only; after one or more of them tlb_flush_rest() once for all
 * the others
 */
static inline void tlb_flush_page_here(u64 va)
{
	asm volatile("invlpg (%0)" : : "r"(va) : "memory");
}

static inline void tlb_flush_rest(void)
{
	if (unlikely(tlb_flush_others))
		tlb_flush_others();
}

static inline void tlb_flush_page(u64 va)
{
	tlb_flush_page_here(va);
	tlb_flush_rest();
}

/** tlb_flush_here() - all of the present address space's translations, on this CPU only */
static inline void tlb_flush_here(void)
{
	write_cr3(read_cr3());
}

/** tlb_flush_all() - all of the present address space's translations that are not global */
static inline void tlb_flush_all(void)
{
	tlb_flush_here();
	tlb_flush_rest();
}

/** tlb_load_root() - another page table; forgets the translations of the last one */
static inline void tlb_load_root(u64 gpa)
{
	write_cr3(gpa);
}
#endif

#endif
