/* SPDX-License-Identifier: MIT */
/*
 * spinlock.h - a word that says which CPU is inside
 *
 * Invariant: holder is the number (id + 1) of the one CPU between spin_lock() and spin_unlock(), 0
 * when there is none; only a compare-and-swap from 0 enters, only the holder stores 0.
 *
 * The swap is an acquire, the store of 0 a release, and they meet in the same word: whatever the
 * last holder wrote is seen by the next. Waiting reads only (relaxed), so that the line stays
 * shared until it is worth trying.
 *
 * Interrupts are off from before the swap until after the release, nested per CPU (arch/irq.h): an
 * interrupt handler can never wait for a lock that the code below it on the same CPU holds, and a
 * holder is not switched away. There is no queue: among waiters the fastest wins. That suits
 * virtual CPUs, where the next in a queue may be one that Linux is not running; who needs turns
 * uses ticket.h.
 *
 * A CPU that waits for itself is found in every build; the rest is lockcheck.h's.
 */
#ifndef RS_SYNC_SPINLOCK_H
#define RS_SYNC_SPINLOCK_H

#include "../arch/atomic.h"
#include "../arch/irq.h"
#include "lockcheck.h"

struct spinlock {
	u32 holder;
	struct lock_info info;
};

#define SPINLOCK_INIT(n, r)	{ .info = LOCK_INFO(n, r) }

static inline void spin_init(struct spinlock *l, const char *name, u32 rank)
{
	*l = (struct spinlock)SPINLOCK_INIT(name, rank);
}

/* spinlock.c: somebody else is inside */
void spin_lock_wait(struct spinlock *l, const char *where);

static inline u32 spin_me(void)
{
	return this_cpu()->id + 1;
}

static inline bool spin_try_once(struct spinlock *l, u32 me)
{
	u32 nobody = 0;

	return __atomic_compare_exchange_n(&l->holder, &nobody, me, false, __ATOMIC_ACQUIRE,
					   __ATOMIC_RELAXED);
}

static inline void spin_lock_at(struct spinlock *l, const char *where)
{
	irq_push();
	if (unlikely(lockcheck_on))
		lockcheck_before(&l->info, LOCK_SPINS, where);
	if (unlikely(!spin_try_once(l, spin_me())))
		spin_lock_wait(l, where);
	if (unlikely(lockcheck_on))
		lockcheck_taken(&l->info, LOCK_SPINS, where);
}

static inline bool spin_trylock_at(struct spinlock *l, const char *where)
{
	irq_push();
	if (!spin_try_once(l, spin_me())) {
		irq_pop();
		return false;
	}
	if (unlikely(lockcheck_on))
		lockcheck_taken(&l->info, LOCK_SPINS, where);
	return true;
}

static inline void spin_unlock_at(struct spinlock *l, const char *where)
{
	if (unlikely(lockcheck_on))
		lockcheck_release(&l->info, LOCK_SPINS, where);
	__atomic_store_n(&l->holder, 0, __ATOMIC_RELEASE);
	irq_pop();
}

/** spin_lock() - any context; does not sleep. Interrupts are off until spin_unlock(). */
#define spin_lock(l)		spin_lock_at(l, LOCK_HERE)
/** spin_trylock() - false, and nothing has changed, when somebody is inside */
#define spin_trylock(l)		spin_trylock_at(l, LOCK_HERE)
/** spin_unlock() - by the CPU that holds it; locks may be released in any order */
#define spin_unlock(l)		spin_unlock_at(l, LOCK_HERE)

/**
 * spin_held() - by this CPU. Relaxed: only our own value matters, and that we wrote ourselves, or
 * nobody else could.
 */
static inline bool spin_held(const struct spinlock *l)
{
	return __atomic_load_n(&l->holder, __ATOMIC_RELAXED) == spin_me();
}

/** spin_is_locked() - by anybody; old as soon as it is known */
static inline bool spin_is_locked(const struct spinlock *l)
{
	return __atomic_load_n(&l->holder, __ATOMIC_RELAXED);
}

#define spin_assert_held(l)	ASSERT(spin_held(l))

#endif
