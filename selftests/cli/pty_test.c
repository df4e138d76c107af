// SPDX-License-Identifier: MIT
/*
 * rs-pty-test: a person at a terminal, and `ringside run` as the job in the foreground.
 *
 * The terminal is a pseudo terminal; the person is this program, which types into its master side.
 * Between it and ringside stands a process that plays the shell: session leader, owner of the
 * terminal, parent of the job; it reports what becomes of the job (stopped, ended) through a pipe
 * and continues it on request. Job control needs that process: the kernel does not stop a job that
 * nobody could continue.
 *
 * Without arguments: the cases, as TAP. `rs-pty-test winch` is the program inside the ring that
 * waits for its window to change, `rs-pty-test background` one with a job of its own.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_S	60	/* an emulated machine takes its time */

struct job {
	int master;		/* what the person types and sees */
	int events;		/* struct event, from the shell */
	int requests;		/* one byte: continue the job */
	pid_t shell;
	char seen[8192];
	size_t len;
};

struct event {
	int stopped;
	int status;		/* exit status, or 1000 + signal; the signal that stopped it */
};

static int tests, failures;

static void check(int ok, const char *what, struct job *j, long got)
{
	tests++;
	if (!ok)
		failures++;
	printf("%sok %d - %s", ok ? "" : "not ", tests, what);
	if (!ok)
		printf(" (got %ld)\n# terminal: %.*s", got, j ? (int)j->len : 0, j ? j->seen : "");
	putchar('\n');
	fflush(stdout);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static void shell(const char *terminal, int events, int requests, char **argv)
{
	struct event e;
	int status, fd;
	pid_t pid;
	char byte;

	setsid();
	signal(SIGTTOU, SIG_IGN);
	fd = open(terminal, O_RDWR);
	if (fd < 0 || ioctl(fd, TIOCSCTTY, 0))
		_exit(98);
	pid = fork();
	if (!pid) {
		setpgid(0, 0);
		tcsetpgrp(fd, getpid());
		signal(SIGTTOU, SIG_DFL);
		dup2(fd, 0);
		dup2(fd, 1);
		dup2(fd, 2);
		execvp(argv[0], argv);
		_exit(97);
	}
	setpgid(pid, pid);
	tcsetpgrp(fd, pid);
	for (;;) {
		if (waitpid(pid, &status, WUNTRACED) < 0)
			_exit(96);
		e.stopped = WIFSTOPPED(status);
		e.status = e.stopped		 ? WSTOPSIG(status)
			   : WIFSIGNALED(status) ? 1000 + WTERMSIG(status)
						 : WEXITSTATUS(status);
		if (write(events, &e, sizeof(e)) < 0 || !e.stopped)
			_exit(0);
		if (read(requests, &byte, 1) != 1)
			_exit(0);
		tcsetpgrp(fd, pid);
		kill(-pid, SIGCONT);
	}
}

static void start(struct job *j, char **argv)
{
	int events[2], requests[2];

	memset(j, 0, sizeof(*j));
	j->master = posix_openpt(O_RDWR | O_NOCTTY);
	if (j->master < 0 || grantpt(j->master) || unlockpt(j->master) || pipe(events) ||
	    pipe(requests)) {
		printf("Bail out! no pseudo terminal: %s\n", strerror(errno));
		exit(1);
	}
	j->shell = fork();
	if (!j->shell) {
		char name[64];

		if (ptsname_r(j->master, name, sizeof(name)))
			_exit(95);
		close(j->master);
		close(events[0]);
		close(requests[1]);
		shell(name, events[1], requests[0], argv);
	}
	close(events[1]);
	close(requests[0]);
	j->events = events[0];
	j->requests = requests[1];
}

/* Read the terminal for at most @ms; returns whether something came. */
static int look(struct job *j, int ms)
{
	struct pollfd p = { .fd = j->master, .events = POLLIN };
	ssize_t n;

	if (poll(&p, 1, ms) <= 0 || !(p.revents & POLLIN))
		return 0;
	n = read(j->master, j->seen + j->len, sizeof(j->seen) - 1 - j->len);
	if (n > 0)
		j->len += n;
	j->seen[j->len] = 0;
	return n > 0;
}

static int sees(struct job *j, const char *text)
{
	double end = now() + PATIENCE_S;

	while (!strstr(j->seen, text)) {
		if (now() > end)
			return 0;
		look(j, 200);
	}
	return 1;
}

static struct event wait_event(struct job *j)
{
	struct event e = { -1, -1 };
	struct pollfd p = { .fd = j->events, .events = POLLIN };
	double end = now() + PATIENCE_S;

	while (now() < end) {
		while (look(j, 0))
			;
		if (poll(&p, 1, 100) == 1) {
			if (read(j->events, &e, sizeof(e)) != sizeof(e))
				e.status = -2;
			break;
		}
	}
	while (look(j, 50))
		;
	return e;
}

static void type(struct job *j, const char *text)
{
	if (write(j->master, text, strlen(text)) < 0)
		perror("write");
}

/*
 * rs-pty-test background: a program that puts a job in the background, which reads; then in the
 * foreground, where it is typed to; then again in the background, where it writes.
 */
static int background(void)
{
	struct termios t;
	char line[64];
	int status;
	pid_t pid;

	signal(SIGTTOU, SIG_IGN);
	pid = fork();
	if (!pid) {
		setpgid(0, 0);
		signal(SIGTTOU, SIG_DFL);
		status = isatty(0) ? read(0, line, sizeof(line) - 1) : 0;
		if (status <= 0)
			_exit(1);
		line[status] = 0;
		printf("read %s", line);
		fflush(stdout);
		raise(SIGSTOP);
		_exit(write(1, "out\n", 4) == 4 ? 0 : 2);
	}
	setpgid(pid, pid);
	if (waitpid(pid, &status, WUNTRACED) != pid || !WIFSTOPPED(status))
		return 3;
	printf("stopped by %d\n", WSTOPSIG(status));
	fflush(stdout);
	if (tcsetpgrp(0, pid) || kill(-pid, SIGCONT) || waitpid(pid, &status, WUNTRACED) != pid ||
	    !WIFSTOPPED(status))
		return 4;
	if (tcsetpgrp(0, getpgrp()) || tcgetattr(0, &t))
		return 5;
	t.c_lflag |= TOSTOP;
	if (tcsetattr(0, TCSANOW, &t) || kill(-pid, SIGCONT) ||
	    waitpid(pid, &status, WUNTRACED) != pid || !WIFSTOPPED(status))
		return 6;
	printf("then by %d\n", WSTOPSIG(status));
	fflush(stdout);
	t.c_lflag &= ~TOSTOP;
	if (tcsetattr(0, TCSANOW, &t) || kill(-pid, SIGCONT) || waitpid(pid, &status, 0) != pid)
		return 7;
	return status ? 8 : 9;
}

static void finish(struct job *j)
{
	kill(j->shell, SIGKILL);
	waitpid(j->shell, NULL, 0);
	close(j->master);
	close(j->events);
	close(j->requests);
}

#define LOOP	"echo go; while :; do :; done"
#define RUN(...)	((char *[]){ "ringside", "run", "--", __VA_ARGS__, NULL })

static void cases(const char *self)
{
	struct winsize ws = { .ws_row = 33, .ws_col = 77 };
	struct event e;
	struct job j;

	start(&j, RUN("busybox", "cat"));
	type(&j, "a line\n");
	sees(&j, "a line\r\na line");
	type(&j, "\004");
	e = wait_event(&j);
	check(!e.stopped && e.status == 0 && sees(&j, "a line\r\na line"),
	      "what is typed arrives, and Ctrl-D ends it", &j, e.status);
	finish(&j);

	start(&j, RUN("busybox", "sh", "-c", LOOP));
	sees(&j, "go");
	type(&j, "\003");
	e = wait_event(&j);
	check(!e.stopped && e.status == 130, "Ctrl-C ends an endless loop: 130", &j, e.status);
	check(!strstr(j.seen, "did not react"), "and the guest kernel did it, not the grace period",
	      &j, 0);
	finish(&j);

	start(&j, RUN("busybox", "cat"));
	type(&j, "go\n");
	sees(&j, "go\r\ngo");
	type(&j, "\003");
	e = wait_event(&j);
	check(!e.stopped && e.status == 130, "Ctrl-C ends a program that waits for input: 130", &j,
	      e.status);
	finish(&j);

	start(&j, RUN("busybox", "sh", "-c", "trap 'echo caught; exit 5' INT; " LOOP));
	sees(&j, "go");
	type(&j, "\003");
	e = wait_event(&j);
	check(!e.stopped && e.status == 5 && sees(&j, "caught"),
	      "a program may handle Ctrl-C", &j, e.status);
	finish(&j);

	start(&j, RUN("busybox", "sh", "-c", "trap '' INT; echo go; read x; echo $x; exit 6"));
	sees(&j, "go");
	type(&j, "\003\003");
	type(&j, "still here\n");
	e = wait_event(&j);
	check(!e.stopped && e.status == 6, "or ignore it", &j, e.status);
	finish(&j);

	/* not a shell: they ignore it */
	start(&j, RUN("busybox", "cat"));
	type(&j, "go\n");
	sees(&j, "go\r\ngo");
	type(&j, "\034");
	e = wait_event(&j);
	check(!e.stopped && e.status == 131, "Ctrl-\\ likewise: 131", &j, e.status);
	finish(&j);

	start(&j, RUN("busybox", "sh", "-c", LOOP));
	sees(&j, "go");
	type(&j, "\032");
	e = wait_event(&j);
	check(e.stopped == 1 && e.status == SIGTSTP, "Ctrl-Z stops an endless loop", &j, e.status);
	if (e.stopped == 1) {
		if (write(j.requests, "c", 1) != 1)
			perror("write");
		usleep(300000);
		type(&j, "\003");
		e = wait_event(&j);
	}
	check(!e.stopped && e.status == 130, "it goes on in the foreground, where Ctrl-C ends it",
	      &j, e.status);
	finish(&j);

	start(&j, RUN("busybox", "sh", "-c", "echo go; read x; echo got $x; exit 4"));
	sees(&j, "go");
	type(&j, "\032");
	e = wait_event(&j);
	check(e.stopped == 1, "Ctrl-Z stops a program that waits for input", &j, e.status);
	if (e.stopped == 1) {
		if (write(j.requests, "c", 1) != 1)
			perror("write");
		type(&j, "word\n");
		e = wait_event(&j);
	}
	check(!e.stopped && e.status == 4 && sees(&j, "got word"),
	      "and its input is there afterwards", &j, e.status);
	finish(&j);

	start(&j, RUN((char *)self, "winch"));
	sees(&j, "go");
	ioctl(j.master, TIOCSWINSZ, &ws);
	e = wait_event(&j);
	check(!e.stopped && e.status == 0 && sees(&j, "33 x 77"),
	      "the size of the window reaches the program", &j, e.status);
	finish(&j);

	start(&j, RUN((char *)self, "background"));
	sees(&j, "stopped by 21");
	type(&j, "for the job\n");
	e = wait_event(&j);
	check(!e.stopped && e.status == 9 && sees(&j, "read for the job") &&
		      sees(&j, "then by 22") && sees(&j, "out"),
	      "a job inside that reads or writes in the background is stopped", &j, e.status);
	finish(&j);

	start(&j, RUN("busybox", "sh", "-c", LOOP));
	sees(&j, "go");
	close(j.master);
	j.master = -1;
	e.status = -1;
	if (read(j.events, &e, sizeof(e)) != sizeof(e))
		e.status = -2;
	/*
	 * The shell gets SIGHUP as the session leader and may be gone before it can report: then
	 * there is no event, but no job either.
	 */
	check(e.status == 129 || e.status == -2, "a terminal that goes away ends the job", NULL,
	      e.status);
	finish(&j);
}

/* --- inside the ring ------------------------------------------------------------------------- */

static volatile sig_atomic_t changed;

static void on_winch(int sig)
{
	(void)sig;
	changed = 1;
}

static int winch(void)
{
	struct sigaction sa = { .sa_handler = on_winch };
	struct winsize ws;
	sigset_t block, old;

	sigemptyset(&block);
	sigaddset(&block, SIGWINCH);
	sigprocmask(SIG_BLOCK, &block, &old);
	sigaction(SIGWINCH, &sa, NULL);
	if (write(1, "go\n", 3) != 3)
		return 1;
	while (!changed)
		sigsuspend(&old);
	if (ioctl(0, TIOCGWINSZ, &ws))
		return 2;
	printf("%d x %d\n", ws.ws_row, ws.ws_col);
	return 0;
}

int main(int argc, char **argv)
{
	static char self[4096];

	if (argc > 1 && !strcmp(argv[1], "winch"))
		return winch();
	if (argc > 1 && !strcmp(argv[1], "background"))
		return background();
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		return 1;
	signal(SIGPIPE, SIG_IGN);
	cases(self);
	printf("1..%d\n", tests);
	return failures != 0;
}
