// SPDX-License-Identifier: MIT
/*
 * pgtable_test.c - page tables against an array
 *
 * The model knows for each page of a few stretches of the address space (so that all levels are
 * crossed) what its entry must be. Every operation is done on both.
 */
#include "core.h"
#include "../../userland/guest/mm/page_alloc.h"
#include "../../userland/guest/mm/pgtable.h"

#define STRETCH		2048u	/* pages in each: four tables */
#define NSTRETCH	3
#define NPAGES		(STRETCH * NSTRETCH)

/* Across a border of level 2, of level 3 and of level 4. */
static const u64 stretch_base[NSTRETCH] = { 0x10000000 - 0x400000, 0x7fc0000000ul - 0x400000,
					    0x8000000000ul - 0x400000 };
static pte_t model[NPAGES];
static struct pgtable pt;

static u64 va_of(u32 i)
{
	return stretch_base[i / STRETCH] + (u64)(i % STRETCH) * PAGE_SIZE;
}

static pte_t new_leaf(void)
{
	struct page *p = page_alloc();

	CHECK(p);
	return page_gpa(p) | PTE_P | PTE_U | PTE_OWNED |
	       (rnd() & (PTE_W | PTE_A | PTE_D)) | (rnd() & 1 ? PTE_NX : 0);
}

/* A range of pages within one stretch. */
static void pick(u32 *from, u32 *to)
{
	u32 s = rnd_below(NSTRETCH) * STRETCH, a = rnd_below(STRETCH),
		n = 1 + rnd_below(rnd_below(8) ? 40 : 1500);

	*from = s + a;
	*to = s + min(a + n, STRETCH);
}

static void check_all(void)
{
	u64 mapped = 0;

	for (u32 i = 0; i < NPAGES; i++) {
		int level;
		pte_t *slot = pgtable_lookup(&pt, va_of(i), &level), e;

		e = slot ? *slot : 0;
		if (slot && level == 2)
			e = (e & ~PTE_PS) + (va_of(i) & (HUGE_SIZE - 1));
		CHECK(e == model[i], "page %u: %#lx instead of %#lx", i, e, model[i]);
		mapped += !!e;
	}
	CHECK(pt.mapped == mapped);
	pgtable_check(&pt);
	page_alloc_check();
}

static void op_map(u32 from, u32 to)
{
	for (u32 i = from; i < to; i++) {
		pte_t e;

		if (model[i])
			continue;
		e = new_leaf();
		if (rnd() & 1) {
			CHECK(pgtable_map(&pt, va_of(i), e, 1));
		} else {
			pte_t *slot = pgtable_leaf(&pt, va_of(i));

			CHECK(slot && !*slot);
			pgtable_set(&pt, va_of(i), slot, e);
		}
		model[i] = e;
	}
}

static void op_map_huge(u32 from)
{
	u32 first = (va_of(from) & ~(HUGE_SIZE - 1)) < stretch_base[from / STRETCH] ? from :
		    from - (va_of(from) & (HUGE_SIZE - 1)) / PAGE_SIZE;
	struct page *p;
	pte_t e;

	if (va_of(first) & (HUGE_SIZE - 1) || first / STRETCH != (first + 511) / STRETCH)
		return;
	for (u32 i = first; i < first + 512; i++)
		if (model[i])
			return;
	p = page_alloc_run(512, 512);
	if (!p)
		return;
	e = page_gpa(p) | PTE_P | PTE_U | PTE_OWNED | PTE_W;
	/* A table without entries may be in the way; unmapping removes it. */
	pgtable_unmap(&pt, va_of(first), va_of(first) + HUGE_SIZE);
	CHECK(pgtable_map(&pt, va_of(first), e, 2));
	for (u32 i = 0; i < 512; i++)
		model[first + i] = e + i * PAGE_SIZE;
}

static void op_move(u32 from, u32 to)
{
	u32 s = rnd_below(NSTRETCH) * STRETCH, n = to - from, at;

	if (n > STRETCH / 2)
		return;
	at = s + rnd_below(STRETCH - n);
	if (at < to && from < at + n)
		return;
	for (u32 i = 0; i < n; i++)
		if (model[at + i])
			return;
	CHECK(pgtable_move(&pt, va_of(from), va_of(at), (u64)n * PAGE_SIZE));
	memcpy(model + at, model + from, n * sizeof(model[0]));
	memset(model + from, 0, n * sizeof(model[0]));
}

static void test_random(void)
{
	u64 before, i, moves = 0, huge = 0;

	core_init(0x100000);
	page_alloc_init(ARENA_SIZE, 0x100000, false);
	before = pages_free();
	CHECK(pgtable_create(&pt));
	for (i = 0; i < 60000; i++) {
		u32 from, to, k;
		pte_t clear, set;

		pick(&from, &to);
		switch (rnd_below(8)) {
		case 0:
		case 1:
			if (to - from < 600)
				op_map(from, to);
			break;
		case 2:
		case 3:
		case 4:
			pgtable_unmap(&pt, va_of(from), va_of(from) + (u64)(to - from) * PAGE_SIZE);
			memset(model + from, 0, (to - from) * sizeof(model[0]));
			break;
		case 5:
			clear = rnd() & (PTE_P | PTE_W | PTE_NX);
			set = rnd() & (PTE_P | PTE_NX) & ~clear;
			CHECK(pgtable_protect(&pt, va_of(from),
					      va_of(from) + (u64)(to - from) * PAGE_SIZE, clear,
					      	set));
			for (k = from; k < to; k++)
				if (model[k])
					model[k] = (model[k] & ~clear) | set;
			break;
		case 6:
			op_move(from, to);
			moves++;
			break;
		case 7:
			op_map_huge(from);
			huge++;
			break;
		}
		if (i % 500 == 0)
			check_all();
	}
	check_all();
	{
		static char text[1 << 20];
		struct textbuf t = TEXTBUF(text);

		pgtable_dump(&pt, &t);
		CHECK(strstr(text, "page table ") && !t.lost);
	}
	pgtable_destroy(&pt);
	CHECK(pages_free() == before);
	memset(model, 0, sizeof(model));
	PASS("page tables: %lu random operations as the model says, nothing leaked", i);
}

static void test_iterator(void)
{
	struct pt_iter it;
	u64 seen = 0;

	core_init(0x100000);
	page_alloc_init(ARENA_SIZE, 0x100000, false);
	CHECK(pgtable_create(&pt));
	/* An empty table is one hole per top-level entry. */
	for (pt_iter_start(&it, &pt, 0, 1ull << 47); pt_iter_valid(&it); pt_iter_next(&it)) {
		CHECK(it.level == 4 && !*it.pte && it.va == seen << 39);
		seen++;
	}
	CHECK(seen == 256);
	CHECK(pgtable_map(&pt, 0x8000000000ul - PAGE_SIZE, new_leaf(), 1));
	CHECK(pgtable_map(&pt, 0x8000000000ul, new_leaf(), 1));
	CHECK(pt.tables == 7);
	seen = 0;
	for (pt_iter_start(&it, &pt, 0x7ffffff000ul,
			   0x8000001000ul); pt_iter_valid(&it); pt_iter_next(&it)) {
		CHECK(it.level == 1 && *it.pte);
		seen++;
	}
	CHECK(seen == 2);
	pt_iter_start(&it, &pt, 5, 5);
	CHECK(!pt_iter_valid(&it));
	tlb_flushes = 0;
	pgtable_unmap(&pt, 0, 1ull << 47);
	CHECK(tlb_flushes && pt.tables == 1);
	pgtable_destroy(&pt);
	PASS("iterator: holes by level, borders, empty ranges; unmapping flushes");
}

static void test_no_memory(void)
{
	u64 left;

	core_init(0x100000);
	page_alloc_init(ARENA_SIZE, 0x100000, false);
	CHECK(pgtable_create(&pt));
	while (pages_free() > 2)
		CHECK(page_alloc());
	CHECK(!pgtable_leaf(&pt, 0x1000) && !pgtable_leaf(&pt, 0x1000));
	left = pages_free();
	CHECK(left == 0);
	pgtable_check(&pt);
	/* The tables that were made in vain go when their range does. */
	pgtable_unmap(&pt, 0, 1ull << 47);
	CHECK(pages_free() == 2 && pt.tables == 1);
	pgtable_destroy(&pt);
	PASS("no memory for tables: an error, and nothing is lost");
}

int main(int argc, char **argv)
{
	rnd_seed(argc > 1 ? strtoul(argv[1], NULL, 0) : 1);
	test_random();
	test_iterator();
	test_no_memory();
	DONE();
}
