/* SPDX-License-Identifier: MIT */
/*
 * app.h - what the tests of the ring's own offers share
 *
 * The same binary runs natively and in the ring. A test that is about the ring begins with NEEDS(feature); it is skipped where there is none,
 * and in-vm sees to it that nothing is skipped in the ring.
 */
#ifndef SELFTESTS_APP_H
#define SELFTESTS_APP_H

#include <ringside/app.h>
#include "proc.h"

#define NEEDS(feature) do {								\
	if (!rs_app_features())								\
		SKIP("no ring");							\
	ASSERT_EQ(rs_app_features() & (feature), (feature));				\
} while (0)

/* How many calls with random arguments are made altogether: RS_APP_FUZZ, see in-vm. */
static inline unsigned int fuzz_calls(void)
{
	const char *n = getenv("RS_APP_FUZZ");

	return test_rounds(n ? (unsigned int)atoi(n) : 100000);
}

/**
 * struct death - a program that dies (`rs-app-test @die NAME`), and what the report of it says
 */
struct death {
	const char *name, *text;
	void (*run)(void);
};
extern const struct death alarm_deaths[];
extern const size_t nr_alarm_deaths;

#define VEC_DE	0
#define VEC_DB	1
#define VEC_BP	3
#define VEC_UD	6
#define VEC_SS	12
#define VEC_GP	13
#define VEC_PF	14
#define VEC_MF	16
#define VEC_AC	17
#define VEC_XM	19

#endif /* SELFTESTS_APP_H */
