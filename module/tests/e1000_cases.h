/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * e1000_cases.h - what the model of the 82540EM must do, case by case, against a guest memory of bytes
 *
 * Shared by the KUnit suite and the hosted test (selftests/hosted/e1000_test.c), so that the same cases run
 * in the kernel with its checkers and under ASan and UBSan. Whoever includes this defines EXPECT(condition)
 * first; a case that leaves early has failed one.
 *
 * The world is the other side of struct rs_e1000_ops: memory of WORLD_MEM bytes from GPA 0 (everything above
 * is nowhere), a clock, and the last frames that were sent.
 */
#ifndef RS_E1000_CASES_H
#define RS_E1000_CASES_H

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

static bool world_has(u64 gpa, u32 len)
{
	return gpa < WORLD_MEM && len <= WORLD_MEM - gpa;
}

static int world_read(void *ctx, u64 gpa, void *buf, u32 len)
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

static int world_write(void *ctx, u64 gpa, const void *buf, u32 len)
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

static s64 world_or32(void *ctx, u64 gpa, u32 bits)
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

static int world_transmit(void *ctx, const struct rs_e1000_frame *f)
{
	struct world *w = ctx;

	if (w->no_room)
		return -EAGAIN;
	if (w->on_sent)
		return w->on_sent(w, f);
	w->sent[w->nsent++ % SENT_MAX] = *f;
	return 0;
}

static void world_barrier(void)
{
}

static u64 world_now(void *ctx)
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

static u32 rd(struct world *w, u32 offset)
{
	u32 what;

	return rs_e1000_reg_read(w->dev, offset, &what);
}

static u32 wr(struct world *w, u32 offset, u32 v)
{
	return rs_e1000_reg_write(w->dev, offset, v);
}

static u32 *word_at(struct world *w, u64 gpa)
{
	return (u32 *)(w->mem + gpa);
}

static struct rs_nic_page *nic_page(struct world *w)
{
	return (struct rs_nic_page *)(w->mem + NIC_PAGE);
}

static u32 tx(struct world *w, u32 budget)
{
	u32 what;

	return rs_e1000_tx(w->dev, budget, &what);
}

static void put_tx(struct world *w, u32 i, u64 addr, u32 word2, u32 word3)
{
	struct e1000_tx_desc *d = (struct e1000_tx_desc *)(w->mem + TX_RING) + i % RING;

	*d = (struct e1000_tx_desc){ { (u32)addr, (u32)(addr >> 32), word2, word3 } };
}

static u32 tx_done(struct world *w, u32 i)
{
	return w->mem[TX_RING + i % RING * DESC_SIZE + TX_STATUS_AT] & TX_STATUS_DD;
}

static union e1000_rx_desc *rx_desc(struct world *w, u32 i)
{
	return (union e1000_rx_desc *)(w->mem + RX_RING) + i % RING;
}

static void put_rx(struct world *w, u32 i, u64 addr)
{
	memset(rx_desc(w, i), 0, DESC_SIZE);
	rx_desc(w, i)->legacy.addr = addr;
}

/* The frame that the other side sends: byte N is N + seed, but for the addresses. */
struct outside {
	struct world *w;
	u8 seed;
};

static u8 outside_byte(const struct outside *o, u32 at)
{
	return at < 6 ? world_mac[at] : (u8)(at * 7 + o->seed);
}

static int outside_copy(void *frame, u32 offset, u64 gpa, u32 n)
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

static int rx_full(struct world *w, u32 len, int tci, bool sum_ok)
{
	struct outside o = { w, 3 };
	u32 what;

	return rs_e1000_rx(w->dev, len, tci, sum_ok, outside_copy, &o, &what);
}

static int rx(struct world *w, u32 len)
{
	return rx_full(w, len, -1, false);
}

/* Bytes [from, from + n) of that frame are at @gpa. */
static bool arrived(struct world *w, u64 gpa, u32 from, u32 n)
{
	struct outside o = { w, 3 };
	u32 i;

	for (i = 0; i < n; i++)
		if (w->mem[gpa + i] != outside_byte(&o, from + i))
			return false;
	return true;
}

/* A driver that has set up both rings; receive descriptors are there but the tail is where the head is. */
static void driver_up(struct world *w, u32 rctl)
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

static void world_init(struct world *w, u8 *mem)
{
	memset(w, 0, sizeof(*w));
	memset(mem, 0, WORLD_MEM);
	w->mem = mem;
	w->now = 1000000000;
	w->dev = rs_e1000_new(&world_ops, w);
	if (w->dev)
		rs_e1000_reset(w->dev, world_mac);
}

static void world_end(struct world *w)
{
	rs_e1000_free(w->dev);
}

/* --- registers ----------------------------------------------------------- */

/* One word of the EEPROM over the serial wire, as a driver does it. */
static u32 eecd_read(struct world *w, u32 address)
{
	const u32 command = 6 << 6 | address, base = EECD_REQ | EECD_CS;
	u32 v = 0;
	int i;

	wr(w, E1000_EECD, EECD_REQ);
	if (!(rd(w, E1000_EECD) & EECD_GNT))
		return ~0u;
	wr(w, E1000_EECD, base);
	for (i = 8; i >= 0; i--) {
		const u32 bit = command >> i & 1 ? EECD_DI : 0;

		wr(w, E1000_EECD, base | bit);
		wr(w, E1000_EECD, base | bit | EECD_SK);
		wr(w, E1000_EECD, base | bit);
	}
	for (i = 0; i < 16; i++) {
		wr(w, E1000_EECD, base | EECD_SK);
		v = v << 1 | (rd(w, E1000_EECD) & EECD_DO ? 1 : 0);
		wr(w, E1000_EECD, base);
	}
	wr(w, E1000_EECD, 0);
	return v;
}

static u32 eerd_read(struct world *w, u32 address)
{
	wr(w, E1000_EERD, address << 8 | EERD_START);
	return rd(w, E1000_EERD) & EERD_DONE ? rd(w, E1000_EERD) >> 16 : ~0u;
}

static u32 phy_read(struct world *w, u32 reg)
{
	wr(w, E1000_MDIC, MDIC_READ | PHY_ADDRESS << 21 | reg << 16);
	return rd(w, E1000_MDIC) & MDIC_READY ? rd(w, E1000_MDIC) & 0xffff : ~0u;
}

static void case_probe(struct world *w)
{
	u32 i, sum = 0;

	for (i = 0; i < EEPROM_WORDS; i++) {
		sum += eerd_read(w, i);
		EXPECT(eecd_read(w, i) == eerd_read(w, i));
	}
	EXPECT((sum & 0xffff) == EEPROM_SUM);
	EXPECT(eerd_read(w, 0) == (0x02 | 0x11 << 8) && eerd_read(w, 2) == (0x44 | 0x55 << 8));
	EXPECT(eerd_read(w, EEPROM_WORDS) == 0);
	/* a command that is no read shows that it is finished, and changes nothing */
	EXPECT(rd(w, E1000_EECD) & EECD_DO);

	EXPECT(rd(w, E1000_RA) == 0x33221102 && rd(w, E1000_RA + 4) == (RAH_AV | 0x5544));
	EXPECT(phy_read(w, 2) == 0x141 && (phy_read(w, 3) & ~15u) == 0xc20);
	EXPECT(!(rd(w, E1000_STATUS) & STATUS_LU) && !(phy_read(w, PHY_STATUS) & PHY_STATUS_LINK));
	EXPECT(rs_e1000_set_link(w->dev, true) & RS_E1000_LINK);
	EXPECT(rs_e1000_set_link(w->dev, true) == 0);
	EXPECT((rd(w, E1000_STATUS) & STATUS_LU) && (phy_read(w, PHY_STATUS) & PHY_STATUS_LINK));
	EXPECT(rd(w, E1000_ICR) == ICR_LSC);
	wr(w, E1000_MDIC, MDIC_READ | 2 << 21 | 2 << 16);
	EXPECT((rd(w, E1000_MDIC) & (MDIC_READY | MDIC_ERROR)) == (MDIC_READY | MDIC_ERROR));
	wr(w, E1000_MDIC, MDIC_WRITE | MDIC_INT | PHY_ADDRESS << 21 | 4 << 16 | 0x1234);
	EXPECT(phy_read(w, 4) == 0x1234 && rd(w, E1000_ICR) == ICR_MDAC);
	wr(w, E1000_MDIC, MDIC_WRITE | PHY_ADDRESS << 21 | PHY_CTRL << 16 | PHY_CTRL_RESTART | 0x1000);
	EXPECT(phy_read(w, PHY_CTRL) == 0x1000 && rd(w, E1000_ICR) == ICR_LSC);
	wr(w, E1000_MDIC, MDIC_WRITE | PHY_ADDRESS << 21 | PHY_CTRL << 16 | PHY_CTRL_RESET);
	EXPECT(phy_read(w, 4) == 0x0de1 && (phy_read(w, PHY_STATUS) & PHY_STATUS_LINK));
}

static void case_registers(struct world *w)
{
	static const u32 stored[] = { E1000_CTRL_EXT, E1000_FCAL, E1000_FCAH, E1000_FCT, E1000_TIPG, E1000_LEDCTL,
				      E1000_PBA, E1000_WUC, E1000_MTA, E1000_MTA + 4 * 127, E1000_RA + 4 * 31,
				      E1000_VFTA, E1000_VFTA + 4 * 127, E1000_RCTL, E1000_TCTL, E1000_RXCSUM,
				      E1000_RFCTL, E1000_TSPMT, E1000_TX_RING + RING_BAH, E1000_RX_RING + RING_DCTL,
				      RS_NIC_REG_PAGE_HIGH };
	u32 i, what;

	for (i = 0; i < ARRAY_SIZE(stored); i++) {
		wr(w, stored[i], 0x01020304 + i);
		EXPECT(rd(w, stored[i]) == 0x01020304 + i);
	}
	/* what does not exist */
	wr(w, 0x1234, ~0u);
	wr(w, E1000_RA + 1, 0);
	wr(w, 0x20000, ~0u);
	wr(w, 0xfffffffc, ~0u);
	EXPECT(!rd(w, 0x1234) && !rd(w, E1000_RA + 1) && !rd(w, 0x20000) && !rd(w, 0xfffffffc));
	EXPECT(rd(w, E1000_RA) == 0x33221102);

	wr(w, E1000_TX_RING + RING_BAL, 0x12345);
	wr(w, E1000_TX_RING + RING_LEN, 0xfff01234);
	wr(w, E1000_TX_RING + RING_HEAD, 0x12345);
	EXPECT(rd(w, E1000_TX_RING + RING_BAL) == 0x12340 && rd(w, E1000_TX_RING + RING_LEN) == 0x1200);
	EXPECT(rd(w, E1000_TX_RING + RING_HEAD) == 0x2345);

	EXPECT(wr(w, E1000_CTRL, CTRL_SLU | CTRL_RST) & RS_E1000_LINK);
	EXPECT(!(rd(w, E1000_CTRL) & (CTRL_RST | CTRL_SLU)) && rd(w, E1000_RCTL) == 0 && rd(w, E1000_MTA) == 0);
	EXPECT(rd(w, E1000_TX_RING + RING_LEN) == 0 && rd(w, E1000_RA) == 0x33221102);
	EXPECT(rs_e1000_reg_read(w->dev, E1000_VET, &what) == 0x8100 && !what);
	EXPECT(rs_e1000_stats(w->dev)->register_writes > 20);
}

/* Statistics: counted, cleared when read; the octets when their high word is. */
static void case_statistics(struct world *w)
{
	driver_up(w, 0);
	w->mem[TX_BUF] = 0xff;
	put_tx(w, 0, TX_BUF, TX_EOP | 100, 0);
	put_tx(w, 1, TX_BUF + 1, TX_EOP | 60, 0);
	wr(w, E1000_TX_RING + RING_TAIL, 2);
	EXPECT(tx(w, 8) == 2);
	wr(w, E1000_RX_RING + RING_TAIL, 2);
	EXPECT(rx(w, 1514) == 0);
	EXPECT(rd(w, 0x4080) == 2 && rd(w, 0x4080) == 0);			/* GPTC */
	EXPECT(rd(w, 0x40f4) == 1 && rd(w, 0x40d8) == 1 && rd(w, 0x40dc) == 1);	/* BPTC, PTC64, PTC127 */
	EXPECT(rd(w, 0x4074) == 1 && rd(w, 0x4070) == 1);			/* GPRC, PRC1522 */
	EXPECT(rd(w, 0x4088) == 1518 && rd(w, 0x4088) == 1518 && rd(w, 0x408c) == 0 && rd(w, 0x4088) == 0);
	EXPECT(rd(w, 0x4090) == 168 && rs_e1000_stats(w->dev)->tx_bytes == 160);
}

/* --- transmit ------------------------------------------------------------ */

static void case_tx(struct world *w)
{
	u32 i, what, tail = 0;

	driver_up(w, 0);
	EXPECT(tx(w, 8) == 0);
	/* frames of one and of three pieces, twenty times round */
	for (i = 0; i < 20 * RING / 4; i++) {
		w->nsent = 0;
		put_tx(w, tail, TX_BUF, TX_EOP | TX_RS | 64, 0);
		put_tx(w, tail + 1, TX_BUF + 0x1000, 14, 0);
		put_tx(w, tail + 2, TX_BUF + 0x2000, 0, 0);
		put_tx(w, tail + 3, TX_BUF + 0x3000, TX_EOP | 1000, 0);
		tail = (tail + 4) % RING;
		EXPECT(wr(w, E1000_TX_RING + RING_TAIL, tail) == RS_E1000_WORK);
		EXPECT(tx(w, 8) == 2 && w->nsent == 2);
		EXPECT(w->sent[0].len == 64 && w->sent[0].nsegs == 1 && w->sent[0].seg[0].gpa == TX_BUF);
		EXPECT(w->sent[1].len == 1014 && w->sent[1].nsegs == 2);
		EXPECT(w->sent[1].seg[1].gpa == TX_BUF + 0x3000 && w->sent[1].seg[1].len == 1000);
		EXPECT(tx_done(w, tail + 4) && !tx_done(w, tail + 7));
		EXPECT(rd(w, E1000_TX_RING + RING_HEAD) == tail);
		EXPECT(rd(w, E1000_ICR) == (ICR_TXDW | ICR_TXQE));
		EXPECT(!rs_e1000_sleep(w->dev, false));
	}

	/* half a frame is none, and no reason to stay awake */
	put_tx(w, tail, TX_BUF, 64, 0);
	wr(w, E1000_TX_RING + RING_TAIL, (tail + 1) % RING);
	EXPECT(rs_e1000_sleep(w->dev, false));
	EXPECT(tx(w, 8) == 0 && rd(w, E1000_TX_RING + RING_HEAD) == tail && !rs_e1000_sleep(w->dev, false));
	put_tx(w, tail + 1, TX_BUF, TX_EOP | 64, 0);
	wr(w, E1000_TX_RING + RING_TAIL, (tail + 2) % RING);
	EXPECT(rs_e1000_sleep(w->dev, false));
	/* no room: it stays where it is */
	w->no_room = true;
	EXPECT(tx(w, 8) == 0 && !rs_e1000_sleep(w->dev, false));
	w->no_room = false;
	w->nsent = 0;
	EXPECT(tx(w, 8) == 1 && w->sent[0].len == 128);
	tail = (tail + 2) % RING;

	/* the budget */
	for (i = 0; i < 5; i++)
		put_tx(w, tail + i, TX_BUF, TX_EOP | 60, 0);
	tail = (tail + 5) % RING;
	wr(w, E1000_TX_RING + RING_TAIL, tail);
	EXPECT(rs_e1000_tx(w->dev, 2, &what) == 2 && what == RS_E1000_WORK);
	EXPECT(rs_e1000_tx(w->dev, 8, &what) == 3 && what == 0);

	/* what the driver has changed since is seen, also at a place that was read before */
	put_tx(w, 0, TX_BUF, TX_EOP | 61, 0);
	wr(w, E1000_TX_RING + RING_HEAD, 0);
	wr(w, E1000_TX_RING + RING_TAIL, 1);
	w->nsent = 0;
	EXPECT(tx(w, 8) == 1);
	put_tx(w, 0, TX_BUF, TX_EOP | 62, 0);
	wr(w, E1000_TX_RING + RING_HEAD, 0);
	EXPECT(tx(w, 8) == 1 && w->sent[0].len == 61 && w->sent[1].len == 62);
	tail = 1;

	/* switched off; a tail that the ring does not have; a ring that is nowhere */
	wr(w, E1000_TCTL, 0);
	put_tx(w, tail, TX_BUF, TX_EOP | 60, 0);
	wr(w, E1000_TX_RING + RING_TAIL, (tail + 1) % RING);
	EXPECT(tx(w, 8) == 0 && !rs_e1000_sleep(w->dev, false));
	wr(w, E1000_TCTL, TCTL_EN);
	wr(w, E1000_TX_RING + RING_TAIL, RING);
	EXPECT(tx(w, 8) == 0 && !rs_e1000_sleep(w->dev, false));
	wr(w, E1000_TX_RING + RING_TAIL, (tail + 1) % RING);
	wr(w, E1000_TX_RING + RING_BAH, NOWHERE >> 32);
	EXPECT(tx(w, 8) == 0 && !rs_e1000_sleep(w->dev, false));
	wr(w, E1000_TX_RING + RING_BAH, 0);
	EXPECT(rs_e1000_sleep(w->dev, false) && tx(w, 8) == 1);
}

/* Frames that are wrong are thrown away, and what follows is sent. */
static void case_tx_bad(struct world *w)
{
	static const struct {
		u64 addr;
		u32 word2;
	} bad[] = {
		{ TX_BUF, TX_EOP },				/* nothing */
		{ TX_BUF, TX_EOP | 13 },			/* less than a header */
		{ TX_BUF, TX_EOP | (RS_E1000_MAX_FRAME + 1) },
		{ TX_BUF, TX_EOP | 0xffff },
		{ TX_BUF, TX_EOP | TX_DEXT | TX_TYPE_DATA << 20 | 0xfffff },
		{ TX_BUF, TX_EOP | TX_DEXT | 2 << 20 | 64 },	/* of no kind */
		{ TX_BUF, TX_EOP | TX_DEXT | 15 << 20 | 64 },
		{ ~0ull - 10, TX_EOP | 64 },			/* round the end of the addresses */
	};
	u32 i, tail = 0;

	driver_up(w, 0);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		w->nsent = 0;
		put_tx(w, tail, bad[i].addr, bad[i].word2 | TX_RS, 0);
		put_tx(w, tail + 1, TX_BUF, TX_EOP | 77, 0);
		tail = (tail + 2) % RING;
		wr(w, E1000_TX_RING + RING_TAIL, tail);
		EXPECT(tx(w, 8) == 1 && w->nsent == 1 && w->sent[0].len == 77);
		EXPECT(rs_e1000_stats(w->dev)->tx_bad == i + 1);
		EXPECT(tx_done(w, tail + RING - 2));
	}

	/* a frame of pieces without end, in rounds, then its end, then a good one */
	wr(w, E1000_TX_RING + RING_LEN, 128 * DESC_SIZE);
	wr(w, E1000_TX_RING + RING_BAL, 0x80000);
	wr(w, E1000_TX_RING + RING_HEAD, 0);
	for (i = 0; i < 100; i++)
		*(struct e1000_tx_desc *)(w->mem + 0x80000 + i * DESC_SIZE) =
			(struct e1000_tx_desc){ { TX_BUF, 0, i == 98 || i == 99 ? TX_EOP | 20 : 20, 0 } };
	w->nsent = 0;
	wr(w, E1000_TX_RING + RING_TAIL, 90);
	EXPECT(tx(w, 8) == 0 && rd(w, E1000_TX_RING + RING_HEAD) == 90);
	wr(w, E1000_TX_RING + RING_TAIL, 100);
	EXPECT(tx(w, 8) == 1 && w->nsent == 1 && w->sent[0].len == 20 && w->sent[0].nsegs == 1);
	/* as many as there may be */
	for (i = 0; i < 64; i++)
		*word_at(w, 0x80000 + (100 + i) % 128 * DESC_SIZE + 8) = i == 63 ? TX_EOP | 20 : 20;
	wr(w, E1000_TX_RING + RING_TAIL, 164 - 128);
	EXPECT(tx(w, 8) == 1 && w->nsent == 2 && w->sent[1].len == 64 * 20 && w->sent[1].nsegs == 64);
}

#define CONTEXT_WORD0	(14u | (14 + 10) << 8 | (14 + 20 - 1) << 16)
#define CONTEXT_WORD1	(34u | (34 + 16) << 8)
#define CONTEXT		(TX_DEXT | TX_TYPE_CONTEXT << 20)
#define DATA		(TX_DEXT | TX_TYPE_DATA << 20)

static void case_tx_offloads(struct world *w)
{
	static const struct {
		u32 word0, word1, word2, word3, data2, data3;
		bool sent, ip_sum, l4_sum, tso;
	} c[] = {
		/* checksums: both, one of them, none */
		{ CONTEXT_WORD0, CONTEXT_WORD1, TX_CONTEXT_TCP | TX_CONTEXT_IP, 0, 100, 0x300, true, true, true, false },
		{ CONTEXT_WORD0, CONTEXT_WORD1, TX_CONTEXT_TCP | TX_CONTEXT_IP, 0, 100, 0x100, true, true, false, false },
		{ CONTEXT_WORD0, CONTEXT_WORD1, TX_CONTEXT_TCP, 0, 100, 0x200, true, false, true, false },
		{ CONTEXT_WORD0, CONTEXT_WORD1, 0, 0, 100, 0, true, false, false, false },
		/* to the end of the frame, said in both ways; not to it */
		{ 14 | 24 << 8, CONTEXT_WORD1, TX_CONTEXT_IP, 0, 100, 0x100, true, true, false, false },
		{ 0, CONTEXT_WORD1 | 99 << 16, 0, 0, 100, 0x200, true, false, true, false },
		{ 0, CONTEXT_WORD1 | 98 << 16, 0, 0, 100, 0x200, false, false, false, false },
		/* sums outside of what they are of, and that outside of the frame */
		{ 14 | 33 << 8 | 33 << 16, 0, 0, 0, 100, 0x100, false, false, false, false },
		{ 14 | 13 << 8 | 33 << 16, 0, 0, 0, 100, 0x100, false, false, false, false },
		{ 14 | 24 << 8 | 100 << 16, 0, 0, 0, 100, 0x100, false, false, false, false },
		{ 34 | 24 << 8 | 33 << 16, 0, 0, 0, 100, 0x100, false, false, false, false },
		{ 0, 34 | 99 << 8, 0, 0, 100, 0x200, false, false, false, false },
		{ 0, 34 | 33 << 8, 0, 0, 100, 0x200, false, false, false, false },
		{ 0, 200 | 250 << 8, 0, 0, 100, 0x200, false, false, false, false },
		/* segmentation: of 2946 bytes behind 54; the frame has 3000 */
		{ CONTEXT_WORD0, CONTEXT_WORD1, 2946 | TX_CONTEXT_TSE | TX_CONTEXT_TCP | TX_CONTEXT_IP, 1460 << 16 | 54 << 8,
		  3000 | TX_TSE, 0x300, true, true, true, true },
		{ CONTEXT_WORD0, CONTEXT_WORD1, 2946 | TX_CONTEXT_TSE | TX_CONTEXT_TCP, 1460 << 16 | 54 << 8,
		  3000 | TX_TSE, 0x200, true, false, true, true },
		/* without: its sums, its context, TCP, a size; with a payload that is not there, or none */
		{ CONTEXT_WORD0, CONTEXT_WORD1, 2946 | TX_CONTEXT_TSE | TX_CONTEXT_TCP | TX_CONTEXT_IP, 1460 << 16 | 54 << 8,
		  3000 | TX_TSE, 0x200, false, false, false, false },
		{ CONTEXT_WORD0, CONTEXT_WORD1, 2946 | TX_CONTEXT_TSE | TX_CONTEXT_TCP | TX_CONTEXT_IP, 1460 << 16 | 54 << 8,
		  3000 | TX_TSE, 0x100, false, false, false, false },
		{ CONTEXT_WORD0, CONTEXT_WORD1, 2946 | TX_CONTEXT_TCP | TX_CONTEXT_IP, 1460 << 16 | 54 << 8,
		  3000 | TX_TSE, 0x300, false, false, false, false },
		{ CONTEXT_WORD0, CONTEXT_WORD1, 2946 | TX_CONTEXT_TSE | TX_CONTEXT_IP, 1460 << 16 | 54 << 8,
		  3000 | TX_TSE, 0x300, false, false, false, false },
		{ CONTEXT_WORD0, CONTEXT_WORD1, 2946 | TX_CONTEXT_TSE | TX_CONTEXT_TCP | TX_CONTEXT_IP, 54 << 8,
		  3000 | TX_TSE, 0x300, false, false, false, false },
		{ CONTEXT_WORD0, CONTEXT_WORD1, 2947 | TX_CONTEXT_TSE | TX_CONTEXT_TCP | TX_CONTEXT_IP, 1460 << 16 | 54 << 8,
		  3000 | TX_TSE, 0x300, false, false, false, false },
		{ CONTEXT_WORD0, CONTEXT_WORD1, 0 | TX_CONTEXT_TSE | TX_CONTEXT_TCP | TX_CONTEXT_IP, 1460 << 16 | 54 << 8,
		  54 | TX_TSE, 0x300, false, false, false, false },
		{ CONTEXT_WORD0, CONTEXT_WORD1, 2946 | TX_CONTEXT_TSE | TX_CONTEXT_TCP | TX_CONTEXT_IP, 1460 << 16 | 50 << 8,
		  2996 | TX_TSE, 0x300, false, false, false, false },
		/* as long as it may be, and one more */
		{ CONTEXT_WORD0, CONTEXT_WORD1, 65481 | TX_CONTEXT_TSE | TX_CONTEXT_TCP | TX_CONTEXT_IP, 1460 << 16 | 54 << 8,
		  65535 | TX_TSE, 0x300, true, true, true, true },
		{ CONTEXT_WORD0, CONTEXT_WORD1, 65482 | TX_CONTEXT_TSE | TX_CONTEXT_TCP | TX_CONTEXT_IP, 1460 << 16 | 54 << 8,
		  65536 | TX_TSE, 0x300, false, false, false, false },
	};
	const struct rs_e1000_frame *f = &w->sent[0];
	u32 i, tail = 0;

	driver_up(w, 0);
	for (i = 0; i < ARRAY_SIZE(c); i++) {
		w->nsent = 0;
		put_tx(w, tail, (u64)c[i].word1 << 32 | c[i].word0, CONTEXT | c[i].word2, c[i].word3);
		put_tx(w, tail + 1, TX_BUF, DATA | TX_EOP | c[i].data2, c[i].data3);
		tail = (tail + 2) % RING;
		wr(w, E1000_TX_RING + RING_TAIL, tail);
		EXPECT(tx(w, 8) == c[i].sent && w->nsent == c[i].sent);
		if (!c[i].sent)
			continue;
		EXPECT(f->ip_sum == c[i].ip_sum && f->l4_sum == c[i].l4_sum && !!f->mss == c[i].tso);
		EXPECT(!f->ip_sum || (f->ip_start == 14 && f->ip_sum_at == 24));
		EXPECT(!f->ip_sum || f->ip_end == (c[i].word0 >> 16 ? 34 : f->len));
		EXPECT(!f->l4_sum || (f->l4_start == 34 && f->l4_sum_at == 50));
		EXPECT(!f->mss || (f->mss == 1460 && f->hdr_len == 54 && f->tcp && f->ipv6 == !f->ip_sum));
	}

	/* a context stays for the frames that follow; between a frame's pieces it has no place */
	put_tx(w, tail, (u64)CONTEXT_WORD1 << 32 | CONTEXT_WORD0, CONTEXT | TX_CONTEXT_TCP | TX_CONTEXT_IP | TX_RS, 0);
	put_tx(w, tail + 1, TX_BUF, DATA | TX_EOP | 100, 0x300);
	put_tx(w, tail + 2, TX_BUF, DATA | TX_EOP | 200, 0x300);
	put_tx(w, tail + 3, TX_BUF, DATA | 100, 0);
	put_tx(w, tail + 4, 0, CONTEXT, 0);
	put_tx(w, tail + 5, TX_BUF, DATA | TX_EOP | 300, 0);
	w->nsent = 0;
	tail = (tail + 6) % RING;
	wr(w, E1000_TX_RING + RING_TAIL, tail);
	EXPECT(tx(w, 8) == 3 && w->sent[0].l4_sum && w->sent[1].l4_sum && w->sent[2].len == 300);
	EXPECT(tx_done(w, tail + RING - 6));
	/* kinds do not mix */
	put_tx(w, tail, TX_BUF, DATA | 100, 0);
	put_tx(w, tail + 1, TX_BUF, TX_EOP | 100, 0);
	/* the old way: where, and from where on; outside of the frame it is not done */
	put_tx(w, tail + 2, TX_BUF, TX_EOP | TX_LEGACY_IC | 50 << 16 | 100, 34 << 8);
	put_tx(w, tail + 3, TX_BUF, TX_EOP | TX_LEGACY_IC | 99 << 16 | 100, 34 << 8);
	put_tx(w, tail + 4, TX_BUF, TX_EOP | TX_LEGACY_IC | 20 << 16 | 100, 34 << 8);
	w->nsent = 0;
	tail = (tail + 5) % RING;
	wr(w, E1000_TX_RING + RING_TAIL, tail);
	EXPECT(tx(w, 8) == 2 && w->sent[0].l4_sum && w->sent[0].l4_start == 34 && w->sent[0].l4_sum_at == 50);
	EXPECT(!w->sent[1].l4_sum);
	/* a tag, if the driver has switched tags on */
	put_tx(w, tail, TX_BUF, TX_EOP | TX_VLE | 100, 0x123u << 16);
	put_tx(w, tail + 1, TX_BUF, DATA | TX_EOP | TX_VLE | 100, 0x456u << 16);
	w->nsent = 0;
	wr(w, E1000_TX_RING + RING_TAIL, (tail + 1) % RING);
	EXPECT(tx(w, 8) == 1 && !w->sent[0].has_vlan);
	EXPECT(wr(w, E1000_CTRL, CTRL_VME) & RS_E1000_LINK);
	wr(w, E1000_TX_RING + RING_TAIL, (tail + 2) % RING);
	EXPECT(tx(w, 8) == 1 && w->sent[1].has_vlan && w->sent[1].vlan_tci == 0x456);
}

/* --- receive ------------------------------------------------------------- */

static void case_rx(struct world *w)
{
	u32 i;

	EXPECT(rx(w, 100) == -ENETDOWN);
	driver_up(w, 0);
	EXPECT(rx(w, 100) == -ENOBUFS && rx(w, 100) == -ENOBUFS);
	EXPECT(rs_e1000_stats(w->dev)->rx_no_room == 1 && rd(w, E1000_ICR) == ICR_RXO);
	EXPECT(!rs_e1000_sleep(w->dev, true));
	wr(w, E1000_RX_RING + RING_TAIL, RING - 1);
	EXPECT(rs_e1000_sleep(w->dev, true) && !rs_e1000_sleep(w->dev, false));

	memset(w->mem + RX_BUF, 0xee, 0x4000);
	EXPECT(rx_full(w, 1000, -1, true) == 0);
	EXPECT(rx_desc(w, 0)->legacy.len == 1000 && rx_desc(w, 0)->legacy.status == (RX_DD | RX_EOP | RX_IXSM));
	EXPECT(!rx_desc(w, 0)->legacy.errors && rx_desc(w, 0)->legacy.addr == RX_BUF);
	EXPECT(arrived(w, RX_BUF, 0, 1000) && w->mem[RX_BUF + 1000] == 0xee);
	EXPECT(rd(w, E1000_RX_RING + RING_HEAD) == 1 && rd(w, E1000_ICR) == ICR_RXT0);

	/* short: filled up; a sum that is known, and that the driver wants to know of */
	wr(w, E1000_RXCSUM, RXCSUM_TUOFL);
	memset(w->mem + RX_BUF + 0x4000, 0xee, 100);
	EXPECT(rx_full(w, 42, -1, true) == 0);
	EXPECT(rx_desc(w, 1)->legacy.len == 60 && rx_desc(w, 1)->legacy.status == (RX_DD | RX_EOP | RX_TCPCS));
	EXPECT(arrived(w, RX_BUF + 0x4000, 0, 42) && !w->mem[RX_BUF + 0x4000 + 42] &&
	       !w->mem[RX_BUF + 0x4000 + 59] && w->mem[RX_BUF + 0x4000 + 60] == 0xee);
	EXPECT(rx(w, 100) == 0 && rx_desc(w, 2)->legacy.status == (RX_DD | RX_EOP | RX_IXSM));

	/* too long, without LPE, is refused */
	EXPECT(rx(w, 1518) == 0 && rx(w, 1519) == -EMSGSIZE && rx_full(w, 1515, 5, false) == -EMSGSIZE);
	/* with LPE it takes several buffers, or does not fit at all: then nothing is touched */
	wr(w, E1000_RCTL, RCTL_EN | RCTL_LPE | RCTL_SECRC);
	rd(w, E1000_ICR);
	EXPECT(rx(w, 9014) == -ENOBUFS && rx_desc(w, 4)->legacy.status == 0);
	EXPECT(!rs_e1000_sleep(w->dev, true));
	wr(w, E1000_RX_RING + RING_TAIL, 0);
	EXPECT(!rs_e1000_sleep(w->dev, true));		/* four are not five */
	wr(w, E1000_RX_RING + RING_TAIL, 1);
	put_rx(w, 0, RX_BUF);
	EXPECT(rs_e1000_sleep(w->dev, true));
	EXPECT(rx(w, 9014) == 0);
	for (i = 4; i < 9; i++) {
		const u32 n = i < 8 ? 2048 : 9014 - 4 * 2048;

		EXPECT(arrived(w, RX_BUF + i % RING * 0x4000, (i - 4) * 2048, n));
		EXPECT(rx_desc(w, i)->legacy.len == n && (rx_desc(w, i)->legacy.status & RX_DD));
		EXPECT(!(rx_desc(w, i)->legacy.status & RX_EOP) == (i < 8));
	}
	EXPECT(rx(w, RS_E1000_MAX_FRAME) == -EMSGSIZE);
	wr(w, E1000_RCTL, RCTL_EN | RCTL_LPE | RCTL_SECRC | 3 << 16);
	EXPECT(rx(w, 9014) == -EMSGSIZE);		/* 36 of 256 bytes, the ring has 7 */

	/* the FCS, in a buffer of its own; buffers of 16 KiB */
	wr(w, E1000_RCTL, RCTL_EN | 2 << 16);
	wr(w, E1000_RX_RING + RING_TAIL, 7);
	put_rx(w, 1, RX_BUF);
	put_rx(w, 2, RX_BUF + 0x4000);
	memset(w->mem + RX_BUF + 0x4000, 0xee, 8);
	EXPECT(rx(w, 512) == 0 && rx_desc(w, 1)->legacy.len == 512 && rx_desc(w, 2)->legacy.len == 4);
	EXPECT(!*word_at(w, RX_BUF + 0x4000) && w->mem[RX_BUF + 0x4004] == 0xee);
	wr(w, E1000_RCTL, RCTL_EN | RCTL_LPE | RCTL_SECRC | RCTL_BSEX | 1 << 16);
	put_rx(w, 3, RX_BUF);
	EXPECT(rx(w, 16000) == 0 && rx_desc(w, 3)->legacy.len == 16000 && arrived(w, RX_BUF, 0, 16000));

	/* extended descriptors */
	wr(w, E1000_RFCTL, RFCTL_EXSTEN);
	put_rx(w, 4, RX_BUF + 0x8000);
	EXPECT(rx_full(w, 700, -1, true) == 0 && arrived(w, RX_BUF + 0x8000, 0, 700));
	EXPECT(rx_desc(w, 4)->ext.len == 700 && rx_desc(w, 4)->ext.status == (RX_DD | RX_EOP | RX_TCPCS));

	/* a descriptor that points nowhere costs a frame and says so */
	wr(w, E1000_RFCTL, 0);
	wr(w, E1000_RCTL, RCTL_EN | RCTL_SECRC | 2 << 16);
	put_rx(w, 5, RX_BUF);
	put_rx(w, 6, NOWHERE);
	EXPECT(rx(w, 600) == 0 && rs_e1000_stats(w->dev)->rx_bad == 1);
	EXPECT(rx_desc(w, 5)->legacy.status == RX_DD && (rx_desc(w, 6)->legacy.status & RX_EOP));
	EXPECT(rx_desc(w, 6)->legacy.errors == RX_ERR_RXE && rd(w, E1000_RX_RING + RING_HEAD) == 7);
	/* a ring that is nowhere stops, until it is somewhere */
	wr(w, E1000_RX_RING + RING_TAIL, 6);
	wr(w, E1000_RX_RING + RING_BAH, NOWHERE >> 32);
	EXPECT(rx(w, 100) == -EFAULT && rx(w, 100) == -ENETDOWN);
	wr(w, E1000_RX_RING + RING_BAH, 0);
	put_rx(w, 7, RX_BUF);
	EXPECT(rx(w, 100) == 0);
	rs_e1000_set_link(w->dev, false);
	EXPECT(rx(w, 100) == -ENETDOWN);
}

static void case_rx_vlan(struct world *w)
{
	driver_up(w, 0);
	wr(w, E1000_RX_RING + RING_TAIL, RING - 1);
	/* kept: in the frame */
	EXPECT(rx_full(w, 100, 0x3064, false) == 0);
	EXPECT(rx_desc(w, 0)->legacy.len == 104 && !(rx_desc(w, 0)->legacy.status & RX_VP));
	EXPECT(arrived(w, RX_BUF, 0, 12) && arrived(w, RX_BUF + 16, 12, 88));
	EXPECT(w->mem[RX_BUF + 12] == 0x81 && !w->mem[RX_BUF + 13] && w->mem[RX_BUF + 14] == 0x30 &&
	       w->mem[RX_BUF + 15] == 0x64);
	/* in small buffers: the tag over a border is written in two pieces */
	wr(w, E1000_RCTL, RCTL_EN | RCTL_SECRC | RCTL_LPE | 3 << 16);
	EXPECT(rx_full(w, 500, 0x64, false) == 0 && rx_desc(w, 2)->legacy.len == 504 - 256);
	EXPECT(arrived(w, RX_BUF + 0x8000, 252, 248));
	/* stripped: in the descriptor */
	wr(w, E1000_CTRL, CTRL_VME);
	EXPECT(rx_full(w, 100, 0x3064, false) == 0);
	EXPECT(rx_desc(w, 3)->legacy.len == 100 && (rx_desc(w, 3)->legacy.status & RX_VP) &&
	       rx_desc(w, 3)->legacy.special == 0x3064);
	EXPECT(arrived(w, RX_BUF + 3 * 0x4000, 0, 100));
	wr(w, E1000_RFCTL, RFCTL_EXSTEN);
	EXPECT(rx_full(w, 100, 0x3064, false) == 0 && rx_desc(w, 4)->ext.vlan == 0x3064 &&
	       (rx_desc(w, 4)->ext.status & RX_VP));
	/* the filter, and the one for the bit between priority and number */
	wr(w, E1000_RCTL, RCTL_EN | RCTL_SECRC | RCTL_VFE);
	EXPECT(!rs_e1000_rx_wants(w->dev, world_mac, 0x64) && rs_e1000_rx_wants(w->dev, world_mac, -1));
	EXPECT(rx_full(w, 100, 0x64, false) == 0 && rs_e1000_stats(w->dev)->rx_filtered == 1);
	wr(w, E1000_VFTA + 4 * (0x64 / 32), 1 << 0x64 % 32);
	EXPECT(rs_e1000_rx_wants(w->dev, world_mac, 0x64) && !rs_e1000_rx_wants(w->dev, world_mac, 0x65));
	wr(w, E1000_RCTL, RCTL_EN | RCTL_SECRC | RCTL_CFIEN);
	EXPECT(rx_full(w, 100, 0x1064, false) == 0 && rs_e1000_stats(w->dev)->rx_filtered == 2);
	EXPECT(rd(w, E1000_RX_RING + RING_HEAD) == 5);
	EXPECT(rx_full(w, 100, 0x2064, false) == 0 && rd(w, E1000_RX_RING + RING_HEAD) == 6);
}

static void case_filters(struct world *w)
{
	static const u8 all[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff }, other[6] = { 2, 1, 1, 1, 1, 1 },
			group[6] = { 1, 0, 0x5e, 0, 0x12, 0x34 };
	static const u32 mo_bit[] = { 0x341, 0x682, 0xd04, 0x412 };	/* of 0x3412, shifted by 4, 3, 2, 0 */
	u32 mo, i;

	EXPECT(!rs_e1000_rx_wants(w->dev, world_mac, -1) && !rs_e1000_receives(w->dev));
	driver_up(w, 0);
	EXPECT(rs_e1000_receives(w->dev));
	EXPECT(rs_e1000_rx_wants(w->dev, world_mac, -1) && rs_e1000_rx_wants(w->dev, all, -1));
	EXPECT(!rs_e1000_rx_wants(w->dev, other, -1) && !rs_e1000_rx_wants(w->dev, group, -1));
	wr(w, E1000_RCTL, RCTL_EN);
	EXPECT(!rs_e1000_rx_wants(w->dev, all, -1));
	wr(w, E1000_RCTL, RCTL_EN | RCTL_UPE);
	EXPECT(rs_e1000_rx_wants(w->dev, other, -1) && !rs_e1000_rx_wants(w->dev, group, -1));
	wr(w, E1000_RCTL, RCTL_EN | RCTL_MPE);
	EXPECT(!rs_e1000_rx_wants(w->dev, other, -1) && rs_e1000_rx_wants(w->dev, group, -1));
	EXPECT(rs_e1000_rx_wants(w->dev, all, -1));
	/* the sixteen exact ones */
	wr(w, E1000_RCTL, RCTL_EN);
	wr(w, E1000_RA + 15 * 8, 0x01010102);
	wr(w, E1000_RA + 15 * 8 + 4, 0x0101);
	EXPECT(!rs_e1000_rx_wants(w->dev, other, -1));
	wr(w, E1000_RA + 15 * 8 + 4, RAH_AV | 0x0101);
	EXPECT(rs_e1000_rx_wants(w->dev, other, -1));
	wr(w, E1000_RA + 15 * 8 + 4, RAH_AV | 1 << 16 | 0x0101);	/* compares the source */
	EXPECT(!rs_e1000_rx_wants(w->dev, other, -1));
	/* the hash */
	for (mo = 0; mo < 4; mo++) {
		wr(w, E1000_RCTL, RCTL_EN | mo << 12);
		for (i = 0; i < 4; i++) {
			wr(w, E1000_MTA + 4 * (mo_bit[i] / 32), 1u << mo_bit[i] % 32);
			EXPECT(rs_e1000_rx_wants(w->dev, group, -1) == (i == mo));
			wr(w, E1000_MTA + 4 * (mo_bit[i] / 32), 0);
		}
	}
}

/* --- interrupts ---------------------------------------------------------- */

static void case_interrupts(struct world *w)
{
	driver_up(w, 2 << 8);		/* few descriptors are an eighth */
	wr(w, E1000_RX_RING + RING_TAIL, RING - 1);
	/* not asked for: it waits in ICR until it is */
	EXPECT(rx(w, 100) == 0 && rs_e1000_publish(w->dev) == 0);
	EXPECT(wr(w, E1000_IMS, ICR_RXT0) == RS_E1000_IRQ && rd(w, E1000_IMS) == ICR_RXT0);
	/* up already: not again */
	EXPECT(rx(w, 100) == 0 && rs_e1000_publish(w->dev) == 0);
	EXPECT(rd(w, E1000_ICR) == ICR_RXT0 && rd(w, E1000_ICR) == 0);
	EXPECT(rx(w, 100) == 0 && rs_e1000_publish(w->dev) == RS_E1000_IRQ);
	/* a part is taken back, the rest keeps the line up */
	wr(w, E1000_IMS, ICR_LSC);
	EXPECT(wr(w, E1000_ICS, ICR_LSC) == RS_E1000_IRQ);
	EXPECT(wr(w, E1000_ICR, ICR_RXT0) == RS_E1000_IRQ && wr(w, E1000_ICR, ICR_LSC) == 0);
	wr(w, E1000_IMC, ICR_LSC);
	EXPECT(wr(w, E1000_ICS, ICR_LSC) == 0 && rd(w, E1000_ICR) == ICR_LSC);

	/* the throttle: one now, the next not before its time, and nothing is lost */
	wr(w, E1000_ITR, 1000);		/* 256 us */
	EXPECT(rx(w, 100) == 0 && rs_e1000_publish(w->dev) == RS_E1000_IRQ && !rs_e1000_throttled(w->dev));
	EXPECT(rd(w, E1000_ICR) == ICR_RXT0);
	EXPECT(rx(w, 100) == 0 && rs_e1000_publish(w->dev) == 0 && rs_e1000_throttled(w->dev) == 256000);
	w->now += 255999;
	EXPECT(rs_e1000_publish(w->dev) == 0 && rs_e1000_throttled(w->dev) == 1);
	w->now++;
	EXPECT(rs_e1000_publish(w->dev) == RS_E1000_IRQ && !rs_e1000_throttled(w->dev));
	EXPECT(rd(w, E1000_ICR) == ICR_RXT0);
	/* a driver that polls sees it before */
	EXPECT(wr(w, E1000_ICS, ICR_RXT0) == RS_E1000_WORK && rd(w, E1000_ICR) == ICR_RXT0);
	EXPECT(!rs_e1000_throttled(w->dev));
	wr(w, E1000_ITR, 0);

	/* RDTR restarts with each frame, RADV does not */
	wr(w, E1000_RX_RING + RING_TAIL, 4);
	wr(w, E1000_RX_RING + RING_DELAY, 10);
	wr(w, E1000_RX_RING + RING_ABS_DELAY, 15);
	EXPECT(rx(w, 100) == 0 && rs_e1000_publish(w->dev) == 0 && rs_e1000_throttled(w->dev) == 10240);
	w->now += 9000;
	EXPECT(rx(w, 100) == 0 && rs_e1000_publish(w->dev) == 0 && rs_e1000_throttled(w->dev) == 15360 - 9000);
	w->now += 15360 - 9000;
	EXPECT(rs_e1000_publish(w->dev) == RS_E1000_IRQ && rd(w, E1000_ICR) == ICR_RXT0);
	EXPECT(rx(w, 100) == 0 && wr(w, E1000_RX_RING + RING_DELAY, DELAY_FLUSH | 10) == RS_E1000_IRQ);
	rd(w, E1000_ICR);
	wr(w, E1000_RX_RING + RING_DELAY, 0);

	/* the same for what was sent, if all of it says so */
	wr(w, E1000_IMS, ICR_TXDW);
	wr(w, E1000_TX_RING + RING_DELAY, 10);
	put_tx(w, 0, TX_BUF, TX_EOP | TX_RS | TX_IDE | 60, 0);
	put_tx(w, 1, TX_BUF, TX_EOP | TX_RS | 60, 0);
	wr(w, E1000_TX_RING + RING_TAIL, 1);
	EXPECT(tx(w, 8) == 1 && rs_e1000_publish(w->dev) == 0 && rd(w, E1000_ICR) == ICR_TXQE);
	EXPECT(rs_e1000_throttled(w->dev) == 10240);
	wr(w, E1000_TX_RING + RING_TAIL, 2);
	EXPECT(tx(w, 8) == 1 && rs_e1000_publish(w->dev) == RS_E1000_IRQ && !rs_e1000_throttled(w->dev));

	/* few descriptors are left: half of eight, then a quarter */
	wr(w, E1000_CTRL, CTRL_RST);
	driver_up(w, 0);
	wr(w, E1000_RX_RING + RING_TAIL, 5);
	EXPECT(rx(w, 100) == 0 && rd(w, E1000_ICR) == (ICR_RXT0 | ICR_RXDMT0));
	wr(w, E1000_RCTL, RCTL_EN | RCTL_SECRC | 1 << 8);
	EXPECT(rx(w, 100) == 0 && rd(w, E1000_ICR) == ICR_RXT0 && rx(w, 100) == 0);
	EXPECT(rd(w, E1000_ICR) == (ICR_RXT0 | ICR_RXDMT0));
}

/* --- the queue page ------------------------------------------------------ */

static u32 page_on(struct world *w)
{
	wr(w, RS_NIC_REG_PAGE_HIGH, 0);
	return wr(w, RS_NIC_REG_PAGE_LOW, NIC_PAGE | 1);
}

static void case_page(struct world *w)
{
	struct rs_nic_page *p = nic_page(w);
	u32 what;

	driver_up(w, 0);
	memset(p, 0xff, sizeof(*p));
	p->tx_tail = p->rx_tail = p->mask = p->cause = 0;
	EXPECT(page_on(w) & RS_E1000_WORK);
	EXPECT(rd(w, RS_NIC_REG_PAGE_LOW) == (NIC_PAGE | 1));
	EXPECT(!p->tx_head && !p->rx_head && !p->doorbell && !p->stopped);
	EXPECT(p->reserved0[0] == ~0u && p->reserved1[0] == ~0u && p->reserved2[0] == ~0u);

	/* asleep: the bit is there, and goes when it wakes; with work it does not sleep */
	EXPECT(!rs_e1000_sleep(w->dev, false) && p->doorbell == RS_NIC_WANT_TX);
	put_tx(w, 0, TX_BUF, TX_EOP | 60, 0);
	p->tx_tail = 1;
	EXPECT(rs_e1000_sleep(w->dev, false) && !p->doorbell);
	/* registers move nothing now */
	wr(w, E1000_TX_RING + RING_TAIL, 5);
	wr(w, E1000_TX_RING + RING_HEAD, 5);
	EXPECT(tx(w, 8) == 1 && w->nsent == 1);
	/* the head is there after the round, the cause is signalled once, and only if wanted */
	EXPECT(!p->tx_head && rs_e1000_publish(w->dev) == 0 && p->tx_head == 1 && p->cause == ICR_TXQE);
	p->mask = ICR_TXQE | ICR_RXT0;
	put_tx(w, 1, TX_BUF, TX_EOP | 60, 0);
	p->tx_tail = 2;
	EXPECT(tx(w, 8) == 1 && rs_e1000_publish(w->dev) == 0 && p->tx_head == 2);
	p->cause = 0;
	put_tx(w, 2, TX_BUF, TX_EOP | TX_RS | 60, 0);
	p->tx_tail = 3;
	EXPECT(tx(w, 8) == 1 && rs_e1000_publish(w->dev) == RS_E1000_IRQ && p->cause == (ICR_TXQE | ICR_TXDW));
	EXPECT(tx_done(w, 2) && rd(w, E1000_ICR) == 0);

	/* the receiver looks for room in the page, and asks to be told of it */
	EXPECT(rx(w, 100) == -ENOBUFS && !rs_e1000_sleep(w->dev, true));
	EXPECT(p->doorbell == (RS_NIC_WANT_TX | RS_NIC_WANT_RX));
	p->rx_tail = 2;
	EXPECT(rs_e1000_sleep(w->dev, true) && !p->doorbell);
	EXPECT(rx(w, 100) == 0 && !p->rx_head && rs_e1000_publish(w->dev) == RS_E1000_IRQ && p->rx_head == 1);
	EXPECT(rx_desc(w, 0)->legacy.status == (RX_DD | RX_EOP | RX_IXSM) && arrived(w, RX_BUF, 0, 100));
	EXPECT(rx(w, 100) == 0 && rx(w, 100) == -ENOBUFS);
	rs_e1000_awake(w->dev);

	/* the throttle holds causes back, not heads */
	p->cause = 0;
	EXPECT(wr(w, E1000_ITR, 1000) == RS_E1000_IRQ);
	EXPECT(rs_e1000_publish(w->dev) == 0 && p->rx_head == 2);
	p->cause = 0;
	p->rx_tail = 3;
	EXPECT(rx(w, 100) == 0 && rs_e1000_publish(w->dev) == 0 && p->rx_head == 3 && !p->cause);
	w->now += rs_e1000_throttled(w->dev);
	EXPECT(rs_e1000_publish(w->dev) == RS_E1000_IRQ && p->cause == ICR_RXT0);
	wr(w, E1000_ITR, 0);

	/* off again: the registers go on from there */
	wr(w, RS_NIC_REG_PAGE_LOW, 0);
	EXPECT(rd(w, RS_NIC_REG_PAGE_LOW) == 0 && rd(w, E1000_TX_RING + RING_HEAD) == 3);
	put_tx(w, 3, TX_BUF, TX_EOP | 60, 0);
	wr(w, E1000_TX_RING + RING_TAIL, 4);
	EXPECT(rs_e1000_tx(w->dev, 8, &what) == 1 && p->tx_head == 3);
	wr(w, E1000_CTRL, CTRL_RST);
	EXPECT(rd(w, RS_NIC_REG_PAGE_LOW) == 0);
}

/* Hostile indices stop their ring, and the other one goes on; setting up the page starts it again. */
static void case_page_hostile(struct world *w)
{
	struct rs_nic_page *p = nic_page(w);

	driver_up(w, 0);
	/* pages that are none */
	wr(w, RS_NIC_REG_PAGE_HIGH, NOWHERE >> 32);
	wr(w, RS_NIC_REG_PAGE_LOW, NIC_PAGE | 1);
	EXPECT(rd(w, RS_NIC_REG_PAGE_LOW) == 0);
	wr(w, RS_NIC_REG_PAGE_HIGH, 0);
	wr(w, RS_NIC_REG_PAGE_LOW, NIC_PAGE | 0x11);
	EXPECT(rd(w, RS_NIC_REG_PAGE_LOW) == 0);

	page_on(w);
	p->rx_tail = RING - 1;
	p->tx_tail = RING;
	EXPECT(tx(w, 8) == 0 && p->stopped == 1 && rx(w, 100) == 0);
	p->tx_tail = 0;
	wr(w, E1000_TX_RING + RING_LEN, 2 * RING * DESC_SIZE);
	EXPECT(!rs_e1000_sleep(w->dev, false) && tx(w, 8) == 0 && p->stopped == 1);
	p->rx_tail = ~0u;
	w->nsent = 0;
	while (rx(w, 100) == 0)
		w->nsent++;
	EXPECT(w->nsent < RING && p->stopped == 3);
	EXPECT(rx(w, 100) == -ENETDOWN);
	p->rx_tail = RING - 1;
	p->tx_tail = 1;
	put_tx(w, 0, TX_BUF, TX_EOP | 60, 0);
	page_on(w);
	EXPECT(!p->stopped && tx(w, 8) == 1);

	/* the ring shrinks under the head */
	p->tx_tail = 4;
	put_tx(w, 1, TX_BUF, TX_EOP | 60, 0);
	put_tx(w, 2, TX_BUF, TX_EOP | 60, 0);
	put_tx(w, 3, TX_BUF, TX_EOP | 60, 0);
	EXPECT(tx(w, 8) == 3);
	wr(w, E1000_TX_RING + RING_LEN, 0);
	EXPECT(tx(w, 8) == 0 && !rs_e1000_sleep(w->dev, false));
	/* the page overlaps a ring: the guest's own affair */
	wr(w, E1000_TX_RING + RING_LEN, RING * DESC_SIZE);
	wr(w, E1000_TX_RING + RING_BAL, NIC_PAGE);
	p->tx_tail = 5;
	tx(w, 8);
	rs_e1000_publish(w->dev);
}

static const struct {
	const char *name;
	void (*run)(struct world *w);
} e1000_cases[] = {
	{ "probe", case_probe },
	{ "registers", case_registers },
	{ "statistics", case_statistics },
	{ "transmit", case_tx },
	{ "bad frames to be sent", case_tx_bad },
	{ "offloads", case_tx_offloads },
	{ "receive", case_rx },
	{ "vlan tags received", case_rx_vlan },
	{ "filters", case_filters },
	{ "interrupts", case_interrupts },
	{ "queue page", case_page },
	{ "hostile queue page", case_page_hostile },
};

#endif /* RS_E1000_CASES_H */
