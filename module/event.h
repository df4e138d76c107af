/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * event.h - what a VM tells the world, and the network namespace it tells it to; net/event.c
 *
 * A VM holds its struct rs_netns, not the namespace: that may go before the VM, and then nobody
 * listens any more. All functions are P and take no lock that a caller may hold but vm->lock.
 */
#ifndef RS_EVENT_H
#define RS_EVENT_H

#include "vm.h"

/* That of this process, with a reference. */
struct rs_netns *rs_netns_get_current(void);
void rs_netns_put(struct rs_netns *ns);

/* RS_CMD_EVENT_*, ringside_netlink.h */
void rs_event_created(struct rs_vm *vm);
void rs_event_ended(struct rs_vm *vm);
void rs_event_fault(struct rs_vm *vm, u32 vcpu, const struct rs_fault_report *report);
/* vm->lock */
void rs_event_limit(struct rs_vm *vm, u32 reason, u64 limit);

#endif /* RS_EVENT_H */
