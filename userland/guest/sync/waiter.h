/* SPDX-License-Identifier: MIT */
/*
 * waiter.h - what a thread is to the locks it sleeps on, and what they need of the scheduler
 *
 * The contract with the scheduler is three functions (struct waiter_ops), given once at start:
 *
 *   self()	the waiter of the thread that runs; NULL before there are threads.
 *   block(w)	called by w's own thread, interrupts as the thread had them, no spinlock held.
 *		Returns after a wake(w) that has not been used up by an earlier return; it may
 *		return for no reason at all.
 *   wake(w)	any CPU, with spinlocks up to LOCK_RANK_WAIT held; does not sleep. A wake() that
 *		comes before the block() is kept (one is enough), so that block() returns at once.
 *		Orders what the caller wrote before what the woken thread reads after block().
 *
 * So the scheduler keeps one bit per thread, "may run", and never loses it; everything else is
 * here.
 *
 * A queue of waiters is a list with a spinlock, its guard. Invariant, under the guard: a waiter is
 * on the queue exactly as long as nobody has woken it and it has not given up.
 *
 *   sleeper: under the guard, finds that it must wait, waitq_enter(); waitq_wait() drops the guard
 *	      and blocks, and looks at woken under the guard again.
 *   waker:   under the guard, makes it true, takes the waiter off the queue, sets woken, wake().
 *
 * No wake-up is lost: the decision to sleep and the entry in the queue are one critical section, so
 * a waker is either before it, and the sleeper sees what it waits for, or after it, and finds the
 * waiter; from there on block() and wake() do not lose it. The waiter outlives wake(): the waker is
 * still inside the guard then, and the sleeper has to pass the guard before it can go on.
 */
#ifndef RS_SYNC_WAITER_H
#define RS_SYNC_WAITER_H

#include "../lib/list.h"
#include "spinlock.h"

/** struct waiter - part of every thread */
struct waiter {
	struct list link;		/* in the queue; the queue's guard */
	bool woken;			/* the queue's guard */
	bool writer;			/* what it waits for, rwlocks; the queue's guard */
	bool killed;			/* atomic; see waiter_kill() */
	const void *chan;		/* channel.c; the bucket's guard */
	struct lock_held_set held;	/* sleeping locks, own thread only; for lockcheck.c */
};

struct waiter_ops {
	struct waiter *(*self)(void);
	void (*block)(struct waiter *w);
	void (*wake)(struct waiter *w);
};

/** waiter_setup() - once, before anything sleeps; @ops stays */
void waiter_setup(const struct waiter_ops *ops);
/** waiter_init() - a new thread's */
void waiter_init(struct waiter *w);
/** waiter_self() - of the present thread; NULL when there is none */
struct waiter *waiter_self(void);

/**
 * waiter_kill() - ends the sleep of @w, if it is one that may be ended, and every later one, with
 * -EINTR, until waiter_revive(). Any context; the caller sees to it that the thread stays.
 */
void waiter_kill(struct waiter *w);
/** waiter_revive() - own thread: what waiter_kill() was for is done */
void waiter_revive(struct waiter *w);

/** waitq_enter() - @w to the end of @q, whose guard is held */
void waitq_enter(struct list *q, struct waiter *w);
/**
 * waitq_wait() - sleeps until woken; @guard, the only spinlock held, is dropped meanwhile
 * @killable: waiter_kill() ends it too: -EINTR, and @w has left the queue. Otherwise 0. A waiter
 * that was woken and killed counts as woken, because what it was given is its own now.
 */
int waitq_wait(struct waiter *w, struct spinlock *guard, bool killable);
/** waitq_wake() - takes @w off its queue, whose guard is held */
void waitq_wake(struct waiter *w);
/** waitq_first() - the one that waits longest, NULL for none; guard held */
static inline struct waiter *waitq_first(const struct list *q)
{
	return list_empty(q) ? NULL : list_entry(q->next, struct waiter, link);
}

#endif
