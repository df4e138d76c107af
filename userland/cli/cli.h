/* SPDX-License-Identifier: MIT */
/*
 * cli.h - the commands of ringside; each gets its own argv (argv[0] is the command) and returns an
 * exit status
 */
#ifndef RS_CLI_H
#define RS_CLI_H

#include <stdio.h>

#include "ringside/ringside.h"

/**
 * struct rs_cli_more - a command that runs a program as `ringside run` does, and does more
 * @name, @help: the command's; @help is followed by that of run's options
 * @option: takes argv[*i], and argv[*i + 1] if that is its value (then *i is moved there): 1; 0: it is
 *	    none of its own; -1: it is, and wrong, which has been said
 * @setup:  before the run; an exit status other than 0 ends the command
 * @end:    after it
 */
struct rs_cli_more {
	const char *name, *help;
	int (*option)(char **argv, int *i);
	int (*setup)(struct rs_config *c);
	void (*end)(FILE *messages, const struct rs_result *r);
};

int rs_cli_run(int argc, char **argv);
int rs_cli_trace(int argc, char **argv);
int rs_cli_profile(int argc, char **argv);

/** rs_cli_run_more() - run with more; @more may be NULL */
int rs_cli_run_more(int argc, char **argv, const struct rs_cli_more *more);

/**
 * rs_cli_option() - is argv[*i] option @name? Its value is in @value: behind "=", or, with @needs, the
 * next word. Returns 1, 0 when it is another one, -1 when the value is missing.
 */
int rs_cli_option(char **argv, int *i, const char *name, int needs, const char **value);

/** rs_cli_size() - bytes with an optional suffix K, M, G; 0 when it is no size */
uint64_t rs_cli_size(const char *s);
int rs_cli_doctor(int argc, char **argv);
int rs_cli_ps(int argc, char **argv);
int rs_cli_top(int argc, char **argv);
int rs_cli_stat(int argc, char **argv);
int rs_cli_events(int argc, char **argv);
int rs_cli_pause(int argc, char **argv);
int rs_cli_resume(int argc, char **argv);
int rs_cli_kill(int argc, char **argv);
int rs_cli_limit(int argc, char **argv);

#endif /* RS_CLI_H */
