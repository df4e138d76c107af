// SPDX-License-Identifier: MIT
/*
 * self_tables_test.c - the page tables of self-entry against a model
 *
 * The model is an array of the rights and addresses of 4 KiB pages. What tables say is read by a walk of the test's own. Splitting an entry
 * changes nothing of it; running out of pages at any moment leaves tables that say the same; pages given back come again, as zeros.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "self/tables.h"
#include "tap.h"

#define GPA		0x7fc0000000ull
#define FIRST		0x123440000000ull
#define NPAGES		2048		/* 8 MiB: four entries of level 2 */
#define RIGHTS		(SELF_PTE_P | SELF_PTE_W | SELF_PTE_U | SELF_PTE_NX)

static int tap_tests;
static uint64_t seed = 1;
static struct self_tables t;
static uint64_t *root;
static uint64_t model[NPAGES];	/* an entry of level 1 would say it; 0: a hole */

static uint64_t below(uint64_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % n;
}

/* By the manual, and nothing of tables.c. */
static uint64_t walk(uint64_t va)
{
	uint64_t *table = root, e = 0, rights = SELF_PTE_W | SELF_PTE_U, nx = 0;
	int shift;

	for (shift = 39; shift >= 12; shift -= 9) {
		e = table[va >> shift & 511];
		nx |= e & SELF_PTE_NX;
		if (shift > 12 && !(e & (SELF_PTE_P | SELF_PTE_LARGE)))
			return 0;
		if (shift == 12 || (shift <= 30 && (e & SELF_PTE_LARGE)))
			break;
		rights &= e;
		table = (uint64_t *)(uintptr_t)(t.base + ((e & SELF_PTE_ADDR) - t.gpa));
	}
	if (!(e & SELF_PTE_ADDR))
		return 0;
	return ((e & SELF_PTE_ADDR & ~((1ull << shift) - 1)) | (va & ((1ull << shift) - 1) & ~4095ull)) | (e & SELF_PTE_P) |
	       (e & rights) | nx;
}

static void compare(const char *when)
{
	uint64_t i;

	for (i = 0; i < NPAGES; i++)
		CHECK(walk(FIRST + i * 4096) == model[i], "%s, page %llu: %#llx, not %#llx", when, (unsigned long long)i,
		      (unsigned long long)walk(FIRST + i * 4096), (unsigned long long)model[i]);
}

static void make(unsigned int pages)
{
	uint64_t *pdpt, *pd, i;

	t = (struct self_tables){ .base = t.base, .gpa = GPA, .size = pages * 4096ull, .unused = 4096 };
	memset((void *)(uintptr_t)t.base, 0xa5, t.size);
	root = self_table_alloc(&t);
	pdpt = self_table_alloc(&t);
	pd = self_table_alloc(&t);
	CHECK(root && pdpt && pd);
	root[FIRST >> 39 & 511] = self_table_gpa(&t, pdpt) | SELF_PTE_TABLE;
	pdpt[FIRST >> 30 & 511] = self_table_gpa(&t, pd) | SELF_PTE_TABLE;
	for (i = 0; i < 3; i++)
		pd[(FIRST >> 21 & 511) + i] = (0x40000000ull + (i << 21)) | SELF_PTE_TABLE | SELF_PTE_LARGE;
	for (i = 0; i < NPAGES; i++)
		model[i] = i < 3 * 512 ? (0x40000000ull + i * 4096) | SELF_PTE_TABLE : 0;
	compare("made");
}

static void pages(void)
{
	uint64_t *a[8], *b;
	int i, j;

	t = (struct self_tables){ .base = t.base, .gpa = GPA, .size = 9 * 4096, .unused = 4096 };
	memset((void *)(uintptr_t)t.base, 0xff, t.size);
	for (i = 0; i < 8; i++) {
		a[i] = self_table_alloc(&t);
		CHECK(a[i]);
		CHECK(self_table_at(&t, self_table_gpa(&t, a[i]) | 0xfff0000000000fffull) == a[i]);
		for (j = 0; j < 512; j++)
			CHECK(!a[i][j]);
		memset(a[i], i + 1, 4096);
	}
	CHECK(!self_table_alloc(&t));
	self_table_free(&t, a[3]);
	self_table_free(&t, a[5]);
	b = self_table_alloc(&t);
	CHECK(b == a[5]);
	for (j = 0; j < 512; j++)
		CHECK(!b[j]);
	CHECK(self_table_alloc(&t) == a[3]);
	CHECK(!self_table_alloc(&t));
	for (j = 0; j < 512; j++)
		CHECK(a[4][j] == 0x0505050505050505ull);
	CHECK(!self_table_at(&t, GPA - 4096));
	CHECK(!self_table_at(&t, GPA + t.size));
	PASS("pages of tables are zero, come back, and end");
}

static void addresses(void)
{
	int level;

	make(64);
	CHECK(!self_entry(&t, root, 0x800000000000ull, &level));
	CHECK(!self_entry(&t, root, 0xffff7fffffffffffull, &level));
	CHECK(self_entry(&t, root, 0xffff800000000000ull, &level) == &root[256] && level == 4);
	CHECK(self_entry(&t, root, 0x7fffffffffffull, &level) == &root[255] && level == 4);
	CHECK(self_entry(&t, root, FIRST, &level) && level == 2);
	CHECK(!self_entry_make(&t, root, 0x800000000000ull));
	/* a table of somebody else's */
	root[7] = (GPA + t.size) | SELF_PTE_TABLE;
	CHECK(!self_entry(&t, root, 7ull << 39, &level));
	CHECK(!self_entry_make(&t, root, 7ull << 39));
	PASS("addresses that are none, tables that are not ours");
}

static void splits(unsigned int npages, unsigned int rounds)
{
	unsigned int failed = 0, made = 0, i, k;
	uint64_t *entry, e;
	int level;

	make(npages);
	for (i = 0; i < rounds; i++) {
		k = below(NPAGES);
		entry = self_entry(&t, root, FIRST + k * 4096, &level);
		CHECK(entry);
		if (level == 2 && below(4) == 0 && (*entry & SELF_PTE_LARGE)) {
			/* rights of a large one, present or not: the address stays */
			e = (*entry & ~RIGHTS) | (SELF_PTE_TABLE & (below(2) ? ~0ull : ~SELF_PTE_P)) | (below(2) ? SELF_PTE_NX : 0);
			*entry = e;
			for (k &= ~511u, level = 0; level < 512; level++, k++)
				model[k] = (model[k] & SELF_PTE_ADDR) | (e & RIGHTS);
			continue;
		}
		entry = self_entry_make(&t, root, FIRST + k * 4096);
		compare("made an entry");
		if (!entry) {
			failed++;
			continue;
		}
		made++;
		CHECK(self_entry(&t, root, FIRST + k * 4096, &level) == entry && level == 1);
		CHECK(self_entry_make(&t, root, FIRST + k * 4096) == entry);
		model[k] = (0x50000000ull + below(1 << 20) * 4096) | (below(2) ? SELF_PTE_P : 0) | (below(2) ? SELF_PTE_W : 0) |
			   SELF_PTE_U | (below(2) ? SELF_PTE_NX : 0);
		*entry = model[k];
	}
	compare("at the end");
	PASS("%u pages: %u entries made, %u times no memory", npages, made, failed);
}

int main(int argc, char **argv)
{
	unsigned int n;

	if (argc > 1)
		seed = strtoull(argv[1], NULL, 0) | 1;
	t.base = (uintptr_t)aligned_alloc(4096, 64 * 4096);
	pages();
	addresses();
	for (n = 4; n < 10; n++)
		splits(n, 200);
	splits(64, 2000);
	free((void *)(uintptr_t)t.base);
	DONE();
}
