/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * nic.h - the NIC of a VM: the model (e1000.h) between a guest and a Linux network interface
 *
 *	vCPUs		registers, by hypercall (nic.c) or by trapped accesses (mmio.c)
 *	the worker	a thread of its own (nic.c): moves frames between the guest's rings and the port
 *	the port	two queues and a lock between the worker and the interface (netdev.c)
 *
 * Two sides, two locks, and neither side ever waits for the other:
 *
 *	lock		mutex, around every call of the model. Guest memory is read and written under it,
 *			and behind guest memory can be a file system in user space that does not answer.
 *			Never taken by the network's side, so a guest can hold up nobody but itself; waited
 *			for so that a signal ends it.
 *	port.lock	spin lock, softirqs off: the queues, the interface, the counters. Whoever finds
 *			port.dev not NULL under it may use the interface until it is unlocked.
 *
 * Lock order: lock -> mmu's access_sem -> mmap_lock -> mmu->lock; lock -> port.lock; rtnl -> port.lock.
 * rtnl and lock never meet.
 *
 * Life: the VM has a reference from when the interface was made until the VM ends (rs_nics_put), the
 * interface until it is freed. Worker and interface end when the VM's descriptor is closed
 * (rs_nics_end); vCPUs that are still there keep a NIC that moves nothing. When the interface goes first, the NIC is
 * left with its registers and a link that is down for good. Nothing here holds a reference to the VM
 * or to a file: the eventfd's context and the mm's structure are held, its memory only while there is
 * work.
 */
#ifndef RS_NIC_H
#define RS_NIC_H

#include <linux/atomic.h>
#include <linux/if_ether.h>
#include <linux/kref.h>
#include <linux/mutex.h>
#include <linux/skbuff.h>
#include <linux/spinlock.h>
#include <uapi/ringside_netlink.h>
#include "e1000.h"
#include "vm.h"

#define RS_PORT_TO_GUEST	512	/* frames that wait for the worker: the interface stops there */
#define RS_PORT_TO_HOST		1024	/* frames that wait for NAPI: the guest's ring stops there */

struct net_device;
struct eventfd_ctx;

/** struct rs_port - where the worker and the interface meet; all under @lock */
struct rs_port {
	spinlock_t lock;
	struct net_device *dev;		/* NULL: not made yet, or gone for good */
	bool up;			/* between open and stop */
	bool host_full;			/* the worker waits until NAPI has made room */
	/* advanced by stop: what was taken before it is nobody's business any more */
	u32 epoch;
	struct sk_buff_head to_guest, to_host;
	/* as ndo_get_stats64 names them: tx is to the guest */
	u64 rx_packets, rx_bytes, rx_dropped, rx_errors;
	u64 tx_packets, tx_bytes, tx_dropped;
	struct rs_e1000_stats model;	/* as of the last access to the model */
};

struct rs_nic {
	struct kref ref;
	u32 index, vm_id;
	struct rs_mmu *mmu;		/* the VM's; for vCPUs and the worker, which go before it */
	struct mm_struct *mm;		/* mmgrab()bed */
	struct eventfd_ctx *event;
	bool has_regs;			/* the register page is at @regs_gpa */
	u64 regs_gpa;
	u8 mac[ETH_ALEN];		/* in the EEPROM */

	struct task_struct *worker;
	unsigned long work;		/* any thread, bit 0: the worker is to look */
	bool stop;			/* any thread: the worker is to end */
	bool mm_left;			/* the worker has ended with a reference to the mm's memory */

	struct mutex lock;		/* from here to the next lock */
	struct rs_e1000 *model;
	struct rs_mmu_access access;	/* the round in progress */
	bool link;			/* as the model knows it */
	struct page_frag frag;		/* for the next frames of the guest */
	struct sk_buff_head batch;	/* frames of the guest that NAPI does not have yet */
	struct sk_buff_head waiting;	/* frames for the guest, taken from the port at @waiting_epoch */
	u32 waiting_epoch;
	u64 no_room_since;		/* ns; 0: the guest had room for the last frame */
	u64 filtered;			/* frames that were not for this receiver */

	/* written under lock (doorbells: by any vCPU), read by any thread */
	u64 wakeups, interrupts;
	atomic64_t doorbells;

	struct rs_port port;
};

/** struct rs_nic_params - what RTM_NEWLINK said, checked */
struct rs_nic_params {
	u32 index;
	u64 regs_gpa;
	bool has_regs;
	u8 mac[ETH_ALEN];
};

/* --- nic.c --- */

/**
 * rs_nic_new() - a NIC of @vm, known to nobody yet, with one reference and its worker
 * May sleep; current's mm is the VM's. @event becomes the NIC's, unless this fails. ERR_PTR: -ENOMEM, -EINTR.
 */
struct rs_nic *rs_nic_new(struct rs_vm *vm, const struct rs_nic_params *p, struct eventfd_ctx *event);
/**
 * rs_nic_stop() - end the worker, for good; once it has been done, nothing more
 * May sleep. From one thread at a time; others may go on waking the worker that is no more.
 */
void rs_nic_stop(struct rs_nic *nic);
void rs_nic_put(struct rs_nic *nic);		/* may sleep */
/** rs_nic_wake() - the worker is to look at everything. Any context, interrupts off included */
void rs_nic_wake(struct rs_nic *nic);
/** rs_nic_of() - NIC @n of the vCPU's VM, or NULL. It stays while the vCPU does. Any context */
struct rs_nic *rs_nic_of(const struct rs_vcpu *vcpu, u64 n);
/**
 * rs_nic_begin() - lock the model and begin a round of accesses, in a thread that uses the VM's mm
 * -EINTR: a signal; nothing was locked. rs_nic_end() tells others what has come of it: @what is
 * RS_E1000_*.
 */
int rs_nic_begin(struct rs_nic *nic);
void rs_nic_end(struct rs_nic *nic, u32 what);
/** rs_nic_settle() - rs_nic_end() for a vCPU: what is the worker's, the worker is woken for */
void rs_nic_settle(struct rs_nic *nic, u32 what);

/* --- skb.c: frames; under lock, in a round --- */

/** rs_frame_to_skb() - rs_e1000_ops.transmit: into @batch, or counted as bad. 0, -EAGAIN */
int rs_nic_transmit(void *ctx, const struct rs_e1000_frame *f);
/** rs_skb_to_guest() - into the receive ring; as rs_e1000_rx(). 0 also when the filters do not want it */
int rs_skb_to_guest(struct rs_nic *nic, struct sk_buff *skb, u32 *what);

/* --- netdev.c: the port; port.lock is taken inside, any context but interrupts off --- */

/** rs_port_take() - up to @max frames for the guest to the end of @list; returns the epoch */
u32 rs_port_take(struct rs_nic *nic, struct sk_buff_head *list, u32 max);
/** rs_port_done() - of those taken at @epoch, @sent and @dropped have left, with @bytes and @all_bytes */
void rs_port_done(struct rs_nic *nic, u32 epoch, u32 sent, u32 dropped, u32 bytes, u32 all_bytes);
/** rs_port_give() - all of @list to NAPI */
void rs_port_give(struct rs_nic *nic, struct sk_buff_head *list);
/** rs_port_has_room() - for one more, @more being on their way? If not, the worker is woken when there is */
bool rs_port_has_room(struct rs_nic *nic, u32 more);
void rs_port_bad(struct rs_nic *nic, bool no_memory);	/* a frame of the guest was lost */
void rs_port_carrier(struct rs_nic *nic, bool on);

int rs_net_init(void);			/* P */
void rs_net_exit(void);			/* P; no VM exists */

#endif /* RS_NIC_H */
