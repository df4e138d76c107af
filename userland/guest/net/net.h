/* SPDX-License-Identifier: MIT */
/*
 * net.h - the sandbox's own network: one interface, loopback, IPv4
 *
 *	sockets (syscall/inet*.c)  ->  udp.c, ping.c, tcp.c  ->  ipv4.c, icmp.c  ->  ether.c (ARP)  ->  dev/e1000.c
 *
 * Everything here runs as everything in this kernel does (proc/sched.h): one CPU at a time, nothing sleeps.
 * A packet comes in by net_poll(), which is called when the NIC has told of something, before a CPU goes to
 * sleep, and by each call on a socket; it goes up by plain function calls. What is sent to
 * an address of our own waits in a list until the next net_poll(), which every sender makes at the end,
 * so that no layer finds itself called again while it is still at work.
 *
 * Polling. The NIC signals while its mask is set. When it has done so and there was much to do, the mask
 * stays off: calls on sockets find what comes, and a tick looks for a program that makes none. The mask is
 * set again by a tick that found nothing, and always before a CPU sleeps (net_rest()).
 *
 * Addresses and ports are in network byte order everywhere.
 */
#ifndef RS_NET_NET_H
#define RS_NET_NET_H

#include "../lib/types.h"
#include "nbuf.h"
#include "proto.h"

#define LOOPBACK_NET	0x7fu		/* 127.0.0.0/8, first byte */
#define LOOPBACK_MTU	16384u

/** struct net_if - the interface; addresses 0 when there is none */
struct net_if {
	bool up;
	u32 address, netmask, gateway;
	u32 mtu;
	u8 mac[6];
};
extern struct net_if net_if;

struct net_stats {
	u64 ip_bad;		/* headers, lengths, checksums */
	u64 ip_not_ours;
	u64 ip_fragments, ip_reassembled, ip_frag_dropped;
	u64 no_route, arp_failed, queue_full, loop_full;
	u64 udp_bad, udp_no_port, udp_full;
	u64 icmp_bad, icmp_limited;
	u64 tcp_bad;
};
extern struct net_stats net_stats;

/* --- net.c ------------------------------------------------------------------------------------ */

/** net_init() - boot: sets the NIC up; false: it is not there, and sockets have loopback only */
bool net_init(void);
/** net_finish() - the sandbox ends: what was sent gets out, connections end, for a bounded time */
void net_finish(void);
/** net_poll() - takes everything that has come; the number of packets */
u32 net_poll(void);
/** net_now() - milliseconds since boot */
u64 net_now(void);
/** net_tick_wanted() - somebody has a reason for the stack's clock to run (NET_TICK_MS) */
void net_tick_wanted(void);
#define NET_TICK_MS	100u	/* lwipopts.h knows it, too */

/**
 * net_transmit() - a packet with its Ethernet header, to the NIC; it is taken in any case
 * @wait: it may wait for room. 0; -ENOBUFS: it was dropped for want of room.
 */
int net_transmit(struct nbuf *n, bool wait);
/** net_has_room() - a packet of @buffers could be sent to the NIC now */
bool net_has_room(u32 buffers);
/** net_can_send() - a usual packet could; there may be no NIC */
bool net_can_send(void);
/** net_set_mask() - after entering net_room_waiters: the NIC is to tell of room */
void net_set_mask(void);
/** net_loop() - a packet with its IP header, to ourselves; taken in any case; 0 or -ENOBUFS */
int net_loop(struct nbuf *n);
/* Those who wait for room to send: a list of sched.h; while anybody is in it the NIC tells of room. */
struct wait_list;
extern struct wait_list net_room_waiters;

/* --- ether.c ---------------------------------------------------------------------------------- */

/** ether_input() - a frame from the NIC; taken */
void ether_input(struct nbuf *n);
/**
 * ether_output() - a packet with its IP header, to the machine of @next_hop in our network
 * Taken in any case; 0, -ENOBUFS, -EHOSTUNREACH. Until the address is known it waits, and counts as sent.
 */
int ether_output(struct nbuf *n, u32 next_hop, bool wait);
void arp_tick(void);	/* each second or so */
bool arp_busy(void);	/* it needs the clock */
void arp_reset(void);	/* forgets everything */

/* --- ipv4.c ----------------------------------------------------------------------------------- */

/** struct ipv4_send - how a datagram is to be sent */
struct ipv4_send {
	u32 src, dst;
	u8 proto, ttl, tos;
	bool df;		/* rather refused than cut into pieces: -EMSGSIZE */
	bool wait;		/* may wait for room at the NIC */
};

/** ipv4_is_local(), ipv4_is_broadcast(), ipv4_is_multicast() - an address of our own; of all in our network; of a group */
bool ipv4_is_local(u32 addr);
bool ipv4_is_broadcast(u32 addr);
static inline bool ipv4_is_multicast(u32 addr)
{
	return (addr & 0xf0) == 0xe0;
}

/**
 * ipv4_route() - by what address of ours @dst is reached and what the interface takes at once
 * 0; -ENETUNREACH.
 */
int ipv4_route(u32 dst, u32 *src, u32 *mtu);
/** ipv4_next_hop() - the machine of our network that is sent what is for @dst; 0 for ourselves and nobody */
u32 ipv4_next_hop(u32 dst);
/** ipv4_output() - the packet @n, from the transport's header on; taken in any case. 0 or -errno */
int ipv4_output(struct nbuf *n, const struct ipv4_send *s);
/** ipv4_input() - from the IP header on; taken */
void ipv4_input(struct nbuf *n);
void ipv4_tick(void);
bool ipv4_busy(void);
void ipv4_reset(void);
/** ipv4_pseudo() - the sum of the pseudo header of a transport with @len bytes */
static inline u64 ipv4_pseudo(u32 src, u32 dst, u8 proto, u32 len)
{
	return (u64)src + dst + ((u32)proto << 8) + be16((u16)len);
}

/* --- icmp.c ----------------------------------------------------------------------------------- */

/** icmp_input() - @n from the ICMP header on, @ip its IP header; taken */
void icmp_input(struct nbuf *n, const struct ipv4_hdr *ip);
/** icmp_error() - tells the sender of @n (at its transport header, @ip in front) that it cannot be; not taken */
void icmp_error(const struct nbuf *n, const struct ipv4_hdr *ip, u8 type, u8 code);

/* --- transports ------------------------------------------------------------------------------- */

/** udp_input(), tcp_input_nbuf() - from their header on; taken */
void udp_input(struct nbuf *n, const struct ipv4_hdr *ip);
void tcp_packet(struct nbuf *n, const struct ipv4_hdr *ip);
/**
 * udp_unreachable() and the like - a packet of ours from @src to @dst, of which @head are the first 8 bytes, did
 * not arrive
 */
void udp_unreachable(u32 src, u32 dst, const u8 head[8], int err);
void tcp_unreachable(u32 src, u32 dst, const u8 head[8], int err);
/** ping_input() - an echo reply, or (@n NULL) an error about a request of ours with @id; not taken */
void ping_input(const struct nbuf *n, const struct ipv4_hdr *ip, u16 id, int err);
/** raw_input() - any ICMP packet, from its IP header of @hdr_len bytes on; not taken */
void raw_input(const struct nbuf *n, const struct ipv4_hdr *ip);
/**
 * net_unreachable() - the machine @addr of our network does not answer: whoever waits for it, or for one
 * behind it, is told
 */
void net_unreachable(u32 addr);
void udp_no_answer(u32 hop);
void tcp_no_answer(u32 hop);

void tcp_setup(void);
void tcp_tick(void);
bool tcp_busy(void);
/** tcp_unfinished() - connections whose end or last data have not arrived at the other side yet */
bool tcp_unfinished(void);
/** tcp_give_up_all() - forgets all connections, and says nothing */
void tcp_give_up_all(void);

#endif
