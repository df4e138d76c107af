// SPDX-License-Identifier: MIT
/*
 * e1000.c - see e1000.h
 */
#include "e1000.h"
#include "../host/host.h"
#include "../lib/string.h"
#include "../mm/kmalloc.h"

/* Registers */
#define CTRL	0x0000
#define EERD	0x0014
#define ICR	0x00c0
#define IMC	0x00d8
#define RCTL	0x0100
#define TCTL	0x0400
#define TIPG	0x0410
#define RDBAL	0x2800
#define TDBAL	0x3800
#define RXCSUM	0x5000
#define MTA	0x5200
#define RAL	0x5400
#define RAH	0x5404
/* of a ring, from its xDBAL */
#define DBAH	0x04
#define DLEN	0x08
#define DH	0x10
#define DT	0x18

#define CTRL_ASDE	(1u << 5)
#define CTRL_SLU	(1u << 6)
#define CTRL_RST	(1u << 26)
#define EERD_START	1u
#define EERD_DONE	(1u << 4)
#define RCTL_EN		(1u << 1)
#define RCTL_LPE	(1u << 5)
#define RCTL_BAM	(1u << 15)
#define RCTL_SECRC	(1u << 26)
#define TCTL_EN		(1u << 1)
#define TCTL_PSP	(1u << 3)
#define TCTL_COLLISIONS	(0x10u << 4 | 0x40u << 12)
#define TIPG_COPPER	(10u | 8u << 10 | 6u << 20)
#define RXCSUM_IP	(1u << 8)
#define RXCSUM_TU	(1u << 9)
#define RAH_VALID	(1u << 31)

/* Command of a descriptor, its bits 24 and up */
#define CMD_EOP		(1u << 24)
#define CMD_IFCS	(1u << 25)
#define CMD_TCP		(1u << 24)	/* of a context: the checksum is TCP's */
#define CMD_RS		(1u << 27)
#define CMD_DEXT	(1u << 29)
#define DTYP_DATA	(1u << 20)
#define OPT_TXSM	(2u << 8)

#define RX_DD		1u
#define RX_EOP		2u
#define RX_IXSM		4u		/* nothing is known of the checksums */
#define RX_TCPCS	0x20u
#define RX_TCPE		0x20u
#define RX_IPE		0x40u
/* CE, SE, SEQ, CXE, RXE: what came is not what was sent */
#define RX_BROKEN	0x97u

#define REPORT_EVERY	(E1000_TX_RING / 4)	/* a descriptor with RS */

#define ETH_LEN		14u
#define IP_LEN		20u

struct e1000_tx_desc {
	u64 addr;	/* of a context: IPCSS IPCSO IPCSE TUCSS TUCSO TUCSE */
	u32 cmd;	/* length, type, command */
	u32 opts;	/* status, options, special */
};

struct e1000_rx_desc {
	u64 addr;
	u16 len, sum;
	u8 status, errors;
	u16 special;
};

_Static_assert(sizeof(struct e1000_tx_desc) == 16 && sizeof(struct e1000_rx_desc) == 16,
	       "descriptors of the 82540EM");
_Static_assert(offsetof(struct rs_nic_page, tx_head) == 64 &&
	       offsetof(struct rs_nic_page, cause) == 128, "the queue page");
_Static_assert(!(E1000_TX_RING & (E1000_TX_RING - 1)) && !(E1000_RX_RING & (E1000_RX_RING - 1)),
	       "indices are masked");

static u32 reg_read(const struct e1000 *d, u32 reg)
{
	return (u32)rs_hypercall(RS_HC_NIC_READ, d->nic, reg, 0, 0);
}

static void reg_write(const struct e1000 *d, u32 reg, u32 v)
{
	rs_hypercall(RS_HC_NIC_WRITE, d->nic, reg, v, 0);
}

static void full_barrier(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static noinline void doorbell(struct e1000 *d, u32 want)
{
	/* taken back by who rings: what follows before the module runs needs no other one */
	if (!(__atomic_fetch_and(&d->page->doorbell, ~want, __ATOMIC_SEQ_CST) & want))
		return;
	d->stats.doorbells++;
	rs_hypercall(RS_HC_NIC_DOORBELL, d->nic, 0, 0, 0);
}

/* A tail was stored: does the module sleep for want of it? */
static inline void ring_if_wanted(struct e1000 *d, u32 want)
{
	full_barrier();
	if (unlikely(READ_ONCE(d->page->doorbell) & want))
		doorbell(d, want);
}

/* --- set-up ----------------------------------------------------------------------------------- */

#define TRIES 1000

static int read_eeprom(struct e1000 *d, u32 word, u16 *v)
{
	u32 i, got;

	reg_write(d, EERD, EERD_START | word << 8);
	for (i = 0; i < TRIES; i++) {
		got = reg_read(d, EERD);
		if (got & EERD_DONE) {
			*v = (u16)(got >> 16);
			return 0;
		}
	}
	return -EIO;
}

static int reset(struct e1000 *d)
{
	u32 i;
	u16 w;
	int err;

	reg_write(d, IMC, ~0u);
	reg_write(d, CTRL, CTRL_RST);
	for (i = 0; reg_read(d, CTRL) & CTRL_RST; i++)
		if (i == TRIES)
			return -EIO;
	reg_write(d, IMC, ~0u);
	reg_read(d, ICR);
	for (i = 0; i < 3; i++) {
		err = read_eeprom(d, i, &w);
		if (err)
			return err;
		d->mac[2 * i] = (u8)w;
		d->mac[2 * i + 1] = (u8)(w >> 8);
	}
	return 0;
}

static void set_ring(const struct e1000 *d, u32 base, const void *ring, u32 bytes)
{
	u64 gpa = gpa_of(ring);

	reg_write(d, base, (u32)gpa);
	reg_write(d, base + DBAH, (u32)(gpa >> 32));
	reg_write(d, base + DLEN, bytes);
	reg_write(d, base + DH, 0);
	reg_write(d, base + DT, 0);
}

static void set_filters(const struct e1000 *d)
{
	u32 i;

	reg_write(d, RAL, d->mac[0] | d->mac[1] << 8 | d->mac[2] << 16 | (u32)d->mac[3] << 24);
	reg_write(d, RAH, d->mac[4] | d->mac[5] << 8 | RAH_VALID);
	for (i = 0; i < 128; i++)
		reg_write(d, MTA + 4 * i, 0);
}

static void set_page(const struct e1000 *d)
{
	u64 gpa = gpa_of(d->page);

	reg_write(d, RS_NIC_REG_PAGE_HIGH, (u32)(gpa >> 32));
	reg_write(d, RS_NIC_REG_PAGE_LOW, (u32)gpa | 1);
}

static int allocate(struct e1000 *d)
{
	u32 i;

	d->memory[0] = kzalloc(2 * PAGE_SIZE);
	d->memory[1] = kzalloc(E1000_TX_RING * (sizeof(*d->tx) + sizeof(*d->tx_buf)));
	d->memory[2] = kzalloc(E1000_RX_RING * (sizeof(*d->rx) + sizeof(*d->rx_buf)));
	if (!d->memory[0] || !d->memory[1] || !d->memory[2])
		return -ENOMEM;
	d->page = gpa_ptr(page_up(gpa_of(d->memory[0])));
	d->tx = d->memory[1];
	d->tx_buf = (struct nbuf **)(d->tx + E1000_TX_RING);
	d->rx = d->memory[2];
	d->rx_buf = (struct nbuf **)(d->rx + E1000_RX_RING);
	for (i = 0; i < E1000_RX_RING; i++) {
		d->rx_buf[i] = nbuf_alloc();
		if (!d->rx_buf[i])
			return -ENOMEM;
		d->rx[i].addr = d->rx_buf[i]->gpa;
	}
	return 0;
}

static void deallocate(struct e1000 *d)
{
	u32 i;

	for (i = 0; d->tx_buf && i < E1000_TX_RING; i++)
		nbuf_free(d->tx_buf[i]);
	for (i = 0; d->rx_buf && i < E1000_RX_RING; i++)
		nbuf_free(d->rx_buf[i]);
	nbuf_free(d->rx_first);
	for (i = 0; i < ARRAY_SIZE(d->memory); i++)
		kfree(d->memory[i]);
	memset(d, 0, sizeof(*d));
}

int e1000_init(struct e1000 *d, u32 nic)
{
	int err;

	*d = (struct e1000){ .nic = nic };
	if (rs_hypercall(RS_HC_NIC_READ, nic, CTRL, 0, 0) < 0)
		return -ENODEV;
	err = reset(d);
	if (!err)
		err = allocate(d);
	if (err) {
		deallocate(d);
		return err;
	}
	d->rx_tail = E1000_RX_RING - 1;
	d->rx_end = &d->rx_first;
	d->page->rx_tail = d->rx_tail;
	set_filters(d);
	set_ring(d, TDBAL, d->tx, E1000_TX_RING * sizeof(*d->tx));
	set_ring(d, RDBAL, d->rx, E1000_RX_RING * sizeof(*d->rx));
	reg_write(d, RXCSUM, RXCSUM_IP | RXCSUM_TU);
	reg_write(d, TIPG, TIPG_COPPER);
	reg_write(d, TCTL, TCTL_EN | TCTL_PSP | TCTL_COLLISIONS);
	reg_write(d, RCTL, RCTL_EN | RCTL_LPE | RCTL_BAM | RCTL_SECRC);
	set_page(d);
	/* Last: with the link up, frames come. */
	reg_write(d, CTRL, CTRL_SLU | CTRL_ASDE);
	return 0;
}

void e1000_free(struct e1000 *d)
{
	if (!d->page)
		return;
	reg_write(d, RCTL, 0);
	reg_write(d, TCTL, 0);
	reg_write(d, RS_NIC_REG_PAGE_LOW, 0);
	reg_write(d, CTRL, CTRL_RST);
	deallocate(d);
}

/* --- transmit --------------------------------------------------------------------------------- */

static u32 next_of(u32 i)
{
	return (i + 1) & (E1000_TX_RING - 1);
}

u32 e1000_room(struct e1000 *d)
{
	u32 head = READ_ONCE(d->page->tx_head) & (E1000_TX_RING - 1), i = d->tx_clean;

	for (; i != head && i != d->tx_tail; i = next_of(i)) {
		if (!d->tx_buf[i])
			continue;
		nbuf_free(d->tx_buf[i]);
		d->tx_buf[i] = NULL;
	}
	d->tx_clean = i;
	return (i - d->tx_tail - 1) & (E1000_TX_RING - 1);
}

/*
 * The headers are where we put them: Ethernet, IPv4 without options, the transport's. The NIC keeps what
 * it was told, so only a packet of another kind needs this.
 */
static void put_context(struct e1000 *d, u32 kind)
{
	struct e1000_tx_desc *t = &d->tx[d->tx_tail];
	u32 at = ETH_LEN + IP_LEN, sum_at = at + (kind == NBUF_SUM_TCP ? 16 : 6);

	t->addr = ETH_LEN | (ETH_LEN + 10) << 8 | (at - 1) << 16 | (u64)at << 32 |
		  (u64)sum_at << 40;
	t->cmd = CMD_DEXT | (kind == NBUF_SUM_TCP ? CMD_TCP : 0);
	t->opts = 0;
	d->tx_tail = next_of(d->tx_tail);
	d->tx_context = kind;
}

int e1000_send(struct e1000 *d, struct nbuf *n)
{
	u32 kind = n->flags & (NBUF_SUM_TCP | NBUF_SUM_UDP), want = 1, type, opts, i;
	struct nbuf *p;

	for (p = n->next; p; p = p->next)
		want++;
	want += kind && kind != d->tx_context;
	if (unlikely(((d->tx_clean - d->tx_tail - 1) & (E1000_TX_RING - 1)) < want) &&
	    e1000_room(d) < want) {
		d->stats.tx_full++;
		return -ENOBUFS;
	}
	if (kind && kind != d->tx_context)
		put_context(d, kind);
	type = CMD_IFCS | CMD_DEXT | DTYP_DATA;
	opts = kind ? OPT_TXSM : 0;
	i = d->tx_tail;
	for (p = n; ; p = p->next) {
		struct e1000_tx_desc *t = &d->tx[i];

		t->addr = p->gpa + (u64)(p->data - p->head);
		t->opts = opts;
		if (!p->next) {
			t->cmd = p->len | type | CMD_EOP | (i % REPORT_EVERY ? 0 : CMD_RS);
			break;
		}
		t->cmd = p->len | type | (i % REPORT_EVERY ? 0 : CMD_RS);
		i = next_of(i);
	}
	d->tx_buf[i] = n;
	d->tx_tail = next_of(i);
	d->stats.tx_packets++;
	__atomic_store_n(&d->page->tx_tail, d->tx_tail, __ATOMIC_RELEASE);
	ring_if_wanted(d, RS_NIC_WANT_TX);
	return 0;
}

/* --- receive ---------------------------------------------------------------------------------- */

/* An empty buffer for the one at @i, which is returned; NULL: none was to be had, it stays there. */
static struct nbuf *exchange(struct e1000 *d, u32 i)
{
	struct nbuf *full = d->rx_buf[i], *empty = nbuf_alloc();

	if (likely(empty)) {
		d->rx_buf[i] = empty;
		d->rx[i].addr = empty->gpa;
	} else {
		full = NULL;
		d->stats.rx_no_memory++;
	}
	d->rx[i].status = 0;
	d->rx_next = (i + 1) & (E1000_RX_RING - 1);
	return full;
}

static bool sum_known(u8 status, u8 errors)
{
	return (status & (RX_IXSM | RX_TCPCS)) == RX_TCPCS && !(errors & (RX_TCPE | RX_IPE));
}

/* A packet in more than one buffer, or one that is not as it should be. True: *@n is the whole packet. */
static noinline bool gather(struct e1000 *d, struct nbuf **n, bool end, bool bad)
{
	struct nbuf *p = *n;

	d->rx_drop |= bad || !p;
	if (d->rx_drop) {
		d->stats.rx_bad += bad;
		nbuf_free(p);
		nbuf_free(d->rx_first);
		d->rx_first = NULL;
		d->rx_end = &d->rx_first;
		d->rx_drop = !end;
		return false;
	}
	if (d->rx_first) {
		d->rx_first->total += p->len;
		d->rx_first->flags = p->flags;	/* the last descriptor's counts */
	}
	*d->rx_end = p;
	d->rx_end = &p->next;
	if (!end) {
		/* Longer than any frame there can be: a ring that says so is not to be believed. */
		if (d->rx_first->total > 16384)
			d->rx_drop = true;
		return false;
	}
	*n = d->rx_first;
	d->rx_first = NULL;
	d->rx_end = &d->rx_first;
	return true;
}

struct nbuf *e1000_receive(struct e1000 *d)
{
	for (;;) {
		u32 i = d->rx_next;
		struct e1000_rx_desc *r = &d->rx[i];
		struct nbuf *n;
		u32 len;
		u8 status, errors;
		bool bad;

		if (i == (__atomic_load_n(&d->page->rx_head, __ATOMIC_ACQUIRE) &
			  (E1000_RX_RING - 1)))
			return NULL;
		len = r->len;
		status = r->status;
		errors = r->errors;
		bad = len > NBUF_SIZE || errors & RX_BROKEN || !(status & RX_DD);
		n = exchange(d, i);
		if (n) {
			n->data = n->head;
			n->len = n->total = len;
			n->flags = sum_known(status, errors) ? NBUF_SUM_OK : 0;
		}
		if (unlikely(!n || bad || !(status & RX_EOP) || d->rx_first || d->rx_drop) &&
		    !gather(d, &n, status & RX_EOP, bad))
			continue;
		d->stats.rx_packets++;
		return n;
	}
}

void e1000_refilled(struct e1000 *d)
{
	u32 tail = (d->rx_next - 1) & (E1000_RX_RING - 1);

	if (tail == d->rx_tail)
		return;
	d->rx_tail = tail;
	__atomic_store_n(&d->page->rx_tail, tail, __ATOMIC_RELEASE);
	ring_if_wanted(d, RS_NIC_WANT_RX);
}

u32 e1000_mask(struct e1000 *d, u32 mask)
{
	u32 cause = __atomic_exchange_n(&d->page->cause, 0, __ATOMIC_SEQ_CST);

	WRITE_ONCE(d->page->mask, mask);
	full_barrier();
	return cause;
}
