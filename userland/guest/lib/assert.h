/* SPDX-License-Identifier: MIT */
/*
 * assert.h - what happens when the guest kernel finds itself wrong
 *
 * A broken invariant ends this guest, with a report, and nothing else. ASSERT stays in all builds:
 * keep it off the paths that are counted in single instructions. rs_panic() is kernel/panic.c's;
 * hosted tests bring their own.
 */
#ifndef RS_LIB_ASSERT_H
#define RS_LIB_ASSERT_H

#include "types.h"

void rs_panic(const char *fmt, ...) __printf(1, 2) __noreturn;

#define ASSERT(cond)	do {								\
	if (unlikely(!(cond)))								\
		rs_panic("%s:%d: %s: not so: %s", __FILE__, __LINE__, __func__, #cond);	\
} while (0)

#endif
