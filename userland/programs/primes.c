// SPDX-License-Identifier: MIT
/*
 * primes [LIMIT] - a sieve of processes
 *
 * Every process is a filter for one prime: the first number that reaches it, which it prints. Of the rest it hands on
 * those that its prime does not divide, to a child that it makes when there is one. The numbers end with the end of the
 * pipe, stage by stage, and each stage waits for the next: when the first has ended, all have.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void fail(const char *what)
{
	fprintf(stderr, "primes: %s: %s\n", what, strerror(errno));
	exit(1);
}

/* Reads a number. 0 at the end. */
static int next(int fd, int *n)
{
	ssize_t got = read(fd, n, sizeof(*n));

	if (got < 0)
		fail("read");
	return got == sizeof(*n);
}

static void put(int fd, int n)
{
	if (write(fd, &n, sizeof(n)) != sizeof(n))
		fail("write");
}

/* The end of a pipe from which the new process reads what is written to the end that is returned. */
static pid_t stage(int *write_end, int also_close);

static void sieve(int in)
{
	int prime, n, status, out = -1;
	pid_t pid = -1;

	if (!next(in, &prime))
		exit(0);
	dprintf(1, "%d\n", prime);
	while (next(in, &n)) {
		if (n % prime == 0)
			continue;
		if (out < 0)
			pid = stage(&out, in);
		put(out, n);
	}
	if (out >= 0)
		close(out);
	if (pid > 0 && (waitpid(pid, &status, 0) != pid || status))
		exit(1);
	exit(0);
}

static pid_t stage(int *write_end, int also_close)
{
	int end[2];
	pid_t pid;

	if (pipe(end))
		fail("pipe");
	pid = fork();
	if (pid < 0)
		fail("fork");
	if (!pid) {
		close(end[1]);
		if (also_close >= 0)
			close(also_close);
		sieve(end[0]);
	}
	close(end[0]);
	*write_end = end[1];
	return pid;
}

int main(int argc, char **argv)
{
	int limit = argc > 1 ? atoi(argv[1]) : 35, out, status;
	pid_t pid;

	if (limit < 2 || argc > 2) {
		fprintf(stderr, "usage: primes [LIMIT]\n");
		return 2;
	}
	pid = stage(&out, -1);
	for (int i = 2; i <= limit; i++)
		put(out, i);
	close(out);
	if (waitpid(pid, &status, 0) != pid)
		fail("waitpid");
	return status ? 1 : 0;
}
