// SPDX-License-Identifier: MIT
/*
 * alarm.c - an upcall each time a thread has used so much CPU time
 *
 * CPU time is what a scheduler of user threads and a profiler want to know: a thread that sleeps
 * has nothing to share out. It cannot be waited for, so a look is taken when it could be over at
 * the earliest, as for ITIMER_VIRTUAL (syscall/itimer.c):
 *
 *	alarm_runs()	the thread gets a CPU: the timer `look` runs, for as long as the rest takes
 *	look()		due: THREAD_WORK_ALARM. Not yet: once more if the thread runs, otherwise
 *			when it does
 *	alarm_deliver()	on the thread's way to ring 3: the frame, and from then on the next interval
 *
 * A thread runs on one CPU at a time, so a look that is under way comes too early, never too late.
 *
 * Whether the handler is still running needs no word from the process: as with traps, it is seen
 * from rsp (upcall.c). While something on the trap stack is in use the alarm stays due, and a look
 * is taken a little later. The next interval begins when the alarm has come and not when it was
 * due, and a look is never less than MIN_LOOK_US away: however short the interval and however slow
 * the machine, the program gets on between two of them.
 */
#include <ringside_app.h>
#include "alarm.h"
#include "proc.h"
#include "upcall.h"
#include "../mm/kmalloc.h"

#define MIN_LOOK_US	((u64)RS_ALARM_US_MIN)

struct alarm {
	struct thread *thread;
	u64 us;				/* the interval, as it was asked for */
	u64 interval, due;		/* in ticks: of it, and of what the thread has used */
	struct timer look;
};

static void look_in(struct alarm *a, u64 us)
{
	timer_start(&a->look, clock_monotonic() + max(us, MIN_LOOK_US) * 1000);
}

static void start_look(struct alarm *a)
{
	u64 used = sched_now_used(a->thread);

	look_in(a, a->due > used ? tsc_to_us(a->due - used) + 1 : 0);
}

static void look(struct timer *timer)
{
	struct alarm *a = container_of(timer, struct alarm, look);
	struct thread *t = a->thread;
	bool runs = t->sched.state == THREAD_RUNNING;

	if (sched_now_used(t) < a->due) {
		if (runs)
			start_look(a);
		return;
	}
	t->work |= THREAD_WORK_ALARM;
	/* Outside of the kernel, on another CPU. A thread that sleeps goes on sleeping. */
	if (runs && t != current())
		thread_wake(t);
}

void alarm_runs(struct thread *t)
{
	if (!timer_running(&t->alarm->look) && !(t->work & THREAD_WORK_ALARM))
		start_look(t->alarm);
}

void alarm_deliver(struct rs_frame *f)
{
	struct thread *t = current();
	struct alarm *a = t->alarm;
	u64 used = sched_now_used(t);

	t->work &= ~THREAD_WORK_ALARM;
	if (!a)
		return;
	if (used < a->due) {
		start_look(a);
	} else if (upcall_busy(&t->upcall_stack, f->rsp)) {
		look_in(a, 0);
	} else {
		a->due = used + a->interval;
		start_look(a);
		f->vector = RS_VECTOR_ALARM;
		f->error = 0;
		upcall_deliver(f, 0, FAULT_ALARM);
	}
	sched_timers_changed();
}

void alarm_end(struct thread *t)
{
	struct alarm *a = t->alarm;

	t->alarm = NULL;
	t->work &= ~THREAD_WORK_ALARM;
	if (a)
		timer_stop(&a->look);
	kfree(a);
}

long alarm_set(u64 us, u64 flags)
{
	struct thread *t = current();
	struct alarm *a = t->alarm;
	long old = a ? (long)a->us : 0;

	if (flags || us > RS_ALARM_US_MAX)
		return -EINVAL;
	if (!us) {
		alarm_end(t);
		return old;
	}
	if (!t->upcall_stack.hi || !(t->proc->upcall.vectors & RS_UPCALL_ALARM))
		return -EINVAL;
	if (!a) {
		a = kmalloc(sizeof(*a));
		if (!a)
			return -ENOMEM;
		*a = (struct alarm){ .thread = t };
		timer_init(&a->look, look);
		t->alarm = a;
	}
	a->us = us;
	a->interval = ns_to_tsc(max(us, MIN_LOOK_US) * 1000);
	a->due = sched_now_used(t) + a->interval;
	t->work &= ~THREAD_WORK_ALARM;
	start_look(a);
	sched_timers_changed();
	return old;
}
