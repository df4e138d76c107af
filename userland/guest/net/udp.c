// SPDX-License-Identifier: MIT
/*
 * udp.c - UDP (RFC 768)
 *
 * A datagram is copied once, from the program into the buffers that the NIC reads, and once on the other
 * way. What finds no room is not lost in silence: a sender finds the ring full (-EAGAIN, and it waits) before
 * anything is made; a receiver's queue that is full drops, as UDP does, and counts.
 *
 * Which socket: the one that is connected to the sender, else one that is bound to the address, else one
 * that is bound to all; of equals the newest.
 */
#include "net.h"
#include "insock.h"
#include "../lib/string.h"
#include "../mm/kmalloc.h"

#define UDP_MAX		65507u	/* bytes of a datagram: 65,535 less the headers */

static struct port_table table;

static struct port_table *ports(void)
{
	if (unlikely(!table.bucket[0].next))
		port_table_init(&table);
	return &table;
}

static struct sock *find(u32 daddr, u16 dport, u32 saddr, u16 sport)
{
	struct sock *s, *best = NULL;
	int score, high = -1;

	list_for_each(s, port_bucket(ports(), dport), hash) {
		if (s->lport != dport || (s->laddr_bound && s->laddr != daddr))
			continue;
		if (s->connected && (s->raddr != saddr || s->rport != sport))
			continue;
		score = s->connected * 2 + s->laddr_bound;
		if (score > high) {
			high = score;
			best = s;
		}
	}
	return best;
}

void udp_input(struct nbuf *n, const struct ipv4_hdr *ip)
{
	struct udp_hdr h;
	struct sock *s;
	u32 len;

	if (n->total < sizeof(h))
		goto bad;
	memcpy(&h, n->data, sizeof(h));
	len = be16(h.len);
	if (len < sizeof(h) || len > n->total || !h.dst)
		goto bad;
	if (unlikely(len < n->total))
		nbuf_trim(n, len);
	if (h.sum && !(n->flags & NBUF_SUM_OK) &&
	    sum_fold(sum_nbuf(ipv4_pseudo(ip->src, ip->dst, PROTO_UDP, len), n, 0, len)))
		goto bad;
	s = find(ip->dst, h.dst, ip->src, h.src);
	if (unlikely(!s)) {
		net_stats.udp_no_port++;
		icmp_error(n, ip, ICMP_UNREACHABLE, ICMP_NO_PORT);
		nbuf_free(n);
		return;
	}
	nbuf_pull(n, sizeof(h));
	n->sport = h.src;
	if (!dgram_queue(s, n))
		net_stats.udp_full++;
	return;
bad:
	net_stats.udp_bad++;
	nbuf_free(n);
}

void udp_unreachable(u32 src, u32 dst, const u8 head[8], int err)
{
	struct udp_hdr h;
	struct sock *s;

	memcpy(&h, head, sizeof(h));
	s = find(src, h.src, dst, h.dst);
	/* As on Linux: one that may send to anybody is not told, unless it wants to be. */
	if (s && (s->connected || s->recverr))
		sock_error(s, err);
}

void udp_no_answer(u32 hop)
{
	struct sock *s;
	u32 i;

	for (i = 0; i < PORT_BUCKETS; i++)
		list_for_each(s, &ports()->bucket[i], hash)
			if (s->connected && ipv4_next_hop(s->raddr) == hop)
				sock_error(s, EHOSTUNREACH);
}

/* --- the socket ------------------------------------------------------------------------------- */

static long udp_bind(struct sock *s, u32 addr, u16 port)
{
	return s->lport ? -EINVAL : port_bind(ports(), s, addr, port);
}

static long autobind(struct sock *s)
{
	return likely(s->lport) ? 0 : port_bind(ports(), s, 0, 0);
}

static long udp_connect(struct sock *s, u32 addr, u16 port)
{
	u32 src, mtu;
	long err;

	if (!addr)
		addr = be32(0x7f000001);
	if (ipv4_is_broadcast(addr) && !s->broadcast)
		return -EACCES;
	err = ipv4_route(addr, &src, &mtu);
	if (!err)
		err = autobind(s);
	if (err)
		return err;
	s->raddr = addr;
	s->rport = port;
	s->connected = true;
	if (!s->laddr_bound)
		s->laddr = ipv4_is_local(addr) && (addr & 0xff) == LOOPBACK_NET ?
				   be32(0x7f000001) : src;
	return 0;
}

static long udp_disconnect(struct sock *s)
{
	s->connected = false;
	s->raddr = 0;
	s->rport = 0;
	if (!s->laddr_bound)
		s->laddr = 0;
	return 0;
}

static u16 software_sum(const struct nbuf *n, const struct ipv4_send *out)
{
	u16 sum = sum_fold(sum_nbuf(ipv4_pseudo(out->src, out->dst, PROTO_UDP, n->total), n, 0,
				    n->total));

	return sum ? sum : 0xffff;
}

static long udp_send(struct sock *s, struct net_iter *it, struct sock_msg *m)
{
	struct ipv4_send out = { .proto = PROTO_UDP, .ttl = s->ttl, .tos = s->tos, .df = s->df };
	u32 len = (u32)min(it->left, (u64)UDP_MAX + 1), mtu, buffers;
	u16 port = m->has_addr ? m->port : s->rport;
	struct udp_hdr *h;
	struct nbuf *n, *p;
	long err;

	if (unlikely(s->err))
		return sock_take_error(s);
	if (len > UDP_MAX)
		return -EMSGSIZE;
	if (!m->has_addr && !s->connected)
		return -EDESTADDRREQ;
	out.dst = m->has_addr ? m->addr : s->raddr;
	if (!out.dst)
		out.dst = be32(0x7f000001);
	if (!port)
		return -EINVAL;
	if (unlikely(ipv4_is_multicast(out.dst)))
		out.ttl = s->mc_ttl;
	if (unlikely(ipv4_is_broadcast(out.dst) && !s->broadcast))
		return -EACCES;
	err = ipv4_route(out.dst, &out.src, &mtu);
	if (!err)
		err = autobind(s);
	if (unlikely(err))
		return err;
	if (s->laddr && !ipv4_is_broadcast(s->laddr) && !ipv4_is_multicast(s->laddr))
		out.src = s->laddr;
	buffers = (len + (u32)sizeof(*h) + NBUF_ROOM + NBUF_SIZE - 1) / NBUF_SIZE + 1;
	if (unlikely(len + 28 > mtu))
		buffers = buffers * 2 + len / (mtu - 28) + 2;
	if (!ipv4_is_local(out.dst) && unlikely(!net_has_room(buffers)))
		return -EAGAIN;
	n = nbuf_chain(len + sizeof(*h));
	if (unlikely(!n))
		return -ENOBUFS;
	h = (struct udp_hdr *)n->data;
	*h = (struct udp_hdr){ .src = s->lport, .dst = port, .len = be16((u16)n->total) };
	err = iter_in(it, n->data + sizeof(*h), n->len - sizeof(*h));
	for (p = n->next; p && !err; p = p->next)
		err = iter_in(it, p->data, p->len);
	if (unlikely(err)) {
		nbuf_free(n);
		return err;
	}
	if (ipv4_is_local(out.dst)) {
		h->sum = 0;
	} else if (likely(len + 28 <= mtu)) {
		h->sum = sum_fold16(ipv4_pseudo(out.src, out.dst, PROTO_UDP, n->total));
		n->flags = NBUF_SUM_UDP;
	} else {
		h->sum = software_sum(n, &out);
	}
	err = ipv4_output(n, &out);
	return err ? err : (long)len;
}

static void udp_release(struct sock *s)
{
	port_release(s);
	sock_free(s);
}

static long no_option(struct sock *s, int level, int name, int value)
{
	(void)s, (void)level, (void)name, (void)value;
	return -ENOPROTOOPT;
}

static long no_option_get(struct sock *s, int level, int name, int *value)
{
	(void)s, (void)level, (void)name, (void)value;
	return -ENOPROTOOPT;
}

const struct sock_ops udp_ops = {
	.bind = udp_bind, .connect = udp_connect, .disconnect = udp_disconnect, .send = udp_send,
	.recv = dgram_recv, .poll = dgram_poll, .shutdown = dgram_shutdown,
	.available = dgram_available, .set = no_option, .get = no_option_get,
	.release = udp_release,
};
