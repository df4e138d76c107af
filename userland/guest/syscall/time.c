// SPDX-License-Identifier: MIT
/*
 * time.c - sleeping: nanosleep and futex
 *
 * With one thread nobody else can wake a sleeper, so every sleep is RS_CALL_IDLE: the host waits
 * until the time is over or a signal is pending. A sleep is kept as a deadline on the monotonic
 * clock, so that signals which the process ignores do not lengthen it.
 */
#include <asm/unistd.h>
#include <linux/futex.h>
#include "signal.h"
#include "syscall.h"
#include "../lib/string.h"

/* Clocks of Linux; its header for them does not go together with a C library's. */
#define CLOCK_REALTIME		0
#define CLOCK_MONOTONIC		1
#define CLOCK_THREAD_CPUTIME_ID 3
#define CLOCK_BOOTTIME		7

#define NSEC			1000000000ull
#define FOREVER			(~0ull)

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

/**
 * sleep_until() - waits for @deadline of @clock (FOREVER: only for a signal)
 * 0 when the time is over, -EINTR when a signal is to be handled. *@left: what remained then.
 */
static long sleep_until(int clock, u64 deadline, u64 *left)
{
	u64 now, wait = FOREVER;
	long ret;

	for (;;) {
		if (deadline != FOREVER) {
			now = clock_now(clock);
			if (now >= deadline)
				return 0;
			wait = deadline - now;
		}
		*left = wait;
		if (signal_ready())
			return -EINTR;
		ret = host_call1(RS_CALL_IDLE, wait);
		if (ret && ret != -ETIME && ret != -EINTR)
			return ret;
	}
}

u64 clock_seconds_since_boot(void)
{
	return clock_now(CLOCK_BOOTTIME) / NSEC;
}

/*
 * A sleep that a signal cut short and after which no handler ran (the program was stopped and goes
 * on) starts again where it was: the deadline waits in the thread for the call to be made again,
 * which is recognised by its place.
 */
static long do_sleep(struct rs_frame *f, int clock, bool absolute, u64 req, u64 rem)
{
	struct signal_thread *st = current()->sig;
	u64 ns, left, deadline;
	struct k_timespec t;
	long ret = timespec_in(req, &ns);

	if (ret)
		return ret;
	if (st->sleep_deadline && st->sleep_rip == f->rip && st->sleep_rsp == f->rsp)
		deadline = st->sleep_deadline;
	else
		deadline = absolute ? ns : clock_now(clock) + ns;
	st->sleep_deadline = 0;
	ret = sleep_until(clock, deadline, &left);
	if (ret != -EINTR)
		return ret;
	if (absolute)
		return -ERESTARTNOHAND;
	if (rem) {
		t.sec = (s64)(left / NSEC);
		t.nsec = (s64)(left % NSEC);
		if (copyout(rem, &t, sizeof(t)))
			return -EFAULT;
	}
	st->sleep_deadline = deadline;
	st->sleep_rip = f->rip;
	st->sleep_rsp = f->rsp;
	return -ERESTARTNOHAND;
}

long sys_nanosleep(struct rs_frame *f)
{
	return do_sleep(f, CLOCK_MONOTONIC, false, ARG0(f), ARG1(f));
}

long sys_clock_nanosleep(struct rs_frame *f)
{
	int clock = (int)ARG0(f);

	if (clock == CLOCK_THREAD_CPUTIME_ID)
		return -EINVAL;
	if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC && clock != CLOCK_BOOTTIME)
		return -EOPNOTSUPP;
	return do_sleep(f, clock, ARG1(f) & 1, ARG2(f), ARG3(f));
}

/*
 * A waiter whose value still matches would sleep until somebody wakes it, and there is nobody: it
 * sleeps until its timeout or a signal. A waker finds no sleepers.
 */
long sys_futex(struct rs_frame *f)
{
	u32 op = (u32)ARG1(f), cmd = op & 0x7f, val;
	u64 addr = ARG0(f), ns, left;
	long ret;

	if (addr & 3)
		return -EINVAL;
	switch (cmd) {
	case FUTEX_WAKE:
	case FUTEX_WAKE_BITSET:
		if (cmd == FUTEX_WAKE_BITSET && !(u32)ARG5(f))
			return -EINVAL;
		/* fallthrough */
	case FUTEX_REQUEUE: return user_range_ok(addr, 4) ? 0 : -EFAULT;
	case FUTEX_CMP_REQUEUE:
		if (get_user_u32(&val, addr))
			return -EFAULT;
		return val == (u32)ARG5(f) ? 0 : -EAGAIN;
	case FUTEX_WAIT:
	case FUTEX_WAIT_BITSET: break;
	default: return -ENOSYS;
	}
	if (cmd == FUTEX_WAIT_BITSET && !(u32)ARG5(f))
		return -EINVAL;
	ns = FOREVER;
	if (ARG3(f)) {
		ret = timespec_in(ARG3(f), &ns);
		if (ret)
			return ret;
	}
	if (get_user_u32(&val, addr))
		return -EFAULT;
	if (val != (u32)ARG2(f))
		return -EAGAIN;
	if (ns != FOREVER && cmd == FUTEX_WAIT)
		ns += clock_now(CLOCK_MONOTONIC);
	ret = sleep_until(cmd == FUTEX_WAIT_BITSET && (op & FUTEX_CLOCK_REALTIME) ? CLOCK_REALTIME
										  : CLOCK_MONOTONIC,
			  ns, &left);
	if (ret == -EINTR)
		return ARG3(f) ? -EINTR : -ERESTARTSYS;
	return ret ? ret : -ETIMEDOUT;
}

/*
 * timespec_in() and sleep_until() for rt_sigtimedwait, which gives its signal set to signal_ready()
 * by way of the mask.
 */
long sleep_for_signal(u64 timeout_va)
{
	u64 ns = FOREVER, left;
	long ret;

	if (timeout_va) {
		ret = timespec_in(timeout_va, &ns);
		if (ret)
			return ret;
		if (!ns)
			return signal_ready() ? -EINTR : 0;
		ns += clock_now(CLOCK_MONOTONIC);
	}
	return sleep_until(CLOCK_MONOTONIC, ns, &left);
}
