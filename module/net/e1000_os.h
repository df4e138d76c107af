/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * e1000_os.h - the few words that the pure parts of the network take from their surroundings
 *
 * In the module they are the kernel's. As a hosted program (RS_HOSTED) they are made of libc here, with
 * the same meaning; nothing beyond them may be used by the files that include this.
 */
#ifndef RS_E1000_OS_H
#define RS_E1000_OS_H

#ifdef RS_HOSTED

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;

#define min(a, b)	({ __typeof__(a) a_ = (a); __typeof__(b) b_ = (b); a_ < b_ ? a_ : b_; })
#define max(a, b)	({ __typeof__(a) a_ = (a); __typeof__(b) b_ = (b); a_ > b_ ? a_ : b_; })
#define min_t(t, a, b)	({ t a_ = (a); t b_ = (b); a_ < b_ ? a_ : b_; })
#define max_t(t, a, b)	({ t a_ = (a); t b_ = (b); a_ > b_ ? a_ : b_; })
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#ifndef fallthrough
#define fallthrough	__attribute__((__fallthrough__))
#endif

#define GFP_KERNEL	0
#define kzalloc(size, gfp)	calloc(1, size)
#define kfree(p)		free(p)

#else

#include <linux/build_bug.h>
#include <linux/compiler.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/minmax.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/types.h>

#endif

#endif /* RS_E1000_OS_H */
