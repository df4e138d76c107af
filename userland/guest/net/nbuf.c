// SPDX-License-Identifier: MIT
/*
 * nbuf.c - see nbuf.h
 *
 * As a hosted program every buffer comes from the allocator and goes back to it, so that a sanitizer
 * sees who uses one too long.
 */
#include "nbuf.h"
#include "../host/host.h"
#include "../lib/string.h"
#include "../mm/kmalloc.h"

u32 nbuf_limit = 8192, nbuf_used;
static struct nbuf *spare;

static noinline struct nbuf *make(void)
{
	struct nbuf *n = kmalloc(sizeof(*n));

	if (!n)
		return NULL;
	n->head = kmalloc(NBUF_SIZE);
	if (!n->head) {
		kfree(n);
		return NULL;
	}
	n->gpa = gpa_of(n->head);
	return n;
}

static void destroy(struct nbuf *n)
{
	kfree(n->head);
	kfree(n);
}

struct nbuf *nbuf_alloc(void)
{
	struct nbuf *n = spare;

	if (unlikely(nbuf_used >= nbuf_limit))
		return NULL;
	if (likely(n)) {
		spare = n->next;
	} else {
		n = make();
		if (!n)
			return NULL;
	}
	nbuf_used++;
	n->next = NULL;
	n->data = n->head + NBUF_ROOM;
	n->len = 0;
	n->total = 0;
	n->flags = 0;
	list_init(&n->link);
	return n;
}

void nbuf_free(struct nbuf *n)
{
	struct nbuf *next;

	for (; n; n = next) {
		next = n->next;
		nbuf_used--;
#ifdef RS_HOSTED
		destroy(n);
#else
		n->next = spare;
		spare = n;
#endif
	}
}

void nbuf_drop_spare(void)
{
	struct nbuf *n;

	while ((n = spare)) {
		spare = n->next;
		destroy(n);
	}
}

struct nbuf *nbuf_chain(u32 len)
{
	struct nbuf *first = NULL, **at = &first, *n;
	u32 left = len;

	do {
		n = nbuf_alloc();
		if (!n) {
			nbuf_free(first);
			return NULL;
		}
		if (first)
			n->data = n->head;
		n->len = min(left, NBUF_SIZE - (u32)(n->data - n->head));
		left -= n->len;
		*at = n;
		at = &n->next;
	} while (left);
	first->total = len;
	return first;
}

void nbuf_copy_out(const struct nbuf *n, u32 offset, void *dst, u32 len)
{
	u8 *to = dst;

	for (; len; n = n->next) {
		u32 part;

		if (offset >= n->len) {
			offset -= n->len;
			continue;
		}
		part = min(len, n->len - offset);
		memcpy(to, n->data + offset, part);
		to += part;
		len -= part;
		offset = 0;
	}
}

void nbuf_copy_in(struct nbuf *n, u32 offset, const void *src, u32 len)
{
	const u8 *from = src;

	for (; len; n = n->next) {
		u32 part;

		if (offset >= n->len) {
			offset -= n->len;
			continue;
		}
		part = min(len, n->len - offset);
		memcpy(n->data + offset, from, part);
		from += part;
		len -= part;
		offset = 0;
	}
}

void nbuf_trim(struct nbuf *n, u32 len)
{
	n->total = len;
	for (; len > n->len; n = n->next)
		len -= n->len;
	n->len = len;
	nbuf_free(n->next);
	n->next = NULL;
}

/*
 * Words of 32 bits are added as they lie in memory; the order of the bytes comes out right when the sum
 * is stored as it is (RFC 1071, 2 (B)). The sum cannot run over: at most 2^16 bytes are added.
 */
u64 sum_add(u64 sum, const void *p, u32 len)
{
	const u8 *b = p;
	u64 w;
	u32 v = 0;

	for (; len >= 8; len -= 8, b += 8) {
		memcpy(&w, b, 8);
		sum += (w & 0xffffffff) + (w >> 32);
	}
	if (len >= 4) {
		memcpy(&v, b, 4);
		sum += v;
		len -= 4;
		b += 4;
	}
	v = 0;
	memcpy(&v, b, len);
	return sum + v;
}

u64 sum_nbuf(u64 sum, const struct nbuf *n, u32 offset, u32 len)
{
	bool odd = false;

	for (; len; n = n->next) {
		u32 part;
		u16 s;

		if (offset >= n->len) {
			offset -= n->len;
			continue;
		}
		part = min(len, n->len - offset);
		s = sum_fold16(sum_add(0, n->data + offset, part));
		sum += odd ? __builtin_bswap16(s) : s;
		odd ^= part & 1;
		len -= part;
		offset = 0;
	}
	return sum;
}
