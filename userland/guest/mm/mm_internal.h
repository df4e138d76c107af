/* SPDX-License-Identifier: MIT */
/*
 * mm_internal.h - what the files of mm/ and exec share beyond the public calls of vma.h
 */
#ifndef RS_MM_INTERNAL_H
#define RS_MM_INTERNAL_H

#include "vma.h"

#define MMAP_MIN	0x10000ul	/* lowest address a process may map (vm.mmap_min_addr) */
#define STACK_GAP	(1ul << 20)	/* nothing is placed so near below a stack that grows */
#define MAX_VMAS	65530		/* per address space (vm.max_map_count) */

/** vma_of() - the VMA of a node of mm->tree; NULL of NULL */
static inline struct vma *vma_of(struct avl_node *n)
{
	return n ? container_of(n, struct vma, node) : NULL;
}

struct vma *vma_next(struct mm *mm, const struct vma *v);
struct vma *vma_prev(struct mm *mm, const struct vma *v);
/** vma_resize() - moves @v's ends; nobody else's memory lies in between */
void vma_resize(struct mm *mm, struct vma *v, u64 start, u64 end);
/**
 * vma_add() - a VMA in free space, joined with neighbours that are alike; NULL without memory
 * Takes over the reference on @file (not when it fails).
 */
struct vma *vma_add(struct mm *mm, u64 start, u64 end, u32 flags, struct file_map *file,
		    u64 file_off);
/** vma_object() - shared memory without a file has its object from now on; false without memory */
bool vma_object_make(struct vma *v);
static inline bool vma_object(struct vma *v)
{
	return likely(!(v->flags & VM_SHARED) || v->file || v->shm) || vma_object_make(v);
}
/** vma_link(), vma_unlink() - puts @v behind @prev (NULL: first), takes it out, in list and tree */
void vma_link(struct mm *mm, struct vma *v, struct vma *prev);
void vma_unlink(struct mm *mm, struct vma *v);
/** vma_link_part() - @n, which the caller has allocated, as vma_add_part() */
void vma_link_part(struct mm *mm, struct vma *n, const struct vma *v, u64 start, u64 end, u64 to);
void vma_set_flags(struct mm *mm, struct vma *v, u32 flags);
/** vma_join() - joins @v with its neighbours where they are alike; what it has become part of */
struct vma *vma_join(struct mm *mm, struct vma *v);
/**
 * vma_cut_borders() - @start and @end are borders between VMAs; false without memory, then nothing
 * has changed
 */
bool vma_cut_borders(struct mm *mm, u64 start, u64 end);
/**
 * vma_remove_range() - empties [@start, @end), whose borders are VMA borders; nothing can fail after
 * pgtable_unmap_prepare()
 */
void vma_remove_range(struct mm *mm, u64 start, u64 end);
/** vma_range_has() - some VMA there has one of @flags */
bool vma_range_has(struct mm *mm, u64 start, u64 end, u32 flags);
/** mm_alloc_like() - all of @old but memory: no VMAs, no page table; NULL without memory */
struct mm *mm_alloc_like(const struct mm *old);
/**
 * vma_add_part() - what @v, which may be another address space's, has of [@start, @end), in @mm at
 * @to, where that is free: a VMA without pages, joined with nobody yet. At another address it is no
 * heap and no stack. NULL without memory
 */
struct vma *vma_add_part(struct mm *mm, const struct vma *v, u64 start, u64 end, u64 to);
/**
 * vma_join_range() - those that begin in [@start, @end) are joined with neighbours that are alike
 */
void vma_join_range(struct mm *mm, u64 start, u64 end);
/** vma_drop() - takes @v out and frees it; its pages are gone already */
void vma_drop(struct mm *mm, struct vma *v);
/** mm_free_vmas() - all of them, without a look at the page table; @mm is good for nothing then */
void mm_free_vmas(struct mm *mm);
/** find_free() - a place for @len bytes, 0 when there is none */
u64 find_free(struct mm *mm, u64 len);
/** find_free_32bit() - for MAP_32BIT: the lowest place in the second GiB, as Linux has it; 0: none */
u64 find_free_32bit(struct mm *mm, u64 len);
bool range_free(struct mm *mm, u64 start, u64 end);
void mm_populate(struct mm *mm, u64 start, u64 end);
/**
 * mm_map_same() - [@at, @at + @len) of @mm, the present address space, maps the object or file that
 * the shared mapping @like of any address space maps from @addr on; @flags: VM_* of the new one
 * 0, -EMSGSIZE: not there; -ENOMEM
 */
long mm_map_same(struct mm *mm, u64 at, u64 len, struct vma *like, u64 addr, u32 flags);
/**
 * mm_set_object() - @s (with a reference for each mapping; NULL: none) is the pager of [@start,
 * @end); errors as mm_set_pager()
 */
long mm_set_object(struct mm *mm, u64 start, u64 end, struct shm *s);
/**
 * range_check() - [@addr, @addr + @len): -EINVAL unless whole pages and some, -ENOMEM beyond what
 * may be mapped
 */
static inline long range_check(u64 addr, u64 len)
{
	if ((addr | len) & ~PAGE_MASK || !len)
		return -EINVAL;
	return addr > USER_TOP || len > USER_TOP - addr ? -ENOMEM : 0;
}

#endif
