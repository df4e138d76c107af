// SPDX-License-Identifier: MIT
/*
 * event_test.c - timers of timer_create(), signals that are read from a descriptor, descriptors of
 * processes; and waiting for these together with files, which the guest kernel leaves to Linux
 */
#include <linux/sched.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include "proc.h"

#ifndef PIDFD_NONBLOCK
#define PIDFD_NONBLOCK	O_NONBLOCK
#endif
#ifndef P_PIDFD
#define P_PIDFD		3
#endif

static void block_signals(int a, int b)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, a);
	sigaddset(&set, b);
	SYS(sigprocmask(SIG_BLOCK, &set, NULL));
}

static int sigwait_for(int sig, siginfo_t *si)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	return sigwaitinfo(&set, si);
}

/* --- timers ------------------------------------------------------------------------------------- */

static int make(int clock, int notify, int sig, void *value)
{
	struct sigevent ev = { .sigev_notify = notify, .sigev_signo = sig, .sigev_value.sival_ptr = value };
	int id = -1;

	SYS(syscall(SYS_timer_create, clock, &ev, &id));
	return id;
}

static struct itimerspec spec(long first_ms, long then_ms)
{
	return (struct itimerspec){ .it_value = { first_ms / 1000, first_ms % 1000 * 1000000 },
				    .it_interval = { then_ms / 1000, then_ms % 1000 * 1000000 } };
}

static void set_timer(int id, long first_ms, long then_ms)
{
	struct itimerspec s = spec(first_ms, then_ms);

	SYS(syscall(SYS_timer_settime, id, 0, &s, NULL));
}

TEST(timer_signal)
{
	double begin = now();
	struct itimerspec left;
	siginfo_t si;
	int id;

	block_signals(SIGRTMIN + 1, SIGALRM);
	id = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN + 1, &begin);
	SYS(syscall(SYS_timer_gettime, id, &left));
	EXPECT_EQ(left.it_value.tv_sec + left.it_value.tv_nsec, 0);
	set_timer(id, 50, 0);
	SYS(syscall(SYS_timer_gettime, id, &left));
	EXPECT(left.it_value.tv_sec == 0 && left.it_value.tv_nsec <= 50000000);
	EXPECT_EQ(sigwait_for(SIGRTMIN + 1, &si), SIGRTMIN + 1);
	EXPECT(now() - begin >= 0.05);
	EXPECT_EQ(si.si_code, SI_TIMER);
	EXPECT_EQ(si.si_timerid, id);
	EXPECT_EQ(si.si_overrun, 0);
	EXPECT(si.si_ptr == &begin);
	SYS(syscall(SYS_timer_gettime, id, &left));
	EXPECT_EQ(left.it_value.tv_sec + left.it_value.tv_nsec, 0);
	EXPECT_EQ(syscall(SYS_timer_delete, id), 0);
	EXPECT_ERRNO(syscall(SYS_timer_delete, id), EINVAL);
	EXPECT_ERRNO(syscall(SYS_timer_gettime, id, &left), EINVAL);
	EXPECT_ERRNO(syscall(SYS_timer_getoverrun, id), EINVAL);
	/* without an event it is SIGALRM, with the timer's number; at a time, which is over already */
	SYS(syscall(SYS_timer_create, CLOCK_REALTIME, NULL, &id));
	left = spec(1, 0);
	SYS(syscall(SYS_timer_settime, id, TIMER_ABSTIME, &left, NULL));
	EXPECT_EQ(sigwait_for(SIGALRM, &si), SIGALRM);
	EXPECT_EQ(si.si_code, SI_TIMER);
	EXPECT_EQ(si.si_int, id);
}

TEST(timer_overrun)
{
	struct itimerspec left;
	double begin = now();
	siginfo_t si;
	int id, n = 0, first;

	block_signals(SIGUSR1, SIGUSR2);
	id = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR1, NULL);
	set_timer(id, 10, 10);
	usleep(105000);
	EXPECT_EQ(sigwait_for(SIGUSR1, &si), SIGUSR1);
	first = si.si_overrun;
	/* that many were missed: as the clock has it, and no more */
	EXPECT_GE(first, 9);
	EXPECT(first <= (now() - begin) / 0.01);
	EXPECT_EQ(syscall(SYS_timer_getoverrun, id), first);
	for (; n < 5; n++) {
		EXPECT_EQ(sigwait_for(SIGUSR1, &si), SIGUSR1);
		first += 1 + si.si_overrun;
	}
	EXPECT(first + 1 <= (now() - begin) / 0.01 + 1);
	SYS(syscall(SYS_timer_gettime, id, &left));
	EXPECT_EQ(left.it_interval.tv_nsec, 10000000);
	set_timer(id, 0, 0);
}

TEST(timer_of_a_thread_and_of_nobody)
{
	struct sigevent ev = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1 };
	struct itimerspec left;
	siginfo_t si;
	double begin;
	int id;

	block_signals(SIGUSR1, SIGUSR2);
	ev._sigev_un._tid = gettid();
	SYS(syscall(SYS_timer_create, CLOCK_MONOTONIC, &ev, &id));
	set_timer(id, 5, 0);
	EXPECT_EQ(sigwait_for(SIGUSR1, &si), SIGUSR1);
	EXPECT_EQ(si.si_code, SI_TIMER);
	ev._sigev_un._tid = getppid();
	EXPECT_ERRNO(syscall(SYS_timer_create, CLOCK_MONOTONIC, &ev, &id), EINVAL);
	id = make(CLOCK_MONOTONIC, SIGEV_NONE, 0, NULL);
	set_timer(id, 20, 0);
	EXPECT(eventually((SYS(syscall(SYS_timer_gettime, id, &left)),
			   left.it_value.tv_sec + left.it_value.tv_nsec == 0)));
	begin = now();
	set_timer(id, 20, 100000);
	usleep(30000);
	SYS(syscall(SYS_timer_gettime, id, &left));
	EXPECT(left.it_value.tv_sec + (now() - begin) > 90);
}

TEST(timer_arguments)
{
	struct sigevent ev = { .sigev_notify = 7, .sigev_signo = SIGUSR1 };
	struct itimerspec s = spec(1, 0);
	int id;

	EXPECT_ERRNO(syscall(SYS_timer_create, CLOCK_MONOTONIC, &ev, &id), EINVAL);
	ev.sigev_notify = SIGEV_SIGNAL;
	ev.sigev_signo = 65;
	EXPECT_ERRNO(syscall(SYS_timer_create, CLOCK_MONOTONIC, &ev, &id), EINVAL);
	ev.sigev_signo = SIGUSR1;
	EXPECT_ERRNO(syscall(SYS_timer_create, 12345, &ev, &id), EINVAL);
	EXPECT_ERRNO(syscall(SYS_timer_create, CLOCK_MONOTONIC, &ev, (int *)8), EFAULT);
	EXPECT_ERRNO(syscall(SYS_timer_settime, 999, 0, &s, NULL), EINVAL);
	SYS(syscall(SYS_timer_create, CLOCK_MONOTONIC, &ev, &id));
	s.it_value.tv_nsec = 1000000000;
	EXPECT_ERRNO(syscall(SYS_timer_settime, id, 0, &s, NULL), EINVAL);
	EXPECT_ERRNO(syscall(SYS_timer_settime, id, 0, NULL, NULL), EINVAL);
	EXPECT_ERRNO(syscall(SYS_timer_settime, id, 0, (void *)8, NULL), EFAULT);
	/* a child has none */
	EXITS(CHILD(EXPECT_ERRNO(syscall(SYS_timer_delete, id), EINVAL)), 0);
}

/* Ignored signals cost nothing; when they are not ignored any more, they come. */
TEST(timer_ignored_and_deleted)
{
	siginfo_t si;
	sigset_t set;
	int id;

	signal(SIGUSR1, SIG_IGN);
	id = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR1, NULL);
	set_timer(id, 1, 1);
	usleep(20000);
	block_signals(SIGUSR1, SIGUSR2);
	EXPECT_EQ(sigwait_for(SIGUSR1, &si), SIGUSR1);
	/* deleted with its signal pending: that one comes, and no other */
	EXPECT(eventually((sigpending(&set), sigismember(&set, SIGUSR1))));
	SYS(syscall(SYS_timer_delete, id));
	signal(SIGUSR1, SIG_DFL);
	for (int i = 0; i < 20; i++) {
		struct timespec none = { 0, 0 };

		sigemptyset(&set);
		sigaddset(&set, SIGUSR1);
		if (sigtimedwait(&set, &si, &none) < 0)
			break;
		EXPECT_EQ(i, 0);
	}
	/* many, some running, none deleted: the process ends all the same */
	EXITS(CHILD({
		for (int i = 0; i < 50; i++)
			set_timer(make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR1, NULL), 1 + i, i);
		usleep(5000);
	}), 0);
}

static volatile sig_atomic_t ticks;

static void on_tick(int sig)
{
	ticks++;
}

TEST(timer_beside_work)
{
	struct timespec t = { 0, 1000000 };
	int id;

	signal(SIGUSR1, on_tick);
	id = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR1, NULL);
	set_timer(id, 2, 2);
	EXPECT(eventually(ticks >= 10));
	while (ticks < 20)
		nanosleep(&t, NULL);
	SYS(syscall(SYS_timer_delete, id));
}

/* --- signals from a descriptor ------------------------------------------------------------------ */

static int sigfd(int a, int b, int flags)
{
	sigset_t set;

	block_signals(a, b);
	sigemptyset(&set);
	sigaddset(&set, a);
	sigaddset(&set, b);
	return SYS(signalfd(-1, &set, flags));
}

TEST(signalfd_reads)
{
	struct signalfd_siginfo si[4];
	int fd = sigfd(SIGUSR1, SIGRTMIN, SFD_NONBLOCK | SFD_CLOEXEC);
	sigset_t set;
	pid_t pid;

	EXPECT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	EXPECT(fcntl(fd, F_GETFL) & O_NONBLOCK);
	EXPECT_ERRNO(read(fd, si, sizeof(si)), EAGAIN);
	EXPECT_ERRNO(read(fd, si, 127), EINVAL);
	EXPECT_ERRNO(write(fd, si, sizeof(si)), EINVAL);
	SYS(sigqueue(getpid(), SIGRTMIN, (union sigval){ .sival_int = 7 }));
	SYS(sigqueue(getpid(), SIGRTMIN, (union sigval){ .sival_int = 8 }));
	SYS(kill(getpid(), SIGUSR1));
	memset(si, 0xff, sizeof(si));
	EXPECT_EQ(read(fd, si, sizeof(si)), 3 * sizeof(si[0]));
	EXPECT_EQ(si[0].ssi_signo, SIGUSR1);
	EXPECT_EQ(si[0].ssi_code, SI_USER);
	EXPECT_EQ(si[0].ssi_pid, getpid());
	EXPECT_EQ(si[1].ssi_signo, SIGRTMIN);
	EXPECT_EQ(si[1].ssi_code, SI_QUEUE);
	EXPECT_EQ(si[1].ssi_int, 7);
	EXPECT_EQ(si[2].ssi_int, 8);
	/* another mask for the same descriptor */
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	SYS(sigprocmask(SIG_BLOCK, &set, NULL));
	EXPECT_EQ(signalfd(fd, &set, 0), fd);
	SYS(kill(getpid(), SIGUSR1));
	EXPECT_ERRNO(read(fd, si, sizeof(si)), EAGAIN);
	pid = CHILD(_exit(5));
	SYS(fcntl(fd, F_SETFL, 0));
	EXPECT_EQ(read(fd, si, sizeof(si)), sizeof(si[0]));	/* waits */
	EXPECT_EQ(si[0].ssi_signo, SIGCHLD);
	EXPECT_EQ(si[0].ssi_code, CLD_EXITED);
	EXPECT_EQ(si[0].ssi_status, 5);
	EXPECT_EQ(si[0].ssi_pid, pid);
	EXITS(pid, 5);
	EXPECT_ERRNO(signalfd(0, &set, 0), EINVAL);
	EXPECT_ERRNO(signalfd(99, &set, 0), EBADF);
	EXPECT_ERRNO(signalfd(-1, &set, 1), EINVAL);
}

TEST(signalfd_belongs_to_the_reader)
{
	int fd = sigfd(SIGUSR1, SIGUSR2, SFD_NONBLOCK);
	struct signalfd_siginfo si;

	SYS(kill(getpid(), SIGUSR1));
	EXITS(CHILD({
		EXPECT_ERRNO(read(fd, &si, sizeof(si)), EAGAIN);
		SYS(kill(getpid(), SIGUSR2));
		EXPECT_EQ(read(fd, &si, sizeof(si)), sizeof(si));
		EXPECT_EQ(si.ssi_signo, SIGUSR2);
	}), 0);
	EXPECT_EQ(read(fd, &si, sizeof(si)), sizeof(si));
	EXPECT_EQ(si.ssi_signo, SIGUSR1);
}

static short polled(int fd, short events, int ms)
{
	struct pollfd p = { fd, events, 0 };

	return SYS(poll(&p, 1, ms)) ? p.revents : 0;
}

/* With a file of Linux beside it: the wait is made there. */
static short polled_beside(int fd, int file, int ms)
{
	struct pollfd p[2] = { { fd, POLLIN | POLLOUT, 0 }, { file, POLLPRI, 0 } };

	return SYS(poll(p, 2, ms)) ? p[0].revents : 0;
}

TEST(signalfd_polls)
{
	int fd = sigfd(SIGUSR1, SIGUSR2, SFD_NONBLOCK), ep = SYS(epoll_create1(0)), sock[2];
	struct epoll_event ev = { .events = EPOLLIN, .data.fd = fd };
	struct signalfd_siginfo si;
	pid_t parent = getpid(), pid;

	SYS(socketpair(AF_UNIX, SOCK_STREAM, 0, sock));
	for (int k = 0; k < 3; k++) {
		EXPECT_EQ(polled(fd, POLLIN | POLLOUT, 0), 0);
		EXPECT_EQ(polled_beside(fd, sock[0], 0), 0);
		pid = CHILD(SYS(kill(parent, SIGUSR1)));
		EXPECT_EQ(k & 1 ? polled(fd, POLLIN | POLLOUT, -1) : polled_beside(fd, sock[0], -1), POLLIN);
		EXITS(pid, 0);
		EXPECT_EQ(polled(fd, POLLIN, 0), POLLIN);
		EXPECT_EQ(polled_beside(fd, sock[0], 0), POLLIN);
		EXPECT_EQ(read(fd, &si, sizeof(si)), sizeof(si));
	}
	SYS(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev));
	for (int k = 0; k < 3; k++) {
		EXPECT_EQ(epoll_wait(ep, &ev, 1, 0), 0);
		pid = CHILD(SYS(kill(parent, k & 1 ? SIGUSR1 : SIGUSR2)));
		EXPECT_EQ(epoll_wait(ep, &ev, 1, -1), 1);
		EXPECT_EQ(ev.data.fd, fd);
		EXPECT_EQ(epoll_wait(ep, &ev, 1, 0), 1);	/* still there */
		EXPECT_EQ(read(fd, &si, sizeof(si)), sizeof(si));
		EXITS(pid, 0);
	}
	/* taken in another way */
	SYS(kill(parent, SIGUSR1));
	EXPECT_EQ(epoll_wait(ep, &ev, 1, 0), 1);
	signal(SIGUSR1, SIG_IGN);
	EXPECT_EQ(epoll_wait(ep, &ev, 1, 0), 0);
	/* a child polls for its own signals */
	SYS(kill(parent, SIGUSR2));
	EXITS(CHILD({
		EXPECT_EQ(polled_beside(fd, sock[0], 0), 0);
		SYS(kill(getpid(), SIGUSR2));
		EXPECT_EQ(polled_beside(fd, sock[0], 0), POLLIN);
	}), 0);
	SYS(epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL));
	close(fd);
}

/* --- descriptors of processes ------------------------------------------------------------------- */

static int pidfd(pid_t pid, int flags)
{
	return syscall(SYS_pidfd_open, pid, flags);
}

static pid_t until(struct gate g)
{
	return CHILD(gate_wait(g); _exit(9));
}

TEST(pidfd_tells_of_the_end)
{
	struct gate go = gate_make();
	pid_t pid = until(go);
	int fd = SYS(pidfd(pid, 0)), other = SYS(pidfd(pid, 0)), sock[2], ep = SYS(epoll_create1(0));
	struct epoll_event ev = { .events = EPOLLIN };
	siginfo_t si;

	SYS(socketpair(AF_UNIX, SOCK_STREAM, 0, sock));
	EXPECT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	EXPECT_EQ(polled(fd, POLLIN | POLLOUT, 0), 0);
	EXPECT_EQ(polled_beside(fd, sock[0], 0), 0);
	SYS(epoll_ctl(ep, EPOLL_CTL_ADD, other, &ev));
	EXPECT_EQ(epoll_wait(ep, &ev, 1, 0), 0);
	EXPECT_ERRNO(read(fd, &si, sizeof(si)), EINVAL);
	gate_open(go);
	EXPECT_EQ(polled(fd, POLLIN | POLLOUT, -1), POLLIN);
	EXPECT_EQ(polled_beside(fd, sock[0], -1), POLLIN);
	EXPECT_EQ(epoll_wait(ep, &ev, 1, -1), 1);
	EXPECT_EQ(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0), 0);	/* it is a zombie */
	SYS(waitid(P_PIDFD, fd, &si, WEXITED | WNOWAIT));
	EXPECT_EQ(si.si_pid, pid);
	EXPECT_EQ(si.si_status, 9);
	SYS(waitid(P_PIDFD, fd, &si, WEXITED));
	EXPECT_ERRNO(waitid(P_PIDFD, fd, &si, WEXITED), ECHILD);
	EXPECT_ERRNO(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0), ESRCH);
	EXPECT_EQ(polled(other, POLLIN, 0), POLLIN);
	/* one that sleeps in a poll of its own while the process ends */
	go = gate_make();
	pid = until(go);
	fd = SYS(pidfd(pid, 0));
	EXITS(CHILD(gate_open(go); EXPECT_EQ(polled(fd, POLLIN, -1), POLLIN)), 0);
	EXITS(pid, 9);
}

TEST(pidfd_rules)
{
	struct gate go = gate_make();
	pid_t pid = until(go);
	int fd = SYS(pidfd(pid, PIDFD_NONBLOCK)), self = SYS(pidfd(getpid(), 0));
	siginfo_t si = { .si_signo = SIGUSR1, .si_code = SI_QUEUE };

	EXPECT_ERRNO(pidfd(0, 0), EINVAL);
	EXPECT_ERRNO(pidfd(-1, 0), EINVAL);
	EXPECT_ERRNO(pidfd(0x7ffffff, 0), ESRCH);
	EXPECT_ERRNO(pidfd(pid, 1), EINVAL);
	EXPECT_ERRNO(waitid(P_PIDFD, fd, &si, WEXITED), EAGAIN);
	EXPECT_ERRNO(waitid(P_PIDFD, self, &si, WEXITED), ECHILD);
	EXPECT_ERRNO(waitid(P_PIDFD, 0, &si, WEXITED), EBADF);
	EXPECT_ERRNO(syscall(SYS_pidfd_send_signal, 0, SIGUSR1, NULL, 0), EBADF);
	EXPECT_ERRNO(syscall(SYS_pidfd_send_signal, fd, SIGUSR1, NULL, 1), EINVAL);
	EXPECT_ERRNO(syscall(SYS_pidfd_send_signal, fd, 70, NULL, 0), EINVAL);
	si.si_signo = SIGUSR2;
	si.si_code = SI_QUEUE;
	EXPECT_ERRNO(syscall(SYS_pidfd_send_signal, fd, SIGUSR1, &si, 0), EINVAL);
	si.si_code = SI_USER;
	EXPECT_ERRNO(syscall(SYS_pidfd_send_signal, fd, SIGUSR2, &si, 0), EPERM);
	block_signals(SIGUSR1, SIGUSR2);
	SYS(syscall(SYS_pidfd_send_signal, self, SIGUSR1, NULL, 0));
	EXPECT_EQ(sigwait_for(SIGUSR1, &si), SIGUSR1);
	EXPECT_EQ(si.si_pid, getpid());
	SYS(syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0));
	DIES(pid, SIGKILL);
}

TEST(pidfd_of_a_clone)
{
	struct clone_args a = { .flags = CLONE_PIDFD, .exit_signal = SIGCHLD };
	struct gate go = gate_make();
	int fd = -1, old = -1;
	siginfo_t si;
	pid_t pid;

	a.pidfd = (uintptr_t)&fd;
	pid = SYS(syscall(SYS_clone3, &a, sizeof(a)));
	if (!pid) {
		/* the number is the parent's, not the child's */
		for (int i = 3; i < 100; i++) {
			char path[32], to[64] = "";

			snprintf(path, sizeof(path), "/proc/self/fd/%d", i);
			if (readlink(path, to, sizeof(to) - 1) > 0 && strstr(to, "pidfd"))
				_exit(1);
		}
		_exit(0);
	}
	EXPECT(fd >= 0);
	SYS(waitid(P_PIDFD, fd, &si, WEXITED));
	EXPECT_EQ(si.si_pid, pid);
	EXPECT_EQ(si.si_status, 0);
	pid = SYS(syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, 0, &old, 0, 0));
	if (!pid) {
		gate_wait(go);
		_exit(4);
	}
	EXPECT(old >= 0 && old != fd);
	EXPECT_EQ(polled(old, POLLIN, 0), 0);
	gate_open(go);
	EXPECT_EQ(polled(old, POLLIN, -1), POLLIN);
	EXITS(pid, 4);
	EXPECT_ERRNO(syscall(SYS_clone, CLONE_PIDFD | CLONE_PARENT_SETTID | SIGCHLD, 0, &old, 0, 0), EINVAL);
	EXPECT_ERRNO(syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, 0, 8, 0, 0), EFAULT);
	EXPECT_ERRNO(wait(NULL), ECHILD);	/* there was no child then */
}
