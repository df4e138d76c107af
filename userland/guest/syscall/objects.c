// SPDX-License-Identifier: MIT
/*
 * objects.c - calls on objects of the guest: pipes, counters (fs/), directories of procfs.c
 *
 * What is answered here is what programs do with pipes in the ordinary course of things, and what
 * they ask any descriptor to find out what it is. All other calls need no code: they look for a
 * host descriptor, and the object becomes the host's (fs/fd.h).
 */
#include <asm/ioctls.h>
#include <asm/unistd.h>
#include <linux/fcntl.h>
#include "inet.h"
#include "procfs.h"
#include "stat.h"
#include "syscall.h"
#include "tty.h"
#include "../fs/eventfd.h"
#include "../fs/pipe.h"
#include "../lib/string.h"
#include "../mm/kmalloc.h"

#define EFD_SEMAPHORE	1u
#define VECS_INLINE	8
#define VECS_MAX	1024	/* IOV_MAX */
#define SETFL_MASK	(O_APPEND | O_NONBLOCK | O_NOATIME)

/* --- read and write --------------------------------------------------------------------------- */

static always_inline long rw(struct file *f, const struct user_vec *v, u32 n, bool write)
{
	long ret = write ? f->ops->write(f, v, n) : f->ops->read(f, v, n);

	return likely(ret != -EINTR) ? ret : -ERESTARTSYS;
}

long object_rw(struct file *f, u64 va, u64 len, bool write)
{
	struct user_vec v = { va, min(len, (u64)FILE_RW_MAX) };

	if (unlikely(!user_range_ok(va, len)))
		return -EFAULT;
	return rw(f, &v, 1, write);
}

/* The pieces of a vector call, checked, cut off at FILE_RW_MAX bytes. */
static long get_vecs(struct user_vec *v, u64 uvec, u32 n)
{
	u64 left = FILE_RW_MAX;
	u32 i;

	if (copyin(v, uvec, n * sizeof(*v)))
		return -EFAULT;
	for (i = 0; i < n; i++) {
		if ((s64)v[i].len < 0)
			return -EINVAL;
		if (!user_range_ok(v[i].va, v[i].len))
			return -EFAULT;
		v[i].len = min(v[i].len, left);
		left -= v[i].len;
	}
	return 0;
}

static long vector_tty(struct rs_frame *f, struct file *file, const struct user_vec *v, u32 n,
		       bool write)
{
	struct tty_keys keys = { 0 };
	long ret = write ? tty_before_write(file) : tty_before_read(file);

	if (ret)
		return ret;
	file_get(file);
	if (write)
		keys = tty_keys_begin(file);
	ret = sys_forward(f);
	tty_keys_end(&keys, file, v, n, ret);
	file_put(file);
	return ret;
}

static long vector_rw(struct rs_frame *f, bool write)
{
	struct file *file = fd_lookup(current_proc()->files, ARG0(f));
	struct user_vec few[VECS_INLINE], *v = few;
	long ret;

	if (!file)
		return -EBADF;
	if (!file->ops && !file->tty)
		return sys_forward(f);
	if (ARG2(f) > VECS_MAX)
		return -EINVAL;
	if (ARG2(f) > VECS_INLINE) {
		v = kmalloc(ARG2(f) * sizeof(*v));
		if (!v)
			return -ENOMEM;
	}
	ret = get_vecs(v, ARG1(f), (u32)ARG2(f));
	if (!ret)
		ret = file->ops ? rw(file, v, (u32)ARG2(f), write) :
				  vector_tty(f, file, v, (u32)ARG2(f), write);
	if (v != few)
		kfree(v);
	return ret;
}

long sys_readv(struct rs_frame *f)
{
	return vector_rw(f, false);
}

long sys_writev(struct rs_frame *f)
{
	return vector_rw(f, true);
}

/* --- making them ------------------------------------------------------------------------------ */

static long do_pipe(u64 va, u32 flags)
{
	struct fd_table *files = current_proc()->files;
	u64 a[6] = { va, flags };
	struct file *end[2];
	s32 fd[2];
	long err;

	/* Pipes of packets, and whatever else there may be, are the host's. */
	if (flags & ~(O_CLOEXEC | O_NONBLOCK))
		return forward(__NR_pipe2, a);
	err = pipe_create(end, flags & O_NONBLOCK);
	if (err)
		return err;
	fd[0] = fd_install(files, end[0], 0, flags & O_CLOEXEC);
	if (fd[0] < 0) {
		file_put(end[0]);
		file_put(end[1]);
		return fd[0];
	}
	fd[1] = fd_install(files, end[1], 0, flags & O_CLOEXEC);
	if (fd[1] < 0) {
		file_put(fd_remove(files, fd[0]));
		file_put(end[1]);
		return fd[1];
	}
	if (!copyout(va, fd, sizeof(fd)))
		return 0;
	file_put(fd_remove(files, fd[0]));
	file_put(fd_remove(files, fd[1]));
	return -EFAULT;
}

long sys_pipe(struct rs_frame *f)
{
	return do_pipe(ARG0(f), 0);
}

long sys_pipe2(struct rs_frame *f)
{
	return do_pipe(ARG0(f), (u32)ARG1(f));
}

static long do_eventfd(u32 count, u32 flags)
{
	struct file *f;
	long fd;

	if (flags & ~(O_CLOEXEC | O_NONBLOCK | EFD_SEMAPHORE))
		return -EINVAL;
	f = eventfd_create(count, flags & EFD_SEMAPHORE, flags & O_NONBLOCK);
	if (!f)
		return -ENOMEM;
	fd = fd_install(current_proc()->files, f, 0, flags & O_CLOEXEC);
	if (fd < 0)
		file_put(f);
	return fd;
}

long sys_eventfd(struct rs_frame *f)
{
	return do_eventfd((u32)ARG0(f), 0);
}

long sys_eventfd2(struct rs_frame *f)
{
	return do_eventfd((u32)ARG0(f), (u32)ARG1(f));
}

/* --- asking them ------------------------------------------------------------------------------ */

/* Directories below /proc: what is not here answers with an error of its own (procfs.c). */
static bool dir_call(u64 nr, struct file *f, const u64 *a, long *ret)
{
	switch (nr) {
	case __NR_lseek: *ret = procfs_seek(f, (s64)a[1], (u32)a[2]); return true;
	case __NR_pread64:
	case __NR_preadv: *ret = -EISDIR; return true;
	case __NR_pwrite64:
	case __NR_pwritev: *ret = -EBADF; return true;
	case __NR_fsync:
	case __NR_fdatasync:
	case __NR_ftruncate: *ret = -EINVAL; return true;
	}
	return false;
}

bool object_call(u64 nr, struct file *f, const u64 *a, long *ret)
{
	if (inet_of(f))
		return inet_call(nr, f, a, ret);
	if (procfs_dir(f, NULL))
		return dir_call(nr, f, a, ret);
	if (!pipe_of(f))
		return false;
	switch (nr) {
	case __NR_lseek:
	case __NR_pread64:
	case __NR_pwrite64:
	case __NR_preadv:
	case __NR_pwritev:
	case __NR_fadvise64:
	case __NR_sync_file_range: *ret = -ESPIPE; return true;
	case __NR_fsync:
	case __NR_fdatasync:
	case __NR_ftruncate:
	case __NR_copy_file_range: *ret = -EINVAL; return true;
	}
	return false;
}

bool object_fcntl(struct file *f, u32 cmd, u64 arg, long *ret)
{
	struct pipe *p = pipe_of(f);

	switch (cmd) {
	case F_GETFL: *ret = f->flags; return true;
	case F_SETFL:
		/* Signals on arrival, and packets, are the host's; of sockets of ours, nobody's. */
		if (inet_of(f) && arg & (FASYNC | O_DIRECT)) {
			*ret = -EINVAL;
			return true;
		}
		if (arg & (FASYNC | O_DIRECT))
			return false;
		f->flags = (f->flags & ~SETFL_MASK) | ((u32)arg & SETFL_MASK);
		*ret = 0;
		return true;
	case F_GETPIPE_SZ: *ret = p ? pipe_size(p) : -EBADF; return true;
	case F_SETPIPE_SZ: *ret = p ? pipe_resize(p, (u32)arg) : -EBADF; return true;
	}
	if (!inet_of(f))
		return false;
	*ret = -EINVAL;
	return true;
}

bool object_ioctl(struct file *f, u32 cmd, u64 arg, long *ret)
{
	struct pipe *p = pipe_of(f);
	u32 on;

	if (inet_of(f) && inet_ioctl(f, cmd, arg, ret))
		return true;
	switch (cmd) {
	case FIONBIO:
		*ret = get_user_u32(&on, arg);
		if (!*ret)
			f->flags = on ? f->flags | O_NONBLOCK : f->flags & ~O_NONBLOCK;
		return true;
	case FIONREAD:
		*ret = p ? put_user_u32(arg, pipe_available(p)) : -ENOTTY;
		return true;
	case FIOASYNC:
	case FIOQSIZE: return false;
	}
	/* The terminal's commands: how a program asks whether it is one. */
	if ((cmd >> 8 & 0xff) != 'T')
		return false;
	*ret = -ENOTTY;
	return true;
}

#define PIPE_DEV	0xfffffu	/* a device that the host has not: the inode numbers are ours */

bool object_stat(const struct file *f, struct k_stat *st)
{
	const struct sock *s = inet_of(f);
	struct pipe *p = pipe_of(f);
	u64 *now = host_bounce();
	struct proc_name pn;

	if (procfs_dir(f, &pn)) {
		procfs_stat(&pn, st);
		return true;
	}
	if (!p && !s)
		return false;
	*st = (struct k_stat){
		.dev = PIPE_DEV, .ino = p ? pipe_ino(p) : s->ino, .nlink = 1,
		.mode = p ? 0010600 : 0140777,
		.blksize = PAGE_SIZE, .uid = current_proc()->fsuid, .gid = current_proc()->fsgid,
	};
	/* As for a pipe that is in use all the time. */
	rs_stats()->forwarded++;
	if (!host_call2(__NR_clock_gettime, 0, gpa_of(now))) {
		memcpy(st->atime, now, 16);
		memcpy(st->mtime, now, 16);
		memcpy(st->ctime, now, 16);
	}
	return true;
}

long sys_fstat(struct rs_frame *f)
{
	struct file *file = fd_lookup(current_proc()->files, ARG0(f));
	struct k_stat st;

	if (unlikely(file && file->ops) && object_stat(file, &st))
		return copyout(ARG1(f), &st, sizeof(st)) ? -EFAULT : 0;
	return sys_forward(f);
}

long sys_getdents64(struct rs_frame *f)
{
	struct file *file = fd_lookup(current_proc()->files, ARG0(f));

	if (unlikely(file && file->ops))
		return procfs_dir(file, NULL) ? procfs_getdents(file, ARG1(f), ARG2(f)) : -ENOTDIR;
	return sys_forward(f);
}
