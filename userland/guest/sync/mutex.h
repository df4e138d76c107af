/* SPDX-License-Identifier: MIT */
/*
 * mutex.h - a lock whose waiters sleep
 *
 * For what takes long or may sleep itself (a request to the host, memory). The holder is a thread
 * and may change CPUs; interrupts are as they were.
 *
 * Invariant, under guard: owner is the one thread inside, and there are waiters only when there is
 * an owner. It holds because unlocking with waiters does not free the lock but makes the first of
 * them the owner before it wakes: nobody can come in between, so turns are in order of arrival. The
 * guard's acquire and release order the owners' memory.
 */
#ifndef RS_SYNC_MUTEX_H
#define RS_SYNC_MUTEX_H

#include "waiter.h"

struct mutex {
	struct spinlock guard;
	struct waiter *owner;		/* written under guard */
	struct list waiters;
	struct lock_info info;
};

#define MUTEX_INIT(m, n, r)	{ .guard = SPINLOCK_INIT("mutex guard", LOCK_RANK_WAIT),	\
				  .waiters = LIST_INIT((m).waiters), .info = LOCK_INFO(n, r) }

void mutex_init(struct mutex *m, const char *name, u32 rank);
int mutex_lock_at(struct mutex *m, bool killable, const char *where);
bool mutex_trylock_at(struct mutex *m, const char *where);
void mutex_unlock_at(struct mutex *m, const char *where);

/** mutex_lock() - may sleep: no spinlock held */
#define mutex_lock(m)		((void)mutex_lock_at(m, false, LOCK_HERE))
/** mutex_lock_killable() - 0, or -EINTR and not locked: waiter_kill() came while it slept */
#define mutex_lock_killable(m)	mutex_lock_at(m, true, LOCK_HERE)
/** mutex_trylock() - does not sleep; false when somebody is inside */
#define mutex_trylock(m)	mutex_trylock_at(m, LOCK_HERE)
/** mutex_unlock() - by the owner; does not sleep */
#define mutex_unlock(m)		mutex_unlock_at(m, LOCK_HERE)

/** mutex_held() - by this thread. Relaxed, as spin_held(). */
static inline bool mutex_held(const struct mutex *m)
{
	return __atomic_load_n(&m->owner, __ATOMIC_RELAXED) == waiter_self();
}

#define mutex_assert_held(m)	ASSERT(mutex_held(m))

#endif
