// SPDX-License-Identifier: MIT
/*
 * procmap.c - /proc/thread-self/maps (that of the process is empty once its first thread has ended)
 *
 * A line is "begin-end rwxp offset major:minor inode   path", numbers in hexadecimal but for the inode; the path may be missing, and may have
 * blanks (Linux writes a line's end in it as \012). Everything works without libc's files and memory, so that it can be used in handlers.
 * The kernel gives the mappings in order and whole lines; a read that ends within one is gone on with.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include "sys.h"

#define LINE	4608	/* a path has at most 4096 bytes */

/* A number in @base; at least one digit, at most 64 bits. NULL: there is none */
static const char *number(const char *s, unsigned int base, uint64_t *value)
{
	const char *first = s;

	for (*value = 0; ; s++) {
		unsigned int digit;

		if (*s >= '0' && *s <= '9')
			digit = *s - '0';
		else if (*s >= 'a' && *s <= 'f')
			digit = *s - 'a' + 10;
		else
			break;
		if (digit >= base || *value > (UINT64_MAX - digit) / base)
			return NULL;
		*value = *value * base + digit;
	}
	return s == first ? NULL : s;
}

static int type_of(const char *path)
{
	if (!*path)
		return PROCMAP_TYPE_ANONYMOUS;
	if (*path != '[')
		return PROCMAP_TYPE_FILE;
	if (!strcmp(path, "[heap]"))
		return PROCMAP_TYPE_HEAP;
	if (!strncmp(path, "[stack", 6))
		return PROCMAP_TYPE_STACK;
	if (!strcmp(path, "[vsyscall]"))
		return PROCMAP_TYPE_VSYSCALL;
	if (!strcmp(path, "[vdso]"))
		return PROCMAP_TYPE_VDSO;
	if (!strncmp(path, "[vvar", 5))
		return PROCMAP_TYPE_VVAR;	/* and [vvar_vclock] */
	return PROCMAP_TYPE_UNKNOWN;
}

bool dune_procmap_parse(char *line, struct dune_procmap_entry *e)
{
	uint64_t begin, end, offset, ignored;
	const char *s = number(line, 16, &begin);

	s = s && *s == '-' ? number(s + 1, 16, &end) : NULL;
	if (!s || *s != ' ' || begin >= end)
		return false;
	if ((s[1] != 'r' && s[1] != '-') || (s[2] != 'w' && s[2] != '-') || (s[3] != 'x' && s[3] != '-') || (s[4] != 'p' && s[4] != 's') ||
	    s[5] != ' ')
		return false;
	e->r = s[1] == 'r';
	e->w = s[2] == 'w';
	e->x = s[3] == 'x';
	e->p = s[4] == 'p';
	s = number(s + 6, 16, &offset);
	s = s && *s == ' ' ? number(s + 1, 16, &ignored) : NULL;
	s = s && *s == ':' ? number(s + 1, 16, &ignored) : NULL;
	s = s && *s == ' ' ? number(s + 1, 10, &ignored) : NULL;
	if (!s || (*s && *s != ' '))
		return false;
	while (*s == ' ')
		s++;
	e->begin = begin;
	e->end = end;
	e->offset = offset;
	e->path = (char *)s;
	e->type = type_of(s);
	return true;
}

int dune_procmap_each(bool (*fn)(const struct dune_procmap_entry *e, void *arg), void *arg)
{
	struct dune_procmap_entry e;
	size_t have = 0;
	char buf[LINE];
	long fd, n;
	int ret = 0;

	fd = rs_raw6(SYS_openat, AT_FDCWD, (long)"/proc/thread-self/maps", O_RDONLY | O_CLOEXEC, 0, 0, 0);
	if (fd < 0)
		return fd;
	for (;;) {
		char *line = buf, *end;

		n = rs_raw6(SYS_read, fd, (long)buf + have, sizeof(buf) - have, 0, 0, 0);
		if (n == -EINTR)
			continue;
		if (n <= 0) {
			ret = n ? n : have ? -EIO : 0;
			break;
		}
		have += n;
		while ((end = memchr(line, '\n', buf + have - line))) {
			*end = 0;
			if (!dune_procmap_parse(line, &e)) {
				ret = -EIO;
				goto out;
			}
			if (!fn(&e, arg))
				goto out;
			line = end + 1;
		}
		have -= line - buf;
		memmove(buf, line, have);
		if (have == sizeof(buf)) {
			ret = -EIO;
			break;
		}
	}
out:
	rs_raw6(SYS_close, fd, 0, 0, 0, 0, 0);
	return ret;
}

static bool plain(const struct dune_procmap_entry *e, void *arg)
{
	dune_procmap_cb cb = *(dune_procmap_cb *)arg;

	cb(e);
	return true;
}

void dune_procmap_iterate(dune_procmap_cb cb)
{
	int ret = dune_procmap_each(plain, &cb);

	if (ret) {
		dune_printf("dune: /proc/thread-self/maps: error %d\n", -ret);
		dune_die();
	}
}

static void dump(const struct dune_procmap_entry *e)
{
	dune_printf("0x%016lx-0x%016lx %c%c%c%c %08lx %s\n", e->begin, e->end, e->r ? 'R' : '-', e->w ? 'W' : '-', e->x ? 'X' : '-',
		    e->p ? 'P' : 'S', e->offset, e->path);
}

void dune_procmap_dump(void)
{
	dune_printf("--- Process Map Dump ---\n");
	dune_procmap_iterate(dump);
}
