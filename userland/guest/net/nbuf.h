/* SPDX-License-Identifier: MIT */
/*
 * nbuf.h - packets in memory
 *
 * A packet is a chain of one or more struct nbuf, each with a buffer of NBUF_SIZE bytes that the NIC
 * can read and write. @data and @len of each say what part of its buffer counts; @total of the first is
 * the length of the whole packet. A packet to be sent begins NBUF_ROOM bytes behind the start of its
 * first buffer, so that headers can be put in front of it; a packet received begins at the start.
 *
 * A packet has one owner at a time. Whoever is given one passes it on or frees it.
 *
 * Free ones are kept for the next packet (the driver takes and gives one for each packet), and there are
 * never more than nbuf_limit, so that a flood takes no more of the guest's memory than that.
 *
 * What lies in sockets lies there until a program reads it, perhaps for ever. So the last quarter is not for that
 * (nbuf_scarce()): it is what packets on their way through, in either direction, can count on.
 */
#ifndef RS_NET_NBUF_H
#define RS_NET_NBUF_H

#include "../lib/types.h"
#include "../lib/list.h"

#define NBUF_SIZE	2048u
#define NBUF_ROOM	64u	/* for the headers below the transport's */
#define NBUF_EXT	48u
#define NBUF_COST	(NBUF_SIZE + 256u)	/* bytes: a buffer and what describes it, about */

#define NBUF_SUM_OK	1u	/* received: the transport's checksum is right, or need not be */
#define NBUF_SUM_TCP	2u	/* to be sent: the NIC is to fill in the checksum; the sum of the */
#define NBUF_SUM_UDP	4u	/* pseudo header is where it goes */
#define NBUF_LOOPED	8u	/* received from ourselves */

struct nbuf {
	struct nbuf *next;	/* the rest of the packet; of a free one the next free one */
	u8 *data;
	u32 len;
	u32 total;		/* of the first only */
	u32 flags;		/* of the first only: NBUF_SUM_* */
	u8 *head;		/* the buffer */
	u64 gpa;		/* of the buffer */
	struct list link;	/* in a queue, of the first only */
	/* what a socket wants to know of a packet in its queue; network byte order */
	u32 saddr, daddr;
	u16 sport;
	u8 ttl, tos;
	u64 ext[NBUF_EXT / 8];	/* tcp.c's */
};

extern u32 nbuf_limit;	/* buffers at once */
extern u32 nbuf_used;	/* not free */

/** nbuf_scarce() - a packet that has come is not to be kept in its buffers: copied, or dropped */
static inline bool nbuf_scarce(void)
{
	return nbuf_used > nbuf_limit - nbuf_limit / 4;
}
/** nbuf_cost() - bytes of memory that the packet takes, whatever its length */
static inline u32 nbuf_cost(const struct nbuf *n)
{
	u32 cost = 0;

	for (; n; n = n->next)
		cost += NBUF_COST;
	return cost;
}

/** nbuf_alloc() - one buffer, empty, its data beginning behind NBUF_ROOM; NULL: no memory, or too many */
struct nbuf *nbuf_alloc(void);
/** nbuf_free() - a whole packet; NULL is fine */
void nbuf_free(struct nbuf *n);
/** nbuf_drop_spare() - gives back what is kept for later */
void nbuf_drop_spare(void);

/**
 * nbuf_chain() - an empty packet with room for @len bytes behind its NBUF_ROOM; the data's lengths are
 * set, the bytes are the caller's to fill in. NULL without memory
 */
struct nbuf *nbuf_chain(u32 len);
/** nbuf_copy_out(), nbuf_copy_in() - @len bytes at @offset, which lie in the packet */
void nbuf_copy_out(const struct nbuf *n, u32 offset, void *dst, u32 len);
void nbuf_copy_in(struct nbuf *n, u32 offset, const void *src, u32 len);
/** nbuf_trim() - cuts the packet down to its first @len bytes */
void nbuf_trim(struct nbuf *n, u32 len);

/** nbuf_pull() - the first @len bytes, which lie in the first buffer, do not count any more */
static inline void nbuf_pull(struct nbuf *n, u32 len)
{
	n->data += len;
	n->len -= len;
	n->total -= len;
}

/** nbuf_push() - @len bytes more in front; there is room */
static inline u8 *nbuf_push(struct nbuf *n, u32 len)
{
	n->data -= len;
	n->len += len;
	n->total += len;
	return n->data;
}

/**
 * sum_add() - the Internet's checksum (RFC 1071) so far, with @len bytes more, which begin at an even
 * place; sum_nbuf() - of @len bytes of a packet from @offset on; sum_fold() - what goes into a header
 */
u64 sum_add(u64 sum, const void *p, u32 len);
u64 sum_nbuf(u64 sum, const struct nbuf *n, u32 offset, u32 len);
static inline u16 sum_fold16(u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (u16)sum;
}

static inline u16 sum_fold(u64 sum)
{
	return (u16)~sum_fold16(sum);
}

#endif
