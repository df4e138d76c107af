// SPDX-License-Identifier: GPL-2.0-only
/*
 * mmu.c - regions, and nested faults
 *
 * A region says which addresses of the process stand behind which guest physical addresses. A
 * nested fault is answered with what the process itself would get by the same access at that
 * address, in this order:
 *
 *	1. lock: is there a region, does it allow the access, is the entry there already, is Linux
 *	   changing this address just now (then sleep until it is done); note inval_seq; unlock
 *	2. ask Linux for the page (host.c), which may sleep, read a file, break copy-on-write
 *	3. lock: has Linux changed anything since 1? Then again from 1. Choose the size, enter the
 *	   leaf. Tables missing: unlock, allocate, again from 3. Unlock.
 *	4. drop the page reference: the notifier protects the entry from now on
 *
 * Step 3 repeats only when Linux changed something in between, and a change costs Linux much more
 * than a try costs us, so it converges; a signal ends it in any case. Rights: readable where the
 * VMA is, writable where Linux's own entry is writable at that moment (so no copy-on-write and no
 * write tracking of a file system is bypassed), executable always, since the guest's page tables
 * decide that; or, with exec_rights, once an instruction was fetched there and the VMA allows it.
 *
 * Size: 2 MiB where Linux's own entry is at least as large, region and process agree on the address
 * modulo 2 MiB, and all of the 2 MiB lie in the region.
 *
 * Dirty: a write fault marks the page dirty at once. A read fault that found the page writable
 * leaves a writable leaf; if the guest then writes, the dirty bit tells it when the leaf is
 * removed. Without dirty bits in the format, writable means dirty.
 *
 * Locks: regions_lock, then lock (see mmu.h). What a fault needs of a region it copies under the
 * lock; removal advances inval_seq, so that a fault which copied from a region that has gone asks
 * again.
 */
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/swap.h>
#include "internal.h"

#define HUGE_MASK	((u64)PMD_SIZE - 1)

/*
 * rs_mmu_leaf_dropped() - give the page what the CPU recorded in its nested entry. Under mmu->lock,
 * the page is still mapped by Linux.
 */
void rs_mmu_leaf_dropped(struct rs_pgtable *pt, rs_npte_t old, int level)
{
	const struct rs_pte_format *f = pt->fmt;
	u64 v = rs_npte_val(old);
	struct page *page;

	if (v & RS_NPTE_SPECIAL)
		return;
	page = pfn_to_page(PHYS_PFN(rs_npte_pa(f, old)));
	if (PageReserved(page))		/* the zero page */
		return;
	if (rs_npte_writable(f, old) && (!f->dirty || (v & f->dirty)))
		set_page_dirty(page);
	if (f->accessed && (v & f->accessed))
		mark_page_accessed(page);
}

/* --- regions ------------------------------------------------------------ */

static struct rs_mmu_region *to_region(struct rb_node *n)
{
	return n ? rb_entry(n, struct rs_mmu_region, gpa_node) : NULL;
}

/* The lowest region that ends above @gpa, or NULL. */
static struct rs_mmu_region *region_at_or_above(struct rs_mmu *mmu, u64 gpa)
{
	struct rb_node *n = mmu->regions.rb_node;
	struct rs_mmu_region *best = NULL;

	while (n) {
		struct rs_mmu_region *r = to_region(n);

		if (r->gpa + r->size > gpa) {
			best = r;
			n = n->rb_left;
		} else {
			n = n->rb_right;
		}
	}
	return best;
}

static struct rs_mmu_region *region_find(struct rs_mmu *mmu, u64 gpa)
{
	struct rs_mmu_region *r = region_at_or_above(mmu, gpa);

	return r && r->gpa <= gpa ? r : NULL;
}

static void region_link(struct rs_mmu *mmu, struct rs_mmu_region *new)
{
	struct rb_node **link = &mmu->regions.rb_node, *parent = NULL;

	while (*link) {
		parent = *link;
		link = new->gpa < to_region(parent)->gpa ? &parent->rb_left : &parent->rb_right;
	}
	rb_link_node(&new->gpa_node, parent, link);
	rb_insert_color(&new->gpa_node, &mmu->regions);

	if (!(new->flags & RS_REGION_MMIO))
		rs_mmu_hva_link(mmu, new);
}

static bool reserved_clear(const struct rs_region *r)
{
	return !r->reserved0 && !r->reserved[0] && !r->reserved[1];
}

static int region_check(const struct rs_mmu *mmu, const struct rs_region *r)
{
	u64 end;

	if ((r->flags & ~(RS_REGION_READONLY | RS_REGION_MMIO)) || !reserved_clear(r))
		return -EINVAL;
	if (!r->size || !PAGE_ALIGNED(r->gpa) || !PAGE_ALIGNED(r->size) || !PAGE_ALIGNED(r->hva))
		return -EINVAL;
	if (check_add_overflow(r->gpa, r->size, &end) || end > 1ull << mmu->gpa_bits)
		return -EINVAL;
	if (r->flags & RS_REGION_MMIO)
		return r->hva ? -EINVAL : 0;
	if (check_add_overflow(r->hva, r->size, &end) || end > mmu->mm->task_size)
		return -EINVAL;
	return 0;
}

int rs_mmu_add_region(struct rs_mmu *mmu, const struct rs_region *r)
{
	struct rs_mmu_region *new, *other;
	int ret = region_check(mmu, r);

	if (ret)
		return ret;
	new = kzalloc(sizeof(*new), GFP_KERNEL_ACCOUNT);
	if (!new)
		return -ENOMEM;
	new->gpa = r->gpa;
	new->size = r->size;
	new->hva = r->hva;
	new->flags = r->flags;

	mutex_lock(&mmu->regions_lock);
	other = region_at_or_above(mmu, r->gpa);
	if (other && other->gpa < r->gpa + r->size) {
		ret = -EEXIST;
	} else if (mmu->nr_regions >= RS_MAX_REGIONS) {
		ret = -ENOSPC;
	} else {
		spin_lock(&mmu->lock);
		if (mmu->dead)
			ret = -EIO;
		else
			region_link(mmu, new);
		spin_unlock(&mmu->lock);
	}
	if (!ret)
		mmu->nr_regions++;
	mutex_unlock(&mmu->regions_lock);
	if (ret)
		kfree(new);
	return ret;
}

int rs_mmu_remove_region(struct rs_mmu *mmu, const struct rs_region *r)
{
	struct rs_pt_gather g = RS_PT_GATHER_INIT(g);
	struct rs_mmu_region *old;

	if (r->flags || r->hva || !reserved_clear(r))
		return -EINVAL;
	mutex_lock(&mmu->regions_lock);
	old = region_find(mmu, r->gpa);
	if (!old || old->gpa != r->gpa || old->size != r->size) {
		mutex_unlock(&mmu->regions_lock);
		return -ENOENT;
	}
	spin_lock(&mmu->lock);
	rb_erase(&old->gpa_node, &mmu->regions);
	if (!(old->flags & RS_REGION_MMIO))
		rs_mmu_hva_unlink(mmu, old);
	rs_pt_zap(&mmu->pt, old->gpa, old->gpa + old->size, &g);
	/* for faults that have looked the region up already */
	mmu->inval_seq++;
	if (g.flush)
		rs_mmu_flush_locked(mmu);
	spin_unlock(&mmu->lock);
	mmu->nr_regions--;
	mutex_unlock(&mmu->regions_lock);
	rs_mmu_access_wait(mmu);
	rs_pt_gather_free(&g);
	kfree(old);
	return 0;
}

void rs_mmu_usage(struct rs_mmu *mmu, struct rs_mmu_usage *usage)
{
	struct rb_node *n;

	*usage = (struct rs_mmu_usage) { };
	mutex_lock(&mmu->regions_lock);
	for (n = rb_first(&mmu->regions); n; n = rb_next(n))
		usage->memory += to_region(n)->size;
	mutex_unlock(&mmu->regions_lock);
	spin_lock(&mmu->lock);
	usage->leaves_4k = mmu->pt.nr_leaves[1];
	usage->leaves_2m = mmu->pt.nr_leaves[2];
	usage->tables = mmu->pt.nr_tables;
	spin_unlock(&mmu->lock);
}

/* The region that holds @gpa, as it is now, links excepted: false when there is none. */
bool rs_mmu_region_copy(struct rs_mmu *mmu, u64 gpa, struct rs_mmu_region *copy)
{
	const struct rs_mmu_region *r;

	spin_lock(&mmu->lock);
	r = region_find(mmu, gpa);
	if (r)
		*copy = *r;
	spin_unlock(&mmu->lock);
	return r;
}

bool rs_mmu_is_mmio(struct rs_mmu *mmu, u64 gpa, u64 size)
{
	struct rs_mmu_region r;
	u64 end;

	return !check_add_overflow(gpa, size, &end) && rs_mmu_region_copy(mmu, gpa, &r) &&
	       (r.flags & RS_REGION_MMIO) && end <= r.gpa + r.size;
}

/* --- faults ------------------------------------------------------------- */

/* What step 1 found out, and step 3 needs. */
struct fault_plan {
	u64 hva;
	u64 region_gpa, region_end;
	u32 region_flags;
	unsigned long seq;
	bool write, fetch;	/* fetch: the right to execute is wanted, and not given by itself */
};

enum step { STEP_DONE, STEP_ASK, STEP_WAIT };

static bool entry_suffices(struct rs_mmu *mmu, struct rs_fault *fault,
			   const struct fault_plan *plan)
{
	rs_npte_t e;

	return rs_pt_lookup(&mmu->pt, fault->gpa, &e, NULL) &&
	       (!plan->write || rs_npte_writable(mmu->pt.fmt, e)) &&
	       (!plan->fetch || rs_npte_executable(mmu->pt.fmt, e));
}

/* Step 1. On STEP_DONE *@ret is the answer. */
static enum step fault_plan(struct rs_mmu *mmu, struct rs_fault *fault, struct fault_plan *plan,
			    int *ret)
{
	struct rs_mmu_region *r;

	lockdep_assert_held(&mmu->lock);
	*ret = -EFAULT;
	if (mmu->dead) {
		fault->what = "address space gone";
		*ret = -EIO;
		return STEP_DONE;
	}
	r = region_find(mmu, fault->gpa);
	if (!r) {
		fault->what = "no region";
		fault->no_region = true;
		return STEP_DONE;
	}
	if (r->flags & RS_REGION_MMIO) {
		fault->what = "MMIO region";
		fault->mmio = true;
		return STEP_DONE;
	}
	plan->write = fault->access & RS_FAULT_WRITE;
	plan->fetch = mmu->exec_rights && (fault->access & RS_FAULT_FETCH);
	plan->hva = fault->hva = r->hva + (fault->gpa - r->gpa);
	plan->region_gpa = r->gpa;
	plan->region_end = r->gpa + r->size;
	plan->region_flags = r->flags;
	if (plan->write && (r->flags & RS_REGION_READONLY)) {
		fault->what = "read-only region";
		return STEP_DONE;
	}
	if (entry_suffices(mmu, fault, plan)) {
		*ret = 0;
		return STEP_DONE;
	}
	plan->seq = mmu->inval_seq;
	return rs_mmu_range_busy(mmu, plan->hva) ? STEP_WAIT : STEP_ASK;
}

/*
 * Until the invalidations open now are over, or one more has ended: then a try may succeed, and if
 * not, asking Linux for the page queues fairly on mmap_lock. Waiting for a moment with none open
 * could last for ever under a stream of them.
 */
static int fault_wait(struct rs_mmu *mmu, unsigned long seq)
{
	return wait_event_interruptible(mmu->inval_wait, READ_ONCE(mmu->inval_count) == 0 ||
					READ_ONCE(mmu->inval_seq) != seq ||
					READ_ONCE(mmu->dead)) ? -EINTR : 0;
}

static int leaf_level(struct rs_mmu *mmu, const struct fault_plan *plan, u64 gpa,
		      const struct rs_host_page *hp)
{
	u64 base = gpa & ~HUGE_MASK;

	if (!hp->page || !mmu->pt.fmt->huge || ((plan->hva ^ gpa) & HUGE_MASK))
		return 1;
	if (base < plan->region_gpa || base + PMD_SIZE > plan->region_end)
		return 1;
	return rs_host_level(mmu->mm, plan->hva) >= 2 ? 2 : 1;
}

/*
 * Between 2 and 3: the page may be read; may it be executed? If not, that is an answer, which like
 * the others counts only when nothing has changed since step 1. Drops the page unless 0.
 */
static int fault_fetch(struct rs_mmu *mmu, struct rs_fault *fault, const struct fault_plan *plan,
		       struct rs_host_page *hp)
{
	int ret = rs_host_may_exec(mmu->mm, plan->hva);

	if (!ret)
		return 0;
	rs_host_put(hp, false);
	if (ret == -EINTR)
		return ret;
	spin_lock(&mmu->lock);
	if (mmu->inval_seq != plan->seq || rs_mmu_range_busy(mmu, plan->hva))
		ret = -EAGAIN;
	spin_unlock(&mmu->lock);
	if (ret == -EAGAIN)
		return ret;
	fault->no_exec = ret == -EACCES;
	return -EFAULT;
}

/* Step 3. -EAGAIN: the answer is stale. */
static int fault_enter(struct rs_mmu *mmu, struct rs_fault *fault, const struct fault_plan *plan,
		       const struct rs_host_page *hp, struct rs_pt_cache *cache)
{
	struct rs_pt_gather g = RS_PT_GATHER_INIT(g);
	struct rs_pt_leaf leaf = {
		.write = hp->write && !(plan->region_flags & RS_REGION_READONLY),
		.dirty = plan->write,
		.special = !hp->page,
		.noexec = mmu->exec_rights && !plan->fetch,
	};
	int ret;

	for (;;) {
		u64 mask;

		spin_lock(&mmu->lock);
		if (mmu->dead || mmu->inval_seq != plan->seq || rs_mmu_range_busy(mmu, plan->hva)) {
			spin_unlock(&mmu->lock);
			return -EAGAIN;
		}
		leaf.level = leaf_level(mmu, plan, fault->gpa, hp);
		mask = rs_npt_size(leaf.level) - 1;
		leaf.gpa = fault->gpa & ~mask;
		leaf.pa = hp->pa & ~mask;
		ret = rs_pt_map(&mmu->pt, &leaf, cache, &g);
		if (ret <= 0)
			break;
		spin_unlock(&mmu->lock);
		ret = rs_pt_cache_fill(cache, ret);
		if (ret)
			return ret;
	}
	if (g.flush)
		rs_mmu_flush_locked(mmu);
	spin_unlock(&mmu->lock);
	rs_pt_gather_free(&g);
	fault->level = ret ? 0 : leaf.level;
	return 0;
}

/* Steps 2 to 4. -EAGAIN: Linux has changed something meanwhile. */
static int fault_ask(struct rs_mmu *mmu, struct rs_fault *fault, const struct fault_plan *plan,
		     struct rs_pt_cache *cache)
{
	struct rs_host_page hp;
	bool dirtied;
	int ret;

	ret = rs_host_lookup(mmu->mm, plan->hva, plan->write, plan->fetch,
			     !(plan->region_flags & RS_REGION_READONLY), &hp);
	if (!ret && plan->fetch)
		ret = fault_fetch(mmu, fault, plan, &hp);
	if (ret) {
		if (ret != -EAGAIN)
			fault->what = "Linux refuses the access";
		return ret;
	}
	ret = fault_enter(mmu, fault, plan, &hp, cache);
	dirtied = !ret && hp.write && (plan->write || !mmu->pt.fmt->dirty);
	rs_host_put(&hp, dirtied);
	return ret;
}

int rs_mmu_fault(struct rs_mmu *mmu, struct rs_fault *fault)
{
	struct rs_pt_cache cache = RS_PT_CACHE_INIT(cache);
	struct fault_plan plan;
	enum step step;
	int ret;

	fault->what = NULL;
	fault->hva = 0;
	fault->level = 0;
	fault->retried = fault->mmio = fault->no_region = fault->no_exec = false;
	if (WARN_ON_ONCE(current->mm != mmu->mm))
		return -EIO;

	for (;;) {
		spin_lock(&mmu->lock);
		step = fault_plan(mmu, fault, &plan, &ret);
		spin_unlock(&mmu->lock);
		if (step == STEP_DONE)
			break;
		if (step == STEP_WAIT) {
			ret = fault_wait(mmu, plan.seq);
		} else {
			ret = fault_ask(mmu, fault, &plan, &cache);
			if (ret != -EAGAIN)
				break;
			ret = signal_pending(current) ? -EINTR : 0;
		}
		fault->retried = true;
		if (ret)
			break;
		cond_resched();
	}
	rs_pt_cache_free(&cache);
	return ret;
}

/* --- life --------------------------------------------------------------- */

/*
 * rs_mmu_setup() - all of rs_mmu_init() but the notifier: an empty table that follows nothing yet
 *
 * May sleep. On failure rs_mmu_destroy() may be called. -ENOMEM, -EINVAL.
 */
int rs_mmu_setup(struct rs_mmu *mmu, const struct rs_pte_format *fmt, int levels, u8 gpa_bits,
		 const struct rs_mmu_ops *ops)
{
	memset(mmu, 0, sizeof(*mmu));
	mmu->ops = ops;
	mmu->gpa_bits = min_t(int, gpa_bits, 12 + RS_NPT_INDEX_BITS * levels);
	mutex_init(&mmu->regions_lock);
	init_rwsem(&mmu->access_sem);
	spin_lock_init(&mmu->lock);
	mmu->regions = RB_ROOT;
	mmu->regions_by_hva = RB_ROOT_CACHED;
	init_waitqueue_head(&mmu->inval_wait);
	/* a vCPU that has seen 0 flushes before its first entry */
	atomic64_set(&mmu->flush_gen, 1);
	return rs_pt_init(&mmu->pt, fmt, levels, &mmu->lock, rs_mmu_leaf_dropped);
}

/*
 * rs_mmu_init() - an empty nested table that follows @mm
 * @mm: current's
 * @levels: of the nested table
 * @gpa_bits: guest physical addresses are below 1 << gpa_bits; bounded by what @levels can
 *	      translate
 *
 * May sleep; takes mmap_lock. On failure @mmu is as rs_mmu_destroy() accepts it. -ENOMEM, -EINTR,
 * -EINVAL.
 */
int rs_mmu_init(struct rs_mmu *mmu, struct mm_struct *mm, const struct rs_pte_format *fmt,
		int levels, u8 gpa_bits, const struct rs_mmu_ops *ops)
{
	int ret = rs_mmu_setup(mmu, fmt, levels, gpa_bits, ops);

	if (ret)
		return ret;
	mmu->mn.ops = &rs_mmu_notifier_ops;
	ret = mmu_notifier_register(&mmu->mn, mm);
	if (ret)
		rs_pt_destroy(&mmu->pt);
	else
		mmu->mm = mm;
	return ret;
}

void rs_mmu_destroy(struct rs_mmu *mmu)
{
	struct rs_mmu_region *r;

	if (mmu->mm) {
		/*
		 * Calls release() if the address space lives, so no leaf is left whose page could
		 * go away.
		 */
		mmu_notifier_unregister(&mmu->mn, mmu->mm);
		mmu->mm = NULL;
	}
	while ((r = to_region(rb_first(&mmu->regions)))) {
		rb_erase(&r->gpa_node, &mmu->regions);
		kfree(r);
	}
	mmu->nr_regions = 0;
	/* rs_pt_destroy() runs unlocked: nobody else knows the table any more */
	mmu->pt.lock = NULL;
	rs_pt_destroy(&mmu->pt);
}
