/* SPDX-License-Identifier: MIT */
/*
 * net.h - the network of a sandbox that has its own: RS_NET_E1000. See net.c.
 */
#ifndef RS_LIB_NET_H
#define RS_LIB_NET_H

#include "sandbox.h"

#include "ringside/ringside.h"

/** rs_net_bad() - what is wrong with @n, in words, or NULL */
const char *rs_net_bad(const struct rs_nic_config *n);

/**
 * rs_net_create() - the interface at the other end of the VM's NIC: made, addressed, up
 * Before the confinement. Fills in @boot, and sb->nic_event. 0, or -1 with words in @why.
 */
int rs_net_create(struct rs_sandbox *sb, const struct rs_nic_config *n, struct rs_boot_net *boot,
		  char *why);

/** rs_net_start() - from now on the NIC's interrupts reach vCPU 0. After the confinement; 0 or -EAGAIN */
int rs_net_start(struct rs_sandbox *sb);

/**
 * rs_net_available() - may this process make such an interface here? 1; 0: it has not the right to;
 * -errno: the module, or the library's way to it, is not there
 */
int rs_net_available(void);

#endif /* RS_LIB_NET_H */
