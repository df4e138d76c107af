// SPDX-License-Identifier: MIT
/*
 * pingpong [ROUNDS] - one byte between two processes over two pipes
 *
 * Each side closes the ends that are the other's; otherwise the one that is left would wait for ever for a byte that
 * only it could write. The byte carries the number of the round, so that a lost or doubled one is noticed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { READ, WRITE };

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void receive(int fd, unsigned char want)
{
	unsigned char got;

	switch (read(fd, &got, 1)) {
	case 1:
		break;
	case 0:
		fprintf(stderr, "pingpong: the other side has gone\n");
		exit(1);
	default:
		fail("pingpong: read");
	}
	if (got != want) {
		fprintf(stderr, "pingpong: round %u came instead of %u\n", got, want);
		exit(1);
	}
}

static void give(int fd, unsigned char byte)
{
	if (write(fd, &byte, 1) != 1)
		fail("pingpong: write");
}

int main(int argc, char **argv)
{
	long rounds = argc > 1 ? atol(argv[1]) : 1;
	int ping[2], pong[2], status;
	pid_t pid;

	if (rounds < 1 || argc > 2) {
		fprintf(stderr, "usage: pingpong [ROUNDS]\n");
		return 2;
	}
	if (pipe(ping) || pipe(pong))
		fail("pingpong: pipe");
	pid = fork();
	if (pid < 0)
		fail("pingpong: fork");
	if (!pid) {
		close(ping[WRITE]);
		close(pong[READ]);
		for (long i = 0; i < rounds; i++) {
			receive(ping[READ], (unsigned char)i);
			if (!i)
				dprintf(1, "child: received ping\n");
			give(pong[WRITE], (unsigned char)i);
		}
		return 0;
	}
	close(ping[READ]);
	close(pong[WRITE]);
	for (long i = 0; i < rounds; i++) {
		give(ping[WRITE], (unsigned char)i);
		receive(pong[READ], (unsigned char)i);
		if (!i)
			dprintf(1, "parent: received pong\n");
	}
	if (waitpid(pid, &status, 0) != pid)
		fail("pingpong: waitpid");
	dprintf(1, "%ld round trips\n", rounds);
	return status ? 1 : 0;
}
