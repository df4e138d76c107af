// SPDX-License-Identifier: MIT
/*
 * net.c - the ledger's operations on the network
 *
 * A program sends datagrams to a process on the other side of its interface, receives from it, or both in turn.
 * In the ring the interface is the sandbox's (--net e1000) and the other process, `rs-bench peer`, is Linux's;
 * natively both are Linux's, and the loopback device is between them, the shortest way that Linux has.
 * The figures are for one datagram (of a round trip: two), all that the machine does until the other
 * side has got it included.
 *
 * net_tx: datagrams as fast as they go; at the end the other side says that it has all of them.
 * net_rx: the other side is asked for so many, and sends them as fast as they go.
 * net_pingpong: one there, one back, the same again.
 *
 * A datagram that is lost is an error: both sides have room for a batch, and a sender waits where it has to.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <ringside/app.h>
#include "bench.h"

#define LOOPBACK "127.0.0.1"
#define THERE	"10.9.0.1"
#define PORT	7077
#define MANY	4096u		/* datagrams of a batch of net_tx and net_rx */
#define TURNS	64u
#define SIZE	64u
#define ROOM	(16 << 20)	/* of sockets: more than a batch of datagrams takes */

enum { ECHO, SINK, DONE, SOURCE };

struct packet {
	uint32_t what, number, count;
	char rest[SIZE - 12];
};

static struct sockaddr_in address(const char *ip)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(PORT) };

	inet_pton(AF_INET, ip, &a.sin_addr);
	return a;
}

static int open_socket(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0), room = ROOM;

	if (fd < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)))
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	return fd;
}

/* --- the other side --------------------------------------------------------------------------- */

static int peer_socket(void)
{
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	int s = open_socket();

	return s < 0 || bind(s, (struct sockaddr *)&any, sizeof(any)) ? -1 : s;
}

static int peer_loop(int fd)
{
	struct sockaddr_in from;
	uint32_t got = 0;

	for (;;) {
		socklen_t len = sizeof(from);
		struct packet p;

		if (recvfrom(fd, &p, sizeof(p), 0, (struct sockaddr *)&from, &len) != sizeof(p))
			continue;
		switch (p.what) {
		case SINK: got++; continue;
		case DONE:
			p.count = got;
			got = 0;
			break;
		case SOURCE:
			for (p.number = 0; p.number < p.count; p.number++)
				while (sendto(fd, &p, sizeof(p), 0, (struct sockaddr *)&from, len) < 0)
					if (errno != ENOBUFS && errno != EAGAIN)
						return 1;
			continue;
		}
		sendto(fd, &p, sizeof(p), 0, (struct sockaddr *)&from, len);
	}
}

int net_peer(void)
{
	int s = peer_socket();

	if (s < 0) {
		perror("rs-bench: peer");
		return 1;
	}
	return peer_loop(s);
}

/* --- natively: another process, over the loopback device -------------------------------------- */

static void native_peer(void)
{
	int s = peer_socket();
	pid_t pid = s < 0 ? -1 : fork();

	if (pid < 0)
		die("the other side");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(peer_loop(s));
	}
	close(s);
}

/* --- this side -------------------------------------------------------------------------------- */

static int fd = -1;

static int answers(struct packet *p)
{
	struct pollfd w = { .fd = fd, .events = POLLIN };

	return poll(&w, 1, 100) == 1 && recv(fd, p, sizeof(*p), MSG_DONTWAIT) == sizeof(*p);
}

/* Connected with the other side, which answers. */
static void meet(void)
{
	struct sockaddr_in a = address(rs_app_features() ? THERE : LOOPBACK);
	struct packet p = { .what = ECHO };

	if (fd >= 0)
		return;
	if (!rs_app_features())
		native_peer();
	fd = open_socket();
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)))
		die("a socket");
	for (int i = 0; i < 100; i++) {
		send(fd, &p, sizeof(p), 0);
		if (answers(&p))
			break;
		if (i == 99)
			die("the other side does not answer");
	}
	while (answers(&p))
		;
}

static void give(const struct packet *p)
{
	if (send(fd, p, sizeof(*p), 0) != sizeof(*p))
		die("send");
}

static void take(struct packet *p)
{
	if (recv(fd, p, sizeof(*p), 0) != sizeof(*p))
		die("recv");
}

static void batch_pingpong(struct sample *s, unsigned int param)
{
	struct packet p = { .what = ECHO };

	(void)param;
	meet();
	s->ops = TURNS;
	span_begin(s);
	for (p.number = 0; p.number < TURNS; p.number++) {
		give(&p);
		take(&p);
	}
	span_end(s);
}

static void batch_tx(struct sample *s, unsigned int param)
{
	struct packet p = { .what = SINK };

	(void)param;
	meet();
	s->ops = MANY;
	span_begin(s);
	for (p.number = 0; p.number < MANY; p.number++)
		give(&p);
	p.what = DONE;
	give(&p);
	take(&p);
	span_end(s);
	if (p.count != MANY) {
		errno = EIO;
		die("datagrams were lost");
	}
}

static void batch_rx(struct sample *s, unsigned int param)
{
	struct packet p = { .what = SOURCE, .count = MANY };

	(void)param;
	meet();
	s->ops = MANY;
	span_begin(s);
	give(&p);
	for (uint32_t i = 0; i < MANY; i++) {
		take(&p);
		if (p.number != i) {
			errno = EIO;
			die("datagrams were lost");
		}
	}
	span_end(s);
}

const struct op net_ops[] = {
	{ "net", "net_pingpong", 0, NATIVE | RING, 10, batch_pingpong },
	{ "net", "net_tx", 0, NATIVE | RING, 5, batch_tx },
	{ "net", "net_rx", 0, NATIVE | RING, 5, batch_rx },
	{ 0 }
};
