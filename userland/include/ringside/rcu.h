/* SPDX-License-Identifier: MIT */
/*
 * ringside/rcu.h - read-copy-update for threads: readers without locks, and when to free what they
 * might still see
 *
 * For structures that are read far more often than they change. Readers take no lock, execute no
 * locked instruction and write to no memory that another thread reads in its normal course; writers
 * publish complete new versions, take old ones out, and free these after a grace period, when every
 * reader that might have found them has gone. Writers among themselves need a lock of their own.
 *
 *	reader					writer (has its lock)
 *	rs_rcu_read_lock();			new = copy of old, changed;
 *	p = rs_rcu_dereference(head);		rs_rcu_publish(head, new);
 *	... *p ...				rs_rcu_synchronize();  free(old);
 *	rs_rcu_read_unlock();			or: rs_rcu_call(&old->rcu, free_it);
 *
 * Two kinds of readers, in one program and over the same data as you like:
 *
 *   nested-safe  rs_rcu_read_lock() and rs_rcu_read_unlock() around each use, nested to a depth of
 *		  4000, also in signal handlers. 16 instructions.
 *   quiescent    the thread is a reader all the time from rs_rcu_online() to rs_rcu_offline(), and
 *		  reading costs nothing; instead it says rs_rcu_quiescent() now and then, when it
 *		  holds no pointer from before. It has to, or no grace period ends. Before it blocks
 *		  it goes offline. Functions that read nested-safely may be called by it.
 *
 * Works with any threads of POSIX, in the ring and outside. Readers need no barrier where Linux
 * (and the ring) have membarrier(2), which has the writer order the readers' accesses; elsewhere
 * they execute a fence each time. Threads are registered when they first read, and unregistered
 * when they end.
 *
 * fork: the child has the thread that forked, with its state as a reader, and what waited for a
 * grace period in the parent waits in the child, too: rs_rcu_barrier() or the next rs_rcu_call()
 * there gets it done. The one callback that was running at that moment in another thread is not run
 * in the child. Children that handlers of pthread_atfork() know nothing of (vfork, clone by hand,
 * ringside/fork.h) do not use this.
 *
 * Not in signal handlers: everything but rs_rcu_read_lock() and rs_rcu_read_unlock(), and these
 * only in threads that have read before, or called rs_rcu_register().
 */
#ifndef RINGSIDE_RCU_H
#define RINGSIDE_RCU_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** rs_rcu_publish() - the pointer @p leads to @v, which is complete, from now on */
#define rs_rcu_publish(p, v)	__atomic_store_n(&(p), v, __ATOMIC_RELEASE)
/** rs_rcu_dereference() - the pointer @p, by a reader */
#define rs_rcu_dereference(p)	__atomic_load_n(&(p), __ATOMIC_ACQUIRE)

/* --- what the functions below share with the library: not for use ----------------------------- */

/*
 * @reads: when the thread began to read, a grace period's number and a depth: see rcu.c. 0: not
 *	   registered. Written by the thread, and looked at by writers
 * @flags: RS_RCU_FENCE_, RS_RCU_AWAITED_; written by writers that are about to sleep
 */
struct rs_rcu_thread {
	uint64_t reads;
	uint32_t flags;
	uint32_t online;
	struct rs_rcu_thread *next, **at;
} __attribute__((aligned(64)));

#define RS_RCU_DEPTH_	0xfffull
#define RS_RCU_FENCE_	1u
#define RS_RCU_AWAITED_	2u

extern __thread struct rs_rcu_thread rs_rcu_self_ __attribute__((tls_model("initial-exec")));
extern uint64_t rs_rcu_period_;
void rs_rcu_first_(void);
void rs_rcu_began_(void);
void rs_rcu_ended_(void);

/* --- readers ---------------------------------------------------------------------------------- */

/**
 * rs_rcu_read_lock() - what is found from now on is not freed before the matching
 * rs_rcu_read_unlock(). Does not block.
 */
static inline void rs_rcu_read_lock(void)
{
	struct rs_rcu_thread *t = &rs_rcu_self_;
	uint64_t reads = __atomic_load_n(&t->reads, __ATOMIC_RELAXED);

	if (__builtin_expect(reads & RS_RCU_DEPTH_, 0)) {
		__atomic_store_n(&t->reads, reads + 1, __ATOMIC_RELAXED);
		return;
	}
	if (__builtin_expect(!reads, 0))
		rs_rcu_first_();
	reads = __atomic_load_n(&rs_rcu_period_, __ATOMIC_ACQUIRE);
	__atomic_store_n(&t->reads, reads, __ATOMIC_RELAXED);
	/* The compiler keeps the order; the CPU's is the writer's business. */
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (__builtin_expect(__atomic_load_n(&t->flags, __ATOMIC_RELAXED), 0))
		rs_rcu_began_();
}

/** rs_rcu_read_unlock() - ends what the matching rs_rcu_read_lock() began */
static inline void rs_rcu_read_unlock(void)
{
	struct rs_rcu_thread *t = &rs_rcu_self_;
	uint64_t reads = __atomic_load_n(&t->reads, __ATOMIC_RELAXED);

	__atomic_store_n(&t->reads, reads - 1, __ATOMIC_RELEASE);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (__builtin_expect(__atomic_load_n(&t->flags, __ATOMIC_RELAXED), 0))
		rs_rcu_ended_();
}

/**
 * rs_rcu_online(), rs_rcu_offline() - the calling thread reads all the time, and does not any more.
 * Offline, it may block and need not say anything; so it is at first. Not between
 * rs_rcu_read_lock() and rs_rcu_read_unlock().
 */
void rs_rcu_online(void);
void rs_rcu_offline(void);

/**
 * rs_rcu_quiescent() - the calling thread, which is online, holds nothing that it has found before
 * Within a read section, or offline, it does nothing.
 */
static inline void rs_rcu_quiescent(void)
{
	struct rs_rcu_thread *t = &rs_rcu_self_;
	uint64_t reads = __atomic_load_n(&t->reads, __ATOMIC_RELAXED);

	if (__builtin_expect((reads & RS_RCU_DEPTH_) != 1 || !t->online, 0))
		return;
	reads = __atomic_load_n(&rs_rcu_period_, __ATOMIC_ACQUIRE);
	__atomic_store_n(&t->reads, reads, __ATOMIC_RELEASE);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (__builtin_expect(__atomic_load_n(&t->flags, __ATOMIC_RELAXED), 0))
		rs_rcu_ended_();
}

/**
 * rs_rcu_register(), rs_rcu_unregister() - the calling thread may read. Both happen by themselves,
 * at its first read and at its end; a thread whose first read may be in a signal handler, or that
 * wants to know whether it fails, says so. 0, -EAGAIN, -ENOMEM; -EBUSY: it is reading.
 */
int rs_rcu_register(void);
int rs_rcu_unregister(void);

/* --- writers ---------------------------------------------------------------------------------- */

/**
 * rs_rcu_synchronize() - returns when all readers have gone that were there when it was called.
 * Sleeps if it has to. A thread that is online counts as quiescent meanwhile. Within a read section
 * it would wait for itself: it ends the program with a message.
 */
void rs_rcu_synchronize(void);

/** struct rs_rcu_head - part of an object that is given to rs_rcu_call() */
struct rs_rcu_head {
	struct rs_rcu_head *next;
	void (*fn)(struct rs_rcu_head *head);
};

/**
 * rs_rcu_call() - @fn(@head) after a grace period, in a thread of the library's, in the order of
 * the calls May be called by readers. @fn may take locks, read, and call rs_rcu_call(), but not
 * rs_rcu_barrier(). While there is no such thread for want of memory, callbacks wait for the next
 * rs_rcu_call() or rs_rcu_barrier().
 */
void rs_rcu_call(struct rs_rcu_head *head, void (*fn)(struct rs_rcu_head *head));

/**
 * rs_rcu_barrier() - returns when all callbacks of earlier rs_rcu_call()s have returned
 * What is said of rs_rcu_synchronize() goes for this as well.
 */
void rs_rcu_barrier(void);

#define rs_rcu_container(p, type, member) ((type *)((char *)(p) - offsetof(type, member)))

/* --- lists: one writer at a time, readers at any time ----------------------------------------- */

/*
 * An entry that is taken out keeps its own pointers, so that a reader on it finds the rest of the
 * list: it is neither freed nor entered anywhere before a grace period is over. Readers go
 * forwards.
 */
struct rs_rcu_list {
	struct rs_rcu_list *next, *prev;
};

static inline void rs_rcu_list_init(struct rs_rcu_list *head)
{
	head->next = head->prev = head;
}

static inline void rs_rcu_list_insert_(struct rs_rcu_list *prev, struct rs_rcu_list *e)
{
	e->prev = prev;
	e->next = prev->next;
	prev->next->prev = e;
	rs_rcu_publish(prev->next, e);
}

/** rs_rcu_list_add(), rs_rcu_list_add_tail() - @e, complete, becomes the first or the last */
static inline void rs_rcu_list_add(struct rs_rcu_list *head, struct rs_rcu_list *e)
{
	rs_rcu_list_insert_(head, e);
}

static inline void rs_rcu_list_add_tail(struct rs_rcu_list *head, struct rs_rcu_list *e)
{
	rs_rcu_list_insert_(head->prev, e);
}

static inline void rs_rcu_list_del(struct rs_rcu_list *e)
{
	e->next->prev = e->prev;
	rs_rcu_publish(e->prev->next, e->next);
}

/** rs_rcu_list_replace() - a reader sees @e, complete, or @old, which leaves */
static inline void rs_rcu_list_replace(struct rs_rcu_list *old, struct rs_rcu_list *e)
{
	e->next = old->next;
	e->prev = old->prev;
	e->next->prev = e;
	rs_rcu_publish(e->prev->next, e);
}

#define rs_rcu_list_for_each(pos, head, member)								\
	for (pos = rs_rcu_container(rs_rcu_dereference((head)->next), __typeof__(*pos), member);	\
	     &pos->member != (head);									\
	     pos = rs_rcu_container(rs_rcu_dereference(pos->member.next), __typeof__(*pos), member))

/** struct rs_rcu_hlist - of a hash table: one pointer, NULL when empty */
struct rs_rcu_hlist {
	struct rs_rcu_hnode *first;
};

struct rs_rcu_hnode {
	struct rs_rcu_hnode *next, **at;
};

static inline void rs_rcu_hlist_add(struct rs_rcu_hlist *head, struct rs_rcu_hnode *n)
{
	n->next = head->first;
	n->at = &head->first;
	if (n->next)
		n->next->at = &n->next;
	rs_rcu_publish(head->first, n);
}

static inline void rs_rcu_hlist_del(struct rs_rcu_hnode *n)
{
	if (n->next)
		n->next->at = n->at;
	rs_rcu_publish(*n->at, n->next);
}

/** rs_rcu_hlist_replace() - a reader sees @n, complete, or @old, which leaves */
static inline void rs_rcu_hlist_replace(struct rs_rcu_hnode *old, struct rs_rcu_hnode *n)
{
	n->next = old->next;
	n->at = old->at;
	if (n->next)
		n->next->at = &n->next;
	rs_rcu_publish(*n->at, n);
}

#define rs_rcu_hlist_entry_(n, type, member) ((n) ? rs_rcu_container(n, type, member) : NULL)
#define rs_rcu_hlist_for_each(pos, head, member)							\
	for (struct rs_rcu_hnode *n_ = rs_rcu_dereference((head)->first);				\
	     (pos = rs_rcu_hlist_entry_(n_, __typeof__(*pos), member));					\
	     n_ = rs_rcu_dereference(n_->next))

#ifdef __cplusplus
}
#endif

#endif /* RINGSIDE_RCU_H */
