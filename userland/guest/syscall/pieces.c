// SPDX-License-Identifier: MIT
/*
 * pieces.c - data of a process as a list of guest physical pieces
 *
 * The list begins in the structure itself and moves to one allocation of the largest size when that
 * is not enough; it never grows twice. What the host will write to is noted for forks by other
 * threads meanwhile (note_host_write()), as far as it is in the list.
 */
#include "pieces.h"
#include "syscall.h"
#include "../lib/string.h"
#include "../mm/kmalloc.h"

void pieces_put(struct pieces *p)
{
	user_segs_put(p->seg, p->n);
	if (p->seg != p->inline_seg)
		kfree(p->seg);
	pieces_init(p);
	forget_host_writes();
}

static bool grow(struct pieces *p)
{
	struct user_seg *s;

	if (p->max == SEGS_MAX)
		return false;
	s = kmalloc(SEGS_MAX * sizeof(*s));
	if (!s)
		return false;
	memcpy(s, p->seg, p->n * sizeof(*s));
	p->seg = s;
	p->max = SEGS_MAX;
	return true;
}

bool pieces_add(struct pieces *p, u64 va, u64 len, bool write, long *err)
{
	u64 done, want = min(len, (u64)(TRANSFER_MAX - p->bytes));
	bool whole = want == len;
	int n;

	while (want) {
		if (p->n == p->max && !grow(p))
			return false;
		n = user_segs_get(va, want, write, p->seg + p->n, p->max - p->n, &done);
		if (n <= 0) {
			if (!p->bytes)
				*err = n ? n : -EFAULT;
			return false;
		}
		if (write)
			note_host_write(va, done);
		p->n += n;
		p->bytes += done;
		va += done;
		want -= done;
		/* Less than asked for with room to spare: a page that is not there. */
		if (want && p->n < p->max)
			return false;
	}
	return whole;
}
