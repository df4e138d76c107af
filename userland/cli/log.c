// SPDX-License-Identifier: MIT
/*
 * The log of a run's events: a line for each, in the order of time.
 *
 *	time in microseconds since the first, [vCPU], program/thread, event: what of it
 *
 * Names of programs are those of the process's last exec; a child begins with its parent's.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "ringside_guest.h"

#include "report.h"

#include "ringside/ringside.h"

#define PIDS	32768u

struct log {
	FILE *out;
	uint64_t wanted;
	bool begun;
	uint64_t first, khz;
	uint32_t exe[PIDS];	/* numbers of files, by pid */
};

static const char *program(const struct log *l, uint32_t pid)
{
	const char *path = pid < PIDS ? rs_events_file(l->exe[pid]) : NULL, *slash;

	if (!path)
		return "?";
	slash = strrchr(path, '/');
	return report_text(slash ? slash + 1 : path);
}

static void callers(FILE *out, const struct rs_event *e)
{
	unsigned int i;

	for (i = 0; i < e->nplaces; i++)
		fprintf(out, " < %s", report_where(e->places[i]));
}

static void memory(FILE *out, const struct rs_event *e)
{
	const char *access = e->cause & RS_HOW_WRITE ? "write" :
			     e->cause & RS_HOW_EXEC ? "fetch" : "read";

	fprintf(out, "%s 0x%" PRIx64 ": %s", access, e->addr, report_how(e));
	if (e->extra & 0xffff)
		fprintf(out, ", pages %" PRIu64, e->extra & 0xffff);
	if (e->extra >> 16 & 0xffff)
		fprintf(out, ", tables %" PRIu64, e->extra >> 16 & 0xffff);
}

static void call_name(FILE *out, uint64_t nr)
{
	const char *name = nr < RS_CALL_BASE ? rs_call_name(nr) : NULL;

	if (name)
		fprintf(out, "%s", name);
	else if (nr >= RS_CALL_BASE)
		fprintf(out, "request %" PRIu64, nr - RS_CALL_BASE);
	else
		fprintf(out, "call %" PRIu64, nr);
}

static const char *end_text(const struct rs_event *e)
{
	return e->cause & RS_HOW_UPCALL ? "upcall" : e->cause & RS_HOW_SIGNAL ? "signal" : "killed";
}

static void describe(FILE *out, const struct rs_event *e)
{
	switch (e->type) {
	case RS_TRACE_FAULT:
	case RS_TRACE_FILL:
		fprintf(out, "%s: ", e->type == RS_TRACE_FAULT ? "fault" : "fill");
		memory(out, e);
		break;
	case RS_TRACE_TRAP:
		fprintf(out, "trap: exception %u: %s", e->vector, end_text(e));
		break;
	case RS_TRACE_FORK:
		fprintf(out, "fork: %s %" PRIu64, e->cause ? "thread" : "process", e->extra);
		break;
	case RS_TRACE_EXEC:
		fprintf(out, "exec");
		break;
	case RS_TRACE_EXIT:
		fprintf(out, "exit: status 0x%" PRIx64, e->extra);
		break;
	case RS_TRACE_SWITCH:
		if (e->extra)
			fprintf(out, "switch: to %" PRIu64 "%s", e->extra,
				e->cause ? " of another process" : "");
		else
			fprintf(out, "switch: to nobody");
		break;
	case RS_TRACE_CALL:
		fprintf(out, "call: ");
		call_name(out, e->extra);
		fprintf(out, "%s", e->cause ? ", by a helper" : "");
		break;
	case RS_TRACE_CALL_END:
		fprintf(out, "call_end: ");
		call_name(out, e->addr);
		fprintf(out, " = %" PRId64, (int64_t)e->extra);
		break;
	case RS_TRACE_UPCALL:
		fprintf(out, "upcall: exception %u, address 0x%" PRIx64 ", to 0x%" PRIx64, e->vector,
			e->addr, e->extra);
		break;
	case RS_TRACE_SIGNAL:
		fprintf(out, "signal: %" PRIu64 ", handler 0x%" PRIx64, e->extra, e->addr);
		break;
	case RS_TRACE_SAMPLE:
		fprintf(out, "sample: %s", e->cause == RS_SAMPLE_HOST ? "in the host" :
			e->cause == RS_SAMPLE_IDLE ? "idle" : "in the guest");
		break;
	default:
		fprintf(out, "event %u", e->type);
	}
	if (e->place)
		fprintf(out, " at %s", report_where(e->place));
	callers(out, e);
}

static int log_event(void *ctx, const struct rs_event *e)
{
	struct log *l = ctx;
	uint64_t ticks;

	if (!l->begun)
		l->first = e->tsc;
	l->begun = true;
	ticks = e->tsc - l->first;
	if (e->type == RS_TRACE_EXEC && e->pid < PIDS)
		l->exe[e->pid] = e->extra < RS_TRACE_NAMES ? e->extra : 0;
	if (e->type == RS_TRACE_FORK && !e->cause && e->extra < PIDS && e->pid < PIDS)
		l->exe[e->extra] = l->exe[e->pid];
	if (!(l->wanted >> e->type & 1))
		return 0;
	fprintf(l->out, "%12.3f [%02u] ", (double)ticks * 1000.0 / (double)l->khz, e->vcpu);
	if (e->tid)
		fprintf(l->out, "%s/%u ", program(l, e->pid), e->tid);
	else
		fprintf(l->out, "- ");
	describe(l->out, e);
	fputc('\n', l->out);
	return 0;
}

void report_log(FILE *out, uint64_t wanted)
{
	struct log *l = calloc(1, sizeof(*l));

	if (!l)
		return;
	l->out = out;
	l->wanted = wanted;
	l->khz = rs_events_tsc_khz() ? rs_events_tsc_khz() : 1000000;
	rs_events_each(log_event, l);
	free(l);
	if (rs_events_lost())
		fprintf(out, "%" PRIu64 " events found no room and are missing (see --buffer)\n",
			rs_events_lost());
	if (rs_events_broken())
		fprintf(out, "the guest's records are damaged: events are missing\n");
}
