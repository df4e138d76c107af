// SPDX-License-Identifier: MIT
/*
 * ringside doctor
 */
#include <string.h>

#include "cli.h"

#include "ringside/ringside.h"

int rs_cli_doctor(int argc, char **argv)
{
	if (argc == 2 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
		printf("usage: ringside doctor\n\n"
		       "Prints what this machine offers for running programs in a guest ring, and "
		       "what to do about what is missing.\n"
		       "The exit status is 0 when nothing is.\n");
		return 0;
	}
	if (argc > 1) {
		fprintf(stderr, "ringside doctor: takes no argument, but was given \"%s\"\n",
			argv[1]);
		return RS_STATUS_SETUP;
	}
	return rs_doctor(stdout);
}
