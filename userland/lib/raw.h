/* SPDX-License-Identifier: MIT */
/*
 * raw.h - system calls without libc, for the hot path
 *
 * libc's wrappers touch errno and may be cancellation points, and nothing says that they leave
 * vector registers alone. These are the instruction and nothing else: the result is a value or
 * -errno.
 */
#ifndef RS_RAW_H
#define RS_RAW_H

#include <asm/unistd.h>

#ifdef RS_RAW_HOOK
/* A test looks at the calls instead of Linux. */
long rs_raw_hook(long nr, long a, long b, long c, long d, long e, long f);
#define rs_raw6(nr, a, b, c, d, e, f)	rs_raw_hook(nr, a, b, c, d, e, f)
#define rs_raw5(nr, a, b, c, d, e)	rs_raw_hook(nr, a, b, c, d, e, 0)
#define rs_raw4(nr, a, b, c, d)		rs_raw_hook(nr, a, b, c, d, 0, 0)
#define rs_raw3(nr, a, b, c)		rs_raw_hook(nr, a, b, c, 0, 0, 0)
#else
static inline long rs_raw6(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

static inline long rs_raw3(long nr, long a, long b, long c)
{
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c)
			 : "rcx", "r11", "memory");
	return ret;
}

static inline long rs_raw4(long nr, long a, long b, long c, long d)
{
	register long r10 __asm__("r10") = d;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10)
			 : "rcx", "r11", "memory");
	return ret;
}

static inline long rs_raw5(long nr, long a, long b, long c, long d, long e)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
			 : "rcx", "r11", "memory");
	return ret;
}

#endif /* RS_RAW_HOOK */

/*
 * One read of memory that somebody else may be writing, one write of what he may be reading. The
 * sanitizer does not know what volatile is for; the compiler makes better code of it.
 */
#ifdef __SANITIZE_THREAD__
#define RS_READ_ONCE(x)		__atomic_load_n(&(x), __ATOMIC_RELAXED)
#define RS_WRITE_ONCE(x, v)	__atomic_store_n(&(x), v, __ATOMIC_RELAXED)
#else
#define RS_READ_ONCE(x)		(*(const volatile __typeof__(x) *)&(x))
#define RS_WRITE_ONCE(x, v)	(*(volatile __typeof__(x) *)&(x) = (v))
#endif

#endif /* RS_RAW_H */
