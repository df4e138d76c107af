// SPDX-License-Identifier: MIT
/*
 * socket.c - messages: sendmsg, recvmsg, and sendto and recvfrom of memory that is not in one piece
 *
 * A message has up to three things behind pointers: an address, data in pieces, control data.
 * Address and control data are small and go through one kernel buffer together with the struct
 * msghdr itself; the data stays where it is. Descriptors travel in control data (SCM_RIGHTS):
 * outgoing numbers become the host's, incoming ones get numbers of the process. No other kind of
 * control data holds any.
 *
 * A socket that is bound to a name is a file that is made, and the program's umask applies to it;
 * the host process has none. Linux takes the file's mode from the socket's own, less the umask: so the
 * socket has the mode that the file shall have while it is bound. No moment at which the file has
 * more.
 *
 * An address could name a socket outside the sandbox, so it needs --net host; a socket pair has no
 * use for one.
 */
#include <asm/stat.h>
#include <asm/unistd.h>
#include <linux/fcntl.h>
#include "inet.h"
#include "msghdr.h"
#include "pieces.h"
#include "signal.h"
#include "syscall.h"
#include "../lib/string.h"
#include "../mm/kmalloc.h"

#define NAME_MAX_LEN	 128
#define CONTROL_MAX	 4096
#define MSG_WAITFORONE	 0x10000
#define MSG_CMSG_CLOEXEC 0x40000000
#define SOL_SOCKET	 1
#define SCM_RIGHTS	 1

#define S_IFSOCK	 0140000

/* What the host is given. */
struct message {
	struct k_msghdr hdr;
	u8 name[NAME_MAX_LEN];
	u8 control[CONTROL_MAX] __attribute__((aligned(8)));
};

/* Calls @fn for each descriptor in the SCM_RIGHTS parts of @control; stops at an error. */
static long each_fd(u8 *control, u64 len, long (*fn)(s32 *fd, void *ctx), void *ctx)
{
	u64 at = 0;
	long err;

	while (len - at >= sizeof(struct k_cmsghdr)) {
		struct k_cmsghdr c;
		u64 i;

		memcpy(&c, control + at, sizeof(c));
		if (c.len < sizeof(c) || c.len > len - at)
			return -EINVAL;
		if (c.level == SOL_SOCKET && c.type == SCM_RIGHTS)
			for (i = sizeof(c); i + 4 <= c.len; i += 4) {
				s32 fd;

				memcpy(&fd, control + at + i, 4);
				err = fn(&fd, ctx);
				if (err)
					return err;
				memcpy(control + at + i, &fd, 4);
			}
		if (ALIGN_UP(c.len, 8) >= len - at)
			break;
		at += ALIGN_UP(c.len, 8);
	}
	return 0;
}

static long to_host(s32 *fd, void *ctx)
{
	(void)ctx;
	/* What the host has instead of a socket of ours is not one. */
	if (inet_file((u32)*fd))
		return -EINVAL;
	*fd = fd_host(current_proc()->files, (u32)*fd);
	return *fd < 0 ? -EBADF : 0;
}

static long to_process(s32 *fd, void *ctx)
{
	*fd = (s32)install_host_fd(*fd, *(bool *)ctx, NULL);
	return 0; /* one that found no number is -errno there; the others are of use all the same */
}

static bool net_allowed(u64 nr)
{
	if (rs_boot->flags & RS_BOOT_NET_HOST)
		return true;
	host_explain((int)nr, EPERM, NULL);
	return false;
}

/* Does bind() of this address make a file? An abstract name, or none, does not. */
static bool makes_file(u64 addr, u64 len)
{
	struct {
		u16 family;
		char first;
	} __attribute__((packed)) a;

	return len >= sizeof(a) && !copyin(&a, addr, sizeof(a)) && a.family == AF_UNIX && a.first;
}

long sys_bind(struct rs_frame *f)
{
	u64 a[6] = { ARG0(f), ARG1(f), (u32)ARG2(f) };
	struct file *file = fd_lookup(current_proc()->files, a[0]);
	struct stat *st = host_bounce();
	u32 mode, mask = current_proc()->fs->umask;
	int host;
	long ret;

	if (inet_of(file)) {
		inet_call(__NR_bind, file, a, &ret);
		return ret;
	}
	if (!file || file->host_fd < 0 || !mask || !(rs_boot->flags & RS_BOOT_NET_HOST) ||
	    !makes_file(a[1], a[2]))
		return forward(__NR_bind, a);
	host = file->host_fd;
	if (host_call2(__NR_fstat, host, gpa_of(st)) || (st->st_mode & 0170000) != S_IFSOCK)
		return forward(__NR_bind, a);	/* the host says what is wrong with it */
	mode = st->st_mode & 07777;
	ret = host_call2(__NR_fchmod, host, mode & ~mask);
	if (ret)
		return ret;
	file_get(file);
	ret = forward(__NR_bind, a);
	host_call2(__NR_fchmod, host, mode);
	file_put(file);
	return ret;
}

static long gather(struct pieces *p, u64 uiov, u64 n, bool write)
{
	bool more = true;
	u64 v[2], k, total = 0;
	long err = 0;

	if (n > SEGS_MAX)
		return -EMSGSIZE;
	for (k = 0; k < n; k++) {
		if (copyin(v, uiov + 16 * k, sizeof(v)))
			return -EFAULT;
		if ((s64)v[1] < 0 || (s64)(total += v[1]) < 0)
			return -EINVAL;
		if (more && v[1])
			more = pieces_add(p, v[0], v[1], write, &err);
		if (err)
			return err;
	}
	return 0;
}

static long do_sendmsg(u64 nr, int host, const struct k_msghdr *u, struct pieces *p, u32 flags)
{
	struct message *m;
	long ret = 0;

	if (u->name && u->namelen && !net_allowed(nr))
		return -EPERM;
	if ((u->name && u->namelen > NAME_MAX_LEN) || (s32)u->namelen < 0)
		return -EINVAL;
	if (u->controllen > CONTROL_MAX)
		return -ENOBUFS;
	m = kzalloc(sizeof(*m));
	if (!m)
		return -ENOMEM;
	if (u->name && u->namelen) {
		m->hdr.name = gpa_of(m->name);
		m->hdr.namelen = u->namelen;
		if (copyin(m->name, u->name, u->namelen))
			ret = -EFAULT;
	}
	if (!ret && u->control && u->controllen) {
		m->hdr.control = gpa_of(m->control);
		m->hdr.controllen = u->controllen;
		if (copyin(m->control, u->control, u->controllen))
			ret = -EFAULT;
		if (!ret)
			ret = each_fd(m->control, u->controllen, to_host, NULL);
	}
	if (!ret) {
		m->hdr.iov = p->n ? gpa_of(p->seg) : 0;
		m->hdr.iovlen = p->n;
		ret = host_call_intr(__NR_sendmsg, host, gpa_of(m), flags, 0, 0, 0);
		if (!(flags & MSG_NOSIGNAL))
			pipe_check(ret);
	}
	kfree(m);
	return ret;
}

static long send_one(int host, u64 umsg, u32 flags)
{
	struct k_msghdr u;
	struct pieces p;
	long ret;

	if (copyin(&u, umsg, sizeof(u)))
		return -EFAULT;
	pieces_init(&p);
	ret = gather(&p, u.iov, u.iovlen, false);
	if (!ret)
		ret = do_sendmsg(__NR_sendmsg, host, &u, &p, flags);
	pieces_put(&p);
	return ret;
}

long sys_sendmsg(struct rs_frame *f)
{
	struct file *file = inet_file(ARG0(f));
	int host;

	if (file)
		return inet_sendmsg(file, ARG1(f), (u32)ARG2(f));
	host = fd_host(current_proc()->files, ARG0(f));
	return host < 0 ? host : send_one(host, ARG1(f), (u32)ARG2(f));
}

/*
 * One after the other, from the second on with @more flags. As on Linux an error counts only if it
 * meets the first; later ones show at the next call.
 */
static long each_message(struct rs_frame *f, long (*one)(int host, u64 umsg, u32 flags),
			 long (*inet)(struct file *f, u64 umsg, u32 flags), u32 flags, u32 more)
{
	struct file *file = inet_file(ARG0(f));
	int host = file ? 0 : fd_host(current_proc()->files, ARG0(f));
	u32 n = min((u32)ARG2(f), (u32)SEGS_MAX), i;
	long ret = 0;

	if (host < 0)
		return host;
	if (file)
		file_get(file);
	for (i = 0; i < n; i++) {
		u64 at = ARG1(f) + i * (u64)MMSGHDR_SIZE;

		ret = file ? inet(file, at, flags) : one(host, at, flags);
		if (ret >= 0 && put_user_u32(at + sizeof(struct k_msghdr), (u32)ret))
			ret = -EFAULT;
		if (ret < 0)
			break;
		flags |= more;
	}
	if (file)
		file_put(file);
	return i ? (long)i : ret;
}

long sys_sendmmsg(struct rs_frame *f)
{
	return each_message(f, send_one, inet_sendmsg, (u32)ARG3(f), 0);
}

long sys_sendto(struct rs_frame *f)
{
	struct k_msghdr u = { .name = ARG4(f), .namelen = ARG4(f) ? (u32)ARG5(f) : 0 };
	struct file *file = inet_file(ARG0(f));
	struct pieces p;
	long ret, err = 0;
	int host;

	if (file)
		return inet_sendto(file, ARG1(f), ARG2(f), (u32)ARG3(f), ARG4(f), u.namelen);
	host = fd_host(current_proc()->files, ARG0(f));
	if (host < 0)
		return host;
	pieces_init(&p);
	if (ARG2(f))
		pieces_add(&p, ARG1(f), ARG2(f), false, &err);
	ret = err ? err : do_sendmsg(__NR_sendto, host, &u, &p, (u32)ARG3(f));
	pieces_put(&p);
	return ret;
}

/* Receives; @u is as the process gave it and comes back as it is to be told. */
static long do_recvmsg(int host, struct k_msghdr *u, struct pieces *p, u32 flags)
{
	bool cloexec = flags & MSG_CMSG_CLOEXEC;
	struct message *m;
	long ret;

	if ((s32)u->namelen < 0)
		return -EINVAL;
	m = kzalloc(sizeof(*m));
	if (!m)
		return -ENOMEM;
	if (u->name && u->namelen) {
		m->hdr.name = gpa_of(m->name);
		m->hdr.namelen = min(u->namelen, (u32)NAME_MAX_LEN);
	}
	if (u->control && u->controllen) {
		m->hdr.control = gpa_of(m->control);
		m->hdr.controllen = min(u->controllen, (u64)CONTROL_MAX);
	}
	m->hdr.iov = p->n ? gpa_of(p->seg) : 0;
	m->hdr.iovlen = p->n;
	ret = host_call_intr(__NR_recvmsg, host, gpa_of(m), flags, 0, 0, 0);
	if (ret >= 0) {
		u64 clen = m->hdr.control ? min(m->hdr.controllen, (u64)CONTROL_MAX) : 0;

		each_fd(m->control, clen, to_process, &cloexec);
		if (u->name && m->hdr.name &&
		    copyout(u->name, m->name,
			    min(min(m->hdr.namelen, u->namelen), (u32)NAME_MAX_LEN)))
			ret = -EFAULT;
		if (clen && copyout(u->control, m->control, min(clen, u->controllen)))
			ret = -EFAULT;
		u->namelen = m->hdr.namelen;
		u->controllen = clen;
		u->flags = m->hdr.flags;
	}
	kfree(m);
	return ret;
}

static long receive_one(int host, u64 umsg, u32 flags)
{
	struct k_msghdr u;
	struct pieces p;
	long ret;

	if (copyin(&u, umsg, sizeof(u)))
		return -EFAULT;
	pieces_init(&p);
	ret = gather(&p, u.iov, u.iovlen, true);
	if (!ret) {
		ret = do_recvmsg(host, &u, &p, flags);
		if (ret >= 0 &&
		    (put_user_u32(umsg + offsetof(struct k_msghdr, namelen), u.namelen) ||
		     put_user_u64(umsg + offsetof(struct k_msghdr, controllen), u.controllen) ||
		     put_user_u32(umsg + offsetof(struct k_msghdr, flags), u.flags)))
			ret = -EFAULT;
	}
	pieces_put(&p);
	return ret;
}

long sys_recvmsg(struct rs_frame *f)
{
	struct file *file = inet_file(ARG0(f));
	int host;

	if (file)
		return inet_recvmsg(file, ARG1(f), (u32)ARG2(f));
	host = fd_host(current_proc()->files, ARG0(f));
	return host < 0 ? host : receive_one(host, ARG1(f), (u32)ARG2(f));
}

/*
 * The timeout of this call is only looked at between messages on Linux; here, the messages that are
 * there are taken after the first.
 */
long sys_recvmmsg(struct rs_frame *f)
{
	u32 flags = (u32)ARG3(f);

	return each_message(f, receive_one, inet_recvmsg, flags & ~MSG_WAITFORONE,
			    flags & MSG_WAITFORONE || ARG4(f) ? MSG_DONTWAIT : 0);
}

long sys_recvfrom(struct rs_frame *f)
{
	struct k_msghdr u = { .name = ARG4(f) };
	struct file *file = inet_file(ARG0(f));
	struct pieces p;
	long ret, err = 0;
	int host;

	if (file)
		return inet_recvfrom(file, ARG1(f), ARG2(f), (u32)ARG3(f), ARG4(f), ARG5(f));
	host = fd_host(current_proc()->files, ARG0(f));
	if (host < 0)
		return host;
	if (ARG4(f) && get_user_u32(&u.namelen, ARG5(f)))
		return -EFAULT;
	pieces_init(&p);
	if (ARG2(f))
		pieces_add(&p, ARG1(f), ARG2(f), true, &err);
	ret = err ? err : do_recvmsg(host, &u, &p, (u32)ARG3(f));
	if (ret >= 0 && ARG4(f) && ARG5(f) && put_user_u32(ARG5(f), u.namelen))
		ret = -EFAULT;
	pieces_put(&p);
	return ret;
}
