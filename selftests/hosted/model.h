/* SPDX-License-Identifier: MIT */
/*
 * model.h - TAP and random numbers for hosted tests of the module's pure parts
 *
 * As core.h has them, without the guest kernel's world. One file per program.
 */
#ifndef HOSTED_MODEL_H
#define HOSTED_MODEL_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static int model_tests;

/* A failed CHECK ends the program: what follows would mean nothing. */
#define CHECK(cond, ...)	do {							\
	if (!(cond)) {									\
		printf("not ok %d - %s:%d: %s", model_tests + 1, __FILE__, __LINE__, #cond);	\
		printf(" " __VA_ARGS__);							\
		printf("\n");								\
		exit(1);								\
	}										\
} while (0)
#define PASS(...)	do {					\
	printf("ok %d - ", ++model_tests);			\
	printf(__VA_ARGS__);					\
	printf("\n");						\
} while (0)
#define DONE()		do { printf("1..%d\n", model_tests); return 0; } while (0)

static uint64_t rnd_state = 1;

static inline uint64_t rnd(void)
{
	rnd_state ^= rnd_state >> 12;
	rnd_state ^= rnd_state << 25;
	rnd_state ^= rnd_state >> 27;
	return rnd_state * 0x2545f4914f6cdd1dull;
}

static inline void rnd_seed(uint64_t seed)
{
	rnd_state = seed * 0x9e3779b97f4a7c15ull + 1;
	rnd();
}

static inline uint64_t rnd_below(uint64_t n)
{
	return rnd() % n;
}

#endif
