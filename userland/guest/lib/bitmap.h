/* SPDX-License-Identifier: MIT */
/*
 * bitmap.h - arrays of bits in 64-bit words
 *
 * Not atomic: whoever owns the bitmap serialises.
 */
#ifndef RS_LIB_BITMAP_H
#define RS_LIB_BITMAP_H

#include "types.h"

#define BITMAP_WORDS(bits)	(((bits) + 63) / 64)

static inline bool bit_test(const u64 *map, size_t i)
{
	return map[i / 64] >> (i % 64) & 1;
}

static inline void bit_set(u64 *map, size_t i)
{
	map[i / 64] |= 1ull << (i % 64);
}

static inline void bit_clear(u64 *map, size_t i)
{
	map[i / 64] &= ~(1ull << (i % 64));
}

/** bit_find_set() - first set bit at or after @from, @bits when there is none */
static inline size_t bit_find_set(const u64 *map, size_t bits, size_t from)
{
	size_t w = from / 64;
	u64 word;

	if (from >= bits)
		return bits;
	word = map[w] & (~0ull << (from % 64));
	while (!word) {
		if (++w >= BITMAP_WORDS(bits))
			return bits;
		word = map[w];
	}
	return min(w * 64 + (size_t)__builtin_ctzll(word), bits);
}

/** bit_find_clear() - first clear bit at or after @from, @bits when there is none */
static inline size_t bit_find_clear(const u64 *map, size_t bits, size_t from)
{
	size_t w = from / 64;
	u64 word;

	if (from >= bits)
		return bits;
	word = ~map[w] & (~0ull << (from % 64));
	while (!word) {
		if (++w >= BITMAP_WORDS(bits))
			return bits;
		word = ~map[w];
	}
	return min(w * 64 + (size_t)__builtin_ctzll(word), bits);
}

/**
 * bit_find_run() - start of the first run of @n set bits (@clear: clear bits), @bits when there is
 * none
 */
static inline size_t bit_find_run(const u64 *map, size_t bits, size_t n, bool clear)
{
	size_t s = 0, e;

	for (;;) {
		s = clear ? bit_find_clear(map, bits, s) : bit_find_set(map, bits, s);
		if (s >= bits)
			return bits;
		e = clear ? bit_find_set(map, bits, s) : bit_find_clear(map, bits, s);
		if (e - s >= n)
			return s;
		s = e;
	}
}

#endif
