// SPDX-License-Identifier: MIT
/*
 * trace.c - a system call as a line of text, in the form strace made familiar
 *
 * The same descriptors that drive forwarding drive this: a row of rs_calls.def says how each
 * argument looks. Output buffers are printed from what the call left in them, so a line is made
 * after the call; only calls that do not return print theirs before.
 *
 * Everything is read from the process's memory again, so another thread may have changed it
 * meanwhile: the line is for people to read and decides nothing.
 */
#include <asm/ioctls.h>
#include <asm/unistd.h>
#include <linux/fs.h>
#include <linux/fcntl.h>
#include "symbols.h"
#include "table.h"
#include "trace.h"
#include "../lib/string.h"
#include "../../include/rs_calls.h"

#define TEXT_MAX   32 /* bytes of data shown, as strace does */
#define PATH_SHOWN 512
#define ARGV_SHOWN 16
#define TAIL_ROOM  96 /* kept free for the result */

static void addr(struct textbuf *t, u64 va)
{
	if (va)
		text_printf(t, "%#lx", (unsigned long)va);
	else
		text_printf(t, "NULL");
}

static void data(struct textbuf *t, const struct trace_memory *m, u64 va, u64 len)
{
	char buf[TEXT_MAX];
	size_t n = min(len, (u64)TEXT_MAX);

	if (!va || m->read(m->ctx, buf, va, n) != n) {
		addr(t, va);
		return;
	}
	text_quote(t, buf, n);
	if (len > n)
		text_printf(t, "...");
}

static void string(struct textbuf *t, const struct trace_memory *m, u64 va)
{
	char buf[PATH_SHOWN];
	size_t len = 0, n;
	const char *end = NULL;

	/* Piece by piece: the string may end just before memory that is not there. */
	while (va && len < sizeof(buf) && !end) {
		n = min((size_t)(64 - ((va + len) & 63)), sizeof(buf) - len);
		n = m->read(m->ctx, buf + len, va + len, n);
		if (!n)
			break;
		end = memchr(buf + len, 0, n);
		len = end ? (size_t)(end - buf) : len + n;
	}
	if (!len && !end) {
		addr(t, va);
		return;
	}
	text_quote(t, buf, len);
	if (!end)
		text_printf(t, "...");
}

static bool word(const struct trace_memory *m, u64 va, void *dst, size_t n)
{
	return va && m->read(m->ctx, dst, va, n) == n;
}

static void string_array(struct textbuf *t, const struct trace_memory *m, u64 va)
{
	u64 p;
	int i;

	if (!word(m, va, &p, sizeof(p))) {
		addr(t, va);
		return;
	}
	text_putc(t, '[');
	for (i = 0; i < ARGV_SHOWN && word(m, va + 8 * i, &p, sizeof(p)) && p; i++) {
		if (i)
			text_printf(t, ", ");
		string(t, m, p);
	}
	text_printf(t, i == ARGV_SHOWN ? ", ...]" : "]");
}

static void vars(struct textbuf *t, const struct trace_memory *m, u64 va)
{
	u64 p;
	int n = 0;

	addr(t, va);
	while (n < 10000 && word(m, va + 8 * n, &p, sizeof(p)) && p)
		n++;
	if (va)
		text_printf(t, " /* %d var%s */", n, n == 1 ? "" : "s");
}

static void iovec(struct textbuf *t, const struct trace_memory *m, u64 va, u64 count, long ret,
		  bool out)
{
	u64 v[2], i, left = ret > 0 ? ret : 0;

	if (!word(m, va, v, sizeof(v))) {
		addr(t, va);
		return;
	}
	text_putc(t, '[');
	for (i = 0; i < count && i < ARGV_SHOWN && word(m, va + 16 * i, v, sizeof(v)); i++) {
		text_printf(t, "%s{iov_base=", i ? ", " : "");
		if (out) {
			u64 n = min(v[1], left);

			data(t, m, v[0], n);
			left -= n;
		} else {
			data(t, m, v[0], v[1]);
		}
		text_printf(t, ", iov_len=%lu}", (unsigned long)v[1]);
	}
	text_printf(t, i < count ? ", ...]" : "]");
}

static const char *file_type(u32 mode)
{
	switch (mode & 0170000) {
	case 0100000: return "S_IFREG";
	case 0040000: return "S_IFDIR";
	case 0120000: return "S_IFLNK";
	case 0020000: return "S_IFCHR";
	case 0060000: return "S_IFBLK";
	case 0010000: return "S_IFIFO";
	case 0140000: return "S_IFSOCK";
	}
	return "0";
}

/* struct stat of x86-64: st_mode at 24, st_rdev at 40, st_size at 48 */
static bool stat_buffer(struct textbuf *t, const struct trace_memory *m, u64 va)
{
	u64 b[7];
	u32 mode;

	if (!word(m, va, b, sizeof(b)))
		return false;
	mode = (u32)b[3];
	text_printf(t, "{st_mode=%s|%#o, ", file_type(mode), mode & 07777);
	if ((mode & 0170000) == 0020000 || (mode & 0170000) == 0060000)
		text_printf(t, "st_rdev=makedev(%#lx, %#lx)", (unsigned long)(b[5] >> 8 & 0xfff),
			    (unsigned long)(b[5] & 0xff));
	else
		text_printf(t, "st_size=%ld", (long)b[6]);
	text_printf(t, ", ...}");
	return true;
}

static bool wants_mode(u64 nr, const u64 *a)
{
	u64 flags = nr == __NR_openat ? a[2] : a[1];

	return nr == __NR_creat || (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;
}

static void argument(struct textbuf *t, u64 nr, unsigned int i, u32 desc, const u64 *a, long ret,
		     const struct trace_memory *m)
{
	u64 v = a[i], param = RS_ARG_PARAM(desc);

	if (trace_struct(t, nr, i, a, ret, m))
		return;
	switch (RS_ARG_KIND(desc)) {
	case RS_A_INT:
	case RS_A_FD: text_printf(t, "%d", (int)v); break;
	case RS_A_DFD:
		if ((int)v == AT_FDCWD)
			text_printf(t, "AT_FDCWD");
		else
			text_printf(t, "%d", (int)v);
		break;
	case RS_A_LONG: text_printf(t, "%ld", (long)v); break;
	case RS_A_UINT: text_printf(t, "%lu", (unsigned long)v); break;
	case RS_A_HEX: text_printf(t, v ? "%#lx" : "%lu", (unsigned long)v); break;
	case RS_A_FLAGS: text_set(t, param, v); break;
	case RS_A_IOCTL: text_set(t, RS_SET_IOCTL, v); break;
	case RS_A_FCNTL: text_set(t, RS_SET_FCNTL, v); break;
	case RS_A_BYCMD:
		if (nr == __NR_fcntl && (int)a[1] == F_SETFL)
			text_set(t, RS_SET_OPEN, v);
		else if (nr == __NR_fcntl && (int)a[1] == F_SETFD)
			text_printf(t, (v & FD_CLOEXEC) ? "FD_CLOEXEC" : "0");
		else if (nr == __NR_fcntl && v < 65536)
			text_printf(t, "%lu", (unsigned long)v);
		else
			addr(t, v);
		break;
	case RS_A_PATH:
	case RS_A_PATHN:
	case RS_A_STR: string(t, m, v); break;
	case RS_A_BUFIN:
	case RS_A_BLKIN: data(t, m, v, a[param]); break;
	case RS_A_BUFOUT:
		if (ret < 0 || nr == __NR_getdents64)
			addr(t, v);
		else
			data(t, m, v, min((u64)ret, a[param]));
		break;
	case RS_A_IOVIN:
	case RS_A_IOVOUT: iovec(t, m, v, a[param], ret, RS_ARG_KIND(desc) == RS_A_IOVOUT); break;
	case RS_A_OUT:
		if (ret < 0 || param != 144 || nr == __NR_getrusage || !stat_buffer(t, m, v))
			addr(t, v);
		break;
	case RS_A_FDPAIR: {
		int fd[2];

		if (ret < 0 || !word(m, v, fd, sizeof(fd)))
			addr(t, v);
		else
			text_printf(t, "[%d, %d]", fd[0], fd[1]);
		break;
	}
	case RS_A_PTR:
		if (nr == __NR_execve && i == 1)
			string_array(t, m, v);
		else if (nr == __NR_execve && i == 2)
			vars(t, m, v);
		else
			addr(t, v);
		break;
	default: addr(t, v); break;
	}
}

void trace_format(struct textbuf *t, u64 nr, const u64 *args, long ret,
		  const struct trace_memory *mem)
{
	const struct rs_sysrow *row = sysrow(nr);
	size_t size = t->size;
	unsigned int i, n = 6;

	t->size = size > TAIL_ROOM ? size - TAIL_ROOM : 0;
	if (!row) {
		const char *name = syscall_name_any(nr);

		if (name)
			text_printf(t, "%s(%#lx, %#lx, %#lx", name, (unsigned long)args[0],
				    (unsigned long)args[1], (unsigned long)args[2]);
		else
			text_printf(t, "syscall_%lu(%#lx, %#lx, %#lx, %#lx, %#lx, %#lx",
				    (unsigned long)nr, (unsigned long)args[0],
				    (unsigned long)args[1], (unsigned long)args[2],
				    (unsigned long)args[3], (unsigned long)args[4],
				    (unsigned long)args[5]);
	} else {
		while (n && !row->arg[n - 1])
			n--;
		text_printf(t, "%s(", syscall_name(nr));
		if ((nr == __NR_open || nr == __NR_openat) && !wants_mode(nr, args))
			n--;
		if (nr == __NR_fcntl && ((int)args[1] == F_GETFD || (int)args[1] == F_GETFL))
			n--;
		n = trace_nargs(nr, args, n);
		for (i = 0; i < n; i++) {
			if (i)
				text_printf(t, ", ");
			argument(t, nr, i, row->arg[i], args, ret, mem);
		}
	}
	if (t->lost)
		t->len = t->size ? t->size - 1 : 0;
	t->size = size;
	if (t->lost)
		text_printf(t, "...");
	text_printf(t, ") = ");
	if (ret == TRACE_NO_RETURN) {
		text_printf(t, "?");
	} else if (ret <= -512 && ret >= -516) {
		text_printf(t, "? (interrupted by a signal)");
	} else if (ret < 0 && ret >= -4095) {
		text_printf(t, "-1 ");
		text_error(t, (int)-ret);
	} else if (row && row->ret == RS_R_HEX) {
		text_printf(t, "%#lx", (unsigned long)ret);
	} else {
		text_printf(t, "%ld", ret);
	}
	text_putc(t, '\n');
}
