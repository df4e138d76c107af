/* SPDX-License-Identifier: MIT */
/* self.h - what the tests of self-entry share */
#ifndef SELFTESTS_SELF_H
#define SELFTESTS_SELF_H

#include <stdio.h>
#include <unistd.h>
#include <ringside/self.h>
#include "harness.h"

static inline void enter(unsigned int flags)
{
	int ret = rs_enter(flags);

	if (ret == -ENODEV && access("/dev/ringside", F_OK))
		SKIP("no device: the module is not loaded");
	ASSERT_EQ(ret, 0);
}

/* Where a test's code runs: the same test natively shows that what it expects is what Linux does. */
enum where { NATIVE = -1, RING0 = 0, RING3 = 3 };

static inline const char *where_name(enum where where)
{
	return where == NATIVE ? "native" : where == RING0 ? "ring 0" : "ring 3";
}

/* The calling thread, from here on. */
static inline void go_inside(enum where where, unsigned int flags)
{
	if (where == NATIVE)
		return;
	enter(flags | (where == RING0 ? RS_ENTER_RING0 : 0));
	ASSERT_EQ(rs_inside(), where);
}

#endif /* SELFTESTS_SELF_H */
