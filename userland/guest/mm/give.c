// SPDX-License-Identifier: MIT
/*
 * give.c - an address space that another one fills, range by range
 *
 * What fork.c does with all at once and in constant time is done here for the pages of a range,
 * each by itself: a process makes a child without memory and decides what that has. The child has
 * not begun, so nothing runs there: no translation of it is in any TLB, and no fault comes between.
 *
 * A private page then has one leaf more; whoever writes to it first copies it, as after fork:
 * neither leaf has a write bit, and a reference count above one says why (pgtable.c, rule 1). The
 * giver's tables stay as they are, shared ones among them: taking a write bit is what may be done
 * to a shared table (rule 2), as no way to it has one. Pages of files and the page of zeros are not
 * counted and never had a write bit in private memory. In shared memory the leaf is copied as it
 * is.
 *
 * Order: what may be wrong with the arguments; the objects of shared mappings; then VMA by VMA, its
 * pages behind it. When there is no memory in the middle the child's range becomes empty as it was:
 * its VMAs are not joined with their neighbours before all is there, so that taking them out takes
 * no memory. The giver has lost write bits at most, which the last owner gets back by the next
 * fault. One flush at the end, before the giver or another of its threads runs on.
 */
#include "pages.h"
#include "fault.h"
#include "kmalloc.h"
#include "mm_internal.h"
#include "../arch/tlb.h"

#define FLUSH_EACH	16

struct mm *mm_create_like(const struct mm *old)
{
	struct mm *mm = mm_alloc_like(old);

	if (!mm)
		return NULL;
	mm->total = 0;
	if (!pgtable_create(&mm->pt)) {
		kfree(mm);
		return NULL;
	}
	return mm;
}

/** struct gift - [@at, @end) of @from goes to @by bytes further on in @mm */
struct gift {
	struct mm *mm, *from;
	u64 at, end, by;
	u64 flushes;	/* pages that have lost their write bit */
};

/* @n entries of tables, of which @theirs are empty. */
static void give_entries(struct gift *g, const struct vma *v, u64 va, pte_t *mine, pte_t *theirs,
			 u64 n)
{
	struct page *table = gpa_page(gpa_of(theirs));
	u64 given = 0;

	for (; n; n--, mine++, theirs++, va += PAGE_SIZE) {
		pte_t e = *mine;

		if (!e)
			continue;
		if (e & PTE_W && !(v->flags & VM_SHARED)) {
			e &= ~PTE_W;
			*mine = e;
			if (g->flushes++ < FLUSH_EACH)
				tlb_flush_page_here(va);
		}
		if (e & PTE_OWNED)
			page_get(gpa_page(e & PTE_ADDR));
		*theirs = e;
		given++;
	}
	table->priv += given;
	g->mm->pt.mapped += given;
}

/* The pages of [@at, @end), which lies in @v; false without memory. */
static bool give_pages(struct gift *g, const struct vma *v, u64 at, u64 end)
{
	struct pt_iter it;
	pte_t *theirs;
	u64 n;

	pt_iter_start(&it, &g->from->pt, at, end);
	while (pt_iter_valid(&it)) {
		at = it.va;
		if (!*it.pte) {
			pt_iter_next(&it);
			continue;
		}
		if (it.level > 1) {
			/* A large page is taken apart, and looked at again. */
			if (!pgtable_leaf(&g->from->pt, at))
				return false;
			pt_iter_start(&it, &g->from->pt, at, end);
			continue;
		}
		theirs = pgtable_leaf(&g->mm->pt, at + g->by);
		if (!theirs)
			return false;
		/* As far as both tables go. */
		n = PT_ENTRIES - max(pt_index(at, 1), pt_index(at + g->by, 1));
		n = min(n, (end - at) >> PAGE_SHIFT);
		give_entries(g, v, at, it.pte, theirs, n);
		pt_iter_start(&it, &g->from->pt, at + (n << PAGE_SHIFT), end);
	}
	return true;
}

/* What can be said before anything is done. */
static long give_check(const struct gift *g)
{
	u64 len = g->end - g->at, at = g->at;
	struct vma *v;

	if (g->at + g->by < MMAP_MIN)
		return -EPERM;
	if (!range_free(g->mm, g->at + g->by, g->end + g->by))
		return -EEXIST;
	if (len > g->mm->limit_as - min(g->mm->limit_as, g->mm->total))
		return -ENOMEM;
	for (; at < g->end; at = v->end) {
		v = mm_find(g->from, at);
		if (!v)
			return -ENOMEM;
		if (v->flags & VM_FIXED_KERNEL && g->by)
			return -EPERM;
	}
	return 0;
}

static bool give_mapping(struct gift *g, struct vma *v, u64 at, u64 end)
{
	if (g->mm->tree.count >= MAX_VMAS)
		return false;
	if (!vma_object(v) || !vma_add_part(g->mm, v, at, end, at + g->by))
		return false;
	return v->flags & VM_WIPEONFORK || give_pages(g, v, at, end);
}

long mm_give(struct mm *mm, u64 to, struct mm *from, u64 addr, u64 len)
{
	struct gift g = { .mm = mm, .from = from, .at = addr, .end = addr + len, .by = to - addr };
	long err = range_check(addr, len);
	struct vma *v;
	u64 at, next;

	if (!err)
		err = range_check(to, len);
	if (!err)
		err = give_check(&g);
	if (err)
		return err;
	for (at = addr; at < g.end; at = next) {
		v = mm_find(from, at);
		next = min(v->end, g.end);
		if (!give_mapping(&g, v, at, next)) {
			err = -ENOMEM;
			break;
		}
	}
	if (g.flushes > FLUSH_EACH)
		tlb_flush_all();
	else if (g.flushes)
		tlb_flush_rest();
	if (!err) {
		vma_join_range(mm, to, to + len);
		return 0;
	}
	pgtable_unmap(&mm->pt, to, to + len);
	while ((v = mm_find_from(mm, to)) && v->start < to + len)
		vma_drop(mm, v);
	return err;
}
