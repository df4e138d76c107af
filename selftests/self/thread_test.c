// SPDX-License-Identifier: MIT
/*
 * Threads and processes: made, signalled and ended inside, in every combination of inside and outside.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/close_range.h>
#include "inside.h"

extern char **environ;

static int ring_of(enum where where)
{
	return where == NATIVE ? -1 : where == RING3 ? 3 : 0;
}

static void *say_where(void *arg)
{
	return (void *)(intptr_t)rs_inside();
}

static void create(pthread_t *t, void *(*fn)(void *), void *arg)
{
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 64 << 10);
	ASSERT_EQ(pthread_create(t, &attr, fn, arg), 0);
	pthread_attr_destroy(&attr);
}

EVERYWHERE(thousands_of_threads)
{
	struct rs_self_stats st;
	pthread_t t[8];
	void *ret;
	int i, k;

	go_in(where);
	for (i = 0; i < 300; i++) {
		for (k = 0; k < 8; k++)
			create(&t[k], say_where, NULL);
		for (k = 0; k < 8; k++) {
			EXPECT_EQ(pthread_join(t[k], &ret), 0);
			EXPECT_EQ((intptr_t)ret, ring_of(where));
		}
	}
	expect_inside(where);
	if (where == NATIVE)
		return;
	EXPECT_EQ(rs_self_stats(&st), 0);
	EXPECT_EQ(st.threads_outside, 0);
	EXPECT_EQ(st.enters, 2401);
	EXPECT_EQ(st.leaves, 2400);
}

static pthread_barrier_t barrier;
static _Atomic int handled, inside_count, outside_count;

static void on_usr1(int sig)
{
	handled++;
}

static void *meet(void *arg)
{
	if (rs_inside() >= 0)
		inside_count++;
	else
		outside_count++;
	pthread_barrier_wait(&barrier);	/* all are there */
	pthread_barrier_wait(&barrier);	/* all have been signalled */
	return NULL;
}

/* More threads than vCPUs: the rest is outside, and as good a thread. */
EVERYWHERE(more_threads_than_vcpus)
{
	struct sigaction sa = { .sa_handler = on_usr1, .sa_flags = SA_RESTART };
	struct rs_self_stats st;
	pthread_t t[100], u;
	void *ret;
	int i;

	go_in(where);
	SYS(sigaction(SIGUSR1, &sa, NULL));
	pthread_barrier_init(&barrier, NULL, 101);
	for (i = 0; i < 100; i++)
		create(&t[i], meet, NULL);
	pthread_barrier_wait(&barrier);
	for (i = 0; i < 100; i++)
		EXPECT_EQ(pthread_kill(t[i], SIGUSR1), 0);
	pthread_barrier_wait(&barrier);
	for (i = 0; i < 100; i++)
		EXPECT_EQ(pthread_join(t[i], NULL), 0);
	EXPECT_EQ(handled, 100);
	if (where == NATIVE) {
		EXPECT_EQ(outside_count, 100);
		return;
	}
	EXPECT_EQ(inside_count, 63);
	EXPECT_EQ(outside_count, 37);
	EXPECT_EQ(rs_self_stats(&st), 0);
	EXPECT_EQ(st.threads_outside, 37);
	create(&u, say_where, NULL);
	EXPECT_EQ(pthread_join(u, &ret), 0);
	EXPECT_EQ((intptr_t)ret, ring_of(where));
}

static void *sleep_for_ever(void *arg)
{
	int *p = arg;
	char c;

	pthread_barrier_wait(&barrier);
	return (void *)(intptr_t)read(p[0], &c, 1);
}

static void *spin_for_ever(void *arg)
{
	pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	pthread_barrier_wait(&barrier);
	for (;;)
		__asm__ volatile("");
	return NULL;
}

EVERYWHERE(cancelled_threads)
{
	pthread_t t;
	void *ret;
	int i, p[2];

	go_in(where);
	SYS(pipe(p));
	for (i = 0; i < 20; i++) {
		pthread_barrier_init(&barrier, NULL, 2);
		create(&t, i & 1 ? spin_for_ever : sleep_for_ever, p);
		pthread_barrier_wait(&barrier);
		EXPECT_EQ(pthread_cancel(t), 0);
		EXPECT_EQ(pthread_join(t, &ret), 0);
		EXPECT(ret == PTHREAD_CANCELED);
	}
	expect_inside(where);
}

static _Atomic int detached;

static void *count_and_end(void *arg)
{
	detached++;
	return NULL;
}

EVERYWHERE(detached_threads)
{
	pthread_t t;
	int i;

	go_in(where);
	for (i = 0; i < 200; i++) {
		create(&t, count_and_end, NULL);
		pthread_detach(t);
		while (detached <= i)
			sched_yield();
	}
	EXPECT_EQ(detached, 200);
}

static void *exit_process(void *arg)
{
	exit(17);
}

static void *exit_later(void *arg)
{
	/* until the first thread is gone: a thread of its number no longer takes signals */
	while (syscall(SYS_tgkill, getpid(), getpid(), 0) == 0 && *(volatile int *)arg == 0)
		sched_yield();
	exit(18);
}

EVERYWHERE(exits)
{
	static int gone;
	int status, i;

	for (i = 0; i < 10; i++) {
		pid_t pid = SYS(fork());

		if (!pid) {
			pthread_t t;

			go_in(where);
			if (i & 1) {
				create(&t, exit_process, NULL);
				for (;;)
					pause();
			}
			create(&t, exit_later, &gone);
			gone = 1;
			pthread_exit(NULL);
		}
		SYS(waitpid(pid, &status, 0));
		EXPECT_EQ(status, (i & 1 ? 17 : 18) << 8);
	}
}

static void *execute(void *arg)
{
	execl("/proc/self/exe", "rs-self-test", "-l", NULL);
	_exit(98);
}

EVERYWHERE(exec_from_a_thread)
{
	char buf[4096];
	int status, p[2];
	ssize_t n;
	pid_t pid;

	SYS(pipe(p));
	pid = SYS(fork());
	if (!pid) {
		pthread_t t;

		go_in(where);
		dup2(p[1], 1);
		create(&t, execute, NULL);
		for (;;)
			pause();
	}
	close(p[1]);
	n = read(p[0], buf, sizeof(buf));
	EXPECT_GE(n, 10);
	while (read(p[0], buf, sizeof(buf)) > 0)
		;
	SYS(waitpid(pid, &status, 0));
	EXPECT_EQ(status, 0);
}

/* --- children --- */

EVERYWHERE(children)
{
	int shared = 1, status, i;
	volatile int on_stack = 5;
	pid_t pid;

	go_in(where);
	for (i = 0; i < 5; i++) {
		pid = SYS(fork());
		if (!pid) {
			/* Outside, with copies of everything; either ring is open to it. */
			EXPECT_EQ(rs_inside(), -1);
			shared = 2;
			if (where != NATIVE) {
				unsigned int flags = i & 1 ? RS_ENTER_RING0 : 0;

				EXPECT_EQ(rs_enter(flags), 0);
				EXPECT_EQ(rs_inside(), i & 1 ? 0 : 3);
				pid = SYS(fork());
				if (!pid) {
					EXPECT_EQ(rs_inside(), -1);
					test_leave();
				}
				SYS(waitpid(pid, &status, 0));
				EXPECT_EQ(status, 0);
				if (i & 2)
					EXPECT_EQ(rs_leave(), 0);
			}
			test_leave();
		}
		SYS(waitpid(pid, &status, 0));
		EXPECT_EQ(status, 0);
		EXPECT_EQ(shared, 1);
	}
	for (i = 0; i < 20; i++) {
		pid = vfork();
		if (!pid) {
			on_stack = 6 + (rs_inside() != -1);
			_exit(i);
		}
		ASSERT_GE(pid, 1);
		SYS(waitpid(pid, &status, 0));
		EXPECT_EQ(status, i << 8);
		EXPECT_EQ(on_stack, 6);
		on_stack = 5;
	}
	expect_inside(where);
}

EVERYWHERE(spawned)
{
	char *argv[] = { "rs-self-test", "-l", NULL };
	posix_spawn_file_actions_t fa;
	char line[100];
	int status, i;
	pid_t pid;
	FILE *f;

	go_in(where);
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addopen(&fa, 1, "/dev/null", O_WRONLY, 0);
	for (i = 0; i < 5; i++) {
		ASSERT_EQ(posix_spawn(&pid, "/proc/self/exe", &fa, NULL, argv, environ), 0);
		SYS(waitpid(pid, &status, 0));
		EXPECT_EQ(status, 0);
		EXPECT_EQ(system("exit 3"), 3 << 8);
		f = popen("echo inside", "r");
		ASSERT(f);
		EXPECT(fgets(line, sizeof(line), f) && !strcmp(line, "inside\n"));
		EXPECT_EQ(pclose(f), 0);
	}
	EXPECT_ERRNO(execl("/nowhere", "x", NULL), ENOENT);
	expect_inside(where);
}

static int clone_child(void *arg)
{
	*(int *)arg = rs_inside();
	return 9;
}

EVERYWHERE(clone_with_a_stack)
{
	char *stack = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int status, seen;
	pid_t pid;

	go_in(where);
	seen = 77;
	pid = SYS(clone(clone_child, stack + 65536, CLONE_VM | SIGCHLD, &seen));
	SYS(waitpid(pid, &status, 0));
	EXPECT_EQ(status, 9 << 8);
	EXPECT_EQ(seen, -1);
	seen = 77;
	pid = SYS(clone(clone_child, stack + 65536, CLONE_VM | CLONE_VFORK | SIGCHLD, &seen));
	SYS(waitpid(pid, &status, 0));
	EXPECT_EQ(status, 9 << 8);
	EXPECT_EQ(seen, -1);
	seen = 77;
	pid = SYS(clone(clone_child, stack + 65536, SIGCHLD, &seen));
	SYS(waitpid(pid, &status, 0));
	EXPECT_EQ(status, 9 << 8);
	EXPECT_EQ(seen, 77);
	expect_inside(where);
}

/* --- in and out --- */

static enum where now;

static void change_side(int sig)
{
	handled++;
	if (now == NATIVE)
		return;
	if (rs_inside() >= 0)
		EXPECT_EQ(rs_leave(), 0);
	else
		go_in(now);
}

/* A handler may leave, or enter: what it returns to is on that side then. */
EVERYWHERE(handlers_change_sides)
{
	struct sigaction sa = { .sa_handler = change_side };
	stack_t ss = { .ss_sp = malloc(65536), .ss_size = 65536 }, old;
	int i;

	now = where;
	SYS(sigaltstack(&ss, NULL));
	go_in(where);
	for (i = 0; i < 40; i++) {
		sa.sa_flags = i & 2 ? SA_ONSTACK : 0;
		SYS(sigaction(SIGUSR1, &sa, NULL));
		raise(SIGUSR1);
		EXPECT_EQ(rs_inside(), i & 1 ? ring_of(where) : -1);
		SYS(sigaltstack(NULL, &old));
		EXPECT(old.ss_sp == ss.ss_sp && !old.ss_flags && old.ss_size == ss.ss_size);
	}
	EXPECT_EQ(handled, 40);
}

static void other(int sig)
{
	handled += 1000;
}

/* Handlers and masks are the program's own, whichever side they are set or asked for on. */
EVERYWHERE(handlers_on_both_sides)
{
	struct sigaction sa = { .sa_handler = on_usr1 }, old;
	sigset_t set;

	SYS(sigaction(SIGUSR1, &sa, NULL));
	signal(SIGBUS, SIG_IGN);
	go_in(where);
	SYS(sigaction(SIGUSR1, NULL, &old));
	EXPECT(old.sa_handler == on_usr1);
	SYS(sigaction(SIGSEGV, NULL, &old));
	EXPECT(old.sa_handler == SIG_DFL);
	raise(SIGUSR1);
	EXPECT_EQ(handled, 1);
	sa.sa_handler = other;
	SYS(sigaction(SIGUSR2, &sa, NULL));
	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	SYS(sigprocmask(SIG_BLOCK, &set, NULL));
	raise(SIGHUP);
	if (where != NATIVE)
		EXPECT_EQ(rs_leave(), 0);
	SYS(sigaction(SIGUSR1, NULL, &old));
	EXPECT(old.sa_handler == on_usr1);
	SYS(sigaction(SIGUSR2, NULL, &old));
	EXPECT(old.sa_handler == other);
	SYS(sigaction(SIGSEGV, NULL, &old));
	EXPECT(old.sa_handler == SIG_DFL);
	SYS(sigaction(SIGBUS, NULL, &old));
	EXPECT(old.sa_handler == SIG_IGN);
	SYS(sigprocmask(SIG_BLOCK, NULL, &set));
	EXPECT(sigismember(&set, SIGHUP) && !sigismember(&set, SIGUSR1));
	raise(SIGUSR2);
	EXPECT_EQ(handled, 1001);
	SYS(sigaction(SIGUSR1, &sa, NULL));
	go_in(where);
	raise(SIGUSR1);
	EXPECT_EQ(handled, 2001);
	SYS(sigpending(&set));
	EXPECT(sigismember(&set, SIGHUP));
	expect_inside(where);
}

/* --- descriptors --- */

EVERYWHERE(descriptors)
{
	struct rlimit lim;
	int status, i;
	pid_t pid;

	pid = SYS(fork());
	if (!pid) {
		int p[2];

		go_in(where);
		SYS(pipe(p));
		SYS(getrlimit(RLIMIT_NOFILE, &lim));
		/* A daemon's way, and a shell's: what is not there is EBADF. */
		for (i = 3; i < (int)lim.rlim_cur && i < 5000; i++)
			if (close(i) && errno != EBADF)
				FAIL("close(%d): %s", i, strerror(errno));
		expect_inside(where);
		EXPECT_EQ(open("/dev/null", O_RDONLY), 3);
		SYS(close_range(3, ~0u, 0));
		EXPECT_ERRNO(fcntl(3, F_GETFD), EBADF);
		EXPECT_EQ(open("/dev/null", O_RDONLY), 3);
		for (i = 4; i < (int)lim.rlim_cur && i < 1200; i++)
			if (dup2(3, i) != i && errno != EBADF)
				FAIL("dup2(3, %d): %s", i, strerror(errno));
		SYS(close_range(4, ~0u, CLOSE_RANGE_UNSHARE));
		SYS(close_range(4, ~0u, CLOSE_RANGE_CLOEXEC));
		EXPECT_ERRNO(close_range(5, 4, 0), EINVAL);
		expect_inside(where);
		getppid();
		test_leave();
	}
	SYS(waitpid(pid, &status, 0));
	EXPECT_EQ(status, 0);
}

/* --- what threads and parents leave behind ---------------------------------------------------------------------------------------------- */

static void *in_and_out(void *arg)
{
	int ret = rs_enter(0);

	return (void *)(intptr_t)(ret ? ret : rs_leave());
}

TEST(threads_that_end_outside_leave_their_vcpus)
{
	void *ret;
	pthread_t t;
	int i;

	go_in(RING3);
	EXPECT_EQ(rs_leave(), 0);
	for (i = 0; i < 200; i++) {
		create(&t, in_and_out, NULL);
		pthread_join(t, &ret);
		ASSERT_EQ((long)ret, 0);
	}
}

static volatile int over;

static void *in_and_out_again(void *arg)
{
	while (!over)
		if (rs_enter(0) || rs_leave())
			return (void *)1;
	return NULL;
}

/* The copy of the process has the locks as they were. */
TEST(children_of_threads_outside_enter_whatever_others_did)
{
	int i, status;
	pthread_t t;
	void *ret;
	pid_t pid;

	go_in(RING3);
	EXPECT_EQ(rs_leave(), 0);
	create(&t, in_and_out_again, NULL);
	for (i = 0; i < 100; i++) {
		pid = SYS(fork());
		if (!pid) {
			if (rs_enter(0) || rs_inside() != 3 || getppid() <= 0 || rs_leave())
				_exit(1);
			_exit(42);
		}
		SYS(waitpid(pid, &status, 0));
		ASSERT_EQ(status, 42 << 8);
	}
	over = 1;
	pthread_join(t, &ret);
	EXPECT_EQ((long)ret, 0);
}

TEST(a_daemon_that_closes_everything_enters_again)
{
	go_in(RING3);
	EXPECT_EQ(rs_leave(), 0);
	SYS(close_range(3, ~0u, 0));
	ASSERT_EQ(rs_enter(0), 0);
	EXPECT_EQ(rs_inside(), 3);
	EXPECT_EQ(getppid() > 0, 1);
	EXPECT_EQ(rs_leave(), 0);
	ASSERT_EQ(rs_enter(0), 0);
	EXPECT_EQ(rs_leave(), 0);
}

TEST(children_without_the_right_to_the_device_enter)
{
	int status;
	pid_t pid;

	if (geteuid())
		SKIP("needs root, to give it up");
	go_in(RING3);
	SYS(chroot("/proc"));
	SYS(setuid(65534));
	pid = SYS(fork());
	if (!pid) {
		if (rs_inside() != -1 || rs_enter(0) || rs_inside() != 3)
			_exit(1);
		_exit(42);
	}
	SYS(waitpid(pid, &status, 0));
	EXPECT_EQ(status, 42 << 8);
}
