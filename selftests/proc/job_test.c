// SPDX-License-Identifier: MIT
/*
 * job_test.c - process groups, sessions, stopping and continuing, and a terminal that knows about them
 */
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <termios.h>
#include "proc.h"

/* It dies with its parent: one in a session of its own is out of the harness's reach. */
static pid_t pausing(void)
{
	return CHILD({
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	});
}

static void stopped(pid_t pid, int sig)
{
	int status;

	ASSERT_EQ(waitpid(pid, &status, WUNTRACED), pid);
	if (!WIFSTOPPED(status) || WSTOPSIG(status) != sig)
		FAIL("wait status %#x, not stopped by %d", status, sig);
}

static void continued(pid_t pid)
{
	int status;

	ASSERT_EQ(waitpid(pid, &status, WCONTINUED), pid);
	EXPECT(WIFCONTINUED(status));
}

TEST(group_rules)
{
	struct gate go = gate_make(), ready = gate_make();
	pid_t a, b, other;

	EXPECT_EQ(getpgid(0), getpgrp());
	EXPECT_EQ(getpgid(getpid()), getpgrp());
	a = pausing();
	b = pausing();
	EXPECT_EQ(getpgid(a), getpgrp());
	EXPECT_EQ(setpgid(a, 0), 0);
	EXPECT_EQ(getpgid(a), a);
	EXPECT_EQ(setpgid(b, a), 0);
	EXPECT_EQ(getpgid(b), a);
	EXPECT_EQ(setpgid(b, getpgrp()), 0);
	EXPECT_ERRNO(setpgid(b, 0x7ffffff), EPERM);		/* no such group in this session */
	EXPECT_ERRNO(setpgid(a, -1), EINVAL);
	EXPECT_ERRNO(setpgid(0x7ffffff, 0), ESRCH);
	EXPECT_ERRNO(setpgid(getppid(), 0), ESRCH);		/* not a child */
	EXPECT_ERRNO(getpgid(0x7ffffff), ESRCH);
	EXPECT_ERRNO(getsid(0x7ffffff), ESRCH);
	/* a session of its own: out of reach for groups */
	other = CHILD(SYS(setsid()); gate_open(ready); gate_wait(go));
	gate_wait(ready);
	EXPECT_EQ(getsid(other), other);
	EXPECT_EQ(getpgid(other), other);
	EXPECT_ERRNO(setpgid(other, 0), EPERM);
	EXPECT_ERRNO(setpgid(b, other), EPERM);
	gate_open(go);
	EXITS(other, 0);
	SYS(kill(a, SIGKILL));
	SYS(kill(b, SIGKILL));
	DIES(a, SIGKILL);
	DIES(b, SIGKILL);
}

TEST(session_rules)
{
	EXITS(CHILD({
		SYS(setpgid(0, 0));
		EXPECT_ERRNO(setsid(), EPERM);		/* leads a group */
		EXITS(CHILD({
			EXPECT_EQ(setsid(), getpid());
			EXPECT_EQ(getsid(0), getpid());
			EXPECT_EQ(getpgrp(), getpid());
			EXPECT_ERRNO(setpgid(0, 0), EPERM);	/* leads a session */
			EXITS(CHILD(EXPECT_EQ(getsid(0), getppid())), 0);
		}), 0);
	}), 0);
}

TEST(group_outlives_its_leader)
{
	struct gate ready = gate_make();
	pid_t leader, member;

	leader = CHILD(SYS(setpgid(0, 0)); gate_open(ready); for (;;) pause());
	gate_wait(ready);
	member = CHILD(SYS(setpgid(0, leader)); gate_open(ready); for (;;) pause());
	gate_wait(ready);
	SYS(kill(leader, SIGKILL));
	DIES(leader, SIGKILL);
	EXPECT_EQ(getpgid(member), leader);
	EXPECT_EQ(kill(-leader, 0), 0);
	SYS(kill(-leader, SIGTERM));
	DIES(member, SIGTERM);
	EXPECT_ERRNO(kill(-leader, 0), ESRCH);
}

TEST(stop_and_continue)
{
	static const int stops[] = { SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU };
	pid_t pid = pausing();

	for (int i = 0; i < 4; i++) {
		SYS(kill(pid, stops[i]));
		stopped(pid, stops[i]);
		SYS(kill(pid, SIGCONT));
		continued(pid);
	}
	SYS(kill(pid, SIGKILL));
	DIES(pid, SIGKILL);
}

static volatile sig_atomic_t conts;

static void on_cont(int sig)
{
	conts++;
}

TEST(handlers_around_a_stop)
{
	struct gate ready = gate_make(), go = gate_make();
	volatile int *seen = shared_pages(1);
	pid_t pid = CHILD({
		signal(SIGCONT, on_cont);
		signal(SIGUSR1, on_cont);
		gate_open(ready);
		while (conts < 2) {
			seen[0] = conts;
			usleep(1000);
		}
		gate_wait(go);		/* or its end would be what the parent sees first */
	});

	gate_wait(ready);
	SYS(kill(pid, SIGSTOP));
	stopped(pid, SIGSTOP);
	SYS(kill(pid, SIGUSR1));		/* comes only when it goes on */
	EXPECT_EQ(waitpid(pid, NULL, WNOHANG), 0);
	EXPECT_EQ(seen[0], 0);
	SYS(kill(pid, SIGCONT));
	continued(pid);
	gate_open(go);
	EXITS(pid, 0);
}

/* A stop signal takes a waiting SIGCONT away, and the other way round. */
TEST(stop_and_continue_cancel)
{
	sigset_t set, waiting;

	EXITS(CHILD({
		sigemptyset(&set);
		sigaddset(&set, SIGCONT);
		sigaddset(&set, SIGTSTP);
		SYS(sigprocmask(SIG_BLOCK, &set, NULL));
		signal(SIGCONT, on_cont);
		signal(SIGTSTP, on_cont);
		raise(SIGCONT);
		SYS(sigpending(&waiting));
		EXPECT(sigismember(&waiting, SIGCONT));
		raise(SIGTSTP);
		SYS(sigpending(&waiting));
		EXPECT(!sigismember(&waiting, SIGCONT) && sigismember(&waiting, SIGTSTP));
		raise(SIGCONT);
		SYS(sigpending(&waiting));
		EXPECT(sigismember(&waiting, SIGCONT) && !sigismember(&waiting, SIGTSTP));
	}), 0);
}

static _Atomic long *beats;

static void *beats_on(void *arg)
{
	for (;;)
		beats[(intptr_t)arg]++;
	return NULL;
}

/* All threads stop, also those that run. */
TEST(stop_stops_all_threads)
{
	long before[3];
	pid_t pid;

	beats = shared_pages(1);
	pid = CHILD({
		pthread_t t;

		for (intptr_t i = 0; i < 3; i++)
			pthread_create(&t, NULL, beats_on, (void *)i);
		for (;;)
			pause();
	});
	EXPECT(eventually(beats[0] && beats[1] && beats[2]));
	SYS(kill(pid, SIGSTOP));
	stopped(pid, SIGSTOP);
	for (int i = 0; i < 3; i++)
		before[i] = beats[i];
	usleep(50000);
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(beats[i], before[i]);
	SYS(kill(pid, SIGCONT));
	EXPECT(eventually(beats[0] > before[0] && beats[1] > before[1] && beats[2] > before[2]));
	SYS(kill(pid, SIGKILL));
	DIES(pid, SIGKILL);
}

/* Nobody could continue a group that has no parent in its session: terminal stops do not stop it. */
TEST(orphaned_group_does_not_stop)
{
	struct gate ready = gate_make(), go = gate_make();
	volatile int *seen = shared_pages(1);
	int status;

	SYS(prctl(PR_SET_CHILD_SUBREAPER, 1));
	EXITS(CHILD({
		SYS(setsid());
		if (!SYS(fork())) {
			SYS(setpgid(0, 0));
			gate_wait(go);		/* the parent is gone now */
			raise(SIGTSTP);
			raise(SIGTTIN);
			seen[0] = 1;
			gate_open(ready);
			_exit(0);
		}
	}), 0);
	gate_open(go);
	gate_wait(ready);
	EXPECT_EQ(seen[0], 1);
	EXPECT(waitpid(-1, &status, 0) > 0);
	EXPECT_EQ(status, 0);
}

static volatile sig_atomic_t hups;

static void on_hup(int sig)
{
	hups++;
}

/* A group that becomes orphaned with a stopped member is told so, and continued. */
TEST(newly_orphaned_group)
{
	struct gate ready = gate_make();
	int status;
	pid_t middle;

	SYS(prctl(PR_SET_CHILD_SUBREAPER, 1));
	middle = CHILD({
		SYS(setsid());
		pid_t pid = CHILD({
			SYS(setpgid(0, 0));
			signal(SIGHUP, on_hup);
			gate_open(ready);
			if (eventually(hups))
				_exit(66);
		});

		gate_wait(ready);
		SYS(kill(pid, SIGSTOP));
		stopped(pid, SIGSTOP);
	});
	EXITS(middle, 0);
	EXPECT(waitpid(-1, &status, 0) > 0);
	EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 66);
}

/* --- a terminal ------------------------------------------------------------------------------------------------------ */

static int master;
static char tty_name[64];

static void open_terminal(void)
{
	struct termios t;
	int fd;

	master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (master < 0 && (errno == ENOENT || errno == EACCES || errno == EPERM))
		SKIP("no /dev/ptmx here");
	ASSERT(master >= 0);
	SYS(grantpt(master));
	SYS(unlockpt(master));
	ASSERT_EQ(ptsname_r(master, tty_name, sizeof(tty_name)), 0);
	fd = SYS(open(tty_name, O_RDWR | O_NOCTTY));
	SYS(tcgetattr(fd, &t));
	t.c_lflag |= ISIG | ICANON;
	t.c_lflag &= ~(ECHO | TOSTOP);
	SYS(tcsetattr(fd, TCSANOW, &t));
	/* kept open, so that the terminal is not hung up between two users */
}

static int take_terminal(void)
{
	int tty;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	SYS(setsid());
	tty = SYS(open(tty_name, O_RDWR | O_NOCTTY));
	SYS(ioctl(tty, TIOCSCTTY, 0));
	return tty;
}

TEST(terminal_of_a_session)
{
	open_terminal();
	EXPECT_ERRNO(tcgetpgrp(SYS(open(tty_name, O_RDWR | O_NOCTTY))), ENOTTY);
	EXITS(CHILD({
		int tty = take_terminal();
		pid_t pid;

		EXPECT_EQ(tcgetpgrp(tty), getpid());
		EXPECT_EQ(tcgetsid(tty), getpid());
		EXPECT_ERRNO(tcsetpgrp(tty, 0x7ffffff), ESRCH);
		pid = pausing();
		SYS(setpgid(pid, pid));
		SYS(tcsetpgrp(tty, pid));
		EXPECT_EQ(tcgetpgrp(tty), pid);
		signal(SIGTTOU, SIG_IGN);
		SYS(tcsetpgrp(tty, getpid()));
		SYS(kill(pid, SIGKILL));
		DIES(pid, SIGKILL);
		EXPECT_EQ(close(SYS(open("/dev/tty", O_RDWR))), 0);
	}), 0);
}

/* Keys signal the group in the foreground, and only that. */
TEST(terminal_keys)
{
	struct gate ready = gate_make();
	pid_t shell;

	open_terminal();
	shell = CHILD({
		int tty = take_terminal();
		pid_t front, back;

		back = pausing();
		SYS(setpgid(back, back));
		front = pausing();
		SYS(setpgid(front, front));
		SYS(tcsetpgrp(tty, front));
		gate_open(ready);
		stopped(front, SIGTSTP);
		SYS(kill(-front, SIGCONT));
		continued(front);
		gate_open(ready);
		DIES(front, SIGINT);
		front = pausing();
		SYS(setpgid(front, front));
		signal(SIGTTOU, SIG_IGN);
		SYS(tcsetpgrp(tty, front));
		gate_open(ready);
		DIES(front, SIGQUIT);
		EXPECT_EQ(waitpid(back, NULL, WNOHANG), 0);
		SYS(kill(back, SIGKILL));
		DIES(back, SIGKILL);
	});
	gate_wait(ready);
	ASSERT_EQ(write(master, "\x1a", 1), 1);
	gate_wait(ready);
	ASSERT_EQ(write(master, "\x03", 1), 1);
	gate_wait(ready);
	ASSERT_EQ(write(master, "\x1c", 1), 1);
	EXITS(shell, 0);
}

TEST(terminal_in_the_background)
{
	struct gate ready = gate_make();
	pid_t shell;

	open_terminal();
	shell = CHILD({
		int tty = take_terminal();
		struct termios t;
		char line[16];
		pid_t pid;

		/* reading stops it; in the foreground and continued, it reads what was typed */
		pid = CHILD({
			ssize_t n;

			SYS(setpgid(0, 0));
			do
				n = read(tty, line, sizeof(line));
			while (n == -1 && errno == EINTR);
			EXPECT_EQ(n, 5);
			EXPECT(!memcmp(line, "line\n", 5));
		});
		setpgid(pid, pid);
		stopped(pid, SIGTTIN);
		SYS(tcsetpgrp(tty, pid));
		SYS(kill(-pid, SIGCONT));
		gate_open(ready);
		EXITS(pid, 0);
		signal(SIGTTOU, SIG_IGN);
		SYS(tcsetpgrp(tty, getpid()));
		signal(SIGTTOU, SIG_DFL);
		/* writing only if the terminal is told so; ignoring the signal lets it through */
		pid = CHILD(SYS(setpgid(0, 0)); EXPECT_EQ(write(tty, "a", 1), 1));
		EXITS(pid, 0);
		SYS(tcgetattr(tty, &t));
		t.c_lflag |= TOSTOP;
		SYS(tcsetattr(tty, TCSANOW, &t));
		pid = CHILD(SYS(setpgid(0, 0)); EXPECT_EQ(write(tty, "b", 1), 1));
		stopped(pid, SIGTTOU);
		SYS(kill(pid, SIGKILL));
		DIES(pid, SIGKILL);
		pid = CHILD(SYS(setpgid(0, 0)); signal(SIGTTOU, SIG_IGN); EXPECT_EQ(write(tty, "c", 1), 1));
		EXITS(pid, 0);
		/* changing the settings, or taking the terminal, stops it as well */
		pid = CHILD(SYS(setpgid(0, 0)); tcsetattr(tty, TCSANOW, &t));
		stopped(pid, SIGTTOU);
		SYS(kill(pid, SIGKILL));
		DIES(pid, SIGKILL);
		pid = CHILD(SYS(setpgid(0, 0)); tcsetpgrp(tty, getpid()));
		stopped(pid, SIGTTOU);
		SYS(kill(pid, SIGKILL));
		DIES(pid, SIGKILL);
	});
	gate_wait(ready);
	ASSERT_EQ(write(master, "line\n", 5), 5);
	EXITS(shell, 0);
}

/* The line goes dead: the session's leader is told, and nobody can read any more. */
TEST(terminal_hangs_up)
{
	struct gate ready = gate_make();
	pid_t shell;

	open_terminal();
	shell = CHILD({
		int tty = take_terminal();
		char c;

		close(master);
		signal(SIGHUP, on_hup);
		gate_open(ready);
		EXPECT(eventually(hups));
		EXPECT_EQ(read(tty, &c, 1), 0);
		EXPECT_ERRNO(write(tty, &c, 1), EIO);
	});
	gate_wait(ready);
	close(master);
	EXITS(shell, 0);
}

/* The leader of a session ends: the foreground group gets SIGHUP and nobody has the terminal any more. */
TEST(terminal_loses_its_session)
{
	struct gate ready = gate_make();
	int status;
	pid_t shell;

	open_terminal();
	SYS(prctl(PR_SET_CHILD_SUBREAPER, 1));
	shell = CHILD({
		int tty = take_terminal();
		pid_t pid = CHILD({
			SYS(setpgid(0, 0));
			gate_open(ready);
			alarm(50);
			for (;;)
				pause();
		});

		gate_wait(ready);
		SYS(tcsetpgrp(tty, pid));
	});
	EXITS(shell, 0);
	EXPECT(waitpid(-1, &status, 0) > 0);
	EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGHUP);
}

static volatile sig_atomic_t ints, sizes;

static void on_int(int sig)
{
	ints++;
}

static void on_size(int sig)
{
	sizes++;
}

/* A quoted key is a character, and so is one of a terminal whose keys are switched off. */
TEST(terminal_quoted_keys)
{
	struct gate ready = gate_make(), go = gate_make();
	struct iovec parts[2] = { { "\x16", 1 }, { "\x03z\n", 3 } };
	pid_t shell;

	open_terminal();
	shell = CHILD({
		int tty = take_terminal();
		struct termios t;
		char line[16];

		signal(SIGINT, on_int);
		gate_open(ready);
		EXPECT_EQ(read(tty, line, sizeof(line)), 3);
		EXPECT(!memcmp(line, "\003z\n", 3));
		EXPECT_EQ(ints, 0);
		gate_open(ready);
		EXPECT(eventually(ints == 1));
		SYS(tcgetattr(tty, &t));
		t.c_lflag &= ~ISIG;
		t.c_cc[VQUIT] = 'q';
		SYS(tcsetattr(tty, TCSANOW, &t));
		gate_open(ready);
		EXPECT_EQ(read(tty, line, sizeof(line)), 2);
		EXPECT(!memcmp(line, "\003\n", 2));
		signal(SIGQUIT, on_int);
		t.c_lflag |= ISIG;
		SYS(tcsetattr(tty, TCSANOW, &t));
		gate_open(ready);
		EXPECT(eventually(ints == 2));
		gate_wait(go);
	});
	gate_wait(ready);
	ASSERT_EQ(writev(master, parts, 2), 4);
	gate_wait(ready);
	ASSERT_EQ(write(master, "abc\x03", 4), 4);
	gate_wait(ready);
	ASSERT_EQ(write(master, "\x03\n", 2), 2);
	gate_wait(ready);
	ASSERT_EQ(write(master, "aq", 2), 2);
	gate_open(go);
	EXITS(shell, 0);
}

/* By opening it; and given up again. */
TEST(terminal_by_opening)
{
	struct gate ready = gate_make();
	pid_t group;

	open_terminal();
	EXPECT_EQ(tcgetpgrp(master), 0);
	EXITS(CHILD({
		int tty, again, status;

		SYS(setsid());
		EXPECT_ERRNO(open("/dev/tty", O_RDWR), ENXIO);
		again = SYS(open(tty_name, O_RDWR | O_NOCTTY));
		EXPECT_ERRNO(tcgetsid(again), ENOTTY);
		tty = SYS(open(tty_name, O_RDWR));
		EXPECT_EQ(tcgetsid(tty), getpid());
		EXPECT_EQ(tcgetpgrp(again), getpid());
		EXPECT_EQ(tcgetpgrp(master), getpid());
		EXPECT_EQ(close(SYS(open("/dev/tty", O_RDWR))), 0);
		/* another session cannot have it, and who does not lead a session neither */
		EXITS(CHILD(EXPECT_ERRNO(ioctl(tty, TIOCSCTTY, 0), EPERM)), 0);
		EXITS(CHILD({
			SYS(setsid());
			EXPECT_ERRNO(ioctl(tty, TIOCSCTTY, 0), EPERM);
			EXPECT_ERRNO(tcgetpgrp(tty), ENOTTY);
			EXPECT_ERRNO(tcsetpgrp(tty, getpid()), ENOTTY);
		}), 0);
		/* a member gives up its own only */
		EXITS(CHILD({
			SYS(ioctl(tty, TIOCNOTTY));
			EXPECT_ERRNO(tcgetpgrp(tty), ENOTTY);
			EXPECT_ERRNO(open("/dev/tty", O_RDWR), ENXIO);
		}), 0);
		EXPECT_EQ(tcgetpgrp(tty), getpid());
		group = CHILD({
			SYS(setpgid(0, 0));
			gate_open(ready);
			for (;;)
				pause();
		});
		gate_wait(ready);
		SYS(tcsetpgrp(tty, group));
		SYS(ioctl(tty, TIOCNOTTY));
		EXPECT_EQ(waitpid(group, &status, 0), group);
		EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGHUP);
		EXPECT_ERRNO(tcgetpgrp(tty), ENOTTY);
		SYS(ioctl(tty, TIOCSCTTY, 0));
		EXPECT_EQ(tcgetpgrp(tty), getpid());
	}), 0);
	EXPECT_EQ(tcgetpgrp(master), 0);
}

TEST(terminal_size)
{
	struct winsize w = { .ws_row = 10, .ws_col = 20 }, got;
	struct gate ready = gate_make();
	pid_t shell;
	int peer;

	open_terminal();
	peer = SYS(ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY));
	EXPECT(isatty(peer));
	EXPECT(!strcmp(ttyname(peer) ? ttyname(peer) : "", tty_name));
	shell = CHILD({
		int tty = take_terminal();

		signal(SIGWINCH, on_size);
		gate_open(ready);
		EXPECT(eventually(sizes == 1));
		SYS(ioctl(tty, TIOCGWINSZ, &got));
		EXPECT(got.ws_row == 10 && got.ws_col == 20);
	});
	gate_wait(ready);
	SYS(ioctl(master, TIOCSWINSZ, &w));
	EXITS(shell, 0);
}

/* Nobody could continue it: a read from the background fails instead, and so does changing the settings. */
TEST(terminal_and_an_orphaned_group)
{
	struct gate ready = gate_make(), go = gate_make(), keep = gate_make();
	int status;
	pid_t shell;

	open_terminal();
	SYS(prctl(PR_SET_CHILD_SUBREAPER, 1));
	shell = CHILD({
		int tty = take_terminal();
		struct termios t;
		char c;

		/* its parent ends, which is in the session; the session and its terminal stay */
		EXITS(CHILD({
			CHILD({
				SYS(setpgid(0, 0));
				gate_open(ready);
				gate_wait(go);
				EXPECT_ERRNO(read(tty, &c, 1), EIO);
				SYS(tcgetattr(tty, &t));
				EXPECT_ERRNO(tcsetattr(tty, TCSANOW, &t), EIO);
				EXPECT_ERRNO(tcsetpgrp(tty, getpid()), ENOTTY);
				signal(SIGTTOU, SIG_IGN);
				SYS(tcsetattr(tty, TCSANOW, &t));
			});
			gate_wait(ready);
		}), 0);
		gate_open(go);
		gate_wait(keep);
	});
	EXPECT(waitpid(-1, &status, 0) > 0);	/* the orphan: the shell still waits */
	EXPECT_EQ(status, 0);
	gate_open(keep);
	EXITS(shell, 0);
}
