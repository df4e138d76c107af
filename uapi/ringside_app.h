/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * ringside_app.h - what the guest kernel offers to programs beyond Linux's system calls
 *
 * Programs reach it with the SYSCALL instruction and numbers that Linux does not use. Results are as of a Linux call: 0 or more, or -errno.
 * Outside the ring the kernel answers ENOSYS. Without a call a program knows by its auxiliary vector (AT_RINGSIDE). <ringside/app.h> has
 * functions for all this.
 *
 * Traps. What the guest kernel resolves by itself (a page that is touched for the first time, a copy after fork) no program sees. Any other
 * exception becomes a signal, unless its vector is one of those the process takes itself (RS_SYS_UPCALL) and the thread has a stack for
 * traps (RS_SYS_UPCALL_STACK): then the guest kernel writes a struct rs_trap_frame to that stack and the thread goes on at the process's
 * upcall, with rsp at the frame and all other registers as they were, rflags without DF, TF, RF and AC. Returning takes no call: either the
 * registers from the frame, then IRETQ with rsp at its @rip; or by the word below the interrupted stack's red zone, at @rsp - 136, which is
 * never part of the frame: @rip is written there, registers and flags are loaded, and RET $128 is executed with rsp at that word. The thread's vector and x87
 * registers are not touched by any of this: an upcall that uses them saves them.
 *
 * Where the frame goes: below the stack's top; below the interrupted rsp and its red zone when that is on the trap stack already, which is
 * how traps nest; and below what was in use there when a signal handler on another stack is interrupted. The process dies, with a report
 * that says which, when the frame and @room bytes below it do not fit, when the stack is not writable memory of the process, and when the
 * upcall lies outside its memory or traps at its first instruction.
 *
 * A call that finds an address it may not use answers EFAULT as ever; that is no trap. Signals arrive as ever, also during an upcall; their
 * frames go to the stack that was interrupted, or the alternate one.
 *
 * fork: the child has the upcall and its thread the trap stack, at the same addresses. vfork (CLONE_VM and CLONE_VFORK): the same, and what
 * is in use of the stack stays. Other clones (threads): the upcall, and no trap stack. exec: neither.
 */
#ifndef _UAPI_RINGSIDE_APP_H
#define _UAPI_RINGSIDE_APP_H

#ifndef __ASSEMBLER__
#include <linux/types.h>
#endif

/* Type of the auxiliary vector's entry: RS_APP_ABI in the upper half of its value, features (RS_APP_*) in the lower. */
#define AT_RINGSIDE		0x5253
#define RS_APP_ABI		1
#define RS_APP_UPCALL		(1u << 0)	/* RS_SYS_UPCALL and the two that follow */
#define RS_APP_PAGES		(1u << 1)	/* RS_SYS_PROTECT and the two that follow */
#define RS_APP_PAGE_TABLES	(1u << 2)	/* the process reads its page tables: RS_PT_BASE */
#define RS_APP_ALARM		(1u << 3)	/* RS_SYS_ALARM */
#define RS_APP_PROCESSES	(1u << 4)	/* RS_SYS_EXOFORK and the three that follow; RS_PAGE_CALLS and on; RS_OP_REPLACE */
#define RS_APP_IPC		(1u << 5)	/* ports and pagers: RS_SYS_PORT and the six that follow */

#define RS_SYS_BASE		0x52530000

/*
 * long RS_SYS_BENCH(op, iterations): runs @op @iterations times in the guest kernel and returns the time-stamp counter's advance over
 * the loop. Only in a ring that was started for measuring (ENOSYS otherwise). EINVAL: op unknown, iterations 0 or above 10,000,000.
 */
#define RS_SYS_BENCH		(RS_SYS_BASE + 0)
#define RS_BENCH_EMPTY		0	/* the loop alone, to subtract */
#define RS_BENCH_HYPERCALL_NULL	1	/* RS_HC_NULL */
#define RS_BENCH_PAGE_ALLOC	2	/* allocate one page and free it */
#define RS_BENCH_CRASH		3	/* the guest kernel makes a mistake: this guest ends, with a report. EPERM without --debug */

/* long RS_SYS_EXITS(void): VM exits of this vCPU so far, without external interrupts and NMIs, this call's own included. EPERM as above. */
#define RS_SYS_EXITS		(RS_SYS_BASE + 1)

/*
 * long RS_SYS_INJECT(n): from now on the guest kernel counts its memory allocations for the calling process and for processes it has
 * forked that have not executed a program yet; the @n-th of them fails, once. 0 ends that (another process's, too: there is one count at a
 * time). Returns how many allocations were counted since the call before, so a loop over n = 1, 2, 3, ... is done when the answer to the
 * ending call is below n. What the kernel keeps for the next fork is given back first, so that every place that allocates does so.
 * ENOSYS without --debug.
 */
#define RS_SYS_INJECT		(RS_SYS_BASE + 2)

/*
 * long RS_SYS_UPCALL(entry, vectors, room): the process takes the exceptions of the set @vectors
 * (bit N: vector N) at @entry, from now on and in all threads that have a trap stack; an empty set
 * ends that. @room: bytes the upcall needs below a frame, to be there whenever one is made.
 * EINVAL: a vector that is not one of RS_UPCALL_VECTORS and RS_UPCALL_ALARM, @room above
 * RS_UPCALL_ROOM_MAX. @entry is not looked at before a trap.
 */
#define RS_SYS_UPCALL		(RS_SYS_BASE + 16)
/* #DE #DB #BP #OF #BR #UD #NP #SS #GP #PF #MF #AC #XM */
#define RS_UPCALL_VECTORS	0x000b787bu
/* may be one of them, too: RS_SYS_ALARM */
#define RS_UPCALL_ALARM		(1ul << RS_VECTOR_ALARM)
#define RS_UPCALL_ROOM_MAX	(1u << 20)

/*
 * long RS_SYS_UPCALL_STACK(base, size): [base, base + size) is the calling thread's stack for traps, and nothing on it is in use unless the
 * thread is on it; size 0: it has none. EINVAL: it wraps, or @size is not 0 and below RS_UPCALL_STACK_MIN. It is not looked at before a trap.
 */
#define RS_SYS_UPCALL_STACK	(RS_SYS_BASE + 17)
#define RS_UPCALL_STACK_MIN	1024

/*
 * long RS_SYS_TRAP_SIGNAL(frame): the upcall does not want this trap: the thread gets the registers of @frame, and the signal that the
 * exception means without an upcall: its handler, or the end of the process. Comes back only with EFAULT, or EINVAL when @frame is not of a
 * trap.
 */
#define RS_SYS_TRAP_SIGNAL	(RS_SYS_BASE + 18)

/*
 * long RS_SYS_ALARM(microseconds, flags): from now on, each time the calling thread has used that
 * much CPU time (CLOCK_THREAD_CPUTIME_ID), it goes on at the process's upcall as if by a trap
 * between two instructions: @vector RS_VECTOR_ALARM, @cause RS_CAUSE_ALARM, @addr and @error 0. 0
 * microseconds end that. The interval it was (0: none). Less than RS_ALARM_US_MIN counts as that.
 * EINVAL: more than RS_ALARM_US_MAX, @flags not 0; the process does not take RS_UPCALL_ALARM, or
 * the thread has no trap stack (one that is due when that is so later is lost); ENOMEM.
 *
 * While something on the trap stack is in use (an upcall, of an alarm or of a trap) no alarm
 * comes; it comes when that is over, or a millisecond of CPU time later. The next is due an
 * interval after the last has come: none ever waits behind another. A call is not interrupted: the
 * alarm comes when it is done. There is no way back other than that of traps: no call says that
 * the handler is done. Stacks and upcalls that are of no use end the process as with a trap.
 * Children and new threads have no alarm; exec ends it.
 */
#define RS_SYS_ALARM		(RS_SYS_BASE + 20)
#define RS_VECTOR_ALARM		32
#define RS_ALARM_US_MIN		1000
#define RS_ALARM_US_MAX		(1ul << 40)

/*
 * Pages. A mapping has rights (mmap, mprotect); each page of it has these, or fewer: what RS_SYS_PROTECT has taken from it. An access that
 * only this forbids is as any other that is not allowed: a trap or SIGSEGV, EFAULT from a call. What is taken stays with the page until it
 * is given back: mprotect changes the mapping alone, mremap moves it along, a child of fork has it, and unmapping or dropping the page
 * (MADV_DONTNEED) ends it. So nothing here gives more than mmap and mprotect do, writable and executable memory included.
 */

/*
 * long RS_SYS_PROTECT(addr, len, rights): the pages of [addr, addr + len) have RS_PAGE_NONE, RS_PAGE_READ (and to execute where the mapping
 * allows it), or RS_PAGE_WRITE: all rights of the mapping; with any of the words below. EINVAL: not whole pages, none, other rights; ENOMEM:
 * not mapped throughout, or no memory; EACCES: a right that the mapping does not have; EPERM: the vDSO.
 */
#define RS_SYS_PROTECT		(RS_SYS_BASE + 24)
#define RS_PAGE_NONE		0
#define RS_PAGE_READ		1
#define RS_PAGE_WRITE		3
/*
 * Marks, for the program's own use: the page's entry has these (RS_PTE_MARK), and not the others. They mean nothing to the guest kernel and
 * stay with the page as what was taken from it does, also when the guest kernel copies it; an untouched page gets an entry for them.
 */
#define RS_PAGE_MARK(n)		(0x100ul << (n))	/* n: 0 to 3 */
/*
 * Goes with RS_PAGE_READ. A write by a call for the process is no error: the page has all rights of its mapping again, and no marks, as if
 * the program had given them back before the call. (Memory that fork shares is copied by then.) EINVAL: with other rights
 */
#define RS_PAGE_CALLS		0x10
#define RS_PAGE_TOUCHED		0x20	/* only those pages of the range that have been touched; the others stay as they are */

/*
 * long RS_SYS_PAGES(ops, n): does the @n operations struct rs_page_op at @ops in order, up to the first that fails; how many have been
 * done. The result of each that was tried is written to it. EINVAL: n above RS_PAGE_OPS_MAX; EFAULT: when nothing has been done yet.
 */
#define RS_SYS_PAGES		(RS_SYS_BASE + 25)
#define RS_PAGE_OPS_MAX		4096

#define RS_OP_PROTECT		1	/* RS_SYS_PROTECT(addr, len, arg) */
#define RS_OP_MAP		2	/* new memory at @to (0: anywhere), zero; @arg: PROT_*, RS_PAGES_*. EEXIST: something is there */
#define RS_OP_UNMAP		3	/* as munmap(addr, len) */
/*
 * The memory at @addr, which must be of one mapping that is shared (RS_PAGES_SHARED, mmap's MAP_SHARED), at @to (0: anywhere) as well, with the
 * rights @arg (PROT_*) there. EINVAL: it is not shared; EEXIST: something is at @to; EACCES: a file that may not be written, or to execute
 * what may be written (--allow-wx).
 */
#define RS_OP_MAP2		4
/*
 * The pages of [addr, addr + len) take the place of those at @to, in one step for each page and whatever is there, and are gone from @addr,
 * which is as untouched memory then; they have the rights and marks @arg there (as RS_SYS_PROTECT; not RS_PAGE_TOUCHED). Both sides are
 * private memory that may be written. EINVAL: the ranges overlap, shared memory; ENOMEM: not mapped throughout, or no memory: some pages
 * may have moved; EACCES: memory that may not be written by its mapping, or @addr has been closed (RS_SYS_PROTECT) before it was touched;
 * EAGAIN: RS_PAGE_CLOSED, some may have moved.
 */
#define RS_OP_REPLACE		5
#define RS_PAGE_CLOSED		0x40	/* RS_OP_REPLACE, in @arg: only in the place of pages that may not be written as RS_SYS_PROTECT says */
/*
 * RS_SYS_CHILD_PAGES only: what the caller has at [addr, addr + len), the child has at @to, where it has nothing yet: the same mappings, and
 * the same pages, copied when one side writes (the guest kernel sees to that), or shared if the mapping is. Rights taken and marks go with
 * them; of MADV_WIPEONFORK the child has the mapping alone. @arg is 0. ENOMEM: not mapped throughout, the child's RLIMIT_AS, or no memory;
 * EEXIST; EPERM: the vDSO at another address; EBUSY: a call of another thread is writing there. Then the child has nothing of it.
 */
#define RS_OP_GIVE		6
#define RS_PAGES_SHARED		0x100	/* RS_OP_MAP: can be mapped twice, and is shared with children */
#define RS_PAGES_NOW		0x200	/* RS_OP_MAP: the pages are there at once */

/*
 * long RS_SYS_DIRTY(addr, len, bitmap, flags): writes a bit for each page of [addr, addr + len) to @bitmap (whole 64-bit words, the first
 * page in bit 0 of the first): it has been written since it was there or since RS_DIRTY_CLEAR took the bit. How many there are. A page that is
 * unmapped or dropped loses its bit. Below tables that fork has shared, the bits are those from before the fork, and accessed bits are set by
 * whoever shares them. EINVAL: not whole pages, none, unknown flags; EFAULT; ENOMEM: nothing has been cleared then. Memory that is not
 * mapped is not dirty. Memory that a call of another thread is being given by Linux at the moment (read()) is dirty again at once.
 */
#define RS_SYS_DIRTY		(RS_SYS_BASE + 26)
#define RS_DIRTY_CLEAR		(1u << 0)
#define RS_DIRTY_ACCESSED	(1u << 1)	/* accessed, not dirty bits */

/*
 * Children made by hand. An unstarted child is a process with a number, descriptors, credentials, directory and signal state as after fork,
 * upcall and trap stack included, and without any memory; it does not run, and nobody can wait for it. Only its maker (the process, any of
 * its threads) can do something about its memory, and only until it is started: from then on it is a child as any other, and its memory its
 * own affair. Signals that it gets before stay pending; SIGKILL ends it once it is started. Who ends or executes a program takes its
 * unstarted children along. To let others run is sched_yield.
 *
 * long RS_SYS_EXOFORK(flags): makes one, with the caller's registers: its number, and 0 in the child when that has been started. EAGAIN,
 * ENOMEM: as fork; EINVAL: unknown flags; EBUSY: RS_EXOFORK_ALONE.
 */
#define RS_SYS_EXOFORK		(RS_SYS_BASE + 32)
#define RS_EXOFORK_ALONE	(1u << 0)	/* not when the process has other threads, or shares its memory (vfork) */
#define RS_EXOFORK_TID		(1u << 1)	/* set_tid_address goes for the child as well: its number is written there before it starts */

/*
 * long RS_SYS_CHILD_STATUS(pid, status): @pid is an unstarted child of the caller's. ESRCH: it is not; EINVAL; ENOMEM: RS_EXOFORK_TID; then
 * nothing has changed.
 */
#define RS_SYS_CHILD_STATUS	(RS_SYS_BASE + 33)
#define RS_CHILD_RUN		1	/* it runs, and the caller has no rights over it any more */
#define RS_CHILD_GONE		2	/* it has never been: no signal, nothing to wait for */

/*
 * long RS_SYS_CHILD_PAGES(pid, ops, n): RS_SYS_PAGES on the memory of an unstarted child. @addr and @to are the child's; but of RS_OP_REPLACE
 * and RS_OP_GIVE, @addr is the caller's. Limits, rights and errors are those of the same operation on own memory, RLIMIT_* as inherited,
 * no memory that is writable and executable. ESRCH: as above.
 */
#define RS_SYS_CHILD_PAGES	(RS_SYS_BASE + 34)

/*
 * long RS_SYS_MAPPINGS(addr, maps, n): the caller's own mappings in order, as struct rs_mapping, the first being that which holds @addr or
 * the next above: how many were written, at most @n. EFAULT; EINVAL: @n above RS_MAPPINGS_MAX.
 */
#define RS_SYS_MAPPINGS		(RS_SYS_BASE + 35)
#define RS_MAPPINGS_MAX		4096
#define RS_MAPPING_SHARED	(1u << 0)
#define RS_MAPPING_FILE		(1u << 1)
#define RS_MAPPING_GROWS	(1u << 2)	/* downwards: a stack */
#define RS_MAPPING_BRK		(1u << 3)
#define RS_MAPPING_FIXED	(1u << 4)	/* the vDSO and its data: cannot be changed */
#define RS_MAPPING_NOT_FORKED	(1u << 5)	/* MADV_DONTFORK */
#define RS_MAPPING_WIPED	(1u << 6)	/* MADV_WIPEONFORK */

/*
 * The process's own page tables, for it to read (RS_APP_PAGE_TABLES). The entry of level 4 for an address is always there, that of the next
 * lower level is when its entry is present and, from level 3 on, not large; otherwise reading it is a fault. Entries are the CPU's, bits 9 to
 * 11 and 56 to 58 the guest kernel's, 52 to 55 the program's marks. An access needs its right in the entries of all levels: fork shares tables
 * and takes the write bit at the top. Other threads may change any of it at any time. These addresses are no arguments for calls (EFAULT).
 */
#define RS_PT_BASE		0xfffff80000000000
#define RS_PT_INDEX(va, level)	(((__u64)(va) & 0xffffffffffff) >> (9 * (level) + 3) << 3)
/* Where the entry of level 1 (4 KiB) to 4 is, a __u64; to be read once, as others change it */
#define RS_PT_ENTRY(va, level)	(RS_PT_TABLES(level) + RS_PT_INDEX(va, level))
/* 496 in each of the upper @level groups of 9 bits */
#define RS_PT_TABLES(level) \
	((level) == 1 ? 0xfffff80000000000ul : (level) == 2 ? 0xfffff87c00000000ul : (level) == 3 ? 0xfffff87c3e000000ul : 0xfffff87c3e1f0000ul)
#define RS_PTE_P		(1ul << 0)
#define RS_PTE_W		(1ul << 1)
#define RS_PTE_U		(1ul << 2)
#define RS_PTE_A		(1ul << 5)
#define RS_PTE_D		(1ul << 6)
#define RS_PTE_LARGE		(1ul << 7)	/* level 2 and 3: a page, not a table */
#define RS_PTE_NO_WRITE		(1ul << 10)	/* RS_SYS_PROTECT has taken it */
#define RS_PTE_NO_ACCESS	(1ul << 11)
#define RS_PTE_MARK(n)		(1ul << (52 + (n)))	/* n: 0 to 3, as RS_PAGE_MARK */
#define RS_PTE_ADDR		0x000ffffffffff000ul
#define RS_PTE_NX		(1ul << 63)

/*
 * Messages between processes. A port is where messages arrive. A process names it by a handle, a
 * small number that means something in this process alone and says what may be done: nobody reaches
 * a port without a handle, and a handle comes from RS_SYS_PORT, from a fork (the child has the
 * parent's), or with a message. exec keeps handles but those with RS_HANDLE_CLOEXEC. Threads share
 * those of their process.
 *
 * Nothing is buffered. A message is handed over when one side waits and the other comes: 4 words in
 * registers, and, with struct rs_ipc, pages and a handle. A call waits for the message to be taken,
 * then for its answer. Who takes a call gets a number, which any thread of its process can answer
 * once.
 *
 * Ends. When no handle with RS_RIGHT_RECEIVE is left, whoever waits at the port gets EPIPE, and so
 * does each later message. A caller whose message was taken gets EPIPE when the process that took
 * it ends, or executes a program. Who receives gets EPIPE when nobody is left who could send: no
 * handle with RS_RIGHT_SEND, no pager's range. An answer to a caller that is not there any more
 * (ended, timed out, interrupted) is ESRCH.
 *
 * Signals. A handler that runs while the thread waits ends the wait with EINTR, whatever SA_RESTART
 * says; without one (stop and continue, say) the wait goes on. A call that is ended by a signal or
 * its time limit may have been taken: rdi is 1 then, otherwise 0.
 *
 * Time limits are RS_IPC_FOREVER, nanoseconds from now, or RS_IPC_ABSOLUTE and nanoseconds of
 * CLOCK_MONOTONIC; ETIMEDOUT. 0: does not wait for the other side to come: EAGAIN. (A call that is
 * taken at once waits for its answer then, without limit.)
 *
 * Errors of all: EBADF: no such handle; EACCES: the handle does not have the right; ENOMEM.
 */
#define RS_IPC_WORDS		4
#define RS_IPC_FOREVER		(~0ul)
#define RS_IPC_ABSOLUTE		(1ul << 63)

#define RS_RIGHT_SEND		(1u << 0)
#define RS_RIGHT_RECEIVE	(1u << 1)
#define RS_RIGHT_GRANT		(1u << 2)	/* the handle may go along with messages */
#define RS_HANDLE_CLOEXEC	(1u << 8)	/* not a right: the handle is closed by exec */

/*
 * long RS_SYS_PORT(flags): a new port; its handle, with all rights. Handles are above 0. @flags: 0
 * or RS_HANDLE_CLOEXEC. EMFILE: the process has RS_HANDLES_MAX; ENFILE: there are RS_PORTS_MAX
 * ports; EINVAL.
 */
#define RS_SYS_PORT		(RS_SYS_BASE + 48)
#define RS_HANDLES_MAX		1024
#define RS_PORTS_MAX		8192

/*
 * long RS_SYS_HANDLE(op, handle, arg, badge): EINVAL: unknown @op or bits of @arg, @arg or @badge
 * where it must be 0.
 * RS_HANDLE_CLOSE: 0.
 * RS_HANDLE_INFO:  its rights and flags.
 * RS_HANDLE_FLAGS: sets its flags to @arg.
 * RS_HANDLE_COPY:  a new handle for the same port with the rights and flags @arg. EACCES: more
 *   rights than @handle has. Not 0, @badge is what receivers are told with messages sent by the new
 *   handle and its copies, to know their senders by. Only who may receive gives one, to a handle
 *   without RS_RIGHT_RECEIVE, and for good: EACCES otherwise.
 */
#define RS_SYS_HANDLE		(RS_SYS_BASE + 49)
#define RS_HANDLE_CLOSE		1
#define RS_HANDLE_INFO		2
#define RS_HANDLE_FLAGS		3
#define RS_HANDLE_COPY		4

/*
 * Messages in registers. Words are rsi, rdx, r10 and r8, in this order, in both directions; rdi, r9
 * and these have other contents afterwards, also when it was an error.
 *
 * long RS_SYS_IPC_CALL(handle, word 0 .. 3, limit): sends the words and waits for the answer, which
 *   is in the words: 0.
 * long RS_SYS_IPC_SEND(handle, word 0 .. 3, limit): sends the words: 0 as soon as they are taken.
 * long RS_SYS_IPC_REPLY_WAIT(handle, word 0 .. 3, reply): answers the call @reply with the words
 *   (0: nobody), then waits for a message at @handle (0: does not wait): RS_IPC_*, with the badge in
 *   rdi and, for RS_IPC_CALL and RS_IPC_FAULT, the number to answer by in r9, otherwise 0. An
 *   answer that finds nobody is dropped, ESRCH when @handle is 0.
 *
 * Pages and handles that a message carries are for struct rs_ipc. Whoever waits without it cannot
 * take them; the other side gets EMSGSIZE.
 */
#define RS_SYS_IPC_CALL		(RS_SYS_BASE + 50)
#define RS_SYS_IPC_SEND		(RS_SYS_BASE + 51)
#define RS_SYS_IPC_REPLY_WAIT	(RS_SYS_BASE + 52)
/* what has come */
#define RS_IPC_CALL		(1u << 0)	/* the sender waits for an answer */
#define RS_IPC_FAULT		(1u << 1)	/* so does the thread that has touched a pager's range */
#define RS_IPC_PAGES		(1u << 2)	/* pages are in the window */
#define RS_IPC_HANDLE		(1u << 3)	/* there is a new handle */

/*
 * long RS_SYS_IPC(op, ipc): the same with a struct rs_ipc, which has the words, and what goes along
 * and may come. @op is one of the three numbers above. A call's result is RS_IPC_PAGES and
 * RS_IPC_HANDLE, if such has come with the answer.
 *
 * Pages: [addr, addr + len), at most RS_IPC_PAGES_MAX of them. They appear at the other side's
 * @window and nowhere else; what was there is gone. Private memory is copied, when one of both
 * writes; memory that is mapped shared is shared with the receiver from then on, whose mapping it
 * becomes. @rights is RS_PAGE_READ or RS_PAGE_WRITE. The pages are never executable. RS_PAGE_READ
 * of private memory means as if the receiver had taken the right by RS_SYS_PROTECT; of shared
 * memory, that no mapping made from it can be written. With RS_PAGES_MOVE the pages leave the
 * sender, which has untouched memory there afterwards; pages that nobody else has are not copied.
 *   EFAULT: not all mapped and readable; EACCES: RS_PAGE_WRITE of memory that the sender may not
 *   write; EINVAL: private memory and shared, or shared memory of more than one mapping;
 *   RS_PAGES_MOVE of shared memory; EMSGSIZE: the other side's window is too small, or not where a
 *   mapping may be.
 * After an error of a message with pages the window's contents are undefined.
 *
 * A handle: @handle (0: none) with @handle_rights of its rights. It stays the sender's, too. The
 * receiver says by RS_IPC_HANDLE in @flags that it takes one. EBADF; EACCES: no RS_RIGHT_GRANT, or
 * more rights than it has; EMFILE: the receiver has no room; EMSGSIZE: it does not take any.
 *
 * A message that fails by one of these is as if it had not been sent, and the receiver waits on; an
 * answer that fails can be given again. EINVAL: @addr, @len, @window, @window_len not whole pages
 * or no addresses, unknown bits. EFAULT: @ipc cannot be read, or not written: then what has come is
 * lost.
 */
#define RS_SYS_IPC		(RS_SYS_BASE + 53)
#define RS_IPC_PAGES_MAX	512
#define RS_PAGES_MOVE		0x400		/* in rs_ipc.rights */

/*
 * long RS_SYS_PAGER(addr, len, handle, limit): from now on the port's receiver provides the pages
 * of [addr, addr + len), private anonymous memory: a page that is not there and is touched becomes
 * a message with RS_IPC_FAULT there. Word 0 is its address, word 1 the access (RS_PAGER_*), word 2
 * its distance from @addr, which stays when mremap moves the range. The thread waits for the
 * answer: one by RS_SYS_IPC with pages. The first is for that address, the others for those that
 * follow and are not there either. Rights as above; what the mapping does not allow they do not
 * give. Shared memory is copied. An answer without pages is a refusal. The access then fails:
 * SIGBUS, or for a process that takes page faults itself a trap with one of RS_CAUSE_PAGER_*. So it
 * does when nobody can receive at the port any more, and when @limit (per page) is over. A signal
 * that comes meanwhile is handled; then the page is asked for again, and the old request cannot be
 * answered any more (ESRCH). Pages that are dropped (MADV_DONTNEED) are asked for again. A child of
 * fork has the pager, too; mremap does not enlarge the range, munmap ends it. A system call that is
 * given a page that is not there answers
 * EFAULT: touch it before. @handle 0: missing pages are zero again, as without a pager.
 * EINVAL: not whole pages, none, or memory of another kind; ENOMEM: not mapped throughout; EACCES:
 * @handle cannot send.
 */
#define RS_SYS_PAGER		(RS_SYS_BASE + 54)
#define RS_PAGER_READ		0
#define RS_PAGER_WRITE		1
#define RS_PAGER_EXEC		2

/* rs_trap_frame.cause of a page fault; other exceptions have RS_CAUSE_EXCEPTION */
#define RS_CAUSE_UNMAPPED	1	/* nothing is mapped there */
#define RS_CAUSE_NO_ADDRESS	2	/* no process has anything there: not canonical, or the kernel's */
#define RS_CAUSE_GUARD		3	/* memory that may not be accessed, and looks like the guard below a stack */
#define RS_CAUSE_STACK_LIMIT	4	/* the stack may not grow so far */
#define RS_CAUSE_READ		5	/* memory that may not be accessed */
#define RS_CAUSE_WRITE		6	/* memory that may not be written */
#define RS_CAUSE_EXEC		7	/* memory that may not be executed */
#define RS_CAUSE_BEYOND_FILE	9	/* a mapped file beyond its end */
#define RS_CAUSE_EXCEPTION	10
#define RS_CAUSE_PAGER_ENDED	16	/* nobody can provide the page any more */
#define RS_CAUSE_PAGER_REFUSED	17	/* the pager has answered without a page */
#define RS_CAUSE_PAGER_LIMIT	18	/* it has not answered in time */
#define RS_CAUSE_ALARM		32	/* RS_SYS_ALARM: nothing has happened but time */

#ifndef __ASSEMBLER__
/**
 * struct rs_page_op - one of RS_SYS_PAGES or RS_SYS_CHILD_PAGES
 * @op:     RS_OP_*
 * @result: 0, or -errno
 * @to:     RS_OP_MAP, RS_OP_MAP2: where the mapping is, afterwards; RS_OP_REPLACE, RS_OP_GIVE: see there; 0 for the others
 */
struct rs_page_op {
	__u32 op;
	__s32 result;
	__u64 addr, len, arg, to;
};

/**
 * struct rs_ipc - of RS_SYS_IPC; what is in the first part is written when the call succeeds, the
 * second is only read
 * @word:   the message, in both directions
 * @reply:  RS_SYS_IPC_REPLY_WAIT: whom to answer, or 0; then whom to answer next, or 0
 * @badge:  of the handle the message was sent by
 * @got:    RS_IPC_*, what has come; the result of the call, too
 * @got_len: bytes of pages that are in the window, with @got_rights (RS_PAGE_*)
 * @got_handle: a new handle, with @got_handle_rights
 *
 * @port:   the handle to send by, or to receive with (0: answer only)
 * @limit:  of the wait, see RS_IPC_FOREVER
 * @addr:   pages that go along, @len bytes of them (0: none), with @rights (RS_PAGE_*,
 * RS_PAGES_MOVE)
 * @window: where pages may come, @window_len bytes (0: none may)
 * @handle: goes along (0: none), with @handle_rights
 * @flags:  RS_IPC_HANDLE: takes a handle; 0
 */
struct rs_ipc {
	__u64 word[RS_IPC_WORDS];
	__u64 reply, badge, got_len;
	__u32 got, got_rights, got_handle, got_handle_rights;

	__u64 limit;
	__u64 addr, len;
	__u64 window, window_len;
	__u32 port, flags;
	__u32 rights, handle, handle_rights, zero;
};

/**
 * struct rs_mapping - [start, end), all alike
 * @rights: PROT_*
 * @flags:  RS_MAPPING_*
 */
struct rs_mapping {
	__u64 start, end;
	__u32 rights, flags;
};

/**
 * struct rs_trap_frame - what the upcall finds at rsp, aligned to 64; from @rip on what IRETQ takes
 * @addr:   the address accessed of a page fault (0 where the CPU does not tell); otherwise rip, or 0
 * @cause:  RS_CAUSE_*
 * @vector: 0 to 31, or RS_VECTOR_ALARM
 * @error:  the CPU's error code, 0 for vectors without one
 */
struct rs_trap_frame {
	__u64 addr, cause;
	__u64 r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8;
	__u64 rax, rcx, rdx, rsi, rdi;
	__u64 vector, error;
	__u64 rip, cs, rflags, rsp, ss;
};
#endif

#endif /* _UAPI_RINGSIDE_APP_H */
