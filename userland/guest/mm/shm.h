/* SPDX-License-Identifier: MIT */
/*
 * shm.h - anonymous memory that several address spaces map
 */
#ifndef RS_MM_SHM_H
#define RS_MM_SHM_H

#include "../sync/spinlock.h"
#include "page_alloc.h"

/**
 * struct shm - pages by number; every VMA that maps some of them has a reference
 * @root: a tree of nodes with 512 GPAs each, @height of them above a page; under @lock
 */
struct shm {
	u32 refs;
	int height;
	struct page *root;
	struct spinlock lock;
	void (*gone)(struct shm *s);	/* frees it, where it is a part of something else; else NULL */
};

/** shm_create() - an empty one with one reference; NULL without memory */
struct shm *shm_create(void);
static inline struct shm *shm_get(struct shm *s)
{
	__atomic_add_fetch(&s->refs, 1, __ATOMIC_RELAXED);
	return s;
}
/** shm_put() - drops a reference; the last one drops the pages */
void shm_put(struct shm *s);
/**
 * shm_page() - page number @index, zero if nobody has touched it, with a reference for the caller;
 * NULL without memory
 */
struct page *shm_page(struct shm *s, u64 index);
/** shm_has() - somebody has touched page number @index */
bool shm_has(struct shm *s, u64 index);

#endif
