/* SPDX-License-Identifier: MIT */
/* self.h - what the suites have in common */
#ifndef SELFTESTS_SELF_H
#define SELFTESTS_SELF_H

#include <ringside/self.h>
#include "harness.h"

static inline void enter(unsigned int flags)
{
	int ret = rs_enter(flags);

	if (ret == -ENODEV)
		SKIP("no device: the module is not loaded");
	ASSERT_EQ(ret, 0);
}

#endif /* SELFTESTS_SELF_H */
