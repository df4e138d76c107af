// SPDX-License-Identifier: GPL-2.0-only
/*
 * vm.c - making and unmaking VMs, their list of vCPUs, their statistics, and making all vCPUs leave
 * the guest
 *
 * References: the VM descriptor holds one, every vCPU holds one. Descriptors are closed in any
 * order; whoever is last ends up in vm_free, which is the one destructor and undoes rs_vm_create in
 * reverse.
 */
#include <linux/cred.h>
#include <linux/err.h>
#include <linux/idr.h>
#include <linux/pid.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/timekeeping.h>
#include "event.h"
#include "trace.h"
#include "virt.h"
#include "vm.h"

/*
 * The registry. Numbers are given in turn, so that one does not soon mean another VM. A number whose
 * VM is still being made has NULL.
 */
static DEFINE_MUTEX(registry_lock);
static DEFINE_IDR(registry);		/* registry_lock */

static int registry_reserve(struct rs_vm *vm)
{
	int id;

	mutex_lock(&registry_lock);
	id = idr_alloc_cyclic(&registry, NULL, 1, 0, GFP_KERNEL_ACCOUNT);
	mutex_unlock(&registry_lock);
	if (id < 0)
		return id;
	vm->id = id;
	return 0;
}

static void registry_publish(struct rs_vm *vm)
{
	mutex_lock(&registry_lock);
	idr_replace(&registry, vm, vm->id);
	mutex_unlock(&registry_lock);
}

static void registry_remove(struct rs_vm *vm)
{
	mutex_lock(&registry_lock);
	idr_remove(&registry, vm->id);
	mutex_unlock(&registry_lock);
}

struct rs_vm *rs_vm_next(u32 *id)
{
	struct rs_vm *vm;
	int n;

	if (*id > INT_MAX)
		return NULL;
	mutex_lock(&registry_lock);
	/* A VM whose last reference has gone waits for the lock in vm_free: it can be looked at. */
	for (n = *id; (vm = idr_get_next(&registry, &n)); n++) {
		if (kref_get_unless_zero(&vm->ref))
			break;
		if (n == INT_MAX) {
			vm = NULL;
			break;
		}
	}
	mutex_unlock(&registry_lock);
	*id = n;
	return vm;
}

struct rs_vm *rs_vm_find(u32 id)
{
	struct rs_vm *vm;

	if (id > INT_MAX)
		return NULL;
	mutex_lock(&registry_lock);
	vm = idr_find(&registry, id);
	if (vm && !kref_get_unless_zero(&vm->ref))
		vm = NULL;
	mutex_unlock(&registry_lock);
	return vm;
}

static void kick_ipi(void *unused)
{
	/* The interrupt itself made the guest exit; when this runs, it has. */
}

/*
 * Every vCPU that is in the guest leaves it. What makes it not enter again, or flush first, was
 * written before.
 */
static void vm_kick(struct rs_vm *vm)
{
	unsigned int n;
	int i;

	lockdep_assert_held(&vm->mmu.lock);
	/*
	 * That (flush_gen, kick) before in_guest; pairs with the barrier in the run loop, which sets
	 * in_guest and then reads it.
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
	trace_rs_kick_all(vm->id, n);
}

static void vm_invalidated(struct rs_mmu *mmu, u64 start, u64 end, u64 zapped, bool flush)
{
	trace_rs_invalidate(container_of(mmu, struct rs_vm, mmu)->id, start, end, zapped, flush);
}

/* See struct rs_mmu_ops: flush_gen is advanced, mmu->lock held. */
static void vm_kick_all(struct rs_mmu *mmu)
{
	vm_kick(container_of(mmu, struct rs_vm, mmu));
}

void rs_vm_shut_gate(struct rs_vm *vm)
{
	int i;

	lockdep_assert_held(&vm->lock);
	spin_lock(&vm->mmu.lock);
	for_each_set_bit(i, vm->vcpu_ids, RS_MAX_VCPUS)
		rs_vcpu_mark(vm->vcpus[i], RS_KICK_GATE);
	vm_kick(vm);
	spin_unlock(&vm->mmu.lock);
}

static const struct rs_mmu_ops vm_mmu_ops = {
	.kick_all = vm_kick_all,
	.invalidated = vm_invalidated,
};

struct rs_vm *rs_vm_create(const struct rs_vm_request *req)
{
	struct mm_struct *mm = current->mm;
	struct rs_vm *vm;
	int ret;

	if (!rs_backend)
		return ERR_PTR(-ENODEV);
	vm = kzalloc(sizeof(*vm), GFP_KERNEL_ACCOUNT);
	if (!vm)
		return ERR_PTR(-ENOMEM);
	kref_init(&vm->ref);
	mutex_init(&vm->lock);
	vm->flags = req->flags;
	vm->mm = mm;
	vm->end_signal = req->end_signal;
	strscpy(vm->name, req->name, sizeof(vm->name));
	vm->created = ktime_get_boottime_ns();
	rs_vm_control_init(vm);
	if (!zalloc_cpumask_var(&vm->kick_mask, GFP_KERNEL_ACCOUNT)) {
		ret = -ENOMEM;
		goto err_mask;
	}
	ret = registry_reserve(vm);
	if (ret)
		goto err_id;
	ret = rs_virt_get();
	if (ret)
		goto err_virt;
	ret = rs_mmu_init(&vm->mmu, mm, rs_backend->format, rs_backend->levels,
			  rs_backend->gpa_bits, &vm_mmu_ops);
	if (ret)
		goto err_mmu;
	vm->mmu.exec_rights = req->flags & RS_VM_EXEC_RIGHTS;
	vm->pid = get_pid(task_tgid(current));
	vm->cred = get_current_cred();
	vm->netns = rs_netns_get_current();
	rs_debugfs_add_vm(vm);
	registry_publish(vm);
	rs_event_created(vm);
	trace_rs_vm_created(vm->id);
	return vm;

err_mmu:
	rs_virt_put();
err_virt:
	registry_remove(vm);
err_id:
	free_cpumask_var(vm->kick_mask);
err_mask:
	kfree(vm);
	return ERR_PTR(ret);
}

static void vm_free(struct kref *ref)
{
	struct rs_vm *vm = container_of(ref, struct rs_vm, ref);

	registry_remove(vm);
	rs_nics_put(vm);
	rs_event_ended(vm);
	trace_rs_vm_ended(vm->id);
	rs_debugfs_remove_vm(vm);
	rs_vm_control_exit(vm);
	rs_netns_put(vm->netns);
	put_cred(vm->cred);
	put_pid(vm->pid);
	rs_mmu_destroy(&vm->mmu);
	rs_virt_put();
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
	vcpu->vm_id = vm->id;
	mutex_lock(&vm->lock);
	ret = -EEXIST;
	if (vm->vcpus[id])
		goto err;
	ret = rs_vm_may_add_vcpu(vm);
	if (ret)
		goto err;
	ret = rs_vcpu_init(vcpu, vm, &vm->mmu, &vm->gate, vm->flags, id);
	if (ret)
		goto err;
	rs_vm_get(vm);
	rs_vm_added_vcpu(vm, vcpu);
	spin_lock(&vm->mmu.lock);
	vm->vcpus[id] = vcpu;
	__set_bit(id, vm->vcpu_ids);
	spin_unlock(&vm->mmu.lock);
	mutex_unlock(&vm->lock);
	trace_rs_vcpu_created(vcpu);
	return vcpu;

err:
	mutex_unlock(&vm->lock);
	kfree(vcpu);
	return ERR_PTR(ret);
}

void rs_vm_remove_vcpu(struct rs_vcpu *vcpu)
{
	struct rs_vm *vm = vcpu->vm;

	trace_rs_vcpu_ended(vcpu);
	mutex_lock(&vm->lock);
	spin_lock(&vm->mmu.lock);
	__clear_bit(vcpu->id, vm->vcpu_ids);
	vm->vcpus[vcpu->id] = NULL;
	spin_unlock(&vm->mmu.lock);
	rs_vcpu_add_stats(vcpu, &vm->past);
	vm->past_cpu_time += rs_vcpu_cpu_time(vcpu);
	mutex_unlock(&vm->lock);
	rs_vcpu_destroy(vcpu);
	kfree(vcpu);
	rs_vm_put(vm);
}

u64 rs_vm_exits_locked(struct rs_vm *vm)
{
	u64 sum = vm->past.exits;
	int i;

	lockdep_assert_held(&vm->lock);
	for_each_set_bit(i, vm->vcpu_ids, RS_MAX_VCPUS)
		sum += rs_vcpu_exits(vm->vcpus[i]);
	return sum;
}

u64 rs_vm_cpu_time_locked(struct rs_vm *vm)
{
	u64 sum = vm->past_cpu_time;
	int i;

	lockdep_assert_held(&vm->lock);
	for_each_set_bit(i, vm->vcpu_ids, RS_MAX_VCPUS)
		sum += rs_vcpu_cpu_time(vm->vcpus[i]);
	return sum;
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
