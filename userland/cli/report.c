// SPDX-License-Identifier: MIT
/*
 * What the events of a run come to.
 *
 * Everything here is from the guest: numbers are used as numbers only, text is printed with
 * report_text() or as a JSON or XML string.
 */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "ringside_guest.h"

#include "report.h"
#include "text.h"

#include "ringside/ringside.h"

/* --- words ----------------------------------------------------------------------------------- */

const char *report_text(const char *s)
{
	static char ring[8][512];
	static unsigned int next;
	char *to = ring[next++ % 8];

	return rs_text_name(to, sizeof(ring[0]), s, sizeof(ring[0]));
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

const char *report_where(uint64_t place)
{
	static char ring[8][640];
	static unsigned int next;
	char *to = ring[next++ % 8];
	struct rs_where w = rs_events_where(place);

	if (w.symbol)
		snprintf(to, sizeof(ring[0]), "%s+0x%" PRIx64 " (%s)", report_text(w.symbol), w.delta,
			 report_text(base_name(w.file)));
	else if (w.file)
		snprintf(to, sizeof(ring[0]), "%s+0x%" PRIx64, report_text(base_name(w.file)),
			 w.offset);
	else
		snprintf(to, sizeof(ring[0]), "0x%" PRIx64, w.offset);
	return to;
}

const char *report_symbol(uint64_t place)
{
	static char ring[8][640];
	static unsigned int next;
	char *to = ring[next++ % 8];
	struct rs_where w = rs_events_where(place);

	if (w.symbol)
		snprintf(to, sizeof(ring[0]), "%s (%s)", report_text(w.symbol),
			 report_text(base_name(w.file)));
	else
		snprintf(to, sizeof(ring[0]), "%s",
			 w.file ? report_text(base_name(w.file)) : "[no file]");
	return to;
}

static const struct {
	uint32_t bit;
	const char *text;
} hows[] = {
	{ RS_HOW_KILL, "killed" },
	{ RS_HOW_SIGNAL, "signal" },
	{ RS_HOW_UPCALL, "upcall" },
	{ RS_HOW_PAGER, "pager" },
	{ RS_HOW_EFAULT, "bad address" },
	{ RS_HOW_ZERO, "zero fill" },
	{ RS_HOW_COW, "copy on write" },
	{ RS_HOW_FILE_COPY, "copy of a file's page" },
	{ RS_HOW_FILE, "file mapped" },
	{ RS_HOW_LAZY, "read of untouched memory" },
	{ RS_HOW_SHARED, "shared memory" },
	{ RS_HOW_RIGHTS, "right given back" },
};

const char *report_how(const struct rs_event *e)
{
	static char ring[8][64];
	static unsigned int next;
	char *to = ring[next++ % 8];
	const char *text = "other";
	unsigned int i;

	for (i = 0; i < sizeof(hows) / sizeof(hows[0]); i++)
		if (e->cause & hows[i].bit) {
			text = hows[i].text;
			break;
		}
	snprintf(to, sizeof(ring[0]), "%s%s%s", text, e->cause & RS_HOW_TABLE ? ", of a table" : "",
		 e->type == RS_TRACE_FILL ? ", by a call" : "");
	return to;
}

static uint64_t pages_of(const struct rs_event *e)
{
	return e->extra & 0xffff;
}

static uint64_t tables_of(const struct rs_event *e)
{
	return e->extra >> 16 & 0xffff;
}

/* --- counting by key ------------------------------------------------------------------------- */

/* struct row - @text and @place are the key; the rest is added up */
struct row {
	char *text;
	uint64_t place;
	uint64_t n, pages, tables;
	unsigned int next;
};

struct rows {
	struct row *row;
	unsigned int n, room;
	unsigned int *buckets;
};

#define BUCKETS	4096u
#define NONE	(~0u)

static void no_memory(void)
{
	fprintf(stderr, "ringside: out of memory\n");
	exit(1);
}

static struct row *row_of(struct rows *r, const char *text, uint64_t place)
{
	uint64_t h = place * 0x9e3779b97f4a7c15ull;
	const char *s;
	unsigned int i;

	for (s = text; *s; s++)
		h = (h ^ (unsigned char)*s) * 0x100000001b3ull;
	h = (h ^ h >> 32) % BUCKETS;
	if (!r->buckets) {
		r->buckets = malloc(BUCKETS * sizeof(*r->buckets));
		if (!r->buckets)
			no_memory();
		memset(r->buckets, 0xff, BUCKETS * sizeof(*r->buckets));
	}
	for (i = r->buckets[h]; i != NONE; i = r->row[i].next)
		if (r->row[i].place == place && !strcmp(r->row[i].text, text))
			return &r->row[i];
	if (r->n == r->room) {
		r->room = r->room ? 2 * r->room : 256;
		r->row = realloc(r->row, r->room * sizeof(*r->row));
		if (!r->row)
			no_memory();
	}
	r->row[r->n] = (struct row){ .text = strdup(text), .place = place, .next = r->buckets[h] };
	if (!r->row[r->n].text)
		no_memory();
	r->buckets[h] = r->n;
	return &r->row[r->n++];
}

static int by_count(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	int ret;

	if (x->n != y->n)
		return x->n < y->n ? 1 : -1;
	ret = strcmp(x->text, y->text);
	return ret ? ret : x->place < y->place ? -1 : x->place > y->place;
}

static void sort_rows(struct rows *r)
{
	if (r->n)
		qsort(r->row, r->n, sizeof(*r->row), by_count);
}

static void place_json(FILE *out, uint64_t place)
{
	struct rs_where w = rs_events_where(place);

	fprintf(out, "\"symbol\":");
	if (w.symbol)
		rs_json_string(out, w.symbol);
	else
		fprintf(out, "null");
	fprintf(out, ",\"delta\":%" PRIu64 ",\"file\":", w.delta);
	if (w.file)
		rs_json_string(out, w.file);
	else
		fprintf(out, "null");
	fprintf(out, ",\"offset\":%" PRIu64, w.offset);
}

static void warn_lost(FILE *out)
{
	if (rs_events_lost())
		fprintf(out, "%" PRIu64 " events found no room and are missing (see --buffer)\n",
			rs_events_lost());
	if (rs_events_broken())
		fprintf(out, "the guest's records are damaged: events are missing\n");
}

/* --- faults ---------------------------------------------------------------------------------- */

static int add_fault(void *ctx, const struct rs_event *e)
{
	struct row *r;

	if (e->type != RS_TRACE_FAULT && e->type != RS_TRACE_FILL)
		return 0;
	r = row_of(ctx, report_how(e), e->place);
	r->n++;
	r->pages += pages_of(e);
	r->tables += tables_of(e);
	return 0;
}

void report_faults(FILE *out, bool json)
{
	struct rows r = { 0 };
	struct row total = { 0 };
	unsigned int i;

	rs_events_each(add_fault, &r);
	sort_rows(&r);
	for (i = 0; i < r.n; i++) {
		total.n += r.row[i].n;
		total.pages += r.row[i].pages;
		total.tables += r.row[i].tables;
	}
	if (json) {
		fprintf(out, "{\"lost\":%" PRIu64 ",\"total\":%" PRIu64 ",\"pages\":%" PRIu64
			",\"tables\":%" PRIu64 ",\"faults\":[", rs_events_lost(), total.n, total.pages,
			total.tables);
		for (i = 0; i < r.n; i++) {
			fprintf(out, "%s\n{\"cause\":", i ? "," : "");
			rs_json_string(out, r.row[i].text);
			fprintf(out, ",\"count\":%" PRIu64 ",\"pages\":%" PRIu64 ",\"tables\":%" PRIu64
				",", r.row[i].n, r.row[i].pages, r.row[i].tables);
			place_json(out, r.row[i].place);
			fprintf(out, "}");
		}
		fprintf(out, "]}\n");
		return;
	}
	fprintf(out, "%9s %8s %7s  %-28s %s\n", "faults", "pages", "tables", "cause", "where");
	for (i = 0; i < r.n; i++)
		fprintf(out, "%9" PRIu64 " %8" PRIu64 " %7" PRIu64 "  %-28s %s\n", r.row[i].n,
			r.row[i].pages, r.row[i].tables, r.row[i].text, report_where(r.row[i].place));
	fprintf(out, "%9" PRIu64 " %8" PRIu64 " %7" PRIu64 "  %s\n", total.n, total.pages,
		total.tables, "all");
	warn_lost(out);
}

/* --- samples --------------------------------------------------------------------------------- */

static void sample_name(const struct rs_event *e, char *to, size_t size)
{
	if (e->cause == RS_SAMPLE_HOST)
		snprintf(to, size, "[host: %s]", e->extra < RS_CALL_BASE ? "a call of Linux" :
			 "a request of the guest kernel");
	else if (e->cause == RS_SAMPLE_IDLE)
		snprintf(to, size, "[idle]");
	else
		snprintf(to, size, "%s", report_symbol(e->place));
}

static int add_sample(void *ctx, const struct rs_event *e)
{
	char name[700];

	if (e->type != RS_TRACE_SAMPLE)
		return 0;
	sample_name(e, name, sizeof(name));
	row_of(ctx, name, 0)->n++;
	return 0;
}

void report_profile(FILE *out, bool json, unsigned int hz)
{
	uint64_t total = 0, idle = 0;
	struct rows r = { 0 };
	unsigned int i;

	rs_events_each(add_sample, &r);
	sort_rows(&r);
	for (i = 0; i < r.n; i++) {
		if (!strcmp(r.row[i].text, "[idle]"))
			idle = r.row[i].n;
		else
			total += r.row[i].n;
	}
	if (json)
		fprintf(out, "{\"hz\":%u,\"lost\":%" PRIu64 ",\"samples\":%" PRIu64 ",\"idle\":%" PRIu64
			",\"functions\":[", hz, rs_events_lost(), total, idle);
	else
		fprintf(out, "%9s %8s  %s\n", "samples", "percent", "function");
	for (i = 0; i < r.n; i++) {
		if (json) {
			fprintf(out, "%s\n{\"count\":%" PRIu64 ",\"name\":", i ? "," : "", r.row[i].n);
			rs_json_string(out, r.row[i].text);
			fprintf(out, "}");
		} else if (!strcmp(r.row[i].text, "[idle]")) {
			continue;
		} else {
			fprintf(out, "%9" PRIu64 " %7.2f%%  %s\n", r.row[i].n,
				100.0 * (double)r.row[i].n / (double)total, r.row[i].text);
		}
	}
	if (json) {
		fprintf(out, "]}\n");
		return;
	}
	fprintf(out, "%9" PRIu64 " at %u a second, and %" PRIu64 " in which a CPU was idle\n", total, hz,
		idle);
	warn_lost(out);
}

/* --- flame graphs ---------------------------------------------------------------------------- */

#define PATH_LEN	80

static void add_path(struct flame *f, const struct rs_event *e, const char *first, const char *last)
{
	char *names[PATH_LEN];
	unsigned int n = 0, i = e->nplaces < PATH_LEN - 4 ? e->nplaces : PATH_LEN - 4;

	if (first)
		names[n++] = strdup(first);
	while (i--) {
		struct rs_where w = rs_events_where(e->places[i]);

		/* What is there for the sake of looking only (userland/guest/events) */
		if (w.symbol && !strncmp(w.symbol, "__wrap_", 7))
			continue;
		names[n++] = strdup(report_symbol(e->places[i]));
	}
	names[n++] = strdup(last);
	for (i = 0; i < n; i++)
		if (!names[i])
			no_memory();
	flame_add(f, (const char *const *)names, n, 1);
	while (n--)
		free(names[n]);
}

static int add_fault_path(void *ctx, const struct rs_event *e)
{
	if (e->type == RS_TRACE_FAULT || e->type == RS_TRACE_FILL)
		add_path(ctx, e, report_how(e), report_where(e->place));
	return 0;
}

static int add_sample_path(void *ctx, const struct rs_event *e)
{
	char name[700];

	if (e->type != RS_TRACE_SAMPLE || e->cause == RS_SAMPLE_IDLE)
		return 0;
	sample_name(e, name, sizeof(name));
	add_path(ctx, e, NULL, name);
	return 0;
}

struct flame *flame_faults(const char *title)
{
	struct flame *f = flame_new(title, "faults");

	rs_events_each(add_fault_path, f);
	return f;
}

struct flame *flame_profile(const char *title)
{
	struct flame *f = flame_new(title, "samples");

	rs_events_each(add_sample_path, f);
	return f;
}
