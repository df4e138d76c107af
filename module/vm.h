/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * vm.h - one virtual machine: an address space, its nested page table, up to RS_MAX_VCPUS vCPUs
 *
 * Lifetime: the VM's descriptor and each vCPU hold a reference (ref); the last one destroys it. The
 * mm is not kept alive, only its struct: when the process ends, the mmu's notifier empties the
 * nested table for good (mmu.dead) while descriptors may still be open.
 *
 * Who may see a VM and change it (net/genl.c) is decided by what its creator was at that moment:
 * network namespace, credentials. The registry finds VMs by their number; it holds no reference: a VM
 * leaves it first thing when its last reference has gone, and who finds it there later finds it dead.
 *
 * Lock order of the module: registry -> vm->lock -> mmap_lock -> mmu->lock. The notifier takes
 * mmu->lock only. The rest are leaves; events (event.h) are sent with no lock but vm->lock. That a
 * thread uses a vCPU is no lock, see vcpu.h.
 */
#ifndef RS_VM_H
#define RS_VM_H

#include <linux/atomic.h>
#include <linux/cpumask.h>
#include <linux/kref.h>
#include <linux/mutex.h>
#include <linux/workqueue.h>
#include <uapi/ringside_netlink.h>
#include "vcpu.h"

struct cred;
struct dentry;
struct pid;
struct rs_netns;

/** struct rs_limits - what a VM may use, 0: no limit */
struct rs_limits {
	u64 cpu_time;				/* ns */
	u64 exits;
	u32 vcpus;
};
struct rs_nic;

struct rs_vm {
	struct kref ref;
	/* whose ioctls are obeyed; compared, never used. mmu.mm holds the reference */
	struct mm_struct *mm;
	u32 flags;				/* RS_VM_* */
	u32 id;					/* in the registry, names in debugfs; from 1 */
	struct rs_mmu mmu;
	/* of the creator; constant */
	struct pid *pid;
	const struct cred *cred;
	struct rs_netns *netns;
	u64 created;				/* ns, CLOCK_BOOTTIME */
	char name[RS_VM_NAME_MAX];
	u8 end_signal;
	/* creation and removal of vCPUs; past; flags of the gate; limits */
	struct mutex lock;
	/* changed under lock and mmu.lock, read under either */
	struct rs_vcpu *vcpus[RS_MAX_VCPUS];
	DECLARE_BITMAP(vcpu_ids, RS_MAX_VCPUS);	/* which of vcpus[] exist; as vcpus */
	struct rs_stats past;			/* counters of vCPUs that are gone; lock */
	u64 past_cpu_time;			/* the same of CPU time */
	struct rs_gate gate;
	struct rs_limits limits;		/* lock */
	struct delayed_work cpu_watch;		/* the limit of CPU time; limit.c */
	/* IPIs sent to vCPUs in the guest; written under mmu.lock */
	u64 kicks;
	cpumask_var_t kick_mask;		/* scratch of vm_kick; mmu.lock */
	struct dentry *debugfs;
	/*
	 * Set once each, under rtnl, while the VM's descriptor is held; read by vCPUs without a
	 * lock (rs_nic_of). The VM's reference.
	 */
	struct rs_nic *nics[RS_MAX_NICS];
};

/** struct rs_vm_request - what RS_CREATE_VM was asked for, checked */
struct rs_vm_request {
	u32 flags;				/* RS_VM_* */
	u8 end_signal;
	char name[RS_VM_NAME_MAX];
};

/**
 * rs_vm_create - a VM on the address space of this process, with virtualisation turned on
 * P. Return the VM with one reference, or ERR_PTR: -ENODEV, -EBUSY, -ENOMEM, -EINTR, -ESHUTDOWN.
 */
struct rs_vm *rs_vm_create(const struct rs_vm_request *req);
void rs_vm_get(struct rs_vm *vm);
void rs_vm_put(struct rs_vm *vm);		/* P, takes rtnl: with no lock held */

/**
 * rs_vm_find - the VM with number @id; rs_vm_next - the one with the lowest number from *@id on, which is
 * stored there
 * P. Return it with a reference, or NULL.
 */
struct rs_vm *rs_vm_find(u32 id);
struct rs_vm *rs_vm_next(u32 *id);

/**
 * rs_vm_add_vcpu - make vCPU @id of @vm
 * P. Return the vCPU, which holds a reference to @vm, or ERR_PTR: -EINVAL, -EEXIST, -ENOMEM, -EDQUOT.
 * rs_vm_remove_vcpu frees it and its reference; nobody runs it then.
 */
struct rs_vcpu *rs_vm_add_vcpu(struct rs_vm *vm, u32 id);
void rs_vm_remove_vcpu(struct rs_vcpu *vcpu);

void rs_vm_stats(struct rs_vm *vm, struct rs_stats *stats);	/* P, takes vm->lock */
u64 rs_vm_exits_locked(struct rs_vm *vm);	/* vm->lock: the same sum as rs_stats.exits */
u64 rs_vm_cpu_time_locked(struct rs_vm *vm);	/* vm->lock: RS_A_CPU_TIME */

/* --- control.c: P --- */

/*
 * Pause, go on, end, kick (vCPU @id, all with -1); as ringside_netlink.h has them. -ESHUTDOWN: has
 * been ended; -ENOENT: no such vCPU. rs_vm_end() always succeeds.
 */
int rs_vm_pause(struct rs_vm *vm);
int rs_vm_resume(struct rs_vm *vm);
int rs_vm_end(struct rs_vm *vm);
int rs_vm_kick(struct rs_vm *vm, int id);

#define RS_LIMIT_CPU_TIME	BIT(0)
#define RS_LIMIT_EXITS		BIT(1)
#define RS_LIMIT_VCPUS		BIT(2)

/* Those of RS_LIMIT_* that are in @which. -ERANGE: fewer vCPUs than there are. */
int rs_vm_set_limits(struct rs_vm *vm, const struct rs_limits *limits, unsigned int which);

/* For vm.c. A vCPU is about to be made, vm->lock: -EDQUOT when that is one too many; or was made. */
int rs_vm_may_add_vcpu(struct rs_vm *vm);
void rs_vm_added_vcpu(struct rs_vm *vm, struct rs_vcpu *vcpu);
void rs_vm_control_init(struct rs_vm *vm);
void rs_vm_control_exit(struct rs_vm *vm);

/*
 * vm.c, for control.c; vm->lock: set RS_KICK_GATE on every vCPU, and when this returns every vCPU
 * has either looked at the gate's flags as they are now or will before it enters.
 */
void rs_vm_shut_gate(struct rs_vm *vm);

/*
 * net/netdev.c; P. rs_nics_end takes rtnl: the VM's descriptor is closed, its interfaces go, its NICs
 * stop. rs_nics_put, later or at once: there are no vCPUs any more, the NICs go.
 */
void rs_nics_end(struct rs_vm *vm);
void rs_nics_put(struct rs_vm *vm);

/* debugfs.c; P. When remove returns nobody reads the files of @vm any more. */
void rs_debugfs_add_vm(struct rs_vm *vm);
void rs_debugfs_remove_vm(struct rs_vm *vm);

#endif /* RS_VM_H */
