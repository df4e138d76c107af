// SPDX-License-Identifier: GPL-2.0-only
/*
 * host.c - what Linux maps at an address of the process
 *
 * The answer is a snapshot: nothing here stops Linux from changing it a moment later. The caller
 * (mmu.c) takes a sequence number before it asks and checks it under mmu->lock before it uses the
 * answer; an invalidation in between makes it ask again. So the page reference is dropped as soon
 * as the nested entry is written, and nothing is pinned: a pin would break copy-on-write after
 * fork(), migration and compaction for all of the guest's memory.
 */
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/version.h>
#include "internal.h"

struct raw_pfn {
	unsigned long pfn;
	bool normal_ram;	/* has a struct page and is mapped write-back */
};

static bool wb_cached(pgprot_t prot)
{
	/* 0 is write-back in every kernel's PAT setup */
	return !(pgprot_val(prot) & (_PAGE_PAT | _PAGE_PCD | _PAGE_PWT));
}

/*
 * The pfn in Linux's page table for an address of a VM_PFNMAP area. mmap_lock held. -EINVAL where
 * nothing is mapped yet.
 */
static int read_pfnmap(struct vm_area_struct *vma, unsigned long hva, struct raw_pfn *out)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
	struct follow_pfnmap_args args = { .vma = vma, .address = hva };
	int ret = follow_pfnmap_start(&args);

	if (ret)
		return ret;
	out->pfn = args.pfn;
	out->normal_ram = pfn_valid(args.pfn) && wb_cached(args.pgprot);
	follow_pfnmap_end(&args);
#else
	spinlock_t *ptl;
	pte_t *ptep;
	int ret;

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 10, 0)
	ret = follow_pte(vma, hva, &ptep, &ptl);
#else
	ret = follow_pte(vma->vm_mm, hva, &ptep, &ptl);
#endif
	if (ret)
		return ret;
	__acquire(ptl);		/* tells sparse what follow_pte() has done */
	out->pfn = pte_pfn(*ptep);
	out->normal_ram = pfn_valid(out->pfn) && wb_cached(pte_pgprot(*ptep));
	pte_unmap_unlock(ptep, ptl);
#endif
	return 0;
}

/*
 * Pages that get_user_pages() refuses: the kernel's clock pages beside the vDSO are the case that
 * matters. Read-only, ordinary memory only: a device's registers must not be reached through a
 * write-back nested entry.
 */
static int lookup_pfnmap(struct mm_struct *mm, u64 hva, struct rs_host_page *hp)
{
	struct vm_area_struct *vma;
	struct raw_pfn raw;
	int ret = -EFAULT, tries;

	if (mmap_read_lock_killable(mm))
		return -EINTR;
	for (tries = 0; tries < 3; tries++) {
		bool unlocked = false;

		vma = vma_lookup(mm, hva);
		if (!vma || !(vma->vm_flags & VM_PFNMAP) || !(vma->vm_flags & VM_READ)) {
			ret = -EFAULT;
			break;
		}
		ret = read_pfnmap(vma, hva, &raw);
		if (!ret)
			break;
		/* not populated yet: let Linux's own fault handler do it, then look again */
		ret = fixup_user_fault(mm, hva, 0, &unlocked);
		if (ret)
			break;
		ret = -EFAULT;
	}
	mmap_read_unlock(mm);
	if (ret)
		return ret;
	if (!raw.normal_ram)
		return -EFAULT;
	*hp = (struct rs_host_page){ .pa = (u64)raw.pfn << PAGE_SHIFT };
	return 0;
}

/*
 * Memory that may be executed and nothing else: where the CPU has protection keys Linux gives it one
 * that denies its thread every access, and get_user_pages(), which reads, is denied as well.
 */
static int lookup_exec_only(struct mm_struct *mm, u64 hva, struct rs_host_page *hp)
{
	struct vm_area_struct *vma;
	struct page *page;
	long n = -EFAULT;

	if (mmap_read_lock_killable(mm))
		return -EINTR;
	vma = vma_lookup(mm, hva);
	if (vma && (vma->vm_flags & (VM_EXEC | VM_READ)) == VM_EXEC)
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 5, 0)
		n = get_user_pages_remote(mm, hva, 1, FOLL_FORCE, &page, NULL);
#else
		n = get_user_pages_remote(mm, hva, 1, FOLL_FORCE, &page, NULL, NULL);
#endif
	mmap_read_unlock(mm);
	if (n == 1)
		*hp = (struct rs_host_page){ page, page_to_phys(page), false };
	return n == 1 ? 0 : n ?: -EFAULT;
}

/*
 * rs_host_lookup() - the page at @hva, faulted in like an access of the process itself
 * @mm: current's
 * @write: the access is a write: breaks copy-on-write, needs VM_WRITE
 * @exec: the access is a fetch, for which rs_host_may_exec() is asked next
 * @try_write: for a read: say so if Linux's entry is writable already. Never breaks copy-on-write.
 * @hp: the answer; rs_host_put() it
 *
 * May sleep. -EFAULT: the process itself would get a signal. -EINTR: it has a signal that is fatal.
 * -ENOMEM.
 */
int rs_host_lookup(struct mm_struct *mm, u64 hva, bool write, bool exec, bool try_write,
		   struct rs_host_page *hp)
{
	struct page *page;
	int n;

	if (!write && try_write && get_user_pages_fast_only(hva, 1, FOLL_WRITE, &page) == 1) {
		/* a second fault for the first write is saved */
		*hp = (struct rs_host_page){ page, page_to_phys(page), true };
		return 0;
	}
	n = get_user_pages_fast(hva, 1, write ? FOLL_WRITE : 0, &page);
	if (n == 1) {
		*hp = (struct rs_host_page){ page, page_to_phys(page), write };
		return 0;
	}
	if (n == 0)
		n = -EFAULT;	/* is not said to happen, and must not pass for a page */
	if (n == -EFAULT && !write)
		n = lookup_pfnmap(mm, hva, hp);
	if (n == -EFAULT && exec)
		n = lookup_exec_only(mm, hva, hp);
	if (n == 0 || n == -ENOMEM)
		return n;
	if (n == -EINTR || n == -EAGAIN || n == -ERESTARTSYS || fatal_signal_pending(current))
		return -EINTR;
	return -EFAULT;
}

/*
 * rs_host_may_exec() - may the process execute what it has at @hva?
 *
 * Asked after rs_host_lookup(): from then on Linux has an entry there, so that taking the right
 * away (mprotect) is announced, which makes the caller ask again. May sleep. 0, -EINTR. -EACCES: it
 * may not. -EFAULT: there is nothing any more.
 */
int rs_host_may_exec(struct mm_struct *mm, u64 hva)
{
	struct vm_area_struct *vma;
	int ret = -EFAULT;

	if (mmap_read_lock_killable(mm))
		return -EINTR;
	vma = vma_lookup(mm, hva);
	if (vma)
		ret = vma->vm_flags & VM_EXEC ? 0 : -EACCES;
	mmap_read_unlock(mm);
	return ret;
}

/*
 * rs_host_put() - done with the answer
 * @dirtied: the guest may write to the page from now on without being seen
 *
 * May sleep.
 */
void rs_host_put(struct rs_host_page *hp, bool dirtied)
{
	if (!hp->page)
		return;
	if (dirtied && !PageDirty(hp->page))
		set_page_dirty_lock(hp->page);
	put_page(hp->page);
	hp->page = NULL;
}

/*
 * rs_host_level() - how large is Linux's own entry for @hva: 1: 4 KiB, 2: 2 MiB, 3: 1 GiB
 *
 * A nested entry may not be larger: a part of what it maps could be changed by Linux with an
 * invalidation of that part alone, or belong to another VMA. That the page is part of a larger
 * compound page is not enough, a split PMD keeps the page whole.
 *
 * Called under mmu->lock after the sequence check, which keeps the answer true until the lock is
 * dropped: every change of size is announced. With interrupts off no table page can be freed below
 * our feet: freeing waits for an interrupt to every CPU or for RCU.
 */
int rs_host_level(struct mm_struct *mm, u64 hva)
{
	unsigned long flags;
	int level = 1;
	pgd_t pgd;
	p4d_t p4d;
	pud_t pud;
	pmd_t pmd;

	local_irq_save(flags);
	pgd = READ_ONCE(*pgd_offset(mm, hva));
	if (pgd_none(pgd))
		goto out;
	p4d = READ_ONCE(*p4d_offset(&pgd, hva));
	if (p4d_none(p4d) || !p4d_present(p4d))
		goto out;
	pud = READ_ONCE(*pud_offset(&p4d, hva));
	if (pud_none(pud) || !pud_present(pud))
		goto out;
	if (pud_leaf(pud)) {
		level = 3;
		goto out;
	}
	pmd = READ_ONCE(*pmd_offset(&pud, hva));
	if (!pmd_none(pmd) && pmd_present(pmd) && pmd_leaf(pmd))
		level = 2;
out:
	local_irq_restore(flags);
	return level;
}
