// SPDX-License-Identifier: MIT
/*
 * forward.c - system calls that the host process executes
 *
 * The row of rs_calls.def says what each argument is; the functions here turn the process's numbers
 * and pointers into what the host can use:
 *
 *	descriptors	the host's, through the descriptor table
 *	paths, strings	copied into kernel memory, so that what was checked is what is used
 *	structures	in place when they lie in one piece of guest physical memory, otherwise
 *			through a kernel buffer
 *	data buffers	in place, never copied: one piece is passed as it is, several become the
 *			call's vector form; a call that has none gets a kernel buffer
 *
 * In place means: the pages are made present with the right the call needs, and a reference keeps
 * each of them until the call is back, so that neither a munmap by another thread nor a
 * copy-on-write can pull them away. Everything is prepared before the one host call and undone
 * after it in a struct fwd; a bad pointer therefore shows as EFAULT before anything has happened.
 * As on Linux, a data buffer of which only the front is there is transferred up to that point.
 *
 * A call that comes back with EINTR is repeated unless a signal is to be handled: the host process
 * is interrupted for signals the sandboxed process ignores as well.
 */
#include <asm/unistd.h>
#include <linux/fcntl.h>
#include "async.h"
#include "pieces.h"
#include "signal.h"
#include "syscall.h"
#include "table.h"
#include "tty.h"
#include "../lib/string.h"
#include "../mm/kmalloc.h"
#include "../../include/rs_calls.h"

#define BLOCK_MAX   65536u /* largest kernel buffer for one argument */
#define FWD_STRINGS 3

/* --- the host's side -------------------------------------------------------------------------- */

/* Kinds of files behind host descriptors, found out when it matters. */
enum { KIND_UNKNOWN, KIND_WAITS, KIND_READY };
#define KINDS 65536
static u8 kinds[KINDS];

/*
 * Calls on a descriptor that are away with a helper or another CPU. It is not closed before they
 * are back: the number would be given to another file, and a call that has to be made again would
 * find that one.
 */
static u16 away[KINDS];
static u64 close_later[KINDS / 64];

static long close_now(int host_fd)
{
	rs_stats()->forwarded++;
	if ((u32)host_fd < KINDS)
		kinds[host_fd] = KIND_UNKNOWN;
	return host_call1(__NR_close, host_fd);
}

/*
 * With a helper if one is wanted and can be had; otherwise this CPU is away, and the others may be
 * in the kernel meanwhile.
 */
static long call(u64 nr, const u64 a[6], bool helper)
{
	bool fd = (helper || rs_ncpus > 1) && a[0] < KINDS && nr != __NR_ppoll;
	long ret;

	if (fd)
		away[a[0]]++;
	if (likely(!helper) || !async_call(nr, a, &ret)) {
		sched_before_host();
		sched_leave_for_host();
		ret = host_call(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
		sched_enter();
	}
	if (fd && !--away[a[0]] && close_later[a[0] / 64] >> (a[0] % 64) & 1) {
		close_later[a[0] / 64] &= ~(1ull << (a[0] % 64));
		close_now((int)a[0]);
		/* Made again it would be a call on nothing. */
		if (ret == -EINTR && !signal_ready())
			ret = -EBADF;
	}
	return ret;
}

/* Reading and writing regular files takes its time, but it ends by itself. */
static bool file_waits(u64 host_fd)
{
	struct stat_head {
		u64 dev, ino, nlink;
		u32 mode;
	} *st = host_bounce();
	u32 type;

	if (host_fd >= KINDS)
		return true;
	if (!kinds[host_fd]) {
		rs_stats()->forwarded++;
		if (host_call2(__NR_fstat, host_fd, gpa_of(st)))
			return false;
		type = st->mode & 0170000;
		kinds[host_fd] = type == 0100000 || type == 0040000 || type == 0060000 ?
					 KIND_READY : KIND_WAITS;
	}
	return kinds[host_fd] == KIND_WAITS;
}

/*
 * Is this a call that may wait for what others do? What is not listed either does not, or is
 * interrupted by the next tick and then goes to a helper after all.
 */
static bool may_wait(u64 nr, const u64 a[6])
{
	switch (nr) {
	case __NR_read:
	case __NR_write:
	case __NR_readv:
	case __NR_writev:
	case __NR_preadv2:
	case __NR_pwritev2: return file_waits(a[0]);
	case __NR_splice:
	case __NR_tee:
	case __NR_sendfile:
	case __NR_connect:
	case __NR_accept:
	case __NR_accept4:
	case __NR_sendto:
	case __NR_recvfrom:
	case __NR_sendmsg:
	case __NR_recvmsg: return true;
	case __NR_ppoll: {
		const s64 *ts = a[2] ? gpa_ptr(a[2]) : NULL;

		return !ts || ts[0] || ts[1];
	}
	case __NR_epoll_wait: return (int)a[3] != 0;
	case __NR_flock: return !(a[1] & LOCK_NB);
	case __NR_fcntl: return a[1] == F_SETLKW || a[1] == F_OFD_SETLKW;
	}
	return false;
}

long host_call_intr(u64 nr, u64 a0, u64 a1, u64 a2, u64 a3, u64 a4, u64 a5)
{
	u64 a[6] = { a0, a1, a2, a3, a4, a5 };
	long ret;

	for (;;) {
		rs_stats()->forwarded++;
		ret = call(nr, a, unlikely(sched_others()) && may_wait(nr, a));
		if (likely(ret != -EINTR))
			return ret;
		if (signal_ready())
			return -ERESTARTSYS;
		/* Interrupted for others who want to run: so it does wait. */
		if (!sched_others() || may_wait(nr, a))
			continue;
		if (nr == __NR_openat && (int)a[0] == AT_FDCWD)
			a[0] = (u64)process_cwd(current_proc());
		ret = call(nr, a, true);
		if (ret != -EINTR)
			return ret;
		if (signal_ready())
			return -ERESTARTSYS;
	}
}

/* --- memory that the host may write to -------------------------------------------------------- */

/* With no room left the last range grows over what lies between: more is copied at a fork. */
void note_host_write(u64 va, u64 len)
{
	struct thread *t = current();
	u32 n = t->nhost_writes;

	/* Who could fork meanwhile? */
	if ((t->proc->nthreads == 1 && likely(t->proc->mm->refs == 1)) || !len)
		return;
	if (n < ARRAY_SIZE(t->host_write)) {
		t->host_write[n].addr = va;
		t->host_write[n].len = len;
		t->nhost_writes = n + 1;
	} else {
		u64 low = min(t->host_write[n - 1].addr, va);
		u64 high = max(t->host_write[n - 1].addr + t->host_write[n - 1].len, va + len);

		t->host_write[n - 1].addr = low;
		t->host_write[n - 1].len = high - low;
	}
}

void forget_host_writes(void)
{
	current()->nhost_writes = 0;
}

long file_host_close(int host_fd)
{
	if ((u32)host_fd < KINDS && away[host_fd]) {
		close_later[host_fd / 64] |= 1ull << (host_fd % 64);
		return 0;
	}
	return close_now(host_fd);
}

/* --- strings ---------------------------------------------------------------------------------- */

char *path_buffer(int i)
{
	struct thread *t = current();

	if (unlikely(!t->paths))
		t->paths = kmalloc(FWD_STRINGS * PATH_SIZE);
	return t->paths ? t->paths + i * PATH_SIZE : NULL;
}

static struct file *host_cwd[RS_NR_CPUS]; /* of the thread that runs this CPU; one reference */

int process_cwd(const struct process *p)
{
	return p->fs->cwd->ops ? AT_FDCWD : p->fs->cwd->host_fd;
}

void cwd_enter(void)
{
	struct file **at = &host_cwd[this_cpu()->id], *want = current_proc()->fs->cwd;

	if (likely(*at == want) || unlikely(want->ops))
		return;
	rs_stats()->forwarded++;
	if (host_call1(__NR_fchdir, want->host_fd))
		return; /* it has been removed or closed to us: the old names do not lead there */
	cwd_now(want);
}

void cwd_drop(void)
{
	u32 i;

	for (i = 0; i < RS_NR_CPUS; i++) {
		if (host_cwd[i])
			file_put(host_cwd[i]);
		host_cwd[i] = NULL;
	}
}

void cwd_now(struct file *cwd)
{
	struct file **at = &host_cwd[this_cpu()->id], *old = *at;

	*at = file_get(cwd);
	if (old)
		file_put(old);
}

long path_in(char *buf, u64 va)
{
	long n;

	if (!buf)
		return -ENOMEM;
	n = copyinstr(buf, va, PATH_SIZE);
	if (n < 0)
		return n;
	if (*buf == '/')
		return 0;
	/* Nothing can be made or changed in a directory that is none of the host's. */
	if (unlikely(current_proc()->fs->cwd->ops))
		return -ENOENT;
	cwd_enter();
	return 0;
}

long host_dirfd(u64 fd)
{
	if ((int)fd == AT_FDCWD)
		return AT_FDCWD;
	return fd_host(current_proc()->files, fd);
}

/* --- read and write --------------------------------------------------------------------------- */

/**
 * pipe_check() - a write that found no reader raises SIGPIPE
 * Here, since the host process ignores it: only the guest knows whose write it was.
 */
long pipe_check(long ret)
{
	static const struct k_siginfo info = { .signo = SIGPIPE, .code = SI_USER };

	if (unlikely(ret == -EPIPE))
		signal_raise(current_proc(), current(), &info);
	return ret;
}

/* Several pages, pages that are not there yet, lengths that are none. */
static noinline long rw_slow(u64 nr, u64 vector_nr, int host, u64 va, u64 len, bool write, u64 pos)
{
	struct pieces p;
	long ret, err = 0;

	if (!len)
		return host_call_intr(nr, host, 0, 0, pos, 0, 0);
	if ((s64)len < 0)
		return -EINVAL;
	pieces_init(&p);
	pieces_add(&p, va, len, write, &err);
	if (err)
		ret = err;
	else if (p.n == 1)
		ret = host_call_intr(nr, host, p.seg[0].gpa, p.seg[0].len, pos, 0, 0);
	else
		ret = host_call_intr(vector_nr, host, gpa_of(p.seg), p.n, pos, 0, 0);
	pieces_put(&p);
	return ret;
}

/* The ordinary case: a page or less that is there goes to the host with nothing else done. */
static always_inline long rw(u64 nr, u64 vector_nr, int host, u64 va, u64 len, bool write,
			     u64 pos)
{
	u64 gpa;
	long ret;

	if (unlikely(!len || !user_page_get(va, len, write, &gpa)))
		return rw_slow(nr, vector_nr, host, va, len, write, pos);
	if (write)
		note_host_write(va, len);
	ret = host_call_intr(nr, host, gpa, len, pos, 0, 0);
	user_page_put(gpa);
	forget_host_writes();
	return ret;
}

long sys_read(struct rs_frame *f)
{
	struct file *file = fd_lookup(current_proc()->files, ARG0(f));

	if (unlikely(!file))
		return -EBADF;
	if (file->host_fd < 0)
		return object_rw(file, ARG1(f), ARG2(f), false);
	if (unlikely(file->tty)) {
		long ret = tty_before_read(file);

		if (ret)
			return ret;
	}
	return rw(__NR_read, __NR_readv, file->host_fd, ARG1(f), ARG2(f), true, 0);
}

static noinline long write_tty(struct rs_frame *f, struct file *file)
{
	struct user_vec v = { ARG1(f), ARG2(f) };
	struct tty_keys keys;
	long ret = tty_before_write(file);

	if (ret)
		return ret;
	file_get(file);
	keys = tty_keys_begin(file);
	ret = rw(__NR_write, __NR_writev, file->host_fd, ARG1(f), ARG2(f), false, 0);
	tty_keys_end(&keys, file, &v, 1, ret);
	file_put(file);
	return ret;
}

long sys_write(struct rs_frame *f)
{
	struct file *file = fd_lookup(current_proc()->files, ARG0(f));

	if (unlikely(!file))
		return -EBADF;
	if (file->host_fd < 0)
		return object_rw(file, ARG1(f), ARG2(f), true);
	if (unlikely(file->tty))
		return write_tty(f, file);
	return pipe_check(
		rw(__NR_write, __NR_writev, file->host_fd, ARG1(f), ARG2(f), false, 0));
}

/* For a call at a position: the host's descriptor, or why not. */
static int host_at(u64 nr, u64 fd)
{
	struct file *file = fd_lookup(current_proc()->files, fd);
	long ret;

	if (unlikely(!file))
		return -EBADF;
	if (unlikely(file->host_fd < 0) && object_call(nr, file, NULL, &ret))
		return (int)ret;
	return file_host(file);
}

long sys_pread64(struct rs_frame *f)
{
	int host = host_at(__NR_pread64, ARG0(f));

	if (unlikely(host < 0))
		return host;
	return rw(__NR_pread64, __NR_preadv, host, ARG1(f), ARG2(f), true, ARG3(f));
}

long sys_pwrite64(struct rs_frame *f)
{
	int host = host_at(__NR_pwrite64, ARG0(f));

	if (unlikely(host < 0))
		return host;
	return rw(__NR_pwrite64, __NR_pwritev, host, ARG1(f), ARG2(f), false, ARG3(f));
}

/*
 * In steps of what fits into one list of pieces. A write goes on until all is written, as that of
 * the pipe that it was would have; less than asked for means that it was interrupted or does not
 * block.
 */
long file_host_rw(struct file *f, const struct user_vec *v, u32 n, u64 skip, enum file_rw how)
{
	bool write = how != FILE_READ;
	u64 done = skip;
	struct user_cursor c;
	struct pieces p;
	long ret, err;

	cursor_init(&c, v, n);
	while (skip) {
		u64 part = min(skip, cursor_run(&c));

		cursor_move(&c, part);
		skip -= part;
	}
	do {
		struct user_cursor at = c;
		u64 part;

		pieces_init(&p);
		err = 0;
		while (at.left) {
			part = min(cursor_run(&at), at.left);
			if (!pieces_add(&p, cursor_va(&at), part, !write, &err))
				break;
			if (!write)
				note_host_write(cursor_va(&at), part);
			cursor_move(&at, part);
		}
		ret = p.bytes ? host_call_intr(write ? __NR_writev : __NR_readv, f->host_fd,
					       gpa_of(p.seg), p.n, 0, 0, 0) : err;
		forget_host_writes();
		pieces_put(&p);
		if (ret <= 0)
			break;
		done += ret;
		for (part = ret; part; ) {
			u64 run = min(part, cursor_run(&c));

			cursor_move(&c, run);
			part -= run;
		}
	} while (how == FILE_WRITE_ALL && c.left);
	pipe_check(ret);
	if (done)
		return done;
	return ret == -ERESTARTSYS ? -EINTR : ret;
}

void file_broken_pipe(void)
{
	pipe_check(-EPIPE);
}

/* --- everything else -------------------------------------------------------------------------- */

/* One pointer argument in flight: in place (seg), or through a kernel buffer. */
struct fwd_ptr {
	u64 va;
	u32 len;
	bool out;
	bool result_len; /* the call's result says how much of the buffer was written */
	struct user_seg seg;
	void *buf;
};

/* struct fwd - a forwarded call in flight; everything fwd_release() has to give back */
struct fwd {
	u64 arg[6];
	struct fwd_ptr ptr[6];
	int nptr, nstr;
	struct pieces pieces;
	int fdpair; /* index into ptr, -1 */
};

static void fwd_release(struct fwd *w)
{
	while (w->nptr--) {
		struct fwd_ptr *p = &w->ptr[w->nptr];

		if (p->buf)
			kfree(p->buf);
		else
			user_segs_put(&p->seg, 1);
	}
	pieces_put(&w->pieces);
	forget_host_writes();
}

/* A block of @len bytes: in place if it is one piece, otherwise copied. Sets @*gpa. */
static long fwd_block(struct fwd *w, u64 va, u64 len, bool in, bool out, bool result_len, u64 *gpa)
{
	struct fwd_ptr *p = &w->ptr[w->nptr];
	u64 done;
	int n;

	*gpa = 0;
	if (!len || !va)
		return 0;
	if (len > BLOCK_MAX)
		return -EINVAL;
	if (likely(user_page_get(va, len, out, &p->seg.gpa))) {
		if (out)
			note_host_write(va, len);
		p->buf = NULL;
		p->seg.len = len;
		*gpa = p->seg.gpa;
		w->nptr++;
		return 0;
	}
	n = user_segs_get(va, len, out, &p->seg, 1, &done);
	if (n < 0)
		return n;
	p->va = va;
	p->len = len;
	p->out = out;
	p->result_len = result_len;
	p->buf = NULL;
	if (done == len) {
		if (out)
			note_host_write(va, len);
		*gpa = p->seg.gpa;
		w->nptr++;
		return 0;
	}
	user_segs_put(&p->seg, n);
	if (!user_range_ok(va, len))
		return -EFAULT;
	p->buf = kzalloc(len);
	if (!p->buf)
		return -ENOMEM;
	w->nptr++;
	if (in && copyin(p->buf, va, len))
		return -EFAULT;
	*gpa = gpa_of(p->buf);
	return 0;
}

/* Copies results out of kernel buffers: 0 or -EFAULT. */
static long fwd_copy_back(struct fwd *w, long ret)
{
	int i;

	for (i = 0; i < w->nptr; i++) {
		struct fwd_ptr *p = &w->ptr[i];
		u64 n = p->len;

		if (!p->buf || !p->out)
			continue;
		if (p->result_len)
			n = min(n, (u64)ret);
		if (copyout(p->va, p->buf, n))
			return -EFAULT;
	}
	return 0;
}

/* Gives new host descriptors numbers of the process. On failure they are closed. */
static long install_pair(struct fwd *w, u64 va, bool cloexec)
{
	struct fd_table *files = current_proc()->files;
	struct fwd_ptr *p = &w->ptr[w->fdpair];
	s32 host[2], *where = p->buf ? p->buf : gpa_ptr(p->seg.gpa), fd[2] = { -1, -1 };
	long err = 0;
	int i;

	memcpy(host, where, sizeof(host));
	for (i = 0; i < 2; i++) {
		struct file *file = file_new(host[i], NULL);

		if (!file || err) {
			if (file)
				file_put(file);
			err = err ? err : -ENOMEM;
			continue;
		}
		fd[i] = fd_install(files, file, 0, cloexec);
		if (fd[i] < 0) {
			err = fd[i];
			file_put(file);
		}
	}
	memcpy(where, fd, sizeof(fd));
	if (!err && p->buf && copyout(va, fd, sizeof(fd)))
		err = -EFAULT;
	if (!err)
		return 0;
	for (i = 0; i < 2; i++) {
		struct file *file = fd[i] >= 0 ? fd_remove(files, fd[i]) : NULL;

		if (file)
			file_put(file);
	}
	return err;
}

long install_host_fd(long host, bool cloexec, struct refstr *name)
{
	struct file *file = file_new(host, name);
	int fd;

	if (!file)
		return -ENOMEM;
	fd = fd_install(current_proc()->files, file, 0, cloexec);
	if (fd < 0)
		file_put(file);
	return fd;
}

/*
 * Whether the new descriptor of call @nr has the close-on-exec mark. The host's own always has it.
 */
static bool wants_cloexec(u64 nr, const u64 *a)
{
	switch (nr) {
	case __NR_pipe2:
	case __NR_eventfd2:
	case __NR_timerfd_create:
	case __NR_socket:
	case __NR_socketpair:
		return a[1] & O_CLOEXEC; /* equal to SOCK_CLOEXEC, EFD_CLOEXEC, TFD_CLOEXEC */
	case __NR_memfd_create: return a[1] & 1; /* MFD_CLOEXEC */
	case __NR_inotify_init1:
	case __NR_epoll_create1: return a[0] & O_CLOEXEC;
	case __NR_accept4: return a[3] & O_CLOEXEC;
	}
	return false;
}

/* One argument that is neither a number nor a descriptor. */
static long fwd_arg(struct fwd *w, u64 nr, const u64 *a, int i, u32 desc)
{
	u64 param = RS_ARG_PARAM(desc), len;
	struct fd_table *files = current_proc()->files;
	long err = 0;
	char *s;
	u32 n;
	int fd;

	w->arg[i] = 0;
	switch (RS_ARG_KIND(desc)) {
	case RS_A_IOCTL:
	case RS_A_FCNTL: w->arg[i] = a[i]; return 0;
	case RS_A_DFD:
		if ((int)a[i] == AT_FDCWD) {
			w->arg[i] = (u64)(s64)AT_FDCWD;
			return 0;
		}
		fd = fd_host(files, a[i]);
		w->arg[i] = fd;
		return fd < 0 ? fd : 0;
	case RS_A_PATHN:
		if (!a[i])
			return 0;
		/* fallthrough */
	case RS_A_PATH:
	case RS_A_STR:
		s = path_buffer(w->nstr++);
		err = path_in(s, a[i]);
		if (!err && RS_ARG_KIND(desc) == RS_A_STR && strlen(s) > 255)
			err = -ERANGE;
		w->arg[i] = err ? 0 : gpa_of(s);
		return err;
	case RS_A_IN: return fwd_block(w, a[i], param, true, false, false, &w->arg[i]);
	case RS_A_OUT: return fwd_block(w, a[i], param, false, true, false, &w->arg[i]);
	case RS_A_INOUT: return fwd_block(w, a[i], param, true, true, false, &w->arg[i]);
	case RS_A_OFFP: return fwd_block(w, a[i], 8, true, true, false, &w->arg[i]);
	case RS_A_LENP: return fwd_block(w, a[i], 4, true, true, false, &w->arg[i]);
	case RS_A_BLKOUTP:
		if (!a[i] || !a[param])
			return 0;
		if (get_user_u32(&n, a[param]))
			return -EFAULT;
		if ((s32)n < 0)
			return -EINVAL;
		/* More than the largest answer there is (64 KiB) is never written. */
		return fwd_block(w, a[i], min(n, BLOCK_MAX), true, true, false, &w->arg[i]);
	case RS_A_ADDR:
		if (a[i] && !(rs_boot->flags & RS_BOOT_NET_HOST)) {
			host_explain((int)nr, EPERM, NULL);
			return -EPERM;
		}
		if (a[i] && a[param] > 128)
			return -EINVAL;
		/* fallthrough */
	case RS_A_BLKIN:
		if (a[i] && a[param] > BLOCK_MAX)
			return nr == __NR_setxattr || nr == __NR_lsetxattr || nr == __NR_fsetxattr
				       ? -E2BIG
				       : -EINVAL;
		if (a[i] && !a[param])
			w->arg[i] = 0;
		return fwd_block(w, a[i], a[param], true, false, false, &w->arg[i]);
	case RS_A_BUFOUT:
		len = min(a[param], (u64)BLOCK_MAX);
		w->arg[param] = len; /* the length follows its buffer in every row */
		if (len && !user_range_ok(a[i], len))
			return -EFAULT;
		return fwd_block(w, a[i], len, false, true, true, &w->arg[i]);
	case RS_A_BUFIN:
		if (a[param] > BLOCK_MAX)
			return -EMSGSIZE;
		return fwd_block(w, a[i], a[param], true, false, false, &w->arg[i]);
	case RS_A_ARROUT:
	case RS_A_ARRINOUT:
		n = (u32)a[param & 15];
		if ((s32)n < 0)
			return -EINVAL;
		len = (u64)n * (param >> 4);
		if (len > BLOCK_MAX) {
			/* Fewer elements than offered is what such calls may always answer. */
			n = BLOCK_MAX / (param >> 4);
			len = (u64)n * (param >> 4);
		}
		w->arg[param & 15] = n;
		/* Copied in as well: elements beyond the result must come back unchanged. */
		return fwd_block(w, a[i], len, true, true, false, &w->arg[i]);
	case RS_A_FDPAIR:
		if (!a[i])
			return -EFAULT;
		w->fdpair = w->nptr;
		err = fwd_block(w, a[i], 8, false, true, false, &w->arg[i]);
		/* install_pair() writes the numbers, the process's. */
		if (!err)
			w->ptr[w->fdpair].out = false;
		return err;
	case RS_A_IOVIN:
	case RS_A_IOVOUT: {
		u64 v[2], k, total = 0;
		bool more = true;

		if (a[param] > SEGS_MAX)
			return -EINVAL;
		for (k = 0; k < a[param]; k++) {
			if (copyin(v, a[i] + 16 * k, sizeof(v)))
				return -EFAULT;
			if ((s64)v[1] < 0 || (total += v[1]) > 0x7fffffffffffffff)
				return -EINVAL;
			if (more && v[1])
				more = pieces_add(&w->pieces, v[0], v[1],
						  RS_ARG_KIND(desc) == RS_A_IOVOUT, &err);
			if (err)
				return err;
		}
		w->arg[param] = w->pieces.n;
		w->arg[i] = w->pieces.n ? gpa_of(w->pieces.seg) : 0;
		return 0;
	}
	default:
		/* Rows with other kinds have code of their own. */
		return -ENOSYS;
	}
}

/* What follows a call that writes: SIGPIPE, as for write() itself. */
static void check_broken_pipe(u64 nr, long ret)
{
	if (nr == __NR_writev || nr == __NR_pwritev || nr == __NR_pwritev2 || nr == __NR_sendfile ||
	    nr == __NR_splice || nr == __NR_tee || nr == __NR_copy_file_range)
		pipe_check(ret);
}

/* The host process's own mask is 0. */
static void apply_umask(u64 nr, u64 a[6])
{
	u32 mask = current_proc()->fs->umask;

	if (nr == __NR_mkdir || nr == __NR_mknod)
		a[1] &= ~(u64)mask;
	else if (nr == __NR_mkdirat || nr == __NR_mknodat)
		a[2] &= ~(u64)mask;
}

/*
 * Numbers and descriptors, which most arguments are, are dealt with in the loop. A buffer or array
 * may shorten the argument that is its length: that one is marked, so that its own turn does not
 * overwrite it.
 */
long forward(u64 nr, const u64 a[6])
{
	const struct rs_sysrow *row = &rs_sysrows[nr];
	u32 set = 0, i;
	struct fwd w;
	long ret = 0;

	if (row->policy == RS_P_NET && !(rs_boot->flags & RS_BOOT_NET_HOST)) {
		const struct file *file = fd_lookup(current_proc()->files, a[0]);

		/* What is wrong in any case comes before what is not allowed. */
		if (RS_ARG_KIND(row->arg[0]) == RS_A_FD && (!file || file->ops))
			return file ? -ENOTSOCK : -EBADF;
		host_explain((int)nr, EPERM, NULL);
		return -EPERM;
	}
	w.nptr = w.nstr = 0;
	w.fdpair = -1;
	pieces_init(&w.pieces);
	for (i = 0; i < row->nargs; i++) {
		u32 desc = row->arg[i], kind = RS_ARG_KIND(desc), param = RS_ARG_PARAM(desc);

		if (kind <= RS_A_FLAGS) {
			if (!(set >> i & 1))
				w.arg[i] = kind == RS_A_INT ? (u64)(s64)(s32)a[i] : a[i];
			continue;
		}
		if (kind == RS_A_FD) {
			ret = fd_host(current_proc()->files, a[i]);
			if (unlikely(ret < 0))
				break;
			w.arg[i] = (u64)ret;
			ret = 0;
			continue;
		}
		ret = fwd_arg(&w, nr, a, (int)i, desc);
		if (unlikely(ret))
			break;
		if (kind == RS_A_BUFOUT || kind == RS_A_IOVIN || kind == RS_A_IOVOUT)
			set |= 1u << param;
		else if (kind == RS_A_ARROUT || kind == RS_A_ARRINOUT)
			set |= 1u << (param & 15);
	}
	if (likely(!ret)) {
		for (; i < 6; i++)
			w.arg[i] = 0;
		apply_umask(nr, w.arg);
		ret = host_call_intr(nr, w.arg[0], w.arg[1], w.arg[2], w.arg[3], w.arg[4],
				     w.arg[5]);
		if (ret >= 0) {
			long err = fwd_copy_back(&w, ret);

			if (row->ret == RS_R_FD && !err)
				ret = install_host_fd(ret, wants_cloexec(nr, a), NULL);
			else if (row->ret == RS_R_FD)
				file_host_close((int)ret);
			else if (w.fdpair >= 0)
				ret = install_pair(&w, a[nr == __NR_pipe2 ? 0 : 3],
						   wants_cloexec(nr, a));
			if (err)
				ret = err;
		}
	}
	fwd_release(&w);
	if (unlikely(ret == -EPIPE))
		check_broken_pipe(nr, ret);
	return ret;
}

static noinline long forward_general(struct rs_frame *f)
{
	u64 a[6] = { ARG0(f), ARG1(f), ARG2(f), ARG3(f), ARG4(f), ARG5(f) };
	u32 nr = f->error, i;
	long ret;

	for (i = 0; i < rs_sysrows[nr].nargs; i++) {
		struct file *file;

		if (RS_ARG_KIND(rs_sysrows[nr].arg[i]) != RS_A_FD)
			continue;
		file = fd_lookup(current_proc()->files, a[i]);
		if (unlikely(file && file->host_fd < 0) && object_call(nr, file, a, &ret))
			return ret;
	}
	return forward(nr, a);
}

/* A plain call that a signal may have interrupted: again, unless there is one to handle. */
static noinline long forward_interrupted(struct rs_frame *f, int host)
{
	if (signal_ready())
		return -ERESTARTSYS;
	return host_call_intr((u32)f->error, host, ARG1(f), ARG2(f), ARG3(f), ARG4(f), ARG5(f));
}

/* May wait for others, who are to run meanwhile: not a plain call. */
long sys_flock(struct rs_frame *f)
{
	return forward_general(f);
}

/* Many calls (lseek, fsync, ftruncate, ...) need only their descriptor translated. */
long sys_forward(struct rs_frame *f)
{
	u32 nr = f->error;
	struct file *file;
	struct rs_call *c;
	long ret;
	int host;

	if (!rs_sysrows[nr].plain)
		return forward_general(f);
	file = fd_lookup(current_proc()->files, ARG0(f));
	if (unlikely(!file))
		return -EBADF;
	host = file->host_fd;
	if (unlikely(host < 0))
		return forward_general(f);
	rs_stats()->forwarded++;
	c = host_call_begin();
	c->nr = nr;
	c->args[0] = host;
	c->args[1] = ARG1(f);
	c->args[2] = ARG2(f);
	c->args[3] = ARG3(f);
	c->args[4] = ARG4(f);
	c->args[5] = ARG5(f);
	ret = host_call_go(c);
	return likely(ret != -EINTR) ? ret : forward_interrupted(f, host);
}
