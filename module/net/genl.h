/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * genl.h - the parts of the generic netlink family: genl.c commands, message.c what answers and events
 * say, event.c events and network namespaces
 *
 * ringside_netlink.h is the manual.
 */
#ifndef RS_NET_GENL_H
#define RS_NET_GENL_H

#include <net/genetlink.h>
#include "vm.h"

struct pid_namespace;
struct user_namespace;

extern struct genl_family rs_genl_family;

/* genl.c, for main.c. P. Events are silent until init and after exit. */
int rs_genl_init(void);
void rs_genl_exit(void);

/* event.c: network namespaces; before rs_genl_init, after rs_genl_exit */
int rs_netns_init(void);
void rs_netns_exit(void);
struct rs_netns *rs_netns_of(struct net *net);	/* no reference; while the namespace lives */
u64 rs_netns_cookie(const struct rs_netns *ns);
u64 rs_netns_event_seq(struct rs_netns *ns);

/** struct rs_reader - in whose terms numbers of processes and users are given */
struct rs_reader {
	struct pid_namespace *pids;
	struct user_namespace *users;
};

/* message.c: add to @skb; 0 or -EMSGSIZE. P. Take vm->lock themselves. */
int rs_put_who(struct sk_buff *skb, const struct rs_vm *vm, const struct rs_reader *reader);
int rs_put_vm(struct sk_buff *skb, struct rs_vm *vm, const struct rs_reader *reader);
/* Return 0 also when the vCPU does not exist; then @skb is as it was and *@found false. */
int rs_put_vcpu(struct sk_buff *skb, struct rs_vm *vm, u32 id, const struct rs_reader *reader,
		bool *found);
int rs_put_vm_stats(struct sk_buff *skb, struct rs_vm *vm);
int rs_put_vcpu_stats(struct sk_buff *skb, struct rs_vm *vm, u32 id, bool *found);
int rs_put_fault(struct sk_buff *skb, u32 vcpu, const struct rs_fault_report *report);
int rs_put_u64(struct sk_buff *skb, int attr, u64 value);

#endif /* RS_NET_GENL_H */
