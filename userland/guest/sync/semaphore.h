/* SPDX-License-Identifier: MIT */
/*
 * semaphore.h - a number of permits, taken and given back by anybody
 *
 * Invariant, under guard: permits made (at start and by up) = permits taken + count, and there are
 * waiters only when count is 0. sema_up() with waiters hands its permit to the first of them
 * instead of counting it, so permits are given in the order they were asked for, and none is ever
 * counted twice.
 *
 * Not a lock: who gives a permit back need not be who took it, so the checker does not follow it.
 */
#ifndef RS_SYNC_SEMAPHORE_H
#define RS_SYNC_SEMAPHORE_H

#include "waiter.h"

struct semaphore {
	struct spinlock guard;
	u32 count;
	struct list waiters;
};

#define SEMAPHORE_INIT(s, n)	{ .guard = SPINLOCK_INIT("semaphore", LOCK_RANK_WAIT),	\
				  .count = (n), .waiters = LIST_INIT((s).waiters) }

void sema_init(struct semaphore *s, u32 count);
/** sema_down() - takes a permit; may sleep: no spinlock held */
void sema_down(struct semaphore *s);
/** sema_down_killable() - 0, or -EINTR without a permit: waiter_kill() came while it slept */
int sema_down_killable(struct semaphore *s);
/** sema_try_down() - does not sleep; false when there is no permit */
bool sema_try_down(struct semaphore *s);
/** sema_up() - gives a permit; any context, does not sleep. Panics beyond 2^32 - 1 permits. */
void sema_up(struct semaphore *s);

#endif
