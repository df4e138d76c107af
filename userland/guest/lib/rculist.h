/* SPDX-License-Identifier: MIT */
/*
 * rculist.h - lists that are read while they change
 *
 * One writer at a time (its lock is the caller's business), any number of readers without one. Two
 * rules make that possible:
 *
 *  1. What a pointer leads to is complete before the pointer is stored: rcu_publish() is a store
 *     with release, rcu_dereference() a load with acquire. On x86 both are plain moves.
 *  2. An entry that is taken out keeps its own way on, so that a reader that stands on it finds the
 *     rest of the list. So it may be neither freed nor entered anywhere again before all readers
 *     that may stand on it have gone: a grace period (sync/rcu.h).
 *
 * A reader sees every entry that is there from its beginning to its end, once; one that comes or
 * goes meanwhile it sees or not. Entries come at the front only (rcu_hlist_add(), rcu_list_add()) or
 * at the end (rcu_list_add_tail()).
 *
 * Two forms: struct list as in list.h, read forwards only; and hash lists, whose head is one
 * pointer and which end with NULL.
 */
#ifndef RS_LIB_RCULIST_H
#define RS_LIB_RCULIST_H

#include "list.h"

/** rcu_publish() - *@p leads to @v from now on; what @v leads to was written before */
#define rcu_publish(p, v)	__atomic_store_n(&(p), v, __ATOMIC_RELEASE)
/** rcu_dereference() - the pointer @p, by a reader */
#ifndef RS_HOSTED
#define rcu_dereference(p)	__atomic_load_n(&(p), __ATOMIC_ACQUIRE)
#else
/* Between any two steps a reader may be held up for long: tests see to it (sync/rcu.c has the word). */
extern void (*rcu_reader_hook)(void);
#define rcu_dereference(p) \
	({ if (rcu_reader_hook) rcu_reader_hook(); __atomic_load_n(&(p), __ATOMIC_ACQUIRE); })
#endif

/* --- struct list ------------------------------------------------------------------------------ */

static inline void rcu_list_insert(struct list *prev, struct list *e)
{
	e->prev = prev;
	e->next = prev->next;
	prev->next->prev = e;
	rcu_publish(prev->next, e);
}

static inline void rcu_list_add(struct list *head, struct list *e)
{
	rcu_list_insert(head, e);
}

static inline void rcu_list_add_tail(struct list *head, struct list *e)
{
	rcu_list_insert(head->prev, e);
}

/** rcu_list_del() - @e leaves; readers on it go on. Not for an entry that is in no list. */
static inline void rcu_list_del(struct list *e)
{
	e->next->prev = e->prev;
	rcu_publish(e->prev->next, e->next);
	e->prev = NULL;
}

/** rcu_list_replace() - @new, complete, takes the place of @old: a reader sees one of the two */
static inline void rcu_list_replace(struct list *old, struct list *new)
{
	new->next = old->next;
	new->prev = old->prev;
	new->next->prev = new;
	rcu_publish(new->prev->next, new);
	old->prev = NULL;
}

#define rcu_list_for_each(pos, head, member)						\
	for (pos = list_entry(rcu_dereference((head)->next), typeof(*pos), member);	\
	     &pos->member != (head);							\
	     pos = list_entry(rcu_dereference(pos->member.next), typeof(*pos), member))

/* --- hash lists ------------------------------------------------------------------------------- */

struct hlist {
	struct hnode *first;
};

/** struct hnode - @at: who points at it; NULL: it is in no list */
struct hnode {
	struct hnode *next, **at;
};

static inline void rcu_hlist_add(struct hlist *head, struct hnode *n)
{
	n->next = head->first;
	n->at = &head->first;
	if (n->next)
		n->next->at = &n->next;
	rcu_publish(head->first, n);
}

/** rcu_hlist_del() - @n leaves, if it is in a list; readers on it go on */
static inline void rcu_hlist_del(struct hnode *n)
{
	if (!n->at)
		return;
	if (n->next)
		n->next->at = n->at;
	rcu_publish(*n->at, n->next);
	n->at = NULL;
}

/** rcu_hlist_replace() - @new, complete, takes the place of @old: a reader sees one of the two */
static inline void rcu_hlist_replace(struct hnode *old, struct hnode *new)
{
	new->next = old->next;
	new->at = old->at;
	if (new->next)
		new->next->at = &new->next;
	rcu_publish(*new->at, new);
	old->at = NULL;
}

#define hlist_entry(p, type, member) \
	({ struct hnode *n_ = (p); n_ ? container_of(n_, type, member) : NULL; })
#define rcu_hlist_for_each(pos, head, member)						\
	for (pos = hlist_entry(rcu_dereference((head)->first), typeof(*pos), member);	\
	     pos;									\
	     pos = hlist_entry(rcu_dereference(pos->member.next), typeof(*pos), member))

#endif
