/* SPDX-License-Identifier: MIT */
/*
 * inside.h - the same test outside, in ring 3 and in ring 0
 *
 *	EVERYWHERE(name) { body }	three tests: native_name, ring3_name, ring0_name; the body begins with go_in(where)
 */
#ifndef SELFTESTS_SELF_INSIDE_H
#define SELFTESTS_SELF_INSIDE_H

#include <ringside/self.h>
#include "harness.h"

enum where { NATIVE, RING3, RING0 };

static inline void go_in(enum where where)
{
	int ret;

	if (where == NATIVE)
		return;
	ret = rs_enter(RS_ENTER_THREADS | (where == RING0 ? RS_ENTER_RING0 : 0));
	if (ret == -ENODEV)
		SKIP("no device: the module is not loaded");
	ASSERT_EQ(ret, 0);
}

/* Still where it should be. */
static inline void expect_inside(enum where where)
{
	EXPECT_EQ(rs_inside(), where == NATIVE ? -1 : where == RING3 ? 3 : 0);
}

#define EVERYWHERE(name)					\
	static void everywhere_##name(enum where where);	\
	TEST(native_##name) { everywhere_##name(NATIVE); }	\
	TEST(ring3_##name) { everywhere_##name(RING3); }	\
	TEST(ring0_##name) { everywhere_##name(RING0); }	\
	static void everywhere_##name(enum where where)

#endif
