// SPDX-License-Identifier: GPL-2.0-only
/*
 * pgtable.c - the nested table: a radix tree of 512-entry pages, walked with an iterator
 *
 * EPT and NPT differ in bits only (pte_format.h); the level is a variable, so four and five levels
 * are the same code, and so are 4 KiB and 2 MiB leaves.
 *
 * Invariants
 * - page_private() of a table page is the number of present entries in it. A table other than the
 *   root with none is unlinked at once, by whoever cleared its last entry: the table's size follows
 *   what is mapped, and a 2 MiB leaf finds its slot free again.
 * - An entry goes from absent to present by one store, after what it points to is complete. It
 *   leaves by xchg, so that the accessed and dirty bits which the CPU sets concurrently (with
 *   locked cycles) are either in the value taken out, or the CPU finds the entry absent and faults;
 *   none is lost.
 * - Removing a leaf, lowering its rights or replacing a table makes translations stale:
 *   gather->flush is set and the caller must make every vCPU flush before it drops the lock. Adding
 *   a leaf or raising its rights does not: hardware drops the faulting translation itself (SDM vol.
 *   3 "Invalidation of TLBs and Paging-Structure Caches by EPT violations"; APM vol. 2 5.5.2),
 *   another CPU that still has the narrower one takes one more fault that finds everything done.
 * - An unlinked table may still be in paging-structure caches and be walked, even written (accessed
 *   bits), by a vCPU in the guest. It goes on gather->tables, and is freed only after flush and
 *   kick. Memory for new tables is allocated before the lock is taken: rs_pt_map() says how many
 *   pages it lacks, its caller fetches them unlocked and asks again.
 */
#include <linux/bitops.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include "pgtable.h"

static void assert_locked(const struct rs_pgtable *pt)
{
	if (pt->lock)
		lockdep_assert_held(pt->lock);
}

/* --- table pages -------------------------------------------------------- */

static struct page *table_alloc(void)
{
	struct page *page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);

	if (page)
		set_page_private(page, 0);
	return page;
}

static void table_free(struct page *page)
{
	set_page_private(page, 0);
	__free_page(page);
}

/*
 * rs_pt_cache_fill() - have at least @nr pages in @c
 *
 * Process context, may sleep. -ENOMEM leaves what was there.
 */
int rs_pt_cache_fill(struct rs_pt_cache *c, int nr)
{
	while (c->nr < nr) {
		struct page *page = table_alloc();

		if (!page)
			return -ENOMEM;
		list_add(&page->lru, &c->pages);
		c->nr++;
	}
	return 0;
}

static struct page *cache_take(struct rs_pt_cache *c)
{
	struct page *page = list_first_entry_or_null(&c->pages, struct page, lru);

	if (page) {
		list_del(&page->lru);
		c->nr--;
	}
	return page;
}

static void free_list(struct list_head *pages)
{
	struct page *page, *next;

	list_for_each_entry_safe(page, next, pages, lru) {
		list_del(&page->lru);
		table_free(page);
	}
}

/* rs_pt_cache_free() - give back what was not used. Any context. */
void rs_pt_cache_free(struct rs_pt_cache *c)
{
	free_list(&c->pages);
	c->nr = 0;
}

/*
 * rs_pt_gather_free() - free the unlinked tables. Any context; every vCPU flushes before it enters
 * again, and none is in the guest.
 */
void rs_pt_gather_free(struct rs_pt_gather *g)
{
	free_list(&g->tables);
}

/* --- entries ------------------------------------------------------------ */

static rs_npte_t entry_read(const rs_npte_t *slot)
{
	return rs_npte(READ_ONCE(*(const u64 *)slot));
}

static rs_npte_t entry_take(rs_npte_t *slot, rs_npte_t with)
{
	return rs_npte(xchg((u64 *)slot, rs_npte_val(with)));
}

static void entry_publish(rs_npte_t *slot, rs_npte_t e)
{
	/* a CPU that walks here sees the lower table filled in */
	smp_store_release((u64 *)slot, rs_npte_val(e));
}

static rs_npte_t *entry_table(const struct rs_pgtable *pt, rs_npte_t e)
{
	return phys_to_virt(rs_npte_pa(pt->fmt, e));
}

static void count_add(rs_npte_t *slot, int n)
{
	struct page *page = virt_to_page(slot);

	set_page_private(page, page_private(page) + n);
}

static void leaf_gone(struct rs_pgtable *pt, rs_npte_t old, int level, struct rs_pt_gather *g)
{
	g->zapped++;
	pt->nr_leaves[level]--;
	g->flush = true;
	if (pt->dropped)
		pt->dropped(pt, old, level);
}

/* The table has no reader but the CPUs' caches any more. */
static void table_gone(struct rs_pgtable *pt, rs_npte_t *table, struct rs_pt_gather *g)
{
	list_add(&virt_to_page(table)->lru, &g->tables);
	pt->nr_tables--;
	g->flush = true;
}

/* --- iterator ----------------------------------------------------------- */

/*
 * Visits the entries that cover [gpa, end) below one table: down where the caller asks for it, else
 * sideways, else up. At each stop @table is the table of @level, @gpa lies in the entry looked at.
 */
struct pt_iter {
	u64 gpa, end;
	int level, top;
	rs_npte_t *table[RS_NPT_MAX_LEVELS + 1];
};

static void iter_start(struct pt_iter *it, rs_npte_t *table, int level, u64 start, u64 end)
{
	it->gpa = start;
	it->end = end;
	it->level = it->top = level;
	it->table[level] = table;
}

static rs_npte_t *iter_slot(const struct pt_iter *it)
{
	return &it->table[it->level][rs_npt_index(it->gpa, it->level)];
}

static void iter_down(struct pt_iter *it, rs_npte_t *table)
{
	it->table[--it->level] = table;
}

/* To the next entry of the same table. False at the end of the table or of the range. */
static bool iter_sideways(struct pt_iter *it)
{
	u64 size = rs_npt_size(it->level);
	u64 next = (it->gpa & ~(size - 1)) + size;

	/* gpa stays in the entry just done, so that the way up knows which entry it came from */
	if (next >= it->end || rs_npt_index(next, it->level) == 0)
		return false;
	it->gpa = next;
	return true;
}

static bool iter_up(struct pt_iter *it)
{
	if (it->level == it->top)
		return false;
	it->level++;
	return true;
}

/* --- operations --------------------------------------------------------- */

/*
 * Remove the leaves of [start, end) below @table, and the tables that become empty; @table itself
 * stays.
 */
static void zap_below(struct rs_pgtable *pt, rs_npte_t *table, int level, u64 start, u64 end,
		      struct rs_pt_gather *g)
{
	const struct rs_pte_format *f = pt->fmt;
	struct pt_iter it;

	iter_start(&it, table, level, start, end);
	for (;;) {
		rs_npte_t *slot = iter_slot(&it);
		rs_npte_t e = entry_read(slot);

		if (rs_npte_present(f, e)) {
			if (!rs_npte_is_leaf(f, e, it.level)) {
				iter_down(&it, entry_table(pt, e));
				continue;
			}
			/*
			 * A leaf that reaches beyond the range goes as a whole: the rest comes back
			 * by fault.
			 */
			leaf_gone(pt, entry_take(slot, rs_npte(0)), it.level, g);
			count_add(slot, -1);
		}
		while (!iter_sideways(&it)) {
			rs_npte_t *done = it.table[it.level];

			if (!iter_up(&it))
				return;
			if (page_private(virt_to_page(done)) == 0) {
				slot = iter_slot(&it);
				entry_take(slot, rs_npte(0));
				count_add(slot, -1);
				table_gone(pt, done, g);
			}
		}
	}
}

/*
 * rs_pt_zap() - remove every leaf that touches [start, end)
 * @g: collects; the caller flushes when g->flush, then frees
 *
 * Under the lock, does not sleep. The cost follows what is mapped, not the size of the range.
 */
void rs_pt_zap(struct rs_pgtable *pt, u64 start, u64 end, struct rs_pt_gather *g)
{
	assert_locked(pt);
	if (start < end && pt->root)
		zap_below(pt, page_address(pt->root), pt->levels, start, end, g);
}

/* Replace the leaf in @slot by a table in @page that maps the same, one level finer. */
static rs_npte_t *split_leaf(struct rs_pgtable *pt, rs_npte_t *slot, int level, struct page *page,
			     struct rs_pt_gather *g)
{
	rs_npte_t *table = page_address(page);
	u64 step = rs_npt_size(level - 1);
	u64 val = rs_npte_val(entry_read(slot));
	unsigned int i;

	if (level - 1 == 1)
		val &= ~pt->fmt->huge;
	for (i = 0; i < RS_NPT_ENTRIES; i++)
		table[i] = rs_npte(val + i * step);
	set_page_private(page, RS_NPT_ENTRIES);
	val = rs_npte_val(entry_take(slot, rs_npte_make_table(pt->fmt, page_to_phys(page))));
	/*
	 * What the CPU set between the read and the exchange goes to all parts: too much is
	 * harmless, too little loses data.
	 */
	val &= pt->fmt->accessed | pt->fmt->dirty;
	for (i = 0; val && i < RS_NPT_ENTRIES; i++)
		atomic64_or(val, (atomic64_t *)&table[i]);
	pt->nr_tables++;
	pt->nr_leaves[level]--;
	pt->nr_leaves[level - 1] += RS_NPT_ENTRIES;
	g->flush = true;
	return table;
}

/* Does the entry grant what the leaf shall? */
static bool suffices(const struct rs_pte_format *f, rs_npte_t e, const struct rs_pt_leaf *leaf)
{
	return (rs_npte_writable(f, e) || !leaf->write) &&
	       (rs_npte_executable(f, e) || leaf->noexec);
}

/* Put the leaf into its slot. Returns whether an entry was written. */
static bool set_leaf(struct rs_pgtable *pt, rs_npte_t *slot, const struct rs_pt_leaf *leaf,
		     struct rs_pt_gather *g)
{
	const struct rs_pte_format *f = pt->fmt;
	rs_npte_t old = entry_read(slot);
	rs_npte_t new = rs_npte_make_leaf(f, leaf->pa, leaf->level, leaf->write);
	u64 val;

	if (leaf->noexec)
		new = rs_npte_without_exec(f, new);
	val = rs_npte_val(new);
	/* The access that faulted will set these; doing it here saves the CPU a locked cycle. */
	val |= f->accessed;
	if (leaf->write && leaf->dirty)
		val |= f->dirty;
	if (leaf->special)
		val |= RS_NPTE_SPECIAL;

	if (!rs_npte_present(f, old)) {
		entry_publish(slot, rs_npte(val));
		count_add(slot, 1);
		pt->nr_leaves[leaf->level]++;
		return true;
	}
	if (!rs_npte_is_leaf(f, old, leaf->level)) {
		/*
		 * Smaller leaves where a large one is possible now. Link first: the old table is
		 * private from then on.
		 */
		rs_npte_t *table = entry_table(pt, entry_take(slot, rs_npte(val)));

		zap_below(pt, table, leaf->level - 1, leaf->gpa,
			  leaf->gpa + rs_npt_size(leaf->level), g);
		table_gone(pt, table, g);
		pt->nr_leaves[leaf->level]++;
		return true;
	}
	if (rs_npte_pa(f, old) == leaf->pa) {
		if (suffices(f, old, leaf))
			return false;
		/*
		 * One right more; the other one stays, and so does the dirty bit, also where the
		 * CPU sets it between the read and the exchange.
		 */
		if (rs_npte_writable(f, old))
			val |= f->write;
		if (rs_npte_executable(f, old))
			val = (val | f->exec) & ~f->noexec;
		val = rs_npte_val(entry_take(slot, rs_npte(val))) & f->dirty;
		if (val)
			atomic64_or(val, (atomic64_t *)slot);
		return true;
	}
	/*
	 * Linux put another page there without telling: the notifier forbids it. Correct all the
	 * same.
	 */
	leaf_gone(pt, entry_take(slot, rs_npte(val)), leaf->level, g);
	pt->nr_leaves[leaf->level]++;
	return true;
}

/*
 * rs_pt_map() - enter a leaf, with the tables above it
 * @c: pages for tables that are missing
 * @g: collects; the caller flushes when g->flush, then frees
 *
 * Under the lock, does not sleep. 0: entered. -EEXIST: an entry that maps the same with at least
 * these rights is there. A positive number: so many pages are missing in @c; nothing that matters
 * has changed, fill and call again after checking that the leaf is still valid.
 */
int rs_pt_map(struct rs_pgtable *pt, const struct rs_pt_leaf *leaf, struct rs_pt_cache *c,
	      struct rs_pt_gather *g)
{
	const struct rs_pte_format *f = pt->fmt;
	rs_npte_t *table = page_address(pt->root);
	int level;

	assert_locked(pt);
	for (level = pt->levels; level > leaf->level; level--) {
		rs_npte_t *slot = &table[rs_npt_index(leaf->gpa, level)];
		rs_npte_t e = entry_read(slot);
		struct page *page;

		if (rs_npte_present(f, e) && !rs_npte_is_leaf(f, e, level)) {
			table = entry_table(pt, e);
			continue;
		}
		if (rs_npte_present(f, e)) {
			u64 off = leaf->gpa & (rs_npt_size(level) - 1);

			if (rs_npte_pa(f, e) + off == leaf->pa && suffices(f, e, leaf))
				return -EEXIST;
		}
		/*
		 * Every level below this one lacks a table too. All or nothing: no empty table is
		 * left behind.
		 */
		if (c->nr < level - leaf->level)
			return level - leaf->level;
		page = cache_take(c);
		if (rs_npte_present(f, e)) {
			table = split_leaf(pt, slot, level, page, g);
		} else {
			table = page_address(page);
			entry_publish(slot, rs_npte_make_table(f, page_to_phys(page)));
			count_add(slot, 1);
			pt->nr_tables++;
		}
	}
	return set_leaf(pt, &table[rs_npt_index(leaf->gpa, leaf->level)], leaf, g) ? 0 : -EEXIST;
}

/*
 * rs_pt_lookup() - the leaf that translates @gpa
 * @entry, @level: filled in when there is one; may be NULL
 *
 * Under the lock. Returns whether there is one.
 */
bool rs_pt_lookup(struct rs_pgtable *pt, u64 gpa, rs_npte_t *entry, int *level)
{
	const struct rs_pte_format *f = pt->fmt;
	rs_npte_t *table = page_address(pt->root);
	int l;

	assert_locked(pt);
	if (gpa >> (12 + RS_NPT_INDEX_BITS * pt->levels))
		return false;
	for (l = pt->levels; l > 0; l--) {
		rs_npte_t e = entry_read(&table[rs_npt_index(gpa, l)]);

		if (!rs_npte_present(f, e))
			return false;
		if (rs_npte_is_leaf(f, e, l)) {
			if (entry)
				*entry = e;
			if (level)
				*level = l;
			return true;
		}
		table = entry_table(pt, e);
	}
	return false;
}

/*
 * rs_pt_young() - was [start, end) accessed since the bits were last cleared?
 * @clear: clear them. Without accessed bits in the format the leaves are removed instead: a use
 *	   will bring them back.
 *
 * Under the lock. Clearing a bit alone does not set g->flush: the caller decides whether exactness
 * is worth a flush.
 */
bool rs_pt_young(struct rs_pgtable *pt, u64 start, u64 end, bool clear, struct rs_pt_gather *g)
{
	const struct rs_pte_format *f = pt->fmt;
	struct pt_iter it;
	bool young = false;

	assert_locked(pt);
	if (start >= end || !pt->root)
		return false;
	iter_start(&it, page_address(pt->root), pt->levels, start, end);
	for (;;) {
		rs_npte_t *slot = iter_slot(&it);
		rs_npte_t e = entry_read(slot);

		if (rs_npte_present(f, e) && !rs_npte_is_leaf(f, e, it.level)) {
			iter_down(&it, entry_table(pt, e));
			continue;
		}
		if (rs_npte_present(f, e)) {
			if (!f->accessed)
				young = true;
			else if (!clear)
				young |= !!(rs_npte_val(e) & f->accessed);
			else
				young |= test_and_clear_bit(__ffs64(f->accessed),
							    (unsigned long *)slot);
		}
		while (!iter_sideways(&it))
			if (!iter_up(&it))
				goto out;
	}
out:
	if (clear && young && !f->accessed)
		rs_pt_zap(pt, start, end, g);
	return young;
}

/*
 * rs_pt_init() - an empty table
 * @levels: 2..RS_NPT_MAX_LEVELS
 *
 * May sleep. -ENOMEM, -EINVAL.
 */
int rs_pt_init(struct rs_pgtable *pt, const struct rs_pte_format *fmt, int levels, spinlock_t *lock,
	       void (*dropped)(struct rs_pgtable *pt, rs_npte_t old, int level))
{
	if (levels < 2 || levels > RS_NPT_MAX_LEVELS)
		return -EINVAL;
	pt->fmt = fmt;
	pt->levels = levels;
	pt->lock = lock;
	pt->dropped = dropped;
	pt->root = table_alloc();
	if (!pt->root)
		return -ENOMEM;
	pt->nr_tables = 1;
	return 0;
}

/*
 * rs_pt_destroy() - free everything, the root too
 *
 * No CPU can enter the guest any more, or has anything of it cached that a later user of the same
 * tag would not flush. Leaves still there are reported to dropped(). Accepts what a failed
 * rs_pt_init() left. The lock is not needed.
 */
void rs_pt_destroy(struct rs_pgtable *pt)
{
	struct rs_pt_gather g = RS_PT_GATHER_INIT(g);

	if (!pt->root)
		return;
	zap_below(pt, page_address(pt->root), pt->levels, 0,
		  rs_npt_size(pt->levels) * RS_NPT_ENTRIES, &g);
	rs_pt_gather_free(&g);
	WARN_ON_ONCE(pt->nr_tables != 1);
	table_free(pt->root);
	pt->root = NULL;
	pt->nr_tables = 0;
}
