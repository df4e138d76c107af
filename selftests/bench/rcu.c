// SPDX-License-Identifier: MIT
/*
 * rcu.c - the ledger's operations on read-copy-update: ringside/rcu.h in the ring, liburcu natively
 *
 * liburcu is what a Linux program would use: the flavour with membarrier (urcu-memb), whose readers
 * execute no fence either, with its short functions inlined, as ours are. Both walk a list of the
 * same length by their own macros, and replace an element of it in the same way. Another thread is
 * registered as a reader on both sides, and sleeps: so a writer has somebody to look at and nobody
 * to wait for. There is one CPU, on which a membarrier is a call and no interrupts of others;
 * nothing of either figure is waiting.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>
#include <ringside/app.h>
#include <ringside/rcu.h>
#include "bench.h"

#if __has_include(<urcu/urcu-memb.h>)
#define _LGPL_SOURCE	/* its readers inline, as ours */
#include <urcu/urcu-memb.h>
#include <urcu/rculist.h>
#define HAVE_URCU 1
#else
#define HAVE_URCU 0
#endif

#define ELEMENTS	8

struct element {
	struct rs_rcu_list ring;
#if HAVE_URCU
	struct cds_list_head native;
#endif
	long v;
};

static struct rs_rcu_list ring_head;
static struct element *elements[ELEMENTS];
static int sleeper_is_there[2];
static volatile long sum;

static int in_ring(void)
{
	return !!rs_app_features();
}

static void *element_new(long v)
{
	struct element *e = malloc(sizeof(*e));

	if (!e)
		die("malloc");
	e->v = v;
	return e;
}

#if HAVE_URCU
static CDS_LIST_HEAD(native_head);

static void native_register(void)
{
	urcu_memb_register_thread();
}

static void native_add(struct element *e)
{
	cds_list_add_tail_rcu(&e->native, &native_head);
}

static void native_read(void)
{
	struct element *e;
	long s = 0;

	urcu_memb_read_lock();
	cds_list_for_each_entry_rcu(e, &native_head, native)
		s += e->v;
	urcu_memb_read_unlock();
	sum = s;
}

static void native_update(struct element *old, struct element *e)
{
	cds_list_replace_rcu(&old->native, &e->native);
	urcu_memb_synchronize_rcu();
}
#else
static void native_register(void)
{
	die("liburcu-dev is not installed, or was not when this was built");
}

static void native_add(struct element *e)
{
	(void)e;
}

static void native_read(void)
{
}

static void native_update(struct element *old, struct element *e)
{
	(void)old, (void)e;
}
#endif

static void ring_read(void)
{
	struct element *e;
	long s = 0;

	rs_rcu_read_lock();
	rs_rcu_list_for_each(e, &ring_head, ring)
		s += e->v;
	rs_rcu_read_unlock();
	sum = s;
}

static void ring_update(struct element *old, struct element *e)
{
	rs_rcu_list_replace(&old->ring, &e->ring);
	rs_rcu_synchronize();
}

static void register_here(void)
{
	if (!in_ring())
		native_register();
	else if (rs_rcu_register())
		die("registering a reader");
}

/* Registered, and asleep to the end. */
static void *sleeper(void *arg)
{
	char c = 0;

	(void)arg;
	register_here();
	if (write(sleeper_is_there[1], &c, 1) != 1)
		abort();
	for (;;)
		pause();
	return NULL;
}

static void prepare(void)
{
	static int done;
	pthread_t t;
	char c;

	if (done++)
		return;
	register_here();
	rs_rcu_list_init(&ring_head);
	for (int i = 0; i < ELEMENTS; i++) {
		elements[i] = element_new(i);
		rs_rcu_list_add_tail(&ring_head, &elements[i]->ring);
		native_add(elements[i]);
	}
	if (pipe(sleeper_is_there) || pthread_create(&t, NULL, sleeper, NULL) ||
	    read(sleeper_is_there[0], &c, 1) != 1)
		die("a second reader");
}

/* A read section around a walk over 8 elements. */
static void batch_read(struct sample *s, unsigned int param)
{
	(void)param;
	prepare();
	s->ops = 200;
	if (in_ring()) {
		span_begin(s);
		for (uint64_t i = 0; i < s->ops; i++)
			ring_read();
		span_end(s);
	} else {
		span_begin(s);
		for (uint64_t i = 0; i < s->ops; i++)
			native_read();
		span_end(s);
	}
}

/* A new element in place of an old one, which is freed after a grace period. */
static void batch_update(struct sample *s, unsigned int param)
{
	(void)param;
	prepare();
	s->ops = 20;
	span_begin(s);
	for (uint64_t i = 0; i < s->ops; i++) {
		struct element *old = elements[i % ELEMENTS], *e = element_new((long)i);

		elements[i % ELEMENTS] = e;
		if (in_ring())
			ring_update(old, e);
		else
			native_update(old, e);
		free(old);
	}
	span_end(s);
}

const struct op rcu_ops[] = {
	{ "basic", "rcu_read", 0, NATIVE | RING, BATCHES, batch_read },
	{ "basic", "rcu_update", 0, NATIVE | RING, BATCHES, batch_update },
	{ 0 }
};
