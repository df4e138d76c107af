/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * e1000_dev.h - the device's own state, shared by the files e1000*.c and nobody else
 *
 * Where things are: e1000.c makes the device and is the register file; e1000_chips.c is what hangs at it
 * by two wires, the EEPROM and the PHY; e1000_irq.c brings causes and heads to the driver, by ICR or by the
 * queue page, and has the protocol of sleeping; e1000_tx.c and e1000_rx.c are the rings.
 *
 * Invariants: a ring's head is the device's own: in register mode the driver may write it, with the queue
 * page nobody else can. A head or a tail is used as an index only after it was compared with the size of
 * the ring as the registers have it at this moment, since the driver may write them at any time. What was
 * read from guest memory is looked at only in the copy.
 */
#ifndef RS_E1000_DEV_H
#define RS_E1000_DEV_H

#include "e1000.h"
#include "e1000_regs.h"

/* Bits of rs_nic_page.stopped; ring[] is indexed by the same order. */
#define RING_TX		0
#define RING_RX		1

/**
 * struct e1000_ring - registers of a ring, and how far it is
 * @tail: the register; with the queue page, what was last read there
 * @told: the head that the page has
 * @stuck: a descriptor could not be read or written, or (with the page) an index was out of range: the
 * ring does nothing until the driver writes one of its registers, or sets up the page anew
 */
struct e1000_ring {
	u32 bal, bah, len, head, tail, told;
	u32 delay, abs_delay, dctl;
	bool stuck;
};

/** struct e1000_timer - a cause that is put off: RDTR and RADV, TIDV and TADV; 0: not running */
struct e1000_timer {
	u64 due, last;		/* @last: not later than this */
};

/** struct e1000_context - what the last context descriptor said; offsets of bytes in a frame */
struct e1000_context {
	u8 ip_start, ip_sum_at, l4_start, l4_sum_at, hdr_len;
	u16 ip_last, l4_last, mss;
	u32 paylen;
	bool tcp, ipv4, tso;
};

#define TX_CACHE	16

struct rs_e1000 {
	const struct rs_e1000_ops *ops;
	void *ctx;
	struct rs_e1000_stats stats;
	u8 mac[6];
	bool link;

	/* registers with a meaning */
	u32 ctrl, eecd, eerd, mdic, vet, rctl, tctl, rxcsum, rfctl;
	u32 icr, ims, itr;
	struct e1000_ring ring[2];
	u32 mta[MTA_WORDS], ra[2 * RA_ENTRIES], vfta[VFTA_WORDS];
	u32 counter[(E1000_STATS_END - E1000_STATS) / 4];
	/* registers that are only remembered, see remembered[] in e1000.c */
	u32 memory[32];

	u16 eeprom[EEPROM_WORDS];
	u32 wire_in, wire_bits, wire_out;	/* the EEPROM's serial wire: e1000_chips.c */
	u16 phy[PHY_REGS];

	/* interrupts */
	u32 causes;		/* to be delivered by the next publish() */
	u64 last_irq;		/* when; the throttle counts from here */
	struct e1000_timer timer[2];

	/* the queue page */
	bool page_on;
	u64 page;
	u32 page_high;		/* the register, until _LOW is written */
	u32 doorbell, stopped;	/* what the page has */

	/* transmit */
	struct e1000_context context;
	bool tx_skip;		/* the frame at the head is being thrown away, to its end */
	bool tx_blocked;	/* the last frame found no room at the other side */
	bool tx_partial;	/* with the tail at @tx_partial_tail, the frame at the head had no end */
	u32 tx_partial_tail;
	u32 cache_from, cache_n;	/* descriptors in @cache; valid during one call */
	struct e1000_tx_desc cache[TX_CACHE];
	struct rs_e1000_frame frame;

	/* receive */
	u32 rx_need;		/* descriptors that the frame needs which found no room; 0: none did */
};

/* An address as RAL and RAH have it. */
static inline u32 mac_low(const u8 *mac)
{
	return mac[0] | mac[1] << 8 | mac[2] << 16 | (u32)mac[3] << 24;
}

static inline u32 mac_high(const u8 *mac)
{
	return mac[4] | mac[5] << 8;
}

static inline u32 ring_size(const struct e1000_ring *r)
{
	return (r->len & 0xfff80) / DESC_SIZE;
}

static inline u64 ring_at(const struct e1000_ring *r, u32 index)
{
	return ((u64)r->bah << 32 | (r->bal & ~15u)) + (u64)index * DESC_SIZE;
}

/** count() - a statistics register; it stays at its highest value */
static inline void count(struct rs_e1000 *dev, u32 stat)
{
	if (dev->counter[stat] != ~0u)
		dev->counter[stat]++;
}

/** count_octets() - a pair of them */
static inline void count_octets(struct rs_e1000 *dev, u32 low, u32 n)
{
	u64 v = ((u64)dev->counter[low + 1] << 32 | dev->counter[low]) + n;

	dev->counter[low] = v;
	dev->counter[low + 1] = v >> 32;
}

/* The parentheses: the kernel has a macro of that name. */
static inline void full_barrier(const struct rs_e1000 *dev)
{
	(dev->ops->barrier)();
}

/* e1000.c */
/** count_size() - the right one of six, for frames of 64, 65-127, ... bytes with their FCS */
void count_size(struct rs_e1000 *dev, u32 first, u32 len);

/* e1000_chips.c */
void eeprom_init(struct rs_e1000 *dev);
void eecd_write(struct rs_e1000 *dev, u32 v);
void eerd_write(struct rs_e1000 *dev, u32 v);
void phy_reset(struct rs_e1000 *dev);
void phy_link(struct rs_e1000 *dev);
/** mdic_write() - returns causes */
u32 mdic_write(struct rs_e1000 *dev, u32 v);

/* e1000_irq.c */
/** deliver() - these causes now; what is throttled waits for publish(). RS_E1000_* */
u32 deliver(struct rs_e1000 *dev, u32 causes);
/** cause_ring() - TXDW or RXT0 of ring @which for the next publish(); if @delay, when its delay registers say */
void cause_ring(struct rs_e1000 *dev, int which, bool delay);
/** page_setup() - RS_NIC_REG_PAGE_LOW was written */
u32 page_setup(struct rs_e1000 *dev, u32 low);
/** page_tail() - read the tail of ring @which in the page; false: it is not to be had, the ring is stuck */
bool page_tail(struct rs_e1000 *dev, int which);
/** ring_stop() - the driver's ring is wrong; with the page, it is told */
void ring_stop(struct rs_e1000 *dev, int which);
/** ring_usable() - size, head and (fresh with the page) tail are right; then *@n is its size */
bool ring_usable(struct rs_e1000 *dev, int which, u32 *n);

#endif /* RS_E1000_DEV_H */
