// SPDX-License-Identifier: MIT
/*
 * queue_test.c - rings and queue pages as no honest driver has them
 *
 * What must hold: the module takes no more than the one ring; what is described right before and after it
 * arrives; no memory is touched that no descriptor names; and after a reset the NIC works. That the
 * host survives is seen by the kernel's log, which vm/run reads.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "wire.h"

#define NOWHERE		0x1800000ul		/* between the arena and the registers */
#define EOP		(1u << 24)
#define RS		(1u << 27)
#define DEXT		(1u << 29)
#define DATA		(DEXT | 1u << 20)
#define LEN		100

static const uint8_t stranger[6] = { 0x02, 0xaa, 0xbb, 0xcc, 0xdd, 0xee };
static const uint8_t broadcast[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

struct tx_desc {
	uint64_t address;
	uint32_t command, status;
};

struct rx_desc {
	uint64_t address;
	uint16_t length, checksum;
	uint8_t status, errors;
	uint16_t special;
};

struct world {
	struct nic *n;
	int fd;
	uint8_t host[6];
	unsigned int seed;
};

/* Both rings and the page anew: after a reset, or, without one, so that Linux's end does not go down for a while. */
static void begin(struct world *w, bool reset)
{
	if (reset) {
		nic_write(w->n, REG_CTRL, CTRL_RST);
	} else {
		nic_write(w->n, RS_NIC_REG_PAGE_LOW, 0);
		nic_write(w->n, REG_TDBAL + 4, 0);
		nic_write(w->n, REG_RDBAL + 4, 0);
		nic_write(w->n, REG_TDT, 0);
		nic_write(w->n, REG_TDH, 0);
		nic_write(w->n, REG_RDT, 0);
		nic_write(w->n, REG_RDH, 0);
	}
	nic_setup(w->n, RCTL_BAM | RCTL_UPE | RCTL_SECRC);
	WAIT_FOR(nic_read(w->n, REG_STATUS) & STATUS_LU);
	wire_ready(w->n->name);
}

static struct world world_new(void)
{
	struct world w = { .seed = 1 };

	own_network();
	w.n = nic_new_with_registers();
	dev_up(w.n->name, true);
	dev_mac(w.n->name, w.host);
	w.fd = packet_socket(w.n->name);
	begin(&w, true);
	return w;
}

static void world_end(struct world *w)
{
	close(w->fd);
	nic_close(w->n);
}

static struct tx_desc *tx_desc(struct world *w, unsigned int i)
{
	return (struct tx_desc *)(w->n->vm->mem + NIC_TX_RING) + i % RING;
}

static struct rx_desc *rx_desc(struct world *w, unsigned int i)
{
	return (struct rx_desc *)(w->n->vm->mem + NIC_RX_RING) + i % RING;
}

/* The tails as they are to be, and a doorbell in any case. */
static void set_tails(struct world *w, uint32_t tx, uint32_t rx)
{
	__atomic_store_n(&w->n->page->tx_tail, tx, __ATOMIC_SEQ_CST);
	__atomic_store_n(&w->n->page->rx_tail, rx, __ATOMIC_SEQ_CST);
	EXPECT_EQ(nic_doorbell(w->n), 0);
}

/* An honest frame in each direction. */
static void works(struct world *w)
{
	uint8_t frame[2048];
	int len;

	wire_make(frame, LEN, ++w->seed, w->host, stranger);
	ASSERT(guest_send(w->n, frame, LEN));
	ASSERT_EQ(wire_receive(w->fd, frame, sizeof(frame)), LEN);
	ASSERT(wire_is(frame, LEN, w->seed));
	wire_make(frame, LEN, ++w->seed, broadcast, w->host);
	wire_send(w->fd, w->n->name, frame, LEN);
	len = guest_wait_recv(w->n, frame, sizeof(frame));
	ASSERT_EQ(len, LEN);
	ASSERT(wire_is(frame, LEN, w->seed));
}

static void works_again(struct world *w, bool reset)
{
	uint8_t frame[2048];

	begin(w, reset);
	while (wire_poll(w->fd, frame, sizeof(frame)))
		;
	/* what Linux has sent meanwhile may come yet; the frame that is looked for comes behind it */
	wire_make(frame, LEN, ++w->seed, broadcast, w->host);
	wire_send(w->fd, w->n->name, frame, LEN);
	while (guest_wait_recv(w->n, frame, sizeof(frame)) != LEN || !wire_is(frame, LEN, w->seed))
		;
	works(w);
}

/* --- to be sent ---------------------------------------------------------- */

TEST(descriptors_to_be_sent)
{
	static const struct {
		uint64_t address;
		uint32_t command;
	} bad[] = {
		{ NOWHERE, EOP | LEN },
		{ G_NIC_REGS, EOP | LEN },
		{ G_NIC_REGS + 0x5400, EOP | LEN },
		{ 1ull << 39, EOP | LEN },
		{ 1ull << 63, EOP | LEN },
		{ ~0ull, EOP | LEN },
		{ 0 - 50ull, EOP | LEN },
		/* over the end of the arena, and over both ends of the registers */
		{ G_ARENA - 50, EOP | LEN },
		{ G_ARENA - 1, EOP | LEN },
		{ G_NIC_REGS - 50, EOP | LEN },
		{ G_NIC_REGS + RS_NIC_REGS_SIZE - 50, EOP | LEN },
		/* no length; more than a frame has; more than there is */
		{ NIC_TX_BUFS, EOP },
		{ NIC_TX_BUFS, EOP | 0xffff },
		{ NIC_TX_BUFS, EOP | DATA | 0xfffff },
		{ 0, EOP | DATA | 0xfffff },
		{ NIC_TX_BUFS, EOP | DEXT | 15u << 20 | LEN },
	};
	struct world w = world_new();
	uint8_t frame[2048];
	unsigned int i, at = 0;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const uint64_t good = NIC_TX_BUFS + at * TX_BUF;

		/* a wrong one, one whose second half is wrong, a right one */
		*tx_desc(&w, at) = (struct tx_desc){ bad[i].address, bad[i].command | RS, 0 };
		*tx_desc(&w, at + 1) = (struct tx_desc){ good, (bad[i].command & 0x20f00000) | LEN, 0 };
		*tx_desc(&w, at + 2) = (struct tx_desc){ bad[i].address, bad[i].command | RS, 0 };
		*tx_desc(&w, at + 3) = (struct tx_desc){ good, EOP | RS | LEN, 0 };
		wire_make(w.n->vm->mem + good, LEN, ++w.seed, w.host, stranger);
		at += 4;
		set_tails(&w, at % RING, RING - 1);
		/* a second half of no bytes is none: then that frame is right, too */
		if (!(bad[i].command & 0xfffff)) {
			ASSERT_EQ(wire_receive(w.fd, frame, sizeof(frame)), LEN);
			ASSERT(wire_is(frame, LEN, w.seed));
		}
		ASSERT_EQ(wire_receive(w.fd, frame, sizeof(frame)), LEN);
		ASSERT(wire_is(frame, LEN, w.seed));
		WAIT_FOR(w.n->page->tx_head == at % RING);
		EXPECT_EQ(w.n->page->stopped, 0);
		EXPECT(tx_desc(&w, at - 4)->status & 1);
	}
	EXPECT_EQ(wire_poll(w.fd, frame, sizeof(frame)), 0);
	w.n->tx = at % RING;
	works(&w);
	world_end(&w);
}

/* Frames without an end, to the full of the ring, again and again; only contexts; nothing at all. */
TEST(loops_to_be_sent)
{
	struct world w = world_new();
	uint8_t frame[2048];
	unsigned int kind, i, at = 0;

	for (kind = 0; kind < 3; kind++) {
		for (i = 0; i < RING; i++)
			*tx_desc(&w, i) = (struct tx_desc){ NIC_TX_BUFS, kind == 0 ? LEN : kind == 1 ? DEXT : 0, 0 };
		for (i = 0; i < 20; i++) {
			at = (at + RING - 1) % RING;
			set_tails(&w, at, RING - 1);
			if (kind == 1)
				WAIT_FOR(w.n->page->tx_head == at);
		}
		EXPECT_EQ(w.n->page->stopped, 0);
		EXPECT_EQ(wire_poll(w.fd, frame, sizeof(frame)), 0);
	}
	works_again(&w, true);
	world_end(&w);
}

/* --- indices and rings --------------------------------------------------- */

TEST(tails_out_of_range)
{
	static const uint32_t tails[] = { RING, 0x10000, ~0u };
	struct world w = world_new();
	uint8_t frame[2048];
	unsigned int i;

	for (i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
		/* the other ring goes on, and the stopped one does not come back by itself */
		set_tails(&w, tails[i], RING - 1);
		WAIT_FOR(w.n->page->stopped == 1);
		set_tails(&w, 0, RING - 1);
		wire_make(frame, LEN, ++w.seed, broadcast, w.host);
		wire_send(w.fd, w.n->name, frame, LEN);
		EXPECT_EQ(guest_wait_recv(w.n, frame, sizeof(frame)), LEN);
		EXPECT_EQ(w.n->page->stopped, 1);
		works_again(&w, false);

		set_tails(&w, w.n->tx, tails[i]);
		/* the module looks at that tail when it needs it */
		WAIT_FOR((wire_make(frame, LEN, 0, broadcast, w.host), wire_send(w.fd, w.n->name, frame, LEN),
			  w.n->page->stopped == 2));
		wire_make(frame, LEN, ++w.seed, w.host, stranger);
		ASSERT(guest_send(w.n, frame, LEN));
		ASSERT_EQ(wire_receive(w.fd, frame, sizeof(frame)), LEN);
		ASSERT(wire_is(frame, LEN, w.seed));
		works_again(&w, false);
	}
	works_again(&w, true);
	world_end(&w);
}

TEST(rings_and_pages_nowhere)
{
	static const uint64_t places[] = { NOWHERE, G_NIC_REGS, 1ull << 39, 1ull << 63, 0 - 128ull, G_ARENA - 64, G_ARENA };
	struct world w = world_new();
	uint8_t frame[2048];
	unsigned int i;

	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		const uint64_t at = places[i] & ~15ull;

		nic_write(w.n, REG_TDBAL, at);
		nic_write(w.n, REG_TDBAL + 4, at >> 32);
		/* with the last place but one the first descriptors are in memory: nothing, then the end of it */
		set_tails(&w, RING - 1, RING - 1);
		WAIT_FOR(w.n->page->stopped & 1);
		nic_write(w.n, REG_RDBAL, at);
		nic_write(w.n, REG_RDBAL + 4, at >> 32);
		WAIT_FOR((wire_make(frame, LEN, 0, broadcast, w.host), wire_send(w.fd, w.n->name, frame, LEN),
			  w.n->page->stopped & 2));
		/* a page that is none is not taken */
		nic_write(w.n, RS_NIC_REG_PAGE_HIGH, at >> 32);
		nic_write(w.n, RS_NIC_REG_PAGE_LOW, (uint32_t)at | 1);
		EXPECT_EQ(nic_read(w.n, RS_NIC_REG_PAGE_LOW), 0);
		works_again(&w, false);
	}
	works_again(&w, true);
	world_end(&w);
}

/* --- to be received ------------------------------------------------------ */

TEST(descriptors_to_be_filled)
{
	static const uint64_t bad[] = { NOWHERE, G_NIC_REGS, 1ull << 39, 1ull << 63, ~0ull, 0 - 50ull, G_ARENA - 50, G_ARENA,
					G_NIC_REGS - 50, G_NIC_REGS + RS_NIC_REGS_SIZE - 50 };
	struct world w = world_new();
	uint8_t frame[2048];
	unsigned int i;

	nic_write(w.n, REG_RCTL, RCTL_EN | RCTL_BAM | RCTL_UPE | RCTL_SECRC | 2 << 16);	/* 512 bytes */
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct rx_desc *d = rx_desc(&w, i * 4);

		/* a frame of one buffer that is nowhere; one of three, the second nowhere; a right one */
		memset(d, 0, 4 * sizeof(*d));
		d[0].address = d[2].address = bad[i];
		d[1].address = NIC_RX_BUFS;
		d[3].address = NIC_RX_BUFS + 0x1000;
		memset(w.n->vm->mem + NIC_RX_BUFS, 0xee, 0x2000);
		wire_make(frame, 1200, ++w.seed, broadcast, w.host);
		wire_send(w.fd, w.n->name, frame, 300);
		wire_send(w.fd, w.n->name, frame, 1200);
		wire_make(frame, LEN, ++w.seed, broadcast, w.host);
		wire_send(w.fd, w.n->name, frame, LEN);
		WAIT_FOR(w.n->page->rx_head == (i + 1) * 4);
		EXPECT_EQ(d[0].status & 3, 3);
		EXPECT(d[0].errors & 0x80);
		EXPECT_EQ(d[1].status & 3, 1);
		EXPECT_EQ(d[2].status & 3, 3);
		EXPECT(d[2].errors & 0x80);
		EXPECT_EQ(d[3].status & 3, 3);
		EXPECT_EQ(d[3].errors, 0);
		EXPECT_EQ(d[3].length, LEN);
		EXPECT(wire_is(w.n->vm->mem + NIC_RX_BUFS + 0x1000, LEN, w.seed));
		EXPECT_EQ(w.n->vm->mem[NIC_RX_BUFS + 512], 0xee);
		EXPECT_EQ(w.n->vm->mem[NIC_RX_BUFS + 0x1000 + LEN], 0xee);
		EXPECT_EQ(w.n->page->stopped, 0);
	}
	works_again(&w, true);
	world_end(&w);
}

/* --- everything at once -------------------------------------------------- */

static uint64_t rnd_state;

static uint64_t rnd(void)
{
	rnd_state ^= rnd_state >> 12;
	rnd_state ^= rnd_state << 25;
	rnd_state ^= rnd_state >> 27;
	return rnd_state * 0x2545f4914f6cdd1dull;
}

struct flood {
	struct world *w;
	volatile bool stop;
	volatile unsigned long sent;
};

/* Linux sends all the time. */
static void *flood_main(void *arg)
{
	struct flood *f = arg;
	uint8_t frame[1514];
	int fd = packet_socket(f->w->n->name);

	while (!f->stop) {
		wire_make(frame, wire_len(f->sent), f->sent, broadcast, f->w->host);
		/* while the guest's receiver is off there is nobody to send to */
		if (send(fd, frame, wire_len(f->sent), MSG_DONTWAIT) < 0)
			sched_yield();
		f->sent++;
	}
	close(fd);
	return NULL;
}

static void on_alarm(int sig)
{
	tcpu_stop = 1;
}

/*
 * The guest, anew, does something for at most @ms while the device writes to wherever descriptors say, the guest's code and tables included.
 * Has it come to its end?
 */
static bool guest_tries(struct world *w, timer_t timer, long ms, enum g_fn fn, const uint64_t *args)
{
	struct itimerspec its = { .it_value = { 0, ms * 1000000 }, .it_interval = { 0, ms * 1000000 } };
	int got;

	tvm_refill(w->n->vm);
	*tvm_at(w->n->vm, G_PD + G_NIC_REGS / HUGE * 8) = G_NIC_REGS | 0x87;
	tcpu_start_args(w->n->cpu, fn, args);
	tcpu_stop = 0;
	SYS(timer_settime(timer, 0, &its, NULL));
	got = tcpu_run_raw(w->n->cpu);
	if (got < 0)
		ASSERT_EQ(errno, EINTR);
	its = (struct itimerspec){ 0 };
	SYS(timer_settime(timer, 0, &its, NULL));
	tcpu_stop = 0;
	return got == RS_EXIT_HYPERCALL && w->n->cpu->run->hypercall.nr == GHC_DONE;
}

/* The device leaves the guest's memory alone from here on, and the guest is whole. */
static void quiet(struct world *w, timer_t timer)
{
	static const uint32_t regs[] = { REG_RCTL, REG_TCTL, RS_NIC_REG_PAGE_LOW };
	unsigned int i;

	/* twice: the first time what is written may have been overwritten as well */
	for (i = 0; i < 6; i++)
		while (!guest_tries(w, timer, 60, G_HYPERCALL, (const uint64_t[6]){ RS_HC_NIC_WRITE, 0, regs[i % 3] }))
			;
	tvm_refill(w->n->vm);
	*tvm_at(w->n->vm, G_PD + G_NIC_REGS / HUGE * 8) = G_NIC_REGS | 0x87;
}

/* Rings that move while they run, and whatever else a guest can write, under load. */
TEST_FOR(rings_moved_while_running, 120)
{
	struct sigevent ev = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGALRM };
	struct sigaction sa = { .sa_handler = on_alarm };
	struct world w = world_new();
	const unsigned int rounds = on_tcg() ? test_rounds(60) : 8;
	struct flood flood = { .w = &w };
	const char *seed = getenv("SEED");
	pthread_t thread;
	timer_t timer;
	unsigned int i, k;

	rnd_state = (seed ? strtoull(seed, NULL, 0) : 1) * 0x9e3779b97f4a7c15ull + 1;
	ev._sigev_un._tid = gettid();
	sigaction(SIGALRM, &sa, NULL);
	SYS(timer_create(CLOCK_MONOTONIC, &ev, &timer));
	ASSERT_EQ(pthread_create(&thread, NULL, flood_main, &flood), 0);
	for (i = 0; i < rounds; i++) {
		/* a start that works, so that there is something to be broken */
		if (i % 4 == 0) {
			quiet(&w, timer);
			begin(&w, false);
		}
		for (k = 0; k < 40; k++) {
			*tx_desc(&w, rnd()) = (struct tx_desc){ rnd() & (rnd() & 1 ? 0xffffff : ~0ull),
								rnd() & 0xfff00fff, rnd() };
			rx_desc(&w, rnd())->address = rnd() & (rnd() & 1 ? 0x7fffff : ~0ull);
		}
		w.n->page->tx_tail = rnd() & 1 ? rnd() % RING : rnd();
		w.n->page->rx_tail = rnd() & 1 ? rnd() % RING : rnd();
		guest_tries(&w, timer, 60, G_HYPERCALL, (const uint64_t[6]){ RS_HC_NIC_DOORBELL });
		guest_tries(&w, timer, 60, G_NIC, (const uint64_t[6]){ GN_FUZZ, rnd(), 300 });
	}
	flood.stop = true;
	pthread_join(thread, NULL);
	EXPECT(flood.sent > rounds);
	quiet(&w, timer);
	works_again(&w, true);
	world_end(&w);
}
