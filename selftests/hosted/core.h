/* SPDX-License-Identifier: MIT */
/*
 * core.h - the world below the guest kernel's core, for its hosted tests
 *
 * Guest physical memory is one mapping of this program: the arena from 0, the file window behind
 * it. CPUs are structures; which one "we are on" is a variable. Requests to the host are counted
 * and answered here. A panic of the kernel under test ends the test, unless it was expected.
 */
#ifndef HOSTED_CORE_H
#define HOSTED_CORE_H

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../userland/guest/arch/cpu.h"
#include "../../userland/guest/host/host.h"
#include "../../userland/guest/lib/assert.h"
#include "../../userland/guest/lib/string.h"

#define ARENA_SIZE	(64ull << 20)
#define WINDOW_GPA	(64ull << 20)
#define WINDOW_SIZE	(16ull << 20)
/*
 * The host's files are so long, and are descriptors FILE_FD + N. Word 0 of page P of file N is
 * P + 1 + N * 0x10000. @core_file_ids answers RS_CALL_FILE_ID; while @core_files_known is not set,
 * the host will not tell.
 */
#define FILE_PAGES	64u
#define FILE_FD		7
#define FILES		128u

/**
 * core_init() - fresh guest physical memory; free memory begins at @free_gpa. May be called again.
 */
void core_init(u64 free_gpa);
/** core_cpu() - we are on CPU @n now */
void core_cpu(unsigned int n);

extern struct rs_boot core_boot;
extern u64 host_releases, host_released_bytes;	/* RS_CALL_RELEASE so far */
extern u64 window_maps;				/* pieces mapped at the moment */
extern struct rs_file_id core_file_ids[FILES];
extern bool core_files_known;
extern long core_file_answer;			/* of RS_CALL_FILE_ID */
extern bool host_map_fails;
extern bool host_no_more;			/* RS_CALL_MAP_MORE is EINVAL */
extern u64 tlb_flushes;				/* invalidations asked for */

/*
 * Allocations (page_alloc(), kmalloc()) that succeed before one fails, -1: none does; after that,
 * all of them fail if core_fail_all is set. core_failed counts those that did.
 */
extern s64 core_fail_in;
extern bool core_fail_all;
extern u64 core_failed;

/** rnd() - pseudo-random, the same in every run with the same seed (argument 1) */
u64 rnd(void);
void rnd_seed(u64 seed);
static inline u64 rnd_below(u64 n)
{
	return rnd() % n;
}

extern int tap_tests;
#include "tap.h"

/** EXPECT_PANIC() - @stmt must panic; core_panic_text is then what it said */
extern jmp_buf core_panic;
extern char core_panic_text[1024];
extern bool core_panic_expected;
#define EXPECT_PANIC(stmt)	do {						\
	core_panic_expected = true;						\
	if (!setjmp(core_panic)) {						\
		stmt;								\
		CHECK(false, "no panic");					\
	}									\
	core_panic_expected = false;						\
} while (0)

#endif
