// SPDX-License-Identifier: MIT
/*
 * dune_vm_test.c - libdune's page tables and pool of pages against a model
 *
 * The model is a list of 4 KiB pages per root and, for each 2 MiB, whether it was ever touched. What the tables say is read by a walk of the
 * test's own, after every change; so are the references of every page of the pool, and at each flush that nothing was given back before.
 * Physical addresses of neighbouring GiB are far apart, as they are in a real ring. SEED (an argument) tries other sequences.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "sys.h"
#include "tap.h"

static int tap_tests;
static uint64_t seed;

static uint64_t rnd(void)
{
	uint64_t z = seed += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static uint64_t below(uint64_t n)
{
	return rnd() % n;
}

/* --- the ring and Linux, as the library is told ------------------------------------------------------------------------------------------ */

#define BORDER	0x123440000000ull	/* between two GiB */
#define WINDOW	(8ull << 20)		/* looked at: the same on both sides */
#define FIRST	(BORDER - WINDOW / 2)
#define NPAGES	((int)(WINDOW / PGSIZE))
#define MON	0x700000000000ull	/* the monitor's 2 MiB */

static ptent_t *loaded;
static int flushes, segvs;
static bool gigabytes;
static uint64_t nowhere;	/* this GiB has no physical address */

/* What Linux has mapped. */
static struct { uintptr_t begin, end; } maps[8];
static int nmaps;
static bool none;		/* with no rights at all */

uint64_t dune_sys_gpa(uintptr_t va)
{
	if (va >= PAGEBASE && va < PAGEBASE + MAX_PAGES * PGSIZE)
		return va;
	if (va < IDENTITY_END)
		return va;
	if (va >= LOWER_HALF || (nowhere && va / GIB == nowhere / GIB))
		return ~0ull;
	/* 64 to 1023, neighbours far apart, always the same */
	return (64 + (va / GIB * 389) % 953) * GIB + va % GIB;
}

void *dune_sys_va(uint64_t gpa)
{
	static const uint64_t known[] = { BORDER - GIB, BORDER, BORDER + 5 * GIB, BORDER + 6 * GIB, MON };
	unsigned int i;

	if (gpa >= PAGEBASE && gpa < PAGEBASE + MAX_PAGES * PGSIZE)
		return (void *)gpa;
	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (dune_sys_gpa(known[i]) == (gpa & ~(GIB - 1)))
			return (void *)(known[i] + gpa % GIB);
	return NULL;
}

bool dune_sys_monitor(uintptr_t va) { return va / BIG_PGSIZE == MON / BIG_PGSIZE; }
ptent_t *dune_sys_root(void) { return loaded; }
bool dune_sys_gigabytes(void) { return gigabytes; }
void dune_sys_segv(uintptr_t addr) { segvs++; }

bool dune_sys_mapped(uintptr_t va)
{
	int i;

	for (i = 0; i < nmaps; i++)
		if (va >= maps[i].begin && va < maps[i].end)
			return true;
	return false;
}

int dune_procmap_each(bool (*fn)(const struct dune_procmap_entry *e, void *arg), void *arg)
{
	int i;

	for (i = 0; i < nmaps; i++) {
		struct dune_procmap_entry e = { .begin = maps[i].begin, .end = maps[i].end, .r = !none, .path = "" };

		if (!fn(&e, arg))
			break;
	}
	return 0;
}

int dune_printf(const char *fmt, ...)
{
	(void)fmt;
	return 0;
}

void dune_die(void)
{
	printf("not ok - the library has given up\n");
	fflush(stdout);
	abort();
}

/* --- reading tables ---------------------------------------------------------------------------------------------------------------------- */

/* The leaf for @va, as of a 4 KiB page: address and flags but those of size and of the library. 0: none */
static ptent_t truth(ptent_t *root, uintptr_t va)
{
	ptent_t *t = root, v;
	int level;

	for (level = 3; ; level--) {
		v = t[va >> (12 + 9 * level) & 511];
		if (level == 0)
			return v;
		if (level < 3 && (v & PTE_PS)) {
			uint64_t span = 1ull << (12 + 9 * level);

			return ((PTE_ADDR(v) & ~(span - 1)) + (va & (span - 1) & ~0xfffull)) | (PTE_FLAGS(v) & ~(ptent_t)(PTE_PS | 0xc00));
		}
		if (!(v & PTE_P)) {
			CHECK(v == 0 || v == 0x400);
			return 0;
		}
		CHECK((PTE_FLAGS(v) & 7) == 7 && !(v & PTE_NX), "a table grants everything");
		CHECK(dune_page_isfrompool(PTE_ADDR(v)) && dune_pa2page(PTE_ADDR(v))->ref == 1);
		t = (ptent_t *)PTE_ADDR(v);
	}
}

/* --- the model --------------------------------------------------------------------------------------------------------------------------- */

#define ROOTS	4
static struct root {
	ptent_t *root;
	bool user;			/* defaults are for ring 3 */
	bool touched[NPAGES / 512];
	ptent_t leaf[NPAGES];
} roots[ROOTS];
static uint32_t held[4096];		/* references of the test's own, by page number */

static void touch(struct root *r, int pde)
{
	int i;

	if (r->touched[pde])
		return;
	r->touched[pde] = true;
	for (i = 0; i < 512; i++) {
		uintptr_t va = FIRST + (pde * 512 + i) * (uint64_t)PGSIZE;

		r->leaf[pde * 512 + i] = dune_sys_gpa(va) | PTE_P | PTE_W | (r->user ? PTE_U : 0);
	}
}

/* Whatever is called with [first, last] (pages of the window). */
static void populate(struct root *r, int first, int last)
{
	int p;

	for (p = first; p <= last; p++)
		if (dune_sys_mapped(FIRST + p * (uint64_t)PGSIZE))
			touch(r, p / 512);
	/* a mapping in the same 2 MiB, but out of the range, is none of the call's business */
}

/* @first on has an entry now, whatever it is. */
static void made(struct root *r, int first, int last)
{
	int p;

	for (p = first; p <= last; p++)
		r->touched[p / 512] = true;
}

static ptent_t flags_of(int perm)
{
	static const struct { int perm; ptent_t flag; } map[] = {
		{ PERM_R, PTE_P }, { PERM_W, PTE_W }, { PERM_U, PTE_U }, { PERM_UC, PTE_PCD }, { PERM_COW, PTE_COW },
		{ PERM_USR1, PTE_USR1 }, { PERM_USR2, PTE_USR2 },
	};
	ptent_t flags = perm & PERM_X ? 0 : PTE_NX;
	unsigned int i;

	for (i = 0; i < sizeof(map) / sizeof(map[0]); i++)
		if (perm & map[i].perm)
			flags |= map[i].flag;
	if ((perm & PERM_USR3) == PERM_USR3)
		flags |= PTE_USR3;
	if (perm & PERM_COW)
		flags &= ~(ptent_t)PTE_W;
	return flags;
}

static const int perms[] = {
	PERM_NONE, PERM_R, PERM_R | PERM_W, PERM_R | PERM_W | PERM_U, PERM_R | PERM_X, PERM_R | PERM_W | PERM_X | PERM_U, PERM_R | PERM_COW,
	PERM_R | PERM_W | PERM_COW | PERM_U, PERM_R | PERM_USR1, PERM_R | PERM_USR2, PERM_R | PERM_USR3, PERM_R | PERM_W | PERM_UC,
};

static int some_perm(void)
{
	return perms[below(sizeof(perms) / sizeof(perms[0]))];
}

static void compare(void)
{
	static uint32_t refs[4096];
	int i, r, p;

	memcpy(refs, held, sizeof(refs));
	for (r = 0; r < ROOTS; r++) {
		struct root *m = &roots[r];

		if (!m->root)
			continue;
		for (p = 0; p < NPAGES; p++) {
			ptent_t v = truth(m->root, FIRST + p * (uint64_t)PGSIZE), want = m->touched[p / 512] ? m->leaf[p] : 0;

			CHECK(v == want, "root %d, page %d: %lx, not %lx", r, p, v, want);
			if (v && dune_page_isfrompool(PTE_ADDR(v)))
				refs[dune_pa2page(PTE_ADDR(v)) - pages]++;
		}
	}
	for (i = 0; i < num_pages; i++) {
		/* tables are the rest */
		if (pages[i].link.sle_next && pages[i].ref)
			continue;
		CHECK(pages[i].ref == refs[i], "page %d of the pool has %lu references, not %u", i, pages[i].ref, refs[i]);
	}
}

/*
 * TLBs: some translations of every root, as a CPU may have kept them. What a flush is told of is forgotten; what is kept must not allow more
 * than the tables do. When a flush begins, nothing that CPUs may still use has been given back.
 */
static ptent_t tlb[ROOTS][NPAGES];
static struct page *watched;

void dune_sys_flush(uintptr_t va, size_t len)
{
	int r, p;

	flushes++;
	CHECK(!watched || watched->ref, "given back before the flush");
	for (r = 0; r < ROOTS; r++)
		for (p = 0; p < NPAGES; p++) {
			uintptr_t at = FIRST + p * (uint64_t)PGSIZE;

			if (!tlb[r][p] || at + PGSIZE <= va || (len != ~(size_t)0 && at >= va + len))
				continue;
			CHECK(!dune_page_isfrompool(PTE_ADDR(tlb[r][p])) || dune_pa2page(PTE_ADDR(tlb[r][p]))->ref, "given back before the flush");
			tlb[r][p] = 0;
		}
}

static void tlbs(void)
{
	int r, p, i;

	for (r = 0; r < ROOTS; r++) {
		struct root *m = &roots[r];

		if (!m->root) {
			memset(tlb[r], 0, sizeof(tlb[r]));
			continue;
		}
		for (p = 0; p < NPAGES; p++) {
			ptent_t had = tlb[r][p], has = m->touched[p / 512] ? m->leaf[p] : 0;

			if (!had)
				continue;
			CHECK((has & PTE_P) && PTE_ADDR(had) == PTE_ADDR(has), "root %d, page %d: not flushed", r, p);
			CHECK(!(had & ~has & (PTE_W | PTE_U)) && !(has & ~had & PTE_NX), "root %d, page %d: not flushed", r, p);
		}
		for (i = 0; i < 64; i++) {
			p = below(NPAGES);
			if (m->touched[p / 512] && (m->leaf[p] & PTE_P))
				tlb[r][p] = m->leaf[p];
		}
	}
}

static int pool_in_use(void)
{
	int i, n = 0;

	for (i = 0; i < num_pages; i++)
		n += pages[i].ref != 0;
	return n;
}

static int count(const void *arg, ptent_t *e, void *va)
{
	(void)e;
	(void)va;
	++*(int *)arg;
	return 0;
}

/* --- by hand ----------------------------------------------------------------------------------------------------------------------------- */

static uintptr_t seen[16];
static int nseen;

static int see(const void *arg, ptent_t *e, void *va)
{
	CHECK(*e);
	if (nseen < 16)
		seen[nseen] = (uintptr_t)va;
	nseen++;
	return arg && nseen == *(const int *)arg ? 77 : 0;
}

static void by_hand(void)
{
	ptent_t *pte, *big, *clone;
	struct page *pg, *pg2;
	uintptr_t va = 0x400000000000;
	int before, three = 3, n;
	static char text[PGSIZE];

	/* the pool */
	pg = dune_page_alloc();
	CHECK(pg && pg->ref == 1 && dune_pa2page(dune_page2pa(pg)) == pg && dune_page_isfrompool(dune_page2pa(pg)));
	CHECK(!dune_page_isfrompool(PAGEBASE - 1) && dune_page_isfrompool(PAGEBASE));
	CHECK(!dune_page_isfrompool(PAGEBASE + (uint64_t)num_pages * PGSIZE));
	dune_page_get(pg);
	dune_page_put(pg);
	CHECK(pg->ref == 1);
	dune_page_put(pg);
	CHECK(pg->ref == 0);
	dune_page_put(pg);	/* no more than none */
	CHECK(pg->ref == 0);
	pg2 = dune_page_alloc();
	CHECK(pg2 == pg);
	dune_page_put(pg2);
	PASS("pool: take, give back, never below none");

	/* lookup where nothing is */
	CHECK(dune_vm_lookup(pgroot, (void *)va, CREATE_NONE, &pte) == -ENOENT);
	CHECK(dune_vm_lookup(pgroot, (void *)va, CREATE_NORMAL, &pte) == 0 && *pte == 0);
	CHECK(dune_vm_lookup(pgroot, (void *)va, CREATE_NONE, &big) == 0 && big == pte);
	CHECK(dune_vm_lookup(pgroot, (void *)(va + BIG_PGSIZE), CREATE_BIG, &pte) == 0 && *pte == 0);
	CHECK(dune_vm_lookup(pgroot, (void *)va, CREATE_BIG, &pte) == -EEXIST);
	CHECK(dune_vm_lookup(pgroot, (void *)LOWER_HALF, CREATE_NORMAL, &pte) == -EINVAL);
	CHECK(dune_vm_lookup(pgroot, VA_END, CREATE_NONE, &pte) == -EINVAL);
	PASS("lookup: makes what it is asked to, and nothing in the monitor's half");

	/* errors of ranges and addresses */
	CHECK(dune_vm_map_phys(pgroot, (void *)va, PGSIZE, (void *)(900 * GIB), PERM_R) == -EINVAL);
	CHECK(dune_vm_map_phys(pgroot, (void *)va, PGSIZE, (void *)~0ull, PERM_R) == -EINVAL);
	CHECK(dune_vm_map_phys(pgroot, (void *)va, PGSIZE, (void *)(1ull << 52), PERM_R) == -EINVAL);
	CHECK(dune_vm_map_phys(pgroot, (void *)(va + 1), PGSIZE, (void *)dune_sys_gpa(BORDER), PERM_R) == -EINVAL);
	CHECK(dune_vm_map_phys(pgroot, (void *)(LOWER_HALF - PGSIZE), 2 * PGSIZE, (void *)dune_sys_gpa(BORDER), PERM_R) == -EINVAL);
	CHECK(dune_vm_map_phys(pgroot, VA_END, 1, (void *)dune_sys_gpa(BORDER), PERM_R) == -EINVAL);
	CHECK(dune_vm_map_pages(pgroot, (void *)va, ~0ul, PERM_R) == -EINVAL);
	CHECK(dune_vm_map_pages(pgroot, (void *)va, PGSIZE, PERM_U) == -EINVAL);
	CHECK(dune_vm_mprotect(pgroot, (void *)va, PGSIZE, PERM_W) == -EINVAL);
	CHECK(dune_vm_mprotect(pgroot, (void *)va, ~0ul, PERM_R) == -EINVAL);
	CHECK(dune_vm_insert_page(pgroot, (void *)(va + 1), pages, PERM_R) == -EINVAL);
	CHECK(dune_vm_insert_page(pgroot, (void *)LOWER_HALF, pages, PERM_R) == -EINVAL);
	CHECK(dune_vm_map_pages(pgroot, (void *)va, 0, PERM_R) == 0 && dune_vm_mprotect(pgroot, (void *)va, 0, PERM_R) == 0);
	dune_vm_unmap(pgroot, (void *)va, ~0ul);
	CHECK(truth(pgroot, va) == 0);
	PASS("ranges and physical addresses that are none: EINVAL");

	/* map_phys over a GiB's end is the process's memory, not what is next physically */
	CHECK(dune_vm_map_phys(pgroot, (void *)va, 4 * PGSIZE, (void *)dune_sys_gpa(BORDER - 2 * PGSIZE), PERM_R | PERM_W) == 0);
	for (n = 0; n < 4; n++)
		CHECK(PTE_ADDR(truth(pgroot, va + n * PGSIZE)) == dune_sys_gpa(BORDER - 2 * PGSIZE + n * PGSIZE));
	dune_vm_unmap(pgroot, (void *)va, 4 * PGSIZE);
	PASS("memory that goes on in another GiB");

	/* big pages: exact at the ends, split by a smaller change, whole in a copy */
	before = pool_in_use();
	CHECK(dune_vm_map_phys(pgroot, (void *)va, BIG_PGSIZE + 3 * PGSIZE, (void *)dune_sys_gpa(BORDER), PERM_R | PERM_W | PERM_BIG) == 0);
	CHECK(dune_vm_lookup(pgroot, (void *)(va + 5 * PGSIZE), CREATE_NONE, &pte) == 0 && (*pte & PTE_PS));
	CHECK(truth(pgroot, va + BIG_PGSIZE + 2 * PGSIZE) && !truth(pgroot, va + BIG_PGSIZE + 3 * PGSIZE));
	nseen = 0;
	CHECK(dune_vm_page_walk(pgroot, (void *)va, (void *)(va + 2 * BIG_PGSIZE - 1), see, NULL) == 0 && nseen == 4);
	CHECK(seen[0] == va && seen[1] == va + BIG_PGSIZE && seen[3] == va + BIG_PGSIZE + 2 * PGSIZE);
	nseen = 0;
	CHECK(dune_vm_page_walk(pgroot, (void *)va, (void *)(va + 2 * BIG_PGSIZE - 1), see, &three) == 77 && nseen == 3);
	clone = dune_vm_clone(pgroot);
	CHECK(clone);
	CHECK(dune_vm_lookup(clone, (void *)va, CREATE_NONE, &big) == 0 && *big == *pte && big != pte);
	CHECK(dune_vm_mprotect(pgroot, (void *)(va + 7 * PGSIZE), PGSIZE, PERM_R) == 0);
	CHECK(dune_vm_lookup(pgroot, (void *)va, CREATE_NONE, &pte) == 0 && !(*pte & PTE_PS) && (*pte & PTE_W));
	CHECK(!(truth(pgroot, va + 7 * PGSIZE) & PTE_W) && (truth(pgroot, va + 8 * PGSIZE) & PTE_W) && (truth(clone, va + 7 * PGSIZE) & PTE_W));
	dune_vm_unmap(clone, (void *)(va + PGSIZE), PGSIZE);
	CHECK(!truth(clone, va + PGSIZE) && truth(clone, va) && truth(clone, va + 2 * PGSIZE) && truth(pgroot, va + PGSIZE));
	dune_vm_free(clone);
	dune_vm_unmap(pgroot, (void *)va, 2 * BIG_PGSIZE);
	CHECK(!truth(pgroot, va) && pool_in_use() <= before + 3);
	PASS("2 MiB pages: exact, split when a part changes, copied as they are");

	for (n = 0; n < 2; n++) {
		gigabytes = n;
		CHECK(dune_vm_map_phys(pgroot, (void *)(va + GIB), GIB, (void *)dune_sys_gpa(BORDER), PERM_R | PERM_W | PERM_BIG_1GB) == 0);
		CHECK(dune_vm_lookup(pgroot, (void *)(va + GIB + 5 * PGSIZE), CREATE_NONE, &pte) == 0 && (*pte & PTE_PS));
		nseen = 0;
		CHECK(dune_vm_page_walk(pgroot, (void *)(va + GIB), (void *)(va + 2 * GIB - 1), see, NULL) == 0 && nseen == (n ? 1 : 512));
		CHECK(PTE_ADDR(truth(pgroot, va + 2 * GIB - 1)) == PTE_ADDR(dune_sys_gpa(BORDER) + GIB - PGSIZE));
		CHECK(dune_vm_mprotect(pgroot, (void *)(va + GIB + 8 * PGSIZE), PGSIZE, PERM_NONE) == 0);
		CHECK(!(truth(pgroot, va + GIB + 8 * PGSIZE) & PTE_P) && (truth(pgroot, va + GIB + 9 * PGSIZE) & PTE_P));
		CHECK(dune_vm_mprotect(pgroot, (void *)(va + GIB + 8 * PGSIZE), PGSIZE, PERM_R) == 0);
		CHECK(PTE_ADDR(truth(pgroot, va + GIB + 8 * PGSIZE)) == dune_sys_gpa(BORDER) + 8 * PGSIZE);
		dune_vm_unmap(pgroot, (void *)(va + GIB), GIB);
		nseen = 0;
		CHECK(dune_vm_page_walk(pgroot, (void *)(va + GIB), (void *)(va + 2 * GIB - 1), see, NULL) == 0 && nseen == 0);
	}
	PASS("1 GiB pages, with and without them in the CPU");

	/* defaults: 2 MiB that become 4 KiB for who looks, and none where Linux has nothing */
	CHECK(dune_vm_lookup(pgroot, (void *)(BORDER + 5 * GIB), CREATE_NONE, &pte) == -ENOENT);
	maps[nmaps].begin = BORDER + 5 * GIB + PGSIZE;
	maps[nmaps++].end = BORDER + 5 * GIB + 2 * PGSIZE;
	CHECK(dune_vm_lookup(pgroot, (void *)(BORDER + 5 * GIB), CREATE_NONE, &pte) == -ENOENT);
	CHECK(!dune_vm_fill(pgroot, BORDER + 5 * GIB, false) && dune_vm_fill(pgroot, BORDER + 5 * GIB + PGSIZE, false));
	CHECK(!dune_vm_fill(pgroot, BORDER + 5 * GIB + PGSIZE, true), "once");
	CHECK(dune_vm_lookup(pgroot, (void *)(BORDER + 5 * GIB), CREATE_NONE, &pte) == 0 && !(*pte & PTE_PS));
	CHECK((*pte & (PTE_P | PTE_W | PTE_U)) == (PTE_P | PTE_W | PTE_U) && PTE_ADDR(*pte) == dune_sys_gpa(BORDER + 5 * GIB));
	dune_vm_unmap(pgroot, (void *)(BORDER + 5 * GIB), BIG_PGSIZE);
	CHECK(!dune_vm_fill(pgroot, BORDER + 5 * GIB + PGSIZE, true) && !truth(pgroot, BORDER + 5 * GIB + PGSIZE));
	CHECK(dune_vm_fill(pgroot, BORDER + 5 * GIB + BIG_PGSIZE, true));
	dune_vm_unmap(pgroot, (void *)(BORDER + 5 * GIB + BIG_PGSIZE), BIG_PGSIZE);
	CHECK(!dune_vm_fill(pgroot, BORDER + 5 * GIB + BIG_PGSIZE, true), "what was unmapped stays so");
	nowhere = BORDER + 6 * GIB;
	CHECK(!dune_vm_fill(pgroot, BORDER + 6 * GIB, true));
	maps[nmaps - 1].begin = BORDER + 6 * GIB;
	maps[nmaps - 1].end = BORDER + 7 * GIB;
	CHECK(dune_vm_populate(pgroot, 0, LOWER_HALF - 1) == 0 && !truth(pgroot, BORDER + 6 * GIB));
	nowhere = 0;
	none = true;
	CHECK(dune_vm_populate(pgroot, 0, LOWER_HALF - 1) == 0 && !truth(pgroot, BORDER + 6 * GIB));
	none = false;
	maps[nmaps - 1].end = BORDER + 71 * GIB;
	CHECK(dune_vm_populate(pgroot, 0, LOWER_HALF - 1) == 0 && !truth(pgroot, BORDER + 6 * GIB));
	nmaps--;
	PASS("defaults: where Linux has something, once, and never again after unmapping");

	/* clones do not get defaults for ring 3 */
	clone = dune_vm_clone(pgroot);
	CHECK(dune_vm_fill(clone, BORDER + 6 * GIB, true));
	CHECK((truth(clone, BORDER + 6 * GIB) & (PTE_P | PTE_W | PTE_U)) == (PTE_P | PTE_W));
	dune_vm_free(clone);
	PASS("a clone's defaults are not for ring 3");

	/* the monitor's */
	maps[nmaps].begin = MON;
	maps[nmaps++].end = MON + BIG_PGSIZE;
	CHECK(dune_vm_populate(pgroot, MON, MON + BIG_PGSIZE - 1) == 0);
	CHECK((truth(pgroot, MON) & (PTE_P | PTE_W | PTE_U)) == (PTE_P | PTE_W));
	CHECK(dune_vm_lookup(pgroot, (void *)MON, CREATE_NORMAL, &pte) == -EINVAL);
	CHECK(dune_vm_lookup(pgroot, (void *)MON, CREATE_BIG, &pte) == -EINVAL);
	CHECK(dune_vm_map_pages(pgroot, (void *)MON, PGSIZE, PERM_R) == -EINVAL);
	CHECK(dune_vm_map_phys(pgroot, (void *)MON, BIG_PGSIZE, (void *)dune_sys_gpa(BORDER), PERM_R | PERM_BIG) == -EINVAL);
	CHECK(dune_vm_insert_page(pgroot, (void *)MON, pages, PERM_R) == -EINVAL && !dune_vm_lookup_page(pgroot, (void *)MON));
	CHECK(dune_vm_mprotect(pgroot, (void *)MON, BIG_PGSIZE, PERM_R | PERM_U) == 0);
	dune_vm_unmap(pgroot, (void *)MON, BIG_PGSIZE);
	nseen = 0;
	CHECK(dune_vm_page_walk(pgroot, (void *)MON, (void *)(MON + BIG_PGSIZE - 1), see, NULL) == 0 && nseen == 0);
	clone = dune_vm_clone(pgroot);
	CHECK(truth(clone, MON) == truth(pgroot, MON));
	CHECK((truth(pgroot, MON) & (PTE_P | PTE_W | PTE_U)) == (PTE_P | PTE_W));
	dune_vm_free(clone);
	nmaps--;
	PASS("the monitor's memory is neither shown nor changed");

	/* copy on write */
	pg = dune_page_alloc();
	memset((void *)dune_page2pa(pg), 7, PGSIZE);
	/* where it can be read at its virtual address, as in the ring */
	CHECK(mmap((void *)va, PGSIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == (void *)va);
	memset((void *)va, 7, PGSIZE);
	CHECK(dune_vm_insert_page(pgroot, (void *)va, pg, PERM_R | PERM_W | PERM_U | PERM_COW) == 0 && pg->ref == 2);
	CHECK(!(truth(pgroot, va) & PTE_W));
	watched = pg;
	dune_vm_default_pgflt_handler(va + 8, FEC_P | FEC_W);
	watched = NULL;
	pg2 = dune_vm_lookup_page(pgroot, (void *)va);
	CHECK(pg2 && pg2 != pg && pg->ref == 1 && pg2->ref == 1 && (truth(pgroot, va) & PTE_W) && !(truth(pgroot, va) & PTE_COW));
	memset(text, 7, PGSIZE);
	CHECK(!memcmp((void *)dune_page2pa(pg2), text, PGSIZE) && segvs == 0);
	n = flushes;
	dune_vm_default_pgflt_handler(va + 8, FEC_P | FEC_W);
	CHECK(segvs == 0 && flushes == n + 1, "another thread was first");
	CHECK(dune_vm_mprotect(pgroot, (void *)va, PGSIZE, PERM_R | PERM_W | PERM_COW) == 0);
	dune_vm_default_pgflt_handler(va, FEC_P | FEC_W | FEC_U);
	CHECK(segvs == 1 && (truth(pgroot, va) & PTE_COW), "not for ring 3");
	dune_vm_default_pgflt_handler(va, FEC_P | FEC_W);
	CHECK(segvs == 1 && dune_vm_lookup_page(pgroot, (void *)va) == pg2 && (truth(pgroot, va) & PTE_W), "the last one needs no copy");
	dune_vm_default_pgflt_handler(va, FEC_P);
	dune_vm_default_pgflt_handler(va + PGSIZE, FEC_W);
	dune_vm_default_pgflt_handler(LOWER_HALF, FEC_W);
	CHECK(dune_vm_mprotect(pgroot, (void *)va, PGSIZE, PERM_R) == 0);
	dune_vm_default_pgflt_handler(va, FEC_P | FEC_W);
	CHECK(segvs == 5);
	/* a big one: a page of it, not all */
	CHECK(dune_vm_map_phys(pgroot, (void *)va, BIG_PGSIZE, (void *)dune_sys_gpa(BORDER), PERM_R | PERM_COW | PERM_BIG) == 0);
	CHECK(pg2->ref == 0, "what was there has lost its reference");
	dune_vm_default_pgflt_handler(va, FEC_P | FEC_W);
	CHECK(segvs == 5 && (truth(pgroot, va) & PTE_W) && (truth(pgroot, va + PGSIZE) & PTE_COW) && dune_vm_lookup_page(pgroot, (void *)va));
	dune_vm_unmap(pgroot, (void *)va, BIG_PGSIZE);
	munmap((void *)va, PGSIZE);
	dune_page_put(pg);
	PASS("copy on write: a copy, or the page itself; anything else is a signal");

	/* what must not be freed */
	dune_vm_free(pgroot);
	dune_vm_free(NULL);
	dune_vm_free((ptent_t *)text);
	loaded = dune_vm_clone(pgroot);
	dune_vm_free(loaded);
	CHECK(truth(loaded, BORDER + 5 * GIB + 2 * BIG_PGSIZE) == 0 && pool_in_use() > 1);
	clone = loaded;
	loaded = pgroot;
	dune_vm_free(clone);
	dune_vm_free(clone);	/* is none any more */
	PASS("roots that are in use are not freed");

	/* tables of a program's own are walked and left alone */
	clone = dune_vm_clone(pgroot);
	big = (ptent_t *)dune_page2pa(dune_page_alloc());
	memset(big, 0, PGSIZE);
	CHECK(dune_vm_lookup(clone, (void *)(va + 3 * BIG_PGSIZE), CREATE_BIG, &pte) == 0);
	*pte = (physaddr_t)big | 7;
	big[3] = dune_sys_gpa(BORDER) | PTE_P;
	nseen = 0;
	CHECK(dune_vm_page_walk(clone, (void *)(va + 3 * BIG_PGSIZE), (void *)(va + 4 * BIG_PGSIZE - 1), see, NULL) == 0);
	CHECK(nseen == 1 && seen[0] == va + 3 * BIG_PGSIZE + 3 * PGSIZE);
	dune_vm_free(clone);
	CHECK(big[3] && dune_pa2page((physaddr_t)big)->ref == 1);
	dune_page_put(dune_pa2page((physaddr_t)big));
	PASS("a table that the program has made is its own");
}

/* --- at random --------------------------------------------------------------------------------------------------------------------------- */

static void step(void)
{
	int r = below(ROOTS), first = below(NPAGES), n, last, i, ret, perm = some_perm(), visits = 0, want = 0;
	struct root *m = &roots[r];
	uintptr_t va;
	ptent_t *pte, pa;
	struct page *pg;

	if (!m->root) {
		struct root *from = &roots[below(ROOTS)];

		if (!from->root)
			return;
		populate(from, 0, NPAGES - 1);
		*m = *from;
		m->user = false;
		m->root = dune_vm_clone(from->root);
		CHECK(m->root);
		return;
	}
	/* short, long, 2 MiB at their places */
	switch (below(4)) {
	case 0:
		n = 1 + below(4);
		break;
	case 1:
		first &= ~511;
		n = 512 * (1 + below(3));
		break;
	default:
		n = 1 + below(700);
	}
	last = first + n - 1 >= NPAGES ? NPAGES - 1 : first + n - 1;
	n = last - first + 1;
	va = FIRST + first * (uint64_t)PGSIZE;

	switch (below(9)) {
	case 0:
		i = below(2);
		ret = dune_vm_mprotect(m->root, (void *)(va + i), n * (uint64_t)PGSIZE - i - below(2), perm);
		CHECK(!ret);
		populate(m, first, last);
		for (i = first; i <= last; i++)
			if (m->touched[i / 512] && m->leaf[i])
				m->leaf[i] = PTE_ADDR(m->leaf[i]) | flags_of(perm & PERM_R ? perm : PERM_NONE);
		break;
	case 1:
		/* memory of the process from elsewhere, over a GiB's end or not */
		pa = BORDER - 3 * BIG_PGSIZE + (below(2) ? 0 : below(512) * PGSIZE);
		ret = dune_vm_map_phys(m->root, (void *)va, n * (uint64_t)PGSIZE, (void *)dune_sys_gpa(pa), perm | (below(2) ? PERM_BIG : 0));
		CHECK(!ret);
		populate(m, first, last);
		made(m, first, last);
		for (i = first; i <= last; i++)
			m->leaf[i] = PTE_ADDR(dune_sys_gpa(pa + (i - first) * (uint64_t)PGSIZE)) | flags_of(perm);
		break;
	case 2:
		if (last > first + 20)
			last = first + 20;
		n = last - first + 1;
		ret = dune_vm_map_pages(m->root, (void *)va, n * (uint64_t)PGSIZE, perm);
		if (!(perm & PERM_R) && perm) {
			CHECK(ret == -EINVAL);
			break;
		}
		CHECK(!ret);
		populate(m, first, last);
		made(m, first, last);
		for (i = first; i <= last; i++) {
			ptent_t v = truth(m->root, FIRST + i * (uint64_t)PGSIZE);

			CHECK(dune_page_isfrompool(PTE_ADDR(v)) && *(char *)PTE_ADDR(v) == 0);
			*(char *)PTE_ADDR(v) = 1;
			m->leaf[i] = PTE_ADDR(v) | flags_of(perm);
		}
		break;
	case 3:
		dune_vm_unmap(m->root, (void *)va, n * (uint64_t)PGSIZE);
		populate(m, first, last);
		for (i = first; i <= last; i++)
			if (m->touched[i / 512])
				m->leaf[i] = 0;
		break;
	case 4:
		pg = dune_page_alloc();
		held[pg - pages]++;
		ret = dune_vm_insert_page(m->root, (void *)va, pg, perm);
		CHECK(!ret);
		populate(m, first, first);
		made(m, first, first);
		m->leaf[first] = dune_page2pa(pg) | flags_of(perm);
		if (below(2)) {
			held[pg - pages]--;
			dune_page_put(pg);
		}
		break;
	case 5:
		i = below(3) ? CREATE_NONE : CREATE_NORMAL;
		ret = dune_vm_lookup(m->root, (void *)va, i, &pte);
		if (i == CREATE_NONE)
			populate(m, first, first);
		else
			populate(m, first & ~511, first | 511);
		if (i == CREATE_NORMAL)
			made(m, first, first);
		if (!m->touched[first / 512]) {
			CHECK(ret == -ENOENT);
			break;
		}
		if (ret == -ENOENT) {
			CHECK(!m->leaf[first]);		/* closed as a whole */
			break;
		}
		CHECK(!ret);
		if (!(*pte & PTE_PS))
			CHECK(*pte == m->leaf[first]);
		break;
	case 6:
		populate(m, first, last);
		for (i = first; i <= last; i++)
			want += m->touched[i / 512] && m->leaf[i];
		CHECK(!dune_vm_page_walk(m->root, (void *)va, (void *)(va + n * (uint64_t)PGSIZE - 1), count, &visits));
		CHECK(want ? visits >= 1 && visits <= want : visits == 0);
		break;
	case 7:
		ret = dune_vm_fill(m->root, va, below(2));
		if (ret)
			touch(m, first / 512);
		break;
	case 8:
		if (r && !below(4)) {
			dune_vm_free(m->root);
			memset(m, 0, sizeof(*m));
		}
		break;
	}
}

int main(int argc, char **argv)
{
	const ptent_t upper[256] = { [0] = 0x1234003, [255] = 0x5678003 };
	int base, i, rounds = 4000;

	seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
	CHECK(dune_page_alloc() == NULL, "no pool yet");
	CHECK(dune_page_init() == 0 && num_pages > 0);
	CHECK(dune_page_init() == -ENOMEM, "the address is taken");
	/* that has failed without harm */
	pages = NULL;
	munmap((void *)PAGEBASE, DUNE_POOL_BYTES);
	num_pages = 0;
	CHECK(dune_page_init() == 0);
	CHECK(dune_vm_init(true, upper) == 0);
	loaded = pgroot;
	CHECK(pgroot[256] == upper[0] && pgroot[511] == upper[255]);
	by_hand();

	base = pool_in_use();
	maps[0].begin = FIRST + 100 * PGSIZE;
	maps[0].end = FIRST + 300 * PGSIZE;
	maps[1].begin = BORDER;
	maps[1].end = BORDER + 5 * PGSIZE;
	nmaps = 2;
	roots[0].root = dune_vm_clone(pgroot);
	for (i = 0; i < NPAGES; i++)
		roots[0].leaf[i] = truth(roots[0].root, FIRST + i * (uint64_t)PGSIZE);
	for (i = 0; i < NPAGES / 512; i++)
		roots[0].touched[i] = roots[0].leaf[i * 512] != 0;
	for (i = 0; i < rounds; i++) {
		step();
		compare();
		tlbs();
	}
	PASS("%d changes of up to %d roots as the model has them", rounds, ROOTS);
	for (i = 0; i < ROOTS; i++)
		dune_vm_free(roots[i].root);
	for (i = 0; i < num_pages && i < 4096; i++)
		while (held[i]) {
			held[i]--;
			dune_page_put(&pages[i]);
		}
	/* pgroot itself has grown by the tables for the window: it was the first clone's source */
	dune_vm_unmap(pgroot, (void *)FIRST, WINDOW);
	CHECK(pool_in_use() <= base + 8, "%d pages of the pool are lost", pool_in_use() - base);
	PASS("no page is lost");
	DONE();
}
