/* SPDX-License-Identifier: MIT */
/*
 * pieces.h - data of a process as a list of guest physical pieces
 *
 * Pieces have the layout of struct iovec with GPAs for addresses, so the host can be given the
 * array itself. Pages are referenced from pieces_add() to pieces_put().
 */
#ifndef RS_SYSCALL_PIECES_H
#define RS_SYSCALL_PIECES_H

#include "../mm/uaccess.h"

#define SEGS_INLINE  16		  /* pieces without an allocation */
#define SEGS_MAX     1024	  /* IOV_MAX */
#define TRANSFER_MAX (64ul << 20) /* bytes of one call; longer ones are cut short */

struct pieces {
	struct user_seg *seg;
	int n, max;
	u64 bytes;
	struct user_seg inline_seg[SEGS_INLINE];
};

static inline void pieces_init(struct pieces *p)
{
	p->seg = p->inline_seg;
	p->n = 0;
	p->max = SEGS_INLINE;
	p->bytes = 0;
}

/** pieces_put() - drops all references; the list is empty again */
void pieces_put(struct pieces *p);
/**
 * pieces_add() - translates one more buffer; true when all of it is in
 * False: the rest is not there or does not fit, so nothing may be added after it. *@err is set only
 * when the list is still empty.
 */
bool pieces_add(struct pieces *p, u64 va, u64 len, bool write, long *err);

#endif
