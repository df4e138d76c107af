// SPDX-License-Identifier: MIT
/*
 * inject_test.c - no memory, at each place in turn
 *
 * For each operation below and for n = 1, 2, 3, ... a process is forked whose n-th allocation in the guest kernel fails (RS_SYS_INJECT), until
 * the operation gets by with fewer. What may come of a failure:
 *
 *	an error	ENOMEM or EAGAIN, and nothing has changed: the operation is done once more, without failures, and must succeed
 *	a death		SIGKILL of the process whose fault it was, never another one
 *	nothing		the kernel could do without
 *
 * Each operation is tried "cold", right after the fork, so that the process's own stack and data are copied on write underneath it, and
 * "warm", after it has succeeded once, so that little but its own allocations is left. The suite compares what is in use at the end with a
 * run that fails nothing (rs-inject-test plain).
 *
 * Prints TAP, and at the end how many processes died: as many reports must have been printed. Only in the ring, with --debug.
 * usage: rs-inject-test [plain] | rs-inject-test nop; RS_EVERY=N in the environment: not each place, but each N-th
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <ringside_app.h>

#define PAGE	4096UL
#define AREA	64		/* pages */
#define DEAD	(-1)		/* a process the operation made has died of a fault */
#define WRONG	(-2)

extern char **environ;
static char *area;		/* written by the first process: copied on write in the others */
static char *self;
static const char *what;	/* failed, for the message */

#define FAIL() do { what = __func__; return WRONG; } while (0)
#define CALL(x) do { if ((x) == -1) return errno; } while (0)

static long inject(unsigned long n)
{
	return syscall(RS_SYS_INJECT, n);
}

/* What became of child @pid: 0, DEAD, an errno it ended with, WRONG. */
static int child_end(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		FAIL();
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGKILL ? DEAD : WRONG;
	if (WEXITSTATUS(status) == 255)
		FAIL();
	return WEXITSTATUS(status);
}

/* --- processes and threads -------------------------------------------------------------------------------------------- */

static int o_fork(void)
{
	pid_t pid = fork();

	CALL(pid);
	if (!pid)
		_exit(getpid() == (pid_t)syscall(SYS_getpid) ? 0 : 255);
	return child_end(pid);
}

static int o_fork_raw(void)
{
	pid_t pid = syscall(SYS_fork);

	CALL(pid);
	if (!pid)
		syscall(SYS_exit, 0);
	return child_end(pid);
}

static int o_vfork_exec(void)
{
	char *const argv[] = { self, "nop", NULL };
	pid_t pid = vfork();

	CALL(pid);
	if (!pid) {
		execve(self, argv, environ);
		_exit(errno);
	}
	return child_end(pid);
}

static int o_fork_exec_script(void)
{
	char *const argv[] = { "./inject.sh", "nop", NULL };
	pid_t pid = fork();

	CALL(pid);
	if (!pid) {
		execve("./inject.sh", argv, environ);
		_exit(errno);
	}
	return child_end(pid);
}

/* The descriptors are the parent's, too, until the program is there. */
static int o_exec_shared_files(void)
{
	char *const argv[] = { self, "nop", NULL };
	pid_t pid = syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL);

	CALL(pid);
	if (!pid) {
		execve(self, argv, environ);
		_exit(errno);
	}
	return child_end(pid);
}

static void *executes(void *arg)
{
	char *const argv[] = { self, "nop", NULL };

	(void)arg;
	execve(self, argv, environ);
	_exit(errno);
}

/* The other threads go, and only then is it certain. */
static int o_exec_from_thread(void)
{
	static char stack[64 * 1024] __attribute__((aligned(4096)));
	pthread_attr_t attr;
	pthread_t t;
	pid_t pid = fork();
	int err;

	CALL(pid);
	if (!pid) {
		pthread_attr_init(&attr);
		pthread_attr_setstack(&attr, stack, sizeof(stack));
		err = pthread_create(&t, &attr, executes, NULL);
		if (err)
			_exit(err);
		pause();
		_exit(255);
	}
	return child_end(pid);
}

static int o_exec_many_args(void)
{
	static char arg[3000];
	char *argv[20] = { self, "nop" };
	pid_t pid;

	memset(arg, 'a', sizeof(arg) - 1);
	for (int i = 2; i < 19; i++)
		argv[i] = arg;
	pid = vfork();
	CALL(pid);
	if (!pid) {
		execve(self, argv, environ);
		_exit(errno);
	}
	return child_end(pid);
}

static int o_posix_spawn(void)
{
	char *const argv[] = { self, "nop", NULL };
	pid_t pid;
	int err = posix_spawn(&pid, self, NULL, NULL, argv, environ);

	return err ? err : child_end(pid);
}

static void *thread(void *arg)
{
	return arg;
}

static int o_pthread(void)
{
	static char stack[64 * 1024] __attribute__((aligned(4096)));
	pthread_attr_t attr;
	pthread_t t;
	void *ret;
	int err;

	pthread_attr_init(&attr);
	pthread_attr_setstack(&attr, stack, sizeof(stack));
	err = pthread_create(&t, &attr, thread, stack);
	if (err)
		return err;
	if (pthread_join(t, &ret) || ret != stack)
		FAIL();
	return 0;
}

static int o_pthread_own_stack(void)
{
	pthread_t t;
	int err = pthread_create(&t, NULL, thread, NULL);

	if (err)
		return err;
	return pthread_join(t, NULL) ? WRONG : 0;
}

/* --- memory ----------------------------------------------------------------------------------------------------------- */

static int o_mmap_anon(void)
{
	char *p = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return errno;
	return munmap(p, 3 * PAGE) ? errno : 0;
}

static int o_mmap_populate(void)
{
	char *p = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (p == MAP_FAILED)
		return errno;
	return munmap(p, 8 * PAGE) ? errno : 0;
}

static int o_mmap_shared(void)
{
	char *p = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid;
	int ret;

	if (p == MAP_FAILED)
		return errno;
	p[0] = 1;
	pid = fork();
	if (pid == -1) {
		ret = errno;
		munmap(p, 3 * PAGE);
		return ret;
	}
	if (!pid) {
		p[PAGE] = 2;
		_exit(0);
	}
	ret = child_end(pid);
	if (!ret && p[PAGE] != 2)
		FAIL();
	munmap(p, 3 * PAGE);
	return ret;
}

static int map_file(int flags)
{
	int fd = open(self, O_RDONLY), ret = 0;
	char *p;

	CALL(fd);
	p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, flags, fd, 0);
	if (p == MAP_FAILED) {
		ret = errno;
	} else {
		if (memcmp(p, "\177ELF", 4))
			ret = WRONG;
		p[PAGE] = 1;
		if (munmap(p, 4 * PAGE))
			ret = errno;
	}
	close(fd);
	return ret;
}

static int o_mmap_file_private(void) { return map_file(MAP_PRIVATE); }

static int o_mmap_file_shared(void)
{
	int fd = open("inject.data", O_RDWR), ret = 0;
	char *p;

	CALL(fd);
	p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED) {
		ret = errno;
	} else {
		p[1] = p[0] + 1;
		if (msync(p, PAGE, MS_SYNC) || munmap(p, 2 * PAGE))
			ret = errno;
	}
	close(fd);
	return ret;
}

static int o_mmap_fixed_over(void)
{
	char *p = mmap(area + 8 * PAGE, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	if (p == MAP_FAILED)
		return errno;
	return p == area + 8 * PAGE && area[7 * PAGE] == 7 && area[10 * PAGE] == 10 ? 0 : WRONG;
}

static int o_munmap_hole(void)
{
	CALL(munmap(area + 20 * PAGE, 2 * PAGE));
	CALL(mmap(area + 20 * PAGE, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED ? -1 : 0);
	return area[19 * PAGE] == 19 && area[22 * PAGE] == 22 ? 0 : WRONG;
}

static int o_mprotect_split(void)
{
	int ret = 0;

	if (mprotect(area + 30 * PAGE, PAGE, PROT_READ))
		ret = errno;
	if (area[30 * PAGE] != 30 || area[29 * PAGE] != 29)
		FAIL();
	if (mprotect(area + 30 * PAGE, PAGE, PROT_READ | PROT_WRITE))
		ret = errno;
	return ret;
}

static int o_mremap(void)
{
	size_t n = 4 * PAGE, big = 700 * PAGE;
	char *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *q;
	int ret = 0;

	if (p == MAP_FAILED)
		return errno;
	for (int i = 0; i < 4; i++)
		p[i * PAGE] = i + 1;
	q = mremap(p, n, big, MREMAP_MAYMOVE);
	if (q == MAP_FAILED) {
		ret = errno;
		q = p;
		big = n;
	}
	for (int i = 0; i < 4; i++)
		if (q[i * PAGE] != i + 1)
			FAIL();
	return munmap(q, big) ? errno : ret;
}

static int o_mremap_fixed(void)
{
	char *to = mmap(NULL, 4 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *p, *at;
	int ret = 0;

	if (to == MAP_FAILED)
		return errno;
	p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED) {
		ret = errno;
		munmap(to, 4 * PAGE);
		return ret;
	}
	p[PAGE] = 9;
	at = mremap(p, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to + PAGE);
	if (at == MAP_FAILED) {
		ret = errno;
		at = p;
	}
	if (at[PAGE] != 9)
		FAIL();
	if (munmap(at, 2 * PAGE))
		ret = errno;
	if (munmap(to, 4 * PAGE))
		ret = errno;
	return ret;
}

static int o_mremap_file(void)
{
	int fd = open("inject.data", O_RDWR), ret = 0;
	size_t len = PAGE;
	char *p, *q;

	CALL(fd);
	p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED) {
		ret = errno;
	} else {
		p[PAGE - 1] = 5;
		q = mremap(p, len, 2 * PAGE, MREMAP_MAYMOVE);
		if (q == MAP_FAILED) {
			ret = errno;
		} else {
			p = q;
			len = 2 * PAGE;
			p[PAGE] = 1;
		}
		if (p[PAGE - 1] != 5)
			ret = WRONG;
		munmap(p, len);
	}
	close(fd);
	return ret;
}

/* Whatever fails, the written page is there, and the others are the file's. */
static int o_mremap_file_private(void)
{
	int fd = open("inject.data", O_RDWR), ret = 0;
	size_t len = PAGE;
	char *p, *q;

	CALL(fd);
	p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	close(fd);
	if (p == MAP_FAILED)
		return errno;
	p[1] = 6;
	q = mremap(p, len, 2 * PAGE, MREMAP_MAYMOVE);
	if (q == MAP_FAILED) {
		ret = errno;
	} else {
		p = q;
		len = 2 * PAGE;
		if (p[PAGE + 5])
			ret = WRONG;
		p[PAGE] = 1;
	}
	if (p[1] != 6)
		ret = WRONG;
	munmap(p, len);
	return ret;
}

static int o_mremap_dontunmap(void)
{
	char *p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *q;
	int ret = 0;

	if (p == MAP_FAILED)
		return errno;
	p[PAGE] = 3;
	q = mremap(p, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
	if (q == MAP_FAILED) {
		ret = errno;
		if (p[PAGE] != 3)
			FAIL();
	} else {
		if (q[PAGE] != 3 || p[PAGE])
			FAIL();
		munmap(q, 2 * PAGE);
	}
	munmap(p, 2 * PAGE);
	return ret;
}

static int o_mlock(void)
{
	char *p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int ret = 0;

	if (p == MAP_FAILED)
		return errno;
	if (mlock(p, 4 * PAGE))
		ret = errno;
	munmap(p, 4 * PAGE);
	return ret;
}

static int o_madvise(void)
{
	CALL(madvise(area + 40 * PAGE, PAGE, MADV_DONTNEED));
	return area[39 * PAGE] == 39 && area[40 * PAGE] == 0 ? 0 : WRONG;
}

static int o_fork_marks(void)
{
	int ret = 0;

	if (madvise(area + 50 * PAGE, PAGE, MADV_WIPEONFORK) || madvise(area + 52 * PAGE, PAGE, MADV_DONTFORK))
		ret = errno;
	if (!ret)
		ret = o_fork();
	if (madvise(area + 50 * PAGE, PAGE, MADV_KEEPONFORK) || madvise(area + 52 * PAGE, PAGE, MADV_DOFORK))
		ret = ret ? ret : errno;
	return ret;
}

static int o_brk(void)
{
	char *now = (char *)syscall(SYS_brk, 0), *p = now + 5 * PAGE;

	if ((char *)syscall(SYS_brk, p) != p)
		return ENOMEM;
	now[2 * PAGE] = 1;
	return (char *)syscall(SYS_brk, now) == now ? 0 : ENOMEM;
}

static int o_cow_fault(void)
{
	for (int i = 0; i < AREA; i += 5) {
		if (area[i * PAGE] != i && i != 40)
			FAIL();
		area[i * PAGE + 1] = 1;
	}
	return 0;
}

static int o_zero_fill(void)
{
	static char far[4 * 1024 * 1024];
	static int at;

	at = (at + 1) % 4;
	for (int i = 0; i < 4; i++)
		far[(i * 256 + at) * PAGE] += 1;
	return 0;
}

static int grow_stack(int n)
{
	volatile char room[8 * PAGE];

	room[0] = n;
	room[4 * PAGE] = n;
	return n ? grow_stack(n - 1) + room[0] : 0;
}

static int o_stack_growth(void)
{
	return grow_stack(20) ? 0 : WRONG;
}

static int o_shared_fault(void)
{
	char *p = mmap(NULL, 600 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return errno;
	p[0] = p[599 * PAGE] = 1;
	return munmap(p, 600 * PAGE) ? errno : 0;
}

/* Memory that only the kernel touches: its copies fail then, not a fault. */
static int o_read_untouched(void)
{
	char *p = mmap(NULL, 20 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = open(self, O_RDONLY), ret = 0;

	if (p == MAP_FAILED || fd < 0)
		ret = errno;
	else if (read(fd, p + 100, 10 * PAGE) < 0 || fstat(fd, (struct stat *)(p + 12 * PAGE - 50)) ||
		 getrlimit(RLIMIT_NOFILE, (struct rlimit *)(p + 15 * PAGE)))
		ret = errno;
	if (p != MAP_FAILED)
		munmap(p, 20 * PAGE);
	if (fd >= 0)
		close(fd);
	return ret;
}

static int reader_fd;

static void *reader(void *arg)
{
	return (void *)(read(reader_fd, (char *)arg + 10, 2 * PAGE) == 3 ? 0 : 1l);
}

/* A thread is in a call whose data the host writes where it is told to; fork gives the child pages of its own there. */
static int o_fork_with_reader(void)
{
	static char stack[64 * 1024] __attribute__((aligned(4096)));
	static char buf[3 * PAGE] __attribute__((aligned(4096)));
	pthread_attr_t attr;
	void *result = NULL;
	pthread_t t;
	int s[2], ret;

	memset(buf, 1, sizeof(buf));
	CALL(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	reader_fd = s[0];
	pthread_attr_init(&attr);
	pthread_attr_setstack(&attr, stack, sizeof(stack));
	ret = pthread_create(&t, &attr, reader, buf);
	if (!ret) {
		for (int i = 0; i < 20; i++)
			sched_yield();
		ret = o_fork();
		buf[0] = 2;
		while (write(s[1], "abc", 3) != 3)
			ret = errno;
		pthread_join(t, &result);
		/* The reader may have been the one that got no memory. */
		if (!result && memcmp(buf + 10, "abc", 3))
			ret = WRONG;
		else if (result && !ret)
			ret = ENOMEM;
	}
	close(s[0]), close(s[1]);
	return ret;
}

/* --- descriptors ------------------------------------------------------------------------------------------------------ */

static int pair_works(int fd[2])
{
	char c = 'x';

	if (write(fd[1], &c, 1) != 1 || read(fd[0], &c, 1) != 1)
		return errno;
	return c == 'x' ? 0 : WRONG;
}

static int o_pipe(void)
{
	int fd[2], ret;

	CALL(pipe(fd));
	ret = pair_works(fd);
	close(fd[0]), close(fd[1]);
	return ret;
}

static char bulk[100 * 1024], bulk_back[sizeof(bulk)];

/* What a pipe takes it gives back, in order, however much that is. */
static int o_pipe_bulk(void)
{
	int fd[2], ret = 0;
	ssize_t n, m;

	for (size_t i = 0; i < sizeof(bulk); i++)
		bulk[i] = (char)(i * 13 + (i >> 10));
	CALL(pipe2(fd, O_NONBLOCK));
	if (fcntl(fd[0], F_SETPIPE_SZ, 256 * 1024) < 0)
		ret = errno;
	n = write(fd[1], bulk, sizeof(bulk));
	if (n < 0) {
		ret = errno;
	} else {
		for (ssize_t done = 0; done < n; done += m) {
			m = read(fd[0], bulk_back + done, n - done);
			if (m < 0 && errno == ENOMEM)
				m = 0, ret = ENOMEM;
			else if (m <= 0)
				FAIL();
		}
		if (memcmp(bulk, bulk_back, n))
			FAIL();
	}
	close(fd[0]), close(fd[1]);
	return ret;
}

/* A pipe that the host is needed for takes along what is in it; when it cannot, that stays. */
static int o_pipe_to_host(void)
{
	int fd[2], file = open(self, O_RDONLY), ret = 0;
	char text[6000], back[10000];
	ssize_t n = 0, m, all;
	off_t at = 0;

	CALL(file);
	if (pipe(fd)) {
		ret = errno;
		close(file);
		return ret;
	}
	memset(text, 'p', sizeof(text));
	m = write(fd[1], text, sizeof(text));
	if (m < 0)
		ret = errno;
	else
		n = m;
	if (!ret) {
		m = sendfile(fd[1], file, &at, 4);
		if (m < 0)
			ret = errno;
		all = n + (m < 0 ? 0 : m);
		for (ssize_t done = 0; done < all; done += m) {
			m = read(fd[0], back + done, sizeof(back) - done);
			if (m < 0 && errno == ENOMEM)
				m = 0, ret = ENOMEM;
			else if (m <= 0)
				FAIL();
		}
		if (memcmp(back, text, n) || memcmp(back + n, "\177ELF", all - n))
			FAIL();
	}
	close(fd[0]), close(fd[1]), close(file);
	return ret;
}

static int o_eventfd(void)
{
	int fd = eventfd(3, 0), ret = 0;
	uint64_t v;

	CALL(fd);
	if (read(fd, &v, 8) != 8)
		ret = errno;
	else if (v != 3)
		ret = WRONG;
	close(fd);
	return ret;
}

static int o_poll_mixed(void)
{
	struct pollfd p[3];
	int fd[2], s[2], ret = 0, n;

	CALL(pipe(fd));
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, s)) {
		ret = errno;
		close(fd[0]), close(fd[1]);
		return ret;
	}
	p[0] = (struct pollfd){ .fd = fd[0], .events = POLLIN };
	p[1] = (struct pollfd){ .fd = s[0], .events = POLLIN };
	p[2] = (struct pollfd){ .fd = fd[1], .events = POLLOUT };
	n = poll(p, 3, 1000);
	if (n < 0)
		ret = errno;
	else if (n != 1 || !(p[2].revents & POLLOUT))
		ret = WRONG;
	close(fd[0]), close(fd[1]), close(s[0]), close(s[1]);
	return ret;
}

static int o_socketpair(void)
{
	int fd[2], ret;

	CALL(socketpair(AF_UNIX, SOCK_STREAM, 0, fd));
	ret = pair_works(fd);
	close(fd[0]), close(fd[1]);
	return ret;
}

static int o_open(void)
{
	int fd = open("inject.data", O_RDONLY);

	CALL(fd);
	return close(fd) ? errno : 0;
}

static int o_open_maps(void)
{
	static char buf[4096];
	int fd = open("/proc/self/maps", O_RDONLY), ret = 0;

	CALL(fd);
	if (read(fd, buf, sizeof(buf)) <= 0)
		ret = errno ? errno : WRONG;
	close(fd);
	return ret;
}

static int o_dup_growth(void)
{
	int fd = fcntl(0, F_DUPFD, 900);

	CALL(fd);
	close(fd);
	CALL(dup2(0, 700) == 700 ? 0 : -1);
	return close(700) ? errno : 0;
}

static int o_names(void)
{
	static char buf[PATH_MAX];
	struct stat st;

	CALL(stat("inject.data", &st));
	CALL(readlink("/proc/self/exe", buf, sizeof(buf)));
	CALL(chdir("."));
	return getcwd(buf, sizeof(buf)) ? 0 : errno;
}

static int o_readv(void)
{
	static char buf[64][8192];
	struct iovec v[64];
	int fd = open(self, O_RDONLY), ret = 0;

	CALL(fd);
	for (int i = 0; i < 64; i++)
		v[i] = (struct iovec){ buf[i] + 4000, 200 };
	if (readv(fd, v, 64) < 0)
		ret = errno;
	close(fd);
	return ret;
}

static int o_poll(void)
{
	struct pollfd p[200];

	for (int i = 0; i < 200; i++)
		p[i] = (struct pollfd){ .fd = 0, .events = POLLIN };
	CALL(poll(p, 200, 0));
	return 0;
}

static int o_epoll(void)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int fd[2], ep, ret = 0;

	CALL(pipe(fd));
	ep = epoll_create1(0);
	if (ep < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, fd[0], &ev) || epoll_wait(ep, &ev, 1, 0) < 0)
		ret = errno;
	if (ep >= 0)
		close(ep);
	close(fd[0]), close(fd[1]);
	return ret;
}

/* --- signals and time ------------------------------------------------------------------------------------------------- */

static volatile int caught;

static void on_signal(int sig)
{
	caught = sig;
}

static int o_sigaction(void)
{
	struct sigaction sa = { .sa_handler = on_signal };

	caught = 0;
	CALL(sigaction(SIGUSR1, &sa, NULL));
	CALL(raise(SIGUSR1));
	return caught == SIGUSR1 ? 0 : WRONG;
}

static int o_altstack(void)
{
	stack_t ss = { .ss_size = 16 * PAGE }, off = { .ss_flags = SS_DISABLE };
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_ONSTACK };
	int ret = 0;

	ss.ss_sp = mmap(NULL, ss.ss_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (ss.ss_sp == MAP_FAILED)
		return errno;
	caught = 0;
	if (sigaltstack(&ss, NULL) || sigaction(SIGUSR2, &sa, NULL) || raise(SIGUSR2))
		ret = errno;
	else if (caught != SIGUSR2)
		ret = WRONG;
	sigaltstack(&off, NULL);
	munmap(ss.ss_sp, ss.ss_size);
	return ret;
}

static int o_rt_queue(void)
{
	sigset_t set, old;
	int ret = 0, n = 0;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 1);
	sigprocmask(SIG_BLOCK, &set, &old);
	for (int i = 0; i < 60 && !ret; i++) {
		if (sigqueue(getpid(), SIGRTMIN + 1, (union sigval){ .sival_int = i }))
			ret = errno;
		else
			n++;
	}
	for (int i = 0; i < n; i++) {
		siginfo_t si;

		if (sigwaitinfo(&set, &si) != SIGRTMIN + 1 || si.si_value.sival_int != i)
			ret = ret ? ret : errno == ENOMEM ? ENOMEM : WRONG;
	}
	sigprocmask(SIG_SETMASK, &old, NULL);
	return ret;
}

static int o_timer(void)
{
	struct itimerval it = { .it_value.tv_usec = 1000 };
	struct timespec ts = { .tv_nsec = 1000 };

	signal(SIGALRM, on_signal);
	caught = 0;
	CALL(setitimer(ITIMER_REAL, &it, NULL));
	while (!caught)
		nanosleep(&ts, NULL);
	return 0;
}

static int o_futex_shared(void)
{
	unsigned int *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int ret = 0;

	if (p == MAP_FAILED)
		return errno;
	if (syscall(SYS_futex, p, FUTEX_WAKE, 1, NULL, NULL, 0))
		ret = errno;
	munmap(p, PAGE);
	return ret;
}

/* --- the loop --------------------------------------------------------------------------------------------------------- */

static const struct { const char *name; int (*run)(void); } ops[] = {
#define O(f) { #f, o_##f }
	O(fork), O(fork_raw), O(vfork_exec), O(fork_exec_script), O(exec_shared_files), O(exec_many_args), O(exec_from_thread), O(posix_spawn), O(pthread),
	O(pthread_own_stack), O(mmap_anon), O(mmap_populate), O(mmap_shared), O(mmap_file_private), O(mmap_file_shared),
	O(mmap_fixed_over), O(munmap_hole), O(mprotect_split), O(mremap), O(mremap_fixed), O(mremap_file), O(mremap_file_private),
	O(mremap_dontunmap), O(mlock),
	O(fork_with_reader), O(madvise), O(fork_marks), O(brk), O(cow_fault),
	O(zero_fill), O(stack_growth), O(shared_fault), O(read_untouched), O(pipe), O(pipe_bulk),
	O(pipe_to_host), O(eventfd), O(poll_mixed), O(socketpair), O(open), O(open_maps), O(dup_growth),
	O(names), O(readv), O(poll), O(epoll), O(sigaction), O(altstack), O(rt_queue), O(timer), O(futex_shared),
};

enum { DONE, ERROR, CHILD_DIED, WITHOUT, BAD };

/* One operation with its @n-th allocation failing, in a process made for it; the answer is its exit status. */
static int attempt(size_t op, unsigned long n, int warm)
{
	long counted;
	int ret;

	if (warm && ops[op].run())
		return BAD;
	inject(n);
	ret = ops[op].run();
	counted = inject(0);
	if (ret == WRONG || (ret > 0 && ret != ENOMEM && ret != EAGAIN)) {
		dprintf(2, "# %s %s, allocation %lu: returns %d (%s), errno %d\n", ops[op].name, warm ? "warm" : "cold", n, ret,
			what ? what : "", errno);
		return BAD;
	}
	if (counted < (long)n) {
		if (ret)
			dprintf(2, "# %s: fails with %d without a failed allocation\n", ops[op].name, ret);
		return ret ? BAD : DONE;
	}
	if (ret == DEAD)
		return CHILD_DIED;
	if (!ret)
		return WITHOUT;
	ret = ops[op].run();
	if (ret)
		dprintf(2, "# %s, after allocation %lu failed: again %d\n", ops[op].name, n, ret);
	return ret ? BAD : ERROR;
}

static unsigned long deaths;

/* Whoever was orphaned by a death is ours now. */
static void reap_orphans(void)
{
	while (waitpid(-1, NULL, 0) > 0)
		;
}

static unsigned long every = 1;

static int all_places(size_t op, int warm, int plain)
{
	unsigned long n, count[BAD + 2] = { 0 };
	int status, end;

	for (n = plain ? 1ul << 40 : 1; n < 5000 || plain; n += every) {
		pid_t pid = fork();

		if (pid < 0)
			return -1;
		if (!pid)
			_exit(attempt(op, n, warm));
		if (waitpid(pid, &status, 0) != pid)
			return -1;
		reap_orphans();
		if (WIFSIGNALED(status)) {
			if (WTERMSIG(status) != SIGKILL) {
				printf("# %s, allocation %lu: signal %d\n", ops[op].name, n, WTERMSIG(status));
				return -1;
			}
			count[BAD + 1]++;
			continue;
		}
		end = WEXITSTATUS(status);
		if (end >= BAD)
			return -1;
		count[end]++;
		if (end == DONE) {
			deaths += count[BAD + 1] + count[CHILD_DIED];
			if (!plain)
				printf("# %s %s: %lu places, %lu errors, %lu deaths, %lu of a child, %lu done without\n", ops[op].name,
				       warm ? "warm" : "cold", n - 1, count[ERROR], count[BAD + 1], count[CHILD_DIED], count[WITHOUT]);
			return plain || warm || n > 1 ? 0 : -1;
		}
	}
	return -1;
}

int main(int argc, char **argv)
{
	size_t nops = sizeof(ops) / sizeof(ops[0]);
	int plain = argc > 1 && !strcmp(argv[1], "plain"), failed = 0, fd;
	static char path[PATH_MAX];

	if (argc > 1 && !strcmp(argv[1], "nop"))
		return 0;
	if (getenv("RS_EVERY"))
		every = strtoul(getenv("RS_EVERY"), NULL, 10);
	if (!every)
		return 1;
	if (inject(0) < 0) {
		puts("1..0 # SKIP only in the ring, with --debug");
		return 0;
	}
	if (readlink("/proc/self/exe", path, sizeof(path) - 1) < 0)
		return 1;
	self = path;
	fd = open("inject.sh", O_WRONLY | O_CREAT | O_TRUNC, 0755);
	dprintf(fd, "#!%s nop\n", self);
	close(fd);
	fd = open("inject.data", O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (ftruncate(fd, 2 * PAGE))
		return 1;
	close(fd);
	area = mmap(NULL, AREA * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (int i = 0; i < AREA; i++)
		area[i * PAGE] = i;
	printf("TAP version 13\n1..%zu\n", 2 * nops);
	fflush(stdout);
	for (size_t i = 0; i < 2 * nops; i++) {
		int bad = all_places(i / 2, i % 2, plain);

		printf("%s %zu %s, %s\n", bad ? "not ok" : "ok", i + 1, ops[i / 2].name, i % 2 ? "warm" : "cold");
		fflush(stdout);
		failed |= bad;
	}
	printf("# deaths %lu\n", deaths);
	return !!failed;
}
