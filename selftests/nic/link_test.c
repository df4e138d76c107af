// SPDX-License-Identifier: MIT
/*
 * link_test.c - the interface of a NIC: making it, frames both ways, what it says of itself
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include "link.h"

#define EXPERIMENT	0x88b5		/* the protocol number for experiments */

/* A frame of @len bytes to everybody; what is in it depends on @seed. */
static void make_frame(uint8_t *f, unsigned int len, unsigned int seed)
{
	unsigned int i;

	memset(f, 0xff, 6);
	memset(f + 6, 0, 6);
	f[6] = 2;
	f[12] = EXPERIMENT >> 8;
	f[13] = EXPERIMENT & 0xff;
	for (i = 14; i < len; i++)
		f[i] = seed * 31 + i * 7;
}

/* The next frame of ours that came in at @fd; others are passed over. */
static int next_frame(int fd, void *buf, size_t size)
{
	for (;;) {
		struct sockaddr_ll from;
		socklen_t len = sizeof(from);
		int n = SYS(recvfrom(fd, buf, size, MSG_TRUNC, (void *)&from, &len));

		if (from.sll_pkttype != PACKET_OUTGOING && from.sll_protocol == htons(EXPERIMENT))
			return n;
	}
}

static void send_frame(int fd, const char *name, const void *frame, unsigned int len)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_halen = 6 };

	to.sll_ifindex = if_nametoindex(name);
	memcpy(to.sll_addr, frame, 6);
	ASSERT_EQ(SYS(sendto(fd, frame, len, 0, (void *)&to, sizeof(to))), len);
}

TEST(frames_both_ways)
{
	static const unsigned int lens[] = { 60, 61, 64, 128, 129, 256, 257, 1000, 1514 };
	uint8_t frame[2048], got[2048];
	struct nic *n;
	unsigned int i;
	int fd;

	own_network();
	n = nic_new();
	EXPECT(!dev_carrier(n->name));
	dev_up(n->name, true);
	nic_setup(n, RCTL_BAM | RCTL_UPE | RCTL_MPE | RCTL_SECRC);
	WAIT_FOR(dev_carrier(n->name));
	WAIT_FOR(nic_read(n, REG_STATUS) & STATUS_LU);
	fd = packet_socket(n->name);
	for (i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		make_frame(frame, lens[i], i);
		ASSERT(guest_send(n, frame, lens[i]));
		ASSERT_EQ(next_frame(fd, got, sizeof(got)), lens[i]);
		EXPECT(!memcmp(frame, got, lens[i]));

		make_frame(frame, lens[i], i + 100);
		send_frame(fd, n->name, frame, lens[i]);
		do
			ASSERT_GE(guest_wait_recv(n, got, sizeof(got)), 14);
		while (got[12] != EXPERIMENT >> 8 || got[13] != (EXPERIMENT & 0xff));
		EXPECT(!memcmp(frame, got, lens[i]));
	}
	nic_close(n);
	EXPECT(!dev_exists("rs0"));
}
