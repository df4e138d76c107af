// SPDX-License-Identifier: MIT
/*
 * waiter.c - see waiter.h
 */
#include "waiter.h"

static const struct waiter_ops *ops;

static struct lock_held_set *thread_held(void)
{
	struct waiter *w = ops->self();

	return w ? &w->held : NULL;
}

void waiter_setup(const struct waiter_ops *o)
{
	ops = o;
	lockcheck_thread = thread_held;
}

void waiter_init(struct waiter *w)
{
	*w = (struct waiter){ .held.n = 0 };
	list_init(&w->link);
}

struct waiter *waiter_self(void)
{
	return ops ? ops->self() : NULL;
}

/*
 * The flag is set before wake(), and the sleeper looks at it before every block(): if it looks too
 * early, wake() is kept for the block() that follows.
 */
void waiter_kill(struct waiter *w)
{
	__atomic_store_n(&w->killed, true, __ATOMIC_RELEASE);
	ops->wake(w);
}

void waiter_revive(struct waiter *w)
{
	__atomic_store_n(&w->killed, false, __ATOMIC_RELAXED);
}

void waitq_enter(struct list *q, struct waiter *w)
{
	ASSERT(w && list_empty(&w->link));
	w->woken = false;
	list_add_tail(q, &w->link);
}

int waitq_wait(struct waiter *w, struct spinlock *guard, bool killable)
{
	spin_assert_held(guard);
	if (this_cpu()->irq_depth != 1)
		lockcheck_sleep(&guard->info);
	while (!w->woken) {
		if (killable && __atomic_load_n(&w->killed, __ATOMIC_ACQUIRE)) {
			list_del(&w->link);
			return -EINTR;
		}
		spin_unlock(guard);
		ops->block(w);
		spin_lock(guard);
	}
	return 0;
}

void waitq_wake(struct waiter *w)
{
	ASSERT(!w->woken);
	list_del(&w->link);
	w->woken = true;
	ops->wake(w);
}
