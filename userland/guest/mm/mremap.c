// SPDX-License-Identifier: MIT
/*
 * mremap.c - mappings that grow, shrink, move or come a second time
 *
 * Shrinking is munmap of the end. Growing happens in place where there is room behind and the mapping is
 * such that its next pages are its own; otherwise it moves: the VMAs first (that needs memory), then the
 * page table's entries, whose pages are not copied.
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

/*
 * Shared anonymous memory that has an object grows by a VMA with one of its own: what lies further
 * on in the object may be somebody else's.
 */
static bool grows_apart(const struct vma *v)
{
	return v->shm;
}

/* What it grows by then is nobody's to provide. */
static u32 flags_apart(const struct vma *v)
{
	return v->flags & ~VM_PAGER;
}

/* The @more bytes behind @v are free. */
static bool room_behind(struct mm *mm, const struct vma *v, u64 more)
{
	struct vma *next = vma_next(mm, v);
	u64 end = v->end + more;

	if (end < v->end || end > USER_TOP)
		return false;
	return !next || (next->start >= end &&
			 (!(next->flags & VM_GROWSDOWN) || next->start - end >= STACK_GAP));
}

/* Grows @v by @more bytes at its end, where there is room; false without memory. */
static bool grow_in_place(struct mm *mm, struct vma *v, u64 more)
{
	u64 end = v->end + more;

	if (grows_apart(v))
		return vma_add(mm, v->end, end, flags_apart(v), NULL, 0);
	vma_resize(mm, v, v->start, end);
	vma_join(mm, v);
	return true;
}

/*
 * The host maps no more of a file than was asked for: a larger piece of the window for [old, old +
 * len), which is to have @new_len bytes. The leaves that show the old piece show the new one. What
 * a private mapping has copied stays. When the mapping cannot be enlarged
 * after that, it has a piece that is larger than needed, which nobody notices.
 */
static long grow_file(struct mm *mm, u64 old, u64 len, u64 new_len)
{
	struct vma *v = mm_find(mm, old);
	struct file_map *more;
	u64 off;

	if (!v->file)
		return 0;
	off = v->file_off + (old - v->start);
	if (off + new_len <= v->file->size)
		return 0;
	if (v->file->offset + off + new_len < new_len)
		return -ENOMEM;
	more = file_map_extend(v->file, off, new_len);
	if (IS_ERR(more))
		return -ENOMEM;
	if (mm->tree.count + 2 > MAX_VMAS || !vma_cut_borders(mm, old, old + len)) {
		file_map_put(more);
		return -ENOMEM;
	}
	v = mm_find(mm, old);
	if (!pgtable_move_window(&mm->pt, v->start, v->end,
				 more->gpa - (v->file->gpa + v->file_off))) {
		vma_join(mm, v);
		file_map_put(more);
		return -ENOMEM;
	}
	file_map_put(v->file);
	v->file = more;
	v->file_off = 0;
	return 0;
}

/*
 * What mremap leaves a mapping at the old place of as well: a second VMA at @to for [old, old +
 * len) of one VMA. The pages that are there move to it (@move; MREMAP_DONTUNMAP), or both map the
 * same (shared memory, duplicated with an old length of 0).
 */
static long double_vma(struct mm *mm, u64 old, u64 len, u64 to, bool move)
{
	struct vma *v = mm_find(mm, old), *n;

	if (mm->tree.count + 3 > MAX_VMAS || len > mm->limit_as - min(mm->limit_as, mm->total))
		return -ENOMEM;
	n = vma_object(v) ? kmalloc(sizeof(*n)) : NULL;
	if (!n)
		return -ENOMEM;
	if (move && !pgtable_move_prepare(&mm->pt, old, to, len)) {
		pgtable_unmap(&mm->pt, to, to + len);
		kfree(n);
		return -ENOMEM;
	}
	vma_link_part(mm, n, v, old, old + len, to);
	if (move)
		ASSERT(pgtable_move(&mm->pt, old, to, len));
	vma_join(mm, n);
	return to;
}

/*
 * Moves [old, old + len) of one VMA to @to with size @new_len >= @len; the target is free. The VMA
 * itself moves, so that nothing can fail once something has changed.
 */
static long move_vma(struct mm *mm, u64 old, u64 len, u64 to, u64 new_len)
{
	struct vma *v = mm_find(mm, old), *more = NULL;

	if (mm->tree.count + 3 > MAX_VMAS)
		return -ENOMEM;
	if (grows_apart(v) && new_len > len) {
		more = kmalloc(sizeof(*more));
		if (!more)
			return -ENOMEM;
	}
	if (!pgtable_move_prepare(&mm->pt, old, to, len) || !vma_cut_borders(mm, old, old + len)) {
		pgtable_unmap(&mm->pt, to, to + len);
		kfree(more);
		return -ENOMEM;
	}
	v = mm_find(mm, old);
	vma_unlink(mm, v);
	v->start = to;
	v->end = to + (more ? len : new_len);
	v->flags &= ~VM_BRK;
	vma_link(mm, v, vma_of(avl_floor(&mm->tree, to)));
	if (more) {
		*more = (struct vma){
			.start = v->end, .end = to + new_len, .flags = flags_apart(v),
		};
		vma_link(mm, more, v);
	}
	ASSERT(pgtable_move(&mm->pt, old, to, len));
	if (more)
		vma_join(mm, more);
	vma_join(mm, v);
	return to;
}

long mm_mremap(struct mm *mm, u64 old, u64 old_len, u64 new_len, u32 flags, u64 new_addr)
{
	bool in_place;
	struct vma *v;
	long err;
	u64 to;

	if (flags & ~(u32)(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP) || old & ~PAGE_MASK)
		return -EINVAL;
	old_len = page_up(old_len);
	new_len = page_up(new_len);
	if (!new_len || new_len > USER_TOP)
		return -EINVAL;
	if (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP) && !(flags & MREMAP_MAYMOVE))
		return -EINVAL;
	if (flags & MREMAP_DONTUNMAP && old_len != new_len)
		return -EINVAL;
	if (flags & MREMAP_FIXED) {
		if (new_addr & ~PAGE_MASK ||
		    new_addr > USER_TOP - new_len)
			return -EINVAL;
		/* With an old length of 0 the source is as long as the duplicate. */
		if (new_addr < old + (old_len ? old_len : new_len) && old < new_addr + new_len)
			return -EINVAL;
		if (new_addr < MMAP_MIN)
			return -EPERM;
	}
	v = mm_find(mm, old);
	if (!v || old > USER_TOP || old_len > USER_TOP - old)
		return -EFAULT;
	if (v->flags & VM_FIXED_KERNEL)
		return -EPERM;
	if (!old_len && (!(v->flags & VM_SHARED) || !(flags & MREMAP_MAYMOVE)))
		return -EINVAL;
	/* Of a duplicate, too, there is no more than what is mapped. */
	if (max(old_len, old_len ? 0 : new_len) > v->end - old)
		return old_len ? -EFAULT : -ENOMEM;
	if (new_len > old_len && new_len - old_len > mm->limit_as - min(mm->limit_as, mm->total))
		return -ENOMEM;

	if (!old_len || flags & MREMAP_DONTUNMAP) {
		to = flags & MREMAP_FIXED ? new_addr : find_free(mm, new_len);
		if (!to)
			return -ENOMEM;
		err = flags & MREMAP_FIXED ? mm_munmap(mm, to, new_len) : 0;
		return err ? err : double_vma(mm, old, new_len, to, old_len);
	}
	if (flags & MREMAP_FIXED) {
		err = mm_munmap(mm, new_addr, new_len);
		if (!err && new_len > old_len)
			err = grow_file(mm, old, old_len, new_len);
		if (err)
			return err;
		if (new_len < old_len) {
			err = mm_munmap(mm, old + new_len, old_len - new_len);
			if (err)
				return err;
			old_len = new_len;
		}
		return move_vma(mm, old, old_len, new_addr, new_len);
	}
	if (new_len <= old_len) {
		err = new_len < old_len ? mm_munmap(mm, old + new_len, old_len - new_len) : 0;
		return err ? err : (long)old;
	}
	in_place = old + old_len == v->end && room_behind(mm, v, new_len - old_len);
	to = in_place ? old : flags & MREMAP_MAYMOVE ? find_free(mm, new_len) : 0;
	if (!to)
		return -ENOMEM;
	err = grow_file(mm, old, old_len, new_len);
	if (err)
		return err;
	if (!in_place)
		return move_vma(mm, old, old_len, to, new_len);
	return grow_in_place(mm, mm_find(mm, old), new_len - old_len) ? (long)old : -ENOMEM;
}
