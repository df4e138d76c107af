/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * ringside_netlink.h - what the module says and takes over netlink
 *
 * Two parts: network interfaces of VMs over rtnetlink, and watching and controlling VMs over generic netlink (below).
 *
 * rtnetlink: a network interface whose other end is the e1000 of a VM. RTM_NEWLINK with IFLA_INFO_KIND RS_LINK_KIND and the attributes
 * below in IFLA_INFO_DATA makes one, in the network namespace of the socket, with all the rights that making an interface needs
 * (CAP_NET_ADMIN there). It goes with RTM_DELLINK, with its namespace, and when the VM's descriptor is closed; a VM whose interface has
 * gone has a NIC whose link is down for good. Everything else (name, addresses, MTU, up and down) is as of any interface.
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


/*
 * Generic netlink: family RS_GENL_NAME, version RS_GENL_VERSION. Lists VMs and vCPUs, tells what they cost, sets limits, kicks, pauses,
 * resumes and ends them; the multicast group RS_GENL_EVENTS tells of VMs that come, go, fail, or reach a limit.
 *
 * Who sees a VM. A VM belongs to the network namespace, the user namespace and the effective uid of the process that made it
 * (RS_CREATE_VM), as they were then. It is seen by every socket of that network namespace. A socket of the initial network namespace
 * also sees the VMs of other ones in whose user namespace it has CAP_SYS_ADMIN (its opener and its user). For all others there is no such
 * VM: ENOENT. Events go to the VM's own network namespace only.
 * Who changes a VM. Whose real uid is that of the VM's owner, and who has CAP_SYS_ADMIN in the VM's user namespace; EPERM.
 *
 * Every command is checked strictly: attributes that a command does not take, attributes of a wrong length and values out of range are
 * EINVAL or ERANGE, and the extended acknowledgement says what is wrong (NLMSGERR_ATTR_MSG, NLMSGERR_ATTR_OFFS).
 * Numbers of processes are of the reader's pid namespace, 0 where it has none for them; those of users of its user namespace. In events,
 * which have many readers, they are of the pid namespace of the VM's host process and the user namespace of the network namespace.
 */
#define RS_GENL_NAME		"ringside"
#define RS_GENL_VERSION		1
#define RS_GENL_EVENTS		"events"	/* the multicast group */

/*
 * RS_CMD_GET_VM	do: RS_A_VM_ID; dump: nothing. Answers RS_CMD_VM, one per VM: RS_A_VM_ID, RS_A_VM_STATE, RS_A_PID, RS_A_UID, RS_A_COMM
 *			(absent when the process is gone), RS_A_NAME (when it was given one), RS_A_NETNS, RS_A_AGE, RS_A_VCPUS and how
 *			many of them are how: RS_A_VCPUS_GUEST, _HOST, _IDLE, _PAUSED; RS_A_MEMORY, RS_A_MAPPED_4K, RS_A_MAPPED_2M,
 *			RS_A_TABLES; RS_A_NICS; what it has used, RS_A_CPU_TIME, RS_A_EXITS, and the limits of it that there are,
 *			RS_A_LIMIT_CPU_TIME, RS_A_LIMIT_EXITS, RS_A_LIMIT_VCPUS
 * RS_CMD_GET_VCPU	dump: RS_A_VM_ID for one VM, nothing for all. Answers RS_CMD_VCPU, one per vCPU: RS_A_VM_ID, RS_A_VCPU_ID,
 *			RS_A_VCPU_STATE, RS_A_TID, RS_A_CPU, RS_A_CPU_TIME
 * RS_CMD_GET_STATS	do: RS_A_VM_ID, for one vCPU also RS_A_VCPU_ID; dump: as RS_CMD_GET_VCPU. Answers RS_CMD_STATS: RS_A_VM_ID,
 *			RS_A_VCPU_ID (absent in what is of the whole VM), RS_A_CPU_TIME, RS_A_STATS. In a dump the VM comes before its
 *			vCPUs. The counters of a running VM move while they are read: those of one vCPU are each exact
 * RS_CMD_SET_LIMITS	RS_A_VM_ID and at least one of RS_A_LIMIT_CPU_TIME, RS_A_LIMIT_EXITS, RS_A_LIMIT_VCPUS. The others stay; 0 takes a
 *			limit away. A VM that reaches a limit ends (as by RS_CMD_END), with RS_CMD_EVENT_LIMIT: exits and vCPUs are
 *			limited exactly; CPU time is looked at every 30 ms when it may soon be reached, so it is exceeded by what the
 *			vCPUs use until then. A limit of exits or CPU time below what is used already is reached at once. ERANGE: fewer
 *			vCPUs than there are
 * RS_CMD_KICK		RS_A_VM_ID, RS_A_VCPU_ID: as RS_KICK. Without RS_A_VCPU_ID: all vCPUs. ENOENT: no such vCPU
 * RS_CMD_PAUSE		RS_A_VM_ID. When it is acknowledged no vCPU is in the guest, and none enters it before RS_CMD_RESUME: RS_RUN waits,
 *			and ends with EINTR when a signal comes. A VM may be paused that is already
 * RS_CMD_RESUME	RS_A_VM_ID; nothing happens to a VM that is not paused
 * RS_CMD_END		RS_A_VM_ID. When it is acknowledged no vCPU is in the guest and none will ever be: RS_RUN answers RS_EXIT_ENDED. The
 *			threads that ran vCPUs last are sent the signal that RS_CREATE_VM was given, so that a host process whose threads
 *			all sleep in calls of their own hears of it. A VM may be ended that is already
 * RS_CMD_GET_EVENT_SEQ	nothing. Answers RS_CMD_EVENT_SEQ: RS_A_EVENT_SEQ of the latest event in this network namespace, 0 when there was none
 *
 * ENOENT: no such VM, or not seen. ESHUTDOWN: SET_LIMITS, KICK, PAUSE, RESUME of a VM that was ended. EINVAL: an attribute is missing.
 *
 * Events. Each has RS_A_EVENT_SEQ, which counts all events of the network namespace one by one, so that a reader that was too slow (its
 * recvmsg answers ENOBUFS once) knows exactly how many it missed; RS_A_EVENT_TIME; RS_A_VM_ID, RS_A_PID, RS_A_UID, RS_A_NAME (if it has).
 * RS_CMD_EVENT_CREATED	a VM was made
 * RS_CMD_EVENT_ENDED	a VM is gone: its last descriptor was closed. RS_A_END_REASON, RS_A_AGE, RS_A_CPU_TIME, RS_A_EXITS
 * RS_CMD_EVENT_FAULT	RS_RUN ended with RS_EXIT_SHUTDOWN, RS_EXIT_MEMORY_FAULT, RS_EXIT_FAIL_ENTRY or RS_EXIT_UNHANDLED: RS_A_VCPU_ID,
 *			RS_A_EXIT_REASON, RS_A_RIP, RS_A_CPL; of a memory fault RS_A_GPA, RS_A_GVA, RS_A_ACCESS, RS_A_ERRNO; of the last two
 *			RS_A_HW_REASON, RS_A_HW_INFO1, RS_A_HW_INFO2
 * RS_CMD_EVENT_LIMIT	a limit was reached: RS_A_END_REASON says which, RS_A_LIMIT_* what it was
 */
enum rs_genl_command {
	RS_CMD_UNSPEC,
	RS_CMD_GET_VM,
	RS_CMD_VM,
	RS_CMD_GET_VCPU,
	RS_CMD_VCPU,
	RS_CMD_GET_STATS,
	RS_CMD_STATS,
	RS_CMD_SET_LIMITS,
	RS_CMD_KICK,
	RS_CMD_PAUSE,
	RS_CMD_RESUME,
	RS_CMD_END,
	RS_CMD_GET_EVENT_SEQ,
	RS_CMD_EVENT_SEQ,
	RS_CMD_EVENT_CREATED,
	RS_CMD_EVENT_ENDED,
	RS_CMD_EVENT_FAULT,
	RS_CMD_EVENT_LIMIT,
	__RS_CMD_END_OF_LIST,
};
#define RS_CMD_MAX		(__RS_CMD_END_OF_LIST - 1)

enum rs_vm_state {
	RS_VM_STATE_RUNNING,
	RS_VM_STATE_PAUSED,
	RS_VM_STATE_ENDED,	/* RS_CMD_END or a limit; descriptors are still open */
};

enum rs_vcpu_run_state {
	RS_VCPU_STATE_NEW,	/* no thread has run it yet */
	RS_VCPU_STATE_GUEST,	/* in the guest, or on the way in or out */
	RS_VCPU_STATE_HOST,	/* its thread can run and is not in the guest: in a call, or waiting for a CPU */
	RS_VCPU_STATE_IDLE,	/* its thread sleeps, or is gone */
	RS_VCPU_STATE_PAUSED,	/* its thread waits in RS_RUN until the VM is resumed */
};

/* Attributes. Times are nanoseconds, sizes bytes. */
enum rs_genl_attr {
	RS_A_UNSPEC,
	RS_A_PAD,
	RS_A_VM_ID,		/* u32, 1 or above; not given again soon */
	RS_A_VCPU_ID,		/* u32, as RS_CREATE_VCPU was given it */
	RS_A_VM_STATE,		/* u32, enum rs_vm_state */
	RS_A_VCPU_STATE,	/* u32, enum rs_vcpu_run_state */
	RS_A_PID,		/* u32, the process that made the VM */
	RS_A_TID,		/* u32, the thread that ran the vCPU last; absent before the first */
	RS_A_UID,		/* u32, the owner */
	RS_A_COMM,		/* string, of the process */
	RS_A_NAME,		/* string, as RS_CREATE_VM was given it: any bytes but 0 */
	RS_A_NETNS,		/* u64, the cookie of the network namespace (SO_NETNS_COOKIE) */
	RS_A_AGE,		/* u64, since RS_CREATE_VM, with the time that the machine slept */
	RS_A_VCPUS,		/* u32, that exist */
	RS_A_VCPUS_GUEST,	/* u32, in RS_VCPU_STATE_GUEST, ... */
	RS_A_VCPUS_HOST,
	RS_A_VCPUS_IDLE,	/* RS_VCPU_STATE_IDLE or _NEW */
	RS_A_VCPUS_PAUSED,
	RS_A_MEMORY,		/* u64, of all regions */
	RS_A_MAPPED_4K,		/* u64, nested entries that exist now, by size */
	RS_A_MAPPED_2M,
	RS_A_TABLES,		/* u64, pages of nested tables */
	RS_A_NICS,		/* u32 */
	/*
	 * u64: what the scheduler has given the threads that ran vCPUs, from when each began to run one: in the guest and in Linux. Not
	 * that of other threads of the host process.
	 */
	RS_A_CPU_TIME,
	RS_A_EXITS,		/* u64, as struct rs_stats.exits */
	RS_A_LIMIT_CPU_TIME,	/* u64 */
	RS_A_LIMIT_EXITS,	/* u64 */
	RS_A_LIMIT_VCPUS,	/* u32, up to RS_MAX_VCPUS */
	RS_A_STATS,		/* nest of RS_S_* */
	RS_A_EVENT_SEQ,		/* u64 */
	RS_A_EVENT_TIME,	/* u64, CLOCK_REALTIME */
	RS_A_END_REASON,	/* u32, enum rs_end_reason (ringside.h) */
	RS_A_EXIT_REASON,	/* u32, enum rs_exit_reason (ringside.h) */
	RS_A_RIP,		/* u64, where the guest was */
	RS_A_CPL,		/* u32, in which ring */
	RS_A_GPA,		/* u64 */
	RS_A_GVA,		/* u64, 0 where the CPU does not tell */
	RS_A_ACCESS,		/* u32, RS_FAULT_* */
	RS_A_ERRNO,		/* u32, positive */
	RS_A_HW_REASON,		/* u64, as struct rs_run.hw */
	RS_A_HW_INFO1,
	RS_A_HW_INFO2,
	RS_A_CPU,		/* u32, the CPU the vCPU was entered on last; absent before the first time */
	__RS_A_END_OF_LIST,
};
#define RS_A_MAX		(__RS_A_END_OF_LIST - 1)

/* In RS_A_STATS: struct rs_stats, one u64 for each field, in its order; RS_S_PAD is for alignment. */
enum rs_genl_stat {
	RS_S_UNSPEC,
	RS_S_PAD,
	RS_S_ENTRIES,
	RS_S_EXITS,
	RS_S_EXIT_NPF,
	RS_S_EXIT_HYPERCALL,
	RS_S_EXIT_INTERRUPT,
	RS_S_EXIT_NMI,
	RS_S_EXIT_WINDOW,
	RS_S_EXIT_CPUID,
	RS_S_EXIT_MSR,
	RS_S_EXIT_IO,
	RS_S_EXIT_CR,
	RS_S_EXIT_DR,
	RS_S_EXIT_HLT,
	RS_S_EXIT_EXCEPTION,
	RS_S_EXIT_SHUTDOWN,
	RS_S_EXIT_OTHER,
	RS_S_USER_EXITS,
	RS_S_MAP_4K,
	RS_S_MAP_2M,
	RS_S_FAULT_RETRY,
	RS_S_FAULT_FAILED,
	RS_S_INJECTED,
	RS_S_INVAL,
	RS_S_INVAL_ZAPPED,
	RS_S_FLUSH_REQUESTS,
	RS_S_FLUSHES,
	RS_S_KICKS,
	RS_S_MIGRATIONS,
	__RS_S_END_OF_LIST,
};
#define RS_S_MAX		(__RS_S_END_OF_LIST - 1)

#endif /* _UAPI_RINGSIDE_NETLINK_H */
