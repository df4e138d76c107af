// SPDX-License-Identifier: MIT
/*
 * The thread that knows the time: RS_CALL_TIMER and RS_CALL_TICK.
 *
 * It sleeps on a futex until the nearest moment at which something is due. Requests leave what they
 * want (deadline, tick_requests), then change the futex's word, then wake the thread if it sleeps
 * for longer than they want. The thread reads the word first and what is wanted after it, and
 * publishes until when it will sleep before it does. So of a request that comes meanwhile either
 * the thread sees what is wanted, or the futex sees that the word has changed, or the request sees
 * how long the thread will sleep.
 *
 * A timer that is moved to later, or taken back, wakes nobody: the thread finds nothing due.
 *
 * Ticks end, and no vCPU that wants one is left without. The guest sets want_tick, then looks at
 * rs_boot.ticking, sets it and calls if it was 0. Here, ticking becomes 0, then every want_tick is
 * looked at once more. One of the two sees the other's write. If both do, ticking says who goes on:
 * it is set to 1 by whoever finds 0 there, and if that was the guest, its call follows.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>

#include "raw.h"
#include "threads.h"

#define IDLE_TICKS	10	/* without anybody wanting one, then they stop */
#define NEVER		(~0ull)

/* Between the requests and the thread; atomic. */
static uint64_t deadline = NEVER;
static uint32_t tick_requests;
static uint32_t word;			/* the futex */
static uint64_t asleep_until = NEVER;

/* The thread's own. */
static struct {
	bool on;
	unsigned int idle;
	uint32_t requests_seen;
	uint64_t next;
} ticks;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool running;

/* Raise the event where somebody wants it; says whether anybody did. */
static bool tick_all(struct rs_sandbox *sb)
{
	bool any = false;
	unsigned int i;

	for (i = 0; i < sb->ncpus; i++) {
		struct rs_vcpu *v = sb->vcpus[i];

		if (!__atomic_load_n(&v->shared->want_tick, __ATOMIC_SEQ_CST))
			continue;
		rs_vcpu_notify(v, RS_EVENT_TICK);
		any = true;
	}
	return any;
}

static bool wanted(struct rs_sandbox *sb)
{
	unsigned int i;

	for (i = 0; i < sb->ncpus; i++)
		if (__atomic_load_n(&sb->vcpus[i]->shared->want_tick, __ATOMIC_SEQ_CST))
			return true;
	return false;
}

static void tick(struct rs_sandbox *sb, uint64_t now)
{
	uint32_t stopped = 0;

	ticks.next += RS_TICK_NS;
	if (ticks.next <= now)
		ticks.next = now + RS_TICK_NS;	/* we were kept from running: no burst */
	if (tick_all(sb)) {
		ticks.idle = 0;
		return;
	}
	if (++ticks.idle < IDLE_TICKS)
		return;
	ticks.idle = 0;
	__atomic_store_n(&sb->boot->ticking, 0, __ATOMIC_SEQ_CST);
	ticks.on = wanted(sb) && __atomic_compare_exchange_n(&sb->boot->ticking, &stopped, 1, false,
							     __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/* Take in what was requested since the last time. */
static void take_requests(uint64_t now)
{
	uint32_t n = __atomic_load_n(&tick_requests, __ATOMIC_SEQ_CST);

	if (n == ticks.requests_seen)
		return;
	ticks.requests_seen = n;
	ticks.idle = 0;
	if (!ticks.on)
		ticks.next = now + RS_TICK_NS;
	ticks.on = true;
}

static void *clock_thread(void *arg)
{
	struct rs_sandbox *sb = arg;

	for (;;) {
		uint32_t seen = __atomic_load_n(&word, __ATOMIC_SEQ_CST);
		uint64_t now = rs_now_ns(), at, until;

		take_requests(now);
		if (ticks.on && now >= ticks.next)
			tick(sb, now);
		at = __atomic_load_n(&deadline, __ATOMIC_SEQ_CST);
		if (at <= now) {
			/* A newer deadline stays; this one was reached all the same. */
			until = at;
			__atomic_compare_exchange_n(&deadline, &until, NEVER, false,
						    __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
			rs_vcpu_notify(sb->vcpus[0], RS_EVENT_TIMER);
			continue;
		}
		until = ticks.on && ticks.next < at ? ticks.next : at;
		__atomic_store_n(&asleep_until, until, __ATOMIC_SEQ_CST);
		rs_futex_wait(&word, seen, until);
	}
	return NULL;
}

static long start(struct rs_sandbox *sb)
{
	long ret = 0;

	if (__atomic_load_n(&running, __ATOMIC_ACQUIRE))
		return 0;
	pthread_mutex_lock(&lock);
	if (!running) {
		ret = rs_thread_start(sb, clock_thread, sb, false);
		__atomic_store_n(&running, !ret, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&lock);
	return ret;
}

/* The thread shall look again, before @when. */
static void changed(uint64_t when)
{
	__atomic_fetch_add(&word, 1, __ATOMIC_SEQ_CST);
	if (when < __atomic_load_n(&asleep_until, __ATOMIC_SEQ_CST))
		rs_futex_wake(&word);
}

long rs_clock_timer(struct rs_sandbox *sb, uint64_t when)
{
	long ret;

	/* Nothing to take back when there never was a timer. */
	if (when == NEVER && !__atomic_load_n(&running, __ATOMIC_ACQUIRE))
		return 0;
	ret = start(sb);
	if (ret)
		return ret;
	__atomic_store_n(&deadline, when, __ATOMIC_SEQ_CST);
	changed(when);
	return 0;
}

long rs_clock_tick(struct rs_sandbox *sb)
{
	long ret = start(sb);

	if (ret)
		return ret;
	__atomic_fetch_add(&tick_requests, 1, __ATOMIC_SEQ_CST);
	changed(0);
	return 0;
}
