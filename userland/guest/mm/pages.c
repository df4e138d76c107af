// SPDX-License-Identifier: MIT
/*
 * pages.c - rights and dirty bits page by page
 *
 * A mapping says what is allowed; splitting and joining mappings is what makes changes of rights
 * dear when they go page by page. So a process may also take rights from itself for single pages,
 * and give them back, and mappings stay as they are. It is written in the page's own entry:
 * PTE_NO_WRITE, PTE_NO_ACCESS (pte.h). Three rules:
 *
 * 1. What is taken is missing from the entry: no write bit with either, no present bit with
 *     PTE_NO_ACCESS. mm_fault() never gives it back, but says that the access is not allowed.
 * 2. The bits only ever take: what the mapping does not allow, now or after an mprotect(), no page
 *     of it has. So nothing is said here about writable and executable memory.
 * 3. They belong to the page: they go with it (munmap, MADV_DONTNEED), move with it (mremap), and a
 *     fork copies them with the table.
 *
 * A page that has not been touched has no entry to write into. It gets one as if it were read: the
 * page of zeros, the file's page, the object's. Giving all rights back to an untouched page is
 * nothing. Who asks for touched pages only (RS_PAGE_TOUCHED) pays for those only, and no table is
 * made.
 *
 * Marks (PTE_MARKS) are the process's own and obey rule 3; the kernel keeps them when it replaces
 * what the entry maps. PTE_CALLS says that what is taken is not for calls: mm_fault() ends it then.
 *
 * Rights that come back come at once where that needs no copy: the process is going to use them
 * now.
 *
 * Dirty bits are the CPU's, and the kernel sets them where it writes, or lets the host write, for
 * the process. Below tables that fork shares they are those from before the fork; whoever clears
 * one makes the table its own first, so that the other does not lose it. That takes memory and
 * comes first, for the whole range: bits that have been read and cleared cannot be lost afterwards.
 * A write by another CPU between that and the flush may leave no bit, but it comes before the end
 * of the call, which has reported the page.
 */
#include <linux/mman.h>
#include <ringside_app.h>
#include "pages.h"
#include "fault.h"
#include "mm_internal.h"
#include "../arch/tlb.h"
#include "../lib/assert.h"

#define FLUSH_EACH	16

_Static_assert(RS_PTE_MARK(3) == 1ul << 55 && RS_PAGE_MARK(3) == 1ul << 11 &&
		       PTE_MARKS == 15ul << 52,
	       "marks");
#define MARKS_SHIFT	(52 - 8)
#define ALL_MARKS	(15 * RS_PAGE_MARK(0))

/* What RS_SYS_PROTECT's argument has beyond rights, as bits of an entry; EINVAL in @err */
static noinline pte_t more_bits(u64 arg, long *err)
{
	u64 rights = arg & RS_PAGE_WRITE;

	if (unlikely(arg & ~(u64)(RS_PAGE_WRITE | RS_PAGE_CALLS | RS_PAGE_TOUCHED | ALL_MARKS) ||
		     rights == VM_WRITE || (arg & RS_PAGE_CALLS && rights != RS_PAGE_READ)))
		*err = -EINVAL;
	return (arg & ALL_MARKS) << MARKS_SHIFT | (arg & RS_PAGE_CALLS ? PTE_CALLS : 0);
}

static always_inline pte_t entry_bits(u64 arg, long *err)
{
	return likely(!(arg & ~(u64)RS_PAGE_WRITE) && arg != VM_WRITE) ? 0 : more_bits(arg, err);
}

/* What @rights of the page mean for its entry @e, which gets the bits @set as well. */
static always_inline pte_t entry_with(const struct vma *v, pte_t e, u64 rights, pte_t set)
{
	u32 flags = v->flags;

	e = (e & ~(PTE_TAKEN | PTE_W | PTE_CALLS | PTE_MARKS)) | set;
	if (!rights)
		return (e | PTE_NO_ACCESS) & ~PTE_P;
	if (flags & VM_PROT)
		e |= PTE_P;
	if (!(rights & VM_WRITE))
		return e | PTE_NO_WRITE;
	/* Without a copy: shared memory, or the last owner of the page. */
	if (flags & VM_WRITE &&
	    (flags & VM_SHARED || (e & PTE_OWNED && page_last_owner(e & PTE_ADDR))))
		e |= PTE_W;
	return e;
}

/*
 * The entry of an untouched page, as if it had been read. NULL: there is nothing to take, as the
 * mapping has no right at all, or (@err) no memory, or a page that somebody else has to provide.
 */
static noinline pte_t *touched(struct mm *mm, const struct vma *v, u64 addr, long *err)
{
	enum fault_cause c = mm_fault(mm, addr, v->flags & (VM_READ | VM_WRITE) ? FAULT_READ :
				      FAULT_EXEC);
	pte_t *slot = c ? NULL : pgtable_leaf(&mm->pt, addr);

	*err = c == FAULT_NO_MEMORY ? -ENOMEM : c == FAULT_PAGER ? -EFAULT : 0;
	return slot && *slot ? slot : NULL;
}

static long allowed(const struct vma *v, u64 rights)
{
	if (unlikely(v->flags & VM_FIXED_KERNEL))
		return -EPERM;
	return (rights & VM_WRITE && !(v->flags & VM_WRITE)) || (rights && !(v->flags & VM_PROT)) ?
	       -EACCES : 0;
}

/* What can be said before anything is changed, where there is more than one mapping. */
static noinline long check_all(struct mm *mm, u64 addr, u64 end, u64 rights)
{
	while (addr < end) {
		const struct vma *v = mm_find(mm, addr);
		long err = v ? allowed(v, rights) : -ENOMEM;

		if (err)
			return err;
		addr = v->end;
	}
	return 0;
}

/*
 * A right that comes back needs no more than this CPU's next access to find it; of one that goes
 * the others have to hear: @n counts these.
 */
static always_inline void change(const struct vma *v, u64 at, pte_t *slot, u64 rights, pte_t set,
				 u64 *n)
{
	pte_t old = *slot, new = entry_with(v, old, rights, set);

	if (new == old)
		return;
	*slot = new;
	if (!(old & PTE_P))
		return;
	if (!(new & PTE_P) || (old & ~new & PTE_W))
		++*n;
	if (*n <= FLUSH_EACH)
		tlb_flush_page_here(at);
}

static void changed(u64 n)
{
	if (n > FLUSH_EACH)
		tlb_flush_all();
	else if (n)
		tlb_flush_rest();
}

/* The touched pages only: from table to table, and through those that have something. */
static noinline long protect_touched(struct mm *mm, u64 addr, u64 end, u64 rights, pte_t set)
{
	const struct vma *v = NULL;
	u64 n = 0, at, stop;
	struct pt_iter it;
	long err = 0;

	pt_iter_start(&it, &mm->pt, addr, end);
	while (pt_iter_valid(&it)) {
		pte_t *slot;

		if (!*it.pte) {
			pt_iter_next(&it);
			continue;
		}
		slot = pgtable_leaf(&mm->pt, it.va);
		if (!slot) {
			err = -ENOMEM;
			break;
		}
		stop = min(ALIGN_DOWN(it.va, HUGE_SIZE) + HUGE_SIZE, end);
		for (at = it.va; at < stop; at += PAGE_SIZE, slot++) {
			if (!*slot)
				continue;
			if (!v || at >= v->end)
				v = mm_find(mm, at);
			change(v, at, slot, rights, set, &n);
		}
		/* Anew: the tables on the way may be others now. */
		pt_iter_start(&it, &mm->pt, stop, end);
	}
	changed(n);
	return err;
}

long mm_pages_protect(struct mm *mm, u64 addr, u64 len, u64 arg)
{
	u64 end = addr + len, at, n = 0, rights = arg & RS_PAGE_WRITE;
	const struct vma *v = mm_find(mm, addr);
	long err = range_check(addr, len);
	pte_t *slot = NULL, set;

	set = entry_bits(arg, &err);
	if (err)
		return err;
	err = v && v->end >= end ? allowed(v, rights) : check_all(mm, addr, end, rights);
	if (err)
		return err;
	if (unlikely(arg & RS_PAGE_TOUCHED))
		return protect_touched(mm, addr, end, rights, set);
	for (at = addr; at < end; at += PAGE_SIZE) {
		if (unlikely(at >= v->end))
			v = mm_find(mm, at);
		/* The next entry is the next page's up to the end of the table. */
		if (slot && pt_index(at, 1)) {
			slot++;
		} else {
			slot = pgtable_leaf(&mm->pt, at);
			if (unlikely(!slot)) {
				err = -ENOMEM;
				break;
			}
		}
		if (unlikely(!*slot)) {
			if (rights == (VM_READ | VM_WRITE) && !set)
				continue;
			slot = touched(mm, v, at, &err);
			if (err)
				break;
			if (!slot)
				continue;
		}
		change(v, at, slot, rights, set, &n);
	}
	changed(n);
	return err;
}

/* --- dirty and accessed bits ------------------------------------------------------------------ */

long mm_pages_bits_begin(struct mm *mm, u64 addr, u64 len, bool accessed, bool clear)
{
	long err = range_check(addr, len);

	if (err)
		return err;
	return !clear || pgtable_bits_prepare(&mm->pt, addr, addr + len, accessed ? PTE_A : PTE_D) ?
	       0 : -ENOMEM;
}

u64 mm_pages_bits(struct mm *mm, u64 addr, u64 pages, bool accessed, bool clear, u64 *bits)
{
	return pgtable_bits(&mm->pt, addr, pages, accessed ? PTE_A : PTE_D, clear, bits);
}

void mm_pages_written(struct mm *mm, u64 addr, u64 len)
{
	u64 at = addr & PAGE_MASK;
	int level;

	for (; at < addr + len; at += PAGE_SIZE) {
		pte_t *slot = pgtable_present(&mm->pt, at, PTE_P | PTE_W, &level);

		if (slot)
			__atomic_or_fetch(slot, PTE_D, __ATOMIC_RELAXED);
	}
}

void mm_pages_bits_end(void)
{
	tlb_flush_all();
}

/* --- a second mapping ------------------------------------------------------------------------- */

long mm_map2(struct mm *mm, u64 addr, u64 len, u64 to, u64 prot)
{
	struct vma *v = mm_find(mm, addr);
	long err = range_check(addr, len), at;

	if (!err && to)
		err = range_check(to, len);
	if (err)
		return err;
	if (prot & ~(u64)VM_PROT)
		return -EINVAL;
	if (!v || v->end - addr < len)
		return -ENOMEM;
	if (!(v->flags & VM_SHARED) || v->flags & VM_FIXED_KERNEL)
		return -EINVAL;
	if ((prot & VM_WRITE && !(v->flags & VM_MAYWRITE)) ||
	    (prot & VM_EXEC && prot_refused(VM_WRITE | VM_EXEC)))
		return -EACCES;
	if (to && to < MMAP_MIN)
		return -EPERM;
	if (to && !range_free(mm, to, to + len))
		return -EEXIST;
	at = mm_mremap(mm, addr, 0, len, MREMAP_MAYMOVE | (to ? MREMAP_FIXED : 0), to);
	if (at < 0)
		return at;
	err = mm_mprotect(mm, (u64)at, len, (u32)prot);
	if (err) {
		mm_munmap(mm, (u64)at, len);
		return err;
	}
	return at;
}

/* --- a page in the place of another ----------------------------------------------------------- */

/* All of [@addr, @addr + @len) is private memory that may be written. */
static long private_check(struct mm *mm, u64 addr, u64 len)
{
	u64 end = addr + len;

	while (addr < end) {
		const struct vma *v = mm_find(mm, addr);

		if (!v)
			return -ENOMEM;
		if (v->flags & (VM_SHARED | VM_FIXED_KERNEL))
			return -EINVAL;
		if (!(v->flags & VM_WRITE))
			return -EACCES;
		addr = v->end;
	}
	return 0;
}

/*
 * The page is at both places for a moment, with one reference more. All that can fail comes before
 * it is at the second; the first goes as by munmap, with a flush before anybody else gets the page.
 * Its dirty bit goes along; so does an old one of the page that is replaced, since what is there
 * has changed.
 */
static long replace_page(struct mm *mm, u64 to, struct mm *src, u64 from, u64 arg, pte_t set)
{
	pte_t *slot = pgtable_leaf(&src->pt, from), *place, e;
	const struct vma *v = mm_find(mm, to);
	enum fault_cause c;

	if (!slot)
		return -ENOMEM;
	place = pgtable_lookup(&mm->pt, to, NULL);
	if (arg & RS_PAGE_CLOSED && !(place && *place & PTE_TAKEN))
		return -EAGAIN;
	if (!(*slot & PTE_OWNED)) {
		c = mm_fault(src, from, FAULT_WRITE | FAULT_CALL);
		if (c)
			return c == FAULT_NO_MEMORY     ? -ENOMEM
			       : c == FAULT_BEYOND_FILE ? -EFAULT
							: -EACCES;
	}
	place = pgtable_leaf(&mm->pt, to);
	slot = pgtable_leaf(&src->pt, from);
	if (!place || !slot)
		return -ENOMEM;
	ASSERT(*slot & PTE_OWNED);
	e = (*slot & PTE_ADDR) | PTE_OWNED | PTE_P | PTE_U | PTE_A | PTE_D |
	    (v->flags & VM_EXEC ? 0 : PTE_NX);
	e = entry_with(v, e, arg & RS_PAGE_WRITE, set);
	/*
	 * It may be there already: what the one gave the other. Then that leaf has its reference.
	 */
	if (!(*place & PTE_OWNED) || (*place ^ e) & PTE_ADDR)
		page_get(gpa_page(e & PTE_ADDR));
	pgtable_set(&mm->pt, to, place, e);
	pgtable_unmap(&src->pt, from, from + PAGE_SIZE);
	return 0;
}

long mm_replace(struct mm *mm, u64 to, struct mm *src, u64 from, u64 len, u64 arg)
{
	long err = range_check(from, len);
	pte_t set;
	u64 done;

	if (!err)
		err = range_check(to, len);
	if (arg & RS_PAGE_TOUCHED || (mm == src && from < to + len && to < from + len))
		err = -EINVAL;
	set = entry_bits(arg & ~(u64)RS_PAGE_CLOSED, &err);
	if (!err)
		err = private_check(src, from, len);
	if (!err)
		err = private_check(mm, to, len);
	for (done = 0; !err && done < len; done += PAGE_SIZE)
		err = replace_page(mm, to + done, src, from + done, arg, set);
	return err;
}
