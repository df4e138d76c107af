// SPDX-License-Identifier: GPL-2.0-only
/*
 * message.c - VMs, vCPUs and their counters as netlink attributes
 *
 * Nothing here decides who may see what. What is read of a running VM is a moment's view; numbers that
 * belong together are read under one lock.
 */
#include <linux/cred.h>
#include <linux/pid_namespace.h>
#include <linux/sched.h>
#include <linux/sched/task.h>
#include <linux/timekeeping.h>
#include <linux/uidgid.h>
#include "event.h"
#include "net/genl.h"

int rs_put_u64(struct sk_buff *skb, int attr, u64 value)
{
	return nla_put_u64_64bit(skb, attr, value, RS_A_PAD);
}

int rs_put_who(struct sk_buff *skb, const struct rs_vm *vm, const struct rs_reader *reader)
{
	if (nla_put_u32(skb, RS_A_VM_ID, vm->id) ||
	    nla_put_u32(skb, RS_A_PID, pid_nr_ns(vm->pid, reader->pids)) ||
	    nla_put_u32(skb, RS_A_UID, from_kuid_munged(reader->users, vm->cred->euid)))
		return -EMSGSIZE;
	return vm->name[0] ? nla_put_string(skb, RS_A_NAME, vm->name) : 0;
}

static int put_comm(struct sk_buff *skb, const struct rs_vm *vm)
{
	struct task_struct *t = get_pid_task(vm->pid, PIDTYPE_TGID);
	char comm[TASK_COMM_LEN];

	if (!t)
		return 0;
	get_task_comm(comm, t);
	put_task_struct(t);
	return nla_put_string(skb, RS_A_COMM, comm);
}

static int put_memory(struct sk_buff *skb, struct rs_vm *vm)
{
	struct rs_mmu_usage use;

	rs_mmu_usage(&vm->mmu, &use);
	return rs_put_u64(skb, RS_A_MEMORY, use.memory) ||
	       rs_put_u64(skb, RS_A_MAPPED_4K, use.leaves_4k) ||
	       rs_put_u64(skb, RS_A_MAPPED_2M, use.leaves_2m) ||
	       rs_put_u64(skb, RS_A_TABLES, use.tables) ? -EMSGSIZE : 0;
}

static int put_limits(struct sk_buff *skb, const struct rs_limits *l)
{
	if ((l->cpu_time && rs_put_u64(skb, RS_A_LIMIT_CPU_TIME, l->cpu_time)) ||
	    (l->exits && rs_put_u64(skb, RS_A_LIMIT_EXITS, l->exits)) ||
	    (l->vcpus && nla_put_u32(skb, RS_A_LIMIT_VCPUS, l->vcpus)))
		return -EMSGSIZE;
	return 0;
}

/* What changes under vm->lock. */
static int put_running(struct sk_buff *skb, struct rs_vm *vm)
{
	u32 states[RS_VCPU_STATE_PAUSED + 1] = { }, state = RS_VM_STATE_RUNNING, n = 0;
	struct rs_limits limits;
	u64 cpu_time, exits;
	int i;

	mutex_lock(&vm->lock);
	for_each_set_bit(i, vm->vcpu_ids, RS_MAX_VCPUS) {
		states[rs_vcpu_run_state(vm->vcpus[i])]++;
		n++;
	}
	if (vm->gate.flags & RS_GATE_ENDED)
		state = RS_VM_STATE_ENDED;
	else if (vm->gate.flags & RS_GATE_PAUSED)
		state = RS_VM_STATE_PAUSED;
	cpu_time = rs_vm_cpu_time_locked(vm);
	exits = rs_vm_exits_locked(vm);
	limits = vm->limits;
	mutex_unlock(&vm->lock);

	if (nla_put_u32(skb, RS_A_VM_STATE, state) ||
	    nla_put_u32(skb, RS_A_VCPUS, n) ||
	    nla_put_u32(skb, RS_A_VCPUS_GUEST, states[RS_VCPU_STATE_GUEST]) ||
	    nla_put_u32(skb, RS_A_VCPUS_HOST, states[RS_VCPU_STATE_HOST]) ||
	    nla_put_u32(skb, RS_A_VCPUS_IDLE,
			states[RS_VCPU_STATE_IDLE] + states[RS_VCPU_STATE_NEW]) ||
	    nla_put_u32(skb, RS_A_VCPUS_PAUSED, states[RS_VCPU_STATE_PAUSED]) ||
	    rs_put_u64(skb, RS_A_CPU_TIME, cpu_time) || rs_put_u64(skb, RS_A_EXITS, exits))
		return -EMSGSIZE;
	return put_limits(skb, &limits);
}

static u32 count_nics(const struct rs_vm *vm)
{
	u32 n = 0;
	int i;

	for (i = 0; i < RS_MAX_NICS; i++)
		n += !!READ_ONCE(vm->nics[i]);
	return n;
}

int rs_put_vm(struct sk_buff *skb, struct rs_vm *vm, const struct rs_reader *reader)
{
	if (rs_put_who(skb, vm, reader) || put_comm(skb, vm) ||
	    rs_put_u64(skb, RS_A_NETNS, rs_netns_cookie(vm->netns)) ||
	    rs_put_u64(skb, RS_A_AGE, ktime_get_boottime_ns() - vm->created) ||
	    nla_put_u32(skb, RS_A_NICS, count_nics(vm)) ||
	    put_running(skb, vm) || put_memory(skb, vm))
		return -EMSGSIZE;
	return 0;
}

static pid_t thread_number(struct rs_vcpu *vcpu, const struct rs_reader *reader)
{
	struct task_struct *t = rs_vcpu_get_thread(vcpu);
	pid_t nr = -1;

	if (t) {
		nr = task_pid_nr_ns(t, reader->pids);
		put_task_struct(t);
	}
	return nr;
}

int rs_put_vcpu(struct sk_buff *skb, struct rs_vm *vm, u32 id, const struct rs_reader *reader,
		bool *found)
{
	enum rs_vcpu_run_state state;
	u64 cpu_time;
	pid_t tid;
	int cpu;

	*found = false;
	mutex_lock(&vm->lock);
	if (id < RS_MAX_VCPUS && vm->vcpus[id]) {
		struct rs_vcpu *vcpu = vm->vcpus[id];

		*found = true;
		state = rs_vcpu_run_state(vcpu);
		tid = thread_number(vcpu, reader);
		cpu_time = rs_vcpu_cpu_time(vcpu);
		cpu = READ_ONCE(vcpu->cpu);
	}
	mutex_unlock(&vm->lock);
	if (!*found)
		return 0;
	if (nla_put_u32(skb, RS_A_VM_ID, vm->id) || nla_put_u32(skb, RS_A_VCPU_ID, id) ||
	    nla_put_u32(skb, RS_A_VCPU_STATE, state) ||
	    (tid >= 0 && nla_put_u32(skb, RS_A_TID, tid)) ||
	    (cpu >= 0 && nla_put_u32(skb, RS_A_CPU, cpu)) ||
	    rs_put_u64(skb, RS_A_CPU_TIME, cpu_time))
		return -EMSGSIZE;
	return 0;
}

/* RS_S_* follow the fields of struct rs_stats. */
static int put_stats(struct sk_buff *skb, const struct rs_stats *stats)
{
	const u64 *field = (const u64 *)stats;
	struct nlattr *nest;
	int i;

#define SAME(field, attr) \
	BUILD_BUG_ON(offsetof(struct rs_stats, field) / sizeof(u64) + RS_S_ENTRIES != (attr))
	SAME(exits, RS_S_EXITS);
	SAME(exit_other, RS_S_EXIT_OTHER);
	SAME(user_exits, RS_S_USER_EXITS);
	SAME(injected, RS_S_INJECTED);
	SAME(kicks, RS_S_KICKS);
	SAME(migrations, RS_S_MAX);
#undef SAME
	nest = nla_nest_start(skb, RS_A_STATS);
	if (!nest)
		return -EMSGSIZE;
	for (i = 0; i <= RS_S_MAX - RS_S_ENTRIES; i++) {
		if (nla_put_u64_64bit(skb, RS_S_ENTRIES + i, field[i], RS_S_PAD))
			return -EMSGSIZE;
	}
	nla_nest_end(skb, nest);
	return 0;
}

int rs_put_vm_stats(struct sk_buff *skb, struct rs_vm *vm)
{
	struct rs_stats stats;
	u64 cpu_time;

	rs_vm_stats(vm, &stats);
	mutex_lock(&vm->lock);
	cpu_time = rs_vm_cpu_time_locked(vm);
	mutex_unlock(&vm->lock);
	if (nla_put_u32(skb, RS_A_VM_ID, vm->id) || rs_put_u64(skb, RS_A_CPU_TIME, cpu_time))
		return -EMSGSIZE;
	return put_stats(skb, &stats);
}

int rs_put_vcpu_stats(struct sk_buff *skb, struct rs_vm *vm, u32 id, bool *found)
{
	struct rs_stats stats = { };
	u64 cpu_time = 0;

	*found = false;
	mutex_lock(&vm->lock);
	if (id < RS_MAX_VCPUS && vm->vcpus[id]) {
		*found = true;
		rs_vcpu_add_stats(vm->vcpus[id], &stats);
		cpu_time = rs_vcpu_cpu_time(vm->vcpus[id]);
	}
	mutex_unlock(&vm->lock);
	if (!*found)
		return 0;
	if (nla_put_u32(skb, RS_A_VM_ID, vm->id) || nla_put_u32(skb, RS_A_VCPU_ID, id) ||
	    rs_put_u64(skb, RS_A_CPU_TIME, cpu_time))
		return -EMSGSIZE;
	return put_stats(skb, &stats);
}

int rs_put_fault(struct sk_buff *skb, u32 vcpu, const struct rs_fault_report *r)
{
	if (nla_put_u32(skb, RS_A_VCPU_ID, vcpu) || nla_put_u32(skb, RS_A_EXIT_REASON, r->reason) ||
	    rs_put_u64(skb, RS_A_RIP, r->rip) || nla_put_u32(skb, RS_A_CPL, r->cpl))
		return -EMSGSIZE;
	switch (r->reason) {
	case RS_EXIT_MEMORY_FAULT:
		return rs_put_u64(skb, RS_A_GPA, r->gpa) || rs_put_u64(skb, RS_A_GVA, r->gva) ||
		       nla_put_u32(skb, RS_A_ACCESS, r->access) ||
		       nla_put_u32(skb, RS_A_ERRNO, -r->error) ? -EMSGSIZE : 0;
	case RS_EXIT_FAIL_ENTRY:
	case RS_EXIT_UNHANDLED:
		return rs_put_u64(skb, RS_A_HW_REASON, r->hw_reason) ||
		       rs_put_u64(skb, RS_A_HW_INFO1, r->hw_info1) ||
		       rs_put_u64(skb, RS_A_HW_INFO2, r->hw_info2) ? -EMSGSIZE : 0;
	}
	return 0;
}
