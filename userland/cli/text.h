/* SPDX-License-Identifier: MIT */
/*
 * text.h - numbers and names for people, and JSON for programs
 */
#ifndef RS_CLI_TEXT_H
#define RS_CLI_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/*
 * Names come from programs: what a terminal would obey, and what is no UTF-8, is shown as '?'. At most
 * @room columns of it. Returns @to.
 */
char *rs_text_name(char *to, size_t size, const char *name, unsigned int room);
/* 1536 is 1.5K. Never more than 5 columns. */
char *rs_text_size(char *to, size_t size, uint64_t bytes);
/* ns: "12.34s" below a minute, then "3m05", "2h05m", "3d04h" */
char *rs_text_time(char *to, size_t size, uint64_t ns);

/* @text with its quotes; what is no UTF-8 is U+FFFD, and what a terminal would obey is escaped. */
void rs_json_string(FILE *out, const char *text);

/** struct rs_json - one line of JSON being written; commas are put where they belong */
struct rs_json {
	FILE *out;
	bool comma;
};

void rs_json_open(struct rs_json *j, const char *key, char bracket);	/* @key NULL in arrays */
void rs_json_close(struct rs_json *j, char bracket);
void rs_json_u64(struct rs_json *j, const char *key, uint64_t value);
void rs_json_fixed(struct rs_json *j, const char *key, double value);	/* three decimals */
void rs_json_i64(struct rs_json *j, const char *key, int64_t value);
void rs_json_text(struct rs_json *j, const char *key, const char *value);

#endif /* RS_CLI_TEXT_H */
