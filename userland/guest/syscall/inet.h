/* SPDX-License-Identifier: MIT */
/*
 * inet.h - the calls on sockets of our own network (net/insock.h)
 *
 * inet.c has the object, making connections, reading and writing; inet_msg.c messages; inet_opt.c options and
 * what ioctl() says of the interface.
 */
#ifndef RS_SYSCALL_INET_H
#define RS_SYSCALL_INET_H

#include "../fs/fd.h"
#include "../host/host.h"
#include "../net/insock.h"

#define AF_UNSPEC	0
#define AF_UNIX		1
#define AF_INET		2

/** struct k_sockaddr_in - struct sockaddr_in */
struct k_sockaddr_in {
	u16 family, port;
	u32 addr;
	u8 zero[8];
};
_Static_assert(sizeof(struct k_sockaddr_in) == 16, "struct sockaddr_in");

/** inet_available() - sockets are the guest's own: --net e1000 */
static inline bool inet_available(void)
{
	return rs_boot->flags & RS_BOOT_NET_NIC;
}

/** inet_of() - the socket behind an open file; NULL: it is none of ours */
struct sock *inet_of(const struct file *f);
/** inet_file() - the same by number, with its file; NULL: none of ours, or not there at all */
struct file *inet_file(u64 fd);
/** inet_socket() - socket(AF_INET, ...); a descriptor, or -errno */
long inet_socket(u32 type, u32 proto);
/** inet_call() - call @nr(@a), one of whose descriptors is @f, a socket of ours; false: the host has to be asked */
bool inet_call(u64 nr, struct file *f, const u64 *a, long *ret);
bool inet_ioctl(struct file *f, u32 cmd, u64 arg, long *ret);
/** inet_sockopt() - setsockopt() or getsockopt() */
long inet_setsockopt(struct sock *s, int level, int name, u64 va, u32 len);
long inet_getsockopt(struct sock *s, int level, int name, u64 va, u64 lenp);

/** inet_addr_in() - an address of the process; 0, -EFAULT, -EINVAL, -EAFNOSUPPORT (also AF_UNSPEC) */
long inet_addr_in(struct k_sockaddr_in *a, u64 va, u64 len);
/** inet_addr_out() - one for the process, whose room the number at @lenp is; 0, -EFAULT, -EINVAL */
long inet_addr_out(u64 va, u64 lenp, u32 addr, u16 port);

/**
 * inet_send(), inet_recv() - one message, or bytes of a stream; may sleep
 * Their number, or -errno; -EINTR before anything was done. The caller holds a reference to @f, since its number may
 * be closed meanwhile.
 */
long inet_send(struct file *f, struct net_iter *it, struct sock_msg *m);
long inet_recv(struct file *f, struct net_iter *it, struct sock_msg *m);
/** inet_restart() - what a call made of -EINTR: again after a handler, unless the socket has a timeout */
static inline long inet_restart(long ret, u64 timeo)
{
	return ret == -EINTR && !timeo ? -512 /* -ERESTARTSYS */ : ret;
}

/* inet_msg.c: the calls, on a file of which inet_of() is not NULL; it need not be held, and may be gone afterwards */
long inet_sendmsg(struct file *f, u64 umsg, u32 flags);
long inet_recvmsg(struct file *f, u64 umsg, u32 flags);
long inet_sendto(struct file *f, u64 buf, u64 len, u32 flags, u64 addr, u32 addr_len);
long inet_recvfrom(struct file *f, u64 buf, u64 len, u32 flags, u64 addr, u64 addr_len);

#endif
