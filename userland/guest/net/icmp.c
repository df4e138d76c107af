// SPDX-License-Identifier: MIT
/*
 * icmp.c - ICMP (RFC 792, RFC 1122 3.2.2)
 *
 * Requests for an echo are answered. Errors about what we have sent go to the transport that has sent it,
 * by the first eight bytes of it that they carry: its socket is told. Errors of our own are
 * sent for packets that are for us alone, never about errors, fragments but the first, or to addresses that
 * are nobody's, and no more than BURST at once and RATE a second: a flood does not make us flood others.
 */
#include "net.h"
#include "../lib/string.h"

#define QUOTE	8u	/* bytes of the transport's header that an error carries at least */
#define BURST	20u
#define RATE_MS	50u

static u32 tokens = BURST;
static u64 refilled;

static bool may_send(void)
{
	u64 now = net_now(), more = (now - refilled) / RATE_MS;

	if (more) {
		tokens = (u32)min((u64)BURST, tokens + more);
		refilled += more * RATE_MS;
	}
	if (!tokens) {
		net_stats.icmp_limited++;
		return false;
	}
	tokens--;
	return true;
}

static void set_sum(struct nbuf *n)
{
	struct icmp_hdr *h = (struct icmp_hdr *)n->data;

	h->sum = 0;
	h->sum = sum_fold(sum_nbuf(0, n, 0, n->total));
}

void icmp_error(const struct nbuf *n, const struct ipv4_hdr *ip, u8 type, u8 code)
{
	struct ipv4_send s = { .dst = ip->src, .proto = PROTO_ICMP, .ttl = IP_TTL };
	u32 quote = min(n->len, QUOTE), mtu;
	struct nbuf *e;
	struct icmp_hdr *h;
	struct ipv4_hdr *q;

	if (!ipv4_is_local(ip->dst) || ipv4_is_broadcast(ip->src) || !ip->src ||
	    ip->frag & be16(IP_OFFSET) || ipv4_route(ip->src, &s.src, &mtu) || !may_send())
		return;
	s.src = ip->dst;
	e = nbuf_chain(sizeof(*h) + sizeof(*q) + quote);
	if (!e)
		return;
	h = (struct icmp_hdr *)e->data;
	*h = (struct icmp_hdr){ .type = type, .code = code };
	q = (struct ipv4_hdr *)(h + 1);
	*q = *ip;
	q->version = 0x45;
	memcpy(q + 1, n->data, quote);
	set_sum(e);
	ipv4_output(e, &s);
}

static void echo(struct nbuf *n, const struct ipv4_hdr *ip)
{
	struct ipv4_send s = { .src = ip->dst, .dst = ip->src, .proto = PROTO_ICMP, .ttl = IP_TTL };
	struct nbuf *r, *p;
	u32 at = 0;

	if (!ipv4_is_local(ip->dst))
		return;		/* to everybody: RFC 1122 leaves it to us */
	r = nbuf_chain(n->total);
	if (!r)
		return;
	for (p = r; p; p = p->next) {
		nbuf_copy_out(n, at, p->data, p->len);
		at += p->len;
	}
	((struct icmp_hdr *)r->data)->type = ICMP_ECHO_REPLY;
	set_sum(r);
	ipv4_output(r, &s);
}

/* errno of an unreachable's code, as Linux has them */
static int error_of(u8 type, u8 code)
{
	static const u8 of_code[] = { ENETUNREACH, EHOSTUNREACH, ENOPROTOOPT, ECONNREFUSED,
				      EMSGSIZE, EOPNOTSUPP, ENETUNREACH, EHOSTDOWN, ENONET,
				      ENETUNREACH, EHOSTUNREACH, ENETUNREACH, EHOSTUNREACH,
				      EHOSTUNREACH, EHOSTUNREACH, EHOSTUNREACH };

	if (type == ICMP_TIME_EXCEEDED)
		return EHOSTUNREACH;
	return code < sizeof(of_code) ? of_code[code] : EHOSTUNREACH;
}

/* About a packet of ours, whose header and first bytes come behind the error's. */
static void error_input(const struct nbuf *n, const struct icmp_hdr *h)
{
	u8 buf[60 + QUOTE];
	struct ipv4_hdr q;
	u32 len, got = min(n->total - (u32)sizeof(*h), (u32)sizeof(buf));
	int err = error_of(h->type, h->code);
	const u8 *head;

	if (got < sizeof(q))
		return;
	nbuf_copy_out(n, sizeof(*h), buf, got);
	memcpy(&q, buf, sizeof(q));
	len = (q.version & 15) * 4u;
	if (q.version >> 4 != 4 || len < sizeof(q) || got < len + QUOTE || !ipv4_is_local(q.src) ||
	    q.frag & be16(IP_OFFSET))
		return;
	head = buf + len;
	if (q.proto == PROTO_UDP) {
		udp_unreachable(q.src, q.dst, head, err);
	} else if (q.proto == PROTO_TCP) {
		tcp_unreachable(q.src, q.dst, head, err);
	} else if (q.proto == PROTO_ICMP && head[0] == ICMP_ECHO) {
		struct icmp_hdr mine;

		memcpy(&mine, head, sizeof(mine));
		ping_input(NULL, &q, mine.id, err);
	}
}

void icmp_input(struct nbuf *n, const struct ipv4_hdr *ip)
{
	struct icmp_hdr h;

	if (n->total < sizeof(h) || sum_fold(sum_nbuf(0, n, 0, n->total))) {
		net_stats.icmp_bad++;
		nbuf_free(n);
		return;
	}
	memcpy(&h, n->data, sizeof(h));
	raw_input(n, ip);
	switch (h.type) {
	case ICMP_ECHO: echo(n, ip); break;
	case ICMP_ECHO_REPLY: ping_input(n, ip, h.id, 0); break;
	case ICMP_UNREACHABLE:
	case ICMP_TIME_EXCEEDED: error_input(n, &h); break;
	}
	nbuf_free(n);
}
