// SPDX-License-Identifier: MIT
/*
 * Paths: what the guest may reach by name, where Landlock does not say.
 *
 * Landlock decides opens, and everything that makes, removes, links or renames. It says nothing (in
 * the ABI of Linux 6.1) about metadata: stat, access, readlink, chmod, chown, times, extended
 * attributes, truncate, watches. Those are decided here by the same roots that made the Landlock
 * rules, so that the two walls stand on one line:
 *
 *	reading metadata	inside any root, and of the directories that lead to one (programs
 *				walk down from "/")
 *	changing metadata	inside an --rw root
 *
 * No race between check and use: the name is copied out of the guest once, opened with O_PATH (so
 * that links are followed once, by the kernel), the path of that descriptor is compared with the
 * roots, and the call is made on the descriptor. What the guest renames or relinks meanwhile does
 * not matter any more: the object checked is the object used.
 *
 * The path of a descriptor is what /proc/self/fd says. Without /proc every call here is refused.
 */
#define _GNU_SOURCE
#include <asm/unistd.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "policy.h"
#include "raw.h"
#include "sandbox.h"

static const uint16_t covered[] = {
	__NR_stat,
	__NR_lstat,
	__NR_newfstatat,
	__NR_statx,
	__NR_access,
	__NR_faccessat,
	__NR_faccessat2,
	__NR_readlink,
	__NR_readlinkat,
	__NR_statfs,
	__NR_chdir,
	__NR_fchdir,
	__NR_inotify_add_watch,
	__NR_truncate,
	__NR_chmod,
	__NR_fchmod,
	__NR_fchmodat,
	__NR_chown,
	__NR_lchown,
	__NR_fchown,
	__NR_fchownat,
	__NR_utime,
	__NR_utimes,
	__NR_futimesat,
	__NR_utimensat,
	__NR_setxattr,
	__NR_lsetxattr,
	__NR_fsetxattr,
	__NR_removexattr,
	__NR_lremovexattr,
	__NR_fremovexattr,
	__NR_getxattr,
	__NR_lgetxattr,
	__NR_listxattr,
	__NR_llistxattr,
};

bool rs_policy_covers(unsigned int nr)
{
	unsigned int i;

	for (i = 0; i < sizeof(covered) / sizeof(covered[0]); i++)
		if (covered[i] == nr)
			return true;
	return false;
}

const int *rs_policy_host_calls(void)
{
	static const int calls[] = { __NR_openat,
				     __NR_close,
				     __NR_newfstatat,
				     __NR_statx,
				     __NR_faccessat2,
				     __NR_readlinkat,
				     __NR_fstatfs,
				     __NR_fstat,
				     __NR_fchdir,
				     __NR_inotify_add_watch,
				     __NR_truncate,
				     __NR_fchmodat,
				     __NR_fchmod,
				     __NR_fchownat,
				     __NR_fchown,
				     __NR_utimensat,
				     __NR_setxattr,
				     __NR_fsetxattr,
				     __NR_removexattr,
				     __NR_fremovexattr,
				     __NR_getxattr,
				     __NR_listxattr,
				     -1 };

	return calls;
}

/* --- roots ----------------------------------------------------------------------------------- */

/* Is @path the directory @dir or below it? @len is the length of @dir. */
static bool below(const char *path, const char *dir, size_t len)
{
	if (len == 1)	/* "/" */
		return path[0] == '/';
	return !strncmp(path, dir, len) && (path[len] == 0 || path[len] == '/');
}

const struct rs_root *rs_root_for(const struct rs_sandbox *sb, const char *path,
				  unsigned int access)
{
	unsigned int i;

	for (i = 0; i < sb->nroots; i++) {
		const struct rs_root *r = &sb->roots[i];

		if (!r->name && (r->access & access) == access &&
		    (r->dir ? below(path, r->path, r->len) : !strcmp(path, r->path)))
			return r;
	}
	return NULL;
}

/* Does a root lie below directory @path, or is it a name that may be known? */
static bool leads_to_root(const struct rs_sandbox *sb, const char *path)
{
	size_t len = strlen(path);
	unsigned int i;

	for (i = 0; i < sb->nroots; i++)
		if (below(sb->roots[i].path, path, len))
			return true;
	return false;
}

int rs_path_of(const struct rs_sandbox *sb, int fd, char *buf)
{
	char number[16];
	long n;

	if (sb->proc_fd < 0)
		return -EACCES;
	snprintf(number, sizeof(number), "%d", fd);
	n = rs_raw4(__NR_readlinkat, sb->proc_fd, (long)number, (long)buf, RS_PATH_MAX - 1);
	if (n < 0)
		return n;
	buf[n] = 0;
	return 0;
}

/*
 * Copy a string out of guest memory, a page at a time, since the page after its end may be
 * inaccessible.
 */
static long copy_string(const struct rs_mem *m, uint64_t gpa, char *buf, size_t size)
{
	size_t have = 0;

	while (have < size) {
		size_t n = RS_PAGE - (gpa + have) % RS_PAGE;
		const void *from;
		long ret;

		if (n > size - have)
			n = size - have;
		from = rs_gpa(m, gpa + have, n);
		if (!gpa || !from)
			return -EFAULT;
		ret = rs_copy_from_guest(buf + have, from, n);
		if (ret)
			return ret;
		if (memchr(buf + have, 0, n))
			return 0;
		have += n;
	}
	return -ENAMETOOLONG;
}

/**
 * struct target - what a call is about
 * @fd:   an O_PATH descriptor of ours (close it), or the guest's own (@mine false)
 * @path: canonical, or the name of something that is no file (then without leading slash)
 * @name: the way to say it to calls that know no descriptors: /proc/self/fd/N
 */
struct target {
	int fd;
	bool mine;
	char path[RS_PATH_MAX];
	char name[32];
};

static long set_target(const struct rs_sandbox *sb, struct target *t, int fd, bool mine)
{
	long ret;

	t->fd = fd;
	t->mine = mine;
	snprintf(t->name, sizeof(t->name), "/proc/self/fd/%d", fd);
	ret = rs_path_of(sb, fd, t->path);
	if (ret && mine)
		rs_raw3(__NR_close, fd, 0, 0);
	return ret;
}

static void put_target(struct target *t)
{
	if (t->mine)
		rs_raw3(__NR_close, t->fd, 0, 0);
}

/* A pipe, a socket, an eventfd and the like, which no name leads to. */
static bool anonymous(const char *path)
{
	return !strncmp(path, "pipe:[", 6) || !strncmp(path, "socket:[", 8) ||
	       !strncmp(path, "anon_inode:", 11);
}

/* May the guest do @access (RS_ROOT_*) to @t's metadata? 0 or -EACCES. */
static long allowed(const struct rs_sandbox *sb, long nr, const struct target *t,
		    unsigned int access)
{
	if (anonymous(t->path))		/* the descriptor is the right */
		return 0;
	if (rs_root_for(sb, t->path, access))
		return 0;
	if (access == RS_ROOT_READ && leads_to_root(sb, t->path))
		return 0;
	rs_explain_path(sb, nr, t->path, access);
	return -EACCES;
}

/*
 * Open what argument @path of the call names, relative to @dfd. An empty path with @empty_ok is the
 * descriptor itself; NULL likewise.
 */
static long resolve(struct rs_slow_call *s, long dfd, int path_arg, bool nofollow, bool empty_ok,
		    struct target *t)
{
	struct rs_sandbox *sb = s->by->sb;
	char path[RS_PATH_MAX];
	long fd, ret;

	path[0] = 0;
	if (s->in[path_arg]) {
		ret = copy_string(&sb->mem, s->in[path_arg], path, sizeof(path));
		if (ret)
			return ret;
		if (!path[0] && !empty_ok)
			return -ENOENT;
	}
	if (!path[0]) {
		if (dfd != AT_FDCWD)
			return set_target(sb, t, dfd, false);
		path[0] = '.';
		path[1] = 0;
	}
	fd = rs_raw4(__NR_openat, dfd, (long)path, O_PATH | O_CLOEXEC | (nofollow ? O_NOFOLLOW : 0),
		     0);
	if (fd < 0)
		return fd;
	return set_target(sb, t, fd, true);
}

/* resolve() and the decision in one. */
static long reach(struct rs_slow_call *s, long dfd, int path_arg, bool nofollow, bool empty_ok,
		  unsigned int access, struct target *t)
{
	long ret = resolve(s, dfd, path_arg, nofollow, empty_ok, t);

	if (ret)
		return ret;
	/*
	 * What fstat tells of a descriptor that the guest has, stdout on some file of the user's
	 * say, it tells under this name too.
	 */
	if (!t->mine && access == RS_ROOT_READ)
		return 0;
	ret = allowed(s->by->sb, s->nr, t, access);
	if (ret)
		put_target(t);
	return ret;
}

/* --- opens that Landlock does not cover ------------------------------------------------------ */

/*
 * What follows "/N/" in @path, where N is a thread of this process: each has a directory in proc, as
 * the process has, though only that is listed. NULL when there is none.
 */
static const char *behind_own_number(const char *path)
{
	long self = rs_raw3(__NR_getpid, 0, 0, 0);

	while ((path = strchr(path, '/'))) {
		char *end;
		long n = strtol(++path, &end, 10);

		if (end > path && *end == '/' && n > 0 && n <= INT_MAX &&
		    !rs_raw3(__NR_tgkill, self, n, 0))
			return end + 1;
	}
	return NULL;
}

/*
 * Is @fd, just opened, a file of this very process in a proc file system? The guest kernel
 * answers what its processes may know of themselves; here mem, maps, fd/N and the like are the host
 * process's. Wherever it is mounted and whatever names led there, the file system's type and the
 * number in the resolved path tell. What is no more the process's than the machine's may be read:
 * that is what /proc/mounts and /proc/net lead to.
 */
static bool own_proc(const struct rs_sandbox *sb, int fd, bool writing)
{
	static const char *const common[] = { "mounts", "mountinfo", "cgroup" };
	char path[RS_PATH_MAX];
	struct statfs fs;
	const char *at;
	unsigned int i;

	if (!rs_raw3(__NR_fstatfs, fd, (long)&fs, 0) && fs.f_type != PROC_SUPER_MAGIC)
		return false;
	if (rs_path_of(sb, fd, path))
		return true;
	at = behind_own_number(path);
	if (!at)
		return false;
	if (!writing && !strncmp(at, "net/", 4))
		return false;
	for (i = 0; !writing && i < sizeof(common) / sizeof(common[0]); i++)
		if (!strcmp(at, common[i]))
			return false;
	return true;
}

static long policy_open(struct rs_slow_call *s)
{
	int p = s->nr == __NR_open ? 0 : 1;
	long dfd = p ? s->args[0] : AT_FDCWD;
	long flags = s->args[p + 1], mode = s->args[p + 2], fd, ret;
	struct rs_sandbox *sb = s->by->sb;
	struct target t;

	if (flags & O_PATH) {
		ret = reach(s, dfd, p, flags & O_NOFOLLOW, false, RS_ROOT_READ, &t);
		if (ret)
			return ret;
		if (flags & O_DIRECTORY) {
			struct stat st;

			ret = rs_raw4(__NR_newfstatat, t.fd, (long)"", (long)&st, AT_EMPTY_PATH);
			if (!ret && !S_ISDIR(st.st_mode))
				ret = -ENOTDIR;
			if (ret) {
				put_target(&t);
				return ret;
			}
		}
		return t.fd;
	}
	/*
	 * Truncating needs write permission anyway; asking for write access makes Landlock decide,
	 * which knows truncation only from its third ABI on.
	 */
	if (flags & O_TRUNC && (flags & O_ACCMODE) == O_RDONLY)
		flags |= O_RDWR;
	fd = rs_host_call(__NR_openat, (const long[6]){ dfd, s->args[p], flags, mode, 0, 0 },
			  s->by->pending);
	if (fd < 0) {
		if (fd == -EACCES && sb->explain) {
			s->result = fd;
			rs_explain_slow(s);
		}
		return fd;
	}
	if (sb->covers_proc && own_proc(sb, fd, (flags & O_ACCMODE) != O_RDONLY)) {
		rs_raw3(__NR_close, fd, 0, 0);
		return -EACCES;
	}
	return fd;
}

/* --- reading metadata ------------------------------------------------------------------------ */

static long policy_stat(struct rs_slow_call *s, long dfd, int path, long out, long flags)
{
	struct target t;
	long ret;

	if (flags & ~(long)(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT))
		return -EINVAL;
	ret = reach(s, dfd, path, flags & AT_SYMLINK_NOFOLLOW, flags & AT_EMPTY_PATH, RS_ROOT_READ,
		    &t);
	if (ret)
		return ret;
	ret = rs_raw4(__NR_newfstatat, t.fd, (long)"", out, AT_EMPTY_PATH);
	put_target(&t);
	return ret;
}

static long policy_statx(struct rs_slow_call *s)
{
	long flags = s->args[2], ret;
	struct target t;

	ret = reach(s, s->args[0], 1, flags & AT_SYMLINK_NOFOLLOW, flags & AT_EMPTY_PATH,
		    RS_ROOT_READ, &t);
	if (ret)
		return ret;
	ret = rs_raw5(__NR_statx, t.fd, (long)"", AT_EMPTY_PATH | (flags & AT_STATX_SYNC_TYPE),
		      s->args[3], s->args[4]);
	put_target(&t);
	return ret;
}

/* Writable is what is in an --rw root, whatever the mode bits say. */
static long policy_access(struct rs_slow_call *s, long dfd, int path, long mode, long flags)
{
	struct target t;
	long ret;

	ret = reach(s, dfd, path, flags & AT_SYMLINK_NOFOLLOW, flags & AT_EMPTY_PATH,
		    mode & 2 /* W_OK */ ? RS_ROOT_WRITE : RS_ROOT_READ, &t);
	if (ret)
		return ret;
	ret = rs_raw4(__NR_faccessat2, t.fd, (long)"", mode, AT_EMPTY_PATH | (flags & AT_EACCESS));
	put_target(&t);
	return ret;
}

static long policy_readlink(struct rs_slow_call *s, long dfd, int path, long buf, long size)
{
	struct target t;
	long ret = reach(s, dfd, path, true, dfd != AT_FDCWD, RS_ROOT_READ, &t);

	if (ret)
		return ret;
	ret = rs_raw4(__NR_readlinkat, t.fd, (long)"", buf, size);
	if (ret == -ENOENT) /* what the kernel says of an empty name on something that is no link */
		ret = -EINVAL;
	put_target(&t);
	return ret;
}

static long policy_statfs(struct rs_slow_call *s)
{
	struct target t;
	long ret = reach(s, AT_FDCWD, 0, false, false, RS_ROOT_READ, &t);

	if (ret)
		return ret;
	ret = rs_raw3(__NR_fstatfs, t.fd, s->args[1], 0);
	put_target(&t);
	return ret;
}

static long policy_chdir(struct rs_slow_call *s)
{
	struct target t;
	long ret;

	if (s->nr == __NR_fchdir)
		ret = set_target(s->by->sb, &t, s->args[0], false);
	else
		ret = resolve(s, AT_FDCWD, 0, false, false, &t);
	if (!ret) {
		ret = allowed(s->by->sb, s->nr, &t, RS_ROOT_READ);
		if (!ret)
			ret = rs_raw3(__NR_fchdir, t.fd, 0, 0);
		put_target(&t);
	}
	return ret;
}

static long policy_watch(struct rs_slow_call *s)
{
	uint32_t mask = s->args[2];
	struct target t;
	long ret = reach(s, AT_FDCWD, 1, mask & 0x02000000 /* IN_DONT_FOLLOW */, false,
			 RS_ROOT_READ, &t);

	if (ret)
		return ret;
	ret = rs_raw3(__NR_inotify_add_watch, s->args[0], (long)t.name, mask & ~0x02000000u);
	put_target(&t);
	return ret;
}

static long policy_get_xattr(struct rs_slow_call *s, bool nofollow)
{
	struct target t;
	long ret = reach(s, AT_FDCWD, 0, nofollow, false, RS_ROOT_READ, &t);

	if (ret)
		return ret;
	if (s->nr == __NR_getxattr || s->nr == __NR_lgetxattr)
		ret = rs_raw4(__NR_getxattr, (long)t.name, s->args[1], s->args[2], s->args[3]);
	else
		ret = rs_raw3(__NR_listxattr, (long)t.name, s->args[1], s->args[2]);
	put_target(&t);
	return ret;
}

/* --- changing metadata ----------------------------------------------------------------------- */

static long policy_truncate(struct rs_slow_call *s)
{
	struct target t;
	long ret = reach(s, AT_FDCWD, 0, false, false, RS_ROOT_WRITE, &t);

	if (ret)
		return ret;
	ret = rs_raw3(__NR_truncate, (long)t.name, s->args[1], 0);
	put_target(&t);
	return ret;
}

/*
 * Symbolic links have no mode of their own on Linux: a name is followed, and /proc/self/fd/N is
 * followed to the object.
 */
static long policy_chmod(struct rs_slow_call *s, long dfd, int path, long mode)
{
	struct target t;
	long ret = reach(s, dfd, path, false, false, RS_ROOT_WRITE, &t);

	if (ret)
		return ret;
	ret = rs_raw3(__NR_fchmodat, AT_FDCWD, (long)t.name, mode);
	put_target(&t);
	return ret;
}

static long policy_chown(struct rs_slow_call *s, long dfd, int path, long uid, long gid, long flags)
{
	struct target t;
	long ret;

	if (flags & ~(long)(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW))
		return -EINVAL;
	ret = reach(s, dfd, path, flags & AT_SYMLINK_NOFOLLOW, flags & AT_EMPTY_PATH, RS_ROOT_WRITE,
		    &t);
	if (ret)
		return ret;
	ret = rs_raw5(__NR_fchownat, t.fd, (long)"", uid, gid, AT_EMPTY_PATH);
	put_target(&t);
	return ret;
}

static long policy_times(struct rs_slow_call *s, long dfd, int path, const struct timespec *ts,
			 long flags)
{
	struct target t;
	long ret;

	if (flags & ~(long)(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW))
		return -EINVAL;
	ret = reach(s, dfd, path, flags & AT_SYMLINK_NOFOLLOW,
		    flags & AT_EMPTY_PATH || !s->in[path], RS_ROOT_WRITE, &t);
	if (ret)
		return ret;
	ret = rs_raw4(__NR_utimensat, t.fd, (long)"", (long)ts, AT_EMPTY_PATH);
	put_target(&t);
	return ret;
}

/*
 * utime, utimes, futimesat: their times in the guest, as the table describes them, become two
 * timespecs of ours.
 */
static long policy_old_times(struct rs_slow_call *s)
{
	int path = s->nr == __NR_futimesat ? 1 : 0;
	long dfd = path ? s->args[0] : AT_FDCWD;
	const void *from = (const void *)s->args[path + 1];
	struct timespec ts[2];
	int64_t raw[4];
	long ret;
	int i;

	if (!from)
		return policy_times(s, dfd, path, NULL, 0);
	ret = rs_copy_from_guest(raw, from, s->nr == __NR_utime ? 16 : 32);
	if (ret)
		return ret;
	for (i = 0; i < 2; i++) {
		if (s->nr == __NR_utime) {
			ts[i].tv_sec = raw[i];
			ts[i].tv_nsec = 0;
			continue;
		}
		if (raw[2 * i + 1] < 0 || raw[2 * i + 1] > 999999)
			return -EINVAL;
		ts[i].tv_sec = raw[2 * i];
		ts[i].tv_nsec = raw[2 * i + 1] * 1000;
	}
	return policy_times(s, dfd, path, ts, 0);
}

static long policy_utimensat(struct rs_slow_call *s)
{
	const void *from = (const void *)s->args[2];
	struct timespec ts[2];
	long ret;

	if (from) {
		ret = rs_copy_from_guest(ts, from, sizeof(ts));
		if (ret)
			return ret;
	}
	return policy_times(s, s->args[0], 1, from ? ts : NULL, s->args[3]);
}

static long policy_set_xattr(struct rs_slow_call *s, bool nofollow)
{
	struct target t;
	long ret = reach(s, AT_FDCWD, 0, nofollow, false, RS_ROOT_WRITE, &t);

	if (ret)
		return ret;
	if (s->nr == __NR_setxattr || s->nr == __NR_lsetxattr)
		ret = rs_raw5(__NR_setxattr, (long)t.name, s->args[1], s->args[2], s->args[3],
			      s->args[4]);
	else
		ret = rs_raw3(__NR_removexattr, (long)t.name, s->args[1], 0);
	put_target(&t);
	return ret;
}

/* The forms on a descriptor: an open for reading is no right to change what the file is. */
static long policy_fd(struct rs_slow_call *s)
{
	struct target t;
	long ret = set_target(s->by->sb, &t, s->args[0], false);

	if (!ret)
		ret = allowed(s->by->sb, s->nr, &t, RS_ROOT_WRITE);
	if (ret)
		return ret;
	return rs_raw6(s->nr, s->args[0], s->args[1], s->args[2], s->args[3], s->args[4], 0);
}

long rs_policy_slow(void *arg)
{
	struct rs_slow_call *s = arg;
	const long *a = s->args;

	switch (s->nr) {
	case __NR_open:
	case __NR_openat:
		return policy_open(s);
	case __NR_stat:
		return policy_stat(s, AT_FDCWD, 0, a[1], 0);
	case __NR_lstat:
		return policy_stat(s, AT_FDCWD, 0, a[1], AT_SYMLINK_NOFOLLOW);
	case __NR_newfstatat:
		return policy_stat(s, a[0], 1, a[2], a[3]);
	case __NR_statx:
		return policy_statx(s);
	case __NR_access:
		return policy_access(s, AT_FDCWD, 0, a[1], 0);
	case __NR_faccessat:
		return policy_access(s, a[0], 1, a[2], 0);
	case __NR_faccessat2:
		return policy_access(s, a[0], 1, a[2], a[3]);
	case __NR_readlink:
		return policy_readlink(s, AT_FDCWD, 0, a[1], a[2]);
	case __NR_readlinkat:
		return policy_readlink(s, a[0], 1, a[2], a[3]);
	case __NR_statfs:
		return policy_statfs(s);
	case __NR_chdir:
	case __NR_fchdir:
		return policy_chdir(s);
	case __NR_inotify_add_watch:
		return policy_watch(s);
	case __NR_truncate:
		return policy_truncate(s);
	case __NR_chmod:
		return policy_chmod(s, AT_FDCWD, 0, a[1]);
	case __NR_fchmodat:
		return policy_chmod(s, a[0], 1, a[2]);
	case __NR_chown:
		return policy_chown(s, AT_FDCWD, 0, a[1], a[2], 0);
	case __NR_lchown:
		return policy_chown(s, AT_FDCWD, 0, a[1], a[2], AT_SYMLINK_NOFOLLOW);
	case __NR_fchownat:
		return policy_chown(s, a[0], 1, a[2], a[3], a[4]);
	case __NR_utime:
	case __NR_utimes:
	case __NR_futimesat:
		return policy_old_times(s);
	case __NR_utimensat:
		return policy_utimensat(s);
	case __NR_setxattr:
	case __NR_removexattr:
		return policy_set_xattr(s, false);
	case __NR_lsetxattr:
	case __NR_lremovexattr:
		return policy_set_xattr(s, true);
	case __NR_getxattr:
	case __NR_listxattr:
		return policy_get_xattr(s, false);
	case __NR_lgetxattr:
	case __NR_llistxattr:
		return policy_get_xattr(s, true);
	case __NR_fchmod:
	case __NR_fchown:
	case __NR_fsetxattr:
	case __NR_fremovexattr:
		return policy_fd(s);
	}
	return -ENOSYS;
}
