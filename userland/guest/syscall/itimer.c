// SPDX-License-Identifier: MIT
/*
 * itimer.c - alarm() and setitimer()
 *
 * ITIMER_REAL is a timer of the scheduler. The two others count what the process uses of CPUs, all
 * of it: the rings are not told apart (cputime.c). What is used cannot be waited for, so a look is
 * taken when the nearest could be due:
 *
 *	process.cpu_due	the nearest of both, in ticks used; 0 when none is set
 *	syscall_cpu_runs()	a thread gets a CPU: the timer `look` runs, for as long as the rest takes
 *				if the threads that run now go on running
 *	look_at_cpu()	not due yet: once more if some thread runs, otherwise when one does
 *
 * So a process that sleeps costs nothing.
 */
#include "timers.h"
#include "syscall.h"
#include "../mm/uaccess.h"

#define NSEC		1000000000ull
#define MAX_SEC		4000000000ll	/* longer is as good as never */
#define MIN_LOOK_US	50

enum { ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF };

struct k_itimerval {
	s64 interval_sec, interval_usec, value_sec, value_usec;
};

/* --- of the clock on the wall ----------------------------------------------------------------- */

static void real_timer(struct timer *timer)
{
	struct signal_process *sp = container_of(timer, struct signal_process, itimers.real);
	struct k_siginfo info = { .signo = SIGALRM, .code = SI_KERNEL };

	if (sp->itimers.real_interval)
		timer_start(timer, timer->deadline + sp->itimers.real_interval);
	signal_raise(sp->proc, NULL, &info);
}

/* Microseconds, rounded up: what is set is never 0. */
static u64 real_left(const struct itimers *it)
{
	u64 now;

	if (!timer_running(&it->real))
		return 0;
	now = clock_monotonic();
	return it->real.deadline > now ? (it->real.deadline - now + 999) / 1000 : 1;
}

static void real_set(struct itimers *it, u64 value, u64 interval)
{
	it->real_interval = interval;
	timer_stop(&it->real);
	if (value) {
		timer_start(&it->real, clock_monotonic() + value);
		sched_timers_changed();
	}
}

/* --- of CPU time ------------------------------------------------------------------------------ */

static u32 running_threads(const struct process *p)
{
	const struct thread *t;
	u32 n = 0;

	list_for_each(t, &p->threads, list)
		n += t->sched.state == THREAD_RUNNING;
	return n;
}

static void start_look(struct process *p, u32 running)
{
	u64 used = process_usage(p).user_tsc;
	u64 us = p->cpu_due > used ? tsc_to_us(p->cpu_due - used) / running : 0;

	timer_start(&p->signals->itimers.look,
		    clock_monotonic() + max(us, (u64)MIN_LOOK_US) * 1000);
}

static void set_cpu_due(struct process *p)
{
	u64 v = p->signals->itimers.cpu[0].due, prof = p->signals->itimers.cpu[1].due;

	p->cpu_due = v && prof ? min(v, prof) : v + prof;
}

static void look_at_cpu(struct timer *timer)
{
	struct signal_process *sp = container_of(timer, struct signal_process, itimers.look);
	struct process *p = sp->proc;
	u64 used = process_usage(p).user_tsc;
	u32 i, n;

	for (i = 0; i < ARRAY_SIZE(sp->itimers.cpu); i++) {
		struct k_siginfo info = { .signo = i ? SIGPROF : SIGVTALRM, .code = SI_KERNEL };
		u64 due = sp->itimers.cpu[i].due, interval = sp->itimers.cpu[i].interval, every;

		if (!due || due > used)
			continue;
		every = max(ns_to_tsc(interval), (u64)1);
		sp->itimers.cpu[i].due = interval ? due + ((used - due) / every + 1) * every : 0;
		signal_raise(p, NULL, &info);
	}
	set_cpu_due(p);
	n = running_threads(p);
	if (p->cpu_due && n)
		start_look(p, n);
}

void syscall_cpu_runs(struct process *p)
{
	/* With one CPU a look that is under way comes too early, never too late. */
	if (!timer_running(&p->signals->itimers.look) || rs_ncpus > 1)
		start_look(p, running_threads(p) + 1);
}

/* @i: 0 VIRTUAL, 1 PROF */
static u64 cpu_left(const struct process *p, u32 i)
{
	u64 due = p->signals->itimers.cpu[i].due, used = process_usage(p).user_tsc;

	return !due ? 0 : due > used ? tsc_to_us(due - used) + 1 : 1;
}

static void cpu_set(struct process *p, u32 i, u64 value, u64 interval)
{
	struct itimers *it = &p->signals->itimers;

	it->cpu[i].due = value ? process_usage(p).user_tsc + ns_to_tsc(value) : 0;
	it->cpu[i].interval = interval;
	set_cpu_due(p);
	timer_stop(&it->look);
	if (p->cpu_due) {
		start_look(p, running_threads(p));
		sched_timers_changed();
	}
}

/* --- calls ------------------------------------------------------------------------------------ */

void itimers_init(struct signal_process *sp)
{
	sp->itimers = (struct itimers){ 0 };
	timer_init(&sp->itimers.real, real_timer);
	timer_init(&sp->itimers.look, look_at_cpu);
}

void itimers_stop(struct signal_process *sp)
{
	timer_stop(&sp->itimers.real);
	timer_stop(&sp->itimers.look);
	sp->proc->cpu_due = 0;
}

static bool to_ns(s64 sec, s64 usec, u64 *ns)
{
	if (sec < 0 || usec < 0 || usec >= 1000000)
		return false;
	*ns = (u64)min(sec, (s64)MAX_SEC) * NSEC + (u64)usec * 1000;
	return true;
}

static struct k_itimerval read_itimer(const struct process *p, u32 which)
{
	const struct itimers *it = &p->signals->itimers;
	u64 left, every;

	if (which == ITIMER_REAL) {
		left = real_left(it);
		every = it->real_interval / 1000;
	} else {
		left = cpu_left(p, which - 1);
		every = it->cpu[which - 1].interval / 1000;
	}
	return (struct k_itimerval){ (s64)(every / 1000000), (s64)(every % 1000000),
				     (s64)(left / 1000000), (s64)(left % 1000000) };
}

static void set_itimer(struct process *p, u32 which, u64 value, u64 interval)
{
	if (which == ITIMER_REAL)
		real_set(&p->signals->itimers, value, interval);
	else
		cpu_set(p, which - 1, value, interval);
}

long sys_setitimer(struct rs_frame *f)
{
	struct process *p = current_proc();
	struct k_itimerval new = { 0 }, old;
	u32 which = (u32)ARG0(f);
	u64 value, interval;

	if (which > ITIMER_PROF)
		return -EINVAL;
	if (ARG1(f) && copyin(&new, ARG1(f), sizeof(new)))
		return -EFAULT;
	if (!to_ns(new.value_sec, new.value_usec, &value) ||
	    !to_ns(new.interval_sec, new.interval_usec, &interval))
		return -EINVAL;
	old = read_itimer(p, which);
	set_itimer(p, which, value, interval);
	return ARG2(f) ? copyout(ARG2(f), &old, sizeof(old)) : 0;
}

long sys_getitimer(struct rs_frame *f)
{
	struct k_itimerval v;

	if ((u32)ARG0(f) > ITIMER_PROF)
		return -EINVAL;
	v = read_itimer(current_proc(), (u32)ARG0(f));
	return copyout(ARG1(f), &v, sizeof(v));
}

long sys_alarm(struct rs_frame *f)
{
	struct process *p = current_proc();
	struct k_itimerval old = read_itimer(p, ITIMER_REAL);

	set_itimer(p, ITIMER_REAL, (u64)(u32)ARG0(f) * NSEC, 0);
	return old.value_sec + (old.value_usec >= 500000 || (!old.value_sec && old.value_usec));
}
