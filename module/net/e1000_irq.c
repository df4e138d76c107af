// SPDX-License-Identifier: GPL-2.0-only
/*
 * e1000_irq.c - how the driver hears of things: causes, their throttle, the queue page, the worker's sleep
 *
 * What happens in a round of the worker is collected in @causes, and publish() delivers it once: to ICR, or
 * with the queue page to its cause, after the heads. An interrupt is asked for when a bit is new there
 * and the driver wants it: a bit that was there already was signalled then, or was not wanted, and then the
 * driver looks before it sleeps. The throttle (ITR) holds causes back, so that what is not signalled is
 * not lost either. Delay registers hold one cause back each.
 *
 * Both sleeps go the same way, and neither can be missed: say that you sleep; full barrier; look
 * again. The other side: make the thing visible; full barrier; look whether somebody sleeps. One of the two
 * loads comes after the other side's store. (A model of this: selftests/spin/doorbell.pml.)
 */
#include <uapi/ringside_guest.h>
#include "e1000_dev.h"

_Static_assert(sizeof(struct rs_nic_page) == 192, "queue page");
_Static_assert(offsetof(struct rs_nic_page, tx_head) == 64, "the module's line of the queue page");
_Static_assert(offsetof(struct rs_nic_page, cause) == 128, "the common line of the queue page");

#define PAGE_AT(dev, field)	((dev)->page + offsetof(struct rs_nic_page, field))

static bool page_read(struct rs_e1000 *dev, u64 at, u32 *v)
{
	return !dev->ops->read(dev->ctx, at, v, sizeof(*v));
}

static bool page_write(struct rs_e1000 *dev, u64 at, u32 v)
{
	return !dev->ops->write(dev->ctx, at, &v, sizeof(v));
}

void ring_stop(struct rs_e1000 *dev, int which)
{
	dev->ring[which].stuck = true;
	if (!dev->page_on)
		return;
	dev->stopped |= 1u << which;
	/* if the page is gone, nobody is there to be told */
	page_write(dev, PAGE_AT(dev, stopped), dev->stopped);
}

/* The page is not to be had: there are no rings any more. */
static void page_lost(struct rs_e1000 *dev)
{
	ring_stop(dev, RING_TX);
	ring_stop(dev, RING_RX);
}

bool page_tail(struct rs_e1000 *dev, int which)
{
	struct e1000_ring *r = &dev->ring[which];

	if (page_read(dev, which == RING_TX ? PAGE_AT(dev, tx_tail) : PAGE_AT(dev, rx_tail), &r->tail))
		return true;
	page_lost(dev);
	return false;
}

bool ring_usable(struct rs_e1000 *dev, int which, u32 *n)
{
	struct e1000_ring *r = &dev->ring[which];

	*n = ring_size(r);
	if (r->stuck || !*n || (dev->page_on && !page_tail(dev, which)))
		return false;
	if (r->head < *n && r->tail < *n)
		return true;
	/* with registers it may be that the driver is not finished writing them */
	if (dev->page_on)
		ring_stop(dev, which);
	return false;
}

u32 page_setup(struct rs_e1000 *dev, u32 low)
{
	struct e1000_ring *tx = &dev->ring[RING_TX], *rx = &dev->ring[RING_RX];
	u32 words[4] = { tx->head, rx->head, 0, 0 };

	dev->page_on = false;
	dev->doorbell = dev->stopped = 0;
	tx->stuck = rx->stuck = false;
	dev->tx_partial = dev->tx_skip = false;
	if (!(low & 1) || (low & 0xffe))
		return RS_E1000_WORK;

	dev->page = (u64)dev->page_high << 32 | (low & ~1u);
	if (dev->ops->write(dev->ctx, PAGE_AT(dev, tx_head), words, sizeof(words)))
		return 0;
	dev->page_on = true;
	tx->told = tx->head;
	rx->told = rx->head;
	/* what was in ICR is in the page now */
	dev->causes |= dev->icr;
	dev->icr = 0;
	return deliver(dev, 0) | RS_E1000_WORK;
}

static u64 throttle_ns(const struct rs_e1000 *dev)
{
	return (u64)(dev->itr & 0xffff) * 256;
}

u32 deliver(struct rs_e1000 *dev, u32 causes)
{
	u64 now = 0;
	u32 wanted;
	s64 old;

	causes |= dev->causes;
	if (!causes)
		return 0;
	if (throttle_ns(dev)) {
		now = dev->ops->now_ns(dev->ctx);
		if (dev->last_irq && now < dev->last_irq + throttle_ns(dev)) {
			dev->causes = causes;
			return RS_E1000_WORK;
		}
	}
	dev->causes = 0;

	if (dev->page_on) {
		old = dev->ops->or32(dev->ctx, PAGE_AT(dev, cause), causes);
		full_barrier(dev);
		if (old < 0 || !page_read(dev, PAGE_AT(dev, mask), &wanted)) {
			page_lost(dev);
			return 0;
		}
	} else {
		old = dev->icr;
		dev->icr |= causes;
		wanted = dev->ims;
	}
	if (!(causes & ~(u32)old & wanted))
		return 0;
	dev->last_irq = now;
	dev->stats.interrupts++;
	return RS_E1000_IRQ;
}

void cause_ring(struct rs_e1000 *dev, int which, bool delay)
{
	const struct e1000_ring *r = &dev->ring[which];
	struct e1000_timer *t = &dev->timer[which];
	const u32 cause = which == RING_TX ? ICR_TXDW : ICR_RXT0;
	u64 now;

	if (!delay || !(r->delay & 0xffff)) {
		dev->causes |= cause;
		t->due = 0;
		return;
	}
	/* units of 1.024 us; the first one starts both, each later one starts the shorter one again */
	now = dev->ops->now_ns(dev->ctx);
	if (!t->due)
		t->last = r->abs_delay & 0xffff ? now + (u64)(r->abs_delay & 0xffff) * 1024 : ~0ull;
	t->due = min_t(u64, now + (u64)(r->delay & 0xffff) * 1024, t->last);
}

static void tell_head(struct rs_e1000 *dev, int which)
{
	struct e1000_ring *r = &dev->ring[which];

	if (!dev->page_on || r->told == r->head)
		return;
	r->told = r->head;
	if (!page_write(dev, which == RING_TX ? PAGE_AT(dev, tx_head) : PAGE_AT(dev, rx_head), r->head))
		page_lost(dev);
}

u32 rs_e1000_publish(struct rs_e1000 *dev)
{
	int which;

	for (which = RING_TX; which <= RING_RX; which++) {
		if (dev->timer[which].due && dev->ops->now_ns(dev->ctx) >= dev->timer[which].due)
			cause_ring(dev, which, false);
		tell_head(dev, which);
	}
	/* the worker asks rs_e1000_throttled() what is left for later */
	return deliver(dev, 0) & ~RS_E1000_WORK;
}

u64 rs_e1000_throttled(struct rs_e1000 *dev)
{
	u64 due = ~0ull, now;
	int which;

	for (which = RING_TX; which <= RING_RX; which++)
		if (dev->timer[which].due)
			due = min(due, dev->timer[which].due);
	if (dev->causes)
		due = min_t(u64, due, throttle_ns(dev) ? dev->last_irq + throttle_ns(dev) : 0);
	if (due == ~0ull)
		return 0;
	now = dev->ops->now_ns(dev->ctx);
	return due > now ? due - now : 1;
}

/* Is there something that the worker could do? */
static bool tx_work(struct rs_e1000 *dev)
{
	const struct e1000_ring *r = &dev->ring[RING_TX];
	u32 n;

	if (!(dev->tctl & TCTL_EN) || dev->tx_blocked || !ring_usable(dev, RING_TX, &n))
		return false;
	/* half a frame is no work until more of it comes */
	return r->head != r->tail && !(dev->tx_partial && dev->tx_partial_tail == r->tail);
}

static bool rx_work(struct rs_e1000 *dev)
{
	const struct e1000_ring *r = &dev->ring[RING_RX];
	u32 n;

	/* a receiver that is off will say so to the frame that waits */
	if (!(dev->rctl & RCTL_EN) || !dev->link || !ring_usable(dev, RING_RX, &n))
		return true;
	return (r->tail + n - r->head) % n >= dev->rx_need;
}

static bool want_doorbells(struct rs_e1000 *dev, u32 want)
{
	if (!dev->page_on || dev->doorbell == want)
		return true;
	dev->doorbell = want;
	return page_write(dev, PAGE_AT(dev, doorbell), want);
}

bool rs_e1000_sleep(struct rs_e1000 *dev, bool rx_waits)
{
	if (!want_doorbells(dev, RS_NIC_WANT_TX | (rx_waits ? RS_NIC_WANT_RX : 0)))
		page_lost(dev);
	full_barrier(dev);
	if (!tx_work(dev) && !(rx_waits && rx_work(dev)))
		return false;
	rs_e1000_awake(dev);
	return true;
}

void rs_e1000_awake(struct rs_e1000 *dev)
{
	if (!want_doorbells(dev, 0))
		page_lost(dev);
}
