// SPDX-License-Identifier: MIT
/*
 * ringside: the command. Chooses what to do by the first word; the words' own files do the rest.
 */
#include <string.h>

#include "cli.h"

#include "ringside/ringside.h"

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *text;
} commands[] = {
	{ "run",	rs_cli_run,	"run a program in a guest ring" },
	{ "trace",	rs_cli_trace,	"run a program and say where its page faults go" },
	{ "profile",	rs_cli_profile,	"run a program and say where its time goes" },
	{ "ps",		rs_cli_ps,	"list the VMs that run" },
	{ "top",	rs_cli_top,	"show which use most, again and again" },
	{ "stat",	rs_cli_stat,	"show every counter of a VM" },
	{ "events",	rs_cli_events,	"tell what happens to VMs" },
	{ "pause",	rs_cli_pause,	"take VMs out of the guest" },
	{ "resume",	rs_cli_resume,	"let paused VMs go on" },
	{ "kill",	rs_cli_kill,	"end VMs" },
	{ "limit",	rs_cli_limit,	"set what a VM may use" },
	{ "doctor",	rs_cli_doctor,	"say what this machine offers and what is missing" },
};

#define NR_COMMANDS	(sizeof(commands) / sizeof(commands[0]))

static void usage(FILE *out)
{
	size_t i;

	fprintf(out, "usage: ringside COMMAND [ARGUMENT]...\n\n");
	for (i = 0; i < NR_COMMANDS; i++)
		fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].text);
	fprintf(out, "\n  ringside COMMAND --help    more about a command\n  ringside --version\n");
}

int main(int argc, char **argv)
{
	static char line[BUFSIZ];
	size_t i;

	/* A line is one write: whoever reads our complaints beside somebody else's output gets them whole. */
	setvbuf(stderr, line, _IOLBF, sizeof(line));

	if (argc < 2) {
		usage(stderr);
		return RS_STATUS_SETUP;
	}
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		printf("ringside %s\n", RINGSIDE_VERSION);
		return 0;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
		usage(stdout);
		return 0;
	}
	for (i = 0; i < NR_COMMANDS; i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].run(argc - 1, argv + 1);
	fprintf(stderr, "ringside: there is no command \"%s\"\n", argv[1]);
	usage(stderr);
	return RS_STATUS_SETUP;
}
