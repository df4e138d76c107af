/* SPDX-License-Identifier: MIT */
/*
 * ringside/self.h - a running process takes itself into the ring
 *
 * rs_enter() takes the calling thread of an ordinary Linux process into a guest ring, at the next instruction: with its registers, its
 * stack, its memory at the same addresses. Linux goes on doing everything for it: system calls are executed by Linux with the arguments
 * as they are, memory is what Linux maps, and what is mapped, changed or removed later, by whomever, is followed. rs_leave() takes the
 * thread back, at any depth of calls. Needs /dev/ringside (ENODEV); there is no guest kernel and no confinement: a process that is inside
 * can do what it could outside, no less.
 *
 *	rs_enter(0)			ring 3: the program notices nothing
 *	rs_enter(RS_ENTER_RING0)	ring 0 of a guest of its own: handlers for exceptions without the kernel, its own page tables,
 *					its own ring 3 for code that it does not trust
 *
 * States. Each thread is outside or inside, by itself. The process has one guest ring, made by the first rs_enter() and with that one's
 * ring; it lasts until exec or exit. New threads are outside, or inside with RS_ENTER_THREADS. The child of fork is outside, with one
 * thread, and may enter again: the guest ring is the parent's, it gets one of its own. The same of vfork and clone without
 * CLONE_THREAD. exec ends it.
 *
 * What keeps working inside: system calls, signals and handlers of them, stdio, malloc, pthreads, the vDSO, gdb (attached from outside it
 * shows the program's own stack while the thread is in a system call or stopped there).
 *
 * What does not:
 * - restartable sequences (rseq) are not: what interrupts one inside is not noticed, so it is not atomic. glibc's use of the area (sched_getcpu)
 *   is not concerned;
 * - addresses above 47 bits (mmap with such a hint on CPUs with 5-level paging) are a fault;
 * - memory protection keys: pkey_alloc() inside is ENOSPC, as on a CPU without them, and who uses them already cannot enter;
 * - segments of its own (modify_ldt, set_thread_area), 32-bit code, int $0x80, the vsyscall page;
 * - mlockall() locks the library's memory as well, and fills all of its 256 MiB (with MCL_ONFAULT what is used of them);
 * - hardware breakpoints, ptrace's single step and its view of the registers while the thread is in the ring;
 * - handlers of signals that a thread outside installs while another is inside: they run natively, on a stack of ours, and a jump out of one
 *   takes the thread outside;
 * - reading memory that may only be executed is not refused everywhere;
 * - seccomp filters that refuse ioctl and read of the descriptors of the ring. They have high numbers; inside they cannot be closed, and when all
 *   are closed outside (by a daemon, say) while nobody is inside, the next rs_enter() makes the ring anew.
 *
 * Ring 0. The program's own code runs in ring 0 of the guest, compiled as it is: the red zone, vector registers and thread-local storage
 * are safe, as every exception is taken on a stack of its own and all vector state is kept over a handler. FS and GS belong to the program;
 * SWAPGS is used by nobody. Privileged instructions that concern only the guest work: LIDT, MOV CR3, INVLPG, CLI and STI; those of the
 * machine are #GP (uapi/ringside.h). With RFLAGS.IF clear no signal interrupts ring 0, nor comes when memory is touched;
 * system calls, and exceptions that become signals, are where those that wait are delivered all the same. The literal VMCALL of programs
 * written for Dune is a Linux system call, on every CPU.
 *
 * Page tables. The program runs on the table rs_ring0_root(), whose lower half is Linux's address space in 2 MiB entries, everything
 * present, writable, executable and accessible for ring 3, filled in by chunks of 1 GiB when first touched: what Linux allows is decided
 * below it. Rights of the program's own are put on top (rs_ring0_protect(), or rs_ring0_entry() and its own bits, then rs_ring0_flush()).
 * Its own tables may be loaded by MOV CR3 (without PCID); the upper half (entries 256 to 511 of the root) must be copied from rs_ring0_root() and never
 * changed, and the addresses of rs_ring0_arena() must be mapped: descriptor tables, stacks and the monitor's code are there.
 * Addresses in tables are guest physical, rs_ring0_gpa(). An own interrupt
 * table (LIDT) replaces everything below but system calls; copy the old one (SIDT) and change gates in the copy. A vector that is taken over
 * completely has the stack that its gate says: without one (IST 0) the red zone is lost.
 *
 * Handlers (rs_ring0_handle) run in ring 0 on the thread's trap stack (RS_RING0_STACK bytes), with all registers in the frame, which they may
 * change; when they return, the frame is loaded. They may fault, make system calls, be interrupted by signals, and may leave by longjmp. They
 * must not switch to another stack and come back to one that they left. A page fault comes with the address in frame->addr. An access that Linux
 * refuses (nothing mapped, no right, beyond the end of a file) is one, too: frame->cause is RS_CAUSE_LINUX, and when no handler is there, the
 * signal Linux would send.
 *
 * Results are 0 or more, or -errno; errno itself is not touched. Where a function is for ring 0 only, it answers -EPERM elsewhere (NULL, or
 * what is said there).
 */
#ifndef RINGSIDE_SELF_H
#define RINGSIDE_SELF_H

#include <stddef.h>
#include <stdint.h>
#include <ringside_app.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RS_ENTER_RING0		1u	/* not ring 3 */
#define RS_ENTER_THREADS	2u	/* from now on new threads begin inside; process-wide */

/**
 * rs_enter() - the calling thread goes on inside
 * 0. -EALREADY: it is inside. -EINVAL: unknown flags, or another ring than the process's first rs_enter() has chosen. -ENODEV: no module, or
 * it cannot run here; -EACCES: no permission for it; -EPROTO: it is of another release; -EBUSY: the CPU's virtualisation is in use.
 * -EAGAIN: 64 threads are inside. -ENOMEM, -EMFILE. -EBUSY: a child of vfork, whose memory is the parent's. -EOPNOTSUPP: the thread uses
 * memory protection keys (pkeys(7)). -EBADF: the ring's descriptors have been closed while threads are inside.
 * Vector registers are as after any function call. Not async-signal-safe.
 */
int rs_enter(unsigned int flags);

/** rs_leave() - the calling thread goes on outside. 0; -EINVAL: it is outside. May be called in a handler of ring 0. */
int rs_leave(void);

/** rs_inside() - -1: the calling thread is outside; else the ring: 0 or 3. No system call, no exit. */
int rs_inside(void);

/**
 * struct rs_self_stats - exact counts of the process's guest ring since it was made
 * @calls:	system calls passed on to Linux
 * @chunks:	parts of 1 GiB of the address space that were given out
 * @recycled:	and how many of them had to be taken from another address
 * @faults:	accesses that Linux had to be asked about by doing them
 * @signals:	signals delivered inside
 * @enters, @leaves: of threads
 * @threads_outside: new threads that began outside, as 64 were inside already
 * @exits:	VM exits of all threads: of which @exits_hypercall (system calls, what the library asks its other half), @exits_memory (memory
 *		touched for the first time), @exits_interrupt (of the machine: whenever there is one), @exits_other
 */
struct rs_self_stats {
	uint64_t calls, chunks, recycled, faults, signals;
	uint64_t enters, leaves, threads_outside;
	uint64_t exits, exits_hypercall, exits_memory, exits_interrupt, exits_other;
	uint64_t reserved[3];
};

/** rs_self_stats() - inside and outside. 0; -EINVAL: there is no guest ring. */
int rs_self_stats(struct rs_self_stats *stats);

/* --- ring 0 ----------------------------------------------------------------------------------------------------------------------- */

#define RS_RING0_STACK	(512u << 10)	/* bytes of a thread's trap stack */

/* rs_trap_frame.cause: a page fault (vector 14) by an access that the page tables allow and Linux does not */
#define RS_CAUSE_LINUX	64
/* a page fault by the page tables */
#define RS_CAUSE_TABLES	65
/* written by a handler: not its affair. When it returns, the exception becomes the signal that Linux would send, with the registers of the frame */
#define RS_CAUSE_SIGNAL	66

/**
 * typedef rs_ring0_fn - a handler; what it does to @f is what is loaded when it returns
 * The selectors of @f count only by their ring (cs & 3). rip that is no address is a #GP then.
 */
typedef void (*rs_ring0_fn)(struct rs_trap_frame *f);

/**
 * rs_ring0_handle() - @fn takes the exceptions of @vector (0 to 31), of all threads inside and of both rings; NULL: Linux's signal again.
 * Vector 6: not the literal VMCALL and VMMCALL. Vectors 2, 8, 18: -EINVAL. May be called at any time, outside as well, before the
 * first rs_enter() too.
 */
int rs_ring0_handle(unsigned int vector, rs_ring0_fn fn);

/**
 * rs_ring0_syscalls() - @fn takes the system calls of ring 3, with the result in f->rax; NULL: Linux does, as with RS_CAUSE_SIGNAL in f->cause
 * Linux then means ring 3: its bases by arch_prctl(), and those of a child or thread that it makes, which goes on where ring 3 was.
 * A frame of a call has vector 256 and rip behind the SYSCALL. VMCALL of ring 3 is #UD.
 */
int rs_ring0_syscalls(rs_ring0_fn fn);

/**
 * rs_ring0_user() - load all of @f and run it in ring 3 until rs_ring0_user_exit(); the value of that
 * May be nested (from handlers). Exceptions and system calls of ring 3 go to the handlers above. Nothing that ring 3 does to its registers
 * matters to ring 0: handlers, also those of signals that interrupt ring 3, run on a stack of ring 0 (the trap stack) with ring 0's FS and GS.
 */
int rs_ring0_user(struct rs_trap_frame *f);
/*
 * In the ucontext of a signal's handler, uc_mcontext.__reserved1[7]: what was interrupted is ring 3 of a program in ring 0. The handler may end
 * that by rs_ring0_user_exit(), as by longjmp.
 */
#define RS_UC_RING3	0x52535553455233ull

/**
 * rs_ring0_user_bases() - FS and GS base of this thread's ring 3, from the next time it runs; @old_bases (or NULL) gets what they were
 * @new_bases: or NULL: just tell. At first they are those of ring 0 when it entered, or when the thread began inside. 0; -EINVAL: no addresses of a program
 */
int rs_ring0_user_bases(const uint64_t new_bases[2], uint64_t old_bases[2]);
/** rs_ring0_user_exit() - in a handler: the innermost rs_ring0_user() of this thread returns @value. Outside of one: the process dies with words. */
void rs_ring0_user_exit(int value) __attribute__((noreturn));
/** rs_ring0_resume() - all registers from @f, the ring by its cs */
void rs_ring0_resume(const struct rs_trap_frame *f) __attribute__((noreturn));

/**
 * rs_ring0_linux() - Linux executes the system call that @f is at: number in rax, arguments as usual; the result, also in f->rax
 * Ring 0 makes it: what arch_prctl() tells or changes, and what a child begins with, is ring 0's. The call as ring 3's: RS_CAUSE_SIGNAL.
 */
long rs_ring0_linux(struct rs_trap_frame *f);

/** rs_ring0_root() - the page table of the process's guest ring, 512 entries. May be called before rs_enter(): NULL as there is none. */
uint64_t *rs_ring0_root(void);
/**
 * rs_ring0_gpa() - where @va is in guest physical memory (whether mapped by Linux or not); ~0: no address of a program, or none free
 * Addresses below 64 GiB are where they are. What was answered stays true: that GiB is never taken for another address, and in a child of
 * fork that has entered it is at the same place.
 */
uint64_t rs_ring0_gpa(const void *va);
/** rs_ring0_va() - the address in the lower half for a guest physical one; NULL: nothing is there */
void *rs_ring0_va(uint64_t gpa);

/**
 * rs_ring0_arena() - where the library's own memory is, that of handlers' stacks and of tables: [@start, @start + @len)
 * Roots of the program's own must map it as rs_ring0_root() does, for ring 0, at the time they are loaded. 0; -EINVAL: there is no guest ring
 */
int rs_ring0_arena(void **start, size_t *len);

/** rs_ring0_table_alloc() - a page of zeros for page tables, NULL: none left. rs_ring0_table_free() takes it back, rs_ring0_root()'s tables not */
uint64_t *rs_ring0_table_alloc(void);
void rs_ring0_table_free(uint64_t *table);

/**
 * rs_ring0_entry() - the entry that maps @va in the tables under @root
 * @create: with one for 4 KiB: 2 MiB entries are split (rights kept), missing tables are made
 * NULL: none there; with @create: no memory. Without @create it may be of any size (bit 7 of levels 2 and 3). Threads that change the same
 * tables at once must agree among themselves.
 */
uint64_t *rs_ring0_entry(uint64_t *root, const void *va, int create);

/** rs_ring0_flush() - what was changed in page tables for [@va, @va + @len) is what all threads inside see when it returns 0. @len ~0: everything */
int rs_ring0_flush(const void *va, size_t len);

/* Rights of rs_ring0_protect(), on top of RS_PAGE_NONE, RS_PAGE_READ, RS_PAGE_WRITE of ringside_app.h */
#define RS_PAGE_EXEC	0x1000
#define RS_PAGE_USER	0x2000	/* ring 3 has these rights, too */

/**
 * rs_ring0_protect() - what the program's own table rs_ring0_root() allows for [@addr, @addr + @len), on top of what Linux allows
 * Whole pages. -EINVAL; -ENOMEM: no memory for tables, nothing has changed.
 */
int rs_ring0_protect(void *addr, size_t len, unsigned int rights);

#ifdef __cplusplus
}
#endif

#endif /* RINGSIDE_SELF_H */
