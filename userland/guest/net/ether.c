// SPDX-License-Identifier: MIT
/*
 * ether.c - Ethernet frames, and who has which address (ARP, RFC 826)
 *
 * The table has ENTRIES places; a new address takes the place of the one that has not been used for longest.
 * An entry is
 *
 *	ASKED	we have asked for it; packets wait, PENDING at most: then a sender who can be told is told, and
 *		for TCP, which sends again, the oldest is dropped for the new one
 *	KNOWN	the address holds for VALID_MS after it was last confirmed
 *	OLD	it is used, but asked for again; without an answer to TRIES questions it is forgotten
 *
 * A question is repeated every second. When nobody answers, what waits is dropped, and
 * net_unreachable() tells the sockets. What others say is believed only about addresses of our own network
 * that are not ours: of those in the table, and of whoever asks for us.
 */
#include "net.h"
#include "../lib/string.h"

#define ENTRIES		64u
#define PENDING		256u
#define TRIES		3u
#define RETRY_MS	1000u
#define VALID_MS	60000u

enum state { FREE, ASKED, KNOWN, OLD };

struct entry {
	enum state state;
	u32 ip;
	u8 mac[6];
	u8 tries;
	u16 npending;
	u64 asked, confirmed, used;	/* net_now() */
	struct list pending;
};

static struct entry table[ENTRIES];
static struct entry *last;	/* found last */
static u32 busy;		/* entries that are ASKED or OLD */
static const u8 everybody[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

static void set_state(struct entry *e, enum state s)
{
	busy -= e->state == ASKED || e->state == OLD;
	busy += s == ASKED || s == OLD;
	e->state = s;
}

static struct entry *find(u32 ip)
{
	u32 i;

	if (likely(last && last->ip == ip && last->state != FREE))
		return last;
	for (i = 0; i < ENTRIES; i++)
		if (table[i].state != FREE && table[i].ip == ip)
			return last = &table[i];
	return NULL;
}

static void forget(struct entry *e)
{
	while (e->npending) {
		struct nbuf *n = list_first(&e->pending, struct nbuf, link);

		list_del(&n->link);
		e->npending--;
		nbuf_free(n);
	}
	set_state(e, FREE);
}

static struct entry *add(u32 ip)
{
	struct entry *e = &table[0];
	u32 i;

	for (i = 0; i < ENTRIES && e->state != FREE; i++)
		if (table[i].state == FREE || table[i].used < e->used)
			e = &table[i];
	if (e->state != FREE)
		forget(e);
	*e = (struct entry){ .ip = ip, .used = net_now() };
	list_init(&e->pending);
	return e;
}

static int frame(struct nbuf *n, const u8 dst[6], u16 type, bool wait)
{
	struct eth_hdr *h = (struct eth_hdr *)nbuf_push(n, sizeof(*h));

	memcpy(h->dst, dst, 6);
	memcpy(h->src, net_if.mac, 6);
	h->type = be16(type);
	return net_transmit(n, wait);
}

/* --- ARP -------------------------------------------------------------------------------------- */

static void send_arp(u16 op, const u8 dst[6], const u8 target[6], u32 ip)
{
	struct nbuf *n = nbuf_chain(sizeof(struct arp_pkt));
	struct arp_pkt *a;

	if (!n)
		return;
	a = (struct arp_pkt *)n->data;
	*a = (struct arp_pkt){ .hw = be16(1), .proto = be16(ETH_IPV4), .hw_len = 6, .proto_len = 4,
			       .op = be16(op), .src_ip = net_if.address, .dst_ip = ip };
	memcpy(a->src_mac, net_if.mac, 6);
	memcpy(a->dst_mac, target, 6);
	frame(n, dst, ETH_ARP, true);
}

static void ask(struct entry *e)
{
	static const u8 nobody[6];

	e->asked = net_now();
	e->tries++;
	send_arp(1, e->state == OLD ? e->mac : everybody, nobody, e->ip);
	net_tick_wanted();
}

static void confirm(struct entry *e, const u8 mac[6])
{
	memcpy(e->mac, mac, 6);
	set_state(e, KNOWN);
	e->confirmed = net_now();
	e->tries = 0;
	while (e->npending) {
		struct nbuf *n = list_first(&e->pending, struct nbuf, link);

		list_del(&n->link);
		e->npending--;
		frame(n, e->mac, ETH_IPV4, true);
	}
}

static bool usable_mac(const u8 mac[6])
{
	static const u8 zero[6];

	return !(mac[0] & 1) && memcmp(mac, zero, 6) && memcmp(mac, net_if.mac, 6);
}

static void arp_input(struct nbuf *n)
{
	struct arp_pkt a;
	struct entry *e;

	if (n->len < sizeof(a))
		return;
	memcpy(&a, n->data, sizeof(a));
	if (a.hw != be16(1) || a.proto != be16(ETH_IPV4) || a.hw_len != 6 || a.proto_len != 4 ||
	    !usable_mac(a.src_mac))
		return;
	if ((a.src_ip ^ net_if.address) & net_if.netmask || ipv4_is_local(a.src_ip) ||
	    ipv4_is_broadcast(a.src_ip)) {
		/* One who has no address yet asks whether ours is taken: it is. */
		if (!a.src_ip && a.op == be16(1) && a.dst_ip == net_if.address)
			send_arp(2, a.src_mac, a.src_mac, 0);
		return;
	}
	e = find(a.src_ip);
	if (a.dst_ip == net_if.address) {
		if (!e)
			e = add(a.src_ip);
		confirm(e, a.src_mac);
		if (a.op == be16(1))
			send_arp(2, a.src_mac, a.src_mac, a.src_ip);
	} else if (e) {
		confirm(e, a.src_mac);
	}
}

void arp_tick(void)
{
	u64 now = net_now();
	u32 i, ip;

	for (i = 0; i < ENTRIES; i++) {
		struct entry *e = &table[i];

		if ((e->state != ASKED && e->state != OLD) || now - e->asked < RETRY_MS)
			continue;
		if (e->tries < TRIES) {
			ask(e);
			continue;
		}
		ip = e->ip;
		net_stats.arp_failed++;
		forget(e);
		net_unreachable(ip);
	}
}

bool arp_busy(void)
{
	return busy;
}

void arp_reset(void)
{
	u32 i;

	for (i = 0; i < ENTRIES; i++)
		if (table[i].state != FREE)
			forget(&table[i]);
	last = NULL;
}

/* --- frames ----------------------------------------------------------------------------------- */

static int wait_for_answer(struct entry *e, struct nbuf *n, bool wait)
{
	if (e->npending == PENDING && !wait) {
		net_stats.queue_full++;
		nbuf_free(n);
		return -ENOBUFS;
	}
	if (e->npending == PENDING) {
		struct nbuf *old = list_first(&e->pending, struct nbuf, link);

		list_del(&old->link);
		nbuf_free(old);
		e->npending--;
		net_stats.queue_full++;
	}
	list_add_tail(&e->pending, &n->link);
	e->npending++;
	return 0;
}

int ether_output(struct nbuf *n, u32 next_hop, bool wait)
{
	struct entry *e;
	u64 now;

	if (ipv4_is_broadcast(next_hop))
		return frame(n, everybody, ETH_IPV4, wait);
	if (ipv4_is_multicast(next_hop)) {
		u8 group[6] = { 1, 0, 0x5e, next_hop >> 8 & 0x7f, next_hop >> 16 & 0xff,
				next_hop >> 24 };

		return frame(n, group, ETH_IPV4, wait);
	}
	now = net_now();
	e = find(next_hop);
	if (unlikely(!e)) {
		e = add(next_hop);
		set_state(e, ASKED);
		wait_for_answer(e, n, wait);
		ask(e);
		return 0;
	}
	e->used = now;
	if (unlikely(e->state == ASKED))
		return wait_for_answer(e, n, wait);
	if (unlikely(e->state == KNOWN && now - e->confirmed > VALID_MS)) {
		set_state(e, OLD);
		ask(e);
	}
	return frame(n, e->mac, ETH_IPV4, wait);
}

void ether_input(struct nbuf *n)
{
	const struct eth_hdr *h = (const struct eth_hdr *)n->data;

	if (n->len < sizeof(*h) || !net_if.up)
		goto drop;
	/* The NIC has filtered by address; a frame of our own that comes back is no news. */
	if (!memcmp(h->src, net_if.mac, 6))
		goto drop;
	switch (be16(h->type)) {
	case ETH_IPV4:
		nbuf_pull(n, sizeof(*h));
		ipv4_input(n);
		return;
	case ETH_ARP:
		nbuf_pull(n, sizeof(*h));
		arp_input(n);
		break;
	}
drop:
	nbuf_free(n);
}
