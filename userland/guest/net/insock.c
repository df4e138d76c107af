// SPDX-License-Identifier: MIT
/*
 * insock.c - see insock.h
 */
#include <asm/unistd.h>
#include <linux/fcntl.h>
#include <linux/poll.h>
#include "net.h"
#include "insock.h"
#include "../host/host.h"
#include "../lib/string.h"
#include "../mm/kmalloc.h"
#include "../mm/uaccess.h"

#define AF_UNIX		1
#define SOCK_FLAGS	(O_CLOEXEC | O_NONBLOCK)	/* equal to SOCK_CLOEXEC, SOCK_NONBLOCK */
#define POLLRDHUP_	0x2000u

static u64 last_ino = 1ull << 32;	/* the host's begin lower */
static struct list dirty = LIST_INIT(dirty);

/* --- bytes ------------------------------------------------------------------------------------ */

long iter_in(struct net_iter *it, void *dst, u64 n)
{
	u8 *to = dst;
	u64 part;

	it->left -= n;
	if (it->kernel) {
		memcpy(to, it->kernel, n);
		it->kernel += n;
		return 0;
	}
	for (; n; n -= part, to += part) {
		part = min(n, cursor_run(&it->c));
		if (copyin(to, cursor_va(&it->c), part))
			return -EFAULT;
		cursor_move(&it->c, part);
	}
	return 0;
}

long iter_out(struct net_iter *it, const void *src, u64 n)
{
	const u8 *from = src;
	u64 part;

	it->left -= n;
	if (it->kernel) {
		memcpy(it->kernel, from, n);
		it->kernel += n;
		return 0;
	}
	for (; n; n -= part, from += part) {
		part = min(n, cursor_run(&it->c));
		if (copyout(cursor_va(&it->c), from, part))
			return -EFAULT;
		cursor_move(&it->c, part);
	}
	return 0;
}

/* --- sockets ---------------------------------------------------------------------------------- */

struct sock *sock_new(const struct sock_ops *ops, u16 type, u16 proto)
{
	struct sock *s = kzalloc(ops->size ? ops->size : sizeof(*s));

	if (!s)
		return NULL;
	s->ops = ops;
	s->type = type;
	s->proto = proto;
	s->ino = ++last_ino;
	s->ttl = IP_TTL;
	s->mc_ttl = 1;
	s->rcvbuf = s->sndbuf = SOCK_BUF_DEFAULT;
	s->linger = -1;
	s->pair[0] = s->pair[1] = -1;
	list_init(&s->queue);
	list_init(&s->hash);
	list_init(&s->dirty);
	wait_list_init(&s->wait);
	return s;
}

void sock_free(struct sock *s)
{
	while (!list_empty(&s->queue)) {
		struct nbuf *n = list_first(&s->queue, struct nbuf, link);

		list_del(&n->link);
		nbuf_free(n);
	}
	list_del(&s->hash);
	list_del(&s->dirty);
	if (s->pair[0] >= 0) {
		file_host_close(s->pair[0]);
		file_host_close(s->pair[1]);
	}
	kfree(s);
}

void sock_event(struct sock *s)
{
	wait_wake(&s->wait);
	if (unlikely(s->pair[0] >= 0) && list_empty(&s->dirty))
		list_add_tail(&dirty, &s->dirty);
}

void sock_error(struct sock *s, int err)
{
	s->err = err;
	sock_event(s);
}

/* --- stand-ins -------------------------------------------------------------------------------- */

#define FILL_MAX	64	/* writes that fill a queue; it takes far fewer */

/* Into the pair at @fd until no more goes in; or all out of it. */
static void fill(s32 fd)
{
	u32 i;

	for (i = 0; i < FILL_MAX; i++)
		if (file_host_call(__NR_write, fd, gpa_of(host_bounce()), 1024) <= 0)
			return;
}

static void drain(s32 fd)
{
	while (file_host_call(__NR_read, fd, gpa_of(host_bounce()), HOST_BOUNCE_SIZE) > 0)
		;
}

/* What of poll()'s answer the pair is to show (insock.h). */
static u32 shown(struct sock *s)
{
	u32 now = s->ops->poll(s) & (POLLIN | POLLOUT | POLLHUP | POLLERR | POLLRDHUP_);

	if (!s->connected)
		now &= ~(u32)(POLLHUP | POLLRDHUP_);
	if (now & POLLERR)
		now |= POLLIN;
	/* It cannot show less than that any more. */
	if (s->told & POLLRDHUP_)
		now |= POLLIN | POLLRDHUP_;
	return now;
}

static void update(struct sock *s)
{
	u32 now, change;

	if (s->told & POLLHUP)
		return;
	now = shown(s);
	change = now ^ s->told;
	if (change & POLLIN && !(now & POLLIN))
		drain(s->pair[0]);
	/* An error behind data is news, too. */
	else if (change & now & (POLLIN | POLLERR) && !(s->told & POLLRDHUP_))
		file_host_call(__NR_write, s->pair[1], gpa_of(host_bounce()), 1);
	if (change & POLLOUT) {
		if (now & POLLOUT)
			drain(s->pair[1]);
		else
			fill(s->pair[0]);
	}
	if (change & now & POLLHUP)
		file_host_call(__NR_shutdown, s->pair[1], 2, 0);
	else if (change & now & POLLRDHUP_)
		file_host_call(__NR_shutdown, s->pair[1], 1, 0);
	s->told = now;
}

/*
 * A request to the host may announce packets, and these come here again: in the middle of update(), which
 * would then undo for the newer state what is to be seen of it. What they change is looked at by the
 * outer one.
 */
void sock_flush(void)
{
	static bool flushing;

	if (flushing)
		return;
	flushing = true;
	while (unlikely(!list_empty(&dirty))) {
		struct sock *s = list_first(&dirty, struct sock, dirty);

		list_del(&s->dirty);
		update(s);
	}
	flushing = false;
}

long sock_stand_in(struct sock *s)
{
	s32 *pair = host_bounce();
	long err;

	if (s->pair[0] >= 0)
		return s->pair[0];
	err = host_call4(__NR_socketpair, AF_UNIX, SOCK_STREAM | SOCK_FLAGS, 0, gpa_of(pair));
	if (err < 0)
		return err;
	s->pair[0] = pair[0];
	s->pair[1] = pair[1];
	s->told = POLLOUT;
	if (list_empty(&s->dirty))
		list_add_tail(&dirty, &s->dirty);
	sock_flush();
	return s->pair[0];
}

/* --- datagrams -------------------------------------------------------------------------------- */

bool dgram_queue(struct sock *s, struct nbuf *n)
{
	u32 cost = nbuf_cost(n);

	if (s->shut & SHUT_RD || s->queued + cost > s->rcvbuf || unlikely(nbuf_scarce())) {
		nbuf_free(n);
		return false;
	}
	s->queued += cost;
	s->nqueued++;
	list_add_tail(&s->queue, &n->link);
	sock_event(s);
	return true;
}

long dgram_recv(struct sock *s, struct net_iter *it, struct sock_msg *m)
{
	u64 asked = it->left, len, left;
	struct nbuf *n, *p;

	if (unlikely(s->err))
		return sock_take_error(s);
	if (list_empty(&s->queue))
		return s->shut & SHUT_RD ? 0 : -EAGAIN;
	n = list_first(&s->queue, struct nbuf, link);
	m->addr = n->saddr;
	m->daddr = n->daddr;
	m->port = n->sport;
	m->ttl = n->ttl;
	len = n->total;
	if (len > asked)
		m->out |= MSG_TRUNC;
	for (p = n, left = min(asked, len); left; p = p->next) {
		u64 part = min(left, (u64)p->len);

		if (iter_out(it, p->data, part))
			return -EFAULT;
		left -= part;
	}
	if (!(m->flags & MSG_PEEK)) {
		list_del(&n->link);
		s->nqueued--;
		s->queued -= nbuf_cost(n);
		nbuf_free(n);
		sock_touched(s);
	}
	return (long)(m->flags & MSG_TRUNC ? len : min(asked, len));
}

u32 dgram_poll(struct sock *s)
{
	u32 p = 0;

	if (s->nqueued || s->shut & SHUT_RD)
		p |= POLLIN | POLLRDNORM;
	if (s->shut & SHUT_RD)
		p |= POLLRDHUP_;
	if (s->shut == (SHUT_RD | SHUT_WR))
		p |= POLLHUP;
	if (s->err)
		p |= POLLERR;
	if (net_can_send())
		p |= POLLOUT | POLLWRNORM;
	return p;
}

long dgram_shutdown(struct sock *s, u32 how)
{
	if (!s->connected)
		return -ENOTCONN;
	s->shut |= how;
	sock_event(s);
	return 0;
}

u32 dgram_available(struct sock *s)
{
	return list_empty(&s->queue) ? 0 : list_first(&s->queue, struct nbuf, link)->total;
}

/* --- ports ------------------------------------------------------------------------------------ */

void port_table_init(struct port_table *t)
{
	u32 i;

	for (i = 0; i < PORT_BUCKETS; i++)
		list_init(&t->bucket[i]);
}

u16 port_random(void)
{
	static u64 state;

	/* Hard to guess from outside, no more: the boot page's random bytes and the clock. */
	if (!state)
		memcpy(&state, rs_boot->random, sizeof(state));
	state += rdtsc();
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (u16)(PORT_FIRST + state % (PORT_LAST - PORT_FIRST + 1));
}

static bool taken(struct port_table *t, const struct sock *s, u32 addr, u16 port)
{
	struct sock *o;

	list_for_each(o, port_bucket(t, port), hash)
		if (o != s && o->lport == port && !(s->reuse && o->reuse) &&
		    (!addr || !o->laddr_bound || o->laddr == addr))
			return true;
	return false;
}

long port_bind(struct port_table *t, struct sock *s, u32 addr, u16 port)
{
	u32 i, p;

	if (addr && !ipv4_is_local(addr) && !ipv4_is_broadcast(addr) && !ipv4_is_multicast(addr))
		return -EADDRNOTAVAIL;
	if (port) {
		if (taken(t, s, addr, port))
			return -EADDRINUSE;
	} else {
		p = port_random();
		for (i = 0; i <= PORT_LAST - PORT_FIRST; i++, p++) {
			if (p > PORT_LAST)
				p = PORT_FIRST;
			port = be16((u16)p);
			if (!taken(t, s, 0, port))
				break;
		}
		if (i > PORT_LAST - PORT_FIRST)
			return -EADDRINUSE;
	}
	s->lport = port;
	if (addr) {
		s->laddr = addr;
		s->laddr_bound = true;
	}
	/* The newest first: of those that share a port it is the one that is found. */
	list_del(&s->hash);
	list_add(port_bucket(t, port), &s->hash);
	return 0;
}

void port_release(struct sock *s)
{
	list_del(&s->hash);
	s->lport = 0;
}
