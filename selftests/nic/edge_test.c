// SPDX-License-Identifier: MIT
/*
 * edge_test.c - from idle to busy, again and again: a wake-up that is lost is a round that never ends
 *
 * The guest (payload/e1000.c, edges_*) does one thing at a time and sleeps until the interrupt: it sends a frame,
 * or makes room for one while Linux sends. The worker has nothing to do in between and sleeps, too, as soon
 * as it may (nic_poll_us is 0 meanwhile), so nearly every round is an edge for both of them; pauses of
 * random length move the two against each other. A thread stands for the one of the host process that reads
 * the eventfd. What fails is that the count stands still.
 *
 * Every doorbell is an exit of the vCPU, and nothing else is: a round costs one at most.
 *
 * RS_EDGES=10000000 for the long run (then as "rs-nic-test -1 ...", which has no time limit).
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "wire.h"

#define EDGES		(G_SCRATCH + 0x8000)	/* struct g_edges; link.h has nothing there */
#define PATIENCE	60			/* seconds without a round */

struct waker {
	struct nic *n;
	struct g_edges *e;
	volatile bool stop;
	pthread_t thread;
};

static void *waker_main(void *arg)
{
	struct waker *w = arg;
	struct pollfd p = { .fd = w->n->event, .events = POLLIN };
	uint64_t count;

	while (!w->stop) {
		/* the timeout is for the end only */
		if (poll(&p, 1, 100) == 1 && read(p.fd, &count, sizeof(count)) == sizeof(count))
			__atomic_store_n(&w->e->woken, 1, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

/* Linux sends all the time; the interface's queue is what holds it up. */
static void *flood_main(void *arg)
{
	static const uint8_t broadcast[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	struct waker *w = arg;
	uint8_t frame[WIRE_MIN];
	const int one = 1;
	int fd = packet_socket(w->n->name);

	/* what is sent stays in the socket's account until it has left, so a send waits */
	SYS(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &one, sizeof(one)));
	wire_make(frame, sizeof(frame), 1, broadcast, broadcast);
	while (!w->stop)
		if (send(fd, frame, sizeof(frame), 0) < 0)
			sched_yield();
	close(fd);
	return NULL;
}

/* The parameter's value so far; -1: it cannot be set. */
static int set_poll(int us)
{
	static const char path[] = "/sys/module/ringside/parameters/nic_poll_us";
	FILE *f = fopen(path, "r+");
	int old;

	if (!f)
		return -1;
	ASSERT_EQ(fscanf(f, "%d", &old), 1);
	rewind(f);
	fprintf(f, "%d\n", us);
	fclose(f);
	return old;
}

/* Until the guest has done its rounds. */
static void watch(struct g_edges *e)
{
	const struct timespec t = { .tv_nsec = 10000000 };
	unsigned long last = 0, still = 0, at;

	while ((at = e->progress) < e->count) {
		nanosleep(&t, NULL);
		still = at == last ? still + 1 : 0;
		last = at;
		if (still > PATIENCE * 100) {
			FAIL("nobody is woken after %lu rounds: %lu doorbells, %lu sleeps", at, e->doorbells, e->sleeps);
			test_leave();
		}
	}
}

static void edges(enum g_nic op, unsigned long count)
{
	const char *more = getenv("RS_EDGES"), *seed = getenv("SEED");
	struct waker w = { 0 };
	pthread_t flood;
	struct runner *r;
	int poll;

	own_network();
	w.n = nic_new();
	w.e = (void *)(w.n->vm->mem + EDGES);
	dev_up(w.n->name, true);
	nic_setup(w.n, RCTL_BAM | RCTL_UPE | RCTL_SECRC);
	wire_ready(w.n->name);
	if (op == GN_EDGES_RX) {
		/* an empty ring: the head goes on from where it is */
		nic_write(w.n, RS_NIC_REG_PAGE_LOW, 0);
		w.n->page->rx_tail = nic_read(w.n, REG_RDH);
		nic_write(w.n, RS_NIC_REG_PAGE_LOW, NIC_PAGE | 1);
	}
	*w.e = (struct g_edges){
		.count = more ? strtoul(more, NULL, 0) : count, .seed = seed ? strtoul(seed, NULL, 0) : 1, .pause = 4000,
		.page = NIC_PAGE, .ring = op == GN_EDGES_TX ? NIC_TX_RING : NIC_RX_RING, .bufs = NIC_TX_BUFS, .entries = RING,
	};
	wire_make(w.n->vm->mem + NIC_TX_BUFS, WIRE_MIN, 1, (uint8_t[6]){ 2 }, (uint8_t[6]){ 2, 1 });
	poll = set_poll(0);
	ASSERT_EQ(pthread_create(&w.thread, NULL, waker_main, &w), 0);
	if (op == GN_EDGES_RX)
		ASSERT_EQ(pthread_create(&flood, NULL, flood_main, &w), 0);
	tcpu_start(w.n->cpu, G_NIC, op, EDGES);
	r = runner_start(w.n->cpu);
	watch(w.e);
	EXPECT_EQ(runner_join(r), w.e->count);
	w.stop = true;
	pthread_join(w.thread, NULL);
	if (op == GN_EDGES_RX)
		pthread_join(flood, NULL);
	if (poll >= 0)
		set_poll(poll);
	test_note("%lu rounds, %lu doorbells, %lu sleeps of the guest; %lu exits for %lu doorbells", w.e->count, w.e->doorbells,
		  w.e->sleeps, w.e->exits, w.e->counted);
	/* a page that Linux moves costs one, too */
	EXPECT(w.e->exits - w.e->counted <= 16);
	EXPECT(w.e->doorbells <= w.e->count && w.e->doorbells);
	EXPECT(w.e->sleeps);
	if (op == GN_EDGES_TX)
		EXPECT_EQ(dev_stat(w.n->name, "rx_packets"), w.e->count);
	nic_close(w.n);
}

TEST_FOR(edges_of_sending, 300)
{
	edges(GN_EDGES_TX, on_tcg() ? test_rounds(6000) : 200);
}

TEST_FOR(edges_of_receiving, 300)
{
	edges(GN_EDGES_RX, on_tcg() ? test_rounds(600) : 60);
}
