/* SPDX-License-Identifier: MIT */
/*
 * pages.h - rights and dirty bits page by page, for programs that manage their memory themselves
 */
#ifndef RS_MM_PAGES_H
#define RS_MM_PAGES_H

#include "vma.h"

/**
 * mm_pages_protect() - the pages of [@addr, @addr + @len) have of the rights of their mapping those
 * of @arg only: RS_PAGE_WRITE (all), RS_PAGE_READ, or RS_PAGE_NONE, and the marks and the like that
 * RS_SYS_PROTECT knows. See pages.c. @mm is the current address space, or one nobody runs in.
 * -EINVAL: not aligned, empty, other rights; -ENOMEM: not mapped throughout, or no memory; -EACCES:
 * a right the mapping does not have; -EPERM: the kernel's own; -EFAULT: a page that is its pager's
 * to provide, and is not there. After -EFAULT, and -ENOMEM for want of memory, some pages may have
 * changed, otherwise none has.
 */
long mm_pages_protect(struct mm *mm, u64 addr, u64 len, u64 arg);

/**
 * mm_pages_bits_begin() - [@addr, @addr + @len) is all right for mm_pages_bits(); 0, -EINVAL, or
 * -ENOMEM: clearing takes memory
 */
long mm_pages_bits_begin(struct mm *mm, u64 addr, u64 len, bool accessed, bool clear);
/**
 * mm_pages_bits() - dirty (or accessed) bits of @pages pages from @addr to the words at @bits,
 * page 0 in bit 0; how many there are. When bits have been cleared the caller ends with
 * mm_pages_bits_end(), before ring 3 runs on.
 */
u64 mm_pages_bits(struct mm *mm, u64 addr, u64 pages, bool accessed, bool clear, u64 *bits);

void mm_pages_bits_end(void);
/** mm_pages_written() - the pages of [@addr, @addr + @len) that may be written are dirty */
void mm_pages_written(struct mm *mm, u64 addr, u64 len);
/**
 * mm_map2() - memory that is shared (VM_SHARED) a second time, at @to or, 0, where there is room,
 * with @prot; its address. -EINVAL: private memory, not aligned, overlaps; -EACCES: a right that
 * the first mapping cannot have, or to execute what may be written (RS_BOOT_WX allows it);
 * -EEXIST: something is at @to; -ENOMEM
 */
long mm_map2(struct mm *mm, u64 addr, u64 len, u64 to, u64 prot);
/**
 * mm_replace() - the pages of [@from, @from + @len) of @src take the place of those of @mm at @to,
 * with the rights and marks @arg (as mm_pages_protect(), but for RS_PAGE_TOUCHED); @from is
 * untouched then. Each of the two is the current address space, or one that nobody runs in. Errors
 * as RS_OP_REPLACE; after -ENOMEM for want of memory the pages before have moved, otherwise none
 * has.
 */
long mm_replace(struct mm *mm, u64 to, struct mm *src, u64 from, u64 len, u64 arg);

/* --- give.c ----------------------------------------------------------------------------------- */

/**
 * mm_create_like() - an empty address space with @old's limits and marks of where things are, as
 * mm_create()
 */
struct mm *mm_create_like(const struct mm *old);
/**
 * mm_give() - what @from, the current address space, has at [@addr, @addr + @len) is in @mm, which
 * nobody runs in, at @to as well: mappings, and their pages copy-on-write. Errors as RS_OP_GIVE,
 * but EBUSY; then @mm has nothing of it.
 */
long mm_give(struct mm *mm, u64 to, struct mm *from, u64 addr, u64 len);

#endif
