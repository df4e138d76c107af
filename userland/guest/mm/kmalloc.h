/* SPDX-License-Identifier: MIT */
/*
 * kmalloc.h - kernel objects of any size up to 2 MiB
 */
#ifndef RS_MM_KMALLOC_H
#define RS_MM_KMALLOC_H

#include "../lib/types.h"

/**
 * kmalloc() - @size bytes (not 0), aligned to 16, contents undefined, contiguous in GPA; NULL
 * without memory or above 2 MiB
 */
void *kmalloc(size_t size);
/** kzalloc() - the same, zeroed */
void *kzalloc(size_t size);
/** kfree() - NULL is fine */
void kfree(void *p);
/** krealloc() - grows or shrinks, keeping the contents; NULL (and @p still valid) without memory */
void *krealloc(void *p, size_t size);
/** kmalloc_locked() - this CPU is inside kmalloc() or kfree(), and must not call them */
bool kmalloc_locked(void);
/** kmalloc_drop_spare() - gives back pages that hold no object and are kept for the next ones */
void kmalloc_drop_spare(void);
/** kmalloc_in_use() - objects that are allocated, for leak checks */
u64 kmalloc_in_use(void);

#endif
