// SPDX-License-Identifier: GPL-2.0-only
/*
 * control.c - pausing, ending and limiting a VM, from outside or by itself
 *
 * All of it is the gate (gate.h): a flag, then every vCPU out of the guest. vm->lock makes changes
 * one after the other; the way of a vCPU takes it only when a limit has been reached.
 *
 * The end of a VM has three parts: no vCPU is in the guest again; RS_RUN says so; and the threads
 * that ran vCPUs last, which may sleep in calls of their own and never come back to RS_RUN, get the
 * signal that was agreed on. The signal comes last: what a guest could do to make its thread miss the
 * signal (taking back a word in shared memory) it has done, or never will.
 *
 * Limits
 *	exits		exact: entries are counted down at the gate
 *	vCPUs		exact: where they are made
 *	CPU time	looked at. The next look is when all vCPUs running all the time could have used
 *			it up, but not sooner than WATCH_MIN from now
 */
#include <linux/jiffies.h>
#include <linux/pid.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/signal.h>
#include "event.h"
#include "vm.h"

#define WATCH_MIN	(20 * NSEC_PER_MSEC)
#define WATCH_MAX	(60 * NSEC_PER_SEC)

/* --- end --- */

/*
 * @sig to a thread, a reference to which is given up, and SIGCONT, since one that was stopped could not
 * react. Only while the thread is of the VM's process: after exec it is somebody else's program, with
 * rights of its own.
 */
static void tell(const struct rs_vm *vm, struct task_struct *t, int sig)
{
	if (!t)
		return;
	task_lock(t);
	if (t->mm == vm->mm) {
		if (sig)
			send_sig(sig, t, 1);
		send_sig(SIGCONT, t, 1);
	}
	task_unlock(t);
	put_task_struct(t);
}

static void tell_threads(struct rs_vm *vm)
{
	int i;

	for_each_set_bit(i, vm->vcpu_ids, RS_MAX_VCPUS)
		tell(vm, rs_vcpu_get_thread(vm->vcpus[i]), vm->end_signal);
	/* One that has not run a vCPU yet needs no signal, but may be stopped on its way there. */
	tell(vm, get_pid_task(vm->pid, PIDTYPE_TGID), 0);
}

static void end_locked(struct rs_vm *vm, u32 reason, u64 limit)
{
	struct rs_gate *gate = &vm->gate;

	lockdep_assert_held(&vm->lock);
	if (gate->flags & RS_GATE_ENDED)
		return;
	if (reason != RS_END_REQUEST)
		rs_event_limit(vm, reason, limit);
	gate->end_reason = reason;
	gate->end_limit = limit;
	/* pairs with rs_gate_has_ended */
	smp_store_release(&gate->flags, gate->flags | RS_GATE_ENDED);
	rs_vm_shut_gate(vm);
	wake_up_all(&gate->wait);
	if (vm->end_signal)
		tell_threads(vm);
}

int rs_vm_end(struct rs_vm *vm)
{
	mutex_lock(&vm->lock);
	end_locked(vm, RS_END_REQUEST, 0);
	mutex_unlock(&vm->lock);
	return 0;
}

/* --- kick --- */

int rs_vm_kick(struct rs_vm *vm, int id)
{
	int ret = id < 0 ? 0 : -ENOENT, i;

	mutex_lock(&vm->lock);
	if (vm->gate.flags & RS_GATE_ENDED)
		ret = -ESHUTDOWN;
	else
		for_each_set_bit(i, vm->vcpu_ids, RS_MAX_VCPUS) {
			if (id < 0 || i == id) {
				rs_vcpu_kick(vm->vcpus[i]);
				ret = 0;
			}
		}
	mutex_unlock(&vm->lock);
	return ret;
}

/* --- pause --- */

int rs_vm_pause(struct rs_vm *vm)
{
	int ret = -ESHUTDOWN;

	mutex_lock(&vm->lock);
	if (!(vm->gate.flags & RS_GATE_ENDED)) {
		WRITE_ONCE(vm->gate.flags, vm->gate.flags | RS_GATE_PAUSED);
		rs_vm_shut_gate(vm);
		ret = 0;
	}
	mutex_unlock(&vm->lock);
	return ret;
}

/* vCPUs need not look at the gate any more. One that still does finds it open. */
static void unmark(struct rs_vm *vm)
{
	int i;

	if (vm->gate.flags)
		return;
	for_each_set_bit(i, vm->vcpu_ids, RS_MAX_VCPUS)
		clear_bit(RS_KICK_GATE, &vm->vcpus[i]->kick);
}

static void open_gate(struct rs_vm *vm)
{
	WRITE_ONCE(vm->gate.flags, vm->gate.flags & ~RS_GATE_PAUSED);
	unmark(vm);
	wake_up_all(&vm->gate.wait);
}

int rs_vm_resume(struct rs_vm *vm)
{
	int ret = -ESHUTDOWN;

	mutex_lock(&vm->lock);
	if (!(vm->gate.flags & RS_GATE_ENDED)) {
		open_gate(vm);
		ret = 0;
	}
	mutex_unlock(&vm->lock);
	return ret;
}

/* --- limits --- */

/* See struct rs_gate_ops. The limit may have been changed meanwhile: then the vCPU tries again. */
static void used_up(struct rs_gate *gate)
{
	struct rs_vm *vm = container_of(gate, struct rs_vm, gate);

	mutex_lock(&vm->lock);
	if ((gate->flags & RS_GATE_METERED) && atomic64_read(&gate->entries_left) < 0)
		end_locked(vm, RS_END_LIMIT_EXITS, vm->limits.exits);
	mutex_unlock(&vm->lock);
}

/*
 * With the gate shut, since the exits so far are only known exactly when nobody enters.
 */
static void limit_exits(struct rs_vm *vm, u64 limit)
{
	struct rs_gate *gate = &vm->gate;
	bool paused = gate->flags & RS_GATE_PAUSED;
	u64 used;

	WRITE_ONCE(gate->flags, gate->flags | RS_GATE_PAUSED);
	rs_vm_shut_gate(vm);
	vm->limits.exits = limit;
	used = rs_vm_exits_locked(vm);
	if (limit) {
		u64 left = limit > used ? limit - used : 0;

		atomic64_set(&gate->entries_left, min_t(u64, left, S64_MAX));
		WRITE_ONCE(gate->flags, gate->flags | RS_GATE_METERED);
	} else {
		WRITE_ONCE(gate->flags, gate->flags & ~RS_GATE_METERED);
	}
	if (limit && used >= limit)
		end_locked(vm, RS_END_LIMIT_EXITS, limit);
	else if (!paused)
		open_gate(vm);
}

static void watch_from_now(struct rs_vm *vm, u64 used)
{
	u64 left = vm->limits.cpu_time - used;
	unsigned int n = bitmap_weight(vm->vcpu_ids, RS_MAX_VCPUS);

	left = clamp_t(u64, div_u64(left, max(n, 1u)), WATCH_MIN, WATCH_MAX);
	mod_delayed_work(system_unbound_wq, &vm->cpu_watch, nsecs_to_jiffies(left) + 1);
}

static void look_at_cpu_time(struct rs_vm *vm)
{
	u64 used;

	if (!vm->limits.cpu_time || (vm->gate.flags & RS_GATE_ENDED))
		return;
	used = rs_vm_cpu_time_locked(vm);
	if (used >= vm->limits.cpu_time)
		end_locked(vm, RS_END_LIMIT_CPU_TIME, vm->limits.cpu_time);
	else
		watch_from_now(vm, used);
}

static void cpu_watch(struct work_struct *work)
{
	struct rs_vm *vm = container_of(to_delayed_work(work), struct rs_vm, cpu_watch);

	mutex_lock(&vm->lock);
	look_at_cpu_time(vm);
	mutex_unlock(&vm->lock);
}

int rs_vm_set_limits(struct rs_vm *vm, const struct rs_limits *limits, unsigned int which)
{
	int ret = 0;

	mutex_lock(&vm->lock);
	if (vm->gate.flags & RS_GATE_ENDED) {
		ret = -ESHUTDOWN;
	} else if ((which & RS_LIMIT_VCPUS) && limits->vcpus &&
		   limits->vcpus < bitmap_weight(vm->vcpu_ids, RS_MAX_VCPUS)) {
		ret = -ERANGE;
	} else {
		if (which & RS_LIMIT_VCPUS)
			vm->limits.vcpus = limits->vcpus;
		if (which & RS_LIMIT_CPU_TIME)
			vm->limits.cpu_time = limits->cpu_time;
		if (which & RS_LIMIT_EXITS)
			limit_exits(vm, limits->exits);
		look_at_cpu_time(vm);
	}
	mutex_unlock(&vm->lock);
	return ret;
}

int rs_vm_may_add_vcpu(struct rs_vm *vm)
{
	unsigned int n = bitmap_weight(vm->vcpu_ids, RS_MAX_VCPUS);

	lockdep_assert_held(&vm->lock);
	if (!vm->limits.vcpus || n < vm->limits.vcpus)
		return 0;
	end_locked(vm, RS_END_LIMIT_VCPUS, vm->limits.vcpus);
	return -EDQUOT;
}

void rs_vm_added_vcpu(struct rs_vm *vm, struct rs_vcpu *vcpu)
{
	lockdep_assert_held(&vm->lock);
	/* Nobody runs it yet. */
	if (vm->gate.flags)
		rs_vcpu_mark(vcpu, RS_KICK_GATE);
	/* More of them use time up sooner; the work waits for vm->lock and counts this one. */
	if (vm->limits.cpu_time)
		mod_delayed_work(system_unbound_wq, &vm->cpu_watch, 0);
}

/* --- life --- */

static void fault(struct rs_vcpu *vcpu, const struct rs_fault_report *report)
{
	rs_event_fault(vcpu->vm, vcpu->id, report);
}

static const struct rs_gate_ops gate_ops = {
	.used_up	= used_up,
	.fault		= fault,
};

void rs_vm_control_init(struct rs_vm *vm)
{
	rs_gate_init(&vm->gate, &gate_ops);
	INIT_DELAYED_WORK(&vm->cpu_watch, cpu_watch);
}

void rs_vm_control_exit(struct rs_vm *vm)
{
	cancel_delayed_work_sync(&vm->cpu_watch);
}
