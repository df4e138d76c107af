/* SPDX-License-Identifier: MIT */
/*
 * report.h - what the events of a run come to, in text, JSON and SVG; for trace and profile
 */
#ifndef RS_REPORT_H
#define RS_REPORT_H

#include <stdio.h>

#include "ringside/events.h"

/** report_text() - @s, what could do harm in a terminal replaced by '?'; good until the eighth call after this */
const char *report_text(const char *s);

/** report_where() - a place as "symbol+0x1f (file)"; the text is good until the eighth call after this */
const char *report_where(uint64_t place);

/** report_symbol() - the same without the offset, for what is added up; never NULL */
const char *report_symbol(uint64_t place);

/** report_how() - the cause of a fault in words: "zero fill", "copy on write" ...; @fill: of RS_TRACE_FILL */
const char *report_how(const struct rs_event *e);

/** report_log() - events of the types @wanted (bit N: type N), a line each, in the order of time */
void report_log(FILE *out, uint64_t wanted);

/**
 * report_faults() - page faults, and memory made present by calls, by cause and place, most frequent
 * first
 */
void report_faults(FILE *out, bool json);

/** report_profile() - samples by function, most frequent first */
void report_profile(FILE *out, bool json, unsigned int hz);

/* --- flame.c --------------------------------------------------------------------------------- */

struct flame;

/** flame_new() - an empty graph; @what is counted ("faults") */
struct flame *flame_new(const char *title, const char *what);

/** flame_add() - @n more for the path of names, the outermost first */
void flame_add(struct flame *f, const char *const *path, unsigned int len, uint64_t n);

/** flame_write() - as an SVG that needs nothing else */
void flame_write(const struct flame *f, FILE *out);

/** flame_faults(), flame_profile() - of the run's events */
struct flame *flame_faults(const char *title);
struct flame *flame_profile(const char *title);

#endif /* RS_REPORT_H */
