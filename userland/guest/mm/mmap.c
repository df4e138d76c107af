// SPDX-License-Identifier: MIT
/*
 * mmap.c - mmap, munmap and mprotect
 *
 * What a request may ask for is checked first, then a place is found; what is in the way goes only when
 * nothing can fail any more.
 */
#include <asm/unistd.h>
#include <linux/mman.h>
#include "vma.h"
#include "fault.h"
#include "kmalloc.h"
#include "mm_internal.h"
#include "../arch/tlb.h"
#include "../lib/assert.h"
#include "../lib/string.h"

#define PROT_ALL	(PROT_READ | PROT_WRITE | PROT_EXEC)
#define MAP_KNOWN_LEGACY (MAP_SHARED | MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | MAP_DENYWRITE | \
			  MAP_EXECUTABLE | MAP_GROWSDOWN | MAP_LOCKED | MAP_NORESERVE | \
			  MAP_POPULATE | \
			  MAP_NONBLOCK | MAP_STACK | MAP_HUGETLB | MAP_UNINITIALIZED | \
			  MAP_FIXED_NOREPLACE | MAP_32BIT)

#ifndef MAP_32BIT
#define MAP_32BIT 0x40
#endif

bool prot_refused(u32 prot)
{
	return (prot & (PROT_WRITE | PROT_EXEC)) == (PROT_WRITE | PROT_EXEC) &&
	       !(rs_boot->flags & RS_BOOT_WX);
}

static long mmap_check(const struct mmap_req *r, u64 len)
{
	u32 type = r->flags & MAP_TYPE;

	if (!r->len)
		return -EINVAL;
	if (!len || len > USER_TOP)
		return -ENOMEM;
	if (type != MAP_SHARED && type != MAP_PRIVATE && type != MAP_SHARED_VALIDATE)
		return -EINVAL;
	if (type == MAP_SHARED_VALIDATE && r->flags & ~(u32)(MAP_KNOWN_LEGACY | MAP_TYPE))
		return -EOPNOTSUPP;
	if (r->flags & MAP_HUGETLB)
		return -ENOMEM;	/* there is no pool of huge pages */
	if (r->prot & ~(u32)(PROT_ALL | PROT_SEM))
		return -EINVAL;
	if (prot_refused(r->prot))
		return -EACCES;
	if (!(r->flags & MAP_ANONYMOUS)) {
		if (r->offset & ~PAGE_MASK)
			return -EINVAL;
		if (r->offset + len < r->offset || (s64)(r->offset + len) < 0)
			return -EOVERFLOW;
		if (r->host_fd < 0)
			return -EBADF;
	}
	return 0;
}

/* Where the mapping goes: an address or -errno. */
static long mmap_place(struct mm *mm, const struct mmap_req *r, u64 len)
{
	u64 addr = r->addr, at;

	if (r->flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) {
		if (addr & ~PAGE_MASK)
			return -EINVAL;
		if (len > USER_TOP || addr > USER_TOP - len)
			return -ENOMEM;
		if (addr < MMAP_MIN)
			return -EPERM;
		if (r->flags & MAP_FIXED_NOREPLACE && !range_free(mm, addr, addr + len))
			return -EEXIST;
		if (vma_range_has(mm, addr, addr + len, VM_FIXED_KERNEL))
			return -EPERM;
		return addr;
	}
	addr = page_up(addr);
	if (addr >= MMAP_MIN && addr <= USER_TOP - len && range_free(mm, addr, addr + len)) {
		struct vma *next = mm_find_from(mm, addr + len);

		if (!next || !(next->flags & VM_GROWSDOWN) ||
		    next->start - (addr + len) >= STACK_GAP)
			return addr;
	}
	at = r->flags & MAP_32BIT ? find_free_32bit(mm, len) : find_free(mm, len);
	return at ? (long)at : -ENOMEM;
}

/*
 * Two mappings of a file may lie at two places of the window: those who share memory by it
 * (futexes) go by the file itself.
 */
static struct file_map *shared_file(const struct mmap_req *r, u64 len, u32 flags)
{
	struct file_map *f = file_map_create(r->host_fd, r->offset, len, RS_MAP_SHARED | flags,
					     r->name);
	struct stat_head {
		u64 dev, ino;
	} *st = host_bounce();

	if (IS_ERR(f))
		return f;
	rs_stats()->forwarded++;
	if (!host_call2(__NR_fstat, r->host_fd, gpa_of(st))) {
		f->dev = st->dev;
		f->ino = st->ino;
	}
	return f;
}

/*
 * The host's mapping behind a file VMA; clears VM_MAYWRITE in *@flags where the file may not be
 * written.
 */
static struct file_map *mmap_file(const struct mmap_req *r, u64 len, u32 *flags)
{
	struct file_map *f;

	if (!(*flags & VM_SHARED))
		return file_map_create(r->host_fd, r->offset, len, 0, r->name);
	f = shared_file(r, len, RS_MAP_WRITE);
	if (PTR_ERR(f) != -EACCES || *flags & VM_WRITE)
		return f;
	*flags &= ~VM_MAYWRITE;
	return shared_file(r, len, 0);
}

static u32 vma_flags(const struct mmap_req *r)
{
	u32 flags = (r->prot & PROT_ALL) | VM_MAYWRITE;

	if ((r->flags & MAP_TYPE) != MAP_PRIVATE)
		flags |= VM_SHARED;
	if (r->flags & MAP_GROWSDOWN && !(flags & VM_SHARED) && r->flags & MAP_ANONYMOUS)
		flags |= VM_GROWSDOWN;
	if (r->flags & MAP_NORESERVE)
		flags |= VM_NORESERVE;
	return flags;
}

long mm_mmap(struct mm *mm, const struct mmap_req *r)
{
	u64 len = page_up(r->len), replaced = 0;
	struct file_map *file = NULL;
	u32 flags = vma_flags(r);
	long addr = mmap_check(r, len);
	struct vma *v;

	if (addr)
		return addr;
	addr = mmap_place(mm, r, len);
	if (addr < 0)
		return addr;
	for (v = mm_find_from(mm, addr); v && v->start < addr + len; v = vma_next(mm, v))
		replaced += min(v->end, addr + len) - max(v->start, (u64)addr);
	if (mm->total - replaced > mm->limit_as || len > mm->limit_as - (mm->total - replaced))
		return -ENOMEM;
	if (mm->tree.count >= MAX_VMAS)
		return -ENOMEM;

	if (!(r->flags & MAP_ANONYMOUS)) {
		file = mmap_file(r, len, &flags);
		if (IS_ERR(file))
			return PTR_ERR(file);
	}
	if (!range_free(mm, addr, addr + len)) {
		if (!pgtable_unmap_prepare(&mm->pt, addr, addr + len) ||
		    !vma_cut_borders(mm, addr, addr + len))
			goto no_memory;
		vma_remove_range(mm, addr, addr + len);
	}
	if (!vma_add(mm, addr, addr + len, flags, file, 0))
		goto no_memory;
	if (r->flags & (MAP_POPULATE | MAP_LOCKED) && !(r->flags & MAP_NONBLOCK))
		mm_populate(mm, addr, addr + len);
	return addr;

no_memory:
	if (file)
		file_map_put(file);
	return -ENOMEM;
}

/**
 * mm_populate() - faults [start, end) in as far as that is possible, for writing where the VMA
 * allows
 */
void mm_populate(struct mm *mm, u64 start, u64 end)
{
	u64 a;

	for (a = start; a < end; a += PAGE_SIZE) {
		struct vma *v = mm_find(mm, a);

		if (!v || !(v->flags & VM_PROT))
			return;
		if (mm_fault(mm, a, v->flags & VM_WRITE && !v->file ? FAULT_WRITE : FAULT_READ))
			return;
	}
}

long mm_munmap(struct mm *mm, u64 addr, u64 len)
{
	len = page_up(len);
	if (addr & ~PAGE_MASK || !len || addr > USER_TOP || len > USER_TOP - addr)
		return -EINVAL;
	if (range_free(mm, addr, addr + len))
		return 0;
	if (vma_range_has(mm, addr, addr + len, VM_FIXED_KERNEL))
		return -EPERM;
	if (mm->tree.count >= MAX_VMAS && mm_find(mm, addr) &&
	    mm_find(mm, addr) == mm_find(mm, addr + len))
		return -ENOMEM;
	if (!pgtable_unmap_prepare(&mm->pt, addr, addr + len) ||
	    !vma_cut_borders(mm, addr, addr + len))
		return -ENOMEM;
	vma_remove_range(mm, addr, addr + len);
	return 0;
}

/* --- mprotect --------------------------------------------------------------------------------- */

/* What mprotect answers for @v and @prot. */
static long protect_check(const struct vma *v, u32 prot)
{
	if (v->flags & VM_FIXED_KERNEL)
		return -EPERM;
	if (prot & VM_WRITE && v->flags & VM_SHARED && !(v->flags & VM_MAYWRITE))
		return -EACCES;
	return 0;
}

/*
 * Rights that go are taken from the page table now; rights that come are given by the next fault,
 * which alone knows which pages must be copied first. Executable is the exception: it needs no
 * copy.
 */
static bool protect_pages(struct mm *mm, const struct vma *v, u32 prot)
{
	u64 clear = 0, set = 0;

	if (!prot)
		clear = PTE_P;
	if (!(prot & VM_WRITE))
		clear |= PTE_W;
	if (prot & VM_EXEC)
		clear |= PTE_NX;
	else
		set |= PTE_NX;
	return pgtable_protect(&mm->pt, v->start, v->end, clear, set);
}

long mm_mprotect(struct mm *mm, u64 addr, u64 len, u32 prot)
{
	bool down = prot & PROT_GROWSDOWN;
	u64 end, at;
	struct vma *v;
	long err;

	prot &= ~(u32)(PROT_GROWSDOWN | PROT_SEM);
	if (addr & ~PAGE_MASK)
		return -EINVAL;
	if (!len)
		return 0;
	len = page_up(len);
	if (!len || addr > USER_TOP || len > USER_TOP - addr)
		return -ENOMEM;
	if (prot & ~(u32)PROT_ALL || prot & PROT_GROWSUP)
		return -EINVAL;
	if (prot_refused(prot))
		return -EACCES;
	end = addr + len;
	if (down) {
		v = mm_find(mm, addr);
		if (!v)
			return -ENOMEM;
		if (!(v->flags & VM_GROWSDOWN))
			return -EINVAL;
		addr = v->start;
	}
	for (at = addr; at < end; at = v->end) {
		v = mm_find(mm, at);
		if (!v)
			return -ENOMEM;
		err = protect_check(v, prot);
		if (err)
			return err;
		if ((v->flags & VM_PROT) == prot)
			continue;
		if (mm->tree.count + 2 > MAX_VMAS || !vma_cut_borders(mm, at, min(end, v->end)))
			return -ENOMEM;
		v = mm_find(mm, at);
		if (!protect_pages(mm, v, prot)) {
			vma_join(mm, v);
			return -ENOMEM;
		}
		vma_set_flags(mm, v, (v->flags & ~VM_PROT) | prot);
		v = vma_join(mm, v);
	}
	return 0;
}
