// SPDX-License-Identifier: MIT
/*
 * socket_test.c - what a program may expect of IPv4 sockets: the same binary natively and in the ring
 *
 * All of it is over 127.0.0.1, so it needs nobody else. Each case is a process of its own; one that
 * fails says where.
 *
 * usage: rs-socket-test [CASE]...
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
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
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHECK(c)							\
	do {								\
		if (!(c)) {						\
			printf("# line %d: %s (errno %d)\n", __LINE__, #c, errno);	\
			fflush(stdout);					\
			_exit(1);					\
		}							\
	} while (0)
#define EQ(a, b)							\
	do {								\
		long a_ = (long)(a), b_ = (long)(b);			\
		if (a_ != b_) {						\
			printf("# line %d: %s is %ld, not %ld (errno %d)\n", __LINE__, #a, a_, b_, errno); \
			fflush(stdout);					\
			_exit(1);					\
		}							\
	} while (0)
#define FAILS(call, err)						\
	do {								\
		errno = 0;						\
		EQ(call, -1);						\
		EQ(errno, err);						\
	} while (0)

static struct sockaddr_in at(uint16_t port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port),
				     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static uint16_t port_of(int fd)
{
	struct sockaddr_in a;
	socklen_t len = sizeof(a);

	EQ(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	return ntohs(a.sin_port);
}

static int bound(int type, uint16_t port)
{
	struct sockaddr_in a = at(port);
	int fd = socket(AF_INET, type, 0), on = 1;

	CHECK(fd >= 0);
	EQ(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
	EQ(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

static int listener(void)
{
	int fd = bound(SOCK_STREAM, 0);

	EQ(listen(fd, 8), 0);
	return fd;
}

static int to(int type, uint16_t port)
{
	struct sockaddr_in a = at(port);
	int fd = socket(AF_INET, type, 0);

	CHECK(fd >= 0);
	EQ(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

/* Two ends of a connection. */
static void pair(int fd[2])
{
	int l = listener();

	fd[0] = to(SOCK_STREAM, port_of(l));
	fd[1] = accept(l, NULL, NULL);
	CHECK(fd[1] >= 0);
	close(l);
}

static int ready(int fd, short events, int ms)
{
	struct pollfd p = { .fd = fd, .events = events };
	int n = poll(&p, 1, ms);

	CHECK(n >= 0);
	return n ? p.revents : 0;
}

static int option(int fd, int level, int name)
{
	int v = 0;
	socklen_t len = sizeof(v);

	EQ(getsockopt(fd, level, name, &v, &len), 0);
	EQ(len, sizeof(v));
	return v;
}

static void ended_well(pid_t pid)
{
	int status;

	EQ(waitpid(pid, &status, 0), pid);
	EQ(status, 0);
}

static uint8_t byte_at(uint64_t i)
{
	return (uint8_t)(i * 2654435761u >> 9);
}

/* --- datagrams -------------------------------------------------------------------------------- */

static void udp_basic(void)
{
	int a = bound(SOCK_DGRAM, 0), b = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in dst = at(port_of(a)), src;
	socklen_t len = sizeof(src);
	char buf[100];

	EQ(sendto(b, "one", 3, 0, (struct sockaddr *)&dst, sizeof(dst)), 3);
	EQ(sendto(b, "", 0, 0, (struct sockaddr *)&dst, sizeof(dst)), 0);
	EQ(sendto(b, "three", 5, 0, (struct sockaddr *)&dst, sizeof(dst)), 5);
	EQ(recvfrom(a, buf, sizeof(buf), 0, (struct sockaddr *)&src, &len), 3);
	CHECK(len == sizeof(src) && src.sin_addr.s_addr == dst.sin_addr.s_addr);
	EQ(ntohs(src.sin_port), port_of(b));
	EQ(recv(a, buf, sizeof(buf), 0), 0);
	EQ(recv(a, buf, 2, MSG_PEEK), 2);
	EQ(recv(a, buf, 2, MSG_TRUNC), 5);
	FAILS(recv(a, buf, 2, MSG_DONTWAIT), EAGAIN);
	/* back, and by read and write once connected */
	EQ(sendto(a, "x", 1, 0, (struct sockaddr *)&src, len), 1);
	EQ(connect(b, (struct sockaddr *)&dst, sizeof(dst)), 0);
	EQ(read(b, buf, 10), 1);
	EQ(write(b, "yy", 2), 2);
	EQ(read(a, buf, 10), 2);
}

static void udp_errors(void)
{
	int a = socket(AF_INET, SOCK_DGRAM, 0), b = bound(SOCK_DGRAM, 0);
	uint16_t port = port_of(b);
	struct sockaddr_in dst = at(port);
	char *big = calloc(1, 70000), c;

	FAILS(send(a, "x", 1, 0), EDESTADDRREQ);
	FAILS(sendto(a, big, 65508, 0, (struct sockaddr *)&dst, sizeof(dst)), EMSGSIZE);
	EQ(sendto(a, big, 65507, 0, (struct sockaddr *)&dst, sizeof(dst)), 65507);
	EQ(recv(b, big, 70000, 0), 65507);
	FAILS(sendto(a, big, 1, 0, (struct sockaddr *)&dst, 5), EINVAL);
	dst.sin_port = 0;
	FAILS(sendto(a, big, 1, 0, (struct sockaddr *)&dst, sizeof(dst)), EINVAL);
	dst.sin_family = AF_UNIX;
	FAILS(sendto(a, big, 1, 0, (struct sockaddr *)&dst, sizeof(dst)), EAFNOSUPPORT);
	FAILS(listen(a, 1), EOPNOTSUPP);
	FAILS(accept(a, NULL, NULL), EOPNOTSUPP);
	dst = at(port);
	close(b);
	EQ(connect(a, (struct sockaddr *)&dst, sizeof(dst)), 0);
	EQ(send(a, "x", 1, 0), 1);
	EQ(ready(a, POLLIN, 1000) & POLLERR, POLLERR);
	FAILS(recv(a, &c, 1, 0), ECONNREFUSED);
	EQ(send(a, "x", 1, 0), 1);
	EQ(ready(a, POLLIN, 1000) & POLLERR, POLLERR);
	EQ(option(a, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
	EQ(option(a, SOL_SOCKET, SO_ERROR), 0);
	/* not connected any more */
	dst.sin_family = AF_UNSPEC;
	EQ(connect(a, (struct sockaddr *)&dst, sizeof(dst)), 0);
	FAILS(send(a, "x", 1, 0), EDESTADDRREQ);
}

static void udp_messages(void)
{
	int a = bound(SOCK_DGRAM, 0), b = to(SOCK_DGRAM, port_of(a)), on = 1;
	char x[4], y[8], control[100];
	struct iovec out[3] = { { "ab", 2 }, { "", 0 }, { "cdefg", 5 } };
	struct iovec in[2] = { { x, 4 }, { y, 8 } };
	struct sockaddr_in src;
	struct msghdr m = { .msg_iov = out, .msg_iovlen = 3 };
	struct mmsghdr mm[3] = { 0 };
	struct cmsghdr *cm;
	int i;

	EQ(setsockopt(a, IPPROTO_IP, IP_PKTINFO, &on, sizeof(on)), 0);
	EQ(sendmsg(b, &m, 0), 7);
	m = (struct msghdr){ .msg_iov = in, .msg_iovlen = 2, .msg_name = &src,
			     .msg_namelen = sizeof(src), .msg_control = control,
			     .msg_controllen = sizeof(control) };
	EQ(recvmsg(a, &m, 0), 7);
	CHECK(!memcmp(x, "abcd", 4) && !memcmp(y, "efg", 3));
	EQ(m.msg_namelen, sizeof(src));
	EQ(m.msg_flags, 0);
	cm = CMSG_FIRSTHDR(&m);
	CHECK(cm && cm->cmsg_level == IPPROTO_IP && cm->cmsg_type == IP_PKTINFO);
	EQ(((struct in_pktinfo *)CMSG_DATA(cm))->ipi_addr.s_addr, htonl(INADDR_LOOPBACK));
	EQ(send(b, "123456", 6, 0), 6);
	m.msg_iovlen = 1;
	m.msg_controllen = 0;
	EQ(recvmsg(a, &m, 0), 4);
	EQ(m.msg_flags & MSG_TRUNC, MSG_TRUNC);
	for (i = 0; i < 3; i++)
		mm[i].msg_hdr = (struct msghdr){ .msg_iov = &out[i], .msg_iovlen = 1 };
	EQ(sendmmsg(b, mm, 3, 0), 3);
	EQ(mm[2].msg_len, 5);
	for (i = 0; i < 3; i++)
		mm[i].msg_hdr = (struct msghdr){ .msg_iov = &in[i % 2], .msg_iovlen = 1 };
	EQ(recvmmsg(a, mm, 3, 0, NULL), 3);
	EQ(mm[0].msg_len, 2);
	EQ(mm[1].msg_len, 0);
	/* from memory that is not there */
	out[0].iov_base = (void *)8;
	m = (struct msghdr){ .msg_iov = out, .msg_iovlen = 1 };
	FAILS(sendmsg(b, &m, 0), EFAULT);
	FAILS(recv(a, y, 8, MSG_DONTWAIT), EAGAIN);
	EQ(send(b, "z", 1, 0), 1);
	FAILS(recv(a, (void *)8, 1, 0), EFAULT);
}

static void udp_ports(void)
{
	int a = socket(AF_INET, SOCK_DGRAM, 0), b = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in any = { .sin_family = AF_INET };

	EQ(bind(a, (struct sockaddr *)&any, sizeof(any)), 0);
	CHECK(port_of(a));
	FAILS(bind(a, (struct sockaddr *)&any, sizeof(any)), EINVAL);
	any.sin_port = htons(port_of(a));
	FAILS(bind(b, (struct sockaddr *)&any, sizeof(any)), EADDRINUSE);
	any.sin_port = 0;
	any.sin_addr.s_addr = htonl(0x01020304);
	FAILS(bind(b, (struct sockaddr *)&any, sizeof(any)), EADDRNOTAVAIL);
	any.sin_port = htons(port_of(a));
	any.sin_addr.s_addr = 0;
	close(a);
	EQ(bind(b, (struct sockaddr *)&any, sizeof(any)), 0);
}

/* --- streams ---------------------------------------------------------------------------------- */

#define BULK	(3 << 20)

static void echo_all(int fd)
{
	static char buf[50000];
	ssize_t n, k, done;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		for (done = 0; done < n; done += k) {
			k = write(fd, buf + done, (size_t)(n - done));
			CHECK(k > 0);
		}
	EQ(n, 0);
}

static void tcp_bulk(void)
{
	static uint8_t out[70001], in[70001];
	int l = listener(), fd, i;
	uint64_t sent = 0, got = 0;
	pid_t pid = fork();

	if (!pid) {
		fd = accept(l, NULL, NULL);
		CHECK(fd >= 0);
		echo_all(fd);
		_exit(0);
	}
	fd = to(SOCK_STREAM, port_of(l));
	EQ(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	while (got < BULK) {
		struct pollfd p = { .fd = fd, .events = POLLIN | (sent < BULK ? POLLOUT : 0) };
		ssize_t n;

		EQ(poll(&p, 1, 60000), 1);
		if (p.revents & POLLOUT) {
			size_t want = sizeof(out) < BULK - sent ? sizeof(out) : BULK - sent;

			for (i = 0; i < (int)want; i++)
				out[i] = byte_at(sent + (uint64_t)i);
			n = write(fd, out, want);
			if (n < 0) {
				EQ(errno, EAGAIN);
				n = 0;
			}
			sent += (uint64_t)n;
			if (sent == BULK)
				EQ(shutdown(fd, SHUT_WR), 0);
		}
		if (p.revents & POLLIN) {
			n = read(fd, in, sizeof(in));
			CHECK(n > 0);
			for (i = 0; i < n; i++)
				CHECK(in[i] == byte_at(got + (uint64_t)i));
			got += (uint64_t)n;
		}
	}
	EQ(ready(fd, POLLIN, 10000) & POLLIN, POLLIN);
	EQ(read(fd, in, 1), 0);
	ended_well(pid);
}

static void tcp_names(void)
{
	int l = listener(), c = to(SOCK_STREAM, port_of(l)), s;
	struct sockaddr_in a;
	socklen_t len = sizeof(a);

	s = accept4(l, (struct sockaddr *)&a, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	CHECK(s >= 0 && len == sizeof(a));
	EQ(ntohs(a.sin_port), port_of(c));
	EQ(fcntl(s, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	EQ(fcntl(s, F_GETFD), FD_CLOEXEC);
	EQ(getpeername(c, (struct sockaddr *)&a, &len), 0);
	EQ(ntohs(a.sin_port), port_of(l));
	len = 3;
	EQ(getpeername(s, (struct sockaddr *)&a, &len), 0);
	EQ(len, sizeof(a));
	FAILS(getpeername(l, (struct sockaddr *)&a, &len), ENOTCONN);
	EQ(option(l, SOL_SOCKET, SO_ACCEPTCONN), 1);
	EQ(option(s, SOL_SOCKET, SO_ACCEPTCONN), 0);
	EQ(option(s, SOL_SOCKET, SO_TYPE), SOCK_STREAM);
	EQ(option(s, SOL_SOCKET, SO_DOMAIN), AF_INET);
	EQ(option(s, SOL_SOCKET, SO_PROTOCOL), IPPROTO_TCP);
}

static void tcp_refused(void)
{
	int l = listener(), c = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a = at(port_of(l));
	char b;

	close(l);
	FAILS(connect(c, (struct sockaddr *)&a, sizeof(a)), ECONNREFUSED);
	FAILS(read(c, &b, 1), ENOTCONN);
	/* once more with the same one, when there is somebody */
	l = listener();
	a = at(port_of(l));
	EQ(connect(c, (struct sockaddr *)&a, sizeof(a)), 0);
	FAILS(connect(c, (struct sockaddr *)&a, sizeof(a)), EISCONN);
	/* without waiting */
	close(l);
	c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	FAILS(connect(c, (struct sockaddr *)&a, sizeof(a)), EINPROGRESS);
	EQ(ready(c, POLLOUT, 1000) & (POLLOUT | POLLERR | POLLHUP), POLLOUT | POLLERR | POLLHUP);
	EQ(option(c, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
}

static void tcp_halves(void)
{
	int fd[2];
	char b[10];

	pair(fd);
	EQ(ready(fd[1], POLLIN | POLLOUT | POLLRDHUP, 0), POLLOUT);
	EQ(shutdown(fd[0], SHUT_WR), 0);
	EQ(ready(fd[1], POLLIN | POLLRDHUP, 1000), POLLIN | POLLRDHUP);
	EQ(read(fd[1], b, 1), 0);
	EQ(write(fd[1], "still", 5), 5);
	EQ(recv(fd[0], b, 5, MSG_WAITALL), 5);
	FAILS(send(fd[0], "x", 1, MSG_NOSIGNAL), EPIPE);
	EQ(shutdown(fd[1], SHUT_WR), 0);
	EQ(read(fd[0], b, 1), 0);
	EQ(ready(fd[0], POLLIN | POLLRDHUP, 1000), POLLIN | POLLRDHUP | POLLHUP);
}

static volatile sig_atomic_t got_signal;

static void on_signal(int sig)
{
	got_signal = sig;
}

static void handle(int sig, int flags)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = flags };

	EQ(sigaction(sig, &sa, NULL), 0);
}

static void tcp_sigpipe(void)
{
	int fd[2], i;
	char b;

	handle(SIGPIPE, 0);
	pair(fd);
	close(fd[1]);
	EQ(ready(fd[0], POLLIN, 1000) & POLLIN, POLLIN);
	EQ(read(fd[0], &b, 1), 0);
	/* the first is answered by a reset */
	EQ(write(fd[0], "x", 1), 1);
	for (i = 0; i < 1000 && !(ready(fd[0], POLLOUT, 10) & POLLERR); i++)
		usleep(1000);
	errno = 0;
	EQ(write(fd[0], "x", 1), -1);
	if (errno == ECONNRESET) {
		EQ(write(fd[0], "x", 1), -1);
	}
	EQ(errno, EPIPE);
	EQ(got_signal, SIGPIPE);
	got_signal = 0;
	FAILS(send(fd[0], "x", 1, MSG_NOSIGNAL), EPIPE);
	EQ(got_signal, 0);
}

static void tcp_resets(void)
{
	struct linger no = { 1, 0 };
	int fd[2];
	char b;

	pair(fd);
	EQ(setsockopt(fd[1], SOL_SOCKET, SO_LINGER, &no, sizeof(no)), 0);
	close(fd[1]);
	EQ(ready(fd[0], POLLIN, 1000) & (POLLIN | POLLERR | POLLHUP), POLLIN | POLLERR | POLLHUP);
	FAILS(read(fd[0], &b, 1), ECONNRESET);
	EQ(read(fd[0], &b, 1), 0);
	/* data that nobody has read */
	pair(fd);
	EQ(write(fd[0], "x", 1), 1);
	EQ(ready(fd[1], POLLIN, 1000), POLLIN);
	close(fd[1]);
	EQ(ready(fd[0], POLLIN, 1000) & POLLERR, POLLERR);
	FAILS(read(fd[0], &b, 1), ECONNRESET);
}

/* A listener ends with a connection that nobody has accepted; a socket is used again after half a connection. */
static void tcp_disconnects(void)
{
	struct sockaddr_in none = { .sin_family = AF_UNSPEC }, a;
	struct linger no = { 1, 0 };
	int l, c, s, i;
	char b[10];

	for (i = 0; i < 2; i++) {
		l = listener();
		EQ(setsockopt(l, SOL_SOCKET, SO_LINGER, &no, sizeof(no)), 0);
		c = to(SOCK_STREAM, port_of(l));
		EQ(ready(l, POLLIN, 1000), POLLIN);
		if (i)
			EQ(connect(l, (struct sockaddr *)&none, sizeof(none)), 0);
		else
			close(l);
		FAILS(read(c, b, 1), ECONNRESET);
		if (i)
			close(l);
		close(c);
	}
	l = listener();
	a = at(port_of(l));
	c = socket(AF_INET, SOCK_STREAM, 0);
	for (i = 0; i < 3; i++) {
		EQ(connect(c, (struct sockaddr *)&a, sizeof(a)), 0);
		s = accept(l, NULL, NULL);
		EQ(write(s, "0123456789", 10), 10);
		EQ(recv(c, b, 4, MSG_WAITALL), 4);
		CHECK(!memcmp(b, "0123", 4));
		EQ(connect(c, (struct sockaddr *)&none, sizeof(none)), 0);
		close(s);
	}
}

static void tcp_looking(void)
{
	int fd[2], n;
	char b[10];
	struct iovec v[2] = { { b, 2 }, { b + 2, 3 } };

	pair(fd);
	EQ(write(fd[0], "hello", 5), 5);
	EQ(recv(fd[1], b, 10, MSG_PEEK), 5);
	EQ(ioctl(fd[1], FIONREAD, &n), 0);
	EQ(n, 5);
	EQ(readv(fd[1], v, 2), 5);
	CHECK(!memcmp(b, "hello", 5));
	EQ(writev(fd[1], v, 2), 5);
	EQ(recv(fd[0], b, 1, MSG_TRUNC), 1);
	EQ(recv(fd[0], b, 4, 0), 4);
	CHECK(!memcmp(b, "ello", 4));
	n = 1;
	EQ(ioctl(fd[0], FIONBIO, &n), 0);
	FAILS(read(fd[0], b, 1), EAGAIN);
	EQ(lseek(fd[0], 0, SEEK_SET), -1);
	EQ(errno, ESPIPE);
}

static void tcp_addresses_in_use(void)
{
	int l = listener(), c, s, m = socket(AF_INET, SOCK_STREAM, 0), on = 1;
	struct sockaddr_in a = at(port_of(l));

	FAILS(bind(m, (struct sockaddr *)&a, sizeof(a)), EADDRINUSE);
	c = to(SOCK_STREAM, port_of(l));
	s = accept(l, NULL, NULL);
	/* we close first: what is left is on our side */
	close(s);
	close(c);
	close(l);
	EQ(setsockopt(m, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
	EQ(bind(m, (struct sockaddr *)&a, sizeof(a)), 0);
	EQ(listen(m, 5), 0);
	close(to(SOCK_STREAM, port_of(m)));
}

static void tcp_sendfile(void)
{
	static char out[100000], in[100000];
	int fd[2], f = memfd_create("x", 0);
	off_t off = 10;
	size_t i;

	for (i = 0; i < sizeof(out); i++)
		out[i] = (char)byte_at(i);
	EQ(write(f, out, sizeof(out)), sizeof(out));
	pair(fd);
	EQ(sendfile(fd[0], f, &off, 50000), 50000);
	EQ(off, 50010);
	EQ(recv(fd[1], in, 50000, MSG_WAITALL), 50000);
	CHECK(!memcmp(in, out + 10, 50000));
	EQ(lseek(f, 100, SEEK_SET), 100);
	EQ(sendfile(fd[0], f, NULL, 1000), 1000);
	EQ(lseek(f, 0, SEEK_CUR), 1100);
	EQ(recv(fd[1], in, 1000, MSG_WAITALL), 1000);
	CHECK(!memcmp(in, out + 100, 1000));
}

/* --- waiting ---------------------------------------------------------------------------------- */

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void timeouts(void)
{
	struct timeval tv = { 0, 100000 };
	int a = bound(SOCK_DGRAM, 0), l = listener();
	double before = seconds();
	struct timeval got;
	socklen_t len = sizeof(got);
	char b;

	EQ(setsockopt(a, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), 0);
	EQ(getsockopt(a, SOL_SOCKET, SO_RCVTIMEO, &got, &len), 0);
	CHECK(len == sizeof(got) && got.tv_usec == 100000);
	FAILS(recv(a, &b, 1, 0), EAGAIN);
	EQ(setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)), 0);
	FAILS(accept(l, NULL, NULL), EAGAIN);
	EQ(ready(a, POLLIN, 100), 0);
	CHECK(seconds() - before >= 0.29);
}

static void signals(void)
{
	int a = bound(SOCK_DGRAM, 0), b = to(SOCK_DGRAM, port_of(a));
	pid_t parent = getpid(), pid;
	char c;

	handle(SIGUSR1, 0);
	pid = fork();
	if (!pid) {
		/* until it has met him asleep */
		for (;;) {
			usleep(20000);
			if (kill(parent, SIGUSR1))
				_exit(0);
		}
	}
	FAILS(recv(a, &c, 1, 0), EINTR);
	EQ(got_signal, SIGUSR1);
	FAILS(accept(listener(), NULL, NULL), EINTR);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	handle(SIGUSR1, SA_RESTART);
	got_signal = 0;
	pid = fork();
	if (!pid) {
		usleep(50000);
		kill(parent, SIGUSR1);
		usleep(50000);
		_exit(write(b, "x", 1) != 1);
	}
	EQ(recv(a, &c, 1, 0), 1);
	EQ(got_signal, SIGUSR1);
	ended_well(pid);
}

/* Sockets together with what else there is to wait for. */
static void poll_mixed(void)
{
	int a = bound(SOCK_DGRAM, 0), b = to(SOCK_DGRAM, port_of(a)), p[2], ev = eventfd(0, 0);
	int un[2];
	struct pollfd f[4];
	uint64_t one = 1;
	char c;

	EQ(pipe(p), 0);
	EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, un), 0);
	f[0] = (struct pollfd){ .fd = a, .events = POLLIN };
	f[1] = (struct pollfd){ .fd = p[0], .events = POLLIN };
	f[2] = (struct pollfd){ .fd = ev, .events = POLLIN };
	f[3] = (struct pollfd){ .fd = un[0], .events = POLLIN };
	EQ(poll(f, 4, 0), 0);
	EQ(poll(f, 4, 20), 0);
	if (!fork()) {
		usleep(50000);
		_exit(write(b, "x", 1) != 1);
	}
	EQ(poll(f, 4, 10000), 1);
	EQ(f[0].revents, POLLIN);
	EQ(read(a, &c, 1), 1);
	EQ(poll(f, 4, 0), 0);
	EQ(write(ev, &one, 8), 8);
	EQ(write(un[1], "y", 1), 1);
	EQ(poll(f, 4, 10000), 2);
	EQ(f[2].revents, POLLIN);
	EQ(f[3].revents, POLLIN);
	f[0].events = POLLIN | POLLOUT;
	EQ(poll(f, 1, 0), 1);
	EQ(f[0].revents, POLLOUT);
	EQ(poll(f, 4, 10000), 3);
	EQ(f[0].revents, POLLOUT);
	while (wait(NULL) > 0)
		;
}

static void selects(void)
{
	int fd[2];
	fd_set r, w;
	struct timeval tv = { 0, 10000 };

	pair(fd);
	FD_ZERO(&r);
	FD_ZERO(&w);
	FD_SET(fd[0], &r);
	FD_SET(fd[1], &w);
	EQ(select(64, &r, &w, NULL, &tv), 1);
	CHECK(!FD_ISSET(fd[0], &r) && FD_ISSET(fd[1], &w));
	EQ(write(fd[1], "x", 1), 1);
	FD_ZERO(&r);
	FD_SET(fd[0], &r);
	EQ(select(64, &r, NULL, NULL, NULL), 1);
}

static void epolls(void)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP }, got[4];
	int fd[2], ep = epoll_create1(0), l = listener(), i, n, on = 1;
	static char buf[100000];
	pid_t pid;
	size_t in = 0, out = 0;

	pair(fd);
	EQ(setsockopt(fd[0], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), 0);
	ev.data.fd = fd[1];
	EQ(epoll_ctl(ep, EPOLL_CTL_ADD, fd[1], &ev), 0);
	FAILS(epoll_ctl(ep, EPOLL_CTL_ADD, fd[1], &ev), EEXIST);
	ev = (struct epoll_event){ .events = EPOLLIN, .data.fd = l };
	EQ(epoll_ctl(ep, EPOLL_CTL_ADD, l, &ev), 0);
	for (i = 0; i < 5; i++) {
		EQ(epoll_wait(ep, got, 4, 1000), 1);
		EQ(got[0].events, EPOLLOUT);
		EQ(write(fd[0], "x", 1), 1);
		do
			n = epoll_wait(ep, got, 4, 1000);
		while (n == 1 && got[0].events == EPOLLOUT);
		EQ(n, 1);
		EQ(got[0].events, EPOLLIN | EPOLLOUT);
		EQ(read(fd[1], buf, 10), 1);
	}
	/* no more room */
	EQ(fcntl(fd[1], F_SETFL, O_NONBLOCK), 0);
	do {
		while ((n = (int)write(fd[1], buf, sizeof(buf))) > 0)
			out += (size_t)n;
		EQ(errno, EAGAIN);
		/* What is on its way may make some. */
	} while (epoll_wait(ep, got, 4, 500));
	pid = fork();
	if (!pid) {
		while (in < out) {
			n = (int)read(fd[0], buf, sizeof(buf));
			CHECK(n > 0);
			in += (size_t)n;
		}
		_exit(0);
	}
	EQ(epoll_wait(ep, got, 4, 10000), 1);
	EQ(got[0].events, EPOLLOUT);
	ended_well(pid);
	/* somebody comes while it waits */
	ev.events = EPOLLIN | EPOLLRDHUP;
	ev.data.fd = fd[1];
	EQ(epoll_ctl(ep, EPOLL_CTL_MOD, fd[1], &ev), 0);
	pid = fork();
	if (!pid) {
		usleep(50000);
		close(to(SOCK_STREAM, port_of(l)));
		_exit(0);
	}
	EQ(epoll_wait(ep, got, 4, 10000), 1);
	EQ(got[0].data.fd, l);
	close(accept(l, NULL, NULL));
	ended_well(pid);
	EQ(shutdown(fd[0], SHUT_WR), 0);
	EQ(epoll_wait(ep, got, 4, 10000), 1);
	EQ(got[0].events, EPOLLIN | EPOLLRDHUP);
	EQ(epoll_ctl(ep, EPOLL_CTL_DEL, fd[1], NULL), 0);
	EQ(epoll_wait(ep, got, 4, 0), 0);
}

static int epoll_of(int fd, uint32_t events)
{
	struct epoll_event ev = { .events = events };
	int ep = epoll_create1(0);

	CHECK(ep >= 0);
	EQ(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev), 0);
	return ep;
}

static uint32_t events_of(int ep, int ms)
{
	struct epoll_event got[2];
	int n = epoll_wait(ep, got, 2, ms);

	CHECK(n >= 0);
	return n ? got[0].events : 0;
}

/* Registered before connect() and listen(): with EPOLLET nothing is missed, without it nothing comes again and again. */
static void epoll_early(void)
{
	int l = bound(SOCK_STREAM, 0), c, s, i, fd = socket(AF_INET, SOCK_STREAM, 0);
	int edge = epoll_of(l, EPOLLIN | EPOLLET), level = epoll_of(l, EPOLLIN | EPOLLOUT);
	struct sockaddr_in a = at(port_of(l)), nobody;
	char b;

	events_of(edge, 0);
	EQ(listen(l, 4), 0);
	EQ(events_of(level, 0), 0);
	EQ(bind(fd, (struct sockaddr *)&(struct sockaddr_in){ .sin_family = AF_INET }, sizeof(a)), 0);
	nobody = at(port_of(fd));
	for (i = 0; i < 4; i++) {
		int e, v, err;

		c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		e = epoll_of(c, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
		v = epoll_of(c, EPOLLIN | EPOLLOUT | EPOLLRDHUP);
		if (i & 1)
			CHECK(events_of(e, 0) & EPOLLOUT);
		if (i & 2) {
			err = connect(c, (struct sockaddr *)&nobody, sizeof(nobody));
			CHECK(err == -1 && (errno == EINPROGRESS || errno == ECONNREFUSED));
			if (errno == EINPROGRESS) {
				CHECK(events_of(e, 5000) & EPOLLOUT);
				EQ(option(c, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
			}
		}
		/* Linux says once more that the first one has failed. */
		do
			err = connect(c, (struct sockaddr *)&a, sizeof(a));
		while (err && errno == ECONNABORTED);
		CHECK(!err || errno == EINPROGRESS);
		EQ(events_of(e, 5000), EPOLLOUT);
		EQ(events_of(e, 0), 0);
		EQ(events_of(v, 0), EPOLLOUT);
		EQ(option(c, SOL_SOCKET, SO_ERROR), 0);
		EQ(events_of(edge, 5000), EPOLLIN);
		s = accept(l, NULL, NULL);
		CHECK(s >= 0);
		EQ(write(s, "x", 1), 1);
		EQ(events_of(e, 5000), EPOLLIN | EPOLLOUT);
		EQ(read(c, &b, 1), 1);
		EQ(events_of(v, 0), EPOLLOUT);
		close(s);
		CHECK(events_of(e, 5000) & EPOLLRDHUP);
		close(c);
		close(e);
		close(v);
	}
}

/* An error is there until it has been told. */
static void epoll_errors(void)
{
	int u = bound(SOCK_DGRAM, 0), a, level, edge, i;
	struct sockaddr_in dst = at(port_of(u)), me;
	char b[4];

	close(u);
	a = bound(SOCK_DGRAM, 0);
	me = at(port_of(a));
	EQ(fcntl(a, F_SETFL, O_NONBLOCK), 0);
	level = epoll_of(a, EPOLLIN);
	edge = epoll_of(a, EPOLLIN | EPOLLET);
	for (i = 0; i < 4; i++) {
		EQ(connect(a, (struct sockaddr *)&dst, sizeof(dst)), 0);
		EQ(write(a, "x", 1), 1);
		CHECK(events_of(edge, 5000));
		CHECK(events_of(level, 0));
		if (i & 1)
			FAILS(read(a, b, 1), ECONNREFUSED);
		else
			EQ(option(a, SOL_SOCKET, SO_ERROR), ECONNREFUSED);
		EQ(events_of(level, 0), 0);
		u = bound(SOCK_DGRAM, ntohs(dst.sin_port));
		EQ(sendto(u, "yes", 3, 0, (struct sockaddr *)&me, sizeof(me)), 3);
		EQ(events_of(edge, 5000), EPOLLIN);
		EQ(events_of(level, 0), EPOLLIN);
		EQ(read(a, b, 4), 3);
		EQ(events_of(level, 0), 0);
		close(u);
	}
}

/* --- sharing ---------------------------------------------------------------------------------- */

static void shared(void)
{
	int fd[2], d;
	char b[4];
	pid_t pid;

	pair(fd);
	d = dup(fd[0]);
	close(fd[0]);
	pid = fork();
	if (!pid) {
		close(fd[1]);
		EQ(write(d, "ab", 2), 2);
		_exit(0);
	}
	ended_well(pid);
	/* the child's end is not the connection's */
	EQ(write(d, "cd", 2), 2);
	EQ(recv(fd[1], b, 4, MSG_WAITALL), 4);
	EQ(recv(fd[1], b, 1, MSG_DONTWAIT), -1);
	EQ(errno, EAGAIN);
	close(d);
	EQ(recv(fd[1], b, 1, 0), 0);
}

static void *sender(void *arg)
{
	usleep(30000);
	if (write(*(int *)arg, "x", 1) != 1)
		_exit(1);
	return NULL;
}

static void threads(void)
{
	int fd[2], i;
	pthread_t t;
	char b;

	pair(fd);
	for (i = 0; i < 5; i++) {
		EQ(pthread_create(&t, NULL, sender, &fd[0]), 0);
		EQ(read(fd[1], &b, 1), 1);
		EQ(pthread_join(t, NULL), 0);
	}
}

/* A thread closes the socket that another one waits in: the call goes on, and the end comes after it. */
#define LOTS	(8 << 20)

static int closing[2];

static void *closes_and_reads(void *arg)
{
	static char buf[50000];
	size_t left = LOTS;
	int there;
	ssize_t n;

	do	/* until the writer is in its call */
		EQ(ioctl(closing[1], FIONREAD, &there), 0);
	while (!there);
	EQ(close(closing[0]), 0);
	for (; left; left -= (size_t)n) {
		n = read(closing[1], buf, sizeof(buf));
		CHECK(n > 0);
		if (left > LOTS / 2)
			usleep(1000);
	}
	EQ(read(closing[1], buf, 1), 0);
	return NULL;
}

static void *closes_and_writes(void *arg)
{
	int i, there;

	do	/* until the reader has taken the first byte, and waits for more */
		EQ(ioctl(closing[0], FIONREAD, &there), 0);
	while (there);
	EQ(close(closing[0]), 0);
	for (i = 0; i < 4; i++) {
		EQ(write(closing[1], "x", 1), 1);
		usleep(10000);
	}
	return NULL;
}

static void closed_meanwhile(void)
{
	char *lots = calloc(1, LOTS), b[5];
	int i, fd, there;
	pthread_t t;

	for (i = 0; i < 4; i++) {
		pair(closing);
		fd = closing[0];
		if (i >= 2) {
			EQ(write(closing[1], "x", 1), 1);
			do
				EQ(ioctl(fd, FIONREAD, &there), 0);
			while (!there);
		}
		EQ(pthread_create(&t, NULL, i < 2 ? closes_and_reads : closes_and_writes, NULL), 0);
		if (i == 0)
			EQ(write(fd, lots, LOTS), LOTS);
		else if (i == 1)
			EQ(send(fd, lots, LOTS, 0), LOTS);
		else
			EQ(recv(fd, b, 5, MSG_WAITALL), 5);
		EQ(pthread_join(t, NULL), 0);
		FAILS(fcntl(fd, F_GETFD), EBADF);
		close(closing[1]);
	}
	free(lots);
}

#define CLIENTS	20

static void many(void)
{
	int l = listener(), i, fd, got = 0;
	char b[8];

	for (i = 0; i < CLIENTS; i++)
		if (!fork()) {
			fd = to(SOCK_STREAM, port_of(l));
			EQ(write(fd, &i, sizeof(i)), sizeof(i));
			EQ(recv(fd, b, sizeof(i), MSG_WAITALL), sizeof(i));
			_exit(memcmp(b, &i, sizeof(i)) != 0);
		}
	while (got < CLIENTS) {
		fd = accept(l, NULL, NULL);
		CHECK(fd >= 0);
		if (!fork()) {
			EQ(recv(fd, b, sizeof(i), MSG_WAITALL), sizeof(i));
			EQ(write(fd, b, sizeof(i)), sizeof(i));
			_exit(0);
		}
		close(fd);
		got++;
	}
	for (i = 0; i < 2 * CLIENTS; i++) {
		int status;

		CHECK(wait(&status) > 0);
		EQ(status, 0);
	}
}

static void options(void)
{
	int s = socket(AF_INET, SOCK_STREAM, 0), v = 7;
	struct linger l = { 1, 5 };
	socklen_t len = sizeof(l);
	struct stat st;

	EQ(option(s, IPPROTO_IP, IP_TTL), 64);
	EQ(setsockopt(s, IPPROTO_IP, IP_TTL, &v, sizeof(v)), 0);
	EQ(option(s, IPPROTO_IP, IP_TTL), 7);
	v = 1;
	EQ(setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &v, sizeof(v)), 0);
	EQ(option(s, IPPROTO_TCP, TCP_NODELAY), 1);
	EQ(setsockopt(s, SOL_SOCKET, SO_KEEPALIVE, &v, sizeof(v)), 0);
	EQ(option(s, SOL_SOCKET, SO_KEEPALIVE), 1);
	v = 30;
	EQ(setsockopt(s, IPPROTO_TCP, TCP_KEEPIDLE, &v, sizeof(v)), 0);
	EQ(option(s, IPPROTO_TCP, TCP_KEEPIDLE), 30);
	v = 20000;
	EQ(setsockopt(s, SOL_SOCKET, SO_RCVBUF, &v, sizeof(v)), 0);
	EQ(option(s, SOL_SOCKET, SO_RCVBUF), 40000);
	EQ(setsockopt(s, SOL_SOCKET, SO_LINGER, &l, sizeof(l)), 0);
	l.l_linger = 0;
	EQ(getsockopt(s, SOL_SOCKET, SO_LINGER, &l, &len), 0);
	CHECK(l.l_onoff == 1 && l.l_linger == 5);
	FAILS(setsockopt(s, SOL_SOCKET, 12345, &v, sizeof(v)), ENOPROTOOPT);
	FAILS(setsockopt(s, SOL_SOCKET, SO_KEEPALIVE, &v, 1), EINVAL);
	FAILS(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP), EPROTONOSUPPORT);
	EQ(fstat(s, &st), 0);
	CHECK(S_ISSOCK(st.st_mode));
	FAILS(pread(s, &v, 1, 0), ESPIPE);
	s = socket(AF_INET, SOCK_DGRAM, 0);
	FAILS(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, s, 0) == MAP_FAILED ? -1 : 0, ENODEV);
	close(s);
	FAILS(listen(s, 1), EBADF);
	FAILS(listen(eventfd(0, 0), 1), ENOTSOCK);
}

/* --- all -------------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	void (*run)(void);
} cases[] = {
#define C(f) { #f, f }
	C(udp_basic), C(udp_errors), C(udp_messages), C(udp_ports), C(tcp_bulk), C(tcp_names),
	C(tcp_refused), C(tcp_halves), C(tcp_sigpipe), C(tcp_resets), C(tcp_looking),
	C(tcp_disconnects), C(tcp_addresses_in_use), C(tcp_sendfile), C(timeouts), C(signals),
	C(poll_mixed), C(selects), C(epolls), C(epoll_early), C(epoll_errors), C(shared), C(threads), C(closed_meanwhile),
	C(many), C(options),
};

#define NCASES	(sizeof(cases) / sizeof(cases[0]))

static int wanted(const char *name, int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++)
		if (!strcmp(argv[i], name))
			return 1;
	return argc < 2;
}

int main(int argc, char **argv)
{
	unsigned int i, n = 0, bad = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (i = 0; i < NCASES; i++) {
		int status = -1;
		pid_t pid;

		if (!wanted(cases[i].name, argc, argv))
			continue;
		fflush(stdout);
		pid = fork();
		if (!pid) {
			alarm(120);
			cases[i].run();
			_exit(0);
		}
		waitpid(pid, &status, 0);
		if (status)
			printf("# status %#x\n", status);
		printf("%sok %u - %s\n", status ? "not " : "", ++n, cases[i].name);
		bad += !!status;
	}
	printf("1..%u\n", n);
	return !!bad;
}
