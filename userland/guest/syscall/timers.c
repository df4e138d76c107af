// SPDX-License-Identifier: MIT
/*
 * timers.c - timer_create() and its family
 *
 * A timer has one signal, made with it, so that its end can never fail for want of memory. While that
 * signal is pending the timer does not run: what would have come meanwhile is counted when the
 * signal is handled (the overrun), and the timer goes on from there. So a fast timer of a process
 * that blocks its signal costs nothing.
 *
 *	start	timer_settime()		the scheduler's timer runs (not for SIGEV_NONE, which is only read)
 *	expire	on_time()		the signal is made pending; ignored: on to the next time, but
 *					not faster than every MIN_IGNORED
 *	take	timer_signal_gone()	overrun counted, the next time
 *
 * A timer that is deleted while its signal is pending stays until that is gone: the signal is
 * delivered, as on Linux. Deadlines are kept on the monotonic clock; jumps of another clock are not
 * followed. Clocks that count the time of a CPU are EOPNOTSUPP.
 */
#include <asm/unistd.h>
#include "timers.h"
#include "syscall.h"
#include "../lib/string.h"
#include "../mm/kmalloc.h"

#define NSEC		1000000000ull
#define MIN_IGNORED	1000000u	/* ns */
#define OVERRUN_MAX	0x7fffffffu
#define TIMER_ABSTIME	1u

#define SIGEV_SIGNAL	0
#define SIGEV_NONE	1
#define SIGEV_THREAD	2
#define SIGEV_THREAD_ID	4

struct k_sigevent {
	u64 value;
	s32 signo, notify, tid;
	u32 rest[11];
};

_Static_assert(sizeof(struct k_sigevent) == 64, "struct sigevent");

struct k_itimerspec {
	s64 interval_sec, interval_nsec, value_sec, value_nsec;
};

struct posix_timer {
	struct list link;		/* of the process */
	struct signal_process *sp;
	s32 id;
	int clock;
	struct k_sigevent ev;
	struct timer timer;
	u64 deadline;			/* CLOCK_MONOTONIC, ns; the next, or of SIGEV_NONE the last set */
	u64 interval;			/* ns; 0: once */
	bool armed;			/* has a time to come */
	bool resume;			/* goes on when its signal has been handled */
	bool deleted;
	u32 missed, overrun;		/* so far; of the last signal handled */
	struct sigqueue signal;		/* in a queue while it is pending */
	bool pending;
};

/* Times of @t that are over at @now are counted, and its deadline is the next one. */
static u64 forward_to(struct posix_timer *t, u64 now)
{
	u64 n;

	if (!t->interval || t->deadline > now)
		return 0;
	n = (now - t->deadline) / t->interval + 1;
	t->deadline += n * t->interval;
	return n;
}

static void run(struct posix_timer *t)
{
	if ((t->ev.notify & ~SIGEV_THREAD_ID) != SIGEV_NONE)
		timer_start(&t->timer, t->deadline);
}

static void count_missed(struct posix_timer *t, u64 n)
{
	t->missed = n > OVERRUN_MAX - t->missed ? OVERRUN_MAX : t->missed + (u32)n;
}

static void on_time(struct timer *timer)
{
	struct posix_timer *t = container_of(timer, struct posix_timer, timer);
	struct thread *only = NULL;

	t->armed = t->interval;
	t->resume = t->interval;
	if (t->pending) {
		/* From before it was set again. */
		count_missed(t, 1);
		t->deadline += t->interval;
		return;
	}
	if (t->ev.notify == SIGEV_THREAD_ID) {
		only = thread_find((u32)t->ev.tid);
		if (!only || only->proc != t->sp->proc)
			return;
	}
	t->signal.info = (struct k_siginfo){ .signo = t->ev.signo, .code = SI_TIMER, .pid = t->id,
					     .value = t->ev.value };
	t->missed = 0;
	t->deadline += t->interval;
	if (signal_raise_entry(t->sp->proc, only, &t->signal)) {
		t->pending = true;
		return;
	}
	if (!t->interval)
		return;
	count_missed(t, 1 + forward_to(t, clock_monotonic() + MIN_IGNORED));
	run(t);
}

void timer_signal_gone(struct posix_timer *t, struct k_siginfo *info)
{
	t->pending = false;
	if (t->deleted) {
		t->sp->nqueued--;
		kfree(t);
		return;
	}
	if (t->resume) {
		count_missed(t, forward_to(t, clock_monotonic()));
		run(t);
		sched_timers_changed();
	}
	t->resume = false;
	if (!info)
		return;
	info->uid = t->overrun = t->missed;
	t->missed = 0;
}

static void delete(struct posix_timer *t)
{
	timer_stop(&t->timer);
	list_del(&t->link);
	if (t->pending) {
		t->deleted = true;
		return;
	}
	t->sp->nqueued--;
	kfree(t);
}

void timers_delete(struct signal_process *sp)
{
	while (!list_empty(&sp->timers))
		delete(list_first(&sp->timers, struct posix_timer, link));
}

static struct posix_timer *find(u64 id)
{
	struct signal_process *sp = current_proc()->signals;
	struct posix_timer *t;

	list_for_each(t, &sp->timers, link)
		if (t->id == (s32)id)
			return t;
	return NULL;
}

/* --- calls ------------------------------------------------------------------------------------ */

static bool good_event(const struct k_sigevent *ev)
{
	const struct thread *t;

	switch (ev->notify) {
	case SIGEV_THREAD_ID:
		t = thread_find((u32)ev->tid);
		if (!t || t->proc != current_proc())
			return false;
		/* fallthrough */
	case SIGEV_SIGNAL:
	case SIGEV_THREAD: return ev->signo > 0 && ev->signo <= NSIG;
	case SIGEV_NONE: return true;
	}
	return false;
}

/* CLOCK_REALTIME, MONOTONIC, BOOTTIME, TAI; the others cannot be waited for here. */
static long clock_known(int clock)
{
	switch (clock) {
	case 0:
	case 1:
	case 7:
	case 11: return 0;
	case 8:
	case 9: return -EPERM;		/* ALARM: wakes the machine up */
	}
	return clock > 11 ? -EINVAL : -EOPNOTSUPP;
}

static s32 new_id(struct signal_process *sp)
{
	s32 id;

	do {
		id = sp->next_timer;
		sp->next_timer = id == 0x7fffffff ? 0 : id + 1;
	} while (find((u64)id));
	return id;
}

long sys_timer_create(struct rs_frame *f)
{
	struct signal_process *sp = current_proc()->signals;
	struct k_sigevent ev = { .signo = SIGALRM };
	struct posix_timer *t;
	long err;

	if (ARG1(f) && copyin(&ev, ARG1(f), sizeof(ev)))
		return -EFAULT;
	err = clock_known((int)ARG0(f));
	if (err)
		return err;
	if (!good_event(&ev))
		return -EINVAL;
	if (sp->nqueued >= sp->queue_limit)
		return -EAGAIN;
	t = kzalloc(sizeof(*t));
	if (!t)
		return -EAGAIN;
	t->sp = sp;
	t->clock = (int)ARG0(f);
	t->id = new_id(sp);
	t->ev = ev;
	if (!ARG1(f))
		t->ev.value = (u32)t->id;
	t->signal.timer = t;
	timer_init(&t->timer, on_time);
	if (put_user_u32(ARG2(f), (u32)t->id)) {
		kfree(t);
		return -EFAULT;
	}
	sp->nqueued++;
	list_add_tail(&sp->timers, &t->link);
	return 0;
}

static void read_timer(struct posix_timer *t, struct k_itimerspec *v)
{
	u64 now, left = 0;

	*v = (struct k_itimerspec){ .interval_sec = (s64)(t->interval / NSEC),
				    .interval_nsec = (s64)(t->interval % NSEC) };
	if (!t->armed)
		return;
	now = clock_monotonic();
	/* It runs only when nobody takes its signal; one that is only read has none. */
	if (t->pending || !timer_running(&t->timer))
		count_missed(t, forward_to(t, now));
	if (t->deadline > now)
		left = t->deadline - now;
	else if (timer_running(&t->timer))
		left = 1;
	v->value_sec = (s64)(left / NSEC);
	v->value_nsec = (s64)(left % NSEC);
}

long sys_timer_gettime(struct rs_frame *f)
{
	struct posix_timer *t = find(ARG0(f));
	struct k_itimerspec v;

	if (!t)
		return -EINVAL;
	read_timer(t, &v);
	return copyout(ARG1(f), &v, sizeof(v)) ? -EFAULT : 0;
}

static bool to_ns(s64 sec, s64 nsec, u64 *ns)
{
	if (sec < 0 || nsec < 0 || nsec >= (s64)NSEC)
		return false;
	*ns = sec > 4000000000 ? 4000000000 * NSEC : (u64)sec * NSEC + (u64)nsec;
	return true;
}

long sys_timer_settime(struct rs_frame *f)
{
	struct posix_timer *t = find(ARG0(f));
	struct k_itimerspec v, old;
	u64 value, interval, deadline = 0;
	long err;

	if (!ARG2(f))
		return -EINVAL;
	if (copyin(&v, ARG2(f), sizeof(v)))
		return -EFAULT;
	if (!to_ns(v.interval_sec, v.interval_nsec, &interval) ||
	    !to_ns(v.value_sec, v.value_nsec, &value) || !t)
		return -EINVAL;
	if (value) {
		err = deadline_in(ARG2(f) + 16, ARG1(f) & TIMER_ABSTIME, t->clock, &deadline);
		if (err)
			return err;
	}
	read_timer(t, &old);
	timer_stop(&t->timer);
	t->resume = false;
	t->missed = 0;
	t->overrun = 0;
	t->interval = interval;
	t->deadline = deadline;
	t->armed = value;
	if (value) {
		run(t);
		sched_timers_changed();
	}
	return ARG3(f) && copyout(ARG3(f), &old, sizeof(old)) ? -EFAULT : 0;
}

long sys_timer_getoverrun(struct rs_frame *f)
{
	struct posix_timer *t = find(ARG0(f));

	return t ? (long)t->overrun : -EINVAL;
}

long sys_timer_delete(struct rs_frame *f)
{
	struct posix_timer *t = find(ARG0(f));

	if (!t)
		return -EINVAL;
	delete(t);
	return 0;
}
