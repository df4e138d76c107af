// SPDX-License-Identifier: MIT
/*
 * inet_opt.c - options of sockets of our own network, and what ioctl() says of its interfaces
 *
 * An option that is not here is ENOPROTOOPT, so that a program that depends on one hears of it. Those
 * that are only a hint on Linux, or have one possible value here, are taken and answered as they are.
 */
#include <asm/ioctls.h>
#include "inet.h"
#include "syscall.h"
#include "../lib/string.h"
#include "../net/net.h"

#define SOL_IP		0
#define SOL_SOCKET	1

enum {
	SO_REUSEADDR = 2, SO_TYPE = 3, SO_ERROR = 4, SO_DONTROUTE = 5, SO_BROADCAST = 6,
	SO_SNDBUF = 7, SO_RCVBUF = 8, SO_KEEPALIVE = 9, SO_OOBINLINE = 10, SO_PRIORITY = 12,
	SO_LINGER = 13, SO_REUSEPORT = 15, SO_RCVLOWAT = 18, SO_SNDLOWAT = 19, SO_RCVTIMEO = 20,
	SO_SNDTIMEO = 21, SO_ACCEPTCONN = 30, SO_PROTOCOL = 38, SO_DOMAIN = 39,
};

enum {
	IP_O_TOS = 1, IP_O_TTL = 2, IP_O_PKTINFO = 8, IP_O_MTU_DISCOVER = 10, IP_O_RECVERR = 11,
	IP_O_RECVTTL = 12, IP_O_MTU = 14, IP_O_MULTICAST_TTL = 33, IP_O_MULTICAST_LOOP = 34,
};

/* IP_MTU_DISCOVER: never, per route (as Linux has it by default), always, without looking */
#define PMTUDISC_WANT	1
#define PMTUDISC_DO	2
#define PMTUDISC_PROBE	3

/* --- SOL_SOCKET ------------------------------------------------------------------------------- */

static u32 buffer_of(int value)
{
	u64 v = value < 0 ? SOCK_BUF_MAX : 2ull * (u32)value;	/* doubled, as Linux does */

	return (u32)max((u64)SOCK_BUF_MIN, min(v, (u64)SOCK_BUF_MAX));
}

static long set_time(u64 *t, u64 va, u32 len)
{
	s64 tv[2];

	if (len < sizeof(tv))
		return -EINVAL;
	if (copyin(tv, va, sizeof(tv)))
		return -EFAULT;
	if (tv[1] < 0 || tv[1] >= 1000000)
		return -EDOM;
	if (tv[0] < 0)
		tv[0] = 0, tv[1] = 1;	/* over at once, as on Linux */
	*t = tv[0] > 4000000000 ? 0 : (u64)tv[0] * 1000000000 + (u64)tv[1] * 1000;
	return 0;
}

static long set_linger(struct sock *s, u64 va, u32 len)
{
	s32 l[2];

	if (len < sizeof(l))
		return -EINVAL;
	if (copyin(l, va, sizeof(l)))
		return -EFAULT;
	s->linger = l[0] ? (l[1] < 0 ? 0x7fffffff : l[1]) : -1;
	return 0;
}

static long set_general(struct sock *s, int name, int value)
{
	switch (name) {
	case SO_REUSEADDR: s->reuse = value; break;
	case SO_BROADCAST: s->broadcast = value; break;
	case SO_KEEPALIVE: s->keepalive = value; break;
	case SO_SNDBUF: s->sndbuf = buffer_of(value); break;
	case SO_RCVBUF: s->rcvbuf = buffer_of(value); break;
	case SO_DONTROUTE:
	case SO_OOBINLINE:
	case SO_PRIORITY: break;
	case SO_RCVLOWAT:
		if (value > 1)
			return -ENOPROTOOPT;
		break;
	case SO_TYPE:
	case SO_ERROR:
	case SO_ACCEPTCONN:
	case SO_PROTOCOL:
	case SO_DOMAIN: return -ENOPROTOOPT;
	default: return -ENOPROTOOPT;
	}
	if (s->type == SOCK_STREAM)
		s->ops->set(s, -1, name, value);
	return 0;
}

static long get_general(struct sock *s, int name, int *v)
{
	switch (name) {
	case SO_REUSEADDR: *v = s->reuse; break;
	case SO_TYPE: *v = s->type; break;
	case SO_ERROR:
		*v = s->err;
		s->err = 0;
		sock_touched(s);
		break;
	case SO_BROADCAST: *v = s->broadcast; break;
	case SO_SNDBUF: *v = (int)s->sndbuf; break;
	case SO_RCVBUF: *v = (int)s->rcvbuf; break;
	case SO_KEEPALIVE: *v = s->keepalive; break;
	case SO_DONTROUTE:
	case SO_OOBINLINE:
	case SO_PRIORITY:
	case SO_REUSEPORT: *v = 0; break;
	case SO_RCVLOWAT:
	case SO_SNDLOWAT: *v = 1; break;
	case SO_ACCEPTCONN: *v = s->ops->listening && s->ops->listening(s); break;
	case SO_PROTOCOL: *v = s->proto; break;
	case SO_DOMAIN: *v = AF_INET; break;
	default: return -ENOPROTOOPT;
	}
	return 0;
}

/* --- SOL_IP ----------------------------------------------------------------------------------- */

static long set_ip(struct sock *s, int name, int value)
{
	switch (name) {
	case IP_O_TOS: s->tos = (u8)value; break;
	case IP_O_TTL:
		if (value != -1 && (value < 1 || value > 255))
			return -EINVAL;
		s->ttl = value == -1 ? IP_TTL : (u8)value;
		break;
	case IP_O_PKTINFO: s->pktinfo = value; return 0;
	case IP_O_RECVERR: s->recverr = value; return 0;
	case IP_O_RECVTTL: s->recvttl = value; return 0;
	case IP_O_MTU_DISCOVER:
		if (value < 0 || value > 5)
			return -EINVAL;
		s->df = value == PMTUDISC_DO || value == PMTUDISC_PROBE;
		return 0;
	case IP_O_MULTICAST_TTL:
		if (value < -1 || value > 255)
			return -EINVAL;
		s->mc_ttl = value == -1 ? 1 : (u8)value;
		return 0;
	case IP_O_MULTICAST_LOOP: s->mc_noloop = !value; return 0;
	default: return -ENOPROTOOPT;
	}
	if (s->type == SOCK_STREAM)
		s->ops->set(s, -1, name, value);
	return 0;
}

static long get_ip(struct sock *s, int name, int *v)
{
	u32 src, mtu;

	switch (name) {
	case IP_O_TOS: *v = s->tos; break;
	case IP_O_TTL: *v = s->ttl; break;
	case IP_O_PKTINFO: *v = s->pktinfo; break;
	case IP_O_RECVERR: *v = s->recverr; break;
	case IP_O_RECVTTL: *v = s->recvttl; break;
	case IP_O_MTU_DISCOVER: *v = s->df ? PMTUDISC_DO : PMTUDISC_WANT; break;
	case IP_O_MTU:
		if (!s->connected)
			return -ENOTCONN;
		if (ipv4_route(s->raddr, &src, &mtu))
			return -ENOTCONN;
		*v = (int)mtu;
		break;
	case IP_O_MULTICAST_TTL: *v = s->mc_ttl; break;
	case IP_O_MULTICAST_LOOP: *v = !s->mc_noloop; break;
	default: return -ENOPROTOOPT;
	}
	return 0;
}

/* --- both ------------------------------------------------------------------------------------- */

long inet_setsockopt(struct sock *s, int level, int name, u64 va, u32 len)
{
	int value = 0;
	u8 byte;

	if ((s32)len < 0)
		return -EINVAL;
	if (level == SOL_SOCKET && name == SO_LINGER)
		return set_linger(s, va, len);
	if (level == SOL_SOCKET && name == SO_RCVTIMEO)
		return set_time(&s->rcvtimeo, va, len);
	if (level == SOL_SOCKET && name == SO_SNDTIMEO)
		return set_time(&s->sndtimeo, va, len);
	if (len >= sizeof(value)) {
		if (copyin(&value, va, sizeof(value)))
			return -EFAULT;
	} else if (len && level == SOL_IP) {
		if (copyin(&byte, va, 1))
			return -EFAULT;
		value = byte;
	} else {
		return -EINVAL;
	}
	switch (level) {
	case SOL_SOCKET: return set_general(s, name, value);
	case SOL_IP: return set_ip(s, name, value);
	}
	return s->ops->set(s, level, name, value);
}

long inet_getsockopt(struct sock *s, int level, int name, u64 va, u64 lenp)
{
	s64 answer[2] = { 0 };
	u32 len, size = 4;
	u64 t;
	int v = 0;
	long err = 0;

	if (get_user_u32(&len, lenp))
		return -EFAULT;
	if ((s32)len < 0)
		return -EINVAL;
	if (level == SOL_SOCKET && (name == SO_RCVTIMEO || name == SO_SNDTIMEO)) {
		t = name == SO_RCVTIMEO ? s->rcvtimeo : s->sndtimeo;
		answer[0] = (s64)(t / 1000000000);
		answer[1] = (s64)(t % 1000000000 / 1000);
		size = 16;
	} else if (level == SOL_SOCKET && name == SO_LINGER) {
		answer[0] = s->linger >= 0 ? 1 | (s64)s->linger << 32 : 0;
		size = 8;
	} else {
		if (level == SOL_SOCKET)
			err = get_general(s, name, &v);
		else if (level == SOL_IP)
			err = get_ip(s, name, &v);
		else
			err = s->ops->get(s, level, name, &v);
		memcpy(answer, &v, sizeof(v));
	}
	if (err)
		return err;
	size = min(size, len);
	if (copyout(va, answer, size) || put_user_u32(lenp, size))
		return -EFAULT;
	return 0;
}

/* --- ioctl ------------------------------------------------------------------------------------ */

enum {
	SIOCGIFNAME = 0x8910, SIOCGIFCONF = 0x8912, SIOCGIFFLAGS = 0x8913, SIOCGIFADDR = 0x8915,
	SIOCGIFBRDADDR = 0x8919, SIOCGIFNETMASK = 0x891b, SIOCGIFMETRIC = 0x891d,
	SIOCGIFMTU = 0x8921, SIOCGIFHWADDR = 0x8927, SIOCGIFINDEX = 0x8933, SIOCGIFTXQLEN = 0x8942,
};

#define IFF_UP		0x1u
#define IFF_BROADCAST	0x2u
#define IFF_LOOPBACK	0x8u
#define IFF_RUNNING	0x40u
#define ARPHRD_ETHER	1u
#define ARPHRD_LOOPBACK	772u

struct k_ifreq {
	char name[16];
	union {
		struct k_sockaddr_in addr;
		struct {
			u16 family;
			u8 mac[14];
		} hw;
		s32 number;
		u16 flags;
		u8 size[24];
	};
};
_Static_assert(sizeof(struct k_ifreq) == 40, "struct ifreq");

static const char *const if_names[] = { "lo", "eth0" };

/* Index from 1 on as on Linux; 0: there is none. */
static u32 if_index(const char name[16])
{
	if (!strcmp(name, if_names[0]))
		return 1;
	return net_if.up && !strcmp(name, if_names[1]) ? 2 : 0;
}

static void fill_if(struct k_ifreq *r, u32 cmd, bool lo)
{
	u32 addr = lo ? be32(0x7f000001) : net_if.address;
	u32 mask = lo ? be32(0xff000000) : net_if.netmask;

	memset(r->size, 0, sizeof(r->size));
	switch (cmd) {
	case SIOCGIFADDR:
		r->addr = (struct k_sockaddr_in){ .family = AF_INET, .addr = addr };
		break;
	case SIOCGIFNETMASK:
		r->addr = (struct k_sockaddr_in){ .family = AF_INET, .addr = mask };
		break;
	case SIOCGIFBRDADDR:
		r->addr = (struct k_sockaddr_in){ .family = AF_INET,
						  .addr = lo ? 0 : addr | ~mask };
		break;
	case SIOCGIFFLAGS:
		r->flags = (u16)(IFF_UP | IFF_RUNNING | (lo ? IFF_LOOPBACK : IFF_BROADCAST));
		break;
	case SIOCGIFMTU: r->number = (s32)(lo ? LOOPBACK_MTU : net_if.mtu); break;
	case SIOCGIFINDEX: r->number = lo ? 1 : 2; break;
	case SIOCGIFTXQLEN: r->number = lo ? 0 : 1024; break;
	case SIOCGIFHWADDR:
		r->hw.family = lo ? ARPHRD_LOOPBACK : ARPHRD_ETHER;
		if (!lo)
			memcpy(r->hw.mac, net_if.mac, 6);
		break;
	}
}

static long if_request(u32 cmd, u64 arg)
{
	struct k_ifreq r;
	u32 i;

	if (copyin(&r, arg, sizeof(r)))
		return -EFAULT;
	r.name[15] = 0;
	if (cmd == SIOCGIFNAME) {
		i = (u32)r.number;
		if (i < 1 || i > (net_if.up ? 2u : 1u))
			return -ENODEV;
		memset(r.name, 0, sizeof(r.name));
		rs_strlcpy(r.name, if_names[i - 1], sizeof(r.name));
	} else {
		i = if_index(r.name);
		if (!i)
			return -ENODEV;
		fill_if(&r, cmd, i == 1);
	}
	return copyout(arg, &r, sizeof(r)) ? -EFAULT : 0;
}

/* struct ifconf: a length, and where the list goes; or how long it would be */
static long if_list(u64 arg)
{
	struct {
		s32 len, pad;
		u64 to;
	} c;
	struct k_ifreq r;
	u32 i, n = net_if.up ? 2 : 1, done = 0;

	if (copyin(&c, arg, sizeof(c)))
		return -EFAULT;
	for (i = 0; i < n; i++) {
		if (c.to && c.len < (s32)(done + sizeof(r)))
			break;
		memset(&r, 0, sizeof(r));
		rs_strlcpy(r.name, if_names[i], sizeof(r.name));
		fill_if(&r, SIOCGIFADDR, !i);
		if (c.to && copyout(c.to + done, &r, sizeof(r)))
			return -EFAULT;
		done += sizeof(r);
	}
	return put_user_u32(arg, done);
}

bool inet_ioctl(struct file *f, u32 cmd, u64 arg, long *ret)
{
	struct sock *s = inet_of(f);

	switch (cmd) {
	case FIONBIO: return false;
	case FIONREAD: *ret = put_user_u32(arg, s->ops->available(s)); break;
	case SIOCGIFCONF: *ret = if_list(arg); break;
	case SIOCGIFNAME:
	case SIOCGIFFLAGS:
	case SIOCGIFADDR:
	case SIOCGIFBRDADDR:
	case SIOCGIFNETMASK:
	case SIOCGIFMETRIC:
	case SIOCGIFMTU:
	case SIOCGIFHWADDR:
	case SIOCGIFINDEX:
	case SIOCGIFTXQLEN: *ret = if_request(cmd, arg); break;
	default: *ret = -ENOTTY; break;
	}
	return true;
}
