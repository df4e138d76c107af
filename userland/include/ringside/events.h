/* SPDX-License-Identifier: MIT */
/*
 * events.h - what a run's guest kernel has told, after rs_run() with rs_config.events
 *
 * All of it comes from the guest and is to be mistrusted like any output of the program: numbers are
 * what the guest says they are, names may be any bytes. Nothing here is for several threads.
 */
#ifndef RINGSIDE_EVENTS_H
#define RINGSIDE_EVENTS_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * struct rs_event - one event; the words are those of struct rs_trace_event (uapi/ringside_guest.h)
 * @places: of the callers, the innermost first; valid as long as the process
 */
struct rs_event {
	uint64_t tsc;
	uint32_t type, vector, cause, vcpu;
	uint32_t pid, tid;
	uint64_t addr, rip, place, extra;
	unsigned int nplaces;
	const uint64_t *places;
};

/* rs_event.cause of RS_TRACE_SAMPLE: where the vCPU's thread was */
#define RS_SAMPLE_GUEST	0	/* in the guest */
#define RS_SAMPLE_HOST	1	/* in the host process, for call @extra */
#define RS_SAMPLE_IDLE	2	/* nowhere: the guest had nothing to do */

/**
 * rs_events_each() - calls @fn for every event, all vCPUs' merged by time, until it returns another
 * value than 0, which is returned
 */
int rs_events_each(int (*fn)(void *ctx, const struct rs_event *e), void *ctx);

/** rs_events_lost() - how many events there was no room for; exact */
uint64_t rs_events_lost(void);

/** rs_events_broken() - some ring was not as it has to be; what came after that is missing */
bool rs_events_broken(void);

/** rs_events_tsc_khz() - ticks of rs_event.tsc in a millisecond; 0: not known */
uint64_t rs_events_tsc_khz(void);

/** rs_events_file() - the name of file @number (RS_TRACE_NAME), or NULL */
const char *rs_events_file(uint64_t number);

/**
 * struct rs_where - a place in words
 * @symbol: of the function, NULL when it is not known; @delta: bytes from its beginning
 * @file:   path, "[vdso]", "[guest kernel]", or NULL: no file's; @offset: in it, or the address
 */
struct rs_where {
	const char *symbol;
	uint64_t delta;
	const char *file;
	uint64_t offset;
};

/**
 * rs_events_where() - what is at @place. Reads the symbols of files, with the rights that the process
 * has by now: what was not readable for the program has no symbols.
 */
struct rs_where rs_events_where(uint64_t place);

#ifdef __cplusplus
}
#endif

#endif /* RINGSIDE_EVENTS_H */
