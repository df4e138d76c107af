// SPDX-License-Identifier: MIT
/*
 * channel.c - see channel.h
 *
 * Channels are hashed to buckets, each a queue with its guard; a bucket may hold sleepers of
 * several channels, in the order they came. Lock order: condition lock, then guard. On the way back
 * the guard is dropped before the condition lock is taken again.
 */
#include "channel.h"

#define BUCKETS	64	/* a power of two */

static struct bucket {
	struct spinlock guard;
	struct list sleepers;	/* next is NULL: nobody was here yet */
} __attribute__((aligned(64))) buckets[BUCKETS] = {
	[0 ... BUCKETS - 1].guard = SPINLOCK_INIT("channel", LOCK_RANK_WAIT),
};

static struct bucket *bucket_lock(const void *chan)
{
	/* Fibonacci hashing: the multiplier is 2^64 divided by the golden ratio. */
	struct bucket *b = &buckets[((u64)chan * 0x9e3779b97f4a7c15ull) >> 58 & (BUCKETS - 1)];

	spin_lock(&b->guard);
	if (!b->sleepers.next)
		list_init(&b->sleepers);
	return b;
}

static int sleep_on(const void *chan, struct spinlock *cond, bool killable)
{
	struct waiter *self = waiter_self();
	struct bucket *b;
	int err;

	spin_assert_held(cond);
	b = bucket_lock(chan);
	ASSERT(self);
	self->chan = chan;
	waitq_enter(&b->sleepers, self);
	spin_unlock(cond);
	err = waitq_wait(self, &b->guard, killable);
	spin_unlock(&b->guard);
	spin_lock(cond);
	return err;
}

void channel_sleep(const void *chan, struct spinlock *cond)
{
	sleep_on(chan, cond, false);
}

int channel_sleep_killable(const void *chan, struct spinlock *cond)
{
	return sleep_on(chan, cond, true);
}

u32 channel_wake_some(const void *chan, u32 max)
{
	struct bucket *b = bucket_lock(chan);
	struct waiter *w, *next;
	u32 n = 0;

	list_for_each_safe(w, next, &b->sleepers, link) {
		if (n == max)
			break;
		if (w->chan != chan)
			continue;
		waitq_wake(w);
		n++;
	}
	spin_unlock(&b->guard);
	return n;
}

u32 channel_wake(const void *chan)
{
	return channel_wake_some(chan, ~0u);
}
