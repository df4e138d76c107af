/* SPDX-License-Identifier: MIT */
/*
 * ticket.h - a spinlock with turns
 *
 * A CPU draws the number next and waits until serving is that number. Numbers are drawn by an
 * atomic add, so the order of the adds is the order of entry: first come, first served, and no CPU
 * is passed by more than those that came before it.
 *
 * Invariant: next - serving (mod 2^32; there are fewer CPUs than that) is the number of CPUs inside
 * or waiting; the one whose number is serving is inside. Only it writes serving.
 *
 * Drawing orders nothing (relaxed). What does is serving: the holder stores it with release, the
 * next one reads it with acquire, so the next sees all that was done under the lock. Interrupts as
 * in spinlock.h.
 */
#ifndef RS_SYNC_TICKET_H
#define RS_SYNC_TICKET_H

#include "../arch/irq.h"
#include "lockcheck.h"

struct ticket_lock {
	u32 next, serving;
	u32 holder;		/* CPU inside, id + 1; for ticket_held() and reports */
	struct lock_info info;
};

#define TICKET_LOCK_INIT(n, r)	{ .info = LOCK_INFO(n, r) }

static inline void ticket_init(struct ticket_lock *l, const char *name, u32 rank)
{
	*l = (struct ticket_lock)TICKET_LOCK_INIT(name, rank);
}

void ticket_lock_at(struct ticket_lock *l, const char *where);
bool ticket_trylock_at(struct ticket_lock *l, const char *where);
void ticket_unlock_at(struct ticket_lock *l, const char *where);

/** ticket_lock() - any context; does not sleep. Interrupts are off until ticket_unlock(). */
#define ticket_lock(l)		ticket_lock_at(l, LOCK_HERE)
/** ticket_trylock() - false, and no number drawn, when somebody is inside or waits */
#define ticket_trylock(l)	ticket_trylock_at(l, LOCK_HERE)
/** ticket_unlock() - by the CPU that holds it */
#define ticket_unlock(l)	ticket_unlock_at(l, LOCK_HERE)

/** ticket_held() - by this CPU */
static inline bool ticket_held(const struct ticket_lock *l)
{
	return __atomic_load_n(&l->holder, __ATOMIC_RELAXED) == this_cpu()->id + 1;
}

#define ticket_assert_held(l)	ASSERT(ticket_held(l))

#endif
