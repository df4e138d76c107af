/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * e1000_world.h - the other side of the model of the 82540EM, for its tests
 *
 * Memory of WORLD_MEM bytes from GPA 0 (everything above is nowhere), a clock, and the last frames that
 * were sent; then short words for what a driver does. Hosted or in KUnit.
 */
#ifndef RS_E1000_WORLD_H
#define RS_E1000_WORLD_H

#include "net/e1000.h"
#include "net/e1000_regs.h"
#include <uapi/ringside_guest.h>

#define WORLD_MEM	(1u << 20)
#define SENT_MAX	16
#define TX_RING		0x1000u
#define RX_RING		0x2000u
#define NIC_PAGE	0x3000u
#define TX_BUF		0x10000u
#define RX_BUF		0x40000u
#define RING		8u	/* descriptors: the smallest ring */
#define NOWHERE		0x7f0000000ull

/* A context for TCP over IPv4 without options, and the kinds of extended descriptors. */
#define CONTEXT_WORD0	(14u | (14 + 10) << 8 | (14 + 20 - 1) << 16)
#define CONTEXT_WORD1	(34u | (34 + 16) << 8)
#define CONTEXT		(TX_DEXT | TX_TYPE_CONTEXT << 20)
#define DATA		(TX_DEXT | TX_TYPE_DATA << 20)

struct world {
	struct rs_e1000 *dev;
	u8 *mem;
	u64 now;
	int (*on_sent)(struct world *w, const struct rs_e1000_frame *f);
	bool no_room;		/* transmit() */
	u32 nsent;
	struct rs_e1000_frame sent[SENT_MAX];
	u32 barriers, accesses;
	void (*on_write)(struct world *w, u64 gpa, u32 len);
	void (*on_read)(struct world *w, u64 gpa, u32 len);
	void *priv;
};

static const u8 world_mac[6] = { 0x02, 0x11, 0x22, 0x33, 0x44, 0x55 };

static inline bool world_has(u64 gpa, u32 len)
{
	return gpa < WORLD_MEM && len <= WORLD_MEM - gpa;
}

static inline int world_read(void *ctx, u64 gpa, void *buf, u32 len)
{
	struct world *w = ctx;

	w->accesses++;
	if (!world_has(gpa, len))
		return -EFAULT;
	if (w->on_read)
		w->on_read(w, gpa, len);
	memcpy(buf, w->mem + gpa, len);
	return 0;
}

static inline int world_write(void *ctx, u64 gpa, const void *buf, u32 len)
{
	struct world *w = ctx;

	w->accesses++;
	if (!world_has(gpa, len))
		return -EFAULT;
	if (w->on_write)
		w->on_write(w, gpa, len);
	memcpy(w->mem + gpa, buf, len);
	return 0;
}

static inline s64 world_or32(void *ctx, u64 gpa, u32 bits)
{
	struct world *w = ctx;
	u32 old, new;

	w->accesses++;
	if (!world_has(gpa, 4))
		return -EFAULT;
	if (w->on_write)
		w->on_write(w, gpa, 4);
	memcpy(&old, w->mem + gpa, 4);
	new = old | bits;
	memcpy(w->mem + gpa, &new, 4);
	return old;
}

static inline int world_transmit(void *ctx, const struct rs_e1000_frame *f)
{
	struct world *w = ctx;

	if (w->no_room)
		return -EAGAIN;
	if (w->on_sent)
		return w->on_sent(w, f);
	w->sent[w->nsent++ % SENT_MAX] = *f;
	return 0;
}

static inline void world_barrier(void)
{
}

static inline u64 world_now(void *ctx)
{
	return ((struct world *)ctx)->now;
}

static const struct rs_e1000_ops world_ops = {
	.read = world_read,
	.write = world_write,
	.or32 = world_or32,
	.transmit = world_transmit,
	.barrier = world_barrier,
	.now_ns = world_now,
};

/* --- short words --------------------------------------------------------- */

static inline u32 rd(struct world *w, u32 offset)
{
	u32 what;

	return rs_e1000_reg_read(w->dev, offset, &what);
}

static inline u32 wr(struct world *w, u32 offset, u32 v)
{
	return rs_e1000_reg_write(w->dev, offset, v);
}

static inline u32 *word_at(struct world *w, u64 gpa)
{
	return (u32 *)(w->mem + gpa);
}

static inline struct rs_nic_page *nic_page(struct world *w)
{
	return (struct rs_nic_page *)(w->mem + NIC_PAGE);
}

static inline u32 tx(struct world *w, u32 budget)
{
	u32 what;

	return rs_e1000_tx(w->dev, budget, &what);
}

static inline void put_tx(struct world *w, u32 i, u64 addr, u32 word2, u32 word3)
{
	struct e1000_tx_desc *d = (struct e1000_tx_desc *)(w->mem + TX_RING) + i % RING;

	*d = (struct e1000_tx_desc){ { addr & ~0u, addr >> 32, word2, word3 } };
}

static inline u32 tx_done(struct world *w, u32 i)
{
	return w->mem[TX_RING + i % RING * DESC_SIZE + TX_STATUS_AT] & TX_STATUS_DD;
}

static inline union e1000_rx_desc *rx_desc(struct world *w, u32 i)
{
	return (union e1000_rx_desc *)(w->mem + RX_RING) + i % RING;
}

static inline void put_rx(struct world *w, u32 i, u64 addr)
{
	memset(rx_desc(w, i), 0, DESC_SIZE);
	rx_desc(w, i)->legacy.addr = addr;
}

/* The frame that the other side sends: byte N is N + seed, but for the addresses. */
struct outside {
	struct world *w;
	u8 seed;
};

static inline u8 outside_byte(const struct outside *o, u32 at)
{
	return at < 6 ? world_mac[at] : (u8)(at * 7 + o->seed);
}

static inline int outside_copy(void *frame, u32 offset, u64 gpa, u32 n)
{
	const struct outside *o = frame;
	u32 i;

	o->w->accesses++;
	if (!world_has(gpa, n))
		return -EFAULT;
	if (o->w->on_write)
		o->w->on_write(o->w, gpa, n);
	for (i = 0; i < n; i++)
		o->w->mem[gpa + i] = outside_byte(o, offset + i);
	return 0;
}

static inline int rx_full(struct world *w, u32 len, int tci, bool sum_ok)
{
	struct outside o = { w, 3 };
	u32 what;

	return rs_e1000_rx(w->dev, len, tci, sum_ok, outside_copy, &o, &what);
}

static inline int rx(struct world *w, u32 len)
{
	return rx_full(w, len, -1, false);
}

/* Bytes [from, from + n) of that frame are at @gpa. */
static inline bool arrived(struct world *w, u64 gpa, u32 from, u32 n)
{
	struct outside o = { w, 3 };
	u32 i;

	for (i = 0; i < n; i++)
		if (w->mem[gpa + i] != outside_byte(&o, from + i))
			return false;
	return true;
}

/* A driver that has set up both rings; receive descriptors are there but the tail is where the head is. */
static inline void driver_up(struct world *w, u32 rctl)
{
	u32 i;

	rs_e1000_set_link(w->dev, true);
	wr(w, E1000_TX_RING + RING_BAL, TX_RING);
	wr(w, E1000_TX_RING + RING_LEN, RING * DESC_SIZE);
	wr(w, E1000_RX_RING + RING_BAL, RX_RING);
	wr(w, E1000_RX_RING + RING_LEN, RING * DESC_SIZE);
	for (i = 0; i < RING; i++)
		put_rx(w, i, RX_BUF + i * 0x4000);
	wr(w, E1000_TCTL, TCTL_EN);
	wr(w, E1000_RCTL, RCTL_EN | RCTL_BAM | RCTL_SECRC | rctl);
	rd(w, E1000_ICR);
}

static inline u32 page_on(struct world *w)
{
	wr(w, RS_NIC_REG_PAGE_HIGH, 0);
	return wr(w, RS_NIC_REG_PAGE_LOW, NIC_PAGE | 1);
}

static inline void world_init(struct world *w, u8 *mem)
{
	memset(w, 0, sizeof(*w));
	memset(mem, 0, WORLD_MEM);
	w->mem = mem;
	w->now = 1000000000;
	w->dev = rs_e1000_new(&world_ops, w);
	if (w->dev)
		rs_e1000_reset(w->dev, world_mac);
}

static inline void world_end(struct world *w)
{
	rs_e1000_free(w->dev);
}

#endif /* RS_E1000_WORLD_H */
