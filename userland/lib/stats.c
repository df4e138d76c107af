// SPDX-License-Identifier: MIT
/*
 * What a run cost, as one line of JSON for programs or as a table for people.
 */
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "ringside/ringside.h"

#define COUNT(group, name, field, text)	{ group, name, offsetof(struct rs_counts, field), text }

static const struct {
	const char *group, *name;
	size_t offset;
	const char *text;
} rows[] = {
	COUNT("exits", "total",		exits,		"VM exits"),
	COUNT("exits", "npf",		npf,		"nested page faults"),
	COUNT("exits", "hypercall",	hypercall,	"hypercalls"),
	COUNT("exits", "interrupt",	interrupt,	"interrupts of the host"),
	COUNT("exits", "nmi",		nmi,		"non-maskable interrupts"),
	COUNT("exits", "window",	window,		"interrupt windows"),
	COUNT("exits", "cpuid",		cpuid,		"CPUID"),
	COUNT("exits", "msr",		msr,		"MSR accesses"),
	COUNT("exits", "io",		io,		"port accesses"),
	COUNT("exits", "cr",		cr,		"control registers"),
	COUNT("exits", "dr",		dr,		"debug registers"),
	COUNT("exits", "hlt",		hlt,		"HLT"),
	COUNT("exits", "exception",	exception,	"exceptions"),
	COUNT("exits", "shutdown",	shutdown,	"triple faults"),
	COUNT("exits", "other",		other,		"others"),
	COUNT("host", "entries",	entries,	"VM entries"),
	COUNT("host", "user_exits",	user_exits,	"exits that reached the host process"),
	COUNT("host", "map_4k",		map_4k,		"nested entries of 4 KiB"),
	COUNT("host", "map_2m",		map_2m,		"nested entries of 2 MiB"),
	COUNT("host", "injected",	injected,	"events injected"),
	COUNT("host", "invalidated",	invalidated,	"nested entries removed again"),
	COUNT("host", "kicks",		kicks,		"vCPUs interrupted for it"),
	COUNT("guest", "faults",	faults,		"page faults"),
	COUNT("guest", "cow_copies",	cow_copies,	"pages copied on write"),
	COUNT("guest", "table_copies",	table_copies,	"page tables copied on write"),
	COUNT("guest", "zero_fills",	zero_fills,	"pages of zeros"),
	COUNT("guest", "forks",		forks,		"forks"),
	COUNT("guest", "execs",		execs,		"execs"),
	COUNT("guest", "syscalls",	syscalls,	"system calls"),
	COUNT("guest", "forwarded",	forwarded,	"of them executed by Linux"),
	COUNT("guest", "signals",	signals,	"signals delivered"),
	COUNT("guest", "file_maps",	file_maps,	"files mapped"),
	COUNT("guest", "pages_total",	pages_total,	"pages of memory"),
	COUNT("guest", "pages_free",	pages_free,	"of them free at the end"),
	COUNT("guest", "pages_peak",	pages_peak,	"most in use at once"),
};

void rs_print_counts(FILE *out, const struct rs_counts *counts, enum rs_stats_format format)
{
	const char *group = "";
	size_t i;

	if (format == RS_STATS_OFF)
		return;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t n = *(const uint64_t *)((const char *)counts + rows[i].offset);
		int same = !strcmp(group, rows[i].group);

		if (format == RS_STATS_JSON) {
			fprintf(out, "%s", same ? "," : *group ? "}," : "{");
			if (!same)
				fprintf(out, "\"%s\":{", rows[i].group);
			fprintf(out, "\"%s\":%" PRIu64, rows[i].name, n);
		} else {
			if (!same)
				fprintf(out, "%s\n", rows[i].group);
			if (n || !strcmp(rows[i].name, "total"))
				fprintf(out, "  %-12s %12" PRIu64 "  %s\n", rows[i].name, n,
					rows[i].text);
		}
		group = rows[i].group;
	}
	if (format == RS_STATS_JSON)
		fprintf(out, "}}\n");
	fflush(out);
}
