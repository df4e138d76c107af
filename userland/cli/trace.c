// SPDX-License-Identifier: MIT
/*
 * ringside trace, ringside profile: run a program, and say from the guest kernel's events (or samples)
 * what it did.
 *
 * The report is made in the process that the run has confined: what it reads comes from the guest and
 * from files of the program, and nothing more than the program could do can come of it. The files it
 * writes are opened before.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ringside_guest.h"

#include "cli.h"
#include "report.h"

#define BIT(type)	(1ull << (type))
#define FAULT_EVENTS	(BIT(RS_TRACE_FAULT) | BIT(RS_TRACE_FILL))
#define ALL_EVENTS	((BIT(RS_TRACE_SAMPLE) - 1) & ~1ull)
#define DEPTH		24
#define DEFAULT_HZ	997	/* not in step with what happens every millisecond */

static const struct {
	const char *name;
	uint64_t events;
} words[] = {
	{ "all", ALL_EVENTS },		{ "fault", BIT(RS_TRACE_FAULT) },
	{ "fill", BIT(RS_TRACE_FILL) }, { "trap", BIT(RS_TRACE_TRAP) },
	{ "fork", BIT(RS_TRACE_FORK) }, { "exec", BIT(RS_TRACE_EXEC) },
	{ "exit", BIT(RS_TRACE_EXIT) }, { "switch", BIT(RS_TRACE_SWITCH) },
	{ "call", BIT(RS_TRACE_CALL) | BIT(RS_TRACE_CALL_END) },
	{ "upcall", BIT(RS_TRACE_UPCALL) },
	{ "signal", BIT(RS_TRACE_SIGNAL) },
};

static struct {
	bool profile, faults, json;
	uint64_t events, memory;
	unsigned int hz, depth;
	const char *out, *svg;
} o = { .hz = DEFAULT_HZ, .memory = RS_DEFAULT_EVENTS };

static const char trace_help[] =
	"usage: ringside trace [OPTION]... [--] PROGRAM [ARGUMENT]...\n"
	"\n"
	"Runs PROGRAM as `ringside run` does, and prints at the end where its page faults went: cause, "
	"place, how many, pages.\n"
	"\n"
	"What is gathered:\n"
	"  --faults             page faults, and memory made present by calls (without another option)\n"
	"  --events LIST        a log of events instead: all, or some of fault, fill, trap, fork, exec, "
	"exit, switch, call, upcall, signal, with commas\n"
	"  --callers N          with each event, N callers at most, by frame pointers (default: 24 with "
	"--svg, else none)\n"
	"  --buffer SIZE        memory for it per CPU (default 256M); what is beyond is counted\n"
	"Where it goes:\n"
	"  -o FILE              instead of standard error\n"
	"  --svg FILE           a flame graph of faults: cause, callers, place\n"
	"  --json               the table as JSON\n"
	"Options of run:\n";

static const char profile_help[] =
	"usage: ringside profile [OPTION]... [--] PROGRAM [ARGUMENT]...\n"
	"\n"
	"Runs PROGRAM as `ringside run` does, looks many times a second where its CPUs are, and prints at "
	"the end in which functions.\n"
	"\n"
	"  -F HZ                so many times a second, 1 to 10000 (default 997)\n"
	"  --callers N          N callers at most, by frame pointers (default: 24 with --svg, else none)\n"
	"  --buffer SIZE        memory for it per CPU (default 256M); what is beyond is counted\n"
	"  -o FILE              where the table goes, instead of standard error\n"
	"  --svg FILE           a flame graph\n"
	"  --json               the table as JSON\n"
	"Options of run:\n";

static int bad(const char *what, const char *value)
{
	fprintf(stderr, "ringside %s: %s%s%s%s\n", o.profile ? "profile" : "trace", what,
		value ? " \"" : "", value ? value : "", value ? "\"" : "");
	return -1;
}

static int parse_events(const char *list)
{
	size_t i, n;

	for (; *list; list += n + (list[n] == ',')) {
		n = strcspn(list, ",");
		for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
			if (strlen(words[i].name) == n && !strncmp(words[i].name, list, n))
				break;
		if (i == sizeof(words) / sizeof(words[0]))
			return bad("--events: there is no event", list);
		o.events |= words[i].events;
	}
	return o.events ? 1 : bad("--events: no event is named", NULL);
}

static int parse_count(const char *name, const char *value, unsigned int most, unsigned int *to)
{
	unsigned long n;
	char *end;

	n = strtoul(value, &end, 10);
	if (*value < '0' || *value > '9' || *end || !n || n > most) {
		fprintf(stderr, "ringside %s: %s: \"%s\" is no number between 1 and %u\n",
			o.profile ? "profile" : "trace", name, value, most);
		return -1;
	}
	*to = n;
	return 1;
}

/* A file that is relative to where we are now: the run may be elsewhere by then. */
static int parse_file(const char *value, const char **to)
{
	*to = *value ? value : NULL;
	return *to ? 1 : bad("a file's name is empty", NULL);
}

static int option(char **argv, int *i)
{
	const char *v, *name = argv[*i];
	int ret;

	if (!strcmp(name, "--json")) {
		o.json = true;
		return 1;
	}
	if (!o.profile && !strcmp(name, "--faults")) {
		o.faults = true;
		return 1;
	}
	ret = rs_cli_option(argv, i, "-o", 1, &v);
	if (ret > 0)
		return parse_file(v, &o.out);
	if (!ret && (ret = rs_cli_option(argv, i, "--svg", 1, &v)) > 0)
		return parse_file(v, &o.svg);
	if (!ret && (ret = rs_cli_option(argv, i, "--callers", 1, &v)) > 0)
		return parse_count("--callers", v, 64, &o.depth);
	if (!ret && (ret = rs_cli_option(argv, i, "--buffer", 1, &v)) > 0) {
		o.memory = rs_cli_size(v);
		return o.memory ? 1 : bad("--buffer: no size", v);
	}
	if (!ret && !o.profile && (ret = rs_cli_option(argv, i, "--events", 1, &v)) > 0)
		return parse_events(v);
	if (!ret && o.profile && (ret = rs_cli_option(argv, i, "-F", 1, &v)) > 0)
		return parse_count("-F", v, RS_MAX_SAMPLE_HZ, &o.hz);
	if (ret < 0)
		bad("a value is missing behind", name);
	return ret;
}

static int setup(struct rs_config *c)
{
	if (!o.events)
		o.faults = true;
	if (o.json && o.events) {
		bad("--json is for the table of faults, not for --events", NULL);
		return RS_STATUS_SETUP;
	}
	c->events = o.profile ? BIT(RS_TRACE_SAMPLE) :
		    o.events | (o.faults || o.svg ? FAULT_EVENTS : 0);
	if (o.events)
		c->events |= BIT(RS_TRACE_EXEC) | BIT(RS_TRACE_FORK);	/* for names */
	c->event_depth = o.depth ? o.depth : o.svg ? DEPTH : 0;
	c->event_memory = o.memory;
	c->sample_hz = o.profile ? o.hz : 0;
	c->outputs[0] = o.out;
	c->outputs[1] = o.svg;
	return 0;
}

static void report(FILE *out)
{
	if (o.profile) {
		report_profile(out, o.json, o.hz);
		return;
	}
	if (o.events)
		report_log(out, o.events);
	if (o.faults)
		report_faults(out, o.json);
}

static void closed(FILE *f, const char *name)
{
	if (fflush(f) || ferror(f))
		fprintf(stderr, "ringside: writing to %s failed\n", name);
	fclose(f);
}

static void end(FILE *messages, const struct rs_result *r)
{
	FILE *f;

	f = r->output_fds[0] >= 0 ? fdopen(r->output_fds[0], "w") : NULL;
	report(f ? f : messages);
	if (f)
		closed(f, o.out);
	f = r->output_fds[1] >= 0 ? fdopen(r->output_fds[1], "w") : NULL;
	if (f) {
		flame_write(o.profile ? flame_profile("ringside profile") :
			    flame_faults("ringside trace --faults"), f);
		closed(f, o.svg);
	}
}

int rs_cli_trace(int argc, char **argv)
{
	static const struct rs_cli_more more = { "trace", trace_help, option, setup, end };

	return rs_cli_run_more(argc, argv, &more);
}

int rs_cli_profile(int argc, char **argv)
{
	static const struct rs_cli_more more = { "profile", profile_help, option, setup, end };

	o.profile = true;
	return rs_cli_run_more(argc, argv, &more);
}
