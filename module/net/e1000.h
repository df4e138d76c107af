/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * e1000.h - the 82540EM as a model: registers, rings, offloads, interrupts
 *
 * Pure: what it needs of the world comes through struct rs_e1000_ops, so the same code runs in the
 * module, in KUnit and as a hosted program under sanitizers. It knows nothing of skbs, VMs, locks.
 *
 * Two users hold the device's lock (theirs, a mutex) around every call: vCPUs that read and write
 * registers, and the worker that moves packets. A register write never moves a packet itself: it
 * says RS_E1000_WORK, and the worker does it.
 *
 * Everything read from guest memory is hostile: a descriptor is copied once, then checked, then used;
 * the length of a frame, its pieces and the descriptors that one call looks at are bounded.
 */
#ifndef RS_E1000_H
#define RS_E1000_H

#include "e1000_os.h"	/* u8 ... u64, bool, memcpy, min: <linux/...> in the module, libc's when hosted */

#define RS_E1000_MAX_SEGS	64	/* pieces of a frame to be sent */
#define RS_E1000_MAX_TSO	65535	/* bytes of a frame that is to be segmented, headers included */
#define RS_E1000_MAX_FRAME	16288	/* bytes of any other frame, either way (RCTL's LPE) */

/* What a call asks its caller to do. */
#define RS_E1000_WORK		1	/* there may be something for the worker */
#define RS_E1000_IRQ		2	/* the interrupt line has risen, or a cause that was asked for has come */
#define RS_E1000_LINK		4	/* receiver, transmitter or filters have changed */

/**
 * struct rs_e1000_frame - a frame that the guest sends, in its memory
 * @len bytes in @nsegs pieces. @vlan_tci when @has_vlan. Checksums that are to be filled in: the IP
 * header's at @ip_sum_at over [@ip_start, @ip_end), the transport's (sum of [@l4_start, end of frame),
 * stored at @l4_sum_at, where the guest has put the sum of the pseudo header) when the flags say so.
 * @mss not 0: to be cut into segments of @mss bytes of payload behind @hdr_len bytes of headers (TCP over
 * IPv4, or @ipv6). @l4_sum is set then, @ip_sum for IPv4; the driver's pseudo header is without the length.
 * All offsets were checked: both bytes of a sum lie in what it is of, and that in the frame, which has
 * at least an Ethernet header. The addresses were not: pieces may lie anywhere, but for wrapping round.
 */
struct rs_e1000_frame {
	u32 len;
	u16 nsegs;
	bool has_vlan, ip_sum, l4_sum, tcp, ipv6;
	u16 vlan_tci;
	u16 ip_start, ip_end, ip_sum_at, l4_start, l4_sum_at;
	u16 mss, hdr_len;
	struct {
		u64 gpa;
		u32 len;
	} seg[RS_E1000_MAX_SEGS];
};

struct rs_e1000_ops {
	/*
	 * Guest memory; may sleep. 0, -EFAULT: nowhere, or not to be had (some of it may have been written).
	 * 4 bytes at a multiple of 4 are one access (get_user(), put_user()): the queue page needs that.
	 */
	int (*read)(void *ctx, u64 gpa, void *buf, u32 len);
	int (*write)(void *ctx, u64 gpa, const void *buf, u32 len);
	/* OR into a word of guest memory that the guest changes too; what was there, or -EFAULT */
	s64 (*or32)(void *ctx, u64 gpa, u32 bits);
	/*
	 * A frame to be sent; 0 when it was taken or is to be dropped (ops counts why), -EAGAIN: no room,
	 * the descriptors stay the device's and the worker comes again: until it has called rs_e1000_tx() once
	 * more, rs_e1000_sleep() does not take what waits in the ring for work.
	 */
	int (*transmit)(void *ctx, const struct rs_e1000_frame *f);
	void (*barrier)(void);	/* full, between CPUs */
	u64 (*now_ns)(void *ctx);	/* for the throttle of interrupts */
};

struct rs_e1000_stats {
	u64 tx_packets, tx_bytes, rx_packets, rx_bytes;
	u64 tx_bad;		/* frames and descriptors that were refused */
	u64 rx_filtered;	/* not for this receiver */
	u64 rx_no_room;		/* found no descriptor, and had to wait */
	u64 interrupts, register_reads, register_writes;
	u64 rx_bad;		/* lost, since a descriptor pointed nowhere */
};

struct rs_e1000;

struct rs_e1000 *rs_e1000_new(const struct rs_e1000_ops *ops, void *ctx);	/* NULL: no memory */
void rs_e1000_free(struct rs_e1000 *dev);

/** rs_e1000_reset() - power-on state, @mac in the EEPROM; statistics are kept */
void rs_e1000_reset(struct rs_e1000 *dev, const u8 mac[6]);
/** rs_e1000_set_link() - carrier as the Linux side has it; returns RS_E1000_* */
u32 rs_e1000_set_link(struct rs_e1000 *dev, bool up);
const struct rs_e1000_stats *rs_e1000_stats(const struct rs_e1000 *dev);

/** rs_e1000_reg_read() - the register at @offset; *@what gets RS_E1000_* (reading ICR clears it) */
u32 rs_e1000_reg_read(struct rs_e1000 *dev, u32 offset, u32 *what);
/** rs_e1000_reg_write() - returns RS_E1000_* */
u32 rs_e1000_reg_write(struct rs_e1000 *dev, u32 offset, u32 value);

/**
 * rs_e1000_tx() - take up to @budget frames out of the transmit ring and give them to transmit()
 * Writes descriptors back. Returns how many frames; *@what gets RS_E1000_*.
 */
u32 rs_e1000_tx(struct rs_e1000 *dev, u32 budget, u32 *what);
/** rs_e1000_receives() - has the driver switched the receiver on? (whatever the link) */
bool rs_e1000_receives(const struct rs_e1000 *dev);
/** rs_e1000_rx_wants() - would the receiver (on, link, filters) take a frame to @dst? @vlan: -1 or its id */
bool rs_e1000_rx_wants(struct rs_e1000 *dev, const u8 dst[6], int vlan);
/**
 * rs_e1000_rx() - a frame of @len bytes (without FCS) into the receive ring
 * @copy puts bytes [offset, offset + n) of it at @gpa: 0, -EFAULT. @tci: -1, or the VLAN tag, which is
 * in the descriptor or in the frame as the driver has asked. @sum_ok: the transport checksum is known
 * to be right. 0; -ENOBUFS: no descriptors, nothing has happened; -EMSGSIZE: longer than the receiver
 * takes, or than its whole ring has room for; -ENETDOWN: off, or stopped; -EFAULT: the ring is not to be
 * had. *@what gets RS_E1000_*. Only -ENOBUFS is worth another try with the same frame.
 * A frame whose descriptors point nowhere, or whose tag the driver does not want, is dropped and counted: 0.
 * Checksums and FCS: TCPCS when @sum_ok and the driver has switched that on, otherwise IXSM; a driver that
 * wants the FCS gets zeros, as it gets them behind a frame that is too short for Ethernet.
 */
int rs_e1000_rx(struct rs_e1000 *dev, u32 len, int tci, bool sum_ok,
		int (*copy)(void *frame, u32 offset, u64 gpa, u32 n), void *frame, u32 *what);
/**
 * rs_e1000_publish() - after a round of tx and rx: heads to the queue page, causes to it or to ICR
 * Returns RS_E1000_*. Causes of rounds come here and nowhere else, so every round ends with it.
 */
u32 rs_e1000_publish(struct rs_e1000 *dev);
/**
 * rs_e1000_sleep() - the worker is about to sleep (@rx_waits: frames wait for room): ask for doorbells
 * true: there is work after all, and nothing was asked for. Without a queue page: is there work?
 * Work is what could be done now: not half a frame, not a frame for which transmit() had no room, and for
 * @rx_waits as many descriptors as the frame needs to which rs_e1000_rx() said -ENOBUFS.
 */
bool rs_e1000_sleep(struct rs_e1000 *dev, bool rx_waits);
/** rs_e1000_awake() - the worker is awake: take the wish for doorbells back */
void rs_e1000_awake(struct rs_e1000 *dev);
/** rs_e1000_throttled() - ns until a throttled interrupt is due, 0: none; then call rs_e1000_publish() */
u64 rs_e1000_throttled(struct rs_e1000 *dev);

#endif /* RS_E1000_H */
