// SPDX-License-Identifier: MIT
/*
 * time.c - sleeping for a time
 *
 * A sleep is kept as a deadline on the monotonic clock, so that signals which the process ignores do
 * not lengthen it.
 */
#include <asm/unistd.h>
#include "signal.h"
#include "syscall.h"
#include "../lib/string.h"

/* Clocks of Linux; its header for them does not go together with a C library's. */
#define CLOCK_REALTIME		0
#define CLOCK_MONOTONIC		1
#define CLOCK_THREAD_CPUTIME_ID 3
#define CLOCK_BOOTTIME		7

#define NSEC			1000000000ull
#define FOREVER			NO_DEADLINE

struct k_timespec {
	s64 sec, nsec;
};

/* Nanoseconds of a host clock; asks the host. */
static u64 clock_now(int clock)
{
	struct k_timespec *t = host_bounce();

	rs_stats()->forwarded++;
	if (host_call2(__NR_clock_gettime, clock, gpa_of(t)))
		return 0;
	return (u64)t->sec * NSEC + (u64)t->nsec;
}

/* -EINVAL for what is not a time; huge ones saturate below FOREVER. */
static long timespec_in(u64 va, u64 *ns)
{
	struct k_timespec t;

	if (copyin(&t, va, sizeof(t)))
		return -EFAULT;
	if (t.sec < 0 || t.nsec < 0 || (u64)t.nsec >= NSEC)
		return -EINVAL;
	*ns = (u64)t.sec > (FOREVER / 2) / NSEC ? FOREVER / 2 : (u64)t.sec * NSEC + (u64)t.nsec;
	return 0;
}

/* The same moment on the monotonic clock; a jump of the other clock later is not followed. */
static u64 to_monotonic(int clock, u64 deadline)
{
	u64 now;

	if (clock == CLOCK_MONOTONIC || deadline == NO_DEADLINE)
		return deadline;
	now = clock_now(clock);
	return clock_monotonic() + (deadline > now ? deadline - now : 0);
}

long deadline_in(u64 va, bool absolute, int clock, u64 *deadline)
{
	u64 ns;
	long err = timespec_in(va, &ns);

	if (err)
		return err;
	*deadline = absolute ? to_monotonic(clock, ns) : clock_monotonic() + ns;
	return 0;
}

/* 0 when the time is over, -EINTR when a signal is to be handled. */
static long sleep_until(u64 deadline)
{
	long err = 0;

	current()->sched.woken = false;
	while (!err)
		err = thread_sleep(deadline, SLEEP_SIGNALS);
	return err == -ETIMEDOUT ? 0 : err;
}

u64 clock_seconds_since_boot(void)
{
	return clock_now(CLOCK_BOOTTIME) / NSEC;
}

/* Until @deadline; what is left of it goes to @rem (0: nowhere) and the sleep may go on (restart). */
static long sleep_on(u64 deadline, u64 rem);

static long restart_sleep(struct rs_frame *f)
{
	struct signal_thread *st = current()->sig;

	(void)f;
	return sleep_on(st->restart.deadline, st->restart.rem);
}

static long sleep_on(u64 deadline, u64 rem)
{
	struct k_timespec t;
	u64 now, left;
	long ret = sleep_until(deadline);

	if (ret != -EINTR)
		return ret;
	if (rem) {
		now = clock_monotonic();
		left = deadline > now ? deadline - now : 0;
		t.sec = (s64)(left / NSEC);
		t.nsec = (s64)(left % NSEC);
		if (copyout(rem, &t, sizeof(t)))
			return -EFAULT;
	}
	return restart_later(restart_sleep, deadline, rem);
}

static long do_sleep(int clock, bool absolute, u64 req, u64 rem)
{
	u64 deadline;
	long ret = deadline_in(req, absolute, clock, &deadline);

	if (ret)
		return ret;
	if (!absolute)
		return sleep_on(deadline, rem);
	ret = sleep_until(deadline);
	return ret == -EINTR ? -ERESTARTNOHAND : ret;
}

long sys_nanosleep(struct rs_frame *f)
{
	return do_sleep(CLOCK_MONOTONIC, false, ARG0(f), ARG1(f));
}

long sys_clock_nanosleep(struct rs_frame *f)
{
	int clock = (int)ARG0(f);

	if (clock == CLOCK_THREAD_CPUTIME_ID)
		return -EINVAL;
	if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC && clock != CLOCK_BOOTTIME)
		return -EOPNOTSUPP;
	return do_sleep(clock, ARG1(f) & 1, ARG2(f), ARG3(f));
}

long sleep_for_signal(u64 timeout_va)
{
	u64 ns, deadline = NO_DEADLINE;
	long ret;

	if (timeout_va) {
		ret = timespec_in(timeout_va, &ns);
		if (ret)
			return ret;
		if (!ns)
			return signal_ready() ? -EINTR : 0;
		deadline = clock_monotonic() + ns;
	}
	return sleep_until(deadline);
}
