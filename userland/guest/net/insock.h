/* SPDX-License-Identifier: MIT */
/*
 * insock.h - what all sockets of our own network have in common
 *
 * A struct sock belongs to an open file (syscall/inet.c), or, when it is a connection that nobody has
 * accepted yet, to the listening socket. Its protocol is a struct sock_ops; none of these sleeps: what
 * cannot be done now is -EAGAIN, and the caller waits in @wait, which every change wakes (sock_event()), for
 * whatever it is that has changed.
 *
 * To wait for a socket together with files of the host there is a stand-in (fs/fd.h): one end of a pair of
 * the host's sockets, which can be read from while there is something in it and written to while the
 * other end's queue has room, and which hangs up when that end does. So all of POLLIN, POLLOUT, POLLRDHUP and
 * POLLHUP of ours are its own, and epoll and poll at the host see edges where ours has them. It is
 * brought up to date by sock_flush(), at the end of every call and of net_poll(): not in between, since
 * a request to the host may announce new packets.
 *
 * A pair that has hung up cannot take that back, and the host's epoll has this pair for good. So it shows only what
 * is final: the end of a connection that there was. A socket that may still be connected can be written to,
 * no more; an error, and a connection that did not come about, make it readable until the program has been told. (What
 * was connected, has ended and is then made new by connect(AF_UNSPEC) is seen as ended for as long as it is in an epoll.)
 */
#ifndef RS_NET_INSOCK_H
#define RS_NET_INSOCK_H

#include "../lib/types.h"
#include "../lib/list.h"
#include "../fs/fd.h"
#include "../proc/sched.h"
#include "nbuf.h"

#define SOCK_STREAM	1
#define SOCK_DGRAM	2
#define SOCK_RAW	3

#define MSG_OOB		0x1u
#define MSG_PEEK	0x2u
#define MSG_TRUNC	0x20u
#define MSG_DONTWAIT	0x40u
#define MSG_WAITALL	0x100u
#define MSG_ERRQUEUE	0x2000u
#define MSG_NOSIGNAL	0x4000u
#define MSG_MORE	0x8000u

#define SHUT_RD		1u
#define SHUT_WR		2u

/*
 * A queue is measured by what its packets take of memory (nbuf_cost()), on Linux, too. By default it has
 * room for about as many as the NIC's ring, at most for as many as there are (net_init()).
 */
#define SOCK_BUF_DEFAULT	(2u << 20)
#define SOCK_BUF_MIN		4096u
#define SOCK_BUF_MAX		(16u << 20)

struct sock_ops;

struct sock {
	const struct sock_ops *ops;
	u16 type, proto;
	u64 ino;
	/* addresses and ports, network byte order; 0: none */
	u32 laddr, raddr;
	u16 lport, rport;
	bool laddr_bound;	/* @laddr was asked for by bind() */
	bool connected;
	u8 shut;		/* SHUT_* */
	int err;		/* what the next call is told, positive */
	/* options */
	bool reuse, broadcast, keepalive, recverr, pktinfo, recvttl, df;
	u8 ttl, tos, mc_ttl;
	bool mc_noloop;
	u32 rcvbuf, sndbuf;
	u64 rcvtimeo, sndtimeo;	/* ns; 0: none */
	s32 linger;		/* seconds; -1: off */
	u32 icmp_filter;
	/* datagrams */
	struct list queue;	/* struct nbuf by link */
	u32 nqueued, queued;	/* packets; their nbuf_cost() */

	struct wait_list wait;
	struct list hash;	/* with the others of its protocol */
	struct list dirty;	/* its stand-in has to be looked at */
	s32 pair[2];		/* the stand-in and the other end of it; -1 */
	u32 told;		/* POLL* that the stand-in shows; POLLERR: as POLLIN */
};

/** struct net_iter - where bytes come from or go to: the process's memory, or the kernel's */
struct net_iter {
	struct user_cursor c;
	u8 *kernel;
	u64 left;
};

static inline void iter_user(struct net_iter *it, const struct user_vec *v, u32 n)
{
	cursor_init(&it->c, v, n);
	it->kernel = NULL;
	it->left = it->c.left;
}

static inline void iter_kernel(struct net_iter *it, void *p, u64 n)
{
	it->kernel = p;
	it->left = n;
}

/** iter_in(), iter_out() - @n bytes (at most @left) from there, and there; 0 or -EFAULT */
long iter_in(struct net_iter *it, void *dst, u64 n);
long iter_out(struct net_iter *it, const void *src, u64 n);

/** struct sock_msg - of one message: who it is for, or from; what it was sent to */
struct sock_msg {
	u32 addr, daddr;
	u16 port;
	bool has_addr;
	u8 ttl;
	u32 flags;	/* MSG_* that were asked for */
	u32 out;	/* MSG_* that are to be told */
};

struct sock_ops {
	u32 size;	/* of what the struct sock is part of, when it is */
	long (*open)(struct sock *s);	/* after sock_new(); may be NULL */
	/* addresses were checked to be of a family that is ours */
	long (*bind)(struct sock *s, u32 addr, u16 port);
	/* 0, -EINPROGRESS, or what is wrong. connected() says when it is over: -EAGAIN, 0, an error */
	long (*connect)(struct sock *s, u32 addr, u16 port);
	long (*connected)(struct sock *s);
	long (*disconnect)(struct sock *s);
	long (*listen)(struct sock *s, u32 backlog);
	long (*accept)(struct sock *s, struct sock **child);
	bool (*listening)(struct sock *s);
	/* bytes that were taken, in @it; less than all of them: the rest later. -EAGAIN: none now */
	long (*send)(struct sock *s, struct net_iter *it, struct sock_msg *m);
	long (*recv)(struct sock *s, struct net_iter *it, struct sock_msg *m);
	u32 (*poll)(struct sock *s);
	long (*shutdown)(struct sock *s, u32 how);
	u32 (*available)(struct sock *s);
	/* options of the protocol's own level; -ENOPROTOOPT */
	long (*set)(struct sock *s, int level, int name, int value);
	long (*get)(struct sock *s, int level, int name, int *value);
	/* the last reference is gone; @closing: by close(), which may have to say something */
	void (*release)(struct sock *s);
};

extern const struct sock_ops udp_ops, ping_ops, raw_ops, tcp_ops;

/** sock_new() - NULL without memory */
struct sock *sock_new(const struct sock_ops *ops, u16 type, u16 proto);
/** sock_free() - what sock_new() made; its queue and stand-in as well; release() does it in the end */
void sock_free(struct sock *s);
/** sock_event() - something has changed: who waits looks again */
void sock_event(struct sock *s);
/** sock_error() - the same with an error for the next call */
void sock_error(struct sock *s, int err);
/** sock_touched() - a call may have changed what the stand-in is to show */
static inline void sock_touched(struct sock *s)
{
	if (unlikely(s->pair[0] >= 0) && list_empty(&s->dirty))
		sock_event(s);
}
/** sock_take_error() - the error that waits, as -errno; 0: none */
static inline long sock_take_error(struct sock *s)
{
	int err = s->err;

	s->err = 0;
	sock_touched(s);
	return -err;
}
/** sock_flush() - brings stand-ins up to date */
void sock_flush(void);
/** sock_stand_in() - its descriptor at the host, or -errno */
long sock_stand_in(struct sock *s);

/* Datagrams: udp.c and ping.c */
/** dgram_queue() - @n to be read by the owner of @s; taken; false: no room, dropped */
bool dgram_queue(struct sock *s, struct nbuf *n);
long dgram_recv(struct sock *s, struct net_iter *it, struct sock_msg *m);
u32 dgram_poll(struct sock *s);
long dgram_shutdown(struct sock *s, u32 how);
u32 dgram_available(struct sock *s);
/**
 * struct port_table - sockets by port (or ICMP id); port_bind() gives @s the port, or (0) any that is free
 * 0, -EADDRINUSE, -EADDRNOTAVAIL
 */
#define PORT_BUCKETS	64u
struct port_table {
	struct list bucket[PORT_BUCKETS];
};
void port_table_init(struct port_table *t);
long port_bind(struct port_table *t, struct sock *s, u32 addr, u16 port);
void port_release(struct sock *s);
/** port_random() - where to begin looking for a free one, ours, not the network's, order of bytes */
u16 port_random(void);
#define PORT_FIRST	32768u
#define PORT_LAST	60999u
static inline struct list *port_bucket(struct port_table *t, u16 port)
{
	return &t->bucket[(port ^ port >> 8) & (PORT_BUCKETS - 1)];
}

#endif
