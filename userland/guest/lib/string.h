/* SPDX-License-Identifier: MIT */
/*
 * string.h - memory and strings
 *
 * The mem* functions are also what the compiler calls by itself. Everything here is for kernel
 * memory; process memory is reached with mm/uaccess.h only.
 */
#ifndef RS_LIB_STRING_H
#define RS_LIB_STRING_H

#include "types.h"

#ifdef RS_HOSTED
#include <string.h>
#else
void *memcpy(void *dst, const void *src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
void *memchr(const void *s, int c, size_t n);
size_t strlen(const char *s);
size_t strnlen(const char *s, size_t max);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);
char *strrchr(const char *s, int c);
#endif

/**
 * rs_strlcpy() - copies what fits of @src, always ends @dst with a NUL; returns strlen(@src), so >=
 * @size means cut off
 */
size_t rs_strlcpy(char *dst, const char *src, size_t size);

/**
 * rs_strtoul() - number at @s in @base (0: as C writes it); *@end is the first character not used
 * (@end may be NULL). Saturates.
 */
u64 rs_strtoul(const char *s, const char **end, int base);

/** clear_page() - 4096 zero bytes at the page-aligned @p */
static inline void clear_page(void *p)
{
	unsigned long n = 512;

	asm volatile("rep stosq" : "+D"(p), "+c"(n) : "a"(0ul) : "memory");
}

/** copy_page() - one aligned page */
static inline void copy_page(void *dst, const void *src)
{
	unsigned long n = 512;

	asm volatile("rep movsq" : "+D"(dst), "+S"(src), "+c"(n) : : "memory");
}

#endif
