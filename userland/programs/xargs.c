// SPDX-License-Identifier: MIT
/*
 * xargs [-n LINES] COMMAND [WORD]... - runs COMMAND with lines of the standard input as further words
 *
 * One line is one word, spaces included; LINES of them (1) go to each run, the last run may have fewer. Without
 * any line nothing runs. The status is 123 when some run failed, 124 when one died by a signal, 126 and 127 when
 * COMMAND cannot be executed or is not there: then it stops.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int worst;

static void run(char **argv)
{
	int status, code;
	pid_t pid = fork();

	if (pid < 0) {
		perror("xargs: fork");
		exit(1);
	}
	if (!pid) {
		execvp(argv[0], argv);
		code = errno == ENOENT ? 127 : 126;
		fprintf(stderr, "xargs: %s: %s\n", argv[0], strerror(errno));
		_exit(code);
	}
	if (waitpid(pid, &status, 0) != pid) {
		perror("xargs: waitpid");
		exit(1);
	}
	code = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
	if (code == 126 || code == 127)
		exit(code);
	if (code)
		worst = WIFEXITED(status) ? (worst ? worst : 123) : 124;
}

int main(int argc, char **argv)
{
	int first = 1, have, lines = 1, taken = 0;
	size_t room = 0;
	char *line = NULL, **words;
	ssize_t n;

	if (argc > 3 && !strcmp(argv[1], "-n")) {
		lines = atoi(argv[2]);
		first = 3;
	}
	have = argc - first;
	if (have < 1 || lines < 1 || lines > 10000) {
		fprintf(stderr, "usage: xargs [-n LINES] COMMAND [WORD]...\n");
		return 2;
	}
	words = calloc(have + lines + 1, sizeof(*words));
	if (!words) {
		perror("xargs");
		return 1;
	}
	memcpy(words, argv + first, have * sizeof(*words));
	while ((n = getline(&line, &room, stdin)) >= 0) {
		if (n && line[n - 1] == '\n')
			line[n - 1] = 0;
		words[have + taken] = strdup(line);
		if (!words[have + taken++]) {
			perror("xargs");
			return 1;
		}
		if (taken < lines)
			continue;
		run(words);
		while (taken) {
			free(words[have + --taken]);
			words[have + taken] = NULL;
		}
	}
	if (taken)
		run(words);
	return worst;
}
