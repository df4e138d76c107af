// SPDX-License-Identifier: GPL-2.0-only
/*
 * genl.c - the generic netlink family: who may ask for what, and the commands
 *
 * ringside_netlink.h is the manual. Every command that names a VM goes through get_vm(), which finds it,
 * decides whether this socket sees it, and, for a command that changes something, whether its sender
 * may: a VM that is not seen and one that does not exist cannot be told apart.
 *
 * Rights. What a socket sees depends on where it was opened; what it may change depends on who sends:
 * the real uid of the sender (never that of a program with the set-uid bit), or a capability that
 * both the opener of the socket and the sender have.
 *
 * Commands run in parallel: the registry and vm->lock are all the locking there is. A dump goes on from
 * the number of the VM it has told last, so that VMs which come and go meanwhile neither repeat nor hide
 * others; a VM is held only while it is being told.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/limits.h>
#include <linux/pid_namespace.h>
#include <linux/uidgid.h>
#include <net/genetlink.h>
#include <net/net_namespace.h>
#include <net/sock.h>
#include "event.h"
#include "net/genl.h"

/* --- who sees a VM, who changes it --- */

static bool may_see(const struct sk_buff *request, struct net *net, const struct rs_vm *vm)
{
	if (rs_netns_of(net) == vm->netns)
		return true;
	return net_eq(net, &init_net) &&
	       netlink_ns_capable(request, vm->cred->user_ns, CAP_SYS_ADMIN);
}

static bool may_change(struct sk_buff *request, const struct rs_vm *vm)
{
	return uid_eq(NETLINK_CREDS(request)->uid, vm->cred->euid) ||
	       netlink_ns_capable(request, vm->cred->user_ns, CAP_SYS_ADMIN);
}

static struct rs_vm *find_seen(const struct sk_buff *request, struct net *net,
			       const struct nlattr *attr, struct netlink_ext_ack *extack)
{
	struct rs_vm *vm = rs_vm_find(nla_get_u32(attr));

	if (vm && !may_see(request, net, vm)) {
		rs_vm_put(vm);
		vm = NULL;
	}
	if (vm)
		return vm;
	NL_SET_ERR_MSG_ATTR(extack, attr, "there is no VM with this number here");
	return ERR_PTR(-ENOENT);
}

/* The VM that a command is about, with a reference, or ERR_PTR. */
static struct rs_vm *get_vm(struct sk_buff *request, struct genl_info *info, bool change)
{
	struct rs_vm *vm;

	if (GENL_REQ_ATTR_CHECK(info, RS_A_VM_ID)) {
		NL_SET_ERR_MSG(info->extack, "which VM? RS_A_VM_ID is missing");
		return ERR_PTR(-EINVAL);
	}
	vm = find_seen(request, genl_info_net(info), info->attrs[RS_A_VM_ID], info->extack);
	if (!IS_ERR(vm) && change && !may_change(request, vm)) {
		rs_vm_put(vm);
		NL_SET_ERR_MSG(info->extack,
			       "the VM belongs to another user, and CAP_SYS_ADMIN in its user namespace is missing");
		return ERR_PTR(-EPERM);
	}
	return vm;
}

/* --- answers --- */

static struct rs_reader this_reader(void)
{
	return (struct rs_reader) {
		.pids = task_active_pid_ns(current), .users = current_user_ns(),
	};
}

#define WHOLE_VM	(-1)

/* One message about @vm or its vCPU. 0; -EMSGSIZE: no room, -ENOENT: no such vCPU, @skb is as before. */
static int add_answer(struct sk_buff *skb, u32 portid, u32 seq, int flags, u8 cmd,
		      struct rs_vm *vm, int vcpu)
{
	const struct rs_reader reader = this_reader();
	void *hdr = genlmsg_put(skb, portid, seq, &rs_genl_family, flags, cmd);
	bool found = true;
	int ret;

	if (!hdr)
		return -EMSGSIZE;
	if (cmd == RS_CMD_VM)
		ret = rs_put_vm(skb, vm, &reader);
	else if (cmd == RS_CMD_VCPU)
		ret = rs_put_vcpu(skb, vm, vcpu, &reader, &found);
	else if (vcpu == WHOLE_VM)
		ret = rs_put_vm_stats(skb, vm);
	else
		ret = rs_put_vcpu_stats(skb, vm, vcpu, &found);
	if (!ret && !found)
		ret = -ENOENT;
	if (ret)
		genlmsg_cancel(skb, hdr);
	else
		genlmsg_end(skb, hdr);
	return ret;
}

static int answer(struct genl_info *info, u8 cmd, struct rs_vm *vm, int vcpu)
{
	struct sk_buff *skb = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	int ret;

	if (!skb)
		return -ENOMEM;
	ret = add_answer(skb, info->snd_portid, info->snd_seq, 0, cmd, vm, vcpu);
	if (ret) {
		nlmsg_free(skb);
		return ret;
	}
	return genlmsg_reply(skb, info);
}

static int no_vcpu(struct genl_info *info)
{
	NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[RS_A_VCPU_ID],
			    "the VM has no vCPU with this number");
	return -ENOENT;
}

/* --- commands that ask --- */

static int get_one_vm(struct sk_buff *request, struct genl_info *info)
{
	struct rs_vm *vm = get_vm(request, info, false);
	int ret;

	if (IS_ERR(vm))
		return PTR_ERR(vm);
	ret = answer(info, RS_CMD_VM, vm, WHOLE_VM);
	rs_vm_put(vm);
	return ret;
}

static int get_one_stats(struct sk_buff *request, struct genl_info *info)
{
	struct rs_vm *vm = get_vm(request, info, false);
	int vcpu = WHOLE_VM, ret;

	if (IS_ERR(vm))
		return PTR_ERR(vm);
	if (info->attrs[RS_A_VCPU_ID])
		vcpu = nla_get_u32(info->attrs[RS_A_VCPU_ID]);
	ret = answer(info, RS_CMD_STATS, vm, vcpu);
	rs_vm_put(vm);
	return ret == -ENOENT ? no_vcpu(info) : ret;
}

static int get_event_seq(struct sk_buff *request, struct genl_info *info)
{
	struct sk_buff *skb = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	void *hdr;

	if (!skb)
		return -ENOMEM;
	hdr = genlmsg_put_reply(skb, info, &rs_genl_family, 0, RS_CMD_EVENT_SEQ);
	if (!hdr || rs_put_u64(skb, RS_A_EVENT_SEQ,
			       rs_netns_event_seq(rs_netns_of(genl_info_net(info))))) {
		nlmsg_free(skb);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, hdr);
	return genlmsg_reply(skb, info);
}

/* --- dumps --- */

/** struct position - of a dump, in netlink_callback.ctx: what is told next */
struct position {
	u32 vm;
	int vcpu;
	u32 only;			/* this VM; 0: all */
};

static struct position *position(struct netlink_callback *cb)
{
	BUILD_BUG_ON(sizeof(struct position) > sizeof(cb->ctx));
	return (struct position *)cb->ctx;
}

static const struct nla_policy vm_policy[] = {
	[RS_A_VM_ID]		= NLA_POLICY_MIN(NLA_U32, 1),
};

static const struct nla_policy vcpu_policy[] = {
	[RS_A_VM_ID]		= NLA_POLICY_MIN(NLA_U32, 1),
	[RS_A_VCPU_ID]		= NLA_POLICY_MAX(NLA_U32, RS_MAX_VCPUS - 1),
};

static const struct nla_policy limits_policy[] = {
	[RS_A_VM_ID]		= NLA_POLICY_MIN(NLA_U32, 1),
	[RS_A_LIMIT_CPU_TIME]	= { .type = NLA_U64 },
	[RS_A_LIMIT_EXITS]	= { .type = NLA_U64 },
	[RS_A_LIMIT_VCPUS]	= NLA_POLICY_MAX(NLA_U32, RS_MAX_VCPUS),
};

static int dump_start(struct netlink_callback *cb, bool may_be_one)
{
	struct position *pos = position(cb);
	struct nlattr *attrs[ARRAY_SIZE(vcpu_policy)];
	struct rs_vm *vm;
	int ret;

	*pos = (struct position) { .vm = 1, .vcpu = WHOLE_VM };
	ret = genlmsg_parse(cb->nlh, &rs_genl_family, attrs, ARRAY_SIZE(attrs) - 1, vcpu_policy,
			    cb->extack);
	if (ret)
		return ret;
	if (attrs[RS_A_VCPU_ID] || (attrs[RS_A_VM_ID] && !may_be_one)) {
		NL_SET_ERR_MSG(cb->extack, "a dump is of all of them: ask without NLM_F_DUMP for one");
		return -EINVAL;
	}
	if (!attrs[RS_A_VM_ID])
		return 0;
	vm = find_seen(cb->skb, sock_net(cb->skb->sk), attrs[RS_A_VM_ID], cb->extack);
	if (IS_ERR(vm))
		return PTR_ERR(vm);
	pos->vm = pos->only = vm->id;
	rs_vm_put(vm);
	return 0;
}

static int dump_all_start(struct netlink_callback *cb)
{
	return dump_start(cb, false);
}

static int dump_one_start(struct netlink_callback *cb)
{
	return dump_start(cb, true);
}

/* What @cmd has to say about @vm, from pos->vcpu on. 0: all of it. */
static int dump_vm(struct sk_buff *skb, struct netlink_callback *cb, u8 cmd, struct rs_vm *vm)
{
	struct position *pos = position(cb);
	int last = cmd == RS_CMD_VM ? WHOLE_VM : RS_MAX_VCPUS - 1;

	for (; pos->vcpu <= last; pos->vcpu++) {
		int ret;

		if (cmd == RS_CMD_VCPU && pos->vcpu == WHOLE_VM)
			continue;
		ret = add_answer(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq, NLM_F_MULTI,
				 cmd, vm, pos->vcpu);
		if (ret && ret != -ENOENT)
			return ret;
	}
	return 0;
}

static int dump(struct sk_buff *skb, struct netlink_callback *cb, u8 cmd)
{
	struct position *pos = position(cb);
	u32 told = pos->vm;
	struct rs_vm *vm;
	int ret = 0;

	while ((vm = rs_vm_next(&pos->vm))) {
		/* The VM where the last message ended may be gone: then the next is told from its start. */
		if (pos->vm != told)
			pos->vcpu = WHOLE_VM;
		told = pos->vm;
		if (pos->only && pos->vm != pos->only)
			ret = -ENOENT;
		else if (may_see(cb->skb, sock_net(skb->sk), vm))
			ret = dump_vm(skb, cb, cmd, vm);
		rs_vm_put(vm);
		if (ret == -ENOENT)
			break;
		if (ret)
			return skb->len ? skb->len : ret;
		pos->vm++;
	}
	return skb->len;
}

static int dump_vms(struct sk_buff *skb, struct netlink_callback *cb)
{
	return dump(skb, cb, RS_CMD_VM);
}

static int dump_vcpus(struct sk_buff *skb, struct netlink_callback *cb)
{
	return dump(skb, cb, RS_CMD_VCPU);
}

static int dump_stats(struct sk_buff *skb, struct netlink_callback *cb)
{
	return dump(skb, cb, RS_CMD_STATS);
}

/* --- commands that change --- */

static int has_ended(struct genl_info *info)
{
	NL_SET_ERR_MSG(info->extack, "the VM has been ended");
	return -ESHUTDOWN;
}

static int set_limits(struct sk_buff *request, struct genl_info *info)
{
	struct rs_limits limits = { };
	unsigned int which = 0;
	struct rs_vm *vm;
	int ret;

	if (info->attrs[RS_A_LIMIT_CPU_TIME]) {
		limits.cpu_time = nla_get_u64(info->attrs[RS_A_LIMIT_CPU_TIME]);
		which |= RS_LIMIT_CPU_TIME;
	}
	if (info->attrs[RS_A_LIMIT_EXITS]) {
		limits.exits = nla_get_u64(info->attrs[RS_A_LIMIT_EXITS]);
		which |= RS_LIMIT_EXITS;
	}
	if (info->attrs[RS_A_LIMIT_VCPUS]) {
		limits.vcpus = nla_get_u32(info->attrs[RS_A_LIMIT_VCPUS]);
		which |= RS_LIMIT_VCPUS;
	}
	vm = get_vm(request, info, true);
	if (IS_ERR(vm))
		return PTR_ERR(vm);
	if (which) {
		ret = rs_vm_set_limits(vm, &limits, which);
	} else {
		NL_SET_ERR_MSG(info->extack, "which limit? There is no RS_A_LIMIT_* attribute");
		ret = -EINVAL;
	}
	rs_vm_put(vm);
	if (ret == -ERANGE)
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[RS_A_LIMIT_VCPUS],
				    "the VM has more vCPUs than that");
	return ret == -ESHUTDOWN ? has_ended(info) : ret;
}

static int kick(struct sk_buff *request, struct genl_info *info)
{
	struct rs_vm *vm = get_vm(request, info, true);
	int vcpu = -1, ret;

	if (IS_ERR(vm))
		return PTR_ERR(vm);
	if (info->attrs[RS_A_VCPU_ID])
		vcpu = nla_get_u32(info->attrs[RS_A_VCPU_ID]);
	ret = rs_vm_kick(vm, vcpu);
	rs_vm_put(vm);
	if (ret == -ENOENT)
		return no_vcpu(info);
	return ret == -ESHUTDOWN ? has_ended(info) : ret;
}

static int change(struct sk_buff *request, struct genl_info *info, int (*fn)(struct rs_vm *vm))
{
	struct rs_vm *vm = get_vm(request, info, true);
	int ret;

	if (IS_ERR(vm))
		return PTR_ERR(vm);
	ret = fn(vm);
	rs_vm_put(vm);
	return ret == -ESHUTDOWN ? has_ended(info) : ret;
}

static int pause_vm(struct sk_buff *request, struct genl_info *info)
{
	return change(request, info, rs_vm_pause);
}

static int resume_vm(struct sk_buff *request, struct genl_info *info)
{
	return change(request, info, rs_vm_resume);
}

static int end_vm(struct sk_buff *request, struct genl_info *info)
{
	return change(request, info, rs_vm_end);
}

/* --- the family --- */

#define TAKES(p)	.policy = p, .maxattr = ARRAY_SIZE(p) - 1

static const struct genl_ops ops[] = {
	{ .cmd = RS_CMD_GET_VM, .doit = get_one_vm, .start = dump_all_start, .dumpit = dump_vms,
	  TAKES(vm_policy) },
	{ .cmd = RS_CMD_GET_VCPU, .start = dump_one_start, .dumpit = dump_vcpus, TAKES(vm_policy) },
	{ .cmd = RS_CMD_GET_STATS, .doit = get_one_stats, .start = dump_one_start,
	  .dumpit = dump_stats, TAKES(vcpu_policy) },
	{ .cmd = RS_CMD_SET_LIMITS, .doit = set_limits, TAKES(limits_policy) },
	{ .cmd = RS_CMD_KICK, .doit = kick, TAKES(vcpu_policy) },
	{ .cmd = RS_CMD_PAUSE, .doit = pause_vm, TAKES(vm_policy) },
	{ .cmd = RS_CMD_RESUME, .doit = resume_vm, TAKES(vm_policy) },
	{ .cmd = RS_CMD_END, .doit = end_vm, TAKES(vm_policy) },
	{ .cmd = RS_CMD_GET_EVENT_SEQ, .doit = get_event_seq },
};

static const struct genl_multicast_group groups[] = {
	{ .name = RS_GENL_EVENTS },
};

struct genl_family rs_genl_family __ro_after_init = {
	.name		= RS_GENL_NAME,
	.version	= RS_GENL_VERSION,
	.netnsok	= true,
	.parallel_ops	= true,
	.module		= THIS_MODULE,
	.ops		= ops,
	.n_ops		= ARRAY_SIZE(ops),
	.mcgrps		= groups,
	.n_mcgrps	= ARRAY_SIZE(groups),
};

int __init rs_genl_init(void)
{
	return genl_register_family(&rs_genl_family);
}

void rs_genl_exit(void)
{
	genl_unregister_family(&rs_genl_family);
}
