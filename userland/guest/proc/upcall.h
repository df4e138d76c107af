/* SPDX-License-Identifier: MIT */
/*
 * upcall.h - exceptions that a process takes itself, in ring 3
 *
 * What a process sees of it is in uapi/ringside_app.h.
 */
#ifndef RS_PROC_UPCALL_H
#define RS_PROC_UPCALL_H

#include "../lib/types.h"
#include "../arch/frame.h"
#include "../mm/fault.h"

struct thread;
struct process;

/** struct upcall - of a process; a copy has it, too */
struct upcall {
	u64 entry;
	u64 room;	/* bytes below a frame that must be there */
	u64 vectors;	/* that it takes, RS_UPCALL_ALARM among them; 0: none */
	u64 fast;	/* the one upcall_fast() may look at: page faults, if they are among them; or none */
};

/**
 * struct upcall_stack - of a thread: (lo, hi]; hi 0: it has none
 * @first: where the frame goes when nothing of it is in use; 0: there is no room, or it is nowhere
 * a process may have memory, and upcall_fast() need not look
 * @used: where the frame goes when the thread is not on this stack but something on it is in use;
 * 0: nothing is, it goes to the top
 */
struct upcall_stack {
	u64 lo, hi, first, used;
};

/** upcall_on_stack() - @rsp lies on @s */
static inline bool upcall_on_stack(const struct upcall_stack *s, u64 rsp)
{
	return rsp - s->lo - 1 < s->hi - s->lo;
}

/** upcall_busy() - something on @s is in use by a thread at @rsp: an upcall is not back yet */
static inline bool upcall_busy(const struct upcall_stack *s, u64 rsp)
{
	return s->used || upcall_on_stack(s, rsp);
}

/**
 * upcall_place() - where the frame of a trap goes that has interrupted @rsp; false: there are not
 * @room bytes below it
 */
bool upcall_place(const struct upcall_stack *s, u64 rsp, u64 room, u64 *at);

/**
 * upcall_deliver() - the exception @f goes to the current process itself, if it takes such
 * @addr, @cause: as in struct fault_info. False: it does not, and nothing has changed. Ends the
 * process when it does but its stack or upcall is of no use.
 */
bool upcall_deliver(struct rs_frame *f, u64 addr, enum fault_cause cause);

/**
 * upcall_fast() - the same for the common case, in few instructions; called by entry.S for threads
 * that have a trap stack, before anything else is done about the trap. False: nothing has changed
 */
bool upcall_fast(struct rs_frame *f);

/** upcall_fork() - @t, which the current thread has made by clone(@flags), gets what the ABI says */
void upcall_fork(struct thread *t, u64 flags);
/** upcall_reset() - exec: the current thread and its process have neither upcall nor stack */
void upcall_reset(void);
/**
 * upcall_signal() - the current thread, at @rsp, is about to run a signal handler: what is in use of
 * its trap stack, to be given to upcall_signal_return() when it goes on
 */
u64 upcall_signal(u64 rsp);
void upcall_signal_return(u64 used);

/** fault_signal() - the signal an exception means in the end: sets @sig and @code */
void fault_signal(u32 vector, enum fault_cause cause, int *sig, int *code);

/* the calls of ringside_app.h; 0 or -errno */
long upcall_set(u64 entry, u64 vectors, u64 room);
long upcall_set_stack(u64 base, u64 size);
/**
 * upcall_decline() - RS_SYS_TRAP_SIGNAL: puts the registers of the frame at @at into @f and makes
 * the current thread's fault what that trap was; the caller then has signal_fault() decide
 */
long upcall_decline(struct rs_frame *f, u64 at);

#endif
