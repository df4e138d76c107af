/* SPDX-License-Identifier: MIT */
/*
 * self.h - self-entry, inside
 *
 * Parties. The program; the monitor (monitor.S), our code in ring 0 in the upper half; the loop (loop.c), native code on a stack of its own, of the
 * thread that runs RS_RUN. A thread that is inside runs the loop all the time; what the program did is in v->frame whenever the vCPU
 * stands in a hypercall, which is the only time anybody may read or change its registers.
 *
 *	enter.c		making the VM and the arena; rs_enter()			may use libc
 *	vcpus.c		vCPUs and who has them					no libc, no vector registers, no TLS
 *	loop.c		the loop, system calls					same
 *	memory.c	chunks, page tables' memory				same
 *	signals.c	handlers, delivery, faults				same but where it says otherwise
 *	threads.c	fork, clone, exit, exec					same
 *	tables.c	page tables, pure					same; ring 0, the loop and hosted tests
 *	ring0.c		what is for ring 0 of ringside/self.h			runs inside
 *
 * The loop's code finds its vCPU by the stack pointer (self_vcpu_here()), as FS is the program's and may be anything. Vector registers of the
 * program stay in the thread's registers: the files above are compiled with -mgeneral-regs-only and checked for calls of libc.
 *
 * Locks: self.lock (chunks, vCPUs; taken by loops, with a thread's signals only noted), then self_shared.tables_lock (page-table pages; taken by
 * loops and, with interrupts off, in ring 0).
 */
#ifndef RS_SELF_H
#define RS_SELF_H

#include <stdint.h>
#include <stddef.h>
#include <signal.h>
#include "ringside.h"
#include "ringside_app.h"
#include "ringside_guest.h"
#include <ringside/self.h>
#include "layout.h"
#include "tables.h"

#define SELF_VCPUS	RS_MAX_VCPUS
#define SELF_CHUNK	(1ull << 30)
#define SELF_HIDDEN	__attribute__((visibility("hidden")))

#pragma GCC visibility push(hidden)

/* What a call, or anything the loop has done for the program, ends with. */
enum self_next {
	SELF_CALL = RS_ANS_CALL,	/* a system call is done, its result in frame.rax; nothing else has changed */
	SELF_LOAD = RS_ANS_LOAD,	/* all registers are taken from the frame, fs_base, gs_base */
	SELF_HANDLER = RS_ANS_HANDLER,
	SELF_TOUCH = RS_ANS_TOUCH,
	SELF_OUTSIDE = 16,		/* the thread goes on outside, with the registers of the frame; its vCPU stays its own */
};

/* *self.mark */
enum {
	SELF_MARK_COPY,		/* nobody has looked at it since fork */
	SELF_MARK_MENDING,
	SELF_MARK_OURS,
};

/* self_vcpu.state */
enum {
	SELF_FREE,		/* nobody's */
	SELF_IDLE,		/* a thread's that is outside and may come back */
	SELF_INSIDE,
};

/**
 * struct self_vcpu - a vCPU and the thread it belongs to; at the start of its block
 * The first part is the monitor's (layout.h).
 * @frame:   registers of the program, while the vCPU stands in a hypercall
 * @staging: see rs_ring0_resume()
 * @fs_base, @gs_base: as in the program at the last hypercall; loaded with SELF_LOAD
 * @user:    system calls come from ring 3 (always, unless the program runs in ring 0)
 * @user_fs, ...: a program in ring 0 has bases of its own for its ring 3; the monitor changes them with the ring. fs_base, gs_base are ring 0's.
 *
 * The rest is the loop's.
 * @id:      vCPU, and block
 * @fd, @run: of the device; fd is a high number
 * @tid:     the thread's, of the kernel; 0: nobody's
 * @state:   SELF_*; self.lock
 * @primed:  the vCPU stands in a hypercall and waits for an answer: entering needs no RS_SET_STATE
 * @in_loop: the thread runs the loop: between entering and leaving. For signal handlers of this thread.
 * @pending: signals.c: not 0: self_signals_deliver() has something to do. Set by handlers of this thread (then run->irq_vector as well, by
 *	     self_want_here()), looked at before each answer.
 * @mask:    the program's signal mask on the way in
 * @insn_len: of the instruction that made the system call which is being answered (SYSCALL: 2)
 * @doomed_*: the last refused access, for accesses that are repeated without progress
 * @moved_*: the last refused access while chunks change places
 * @victim:  memory.c: a slot that is being taken from another chunk, + 1
 * @calls, ...: counts, summed up by rs_self_stats()
 * @signals: of signals.c, @threads: of threads.c; for them alone
 */
struct self_vcpu {
	struct rs_trap_frame frame;
	struct rs_trap_frame staging;
	uint64_t fs_base, gs_base;
	uint64_t user;
	uint64_t trap_top;
	struct self_shared *shared;	/* the monitor's address */
	uint64_t cr3;
	uint64_t trap_low, trap_end;	/* and trap_top: the loop's addresses: handlers give addresses of variables to Linux */
	uint8_t fsgsbase, xsave, ring0, pad0[5];
	uint64_t xsave_mask, xsave_size;
	uint64_t cr2;
	uint64_t restart;
	uint64_t block;
	uint64_t user_fs, user_gs, ring0_fs, ring0_gs;
	uint64_t user_context;
	uint64_t resume;
	uint64_t reserved[2];

	uint32_t id;
	int fd;
	struct rs_run *run;
	int tid;
	int state;
	int primed;
	volatile int in_loop;
	volatile int pending;
	uint64_t mask;
	uint32_t insn_len;
	uint64_t doomed_rip, doomed_addr;
	unsigned int doomed_count;
	unsigned int victim;
	uint64_t victim_chunk;
	uint64_t calls, faults, enters, leaves, signals_delivered;
	uint64_t moved_rip, moved_gpa, moved_count;
	uint64_t reserved2[5];
	uint64_t signals[128];
	uint64_t threads[32];
};

/**
 * struct self_shared - what ring 0 of all vCPUs sees; block 64
 * @handlers: of the program; [32]: system calls of ring 3
 * @pdpts:    256 pages of level 3, one entry per chunk of the lower half: present when the chunk is given out. The monitor's address;
 *	      @pdpts_here: the loop's
 * @arena_gpa: where the arena is
 * @arena:    the loop's address of the arena
 * @root:     the loop's address of the root; @root_gpa
 * @tables:   page-table pages; tables_lock
 * @slot_chunk: chunk number at each GiB of guest physical memory, + 1; 0: none
 * @slot_pd:    the page of level 2 that belongs to the slot (guest physical), once it had a chunk; ever the same
 * @slot_seq:   when its chunk was given out; SELF_KEEP: never to be taken away
 *
 * An entry of level 3 that the loop has made has the slot's number in bits 52 to 61, which the CPU ignores.
 *
 * Tables are reached at the loop's address, natively and in ring 0.
 */
#define SELF_SLOTS	1024
#define SELF_SLOT_SHIFT	52
#define SELF_SLOT_OF(entry)	((entry) >> SELF_SLOT_SHIFT & (SELF_SLOTS - 1))
#define SELF_KEEP	(~0ull)
#define SELF_TAKING	(~0ull - 1)
#define SELF_HANDLER_SYSCALLS	32
struct self_shared {
	rs_ring0_fn handlers[SELF_HANDLER_SYSCALLS + 1];
	uint64_t pdpts;
	uint64_t arena_gpa;
	volatile uint32_t inside;	/* vCPUs whose threads are inside */
	volatile uint32_t tables_lock;
	uint64_t arena;
	uint64_t root, root_gpa;
	uint64_t pdpts_here;
	struct self_tables tables;
	uint32_t slots;			/* usable, at most SELF_SLOTS */
	uint32_t pad;
	uint32_t slot_chunk[SELF_SLOTS];
	uint64_t slot_pd[SELF_SLOTS];
	uint64_t slot_seq[SELF_SLOTS];
};
_Static_assert(sizeof(struct self_shared) <= RS_SELF_BLOCK, "it has a block");

/**
 * struct self - the process's guest ring; all zero but for what says otherwise when there is none
 * @pid:    that made it: a child of fork sees that it is not its own
 * @ring0:  the ring
 * @threads: RS_ENTER_THREADS was given
 */
struct self {
	volatile uint32_t lock;
	int pid;
	int ready;
	int ring0;
	int threads;
	int dev_fd, vm_fd;		/* dev_fd: 0 until it is open; stays, for children that could not open it any more */
	struct rs_info info;
	/* A page that is cleared in a copy of the process: SELF_MARK_*. Before any lock: self_mend(). */
	volatile uint32_t *mark;
	volatile uint32_t making;	/* lock: the ring is being made */
	int copied;			/* what is here is the parent's; making */
	uint8_t *arena;			/* the loop's address */
	struct self_shared *shared;	/* the loop's address */
	int fsgsbase;
	uint64_t cr4, efer;
	uint64_t xsave_mask, xsave_size;
	/* For tests: 0, or how many chunks may be given out at once; CPU features not to be used, before the first enter. */
	uint32_t chunk_limit;
	int no_fsgsbase, no_xsave;
	uint32_t given;			/* now */
	rs_ring0_fn handlers[SELF_HANDLER_SYSCALLS + 1];	/* set before there is a shared block */
	uint64_t blocks_made;		/* bit per vCPU: its block has the monitor and the guards, also of a parent */
	uint64_t given_seq;
	uint64_t chunks, recycled, threads_outside;
	uint64_t gone_calls, gone_faults;
	struct self_vcpu *vcpus[SELF_VCPUS];	/* made so far; they stay */
};

extern struct self rs_self;

#define SELF_ASSERT_AT(field, off) \
	_Static_assert(offsetof(struct self_vcpu, field) == (off), #field " is where the monitor looks for it")
SELF_ASSERT_AT(frame, RS_V_FRAME);
_Static_assert(RS_CAUSE_EXCEPTION_ == RS_CAUSE_EXCEPTION && RS_CAUSE_TABLES_ == RS_CAUSE_TABLES && RS_CAUSE_SIGNAL_ == RS_CAUSE_SIGNAL, "as in C headers");
SELF_ASSERT_AT(staging, RS_V_STAGING);
SELF_ASSERT_AT(fs_base, RS_V_FS_BASE);
SELF_ASSERT_AT(gs_base, RS_V_GS_BASE);
SELF_ASSERT_AT(user, RS_V_USER);
SELF_ASSERT_AT(trap_top, RS_V_TRAP_TOP);
SELF_ASSERT_AT(shared, RS_V_SHARED);
SELF_ASSERT_AT(cr3, RS_V_CR3);
SELF_ASSERT_AT(trap_low, RS_V_TRAP_LOW);
SELF_ASSERT_AT(trap_end, RS_V_TRAP_END);
SELF_ASSERT_AT(fsgsbase, RS_V_FSGSBASE);
SELF_ASSERT_AT(xsave, RS_V_XSAVE);
SELF_ASSERT_AT(ring0, RS_V_RING0);
SELF_ASSERT_AT(xsave_mask, RS_V_XSAVE_MASK);
SELF_ASSERT_AT(xsave_size, RS_V_XSAVE_SIZE);
SELF_ASSERT_AT(cr2, RS_V_CR2);
SELF_ASSERT_AT(block, RS_V_BLOCK);
SELF_ASSERT_AT(user_fs, RS_V_USER_FS);
SELF_ASSERT_AT(ring0_fs, RS_V_RING0_FS);
SELF_ASSERT_AT(user_context, RS_V_USER_CONTEXT);
SELF_ASSERT_AT(resume, RS_V_RESUME);
SELF_ASSERT_AT(restart, RS_V_RESTART);
SELF_ASSERT_AT(pending, RS_V_PENDING);
_Static_assert(sizeof(struct self_vcpu) <= RS_BLOCK_GDT, "struct self_vcpu fits");
_Static_assert(sizeof(struct rs_trap_frame) == RS_F_SIZE, "struct rs_trap_frame is as the monitor has it");
_Static_assert(offsetof(struct rs_trap_frame, rax) == RS_F_RAX, "rax");
_Static_assert(offsetof(struct rs_trap_frame, vector) == RS_F_VECTOR, "vector");
_Static_assert(offsetof(struct rs_trap_frame, rip) == RS_F_RIP, "rip");
_Static_assert(offsetof(struct self_shared, handlers) == RS_SH_HANDLERS, "handlers");
_Static_assert(offsetof(struct self_shared, pdpts) == RS_SH_PDPTS, "pdpts");
_Static_assert(offsetof(struct self_shared, arena_gpa) == RS_SH_GPA, "arena_gpa");
_Static_assert(offsetof(struct self_shared, inside) == RS_SH_INSIDE, "inside");

/* The vCPU whose native stack @sp is on, whoever asks; NULL: it is on none. For signal handlers: the thread is in the loop. */
static inline struct self_vcpu *self_vcpu_at(uintptr_t sp)
{
	uintptr_t off = sp - (uintptr_t)rs_self.arena, in = sp & (RS_SELF_BLOCK - 1);

	if (!rs_self.arena || off >= (uintptr_t)RS_SELF_SHARED_BLOCK * RS_SELF_BLOCK || in < RS_BLOCK_NATIVE || in > RS_BLOCK_NATIVE_TOP)
		return NULL;
	return (struct self_vcpu *)(sp & ~(uintptr_t)(RS_SELF_BLOCK - 1));
}

/* What v->frame is of: ring 3 below a program in ring 0. Its bases are user_fs and user_gs, fs_base and gs_base are ring 0's. */
static inline int self_is_inner(const struct self_vcpu *v)
{
	return v->ring0 && (v->frame.cs & 3);
}

static inline struct self_vcpu *self_vcpu_here(void)
{
	return self_vcpu_at((uintptr_t)__builtin_frame_address(0));
}

/* From a signal handler of the thread itself: the loop shall look at v->pending as soon as the program can be interrupted. */
static inline void self_want_here(struct self_vcpu *v)
{
	v->run->irq_vector = RS_VECTOR_HERE;
}

/* --- loop.c ----------------------------------------------------------------------------------------------------------------------- */

/**
 * self_loop() - v->frame, fs_base and gs_base are the program's registers, v->mask its signal mask, all signals are blocked: run it.
 * On the native stack of @v (self_first()); does not return.
 */
void self_loop(struct self_vcpu *v) __attribute__((noreturn));

/*
 * One system call with the registers of @f, natively: the result. In native.S. Labels for signal handlers: nothing has happened in [begin, insn].
 * SELF_INTERRUPTED (native.h): a signal is noted and the call has not begun: frame.rip goes back to the call, frame.rax = v->restart, deliver.
 */
long self_syscall(const struct rs_trap_frame *f);
extern const char self_syscall_begin[], self_syscall_insn[], self_syscall_end[];

/* Words to standard error and the end of the process (SIGKILL if nothing else works). printf's %s %d %u %lx */
void self_die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));
void self_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

void self_lock(volatile uint32_t *lock);
void self_unlock(volatile uint32_t *lock);

/* --- vcpus.c ---------------------------------------------------------------------------------------------------------------------- */

/**
 * self_vcpu_get() - the vCPU of thread @tid (the kernel's number), or a free one, which is its own from now on: SELF_IDLE
 * NULL: *@err is -EAGAIN (all in use) or another error. Takes self.lock; natively, in the loop too. Then, with all signals blocked: v->frame,
 * fs_base, gs_base and v->mask as the program's thread shall have them (ring: v->frame.cs), self_signals_enter(), self_mark_inside(),
 * self_first(v, self_loop).
 */
struct self_vcpu *self_vcpu_get(int tid, int *err);
/**
 * self_vcpu_put() - it is nobody's any more, SELF_FREE
 * From then on another thread may have it: the caller must not be on its native stack, or use it no more (self_exit()).
 */
void self_vcpu_put(struct self_vcpu *v);
/*
 * In a child process: nothing of the parent's ring is ours. Forgets all of it, and closes the descriptors unless they are @shared with the
 * parent; natively. No libc.
 */
void self_forget(int shared);

/* self_mark_make() - before the first lock is taken. 0, -errno. */
int self_mark_make(void);

/*
 * self_mend() - in a copy of the process, the first time: locks that threads of the parent held are free, nobody is inside. Before a lock is
 * taken by a thread that is outside, with signals blocked.
 */
void self_mend(void);
/* When @v runs next, it loads v->frame and the bases. 0, -errno. */
int self_prime(struct self_vcpu *v);
/* Does the descriptor still lead to what it led to? @request: RS_GET_VM_STATS or RS_GET_VCPU_STATS. 0, -errno: not, or not for this process. */
int self_fd_ask(int fd, unsigned long request);
/* @fd, or a duplicate with a high number in its place. */
int self_high_fd(int fd);
/* SELF_INSIDE of this vCPU begins and ends: counters of ring 0. */
void self_mark_inside(struct self_vcpu *v);
void self_mark_outside(struct self_vcpu *v);

/* --- memory.c --------------------------------------------------------------------------------------------------------------------- */

/* Gives the chunk of @addr out. 0; 1: the flush page has to be touched in the guest, then once more; -errno. */
int self_chunk_give(struct self_vcpu *v, uint64_t addr);
int self_chunk_is_given(uint64_t addr);
/* It is never to be taken away. 0: it is not given out (any more). */
int self_chunk_keep(uint64_t addr);
/* In a child of fork: the regions of all that the parent had given out, in the new VM. */
int self_chunks_again(void);
/* The arena's region, and its chunk. Before anything runs. */
int self_chunk_arena(void);
/*
 * Linux is to forget the flush page @page of a vCPU, which the guest has touched: then all vCPUs have forgotten what they knew of tables. Natively
 * or in ring 0. 0, -errno: nothing is forgotten.
 */
int self_drop_flush_page(uint64_t page);
/* Natively; ring 0 has its own way to the same lock. */
void self_tables_lock(void);
void self_tables_unlock(void);

/* --- signals.c (its own file head has the protocol) ----------------------------------------------------------------------------------- */

/*
 * Before a thread enters, natively: for the first one the handlers that are there are wrapped. The last one that goes outside, or ends, gives
 * Linux the program's handlers back; so what is installed while everybody is outside is found by the next. No libc. 0, -errno.
 * self_signals_stop(): it has not entered after all, or it ends. self_outside() does it itself.
 */
int self_signals_start(void);
void self_signals_stop(void);
/*
 * Of the calling thread, natively, before each enter, with all signals blocked (v->mask: the mask that it had): its state in @v anew, its
 * alternate stack off. On any stack; no libc. From then on signals that find the thread on @v's native stack are noted. Its counterpart is
 * self_outside().
 */
void self_signals_enter(struct self_vcpu *v);
/* The first thing in the loop: the thread has the program's mask from now on. Looks at v->pending come after it. */
void self_signals_begin(struct self_vcpu *v);
/**
 * self_outside() - the thread goes on outside: registers of v->frame, both bases, its mask and alternate stack, natively
 * On the native stack of @v, v->primed or not. Signals that are noted are delivered first: the thread then goes on in their handlers.
 */
void self_outside(struct self_vcpu *v) __attribute__((noreturn));
/* In the child of fork, which is outside: Linux has the program's own handlers again. @v is then good for self_outside() and nothing else. */
void self_signals_child(struct self_vcpu *v);

/* self_signals_copied() - of self_mend() */
void self_signals_copied(void);
/* @v is for a thread that is about to begin, with its creator's mask; self_signals_stop() if it does not. */
void self_signals_thread(struct self_vcpu *v);
/**
 * self_signals_call() - rt_sigaction, rt_sigreturn, sigaltstack, rt_sigprocmask (and what else concerns signals), in v->frame
 * *@next: how it ends. 0: it is none of these.
 */
int self_signals_call(struct self_vcpu *v, enum self_next *next);
/**
 * self_signals_deliver() - v->pending is set: puts handlers' frames on the program's stack and changes v->frame
 * A system call's result has been put into rax before; or, with SELF_INTERRUPTED, rip is at the call again.
 * SELF_LOAD if anything was changed, otherwise @next as given.
 */
enum self_next self_signals_deliver(struct self_vcpu *v, enum self_next next);
/**
 * self_signals_fault() - the program's instruction at v->frame.rip gets the signal that Linux would send: @info
 * May end the process, or go on outside (the instruction is repeated there).
 */
enum self_next self_signals_fault(struct self_vcpu *v, const siginfo_t *info);
/**
 * self_signals_trap() - the exception in v->frame (vector, error; v->cr2) becomes the signal that Linux makes of it; as self_signals_fault()
 */
enum self_next self_signals_trap(struct self_vcpu *v);
/**
 * self_probe() - do the access natively. 0: it works now. 1: it is a signal, in *@info.
 * @access: RS_FAULT_READ, _WRITE or _FETCH
 */
int self_probe(struct self_vcpu *v, uint64_t addr, uint32_t access, siginfo_t *info);

/* --- threads.c -------------------------------------------------------------------------------------------------------------------- */

/** self_threads_call() - clone, clone3, fork, vfork, exit, execve, execveat, close, close_range, dup2, dup3 in v->frame. As self_signals_call(). */
int self_threads_call(struct self_vcpu *v, enum self_next *next);

#pragma GCC visibility pop

#endif /* RS_SELF_H */
