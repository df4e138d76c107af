// SPDX-License-Identifier: GPL-2.0-only
/*
 * e1000_rx.c - the receive ring: filters, and frames into the buffers that the driver has described
 *
 * What is put into the buffers is one stretch of bytes: the frame, the VLAN tag in it if the driver wants
 * it there, zeros up to Ethernet's shortest frame, four more for the FCS if the driver keeps that. It
 * fills one buffer after the other, each of the size that RCTL says.
 *
 * Nothing is touched unless the whole frame finds descriptors. Then first the bytes, after them the
 * descriptors in order; in each, the status byte last, since a driver polls it. (With the queue page it
 * looks at the head, which is stored after the round.) A descriptor that points nowhere costs the frame:
 * the descriptors up to it are given back, the last one with an error.
 */
#include "e1000_dev.h"

#define MIN_FRAME	60	/* without FCS */
#define MAX_SHORT	1518	/* without FCS: what is longer needs LPE */
#define TAG_AT		12

static u32 buffer_size(u32 rctl)
{
	/* the reserved one: less than any that can be meant */
	static const u16 with_bsex[] = { 256, 16384, 8192, 4096 };

	return rctl & RCTL_BSEX ? with_bsex[RCTL_BSIZE(rctl)] : 2048 >> RCTL_BSIZE(rctl);
}

bool rs_e1000_receives(const struct rs_e1000 *dev)
{
	return dev->rctl & RCTL_EN;
}

static bool receiver_on(const struct rs_e1000 *dev)
{
	return (dev->rctl & RCTL_EN) && dev->link;
}

/* --- filters ------------------------------------------------------------- */

static bool address_matches(const struct rs_e1000 *dev, const u8 *dst)
{
	const u32 low = mac_low(dst), high = mac_high(dst);
	u32 i;

	for (i = 0; i < RA_ENTRIES; i++)
		if ((dev->ra[2 * i + 1] & (RAH_AV | RAH_AS | 0xffff)) == (RAH_AV | high) && dev->ra[2 * i] == low)
			return true;
	return false;
}

/* Twelve bits of the address, which ones says MO, are the number of a bit. */
static bool hash_matches(const struct rs_e1000 *dev, const u8 *dst)
{
	static const u8 shift[] = { 4, 3, 2, 0 };
	const u32 bit = (dst[4] | dst[5] << 8) >> shift[RCTL_MO(dev->rctl)] & 0xfff;

	return dev->mta[bit / 32] >> (bit % 32) & 1;
}

static bool vlan_matches(const struct rs_e1000 *dev, u32 id)
{
	return !(dev->rctl & RCTL_VFE) || (dev->vfta[id / 32 % VFTA_WORDS] >> (id % 32) & 1);
}

bool rs_e1000_rx_wants(struct rs_e1000 *dev, const u8 dst[6], int vlan)
{
	static const u8 broadcast[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	const u32 rctl = dev->rctl;

	if (!receiver_on(dev) || (vlan >= 0 && !vlan_matches(dev, vlan & 0xfff)))
		return false;
	if (rctl & (dst[0] & 1 ? RCTL_MPE : RCTL_UPE))
		return true;
	if ((rctl & RCTL_BAM) && !memcmp(dst, broadcast, sizeof(broadcast)))
		return true;
	return address_matches(dev, dst) || ((dst[0] & 1) && hash_matches(dev, dst));
}

static bool tag_wanted(const struct rs_e1000 *dev, u32 tci)
{
	if (!vlan_matches(dev, tci & 0xfff))
		return false;
	return !(dev->rctl & RCTL_CFIEN) || !!(tci & 0x1000) == !!(dev->rctl & RCTL_CFI);
}

/* --- bytes --------------------------------------------------------------- */

/*
 * struct inbound - a frame on its way in
 * @len: of the frame as the caller has it; @total: as the driver gets it. @tag: in it, if @tagged
 */
struct inbound {
	int (*copy)(void *frame, u32 offset, u64 gpa, u32 n);
	void *frame;
	u32 len, total;
	bool tagged;
	u8 tag[4];
};

/* Bytes [from, from + n) as the driver gets them to @gpa. */
static int put(struct rs_e1000 *dev, const struct inbound *in, u32 from, u64 gpa, u32 n)
{
	static const u8 zeros[MIN_FRAME + 4];
	const u32 tag_end = in->tagged ? TAG_AT + 4 : 0, shift = in->tagged ? 4 : 0;
	u32 piece;
	int err = 0;

	for (; n && !err; from += piece, gpa += piece, n -= piece) {
		if (gpa + n < gpa)
			return -EFAULT;
		if (in->tagged && from < TAG_AT) {
			piece = min_t(u32, n, TAG_AT - from);
			err = in->copy(in->frame, from, gpa, piece);
		} else if (from < tag_end) {
			piece = min_t(u32, n, tag_end - from);
			err = dev->ops->write(dev->ctx, gpa, in->tag + from - TAG_AT, piece);
		} else if (from - shift < in->len) {
			piece = min_t(u32, n, in->len - (from - shift));
			err = in->copy(in->frame, from - shift, gpa, piece);
		} else {
			piece = min_t(u32, n, sizeof(zeros));
			err = dev->ops->write(dev->ctx, gpa, zeros, piece);
		}
	}
	return err;
}

/* --- descriptors --------------------------------------------------------- */

/*
 * struct verdict - what the last descriptor of a frame says beside its length
 */
struct verdict {
	u8 status, errors;
	u16 tci;
};

static int write_back(struct rs_e1000 *dev, u32 index, u32 len, const struct verdict *v)
{
	const u64 at = ring_at(&dev->ring[RING_RX], index);
	const bool ext = dev->rfctl & RFCTL_EXSTEN;
	union e1000_rx_desc d = { .legacy = { 0 } };
	const u8 status = v->status;
	int err;

	if (ext) {
		d.ext.status = (u32)v->errors << RX_EXT_ERR_SHIFT | status;
		d.ext.len = len;
		d.ext.vlan = v->tci;
		if (dev->page_on)
			return dev->ops->write(dev->ctx, at, &d, sizeof(d));
		d.ext.status &= ~RX_DD;
		err = dev->ops->write(dev->ctx, at, &d, sizeof(d));
	} else {
		d.legacy.len = len;
		d.legacy.errors = v->errors;
		d.legacy.special = v->tci;
		/* the address stays as it is; a driver may use it again */
		if (dev->page_on)
			d.legacy.status = status;
		err = dev->ops->write(dev->ctx, at + 8, &d.legacy.len, 8);
		if (dev->page_on)
			return err;
	}
	if (err)
		return err;
	full_barrier(dev);
	return dev->ops->write(dev->ctx, at + (ext ? 8 : 12), &status, sizeof(status));
}

/* Descriptors [head, head + n) have a frame, or what has become of it. */
static bool give(struct rs_e1000 *dev, u32 size, u32 n, u32 total, const struct verdict *last)
{
	static const struct verdict more = { .status = RX_DD };
	struct e1000_ring *r = &dev->ring[RING_RX];
	const u32 bsize = buffer_size(dev->rctl);
	u32 i, left = (r->tail + size - r->head) % size, threshold = size >> (RCTL_RDMTS(dev->rctl) + 1);

	for (i = 0; i < n; i++) {
		const bool end = i == n - 1;

		if (write_back(dev, r->head, end ? total - i * bsize : bsize, end ? last : &more))
			return false;
		r->head = r->head + 1 == size ? 0 : r->head + 1;
	}
	if (left > threshold && left - n <= threshold)
		dev->causes |= ICR_RXDMT0;
	cause_ring(dev, RING_RX, true);
	return true;
}

static void count_received(struct rs_e1000 *dev, u64 gpa, u32 len)
{
	const u32 octets = max(len + 4, 64u);
	u8 to;

	dev->stats.rx_packets++;
	dev->stats.rx_bytes += len;
	count(dev, STAT_TPR);
	count(dev, STAT_GPRC);
	count_octets(dev, STAT_TORL, octets);
	count_octets(dev, STAT_GORCL, octets);
	count_size(dev, STAT_PRC64, octets);
	/* a driver of the queue page counts for itself; this is for one that has only registers */
	if (dev->page_on || dev->ops->read(dev->ctx, gpa, &to, sizeof(to)))
		return;
	if (to == 0xff)
		count(dev, STAT_BPRC);
	else if (to & 1)
		count(dev, STAT_MPRC);
}

/* Descriptors that are the device's; the page is looked at only when those known do not do. */
static bool room_for(struct rs_e1000 *dev, u32 need, u32 *size, int *err)
{
	struct e1000_ring *r = &dev->ring[RING_RX];

	*err = 0;
	*size = ring_size(r);
	if (dev->page_on && !r->stuck && r->head < *size && r->tail < *size &&
	    (r->tail + *size - r->head) % *size >= need)
		return true;
	if (!ring_usable(dev, RING_RX, size)) {
		*err = -ENETDOWN;
		return false;
	}
	return (r->tail + *size - r->head) % *size >= need;
}

static int no_room(struct rs_e1000 *dev, u32 need)
{
	/* once, however often it is tried again */
	if (!dev->rx_need) {
		dev->stats.rx_no_room++;
		count(dev, STAT_RNBC);
		dev->causes |= ICR_RXO;
	}
	dev->rx_need = need;
	return -ENOBUFS;
}

int rs_e1000_rx(struct rs_e1000 *dev, u32 len, int tci, bool sum_ok,
		int (*copy)(void *frame, u32 offset, u64 gpa, u32 n), void *frame, u32 *what)
{
	struct e1000_ring *r = &dev->ring[RING_RX];
	struct inbound in = { .copy = copy, .frame = frame, .len = len };
	struct verdict v = { .status = RX_DD | RX_EOP };
	const u32 bsize = buffer_size(dev->rctl);
	u32 need, size, i, at, n;
	u64 gpa, first = 0;
	int err;

	*what = 0;
	if (!receiver_on(dev))
		return -ENETDOWN;
	if (tci >= 0 && !tag_wanted(dev, tci)) {
		dev->stats.rx_filtered++;
		return 0;
	}
	in.tagged = tci >= 0 && len >= TAG_AT && !(dev->ctrl & CTRL_VME);
	if (in.tagged) {
		in.tag[0] = dev->vet >> 8;
		in.tag[1] = dev->vet;
		in.tag[2] = tci >> 8;
		in.tag[3] = tci;
	} else if (tci >= 0) {
		v.status |= RX_VP;
		v.tci = tci;
	}
	v.status |= sum_ok && (dev->rxcsum & RXCSUM_TUOFL) ? RX_TCPCS : RX_IXSM;

	/* on the wire a tag is there in any case */
	if (len > RS_E1000_MAX_FRAME - 8 || (!(dev->rctl & RCTL_LPE) && len + (tci >= 0 ? 4 : 0) > MAX_SHORT)) {
		count(dev, STAT_ROC);
		return -EMSGSIZE;
	}
	in.total = max_t(u32, len + (in.tagged ? 4 : 0), MIN_FRAME) + (dev->rctl & RCTL_SECRC ? 0 : 4);
	need = (in.total + bsize - 1) / bsize;

	if (!room_for(dev, need, &size, &err))
		return err ?: need < size ? no_room(dev, need) : -EMSGSIZE;
	dev->rx_need = 0;

	for (i = 0, at = r->head; i < need; i++, at = at + 1 == size ? 0 : at + 1) {
		if (dev->ops->read(dev->ctx, ring_at(r, at), &gpa, sizeof(gpa)))
			goto ring_lost;
		if (!i)
			first = gpa;
		n = min_t(u32, bsize, in.total - i * bsize);
		if (put(dev, &in, i * bsize, gpa, n)) {
			dev->stats.rx_bad++;
			count(dev, STAT_MPC);
			v.status = RX_DD | RX_EOP | RX_IXSM;
			v.errors = RX_ERR_RXE;
			if (!give(dev, size, i + 1, i * bsize, &v))
				goto ring_lost;
			return 0;
		}
	}
	if (!give(dev, size, need, in.total, &v))
		goto ring_lost;
	count_received(dev, first, in.tagged ? len + 4 : len);
	return 0;

ring_lost:
	ring_stop(dev, RING_RX);
	return -EFAULT;
}
