// SPDX-License-Identifier: GPL-2.0-only
/*
 * mmu_kunit.c - regions and the notifier protocol, without an address space
 *
 * The notifier's operations are called directly, as Linux would, with entries put into the table by
 * hand; they are marked special, so that no struct page is touched for them. The emulators cannot
 * show a missing flush or kick; here both are seen at the moment they must happen.
 */
#include <kunit/test.h>
#include <linux/mm.h>
#include <linux/prandom.h>
#include <linux/sizes.h>
#include "mmu/internal.h"
#include "tests/formats.h"

struct bench {
	struct rs_mmu mmu;
	struct mm_struct *mm;
	struct rs_pt_cache cache;
	unsigned int kicks;
	u64 gen_at_kick;
	bool locked_at_kick, mapped_at_kick;
	u64 watch;		/* GPA whose entry must be gone when the kick comes */
};

static void note_kick(struct rs_mmu *mmu)
{
	struct bench *b = container_of(mmu, struct bench, mmu);

	b->kicks++;
	b->gen_at_kick = atomic64_read(&mmu->flush_gen);
	b->locked_at_kick = spin_is_locked(&mmu->lock);
	b->mapped_at_kick = rs_pt_lookup(&mmu->pt, b->watch, NULL, NULL);
}

static const struct rs_mmu_ops bench_ops = { .kick_all = note_kick };

static int bench_init(struct kunit *test)
{
	struct bench *b = kunit_kzalloc(test, sizeof(*b), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, b);
	b->mm = kunit_kzalloc(test, sizeof(*b->mm), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, b->mm);
	b->mm->task_size = 1ull << 47;
	INIT_LIST_HEAD(&b->cache.pages);
	test->priv = b;
	KUNIT_ASSERT_EQ(test, rs_mmu_setup(&b->mmu, &test_npt, 4, 40, &bench_ops), 0);
	b->mmu.mm = b->mm;
	return 0;
}

static void bench_exit(struct kunit *test)
{
	struct bench *b = test->priv;

	if (!b)
		return;
	rs_pt_cache_free(&b->cache);
	b->mmu.mm = NULL;	/* no notifier to unregister */
	rs_mmu_destroy(&b->mmu);
}

static int add(struct bench *b, u64 gpa, u64 size, u64 hva, u32 flags)
{
	struct rs_region r = { .gpa = gpa, .size = size, .hva = hva, .flags = flags };

	return rs_mmu_add_region(&b->mmu, &r);
}

static int del(struct bench *b, u64 gpa, u64 size)
{
	struct rs_region r = { .gpa = gpa, .size = size };

	return rs_mmu_remove_region(&b->mmu, &r);
}

static void enter(struct kunit *test, u64 gpa)
{
	struct bench *b = test->priv;
	struct rs_pt_gather g = RS_PT_GATHER_INIT(g);
	struct rs_pt_leaf leaf = { .gpa = gpa, .pa = 0x1000, .level = 1, .write = true,
				  .special = true };

	KUNIT_ASSERT_EQ(test, rs_pt_cache_fill(&b->cache, 4), 0);
	spin_lock(&b->mmu.lock);
	KUNIT_EXPECT_EQ(test, rs_pt_map(&b->mmu.pt, &leaf, &b->cache, &g), 0);
	spin_unlock(&b->mmu.lock);
}

static bool entered(struct bench *b, u64 gpa)
{
	bool ret;

	spin_lock(&b->mmu.lock);
	ret = rs_pt_lookup(&b->mmu.pt, gpa, NULL, NULL);
	spin_unlock(&b->mmu.lock);
	return ret;
}

static bool busy(struct bench *b, u64 hva)
{
	bool ret;

	spin_lock(&b->mmu.lock);
	ret = rs_mmu_range_busy(&b->mmu, hva);
	spin_unlock(&b->mmu.lock);
	return ret;
}

static void range_start(struct bench *b, u64 start, u64 end)
{
	struct mmu_notifier_range range = { .mm = b->mm, .start = start, .end = end };

	rs_mmu_notifier_ops.invalidate_range_start(&b->mmu.mn, &range);
}

static void range_end(struct bench *b, u64 start, u64 end)
{
	struct mmu_notifier_range range = { .mm = b->mm, .start = start, .end = end };

	rs_mmu_notifier_ops.invalidate_range_end(&b->mmu.mn, &range);
}

static const struct {
	const char *what;
	struct rs_region r;
	int ret;
} region_cases[] = {
	{ "plain", { .gpa = 0, .size = SZ_4K, .hva = SZ_4K }, 0 },
	{ "last page of the GPA space", { .gpa = (1ull << 40) - SZ_4K, .size = SZ_4K, .hva = 0 },
	 0 },
	{ "last page of the process", { .gpa = 0, .size = SZ_4K, .hva = (1ull << 47) - SZ_4K }, 0 },
	{ "read-only", { .size = SZ_4K, .hva = SZ_4K, .flags = RS_REGION_READONLY }, 0 },
	{ "MMIO", { .size = SZ_4K, .flags = RS_REGION_MMIO }, 0 },
	{ "no size", { .hva = SZ_4K }, -EINVAL },
	{ "size misaligned", { .size = SZ_4K + 1, .hva = SZ_4K }, -EINVAL },
	{ "gpa misaligned", { .gpa = 8, .size = SZ_4K, .hva = SZ_4K }, -EINVAL },
	{ "hva misaligned", { .size = SZ_4K, .hva = 8 }, -EINVAL },
	{ "one page beyond the GPA space", { .gpa = 1ull << 40, .size = SZ_4K }, -EINVAL },
	{ "ends beyond the GPA space", { .gpa = (1ull << 40) - SZ_4K, .size = SZ_8K }, -EINVAL },
	{ "gpa wraps", { .gpa = ~0ull << 12, .size = SZ_8K }, -EINVAL },
	{ "size wraps", { .gpa = SZ_4K, .size = ~0ull << 12 }, -EINVAL },
	{ "ends beyond the process", { .size = SZ_8K, .hva = (1ull << 47) - SZ_4K }, -EINVAL },
	{ "hva of the kernel", { .size = SZ_4K, .hva = 0xffff888000000000 }, -EINVAL },
	{ "hva wraps", { .size = SZ_8K, .hva = ~0ull << 12 }, -EINVAL },
	{ "unknown flag", { .size = SZ_4K, .hva = SZ_4K, .flags = 1u << 2 }, -EINVAL },
	{ "highest flag", { .size = SZ_4K, .hva = SZ_4K, .flags = 1u << 31 }, -EINVAL },
	{ "MMIO with hva", { .size = SZ_4K, .hva = SZ_4K, .flags = RS_REGION_MMIO }, -EINVAL },
	{ "reserved0", { .size = SZ_4K, .hva = SZ_4K, .reserved0 = 1 }, -EINVAL },
	{ "reserved[0]", { .size = SZ_4K, .hva = SZ_4K, .reserved = { 1, 0 } }, -EINVAL },
	{ "reserved[1]", { .size = SZ_4K, .hva = SZ_4K, .reserved = { 0, 1 } }, -EINVAL },
};

static void region_arguments(struct kunit *test)
{
	struct bench *b = test->priv;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(region_cases); i++) {
		const struct rs_region *r = &region_cases[i].r;

		KUNIT_EXPECT_EQ_MSG(test, rs_mmu_add_region(&b->mmu, r), region_cases[i].ret, "%s",
				    region_cases[i].what);
		if (!region_cases[i].ret)
			KUNIT_EXPECT_EQ_MSG(test, del(b, r->gpa, r->size), 0, "%s",
					    region_cases[i].what);
	}
	KUNIT_EXPECT_EQ(test, b->mmu.nr_regions, 0u);
}

static void regions_do_not_overlap(struct kunit *test)
{
	struct bench *b = test->priv;
	u64 i;

	KUNIT_EXPECT_EQ(test, add(b, 0x10000, 0x4000, 0x100000, 0), 0);
	KUNIT_EXPECT_EQ(test, add(b, 0x10000, 0x4000, 0x200000, 0), -EEXIST);
	KUNIT_EXPECT_EQ(test, add(b, 0xf000, 0x2000, 0x200000, 0), -EEXIST);
	KUNIT_EXPECT_EQ(test, add(b, 0x13000, 0x2000, 0x200000, 0), -EEXIST);
	KUNIT_EXPECT_EQ(test, add(b, 0x11000, 0x1000, 0x200000, 0), -EEXIST);
	KUNIT_EXPECT_EQ(test, add(b, 0, 1ull << 40, 0x200000, 0), -EEXIST);
	KUNIT_EXPECT_EQ(test, add(b, 0x14000, 0x1000, 0x100000, 0), 0);	/* HVAs may overlap */
	KUNIT_EXPECT_EQ(test, add(b, 0xf000, 0x1000, 0, RS_REGION_MMIO), 0);
	KUNIT_EXPECT_EQ(test, del(b, 0x10000, 0x3000), -ENOENT);
	KUNIT_EXPECT_EQ(test, del(b, 0x11000, 0x3000), -ENOENT);
	KUNIT_EXPECT_EQ(test, del(b, 0x15000, 0x1000), -ENOENT);
	KUNIT_EXPECT_EQ(test, del(b, 0x10000, 0x4000), 0);
	KUNIT_EXPECT_EQ(test, del(b, 0x10000, 0x4000), -ENOENT);
	for (i = b->mmu.nr_regions; i < RS_MAX_REGIONS; i++)
		KUNIT_EXPECT_EQ(test, add(b, 0x1000000 + i * 0x1000, 0x1000, 0x100000, 0), 0);
	KUNIT_EXPECT_EQ(test, add(b, 0x2000000, 0x1000, 0x100000, 0), -ENOSPC);
	KUNIT_EXPECT_EQ(test, del(b, 0x14000, 0x1000), 0);
	KUNIT_EXPECT_EQ(test, add(b, 0x2000000, 0x1000, 0x100000, 0), 0);
}

static void removal_flushes(struct kunit *test)
{
	struct bench *b = test->priv;
	unsigned long seq;

	add(b, 0x10000, 0x4000, 0x100000, 0);
	add(b, 0x20000, 0x4000, 0x100000, 0);
	seq = b->mmu.inval_seq;
	enter(test, 0x10000);
	enter(test, 0x20000);
	b->watch = 0x10000;
	KUNIT_EXPECT_EQ(test, del(b, 0x10000, 0x4000), 0);
	KUNIT_EXPECT_FALSE(test, entered(b, 0x10000));
	KUNIT_EXPECT_TRUE(test, entered(b, 0x20000));
	KUNIT_EXPECT_EQ(test, b->kicks, 1u);
	KUNIT_EXPECT_EQ(test, b->gen_at_kick, 2ull);
	KUNIT_EXPECT_TRUE(test, b->locked_at_kick);
	KUNIT_EXPECT_FALSE(test, b->mapped_at_kick);
	/* a fault that has copied from the region must ask again */
	KUNIT_EXPECT_NE(test, seq, b->mmu.inval_seq);
}

static void invalidation_flushes(struct kunit *test)
{
	struct bench *b = test->priv;
	u64 seen = atomic64_read(&b->mmu.flush_gen);

	add(b, 0x10000, 0x4000, 0x100000, 0);
	add(b, 0x50000, 0x2000, 0x101000, 0);	/* the same addresses a second time */
	enter(test, 0x10000);
	enter(test, 0x11000);
	enter(test, 0x50000);

	/* beside the regions: open, but nothing removed, no flush, no kick */
	range_start(b, 0x104000, 0x200000);
	KUNIT_EXPECT_TRUE(test, busy(b, 0x104000));
	KUNIT_EXPECT_FALSE(test, busy(b, 0x200000));
	KUNIT_EXPECT_FALSE(test, busy(b, 0x103fff));
	range_end(b, 0x104000, 0x200000);
	KUNIT_EXPECT_FALSE(test, busy(b, 0x104000));
	KUNIT_EXPECT_EQ(test, b->kicks, 0u);
	KUNIT_EXPECT_FALSE(test, rs_mmu_flush_pending(&b->mmu, &seen));
	KUNIT_EXPECT_EQ(test, atomic64_read(&b->mmu.stats.inval), 0ll);

	/* in a region where nothing is entered: counted, no flush */
	range_start(b, 0x103000, 0x104000);
	range_end(b, 0x103000, 0x104000);
	KUNIT_EXPECT_EQ(test, b->kicks, 0u);
	KUNIT_EXPECT_EQ(test, atomic64_read(&b->mmu.stats.inval), 1ll);

	/*
	 * both regions' entries for one address go; one flush, one kick, when they are gone, under
	 * the lock
	 */
	b->watch = 0x11000;
	range_start(b, 0x101000, 0x102000);
	KUNIT_EXPECT_FALSE(test, entered(b, 0x11000));
	KUNIT_EXPECT_FALSE(test, entered(b, 0x50000));
	KUNIT_EXPECT_TRUE(test, entered(b, 0x10000));
	KUNIT_EXPECT_EQ(test, b->kicks, 1u);
	KUNIT_EXPECT_TRUE(test, b->locked_at_kick);
	KUNIT_EXPECT_FALSE(test, b->mapped_at_kick);
	KUNIT_EXPECT_EQ(test, b->gen_at_kick, seen + 1);
	KUNIT_EXPECT_TRUE(test, rs_mmu_flush_pending(&b->mmu, &seen));
	KUNIT_EXPECT_FALSE(test, rs_mmu_flush_pending(&b->mmu, &seen));
	KUNIT_EXPECT_EQ(test, atomic64_read(&b->mmu.stats.inval_zapped), 2ll);
	KUNIT_EXPECT_EQ(test, atomic64_read(&b->mmu.stats.flush_requests), 1ll);
	range_end(b, 0x101000, 0x102000);
}

#define MANY		400	/* regions, at random addresses, that overlap much or little */

/*
 * Which of many regions a range meets, against a look at each. Every region has its first page
 * entered, so that what was met can be told from what is gone.
 */
static void ranges_meet_the_right_regions(struct kunit *test)
{
	struct bench *b = test->priv;
	struct { u64 gpa, hva, size; bool there; } *r;
	struct rnd_state rnd;
	unsigned int i, round, met, wrong = 0;

	r = kunit_kcalloc(test, MANY, sizeof(*r), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, r);
	prandom_seed_state(&rnd, 0x5e6);
	for (i = 0; i < MANY; i++) {
		r[i].gpa = (u64)i * SZ_1M;
		r[i].hva = (u64)(prandom_u32_state(&rnd) % 1000) * SZ_64K;
		r[i].size = (u64)(1 + prandom_u32_state(&rnd) % (i % 10 ? 8 : 256)) * SZ_4K;
	}
	for (round = 0; round < 600; round++) {
		u64 start = (u64)(prandom_u32_state(&rnd) % 16000) * SZ_4K;
		u64 end = start + (u64)(prandom_u32_state(&rnd) % 64) * SZ_4K;
		s64 zapped = atomic64_read(&b->mmu.stats.inval_zapped);

		/* come and go, in no order */
		i = prandom_u32_state(&rnd) % MANY;
		if (r[i].there)
			KUNIT_EXPECT_EQ(test, del(b, r[i].gpa, r[i].size), 0);
		for (i = round ? i : 0; i < MANY; i += round ? MANY : 1) {
			r[i].there = !r[i].there;
			if (r[i].there)
				KUNIT_EXPECT_EQ(test, add(b, r[i].gpa, r[i].size, r[i].hva, 0), 0);
		}
		for (i = 0; i < MANY; i++)
			if (r[i].there && !entered(b, r[i].gpa))
				enter(test, r[i].gpa);
		range_start(b, start, end);
		for (i = 0, met = 0; i < MANY; i++) {
			bool in = r[i].there && start <= r[i].hva && r[i].hva < end;

			met += in;
			wrong += entered(b, r[i].gpa) != (r[i].there && !in);
		}
		range_end(b, start, end);
		wrong += atomic64_read(&b->mmu.stats.inval_zapped) - zapped != met;
	}
	KUNIT_EXPECT_EQ(test, wrong, 0u);
}

/*
 * Overlapping invalidations: the address stays busy until the last is over, the sequence moves with
 * each end.
 */
static void open_ranges_nest(struct kunit *test)
{
	struct bench *b = test->priv;
	unsigned long seq = b->mmu.inval_seq;

	range_start(b, 0x10000, 0x20000);
	range_start(b, 0x40000, 0x50000);
	KUNIT_EXPECT_TRUE(test, busy(b, 0x10000));
	KUNIT_EXPECT_TRUE(test, busy(b, 0x4f000));
	KUNIT_EXPECT_EQ(test, b->mmu.inval_seq, seq);
	range_end(b, 0x10000, 0x20000);
	KUNIT_EXPECT_EQ(test, b->mmu.inval_seq, seq + 1);
	KUNIT_EXPECT_TRUE(test, busy(b, 0x40000));
	range_end(b, 0x40000, 0x50000);
	KUNIT_EXPECT_EQ(test, b->mmu.inval_seq, seq + 2);
	KUNIT_EXPECT_FALSE(test, busy(b, 0x10000));
	KUNIT_EXPECT_FALSE(test, busy(b, 0x40000));
	range_start(b, 0x70000, 0x71000);
	KUNIT_EXPECT_FALSE(test, busy(b, 0x10000));
	range_end(b, 0x70000, 0x71000);
}

static void aging_flushes_when_exact(struct kunit *test)
{
	struct bench *b = test->priv;
	const struct mmu_notifier_ops *ops = &rs_mmu_notifier_ops;

	add(b, 0x10000, 0x4000, 0x100000, 0);
	enter(test, 0x10000);
	KUNIT_EXPECT_EQ(test, ops->test_young(&b->mmu.mn, b->mm, 0x101000), 0);
	KUNIT_EXPECT_EQ(test, ops->test_young(&b->mmu.mn, b->mm, 0x100000), 1);
	KUNIT_EXPECT_EQ(test, ops->test_young(&b->mmu.mn, b->mm, 0x100000), 1);
	KUNIT_EXPECT_EQ(test, b->kicks, 0u);
	KUNIT_EXPECT_EQ(test, ops->clear_flush_young(&b->mmu.mn, b->mm, 0x100000, 0x101000), 1);
	KUNIT_EXPECT_EQ(test, b->kicks, 1u);
	KUNIT_EXPECT_EQ(test, ops->clear_flush_young(&b->mmu.mn, b->mm, 0x100000, 0x101000), 0);
	KUNIT_EXPECT_EQ(test, b->kicks, 1u);
	KUNIT_EXPECT_EQ(test, ops->test_young(&b->mmu.mn, b->mm, 0x100000), 0);
	KUNIT_EXPECT_TRUE(test, entered(b, 0x10000));
	enter(test, 0x11000);
	KUNIT_EXPECT_EQ(test, ops->clear_young(&b->mmu.mn, b->mm, 0x101000, 0x102000), 1);
	KUNIT_EXPECT_EQ(test, ops->clear_young(&b->mmu.mn, b->mm, 0x101000, 0x102000), 0);
	KUNIT_EXPECT_EQ(test, b->kicks, 1u);
}

static void release_empties_for_good(struct kunit *test)
{
	struct bench *b = test->priv;

	add(b, 0x10000, 0x4000, 0x100000, 0);
	enter(test, 0x10000);
	b->watch = 0x10000;
	rs_mmu_notifier_ops.release(&b->mmu.mn, b->mm);
	KUNIT_EXPECT_FALSE(test, entered(b, 0x10000));
	KUNIT_EXPECT_EQ(test, b->kicks, 1u);
	KUNIT_EXPECT_FALSE(test, b->mapped_at_kick);
	KUNIT_EXPECT_EQ(test, b->mmu.pt.nr_tables, 1ull);
	KUNIT_EXPECT_EQ(test, add(b, 0x20000, 0x4000, 0x100000, 0), -EIO);
}

static struct kunit_case mmu_tests[] = {
	KUNIT_CASE(region_arguments),
	KUNIT_CASE(regions_do_not_overlap),
	KUNIT_CASE(removal_flushes),
	KUNIT_CASE(invalidation_flushes),
	KUNIT_CASE(ranges_meet_the_right_regions),
	KUNIT_CASE(open_ranges_nest),
	KUNIT_CASE(aging_flushes_when_exact),
	KUNIT_CASE(release_empties_for_good),
	{}
};

static struct kunit_suite mmu_suite = {
	.name = "ringside-mmu",
	.init = bench_init,
	.exit = bench_exit,
	.test_cases = mmu_tests,
};
kunit_test_suite(mmu_suite);
