/* SPDX-License-Identifier: MIT */
/*
 * channel.h - sleep until somebody says that something has changed
 *
 * A channel is an address that both sides know, usually of what they wait for; it is never read.
 * What must be true lies under a spinlock of the caller's, the condition lock:
 *
 *	spin_lock(&p->lock);			spin_lock(&p->lock);
 *	while (!p->bytes)			p->bytes += n;
 *		channel_sleep(&p->bytes, &p->lock);	channel_wake(&p->bytes);
 *	...					spin_unlock(&p->lock);
 *
 * channel_sleep() is in the channel's queue before it drops the condition lock. So a waker, which
 * changes the condition under that lock, is either before the sleeper's test, which then finds it
 * true, or after the sleeper is in the queue, where channel_wake() finds it: nothing is lost in
 * between. It may also be called after the lock was dropped, for the same reason. Being woken says
 * "look again", no more: all who sleep on the channel are woken, and some will find that others
 * were faster.
 */
#ifndef RS_SYNC_CHANNEL_H
#define RS_SYNC_CHANNEL_H

#include "waiter.h"

/**
 * channel_sleep() - drops @cond, sleeps on @chan, takes @cond again. @cond is the only spinlock
 * held.
 */
void channel_sleep(const void *chan, struct spinlock *cond);
/**
 * channel_sleep_killable() - the same; -EINTR when waiter_kill() ended it, else 0. @cond is held
 * either way.
 */
int channel_sleep_killable(const void *chan, struct spinlock *cond);
/**
 * channel_wake() - wakes all that sleep on @chan; how many these were The condition was changed
 * under the condition lock, which may still be held. Any context, does not sleep.
 */
u32 channel_wake(const void *chan);
/** channel_wake_some() - no more than @max, those first that wait longest */
u32 channel_wake_some(const void *chan, u32 max);

#endif
