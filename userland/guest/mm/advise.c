// SPDX-License-Identifier: MIT
/*
 * advise.c - the heap, and calls about memory that is mapped already: brk, madvise, msync, mincore,
 * mlock
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

long mm_brk(struct mm *mm, u64 addr)
{
	u64 old = page_up(mm->brk), new = page_up(addr);
	struct vma *next;

	if (addr < mm->brk_start || addr > USER_TOP || addr - mm->brk_start > mm->limit_data)
		return mm->brk;
	if (new < old) {
		if (mm_munmap(mm, new, old - new))
			return mm->brk;
	} else if (new > old) {
		next = mm_find_from(mm, old);
		if (next && next->start < new + (next->flags & VM_GROWSDOWN ? STACK_GAP :
						 PAGE_SIZE))
			return mm->brk;
		if (mm->total > mm->limit_as || new - old > mm->limit_as - mm->total ||
		    mm->tree.count >= MAX_VMAS)
			return mm->brk;
		if (!vma_add(mm, old, new, VM_READ | VM_WRITE | VM_MAYWRITE | VM_BRK, NULL, 0))
			return mm->brk;
	}
	mm->brk = addr;
	return addr;
}

/* What children shall have of [start, end), which lies in @v. */
static long mark_for_fork(struct mm *mm, struct vma *v, u64 start, u64 end, int advice)
{
	u32 flags = v->flags;

	if (flags & VM_FIXED_KERNEL)
		return -EINVAL;
	switch (advice) {
	case MADV_DONTFORK: flags |= VM_DONTFORK; break;
	case MADV_DOFORK: flags &= ~VM_DONTFORK; break;
	case MADV_WIPEONFORK:
		if (v->file || flags & VM_SHARED)
			return -EINVAL;
		flags |= VM_WIPEONFORK;
		break;
	default: flags &= ~VM_WIPEONFORK; break;
	}
	if (flags == v->flags)
		return 0;
	if (mm->tree.count + 2 > MAX_VMAS || !vma_cut_borders(mm, start, end))
		return -ENOMEM;
	v = mm_find(mm, start);
	vma_set_flags(mm, v, flags);
	mm->fork_marks = true;
	vma_join(mm, v);
	return 0;
}

/*
 * @fn for what each VMA has of [addr, end), in order, up to its first error; -ENOMEM when a part
 * has no VMA, after the others. @fn may change the VMA it is given.
 */
static long for_each_part(struct mm *mm, u64 addr, u64 end,
			  long (*fn)(struct mm *mm, struct vma *v, u64 start, u64 end, u32 arg),
			  u32 arg)
{
	long err, hole = 0;
	struct vma *v;
	u64 to;

	for (; addr < end; addr = to) {
		v = mm_find_from(mm, addr);
		if (!v || v->start >= end)
			return -ENOMEM;
		if (v->start > addr) {
			hole = -ENOMEM;
			addr = v->start;
		}
		to = min(end, v->end);
		err = fn(mm, v, addr, to, arg);
		if (err)
			return err;
	}
	return hole;
}

static long advise(struct mm *mm, struct vma *v, u64 start, u64 end, u32 advice)
{
	switch ((int)advice) {
	case MADV_DONTFORK:
	case MADV_DOFORK:
	case MADV_WIPEONFORK:
	case MADV_KEEPONFORK:
		return mark_for_fork(mm, v, start, end, (int)advice);
	case MADV_DONTNEED:
	case MADV_FREE:
		if (v->flags & VM_FIXED_KERNEL)
			return -EINVAL;
		if (advice == MADV_FREE && (v->file || v->flags & VM_SHARED))
			return -EINVAL;
		/* Shared anonymous memory keeps its contents: it belongs to no single mapping. */
		if (!v->file && v->flags & VM_SHARED)
			return 0;
		if (!pgtable_unmap_prepare(&mm->pt, start, end))
			return -ENOMEM;
		pgtable_unmap(&mm->pt, start, end);
		return 0;
	case MADV_POPULATE_READ:
	case MADV_POPULATE_WRITE:
		for (; start < end; start += PAGE_SIZE) {
			enum fault_cause c = mm_fault(mm, start, advice == MADV_POPULATE_WRITE ?
						      FAULT_WRITE | FAULT_CALL : FAULT_READ);

			if (c)
				return c == FAULT_NO_MEMORY ? -ENOMEM : -EFAULT;
		}
		return 0;
	default:
		return 0;
	}
}

static bool advice_known(int advice)
{
	switch (advice) {
	case MADV_NORMAL:
	case MADV_RANDOM:
	case MADV_SEQUENTIAL:
	case MADV_WILLNEED:
	case MADV_DONTNEED:
	case MADV_FREE:
	case MADV_DONTFORK:
	case MADV_DOFORK:
	case MADV_WIPEONFORK:
	case MADV_KEEPONFORK:
	case MADV_MERGEABLE:
	case MADV_UNMERGEABLE:
	case MADV_HUGEPAGE:
	case MADV_NOHUGEPAGE:
	case MADV_DONTDUMP:
	case MADV_DODUMP:
	case MADV_COLD:
	case MADV_PAGEOUT:
	case MADV_POPULATE_READ:
	case MADV_POPULATE_WRITE:
		return true;
	default:
		return false;
	}
}

long mm_madvise(struct mm *mm, u64 addr, u64 len, int advice)
{
	if (addr & ~PAGE_MASK || !advice_known(advice))
		return -EINVAL;
	if (!len)
		return 0;
	len = page_up(len);
	if (!len || addr > USER_TOP || len > USER_TOP - addr)
		return -EINVAL;
	return for_each_part(mm, addr, addr + len, advise, (u32)advice);
}

static long sync_part(struct mm *mm, struct vma *v, u64 start, u64 end, u32 flags)
{
	(void)mm;
	if (!v->file || !(v->flags & VM_SHARED))
		return 0;
	return host_call3(RS_CALL_SYNC_FILE, v->file->gpa + v->file_off + (start - v->start),
			  end - start, flags);
}

long mm_msync(struct mm *mm, u64 addr, u64 len, u32 flags)
{
	if (addr & ~PAGE_MASK || flags & ~(u32)(MS_ASYNC | MS_SYNC | MS_INVALIDATE) ||
	    (flags & (MS_ASYNC | MS_SYNC)) == (MS_ASYNC | MS_SYNC))
		return -EINVAL;
	len = page_up(len);
	if (addr > USER_TOP || len > USER_TOP - addr)
		return -ENOMEM;
	return for_each_part(mm, addr, addr + len, sync_part, flags);
}

long mm_mincore(struct mm *mm, u64 addr, u64 pages, u8 *vec)
{
	u64 i;

	for (i = 0; i < pages; i++) {
		u64 a = addr + i * PAGE_SIZE;
		struct vma *v = mm_find(mm, a);
		pte_t *slot;

		if (!v)
			return -ENOMEM;
		slot = pgtable_lookup(&mm->pt, a, NULL);
		if (v->file || (slot && *slot))
			vec[i] = 1;
		else	/* another process may have touched it */
			vec[i] = v->shm && shm_has(v->shm, (v->file_off + (a - v->start)) >> PAGE_SHIFT);
	}
	return 0;
}

long mm_lock(struct mm *mm, u64 addr, u64 len)
{
	u64 at = ALIGN_DOWN(addr, PAGE_SIZE), end = ALIGN_UP(addr + len, PAGE_SIZE);
	struct vma *v;

	if (addr > USER_TOP || len > USER_TOP - addr)
		return -ENOMEM;
	for (; at < end; at += PAGE_SIZE) {
		v = mm_find(mm, at);
		/* A file's pages are the host's business, and private ones are copied when written. */
		if (!v || mm_fault(mm, at, v->flags & VM_WRITE && !v->file ?
						   FAULT_WRITE | FAULT_CALL : FAULT_READ))
			return -ENOMEM;
	}
	return 0;
}
