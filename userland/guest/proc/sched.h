/* SPDX-License-Identifier: MIT */
/*
 * sched.h - which thread runs, and how one waits
 *
 * Each CPU has a queue of threads that may run, in the order in which they became ready, and an
 * idle thread, which runs when the queue is empty and sleeps in Linux. The kernel is not preempted:
 * a thread gives the CPU away by sleeping, or on its way to ring 3 when its time is over.
 *
 * One CPU at a time is inside the kernel (sched_enter(), sched_leave(): the big lock, not even
 * touched while there is one CPU), but for readers (sync/rcu.h), who change nothing that others
 * use. It is given up while a thread is in ring 3, while a CPU is idle, and during requests to the
 * host that may block. So everything in the layers above is as on one CPU: between two points where
 * a thread may sleep nothing else happens.
 *
 * Waking is kept: a thread that is woken before it sleeps does not sleep. So who waits for
 * something enters a wait list, looks once more, and sleeps:
 *
 *	wait_enter(&list, &entry);
 *	while (!there() && !err)
 *		err = thread_sleep(deadline, SLEEP_SIGNALS);
 *	wait_leave(&entry);
 *
 * Being woken says "look again", no more. Sleeping ends with -EINTR when a signal is to be handled
 * and with -ETIMEDOUT at the deadline, which is in nanoseconds of CLOCK_MONOTONIC.
 *
 * Time: while threads wait for a CPU, the host looks every 10 ms whether one must be taken from its
 * thread (want_tick). With one thread per CPU there are no ticks at all. The nearest deadline is
 * given to the host as the limit of its sleep when the CPU is idle, otherwise as a timer.
 */
#ifndef RS_PROC_SCHED_H
#define RS_PROC_SCHED_H

#include "../lib/list.h"
#include "../arch/cpu.h"
#include "../lib/types.h"
#include "../sync/waiter.h"

struct thread;

#define NO_DEADLINE	(~0ull)

/** struct timer - calls @fn at @deadline, once; in the kernel, on some CPU */
struct timer {
	struct list link;		/* in the queue; empty when it is not running */
	u64 deadline;			/* CLOCK_MONOTONIC, ns */
	void (*fn)(struct timer *t);
};

void timer_init(struct timer *t, void (*fn)(struct timer *t));
/** timer_start() - or to another time; timer_stop() - also when it is not running */
void timer_start(struct timer *t, u64 deadline);
void timer_stop(struct timer *t);
/** sched_timers_changed() - after timer_start() by a thread that does not go to sleep for it */
void sched_timers_changed(void);
static inline bool timer_running(const struct timer *t)
{
	return !list_empty(&t->link);
}

/** clock_monotonic() - nanoseconds; asks the host */
u64 clock_monotonic(void);

/** tsc_to_us(), ns_to_tsc() - a time in ticks of the TSC as microseconds; nanoseconds as ticks */
u64 tsc_to_us(u64 tsc);
u64 ns_to_tsc(u64 ns);

enum thread_state {
	THREAD_NEW,			/* not started yet */
	THREAD_RUNNING,			/* on a CPU */
	THREAD_READY,			/* in a queue */
	THREAD_SLEEPING,
	THREAD_DEAD,
};

/** struct sched_thread - part of every thread */
struct sched_thread {
	u64 ksp;			/* its stack pointer while it does not run */
	u64 fs_base, gs_base;		/* the same for these, and for the FPU: kstack_fpu() */
	enum thread_state state;
	u32 cpu;			/* where it runs or ran last */
	bool woken;			/* since it began to sleep, or before */
	bool timed_out;
	struct list run;		/* in a queue */
	struct timer timer;
	struct waiter waiter;
	u64 since;			/* TSC when it got the CPU */
	u64 used;			/* TSC ticks it had the CPU before that */
};

/* What ends a sleep besides being woken and the deadline */
#define SLEEP_SIGNALS	0u		/* signals that are to be handled */
#define SLEEP_KILL	1u		/* only the end of the process */
#define SLEEP_ALWAYS	2u		/* nothing: what is waited for comes soon */

/**
 * thread_sleep() - the current thread sleeps: 0 when woken (perhaps for no reason), -ETIMEDOUT,
 * -EINTR
 */
long thread_sleep(u64 deadline, u32 how);
/**
 * thread_hand_over() - the current thread sleeps until it is woken, and @next, which sleeps, has
 * the CPU at once, without a queue. Signals do not keep the current thread from sleeping, so it
 * must have no work.
 */
void thread_hand_over(struct thread *next);
/** thread_wake() - @t may run; does not sleep */
void thread_wake(struct thread *t);
/** thread_yield() - lets those run that are ready */
void thread_yield(void);

struct wait_list {
	struct list entries;
};

struct wait_entry {
	struct list link;
	struct thread *thread;
};

static inline void wait_list_init(struct wait_list *w)
{
	list_init(&w->entries);
}

/** wait_enter() - the current thread, with an entry on its stack */
void wait_enter(struct wait_list *w, struct wait_entry *e);
void wait_leave(struct wait_entry *e);
/** wait_wake() - all that wait there */
void wait_wake(struct wait_list *w);
/** wait_wake_first() - the one that has waited longest; it stays in the list until it leaves */
static inline void wait_wake_first(struct wait_list *w)
{
	if (!list_empty(&w->entries))
		thread_wake(list_first(&w->entries, struct wait_entry, link)->thread);
}
/**
 * wait_drain() - wakes all and takes them out: the list may be freed then. wait_leave() of theirs
 * still is right.
 */
static inline void wait_drain(struct wait_list *w)
{
	while (!list_empty(&w->entries)) {
		struct wait_entry *e = list_first(&w->entries, struct wait_entry, link);

		list_del(&e->link);
		thread_wake(e->thread);
	}
}

/** sched_init() - boot of a CPU: its idle thread is what runs now */
void sched_init(void);
/**
 * sched_enter(), sched_leave() - into the kernel and out of it: from ring 3 and back, and around
 * what may take long in the host
 */
void sched_enter_slow(void);
void sched_leave_slow(void);
/* the same for a call to the host that may take long; sched_enter() afterwards */
void sched_leave_for_host(void);
static always_inline void sched_enter(void)
{
	if (unlikely(rs_ncpus > 1))
		sched_enter_slow();
}

static always_inline void sched_leave(void)
{
	if (unlikely(rs_ncpus > 1))
		sched_leave_slow();
}

/** sched_inside() - this CPU is between sched_enter() and sched_leave(); false for readers */
bool sched_inside(void);

/** sched_barrier() - all CPUs in this address space have passed the kernel since (membarrier) */
void sched_barrier(void);
/** sched_first - boot: what the first thread does before it goes to ring 3 */
extern void (*sched_first)(void);
/** sched_start() - @t, which has never run: at the next turn */
void sched_start(struct thread *t);
/**
 * sched_prepare() - @t will begin with its kstack_frame(), and the vector registers, FS and GS that
 * the caller has now
 */
void sched_prepare(struct thread *t);
/** sched_idle() - the loop of a CPU's idle thread */
void sched_idle(void) __noreturn;
/** sched_exit() - the current thread has ended; its stack and itself are freed by whoever is next */
void sched_exit(void) __noreturn;
/** sched_now_used() - TSC ticks that @t has had a CPU */
u64 sched_now_used(const struct thread *t);

/**
 * sched_others() - somebody else may want to run while this thread is away in the host: then a call
 * that may block belongs to a helper
 */
extern u32 sched_pending;	/* threads that are ready, timers, calls with helpers */
static inline bool sched_others(void)
{
	return sched_pending;
}

/** host_events() - looks at what the host has announced: signals, calls that are done, time */
void host_events(void);

/**
 * struct sched_nic - what the network wants to be called for, inside of the kernel
 * @event: the NIC has signalled. @tick: a tick while polling is on. @sleep: a CPU is about to sleep; for how
 * many ns at most (NO_DEADLINE), 0: there was something to do first. Who sleeps for a limited time need
 * not be signalled for every packet, and is asked like with polling before it is away. Who cannot sleep for a limited time,
 * because a call of the host says when it ends, has @limited false, and is signalled.
 */
struct sched_nic {
	void (*event)(void);
	void (*tick)(void);
	u64 (*sleep)(bool limited);
};

/** sched_set_nic() - NULL: none */
void sched_set_nic(const struct sched_nic *nic);
/**
 * sched_set_polling() - the NIC does not signal: a tick comes to this CPU all the same, and the
 * network is asked before a thread is away in the host
 */
void sched_set_polling(bool on);
extern bool sched_quiet;	/* the NIC does not signal everything */
void sched_nic_sleep(void);
/** sched_before_host() - before a call of the host that may take long */
static inline void sched_before_host(void)
{
	if (unlikely(sched_quiet))
		sched_nic_sleep();
}

/* Implemented above: calls with helpers that are done; a signal of the host, by its bit */
void async_done(void);
void signal_from_host(int sig);

#endif
