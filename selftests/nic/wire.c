// SPDX-License-Identifier: MIT
/*
 * wire.c - see wire.h
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include "wire.h"

static uint8_t byte_of(unsigned int i, unsigned int len, unsigned int seed)
{
	return seed * 31 + (seed >> 8) + i * 7 + len;
}

void wire_make(uint8_t *f, unsigned int len, unsigned int seed, const uint8_t *dst, const uint8_t *src)
{
	unsigned int i;

	memcpy(f, dst, 6);
	memcpy(f + 6, src, 6);
	f[12] = WIRE_PROTOCOL >> 8;
	f[13] = WIRE_PROTOCOL & 0xff;
	for (i = 14; i < len; i++)
		f[i] = byte_of(i, len, seed);
}

bool wire_is(const uint8_t *f, unsigned int len, unsigned int seed)
{
	unsigned int i;

	for (i = 14; i < len; i++)
		if (f[i] != byte_of(i, len, seed))
			return false;
	return len >= 14;
}

unsigned int wire_len(unsigned int seed)
{
	return WIRE_MIN + seed * 97 % (WIRE_MAX - WIRE_MIN + 1);
}

void wire_send(int fd, const char *name, const void *frame, unsigned int len)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_halen = 6 };

	to.sll_ifindex = if_nametoindex(name);
	memcpy(to.sll_addr, frame, 6);
	ASSERT_EQ(SYS(sendto(fd, frame, len, 0, (void *)&to, sizeof(to))), len);
}

static unsigned int next(int fd, void *buf, unsigned int size, int flags)
{
	for (;;) {
		struct sockaddr_ll from;
		socklen_t len = sizeof(from);
		int n = recvfrom(fd, buf, size, MSG_TRUNC | flags, (void *)&from, &len);

		if (n < 0 && errno == EAGAIN && flags)
			return 0;
		SYS(n);
		if (from.sll_pkttype != PACKET_OUTGOING && from.sll_protocol == htons(WIRE_PROTOCOL))
			return n;
	}
}

unsigned int wire_receive(int fd, void *buf, unsigned int size)
{
	return next(fd, buf, size, 0);
}

unsigned int wire_poll(int fd, void *buf, unsigned int size)
{
	return next(fd, buf, size, MSG_DONTWAIT);
}

static bool running(const char *name)
{
	struct ifreq ifr = { 0 };
	int fd = SYS(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));

	strncpy(ifr.ifr_name, name, IFNAMSIZ - 1);
	SYS(ioctl(fd, SIOCGIFFLAGS, &ifr));
	close(fd);
	return ifr.ifr_flags & IFF_RUNNING;
}

/*
 * What is sent before the queue is activated is dropped without a word. That happens under the
 * lock under which the flag is set, and setting flags waits for that lock.
 */
void wire_ready(const char *name)
{
	WAIT_FOR(running(name));
	dev_up(name, true);
}

struct nic *nic_new_with_registers(void)
{
	struct nic *n = calloc(1, sizeof(*n));
	const uint64_t gpa = G_NIC_REGS;
	struct link_config c;

	n->vm = tvm_new(0);
	SYS(tvm_region_raw(n->vm, gpa, RS_NIC_REGS_SIZE, NULL, RS_REGION_MMIO));
	/* a large page of the guest's: present, writable, for ring 3, too */
	*tvm_at(n->vm, G_PD + gpa / HUGE * 8) = gpa | 0x87;
	n->cpu = tcpu_new(n->vm, 0);
	n->event = SYS(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	strcpy(n->name, "rs0");
	c = (struct link_config)LINK_CONFIG(n->vm->fd, n->event);
	c.regs_gpa = &gpa;
	ASSERT_EQ(link_new_raw(&c), 0);
	n->page = (void *)(n->vm->mem + NIC_PAGE);
	return n;
}
