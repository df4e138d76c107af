// SPDX-License-Identifier: MIT
/*
 * link_test.c - frames both ways through the interface, and what it says of itself
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include "link.h"

#define ALL	(RCTL_BAM | RCTL_UPE | RCTL_MPE | RCTL_SECRC | RCTL_LPE)

/* Up, with a driver, and carrying. */
static struct nic *nic_running(uint32_t rctl)
{
	struct nic *n;

	own_network();
	n = nic_new();
	dev_up(n->name, true);
	nic_setup(n, rctl);
	WAIT_FOR(dev_carrier(n->name));
	WAIT_FOR(nic_read(n, REG_STATUS) & STATUS_LU);
	return n;
}

static void both_ways(struct nic *n, int fd, unsigned int len, unsigned int seed)
{
	static uint8_t frame[16384], got[16384];

	make_frame(frame, len, seed);
	ASSERT(guest_send(n, frame, len));
	ASSERT_EQ(next_frame(fd, got, sizeof(got)), len);
	EXPECT(!memcmp(frame, got, len));

	make_frame(frame, len, seed + 100);
	ASSERT_EQ(send_frame_raw(fd, n->name, frame, len), 0);
	ASSERT_EQ(guest_next_frame(n, got, sizeof(got)), len);
	EXPECT(!memcmp(frame, got, len));
}

TEST(frames_both_ways)
{
	static const unsigned int lens[] = { 60, 61, 64, 128, 129, 256, 257, 1000, 1514 };
	struct nic *n = nic_running(ALL);
	int fd = packet_socket(n->name);
	unsigned int i;

	for (i = 0; i < sizeof(lens) / sizeof(lens[0]); i++)
		both_ways(n, fd, lens[i], i);
	nic_close(n);
	EXPECT(!dev_exists("rs0"));
}

TEST(mtu)
{
	static const unsigned int mtus[] = { 9000, 68, 1500, 4000 };
	struct nic *n = nic_running(ALL);
	int fd = packet_socket(n->name);
	uint8_t frame[16384];
	unsigned int i;

	EXPECT_EQ(dev_mtu_raw(n->name, 9001), -EINVAL);
	EXPECT_EQ(dev_mtu_raw(n->name, 67), -EINVAL);
	for (i = 0; i < sizeof(mtus) / sizeof(mtus[0]); i++) {
		ASSERT_EQ(dev_mtu_raw(n->name, mtus[i]), 0);
		both_ways(n, fd, mtus[i] + ETH_HLEN, i);
		make_frame(frame, mtus[i] + ETH_HLEN + 1, 1);
		EXPECT_EQ(send_frame_raw(fd, n->name, frame, mtus[i] + ETH_HLEN + 1), -EMSGSIZE);
		/* what the guest sends may be longer, as long as the NIC can */
		make_frame(frame, 16000, i);
		ASSERT(guest_send(n, frame, 16000));
		EXPECT_EQ(next_frame(fd, frame, sizeof(frame)), 16000);
	}
	nic_close(n);
}

TEST(carrier_and_link)
{
	struct nic *n;
	uint64_t v;

	own_network();
	n = nic_new();
	EXPECT(!dev_carrier(n->name));
	dev_up(n->name, true);
	EXPECT(!dev_carrier(n->name));
	nic_setup(n, ALL);
	n->page->mask = CAUSE_LSC;
	WAIT_FOR(dev_carrier(n->name));
	/* the receiver is the carrier */
	nic_write(n, REG_RCTL, 0);
	WAIT_FOR(!dev_carrier(n->name));
	nic_write(n, REG_RCTL, RCTL_EN);
	WAIT_FOR(dev_carrier(n->name));
	/* the interface is the link, and a change is told; the first one, up, has to be seen before */
	WAIT_FOR(nic_read(n, REG_STATUS) & STATUS_LU);
	n->page->cause = 0;
	while (read(n->event, &v, sizeof(v)) > 0)
		;
	dev_up(n->name, false);
	WAIT_FOR(!(nic_read(n, REG_STATUS) & STATUS_LU));
	WAIT_FOR(n->page->cause & CAUSE_LSC);
	WAIT_FOR(read(n->event, &v, sizeof(v)) == sizeof(v));
	dev_up(n->name, true);
	WAIT_FOR(nic_read(n, REG_STATUS) & STATUS_LU);
	/* a reset of the NIC is one of the receiver */
	nic_write(n, REG_CTRL, CTRL_RST);
	WAIT_FOR(!dev_carrier(n->name));
	/* without its interface the NIC has no link any more, but registers */
	EXPECT_EQ(link_del_raw(n->name), 0);
	WAIT_FOR(!(nic_read(n, REG_STATUS) & STATUS_LU));
	nic_setup(n, ALL);
	ASSERT(guest_send(n, "to nobody at all", 16));
	WAIT_FOR(n->page->tx_head == n->tx);
	nic_close(n);
}

TEST(statistics_are_exact)
{
	enum { FRAMES = 50, LEN = 100 };
	struct nic *n = nic_running(ALL);
	uint64_t bells, wakeups, rx, tx, rx_bytes, tx_bytes, guest_rx, guest_tx;
	int fd = packet_socket(n->name), i;
	uint8_t frame[2048];

	make_frame(frame, LEN, 0);
	both_ways(n, fd, LEN, 0);
	rx = dev_stat(n->name, "rx_packets");
	tx = dev_stat(n->name, "tx_packets");
	rx_bytes = dev_stat(n->name, "rx_bytes");
	tx_bytes = dev_stat(n->name, "tx_bytes");
	guest_rx = dev_ethtool(n->name, "guest_rx_packets");
	guest_tx = dev_ethtool(n->name, "guest_tx_packets");
	for (i = 0; i < FRAMES; i++) {
		ASSERT(guest_send(n, frame, LEN));
		ASSERT_EQ(next_frame(fd, frame, sizeof(frame)), LEN);
	}
	for (i = 0; i < 2 * FRAMES; i++) {
		ASSERT_EQ(send_frame_raw(fd, n->name, frame, LEN), 0);
		ASSERT_EQ(guest_next_frame(n, frame, sizeof(frame)), LEN);
	}
	/* the worker tells what the guest's side has counted when it is through */
	WAIT_FOR(dev_ethtool(n->name, "guest_rx_packets") >= guest_rx + 2 * FRAMES);
	EXPECT_EQ(dev_stat(n->name, "rx_packets") - rx, FRAMES);
	EXPECT_EQ(dev_stat(n->name, "rx_bytes") - rx_bytes, FRAMES * LEN);
	EXPECT_EQ(dev_stat(n->name, "tx_packets") - tx, 2 * FRAMES);
	EXPECT_EQ(dev_stat(n->name, "tx_bytes") - tx_bytes, 2 * FRAMES * LEN);
	EXPECT_EQ(dev_ethtool(n->name, "guest_rx_packets") - guest_rx, 2 * FRAMES);
	EXPECT_EQ(dev_ethtool(n->name, "guest_tx_packets") - guest_tx, FRAMES);
	EXPECT_EQ(dev_stat(n->name, "rx_errors"), 0);
	EXPECT_EQ(dev_stat(n->name, "rx_dropped"), 0);
	EXPECT_EQ(dev_stat(n->name, "tx_dropped"), 0);

	/* a frame that the receiver's filters pass over has been sent, and a bad one has not */
	nic_write(n, REG_RCTL, RCTL_EN | RCTL_SECRC);
	ASSERT_EQ(send_frame_raw(fd, n->name, frame, LEN), 0);
	WAIT_FOR(dev_ethtool(n->name, "guest_rx_filtered") == 1);
	EXPECT_EQ(dev_stat(n->name, "tx_packets"), tx + 2 * FRAMES + 1);
	ASSERT(guest_send(n, frame, 10));
	WAIT_FOR(dev_ethtool(n->name, "guest_tx_bad") == 1);

	/* the worker sleeps: one doorbell wakes it, and it is counted */
	WAIT_FOR(n->page->doorbell & RS_NIC_WANT_TX);
	bells = dev_ethtool(n->name, "doorbells");
	wakeups = dev_ethtool(n->name, "wakeups");
	ASSERT(guest_send(n, frame, LEN));
	WAIT_FOR(n->page->tx_head == n->tx);
	EXPECT_EQ(dev_ethtool(n->name, "doorbells") - bells, 1);
	EXPECT_EQ(dev_ethtool(n->name, "wakeups") - wakeups, 1);
	nic_close(n);
}

/* The guest does not take frames: Linux's queue waits a while, then they are lost, and counted. */
TEST(no_room)
{
	enum { FRAMES = 2000 };
	struct nic *n = nic_running(ALL);
	int fd = packet_socket(n->name), i, sent = 0, got = 0;
	uint8_t frame[2048];

	both_ways(n, fd, 100, 0);
	make_frame(frame, 100, 1);
	for (i = 0; i < FRAMES; i++) {
		int ret = send_frame_raw(fd, n->name, frame, 100);

		if (ret == 0)
			sent++;
		else
			EXPECT_EQ(ret, -ENOBUFS);
	}
	/* the ring, and nothing more: the others have been dropped in the end */
	WAIT_FOR(dev_stat(n->name, "tx_packets") + dev_stat(n->name, "tx_dropped") >= (uint64_t)sent + 1);
	EXPECT_EQ(dev_ethtool(n->name, "guest_rx_no_room"), 1);
	while (guest_recv(n, frame, sizeof(frame)) >= 0)
		got++;
	EXPECT_EQ(got, RING - 1);
	/* and it goes on as before */
	for (i = 0; i < 10; i++)
		both_ways(n, fd, 200, i);
	nic_close(n);
}

/* --- offloads of the guest's sender --------------------------------------- */

#define TX_DEXT		(1u << 29)
#define TX_CMD(bits)	((uint32_t)(bits) << 24)
#define TX_EOP		1
#define TX_IFCS		2
#define TX_TSE		4
#define TX_RS		8
#define TX_VLE		0x40
#define TX_DATA		(1u << 20)
#define TX_IXSM		0x100
#define TX_TXSM		0x200
#define CONTEXT_TCP	1
#define CONTEXT_IP	2

#define HEADERS		(ETH_HLEN + 20 + 20)

/* A TCP segment of @payload bytes over IPv4, its sums left to the NIC as a driver does it. */
static void make_tcp(uint8_t *f, unsigned int payload)
{
	struct iphdr *ip = (void *)(f + ETH_HLEN);
	struct tcphdr *tcp = (void *)(f + ETH_HLEN + 20);
	uint32_t sum = 0;

	make_frame(f, HEADERS + payload, 5);
	f[12] = 8;
	f[13] = 0;
	memset(ip, 0, 40);
	ip->version = 4;
	ip->ihl = 5;
	ip->ttl = 64;
	ip->protocol = IPPROTO_TCP;
	ip->saddr = htonl(0x0a000002);
	ip->daddr = htonl(0x0a000001);
	tcp->doff = 5;
	tcp->dest = htons(80);
	/* the pseudo header without the length */
	sum = (ip->saddr & 0xffff) + (ip->saddr >> 16) + (ip->daddr & 0xffff) + (ip->daddr >> 16) +
	      htons(IPPROTO_TCP);
	sum = (sum & 0xffff) + (sum >> 16);
	tcp->check = (sum & 0xffff) + (sum >> 16);
}

static uint16_t sum_of(const uint8_t *p, unsigned int len, uint32_t sum)
{
	unsigned int i;

	for (i = 0; i + 1 < len; i += 2)
		sum += p[i] << 8 | p[i + 1];
	if (len & 1)
		sum += p[len - 1] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* The next TCP frame at a packet socket with PACKET_VNET_HDR. */
static int next_tcp(int fd, struct virtio_net_hdr *h, uint8_t *buf, size_t size)
{
	struct iovec iov[2] = { { h, sizeof(*h) }, { buf, size } };
	int n;

	do
		n = SYS(readv(fd, iov, 2)) - sizeof(*h);
	while (n < HEADERS || buf[12] != 8 || buf[13] != 0 || buf[ETH_HLEN + 9] != IPPROTO_TCP);
	return n;
}

TEST(segmentation)
{
	enum { PAYLOAD = 60000, MSS = 1460, PIECE = 15000 };
	struct nic *n = nic_running(ALL);
	int fd = packet_socket(n->name), one = 1, i, count = 0;
	static uint8_t frame[HEADERS + PAYLOAD], got[70000];
	const uint64_t buf = NIC_TX_BUFS + 100 * TX_BUF;
	struct virtio_net_hdr h;
	struct iphdr *ip = (void *)(got + ETH_HLEN);
	struct tcphdr *tcp = (void *)(got + ETH_HLEN + 20);
	uint32_t d[8][4] = { {
		ETH_HLEN | (ETH_HLEN + 10) << 8 | (ETH_HLEN + 19) << 16,
		(ETH_HLEN + 20) | (ETH_HLEN + 36) << 8,
		PAYLOAD | TX_CMD(CONTEXT_TCP | CONTEXT_IP | TX_TSE) | TX_DEXT,
		HEADERS << 8 | (uint32_t)MSS << 16,
	} };

	SYS(setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)));
	make_tcp(frame, PAYLOAD);
	memcpy(n->vm->mem + buf, frame, sizeof(frame));
	for (i = 0; i < (int)sizeof(frame); i += PIECE, count++) {
		uint32_t len = sizeof(frame) - i < PIECE ? sizeof(frame) - i : PIECE;
		bool end = i + len == sizeof(frame);

		d[count + 1][0] = buf + i;
		d[count + 1][1] = 0;
		d[count + 1][2] = len | TX_DATA | TX_DEXT | TX_CMD(TX_TSE | TX_IFCS | (end ? TX_EOP | TX_RS : 0));
		d[count + 1][3] = TX_IXSM | TX_TXSM;
	}
	ASSERT(guest_send_descs(n, d, count + 1));
	/* Linux has it as one, knows where it is to be cut, and what its driver left out is there */
	ASSERT_EQ(next_tcp(fd, &h, got, sizeof(got)), sizeof(frame));
	EXPECT_EQ(h.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
	EXPECT_EQ(h.gso_size, MSS);
	EXPECT_EQ(h.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	EXPECT_EQ(h.csum_start, ETH_HLEN + 20);
	EXPECT_EQ(h.csum_offset, offsetof(struct tcphdr, check));
	EXPECT_EQ(ntohs(ip->tot_len), sizeof(frame) - ETH_HLEN);
	EXPECT_EQ(sum_of(got + ETH_HLEN, 20, 0), 0xffff);
	EXPECT_EQ(ntohs(tcp->check), sum_of(got + ETH_HLEN + 12, 8, IPPROTO_TCP + 20 + PAYLOAD));
	EXPECT(!memcmp(got + HEADERS, frame + HEADERS, PAYLOAD));

	/* lies about the headers: dropped, and counted; the link goes on */
#define LIE(change) do {								\
	make_tcp(frame, PAYLOAD);							\
	change;										\
	memcpy(n->vm->mem + buf, frame, sizeof(frame));					\
	ASSERT(guest_send_descs(n, d, count + 1));					\
	lies++;										\
	WAIT_FOR(dev_stat(n->name, "rx_errors") == lies);				\
} while (0)
	{
		uint64_t lies = 0;

		LIE(frame[12] = 0x86);				/* not IPv4 at all */
		LIE(frame[ETH_HLEN] = 0x46);			/* a longer IP header */
		LIE(frame[ETH_HLEN] = 0x65);			/* another version */
		LIE(frame[ETH_HLEN + 9] = IPPROTO_UDP);
		LIE(frame[ETH_HLEN + 6] = 0x20);		/* a fragment */
		LIE(frame[ETH_HLEN + 32] = 0x60);		/* TCP with options */
		LIE(frame[ETH_HLEN + 32] = 0x40);		/* less than TCP */
		d[0][3] = HEADERS << 8 | 10u << 16;
		LIE((void)0);					/* segments of 10 bytes */
	}
	fd = packet_socket(n->name);
	both_ways(n, fd, 100, 9);
	nic_close(n);
}

TEST(checksums_and_tags)
{
	struct nic *n = nic_running(ALL);
	int fd = packet_socket(n->name), one = 1;
	const uint64_t buf = NIC_TX_BUFS + 100 * TX_BUF;
	uint8_t frame[2048], got[2048], control[256];
	struct iovec iov = { got, sizeof(got) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control };
	struct tpacket_auxdata *aux;
	struct virtio_net_hdr h;
	uint32_t d[2][4] = { {
		ETH_HLEN | (ETH_HLEN + 10) << 8 | (ETH_HLEN + 19) << 16,
		(ETH_HLEN + 20) | (ETH_HLEN + 36) << 8,
		TX_CMD(CONTEXT_TCP | CONTEXT_IP) | TX_DEXT, 0,
	}, {
		buf, 0, (HEADERS + 333) | TX_DATA | TX_DEXT | TX_CMD(TX_EOP | TX_IFCS | TX_RS), TX_IXSM | TX_TXSM,
	} };

	/* without segmentation the driver fills in all but the sums */
	SYS(setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)));
	make_tcp(frame, 333);
	((struct iphdr *)(frame + ETH_HLEN))->tot_len = htons(HEADERS - ETH_HLEN + 333);
	memcpy(n->vm->mem + buf, frame, HEADERS + 333);
	ASSERT(guest_send_descs(n, d, 2));
	ASSERT_EQ(next_tcp(fd, &h, got, sizeof(got)), HEADERS + 333);
	EXPECT_EQ(h.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
	EXPECT_EQ(h.gso_type, VIRTIO_NET_HDR_GSO_NONE);
	EXPECT_EQ(sum_of(got + ETH_HLEN, 20, 0), 0xffff);

	/* a tag that the NIC puts on is beside the frame in Linux */
	close(fd);
	fd = packet_socket(n->name);
	SYS(setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &one, sizeof(one)));
	nic_write(n, REG_CTRL, nic_read(n, REG_CTRL) | CTRL_VME);
	make_frame(frame, 100, 3);
	memcpy(n->vm->mem + buf, frame, 100);
	d[1][2] = 100 | TX_DATA | TX_DEXT | TX_CMD(TX_EOP | TX_IFCS | TX_RS | TX_VLE);
	d[1][3] = 0x2123u << 16;
	ASSERT(guest_send_descs(n, d + 1, 1));
	do {
		m.msg_controllen = sizeof(control);
		ASSERT_GE(SYS(recvmsg(fd, &m, 0)), 14);
	} while (got[12] != EXPERIMENT >> 8);
	aux = (void *)CMSG_DATA(CMSG_FIRSTHDR(&m));
	EXPECT(aux->tp_status & TP_STATUS_VLAN_VALID);
	EXPECT_EQ(aux->tp_vlan_tci, 0x2123);
	nic_close(n);
}
