// SPDX-License-Identifier: GPL-2.0-only
/*
 * e1000.c - the device and its register file
 *
 * A register is one of four: it has a meaning here and a case in the two switches; it is an array
 * (filters, statistics); it is only remembered, since drivers set it and read it back; it does not
 * exist, reads as 0 and takes nothing. A write moves no packet: it says what is to be done next.
 */
#include <uapi/ringside_guest.h>
#include <uapi/ringside_netlink.h>
#include "e1000_dev.h"

static const struct {
	u32 offset, initial;
} remembered[] = {
	{ E1000_CTRL_EXT, 0 }, { E1000_FLA, 0 }, { E1000_FCAL, 0x00c28001 }, { E1000_FCAH, 0x100 },
	{ E1000_FCT, 0x8808 }, { E1000_FCTTV, 0 }, { E1000_TXCW, 0 }, { E1000_RXCW, 0 },
	{ E1000_TIPG, 0x00602008 }, { E1000_AIT, 0 }, { E1000_LEDCTL, 0x07068302 },
	{ E1000_PBA, 0x00100030 }, { E1000_FCRTL, 0 }, { E1000_FCRTH, 0 }, { E1000_TSPMT, 0x01000400 },
	{ E1000_RSRPD, 0 }, { E1000_TXDMAC, 1 }, { E1000_WUC, 0 }, { E1000_WUFC, 0 },
	{ E1000_WUS, 0 }, { E1000_MANC, 0 }, { E1000_IPAV, 0 },
};

static u32 *memory_of(struct rs_e1000 *dev, u32 offset)
{
	u32 i;

	_Static_assert(ARRAY_SIZE(remembered) <= ARRAY_SIZE(dev->memory), "registers to remember");
	for (i = 0; i < ARRAY_SIZE(remembered); i++)
		if (remembered[i].offset == offset)
			return &dev->memory[i];
	return NULL;
}

struct rs_e1000 *rs_e1000_new(const struct rs_e1000_ops *ops, void *ctx)
{
	static const u8 no_mac[6];
	struct rs_e1000 *dev = kzalloc(sizeof(*dev), GFP_KERNEL);

	if (!dev)
		return NULL;
	dev->ops = ops;
	dev->ctx = ctx;
	rs_e1000_reset(dev, no_mac);
	return dev;
}

void rs_e1000_free(struct rs_e1000 *dev)
{
	kfree(dev);
}

void rs_e1000_reset(struct rs_e1000 *dev, const u8 mac[6])
{
	const struct rs_e1000_ops *ops = dev->ops;
	const struct rs_e1000_stats stats = dev->stats;
	const bool link = dev->link;
	void *ctx = dev->ctx;
	u8 address[6];
	u32 i;

	memcpy(address, mac, sizeof(address));	/* it may be dev->mac */
	memset(dev, 0, sizeof(*dev));
	dev->ops = ops;
	dev->ctx = ctx;
	dev->stats = stats;
	dev->link = link;
	memcpy(dev->mac, address, sizeof(dev->mac));

	dev->ctrl = CTRL_FD | CTRL_SPEED_1000;
	dev->eecd = EECD_PRES | EECD_DO;
	dev->vet = 0x8100;
	dev->ra[0] = mac_low(dev->mac);
	dev->ra[1] = RAH_AV | mac_high(dev->mac);
	for (i = 0; i < ARRAY_SIZE(remembered); i++)
		dev->memory[i] = remembered[i].initial;
	eeprom_init(dev);
	phy_reset(dev);
	/* the link comes back after a reset, and that is a change */
	if (link)
		dev->icr = ICR_LSC;
}

u32 rs_e1000_set_link(struct rs_e1000 *dev, bool up)
{
	if (dev->link == up)
		return 0;
	dev->link = up;
	phy_link(dev);
	return deliver(dev, ICR_LSC) | RS_E1000_LINK | RS_E1000_WORK;
}

const struct rs_e1000_stats *rs_e1000_stats(const struct rs_e1000 *dev)
{
	return &dev->stats;
}

void count_size(struct rs_e1000 *dev, u32 first, u32 len)
{
	static const u32 upto[] = { 64, 127, 255, 511, 1023 };
	u32 i;

	for (i = 0; i < ARRAY_SIZE(upto) && len > upto[i]; i++)
		;
	count(dev, first + i);
}

/* --- arrays -------------------------------------------------------------- */

/* The word of a filter at @offset, or NULL. */
static u32 *filter_of(struct rs_e1000 *dev, u32 offset)
{
	if (offset >= E1000_MTA && offset < E1000_MTA + sizeof(dev->mta))
		return &dev->mta[(offset - E1000_MTA) / 4];
	if (offset >= E1000_RA && offset < E1000_RA + sizeof(dev->ra))
		return &dev->ra[(offset - E1000_RA) / 4];
	if (offset >= E1000_VFTA && offset < E1000_VFTA + sizeof(dev->vfta))
		return &dev->vfta[(offset - E1000_VFTA) / 4];
	return NULL;
}

/* A pair of octet counters is read low word first, and the high one clears it. */
static u32 counter_read(struct rs_e1000 *dev, u32 stat)
{
	const u32 v = dev->counter[stat];

	switch (stat) {
	case STAT_GORCL: case STAT_GOTCL: case STAT_TORL: case STAT_TOTL:
		break;
	case STAT_GORCH: case STAT_GOTCH: case STAT_TORH: case STAT_TOTH:
		dev->counter[stat - 1] = 0;
		fallthrough;
	default:
		dev->counter[stat] = 0;
	}
	return v;
}

/* --- rings --------------------------------------------------------------- */

static struct e1000_ring *ring_of(struct rs_e1000 *dev, u32 offset)
{
	if ((offset & ~0x3fu) == E1000_TX_RING)
		return &dev->ring[RING_TX];
	if ((offset & ~0x3fu) == E1000_RX_RING)
		return &dev->ring[RING_RX];
	return NULL;
}

static u32 ring_read(const struct e1000_ring *r, u32 offset)
{
	switch (offset & 0x3f) {
	case RING_BAL: return r->bal;
	case RING_BAH: return r->bah;
	case RING_LEN: return r->len;
	case RING_HEAD: return r->head;
	case RING_TAIL: return r->tail;
	case RING_DELAY: return r->delay;
	case RING_DCTL: return r->dctl;
	case RING_ABS_DELAY: return r->abs_delay;
	default: return 0;
	}
}

static u32 ring_write(struct rs_e1000 *dev, struct e1000_ring *r, u32 offset, u32 v)
{
	const int which = r - dev->ring;

	switch (offset & 0x3f) {
	case RING_BAL:
		r->bal = v & ~15u;
		break;
	case RING_BAH:
		r->bah = v;
		break;
	case RING_LEN:
		r->len = v & 0xfff80;
		dev->rx_need = 0;
		break;
	case RING_HEAD:
		if (!dev->page_on)
			r->head = v & 0xffff;
		break;
	case RING_TAIL:
		if (!dev->page_on)
			r->tail = v & 0xffff;
		break;
	case RING_DELAY:
		r->delay = v & 0xffff;
		if ((v & DELAY_FLUSH) && dev->timer[which].due)
			cause_ring(dev, which, false);
		return deliver(dev, 0);
	case RING_DCTL:
		r->dctl = v;
		return 0;
	case RING_ABS_DELAY:
		r->abs_delay = v & 0xffff;
		return 0;
	default:
		return 0;
	}
	/* with the queue page, what has stopped is started by setting up the page, and by nothing else */
	if (!dev->page_on)
		r->stuck = false;
	if (which == RING_TX)
		dev->tx_partial = false;
	return RS_E1000_WORK;
}

/* --- registers ----------------------------------------------------------- */

static u32 status(const struct rs_e1000 *dev)
{
	return STATUS_FD | STATUS_SPEED_1000 | STATUS_ASDV_1000 | STATUS_MTXCKOK | (dev->link ? STATUS_LU : 0);
}

u32 rs_e1000_reg_read(struct rs_e1000 *dev, u32 offset, u32 *what)
{
	const u32 *word;
	u32 v;

	*what = 0;
	dev->stats.register_reads++;
	if (offset >= RS_NIC_REGS_SIZE || (offset & 3))
		return 0;

	switch (offset) {
	case E1000_CTRL:
	case E1000_CTRL_DUP:	return dev->ctrl;
	case E1000_STATUS:	return status(dev);
	case E1000_EECD:	return dev->eecd;
	case E1000_EERD:	return dev->eerd;
	case E1000_MDIC:	return dev->mdic;
	case E1000_VET:		return dev->vet;
	case E1000_ICR:
		if (dev->page_on)
			return 0;
		/* what the throttle holds back is there, too */
		v = dev->icr | dev->causes;
		dev->icr = dev->causes = 0;
		return v;
	case E1000_ITR:		return dev->itr;
	case E1000_IMS:		return dev->ims;
	case E1000_RCTL:	return dev->rctl;
	case E1000_TCTL:	return dev->tctl;
	case E1000_RXCSUM:	return dev->rxcsum;
	case E1000_RFCTL:	return dev->rfctl;
	case RS_NIC_REG_PAGE_LOW:
		return dev->page_on ? (u32)dev->page | 1 : 0;
	case RS_NIC_REG_PAGE_HIGH:
		return dev->page_high;
	}
	if (offset >= E1000_STATS && offset < E1000_STATS_END)
		return counter_read(dev, STAT(offset));
	if (ring_of(dev, offset) && offset != E1000_TSPMT)
		return ring_read(ring_of(dev, offset), offset);
	word = filter_of(dev, offset);
	if (!word)
		word = memory_of(dev, offset);
	return word ? *word : 0;
}

static u32 ctrl_write(struct rs_e1000 *dev, u32 v)
{
	const u32 changed = dev->ctrl ^ v;

	if (v & CTRL_RST) {
		rs_e1000_reset(dev, dev->mac);
		return RS_E1000_LINK | RS_E1000_WORK;
	}
	dev->ctrl = v;
	if (changed & v & CTRL_PHY_RST)
		phy_reset(dev);
	return changed & CTRL_VME ? RS_E1000_LINK : 0;
}

/* A line that stays up after a write is seen as long as it is up. */
static u32 line(struct rs_e1000 *dev)
{
	if (dev->page_on || !(dev->icr & dev->ims))
		return 0;
	dev->stats.interrupts++;
	return RS_E1000_IRQ;
}

u32 rs_e1000_reg_write(struct rs_e1000 *dev, u32 offset, u32 v)
{
	u32 *word;

	dev->stats.register_writes++;
	if (offset >= RS_NIC_REGS_SIZE || (offset & 3))
		return 0;

	switch (offset) {
	case E1000_CTRL:
	case E1000_CTRL_DUP:
		return ctrl_write(dev, v);
	case E1000_EECD:
		eecd_write(dev, v);
		return 0;
	case E1000_EERD:
		eerd_write(dev, v);
		return 0;
	case E1000_MDIC:
		v = mdic_write(dev, v);
		return v ? deliver(dev, v) : 0;
	case E1000_VET:
		dev->vet = v & 0xffff;
		return RS_E1000_LINK;
	case E1000_ICR:
		if (dev->page_on)
			return 0;
		dev->icr &= ~v;
		dev->causes &= ~v;
		return line(dev);
	case E1000_ITR:
		dev->itr = v & 0xffff;
		return deliver(dev, 0);
	case E1000_ICS:
		return deliver(dev, v & ICR_ALL);
	case E1000_IMS:
		if (dev->page_on)
			return 0;
		dev->ims |= v & ICR_ALL;
		return v & dev->icr ? line(dev) : 0;
	case E1000_IMC:
		if (!dev->page_on)
			dev->ims &= ~v;
		return 0;
	case E1000_RCTL:
		dev->rctl = v;
		dev->rx_need = 0;
		return RS_E1000_LINK | RS_E1000_WORK;
	case E1000_TCTL:
		dev->tctl = v;
		return RS_E1000_LINK | RS_E1000_WORK;
	case E1000_RXCSUM:
		dev->rxcsum = v;
		return 0;
	case E1000_RFCTL:
		dev->rfctl = v;
		return 0;
	case RS_NIC_REG_PAGE_LOW:
		return page_setup(dev, v);
	case RS_NIC_REG_PAGE_HIGH:
		dev->page_high = v;
		return 0;
	}
	if (ring_of(dev, offset) && offset != E1000_TSPMT)
		return ring_write(dev, ring_of(dev, offset), offset, v);
	word = filter_of(dev, offset);
	if (word) {
		*word = v;
		return RS_E1000_LINK;
	}
	word = memory_of(dev, offset);
	if (word)
		*word = v;
	return 0;
}
