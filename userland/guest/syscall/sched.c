// SPDX-License-Identifier: MIT
/*
 * sched.c - calls about how threads are scheduled
 *
 * All threads are equal and run on all CPUs of the guest (proc/sched.c). What a program asks for is
 * kept with the thread, inherited and told again, as programs expect that set it for their children
 * (nice, taskset), and changes nothing: a sandbox competes with the rest of the machine by what Linux
 * grants the host process. Policies other than SCHED_OTHER are refused.
 */
#include "syscall.h"

#define PRIO_PROCESS	0u
#define PRIO_PGRP	1u
#define PRIO_USER	2u

static u64 all_cpus(void)
{
	return rs_ncpus >= 64 ? ~0ull : (1ull << rs_ncpus) - 1;
}

u64 affinity_of(const struct thread *t)
{
	return t && t->affinity ? t->affinity : all_cpus();
}

/* The thread that calls with a number mean: any of the sandbox, 0 the current one. */
static struct thread *target(u64 nr)
{
	return (u32)nr ? thread_find((u32)nr) : current();
}

long sys_sched_yield(struct rs_frame *f)
{
	(void)f;
	thread_yield();
	return 0;
}

long sys_sched_getaffinity(struct rs_frame *f)
{
	const struct thread *t = target(ARG0(f));
	u64 mask;

	if (ARG1(f) < sizeof(mask) || ARG1(f) & 7)
		return -EINVAL;
	if (!t)
		return -ESRCH;
	mask = affinity_of(t);
	return copyout(ARG2(f), &mask, sizeof(mask)) ? -EFAULT : (long)sizeof(mask);
}

long sys_sched_setaffinity(struct rs_frame *f)
{
	struct thread *t = target(ARG0(f));
	u64 mask = 0;

	if (copyin(&mask, ARG2(f), min(ARG1(f), (u64)sizeof(mask))))
		return -EFAULT;
	if (!t)
		return -ESRCH;
	mask &= all_cpus();
	if (!mask)
		return -EINVAL;
	t->affinity = mask;
	return 0;
}

long sys_sched_getscheduler(struct rs_frame *f)
{
	if ((int)ARG0(f) < 0)
		return -EINVAL;
	return target(ARG0(f)) ? 0 : -ESRCH; /* SCHED_OTHER */
}

long sys_sched_getparam(struct rs_frame *f)
{
	if ((int)ARG0(f) < 0 || !ARG1(f))
		return -EINVAL;
	if (!target(ARG0(f)))
		return -ESRCH;
	return put_user_u32(ARG1(f), 0) ? -EFAULT : 0;
}

/* SCHED_OTHER, BATCH, IDLE have priority 0 only; FIFO and RR 1 to 99. */
static long priority(u32 policy, long fifo)
{
	switch (policy) {
	case 0:
	case 3:
	case 5: return 0;
	case 1:
	case 2: return fifo;
	}
	return -EINVAL;
}

long sys_sched_get_priority_max(struct rs_frame *f)
{
	return priority((u32)ARG0(f), 99);
}

long sys_sched_get_priority_min(struct rs_frame *f)
{
	return priority((u32)ARG0(f), 1);
}

long sys_getcpu(struct rs_frame *f)
{
	if ((ARG0(f) && put_user_u32(ARG0(f), this_cpu()->id)) ||
	    (ARG1(f) && put_user_u32(ARG1(f), 0)))
		return -EFAULT;
	return 0;
}

/* --- nice ------------------------------------------------------------------------------------- */

/* Does setpriority(@which, @who) mean process @p? As on Linux 0 is the caller's own. */
static bool is_meant(const struct process *p, u32 which, u32 who)
{
	if (p->state != PROCESS_ALIVE)
		return false;
	if (which == PRIO_PGRP)
		return p->pgid == (who ? who : current_proc()->pgid);
	return p->uid == (who ? who : current_proc()->uid);
}

/* The next thread that is meant after @t, the first one for NULL. */
static struct thread *next_meant(struct thread *t, u32 which, u32 who)
{
	struct process *p = NULL;

	if (which == PRIO_PROCESS)
		return t ? NULL : target(who);
	if (t) {
		p = t->proc;
		if (t->list.next != &p->threads)
			return list_entry(t->list.next, struct thread, list);
	}
	while ((p = process_next(p)))
		if (is_meant(p, which, who) && !list_empty(&p->threads))
			return list_first(&p->threads, struct thread, list);
	return NULL;
}

long sys_getpriority(struct rs_frame *f)
{
	u32 which = (u32)ARG0(f), who = (u32)ARG1(f);
	struct thread *t = NULL;
	long best = -ESRCH;

	if (which > PRIO_USER)
		return -EINVAL;
	while ((t = next_meant(t, which, who)))
		best = max(best, 20l - t->nice);	/* 1 to 40: no value of it is an error */
	return best;
}

/* Only root may take back what it has given away. */
long sys_setpriority(struct rs_frame *f)
{
	u32 which = (u32)ARG0(f), who = (u32)ARG1(f);
	int nice = max(-20, min(19, (int)ARG2(f)));
	struct thread *t = NULL;
	long ret = -ESRCH;

	if (which > PRIO_USER)
		return -EINVAL;
	while ((t = next_meant(t, which, who))) {
		if (nice < t->nice && current_proc()->euid) {
			ret = -EACCES;
			continue;
		}
		t->nice = (s8)nice;
		if (ret == -ESRCH)
			ret = 0;
	}
	return ret;
}
