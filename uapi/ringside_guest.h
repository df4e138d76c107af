/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * ringside_guest.h - what the guest kernel and the world outside agree on
 *
 * Three parties: the guest kernel (ring 0 of the guest), the module (which takes hypercalls), the host process (which loads the guest
 * kernel, and to which the module passes every hypercall it does not know). Usable from assembly.
 *
 * Guest physical memory
 *	[0, arena_size)				the arena: ordinary memory. Page 0 is never used.
 *	[window_gpa, window_gpa + window_size)	the file window: the host process maps files here on request (RS_CALL_MAP_FILE).
 * Guest virtual memory, upper half, as the host process builds it before the first instruction
 *	RS_DIRECT_BASE + gpa	all of the arena and of the file window, writable, not executable, supervisor
 *	RS_KERNEL_BASE + gpa	the guest kernel's image, each segment with its own rights, supervisor
 * The lower half is empty. The guest kernel may extend and change these tables; they lie below free_gpa.
 *
 * Start of a vCPU: RIP = the image's entry point, RSP = top of a 16 KiB stack of its own, RDI = GVA of struct rs_boot in the direct map,
 * RSI = index of the vCPU, RFLAGS.IF = 0, CR4 and EFER as in struct rs_boot. The guest kernel uses the selectors that Linux uses (kernel CS
 * 0x10, kernel SS 0x18, user CS 0x33, user SS 0x2b), so that MSR_STAR has the host's value and need not be switched.
 *
 * Hypercall: VMCALL on Intel, VMMCALL on AMD; both are 3 bytes, and the host process writes the right ones over every site in the image's
 * section .rs_hypercall_sites (an array of __u64 GVAs). RAX holds the number, RDI RSI RDX R10 the arguments; RAX is the result; no
 * other register changes. In ring 3 the instruction is #UD.
 */
#ifndef _UAPI_RINGSIDE_GUEST_H
#define _UAPI_RINGSIDE_GUEST_H

#define RS_DIRECT_BASE		0xffff888000000000
#define RS_KERNEL_BASE		0xffffffff80000000
#define RS_KERNEL_GPA		0x200000		/* the image is linked at RS_KERNEL_BASE + RS_KERNEL_GPA */

#define RS_VECTOR_NESTED_FAULT	20	/* a nested fault that Linux could not resolve; RS_HC_FAULT_INFO tells; no error code */
#define RS_VECTOR_NOTIFY	0xf0	/* the host process has set rs_vcpu_shared.pending */

/* --- hypercalls the module answers ---------------------------------------------------------------------------------------- */
#define RS_HC_NULL		0	/* returns 0 */
#define RS_HC_EXIT_COUNT	1	/* exits of this vCPU so far, without external interrupts and NMIs, this one included */
#define RS_HC_FAULT_INFO	2	/* RDI 0: GPA, 1: GVA, 2: RS_FAULT_* of the last RS_VECTOR_NESTED_FAULT of this vCPU */
/*
 * The virtual NIC, an e1000 (82540EM) whose other end is a Linux network interface (ringside_netlink.h). Its registers can be reached in two
 * ways, by memory (IFLA_RINGSIDE_REGS_GPA) and by these calls: they are the same registers. What is used for every packet is in a page that both
 * sides read and write, struct rs_nic_page, once its address is in register RS_NIC_REG_PAGE.
 * NIC, offset of the register (a multiple of 4 below RS_NIC_REGS_SIZE; registers that do not exist read as 0), value. RS_HC_ENODEV: no such NIC.
 */
#define RS_HC_NIC_DOORBELL	3	/* RDI NIC: look at the queue page. 0 */
#define RS_HC_NIC_READ		4	/* RDI NIC, RSI offset: the value, 32 bits */
#define RS_HC_NIC_WRITE		5	/* RDI NIC, RSI offset, RDX value. 0 */
#define RS_HC_ENODEV		(-19)
/* Numbers from here on end RS_RUN with RS_EXIT_HYPERCALL; below it, unknown ones return RS_HC_ENOSYS. */
#define RS_HC_USER		0x100
#define RS_HC_ENOSYS		(-38)

/* --- hypercalls the host process answers ---------------------------------------------------------------------------------- */
#define RS_HC_CALL		0x100	/* do the call described in this vCPU's struct rs_call; result there */
#define RS_HC_TRACE		0x101	/* take what is in this vCPU's struct rs_trace_ring. 0, also when there was nothing */

/*
 * Numbers of struct rs_call below RS_CALL_BASE are Linux x86-64 system calls (those that userland/include/rs_calls.def lists as forwarded);
 * above, requests to the host process. Results are as of a system call: -errno or a value.
 */
#define RS_CALL_BASE		0x10000
/* (wait status, error): the sandbox is finished; does not return. error: 0, or -errno of a first exec that failed */
#define RS_CALL_EXIT		(RS_CALL_BASE + 0)
#define RS_CALL_CONSOLE		(RS_CALL_BASE + 1)	/* (gpa, length, RS_CONSOLE_*): text for the user */
#define RS_CALL_MAP_FILE	(RS_CALL_BASE + 2)	/* (host fd, file offset, length, window gpa, RS_MAP_*) */
#define RS_CALL_UNMAP_FILE	(RS_CALL_BASE + 3)	/* (window gpa, length): back to inaccessible */
#define RS_CALL_RELEASE		(RS_CALL_BASE + 4)	/* (gpa, length): arena memory whose content is no longer needed; reads as zero later */
#define RS_CALL_STOP		(RS_CALL_BASE + 5)	/* (signal): stop the host process as the terminal's stop signal would; returns on SIGCONT */
#define RS_CALL_SYNC_FILE	(RS_CALL_BASE + 6)	/* (window gpa, length, flags): msync */
#define RS_CALL_EXPLAIN		(RS_CALL_BASE + 7)	/* (syscall number, errno, gpa of a path or 0): a refusal by the guest kernel, for --explain */
#define RS_CALL_IDLE		(RS_CALL_BASE + 8)	/* (timeout in ns or ~0): sleep until rs_vcpu_shared.pending; 0, or -ETIME */
/*
 * (slot): a helper thread of the host process takes the call of slot N (struct rs_slot, rs_boot.slots_gpa[N]; state
 * RS_SLOT_SUBMITTED), executes it as RS_HC_CALL would have, stores the result, sets state to RS_SLOT_DONE and raises RS_EVENT_DONE on vCPU 0.
 * 0; -EAGAIN when no thread can be had, then nothing has happened; -EINVAL.
 */
#define RS_CALL_SUBMIT		(RS_CALL_BASE + 9)
/*
 * (slot): after the guest has set the slot's pending to a value other than 0, the call comes back with -EINTR if it sleeps or has not begun
 * to. 0; -EINVAL.
 */
#define RS_CALL_CANCEL		(RS_CALL_BASE + 10)
#define RS_CALL_TIMER		(RS_CALL_BASE + 11)	/* (CLOCK_MONOTONIC in ns, or ~0 for never): RS_EVENT_TIMER on vCPU 0 at that time; one at a time */
/*
 * (): the host begins to look at rs_vcpu_shared.want_tick of all vCPUs every RS_TICK_NS and raises RS_EVENT_TICK where it is set. When for ten
 * ticks none was, it stops, having set rs_boot.ticking to 0 (and looked once more); the guest sets it to 1 before this call. 0.
 */
#define RS_CALL_TICK		(RS_CALL_BASE + 12)
#define RS_CALL_START_CPU	(RS_CALL_BASE + 13)	/* (vCPU): begins to run at rs_start; 0, -EINVAL, -EBUSY when it does already */
#define RS_CALL_KICK		(RS_CALL_BASE + 14)	/* (vCPU): RS_EVENT_KICK there; 0, -EINVAL */
/*
 * (window gpa, length, second window gpa): what is mapped at the first and what follows in that file, mapped a second time, with the same
 * rights, at the other place. 0; -EINVAL also when it cannot be had twice: a private mapping of what is no regular file, or of one that can be
 * sealed against writing (a memfd).
 */
#define RS_CALL_MAP_MORE	(RS_CALL_BASE + 15)
/*
 * (host fd, gpa of struct rs_file_id): which file it is. 0; 1: it is that file, but a mapping through this descriptor may show an older one
 * (overlay file systems), so it is not to be given to others who have the same numbers; -EBADF and -EACCES as of a private mmap of it;
 * -ENODEV when it is no regular file; what fstat answers.
 */
#define RS_CALL_FILE_ID		(RS_CALL_BASE + 16)
/*
 * (host directory fd or AT_FDCWD, gpa of a path, gpa of struct rs_program_file, gpa of 4096 bytes or 0): opens a program to be executed, as the
 * forwarded openat would with O_RDONLY | O_CLOEXEC | O_NONBLOCK, and says what exec has to know of it; also by what name RS_CALL_FILE_NAME knows
 * it (empty: by none). A new descriptor, or what openat and fstat answer.
 */
#define RS_CALL_OPEN_PROGRAM	(RS_CALL_BASE + 17)
/*
 * (host fd, gpa of 4096 bytes): the path of a file that the guest has opened, canonical, with its NUL. Its length; -EACCES when it does not lie
 * in what the guest may read, or when the host has no /proc.
 */
#define RS_CALL_FILE_NAME	(RS_CALL_BASE + 18)
#define RS_CALL_END		(RS_CALL_BASE + 19)

#define RS_TICK_NS		10000000

/* rs_vcpu_shared.pending bit 63: events is not 0. (Signal 64 never reaches a sandbox.) The bit is set after the event's. */
#define RS_PENDING_EVENTS	(1ull << 63)
#define RS_EVENT_DONE		1	/* some slot is RS_SLOT_DONE */
#define RS_EVENT_TIMER		2	/* the time of RS_CALL_TIMER has come */
#define RS_EVENT_TICK		4
#define RS_EVENT_KICK		8	/* another vCPU wants something */
#define RS_EVENT_NIC		16	/* the NIC's interrupt; on vCPU 0 */

#define RS_SLOT_FREE		0	/* the guest's */
#define RS_SLOT_SUBMITTED	1	/* the guest's until RS_CALL_SUBMIT, then the host's */
#define RS_SLOT_DONE		2	/* the guest's again */

#define RS_CONSOLE_LOG		0	/* guest kernel messages; shown with --verbose */
#define RS_CONSOLE_REPORT	1	/* death reports; always shown */
#define RS_CONSOLE_TRACE	2	/* --trace lines */
#define RS_CONSOLE_PANIC	3	/* last words of a guest kernel */

#define RS_MAP_WRITE		1	/* shared writable mapping (the fd must allow it); otherwise private, read-only */
#define RS_MAP_SHARED		2

#define RS_BOOT_MAGIC		0x72695365646973	/* "sideSir" */
#define RS_BOOT_VERSION		1

#define RS_BOOT_TRACE		(1 << 0)	/* --trace */
#define RS_BOOT_EXPLAIN		(1 << 1)	/* --explain: report refusals */
#define RS_BOOT_DEBUG		(1 << 2)	/* junk fill, extra checks */
#define RS_BOOT_VERBOSE		(1 << 3)
#define RS_BOOT_BENCH		(1 << 4)	/* RS_SYS_BENCH (ringside_app.h) is answered */
#define RS_BOOT_NET_HOST	(1 << 5)	/* sockets may be forwarded */
#define RS_BOOT_WX		(1 << 6)	/* memory may be writable and executable at once: --allow-wx */
#define RS_BOOT_NO_ASLR		(1 << 7)	/* addresses are the same in every run (measurements; norandmaps, personality) */
#define RS_BOOT_NET_NIC		(1 << 8)	/* sockets are the guest's own, over NIC 0: rs_boot.net */

#ifndef __ASSEMBLY__
#include <linux/types.h>

/**
 * struct rs_call - one request of a vCPU to its host process; the host treats all of it as hostile
 * A pointer argument is a GPA inside the arena or the window, 0 for NULL; what it points to must be contiguous in GPA and inside one of the two.
 * Pointers inside what it points to (struct iovec, struct msghdr) are GPAs too. File descriptors are the host's.
 */
struct rs_call {
	__u64 nr;
	__u64 args[6];
	__s64 ret;
};

/**
 * struct rs_slot - a request of a thread that others run beside, for RS_CALL_SUBMIT
 * @pending: not 0: the guest does not want the call any more
 */
struct rs_slot {
	struct rs_call call;
	__u64 pending;
	__u32 state;		/* RS_SLOT_* */
	__u32 reserved[13];
};

/**
 * struct rs_vcpu_shared - one page per vCPU, in the arena at rs_boot.shared_gpa + 4096 * index
 * @call:    the guest fills it in, then RS_HC_CALL
 * @pending: bit N-1: signal N arrived for the sandbox. The host sets bits atomically and then raises RS_VECTOR_NOTIFY;
 *	     the guest takes them with an atomic exchange.
 */
struct rs_vcpu_shared {
	struct rs_call call;
	__u64 pending;
	__u64 events;		/* RS_EVENT_*; set and taken like pending */
	__u32 want_tick;	/* not 0: threads wait for this vCPU; written by the guest */
	__u32 reserved0;
	__u64 short_calls;	/* the guest kernel's: system calls answered without it; part of rs_guest_stats.syscalls in the end */
	__u64 reserved[52];
	__u8  bounce[3584];	/* for small arguments of calls; contents have no meaning outside a call */
};

/**
 * struct rs_file_id - an open file's identity and its state: equal numbers of two descriptors, one of them still open or mapped, mean that
 * mappings of both show the same. What fstat says.
 */
struct rs_file_id {
	__u64 dev, ino, size;
	__u64 mtime, mtime_ns;
	__u64 ctime, ctime_ns;
};

/** struct rs_program_file - the answer of RS_CALL_OPEN_PROGRAM */
struct rs_program_file {
	struct rs_file_id id;
	__u32 mode;		/* st_mode */
	__s32 access;		/* 0, or -errno: may it be executed? */
	__s32 head_len;		/* bytes in @head, the first ones of the file; or -errno. 0 unless it is a regular file */
	__u32 unsure;		/* not 0: as the answer 1 of RS_CALL_FILE_ID */
	__u8  head[952];
};

/** struct rs_guest_stats - what the guest kernel counts, exactly; the host reads it when the sandbox ends */
struct rs_guest_stats {
	__u64 faults;		/* page faults from ring 3 or on behalf of it */
	__u64 cow_copies;	/* pages copied by a write to a shared page */
	__u64 table_copies;	/* page-table pages copied */
	__u64 zero_fills;	/* pages of zeros allocated by a first write */
	__u64 forks;
	__u64 execs;
	__u64 syscalls;
	__u64 forwarded;	/* system calls executed by the host process */
	__u64 pages_total;	/* pages the allocator manages */
	__u64 pages_free;
	__u64 pages_peak;	/* most pages in use at once */
	__u64 file_maps;	/* RS_CALL_MAP_FILE requests */
	__u64 signals;		/* delivered to handlers */
	__u64 reserved[19];
};

/*
 * Registers of the NIC that an 82540EM does not have, in a part of its registers that is reserved there.
 * RS_NIC_REG_PAGE_LOW, _HIGH: GPA of struct rs_nic_page (a multiple of 4096; _LOW bit 0: use it). Writing _LOW takes effect, with the _HIGH that
 * was written before. The rings must be set up before (TDBAL ... RDLEN, TCTL, RCTL); while the page is used, TDH, TDT, RDH, RDT, IMS, IMC and ICR
 * are not: their places are in the page.
 */
#define RS_NIC_REG_PAGE_LOW	0x1ff00
#define RS_NIC_REG_PAGE_HIGH	0x1ff04

/* rs_nic_page.doorbell */
#define RS_NIC_WANT_TX		1	/* the module sleeps: a doorbell is wanted after tx_tail was moved */
#define RS_NIC_WANT_RX		2	/* a frame waits for room: a doorbell is wanted after rx_tail was moved */

/**
 * struct rs_nic_page - the part of the e1000 that every packet needs, in memory
 *
 * Heads and tails are indices of descriptors, as in the registers. Each field has one writer, except @doorbell and @cause. What either side reads is hostile:
 * an index outside its ring stops that ring until the page is set up anew.
 *
 * Guest to module: write descriptors; store the tail; full barrier; if @doorbell has the bit for it, clear the bit with an atomic operation,
 * and if it was still set, RS_HC_NIC_DOORBELL. (Clearing is what makes it one doorbell for each time the module sleeps: the module itself
 * clears the bits only when it gets to run. A guest that leaves them alone rings more often, and that is all.)
 * The module sleeps: set the bit in @doorbell; full barrier; read the tail again; only if nothing is there, sleep. It clears the bits
 * when it wakes.
 * Module to guest: write back descriptors; store the head; OR the cause into @cause; full barrier; if @cause & @mask, signal. A cause that is
 * set already was signalled, or the guest has not had it in @mask: in both cases the guest finds it when it looks.
 * The guest sleeps: exchange @cause with 0; set @mask; full barrier; look at the rings and at @cause again; only if nothing is there, sleep.
 */
struct rs_nic_page {
	/* the guest's */
	__u32 tx_tail;
	__u32 rx_tail;
	__u32 mask;		/* causes that are to be signalled: bits of IMS */
	__u32 reserved0[13];
	/* the module's */
	__u32 tx_head;		/* descriptors before it are the guest's again */
	__u32 rx_head;		/* descriptors before it have frames */
	__u32 doorbell;		/* RS_NIC_WANT_*: set by the module, cleared by both */
	__u32 stopped;		/* not 0: a ring was found to be wrong; bit 0: transmit, bit 1: receive */
	__u32 reserved1[12];
	/* both: atomic operations only */
	__u32 cause;		/* bits of ICR */
	__u32 reserved2[15];
};

/** struct rs_boot_net - what the first interface of the sandbox is to be (RS_BOOT_NET_NIC); addresses in network byte order */
struct rs_boot_net {
	__u32 address;
	__u32 netmask;
	__u32 gateway;		/* 0: none */
	__u16 mtu;
	__u16 reserved0;
	__u8  mac[6];		/* as in the NIC's EEPROM */
	__u8  reserved1[2];
};

/*
 * Events: what the guest kernel can tell about what it does, when the host process has loaded its second image, which has the same code and hooks
 * around it (userland/guest/events); the first one has none. A ring per vCPU: the guest writes, and when there is no room asks the host process
 * to take what is there (RS_HC_TRACE); if there is none even then, the event is counted in @lost and nothing is overwritten.
 *
 * An event is a struct rs_trace_event and @more slots of 64 bytes behind it (the ring is a circle of slots), by type.
 * A place is where code is, in 64 bits: above 2^63 the address in the guest kernel; bits 48-62 not 0: the number of a file (RS_TRACE_NAME) and in
 * the lower bits the offset in it; else the address in the process, which is no file's.
 */
#define RS_TRACE_FAULT		1	/* a page fault. @cause RS_HOW_*, @addr, @extra: see struct rs_trace_event. More: the places of who called */
#define RS_TRACE_FILL		2	/* memory was made present by a call, without a page fault; likewise */
#define RS_TRACE_TRAP		3	/* another exception of ring 3: @vector, @cause RS_HOW_UPCALL, _SIGNAL or _KILL. More: likewise */
#define RS_TRACE_FORK		4	/* @extra: the new process or thread (its tid); @cause 1: a thread of the same process */
#define RS_TRACE_EXEC		5	/* the process has a new program; @place: file and offset of its first instruction; @extra: number of its name */
#define RS_TRACE_EXIT		6	/* the process has ended; @extra: wait status */
#define RS_TRACE_SWITCH		7	/* the vCPU goes on with another thread: tid in @extra, 0: none; @cause 1: that one is in another process */
#define RS_TRACE_CALL		8	/* a call to the host process begins: @extra its number; @cause 1: by a helper thread */
#define RS_TRACE_CALL_END	9	/* it is back: @extra the result, @addr the number; @cause likewise */
#define RS_TRACE_UPCALL		10	/* an exception was delivered to ring 3: @vector, @addr, @extra: address of the upcall */
#define RS_TRACE_SIGNAL		11	/* a signal was delivered to a handler: @extra the signal, @addr the handler */
#define RS_TRACE_SAMPLE		12	/* the host process has asked where the vCPU is. More: the places of who called */
#define RS_TRACE_NAME		13	/* @extra: number of a file; @addr: length of its name. More: the name */
#define RS_TRACE_TYPES		14

#define RS_TRACE_SLOT		64	/* bytes */
#define RS_TRACE_MORE_MAX	64
#define RS_TRACE_NAMES		0x4000	/* numbers of files are below; 0 is none */

/* How a fault was resolved, and what it was. Several bits may be set. */
#define RS_HOW_ZERO		(1 << 0)	/* a page of zeros was allocated */
#define RS_HOW_COW		(1 << 1)	/* a shared page was copied */
#define RS_HOW_FILE_COPY	(1 << 2)	/* a page of a file was copied that was not mapped before */
#define RS_HOW_TABLE		(1 << 3)	/* shared page tables were copied */
#define RS_HOW_FILE		(1 << 4)	/* pages of a file were mapped */
#define RS_HOW_LAZY		(1 << 5)	/* the shared page of zeros was mapped, for reading */
#define RS_HOW_RIGHTS		(1 << 6)	/* a right was given that the entry did not have; nothing was copied */
#define RS_HOW_SHARED		(1 << 7)	/* a page of shared memory was mapped */
#define RS_HOW_PAGER		(1 << 8)	/* the memory's pager was asked */
#define RS_HOW_UPCALL		(1 << 9)	/* it was delivered to the process */
#define RS_HOW_SIGNAL		(1 << 10)	/* it became a signal that has a handler */
#define RS_HOW_KILL		(1 << 11)	/* it ended the process */
#define RS_HOW_EFAULT		(1 << 12)	/* the guest kernel's access failed, and it goes on without */
#define RS_HOW_KERNEL		(1 << 16)	/* the access was the guest kernel's, for a call */
#define RS_HOW_WRITE		(1 << 17)
#define RS_HOW_EXEC		(1 << 18)

/**
 * struct rs_trace_event - one slot
 * @rip, @place: of the instruction that trapped or called; 0 where there is none
 * @extra: of RS_TRACE_FAULT and _FILL: bits 0-15 pages made present or copied, 16-31 page tables copied, 32-63 why it could not be resolved
 *	   (RS_CAUSE_* of ringside_app.h, and others that only reports know), 0 when it was
 */
struct rs_trace_event {
	__u64 tsc;
	__u8  type;		/* RS_TRACE_* */
	__u8  more;		/* slots that follow */
	__u8  vector;
	__u8  places;		/* callers' places in them */
	__u32 cause;
	__u32 pid, tid;		/* 0: none, the vCPU is idle or starting */
	__u64 addr;
	__u64 rip;
	__u64 place;
	__u64 extra;
	__u64 vcpu;
};

/** struct rs_trace_ring - 4096 bytes, then rs_boot.trace_slots slots */
struct rs_trace_ring {
	/* the guest's */
	__u64 head;		/* slots written since the beginning */
	__u64 lost;		/* events that found no room */
	__u64 reserved0[6];
	/* the host's */
	__u64 tail;		/* slots read since the beginning */
	__u32 sample;		/* not 0: RS_TRACE_SAMPLE is wanted with the next RS_VECTOR_NOTIFY in ring 3; the guest clears it */
	__u32 closed;		/* not 0: nothing will be read any more: RS_HC_TRACE is of no use */
	__u32 reserved1[12];
	__u64 reserved2[496];
};

/** struct rs_boot - one page, written by the host process before the first instruction, except @stats */
struct rs_boot {
	__u64 magic;		/* RS_BOOT_MAGIC */
	__u32 version;		/* RS_BOOT_VERSION */
	__u32 flags;		/* RS_BOOT_* */
	__u32 ncpus;
	__u32 backend;		/* enum rs_backend_id of ringside.h */
	__u64 arena_size;
	__u64 window_gpa;
	__u64 window_size;
	__u64 free_gpa;		/* the arena is unused and zero from here on; multiple of 4096 */
	__u64 shared_gpa;	/* struct rs_vcpu_shared [ncpus] */
	__u64 cr3;		/* boot page table, GPA */
	__u64 cr4;		/* what CR4 has */
	__u64 efer;
	__u64 tsc_khz;		/* 0 when not known */
	__u64 trace_mask[8];	/* bit NR: --trace prints system call NR */
	__u8  random[64];	/* fresh random bytes */
	/* the first process */
	__u64 args_gpa;		/* NUL-terminated strings: path of the program, argv[0..argc-1], envp[0..envc-1] */
	__u64 args_size;
	__u32 argc;
	__u32 envc;
	__u32 pid, ppid, pgid, sid;	/* what the program sees; 1-based, unrelated to the host's */
	__u32 uid, euid, gid, egid;
	__u32 umask;
	__s32 stdio[3];		/* host descriptors of 0, 1, 2; -1 when closed */
	__s32 cwd_fd;		/* host directory descriptor of the working directory */
	__u32 reserved0;
	__u64 stack_limit;	/* RLIMIT_STACK of the program in bytes */
	__u64 hwcap, hwcap2;	/* AT_HWCAP, AT_HWCAP2 */
	__u64 vdso_gpa;		/* host's vDSO pages in the window area, 0 when not offered */
	__u64 vdso_size;
	__u64 vvar_size;	/* data pages directly before vdso_gpa */
	__u64 image_size;	/* of the guest kernel, from RS_KERNEL_GPA */
	__u64 slots_gpa;	/* struct rs_slot [nslots] */
	__u32 nslots;
	__u32 ticking;		/* see RS_CALL_TICK */
	__u32 max_pids;		/* --pids: processes and threads at once */
	__u32 reserved1;
	struct rs_boot_net net;
	__u64 trace_gpa;	/* struct rs_trace_ring and its slots, one after the other for each vCPU; 0: no events are wanted */
	__u64 trace_events;	/* bit N: events of type N are wanted. Names always are */
	__u32 trace_slots;	/* in each ring, a power of two */
	__u32 trace_depth;	/* most places of callers in an event */
	__u64 reserved[23];
	struct rs_guest_stats stats;	/* written by the guest kernel */
};
#endif /* __ASSEMBLY__ */

#endif /* _UAPI_RINGSIDE_GUEST_H */
