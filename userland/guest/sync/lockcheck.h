/* SPDX-License-Identifier: MIT */
/*
 * lockcheck.h - are locks taken in an order that cannot deadlock?
 *
 * Every lock carries a struct lock_info; locks of one name are one class. While the checker is on
 * (RS_BOOT_DEBUG; always in hosted tests) it keeps the locks that each CPU and each thread holds,
 * and before a lock is waited for it asks, against each of them:
 *
 *   the same lock		taken twice: would wait for itself
 *   rank			both have one: they must rise
 *   class			two of one class: their addresses must rise
 *   order			"A, then B" is remembered for good; B before A, also by way of
 *				others, is an error, even when no two CPUs ever met there
 *   sleep			a lock that sleeps, while a spinlock is held
 *
 * A total order of all waits, by rank, seen order, and address, has no cycle, and without a cycle
 * nobody waits for a lock whose holder waits for him. A lock that is only tried waits for nobody,
 * so it is entered in the books, not questioned. A violation is a panic that names both locks and
 * where they were taken.
 */
#ifndef RS_SYNC_LOCKCHECK_H
#define RS_SYNC_LOCKCHECK_H

#include "../lib/types.h"

/* Ranks, in the order in which locks are taken. 0: none, only the order seen counts. */
enum lock_rank {
	LOCK_RANK_BIG = 1,
	LOCK_RANK_PROC = 10,
	LOCK_RANK_FILES = 20,
	LOCK_RANK_MM = 30,
	LOCK_RANK_SHM = 35,
	LOCK_RANK_HEAP = 40,
	LOCK_RANK_POOL = 50,
	LOCK_RANK_WINDOW = 60,
	LOCK_RANK_WAIT = 70,	/* inside of locks that sleep, and channels */
	LOCK_RANK_RUN = 80,	/* of the scheduler: what waiter_ops.wake() may take */
	LOCK_RANK_CONSOLE = 90,
};

/** struct lock_info - what a lock is called; part of every lock */
struct lock_info {
	const char *name;	/* its class */
	u32 rank;
	u32 class;		/* number of the class, when known: 1, 2, ... */
	const char *where;	/* it was taken; for reports, only while the checker is on */
};
#define LOCK_INFO(n, r)	{ .name = (n), .rank = (r) }

#define LOCK_STR_(x)	#x
#define LOCK_STR(x)	LOCK_STR_(x)
/* Where this is written: "mm/vma.c:17" */
#define LOCK_HERE	__FILE__ ":" LOCK_STR(__LINE__)

enum lock_kind {
	LOCK_SPINS,		/* belongs to a CPU; the others to a thread, and sleep */
	LOCK_SLEEPS,
	LOCK_SHARED,		/* held with others, and may not be taken again */
	LOCK_SHARED_NESTS,	/* may be taken again by who holds it so */
};

#define LOCKCHECK_HELD	16	/* at once, by one CPU or thread */

/** struct lock_held_set - the locks of a CPU or thread, in the order they were taken */
struct lock_held_set {
	u32 n;
	struct lock_held {
		struct lock_info *lock;
		const char *where;
		enum lock_kind kind;
	} at[LOCKCHECK_HELD];
};

/* Turned on before the first lock is taken, or never. */
extern bool lockcheck_on;

/* What the present thread holds; NULL when there is none yet. Set by waiter_setup(). */
extern struct lock_held_set *(*lockcheck_thread)(void);

/** lockcheck_before() - @l is about to be waited for at @where; panics when that is wrong */
void lockcheck_before(struct lock_info *l, enum lock_kind kind, const char *where);
/** lockcheck_taken() - @l was taken */
void lockcheck_taken(struct lock_info *l, enum lock_kind kind, const char *where);
/** lockcheck_release() - @l is about to be released; panics when we do not hold it */
void lockcheck_release(struct lock_info *l, enum lock_kind kind, const char *where);
/** lockcheck_holds() - this CPU or thread holds @l. True as well while the checker is off. */
bool lockcheck_holds(const struct lock_info *l, enum lock_kind kind);
/** lockcheck_sleep() - the thread sleeps though it holds spinlocks besides @but: panics */
void lockcheck_sleep(const struct lock_info *but) __noreturn;
/** lockcheck_twice() - found while waiting, checker on or off: @l is ours already. Panics. */
void lockcheck_twice(const struct lock_info *l, const char *where) __noreturn;
/** lockcheck_reset() - for tests: forgets all that was seen and is held; all others are at rest */
void lockcheck_reset(void);

#endif
