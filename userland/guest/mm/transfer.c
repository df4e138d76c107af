// SPDX-License-Identifier: MIT
/*
 * transfer.c - pages of one address space appear in another
 *
 * What "appear" means is what fork means by it, for one range instead of all memory:
 *
 *	shared mapping: the receiver gets a mapping of the same object or file, at the same place in
 *	it, with the rights that are given, or fewer
 *	a private page that is the sender's (PTE_OWNED): both entries point at the page, it has a
 *	reference more, and neither has the write bit: whoever writes first copies, the last owner
 *	does not
 *	the zero page: the same entry; it is nobody's
 *	a private page that is a file's: a copy, as file pages are kept by the mapping, and the
 *	receiver has none
 *	a private page that the host uses: a copy, as what the host writes for another thread of the
 *	sender at this moment is the sender's alone. Such a page has the write bit, which says that
 *	no other entry points at it, and a reference too many
 *
 * Order. First the place: the receiver's range becomes private anonymous memory, if it is not so
 * already. Then page by page: the sender's entry loses its write bit, its CPUs forget it, the
 * receiver's entry is written. When everything has gone well, pages that move are dropped at the
 * sender: nothing it has can be lost by an error on the way. Those that are the receiver's alone
 * then get the write bit.
 *
 * Rights. What is not given is taken from the receiver's page as a process takes it from itself
 * (PTE_NO_WRITE); that memory is private, so it may be given back. A shared mapping without the
 * right to write is without VM_MAYWRITE, which no call gives back. Nothing of this makes executable
 * memory: the window is not, and a pager's range may be, by its own mapping, but then it is not
 * writable, and as long as the page is there no other entry that points at it is writable either.
 *
 * TLB. Each side's entries are changed while the CPU is in its address space, since flushes are
 * about the present one (arch/tlb.h). The receiver may be running on other CPUs.
 */
#include <linux/mman.h>
#include "transfer.h"
#include "fault.h"
#include "kmalloc.h"
#include "mm_internal.h"
#include "uaccess.h"
#include "../arch/tlb.h"
#include "../lib/assert.h"
#include "../lib/string.h"

#define WINDOW_FLAGS	(VM_PROT | VM_SHARED | VM_GROWSDOWN | VM_FIXED_KERNEL | VM_BRK | \
			 VM_PAGER | VM_DONTFORK | VM_WIPEONFORK)

static long error_of(enum fault_cause c)
{
	return c == FAULT_NO_MEMORY ? -ENOMEM : -EFAULT;
}

static void enter(struct mm *mm)
{
	if (current_mm() != mm)
		mm_activate(mm);
}

/* --- one page --------------------------------------------------------------------------------- */

/* A page with the contents of the one at @gpa, as an entry's address and PTE_OWNED. */
static long copy_of(u64 gpa, pte_t *out)
{
	struct page *p = page_alloc();

	if (!p)
		return -ENOMEM;
	p->flags = 0;
	if (!copy_page_checked(page_ptr(p), gpa_ptr(gpa))) {
		page_put(p);
		return -EFAULT;
	}
	rs_stats()->cow_copies++;
	*out = page_gpa(p) | PTE_OWNED;
	return 0;
}

/*
 * The page at @addr of the present address space, to be pointed at by one entry more: its address
 * in *@out, and PTE_OWNED with a reference of its own.
 */
static long page_give(struct mm *mm, u64 addr, bool write, bool copy, pte_t *out)
{
	pte_t *slot = pgtable_leaf(&mm->pt, addr), e;
	enum fault_cause c;
	u64 gpa;

	if (unlikely(!slot))
		return -ENOMEM;
	if (!(*slot & PTE_P)) {
		c = mm_fault(mm, addr, FAULT_READ);
		if (c)
			return error_of(c);
		slot = pgtable_leaf(&mm->pt, addr);
		if (!slot)
			return -ENOMEM;
	}
	e = *slot;
	/* What a call may write all the same may be given: it becomes a copy, by whoever writes. */
	if (write && (e & (PTE_NO_WRITE | PTE_CALLS)) == PTE_NO_WRITE)
		return -EACCES;
	gpa = e & PTE_ADDR;
	if (!(e & PTE_OWNED) && gpa_is_arena(gpa)) {
		*out = gpa;
		return 0;
	}
	if (copy || !(e & PTE_OWNED) || (e & PTE_W && !page_last_owner(gpa)))
		return copy_of(gpa, out);
	page_get(gpa_page(gpa));
	if (e & PTE_W) {
		*slot = e & ~PTE_W;
		tlb_flush_page(addr);
	}
	*out = gpa | PTE_OWNED;
	return 0;
}

static void drop(pte_t e)
{
	if (e & PTE_OWNED)
		page_put(gpa_page(e & PTE_ADDR));
}

/* Takes over @e's reference. @only_missing: what is there stays. */
static long page_take(struct mm *mm, const struct vma *v, u64 at, pte_t e, bool write,
		      bool only_missing)
{
	pte_t *slot = pgtable_leaf(&mm->pt, at), old;

	if (unlikely(!slot)) {
		drop(e);
		return -ENOMEM;
	}
	old = *slot;
	if (old && only_missing) {
		drop(e);
		return 0;
	}
	/* The same page once more: the entry has its reference. */
	if (old & PTE_OWNED && e & PTE_OWNED && (old & PTE_ADDR) == (e & PTE_ADDR))
		drop(e);
	e |= PTE_U | PTE_A | PTE_D;
	if (v->flags & VM_PROT)
		e |= PTE_P;
	if (!(v->flags & VM_EXEC))
		e |= PTE_NX;
	if (!write)
		e |= PTE_NO_WRITE;
	pgtable_set(&mm->pt, at, slot, e);
	return 0;
}

/* --- a range ---------------------------------------------------------------------------------- */

/* Whether the sender may give that, mapping by mapping; *@shared: the one that is shared, if any. */
static long check_sender(const struct pages_offer *o, struct vma **shared)
{
	u64 at = o->addr, end = o->addr + o->len;
	struct vma *v;

	*shared = NULL;
	for (; at < end; at = v->end) {
		v = mm_find(o->mm, at);
		if (!v || !(v->flags & VM_READ) || v->flags & VM_FIXED_KERNEL)
			return -EFAULT;
		if (o->write && !(v->flags & VM_WRITE))
			return -EACCES;
		if (*shared || (v->flags & VM_SHARED && at != o->addr))
			return -EINVAL;
		if (v->flags & VM_SHARED)
			*shared = v;
	}
	return *shared && o->move ? -EINVAL : 0;
}

/* The window becomes memory that private pages can be put into, if it is not. */
static long make_window(struct mm *mm, u64 at, u64 len)
{
	struct mmap_req req = {
		.addr = at, .len = len, .prot = PROT_READ | PROT_WRITE, .host_fd = -1,
		.flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
	};
	struct vma *v = mm_find(mm, at);
	long ret;

	if (v && v->end - at >= len && !v->file &&
	    (v->flags & WINDOW_FLAGS) == (VM_READ | VM_WRITE))
		return 0;
	enter(mm);
	ret = mm_mmap(mm, &req);
	return ret >= 0 ? 0 : ret == -ENOMEM ? -ENOMEM : -EMSGSIZE;
}

/* Pages of [@at, @at + @len) that are their entries' alone are written without another fault. */
static void write_bits(struct mm *mm, u64 at, u64 len)
{
	u64 end = at + len;

	for (; at < end; at += PAGE_SIZE) {
		const struct vma *v = mm_find(mm, at);
		pte_t *slot = pgtable_leaf(&mm->pt, at), e = slot ? *slot : 0;

		if (v && v->flags & VM_WRITE && (e & (PTE_P | PTE_OWNED | PTE_W | PTE_TAKEN)) ==
		    (PTE_P | PTE_OWNED) && page_last_owner(e & PTE_ADDR))
			*slot = e | PTE_W;
	}
}

/* What was given to be moved: each page has an entry in a table of the sender's own by now. */
static void drop_range(struct mm *mm, u64 addr, u64 len)
{
	u64 end = addr + len;

	enter(mm);
	for (; addr < end; addr += PAGE_SIZE) {
		pte_t *slot = pgtable_leaf(&mm->pt, addr);

		if (slot && *slot)
			pgtable_empty(&mm->pt, addr, slot);
	}
}

/* Page by page from @o to @at; both ranges are as they have to be. */
static long go(const struct pages_offer *o, struct mm *to, u64 at, u64 len, bool copy,
	       bool only_missing)
{
	u64 i;
	pte_t e;
	long err;

	for (i = 0; i < len; i += PAGE_SIZE) {
		enter(o->mm);
		err = page_give(o->mm, o->addr + i, o->write, copy, &e);
		if (err)
			return err;
		enter(to);
		err = page_take(to, mm_find(to, at + i), at + i, e, o->write, only_missing);
		if (err)
			return err;
	}
	if (o->move)
		drop_range(o->mm, o->addr, o->len);
	if (o->write && (o->move || copy)) {
		enter(to);
		write_bits(to, at, len);
	}
	return 0;
}

static bool place_ok(struct mm *mm, u64 at, u64 len)
{
	return at >= MMAP_MIN && user_range_ok(at, len) && !((at | len) & ~PAGE_MASK);
}

long mm_transfer(const struct pages_offer *o, struct mm *to, u64 at)
{
	struct mm *was = current_mm();
	struct vma *shared;
	long err = place_ok(to, at, o->len) ? check_sender(o, &shared) : -EMSGSIZE;

	if (err)
		return err;
	if (shared) {
		enter(to);
		err = mm_map_same(to, at, o->len, shared, o->addr, VM_SHARED | VM_READ |
				  (o->write ? VM_WRITE | (shared->flags & VM_MAYWRITE) : 0));
	} else {
		err = make_window(to, at, o->len);
		if (!err)
			err = go(o, to, at, o->len, false, false);
	}
	enter(was);
	return err;
}

long mm_transfer_missing(const struct pages_offer *o, struct mm *to, u64 at, u64 id)
{
	struct vma *v = mm_find(to, at), *shared;
	const struct pager *p = v ? mm_pager(v) : NULL;
	struct mm *was = current_mm();
	long err = check_sender(o, &shared);

	if (err || !p || p->id != id)
		return err;
	err = go(o, to, at, min(o->len, v->end - at), shared, true);
	enter(was);
	return err;
}

/* --- pagers ----------------------------------------------------------------------------------- */

long mm_set_pager(struct mm *mm, u64 addr, u64 len, struct pager *p)
{
	long err = -EINVAL;

	if (!((addr | len) & ~PAGE_MASK) && len)
		err = user_range_ok(addr, len) ?
		      mm_set_object(mm, addr, addr + len, p ? &p->shm : NULL) : -ENOMEM;
	if (p)
		shm_put(&p->shm);
	return err;
}
