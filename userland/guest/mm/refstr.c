// SPDX-License-Identifier: MIT
/*
 * refstr.c - the allocating half of lib/refstr.h
 *
 * It lies in mm because it allocates; lib knows no allocator.
 */
#include "../lib/refstr.h"
#include "../lib/string.h"
#include "kmalloc.h"

struct refstr *refstr_new(const char *s)
{
	size_t n = strlen(s) + 1;
	struct refstr *r = kmalloc(sizeof(*r) + n);

	if (r) {
		r->refs = 1;
		memcpy(r->text, s, n);
	}
	return r;
}

void refstr_put(struct refstr *r)
{
	if (r && __atomic_sub_fetch(&r->refs, 1, __ATOMIC_ACQ_REL) == 0)
		kfree(r);
}
