// SPDX-License-Identifier: MIT
/*
 * inet.c - sockets of our own network as open files
 *
 * What may wait does so in one way (wait_for()): enter the socket's list, look, sleep, look again. The network is
 * polled before a call looks and after it has done something, so that a program that makes calls in a
 * row needs no interrupt, and what it has sent to itself is there when the call returns.
 *
 * Meanwhile another thread may close the last number that leads to the socket. So each call that may wait holds a
 * reference to the file from its beginning until it has done with file and socket: inet_call(), read and
 * write, and the calls of inet_msg.c. When it puts the last one, the socket is released there.
 *
 * What the host could do with a descriptor makes no sense here, since it has nothing like these sockets; it
 * only has stand-ins to wait with. So every call on one is answered here, with an error at
 * worst, but for epoll_ctl().
 */
#include <asm/unistd.h>
#include <linux/fcntl.h>
#include <linux/poll.h>
#include "inet.h"
#include "signal.h"
#include "syscall.h"
#include "../lib/string.h"
#include "../mm/kmalloc.h"
#include "../net/net.h"

#define SOCK_FLAGS	(O_CLOEXEC | O_NONBLOCK)	/* equal to SOCK_CLOEXEC, SOCK_NONBLOCK */
#define SENDFILE_CHUNK	65536u

static const struct file_ops inet_ops;

struct sock *inet_of(const struct file *f)
{
	return f && f->ops == &inet_ops ? f->object : NULL;
}

struct file *inet_file(u64 fd)
{
	struct file *f = fd_lookup(current_proc()->files, fd);

	return inet_of(f) ? f : NULL;
}

/* --- addresses -------------------------------------------------------------------------------- */

long inet_addr_in(struct k_sockaddr_in *a, u64 va, u64 len)
{
	memset(a, 0, sizeof(*a));
	if (len < sizeof(a->family) || len > 128)
		return -EINVAL;
	if (copyin(a, va, min(len, (u64)sizeof(*a))))
		return -EFAULT;
	if (a->family != AF_INET)
		return -EAFNOSUPPORT;
	return len < sizeof(*a) ? -EINVAL : 0;
}

long inet_addr_out(u64 va, u64 lenp, u32 addr, u16 port)
{
	struct k_sockaddr_in a = { .family = AF_INET, .port = port, .addr = addr };
	u32 len;

	if (get_user_u32(&len, lenp))
		return -EFAULT;
	if ((s32)len < 0)
		return -EINVAL;
	if (copyout(va, &a, min(len, (u32)sizeof(a))) || put_user_u32(lenp, sizeof(a)))
		return -EFAULT;
	return 0;
}

/* --- waiting ---------------------------------------------------------------------------------- */

static u64 deadline_of(u64 timeo)
{
	return timeo ? clock_monotonic() + timeo : NO_DEADLINE;
}

static bool blocks(const struct file *f, u32 flags)
{
	return !(f->flags & O_NONBLOCK || flags & MSG_DONTWAIT);
}

/* What is tried until it is not -EAGAIN; the arguments are the caller's. */
struct attempt {
	long (*try)(struct attempt *a);
	struct sock *s;
	struct net_iter *it;
	struct sock_msg *m;
	struct sock *child;
};

/* -EAGAIN when the time is over, -EINTR for a signal. The caller holds a reference to the socket's file. */
static long wait_for(struct attempt *a, u64 timeo, bool room)
{
	struct wait_entry e, r;
	u64 deadline = deadline_of(timeo);
	long ret, err = 0;

	wait_enter(&a->s->wait, &e);
	if (room)
		wait_enter(&net_room_waiters, &r);
	for (;;) {
		if (room)
			net_set_mask();
		ret = a->try(a);
		if (ret != -EAGAIN || err)
			break;
		net_poll();
		err = thread_sleep(deadline, SLEEP_SIGNALS);
	}
	if (room)
		wait_leave(&r);
	wait_leave(&e);
	return ret == -EAGAIN && err == -EINTR ? -EINTR : ret;
}

/* --- sending and receiving -------------------------------------------------------------------- */

static long try_send(struct attempt *a)
{
	return a->s->ops->send(a->s, a->it, a->m);
}

static long try_recv(struct attempt *a)
{
	return a->s->ops->recv(a->s, a->it, a->m);
}

long inet_send(struct file *f, struct net_iter *it, struct sock_msg *m)
{
	struct sock *s = inet_of(f);
	bool stream = s->type == SOCK_STREAM;
	struct attempt a = { .try = try_send, .s = s, .it = it, .m = m };
	u64 total = it->left;
	long ret;

	if (unlikely(m->flags & MSG_OOB))
		return -EOPNOTSUPP;
	if (!stream && unlikely(s->shut & SHUT_WR))
		ret = -EPIPE;
	else
		ret = stream && !total ? 0 : s->ops->send(s, it, m);
	while (unlikely((ret == -EAGAIN || (stream && ret > 0 && it->left)) &&
			blocks(f, m->flags)))  {
		ret = wait_for(&a, s->sndtimeo, !stream);
		if (ret < 0)
			break;
	}
	if (ret < 0 && stream && it->left < total)
		ret = (long)(total - it->left);
	else if (ret >= 0 && stream)
		ret = (long)(total - it->left);
	if (unlikely(ret == -EPIPE) && !(m->flags & MSG_NOSIGNAL))
		file_broken_pipe();
	net_poll();
	return ret;
}

long inet_recv(struct file *f, struct net_iter *it, struct sock_msg *m)
{
	struct sock *s = inet_of(f);
	bool stream = s->type == SOCK_STREAM;
	bool all = stream && (m->flags & (MSG_WAITALL | MSG_PEEK)) == MSG_WAITALL;
	struct attempt a = { .try = try_recv, .s = s, .it = it, .m = m };
	u64 total = it->left;
	long ret;

	if (unlikely(m->flags & MSG_OOB))
		return stream ? -EINVAL : -EOPNOTSUPP;
	if (unlikely(m->flags & MSG_ERRQUEUE))
		return -EAGAIN;
	net_poll();
	if (stream && !total)
		return 0;
	ret = s->ops->recv(s, it, m);
	while ((ret == -EAGAIN || (all && ret > 0 && it->left)) && blocks(f, m->flags)) {
		ret = wait_for(&a, s->rcvtimeo, false);
		if (ret < 0)
			break;
	}
	if (all && it->left < total)
		ret = (long)(total - it->left);
	net_poll();
	return ret;
}

/* --- the object ------------------------------------------------------------------------------- */

static long inet_read(struct file *f, const struct user_vec *v, u32 n)
{
	struct sock_msg m = { 0 };
	struct net_iter it;
	long ret;

	iter_user(&it, v, n);
	file_get(f);
	ret = inet_recv(f, &it, &m);
	file_put(f);
	return ret;
}

static long inet_write(struct file *f, const struct user_vec *v, u32 n)
{
	struct sock_msg m = { 0 };
	struct net_iter it;
	long ret;

	iter_user(&it, v, n);
	file_get(f);
	ret = inet_send(f, &it, &m);
	file_put(f);
	return ret;
}

static u32 inet_poll(struct file *f, struct wait_list **w)
{
	struct sock *s = f->object;

	net_poll();
	*w = &s->wait;
	return s->ops->poll(s);
}

static long inet_stand_in(struct file *f)
{
	return sock_stand_in(f->object);
}

static void inet_release(struct file *f)
{
	struct sock *s = f->object;

	s->ops->release(s);
	net_poll();
}

static const struct file_ops inet_ops = {
	.read = inet_read, .write = inet_write, .poll = inet_poll, .stand_in = inet_stand_in,
	.stand_in_writes = true, .release = inet_release,
};

/* A new open file for @s, and a number; @s is gone when there is none. */
static long install(struct sock *s, u32 flags)
{
	struct file *f = file_new_object(&inet_ops, s, O_RDWR | (flags & O_NONBLOCK));
	long fd;

	if (!f) {
		s->ops->release(s);
		return -ENOMEM;
	}
	fd = fd_install(current_proc()->files, f, 0, flags & O_CLOEXEC);
	if (fd < 0)
		file_put(f);
	return fd;
}

long inet_socket(u32 type, u32 proto)
{
	const struct sock_ops *ops;
	struct sock *s;
	long err;

	switch (type & ~(u32)SOCK_FLAGS) {
	case SOCK_STREAM:
		if (proto && proto != PROTO_TCP)
			return -EPROTONOSUPPORT;
		proto = PROTO_TCP;
		ops = &tcp_ops;
		break;
	case SOCK_DGRAM:
		if (proto && proto != PROTO_UDP && proto != PROTO_ICMP)
			return -EPROTONOSUPPORT;
		ops = proto == PROTO_ICMP ? &ping_ops : &udp_ops;
		proto = proto ? proto : PROTO_UDP;
		break;
	case SOCK_RAW:
		if (proto != PROTO_ICMP)
			return -EPROTONOSUPPORT;
		ops = &raw_ops;
		break;
	default: return -EINVAL;
	}
	s = sock_new(ops, type & 15, (u16)proto);
	if (!s)
		return -ENOMEM;
	err = ops->open ? ops->open(s) : 0;
	if (err) {
		sock_free(s);
		return err;
	}
	return install(s, type & SOCK_FLAGS);
}

/* --- connections ------------------------------------------------------------------------------ */

static long do_bind(struct sock *s, const u64 *a)
{
	struct k_sockaddr_in in;
	long err = inet_addr_in(&in, a[1], (u32)a[2]);

	/* As Linux for old programs: no family, any address. */
	if (err == -EAFNOSUPPORT && in.family == AF_UNSPEC && !in.addr && (u32)a[2] >= sizeof(in))
		err = 0;
	return err ? err : s->ops->bind(s, in.addr, in.port);
}

static long try_connect(struct attempt *a)
{
	return a->s->ops->connected(a->s);
}

static long do_connect(struct file *f, struct sock *s, const u64 *a)
{
	struct attempt at = { .try = try_connect, .s = s };
	struct k_sockaddr_in in;
	long ret = inet_addr_in(&in, a[1], (u32)a[2]);

	if (ret == -EAFNOSUPPORT && in.family == AF_UNSPEC)
		return s->ops->disconnect(s);
	if (ret)
		return ret;
	if (s->err && s->ops->connected)
		return sock_take_error(s);
	ret = s->ops->connect(s, in.addr, in.port);
	/* Who waits with the host's epoll for it to be writable is to see that it was not, before it is. */
	sock_flush();
	net_poll();
	if ((ret != -EINPROGRESS && ret != -EALREADY) || f->flags & O_NONBLOCK)
		return ret;
	ret = wait_for(&at, s->sndtimeo, false);
	net_poll();
	if (ret == -EAGAIN)
		return -EINPROGRESS;
	return inet_restart(ret, s->sndtimeo);
}

static long try_accept(struct attempt *a)
{
	/* Shut down meanwhile: nothing comes any more. */
	if (a->s->shut & SHUT_RD)
		return -EINVAL;
	return a->s->ops->accept(a->s, &a->child);
}

static long do_accept(struct file *f, struct sock *s, u64 addr, u64 lenp, u32 flags)
{
	struct attempt at = { .try = try_accept, .s = s };
	struct sock *c;
	long ret, err;

	if (flags & ~(u32)SOCK_FLAGS)
		return -EINVAL;
	if (!s->ops->accept)
		return -EOPNOTSUPP;
	net_poll();
	ret = try_accept(&at);
	if (ret == -EAGAIN && !(f->flags & O_NONBLOCK))
		ret = wait_for(&at, s->rcvtimeo, false);
	if (ret)
		return inet_restart(ret, s->rcvtimeo);
	c = at.child;
	ret = install(c, flags);
	if (ret < 0 || !addr)
		return ret;
	err = inet_addr_out(addr, lenp, c->raddr, c->rport);
	if (!err)
		return ret;
	file_put(fd_remove(current_proc()->files, (u32)ret));
	return err;
}

static long do_listen(struct sock *s, int backlog)
{
	return s->ops->listen ? s->ops->listen(s, backlog < 0 ? ~0u : (u32)backlog) : -EOPNOTSUPP;
}

static long do_shutdown(struct sock *s, u32 how)
{
	long ret = how > 2 ? -EINVAL : s->ops->shutdown(s, how + 1);

	net_poll();
	return ret;
}

/* --- sendfile --------------------------------------------------------------------------------- */

/* From a file of the host at @pos; what was sent, and @*pos behind it. */
static long send_from(struct file *f, int host, u64 *pos, u64 count)
{
	u8 *buf = kmalloc(SENDFILE_CHUNK);
	u64 done = 0;
	long ret = 0;

	if (!buf)
		return -ENOMEM;
	while (count) {
		struct sock_msg m = { .flags = count > SENDFILE_CHUNK ? MSG_MORE : 0 };
		struct net_iter it;
		long got;

		ret = host_call_intr(__NR_pread64, (u64)host, gpa_of(buf),
				     min(count, (u64)SENDFILE_CHUNK), *pos, 0, 0);
		if (ret <= 0)
			break;
		got = ret;
		iter_kernel(&it, buf, (u64)got);
		ret = inet_send(f, &it, &m);
		if (ret <= 0)
			break;
		done += (u64)ret;
		*pos += (u64)ret;
		count -= (u64)ret;
		if (ret < got)
			break;
	}
	kfree(buf);
	return done ? (long)done : inet_restart(ret, inet_of(f)->sndtimeo);
}

static long do_sendfile(struct file *f, const u64 *a)
{
	struct file *in = fd_lookup(current_proc()->files, a[1]);
	u64 pos, count = min(a[3], (u64)FILE_RW_MAX);
	long ret;

	if (!in)
		return -EBADF;
	if (in->host_fd < 0 || inet_of(f)->type != SOCK_STREAM)
		return -EINVAL;
	if (a[2]) {
		if (get_user_u64(&pos, a[2]))
			return -EFAULT;
	} else {
		ret = file_host_call(__NR_lseek, (u64)in->host_fd, 0, 1 /* SEEK_CUR */);
		if (ret < 0)
			return -EINVAL;
		pos = (u64)ret;
	}
	if ((s64)pos < 0)
		return -EINVAL;
	file_get(in);
	ret = send_from(f, in->host_fd, &pos, count);
	if (ret > 0 && a[2] && put_user_u64(a[2], pos))
		ret = -EFAULT;
	else if (ret > 0 && !a[2])
		file_host_call(__NR_lseek, (u64)in->host_fd, pos, 0 /* SEEK_SET */);
	file_put(in);
	return ret;
}

/* --- all calls -------------------------------------------------------------------------------- */

bool inet_call(u64 nr, struct file *f, const u64 *a, long *ret)
{
	struct sock *s = inet_of(f);

	if (nr == __NR_epoll_ctl)
		return false;
	file_get(f);
	switch (nr) {
	case __NR_bind: *ret = do_bind(s, a); break;
	case __NR_connect: *ret = do_connect(f, s, a); break;
	case __NR_listen: *ret = do_listen(s, (int)a[1]); break;
	case __NR_accept: *ret = do_accept(f, s, a[1], a[2], 0); break;
	case __NR_accept4: *ret = do_accept(f, s, a[1], a[2], (u32)a[3]); break;
	case __NR_shutdown: *ret = do_shutdown(s, (u32)a[1]); break;
	case __NR_getsockname: *ret = inet_addr_out(a[1], a[2], s->laddr, s->lport); break;
	case __NR_getpeername:
		*ret = s->connected ? inet_addr_out(a[1], a[2], s->raddr, s->rport) : -ENOTCONN;
		break;
	case __NR_setsockopt:
		*ret = inet_setsockopt(s, (int)a[1], (int)a[2], a[3], (u32)a[4]);
		break;
	case __NR_getsockopt:
		*ret = inet_getsockopt(s, (int)a[1], (int)a[2], a[3], a[4]);
		break;
	case __NR_sendfile:
		*ret = f == fd_lookup(current_proc()->files, a[0]) ? do_sendfile(f, a) : -EINVAL;
		break;
	case __NR_lseek:
	case __NR_pread64:
	case __NR_pwrite64:
	case __NR_preadv:
	case __NR_pwritev:
	case __NR_sync_file_range:
	case __NR_fadvise64: *ret = -ESPIPE; break;
	case __NR_getdents64:
	case __NR_fchdir: *ret = -ENOTDIR; break;
	default: *ret = -EINVAL; break;
	}
	sock_flush();
	file_put(f);
	return true;
}

long sys_socket(struct rs_frame *f)
{
	u64 a[6] = { ARG0(f), ARG1(f), ARG2(f) };

	if (!inet_available() || (u32)ARG0(f) == AF_UNIX)
		return forward(__NR_socket, a);
	if ((u32)ARG0(f) != AF_INET)
		return -EAFNOSUPPORT;
	return inet_socket((u32)ARG1(f), (u32)ARG2(f));
}
