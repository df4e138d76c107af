/* SPDX-License-Identifier: MIT */
/*
 * spinlock.h - ticket locks
 *
 * FIFO: a CPU takes a number and waits until it is served. Interrupts are off in the kernel anyway,
 * so a holder is never interrupted by something that wants the same lock. Locks have a rank; a CPU
 * takes them in rising order only.
 */
#ifndef RS_SYNC_SPINLOCK_H
#define RS_SYNC_SPINLOCK_H

#include "../arch/atomic.h"
#include "../arch/cpu.h"

enum lock_rank {
	LOCK_RANK_PROC = 10,
	LOCK_RANK_FILES = 20,
	LOCK_RANK_MM = 30,
	LOCK_RANK_SHM = 35,
	LOCK_RANK_HEAP = 40,
	LOCK_RANK_POOL = 50,
	LOCK_RANK_WINDOW = 60,
	LOCK_RANK_CONSOLE = 90,
};

struct spinlock {
	u32 next, serving;
	u32 rank;
	const char *name;
};

#define SPINLOCK_INIT(n, r)	{ .rank = (r), .name = (n) }

static inline void spin_init(struct spinlock *l, const char *name, u32 rank)
{
	l->next = l->serving = 0;
	l->rank = rank;
	l->name = name;
}

static inline void spin_lock(struct spinlock *l)
{
	u32 t = __atomic_fetch_add(&l->next, 1, __ATOMIC_RELAXED);

	while (__atomic_load_n(&l->serving, __ATOMIC_ACQUIRE) != t)
		cpu_relax();
}

static inline void spin_unlock(struct spinlock *l)
{
	__atomic_store_n(&l->serving, l->serving + 1, __ATOMIC_RELEASE);
}

static inline bool spin_is_locked(const struct spinlock *l)
{
	return __atomic_load_n(&l->next, __ATOMIC_RELAXED) != __atomic_load_n(&l->serving,
									      __ATOMIC_RELAXED);
}

#endif
