/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * e1000_ring_cases.h - the cases of both rings; see e1000_cases.h
 */
#ifndef RS_E1000_RING_CASES_H
#define RS_E1000_RING_CASES_H

#include "tests/e1000_world.h"

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

	/* few are left: told when the number falls to eight times LWTHRESH, which a ring of 128 can have */
	wr(w, E1000_TX_RING + RING_LEN, 128 * DESC_SIZE);
	wr(w, E1000_TX_RING + RING_BAL, 0x80000);
	for (i = 0; i < 20; i++)
		*(struct e1000_tx_desc *)(w->mem + 0x80000 + i * DESC_SIZE) =
			(struct e1000_tx_desc){ { TX_BUF, 0, TX_EOP | 60, 0 } };
	wr(w, E1000_TX_RING + RING_HEAD, 0);
	wr(w, E1000_TX_RING + RING_TAIL, 20);
	wr(w, E1000_TX_RING + RING_DCTL, 1u << 25);
	rd(w, E1000_ICR);
	EXPECT(tx(w, 11) == 11 && rd(w, E1000_ICR) == 0);
	EXPECT(tx(w, 1) == 1 && rd(w, E1000_ICR) == ICR_TXD_LOW);
	EXPECT(tx(w, 20) == 8 && rd(w, E1000_ICR) == ICR_TXQE);
	wr(w, E1000_TX_RING + RING_DCTL, 0);
	wr(w, E1000_TX_RING + RING_LEN, RING * DESC_SIZE);
	wr(w, E1000_TX_RING + RING_BAL, TX_RING);
	wr(w, E1000_TX_RING + RING_TAIL, 1);
	wr(w, E1000_TX_RING + RING_HEAD, 1);

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

#endif /* RS_E1000_RING_CASES_H */
