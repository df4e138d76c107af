/* SPDX-License-Identifier: MIT */
/*
 * proto.h - headers as they are on the wire
 *
 * Ethernet, ARP (RFC 826), IPv4 (RFC 791), ICMP (RFC 792), UDP (RFC 768). Numbers in network byte order
 * everywhere; be16() and be32() turn them into ours and back.
 */
#ifndef RS_NET_PROTO_H
#define RS_NET_PROTO_H

#include "../lib/types.h"

#define ETH_ARP		0x0806
#define ETH_IPV4	0x0800

#define PROTO_ICMP	1
#define PROTO_TCP	6
#define PROTO_UDP	17

#define IP_MF		0x2000
#define IP_DF		0x4000
#define IP_OFFSET	0x1fff
#define IP_TTL		64

#define ICMP_ECHO_REPLY		0
#define ICMP_UNREACHABLE	3
#define ICMP_ECHO		8
#define ICMP_TIME_EXCEEDED	11
#define ICMP_NO_PROTOCOL	2
#define ICMP_NO_PORT		3

struct eth_hdr {
	u8 dst[6], src[6];
	u16 type;
} __attribute__((packed));

struct arp_pkt {
	u16 hw, proto;
	u8 hw_len, proto_len;
	u16 op;
	u8 src_mac[6];
	u32 src_ip;
	u8 dst_mac[6];
	u32 dst_ip;
} __attribute__((packed));

struct ipv4_hdr {
	u8 version;	/* and length of the header in words */
	u8 tos;
	u16 len, id, frag;
	u8 ttl, proto;
	u16 sum;
	u32 src, dst;
} __attribute__((packed));

struct icmp_hdr {
	u8 type, code;
	u16 sum;
	u16 id, seq;
} __attribute__((packed));

struct udp_hdr {
	u16 src, dst, len, sum;
} __attribute__((packed));

_Static_assert(sizeof(struct eth_hdr) == 14 && sizeof(struct arp_pkt) == 28 &&
	       sizeof(struct ipv4_hdr) == 20 && sizeof(struct icmp_hdr) == 8 &&
	       sizeof(struct udp_hdr) == 8, "as on the wire");

static inline u16 be16(u16 v)
{
	return __builtin_bswap16(v);
}

static inline u32 be32(u32 v)
{
	return __builtin_bswap32(v);
}

#endif
