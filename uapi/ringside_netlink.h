/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * ringside_netlink.h - what the module says and takes over netlink
 *
 * rtnetlink: a network interface whose other end is the e1000 of a VM. RTM_NEWLINK with IFLA_INFO_KIND RS_LINK_KIND and the attributes
 * below in IFLA_INFO_DATA makes one, in the network namespace of the socket, with all the rights that making an interface needs
 * (CAP_NET_ADMIN there). It goes with RTM_DELLINK, with its namespace, and with its VM; a VM whose interface has gone has a NIC whose
 * link is down for good. Everything else (name, addresses, MTU, up and down) is as of any interface.
 */
#ifndef _UAPI_RINGSIDE_NETLINK_H
#define _UAPI_RINGSIDE_NETLINK_H

#include <linux/types.h>

#define RS_LINK_KIND		"ringside"
#define RS_MAX_NICS		4	/* per VM */
#define RS_NIC_MTU_MAX		9000
#define RS_NIC_REGS_SIZE	0x20000	/* bytes of registers, as the 82540EM has them */

/*
 * IFLA_RINGSIDE_VM_FD		u32, needed: descriptor of the VM in the sending process; EBADF, ENODEV: not a VM's; EPERM: not of the
 *				sender's address space
 * IFLA_RINGSIDE_INDEX		u32, 0 when it is not there: which NIC of the VM; EINVAL: RS_MAX_NICS or above; EEXIST
 * IFLA_RINGSIDE_EVENT_FD	u32, needed: an eventfd of the sending process that is signalled when the NIC's interrupt line rises
 *				(register page) or a cause that the guest asked for comes up (queue page)
 * IFLA_RINGSIDE_REGS_GPA	u64: guest physical address of the register page. It has to lie in an RS_REGION_MMIO region; accesses of the
 *				guest to [it, it + RS_NIC_REGS_SIZE) are then the NIC's and do not end RS_RUN. Multiple of 4096
 * IFLA_RINGSIDE_GUEST_MAC	6 bytes: the address in the NIC's EEPROM, a valid unicast one; random without it
 *
 * IFLA_INFO_DATA of RTM_GETLINK has IFLA_RINGSIDE_INDEX, IFLA_RINGSIDE_GUEST_MAC and IFLA_RINGSIDE_VM_ID.
 */
enum {
	IFLA_RINGSIDE_UNSPEC,
	IFLA_RINGSIDE_VM_FD,
	IFLA_RINGSIDE_INDEX,
	IFLA_RINGSIDE_EVENT_FD,
	IFLA_RINGSIDE_REGS_GPA,
	IFLA_RINGSIDE_GUEST_MAC,
	IFLA_RINGSIDE_VM_ID,	/* u32, out only: the VM's number, as in debugfs */
	IFLA_RINGSIDE_PAD,
	__IFLA_RINGSIDE_END,
};
#define IFLA_RINGSIDE_MAX	(__IFLA_RINGSIDE_END - 1)

#endif /* _UAPI_RINGSIDE_NETLINK_H */
