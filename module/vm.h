/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * vm.h - one virtual machine: an address space, its nested page table, up to RS_MAX_VCPUS vCPUs
 *
 * Lifetime: the VM's descriptor and each vCPU hold a reference (ref); the last one destroys it. The
 * mm is not kept alive, only its struct: when the process ends, the mmu's notifier empties the
 * nested table for good (mmu.dead) while descriptors may still be open.
 *
 * Lock order of the module: vm->lock -> mmap_lock -> mmu->lock. The notifier takes mmu->lock only.
 * The rest are leaves. That a thread uses a vCPU is no lock, see vcpu.h.
 */
#ifndef RS_VM_H
#define RS_VM_H

#include <linux/atomic.h>
#include <linux/cpumask.h>
#include <linux/kref.h>
#include <linux/mutex.h>
#include <uapi/ringside_netlink.h>
#include "vcpu.h"

struct dentry;
struct rs_nic;

struct rs_vm {
	struct kref ref;
	/* whose ioctls are obeyed; compared, never used. mmu.mm holds the reference */
	struct mm_struct *mm;
	u32 flags;				/* RS_VM_* */
	u32 id;					/* for names in debugfs */
	struct rs_mmu mmu;
	struct mutex lock;			/* creation and removal of vCPUs; past */
	/* changed under lock and mmu.lock, read under either */
	struct rs_vcpu *vcpus[RS_MAX_VCPUS];
	DECLARE_BITMAP(vcpu_ids, RS_MAX_VCPUS);	/* which of vcpus[] exist; as vcpus */
	struct rs_stats past;			/* counters of vCPUs that are gone; lock */
	/* IPIs sent to vCPUs in the guest; written under mmu.lock */
	u64 kicks;
	cpumask_var_t kick_mask;		/* scratch of kick_all; mmu.lock */
	struct dentry *debugfs;
	/*
	 * Set once each, under rtnl, while the VM's descriptor is held; read by vCPUs without a
	 * lock (rs_nic_of). The VM's reference.
	 */
	struct rs_nic *nics[RS_MAX_NICS];
};

/**
 * rs_vm_create - a VM on the address space @mm, with virtualisation turned on
 * P. Return the VM with one reference, or ERR_PTR: -ENODEV, -EBUSY, -ENOMEM, -EINTR, -ESHUTDOWN.
 */
struct rs_vm *rs_vm_create(struct mm_struct *mm, u32 flags);
void rs_vm_get(struct rs_vm *vm);
void rs_vm_put(struct rs_vm *vm);		/* P, takes rtnl: with no lock held */

/**
 * rs_vm_add_vcpu - make vCPU @id of @vm
 * P. Return the vCPU, which holds a reference to @vm, or ERR_PTR: -EINVAL, -EEXIST, -ENOMEM.
 * rs_vm_remove_vcpu frees it and its reference; nobody runs it then.
 */
struct rs_vcpu *rs_vm_add_vcpu(struct rs_vm *vm, u32 id);
void rs_vm_remove_vcpu(struct rs_vcpu *vcpu);

void rs_vm_stats(struct rs_vm *vm, struct rs_stats *stats);	/* P, takes vm->lock */

/* net/netdev.c; P, takes rtnl. The VM ends: its interfaces go, then its NICs. */
void rs_nics_end(struct rs_vm *vm);

/* debugfs.c; P. When remove returns nobody reads the files of @vm any more. */
void rs_debugfs_add_vm(struct rs_vm *vm);
void rs_debugfs_remove_vm(struct rs_vm *vm);

#endif /* RS_VM_H */
