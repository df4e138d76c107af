// SPDX-License-Identifier: MIT
/*
 * fair_rwlock.c - see fair_rwlock.h
 */
#include "fair_rwlock.h"

void fair_rw_init(struct fair_rwlock *l, const char *name, u32 rank)
{
	*l = (struct fair_rwlock)FAIR_RWLOCK_INIT(*l, name, rank);
}

/* Both are read without the guard by the fair_rw_held_*(). */
static void set_readers(struct fair_rwlock *l, u32 n)
{
	__atomic_store_n(&l->readers, n, __ATOMIC_RELAXED);
}

static void set_writer(struct fair_rwlock *l, struct waiter *w)
{
	__atomic_store_n(&l->writer, w, __ATOMIC_RELAXED);
}

/* Nobody is inside: the first of the queue, or the readers at its beginning. */
static void pass_on(struct fair_rwlock *l)
{
	struct waiter *w = waitq_first(&l->waiting);

	if (w && w->writer) {
		set_writer(l, w);
		waitq_wake(w);
		return;
	}
	for (; w && !w->writer; w = waitq_first(&l->waiting)) {
		set_readers(l, l->readers + 1);
		waitq_wake(w);
	}
}

static void wait_turn(struct fair_rwlock *l, struct waiter *self, bool writer, const char *where)
{
	if (l->writer == self)
		lockcheck_twice(&l->info, where);
	waitq_enter(&l->waiting, self);
	self->writer = writer;
	waitq_wait(self, &l->guard, false);
}

void fair_rw_read_lock_at(struct fair_rwlock *l, const char *where)
{
	struct waiter *self = waiter_self();

	ASSERT(self);
	if (lockcheck_on)
		lockcheck_before(&l->info, LOCK_SHARED, where);
	spin_lock(&l->guard);
	if (!l->writer && list_empty(&l->waiting))
		set_readers(l, l->readers + 1);
	else
		wait_turn(l, self, false, where);
	ASSERT(l->readers && !l->writer);
	spin_unlock(&l->guard);
	if (lockcheck_on)
		lockcheck_taken(&l->info, LOCK_SHARED, where);
}

void fair_rw_read_unlock_at(struct fair_rwlock *l, const char *where)
{
	if (lockcheck_on)
		lockcheck_release(&l->info, LOCK_SHARED, where);
	spin_lock(&l->guard);
	ASSERT(l->readers);
	set_readers(l, l->readers - 1);
	if (!l->readers)
		pass_on(l);
	spin_unlock(&l->guard);
}

void fair_rw_write_lock_at(struct fair_rwlock *l, const char *where)
{
	struct waiter *self = waiter_self();

	ASSERT(self);
	if (lockcheck_on)
		lockcheck_before(&l->info, LOCK_SLEEPS, where);
	spin_lock(&l->guard);
	/* Somebody waits only while somebody is inside, so the queue need not be asked. */
	if (!l->writer && !l->readers)
		set_writer(l, self);
	else
		wait_turn(l, self, true, where);
	ASSERT(l->writer == self && !l->readers);
	spin_unlock(&l->guard);
	if (lockcheck_on)
		lockcheck_taken(&l->info, LOCK_SLEEPS, where);
}

void fair_rw_write_unlock_at(struct fair_rwlock *l, const char *where)
{
	if (lockcheck_on)
		lockcheck_release(&l->info, LOCK_SLEEPS, where);
	spin_lock(&l->guard);
	ASSERT(l->writer == waiter_self());
	set_writer(l, NULL);
	pass_on(l);
	spin_unlock(&l->guard);
}
