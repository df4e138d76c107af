/* SPDX-License-Identifier: MIT */
/*
 * signal.h - signals of processes and threads
 *
 * Where they come from: the host process (the terminal, kill from outside), processes (kill, tgkill,
 * abort, timers, children that end), faults. A signal is pending for a process or for one thread;
 * what becomes of it is decided in one place, on the way back to ring 3 of a thread that does not
 * block it: signal_deliver().
 *
 * A set is a mask; bit N-1 is signal N. Of a standard signal one is kept, the first; real-time
 * signals queue in order, up to RLIMIT_SIGPENDING of them for a process.
 */
#ifndef RS_SYSCALL_SIGNAL_H
#define RS_SYSCALL_SIGNAL_H

#include "../lib/types.h"
#include "../lib/signo.h"
#include "../arch/frame.h"
#include "../proc/proc.h"

#define SIG_DFL	      0ull
#define SIG_IGN	      1ull

#define SA_NOCLDSTOP  0x1u
#define SA_NOCLDWAIT  0x2u
#define SA_SIGINFO    0x4u
#define SA_RESTORER   0x04000000u
#define SA_ONSTACK    0x08000000u
#define SA_RESTART    0x10000000u
#define SA_NODEFER    0x40000000u
#define SA_RESETHAND  0x80000000u

#define SI_USER	      0
#define SI_KERNEL     0x80
#define SI_QUEUE      (-1)
#define SI_TKILL      (-6)

#define SS_ONSTACK    1
#define SS_DISABLE    2
#define SS_AUTODISARM (1u << 31)
#define MINSIGSTKSZ   2048

/** struct k_sigaction - as rt_sigaction(2) passes it on x86-64 */
struct k_sigaction {
	u64 handler;
	u64 flags;
	u64 restorer;
	u64 mask;
};

/** struct k_siginfo - siginfo_t: 128 bytes; the parts we fill in */
struct k_siginfo {
	s32 signo, err, code, pad;
	union {
		struct {
			s32 pid;
			u32 uid;
			u64 value;
		};
		u64 addr;
		u64 raw[14];
	};
};

/** struct k_stack - stack_t */
struct k_stack {
	u64 sp;
	s32 flags;
	u32 pad;
	u64 size;
};

#define SIGQUEUE_MAX 1024 /* RLIMIT_SIGPENDING of the first process */

struct posix_timer;

struct sigqueue {
	struct list link;
	struct k_siginfo info;
	struct posix_timer *timer; /* whose part it is; NULL for others */
};

/** struct sigpending - what is pending; every bit of @set has an entry unless memory was short */
struct sigpending {
	u64 set;
	struct list queue;    /* struct sigqueue */
	bool first_used;
	struct sigqueue first; /* the entry for when nothing else is pending, which is mostly so */
};

/** struct signal_process - what the threads of a process share */
struct signal_process {
	struct k_sigaction act[NSIG];
	struct sigpending pending;
	u32 nqueued;	     /* entries of it and of its threads */
	u32 queue_limit, queue_hard_limit; /* RLIMIT_SIGPENDING */
	struct itimers {
		struct timer real;	/* ITIMER_REAL, alarm */
		u64 real_interval;	/* ns, 0: once */
		struct timer look;	/* at these: */
		struct {
			u64 due;	/* when it has used so many ticks of the TSC; 0: not set */
			u64 interval;	/* ns */
		} cpu[2];		/* ITIMER_VIRTUAL, ITIMER_PROF */
	} itimers;
	struct process *proc;
	struct list timers; /* timer_create() */
	s32 next_timer;
	struct list stand_ins; /* of signalfds */
	struct wait_list signalfd_pollers;
};

/** struct signal_thread - what is a thread's own */
struct signal_thread {
	struct sigpending pending;
	u64 blocked;
	u64 saved_mask; /* to be put back after a handler, or at once without (sigsuspend, ppoll) */
	u64 waiting;	/* signals rt_sigtimedwait waits for */
	bool restore_mask;
	/*
	 * What restart_syscall does, after a call that returned -ERESTART_RESTARTBLOCK: @fn, which
	 * finds the arguments of that call in the frame. NULL: nothing, -EINTR.
	 */
	struct {
		long (*fn)(struct rs_frame *f);
		u64 deadline;	/* CLOCK_MONOTONIC, ns, or NO_DEADLINE */
		u64 rem;	/* where a sleep leaves what is left of it, or 0 */
	} restart;
	struct k_stack alt; /* SS_DISABLE in flags when there is none */
};

/**
 * signal_raise() - makes @info->signo pending for @p, or for its thread @t, and wakes who should
 * handle it; ignored signals are dropped unless blocked. 0, -EAGAIN: the queue is full (real-time
 * signals only)
 */
long signal_raise(struct process *p, struct thread *t, const struct k_siginfo *info);
/**
 * signal_raise_entry() - the same for an entry that is made already, of a timer; false: the signal is
 * ignored, the entry not in use
 */
bool signal_raise_entry(struct process *p, struct thread *t, struct sigqueue *q);
/** signal_sent() - what tells of a signal that the current process sends */
struct k_siginfo signal_sent(int sig, int code);
/**
 * signal_take() - takes a pending signal of @set, which are blocked; with @wait sleeps for one, at
 * most for the timespec at @timeout_va (0: no limit)
 * Its number; 0: none, *@err says why: 0 (time is over, or did not wait), -EINTR, -EFAULT, -EINVAL.
 */
int signal_take(u64 set, bool wait, u64 timeout_va, struct k_siginfo *info, long *err);
/** signalfd_changed() - what is pending for a process or one of its threads has changed (signalfd.c) */
void signalfd_changed(struct signal_process *sp);
void signalfd_process_free(struct signal_process *sp);
/**
 * signal_no_memory() - the end of the current process: the kernel cannot do something for it at
 * @addr that it has to, for want of memory. Reports, tells its threads to go, and comes back.
 */
void signal_no_memory(u64 addr);
/** signal_raise_group() - for all processes of group @pgid; how many these were */
u32 signal_raise_group(u32 pgid, const struct k_siginfo *info);
/**
 * restart_later() - the end of a call that a signal has cut short, and that @fn is to finish if no
 * handler runs; its result
 */
long restart_later(long (*fn)(struct rs_frame *f), u64 deadline, u64 rem);
/** signal_group_orphaned() - nobody in its session would continue group @pgid */
bool signal_group_orphaned(u32 pgid);
/** signal_ignored_now() - the current thread blocks @sig, or its process ignores it */
bool signal_ignored_now(int sig);
/**
 * signal_deliver() - on the way to ring 3: resolves a restart code in @f, runs default actions,
 * builds the frame of one handler per signal
 */
void signal_deliver(struct rs_frame *f);
/**
 * signal_set_mask_for_wait() - the mask of sigsuspend, ppoll, ...: in force until signal_deliver(),
 * which then restores the old one
 */
void signal_set_mask_for_wait(u64 mask);

/**
 * signal_init() - state of @t, and of its process when @t is its first thread; @from is what it is a
 * copy of, NULL for the first of all. 0 or -ENOMEM
 */
int signal_init(struct thread *t, struct thread *from, bool new_process);
/** signal_reset() - as exec does: caught signals go back to their default */
void signal_reset(struct signal_process *sp);
/** signal_thread_exit() - own thread: drops what is pending for it; signal_thread_free() the rest */
void signal_thread_exit(struct thread *t);
void signal_thread_free(struct thread *t);
void signal_process_free(struct process *p);

/* sigframe.c */
/**
 * sigframe_build() - makes @f enter the handler of @act with the process's registers saved on its
 * stack
 * @mask: what sigreturn shall restore. @fault: trap number, error code and address for the context;
 * may be NULL. 0 or -EFAULT
 */
long sigframe_build(struct rs_frame *f, const struct k_sigaction *act, const struct k_siginfo *info,
		    u64 mask, struct signal_thread *st, const struct fault_info *fault);
/**
 * sigframe_return() - undoes it from the frame at rsp - 8; *@mask gets the saved mask. -EFAULT when
 * the frame is not usable
 */
long sigframe_return(struct rs_frame *f, u64 *mask, struct signal_thread *st);
/** sigframe_on_altstack() - @sp lies on the thread's alternate stack */
static inline bool sigframe_on_altstack(const struct signal_thread *st, u64 sp)
{
	return !(st->alt.flags & SS_DISABLE) && sp > st->alt.sp && sp - st->alt.sp <= st->alt.size;
}
/**
 * sigframe_position() - where a frame of @frame_size bytes and an extended state of @xstate bytes
 * go below @sp; false when that wraps
 */
bool sigframe_position(u64 sp, u64 xstate, u64 frame_size, u64 *frame, u64 *fpstate);

#endif
