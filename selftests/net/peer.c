// SPDX-License-Identifier: MIT
/*
 * peer.c - the other end in the tests of the sandbox's network
 *
 * Bytes are a function of a seed and their place, so that each can be checked by whoever gets them.
 *
 *	serve PORT			HTTP: GET /SEED/SIZE is SIZE bytes; ends when it is killed
 *	file SEED SIZE			the same bytes to standard output
 *	check SEED SIZE			standard input must be these, all of them and no more
 *	get ADDR PORT COUNT PARALLEL	COUNT requests for /SEED.SIZE, as files are named there, PARALLEL at a time;
 *					SEED counts, SIZE is size_of(SEED): each byte is checked
 *	names COUNT			makes these files here
 *	echo PORT			UDP: every datagram back to where it came from
 *	blast ADDR PORT COUNT WINDOW	UDP: COUNT datagrams with numbers, WINDOW on their way at most; prints how many came
 *					back, how often it was told that there is no room, how many are lost
 *	flood ADDR PORT COUNT SIZE	UDP: datagrams as fast as they go
 *	dns PORT NAME ADDR		answers questions for NAME's address
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHUNK	65536u
#define FILES	40u

static void die(const char *what)
{
	fprintf(stderr, "rs-net-peer: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint8_t byte_at(uint64_t seed, uint64_t i)
{
	return (uint8_t)((i * 2654435761u ^ (seed + 1) * 40503u) >> 8);
}

static void fill(uint8_t *buf, uint64_t seed, uint64_t at, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf[i] = byte_at(seed, at + i);
}

static void must_be(const uint8_t *buf, uint64_t seed, uint64_t at, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (buf[i] != byte_at(seed, at + i)) {
			fprintf(stderr, "rs-net-peer: byte %llu of %llu is wrong\n",
				(unsigned long long)(at + i), (unsigned long long)seed);
			exit(1);
		}
}

static uint64_t size_of(uint64_t seed)
{
	return seed % 7 ? seed * 7919 % 9000 : seed * 7919 % 200000;
}

static void write_all(int fd, const void *p, size_t n)
{
	const char *c = p;

	while (n) {
		ssize_t k = write(fd, c, n);

		if (k <= 0)
			die("write");
		c += k;
		n -= (size_t)k;
	}
}

static void send_bytes(int fd, uint64_t seed, uint64_t size)
{
	static uint8_t buf[CHUNK];

	for (uint64_t at = 0; at < size;) {
		size_t n = size - at < CHUNK ? size - at : CHUNK;

		fill(buf, seed, at, n);
		write_all(fd, buf, n);
		at += n;
	}
}

static struct sockaddr_in address(const char *ip, const char *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port)) };

	if (ip && inet_pton(AF_INET, ip, &a.sin_addr) != 1)
		die(ip);
	return a;
}

static int bound(int type, const char *port)
{
	struct sockaddr_in a = address(NULL, port);
	int fd = socket(AF_INET, type, 0), on = 1, size = 4 << 20;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)))
		die("bind");
	return fd;
}

/* --- HTTP ------------------------------------------------------------------------------------- */

static void answer(int fd)
{
	char req[2048], head[200];
	unsigned long long seed, size;
	size_t n = 0;

	do {
		ssize_t k = read(fd, req + n, sizeof(req) - 1 - n);

		if (k <= 0)
			die("request");
		n += (size_t)k;
		req[n] = 0;
	} while (!strstr(req, "\r\n\r\n") && n < sizeof(req) - 1);
	if (sscanf(req, "GET /%llu/%llu ", &seed, &size) != 2)
		die("what is asked for");
	n = (size_t)snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %llu\r\nConnection: close\r\n\r\n", size);
	write_all(fd, head, n);
	send_bytes(fd, seed, size);
}

static void serve(const char *port)
{
	int l = bound(SOCK_STREAM, port);

	signal(SIGCHLD, SIG_IGN);
	if (listen(l, 100))
		die("listen");
	for (;;) {
		int fd = accept(l, NULL, NULL);

		if (fd < 0)
			die("accept");
		if (!fork()) {
			answer(fd);
			_exit(0);
		}
		close(fd);
	}
}

static void fetch(const struct sockaddr_in *a, uint64_t seed)
{
	static uint8_t buf[CHUNK];
	char req[100], *body = NULL;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	size_t have = 0;
	uint64_t at = 0, size = size_of(seed);
	ssize_t k;

	if (fd < 0 || connect(fd, (const struct sockaddr *)a, sizeof(*a)))
		die("connect");
	snprintf(req, sizeof(req), "GET /%llu.%llu HTTP/1.0\r\n\r\n", (unsigned long long)seed,
		 (unsigned long long)size);
	write_all(fd, req, strlen(req));
	while (!body) {
		k = read(fd, buf + have, 4000 - have);
		if (k <= 0)
			die("answer");
		have += (size_t)k;
		body = memmem(buf, have, "\r\n\r\n", 4);
	}
	if (!memmem(buf, have, " 200 ", 5)) {
		fprintf(stderr, "rs-net-peer: the answer is %.40s\n", buf);
		exit(1);
	}
	body += 4;
	at = have - (size_t)(body - (char *)buf);
	must_be((uint8_t *)body, seed, 0, at);
	while ((k = read(fd, buf, sizeof(buf))) > 0) {
		must_be(buf, seed, at, (size_t)k);
		at += (uint64_t)k;
	}
	if (k || at != size) {
		fprintf(stderr, "rs-net-peer: %llu bytes, not %llu\n", (unsigned long long)at,
			(unsigned long long)size);
		exit(1);
	}
	close(fd);
}

static int get(const char *ip, const char *port, int count, int parallel)
{
	struct sockaddr_in a = address(ip, port);
	int bad = 0, p, status;

	for (p = 0; p < parallel; p++)
		if (!fork()) {
			for (int i = p; i < count; i += parallel)
				fetch(&a, (uint64_t)i % FILES);
			_exit(0);
		}
	while (wait(&status) > 0)
		bad |= status;
	if (!bad)
		printf("%d answers, every byte right\n", count);
	return !!bad;
}

static void names(void)
{
	char name[100];

	for (uint64_t i = 0; i < FILES; i++) {
		int fd;

		snprintf(name, sizeof(name), "%llu.%llu", (unsigned long long)i,
			 (unsigned long long)size_of(i));
		fd = open(name, O_CREAT | O_TRUNC | O_WRONLY, 0644);
		if (fd < 0)
			die(name);
		send_bytes(fd, i, size_of(i));
		close(fd);
	}
}

static int check(uint64_t seed, uint64_t size)
{
	static uint8_t buf[CHUNK];
	uint64_t at = 0;
	ssize_t n;

	while ((n = read(0, buf, sizeof(buf))) > 0) {
		must_be(buf, seed, at, (size_t)n);
		at += (uint64_t)n;
	}
	if (at != size) {
		fprintf(stderr, "rs-net-peer: %llu bytes, not %llu\n", (unsigned long long)at,
			(unsigned long long)size);
		return 1;
	}
	return 0;
}

/* --- UDP -------------------------------------------------------------------------------------- */

static void echo(const char *port)
{
	static uint8_t buf[CHUNK];
	int fd = bound(SOCK_DGRAM, port);

	for (;;) {
		struct sockaddr_in from;
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&from, &len);

		if (n < 0)
			die("recvfrom");
		while (sendto(fd, buf, (size_t)n, 0, (struct sockaddr *)&from, len) < 0)
			if (errno != ENOBUFS && errno != EAGAIN)
				die("sendto");
	}
}

/*
 * Numbers come back in order, each once. What others overtake, or what does not come back within a minute, is lost unless it
 * was refused to us.
 */
static int blast(const char *ip, const char *port, uint64_t count, uint64_t window)
{
	struct sockaddr_in a = address(ip, port);
	int fd = socket(AF_INET, SOCK_DGRAM, 0), size = 4 << 20;
	uint64_t sent = 0, back = 0, next = 0, told = 0, lost = 0, v[8];

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)))
		die("connect");
	while (next < count) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t n;

		while (sent < count && sent - next < window) {
			fill((uint8_t *)(v + 1), sent, 0, sizeof(v) - 8);
			v[0] = sent;
			if (send(fd, v, sizeof(v), MSG_DONTWAIT) != sizeof(v)) {
				if (errno != ENOBUFS && errno != EAGAIN)
					die("send");
				told++;
				break;
			}
			sent++;
		}
		n = recv(fd, v, sizeof(v), MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN) {
			if (poll(&p, 1, 60000))
				continue;
			lost += sent - next;
			next = sent;
			continue;
		}
		if (n != sizeof(v))
			die("recv");
		must_be((uint8_t *)(v + 1), v[0], 0, sizeof(v) - 8);
		if (v[0] < next || v[0] >= sent) {
			fprintf(stderr, "rs-net-peer: %llu instead of %llu\n",
				(unsigned long long)v[0], (unsigned long long)next);
			return 1;
		}
		lost += v[0] - next;
		next = v[0] + 1;
		back++;
	}
	printf("%llu came back, told %llu times, %llu lost\n", (unsigned long long)back,
	       (unsigned long long)told, (unsigned long long)lost);
	return back + lost != count || lost;
}

static int flood(const char *ip, const char *port, uint64_t count, size_t size)
{
	struct sockaddr_in a = address(ip, port);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	static uint8_t buf[CHUNK];

	if (fd < 0 || size > CHUNK || connect(fd, (struct sockaddr *)&a, sizeof(a)))
		die("connect");
	for (uint64_t i = 0; i < count; i++) {
		memcpy(buf, &i, sizeof(i));
		while (send(fd, buf, size, 0) < 0)
			if (errno != ENOBUFS && errno != EAGAIN)
				die("send");
	}
	return 0;
}

/* --- DNS -------------------------------------------------------------------------------------- */

/* The one question of @q of @n bytes: is it for @name? Its end, or 0. */
static size_t question(const uint8_t *q, size_t n, const char *name, int *ours)
{
	char got[256] = "";
	size_t at = 12, used = 0;

	while (at < n && q[at]) {
		size_t len = q[at];

		if (len > 63 || at + 1 + len >= n || used + len + 2 > sizeof(got))
			return 0;
		memcpy(got + used, q + at + 1, len);
		used += len;
		got[used++] = '.';
		at += len + 1;
	}
	if (used)
		got[used - 1] = 0;
	*ours = !strcasecmp(got, name);
	return at + 5 <= n ? at + 5 : 0;
}

static void dns(const char *port, const char *name, const char *ip)
{
	int fd = bound(SOCK_DGRAM, port);
	struct in_addr a;

	if (inet_pton(AF_INET, ip, &a) != 1)
		die(ip);
	for (;;) {
		struct sockaddr_in from;
		socklen_t len = sizeof(from);
		uint8_t q[600];
		static const uint8_t head[12] = { 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4 };
		ssize_t n = recvfrom(fd, q, 500, 0, (struct sockaddr *)&from, &len);
		size_t end;
		int ours, is_a;

		if (n < 17)
			continue;
		end = question(q, (size_t)n, name, &ours);
		if (!end)
			continue;
		is_a = !q[end - 4] && q[end - 3] == 1;
		q[2] = 0x84 | (q[2] & 1);
		q[3] = 0x80 | (ours ? 0 : 3);
		memset(q + 4, 0, 8);
		q[5] = 1;
		if (ours && is_a) {
			q[7] = 1;
			memcpy(q + end, head, sizeof(head));
			memcpy(q + end + sizeof(head), &a, 4);
			end += sizeof(head) + 4;
		}
		sendto(fd, q, end, 0, (struct sockaddr *)&from, len);
	}
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	signal(SIGPIPE, SIG_IGN);
	if (!strcmp(what, "serve") && argc == 3)
		serve(argv[2]);
	else if (!strcmp(what, "file") && argc == 4)
		send_bytes(1, strtoull(argv[2], NULL, 0), strtoull(argv[3], NULL, 0));
	else if (!strcmp(what, "check") && argc == 4)
		return check(strtoull(argv[2], NULL, 0), strtoull(argv[3], NULL, 0));
	else if (!strcmp(what, "get") && argc == 6)
		return get(argv[2], argv[3], atoi(argv[4]), atoi(argv[5]));
	else if (!strcmp(what, "names") && argc == 2)
		names();
	else if (!strcmp(what, "echo") && argc == 3)
		echo(argv[2]);
	else if (!strcmp(what, "blast") && argc == 6)
		return blast(argv[2], argv[3], strtoull(argv[4], NULL, 0), strtoull(argv[5], NULL, 0));
	else if (!strcmp(what, "flood") && argc == 6)
		return flood(argv[2], argv[3], strtoull(argv[4], NULL, 0), strtoull(argv[5], NULL, 0));
	else if (!strcmp(what, "dns") && argc == 5)
		dns(argv[2], argv[3], argv[4]);
	else
		return fprintf(stderr, "rs-net-peer: see the head of peer.c\n"), 2;
	return 0;
}
