// SPDX-License-Identifier: MIT
/*
 * e1000_hostile_test.c - the 82540EM's model and drivers that write what they like to registers, rings and page
 *
 * The judge: a frame that is handed out is what struct rs_e1000_frame promises; memory is written only in the
 * rings, the page's words and the buffers that descriptors have named in the same call; a call's work is
 * bounded; and however the rings look, a worker that nobody disturbs comes to rest.
 */
#include "model.h"
#include "tests/e1000_world.h"

static u8 memory[WORLD_MEM] __attribute__((aligned(4096)));

enum call { CALL_OTHER, CALL_TX, CALL_RX };

static struct {
	enum call call;
	u64 named[64];		/* buffers of this call */
	u32 nnamed;
	u64 frames;
} hostile;

static u32 reg(struct world *w, u32 offset)
{
	return rd(w, offset);
}

static u64 hostile_ring(struct world *w, u32 ring)
{
	return (u64)reg(w, ring + RING_BAH) << 32 | reg(w, ring + RING_BAL);
}

static u32 hostile_bsize(struct world *w)
{
	static const u32 sizes[] = { 2048, 1024, 512, 256, 256, 16384, 8192, 4096 };
	const u32 rctl = reg(w, E1000_RCTL);

	return sizes[(rctl >> 16 & 3) | (rctl & RCTL_BSEX ? 4 : 0)];
}

static void hostile_read(struct world *w, u64 gpa, u32 len)
{
	const u64 at = gpa - hostile_ring(w, E1000_RX_RING);

	if (hostile.call != CALL_RX || len != 8)
		return;
	CHECK(at < reg(w, E1000_RX_RING + RING_LEN) && at % DESC_SIZE == 0);
	CHECK(hostile.nnamed < ARRAY_SIZE(hostile.named));
	memcpy(&hostile.named[hostile.nnamed++], memory + gpa, 8);
}

static void hostile_write(struct world *w, u64 gpa, u32 len)
{
	const u32 page_low = reg(w, RS_NIC_REG_PAGE_LOW);
	const u64 page = gpa - (page_low & ~1u);
	const u64 tx_at = gpa - hostile_ring(w, E1000_TX_RING), rx_at = gpa - hostile_ring(w, E1000_RX_RING);
	u32 i;

	if ((page_low & 1 || hostile.call == CALL_OTHER) && ((gpa % 4096 >= 64 && gpa % 4096 + len <= 80) || gpa % 4096 == 128) &&
	    (page < 4096 || hostile.call == CALL_OTHER))
		return;
	if (hostile.call == CALL_TX && tx_at < reg(w, E1000_TX_RING + RING_LEN) && tx_at % DESC_SIZE == TX_STATUS_AT && len == 1)
		return;
	if (hostile.call == CALL_RX) {
		if (rx_at < reg(w, E1000_RX_RING + RING_LEN) && rx_at % DESC_SIZE + len <= DESC_SIZE)
			return;
		for (i = 0; i < hostile.nnamed; i++)
			if (gpa - hostile.named[i] < hostile_bsize(w) && gpa - hostile.named[i] + len <= hostile_bsize(w))
				return;
	}
	CHECK(false, "a write of %u bytes at %#lx", len, gpa);
}

static int hostile_sent(struct world *w, const struct rs_e1000_frame *f)
{
	u64 sum = 0;
	u32 i;

	CHECK(f->nsegs && f->nsegs <= RS_E1000_MAX_SEGS);
	for (i = 0; i < f->nsegs; i++) {
		CHECK(f->seg[i].len && f->seg[i].gpa + f->seg[i].len >= f->seg[i].gpa);
		sum += f->seg[i].len;
	}
	CHECK(sum == f->len && f->len >= 14 && f->len <= (f->mss ? RS_E1000_MAX_TSO : RS_E1000_MAX_FRAME));
	if (f->ip_sum)
		CHECK(f->ip_start <= f->ip_sum_at && f->ip_sum_at + 2u <= f->ip_end && f->ip_end <= f->len);
	if (f->l4_sum)
		CHECK(f->l4_start <= f->l4_sum_at && f->l4_sum_at + 2u <= f->len);
	if (f->mss)
		CHECK(f->l4_sum && f->tcp && f->hdr_len >= f->l4_start + 20 && f->hdr_len < f->len);
	hostile.frames++;
	return 0;
}

static u32 odd_number(void)
{
	switch (rnd_below(6)) {
	case 0: return rnd();
	case 1: return rnd() & rnd() & rnd();
	case 2: return rnd() | rnd() | rnd();
	case 3: return rnd_below(64);
	case 4: return 1u << rnd_below(32);
	default: return rnd_below(WORLD_MEM);
	}
}

static u64 odd_address(void)
{
	switch (rnd_below(6)) {
	case 0: return NOWHERE + rnd_below(1 << 20);
	case 1: return WORLD_MEM - rnd_below(100);
	case 2: return 0 - rnd_below(100);
	case 3: return NIC_PAGE + rnd_below(4096);	/* the page itself, and what follows */
	default: return rnd_below(WORLD_MEM);
	}
}

static void hostile_descriptor(void)
{
	const u32 at = (rnd() & 1 ? TX_RING : RX_RING) + DESC_SIZE * rnd_below(64);
	const u64 addr = odd_address();
	u32 *d = (u32 *)(memory + at);

	d[0] = addr;
	d[1] = addr >> 32;
	d[2] = (rnd() & 3 ? TX_EOP : 0) | (rnd() & 1 ? TX_DEXT : 0) | (rnd() & 0xff000000 & rnd()) | (rnd_below(3) << 20) |
	       (rnd() & 1 ? rnd_below(2000) : rnd() & 0xfffff);
	d[3] = odd_number();
	/* a context that could be one */
	if (!rnd_below(4)) {
		d[0] = CONTEXT_WORD0;
		d[1] = CONTEXT_WORD1;
		d[2] = CONTEXT | TX_CONTEXT_TSE | TX_CONTEXT_TCP | TX_CONTEXT_IP | rnd_below(70000);
		d[3] = rnd_below(2000) << 16 | 54 << 8;
	}
}

static void hostile_register(struct world *w)
{
	static const u32 regs[] = {
		E1000_CTRL, E1000_EECD, E1000_EERD, E1000_MDIC, E1000_VET, E1000_ICR, E1000_ITR, E1000_ICS, E1000_IMS,
		E1000_IMC, E1000_RCTL, E1000_TCTL, E1000_RXCSUM, E1000_RFCTL,
		E1000_TX_RING, E1000_TX_RING + 4, E1000_TX_RING + 8, E1000_TX_RING + 16, E1000_TX_RING + 24, E1000_TX_RING + 32,
		E1000_TX_RING + 40, E1000_TX_RING + 44, E1000_RX_RING, E1000_RX_RING + 4, E1000_RX_RING + 8, E1000_RX_RING + 16,
		E1000_RX_RING + 24, E1000_RX_RING + 32, E1000_RX_RING + 44, RS_NIC_REG_PAGE_LOW, RS_NIC_REG_PAGE_HIGH,
	};

	if (!rnd_below(8))
		wr(w, rnd_below(RS_NIC_REG_PAGE_HIGH + 100), odd_number());
	else
		wr(w, regs[rnd_below(ARRAY_SIZE(regs))], odd_number());
}

/* Rings that work, so that not everything ends at the first check. */
static void hostile_sense(struct world *w)
{
	wr(w, E1000_TX_RING + RING_BAL, TX_RING);
	wr(w, E1000_TX_RING + RING_BAH, 0);
	wr(w, E1000_TX_RING + RING_LEN, 128 * (1 + rnd_below(8)));
	wr(w, E1000_TX_RING + RING_HEAD, rnd_below(8));
	wr(w, E1000_RX_RING + RING_BAL, RX_RING);
	wr(w, E1000_RX_RING + RING_BAH, 0);
	wr(w, E1000_RX_RING + RING_LEN, 128 * (1 + rnd_below(8)));
	wr(w, E1000_RX_RING + RING_HEAD, rnd_below(8));
	wr(w, E1000_TCTL, TCTL_EN);
	wr(w, E1000_RCTL, (odd_number() & ~0x0c0u) | RCTL_EN);
	rs_e1000_set_link(w->dev, true);
	if (rnd() & 1) {
		nic_page(w)->tx_tail = rnd_below(8);
		nic_page(w)->rx_tail = rnd_below(8);
		page_on(w);
	} else {
		wr(w, RS_NIC_REG_PAGE_LOW, 0);
		wr(w, E1000_TX_RING + RING_TAIL, rnd_below(8));
		wr(w, E1000_RX_RING + RING_TAIL, rnd_below(8));
	}
}

static int hostile_rx(struct world *w, u32 len)
{
	struct outside o = { w, 3 };
	u32 what;
	int err;

	hostile.call = CALL_RX;
	hostile.nnamed = 0;
	w->accesses = 0;
	err = rs_e1000_rx(w->dev, len, rnd() & 1 ? -1 : (int)(rnd() & 0xffff), rnd() & 1, outside_copy, &o, &what);
	/* for a buffer: its descriptor read and written, four pieces of bytes; a page's words */
	CHECK(w->accesses <= 64 * 7 + 10, "%u accesses", w->accesses);
	CHECK(err == 0 || err == -ENOBUFS || err == -EMSGSIZE || err == -ENETDOWN || err == -EFAULT);
	hostile.call = CALL_OTHER;
	return err;
}

static void hostile_tx(struct world *w, u32 budget)
{
	u32 what;

	hostile.call = CALL_TX;
	w->accesses = 0;
	CHECK(rs_e1000_tx(w->dev, budget, &what) <= budget);
	CHECK(w->accesses <= 4 * (64 + 64 + 8 * budget) + 10, "%u accesses", w->accesses);
	hostile.call = CALL_OTHER;
}

/* A worker alone with whatever lies there sleeps in the end. */
static void hostile_rest(struct world *w)
{
	u32 len = 60 + rnd_below(3000), i;
	bool waits = rnd() & 1;
	int err;

	for (i = 0; i < 2000; i++) {
		hostile_tx(w, 16);
		if (waits) {
			err = hostile_rx(w, len);
			waits = err == -ENOBUFS;
		}
		rs_e1000_publish(w->dev);
		if (!rs_e1000_sleep(w->dev, waits))
			break;
	}
	CHECK(i < 2000, "the worker does not come to rest");
	rs_e1000_awake(w->dev);
}

static void hostile_drivers(u32 lives)
{
	u64 received = 0;
	u8 mac[6];

	while (lives--) {
		struct world w;
		u32 i;

		world_init(&w, memory);
		w.on_read = hostile_read;
		w.on_write = hostile_write;
		w.on_sent = hostile_sent;
		for (i = 0; i < 64; i++)
			hostile_descriptor();
		for (i = 0; i < 400; i++) {
			switch (rnd_below(12)) {
			case 0: case 1: hostile_descriptor(); break;
			case 2: hostile_register(&w); break;
			case 3:
				if (!rnd_below(4))
					hostile_sense(&w);
				break;
			case 4: ((u32 *)nic_page(&w))[rnd_below(48)] = odd_number(); break;
			case 5:
				*(rnd() & 1 ? &nic_page(&w)->tx_tail : &nic_page(&w)->rx_tail) = rnd_below(16);
				wr(&w, (rnd() & 1 ? E1000_TX_RING : E1000_RX_RING) + RING_TAIL, rnd_below(16));
				break;
			case 6: hostile_tx(&w, rnd_below(20)); break;
			case 7: hostile_rx(&w, rnd_below(rnd() & 1 ? 2000 : 20000)); break;
			case 8:
				rs_e1000_publish(w.dev);
				w.now += rnd_below(100000);
				rs_e1000_throttled(w.dev);
				break;
			case 9:
				for (u32 k = 0; k < 6; k++)
					mac[k] = rnd();
				rs_e1000_rx_wants(w.dev, mac, rnd() & 1 ? -1 : (int)rnd_below(4096));
				if (!rnd_below(8))
					rs_e1000_set_link(w.dev, rnd() & 1);
				break;
			case 10: w.no_room = !rnd_below(4); break;
			default:
				if (!rnd_below(4))
					hostile_rest(&w);
			}
		}
		hostile_rest(&w);
		received += rs_e1000_stats(w.dev)->rx_packets;
		world_end(&w);
	}
	/* not all of it ends at the first check */
	CHECK(hostile.frames > 100 && received > 100, "%lu sent, %lu received", hostile.frames, received);
	PASS("hostile drivers: %lu frames sent, %lu received", hostile.frames, received);
}

int main(int argc, char **argv)
{
	const char *more = getenv("RS_FUZZ");
	const u32 lives = more ? strtoul(more, NULL, 0) : 1600;

	rnd_seed(argc > 1 ? strtoull(argv[1], NULL, 0) : 1);
	hostile_drivers(lives);
	DONE();
}
