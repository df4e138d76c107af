// SPDX-License-Identifier: MIT
/*
 * ticket.c - see ticket.h
 */
#include "ticket.h"

static void entered(struct ticket_lock *l, const char *where)
{
	__atomic_store_n(&l->holder, this_cpu()->id + 1, __ATOMIC_RELAXED);
	if (lockcheck_on)
		lockcheck_taken(&l->info, LOCK_SPINS, where);
}

void ticket_lock_at(struct ticket_lock *l, const char *where)
{
	u32 number;

	irq_push();
	if (lockcheck_on)
		lockcheck_before(&l->info, LOCK_SPINS, where);
	number = __atomic_fetch_add(&l->next, 1, __ATOMIC_RELAXED);
	while (__atomic_load_n(&l->serving, __ATOMIC_ACQUIRE) != number) {
		if (ticket_held(l))
			lockcheck_twice(&l->info, where);
		cpu_relax();
	}
	entered(l, where);
}

bool ticket_trylock_at(struct ticket_lock *l, const char *where)
{
	u32 serving;

	irq_push();
	/*
	 * Free when next is serving. If the add of a number succeeds only from that value, it is
	 * our turn at once; serving cannot have moved meanwhile, because it follows next and never
	 * passes it. The acquire is the load's: the last holder's release was into serving.
	 */
	serving = __atomic_load_n(&l->serving, __ATOMIC_ACQUIRE);
	if (!__atomic_compare_exchange_n(&l->next, &serving, serving + 1, false, __ATOMIC_RELAXED,
					 __ATOMIC_RELAXED)) {
		irq_pop();
		return false;
	}
	entered(l, where);
	return true;
}

void ticket_unlock_at(struct ticket_lock *l, const char *where)
{
	if (lockcheck_on)
		lockcheck_release(&l->info, LOCK_SPINS, where);
	__atomic_store_n(&l->holder, 0, __ATOMIC_RELAXED);
	/* Nobody else writes serving while we are inside. */
	__atomic_store_n(&l->serving, l->serving + 1, __ATOMIC_RELEASE);
	irq_pop();
}
