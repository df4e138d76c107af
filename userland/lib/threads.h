/* SPDX-License-Identifier: MIT */
/*
 * threads.h - the threads of the host process beside the first one, and how a vCPU is told
 * something. See threads.c, helpers.c and clock.c.
 */
#ifndef RS_THREADS_H
#define RS_THREADS_H

#include "sandbox.h"

/* --- threads.c ------------------------------------------------------------------------------- */

/**
 * rs_thread_start() - run @fn(@arg) in a new thread, with all signals blocked but RS_SIGNAL_KICK
 * The thread is confined as its maker is. @caller: it will make calls for the guest; then the maker
 * must hold no descriptor. Returns 0 or -EAGAIN.
 */
int rs_thread_start(struct rs_sandbox *sb, void *(*fn)(void *arg), void *arg, bool caller);

/**
 * rs_thread_own_directory() - give this thread a working directory of its own, a copy at first.
 * Returns 0 or -errno
 */
int rs_thread_own_directory(void);

/**
 * rs_vcpu_notify() - raise @event (RS_EVENT_*) on a vCPU. Any thread; never sleeps. The guest
 * learns of it however its vCPU spends its time at that moment.
 */
void rs_vcpu_notify(struct rs_vcpu *v, uint64_t event);

/** rs_vcpu_interrupt() - make the vCPU's thread run its handler, out of whatever sleeps */
void rs_vcpu_interrupt(struct rs_vcpu *v);

/** rs_vcpu_begin() - this thread is the vCPU's from now on; before rs_vcpu_loop() */
void rs_vcpu_begin(struct rs_vcpu *v);

/**
 * rs_vcpu_end() - this thread has left rs_vcpu_loop(): make the other vCPUs leave it too, and wait
 * for them, two seconds at most
 */
void rs_vcpu_end(struct rs_vcpu *v);

/** rs_vcpu_start() - RS_CALL_START_CPU */
long rs_vcpu_start(struct rs_sandbox *sb, uint64_t index);

/** rs_vcpu_kick() - RS_CALL_KICK */
long rs_vcpu_kick(struct rs_sandbox *sb, uint64_t index);

/* The vCPU of this thread, or NULL. For signal handlers. */
extern __thread struct rs_vcpu *rs_this_vcpu __attribute__((tls_model("initial-exec")));

/** rs_futex_wait() - sleep while *@word is @value, until @deadline (CLOCK_MONOTONIC, ns; ~0: none) */
void rs_futex_wait(uint32_t *word, uint32_t value, uint64_t deadline);

/** rs_futex_wake() - wake one thread that sleeps on @word */
void rs_futex_wake(uint32_t *word);

/** rs_now_ns() - CLOCK_MONOTONIC */
uint64_t rs_now_ns(void);
/** rs_moment() - the same and the TSC at one moment, as near as a thread that may be interrupted gets */
struct rs_moment rs_moment(void);

/* --- signals.c ------------------------------------------------------------------------------- */

/*
 * Sent to single threads of this process by others of it: out of RS_RUN, out of a call that sleeps.
 * One of those below 32: they are never refused for want of memory, and several at once are one.
 */
#define RS_SIGNAL_KICK	SIGURG

/** rs_signals_kick() - install its handler. Returns 0 or -1 with errno */
int rs_signals_kick(void);

/* --- helpers.c ------------------------------------------------------------------------------- */

/** rs_helper_submit() - RS_CALL_SUBMIT */
long rs_helper_submit(struct rs_sandbox *sb, uint64_t slot);

/** rs_helper_cancel() - RS_CALL_CANCEL */
long rs_helper_cancel(struct rs_sandbox *sb, uint64_t slot);

/* --- clock.c --------------------------------------------------------------------------------- */

/** rs_clock_timer() - RS_CALL_TIMER: @deadline in ns of CLOCK_MONOTONIC, ~0 for never */
long rs_clock_timer(struct rs_sandbox *sb, uint64_t deadline);

/** rs_clock_tick() - RS_CALL_TICK */
long rs_clock_tick(struct rs_sandbox *sb);

#endif /* RS_THREADS_H */
