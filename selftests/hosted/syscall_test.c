// SPDX-License-Identifier: MIT
/*
 * syscall_test.c - the guest kernel's system-call layer as an ordinary program, under sanitizers
 *
 * The layer is compiled unchanged; what lies below it is replaced: this program's memory is the
 * process's memory, guest physical addresses are its addresses (rs_direct_base 0), and a host call
 * is a real system call. So a test fills in a frame, as the SYSCALL stub would, and what comes out
 * must be what Linux answers. Memory is handed out in pieces of at most PIECE bytes, so that calls
 * on larger buffers take the paths for memory that is not contiguous; references are counted and
 * must be zero after every call.
 */
#include <asm/ioctls.h>
#include <asm/prctl.h>
#include <asm/unistd.h>
#include <linux/fcntl.h>
#include <linux/futex.h>
#include <linux/poll.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include "floor.h"
#include "../../userland/guest/syscall/pieces.h"
#include "../../userland/guest/syscall/procfs.h"
#include "../../userland/guest/syscall/signal.h"
#include "../../userland/guest/syscall/symbols.h"
#include "../../userland/guest/syscall/syscall.h"
#include "../../userland/guest/syscall/table.h"
#include "../../userland/guest/syscall/trace.h"
#include "../../userland/guest/lib/assert.h"
#include "../../userland/guest/lib/string.h"
#include "../../userland/guest/mm/kmalloc.h"
#include "../../userland/guest/proc/exec.h"
#include "../../userland/include/rs_calls.h"

/* The C library's <signal.h> and the guest's do not go together. */
long syscall(long nr, ...);
void (*signal(int sig, void (*handler)(int)))(int);

/* --- the one process and its thread ----------------------------------------------------------- */

/*
 * The first process, real, whose thread runs the tests. It does not end: what would end it is
 * caught (the linker wraps these) and noted.
 */
static struct process *proc;
static struct thread *self;
#define shared	floor_shared
#define restored floor_restored

static int died, exited = -1;
static sigjmp_buf on_death;

void __wrap_process_exit(int status) __noreturn;
void __wrap_process_exit(int status)
{
	exited = status;
	siglongjmp(on_death, 1);
}

void __wrap_process_die(int sig, const struct fault_info *fault) __noreturn;
void __wrap_process_die(int sig, const struct fault_info *fault)
{
	(void)fault;
	died = sig;
	siglongjmp(on_death, 1);
}

long proc_exec(struct process *p, int dirfd, const char *path, struct exec_args *args,
	       struct rs_frame *frame)
{
	(void)p, (void)dirfd, (void)path, (void)args, (void)frame;
	return -ENOENT;
}

/* --- the tests' words ------------------------------------------------------------------------- */

static int failed, number;
static bool ok;

#define CHECK(c)                                                         \
	do {                                                             \
		if (!(c)) {                                              \
			printf("# %s:%d: %s\n", __func__, __LINE__, #c); \
			ok = false;                                      \
		}                                                        \
	} while (0)
#define EQ(a, b)                                                                                 \
	do {                                                                                     \
		long _a = (long)(a), _b = (long)(b);                                             \
		if (_a != _b) {                                                                  \
			printf("# %s:%d: %s is %ld, not %ld\n", __func__, __LINE__, #a, _a, _b); \
			ok = false;                                                              \
		}                                                                                \
	} while (0)

static struct rs_frame frame;

#define CALL(name, ...) call(__NR_##name, (u64[6]){ __VA_ARGS__ })
#define P(p)		((u64)(p))

static long call(u64 nr, const u64 *a)
{
	memset(&frame, 0, sizeof(frame));
	frame.vector = RS_VECTOR_SYSCALL;
	frame.error = frame.rax = nr;
	frame.rip = frame.rcx = 0x401002;
	frame.rsp = 0x7000;
	frame.rdi = a[0], frame.rsi = a[1], frame.rdx = a[2], frame.r10 = a[3], frame.r8 = a[4],
	frame.r9 = a[5];
	died = 0;
	exited = -1;
	if (sigsetjmp(on_death, 0))
		return -9999;
	rs_syscall(&frame);
	if (self->work || shared.pending)
		rs_return_to_user(&frame);
	if (live_segs) {
		printf("# call %lu leaves %ld references\n", (unsigned long)nr, live_segs);
		ok = false;
		live_segs = 0;
	}
	fd_table_check(proc->files);
	return (long)frame.rax;
}

static void drop_pending(void)
{
	u64 all = ~0ull, now[2] = { 0, 0 };

	shared.pending = 0;
	while (CALL(rt_sigtimedwait, P(&all), 0, P(now), 8) > 0)
		;
}

static char *bad_page(void) /* a page with nothing behind it */
{
	char *p = (char *)syscall(__NR_mmap, 0ul, 3 * PIECE, 3ul, 0x22ul, -1l, 0ul);

	syscall(__NR_munmap, p + 2 * PIECE, PIECE);
	return p;
}

/* --- tests ------------------------------------------------------------------------------------ */

static void t_files(void)
{
	static char big[100000], back[100000];
	long fd, n, i;
	u8 st[144], stx[256];
	char link[64];

	fd = CALL(openat, (u64)AT_FDCWD, P("."), O_RDONLY | O_DIRECTORY);
	EQ(fd, 3);
	n = CALL(getdents64, fd, P(back), sizeof(back));
	CHECK(n > 24);
	EQ(CALL(close, fd), 0);
	EQ(CALL(close, fd), -EBADF);
	fd = CALL(memfd_create, P("test"), 0);
	EQ(fd, 3);
	for (i = 0; i < (long)sizeof(big); i++)
		big[i] = (char)(i * 7 + (i >> 8));
	EQ(CALL(write, fd, P(big), sizeof(big)), sizeof(big));
	EQ(last_host_nr, __NR_writev);
	EQ(CALL(pread64, fd, P(back), sizeof(back), 0), sizeof(back));
	EQ(last_host_nr, __NR_preadv);
	CHECK(!memcmp(big, back, sizeof(big)));
	EQ(CALL(pread64, fd, P(back), 10, 5), 10);
	CHECK(!memcmp(back, big + 5, 10));
	EQ(CALL(lseek, fd, (u64)-10l, 2), sizeof(big) - 10);
	EQ(CALL(read, fd, P(back), 100), 10);
	EQ(CALL(read, fd, P(back), 100), 0);
	EQ(CALL(read, fd, 0, 0), 0);
	EQ(CALL(read, 77, 0, 0), -EBADF);
	EQ(CALL(fstat, fd, P(st)), 0);
	EQ(*(u64 *)(st + 48), sizeof(big));
	EQ(CALL(newfstatat, fd, P(""), P(st), 0x1000), 0);
	EQ(CALL(statx, fd, P(""), 0x1000, 0x7ff, P(stx)), 0);
	EQ(*(u64 *)(stx + 40), sizeof(big));
	EQ(CALL(stat, P("/"), P(st)), 0);
	EQ(CALL(stat, P("/no/such"), P(st)), -ENOENT);
	EQ(CALL(stat, P("/"), 0), -EFAULT);
	EQ(CALL(newfstatat, 99, P("x"), P(st), 0), -EBADF);
	EQ(CALL(access, P("/"), 4), 0);
	EQ(CALL(ftruncate, fd, 5), 0);
	EQ(CALL(close, fd), 0);
	EQ(CALL(readlink, P("/proc/self/cwd"), P(link), sizeof(link)) > 0, 1);
	EQ(CALL(readlink, P("/"), P(link), sizeof(link)), -EINVAL);
	CHECK(CALL(getcwd, P(back), 4096) > 1 && back[0] == '/');
	EQ(CALL(open, P("/nope"), O_RDONLY), -ENOENT);
	EQ(CALL(fcntl, 99, F_GETFL), -EBADF);
}

static void t_bad_pointers(void)
{
	char *p = bad_page(), *hole = p + 2 * PIECE;
	long z = CALL(open, P("/dev/zero"), O_RDWR);
	int fds[2];
	u64 iov[2];

	EQ(z, 3);
	u64 bad[] = { 8, 0xffff888000000000, (u64)-1, 0x800000000000, P(hole), 0 };

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		EQ(CALL(read, z, bad[i], 10), -EFAULT);
		EQ(CALL(open, bad[i], 0), -EFAULT);
		EQ(CALL(stat, bad[i], P(p)), -EFAULT);
		EQ(CALL(stat, P("/"), bad[i]), -EFAULT);
		EQ(CALL(fstat, z, bad[i]), -EFAULT);
		EQ(CALL(uname, bad[i]), -EFAULT);
		EQ(CALL(pipe2, bad[i], 0), -EFAULT);
		EQ(CALL(readv, z, bad[i], 1), -EFAULT);
		EQ(CALL(clock_gettime, 1, bad[i]), -EFAULT);
		EQ(CALL(getcwd, bad[i], 4096), -EFAULT);
		EQ(CALL(getrandom, bad[i], 10, 0), -EFAULT);
		EQ(CALL(ioctl, z, FIONBIO, bad[i]), -EFAULT);
		EQ(CALL(poll, bad[i], 1, 0), -EFAULT);
		EQ(CALL(nanosleep, bad[i], 0), -EFAULT);
		EQ(CALL(sendmsg, z, bad[i], 0), -EFAULT);
		if (bad[i]) {
			EQ(CALL(rt_sigaction, 10, bad[i], 0, 8), -EFAULT);
			EQ(CALL(sigaltstack, bad[i], 0), -EFAULT);
			EQ(CALL(ppoll, 0, 0, bad[i], 0), -EFAULT);
		}
	}
	/* the front of a buffer is there */
	EQ(CALL(read, z, P(hole - 4), 8), 4);
	EQ(CALL(pipe2, P(fds), 0), 0);
	EQ(CALL(write, fds[1], P(hole - 5), 5000), -EFAULT); /* a pipe is the guest's */
	/* a structure across two pages goes through a buffer */
	EQ(CALL(fstat, z, P(p + PIECE - 72)), 0);
	CHECK((*(u32 *)(p + PIECE - 72 + 24) & 0170000) == 0020000);
	EQ(CALL(fstat, z, P(hole - 72)), -EFAULT);
	/* an array that runs into the hole, lengths that are none */
	iov[0] = P(p);
	iov[1] = 5;
	memcpy(hole - 16, iov, 16);
	EQ(CALL(writev, z, P(hole - 16), 1), 5);
	EQ(CALL(writev, z, P(hole - 16), 2), -EFAULT);
	EQ(CALL(writev, z, P(p), (u64)-1), -EINVAL);
	EQ(CALL(writev, z, P(p), 1025), -EINVAL);
	iov[1] = (u64)-1;
	EQ(CALL(writev, z, P(iov), 1), -EINVAL);
	/* strings up to the last byte */
	memcpy(hole - 2, ".", 2);
	EQ(CALL(access, P(hole - 2), 0), 0);
	hole[-1] = 'x';
	EQ(CALL(access, P(hole - 2), 0), -EFAULT);
	CALL(close, fds[0]);
	CALL(close, fds[1]);
	CALL(close, z);
	syscall(__NR_munmap, p, 2 * PIECE);
}

static void t_path_length(void)
{
	char *path = malloc(6000);

	memset(path, 'x', 5999);
	path[5999] = 0;
	EQ(CALL(open, P(path), 0), -ENAMETOOLONG);
	path[4095] = 0;
	EQ(CALL(open, P(path), 0), -ENAMETOOLONG); /* one component: the file system's limit */
	free(path);
}

static void t_descriptors(void)
{
	long z = CALL(open, P("/dev/zero"), O_RDONLY | O_CLOEXEC);
	u64 lim[2] = { 10, 65536 };
	int pair[2];
	long i;

	EQ(z, 3);
	EQ(CALL(fcntl, z, F_GETFD), FD_CLOEXEC);
	EQ(CALL(dup, z), 4);
	EQ(CALL(fcntl, 4, F_GETFD), 0);
	EQ(CALL(fcntl, z, F_DUPFD, 200), 200);
	EQ(CALL(fcntl, z, F_DUPFD_CLOEXEC, 200), 201);
	EQ(CALL(dup2, z, 7), 7);
	EQ(CALL(dup2, 7, 7), 7);
	EQ(CALL(dup2, 99, 99), -EBADF);
	EQ(CALL(dup3, z, z, 0), -EINVAL);
	EQ(CALL(dup3, z, 8, O_CLOEXEC), 8);
	EQ(CALL(dup3, z, 8, 1), -EINVAL);
	EQ(CALL(dup2, z, 100000), -EBADF);
	EQ(CALL(fcntl, z, F_DUPFD, 5000), -EINVAL);
	EQ(proc->files->slot[3]->refs, 6);
	EQ(CALL(pipe2, P(pair), O_CLOEXEC), 0);
	EQ(pair[0], 5);
	EQ(pair[1], 6);
	EQ(CALL(fcntl, 5, F_GETFD), FD_CLOEXEC);
	syscall_exec_done(proc);
	EQ(CALL(fcntl, z, F_GETFD), -EBADF);
	EQ(CALL(fcntl, 5, F_GETFD), -EBADF);
	EQ(CALL(fcntl, 4, F_GETFD), 0);
	EQ(CALL(prlimit64, 0, 7, P(lim), 0), 0);
	for (i = 0; i < 6; i++)
		CALL(dup, 4);
	EQ(CALL(dup, 4), -EMFILE);
	EQ(CALL(pipe2, P(pair), 0), -EMFILE);
	EQ(CALL(open, P("/dev/zero"), 0), -EMFILE);
	EQ(CALL(close, 9), 0);
	EQ(CALL(pipe2, P(pair), 0), -EMFILE);
	EQ(CALL(dup, 4), 9);
	lim[0] = 1024;
	EQ(CALL(prlimit64, 0, 7, P(lim), 0), 0);
	lim[1] = 70000;
	EQ(CALL(setrlimit, 7, P(lim)), -EPERM);
	EQ(CALL(close_range, 3, ~0u, 0), 0);
	EQ(fd_next(proc->files, 3), -1);
	EQ(CALL(close_range, 5, 4, 0), -EINVAL);
}

static void t_poll(void)
{
	int p[2];
	struct {
		s32 fd;
		s16 events, revents;
	} f[4];
	u64 set[3][16], tv[2], ts[2];

	EQ(CALL(pipe, P(p)), 0);
	f[0].fd = p[0], f[0].events = POLLIN;
	f[1].fd = p[1], f[1].events = POLLOUT;
	f[2].fd = -5, f[2].events = POLLIN;
	EQ(CALL(poll, P(f), 3, -1), 1);
	EQ(f[0].revents, 0);
	EQ(f[1].revents, POLLOUT);
	EQ(f[2].revents, 0);
	f[3].fd = 500, f[3].events = POLLIN;
	EQ(CALL(poll, P(f), 4, -1), 2);
	EQ(f[3].revents, POLLNVAL);
	f[0].revents = 77;
	EQ(CALL(poll, P(f), 1, 5), 0);
	EQ(f[0].revents, 0);
	EQ(CALL(poll, P(f), 100000, 0), -EINVAL);
	EQ(CALL(write, p[1], P("x"), 1), 1);
	ts[0] = 5, ts[1] = 0;
	EQ(CALL(ppoll, P(f), 1, P(ts)), 1);
	CHECK(ts[0] == 4 || ts[0] == 5);
	memset(set, 0, sizeof(set));
	set[0][0] = set[1][0] = 1ull << p[0] | 1ull << p[1];
	tv[0] = 10, tv[1] = 0;
	EQ(CALL(select, p[1] + 1, P(set[0]), P(set[1]), P(set[2]), P(tv)), 2);
	EQ(set[0][0], 1ull << p[0]);
	EQ(set[1][0], 1ull << p[1]);
	set[0][0] = 1ull << 40;
	EQ(CALL(select, 41, P(set[0]), 0, 0, P(tv)), -EBADF);
	EQ(CALL(select, -1, 0, 0, 0, 0), -EINVAL);
	tv[0] = 0, tv[1] = 1000;
	EQ(CALL(select, 0, 0, 0, 0, P(tv)), 0);
	EQ(tv[1], 0);
	CALL(close, p[0]);
	CALL(close, p[1]);
}

static void t_epoll(void)
{
	long ep = CALL(epoll_create1, O_CLOEXEC), ev = CALL(eventfd2, 1, 0);
	struct {
		u32 events;
		u64 data;
	} __attribute__((packed)) e = { POLLIN, 0x1234 }, out[3];

	EQ(CALL(fcntl, ep, F_GETFD), FD_CLOEXEC);
	EQ(CALL(epoll_ctl, ep, 1, ev, P(&e)), 0);
	memset(out, 0x55, sizeof(out));
	EQ(CALL(epoll_wait, ep, P(out), 3, 0), 1);
	EQ(out[0].data, 0x1234);
	EQ(out[1].data, 0x5555555555555555);
	EQ(CALL(epoll_pwait, ep, P(out), 3, 0, 0, 0), 1);
	EQ(CALL(epoll_wait, ep, P(out), 0, 0), -EINVAL);
	CALL(close, ep);
	CALL(close, ev);
}

static void t_sockets(void)
{
	static char big[20000], back[20000];
	struct {
		u64 name;
		u32 namelen, pad;
		u64 iov, iovlen, control, controllen;
		u32 flags, pad1;
	} m;
	struct {
		u64 len;
		s32 level, type;
		s32 fd[2];
	} c = { 20, 1, 1, { 0, 0 } }, c2;
	int s[2];
	long n, z;
	u64 iov[4];
	u32 type, len = 4;

	EQ(CALL(socketpair, 2, 1, 0, P(s)), -EOPNOTSUPP);
	EQ(CALL(socketpair, 1, 1, 0, P(s)), 0);
	EQ(CALL(socket, 2, 1, 0), -EPERM);
	CHECK(explained > 0);
	memset(big, 'b', sizeof(big));
	EQ(CALL(sendto, s[0], P(big), sizeof(big), 0, 0, 0), sizeof(big));
	EQ(CALL(sendto, s[0], P(big), 10, 0, P(big), 16), -EPERM);
	for (n = 0; n < (long)sizeof(big);) {
		long r = CALL(recvfrom, s[1], P(back + n), sizeof(back) - (u64)n, 0, 0, 0);

		CHECK(r > 0);
		if (r <= 0)
			break;
		n += r;
	}
	CHECK(!memcmp(big, back, sizeof(big)));
	EQ(CALL(getsockopt, s[0], 1, 3, P(&type), P(&len)), 0);
	EQ(type, 1);
	EQ(len, 4);
	len = (u32)-1;
	EQ(CALL(getsockopt, s[0], 1, 3, P(&type), P(&len)), -EINVAL);
	/* a descriptor travels */
	z = CALL(open, P("/dev/zero"), 0);
	c.fd[0] = (s32)z;
	memset(&m, 0, sizeof(m));
	iov[0] = P("ab"), iov[1] = 2, iov[2] = P("cd"), iov[3] = 2;
	m.iov = P(iov), m.iovlen = 2, m.control = P(&c), m.controllen = 20;
	EQ(CALL(sendmsg, s[0], P(&m), 0), 4);
	c.fd[0] = 99;
	EQ(CALL(sendmsg, s[0], P(&m), 0), -EBADF);
	c.len = 5;
	EQ(CALL(sendmsg, s[0], P(&m), 0), -EINVAL);
	c.len = 1ull << 60;
	EQ(CALL(sendmsg, s[0], P(&m), 0), -EINVAL);
	memset(&c2, 0, sizeof(c2));
	iov[0] = P(back), iov[1] = 3, iov[2] = P(back + 10), iov[3] = 10;
	m.control = P(&c2), m.controllen = sizeof(c2);
	EQ(CALL(recvmsg, s[1], P(&m), 0x40000000), 4);
	CHECK(!memcmp(back, "abc", 3) && back[10] == 'd');
	EQ(m.controllen, 24);
	CHECK(c2.fd[0] > z);
	EQ(CALL(fcntl, (u64)c2.fd[0], F_GETFD), FD_CLOEXEC);
	EQ(CALL(read, (u64)c2.fd[0], P(back), 10), 10);
	CALL(close, (u64)c2.fd[0]);
	CALL(close, z);
	/* several messages in one call */
	struct {
		u64 name;
		u32 namelen, pad;
		u64 iov, iovlen, control, controllen;
		u32 flags, pad1;
		u32 len, pad2;
	} mm2[3];
	u64 v[3][2] = { { P("one"), 3 }, { P("two2"), 4 }, { P("x"), 1 } };

	memset(mm2, 0, sizeof(mm2));
	for (n = 0; n < 3; n++)
		mm2[n].iov = P(v[n]), mm2[n].iovlen = 1;
	EQ(CALL(sendmmsg, s[0], P(mm2), 3, 0), 3);
	EQ(mm2[1].len, 4);
	v[0][0] = P(back), v[0][1] = 5, v[1][0] = P(back + 8), v[1][1] = 10;
	mm2[0].len = mm2[1].len = 0;
	EQ(CALL(recvmmsg, s[1], P(mm2), 3, 0x10000), 2);
	CHECK(mm2[0].len == 5 && mm2[1].len == 3 && !memcmp(back, "onetw", 5) &&
	      !memcmp(back + 8, "o2x", 3));
	EQ(CALL(sendmmsg, s[0], 8, 3, 0), -EFAULT);
	/* nobody there any more: EPIPE and SIGPIPE */
	CALL(close, s[1]);
	EQ(CALL(sendto, s[0], P(big), 10, 0x4000, 0, 0), -EPIPE);
	EQ(died, 0);
	EQ(CALL(write, s[0], P(big), 10), -9999);
	EQ(died, SIGPIPE);
	CALL(close, s[0]);
}

static void t_terminal_and_ioctl(void)
{
	long z = CALL(open, P("/dev/zero"), 0);
	u8 t[60];

	EQ(CALL(ioctl, z, TCGETS, P(t)), -ENOTTY);
	EQ(CALL(ioctl, z, TIOCGPGRP, P(t)), -ENOTTY);
	EQ(CALL(ioctl, z, TIOCSTI, P(t)), -ENOTTY);
	EQ(CALL(ioctl, z, 0x12345678, P(t)), -ENOTTY);
	EQ(CALL(ioctl, z, FIOCLEX, 0), 0);
	EQ(CALL(fcntl, z, F_GETFD), FD_CLOEXEC);
	EQ(CALL(ioctl, 99, TCGETS, P(t)), -EBADF);
	EQ(CALL(fcntl, z, 12345, 0), -EINVAL);
	EQ(CALL(fcntl, z, F_GETFL) & 3, 0);
	CALL(close, z);
}

static void t_proc_names(void)
{
	char buf[4096];
	u8 st[144];
	long fd, n;
	u32 v;

	fd = CALL(open, P("/proc/self/maps"), 0);
	CHECK(fd > 0);
	n = CALL(read, fd, P(buf), sizeof(buf));
	EQ(n, 17);
	CHECK(!memcmp(buf, "1000-2000", 9));
	n = CALL(readlink, P("/proc/self/fd/3"), P(buf), sizeof(buf));
	CHECK(n > 0 && memmem(buf, (size_t)n, "memfd:proc", 10));
	CALL(close, fd);
	EQ(CALL(open, P("/proc/self/maps"), O_RDWR), -EACCES);
	EQ(CALL(open, P("/proc/self/mem"), O_RDWR), -ENOENT);
	EQ(CALL(open, P("/proc/4711/mem"), O_RDWR), -ENOENT);
	EQ(CALL(open, P("/proc/self/fd/99"), 0), -ENOENT);
	EQ(CALL(open, P("/proc/self/fd/-1"), 0), -ENOENT);
	EQ(CALL(open, P("/proc/self/fd/0x1"), 0), -ENOENT);
	EQ(CALL(stat, P("/proc/4711/status"), P(st)), 0);
	fd = CALL(open, P("/proc/4711/status"), 0);
	n = CALL(read, fd, P(buf), sizeof(buf) - 1);
	buf[n > 0 ? n : 0] = 0;
	CHECK(strstr(buf, "Pid:\t4711\n") && strstr(buf, "Uid:\t1000\t1000"));
	CALL(close, fd);
	EQ(CALL(readlink, P("/proc/self/exe"), P(buf), sizeof(buf)), -ENOENT);
	proc->exe = refstr_new("/bin/true");
	EQ(CALL(readlink, P("/proc/self/exe"), P(buf), sizeof(buf)), 9);
	EQ(CALL(readlink, P("/proc/self/exe"), P(buf), 3), 3);
	EQ(CALL(readlink, P("/proc/self/exe"), P(buf), 0), -EINVAL);
	CHECK(!memcmp(buf, "/bin/true", 9));
	EQ(CALL(stat, P("/proc/self/exe"), P(st)), 0);
	refstr_put(proc->exe);
	proc->exe = NULL;
	CHECK(procfs_parse_fd("0", &v) && v == 0 && procfs_parse_fd("17", &v) && v == 17);
	CHECK(!procfs_parse_fd("", &v) && !procfs_parse_fd("01", &v) &&
	      !procfs_parse_fd("1/", &v) && !procfs_parse_fd("99999999999", &v));
}

static void t_refused_and_unknown(void)
{
	long before = host_calls, said = explained;

	EQ(CALL(mount, 0, 0, 0, 0, 0), -EPERM);
	EQ(CALL(ptrace, 0, 0, 0, 0), -EPERM);
	EQ(explained, said + 2);
	EQ(CALL(io_uring_setup, 1, 0), -ENOSYS);
	EQ(call(9999, (u64[6]){ 0 }), -ENOSYS);
	EQ(call((u64)-1, (u64[6]){ 0 }), -ENOSYS);
	EQ(call(0x52530000, (u64[6]){ 0 }), -ENOSYS);
	EQ(host_calls, before);
}

/* Signals */

static u64 stack[8192];

static void action(int sig, u64 handler, u64 flags, u64 mask)
{
	u64 a[4] = { handler, flags | SA_RESTORER, 0x402000, mask };

	EQ(CALL(rt_sigaction, (u64)sig, P(a), 0, 8), 0);
}

/* As CALL(), with a stack for frames. */
static long call_on_stack(u64 nr, const u64 *a)
{
	memset(&frame, 0, sizeof(frame));
	frame.vector = RS_VECTOR_SYSCALL;
	frame.error = frame.rax = nr;
	frame.rip = frame.rcx = 0x401002;
	frame.rflags = frame.r11 = 0x246;
	frame.rsp = P(stack + 8000);
	frame.rbx = 0xbbb, frame.r15 = 0xf15;
	frame.rdi = a[0], frame.rsi = a[1], frame.rdx = a[2], frame.r10 = a[3];
	died = 0;
	if (sigsetjmp(on_death, 0))
		return -9999;
	rs_syscall(&frame);
	if (self->work || shared.pending)
		rs_return_to_user(&frame);
	return (long)frame.rax;
}

static long sigreturn(void)
{
	frame.vector = RS_VECTOR_SYSCALL;
	frame.error = __NR_rt_sigreturn;
	frame.rsp += 8; /* the handler's RET */
	died = 0;
	if (sigsetjmp(on_death, 0))
		return -9999;
	rs_syscall(&frame);
	if (self->work)
		rs_return_to_user(&frame);
	return (long)frame.rax;
}

static void t_handler_and_return(void)
{
	u64 sp;

	action(10, 0x405000, SA_SIGINFO, SIGBIT(12));
	call_on_stack(__NR_kill, (u64[6]){ 4711, 10 });
	EQ(frame.rip, 0x405000);
	EQ(frame.rdi, 10);
	EQ(frame.rsp & 15, 8);
	EQ(*(u64 *)frame.rsp, 0x402000);
	EQ(*(s32 *)frame.rsi, 10);
	EQ(*(s32 *)(frame.rsi + 16), 4711);
	EQ(self->sig->blocked, SIGBIT(10) | SIGBIT(12));
	sp = frame.rsp;
	CHECK(sp + 440 <= P(stack + 8000) - 128);
	memset(restored, 0, sizeof(restored));
	EQ(sigreturn(), 0);
	EQ(frame.rip, 0x401002);
	EQ(frame.rsp, stack + 8000);
	EQ(frame.rbx, 0xbbb);
	EQ(frame.r15, 0xf15);
	EQ(frame.rflags, 0x246);
	EQ(self->sig->blocked, 0);
	EQ(restored[100], 0x5a);
	/* pending while blocked, delivered on unblocking, once */
	EQ(CALL(rt_sigprocmask, 0, P(&(u64){ SIGBIT(10) | SIGBIT(9) }), 0, 8), 0);
	EQ(self->sig->blocked, SIGBIT(10));
	CALL(tkill, 4711, 10);
	CALL(tkill, 4711, 10);
	EQ(self->sig->pending.set, SIGBIT(10));
	EQ(proc->signals->pending.set, 0);
	EQ(CALL(rt_sigpending, P(&sp), 8), 0);
	EQ(sp, SIGBIT(10));
	EQ(call_on_stack(__NR_rt_sigprocmask, (u64[6]){ 2, P(&(u64){ 0 }), 0, 8 }), 0);
	EQ(frame.rip, 0x405000);
	EQ(self->sig->pending.set, 0);
	sigreturn();
	action(10, SIG_DFL, 0, 0);
}

static void t_hostile_frames(void)
{
	struct {
		u64 off, value;
		bool dies;
	} edits[] = {
		{ 40 + 128, 0xffffffff80200000, true }, /* rip */
		{ 40 + 128, 1ull << 60, true },
		{ 40 + 128, USER_TOP, true },
		{ 40 + 128 + 8, 0x3002, false },	      /* rflags: IOPL 3, IF off */
		{ 40 + 128 + 16, 0x0018000000000010, false }, /* cs, ss */
		{ 40 + 128 + 56, 0x1234, true },	      /* fpstate */
		{ 40 + 128 + 56, 0, false },
		{ 40 + 128 + 56, 0xffff888000000000, true },
	};
	u64 fp;

	_Static_assert(sizeof(struct k_siginfo) == 128, "");
	for (unsigned int i = 0; i < ARRAY_SIZE(edits); i++) {
		action(10, 0x405000, 0, 0);
		call_on_stack(__NR_kill, (u64[6]){ 4711, 10 });
		*(u64 *)(frame.rsp + 8 + edits[i].off) = edits[i].value;
		EQ(sigreturn() == -9999, edits[i].dies);
		if (edits[i].dies)
			EQ(died, SIGSEGV);
		EQ(frame.cs, edits[i].dies ? frame.cs : USER_CS);
		if (!edits[i].dies)
			EQ(frame.rflags & (RFLAGS_IF | RFLAGS_IOPL), RFLAGS_IF);
		self->sig->blocked = 0;
	}
	/* extended state with bits the CPU would refuse */
	call_on_stack(__NR_kill, (u64[6]){ 4711, 10 });
	fp = *(u64 *)(frame.rsp + 8 + 40 + 128 + 56);
	EQ(fp & 63, 0);
	memset((void *)(fp + 512), 0xff, 64);
	*(u32 *)(fp + 24) = 0xffffffff;
	CHECK(sigreturn() == -9999 && died == SIGSEGV);
	self->sig->blocked = 0;
	/* another layout: only the oldest part is taken */
	call_on_stack(__NR_kill, (u64[6]){ 4711, 10 });
	fp = *(u64 *)(frame.rsp + 8 + 40 + 128 + 56);
	*(u32 *)(fp + 464 + 16) = 5000;
	CHECK(sigreturn() != -9999);
	EQ(restored[512], 3);
	/* a stack that is not there */
	frame.rsp = 0x7000;
	CHECK(CALL(kill, 4711, 10) == -9999 && died == SIGSEGV);
	self->sig->blocked = 0;
	action(10, SIG_DFL, 0, 0);
	/* no restorer */
	u64 a[4] = { 0x405000, 0, 0, 0 };

	CALL(rt_sigaction, 10, P(a), 0, 8);
	call_on_stack(__NR_kill, (u64[6]){ 4711, 10 });
	EQ(died, SIGSEGV);
	self->sig->blocked = 0;
	CALL(rt_sigaction, 10, P((u64[4]){ 0 }), 0, 8);
}

static void t_altstack(void)
{
	static u64 alt[4096];
	struct k_stack s = { .sp = P(alt), .size = sizeof(alt) }, o;

	EQ(CALL(sigaltstack, P(&s), P(&o)), 0);
	EQ(o.flags, SS_DISABLE);
	action(10, 0x405000, SA_ONSTACK, 0);
	call_on_stack(__NR_kill, (u64[6]){ 4711, 10 });
	CHECK(frame.rsp > P(alt) && frame.rsp < P(alt + 4096));
	/* on it: it cannot be changed, and it is said */
	u64 sp = frame.rsp;
	struct rs_frame keep = frame;

	frame.vector = RS_VECTOR_SYSCALL;
	frame.error = __NR_sigaltstack;
	frame.rdi = P(&s), frame.rsi = P(&o);
	rs_syscall(&frame);
	EQ(frame.rax, -EPERM);
	frame = keep;
	frame.rsp = sp;
	EQ(sigreturn(), 0);
	s.size = 100;
	EQ(CALL(sigaltstack, P(&s), 0), -ENOMEM);
	s.flags = 77;
	EQ(CALL(sigaltstack, P(&s), 0), -EINVAL);
	/* too small for the frame: death, not a write below it */
	s = (struct k_stack){ .sp = P(alt + 1000), .size = 2048 };
	cpu_has.xsave_size = 2696;
	alt[999] = 0x1717;
	EQ(CALL(sigaltstack, P(&s), 0), 0);
	call_on_stack(__NR_kill, (u64[6]){ 4711, 10 });
	EQ(died, SIGSEGV);
	EQ(alt[999], 0x1717);
	cpu_has.xsave_size = 832;
	self->sig->blocked = 0;
	s = (struct k_stack){ .flags = SS_DISABLE };
	EQ(CALL(sigaltstack, P(&s), 0), 0);
	action(10, SIG_DFL, 0, 0);
}

static long interrupted(u64 nr, const u64 a[6], long *ret)
{
	static int n;

	if (nr != __NR_read)
		return 0;
	if (n++ % 2)
		return 0;
	shared.pending = SIGBIT(10);
	*ret = -EINTR;
	return 1;
}

static void t_restart(void)
{
	int p[2];
	char b[4];
	u64 a[6] = { 0, P(b), 4 };

	CALL(socketpair, 1, 1, 0, P(p)); /* a file of the host */
	CALL(write, p[1], P("abcd"), 4);
	a[0] = (u64)p[0];
	host_hook = interrupted;
	/* ignored: tried again at once */
	action(10, SIG_IGN, 0, 0);
	EQ(call_on_stack(__NR_read, a), 4);
	CALL(write, p[1], P("abcd"), 4);
	/* a handler with SA_RESTART: the call is made again after it */
	action(10, 0x405000, SA_RESTART, 0);
	call_on_stack(__NR_read, a);
	EQ(frame.rip, 0x405000);
	EQ(sigreturn(), __NR_read);
	EQ(frame.rip, 0x401000);
	frame.error = frame.rax;
	frame.vector = RS_VECTOR_SYSCALL;
	rs_syscall(&frame);
	EQ(frame.rax, 4);
	/* without: EINTR */
	action(10, 0x405000, 0, 0);
	call_on_stack(__NR_read, a);
	EQ(frame.rip, 0x405000);
	EQ(sigreturn(), -EINTR);
	EQ(frame.rip, 0x401002);
	host_hook = NULL;
	action(10, SIG_DFL, 0, 0);
	CALL(close, p[0]);
	CALL(close, p[1]);
}

static long idle_gets(u64 nr, const u64 a[6], long *ret)
{
	if (nr != RS_CALL_IDLE && nr != __NR_ppoll)
		return 0;
	shared.pending = SIGBIT(10);
	*ret = nr == RS_CALL_IDLE ? 0 : -EINTR;
	return 1;
}

static long idle_stops(u64 nr, const u64 a[6], long *ret)
{
	if (nr != RS_CALL_IDLE && nr != RS_CALL_STOP)
		return 0;
	if (nr == RS_CALL_IDLE)
		shared.pending = SIGBIT(20);
	*ret = 0;
	return 1;
}

static void t_waits(void)
{
	u64 ts[2] = { 100, 0 }, rem[2] = { 0, 0 }, mask;
	u32 word = 5;
	struct k_siginfo info;

	action(10, 0x405000, SA_RESTART, 0);
	host_hook = idle_gets;
	call_on_stack(__NR_nanosleep, (u64[6]){ P(ts), P(rem) });
	EQ(sigreturn(), -EINTR);
	CHECK(rem[0] == 99 && rem[1] > 0);
	/* stopped and continued: it goes on, with what was left */
	CALL(rt_sigaction, 10, P((u64[4]){ 0 }), 0, 8);
	host_hook = idle_stops;
	ts[0] = 0, ts[1] = 50000000;
	call_on_stack(__NR_nanosleep, (u64[6]){ P(ts), P(rem) });
	EQ(frame.rax, __NR_restart_syscall);
	EQ(frame.rip, 0x401000);
	CHECK(self->sig->restart.fn);
	host_hook = NULL;
	ts[0] = 1000000; /* were it read again, it would not end */
	EQ(call_on_stack(__NR_restart_syscall, (u64[6]){ P(ts), P(rem) }), 0);
	CHECK(!self->sig->restart.fn);
	EQ(CALL(restart_syscall), -EINTR); /* nothing has been interrupted */
	host_hook = idle_gets;
	action(10, 0x405000, SA_RESTART, 0);
	call_on_stack(__NR_pause, (u64[6]){ 0 });
	EQ(sigreturn(), -EINTR);
	call_on_stack(__NR_poll, (u64[6]){ 0, 0, (u64)-1l });
	EQ(sigreturn(), -EINTR);
	/* blocked before, open during the wait, blocked again after the handler */
	mask = SIGBIT(10);
	CALL(rt_sigprocmask, 2, P(&mask), 0, 8);
	mask = 0;
	call_on_stack(__NR_rt_sigsuspend, (u64[6]){ P(&mask), 8 });
	EQ(frame.rip, 0x405000);
	EQ(sigreturn(), -EINTR);
	EQ(self->sig->blocked, SIGBIT(10));
	call_on_stack(__NR_ppoll, (u64[6]){ 0, 0, 0, P(&mask) });
	EQ(frame.rip == 0x405000, 0); /* size 0: EINVAL */
	EQ(frame.rax, -EINVAL);
	/* a wait for a blocked signal */
	mask = SIGBIT(10) | SIGBIT(17);
	EQ(CALL(rt_sigtimedwait, P(&mask), P(&info), 0, 8), 10);
	EQ(info.signo, 10);
	host_hook = NULL;
	ts[0] = 0, ts[1] = 1000000;
	EQ(CALL(rt_sigtimedwait, P(&mask), P(&info), P(ts), 8), -EAGAIN);
	mask = 0;
	CALL(rt_sigprocmask, 2, P(&mask), 0, 8);
	action(10, SIG_DFL, 0, 0);
	EQ(CALL(nanosleep, P(ts), 0), 0);
	ts[1] = 1000000000;
	EQ(CALL(nanosleep, P(ts), 0), -EINVAL);
	ts[1] = 1000;
	EQ(CALL(futex, P(&word), FUTEX_WAIT, 4, 0), -EAGAIN);
	EQ(CALL(futex, P(&word), FUTEX_WAIT, 5, P(ts)), -ETIMEDOUT);
	EQ(CALL(futex, P(&word), FUTEX_WAKE, 1), 0);
	EQ(CALL(futex, 8, FUTEX_WAIT, 5, 0), -EFAULT);
	EQ(CALL(futex, P(&word) + 1, FUTEX_WAIT, 5, 0), -EINVAL);
}

static void t_default_actions(void)
{
	EQ(CALL(kill, 4711, 15), -9999);
	EQ(died, 15);
	EQ(CALL(kill, 4711, 17), 0);
	EQ(CALL(kill, 4711, 0), 0);
	EQ(CALL(kill, 4712, 15), -ESRCH);
	EQ(CALL(kill, 4711, 65), -EINVAL);
	EQ(CALL(tgkill, 4711, 4712, 15), -ESRCH);
	shared.pending = SIGBIT(2);
	EQ(CALL(getpid), -9999);
	EQ(died, 2);
	drop_pending();
	EQ(CALL(exit_group, 300), -9999);
	EQ(exited, 44 << 8);
	self->fault =
		(struct fault_info){ .vector = 14, .sig = SIGSEGV, .code = 1, .addr = 0x1234 };
	action(11, SIG_IGN, 0, 0);
	if (!sigsetjmp(on_death, 0))
		signal_fault(&frame);
	EQ(died, SIGSEGV);
	action(11, 0x405000, 0, 0);
	frame.rsp = P(stack + 8000);
	frame.rip = 0x401000;
	if (!sigsetjmp(on_death, 0))
		signal_fault(&frame);
	EQ(frame.rip, 0x405000);
	EQ(*(u64 *)(frame.rsi + 16), 0x1234);
	EQ(*(u64 *)(frame.rdx + 40 + 176), 0x1234); /* cr2 in the context */
	self->sig->blocked = 0;
	action(11, SIG_DFL, 0, 0);
}

static void t_identity(void)
{
	u32 v[3];
	char name[16];

	EQ(CALL(getpid), 4711);
	EQ(CALL(getuid), 1000);
	EQ(CALL(setuid, 1000), 0);
	EQ(CALL(setuid, 0), -EPERM);
	EQ(CALL(getresuid, P(&v[0]), P(&v[1]), P(&v[2])), 0);
	EQ(v[2], 1000);
	EQ(CALL(prctl, 15, P("a long name of a thread")), 0);
	EQ(CALL(prctl, 16, P(name)), 0);
	CHECK(!strcmp(name, "a long name of "));
	EQ(CALL(prctl, 999, 0), -EINVAL);
	EQ(CALL(setsid), -EPERM);
	EQ(CALL(wait4, (u64)-1l, 0, 0, 0), -ECHILD);
	EQ(CALL(execve, P("/nope"), 0, 0), -ENOENT);
	EQ(CALL(sched_getaffinity, 0, 8, P(v)), 8);
	EQ(v[0], 1);
}

static size_t mem_read(void *ctx, void *dst, u64 va, size_t n)
{
	(void)ctx;
	if (!copyin(dst, va, n))
		return n;
	for (size_t i = 0;; i++)
		if (i == n || copyin((char *)dst + i, va + i, 1))
			return i;
}

static const char *line(u64 nr, const u64 *a, long ret)
{
	static const struct trace_memory mem = { .read = mem_read };
	static char buf[2048];
	struct textbuf t = TEXTBUF(buf);

	trace_format(&t, nr, a, ret, &mem);
	buf[min(t.len, sizeof(buf) - 1)] = 0;
	return buf;
}

#define LINE(want, ret, name, ...)                                                  \
	do {                                                                        \
		const char *got_ = line(__NR_##name, (u64[6]){ __VA_ARGS__ }, ret); \
		if (strcmp(got_, want "\n")) {                                      \
			printf("# is   %s# want %s\n", got_, want);                 \
			ok = false;                                                 \
		}                                                                   \
	} while (0)

static void t_trace_process_lines(void)
{
	u64 ts[2] = { 1, 500 }, set = SIGBIT(17) | SIGBIT(34), most = ~(SIGBIT(2) | SIGBIT(15));
	u64 act[4] = { 0x405000, SA_RESTORER | SA_RESTART, 0x402000, SIGBIT(2) };
	u64 c3[8] = { 0x3d0f00, 0, 0, 0, 0, 0x7000, 0x1000, 0x1234 };
	struct {
		int status;
		const char *text;
	} ends[] = {
		{ 3 << 8, "[{WIFEXITED(s) && WEXITSTATUS(s) == 3}]" },
		{ 15, "[{WIFSIGNALED(s) && WTERMSIG(s) == SIGTERM}]" },
		{ 20 << 8 | 0x7f, "[{WIFSTOPPED(s) && WSTOPSIG(s) == SIGTSTP}]" },
		{ 0xffff, "[{WIFCONTINUED(s)}]" },
	};
	struct k_siginfo info = { .signo = 17, .code = 1, .pid = 5, .uid = 7, .value = 3 };
	char text[256];
	struct textbuf t;
	unsigned int i;

	LINE("clone(CLONE_CHILD_CLEARTID|CLONE_CHILD_SETTID|SIGCHLD, NULL, NULL, 0x7000) = 5", 5,
	     clone, 0x1200011, 0, 0, 0x7000, 0);
	LINE("clone(CLONE_VM|CLONE_VFORK|SIGCHLD, 0x7000, NULL) = 5", 5, clone, 0x4111, 0x7000);
	LINE("clone(SIGCHLD, NULL, NULL) = -1 EAGAIN (Resource temporarily unavailable)", -EAGAIN,
	     clone, 17);
	LINE("clone3({flags=CLONE_VM|CLONE_FS|CLONE_FILES|CLONE_SIGHAND|CLONE_THREAD|CLONE_SYSVSEM|"
	     "CLONE_SETTLS|CLONE_PARENT_SETTID|CLONE_CHILD_CLEARTID, exit_signal=0, stack=0x7000, "
	     "stack_size=0x1000, tls=0x1234}, 64) = 6", 6, clone3, P(c3), 64);
	LINE("fork() = 7", 7, fork, 0);
	LINE("vfork() = 7", 7, vfork, 0);
	for (i = 0; i < ARRAY_SIZE(ends); i++) {
		rs_snprintf(text, sizeof(text), "wait4(-1, %s, WNOHANG|WUNTRACED, NULL) = 5\n",
			    ends[i].text);
		CHECK(!strcmp(text, line(__NR_wait4, (u64[6]){ (u64)-1l, P(&ends[i].status), 3 },
					 5)));
	}
	LINE("wait4(-1, 0x1000, 0, NULL) = -1 ECHILD (No child processes)", -ECHILD, wait4,
	     (u64)-1l, 0x1000, 0, 0);
	LINE("waitid(P_PID, 5, NULL, WEXITED|WNOWAIT, NULL) = 0", 0, waitid, 1, 5, 0, 0x01000004, 0);
	LINE("futex(0x1000, FUTEX_WAKE|FUTEX_PRIVATE_FLAG, 1) = 0", 0, futex, 0x1000, 129, 1);
	LINE("futex(0x1000, FUTEX_WAIT, 2, {tv_sec=1, tv_nsec=500}) = -1 ETIMEDOUT (Connection "
	     "timed out)", -ETIMEDOUT, futex, 0x1000, 0, 2, P(ts));
	LINE("futex(0x1000, FUTEX_WAIT_BITSET|FUTEX_CLOCK_REALTIME, 2, NULL, NULL, "
	     "FUTEX_BITSET_MATCH_ANY) = 0", 0, futex, 0x1000, 0x109, 2, 0, 0, ~0u);
	LINE("futex(0x1000, FUTEX_CMP_REQUEUE, 1, 2147483647, 0x2000, 4) = 0", 0, futex, 0x1000, 4,
	     1, 2147483647, 0x2000, 4);
	LINE("rt_sigprocmask(SIG_BLOCK, [CHLD RT_2], NULL, 8) = 0", 0, rt_sigprocmask, 0, P(&set), 0,
	     8);
	LINE("rt_sigprocmask(SIG_SETMASK, ~[INT TERM], [CHLD RT_2], 8) = 0", 0, rt_sigprocmask, 2,
	     P(&most), P(&set), 8);
	LINE("rt_sigaction(SIGINT, {sa_handler=0x405000, sa_mask=[INT], "
	     "sa_flags=SA_RESTORER|SA_RESTART, sa_restorer=0x402000}, NULL, 8) = 0", 0, rt_sigaction,
	     2, P(act), 0, 8);
	LINE("nanosleep({tv_sec=1, tv_nsec=500}, NULL) = 0", 0, nanosleep, P(ts), 0);
	LINE("nanosleep(0x10, NULL) = -1 EFAULT (Bad address)", -EFAULT, nanosleep, 0x10, 0);
	LINE("prctl(PR_SET_NAME, \"worker\") = 0", 0, prctl, 15, P("worker"));
	LINE("tgkill(5, 6, SIGUSR1) = 0", 0, tgkill, 5, 6, 10);
	t = (struct textbuf)TEXTBUF(text);
	trace_siginfo(&t, &info);
	CHECK(!strcmp(text, "--- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=5, si_uid=7, "
			    "si_status=3} ---\n"));
	info = (struct k_siginfo){ .signo = 11, .code = 1, .addr = 0x10 };
	t = (struct textbuf)TEXTBUF(text);
	trace_siginfo(&t, &info);
	CHECK(!strcmp(text, "--- SIGSEGV {si_signo=SIGSEGV, si_code=SEGV_MAPERR, si_addr=0x10} ---"
			    "\n"));
	info = (struct k_siginfo){ .signo = 34, .code = SI_QUEUE, .pid = 5, .uid = 7, .value = 9 };
	t = (struct textbuf)TEXTBUF(text);
	trace_siginfo(&t, &info);
	CHECK(!strcmp(text, "--- SIGRT_2 {si_signo=SIGRT_2, si_code=SI_QUEUE, si_pid=5, si_uid=7, "
			    "si_value=0x9} ---\n"));
}

static void t_trace_lines(void)
{
	char *p = bad_page(), *hole = p + 2 * PIECE;
	char *argv[] = { "ls", "-l", NULL }, *envp[] = { "A=1", NULL };
	u64 iov[4] = { P("abc"), 3, P("de"), 2 };

	LINE("openat(AT_FDCWD, \"/etc/passwd\", O_RDONLY|O_CLOEXEC) = 3", 3, openat, (u64)AT_FDCWD,
	     P("/etc/passwd"), O_RDONLY | O_CLOEXEC, 0);
	LINE("openat(5, \"x\", O_WRONLY|O_CREAT|O_TRUNC, 0644) = -1 EACCES (Permission denied)",
	     -EACCES, openat, 5, P("x"), 01101, 0644);
	LINE("open(\"/nope\", O_RDONLY) = -1 ENOENT (No such file or directory)", -ENOENT, open,
	     P("/nope"), 0);
	LINE("read(0, \"abc\", 10) = 3", 3, read, 0, P("abc"), 10);
	LINE("read(0, NULL, 10) = -1 EFAULT (Bad address)", -EFAULT, read, 0, 0, 10);
	LINE("write(1, \"a\\nb\", 3) = 3", 3, write, 1, P("a\nb"), 3);
	LINE("write(1, \"01234567890123456789012345678901\"..., 40) = 40", 40, write, 1,
	     P("0123456789012345678901234567890123456789"), 40);
	LINE("close(3) = 0", 0, close, 3);
	LINE("getpid() = 4711", 4711, getpid, 0);
	LINE("brk(NULL) = 0x5555000", 0x5555000, brk, 0);
	LINE("exit_group(0) = ?", TRACE_NO_RETURN, exit_group, 0);
	LINE("execve(\"/bin/ls\", [\"ls\", \"-l\"], NULL) = ?", TRACE_NO_RETURN, execve,
	     P("/bin/ls"), P(argv), 0);
	LINE("writev(1, [{iov_base=\"abc\", iov_len=3}, {iov_base=\"de\", iov_len=2}], 2) = 5", 5,
	     writev, 1, P(iov), 2);
	LINE("readv(1, [{iov_base=\"abc\", iov_len=3}, {iov_base=\"d\", iov_len=2}], 2) = 4", 4,
	     readv, 1, P(iov), 2);
	LINE("access(NULL, F_OK) = -1 EFAULT (Bad address)", -EFAULT, access, 0, 0);
	LINE("access(\"x\", R_OK|X_OK) = 0", 0, access, P("x"), 5);
	LINE("lseek(3, -5, SEEK_END) = 5", 5, lseek, 3, (u64)-5l, 2);
	LINE("kill(5, SIGTERM) = 0", 0, kill, 5, 15);
	LINE("fcntl(3, F_GETFD) = 1", 1, fcntl, 3, F_GETFD);
	LINE("fcntl(3, F_SETFD, FD_CLOEXEC) = 0", 0, fcntl, 3, F_SETFD, 1);
	LINE("ioctl(1, TCGETS, 0x1000) = -1 ENOTTY (Inappropriate ioctl for device)", -ENOTTY,
	     ioctl, 1, TCGETS, 0x1000);
	LINE("mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7000",
	     0x7000, mmap, 0, 4096, 3, 0x22, (u64)-1l, 0);
	t_trace_process_lines();
	LINE("read(0, 0x10, 5) = ? (interrupted by a signal)", -ERESTARTSYS, read, 0, 0x10, 5);
	LINE("rseq(0, 0, 0) = -1 ENOSYS (Function not implemented)", -ENOSYS, rseq, 0);
	LINE("mount(0, 0, 0) = -1 EPERM (Operation not permitted)", -EPERM, mount, 0);
	memcpy(hole - 3, "abc", 3);
	CHECK(strstr(line(__NR_access, (u64[6]){ P(hole - 3), 0 }, 0),
		     "access(\"abc\"..., F_OK) = 0"));
	CHECK(strstr(line(__NR_execve, (u64[6]){ P("x"), P(argv), P(envp) }, -ENOENT),
		     "/* 1 var */) = -1 ENOENT"));
	/* a line that does not fit keeps its result */
	char small[128];
	struct textbuf t = TEXTBUF(small);
	static const struct trace_memory mem = { .read = mem_read };

	trace_format(
		&t, __NR_write,
		(u64[6]){ 1, P("\1\2\3\4\1\2\3\4\1\2\3\4\1\2\3\4\1\2\3\4\1\2\3\4\1\2\3\4\1\2\3\4"),
			  32 },
		32, &mem);
	small[min(t.len, sizeof(small) - 1)] = 0;
	CHECK(strstr(small, "...) = 32\n"));
	syscall(__NR_munmap, p, 2 * PIECE);
}

static void t_table(void)
{
	unsigned int nr, i;

	for (nr = 0; nr < RS_NR_SYSCALLS; nr++) {
		const struct rs_sysrow *r = &rs_sysrows[nr];

		CHECK(!!syscall_name(nr) == (r->class != RS_CLASS_NONE));
		for (i = 0; i < 6; i++) {
			u32 k = RS_ARG_KIND(r->arg[i]), p = RS_ARG_PARAM(r->arg[i]);

			/* A length is an argument that is there. */
			if (k == RS_A_BUFIN || k == RS_A_BUFOUT || k == RS_A_IOVIN ||
			    k == RS_A_IOVOUT || k == RS_A_BLKIN || k == RS_A_ADDR)
				CHECK(p < 6 && (RS_ARG_KIND(r->arg[p]) == RS_A_UINT ||
						RS_ARG_KIND(r->arg[p]) == RS_A_INT));
			if (k == RS_A_BLKOUTP)
				CHECK(p < 6 && RS_ARG_KIND(r->arg[p]) == RS_A_LENP);
			if (k == RS_A_IN || k == RS_A_OUT || k == RS_A_INOUT)
				CHECK(p > 0 && p <= 390);
		}
	}
}

static void t_sigframe_position(void)
{
	u64 at, fp;

	CHECK(sigframe_position(0x7fff0000, 836, 440, &at, &fp) && (fp & 63) == 0 &&
	      (at & 15) == 8 && at + 440 <= fp && fp + 836 <= 0x7fff0000);
	CHECK(!sigframe_position(100, 836, 440, &at, &fp));
	CHECK(!sigframe_position(0, 836, 440, &at, &fp));
	CHECK(!sigframe_position(0xffff800000000000, 836, 440, &at, &fp));
	CHECK(!sigframe_position((u64)-1, 836, 440, &at, &fp));
}

static const struct {
	const char *name;
	void (*fn)(void);
} tests[] = {
#define T(n)              \
	{                 \
#n, t_##n \
	}
	T(table),
	T(files),
	T(bad_pointers),
	T(path_length),
	T(descriptors),
	T(poll),
	T(epoll),
	T(sockets),
	T(terminal_and_ioctl),
	T(proc_names),
	T(refused_and_unknown),
	T(handler_and_return),
	T(hostile_frames),
	T(altstack),
	T(restart),
	T(waits),
	T(default_actions),
	T(identity),
	T(trace_lines),
	T(sigframe_position),
};

static void run_tests(void)
{
	long before;

	self = current();
	proc = self->proc;
	printf("TAP version 13\n1..%zu\n", ARRAY_SIZE(tests));
	path_buffer(0);
	call_on_stack(__NR_getpid, (u64[6]){ 0 });
	for (number = 0; number < (int)ARRAY_SIZE(tests); number++) {
		before = number > 11 ? live_objects : 0;
		ok = true;
		tests[number].fn();
		drop_pending();
		self->sig->blocked = 0;
		/* Objects the first use leaves (a CPU's buffers) are made by then. */
		if (before && number > 12 && live_objects != before) {
			printf("# leaves %ld objects\n", live_objects - before);
			ok = false;
		}
		printf("%s %d - %s\n", ok ? "ok" : "not ok", number + 1, tests[number].name);
		failed |= !ok;
		fflush(stdout);
	}
	exit(failed);
}

void floor_user(struct thread *t)
{
	(void)t;
	rs_panic("ring 3 is not what is tested here");
}

int main(void)
{
	signal(SIGPIPE, (void (*)(int))SIG_IGN); /* as the host process does */
	floor_init();
	floor_run(run_tests);
}
