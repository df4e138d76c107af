// SPDX-License-Identifier: MIT
/*
 * semaphore.c - see semaphore.h
 */
#include "semaphore.h"

void sema_init(struct semaphore *s, u32 count)
{
	*s = (struct semaphore)SEMAPHORE_INIT(*s, count);
}

static int down(struct semaphore *s, bool killable)
{
	struct waiter *self;
	int err = 0;

	spin_lock(&s->guard);
	if (s->count) {
		s->count--;
	} else {
		self = waiter_self();
		waitq_enter(&s->waiters, self);
		err = waitq_wait(self, &s->guard, killable);
	}
	spin_unlock(&s->guard);
	return err;
}

void sema_down(struct semaphore *s)
{
	down(s, false);
}

int sema_down_killable(struct semaphore *s)
{
	return down(s, true);
}

bool sema_try_down(struct semaphore *s)
{
	bool got;

	spin_lock(&s->guard);
	got = s->count;
	if (got)
		s->count--;
	spin_unlock(&s->guard);
	return got;
}

void sema_up(struct semaphore *s)
{
	struct waiter *first;

	spin_lock(&s->guard);
	first = waitq_first(&s->waiters);
	if (first) {
		waitq_wake(first);
	} else {
		ASSERT(s->count != ~0u);
		s->count++;
	}
	spin_unlock(&s->guard);
}
