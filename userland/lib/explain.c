// SPDX-License-Identifier: MIT
/*
 * --explain: for every refusal, the rule that refused and the option that would allow it.
 *
 * Three kinds of rules refuse: the table of system calls (by policy class), Landlock or policy.c
 * (by path), and the file's own permissions. Which of the latter two it was is found out by
 * resolving the path again, so the line is advice, not evidence: the file may have changed since.
 */
#define _GNU_SOURCE
#include <asm/unistd.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "explain.h"
#include "raw.h"
#include "sandbox.h"

/* A path as it may be printed: no control characters. */
static void printable(char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = '?';
}

static const char *call_name(uint64_t nr, char *buf, size_t size)
{
	if (nr < RS_TABLE_SIZE && rs_call_table[nr].name)
		return rs_call_table[nr].name;
	snprintf(buf, size, "system call %llu", (unsigned long long)nr);
	return buf;
}

/* The directory that --ro or --rw should name for @path. */
static void advise(const char *path, bool dir, char *out, size_t size)
{
	const char *slash = strrchr(path, '/');

	if (dir || !slash)
		snprintf(out, size, "%s", path);
	else
		snprintf(out, size, "%.*s", slash == path ? 1 : (int)(slash - path), path);
}

static bool is_directory(const char *path)
{
	struct stat st;

	return !rs_raw4(__NR_newfstatat, AT_FDCWD, (long)path, (long)&st, 0) && S_ISDIR(st.st_mode);
}

void rs_explain_path(const struct rs_sandbox *sb, long nr, const char *path, unsigned int access)
{
	char shown[RS_PATH_MAX], where[RS_PATH_MAX], name[32];
	const char *what = access & RS_ROOT_WRITE ? "writing" : "reading";
	const struct rs_root *r;

	if (!sb->explain)
		return;
	snprintf(shown, sizeof(shown), "%s", path);
	printable(shown);
	r = rs_root_for(sb, path, RS_ROOT_READ);
	if (access & RS_ROOT_WRITE && r && r->access & RS_ROOT_WRITE) {
		rs_say(sb,
		       "refused %s \"%s\" for writing: %s %s allows it, the file's own permissions "
		       "do not; no option changes that",
		       call_name(nr, name, sizeof(name)), shown, r->why, r->path);
		return;
	}
	if (!(access & RS_ROOT_WRITE) && r) {
		rs_say(sb,
		       "refused %s \"%s\" for reading: %s %s allows it, the file's own permissions "
		       "do not; no option changes that",
		       call_name(nr, name, sizeof(name)), shown, r->why, r->path);
		return;
	}
	advise(shown, is_directory(path), where, sizeof(where));
	if (r)
		rs_say(sb,
		       "refused %s \"%s\" for writing: %s %s is read-only; allow it with --rw %s",
		       call_name(nr, name, sizeof(name)), shown, r->why, r->path, where);
	else
		rs_say(sb,
		       "refused %s \"%s\" for %s: it is in no --ro or --rw path; allow it with %s "
		       "%s",
		       call_name(nr, name, sizeof(name)), shown, what,
		       access & RS_ROOT_WRITE ? "--rw" : "--ro", where);
}

static void explain_class(const struct rs_sandbox *sb, uint64_t nr, unsigned int policy)
{
	static const char *const reason[] = {
		[RS_P_IO]	= "its arguments are not allowed",
		[RS_P_PATH]	= "its arguments are not allowed",
		[RS_P_META]	= "its arguments are not allowed",
		[RS_P_NET]	= "the network is closed (--net none); allow it with --net host",
		[RS_P_PROC]	= "it reaches into other processes; no option allows it",
		[RS_P_SYS]	= "it is system administration; no option allows it",
		[RS_P_NEVER]	= "it reaches too much of the kernel; no option allows it",
	};
	char name[32];

	if (policy == RS_P_NET && sb->net_host) {
		rs_say(sb,
		       "refused %s: a unix socket leads to programs of this machine, not to the "
		       "network; no option allows it",
		       call_name(nr, name, sizeof(name)));
		return;
	}
	if (policy == RS_P_NET && sb->net_nic) {
		rs_say(sb,
		       "refused %s: with --net e1000 the network is the guest's own, and nothing of this "
		       "machine's is reached; no option allows it",
		       call_name(nr, name, sizeof(name)));
		return;
	}
	rs_say(sb, "refused %s: %s", call_name(nr, name, sizeof(name)),
	       policy < sizeof(reason) / sizeof(reason[0]) ? reason[policy] : "not allowed");
}

void rs_explain_guest(const struct rs_sandbox *sb, uint64_t nr, uint64_t error, uint64_t path_gpa)
{
	char path[256], name[32];
	const void *from;
	size_t n;

	if (!sb->explain)
		return;
	path[0] = 0;
	if (path_gpa) {
		n = RS_PAGE - path_gpa % RS_PAGE;
		if (n > sizeof(path) - 1)
			n = sizeof(path) - 1;
		from = rs_gpa(&sb->mem, path_gpa, n);
		if (from && !rs_copy_from_guest(path, from, n))
			path[n] = 0;
		printable(path);
	}
	if (nr >= RS_TABLE_SIZE || rs_call_table[nr].class == RS_CLASS_NONE) {
		rs_say(sb,
		       "refused %s: it is not in the table of system calls; no option allows it",
		       call_name(nr, name, sizeof(name)));
		return;
	}
	if (error == EACCES && rs_call_table[nr].class == RS_CLASS_GUEST)
		rs_say(sb,
		       "refused %s: memory that is writable and executable at once; allow it with "
		       "--allow-wx",
		       call_name(nr, name, sizeof(name)));
	else if (path[0])
		rs_say(sb, "refused %s \"%s\": %s", call_name(nr, name, sizeof(name)), path,
		       strerror(error < 4096 ? (int)error : 0));
	else
		explain_class(sb, nr, rs_call_table[nr].policy);
}

/* Is it a call that changes the directory its path lies in? */
static bool changes_directory(long nr)
{
	switch (nr) {
	case __NR_mkdir:
	case __NR_mkdirat:
	case __NR_rmdir:
	case __NR_unlink:
	case __NR_unlinkat:
	case __NR_rename:
	case __NR_renameat:
	case __NR_renameat2:
	case __NR_link:
	case __NR_linkat:
	case __NR_symlink:
	case __NR_symlinkat:
	case __NR_mknod:
	case __NR_mknodat:
	case __NR_creat:
		return true;
	}
	return false;
}

/* Explain argument @i, a path relative to @dfd. Returns whether it said something. */
static bool explain_argument(struct rs_slow_call *s, long dfd, int i, unsigned int access)
{
	struct rs_sandbox *sb = s->by->sb;
	char path[RS_PATH_MAX], real[RS_PATH_MAX], *slash;
	size_t n, have = 0;
	long fd;

	if (!s->in[i])
		return false;
	for (;;) {
		const void *from;

		n = RS_PAGE - (s->in[i] + have) % RS_PAGE;
		if (n > sizeof(path) - 1 - have)
			n = sizeof(path) - 1 - have;
		from = rs_gpa(&sb->mem, s->in[i] + have, n);
		if (!n || !from || rs_copy_from_guest(path + have, from, n))
			return false;
		if (memchr(path + have, 0, n))
			break;
		have += n;
	}
	fd = rs_raw4(__NR_openat, dfd, (long)path, O_PATH | O_CLOEXEC, 0);
	if (fd >= 0) {
		n = !rs_path_of(sb, fd, real);
		rs_raw3(__NR_close, fd, 0, 0);
	} else {
		/* It does not exist: the directory it would be in was what counted. */
		slash = strrchr(path, '/');
		if (slash)
			*(slash == path ? slash + 1 : slash) = 0;
		else
			strcpy(path, ".");
		fd = rs_raw4(__NR_openat, dfd, (long)path, O_PATH | O_CLOEXEC, 0);
		if (fd < 0)
			return false;
		n = !rs_path_of(sb, fd, real);
		rs_raw3(__NR_close, fd, 0, 0);
		if (n && strlen(real) + 2 < sizeof(real))
			strcat(real, real[1] ? "/*" : "*");
	}
	if (!n || (rs_root_for(sb, real, access) && s->row->args[4]))
		return false;	/* of two paths it was the other one */
	rs_explain_path(sb, s->nr, real, access);
	return true;
}

long rs_explain_slow(void *arg)
{
	struct rs_slow_call *s = arg;
	unsigned int access = RS_ROOT_READ, i;
	long flags = 0, dfd = AT_FDCWD;
	bool said = false;
	char name[32];

	if (s->row->policy == RS_P_NET &&
	    (!s->by->sb->net_host ||
	     (s->nr == __NR_connect && *(sa_family_t *)s->by->scratch.addr == AF_UNIX))) {
		explain_class(s->by->sb, s->nr, RS_P_NET);
		return 0;
	}
	if (s->nr == __NR_open || s->nr == __NR_openat)
		flags = s->args[s->nr == __NR_open ? 1 : 2];
	if (changes_directory(s->nr) || (flags & O_ACCMODE) != O_RDONLY || flags & O_CREAT)
		access = RS_ROOT_WRITE;
	for (i = 0; i < s->row->nargs; i++) {
		switch (RS_ARG_KIND(s->row->args[i])) {
		case RS_A_DFD:
			dfd = s->args[i];
			break;
		case RS_A_PATH:
		case RS_A_PATHN:
			/* The first path of a symbolic link is its content. */
			if ((s->nr == __NR_symlink || s->nr == __NR_symlinkat) && !i)
				break;
			said |= explain_argument(s, dfd, i, access);
			dfd = AT_FDCWD;
			break;
		}
	}
	if (!said)
		rs_say(s->by->sb, "refused %s: %s, by Linux itself",
		       call_name(s->nr, name, sizeof(name)), strerror(-(int)s->result));
	return 0;
}
