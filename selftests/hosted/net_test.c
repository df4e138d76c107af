// SPDX-License-Identifier: MIT
/*
 * net_test.c - the sandbox's network: driver, IPv4, UDP, TCP and sockets, over the module's model of the NIC
 *
 * Programs are C functions, as in process_test.c, that make system calls; what is below is the real kernel down to
 * the rings, the real model behind them, and a wire that loses, doubles, delays and spoils frames (net_wire.h).
 *
 * usage: net_test [SEED]
 */
#include <asm/unistd.h>
#include <linux/fcntl.h>
#include <linux/poll.h>
#include <linux/sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "floor.h"
#include "net_wire.h"
#include "../../userland/guest/dev/e1000.h"
#include "../../userland/guest/lib/string.h"
#include "../../userland/guest/mm/kmalloc.h"
#include "../../userland/guest/net/net.h"
#include "../../userland/guest/net/insock.h"
#include "../../userland/guest/proc/exec.h"
#include "../../userland/guest/proc/proc.h"
#include "../../userland/guest/syscall/inet.h"
#include "../../userland/guest/syscall/signal.h"
#include "../../userland/guest/syscall/syscall.h"

#include "seeded.h"

static int tests;

uint64_t wire_random(void)
{
	return rnd();
}

static void pass(const char *what)
{
	printf("ok %d - %s\n", ++tests, what);
}

/* --- ring 3 ----------------------------------------------------------------------------------- */

static long call(u64 nr, const u64 *a, program fn, u64 arg)
{
	/* Linux runs beside the guest. */
	if (!(rnd() % 8))
		wire_run();
	return plain_call(nr, a, fn, arg);
}

static long spawn(program fn, u64 arg)
{
	long pid = call(__NR_clone, (u64[6]){ SIGCHLD }, fn, arg);

	CHECK(pid > 0);
	return pid;
}

static void wait_all(u32 n)
{
	s32 status;

	while (n--) {
		CHECK(K(wait4, ~0ull, P(&status), 0, 0) > 0);
		EQ(status, 0);
	}
}

static void pause_ms(u64 ms)
{
	u64 t[2] = { ms / 1000, ms % 1000 * MS };

	EQ(K(nanosleep, P(t), 0), 0);
}

/* --- the host --------------------------------------------------------------------------------- */

static u64 now = 1000 * SEC;
static u64 sleeps;

static void event(u64 e)
{
	floor_shared.events |= e;
	floor_shared.pending |= RS_PENDING_EVENTS;
}

void wire_irq(void)
{
	event(RS_EVENT_NIC);
}

static long host(u64 nr, const u64 a[6], long *ret)
{
	*ret = 0;
	switch (nr) {
	case __NR_clock_gettime:
		/* A call of the host takes its time. */
		wire_run();
		((u64 *)a[1])[0] = now / SEC;
		((u64 *)a[1])[1] = now % SEC;
		return 1;
	case RS_CALL_IDLE:
		if (floor_shared.pending)
			return 1;
		sleeps++;
		/* Until it has nothing to do, or has something to say. */
		while (wire_run())
			if (floor_shared.pending)
				return 1;
		if (floor_shared.pending)
			return 1;
		if (a[0] == NO_DEADLINE)
			rs_panic("seed %lu: all sleep, and nothing will ever wake them", seed0);
		now += a[0];
		hosted_tsc += a[0];
		*ret = -ETIME;
		return 1;
	}
	return 0;
}

static long hypercall(u64 nr, u64 a0, u64 a1, u64 a2)
{
	return wire_hypercall(nr, a0, a1, a2);
}

/* --- not part of this ------------------------------------------------------------------------- */

long proc_exec(struct process *p, int dirfd, const char *path, struct exec_args *args,
	       struct rs_frame *f)
{
	(void)p, (void)dirfd, (void)path, (void)args, (void)f;
	return -ENOENT;
}

/* --- sockets ---------------------------------------------------------------------------------- */

#define LOCALHOST 0x0100007fu
#define GUEST	  WIRE_GUEST
#define HOST	  WIRE_HOST

static struct k_sockaddr_in addr_of(u32 ip, u16 port)
{
	return (struct k_sockaddr_in){ .family = AF_INET, .port = be16(port), .addr = ip };
}

static s32 sock(u32 type)
{
	long fd = K(socket, AF_INET, type, 0);

	CHECK(fd >= 0);
	return (s32)fd;
}

static s32 bound(u32 type, u16 port)
{
	struct k_sockaddr_in a = addr_of(0, port);
	s32 fd = sock(type);

	EQ(K(bind, (u64)fd, P(&a), sizeof(a)), 0);
	return fd;
}

static long connect_to(s32 fd, u32 ip, u16 port)
{
	struct k_sockaddr_in a = addr_of(ip, port);

	return K(connect, (u64)fd, P(&a), sizeof(a));
}

static u32 poll_of(s32 fd, u16 events, int ms)
{
	struct {
		s32 fd;
		u16 events, revents;
	} p = { fd, events, 0 };
	long n = K(poll, P(&p), 1, (u64)(s64)ms);

	CHECK(n >= 0);
	return n ? p.revents : 0;
}

static void set(s32 fd, int level, int name, int value)
{
	EQ(K(setsockopt, (u64)fd, (u64)level, (u64)name, P(&value), sizeof(value)), 0);
}

static void nonblocking(s32 fd)
{
	EQ(K(fcntl, (u64)fd, F_SETFL, O_NONBLOCK), 0);
}

static u8 byte_at(u64 stream, u64 i)
{
	return (u8)((i * 2654435761u ^ stream * 40503) >> 7);
}

static void fill(u8 *buf, u64 stream, u64 at, u64 n)
{
	u64 i;

	for (i = 0; i < n; i++)
		buf[i] = byte_at(stream, at + i);
}

static bool right(const u8 *buf, u64 stream, u64 at, u64 n)
{
	u64 i;

	for (i = 0; i < n; i++)
		if (buf[i] != byte_at(stream, at + i))
			return false;
	return true;
}

/* --- UDP -------------------------------------------------------------------------------------- */

static u8 big[70000], back[70000];

static void udp_sizes(void)
{
	static const u32 sizes[] = { 0, 1, 2, 7, 100, 1471, 1472, 1473, 2000, 2960, 2961, 8192,
				     20001, 65506, 65507 };
	s32 a = bound(SOCK_DGRAM, 5000);
	struct k_sockaddr_in to = addr_of(HOST, 5000), from;
	u32 i, len;

	for (i = 0; i < 2 * ARRAY_SIZE(sizes); i++) {
		u32 n = sizes[i % ARRAY_SIZE(sizes)];

		/* First through the wire, then to ourselves. */
		to.addr = i < ARRAY_SIZE(sizes) ? HOST : LOCALHOST;
		fill(big, i, 0, n);
		EQ(K(sendto, (u64)a, P(big), n, 0, P(&to), sizeof(to)), n);
		len = sizeof(from);
		memset(back, 0, n);
		EQ(K(recvfrom, (u64)a, P(back), sizeof(back), 0, P(&from), P(&len)), n);
		CHECK(right(back, i, 0, n) && len == sizeof(from));
		CHECK(from.addr == to.addr && from.port == be16(5000));
	}
	EQ(K(sendto, (u64)a, P(big), 65508, 0, P(&to), sizeof(to)), -EMSGSIZE);
	/* Less room than the datagram has, looking first. */
	EQ(K(sendto, (u64)a, P(big), 500, 0, P(&to), sizeof(to)), 500);
	EQ(K(recvfrom, (u64)a, P(back), 100, MSG_PEEK, 0, 0), 100);
	EQ(K(recvfrom, (u64)a, P(back), 100, MSG_TRUNC, 0, 0), 500);
	EQ(K(recvfrom, (u64)a, P(back), 100, MSG_DONTWAIT, 0, 0), -EAGAIN);
	K(close, (u64)a);
	pass("UDP: datagrams of all sizes come back as they were sent");
}

/* Before the other machine's address is known: what is taken arrives, the rest is told. */
static void udp_first(void)
{
	s32 a = bound(SOCK_DGRAM, 4999);
	u32 i, n = 0, v;

	EQ(connect_to(a, HOST, 4999), 0);
	nonblocking(a);
	wire_stopped = true;
	for (i = 0; i < 1000; i++) {
		long ret = K(write, (u64)a, P(&n), sizeof(n));

		CHECK(ret == sizeof(n) || ret == -ENOBUFS);
		n += ret == sizeof(n);
	}
	wire_stopped = false;
	CHECK(n >= 100 && n < 1000);
	for (i = 0; i < n; i++) {
		CHECK(poll_of(a, POLLIN, 1000) & POLLIN);
		EQ(K(read, (u64)a, P(&v), sizeof(v)), sizeof(v));
		CHECK(v == i);
	}
	CHECK(!(poll_of(a, POLLIN, 100) & POLLIN));
	K(close, (u64)a);
	pass("UDP: what is taken before the neighbour is known is not lost");
}

/* The ring is full: the sender is told, and nothing of what was taken is lost. */
static void udp_ring_full(void)
{
	s32 a = bound(SOCK_DGRAM, 5001);
	u32 n, i, v, max = 0;
	long ret;

	set(a, 1, 8, 4 << 20);
	EQ(connect_to(a, HOST, 5001), 0);
	nonblocking(a);
	EQ(K(write, (u64)a, P("x"), 1), 1);
	CHECK(poll_of(a, POLLIN, 1000) == POLLIN);
	EQ(K(read, (u64)a, P(back), 10), 1);
	wire_stopped = true;
	for (n = 0;; n++) {
		ret = K(write, (u64)a, P(&n), sizeof(n));
		if (ret != sizeof(n))
			break;
		CHECK(n < 10000);
	}
	EQ(ret, -EAGAIN);
	CHECK(!poll_of(a, POLLOUT, 0));
	wire_stopped = false;
	CHECK(poll_of(a, POLLOUT, 1000) == POLLOUT);
	for (i = 0; i < n; i++) {
		CHECK(poll_of(a, POLLIN, 1000) & POLLIN);
		EQ(K(read, (u64)a, P(&v), sizeof(v)), sizeof(v));
		CHECK(v == i);
		max = max(max, v);
	}
	EQ(K(read, (u64)a, P(&v), sizeof(v)), -EAGAIN);
	/* One that blocks sends more than the ring holds. */
	EQ(K(fcntl, (u64)a, F_SETFL, 0), 0);
	for (i = 0; i < 3 * n; i++) {
		EQ(K(write, (u64)a, P(&i), sizeof(i)), sizeof(i));
		if (i >= 100) {
			EQ(K(read, (u64)a, P(&v), sizeof(v)), sizeof(v));
			CHECK(v == i - 100);
		}
	}
	for (i = 0; i < 100; i++)
		EQ(K(read, (u64)a, P(&v), sizeof(v)), sizeof(v));
	K(close, (u64)a);
	CHECK(n > 300);
	pass("UDP: a full ring is told to the sender, and nothing of what was taken is lost");
}

/* Whatever the wire does: what arrives is what was sent. */
static void udp_faults(void)
{
	s32 a = bound(SOCK_DGRAM, 5002);
	u32 i, got = 0, n = 3000;
	u64 bad = net_stats.ip_bad + net_stats.udp_bad;

	set(a, 1, 8, 4 << 20);
	EQ(connect_to(a, HOST, 5002), 0);
	for (i = 0; i < n; i++) {
		/*
		 * Spoilt are only those of one frame: the sum of two spoilt fragments may be right by
		 * chance.
		 */
		bool spoil = i < n / 2;
		u32 len = 4 + rnd() % (spoil ? 1400 : 3000);
		long ret;

		if (i == n / 2)
			pause_ms(100);
		wire_faults = (struct wire_faults){ 30, 30, 30, spoil ? 50 : 0 };

		memcpy(big, &i, 4);
		fill(big + 4, i, 0, len - 4);
		EQ(K(write, (u64)a, P(big), len), len);
		while ((ret = K(recvfrom, (u64)a, P(back), sizeof(back), MSG_DONTWAIT, 0, 0)) >= 0) {
			u32 which;

			CHECK(ret >= 4);
			memcpy(&which, back, 4);
			CHECK(which <= i && right(back + 4, which, 0, (u64)ret - 4));
			got++;
		}
		EQ(ret, -EAGAIN);
	}
	wire_faults = (struct wire_faults){ 0 };
	pause_ms(20000);	/* what is in pieces is given up */
	K(close, (u64)a);
	CHECK(got > n / 2 && net_stats.ip_bad + net_stats.udp_bad > bad);
	pass("UDP: over a wire that spoils frames nothing wrong arrives");
}

/* What comes while poll() is on its way to sleep ends it. */
static void udp_poll(void)
{
	s32 a = bound(SOCK_DGRAM, 5007);
	u64 before = now;
	u32 i, v;

	EQ(connect_to(a, HOST, 5007), 0);
	for (i = 0; i < 500; i++) {
		EQ(K(write, (u64)a, P(&i), sizeof(i)), sizeof(i));
		CHECK(poll_of(a, POLLIN, 5000) == POLLIN);
		EQ(K(read, (u64)a, P(&v), sizeof(v)), sizeof(v));
		EQ(v, i);
	}
	CHECK(now - before < 5 * SEC);
	K(close, (u64)a);
	pass("poll: no packet is overlooked on the way to sleep");
}

static void udp_errors(void)
{
	struct k_sockaddr_in to = addr_of(HOST, 5003);
	u8 b[4];
	s32 a = sock(SOCK_DGRAM), c;
	u32 err, len = sizeof(err);

	EQ(K(write, (u64)a, P(b), 1), -EDESTADDRREQ);
	EQ(K(socket, 10, SOCK_STREAM, 0), -EAFNOSUPPORT);
	EQ(K(socket, AF_INET, SOCK_STREAM, 17), -EPROTONOSUPPORT);
	EQ(K(socket, AF_UNIX, SOCK_STREAM, 0), -EPERM);
	to.family = 10;
	EQ(K(sendto, (u64)a, P(b), 1, 0, P(&to), sizeof(to)), -EAFNOSUPPORT);
	to = addr_of(0x0a0a0a0b, 1);
	EQ(K(bind, (u64)a, P(&to), sizeof(to)), -EADDRNOTAVAIL);
	to = addr_of(0xffffffff, 1);
	EQ(K(sendto, (u64)a, P(b), 1, 0, P(&to), sizeof(to)), -EACCES);
	/* Nobody listens. */
	EQ(connect_to(a, LOCALHOST, 9), 0);
	EQ(K(write, (u64)a, P(b), 1), 1);
	CHECK(poll_of(a, POLLIN, 0) & POLLERR);
	EQ(K(read, (u64)a, P(b), 1), -ECONNREFUSED);
	EQ(K(write, (u64)a, P(b), 1), 1);
	EQ(K(getsockopt, (u64)a, 1, 4, P(&err), P(&len)), 0);
	EQ(err, ECONNREFUSED);
	c = bound(SOCK_DGRAM, 5003);
	to = addr_of(0, 5003);
	EQ(K(bind, (u64)sock(SOCK_DGRAM), P(&to), sizeof(to)), -EADDRINUSE);
	/* The machine does not answer. */
	to = addr_of(0x4000000a, 7);
	EQ(K(connect, (u64)a, P(&to), sizeof(to)), 0);
	EQ(K(write, (u64)a, P(b), 1), 1);
	EQ(K(read, (u64)a, P(b), 1), -EHOSTUNREACH);
	/* Calls that the host would have to make are refused, not made on something else. */
	EQ(K(lseek, (u64)a, 0, 0), -ESPIPE);
	EQ(K(ftruncate, (u64)a, 0), -EINVAL);
	K(close, (u64)a);
	K(close, (u64)c);
	K(close, (u64)c + 1);
	pass("UDP: errors");
}

static void timeouts_and_signals(void)
{
	s32 a = bound(SOCK_DGRAM, 5004);
	s64 tv[2] = { 0, 50000 };
	u8 b[4];
	u64 before = now;

	EQ(K(setsockopt, (u64)a, 1, 20, P(tv), sizeof(tv)), 0);
	EQ(K(read, (u64)a, P(b), 1), -EAGAIN);
	CHECK(now - before >= 50 * MS && now - before < 60 * MS);
	K(close, (u64)a);
	pass("SO_RCVTIMEO");
}

/* --- ICMP ------------------------------------------------------------------------------------- */

static void ping(void)
{
	long fd = K(socket, AF_INET, SOCK_DGRAM, PROTO_ICMP), raw;
	struct k_sockaddr_in to = addr_of(HOST, 0);
	u8 out[64] = { ICMP_ECHO }, in[200];
	u32 i, len;

	CHECK(fd >= 0);
	for (i = 0; i < 3; i++) {
		to.addr = i == 2 ? LOCALHOST : HOST;
		out[7] = (u8)i;
		fill(out + 8, i, 0, 56);
		EQ(K(sendto, (u64)fd, P(out), 64, 0, P(&to), sizeof(to)), 64);
		len = sizeof(to);
		EQ(K(recvfrom, (u64)fd, P(in), sizeof(in), 0, P(&to), P(&len)), 64);
		CHECK(in[0] == ICMP_ECHO_REPLY && in[7] == i && right(in + 8, i, 0, 56));
	}
	raw = K(socket, AF_INET, SOCK_RAW, PROTO_ICMP);
	CHECK(raw >= 0);
	to = addr_of(LOCALHOST, 0);
	out[2] = out[3] = 0;
	i = sum_fold(sum_add(0, out, 64));
	memcpy(out + 2, &i, 2);
	EQ(K(sendto, (u64)raw, P(out), 64, 0, P(&to), sizeof(to)), 64);
	/* both the request and the reply to it, with their IP headers */
	EQ(K(read, (u64)raw, P(in), sizeof(in)), 84);
	CHECK(in[0] == 0x45 && in[9] == PROTO_ICMP && in[20] == ICMP_ECHO);
	EQ(K(read, (u64)raw, P(in), sizeof(in)), 84);
	CHECK(in[20] == ICMP_ECHO_REPLY);
	K(close, (u64)fd);
	K(close, (u64)raw);
	pass("ping: datagram and raw sockets");
}

/* --- TCP -------------------------------------------------------------------------------------- */

static struct {
	u32 conns;
	u64 bytes;
	u32 target;
	u16 port;
} tcp;

static void send_stream(s32 fd, u64 stream, u64 total)
{
	static u8 buf[8][40000];
	u8 *b = buf[stream % 8];
	u64 at = 0;

	while (at < total) {
		u64 n = min(1 + rnd() % sizeof(buf[0]), total - at);
		long ret;

		fill(b, stream, at, n);
		ret = K(sendto, (u64)fd, P(b), n, MSG_NOSIGNAL, 0, 0);
		CHECK(ret > 0);
		at += (u64)ret;
	}
}

static void recv_stream(s32 fd, u64 stream, u64 total)
{
	static u8 buf[8][40000];
	u8 *b = buf[stream % 8];
	u64 at = 0;

	for (;;) {
		long ret = K(read, (u64)fd, P(b), 1 + rnd() % sizeof(buf[0]));

		CHECK(ret >= 0);
		if (!ret)
			break;
		CHECK(right(b, stream, at, (u64)ret));
		at += (u64)ret;
	}
	EQ(at, total);
}

/* Reads all that comes, and then sends as much of its own. */
static int served(u64 arg)
{
	s32 fd = (s32)arg;
	u64 id;

	EQ(K(recvfrom, (u64)fd, P(&id), 8, MSG_WAITALL, 0, 0), 8);
	recv_stream(fd, 2 * id, tcp.bytes);
	send_stream(fd, 2 * id + 1, tcp.bytes);
	return 0;
}

static int server(u64 listener)
{
	u32 i;

	for (i = 0; i < tcp.conns; i++) {
		struct k_sockaddr_in from;
		u32 len = sizeof(from);
		long fd = K(accept4, listener, P(&from), P(&len), 0);

		CHECK(fd >= 0 && from.addr == (tcp.target == LOCALHOST ? LOCALHOST : tcp.target));
		spawn(served, (u64)fd);
		K(close, (u64)fd);
	}
	wait_all(tcp.conns);
	return 0;
}

static int client(u64 id)
{
	s32 fd = sock(SOCK_STREAM);

	EQ(connect_to(fd, tcp.target, tcp.port), 0);
	EQ(K(write, (u64)fd, P(&id), 8), 8);
	send_stream(fd, 2 * id, tcp.bytes);
	EQ(K(shutdown, (u64)fd, 1), 0);
	recv_stream(fd, 2 * id + 1, tcp.bytes);
	return 0;
}

static void tcp_run(u32 target, u32 conns, u64 bytes, struct wire_faults faults, const char *what)
{
	static u16 port = 8000;
	s32 l;
	u32 i;

	tcp.conns = conns;
	tcp.bytes = bytes;
	tcp.target = target;
	tcp.port = ++port;
	wire_faults = faults;
	l = bound(SOCK_STREAM, tcp.port);
	EQ(K(listen, (u64)l, 10), 0);
	spawn(server, (u64)l);
	for (i = 0; i < conns; i++)
		spawn(client, i);
	wait_all(conns + 1);
	K(close, (u64)l);
	wire_faults = (struct wire_faults){ 0 };
	pass(what);
}

static void tcp_small(void)
{
	struct k_sockaddr_in a;
	u32 len = sizeof(a), err, size = sizeof(err);
	s32 l, c, s;
	u8 b[100];
	s32 lg[2] = { 1, 0 };

	/* Nobody there; nobody at that machine. */
	c = sock(SOCK_STREAM);
	CHECK(poll_of(c, POLLIN | POLLOUT, 0) == (POLLOUT | POLLHUP));
	EQ(K(read, (u64)c, P(b), 1), -ENOTCONN);
	EQ(connect_to(c, LOCALHOST, 81), -ECONNREFUSED);
	EQ(connect_to(c, HOST, 81), -ECONNREFUSED);
	EQ(connect_to(c, 0x4000000a, 81), -EHOSTUNREACH);
	EQ(connect_to(c, 0x01010108, 81), -ENETUNREACH);

	l = bound(SOCK_STREAM, 82);
	EQ(K(accept, (u64)l, 0, 0), -EINVAL);
	EQ(K(listen, (u64)l, 2), 0);
	nonblocking(l);
	EQ(K(accept, (u64)l, 0, 0), -EAGAIN);
	CHECK(!poll_of(l, POLLIN | POLLOUT, 0));
	EQ(connect_to(c, LOCALHOST, 82), 0);
	EQ(connect_to(c, LOCALHOST, 82), -EISCONN);
	CHECK(poll_of(l, POLLIN, 0) == POLLIN);
	s = (s32)K(accept, (u64)l, P(&a), P(&len));
	CHECK(s >= 0 && a.addr == LOCALHOST);
	EQ(K(getpeername, (u64)c, P(&a), P(&len)), 0);
	CHECK(a.port == be16(82) && a.addr == LOCALHOST);

	/* Looking, waiting for all, writing again after the other side has shut down. */
	CHECK(poll_of(s, POLLIN | POLLOUT, 0) == POLLOUT);
	EQ(K(write, (u64)c, P("hello"), 5), 5);
	CHECK(poll_of(s, POLLIN | POLLOUT, 0) == (POLLIN | POLLOUT));
	EQ(K(recvfrom, (u64)s, P(b), 100, MSG_PEEK, 0, 0), 5);
	EQ(K(ioctl, (u64)s, 0x541b, P(&err)), 0);
	EQ(err, 5);
	EQ(K(recvfrom, (u64)s, P(b), 2, 0, 0, 0), 2);
	EQ(K(recvfrom, (u64)s, P(b), 100, MSG_DONTWAIT, 0, 0), 3);
	CHECK(!memcmp(b, "llo", 3));
	EQ(K(recvfrom, (u64)s, P(b), 100, MSG_DONTWAIT, 0, 0), -EAGAIN);
	EQ(K(shutdown, (u64)c, 1), 0);
	EQ(K(read, (u64)s, P(b), 100), 0);
	CHECK(poll_of(s, POLLIN | POLLOUT | 0x2000, 0) == (POLLIN | POLLOUT | 0x2000));
	EQ(K(write, (u64)s, P("more"), 4), 4);
	EQ(K(read, (u64)c, P(b), 100), 4);
	EQ(K(sendto, (u64)c, P(b), 1, MSG_NOSIGNAL, 0, 0), -EPIPE);
	K(close, (u64)s);
	EQ(K(read, (u64)c, P(b), 100), 0);
	CHECK(poll_of(c, POLLIN | POLLOUT, 0) & POLLHUP);
	K(close, (u64)c);

	/* Not blocking; a reset by SO_LINGER, and by data that nobody has read. */
	c = sock(SOCK_STREAM | O_NONBLOCK);
	EQ(connect_to(c, HOST, 82), -EINPROGRESS);
	EQ(connect_to(c, HOST, 82), -EALREADY);
	CHECK(poll_of(c, POLLOUT, 5000) == POLLOUT);
	EQ(K(getsockopt, (u64)c, 1, 4, P(&err), P(&size)), 0);
	EQ(err, 0);
	CHECK(poll_of(l, POLLIN, 5000) == POLLIN);
	s = (s32)K(accept, (u64)l, 0, 0);
	CHECK(s >= 0);
	EQ(K(setsockopt, (u64)s, 1, 13, P(lg), sizeof(lg)), 0);
	K(close, (u64)s);
	CHECK(poll_of(c, POLLIN, 5000) & POLLERR);
	EQ(K(read, (u64)c, P(b), 1), -ECONNRESET);
	EQ(K(read, (u64)c, P(b), 1), 0);
	K(close, (u64)c);
	c = sock(SOCK_STREAM);
	EQ(connect_to(c, LOCALHOST, 82), 0);
	s = (s32)K(accept, (u64)l, 0, 0);
	EQ(K(write, (u64)c, P("x"), 1), 1);
	K(close, (u64)s);
	EQ(K(read, (u64)c, P(b), 1), -ECONNRESET);
	K(close, (u64)c);
	/* The port is free again for who says SO_REUSEADDR, and one that does not wait has no backlog. */
	K(close, (u64)l);
	pass("TCP: connecting, refusing, resetting, shutting down");
}

static long disconnect(s32 fd)
{
	struct k_sockaddr_in a = { .family = AF_UNSPEC };

	return K(connect, (u64)fd, P(&a), sizeof(a));
}

/* A listener ends, with connections that nobody has accepted: by close() without lingering, and by disconnecting. */
static void tcp_listener_ends(void)
{
	s32 lg[2] = { 1, 0 }, l, c[2], i, k;
	u32 len = sizeof(lg);
	u8 b;

	for (i = 0; i < 3; i++) {
		l = bound(SOCK_STREAM, 87);
		EQ(K(listen, (u64)l, 4), 0);
		EQ(K(setsockopt, (u64)l, 1, 13, P(lg), sizeof(lg)), 0);
		for (k = 0; k < 2; k++) {
			c[k] = sock(SOCK_STREAM);
			EQ(connect_to(c[k], k ? HOST : LOCALHOST, 87), 0);
			CHECK(poll_of(l, POLLIN, 1000) == POLLIN);
		}
		if (i)
			EQ(disconnect(l), 0);
		else
			K(close, (u64)l);
		for (k = 0; k < 2; k++) {
			EQ(K(read, (u64)c[k], P(&b), 1), -ECONNRESET);
			K(close, (u64)c[k]);
		}
		c[0] = sock(SOCK_STREAM);
		EQ(connect_to(c[0], LOCALHOST, 87), -ECONNREFUSED);
		if (i == 1) {
			/* It may become anything again, with its options. */
			EQ(K(accept, (u64)l, 0, 0), -EINVAL);
			EQ(K(getsockopt, (u64)l, 1, 13, P(lg), P(&len)), 0);
			CHECK(lg[0] == 1 && !lg[1]);
			EQ(K(listen, (u64)l, 1), 0);
		}
		K(close, (u64)c[0]);
		if (i)
			K(close, (u64)l);
	}
	pass("TCP: the end of a listener");
}

/* What was half read does not count for the next connection. */
static void tcp_again(void)
{
	s32 l = bound(SOCK_STREAM, 88), c = sock(SOCK_STREAM), s;
	u32 i;
	u8 b[3000];

	EQ(K(listen, (u64)l, 4), 0);
	for (i = 0; i < 4; i++) {
		EQ(connect_to(c, i & 1 ? LOCALHOST : HOST, 88), 0);
		s = (s32)K(accept, (u64)l, 0, 0);
		fill(big, i, 0, sizeof(b));
		EQ(K(write, (u64)s, P(big), sizeof(b)), sizeof(b));
		EQ(K(recvfrom, (u64)c, P(b), sizeof(b), MSG_WAITALL | MSG_PEEK, 0, 0) > 0, 1);
		EQ(K(recvfrom, (u64)c, P(b), 700 + i, MSG_WAITALL, 0, 0), 700 + i);
		CHECK(right(b, i, 0, 700 + i));
		if (i == 3)
			EQ(K(recvfrom, (u64)c, P(b), sizeof(b) - 703, MSG_WAITALL, 0, 0), sizeof(b) - 703);
		EQ(disconnect(c), 0);
		EQ(K(read, (u64)c, P(b), 1), -ENOTCONN);
		K(close, (u64)s);
	}
	K(close, (u64)c);
	K(close, (u64)l);
	pass("TCP: another connection after one that was half read");
}

/* epoll is the host's; it sees the stand-in. */
static void tcp_epoll(void)
{
	struct {
		u32 events;
		u64 data;
	} __attribute__((packed)) ev = { 0x2005 /* IN OUT RDHUP */, 7 }, got[4];
	s32 l = bound(SOCK_STREAM, 83), c = sock(SOCK_STREAM), s, ep;
	u64 i;

	EQ(K(listen, (u64)l, 1), 0);
	EQ(connect_to(c, LOCALHOST, 83), 0);
	s = (s32)K(accept, (u64)l, 0, 0);
	set(c, 6, 1, 1);
	ep = (s32)K(epoll_create1, 0);
	CHECK(ep >= 0);
	EQ(K(epoll_ctl, (u64)ep, 1, (u64)s, P(&ev)), 0);
	for (i = 0; i < 3; i++) {
		EQ(K(epoll_wait, (u64)ep, P(got), 4, 0), 1);
		EQ(got[0].events, 4);
		EQ(K(write, (u64)c, P("x"), 1), 1);
		EQ(K(epoll_wait, (u64)ep, P(got), 4, 0), 1);
		EQ(got[0].events, 5);
		EQ(K(read, (u64)s, P(big), 10), 1);
	}
	/* Until nothing more goes out. */
	nonblocking(s);
	while (K(write, (u64)s, P(big), sizeof(big)) > 0)
		;
	EQ(K(epoll_wait, (u64)ep, P(got), 4, 0), 0);
	for (i = 0; i < 1 << 20;) {
		long n = K(recvfrom, (u64)c, P(back), sizeof(back), MSG_DONTWAIT, 0, 0);

		if (n <= 0)
			break;
		i += (u64)n;
	}
	EQ(K(epoll_wait, (u64)ep, P(got), 4, 0), 1);
	EQ(got[0].events, 4);
	EQ(K(shutdown, (u64)c, 1), 0);
	EQ(K(epoll_wait, (u64)ep, P(got), 4, 0), 1);
	EQ(got[0].events, 0x2005);
	K(close, (u64)c);
	K(close, (u64)s);
	K(close, (u64)l);
	K(close, (u64)ep);
	pass("epoll: level-triggered IN, OUT and RDHUP");
}

#define E_IN	1u
#define E_OUT	4u
#define E_RDHUP	0x2000u
#define E_ET	(1u << 31)

static s32 epoll_of(s32 fd, u32 events)
{
	struct {
		u32 events;
		u64 data;
	} __attribute__((packed)) ev = { events, 7 };
	s32 ep = (s32)K(epoll_create1, 0);

	CHECK(ep >= 0);
	EQ(K(epoll_ctl, (u64)ep, 1, (u64)fd, P(&ev)), 0);
	return ep;
}

/* The events that are there within @ms, 0: none */
static u32 events_of(s32 ep, int ms)
{
	struct {
		u32 events;
		u64 data;
	} __attribute__((packed)) got[4];
	long n;

	/* The host's epoll cannot wait here: the wire and the clock are ours. */
	for (n = K(epoll_wait, (u64)ep, P(got), 4, 0); !n && ms > 0; ms -= 10) {
		pause_ms(10);
		n = K(epoll_wait, (u64)ep, P(got), 4, 0);
	}
	CHECK(n == 0 || n == 1);
	return n ? got[0].events : 0;
}

/* Registered before connect() and listen(); a connection that fails, and another one after it. */
static void epoll_early(void)
{
	s32 l = bound(SOCK_STREAM, 89), c, s, edge, level, i;
	u32 err, len = sizeof(err);
	u8 b;

	edge = epoll_of(l, E_IN | E_OUT | E_ET);
	level = epoll_of(l, E_IN | E_OUT | E_RDHUP);
	CHECK(events_of(edge, 0) & E_OUT);
	EQ(K(listen, (u64)l, 4), 0);
	EQ(events_of(level, 0), 0);
	for (i = 0; i < 4; i++) {
		s32 e2, l2;

		c = sock(SOCK_STREAM | O_NONBLOCK);
		e2 = epoll_of(c, E_IN | E_OUT | E_RDHUP | E_ET);
		l2 = epoll_of(c, E_IN | E_OUT | E_RDHUP);
		if (i & 1)
			CHECK(events_of(e2, 0) & E_OUT);
		if (i & 2) {
			EQ(connect_to(c, i & 1 ? LOCALHOST : HOST, 90), -EINPROGRESS);
			CHECK(events_of(e2, 2000) & E_OUT);
			CHECK(events_of(l2, 0) & E_OUT);
			EQ(K(getsockopt, (u64)c, 1, 4, P(&err), P(&len)), 0);
			EQ(err, ECONNREFUSED);
		}
		EQ(connect_to(c, i & 1 ? LOCALHOST : HOST, 89), -EINPROGRESS);
		EQ(events_of(e2, 2000), E_OUT);
		EQ(events_of(l2, 0), E_OUT);
		EQ(events_of(e2, 0), 0);
		EQ(K(getsockopt, (u64)c, 1, 4, P(&err), P(&len)), 0);
		EQ(err, 0);
		EQ(events_of(edge, 2000), E_IN);
		EQ(events_of(level, 0), E_IN);
		s = (s32)K(accept, (u64)l, 0, 0);
		CHECK(s >= 0);
		EQ(events_of(level, 0), 0);
		EQ(K(write, (u64)s, P("x"), 1), 1);
		EQ(events_of(e2, 2000), E_IN | E_OUT);
		EQ(K(read, (u64)c, P(&b), 1), 1);
		EQ(events_of(l2, 0), E_OUT);
		/* Taken back before the other side has ended it: it is as new. */
		if (!(i & 2)) {
			EQ(disconnect(c), 0);
			EQ(events_of(l2, 0), E_OUT);
			EQ(connect_to(c, HOST, 89), -EINPROGRESS);
			EQ(events_of(e2, 2000), E_OUT);
			K(close, (u64)s);
			EQ(events_of(edge, 2000), E_IN);
			s = (s32)K(accept, (u64)l, 0, 0);
		}
		/* The end is one. */
		K(close, (u64)s);
		CHECK(events_of(e2, 2000) & E_RDHUP);
		CHECK(events_of(l2, 0) & E_RDHUP);
		EQ(K(read, (u64)c, P(&b), 1), 0);
		K(close, (u64)c);
		K(close, (u64)e2);
		K(close, (u64)l2);
	}
	K(close, (u64)l);
	K(close, (u64)edge);
	K(close, (u64)level);
	pass("epoll: registered before connect() and listen()");
}

/* An error of a datagram socket is there until it has been told, and no longer. */
static void epoll_errors(void)
{
	s32 a = sock(SOCK_DGRAM), s, in, edge, i;
	u32 err, len = sizeof(err);
	u8 b[4];

	nonblocking(a);
	in = epoll_of(a, E_IN);
	edge = epoll_of(a, E_IN | E_ET);
	for (i = 0; i < 4; i++) {
		EQ(connect_to(a, LOCALHOST, 91), 0);
		EQ(events_of(in, 0), 0);
		EQ(K(write, (u64)a, P(b), 1), 1);
		CHECK(events_of(in, 0));
		CHECK(events_of(edge, 0));
		EQ(events_of(edge, 0), 0);
		if (i & 1) {
			EQ(K(read, (u64)a, P(b), 1), -ECONNREFUSED);
		} else {
			EQ(K(getsockopt, (u64)a, 1, 4, P(&err), P(&len)), 0);
			EQ(err, ECONNREFUSED);
		}
		EQ(events_of(in, 0), 0);
		s = bound(SOCK_DGRAM, 91);
		EQ(connect_to(a, HOST, 91), 0);
		EQ(K(write, (u64)a, P("abc"), 3), 3);
		EQ(events_of(in, 1000), 0);
		EQ(K(read, (u64)s, P(b), 4), 3);
		K(close, (u64)s);
		/* From ourselves, as everything is that comes from the mirror. */
		s = sock(SOCK_DGRAM);
		{
			struct k_sockaddr_in me = { 0 };
			u32 n = sizeof(me);

			EQ(K(getsockname, (u64)a, P(&me), P(&n)), 0);
			EQ(disconnect(a), 0);
			me.addr = LOCALHOST;
			EQ(K(sendto, (u64)s, P("de"), 2, 0, P(&me), sizeof(me)), 2);
		}
		EQ(events_of(in, 0), E_IN);
		EQ(events_of(edge, 0), E_IN);
		EQ(K(read, (u64)a, P(b), 4), 2);
		EQ(events_of(in, 0), 0);
		K(close, (u64)s);
	}
	/* An error behind data that lies there is news. */
	s = bound(SOCK_DGRAM, 92);
	EQ(connect_to(s, LOCALHOST, 91), 0);
	K(close, (u64)edge);
	edge = epoll_of(s, E_IN | E_ET);
	{
		struct k_sockaddr_in me = addr_of(LOCALHOST, 92);
		s32 t = bound(SOCK_DGRAM, 91);

		EQ(K(sendto, (u64)t, P("x"), 1, 0, P(&me), sizeof(me)), 1);
		K(close, (u64)t);
	}
	EQ(events_of(edge, 0), E_IN);
	EQ(events_of(edge, 0), 0);
	EQ(K(write, (u64)s, P(b), 1), 1);
	CHECK(events_of(edge, 0));
	EQ(K(read, (u64)s, P(b), 1), -ECONNREFUSED);
	EQ(K(read, (u64)s, P(b), 1), 1);
	K(close, (u64)s);
	K(close, (u64)a);
	K(close, (u64)in);
	K(close, (u64)edge);
	pass("epoll: errors of datagram sockets");
}

/* One thread waits in a call on a socket while another closes its number: the socket is there until the call is over. */
static s32 shared_fd, shared_peer;

static long spawn_sharing(program fn, u64 arg)
{
	long pid = call(__NR_clone, (u64[6]){ CLONE_VM | CLONE_FILES | SIGCHLD }, fn, arg);

	CHECK(pid > 0);
	return pid;
}

static int closes_and_reads(u64 total)
{
	static u8 buf[60000];
	long ret;

	EQ(K(close, (u64)shared_fd), 0);
	while (total) {
		ret = K(read, (u64)shared_peer, P(buf), sizeof(buf));
		CHECK(ret > 0);
		total -= (u64)ret;
	}
	/* The last user of the other end is gone, so it is closed. */
	EQ(K(read, (u64)shared_peer, P(buf), 1), 0);
	return 0;
}

static int closes_and_writes(u64 total)
{
	EQ(K(close, (u64)shared_fd), 0);
	for (; total; total--) {
		EQ(K(write, (u64)shared_peer, P(&total), 1), 1);
		pause_ms(10);
	}
	return 0;
}

static int closes_and_connects(u64 port)
{
	s32 c = sock(SOCK_STREAM);

	EQ(K(close, (u64)shared_fd), 0);
	EQ(connect_to(c, LOCALHOST, (u16)port), 0);
	K(close, (u64)c);
	return 0;
}

static void tcp_pair(s32 l, u16 port)
{
	shared_peer = sock(SOCK_STREAM);
	EQ(connect_to(shared_peer, HOST, port), 0);
	shared_fd = (s32)K(accept, (u64)l, 0, 0);
	CHECK(shared_fd >= 0);
}

static void closed_meanwhile(void)
{
	static u8 lots[8 << 20];
	struct {
		u64 base, len;
	} v = { P(lots), sizeof(lots) };
	u64 msg[7] = { 0, 0, P(&v), 1 };
	s32 l = bound(SOCK_STREAM, 85);
	struct k_sockaddr_in from;
	u32 len = sizeof(from), i;
	long fd;

	EQ(K(listen, (u64)l, 4), 0);
	for (i = 0; i < 3; i++) {
		tcp_pair(l, 85);
		spawn_sharing(closes_and_reads, sizeof(lots));
		if (i == 0)
			EQ(K(write, (u64)shared_fd, P(lots), sizeof(lots)), sizeof(lots));
		else if (i == 1)
			EQ(K(sendto, (u64)shared_fd, P(lots), sizeof(lots), 0, 0, 0), sizeof(lots));
		else
			EQ(K(sendmsg, (u64)shared_fd, P(msg), 0), sizeof(lots));
		wait_all(1);
		K(close, (u64)shared_peer);
	}
	v.len = 5;
	for (i = 0; i < 3; i++) {
		tcp_pair(l, 85);
		spawn_sharing(closes_and_writes, i ? 5 : 1);
		if (i == 0)
			EQ(K(read, (u64)shared_fd, P(lots), 5), 1);
		else if (i == 1)
			EQ(K(recvfrom, (u64)shared_fd, P(lots), 5, MSG_WAITALL, P(&from), P(&len)), 5);
		else
			EQ(K(recvmsg, (u64)shared_fd, P(msg), MSG_WAITALL), 5);
		wait_all(1);
		K(close, (u64)shared_peer);
	}
	/* The listener goes when accept() has returned. */
	shared_fd = l;
	len = sizeof(from);
	spawn_sharing(closes_and_connects, 85);
	fd = K(accept, (u64)l, P(&from), P(&len));
	CHECK(fd >= 0 && len == sizeof(from) && from.addr == LOCALHOST);
	wait_all(1);
	K(close, (u64)fd);
	/* A connection that is being made. */
	shared_fd = sock(SOCK_STREAM);
	spawn_sharing(closes_and_writes, 0);
	wire_deaf = true;
	EQ(connect_to(shared_fd, HOST, 86), -ETIMEDOUT);
	wire_deaf = false;
	wait_all(1);
	pass("a socket that is closed while another thread waits for it");
}

static int reader_of_nothing(u64 fd)
{
	u8 b;

	return K(read, fd, P(&b), 1) == -EINTR ? 0 : 1;
}

/* --- hostile frames --------------------------------------------------------------------------- */

static u8 captured[64][200];
static u32 captured_len[64], ncaptured;

static bool capture(const uint8_t *f, uint32_t len)
{
	u32 i = ncaptured++ % 64;

	captured_len[i] = min(len, 200u);
	memcpy(captured[i], f, captured_len[i]);
	return false;
}

static void fix_sums(u8 *f, u32 len)
{
	u32 hl = (f[14] & 15) * 4u;
	u16 sum;

	if (len < 34 || f[12] != 8 || f[13] || hl < 20 || 14 + hl > len)
		return;
	f[24] = f[25] = 0;
	sum = sum_fold(sum_add(0, f + 14, hl));
	memcpy(f + 24, &sum, 2);
}

static void hostile(void)
{
	static const u8 mac[6] = { 2, 0, 0, 0, 0, 2 }, other[6] = { 2, 0, 0, 0, 0, 1 };
	s32 l = bound(SOCK_STREAM, 84), u = bound(SOCK_DGRAM, 84), c;
	u32 i, host = HOST, guest = GUEST;
	static u8 f[2000];

	EQ(K(listen, (u64)l, 5), 0);
	nonblocking(l);
	nonblocking(u);
	wire_watch = capture;
	for (i = 0; i < 40000; i++) {
		u32 k = rnd() % (ncaptured ? min(ncaptured, 64u) : 1), len, n;

		len = ncaptured ? captured_len[k] : 60;
		memcpy(f, captured[k], sizeof(captured[0]));
		if (!(rnd() % 4)) {
			len = 14 + rnd() % (sizeof(f) - 14);
			for (n = 14; n < len; n++)
				f[n] = (u8)rnd();
			f[12] = 8;
			f[13] = rnd() % 8 ? 0 : 6;
			f[14] = 0x45 + (rnd() % 4 ? 0 : (u8)(rnd() % 11));
			f[23] = (u8[]){ 1, 6, 17, 17 }[rnd() % 4];
			*(u16 *)(f + 16) = be16((u16)(rnd() % 2 ? len - 14 : rnd()));
			if (rnd() % 2)
				f[20] = f[21] = 0;
			f[36] = 0;
			f[37] = 84;
		} else {
			for (n = rnd() % 4; n; n--)
				f[14 + rnd() % (len - 14)] = (u8)(rnd() % 3 ? rnd() : rnd() % 2 ? 0 : 255);
			if (!(rnd() % 8))
				len = 14 + rnd() % (len - 13);
		}
		memcpy(f, mac, 6);
		memcpy(f + 6, other, 6);
		if (rnd() % 8) {
			memcpy(f + 26, &host, 4);
			memcpy(f + 30, &guest, 4);
		}
		if (rnd() % 8)
			fix_sums(f, len);
		wire_inject(f, len);
		if (rnd() % 32)
			continue;
		wire_run();
		K(recvfrom, (u64)u, P(back), sizeof(back), 0, 0, 0);
		c = (s32)K(accept, (u64)l, 0, 0);
		if (c >= 0)
			K(close, (u64)c);
		/* Something to imitate. */
		c = sock(SOCK_STREAM | O_NONBLOCK);
		connect_to(c, HOST, 84);
		K(write, (u64)c, P(f), 100);
		K(close, (u64)c);
		if (!(rnd() % 16))
			pause_ms(300);
	}
	wire_watch = NULL;
	pause_ms(40000);
	while ((c = (s32)K(accept, (u64)l, 0, 0)) >= 0)
		K(close, (u64)c);
	K(close, (u64)l);
	K(close, (u64)u);
	pass("40,000 hostile frames");
}

/* --- a narrow way ----------------------------------------------------------------------------- */

#define NARROW	600u	/* bytes of an IP packet that get through */

static u32 narrow_cut, narrow_refused;

/* A router: what is too long goes on in pieces, or not at all. What gets through comes back, as from the mirror. */
static bool narrow(const uint8_t *frame, uint32_t len)
{
	static u8 f[14 + NARROW];
	u32 at, left = len - 34, step = (NARROW - 20) & ~7u, host = HOST;
	u16 v;

	if (len <= 14 + NARROW || frame[12] != 8 || frame[13] || frame[14] != 0x45)
		return false;
	if (frame[20] & 0x40) {
		narrow_refused++;
		return true;
	}
	narrow_cut++;
	for (at = 0; left; at += step, left -= min(step, left)) {
		u32 n = min(step, left);

		memcpy(f, frame + 6, 6);
		memcpy(f + 6, frame, 6);
		memcpy(f + 12, frame + 12, 22);
		memcpy(f + 26, &host, 4);
		memcpy(f + 30, frame + 26, 4);
		v = be16((u16)(n + 20));
		memcpy(f + 16, &v, 2);
		v = be16((u16)(at / 8 | (left > n ? 0x2000 : 0)));
		memcpy(f + 20, &v, 2);
		memcpy(f + 34, frame + 34 + at, n);
		fix_sums(f, 34 + n);
		wire_inject(f, 34 + n);
	}
	return true;
}

static void narrow_way(void)
{
	wire_watch = narrow;
	tcp_run(HOST, 2, 100000, (struct wire_faults){ 0 }, "TCP: what is on the way takes less than the interface");
	wire_watch = NULL;
	CHECK(narrow_cut > 100 && !narrow_refused);
}

/* --- what nobody reads ------------------------------------------------------------------------ */

static void one_more_connection(s32 l, u16 port)
{
	static u8 b[30000];
	s32 c = sock(SOCK_STREAM), s;
	u64 i, n;

	EQ(connect_to(c, HOST, port), 0);
	s = (s32)K(accept, (u64)l, 0, 0);
	CHECK(s >= 0);
	for (i = 0; i < 3; i++) {
		fill(b, i, 0, sizeof(b));
		EQ(K(write, (u64)c, P(b), sizeof(b)), sizeof(b));
		memset(b, 0, sizeof(b));
		n = (u64)K(recvfrom, (u64)s, P(b), sizeof(b), MSG_WAITALL, 0, 0);
		CHECK(n == sizeof(b) && right(b, i, 0, n));
	}
	K(close, (u64)c);
	K(close, (u64)s);
}

#define HEAPS	6u
#define DEAF	30u

/* Datagrams and streams that nobody reads leave buffers for everything else. */
static void unread(void)
{
	s32 u[HEAPS], c[DEAF], s[DEAF], l = bound(SOCK_STREAM, 93), out = sock(SOCK_DGRAM);
	struct k_sockaddr_in to = addr_of(LOCALHOST, 0);
	u32 i, k, limit = nbuf_limit;
	u64 lost = net_stats.udp_full, total = 0;
	long n;

	EQ(K(listen, (u64)l, 4), 0);
	nbuf_limit = 4096;
	for (i = 0; i < HEAPS; i++) {
		u[i] = bound(SOCK_DGRAM, (u16)(6000 + i));
		set(u[i], 1, 8, 4 << 20);
		to.port = be16((u16)(6000 + i));
		for (k = 0; k < 2000; k++)
			EQ(K(sendto, (u64)out, P("x"), 1, 0, P(&to), sizeof(to)), 1);
	}
	CHECK(net_stats.udp_full > lost && nbuf_used < nbuf_limit - nbuf_limit / 8);
	one_more_connection(l, 93);
	/* What was taken is there, and when it has been read there is room again. */
	for (i = 0; i < HEAPS; i++) {
		nonblocking(u[i]);
		while (K(read, (u64)u[i], P(back), 10) == 1)
			total++;
	}
	CHECK(total > 1500);
	EQ(K(sendto, (u64)out, P("x"), 1, 0, P(&to), sizeof(to)), 1);
	EQ(K(read, (u64)u[HEAPS - 1], P(back), 10), 1);
	for (i = 0; i < HEAPS; i++)
		K(close, (u64)u[i]);
	/* The default: a queue that takes as many as the NIC has in its ring, at least nearly so. */
	u[0] = bound(SOCK_DGRAM, 6000);
	to.port = be16(6000);
	for (k = 0; k < 2000; k++)
		EQ(K(sendto, (u64)out, P("x"), 1, 0, P(&to), sizeof(to)), 1);
	nonblocking(u[0]);
	for (k = 0; K(read, (u64)u[0], P(back), 10) == 1; k++)
		;
	CHECK(k > 800 && k < 1000);
	K(close, (u64)u[0]);
	K(close, (u64)out);
	/* The same by streams. */
	for (i = 0; i < DEAF; i++) {
		c[i] = sock(SOCK_STREAM);
		EQ(connect_to(c[i], HOST, 93), 0);
		s[i] = (s32)K(accept, (u64)l, 0, 0);
		nonblocking(c[i]);
		for (total = 0; total < 256 << 10; total += (u64)n) {
			n = K(write, (u64)c[i], P(big), sizeof(big));
			if (n == -EAGAIN) {
				pause_ms(10);
				n = 0;
				if (!(poll_of(c[i], POLLOUT, 500) & POLLOUT))
					break;
			}
			CHECK(n >= 0);
		}
	}
	pause_ms(1000);
	CHECK(nbuf_used < nbuf_limit - nbuf_limit / 8);
	one_more_connection(l, 93);
	for (i = 0; i < DEAF; i++) {
		K(close, (u64)c[i]);
		K(close, (u64)s[i]);
	}
	K(close, (u64)l);
	nbuf_limit = limit;
	pass("packets that nobody reads leave room for others");
}

/* --- the sandbox ------------------------------------------------------------------------------ */

static void interrupted(void)
{
	s32 a = bound(SOCK_DGRAM, 5006);
	long pid = spawn(reader_of_nothing, (u64)a);
	s32 status;

	pause_ms(10);
	EQ(K(kill, (u64)pid, SIGTERM), 0);
	CHECK(K(wait4, ~0ull, P(&status), 0, 0) == pid);
	EQ(status, SIGTERM);
	K(close, (u64)a);
	pass("a signal ends a reader");
}

/* But those of the receive ring; what the NIC has sent is taken back when there is a reason to. */
static void no_buffers(void)
{
	net_has_room(0);
	EQ(nbuf_used, E1000_RX_RING);
}

static void everything(void)
{
	struct wire_faults none = { 0 }, some = { 20, 20, 20, 20 };

	udp_first();
	udp_sizes();
	udp_ring_full();
	udp_faults();
	udp_poll();
	udp_errors();
	timeouts_and_signals();
	ping();
	no_buffers();
	tcp_small();
	tcp_again();
	tcp_listener_ends();
	tcp_epoll();
	epoll_early();
	epoll_errors();
	closed_meanwhile();
	interrupted();
	tcp_run(LOCALHOST, 3, 300000, none, "TCP: three connections to ourselves");
	tcp_run(HOST, 3, 300000, none, "TCP: three connections over the wire");
	tcp_run(HOST, 3, 200000, some, "TCP: three connections over a bad wire");
	narrow_way();
	unread();
	hostile();
	/* All connections have ended for good. */
	pause_ms(200000);
	no_buffers();
	pass("no buffer is left");
}

void floor_user(struct thread *t)
{
	program fn = (program)t->frame->rbx;
	int ret = 0;

	if (fn)
		ret = fn(t->frame->rbp);
	else
		everything();
	K(exit, (u64)ret);
	abort();
}

static void __noreturn ended(int status)
{
	CHECK(!nbuf_used && !status);
	pass("the NIC is given back, with all buffers");
	printf("1..%d\n", tests);
	fflush(stdout);
	_exit(0);
}

static void boot(void)
{
	nbuf_limit = 8192;
}

int main(int argc, char **argv)
{
	seed0 = argc > 1 ? strtoul(argv[1], NULL, 0) : 1;
	seed = seed0;
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("TAP version 13\n");
	floor_init();
	floor_total = 65536;
	floor_boot.flags = RS_BOOT_DEBUG | RS_BOOT_NET_NIC;
	floor_boot.net = (struct rs_boot_net){ .address = GUEST, .netmask = WIRE_MASK,
					       .mtu = 1500 };
	host_hook = host;
	hypercall_hook = hypercall;
	floor_on_exit = ended;
	wire_init();
	CHECK(net_init());
	boot();
	floor_run(NULL);
}
