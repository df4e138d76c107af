// SPDX-License-Identifier: MIT
/*
 * spinlock.c - the waiting part of spinlock.h
 */
#include "spinlock.h"

void spin_lock_wait(struct spinlock *l, const char *where)
{
	u32 me = spin_me(), holder;

	do {
		while ((holder = __atomic_load_n(&l->holder, __ATOMIC_RELAXED))) {
			if (holder == me)
				lockcheck_twice(&l->info, where);
			cpu_relax();
		}
	} while (!spin_try_once(l, me));
}
