/* SPDX-License-Identifier: MIT */
/*
 * lwipopts.h - of lwIP only TCP is used, see ../tcp.c
 */
#ifndef RS_NET_LWIPOPTS_H
#define RS_NET_LWIPOPTS_H

#define NO_SYS				1
#define SYS_LIGHTWEIGHT_PROT		0
#define LWIP_NETCONN			0
#define LWIP_SOCKET			0
#define LWIP_TIMERS			0
#define LWIP_STATS			0
#define LWIP_IPV4			1
#define LWIP_IPV6			0
#define LWIP_ARP			0
#define LWIP_ETHERNET			0
#define LWIP_ICMP			0
#define LWIP_RAW			0
#define LWIP_UDP			0
#define LWIP_DNS			0
#define LWIP_DHCP			0
#define LWIP_AUTOIP			0
#define LWIP_IGMP			0
#define IP_REASSEMBLY			0
#define IP_FRAG				0
#define LWIP_SINGLE_NETIF		0
#define LWIP_NETIF_LOOPBACK		0
#define LWIP_HAVE_LOOPIF		0

/* All memory is ours, with a limit. */
#define MEM_LIBC_MALLOC			1
#define MEMP_MEM_MALLOC			1
#define MEM_ALIGNMENT			8
#define mem_clib_malloc			rs_tcp_malloc
#define mem_clib_calloc			rs_tcp_calloc
#define mem_clib_free			rs_tcp_free
void *rs_tcp_malloc(__SIZE_TYPE__ n);
void *rs_tcp_calloc(__SIZE_TYPE__ n, __SIZE_TYPE__ size);
void rs_tcp_free(void *p);
#define LWIP_SUPPORT_CUSTOM_PBUF	1
#define PBUF_LINK_HLEN			0
#define PBUF_IP_HLEN			0	/* our IP has buffers of its own */

#define LWIP_TCP			1
#define LWIP_CALLBACK_API		1
#define TCP_MSS				8960	/* at most; what the interface takes counts */
#define TCP_CALCULATE_EFF_SEND_MSS	1
#define LWIP_WND_SCALE			1
#define TCP_RCV_SCALE			3
#define TCP_WND				(256 * 1024)
#define TCP_SND_BUF			(256 * 1024)
#define TCP_SND_QUEUELEN		1024
#define MEMP_NUM_TCP_SEG		TCP_SND_QUEUELEN
#define TCP_OVERSIZE			1460
#define TCP_QUEUE_OOSEQ			1
#define TCP_OOSEQ_MAX_BYTES		TCP_WND
#define TCP_OOSEQ_MAX_PBUFS		256
#define LWIP_TCP_SACK_OUT		1
#define LWIP_TCP_KEEPALIVE		1
#define TCP_LISTEN_BACKLOG		1
#define TCP_DEFAULT_LISTEN_BACKLOG	128
#define TCP_TMR_INTERVAL		100	/* ms; acknowledgements wait as long at most */
#define TCP_MSL				30000UL
#define TCP_SYNMAXRTX			6
#define SO_REUSE			1
#define LWIP_RANDOMIZE_INITIAL_LOCAL_PORTS 1

/* Ours compute and check; the NIC does where it can. */
#define CHECKSUM_GEN_TCP		0
#define CHECKSUM_CHECK_TCP		0
#define LWIP_CHECKSUM_ON_COPY		0

struct tcp_pcb;
struct ip4_addr;
unsigned int rs_tcp_isn(unsigned int laddr, unsigned short lport, unsigned int raddr,
			unsigned short rport);
#define LWIP_HOOK_TCP_ISN(l, lp, r, rp)	rs_tcp_isn(ip_addr_get_ip4_u32(l), lp, ip_addr_get_ip4_u32(r), rp)

#endif
