/* SPDX-License-Identifier: MIT */
/*
 * types.h - the words everything else is written in
 *
 * The guest kernel is freestanding: the compiler's own headers and Linux's uapi headers (numbers
 * and structures, no code) are all it has. The pure parts of it are also compiled as ordinary
 * programs with RS_HOSTED defined, for tests under sanitizers; there the C library's names win and
 * this file only adds to them.
 */
#ifndef RS_LIB_TYPES_H
#define RS_LIB_TYPES_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/types.h>
#include <linux/errno.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;

#ifndef RS_HOSTED
typedef long ssize_t;
#else
#include <sys/types.h>
#endif

#define ARRAY_SIZE(a)		(sizeof(a) / sizeof((a)[0]))
#define container_of(p, type, member) ((type *)((char *)(p) - offsetof(type, member)))
#define likely(x)		__builtin_expect(!!(x), 1)
#define unlikely(x)		__builtin_expect(!!(x), 0)
#define noinline		__attribute__((noinline))
#define always_inline		inline __attribute__((always_inline))
#define __printf(a, b)		__attribute__((format(printf, a, b)))
#define __noreturn		__attribute__((noreturn))
#define barrier()		asm volatile("" ::: "memory")
#define READ_ONCE(x)		(*(const volatile typeof(x) *)&(x))
#define WRITE_ONCE(x, v)	(*(volatile typeof(x) *)&(x) = (v))

#define min(a, b)		({ typeof(a) _a = (a); typeof(b) _b = (b); _a < _b ? _a : _b; })
#define max(a, b)		({ typeof(a) _a = (a); typeof(b) _b = (b); _a > _b ? _a : _b; })

#define PAGE_SHIFT		12
#define PAGE_SIZE		4096ul
#define PAGE_MASK		(~(PAGE_SIZE - 1))
#define HUGE_SHIFT		21
#define HUGE_SIZE		(1ul << HUGE_SHIFT)
#define PAGES_PER_HUGE		512ul

#define ALIGN_DOWN(x, a)	((x) & ~((typeof(x))(a) - 1))
#define ALIGN_UP(x, a)		(((x) + ((typeof(x))(a) - 1)) & ~((typeof(x))(a) - 1))
#define IS_ALIGNED(x, a)	(((x) & ((typeof(x))(a) - 1)) == 0)

/**
 * page_up() - @len rounded up to pages; 0 when that overflows (and for 0), so that one test catches
 * both
 */
static inline u64 page_up(u64 len)
{
	return (len + PAGE_SIZE - 1) & PAGE_MASK;
}

/* Errors as pointers, as Linux has them: the top 4095 addresses are never objects. */
static inline void *ERR_PTR(long e)
{
	return (void *)e;
}

static inline long PTR_ERR(const void *p)
{
	return (long)p;
}

static inline bool IS_ERR(const void *p)
{
	return (unsigned long)p >= (unsigned long)-4095;
}

#endif
