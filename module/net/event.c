// SPDX-License-Identifier: GPL-2.0-only
/*
 * event.c - events of VMs, numbered per network namespace
 *
 * A struct rs_netns stands for a network namespace: every VM made there holds a reference, the
 * namespace itself another as long as it lives. Its lock makes the numbers come out in order: number
 * and message are one step, and a message has been put into the queue of each listener, or counted as
 * lost there, before the next number is given. So a gap in what a listener reads is exactly what it
 * missed, and the latest number (RS_CMD_GET_EVENT_SEQ) closes a gap at the end. Numbers are given
 * whether somebody listens or not.
 *
 * Locks: ns->lock is taken with no other than vm->lock held; what needs vm->lock itself is read before.
 */
#include <linux/cred.h>
#include <linux/kref.h>
#include <linux/mutex.h>
#include <linux/nsproxy.h>
#include <linux/pid_namespace.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>
#include "event.h"
#include "net/genl.h"

struct rs_netns {
	struct kref ref;
	u64 cookie;
	struct mutex lock;
	struct net *net;		/* lock; NULL when the namespace is gone */
	u64 seq;			/* lock: of the latest event */
};

static unsigned int netns_id;

/* --- network namespaces --- */

static void netns_free(struct kref *ref)
{
	struct rs_netns *ns = container_of(ref, struct rs_netns, ref);

	mutex_destroy(&ns->lock);
	kfree(ns);
}

void rs_netns_put(struct rs_netns *ns)
{
	kref_put(&ns->ref, netns_free);
}

struct rs_netns *rs_netns_of(struct net *net)
{
	return *(struct rs_netns **)net_generic(net, netns_id);
}

struct rs_netns *rs_netns_get_current(void)
{
	struct rs_netns *ns = rs_netns_of(current->nsproxy->net_ns);

	kref_get(&ns->ref);
	return ns;
}

u64 rs_netns_cookie(const struct rs_netns *ns)
{
	return ns->cookie;
}

u64 rs_netns_event_seq(struct rs_netns *ns)
{
	u64 seq;

	mutex_lock(&ns->lock);
	seq = ns->seq;
	mutex_unlock(&ns->lock);
	return seq;
}

static int __net_init netns_begin(struct net *net)
{
	struct rs_netns **at = net_generic(net, netns_id), *ns;

	ns = kzalloc(sizeof(*ns), GFP_KERNEL_ACCOUNT);
	if (!ns)
		return -ENOMEM;
	kref_init(&ns->ref);
	mutex_init(&ns->lock);
	ns->net = net;
	ns->cookie = net->net_cookie;
	*at = ns;
	return 0;
}

static void __net_exit netns_end(struct net *net)
{
	struct rs_netns *ns = rs_netns_of(net);

	mutex_lock(&ns->lock);
	ns->net = NULL;
	mutex_unlock(&ns->lock);
	rs_netns_put(ns);
}

static struct pernet_operations netns_ops = {
	.init	= netns_begin,
	.exit	= netns_end,
	.id	= &netns_id,
	.size	= sizeof(struct rs_netns *),
};

int rs_netns_init(void)
{
	return register_pernet_subsys(&netns_ops);
}

void rs_netns_exit(void)
{
	unregister_pernet_subsys(&netns_ops);
}

/* --- events --- */

/* struct event - what is special to one; read before ns->lock is taken */
struct event {
	u32 cmd;
	u32 reason;				/* ENDED, LIMIT */
	u64 limit;				/* LIMIT */
	u64 age, cpu_time, exits;		/* ENDED */
	u32 vcpu;				/* FAULT */
	const struct rs_fault_report *fault;
};

static int put_limit(struct sk_buff *skb, u32 reason, u64 limit)
{
	switch (reason) {
	case RS_END_LIMIT_CPU_TIME:
		return rs_put_u64(skb, RS_A_LIMIT_CPU_TIME, limit);
	case RS_END_LIMIT_EXITS:
		return rs_put_u64(skb, RS_A_LIMIT_EXITS, limit);
	case RS_END_LIMIT_VCPUS:
		return nla_put_u32(skb, RS_A_LIMIT_VCPUS, limit);
	}
	return 0;
}

static int put_event(struct sk_buff *skb, const struct rs_vm *vm, const struct event *e,
		     struct rs_netns *ns)
{
	const struct rs_reader reader = {
		.pids = ns_of_pid(vm->pid), .users = ns->net->user_ns,
	};

	if (rs_put_u64(skb, RS_A_EVENT_SEQ, ns->seq) ||
	    rs_put_u64(skb, RS_A_EVENT_TIME, ktime_get_real_ns()) || rs_put_who(skb, vm, &reader))
		return -EMSGSIZE;
	switch (e->cmd) {
	case RS_CMD_EVENT_ENDED:
		return nla_put_u32(skb, RS_A_END_REASON, e->reason) ||
		       rs_put_u64(skb, RS_A_AGE, e->age) ||
		       rs_put_u64(skb, RS_A_CPU_TIME, e->cpu_time) ||
		       rs_put_u64(skb, RS_A_EXITS, e->exits) ? -EMSGSIZE : 0;
	case RS_CMD_EVENT_LIMIT:
		return nla_put_u32(skb, RS_A_END_REASON, e->reason) ||
		       put_limit(skb, e->reason, e->limit) ? -EMSGSIZE : 0;
	case RS_CMD_EVENT_FAULT:
		return rs_put_fault(skb, e->vcpu, e->fault);
	}
	return 0;
}

/* ns->lock. -errno when listeners get nothing. */
static int multicast(const struct rs_vm *vm, const struct event *e, struct rs_netns *ns)
{
	struct sk_buff *skb = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	void *hdr;

	if (!skb)
		return -ENOMEM;
	hdr = genlmsg_put(skb, 0, 0, &rs_genl_family, 0, e->cmd);
	if (!hdr || put_event(skb, vm, e, ns)) {
		nlmsg_free(skb);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, hdr);
	genlmsg_multicast_netns(&rs_genl_family, ns->net, skb, 0, 0, GFP_KERNEL);
	return 0;
}

static void send(const struct rs_vm *vm, const struct event *e)
{
	struct rs_netns *ns = vm->netns;

	mutex_lock(&ns->lock);
	ns->seq++;
	/*
	 * The family is there as long as VMs can be: main.c. Who could not be told looks at the
	 * numbers.
	 */
	if (ns->net && genl_has_listeners(&rs_genl_family, ns->net, 0) && multicast(vm, e, ns))
		genl_set_err(&rs_genl_family, ns->net, 0, 0, -ENOBUFS);
	mutex_unlock(&ns->lock);
}

void rs_event_created(struct rs_vm *vm)
{
	send(vm, &(struct event) { .cmd = RS_CMD_EVENT_CREATED });
}

void rs_event_ended(struct rs_vm *vm)
{
	struct event e = {
		.cmd = RS_CMD_EVENT_ENDED, .age = ktime_get_boottime_ns() - vm->created,
	};

	mutex_lock(&vm->lock);
	e.reason = vm->gate.end_reason;
	e.cpu_time = rs_vm_cpu_time_locked(vm);
	e.exits = rs_vm_exits_locked(vm);
	mutex_unlock(&vm->lock);
	send(vm, &e);
}

void rs_event_fault(struct rs_vm *vm, u32 vcpu, const struct rs_fault_report *report)
{
	send(vm, &(struct event) { .cmd = RS_CMD_EVENT_FAULT, .vcpu = vcpu, .fault = report });
}

void rs_event_limit(struct rs_vm *vm, u32 reason, u64 limit)
{
	lockdep_assert_held(&vm->lock);
	send(vm, &(struct event) {
		.cmd = RS_CMD_EVENT_LIMIT, .reason = reason, .limit = limit });
}
