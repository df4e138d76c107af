// SPDX-License-Identifier: MIT
/*
 * signal_test.c - actions, masks, queues, waiting for signals, timers, faults, and who may signal whom
 *
 * Where a signal must meet a blocked call, a repeating timer sends it: one that comes too early does no harm.
 */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/ucontext.h>
#include "proc.h"

static volatile sig_atomic_t count[65];
static volatile int order[256], norder;
static siginfo_t last;
static volatile pid_t last_tid;

static void on_info(int sig, siginfo_t *si, void *uc)
{
	last = *si;
	last_tid = gettid();
	count[sig]++;
	if (norder < 256)
		order[norder++] = si->si_code == SI_QUEUE ? si->si_value.sival_int : sig;
}

static void handle(int sig, int flags)
{
	struct sigaction sa = { .sa_sigaction = on_info, .sa_flags = SA_SIGINFO | flags };

	sigemptyset(&sa.sa_mask);
	SYS(sigaction(sig, &sa, NULL));
}

static sigset_t set_of(int a, int b)
{
	sigset_t s;

	sigemptyset(&s);
	sigaddset(&s, a);
	if (b)
		sigaddset(&s, b);
	return s;
}

static void block(int a, int b)
{
	sigset_t s = set_of(a, b);

	SYS(sigprocmask(SIG_BLOCK, &s, NULL));
}

static void unblock(int a, int b)
{
	sigset_t s = set_of(a, b);

	SYS(sigprocmask(SIG_UNBLOCK, &s, NULL));
}

static bool is_pending(int sig)
{
	sigset_t s;

	SYS(sigpending(&s));
	return sigismember(&s, sig);
}

/* SIGALRM every 10 ms, until it is called with 0. */
static void tick(int on)
{
	struct itimerval it = { { 0, on ? 10000 : 0 }, { 0, on ? 10000 : 0 } };

	SYS(setitimer(ITIMER_REAL, &it, NULL));
}

TEST(signal_default_actions)
{
	static const int ignored[] = { SIGCHLD, SIGURG, SIGWINCH, SIGCONT };

	for (int i = 0; i < 4; i++)
		EXITS(CHILD(signal(ignored[i], SIG_DFL); raise(ignored[i]); _exit(5)), 5);
	DIES(CHILD(signal(SIGUSR1, SIG_DFL); raise(SIGUSR1)), SIGUSR1);
	EXITS(CHILD(signal(SIGTERM, SIG_IGN); raise(SIGTERM); _exit(6)), 6);
}

TEST(signal_bad_arguments)
{
	struct sigaction sa = { .sa_handler = SIG_IGN };

	EXPECT_ERRNO(sigaction(0, &sa, NULL), EINVAL);
	EXPECT_ERRNO(sigaction(65, &sa, NULL), EINVAL);
	EXPECT_ERRNO(syscall(SYS_rt_sigaction, SIGKILL, &sa, NULL, 8), EINVAL);
	EXPECT_ERRNO(syscall(SYS_rt_sigaction, SIGSTOP, &sa, NULL, 8), EINVAL);
	EXPECT_ERRNO(syscall(SYS_rt_sigaction, SIGUSR1, &sa, NULL, 16), EINVAL);
	EXPECT_ERRNO(syscall(SYS_rt_sigprocmask, 9, &sa, NULL, 8), EINVAL);
	EXPECT_ERRNO(syscall(SYS_rt_sigprocmask, 0, 8L, NULL, 8), EFAULT);
	EXPECT_ERRNO(kill(getpid(), 65), EINVAL);
	EXPECT_ERRNO(kill(0x7ffffff, 0), ESRCH);
	EXPECT_ERRNO(kill(-0x7ffffff, 0), ESRCH);
	EXPECT_ERRNO(syscall(SYS_tgkill, getpid(), 0x7ffffff, 0), ESRCH);
	EXPECT_ERRNO(syscall(SYS_tgkill, getppid(), gettid(), 0), ESRCH);
	EXPECT_ERRNO(syscall(SYS_tgkill, -1, gettid(), 0), EINVAL);
	EXPECT_EQ(kill(getpid(), 0), 0);
}

TEST(signal_information_of_kill)
{
	union sigval v = { .sival_ptr = (void *)0x123456789abc };
	pid_t pid;

	handle(SIGUSR1, 0);
	SYS(kill(getpid(), SIGUSR1));
	EXPECT_EQ(count[SIGUSR1], 1);
	EXPECT_EQ(last.si_code, SI_USER);
	EXPECT_EQ(last.si_pid, getpid());
	EXPECT_EQ(last.si_uid, getuid());
	SYS(syscall(SYS_tgkill, getpid(), gettid(), SIGUSR1));
	EXPECT_EQ(last.si_code, SI_TKILL);
	SYS(sigqueue(getpid(), SIGUSR1, v));
	EXPECT_EQ(last.si_code, SI_QUEUE);
	EXPECT_EQ(last.si_value.sival_ptr, v.sival_ptr);
	block(SIGUSR1, 0);
	pid = CHILD(SYS(kill(getppid(), SIGUSR1)));
	EXITS(pid, 0);
	EXPECT(is_pending(SIGUSR1));
	unblock(SIGUSR1, 0);
	EXPECT_EQ(last.si_pid, pid);
	EXPECT_EQ(count[SIGUSR1], 4);
}

TEST(signal_mask)
{
	sigset_t all, old;

	handle(SIGUSR1, 0);
	handle(SIGUSR2, 0);
	block(SIGUSR1, SIGUSR2);
	for (int i = 0; i < 3; i++) {
		raise(SIGUSR2);
		raise(SIGUSR1);
	}
	EXPECT(is_pending(SIGUSR1) && is_pending(SIGUSR2));
	EXPECT_EQ(count[SIGUSR1] + count[SIGUSR2], 0);
	/* a child has the mask, but nothing waits for it */
	EXITS(CHILD({
		EXPECT(!is_pending(SIGUSR1));
		sigprocmask(SIG_BLOCK, NULL, &old);
		EXPECT(sigismember(&old, SIGUSR1));
	}), 0);
	unblock(SIGUSR1, SIGUSR2);
	EXPECT_EQ(count[SIGUSR1], 1);
	EXPECT_EQ(count[SIGUSR2], 1);
	EXPECT(!is_pending(SIGUSR1));
	/* what cannot be blocked is left out in silence */
	sigfillset(&all);
	SYS(sigprocmask(SIG_SETMASK, &all, NULL));
	SYS(sigprocmask(SIG_BLOCK, NULL, &old));
	EXPECT(!sigismember(&old, SIGKILL) && !sigismember(&old, SIGSTOP));
	EXPECT(sigismember(&old, SIGTERM));
}

TEST(ignoring_throws_pending_away)
{
	handle(SIGUSR1, 0);
	block(SIGUSR1, 0);
	raise(SIGUSR1);
	EXPECT(is_pending(SIGUSR1));
	signal(SIGUSR1, SIG_IGN);
	EXPECT(!is_pending(SIGUSR1));
	handle(SIGUSR1, 0);
	unblock(SIGUSR1, 0);
	EXPECT_EQ(count[SIGUSR1], 0);
}

static volatile int depth, deepest, raised;

static void nesting(int sig)
{
	if (++depth > deepest)
		deepest = depth;
	if (++raised < 5)
		raise(sig);
	depth--;
}

TEST(nodefer_and_resethand)
{
	struct sigaction sa = { .sa_handler = nesting };

	SYS(sigaction(SIGUSR1, &sa, NULL));
	raise(SIGUSR1);
	/* each comes when the one before has returned: never two at once */
	EXPECT_EQ(raised, 5);
	EXPECT_EQ(deepest, 1);
	raised = 0;
	sa.sa_flags = SA_NODEFER;
	SYS(sigaction(SIGUSR1, &sa, NULL));
	raise(SIGUSR1);
	EXPECT_EQ(deepest, 5);
	handle(SIGUSR2, SA_RESETHAND);
	raise(SIGUSR2);
	EXPECT_EQ(count[SIGUSR2], 1);
	SYS(sigaction(SIGUSR2, NULL, &sa));
	EXPECT(sa.sa_handler == SIG_DFL);
}

static sigset_t mask_seen;

static void see_mask(int sig)
{
	sigprocmask(SIG_BLOCK, NULL, &mask_seen);
}

TEST(mask_during_handler)
{
	struct sigaction sa = { .sa_handler = see_mask, .sa_mask = set_of(SIGHUP, SIGTERM) };
	sigset_t after;

	block(SIGQUIT, 0);
	SYS(sigaction(SIGUSR1, &sa, NULL));
	raise(SIGUSR1);
	EXPECT(sigismember(&mask_seen, SIGUSR1) && sigismember(&mask_seen, SIGHUP) &&
	       sigismember(&mask_seen, SIGTERM) && sigismember(&mask_seen, SIGQUIT));
	EXPECT(!sigismember(&mask_seen, SIGUSR2));
	SYS(sigprocmask(SIG_BLOCK, NULL, &after));
	EXPECT(!sigismember(&after, SIGUSR1) && !sigismember(&after, SIGHUP) && sigismember(&after, SIGQUIT));
}

/* What the handler writes into the saved context is what goes on. */
static void change_context(int sig, siginfo_t *si, void *ctx)
{
	ucontext_t *uc = ctx;

	uc->uc_mcontext.gregs[REG_RBX] = 0x1234567812345678;
	uc->uc_mcontext.gregs[REG_R12] += 1;
	sigaddset(&uc->uc_sigmask, SIGHUP);
}

TEST(changed_context)
{
	struct sigaction sa = { .sa_sigaction = change_context, .sa_flags = SA_SIGINFO };
	register long r12 asm("r12") = 41;
	long rbx = 1, ret = SYS_tgkill;
	pid_t pid = getpid(), tid = gettid();
	sigset_t after;

	SYS(sigaction(SIGUSR1, &sa, NULL));
	asm volatile("syscall" : "+a" (ret), "+b" (rbx), "+r" (r12)
		     : "D" ((long)pid), "S" ((long)tid), "d" ((long)SIGUSR1) : "rcx", "r11", "memory");
	EXPECT_EQ(ret, 0);
	EXPECT_EQ(rbx, 0x1234567812345678);
	EXPECT_EQ(r12, 42);
	SYS(sigprocmask(SIG_BLOCK, NULL, &after));
	EXPECT(sigismember(&after, SIGHUP));
}

static volatile uintptr_t handler_sp;
static stack_t handler_stack;

static void see_stack(int sig)
{
	handler_sp = (uintptr_t)__builtin_frame_address(0);
	sigaltstack(NULL, &handler_stack);
}

TEST(alternate_stack)
{
	char *mem = private_pages(16);
	stack_t ss = { .ss_sp = mem, .ss_size = 16 * PAGE }, old;
	struct sigaction sa = { .sa_handler = see_stack, .sa_flags = SA_ONSTACK };

	SYS(sigaltstack(&ss, &old));
	EXPECT_EQ(old.ss_flags, SS_DISABLE);
	SYS(sigaction(SIGUSR1, &sa, NULL));
	raise(SIGUSR1);
	EXPECT(handler_sp > (uintptr_t)mem && handler_sp < (uintptr_t)mem + 16 * PAGE);
	EXPECT_EQ(handler_stack.ss_flags, SS_ONSTACK);
	SYS(sigaltstack(NULL, &old));
	EXPECT_EQ(old.ss_flags, 0);
	sa.sa_flags = 0;
	SYS(sigaction(SIGUSR1, &sa, NULL));
	raise(SIGUSR1);
	EXPECT(handler_sp < (uintptr_t)mem || handler_sp >= (uintptr_t)mem + 16 * PAGE);
	ss.ss_size = 100;
	EXPECT_ERRNO(sigaltstack(&ss, NULL), ENOMEM);
	ss.ss_flags = 0x40;
	EXPECT_ERRNO(sigaltstack(&ss, NULL), EINVAL);
	/* a child keeps it, a thread has none */
	EXITS(CHILD({
		SYS(sigaltstack(NULL, &old));
		EXPECT_EQ((uintptr_t)old.ss_sp, (uintptr_t)mem);
	}), 0);
}

static sigjmp_buf back;

static void overflowed(int sig, siginfo_t *si, void *uc)
{
	last = *si;
	siglongjmp(back, 1);
}

static int recurse(volatile char *above)
{
	volatile char here[4096];

	here[0] = above[0];
	if (here[0] == 77)
		return 0;
	return recurse(here) + here[1];
}

TEST(stack_overflow_on_alternate_stack)
{
	stack_t ss = { .ss_sp = private_pages(16), .ss_size = 16 * PAGE };
	struct sigaction sa = { .sa_sigaction = overflowed, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	struct rlimit lim = { 1 << 20, 1 << 20 };
	volatile char c = 0;

	EXITS(CHILD({
		SYS(setrlimit(RLIMIT_STACK, &lim));
		SYS(sigaltstack(&ss, NULL));
		SYS(sigaction(SIGSEGV, &sa, NULL));
		if (!sigsetjmp(back, 1))
			recurse(&c);
		EXPECT_EQ(last.si_signo, SIGSEGV);
	}), 0);
	/* without a stack for the handler there is none */
	DIES(CHILD({
		SYS(setrlimit(RLIMIT_STACK, &lim));
		sa.sa_flags = SA_SIGINFO;
		SYS(sigaction(SIGSEGV, &sa, NULL));
		recurse(&c);
	}), SIGSEGV);
}

TEST(realtime_signals_queue_in_order)
{
	sigset_t all;

	for (int s = SIGRTMIN; s <= SIGRTMIN + 2; s++) {
		handle(s, 0);
		block(s, 0);
	}
	sigfillset(&all);
	for (int i = 0; i < 10; i++) {
		sigqueue(getpid(), SIGRTMIN + 1, (union sigval){ .sival_int = 100 + i });
		sigqueue(getpid(), SIGRTMIN, (union sigval){ .sival_int = i });
	}
	/* every handler blocks all, so that none interrupts another: the lowest number first, each in its order */
	for (int s = SIGRTMIN; s <= SIGRTMIN + 1; s++) {
		struct sigaction sa = { .sa_sigaction = on_info, .sa_flags = SA_SIGINFO, .sa_mask = all };

		SYS(sigaction(s, &sa, NULL));
	}
	unblock(SIGRTMIN, SIGRTMIN + 1);
	ASSERT_EQ(norder, 20);
	for (int i = 0; i < 10; i++) {
		EXPECT_EQ(order[i], i);
		EXPECT_EQ(order[10 + i], 100 + i);
	}
}

TEST(standard_signal_is_kept_once)
{
	handle(SIGUSR1, 0);
	block(SIGUSR1, 0);
	sigqueue(getpid(), SIGUSR1, (union sigval){ .sival_int = 1 });
	sigqueue(getpid(), SIGUSR1, (union sigval){ .sival_int = 2 });
	unblock(SIGUSR1, 0);
	ASSERT_EQ(norder, 1);
	EXPECT_EQ(order[0], 1);
}

TEST(queue_limit)
{
	struct rlimit lim = { 20, 20 };
	int sent = 0;

	block(SIGRTMIN, SIGUSR1);
	SYS(setrlimit(RLIMIT_SIGPENDING, &lim));
	while (sent < 100 && !sigqueue(getpid(), SIGRTMIN, (union sigval){ .sival_int = sent }))
		sent++;
	EXPECT_EQ(errno, EAGAIN);
	EXPECT(sent <= 20);
	/* a standard signal gets through all the same */
	SYS(kill(getpid(), SIGUSR1));
	EXPECT(is_pending(SIGUSR1));
}

TEST(sigtimedwait_takes)
{
	sigset_t set = set_of(SIGUSR1, SIGRTMIN);
	struct timespec zero = { 0, 0 }, little = { 0, 30000000 };
	siginfo_t si;
	double begin;

	handle(SIGUSR1, 0);
	handle(SIGRTMIN, 0);
	block(SIGUSR1, SIGRTMIN);
	EXPECT_ERRNO(sigtimedwait(&set, &si, &zero), EAGAIN);
	begin = now();
	EXPECT_ERRNO(sigtimedwait(&set, &si, &little), EAGAIN);
	EXPECT(now() - begin >= 0.03);
	sigqueue(getpid(), SIGRTMIN, (union sigval){ .sival_int = 7 });
	raise(SIGUSR1);
	EXPECT_EQ(sigtimedwait(&set, &si, &zero), SIGUSR1);
	EXPECT_EQ(sigwaitinfo(&set, &si), SIGRTMIN);
	EXPECT_EQ(si.si_value.sival_int, 7);
	EXPECT_EQ(si.si_code, SI_QUEUE);
	/* one that comes while it waits */
	EXITS(CHILD({
		pid_t parent = getpid();
		pid_t pid = CHILD(SYS(kill(parent, SIGUSR1)));

		EXPECT_EQ(sigwaitinfo(&set, &si), SIGUSR1);
		EXPECT_EQ(si.si_pid, pid);
		EXITS(pid, 0);
	}), 0);
	EXPECT_EQ(norder, 0);		/* no handler ran */
	little.tv_nsec = 2000000000;
	EXPECT_ERRNO(sigtimedwait(&set, &si, &little), EINVAL);
}

TEST(sigtimedwait_is_interrupted)
{
	sigset_t set = set_of(SIGUSR1, 0);
	siginfo_t si;

	block(SIGUSR1, 0);
	handle(SIGALRM, SA_RESTART);
	tick(1);
	EXPECT_ERRNO(sigwaitinfo(&set, &si), EINTR);
	tick(0);
}

TEST(sigsuspend_swaps_the_mask)
{
	sigset_t none, now_set;

	handle(SIGUSR1, 0);
	block(SIGUSR1, SIGUSR2);
	raise(SIGUSR1);
	sigemptyset(&none);
	EXPECT_ERRNO(sigsuspend(&none), EINTR);
	EXPECT_EQ(count[SIGUSR1], 1);
	SYS(sigprocmask(SIG_BLOCK, NULL, &now_set));
	EXPECT(sigismember(&now_set, SIGUSR1) && sigismember(&now_set, SIGUSR2));
	/* ppoll and pselect do the same */
	raise(SIGUSR1);
	EXPECT_ERRNO(ppoll(NULL, 0, NULL, &none), EINTR);
	raise(SIGUSR1);
	EXPECT_ERRNO(pselect(0, NULL, NULL, NULL, NULL, &none), EINTR);
	EXPECT_EQ(count[SIGUSR1], 3);
}

TEST(pause_and_alarm)
{
	double begin = now();

	handle(SIGALRM, SA_RESTART);
	EXPECT_EQ(alarm(1), 0);
	EXPECT_ERRNO(pause(), EINTR);
	EXPECT(now() - begin >= 0.9);
	EXPECT_EQ(count[SIGALRM], 1);
	begin = now();
	EXPECT_EQ(alarm(100), 0);
	/* it rounds to the nearest second */
	EXPECT_GE(alarm(0) + (now() - begin), 99.4);
	EXITS(CHILD(EXPECT_EQ(alarm(0), 0)), 0);
}

TEST(interval_timers)
{
	struct itimerval it = { { 0, 20000 }, { 0, 20000 } }, left;
	double begin = now();
	sigset_t none;

	handle(SIGALRM, 0);
	block(SIGALRM, 0);
	sigemptyset(&none);
	SYS(setitimer(ITIMER_REAL, &it, NULL));
	for (int i = 0; i < 5; i++)
		sigsuspend(&none);
	EXPECT(now() - begin >= 0.09);
	SYS(getitimer(ITIMER_REAL, &left));
	EXPECT(left.it_interval.tv_usec == 20000 && left.it_value.tv_usec <= 20000);
	EXITS(CHILD({
		SYS(getitimer(ITIMER_REAL, &left));
		EXPECT_EQ(left.it_value.tv_usec + left.it_interval.tv_usec, 0);
	}), 0);
	tick(0);
	EXPECT_EQ(count[SIGALRM], 5);
	/* time that the process runs, not time that passes */
	handle(SIGVTALRM, 0);
	handle(SIGPROF, 0);
	begin = now();
	SYS(setitimer(ITIMER_VIRTUAL, &it, NULL));
	while (count[SIGVTALRM] < 3 && now() < begin + 20)
		;
	EXPECT_GE(count[SIGVTALRM], 3);
	EXPECT(now() - begin >= 0.04);
	it = (struct itimerval){ 0 };
	SYS(setitimer(ITIMER_VIRTUAL, &it, NULL));
	EXPECT_ERRNO(setitimer(5, &it, NULL), EINVAL);
	it.it_value.tv_usec = 1000000;
	EXPECT_ERRNO(setitimer(ITIMER_REAL, &it, NULL), EINVAL);
}

/* Each process has its own; they count for whoever uses the CPU. */
TEST(cpu_timers_of_processes)
{
	struct itimerval it = { { 0, 5000 }, { 0, 5000 } }, left;
	struct gate ready = gate_make();
	volatile int *asleep = shared_pages(1);
	pid_t pid;

	handle(SIGVTALRM, 0);
	handle(SIGPROF, 0);
	pid = CHILD({
		SYS(setitimer(ITIMER_PROF, &it, NULL));
		SYS(setitimer(ITIMER_VIRTUAL, &it, NULL));
		gate_open(ready);
		for (;;) {
			pause();
			*asleep = count[SIGPROF] + count[SIGVTALRM];
		}
	});
	gate_wait(ready);
	SYS(setitimer(ITIMER_PROF, &it, NULL));
	while (count[SIGPROF] < 20)
		;
	EXPECT_EQ(count[SIGVTALRM], 0);
	if (*asleep > 4)	/* what it used itself may be enough for one */
		FAIL("%d signals for a process that sleeps", *asleep);
	SYS(kill(pid, SIGKILL));
	DIES(pid, SIGKILL);
	/* a child has none */
	SYS(getitimer(ITIMER_PROF, &left));
	EXPECT_EQ(left.it_interval.tv_usec, 5000);
	EXPECT(left.it_value.tv_usec > 0 && left.it_value.tv_usec < 50000);	/* Linux counts in its ticks */
	EXITS(CHILD({
		SYS(getitimer(ITIMER_PROF, &left));
		EXPECT_EQ(left.it_value.tv_usec + left.it_interval.tv_usec, 0);
	}), 0);
}

TEST(posix_timer)
{
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN };
	struct itimerspec it = { { 0, 10000000 }, { 0, 10000000 } };
	sigset_t set = set_of(SIGRTMIN, 0);
	siginfo_t si;
	timer_t t;

	block(SIGRTMIN, 0);
	ev.sigev_value.sival_int = 55;
	SYS(timer_create(CLOCK_MONOTONIC, &ev, &t));
	SYS(timer_settime(t, 0, &it, NULL));
	for (int i = 0; i < 3; i++) {
		EXPECT_EQ(sigwaitinfo(&set, &si), SIGRTMIN);
		EXPECT_EQ(si.si_code, SI_TIMER);
		EXPECT_EQ(si.si_value.sival_int, 55);
	}
	SYS(timer_delete(t));
}

/* --- interrupted calls ----------------------------------------------------------------------------------------------- */

TEST(eintr_without_restart)
{
	struct timespec rest, ts = { 100, 0 };
	double begin, left;
	int end[2], sock[2];
	char buf[PAGE];

	handle(SIGALRM, 0);
	SYS(pipe(end));
	SYS(socketpair(AF_UNIX, SOCK_STREAM, 0, sock));
	tick(1);
	EXPECT_ERRNO(read(end[0], buf, 1), EINTR);
	EXPECT_ERRNO(read(sock[0], buf, 1), EINTR);
	EXPECT_ERRNO(poll(NULL, 0, -1), EINTR);
	EXPECT_ERRNO(select(0, NULL, NULL, NULL, NULL), EINTR);
	begin = now();
	EXPECT_ERRNO(nanosleep(&ts, &rest), EINTR);
	/* what has not been slept, and no more is missing than has passed */
	left = rest.tv_sec + rest.tv_nsec / 1e9;
	EXPECT(left < 100 && 100 - left <= now() - begin);
	EXPECT_EQ(clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, &rest), EINTR);
	SYS(fcntl(end[1], F_SETFL, O_NONBLOCK));
	while (write(end[1], buf, PAGE) > 0)
		;
	SYS(fcntl(end[1], F_SETFL, 0));
	EXPECT_ERRNO(write(end[1], buf, 1), EINTR);
	tick(0);
}

/* The data arrive after some signals; the call goes on as if there had been none. */
TEST(restart)
{
	int end[2], sock[2];
	pid_t pid;
	char c;

	handle(SIGALRM, SA_RESTART);
	SYS(pipe(end));
	SYS(socketpair(AF_UNIX, SOCK_STREAM, 0, sock));
	pid = CHILD({
		usleep(100000);
		ASSERT_EQ(write(end[1], "p", 1), 1);
		usleep(100000);
		ASSERT_EQ(write(sock[1], "s", 1), 1);
	});
	tick(1);
	EXPECT_EQ(read(end[0], &c, 1), 1);
	EXPECT_EQ(c, 'p');
	EXPECT_EQ(read(sock[0], &c, 1), 1);
	EXPECT_EQ(c, 's');
	EXPECT_GE(count[SIGALRM], 2);
	/* these are never restarted */
	EXPECT_ERRNO(poll(NULL, 0, -1), EINTR);
	EXPECT_ERRNO(pause(), EINTR);
	tick(0);
	EXITS(pid, 0);
}

TEST(partial_write_is_kept)
{
	static char buf[300000];
	int end[2];
	ssize_t n;

	handle(SIGALRM, 0);
	SYS(pipe(end));
	tick(1);
	n = write(end[1], buf, sizeof(buf));	/* more than the pipe holds, and nobody reads */
	tick(0);
	EXPECT(n > 0 && n < (ssize_t)sizeof(buf));
}

/* A stop and a continue do not show in a sleeping call. */
TEST(stop_does_not_interrupt)
{
	struct gate ready = gate_make();
	int end[2], status;
	pid_t pid;

	SYS(pipe(end));
	pid = CHILD({
		char c;

		gate_open(ready);
		EXPECT_EQ(read(end[0], &c, 1), 1);
		EXPECT_EQ(c, 'x');
	});
	gate_wait(ready);
	for (int i = 0; i < 3; i++) {
		SYS(kill(pid, SIGSTOP));
		EXPECT_EQ(waitpid(pid, &status, WUNTRACED), pid);
		SYS(kill(pid, SIGCONT));
		EXPECT_EQ(waitpid(pid, &status, WCONTINUED), pid);
	}
	ASSERT_EQ(write(end[1], "x", 1), 1);
	EXITS(pid, 0);
}

/* --- faults ---------------------------------------------------------------------------------------------------------- */

static volatile int fault_signo, fault_code, fault_trap;
static void *volatile fault_addr;
static volatile greg_t fault_err;

static void on_fault(int sig, siginfo_t *si, void *ctx)
{
	ucontext_t *uc = ctx;

	fault_signo = sig;
	fault_code = si->si_code;
	fault_addr = si->si_addr;
	fault_trap = uc->uc_mcontext.gregs[REG_TRAPNO];
	fault_err = uc->uc_mcontext.gregs[REG_ERR];
	siglongjmp(back, 1);
}

#define FAULT(...) ({									\
	fault_signo = 0;								\
	if (!sigsetjmp(back, 1)) {							\
		__VA_ARGS__;								\
	}										\
	fault_signo;									\
})

TEST(fault_information)
{
	static const int sigs[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP };
	struct sigaction sa = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
	volatile char *p = private_pages(4);
	volatile int zero = 0, sink;
	volatile char *f;
	int fd;

	for (int i = 0; i < 5; i++)
		SYS(sigaction(sigs[i], &sa, NULL));
	EXPECT_EQ(FAULT(*at(16) = 1), SIGSEGV);
	EXPECT_EQ(fault_code, SEGV_MAPERR);
	EXPECT_EQ((uintptr_t)fault_addr, 16);
	EXPECT_EQ(fault_trap, 14);
	EXPECT_EQ(fault_err & 7, 6);		/* a write, by user, to what is not there */
	EXPECT_EQ(FAULT(sink = *at(16)), SIGSEGV);
	EXPECT_EQ(fault_err & 7, 4);
	SYS(mprotect((void *)p, PAGE, PROT_READ));
	sink = p[0];
	EXPECT_EQ(FAULT(p[3] = 1), SIGSEGV);
	EXPECT_EQ(fault_code, SEGV_ACCERR);
	EXPECT_EQ((uintptr_t)fault_addr, (uintptr_t)p + 3);
	EXPECT_EQ(fault_err & 7, 7);
	EXPECT_EQ(FAULT(*at(0x8000000000000000) = 1), SIGSEGV);
	EXPECT_EQ(fault_code, SI_KERNEL);
	EXPECT_EQ((uintptr_t)fault_addr, 0);
	EXPECT_EQ(FAULT(sink = 7 / zero), SIGFPE);
	EXPECT_EQ(fault_code, FPE_INTDIV);
	EXPECT_EQ(FAULT(asm volatile("ud2")), SIGILL);
	EXPECT_EQ(fault_code, ILL_ILLOPN);
	EXPECT_EQ(FAULT(asm volatile("int3")), SIGTRAP);
	EXPECT_EQ(FAULT(asm volatile("hlt")), SIGSEGV);
	EXPECT_EQ(fault_code, SI_KERNEL);
	fd = scratch_file("short", 5);
	f = mmap(NULL, 2 * PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	EXPECT_EQ(FAULT(sink = f[PAGE]), SIGBUS);
	EXPECT_EQ(fault_code, BUS_ADRERR);
	EXPECT_EQ((uintptr_t)fault_addr, (uintptr_t)f + PAGE);
	EXPECT_EQ(FAULT(((void (*)(void))(uintptr_t)p)()), SIGSEGV);
	EXPECT_EQ(fault_code, SEGV_ACCERR);
	(void)sink;
}

TEST(floating_point_fault)
{
	struct sigaction sa = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
	volatile double zero = 0, sink;
	unsigned int mxcsr = 0x1f80 & ~0x200;	/* division by zero is not masked */

	SYS(sigaction(SIGFPE, &sa, NULL));
	if (!FAULT(asm volatile("ldmxcsr %0" : : "m" (mxcsr)); sink = 1 / zero))
		SKIP("this CPU, an emulator's perhaps, does not raise the fault");
	EXPECT_EQ(fault_signo, SIGFPE);
	EXPECT_EQ(fault_code, FPE_FLTDIV);
	(void)sink;
}

/* A fault whose signal is blocked or ignored ends the process all the same. */
TEST(fault_cannot_be_ignored)
{
	DIES(CHILD(signal(SIGSEGV, SIG_IGN); *at(8) = 1), SIGSEGV);
	DIES(CHILD(handle(SIGSEGV, 0); block(SIGSEGV, 0); *at(8) = 1), SIGSEGV);
	DIES(CHILD(signal(SIGFPE, SIG_IGN); volatile int z = 0; z = 7 / z), SIGFPE);
	/* but one that was sent can be */
	EXITS(CHILD(signal(SIGSEGV, SIG_IGN); raise(SIGSEGV); _exit(3)), 3);
}

/* A handler whose stack cannot be written. */
TEST(bad_handler_stack)
{
	stack_t ss = { .ss_sp = private_pages(16), .ss_size = 16 * PAGE };

	DIES(CHILD({
		SYS(sigaltstack(&ss, NULL));
		handle(SIGUSR1, SA_ONSTACK);
		SYS(mprotect(ss.ss_sp, 16 * PAGE, PROT_READ));
		raise(SIGUSR1);
	}), SIGSEGV);
}

/* sigreturn with rubbish on the stack. */
TEST(bad_sigreturn)
{
	DIES(CHILD({
		signal(SIGSEGV, SIG_DFL);
		asm volatile("mov %0, %%rsp; mov %1, %%eax; syscall"
			     : : "r" (64L), "i" (SYS_rt_sigreturn));
	}), SIGSEGV);
}

/* A signal interrupts computation anywhere; nothing of the registers may be lost, vector registers neither. */
TEST(registers_survive)
{
	double begin = now();
	bool good = true;

	handle(SIGALRM, SA_RESTART);
	tick(1);
	while (count[SIGALRM] < 20 && now() < begin + 20) {
		double x[4] = { 1.5, 2.5, 3.5, 4.5 };
		long a = 1;
		long b = 2;

		for (int i = 0; i < 10000; i++)
			asm volatile("addq $1, %0; addq $2, %1" : "+r" (a), "+r" (b));
		for (int i = 0; i < 10000; i++)
			for (int k = 0; k < 4; k++)
				x[k] = x[k] * 1.0 + 1;
		good &= a == 10001 && b == 20002 && x[0] == 10001.5 && x[3] == 10004.5;
	}
	tick(0);
	EXPECT(good);
	EXPECT_GE(count[SIGALRM], 20);
}

static void clobber(int sig)
{
	/* everything that a handler may change */
	asm volatile("pxor %%xmm0, %%xmm0; pxor %%xmm7, %%xmm7; pxor %%xmm15, %%xmm15; fninit; xor %%r10, %%r10; xor %%r15, %%r15"
		     : : : "xmm0", "xmm7", "xmm15", "r10", "r15", "st");
	count[sig]++;
}

TEST(handler_cannot_lose_registers)
{
	struct sigaction sa = { .sa_handler = clobber };
	uint64_t v[3] = { 0x1111, 0x2222, 0x3333 }, got[3] = { 0 };

	SYS(sigaction(SIGUSR1, &sa, NULL));
	/* the signal is sent by this instruction's own system call: all of it is around it */
	asm volatile("movq %[a], %%xmm0\n\tmovq %[b], %%xmm7\n\tmovq %[c], %%xmm15\n\t"
		     "movl %[nr], %%eax\n\tsyscall\n\t"
		     "movq %%xmm0, %[x]\n\tmovq %%xmm7, %[y]\n\tmovq %%xmm15, %[z]"
		     : [x] "=m" (got[0]), [y] "=m" (got[1]), [z] "=m" (got[2])
		     : [a] "m" (v[0]), [b] "m" (v[1]), [c] "m" (v[2]), [nr] "i" (SYS_tgkill), "D" ((long)getpid()),
		       "S" ((long)gettid()), "d" ((long)SIGUSR1)
		     : "rax", "rcx", "r11", "xmm0", "xmm7", "xmm15", "memory");
	EXPECT_EQ(count[SIGUSR1], 1);
	EXPECT(got[0] == v[0] && got[1] == v[1] && got[2] == v[2]);
}

/* --- threads and groups ---------------------------------------------------------------------------------------------- */

static struct gate thread_ready, thread_go;
static volatile pid_t thread_tid;

static void *waiting_thread(void *arg)
{
	thread_tid = gettid();
	gate_open(thread_ready);
	gate_wait(thread_go);
	return NULL;
}

TEST(signal_to_a_thread)
{
	pthread_t t;

	thread_ready = gate_make();
	thread_go = gate_make();
	handle(SIGUSR1, SA_RESTART);
	ASSERT_EQ(pthread_create(&t, NULL, waiting_thread, NULL), 0);
	gate_wait(thread_ready);
	ASSERT_EQ(pthread_kill(t, SIGUSR1), 0);
	EXPECT(eventually(count[SIGUSR1] == 1));
	EXPECT_EQ(last_tid, thread_tid);
	raise(SIGUSR1);
	EXPECT_EQ(last_tid, gettid());
	/* blocked here: the process's signal goes to the thread that takes it */
	block(SIGUSR1, 0);
	SYS(kill(getpid(), SIGUSR1));
	EXPECT(eventually(count[SIGUSR1] == 3));
	EXPECT_EQ(last_tid, thread_tid);
	/* a thread's own signal waits in this thread */
	SYS(syscall(SYS_tgkill, getpid(), gettid(), SIGUSR1));
	EXPECT(is_pending(SIGUSR1));
	EXPECT_EQ(count[SIGUSR1], 3);
	unblock(SIGUSR1, 0);
	EXPECT_EQ(count[SIGUSR1], 4);
	gate_open(thread_go);
	pthread_join(t, NULL);
	EXPECT(eventually(syscall(SYS_tgkill, getpid(), thread_tid, 0) == -1 && errno == ESRCH));
}

static void *masked_thread(void *arg)
{
	sigset_t set = set_of(SIGUSR2, 0);
	siginfo_t si;

	return (void *)(intptr_t)sigwaitinfo(&set, &si);
}

/* The usual arrangement: all threads block, one waits. */
TEST(thread_waits_for_the_process_signal)
{
	pthread_t t;
	void *ret;

	block(SIGUSR2, 0);
	ASSERT_EQ(pthread_create(&t, NULL, masked_thread, NULL), 0);
	SYS(kill(getpid(), SIGUSR2));
	pthread_join(t, &ret);
	EXPECT_EQ((intptr_t)ret, SIGUSR2);
}

static void *fault_thread(void *arg)
{
	*at(8) = 1;
	return NULL;
}

TEST(fault_in_a_thread_ends_the_process)
{
	DIES(CHILD({
		pthread_t t;

		pthread_create(&t, NULL, fault_thread, NULL);
		for (;;)
			pause();
	}), SIGSEGV);
}

TEST(kill_a_group)
{
	pid_t leader, pid[3];
	struct gate ready = gate_make();

	leader = CHILD(setpgid(0, 0); gate_open(ready); for (;;) pause());
	gate_wait(ready);
	for (int i = 0; i < 3; i++) {
		pid[i] = CHILD(SYS(setpgid(0, leader)); gate_open(ready); for (;;) pause());
		gate_wait(ready);
	}
	EXPECT_EQ(kill(-leader, 0), 0);
	SYS(kill(-leader, SIGTERM));
	DIES(leader, SIGTERM);
	for (int i = 0; i < 3; i++)
		DIES(pid[i], SIGTERM);
	EXPECT_ERRNO(kill(-leader, 0), ESRCH);
}

/* kill(0) reaches the sender's own group, itself too, and nobody else. */
TEST(kill_own_group)
{
	struct gate ready = gate_make();
	pid_t other = CHILD(setpgid(0, 0); for (;;) pause());
	pid_t boss;

	setpgid(other, other);
	boss = CHILD({
		SYS(setpgid(0, 0));
		pid_t a = CHILD(gate_open(ready); for (;;) pause());
		pid_t b = CHILD(gate_open(ready); for (;;) pause());

		gate_wait(ready);
		gate_wait(ready);
		handle(SIGUSR1, 0);
		SYS(kill(0, SIGUSR1));
		EXPECT_EQ(count[SIGUSR1], 1);
		DIES(a, SIGUSR1);
		DIES(b, SIGUSR1);
	});
	EXITS(boss, 0);
	EXPECT_EQ(waitpid(other, NULL, WNOHANG), 0);
	SYS(kill(other, SIGKILL));
	DIES(other, SIGKILL);
}

/* Killed while it runs, while it sleeps, while it is stopped, with everything blocked. */
TEST(kill_always_works)
{
	struct gate ready = gate_make(), go = gate_make();
	sigset_t all;
	pid_t pid;
	int status;

	sigfillset(&all);
	pid = CHILD(sigprocmask(SIG_SETMASK, &all, NULL); gate_open(ready); for (;;) ;);
	gate_wait(ready);
	SYS(kill(pid, SIGKILL));
	DIES(pid, SIGKILL);
	pid = CHILD(sigprocmask(SIG_SETMASK, &all, NULL); gate_open(ready); for (;;) pause());
	gate_wait(ready);
	SYS(kill(pid, SIGSTOP));
	EXPECT_EQ(waitpid(pid, &status, WUNTRACED), pid);
	SYS(kill(pid, SIGKILL));
	DIES(pid, SIGKILL);
	/* one that waits for its vfork child dies before that has come back */
	pid = CHILD({
		if (!vfork()) {
			gate_open(ready);
			gate_wait(go);
			_exit(0);
		}
		_exit(1);
	});
	gate_wait(ready);
	SYS(kill(pid, SIGKILL));
	DIES(pid, SIGKILL);
	gate_open(go);
}

/* Many signals to a process that works: none of the queued kind is lost. */
TEST(signal_storm)
{
	struct gate ready = gate_make();
	volatile int *seen = shared_pages(1);
	pid_t pid;

	pid = CHILD({
		handle(SIGRTMIN, SA_RESTART);
		gate_open(ready);
		EXPECT(eventually(count[SIGRTMIN] == 2000));
		seen[0] = count[SIGRTMIN];
	});
	gate_wait(ready);
	for (int i = 0; i < 2000; i++)
		while (sigqueue(pid, SIGRTMIN, (union sigval){ .sival_int = i }))
			sched_yield();
	EXITS(pid, 0);
	EXPECT_EQ(seen[0], 2000);
}

TEST(sigaction_is_shared_by_threads_and_copied_by_fork)
{
	struct sigaction sa;

	handle(SIGUSR1, 0);
	EXITS(CHILD({
		raise(SIGUSR1);
		EXPECT_EQ(count[SIGUSR1], 1);
		signal(SIGUSR1, SIG_IGN);
	}), 0);
	SYS(sigaction(SIGUSR1, NULL, &sa));
	EXPECT(sa.sa_sigaction == on_info);
}
