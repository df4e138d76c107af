/* SPDX-License-Identifier: MIT */
/*
 * cli.h - the commands of ringside; each gets its own argv (argv[0] is the command) and returns an
 * exit status
 */
#ifndef RS_CLI_H
#define RS_CLI_H

#include <stdio.h>

int rs_cli_run(int argc, char **argv);
int rs_cli_doctor(int argc, char **argv);
int rs_cli_ps(int argc, char **argv);

#endif /* RS_CLI_H */
