// SPDX-License-Identifier: MIT
/*
 * rs-signal-race [ROUNDS]: signals that arrive around the moment at which a program begins to wait.
 *
 * Every round blocks SIGALRM, starts a timer of random length, and waits with the signal unblocked
 * by the very call that waits (ppoll, sigsuspend, ppoll of a descriptor). On Linux such a signal
 * cannot be lost, however it falls: before the call, while it starts, inside. In the ring it
 * crosses the host process on its way; if it were lost there, the program would wait for ever, and
 * a watchdog of the process (a pipe that nobody writes to, waited for with a long timeout) says in
 * which round.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t alarms;

static void on_alarm(int sig)
{
	(void)sig;
	alarms++;
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 3000, i, pipe_fd[2];
	struct sigaction sa = { .sa_handler = on_alarm };
	struct timespec patience = { 20, 0 };
	sigset_t block, open_mask;
	unsigned int seed = 1;

	if (pipe(pipe_fd))
		return 1;
	sigemptyset(&open_mask);
	sigemptyset(&block);
	sigaddset(&block, SIGALRM);
	sigprocmask(SIG_BLOCK, &block, NULL);
	sigaction(SIGALRM, &sa, NULL);
	for (i = 0; i < rounds; i++) {
		struct itimerval timer = { .it_value = { 0, 1 + rand_r(&seed) % 400 } };
		struct pollfd p = { .fd = pipe_fd[0], .events = POLLIN };
		int before = alarms, ret = -1;

		if (setitimer(ITIMER_REAL, &timer, NULL))
			return 1;
		errno = 0;
		switch (i % 3) {
		case 0:
			ret = ppoll(NULL, 0, &patience, &open_mask);
			break;
		case 1:
			ret = ppoll(&p, 1, &patience, &open_mask);
			break;
		case 2:
			ret = sigsuspend(&open_mask);
			break;
		}
		if (ret != -1 || errno != EINTR || alarms != before + 1) {
			printf("round %d: result %d, errno %d, %d signals\n", i, ret, errno,
			       (int)alarms - before);
			return 1;
		}
	}
	printf("%d rounds\n", rounds);
	return 0;
}
