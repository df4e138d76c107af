// SPDX-License-Identifier: MIT
/*
 * ping.c - sockets for ICMP: requests for an echo (SOCK_DGRAM), and all of it (SOCK_RAW)
 *
 * The first kind sends requests and gets the replies to them, and errors about them: the id is its port. The second
 * sends what the program has made, behind our IP header, and gets a copy of every ICMP packet with
 * its IP header, but for types that the program's ICMP_FILTER leaves out. Other protocols than ICMP
 * have no raw sockets: whoever is in the sandbox is alone on its network, but not alone on Linux's.
 */
#include "net.h"
#include "insock.h"
#include "../lib/string.h"

#define SOL_RAW		255
#define ICMP_FILTER	1
#define ICMP_MAX	65507u

static struct port_table ids;
static struct list raws = LIST_INIT(raws);

static struct port_table *table(void)
{
	if (unlikely(!ids.bucket[0].next))
		port_table_init(&ids);
	return &ids;
}

/* A copy for one of perhaps several sockets; from its IP header on when @ip is given. */
static struct nbuf *copy_of(const struct nbuf *n, const struct ipv4_hdr *ip)
{
	u32 extra = ip ? sizeof(*ip) : 0, at = 0;
	struct nbuf *c = nbuf_chain(n->total + extra), *p;

	if (!c)
		return NULL;
	if (ip) {
		struct ipv4_hdr h = *ip;

		h.version = 0x45;
		h.len = be16((u16)(n->total + extra));
		memcpy(c->data, &h, sizeof(h));
		c->data += extra;
		c->len -= extra;
	}
	for (p = c; p; p = p->next) {
		nbuf_copy_out(n, at, p->data, p->len);
		at += p->len;
	}
	if (ip) {
		c->data -= extra;
		c->len += extra;
	}
	c->saddr = n->saddr;
	c->daddr = n->daddr;
	c->ttl = n->ttl;
	c->sport = 0;
	return c;
}

static void give(struct sock *s, struct nbuf *c)
{
	if (c && !dgram_queue(s, c))
		net_stats.udp_full++;
}

void ping_input(const struct nbuf *n, const struct ipv4_hdr *ip, u16 id, int err)
{
	struct sock *s;

	list_for_each(s, port_bucket(table(), id), hash) {
		if (s->lport != id)
			continue;
		if (err) {
			if (s->recverr || s->connected)
				sock_error(s, err);
		} else if (!s->connected || s->raddr == ip->src) {
			give(s, copy_of(n, NULL));
		}
		return;
	}
}

void raw_input(const struct nbuf *n, const struct ipv4_hdr *ip)
{
	u8 type = n->data[0];
	struct sock *s;

	list_for_each(s, &raws, hash) {
		if ((type < 32 && s->icmp_filter >> type & 1) ||
		    (s->connected && s->raddr != ip->src))
			continue;
		give(s, copy_of(n, ip));
	}
}

/* --- both kinds ------------------------------------------------------------------------------- */

static bool is_raw(const struct sock *s)
{
	return s->type == SOCK_RAW;
}

static long enter(struct sock *s)
{
	if (is_raw(s)) {
		if (list_empty(&s->hash))
			list_add_tail(&raws, &s->hash);
		return 0;
	}
	return s->lport ? 0 : port_bind(table(), s, 0, 0);
}

static long ping_bind(struct sock *s, u32 addr, u16 port)
{
	if (is_raw(s)) {
		if (addr && !ipv4_is_local(addr))
			return -EADDRNOTAVAIL;
		s->laddr = addr;
		s->laddr_bound = addr;
		return 0;
	}
	return s->lport ? -EINVAL : port_bind(table(), s, addr, port);
}

static long ping_connect(struct sock *s, u32 addr, u16 port)
{
	u32 src, mtu;
	long err = ipv4_route(addr, &src, &mtu);

	(void)port;
	if (!err)
		err = enter(s);
	if (err)
		return err;
	s->raddr = addr;
	s->connected = true;
	if (!s->laddr_bound)
		s->laddr = src;
	return 0;
}

static long ping_disconnect(struct sock *s)
{
	s->connected = false;
	s->raddr = 0;
	return 0;
}

static long ping_send(struct sock *s, struct net_iter *it, struct sock_msg *m)
{
	struct ipv4_send out = { .proto = PROTO_ICMP, .ttl = s->ttl, .tos = s->tos };
	u32 len = (u32)min(it->left, (u64)ICMP_MAX + 1), mtu;
	struct nbuf *n, *p;
	struct icmp_hdr *h;
	long err;

	if (s->err)
		return sock_take_error(s);
	if (len > ICMP_MAX)
		return -EMSGSIZE;
	if (!m->has_addr && !s->connected)
		return -EDESTADDRREQ;
	if (len < (is_raw(s) ? 1u : sizeof(*h)))
		return -EINVAL;
	out.dst = m->has_addr ? m->addr : s->raddr;
	if (!out.dst)
		out.dst = be32(0x7f000001);
	if (ipv4_is_broadcast(out.dst) && !s->broadcast)
		return -EACCES;
	err = ipv4_route(out.dst, &out.src, &mtu);
	if (!err)
		err = enter(s);
	if (err)
		return err;
	if (s->laddr_bound)
		out.src = s->laddr;
	if (!ipv4_is_local(out.dst) && !net_has_room(2 * (len / NBUF_SIZE + 2) + len / (mtu - 28)))
		return -EAGAIN;
	n = nbuf_chain(len);
	if (!n)
		return -ENOBUFS;
	for (p = n; p && !err; p = p->next)
		err = iter_in(it, p->data, p->len);
	if (!err && !is_raw(s)) {
		h = (struct icmp_hdr *)n->data;
		if (h->type != ICMP_ECHO || h->code)
			err = -EINVAL;
		h->id = s->lport;
		h->sum = 0;
		h->sum = sum_fold(sum_nbuf(0, n, 0, n->total));
	}
	if (err) {
		nbuf_free(n);
		return err;
	}
	err = ipv4_output(n, &out);
	return err ? err : (long)len;
}

static void ping_release(struct sock *s)
{
	port_release(s);
	sock_free(s);
}

static long ping_set(struct sock *s, int level, int name, int value)
{
	if (!is_raw(s) || level != SOL_RAW || name != ICMP_FILTER)
		return -ENOPROTOOPT;
	s->icmp_filter = (u32)value;
	return 0;
}

static long ping_get(struct sock *s, int level, int name, int *value)
{
	if (!is_raw(s) || level != SOL_RAW || name != ICMP_FILTER)
		return -ENOPROTOOPT;
	*value = (int)s->icmp_filter;
	return 0;
}

/* A raw socket hears everything from the beginning. */
static long raw_open(struct sock *s)
{
	return enter(s);
}

const struct sock_ops ping_ops = {
	.bind = ping_bind, .connect = ping_connect, .disconnect = ping_disconnect,
	.send = ping_send, .recv = dgram_recv, .poll = dgram_poll, .shutdown = dgram_shutdown,
	.available = dgram_available, .set = ping_set, .get = ping_get, .release = ping_release,
};

const struct sock_ops raw_ops = {
	.open = raw_open,
	.bind = ping_bind, .connect = ping_connect, .disconnect = ping_disconnect,
	.send = ping_send, .recv = dgram_recv, .poll = dgram_poll, .shutdown = dgram_shutdown,
	.available = dgram_available, .set = ping_set, .get = ping_get, .release = ping_release,
};
