// SPDX-License-Identifier: MIT
/*
 * pipe_test.c - pipes, eventfd and waiting for them, wherever the program runs
 *
 * The same static binary runs natively and in the ring; every case must hold in both. In the ring a pipe begins as an object of the guest
 * kernel and becomes one of the host when a call needs that: the cases about this hold natively as well, where nothing becomes anything.
 *
 * Each case is a process of its own, with a process group and 60 seconds. pause_a_little() lets others come to where they wait; whether they
 * have come there decides only which way a case takes, never whether it passes.
 * Prints TAP. usage: rs-pipe-test [CASE | twice] | rs-pipe-test open FD (status 0 when FD is open)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHECK(cond) do {											\
	if (!(cond)) {												\
		printf("# line %d: %s (errno %d)\n", __LINE__, #cond, errno);					\
		fflush(stdout);											\
		_exit(1);											\
	}													\
} while (0)
#define FAILS(call, error) do { errno = 0; CHECK((call) == -1 && errno == (error)); } while (0)

static char self[4096];
static void *volatile nowhere = (void *)8;	/* volatile: what the compiler knows nothing of */
static volatile int too_many = 1025;

static void pause_a_little(void)
{
	struct timespec t = { 0, 20 * 1000 * 1000 };

	while (nanosleep(&t, &t) && errno == EINTR)
		;
}

static void pipe_new(int p[2])
{
	CHECK(pipe(p) == 0);
}

static pid_t child(void)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	CHECK(pid >= 0);
	return pid;
}

/* The child has ended as it should. */
static void joined(pid_t pid)
{
	int status = -1;

	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static uint8_t pattern(uint64_t at)
{
	return (uint8_t)(at * 7 + (at >> 8) * 13 + (at >> 16));
}

static void write_pattern(int fd, uint64_t from, size_t n)
{
	uint8_t *buf = malloc(n);

	CHECK(buf);
	for (size_t i = 0; i < n; i++)
		buf[i] = pattern(from + i);
	CHECK(write(fd, buf, n) == (ssize_t)n);
	free(buf);
}

static void read_pattern(int fd, uint64_t from, size_t n)
{
	static uint8_t buf[100000];
	size_t at = 0;

	while (at < n) {
		ssize_t k = read(fd, buf, n - at < sizeof(buf) ? n - at : sizeof(buf));

		CHECK(k > 0);
		for (ssize_t i = 0; i < k; i++)
			CHECK(buf[i] == pattern(from + at + i));
		at += k;
	}
}

/* Makes pipe, end or counter @fd the host's, in the ring. */
static void need_the_host(int fd)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int ep = epoll_create1(0);

	CHECK(ep >= 0);
	CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == 0);
	close(ep);
}

/* --- bytes ------------------------------------------------------------------------------------------------------------ */

static void t_stream(void)
{
	int p[2];
	pid_t pid;
	uint64_t at = 0, total = 3 << 20;
	uint32_t r = 12345;

	pipe_new(p);
	pid = child();
	if (!pid) {
		close(p[0]);
		while (at < total) {
			size_t n;

			r = r * 1103515245 + 12345;
			n = (r >> 16) % 20000 + 1;
			n = n < total - at ? n : total - at;
			write_pattern(p[1], at, n);
			at += n;
		}
		_exit(0);
	}
	close(p[1]);
	while (at < total) {
		size_t n;

		r = r * 1103515245 + 54321;
		n = (r >> 16) % 9000 + 1;
		n = n < total - at ? n : total - at;
		read_pattern(p[0], at, n);
		at += n;
	}
	CHECK(read(p[0], &r, 4) == 0);
	joined(pid);
}

static void t_atomic(void)
{
	enum { WRITERS = 4, RECORDS = 300, SIZE = 700 };
	int p[2], counts[WRITERS] = { 0 };
	pid_t pid[WRITERS];
	uint8_t rec[SIZE];

	pipe_new(p);
	for (int w = 0; w < WRITERS; w++) {
		pid[w] = child();
		if (!pid[w]) {
			memset(rec, 'a' + w, SIZE);
			for (int i = 0; i < RECORDS; i++)
				CHECK(write(p[1], rec, SIZE) == SIZE);
			_exit(0);
		}
	}
	close(p[1]);
	for (int i = 0; i < WRITERS * RECORDS; i++) {
		size_t at = 0;

		while (at < SIZE) {
			ssize_t k = read(p[0], rec + at, SIZE - at);

			CHECK(k > 0);
			at += k;
		}
		for (int k = 1; k < SIZE; k++)
			CHECK(rec[k] == rec[0]);
		CHECK(rec[0] >= 'a' && rec[0] < 'a' + WRITERS);
		counts[rec[0] - 'a']++;
	}
	CHECK(read(p[0], rec, 1) == 0);
	for (int w = 0; w < WRITERS; w++) {
		CHECK(counts[w] == RECORDS);
		joined(pid[w]);
	}
}

static void t_end_of_file(void)
{
	int p[2], extra;
	char c;
	pid_t pid;

	pipe_new(p);
	extra = dup(p[1]);
	pid = child();
	if (!pid) {
		close(p[0]);
		close(extra);
		pause_a_little();
		CHECK(write(p[1], "x", 1) == 1);
		pause_a_little();
		_exit(0); /* which closes the last descriptor of the writing end */
	}
	close(p[1]);
	close(extra);
	CHECK(read(p[0], &c, 1) == 1 && c == 'x');
	CHECK(read(p[0], &c, 1) == 0);
	CHECK(read(p[0], &c, 1) == 0);
	joined(pid);
}

static volatile sig_atomic_t caught;
static int handler_fd = -1;

static void on_signal(int sig)
{
	int keep = errno;

	caught = sig;
	if (handler_fd >= 0 && write(handler_fd, "h", 1) != 1)
		_exit(3);
	errno = keep;
}

static void handle(int sig, void (*fn)(int), int flags)
{
	struct sigaction sa = { .sa_handler = fn, .sa_flags = flags };

	sigemptyset(&sa.sa_mask);
	CHECK(sigaction(sig, &sa, NULL) == 0);
	caught = 0;
}

static void t_broken_pipe(void)
{
	int p[2], status;
	pid_t pid;

	pipe_new(p);
	close(p[0]);
	CHECK(write(p[1], "x", 0) == 0);
	handle(SIGPIPE, SIG_IGN, 0);
	FAILS(write(p[1], "x", 1), EPIPE);
	handle(SIGPIPE, on_signal, 0);
	FAILS(write(p[1], "x", 1), EPIPE);
	CHECK(caught == SIGPIPE);
	handle(SIGPIPE, SIG_DFL, 0);
	pid = child();
	if (!pid) {
		if (write(p[1], "x", 1) != 0)
			_exit(4);
		_exit(5);
	}
	CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGPIPE);
}

/* A writer that waits for room is told, and what it has written counts. */
static void t_broken_pipe_asleep(void)
{
	static char big[200000];
	int p[2];
	pid_t pid;

	pipe_new(p);
	pid = child();
	if (!pid) {
		close(p[0]);
		handle(SIGPIPE, on_signal, 0);
		CHECK(write(p[1], big, sizeof(big)) == 65536);
		CHECK(caught == SIGPIPE);
		FAILS(write(p[1], "x", 1), EPIPE);
		_exit(0);
	}
	close(p[1]);
	for (int n = 0; n < 65536;)	/* all of it is there */
		CHECK(ioctl(p[0], FIONREAD, &n) == 0);
	pause_a_little();
	close(p[0]);
	joined(pid);
}

static void t_nonblocking(void)
{
	static char buf[70000];
	int p[2], n = 0;

	CHECK(pipe2(p, O_NONBLOCK) == 0);
	FAILS(read(p[0], buf, 1), EAGAIN);
	while (write(p[1], buf, 4096) == 4096)
		n++;
	CHECK(errno == EAGAIN && n == 16);
	FAILS(write(p[1], buf, 4096), EAGAIN);
	CHECK(read(p[0], buf, 100) == 100);
	FAILS(write(p[1], buf, 4096), EAGAIN);
	CHECK(read(p[0], buf, 3996) == 3996);
	CHECK(write(p[1], buf, 8192) == 4096);
	CHECK(read(p[0], buf, sizeof(buf)) == 65536);
	FAILS(read(p[0], buf, sizeof(buf)), EAGAIN);
	close(p[1]);
	CHECK(read(p[0], buf, 1) == 0);
	close(p[0]);
	pipe_new(p);
	for (n = 0; n < 65536; n++)
		CHECK(write(p[1], buf, 1) == 1);
	CHECK(fcntl(p[1], F_SETFL, O_NONBLOCK) == 0);
	FAILS(write(p[1], buf, 1), EAGAIN);
	/* the two ends are two open files */
	CHECK((fcntl(p[0], F_GETFL) & O_NONBLOCK) == 0);
	CHECK(read(p[0], buf, sizeof(buf)) == 65536);
	CHECK(write(p[1], buf, 60000) == 60000);
	CHECK(write(p[1], buf, 60000) >= 4096);
}

static void t_flags(void)
{
	int p[2], d, on = 1;

	CHECK(pipe2(p, O_NONBLOCK | O_CLOEXEC) == 0);
	CHECK(fcntl(p[0], F_GETFL) == (O_RDONLY | O_NONBLOCK));
	CHECK(fcntl(p[1], F_GETFL) == (O_WRONLY | O_NONBLOCK));
	CHECK(fcntl(p[0], F_GETFD) == FD_CLOEXEC);
	d = dup(p[0]);
	CHECK(fcntl(d, F_GETFD) == 0);
	CHECK(fcntl(d, F_SETFL, 0) == 0 && fcntl(p[0], F_GETFL) == O_RDONLY);
	CHECK(ioctl(p[1], FIONBIO, &on) == 0 && fcntl(p[1], F_GETFL) == (O_WRONLY | O_NONBLOCK));
	on = 0;
	CHECK(ioctl(p[1], FIONBIO, &on) == 0 && fcntl(p[1], F_GETFL) == O_WRONLY);
	CHECK(fcntl(p[1], F_SETFL, O_APPEND | O_NONBLOCK) == 0);
	CHECK(fcntl(p[1], F_GETFL) == (O_WRONLY | O_APPEND | O_NONBLOCK));
	need_the_host(p[0]);
	CHECK(fcntl(p[0], F_GETFL) == O_RDONLY && fcntl(d, F_GETFL) == O_RDONLY);
	CHECK(fcntl(p[1], F_GETFL) == (O_WRONLY | O_APPEND | O_NONBLOCK));
	CHECK(fcntl(p[0], F_GETFD) == FD_CLOEXEC);
	FAILS(pipe2(p, 0x10000000), EINVAL);
	FAILS(syscall(SYS_pipe2, NULL, 0), EFAULT);
}

static void t_sizes(void)
{
	int p[2], n;
	char c = 0;

	pipe_new(p);
	CHECK(fcntl(p[0], F_GETPIPE_SZ) == 65536);
	CHECK(fcntl(p[0], F_SETPIPE_SZ, 0) == 4096);
	FAILS(fcntl(p[0], F_SETPIPE_SZ, -1), EINVAL);
	CHECK(fcntl(p[0], F_SETPIPE_SZ, 5000) == 8192 && fcntl(p[1], F_GETPIPE_SZ) == 8192);
	CHECK(fcntl(p[1], F_SETFL, O_NONBLOCK) == 0);
	write_pattern(p[1], 0, 8192);
	FAILS(write(p[1], &c, 1), EAGAIN);
	CHECK(ioctl(p[1], FIONREAD, &n) == 0 && n == 8192);
	FAILS(fcntl(p[0], F_SETPIPE_SZ, 4096), EBUSY);
	CHECK(fcntl(p[0], F_SETPIPE_SZ, 1 << 20) == 1 << 20);
	write_pattern(p[1], 8192, (1 << 20) - 8192);
	FAILS(write(p[1], &c, 1), EAGAIN);
	read_pattern(p[0], 0, 500000);
	need_the_host(p[0]);
	CHECK(fcntl(p[0], F_GETPIPE_SZ) == 1 << 20);
	CHECK(ioctl(p[0], FIONREAD, &n) == 0 && n == (1 << 20) - 500000);
	read_pattern(p[0], 500000, (1 << 20) - 500000);
	FAILS(fcntl(open("/dev/null", O_RDONLY), F_GETPIPE_SZ), EBADF);
}

static void t_what_it_is(void)
{
	struct stat a, b, c;
	int p[2], q[2], n = -1;
	char name[64], want[64], buf[8];

	pipe_new(p);
	pipe_new(q);
	CHECK(fstat(p[0], &a) == 0 && fstat(p[1], &b) == 0 && fstat(q[0], &c) == 0);
	CHECK(S_ISFIFO(a.st_mode) && (a.st_mode & 07777) == 0600 && a.st_size == 0 && a.st_nlink == 1);
	CHECK(a.st_ino == b.st_ino && a.st_dev == b.st_dev && a.st_ino != c.st_ino && a.st_uid == geteuid());
	CHECK(fstatat(p[0], "", &b, AT_EMPTY_PATH) == 0 && b.st_ino == a.st_ino);
	FAILS(lseek(p[0], 0, SEEK_CUR), ESPIPE);
	FAILS(pread(p[0], buf, 1, 0), ESPIPE);
	FAILS(pwrite(p[1], buf, 1, 0), ESPIPE);
	FAILS(ftruncate(p[1], 0), EINVAL);
	FAILS(fsync(p[1]), EINVAL);
	FAILS(ioctl(p[0], 0x5401 /* TCGETS */, &a), ENOTTY);
	CHECK(posix_fadvise(p[0], 0, 0, POSIX_FADV_SEQUENTIAL) == ESPIPE);
	errno = 0;
	CHECK(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, p[0], 0) == MAP_FAILED && errno == ENODEV);
	FAILS(read(p[1], buf, 1), EBADF);
	FAILS(write(p[0], buf, 1), EBADF);
	CHECK(read(p[0], buf, 0) == 0);
	CHECK(write(p[1], "four", 4) == 4 && ioctl(p[0], FIONREAD, &n) == 0 && n == 4);
	for (int i = 0; i < 2; i++) {
		sprintf(name, "/proc/self/fd/%d", p[i]);
		sprintf(want, "pipe:[%lu]", (unsigned long)a.st_ino);
		memset(name + 32, 0, 32);
		CHECK(readlink(name, name + 32, 31) == (ssize_t)strlen(want) && !strcmp(name + 32, want));
	}
	CHECK(read(p[0], buf, 8) == 4 && !memcmp(buf, "four", 4));
}

static void t_vectors(void)
{
	char a[10] = "abcdefghi", big[6000], out[20];
	struct iovec v[12] = { { a, 3 }, { NULL, 0 }, { a + 3, 4 } }, w[3] = { { out, 2 }, { NULL, 0 }, { out + 2, 18 } };
	char *hole = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int p[2];

	pipe_new(p);
	munmap(hole + 4096, 4096);
	CHECK(writev(p[1], v, 3) == 7);
	CHECK(readv(p[0], w, 3) == 7 && !memcmp(out, "abcdefg", 7));
	for (int i = 0; i < 12; i++)
		v[i] = (struct iovec){ big + 500 * i, 500 };
	for (int i = 0; i < 6000; i++)
		big[i] = pattern(i);
	CHECK(writev(p[1], v, 12) == 6000);
	read_pattern(p[0], 0, 6000);
	CHECK(writev(p[1], v, 0) == 0);
	FAILS(writev(p[1], v, too_many), EINVAL);
	v[0].iov_len = -1;
	FAILS(writev(p[1], v, 1), EINVAL);
	FAILS(writev(p[1], nowhere, 1), EFAULT);
	FAILS(write(p[1], nowhere, 10), EFAULT);
	FAILS(write(p[1], hole + 4096, 10), EFAULT);
	FAILS(read(p[0], (void *)0xffff888000001000, 10), EFAULT);
	CHECK(write(p[1], "12345", 5) == 5);
	FAILS(read(p[0], hole + 4096, 10), EFAULT);
	FAILS(read(p[0], nowhere, 10), EFAULT);
	CHECK(read(p[0], out, 20) == 5 && !memcmp(out, "12345", 5));
	/* what the program has not touched yet is written to all the same */
	hole = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	write_pattern(p[1], 77, 65536);
	CHECK(read(p[0], hole, 65536) == 65536);
	for (int i = 0; i < 65536; i++)
		CHECK((uint8_t)hole[i] == pattern(77 + i));
}

/* --- signals ---------------------------------------------------------------------------------------------------------- */

/* A child that sends SIGUSR1 again and again, so that one of them meets its parent asleep. */
static pid_t pestering(void)
{
	pid_t parent = getpid(), pid = child();

	if (pid)
		return pid;
	do
		pause_a_little();
	while (!kill(parent, SIGUSR1));
	_exit(1);
}

static void left_alone(pid_t pid)
{
	CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, NULL, 0) == pid);
}

static void t_interrupted(void)
{
	static char big[100000];
	int p[2];
	char c;
	pid_t parent = getpid(), pid;

	pipe_new(p);
	handle(SIGUSR1, on_signal, 0);
	pid = pestering();
	FAILS(read(p[0], &c, 1), EINTR);
	CHECK(caught == SIGUSR1);
	caught = 0;
	CHECK(write(p[1], big, sizeof(big)) == 65536); /* not EINTR: something has been written */
	CHECK(caught == SIGUSR1);
	left_alone(pid);
	CHECK(read(p[0], big, 65536) == 65536);
	/* restarted, and then the handler's byte is there */
	handle(SIGUSR1, on_signal, SA_RESTART);
	handler_fd = p[1];
	pid = child();
	if (!pid) {
		pause_a_little();
		kill(parent, SIGUSR1);
		_exit(0);
	}
	CHECK(read(p[0], &c, 1) == 1 && c == 'h' && caught == SIGUSR1);
	joined(pid);
}

static void t_stopped(void)
{
	int p[2], q[2], status;
	char c;
	pid_t pid;

	pipe_new(p);
	pipe_new(q);
	pid = child();
	if (!pid) {
		CHECK(write(q[1], "r", 1) == 1);
		CHECK(read(p[0], &c, 1) == 1 && c == 'x');
		_exit(0);
	}
	CHECK(read(q[0], &c, 1) == 1);
	pause_a_little();
	CHECK(kill(pid, SIGSTOP) == 0);
	CHECK(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
	CHECK(kill(pid, SIGCONT) == 0);
	CHECK(waitpid(pid, &status, WCONTINUED) == pid && WIFCONTINUED(status));
	pause_a_little();
	CHECK(write(p[1], "x", 1) == 1);
	joined(pid);
}

/* --- many ------------------------------------------------------------------------------------------------------------- */

/* Each token wakes somebody who takes it, also after some of those who wait have been killed. */
static void tokens(int host)
{
	enum { READERS = 60 };
	pid_t pid[READERS];
	int p[2], status;
	char c;

	pipe_new(p);
	for (int i = 0; i < READERS; i++) {
		pid[i] = child();
		if (!pid[i]) {
			CHECK(read(p[0], &c, 1) == 1);
			_exit(0);
		}
	}
	pause_a_little();
	if (host)
		need_the_host(p[0]);
	for (int i = 0; i < READERS; i += 3) {
		CHECK(kill(pid[i], SIGKILL) == 0);
		CHECK(waitpid(pid[i], &status, 0) == pid[i] && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	}
	for (int i = 0; i < READERS; i++)
		if (i % 3)
			CHECK(write(p[1], "t", 1) == 1);
	for (int i = 0; i < READERS; i++)
		if (i % 3)
			joined(pid[i]);
}

static void t_tokens(void)
{
	tokens(0);
}

static void t_tokens_at_the_host(void)
{
	tokens(1);
}

/* A number goes round through processes, each of which adds one. */
static void t_round(void)
{
	enum { N = 20, ROUNDS = 30 };
	int p[N][2];
	pid_t pid[N];
	uint32_t v = 0;

	for (int i = 0; i < N; i++)
		pipe_new(p[i]);
	for (int i = 0; i < N - 1; i++) {
		pid[i] = child();
		if (!pid[i]) {
			for (int k = 0; k < N; k++) {
				if (k != i)
					close(p[k][0]);
				if (k != i + 1)
					close(p[k][1]);
			}
			while (read(p[i][0], &v, 4) == 4) {
				v++;
				CHECK(write(p[i + 1][1], &v, 4) == 4);
			}
			_exit(0);
		}
	}
	for (int k = 1; k < N; k++)
		close(p[k][1]);
	for (int r = 0; r < ROUNDS; r++) {
		CHECK(write(p[0][1], &v, 4) == 4);
		CHECK(read(p[N - 1][0], &v, 4) == 4);
		CHECK(v == (uint32_t)(r + 1) * (N - 1));
	}
	close(p[0][1]);
	for (int i = 0; i < N - 1; i++)
		joined(pid[i]);
}

/* --- poll and select -------------------------------------------------------------------------------------------------- */

static short ready(int fd, short events)
{
	struct pollfd f = { fd, events, 0 };

	CHECK(poll(&f, 1, 0) == (f.revents != 0));
	return f.revents;
}

static void t_poll_events(void)
{
	static char buf[65536];
	int p[2];

	pipe_new(p);
	CHECK(ready(p[0], POLLIN) == 0);
	CHECK(ready(p[1], POLLOUT | POLLWRNORM) == (POLLOUT | POLLWRNORM));
	CHECK(ready(p[1], POLLIN) == 0);
	CHECK(write(p[1], buf, 1) == 1);
	CHECK(ready(p[0], POLLIN | POLLRDNORM | POLLPRI) == (POLLIN | POLLRDNORM));
	CHECK(read(p[0], buf, 1) == 1);
	CHECK(write(p[1], buf, 65536) == 65536);
	CHECK(ready(p[1], POLLOUT) == 0);
	CHECK(read(p[0], buf, 4096) == 4096);
	CHECK(ready(p[1], POLLOUT) == POLLOUT);
	CHECK(close(p[1]) == 0 && ready(p[0], POLLIN) == (POLLIN | POLLHUP));
	CHECK(read(p[0], buf, 65536) == 65536 - 4096);
	CHECK(ready(p[0], POLLIN) == POLLHUP && ready(p[0], 0) == POLLHUP);
	close(p[0]);
	pipe_new(p);
	close(p[0]);
	CHECK(ready(p[1], POLLOUT) == (POLLOUT | POLLERR));
	CHECK(ready(p[0], POLLIN) == POLLNVAL);
	CHECK(ready(-1, POLLIN) == 0);
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ull + t.tv_nsec / 1000000;
}

static void t_poll_waits(void)
{
	struct pollfd f[3];
	int p[2], q[2];
	uint64_t t;
	char c;
	pid_t pid;

	pipe_new(p);
	pipe_new(q);
	f[0] = (struct pollfd){ p[0], POLLIN, 0 };
	f[1] = (struct pollfd){ -7, POLLIN, 55 };
	f[2] = (struct pollfd){ q[0], POLLIN, 0 };
	t = now_ms();
	CHECK(poll(f, 3, 50) == 0 && now_ms() - t >= 50 && f[1].revents == 0);
	CHECK(poll(NULL, 0, 20) == 0);
	pid = child();
	if (!pid) {
		close(q[0]);
		pause_a_little();
		CHECK(write(q[1], "q", 1) == 1);
		CHECK(read(p[0], &c, 1) == 1);	/* until the parent has seen that */
		_exit(0);
	}
	close(q[1]);
	CHECK(poll(f, 3, -1) == 1 && f[0].revents == 0 && f[2].revents == POLLIN);
	CHECK(read(q[0], &c, 1) == 1 && c == 'q');
	CHECK(write(p[1], "p", 1) == 1);
	f[0].fd = -1;
	CHECK(poll(f, 3, 20000) == 1 && f[2].revents == POLLHUP);
	joined(pid);
	f[0].fd = 999;
	CHECK(poll(f, 3, -1) == 2 && f[0].revents == POLLNVAL && f[2].revents == POLLHUP);
}

static void t_select(void)
{
	struct timeval tv = { 0, 30000 };
	struct timespec ts = { 20, 0 };
	fd_set r, w, e;
	int p[2], q[2], top;
	char c;
	pid_t pid;
	sigset_t mask;

	pipe_new(p);
	pipe_new(q);
	top = q[1] + 1;
	FD_ZERO(&r);
	FD_ZERO(&w);
	FD_ZERO(&e);
	FD_SET(p[0], &r), FD_SET(q[0], &r), FD_SET(p[1], &w), FD_SET(p[0], &e);
	CHECK(select(top, &r, &w, &e, NULL) == 1);
	CHECK(!FD_ISSET(p[0], &r) && !FD_ISSET(q[0], &r) && FD_ISSET(p[1], &w) && !FD_ISSET(p[0], &e));
	FD_SET(p[0], &r), FD_SET(q[0], &r);
	CHECK(select(top, &r, NULL, NULL, &tv) == 0 && !FD_ISSET(p[0], &r) && tv.tv_sec == 0 && tv.tv_usec == 0);
	FD_SET(p[0], &r), FD_SET(q[0], &r);
	pid = child();
	if (!pid) {
		pause_a_little();
		CHECK(write(q[1], "q", 1) == 1);
		_exit(0);
	}
	tv.tv_sec = 50;
	CHECK(select(top, &r, NULL, NULL, &tv) == 1 && FD_ISSET(q[0], &r) && !FD_ISSET(p[0], &r));
	CHECK(tv.tv_sec < 50 && tv.tv_sec >= 5);
	CHECK(read(q[0], &c, 1) == 1);
	joined(pid);
	close(q[1]);
	FD_ZERO(&r);
	FD_SET(q[1], &r);
	FAILS(select(top, &r, NULL, NULL, NULL), EBADF);
	/* a signal ends it, with the mask of the wait */
	handle(SIGUSR1, on_signal, SA_RESTART);
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR1);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	raise(SIGUSR1);
	CHECK(caught == 0);
	sigemptyset(&mask);
	FD_ZERO(&r);
	FD_SET(p[0], &r);
	FAILS(pselect(top, &r, NULL, NULL, &ts, &mask), EINTR);
	CHECK(caught == SIGUSR1);
	/* what is ready counts first */
	caught = 0;
	raise(SIGUSR1);
	CHECK(write(p[1], "x", 1) == 1);
	CHECK(pselect(top, &r, NULL, NULL, &ts, &mask) == 1 || errno == EINTR);
}

static void t_poll_signal(void)
{
	struct pollfd f;
	int p[2];
	pid_t pid;

	pipe_new(p);
	f = (struct pollfd){ p[0], POLLIN, 0 };
	handle(SIGUSR1, on_signal, SA_RESTART);
	pid = pestering();
	FAILS(poll(&f, 1, -1), EINTR);
	CHECK(caught == SIGUSR1);
	left_alone(pid);
}

/* --- with files of the host ------------------------------------------------------------------------------------------- */

static void t_poll_mixed(void)
{
	struct pollfd f[3];
	int p[2], s[2], ev = eventfd(0, 0);
	char c;
	uint64_t v;
	pid_t pid;

	pipe_new(p);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
	CHECK(write(p[1], "before", 6) == 6);
	f[0] = (struct pollfd){ p[0], POLLIN, 0 };
	f[1] = (struct pollfd){ s[0], POLLIN, 0 };
	f[2] = (struct pollfd){ ev, POLLIN, 0 };
	CHECK(poll(f, 3, -1) == 1 && f[0].revents == POLLIN);
	for (int i = 0; i < 6; i++)
		CHECK(read(p[0], &c, 1) == 1 && c == "before"[i]);
	for (int i = 0; i < 3; i++) {
		pid = child();
		if (!pid) {
			pause_a_little();
			v = 5;
			if (i == 0)
				CHECK(write(p[1], "p", 1) == 1);
			else if (i == 1)
				CHECK(write(s[1], "s", 1) == 1);
			else
				CHECK(write(ev, &v, 8) == 8);
			_exit(0);
		}
		CHECK(poll(f, 3, -1) == 1);
		CHECK(f[i].revents == POLLIN && !f[(i + 1) % 3].revents && !f[(i + 2) % 3].revents);
		if (i == 2)
			CHECK(read(ev, &v, 8) == 8 && v == 5);
		else
			CHECK(read(f[i].fd, &c, 1) == 1 && c == "ps"[i]);
		joined(pid);
	}
}

static void t_select_mixed(void)
{
	struct timeval tv = { 0, 20000 };
	int p[2], s[2];
	fd_set r;

	pipe_new(p);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
	FD_ZERO(&r);
	FD_SET(p[0], &r), FD_SET(s[0], &r);
	CHECK(select(s[1] + 1, &r, NULL, NULL, &tv) == 0);
	CHECK(write(p[1], "x", 1) == 1);
	FD_SET(p[0], &r), FD_SET(s[0], &r);
	CHECK(select(s[1] + 1, &r, NULL, NULL, NULL) == 1 && FD_ISSET(p[0], &r));
}

static void t_epoll(void)
{
	struct epoll_event ev, got[4];
	int p[2], s[2], e = eventfd(3, 0), ep = epoll_create1(EPOLL_CLOEXEC);
	uint64_t v;
	char c;
	pid_t pid;

	pipe_new(p);
	CHECK(write(p[1], "x", 1) == 1);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
	ev = (struct epoll_event){ .events = EPOLLIN, .data.u32 = 1 };
	CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, p[0], &ev) == 0);
	ev.data.u32 = 2;
	CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, s[0], &ev) == 0);
	ev.data.u32 = 3;
	ev.events = EPOLLIN | EPOLLET;
	CHECK(epoll_ctl(ep, EPOLL_CTL_ADD, e, &ev) == 0);
	FAILS(epoll_ctl(ep, EPOLL_CTL_ADD, e, &ev), EEXIST);
	CHECK(epoll_wait(ep, got, 4, -1) == 2 && got[0].data.u32 + got[1].data.u32 == 4);
	CHECK(epoll_wait(ep, got, 4, -1) == 1 && got[0].data.u32 == 1); /* an edge is told once */
	CHECK(read(e, &v, 8) == 8 && v == 3);
	CHECK(read(p[0], &c, 1) == 1);
	CHECK(epoll_wait(ep, got, 4, 10) == 0);
	pid = child();
	if (!pid) {
		pause_a_little();
		CHECK(write(s[1], "s", 1) == 1);
		_exit(0);
	}
	CHECK(epoll_wait(ep, got, 4, -1) == 1 && got[0].data.u32 == 2);
	joined(pid);
	CHECK(epoll_ctl(ep, EPOLL_CTL_DEL, s[0], NULL) == 0);
	close(p[1]);
	CHECK(epoll_wait(ep, got, 4, -1) == 1 && got[0].events == EPOLLHUP && got[0].data.u32 == 1);
}

/* --- the pipe moves in the middle of traffic -------------------------------------------------------------------------- */

static void t_move_reader_asleep(void)
{
	int p[2];
	pid_t pid;

	pipe_new(p);
	pid = child();
	if (!pid) {
		close(p[1]);
		read_pattern(p[0], 0, 10000);
		CHECK(read(p[0], &pid, 4) == 0);
		_exit(0);
	}
	pause_a_little();
	need_the_host(p[0]);
	close(p[0]);
	pause_a_little();
	write_pattern(p[1], 0, 10000);
	close(p[1]);
	joined(pid);
}

static void t_move_writer_asleep(void)
{
	int p[2], n;
	pid_t pid;

	pipe_new(p);
	pid = child();
	if (!pid) {
		close(p[0]);
		write_pattern(p[1], 0, 1000000);	/* one call, which has to write all */
		_exit(0);
	}
	read_pattern(p[0], 0, 1234);
	pause_a_little();
	for (n = 0; n < 60000;)
		CHECK(ioctl(p[0], FIONREAD, &n) == 0);
	need_the_host(p[0]);
	close(p[1]);
	read_pattern(p[0], 1234, 1000000 - 1234);
	CHECK(read(p[0], &n, 4) == 0);
	joined(pid);
}

static void t_move_poller_asleep(void)
{
	struct timespec ts = { 30, 0 };
	struct pollfd f[2];
	int p[2], q[2];
	fd_set r;
	char c;
	pid_t pid, pid2;

	pipe_new(p);
	pipe_new(q);
	f[0] = (struct pollfd){ p[0], POLLIN, 0 };
	f[1] = (struct pollfd){ q[0], POLLIN, 0 };
	pid = child();
	if (!pid) {
		CHECK(poll(f, 2, -1) == 1 && f[0].revents == 0 && f[1].revents == POLLIN);
		CHECK(read(q[0], &c, 1) == 1 && c == 'q');
		_exit(0);
	}
	pause_a_little();
	need_the_host(p[0]);	/* q moves as well then */
	pause_a_little();
	CHECK(write(q[1], "q", 1) == 1);
	joined(pid);
	pipe_new(p);
	pipe_new(q);
	pid = child();
	if (!pid) {
		FD_ZERO(&r);
		FD_SET(p[0], &r), FD_SET(q[0], &r);
		CHECK(pselect(q[1] + 1, &r, NULL, NULL, &ts, NULL) == 1 && FD_ISSET(p[0], &r));
		CHECK(read(p[0], &c, 1) == 1 && c == 'p');
		_exit(0);
	}
	pid2 = child();
	if (!pid2) {
		CHECK(read(q[0], &c, 1) == 1 && c == 'q');	/* sleeps when q moves */
		_exit(0);
	}
	pause_a_little();
	need_the_host(p[0]);
	pause_a_little();
	CHECK(write(p[1], "p", 1) == 1);
	joined(pid);
	CHECK(write(q[1], "q", 1) == 1);
	joined(pid2);
}

/* Readers and writers on both sides all the time, and at some point the pipe moves. */
static void t_move_in_traffic(void)
{
	enum { WRITERS = 3, READERS = 3, RECORDS = 400, SIZE = 1000 };
	pid_t pid[WRITERS + READERS];
	int p[2], sum[2];
	uint64_t total = 0, part;
	char rec[SIZE];

	pipe_new(p);
	pipe_new(sum);
	for (int i = 0; i < WRITERS + READERS; i++) {
		pid[i] = child();
		if (pid[i])
			continue;
		if (i < WRITERS) {
			memset(rec, 'a' + i, SIZE);
			for (int k = 0; k < RECORDS; k++)
				CHECK(write(p[1], rec, SIZE) == SIZE);
			_exit(0);
		}
		close(p[1]);
		part = 0;
		for (ssize_t k; (k = read(p[0], rec, 777)) > 0; part += k)
			;
		CHECK(write(sum[1], &part, 8) == 8);
		_exit(0);
	}
	for (int i = 0; i < 10; i++)
		sched_yield();
	need_the_host(p[0]);
	close(p[0]);
	close(p[1]);
	for (int i = 0; i < READERS; i++) {
		CHECK(read(sum[0], &part, 8) == 8);
		total += part;
	}
	CHECK(total == (uint64_t)WRITERS * RECORDS * SIZE);
	for (int i = 0; i < WRITERS + READERS; i++)
		joined(pid[i]);
}

/* One end only: the other is closed on the other side, too. */
static void t_move_one_end(void)
{
	int p[2];
	char buf[10];

	pipe_new(p);
	CHECK(write(p[1], "rest", 4) == 4);
	close(p[1]);
	need_the_host(p[0]);
	CHECK(read(p[0], buf, 10) == 4 && !memcmp(buf, "rest", 4));
	CHECK(read(p[0], buf, 10) == 0);
	pipe_new(p);
	close(p[0]);
	need_the_host(p[1]);
	handle(SIGPIPE, on_signal, 0);
	FAILS(write(p[1], "x", 1), EPIPE);
	CHECK(caught == SIGPIPE);
}

static void t_passing(void)
{
	union {
		struct cmsghdr h;
		char room[CMSG_SPACE(2 * sizeof(int))];
	} c;
	char byte = 'm', buf[10];
	struct iovec v = { &byte, 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c) };
	int s[2], p[2], got[2], e = eventfd(41, EFD_SEMAPHORE);
	uint64_t n;
	pid_t pid;

	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, s) == 0);
	pipe_new(p);
	pid = child();
	if (!pid) {
		close(p[0]);
		close(p[1]);
		close(e);
		CHECK(recvmsg(s[1], &m, 0) == 1 && m.msg_controllen >= CMSG_LEN(8));
		memcpy(got, CMSG_DATA(CMSG_FIRSTHDR(&m)), 8);
		CHECK(read(got[0], buf, 10) == 5 && !memcmp(buf, "early", 5));
		CHECK(read(got[0], buf, 10) == 4 && !memcmp(buf, "late", 4));
		CHECK(read(got[0], buf, 10) == 0);
		CHECK(read(got[1], &n, 8) == 8 && n == 1);
		_exit(0);
	}
	CHECK(write(p[1], "early", 5) == 5);
	memset(&c, 0, sizeof(c));
	c.h.cmsg_len = CMSG_LEN(8);
	c.h.cmsg_level = SOL_SOCKET;
	c.h.cmsg_type = SCM_RIGHTS;
	memcpy(CMSG_DATA(&c.h), (int[2]){ p[0], e }, 8);
	CHECK(sendmsg(s[0], &m, 0) == 1);
	close(p[0]);
	for (int k = 1; k;)	/* until "early" has been read */
		CHECK(ioctl(p[1], FIONREAD, &k) == 0);
	CHECK(write(p[1], "late", 4) == 4);
	close(p[1]);
	joined(pid);
	CHECK(read(e, &n, 8) == 8 && n == 1);
	CHECK(fcntl(e, F_SETFL, O_NONBLOCK) == 0);
	for (int i = 0; i < 39; i++)
		CHECK(read(e, &n, 8) == 8 && n == 1);
	FAILS(read(e, &n, 8), EAGAIN);
}

static void t_splicing(void)
{
	int p[2], q[2], file = memfd_create("data", 0), n;
	char buf[8192];
	struct iovec v = { buf, 10 };
	loff_t off = 0;

	pipe_new(p);
	pipe_new(q);
	write_pattern(file, 0, 20000);
	write_pattern(p[1], 0, 5000);
	CHECK(splice(p[0], NULL, q[1], NULL, 5000, 0) == 5000);
	CHECK(tee(q[0], p[1], 5000, 0) == 5000);
	read_pattern(q[0], 0, 5000);
	read_pattern(p[0], 0, 5000);
	pipe_new(p);
	CHECK(sendfile(p[1], file, &off, 20000) == 20000 && off == 20000);
	read_pattern(p[0], 0, 20000);
	pipe_new(p);
	memset(buf, 'v', 10);
	CHECK(vmsplice(p[1], &v, 1, 0) == 10 || errno == ENOSYS);
	pipe_new(p);
	off = 0;
	FAILS(copy_file_range(file, &off, p[1], NULL, 100, 0), EINVAL);
	write_pattern(p[1], 5, 100);
	CHECK(ioctl(p[0], FIONREAD, &n) == 0 && n == 100);
	CHECK(lseek(file, 0, SEEK_SET) == 0 && splice(p[0], NULL, file, NULL, 100, 0) == 100);
	CHECK(lseek(file, 0, SEEK_SET) == 0);
	read_pattern(file, 5, 100);
}

static void t_open_by_name(void)
{
	char name[64], buf[10];
	int p[2], again;

	pipe_new(p);
	CHECK(write(p[1], "one", 3) == 3);
	sprintf(name, "/proc/self/fd/%d", p[0]);
	again = open(name, O_RDONLY | O_NONBLOCK);
	CHECK(again >= 0 && read(again, buf, 2) == 2 && read(p[0], buf + 2, 8) == 1 && !memcmp(buf, "one", 3));
	FAILS(read(again, buf, 1), EAGAIN);
	CHECK((fcntl(p[0], F_GETFL) & O_NONBLOCK) == 0);
	close(p[1]);
	CHECK(read(again, buf, 1) == 0);
	pipe_new(p);
	sprintf(name, "/dev/fd/%d", p[1]);
	again = open(name, O_WRONLY);
	close(p[1]);
	CHECK(again >= 0 && write(again, "two", 3) == 3 && read(p[0], buf, 10) == 3);
	close(again);
	CHECK(read(p[0], buf, 1) == 0);
}

static void t_packets(void)
{
	int p[2];
	char buf[10];

	CHECK(pipe2(p, O_DIRECT) == 0);
	CHECK(write(p[1], "abc", 3) == 3 && write(p[1], "de", 2) == 2);
	CHECK(read(p[0], buf, 10) == 3 && read(p[0], buf, 10) == 2);
}

/* --- descriptors ------------------------------------------------------------------------------------------------------ */

static void t_shared_offsets(void)
{
	int file = memfd_create("data", 0), d = dup(file);
	char buf[4];
	pid_t pid;

	CHECK(write(file, "0123456789", 10) == 10);
	CHECK(lseek(d, 0, SEEK_CUR) == 10 && lseek(d, 2, SEEK_SET) == 2);
	pid = child();
	if (!pid) {
		CHECK(read(file, buf, 3) == 3 && !memcmp(buf, "234", 3));
		CHECK(fcntl(d, F_SETFL, O_APPEND) == 0);
		_exit(0);
	}
	joined(pid);
	CHECK(read(d, buf, 2) == 2 && !memcmp(buf, "56", 2) && lseek(file, 0, SEEK_CUR) == 7);
	CHECK(fcntl(file, F_GETFL) & O_APPEND);
}

static void t_close_on_exec(void)
{
	int p[2], q[2], d, status;
	char num[16];
	pid_t pid;

	CHECK(pipe2(p, O_CLOEXEC) == 0);
	pipe_new(q);
	d = dup(p[1]);
	for (int i = 0; i < 4; i++) {
		int fd = i == 0 ? p[0] : i == 1 ? p[1] : i == 2 ? q[0] : d;

		pid = child();
		if (!pid) {
			sprintf(num, "%d", fd);
			execl(self, self, "open", num, NULL);
			_exit(9);
		}
		CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
		CHECK(WEXITSTATUS(status) == (i < 2));
	}
	/* the writers that the programs had are gone with them */
	close(p[1]);
	close(d);
	CHECK(read(p[0], num, 1) == 0);
}

struct closing {
	int end[2], pauses;
};

static void *close_later(void *arg)
{
	struct closing *c = arg;

	for (int i = 0; i < c->pauses; i++)
		pause_a_little();
	close(c->end[0]);
	pause_a_little();
	if (write(c->end[1], "x", 1) != 1)
		return arg;
	return NULL;
}

/* A call that is in progress keeps its file. */
static void t_closed_by_a_thread(void)
{
	struct closing how = { .pauses = 1 };
	pthread_t t;
	ssize_t got;
	void *bad;
	char c;
	int e;

	do {	/* the call may begin when it is closed already: then more time is needed */
		pipe_new(how.end);
		CHECK(pthread_create(&t, NULL, close_later, &how) == 0);
		got = read(how.end[0], &c, 1);
		e = errno;
		CHECK(pthread_join(t, &bad) == 0 && !bad);
		FAILS(read(how.end[0], &c, 1), EBADF);
		how.pauses *= 2;
	} while (got < 0 && e == EBADF);
	CHECK(got == 1 && c == 'x');
}

static void t_no_room(void)
{
	int p[2], n = 0, last = -1;

	while (pipe(p) == 0) {
		n++;
		last = p[1];
	}
	CHECK(errno == EMFILE && n > 100);
	while (dup(last) >= 0)
		;
	close(last);
	FAILS(pipe(p), EMFILE);
	CHECK(eventfd(0, 0) == last);
	FAILS(eventfd(0, 0), EMFILE);
}

/* --- eventfd ---------------------------------------------------------------------------------------------------------- */

static void t_eventfd(void)
{
	int e = eventfd(5, EFD_NONBLOCK), s;
	uint64_t v = 7, big[2] = { 1, 2 };

	CHECK(fcntl(e, F_GETFL) == (O_RDWR | O_NONBLOCK));
	CHECK(write(e, &v, 8) == 8 && read(e, &v, 8) == 8 && v == 12);
	FAILS(read(e, &v, 8), EAGAIN);
	FAILS(read(e, &v, 7), EINVAL);
	FAILS(write(e, &v, 7), EINVAL);
	v = ~0ull;
	FAILS(write(e, &v, 8), EINVAL);
	CHECK(ready(e, POLLIN | POLLOUT) == POLLOUT);
	v = ~0ull - 1;
	CHECK(write(e, &v, 8) == 8);
	CHECK(ready(e, POLLIN | POLLOUT) == POLLIN);
	v = 1;
	FAILS(write(e, &v, 8), EAGAIN);
	CHECK(read(e, &v, 8) == 8 && v == ~0ull - 1);
	CHECK(write(e, big, 8) == 8 && read(e, big, 16) == 8 && big[0] == 1 && big[1] == 2);
	FAILS(write(e, nowhere, 8), EFAULT);
	s = eventfd(2, EFD_SEMAPHORE | EFD_CLOEXEC);
	CHECK(fcntl(s, F_GETFD) == FD_CLOEXEC);
	CHECK(read(s, &v, 8) == 8 && v == 1 && read(s, &v, 8) == 8 && v == 1 && ready(s, POLLIN) == 0);
	FAILS(eventfd(0, 2), EINVAL);
	CHECK(eventfd(~0u, 0) >= 0);
}

static void eventfd_wakes(int host)
{
	int e = eventfd(0, EFD_SEMAPHORE), w = eventfd(1, 0);
	uint64_t v;
	pid_t pid[6];

	for (int i = 0; i < 5; i++) {
		pid[i] = child();
		if (!pid[i]) {
			CHECK(read(e, &v, 8) == 8 && v == 1);
			_exit(0);
		}
	}
	pid[5] = child();
	if (!pid[5]) {
		v = ~0ull - 1;	/* has to wait for the 1 to be gone */
		CHECK(write(w, &v, 8) == 8);
		_exit(0);
	}
	pause_a_little();
	if (host) {
		need_the_host(e);
		need_the_host(w);
		pause_a_little();
	}
	v = 2;
	CHECK(write(e, &v, 8) == 8);
	v = 3;
	CHECK(write(e, &v, 8) == 8);
	for (int i = 0; i < 5; i++)
		joined(pid[i]);
	CHECK(read(w, &v, 8) == 8);
	if (v == 1)
		CHECK(read(w, &v, 8) == 8);
	CHECK(v == ~0ull - 1);
	joined(pid[5]);
}

static void t_eventfd_wakes(void)
{
	eventfd_wakes(0);
}

static void t_eventfd_moves(void)
{
	int e = eventfd(0, EFD_NONBLOCK);
	uint64_t v = 0x123456789abcdefull;

	CHECK(write(e, &v, 8) == 8);
	need_the_host(e);
	v = 0;
	CHECK(fcntl(e, F_GETFL) == (O_RDWR | O_NONBLOCK));
	CHECK(read(e, &v, 8) == 8 && v == 0x123456789abcdefull);
	FAILS(read(e, &v, 8), EAGAIN);
	eventfd_wakes(1);
}

static const struct { const char *name; void (*fn)(void); } cases[] = {
#define C(f) { #f, t_##f }
	C(stream), C(atomic), C(end_of_file), C(broken_pipe), C(broken_pipe_asleep), C(nonblocking), C(flags), C(sizes), C(what_it_is),
	C(vectors), C(interrupted), C(stopped), C(tokens), C(tokens_at_the_host), C(round), C(poll_events), C(poll_waits), C(select),
	C(poll_signal), C(poll_mixed), C(select_mixed), C(epoll), C(move_reader_asleep), C(move_writer_asleep), C(move_poller_asleep),
	C(move_in_traffic), C(move_one_end), C(passing), C(splicing), C(open_by_name), C(packets), C(shared_offsets), C(close_on_exec),
	C(closed_by_a_thread), C(no_room), C(eventfd), C(eventfd_wakes), C(eventfd_moves),
};

int main(int argc, char **argv)
{
	size_t n = sizeof(cases) / sizeof(cases[0]), first = 0, end = n;
	int failed = 0, status;
	pid_t pid;

	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		return 2;
	if (argc == 3 && !strcmp(argv[1], "open"))
		return fcntl(atoi(argv[2]), F_GETFD) < 0;
	if (argc == 2 && !strcmp(argv[1], "twice")) {
		end = 2 * n;
	} else if (argc == 2) {
		while (first < n && strcmp(argv[1], cases[first].name))
			first++;
		if (first == n)
			return 2;
		end = first + 1;
	}
	printf("TAP version 13\n1..%zu\n", end - first);
	for (size_t i = first; i < end; i++) {
		pid = child();
		if (!pid) {
			setpgid(0, 0);
			alarm(60);
			cases[i % n].fn();
			_exit(0);
		}
		status = -1;
		waitpid(pid, &status, 0);
		kill(-pid, SIGKILL);	/* what a case that failed has left behind */
		if (status)
			printf("# status %#x\n", status);
		printf("%s %zu %s\n", status ? "not ok" : "ok", i - first + 1, cases[i % n].name);
		fflush(stdout);
		failed |= !!status;
	}
	return failed;
}
