/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * gate.h - the gate between the host and the guest of one VM: what keeps its vCPUs from entering
 *
 * A vCPU looks at the gate only when the RS_KICK_GATE bit of its kick word is set, so that the VM
 * whose gate is open and who has no limit of exits pays nothing: the kick word is looked at before
 * each entry anyway. Who shuts the gate
 *	1  sets a flag here
 *	2  sets RS_KICK_GATE on every vCPU, makes those that are in the guest leave it, and waits
 *	   for that (rs_vm_shut_gate)
 * and then no vCPU is in the guest, nor will be: one that was not in the guest in step 2 finds the
 * bit, and then the flag, before it enters. A vCPU that comes to be later is born with the bit.
 *
 * The flags are changed under vm->lock and read any time. PAUSED goes away again, the other two only
 * with the VM or the limit.
 *
 * Limit of exits: entries are counted, since every entry ends with one exit. RS_KICK_GATE stays set
 * on every vCPU, and each entry takes one off @entries_left, whichever vCPU makes it: exact with
 * several of them, and paid for only by VMs that are limited.
 */
#ifndef RS_GATE_H
#define RS_GATE_H

#include <linux/atomic.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <uapi/ringside.h>

struct rs_gate;
struct rs_vcpu;

#define RS_GATE_PAUSED	(1u << 0)
#define RS_GATE_ENDED	(1u << 1)
#define RS_GATE_METERED	(1u << 2)	/* entries_left counts */

/* Bits of rs_vcpu.kick. */
enum { RS_KICK_USER, RS_KICK_GATE };

/** struct rs_fault_report - why RS_RUN ended with a fault of the guest, as RS_RUN says it */
struct rs_fault_report {
	u32 reason;			/* enum rs_exit_reason */
	u32 cpl;
	u64 rip;
	u64 gpa, gva;			/* RS_EXIT_MEMORY_FAULT */
	u32 access;
	int error;			/* -errno */
	u64 hw_reason, hw_info1, hw_info2;	/* RS_EXIT_FAIL_ENTRY, RS_EXIT_UNHANDLED */
};

/** struct rs_gate_ops - what vCPUs need from their VM; P, the vCPU is claimed by this thread */
struct rs_gate_ops {
	/* No entry is left: shuts the gate for good. */
	void (*used_up)(struct rs_gate *gate);
	void (*fault)(struct rs_vcpu *vcpu, const struct rs_fault_report *report);
};

struct rs_gate {
	unsigned int flags;		/* RS_GATE_* */
	u32 end_reason;			/* enum rs_end_reason; written before RS_GATE_ENDED */
	u64 end_limit;			/* that was reached; as end_reason */
	atomic64_t entries_left;
	wait_queue_head_t wait;		/* vCPUs that wait for the end of the pause */
	const struct rs_gate_ops *ops;
};

static inline void rs_gate_init(struct rs_gate *gate, const struct rs_gate_ops *ops)
{
	init_waitqueue_head(&gate->wait);
	gate->ops = ops;
}

static inline bool rs_gate_is_shut(const struct rs_gate *gate)
{
	return READ_ONCE(gate->flags) & (RS_GATE_PAUSED | RS_GATE_ENDED);
}

/* The reason can be read once this has said so. */
static inline bool rs_gate_has_ended(const struct rs_gate *gate)
{
	/* pairs with smp_store_release in rs_vm_end */
	return smp_load_acquire(&gate->flags) & RS_GATE_ENDED;
}

#endif /* RS_GATE_H */
