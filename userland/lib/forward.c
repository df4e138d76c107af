// SPDX-License-Identifier: MIT
/*
 * Forwarded calls: from what the guest kernel asks to what Linux is asked.
 *
 * A request (struct rs_call) is hostile. Three steps, in this order, and none of them looks at
 * guest memory that an earlier one has already looked at:
 *
 *	check	number and arguments are copied once; the row of the table says what each argument
 *		is. Descriptors must be the guest's. Addresses are guest physical: they must lie
 *		with their whole length in the arena or the window, and become addresses of this
 *		process. What holds further addresses, descriptors or lengths (iovec, msghdr,
 *		pollfd, socklen_t) is copied to memory of our own first and checked there.
 *	call	the system call, with a real SYSCALL instruction in this thread.
 *	finish	what the kernel wrote into our copies goes to the guest; new descriptors become the
 *		guest's, one that is closed was taken from it before the call.
 *
 * With several callers (helper threads, vCPUs) a descriptor could be closed between check and call,
 * and its number be given to a file of this library, one that policy.c has open for a moment and
 * that is not the guest's. So each caller holds the descriptors it has checked until its call is
 * over, and a number that is held is not given back to Linux: see hold_fd().
 *
 * Buffers themselves are handed to the kernel in place: what is there is data, and may change at
 * any time as in any threaded program. Strings (paths) likewise: the kernel copies them before it
 * looks, and the guard areas around arena and window bound how far.
 *
 * This file is on the hot path: general registers only, no libc (the Makefile checks). A plain call
 * costs about a hundred instructions here.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/socket.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>

#include "raw.h"
#include "sandbox.h"

/* What finish has to do, as bits. */
#define POST_LENGTH	1
#define POST_POLLFDS	2
#define POST_PAIR	4
#define POST_MSG	8

/* The guest's struct msghdr is Linux's. */
struct guest_msghdr {
	uint64_t name;
	uint32_t namelen;
	uint32_t pad0;
	uint64_t iov;
	uint64_t iovlen;
	uint64_t control;
	uint64_t controllen;
	int32_t flags;
	uint32_t pad1;
};

_Static_assert(sizeof(struct guest_msghdr) == sizeof(struct msghdr), "one layout");

/**
 * struct check - one call being checked
 * @nr:   the call to be made: not always the one asked for, after check_values()
 * @in:   the arguments as the guest gave them, read once
 * @out:  what the kernel will get
 * @post: POST_*; @length_at and @pair_at are guest memory (HVA) for finish
 */
struct check {
	struct rs_caller *by;
	struct rs_sandbox *sb;
	const struct rs_call_row *row;
	long nr;
	uint64_t in[6];
	long out[6];
	unsigned int post;
	unsigned int polls;
	void *length_at, *pair_at, *polls_at, *msg_at, *control_at;
	uint32_t name_room;
	uint64_t control_room;
};

/*
 * Hold descriptor @fd for this call, so that its number stays what it is until the call is over.
 * Counted first, then looked at, while close() takes the right away first and then looks at the
 * count: either this call sees that the descriptor is gone, or close() sees this call.
 */
static __attribute__((noinline)) bool hold_fd(struct rs_caller *by, int64_t fd)
{
	struct rs_sandbox *sb = by->sb;

	if ((uint64_t)fd >= RS_FD_LIMIT || by->nheld == RS_HELD_MAX)
		return false;
	__atomic_fetch_add(&sb->users[fd], 1, __ATOMIC_SEQ_CST);
	by->held[by->nheld++] = fd;
	return __atomic_load_n(&sb->owned[fd / 64], __ATOMIC_SEQ_CST) >> (fd % 64) & 1;
}

/* The last holder of a descriptor that was closed meanwhile closes it. */
static __attribute__((noinline)) void release_fds(struct rs_caller *by)
{
	struct rs_sandbox *sb = by->sb;

	while (by->nheld) {
		int32_t fd = by->held[--by->nheld];
		uint64_t bit = 1ull << (fd % 64);

		if (__atomic_sub_fetch(&sb->users[fd], 1, __ATOMIC_SEQ_CST))
			continue;
		if (__atomic_load_n(&sb->closing[fd / 64], __ATOMIC_SEQ_CST) & bit &&
		    __atomic_fetch_and(&sb->closing[fd / 64], ~bit, __ATOMIC_SEQ_CST) & bit)
			rs_raw3(__NR_close, fd, 0, 0);
	}
}

/*
 * close() where other threads make calls too; this call holds the descriptor. One close takes the
 * right to use it away, a second is EBADF. With other holders the number stays taken until the last
 * of them is done, whatever the guest does meanwhile.
 */
static __attribute__((noinline)) long close_held(struct rs_caller *by, int32_t fd)
{
	struct rs_sandbox *sb = by->sb;
	uint64_t bit = 1ull << (fd % 64);

	if (!(__atomic_fetch_and(&sb->owned[fd / 64], ~bit, __ATOMIC_SEQ_CST) & bit))
		return -EBADF;
	if (__atomic_load_n(&sb->users[fd], __ATOMIC_SEQ_CST) == 1)
		return rs_raw3(__NR_close, fd, 0, 0);
	__atomic_fetch_or(&sb->closing[fd / 64], bit, __ATOMIC_SEQ_CST);
	return 0;
}

/* May the guest use descriptor @fd in this call? */
static inline bool use_fd(struct rs_caller *by, int64_t fd)
{
	return by->sb->several ? hold_fd(by, fd) : rs_fd_owned(by->sb, fd);
}

static long check_fd(struct rs_caller *by, uint64_t in, long *out)
{
	int32_t fd = (int32_t)in;

	if (!use_fd(by, fd))
		return -EBADF;
	*out = fd;
	return 0;
}

/*
 * A range that the kernel reads or writes in place; the address 0 stands for none and must then
 * have no length.
 */
static inline long check_range(const struct rs_sandbox *sb, uint64_t gpa, uint64_t len, long *out)
{
	void *hva;

	if (!gpa) {
		*out = 0;
		return len ? -EFAULT : 0;
	}
	hva = rs_gpa(&sb->mem, gpa, len);
	if (!hva)
		return -EFAULT;
	*out = (long)hva;
	return 0;
}

/* As check_range(), but 0 is NULL whatever the length. */
static inline long check_optional(const struct rs_sandbox *sb, uint64_t gpa, uint64_t len,
				  long *out)
{
	if (!gpa) {
		*out = 0;
		return 0;
	}
	return check_range(sb, gpa, len, out);
}

/* Copy an array of @n iovecs at @gpa into the scratch area and check each. Returns 0 or -errno. */
static long check_iov(struct rs_caller *by, uint64_t gpa, uint64_t n)
{
	struct rs_sandbox *sb = by->sb;
	struct iovec *iov = by->scratch.iov;
	const void *from;
	uint64_t i;
	long ret, hva;

	if (n > RS_IOV_MAX)
		return -EINVAL;
	if (!n)
		return 0;
	from = rs_gpa(&sb->mem, gpa, n * sizeof(*iov));
	if (!gpa || !from)
		return -EFAULT;
	ret = rs_copy_from_guest(iov, from, n * sizeof(*iov));
	if (ret)
		return ret;
	for (i = 0; i < n; i++) {
		ret = check_range(sb, (uint64_t)iov[i].iov_base, iov[i].iov_len, &hva);
		if (ret)
			return ret;
		iov[i].iov_base = (void *)hva;
	}
	return 0;
}

static long check_pollfds(struct check *c, uint64_t gpa, uint64_t n)
{
	struct pollfd *polls = c->by->scratch.polls;
	const void *from;
	uint64_t i;
	long ret;

	if (n > RS_POLL_MAX)
		return -EINVAL;
	if (n) {
		from = rs_gpa(&c->sb->mem, gpa, n * sizeof(*polls));
		if (!gpa || !from)
			return -EFAULT;
		ret = rs_copy_from_guest(polls, from, n * sizeof(*polls));
		if (ret)
			return ret;
		c->polls_at = (void *)from;
	}
	for (i = 0; i < n; i++)
		if (polls[i].fd >= 0 && !use_fd(c->by, polls[i].fd))
			return -EBADF;
	c->polls = n;
	c->post |= POST_POLLFDS;
	return 0;
}

/*
 * Every descriptor in the SCM_RIGHTS messages of our copy must be the guest's; other kinds of
 * control data are bounded by their length.
 */
static long check_control(struct rs_caller *by, const uint8_t *control, uint64_t len)
{
	uint64_t at = 0;

	while (len - at >= sizeof(struct cmsghdr)) {
		const struct cmsghdr *h = (const struct cmsghdr *)(control + at);
		uint64_t size = h->cmsg_len, k;

		if (size < sizeof(*h) || size > len - at)
			return -EINVAL;
		if (h->cmsg_level != SOL_SOCKET)
			return -EPERM;
		if (h->cmsg_type != SCM_RIGHTS)
			return -EPERM;
		for (k = sizeof(*h); k + 4 <= size; k += 4)
			if (!use_fd(by, *(const int32_t *)(control + at + k)))
				return -EBADF;
		size = (size + 7) & ~7ull;
		if (size > len - at)
			break;
		at += size;
	}
	return 0;
}

/*
 * A socket address of @n bytes to connect, bind or send to; *@out is our copy. --net host
 * grants the host's network and not its services behind AF_UNIX: for root those of docker or
 * systemd are the machine itself, and Landlock does not see a connect. So no such name may be
 * connected or sent to, in the file system or abstract. Binding one is making a file, which
 * Landlock decides.
 */
static long check_address(struct check *c, uint64_t gpa, uint64_t n, long *out)
{
	uint8_t *addr = c->by->scratch.addr;
	const void *from;
	long ret;

	if (!gpa) {
		*out = 0;
		return 0;
	}
	if (!c->sb->net_host)
		return -EPERM;
	if (n > RS_ADDR_MAX)
		return -EINVAL;
	from = rs_gpa(&c->sb->mem, gpa, n);
	if (!from)
		return -EFAULT;
	ret = rs_copy_from_guest(addr, from, n);
	if (ret)
		return ret;
	if (n > sizeof(sa_family_t) && *(sa_family_t *)addr == AF_UNIX && c->nr != __NR_bind)
		return -EPERM;
	*out = (long)addr;
	return 0;
}

/*
 * struct msghdr: everything it points to is in memory of our own when the kernel sees it, but for
 * the data itself.
 */
static long check_msg(struct check *c, uint64_t gpa, bool out)
{
	struct rs_scratch *s = &c->by->scratch;
	struct guest_msghdr m;
	const void *from = rs_gpa(&c->sb->mem, gpa, sizeof(m));
	long ret, hva;

	if (!gpa || !from)
		return -EFAULT;
	ret = rs_copy_from_guest(&m, from, sizeof(m));
	if (ret)
		return ret;
	if (m.namelen > RS_ADDR_MAX) {
		if (!out)
			return -EINVAL;
		m.namelen = RS_ADDR_MAX;
	}
	if (out)
		ret = check_optional(c->sb, m.name, m.namelen, &hva);
	else
		ret = check_address(c, m.namelen ? m.name : 0, m.namelen, &hva);
	if (ret)
		return ret;
	s->msg.msg_name = m.namelen ? (void *)hva : NULL;
	s->msg.msg_namelen = hva ? m.namelen : 0;
	if (m.iovlen > RS_IOV_MAX)
		return -EMSGSIZE;
	ret = check_iov(c->by, m.iov, m.iovlen);
	if (ret)
		return ret;
	s->msg.msg_iov = s->iov;
	s->msg.msg_iovlen = m.iovlen;
	s->msg.msg_flags = 0;
	s->msg.msg_control = NULL;
	s->msg.msg_controllen = 0;
	c->control_at = NULL;
	if (m.control && m.controllen) {
		uint64_t len = m.controllen;

		if (len > RS_CONTROL_MAX) {
			if (!out)
				return -ENOBUFS;
			len = RS_CONTROL_MAX;
		}
		from = rs_gpa(&c->sb->mem, m.control, len);
		if (!from)
			return -EFAULT;
		if (!out) {
			ret = rs_copy_from_guest(s->control, from, len);
			if (!ret)
				ret = check_control(c->by, s->control, len);
			if (ret)
				return ret;
		}
		s->msg.msg_control = s->control;
		s->msg.msg_controllen = len;
		c->control_at = (void *)from;
	}
	if (out) {
		c->msg_at = rs_gpa(&c->sb->mem, gpa, sizeof(m));
		c->post |= POST_MSG;
	}
	return 0;
}

static const struct rs_cmd_row *find_command(const struct rs_cmd_row *rows, unsigned int n,
					     uint32_t cmd)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		if (rows[i].cmd == cmd)
			return &rows[i];
	return NULL;
}

/* The rarer kinds of arguments; the common ones are in check_args(). */
static long check_other(struct check *c, unsigned int i, uint32_t arg)
{
	struct rs_sandbox *sb = c->sb;
	struct rs_scratch *s = &c->by->scratch;
	uint32_t param = RS_ARG_PARAM(arg);
	const struct rs_cmd_row *cmd;
	uint64_t in = c->in[i], n;
	void *at;
	long ret;

	switch (RS_ARG_KIND(arg)) {
	case RS_A_BLKIN:
		if (c->in[param] > RS_BLOCK_MAX)
			return -EINVAL;
		return check_optional(sb, in, (uint32_t)c->in[param], &c->out[i]);
	case RS_A_ADDR:
		return check_address(c, in, (uint32_t)c->in[param], &c->out[i]);
	case RS_A_LENP:
		if (!in) {
			c->out[i] = 0;
			return 0;
		}
		at = rs_gpa(&sb->mem, in, sizeof(s->length));
		if (!at)
			return -EFAULT;
		/* RS_A_BLKOUTP, which comes before its length, has copied it. */
		c->length_at = at;
		c->post |= POST_LENGTH;
		c->out[i] = (long)&s->length;
		return 0;
	case RS_A_BLKOUTP:
		s->length = 0;
		if (c->in[param]) {
			at = rs_gpa(&sb->mem, c->in[param], sizeof(s->length));
			if (!at)
				return -EFAULT;
			ret = rs_copy_from_guest(&s->length, at, sizeof(s->length));
			if (ret)
				return ret;
		}
		if (!in) {
			c->out[i] = 0;
			return 0;
		}
		if ((int32_t)s->length < 0)
			return -EINVAL;
		if (s->length > RS_BLOCK_MAX)
			s->length = RS_BLOCK_MAX;
		return check_range(sb, in, s->length, &c->out[i]);
	case RS_A_ARROUT:
	case RS_A_ARRINOUT:
		if ((int32_t)c->in[param & 15] < 0)
			return -EINVAL;
		n = (uint64_t)(uint32_t)c->in[param & 15] * (param >> 4);
		return check_optional(sb, in, n, &c->out[i]);
	case RS_A_POLLFDS:
		c->out[i] = (long)s->polls;
		return check_pollfds(c, in, c->in[param]);
	case RS_A_IOVIN:
	case RS_A_IOVOUT:
		c->out[i] = (long)s->iov;
		return check_iov(c->by, in, c->in[param]);
	case RS_A_MSGIN:
	case RS_A_MSGOUT:
		c->out[i] = (long)&s->msg;
		return check_msg(c, in, RS_ARG_KIND(arg) == RS_A_MSGOUT);
	case RS_A_FDPAIR:
		c->pair_at = rs_gpa(&sb->mem, in, sizeof(s->pair));
		if (!in || !c->pair_at)
			return -EFAULT;
		c->post |= POST_PAIR;
		c->out[i] = (long)s->pair;
		return 0;
	case RS_A_OFFP:
		return check_optional(sb, in, 8, &c->out[i]);
	case RS_A_IOCTL:
	case RS_A_FCNTL:
		if (RS_ARG_KIND(arg) == RS_A_IOCTL)
			cmd = find_command(rs_ioctl_table, rs_ioctl_count, in);
		else
			cmd = find_command(rs_fcntl_table, rs_fcntl_count, in);
		if (!cmd)
			return RS_ARG_KIND(arg) == RS_A_IOCTL ? -ENOTTY : -EINVAL;
		c->out[i] = (uint32_t)in;
		/* The next argument's kind is the command's. */
		in = c->in[i + 1];
		switch (RS_ARG_KIND(cmd->arg)) {
		case RS_A_NO:
			c->out[i + 1] = 0;
			return 0;
		case RS_A_INT:
			c->out[i + 1] = (int32_t)in;
			return 0;
		case RS_A_FD:
			return check_fd(c->by, in, &c->out[i + 1]);
		case RS_A_IN:
		case RS_A_OUT:
		case RS_A_INOUT:
			return check_optional(sb, in, RS_ARG_PARAM(cmd->arg), &c->out[i + 1]);
		case RS_A_LONG:
		case RS_A_UINT:
		case RS_A_HEX:
		case RS_A_FLAGS:
			c->out[i + 1] = in;
			return 0;
		default:
			return -EINVAL;
		}
	case RS_A_BYCMD:
		return 0;	/* done with the command before it */
	default:
		return -ENOSYS;	/* a kind that no forwarded call has */
	}
}

static inline long check_args(struct check *c)
{
	const struct rs_call_row *row = c->row;
	struct rs_sandbox *sb = c->sb;
	unsigned int i;
	long ret = 0;

	for (i = 0; i < row->nargs; i++) {
		uint32_t arg = row->args[i];
		uint64_t in = c->in[i];

		switch (RS_ARG_KIND(arg)) {
		case RS_A_NO:
			c->out[i] = 0;
			break;
		case RS_A_INT:
			c->out[i] = (int32_t)in;
			break;
		case RS_A_LONG:
		case RS_A_UINT:
		case RS_A_HEX:
		case RS_A_FLAGS:
			c->out[i] = in;
			break;
		case RS_A_DFD:
			if ((int32_t)in == AT_FDCWD) {
				c->out[i] = AT_FDCWD;
				break;
			}
			ret = check_fd(c->by, in, &c->out[i]);
			break;
		case RS_A_FD:
			ret = check_fd(c->by, in, &c->out[i]);
			break;
		case RS_A_BUFIN:
		case RS_A_BUFOUT:
			ret = check_range(sb, in, c->in[RS_ARG_PARAM(arg)], &c->out[i]);
			break;
		case RS_A_IN:
		case RS_A_OUT:
		case RS_A_INOUT:
			ret = check_optional(sb, in, RS_ARG_PARAM(arg), &c->out[i]);
			break;
		case RS_A_PATH:
		case RS_A_STR:
			ret = in ? check_range(sb, in, 1, &c->out[i]) : -EFAULT;
			break;
		case RS_A_PATHN:
			ret = check_optional(sb, in, 1, &c->out[i]);
			break;
		default:
			ret = check_other(c, i, arg);
		}
		if (ret)
			return ret;
	}
	for (; i < 6; i++)
		c->out[i] = 0;
	return 0;
}

/*
 * Socket options whose block is data and nothing else. Others hold addresses (filters, iptables'
 * counters, TCP_ZEROCOPY_RECEIVE, which writes through its), and those would be addresses of this
 * process: what is not listed does not exist.
 */
static const struct {
	uint8_t level, name;
} socket_options[] = {
	{ SOL_SOCKET, SO_REUSEADDR },	    { SOL_SOCKET, SO_TYPE },
	{ SOL_SOCKET, SO_ERROR },	    { SOL_SOCKET, SO_DONTROUTE },
	{ SOL_SOCKET, SO_BROADCAST },	    { SOL_SOCKET, SO_SNDBUF },
	{ SOL_SOCKET, SO_RCVBUF },	    { SOL_SOCKET, SO_KEEPALIVE },
	{ SOL_SOCKET, SO_OOBINLINE },	    { SOL_SOCKET, SO_PRIORITY },
	{ SOL_SOCKET, SO_LINGER },	    { SOL_SOCKET, SO_REUSEPORT },
	{ SOL_SOCKET, SO_PASSCRED },	    { SOL_SOCKET, SO_PEERCRED },
	{ SOL_SOCKET, SO_RCVLOWAT },	    { SOL_SOCKET, SO_SNDLOWAT },
	{ SOL_SOCKET, 20 /* SO_RCVTIMEO */ }, { SOL_SOCKET, 21 /* SO_SNDTIMEO */ },
	{ SOL_SOCKET, 66 /* their new */ },   { SOL_SOCKET, 67 /* forms */ },
	{ SOL_SOCKET, 29 /* SO_TIMESTAMP */ }, { SOL_SOCKET, SO_ACCEPTCONN },
	{ SOL_SOCKET, SO_PROTOCOL },	    { SOL_SOCKET, SO_DOMAIN },
	{ IPPROTO_TCP, TCP_NODELAY },	    { IPPROTO_TCP, TCP_MAXSEG },
	{ IPPROTO_TCP, TCP_CORK },	    { IPPROTO_TCP, TCP_KEEPIDLE },
	{ IPPROTO_TCP, TCP_KEEPINTVL },	    { IPPROTO_TCP, TCP_KEEPCNT },
	{ IPPROTO_TCP, TCP_SYNCNT },	    { IPPROTO_TCP, TCP_LINGER2 },
	{ IPPROTO_TCP, TCP_DEFER_ACCEPT },  { IPPROTO_TCP, TCP_WINDOW_CLAMP },
	{ IPPROTO_TCP, TCP_INFO },	    { IPPROTO_TCP, TCP_QUICKACK },
	{ IPPROTO_TCP, TCP_CONGESTION },    { IPPROTO_TCP, TCP_USER_TIMEOUT },
	{ IPPROTO_TCP, TCP_FASTOPEN },	    { IPPROTO_TCP, TCP_NOTSENT_LOWAT },
	{ IPPROTO_TCP, 30 /* TCP_FASTOPEN_CONNECT */ },
	{ IPPROTO_IP, IP_TOS },		    { IPPROTO_IP, IP_TTL },
	{ IPPROTO_IP, IP_PKTINFO },	    { IPPROTO_IP, IP_MTU_DISCOVER },
	{ IPPROTO_IP, IP_RECVERR },	    { IPPROTO_IP, IP_RECVTTL },
	{ IPPROTO_IP, IP_RECVTOS },	    { IPPROTO_IP, IP_MTU },
	{ IPPROTO_IP, IP_FREEBIND },	    { IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT },
	{ IPPROTO_IP, IP_MULTICAST_IF },    { IPPROTO_IP, IP_MULTICAST_TTL },
	{ IPPROTO_IP, IP_MULTICAST_LOOP },  { IPPROTO_IP, IP_MULTICAST_ALL },
	{ IPPROTO_IP, IP_ADD_MEMBERSHIP },  { IPPROTO_IP, IP_DROP_MEMBERSHIP },
	{ IPPROTO_IPV6, IPV6_UNICAST_HOPS }, { IPPROTO_IPV6, IPV6_MULTICAST_IF },
	{ IPPROTO_IPV6, IPV6_MULTICAST_HOPS }, { IPPROTO_IPV6, IPV6_MULTICAST_LOOP },
	{ IPPROTO_IPV6, IPV6_JOIN_GROUP },  { IPPROTO_IPV6, IPV6_LEAVE_GROUP },
	{ IPPROTO_IPV6, IPV6_MTU_DISCOVER }, { IPPROTO_IPV6, IPV6_MTU },
	{ IPPROTO_IPV6, IPV6_RECVERR },	    { IPPROTO_IPV6, IPV6_V6ONLY },
	{ IPPROTO_IPV6, IPV6_RECVPKTINFO }, { IPPROTO_IPV6, IPV6_RECVHOPLIMIT },
	{ IPPROTO_IPV6, IPV6_RECVTCLASS },  { IPPROTO_IPV6, IPV6_TCLASS },
};

static long check_socket_option(long level, long name)
{
	unsigned int i;

	for (i = 0; i < sizeof(socket_options) / sizeof(socket_options[0]); i++)
		if (socket_options[i].level == level && socket_options[i].name == name)
			return 0;
	return -ENOPROTOOPT;
}

/*
 * A node of a device would lead to the machine itself; FIFOs, sockets and files stay where they
 * are.
 */
static long check_node(long mode)
{
	long type = mode & S_IFMT;

	return type == S_IFCHR || type == S_IFBLK ? -EPERM : 0;
}

/*
 * No file that the guest makes may give its owner's rights to whoever runs it outside: the bits are
 * left out without a word, as Linux itself does for a group one is not in.
 */
#define SET_ID_BITS	((long)(S_ISUID | S_ISGID))

/* What the table cannot say: values of single arguments. */
static long check_values(struct check *c)
{
	switch (c->nr) {
	case __NR_socketpair:
		if ((uint32_t)c->out[0] != 1 /* AF_UNIX */)
			return -EPERM;
		c->out[0] = 1; /* without upper bits: the seccomp filter compares all of them */
		break;
	case __NR_creat:	/* an open by another name, and looked at as one */
		c->nr = __NR_open;
		c->out[2] = c->out[1] & ~SET_ID_BITS;
		c->out[1] = O_CREAT | O_WRONLY | O_TRUNC | O_NOCTTY;
		break;
	case __NR_open:
		c->out[1] |= O_NOCTTY;	/* no terminal may become the host process's own */
		c->out[2] &= ~SET_ID_BITS;
		break;
	case __NR_openat:
		c->out[2] |= O_NOCTTY;
		c->out[3] &= ~SET_ID_BITS;
		break;
	case __NR_mkdir:
	case __NR_chmod:
	case __NR_fchmod:
		c->out[1] &= ~SET_ID_BITS;
		break;
	case __NR_mkdirat:
	case __NR_fchmodat:
		c->out[2] &= ~SET_ID_BITS;
		break;
	case __NR_mknod:
		c->out[1] &= ~SET_ID_BITS;
		return check_node(c->out[1]);
	case __NR_mknodat:
		c->out[2] &= ~SET_ID_BITS;
		return check_node(c->out[2]);
	case __NR_fcntl:
		/*
		 * The flag would stay on a terminal that others have open too, and the kernel would
		 * send its SIGIO to all of the user's foreground job.
		 */
		if (c->out[1] == F_SETFL)
			c->out[2] &= ~(long)O_ASYNC;
		break;
	case __NR_clock_gettime:
	case __NR_clock_getres:
		/* Numbers below 0 are other processes and devices. */
		if ((int)c->out[0] < 0)
			return -EINVAL;
		break;
	case __NR_memfd_create:
		/* The pool of huge pages is somebody's reservation. */
		if (c->out[1] & MFD_HUGETLB)
			return -EINVAL;
		break;
	case __NR_setsockopt:
	case __NR_getsockopt:
		return check_socket_option(c->out[1], c->out[2]);
	case __NR_recvmsg:
		c->out[2] |= MSG_CMSG_CLOEXEC;
		break;
	case __NR_ppoll:
		/*
		 * The mask is the host's business: no signal may stay out while the guest sleeps.
		 */
		c->out[3] = 0;
		c->out[4] = 0;
		break;
	}
	return 0;
}

/*
 * New descriptors in a received control message; what there is no room for in the guest's buffer
 * was cut off by the kernel.
 */
static void own_received(struct rs_sandbox *sb, const uint8_t *control, uint64_t len)
{
	uint64_t at = 0;

	while (len - at >= sizeof(struct cmsghdr)) {
		const struct cmsghdr *h = (const struct cmsghdr *)(control + at);
		uint64_t size = h->cmsg_len, k;

		if (size < sizeof(*h) || size > len - at)
			return;
		if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS)
			for (k = sizeof(*h); k + 4 <= size; k += 4)
				rs_fd_set_owned(sb, *(const int32_t *)(control + at + k));
		size = (size + 7) & ~7ull;
		if (size > len - at)
			return;
		at += size;
	}
}

static long finish(struct check *c, long ret)
{
	struct rs_scratch *s = &c->by->scratch;
	long err = 0;

	if (c->post & POST_LENGTH && ret >= 0)
		err |= rs_copy_to_guest(c->length_at, &s->length, sizeof(s->length));
	if (c->post & POST_POLLFDS && ret >= 0 && c->polls)
		err |= rs_copy_to_guest(c->polls_at, s->polls, c->polls * sizeof(s->polls[0]));
	if (c->post & POST_PAIR && ret >= 0) {
		rs_fd_set_owned(c->sb, s->pair[0]);
		rs_fd_set_owned(c->sb, s->pair[1]);
		err |= rs_copy_to_guest(c->pair_at, s->pair, sizeof(s->pair));
	}
	if (c->post & POST_MSG && ret >= 0) {
		uint8_t *m = c->msg_at;		/* need not be aligned */
		uint32_t namelen = s->msg.msg_namelen, flags = s->msg.msg_flags & ~MSG_CMSG_CLOEXEC;
		uint64_t controllen = s->msg.msg_controllen;

		if (c->control_at) {
			own_received(c->sb, s->control, controllen);
			err |= rs_copy_to_guest(c->control_at, s->control, controllen);
		}
		err |= rs_copy_to_guest(m + offsetof(struct guest_msghdr, namelen), &namelen,
					sizeof(namelen));
		err |= rs_copy_to_guest(m + offsetof(struct guest_msghdr, controllen), &controllen,
					sizeof(controllen));
		err |= rs_copy_to_guest(m + offsetof(struct guest_msghdr, flags), &flags,
					sizeof(flags));
	}
	return err ? -EFAULT : ret;
}

/*
 * Does an open need more than Landlock? O_PATH is not covered; O_TRUNC without write access is not,
 * before ABI 3.
 */
static inline bool open_needs_policy(const struct check *c)
{
	long flags = c->nr == __NR_open ? c->out[1] : c->out[2];

	return flags & O_PATH || (flags & O_TRUNC && (flags & O_ACCMODE) == O_RDONLY) ||
	       c->sb->covers_proc;
}

static long slow_policy(struct check *c)
{
	struct rs_slow_call s;
	unsigned int i;

	s.by = c->by;
	s.row = c->row;
	s.nr = c->nr;
	for (i = 0; i < 6; i++) {
		s.in[i] = c->in[i];
		s.args[i] = c->out[i];
	}
	return rs_slow(rs_policy_slow, &s, c->by->xsave);
}

static long slow_explain(struct check *c, long ret)
{
	struct rs_slow_call s;
	unsigned int i;

	s.by = c->by;
	s.row = c->row;
	s.nr = c->nr;
	s.result = ret;
	for (i = 0; i < 6; i++) {
		s.in[i] = c->in[i];
		s.args[i] = c->out[i];
	}
	rs_slow(rs_explain_slow, &s, c->by->xsave);
	return ret;
}

/*
 * The short way, for rows of a plain shape (table.c): one check of a descriptor, at most one of a
 * buffer, and the call. Whatever fails here is what check_args() would have said. @fd is the
 * descriptor, read once and checked.
 */
static inline long short_way(struct rs_caller *by, uint64_t nr, unsigned int flags, int32_t fd)
{
	struct rs_call *call = by->call;
	long out[6], ret;

	out[0] = fd;
	out[1] = RS_READ_ONCE(call->args[1]);
	out[2] = RS_READ_ONCE(call->args[2]);
	out[3] = RS_READ_ONCE(call->args[3]);
	out[4] = RS_READ_ONCE(call->args[4]);
	out[5] = RS_READ_ONCE(call->args[5]);
	if (flags & RS_ROW_BUFFER) {
		ret = check_range(by->sb, out[1], out[2], &out[1]);
		if (ret)
			return ret;
	}
	if (flags & RS_ROW_BLOCKS)
		return rs_host_call(nr, out, by->pending);
	return rs_raw6(nr, out[0], out[1], out[2], out[3], out[4], out[5]);
}

/* The short way where other threads make calls too: the descriptor is held. */
static __attribute__((noinline)) long forward_held(struct rs_caller *by, uint64_t nr,
						   unsigned int flags)
{
	int32_t fd = RS_READ_ONCE(by->call->args[0]);
	long ret = -EBADF;

	if (hold_fd(by, fd))
		ret = short_way(by, nr, flags, fd);
	release_fds(by);
	return ret;
}

static __attribute__((noinline)) long forward_buffer(struct rs_caller *by, uint64_t nr,
						     unsigned int flags)
{
	int32_t fd;

	if (flags & RS_ROW_SEVERAL)
		return forward_held(by, nr, flags);
	fd = RS_READ_ONCE(by->call->args[0]);
	return rs_fd_owned(by->sb, fd) ? short_way(by, nr, flags, fd) : -EBADF;
}

static inline long forward_plain(struct rs_caller *by, uint64_t nr)
{
	struct rs_call *call = by->call;
	int32_t fd = RS_READ_ONCE(call->args[0]);

	if (!rs_fd_owned(by->sb, fd))
		return -EBADF;
	return rs_raw6(nr, fd, RS_READ_ONCE(call->args[1]), RS_READ_ONCE(call->args[2]),
		       RS_READ_ONCE(call->args[3]), RS_READ_ONCE(call->args[4]),
		       RS_READ_ONCE(call->args[5]));
}

/* Call @nr with arguments @in, which nobody changes any more. */
static __attribute__((noinline)) long forward_args(struct rs_caller *by, uint64_t nr,
						   const uint64_t in[6])
{
	const struct rs_call_row *row = &rs_call_table[nr];
	struct rs_sandbox *sb = by->sb;
	struct check c;
	unsigned int i;
	long ret;

	c.by = by;
	c.sb = sb;
	c.row = row;
	c.nr = nr;
	c.post = 0;
	for (i = 0; i < row->nargs; i++)
		c.in[i] = in[i];
	for (; i < 6; i++)
		c.in[i] = 0;
	if (row->policy == RS_P_NET && !sb->net_host) {
		for (i = 0; i < 6; i++)
			c.out[i] = 0;
		return sb->explain ? slow_explain(&c, -EPERM) : -EPERM;
	}
	ret = check_args(&c);
	if (!ret)
		ret = check_values(&c);
	if (ret) {
		if (ret != -EPERM || row->policy != RS_P_NET || !sb->explain)
			return ret;
		for (i = 0; i < 6; i++)
			c.out[i] = 0;
		return slow_explain(&c, ret);
	}
	if (row->flags & RS_ROW_POLICY || (row->flags & RS_ROW_OPEN && open_needs_policy(&c))) {
		ret = slow_policy(&c);
	} else {
		if (nr == __NR_close && !sb->several)
			rs_fd_clear_owned(sb, c.out[0]);
		if (nr == __NR_close && sb->several)
			ret = close_held(by, c.out[0]);
		else if (row->flags & RS_ROW_BLOCKS)
			ret = rs_host_call(c.nr, c.out, by->pending);
		else
			ret = rs_raw6(c.nr, c.out[0], c.out[1], c.out[2], c.out[3], c.out[4],
				      c.out[5]);
		if (c.post)
			ret = finish(&c, ret);
		if ((ret == -EACCES || ret == -EPERM) && sb->explain)
			slow_explain(&c, ret);
	}
	if (row->ret == RS_R_FD && ret >= 0) {
		if (ret >= RS_FD_LIMIT) {
			rs_raw3(__NR_close, ret, 0, 0);
			return -EMFILE;
		}
		rs_fd_set_owned(sb, ret);
	}
	return ret;
}

static __attribute__((noinline)) long forward(struct rs_caller *by, uint64_t nr)
{
	struct rs_call *call = by->call;
	uint64_t in[6];
	unsigned int i;

	for (i = 0; i < 6; i++)
		in[i] = RS_READ_ONCE(call->args[i]);
	return forward_args(by, nr, in);
}

/*
 * A file of an overlay has the numbers of the upper file once it was written to, but a descriptor
 * from before maps the lower one for ever. *@same: a mapping of @fd is certain to show what
 * the numbers stand for. Not there, unless @fd was opened just now and the file is older than that.
 */
static long identify(long fd, bool fresh, struct rs_file_id *id, uint32_t *mode, bool *same)
{
	struct statfs fs;
	struct timespec now;
	struct stat st;
	long ret = rs_raw3(__NR_fstat, fd, (long)&st, 0);

	if (!ret)
		ret = rs_raw3(__NR_fstatfs, fd, (long)&fs, 0);
	if (ret)
		return ret;
	*same = fs.f_type != OVERLAYFS_SUPER_MAGIC;
	if (!*same && fresh && !rs_raw3(__NR_clock_gettime, CLOCK_REALTIME, (long)&now, 0))
		*same = st.st_ctim.tv_sec < now.tv_sec - 2;
	id->dev = st.st_dev;
	id->ino = st.st_ino;
	id->size = st.st_size;
	id->mtime = st.st_mtim.tv_sec;
	id->mtime_ns = st.st_mtim.tv_nsec;
	id->ctime = st.st_ctim.tv_sec;
	id->ctime_ns = st.st_ctim.tv_nsec;
	*mode = st.st_mode;
	return 0;
}

/* Only of what the guest could map now: with the identity it may get a mapping that is there. */
static long file_id(struct rs_caller *by, uint64_t in, uint64_t gpa)
{
	void *to = rs_gpa(&by->sb->mem, gpa, sizeof(struct rs_file_id));
	struct rs_file_id id;
	uint32_t mode;
	long fd, ret;
	bool same;

	if (!gpa || !to)
		return -EFAULT;
	ret = check_fd(by, in, &fd);
	if (ret)
		return ret;
	ret = rs_raw3(__NR_fcntl, fd, F_GETFL, 0);
	if (ret < 0)
		return ret;
	if (ret & O_PATH)
		return -EBADF;
	if ((ret & O_ACCMODE) != O_RDONLY && (ret & O_ACCMODE) != O_RDWR)
		return -EACCES;
	ret = identify(fd, false, &id, &mode, &same);
	if (!ret && !S_ISREG(mode))
		ret = -ENODEV;
	if (!ret)
		ret = rs_copy_to_guest(to, &id, sizeof(id));
	return ret ? ret : !same;
}

/*
 * The steps of opening a program in one request. The open goes the way of any other; the rest is
 * about the descriptor, so it needs no policy: who may read a file may know whether it can be
 * executed.
 */
static long open_program(struct rs_caller *by, const uint64_t a[6])
{
	const uint64_t in[6] = { a[0], a[1], O_RDONLY | O_CLOEXEC | O_NONBLOCK };
	struct rs_program_file p;
	uint8_t *to = rs_gpa(&by->sb->mem, a[2], sizeof(p));	/* need not be aligned */
	void *name = rs_gpa(&by->sb->mem, a[3], RS_PATH_MAX);
	bool same = false;
	long fd, ret;

	if (!a[2] || !to || (a[3] && (!name || rs_copy_to_guest(name, "", 1))))
		return -EFAULT;
	fd = forward_args(by, __NR_openat, in);
	if (fd < 0)
		return fd;
	/* From here on until the end the number is held. */
	if (!use_fd(by, fd))
		return -EBADF;
	p.head_len = 0;
	ret = identify(fd, true, &p.id, &p.mode, &same);
	p.unsure = !same;
	if (!ret) {
		p.access = rs_raw4(__NR_faccessat2, fd, (long)"", 1 /* X_OK */, AT_EMPTY_PATH);
		if (S_ISREG(p.mode))
			p.head_len = rs_raw4(__NR_pread64, fd, (long)(to + offsetof(struct rs_program_file, head)),
					      sizeof(p.head), 0);
		ret = rs_copy_to_guest(to, &p, offsetof(struct rs_program_file, head));
	}
	if (!ret && a[3]) {
		struct rs_slow_call s;

		s.by = by;
		s.row = NULL;
		s.nr = RS_CALL_FILE_NAME;
		s.in[0] = fd;
		s.in[1] = a[3];
		rs_slow(rs_request_slow, &s, by->xsave);
	}
	if (ret) {
		const uint64_t close[6] = { fd };

		forward_args(by, __NR_close, close);
		return ret;
	}
	return fd;
}

/* The answer of an mmap() or mremap() is an error. */
static bool failed(long ret)
{
	return ret < 0 && ret > -4096;
}

/* PROT_NONE, MAP_FIXED|MAP_PRIVATE|MAP_ANONYMOUS|MAP_NORESERVE, as the loader made it. */
static long unmap_file(struct rs_sandbox *sb, uint64_t gpa, uint64_t len)
{
	const struct rs_mem *m = &sb->mem;
	uint64_t at = gpa - m->window_gpa;
	long ret;

	if (!len || (gpa | len) & (RS_PAGE - 1))
		return -EINVAL;
	if (at >= m->window_size || len > m->window_size - at)
		return -EFAULT;
	ret = rs_raw6(__NR_mmap, (long)(m->window + at), len, 0, 0x10 | 0x2 | 0x20 | 0x4000, -1, 0);
	return failed(ret) ? ret : 0;
}

/*
 * Can nobody tell a private mapping of @fd that is only read from a shared one that is? Both show
 * the file as it is, but only the shared one can be had once more, larger, when the descriptor is
 * gone (map_more()). Linux takes a shared mapping through a descriptor for writing for one that may
 * be written to later, and then refuses F_SEAL_WRITE; so not of a memfd that can still be sealed.
 * Devices may make of the difference what they like.
 */
static bool private_as_shared(long fd)
{
	long flags = rs_raw3(__NR_fcntl, fd, F_GETFL, 0), seals;
	struct stat st;

	if (flags < 0 || rs_raw3(__NR_fstat, fd, (long)&st, 0) || !S_ISREG(st.st_mode))
		return false;
	if ((flags & O_ACCMODE) == O_RDONLY)
		return true;
	/* EINVAL: nothing that can be sealed. Files of a tmpfs have been given no choice. */
	seals = rs_raw3(__NR_fcntl, fd, F_GET_SEALS, 0);
	return seals == -EINVAL || seals == F_SEAL_SEAL;
}

/*
 * A file into the window. The kernel checks what the descriptor allows; never executable, never
 * outside the window.
 */
static long map_file(struct rs_caller *by, const uint64_t a[6])
{
	const struct rs_mem *m = &by->sb->mem;
	uint64_t offset = a[1], len = a[2], gpa = a[3], flags = a[4], at = gpa - m->window_gpa;
	int prot = 1 /* PROT_READ */, how = 0x10 /* MAP_FIXED */;
	long fd, ret;

	ret = check_fd(by, a[0], &fd);
	if (ret)
		return ret;
	if (flags & ~(uint64_t)(RS_MAP_WRITE | RS_MAP_SHARED) || !len ||
	    (offset | len | gpa) & (RS_PAGE - 1))
		return -EINVAL;
	if (at >= m->window_size || len > m->window_size - at)
		return -EFAULT;
	if (flags & RS_MAP_WRITE)
		prot |= 2 /* PROT_WRITE */;
	ret = -ENODEV;
	if (flags || private_as_shared(fd))
		ret = rs_raw6(__NR_mmap, (long)(m->window + at), len, prot,
			      how | 1 /* MAP_SHARED */, fd, offset);
	/* Some file systems (FUSE) and files (append-only) can be mapped in the private way only. */
	if (!flags && failed(ret))
		ret = rs_raw6(__NR_mmap, (long)(m->window + at), len, prot,
			      how | 2 /* MAP_PRIVATE */, fd, offset);
	if (!failed(ret))
		return 0;
	/* Linux may have taken away what was there before the file said no: no hole may stay. */
	unmap_file(by->sb, gpa, len);
	return ret;
}

/*
 * Another mapping of what is mapped at @gpa, of another length: mremap() does that for shared mappings
 * when it is told that the old one has no length. The rights are the old one's.
 */
static long map_more(struct rs_sandbox *sb, uint64_t gpa, uint64_t len, uint64_t to)
{
	const struct rs_mem *m = &sb->mem;
	uint64_t from_at = gpa - m->window_gpa, to_at = to - m->window_gpa;
	long ret;

	if (!len || (gpa | len | to) & (RS_PAGE - 1))
		return -EINVAL;
	if (from_at >= m->window_size || to_at >= m->window_size || len > m->window_size - to_at)
		return -EFAULT;
	/* the target may not hold the source: it would be gone before it is looked at */
	if (from_at >= to_at && from_at < to_at + len)
		return -EINVAL;
	ret = rs_raw6(__NR_mremap, (long)(m->window + from_at), 0, len,
		      3 /* MREMAP_MAYMOVE | MREMAP_FIXED */, (long)(m->window + to_at), 0);
	if (!failed(ret))
		return 0;
	unmap_file(sb, to, len);	/* as in map_file() */
	return ret;
}

static long release(struct rs_sandbox *sb, uint64_t gpa, uint64_t len)
{
	const struct rs_mem *m = &sb->mem;

	if (!len || (gpa | len) & (RS_PAGE - 1))
		return -EINVAL;
	if (gpa >= m->arena_size || len > m->arena_size - gpa)
		return -EFAULT;
	return rs_raw3(__NR_madvise, (long)(m->arena + gpa), len, 4 /* MADV_DONTNEED */);
}

static long sync_file(struct rs_sandbox *sb, uint64_t gpa, uint64_t len, uint64_t flags)
{
	const struct rs_mem *m = &sb->mem;
	uint64_t at = gpa - m->window_gpa;

	if ((gpa | len) & (RS_PAGE - 1))
		return -EINVAL;
	if (at >= m->window_size || len > m->window_size - at)
		return -EFAULT;
	return rs_raw3(__NR_msync, (long)(m->window + at), len, flags);
}

static __attribute__((noinline)) long request(struct rs_caller *by, uint64_t nr)
{
	struct rs_call *call = by->call;
	struct rs_slow_call s;
	unsigned int i;
	long fd, ret;

	/* What concerns the vCPU or the whole sandbox does not go through a slot. */
	if (by->helper && nr != RS_CALL_MAP_FILE && nr != RS_CALL_SYNC_FILE)
		return -ENOSYS;
	for (i = 0; i < 6; i++)
		s.in[i] = RS_READ_ONCE(call->args[i]);
	switch (nr) {
	case RS_CALL_MAP_FILE:
		return map_file(by, s.in);
	case RS_CALL_UNMAP_FILE:
		return unmap_file(by->sb, s.in[0], s.in[1]);
	case RS_CALL_FILE_ID:
		return file_id(by, s.in[0], s.in[1]);
	case RS_CALL_OPEN_PROGRAM:
		return open_program(by, s.in);
	case RS_CALL_FILE_NAME:
		ret = check_fd(by, s.in[0], &fd);
		if (ret)
			return ret;
		s.in[0] = fd;
		break;
	case RS_CALL_MAP_MORE:
		return map_more(by->sb, s.in[0], s.in[1], s.in[2]);
	case RS_CALL_RELEASE:
		return release(by->sb, s.in[0], s.in[1]);
	case RS_CALL_SYNC_FILE:
		return sync_file(by->sb, s.in[0], s.in[1], s.in[2]);
	}
	s.by = by;
	s.row = NULL;
	s.nr = nr;
	return rs_slow(rs_request_slow, &s, by->xsave);
}

static __attribute__((noinline)) long dispatch_other(struct rs_caller *by, uint64_t nr)
{
	const struct rs_call_row *row;
	long ret;

	if (nr >= RS_CALL_BASE) {
		ret = nr < RS_CALL_END ? request(by, nr) : -ENOSYS;
	} else {
		if (nr >= RS_TABLE_SIZE)
			return -ENOSYS;
		row = &rs_call_table[nr];
		if (row->class != RS_CLASS_FORWARD)
			return row->class == RS_CLASS_REFUSE ? -EPERM : -ENOSYS;
		ret = forward(by, nr);
	}
	if (by->nheld)
		release_fds(by);
	return ret;
}

long rs_dispatch(struct rs_caller *by)
{
	uint64_t nr = RS_READ_ONCE(by->call->nr);
	unsigned int flags = nr < RS_TABLE_SIZE ? rs_call_plain[nr] : 0;

	if (flags == RS_ROW_PLAIN)
		return forward_plain(by, nr);
	if (flags)
		return forward_buffer(by, nr, flags);
	return dispatch_other(by, nr);
}
