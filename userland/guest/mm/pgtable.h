/* SPDX-License-Identifier: MIT */
/*
 * pgtable.h - the guest's page tables
 *
 * An address space's table has its own lower half; the entries of the upper half are the kernel's,
 * the same in all. Tables are arena pages; page.refs of a table counts the entries that point at it
 * (one, until fork shares tables: pgtable.c), page.priv its present entries, so that a table
 * without any is freed at once.
 *
 * A present leaf with PTE_OWNED holds one reference on the arena page(s) it maps; entries of the
 * file window and the zero page hold none.
 *
 * The iterator visits leaves and holes of a range in order:
 *
 *	struct pt_iter it;
 *	for (pt_iter_start(&it, pt, start, end); pt_iter_valid(&it); pt_iter_next(&it))
 *		... it.va, it.level, it.pte (for a hole: the highest entry that is not present) ...
 */
#ifndef RS_MM_PGTABLE_H
#define RS_MM_PGTABLE_H

#include "../lib/types.h"
#include "../arch/pte.h"
#include "../lib/printf.h"
#include "page_alloc.h"

struct pgtable {
	u64 root;	/* GPA of the top-level table */
	u64 tables;	/* pages of tables of the lower half, the top included */
	u64 mapped;	/* leaves present in the lower half, in 4 KiB pages */
	bool forked;	/* tables may be shared with other address spaces */
	/* bit N: entry N of the top-level table has been used; others are empty */
	u64 top[4];
};

/** struct pt_iter - a position; read va, level, pte */
struct pt_iter {
	struct pgtable *pt;
	u64 va, end;
	int level;
	bool own;	/* stops at tables that are shared */
	pte_t *pte;
	pte_t *table[PT_LEVELS + 1];
};

/**
 * pgtable_init_kernel() - boot: @root is the table we run on; its upper half becomes everybody's
 */
void pgtable_init_kernel(u64 root);
/**
 * pgtable_kernel_readonly() - boot: kernel addresses [start, end) lose their write right, page by
 * page
 */
void pgtable_kernel_readonly(u64 start, u64 end);
/** pgtable_create() - an empty lower half; false without memory */
bool pgtable_create(struct pgtable *pt);
/**
 * pgtable_fork() - @child shares everything below its top-level table with @parent, copy-on-write
 * Constant time, one page. The TLB is flushed, as the parent (the present address space) has lost
 * all its write rights. False without memory, then nothing has changed.
 */
bool pgtable_fork(struct pgtable *child, struct pgtable *parent);
/**
 * pgtable_destroy() - drops all mappings and tables of the lower half; no CPU may have it in CR3.
 * Costs nothing for what is shared with others.
 */
void pgtable_destroy(struct pgtable *pt);

/** pgtable_drop_spare() - gives back the top-level tables that are kept for the next fork */
void pgtable_drop_spare(void);

/**
 * pgtable_leaf() - the level-1 entry of @va, which may be changed: tables on the way are allocated,
 * 2 MiB pages split, shared tables made our own; NULL without memory
 */
pte_t *pgtable_leaf(struct pgtable *pt, u64 va);
/**
 * pgtable_lookup() - the leaf entry of @va and its level, NULL when no leaf is present. Its table
 * may be shared: not to be changed, and its write bit is not the whole truth.
 */
pte_t *pgtable_lookup(const struct pgtable *pt, u64 va, int *level);
/**
 * pgtable_peek() - the entry of level 1 for @va as it is now; 0 when there is no such table
 * Also by a reader without the lock (sync/rcu.h), whose CPU is in this address space: a table is freed
 * after a flush only, which waits until each such CPU has been in the kernel (proc/sched.c), and a
 * reader ends before it comes in.
 */
static always_inline pte_t pgtable_peek(const struct pgtable *pt, u64 va)
{
	pte_t e = pt->root | PTE_P;
	int l;

#pragma GCC unroll 4
	for (l = PT_LEVELS; l; l--) {
		if (unlikely((e & (PTE_P | PTE_PS)) != PTE_P))
			return 0;
		e = READ_ONCE(((pte_t *)gpa_ptr(e & PTE_ADDR))[pt_index(va, l)]);
	}
	return e;
}
/**
 * pgtable_present() - the leaf entry of @va and its level, if an access with the rights @want
 * (PTE_P, PTE_W) succeeds now, else NULL
 */
pte_t *pgtable_present(const struct pgtable *pt, u64 va, pte_t want, int *level);
/**
 * pgtable_map() - installs @pte for @va at @level (1 or 2), which must be empty there; takes over
 * the reference PTE_OWNED stands for. False without memory for tables.
 */
bool pgtable_map(struct pgtable *pt, u64 va, pte_t pte, int level);
/**
 * pgtable_set() - writes a leaf of level 1 got from pgtable_leaf(), keeping the counts right; drops
 * what was there
 */
void pgtable_set(struct pgtable *pt, u64 va, pte_t *slot, pte_t pte);
/** pgtable_empty() - empties a leaf of level 1 that is not empty, got from pgtable_leaf() */
void pgtable_empty(struct pgtable *pt, u64 va, pte_t *slot);
/**
 * pgtable_unmap() - empties [start, end): page references and empty tables are dropped, the TLB
 * flushed first. A shared table that lies in the range altogether goes as it is.
 */
void pgtable_unmap(struct pgtable *pt, u64 start, u64 end);
/**
 * pgtable_unmap_prepare() - does what needs memory (shared tables and 2 MiB pages that the borders
 * cut), so that pgtable_unmap() of the same range needs none; false without, nothing has changed
 */
bool pgtable_unmap_prepare(struct pgtable *pt, u64 start, u64 end);
/**
 * pgtable_move_window() - leaves in [start, end) that show the file window show it @by bytes further
 * on; pages that belong to the table (PTE_OWNED) stay, and so does what was taken from pages
 * False without memory: then nothing has changed.
 */
bool pgtable_move_window(struct pgtable *pt, u64 start, u64 end, u64 by);
/**
 * pgtable_protect() - for present leaves of [start, end): clears @clear, sets @set; splits 2 MiB
 * pages at the edges; false without memory, then no right has changed
 */
bool pgtable_protect(struct pgtable *pt, u64 start, u64 end, pte_t clear, pte_t set);
/**
 * pgtable_bits() - which of the pages from @va have @bit (PTE_D, PTE_A) in their leaf, to the
 * words at @bits, page 0 in bit 0; how many. @clear: they lose it, and the caller flushes.
 * Clearing needs pgtable_bits_prepare() of the range, which fails without memory and changes
 * nothing then.
 */
u64 pgtable_bits(struct pgtable *pt, u64 va, u64 pages, pte_t bit, bool clear, u64 *bits);
bool pgtable_bits_prepare(struct pgtable *pt, u64 start, u64 end, pte_t bit);
/**
 * pgtable_move_prepare() - does what needs memory, so that pgtable_move() cannot fail; false
 * without. Leaves empty tables at the target, which pgtable_unmap() of it removes.
 */
bool pgtable_move_prepare(struct pgtable *pt, u64 from, u64 to, u64 len);
/**
 * pgtable_move() - moves present leaves from [from, from + len) to [to, ...), which is empty; false
 * without memory (as pgtable_move_prepare())
 */
bool pgtable_move(struct pgtable *pt, u64 from, u64 to, u64 len);

void pt_iter_start(struct pt_iter *it, struct pgtable *pt, u64 start, u64 end);
bool pt_iter_valid(const struct pt_iter *it);
void pt_iter_next(struct pt_iter *it);

/** pgtable_dump() - readable, runs of like entries in one line */
void pgtable_dump(const struct pgtable *pt, struct textbuf *t);
/** pgtable_check() - panics unless all counts are right (tests, debug) */
void pgtable_check(const struct pgtable *pt);

#endif
