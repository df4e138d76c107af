// SPDX-License-Identifier: MIT
/*
 * ipv4.c - IPv4 (RFC 791, RFC 1122)
 *
 * Sent datagrams that are longer than the interface takes are cut into fragments, unless they must not be.
 * Received fragments are put together, within bounds: REASS datagrams at once, PIECES fragments and 64 KiB
 * each, REASS_MS to be complete. A fragment that overlaps what is there ends the datagram: honest
 * senders make none, and that they are allowed has only ever been of use to others (RFC 5722
 * says so for IPv6). The oldest unfinished one gives way to a new one. All that is dropped is counted.
 *
 * Options of a header are checked for their length and otherwise not looked at; source routes are
 * refused. Nothing is forwarded.
 *
 * Reading: pieces of a datagram that is put together stay where they are, in one chain, so only the
 * first buffer is known to hold a whole transport header; ipv4_input() makes sure of that.
 */
#include "net.h"
#include "../lib/string.h"
#include "../lib/list.h"

#define REASS		8u
#define PIECES		64u
#define REASS_MS	15000u
#define IP_MAX		65535u
#define HEAD_MAX	60u	/* bytes of the transport's header that lie in the first buffer */

static u16 next_id;

/* --- addresses -------------------------------------------------------------------------------- */

bool ipv4_is_local(u32 addr)
{
	return (net_if.address && addr == net_if.address) || (addr & 0xff) == LOOPBACK_NET;
}

bool ipv4_is_broadcast(u32 addr)
{
	return addr == 0xffffffff ||
	       (net_if.up && addr == (net_if.address | ~net_if.netmask) &&
		~be32(net_if.netmask) > 1);
}

static bool on_link(u32 dst)
{
	return !((dst ^ net_if.address) & net_if.netmask) || ipv4_is_broadcast(dst) ||
	       ipv4_is_multicast(dst);
}

int ipv4_route(u32 dst, u32 *src, u32 *mtu)
{
	if (ipv4_is_local(dst)) {
		*src = dst;
		*mtu = LOOPBACK_MTU;
		return 0;
	}
	if (!net_if.up || !dst || (!on_link(dst) && !net_if.gateway))
		return -ENETUNREACH;
	*src = net_if.address;
	*mtu = net_if.mtu;
	return 0;
}

u32 ipv4_next_hop(u32 dst)
{
	if (ipv4_is_local(dst) || !net_if.up)
		return 0;
	return on_link(dst) ? dst : net_if.gateway;
}

/* --- sending ---------------------------------------------------------------------------------- */

static int hand_down(struct nbuf *n, const struct ipv4_send *s)
{
	if (ipv4_is_local(s->dst)) {
		n->flags = NBUF_SUM_OK | NBUF_LOOPED;
		return net_loop(n);
	}
	return ether_output(n, ipv4_next_hop(s->dst), s->wait);
}

static void put_header(struct nbuf *n, const struct ipv4_send *s, u16 id, u16 frag)
{
	struct ipv4_hdr *h = (struct ipv4_hdr *)nbuf_push(n, sizeof(*h));

	*h = (struct ipv4_hdr){ .version = 0x45, .tos = s->tos, .len = be16((u16)n->total), .id = id,
			      .frag = be16(frag), .ttl = s->ttl, .proto = s->proto, .src = s->src,
			      .dst = s->dst };
	h->sum = sum_fold(sum_add(0, h, sizeof(*h)));
}

/* The packet @n has its transport header and checksum; fragments are copies of its parts. */
static int output_fragments(struct nbuf *n, const struct ipv4_send *s, u32 mtu)
{
	u32 step = (mtu - sizeof(struct ipv4_hdr)) & ~7u, at, left;
	u16 id = be16(next_id++);
	u32 buffers = n->total / step + 1 + n->total / NBUF_SIZE * 2;
	int err = 0;

	/* All of them or none. */
	if (!s->wait && !ipv4_is_local(s->dst) && !net_has_room(buffers)) {
		nbuf_free(n);
		return -ENOBUFS;
	}
	for (at = 0; at < n->total && !err; at += step) {
		struct nbuf *f, *p;

		left = min(step, n->total - at);
		f = nbuf_chain(left);
		if (!f) {
			err = -ENOBUFS;
			break;
		}
		left = at;
		for (p = f; p; p = p->next) {
			nbuf_copy_out(n, left, p->data, p->len);
			left += p->len;
		}
		put_header(f, s, id, (u16)(at / 8 | (left < n->total ? IP_MF : 0)));
		err = hand_down(f, s);
	}
	nbuf_free(n);
	return err;
}

int ipv4_output(struct nbuf *n, const struct ipv4_send *s)
{
	u32 src, mtu, total = n->total + sizeof(struct ipv4_hdr);
	int err = ipv4_route(s->dst, &src, &mtu);

	if (unlikely(err)) {
		net_stats.no_route++;
		nbuf_free(n);
		return err;
	}
	if (unlikely(total > mtu)) {
		if (total > IP_MAX || s->df) {
			nbuf_free(n);
			return -EMSGSIZE;
		}
		return output_fragments(n, s, mtu);
	}
	put_header(n, s, s->df ? 0 : be16(next_id++), s->df ? IP_DF : 0);
	return hand_down(n, s);
}

/* --- putting together ------------------------------------------------------------------------- */

struct reass {
	bool used;
	u32 src, dst;
	u16 id;
	u8 proto;
	u32 have, total;	/* bytes; total 0: the last one has not come */
	u32 npieces;
	u64 since;
	struct list pieces;	/* struct nbuf by link, in order; sport is their offset / 8 */
	struct ipv4_hdr first;	/* of the piece at 0 */
};

static struct reass reass[REASS];
static u32 reass_used;

static void reass_end(struct reass *r)
{
	while (!list_empty(&r->pieces)) {
		struct nbuf *n = list_first(&r->pieces, struct nbuf, link);

		list_del(&n->link);
		nbuf_free(n);
		net_stats.ip_frag_dropped++;
	}
	r->used = false;
	reass_used--;
}

static struct reass *reass_of(const struct ipv4_hdr *h)
{
	struct reass *oldest = &reass[0], *r;

	for (r = reass; r < reass + REASS; r++) {
		if (r->used && r->src == h->src && r->dst == h->dst && r->id == h->id &&
		    r->proto == h->proto)
			return r;
		if (oldest->used && (!r->used || r->since < oldest->since))
			oldest = r;
	}
	r = oldest;
	if (r->used)
		reass_end(r);
	*r = (struct reass){ .used = true, .src = h->src, .dst = h->dst, .id = h->id,
			     .proto = h->proto, .since = net_now() };
	list_init(&r->pieces);
	reass_used++;
	net_tick_wanted();
	return r;
}

static u32 offset_of(const struct nbuf *n)
{
	return n->sport * 8u;
}

/* @n, without its header, into its place; false: it does not fit to what is there */
static bool insert(struct reass *r, struct nbuf *n)
{
	u32 from = offset_of(n), to = from + n->total;
	struct list *at;

	for (at = r->pieces.prev; at != &r->pieces; at = at->prev) {
		struct nbuf *p = list_entry(at, struct nbuf, link);

		if (offset_of(p) + p->total <= from)
			break;
		if (offset_of(p) < to)
			return false;
	}
	list_insert(at, &n->link);
	r->npieces++;
	r->have += n->total;
	return true;
}

static struct nbuf *joined(struct reass *r)
{
	struct nbuf *first = NULL, **end = &first, *n;

	while (!list_empty(&r->pieces)) {
		n = list_first(&r->pieces, struct nbuf, link);
		list_del(&n->link);
		*end = n;
		while (*end)
			end = &(*end)->next;
	}
	first->total = r->total;
	first->flags = 0;
	reass_end(r);
	net_stats.ip_reassembled++;
	return first;
}

/* A fragment, from its data on. The whole packet with *@h its header, or NULL. */
static struct nbuf *fragment(struct nbuf *n, struct ipv4_hdr *h)
{
	u16 frag = be16(h->frag);
	struct reass *r = reass_of(h);
	u32 end;

	net_stats.ip_fragments++;
	n->sport = frag & IP_OFFSET;
	end = offset_of(n) + n->total;
	if (!n->total || (frag & IP_MF && n->total % 8) || end > IP_MAX - sizeof(*h) ||
	    r->npieces == PIECES || (r->total && end > r->total))
		goto bad;
	if (!(frag & IP_MF)) {
		struct nbuf *back = list_empty(&r->pieces) ? NULL :
				    list_entry(r->pieces.prev, struct nbuf, link);

		if (r->total || (back && offset_of(back) + back->total > end))
			goto bad;
		r->total = end;
	}
	if (!n->sport)
		r->first = *h;
	if (!insert(r, n))
		goto bad;
	if (r->have != r->total)
		return NULL;
	*h = r->first;
	return joined(r);
bad:
	nbuf_free(n);
	net_stats.ip_frag_dropped++;
	reass_end(r);
	return NULL;
}

void ipv4_tick(void)
{
	u64 now = net_now();
	struct reass *r;

	for (r = reass; r < reass + REASS; r++)
		if (r->used && now - r->since > REASS_MS)
			reass_end(r);
}

bool ipv4_busy(void)
{
	return reass_used;
}

void ipv4_reset(void)
{
	struct reass *r;

	for (r = reass; r < reass + REASS; r++)
		if (r->used)
			reass_end(r);
}

/* --- receiving -------------------------------------------------------------------------------- */

/* The first buffer gets at least @want bytes, or all there are; false without memory. */
static bool gather_head(struct nbuf **pn, u32 want)
{
	struct nbuf *n = *pn, *f;

	want = min(want, n->total);
	if (likely(n->len >= want))
		return true;
	f = nbuf_alloc();
	if (!f)
		return false;
	nbuf_copy_out(n, 0, f->data, want);
	f->len = want;
	f->total = n->total;
	f->flags = n->flags;
	while (want >= n->len) {
		struct nbuf *next = n->next;

		want -= n->len;
		n->next = NULL;
		nbuf_free(n);
		n = next;
		if (!n)
			break;
	}
	if (n) {
		n->data += want;
		n->len -= want;
	}
	f->next = n;
	*pn = f;
	return true;
}

/* Of the options in @len bytes: none that says by which way the packet is to go. */
static bool options_ok(const u8 *o, u32 len)
{
	u32 i = 0;

	while (i < len && o[i]) {
		if (o[i] == 1) {
			i++;
			continue;
		}
		if (i + 1 >= len || o[i + 1] < 2 || o[i + 1] > len - i)
			return false;
		if (o[i] == 131 || o[i] == 137)
			return false;
		i += o[i + 1];
	}
	return true;
}

static bool header_ok(const struct nbuf *n, struct ipv4_hdr *h, u32 *hdr_len)
{
	if (n->len < sizeof(*h))
		return false;
	memcpy(h, n->data, sizeof(*h));
	*hdr_len = (h->version & 15) * 4u;
	if (h->version >> 4 != 4 || *hdr_len < sizeof(*h) || *hdr_len > n->len ||
	    be16(h->len) < *hdr_len || be16(h->len) > n->total)
		return false;
	if (sum_fold(sum_add(0, n->data, *hdr_len)))
		return false;
	return *hdr_len == sizeof(*h) ||
	       options_ok(n->data + sizeof(*h), *hdr_len - sizeof(*h));
}

void ipv4_input(struct nbuf *n)
{
	struct ipv4_hdr h;
	u32 hdr_len;

	if (!header_ok(n, &h, &hdr_len)) {
		net_stats.ip_bad++;
		goto drop;
	}
	if (unlikely(be16(h.len) < n->total))
		nbuf_trim(n, be16(h.len));	/* what Ethernet has filled it up with */
	if (!ipv4_is_local(h.dst) && !ipv4_is_broadcast(h.dst)) {
		net_stats.ip_not_ours++;
		goto drop;
	}
	/* Nobody else has our addresses, and nobody sends from all of them. */
	if (ipv4_is_broadcast(h.src) || ipv4_is_multicast(h.src) ||
	    (!(n->flags & NBUF_LOOPED) &&
	     (ipv4_is_local(h.src) || (h.dst & 0xff) == LOOPBACK_NET))) {
		net_stats.ip_bad++;
		goto drop;
	}
	nbuf_pull(n, hdr_len);
	if (unlikely(h.frag & be16(IP_MF | IP_OFFSET))) {
		n = fragment(n, &h);
		if (!n)
			return;
	}
	if (unlikely(!gather_head(&n, HEAD_MAX)))
		goto drop;
	n->saddr = h.src;
	n->daddr = h.dst;
	n->ttl = h.ttl;
	n->tos = h.tos;
	switch (h.proto) {
	case PROTO_UDP: udp_input(n, &h); return;
	case PROTO_TCP: tcp_packet(n, &h); return;
	case PROTO_ICMP: icmp_input(n, &h); return;
	}
	icmp_error(n, &h, ICMP_UNREACHABLE, ICMP_NO_PROTOCOL);
drop:
	nbuf_free(n);
}
