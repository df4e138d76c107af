// SPDX-License-Identifier: MIT
/*
 * Where do the vCPUs spend their time? A thread interrupts them at a fixed rate and notes where they
 * were.
 *
 * Why not perf: its samples name guest addresses only through callbacks that a hypervisor registers
 * (perf_register_guest_info_callbacks()). There is one place for them in the kernel; KVM takes it when
 * kvm_intel or kvm_amd is loaded, not when a guest is made, and a second registration is a WARN, ours
 * or, if we were first, KVM's. Whether the place is taken cannot be asked. So a module that is to live
 * beside KVM must leave it alone, and perf shows guest time as time at the instruction that enters the
 * guest. The sandbox samples itself:
 *
 *	the thread	marks each vCPU as due, sends RS_SIGNAL_KICK to its thread, sleeps
 *	the handler	looks where the vCPU's thread is:
 *		in ring 3	asks for RS_VECTOR_NOTIFY, as for any event, and sets the ring's sample:
 *				the guest takes the interrupt at that very instruction and notes it, with
 *				process, file and callers
 *		in ring 0	which does not take interrupts: notes itself what the registers say
 *		in a call	notes which one; idle is a call, too
 *
 * A signal reaches a vCPU in the guest by an interrupt of the host, whatever RFLAGS.IF is there, and
 * the guest has executed nothing since when the handler runs: samples are where they say, also where
 * interrupts are off. A vCPU that Linux does not let run is still somewhere, and counts there.
 */
#define _GNU_SOURCE
#include <errno.h>

#include "events.h"
#include "raw.h"
#include "threads.h"

#define MAX_DEPTH	32
#define KSTACK		16384ull	/* of the guest kernel, aligned to its size */

static unsigned int rate;

/* A word of the guest kernel's memory, which is the arena's. */
static bool kernel_word(const struct rs_mem *m, uint64_t va, uint64_t *v)
{
	uint64_t gpa = va >= RS_KERNEL_BASE ? va - RS_KERNEL_BASE : va - RS_DIRECT_BASE;

	if (va & 7 || gpa >= m->arena_size)
		return false;
	*v = *(volatile uint64_t *)(m->arena + gpa);
	return true;
}

static unsigned int callers(const struct rs_mem *m, const struct rs_vcpu_state *st,
			    uint64_t places[MAX_DEPTH])
{
	uint64_t fp = st->rbp, end = (st->rsp | (KSTACK - 1)) + 1, back, next;
	unsigned int n = 0;

	while (n < MAX_DEPTH && fp >= st->rsp && fp < end - 16 && kernel_word(m, fp, &next) &&
	       kernel_word(m, fp + 8, &back) && back >> 63) {
		places[n++] = back - 1;
		if (next <= fp)
			break;
		fp = next;
	}
	return n;
}

void rs_sample_here(struct rs_vcpu *v)
{
	struct rs_trace_event e = { .type = RS_TRACE_SAMPLE };
	const struct rs_sandbox *sb = v->caller.sb;
	uint64_t places[MAX_DEPTH];
	struct rs_vcpu_state st;

	if (!__atomic_exchange_n(&v->sample_due, 0, __ATOMIC_ACQ_REL))
		return;
	e.tsc = __builtin_ia32_rdtsc();
	if (v->engine.run->exit_reason != RS_EXIT_NONE) {
		e.extra = RS_READ_ONCE(v->shared->call.nr);
		e.cause = e.extra == RS_CALL_IDLE ? RS_SAMPLE_IDLE : RS_SAMPLE_HOST;
		rs_events_note(v, &e, places, 0);
		return;
	}
	if (sb->engine.ops->get_state(&v->engine, &st))
		return;
	if (st.cpl) {
		rs_events_want_sample(v);
		return;
	}
	e.rip = e.place = st.rip;
	rs_events_note(v, &e, places, callers(&sb->mem, &st, places));
}

static void *sample_thread(void *arg)
{
	struct rs_sandbox *sb = arg;
	uint64_t period = 1000000000ull / rate, next = rs_now_ns() + period, now;
	uint32_t nobody = 0;
	unsigned int i;

	while (!sb->finished) {
		rs_futex_wait(&nobody, 0, next);
		now = rs_now_ns();
		if (now < next)
			continue;
		next = now - next > period ? now + period : next + period;	/* no burst */
		for (i = 0; i < sb->ncpus; i++) {
			__atomic_store_n(&sb->vcpus[i]->sample_due, 1, __ATOMIC_RELEASE);
			rs_vcpu_interrupt(sb->vcpus[i]);
		}
	}
	return NULL;
}

int rs_sample_start(struct rs_sandbox *sb, unsigned int hz)
{
	rate = hz;
	return rs_thread_start(sb, sample_thread, sb, false);
}
