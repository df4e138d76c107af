/* SPDX-License-Identifier: MIT */
/*
 * signal.h - signals of a process
 *
 * Where they come from: the host process (rs_vcpu_shared.pending: the terminal, timers, kill from
 * outside), the process itself (kill, tgkill, abort), its own faults. What becomes of them is
 * decided in one place, on the way back to ring 3: signal_deliver().
 *
 * A signal is one bit in a mask; bit N-1 is signal N. One siginfo per signal number is kept, so a
 * second one of the same number that is still pending is lost, as standard signals are (queueing of
 * real-time signals comes with several processes).
 */
#ifndef RS_SYSCALL_SIGNAL_H
#define RS_SYSCALL_SIGNAL_H

#include "../lib/types.h"
#include "../arch/frame.h"
#include "../proc/proc.h"

#define NSIG	      64
#define SIGBIT(n)     (1ull << ((n)-1))

#define SIGHUP	      1
#define SIGINT	      2
#define SIGQUIT	      3
#define SIGILL	      4
#define SIGTRAP	      5
#define SIGABRT	      6
#define SIGBUS	      7
#define SIGFPE	      8
#define SIGKILL	      9
#define SIGSEGV	      11
#define SIGPIPE	      13
#define SIGALRM	      14
#define SIGTERM	      15
#define SIGCHLD	      17
#define SIGCONT	      18
#define SIGSTOP	      19
#define SIGTSTP	      20
#define SIGTTIN	      21
#define SIGTTOU	      22
#define SIGURG	      23
#define SIGWINCH      28
#define SIGSYS	      31

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

/** struct signal_process - what the threads of a process share */
struct signal_process {
	struct k_sigaction act[NSIG];
	u64 pending;
	struct k_siginfo info[NSIG]; /* of the pending ones */
};

/** struct signal_thread - what is a thread's own */
struct signal_thread {
	u64 blocked;
	u64 saved_mask; /* to be put back after a handler, or at once without (sigsuspend, ppoll) */
	u64 waiting;	/* signals rt_sigtimedwait waits for */
	bool restore_mask;
	/* a nanosleep that may go on: its deadline (0: none) and the place of the call */
	u64 sleep_deadline, sleep_rip, sleep_rsp;
	struct k_stack alt; /* SS_DISABLE in flags when there is none */
};

/**
 * signal_raise() - makes @info->signo pending for @p and marks its thread; ignored signals are
 * dropped unless blocked
 */
void signal_raise(struct process *p, const struct k_siginfo *info);
/** signal_take_host() - fetches what the host process reported */
void signal_take_host(void);
/**
 * signal_ready() - a pending signal is not blocked and would do something; looks at the host's as
 * well
 */
bool signal_ready(void);
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
