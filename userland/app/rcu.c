// SPDX-License-Identifier: MIT
/*
 * rcu.c - grace periods of threads: see ringside/rcu.h
 *
 * Grace periods have numbers. rs_rcu_period_ holds that of the last one that has begun, in the
 * upper 52 bits, and a depth of 1 below: what a thread stores in its word (rs_rcu_thread.reads)
 * when it begins to read. Nested sections count the depth up and down. So a word says: depth 0, the
 * thread does not read; otherwise, it reads since that period. A thread that is online has the
 * depth 1, and rs_rcu_quiescent() takes it to the present period. 0 as a whole: not registered,
 * that is, in no list. It is one word, stored at once, so that a signal handler that reads comes
 * before or after.
 *
 * rs_rcu_synchronize(), for one thread at a time:
 *
 *	1. period = the next number
 *	2. a barrier in all threads (membarrier)
 *	3. waits until each registered thread does not read, or reads since this period
 *
 * Why that is enough. Let a reader find something that was taken out before 1. Its word was stored
 * before it looked; take the barrier that 2 has made its CPU execute. If the store came before
 * that, 3 sees the word, with an older number, and waits. If it came after, so did the look, and
 * the barrier is ordered behind what the writer did before 2: it would not have found it. A word
 * with the new number belongs to a reader that has seen the store of 1, and so everything that the
 * writer did before it: the load of the number is an acquire. And when 3 sees the end of a section,
 * it sees a store with release, behind all that was read. (On x86 all of these are plain moves;
 * what needs a barrier is the order of the word's store and the loads behind it, nothing else.)
 *
 * Where there is no membarrier, each thread executes a fence behind its store (RS_RCU_FENCE_), and
 * the writer one as 2.
 *
 * Whoever waits for the lock of 1 to 3 and finds that a period has begun and ended since has
 * nothing left to do: so many writers share periods.
 *
 * Sleeping: a writer that has looked a few times marks the threads that it waits for
 * (RS_RCU_AWAITED_), makes a barrier, looks once more and sleeps on a futex; a marked thread that
 * ends its section sees the mark, or the writer has seen the end. Threads that nobody waits for are
 * not disturbed.
 *
 * Locks: period_lock (one period at a time; held while waiting for readers, taken by nobody who
 * reads), then list_lock (the registered threads; held for short), and calls.lock by itself. fork()
 * holds the latter two, so that the child finds both lists whole; in the child nobody else is left,
 * and period_lock is made anew.
 */
#include <errno.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <ringside/rcu.h>
#include "internal.h"

#define PERIOD		(RS_RCU_DEPTH_ + 1)
#define LOOKS		8	/* before a writer sleeps */

__thread struct rs_rcu_thread rs_rcu_self_;
uint64_t rs_rcu_period_ = PERIOD + 1;
/* Before the first use: as if there were no membarrier. For tests. */
HIDDEN int rs_rcu_without_membarrier;

static pthread_mutex_t period_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static struct rs_rcu_thread *threads;	/* list_lock */
static uint64_t over;			/* the last period that has ended; written with period_lock */
static uint32_t ends;			/* counts sections that somebody has waited for; the futex */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static int unusable;			/* errno of what start() could not do */
static bool fences;

static struct {
	pthread_mutex_t lock;
	pthread_cond_t more, less;
	/* Taken by who runs callbacks, then queued and not taken; each in order. */
	struct rs_rcu_head *taken, *first, **end;
	uint64_t queued, done;		/* so many in all */
	bool running, worker;		/* somebody runs callbacks; there is a thread for it */
	uint32_t forks;			/* between the loading of the library and now */
} calls = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.more = PTHREAD_COND_INITIALIZER,
	.less = PTHREAD_COND_INITIALIZER,
	.end = &calls.first,
};

static void __attribute__((noreturn)) fatal(const char *text)
{
	ssize_t n;

	n = write(2, text, strlen(text));
	(void)n;
	abort();
}

static long membarrier(int cmd)
{
	return syscall(SYS_membarrier, cmd, 0, 0);
}

static void futex(int op, uint32_t val)
{
	int err = errno;

	syscall(SYS_futex, &ends, op, val, NULL, NULL, 0);
	errno = err;
}

/* All threads of the process have executed a full barrier since this was called. */
static void barrier_everywhere(void)
{
	int err = errno;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (fences || !membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED))
		return;
	/* It was there before: a filter for system calls has come, or a kernel forgets at fork. */
	if ((membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) ||
	     membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED)) &&
	    membarrier(MEMBARRIER_CMD_GLOBAL))
		fatal("librsapp: membarrier is not allowed any more, and readers rely on it\n");
	errno = err;
}

/* --- threads ---------------------------------------------------------------------------------- */

static void unlink_thread(struct rs_rcu_thread *t)
{
	uint32_t flags;

	pthread_mutex_lock(&list_lock);
	*t->at = t->next;
	if (t->next)
		t->next->at = t->at;
	flags = t->flags;
	pthread_mutex_unlock(&list_lock);
	/* Nobody sets it any more: writers do so under the lock, for those in the list. */
	if (flags & RS_RCU_AWAITED_) {
		__atomic_add_fetch(&ends, 1, __ATOMIC_SEQ_CST);
		futex(FUTEX_WAKE_PRIVATE, INT_MAX);
	}
	memset(t, 0, sizeof(*t));
}

static void thread_ends(void *arg)
{
	struct rs_rcu_thread *t = arg;

	if (t->reads)
		unlink_thread(t);
}

static void before_fork(void)
{
	pthread_mutex_lock(&calls.lock);
	pthread_mutex_lock(&list_lock);
}

static void after_fork(void)
{
	pthread_mutex_unlock(&list_lock);
	pthread_mutex_unlock(&calls.lock);
}

static void in_child(void)
{
	struct rs_rcu_thread *self = &rs_rcu_self_;
	struct rs_rcu_head **end;

	pthread_mutex_init(&period_lock, NULL);
	pthread_mutex_init(&list_lock, NULL);
	pthread_mutex_init(&calls.lock, NULL);
	pthread_cond_init(&calls.more, NULL);
	pthread_cond_init(&calls.less, NULL);
	threads = NULL;
	if (self->reads) {
		self->flags &= ~RS_RCU_AWAITED_;
		self->next = NULL;
		self->at = &threads;
		threads = self;
	}
	/* What the thread that has not come along was about to run comes first. */
	for (end = &calls.taken; *end; end = &(*end)->next)
		;
	*end = calls.first;
	calls.first = calls.taken;
	calls.taken = NULL;
	calls.done = calls.queued;
	for (end = &calls.first; *end; end = &(*end)->next)
		calls.done--;
	calls.end = end;
	calls.running = calls.worker = false;
	calls.forks++;
}

static void start(void)
{
	long known = rs_rcu_without_membarrier ? -1 : membarrier(MEMBARRIER_CMD_QUERY);

	unusable = pthread_key_create(&key, thread_ends);
	if (!unusable)
		unusable = pthread_atfork(before_fork, after_fork, in_child);
	fences = known < 0 || !(known & MEMBARRIER_CMD_PRIVATE_EXPEDITED) ||
		 membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
}

int rs_rcu_register(void)
{
	struct rs_rcu_thread *t = &rs_rcu_self_;
	int err;

	if (t->reads)
		return 0;
	pthread_once(&once, start);
	err = unusable ? unusable : pthread_setspecific(key, t);
	if (err)
		return -err;
	t->flags = fences ? RS_RCU_FENCE_ : 0;
	t->online = 0;
	pthread_mutex_lock(&list_lock);
	/* Not 0, and of depth 0. */
	__atomic_store_n(&t->reads, PERIOD, __ATOMIC_RELAXED);
	t->next = threads;
	t->at = &threads;
	if (threads)
		threads->at = &t->next;
	threads = t;
	pthread_mutex_unlock(&list_lock);
	return 0;
}

int rs_rcu_unregister(void)
{
	struct rs_rcu_thread *t = &rs_rcu_self_;

	if (!t->reads)
		return 0;
	if (t->reads & RS_RCU_DEPTH_)
		return -EBUSY;
	pthread_setspecific(key, NULL);
	unlink_thread(t);
	return 0;
}

/* --- the readers' slow halves ----------------------------------------------------------------- */

void rs_rcu_first_(void)
{
	if (rs_rcu_register())
		fatal("librsapp: no memory to register a reader\n");
}

/* Behind the store that begins a section. */
void rs_rcu_began_(void)
{
	if (__atomic_load_n(&rs_rcu_self_.flags, __ATOMIC_RELAXED) & RS_RCU_FENCE_)
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* Behind the store that ends one, perhaps: somebody may be waiting for that. */
void rs_rcu_ended_(void)
{
	struct rs_rcu_thread *t = &rs_rcu_self_;

	if (__atomic_load_n(&t->flags, __ATOMIC_RELAXED) & RS_RCU_FENCE_)
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!(__atomic_load_n(&t->flags, __ATOMIC_RELAXED) & RS_RCU_AWAITED_))
		return;
	/* An inner section, or one of a thread that is online: it still reads since then. */
	if (t->reads & RS_RCU_DEPTH_ &&
	    t->reads < __atomic_load_n(&rs_rcu_period_, __ATOMIC_RELAXED))
		return;
	__atomic_and_fetch(&t->flags, ~RS_RCU_AWAITED_, __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&ends, 1, __ATOMIC_SEQ_CST);
	futex(FUTEX_WAKE_PRIVATE, INT_MAX);
}

void rs_rcu_online(void)
{
	struct rs_rcu_thread *t = &rs_rcu_self_;

	if (t->online)
		return;
	rs_rcu_read_lock();
	if ((t->reads & RS_RCU_DEPTH_) != 1)
		fatal("librsapp: rs_rcu_online() inside a read section\n");
	t->online = 1;
}

void rs_rcu_offline(void)
{
	struct rs_rcu_thread *t = &rs_rcu_self_;

	if (!t->online)
		return;
	if ((t->reads & RS_RCU_DEPTH_) != 1)
		fatal("librsapp: rs_rcu_offline() inside a read section\n");
	t->online = 0;
	rs_rcu_read_unlock();
}

/* --- writers ---------------------------------------------------------------------------------- */

/* The caller does not read while it waits; true: it was online. */
static bool leave(const char *in_section)
{
	bool online = rs_rcu_self_.online;

	if ((rs_rcu_self_.reads & RS_RCU_DEPTH_) > online)
		fatal(in_section);
	if (online)
		rs_rcu_offline();
	return online;
}

/* Some thread reads since before @period; those that do are marked if @mark. */
static bool somebody_reads(uint64_t period, bool mark)
{
	struct rs_rcu_thread *t;
	bool some = false;

	pthread_mutex_lock(&list_lock);
	for (t = threads; t && (!some || mark); t = t->next) {
		uint64_t reads = __atomic_load_n(&t->reads, __ATOMIC_ACQUIRE);

		if (!(reads & RS_RCU_DEPTH_) || reads >= period)
			continue;
		some = true;
		if (mark)
			__atomic_or_fetch(&t->flags, RS_RCU_AWAITED_, __ATOMIC_SEQ_CST);
	}
	pthread_mutex_unlock(&list_lock);
	return some;
}

static void wait_for_readers(uint64_t period)
{
	uint32_t before;
	int looks;

	for (looks = 0; looks < LOOKS; looks++) {
		if (!somebody_reads(period, false))
			return;
		sched_yield();
	}
	for (;;) {
		before = __atomic_load_n(&ends, __ATOMIC_SEQ_CST);
		if (!somebody_reads(period, true))
			return;
		barrier_everywhere();
		if (!somebody_reads(period, false))
			return;
		futex(FUTEX_WAIT_PRIVATE, before);
	}
}

static void synchronize(void)
{
	uint64_t seen, period;

	pthread_once(&once, start);
	/* What was taken out is out before the number is looked at. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	seen = __atomic_load_n(&rs_rcu_period_, __ATOMIC_RELAXED);
	pthread_mutex_lock(&period_lock);
	if (over <= seen) {
		period = rs_rcu_period_ + PERIOD;
		__atomic_store_n(&rs_rcu_period_, period, __ATOMIC_SEQ_CST);
		barrier_everywhere();
		wait_for_readers(period);
		over = period;
	}
	pthread_mutex_unlock(&period_lock);
}

void rs_rcu_synchronize(void)
{
	bool online = leave("librsapp: rs_rcu_synchronize() inside a read section\n");

	synchronize();
	if (online)
		rs_rcu_online();
}

/* --- callbacks -------------------------------------------------------------------------------- */

/* calls.lock is held, nobody else runs callbacks, and there are some: all there are now. */
static void run_calls(void)
{
	uint32_t forks = calls.forks;
	struct rs_rcu_head *h;
	uint64_t n = 0;

	calls.running = true;
	calls.taken = calls.first;
	calls.first = NULL;
	calls.end = &calls.first;
	pthread_mutex_unlock(&calls.lock);
	synchronize();
	/* One store takes one off, so that a fork finds the list whole at any moment. */
	while ((h = calls.taken)) {
		__atomic_store_n(&calls.taken, h->next, __ATOMIC_RELEASE);
		h->fn(h);
		n++;
	}
	pthread_mutex_lock(&calls.lock);
	/* A callback has forked, and this is the child: in_child() has counted. */
	if (calls.forks != forks)
		return;
	calls.done += n;
	calls.running = false;
	pthread_cond_broadcast(&calls.less);
}

static void *worker(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&calls.lock);
	for (;;) {
		while (!calls.first || calls.running)
			pthread_cond_wait(calls.running ? &calls.less : &calls.more, &calls.lock);
		run_calls();
	}
	return NULL;
}

/* calls.lock is held. Signals are the other threads' business. */
static void start_worker(void)
{
	sigset_t all, old;
	pthread_t thread;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	if (!pthread_create(&thread, NULL, worker, NULL)) {
		pthread_detach(thread);
		calls.worker = true;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

void rs_rcu_call(struct rs_rcu_head *head, void (*fn)(struct rs_rcu_head *head))
{
	pthread_once(&once, start);
	head->fn = fn;
	head->next = NULL;
	pthread_mutex_lock(&calls.lock);
	if (!calls.first)
		pthread_cond_signal(&calls.more);
	*calls.end = head;
	calls.end = &head->next;
	calls.queued++;
	if (!calls.worker)
		start_worker();
	pthread_mutex_unlock(&calls.lock);
}

void rs_rcu_barrier(void)
{
	bool online = leave("librsapp: rs_rcu_barrier() inside a read section\n");
	uint64_t all;

	pthread_once(&once, start);
	pthread_mutex_lock(&calls.lock);
	all = calls.queued;
	while (calls.done < all) {
		if (!calls.worker && !calls.running)
			start_worker();
		if (calls.worker || calls.running)
			pthread_cond_wait(&calls.less, &calls.lock);
		else
			run_calls();
	}
	pthread_mutex_unlock(&calls.lock);
	if (online)
		rs_rcu_online();
}
