/* SPDX-License-Identifier: MIT */
/*
 * fair_rwlock.h - many readers or one writer, in the order they came
 *
 * One queue for both. Who comes while somebody waits goes to its end, a reader too, though only
 * readers may be inside; whoever leaves last lets in the first of the queue, and with a reader all
 * readers directly behind it. So nobody is passed by one who came later, but readers by readers
 * that enter together: once a writer is in the queue, no reader that comes after it enters before
 * it, and it waits for at most those before it. The price: a reader that enters again while a
 * writer waits would wait for that writer, which waits for it; the checker reports this as taken
 * twice.
 *
 * Invariants, under guard: not (readers and writer); somebody waits only while somebody is inside;
 * the first of the queue is a writer when readers are inside.
 */
#ifndef RS_SYNC_FAIR_RWLOCK_H
#define RS_SYNC_FAIR_RWLOCK_H

#include "waiter.h"

struct fair_rwlock {
	struct spinlock guard;
	u32 readers;			/* inside */
	struct waiter *writer;		/* inside; written under guard */
	struct list waiting;
	struct lock_info info;
};

#define FAIR_RWLOCK_INIT(l, n, r)	{						\
	.guard = SPINLOCK_INIT("rwlock guard", LOCK_RANK_WAIT),				\
	.waiting = LIST_INIT((l).waiting), .info = LOCK_INFO(n, r) }

void fair_rw_init(struct fair_rwlock *l, const char *name, u32 rank);
void fair_rw_read_lock_at(struct fair_rwlock *l, const char *where);
void fair_rw_read_unlock_at(struct fair_rwlock *l, const char *where);
void fair_rw_write_lock_at(struct fair_rwlock *l, const char *where);
void fair_rw_write_unlock_at(struct fair_rwlock *l, const char *where);

/** fair_rw_read_lock() - may sleep: no spinlock held, and not inside already */
#define fair_rw_read_lock(l)	fair_rw_read_lock_at(l, LOCK_HERE)
#define fair_rw_read_unlock(l)	fair_rw_read_unlock_at(l, LOCK_HERE)
#define fair_rw_write_lock(l)	fair_rw_write_lock_at(l, LOCK_HERE)
#define fair_rw_write_unlock(l)	fair_rw_write_unlock_at(l, LOCK_HERE)

/** fair_rw_held_write() - by this thread */
static inline bool fair_rw_held_write(const struct fair_rwlock *l)
{
	return __atomic_load_n(&l->writer, __ATOMIC_RELAXED) == waiter_self();
}

/** fair_rw_held_read() - by somebody; with the checker on: by this thread */
static inline bool fair_rw_held_read(const struct fair_rwlock *l)
{
	return __atomic_load_n(&l->readers, __ATOMIC_RELAXED) &&
	       lockcheck_holds(&l->info, LOCK_SHARED);
}

#define fair_rw_assert_held_write(l)	ASSERT(fair_rw_held_write(l))
#define fair_rw_assert_held_read(l)	ASSERT(fair_rw_held_read(l))

#endif
