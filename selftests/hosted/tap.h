/* SPDX-License-Identifier: MIT */
/*
 * tap.h - checks and results of hosted tests; @tap_tests, the number of results so far, is the includer's
 */
#ifndef HOSTED_TAP_H
#define HOSTED_TAP_H

/* A failed CHECK ends the program: what follows would mean nothing. */
#define CHECK(cond, ...)	do {							\
	if (!(cond)) {									\
		printf("not ok %d - %s:%d: %s", tap_tests + 1, __FILE__, __LINE__, #cond);	\
		printf(" " __VA_ARGS__);							\
		printf("\n");								\
		exit(1);								\
	}										\
} while (0)
#define PASS(...)	do {					\
	printf("ok %d - ", ++tap_tests);			\
	printf(__VA_ARGS__);					\
	printf("\n");						\
} while (0)
#define DONE()		do { printf("1..%d\n", tap_tests); return 0; } while (0)

#endif
