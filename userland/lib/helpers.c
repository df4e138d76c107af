// SPDX-License-Identifier: MIT
/*
 * Helper threads: forwarded calls that may sleep while the vCPU does something else.
 *
 *	submit	the guest has filled in a slot; a helper takes it: the one that was done last, or a
 *		new one. There are as many helpers at most as slots, so no call waits for another.
 *	serve	the helper executes the call as a vCPU's thread would (forward.c), with the slot in
 *		the place of the vCPU's page: the slot's pending is the word that calls it off.
 *	done	result, state, event, in this order.
 *	cancel	the guest has set the slot's pending; the signal brings the call back with EINTR,
 *		if it sleeps, and the word keeps it from being begun.
 *
 * What a slot says is the guest's word, and it may say anything at any time. Whether a slot
 * is being served, and by whom, is known here alone, under the lock.
 *
 * A signal that cancels one call must not hit the next one. It is sent under the lock to the helper
 * that serves the slot at that time, and noted. A helper that is done with a slot takes the lock;
 * if a signal was sent by then, it is pending for this thread, and one system call that does
 * nothing takes it in before the next slot is begun. What is sent after the next slot was assigned
 * is meant for that one.
 */
#define _GNU_SOURCE
#include <asm/unistd.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "raw.h"
#include "threads.h"

/**
 * struct helper - a helper thread; never freed
 * @work:   a futex: number of the slot to be served + 1, 0: none. Written by who assigns, reset by
 *	    the helper before it begins
 * @tid, @interrupted, @next: under the lock. @interrupted: a signal was sent for this slot
 * @own_directory: 0, or why the thread has none of its own; then it does nothing for the guest,
 *	    whose relative paths would be resolved in another thread's
 */
struct helper {
	struct rs_caller caller;
	uint32_t work;
	int tid;
	bool interrupted;
	int own_directory;
	struct helper *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct helper *idle;	/* the last one to be done first: its stack is warm */

static void serve(struct helper *h, unsigned int slot)
{
	struct rs_sandbox *sb = h->caller.sb;
	struct rs_slot *s = &sb->slots[slot];
	bool interrupted;
	long ret;

	h->caller.call = &s->call;
	h->caller.pending = &s->pending;
	if (h->own_directory)
		h->own_directory = rs_thread_own_directory();
	if (h->own_directory)
		ret = h->own_directory;
	else if (RS_READ_ONCE(s->pending))
		ret = -EINTR;
	else
		ret = rs_dispatch(&h->caller);

	pthread_mutex_lock(&lock);
	/* The guest may submit the slot again as soon as it sees the state. */
	sb->serving[slot] = NULL;
	interrupted = h->interrupted;
	h->interrupted = false;
	h->next = idle;
	idle = h;
	RS_WRITE_ONCE(s->call.ret, ret);
	__atomic_store_n(&s->state, RS_SLOT_DONE, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&lock);
	if (interrupted)
		rs_raw3(__NR_getpid, 0, 0, 0);
	rs_vcpu_notify(sb->vcpus[0], RS_EVENT_DONE);
}

static void *helper_thread(void *arg)
{
	struct helper *h = arg;
	uint32_t work;

	h->own_directory = rs_thread_own_directory();
	pthread_mutex_lock(&lock);
	h->tid = rs_raw3(__NR_gettid, 0, 0, 0);
	pthread_mutex_unlock(&lock);
	for (;;) {
		while (!(work = __atomic_load_n(&h->work, __ATOMIC_ACQUIRE)))
			rs_futex_wait(&h->work, 0, ~0ull);
		__atomic_store_n(&h->work, 0, __ATOMIC_RELAXED);
		serve(h, work - 1);
	}
	return NULL;
}

/* A new helper whose first work is @slot. */
static struct helper *make(struct rs_sandbox *sb, unsigned int slot)
{
	struct helper *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->caller.sb = sb;
	h->caller.helper = true;
	h->caller.xsave = rs_vector_area();
	h->work = slot + 1;
	if (!h->caller.xsave || rs_thread_start(sb, helper_thread, h, true)) {
		free(h->caller.xsave);
		free(h);
		return NULL;
	}
	return h;
}

long rs_helper_submit(struct rs_sandbox *sb, uint64_t slot)
{
	struct helper *h;
	long ret = 0;

	if (slot >= sb->nslots)
		return -EINVAL;
	pthread_mutex_lock(&lock);
	if (!sb->serving)
		sb->serving = calloc(sb->nslots, sizeof(*sb->serving));
	if (!sb->serving) {
		ret = -EAGAIN;
	} else if (sb->serving[slot] ||
		   __atomic_load_n(&sb->slots[slot].state, __ATOMIC_ACQUIRE) !=
			   RS_SLOT_SUBMITTED) {
		ret = -EINVAL;
	} else if (idle) {
		h = idle;
		idle = h->next;
		sb->serving[slot] = h;
		__atomic_store_n(&h->work, slot + 1, __ATOMIC_RELEASE);
		rs_futex_wake(&h->work);
	} else {
		/* It waits for the lock before it begins. */
		h = make(sb, slot);
		sb->serving[slot] = h;
		ret = h ? 0 : -EAGAIN;
	}
	pthread_mutex_unlock(&lock);
	return ret;
}

long rs_helper_cancel(struct rs_sandbox *sb, uint64_t slot)
{
	struct helper *h;

	if (slot >= sb->nslots)
		return -EINVAL;
	pthread_mutex_lock(&lock);
	h = sb->serving ? sb->serving[slot] : NULL;
	/* Without a number it has not begun, and will look at the slot's pending when it does. */
	if (h && h->tid) {
		h->interrupted = true;
		rs_raw3(__NR_tgkill, sb->pid, h->tid, RS_SIGNAL_KICK);
	}
	pthread_mutex_unlock(&lock);
	return 0;
}
