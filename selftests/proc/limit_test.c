// SPDX-License-Identifier: MIT
/*
 * limit_test.c - programs that need a sandbox, a pid name space or a cgroup to themselves
 *
 * They are called by a first word that begins with "@" and say by their exit status whether all was right:
 *	@everybody	kill(-1) reaches every other process there is, and not the caller;
 *	@everybody-of-mine	the same as a user whom nobody else is
 *	@limit		at most 64 processes: the next fork fails with EAGAIN, and works again when one has gone
 *	@bomb		processes that all fork as long as they can; killed as a group, everything is as before
 */
#include <sys/prctl.h>
#include "proc.h"

#define LIMIT 64

static int prog_everybody(uid_t uid)
{
	struct gate ready = gate_make();
	pid_t pid[8];

	if (uid && setuid(uid))
		return say("setuid");
	for (int i = 0; i < 8; i++) {
		pid[i] = fork();
		if (pid[i] < 0)
			return say("fork");
		if (!pid[i]) {
			if (i % 2)
				setsid();
			gate_open(ready);
			for (;;)
				pause();
		}
		gate_wait(ready);
	}
	if (kill(-1, SIGTERM))
		return say("kill(-1)");
	for (int i = 0; i < 8; i++) {
		int status = status_of(pid[i]);

		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGTERM)
			return say("a process did not die of it");
	}
	/* others are there, whom a user may not signal: that is success too */
	if (!uid && (kill(-1, 0) != -1 || errno != ESRCH))
		return say("kill(-1) still finds somebody");
	return 0;
}

/* Forks until it fails; the number of children. */
static int fork_all(pid_t *pid)
{
	int n = 0;

	for (; n < 2 * LIMIT; n++) {
		pid[n] = fork();
		if (pid[n] < 0)
			break;
		if (!pid[n])
			for (;;)
				pause();
	}
	return n;
}

static int prog_limit(void)
{
	pid_t pid[2 * LIMIT];
	int first = 0;

	for (int round = 0; round < 20; round++) {
		int n = fork_all(pid);

		if (errno != EAGAIN || n < LIMIT / 2 || n >= LIMIT)
			return printf("%d processes, ", n), say("fork does not end with EAGAIN below the limit");
		if (round && n != first)
			return printf("%d processes, then %d, ", first, n), say("the limit moves");
		first = n;
		/* one goes, one may come */
		kill(pid[0], SIGKILL);
		if (status_of(pid[0]) != SIGKILL)
			return say("wait");
		pid[0] = fork();
		if (pid[0] < 0)
			return say("fork after one had gone");
		if (!pid[0])
			for (;;)
				pause();
		if (fork() != -1)
			return say("one more than the limit");
		for (int i = 0; i < n; i++)
			kill(pid[i], SIGKILL);
		for (int i = 0; i < n; i++)
			if (status_of(pid[i]) != SIGKILL)
				return say("wait");
	}
	return 0;
}

static int prog_bomb(void)
{
	volatile int *failed = shared_pages(1);
	int status;

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	for (int round = 0; round < 10; round++) {
		pid_t pid = fork();

		if (pid < 0)
			return say("fork");
		failed[0] = 0;
		if (!pid) {
			setpgid(0, 0);
			for (;;)
				if (fork() < 0) {
					failed[0] = errno;
					sched_yield();
				}
		}
		setpgid(pid, pid);
		if (!eventually(failed[0]))
			return say("no limit");
		if (failed[0] != EAGAIN)
			return errno = failed[0], say("fork failed, but not with EAGAIN");
		/* a fork that had begun may add one after the signal: until none is left */
		for (pid_t got = 1; got > 0; ) {
			kill(-pid, SIGKILL);
			while ((got = waitpid(-1, &status, WNOHANG)) > 0)
				;
			if (got < 0 && errno == ECHILD)
				break;
			got = 1;
			sched_yield();
		}
	}
	return 0;
}

__attribute__((constructor)) static void program(int argc, char **argv)
{
	if (argc != 2)
		return;
	if (!strcmp(argv[1], "@everybody"))
		exit(prog_everybody(0));
	if (!strcmp(argv[1], "@everybody-of-mine"))
		exit(prog_everybody(54321));
	if (!strcmp(argv[1], "@limit"))
		exit(prog_limit());
	if (!strcmp(argv[1], "@bomb"))
		exit(prog_bomb());
}
