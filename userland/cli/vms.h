/* SPDX-License-Identifier: MIT */
/*
 * vms.h - what the commands that speak with the module about VMs share
 *
 * Their exit statuses: 0; 1: the module refused, or there is no such VM; 125: the command line is
 * wrong, or there is no module to speak with.
 */
#ifndef RS_CLI_VMS_H
#define RS_CLI_VMS_H

#include <stdbool.h>

#include "ringside/control.h"
#include "text.h"

#define STATUS_REFUSED	1

/* Opens, or says why not on standard error and returns NULL; the status is RS_STATUS_SETUP then. */
struct rs_control *rs_vms_open(const char *command);

/* "ringside COMMAND: " and the words, on standard error. Returns @status. */
int rs_vms_say(int status, const char *command, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * The VM that a word means: id:N, pid:N, or N, which is both as long as that is one VM. 0, or the status
 * to exit with, said on standard error.
 */
int rs_vms_find(struct rs_control *c, const char *command, const char *word, struct rs_vm_info *vm);

/* "running", "paused", "ended" */
const char *rs_vms_state(const struct rs_vm_info *vm);
/* The name to show: the program's, without its directory, or the process's. */
const char *rs_vms_name(const struct rs_vm_info *vm);
/* The fields of one, without the brackets. */
void rs_vms_json(struct rs_json *j, const struct rs_vm_info *vm);

/*
 * Options of a command without others: -h, --help print @help; --json sets *@json (NULL: there is none).
 * Returns the index of the first argument, 0 when everything is done, -1 with the status to exit with in
 * *@status.
 */
int rs_vms_options(int argc, char **argv, const char *help, bool *json, int *status);

#endif /* RS_CLI_VMS_H */
