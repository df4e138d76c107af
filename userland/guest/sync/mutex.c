// SPDX-License-Identifier: MIT
/*
 * mutex.c - see mutex.h
 */
#include "mutex.h"

void mutex_init(struct mutex *m, const char *name, u32 rank)
{
	*m = (struct mutex)MUTEX_INIT(*m, name, rank);
}

/* Atomic for mutex_held(), which reads without the guard. */
static void set_owner(struct mutex *m, struct waiter *w)
{
	__atomic_store_n(&m->owner, w, __ATOMIC_RELAXED);
}

int mutex_lock_at(struct mutex *m, bool killable, const char *where)
{
	struct waiter *self = waiter_self();
	int err = 0;

	ASSERT(self);
	if (lockcheck_on)
		lockcheck_before(&m->info, LOCK_SLEEPS, where);
	spin_lock(&m->guard);
	if (m->owner == self)
		lockcheck_twice(&m->info, where);
	if (!m->owner) {
		set_owner(m, self);
	} else {
		waitq_enter(&m->waiters, self);
		err = waitq_wait(self, &m->guard, killable);
		ASSERT(err || m->owner == self);
	}
	spin_unlock(&m->guard);
	if (!err && lockcheck_on)
		lockcheck_taken(&m->info, LOCK_SLEEPS, where);
	return err;
}

bool mutex_trylock_at(struct mutex *m, const char *where)
{
	struct waiter *self = waiter_self();
	bool got;

	ASSERT(self);
	spin_lock(&m->guard);
	got = !m->owner;
	if (got)
		set_owner(m, self);
	spin_unlock(&m->guard);
	if (got && lockcheck_on)
		lockcheck_taken(&m->info, LOCK_SLEEPS, where);
	return got;
}

void mutex_unlock_at(struct mutex *m, const char *where)
{
	struct waiter *next;

	if (lockcheck_on)
		lockcheck_release(&m->info, LOCK_SLEEPS, where);
	spin_lock(&m->guard);
	ASSERT(m->owner == waiter_self());
	next = waitq_first(&m->waiters);
	set_owner(m, next);
	if (next)
		waitq_wake(next);
	spin_unlock(&m->guard);
}
