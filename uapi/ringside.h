/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * ringside.h - the ioctl interface of /dev/ringside
 *
 * A process opens /dev/ringside, makes a VM (RS_CREATE_VM returns a file descriptor), gives the VM memory out of its own address
 * space (RS_ADD_REGION), makes one vCPU per thread that shall run guest code (RS_CREATE_VCPU returns a file descriptor), maps the
 * vCPU's run page (mmap of the vCPU descriptor at offset 0, length 4096, PROT_READ|PROT_WRITE, MAP_SHARED), sets the initial
 * registers (RS_SET_STATE) and calls RS_RUN in a loop. RS_RUN returns when the guest needs something that the module does not do
 * by itself; the run page says what.
 *
 *	/dev/ringside	RS_GET_INFO  RS_CREATE_VM
 *	VM descriptor	RS_ADD_REGION  RS_REMOVE_REGION  RS_CREATE_VCPU  RS_GET_VM_STATS
 *	vCPU descriptor	RS_SET_STATE  RS_GET_STATE  RS_RUN  RS_KICK  RS_GET_VCPU_STATS  mmap
 *
 * Rules that hold for every command
 * - All structures have one layout for 32- and 64-bit callers. Pointers and addresses are __u64. GPA is a guest physical address,
 *   HVA a virtual address of the calling process. Sizes are bytes.
 * - Fields named `flags` hold only the flags named here, fields named `reserved` are zero; anything else is EINVAL.
 * - VM and vCPU descriptors belong to the address space (mm) that created the VM. Used from another process they answer EPERM.
 * - All descriptors are close-on-exec. They may be closed in any order, at any time; the VM is gone when the last one is.
 * - EFAULT: the structure could not be read or written. ENOTTY: no such command. ENODEV: the file is not of the kind the command is
 *   for. EIO: the owning address space is being torn down.
 */
#ifndef _UAPI_RINGSIDE_H
#define _UAPI_RINGSIDE_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* Incremented when a structure or a meaning changes; a library refuses a module whose version it does not know. */
#define RS_ABI_VERSION		3

#define RS_DEVICE_PATH		"/dev/ringside"
#define RS_IOC_MAGIC		0xb6

#define RS_MAX_VCPUS		64	/* per VM */
#define RS_MAX_REGIONS		1100	/* per VM: one for each GiB of 40 bits, and some */

/* --- /dev/ringside ------------------------------------------------------------------------------------------------------ */

enum rs_backend_id {
	RS_BACKEND_VMX = 1,	/* Intel VT-x with EPT */
	RS_BACKEND_SVM = 2,	/* AMD-V with NPT */
};

#define RS_FEATURE_NESTED_2M	(1u << 0)	/* nested 2 MiB entries are used */
#define RS_FEATURE_NESTED_AD	(1u << 1)	/* accessed/dirty bits exist in nested entries */
#define RS_FEATURE_GUEST_1G	(1u << 2)	/* the guest's own page tables may use 1 GiB entries */
#define RS_FEATURE_XSAVE	(1u << 3)	/* the guest may set CR4.OSXSAVE; XCR0 is the host's */
#define RS_FEATURE_PCID		(1u << 4)	/* the guest may set CR4.PCIDE and use INVPCID */

/**
 * struct rs_info - what the module and this machine offer (RS_GET_INFO fills it in, ignoring what was there)
 * @abi_version:  RS_ABI_VERSION of the module
 * @backend:      enum rs_backend_id
 * @features:     RS_FEATURE_*
 * @gpa_bits:     guest physical addresses are below 1 << gpa_bits
 * @cr4_allowed:  bits that struct rs_vcpu_state.cr4 may have
 * @efer_allowed: bits that struct rs_vcpu_state.efer may have
 * @xcr0:         XCR0 that guests run with, 0 without XSAVE
 */
struct rs_info {
	__u32 abi_version;
	__u32 backend;
	__u32 features;
	__u32 gpa_bits;
	__u64 cr4_allowed;
	__u64 efer_allowed;
	__u64 xcr0;
	__u64 reserved[3];
};

/*
 * A nested fault that Linux cannot resolve (beyond the end of a file, access that the VMA forbids, no region) is delivered to the guest
 * as vector RS_VECTOR_NESTED_FAULT (ringside_guest.h) instead of ending RS_RUN with RS_EXIT_MEMORY_FAULT. The details are in the guest's
 * RS_HC_FAULT_INFO. A fault that happens while an event is delivered always ends RS_RUN.
 */
#define RS_VM_NESTED_FAULT_VECTOR	(1u << 0)
/* Hypercalls from guest ring 3 are taken too (tests of the module). Without it they are #UD in the guest. */
#define RS_VM_USER_HYPERCALLS		(1u << 1)
/*
 * Hypercalls from the lower half of the address space (RIP, of the instruction, with bit 63 clear) are #UD in the guest, from any ring: where
 * ring 0 executes a program's code, only the guest kernel in the upper half can make one. Whether ring 3 may is decided by
 * RS_VM_USER_HYPERCALLS alone; with both flags ring 3 may from the upper half.
 */
#define RS_VM_KERNEL_HYPERCALLS		(1u << 2)
/*
 * What the process's mapping does not let it execute (no PROT_EXEC), the guest cannot execute either: a nested fault with RS_FAULT_FETCH.
 * Without it reading is enough, and what may be executed is a matter of the guest's page tables alone.
 */
#define RS_VM_EXEC_RIGHTS		(1u << 3)

#define RS_VM_NAME_MAX		64	/* bytes, the terminating 0 included */

/**
 * struct rs_vm_config - what a VM is made with
 * @flags:	RS_VM_*
 * @end_signal: 0, or the signal that a thread which ran a vCPU of this VM gets when the VM is ended from outside or by a limit
 *		(ringside_netlink.h), with si_code SI_KERNEL; the process is continued if it was stopped. So that threads which sleep in calls of
 *		their own notice: RS_RUN says it to those that call it. Not sent to threads that have left the address space
 * @name:	0, or the address of a string of less than RS_VM_NAME_MAX bytes that is shown to who lists VMs; ENAMETOOLONG
 */
struct rs_vm_config {
	__u32 flags;
	__u32 end_signal;
	__u64 name;
	__u64 reserved[2];
};

/*
 * RS_GET_INFO		0.
 * RS_CREATE_VM		a VM descriptor. ENODEV: no usable virtualisation on this machine (dmesg says why). EBUSY: a CPU's
 *			virtualisation is in use by another hypervisor. EMFILE, ENOMEM.
 *			EINVAL: end_signal is no signal. ENAMETOOLONG.
 */
#define RS_GET_INFO		_IOR(RS_IOC_MAGIC, 0x00, struct rs_info)
#define RS_CREATE_VM		_IOW(RS_IOC_MAGIC, 0x01, struct rs_vm_config)

/* --- VM descriptor ------------------------------------------------------------------------------------------------------ */

#define RS_REGION_READONLY	(1u << 0)	/* guest writes are never mapped, whatever the VMA allows */
#define RS_REGION_MMIO		(1u << 1)	/* nothing behind it: every access ends RS_RUN with RS_EXIT_MMIO; hva is 0 */

/**
 * struct rs_region - guest physical memory [gpa, gpa + size), backed by the caller's [hva, hva + size)
 *
 * The mapping is by address, not by page: what the process maps, unmaps or protects at these addresses later is what the guest sees
 * from then on. Nothing is pinned. The range need not be mapped at all when the region is added. @gpa, @size and @hva are multiples of
 * 4096; for 2 MiB nested entries @gpa and @hva must be equal modulo 2 MiB. Regions of one VM do not overlap in GPA; HVAs may.
 */
struct rs_region {
	__u64 gpa;
	__u64 size;
	__u64 hva;
	__u32 flags;
	__u32 reserved0;
	__u64 reserved[2];
};

struct rs_vcpu_config {
	__u32 id;		/* below RS_MAX_VCPUS, each once per VM */
	__u32 flags;		/* 0 */
	__u64 reserved[3];
};

/**
 * struct rs_stats - exact counts since creation; of a VM: its own plus those of all vCPUs it ever had
 * The exit_* fields add up to @exits.
 */
struct rs_stats {
	__u64 entries;		/* VM entries attempted */
	__u64 exits;		/* VM exits */
	__u64 exit_npf;		/* nested page faults (EPT violations) */
	__u64 exit_hypercall;
	__u64 exit_interrupt;	/* external interrupts of the host */
	__u64 exit_nmi;
	__u64 exit_window;	/* interrupt window opened */
	__u64 exit_cpuid;
	__u64 exit_msr;
	__u64 exit_io;
	__u64 exit_cr;
	__u64 exit_dr;
	__u64 exit_hlt;
	__u64 exit_exception;	/* intercepted exceptions */
	__u64 exit_shutdown;	/* triple fault */
	__u64 exit_other;
	__u64 user_exits;	/* RS_RUN returned with a reason other than EINTR */
	__u64 map_4k;		/* nested entries written, by size */
	__u64 map_2m;
	__u64 fault_retry;	/* nested faults retried because Linux was changing the range */
	__u64 fault_failed;	/* nested faults that Linux could not resolve */
	__u64 injected;		/* events injected, re-injections not counted */
	__u64 inval;		/* invalidations that Linux announced and that met a region */
	__u64 inval_zapped;	/* nested entries removed by them */
	__u64 flush_requests;	/* changes of nested entries that made a flush necessary */
	__u64 flushes;		/* flushes done, by vCPUs */
	__u64 kicks;		/* inter-processor interrupts sent to vCPUs in the guest */
	__u64 migrations;	/* a vCPU entered on another CPU than before */
	__u64 reserved[4];
};

/*
 * RS_ADD_REGION	EINVAL: misaligned, zero size, wraps, beyond gpa_bits or beyond the caller's address space, MMIO with hva.
 *			EEXIST: overlaps a region. ENOSPC: RS_MAX_REGIONS.
 * RS_REMOVE_REGION	gpa and size must match a region exactly, the rest is zero: ENOENT otherwise. When it returns no vCPU can
 *			reach the memory any more.
 * RS_CREATE_VCPU	a vCPU descriptor. EINVAL: id. EEXIST: id in use. ENOMEM, EMFILE. EDQUOT: more than the VM's limit of vCPUs; it
 *			has ended.
 */
#define RS_ADD_REGION		_IOW(RS_IOC_MAGIC, 0x10, struct rs_region)
#define RS_REMOVE_REGION	_IOW(RS_IOC_MAGIC, 0x11, struct rs_region)
#define RS_CREATE_VCPU		_IOW(RS_IOC_MAGIC, 0x12, struct rs_vcpu_config)
#define RS_GET_VM_STATS		_IOR(RS_IOC_MAGIC, 0x13, struct rs_stats)

/* --- vCPU descriptor ---------------------------------------------------------------------------------------------------- */

/**
 * struct rs_vcpu_state - registers of a vCPU
 *
 * What the guest may not do is a fault in the guest: #GP(0) for I/O, for MSRs other than those that only concern itself (FS_BASE, GS_BASE,
 * KERNEL_GS_BASE, STAR, LSTAR, CSTAR, SFMASK, SYSENTER_*; EFER may be read), for changes of CR0, CR4 and CR8, for XSETBV and RDPMC; #UD for
 * debug registers, for MONITOR and MWAIT, INVD and WBINVD, and for virtualisation instructions.
 *
 * The guest starts and stays in 64-bit mode with paging. CR0 is fixed (PE, MP, ET, NE, WP, AM, PG). RS_SET_STATE resets everything not named
 * here: segments become flat 64-bit ones (@cpl 0 or 3 says which: CS/SS 0x10/0x18 or 0x33/0x2b, as Linux has them), the descriptor
 * tables are empty, TR is a busy 64-bit TSS with base 0, pending events are dropped.
 * Refused with EINVAL: non-canonical rip or bases, cr3 with bits at or above gpa_bits, cr4 without PAE or with bits outside cr4_allowed,
 * efer without LME|LMA or with bits outside efer_allowed, rflags without bit 1 or with VM, VIF, VIP or reserved bits, cpl not 0 or 3.
 */
struct rs_vcpu_state {
	__u64 rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp;
	__u64 r8, r9, r10, r11, r12, r13, r14, r15;
	__u64 rip, rflags;
	__u64 cr2, cr3, cr4, efer;
	__u64 fs_base, gs_base;
	__u32 cpl;
	__u32 reserved0;
	__u64 reserved[3];
};

enum rs_exit_reason {
	RS_EXIT_NONE = 0,
	RS_EXIT_HYPERCALL = 1,		/* number RS_HC_USER or above; run.hypercall */
	RS_EXIT_KICK = 2,		/* RS_KICK */
	RS_EXIT_HLT = 3,		/* the guest executed HLT and has no event to take; RIP is behind it */
	RS_EXIT_MEMORY_FAULT = 4,	/* a nested fault could not be resolved; run.fault */
	RS_EXIT_MMIO = 5,		/* access to an RS_REGION_MMIO region; run.fault; RIP is at the instruction */
	RS_EXIT_SHUTDOWN = 6,		/* triple fault; the vCPU cannot run again before RS_SET_STATE */
	RS_EXIT_FAIL_ENTRY = 7,		/* the CPU refused the state; run.hw. The vCPU needs RS_SET_STATE */
	RS_EXIT_UNHANDLED = 8,		/* an exit that no guest should cause; run.hw */
	RS_EXIT_ENDED = 9,		/* the VM was ended; run.ended. Every RS_RUN answers so from then on */
};

enum rs_end_reason {
	RS_END_CLOSED = 0,		/* it was not: its descriptors were closed */
	RS_END_REQUEST = 1,		/* RS_CMD_END (ringside_netlink.h) */
	RS_END_LIMIT_CPU_TIME = 2,	/* a limit was reached */
	RS_END_LIMIT_EXITS = 3,
	RS_END_LIMIT_VCPUS = 4,
};

#define RS_FAULT_READ		(1u << 0)
#define RS_FAULT_WRITE		(1u << 1)
#define RS_FAULT_FETCH		(1u << 2)
#define RS_FAULT_WALK		(1u << 3)	/* the CPU was reading or writing the guest's own page tables */
#define RS_FAULT_NO_REGION	(1u << 4)	/* no region holds the address */
#define RS_FAULT_DELIVERY	(1u << 5)	/* while an event was being delivered */
#define RS_FAULT_NO_EXEC	(1u << 6)	/* RS_VM_EXEC_RIGHTS: a page is there and may be read, but not executed */

/**
 * struct rs_run - the page shared with a vCPU (mmap of its descriptor)
 *
 * Both sides treat what they read from it as hostile; the module reads each input once.
 * @irq_vector:  in, 0 or 32..255: RS_RUN delivers this interrupt as soon as the guest has RFLAGS.IF set, then stores 0 here. The event
 *		 wakes a halted guest. Set it from the thread that calls RS_RUN (a signal handler of it included).
 * @exit_reason: out, enum rs_exit_reason; RS_EXIT_NONE when RS_RUN failed
 * @rip, @cpl:   out, where the guest is
 * @hypercall:   out: nr and args (rdi, rsi, rdx, r10); in: ret is loaded into the guest's RAX by the next RS_RUN
 */
struct rs_run {
	__u32 irq_vector;
	__u32 reserved_in[15];
	__u32 exit_reason;
	__u32 cpl;
	__u64 rip;
	union {
		struct {
			__u64 nr;
			__u64 args[4];
			__u64 ret;
		} hypercall;
		struct {
			__u64 gpa;
			__u64 gva;	/* 0 where the CPU does not tell */
			__u32 access;	/* RS_FAULT_* */
			__s32 error;	/* -errno */
		} fault;
		struct {
			__u64 reason;	/* exit code or VM-instruction error, as the vendor numbers them */
			__u64 info1;
			__u64 info2;
		} hw;
		struct {
			__u32 reason;	/* enum rs_end_reason */
			__u32 pad;
			__u64 limit;	/* that was reached, in the unit of its attribute; 0: RS_END_REQUEST */
		} ended;
		__u64 pad[16];
	};
};

/*
 * RS_SET_STATE		EINVAL as above. EBUSY: the vCPU is running. EINTR: a signal came while the CPU was going offline. ESHUTDOWN.
 * RS_GET_STATE		EBUSY: the vCPU is running. EIO: there is no state, before the first RS_SET_STATE and after
 *			RS_EXIT_FAIL_ENTRY.
 * RS_RUN		0 with run.exit_reason set. Waits while the VM is paused (ringside_netlink.h).
 *			EINTR: a signal or other work is pending for the thread; call again when it is done (this happens without a
 *			signal as well). EBUSY: the vCPU is running in another thread. EINVAL: irq_vector.
 *			ESHUTDOWN: the machine reboots. EIO: needs RS_SET_STATE first, or the address space is gone.
 *			A VM that was ended answers RS_EXIT_ENDED to that, too.
 *			read(2) of a vCPU descriptor with length 0 is the same call: a seccomp filter that lets read pass needs to look
 *			at no argument then, which Linux answers from a table instead of running the filter. EINVAL: length not 0.
 * RS_KICK		0. The RS_RUN in progress, or the next one, ends with RS_EXIT_KICK. May be called from any thread of the process.
 */
#define RS_SET_STATE		_IOW(RS_IOC_MAGIC, 0x20, struct rs_vcpu_state)
#define RS_GET_STATE		_IOR(RS_IOC_MAGIC, 0x21, struct rs_vcpu_state)
#define RS_RUN			_IO(RS_IOC_MAGIC, 0x22)
#define RS_KICK			_IO(RS_IOC_MAGIC, 0x23)
#define RS_GET_VCPU_STATS	_IOR(RS_IOC_MAGIC, 0x24, struct rs_stats)

#endif /* _UAPI_RINGSIDE_H */
