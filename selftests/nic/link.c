// SPDX-License-Identifier: MIT
/*
 * link.c - see link.h
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#include "link.h"

/* --- rtnetlink --- */

struct msg {
	struct nlmsghdr h;
	struct ifinfomsg ifi;
	char attrs[1024];
};

static struct rtattr *put(struct msg *m, int type, const void *data, size_t len)
{
	struct rtattr *a = (void *)((char *)m + NLMSG_ALIGN(m->h.nlmsg_len));

	a->rta_type = type;
	a->rta_len = RTA_LENGTH(len);
	if (len)
		memcpy(RTA_DATA(a), data, len);
	m->h.nlmsg_len = NLMSG_ALIGN(m->h.nlmsg_len) + RTA_ALIGN(a->rta_len);
	return a;
}

static void end(struct msg *m, struct rtattr *nest)
{
	nest->rta_len = (char *)m + m->h.nlmsg_len - (char *)nest;
}

static void begin(struct msg *m, int type, int flags)
{
	memset(m, 0, sizeof(*m));
	m->h.nlmsg_len = NLMSG_LENGTH(sizeof(m->ifi));
	m->h.nlmsg_type = type;
	m->h.nlmsg_flags = NLM_F_REQUEST | flags;
}

/* Sends @m; 0 or -errno, or the length of an answer in @buf. */
static int talk(struct msg *m, void *buf, size_t size)
{
	int fd = SYS(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
	struct nlmsgerr *e;
	int n;

	SYS(send(fd, m, m->h.nlmsg_len, 0));
	n = SYS(recv(fd, buf, size, 0));
	close(fd);
	if (((struct nlmsghdr *)buf)->nlmsg_type != NLMSG_ERROR)
		return n;
	e = NLMSG_DATA(buf);
	return e->error;
}

int link_new_raw(const struct link_config *c)
{
	struct rtattr *info, *data;
	char answer[4096];
	struct msg m;

	begin(&m, RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL);
	if (c->name)
		put(&m, IFLA_IFNAME, c->name, strlen(c->name) + 1);
	if (c->address)
		put(&m, IFLA_ADDRESS, c->address, 6);
	info = put(&m, IFLA_LINKINFO, NULL, 0);
	put(&m, IFLA_INFO_KIND, RS_LINK_KIND, strlen(RS_LINK_KIND));
	data = put(&m, IFLA_INFO_DATA, NULL, 0);
	if (c->vm_fd >= 0)
		put(&m, IFLA_RINGSIDE_VM_FD, &c->vm_fd, 4);
	if (c->event_fd >= 0)
		put(&m, IFLA_RINGSIDE_EVENT_FD, &c->event_fd, 4);
	if (c->index >= 0)
		put(&m, IFLA_RINGSIDE_INDEX, &c->index, 4);
	if (c->regs_gpa)
		put(&m, IFLA_RINGSIDE_REGS_GPA, c->regs_gpa, 8);
	if (c->guest_mac_len)
		put(&m, IFLA_RINGSIDE_GUEST_MAC, c->guest_mac, c->guest_mac_len);
	end(&m, data);
	end(&m, info);
	return talk(&m, answer, sizeof(answer));
}

int link_del_raw(const char *name)
{
	char answer[4096];
	struct msg m;

	begin(&m, RTM_DELLINK, NLM_F_ACK);
	put(&m, IFLA_IFNAME, name, strlen(name) + 1);
	return talk(&m, answer, sizeof(answer));
}

static struct rtattr *find(void *attrs, int len, int type)
{
	struct rtattr *a = attrs;

	for (; RTA_OK(a, len); a = RTA_NEXT(a, len))
		if ((a->rta_type & NLA_TYPE_MASK) == type)
			return a;
	return NULL;
}

int link_info_raw(const char *name, int attribute, void *buf, size_t size)
{
	static const int path[] = { IFLA_LINKINFO, IFLA_INFO_DATA };
	char answer[16384];
	struct rtattr *a;
	struct msg m;
	unsigned int i;
	int n;

	begin(&m, RTM_GETLINK, 0);
	put(&m, IFLA_IFNAME, name, strlen(name) + 1);
	n = talk(&m, answer, sizeof(answer));
	if (n < 0)
		return n;
	a = find(answer + NLMSG_LENGTH(sizeof(struct ifinfomsg)), n - NLMSG_LENGTH(sizeof(struct ifinfomsg)),
		 path[0]);
	for (i = 1; a && i <= 2; i++)
		a = find(RTA_DATA(a), RTA_PAYLOAD(a), i == 1 ? path[1] : attribute);
	if (!a)
		return -ENOENT;
	ASSERT(RTA_PAYLOAD(a) <= size);
	memcpy(buf, RTA_DATA(a), RTA_PAYLOAD(a));
	return RTA_PAYLOAD(a);
}

/* --- the VM --- */

/*
 * In a namespace of one's own Linux says nothing by itself: where the kernel has IPv6, an interface that comes up
 * looks for its own address and for routers, for as long as four seconds, and such frames would be counted.
 */
static void be_quiet(void)
{
	int fd = open("/proc/sys/net/ipv6/conf/default/disable_ipv6", O_WRONLY | O_CLOEXEC);

	if (fd < 0) {
		ASSERT_EQ(errno, ENOENT);
		return;
	}
	ASSERT_EQ(write(fd, "1", 1), 1);
	close(fd);
}

void own_network(void)
{
	if (unshare(CLONE_NEWNET))
		ASSERT_EQ(errno, EINVAL);
	else
		be_quiet();
}

struct nic *nic_new(void)
{
	struct nic *n = calloc(1, sizeof(*n));
	struct link_config c;

	n->vm = tvm_new(0);
	n->cpu = tcpu_new(n->vm, 0);
	n->event = SYS(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	strcpy(n->name, "rs0");
	c = (struct link_config)LINK_CONFIG(n->vm->fd, n->event);
	ASSERT_EQ(link_new_raw(&c), 0);
	n->page = (void *)(n->vm->mem + NIC_PAGE);
	return n;
}

uint32_t nic_read(struct nic *n, uint32_t reg)
{
	return tcpu_call(n->cpu, G_HYPERCALL, RS_HC_NIC_READ, 0, reg);
}

void nic_write(struct nic *n, uint32_t reg, uint32_t value)
{
	ASSERT_EQ(tcpu_call(n->cpu, G_HYPERCALL, RS_HC_NIC_WRITE, 0, reg, value), 0);
}

int64_t nic_doorbell(struct nic *n)
{
	return tcpu_call(n->cpu, G_HYPERCALL, RS_HC_NIC_DOORBELL, 0);
}

struct rx_desc {
	uint64_t address;
	uint16_t length, checksum;
	uint8_t status, errors;
	uint16_t special;
};

void nic_setup(struct nic *n, uint32_t rctl)
{
	struct rx_desc *rx = (void *)(n->vm->mem + NIC_RX_RING);
	int i;

	/* registers can be written once the page is not used any more */
	nic_write(n, REG_RCTL, 0);
	nic_write(n, REG_TCTL, 0);
	nic_write(n, RS_NIC_REG_PAGE_LOW, 0);
	nic_write(n, REG_RDH, 0);
	nic_write(n, REG_TDH, 0);
	memset(rx, 0, RING * sizeof(*rx));
	memset(n->vm->mem + NIC_TX_RING, 0, RING * 16);
	memset((void *)n->page, 0, PAGE);
	for (i = 0; i < RING; i++)
		rx[i].address = NIC_RX_BUFS + i * RX_BUF;
	n->tx = n->rx = 0;
	n->page->rx_tail = RING - 1;
	nic_write(n, REG_RDBAL, NIC_RX_RING);
	nic_write(n, REG_RDLEN, RING * sizeof(struct rx_desc));
	nic_write(n, REG_TDBAL, NIC_TX_RING);
	nic_write(n, REG_TDLEN, RING * 16);
	nic_write(n, RS_NIC_REG_PAGE_HIGH, 0);
	nic_write(n, RS_NIC_REG_PAGE_LOW, NIC_PAGE | 1);
	nic_write(n, REG_TCTL, TCTL_EN);
	nic_write(n, REG_RCTL, rctl | RCTL_EN);
}

void nic_close(struct nic *n)
{
	tcpu_close(n->cpu);
	tvm_close(n->vm);
	close(n->event);
	free(n);
}

/* --- the guest's side --- */

uint64_t guest_tx_buffer(const struct nic *n)
{
	return NIC_TX_BUFS + n->tx * TX_BUF;
}

/* After a tail was stored: the doorbell, if it is wanted, once. */
static void ring_bell(struct nic *n, uint32_t want)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if ((__atomic_load_n(&n->page->doorbell, __ATOMIC_RELAXED) & want) &&
	    (__atomic_fetch_and(&n->page->doorbell, ~want, __ATOMIC_SEQ_CST) & want))
		EXPECT_EQ(nic_doorbell(n), 0);
}

bool guest_send(struct nic *n, const void *frame, unsigned int len)
{
	const uint64_t buf = guest_tx_buffer(n);
	const uint32_t d[1][4] = { { buf, buf >> 32, len | 1u << 24 | 8u << 24, 0 } };	/* EOP, RS */

	ASSERT(len <= TX_BUF);
	if ((n->tx + 1) % RING == __atomic_load_n(&n->page->tx_head, __ATOMIC_ACQUIRE))
		return false;
	memcpy(n->vm->mem + buf, frame, len);
	return guest_send_descs(n, d, 1);
}

bool guest_send_descs(struct nic *n, const uint32_t (*descs)[4], unsigned int count)
{
	uint32_t head = __atomic_load_n(&n->page->tx_head, __ATOMIC_ACQUIRE);
	unsigned int i;

	if ((head + RING - n->tx - 1) % RING < count)
		return false;
	for (i = 0; i < count; i++) {
		memcpy(n->vm->mem + NIC_TX_RING + 16 * n->tx, descs[i], 16);
		n->tx = (n->tx + 1) % RING;
	}
	__atomic_store_n(&n->page->tx_tail, n->tx, __ATOMIC_RELEASE);
	ring_bell(n, RS_NIC_WANT_TX);
	return true;
}

int guest_recv(struct nic *n, void *buf, unsigned int size)
{
	struct rx_desc *ring = (void *)(n->vm->mem + NIC_RX_RING), *d;
	uint32_t head = __atomic_load_n(&n->page->rx_head, __ATOMIC_ACQUIRE);
	unsigned int len = 0;

	if (n->rx == head)
		return -1;
	do {
		ASSERT_NE(n->rx, head);	/* a frame is there as a whole */
		d = &ring[n->rx];
		ASSERT(d->status & 1);
		if (len + d->length <= size)
			memcpy((char *)buf + len, n->vm->mem + NIC_RX_BUFS + n->rx * RX_BUF, d->length);
		len += d->length;
		n->rx = (n->rx + 1) % RING;
	} while (!(d->status & 2));
	__atomic_store_n(&n->page->rx_tail, (n->rx + RING - 1) % RING, __ATOMIC_RELEASE);
	ring_bell(n, RS_NIC_WANT_RX);
	return len;
}

int guest_wait_recv(struct nic *n, void *buf, unsigned int size)
{
	struct pollfd p = { .fd = n->event, .events = POLLIN };
	uint64_t count;
	int len;

	for (;;) {
		__atomic_exchange_n(&n->page->cause, 0, __ATOMIC_SEQ_CST);
		__atomic_store_n(&n->page->mask, CAUSE_RXT0, __ATOMIC_SEQ_CST);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		len = guest_recv(n, buf, size);
		if (len >= 0 || n->page->cause)
			n->page->mask = 0;
		if (len >= 0)
			return len;
		if (n->page->cause)
			continue;
		if (SYS(poll(&p, 1, 30000)) == 0) {
			FAIL("no interrupt in 30 s");
			test_leave();
		}
		ASSERT_EQ(read(n->event, &count, sizeof(count)), sizeof(count));
	}
}

bool wait_a_moment(int *turns)
{
	struct timespec t = { .tv_nsec = 1000000 };

	nanosleep(&t, NULL);
	return ++*turns < 30000;
}

/* --- frames --- */

void make_frame(uint8_t *f, unsigned int len, unsigned int seed)
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

int next_frame(int fd, void *buf, size_t size)
{
	for (;;) {
		struct sockaddr_ll from;
		socklen_t len = sizeof(from);
		int n = SYS(recvfrom(fd, buf, size, MSG_TRUNC, (void *)&from, &len));

		if (from.sll_pkttype != PACKET_OUTGOING && from.sll_protocol == htons(EXPERIMENT))
			return n;
	}
}

int guest_next_frame(struct nic *n, void *buf, size_t size)
{
	const uint8_t *f = buf;
	int len;

	do {
		len = guest_wait_recv(n, buf, size);
		ASSERT_GE(len, 14);
	} while (f[12] != EXPERIMENT >> 8 || f[13] != (EXPERIMENT & 0xff));
	return len;
}

int send_frame_raw(int fd, const char *name, const void *frame, unsigned int len)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_halen = 6 };
	int n;

	to.sll_ifindex = if_nametoindex(name);
	memcpy(to.sll_addr, frame, 6);
	n = sendto(fd, frame, len, 0, (void *)&to, sizeof(to));
	return n < 0 ? -errno : 0;
}

/* --- Linux's side --- */

static int control(const char *name, int request, struct ifreq *ifr)
{
	int fd = SYS(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)), ret;

	strncpy(ifr->ifr_name, name, IFNAMSIZ - 1);
	ret = ioctl(fd, request, ifr) ? -errno : 0;
	close(fd);
	return ret;
}

void dev_up(const char *name, bool up)
{
	struct ifreq ifr = { 0 };

	ASSERT_EQ(control(name, SIOCGIFFLAGS, &ifr), 0);
	ifr.ifr_flags = up ? ifr.ifr_flags | IFF_UP : ifr.ifr_flags & ~IFF_UP;
	ASSERT_EQ(control(name, SIOCSIFFLAGS, &ifr), 0);
}

int dev_mtu_raw(const char *name, int mtu)
{
	struct ifreq ifr = { .ifr_mtu = mtu };

	return control(name, SIOCSIFMTU, &ifr);
}

bool dev_exists(const char *name)
{
	struct ifreq ifr = { 0 };

	return !control(name, SIOCGIFFLAGS, &ifr);
}

bool dev_carrier(const char *name)
{
	struct ethtool_value v = { .cmd = ETHTOOL_GLINK };
	struct ifreq ifr = { .ifr_data = (void *)&v };

	ASSERT_EQ(control(name, SIOCETHTOOL, &ifr), 0);
	return v.data;
}

void dev_mac(const char *name, void *mac)
{
	struct ifreq ifr = { 0 };

	ASSERT_EQ(control(name, SIOCGIFHWADDR, &ifr), 0);
	memcpy(mac, ifr.ifr_hwaddr.sa_data, 6);
}

void dev_address(const char *name, const char *ip)
{
	struct sockaddr_in *sin;
	struct ifreq ifr = { 0 };

	sin = (struct sockaddr_in *)&ifr.ifr_addr;
	sin->sin_family = AF_INET;
	inet_pton(AF_INET, ip, &sin->sin_addr);
	ASSERT_EQ(control(name, SIOCSIFADDR, &ifr), 0);
	inet_pton(AF_INET, "255.255.255.0", &sin->sin_addr);
	ASSERT_EQ(control(name, SIOCSIFNETMASK, &ifr), 0);
}

/* /proc/net/dev: it is this namespace's, while a /sys is the one's it was mounted in */
uint64_t dev_stat(const char *name, const char *stat)
{
	static const char *const names[] = {
		"rx_bytes", "rx_packets", "rx_errors", "rx_dropped", "", "", "", "",
		"tx_bytes", "tx_packets", "tx_errors", "tx_dropped",
	};
	FILE *f = fopen("/proc/thread-self/net/dev", "r");
	uint64_t v[12];
	char line[512];
	unsigned int i;

	ASSERT(f);
	while (fgets(line, sizeof(line), f)) {
		char *colon = strchr(line, ':'), *at = line;

		while (*at == ' ')
			at++;
		if (!colon || (size_t)(colon - at) != strlen(name) || strncmp(at, name, colon - at))
			continue;
		at = colon + 1;
		for (i = 0; i < 12; i++)
			v[i] = strtoull(at, &at, 10);
		fclose(f);
		for (i = 0; i < 12; i++)
			if (!strcmp(names[i], stat))
				return v[i];
	}
	FAIL("no statistic %s of %s", stat, name);
	test_leave();
}

uint64_t dev_ethtool(const char *name, const char *stat)
{
	enum { MANY = 128 };
	struct ethtool_gstrings *strings = calloc(1, sizeof(*strings) + MANY * ETH_GSTRING_LEN);
	struct ethtool_stats *values = calloc(1, sizeof(*values) + MANY * 8);
	struct ifreq ifr = { .ifr_data = (void *)strings };
	uint64_t v;
	unsigned int i;

	strings->cmd = ETHTOOL_GSTRINGS;
	strings->string_set = ETH_SS_STATS;
	strings->len = 0;		/* all there are */
	ASSERT_EQ(control(name, SIOCETHTOOL, &ifr), 0);
	values->cmd = ETHTOOL_GSTATS;
	ASSERT(strings->len <= MANY);
	values->n_stats = strings->len;
	ifr.ifr_data = (void *)values;
	ASSERT_EQ(control(name, SIOCETHTOOL, &ifr), 0);
	for (i = 0; i < strings->len; i++)
		if (!strcmp((char *)strings->data + i * ETH_GSTRING_LEN, stat))
			break;
	if (i == strings->len) {
		FAIL("no ethtool statistic %s among %u", stat, strings->len);
		test_leave();
	}
	v = values->data[i];
	free(strings);
	free(values);
	return v;
}

int packet_socket(const char *name)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	struct timeval t = { .tv_sec = 30 };
	int fd = SYS(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL)));

	at.sll_ifindex = if_nametoindex(name);
	ASSERT(at.sll_ifindex);
	SYS(bind(fd, (void *)&at, sizeof(at)));
	SYS(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)));
	return fd;
}
