// SPDX-License-Identifier: GPL-2.0-only
/*
 * notifier.c - Linux changes the address space, the nested table follows
 *
 * The protocol, against a vCPU thread in rs_mmu_fault() (F) and a vCPU in the guest (G):
 *
 *	range_start	lock; inval_count++; remove the range's nested entries; if any: flush_gen++,
 *			kick; unlock
 *	...		Linux changes its page tables
 *	range_end	lock; inval_seq++; inval_count--; unlock; wake the sleepers
 *
 *	F	lock; note inval_seq; unlock; ask Linux for the page; lock; an open range over the
 *		address, or another inval_seq: drop the answer and ask again; else enter it; unlock
 *	G	interrupts off; in_guest = 1; full barrier; flush_gen differs from what this vCPU
 *		saw last: flush; enter
 *
 * Why it holds:
 * - F's answer is older than its second lock. If Linux changed the entry after the answer was read,
 *   range_start came before the change. Either range_start took the lock before F's second lock:
 *   then F finds the range open or, when it is over, inval_seq advanced, and asks again. Or after:
 *   then the entry is there to be found and removed. The counter must rise before the removal, and
 *   the sequence must advance before the counter falls, all under the lock.
 * - After range_start returned no CPU uses a stale translation: flush_gen advances, full barrier,
 *   then kick_all() looks at in_guest; G writes in_guest, full barrier, then looks at flush_gen. At
 *   least one sees the other: G flushes before it enters, or is interrupted, leaves the guest and
 *   flushes before the next entry. kick_all() waits for that, still under the lock; the lock is
 *   never taken with interrupts off, so that the interrupt always gets through.
 * - Tables are freed after the kick, for the same reason.
 *
 * One flush and one kick serve a whole invalidation. Faults under an open range sleep until it ends
 * instead of spinning: on one CPU the spinning thread would keep the invalidating one from
 * finishing.
 *
 * Feedback: rs_mmu_leaf_dropped() gives each removed leaf's dirty and accessed bits to the page. It
 * runs inside range_start, when Linux still has the page mapped, so the page cannot have gone.
 *
 * Order: mmap_lock, i_mmap_rwsem, anon_vma and page-table locks may be held by the callers;
 * mmu->lock is the only one taken here.
 */
#include <linux/interval_tree_generic.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include "internal.h"

static struct rs_mmu *to_mmu(struct mmu_notifier *mn)
{
	return container_of(mn, struct rs_mmu, mn);
}

/*
 * rs_mmu_flush_locked() - no stale translation is used by any vCPU after this returns
 *
 * Under mmu->lock. Does not sleep, but waits for other CPUs.
 */
void rs_mmu_flush_locked(struct rs_mmu *mmu)
{
	lockdep_assert_held(&mmu->lock);
	atomic64_inc(&mmu->stats.flush_requests);
	/* fully ordered: pairs with the barrier between in_guest and rs_mmu_flush_pending() */
	atomic64_inc_return(&mmu->flush_gen);
	mmu->ops->kick_all(mmu);
}

/* rs_mmu_range_busy() - is Linux changing its entry for @hva right now? Under mmu->lock. */
bool rs_mmu_range_busy(const struct rs_mmu *mmu, u64 hva)
{
	lockdep_assert_held(&mmu->lock);
	return mmu->inval_count && hva >= mmu->inval_start && hva < mmu->inval_end;
}

/*
 * Regions by what they show of the process. They may overlap there, so it is an interval tree: a
 * call that meets none of them looks at the root, one that meets k of n at about k + log n.
 */
static u64 hva_first(const struct rs_mmu_region *r)
{
	return r->hva;
}

static u64 hva_last(const struct rs_mmu_region *r)
{
	return r->hva + r->size - 1;
}

INTERVAL_TREE_DEFINE(struct rs_mmu_region, hva_node, u64, hva_last_below, hva_first, hva_last,
		     static, hva)

void rs_mmu_hva_link(struct rs_mmu *mmu, struct rs_mmu_region *r)
{
	lockdep_assert_held(&mmu->lock);
	hva_insert(r, &mmu->regions_by_hva);
}

void rs_mmu_hva_unlink(struct rs_mmu *mmu, struct rs_mmu_region *r)
{
	lockdep_assert_held(&mmu->lock);
	hva_remove(r, &mmu->regions_by_hva);
}

/* Each region that HVAs [start, end) reach. */
#define for_each_met(mmu, r, start, end)							\
	for (r = start < end ? hva_iter_first(&(mmu)->regions_by_hva, start, end - 1) : NULL; r;	\
	     r = hva_iter_next(r, start, end - 1))

/* The part of @r that HVAs [start, end) reach, as GPAs. */
static void region_part(const struct rs_mmu_region *r, u64 start, u64 end, u64 *gpa_start,
			u64 *gpa_end)
{
	*gpa_start = r->gpa + (max(start, r->hva) - r->hva);
	*gpa_end = r->gpa + (min(end, r->hva + r->size) - r->hva);
}

/* Returns whether the range met a region. */
static bool zap_hva(struct rs_mmu *mmu, u64 start, u64 end, struct rs_pt_gather *g)
{
	struct rs_mmu_region *r;
	u64 gs, ge;
	bool met = false;

	for_each_met(mmu, r, start, end) {
		region_part(r, start, end, &gs, &ge);
		met = true;
		rs_pt_zap(&mmu->pt, gs, ge, g);
	}
	return met;
}

static int inval_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct rs_pt_gather g = RS_PT_GATHER_INIT(g);
	struct rs_mmu *mmu = to_mmu(mn);
	bool met;

	spin_lock(&mmu->lock);
	if (mmu->inval_count++) {
		mmu->inval_start = min_t(u64, mmu->inval_start, range->start);
		mmu->inval_end = max_t(u64, mmu->inval_end, range->end);
	} else {
		mmu->inval_start = range->start;
		mmu->inval_end = range->end;
	}
	met = zap_hva(mmu, range->start, range->end, &g);
	if (met) {
		atomic64_inc(&mmu->stats.inval);
		atomic64_add(g.zapped, &mmu->stats.inval_zapped);
	}
	if (g.flush)
		rs_mmu_flush_locked(mmu);
	if (met && mmu->ops->invalidated)
		mmu->ops->invalidated(mmu, range->start, range->end, g.zapped, g.flush);
	spin_unlock(&mmu->lock);
	rs_pt_gather_free(&g);
	return 0;
}

static void inval_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct rs_mmu *mmu = to_mmu(mn);

	spin_lock(&mmu->lock);
	mmu->inval_seq++;
	WARN_ON_ONCE(!mmu->inval_count);
	mmu->inval_count--;
	spin_unlock(&mmu->lock);
	/*
	 * The sleeper checks the counters after it is on the queue; wq_has_sleeper() has the
	 * barrier that pairs with that.
	 */
	if (wq_has_sleeper(&mmu->inval_wait))
		wake_up_all(&mmu->inval_wait);
}

static bool age(struct rs_mmu *mmu, u64 start, u64 end, bool clear, bool exact)
{
	struct rs_pt_gather g = RS_PT_GATHER_INIT(g);
	struct rs_mmu_region *r;
	bool young = false;
	u64 gs, ge;

	spin_lock(&mmu->lock);
	for_each_met(mmu, r, start, end) {
		region_part(r, start, end, &gs, &ge);
		young |= rs_pt_young(&mmu->pt, gs, ge, clear, &g);
	}
	/*
	 * A CPU that has the translation cached does not set the accessed bit again before a flush.
	 * Where Linux wants to know exactly, that is worth one. g.flush: leaves were removed for
	 * want of accessed bits, then it is not a matter of exactness.
	 */
	if (g.flush || (young && exact))
		rs_mmu_flush_locked(mmu);
	spin_unlock(&mmu->lock);
	rs_pt_gather_free(&g);
	return young;
}

static int clear_flush_young(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long start,
			     unsigned long end)
{
	return age(to_mmu(mn), start, end, true, true);
}

static int clear_young(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long start,
		       unsigned long end)
{
	return age(to_mmu(mn), start, end, true, false);
}

static int test_young(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long address)
{
	return age(to_mmu(mn), address, address + PAGE_SIZE, false, false);
}

/* The address space ends, or our notifier is being unregistered. Nothing is mapped from now on. */
static void release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	struct rs_pt_gather g = RS_PT_GATHER_INIT(g);
	struct rs_mmu *mmu = to_mmu(mn);

	spin_lock(&mmu->lock);
	mmu->dead = true;
	rs_pt_zap(&mmu->pt, 0, 1ull << mmu->gpa_bits, &g);
	rs_mmu_flush_locked(mmu);
	spin_unlock(&mmu->lock);
	rs_pt_gather_free(&g);
	wake_up_all(&mmu->inval_wait);
}

const struct mmu_notifier_ops rs_mmu_notifier_ops = {
	.invalidate_range_start	= inval_start,
	.invalidate_range_end	= inval_end,
	.clear_flush_young	= clear_flush_young,
	.clear_young		= clear_young,
	.test_young		= test_young,
	.release		= release,
};
