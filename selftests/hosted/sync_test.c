// SPDX-License-Identifier: MIT
/*
 * sync_test.c - the locks, with threads of this program as CPUs and as threads
 *
 * Built twice: under ASan and UBSan, and under ThreadSanitizer, for which the unprotected counters
 * below are the bait. The scheduler's half of the contract (block, wake) is a futex word per
 * thread. Where an order matters it is made, not hoped for: a test waits until it sees the other
 * thread in the queue (by looking at the lock), never for a time. A lost wake-up would be a hang,
 * so an alarm ends a test that does.
 */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core.h"
#include "../../userland/guest/sync/big_lock.h"
#include "../../userland/guest/sync/channel.h"
#include "../../userland/guest/sync/fair_rwlock.h"
#include "../../userland/guest/sync/mutex.h"
#include "../../userland/guest/sync/rwlock.h"
#include "../../userland/guest/sync/semaphore.h"
#include "../../userland/guest/sync/spinlock.h"
#include "../../userland/guest/sync/ticket.h"

long syscall(long nr, ...);

#define NTHREADS	4
#define ROUNDS		20000		/* of a stress, all threads together; at most so long: */
#define STRESS_MS	700
#define HANG_S		60		/* no test gets no further for so long, on any machine */

#ifdef __SANITIZE_THREAD__
#define SLEEPS_PER	50
#else
#define SLEEPS_PER	1
#endif
#define SLEEPS		1000000		/* each ended by a wake-up, or the alarm rings */
#define SLEEPS_S	6		/* after which SLEEPS / SLEEPS_PER are enough */

/* --- threads and the scheduler's half --- */

enum { MAY_NOT, MAY_RUN, ASLEEP };

struct fake_thread {
	struct waiter waiter;
	u32 permit;
	pthread_t pthread;
	u32 cpu;
	void (*run)(struct fake_thread *t);
	u64 count, blocks;
	u32 patience;		/* times to look again before it goes down to the futex */
};

static __thread struct fake_thread *me;
static struct fake_thread threads[NTHREADS + 2], main_thread;
static u64 blocked;		/* times that a thread really slept; atomic */

static struct waiter *fake_self(void)
{
	return me ? &me->waiter : NULL;
}

static void fake_block(struct waiter *w)
{
	struct fake_thread *t = container_of(w, struct fake_thread, waiter);
	u32 old;
	int spins;

	CHECK(t == me && !this_cpu()->irq_depth);
	if (++t->blocks % 16 == 0)
		return; /* for no reason at all, as the contract allows */
	for (spins = 0;; spins++) {
		old = MAY_RUN;
		if (__atomic_compare_exchange_n(&t->permit, &old, MAY_NOT, false, __ATOMIC_ACQUIRE,
						__ATOMIC_RELAXED))
			return;
		if (spins < t->patience) {
			sched_yield();
			continue;
		}
		old = MAY_NOT;
		__atomic_compare_exchange_n(&t->permit, &old, ASLEEP, false, __ATOMIC_RELAXED,
					    __ATOMIC_RELAXED);
		__atomic_fetch_add(&blocked, 1, __ATOMIC_RELAXED);
		syscall(SYS_futex, &t->permit, FUTEX_WAIT_PRIVATE, ASLEEP, NULL, NULL, 0);
	}
}

static void fake_wake(struct waiter *w)
{
	struct fake_thread *t = container_of(w, struct fake_thread, waiter);

	if (__atomic_exchange_n(&t->permit, MAY_RUN, __ATOMIC_RELEASE) == ASLEEP)
		syscall(SYS_futex, &t->permit, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static const struct waiter_ops fake_ops = { fake_self, fake_block, fake_wake };

static void become(struct fake_thread *t, u32 cpu)
{
	me = t;
	waiter_init(&t->waiter);
	t->permit = MAY_NOT;
	t->count = t->blocks = 0;
	t->patience = 3;
	core_cpu(cpu);
	this_cpu()->hosted_if = true;
}

static void *thread_main(void *arg)
{
	struct fake_thread *t = arg;

	core_cpu(t->cpu);
	me = t;
	t->run(t);
	CHECK(!this_cpu()->irq_depth && irqs_on() && !t->waiter.held.n);
	return NULL;
}

static void start(u32 i, void (*run)(struct fake_thread *t))
{
	struct fake_thread *t = &threads[i];

	CHECK(i < ARRAY_SIZE(threads));
	become(t, i + 1);
	become(&main_thread, 0);
	t->cpu = i + 1;
	t->run = run;
	CHECK(!pthread_create(&t->pthread, NULL, thread_main, t));
}

static void join(u32 i)
{
	CHECK(!pthread_join(threads[i].pthread, NULL));
}

static u64 now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ull + t.tv_nsec / 1000000;
}

static const char *test_name;

static void on_alarm(int sig)
{
	static const char a[] = "not ok - nothing moves any more: ";

	(void)!write(1, a, sizeof(a) - 1);
	(void)!write(1, test_name, strlen(test_name));
	(void)!write(1, "\n", 1);
	_exit(1);
}

static void begin(const char *name)
{
	test_name = name;
	alarm(HANG_S);
}

/* --- mutual exclusion: every lock in the same mill --- */

static struct spinlock spin = SPINLOCK_INIT("spin", 20);
static struct ticket_lock ticket = TICKET_LOCK_INIT("ticket", 20);
static struct mutex mutex = MUTEX_INIT(mutex, "mutex", 5);
static struct rwlock rw = RWLOCK_INIT(rw, "rwlock", 5);
static struct fair_rwlock fair = FAIR_RWLOCK_INIT(fair, "fair rwlock", 5);
static struct semaphore sema;

static void spin_in(void)
{
	spin_lock(&spin);
	spin_assert_held(&spin);
	CHECK(!irqs_on());
}

static void spin_out(void)
{
	spin_unlock(&spin);
}

static bool spin_try(void)
{
	return spin_trylock(&spin);
}

static void ticket_in(void)
{
	ticket_lock(&ticket);
	ticket_assert_held(&ticket);
	CHECK(!irqs_on());
}

static void ticket_out(void)
{
	ticket_unlock(&ticket);
}

static bool ticket_try(void)
{
	return ticket_trylock(&ticket);
}

static void big_in(void)
{
	big_lock();
	big_assert_held();
	CHECK(!irqs_on());
}

static void big_out(void)
{
	big_unlock();
}

static void mutex_in(void)
{
	mutex_lock(&mutex);
	mutex_assert_held(&mutex);
	CHECK(irqs_on());
}

static void mutex_out(void)
{
	mutex_unlock(&mutex);
}

static bool mutex_try(void)
{
	return mutex_trylock(&mutex);
}

static void rw_in(void)
{
	rw_write_lock(&rw);
	rw_assert_held_write(&rw);
	CHECK(irqs_on());
}

static void rw_out(void)
{
	rw_write_unlock(&rw);
}

static void rw_rin(void)
{
	rw_read_lock(&rw);
	rw_assert_held_read(&rw);
}

static void rw_rout(void)
{
	rw_read_unlock(&rw);
}

static void fair_in(void)
{
	fair_rw_write_lock(&fair);
	fair_rw_assert_held_write(&fair);
}

static void fair_out(void)
{
	fair_rw_write_unlock(&fair);
}

static void fair_rin(void)
{
	fair_rw_read_lock(&fair);
	fair_rw_assert_held_read(&fair);
}

static void fair_rout(void)
{
	fair_rw_read_unlock(&fair);
}

static void sema_in(void)
{
	sema_down(&sema);
}

static void sema_out(void)
{
	sema_up(&sema);
}

static bool sema_try(void)
{
	return sema_try_down(&sema);
}

static const struct kind {
	const char *name;
	void (*in)(void), (*out)(void);
	bool (*try)(void);
	void (*read_in)(void), (*read_out)(void);
} kinds[] = {
	{ "spinlock", spin_in, spin_out, spin_try },
	{ "ticket lock", ticket_in, ticket_out, ticket_try },
	{ "big lock", big_in, big_out },
	{ "mutex", mutex_in, mutex_out, mutex_try },
	{ "semaphore of one", sema_in, sema_out, sema_try },
	{ "rwlock", rw_in, rw_out, NULL, rw_rin, rw_rout },
	{ "fair rwlock", fair_in, fair_out, NULL, fair_rin, fair_rout },
};

static const struct kind *kind;
static u64 shared_a, shared_b, deadline, readers_now, readers_max;

static void mill(struct fake_thread *t)
{
	for (u64 i = 0; i < ROUNDS / NTHREADS && (i < 50 || now_ms() < deadline); i++) {
		if (kind->read_in && i % 4) {
			u64 n;

			kind->read_in();
			n = __atomic_add_fetch(&readers_now, 1, __ATOMIC_RELAXED);
			if (n > __atomic_load_n(&readers_max, __ATOMIC_RELAXED))
				__atomic_store_n(&readers_max, n, __ATOMIC_RELAXED);
			CHECK(shared_a == shared_b);
			if (i % 16 == 1)
				sched_yield();
			CHECK(shared_a == shared_b);
			__atomic_sub_fetch(&readers_now, 1, __ATOMIC_RELAXED);
			kind->read_out();
			continue;
		}
		if (!kind->try || i % 3 || !kind->try())
			kind->in();
		CHECK(shared_a == shared_b);
		shared_a++;
		if (i % 16 == 0)
			sched_yield();
		shared_b++;
		t->count++;
		CHECK(shared_a == shared_b);
		kind->out();
		/* Others between, so that also one who does not wait finds what they did. */
		if (i % 8 == 7)
			sched_yield();
	}
}

static void test_exclusion(void)
{
	for (kind = kinds; kind < kinds + ARRAY_SIZE(kinds); kind++) {
		u64 sum = 0;
		u32 i;

		begin(kind->name);
		shared_a = shared_b = readers_now = readers_max = 0;
		sema_init(&sema, 1);
		deadline = now_ms() + STRESS_MS;
		for (i = 0; i < NTHREADS; i++)
			start(i, mill);
		for (i = 0; i < NTHREADS; i++) {
			join(i);
			sum += threads[i].count;
		}
		CHECK(sum && sum == shared_a && sum == shared_b, "%lu entered, counted %lu", sum,
		      shared_a);
		if (kind->read_in)
			PASS("%s: %lu writers alone, up to %lu readers together", kind->name, sum,
			     readers_max);
		else
			PASS("%s: one at a time, %lu times", kind->name, sum);
	}
}

/* --- interrupts --- */

static void test_irq(void)
{
	static struct spinlock a = SPINLOCK_INIT("outer", 21), b = SPINLOCK_INIT("inner", 22);
	u32 on;

	begin("interrupts");
	become(&main_thread, 0);
	for (on = 0; on < 2; on++) {
		irqs_set(on);
		spin_lock(&a);
		CHECK(!irqs_on() && this_cpu()->irq_depth == 1);
		spin_lock(&b);
		CHECK(!irqs_on() && this_cpu()->irq_depth == 2);
		/* Not in mirror order: only the number counts. */
		spin_unlock(&a);
		CHECK(!irqs_on() && spin_held(&b) && !spin_held(&a));
		CHECK(!spin_trylock(&b) && this_cpu()->irq_depth == 1);
		core_cpu(1);
		CHECK(!spin_held(&b) && this_cpu()->irq_depth == 0);
		core_cpu(0);
		spin_unlock(&b);
		CHECK(irqs_on() == on && !this_cpu()->irq_depth);
	}
	EXPECT_PANIC(irq_pop());
	PASS("interrupts: off while a spinlock is held, nested, back to what they were");
}

/* --- order of entry --- */

static u32 log_order[NTHREADS + 2], log_n;

static u32 queue_length(struct spinlock *guard, const struct list *q)
{
	u32 n = 0;

	spin_lock(guard);
	for (const struct list *e = q->next; e != q; e = e->next)
		n++;
	spin_unlock(guard);
	return n;
}

/* Until @n threads wait on the queue; by looking, not by time. */
static void await_queue(struct spinlock *guard, const struct list *q, u32 n)
{
	while (queue_length(guard, q) != n)
		sched_yield();
}

static void log_me(void)
{
	log_order[log_n++] = me->cpu - 1;
}

static void log_in_order(struct fake_thread *t)
{
	kind->in();
	log_me();
	kind->out();
}

static void test_fifo(void)
{
	const u32 rounds = 60;
	u32 k, r, i;

	for (k = 1; k <= 4; k++) {
		kind = &kinds[k];
		begin(kind->name);
		for (r = 0; r < rounds; r++) {
			struct ticket_lock *tl = k == 1 ? &ticket : &rs_big_lock;

			log_n = 0;
			sema_init(&sema, 1);
			become(&main_thread, 0);
			kind->in();
			for (i = 0; i < NTHREADS; i++) {
				u32 who = (i + r) % NTHREADS;
				struct fake_thread *t = &threads[who];

				/* start() would take the main thread's locks away */
				*t = (struct fake_thread){ .cpu = who + 1, .run = log_in_order };
				waiter_init(&t->waiter);
				rs_cpus[t->cpu].hosted_if = true;
				CHECK(!pthread_create(&t->pthread, NULL, thread_main, t));
				if (k <= 2)
					while (__atomic_load_n(&tl->next, __ATOMIC_RELAXED) -
					       tl->serving != i + 2)
						sched_yield();
				else if (k == 3)
					await_queue(&mutex.guard, &mutex.waiters, i + 1);
				else
					await_queue(&sema.guard, &sema.waiters, i + 1);
			}
			CHECK(!kind->try || !kind->try());
			kind->out();
			for (i = 0; i < NTHREADS; i++)
				join(i);
			for (i = 0; i < NTHREADS; i++)
				CHECK(log_order[i] == (i + r) % NTHREADS, "round %u, place %u", r,
				      i);
		}
		PASS("%s: %u times %d waiters, first come, first served", kind->name, rounds,
		     NTHREADS);
	}
}

/* Threads are prepared while the main thread holds locks. */
static void launch(u32 i, void (*run)(struct fake_thread *t))
{
	struct fake_thread *t = &threads[i];

	*t = (struct fake_thread){ .cpu = i + 1, .run = run };
	waiter_init(&t->waiter);
	rs_cpus[t->cpu].hosted_if = true;
	CHECK(!pthread_create(&t->pthread, NULL, thread_main, t));
}

static void rw_writer(struct fake_thread *t)
{
	rw_write_lock(&rw);
	log_me();
	rw_write_unlock(&rw);
}

static void rw_reader(struct fake_thread *t)
{
	rw_read_lock(&rw);
	__atomic_store_n(&log_order[__atomic_fetch_add(&log_n, 1, __ATOMIC_RELAXED)], t->cpu - 1,
			 __ATOMIC_RELAXED);
	rw_read_unlock(&rw);
}

static void test_readers_first(void)
{
	u32 r, i;

	begin("readers first");
	for (r = 0; r < 40; r++) {
		log_n = 0;
		become(&main_thread, 0);
		/* A writer waits for a reader; readers go past it, and may be nested. */
		rw_read_lock(&rw);
		launch(0, rw_writer);
		await_queue(&rw.guard, &rw.waiting_writers, 1);
		rw_read_lock(&rw);
		rw_read_unlock(&rw);
		launch(1, rw_reader);
		join(1);
		CHECK(log_n == 1 && log_order[0] == 1);
		rw_read_unlock(&rw);
		join(0);
		CHECK(log_n == 2 && log_order[1] == 0);
		/* A writer that leaves prefers readers that came later than a writer. */
		log_n = 0;
		rw_write_lock(&rw);
		launch(0, rw_writer);
		await_queue(&rw.guard, &rw.waiting_writers, 1);
		launch(1, rw_reader);
		await_queue(&rw.guard, &rw.waiting_readers, 1);
		launch(2, rw_reader);
		await_queue(&rw.guard, &rw.waiting_readers, 2);
		rw_write_unlock(&rw);
		for (i = 0; i < 3; i++)
			join(i);
		CHECK(log_n == 3 && log_order[2] == 0, "the writer was number %u", log_order[2]);
	}
	PASS("rwlock: readers pass a waiting writer, and enter before it");
}

static void fair_writer(struct fake_thread *t)
{
	fair_rw_write_lock(&fair);
	log_me();
	fair_rw_write_unlock(&fair);
}

static void fair_reader(struct fake_thread *t)
{
	fair_rw_read_lock(&fair);
	__atomic_store_n(&log_order[__atomic_fetch_add(&log_n, 1, __ATOMIC_RELAXED)], t->cpu - 1,
			 __ATOMIC_RELAXED);
	fair_rw_read_unlock(&fair);
}

static u64 writes_done, reads_behind, bypassed;

static bool writer_waits(u64 *done)
{
	struct waiter *w;
	bool yes = false;

	spin_lock(&fair.guard);
	list_for_each(w, &fair.waiting, link)
		yes |= w->writer;
	*done = __atomic_load_n(&writes_done, __ATOMIC_RELAXED);
	spin_unlock(&fair.guard);
	return yes;
}

/* A reader that saw a writer in the queue before it came must not be inside before that one was. */
static void fair_crowd_reader(struct fake_thread *t)
{
	for (u64 i = 0; i < ROUNDS / NTHREADS && (i < 200 || now_ms() < deadline); i++) {
		u64 done;
		bool waits = writer_waits(&done);

		fair_rw_read_lock(&fair);
		if (waits) {
			__atomic_fetch_add(&reads_behind, 1, __ATOMIC_RELAXED);
			if (__atomic_load_n(&writes_done, __ATOMIC_RELAXED) == done)
				__atomic_fetch_add(&bypassed, 1, __ATOMIC_RELAXED);
		}
		/* Inside until somebody else came, mostly: readers overlap all the time. */
		sched_yield();
		fair_rw_read_unlock(&fair);
	}
}

static void fair_crowd_writer(struct fake_thread *t)
{
	for (u64 i = 0; i < ROUNDS / NTHREADS && (i < 200 || now_ms() < deadline); i++) {
		fair_rw_write_lock(&fair);
		__atomic_fetch_add(&writes_done, 1, __ATOMIC_RELAXED);
		fair_rw_write_unlock(&fair);
	}
}

static void test_fair(void)
{
	static const u32 expect[] = { 0, 1, 2, 3 };
	u32 r, i;

	begin("fair rwlock");
	for (r = 0; r < 40; r++) {
		log_n = 0;
		become(&main_thread, 0);
		/* Writer, reader, writer, reader behind a reader: exactly in this order. */
		fair_rw_read_lock(&fair);
		for (i = 0; i < 4; i++) {
			launch(i, i % 2 ? fair_reader : fair_writer);
			await_queue(&fair.guard, &fair.waiting, i + 1);
		}
		CHECK(!log_n);
		fair_rw_read_unlock(&fair);
		for (i = 0; i < 4; i++)
			join(i);
		CHECK(log_n == 4 && !memcmp(log_order, expect, sizeof(expect)));
	}
	PASS("fair rwlock: writers and readers in the order they came");

	begin("fair rwlock, crowded");
	writes_done = reads_behind = bypassed = 0;
	deadline = now_ms() + STRESS_MS;
	for (i = 0; i < 3; i++)
		start(i, fair_crowd_reader);
	start(3, fair_crowd_writer);
	for (i = 0; i < 4; i++)
		join(i);
	CHECK(reads_behind, "no reader ever met a waiting writer");
	CHECK(!bypassed, "%lu of %lu", bypassed, reads_behind);
	PASS("fair rwlock: %lu writes among readers; of %lu readers behind a writer none passed it",
	     writes_done, reads_behind);
}

/* --- semaphores --- */

#define PERMITS	3
static u64 inside, inside_max;
static struct semaphore slots, items;
static u64 ring[4], ring_in, ring_out;
static struct spinlock ring_lock = SPINLOCK_INIT("ring", 0);

static void sema_crowd(struct fake_thread *t)
{
	for (u64 i = 0; i < ROUNDS / NTHREADS && (i < 50 || now_ms() < deadline); i++) {
		u64 n;

		sema_down(&sema);
		n = __atomic_add_fetch(&inside, 1, __ATOMIC_RELAXED);
		CHECK(n <= PERMITS, "%lu inside", n);
		if (n > __atomic_load_n(&inside_max, __ATOMIC_RELAXED))
			__atomic_store_n(&inside_max, n, __ATOMIC_RELAXED);
		if (i % 4 == 0)
			sched_yield();
		__atomic_sub_fetch(&inside, 1, __ATOMIC_RELAXED);
		sema_up(&sema);
	}
}

#define RING_ITEMS	4000
static void ring_producer(struct fake_thread *t)
{
	for (u64 i = 1; i <= RING_ITEMS; i++) {
		sema_down(&slots);
		spin_lock(&ring_lock);
		ring[ring_in++ % ARRAY_SIZE(ring)] = i;
		spin_unlock(&ring_lock);
		sema_up(&items);
	}
}

static void ring_consumer(struct fake_thread *t)
{
	for (u64 i = 1; i <= RING_ITEMS; i++) {
		sema_down(&items);
		spin_lock(&ring_lock);
		t->count += ring[ring_out++ % ARRAY_SIZE(ring)];
		spin_unlock(&ring_lock);
		sema_up(&slots);
	}
}

static void test_semaphore(void)
{
	u32 i;

	begin("semaphore");
	inside = inside_max = 0;
	sema_init(&sema, PERMITS);
	deadline = now_ms() + STRESS_MS;
	for (i = 0; i < NTHREADS + 2; i++)
		start(i, sema_crowd);
	for (i = 0; i < NTHREADS + 2; i++)
		join(i);
	for (i = 0; sema_try_down(&sema); i++)
		;
	CHECK(i == PERMITS, "%u permits are left", i);
	PASS("semaphore: never more than %d inside (%lu were), all permits back", PERMITS,
	     inside_max);

	begin("ring of semaphores");
	sema_init(&slots, ARRAY_SIZE(ring));
	sema_init(&items, 0);
	for (i = 0; i < 4; i++)
		start(i, i % 2 ? ring_consumer : ring_producer);
	for (i = 0; i < 4; i++)
		join(i);
	CHECK(threads[1].count + threads[3].count == (u64)RING_ITEMS * (RING_ITEMS + 1));
	CHECK(!sema_try_down(&items) && slots.count == ARRAY_SIZE(ring));
	PASS("semaphore: two producers, two consumers, %d items, none lost or doubled",
	     2 * RING_ITEMS);
}

/* --- sleep and wakeup --- */

#define PAIRS	2
static struct pair {
	struct spinlock lock;
	u64 turn;
	u64 sleeps[2], goal;
	bool stop;
} pairs[PAIRS];

/*
 * Two threads take turns; the other one's turn is slept through. Every sleep that ends was ended by
 * the other's wake-up, and had one been lost both would sleep for good. Odd rounds wake after the
 * lock was dropped, which is allowed too.
 */
static void pair_run(struct fake_thread *t)
{
	u32 i = t - threads, side = i % 2;
	struct pair *p = &pairs[i / 2];
	u64 enough = p->goal;

	t->patience = i / 2 ? 3 : 0;
	for (;;) {
		bool late;

		spin_lock(&p->lock);
		while (p->turn % 2 != side && !p->stop) {
			channel_sleep(&p->turn, &p->lock);
			p->sleeps[side]++;
		}
		if (p->turn % 256 == 0) {
			alarm(HANG_S);
			enough = now_ms() > deadline ? p->goal / SLEEPS_PER : p->goal;
		}
		if (p->sleeps[0] + p->sleeps[1] >= enough)
			p->stop = true;
		if (p->stop)
			break;
		p->turn++;
		late = p->turn % 4 >= 2;
		if (!late)
			channel_wake(&p->turn);
		spin_unlock(&p->lock);
		if (late)
			channel_wake(&p->turn);
	}
	spin_unlock(&p->lock);
	channel_wake(&p->turn);
}

static void test_wakeups(void)
{
	u64 sleeps = 0;
	u32 i;

	begin("sleep and wakeup");
	deadline = now_ms() + SLEEPS_S * 1000;
	blocked = 0;
	for (i = 0; i < PAIRS; i++) {
		/* The first pair sleeps in the futex, which is slow; the other mostly does not. */
		pairs[i] = (struct pair){ .goal = i ? SLEEPS * 4 / 5 : SLEEPS / 5 };
		spin_init(&pairs[i].lock, "condition", 30);
	}
	for (i = 0; i < 2 * PAIRS; i++)
		start(i, pair_run);
	for (i = 0; i < 2 * PAIRS; i++)
		join(i);
	for (i = 0; i < PAIRS; i++)
		sleeps += pairs[i].sleeps[0] + pairs[i].sleeps[1];
	CHECK(sleeps >= SLEEPS / SLEEPS_PER, "only %lu", sleeps);
	PASS("channel: %lu sleeps, each woken (%lu times down to the futex)", sleeps, blocked);
}

static struct spinlock cond = SPINLOCK_INIT("condition", 30);
static u64 chan_a, chan_b, asleep;

static void chan_sleeper(struct fake_thread *t)
{
	u64 *chan = t->cpu % 2 ? &chan_a : &chan_b;

	spin_lock(&cond);
	while (!*chan) {
		asleep++;
		channel_sleep(chan, &cond);
		asleep--;
		t->count++;
	}
	spin_unlock(&cond);
}

static void chan_victim(struct fake_thread *t)
{
	spin_lock(&cond);
	asleep++;
	CHECK(channel_sleep_killable(&chan_a, &cond) == -EINTR);
	spin_assert_held(&cond);
	asleep--;
	/* And so does every later sleep, until it is revived. */
	CHECK(channel_sleep_killable(&chan_b, &cond) == -EINTR);
	spin_unlock(&cond);
	CHECK(mutex_lock_killable(&mutex) == -EINTR && !mutex_held(&mutex));
	CHECK(sema_down_killable(&sema) == -EINTR);
	waiter_revive(&t->waiter);
	mutex_lock(&mutex);
	mutex_unlock(&mutex);
}

static void await_asleep(u64 n)
{
	u64 is;

	do {
		sched_yield();
		spin_lock(&cond);
		is = asleep;
		spin_unlock(&cond);
	} while (is != n);
}

static void test_channels(void)
{
	u32 i, r;

	begin("channels");
	for (r = 0; r < 50; r++) {
		chan_a = chan_b = asleep = 0;
		for (i = 0; i < 4; i++)
			start(i, chan_sleeper);
		await_asleep(4);
		spin_lock(&cond);
		chan_a = 1;
		CHECK(channel_wake(&chan_a) == 2 && !channel_wake(&chan_a));
		spin_unlock(&cond);
		join(0);
		join(2);
		spin_lock(&cond);
		CHECK(asleep == 2);
		/* Woken for nothing: they look again, and sleep again. */
		CHECK(channel_wake_some(&chan_b, 1) == 1);
		spin_unlock(&cond);
		while (__atomic_load_n(&threads[1].permit, __ATOMIC_RELAXED) == MAY_RUN)
			sched_yield();
		await_asleep(2);
		spin_lock(&cond);
		chan_b = 1;
		channel_wake(&chan_b);
		spin_unlock(&cond);
		join(1);
		join(3);
		CHECK(threads[0].count == 1 && threads[2].count == 1);
		CHECK(threads[1].count + threads[3].count >= 2);
	}
	PASS("channel: wakes its own sleepers, all or as many as asked");

	begin("kill");
	for (r = 0; r < 50; r++) {
		chan_a = chan_b = asleep = 0;
		sema_init(&sema, 0);
		become(&main_thread, 0);
		mutex_lock(&mutex);
		launch(0, chan_victim);
		/* Sometimes before it sleeps. */
		if (r % 2)
			await_asleep(1);
		waiter_kill(&threads[0].waiter);
		/* The victim comes back to the mutex to stay, when it has been revived. */
		while (__atomic_load_n(&threads[0].waiter.killed, __ATOMIC_RELAXED))
			sched_yield();
		await_queue(&mutex.guard, &mutex.waiters, 1);
		mutex_unlock(&mutex);
		join(0);
		CHECK(!channel_wake(&chan_a) && !channel_wake(&chan_b) && !sema_try_down(&sema));
	}
	PASS("kill: ends sleeps on channels, mutexes, semaphores, also when it comes first");
}

/* --- the checker --- */

static struct spinlock la = SPINLOCK_INIT("lock A", 0), lb = SPINLOCK_INIT("lock B", 0),
		       lc = SPINLOCK_INIT("lock C", 0);
static struct spinlock low = SPINLOCK_INIT("low rank", 12), high = SPINLOCK_INIT("high rank", 34);
static struct spinlock twins[2] = { SPINLOCK_INIT("twin", 40), SPINLOCK_INIT("twin", 40) };

/* After a panic that was expected: as if none of the locks had been taken. */
static void fresh(void)
{
	struct spinlock *all[] = { &la, &lb, &lc, &low, &high, &twins[0], &twins[1], &mutex.guard,
				   &cond };

	for (u32 i = 0; i < ARRAY_SIZE(all); i++)
		all[i]->holder = 0;
	for (u32 i = 0; i < RS_NR_CPUS; i++)
		rs_cpus[i].irq_depth = 0;
	ticket_init(&ticket, "ticket", 20);
	mutex_init(&mutex, "mutex", 5);
	rw_init(&rw, "rwlock", 5);
	fair_rw_init(&fair, "fair rwlock", 5);
	become(&main_thread, 0);
	lockcheck_reset();
}

#define NAMED(...)	check_named((const char *const[]){ __VA_ARGS__, NULL }, __LINE__)
static void check_named(const char *const *words, int line)
{
	for (; *words; words++)
		CHECK(strstr(core_panic_text, *words), "line %d, no '%s' in: %s", line, *words,
		      core_panic_text);
}

static void nest(struct spinlock *a, struct spinlock *b)
{
	spin_lock(a);
	spin_lock(b);
	spin_unlock(b);
	spin_unlock(a);
}

static void test_checker_order(void)
{
	u32 i;

	begin("checker: order");
	fresh();
	for (i = 0; i < 3; i++) {
		nest(&la, &lb);
		nest(&lb, &lc);
		nest(&la, &lc);
		nest(&low, &high);
		nest(&la, &low);
		nest(&twins[0], &twins[1]);
	}
	PASS("checker: silent on locks that are taken in one order");

	spin_lock_at(&lb, "first.c:1");
	EXPECT_PANIC(spin_lock_at(&la, "second.c:2"));
	NAMED("order reversed", "\"lock A\"", "second.c:2", "\"lock B\"", "first.c:1",
	      "sync_test.c:");
	CHECK(!la.holder);
	fresh();
	nest(&la, &lb);
	nest(&lb, &lc);
	spin_lock_at(&lc, "first.c:1");
	EXPECT_PANIC(spin_lock_at(&la, "second.c:2"));
	NAMED("order reversed", "\"lock A\"", "second.c:2", "\"lock C\"", "first.c:1",
	      "\"lock B\"");
	/* A cycle by way of a rank: low, A, and then high before low. */
	fresh();
	nest(&high, &la);
	spin_lock(&la);
	EXPECT_PANIC(spin_lock(&high));
	NAMED("order reversed", "\"lock A\"", "\"high rank\"");
	/* A lock that is only tried cannot deadlock, but counts for what comes after. */
	fresh();
	nest(&la, &lb);
	spin_lock(&lb);
	CHECK(spin_trylock(&la));
	spin_unlock(&la);
	spin_unlock(&lb);
	fresh();
	CHECK(spin_trylock(&la));
	spin_lock(&lb);
	spin_unlock(&lb);
	spin_unlock(&la);
	spin_lock(&lb);
	EXPECT_PANIC(spin_lock(&la));
	NAMED("order reversed");
	PASS("checker: A-B and B-A, A-B-C and C-A, with both names and places");

	fresh();
	spin_lock_at(&high, "first.c:1");
	EXPECT_PANIC(spin_lock_at(&low, "second.c:2"));
	NAMED("wrong rank", "\"low rank\" (rank 12)", "second.c:2", "\"high rank\" (rank 34)",
	      "first.c:1");
	fresh();
	spin_lock(&twins[1]);
	EXPECT_PANIC(spin_lock(&twins[0]));
	NAMED("two of one kind", "\"twin\"");
	PASS("checker: wrong rank; two of one kind against their addresses");
}

static void other_thread_mutex(struct fake_thread *t)
{
	mutex_lock_at(&mutex, false, "other.c:3");
	/* Left locked: the main thread is the stranger. */
	t->waiter.held.n = 0;
}

static void test_checker_misuse(void)
{
	int on;

	begin("checker: misuse");
	for (on = 1; on >= 0; on--) {
		/* Without the checker the waiting part finds it. */
		fresh();
		lockcheck_on = on;
		spin_lock_at(&la, "first.c:1");
		EXPECT_PANIC(spin_lock_at(&la, "second.c:2"));
		NAMED("taken twice", "\"lock A\"", "second.c:2");
		fresh();
		ticket_lock_at(&ticket, "first.c:1");
		EXPECT_PANIC(ticket_lock_at(&ticket, "second.c:2"));
		NAMED("taken twice", "\"ticket\"", "second.c:2");
		fresh();
		mutex_lock_at(&mutex, false, "first.c:1");
		EXPECT_PANIC(mutex_lock_at(&mutex, false, "second.c:2"));
		NAMED("taken twice", "\"mutex\"", "second.c:2");
		fresh();
		rw_write_lock(&rw);
		EXPECT_PANIC(rw_read_lock(&rw));
		NAMED("taken twice", "\"rwlock\"");
		fresh();
		fair_rw_write_lock(&fair);
		EXPECT_PANIC(fair_rw_write_lock(&fair));
		NAMED("taken twice", "\"fair rwlock\"");
		if (on) {
			fresh();
			spin_lock_at(&la, "first.c:1");
			EXPECT_PANIC(spin_lock_at(&la, "second.c:2"));
			NAMED("first.c:1");
			/* Readers: again is right with one, a deadlock to be with the other. */
			fresh();
			fair_rw_read_lock(&fair);
			EXPECT_PANIC(fair_rw_read_lock(&fair));
			NAMED("taken twice", "\"fair rwlock\"");
			fresh();
			rw_read_lock(&rw);
			rw_read_lock(&rw);
			rw_read_unlock(&rw);
			rw_read_unlock(&rw);
			rw_read_lock(&rw);
			EXPECT_PANIC(rw_write_lock(&rw));
			NAMED("taken twice", "\"rwlock\"");
		}
	}
	lockcheck_on = true;
	fresh();
	PASS("checker: taken twice, also in a build without it");

	spin_lock_at(&la, "first.c:1");
	core_cpu(1);
	EXPECT_PANIC(spin_unlock_at(&la, "second.c:2"));
	NAMED("stranger", "\"lock A\"", "second.c:2", "first.c:1");
	fresh();
	EXPECT_PANIC(spin_unlock(&lb));
	NAMED("stranger", "\"lock B\"");
	fresh();
	ticket_lock(&ticket);
	core_cpu(1);
	EXPECT_PANIC(ticket_unlock(&ticket));
	NAMED("stranger", "\"ticket\"");
	fresh();
	launch(0, other_thread_mutex);
	join(0);
	EXPECT_PANIC(mutex_unlock_at(&mutex, "second.c:2"));
	NAMED("stranger", "\"mutex\"", "second.c:2", "other.c:3");
	fresh();
	EXPECT_PANIC(rw_read_unlock(&rw));
	NAMED("stranger");
	fresh();
	EXPECT_PANIC(fair_rw_write_unlock(&fair));
	NAMED("stranger");
	PASS("checker: released by a stranger");

	fresh();
	spin_lock_at(&la, "first.c:1");
	EXPECT_PANIC(mutex_lock(&mutex));
	NAMED("may sleep", "\"mutex\"", "\"lock A\"", "first.c:1");
	fresh();
	spin_lock_at(&la, "first.c:1");
	spin_lock(&cond);
	EXPECT_PANIC(channel_sleep(&chan_a, &cond));
	NAMED("sleeps with a spinlock held", "\"lock A\"", "first.c:1");
	/* Left behind in the channel's bucket: the panic came with its guard held. */
	PASS("checker: sleeping with a spinlock held");
}

static void test_assert_held(void)
{
	begin("assert_held");
	fresh();
	EXPECT_PANIC(spin_assert_held(&la));
	EXPECT_PANIC(ticket_assert_held(&ticket));
	EXPECT_PANIC(big_assert_held());
	EXPECT_PANIC(mutex_assert_held(&mutex));
	EXPECT_PANIC(rw_assert_held_read(&rw));
	EXPECT_PANIC(rw_assert_held_write(&rw));
	EXPECT_PANIC(fair_rw_assert_held_read(&fair));
	EXPECT_PANIC(fair_rw_assert_held_write(&fair));
	PASS("assert_held: of a lock that is not held");
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGALRM, on_alarm);
	for (u32 i = 0; i < RS_NR_CPUS; i++)
		rs_cpus[i].id = i;
	waiter_setup(&fake_ops);
	become(&main_thread, 0);
	test_irq();
	test_exclusion();
	test_fifo();
	test_readers_first();
	test_fair();
	test_semaphore();
	test_wakeups();
	test_channels();
	test_checker_order();
	test_assert_held();
	test_checker_misuse();	/* last: leaves a bucket locked */
	DONE();
}
