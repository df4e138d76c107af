// SPDX-License-Identifier: MIT
/*
 * rcu.c - grace periods, and the queues of what waits for one: see rcu.h
 *
 * Each CPU has two queues: next, for what is queued while a grace period may be under way that began
 * too early for it; and old, for what was there when the present one began. So an object waits for
 * less than two grace periods.
 *
 * Invariants: rcu_waiting is not 0 only while a grace period is under way. Without one, old is
 * empty everywhere. queued is the length of all queues together.
 *
 * The queues are per CPU so that queueing touches no other CPU's lines. Whoever ends a grace period
 * has the lock and empties them all, in the order of queueing for each CPU: nothing stays behind
 * with a CPU that sleeps.
 */
#include "rcu.h"
#include "../lib/assert.h"

struct queue {
	struct rcu_head *first, **end;	/* @end: in the last one; not valid without */
	u32 n;
};

static struct rcu_cpu {
	struct queue next, old;
} __attribute__((aligned(64))) percpu[RS_NR_CPUS];

static const struct rcu_cpus *cpus;
static u32 queued;
static bool under_way, kicked;
static bool freeing;		/* rcu_call() by a function that frees queues, and does no more */
u64 rcu_waiting;
#ifdef RS_HOSTED
void (*rcu_reader_hook)(void);
#endif

void rcu_setup(const struct rcu_cpus *c)
{
	cpus = c;
}

u32 rcu_queued(void)
{
	return queued;
}

static void add(struct queue *q, struct rcu_head *h)
{
	h->next = NULL;
	if (!q->first)
		q->end = &q->first;
	*q->end = h;
	q->end = &h->next;
	q->n++;
}

static void free_all(struct queue *q)
{
	struct rcu_head *h = q->first, *next;

	queued -= q->n;
	*q = (struct queue){ NULL };
	for (; h; h = next) {
		next = h->next;
		h->fn(h);
	}
}

/* The other CPUs that may be reading. */
static u64 readers(void)
{
	u32 me = this_cpu()->id, i;
	u64 set = 0;

	for (i = 0; i < rs_ncpus; i++)
		if (i != me && cpus->reading(i))
			set |= 1ull << i;
	return set;
}

static void kick_all(u64 set)
{
	for (; set; set &= set - 1)
		cpus->kick(__builtin_ctzll(set));
}

static void begin(void)
{
	u32 i;

	under_way = true;
	kicked = false;
	for (i = 0; i < rs_ncpus; i++) {
		struct rcu_cpu *c = &percpu[i];

		ASSERT(!c->old.n);
		c->old = c->next;	/* @end is in the last object */
		c->next = (struct queue){ NULL };
	}
	rcu_waiting = readers();
}

static void end(void)
{
	u32 i;

	under_way = false;
	freeing = true;
	for (i = 0; i < rs_ncpus; i++)
		free_all(&percpu[i].old);
	freeing = false;
}

/* Some CPU has @least objects that no grace period is under way for. */
static bool wanted(u32 least)
{
	u32 i;

	for (i = 0; i < rs_ncpus; i++)
		if (percpu[i].next.n >= least)
			return true;
	return false;
}

/* Ends what is over, and begins what there is reason for. */
static void advance(u32 least)
{
	if (freeing)
		return;
	for (;;) {
		if (under_way) {
			if (rcu_waiting)
				return;
			end();
		}
		if (!wanted(least))
			return;
		begin();
	}
}

void rcu_queue(struct rcu_head *h, void (*fn)(struct rcu_head *h))
{
	struct queue *q = &percpu[this_cpu()->id].next;

	h->fn = fn;
	add(q, h);
	queued++;
	if (q->n >= RCU_BATCH && !under_way)
		advance(RCU_BATCH);
	if (queued >= RCU_MANY && rcu_waiting && !kicked) {
		kicked = true;
		kick_all(rcu_waiting);
	}
}

void rcu_pass(u32 cpu)
{
	rcu_waiting &= ~(1ull << cpu);
	if (!rcu_waiting)
		advance(RCU_BATCH);
}

void rcu_idle(void)
{
	if (queued)
		advance(1);
}

/* A CPU that has come in cannot leave while we have the lock, so in the end none is reading. */
void rcu_synchronize(void)
{
	u64 set = rs_ncpus > 1 ? readers() : 0;
	u32 turns = 0;

	kick_all(set);
	for (; set; set &= set - 1)
		while (cpus->reading(__builtin_ctzll(set)))
			cpus->wait(&turns);
}

bool rcu_drain(void)
{
	u32 i;

	if (!queued || freeing)
		return false;
	rcu_synchronize();
	rcu_waiting = 0;
	end();
	freeing = true;
	for (i = 0; i < rs_ncpus; i++)
		free_all(&percpu[i].next);
	freeing = false;
	return true;
}
