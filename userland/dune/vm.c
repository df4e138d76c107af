// SPDX-License-Identifier: MIT
/*
 * vm.c - page tables: map, protect, split, copy, free, walk
 *
 * A root is a page of 512 entries, of which the lower 256 are the program's. Tables are pages of the pool, so that their physical address is
 * where they are; one that a program has made elsewhere is found by its physical address.
 *
 * Three kinds of entry, at levels 3 (the root) to 0 (4 KiB pages):
 *	table	present, no PTE_PS, level above 0. Grants everything: what is allowed is said in leaves alone.
 *	leaf	any other that is not 0: at level 0, or with PTE_PS. Not necessarily present: PERM_NONE keeps the address.
 *	none	0, or CLOSED.
 *
 * Roots made here are lazy: nobody has to map what Linux maps. In an entry of level 1 that was never touched (0, or its table is missing) the
 * first need puts a DEFAULT leaf of 2 MiB: the memory that is there in the process, present and writable, as what is allowed is Linux's to say,
 * and for ring 3 as the root's kind says. A need is a page fault where Linux has something (dune_vm_fill), and every function here for the
 * range it is called with (dune_vm_populate). Memory of the monitor (the stacks that handlers run on are among it) gets a MONITOR leaf, which
 * nothing here shows or changes. A DEFAULT leaf is not the program's: it is split whenever the program wants to see or change a
 * part of it, so that programs find the 4 KiB entries that they expect; leaves that were asked for as big stay so. What a program unmaps
 * is CLOSED: no default comes back there. The root's own page says that it is lazy (its link points to a mark), which clones inherit, but without
 * ring 3: what comes into being after dune_vm_clone() is not for a sandbox that was made before.
 *
 * Changes are single exchanges of an entry: threads and handlers may work on the same tables. Tables are freed with their root alone,
 * as others may be reading them. What an entry has pointed to is given back only after all TLBs have forgotten it (struct defer).
 */
#include <string.h>
#include "sys.h"

#define SPAN(level)	(1ull << PDSHIFT(level))
#define TABLE_FLAGS	(PTE_P | PTE_W | PTE_U)
#define DEFAULT		0x400	/* in a leaf */
#define CLOSED		0x400	/* alone */
#define MONITOR		0x800	/* besides DEFAULT: also not for ring 3, and nothing that a program sees */

ptent_t *pgroot;

/* What link.sle_next of a page that is a table points to. */
static struct page mark_table, mark_root, mark_lazy, mark_lazy_user;

static ptent_t load(const ptent_t *e)
{
	return __atomic_load_n(e, __ATOMIC_ACQUIRE);
}

static bool swap(ptent_t *e, ptent_t old, ptent_t new)
{
	return __atomic_compare_exchange_n(e, &old, new, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

static bool is_none(ptent_t v)
{
	return !v || v == CLOSED;
}

static bool is_monitors(ptent_t v, int level)
{
	return level == 1 && (v & (MONITOR | DEFAULT | PTE_PS)) == (MONITOR | DEFAULT | PTE_PS);
}

static bool is_table(ptent_t v, int level)
{
	return level && (v & PTE_P) && !(level < 3 && (v & PTE_PS));
}

/* A leaf's address: of a big one, without the PAT bit that is in between. */
static physaddr_t leaf_addr(ptent_t v, int level)
{
	return PTE_ADDR(v) & ~(SPAN(level) - 1);
}

static struct page *pool_page(const void *p)
{
	return dune_page_isfrompool((physaddr_t)p) ? dune_pa2page((physaddr_t)p) : NULL;
}

static ptent_t *table_of(ptent_t v)
{
	physaddr_t pa = PTE_ADDR(v);

	return dune_page_isfrompool(pa) || pa < IDENTITY_END ? (ptent_t *)pa : dune_sys_va(pa);
}

static ptent_t *new_table(struct page *mark)
{
	struct page *pg = dune_page_alloc();
	ptent_t *t;

	if (!pg)
		return NULL;
	pg->link.sle_next = mark;
	t = (ptent_t *)dune_page2pa(pg);
	memset(t, 0, PGSIZE);
	return t;
}

/* NULL: not a table of ours (any more). */
static struct page *table_page(const ptent_t *t)
{
	struct page *pg = pool_page(t), *mark = pg ? pg->link.sle_next : NULL;

	return pg && pg->ref && (mark == &mark_table || mark == &mark_root || mark == &mark_lazy || mark == &mark_lazy_user) ? pg : NULL;
}

static void free_table(ptent_t *t)
{
	struct page *pg = table_page(t);

	if (pg) {
		pg->link.sle_next = NULL;
		dune_page_put(pg);
	}
}

static bool is_lazy(const ptent_t *root)
{
	struct page *pg = table_page(root);

	return pg && (pg->link.sle_next == &mark_lazy || pg->link.sle_next == &mark_lazy_user);
}

/* [@va, @va + @len) is the program's, and not nothing. */
static bool range_ok(const void *va, size_t len)
{
	return len && (uintptr_t)va < LOWER_HALF && len <= LOWER_HALF - (uintptr_t)va;
}

/* --- references ------------------------------------------------------------------------------------------------------------------- */

/*
 * References that leaf @v at @va has: one to each page of the pool below it, unless it is the pool's own place. @get: take them, else give
 * them back.
 */
static void leaf_refs(ptent_t v, uintptr_t va, int level, bool get)
{
	physaddr_t pa = leaf_addr(v, level), end = pa + SPAN(level);

	if (is_none(v) || (v & DEFAULT && level) || pa == va)
		return;
	for (; pa < end; pa += PGSIZE) {
		if (!dune_page_isfrompool(pa)) {
			if (pa < PAGEBASE && end > PAGEBASE)
				continue;
			break;
		}
		if (get)
			dune_page_get(dune_pa2page(pa));
		else
			dune_page_put(dune_pa2page(pa));
	}
}

/* All of a table and below: references, tables. */
static void release(ptent_t v, uintptr_t va, int level)
{
	ptent_t *t;
	int i;

	if (!is_table(v, level)) {
		leaf_refs(v, va, level, false);
		return;
	}
	t = table_of(v);
	if (!t || !table_page(t))
		return;		/* the program's own: it knows what to do with it */
	for (i = 0; i < NPTENTRIES; i++)
		if (t[i])
			release(t[i], va + i * SPAN(level - 1), level - 1);
	free_table(t);
}

/* Entries that were taken out, to be given back when the TLBs have forgotten them. */
struct defer {
	int n;
	uintptr_t low, high;	/* what has changed: [low, high) */
	struct {
		ptent_t v;
		uintptr_t va;
		int level;
	} e[32];
};

static void defer_end(struct defer *d)
{
	if (d->low < d->high)
		dune_sys_flush(d->low, d->high - d->low);
	while (d->n) {
		d->n--;
		release(d->e[d->n].v, d->e[d->n].va, d->e[d->n].level);
	}
	d->low = d->high = 0;
}

/* The entry at @va was @v. */
static void defer(struct defer *d, ptent_t v, uintptr_t va, int level)
{
	if (is_none(v))
		return;
	if (d->n == 32)
		defer_end(d);
	d->e[d->n].v = v;
	d->e[d->n].va = va;
	d->e[d->n++].level = level;
	if (d->low == d->high)
		d->low = va;
	if (va < d->low)
		d->low = va;
	if (va + SPAN(level) > d->high)
		d->high = va + SPAN(level);
}

/* --- splitting, finding ------------------------------------------------------------------------------------------------------------ */

/* Leaf @e of level 1 or 2 becomes a table of 512 leaves. -ENOMEM */
static int split(ptent_t *e, int level)
{
	ptent_t *t = new_table(&mark_table);
	ptent_t v, each;
	int i;

	if (!t)
		return -ENOMEM;
	/* The CPU may set bits meanwhile, or another thread be first. */
	do {
		v = load(e);
		if (!v || is_table(v, level) || !(v & PTE_PS)) {
			free_table(t);
			return 0;
		}
		each = PTE_FLAGS(v) & ~(ptent_t)PTE_PS;
		if (level == 1) {
			each &= ~(ptent_t)DEFAULT;
			if (v & PTE_PAT_PS)
				each |= PTE_PAT;
		} else {
			each |= PTE_PS | (v & PTE_PAT_PS);
		}
		for (i = 0; i < NPTENTRIES; i++)
			t[i] = (leaf_addr(v, level) + i * SPAN(level - 1)) | each;
	} while (!swap(e, v, (physaddr_t)t | TABLE_FLAGS));
	return 0;
}

/* The table below the none-entry @e. NULL: no memory */
static ptent_t *grow(ptent_t *e, int level)
{
	ptent_t *t = new_table(&mark_table);
	ptent_t v;

	if (!t)
		return NULL;
	do {
		v = load(e);
		if (is_table(v, level) || !is_none(v)) {
			free_table(t);
			return is_table(v, level) ? table_of(v) : NULL;
		}
	} while (!swap(e, v, (physaddr_t)t | TABLE_FLAGS));
	return t;
}

enum {
	LOOK,		/* nothing is made */
	MAKE,		/* missing tables are made */
	SPLIT = 2,	/* and leaves above @level split */
};

/**
 * find() - the entry for @va at @level, or the one that ends the way there (a leaf, or none), whose level is put into *@level
 * NULL: no memory, or a table that cannot be found; with SPLIT and -1 in *@level: what is there must not be split
 */
static ptent_t *find(ptent_t *root, uintptr_t va, int *level, int how)
{
	ptent_t *t = root, *e, v;
	int l;

	for (l = NPTLVLS; ; l--) {
		e = &t[PDX(l, va)];
		if (l == *level)
			return e;
		v = load(e);
		if (!is_table(v, l) && !is_none(v)) {
			if (how != SPLIT) {
				*level = l;
				return e;
			}
			/* Not present and no page: a program's own notes in a table's place. */
			if (!(v & PTE_PS) || is_monitors(v, l)) {
				*level = -1;
				return NULL;
			}
			if (split(e, l))
				return NULL;
			v = load(e);
		}
		if (is_none(v)) {
			if (how == LOOK) {
				*level = l;
				return e;
			}
			t = grow(e, l);
		} else {
			t = table_of(v);
		}
		if (!t)
			return NULL;
	}
}

ptent_t dune_vm_peek(ptent_t *root, uintptr_t va, int *level)
{
	ptent_t *e;
	int l = 0;

	if (va >= LOWER_HALF)
		return 0;
	e = find(root, va, &l, LOOK);
	if (level)
		*level = l;
	return e && !is_none(load(e)) ? load(e) : 0;
}

/* --- defaults ---------------------------------------------------------------------------------------------------------------------- */

/* The 2 MiB of @va were never touched. */
static bool untouched(ptent_t *root, uintptr_t va)
{
	int level = 1;
	ptent_t *e = find(root, va, &level, LOOK);

	return e && !load(e);
}

/* Default for the 2 MiB of @va, if they were never touched. 1: there is one now, or was; 0: no physical address; -ENOMEM */
static int fill(ptent_t *root, uintptr_t va)
{
	struct page *pg = table_page(root);
	ptent_t flags = PTE_P | PTE_W | PTE_PS | DEFAULT;
	ptent_t *e;
	uint64_t pa;
	int level = 1;

	pa = dune_sys_gpa(va);
	if (pa == ~0ull)
		return 0;
	if (dune_sys_monitor(va))
		flags |= MONITOR;
	else if (pg->link.sle_next == &mark_lazy_user && va - PAGEBASE >= DUNE_POOL_BYTES)
		flags |= PTE_U;		/* not the tables themselves */
	e = find(root, va, &level, MAKE);
	if (!e)
		return -ENOMEM;
	if (level == 1)
		swap(e, 0, (pa & ~(SPAN(1) - 1)) | flags);
	return 1;
}

#define HUGE	(64 * GIB)

struct populate {
	ptent_t *root;
	uintptr_t start, last;
	int ret;
};

static bool populate_one(const struct dune_procmap_entry *map, void *arg)
{
	struct populate *p = arg;
	uintptr_t va = map->begin, end = map->end;

	if (va > p->last || va >= LOWER_HALF)
		return false;
	/* Nobody accesses what has no rights, and what is huge is used in parts: page faults will tell. */
	if (end <= p->start || (!map->r && !map->w && !map->x) || end - va > HUGE)
		return true;
	va = va < p->start ? p->start : va;
	end = end > p->last ? p->last + 1 : end;
	for (va = BIG_PGADDR(va); va < end; va += BIG_PGSIZE) {
		if (!untouched(p->root, va))
			continue;
		p->ret = fill(p->root, va);
		if (p->ret < 0)
			return false;
		if (!p->ret) {
			va |= GIB - 1;		/* nowhere to put this GiB: on to the next */
			va++;
			va -= BIG_PGSIZE;
		}
		p->ret = 0;
	}
	return true;
}

/* Some of [@start, @last] was never touched. Missing tables are passed over at a stroke. */
static bool any_untouched(ptent_t *root, uintptr_t start, uintptr_t last)
{
	uintptr_t va = start;

	while (va <= last) {
		int level = 1;
		ptent_t *e = find(root, va, &level, LOOK);

		if (!e || !load(e))
			return true;
		va = (va | (SPAN(level) - 1)) + 1;
	}
	return false;
}

int dune_vm_populate(ptent_t *root, uintptr_t start, uintptr_t last)
{
	struct populate p = { root, start, last, 0 };

	if (!is_lazy(root) || !any_untouched(root, start, last))
		return 0;
	/* What cannot be read is left for page faults. */
	dune_procmap_each(populate_one, &p);
	return p.ret;
}

bool dune_vm_fill(ptent_t *root, uintptr_t va, bool always)
{
	if (va >= LOWER_HALF || !is_lazy(root) || !untouched(root, va))
		return false;
	return (always || dune_sys_mapped(va)) && fill(root, va) > 0;
}

/* --- ranges ------------------------------------------------------------------------------------------------------------------------ */

/**
 * each() - @fn for each leaf in [@start, @last], in order; a result that is not 0 ends it
 * Leaves that reach out of the range are split first, and with @small every DEFAULT one.
 */
static int each(ptent_t *root, uintptr_t start, uintptr_t last, bool small, int (*fn)(void *arg, ptent_t *e, uintptr_t va, int level),
		void *arg)
{
	uintptr_t va = start;
	ptent_t *e = NULL, v;
	int ret, level = 0;

	while (va <= last) {
		uintptr_t first, end;

		/* The next one of the same table needs no search. */
		if (e && !level && (va & (SPAN(1) - 1)) && PGADDR(va) == va) {
			e++;
		} else {
			level = 0;
			e = find(root, va, &level, LOOK);
			if (!e)
				return -ENOMEM;
		}
		v = load(e);
		first = va & ~(SPAN(level) - 1);
		end = first + (SPAN(level) - 1);
		if (is_monitors(v, level)) {
			va = end + 1;
			e = NULL;
			continue;
		}
		if (level && (v & PTE_PS) && ((small && (v & DEFAULT)) || first < PGADDR(start) || end > (last | PGMASK))) {
			ret = split(e, level);
			if (ret)
				return ret;
			e = NULL;
			continue;
		}
		if (!is_none(v) && (!level || (v & PTE_PS))) {
			ret = fn(arg, e, first, level);
			if (ret)
				return ret;
		}
		va = end + 1;
	}
	return 0;
}

static ptent_t perm_flags(int perm)
{
	ptent_t flags = 0;

	if (perm & PERM_R)
		flags |= PTE_P;
	if (perm & PERM_W)
		flags |= PTE_W;
	if (!(perm & PERM_X))
		flags |= PTE_NX;
	if (perm & PERM_U)
		flags |= PTE_U;
	if (perm & PERM_UC)
		flags |= PTE_PCD;
	if (perm & PERM_COW)
		flags |= PTE_COW;
	if (perm & PERM_USR1)
		flags |= PTE_USR1;
	if (perm & PERM_USR2)
		flags |= PTE_USR2;
	if ((perm & PERM_USR3) == PERM_USR3)
		flags |= PTE_USR3;
	/* A page to be copied at the first write is one that cannot be written. */
	if (perm & PERM_COW)
		flags &= ~(ptent_t)PTE_W;
	return flags;
}

struct protect {
	ptent_t flags;
	struct defer d;
};

static int protect_one(void *arg, ptent_t *e, uintptr_t va, int level)
{
	struct protect *p = arg;
	ptent_t v, keep = (level ? PTE_PS | DEFAULT | PTE_PAT_PS : PTE_PAT);

	do {
		v = load(e);
		if (is_table(v, level) || is_none(v))
			return 0;
	} while (!swap(e, v, leaf_addr(v, level) | (v & keep) | p->flags));
	if (p->d.low == p->d.high)
		p->d.low = va;
	p->d.high = va + SPAN(level);
	return 0;
}

int dune_vm_mprotect(ptent_t *root, void *va, size_t len, int perm)
{
	struct protect p = { .d.n = 0 };
	uintptr_t start = (uintptr_t)va, last = start + len - 1;
	int ret;

	if (!(perm & PERM_R)) {
		if (perm & PERM_W)
			return -EINVAL;
		perm = PERM_NONE;
	}
	if (!len)
		return 0;
	if (!range_ok(va, len))
		return -EINVAL;
	ret = dune_vm_populate(root, start, last);
	if (ret)
		return ret;
	p.flags = perm_flags(perm);
	ret = each(root, start, last, false, protect_one, &p);
	defer_end(&p.d);
	return ret;
}

struct unmap {
	ptent_t empty;		/* what is left of a big leaf */
	struct defer d;
};

static int unmap_one(void *arg, ptent_t *e, uintptr_t va, int level)
{
	struct unmap *u = arg;
	ptent_t v;

	do {
		v = load(e);
		if (is_table(v, level))
			return 0;
	} while (!swap(e, v, level ? u->empty : 0));
	defer(&u->d, v, va, level);
	return 0;
}

void dune_vm_unmap(ptent_t *root, void *va, size_t len)
{
	struct unmap u = { .empty = is_lazy(root) ? CLOSED : 0, .d.n = 0 };
	uintptr_t start = (uintptr_t)va, last = start + len - 1;

	if (!range_ok(va, len) || dune_vm_populate(root, start, last))
		return;
	each(root, start, last, false, unmap_one, &u);
	defer_end(&u.d);
}

/* Leaf @v at @va in place of whatever is there. */
static int put_leaf(ptent_t *root, uintptr_t va, int level, ptent_t v, struct defer *d)
{
	int at = level;
	ptent_t *e = find(root, va, &at, SPLIT);
	ptent_t old;

	if (!e)
		return at < 0 ? -EINVAL : -ENOMEM;
	old = load(e);
	do {
		if (is_monitors(old, level))
			return -EINVAL;
	} while (!__atomic_compare_exchange_n(e, &old, v, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
	defer(d, old, va, level);
	return 0;
}

int dune_vm_map_phys(ptent_t *root, void *va, size_t len, void *pa, int perm)
{
	uintptr_t at = PGADDR(va), from;	/* @from: the memory, by its address in the process */
	physaddr_t target = PGADDR(pa), gib = 0;
	struct defer d = { 0 };
	ptent_t flags = perm_flags(perm);
	size_t left;
	int ret;

	if (!len)
		return 0;
	if (!range_ok(va, len) || PGOFF(va) != PGOFF(pa))
		return -EINVAL;
	/*
	 * Memory that goes on in the next GiB does so at another physical address: the program means what is next in its own addresses.
	 * This also says whether there is something at all: a physical address is a program's word.
	 */
	from = target < IDENTITY_END ? target : (uintptr_t)dune_sys_va(target);
	left = ((uintptr_t)va + len - at + PGMASK) & ~(size_t)PGMASK;
	if ((!from && target) || from >= LOWER_HALF || left > LOWER_HALF - from || dune_sys_gpa(from) != target)
		return -EINVAL;
	ret = dune_vm_populate(root, at, at + left - 1);
	while (!ret && left) {
		ptent_t v = flags;
		int level = 0;

		if (!gib || !(from & (GIB - 1))) {
			gib = dune_sys_gpa(from);
			if (gib == ~0ull) {
				ret = -EINVAL;
				break;
			}
			gib &= ~(GIB - 1);
			gib |= 1;	/* not 0 */
		}
		target = (gib & ~1ull) | (from & (GIB - 1));
		if ((perm & PERM_BIG_1GB) && dune_sys_gigabytes() && !((at | target) & (SPAN(2) - 1)) && left >= SPAN(2))
			level = 2;
		else if ((perm & (PERM_BIG | PERM_BIG_1GB)) && !((at | target) & (SPAN(1) - 1)) && left >= SPAN(1))
			level = 1;
		if (level)
			v |= PTE_PS;
		ret = put_leaf(root, at, level, target | v, &d);
		if (ret)
			break;
		at += SPAN(level);
		from += SPAN(level);
		left -= SPAN(level);
	}
	defer_end(&d);
	return ret;
}

int dune_vm_map_pages(ptent_t *root, void *va, size_t len, int perm)
{
	uintptr_t at = PGADDR(va), last = (uintptr_t)va + len - 1;
	struct defer d = { 0 };
	int ret;

	if (!(perm & PERM_R) && (perm & ~PERM_R))
		return -EINVAL;
	if (!len)
		return 0;
	if (!range_ok(va, len))
		return -EINVAL;
	ret = dune_vm_populate(root, at, last);
	for (; !ret && at <= last; at += PGSIZE) {
		struct page *pg = dune_page_alloc();

		if (!pg) {
			ret = -ENOMEM;
			break;
		}
		memset((void *)dune_page2pa(pg), 0, PGSIZE);
		ret = put_leaf(root, at, 0, dune_page2pa(pg) | perm_flags(perm), &d);
		if (ret)
			dune_page_put(pg);
	}
	defer_end(&d);
	return ret;
}

int dune_vm_insert_page(ptent_t *root, void *va, struct page *pg, int perm)
{
	struct defer d = { 0 };
	int ret;

	if (!range_ok(va, PGSIZE) || PGOFF(va))
		return -EINVAL;
	ret = dune_vm_populate(root, (uintptr_t)va, (uintptr_t)va + PGMASK);
	if (ret)
		return ret;
	/* The reference first: what is there may be the same page. At the page's own address an entry has none. */
	if ((uintptr_t)va != dune_page2pa(pg))
		dune_page_get(pg);
	ret = put_leaf(root, (uintptr_t)va, 0, dune_page2pa(pg) | perm_flags(perm), &d);
	if (ret && (uintptr_t)va != dune_page2pa(pg))
		dune_page_put(pg);
	defer_end(&d);
	return ret;
}

struct page *dune_vm_lookup_page(ptent_t *root, void *va)
{
	ptent_t v;
	physaddr_t pa;
	int level;

	v = dune_vm_peek(root, (uintptr_t)va, &level);
	if (!(v & PTE_P) || is_monitors(v, level))
		return NULL;
	pa = leaf_addr(v, level) + ((uintptr_t)va & (SPAN(level) - 1));
	return dune_page_isfrompool(pa) ? dune_pa2page(PGADDR(pa)) : NULL;
}

int dune_vm_lookup(ptent_t *root, void *va, int create, ptent_t **pte_out)
{
	uintptr_t at = (uintptr_t)va;
	ptent_t *e, v;
	int ret, want = create == CREATE_BIG ? 1 : create == CREATE_BIG_1GB ? 2 : 0, level = want;

	if (at >= LOWER_HALF)
		return -EINVAL;
	if (is_lazy(root) && untouched(root, at)) {
		if (create == CREATE_NONE)
			ret = dune_sys_mapped(at) ? fill(root, at) : 0;
		else
			ret = dune_vm_populate(root, BIG_PGADDR(at), BIG_PGADDR(at) + BIG_PGMASK);
		if (ret < 0)
			return ret;
	}
	e = find(root, at, &level, create == CREATE_NONE ? LOOK : MAKE);
	if (!e)
		return create == CREATE_NONE ? -ENOENT : -ENOMEM;
	v = load(e);
	if (is_monitors(v, level))
		return -EINVAL;
	if (level == want && !is_table(v, level)) {
		/* An entry for software alone is shown as what it is: none. */
		if (v == CLOSED)
			swap(e, v, 0);
		if (!want || !(v & DEFAULT)) {
			*pte_out = e;
			return 0;
		}
	}
	if (is_table(v, level))
		return -EEXIST;
	if (is_none(v))
		return -ENOENT;
	if (v & DEFAULT) {
		if (want) {
			*pte_out = e;
			return 0;
		}
		ret = split(e, level);
		if (ret)
			return ret;
		return dune_vm_lookup(root, va, create, pte_out);
	}
	*pte_out = e;
	return 0;
}

struct visit {
	page_walk_cb cb;
	const void *arg;
};

static int visit_one(void *arg, ptent_t *e, uintptr_t va, int level)
{
	struct visit *v = arg;

	(void)level;
	return v->cb(v->arg, e, (void *)va);
}

int dune_vm_page_walk(ptent_t *root, void *start_va, void *end_va, page_walk_cb cb, const void *arg)
{
	uintptr_t start = (uintptr_t)start_va, last = (uintptr_t)end_va;
	struct visit v = { cb, arg };
	int ret;

	if (last >= LOWER_HALF)
		last = LOWER_HALF - 1;
	if (start > last)
		return start >= LOWER_HALF && start <= (uintptr_t)end_va ? 0 : -EINVAL;
	ret = dune_vm_populate(root, start, last);
	return ret ? ret : each(root, start, last, true, visit_one, &v);
}

/* --- roots --------------------------------------------------------------------------------------------------------------------------- */

/* A copy of @from, a table of @level for @va on; only the first @n entries. NULL: no memory */
static ptent_t *copy_table(const ptent_t *from, uintptr_t va, int level, int n, struct page *mark)
{
	ptent_t *t = new_table(mark);
	int i;

	for (i = 0; t && i < n; i++) {
		uintptr_t at = va + i * SPAN(level);
		ptent_t v = load(&from[i]), *below;

		if (!v)
			continue;
		if (!is_table(v, level)) {
			leaf_refs(v, at, level, true);
			t[i] = v;
			continue;
		}
		below = table_of(v);
		below = below ? copy_table(below, at, level - 1, NPTENTRIES, &mark_table) : NULL;
		if (!below) {
			/* what is copied goes back, as a table of this level would */
			release((physaddr_t)t | TABLE_FLAGS, va, level + 1);
			return NULL;
		}
		t[i] = (physaddr_t)below | (PTE_FLAGS(v) & ~(ptent_t)(PTE_A | PTE_D));
	}
	return t;
}

ptent_t *dune_vm_clone(ptent_t *root)
{
	ptent_t *t;

	if (dune_vm_populate(root, 0, LOWER_HALF - 1))
		return NULL;
	t = copy_table(root, 0, NPTLVLS, NPTENTRIES / 2, is_lazy(root) ? &mark_lazy : &mark_root);
	if (t)
		dune_vm_upper(t, root + NPTENTRIES / 2);
	return t;
}

void dune_vm_free(ptent_t *root)
{
	int i;

	if (!root || root == pgroot || root == dune_sys_root() || !pool_page(root) || !pool_page(root)->ref)
		return;
	/* Others may have used it up to now. */
	dune_sys_flush(0, ~(size_t)0);
	for (i = 0; i < NPTENTRIES / 2; i++)
		if (root[i])
			release(root[i], i * SPAN(3), 3);
	memset(root, 0, PGSIZE);
	pool_page(root)->link.sle_next = NULL;
	dune_page_put(pool_page(root));
}

void dune_vm_upper(ptent_t *root, const ptent_t *upper)
{
	memcpy(root + NPTENTRIES / 2, upper, PGSIZE / 2);
}

int dune_vm_renew(const ptent_t *upper)
{
	int i, ret = 0;

	for (i = 0; i < num_pages && !ret; i++) {
		struct page *pg = &pages[i], *mark = pg->link.sle_next;
		ptent_t *root = (ptent_t *)dune_page2pa(pg);

		if (!pg->ref || (mark != &mark_root && mark != &mark_lazy && mark != &mark_lazy_user))
			continue;
		dune_vm_upper(root, upper);
		ret = dune_vm_populate(root, 0, LOWER_HALF - 1);
	}
	return ret;
}

int dune_vm_init(bool user, const ptent_t *upper)
{
	ptent_t *t = new_table(user ? &mark_lazy_user : &mark_lazy);

	if (!t)
		return -ENOMEM;
	if (upper)
		dune_vm_upper(t, upper);
	pgroot = t;
	return 0;
}

/* --- copy on write --------------------------------------------------------------------------------------------------------------------- */

void dune_vm_default_pgflt_handler(uintptr_t addr, uint64_t fec)
{
	ptent_t *root = dune_sys_root(), *e, v, new;
	uintptr_t va = PGADDR(addr);
	struct page *old, *copy;
	int level;

	if (!root || addr >= LOWER_HALF || !(fec & FEC_W) || (fec & FEC_RSV))
		goto fail;
again:
	level = 0;
	e = find(root, va, &level, LOOK);
	v = e ? load(e) : 0;
	if ((v & PTE_P) && (v & PTE_W) && !(v & PTE_COW) && (!(fec & FEC_U) || (v & PTE_U))) {
		/* another thread has seen to it */
		dune_sys_flush(va, PGSIZE);
		return;
	}
	if (!(v & PTE_P) || !(v & PTE_COW) || ((fec & FEC_U) && !(v & PTE_U)))
		goto fail;
	if (level) {
		/* one page of it is enough */
		if (split(e, level))
			goto fail;
		goto again;
	}
	new = (PTE_FLAGS(v) & ~(ptent_t)PTE_COW) | PTE_W;
	old = pool_page((void *)PTE_ADDR(v));
	if (old && PTE_ADDR(v) != va && __atomic_load_n(&old->ref, __ATOMIC_ACQUIRE) == 1) {
		if (!swap(e, v, PTE_ADDR(v) | new))
			goto again;
		dune_sys_flush(va, PGSIZE);
		return;
	}
	copy = dune_page_alloc();
	if (!copy)
		goto fail;
	/* Nobody writes to the page while it is mapped like this; if somebody maps it otherwise meanwhile, the exchange fails. */
	memcpy((void *)dune_page2pa(copy), (void *)va, PGSIZE);
	if (!swap(e, v, dune_page2pa(copy) | new)) {
		dune_page_put(copy);
		goto again;
	}
	dune_sys_flush(va, PGSIZE);
	leaf_refs(v, va, 0, false);
	return;
fail:
	dune_sys_segv(addr);
}
