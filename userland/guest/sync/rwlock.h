/* SPDX-License-Identifier: MIT */
/*
 * rwlock.h - many readers or one writer, readers first
 *
 * A reader waits only for a writer that is inside, never for one that waits. So a reader may enter
 * again while it reads, and reads are as quick as can be; the price is that readers who keep
 * overlapping keep a writer out for good. Who cannot pay that uses fair_rwlock.h. Waiters sleep.
 *
 * Invariants, under guard: not (readers and writer); a reader waits only while there is a writer; a
 * writer waits only while there is a reader or a writer. The lock is passed on, not freed: a writer
 * that leaves lets all waiting readers in, and only when there is none the next writer; the last
 * reader lets the next writer in.
 */
#ifndef RS_SYNC_RWLOCK_H
#define RS_SYNC_RWLOCK_H

#include "waiter.h"

struct rwlock {
	struct spinlock guard;
	u32 readers;			/* inside */
	struct waiter *writer;		/* inside; written under guard */
	struct list waiting_readers, waiting_writers;
	struct lock_info info;
};

#define RWLOCK_INIT(l, n, r)	{ .guard = SPINLOCK_INIT("rwlock guard", LOCK_RANK_WAIT),	\
				  .waiting_readers = LIST_INIT((l).waiting_readers),		\
				  .waiting_writers = LIST_INIT((l).waiting_writers),		\
				  .info = LOCK_INFO(n, r) }

void rw_init(struct rwlock *l, const char *name, u32 rank);
void rw_read_lock_at(struct rwlock *l, const char *where);
void rw_read_unlock_at(struct rwlock *l, const char *where);
void rw_write_lock_at(struct rwlock *l, const char *where);
void rw_write_unlock_at(struct rwlock *l, const char *where);

/** rw_read_lock() - may sleep: no spinlock held. May be nested in itself. */
#define rw_read_lock(l)		rw_read_lock_at(l, LOCK_HERE)
#define rw_read_unlock(l)	rw_read_unlock_at(l, LOCK_HERE)
/** rw_write_lock() - may sleep: no spinlock held, and not as a reader inside */
#define rw_write_lock(l)	rw_write_lock_at(l, LOCK_HERE)
#define rw_write_unlock(l)	rw_write_unlock_at(l, LOCK_HERE)

/** rw_held_write() - by this thread */
static inline bool rw_held_write(const struct rwlock *l)
{
	return __atomic_load_n(&l->writer, __ATOMIC_RELAXED) == waiter_self();
}

/** rw_held_read() - by somebody; with the checker on: by this thread */
static inline bool rw_held_read(const struct rwlock *l)
{
	return __atomic_load_n(&l->readers, __ATOMIC_RELAXED) &&
	       lockcheck_holds(&l->info, LOCK_SHARED_NESTS);
}

#define rw_assert_held_write(l)	ASSERT(rw_held_write(l))
#define rw_assert_held_read(l)	ASSERT(rw_held_read(l))

#endif
