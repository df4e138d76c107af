/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * pgtable.h - the nested table as a data structure: map, look up, zap, age
 *
 * Knows entries and table pages, not regions, address spaces or vCPUs. See pgtable.c for the rules.
 */
#ifndef RS_PGTABLE_H
#define RS_PGTABLE_H

#include <linux/list.h>
#include <linux/mm_types.h>
#include <linux/spinlock.h>
#include "pte_format.h"

/**
 * struct rs_pgtable - one nested table
 * @lock: protects the table; NULL where the owner needs none (tests). Only checked here, never
 *	  taken.
 * @dropped: told of each leaf that leaves the table, with its last accessed and dirty bits. Under
 *	     @lock, may not sleep. May be NULL.
 * @nr_tables: table pages in use, the root included
 * @nr_leaves: leaves in the table, by level
 */
struct rs_pgtable {
	const struct rs_pte_format *fmt;
	int levels;
	spinlock_t *lock;
	void (*dropped)(struct rs_pgtable *pt, rs_npte_t old, int level);
	struct page *root;
	u64 nr_tables;
	u64 nr_leaves[RS_NPT_MAX_LEVELS + 1];
};

/* struct rs_pt_cache - zeroed table pages from before the lock; the owner frees what is left */
struct rs_pt_cache {
	struct list_head pages;
	int nr;
};

/**
 * struct rs_pt_gather - what a change leaves to be done
 * @tables: table pages no longer linked. CPUs may still hold pointers to them in their
 *	    paging-structure caches: freed by rs_pt_gather_free() only after every CPU has been made
 *	    to flush before it enters this guest again.
 * @zapped: leaves removed
 * @flush:  a stale translation may be cached somewhere
 */
struct rs_pt_gather {
	struct list_head tables;
	u64 zapped;
	bool flush;
};

/** struct rs_pt_leaf - a wanted leaf; @pa and the GPA are multiples of the level's size */
struct rs_pt_leaf {
	u64 gpa;
	u64 pa;
	int level;		/* 1: 4 KiB, 2: 2 MiB */
	bool write;
	bool dirty;		/* the access that asks for it is a write */
	bool special;		/* RS_NPTE_SPECIAL */
	bool noexec;		/* may not be executed */
};

#define RS_PT_CACHE_INIT(c)	{ .pages = LIST_HEAD_INIT((c).pages) }
#define RS_PT_GATHER_INIT(g)	{ .tables = LIST_HEAD_INIT((g).tables) }

int rs_pt_init(struct rs_pgtable *pt, const struct rs_pte_format *fmt, int levels, spinlock_t *lock,
	       void (*dropped)(struct rs_pgtable *pt, rs_npte_t old, int level));
void rs_pt_destroy(struct rs_pgtable *pt);

int rs_pt_cache_fill(struct rs_pt_cache *c, int nr);
void rs_pt_cache_free(struct rs_pt_cache *c);
void rs_pt_gather_free(struct rs_pt_gather *g);

int rs_pt_map(struct rs_pgtable *pt, const struct rs_pt_leaf *leaf, struct rs_pt_cache *c,
	      struct rs_pt_gather *g);
bool rs_pt_lookup(struct rs_pgtable *pt, u64 gpa, rs_npte_t *entry, int *level);
void rs_pt_zap(struct rs_pgtable *pt, u64 start, u64 end, struct rs_pt_gather *g);
bool rs_pt_young(struct rs_pgtable *pt, u64 start, u64 end, bool clear, struct rs_pt_gather *g);

#endif /* RS_PGTABLE_H */
