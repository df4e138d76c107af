/* SPDX-License-Identifier: MIT */
/*
 * harness.h - tests as functions, results as TAP
 *
 *	TEST(name)		{ body }	a test of up to TEST_SECONDS
 *	TEST_FOR(name, seconds)	{ body }
 *
 * Every test runs in a child process of its own and in a process group of its own: what it leaves
 * open, mapped or running is gone before the next one starts, and a test that dies or hangs fails
 * alone. The test has passed when the body returns without a failed EXPECT. ASSERT leaves the test
 * at once, SKIP leaves it with a reason. Both may be used in functions the body calls, and in
 * threads.
 *
 * Suites are linked into one program (a static one is large); called by the name of a suite it is
 * that suite, under any other name it is all of them. The arguments are names of tests or suites to
 * run, all when there are none; -l lists these; -1 NAME runs a test in this very process, for where
 * fork is what does not work. Exit status 0: nothing failed.
 */
#ifndef SELFTESTS_HARNESS_H
#define SELFTESTS_HARNESS_H

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct test {
	const char *suite;		/* the file's name without .c, by the Makefile */
	const char *name;
	void (*run)(void);
	unsigned int seconds;
	struct test *next;
};

#define TEST_SECONDS	60

void test_register(struct test *t);

#define TEST_FOR(fn, secs)								\
	static void test_##fn(void);							\
	static struct test test_of_##fn = { SUITE, #fn, test_##fn, secs, NULL };		\
	__attribute__((constructor)) static void test_add_##fn(void)			\
	{										\
		test_register(&test_of_##fn);						\
	}										\
	static void test_##fn(void)
#define TEST(fn)	TEST_FOR(fn, TEST_SECONDS)

/*
 * How often a loop runs that only gets surer by its length: a quarter of @n in the kernels that check
 * every access (debug, leak), where each turn shows more and takes longer.
 */
unsigned int test_rounds(unsigned int n);
/* A line of "# ..." under the test. */
void test_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The letter of a thread of this process in /proc: 'R', 'S', 'Z' ...; 0: there is no such thread. */
char test_thread_state(int tid);
/* What EXPECT and ASSERT use. */
void test_failed(const char *file, int line, const char *fmt,
		 ...) __attribute__((format(printf, 3, 4)));
void test_leave(void) __attribute__((noreturn));
void test_skip(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

#define SKIP(...)	test_skip(__VA_ARGS__)
#define FAIL(...)	test_failed(__FILE__, __LINE__, __VA_ARGS__)

/* Unsigned 64-bit comparison: -1 and ~0 are the same, which is what errno-like results want. */
#define CHECK_OP(a, op, b, leave) do {							\
	uint64_t a_ = (uint64_t)(a), b_ = (uint64_t)(b);				\
	if (!(a_ op b_)) {								\
		test_failed(__FILE__, __LINE__, "%s %s %s: %#" PRIx64 " and %#" PRIx64,	\
			    #a, #op, #b, a_, b_);					\
		if (leave)								\
			test_leave();							\
	}										\
} while (0)

#define EXPECT_EQ(a, b)	CHECK_OP(a, ==, b, 0)
#define EXPECT_NE(a, b)	CHECK_OP(a, !=, b, 0)
#define EXPECT_LT(a, b)	CHECK_OP(a, <, b, 0)
#define EXPECT_LE(a, b)	CHECK_OP(a, <=, b, 0)
#define EXPECT_GT(a, b)	CHECK_OP(a, >, b, 0)
#define EXPECT_GE(a, b)	CHECK_OP(a, >=, b, 0)
#define ASSERT_EQ(a, b)	CHECK_OP(a, ==, b, 1)
#define ASSERT_NE(a, b)	CHECK_OP(a, !=, b, 1)
#define ASSERT_GE(a, b)	CHECK_OP(a, >=, b, 1)
#define CHECK(x, leave) do {								\
	if (!(x)) {									\
		test_failed(__FILE__, __LINE__, "%s", #x);				\
		if (leave)								\
			test_leave();							\
	}										\
} while (0)
#define EXPECT(x)	CHECK(x, 0)
#define ASSERT(x)	CHECK(x, 1)

/* The call must return -1 with this errno. */
#define EXPECT_ERRNO(call, want) do {							\
	long ret_;									\
	errno = 0;									\
	ret_ = (long)(call);								\
	if (ret_ != -1 || errno != (want))						\
		test_failed(__FILE__, __LINE__, "%s: %ld, %s; wanted %s", #call, ret_,	\
			    ret_ == -1 ? strerrorname_np(errno) : "no error",		\
			    strerrorname_np(want));					\
} while (0)

/* A system call that must work; leaves the test with errno in words otherwise. */
#define SYS(call) ({									\
	long ret_ = (long)(call);							\
	if (ret_ == -1) {								\
		test_failed(__FILE__, __LINE__, "%s: %s", #call, strerror(errno));	\
		test_leave();								\
	}										\
	ret_;										\
})

#endif /* SELFTESTS_HARNESS_H */
