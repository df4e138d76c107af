// SPDX-License-Identifier: MIT
/*
 * net.c - see net.h: the NIC's events, loopback, the stack's clock
 *
 * Time is the TSC's, so that looking at it costs no exit; the scheduler's timer that drives net_tick() is set by
 * the host's clock each time, so that the two need not agree.
 *
 * A packet that finds the NIC's ring full either is refused, and its sender waits or is told, or, when it
 * has no sender that could (ARP, ICMP, TCP), waits in a queue of QUEUE_MAX packets. While anybody waits
 * for room, the NIC's mask has the causes of the transmit ring, and who waits is woken when half of
 * it is free: so a sender that is faster than the NIC sleeps once for many packets.
 */
#include "net.h"
#include "insock.h"
#include "../dev/e1000.h"
#include "../host/host.h"
#include "../lib/string.h"
#include "../mm/page_alloc.h"
#include "../proc/sched.h"

#define QUEUE_MAX	1024u
#define LOOP_MAX	1024u
#define BUDGET		256u	/* packets between two looks at everything else */
#define ROUND		(4 * BUDGET)	/* from the NIC before somebody may run */
#define MANY		16u	/* in one go: polling is worth it */
#define FINISH_MS	3000u	/* how long the end waits for connections to end */

struct net_if net_if;
struct net_stats net_stats;
struct wait_list net_room_waiters;

static struct e1000 nic;
static bool have_nic;
static struct list queue, loop;	/* struct nbuf by link */
static u32 nqueue, nloop;
static struct timer tick_timer;
static u32 since_tick;		/* packets since the last tick of the scheduler */

/* --- time ------------------------------------------------------------------------------------- */

u64 net_now(void)
{
	return tsc_to_us(rdtsc()) / 1000;
}

static bool tick_needed(void)
{
	return tcp_busy() || arp_busy() || ipv4_busy();
}

static void start_tick(void)
{
	timer_start(&tick_timer, clock_monotonic() + NET_TICK_MS * 1000000ull);
}

static void net_tick(struct timer *t)
{
	(void)t;
	tcp_tick();
	arp_tick();
	ipv4_tick();
	net_poll();
	if (tick_needed() && !timer_running(&tick_timer))
		start_tick();
}

void net_tick_wanted(void)
{
	if (timer_running(&tick_timer) || !tick_timer.fn)
		return;
	start_tick();
	sched_timers_changed();
}

/* --- sending ---------------------------------------------------------------------------------- */

static void flush_queue(void)
{
	while (nqueue) {
		struct nbuf *n = list_first(&queue, struct nbuf, link);

		if (e1000_send(&nic, n))
			return;
		list_del(&n->link);
		nqueue--;
	}
}

int net_transmit(struct nbuf *n, bool wait)
{
	if (likely(have_nic && !nqueue && !e1000_send(&nic, n)))
		return 0;
	if (have_nic && wait && nqueue < QUEUE_MAX) {
		list_add_tail(&queue, &n->link);
		nqueue++;
		return 0;
	}
	net_stats.queue_full++;
	nbuf_free(n);
	return -ENOBUFS;
}

bool net_has_room(u32 buffers)
{
	return have_nic && !nqueue && e1000_room(&nic) > buffers;
}

bool net_can_send(void)
{
	return !have_nic || net_has_room(4);
}

int net_loop(struct nbuf *n)
{
	if (nloop == LOOP_MAX) {
		net_stats.loop_full++;
		nbuf_free(n);
		return -ENOBUFS;
	}
	list_add_tail(&loop, &n->link);
	nloop++;
	return 0;
}

static bool somebody_waits(void)
{
	return nqueue || !list_empty(&net_room_waiters.entries);
}

static void look_for_room(void)
{
	if (likely(!somebody_waits()))
		return;
	if (e1000_room(&nic) < E1000_TX_RING / 2)
		return;
	flush_queue();
	if (!nqueue)
		wait_wake(&net_room_waiters);
}

void net_unreachable(u32 addr)
{
	udp_no_answer(addr);
	tcp_no_answer(addr);
}

/* --- receiving -------------------------------------------------------------------------------- */

static bool inside;

u32 net_poll(void)
{
	u32 total = 0, n;

	/* From the inside there is nothing to do that the outer one does not. */
	if (inside)
		return 0;
	if (likely(!nloop && !(have_nic && (e1000_pending(&nic) || somebody_waits())))) {
		sock_flush();
		return 0;
	}
	inside = true;
	do {
		struct nbuf *p;

		for (n = 0; have_nic && n < BUDGET && (p = e1000_receive(&nic)); n++)
			ether_input(p);
		if (n)
			e1000_refilled(&nic);
		for (; nloop && n < 2 * BUDGET; n++) {
			p = list_first(&loop, struct nbuf, link);
			list_del(&p->link);
			nloop--;
			ipv4_input(p);
		}
		if (have_nic)
			look_for_room();
		total += n;
	} while (nloop || (n >= BUDGET && total < ROUND));
	inside = false;
	since_tick += total;
	sock_flush();
	return total;
}

/* --- polling and sleeping --------------------------------------------------------------------- */

static u32 wanted_causes(void)
{
	return E1000_RX | (somebody_waits() ? E1000_TX : 0);
}

/*
 * A flood. Each packet that wakes a sleeping CPU costs an exit. When much comes and little goes out, so that
 * nobody waits for an answer of ours, an idle CPU sleeps until the ring is half full, or for as long
 * as BATCH packets have taken lately. What counts as much is measured by the CPU's own speed: a packet
 * in less than FLOOD_TSC ticks. It is looked at every WINDOW packets, or, when these take longer, every
 * WINDOW_TSC ticks.
 *
 * Whoever runs then goes on taking what comes, and is not signalled either; should he do something else
 * instead, a timer sets the mask, after LATE times as long.
 */
#define LATE		4u
#define BATCH		320u
#define FLOOD_TSC	16000u
#define WINDOW		256u
#define WINDOW_TSC	20000000u

static struct {
	u64 tsc, rx, tx;
	u64 sleep_ns;	/* 0: no flood */
} window;

static struct timer late_timer;

static void late(struct timer *t)
{
	(void)t;
	e1000_mask(&nic, wanted_causes());
	net_poll();
}

/* The host's clock, about: it is asked once a second. */
static u64 about_now(void)
{
	static u64 asked_ns, asked_tsc;
	u64 us = tsc_to_us(rdtsc() - asked_tsc);

	if (!asked_ns || us > 1000000) {
		asked_ns = clock_monotonic();
		asked_tsc = rdtsc();
		us = 0;
	}
	return asked_ns + us * 1000;
}

static void measure(void)
{
	u64 now = rdtsc(), ticks = now - window.tsc;
	u64 rx = nic.stats.rx_packets - window.rx, tx = nic.stats.tx_packets - window.tx;

	if (rx < WINDOW && ticks < WINDOW_TSC)
		return;
	window.sleep_ns = 0;
	if (rx >= WINDOW && rx >= 4 * tx && ticks / rx <= FLOOD_TSC)
		window.sleep_ns = 1000 + tsc_to_us(ticks / rx * BATCH) * 1000;
	window.tsc = now;
	window.rx = nic.stats.rx_packets;
	window.tx = nic.stats.tx_packets;
}

/* Sets the mask to @causes when nothing is there; true: nothing was. */
static bool rest_with(u32 causes)
{
	if (net_poll())
		return false;
	e1000_mask(&nic, causes);
	/* Who waits for room stays in the list until it has run, so this is no reason to go on. */
	look_for_room();
	if (e1000_pending(&nic) || e1000_cause(&nic)) {
		net_poll();
		return false;
	}
	sched_set_polling(false);
	return true;
}

static bool rest(void)
{
	return rest_with(wanted_causes());
}

/* A CPU is about to sleep: for how long it may; 0: there was something to do. */
static u64 before_sleep(bool limited)
{
	measure();
	timer_stop(&late_timer);
	if (likely(!window.sleep_ns || !limited))
		return rest() ? NO_DEADLINE : 0;
	if (rest_with(wanted_causes() & ~E1000_RXT0))
		return window.sleep_ns;
	timer_start(&late_timer, about_now() + LATE * window.sleep_ns);
	return 0;
}

#define TRIES	4	/* then it is so much that polling is right */

static void settle(void)
{
	u32 i;

	for (i = 0; i < TRIES; i++)
		if (rest())
			return;
	e1000_mask(&nic, 0);
	sched_set_polling(true);
}

/* The NIC's interrupt. */
static void event(void)
{
	u32 n;

	e1000_mask(&nic, 0);
	measure();
	n = net_poll();
	if (n >= MANY) {
		since_tick = n;
		sched_set_polling(true);
		return;
	}
	settle();
}

/* Some program has run for a tick, with the mask off. */
static void tick(void)
{
	net_poll();
	if (since_tick < MANY)
		settle();
	since_tick = 0;
}

void net_set_mask(void)
{
	if (!have_nic)
		return;
	/* Causes that are taken here are looked at here; later ones signal. */
	e1000_mask(&nic, wanted_causes());
	net_poll();
}

static const struct sched_nic sched_nic = { .event = event, .tick = tick, .sleep = before_sleep };

/* --- beginning and end ------------------------------------------------------------------------ */

bool net_init(void)
{
	const struct rs_boot_net *b = &rs_boot->net;

	list_init(&queue);
	list_init(&loop);
	wait_list_init(&net_room_waiters);
	timer_init(&tick_timer, net_tick);
	timer_init(&late_timer, late);
	nbuf_limit = (u32)min((u64)8192, pages_total() / 4);
	tcp_setup();
	if (e1000_init(&nic, 0))
		return false;
	have_nic = true;
	net_if = (struct net_if){ .up = true, .address = b->address, .netmask = b->netmask,
				  .gateway = b->gateway,
				  .mtu = max(68u, min((u32)b->mtu, 9000u)) };
	memcpy(net_if.mac, nic.mac, 6);
	sched_set_nic(&sched_nic);
	settle();
	return true;
}

/* Sleeps in the host; what it announces is looked at. */
static void wait_a_little(u64 ms)
{
	sched_timers_changed();
	host_call1(RS_CALL_IDLE, ms * 1000000);
	host_events();
}

static bool all_sent(void)
{
	return !have_nic || (!nqueue && e1000_sent_all(&nic));
}

void net_finish(void)
{
	u64 end, now;

	if (!tick_timer.fn)
		return;
	for (end = (now = net_now()) + FINISH_MS; now < end; now = net_now()) {
		net_poll();
		if (all_sent() && !tcp_unfinished() && !arp_busy())
			break;
		if (have_nic)
			e1000_mask(&nic, E1000_RX | E1000_TX);
		if (have_nic && e1000_pending(&nic))
			continue;
		wait_a_little(20);
	}
	sched_set_nic(NULL);
	timer_stop(&tick_timer);
	timer_stop(&late_timer);
	tcp_give_up_all();
	arp_reset();
	ipv4_reset();
	while (nqueue--) {
		struct nbuf *n = list_first(&queue, struct nbuf, link);

		list_del(&n->link);
		nbuf_free(n);
	}
	nqueue = 0;
	net_poll();
	e1000_free(&nic);
	have_nic = false;
	net_if.up = false;
	tick_timer.fn = NULL;
	nbuf_drop_spare();
}
