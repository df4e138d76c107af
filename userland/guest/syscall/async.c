// SPDX-License-Identifier: MIT
/*
 * async.c - see async.h
 *
 * A slot is a page that guest and host share, with one request in it (ringside_guest.h). Way of a
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
 * There are as many helpers as slots; with all in use, threads wait for one.
 */
#include "async.h"
#include "syscall.h"
#include "../lib/assert.h"

#define MAX_SLOTS 256

static struct slot {
	struct rs_vcpu_shared *page;
	struct thread *owner; /* NULL: free */
} slots[MAX_SLOTS];
static u32 nslots;
static struct wait_list free_slot;

void async_init(void)
{
	u32 i;

	wait_list_init(&free_slot);
	nslots = min(rs_boot->nslots, (u32)MAX_SLOTS);
	for (i = 0; i < nslots; i++)
		slots[i].page = (struct rs_vcpu_shared *)gpa_ptr(rs_boot->slots_gpa) + i;
}

void async_done(void)
{
	u32 i;

	for (i = 0; i < nslots; i++)
		if (slots[i].owner &&
		    __atomic_load_n(&slots[i].page->state, __ATOMIC_ACQUIRE) == RS_SLOT_DONE)
			thread_wake(slots[i].owner);
}

static struct slot *find_free(void)
{
	u32 i;

	for (i = 0; i < nslots; i++)
		if (!slots[i].owner)
			return &slots[i];
	return NULL;
}

static long slot_get(struct slot **out)
{
	struct wait_entry e;
	long err = 0;

	*out = find_free();
	if (likely(*out))
		return 0;
	wait_enter(&free_slot, &e);
	while (!(*out = find_free()) && !err)
		err = thread_sleep(NO_DEADLINE, SLEEP_SIGNALS);
	wait_leave(&e);
	return *out ? 0 : err;
}

static void slot_put(struct slot *s)
{
	s->page->state = RS_SLOT_FREE;
	s->owner = NULL;
	wait_wake(&free_slot);
}

bool async_call(u64 nr, const u64 a[6], long *ret)
{
	bool cancelled = false;
	struct slot *s;
	u32 i;

	if (!nslots)
		return false;
	*ret = slot_get(&s);
	if (*ret)
		return true;
	s->owner = current();
	s->page->call.nr = nr;
	for (i = 0; i < 6; i++)
		s->page->call.args[i] = a[i];
	s->page->pending = 0;
	__atomic_store_n(&s->page->state, RS_SLOT_SUBMITTED, __ATOMIC_RELEASE);
	if (host_call1(RS_CALL_SUBMIT, s - slots)) {
		slot_put(s);
		return false;
	}
	sched_pending++;
	while (__atomic_load_n(&s->page->state, __ATOMIC_ACQUIRE) != RS_SLOT_DONE) {
		if (thread_sleep(NO_DEADLINE, cancelled ? SLEEP_ALWAYS : SLEEP_SIGNALS) != -EINTR)
			continue;
		cancelled = true;
		__atomic_store_n(&s->page->pending, 1, __ATOMIC_SEQ_CST);
		host_call1(RS_CALL_CANCEL, s - slots);
	}
	sched_pending--;
	*ret = s->page->call.ret;
	slot_put(s);
	return true;
}
