// SPDX-License-Identifier: MIT
/*
 * async.c - see async.h
 *
 * A slot is memory that guest and host share, with one request in it (ringside_guest.h). Way of a
 * request:
 *
 *	the thread	fills the slot, SUBMITTED, RS_CALL_SUBMIT, sleeps
 *	a helper	makes the call, leaves the result, DONE, RS_EVENT_DONE
 *	host_events()	async_done() wakes the owners of slots that are DONE
 *	the thread	takes the result, gives the slot back
 *
 * The state alone says whose a slot is, so a wake-up for nothing does no harm and one that is
 * missed cannot be: DONE is written before the event, and the event's word is looked at before every
 * return to ring 3 and before every sleep of the CPU.
 *
 * A signal: the thread sets the slot's pending and tells the host (RS_CALL_CANCEL), then waits for
 * DONE like anybody else. So no call is lost, none made twice, and the buffers stay until the helper
 * has finished with them.
 *
 * There are as many helpers as slots, and as many slots as there may be threads by default. With all
 * in use, threads wait for one: what a call that sleeps is waiting for may then be behind it.
 */
#include "async.h"
#include "syscall.h"
#include "../lib/assert.h"

#define MAX_SLOTS 4096

static struct slot {
	struct list link;
	struct thread *owner;
} slots[MAX_SLOTS];
static u32 nslots, nfresh;	/* from this one on none has ever been used */
static struct list used, unused;
static struct wait_list free_slot;

void async_init(void)
{
	wait_list_init(&free_slot);
	list_init(&used);
	list_init(&unused);
	nslots = min(rs_boot->nslots, (u32)MAX_SLOTS);
	nfresh = 0;
}

static struct rs_slot *shared_slot(const struct slot *s)
{
	return (struct rs_slot *)gpa_ptr(rs_boot->slots_gpa) + (s - slots);
}

void async_done(void)
{
	struct slot *s;

	list_for_each(s, &used, link)
		if (__atomic_load_n(&shared_slot(s)->state, __ATOMIC_ACQUIRE) == RS_SLOT_DONE)
			thread_wake(s->owner);
}

/* The one that was in use last: its memory is warm. */
static struct slot *find_free(void)
{
	struct slot *s;

	if (!list_empty(&unused)) {
		s = list_first(&unused, struct slot, link);
		list_del(&s->link);
		return s;
	}
	return nfresh < nslots ? &slots[nfresh++] : NULL;
}

static long slot_get(struct slot **out)
{
	struct wait_entry e;
	long err = 0;

	*out = find_free();
	if (unlikely(!*out)) {
		wait_enter(&free_slot, &e);
		while (!(*out = find_free()) && !err)
			err = thread_sleep(NO_DEADLINE, SLEEP_SIGNALS);
		wait_leave(&e);
		/* The first may have been woken for two. */
		if (!list_empty(&unused))
			wait_wake_first(&free_slot);
		if (!*out)
			return err;
	}
	(*out)->owner = current();
	list_add_tail(&used, &(*out)->link);
	return 0;
}

static void slot_put(struct slot *s)
{
	shared_slot(s)->state = RS_SLOT_FREE;
	list_del(&s->link);
	list_add(&unused, &s->link);
	wait_wake_first(&free_slot);
}

bool async_call(u64 nr, const u64 a[6], long *ret)
{
	bool cancelled = false;
	struct rs_slot *r;
	struct slot *s;
	u32 i;

	if (!nslots)
		return false;
	*ret = slot_get(&s);
	if (*ret)
		return true;
	r = shared_slot(s);
	r->call.nr = nr;
	for (i = 0; i < 6; i++)
		r->call.args[i] = a[i];
	r->pending = 0;
	__atomic_store_n(&r->state, RS_SLOT_SUBMITTED, __ATOMIC_RELEASE);
	if (host_call1(RS_CALL_SUBMIT, s - slots)) {
		slot_put(s);
		return false;
	}
	sched_pending++;
	while (__atomic_load_n(&r->state, __ATOMIC_ACQUIRE) != RS_SLOT_DONE) {
		if (thread_sleep(NO_DEADLINE, cancelled ? SLEEP_ALWAYS : SLEEP_SIGNALS) != -EINTR)
			continue;
		cancelled = true;
		__atomic_store_n(&r->pending, 1, __ATOMIC_SEQ_CST);
		host_call1(RS_CALL_CANCEL, s - slots);
	}
	sched_pending--;
	*ret = r->call.ret;
	slot_put(s);
	return true;
}
