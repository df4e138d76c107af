// SPDX-License-Identifier: GPL-2.0-only
/*
 * skb.c - frames of the guest as socket buffers, and the other way
 *
 * From the guest. A short frame becomes one piece of memory. Of a longer one the headers do, and the
 * rest is copied straight from guest memory into page fragments, which Linux passes on without
 * copying. What the guest says about its headers (where a checksum belongs, that a frame is to be
 * cut into segments) is checked against the frame itself before Linux is told, and Linux is told that
 * it comes from somebody who may lie (SKB_GSO_DODGY).
 *
 * Checksums. The guest leaves the sum of the pseudo header where the transport checksum belongs; so
 * does Linux (CHECKSUM_PARTIAL), so a frame that stays in this machine is never summed at all. Of a
 * frame to be segmented, an e1000's driver leaves out the length there and in the IP header, because
 * its hardware fills them in for each segment; Linux wants them for the whole, so they are put in here.
 *
 * To the guest. An e1000's driver finds a frame with its checksum in place. Who filled it in is what
 * sum_ok tells: Linux just now (then it need not be checked), or somebody else.
 *
 * Under nic->lock, in a round of accesses.
 */
#include <linux/etherdevice.h>
#include <linux/if_vlan.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/skbuff.h>
#include <linux/tcp.h>
#include <linux/uio.h>
#include <linux/virtio_net.h>
#include <net/checksum.h>
#include <net/ip.h>
#include <net/ip6_checksum.h>
#include "nic.h"

#define LINEAR_ALL	256	/* frames up to this are one piece */
#define LINEAR_HEAD	128	/* of others this much is, or all headers of one to be segmented */
/* Less than this in a segment is no TCP, but an attempt to make Linux cut 64 KiB to pieces. */
#define MIN_MSS		64

/* --- from the guest --- */

/* A cursor over the pieces of a frame. */
struct pieces {
	const struct rs_e1000_frame *f;
	u32 seg, pos;
};

/* The next @len bytes of the frame to @to. */
static int copy_pieces(struct rs_nic *nic, struct pieces *p, void *to, u32 len)
{
	while (len) {
		u32 n;

		if (p->seg >= p->f->nsegs)
			return -EFAULT;
		n = min(len, p->f->seg[p->seg].len - p->pos);
		if (rs_mmu_read(&nic->access, p->f->seg[p->seg].gpa + p->pos, to, n))
			return -EFAULT;
		to += n;
		len -= n;
		p->pos += n;
		if (p->pos == p->f->seg[p->seg].len) {
			p->seg++;
			p->pos = 0;
		}
	}
	return 0;
}

/* The next @len bytes as page fragments of @skb. */
static int add_fragments(struct rs_nic *nic, struct sk_buff *skb, struct pieces *p, u32 len)
{
	struct page_frag *frag = &nic->frag;

	while (len) {
		int i = skb_shinfo(skb)->nr_frags;
		bool grows;
		u32 n;

		if (!skb_page_frag_refill(32, frag, GFP_KERNEL))
			return -ENOMEM;
		grows = skb_can_coalesce(skb, i, frag->page, frag->offset);
		if (!grows && i == MAX_SKB_FRAGS)
			return -ENOMEM;		/* memory is in small pieces just now */
		n = min(len, frag->size - frag->offset);
		if (copy_pieces(nic, p, page_address(frag->page) + frag->offset, n))
			return -EFAULT;
		if (grows) {
			skb_frag_size_add(&skb_shinfo(skb)->frags[i - 1], n);
		} else {
			get_page(frag->page);
			skb_fill_page_desc(skb, i, frag->page, frag->offset, n);
		}
		frag->offset += n;
		skb->len += n;
		skb->data_len += n;
		skb->truesize += n;
		len -= n;
	}
	return 0;
}

/* The checksum of the IP header, as the guest describes it. */
static int fill_ip_sum(struct sk_buff *skb, const struct rs_e1000_frame *f)
{
	__sum16 sum;

	if (f->ip_start >= f->ip_end || f->ip_end > skb->len || f->ip_sum_at + 2u > skb->len)
		return -EINVAL;
	if (!pskb_may_pull(skb, max_t(u32, f->ip_end, f->ip_sum_at + 2u)))
		return -ENOMEM;
	sum = csum_fold(csum_partial(skb->data + f->ip_start, f->ip_end - f->ip_start, 0));
	memcpy(skb->data + f->ip_sum_at, &sum, sizeof(sum));
	return 0;
}

/*
 * The headers of a frame to be segmented: what they say themselves must be what the guest has said,
 * and then what its driver left out is filled in. They lie in the linear part.
 */
static int check_gso(struct sk_buff *skb, const struct rs_e1000_frame *f)
{
	u32 l4_len = skb->len - f->l4_start, l3_at;
	struct tcphdr *tcp;
	__be16 type;
	void *l3;

	if (!f->tcp || !f->l4_sum || f->mss < MIN_MSS || f->hdr_len > skb_headlen(skb) ||
	    f->hdr_len >= skb->len || f->l4_start + sizeof(*tcp) > f->hdr_len ||
	    f->l4_sum_at != f->l4_start + offsetof(struct tcphdr, check))
		return -EINVAL;
	/* nothing says where an IPv6 header begins, and it has one size */
	l3_at = f->ipv6 ? f->l4_start - (u32)sizeof(struct ipv6hdr) : f->ip_start;
	if (l3_at < ETH_HLEN || l3_at >= f->l4_start)
		return -EINVAL;
	l3 = skb->data + l3_at;
	memcpy(&type, l3 - sizeof(type), sizeof(type));
	tcp = (void *)(skb->data + f->l4_start);
	if (tcp->doff < 5 || f->l4_start + tcp->doff * 4 != f->hdr_len)
		return -EINVAL;
	if (!f->ipv6) {
		struct iphdr *ip = l3;

		if (type != htons(ETH_P_IP) || f->l4_start < l3_at + sizeof(*ip) ||
		    ip->version != 4 || l3_at + ip->ihl * 4 != f->l4_start ||
		    ip->protocol != IPPROTO_TCP || ip_is_fragment(ip))
			return -EINVAL;
		ip->tot_len = htons(skb->len - l3_at);
		ip_send_check(ip);
		tcp->check = ~csum_tcpudp_magic(ip->saddr, ip->daddr, l4_len, IPPROTO_TCP, 0);
	} else {
		struct ipv6hdr *ip = l3;

		if (type != htons(ETH_P_IPV6) || ip->version != 6 || ip->nexthdr != IPPROTO_TCP)
			return -EINVAL;
		ip->payload_len = htons(l4_len);
		tcp->check = ~csum_ipv6_magic(&ip->saddr, &ip->daddr, l4_len, IPPROTO_TCP, 0);
	}
	return 0;
}

static int set_offloads(struct sk_buff *skb, const struct rs_e1000_frame *f)
{
	struct virtio_net_hdr hdr = { };
	int ret;

	if (f->mss) {
		ret = check_gso(skb, f);
		if (ret)
			return ret;
		hdr.gso_type = f->ipv6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
		hdr.gso_size = (__force __virtio16)f->mss;
		hdr.hdr_len = (__force __virtio16)f->hdr_len;
	} else if (f->ip_sum) {
		ret = fill_ip_sum(skb, f);
		if (ret)
			return ret;
	}
	if (f->l4_sum) {
		if (f->l4_sum_at < f->l4_start)
			return -EINVAL;
		hdr.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
		hdr.csum_start = (__force __virtio16)f->l4_start;
		hdr.csum_offset = (__force __virtio16)(f->l4_sum_at - f->l4_start);
	}
	/* Checks the offsets against the frame, and knows what newer kernels are strict about. */
	return hdr.flags ? virtio_net_hdr_to_skb(skb, &hdr, true) : 0;
}

static struct sk_buff *frame_to_skb(struct rs_nic *nic, const struct rs_e1000_frame *f, int *err)
{
	const u32 room = NET_SKB_PAD + NET_IP_ALIGN;
	u32 linear = f->len <= LINEAR_ALL ? f->len : LINEAR_HEAD;
	struct pieces p = { .f = f };
	struct sk_buff *skb;

	*err = -EINVAL;
	if (f->len < ETH_HLEN || f->len > RS_E1000_MAX_TSO)
		return NULL;
	if (f->mss)
		linear = min_t(u32, f->len, max_t(u32, linear, f->hdr_len));
	*err = -ENOMEM;
	skb = alloc_skb(room + linear, GFP_KERNEL | __GFP_NOWARN);
	if (!skb)
		return NULL;
	skb_reserve(skb, room);
	*err = copy_pieces(nic, &p, skb_put(skb, linear), linear);
	if (!*err)
		*err = add_fragments(nic, skb, &p, f->len - linear);
	if (!*err) {
		skb_reset_mac_header(skb);
		skb->protocol = eth_hdr(skb)->h_proto;
		*err = set_offloads(skb, f);
	}
	if (*err) {
		kfree_skb(skb);
		return NULL;
	}
	if (f->has_vlan)
		__vlan_hwaccel_put_tag(skb, htons(ETH_P_8021Q), f->vlan_tci);
	return skb;
}

int rs_nic_transmit(void *ctx, const struct rs_e1000_frame *f)
{
	struct rs_nic *nic = ctx;
	struct sk_buff *skb;
	int err;

	if (!rs_port_has_room(nic, skb_queue_len(&nic->batch)))
		return -EAGAIN;
	skb = frame_to_skb(nic, f, &err);
	if (skb)
		__skb_queue_tail(&nic->batch, skb);
	else
		rs_port_bad(nic, err == -ENOMEM);
	return 0;
}

/* --- to the guest --- */

struct outgoing {
	struct rs_nic *nic;
	struct sk_buff *skb;
};

static int copy_out(void *frame, u32 offset, u64 gpa, u32 n)
{
	struct outgoing *o = frame;

	while (n) {
		struct iov_iter to;
		void __user *at;
		u64 left;

		if (rs_mmu_access_at(&o->nic->access, gpa, true, &at, &left))
			return -EFAULT;
		left = min_t(u64, left, n);
		if (!access_ok(at, left))
			return -EFAULT;
		iov_iter_ubuf(&to, READ, at, left);
		if (skb_copy_datagram_iter(o->skb, offset, &to, left))
			return -EFAULT;
		offset += left;
		gpa += left;
		n -= left;
	}
	return 0;
}

int rs_skb_to_guest(struct rs_nic *nic, struct sk_buff *skb, u32 *what)
{
	struct outgoing o = { nic, skb };
	int tci = skb_vlan_tag_present(skb) ? skb_vlan_tag_get(skb) : -1;
	bool sum_ok = skb->ip_summed == CHECKSUM_UNNECESSARY;

	if (!pskb_may_pull(skb, ETH_HLEN))
		return -EINVAL;
	if (!nic->link || !rs_e1000_receives(nic->model))
		return -ENETDOWN;
	if (!rs_e1000_rx_wants(nic->model, skb->data, tci < 0 ? -1 : tci & VLAN_VID_MASK)) {
		nic->filtered++;
		return 0;
	}
	/* Its checksum field is filled in; a second try of the same frame finds it so. */
	if (skb->ip_summed == CHECKSUM_PARTIAL) {
		if (skb_checksum_help(skb))
			return -ENOMEM;
		skb->ip_summed = CHECKSUM_UNNECESSARY;
		sum_ok = true;
	}
	return rs_e1000_rx(nic->model, skb->len, tci, sum_ok, copy_out, &o, what);
}
