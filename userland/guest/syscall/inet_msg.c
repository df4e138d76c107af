// SPDX-License-Identifier: MIT
/*
 * inet_msg.c - messages on sockets of our own network
 *
 * The pieces of a message are the process's own; nothing of them is copied but by the protocol. Control data
 * that can be received is what IP_PKTINFO and IP_RECVTTL ask for; none can be sent.
 *
 * What each call does is in a function that has the file held (see inet.c).
 */
#include "inet.h"
#include "msghdr.h"
#include "syscall.h"
#include "../lib/string.h"
#include "../mm/kmalloc.h"
#include "../net/net.h"

#define VECS_INLINE	8u
#define VECS_MAX	1024u	/* IOV_MAX */
#define MSG_CTRUNC	0x8u
#define IP_TTL_		2
#define IP_PKTINFO_	8

/* struct pieces_of - the list of pieces of a message */
struct pieces_of {
	struct user_vec few[VECS_INLINE], *v;
	u32 n;
};

static long pieces_in(struct pieces_of *p, u64 uiov, u64 n)
{
	u64 left = FILE_RW_MAX;
	u32 i;

	p->v = p->few;
	p->n = (u32)n;
	if (n > VECS_MAX)
		return -EMSGSIZE;
	if (n > VECS_INLINE) {
		p->v = kmalloc(n * sizeof(*p->v));
		if (!p->v) {
			p->v = p->few;
			return -ENOMEM;
		}
	}
	if (copyin(p->v, uiov, n * sizeof(*p->v)))
		return -EFAULT;
	for (i = 0; i < n; i++) {
		if ((s64)p->v[i].len < 0)
			return -EINVAL;
		if (!user_range_ok(p->v[i].va, p->v[i].len))
			return -EFAULT;
		p->v[i].len = min(p->v[i].len, left);
		left -= p->v[i].len;
	}
	return 0;
}

static void pieces_done(struct pieces_of *p)
{
	if (p->v != p->few)
		kfree(p->v);
}

/* To whom: a stream's message goes to the other side, whatever it says. */
static long destination(const struct sock *s, struct sock_msg *m, u64 addr, u32 len)
{
	struct k_sockaddr_in in;
	long err;

	if (!addr || !len || s->type == SOCK_STREAM)
		return 0;
	err = inet_addr_in(&in, addr, len);
	if (err)
		return err;
	m->has_addr = true;
	m->addr = in.addr;
	m->port = in.port;
	return 0;
}

static long sendto(struct file *f, u64 buf, u64 len, u32 flags, u64 addr, u32 addr_len)
{
	struct sock *s = inet_of(f);
	struct user_vec v = { buf, min(len, (u64)FILE_RW_MAX) };
	struct sock_msg m = { .flags = flags };
	struct net_iter it;
	long ret;

	if (unlikely(!user_range_ok(buf, len)))
		return -EFAULT;
	ret = destination(s, &m, addr, addr_len);
	if (unlikely(ret))
		return ret;
	iter_user(&it, &v, 1);
	return inet_restart(inet_send(f, &it, &m), s->sndtimeo);
}

long inet_sendto(struct file *f, u64 buf, u64 len, u32 flags, u64 addr, u32 addr_len)
{
	long ret;

	file_get(f);
	ret = sendto(f, buf, len, flags, addr, addr_len);
	file_put(f);
	return ret;
}

static long sendmsg(struct file *f, u64 umsg, u32 flags)
{
	struct sock *s = inet_of(f);
	struct sock_msg m = { .flags = flags };
	struct pieces_of p;
	struct k_msghdr u;
	struct net_iter it;
	long ret;

	if (copyin(&u, umsg, sizeof(u)))
		return -EFAULT;
	if (u.control && u.controllen)
		return -EINVAL;
	ret = destination(s, &m, u.name, u.namelen);
	if (ret)
		return ret;
	ret = pieces_in(&p, u.iov, u.iovlen);
	if (!ret) {
		iter_user(&it, p.v, p.n);
		ret = inet_restart(inet_send(f, &it, &m), s->sndtimeo);
	}
	pieces_done(&p);
	return ret;
}

long inet_sendmsg(struct file *f, u64 umsg, u32 flags)
{
	long ret;

	file_get(f);
	ret = sendmsg(f, umsg, flags);
	file_put(f);
	return ret;
}

static long recvfrom(struct file *f, u64 buf, u64 len, u32 flags, u64 addr, u64 addr_len)
{
	struct sock *s = inet_of(f);
	struct user_vec v = { buf, min(len, (u64)FILE_RW_MAX) };
	struct sock_msg m = { .flags = flags };
	struct net_iter it;
	long ret;

	if (unlikely(!user_range_ok(buf, len)))
		return -EFAULT;
	iter_user(&it, &v, 1);
	ret = inet_restart(inet_recv(f, &it, &m), s->rcvtimeo);
	if (ret >= 0 && addr) {
		long err = s->type == SOCK_STREAM ? put_user_u32(addr_len, 0) :
						    inet_addr_out(addr, addr_len, m.addr, m.port);

		if (err)
			ret = err;
	}
	return ret;
}

long inet_recvfrom(struct file *f, u64 buf, u64 len, u32 flags, u64 addr, u64 addr_len)
{
	long ret;

	file_get(f);
	ret = recvfrom(f, buf, len, flags, addr, addr_len);
	file_put(f);
	return ret;
}

/* One piece of control data of @len bytes behind the *@at bytes that are there. */
static long control_out(const struct k_msghdr *u, u64 *at, u32 type, const void *data, u32 len,
			u32 *flags)
{
	struct k_cmsghdr c = { .len = sizeof(c) + len, .level = 0 /* IPPROTO_IP */, .type = type };
	u64 room = u->controllen - *at;

	if (!u->control || room < c.len) {
		*flags |= MSG_CTRUNC;
		return 0;
	}
	if (copyout(u->control + *at, &c, sizeof(c)) ||
	    copyout(u->control + *at + sizeof(c), data, len))
		return -EFAULT;
	*at += min(room, (u64)ALIGN_UP(c.len, 8ul));
	return 0;
}

static long all_control(const struct sock *s, const struct sock_msg *m, const struct k_msghdr *u,
			u64 *at, u32 *flags)
{
	u32 info[3] = { (m->daddr & 0xff) == LOOPBACK_NET ? 1 : 2, m->daddr, m->daddr };
	u32 ttl = m->ttl;
	long err = 0;

	*at = 0;
	if (s->type == SOCK_STREAM)
		return 0;
	if (s->pktinfo)
		err = control_out(u, at, IP_PKTINFO_, info, sizeof(info), flags);
	if (s->recvttl && !err)
		err = control_out(u, at, IP_TTL_, &ttl, sizeof(ttl), flags);
	return err;
}

static long recvmsg(struct file *f, u64 umsg, u32 flags)
{
	struct sock *s = inet_of(f);
	struct sock_msg m = { .flags = flags };
	struct k_sockaddr_in in = { .family = AF_INET };
	struct pieces_of p;
	struct k_msghdr u;
	struct net_iter it;
	u32 name_len = 0;
	u64 control;
	long ret, err;

	if (copyin(&u, umsg, sizeof(u)))
		return -EFAULT;
	if ((s32)u.namelen < 0)
		return -EINVAL;
	ret = pieces_in(&p, u.iov, u.iovlen);
	if (!ret) {
		iter_user(&it, p.v, p.n);
		ret = inet_restart(inet_recv(f, &it, &m), s->rcvtimeo);
	}
	pieces_done(&p);
	if (ret < 0)
		return ret;
	in.addr = m.addr;
	in.port = m.port;
	if (u.name && s->type != SOCK_STREAM) {
		name_len = sizeof(in);
		if (copyout(u.name, &in, min(u.namelen, name_len)))
			return -EFAULT;
	}
	err = all_control(s, &m, &u, &control, &m.out);
	if (err || put_user_u32(umsg + offsetof(struct k_msghdr, namelen), name_len) ||
	    put_user_u64(umsg + offsetof(struct k_msghdr, controllen), control) ||
	    put_user_u32(umsg + offsetof(struct k_msghdr, flags), m.out))
		return -EFAULT;
	return ret;
}

long inet_recvmsg(struct file *f, u64 umsg, u32 flags)
{
	long ret;

	file_get(f);
	ret = recvmsg(f, umsg, flags);
	file_put(f);
	return ret;
}
