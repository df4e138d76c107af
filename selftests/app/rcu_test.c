// SPDX-License-Identifier: MIT
/*
 * rcu_test.c - ringside/rcu.h, natively and in the ring; and the guest kernel's own readers, in the
 * ring
 *
 * The torture: readers walk a table all of whose entries are replaced all the time; what has waited
 * for its grace period is poisoned and used again at once, so that a reader that is still on it
 * finds poison, another entry, or an entry that it has left. Each turn is counted, not timed. In
 * the middle of a walk readers give the CPU away now and then, since on one CPU nothing else would
 * come between.
 */
#include <malloc.h>
#include <pthread.h>
#include <ringside/rcu.h>
#include "app.h"

extern int rs_rcu_without_membarrier;

static void must(int err)
{
	if (err) {
		errno = err;
		FAIL("a thread: %s", strerror(err));
		test_leave();
	}
}

static pthread_t start(void *(*fn)(void *), void *arg)
{
	pthread_t t;

	must(pthread_create(&t, NULL, fn, arg));
	return t;
}

static void finish(pthread_t t)
{
	must(pthread_join(t, NULL));
}

/* --- step by step ----------------------------------------------------------------------------- */

struct item {
	struct rs_rcu_list list;
	struct rs_rcu_hnode node;
	struct rs_rcu_head rcu;
	int v;
};

TEST(rcu_lists)
{
	struct rs_rcu_list head;
	struct rs_rcu_hlist hash = { NULL };
	struct item e[5], *p;
	int got = 0;

	for (int i = 0; i < 5; i++)
		e[i].v = i + 1;
	rs_rcu_list_init(&head);
	rs_rcu_list_add_tail(&head, &e[1].list);
	rs_rcu_list_add_tail(&head, &e[2].list);
	rs_rcu_list_add(&head, &e[0].list);
	rs_rcu_list_for_each(p, &head, list)
		got = got * 10 + p->v;
	EXPECT_EQ(got, 123);
	rs_rcu_list_del(&e[1].list);
	EXPECT_EQ(rs_rcu_dereference(e[1].list.next), &e[2].list);
	rs_rcu_list_replace(&e[2].list, &e[3].list);
	EXPECT_EQ(rs_rcu_dereference(e[2].list.next), &head);
	got = 0;
	rs_rcu_list_for_each(p, &head, list)
		got = got * 10 + p->v;
	EXPECT_EQ(got, 14);
	EXPECT_EQ(head.prev, &e[3].list);

	got = 0;
	for (int i = 0; i < 4; i++)
		rs_rcu_hlist_add(&hash, &e[i].node);
	rs_rcu_hlist_replace(&e[1].node, &e[4].node);
	EXPECT_EQ(rs_rcu_dereference(e[1].node.next), &e[0].node);
	rs_rcu_hlist_del(&e[3].node);
	rs_rcu_hlist_del(&e[0].node);
	rs_rcu_hlist_for_each(p, &hash, node)
		got = got * 10 + p->v;
	EXPECT_EQ(got, 35);
}

/* A thread that is told what to do, and says when it has. */
enum { DO_NOTHING, DO_LOCK, DO_UNLOCK, DO_ONLINE, DO_OFFLINE, DO_QUIESCENT, DO_END };

struct puppet {
	pthread_t thread;
	struct gate go, done;
	volatile int what;
};

static void *puppet_main(void *arg)
{
	struct puppet *p = arg;

	for (;;) {
		gate_wait(p->go);
		switch (p->what) {
		case DO_LOCK: rs_rcu_read_lock(); break;
		case DO_UNLOCK: rs_rcu_read_unlock(); break;
		case DO_ONLINE: rs_rcu_online(); break;
		case DO_OFFLINE: rs_rcu_offline(); break;
		case DO_QUIESCENT: rs_rcu_quiescent(); break;
		case DO_END: return NULL;
		}
		gate_open(p->done);
	}
}

static void puppet_new(struct puppet *p)
{
	p->go = gate_make();
	p->done = gate_make();
	p->thread = start(puppet_main, p);
}

static void tell(struct puppet *p, int what)
{
	p->what = what;
	gate_open(p->go);
	if (what == DO_END)
		finish(p->thread);
	else
		gate_wait(p->done);
}

static volatile int over;

static void *synchronize_main(void *arg)
{
	rs_rcu_synchronize();
	__atomic_store_n(&over, 1, __ATOMIC_SEQ_CST);
	if (arg)
		gate_open(*(struct gate *)arg);
	return NULL;
}

/* A grace period that must not be over: the other thread gets every chance to think so. */
static void still_waits(void)
{
	for (int i = 0; i < 50; i++)
		sched_yield();
	EXPECT_EQ(__atomic_load_n(&over, __ATOMIC_SEQ_CST), 0);
}

/* Somebody is in rs_rcu_synchronize(), and who begins to read now is not waited for. */
static void begun(uint64_t period)
{
	while (__atomic_load_n(&rs_rcu_period_, __ATOMIC_SEQ_CST) == period)
		sched_yield();
}

/* One reader does @before, a grace period begins, none of @inner ends it, @last does. */
static void grace(const int *before, const int *inner, int last)
{
	uint64_t period = rs_rcu_period_;
	struct puppet p;
	pthread_t t;

	puppet_new(&p);
	for (; *before != DO_END; before++)
		tell(&p, *before);
	over = 0;
	t = start(synchronize_main, NULL);
	begun(period);
	still_waits();
	for (; *inner != DO_END; inner++) {
		tell(&p, *inner);
		still_waits();
	}
	tell(&p, last);
	finish(t);
	EXPECT_EQ(over, 1);
	if (last != DO_END)
		tell(&p, DO_END);
}

#define LIST(...) ((const int[]){ __VA_ARGS__, DO_END })

static void all_steps(void)
{
	struct puppet p;

	/* Nobody reads: nothing to wait for, also with threads that have read. */
	puppet_new(&p);
	tell(&p, DO_LOCK);
	tell(&p, DO_UNLOCK);
	rs_rcu_synchronize();
	tell(&p, DO_END);
	grace(LIST(DO_LOCK), LIST(DO_NOTHING), DO_UNLOCK);
	grace(LIST(DO_LOCK, DO_LOCK, DO_LOCK), LIST(DO_UNLOCK, DO_LOCK, DO_UNLOCK, DO_UNLOCK), DO_UNLOCK);
	grace(LIST(DO_ONLINE), LIST(DO_NOTHING, DO_LOCK, DO_UNLOCK), DO_QUIESCENT);
	grace(LIST(DO_ONLINE), LIST(DO_LOCK, DO_QUIESCENT, DO_UNLOCK), DO_OFFLINE);
	grace(LIST(DO_ONLINE, DO_OFFLINE, DO_LOCK), LIST(DO_QUIESCENT), DO_UNLOCK);
	/* A reader that ends without a word does not hold up anybody for ever. */
	grace(LIST(DO_LOCK), LIST(DO_NOTHING), DO_END);
	grace(LIST(DO_ONLINE), LIST(DO_NOTHING), DO_END);
	/* One that is online itself, and waits, counts as quiescent. */
	rs_rcu_online();
	rs_rcu_synchronize();
	rs_rcu_barrier();
	rs_rcu_offline();
	EXPECT_EQ(rs_rcu_unregister(), 0);
	EXPECT_EQ(rs_rcu_unregister(), 0);
	EXPECT_EQ(rs_rcu_register(), 0);
	rs_rcu_read_lock();
	EXPECT_EQ(rs_rcu_unregister(), -EBUSY);
	rs_rcu_read_unlock();
}

TEST(rcu_grace_periods)
{
	all_steps();
}

TEST(rcu_grace_periods_without_membarrier)
{
	rs_rcu_without_membarrier = 1;
	all_steps();
}

/* Writers wait for what read when they came, not for who reads since. */
TEST(rcu_writers_share)
{
	struct puppet a, b;
	struct gate g = gate_make();
	uint64_t period = rs_rcu_period_;
	pthread_t t[3];

	puppet_new(&a);
	puppet_new(&b);
	tell(&a, DO_LOCK);
	over = 0;
	for (int i = 0; i < 3; i++)
		t[i] = start(synchronize_main, &g);
	begun(period);
	still_waits();
	tell(&b, DO_LOCK);
	tell(&a, DO_UNLOCK);
	/* The first of them had begun before b read. */
	gate_wait(g);
	tell(&b, DO_UNLOCK);
	for (int i = 0; i < 3; i++)
		finish(t[i]);
	tell(&a, DO_END);
	tell(&b, DO_END);
}

static void synchronize_inside(void)
{
	rs_rcu_read_lock();
	rs_rcu_synchronize();
}

static void barrier_inside(void)
{
	rs_rcu_online();
	rs_rcu_read_lock();
	rs_rcu_barrier();
}

static void offline_inside(void)
{
	rs_rcu_online();
	rs_rcu_read_lock();
	rs_rcu_offline();
}

TEST(rcu_waiting_for_oneself_ends_the_program)
{
	void (*const fn[])(void) = { synchronize_inside, barrier_inside, offline_inside };

	for (size_t i = 0; i < sizeof(fn) / sizeof(fn[0]); i++)
		DIES(CHILD({ close(2); fn[i](); }), SIGABRT);
}

/* --- callbacks -------------------------------------------------------------------------------- */

static int order, wrong;	/* of callbacks that have run; out of order */

static void counted(struct rs_rcu_head *h)
{
	struct item *it = rs_rcu_container(h, struct item, rcu);

	wrong += it->v != order;
	order++;
	free(it);
}

static void call_counted(int n)
{
	static int next;

	while (n--) {
		struct item *it = malloc(sizeof(*it));

		it->v = next++;
		rs_rcu_call(&it->rcu, counted);
	}
}

static void call_again(struct rs_rcu_head *h)
{
	(void)h;
	rs_rcu_read_lock();
	rs_rcu_read_unlock();
	call_counted(3);
}

TEST(rcu_calls)
{
	struct rs_rcu_head again;
	struct puppet p;

	rs_rcu_barrier();
	call_counted(1000);
	rs_rcu_barrier();
	EXPECT_EQ(order, 1000);
	puppet_new(&p);
	tell(&p, DO_LOCK);
	/* By a reader: does not wait for itself. */
	rs_rcu_read_lock();
	call_counted(10);
	rs_rcu_read_unlock();
	for (int i = 0; i < 50; i++)
		sched_yield();
	EXPECT_EQ(__atomic_load_n(&order, __ATOMIC_SEQ_CST), 1000);
	tell(&p, DO_UNLOCK);
	rs_rcu_barrier();
	EXPECT_EQ(order, 1010);
	rs_rcu_call(&again, call_again);
	rs_rcu_barrier();
	rs_rcu_barrier();
	EXPECT_EQ(order, 1013);
	EXPECT_EQ(wrong, 0);
	tell(&p, DO_END);
}

/* --- fork ------------------------------------------------------------------------------------- */

static struct gate forked;

static void fork_in_callback(struct rs_rcu_head *h)
{
	(void)h;
	EXITS(CHILD({
		call_counted(2);
	}), 0);
	gate_open(forked);
}

/*
 * Others read, callbacks wait for them, and one of them is a reader that forks: in the child there
 * are no others, and what waited is done.
 */
TEST(rcu_fork)
{
	struct rs_rcu_head h;
	struct puppet p;

	puppet_new(&p);
	tell(&p, DO_LOCK);
	call_counted(20);
	EXITS(CHILD({
		rs_rcu_synchronize();
		call_counted(5);
		rs_rcu_barrier();
		EXPECT_EQ(order, 25);
		EXPECT_EQ(wrong, 0);
	}), 0);
	EXPECT_EQ(order, 0);
	rs_rcu_read_lock();
	EXITS(CHILD({
		rs_rcu_read_unlock();
		rs_rcu_barrier();
		EXPECT_EQ(order, 20);
		/* and once more */
		call_counted(1);
		EXITS(CHILD({
			rs_rcu_barrier();
			EXPECT_EQ(order, 21);
		}), 0);
	}), 0);
	rs_rcu_read_unlock();
	tell(&p, DO_UNLOCK);
	rs_rcu_barrier();
	EXPECT_EQ(order, 20);
	forked = gate_make();
	rs_rcu_call(&h, fork_in_callback);
	call_counted(3);
	gate_wait(forked);
	rs_rcu_barrier();
	EXPECT_EQ(order, 23);
	EXPECT_EQ(wrong, 0);
	tell(&p, DO_END);
}

/* --- torture ---------------------------------------------------------------------------------- */

#define KEYS	64
#define BUCKETS	8
#define READERS	3
#define WRITERS	2
/*
 * Of each writer; or as many as it gets done in that time, where a grace period takes turns of
 * threads that Linux has to switch between.
 */
#define UPDATES	600
#define LEAST	25
#define SECONDS	1.5
#define ALIVE	0x600df00d
#define POISON	0x5a

struct object {
	uint32_t state, key, value;
	struct rs_rcu_hnode node;
	struct rs_rcu_head rcu;
};

static struct rs_rcu_hlist table[BUCKETS];
static struct object *now_there[KEYS];
static pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
static int writers_left, torn, missing, replaced, freed;	/* atomic */
static int readers_ready;

static unsigned int roll(unsigned int *dice, unsigned int n)
{
	*dice = *dice * 1103515245 + 12345;
	return (*dice >> 16) % n;
}

static struct object *object_new(uint32_t key)
{
	struct object *o = malloc(sizeof(*o));

	*o = (struct object){ .state = ALIVE, .key = key, .value = key * 7 };
	return o;
}

static void object_free(struct rs_rcu_head *h)
{
	struct object *o = rs_rcu_container(h, struct object, rcu);

	if (o->state != ALIVE)
		__atomic_add_fetch(&torn, 1, __ATOMIC_RELAXED);
	memset(o, POISON, sizeof(*o));
	/* The compiler sees that nobody may look at it any more; but somebody might. */
	asm volatile("" : : "r"(o) : "memory");
	free(o);
	__atomic_add_fetch(&freed, 1, __ATOMIC_RELAXED);
}

/* Each key is there at any time: entries are replaced in their places. Stops where it would follow poison. */
static void look(unsigned int *dice)
{
	uint32_t key = roll(dice, KEYS), found = 0, state;
	struct object *o;

	rs_rcu_hlist_for_each(o, &table[key % BUCKETS], node) {
		state = *(volatile uint32_t *)&o->state;
		if (state != ALIVE || o->key % BUCKETS != key % BUCKETS ||
		    *(volatile uint32_t *)&o->value != *(volatile uint32_t *)&o->key * 7) {
			__atomic_add_fetch(&torn, 1, __ATOMIC_RELAXED);
			return;
		}
		if (o->key == key)
			found++;
		if (!roll(dice, 32)) {
			sched_yield();
			if (*(volatile uint32_t *)&o->state != ALIVE) {
				__atomic_add_fetch(&torn, 1, __ATOMIC_RELAXED);
				return;
			}
		}
	}
	if (!found)
		__atomic_add_fetch(&missing, 1, __ATOMIC_RELAXED);
}

static void on_signal(int sig)
{
	static __thread unsigned int dice;
	int err = errno;

	(void)sig;
	rs_rcu_read_lock();
	look(&dice);
	rs_rcu_read_unlock();
	errno = err;
}

static void *nested_reader(void *arg)
{
	unsigned int dice = (uintptr_t)arg;

	must(-rs_rcu_register());
	__atomic_add_fetch(&readers_ready, 1, __ATOMIC_SEQ_CST);
	do {
		rs_rcu_read_lock();
		look(&dice);
		rs_rcu_read_lock();
		look(&dice);
		rs_rcu_read_unlock();
		if (!roll(&dice, 4))
			look(&dice);
		rs_rcu_read_unlock();
		if (!roll(&dice, 8))
			sched_yield();
	} while (__atomic_load_n(&writers_left, __ATOMIC_SEQ_CST));
	return NULL;
}

static void *quiescent_reader(void *arg)
{
	unsigned int dice = (uintptr_t)arg;

	rs_rcu_online();
	__atomic_add_fetch(&readers_ready, 1, __ATOMIC_SEQ_CST);
	do {
		for (int i = roll(&dice, 4); i >= 0; i--)
			look(&dice);
		rs_rcu_read_lock();
		look(&dice);
		rs_rcu_read_unlock();
		look(&dice);
		rs_rcu_quiescent();
		if (!roll(&dice, 8)) {
			rs_rcu_offline();
			sched_yield();
			rs_rcu_online();
		}
	} while (__atomic_load_n(&writers_left, __ATOMIC_SEQ_CST));
	return NULL;
}

struct writer {
	unsigned int dice;
	pthread_t *readers;
	bool signals;
};

static void *writer_main(void *arg)
{
	struct writer *w = arg;
	double end = now() + SECONDS;
	struct object *old, *o;
	uint32_t key;

	for (unsigned int i = 0; i < UPDATES && (i < LEAST || now() < end); i++) {
		key = roll(&w->dice, KEYS);
		o = object_new(key);
		pthread_mutex_lock(&table_lock);
		old = now_there[key];
		now_there[key] = o;
		rs_rcu_hlist_replace(&old->node, &o->node);
		pthread_mutex_unlock(&table_lock);
		__atomic_add_fetch(&replaced, 1, __ATOMIC_RELAXED);
		if (roll(&w->dice, 8)) {
			rs_rcu_call(&old->rcu, object_free);
		} else {
			rs_rcu_synchronize();
			object_free(&old->rcu);
		}
		if (w->signals && !(i % 8))
			pthread_kill(w->readers[i / 8 % READERS], SIGUSR1);
	}
	return NULL;
}

static void torture(void *(*const readers[READERS])(void *), bool signals)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	pthread_t r[READERS], w[WRITERS];
	struct writer writers[WRITERS];

	SYS(sigaction(SIGUSR1, &sa, NULL));
	for (int i = 0; i < KEYS; i++) {
		now_there[i] = object_new(i);
		rs_rcu_hlist_add(&table[i % BUCKETS], &now_there[i]->node);
	}
	writers_left = 1;
	for (int i = 0; i < READERS; i++)
		r[i] = start(readers[i], (void *)(uintptr_t)(i + 1));
	while (__atomic_load_n(&readers_ready, __ATOMIC_SEQ_CST) < READERS)
		sched_yield();
	for (int i = 0; i < WRITERS; i++) {
		writers[i] = (struct writer){ i + 100, r, signals };
		w[i] = start(writer_main, &writers[i]);
	}
	for (int i = 0; i < WRITERS; i++)
		finish(w[i]);
	__atomic_store_n(&writers_left, 0, __ATOMIC_SEQ_CST);
	for (int i = 0; i < READERS; i++)
		finish(r[i]);
	rs_rcu_barrier();
	EXPECT_EQ(torn, 0);
	EXPECT_EQ(missing, 0);
	EXPECT_GE(replaced, WRITERS * LEAST);
	EXPECT_EQ(freed, replaced);
}

TEST(rcu_torture_nested)
{
	torture((void *(*const[])(void *)){ nested_reader, nested_reader, nested_reader }, false);
}

TEST(rcu_torture_quiescent)
{
	torture((void *(*const[])(void *)){ quiescent_reader, quiescent_reader, quiescent_reader }, false);
}

TEST(rcu_torture_both_with_signals)
{
	torture((void *(*const[])(void *)){ nested_reader, quiescent_reader, nested_reader }, true);
}

TEST(rcu_torture_without_membarrier)
{
	rs_rcu_without_membarrier = 1;
	torture((void *(*const[])(void *)){ nested_reader, quiescent_reader, nested_reader }, false);
}

/* Threads that read and end, all the time, while grace periods look at the list of them. */
static void *short_life(void *arg)
{
	unsigned int dice = (uintptr_t)arg;

	rs_rcu_read_lock();
	look(&dice);
	rs_rcu_read_unlock();
	return NULL;
}

TEST(rcu_threads_come_and_go)
{
	struct writer w = { .dice = 7 };
	pthread_t t, s;

	for (int i = 0; i < KEYS; i++) {
		now_there[i] = object_new(i);
		rs_rcu_hlist_add(&table[i % BUCKETS], &now_there[i]->node);
	}
	t = start(writer_main, &w);
	for (unsigned int i = 0; i < test_rounds(100); i++) {
		s = start(short_life, (void *)(uintptr_t)i);
		short_life((void *)(uintptr_t)i);
		finish(s);
	}
	finish(t);
	rs_rcu_barrier();
	EXPECT_EQ(torn, 0);
	EXPECT_EQ(missing, 0);
	EXPECT_GE(freed, LEAST);
	EXPECT_EQ(freed, replaced);
}
