// SPDX-License-Identifier: MIT
/*
 * e1000_honest_test.c - the 82540EM's model and drivers that do everything right
 *
 * A driver and a worker take turns at random, in lives of random configuration, with registers or with the queue
 * page, both asleep as often as their protocols allow. The judge: every frame arrives, in order, byte for
 * byte, where a descriptor said; nothing else in memory changes; at the end of a life nothing is left, so
 * no wake-up was lost.
 */
#include "model.h"
#include "tests/e1000_world.h"

static u8 memory[WORLD_MEM] __attribute__((aligned(4096)));

enum { RING_TX, RING_RX };
#define MAX_RING	32u
#define MAX_WAITING	64u
#define HONEST_TX	0x10000u
#define HONEST_TX_SIZE	0x40000u
#define HONEST_RX	0x60000u
#define FILL		0xee

/* What is to arrive at the other end. */
struct expected {
	u32 len;
	u8 seed;
	bool l4_sum, vlan;
	u32 tci;
	u32 descs;		/* that it takes */
};

struct fifo {
	struct expected e[MAX_WAITING];
	u32 first, n;
};

static struct expected *fifo_add(struct fifo *f)
{
	struct expected *e = &f->e[(f->first + f->n++) % MAX_WAITING];

	CHECK(f->n <= MAX_WAITING);
	memset(e, 0, sizeof(*e));
	return e;
}

static struct expected *fifo_take(struct fifo *f)
{
	CHECK(f->n, "a frame that nobody has sent");
	f->n--;
	return &f->e[f->first++ % MAX_WAITING];
}

struct honest {
	struct world *w;
	bool page, ext, secrc, vme;
	u32 n[2];		/* sizes of the rings */
	u32 bsize;
	/* the driver's */
	u32 tx_next, tx_tail, tx_clean, rx_tail, rx_next;
	u32 tx_gpa;		/* where the next piece goes; comes round long after the frame is gone */
	bool driver_asleep, irq;
	struct fifo to_send, to_arrive;
	/* the worker's */
	bool worker_asleep, kicked;
	struct fifo outside;	/* frames that wait for room */
	u64 sent, received;
};

static u8 byte_of(u8 seed, u32 i)
{
	return seed + i * 13 + (i >> 8);
}

/* Which memory may the device write? */
static void honest_write(struct world *w, u64 gpa, u32 len)
{
	const struct honest *h = w->priv;
	const u64 page = gpa - NIC_PAGE, tx_at = gpa - TX_RING, rx_at = gpa - RX_RING, buf = gpa - HONEST_RX;

	if (h->page && page < sizeof(struct rs_nic_page)) {
		CHECK((page >= 64 && page + len <= 80) || (page == 128 && len == 4));
		return;
	}
	if (tx_at < h->n[RING_TX] * DESC_SIZE) {
		CHECK(tx_at % DESC_SIZE == TX_STATUS_AT && len == 1);
		return;
	}
	if (rx_at < h->n[RING_RX] * DESC_SIZE) {
		const u32 i = rx_at / DESC_SIZE, n = h->n[RING_RX];

		CHECK(rx_at % DESC_SIZE + len <= DESC_SIZE);
		CHECK((i + n - h->rx_next) % n < (h->rx_tail + n - h->rx_next) % n, "descriptor %u is the driver's", i);
		return;
	}
	CHECK(buf < h->n[RING_RX] * h->bsize && buf % h->bsize + len <= h->bsize, "a write at %#lx", gpa);
}

static int honest_sent(struct world *w, const struct rs_e1000_frame *f)
{
	struct honest *h = w->priv;
	const struct expected *e = fifo_take(&h->to_send);
	u32 at = 0;

	CHECK(f->len == e->len && f->l4_sum == e->l4_sum && f->has_vlan == e->vlan);
	CHECK(!e->vlan || f->vlan_tci == e->tci);
	CHECK(!f->l4_sum || (f->l4_start == 34 && f->l4_sum_at == 50));
	for (u32 s = 0; s < f->nsegs; s++)
		for (u32 i = 0; i < f->seg[s].len; i++, at++)
			CHECK(memory[f->seg[s].gpa + i] == byte_of(e->seed, at));
	CHECK(at == f->len);
	h->sent++;
	return 0;
}

/* A register or the doorbell said that there is work. */
static void kick(struct honest *h, u32 what)
{
	if (what & RS_E1000_WORK)
		h->kicked = true;
	if (what & RS_E1000_IRQ)
		h->irq = true;
}

static void move_tail(struct honest *h, int which, u32 tail)
{
	struct rs_nic_page *p = nic_page(h->w);

	if (which == RING_TX)
		h->tx_tail = tail;
	if (!h->page) {
		kick(h, wr(h->w, (which == RING_TX ? E1000_TX_RING : E1000_RX_RING) + RING_TAIL, tail));
		return;
	}
	*(which == RING_TX ? &p->tx_tail : &p->rx_tail) = tail;
	if (p->doorbell & (which == RING_TX ? RS_NIC_WANT_TX : RS_NIC_WANT_RX))
		h->kicked = true;
}

static u32 tx_free(const struct honest *h)
{
	const u32 n = h->n[RING_TX];

	return n - 1 - (h->tx_next + n - h->tx_clean) % n;
}

static struct e1000_tx_desc *tx_slot(struct honest *h)
{
	struct e1000_tx_desc *d = (struct e1000_tx_desc *)(memory + TX_RING) + h->tx_next;

	h->tx_next = (h->tx_next + 1) % h->n[RING_TX];
	memset(d, 0, sizeof(*d));
	return d;
}

static void driver_sends(struct honest *h)
{
	const u32 n = h->n[RING_TX];
	u32 pieces = 1 + rnd_below(4), i, at = 0;
	const bool data = rnd() & 1, sum = data && (rnd() & 1);
	struct expected *e;

	if (tx_free(h) < pieces + sum || h->to_send.n == MAX_WAITING)
		return;
	e = fifo_add(&h->to_send);
	e->seed = rnd();
	e->l4_sum = sum;
	e->vlan = h->vme && !rnd_below(4);
	e->tci = e->vlan ? rnd() & 0xffff : 0;
	if (sum) {
		struct e1000_tx_desc *d = tx_slot(h);

		d->word[1] = CONTEXT_WORD1;
		d->word[2] = CONTEXT | TX_CONTEXT_TCP;
	}
	for (i = 0; i < pieces; i++) {
		struct e1000_tx_desc *d = tx_slot(h);
		/* the first has the headers; later ones may be empty */
		const u32 len = !i ? 60 + rnd_below(200) : rnd() & 3 ? rnd_below(1500) : 0;

		if (h->tx_gpa + len > HONEST_TX + HONEST_TX_SIZE)
			h->tx_gpa = HONEST_TX;
		d->word[0] = h->tx_gpa;
		d->word[2] = len | (data ? DATA : 0) | (i == pieces - 1 ? TX_EOP : 0) | (rnd() & 1 ? TX_RS : 0) |
			     (e->vlan ? TX_VLE : 0) | (rnd() & 7 ? 0 : TX_IDE);
		d->word[3] = e->tci << 16 | (sum ? TX_DATA_TXSM : 0);
		for (u32 b = 0; b < len; b++, at++)
			memory[h->tx_gpa++] = byte_of(e->seed, at);
		/* now and then the device sees half of it */
		if (!rnd_below(16))
			move_tail(h, RING_TX, h->tx_next);
	}
	e->len = at;
	CHECK((h->tx_next + n - h->tx_clean) % n);
	if (rnd() & 3)
		move_tail(h, RING_TX, h->tx_next);
}

static void driver_flushes(struct honest *h)
{
	if (h->tx_tail != h->tx_next)
		move_tail(h, RING_TX, h->tx_next);
}

static void driver_posts(struct honest *h, bool all)
{
	const u32 n = h->n[RING_RX];
	u32 room = n - 1 - (h->rx_tail + n - h->rx_next) % n, k = all ? room : rnd_below(room + 1);

	if (!k)
		return;
	while (k--) {
		union e1000_rx_desc *d = (union e1000_rx_desc *)(memory + RX_RING) + h->rx_tail;

		memset(d, 0, sizeof(*d));
		d->legacy.addr = HONEST_RX + h->rx_tail * h->bsize;
		memset(memory + d->legacy.addr, FILL, h->bsize);
		h->rx_tail = (h->rx_tail + 1) % n;
	}
	move_tail(h, RING_RX, h->rx_tail);
}

/* One frame out of the ring, if a whole one is there. */
static bool driver_receives(struct honest *h)
{
	const u32 n = h->n[RING_RX];
	const union e1000_rx_desc *ring = (const union e1000_rx_desc *)(memory + RX_RING), *d;
	u32 i = h->rx_next, at = 0, len, status, tci;
	const struct expected *e = &h->to_arrive.e[h->to_arrive.first % MAX_WAITING];
	u8 bytes[16400];

	do {
		d = &ring[i];
		if (i == h->rx_tail || (h->page && i == nic_page(h->w)->rx_head))
			return false;
		status = h->ext ? d->ext.status : d->legacy.status;
		if (!(status & RX_DD)) {
			CHECK(!h->page, "before the head, without DD");
			return false;
		}
		i = (i + 1) % n;
	} while (!(status & RX_EOP));

	fifo_take(&h->to_arrive);
	for (;;) {
		const u8 *buf = memory + HONEST_RX + h->rx_next * h->bsize;

		d = &ring[h->rx_next];
		status = h->ext ? d->ext.status : d->legacy.status;
		len = h->ext ? d->ext.len : d->legacy.len;
		tci = h->ext ? d->ext.vlan : d->legacy.special;
		CHECK(len && len <= h->bsize && at + len <= sizeof(bytes));
		memcpy(bytes + at, buf, len);
		at += len;
		for (u32 b = len; b < h->bsize; b++)
			CHECK(buf[b] == FILL);
		h->rx_next = (h->rx_next + 1) % n;
		if (status & RX_EOP)
			break;
		CHECK(len == h->bsize);
	}
	const bool tagged = e->vlan && !h->vme;
	const u32 body = e->len + (tagged ? 4 : 0);

	CHECK(at == max(body, 60u) + (h->secrc ? 0 : 4), "%u bytes", at);
	CHECK(!(status & RX_VP) == !(e->vlan && h->vme) && (!(status & RX_VP) || tci == e->tci));
	for (u32 b = 0; b < at; b++) {
		u8 want = b < body ? byte_of(e->seed, b >= 16 && tagged ? b - 4 : b) : 0;

		if (tagged && b >= 12 && b < 16)
			want = b == 12 ? 0x81 : b == 13 ? 0 : b == 14 ? e->tci >> 8 : e->tci;
		CHECK(bytes[b] == want, "byte %u of %u", b, at);
	}
	h->received++;
	return true;
}

static void driver_cleans(struct honest *h)
{
	const u32 n = h->n[RING_TX];
	u32 head = h->page ? nic_page(h->w)->tx_head : rd(h->w, E1000_TX_RING + RING_HEAD);

	CHECK(head < n && (head + n - h->tx_clean) % n <= (h->tx_next + n - h->tx_clean) % n);
	h->tx_clean = head;
}

/* As the page's protocol has it, or as a handler of interrupts does. */
static void driver_sleeps(struct honest *h)
{
	struct rs_nic_page *p = nic_page(h->w);

	h->irq = false;
	if (h->page) {
		p->cause = 0;
		p->mask = ICR_RXT0 | ICR_TXQE | ICR_TXDW;
		driver_cleans(h);
		if (driver_receives(h) || p->cause) {
			p->mask = 0;
			return;
		}
	} else {
		rd(h->w, E1000_ICR);
		if (driver_receives(h))
			return;
		driver_cleans(h);
		kick(h, wr(h->w, E1000_IMS, ICR_RXT0 | ICR_TXQE));
	}
	h->driver_asleep = true;
}

static void driver_wakes(struct honest *h)
{
	h->driver_asleep = h->irq = false;
	if (h->page)
		nic_page(h->w)->mask = 0;
	else
		wr(h->w, E1000_IMC, ~0u);
}

static void driver_step(struct honest *h)
{
	if (h->driver_asleep) {
		if (!h->irq)
			return;
		driver_wakes(h);
	}
	switch (rnd_below(6)) {
	case 0:
	case 1: driver_sends(h); break;
	case 2: driver_posts(h, false); break;
	case 3: driver_receives(h); break;
	case 4: driver_cleans(h); break;
	default:
		if (rnd_below(3))
			break;
		driver_flushes(h);
		driver_posts(h, true);
		driver_sleeps(h);
	}
}

static int honest_copy(void *frame, u32 offset, u64 gpa, u32 n)
{
	struct honest *h = frame;
	const struct expected *e = &h->outside.e[h->outside.first % MAX_WAITING];

	CHECK(world_has(gpa, n) && offset + n <= e->len);
	honest_write(h->w, gpa, n);
	for (u32 i = 0; i < n; i++)
		memory[gpa + i] = byte_of(e->seed, offset + i);
	return 0;
}

static void outside_sends(struct honest *h)
{
	struct expected *e;

	if (h->outside.n + h->to_arrive.n >= MAX_WAITING / 2)
		return;
	e = fifo_add(&h->outside);
	e->seed = rnd();
	e->len = 14 + rnd_below(rnd() & 3 ? 120 : 1500);
	e->vlan = !rnd_below(4);
	e->tci = e->vlan ? rnd() & 0xffff : 0;
	h->kicked = true;
}

static void worker_step(struct honest *h)
{
	struct world *w = h->w;
	u32 what, n, total = 0;

	if (h->worker_asleep) {
		const u64 due = rs_e1000_throttled(w->dev);

		if (!h->kicked && !due)
			return;
		if (!h->kicked)
			w->now += due;
		h->worker_asleep = false;
		rs_e1000_awake(w->dev);
	}
	h->kicked = false;
	w->no_room = !rnd_below(8);
	n = rs_e1000_tx(w->dev, 1 + rnd_below(8), &what);
	CHECK(n <= 8);
	total += n;
	while (h->outside.n && rnd_below(8)) {
		const struct expected *e = &h->outside.e[h->outside.first % MAX_WAITING];
		int err = rs_e1000_rx(w->dev, e->len, e->vlan ? (int)e->tci : -1, false, honest_copy, h, &what);

		if (err == -ENOBUFS)
			break;
		CHECK(!err, "%d", err);
		*fifo_add(&h->to_arrive) = *e;
		fifo_take(&h->outside);
		total++;
	}
	kick(h, rs_e1000_publish(w->dev));
	/* the other side has room again: that wakes the worker, not the ring */
	if (w->no_room) {
		w->no_room = false;
		h->kicked = true;
		return;
	}
	if (total || rnd_below(3))
		h->kicked = true;
	else if (!rs_e1000_sleep(w->dev, h->outside.n))
		h->worker_asleep = true;
	else
		h->kicked = true;
	w->now += rnd_below(3000);
}

static void honest_begin(struct honest *h, struct world *w)
{
	memset(h, 0, sizeof(*h));
	world_init(w, memory);
	h->w = w;
	w->priv = h;
	h->page = rnd() & 1;
	h->ext = rnd() & 1;
	h->secrc = rnd() & 1;
	h->vme = rnd() & 1;
	h->n[RING_TX] = 8 * (1 + rnd_below(MAX_RING / 8));
	h->n[RING_RX] = 8 * (1 + rnd_below(MAX_RING / 8));
	h->tx_gpa = HONEST_TX;
	const u32 bsize = rnd_below(4);

	h->bsize = 2048 >> bsize;
	rs_e1000_set_link(w->dev, true);
	wr(w, E1000_TX_RING + RING_BAL, TX_RING);
	wr(w, E1000_TX_RING + RING_LEN, h->n[RING_TX] * DESC_SIZE);
	wr(w, E1000_RX_RING + RING_BAL, RX_RING);
	wr(w, E1000_RX_RING + RING_LEN, h->n[RING_RX] * DESC_SIZE);
	wr(w, E1000_CTRL, h->vme ? CTRL_VME : 0);
	wr(w, E1000_RFCTL, h->ext ? RFCTL_EXSTEN : 0);
	if (rnd() & 1)
		wr(w, E1000_ITR, rnd_below(100));
	if (!(rnd() & 3)) {
		wr(w, E1000_RX_RING + RING_DELAY, rnd_below(20));
		wr(w, E1000_RX_RING + RING_ABS_DELAY, rnd_below(40));
		wr(w, E1000_TX_RING + RING_DELAY, rnd_below(20));
	}
	wr(w, E1000_TCTL, TCTL_EN);
	wr(w, E1000_RCTL, RCTL_EN | RCTL_LPE | bsize << 16 | (h->secrc ? RCTL_SECRC : 0));
	if (h->page)
		page_on(w);
	w->on_write = honest_write;
	w->on_sent = honest_sent;
	h->kicked = true;
}

/* Only what the protocols promise: whoever sleeps is woken, or has nothing to do. */
static bool honest_at_rest(struct honest *h)
{
	return h->worker_asleep && !h->kicked && !rs_e1000_throttled(h->w->dev) && h->driver_asleep && !h->irq;
}

static void honest_drivers(u32 lives)
{
	u64 sent = 0, received = 0, slept = 0;

	while (lives--) {
		struct world w;
		struct honest h;
		u32 i;

		honest_begin(&h, &w);
		for (i = 0; i < 600; i++) {
			switch (rnd_below(3)) {
			case 0: driver_step(&h); break;
			case 1: worker_step(&h); break;
			default:
				if (!rnd_below(4))
					outside_sends(&h);
			}
			slept += h.worker_asleep && h.driver_asleep;
		}
		/* nothing new comes; the driver gives what it has, and both are left alone until they sleep */
		for (i = 0; i < 5000 && !honest_at_rest(&h); i++) {
			worker_step(&h);
			if (h.driver_asleep && h.irq)
				driver_wakes(&h);
			if (!h.driver_asleep) {
				driver_flushes(&h);
				while (driver_receives(&h))
					;
				driver_cleans(&h);
				driver_posts(&h, true);
				driver_sleeps(&h);
			}
		}
		CHECK(i < 5000, "they do not come to rest");
		CHECK(!h.outside.n && !h.to_arrive.n, "%u frames wait, %u lie in the ring", h.outside.n, h.to_arrive.n);
		CHECK(!h.to_send.n, "%u frames were not sent", h.to_send.n);
		CHECK(h.tx_tail == h.tx_next);
		CHECK(!h.page || !nic_page(&w)->stopped);
		CHECK(rs_e1000_stats(w.dev)->tx_packets == h.sent && rs_e1000_stats(w.dev)->rx_packets == h.received);
		CHECK(!rs_e1000_stats(w.dev)->tx_bad && !rs_e1000_stats(w.dev)->rx_bad);
		sent += h.sent;
		received += h.received;
		world_end(&w);
	}
	CHECK(sent && received && slept);
	PASS("honest drivers: %lu frames sent, %lu received", sent, received);
}

int main(int argc, char **argv)
{
	const char *more = getenv("RS_FUZZ");
	const u32 lives = more ? strtoul(more, NULL, 0) : 400;

	rnd_seed(argc > 1 ? strtoull(argv[1], NULL, 0) : 1);
	honest_drivers(lives);
	DONE();
}
