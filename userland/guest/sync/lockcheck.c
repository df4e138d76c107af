// SPDX-License-Identifier: MIT
/*
 * lockcheck.c - see lockcheck.h
 *
 * The sets of held locks are each written and read by their CPU or thread only. The graph (classes,
 * edges) is shared, grows and never shrinks, and is changed under graph_lock, which is taken with
 * interrupts off and below which nothing is taken. An edge that is there already is the common
 * case; it is looked up without the lock: a bit once set stays, and whoever set it has searched for
 * a cycle before, so reading it late only means searching under the lock for nothing. The bit
 * carries no other data, so relaxed order does.
 *
 * Invariant: the graph has no cycle. An edge goes in only when its end does not reach its
 * beginning.
 */
#include "lockcheck.h"
#include "../arch/irq.h"
#include "../lib/printf.h"
#include "../lib/string.h"

#define MAX_CLASSES	64
#define MAX_EDGES	512

#ifdef RS_HOSTED
bool lockcheck_on = true;
#else
bool lockcheck_on;
#endif
struct lock_held_set *(*lockcheck_thread)(void);

static struct lock_held_set cpu_held[RS_NR_CPUS];

static u32 graph_lock;
static const char *class_name[MAX_CLASSES];
static u32 nclasses = 1;			/* 0 is none */
static u64 after[MAX_CLASSES];			/* bit b of after[a]: b was taken with a held */
static struct edge {
	u32 from, to;
	const char *where_from, *where_to;
} edges[MAX_EDGES];
static u32 nedges;

_Static_assert(MAX_CLASSES <= 64, "a class is a bit");

static void graph_enter(void)
{
	irq_push();
	while (__atomic_exchange_n(&graph_lock, 1, __ATOMIC_ACQUIRE))
		cpu_relax();
}

static void graph_leave(void)
{
	__atomic_store_n(&graph_lock, 0, __ATOMIC_RELEASE);
	irq_pop();
}

/* Adds a class when its name is new; 0 when there is no room. */
static u32 class_find(const char *name)
{
	u32 c;

	for (c = 1; c < nclasses; c++)
		if (class_name[c] == name || !strcmp(class_name[c], name))
			return c;
	if (c == MAX_CLASSES)
		return 0;
	class_name[nclasses++] = name;
	return c;
}

static u32 class_of(struct lock_info *l)
{
	u32 c = __atomic_load_n(&l->class, __ATOMIC_RELAXED);

	if (c)
		return c;
	graph_enter();
	c = class_find(l->name ? l->name : "(unnamed)");
	graph_leave();
	if (!c)
		rs_panic("lock checker: more than %d names of locks", MAX_CLASSES - 1);
	__atomic_store_n(&l->class, c, __ATOMIC_RELAXED);
	return c;
}

static struct lock_held_set *set_of(enum lock_kind kind)
{
	if (kind == LOCK_SPINS)
		return &cpu_held[this_cpu()->id];
	return lockcheck_thread ? lockcheck_thread() : NULL;
}

static const struct lock_held *held_find(const struct lock_held_set *s, const struct lock_info *l)
{
	u32 i;

	for (i = s ? s->n : 0; i--;)
		if (s->at[i].lock == l)
			return &s->at[i];
	return NULL;
}

static void __noreturn report(const char *what, const struct lock_info *l, const char *where,
			      const struct lock_held *h, const char *more)
{
	rs_panic("locks: %s: takes \"%s\" (rank %u) at %s, holds \"%s\" (rank %u) taken at %s%s",
		 what, l->name, l->rank, where, h->lock->name, h->lock->rank, h->where, more);
}

static const struct edge *edge_find(u32 from, u32 to)
{
	u32 i;

	for (i = 0; i < nedges; i++)
		if (edges[i].from == from && edges[i].to == to)
			return &edges[i];
	return NULL;
}

/*
 * The way from class @a to class @b, if there is one, written to @t: breadth first, so it is the
 * shortest.
 */
static bool path_find(u32 a, u32 b, struct textbuf *t)
{
	u32 queue[MAX_CLASSES], came[MAX_CLASSES], first = 0, last = 0, c, k;
	u64 seen = 1ull << a;

	queue[last++] = a;
	while (first < last) {
		c = queue[first++];
		for (k = 1; k < nclasses; k++) {
			if (!(after[c] >> k & 1) || seen >> k & 1)
				continue;
			seen |= 1ull << k;
			came[k] = c;
			queue[last++] = k;
		}
	}
	if (!(seen >> b & 1))
		return false;
	/* Backwards along came[]: the last step first. */
	for (k = b; k != a; k = came[k]) {
		const struct edge *e = edge_find(came[k], k);

		text_printf(t, "; seen before: \"%s\" taken at %s, then \"%s\" at %s",
			    class_name[came[k]], e->where_from, class_name[k], e->where_to);
	}
	return true;
}

static void order_check(const struct lock_held *h, struct lock_info *l, const char *where)
{
	u32 a = class_of(h->lock), b = class_of(l);
	char buf[512] = "";
	struct textbuf t = TEXTBUF(buf);
	bool cycle, full;

	if (__atomic_load_n(&after[a], __ATOMIC_RELAXED) >> b & 1)
		return;
	graph_enter();
	cycle = path_find(b, a, &t);
	full = nedges == MAX_EDGES;
	if (!cycle && !full && !edge_find(a, b)) {
		edges[nedges++] = (struct edge){ a, b, h->where, where };
		__atomic_fetch_or(&after[a], 1ull << b, __ATOMIC_RELAXED);
	}
	graph_leave();
	if (cycle)
		report("order reversed", l, where, h, buf);
	if (full)
		rs_panic("lock checker: more than %d pairs of locks", MAX_EDGES);
}

/* @l, to be waited for, against @h, which is held. */
static void pair_check(const struct lock_held *h, struct lock_info *l, enum lock_kind kind,
		       const char *where)
{
	const struct lock_info *o = h->lock;
	bool same_class = class_of(h->lock) == class_of(l);

	if (o == l) {
		if (kind == LOCK_SHARED_NESTS && h->kind == LOCK_SHARED_NESTS)
			return;
		report("taken twice", l, where, h, "");
	}
	if (kind != LOCK_SPINS && h->kind == LOCK_SPINS)
		report("may sleep with a spinlock held", l, where, h, "");
	if (same_class) {
		if ((u64)l < (u64)o)
			report("two of one kind, not in the order of their addresses", l, where, h,
			       "");
		return;
	}
	if (l->rank && o->rank && l->rank <= o->rank)
		report("wrong rank", l, where, h, "");
	order_check(h, l, where);
}

static void sets_check(struct lock_info *l, enum lock_kind kind, const char *where)
{
	struct lock_held_set *sets[2] = { set_of(LOCK_SPINS), set_of(LOCK_SLEEPS) };
	u32 s, i;

	for (s = 0; s < 2; s++) {
		/* A reader who comes again does not wait, so nothing but that is to be asked. */
		const struct lock_held *again = held_find(sets[s], l);

		if (again)
			return pair_check(again, l, kind, where);
	}
	for (s = 0; s < 2; s++)
		for (i = 0; sets[s] && i < sets[s]->n; i++)
			pair_check(&sets[s]->at[i], l, kind, where);
}

void lockcheck_before(struct lock_info *l, enum lock_kind kind, const char *where)
{
	irq_push();	/* the CPU's set stays ours */
	sets_check(l, kind, where);
	irq_pop();
}

void lockcheck_taken(struct lock_info *l, enum lock_kind kind, const char *where)
{
	struct lock_held_set *s = set_of(kind);

	if (!s)
		return;
	if (s->n == LOCKCHECK_HELD)
		rs_panic("lock checker: \"%s\" at %s is more than %d locks at once", l->name,
			 where, LOCKCHECK_HELD);
	s->at[s->n++] = (struct lock_held){ l, where, kind };
	__atomic_store_n(&l->where, where, __ATOMIC_RELAXED);
}

void lockcheck_release(struct lock_info *l, enum lock_kind kind, const char *where)
{
	struct lock_held_set *s = set_of(kind);
	const char *taken;
	u32 i;

	if (!s)
		return;
	for (i = s->n; i--;) {
		if (s->at[i].lock != l)
			continue;
		/* Locks may be released in any order. */
		memmove(&s->at[i], &s->at[i + 1], (s->n - i - 1) * sizeof(s->at[0]));
		s->n--;
		return;
	}
	taken = __atomic_load_n(&l->where, __ATOMIC_RELAXED);
	rs_panic("locks: released by a stranger, a %s: \"%s\" at %s, last taken at %s",
		 kind == LOCK_SPINS ? "CPU" : "thread", l->name, where, taken ? taken : "(never)");
}

bool lockcheck_holds(const struct lock_info *l, enum lock_kind kind)
{
	const struct lock_held_set *s;

	if (!lockcheck_on)
		return true;
	s = set_of(kind);
	return !s || held_find(s, l);
}

void lockcheck_sleep(const struct lock_info *but)
{
	const struct lock_held_set *s = set_of(LOCK_SPINS);
	u32 i;

	for (i = 0; lockcheck_on && i < s->n; i++)
		if (s->at[i].lock != but)
			rs_panic("locks: sleeps with a spinlock held: \"%s\" taken at %s",
				 s->at[i].lock->name, s->at[i].where);
	rs_panic("locks: sleeps with interrupts off, nested %u times", this_cpu()->irq_depth);
}

void lockcheck_twice(const struct lock_info *l, const char *where)
{
	const char *taken = __atomic_load_n(&l->where, __ATOMIC_RELAXED);

	rs_panic("locks: taken twice: \"%s\" at %s, held since %s", l->name, where,
		 taken ? taken : "(not recorded: the checker is off)");
}

void lockcheck_reset(void)
{
	struct lock_held_set *mine = set_of(LOCK_SLEEPS);

	memset(cpu_held, 0, sizeof(cpu_held));
	if (mine)
		mine->n = 0;
	/* Class numbers stay: locks remember them. */
	memset(after, 0, sizeof(after));
	nedges = 0;
}
