// SPDX-License-Identifier: MIT
/*
 * pgtable.c - walking, filling and emptying page tables
 *
 * An entry is "live" when it is not zero: a leaf without PTE_P is a page that is there but may not
 * be touched at the moment (PROT_NONE), it keeps its reference. Entries that point at tables are
 * always present; they lack the write bit only while tables are shared (see below).
 *
 * page.priv of a table counts its live entries in the lower half; a table whose count drops to zero
 * is taken out of its parent at once (one that never had an entry, when its range is unmapped).
 * What is taken out (pages, tables) is gathered, then the TLB is flushed, then it is freed: nobody
 * can own a page that a CPU still reaches by an old translation.
 *
 * Sharing. Fork copies the top-level table only; from then on address spaces share what lies below,
 * and take it apart one table per level when they have to change something. page.refs of a table
 * counts the entries that point at it, page.refs of a page its leaves (PTE_OWNED) and other users.
 * Three rules hold at any moment, in every table, reachable by whomever:
 *
 *  1. An entry with the write bit is the only one that points at its table or, unless a VMA says
 *     that the page is shared, its page. So what more than one entry points at cannot be written:
 *     the CPU takes the write bit of a translation from all levels together.
 *  2. A table with more than one reference never changes, but for losing write bits (3), which
 *     nobody can notice: no way to it has the write bit (1).
 *  3. Who needs to change something walks down from the top and makes each table on the way its
 *     own (table_own()). A reference count of 1 means the last owner: the entry gets its write bit
 *     back, and what lies below is as it was left. Otherwise the table is copied; each child gains
 *     the reference of the copy, and loses the write bit in the copy AND in the original, since now
 *     two entries point at it. The reference on the original is dropped last.
 *
 * Why a count of 1 may be trusted without a lock: all tables above are our own by then, so the one
 * reference is the entry we hold; new ones come from copying the table that holds that entry, which
 * is ours alone, or from fork, which excludes us (the address space's lock). Two owners that copy
 * the same table at once both read what does not change (2), both add references before they drop
 * theirs, and whoever drops the last one drops those of what the table holds (table_put()).
 *
 * Write bits below a shared entry stay: when the other owner is gone without having written there,
 * one bit brings all of them back. That is right because a VMA's rights never shrink without
 * pgtable_protect(), which looks at every leaf, and makes the tables of those it changes our own.
 *
 * TLB: fork flushes the parent, whose writable translations are stale then. Losing write bits in a
 * copied table needs no flush, as no writable translation of it can exist. A copied table is
 * flushed before the reference on the original goes: the CPU may hold a pointer to it. Getting a
 * write bit back needs none.
 *
 * Self-map. Entry PT_SELF of each top-level table leads to that table, for ring 3 to read and not to
 * write: there all tables of the lower half are pages of memory, found by pt_self(). Those of the
 * kernel's half are not for ring 3 by their own entries. To the TLB this is one more way to a table:
 * where a table is replaced, its page there is flushed as well; where one goes, everything is.
 */
#include <ringside_app.h>
#include "pgtable.h"
#include "../arch/tlb.h"
#include "../lib/assert.h"
#include "../lib/string.h"

#define TABLE_RIGHTS	(PTE_P | PTE_W | PTE_U | PTE_A)
#define GATHER_MAX	64
_Static_assert(((u64)PT_SELF << 39 | 0xffffull << 48) == RS_PT_BASE && PTE_NO_WRITE == RS_PTE_NO_WRITE &&
	       PTE_NO_ACCESS == RS_PTE_NO_ACCESS, "programs read it");

#define FLUSH_EACH_MAX	16	/* so many pages are flushed one by one, more all at once */

static u64 kernel_root;

/* What has been taken out and waits for the flush. */
struct gather {
	struct page *pages[GATHER_MAX];
	u64 va[FLUSH_EACH_MAX];
	u32 n, nva;
	bool all;
};

static pte_t *table_of(pte_t e)
{
	return gpa_ptr(e & PTE_ADDR);
}

static struct page *table_page(const pte_t *entry)
{
	return gpa_page(gpa_of(entry));
}

static bool is_leaf(pte_t e, int level)
{
	return level == 1 || (e & PTE_PS);
}

/* More than one entry points at the table behind @e. @e must lie in a table of our own. */
static bool table_shared(pte_t e)
{
	return !(e & PTE_W) &&
	       __atomic_load_n(&gpa_page(e & PTE_ADDR)->refs, __ATOMIC_ACQUIRE) != 1;
}

static u64 leaf_pages(int level)
{
	return 1ull << (9 * (level - 1));
}

/* The arrays are not touched: they are longer than all the rest of most calls. */
static always_inline void gather_init(struct gather *g)
{
	g->n = g->nva = 0;
	g->all = false;
}

static void gather_flush(struct gather *g)
{
	u32 i;

	if (g->all)
		tlb_flush_all();
	else
		for (i = 0; i < g->nva; i++)
			tlb_flush_page_here(g->va[i]);
	if (!g->all && g->nva)
		tlb_flush_rest();
	for (i = 0; i < g->n; i++)
		page_put(g->pages[i]);
	g->n = g->nva = 0;
	g->all = false;
}

static void gather_va(struct gather *g, u64 va)
{
	if (g->nva == FLUSH_EACH_MAX)
		g->all = true;
	else
		g->va[g->nva++] = va;
}

static void gather_page(struct gather *g, struct page *p)
{
	if (g->n == GATHER_MAX)
		gather_flush(g);
	g->pages[g->n++] = p;
}

/* The pages behind the leaf @e, which has been taken out at @va. */
static void gather_leaf(struct gather *g, u64 va, pte_t e, int level)
{
	u64 i, n = leaf_pages(level);

	if (e & PTE_P)
		gather_va(g, va);
	for (i = 0; (e & PTE_OWNED) && i < n; i++)
		gather_page(g, gpa_page((e & PTE_ADDR) + (i << PAGE_SHIFT)));
}

void pgtable_init_kernel(u64 root)
{
	kernel_root = root;
}

/*
 * The kernel's half is not counted: its tables come from the host process and stay. A 2 MiB entry
 * of the direct map is taken apart for good; its new table is never freed.
 */
void pgtable_kernel_readonly(u64 start, u64 end)
{
	u64 va;

	for (va = start; va < end; va += PAGE_SIZE) {
		pte_t *table = gpa_ptr(kernel_root), *slot;
		int l;

		for (l = PT_LEVELS; ; l--) {
			slot = &table[pt_index(va, l)];
			ASSERT(*slot & PTE_P);
			if (l == 1)
				break;
			if (*slot & PTE_PS) {
				struct page *p = page_alloc();
				pte_t *new, size = pt_size(l - 1);
				u64 i;

				ASSERT(p);
				new = page_ptr(p);
				for (i = 0; i < PT_ENTRIES; i++)
					new[i] = (l == 2 ? *slot & ~PTE_PS : *slot) + i * size;
				*slot = page_gpa(p) | PTE_P | PTE_W | PTE_A | PTE_D;
			}
			table = table_of(*slot);
		}
		*slot &= ~PTE_W;
		tlb_flush_page(va);
	}
}

/* A table without entries; PG_TABLE, one reference. */
static pte_t *table_new(struct pgtable *pt)
{
	struct page *p = page_alloc_zeroed();

	if (!p)
		return NULL;
	p->flags = PG_TABLE;
	p->priv = 0;
	pt->tables++;
	return page_ptr(p);
}

/*
 * Top-level tables without a lower half, with the kernel's upper half in place: what an address
 * space that ends leaves is what the next one begins with. Chained by priv.
 */
#define SPARE_ROOTS	8

static struct page *spare_roots;
static u32 nspare;

static struct page *root_new(void)
{
	struct page *p = spare_roots;

	if (p) {
		spare_roots = (struct page *)p->priv;
		nspare--;
	} else {
		p = page_alloc_zeroed();
		if (!p)
			return NULL;
		if (kernel_root)
			memcpy((pte_t *)page_ptr(p) + PT_KERNEL_FIRST,
			       (pte_t *)gpa_ptr(kernel_root) + PT_KERNEL_FIRST,
			       (PT_ENTRIES - PT_KERNEL_FIRST) * sizeof(pte_t));
	}
	((pte_t *)page_ptr(p))[PT_SELF] = page_gpa(p) | PTE_P | PTE_U | PTE_A | PTE_NX;
	p->flags = PG_TABLE;
	p->priv = 0;
	return p;
}

static void root_free(struct page *p)
{
	if (!kernel_root || nspare == SPARE_ROOTS) {
		page_put(p);
		return;
	}
	p->priv = (u64)spare_roots;
	spare_roots = p;
	nspare++;
}

void pgtable_drop_spare(void)
{
	while (spare_roots) {
		struct page *p = spare_roots;

		spare_roots = (struct page *)p->priv;
		page_put(p);
	}
	nspare = 0;
}

static void top_mark(struct pgtable *pt, u64 i)
{
	pt->top[i / 64] |= 1ull << (i % 64);
}

/* The next entry of the top-level table that may be in use, PT_KERNEL_FIRST for none. */
static u64 top_next(const struct pgtable *pt, u64 i)
{
	u64 w;

	for (; i < PT_KERNEL_FIRST; i = (i | 63) + 1) {
		w = pt->top[i / 64] >> (i % 64);
		if (w)
			return i + __builtin_ctzll(w);
	}
	return PT_KERNEL_FIRST;
}

bool pgtable_create(struct pgtable *pt)
{
	struct page *root = root_new();

	*pt = (struct pgtable){ 0 };
	if (!root)
		return false;
	pt->root = page_gpa(root);
	pt->tables = 1;
	return true;
}

/* --- sharing ---------------------------------------------------------------------------------- */

/*
 * Drops a reference on the table @p, whose entries are of @level; with the last one, those of what
 * it holds. No CPU may reach the table by this reference any more.
 */
static void table_put(struct page *p, int level)
{
	pte_t *table = page_ptr(p);
	u64 live = p->priv, i, n;

	if (__atomic_load_n(&p->refs, __ATOMIC_ACQUIRE) != 1 &&
	    __atomic_sub_fetch(&p->refs, 1, __ATOMIC_ACQ_REL))
		return;
	for (i = 0; live; i++) {
		pte_t e = table[i];

		if (!e)
			continue;
		live--;
		if (!is_leaf(e, level)) {
			table_put(gpa_page(e & PTE_ADDR), level - 1);
			continue;
		}
		for (n = e & PTE_OWNED ? leaf_pages(level) : 0; n; n--)
			page_put(gpa_page(e & PTE_ADDR) + n - 1);
	}
	page_free(p);
}

/* Entry by entry, without write bits, which go from @from as well; children gain a reference. */
static void table_copy(pte_t *to, pte_t *from, int level)
{
	u64 i, n;

	for (i = 0; i < PT_ENTRIES; i++) {
		pte_t e = from[i];

		if (e & PTE_W) {
			e &= ~PTE_W;
			from[i] = e;
		}
		to[i] = e;
		if (!e)
			continue;
		if (!is_leaf(e, level))
			n = 1;
		else
			n = e & PTE_OWNED ? leaf_pages(level) : 0;
		for (; n; n--)
			__atomic_add_fetch(&gpa_page(e & PTE_ADDR)[n - 1].refs, 1,
					   __ATOMIC_RELAXED);
	}
}

/*
 * Makes the table behind *@slot our own; @slot lies in a table that is, for @va, and the table's
 * entries are of @level. NULL without memory, then nothing has changed.
 */
static noinline pte_t *table_own(struct pgtable *pt, u64 va, pte_t *slot, int level)
{
	struct page *old = gpa_page(*slot & PTE_ADDR), *p;

	if (!table_shared(*slot)) {
		*slot |= PTE_W;
		return page_ptr(old);
	}
	p = page_alloc();
	if (!p)
		return NULL;
	table_copy(page_ptr(p), page_ptr(old), level);
	p->flags = PG_TABLE;
	p->priv = old->priv;
	*slot = page_gpa(p) | TABLE_RIGHTS;
	rs_stats()->table_copies++;
	tlb_flush_page_here(pt_self(va, level));
	tlb_flush_page(va);
	table_put(old, level);
	return page_ptr(p);
}

bool pgtable_fork(struct pgtable *child, struct pgtable *parent)
{
	pte_t *from = gpa_ptr(parent->root), *to;
	struct page *p = root_new();
	u64 i;

	if (!p)
		return false;
	to = page_ptr(p);
	for (i = top_next(parent, 0); i < PT_KERNEL_FIRST; i = top_next(parent, i + 1)) {
		pte_t e = from[i];

		if (e) {
			__atomic_add_fetch(&gpa_page(e & PTE_ADDR)->refs, 1, __ATOMIC_RELAXED);
			e &= ~PTE_W;
			from[i] = e;
		}
		to[i] = e;
	}
	p->priv = gpa_page(parent->root)->priv;
	parent->forked = true;
	*child = *parent;
	child->root = page_gpa(p);
	tlb_flush_all();
	return true;
}

void pgtable_destroy(struct pgtable *pt)
{
	struct page *root = gpa_page(pt->root);
	pte_t *table = page_ptr(root);
	u64 i;

	for (i = top_next(pt, 0); root->priv; i = top_next(pt, i + 1)) {
		ASSERT(i < PT_KERNEL_FIRST);
		if (!table[i])
			continue;
		table_put(gpa_page(table[i] & PTE_ADDR), PT_LEVELS - 1);
		table[i] = 0;
		root->priv--;
	}
	root_free(root);
	*pt = (struct pgtable){ 0 };
}

/* A 2 MiB leaf becomes a table of 512 leaves with the same rights. */
static pte_t *split(struct pgtable *pt, u64 va, pte_t *slot)
{
	pte_t old = *slot, *table = table_new(pt);
	u64 i;

	if (!table)
		return NULL;
	for (i = 0; i < PT_ENTRIES; i++)
		table[i] = (old & ~PTE_PS) + (i << PAGE_SHIFT);
	table_page(table)->priv = PT_ENTRIES;
	*slot = gpa_of(table) | TABLE_RIGHTS;
	if (old & PTE_P) {
		tlb_flush_page_here(pt_self(va, 1));
		tlb_flush_page(va);
	}
	return table;
}

/* The entry for @va at @level; tables on the way are made, made our own, or made of 2 MiB pages. */
static pte_t *entry_alloc(struct pgtable *pt, u64 va, int level)
{
	pte_t *table = gpa_ptr(pt->root), *slot, e;
	int l;

	for (l = PT_LEVELS; l > level; l--) {
		slot = &table[pt_index(va, l)];
		e = *slot;
		if (likely((e & (PTE_P | PTE_W | PTE_PS)) == (PTE_P | PTE_W))) {
			table = table_of(e);
			continue;
		}
		if (e) {
			table = e & PTE_PS ? split(pt, va, slot) : table_own(pt, va, slot, l - 1);
			if (!table)
				return NULL;
		} else {
			table = table_new(pt);
			if (!table)
				return NULL;
			table_page(slot)->priv++;
			*slot = gpa_of(table) | TABLE_RIGHTS;
			if (l == PT_LEVELS)
				top_mark(pt, pt_index(va, l));
		}
	}
	return &table[pt_index(va, level)];
}

pte_t *pgtable_leaf(struct pgtable *pt, u64 va)
{
	return entry_alloc(pt, va, 1);
}

pte_t *pgtable_lookup(const struct pgtable *pt, u64 va, int *level)
{
	pte_t *table = gpa_ptr(pt->root), *slot;
	int l;

	for (l = PT_LEVELS; ; l--) {
		slot = &table[pt_index(va, l)];
		if (!*slot)
			return NULL;
		if (is_leaf(*slot, l))
			break;
		table = table_of(*slot);
	}
	if (level)
		*level = l;
	return slot;
}

pte_t *pgtable_present(const struct pgtable *pt, u64 va, pte_t want, int *level)
{
	pte_t *table = gpa_ptr(pt->root), *slot;
	int l;

	for (l = PT_LEVELS; ; l--) {
		slot = &table[pt_index(va, l)];
		if ((*slot & want) != want)
			return NULL;
		if (is_leaf(*slot, l))
			break;
		table = table_of(*slot);
	}
	*level = l;
	return slot;
}

/*
 * entry_alloc() for a leaf where nothing is mapped. A table without entries may be in the way of a
 * 2 MiB page; it can be taken out only once the table above is our own.
 */
static pte_t *entry_alloc_empty(struct pgtable *pt, u64 va, int level)
{
	pte_t *slot = entry_alloc(pt, va, level);

	if (!slot || level == 1 || !*slot)
		return slot;
	pgtable_unmap(pt, va, va + pt_size(level));
	return entry_alloc(pt, va, level);
}

bool pgtable_map(struct pgtable *pt, u64 va, pte_t pte, int level)
{
	pte_t *slot = entry_alloc_empty(pt, va, level);

	if (!slot)
		return false;
	ASSERT(!*slot && pte);
	*slot = level > 1 ? pte | PTE_PS : pte;
	table_page(slot)->priv++;
	pt->mapped += leaf_pages(level);
	return true;
}

void pgtable_set(struct pgtable *pt, u64 va, pte_t *slot, pte_t pte)
{
	pte_t old = *slot;

	*slot = pte;
	if (!old) {
		table_page(slot)->priv++;
		pt->mapped++;
		return;
	}
	if (old & PTE_P)
		tlb_flush_page(va);
	if ((old & PTE_OWNED) && (old ^ pte) & PTE_ADDR)
		page_put(gpa_page(old & PTE_ADDR));
}

void pgtable_empty(struct pgtable *pt, u64 va, pte_t *slot)
{
	struct page *table = table_page(slot);
	pte_t old = *slot;

	if (table->priv == 1) {
		pgtable_unmap(pt, va, va + PAGE_SIZE);	/* the table goes, too */
		return;
	}
	*slot = 0;
	table->priv--;
	pt->mapped--;
	if (old & PTE_P)
		tlb_flush_page(va);
	if (old & PTE_OWNED)
		page_put(gpa_page(old & PTE_ADDR));
}

/* --- iterator --------------------------------------------------------------------------------- */

/* From it->level down to the leaf or hole (or shared table) that holds it->va. */
static void descend(struct pt_iter *it)
{
	for (;;) {
		it->pte = &it->table[it->level][pt_index(it->va, it->level)];
		if (!*it->pte || is_leaf(*it->pte, it->level))
			return;
		if (it->own && table_shared(*it->pte))
			return;
		it->table[it->level - 1] = table_of(*it->pte);
		it->level--;
	}
}

static void iter_start(struct pt_iter *it, struct pgtable *pt, u64 start, u64 end)
{
	it->pt = pt;
	it->va = start;
	it->end = end;
	it->level = PT_LEVELS;
	it->table[PT_LEVELS] = gpa_ptr(pt->root);
	if (start < end)
		descend(it);
}

void pt_iter_start(struct pt_iter *it, struct pgtable *pt, u64 start, u64 end)
{
	it->own = false;
	iter_start(it, pt, start, end);
}

/*
 * The same for those who change what they find: goes into tables of our own only, and stops at the
 * entries of shared ones (is_table()).
 */
static void pt_iter_start_own(struct pt_iter *it, struct pgtable *pt, u64 start, u64 end)
{
	it->own = pt->forked;
	iter_start(it, pt, start, end);
}

/* The iterator stands at a shared table, not at a leaf or hole. */
static bool at_shared(const struct pt_iter *it)
{
	return *it->pte && !is_leaf(*it->pte, it->level);
}

bool pt_iter_valid(const struct pt_iter *it)
{
	return it->va < it->end;
}

/* To the end of what the iterator's place is in: an entry of @level, its own or one above. */
static void iter_behind(struct pt_iter *it, int level)
{
	it->va = ALIGN_DOWN(it->va, pt_size(level)) + pt_size(level);
	if (it->va >= it->end)
		return;
	while (it->level < PT_LEVELS && pt_index(it->va, it->level) == 0)
		it->level++;
	descend(it);
}

void pt_iter_next(struct pt_iter *it)
{
	iter_behind(it, it->level);
}

/* --- ranges ----------------------------------------------------------------------------------- */

/*
 * Takes out the table the iterator's entry lies in, which has no live entry, and those above it
 * that become empty by that; the iterator stands on the highest entry that was cleared.
 */
static void drop_tables(struct pt_iter *it, struct gather *g)
{
	struct page *dead[PT_LEVELS], *table = table_page(it->pte);
	int n = 0;

	while (!table->priv && it->level < PT_LEVELS) {
		dead[n++] = table;
		it->level++;
		it->pte = &it->table[it->level][pt_index(it->va, it->level)];
		*it->pte = 0;
		table = table_page(it->pte);
		table->priv--;
	}
	if (!n)
		return;
	/* The CPU may hold pointers to the tables themselves. */
	g->all = true;
	it->pt->tables -= n;
	while (n)
		gather_page(g, dead[--n]);
}

/* Clears the leaf the iterator is at, with the tables that become empty. */
static void clear_leaf(struct pt_iter *it, struct gather *g)
{
	*it->pte = 0;
	table_page(it->pte)->priv--;
	drop_tables(it, g);
}

/*
 * A 2 MiB leaf that the border @va cuts is split. A failed split is reported before anything is
 * changed.
 */
static bool split_at(struct pgtable *pt, u64 va)
{
	int level;

	if (IS_ALIGNED(va, HUGE_SIZE) || va >= 1ull << 47)
		return true;
	if (!pgtable_lookup(pt, va, &level) || level == 1)
		return true;
	return entry_alloc(pt, va, 1);
}

/* The part of [start, end) that lies below the entry the iterator is at. */
static void clip(const struct pt_iter *it, u64 *start, u64 *end)
{
	u64 lo = ALIGN_DOWN(it->va, pt_size(it->level));

	*start = max(*start, lo);
	*end = min(*end, lo + pt_size(it->level));
}

/* Some leaf in [start, end) is there and differs from what @clear and @set would make of it. */
static bool any_differs(struct pgtable *pt, u64 start, u64 end, pte_t clear, pte_t set)
{
	struct pt_iter it;

	for (pt_iter_start(&it, pt, start, end); pt_iter_valid(&it); pt_iter_next(&it))
		if (*it.pte && ((*it.pte & ~clear) | set) != *it.pte)
			return true;
	return false;
}

/*
 * Makes the tables of all leaves of [start, end) that differ (any_differs()) our own, and leaves
 * other shared ones alone. False without memory; nothing a process could notice has changed then.
 */
static bool own_range(struct pgtable *pt, u64 start, u64 end, pte_t clear, pte_t set)
{
	struct pt_iter it;

	if (!pt->forked)
		return true;
	pt_iter_start_own(&it, pt, start, end);
	while (pt_iter_valid(&it)) {
		u64 lo = start, hi = end;

		clip(&it, &lo, &hi);
		if (at_shared(&it) && any_differs(pt, lo, hi, clear, set)) {
			if (!table_own(pt, it.va, it.pte, it.level - 1))
				return false;
			descend(&it);
		} else {
			/* In a table of pages that is our own there are no tables to look at. */
			iter_behind(&it, max(it.level, 2));
		}
	}
	return true;
}

/* The shared tables that hold @va and are not inside [start, end) altogether, as own_range(). */
static bool own_border(struct pgtable *pt, u64 va, u64 start, u64 end)
{
	struct pt_iter it;
	u64 lo, hi;

	for (pt_iter_start_own(&it, pt, va, va + 1); at_shared(&it); descend(&it)) {
		lo = 0;
		hi = ~0ull;
		clip(&it, &lo, &hi);
		if (lo >= start && hi <= end)
			return true;
		if (!any_differs(pt, max(lo, start), min(hi, end), ~0ull, 0))
			return true;
		if (!table_own(pt, va, it.pte, it.level - 1))
			return false;
	}
	return true;
}

bool pgtable_unmap_prepare(struct pgtable *pt, u64 start, u64 end)
{
	if (start >= end)
		return true;
	if (!split_at(pt, start) || !split_at(pt, end))
		return false;
	return !pt->forked || (own_border(pt, start, start, end) &&
			       own_border(pt, end - 1, start, end));
}

/* Tables and leaves at and below @table. */
static void count_tables(const pte_t *table, int level, u64 *tables, u64 *mapped)
{
	u64 live = table_page(table)->priv, i;

	(*tables)++;
	for (i = 0; live; i++) {
		if (!table[i])
			continue;
		live--;
		if (is_leaf(table[i], level))
			*mapped += leaf_pages(level);
		else
			count_tables(table_of(table[i]), level - 1, tables, mapped);
	}
}

/*
 * The shared table the iterator is at leaves [start, end): as a whole, without a look at what it
 * holds but for the counts; or in parts, then it is made our own and the iterator goes into it.
 * False when it holds nothing there.
 */
static bool unmap_shared(struct pt_iter *it, u64 start, u64 end, struct gather *g)
{
	struct page *table = gpa_page(*it->pte & PTE_ADDR);
	u64 lo = start, hi = end, tables = 0, mapped = 0;
	int level = it->level - 1;

	clip(it, &lo, &hi);
	if (hi - lo < pt_size(it->level)) {
		if (!any_differs(it->pt, lo, hi, ~0ull, 0))
			return false;
		/* Callers prepare, so this is the last resort. */
		ASSERT(table_own(it->pt, it->va, it->pte, level));
		descend(it);
		return true;
	}
	count_tables(page_ptr(table), level, &tables, &mapped);
	it->pt->tables -= tables;
	it->pt->mapped -= mapped;
	clear_leaf(it, g);
	g->all = true;
	gather_flush(g);
	table_put(table, level);
	return false;
}

void pgtable_unmap(struct pgtable *pt, u64 start, u64 end)
{
	struct gather g;
	struct pt_iter it;
	int level;

	if (start >= end)
		return;
	gather_init(&g);
	pt_iter_start_own(&it, pt, start, end);
	while (pt_iter_valid(&it)) {
		pte_t e = *it.pte;

		if (!e) {
			/*
			 * A table without entries is left behind by a fault that found no memory.
			 */
			drop_tables(&it, &g);
			pt_iter_next(&it);
			continue;
		}
		if (unlikely(!is_leaf(e, it.level))) {
			if (!unmap_shared(&it, start, end, &g))
				pt_iter_next(&it);
			continue;
		}
		if (it.level > 1 && (it.va & (pt_size(it.level) - 1) ||
				     it.va + pt_size(it.level) > end)) {
			/* Cut by the border: callers split first, so this is the last resort. */
			ASSERT(split(pt, it.va, it.pte));
			descend(&it);
			e = *it.pte;
		}
		level = it.level;
		pt->mapped -= leaf_pages(level);
		clear_leaf(&it, &g);
		gather_leaf(&g, it.va, e, level);
		pt_iter_next(&it);
	}
	gather_flush(&g);
}

bool pgtable_move_window(struct pgtable *pt, u64 start, u64 end, u64 by)
{
	struct gather g;
	struct pt_iter it;

	if (!split_at(pt, start) || !split_at(pt, end) || !own_range(pt, start, end, ~0ull, 0))
		return false;
	gather_init(&g);
	pt_iter_start_own(&it, pt, start, end);
	for (; pt_iter_valid(&it); pt_iter_next(&it)) {
		pte_t e = *it.pte;

		if (!e || !is_leaf(e, it.level) || e & PTE_OWNED)
			continue;
		ASSERT(it.level == 1);	/* files are mapped page by page */
		*it.pte = (e & ~PTE_ADDR) | (((e & PTE_ADDR) + by) & PTE_ADDR);
		if (e & PTE_P)
			gather_va(&g, it.va);
	}
	gather_flush(&g);
	return true;
}

bool pgtable_protect(struct pgtable *pt, u64 start, u64 end, pte_t clear, pte_t set)
{
	struct gather g;
	struct pt_iter it;

	if (start >= end)
		return true;
	if (!split_at(pt, start) || !split_at(pt, end) || !own_range(pt, start, end, clear, set))
		return false;
	gather_init(&g);
	pt_iter_start_own(&it, pt, start, end);
	for (; pt_iter_valid(&it); pt_iter_next(&it)) {
		pte_t e = *it.pte, n = (e & ~clear) | set;

		if (!e || n == e || !is_leaf(e, it.level))
			continue;
		*it.pte = n;
		if (e & PTE_P)
			gather_va(&g, it.va);
	}
	gather_flush(&g);
	return true;
}

/*
 * As own_range(); and a large page that has the bit is split, as it is one bit for all of its
 * pages: those beside the range must not lose it, and those in it all have it.
 */
bool pgtable_bits_prepare(struct pgtable *pt, u64 start, u64 end, pte_t bit)
{
	struct pt_iter it;

	pt_iter_start_own(&it, pt, start, end);
	while (pt_iter_valid(&it)) {
		u64 lo = start, hi = end;

		clip(&it, &lo, &hi);
		if (at_shared(&it) && any_differs(pt, lo, hi, bit, 0)) {
			if (!table_own(pt, it.va, it.pte, it.level - 1))
				return false;
			descend(&it);
		} else if (it.level > 1 && is_leaf(*it.pte, it.level) && *it.pte & bit) {
			if (!split(pt, it.va, it.pte))
				return false;
			descend(&it);
		} else {
			/* In a table of pages that is our own there is nothing of both. */
			iter_behind(&it, max(it.level, 2));
		}
	}
	return true;
}

/*
 * The entry that decides about @va: of level 1, or a large page, or none. @run: pages from @va on
 * for which that is so, or up to the end of the table.
 */
static pte_t *entry_at(const struct pgtable *pt, u64 va, int *level, u64 *run)
{
	pte_t *table = gpa_ptr(pt->root), *slot;
	int l;

	for (l = PT_LEVELS; ; l--) {
		slot = &table[pt_index(va, l)];
		if (l == 1 || !*slot || is_leaf(*slot, l))
			break;
		table = table_of(*slot);
	}
	*level = l;
	*run = l == 1 ? PT_ENTRIES - pt_index(va, 1) :
	       (pt_size(l) - (va & (pt_size(l) - 1))) >> PAGE_SHIFT;
	return slot;
}

static always_inline bool take_bit(pte_t *slot, pte_t bit, bool clear)
{
	if (!(*slot & bit))
		return false;
	/* another CPU may set others meanwhile */
	if (clear)
		__atomic_and_fetch(slot, ~bit, __ATOMIC_RELAXED);
	return true;
}

/* 64 entries of one table; most have nothing. */
static always_inline u64 bits_of_table(pte_t *slot, pte_t bit, bool clear)
{
	u64 word = 0;
	u32 i, k;

	for (i = 0; i < 64; i += 16, slot += 16) {
		if (!((slot[0] | slot[1] | slot[2] | slot[3] | slot[4] | slot[5] | slot[6] |
		       slot[7] | slot[8] | slot[9] | slot[10] | slot[11] | slot[12] | slot[13] |
		       slot[14] | slot[15]) & bit))
			continue;
		for (k = 0; k < 16; k++)
			if (take_bit(&slot[k], bit, clear))
				word |= 1ull << (i + k);
	}
	return word;
}

/* @n pages, wherever borders of tables lie. */
static noinline u64 bits_of_any(struct pgtable *pt, u64 va, u32 n, pte_t bit, bool clear)
{
	u64 word = 0, run, k;
	u32 i;

	for (i = 0; i < n; i += run, va += run << PAGE_SHIFT) {
		int level;
		pte_t *slot = entry_at(pt, va, &level, &run);

		run = min(run, (u64)(n - i));
		if (level == 1) {
			for (k = 0; k < run; k++)
				word |= (u64)take_bit(&slot[k], bit, clear) << (i + k);
		} else if (*slot && take_bit(slot, bit, clear)) {
			/* one bit for all pages of a large one */
			word |= (run == 64 ? ~0ull : (1ull << run) - 1) << i;
		}
	}
	return word;
}

static u64 count_bits(u64 w)
{
	u64 n = 0;

	for (; w; w &= w - 1)
		n++;
	return n;
}

u64 pgtable_bits(struct pgtable *pt, u64 va, u64 pages, pte_t bit, bool clear, u64 *bits)
{
	pte_t *slot = NULL;
	u64 n = 0, run = 0, i;
	int level = 0;

	for (i = 0; i < pages; i += 64, bits++) {
		if (!run)
			slot = entry_at(pt, va + (i << PAGE_SHIFT), &level, &run);
		if (unlikely(run < 64 || pages - i < 64 || (level > 1 && *slot))) {
			*bits = bits_of_any(pt, va + (i << PAGE_SHIFT),
					    (u32)min(pages - i, 64ull), bit, clear);
			run = 0;
		} else {
			run -= 64;
			*bits = level > 1 ? 0 : bits_of_table(slot, bit, clear);
			slot += level > 1 ? 0 : 64;
		}
		if (*bits)
			n += count_bits(*bits);
	}
	return n;
}

/*
 * Every leaf gets its place: its own table at the old address, a table at the new one. Once per
 * pair of tables.
 */
bool pgtable_move_prepare(struct pgtable *pt, u64 from, u64 to, u64 len)
{
	u64 end = from + len, at = from;
	struct pt_iter it;

	if (!split_at(pt, from) || !split_at(pt, end) || !own_range(pt, from, end, ~0ull, 0))
		return false;
	while (at < end) {
		u64 va;

		for (pt_iter_start(&it, pt, at, end); pt_iter_valid(&it) && !*it.pte;)
			pt_iter_next(&it);
		if (!pt_iter_valid(&it))
			break;
		if (it.level > 1 && !IS_ALIGNED(it.va - from + to, HUGE_SIZE)) {
			if (!entry_alloc(pt, it.va, 1))
				return false;
			at = it.va;
			continue;
		}
		va = it.va - from + to;
		if (!entry_alloc_empty(pt, va, it.level))
			return false;
		/* Where either the old or the new table ends. */
		at = min(ALIGN_DOWN(it.va, HUGE_SIZE) + HUGE_SIZE,
			 ALIGN_DOWN(va, HUGE_SIZE) + HUGE_SIZE - to + from);
	}
	return true;
}

bool pgtable_move(struct pgtable *pt, u64 from, u64 to, u64 len)
{
	struct gather g;
	struct pt_iter it;

	if (!pgtable_move_prepare(pt, from, to, len))
		return false;
	gather_init(&g);
	pt_iter_start_own(&it, pt, from, from + len);
	for (; pt_iter_valid(&it); pt_iter_next(&it)) {
		u64 va = it.va - from + to;
		pte_t e = *it.pte, *slot;

		if (!e || !is_leaf(e, it.level))
			continue;
		slot = entry_alloc(pt, va, it.level);
		ASSERT(slot && !*slot);
		*slot = e;
		table_page(slot)->priv++;
		if (e & PTE_P)
			gather_va(&g, it.va);
		/* Tables that are empty now go below: until then they may be a target again. */
		*it.pte = 0;
		table_page(it.pte)->priv--;
	}
	gather_flush(&g);
	pgtable_unmap(pt, from, from + len);
	return true;
}

/* --- looking at it ---------------------------------------------------------------------------- */

#define DUMP_BITS	(PTE_P | PTE_W | PTE_U | PTE_PS | PTE_NX | PTE_OWNED | PTE_A | PTE_D)

static void dump_run(struct textbuf *t, u64 va, u64 n, pte_t e, int level)
{
	text_printf(t, "%016lx-%016lx %s%c%c%c%c%c%c%c -> %#lx", va, va + n * pt_size(level),
		    level == 1 ? "4K " : level == 2 ? "2M " : "1G ", e & PTE_P ? 'r' : '-',
		    e & PTE_W ? 'w' : '-', e & PTE_NX ? '-' : 'x', e & PTE_U ? 'u' : 's',
		    e & PTE_A ? 'a' : '-', e & PTE_D ? 'd' : '-', e & PTE_OWNED ? 'o' : '-',
		      e & PTE_ADDR);
	text_printf(t, n > 1 ? " (%lu pages)\n" : "\n", n);
}

void pgtable_dump(const struct pgtable *pt, struct textbuf *t)
{
	struct pt_iter it;
	u64 va = 0, n = 0;
	pte_t first = 0;
	int level = 0;

	text_printf(t, "page table %#lx: %lu tables, %lu pages mapped\n", pt->root, pt->tables,
		    pt->mapped);
	for (pt_iter_start(&it, (struct pgtable *)pt, 0,
			   1ull << 47); pt_iter_valid(&it); pt_iter_next(&it)) {
		pte_t e = *it.pte;

		if (n && e && it.level == level && it.va == va + n * pt_size(level) &&
		    !((e ^ first) & DUMP_BITS) &&
		    (e & PTE_ADDR) == (first & PTE_ADDR) + n * pt_size(level)) {
			n++;
			continue;
		}
		if (n)
			dump_run(t, va, n, first, level);
		n = e ? 1 : 0;
		va = it.va;
		first = e;
		level = it.level;
	}
	if (n)
		dump_run(t, va, n, first, level);
}

static u64 check_table(const struct pgtable *pt, pte_t *table, int level, u64 *tables)
{
	unsigned int i, last = level == PT_LEVELS ? PT_KERNEL_FIRST : PT_ENTRIES;
	u64 live = 0, mapped = 0;

	(*tables)++;
	for (i = 0; i < last; i++) {
		pte_t e = table[i];

		if (!e)
			continue;
		live++;
		if (is_leaf(e, level)) {
			mapped += leaf_pages(level);
			if (e & PTE_OWNED)
				ASSERT(gpa_is_arena(e & PTE_ADDR) && gpa_page(e & PTE_ADDR)->refs);
		} else {
			ASSERT(e & PTE_P && gpa_page(e & PTE_ADDR)->refs);
			ASSERT(!(e & PTE_W) || gpa_page(e & PTE_ADDR)->refs == 1);
			ASSERT(pt->forked || e & PTE_W);
			mapped += check_table(pt, table_of(e), level - 1, tables);
		}
	}
	ASSERT(table_page(table)->priv == live);
	ASSERT(table_page(table)->flags == PG_TABLE);
	return mapped;
}

void pgtable_check(const struct pgtable *pt)
{
	u64 tables = 0, mapped = check_table(pt, gpa_ptr(pt->root), PT_LEVELS, &tables);

	ASSERT(gpa_page(pt->root)->refs == 1);
	ASSERT(tables == pt->tables && mapped == pt->mapped);
}
