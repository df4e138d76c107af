// SPDX-License-Identifier: GPL-2.0-only
/*
 * vm.c - making and unmaking VMs, their list of vCPUs, their statistics, and making all vCPUs leave
 * the guest
 *
 * References: the VM descriptor holds one, every vCPU holds one. Descriptors are closed in any
 * order; whoever is last ends up in vm_free, which is the one destructor and undoes rs_vm_create in
 * reverse.
 */
#include <linux/err.h>
#include <linux/idr.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include "virt.h"
#include "vm.h"

static DEFINE_IDA(vm_ids);

static void kick_ipi(void *unused)
{
	/* The interrupt itself made the guest exit; when this runs, it has. */
}

/* See struct rs_mmu_ops: flush_gen is advanced, mmu->lock held. */
static void vm_kick_all(struct rs_mmu *mmu)
{
	struct rs_vm *vm = container_of(mmu, struct rs_vm, mmu);
	unsigned int n;
	int i;

	lockdep_assert_held(&mmu->lock);
	/*
	 * flush_gen before in_guest; pairs with the barrier in the run loop, which sets in_guest
	 * and then reads flush_gen.
	 */
	smp_mb();
	cpumask_clear(vm->kick_mask);
	for_each_set_bit(i, vm->vcpu_ids, RS_MAX_VCPUS) {
		const struct rs_vcpu *vcpu = vm->vcpus[i];

		if (READ_ONCE(vcpu->in_guest))
			cpumask_set_cpu(READ_ONCE(vcpu->cpu), vm->kick_mask);
	}
	n = cpumask_weight(vm->kick_mask);
	if (!n)
		return;
	/* A vCPU that moved to another CPU meanwhile entered there with the new generation. */
	smp_call_function_many(vm->kick_mask, kick_ipi, NULL, true);
	WRITE_ONCE(vm->kicks, vm->kicks + n);
}

static const struct rs_mmu_ops vm_mmu_ops = {
	.kick_all = vm_kick_all,
};

struct rs_vm *rs_vm_create(struct mm_struct *mm, u32 flags)
{
	struct rs_vm *vm;
	int ret;

	if (!rs_backend)
		return ERR_PTR(-ENODEV);
	vm = kzalloc(sizeof(*vm), GFP_KERNEL_ACCOUNT);
	if (!vm)
		return ERR_PTR(-ENOMEM);
	kref_init(&vm->ref);
	mutex_init(&vm->lock);
	vm->flags = flags;
	vm->mm = mm;
	if (!zalloc_cpumask_var(&vm->kick_mask, GFP_KERNEL_ACCOUNT)) {
		ret = -ENOMEM;
		goto err_mask;
	}
	ret = ida_alloc(&vm_ids, GFP_KERNEL);
	if (ret < 0)
		goto err_id;
	vm->id = ret;
	ret = rs_virt_get();
	if (ret)
		goto err_virt;
	ret = rs_mmu_init(&vm->mmu, mm, rs_backend->format, rs_backend->levels,
			  rs_backend->gpa_bits, &vm_mmu_ops);
	if (ret)
		goto err_mmu;
	rs_debugfs_add_vm(vm);
	return vm;

err_mmu:
	rs_virt_put();
err_virt:
	ida_free(&vm_ids, vm->id);
err_id:
	free_cpumask_var(vm->kick_mask);
err_mask:
	kfree(vm);
	return ERR_PTR(ret);
}

static void vm_free(struct kref *ref)
{
	struct rs_vm *vm = container_of(ref, struct rs_vm, ref);

	rs_nics_end(vm);
	rs_debugfs_remove_vm(vm);
	rs_mmu_destroy(&vm->mmu);
	rs_virt_put();
	ida_free(&vm_ids, vm->id);
	free_cpumask_var(vm->kick_mask);
	mutex_destroy(&vm->lock);
	kfree(vm);
}

void rs_vm_get(struct rs_vm *vm)
{
	kref_get(&vm->ref);
}

void rs_vm_put(struct rs_vm *vm)
{
	kref_put(&vm->ref, vm_free);
}

struct rs_vcpu *rs_vm_add_vcpu(struct rs_vm *vm, u32 id)
{
	struct rs_vcpu *vcpu;
	int ret;

	if (id >= RS_MAX_VCPUS)
		return ERR_PTR(-EINVAL);
	vcpu = kzalloc(sizeof(*vcpu), GFP_KERNEL_ACCOUNT);
	if (!vcpu)
		return ERR_PTR(-ENOMEM);
	mutex_lock(&vm->lock);
	ret = -EEXIST;
	if (vm->vcpus[id])
		goto err;
	ret = rs_vcpu_init(vcpu, vm, &vm->mmu, vm->flags, id);
	if (ret)
		goto err;
	rs_vm_get(vm);
	spin_lock(&vm->mmu.lock);
	vm->vcpus[id] = vcpu;
	__set_bit(id, vm->vcpu_ids);
	spin_unlock(&vm->mmu.lock);
	mutex_unlock(&vm->lock);
	return vcpu;

err:
	mutex_unlock(&vm->lock);
	kfree(vcpu);
	return ERR_PTR(ret);
}

void rs_vm_remove_vcpu(struct rs_vcpu *vcpu)
{
	struct rs_vm *vm = vcpu->vm;

	mutex_lock(&vm->lock);
	spin_lock(&vm->mmu.lock);
	__clear_bit(vcpu->id, vm->vcpu_ids);
	vm->vcpus[vcpu->id] = NULL;
	spin_unlock(&vm->mmu.lock);
	rs_vcpu_add_stats(vcpu, &vm->past);
	mutex_unlock(&vm->lock);
	rs_vcpu_destroy(vcpu);
	kfree(vcpu);
	rs_vm_put(vm);
}

void rs_vm_stats(struct rs_vm *vm, struct rs_stats *stats)
{
	int i;

	mutex_lock(&vm->lock);
	*stats = vm->past;
	for_each_set_bit(i, vm->vcpu_ids, RS_MAX_VCPUS)
		rs_vcpu_add_stats(vm->vcpus[i], stats);
	mutex_unlock(&vm->lock);
	stats->inval += atomic64_read(&vm->mmu.stats.inval);
	stats->inval_zapped += atomic64_read(&vm->mmu.stats.inval_zapped);
	stats->flush_requests += atomic64_read(&vm->mmu.stats.flush_requests);
	stats->kicks += READ_ONCE(vm->kicks);
}
