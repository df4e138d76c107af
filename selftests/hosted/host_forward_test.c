// SPDX-License-Identifier: MIT
/*
 * The wall between a guest and the host process, from the hostile side: what may struct rs_call
 * make the library do?
 *
 * forward.c is linked with its system calls replaced by a hook. The hook does not trust forward.c:
 * it looks at every call that would have been made and judges it by the table alone (a second,
 * independent reading): each address must lie in the arena, the window, or the vCPU's scratch
 * memory, with its whole length; each descriptor must be the guest's. Two ways to get calls: rows
 * that say exactly what must come out, and a storm of random requests in which only the hook's
 * judgement counts. No device, no guest, no privileges. Built with ASan and UBSan
 * (userland/Makefile, make check).
 */
#define _GNU_SOURCE
#include <asm/ioctls.h>
#include <asm/unistd.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "load.h"
#include "sandbox.h"

#define ARENA		(16ull << 20)
#define OWN_FD		20	/* a descriptor of the guest */
#define FOREIGN_FD	21	/* one of the library */
#define OPENED_FD	22	/* what the next open of a program gives */

static struct rs_sandbox sb;
static struct rs_vcpu vcpu;
static int failures, tests;

/* What the hook saw last. */
static struct {
	long nr, args[6];
	unsigned int calls;
	bool policy;		/* policy.c was asked */
	long answer;
	const char *wrong;
} seen;

/* --- the second reading ---------------------------------------------------------------------- */

static bool in_guest(uint64_t p, uint64_t len)
{
	uint64_t a = (uint64_t)sb.mem.arena, w = (uint64_t)sb.mem.window;

	return (p >= a && p - a <= ARENA && len <= ARENA - (p - a)) ||
	       (p >= w && p - w <= sb.mem.window_size && len <= sb.mem.window_size - (p - w));
}

static bool in_scratch(uint64_t p, uint64_t len)
{
	uint64_t s = (uint64_t)&vcpu.caller.scratch;

	return p >= s && p - s <= sizeof(vcpu.caller.scratch) && len <= sizeof(vcpu.caller.scratch) - (p - s);
}

static bool fd_ok(long fd)
{
	return fd >= 0 && fd < RS_FD_LIMIT && sb.owned[fd / 64] >> (fd % 64) & 1;
}

static bool iov_ok(uint64_t p, uint64_t n)
{
	const struct iovec *v = (const struct iovec *)p;
	uint64_t i;

	if (n > RS_IOV_MAX || !in_scratch(p, n * sizeof(*v)))
		return false;
	for (i = 0; i < n; i++)
		if (v[i].iov_base ? !in_guest((uint64_t)v[i].iov_base, v[i].iov_len)
				  : v[i].iov_len != 0)
			return false;
	return true;
}

/* An address of @n bytes to connect or send to: our copy, and of no program of this machine. */
static bool addr_ok(uint64_t p, uint64_t n, bool bind)
{
	const struct sockaddr *a = (const struct sockaddr *)p;

	return sb.net_host && n <= RS_ADDR_MAX && in_scratch(p, n) &&
	       (bind || n < 3 || a->sa_family != AF_UNIX);
}

static bool msg_ok(uint64_t p, bool out)
{
	const struct msghdr *m = (const struct msghdr *)p;
	const struct cmsghdr *c;

	if (!in_scratch(p, sizeof(*m)) || !iov_ok((uint64_t)m->msg_iov, m->msg_iovlen))
		return false;
	if (m->msg_name &&
	    (out ? m->msg_namelen > RS_ADDR_MAX || !in_guest((uint64_t)m->msg_name, m->msg_namelen)
		 : !addr_ok((uint64_t)m->msg_name, m->msg_namelen, false)))
		return false;
	if (m->msg_control && !in_scratch((uint64_t)m->msg_control, m->msg_controllen))
		return false;
	/* glibc's own walk over the control data. */
	for (c = out ? NULL : CMSG_FIRSTHDR(m); c;
	     c = CMSG_NXTHDR((struct msghdr *)m, (struct cmsghdr *)c)) {
		size_t k;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			return false;
		for (k = 0; CMSG_LEN(k + 4) <= c->cmsg_len; k += 4) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + k, 4);
			if (!fd_ok(fd))
				return false;
		}
	}
	return true;
}

static bool polls_ok(uint64_t p, uint64_t n)
{
	const struct pollfd *f = (const struct pollfd *)p;
	uint64_t i;

	if (n > RS_POLL_MAX || !in_scratch(p, n * sizeof(*f)))
		return false;
	for (i = 0; i < n; i++)
		if (f[i].fd >= 0 && !fd_ok(f[i].fd))
			return false;
	return true;
}

/* Argument @i of a forwarded call, as the kernel would use it. */
static bool arg_ok(long nr, const struct rs_call_row *row, const long *a, int i)
{
	uint32_t param = RS_ARG_PARAM(row->args[i]);
	uint64_t p = a[i];

	switch (RS_ARG_KIND(row->args[i])) {
	case RS_A_FD:
		return fd_ok(a[i]);
	case RS_A_DFD:
		return a[i] == AT_FDCWD || fd_ok(a[i]);
	case RS_A_PATH:
	case RS_A_STR:
		return in_guest(p, 1);
	case RS_A_PATHN:
		return !p || in_guest(p, 1);
	case RS_A_IN: case RS_A_OUT: case RS_A_INOUT:
		return !p || in_guest(p, param);
	case RS_A_BUFIN: case RS_A_BUFOUT:
		return p ? in_guest(p, a[param]) : !a[param];
	case RS_A_ADDR:
		return !p || addr_ok(p, (uint32_t)a[param], nr == __NR_bind);
	case RS_A_BLKIN:
		return !p || in_guest(p, (uint32_t)a[param]);
	case RS_A_BLKOUTP:
		return !p || in_guest(p, vcpu.caller.scratch.length);
	case RS_A_LENP:
		return !p || in_scratch(p, 4);
	case RS_A_ARROUT: case RS_A_ARRINOUT:
		return !p || in_guest(p, (uint64_t)(uint32_t)a[param & 15] * (param >> 4));
	case RS_A_POLLFDS:
		return polls_ok(p, a[param]);
	case RS_A_IOVIN: case RS_A_IOVOUT:
		return iov_ok(p, a[param]);
	case RS_A_MSGIN: case RS_A_MSGOUT:
		return msg_ok(p, RS_ARG_KIND(row->args[i]) == RS_A_MSGOUT);
	case RS_A_FDPAIR:
		return in_scratch(p, 8);
	case RS_A_OFFP:
		return !p || in_guest(p, 8);
	default:
		return true;
	}
}

/* Which argument of @nr is the mode of a file, or -1. */
static int mode_argument(long nr)
{
	static const struct {
		short nr, at;
	} modes[] = { { __NR_open, 2 },	  { __NR_openat, 3 },  { __NR_creat, 1 },
		      { __NR_mkdir, 1 },  { __NR_mkdirat, 2 }, { __NR_mknod, 1 },
		      { __NR_mknodat, 2 }, { __NR_chmod, 1 },   { __NR_fchmod, 1 },
		      { __NR_fchmodat, 2 } };
	unsigned int i;

	for (i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (modes[i].nr == nr)
			return modes[i].at;
	return -1;
}

/* What the library asks for itself about a descriptor (RS_CALL_FILE_ID, RS_CALL_OPEN_PROGRAM). */
static bool own_question(long nr, const long *a)
{
	if ((long)vcpu.shared->call.nr < RS_CALL_BASE)
		return false;
	switch (nr) {
	case __NR_fstat:
	case __NR_fstatfs:
		return fd_ok(a[0]) && !in_guest(a[1], 1);
	case __NR_faccessat2:
		return fd_ok(a[0]) && !in_guest(a[1], 1) && !*(const char *)a[1] && a[3] == AT_EMPTY_PATH;
	case __NR_clock_gettime:
		return !in_guest(a[1], 1);
	}
	return false;
}

/* What the host answers to those; @file_mode is that of every file. */
static mode_t file_mode = S_IFREG | 0755;
static long file_flags, file_seals = -EINVAL, file_system, now_sec = 1000;
static long shared_answer, private_answer;	/* of mmap, for RS_CALL_MAP_FILE */
static long more_answer;	/* of mremap, for RS_CALL_MAP_MORE */
static unsigned int closes;

static long own_answer(long nr, const long *a)
{
	struct stat *st = (void *)a[1];

	switch (nr) {
	case __NR_fstat:
		memset(st, 0, sizeof(*st));
		st->st_mode = file_mode;
		st->st_dev = 5;
		st->st_ino = a[0];
		st->st_size = 777;
		st->st_mtim = (struct timespec){ 500, 1 };
		st->st_ctim = (struct timespec){ 600, 2 };
		return 0;
	case __NR_fstatfs:
		memset((void *)a[1], 0, sizeof(struct statfs));
		((struct statfs *)a[1])->f_type = file_system;
		return 0;
	case __NR_clock_gettime:
		*(struct timespec *)a[1] = (struct timespec){ now_sec, 0 };
		return 0;
	}
	return -EACCES;
}

static const char *judge(long nr, const long *a)
{
	const struct rs_call_row *row;
	unsigned int i;

	if (mode_argument(nr) >= 0 && a[mode_argument(nr)] & 06000)
		return "a setuid or setgid bit";
	if (nr == __NR_creat || (nr == __NR_open && !(a[1] & O_NOCTTY)) ||
	    (nr == __NR_openat && !(a[2] & O_NOCTTY)))
		return "an open that could take a terminal";
	if (sb.covers_proc && !seen.policy && (nr == __NR_open || nr == __NR_openat))
		return "an open past the policy, where /proc is";
	/* What requests (RS_CALL_*) turn into. */
	if (nr == __NR_mmap) {
		uint64_t w = (uint64_t)sb.mem.window;

		if (a[2] & PROT_EXEC)
			return "executable mapping";
		if (!(a[3] & MAP_FIXED) || (uint64_t)a[0] < w ||
		    (uint64_t)a[0] - w > sb.mem.window_size ||
		    (uint64_t)a[1] > sb.mem.window_size - ((uint64_t)a[0] - w))
			return "mapping outside the window";
		return a[3] & MAP_ANONYMOUS || fd_ok(a[4]) ? NULL
							   : "mapping of a foreign descriptor";
	}
	if (nr == __NR_mremap) {
		uint64_t from = (uint64_t)a[0] - (uint64_t)sb.mem.window,
			 to = (uint64_t)a[4] - (uint64_t)sb.mem.window;

		if (a[1] || a[3] != (MREMAP_MAYMOVE | MREMAP_FIXED))
			return "a mapping that is taken away";
		return from < sb.mem.window_size && to < sb.mem.window_size &&
				       (uint64_t)a[2] <= sb.mem.window_size - to
			       ? NULL
			       : "mapping outside the window";
	}
	if (nr == __NR_madvise || nr == __NR_msync) {
		uint64_t base = (uint64_t)(nr == __NR_madvise ? sb.mem.arena : sb.mem.window);
		uint64_t size = nr == __NR_madvise ? ARENA : sb.mem.window_size;

		return (uint64_t)a[0] >= base && (uint64_t)a[0] - base <= size &&
				       (uint64_t)a[1] <= size - ((uint64_t)a[0] - base)
			       ? NULL
			       : "range outside guest memory";
	}
	if (nr < 0 || nr >= RS_TABLE_SIZE || rs_call_table[nr].class != RS_CLASS_FORWARD)
		return "a call that is not in the table";
	row = &rs_call_table[nr];
	if (row->policy == RS_P_NET && !sb.net_host)
		return "a network call without network";
	if (nr == __NR_socketpair && a[0] != AF_UNIX)
		return "a pair of network sockets";
	if (nr == __NR_close)	/* the descriptor has been taken from the guest by then */
		return a[0] == FOREIGN_FD || a[0] < 0 ? "close of a foreign descriptor" : NULL;
	for (i = 0; i < 6; i++)
		if (!arg_ok(nr, row, a, i))
			return "an argument outside guest memory, or a foreign descriptor";
	if (nr == __NR_ioctl || nr == __NR_fcntl) {
		const struct rs_cmd_row *rows = nr == __NR_ioctl ? rs_ioctl_table : rs_fcntl_table;
		unsigned int n = nr == __NR_ioctl ? rs_ioctl_count : rs_fcntl_count;

		for (i = 0; i < n && rows[i].cmd != (uint32_t)a[1]; i++)
			;
		if (i == n)
			return "a command that is not in the table";
		if (nr == __NR_fcntl && a[1] == F_SETFL && a[2] & O_ASYNC)
			return "SIGIO for whoever owns a terminal";
		switch (RS_ARG_KIND(rows[i].arg)) {
		case RS_A_FD:
			return fd_ok(a[2]) ? NULL : "a foreign descriptor";
		case RS_A_IN: case RS_A_OUT: case RS_A_INOUT:
			return !a[2] || in_guest(a[2], RS_ARG_PARAM(rows[i].arg))
				       ? NULL
				       : "a command's argument outside";
		}
	}
	return NULL;
}

long rs_raw_hook(long nr, long a, long b, long c, long d, long e, long f);
long rs_raw_hook(long nr, long a, long b, long c, long d, long e, long f)
{
	const long args[6] = { a, b, c, d, e, f };
	const char *wrong;

	if (own_question(nr, args)) {
		seen.calls++;
		return own_answer(nr, args);
	}
	wrong = judge(nr, args);
	closes += nr == __NR_close;
	if (vcpu.shared->call.nr == RS_CALL_FILE_ID && nr == __NR_fcntl)
		seen.answer = file_flags;
	if (vcpu.shared->call.nr == RS_CALL_MAP_FILE) {
		seen.answer = 0;
		if (nr == __NR_fcntl)
			seen.answer = b == F_GETFL ? file_flags : file_seals;
		else if (nr == __NR_mmap && !(d & MAP_ANONYMOUS))
			seen.answer = d & MAP_SHARED ? shared_answer : private_answer;
	}
	if (vcpu.shared->call.nr == RS_CALL_MAP_MORE)
		seen.answer = nr == __NR_mremap ? more_answer : 0;
	if (vcpu.shared->call.nr == RS_CALL_OPEN_PROGRAM && nr == __NR_openat)
		seen.answer = OPENED_FD;
	seen.nr = nr;
	memcpy(seen.args, args, sizeof(args));
	seen.calls++;
	if (wrong && !seen.wrong)
		seen.wrong = wrong;
	return seen.answer;
}

/* In place of those in entry.S and behind rs_slow(). */
long __wrap_rs_host_call(long nr, const long args[6], const volatile __u64 *pending);
long __wrap_rs_host_call(long nr, const long args[6], const volatile __u64 *pending)
{
	(void)pending;
	return rs_raw_hook(nr, args[0], args[1], args[2], args[3], args[4], args[5]);
}

long __wrap_rs_policy_slow(void *arg);
long __wrap_rs_policy_slow(void *arg)
{
	struct rs_slow_call *s = arg;

	seen.policy = true;
	return rs_raw_hook(s->nr, s->args[0], s->args[1], s->args[2], s->args[3], s->args[4],
			   s->args[5]);
}

long __wrap_rs_request_slow(void *arg);
long __wrap_rs_request_slow(void *arg)
{
	(void)arg;
	return 0;
}

/* --- rows ------------------------------------------------------------------------------------ */

#define WINDOW_AT	(1ull << 30)
#define A_HVA		((long)sb.mem.arena)
#define W_HVA		((long)sb.mem.window)

static void check(bool ok, const char *what, long got)
{
	tests++;
	if (!ok)
		failures++;
	printf("%sok %d - %s", ok ? "" : "not ", tests, what);
	if (!ok)
		printf(" (got %ld, call %ld made %u times%s%s)", got, seen.nr, seen.calls,
		       seen.wrong ? ", " : "", seen.wrong ? seen.wrong : "");
	putchar('\n');
}

static long ask(long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f)
{
	struct rs_call *call = &vcpu.shared->call;

	memset(&seen, 0, sizeof(seen));
	call->nr = nr;
	call->args[0] = a;
	call->args[1] = b;
	call->args[2] = c;
	call->args[3] = d;
	call->args[4] = e;
	call->args[5] = f;
	return rs_dispatch(&vcpu.caller);
}

static const struct {
	const char *what;
	long nr;
	uint64_t args[6];
	long want;	/* the result; 1 stands for "the call was made" */
} rows[] = {
	{ "write from the arena", __NR_write, { OWN_FD, 0x1000, 100 }, 1 },
	{ "write from the window", __NR_write, { OWN_FD, WINDOW_AT, 100 }, 1 },
	{ "write up to the arena's last byte", __NR_write, { OWN_FD, ARENA - 1, 1 }, 1 },
	{ "write one byte beyond the arena", __NR_write, { OWN_FD, ARENA - 1, 2 }, -EFAULT },
	{ "write from the arena's end", __NR_write, { OWN_FD, ARENA, 1 }, -EFAULT },
	{ "write between arena and window", __NR_write, { OWN_FD, WINDOW_AT - 1, 1 }, -EFAULT },
	{ "write of a length that wraps", __NR_write, { OWN_FD, 0x1000, ~0ull }, -EFAULT },
	{ "write at an address that wraps", __NR_write, { OWN_FD, ~0ull, 1 }, -EFAULT },
	{ "write from NULL", __NR_write, { OWN_FD, 0, 1 }, -EFAULT },
	{ "write of nothing from NULL", __NR_write, { OWN_FD, 0, 0 }, 1 },
	{ "write to a foreign descriptor", __NR_write, { FOREIGN_FD, 0x1000, 1 }, -EBADF },
	{ "write to descriptor -1", __NR_write, { -1ull, 0x1000, 1 }, -EBADF },
	{ "write to a huge descriptor", __NR_write, { 0x7fffffff, 0x1000, 1 }, -EBADF },
	{ "write to descriptor 2^32 + own", __NR_write, { (1ull << 32) + OWN_FD, 0x1000, 1 }, 1 },
	{ "close of a foreign descriptor", __NR_close, { FOREIGN_FD }, -EBADF },
	{ "openat relative to the directory",
	  __NR_openat,
	  { (uint64_t)AT_FDCWD, 0x1000, O_RDONLY },
	  1 },
	{ "openat relative to a foreign one",
	  __NR_openat,
	  { FOREIGN_FD, 0x1000, O_RDONLY },
	  -EBADF },
	{ "openat of NULL", __NR_openat, { (uint64_t)AT_FDCWD, 0, O_RDONLY }, -EFAULT },
	{ "readv with too many pieces", __NR_readv, { OWN_FD, 0x1000, 1025 }, -EINVAL },
	{ "readv with a count that wraps", __NR_readv, { OWN_FD, 0x1000, 1ull << 60 }, -EINVAL },
	{ "fstat", __NR_fstat, { OWN_FD, 0x1000 }, 1 },
	{ "fstat across the arena's end", __NR_fstat, { OWN_FD, ARENA - 143 }, -EFAULT },
	{ "ioctl TCGETS", __NR_ioctl, { OWN_FD, TCGETS, 0x1000 }, 1 },
	{ "ioctl TIOCSTI", __NR_ioctl, { OWN_FD, TIOCSTI, 0x1000 }, -ENOTTY },
	{ "ioctl of the engine", __NR_ioctl, { OWN_FD, RS_RUN, 0 }, -ENOTTY },
	{ "ioctl command with high bits", __NR_ioctl, { OWN_FD, 1ull << 32 | TCGETS, 0x1000 }, 1 },
	{ "ioctl FICLONE of a foreign one", __NR_ioctl, { OWN_FD, FICLONE, FOREIGN_FD }, -EBADF },
	{ "fcntl F_SETOWN", __NR_fcntl, { OWN_FD, F_SETOWN, 1 }, -EINVAL },
	{ "fcntl F_SETFL leaves O_ASYNC out", __NR_fcntl, { OWN_FD, F_SETFL, O_ASYNC }, 1 },
	{ "clock_gettime", __NR_clock_gettime, { 0, 0x1000 }, 1 },
	{ "clock_gettime of another process", __NR_clock_gettime, { -14, 0x1000 }, -EINVAL },
	{ "clock_getres of a device", __NR_clock_getres, { 0xfffffffb, 0x1000 }, -EINVAL },
	{ "memfd_create", __NR_memfd_create, { 0x1000, MFD_CLOEXEC | MFD_ALLOW_SEALING }, 1 },
	{ "memfd_create of huge pages",
	  __NR_memfd_create,
	  { 0x1000, MFD_CLOEXEC | MFD_HUGETLB },
	  -EINVAL },
	{ "fcntl F_DUPFD", __NR_fcntl, { OWN_FD, F_DUPFD, 0 }, -EINVAL },
	{ "socket without network", __NR_socket, { AF_INET, SOCK_STREAM, 0 }, -EPERM },
	{ "socketpair of AF_INET", __NR_socketpair, { AF_INET, SOCK_STREAM, 0, 0x1000 }, -EPERM },
	{ "socketpair", __NR_socketpair, { AF_UNIX, SOCK_STREAM, 0, 0x1000 }, 1 },
	{ "sendto with an address", __NR_sendto, { OWN_FD, 0x1000, 1, 0, 0x2000, 16 }, -EPERM },
	{ "sendto without", __NR_sendto, { OWN_FD, 0x1000, 1, 0, 0, 0 }, 1 },
	{ "setsockopt SO_REUSEADDR",
	  __NR_setsockopt,
	  { OWN_FD, SOL_SOCKET, SO_REUSEADDR, 0x1000, 4 },
	  1 },
	{ "setsockopt TCP_NODELAY", __NR_setsockopt, { OWN_FD, 6, 1, 0x1000, 4 }, 1 },
	{ "getsockopt SO_ERROR",
	  __NR_getsockopt,
	  { OWN_FD, SOL_SOCKET, SO_ERROR, 0x1000, 0x7000 },
	  1 },
	{ "setsockopt of a filter",
	  __NR_setsockopt,
	  { OWN_FD, SOL_SOCKET, SO_ATTACH_FILTER, 0x1000, 16 },
	  -ENOPROTOOPT },
	{ "setsockopt of iptables' rules",
	  __NR_setsockopt,
	  { OWN_FD, 0, 64, 0x1000, 96 },
	  -ENOPROTOOPT },
	{ "getsockopt TCP_ZEROCOPY_RECEIVE",
	  __NR_getsockopt,
	  { OWN_FD, 6, 35, 0x1000, 0x7000 },
	  -ENOPROTOOPT },
	{ "the same, level and name with high bits",
	  __NR_getsockopt,
	  { OWN_FD, 1ull << 32 | 6, 1ull << 32 | 35, 0x1000, 0x7000 },
	  -ENOPROTOOPT },
	{ "an option whose name is allowed in its low byte",
	  __NR_getsockopt,
	  { OWN_FD, 6, 257, 0x1000, 0x7000 },
	  -ENOPROTOOPT },
	{ "chmod 4755 leaves a bit out", __NR_chmod, { 0x1000, 04755 }, 1 },
	{ "fchmodat likewise", __NR_fchmodat, { (uint64_t)AT_FDCWD, 0x1000, 06755 }, 1 },
	{ "openat of a new setuid file",
	  __NR_openat,
	  { (uint64_t)AT_FDCWD, 0x1000, O_CREAT | O_WRONLY, 04755 },
	  1 },
	{ "mknod of a FIFO", __NR_mknod, { 0x1000, S_IFIFO | 0600 }, 1 },
	{ "mknod of a disk", __NR_mknod, { 0x1000, S_IFBLK | 0600, 0x800 }, -EPERM },
	{ "mknodat of a device",
	  __NR_mknodat,
	  { (uint64_t)AT_FDCWD, 0x1000, S_IFCHR | 0600, 0x101 },
	  -EPERM },
	{ "ptrace", __NR_ptrace, { 0 }, -EPERM },
	{ "a call the guest answers itself", __NR_mmap, { 0, 4096, 7, 0x22, -1ull, 0 }, -ENOSYS },
	{ "execve", __NR_execve, { 0x1000, 0, 0 }, -ENOSYS },
	{ "a number outside the table", RS_TABLE_SIZE, { 0 }, -ENOSYS },
	{ "a huge number", -1, { 0 }, -ENOSYS },
	{ "a negative 32-bit number", 0xffffffff, { 0 }, -ENOSYS },
	{ "request beyond the last", RS_CALL_END, { 0 }, -ENOSYS },
	{ "map into the window", RS_CALL_MAP_FILE, { OWN_FD, 0, 4096, WINDOW_AT, RS_MAP_SHARED }, 0 },
	{ "map of a foreign descriptor",
	  RS_CALL_MAP_FILE,
	  { FOREIGN_FD, 0, 4096, WINDOW_AT, 0 },
	  -EBADF },
	{ "map over the arena", RS_CALL_MAP_FILE, { OWN_FD, 0, 4096, 0x1000, 0 }, -EFAULT },
	{ "map beyond the window",
	  RS_CALL_MAP_FILE,
	  { OWN_FD, 0, 1ull << 50, WINDOW_AT, 0 },
	  -EFAULT },
	{ "map of a length that wraps",
	  RS_CALL_MAP_FILE,
	  { OWN_FD, 0, -4096ull, WINDOW_AT + 4096, 0 },
	  -EFAULT },
	{ "map with unknown flags", RS_CALL_MAP_FILE, { OWN_FD, 0, 4096, WINDOW_AT, 4 }, -EINVAL },
	{ "map of nothing", RS_CALL_MAP_FILE, { OWN_FD, 0, 0, WINDOW_AT, 0 }, -EINVAL },
	{ "map unaligned", RS_CALL_MAP_FILE, { OWN_FD, 0, 4096, WINDOW_AT + 1, 0 }, -EINVAL },
	{ "more of a shared mapping",
	  RS_CALL_MAP_MORE,
	  { WINDOW_AT, 8192, WINDOW_AT + 65536 },
	  0 },
	{ "more of the arena", RS_CALL_MAP_MORE, { 0x1000, 4096, WINDOW_AT }, -EFAULT },
	{ "more over the arena", RS_CALL_MAP_MORE, { WINDOW_AT, 4096, 0x1000 }, -EFAULT },
	{ "more than the window holds",
	  RS_CALL_MAP_MORE,
	  { WINDOW_AT, 1ull << 50, WINDOW_AT + 4096 },
	  -EFAULT },
	{ "more of a length that wraps",
	  RS_CALL_MAP_MORE,
	  { WINDOW_AT, -4096ull, WINDOW_AT + 4096 },
	  -EFAULT },
	{ "more over itself",
	  RS_CALL_MAP_MORE,
	  { WINDOW_AT + 4096, 8192, WINDOW_AT },
	  -EINVAL },
	{ "more, unaligned",
	  RS_CALL_MAP_MORE,
	  { WINDOW_AT, 4096, WINDOW_AT + 4097 },
	  -EINVAL },
	{ "more, nothing", RS_CALL_MAP_MORE, { WINDOW_AT, 0, WINDOW_AT + 4096 }, -EINVAL },
	{ "unmap of the arena", RS_CALL_UNMAP_FILE, { 0x1000, 4096 }, -EFAULT },
	{ "unmap", RS_CALL_UNMAP_FILE, { WINDOW_AT, 4096 }, 0 },
	{ "release of the window", RS_CALL_RELEASE, { WINDOW_AT, 4096 }, -EFAULT },
	{ "release beyond the arena", RS_CALL_RELEASE, { ARENA - 4096, 8192 }, -EFAULT },
	{ "release", RS_CALL_RELEASE, { 0x1000, 4096 }, 0 },
	{ "sync of the arena", RS_CALL_SYNC_FILE, { 0x1000, 4096, 4 }, -EFAULT },
};

static void run_rows(void)
{
	unsigned int i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const uint64_t *a = rows[i].args;
		long ret = ask(rows[i].nr, a[0], a[1], a[2], a[3], a[4], a[5]);

		if (rows[i].want == 1)
			check(seen.calls == 1 && !seen.wrong && seen.nr == rows[i].nr && ret == 0,
			      rows[i].what, ret);
		else if (rows[i].want == 0)
			check(seen.calls == 1 && !seen.wrong && ret == 0, rows[i].what, ret);
		else
			check(seen.calls == 0 && ret == rows[i].want, rows[i].what, ret);
		rs_fd_set_owned(&sb, OWN_FD);
	}
}

static void *guest(uint64_t gpa)
{
	return sb.mem.arena + gpa;
}

/* Things that need something in guest memory. */
static void run_structures(void)
{
	struct iovec *iov = guest(0x3000);
	struct pollfd *polls = guest(0x4000);
	struct msghdr *msg = guest(0x5000);
	struct cmsghdr *c = guest(0x6000);
	uint32_t *length = guest(0x7000);
	int *pair = guest(0x8000);
	long ret;

	iov[0] = (struct iovec){ (void *)0x1000, 16 };
	iov[1] = (struct iovec){ (void *)WINDOW_AT, 16 };
	ret = ask(__NR_writev, OWN_FD, 0x3000, 2, 0, 0, 0);
	check(seen.calls == 1 && !seen.wrong &&
		      ((struct iovec *)seen.args[1])[1].iov_base == sb.mem.window,
	      "writev translates its pieces", ret);
	iov[1].iov_base = (void *)ARENA;
	ret = ask(__NR_writev, OWN_FD, 0x3000, 2, 0, 0, 0);
	check(!seen.calls && ret == -EFAULT, "writev with one bad piece", ret);
	iov[1] = (struct iovec){ (void *)0x1000, ~0ul };
	ret = ask(__NR_writev, OWN_FD, 0x3000, 2, 0, 0, 0);
	check(!seen.calls && ret == -EFAULT, "writev with a piece that wraps", ret);
	iov[1].iov_base = (void *)sb.mem.arena;
	iov[1].iov_len = 8;
	ret = ask(__NR_writev, OWN_FD, 0x3000, 2, 0, 0, 0);
	check(!seen.calls && ret == -EFAULT, "writev with an address of the host process", ret);
	ret = ask(__NR_writev, OWN_FD, ARENA - 24, 2, 0, 0, 0);
	check(!seen.calls && ret == -EFAULT, "writev with an array across the arena's end", ret);
	ret = ask(__NR_writev, OWN_FD, WINDOW_AT + 4096, 2, 0, 0, 0);
	check(!seen.calls && ret == -EFAULT, "writev with an array where nothing is mapped", ret);

	polls[0] = (struct pollfd){ .fd = OWN_FD, .events = POLLIN };
	polls[1] = (struct pollfd){ .fd = -1 };
	ret = ask(__NR_ppoll, 0x4000, 2, 0, 0x1000, 8, 0);
	check(seen.calls == 1 && !seen.wrong && !seen.args[3], "ppoll, without a signal mask", ret);
	polls[1].fd = FOREIGN_FD;
	ret = ask(__NR_ppoll, 0x4000, 2, 0, 0, 0, 0);
	check(!seen.calls && ret == -EBADF, "ppoll of a foreign descriptor", ret);

	memset(msg, 0, sizeof(*msg));
	msg->msg_iov = (void *)0x3000;
	msg->msg_iovlen = 1;
	msg->msg_control = (void *)0x6000;
	msg->msg_controllen = CMSG_SPACE(8);
	c->cmsg_len = CMSG_LEN(8);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	((int *)CMSG_DATA(c))[0] = OWN_FD;
	((int *)CMSG_DATA(c))[1] = OWN_FD;
	ret = ask(__NR_sendmsg, OWN_FD, 0x5000, 0, 0, 0, 0);
	check(seen.calls == 1 && !seen.wrong, "sendmsg with descriptors of its own", ret);
	((int *)CMSG_DATA(c))[1] = FOREIGN_FD;
	ret = ask(__NR_sendmsg, OWN_FD, 0x5000, 0, 0, 0, 0);
	check(!seen.calls && ret == -EBADF, "sendmsg with a foreign descriptor", ret);
	((int *)CMSG_DATA(c))[1] = OWN_FD;
	c->cmsg_type = SCM_CREDENTIALS;
	ret = ask(__NR_sendmsg, OWN_FD, 0x5000, 0, 0, 0, 0);
	check(!seen.calls && ret == -EPERM, "sendmsg with credentials", ret);
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = ~0ul;
	ret = ask(__NR_sendmsg, OWN_FD, 0x5000, 0, 0, 0, 0);
	check(!seen.calls && ret == -EINVAL, "sendmsg with a control message that wraps", ret);
	msg->msg_name = (void *)0x1000;
	msg->msg_namelen = 16;
	msg->msg_control = NULL;
	ret = ask(__NR_sendmsg, OWN_FD, 0x5000, 0, 0, 0, 0);
	check(!seen.calls && ret == -EPERM, "sendmsg to an address without network", ret);

	sb.covers_proc = true;
	ret = ask(__NR_creat, 0x1000, 0644, 0, 0, 0, 0);
	check(seen.calls == 1 && !seen.wrong && seen.policy && seen.nr == __NR_open &&
		      seen.args[1] == (O_CREAT | O_WRONLY | O_TRUNC | O_NOCTTY) &&
		      seen.args[2] == 0644,
	      "creat is an open, and policy.c looks at it where /proc is", ret);
	sb.covers_proc = false;
	ret = ask(__NR_creat, 0x1000, 0644, 0, 0, 0, 0);
	check(seen.calls == 1 && !seen.wrong && !seen.policy, "and only there", ret);

	sb.net_host = true;
	memset(guest(0x1000), 0, 128);
	*(uint16_t *)guest(0x1000) = AF_INET;
	ret = ask(__NR_connect, OWN_FD, 0x1000, 16, 0, 0, 0);
	check(seen.calls == 1 && !seen.wrong, "connect to an address of the network", ret);
	ret = ask(__NR_sendmsg, OWN_FD, 0x5000, 0, 0, 0, 0);
	check(seen.calls == 1 && !seen.wrong, "sendmsg likewise", ret);
	ret = ask(__NR_connect, OWN_FD, 0x1000, RS_ADDR_MAX + 1, 0, 0, 0);
	check(!seen.calls && ret == -EINVAL, "an address longer than any", ret);
	ret = ask(__NR_connect, OWN_FD, ARENA - 8, 16, 0, 0, 0);
	check(!seen.calls && ret == -EFAULT, "an address across the arena's end", ret);
	*(uint16_t *)guest(0x1000) = AF_UNIX;
	strcpy(guest(0x1002), "/run/docker.sock");
	ret = ask(__NR_connect, OWN_FD, 0x1000, 19, 0, 0, 0);
	check(!seen.calls && ret == -EPERM, "connect to a program of the machine", ret);
	ret = ask(__NR_sendto, OWN_FD, 0x2000, 1, 0, 0x1000, 19);
	check(!seen.calls && ret == -EPERM, "sendto it", ret);
	ret = ask(__NR_sendmsg, OWN_FD, 0x5000, 0, 0, 0, 0);
	check(!seen.calls && ret == -EPERM, "sendmsg to it", ret);
	*(uint8_t *)guest(0x1002) = 0;
	ret = ask(__NR_connect, OWN_FD, 0x1000, 19, 0, 0, 0);
	check(!seen.calls && ret == -EPERM, "connect to an abstract name", ret);
	ret = ask(__NR_bind, OWN_FD, 0x1000, 19, 0, 0, 0);
	check(seen.calls == 1 && !seen.wrong, "bind one, which Landlock decides", ret);
	sb.net_host = false;

	*length = 16;
	ret = ask(__NR_getsockname, OWN_FD, 0x1000, 0x7000, 0, 0, 0);
	check(seen.calls == 1 && !seen.wrong &&
		      (uint64_t)seen.args[2] == (uint64_t)&vcpu.caller.scratch.length,
	      "getsockname has its length copied", ret);
	*length = ~0u;
	ret = ask(__NR_getsockname, OWN_FD, 0x1000, 0x7000, 0, 0, 0);
	check(!seen.calls && ret == -EINVAL, "getsockname with a negative length", ret);
	*length = 4096;
	ret = ask(__NR_getsockname, OWN_FD, ARENA - 100, 0x7000, 0, 0, 0);
	check(!seen.calls && ret == -EFAULT, "getsockname with a length across the arena's end",
	      ret);

	vcpu.caller.scratch.pair[0] = 30;
	vcpu.caller.scratch.pair[1] = 31;
	ret = ask(__NR_pipe2, 0x8000, 0, 0, 0, 0, 0);
	check(!ret && pair[0] == 30 && pair[1] == 31 && fd_ok(30) && fd_ok(31),
	      "pipe2 gives the guest two descriptors", ret);
	ask(__NR_close, 31, 0, 0, 0, 0, 0);
	check(!fd_ok(31) && fd_ok(30), "close takes one away again", 0);
}

/*
 * Private mappings, read-only in the window: shared ones where Linux lets nobody tell, so that they
 * can be had a second time.
 */
static void run_private(void)
{
	static const struct {
		const char *what;
		long flags, seals, shared, private;
		mode_t mode;
		long want;
		int how;	/* of the last mmap */
	} cases[] = {
		{ "of a file open for reading", O_RDONLY, 0, 0, 0, S_IFREG, 0, MAP_SHARED },
		{ "for writing as well", O_RDWR, -EINVAL, 0, 0, S_IFREG, 0, MAP_SHARED },
		{ "of a tmpfs", O_RDWR, F_SEAL_SEAL, 0, 0, S_IFREG, 0, MAP_SHARED },
		{ "a memfd that can be sealed", O_RDWR, 0, 0, 0, S_IFREG, 0, MAP_PRIVATE },
		{ "one with other seals", O_RDWR, F_SEAL_GROW, 0, 0, S_IFREG, 0, MAP_PRIVATE },
		{ "one sealed for good", O_RDWR, F_SEAL_SEAL | F_SEAL_WRITE, 0, 0, S_IFREG, 0, MAP_PRIVATE },
		{ "one whose seals are not told", O_RDWR, -EPERM, 0, 0, S_IFREG, 0, MAP_PRIVATE },
		{ "of a device", O_RDONLY, -EINVAL, 0, 0, S_IFCHR, 0, MAP_PRIVATE },
		{ "of one that is not mapped shared", O_RDONLY, 0, -ENODEV, 0, S_IFREG, 0, MAP_PRIVATE },
		{ "of one that is not mapped", O_RDONLY, 0, -EACCES, -EPERM, S_IFREG, -EPERM,
		  MAP_PRIVATE | MAP_ANONYMOUS },
		{ "only named", -EBADF, 0, 0, -EBADF, S_IFREG, -EBADF, MAP_PRIVATE | MAP_ANONYMOUS },
	};
	unsigned int i;
	long ret;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char what[100];

		file_flags = cases[i].flags;
		file_seals = cases[i].seals;
		file_mode = cases[i].mode | 0600;
		shared_answer = cases[i].shared;
		private_answer = cases[i].private;
		ret = ask(RS_CALL_MAP_FILE, OWN_FD, 8192, 4096, WINDOW_AT, 0, 0);
		snprintf(what, sizeof(what), "private mapping: %s", cases[i].what);
		check(!seen.wrong && ret == cases[i].want && seen.nr == __NR_mmap &&
			      seen.args[0] == W_HVA && seen.args[1] == 4096 &&
			      (seen.args[3] & ~MAP_NORESERVE) == (cases[i].how | MAP_FIXED) &&
			      seen.args[2] == (cases[i].how & MAP_ANONYMOUS ? PROT_NONE : PROT_READ) &&
			      (cases[i].how & MAP_ANONYMOUS || seen.args[5] == 8192),
		      what, ret);
	}
	shared_answer = -EPERM;
	more_answer = -ENOMEM;	/* Linux may say so when what was at the target is gone already */
	ret = ask(RS_CALL_MAP_MORE, WINDOW_AT, 8192, WINDOW_AT + 16384, 0, 0, 0);
	check(ret == -ENOMEM && !seen.wrong && seen.nr == __NR_mmap && seen.calls == 2 &&
		      seen.args[0] == W_HVA + 16384 && seen.args[1] == 8192 && !seen.args[2] &&
		      seen.args[3] == (MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE),
	      "more that is refused leaves no hole in the window", ret);
	more_answer = 0;
	ret = ask(RS_CALL_MAP_MORE, WINDOW_AT, 8192, WINDOW_AT + 16384, 0, 0, 0);
	check(!ret && seen.nr == __NR_mremap && seen.calls == 1, "more that is given stays", ret);
	ret = ask(RS_CALL_MAP_FILE, OWN_FD, 0, 4096, WINDOW_AT, RS_MAP_WRITE | RS_MAP_SHARED, 0);
	check(!seen.wrong && ret == -EPERM && seen.nr == __NR_mmap && seen.args[3] & MAP_ANONYMOUS &&
		      !seen.args[2] && seen.args[0] == W_HVA && seen.args[1] == 4096,
	      "a shared mapping that is refused leaves no hole in the window", ret);
	shared_answer = private_answer = 0;
	file_flags = O_RDONLY;
	file_mode = S_IFREG | 0755;
}

/* Files that may be known by their numbers, and programs. */
static void run_files(void)
{
	struct rs_file_id *id = guest(0x3000);
	struct rs_program_file *p = guest(0x4000);
	long ret;

	ret = ask(RS_CALL_FILE_ID, OWN_FD, 0x3000, 0, 0, 0, 0);
	check(!seen.wrong && !ret && id->dev == 5 && id->ino == OWN_FD && id->size == 777 && id->mtime == 500 &&
		      id->mtime_ns == 1 && id->ctime == 600 && id->ctime_ns == 2,
	      "which file it is", ret);
	ret = ask(RS_CALL_FILE_ID, FOREIGN_FD, 0x3000, 0, 0, 0, 0);
	check(!seen.calls && ret == -EBADF, "not of a foreign descriptor", ret);
	ret = ask(RS_CALL_FILE_ID, OWN_FD, ARENA - 8, 0, 0, 0, 0);
	check(!seen.calls && ret == -EFAULT, "not to where no memory is", ret);
	memset(id, 0, sizeof(*id));
	file_flags = O_WRONLY;
	ret = ask(RS_CALL_FILE_ID, OWN_FD, 0x3000, 0, 0, 0, 0);
	check(ret == -EACCES && !id->ino, "not of a file that may only be written", ret);
	file_flags = O_PATH;
	ret = ask(RS_CALL_FILE_ID, OWN_FD, 0x3000, 0, 0, 0, 0);
	check(ret == -EBADF && !id->ino, "not of one that is only named", ret);
	file_flags = O_RDWR;
	file_mode = S_IFCHR | 0666;
	ret = ask(RS_CALL_FILE_ID, OWN_FD, 0x3000, 0, 0, 0, 0);
	check(ret == -ENODEV && !id->ino, "not of a device", ret);
	file_mode = S_IFREG | 0755;
	file_system = OVERLAYFS_SUPER_MAGIC;
	ret = ask(RS_CALL_FILE_ID, OWN_FD, 0x3000, 0, 0, 0, 0);
	check(ret == 1 && id->ino == OWN_FD, "an overlay may show two files as one", ret);

	rs_fd_clear_owned(&sb, OPENED_FD);
	ret = ask(RS_CALL_OPEN_PROGRAM, (uint64_t)AT_FDCWD, 0x1000, 0x4000, 0, 0, 0);
	check(!seen.wrong && ret == OPENED_FD && fd_ok(OPENED_FD) && p->id.ino == OPENED_FD &&
		      p->mode == (S_IFREG | 0755) && p->access == -EACCES && p->head_len == OPENED_FD && !p->unsure,
	      "a program: opened, described, and its beginning read", ret);
	now_sec = 601;
	ask(RS_CALL_OPEN_PROGRAM, (uint64_t)AT_FDCWD, 0x1000, 0x4000, 0, 0, 0);
	check(p->unsure, "one that was made just now, on an overlay", p->unsure);
	file_system = 0;
	now_sec = 1000;
	file_mode = S_IFDIR | 0755;
	ret = ask(RS_CALL_OPEN_PROGRAM, (uint64_t)AT_FDCWD, 0x1000, 0x4000, 0, 0, 0);
	check(ret == OPENED_FD && p->mode == (S_IFDIR | 0755) && !p->head_len && seen.nr == __NR_openat,
	      "of a directory nothing is read", ret);
	file_mode = S_IFREG | 0755;
	ret = ask(RS_CALL_OPEN_PROGRAM, FOREIGN_FD, 0x1000, 0x4000, 0, 0, 0);
	check(!seen.calls && ret == -EBADF, "a program relative to a foreign descriptor", ret);
	ret = ask(RS_CALL_OPEN_PROGRAM, (uint64_t)AT_FDCWD, 0, 0x4000, 0, 0, 0);
	check(!seen.calls && ret == -EFAULT, "a program without a name", ret);
	ret = ask(RS_CALL_OPEN_PROGRAM, (uint64_t)AT_FDCWD, 0x1000, ARENA - 512, 0, 0, 0);
	check(!seen.calls && ret == -EFAULT, "a program described where no memory is", ret);
	ret = ask(RS_CALL_OPEN_PROGRAM, (uint64_t)AT_FDCWD, 0x1000, 0x4000, ARENA - 512, 0, 0);
	check(!seen.calls && ret == -EFAULT, "a program's name where no memory is", ret);
	rs_fd_clear_owned(&sb, OPENED_FD);
	closes = 0;
	ret = ask(RS_CALL_OPEN_PROGRAM, (uint64_t)AT_FDCWD, 0x1000, WINDOW_AT + 4096, 0, 0, 0);
	check(ret == -EFAULT && closes == 1 && !fd_ok(OPENED_FD), "and where nothing is mapped: closed again", ret);
	ret = ask(RS_CALL_FILE_NAME, FOREIGN_FD, 0x4000, 0, 0, 0, 0);
	check(ret == -EBADF, "the name of a foreign descriptor's file", ret);
}

/* --- the storm ------------------------------------------------------------------------------- */

static uint64_t state = 0x9e3779b97f4a7c15;

static uint64_t any(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* Numbers near the edges of everything. */
static uint64_t interesting(void)
{
	static const uint64_t base[] = {
		0,	    1,		4096,	    ARENA,  ARENA - 4096, 1ull << 30, ~0ull,
		1ull << 31, 1ull << 32, 1ull << 63, OWN_FD, FOREIGN_FD,	  0x3000,     0x4000,
		0x5000,	    0x6000,	1024,	    65536,  TCGETS,	  F_GETFL
	};
	uint64_t n;

	switch (any() % 6) {
	case 0:
		return any();
	case 1:
		return any() % ARENA;
	case 2:
		return (uint64_t)sb.mem.arena + any() % ARENA;
	case 3:
		return any() % 64;
	default:
		n = base[any() % (sizeof(base) / sizeof(base[0]))];
		return n + any() % 9 - 4;
	}
}

static void storm(unsigned int rounds)
{
	uint64_t *memory = guest(0x3000);
	unsigned int i, k, made = 0;

	for (i = 0; i < rounds; i++) {
		long nr = any() % 8 ? (long)(any() % RS_TABLE_SIZE)
				    : (long)(RS_CALL_BASE + any() % (RS_CALL_END - RS_CALL_BASE));
		uint64_t a[6];

		/* Most rows of the table are not forwarded: take more of those that are. */
		for (k = 0;
		     k < 8 && nr < RS_TABLE_SIZE && rs_call_table[nr].class != RS_CLASS_FORWARD;
		     k++)
			nr = any() % RS_TABLE_SIZE;
		if (nr == RS_CALL_EXIT)
			continue;
		for (k = 0; k < 2048; k += any() % 64 + 1)
			memory[k] = interesting();
		for (k = 0; k < 6; k++) {
			uint32_t kind = nr < RS_TABLE_SIZE ? RS_ARG_KIND(rs_call_table[nr].args[k])
							   : RS_A_NO;

			a[k] = interesting();
			if ((kind == RS_A_FD || kind == RS_A_DFD) && any() % 4)
				a[k] = OWN_FD;
			else if (kind >= RS_A_PATH && kind <= RS_A_OFFP && any() % 4)
				a[k] = 0x3000 + any() % 0x4000 / 8 * 8;
		}
		sb.net_host = any() % 2;
		sb.covers_proc = any() % 2;
		rs_fd_set_owned(&sb, OWN_FD);
		ask(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
		made += seen.calls;
		if (seen.wrong) {
			printf("# call %ld (%#lx %#lx %#lx %#lx %#lx %#lx): %s\n", seen.nr,
			       seen.args[0], seen.args[1], seen.args[2], seen.args[3], seen.args[4],
			       seen.args[5], seen.wrong);
			break;
		}
		if (fd_ok(FOREIGN_FD)) {
			seen.wrong = "the foreign descriptor became the guest's";
			break;
		}
	}
	printf("# %u requests, %u calls made\n", i, made);
	check(i == rounds && made > rounds / 20,
	      "a storm of random requests makes only calls that are in order", made);
}

int main(int argc, char **argv)
{
	char why[RS_WHY] = "";
	unsigned int i, held = 0;

	rs_table_init();
	sb.engine.info.gpa_bits = 40;
	sb.message_fd = 2;
	sb.proc_fd = -1;
	if (rs_memory_create(&sb, ARENA, why)) {
		printf("Bail out! %s\n", why);
		return 1;
	}
	vcpu.caller.sb = &sb;
	vcpu.shared = (struct rs_vcpu_shared *)(sb.mem.arena + 0x2000);
	vcpu.caller.call = &vcpu.shared->call;
	vcpu.caller.pending = &vcpu.shared->pending;
	vcpu.caller.xsave = rs_vector_area();
	sb.vcpus[0] = &vcpu;
	if (!vcpu.caller.xsave || rs_signals_install(&sb)) {
		printf("Bail out! signals\n");
		return 1;
	}
	rs_fd_set_owned(&sb, OWN_FD);
	run_rows();
	run_structures();
	run_private();
	run_files();
	storm(argc > 1 ? strtoul(argv[1], NULL, 0) : 300000);
	/* The same with several callers: descriptors are held, and let go. */
	sb.net_host = sb.covers_proc = false;
	rs_table_several();
	sb.several = true;
	run_rows();
	run_structures();
	run_private();
	run_files();
	storm(argc > 1 ? strtoul(argv[1], NULL, 0) : 300000);
	for (i = 0; i < RS_FD_LIMIT; i++)
		held += sb.users[i] != 0 || sb.closing[i / 64];
	check(!held && !vcpu.caller.nheld, "no descriptor is held when no call is made", held);
	printf("1..%d\n", tests);
	return failures != 0;
}
