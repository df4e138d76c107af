// SPDX-License-Identifier: MIT
/*
 * pages.c - rights and dirty bits page by page
 *
 * A mapping says what is allowed; splitting and joining mappings is what makes changes of rights dear
 * when they go page by page. So a process may also take rights from itself for single pages, and give
 * them back, and mappings stay as they are. It is written in the page's own entry: PTE_NO_WRITE,
 * PTE_NO_ACCESS (pte.h). Three rules:
 *
 *  1. What is taken is missing from the entry: no write bit with either, no present bit with
 *     PTE_NO_ACCESS. mm_fault() never gives it back, but says that the access is not allowed.
 *  2. The bits only ever take: what the mapping does not allow, now or after an mprotect(), no page
 *     of it has. So nothing is said here about writable and executable memory.
 *  3. They belong to the page: they go with it (munmap, MADV_DONTNEED), move with it (mremap), and a
 *     fork copies them with the table.
 *
 * A page that has not been touched has no entry to write into. It gets one as if it were read: the page of zeros,
 * the file's page, the object's. Giving all rights back to an untouched page is nothing.
 *
 * Rights that come back come at once where that needs no copy: the process is going to use them now.
 *
 * Dirty bits are the CPU's, and the kernel sets them where it writes, or lets the host write, for
 * the process. Below tables that fork shares they are those from before the fork; whoever clears
 * one makes the table its own first, so that the other does not lose it. That takes memory and comes
 * first, for the whole range: bits that have been read and cleared cannot be lost afterwards. A write
 * by another CPU between that and the flush may leave no bit, but it comes before the end of
 * the call, which has reported the page.
 */
#include <linux/mman.h>
#include "pages.h"
#include "fault.h"
#include "mm_internal.h"
#include "../arch/tlb.h"
#include "../lib/assert.h"

#define FLUSH_EACH	16

static long range_check(u64 addr, u64 len)
{
	if ((addr | len) & ~PAGE_MASK || !len)
		return -EINVAL;
	return addr > USER_TOP || len > USER_TOP - addr ? -ENOMEM : 0;
}

/* What @rights of the page mean for its entry @e. */
static always_inline pte_t entry_with(const struct vma *v, pte_t e, u64 rights)
{
	u32 flags = v->flags;

	e &= ~(PTE_TAKEN | PTE_W);
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
 * mapping has no right at all, or (@err) no memory.
 */
static noinline pte_t *touched(struct mm *mm, const struct vma *v, u64 addr, long *err)
{
	enum fault_cause c = mm_fault(mm, addr, v->flags & (VM_READ | VM_WRITE) ? FAULT_READ :
				      FAULT_EXEC);
	pte_t *slot = c ? NULL : pgtable_leaf(&mm->pt, addr);

	*err = c == FAULT_NO_MEMORY ? -ENOMEM : 0;
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

long mm_pages_protect(struct mm *mm, u64 addr, u64 len, u64 rights)
{
	u64 end = addr + len, at, n = 0;
	const struct vma *v = mm_find(mm, addr);
	long err = range_check(addr, len);
	pte_t *slot = NULL;

	if (err)
		return err;
	if (rights && rights != VM_READ && rights != (VM_READ | VM_WRITE))
		return -EINVAL;
	err = v && v->end >= end ? allowed(v, rights) : check_all(mm, addr, end, rights);
	if (err)
		return err;
	for (at = addr; at < end; at += PAGE_SIZE) {
		pte_t old, new;

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
			if (rights == (VM_READ | VM_WRITE))
				continue;
			slot = touched(mm, v, at, &err);
			if (err)
				break;
			if (!slot)
				continue;
		}
		old = *slot;
		new = entry_with(v, old, rights);
		if (new == old)
			continue;
		*slot = new;
		if (!(old & PTE_P))
			continue;
		/*
		 * A right that comes back needs no more than this CPU's next access to find it; of one
		 * that goes the others have to hear.
		 */
		if (!(new & PTE_P) || (old & ~new & PTE_W))
			n++;
		if (n <= FLUSH_EACH)
			tlb_flush_page_here(at);
	}
	if (n > FLUSH_EACH)
		tlb_flush_all();
	else if (n)
		tlb_flush_rest();
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

void mm_pages_bits_end(void)
{
	tlb_flush_all();
}

/* --- a second mapping ------------------------------------------------------------------------ */

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
