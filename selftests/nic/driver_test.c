// SPDX-License-Identifier: MIT
/*
 * driver_test.c - a driver that knows nothing of Ringside, over the register page that traps
 *
 * The driver is the payload's (payload/e1000.c): of the usual shape, in the guest. This is its other end.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include "wire.h"

static const uint8_t broadcast[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
static const uint8_t stranger[6] = { 0x02, 0xaa, 0xbb, 0xcc, 0xdd, 0xee };

struct world {
	struct nic *n;
	int fd;
	uint8_t guest[6], host[6];
};

static struct world world_new(void)
{
	const int room = 4 << 20;	/* more than the tests have on their way */
	struct world w;
	uint64_t mac;

	own_network();
	w.n = nic_new_with_registers();
	dev_up(w.n->name, true);
	mac = driver(w.n, GN_START);
	EXPECT_EQ(w.n->cpu->args->vector, G_NO_VECTOR);
	memcpy(w.guest, &mac, 6);
	dev_mac(w.n->name, w.host);
	wire_ready(w.n->name);
	w.fd = packet_socket(w.n->name);
	SYS(setsockopt(w.fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)));
	return w;
}

static void world_end(struct world *w)
{
	close(w->fd);
	nic_close(w->n);
}

/* What the driver has got, waiting for it. */
static unsigned int driver_got(struct world *w, uint8_t *frame)
{
	uint64_t len = 0;

	WAIT_FOR(len || (len = driver(w->n, GN_RECEIVE, G_SCRATCH)));
	ASSERT(len <= 2048);
	memcpy(frame, w->n->vm->mem + G_SCRATCH, len);
	return len;
}

TEST(mac_is_the_eeproms)
{
	struct world w = world_new();
	uint8_t mac[6];

	EXPECT_EQ(link_info_raw(w.n->name, IFLA_RINGSIDE_GUEST_MAC, mac, 6), 6);
	EXPECT(!memcmp(mac, w.guest, 6));
	world_end(&w);
}

/* More frames than the rings have descriptors, of many lengths, one after the other and by the ring. */
TEST(sends)
{
	struct world w = world_new();
	const unsigned int total = on_tcg() ? 3 * G_NIC_RING : G_NIC_RING + 8;
	unsigned int i = 0, got = 0, len;
	uint8_t frame[2048];

	while (got < total) {
		if (i < total) {
			wire_make(frame, wire_len(i), i, w.host, w.guest);
			memcpy(w.n->vm->mem + G_SCRATCH, frame, wire_len(i));
			i += driver(w.n, GN_SEND, G_SCRATCH, wire_len(i));
		}
		/* sometimes the ring runs full, sometimes each is waited for */
		if (i < total && i % 100 < G_NIC_RING + 8)
			continue;
		while (got < i) {
			len = wire_receive(w.fd, frame, sizeof(frame));
			ASSERT_EQ(len, wire_len(got));
			ASSERT(wire_is(frame, len, got) && !memcmp(frame, w.host, 6));
			got++;
		}
	}
	EXPECT_EQ(wire_poll(w.fd, frame, sizeof(frame)), 0);
	EXPECT_EQ(dev_stat(w.n->name, "rx_packets"), total);
	world_end(&w);
}

TEST(receives)
{
	struct world w = world_new();
	const unsigned int total = on_tcg() ? 3 * G_NIC_RING : G_NIC_RING + 8;
	struct pollfd p = { .fd = w.n->event, .events = POLLIN };
	uint8_t frame[2048];
	unsigned int i, len;
	uint64_t count, cause = 0;

	/* one that it is told of: the interrupt, its cause, and then no more of it */
	driver(w.n, GN_ICR);
	if (read(w.n->event, &count, sizeof(count)) < 0)		/* the link's */
		EXPECT_EQ(errno, EAGAIN);
	wire_make(frame, 100, 0, w.guest, w.host);
	wire_send(w.fd, w.n->name, frame, 100);
	ASSERT_EQ(SYS(poll(&p, 1, 30000)), 1);
	WAIT_FOR((cause |= driver(w.n, GN_ICR)) & 1 << 7);
	EXPECT_EQ(driver(w.n, GN_ICR), 0);
	EXPECT_EQ(driver_got(&w, frame), 100);

	/* then in portions, the filters among them */
	for (i = 0; i < total; i++) {
		wire_make(frame, WIRE_MIN, i, stranger, w.host);
		wire_send(w.fd, w.n->name, frame, WIRE_MIN);
		wire_make(frame, wire_len(i), i, i % 5 ? w.guest : broadcast, w.host);
		wire_send(w.fd, w.n->name, frame, wire_len(i));
		if (i % 16 != 15 && i != total - 1)
			continue;
		for (unsigned int k = i & ~15u; k <= i; k++) {
			len = driver_got(&w, frame);
			ASSERT_EQ(len, wire_len(k));
			ASSERT(wire_is(frame, len, k));
		}
	}
	EXPECT_EQ(driver(w.n, GN_RECEIVE, G_SCRATCH), 0);
	/* short ones are filled up */
	wire_make(frame, 42, 7, w.guest, w.host);
	wire_send(w.fd, w.n->name, frame, 42);
	EXPECT_EQ(driver_got(&w, frame), 60);
	EXPECT(wire_is(frame, 42, 7) && !frame[42] && !frame[59]);
	world_end(&w);
}

/* The driver is left alone with its rings; everything comes back. */
TEST(echoes)
{
	struct world w = world_new();
	const unsigned int total = on_tcg() ? 1000 : 100, window = G_NIC_RING / 2;
	unsigned int sent = 0, got = 0, len;
	struct runner *r;
	uint8_t frame[2048];

	*tvm_at(w.n->vm, G_SCRATCH) = 0;
	tcpu_start(w.n->cpu, G_NIC, GN_ECHO, total, G_SCRATCH);
	r = runner_start(w.n->cpu);
	while (got < total) {
		while (sent < total && sent - got < window) {
			wire_make(frame, wire_len(sent), sent, w.guest, w.host);
			wire_send(w.fd, w.n->name, frame, wire_len(sent));
			sent++;
		}
		len = wire_receive(w.fd, frame, sizeof(frame));
		ASSERT_EQ(len, wire_len(got));
		ASSERT(wire_is(frame, len, got));
		ASSERT(!memcmp(frame, w.host, 6) && !memcmp(frame + 6, w.guest, 6));
		got++;
	}
	EXPECT_EQ(runner_join(r), total);
	EXPECT_EQ(w.n->cpu->args->vector, G_NO_VECTOR);
	world_end(&w);
}

/* --- instructions -------------------------------------------------------- */

TEST(every_form_of_mov)
{
	struct world w = world_new();

	EXPECT_EQ(driver(w.n, GN_FORMS), 0);
	EXPECT_EQ(w.n->cpu->args->vector, G_NO_VECTOR);
	world_end(&w);
}

/* Everything else is a general protection fault in the guest, and nothing has happened. */
TEST(other_accesses_fault)
{
	struct world w = world_new();
	const uint64_t spare = 0x5440;
	uint64_t code;
	unsigned int i;

	nic_write(w.n, spare, 0x12345678);
	for (i = 0; ; i++) {
		const uint64_t ret = driver(w.n, GN_REFUSED, i);

		if (ret == 1)
			break;
		EXPECT_EQ(w.n->cpu->args->vector, 13);
		EXPECT_EQ(w.n->cpu->args->error, 0);
		EXPECT_EQ(nic_read(w.n, spare), 0x12345678);
	}
	EXPECT_GE(i, 14);
	/* ring 3 has nothing to do there */
	code = tcpu_call(w.n->cpu, G_USER_CODE, GU_READ);
	tcpu_call(w.n->cpu, G_USER, code, G_NIC_REGS + spare);
	EXPECT_EQ(w.n->cpu->args->vector, 13);
	EXPECT_EQ(w.n->cpu->args->cpl, 3);
	/* the registers end where they end */
	tcpu_call(w.n->cpu, G_LOAD, G_NIC_REGS + RS_NIC_REGS_SIZE - 4);
	EXPECT_EQ(w.n->cpu->args->vector, 13);
	EXPECT_EQ(driver(w.n, GN_START) >> 48, 0);
	EXPECT_EQ(w.n->cpu->args->vector, G_NO_VECTOR);
	world_end(&w);
}
