// SPDX-License-Identifier: GPL-2.0-only
/*
 * pgtable_kunit.c - the nested table over every entry format
 *
 * Two judges that know nothing of pgtable.c's ways: audit() walks the raw pages recursively and
 * counts tables and entries; the random test keeps a flat array of what each 4 KiB page should
 * translate to. No leaf's address is ever dereferenced, so any number does.
 */
#include <kunit/test.h>
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/prandom.h>
#include "mmu/pgtable.h"
#include "svm/svm.h"
#include "tests/formats.h"
#include "vmx/vmx.h"

struct table_case {
	const struct rs_pte_format *fmt;
	int levels;
};

static const struct table_case table_cases[] = {
	{ &test_npt, 4 }, { &test_npt, 5 }, { &test_npt_sme, 4 }, { &test_ept, 4 }, { &test_ept_old,
										     4 },
};

static void case_name(const struct table_case *c, char *desc)
{
	snprintf(desc, KUNIT_PARAM_DESC_SIZE, "%s, %d levels", c->fmt->name, c->levels);
}

KUNIT_ARRAY_PARAM(table, table_cases, case_name);

/* One table under test, with what dropped() was told. */
struct bench {
	struct rs_pgtable pt;
	struct rs_pt_cache cache;
	struct rs_pt_gather g;
	u64 dropped, dropped_dirty, dropped_accessed;
	const struct table_case *c;
};

static struct bench *to_bench(struct rs_pgtable *pt)
{
	return container_of(pt, struct bench, pt);
}

static void note_dropped(struct rs_pgtable *pt, rs_npte_t old, int level)
{
	struct bench *b = to_bench(pt);

	b->dropped++;
	b->dropped_dirty += !!(rs_npte_val(old) & pt->fmt->dirty);
	b->dropped_accessed += !!(rs_npte_val(old) & pt->fmt->accessed);
}

static int bench_init(struct kunit *test)
{
	struct bench *b = kunit_kzalloc(test, sizeof(*b), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, b);
	INIT_LIST_HEAD(&b->cache.pages);
	INIT_LIST_HEAD(&b->g.tables);
	test->priv = b;
	return 0;
}

static void bench_exit(struct kunit *test)
{
	struct bench *b = test->priv;

	rs_pt_destroy(&b->pt);
	rs_pt_cache_free(&b->cache);
	rs_pt_gather_free(&b->g);
}

static struct bench *begin(struct kunit *test)
{
	struct bench *b = test->priv;

	b->c = test->param_value;
	KUNIT_ASSERT_EQ(test, rs_pt_init(&b->pt, b->c->fmt, b->c->levels, NULL, note_dropped), 0);
	KUNIT_ASSERT_EQ(test, rs_pt_cache_fill(&b->cache, 8), 0);
	return b;
}

static u64 gathered(struct bench *b)
{
	struct list_head *l;
	u64 n = 0;

	list_for_each(l, &b->g.tables)
		n++;
	return n;
}

/* Forget what was gathered, so that the next step is judged alone. */
static void settle(struct bench *b)
{
	rs_pt_gather_free(&b->g);
	b->g.zapped = 0;
	b->g.flush = false;
}

/* As the fault path does it: fill the cache when told to, then again. */
static int map(struct bench *b, u64 gpa, u64 pa, int level, bool write)
{
	struct rs_pt_leaf leaf = { .gpa = gpa, .pa = pa, .level = level, .write = write };
	int ret;

	while ((ret = rs_pt_map(&b->pt, &leaf, &b->cache, &b->g)) > 0) {
		ret = rs_pt_cache_fill(&b->cache, ret);
		if (ret)
			return ret;
	}
	return ret;
}

static u64 *table_at(const struct rs_pte_format *f, u64 entry)
{
	return phys_to_virt(entry & GENMASK_ULL(51, 12) & ~f->sme);
}

/*
 * Tables below and including @table; checks each table's entry count and that none but the root is
 * empty.
 */
static u64 audit_table(struct kunit *test, struct bench *b, u64 *table, int level, bool root,
		       u64 *leaves)
{
	const struct rs_pte_format *f = b->pt.fmt;
	unsigned int i, present = 0;
	u64 tables = 1;

	for (i = 0; i < 512; i++) {
		u64 e = table[i];

		if (!(e & f->present)) {
			KUNIT_EXPECT_EQ(test, e, 0ull);
			continue;
		}
		present++;
		KUNIT_EXPECT_EQ(test, e & f->sme, f->sme);
		if (level == 1 || (e & f->huge)) {
			(*leaves)++;
			KUNIT_EXPECT_EQ(test, e & f->leaf, f->leaf);
			KUNIT_EXPECT_LE(test, level, 2);
		} else {
			KUNIT_EXPECT_EQ(test, e & f->table, f->table);
			tables += audit_table(test, b, table_at(f, e), level - 1, false, leaves);
		}
	}
	KUNIT_EXPECT_EQ(test, (u64)present, (u64)page_private(virt_to_page(table)));
	if (!root)
		KUNIT_EXPECT_GT(test, present, 0u);
	return tables;
}

static u64 audit(struct kunit *test, struct bench *b)
{
	u64 leaves = 0, tables = audit_table(test, b, page_address(b->pt.root), b->pt.levels, true,
					     &leaves);

	KUNIT_EXPECT_EQ(test, tables, b->pt.nr_tables);
	KUNIT_EXPECT_EQ(test, leaves, b->pt.nr_leaves[1] + b->pt.nr_leaves[2]);
	return leaves;
}

static void expect_maps(struct kunit *test, struct bench *b, u64 gpa, u64 pa, int level, bool write)
{
	const struct rs_pte_format *f = b->pt.fmt;
	rs_npte_t e;
	int l = 0;

	if (!rs_pt_lookup(&b->pt, gpa, &e, &l)) {
		KUNIT_FAIL(test, "%llx is not mapped", gpa);
		return;
	}
	KUNIT_EXPECT_EQ(test, l, level);
	KUNIT_EXPECT_EQ(test, rs_npte_pa(f, e) + (gpa & (rs_npt_size(l) - 1)), pa);
	KUNIT_EXPECT_EQ(test, !!(rs_npte_val(e) & f->write), write);
	KUNIT_EXPECT_EQ(test, rs_npte_val(e) & f->read, f->read);
	KUNIT_EXPECT_EQ(test, rs_npte_val(e) & f->exec, f->exec);
	KUNIT_EXPECT_EQ(test, rs_npte_val(e) & f->noexec, 0ull);
}

#define PA	0x12340000ull
#define SZ_2M_	(2ull << 20)

static void map_and_lookup(struct kunit *test)
{
	struct bench *b = begin(test);
	u64 last = (1ull << (12 + 9 * b->c->levels)) - 4096;

	KUNIT_EXPECT_FALSE(test, rs_pt_lookup(&b->pt, 0, NULL, NULL));
	KUNIT_EXPECT_EQ(test, map(b, 0, PA, 1, false), 0);
	KUNIT_EXPECT_EQ(test, map(b, last, PA + 4096, 1, true), 0);
	expect_maps(test, b, 0, PA, 1, false);
	expect_maps(test, b, 0xfff, PA + 0xfff, 1, false);
	expect_maps(test, b, last, PA + 4096, 1, true);
	KUNIT_EXPECT_FALSE(test, rs_pt_lookup(&b->pt, 4096, NULL, NULL));
	KUNIT_EXPECT_FALSE(test, rs_pt_lookup(&b->pt, last - 1, NULL, NULL));
	/* beyond what the table can translate: no wrap to 0 */
	KUNIT_EXPECT_FALSE(test, rs_pt_lookup(&b->pt, last + 4096, NULL, NULL));
	KUNIT_EXPECT_FALSE(test, rs_pt_lookup(&b->pt, ~0ull, NULL, NULL));

	/* again: there already; more rights: written; fewer rights: what is there suffices */
	KUNIT_EXPECT_EQ(test, map(b, 0, PA, 1, false), -EEXIST);
	KUNIT_EXPECT_EQ(test, map(b, 0, PA, 1, true), 0);
	expect_maps(test, b, 0, PA, 1, true);
	KUNIT_EXPECT_EQ(test, map(b, 0, PA, 1, false), -EEXIST);
	expect_maps(test, b, 0, PA, 1, true);
	KUNIT_EXPECT_FALSE(test, b->g.flush);
	KUNIT_EXPECT_EQ(test, b->g.zapped, 0ull);
	KUNIT_EXPECT_EQ(test, audit(test, b), 2ull);
}

/* Without the right to execute; it comes later, beside the right to write, in either order. */
static void map_without_exec(struct kunit *test)
{
	struct bench *b = begin(test);
	const struct rs_pte_format *f = b->c->fmt;
	struct rs_pt_leaf leaf = { .gpa = 0x5000, .pa = PA, .level = 1, .noexec = true };
	rs_npte_t e;

	KUNIT_ASSERT_EQ(test, rs_pt_cache_fill(&b->cache, 4), 0);
	KUNIT_EXPECT_EQ(test, rs_pt_map(&b->pt, &leaf, &b->cache, &b->g), 0);
	KUNIT_EXPECT_TRUE(test, rs_pt_lookup(&b->pt, 0x5000, &e, NULL));
	KUNIT_EXPECT_FALSE(test, rs_npte_executable(f, e));
	KUNIT_EXPECT_FALSE(test, rs_npte_writable(f, e));
	KUNIT_EXPECT_EQ(test, rs_pt_map(&b->pt, &leaf, &b->cache, &b->g), -EEXIST);

	/* to write, and dirty */
	leaf.write = leaf.dirty = true;
	KUNIT_EXPECT_EQ(test, rs_pt_map(&b->pt, &leaf, &b->cache, &b->g), 0);
	KUNIT_EXPECT_TRUE(test, rs_pt_lookup(&b->pt, 0x5000, &e, NULL));
	KUNIT_EXPECT_FALSE(test, rs_npte_executable(f, e));
	KUNIT_EXPECT_TRUE(test, rs_npte_writable(f, e));

	/* to execute; the right to write and the dirty bit stay */
	leaf.write = leaf.dirty = leaf.noexec = false;
	KUNIT_EXPECT_EQ(test, rs_pt_map(&b->pt, &leaf, &b->cache, &b->g), 0);
	KUNIT_EXPECT_TRUE(test, rs_pt_lookup(&b->pt, 0x5000, &e, NULL));
	KUNIT_EXPECT_TRUE(test, rs_npte_executable(f, e));
	KUNIT_EXPECT_TRUE(test, rs_npte_writable(f, e));
	KUNIT_EXPECT_EQ(test, rs_npte_val(e) & f->dirty, f->dirty);
	KUNIT_EXPECT_EQ(test, rs_npte_pa(f, e), PA);
	leaf.noexec = true;
	KUNIT_EXPECT_EQ(test, rs_pt_map(&b->pt, &leaf, &b->cache, &b->g), -EEXIST);

	/* the other way round: executable first */
	leaf = (struct rs_pt_leaf) { .gpa = 0x6000, .pa = PA + 4096, .level = 1 };
	KUNIT_EXPECT_EQ(test, rs_pt_map(&b->pt, &leaf, &b->cache, &b->g), 0);
	leaf.write = leaf.noexec = true;
	KUNIT_EXPECT_EQ(test, rs_pt_map(&b->pt, &leaf, &b->cache, &b->g), 0);
	KUNIT_EXPECT_TRUE(test, rs_pt_lookup(&b->pt, 0x6000, &e, NULL));
	KUNIT_EXPECT_TRUE(test, rs_npte_executable(f, e));
	KUNIT_EXPECT_TRUE(test, rs_npte_writable(f, e));
	KUNIT_EXPECT_FALSE(test, b->g.flush);
	KUNIT_EXPECT_EQ(test, audit(test, b), 2ull);
}

/* Without pages for the tables nothing changes, and the number asked for is exact. */
static void map_asks_for_pages(struct kunit *test)
{
	struct bench *b = begin(test);
	struct rs_pt_leaf leaf = { .gpa = 0x40000000, .pa = PA, .level = 1 };
	int need = b->c->levels - 1;

	rs_pt_cache_free(&b->cache);
	KUNIT_EXPECT_EQ(test, rs_pt_map(&b->pt, &leaf, &b->cache, &b->g), need);
	KUNIT_ASSERT_EQ(test, rs_pt_cache_fill(&b->cache, need - 1), 0);
	KUNIT_EXPECT_EQ(test, rs_pt_map(&b->pt, &leaf, &b->cache, &b->g), need);
	KUNIT_EXPECT_EQ(test, b->cache.nr, need - 1);
	KUNIT_EXPECT_EQ(test, b->pt.nr_tables, 1ull);
	KUNIT_EXPECT_EQ(test, audit(test, b), 0ull);
	KUNIT_ASSERT_EQ(test, rs_pt_cache_fill(&b->cache, need), 0);
	KUNIT_EXPECT_EQ(test, rs_pt_map(&b->pt, &leaf, &b->cache, &b->g), 0);
	KUNIT_EXPECT_EQ(test, b->cache.nr, 0);
	KUNIT_EXPECT_EQ(test, b->pt.nr_tables, (u64)b->c->levels);
	leaf.gpa += 4096;
	KUNIT_EXPECT_EQ(test, rs_pt_map(&b->pt, &leaf, &b->cache, &b->g), 0);
	leaf.gpa += SZ_2M_;
	KUNIT_EXPECT_EQ(test, rs_pt_map(&b->pt, &leaf, &b->cache, &b->g), 1);
}

static void zap_frees_tables(struct kunit *test)
{
	struct bench *b = begin(test);
	u64 tables;

	/* two leaves in one table, one in the next, one far away */
	map(b, 0x200000, PA, 1, true);
	map(b, 0x201000, PA, 1, true);
	map(b, 0x400000, PA, 1, true);
	map(b, 0x7f00000000, PA, 1, true);
	tables = b->pt.nr_tables;
	KUNIT_EXPECT_EQ(test, audit(test, b), 4ull);

	rs_pt_zap(&b->pt, 0x200000, 0x200000, &b->g);
	rs_pt_zap(&b->pt, 0x202000, 0x400000, &b->g);
	KUNIT_EXPECT_EQ(test, b->g.zapped, 0ull);
	KUNIT_EXPECT_FALSE(test, b->g.flush);

	rs_pt_zap(&b->pt, 0x200000, 0x200001, &b->g);
	KUNIT_EXPECT_EQ(test, b->g.zapped, 1ull);
	KUNIT_EXPECT_TRUE(test, b->g.flush);
	KUNIT_EXPECT_EQ(test, gathered(b), 0ull);
	KUNIT_EXPECT_EQ(test, b->pt.nr_tables, tables);

	settle(b);
	rs_pt_zap(&b->pt, 0, 0x400000, &b->g);
	KUNIT_EXPECT_EQ(test, b->g.zapped, 1ull);
	KUNIT_EXPECT_EQ(test, gathered(b), 1ull);
	KUNIT_EXPECT_EQ(test, b->pt.nr_tables, tables - 1);
	KUNIT_EXPECT_EQ(test, audit(test, b), 2ull);

	settle(b);
	rs_pt_zap(&b->pt, 0, ~0ull >> (64 - 12 - 9 * b->c->levels), &b->g);
	KUNIT_EXPECT_EQ(test, b->g.zapped, 2ull);
	KUNIT_EXPECT_EQ(test, b->pt.nr_tables, 1ull);
	KUNIT_EXPECT_EQ(test, gathered(b), tables - 2);
	KUNIT_EXPECT_EQ(test, audit(test, b), 0ull);
	KUNIT_EXPECT_EQ(test, b->dropped, 4ull);
}

static void large_leaves(struct kunit *test)
{
	struct bench *b = begin(test);
	u64 pa = 0x40000000;

	if (!b->pt.fmt->huge)
		kunit_skip(test, "no 2 MiB leaves in this format");
	KUNIT_EXPECT_EQ(test, map(b, 0x600000, pa, 2, false), 0);
	KUNIT_EXPECT_EQ(test, b->pt.nr_tables, (u64)b->c->levels - 1);
	expect_maps(test, b, 0x600000, pa, 2, false);
	expect_maps(test, b, 0x7fffff, pa + 0x1fffff, 2, false);
	/* a 4 KiB leaf that the large one covers already */
	KUNIT_EXPECT_EQ(test, map(b, 0x601000, pa + 0x1000, 1, false), -EEXIST);
	KUNIT_EXPECT_EQ(test, map(b, 0x600000, pa, 2, true), 0);
	KUNIT_EXPECT_EQ(test, map(b, 0x601000, pa + 0x1000, 1, true), -EEXIST);
	KUNIT_EXPECT_FALSE(test, b->g.flush);
	KUNIT_EXPECT_EQ(test, audit(test, b), 1ull);

	/* a byte of it takes the whole */
	rs_pt_zap(&b->pt, 0x7fffff, 0x800000, &b->g);
	KUNIT_EXPECT_EQ(test, b->g.zapped, 1ull);
	KUNIT_EXPECT_EQ(test, b->pt.nr_tables, 1ull);
	KUNIT_EXPECT_FALSE(test, rs_pt_lookup(&b->pt, 0x600000, NULL, NULL));
}

static void split_keeps_the_rest(struct kunit *test)
{
	struct bench *b = begin(test);
	u64 pa = 0x40000000, other = 0x7777000, tables;
	unsigned int i;

	if (!b->pt.fmt->huge)
		kunit_skip(test, "no 2 MiB leaves in this format");
	map(b, 0x600000, pa, 2, false);
	tables = b->pt.nr_tables;
	KUNIT_EXPECT_EQ(test, map(b, 0x605000, other, 1, true), 0);
	KUNIT_EXPECT_TRUE(test, b->g.flush);
	KUNIT_EXPECT_EQ(test, b->pt.nr_tables, tables + 1);
	for (i = 0; i < 512; i++) {
		if (i == 5)
			expect_maps(test, b, 0x600000 + i * 4096, other, 1, true);
		else
			expect_maps(test, b, 0x600000 + i * 4096, pa + i * 4096, 1, false);
	}
	KUNIT_EXPECT_EQ(test, audit(test, b), 512ull);

	/* and back: the small leaves and their table go, a large one takes the slot */
	settle(b);
	KUNIT_EXPECT_EQ(test, map(b, 0x600000, 0x80000000, 2, true), 0);
	KUNIT_EXPECT_TRUE(test, b->g.flush);
	KUNIT_EXPECT_EQ(test, b->g.zapped, 512ull);
	KUNIT_EXPECT_EQ(test, gathered(b), 1ull);
	KUNIT_EXPECT_EQ(test, b->pt.nr_tables, tables);
	expect_maps(test, b, 0x605000, 0x80005000, 2, true);
	KUNIT_EXPECT_EQ(test, audit(test, b), 1ull);
}

/*
 * Another page behind the same address is never taken for the old one, and the old one is told of.
 */
static void replace_drops_the_old(struct kunit *test)
{
	struct bench *b = begin(test);

	map(b, 0x3000, PA, 1, true);
	KUNIT_EXPECT_EQ(test, map(b, 0x3000, PA + 4096, 1, false), 0);
	expect_maps(test, b, 0x3000, PA + 4096, 1, false);
	KUNIT_EXPECT_TRUE(test, b->g.flush);
	KUNIT_EXPECT_EQ(test, b->g.zapped, 1ull);
	KUNIT_EXPECT_EQ(test, b->dropped, 1ull);
	KUNIT_EXPECT_EQ(test, audit(test, b), 1ull);
}

static u64 *raw_entry(struct bench *b, u64 gpa, int level)
{
	u64 *table = page_address(b->pt.root);
	int l;

	for (l = b->pt.levels; l > level; l--)
		table = table_at(b->pt.fmt, table[(gpa >> (12 + 9 * (l - 1))) & 511]);
	return &table[(gpa >> (12 + 9 * (level - 1))) & 511];
}

static void feedback(struct kunit *test)
{
	struct bench *b = begin(test);
	const struct rs_pte_format *f = b->pt.fmt;
	struct rs_pt_leaf leaf = { .gpa = 0x1000, .pa = PA, .level = 1, .write = true,
				  .dirty = true };

	/*
	 * a write fault presets dirty, a read fault that may write later does not, a read-only leaf
	 * never
	 */
	KUNIT_EXPECT_EQ(test, rs_pt_map(&b->pt, &leaf, &b->cache, &b->g), 0);
	KUNIT_EXPECT_EQ(test, *raw_entry(b, 0x1000, 1) & f->dirty, f->dirty);
	leaf.gpa = 0x2000;
	leaf.dirty = false;
	KUNIT_EXPECT_EQ(test, rs_pt_map(&b->pt, &leaf, &b->cache, &b->g), 0);
	KUNIT_EXPECT_EQ(test, *raw_entry(b, 0x2000, 1) & f->dirty, 0ull);
	leaf.gpa = 0x3000;
	leaf.write = false;
	leaf.dirty = true;
	leaf.special = true;
	KUNIT_EXPECT_EQ(test, rs_pt_map(&b->pt, &leaf, &b->cache, &b->g), 0);
	KUNIT_EXPECT_EQ(test, *raw_entry(b, 0x3000, 1) & (f->dirty | RS_NPTE_SPECIAL),
			RS_NPTE_SPECIAL);
	KUNIT_EXPECT_EQ(test, *raw_entry(b, 0x3000, 1) & f->accessed, f->accessed);

	/* what the CPU sets in an entry arrives */
	*raw_entry(b, 0x2000, 1) |= f->dirty;
	rs_pt_zap(&b->pt, 0x1000, 0x4000, &b->g);
	KUNIT_EXPECT_EQ(test, b->dropped, 3ull);
	KUNIT_EXPECT_EQ(test, b->dropped_dirty, f->dirty ? 2ull : 0ull);
	KUNIT_EXPECT_EQ(test, b->dropped_accessed, f->accessed ? 3ull : 0ull);
}

static void aging(struct kunit *test)
{
	struct bench *b = begin(test);
	const struct rs_pte_format *f = b->pt.fmt;

	KUNIT_EXPECT_FALSE(test, rs_pt_young(&b->pt, 0, 1ull << 40, true, &b->g));
	map(b, 0x1000, PA, 1, true);
	map(b, 0x40000000, PA, 1, true);
	KUNIT_EXPECT_TRUE(test, rs_pt_young(&b->pt, 0x1000, 0x2000, false, &b->g));
	KUNIT_EXPECT_TRUE(test, rs_pt_young(&b->pt, 0x1000, 0x2000, false, &b->g));
	KUNIT_EXPECT_FALSE(test, rs_pt_young(&b->pt, 0x2000, 0x40000000, false, &b->g));
	KUNIT_EXPECT_TRUE(test, rs_pt_young(&b->pt, 0x1000, 0x2000, true, &b->g));
	KUNIT_EXPECT_FALSE(test, rs_pt_young(&b->pt, 0x1000, 0x2000, true, &b->g));
	KUNIT_EXPECT_FALSE(test, rs_pt_young(&b->pt, 0x1000, 0x2000, false, &b->g));
	KUNIT_EXPECT_TRUE(test, rs_pt_young(&b->pt, 0, 1ull << 40, false, &b->g));
	if (f->accessed) {
		KUNIT_EXPECT_FALSE(test, b->g.flush);
		*raw_entry(b, 0x1000, 1) |= f->accessed;
		KUNIT_EXPECT_TRUE(test, rs_pt_young(&b->pt, 0x1000, 0x2000, true, &b->g));
		expect_maps(test, b, 0x1000, PA, 1, true);
	} else {
		/* removed in place of a bit to clear, so that a use shows */
		KUNIT_EXPECT_TRUE(test, b->g.flush);
		KUNIT_EXPECT_FALSE(test, rs_pt_lookup(&b->pt, 0x1000, NULL, NULL));
	}
}

/* What a flat model says each 4 KiB page translates to. */
#define MODEL_PAGES	4096
#define MODEL_STEPS	4000

struct model_page {
	u64 pa;			/* 0: not mapped */
	bool write;
	bool large;
};

/* Eight windows of 2 MiB, in four places that share tables at different levels. */
static u64 model_gpa(unsigned int i)
{
	static const u64 base[4] = { 0, 0x3fe00000, 0x7fffa00000, 0x8000000000 - 0x200000 };

	return base[i / 1024] + (u64)(i % 1024) * 4096;
}

static void model_unmap(struct model_page *m, unsigned int i)
{
	unsigned int k, first = i & ~511u;

	if (!m[i].large) {
		m[i] = (struct model_page){};
		return;
	}
	for (k = first; k < first + 512; k++)
		m[k] = (struct model_page){};
}

static void model_map(struct model_page *m, unsigned int i, u64 pa, int level, bool write)
{
	unsigned int k;

	if (level == 2) {
		/* a large leaf of the same page keeps the rights it has */
		if (m[i].large && m[i].pa == pa)
			write |= m[i].write;
		for (k = 0; k < 512; k++)
			m[i + k] = (struct model_page){ pa + k * 4096, write, true };
		return;
	}
	if (m[i].large && m[i].pa == pa && (m[i].write || !write))
		return;
	if (m[i].large)
		for (k = i & ~511u; k < (i & ~511u) + 512; k++)
			m[k].large = false;
	if (m[i].pa == pa)
		write |= m[i].write;
	m[i] = (struct model_page){ pa, write, false };
}

static void model_compare(struct kunit *test, struct bench *b, const struct model_page *m)
{
	unsigned int i;
	u64 leaves = 0;

	for (i = 0; i < MODEL_PAGES; i++) {
		u64 gpa = model_gpa(i);

		if (m[i].pa) {
			expect_maps(test, b, gpa, m[i].pa, m[i].large ? 2 : 1, m[i].write);
			leaves += !m[i].large || !(i & 511);
		} else if (rs_pt_lookup(&b->pt, gpa, NULL, NULL)) {
			KUNIT_FAIL(test, "%llx is mapped", gpa);
		}
	}
	KUNIT_EXPECT_EQ(test, audit(test, b), leaves);
}

static void random_against_model(struct kunit *test)
{
	struct model_page *m = kunit_kcalloc(test, MODEL_PAGES, sizeof(*m), GFP_KERNEL);
	struct bench *b = begin(test);
	struct rnd_state rnd;
	unsigned int step;

	KUNIT_ASSERT_NOT_NULL(test, m);
	prandom_seed_state(&rnd, 0x5eed + b->c->levels);
	for (step = 0; step < MODEL_STEPS; step++) {
		u32 r = prandom_u32_state(&rnd);
		unsigned int i = r % MODEL_PAGES, n, k;
		u64 pa = 0x100000000ull + (u64)(prandom_u32_state(&rnd) % 4) * SZ_2M_;
		bool write = r & (1u << 20);

		switch ((r >> 24) % 8) {
		case 0:
			if (!b->pt.fmt->huge)
				break;
			i &= ~511u;
			map(b, model_gpa(i), pa, 2, write);
			model_map(m, i, pa, 2, write);
			break;
		case 1:
			/* a range inside one of the four places: zap takes large leaves whole */
			n = 1 + prandom_u32_state(&rnd) % min(700u, 1024 - i % 1024);
			rs_pt_zap(&b->pt, model_gpa(i), model_gpa(i) + (u64)n * 4096, &b->g);
			for (k = i; k < i + n; k++)
				model_unmap(m, k);
			break;
		default:
			/*
			 * mostly the page that a large leaf would have there, to meet all the cases
			 */
			pa += (i & 511) * 4096 + (r & (1u << 21) ? SZ_2M_ * 16 : 0);
			map(b, model_gpa(i), pa, 1, write);
			model_map(m, i, pa, 1, write);
		}
		if (step % 500 == 499)
			model_compare(test, b, m);
		settle(b);
	}
	rs_pt_zap(&b->pt, 0, 1ull << (12 + 9 * b->c->levels), &b->g);
	KUNIT_EXPECT_EQ(test, audit(test, b), 0ull);
	KUNIT_EXPECT_EQ(test, b->pt.nr_tables, 1ull);
}

static void levels_are_checked(struct kunit *test)
{
	struct bench *b = test->priv;

	KUNIT_EXPECT_EQ(test, rs_pt_init(&b->pt, &test_npt, 1, NULL, NULL), -EINVAL);
	KUNIT_EXPECT_EQ(test, rs_pt_init(&b->pt, &test_npt, 6, NULL, NULL), -EINVAL);
	KUNIT_EXPECT_NULL(test, b->pt.root);
}

static void formats_equal(struct kunit *test, const struct rs_pte_format *a,
			  const struct rs_pte_format *b)
{
	KUNIT_EXPECT_EQ(test, a->present, b->present);
	KUNIT_EXPECT_EQ(test, a->table, b->table);
	KUNIT_EXPECT_EQ(test, a->leaf, b->leaf);
	KUNIT_EXPECT_EQ(test, a->read, b->read);
	KUNIT_EXPECT_EQ(test, a->write, b->write);
	KUNIT_EXPECT_EQ(test, a->exec, b->exec);
	KUNIT_EXPECT_EQ(test, a->noexec, b->noexec);
	KUNIT_EXPECT_EQ(test, a->huge, b->huge);
	KUNIT_EXPECT_EQ(test, a->accessed, b->accessed);
	KUNIT_EXPECT_EQ(test, a->dirty, b->dirty);
}

/* The backends' constants, from the kernel's headers, against those of the manuals. */
static void formats_agree(struct kunit *test)
{
	const bool ad = rs_vmx_caps.ept_ad, large = rs_vmx_caps.ept_2m;

	formats_equal(test, &rs_npt_format, &test_npt);

	rs_vmx_caps.ept_ad = rs_vmx_caps.ept_2m = true;
	formats_equal(test, rs_ept_pick_format(), &test_ept);
	rs_vmx_caps.ept_ad = rs_vmx_caps.ept_2m = false;
	formats_equal(test, rs_ept_pick_format(), &test_ept_old);
	rs_vmx_caps.ept_ad = ad;
	rs_vmx_caps.ept_2m = large;
}

static struct kunit_case pgtable_tests[] = {
	KUNIT_CASE_PARAM(map_and_lookup, table_gen_params),
	KUNIT_CASE_PARAM(map_without_exec, table_gen_params),
	KUNIT_CASE_PARAM(map_asks_for_pages, table_gen_params),
	KUNIT_CASE_PARAM(zap_frees_tables, table_gen_params),
	KUNIT_CASE_PARAM(large_leaves, table_gen_params),
	KUNIT_CASE_PARAM(split_keeps_the_rest, table_gen_params),
	KUNIT_CASE_PARAM(replace_drops_the_old, table_gen_params),
	KUNIT_CASE_PARAM(feedback, table_gen_params),
	KUNIT_CASE_PARAM(aging, table_gen_params),
	KUNIT_CASE_PARAM(random_against_model, table_gen_params),
	KUNIT_CASE(levels_are_checked),
	KUNIT_CASE(formats_agree),
	{}
};

static struct kunit_suite pgtable_suite = {
	.name = "ringside-pgtable",
	.init = bench_init,
	.exit = bench_exit,
	.test_cases = pgtable_tests,
};
kunit_test_suite(pgtable_suite);
