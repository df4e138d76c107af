// SPDX-License-Identifier: MIT
/*
 * page_alloc_test.c - the page allocator and kmalloc: random work on several CPUs, exact counts
 */
#include "core.h"
#include "../../userland/guest/lib/refstr.h"
#include "../../userland/guest/mm/kmalloc.h"
#include "../../userland/guest/mm/page_alloc.h"

#define FREE_GPA	0x345000u
#define MAX_HELD	20000

static struct page *held[MAX_HELD];
static u32 nheld;

static void hold(struct page *p)
{
	CHECK(p && p->refs == 1 && gpa_is_arena(page_gpa(p)) && page_gpa(p) >= FREE_GPA);
	/* Marked so that a page handed out twice shows. */
	*(u64 *)page_ptr(p) = page_gpa(p) | 1;
	held[nheld++] = p;
}

static void drop(u32 i)
{
	struct page *p = held[i];

	CHECK(*(u64 *)page_ptr(p) == (page_gpa(p) | 1), "page %#lx was overwritten", page_gpa(p));
	held[i] = held[--nheld];
	page_put(p);
}

static bool all_zero(struct page *p)
{
	const u64 *w = page_ptr(p);

	for (int i = 0; i < 512; i++)
		if (w[i])
			return false;
	return true;
}

static void test_random(bool debug)
{
	u64 total, i;

	core_init(FREE_GPA);
	page_alloc_init(ARENA_SIZE, FREE_GPA, debug);
	total = pages_total();
	CHECK(total < ARENA_SIZE >> PAGE_SHIFT && pages_free() == total);
	page_alloc_check();
	nheld = 0;
	for (i = 0; i < (debug ? 100000 : 400000); i++) {
		/*
		 * Phases of growing and shrinking, so that all paths between lists and pool are
		 * taken.
		 */
		bool grow = rnd_below(100) < (i / 20000 % 2 ? 35 : 65);

		core_cpu(rnd_below(4));
		if (grow && nheld < 14000) {
			switch (rnd_below(16)) {
			case 0: {
				size_t n = 1 + rnd_below(9), k;
				struct page *p = page_alloc_run(n, 1ul << rnd_below(4));

				for (k = 0; p && k < n; k++)
					hold(p + k);
				break;
			}
			case 1: {
				struct page *p = page_alloc_zeroed();

				CHECK(all_zero(p) && !p->flags);
				hold(p);
				break;
			}
			default:
				hold(page_alloc());
			}
		} else if (nheld) {
			drop(rnd_below(nheld));
		}
		CHECK(pages_free() == total - nheld);
		if (i % 10000 == 0)
			page_alloc_check();
	}
	while (nheld) {
		core_cpu(rnd_below(4));
		drop(nheld - 1);
	}
	CHECK(pages_free() == total);
	page_alloc_check();
	PASS("page allocator%s: %lu random operations on 4 CPUs, counts exact, "
	     "%lu requests gave %lu MiB back",
	     debug ? " with junk" : "", i, host_releases, host_released_bytes >> 20);
}

static void test_exhaustion(void)
{
	u64 total, n = 0;
	struct page *p;

	core_init(FREE_GPA);
	page_alloc_init(ARENA_SIZE, FREE_GPA, false);
	total = pages_total();
	/* Leave pages on other CPUs' shelves: they must be found. */
	core_cpu(1);
	while (nheld < 2000)
		hold(page_alloc());
	while (nheld)
		drop(0);
	core_cpu(0);
	while ((p = page_alloc())) {
		held[nheld++] = p;
		n++;
	}
	/* What another CPU has on its private stack stays there. */
	CHECK(n >= total - PCP_MAX && n <= total && rs_page_cpus[0].steals, "%lu of %lu", n, total);
	CHECK(!page_alloc() && !page_alloc_zeroed() && !page_alloc_run(2, 1) &&
	      pages_free() == total - n);
	page_alloc_check();
	while (nheld)
		page_put(held[--nheld]);
	CHECK(pages_free() == total && pages_peak() >= n);
	p = page_alloc_run(512, 512);
	CHECK(p && page_gpa(p) % HUGE_SIZE == 0);
	for (int i = 0; i < 512; i++)
		page_put(p + i);
	CHECK(!page_alloc_run(0, 1) && !page_alloc_run(513, 1) && !page_alloc_run(1, 3) &&
	      !page_alloc_run(1, 1024));
	page_alloc_check();
	PASS("page allocator: the last page, stealing, nothing left, all back, runs");
}

/* Fresh memory comes block by block, in order, and needs no clearing. */
static void test_order(void)
{
	u64 jumps = 0, cleared = 0, last = 0;

	core_init(FREE_GPA);
	page_alloc_init(ARENA_SIZE, FREE_GPA, false);
	for (int i = 0; i < 4096; i++) {
		struct page *p = page_alloc();

		jumps += i && page_gpa(p) != last + PAGE_SIZE;
		cleared += !(p->flags & PG_ZEROED);
		last = page_gpa(p);
	}
	CHECK(jumps == 0 && cleared == 0, "%lu jumps, %lu cleared", jumps, cleared);
	PASS("fresh pages: 16 MiB in order, known to be zero");
}

/* Whole free blocks go back to Linux, not one by one, and come again as zeros. */
static void test_release(void)
{
	static struct page *p[14000];
	u64 first;
	u32 n;

	core_init(FREE_GPA);
	page_alloc_init(ARENA_SIZE, FREE_GPA, false);
	for (n = 0; n < ARRAY_SIZE(p); n++) {
		p[n] = page_alloc();
		memset(page_ptr(p[n]), 0xff, PAGE_SIZE);
	}
	for (n = 0; n < ARRAY_SIZE(p); n++)
		page_put(p[n]);
	page_alloc_check();
	CHECK(host_releases && host_releases <= 4, "%lu requests", host_releases);
	CHECK(host_released_bytes >= 8 * HUGE_SIZE, "%lu bytes", host_released_bytes);
	first = host_releases;
	/* At the edge nothing goes back and forth. */
	for (int round = 0; round < 100; round++) {
		for (n = 0; n < 1024; n++)
			p[n] = page_alloc();
		while (n)
			page_put(p[--n]);
	}
	CHECK(host_releases - first <= 1, "%lu requests", host_releases - first);
	for (n = 0, first = 0; n < ARRAY_SIZE(p); n++) {
		p[n] = page_alloc();
		CHECK(p[n]);
		if (p[n]->flags & PG_ZEROED) {
			CHECK(all_zero(p[n]));
			first++;
		}
	}
	/* What was given back need not be cleared again. */
	CHECK(first >= 8 * PAGES_PER_HUGE, "%lu pages known to be zero", first);
	page_alloc_check();
	PASS("free blocks go back to Linux in few requests and come again as zeros");
}

static void test_refs(void)
{
	struct page *p;
	u64 before;

	core_init(FREE_GPA);
	page_alloc_init(ARENA_SIZE, FREE_GPA, false);
	before = pages_free();
	p = page_alloc();
	page_get(p);
	page_get(p);
	CHECK(p->refs == 3);
	page_put(p);
	page_put(p);
	CHECK(p->refs == 1 && pages_free() == before - 1);
	page_put(p);
	CHECK(p->refs == 0 && pages_free() == before);
	page_get(gpa_page(0));
	page_put(gpa_page(0));
	page_put(gpa_page(0));
	CHECK(gpa_page(0)->flags == PG_FIXED && gpa_page(0)->refs);
	PASS("references; fixed pages are never freed");
}

static void test_junk(void)
{
	struct page *p;

	core_init(FREE_GPA);
	page_alloc_init(ARENA_SIZE, FREE_GPA, true);
	p = page_alloc();
	page_put(p);
	CHECK(*(u64 *)page_ptr(p) == 0xa5a5a5a5a5a5a5a5ull);
	((u8 *)page_ptr(p))[1234] = 0;
	EXPECT_PANIC(page_alloc());
	PASS("junk: a write to a free page is found");
}

static void test_kmalloc(void)
{
	enum { N = 3000 };
	static struct {
		u8 *p;
		size_t n;
		u8 tag;
	} obj[N];
	u64 before, base;

	core_init(FREE_GPA);
	page_alloc_init(ARENA_SIZE, FREE_GPA, false);
	before = pages_free();
	base = kmalloc_in_use();
	for (int i = 0; i < 300000; i++) {
		u32 k = rnd_below(N);

		if (obj[k].p) {
			for (size_t j = 0; j < obj[k].n; j++)
				CHECK(obj[k].p[j] == obj[k].tag);
			if (rnd_below(4) == 0) {
				size_t n = 1 + rnd_below(3000), keep = min(n, obj[k].n);

				obj[k].p = krealloc(obj[k].p, n);
				CHECK(obj[k].p);
				for (size_t j = 0; j < keep; j++)
					CHECK(obj[k].p[j] == obj[k].tag);
				memset(obj[k].p, obj[k].tag, n);
				obj[k].n = n;
				continue;
			}
			kfree(obj[k].p);
			obj[k].p = NULL;
		} else {
			obj[k].n = rnd_below(50) ? 1 + rnd_below(600) : 1 + rnd_below(20000);
			obj[k].tag = rnd();
			obj[k].p = kmalloc(obj[k].n);
			CHECK(obj[k].p && (u64)obj[k].p % 16 == 0);
			memset(obj[k].p, obj[k].tag, obj[k].n);
		}
		if (i % 5000 == 0)
			page_alloc_check();
	}
	for (int k = 0; k < N; k++) {
		kfree(obj[k].p);
		obj[k].p = NULL;
	}
	CHECK(kmalloc_in_use() == base);
	/* A class keeps one empty slab at most. */
	CHECK(before - pages_free() <= 14, "%lu pages are gone", before - pages_free());
	CHECK(!kmalloc(0) && !kmalloc(HUGE_SIZE + 1));
	kfree(NULL);
	page_alloc_check();
	PASS("kmalloc: 300000 random operations, contents kept, all back");
}

int main(int argc, char **argv)
{
	rnd_seed(argc > 1 ? strtoul(argv[1], NULL, 0) : 1);
	test_random(false);
	test_random(true);
	test_exhaustion();
	test_order();
	test_release();
	test_refs();
	test_junk();
	test_kmalloc();
	DONE();
}
