/* SPDX-License-Identifier: MIT */
/*
 * e1000.h - the driver of the sandbox's NIC, an 82540EM with a queue page
 *
 * Set-up is as the manual has it ("PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's
 * Manual", 317453): reset, address from the EEPROM, rings, filters, receiver and transmitter on; all by
 * hypercalls, and none of it is needed again. From then on tails, heads, mask and causes are words of
 * struct rs_nic_page (ringside_guest.h says in which order each side writes and reads them), and
 * a hypercall is made only when the other side has said that it sleeps.
 *
 * One packet costs: to be sent, a descriptor for each of its buffers (and one more when the kind of its
 * checksum is another than that of the packet before), the tail, a look at @doorbell; received, its buffer
 * out of the ring and an empty one in. Heads and tails are looked at and stored once for many packets
 * where many are there.
 *
 * Invariants: tx_buf[i] is not NULL only for descriptors in [tx_clean, tx_tail) that end a packet, which
 * is freed with them. Every descriptor of the receive ring has a buffer; those in [rx_next, rx_tail) are
 * the NIC's. One descriptor always stays out of the NIC's hands, since equal head and tail mean: none.
 */
#ifndef RS_DEV_E1000_H
#define RS_DEV_E1000_H

#include <ringside_guest.h>
#include "../lib/types.h"
#include "../net/nbuf.h"

#define E1000_TX_RING	512u
#define E1000_RX_RING	1024u

/* Causes: bits of ICR, IMS and of the queue page */
#define E1000_TXDW	(1u << 0)	/* a descriptor with RS is done */
#define E1000_TXQE	(1u << 1)	/* the transmit ring is empty */
#define E1000_LSC	(1u << 2)
#define E1000_RXDMT0	(1u << 4)
#define E1000_RXO	(1u << 6)
#define E1000_RXT0	(1u << 7)
#define E1000_RX	(E1000_RXT0 | E1000_RXO | E1000_RXDMT0)
#define E1000_TX	(E1000_TXDW | E1000_TXQE)

struct e1000_stats {
	u64 tx_packets, rx_packets;
	u64 tx_full;		/* packets that found no room */
	u64 rx_bad;		/* that the NIC has marked as broken, or that are cut off */
	u64 rx_no_memory;	/* given up for want of an empty buffer */
	u64 doorbells;
};

struct e1000_tx_desc;
struct e1000_rx_desc;

struct e1000 {
	struct rs_nic_page *page;
	u32 nic;
	u32 tx_tail, tx_clean, tx_context;	/* @tx_context: NBUF_SUM_* that the NIC has been told of */
	struct e1000_tx_desc *tx;
	struct nbuf **tx_buf;
	u32 rx_next, rx_tail;
	struct e1000_rx_desc *rx;
	struct nbuf **rx_buf;
	struct nbuf *rx_first, **rx_end;	/* of a packet in several buffers: what came so far */
	bool rx_drop;				/* its rest is to be dropped */
	u8 mac[6];
	struct e1000_stats stats;
	void *memory[3];			/* to be freed */
};

/** e1000_init() - resets NIC @nic and sets it up; 0, -ENODEV, -ENOMEM, -EIO */
int e1000_init(struct e1000 *d, u32 nic);
/** e1000_free() - stops it, takes its page back and frees all buffers */
void e1000_free(struct e1000 *d);

/**
 * e1000_send() - a packet with its Ethernet header; it is the driver's when the answer is 0
 * -ENOBUFS: no room in the ring, nothing has happened and the packet is still the caller's.
 */
int e1000_send(struct e1000 *d, struct nbuf *n);
/** e1000_room() - descriptors that are free, after taking back what the NIC is done with */
u32 e1000_room(struct e1000 *d);
/**
 * e1000_receive() - the next packet, with its Ethernet header; NULL: none is there
 * After the last one of a round: e1000_refilled().
 */
struct nbuf *e1000_receive(struct e1000 *d);
/** e1000_refilled() - tells the NIC of the empty buffers */
void e1000_refilled(struct e1000 *d);

static inline bool e1000_pending(const struct e1000 *d)
{
	return d->rx_next != READ_ONCE(d->page->rx_head);
}

/** e1000_sent_all() - the NIC has taken everything */
static inline bool e1000_sent_all(const struct e1000 *d)
{
	return READ_ONCE(d->page->tx_head) == d->tx_tail;
}

/** e1000_cause() - causes in the mask that have come since */
static inline u32 e1000_cause(const struct e1000 *d)
{
	return READ_ONCE(d->page->cause) & READ_ONCE(d->page->mask);
}

/** e1000_mask() - causes that are to be signalled from now on; returns those that are there, and takes them */
u32 e1000_mask(struct e1000 *d, u32 mask);

#endif
