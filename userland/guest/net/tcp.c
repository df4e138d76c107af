// SPDX-License-Identifier: MIT
/*
 * tcp.c - stream sockets over lwIP's TCP
 *
 * Why lwIP: a TCP that others' TCPs have met for twenty years, with retransmission, congestion control, window
 * scaling, selective acknowledgements and all states right, is worth more than one of our own; it is freestanding
 * C without threads, its raw interface calls back and never blocks, which is how everything here works,
 * and Debian's source package keeps it current with fixes (version 2.1.3; vm/mksource gets it, it is not in this
 * tree). What it stands on is tcp_ip.c.
 *
 * A struct tcp_sock is the socket, its @pcb lwIP's side of the connection. lwIP frees a pcb by itself in some
 * cases; it says so by failed() in all but one (the end of TIME-WAIT), so a pcb is let go as soon as both
 * directions are over (let_go()): what is left to do then needs no socket. After every call that may free it,
 * and in every callback, @pcb is the truth.
 *
 * Received data stays in the pbufs it came in, one after another by their own links, until the program has
 * read it; only then the window opens again. So what lies there is bounded by the window.
 */
#include <linux/poll.h>
#include "net.h"
#include "insock.h"
#include "tcp_glue.h"
#include "../lib/string.h"
#include "../mm/kmalloc.h"

#define CHUNK		16384u	/* bytes that are copied and handed over at once */
#define WAIT_FOR	8192u	/* who has waited for room goes on when there is so much of it */
#define BACKLOG_MAX	255u	/* lwIP's */
#define POLLRDHUP_	0x2000u

enum tcp_sock_state {
	T_NEW,			/* may become anything */
	T_LISTENING,
	T_CONNECTING,
	T_CONNECTED,
	T_OVER,			/* the connection has ended; data may be left to read */
};

struct tcp_sock {
	struct sock s;
	enum tcp_sock_state state;
	struct tcp_pcb *pcb;
	struct pbuf *rx, *rx_last;
	u32 rx_bytes, rx_offset;	/* @rx_offset of the first are read */
	bool fin;			/* the other side sends no more */
	bool fresh;			/* connect() has not said yet that it is connected */
	bool nodelay, cork, waits;	/* @waits: a sender has found no room */
	u32 keepidle, keepintvl, keepcnt;	/* seconds; 0: as lwIP has it */
	/* listening */
	struct list children;		/* connections that nobody has accepted */
	u32 nchildren, backlog;
	struct list sibling;
	struct list all;
};

static struct list all_tcp = LIST_INIT(all_tcp);
static u8 chunk[CHUNK];	/* nobody sleeps while it is in use */

static struct tcp_sock *tcp_of(struct sock *s)
{
	return container_of(s, struct tcp_sock, s);
}

static void tcp_sock_init(struct tcp_sock *t)
{
	list_init(&t->children);
	list_init(&t->sibling);
	list_add(&all_tcp, &t->all);
}

static void drop_rx(struct tcp_sock *t)
{
	while (t->rx) {
		struct pbuf *p = t->rx;

		t->rx = p->next;
		p->next = NULL;
		p->tot_len = p->len;
		pbuf_free(p);
	}
	t->rx_last = NULL;
	t->rx_bytes = t->rx_offset = 0;
}

/* --- what lwIP calls -------------------------------------------------------------------------- */

/* The pcb goes on without us. */
static void let_go(struct tcp_sock *t)
{
	struct tcp_pcb *pcb = t->pcb;

	t->pcb = NULL;
	if (!pcb)
		return;
	tcp_arg(pcb, NULL);
	if (pcb->state == LISTEN) {
		tcp_accept(pcb, NULL);
		return;
	}
	tcp_recv(pcb, NULL);
	tcp_sent(pcb, NULL);
	tcp_err(pcb, NULL);
}

static void maybe_over(struct tcp_sock *t)
{
	if (t->fin && t->s.shut & SHUT_WR && t->state == T_CONNECTED) {
		t->state = T_OVER;
		let_go(t);
	}
}

static err_t received(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err)
{
	struct tcp_sock *t = arg;

	(void)err;
	if (!t) {
		if (p) {
			tcp_recved(pcb, p->tot_len);
			pbuf_free(p);
		}
		return ERR_OK;
	}
	if (!p) {
		t->fin = true;
		maybe_over(t);
	} else {
		t->rx_bytes += p->tot_len;
		if (t->rx)
			t->rx_last->next = p;
		else
			t->rx = p;
		for (t->rx_last = p; t->rx_last->next; t->rx_last = t->rx_last->next)
			;
	}
	sock_event(&t->s);
	return ERR_OK;
}

static err_t acknowledged(void *arg, struct tcp_pcb *pcb, u16_t len)
{
	struct tcp_sock *t = arg;

	(void)len;
	if (t && (!t->waits || tcp_sndbuf(pcb) >= WAIT_FOR)) {
		t->waits = false;
		sock_event(&t->s);
	}
	return ERR_OK;
}

/* The pcb is gone. */
static void failed(void *arg, err_t err)
{
	struct tcp_sock *t = arg;

	if (!t)
		return;
	t->pcb = NULL;
	if (err == ERR_CLSD) {
		t->fin = true;
	} else if (err == ERR_RST) {
		t->s.err = t->state == T_CONNECTING ? ECONNREFUSED : ECONNRESET;
	} else {
		t->s.err = ETIMEDOUT;
	}
	t->state = T_OVER;
	sock_event(&t->s);
}

static err_t established(void *arg, struct tcp_pcb *pcb, err_t err)
{
	struct tcp_sock *t = arg;

	(void)pcb;
	if (t && err == ERR_OK) {
		t->state = T_CONNECTED;
		t->s.connected = true;
		t->fresh = true;
		sock_event(&t->s);
	}
	return ERR_OK;
}

static void attach(struct tcp_sock *t, struct tcp_pcb *pcb)
{
	t->pcb = pcb;
	tcp_arg(pcb, t);
	tcp_recv(pcb, received);
	tcp_sent(pcb, acknowledged);
	tcp_err(pcb, failed);
}

static err_t arrived(void *arg, struct tcp_pcb *pcb, err_t err)
{
	struct tcp_sock *t = arg, *c;
	struct sock *s;

	if (err != ERR_OK || !pcb || !t || t->nchildren >= t->backlog)
		return ERR_MEM;		/* lwIP resets it */
	s = sock_new(&tcp_ops, SOCK_STREAM, PROTO_TCP);
	if (!s)
		return ERR_MEM;
	c = tcp_of(s);
	tcp_sock_init(c);
	c->state = T_CONNECTED;
	s->connected = true;
	s->laddr_bound = true;
	s->laddr = ip_addr_get_ip4_u32(&pcb->local_ip);
	s->raddr = ip_addr_get_ip4_u32(&pcb->remote_ip);
	s->lport = be16(pcb->local_port);
	s->rport = be16(pcb->remote_port);
	s->reuse = t->s.reuse;
	s->keepalive = t->s.keepalive;
	s->linger = t->s.linger;
	s->rcvbuf = t->s.rcvbuf;
	s->sndbuf = t->s.sndbuf;
	c->nodelay = t->nodelay;
	if (c->nodelay)
		tcp_nagle_disable(pcb);
	attach(c, pcb);
	tcp_backlog_delayed(pcb);
	list_add_tail(&t->children, &c->sibling);
	t->nchildren++;
	sock_event(&t->s);
	return ERR_OK;
}

/* --- connecting ------------------------------------------------------------------------------- */

static void apply_options(struct tcp_sock *t)
{
	struct tcp_pcb *pcb = t->pcb;

	if (!pcb)
		return;
	if (t->s.reuse)
		ip_set_option(pcb, SOF_REUSEADDR);
	else
		ip_reset_option(pcb, SOF_REUSEADDR);
	pcb->ttl = t->s.ttl;
	pcb->tos = t->s.tos;
	if (pcb->state == LISTEN)
		return;
	if (t->s.keepalive)
		ip_set_option(pcb, SOF_KEEPALIVE);
	else
		ip_reset_option(pcb, SOF_KEEPALIVE);
	if (t->keepidle)
		pcb->keep_idle = t->keepidle * 1000;
	if (t->keepintvl)
		pcb->keep_intvl = t->keepintvl * 1000;
	if (t->keepcnt)
		pcb->keep_cnt = t->keepcnt;
	if (t->nodelay)
		tcp_nagle_disable(pcb);
	else
		tcp_nagle_enable(pcb);
}

static long want_pcb(struct tcp_sock *t)
{
	struct tcp_pcb *pcb;

	if (t->pcb)
		return 0;
	pcb = tcp_new();
	if (!pcb)
		return -ENOBUFS;
	attach(t, pcb);
	apply_options(t);
	return 0;
}

static long tcp_sock_bind(struct sock *s, u32 addr, u16 port)
{
	struct tcp_sock *t = tcp_of(s);
	ip_addr_t ip;
	long err;

	if (t->state != T_NEW || s->lport)
		return -EINVAL;
	if (addr && !ipv4_is_local(addr))
		return -EADDRNOTAVAIL;
	err = want_pcb(t);
	if (err)
		return err;
	ip_addr_set_ip4_u32(&ip, addr);
	err = tcp_errno(tcp_bind(t->pcb, &ip, be16(port)));
	if (err)
		return err == -ENOBUFS ? -EADDRINUSE : err;
	s->laddr = addr;
	s->laddr_bound = addr;
	s->lport = be16(t->pcb->local_port);
	return 0;
}

static long tcp_sock_connect(struct sock *s, u32 addr, u16 port)
{
	struct tcp_sock *t = tcp_of(s);
	u32 src, mtu;
	ip_addr_t ip;
	long err;

	switch (t->state) {
	case T_CONNECTING: return -EALREADY;
	case T_CONNECTED:
		if (!t->fresh)
			return -EISCONN;
		t->fresh = false;
		return 0;
	case T_LISTENING: return -EISCONN;
	case T_OVER:
		if (s->connected)
			return -EISCONN;
		/* one that could not connect may try again */
		t->state = T_NEW;
		t->fin = false;
		sock_touched(s);
		break;
	case T_NEW: break;
	}
	if (!addr)
		addr = be32(0x7f000001);
	if (ipv4_is_broadcast(addr) || ipv4_is_multicast(addr))
		return -ENETUNREACH;
	err = ipv4_route(addr, &src, &mtu);
	if (!err)
		err = want_pcb(t);
	if (err)
		return err;
	if (!port)
		return -ECONNREFUSED;
	if (!s->laddr_bound)
		s->laddr = addr == src && (addr & 0xff) == LOOPBACK_NET ? be32(0x7f000001) : src;
	ip_addr_set_ip4_u32(&t->pcb->local_ip, s->laddr);
	ip_addr_set_ip4_u32(&ip, addr);
	t->state = T_CONNECTING;
	sock_touched(s);
	s->raddr = addr;
	s->rport = port;
	err = tcp_errno(tcp_connect(t->pcb, &ip, be16(port), established));
	if (err) {
		t->state = T_NEW;
		return err == -EADDRINUSE || err == -ENOBUFS ? -EADDRNOTAVAIL : err;
	}
	if (t->pcb)
		s->lport = be16(t->pcb->local_port);
	return -EINPROGRESS;
}

static long tcp_sock_connected(struct sock *s)
{
	struct tcp_sock *t = tcp_of(s);
	long err;

	switch (t->state) {
	case T_CONNECTING: return -EAGAIN;
	case T_CONNECTED: t->fresh = false; return 0;
	default:
		err = sock_take_error(s);
		if (err)
			return err;
		return s->connected ? 0 : -ECONNABORTED;
	}
}

static long tcp_sock_listen(struct sock *s, u32 backlog)
{
	struct tcp_sock *t = tcp_of(s);
	struct tcp_pcb *l;
	err_t e = ERR_OK;
	long err;

	backlog = max(1u, min(backlog, BACKLOG_MAX));
	if (t->state == T_LISTENING) {
		t->backlog = backlog;
		tcp_backlog_set(t->pcb, (u8)backlog);
		return 0;
	}
	if (t->state != T_NEW)
		return -EINVAL;
	if (!s->lport) {
		err = tcp_sock_bind(s, 0, 0);
		if (err)
			return err;
	}
	l = tcp_listen_with_backlog_and_err(t->pcb, (u8)backlog, &e);
	if (!l)
		return tcp_errno(e);
	t->pcb = l;
	t->state = T_LISTENING;
	t->backlog = backlog;
	tcp_arg(l, t);
	tcp_accept(l, arrived);
	sock_event(s);
	return 0;
}

static long tcp_sock_accept(struct sock *s, struct sock **child)
{
	struct tcp_sock *t = tcp_of(s), *c;

	if (t->state != T_LISTENING)
		return -EINVAL;
	if (list_empty(&t->children))
		return -EAGAIN;
	c = list_first(&t->children, struct tcp_sock, sibling);
	list_del(&c->sibling);
	t->nchildren--;
	if (c->pcb)
		tcp_backlog_accepted(c->pcb);
	*child = &c->s;
	sock_touched(s);
	return 0;
}

static bool tcp_sock_listening(struct sock *s)
{
	return tcp_of(s)->state == T_LISTENING;
}

/* A connection that is being made does not come about. */
static void refuse(struct tcp_sock *t, int err)
{
	struct tcp_pcb *pcb = t->pcb;

	let_go(t);
	tcp_abandon(pcb, 0);
	t->state = T_OVER;
	sock_error(&t->s, err);
}

void tcp_unreachable(u32 src, u32 dst, const u8 head[8], int err)
{
	struct tcp_sock *t;
	u16 port[2];

	memcpy(port, head, sizeof(port));
	list_for_each(t, &all_tcp, all)
		if (t->state == T_CONNECTING && t->pcb && t->s.laddr == src &&
		    t->s.raddr == dst && t->s.lport == port[0] && t->s.rport == port[1]) {
			refuse(t, err);
			return;
		}
}

void tcp_no_answer(u32 hop)
{
	struct tcp_sock *t;

	list_for_each(t, &all_tcp, all)
		if (t->state == T_CONNECTING && t->pcb && ipv4_next_hop(t->s.raddr) == hop)
			refuse(t, EHOSTUNREACH);
}

/* --- data ------------------------------------------------------------------------------------- */

static long tcp_sock_send(struct sock *s, struct net_iter *it, struct sock_msg *m)
{
	struct tcp_sock *t = tcp_of(s);
	u64 total = it->left;

	if (s->err)
		return sock_take_error(s);
	if (t->state == T_CONNECTING)
		return -EAGAIN;
	if (t->state != T_CONNECTED || s->shut & SHUT_WR)
		return -EPIPE;
	if (tcp_sndbuf(t->pcb) < min(total, (u64)WAIT_FOR)) {
		t->waits = true;
		return -EAGAIN;
	}
	while (it->left && t->pcb) {
		u32 n = min((u32)min(it->left, (u64)CHUNK), (u32)tcp_sndbuf(t->pcb));
		struct net_iter before = *it;
		u8 flags = TCP_WRITE_FLAG_COPY;
		err_t err;

		if (!n || tcp_sndqueuelen(t->pcb) >= TCP_SND_QUEUELEN - 32)
			break;
		if (iter_in(it, chunk, n)) {
			*it = before;
			if (it->left == total)
				return -EFAULT;
			break;
		}
		if (it->left || m->flags & MSG_MORE || t->cork)
			flags |= TCP_WRITE_FLAG_MORE;
		err = tcp_write(t->pcb, chunk, (u16)n, flags);
		if (err != ERR_OK) {
			*it = before;
			if (err != ERR_MEM && it->left == total)
				return tcp_errno(err);
			break;
		}
	}
	if (t->pcb)
		tcp_output(t->pcb);
	if (it->left)
		t->waits = true;
	sock_touched(s);
	return it->left == total ? -EAGAIN : (long)(total - it->left);
}

static void consume(struct tcp_sock *t, u32 n)
{
	u32 left = n;

	t->rx_bytes -= n;
	t->rx_offset += n;
	while (t->rx && t->rx_offset >= t->rx->len) {
		struct pbuf *p = t->rx;

		t->rx_offset -= p->len;
		t->rx = p->next;
		p->next = NULL;
		p->tot_len = p->len;
		pbuf_free(p);
	}
	for (; left && t->pcb; left -= min(left, 0xffffu))
		tcp_recved(t->pcb, (u16)min(left, 0xffffu));
}

static long tcp_sock_recv(struct sock *s, struct net_iter *it, struct sock_msg *m)
{
	struct tcp_sock *t = tcp_of(s);
	u32 want = (u32)min(it->left, (u64)t->rx_bytes), done = 0, off = t->rx_offset;
	struct pbuf *p = t->rx;

	m->addr = s->raddr;
	m->port = s->rport;
	if (!t->rx_bytes) {
		if (s->err)
			return sock_take_error(s);
		if (t->state == T_NEW || t->state == T_LISTENING ||
		    (t->state == T_OVER && !s->connected))
			return -ENOTCONN;
		if (t->fin || s->shut & SHUT_RD || t->state == T_OVER)
			return 0;
		return -EAGAIN;
	}
	for (; done < want; p = p->next) {
		u32 part = min(want - done, p->len - off);

		/* MSG_TRUNC: it is only to be gone. */
		if (m->flags & MSG_TRUNC) {
			it->left -= part;
		} else if (iter_out(it, (u8 *)p->payload + off, part)) {
			if (!done)
				return -EFAULT;
			break;
		}
		done += part;
		off = 0;
	}
	if (!(m->flags & MSG_PEEK)) {
		consume(t, done);
		sock_touched(s);
	}
	return done;
}

static u32 tcp_sock_available(struct sock *s)
{
	return tcp_of(s)->rx_bytes;
}

static u32 tcp_sock_poll(struct sock *s)
{
	struct tcp_sock *t = tcp_of(s);
	u32 p = s->err ? POLLERR : 0;

	switch (t->state) {
	case T_NEW: return p | POLLOUT | POLLWRNORM | POLLHUP;
	case T_LISTENING: return p | (t->nchildren ? POLLIN | POLLRDNORM : 0);
	case T_CONNECTING: return p;
	case T_OVER:
		return p | POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM | POLLHUP | POLLRDHUP_;
	case T_CONNECTED: break;
	}
	if (t->rx_bytes || t->fin || s->shut & SHUT_RD)
		p |= POLLIN | POLLRDNORM;
	if (t->fin || s->shut & SHUT_RD)
		p |= POLLRDHUP_;
	if (s->shut & SHUT_WR ||
	    (tcp_sndbuf(t->pcb) >= WAIT_FOR &&
	     tcp_sndqueuelen(t->pcb) < TCP_SND_QUEUELEN - 32))
		p |= POLLOUT | POLLWRNORM;
	else
		t->waits = true;
	if (s->shut & SHUT_WR && (t->fin || s->shut & SHUT_RD))
		p |= POLLHUP;
	return p;
}

/* --- the end ---------------------------------------------------------------------------------- */

static long tcp_sock_shutdown(struct sock *s, u32 how)
{
	struct tcp_sock *t = tcp_of(s);

	if (t->state == T_LISTENING && how & SHUT_RD) {
		/* As on Linux: accept() ends, and the socket may do something else. */
		s->shut |= SHUT_RD;
		sock_event(s);
		return 0;
	}
	if (t->state != T_CONNECTED && t->state != T_OVER)
		return -ENOTCONN;
	if (how & SHUT_WR && !(s->shut & SHUT_WR)) {
		s->shut |= SHUT_WR;
		if (t->pcb)
			tcp_shutdown(t->pcb, 0, 1);
		maybe_over(t);
	}
	s->shut |= how;
	sock_event(s);
	return 0;
}

static void tcp_sock_free(struct tcp_sock *t)
{
	list_del(&t->all);
	drop_rx(t);
	sock_free(&t->s);
}

/*
 * Data that nobody has read, or no time to linger (@abort): the other side is told that it was in vain. A
 * listening pcb has no other side, and can only be closed.
 */
static void end_connection(struct tcp_sock *t, bool abort)
{
	struct tcp_pcb *pcb = t->pcb;

	abort |= t->state == T_CONNECTING || t->rx_bytes;
	let_go(t);
	if (!pcb)
		return;
	if (abort && pcb->state != LISTEN)
		tcp_abort(pcb);
	else
		tcp_close(pcb);
}

/* Connections that nobody will accept. */
static void drop_children(struct tcp_sock *t)
{
	while (!list_empty(&t->children)) {
		struct tcp_sock *c = list_first(&t->children, struct tcp_sock, sibling);

		list_del(&c->sibling);
		t->nchildren--;
		end_connection(c, true);
		tcp_sock_free(c);
	}
}

static void tcp_sock_release(struct sock *s)
{
	struct tcp_sock *t = tcp_of(s);

	drop_children(t);
	end_connection(t, !s->linger);
	tcp_sock_free(t);
}

static long tcp_sock_disconnect(struct sock *s)
{
	struct tcp_sock *t = tcp_of(s);

	drop_children(t);
	end_connection(t, true);
	drop_rx(t);
	t->state = T_NEW;
	t->fin = t->fresh = false;
	s->connected = false;
	s->shut = 0;
	s->err = 0;
	s->raddr = 0;
	s->rport = s->lport = 0;
	if (!s->laddr_bound)
		s->laddr = 0;
	sock_event(s);
	return 0;
}

/* --- options ---------------------------------------------------------------------------------- */

#define SOL_TCP		6
#define O_NODELAY	1
#define O_MAXSEG	2
#define O_CORK		3
#define O_KEEPIDLE	4
#define O_KEEPINTVL	5
#define O_KEEPCNT	6
#define O_QUICKACK	12

static long tcp_sock_set(struct sock *s, int level, int name, int value)
{
	struct tcp_sock *t = tcp_of(s);

	if (level == -1) {	/* one of the general ones has changed */
		apply_options(t);
		return 0;
	}
	if (level != SOL_TCP)
		return -ENOPROTOOPT;
	switch (name) {
	case O_NODELAY: t->nodelay = value; break;
	case O_CORK: t->cork = value; break;
	case O_QUICKACK: return 0;	/* a hint, and not for good on Linux either */
	case O_KEEPIDLE:
	case O_KEEPINTVL:
		if (value < 1 || value > 32767)
			return -EINVAL;
		*(name == O_KEEPIDLE ? &t->keepidle : &t->keepintvl) = (u32)value;
		break;
	case O_KEEPCNT:
		if (value < 1 || value > 127)
			return -EINVAL;
		t->keepcnt = (u32)value;
		break;
	default: return -ENOPROTOOPT;
	}
	apply_options(t);
	if (t->pcb && t->state == T_CONNECTED && (name == O_NODELAY || name == O_CORK))
		tcp_output(t->pcb);
	return 0;
}

static long tcp_sock_get(struct sock *s, int level, int name, int *value)
{
	struct tcp_sock *t = tcp_of(s);

	if (level != SOL_TCP)
		return -ENOPROTOOPT;
	switch (name) {
	case O_NODELAY: *value = t->nodelay; return 0;
	case O_CORK: *value = t->cork; return 0;
	case O_QUICKACK: *value = 1; return 0;
	case O_MAXSEG:
		*value = t->pcb && t->state == T_CONNECTED ? tcp_mss(t->pcb) : 536;
		return 0;
	case O_KEEPIDLE: *value = t->keepidle ? (int)t->keepidle : 7200; return 0;
	case O_KEEPINTVL: *value = t->keepintvl ? (int)t->keepintvl : 75; return 0;
	case O_KEEPCNT: *value = t->keepcnt ? (int)t->keepcnt : 9; return 0;
	}
	return -ENOPROTOOPT;
}

static long tcp_sock_open(struct sock *s)
{
	tcp_sock_init(tcp_of(s));
	return 0;
}

const struct sock_ops tcp_ops = {
	.size = sizeof(struct tcp_sock), .open = tcp_sock_open,
	.bind = tcp_sock_bind, .connect = tcp_sock_connect, .connected = tcp_sock_connected,
	.disconnect = tcp_sock_disconnect, .listen = tcp_sock_listen, .accept = tcp_sock_accept,
	.listening = tcp_sock_listening,
	.send = tcp_sock_send, .recv = tcp_sock_recv, .poll = tcp_sock_poll,
	.shutdown = tcp_sock_shutdown, .available = tcp_sock_available, .set = tcp_sock_set,
	.get = tcp_sock_get, .release = tcp_sock_release,
};

/* --- the clock, and the end of everything ----------------------------------------------------- */

void tcp_tick(void)
{
	if (tcp_busy())
		tcp_tmr();
}

bool tcp_busy(void)
{
	return tcp_active_pcbs || tcp_tw_pcbs;
}

bool tcp_unfinished(void)
{
	const struct tcp_pcb *p;

	for (p = tcp_active_pcbs; p; p = p->next)
		if (p->unsent || p->unacked || p->state == FIN_WAIT_1 || p->state == CLOSING ||
		    p->state == LAST_ACK)
			return true;
	return false;
}

void tcp_give_up_all(void)
{
	while (tcp_active_pcbs)
		tcp_abandon(tcp_active_pcbs, 0);
	while (tcp_tw_pcbs)
		tcp_abandon(tcp_tw_pcbs, 0);
}
