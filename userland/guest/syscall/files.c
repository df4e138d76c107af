// SPDX-License-Identifier: MIT
/*
 * files.c - calls about descriptors and names that are not plain forwarding
 *
 * Descriptor numbers are the process's own affair (dup, close-on-exec); only the open files behind
 * them live at the host. Calls that wait for several descriptors (poll, select) become one ppoll of
 * the host with the numbers translated. Names below /proc/self are answered for the sandboxed
 * process, because to the host they would mean the host process.
 */
#include <asm/ioctls.h>
#include <asm/unistd.h>
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/poll.h>
#include "locks.h"
#include "procfs.h"
#include "signal.h"
#include "stat.h"
#include "syscall.h"
#include "table.h"
#include "tty.h"
#include "../lib/string.h"
#include "../fs/pipe.h"
#include "../mm/kmalloc.h"
#include "../../include/rs_calls.h"

static struct fd_table *files(void)
{
	return current_proc()->files;
}

/*
 * path_in_dir() - a path that may be relative to @dirfd or, AT_FDCWD, to the working directory
 * Where that is a directory of procfs.c, the path becomes absolute.
 */
static long path_in_dir(char *path, u64 upath, u64 dirfd)
{
	struct file *dir;
	long n;

	if (!path)
		return -ENOMEM;
	n = copyinstr(path, upath, PATH_SIZE);
	if (n < 0)
		return n;
	if (*path == '/')
		return 0;
	if ((int)dirfd != AT_FDCWD)
		dir = fd_lookup(files(), dirfd);
	else
		dir = current_proc()->fs->cwd;
	if (n && dir && unlikely(dir->ops))
		return procfs_relative(dir, path);
	if ((int)dirfd == AT_FDCWD)
		cwd_enter();
	return 0;
}

/* --- open ------------------------------------------------------------------------------------- */

static long open_object(struct file *f, u32 flags)
{
	long fd;

	if (!f)
		return -ENOMEM;
	fd = fd_install(files(), f, 0, flags & O_CLOEXEC);
	if (fd < 0)
		file_put(f);
	return fd;
}

/*
 * The host's terminals are not a program's to take, see tty.c. The host's descriptors never survive an
 * exec there.
 */
static long host_open(long dir, const char *path, u32 flags, u32 mode)
{
	return host_call_intr(__NR_openat, (u64)dir, gpa_of(path),
			      flags | O_CLOEXEC | (flags & O_PATH ? 0 : O_NOCTTY),
			      mode & ~current_proc()->fs->umask, 0, 0);
}

static long install_opened(long host, const char *path, u32 flags)
{
	struct refstr *name = refstr_new(path);
	long fd = install_host_fd(host, flags & O_CLOEXEC, name);

	refstr_put(name);
	if (fd >= 0 && !(flags & O_PATH))
		tty_opened(fd_lookup(files(), (u64)fd), path, flags);
	return fd;
}

long open_host_path(const char *path, u32 flags)
{
	long host = host_open(AT_FDCWD, path, flags, 0);

	return host < 0 ? host : install_opened(host, path, flags);
}

static long do_open(u64 dirfd, u64 upath, u32 flags, u32 mode)
{
	char *path = path_buffer(0);
	long dir = AT_FDCWD, ret = path_in_dir(path, upath, dirfd);
	struct proc_name pn;

	if (ret)
		return ret;
	/* The descriptor does not matter for an absolute path. */
	if (path[0] != '/') {
		dir = host_dirfd(dirfd);
		if (dir < 0 && dir != AT_FDCWD)
			return dir;
	}
	ret = procfs_resolve(path, !(flags & O_NOFOLLOW), &pn);
	if (!ret)
		ret = procfs_to_host(path, &pn);
	if (!ret)
		ret = tty_open_path(path);
	if (ret < 0)
		return ret;
	if (pn.kind == PROC_DIR)
		return (flags & O_ACCMODE) != O_RDONLY || flags & O_CREAT ?
			       -EISDIR : open_object(procfs_open_dir(&pn), flags);
	if (pn.kind == PROC_LINK)
		return -ELOOP;
	if (pn.kind == PROC_TEXT) {
		if (flags & O_DIRECTORY)
			return -ENOTDIR;
		if ((flags & O_ACCMODE) != O_RDONLY)
			return procfs_may_write(&pn) ?
				       open_object(procfs_open_name(&pn, flags), flags) : -EACCES;
		ret = procfs_open_text(&pn);
	} else {
		ret = host_open(dir, path, flags, mode);
		if ((ret == -EACCES || ret == -ENOENT) && pn.node &&
		    (flags & O_ACCMODE) == O_RDONLY)
			ret = procfs_open_text(&pn);
	}
	return ret < 0 ? ret : install_opened(ret, path, flags);
}

long sys_open(struct rs_frame *f)
{
	return do_open(AT_FDCWD, ARG0(f), (u32)ARG1(f), (u32)ARG2(f));
}

long sys_openat(struct rs_frame *f)
{
	return do_open(ARG0(f), ARG1(f), (u32)ARG2(f), (u32)ARG3(f));
}

long sys_creat(struct rs_frame *f)
{
	return do_open(AT_FDCWD, ARG0(f), O_CREAT | O_WRONLY | O_TRUNC, (u32)ARG1(f));
}

/* --- names that may lie below /proc/self ------------------------------------------------------ */

static bool follows(u64 nr, const u64 a[6])
{
	switch (nr) {
	case __NR_lstat:
	case __NR_readlink:
	case __NR_readlinkat: return false;
	case __NR_newfstatat:
	case __NR_faccessat2: return !(a[3] & AT_SYMLINK_NOFOLLOW);
	case __NR_statx: return !(a[2] & AT_SYMLINK_NOFOLLOW);
	}
	return true;
}

static bool empty_path_ok(u64 nr, const u64 a[6])
{
	return (nr == __NR_newfstatat && a[3] & AT_EMPTY_PATH) ||
	       (nr == __NR_statx && a[2] & AT_EMPTY_PATH);
}

static long put_stat(bool extended, u64 va, const struct k_stat *st)
{
	struct k_statx x;

	if (!extended)
		return copyout(va, st, sizeof(*st)) ? -EFAULT : 0;
	x = (struct k_statx){
		.mask = 0x7ff & ~0x800u, .blksize = (u32)st->blksize, .nlink = (u32)st->nlink,
		.uid = st->uid, .gid = st->gid, .mode = (u16)st->mode, .ino = st->ino,
		.size = (u64)st->size, .blocks = (u64)st->blocks,
		.atime = { .sec = (s64)st->atime[0], .nsec = (u32)st->atime[1] },
		.mtime = { .sec = (s64)st->mtime[0], .nsec = (u32)st->mtime[1] },
		.ctime = { .sec = (s64)st->ctime[0], .nsec = (u32)st->ctime[1] },
		.dev_major = (u32)(st->dev >> 8 & 0xfff), .dev_minor = (u32)(st->dev & 0xff),
	};
	return copyout(va, &x, sizeof(x)) ? -EFAULT : 0;
}

static long put_link(const struct proc_name *pn, u64 va, u64 size)
{
	char *buf = path_buffer(1);
	long n;

	if ((int)size <= 0 || pn->kind != PROC_LINK)
		return -EINVAL;
	n = procfs_readlink(pn, buf);
	if (n <= 0)
		return n;
	n = min(n, (long)(int)size);
	return copyout(va, buf, (size_t)n) ? -EFAULT : n;
}

static long check_access(const struct proc_name *pn, u32 want)
{
	struct k_stat st;

	if (want & ~7u)
		return -EINVAL;
	procfs_stat(pn, &st);
	return want & ~(st.mode >> 6) & 7 ? -EACCES : 0;
}

/* Names and objects that are answered here: true with the result. @path is what @pn was made of. */
static bool answer(u64 nr, const u64 a[6], int i, const struct proc_name *pn, long *ret)
{
	struct k_stat st;

	if (pn->kind == PROC_HOST && !pn->object && !pn->node)
		return false;
	switch (nr) {
	case __NR_readlink:
	case __NR_readlinkat:
		*ret = put_link(pn, a[i + 1], a[i + 2]);
		return true;
	case __NR_access:
	case __NR_faccessat:
	case __NR_faccessat2:
		if (pn->kind == PROC_HOST)
			return false;
		*ret = check_access(pn, (u32)a[i + 1]);
		return true;
	}
	if (pn->node)
		procfs_stat(pn, &st);
	else if (!object_stat(pn->object, &st))
		return false;
	*ret = put_stat(nr == __NR_statx, nr == __NR_statx ? a[4] : a[i + 1], &st);
	return true;
}

/*
 * forward_path() - forwards call @nr whose path is argument @i, after the path was looked at
 * The rewritten path goes through the kernel's buffer, which forward() cannot know; so the call is
 * made with the path's row left out.
 * @out: index of the argument that is a pointer to @size bytes to be written, -1 for none. @size 0:
 * its length is the argument after it.
 */
static long forward_path(u64 nr, const u64 a[6], int i, int out, u32 size)
{
	char *path = path_buffer(0);
	struct proc_name pn;
	u64 h[6], n = 0, done;
	struct user_seg seg;
	void *buf = NULL;
	long ret;
	int k;

	ret = path_in_dir(path, a[i], i ? a[0] : (u64)AT_FDCWD);
	if (ret)
		return ret;
	if (i == 1 && !*path && empty_path_ok(nr, a)) {
		pn = (struct proc_name){ .object = fd_lookup(files(), a[0]) };
		if (pn.object && pn.object->ops && answer(nr, a, i, &pn, &ret))
			return ret;
	}
	ret = procfs_resolve(path, follows(nr, a), &pn);
	if (ret < 0)
		return ret;
	if (answer(nr, a, i, &pn, &ret))
		return ret;
	ret = procfs_to_host(path, &pn);
	if (ret < 0)
		return ret;
	memcpy(h, a, sizeof(h));
	h[i] = gpa_of(path);
	if (i == 1) {
		long dir = host_dirfd(a[0]);

		if (dir < 0 && dir != AT_FDCWD && path[0] != '/')
			return dir;
		h[0] = dir < 0 ? (u64)(s64)AT_FDCWD : (u64)dir;
	}
	for (k = 0; k < 6; k++)
		if (!rs_sysrows[nr].arg[k])
			h[k] = 0;
	if (out >= 0) {
		n = size ? size : min(a[out + 1], (u64)PATH_SIZE);
		if (!size)
			h[out + 1] = n;
		if (n && !a[out])
			return -EFAULT;
		k = user_segs_get(a[out], n, true, &seg, 1, &done);
		if (k < 0)
			return k;
		h[out] = k ? seg.gpa : 0;
		if (k && done < n) {
			user_segs_put(&seg, k);
			buf = kmalloc(n);
			if (!buf)
				return -ENOMEM;
			h[out] = gpa_of(buf);
		}
		if (!buf)
			note_host_write(a[out], n);
	}
	ret = host_call_intr(nr, h[0], h[1], h[2], h[3], h[4], h[5]);
	if (buf) {
		if (ret >= 0 && copyout(a[out], buf, size ? size : (u64)ret))
			ret = -EFAULT;
		kfree(buf);
	} else if (out >= 0 && n) {
		user_segs_put(&seg, 1);
		forget_host_writes();
	}
	return ret;
}

#define PATH_CALL(name, i, out, size)                                                \
	long sys_##name(struct rs_frame *f)                                          \
	{                                                                            \
		u64 a[6] = { ARG0(f), ARG1(f), ARG2(f), ARG3(f), ARG4(f), ARG5(f) }; \
	\
		return forward_path(__NR_##name, a, i, out, size);                   \
	}

PATH_CALL(stat, 0, 1, 144)
PATH_CALL(lstat, 0, 1, 144)
PATH_CALL(newfstatat, 1, 2, 144)
PATH_CALL(statx, 1, 4, 256)
PATH_CALL(access, 0, -1, 0)
PATH_CALL(faccessat, 1, -1, 0)
PATH_CALL(faccessat2, 1, -1, 0)
PATH_CALL(readlink, 0, 1, 0)
PATH_CALL(readlinkat, 1, 2, 0)

/* --- descriptors ------------------------------------------------------------------------------ */

long sys_close(struct rs_frame *f)
{
	struct file *file = fd_remove(files(), (u32)ARG0(f));

	/* As on Linux the number is free whatever the close of the file says. */
	return file ? fd_close_file(files(), file) : -EBADF;
}

long sys_close_range(struct rs_frame *f)
{
	u32 first = (u32)ARG0(f), last = (u32)ARG1(f), flags = (u32)ARG2(f);
	int fd;

	if (first > last || (flags & ~6u)) /* CLOSE_RANGE_UNSHARE, CLOSE_RANGE_CLOEXEC */
		return -EINVAL;
	for (fd = (int)min(first, (u32)FD_LIMIT_MAX);
	     (fd = fd_next(files(), fd)) >= 0 && (u32)fd <= last; fd++) {
		if (flags & 4)
			fd_set_cloexec(files(), fd, true);
		else
			fd_close_file(files(), fd_remove(files(), fd));
	}
	return 0;
}

static long dup_from(u64 fd, u64 from, bool cloexec)
{
	struct file *file = fd_lookup(files(), fd);
	long ret;

	if (!file)
		return -EBADF;
	if (from >= files()->limit)
		return -EINVAL;
	ret = fd_install(files(), file_get(file), from, cloexec);
	if (ret < 0)
		file_put(file);
	return ret;
}

long sys_dup(struct rs_frame *f)
{
	return dup_from(ARG0(f), 0, false);
}

static long dup_to(u32 old, u32 new, bool cloexec)
{
	struct file *file = fd_lookup(files(), old);
	long ret;

	if (!file)
		return -EBADF;
	ret = fd_install_at(files(), file_get(file), new, cloexec);
	if (ret < 0)
		file_put(file);
	return ret;
}

long sys_dup2(struct rs_frame *f)
{
	if ((u32)ARG0(f) == (u32)ARG1(f))
		return fd_lookup(files(), ARG0(f)) ? (long)(u32)ARG0(f) : -EBADF;
	return dup_to((u32)ARG0(f), (u32)ARG1(f), false);
}

long sys_dup3(struct rs_frame *f)
{
	if (((u32)ARG2(f) & ~O_CLOEXEC) || (u32)ARG0(f) == (u32)ARG1(f))
		return -EINVAL;
	return dup_to((u32)ARG0(f), (u32)ARG1(f), ARG2(f) & O_CLOEXEC);
}

long sys_socketpair(struct rs_frame *f)
{
	u64 a[6] = { ARG0(f), ARG1(f), ARG2(f), ARG3(f) };

	/* A pair within the sandbox reaches nobody outside; that is so for AF_UNIX only. */
	if ((u32)ARG0(f) != 1)
		return -EOPNOTSUPP;
	return forward(__NR_socketpair, a);
}

/* The argument that a command of ioctl or fcntl takes, as the tables say. */
static long forward_bycmd(u64 nr, u32 kind, struct rs_frame *f, long unknown)
{
	u32 cmd = (u32)ARG1(f), desc, size;
	int host, other;
	u8 buf[64] __attribute__((aligned(8)));
	u64 arg = ARG2(f);
	long ret;

	if (!bycmd_arg(kind, cmd, &desc))
		return unknown;
	host = fd_host(files(), ARG0(f));
	if (host < 0)
		return host;
	size = RS_ARG_PARAM(desc);
	switch (RS_ARG_KIND(desc)) {
	case RS_A_NO: return host_call_intr(nr, host, cmd, 0, 0, 0, 0);
	case RS_A_INT:
	case RS_A_HEX:
	case RS_A_FLAGS: return host_call_intr(nr, host, cmd, (u32)arg, 0, 0, 0);
	case RS_A_FD:
		other = fd_host(files(), arg);
		return other < 0 ? other : host_call_intr(nr, host, cmd, other, 0, 0, 0);
	}
	if (size > sizeof(buf))
		return -ENOTTY;
	memset(buf, 0, sizeof(buf));
	if (RS_ARG_KIND(desc) != RS_A_OUT && copyin(buf, arg, size))
		return -EFAULT;
	ret = host_call_intr(nr, host, cmd, gpa_of(buf), 0, 0, 0);
	if (ret >= 0 && RS_ARG_KIND(desc) != RS_A_IN && copyout(arg, buf, size))
		return -EFAULT;
	return ret;
}

long sys_fcntl(struct rs_frame *f)
{
	struct file *file = fd_lookup(files(), ARG0(f));
	u32 cmd = (u32)ARG1(f);
	long ret;

	if (!file)
		return -EBADF;
	switch (cmd) {
	case F_DUPFD: return dup_from(ARG0(f), ARG2(f), false);
	case F_DUPFD_CLOEXEC: return dup_from(ARG0(f), ARG2(f), true);
	case F_GETFD: return fd_get_cloexec(files(), (u32)ARG0(f)) ? FD_CLOEXEC : 0;
	case F_SETFD: return fd_set_cloexec(files(), (u32)ARG0(f), ARG2(f) & FD_CLOEXEC);
	case F_GETOWN: return 0;
	}
	if (locks_fcntl(file, cmd, ARG2(f), &ret))
		return ret;
	if (file->ops && object_fcntl(file, cmd, ARG2(f), &ret))
		return ret;
	return forward_bycmd(__NR_fcntl, RS_A_FCNTL, f, -EINVAL);
}

/* The host process's mask is 0; each process's own is applied to what it asks for. */
long sys_umask(struct rs_frame *f)
{
	struct process *p = current_proc();
	u32 old = p->fs->umask;

	p->fs->umask = (u32)ARG0(f) & 0777;
	return old;
}

/* --- the working directory -------------------------------------------------------------------- */

/* The host's is where the process wants to be: a descriptor of it becomes the process's. */
static long cwd_take(void)
{
	char *dot = host_bounce();
	struct process *p = current_proc();
	struct file *cwd;
	long fd;

	rs_strlcpy(dot, ".", 2);
	rs_stats()->forwarded++;
	fd = host_call4(__NR_openat, AT_FDCWD, gpa_of(dot), O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	cwd = file_new((int)fd, NULL);
	if (!cwd)
		return -ENOMEM;
	file_put(p->fs->cwd);
	p->fs->cwd = cwd;
	cwd_now(cwd);
	return 0;
}

/* A directory that the guest kernel makes, whose reference is taken over; NULL without memory. */
static long cwd_is(struct file *dir)
{
	struct process *p = current_proc();

	if (!dir)
		return -ENOMEM;
	file_put(p->fs->cwd);
	p->fs->cwd = dir;
	return 0;
}

static long change_dir(u64 nr, struct rs_frame *f)
{
	u64 a[6] = { ARG0(f) };
	struct proc_name pn;
	long ret;

	if (nr == __NR_chdir) {
		char *path = path_buffer(0);

		ret = path_in_dir(path, a[0], AT_FDCWD);
		if (!ret)
			ret = procfs_resolve(path, true, &pn);
		if (ret)
			return ret;
		if (pn.kind == PROC_DIR)
			return cwd_is(procfs_open_dir(&pn));
		if (pn.kind != PROC_HOST || pn.object)
			return -ENOTDIR;
		ret = host_call_intr(nr, gpa_of(path), 0, 0, 0, 0, 0);
		return ret ? ret : cwd_take();
	}
	if (fd_lookup(files(), a[0]) && procfs_dir(fd_lookup(files(), a[0]), NULL))
		return cwd_is(file_get(fd_lookup(files(), a[0])));
	ret = forward(nr, a);
	return ret ? ret : cwd_take();
}

long sys_chdir(struct rs_frame *f)
{
	return change_dir(__NR_chdir, f);
}

long sys_fchdir(struct rs_frame *f)
{
	return change_dir(__NR_fchdir, f);
}

long sys_getcwd(struct rs_frame *f)
{
	u64 a[6] = { ARG0(f), ARG1(f) };
	struct file *cwd = current_proc()->fs->cwd;
	size_t n = strlen(refstr_text(cwd->name)) + 1;

	if (unlikely(cwd->ops)) {
		if (n > ARG1(f))
			return -ERANGE;
		return copyout(ARG0(f), refstr_text(cwd->name), n) ? -EFAULT : (long)n;
	}
	cwd_enter();
	return forward(__NR_getcwd, a);
}

/* --- ioctl ------------------------------------------------------------------------------------ */

long sys_ioctl(struct rs_frame *f)
{
	struct file *file = fd_lookup(files(), ARG0(f));
	long ret;

	if (!file)
		return -EBADF;
	switch ((u32)ARG1(f)) {
	case FIOCLEX: return fd_set_cloexec(files(), (u32)ARG0(f), true);
	case FIONCLEX: return fd_set_cloexec(files(), (u32)ARG0(f), false);
	}
	if (file->ops && object_ioctl(file, (u32)ARG1(f), ARG2(f), &ret))
		return ret;
	if (!file->ops && tty_ioctl(file, (u32)ARG1(f), ARG2(f), &ret))
		return ret;
	return forward_bycmd(__NR_ioctl, RS_A_IOCTL, f, -ENOTTY);
}

/* --- waiting for descriptors ------------------------------------------------------------------ */

struct k_pollfd {
	s32 fd;
	u16 events, revents;
};

struct k_timespec {
	s64 sec, nsec;
};

/*
 * struct poller - a wait for several files in the making
 *
 * As long as all of them are objects of the guest it is made here, on the objects' lists. With one
 * file of the host among them, or one that becomes the host's meanwhile, it is a ppoll of the host,
 * and the others become the host's, too.
 *
 * @file: NULL for numbers that are to be ignored and for bad ones (counted in @bad, whose answer is
 * there at once). @timed: @ts is the timeout; @left: and the rest of it afterwards. @ts and @pfd are
 * one piece of memory as the host needs it.
 */
struct poller {
	u32 n, bad, at_host;
	bool timed, left;
	struct k_timespec *ts;
	struct file **file;
	struct k_pollfd *pfd;
};

static long poller_init(struct poller *w, u32 n)
{
	*w = (struct poller){ .n = n };
	w->ts = kzalloc(sizeof(*w->ts) + (n + 1ul) * (sizeof(*w->pfd) + sizeof(*w->file)));
	w->file = (struct file **)(w->ts + 1);
	w->pfd = (struct k_pollfd *)(w->file + n + 1);
	return w->ts ? 0 : -ENOMEM;
}

static void poller_set(struct poller *w, u32 i, s32 fd, u16 events)
{
	struct file *f = fd < 0 ? NULL : fd_lookup(files(), (u32)fd);

	w->file[i] = f;
	w->pfd[i].fd = -1;
	w->pfd[i].events = events;
	if (fd >= 0 && !f)
		w->bad++;
	if (f && f->host_fd >= 0)
		w->at_host++;
}

static long poller_to_host(struct poller *w)
{
	u32 i;

	for (i = 0; i < w->n; i++) {
		if (!w->file[i])
			continue;
		w->pfd[i].fd = file_host(w->file[i]);
		if (w->pfd[i].fd < 0)
			return w->pfd[i].fd;
		/* Most stand-ins can always be written to. */
		if (w->file[i]->ops && !w->file[i]->ops->stand_in_writes)
			w->pfd[i].events &= POLLIN | POLLRDNORM;
	}
	return 0;
}

/* Waits; the number of entries with something in revents, those with bad numbers not among them. */
static long poller_wait_host(struct poller *w)
{
	long ret;

	/*
	 * What is ready already counts before a signal does; and with bad numbers the answer is
	 * there.
	 */
	if (w->bad || signal_ready()) {
		struct k_timespec keep = *w->ts;
		bool poll_only = w->bad;

		w->ts->sec = w->ts->nsec = 0;
		ret = host_call_intr(__NR_ppoll, gpa_of(w->pfd), w->n, gpa_of(w->ts), 0, 0, 0);
		*w->ts = keep;
		if (ret || poll_only)
			return ret;
		return w->timed && !keep.sec && !keep.nsec ? 0 : -ERESTARTNOHAND;
	}
	ret = host_call_intr(__NR_ppoll, gpa_of(w->pfd), w->n, w->timed ? gpa_of(w->ts) : 0, 0, 0,
			     0);
	return ret == -ERESTARTSYS ? -ERESTARTNOHAND : ret;
}

/* Entries with something in revents; counts files that have become the host's. */
static u32 poller_look(struct poller *w)
{
	struct wait_list *list;
	u32 i, n = 0;

	for (i = 0; i < w->n; i++) {
		struct file *f = w->file[i];

		if (!f)
			continue;
		if (unlikely(!f->ops)) {
			w->at_host++;
			continue;
		}
		w->pfd[i].revents = f->ops->poll(f, &list) & (w->pfd[i].events | POLLERR | POLLHUP);
		n += !!w->pfd[i].revents;
	}
	return n;
}

/*
 * On all lists until there is something. The files are held meanwhile: their numbers may be closed.
 * Found moved to the host: at_host is not 0.
 */
static long poller_sleep(struct poller *w, u64 deadline)
{
	struct wait_entry *e = kmalloc((w->n + 1ul) * sizeof(*e));
	struct wait_list *list;
	long n, err = 0;
	u32 i;

	if (!e)
		return -ENOMEM;
	for (i = 0; i < w->n; i++) {
		if (!w->file[i])
			continue;
		file_get(w->file[i]);
		w->file[i]->ops->poll(w->file[i], &list);
		wait_enter(list, &e[i]);
	}
	/* Looking may have brought something (the network's does): so once more, before the first sleep, too. */
	for (;;) {
		n = poller_look(w);
		if (n || err || w->at_host)
			break;
		err = thread_sleep(deadline, SLEEP_SIGNALS);
	}
	if (w->at_host && !n && err != -EINTR)
		err = poller_to_host(w);
	for (i = 0; i < w->n; i++) {
		if (!w->file[i])
			continue;
		wait_leave(&e[i]);
		file_put(w->file[i]);
	}
	kfree(e);
	return n ? n : err;
}

static u64 nanoseconds(const struct k_timespec *t)
{
	if (t->sec > 9000000000)
		return 9000000000000000000;
	return (u64)t->sec * 1000000000 + (u64)t->nsec;
}

static long poller_wait_here(struct poller *w)
{
	u64 deadline = NO_DEADLINE, timeout = w->timed ? nanoseconds(w->ts) : NO_DEADLINE, now;
	long ret = poller_look(w);

	if (ret || w->bad || !timeout)
		return ret;
	if (w->timed)
		deadline = clock_monotonic() + timeout;
	ret = poller_sleep(w, deadline);
	if (w->timed && (w->left || w->at_host)) {
		now = clock_monotonic();
		timeout = deadline > now && ret != -ETIMEDOUT ? deadline - now : 0;
		w->ts->sec = (s64)(timeout / 1000000000);
		w->ts->nsec = (s64)(timeout % 1000000000);
	}
	if (ret == -ETIMEDOUT)
		return 0;
	return ret == -EINTR ? -ERESTARTNOHAND : ret;
}

static long poller_wait(struct poller *w)
{
	long ret;

	if (!w->at_host) {
		ret = poller_wait_here(w);
		/* The descriptors of those that moved are known, see poller_sleep(). */
		return ret || !w->at_host ? ret : poller_wait_host(w);
	}
	ret = poller_to_host(w);
	return ret ? ret : poller_wait_host(w);
}

static void poller_free(struct poller *w)
{
	kfree(w->ts);
}

static long do_poll(u64 ufds, u64 n, const struct k_timespec *timeout, struct k_timespec *left)
{
	struct poller w;
	struct k_pollfd p;
	long ret, err;
	u32 i;

	if (n > files()->limit)
		return -EINVAL;
	err = poller_init(&w, (u32)n);
	if (err)
		return err;
	for (i = 0; i < n; i++) {
		if (copyin(&p, ufds + 8ull * i, sizeof(p))) {
			poller_free(&w);
			return -EFAULT;
		}
		poller_set(&w, i, p.fd, p.events);
	}
	if (timeout) {
		w.timed = true;
		w.left = left;
		*w.ts = *timeout;
	}
	ret = poller_wait(&w);
	if (left)
		*left = *w.ts;
	if (ret >= 0)
		ret += w.bad;
	for (i = 0; i < n && ret >= 0; i++) {
		u16 revents = w.pfd[i].revents;
		s32 fd;

		if (!w.file[i]) {
			if (copyin(&fd, ufds + 8ull * i, sizeof(fd)))
				ret = -EFAULT;
			revents = fd < 0 ? 0 : POLLNVAL;
		}
		if (ret >= 0 && copyout(ufds + 8ull * i + 6, &revents, sizeof(revents)))
			ret = -EFAULT;
	}
	poller_free(&w);
	return ret;
}

static void from_ms(int ms, struct k_timespec *t)
{
	t->sec = ms / 1000;
	t->nsec = (ms % 1000) * 1000000ll;
}

static bool valid_time(const struct k_timespec *t)
{
	return t->sec >= 0 && t->nsec >= 0 && t->nsec < 1000000000;
}

static long restart_poll(struct rs_frame *f);

static long poll_until(struct rs_frame *f, const struct k_timespec *timeout)
{
	struct k_timespec left;
	long ret = do_poll(ARG0(f), (u32)ARG1(f), timeout, &left);

	if (ret != -ERESTARTNOHAND || !timeout)
		return ret;
	return restart_later(restart_poll, clock_monotonic() + nanoseconds(&left), 0);
}

static long restart_poll(struct rs_frame *f)
{
	u64 now = clock_monotonic(), deadline = current()->sig->restart.deadline;
	u64 left = deadline > now ? deadline - now : 0;
	struct k_timespec t = { (s64)(left / 1000000000), (s64)(left % 1000000000) };

	return poll_until(f, &t);
}

long sys_poll(struct rs_frame *f)
{
	int ms = (int)ARG2(f);
	struct k_timespec t;

	from_ms(ms, &t);
	return poll_until(f, ms < 0 ? NULL : &t);
}

/* The mask for the time of a wait: 0, or an error of its arguments. */
static long wait_mask(u64 umask, u64 size)
{
	u64 mask;

	if (!umask)
		return 0;
	if (size != 8)
		return -EINVAL;
	if (get_user_u64(&mask, umask))
		return -EFAULT;
	signal_set_mask_for_wait(mask);
	return 0;
}

/*
 * What is left of the time, for the program and for the call when it is made again. Where that cannot
 * be written, the call is not made again: it would wait for the whole of it.
 */
static long put_left(u64 va, const void *left, size_t n, long ret)
{
	if (copyout(va, left, n) && ret == -ERESTARTNOHAND)
		return -EINTR;
	return ret;
}

long sys_ppoll(struct rs_frame *f)
{
	struct k_timespec t, left;
	long ret;

	if (ARG2(f)) {
		if (copyin(&t, ARG2(f), sizeof(t)))
			return -EFAULT;
		if (!valid_time(&t))
			return -EINVAL;
	}
	ret = wait_mask(ARG3(f), ARG4(f));
	if (ret)
		return ret;
	ret = do_poll(ARG0(f), (u32)ARG1(f), ARG2(f) ? &t : NULL, &left);
	if (ARG2(f) && ret != -EFAULT && ret != -EINVAL && ret != -ENOMEM)
		ret = put_left(ARG2(f), &left, sizeof(left), ret);
	return ret;
}

#define SELECT_IN  (POLLIN | POLLRDNORM | POLLRDBAND | POLLHUP | POLLERR)
#define SELECT_OUT (POLLOUT | POLLWRNORM | POLLWRBAND | POLLERR)
#define SELECT_EX  POLLPRI

static long do_select(int n, const u64 uset[3], const struct k_timespec *timeout,
		      struct k_timespec *left)
{
	static const u16 events[3] = { POLLIN | POLLRDNORM | POLLRDBAND,
				       POLLOUT | POLLWRNORM | POLLWRBAND, POLLPRI };
	static const u16 result[3] = { SELECT_IN, SELECT_OUT, SELECT_EX };
	u32 words, i, k, used = 0;
	struct poller w = { 0 };
	u64 *set; /* three sets, then as long again for the answer */
	long ret, err = 0;

	if (n < 0)
		return -EINVAL;
	n = min((u32)n, files()->size);
	words = ((u32)n + 63) / 64;
	set = kzalloc(6 * words * 8ul + 8);
	if (!set)
		return -ENOMEM;
	for (k = 0; k < 3 && !err; k++)
		if (uset[k])
			err = copyin(set + k * words, uset[k], words * 8ul);
	if (!err)
		err = poller_init(&w, (u32)n);
	for (i = 0; !err && i < (u32)n; i++) {
		u16 ev = 0;

		for (k = 0; k < 3; k++)
			if (set[k * words + i / 64] >> (i % 64) & 1)
				ev |= events[k];
		if (!ev)
			continue;
		if (!fd_lookup(files(), i))
			err = -EBADF;
		else
			poller_set(&w, used, (s32)i, ev);
		/* Which number this is, for the way back: there is room, n entries were made. */
		w.pfd[used].revents = 0;
		used++;
	}
	if (err) {
		kfree(w.ts);
		kfree(set);
		return err;
	}
	w.n = used;
	if (timeout) {
		w.timed = true;
		w.left = left;
		*w.ts = *timeout;
	}
	ret = poller_wait(&w);
	if (left)
		*left = *w.ts;
	if (ret >= 0) {
		ret = 0;
		for (i = 0, used = 0; i < (u32)n; i++) {
			bool asked = false;

			for (k = 0; k < 3; k++)
				asked |= set[k * words + i / 64] >> (i % 64) & 1;
			if (!asked)
				continue;
			for (k = 0; k < 3; k++)
				if ((set[k * words + i / 64] >> (i % 64) & 1) &&
				    (w.pfd[used].revents & result[k])) {
					set[(3 + k) * words + i / 64] |= 1ull << (i % 64);
					ret++;
				}
			used++;
		}
		for (k = 0; k < 3; k++)
			if (uset[k] && copyout(uset[k], set + (3 + k) * words, words * 8ul))
				ret = -EFAULT;
	}
	poller_free(&w);
	kfree(set);
	return ret;
}

long sys_select(struct rs_frame *f)
{
	u64 sets[3] = { ARG1(f), ARG2(f), ARG3(f) };
	struct k_timespec t, left;
	s64 tv[2];
	long ret;

	if (ARG4(f)) {
		if (copyin(tv, ARG4(f), sizeof(tv)))
			return -EFAULT;
		if (tv[0] < 0 || tv[1] < 0)
			return -EINVAL;
		t.sec = tv[0] + tv[1] / 1000000;
		t.nsec = tv[1] % 1000000 * 1000;
	}
	ret = do_select((int)ARG0(f), sets, ARG4(f) ? &t : NULL, &left);
	if (ARG4(f) && (ret >= 0 || IS_RESTART(ret))) {
		tv[0] = left.sec;
		tv[1] = left.nsec / 1000;
		ret = put_left(ARG4(f), tv, sizeof(tv), ret);
	}
	return ret;
}

long sys_pselect6(struct rs_frame *f)
{
	u64 sets[3] = { ARG1(f), ARG2(f), ARG3(f) }, sig[2] = { 0, 0 };
	struct k_timespec t, left;
	long ret;

	if (ARG4(f)) {
		if (copyin(&t, ARG4(f), sizeof(t)))
			return -EFAULT;
		if (!valid_time(&t))
			return -EINVAL;
	}
	if (ARG5(f) && copyin(sig, ARG5(f), sizeof(sig)))
		return -EFAULT;
	ret = wait_mask(sig[0], sig[1]);
	if (ret)
		return ret;
	ret = do_select((int)ARG0(f), sets, ARG4(f) ? &t : NULL, &left);
	if (ARG4(f) && (ret >= 0 || IS_RESTART(ret)))
		ret = put_left(ARG4(f), &left, sizeof(left), ret);
	return ret;
}

static long do_epoll(struct rs_frame *f, int ms)
{
	u64 a[6] = { ARG0(f), ARG1(f), ARG2(f), (u64)(s64)ms };
	long ret;

	if ((int)ARG2(f) <= 0)
		return -EINVAL;
	/* Signals that came before the wait: what is ready already counts first. */
	if (ms && signal_ready()) {
		a[3] = 0;
		ret = forward(__NR_epoll_wait, a);
		return ret ? ret : -EINTR;
	}
	ret = forward(__NR_epoll_wait, a);
	return ret == -ERESTARTSYS ? -EINTR : ret;
}

long sys_epoll_wait(struct rs_frame *f)
{
	return do_epoll(f, (int)ARG3(f));
}

long sys_epoll_pwait(struct rs_frame *f)
{
	long ret = wait_mask(ARG4(f), ARG5(f));

	return ret ? ret : do_epoll(f, (int)ARG3(f));
}

long sys_epoll_pwait2(struct rs_frame *f)
{
	struct k_timespec t;
	int ms = -1;
	long ret;

	if (ARG3(f)) {
		if (copyin(&t, ARG3(f), sizeof(t)))
			return -EFAULT;
		if (!valid_time(&t))
			return -EINVAL;
		/* Rounded up, as a wait may be longer but not shorter. */
		ms = t.sec > 2000000 ? 2000000000
				     : (int)(t.sec * 1000 + (t.nsec + 999999) / 1000000);
	}
	ret = wait_mask(ARG4(f), ARG5(f));
	return ret ? ret : do_epoll(f, ms);
}
