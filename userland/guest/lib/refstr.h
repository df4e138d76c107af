/* SPDX-License-Identifier: MIT */
/*
 * refstr.h - strings with several owners: names of files that descriptors and mappings both
 * remember
 *
 * The text never changes. Counts are atomic. refstr_new() and the last refstr_put() use the
 * allocator (mm/kmalloc.h).
 */
#ifndef RS_LIB_REFSTR_H
#define RS_LIB_REFSTR_H

#include "types.h"

struct refstr {
	u32 refs;
	char text[];
};

/** refstr_new() - a copy of @s with one owner; NULL without memory */
struct refstr *refstr_new(const char *s);

/** refstr_get() - one more owner; NULL stays NULL */
static inline struct refstr *refstr_get(struct refstr *r)
{
	if (r)
		__atomic_add_fetch(&r->refs, 1, __ATOMIC_RELAXED);
	return r;
}

/** refstr_put() - one owner less; NULL is fine */
void refstr_put(struct refstr *r);

static inline const char *refstr_text(const struct refstr *r)
{
	return r ? r->text : "";
}

#endif
