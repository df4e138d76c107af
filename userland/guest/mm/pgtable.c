// SPDX-License-Identifier: MIT
/*
 * pgtable.c - walking, filling and emptying page tables
 *
 * An entry is "live" when it is not zero: a leaf without PTE_P is a page that is there but may not
 * be touched at the moment (PROT_NONE), it keeps its reference. Entries that point at tables are
 * always present, with all rights; rights are the leaf's business (until fork shares tables).
 *
 * page.priv of a table counts its live entries in the lower half; a table whose count drops to zero
 * is taken out of its parent at once (one that never had an entry, when its range is unmapped).
 * What is taken out (pages, tables) is gathered, then the TLB is flushed, then it is freed: nobody
 * can own a page that a CPU still reaches by an old translation.
 */
#include "pgtable.h"
#include "../arch/tlb.h"
#include "../lib/assert.h"
#include "../lib/string.h"

#define TABLE_RIGHTS	(PTE_P | PTE_W | PTE_U | PTE_A)
#define GATHER_MAX	64
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

static void gather_flush(struct gather *g)
{
	u32 i;

	if (g->all)
		tlb_flush_all();
	else
		for (i = 0; i < g->nva; i++)
			tlb_flush_page(g->va[i]);
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
	u64 i, n = 1ull << (9 * (level - 1));

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

bool pgtable_create(struct pgtable *pt)
{
	pte_t *root;

	*pt = (struct pgtable){ 0 };
	root = table_new(pt);
	if (!root)
		return false;
	if (kernel_root)
		memcpy(root + PT_KERNEL_FIRST, (pte_t *)gpa_ptr(kernel_root) + PT_KERNEL_FIRST,
		       (PT_ENTRIES - PT_KERNEL_FIRST) * sizeof(pte_t));
	pt->root = gpa_of(root);
	return true;
}

void pgtable_destroy(struct pgtable *pt)
{
	pgtable_unmap(pt, 0, 1ull << 47);
	ASSERT(pt->tables == 1 && !pt->mapped);
	page_put(gpa_page(pt->root));
	pt->root = 0;
	pt->tables = 0;
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
	if (old & PTE_P)
		tlb_flush_page(va);
	return table;
}

/* The entry for @va at @level, allocating tables and splitting on the way. */
static pte_t *entry_alloc(struct pgtable *pt, u64 va, int level)
{
	pte_t *table = gpa_ptr(pt->root), *slot, e;
	int l;

	for (l = PT_LEVELS; l > level; l--) {
		slot = &table[pt_index(va, l)];
		e = *slot;
		if (likely((e & (PTE_P | PTE_PS)) == PTE_P)) {
			table = table_of(e);
			continue;
		}
		if (e) {
			table = split(pt, va, slot);
			if (!table)
				return NULL;
		} else {
			table = table_new(pt);
			if (!table)
				return NULL;
			table_page(slot)->priv++;
			*slot = gpa_of(table) | TABLE_RIGHTS;
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

bool pgtable_map(struct pgtable *pt, u64 va, pte_t pte, int level)
{
	pte_t *slot = entry_alloc(pt, va, level);

	if (!slot)
		return false;
	ASSERT(!*slot && pte);
	*slot = level > 1 ? pte | PTE_PS : pte;
	table_page(slot)->priv++;
	pt->mapped += 1ull << (9 * (level - 1));
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

/* --- iterator --------------------------------------------------------------------------------- */

/* From it->level down to the leaf or hole that holds it->va. */
static void descend(struct pt_iter *it)
{
	for (;;) {
		it->pte = &it->table[it->level][pt_index(it->va, it->level)];
		if (!*it->pte || is_leaf(*it->pte, it->level))
			return;
		it->table[it->level - 1] = table_of(*it->pte);
		it->level--;
	}
}

void pt_iter_start(struct pt_iter *it, struct pgtable *pt, u64 start, u64 end)
{
	it->pt = pt;
	it->va = start;
	it->end = end;
	it->level = PT_LEVELS;
	it->table[PT_LEVELS] = gpa_ptr(pt->root);
	if (start < end)
		descend(it);
}

bool pt_iter_valid(const struct pt_iter *it)
{
	return it->va < it->end;
}

void pt_iter_next(struct pt_iter *it)
{
	it->va = ALIGN_DOWN(it->va, pt_size(it->level)) + pt_size(it->level);
	if (it->va >= it->end)
		return;
	while (it->level < PT_LEVELS && pt_index(it->va, it->level) == 0)
		it->level++;
	descend(it);
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
	pte_t *slot;

	if (IS_ALIGNED(va, HUGE_SIZE) || va >= 1ull << 47)
		return true;
	slot = pgtable_lookup(pt, va, &level);
	return !slot || level == 1 || split(pt, va, slot);
}

void pgtable_unmap(struct pgtable *pt, u64 start, u64 end)
{
	struct gather g = { .n = 0 };
	struct pt_iter it;
	int level;

	if (start >= end)
		return;
	for (pt_iter_start(&it, pt, start, end); pt_iter_valid(&it); pt_iter_next(&it)) {
		pte_t e = *it.pte;

		if (!e) {
			/*
			 * A table without entries is left behind by a fault that found no memory.
			 */
			drop_tables(&it, &g);
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
		pt->mapped -= 1ull << (9 * (level - 1));
		clear_leaf(&it, &g);
		gather_leaf(&g, it.va, e, level);
	}
	gather_flush(&g);
}

bool pgtable_protect(struct pgtable *pt, u64 start, u64 end, pte_t clear, pte_t set)
{
	struct gather g = { .n = 0 };
	struct pt_iter it;

	if (start >= end)
		return true;
	if (!split_at(pt, start) || !split_at(pt, end))
		return false;
	for (pt_iter_start(&it, pt, start, end); pt_iter_valid(&it); pt_iter_next(&it)) {
		pte_t e = *it.pte, n = (e & ~clear) | set;

		if (!e || n == e)
			continue;
		*it.pte = n;
		if (e & PTE_P)
			gather_va(&g, it.va);
	}
	gather_flush(&g);
	return true;
}

bool pgtable_move(struct pgtable *pt, u64 from, u64 to, u64 len)
{
	struct gather g = { .n = 0 };
	struct pt_iter it;

	if (!split_at(pt, from) || !split_at(pt, from + len))
		return false;
	for (pt_iter_start(&it, pt, from, from + len); pt_iter_valid(&it); pt_iter_next(&it)) {
		u64 va = it.va - from + to;
		pte_t e = *it.pte, *slot;

		if (!e)
			continue;
		if (it.level > 1 && !IS_ALIGNED(va, HUGE_SIZE)) {
			if (!split(pt, it.va, it.pte))
				return false;
			descend(&it);
			e = *it.pte;
		}
		slot = entry_alloc(pt, va, it.level);
		if (!slot) {
			gather_flush(&g);
			return false;
		}
		ASSERT(!*slot);
		*slot = e;
		table_page(slot)->priv++;
		if (e & PTE_P)
			gather_va(&g, it.va);
		clear_leaf(&it, &g);
	}
	gather_flush(&g);
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
			mapped += 1ull << (9 * (level - 1));
			if (e & PTE_OWNED)
				ASSERT(gpa_is_arena(e & PTE_ADDR) && gpa_page(e & PTE_ADDR)->refs);
		} else {
			mapped += check_table(pt, table_of(e), level - 1, tables);
		}
	}
	ASSERT(table_page(table)->priv == live);
	ASSERT(table_page(table)->flags == PG_TABLE && table_page(table)->refs == 1);
	return mapped;
}

void pgtable_check(const struct pgtable *pt)
{
	u64 tables = 0, mapped = check_table(pt, gpa_ptr(pt->root), PT_LEVELS, &tables);

	ASSERT(tables == pt->tables && mapped == pt->mapped);
}
