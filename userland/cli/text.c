// SPDX-License-Identifier: MIT
/*
 * Numbers, names and JSON. See text.h.
 */
#include <inttypes.h>
#include <string.h>

#include "text.h"

/* The length of the UTF-8 sequence at @s, 0 when it is none. No overlong forms, no surrogates. */
static unsigned int utf8(const unsigned char *s)
{
	uint32_t c;
	unsigned int n, i;

	if (s[0] < 0x80)
		return 1;
	n = s[0] >= 0xf0 && s[0] <= 0xf4 ? 4 : (s[0] & 0xf0) == 0xe0 ? 3 :
	    s[0] >= 0xc2 && s[0] <= 0xdf ? 2 : 0;
	if (!n)
		return 0;
	c = s[0] & (0x7f >> n);
	for (i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if ((n == 3 && c < 0x800) || (n == 4 && (c < 0x10000 || c > 0x10ffff)) ||
	    (c >= 0xd800 && c < 0xe000))
		return 0;
	return n;
}

/* A character that terminals obey, of two bytes: U+0080 to U+009F. */
static bool is_c1(const unsigned char *s)
{
	return s[0] == 0xc2 && s[1] < 0xa0;
}

char *rs_text_name(char *to, size_t size, const char *name, unsigned int room)
{
	const unsigned char *s = (const unsigned char *)name;
	size_t at = 0;

	while (*s && room && at + 5 < size) {
		unsigned int n = utf8(s);
		bool plain = n == 1 ? *s >= 0x20 && *s < 0x7f : n == 2 ? !is_c1(s) : n;

		if (plain)
			memcpy(to + at, s, n);
		else
			to[at] = '?';
		at += plain ? n : 1;
		s += n ? n : 1;
		room--;
	}
	to[at] = 0;
	return to;
}

char *rs_text_size(char *to, size_t size, uint64_t bytes)
{
	static const char units[] = "BKMGTPE";
	unsigned int u = 0;
	double n = bytes;

	while (n >= 1000 && u + 1 < sizeof(units) - 1) {
		n /= 1024;
		u++;
	}
	if (!u)
		snprintf(to, size, "%u", (unsigned int)bytes);
	else
		snprintf(to, size, n < 9.95 ? "%.1f%c" : "%.0f%c", n, units[u]);
	return to;
}

char *rs_text_time(char *to, size_t size, uint64_t ns)
{
	uint64_t s = ns / 1000000000;

	if (s < 60)
		snprintf(to, size, "%u.%02us", (unsigned int)s,
			 (unsigned int)(ns / 10000000 % 100));
	else if (s < 3600)
		snprintf(to, size, "%um%02u", (unsigned int)(s / 60), (unsigned int)(s % 60));
	else if (s < 86400)
		snprintf(to, size, "%uh%02um", (unsigned int)(s / 3600),
			 (unsigned int)(s / 60 % 60));
	else
		snprintf(to, size, "%" PRIu64 "d%02uh", s / 86400, (unsigned int)(s / 3600 % 24));
	return to;
}

/* --- JSON ------------------------------------------------------------------------------------ */

void rs_json_string(FILE *out, const char *text)
{
	const unsigned char *s = (const unsigned char *)text;

	putc('"', out);
	while (*s) {
		unsigned int n = utf8(s);

		if (!n)
			fputs("\\ufffd", out);
		else if (n == 2 && is_c1(s))
			fprintf(out, "\\u%04x", s[1]);
		else if (n > 1)
			fwrite(s, 1, n, out);
		else if (*s == '"' || *s == '\\')
			fprintf(out, "\\%c", *s);
		else if (*s < 0x20 || *s == 0x7f)
			fprintf(out, "\\u%04x", *s);
		else
			putc(*s, out);
		s += n ? n : 1;
	}
	putc('"', out);
}

static void begin(struct rs_json *j, const char *key)
{
	if (j->comma)
		putc(',', j->out);
	j->comma = true;
	if (!key)
		return;
	rs_json_string(j->out, key);
	putc(':', j->out);
}

void rs_json_open(struct rs_json *j, const char *key, char bracket)
{
	begin(j, key);
	putc(bracket, j->out);
	j->comma = false;
}

void rs_json_close(struct rs_json *j, char bracket)
{
	putc(bracket, j->out);
	j->comma = true;
}

void rs_json_u64(struct rs_json *j, const char *key, uint64_t value)
{
	begin(j, key);
	fprintf(j->out, "%" PRIu64, value);
}

void rs_json_fixed(struct rs_json *j, const char *key, double value)
{
	begin(j, key);
	fprintf(j->out, "%.3f", value);
}

void rs_json_i64(struct rs_json *j, const char *key, int64_t value)
{
	begin(j, key);
	fprintf(j->out, "%" PRId64, value);
}

void rs_json_text(struct rs_json *j, const char *key, const char *value)
{
	begin(j, key);
	rs_json_string(j->out, value);
}
