// SPDX-License-Identifier: MIT
/*
 * tcp_ip.c - what lwIP's TCP stands on: our IPv4 below it, memory, time, chance
 *
 * lwIP's own IP, interfaces and timers are not linked; the few functions of them that its TCP calls are
 * here. It sees two interfaces, the NIC and loopback, as two structures that hold an address
 * and what fits into a packet. A segment to be sent is copied out of lwIP's buffers into ours, since lwIP
 * keeps its own until it is acknowledged; one received stays in our buffer, which lwIP is lent, unless
 * it is small, or buffers are scarce: then it is copied, so that small segments do not hold large buffers, nor those
 * that nobody reads the last ones.
 *
 * Segments may be cut into fragments on the way (no DF). They are as long as the interface and the other side take
 * at most; where something between them takes less, a router or the Linux around us cuts them. The other
 * way, DF and shorter segments after an ICMP "fragmentation needed" (RFC 1191), needs routers that send these
 * and networks that let them through, and without them a connection hangs with its first long segment.
 *
 * Memory comes from kmalloc(), with a limit for all connections together.
 */
#include "net.h"
#include "insock.h"
#include "tcp_glue.h"
#include "../host/host.h"
#include "../lib/assert.h"
#include "../lib/string.h"
#include "../mm/kmalloc.h"
#include "../mm/page_alloc.h"

#define SMALL		512u	/* bytes of a segment that is copied */

struct ip_globals ip_data;
static struct netif nic_if, loop_if;
static u64 memory_used, memory_limit;
static u64 secret[2];

/* --- memory ----------------------------------------------------------------------------------- */

struct block {
	u64 size;
	u64 pad;	/* kmalloc() aligns to 16, and so do we */
};

void *rs_tcp_malloc(size_t n)
{
	struct block *b;

	if (n > memory_limit || memory_used > memory_limit - n)
		return NULL;
	b = kmalloc(n + sizeof(*b));
	if (!b)
		return NULL;
	b->size = n;
	memory_used += n;
	return b + 1;
}

void *rs_tcp_calloc(size_t n, size_t size)
{
	void *p;

	if (size && n > ~0ul / size)
		return NULL;
	p = rs_tcp_malloc(n * size);
	if (p)
		memset(p, 0, n * size);
	return p;
}

void rs_tcp_free(void *p)
{
	struct block *b = p;

	if (!b)
		return;
	memory_used -= b[-1].size;
	kfree(b - 1);
}

void rs_tcp_broken(const char *what, const char *file, int line)
{
	rs_panic("TCP: %s (%s:%d)", what, file, line);
}

/* --- time and chance -------------------------------------------------------------------------- */

u32_t sys_now(void)
{
	return (u32_t)net_now();
}

void tcp_timer_needed(void)
{
	net_tick_wanted();
}

static u64 mix(u64 x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdull;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ull;
	return x ^ x >> 33;
}

unsigned int rs_tcp_random(void)
{
	secret[1] += rdtsc() | 1;
	return (u32)mix(secret[1] ^ secret[0]);
}

/* A clock of 4 us and a function of the connection that only we know (RFC 6528). */
unsigned int rs_tcp_isn(unsigned int laddr, unsigned short lport, unsigned int raddr,
			unsigned short rport)
{
	u64 h = mix(secret[0] ^ ((u64)laddr << 32 | raddr));

	return (u32)mix(h ^ secret[1] ^ ((u64)lport << 16 | rport)) + (u32)(net_now() * 250);
}

/* --- interfaces ------------------------------------------------------------------------------- */

static void set_if(struct netif *f, u32 addr, u32 mask, u32 mtu)
{
	ip_addr_set_ip4_u32(&f->ip_addr, addr);
	ip_addr_set_ip4_u32(&f->netmask, mask);
	f->mtu = (u16)mtu;
	f->flags = NETIF_FLAG_UP | NETIF_FLAG_LINK_UP | NETIF_FLAG_BROADCAST;
}

struct netif *ip4_route(const ip4_addr_t *dest)
{
	u32 src, mtu;

	if (ipv4_route(ip4_addr_get_u32(dest), &src, &mtu))
		return NULL;
	if (ipv4_is_local(ip4_addr_get_u32(dest))) {
		set_if(&loop_if, src, be32(0xff000000), LOOPBACK_MTU);
		return &loop_if;
	}
	set_if(&nic_if, net_if.address, net_if.netmask, net_if.mtu);
	return &nic_if;
}

struct netif *netif_get_by_index(u8_t index)
{
	(void)index;
	return NULL;	/* no socket is bound to one */
}

err_t ip4_output_if(struct pbuf *p, const ip4_addr_t *src, const ip4_addr_t *dest, u8_t ttl,
		    u8_t tos, u8_t proto, struct netif *netif)
{
	struct ipv4_send s = { .src = ip4_addr_get_u32(src), .dst = ip4_addr_get_u32(dest),
			     .proto = proto, .ttl = ttl, .tos = tos, .wait = true };
	struct nbuf *n = nbuf_chain(p->tot_len), *at;
	struct tcp_hdr *h;
	u32 done = 0;

	(void)netif;
	if (!n)
		return ERR_MEM;
	for (at = n; at; at = at->next) {
		pbuf_copy_partial(p, at->data, (u16)at->len, (u16)done);
		done += at->len;
	}
	h = (struct tcp_hdr *)n->data;
	h->chksum = sum_fold16(ipv4_pseudo(s.src, s.dst, proto, n->total));
	n->flags = NBUF_SUM_TCP;
	/* A segment that is lost here is sent again, as one that is lost further on. */
	switch (ipv4_output(n, &s)) {
	case -ENETUNREACH: return ERR_RTE;
	default: return ERR_OK;
	}
}

long tcp_errno(err_t err)
{
	switch (err) {
	case ERR_OK: return 0;
	case ERR_MEM:
	case ERR_BUF: return -ENOBUFS;
	case ERR_TIMEOUT: return -ETIMEDOUT;
	case ERR_RTE: return -ENETUNREACH;
	case ERR_INPROGRESS: return -EINPROGRESS;
	case ERR_WOULDBLOCK: return -EAGAIN;
	case ERR_USE: return -EADDRINUSE;
	case ERR_ALREADY: return -EALREADY;
	case ERR_ISCONN: return -EISCONN;
	case ERR_CONN: return -ENOTCONN;
	case ERR_ABRT: return -ECONNABORTED;
	case ERR_RST: return -ECONNRESET;
	}
	return -EINVAL;
}

/* --- receiving -------------------------------------------------------------------------------- */

static void give_back(struct pbuf *p)
{
	nbuf_free(container_of((u64 *)p, struct nbuf, ext[0]));
}

static struct pbuf *lend(struct nbuf *n)
{
	struct pbuf_custom *c = (struct pbuf_custom *)n->ext;

	_Static_assert(sizeof(*c) <= NBUF_EXT, "a pbuf fits into the buffer it is about");
	memset(c, 0, sizeof(*c));
	c->custom_free_function = give_back;
	return pbuf_alloced_custom(PBUF_RAW, (u16)n->len, PBUF_REF, c, n->data, (u16)n->len);
}

static struct pbuf *copy(const struct nbuf *n)
{
	struct pbuf *p = pbuf_alloc(PBUF_RAW, (u16)n->total, PBUF_RAM);

	if (p)
		nbuf_copy_out(n, 0, p->payload, n->total);
	return p;
}

void tcp_packet(struct nbuf *n, const struct ipv4_hdr *ip)
{
	struct pbuf *p;

	if (n->total < sizeof(struct tcp_hdr) || n->len < sizeof(struct tcp_hdr) ||
	    !ipv4_is_local(ip->dst) || !ip->src)
		goto bad;
	if (!(n->flags & NBUF_SUM_OK) &&
	    sum_fold(sum_nbuf(ipv4_pseudo(ip->src, ip->dst, PROTO_TCP, n->total), n, 0, n->total)))
		goto bad;
	ip_data.current_netif = ip_data.current_input_netif =
		n->flags & NBUF_LOOPED ? &loop_if : &nic_if;
	ip_addr_set_ip4_u32(&ip_data.current_iphdr_src, ip->src);
	ip_addr_set_ip4_u32(&ip_data.current_iphdr_dest, ip->dst);
	if (n->next || n->total <= SMALL || unlikely(nbuf_scarce())) {
		p = copy(n);
		nbuf_free(n);
	} else {
		p = lend(n);
	}
	if (p)
		tcp_input(p, ip_data.current_netif);
	else
		net_stats.queue_full++;
	return;
bad:
	net_stats.tcp_bad++;
	nbuf_free(n);
}

void tcp_setup(void)
{
	memory_limit = pages_total() / 8 * PAGE_SIZE;
	memcpy(secret, rs_boot->random + 16, sizeof(secret));
	set_if(&loop_if, be32(0x7f000001), be32(0xff000000), LOOPBACK_MTU);
	tcp_init();
}
