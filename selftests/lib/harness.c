// SPDX-License-Identifier: MIT
/*
 * harness.c - runs the registered tests one after the other, each in a child, and prints TAP
 *
 * The child reports by its exit status. The parent waits for the end of the child or the time limit
 * with a timed wait for SIGCHLD (blocked here, not in the child), then the whole process group is
 * killed, so that no helper process survives its test.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "harness.h"

enum { STATUS_PASS = 0, STATUS_FAIL = 1, STATUS_SKIP = 4 };

static struct test *tests, **tests_end = &tests;
static volatile bool failed;
static int skip_pipe[2];
static sigset_t mask_at_start;

void test_register(struct test *t)
{
	*tests_end = t;
	tests_end = &t->next;
}

static void note(const char *where, const char *fmt, va_list ap)
{
	char line[1024], *nl;
	int n;

	n = snprintf(line, sizeof(line), "# %s", where);
	vsnprintf(line + n, sizeof(line) - n, fmt, ap);
	for (nl = line; (nl = strchr(nl, '\n')); )
		*nl = ' ';
	dprintf(1, "%s\n", line);
}

unsigned int test_rounds(unsigned int n)
{
	const char *kernel = getenv("RINGSIDE_VM_KERNEL");

	return kernel && (!strcmp(kernel, "debug") || !strcmp(kernel, "leak")) ? n / 4 : n;
}

char test_thread_state(int tid)
{
	char path[64], text[256] = "", *p;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", getpid(), tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	p = n > 0 ? strrchr(text, ')') : NULL;
	return p && p[1] ? p[2] : 0;
}

void test_note(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	note("", fmt, ap);
	va_end(ap);
}

void test_failed(const char *file, int line, const char *fmt, ...)
{
	const char *base = strrchr(file, '/');
	char where[128];
	va_list ap;

	failed = true;
	snprintf(where, sizeof(where), "%s:%d: ", base ? base + 1 : file, line);
	va_start(ap, fmt);
	note(where, fmt, ap);
	va_end(ap);
}

void test_leave(void)
{
	_exit(failed ? STATUS_FAIL : STATUS_PASS);
}

void test_skip(const char *fmt, ...)
{
	char reason[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(reason, sizeof(reason), fmt, ap);
	va_end(ap);
	if (n >= (int)sizeof(reason))
		n = sizeof(reason) - 1;
	if (failed || write(skip_pipe[1], reason, n) != n)
		_exit(STATUS_FAIL);
	_exit(STATUS_SKIP);
}

static void child(const struct test *t)
{
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(skip_pipe[0]);
	sigprocmask(SIG_SETMASK, &mask_at_start, NULL);
	t->run();
	test_leave();
}

/* The child's wait status, or -1 when its time was over. */
static int wait_child(pid_t pid, unsigned int seconds)
{
	struct timespec now, end, left;
	sigset_t chld;
	int status;

	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += seconds;
	for (;;) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return status;
		clock_gettime(CLOCK_MONOTONIC, &now);
		left.tv_sec = end.tv_sec - now.tv_sec;
		left.tv_nsec = 0;
		if (left.tv_sec <= 0)
			return -1;
		sigtimedwait(&chld, NULL, &left);
	}
}

static bool run(const struct test *t, unsigned int number)
{
	char reason[512] = "";
	int status, n = 0;
	pid_t pid;

	if (pipe(skip_pipe)) {
		perror("pipe");
		exit(1);
	}
	fflush(stdout);
	pid = fork();
	if (pid < 0) {
		perror("fork");
		exit(1);
	}
	if (!pid)
		child(t);
	setpgid(pid, pid);
	close(skip_pipe[1]);
	status = wait_child(pid, t->seconds);
	kill(-pid, SIGKILL);
	if (status == -1) {
		kill(pid, SIGKILL);
		printf("# not done after %u s\n", t->seconds);
		waitpid(pid, NULL, 0);
	} else if (WIFSIGNALED(status)) {
		printf("# killed by signal %d\n", WTERMSIG(status));
	} else if (WEXITSTATUS(status) == STATUS_SKIP) {
		n = read(skip_pipe[0], reason, sizeof(reason) - 1);
	}
	close(skip_pipe[0]);
	if (n > 0)
		printf("ok %u %s # SKIP %.*s\n", number, t->name, n, reason);
	else
		printf("%sok %u %s\n", status == 0 ? "" : "not ", number, t->name);
	fflush(stdout);
	return status == 0 || n > 0;
}

static bool wanted(const struct test *t, int argc, char **argv)
{
	const char *base = strrchr(argv[0], '/');
	const struct test *other;
	int i;

	base = base ? base + 1 : argv[0];
	for (other = tests; other; other = other->next)
		if (!strcmp(base, other->suite) && strcmp(base, t->suite))
			return false;
	for (i = 1; i < argc; i++)
		if (!strcmp(argv[i], t->name) || !strcmp(argv[i], t->suite))
			return true;
	return argc < 2;
}

static int run_here(const char *name)
{
	const struct test *t;

	for (t = tests; t; t = t->next)
		if (!strcmp(t->name, name)) {
			skip_pipe[1] = 2;
			t->run();
			test_leave();
		}
	fprintf(stderr, "no test is called %s\n", name);
	return 2;
}

int main(int argc, char **argv)
{
	unsigned int number = 0, count = 0;
	const struct test *t;
	bool good = true;
	sigset_t chld;

	if (argc >= 2 && !strcmp(argv[1], "-l")) {
		argv[1] = argv[0];
		for (t = tests; t; t = t->next)
			if (wanted(t, argc - 1, argv + 1))
				puts(t->name);
		return 0;
	}
	if (argc == 3 && !strcmp(argv[1], "-1"))
		return run_here(argv[2]);
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, &mask_at_start);
	for (t = tests; t; t = t->next)
		count += wanted(t, argc, argv);
	printf("TAP version 13\n1..%u\n", count);
	for (t = tests; t; t = t->next)
		if (wanted(t, argc, argv))
			good &= run(t, ++number);
	return good && count ? 0 : 1;
}
