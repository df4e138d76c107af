// SPDX-License-Identifier: MIT
/*
 * sleep SECONDS - ends when the time is over
 *
 * The end is fixed before the first sleep, as a time of the monotonic clock: however often a signal interrupts, the
 * rest is not added up from pieces.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int main(int argc, char **argv)
{
	struct timespec end;
	double seconds;
	char *rest;

	if (argc != 2) {
		fprintf(stderr, "usage: sleep SECONDS\n");
		return 2;
	}
	seconds = strtod(argv[1], &rest);
	if (rest == argv[1] || *rest || !(seconds >= 0) || seconds > 1e9) {
		fprintf(stderr, "sleep: %s is no number of seconds\n", argv[1]);
		return 2;
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += (time_t)seconds;
	end.tv_nsec += (long)((seconds - (time_t)seconds) * 1e9);
	if (end.tv_nsec >= 1000000000) {
		end.tv_nsec -= 1000000000;
		end.tv_sec++;
	}
	while ((errno = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL)))
		if (errno != EINTR) {
			perror("sleep");
			return 1;
		}
	return 0;
}
