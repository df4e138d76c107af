// SPDX-License-Identifier: MIT
/*
 * cputime.c - what processes and threads have used: rusage, times, the clocks of CPU time
 *
 * A thread is charged in ticks of the TSC from when it gets a CPU until it gives it away (sched.c),
 * whichever ring it is in and also while the CPU is away in the host for it. How long a tick is, the
 * library has measured: one number for all of the sandbox's life, so that no clock runs backwards.
 *
 * A clock of CPU time is named by a number below 0: the complement of a process or thread above
 * bit 3, bit 2 for a thread, bits 0 and 1 the kind of time, all of which are one here.
 */
#include <asm/unistd.h>
#include "syscall.h"
#include "../proc/proc.h"
#include "../mm/uaccess.h"

#define CLOCK_PROCESS_CPUTIME_ID 2
#define CLOCK_THREAD_CPUTIME_ID	 3
#define CLOCK_OF_THREAD		 4	/* in a number below 0 */
#define CLOCK_KIND		 3
#define CLOCK_IS_FD		 3	/* a kind: of a device */

#define TICK_US			 10000	/* of times() */

static u64 tsc_khz(void)
{
	return rs_boot->tsc_khz ? rs_boot->tsc_khz : 1000000;
}

struct k_rusage rusage_of(const struct usage *u)
{
	u64 us = tsc_to_us(u->user_tsc);

	return (struct k_rusage){
		.utime = { (s64)(us / 1000000), (s64)(us % 1000000) },
		.maxrss = (s64)(u->max_pages * (PAGE_SIZE / 1024)),
		.minflt = (s64)u->faults,
		.nvcsw = (s64)u->switches,
		.nivcsw = (s64)u->preempted,
	};
}

long sys_getrusage(struct rs_frame *f)
{
	struct process *p = current_proc();
	struct usage u;
	struct k_rusage r;

	switch ((int)ARG0(f)) {
	case 0: u = process_usage(p); break;
	case 1:
		u = process_usage(p);
		u.user_tsc = sched_now_used(current());
		u.faults = current()->faults + current()->short_faults;
		break;
	case -1: u = p->children_used; break;
	default: return -EINVAL;
	}
	r = rusage_of(&u);
	return copyout(ARG1(f), &r, sizeof(r));
}

long sys_times(struct rs_frame *f)
{
	struct process *p = current_proc();
	struct usage u = process_usage(p);
	u64 t[4] = { tsc_to_us(u.user_tsc) / TICK_US, 0,
		     tsc_to_us(p->children_used.user_tsc) / TICK_US, 0 };

	if (ARG0(f) && copyout(ARG0(f), t, sizeof(t)))
		return -EFAULT;
	return (long)(clock_monotonic() / (TICK_US * 1000));
}

/* False when @clock is none of CPU time; otherwise ticks, or -EINVAL for one of nobody. */
static bool cpu_clock(int clock, long *ticks)
{
	const struct process *p = current_proc();
	const struct thread *t = current();
	u32 id = ~(u32)(clock >> 3);

	if (clock >= 0 && clock != CLOCK_PROCESS_CPUTIME_ID && clock != CLOCK_THREAD_CPUTIME_ID)
		return false;
	*ticks = -EINVAL;
	if (clock >= 0) {
		*ticks = clock == CLOCK_THREAD_CPUTIME_ID ? (long)sched_now_used(t) :
							    (long)process_usage(p).user_tsc;
	} else if ((clock & CLOCK_KIND) == CLOCK_IS_FD) {
		return true;
	} else if (clock & CLOCK_OF_THREAD) {
		if (id)
			t = thread_find(id);
		if (t && t->proc == p)
			*ticks = (long)sched_now_used(t);
	} else {
		if (id)
			p = process_find(id);
		if (p)
			*ticks = (long)process_usage(p).user_tsc;
	}
	return true;
}

long sys_clock_gettime(struct rs_frame *f)
{
	long ticks;
	u64 khz, t[2];

	if (!cpu_clock((int)ARG0(f), &ticks))
		return sys_forward(f);
	if (ticks < 0)
		return ticks;
	khz = tsc_khz();
	t[0] = (u64)ticks / (khz * 1000);
	t[1] = (u64)ticks % (khz * 1000) * 1000 / khz * 1000;
	return copyout(ARG1(f), t, sizeof(t));
}

long sys_clock_getres(struct rs_frame *f)
{
	u64 t[2] = { 0, 1000 };
	long ticks;

	if (!cpu_clock((int)ARG0(f), &ticks))
		return sys_forward(f);
	if (ticks < 0)
		return ticks;
	return ARG1(f) ? copyout(ARG1(f), t, sizeof(t)) : 0;
}
