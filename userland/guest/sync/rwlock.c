// SPDX-License-Identifier: MIT
/*
 * rwlock.c - see rwlock.h
 */
#include "rwlock.h"

void rw_init(struct rwlock *l, const char *name, u32 rank)
{
	*l = (struct rwlock)RWLOCK_INIT(*l, name, rank);
}

/* Both are read without the guard by the rw_held_*(). */
static void set_readers(struct rwlock *l, u32 n)
{
	__atomic_store_n(&l->readers, n, __ATOMIC_RELAXED);
}

static void set_writer(struct rwlock *l, struct waiter *w)
{
	__atomic_store_n(&l->writer, w, __ATOMIC_RELAXED);
}

/* Nobody is inside. */
static void next_writer(struct rwlock *l)
{
	struct waiter *w = waitq_first(&l->waiting_writers);

	set_writer(l, w);
	if (w)
		waitq_wake(w);
}

void rw_read_lock_at(struct rwlock *l, const char *where)
{
	struct waiter *self = waiter_self();

	if (lockcheck_on)
		lockcheck_before(&l->info, LOCK_SHARED_NESTS, where);
	spin_lock(&l->guard);
	if (!l->writer) {
		set_readers(l, l->readers + 1);
	} else {
		if (l->writer == self)
			lockcheck_twice(&l->info, where);
		waitq_enter(&l->waiting_readers, self);
		waitq_wait(self, &l->guard, false);
	}
	ASSERT(l->readers && !l->writer);
	spin_unlock(&l->guard);
	if (lockcheck_on)
		lockcheck_taken(&l->info, LOCK_SHARED_NESTS, where);
}

void rw_read_unlock_at(struct rwlock *l, const char *where)
{
	if (lockcheck_on)
		lockcheck_release(&l->info, LOCK_SHARED_NESTS, where);
	spin_lock(&l->guard);
	ASSERT(l->readers);
	set_readers(l, l->readers - 1);
	if (!l->readers)
		next_writer(l);
	spin_unlock(&l->guard);
}

void rw_write_lock_at(struct rwlock *l, const char *where)
{
	struct waiter *self = waiter_self();

	ASSERT(self);
	if (lockcheck_on)
		lockcheck_before(&l->info, LOCK_SLEEPS, where);
	spin_lock(&l->guard);
	if (!l->writer && !l->readers) {
		set_writer(l, self);
	} else {
		if (l->writer == self)
			lockcheck_twice(&l->info, where);
		waitq_enter(&l->waiting_writers, self);
		waitq_wait(self, &l->guard, false);
	}
	ASSERT(l->writer == self && !l->readers);
	spin_unlock(&l->guard);
	if (lockcheck_on)
		lockcheck_taken(&l->info, LOCK_SLEEPS, where);
}

void rw_write_unlock_at(struct rwlock *l, const char *where)
{
	struct waiter *r;

	if (lockcheck_on)
		lockcheck_release(&l->info, LOCK_SLEEPS, where);
	spin_lock(&l->guard);
	ASSERT(l->writer == waiter_self());
	set_writer(l, NULL);
	while ((r = waitq_first(&l->waiting_readers))) {
		set_readers(l, l->readers + 1);
		waitq_wake(r);
	}
	if (!l->readers)
		next_writer(l);
	spin_unlock(&l->guard);
}
