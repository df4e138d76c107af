// SPDX-License-Identifier: GPL-2.0-only
/*
 * e1000_kunit.c - the cases of the NIC's model, in the kernel
 */
#include <kunit/test.h>
#include <linux/mm.h>

static struct kunit *current_case;
#define EXPECT(cond)	KUNIT_EXPECT_TRUE(current_case, cond)
#include "tests/e1000_cases.h"

static const u32 *to_case(const void *p)
{
	return p;
}

static const void *next_case(const void *prev, char *desc)
{
	static u32 numbers[ARRAY_SIZE(e1000_cases)];
	const u32 i = prev ? *to_case(prev) + 1 : 0;

	if (i == ARRAY_SIZE(e1000_cases))
		return NULL;
	numbers[i] = i;
	strscpy(desc, e1000_cases[i].name, KUNIT_PARAM_DESC_SIZE);
	return &numbers[i];
}

static void model_case(struct kunit *test)
{
	struct world *w = kunit_kzalloc(test, sizeof(*w), GFP_KERNEL);
	u8 *mem = kvmalloc(WORLD_MEM, GFP_KERNEL);

	if (!w || !mem) {
		KUNIT_FAIL(test, "no memory");
		goto out;
	}
	current_case = test;
	world_init(w, mem);
	if (w->dev)
		e1000_cases[*to_case(test->param_value)].run(w);
	else
		KUNIT_FAIL(test, "no memory");
	world_end(w);
out:
	kvfree(mem);
}

static struct kunit_case e1000_tests[] = {
	KUNIT_CASE_PARAM(model_case, next_case),
	{}
};

static struct kunit_suite e1000_suite = {
	.name = "ringside-e1000",
	.test_cases = e1000_tests,
};
kunit_test_suite(e1000_suite);
