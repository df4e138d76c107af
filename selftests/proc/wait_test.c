// SPDX-License-Identifier: MIT
/*
 * wait_test.c - wait4, waitid, zombies, orphans, and the account of what children used
 */
#include <pthread.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/times.h>
#include "proc.h"

static pid_t exiting(int code)
{
	return CHILD(_exit(code));
}

/* A child that waits to be killed. */
static pid_t pausing(void)
{
	return CHILD({
		for (;;)
			pause();
	});
}

TEST(wait_exit_codes)
{
	static const int codes[] = { 0, 1, 127, 128, 255 };

	for (int i = 0; i < 5; i++)
		EXITS(exiting(codes[i]), codes[i]);
	EXITS(exiting(256 + 7), 7);
	EXITS(exiting(-1), 255);
	EXITS(CHILD(syscall(SYS_exit, 300)), 300 & 255);
}

TEST(wait_signals)
{
	static const int sigs[] = { SIGHUP, SIGINT, SIGKILL, SIGTERM, SIGALRM, SIGUSR1, SIGPIPE, SIGIO };

	for (size_t i = 0; i < sizeof(sigs) / sizeof(sigs[0]); i++) {
		pid_t pid = pausing();

		SYS(kill(pid, sigs[i]));
		DIES(pid, sigs[i]);
	}
	DIES(CHILD(raise(SIGRTMIN + 3)), SIGRTMIN + 3);
	DIES(CHILD(signal(SIGABRT, SIG_DFL); abort()), SIGABRT);
}

TEST(wait_without_children)
{
	int status;

	EXPECT_ERRNO(waitpid(-1, &status, 0), ECHILD);
	EXPECT_ERRNO(waitpid(-1, &status, WNOHANG), ECHILD);
	EXPECT_ERRNO(waitpid(getpid(), &status, 0), ECHILD);
	EXPECT_ERRNO(waitpid(getppid(), &status, 0), ECHILD);
	EXPECT_ERRNO(waitpid(0x7ffffff, &status, 0), ECHILD);
	EXPECT_ERRNO(waitpid(-0x7ffffff, &status, 0), ECHILD);
	EXPECT_ERRNO(waitpid(-1, &status, 0x00100000), EINVAL);
	EXPECT_ERRNO(waitid(P_ALL, 0, NULL, 0), EINVAL);
	EXPECT_ERRNO(waitid(P_PID, -5, NULL, WEXITED), EINVAL);
	EXPECT_ERRNO(waitid(77, 1, NULL, WEXITED), EINVAL);
}

TEST(wait_nohang)
{
	struct gate go = gate_make();
	pid_t pid = CHILD(gate_wait(go));
	siginfo_t si;
	int status = 77;

	EXPECT_EQ(waitpid(pid, &status, WNOHANG), 0);
	EXPECT_EQ(waitpid(-1, &status, WNOHANG), 0);
	EXPECT_EQ(status, 77);
	memset(&si, 0x55, sizeof(si));
	EXPECT_EQ(waitid(P_ALL, 0, &si, WEXITED | WNOHANG), 0);
	EXPECT_EQ(si.si_pid, 0);
	EXPECT_EQ(si.si_signo, 0);
	gate_open(go);
	EXPECT(eventually(waitpid(pid, &status, WNOHANG) == pid));
	EXPECT_EQ(status, 0);
	EXPECT_ERRNO(waitpid(pid, &status, WNOHANG), ECHILD);
}

TEST(wait_bad_status_pointer)
{
	pid_t pid = exiting(0);

	EXPECT_ERRNO(waitpid(pid, (int *)8, 0), EFAULT);
}

TEST(waitid_information)
{
	siginfo_t si;
	pid_t pid;

	pid = exiting(9);
	SYS(waitid(P_PID, pid, &si, WEXITED));
	EXPECT_EQ(si.si_signo, SIGCHLD);
	EXPECT_EQ(si.si_code, CLD_EXITED);
	EXPECT_EQ(si.si_pid, pid);
	EXPECT_EQ(si.si_uid, getuid());
	EXPECT_EQ(si.si_status, 9);
	pid = pausing();
	SYS(kill(pid, SIGTERM));
	SYS(waitid(P_ALL, 0, &si, WEXITED));
	EXPECT_EQ(si.si_code, CLD_KILLED);
	EXPECT_EQ(si.si_status, SIGTERM);
	EXPECT_EQ(si.si_pid, pid);
	pid = exiting(1);
	SYS(waitid(P_PID, pid, NULL, WEXITED));
}

TEST(wait_nowait_leaves_it)
{
	pid_t pid = exiting(4);
	siginfo_t si;

	for (int i = 0; i < 3; i++) {
		memset(&si, 0, sizeof(si));
		SYS(waitid(P_PID, pid, &si, WEXITED | WNOWAIT));
		EXPECT_EQ(si.si_pid, pid);
		EXPECT_EQ(si.si_status, 4);
	}
	EXITS(pid, 4);
	EXPECT_ERRNO(waitid(P_PID, pid, &si, WEXITED | WNOWAIT), ECHILD);
}

TEST(wait_stop_and_continue)
{
	pid_t pid = pausing();
	siginfo_t si;
	int status;

	EXPECT_EQ(waitpid(pid, &status, WUNTRACED | WCONTINUED | WNOHANG), 0);
	SYS(kill(pid, SIGSTOP));
	EXPECT_EQ(waitpid(pid, &status, WUNTRACED), pid);
	EXPECT(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
	EXPECT_EQ(waitpid(pid, &status, WUNTRACED | WNOHANG), 0);	/* told once */
	SYS(kill(pid, SIGCONT));
	EXPECT_EQ(waitpid(pid, &status, WCONTINUED), pid);
	EXPECT(WIFCONTINUED(status));
	EXPECT_EQ(waitpid(pid, &status, WCONTINUED | WNOHANG), 0);
	SYS(kill(pid, SIGTSTP));
	SYS(waitid(P_PID, pid, &si, WSTOPPED | WNOWAIT));
	EXPECT_EQ(si.si_code, CLD_STOPPED);
	EXPECT_EQ(si.si_status, SIGTSTP);
	SYS(waitid(P_PID, pid, &si, WSTOPPED));
	EXPECT_EQ(si.si_pid, pid);
	SYS(kill(pid, SIGCONT));
	SYS(waitid(P_PID, pid, &si, WCONTINUED));
	EXPECT_EQ(si.si_code, CLD_CONTINUED);
	EXPECT_EQ(si.si_status, SIGCONT);
	/* a stopped one is not told to who did not ask, and dies by SIGKILL without being continued */
	SYS(kill(pid, SIGSTOP));
	SYS(waitid(P_PID, pid, &si, WSTOPPED | WNOWAIT));
	EXPECT_EQ(waitpid(pid, &status, WNOHANG), 0);
	SYS(kill(pid, SIGKILL));
	DIES(pid, SIGKILL);
}

TEST(wait_selectors)
{
	pid_t a, b, c, got;
	siginfo_t si;
	int status;

	a = CHILD(setpgid(0, 0); _exit(1));
	setpgid(a, a);
	b = CHILD(_exit(2));
	c = CHILD(setpgid(0, a); _exit(3));
	setpgid(c, a);
	/* own group: only b */
	EXPECT_EQ(waitpid(0, &status, 0), b);
	EXPECT_EQ(status, 2 << 8);
	EXPECT_ERRNO(waitpid(0, &status, 0), ECHILD);
	EXPECT_ERRNO(waitpid(-getpgrp(), &status, 0), ECHILD);
	SYS(waitid(P_PGID, a, &si, WEXITED));
	EXPECT(si.si_pid == a || si.si_pid == c);
	got = waitpid(-a, &status, 0);
	EXPECT_EQ(got, si.si_pid == a ? c : a);
	EXPECT_ERRNO(waitpid(-a, &status, 0), ECHILD);
	EXPECT_ERRNO(waitpid(-1, &status, 0), ECHILD);
}

TEST(wait_pidfd)
{
	struct gate go = gate_make();
	pid_t pid = CHILD(gate_wait(go); _exit(5));
	struct pollfd p = { .events = POLLIN };
	siginfo_t si;

	p.fd = SYS(syscall(SYS_pidfd_open, pid, 0));
	EXPECT_EQ(poll(&p, 1, 0), 0);
	gate_open(go);
	EXPECT_EQ(poll(&p, 1, 20000), 1);
	SYS(waitid(P_PIDFD, p.fd, &si, WEXITED));
	EXPECT_EQ(si.si_pid, pid);
	EXPECT_EQ(si.si_status, 5);
	EXPECT_ERRNO(syscall(SYS_pidfd_send_signal, p.fd, 0, NULL, 0), ESRCH);
}

TEST(wait_any_of_many)
{
	bool seen[64] = { false };
	pid_t first = 0, pid;
	int status;

	for (int i = 0; i < 64; i++) {
		pid = exiting(i);
		if (!first)
			first = pid;
	}
	for (int i = 0; i < 64; i++) {
		pid = wait(&status);
		EXPECT(pid >= first && WIFEXITED(status));
		EXPECT(!seen[WEXITSTATUS(status) & 63]);
		seen[WEXITSTATUS(status) & 63] = true;
	}
	EXPECT_ERRNO(wait(&status), ECHILD);
}

static void burn(double seconds)
{
	clock_t end = clock() + seconds * CLOCKS_PER_SEC;
	volatile int n = 0;

	while (clock() < end)
		for (int i = 0; i < 1000; i++)
			n++;
}

static double cpu(const struct rusage *u)
{
	return u->ru_utime.tv_sec + u->ru_stime.tv_sec + (u->ru_utime.tv_usec + u->ru_stime.tv_usec) / 1e6;
}

TEST(wait_resource_usage)
{
	struct rusage one, kids, before;
	struct tms t;
	pid_t pid;
	int status;

	SYS(getrusage(RUSAGE_CHILDREN, &before));
	EXPECT_EQ(before.ru_utime.tv_sec + before.ru_utime.tv_usec, 0);
	pid = CHILD({
		EXITS(CHILD(burn(0.1)), 0);
		burn(0.1);
	});
	EXPECT_EQ(wait4(pid, &status, 0, &one), pid);
	EXPECT_EQ(status, 0);
	SYS(getrusage(RUSAGE_CHILDREN, &kids));
	/* a child's account has what it reaped itself */
	if (cpu(&one) < 0.15 || cpu(&one) > 20)
		FAIL("child and grandchild used %f s", cpu(&one));
	EXPECT(cpu(&kids) >= cpu(&one) - 0.001);
	EXPECT(one.ru_maxrss > 0);
	times(&t);
	EXPECT(t.tms_cutime + t.tms_cstime >= 10);
	SYS(getrusage(RUSAGE_SELF, &one));
	EXPECT(one.ru_minflt > 0);
	EXPECT_ERRNO(getrusage(77, &one), EINVAL);
}

static void *burns(void *seconds)
{
	burn(*(double *)seconds);
	return NULL;
}

static double read_clock(clockid_t clock)
{
	struct timespec ts;

	SYS(clock_gettime(clock, &ts));
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* What is used counts in seconds of the clock on the wall, for who used it and nobody else. */
TEST(clocks_of_cpu_time)
{
	double begin = now(), used = read_clock(CLOCK_PROCESS_CPUTIME_ID), seconds = 0.05, mine;
	struct gate go = gate_make();
	struct timespec ts;
	clockid_t clock;
	int tries = 0;
	pthread_t t;
	pid_t pid;

	burn(0.05);
	used = read_clock(CLOCK_PROCESS_CPUTIME_ID) - used;
	if (used < 0.049 || used > now() - begin + 0.01)
		FAIL("used %f s in %f s", used, now() - begin);
	/* a thread that sleeps meanwhile; an emulator that is kept from running charges it now and then */
	do {
		mine = read_clock(CLOCK_THREAD_CPUTIME_ID);
		SYS(pthread_create(&t, NULL, burns, &seconds));
		EXPECT_EQ(pthread_getcpuclockid(t, &clock), 0);
		EXPECT(read_clock(clock) < now() - begin);
		SYS(pthread_join(t, NULL));
		mine = read_clock(CLOCK_THREAD_CPUTIME_ID) - mine;
	} while (mine > 0.04 && ++tries < 20);
	if (tries == 20)
		FAIL("%f s for making a thread and waiting for it", mine);
	EXPECT(read_clock(CLOCK_PROCESS_CPUTIME_ID) >= 0.098);
	/* other processes */
	pid = CHILD(burn(0.05); gate_open(go); for (;;) pause());
	gate_wait(go);
	EXPECT_EQ(clock_getcpuclockid(pid, &clock), 0);
	EXPECT(read_clock(clock) >= 0.049);
	SYS(clock_getres(clock, &ts));
	EXPECT(!ts.tv_sec && ts.tv_nsec > 0);
	SYS(kill(pid, SIGKILL));
	DIES(pid, SIGKILL);
	EXPECT_EQ(clock_getcpuclockid(pid, &clock), ESRCH);
	EXPECT_ERRNO(clock_gettime((clockid_t)-5, &ts), EINVAL);	/* of a descriptor that is none */
}

TEST(usage_of_unreaped_does_not_count)
{
	struct rusage u;
	siginfo_t si;
	pid_t pid = CHILD(burn(0.05));

	SYS(waitid(P_PID, pid, &si, WEXITED | WNOWAIT));
	SYS(getrusage(RUSAGE_CHILDREN, &u));
	EXPECT(cpu(&u) == 0);
	EXITS(pid, 0);
	SYS(getrusage(RUSAGE_CHILDREN, &u));
	EXPECT(cpu(&u) > 0.02);
}

TEST(zombie)
{
	pid_t pid = exiting(3);
	siginfo_t si;

	SYS(waitid(P_PID, pid, &si, WEXITED | WNOWAIT));
	EXPECT_EQ(kill(pid, 0), 0);
	EXPECT_EQ(kill(pid, SIGKILL), 0);
	EXPECT_EQ(getpgid(pid), getpgrp());
	EXPECT_EQ(getsid(pid), getsid(0));
	EXITS(pid, 3);
	EXPECT_ERRNO(kill(pid, 0), ESRCH);
	EXPECT_ERRNO(getpgid(pid), ESRCH);
}

TEST(ignored_sigchld_leaves_no_zombies)
{
	int status;

	for (int way = 0; way < 2; way++) {
		struct sigaction sa = { .sa_handler = SIG_IGN };

		if (way) {
			sa.sa_handler = SIG_DFL;
			sa.sa_flags = SA_NOCLDWAIT;
		}
		SYS(sigaction(SIGCHLD, &sa, NULL));
		for (int i = 0; i < 20; i++)
			exiting(i);
		/* waits for all of them, then says that there are none */
		EXPECT_ERRNO(waitpid(-1, &status, 0), ECHILD);
	}
}

static volatile sig_atomic_t chlds, chld_pid, chld_code, chld_status;

static void on_chld(int sig, siginfo_t *si, void *uc)
{
	chlds++;
	chld_pid = si->si_pid;
	chld_code = si->si_code;
	chld_status = si->si_status;
}

/* With SIGCHLD blocked but inside sigsuspend, no arrival is missed. */
static void until_chlds(int n)
{
	sigset_t none;

	sigemptyset(&none);
	while (chlds < n)
		sigsuspend(&none);
}

TEST(sigchld_information)
{
	struct sigaction sa = { .sa_sigaction = on_chld, .sa_flags = SA_SIGINFO };
	sigset_t chld;
	pid_t pid;

	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, NULL);
	SYS(sigaction(SIGCHLD, &sa, NULL));
	pid = exiting(6);
	until_chlds(1);
	EXPECT_EQ(chld_pid, pid);
	EXPECT_EQ(chld_code, CLD_EXITED);
	EXPECT_EQ(chld_status, 6);
	EXITS(pid, 6);
	pid = pausing();
	SYS(kill(pid, SIGSTOP));
	until_chlds(2);
	EXPECT_EQ(chld_code, CLD_STOPPED);
	EXPECT_EQ(chld_status, SIGSTOP);
	SYS(kill(pid, SIGCONT));
	until_chlds(3);
	EXPECT_EQ(chld_code, CLD_CONTINUED);
	SYS(kill(pid, SIGKILL));
	until_chlds(4);
	EXPECT_EQ(chld_code, CLD_KILLED);
	EXPECT_EQ(chld_status, SIGKILL);
	DIES(pid, SIGKILL);
	/* SA_NOCLDSTOP: only the end is told */
	sa.sa_flags |= SA_NOCLDSTOP;
	SYS(sigaction(SIGCHLD, &sa, NULL));
	pid = pausing();
	SYS(kill(pid, SIGSTOP));
	int status;
	EXPECT_EQ(waitpid(pid, &status, WUNTRACED), pid);
	EXPECT_EQ(chlds, 4);
	SYS(kill(pid, SIGKILL));
	until_chlds(5);
	EXPECT_EQ(chld_code, CLD_KILLED);
	DIES(pid, SIGKILL);
}

static void on_alarm(int sig)
{
}

/* The timer repeats, so that one which comes before the wait has begun does no harm. */
static void repeated_alarm(int flags)
{
	struct sigaction sa = { .sa_handler = on_alarm, .sa_flags = flags };
	struct itimerval it = { { 0, 20000 }, { 0, 20000 } };

	SYS(sigaction(SIGALRM, &sa, NULL));
	SYS(setitimer(ITIMER_REAL, &it, NULL));
}

TEST(wait_is_interrupted)
{
	struct itimerval off = { 0 };
	pid_t pid = pausing();
	int status;

	repeated_alarm(0);
	EXPECT_ERRNO(waitpid(pid, &status, 0), EINTR);
	SYS(setitimer(ITIMER_REAL, &off, NULL));
	SYS(kill(pid, SIGKILL));
	DIES(pid, SIGKILL);
}

TEST(wait_is_restarted)
{
	pid_t pid = CHILD({
		double end = now() + 0.2;

		while (now() < end)
			usleep(10000);
		_exit(8);
	});
	int status;

	repeated_alarm(SA_RESTART);
	EXPECT_EQ(waitpid(pid, &status, 0), pid);
	EXPECT_EQ(status, 8 << 8);
}

static volatile int *board;

/* An orphan belongs to the nearest ancestor that takes orphans, else to process 1. */
TEST(orphans_are_given_away)
{
	struct gate go = gate_make(), told = gate_make();
	pid_t middle;

	board = shared_pages(1);
	middle = CHILD({
		if (!SYS(fork())) {
			pid_t parent = getppid();

			gate_open(told);
			gate_wait(go);
			board[0] = eventually(getppid() != parent);
			gate_open(told);
			_exit(0);
		}
		gate_wait(told);
	});
	EXITS(middle, 0);
	gate_open(go);
	gate_wait(told);
	EXPECT_EQ(board[0], 1);
	EXPECT_ERRNO(waitpid(-1, NULL, 0), ECHILD);
}

TEST(subreaper)
{
	struct gate go = gate_make();
	int status, got = 0;
	pid_t middle;

	board = shared_pages(1);
	SYS(prctl(PR_SET_CHILD_SUBREAPER, 1));
	middle = CHILD({
		for (int i = 0; i < 3; i++)
			if (!SYS(fork())) {
				gate_wait(go);
				_exit(eventually(getppid() == board[0]) ? 20 + i : 1);
			}
	});
	board[0] = getpid();
	EXITS(middle, 0);
	for (int i = 0; i < 3; i++)
		gate_open(go);
	for (int i = 0; i < 3; i++) {
		EXPECT(waitpid(-1, &status, 0) > 0);
		EXPECT(WIFEXITED(status) && WEXITSTATUS(status) >= 20);
		got |= 1 << (WEXITSTATUS(status) - 20);
	}
	EXPECT_EQ(got, 7);
	EXPECT_ERRNO(waitpid(-1, &status, 0), ECHILD);
}

/* Zombies of a parent that dies go to the new parent as well. */
TEST(zombies_of_a_dead_parent)
{
	int status;
	pid_t middle;

	board = shared_pages(1);
	SYS(prctl(PR_SET_CHILD_SUBREAPER, 1));
	middle = CHILD({
		siginfo_t si;
		pid_t pid = exiting(31);

		SYS(waitid(P_PID, pid, &si, WEXITED | WNOWAIT));
		board[0] = pid;
	});
	EXITS(middle, 0);
	EXPECT_EQ(waitpid(-1, &status, 0), board[0]);
	EXPECT_EQ(status, 31 << 8);
}

TEST(parent_death_signal)
{
	struct gate ready = gate_make();
	int status;
	pid_t middle;

	board = shared_pages(1);
	SYS(prctl(PR_SET_CHILD_SUBREAPER, 1));
	middle = CHILD({
		board[0] = CHILD({
			SYS(prctl(PR_SET_PDEATHSIG, SIGUSR2));
			gate_open(ready);
			for (;;)
				pause();
		});
		gate_wait(ready);
	});
	EXITS(middle, 0);
	EXPECT_EQ(waitpid(-1, &status, 0), board[0]);
	EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR2);
	EXPECT_ERRNO(prctl(PR_SET_PDEATHSIG, 65), EINVAL);
	SYS(prctl(PR_SET_PDEATHSIG, SIGUSR1));
	SYS(prctl(PR_GET_PDEATHSIG, &status));
	EXPECT_EQ(status, SIGUSR1);
	EXITS(CHILD(SYS(prctl(PR_GET_PDEATHSIG, &status)); EXPECT_EQ(status, 0)), 0);
}

static void *wait_thread(void *arg)
{
	int status;
	pid_t pid = waitpid(-1, &status, 0);

	return (void *)(intptr_t)(pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

TEST(several_threads_wait)
{
	struct gate go[3];
	pthread_t t[3];
	int seen = 0;
	void *ret;

	for (int i = 0; i < 3; i++) {
		go[i] = gate_make();
		CHILD(gate_wait(go[i]); _exit(i));
	}
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, wait_thread, NULL), 0);
	for (int i = 0; i < 3; i++)
		gate_open(go[i]);
	for (int i = 0; i < 3; i++) {
		pthread_join(t[i], &ret);
		seen |= 1 << (intptr_t)ret;
	}
	EXPECT_EQ(seen, 7);
}

static void *forking_thread(void *arg)
{
	*(pid_t *)arg = exiting(14);
	return NULL;
}

/* A child belongs to the process, not to the thread that made it. */
TEST(child_of_another_thread)
{
	pthread_t t;
	pid_t pid;

	ASSERT_EQ(pthread_create(&t, NULL, forking_thread, &pid), 0);
	pthread_join(t, NULL);
	EXITS(pid, 14);
}

/* The parent ends while its many children do; nobody is left over and nobody is counted twice. */
TEST(everybody_ends_at_once)
{
	int status, left = 0;

	SYS(prctl(PR_SET_CHILD_SUBREAPER, 1));
	for (int round = 0; round < 10; round++) {
		struct gate go = gate_make();
		pid_t middle = CHILD({
			for (int i = 0; i < 20; i++)
				if (!SYS(fork())) {
					char c;

					close(go.fd[1]);
					ASSERT_EQ(read(go.fd[0], &c, 1), 0);
					_exit(1);
				}
			_exit(2);
		});

		close(go.fd[1]);
		close(go.fd[0]);
		left = 21;
		for (pid_t pid; (pid = waitpid(-1, &status, 0)) > 0; left--)
			EXPECT_EQ(status, (pid == middle ? 2 : 1) << 8);
		EXPECT_EQ(left, 0);
	}
}
