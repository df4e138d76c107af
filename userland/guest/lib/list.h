/* SPDX-License-Identifier: MIT */
/*
 * list.h - circular doubly linked lists whose links lie inside the objects
 *
 * A head and an entry are the same type; an empty head points at itself. list_del() leaves the
 * entry pointing at itself, so that deleting twice is harmless and list_empty(entry) answers "is it
 * on a list".
 */
#ifndef RS_LIB_LIST_H
#define RS_LIB_LIST_H

#include "types.h"

struct list {
	struct list *next, *prev;
};

#define LIST_INIT(name) { &(name), &(name) }

static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

/** list_insert() - puts @e between @prev and its successor */
static inline void list_insert(struct list *prev, struct list *e)
{
	e->prev = prev;
	e->next = prev->next;
	prev->next->prev = e;
	prev->next = e;
}

static inline void list_add(struct list *head, struct list *e)
{
	list_insert(head, e);
}

static inline void list_add_tail(struct list *head, struct list *e)
{
	list_insert(head->prev, e);
}

static inline void list_del(struct list *e)
{
	e->prev->next = e->next;
	e->next->prev = e->prev;
	list_init(e);
}

#define list_entry(p, type, member)	container_of(p, type, member)
#define list_first(head, type, member)	list_entry((head)->next, type, member)
#define list_for_each(pos, head, member)						\
	for (pos = list_entry((head)->next, typeof(*pos), member); &pos->member != (head);	\
	     pos = list_entry(pos->member.next, typeof(*pos), member))
/* The entry at @pos may be deleted in the body. */
#define list_for_each_safe(pos, tmp, head, member)					\
	for (pos = list_entry((head)->next, typeof(*pos), member),			\
	     tmp = list_entry(pos->member.next, typeof(*pos), member); &pos->member != (head);	\
	     pos = tmp, tmp = list_entry(tmp->member.next, typeof(*tmp), member))

#endif
