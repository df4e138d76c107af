// SPDX-License-Identifier: GPL-2.0-only
/*
 * e1000_tx.c - the transmit ring: descriptors become frames, their offloads are checked, they are given back
 *
 * A frame is all descriptors up to one with EOP. It is taken as a whole: while its end is not there yet,
 * nothing of it is consumed. So every round starts at a frame's beginning, and a frame for which the
 * other side has no room is simply found again. Context descriptors stand between frames and are consumed
 * at once.
 *
 * A frame that is wrong is counted and thrown away, and its descriptors are given back as sent: with the
 * hardware, too, the driver would not hear of it. One with more than RS_E1000_MAX_SEGS descriptors is
 * wrong as soon as so many are there; the rest of it is thrown away as it comes.
 *
 * Work is bounded: a call looks at no more descriptors than TX_LOOK says, whatever they contain.
 */
#include "e1000_dev.h"

#define TX_LOOK(budget)		(RS_E1000_MAX_SEGS + 8 * (budget))
#define MIN_FRAME		14	/* an Ethernet header */

/* What the descriptors at the head are. */
enum found {
	FOUND_NOTHING,		/* half a frame */
	FOUND_CONTEXT,
	FOUND_FRAME,
	FOUND_BAD,		/* to be thrown away */
	FOUND_ERROR,		/* the ring is not to be had */
};

/*
 * struct taken - descriptors of one find
 * @rs, @ide: bit N: the Nth has that bit. @first, @last: words 2 and 3 of the first and of the last one
 * @vlan: word 3 of the last one with VLE
 */
struct taken {
	u32 n;
	u64 rs, ide;
	u32 first2, first3, last2, last3;
	bool vle;
	u32 vlan;
};

/* The descriptor at @index, a copy: those before the tail are read several at once. */
static const struct e1000_tx_desc *desc_at(struct rs_e1000 *dev, u32 size, u32 index)
{
	const struct e1000_ring *r = &dev->ring[RING_TX];
	u32 n;

	if (index - dev->cache_from >= dev->cache_n) {
		n = index < r->tail ? r->tail - index : size - index;
		n = min_t(u32, n, TX_CACHE);
		dev->cache_n = 0;
		if (dev->ops->read(dev->ctx, ring_at(r, index), dev->cache, n * DESC_SIZE))
			return NULL;
		dev->cache_from = index;
		dev->cache_n = n;
	}
	return &dev->cache[index - dev->cache_from];
}

static void take_context(struct rs_e1000 *dev, const struct e1000_tx_desc *d)
{
	struct e1000_context *c = &dev->context;

	c->ip_start = d->word[0];
	c->ip_sum_at = d->word[0] >> 8;
	c->ip_last = d->word[0] >> 16;
	c->l4_start = d->word[1];
	c->l4_sum_at = d->word[1] >> 8;
	c->l4_last = d->word[1] >> 16;
	c->paylen = d->word[2] & 0xfffff;
	c->tcp = d->word[2] & TX_CONTEXT_TCP;
	c->ipv4 = d->word[2] & TX_CONTEXT_IP;
	c->tso = d->word[2] & TX_CONTEXT_TSE;
	c->hdr_len = d->word[3] >> 8;
	c->mss = d->word[3] >> 16;
}

static bool add_piece(struct rs_e1000_frame *f, const struct e1000_tx_desc *d, u32 len)
{
	const u64 gpa = (u64)d->word[1] << 32 | d->word[0];

	if (!len)
		return true;
	if (f->nsegs == RS_E1000_MAX_SEGS || gpa + len < gpa)
		return false;
	f->seg[f->nsegs].gpa = gpa;
	f->seg[f->nsegs++].len = len;
	f->len += len;	/* at most 64 times 2^20 */
	return true;
}

/* What is at the head, and which descriptors it takes. */
static enum found find(struct rs_e1000 *dev, u32 size, struct taken *t)
{
	const struct e1000_ring *r = &dev->ring[RING_TX];
	struct rs_e1000_frame *f = &dev->frame;
	const struct e1000_tx_desc *d;
	bool bad = dev->tx_skip;
	u32 i = r->head, w2, w3;

	memset(t, 0, sizeof(*t));
	f->len = f->nsegs = 0;
	for (; i != r->tail; i = i + 1 == size ? 0 : i + 1) {
		d = desc_at(dev, size, i);
		if (!d)
			return FOUND_ERROR;
		w2 = d->word[2];
		w3 = d->word[3];

		if ((w2 & TX_DEXT) && TX_TYPE(w2) == TX_TYPE_CONTEXT) {
			/* inside a frame it has no place: that frame has ended without an end */
			if (t->n) {
				dev->tx_skip = false;
				return FOUND_BAD;
			}
			dev->tx_skip = false;
			take_context(dev, d);
			t->n = 1;
			t->rs = !!(w2 & TX_RS);
			t->ide = !!(w2 & TX_IDE);
			return FOUND_CONTEXT;
		}

		if (!t->n) {
			t->first2 = w2;
			t->first3 = w3;
		}
		t->last2 = w2;
		t->last3 = w3;
		t->rs |= (u64)!!(w2 & TX_RS) << t->n;
		t->ide |= (u64)!!(w2 & TX_IDE) << t->n;
		if (w2 & TX_VLE) {
			t->vle = true;
			t->vlan = TX_SPECIAL(w3);
		}
		t->n++;
		if (!(w2 & TX_DEXT))
			bad |= !add_piece(f, d, TX_LEGACY_LEN(w2));
		else if (TX_TYPE(w2) == TX_TYPE_DATA)
			bad |= !add_piece(f, d, TX_DATA_LEN(w2));
		else
			bad = true;
		/* legacy and extended ones do not mix in a frame */
		bad |= (w2 ^ t->first2) & TX_DEXT;
		if (w2 & TX_EOP) {
			dev->tx_skip = false;
			return bad ? FOUND_BAD : FOUND_FRAME;
		}
		if (t->n == RS_E1000_MAX_SEGS) {
			dev->tx_skip = true;
			return FOUND_BAD;
		}
	}
	/* what is being thrown away need not wait for its end */
	return t->n && dev->tx_skip ? FOUND_BAD : FOUND_NOTHING;
}

/* The sum of [start, end of frame) goes to @at: false when that cannot be. */
static bool want_l4_sum(struct rs_e1000_frame *f, u32 start, u32 at)
{
	if (at < start || at + 2 > f->len)
		return false;
	f->l4_sum = true;
	f->l4_start = start;
	f->l4_sum_at = at;
	return true;
}

static bool legacy_offloads(struct rs_e1000_frame *f, const struct taken *t)
{
	const u32 start = TX_LEGACY_CSS(t->last3), at = TX_LEGACY_CSO(t->last2);

	/* the hardware's rule: a sum that would lie outside is not inserted */
	if (!(t->last2 & TX_LEGACY_IC) || start >= f->len || at + 2 > f->len)
		return true;
	return want_l4_sum(f, start, at);
}

static bool data_offloads(struct rs_e1000_frame *f, const struct e1000_context *c, const struct taken *t)
{
	const bool tso = t->first2 & TX_TSE;

	if (t->first3 & TX_DATA_IXSM) {
		const u32 end = c->ip_last ? c->ip_last + 1u : f->len;

		if (c->ip_start >= end || end > f->len || c->ip_sum_at < c->ip_start || c->ip_sum_at + 2u > end)
			return false;
		f->ip_sum = true;
		f->ip_start = c->ip_start;
		f->ip_end = end;
		f->ip_sum_at = c->ip_sum_at;
	}
	if (t->first3 & TX_DATA_TXSM) {
		/* a sum that ends before the frame does: no driver asks for it, nobody could do it */
		if (c->l4_last && c->l4_last + 1u != f->len)
			return false;
		if (!want_l4_sum(f, c->l4_start, c->l4_sum_at))
			return false;
		f->tcp = c->tcp;
	}
	if (!tso)
		return true;
	if (!c->tso || !c->tcp || !f->l4_sum || (c->ipv4 && !f->ip_sum) || !c->mss)
		return false;
	/* the headers are those of Ethernet, IP and TCP, and there is something behind them */
	if (c->hdr_len < c->l4_start + 20u || c->hdr_len < MIN_FRAME || c->hdr_len + c->paylen != f->len || !c->paylen)
		return false;
	f->ipv6 = !c->ipv4;
	f->mss = c->mss;
	f->hdr_len = c->hdr_len;
	return true;
}

/* All that is left to be known of a frame; false: it cannot be sent. */
static bool finish(struct rs_e1000 *dev, const struct taken *t)
{
	struct rs_e1000_frame *f = &dev->frame;

	f->ip_sum = f->l4_sum = f->tcp = f->ipv6 = false;
	f->ip_start = f->ip_end = f->ip_sum_at = f->l4_start = f->l4_sum_at = 0;
	f->mss = f->hdr_len = 0;
	f->has_vlan = t->vle && (dev->ctrl & CTRL_VME);
	f->vlan_tci = f->has_vlan ? t->vlan : 0;
	if (f->len < MIN_FRAME || f->len > RS_E1000_MAX_TSO)
		return false;
	if (t->first2 & TX_DEXT ? !data_offloads(f, &dev->context, t) : !legacy_offloads(f, t))
		return false;
	return f->mss || f->len <= RS_E1000_MAX_FRAME;
}

/* Give descriptors back. */
static bool retire(struct rs_e1000 *dev, u32 size, const struct taken *t)
{
	struct e1000_ring *r = &dev->ring[RING_TX];
	const u8 done = TX_STATUS_DD;
	u32 i, left = (r->tail + size - r->head) % size;
	const u32 low = TXDCTL_LWTHRESH(r->dctl) * 8;

	for (i = 0; i < t->n; i++) {
		if ((t->rs >> i & 1) &&
		    dev->ops->write(dev->ctx, ring_at(r, r->head) + TX_STATUS_AT, &done, sizeof(done)))
			return false;
		r->head = r->head + 1 == size ? 0 : r->head + 1;
	}
	if (low && left > low && left - t->n <= low)
		dev->causes |= ICR_TXD_LOW;
	if (t->rs)
		cause_ring(dev, RING_TX, !(t->rs & ~t->ide));
	return true;
}

static void count_sent(struct rs_e1000 *dev, const struct rs_e1000_frame *f)
{
	const u32 len = max(f->len + 4, 64u);	/* with its FCS, and padded */
	u8 to;

	dev->stats.tx_packets++;
	dev->stats.tx_bytes += f->len;
	count(dev, STAT_TPT);
	count(dev, STAT_GPTC);
	count_octets(dev, STAT_TOTL, len);
	count_octets(dev, STAT_GOTCL, len);
	count_size(dev, STAT_PTC64, len);
	if (f->mss)
		count(dev, STAT_TSCTC);
	/* a driver of the queue page counts for itself; this is for one that has only registers */
	if (dev->page_on || dev->ops->read(dev->ctx, f->seg[0].gpa, &to, sizeof(to)))
		return;
	if (to == 0xff)
		count(dev, STAT_BPTC);
	else if (to & 1)
		count(dev, STAT_MPTC);
}

u32 rs_e1000_tx(struct rs_e1000 *dev, u32 budget, u32 *what)
{
	struct e1000_ring *r = &dev->ring[RING_TX];
	u32 size, frames = 0, looked = 0;
	bool moved = false;
	struct taken t;
	enum found found;
	int err;

	*what = 0;
	dev->tx_blocked = dev->tx_partial = false;
	if (!(dev->tctl & TCTL_EN) || !ring_usable(dev, RING_TX, &size))
		return 0;
	budget = min_t(u32, budget, size);
	dev->cache_n = 0;	/* what the driver may have changed since */

	while (r->head != r->tail) {
		if (frames >= budget || looked >= TX_LOOK(budget)) {
			*what = RS_E1000_WORK;
			return frames;
		}
		found = find(dev, size, &t);
		looked += t.n;
		if (found == FOUND_NOTHING) {
			dev->tx_partial = true;
			dev->tx_partial_tail = r->tail;
			return frames;
		}
		if (found == FOUND_ERROR) {
			ring_stop(dev, RING_TX);
			return frames;
		}
		if (found == FOUND_FRAME && !finish(dev, &t)) {
			if (t.first2 & TX_TSE)
				count(dev, STAT_TSCTFC);
			found = FOUND_BAD;
		}
		if (found == FOUND_FRAME) {
			err = dev->ops->transmit(dev->ctx, &dev->frame);
			if (err) {
				dev->tx_blocked = true;
				return frames;
			}
			count_sent(dev, &dev->frame);
			frames++;
		} else if (found == FOUND_BAD) {
			dev->stats.tx_bad++;
		}
		if (!retire(dev, size, &t)) {
			ring_stop(dev, RING_TX);
			return frames;
		}
		moved = true;
	}
	if (moved)
		dev->causes |= ICR_TXQE;
	return frames;
}
