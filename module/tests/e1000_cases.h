/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * e1000_cases.h - what the model of the 82540EM must do, case by case, against a guest memory of bytes
 *
 * Shared by the KUnit suite and the hosted test (selftests/hosted/e1000_test.c), so that the same cases run
 * in the kernel with its checkers and under ASan and UBSan. Whoever includes this defines EXPECT(condition)
 * first; a case that leaves early has failed one.
 */
#ifndef RS_E1000_CASES_H
#define RS_E1000_CASES_H

#include "tests/e1000_ring_cases.h"

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

/* --- filters ------------------------------------------------------------- */

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
