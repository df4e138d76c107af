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

static int tap_tests;
#include "tap.h"

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
