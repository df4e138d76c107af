// SPDX-License-Identifier: MIT
/*
 * pipe_test.c - pipes, eventfd, waiting for several descriptors, offsets that processes share
 *
 * Descriptors of different kinds are waited for together, because in the ring some of them are the guest kernel's and
 * others Linux's.
 */
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include "proc.h"

static char buf[1 << 20];

static short polled(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	SYS(poll(&p, 1, 0));
	return p.revents;
}

TEST(pipe_basics)
{
	struct stat st;
	int end[2];

	SYS(pipe(end));
	ASSERT_EQ(write(end[1], "hello", 5), 5);
	EXPECT_EQ(read(end[0], buf, 3), 3);
	EXPECT_EQ(read(end[0], buf + 3, 100), 2);
	EXPECT(!memcmp(buf, "hello", 5));
	EXPECT_ERRNO(lseek(end[0], 0, SEEK_SET), ESPIPE);
	EXPECT_ERRNO(pread(end[0], buf, 1, 0), ESPIPE);
	EXPECT_ERRNO(read(end[1], buf, 1), EBADF);
	EXPECT_ERRNO(write(end[0], buf, 1), EBADF);
	EXPECT_EQ(write(end[1], buf, 0), 0);
	EXPECT_EQ(fcntl(end[0], F_GETFL) & O_ACCMODE, O_RDONLY);
	EXPECT_EQ(fcntl(end[1], F_GETFL) & O_ACCMODE, O_WRONLY);
	SYS(fstat(end[0], &st));
	EXPECT(S_ISFIFO(st.st_mode));
	EXPECT_ERRNO(pipe2(end, 0x1000000), EINVAL);
	EXPECT_ERRNO(pipe((int *)at(16)), EFAULT);
	EXPECT_ERRNO(ftruncate(end[1], 0), EINVAL);
	EXPECT_ERRNO(fsync(end[1]), EINVAL);
	EXPECT_ERRNO(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, end[0], 0) == MAP_FAILED ? -1 : 0, ENODEV);
}

TEST(pipe_numbers_and_flags)
{
	int end[2], again[2];

	SYS(pipe2(end, O_CLOEXEC | O_NONBLOCK));
	EXPECT_EQ(fcntl(end[0], F_GETFD), FD_CLOEXEC);
	EXPECT_EQ(fcntl(end[1], F_GETFD), FD_CLOEXEC);
	EXPECT(fcntl(end[0], F_GETFL) & O_NONBLOCK);
	close(end[0]);
	close(end[1]);
	SYS(pipe(again));		/* the lowest free ones */
	EXPECT_EQ(again[0], end[0]);
	EXPECT_EQ(again[1], end[1]);
	EXPECT_EQ(fcntl(again[0], F_GETFD), 0);
	EXPECT_EQ(dup2(again[0], 300), 300);
	EXPECT_EQ(fcntl(again[1], F_DUPFD, 250), 250);
	EXPECT_EQ(close(again[0]), 0);
	EXPECT_EQ(write(again[1], "x", 1), 1);
	EXPECT_EQ(read(300, buf, 1), 1);
	EXPECT_ERRNO(close(again[0]), EBADF);
	EXPECT_ERRNO(dup2(again[0], 5), EBADF);
	EXPECT_ERRNO(dup3(300, 300, 0), EINVAL);
	EXPECT_EQ(dup2(300, 300), 300);
}

TEST(pipe_end_of_file)
{
	int end[2], copy;

	SYS(pipe(end));
	copy = SYS(dup(end[1]));
	ASSERT_EQ(write(end[1], "x", 1), 1);
	close(end[1]);
	EXPECT_EQ(read(end[0], buf, 10), 1);
	SYS(fcntl(end[0], F_SETFL, O_NONBLOCK));
	EXPECT_ERRNO(read(end[0], buf, 10), EAGAIN);
	close(copy);
	EXPECT_EQ(read(end[0], buf, 10), 0);
	EXPECT_EQ(read(end[0], buf, 10), 0);
	/* a writer in another process counts, until that process is gone */
	SYS(pipe(end));
	pid_t pid = CHILD({
		close(end[0]);
		ASSERT_EQ(write(end[1], "child", 5), 5);
	});

	close(end[1]);
	EXPECT_EQ(read(end[0], buf, 10), 5);
	EXPECT_EQ(read(end[0], buf, 10), 0);
	EXITS(pid, 0);
}

static volatile sig_atomic_t sigpipes;

static void on_pipe(int sig)
{
	sigpipes++;
}

TEST(pipe_without_readers)
{
	int end[2];

	SYS(pipe(end));
	close(end[0]);
	signal(SIGPIPE, SIG_IGN);
	EXPECT_ERRNO(write(end[1], "x", 1), EPIPE);
	signal(SIGPIPE, on_pipe);
	EXPECT_ERRNO(write(end[1], "x", 1), EPIPE);
	EXPECT_EQ(sigpipes, 1);
	DIES(CHILD(signal(SIGPIPE, SIG_DFL); (void)!write(end[1], "x", 1)), SIGPIPE);
	EXPECT_EQ(polled(end[1], POLLOUT) & (POLLOUT | POLLERR), POLLOUT | POLLERR);
	/* a reader that goes while the writer waits for room */
	SYS(pipe(end));
	pid_t pid = CHILD({
		close(end[1]);
		EXPECT_EQ(read(end[0], buf, 10), 10);
	});

	close(end[0]);
	while (write(end[1], buf, sizeof(buf)) > 0)
		;
	EXPECT_EQ(errno, EPIPE);
	EXPECT_EQ(sigpipes, 3);		/* one for the write that was cut short, one for the next */
	EXITS(pid, 0);
}

TEST(pipe_capacity)
{
	size_t total = 0;
	int end[2], n;

	SYS(pipe2(end, O_NONBLOCK));
	EXPECT_ERRNO(read(end[0], buf, 1), EAGAIN);
	while (write(end[1], buf, 1) == 1)
		total++;
	EXPECT_EQ(errno, EAGAIN);
	EXPECT_EQ(total, 65536);
	EXPECT_EQ(fcntl(end[1], F_GETPIPE_SZ), 65536);
	SYS(ioctl(end[0], FIONREAD, &n));
	EXPECT_EQ(n, 65536);
	EXPECT_EQ(polled(end[1], POLLOUT), 0);
	/* a write of at most PIPE_BUF is whole or not at all; a larger one may be cut */
	EXPECT_EQ(read(end[0], buf, 4095), 4095);
	EXPECT_ERRNO(write(end[1], buf, 4096), EAGAIN);
	EXPECT_EQ(read(end[0], buf, sizeof(buf)), 65536 - 4095);
	EXPECT_EQ(write(end[1], buf, sizeof(buf)), 65536);
	EXPECT_EQ(read(end[0], buf, sizeof(buf)), 65536);
}

/* Large writes block until all is read, and arrive in order. */
TEST(pipe_streams)
{
	size_t total = 0;
	ssize_t n;
	int end[2];
	pid_t pid;
	bool good = true;

	SYS(pipe(end));
	pid = CHILD({
		unsigned int *w = (void *)buf;

		close(end[0]);
		for (int round = 0; round < 8; round++) {
			for (size_t i = 0; i < sizeof(buf) / 4; i++)
				w[i] = round * sizeof(buf) / 4 + i;
			ASSERT_EQ(write(end[1], buf, sizeof(buf)), sizeof(buf));
		}
	});
	close(end[1]);
	while ((n = read(end[0], buf, 5000)) > 0) {
		for (ssize_t i = -(ssize_t)total & 3; i + 4 <= n; i += 4)
			good &= *(unsigned int *)(buf + i) == (total + i) / 4;
		total += n;
	}
	EXPECT_EQ(total, 8 * sizeof(buf));
	EXPECT(good);
	EXITS(pid, 0);
}

TEST(pipe_writes_are_atomic)
{
	int end[2], seen[4] = { 0 };
	bool good = true;
	char line[512];

	SYS(pipe(end));
	for (int k = 0; k < 4; k++)
		CHILD({
			memset(line, 'a' + k, sizeof(line));
			for (int i = 0; i < 300; i++)
				ASSERT_EQ(write(end[1], line, sizeof(line)), sizeof(line));
		});
	close(end[1]);
	for (size_t got = 0; got < 4 * 300 * 512; got += 512) {
		for (size_t n = 0; n < 512; ) {
			ssize_t r = read(end[0], line + n, 512 - n);

			ASSERT(r > 0);
			n += r;
		}
		for (int i = 1; i < 512; i++)
			good &= line[i] == line[0];
		seen[(line[0] - 'a') & 3]++;
	}
	EXPECT(good);
	for (int k = 0; k < 4; k++)
		EXPECT_EQ(seen[k], 300);
}

TEST(pipe_vectors)
{
	struct iovec out[3] = { { "one ", 4 }, { "", 0 }, { "two", 3 } }, in[2] = { { buf, 2 }, { buf + 10, 100 } };
	int end[2];

	SYS(pipe(end));
	EXPECT_EQ(writev(end[1], out, 3), 7);
	EXPECT_EQ(readv(end[0], in, 2), 7);
	EXPECT(!memcmp(buf, "on", 2) && !memcmp(buf + 10, "e two", 5));
	out[1].iov_len = -1;
	EXPECT_ERRNO(writev(end[1], out, 3), EINVAL);
	out[1] = (struct iovec){ (void *)at(16), 5 };
	EXPECT_ERRNO(writev(end[1], out + 1, 1), EFAULT);
	EXPECT_ERRNO(read(end[0], (void *)at(16), 0) == 0 ? write(end[1], (void *)at(16), 5) : -2, EFAULT);
}

TEST(pipe_many_processes)
{
	int to[2], from[2];
	long sum = 0, v;

	SYS(pipe(to));
	SYS(pipe(from));
	for (int k = 0; k < 10; k++)
		CHILD({
			close(to[1]);
			while (read(to[0], &v, sizeof(v)) == sizeof(v)) {
				v *= 2;
				ASSERT_EQ(write(from[1], &v, sizeof(v)), sizeof(v));
			}
		});
	close(to[0]);
	close(from[1]);
	for (long i = 0; i < 1000; i++) {
		ASSERT_EQ(write(to[1], &i, sizeof(i)), sizeof(i));
		ASSERT_EQ(read(from[0], &v, sizeof(v)), sizeof(v));
		sum += v;
	}
	close(to[1]);
	EXPECT_EQ(sum, 999 * 1000);
	EXPECT_EQ(read(from[0], &v, sizeof(v)), 0);
	for (int k = 0; k < 10; k++)
		EXPECT(wait(NULL) > 0);
}

/* A chain of filters, as a shell builds it. */
TEST(pipe_chain)
{
	int in = -1, end[2], first[2];
	char c;

	SYS(pipe(first));
	in = first[0];
	for (int k = 0; k < 20; k++) {
		SYS(pipe(end));
		CHILD({
			close(first[1]);
			close(end[0]);
			while (read(in, &c, 1) == 1) {
				c++;
				ASSERT_EQ(write(end[1], &c, 1), 1);
			}
		});
		close(in);
		close(end[1]);
		in = end[0];
	}
	ASSERT_EQ(write(first[1], "AB", 2), 2);
	close(first[1]);
	EXPECT_EQ(read(in, &c, 1), 1);
	EXPECT_EQ(c, 'A' + 20);
	EXPECT_EQ(read(in, &c, 1), 1);
	EXPECT_EQ(read(in, &c, 1), 0);
	for (int k = 0; k < 20; k++)
		EXPECT(wait(NULL) > 0);
}

TEST(named_pipe)
{
	pid_t pid;
	int fd;

	unlink("fifo");
	SYS(mkfifo("fifo", 0600));
	EXPECT_ERRNO(open("fifo", O_WRONLY | O_NONBLOCK), ENXIO);
	pid = CHILD({
		fd = SYS(open("fifo", O_WRONLY));
		ASSERT_EQ(write(fd, "through", 7), 7);
	});
	fd = SYS(open("fifo", O_RDONLY));
	EXPECT_EQ(read(fd, buf, 100), 7);
	EXPECT_EQ(read(fd, buf, 100), 0);
	EXITS(pid, 0);
	unlink("fifo");
}

TEST(splice_and_sendfile)
{
	int fd = scratch_file("0123456789", 10), end[2], end2[2];

	SYS(pipe(end));
	SYS(pipe(end2));
	EXPECT_EQ(sendfile(end[1], fd, NULL, 4), 4);
	EXPECT_EQ(splice(fd, NULL, end[1], NULL, 3, 0), 3);
	EXPECT_EQ(tee(end[0], end2[1], 100, 0), 7);
	EXPECT_EQ(read(end[0], buf, 100), 7);
	EXPECT(!memcmp(buf, "0123456", 7));
	EXPECT_EQ(read(end2[0], buf, 100), 7);
	ASSERT_EQ(write(end[1], "new", 3), 3);
	EXPECT_EQ(splice(end[0], NULL, fd, NULL, 3, 0), 3);
	EXPECT_EQ(pread(fd, buf, 10, 0), 10);
	EXPECT(!memcmp(buf, "0123456new", 10));
}

/* --- eventfd --------------------------------------------------------------------------------------------------------- */

TEST(eventfd_counts)
{
	int fd = SYS(eventfd(3, EFD_NONBLOCK));
	uint64_t v = 4;

	EXPECT_EQ(write(fd, &v, 8), 8);
	EXPECT_EQ(read(fd, &v, 8), 8);
	EXPECT_EQ(v, 7);
	EXPECT_ERRNO(read(fd, &v, 8), EAGAIN);
	v = -1;
	EXPECT_ERRNO(write(fd, &v, 8), EINVAL);
	v = -2;
	EXPECT_EQ(write(fd, &v, 8), 8);
	v = 1;
	EXPECT_ERRNO(write(fd, &v, 8), EAGAIN);
	EXPECT_EQ(polled(fd, POLLIN | POLLOUT), POLLIN);
	EXPECT_ERRNO(read(fd, &v, 4), EINVAL);
	fd = SYS(eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK));
	for (int i = 0; i < 2; i++) {
		EXPECT_EQ(read(fd, &v, 8), 8);
		EXPECT_EQ(v, 1);
	}
	EXPECT_ERRNO(read(fd, &v, 8), EAGAIN);
	EXPECT_EQ(polled(fd, POLLIN | POLLOUT), POLLOUT);
	EXPECT_ERRNO(eventfd(0, 0x40000), EINVAL);
}

TEST(eventfd_between_processes)
{
	int a = SYS(eventfd(0, 0)), b = SYS(eventfd(0, 0));
	uint64_t v;
	pid_t pid = CHILD({
		for (int i = 1; i <= 500; i++) {
			ASSERT_EQ(read(a, &v, 8), 8);
			EXPECT_EQ(v, i);
			ASSERT_EQ(write(b, &v, 8), 8);
		}
	});

	for (uint64_t i = 1; i <= 500; i++) {
		ASSERT_EQ(write(a, &i, 8), 8);
		ASSERT_EQ(read(b, &v, 8), 8);
		EXPECT_EQ(v, i);
	}
	EXITS(pid, 0);
}

/* --- waiting for several --------------------------------------------------------------------------------------------- */

enum { PIPE, SOCKET, EVENT, TIMER, FILE_, NR_KINDS };

/* One readable descriptor of each kind in @rd; what makes it readable is written to @wr. */
static void one_of_each(int rd[NR_KINDS], int wr[NR_KINDS])
{
	int end[2];

	SYS(pipe(end));
	rd[PIPE] = end[0];
	wr[PIPE] = end[1];
	SYS(socketpair(AF_UNIX, SOCK_STREAM, 0, end));
	rd[SOCKET] = end[0];
	wr[SOCKET] = end[1];
	rd[EVENT] = wr[EVENT] = SYS(eventfd(0, 0));
	rd[TIMER] = SYS(timerfd_create(CLOCK_MONOTONIC, 0));
	wr[TIMER] = -1;
	rd[FILE_] = scratch_file("x", 1);
	wr[FILE_] = -1;
}

static void make_ready(int kind, int wr[NR_KINDS], int rd[NR_KINDS])
{
	struct itimerspec soon = { { 0, 0 }, { 0, 1 } };
	uint64_t one = 1;

	if (kind == TIMER)
		SYS(timerfd_settime(rd[TIMER], 0, &soon, NULL));
	else
		ASSERT_EQ(write(wr[kind], &one, 8), 8);
}

TEST(poll_mixed_descriptors)
{
	struct pollfd p[NR_KINDS];
	int rd[NR_KINDS], wr[NR_KINDS];
	uint64_t v;

	one_of_each(rd, wr);
	for (int i = 0; i < NR_KINDS; i++)
		p[i] = (struct pollfd){ .fd = rd[i], .events = POLLIN };
	EXPECT_EQ(poll(p, NR_KINDS - 1, 0), 0);
	EXPECT_EQ(poll(p, NR_KINDS, -1), 1);		/* a file is always ready */
	EXPECT_EQ(p[FILE_].revents, POLLIN);
	for (int kind = 0; kind < FILE_; kind++) {
		/* somebody else makes it ready while we wait for all of them */
		pid_t pid = CHILD(make_ready(kind, wr, rd));

		EXPECT_EQ(poll(p, NR_KINDS - 1, 20000), 1);
		EXPECT_EQ(p[kind].revents, POLLIN);
		EXITS(pid, 0);
		EXPECT_EQ(read(rd[kind], &v, 8), 8);
		EXPECT_EQ(poll(p, NR_KINDS - 1, 0), 0);
	}
	for (int kind = 0; kind < FILE_; kind++)
		make_ready(kind, wr, rd);
	EXPECT(eventually(poll(p, NR_KINDS, 0) == NR_KINDS));
}

TEST(poll_details)
{
	struct pollfd p[3];
	int end[2], fd;
	double begin;

	SYS(pipe(end));
	fd = SYS(dup(end[0]));
	close(fd);
	p[0] = (struct pollfd){ .fd = end[1], .events = POLLOUT };
	p[1] = (struct pollfd){ .fd = -1, .events = POLLIN };
	p[2] = (struct pollfd){ .fd = fd, .events = POLLIN };
	EXPECT_EQ(poll(p, 3, 1000), 2);
	EXPECT_EQ(p[0].revents, POLLOUT);
	EXPECT_EQ(p[1].revents, 0);
	EXPECT_EQ(p[2].revents, POLLNVAL);
	begin = now();
	p[0] = (struct pollfd){ .fd = end[0], .events = POLLIN };
	EXPECT_EQ(poll(p, 1, 50), 0);
	EXPECT(now() - begin >= 0.05);
	ASSERT_EQ(write(end[1], "x", 1), 1);
	close(end[1]);
	EXPECT_EQ(poll(p, 1, -1), 1);
	EXPECT_EQ(p[0].revents, POLLIN | POLLHUP);
	EXPECT_EQ(read(end[0], buf, 1), 1);
	EXPECT_EQ(poll(p, 1, -1), 1);
	EXPECT_EQ(p[0].revents, POLLHUP);
	EXPECT_ERRNO(poll((void *)at(16), 1, 0), EFAULT);
	EXPECT_EQ(poll(NULL, 0, 10), 0);
	/* the end of the last writer wakes who waits */
	SYS(pipe(end));
	pid_t pid = CHILD(usleep(20000));

	close(end[1]);
	p[0].fd = end[0];
	EXPECT_EQ(poll(p, 1, 20000), 1);
	EXPECT_EQ(p[0].revents, POLLHUP);
	EXITS(pid, 0);
}

TEST(select_mixed_descriptors)
{
	int rd[NR_KINDS], wr[NR_KINDS], top = 0;
	struct timeval zero = { 0, 0 }, little = { 0, 50000 };
	fd_set r, w, e;
	uint64_t v;
	double begin;

	one_of_each(rd, wr);
	for (int i = 0; i < NR_KINDS; i++) {
		if (rd[i] > top)
			top = rd[i];
		if (wr[i] > top)
			top = wr[i];
	}
	for (int kind = 0; kind < FILE_; kind++) {
		pid_t pid = CHILD(make_ready(kind, wr, rd));

		FD_ZERO(&r);
		for (int i = 0; i < FILE_; i++)
			FD_SET(rd[i], &r);
		EXPECT_EQ(select(top + 1, &r, NULL, NULL, NULL), 1);
		for (int i = 0; i < FILE_; i++)
			EXPECT_EQ(!!FD_ISSET(rd[i], &r), i == kind);
		EXITS(pid, 0);
		EXPECT_EQ(read(rd[kind], &v, 8), 8);
	}
	FD_ZERO(&r);
	FD_ZERO(&w);
	FD_ZERO(&e);
	FD_SET(rd[PIPE], &r);
	FD_SET(wr[PIPE], &w);
	FD_SET(wr[SOCKET], &w);
	FD_SET(rd[SOCKET], &e);
	EXPECT_EQ(select(top + 1, &r, &w, &e, &zero), 2);
	EXPECT(FD_ISSET(wr[PIPE], &w) && FD_ISSET(wr[SOCKET], &w));
	EXPECT(!FD_ISSET(rd[PIPE], &r) && !FD_ISSET(rd[SOCKET], &e));
	begin = now();
	FD_ZERO(&r);
	FD_SET(rd[PIPE], &r);
	EXPECT_EQ(select(top + 1, &r, NULL, NULL, &little), 0);
	EXPECT(now() - begin >= 0.05);
	EXPECT(!FD_ISSET(rd[PIPE], &r));
	close(rd[PIPE]);
	FD_SET(rd[PIPE], &r);
	EXPECT_ERRNO(select(top + 1, &r, NULL, NULL, &zero), EBADF);
	EXPECT_ERRNO(select(-1, NULL, NULL, NULL, &zero), EINVAL);
}

TEST(epoll_mixed_descriptors)
{
	int rd[NR_KINDS], wr[NR_KINDS], ep = SYS(epoll_create1(EPOLL_CLOEXEC));
	struct epoll_event ev[8];
	uint64_t v;

	one_of_each(rd, wr);
	for (int i = 0; i < FILE_; i++) {
		ev[0] = (struct epoll_event){ .events = EPOLLIN, .data.u64 = 1000 + i };
		SYS(epoll_ctl(ep, EPOLL_CTL_ADD, rd[i], &ev[0]));
		EXPECT_ERRNO(epoll_ctl(ep, EPOLL_CTL_ADD, rd[i], &ev[0]), EEXIST);
	}
	EXPECT_ERRNO(epoll_ctl(ep, EPOLL_CTL_ADD, rd[FILE_], &ev[0]), EPERM);
	EXPECT_ERRNO(epoll_ctl(ep, EPOLL_CTL_MOD, wr[PIPE], &ev[0]), ENOENT);
	EXPECT_ERRNO(epoll_ctl(ep, EPOLL_CTL_ADD, 999, &ev[0]), EBADF);
	EXPECT_ERRNO(epoll_ctl(rd[PIPE], EPOLL_CTL_ADD, rd[SOCKET], &ev[0]), EINVAL);
	EXPECT_EQ(epoll_wait(ep, ev, 8, 0), 0);
	EXPECT_ERRNO(epoll_wait(ep, ev, 0, 0), EINVAL);
	for (int kind = 0; kind < FILE_; kind++) {
		pid_t pid = CHILD(make_ready(kind, wr, rd));

		EXPECT_EQ(epoll_wait(ep, ev, 8, 20000), 1);
		EXPECT_EQ(ev[0].data.u64, 1000 + kind);
		EXPECT_EQ(ev[0].events, EPOLLIN);
		EXPECT_EQ(epoll_wait(ep, ev, 8, 0), 1);		/* as long as there is something */
		EXITS(pid, 0);
		EXPECT_EQ(read(rd[kind], &v, 8), 8);
		EXPECT_EQ(epoll_wait(ep, ev, 8, 0), 0);
	}
	SYS(epoll_ctl(ep, EPOLL_CTL_DEL, rd[PIPE], NULL));
	make_ready(PIPE, wr, rd);
	EXPECT_EQ(epoll_wait(ep, ev, 8, 0), 0);
}

TEST(epoll_edges_and_one_shot)
{
	int end[2], ep = SYS(epoll_create1(0)), ep2 = SYS(epoll_create1(0));
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET, .data.fd = 5 }, got;

	SYS(pipe(end));
	SYS(epoll_ctl(ep, EPOLL_CTL_ADD, end[0], &ev));
	ASSERT_EQ(write(end[1], "ab", 2), 2);
	EXPECT_EQ(epoll_wait(ep, &got, 1, 0), 1);
	EXPECT_EQ(epoll_wait(ep, &got, 1, 0), 0);	/* told once */
	EXPECT_EQ(read(end[0], buf, 1), 1);
	EXPECT_EQ(epoll_wait(ep, &got, 1, 0), 0);	/* still something there, but nothing new */
	ASSERT_EQ(write(end[1], "c", 1), 1);
	EXPECT_EQ(epoll_wait(ep, &got, 1, 0), 1);
	ev.events = EPOLLIN | EPOLLONESHOT;
	SYS(epoll_ctl(ep, EPOLL_CTL_MOD, end[0], &ev));
	EXPECT_EQ(epoll_wait(ep, &got, 1, 0), 1);
	ASSERT_EQ(write(end[1], "d", 1), 1);
	EXPECT_EQ(epoll_wait(ep, &got, 1, 0), 0);
	SYS(epoll_ctl(ep, EPOLL_CTL_MOD, end[0], &ev));
	EXPECT_EQ(epoll_wait(ep, &got, 1, 0), 1);
	/* an epoll in an epoll, and in a poll */
	SYS(epoll_ctl(ep, EPOLL_CTL_MOD, end[0], &ev));
	ev.events = EPOLLIN;
	SYS(epoll_ctl(ep2, EPOLL_CTL_ADD, ep, &ev));
	EXPECT_EQ(epoll_wait(ep2, &got, 1, 0), 1);
	EXPECT_EQ(polled(ep2, POLLIN), POLLIN);
	EXPECT_ERRNO(epoll_ctl(ep, EPOLL_CTL_ADD, ep2, &ev), ELOOP);
	/* the last descriptor of the pipe's end takes the entry along */
	close(end[0]);
	EXPECT_EQ(epoll_wait(ep, &got, 1, 0), 0);
	EXPECT_EQ(epoll_wait(ep2, &got, 1, 0), 0);
}

TEST(epoll_over_fork_and_dup)
{
	int end[2], ep = SYS(epoll_create1(0)), copy;
	struct epoll_event ev = { .events = EPOLLIN, .data.fd = 5 }, got;

	SYS(pipe(end));
	copy = SYS(dup(end[0]));
	SYS(epoll_ctl(ep, EPOLL_CTL_ADD, end[0], &ev));
	close(end[0]);			/* the open file is still there */
	ASSERT_EQ(write(end[1], "x", 1), 1);
	EXPECT_EQ(epoll_wait(ep, &got, 1, 0), 1);
	EXITS(CHILD({
		EXPECT_EQ(epoll_wait(ep, &got, 1, 0), 1);
		EXPECT_EQ(read(copy, buf, 1), 1);
		EXPECT_EQ(epoll_wait(ep, &got, 1, 0), 0);
		close(ep);
		close(copy);
	}), 0);
	EXPECT_EQ(epoll_wait(ep, &got, 1, 0), 0);
	ASSERT_EQ(write(end[1], "x", 1), 1);
	EXPECT_EQ(epoll_wait(ep, &got, 1, 0), 1);
}

static void *polls_thread(void *arg)
{
	struct pollfd p = { .fd = (intptr_t)arg, .events = POLLIN };

	return (void *)(intptr_t)poll(&p, 1, 20000);
}

TEST(many_wait_for_one)
{
	pthread_t t[8];
	int end[2];
	void *ret;

	SYS(pipe(end));
	for (int i = 0; i < 8; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, polls_thread, (void *)(intptr_t)end[0]), 0);
	ASSERT_EQ(write(end[1], "x", 1), 1);
	for (int i = 0; i < 8; i++) {
		pthread_join(t[i], &ret);
		EXPECT_EQ((intptr_t)ret, 1);
	}
}

static void *reads_thread(void *arg)
{
	char c;

	return (void *)(intptr_t)read((intptr_t)arg, &c, 1);
}

/* A call that blocks in Linux does not stop the other threads, nor the other processes. */
TEST(blocking_calls_side_by_side)
{
	int sock[8][2];
	pthread_t t[8];
	void *ret;
	pid_t pid;

	for (int i = 0; i < 8; i++) {
		SYS(socketpair(AF_UNIX, SOCK_STREAM, 0, sock[i]));
		ASSERT_EQ(pthread_create(&t[i], NULL, reads_thread, (void *)(intptr_t)sock[i][0]), 0);
	}
	for (int i = 7; i >= 0; i--) {
		pid = CHILD(ASSERT_EQ(write(sock[i][1], "x", 1), 1));
		pthread_join(t[i], &ret);
		EXPECT_EQ((intptr_t)ret, 1);
		EXITS(pid, 0);
	}
}

/* --- open files that are shared -------------------------------------------------------------------------------------- */

TEST(offset_shared_by_dup_and_fork)
{
	int fd = scratch_file("0123456789", 10), copy = SYS(dup(fd)), path_fd;
	char path[64];

	EXPECT_EQ(read(fd, buf, 2), 2);
	EXPECT_EQ(lseek(copy, 0, SEEK_CUR), 2);
	EXITS(CHILD({
		EXPECT_EQ(read(copy, buf, 3), 3);
		EXPECT(!memcmp(buf, "234", 3));
	}), 0);
	EXPECT_EQ(read(fd, buf, 1), 1);
	EXPECT_EQ(buf[0], '5');
	/* an open of its own has an offset of its own */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	path_fd = open(path, O_RDONLY);
	if (path_fd >= 0)
		EXPECT_EQ(lseek(path_fd, 0, SEEK_CUR), 0);
	/* flags of the open file are shared, those of the descriptor are not */
	SYS(fcntl(fd, F_SETFL, O_APPEND));
	EXPECT(fcntl(copy, F_GETFL) & O_APPEND);
	SYS(fcntl(fd, F_SETFD, FD_CLOEXEC));
	EXPECT_EQ(fcntl(copy, F_GETFD), 0);
}

TEST(append_by_many)
{
	int fd, seen[4] = { 0 };

	unlink("log");
	for (int k = 0; k < 4; k++)
		CHILD({
			fd = SYS(open("log", O_WRONLY | O_APPEND | O_CREAT, 0600));
			for (int i = 0; i < 100; i++)
				ASSERT_EQ(dprintf(fd, "%d line\n", k), 7);
		});
	for (int k = 0; k < 4; k++)
		EXPECT(wait(NULL) > 0);
	fd = SYS(open("log", O_RDONLY));
	ASSERT_EQ(read(fd, buf, sizeof(buf)), 4 * 100 * 7);
	for (int i = 0; i < 400; i++) {
		EXPECT(!memcmp(buf + i * 7 + 1, " line\n", 6));
		seen[(buf[i * 7] - '0') & 3]++;
	}
	for (int k = 0; k < 4; k++)
		EXPECT_EQ(seen[k], 100);
	unlink("log");
}

TEST(file_locks)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 10, .l_len = 10 };
	int fd;

	unlink("locked");
	fd = SYS(open("locked", O_RDWR | O_CREAT, 0600));
	SYS(fcntl(fd, F_SETLK, &lock));
	EXITS(CHILD({
		struct flock other = lock;

		EXPECT_ERRNO(fcntl(fd, F_SETLK, &other), EAGAIN);
		SYS(fcntl(fd, F_GETLK, &other));
		EXPECT_EQ(other.l_type, F_WRLCK);
		EXPECT_EQ(other.l_pid, getppid());
		other.l_type = F_WRLCK;
		other.l_start = 20;
		SYS(fcntl(fd, F_SETLK, &other));
	}), 0);
	lock.l_start = 20;
	SYS(fcntl(fd, F_SETLK, &lock));		/* the child's is gone with it */
	/* flock belongs to the open file: a child has it too, another open has not */
	SYS(flock(fd, LOCK_EX));
	EXITS(CHILD({
		int again = SYS(open("locked", O_RDWR));

		SYS(flock(fd, LOCK_EX | LOCK_NB));
		EXPECT_ERRNO(flock(again, LOCK_EX | LOCK_NB), EAGAIN);
	}), 0);
	unlink("locked");
}

TEST(descriptor_limits)
{
	int end[2], n = 0;

	EXITS(CHILD({
		while (n < 100000 && !pipe(end))
			n++;
		EXPECT_EQ(errno, EMFILE);
		EXPECT(n > 10);
		(void)dup(0);			/* a pipe takes two: one may be left */
		EXPECT_ERRNO(eventfd(0, 0), EMFILE);
		close(end[1]);
		EXPECT_EQ(dup(0), end[1]);
	}), 0);
	SYS(pipe(end));
}

/* Descriptors that travel over a socket arrive as the same open file. */
TEST(descriptors_over_a_socket)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { "x", 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	int sock[2], fd = scratch_file("0123456789", 10);

	SYS(socketpair(AF_UNIX, SOCK_STREAM, 0, sock));
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	pid_t pid = CHILD({
		char room[16];

		close(fd);
		iov = (struct iovec){ room, 16 };
		memset(control, 0, sizeof(control));
		msg.msg_controllen = sizeof(control);
		ASSERT_EQ(recvmsg(sock[1], &msg, 0), 1);
		c = CMSG_FIRSTHDR(&msg);
		ASSERT(c && c->cmsg_type == SCM_RIGHTS);
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
		EXPECT_EQ(lseek(fd, 3, SEEK_SET), 3);
	});

	EXPECT_EQ(sendmsg(sock[0], &msg, 0), 1);
	EXITS(pid, 0);
	EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 3);
}
