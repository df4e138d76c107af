// SPDX-License-Identifier: MIT
/*
 * The network of --net e1000: a NIC in the guest and an interface in the network namespace of this
 * process, made over rtnetlink before the confinement. The program's sockets are the guest kernel's; the
 * host process keeps no socket, so what reaches the network is frames, and Linux treats them as those
 * of a neighbour on the wire.
 *
 *	guest		ip=A/LEN, its MAC, a default route to gw
 *	interface	gw, which is an address of the same subnet: this machine is the guest's neighbour
 *
 * In order: the eventfd; the link with its name and MTU (the kernel's error is told in words, with what
 * it adds itself); its address; up. A link that was made goes with the VM, so nothing is undone when a
 * later step fails: the process ends, and the VM with it.
 *
 * Without a name the interface is the first of rs0, rs1, ... that is free. The kernel would choose one,
 * too, but not say which.
 *
 * The NIC's event. The module signals the eventfd when the guest wants to know of something. A thread
 * waits for it and raises RS_EVENT_NIC on vCPU 0 (rs_vcpu_notify, which loses nothing). It is made after
 * the confinement, as all threads; what was signalled before waits in the eventfd.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <asm/unistd.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <libmnl/libmnl.h>

#include "net.h"
#include "raw.h"
#include "ringside_netlink.h"
#include "threads.h"

#define DEFAULT_MTU	1500
#define MIN_MTU		576	/* what every host has to take (RFC 791) */
#define MANY_NAMES	10000

/* --- what was asked for ---------------------------------------------------------------------- */

static uint32_t mask_of(unsigned int prefix)
{
	return htonl(~0u << (32 - prefix));
}

/* An address that a machine can have in this subnet. */
static bool is_host(uint32_t address, uint32_t mask)
{
	uint32_t a = ntohl(address), host = a & ~ntohl(mask);

	if (host == 0 || host == ~ntohl(mask))
		return false;
	/* this network, loopback, multicast and what is reserved */
	return a >> 24 != 0 && a >> 24 != 127 && a >> 24 < 224;
}

static uint32_t gateway_of(const struct rs_nic_config *n)
{
	return n->gateway ? n->gateway : htonl(ntohl(n->address & mask_of(n->prefix)) + 1);
}

const char *rs_net_bad(const struct rs_nic_config *n)
{
	static const uint8_t none[6];
	uint32_t mask, gateway;
	size_t i, len;

	if (n->prefix < 1 || n->prefix > 30)
		return "the length of the subnet in ip= must be between 1 and 30";
	mask = mask_of(n->prefix);
	if (!is_host(n->address, mask))
		return "ip= is not the address of a machine in its subnet";
	gateway = gateway_of(n);
	if ((gateway ^ n->address) & mask)
		return "gw= must lie in the subnet of ip=: it is the address of this machine there";
	if (!is_host(gateway, mask))
		return "gw= is not the address of a machine in the subnet";
	if (gateway == n->address)
		return n->gateway ? "ip= and gw= are the same address" :
				    "ip= is the first address of its subnet, which this machine takes unless gw= says "
				    "another one";
	if (n->mtu && (n->mtu < MIN_MTU || n->mtu > RS_NIC_MTU_MAX))
		return "mtu= must be between 576 and 9000";
	if (memcmp(n->mac, none, 6) && (n->mac[0] & 1))
		return "mac= must be the address of one machine, not of a group";
	len = strnlen(n->name, sizeof(n->name));
	if (len == sizeof(n->name) || !strcmp(n->name, ".") || !strcmp(n->name, ".."))
		return "name= is no name of an interface";
	for (i = 0; i < len; i++)
		if (n->name[i] <= ' ' || n->name[i] > '~' || strchr("/:%", n->name[i]))
			return "name= is no name of an interface";
	return NULL;
}

/* The decimal number @s, which ends at @end; -1 when it is none up to @most. */
static long number(const char *s, const char *end, long most)
{
	long n = 0;

	if (s == end)
		return -1;
	for (; s < end; s++) {
		if (*s < '0' || *s > '9')
			return -1;
		n = n * 10 + (*s - '0');
		if (n > most)
			return -1;
	}
	return n;
}

static bool read_ip(const char *s, size_t len, uint32_t *address)
{
	char text[INET_ADDRSTRLEN];

	if (len >= sizeof(text))
		return false;
	memcpy(text, s, len);
	text[len] = 0;
	return inet_pton(AF_INET, text, address) == 1;
}

static bool read_mac(const char *s, size_t len, uint8_t *mac)
{
	static const char digits[] = "0123456789abcdef";
	size_t i;

	if (len != 17)
		return false;
	for (i = 0; i < 17; i++) {
		const char c = s[i] >= 'A' && s[i] <= 'F' ? s[i] + 'a' - 'A' : s[i];
		const char *at = c ? strchr(digits, c) : NULL;

		if (i % 3 == 2) {
			if (c != ':')
				return false;
			continue;
		}
		if (!at)
			return false;
		mac[i / 3] = i % 3 ? mac[i / 3] << 4 | (at - digits) : at - digits;
	}
	return memcmp(mac, "\0\0\0\0\0\0", 6) != 0;
}

/* The words of "e1000,...", and what each should have been. */
enum { IP, GW, MTU, MAC, NAME, NR_WORDS };
static const struct {
	const char *key, *want;
} known_words[NR_WORDS] = {
	[IP]	= { "ip", "an address and the length of its subnet, as in ip=10.0.0.2/24" },
	[GW]	= { "gw", "an address, as in gw=10.0.0.1" },
	[MTU]	= { "mtu", "a number between 576 and 9000, as in mtu=9000" },
	[MAC]	= { "mac", "an Ethernet address, as in mac=02:00:00:00:00:01" },
	[NAME]	= { "name", "a name of 1 to 15 characters, as in name=rs0" },
};

/* The value of word @which into @n; false when it is none. */
static bool read_word(struct rs_nic_config *n, int which, const char *v, size_t len)
{
	const char *slash;
	long m;

	switch (which) {
	case IP:
		slash = memchr(v, '/', len);
		m = slash ? number(slash + 1, v + len, 32) : -1;
		n->prefix = m;
		return m >= 0 && read_ip(v, slash - v, &n->address);
	case GW:
		return read_ip(v, len, &n->gateway) && n->gateway;
	case MTU:
		m = number(v, v + len, RS_NIC_MTU_MAX);
		n->mtu = m;
		return m >= MIN_MTU;
	case MAC:
		return read_mac(v, len, n->mac);
	default:
		if (!len || len >= sizeof(n->name))
			return false;
		memcpy(n->name, v, len);
		n->name[len] = 0;
		return true;
	}
}

/* One KEY=VALUE, @len bytes at @s; which ones were there is in @seen. 0, or -1 with words in @why. */
static int read_pair(struct rs_nic_config *n, const char *s, size_t len, unsigned int *seen, char *why,
		     size_t size)
{
	const char *v = memchr(s, '=', len);
	size_t klen = v ? (size_t)(v - s) : 0;
	int i;

	for (i = 0; v && i < NR_WORDS; i++)
		if (strlen(known_words[i].key) == klen && !memcmp(known_words[i].key, s, klen))
			break;
	if (!v || i == NR_WORDS) {
		snprintf(why, size, "\"%.*s\" is not one of ip=, gw=, mtu=, mac=, name=", (int)len, s);
		return -1;
	}
	if (*seen & 1u << i) {
		snprintf(why, size, "%s= is there twice", known_words[i].key);
		return -1;
	}
	*seen |= 1u << i;
	if (!read_word(n, i, v + 1, len - klen - 1)) {
		snprintf(why, size, "\"%.*s\" is not %s", (int)len, s, known_words[i].want);
		return -1;
	}
	return 0;
}

int rs_net_set(const char *words, struct rs_config *c, char *why, size_t size)
{
	struct rs_nic_config n = { .prefix = 0 };
	unsigned int seen = 0;
	const char *s, *bad;
	size_t len;

	if (!strcmp(words, "none") || !strcmp(words, "host")) {
		c->net = *words == 'n' ? RS_NET_NONE : RS_NET_HOST;
		return 0;
	}
	if (strncmp(words, "e1000", 5) || (words[5] && words[5] != ',')) {
		snprintf(why, size, "\"%s\" is not none, host or e1000,ip=ADDRESS/LENGTH", words);
		return -1;
	}
	for (s = words + 5; *s == ','; s += len) {
		len = strcspn(++s, ",");
		if (read_pair(&n, s, len, &seen, why, size))
			return -1;
	}
	if (!(seen & 1u << IP)) {
		snprintf(why, size, "e1000 needs ip=ADDRESS/LENGTH, as in e1000,ip=10.0.0.2/24");
		return -1;
	}
	bad = rs_net_bad(&n);
	if (bad) {
		snprintf(why, size, "%s", bad);
		return -1;
	}
	c->net = RS_NET_E1000;
	c->nic = n;
	return 0;
}

/* --- rtnetlink ------------------------------------------------------------------------------- */

struct talk {
	struct mnl_socket *nl;
	unsigned int seq;
	char buf[8192];			/* MNL_SOCKET_BUFFER_SIZE is no constant */
	char said[200];			/* the kernel's own words about the last error */
};

static struct nlmsghdr *begin(struct talk *t, int type, int flags)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(t->buf);

	h->nlmsg_type = type;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	h->nlmsg_seq = ++t->seq;
	return h;
}

static int note_words(const struct nlattr *attr, void *data)
{
	struct talk *t = data;

	if (mnl_attr_get_type(attr) == NLMSGERR_ATTR_MSG && !mnl_attr_validate(attr, MNL_TYPE_NUL_STRING))
		snprintf(t->said, sizeof(t->said), "%s", mnl_attr_get_str(attr));
	return MNL_CB_OK;
}

/* Send @h and wait for its acknowledgement: 0 or -errno. */
static int talk(struct talk *t, struct nlmsghdr *h)
{
	const struct nlmsgerr *e;
	unsigned int skip;
	ssize_t n;

	t->said[0] = 0;
	if (mnl_socket_sendto(t->nl, h, h->nlmsg_len) < 0)
		return -errno;
	do {
		n = mnl_socket_recvfrom(t->nl, t->buf, sizeof(t->buf));
		if (n < 0)
			return -errno;
		h = (struct nlmsghdr *)t->buf;
	} while (!mnl_nlmsg_ok(h, n) || h->nlmsg_seq != t->seq);
	if (h->nlmsg_type != NLMSG_ERROR || h->nlmsg_len < NLMSG_LENGTH(sizeof(*e)))
		return -EPROTO;
	e = mnl_nlmsg_get_payload(h);
	if (e->error && (h->nlmsg_flags & NLM_F_ACK_TLVS)) {
		skip = sizeof(*e);
		if (!(h->nlmsg_flags & NLM_F_CAPPED))
			skip += mnl_nlmsg_get_payload_len(&e->msg);
		mnl_attr_parse(h, skip, note_words, t);
	}
	return e->error;
}

static int open_talk(struct talk *t)
{
	int one = 1;

	memset(t, 0, sizeof(*t));
	t->nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!t->nl || mnl_socket_bind(t->nl, 0, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	mnl_socket_setsockopt(t->nl, NETLINK_EXT_ACK, &one, sizeof(one));
	return 0;
}

static void close_talk(struct talk *t)
{
	if (t->nl)
		mnl_socket_close(t->nl);
}

struct link {
	const char *name;
	int vm_fd, event_fd;
	unsigned int mtu;
	const uint8_t *mac;		/* the guest's */
};

static int new_link(struct talk *t, const struct link *l)
{
	struct nlmsghdr *h = begin(t, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
	struct nlattr *info, *data;

	memset(mnl_nlmsg_put_extra_header(h, sizeof(struct ifinfomsg)), 0, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(h, IFLA_IFNAME, l->name);
	mnl_attr_put_u32(h, IFLA_MTU, l->mtu);
	info = mnl_attr_nest_start(h, IFLA_LINKINFO);
	mnl_attr_put_str(h, IFLA_INFO_KIND, RS_LINK_KIND);
	data = mnl_attr_nest_start(h, IFLA_INFO_DATA);
	mnl_attr_put_u32(h, IFLA_RINGSIDE_VM_FD, l->vm_fd);
	mnl_attr_put_u32(h, IFLA_RINGSIDE_EVENT_FD, l->event_fd);
	mnl_attr_put(h, IFLA_RINGSIDE_GUEST_MAC, 6, l->mac);
	mnl_attr_nest_end(h, data);
	mnl_attr_nest_end(h, info);
	return talk(t, h);
}

static int new_address(struct talk *t, unsigned int index, uint32_t address, unsigned int prefix)
{
	struct nlmsghdr *h = begin(t, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL);
	struct ifaddrmsg *ifa = mnl_nlmsg_put_extra_header(h, sizeof(*ifa));

	*ifa = (struct ifaddrmsg){
		.ifa_family = AF_INET, .ifa_prefixlen = prefix, .ifa_index = index,
	};
	mnl_attr_put_u32(h, IFA_LOCAL, address);
	mnl_attr_put_u32(h, IFA_ADDRESS, address);
	mnl_attr_put_u32(h, IFA_BROADCAST, address | ~mask_of(prefix));
	return talk(t, h);
}

static int set_up(struct talk *t, unsigned int index)
{
	struct nlmsghdr *h = begin(t, RTM_NEWLINK, 0);
	struct ifinfomsg *ifi = mnl_nlmsg_put_extra_header(h, sizeof(*ifi));

	*ifi = (struct ifinfomsg){ .ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP };
	return talk(t, h);
}

/* --- the link -------------------------------------------------------------------------------- */

static void explain_link(const struct talk *t, const char *name, int ret, char *why)
{
	if (ret == -EPERM)
		snprintf(why, RS_WHY,
			 "--net e1000 makes a network interface, which needs CAP_NET_ADMIN: run it as root, or in a "
			 "network namespace of your own (unshare -rn ringside run ...)");
	else if (ret == -EOPNOTSUPP)
		snprintf(why, RS_WHY,
			 "this Linux does not know interfaces of the kind " RS_LINK_KIND
			 ": the module that is loaded is an older one");
	else
		snprintf(why, RS_WHY, "cannot make the network interface %s: %s%s%s%s", name, strerror(-ret),
			 *t->said ? " (" : "", t->said, *t->said ? ")" : "");
}

/* Make the link with the name that was asked for, or the first free one; @name has 16 bytes. */
static int make_link(struct talk *t, struct link *l, char *name, char *why)
{
	const bool any = !*name;
	int ret, i;

	for (i = 0; i < MANY_NAMES; i++) {
		if (any)
			snprintf(name, IFNAMSIZ, "rs%d", i);
		/* Taken by another one: EEXIST would come too, but only after a NIC was made. */
		if (any && if_nametoindex(name))
			continue;
		l->name = name;
		ret = new_link(t, l);
		if (!any || ret != -EEXIST)
			break;
	}
	if (ret)
		explain_link(t, name, ret, why);
	return ret;
}

static int random_mac(uint8_t *mac)
{
	if (getrandom(mac, 6, 0) != 6)
		return -EIO;
	mac[0] = (mac[0] & ~1) | 2;	/* one machine's, given by hand */
	return 0;
}

int rs_net_create(struct rs_sandbox *sb, const struct rs_nic_config *n, struct rs_boot_net *boot,
		  char *why)
{
	const uint32_t gateway = gateway_of(n);
	char name[IFNAMSIZ] = "";
	struct link l = { .mtu = n->mtu ? n->mtu : DEFAULT_MTU };
	static const uint8_t none[6];
	unsigned int index;
	struct talk t;
	int ret;

	if (!sb->engine.ops->vm_fd) {
		snprintf(why, RS_WHY, "the engine \"%s\" has no NIC", sb->engine.ops->name);
		return -1;
	}
	*boot = (struct rs_boot_net){
		.address = n->address, .netmask = mask_of(n->prefix), .gateway = gateway, .mtu = l.mtu,
	};
	memcpy(boot->mac, n->mac, 6);
	if (!memcmp(n->mac, none, 6) && random_mac(boot->mac)) {
		snprintf(why, RS_WHY, "no random bytes: %s", strerror(errno));
		return -1;
	}
	sb->nic_event = eventfd(0, EFD_CLOEXEC);
	if (sb->nic_event < 0) {
		snprintf(why, RS_WHY, "cannot make an eventfd: %s", strerror(errno));
		return -1;
	}
	l.vm_fd = sb->engine.ops->vm_fd(&sb->engine);
	l.event_fd = sb->nic_event;
	l.mac = boot->mac;
	memcpy(name, n->name, sizeof(name) - 1);

	ret = open_talk(&t);
	if (ret) {
		snprintf(why, RS_WHY, "cannot talk to the kernel about network interfaces: %s", strerror(-ret));
		close_talk(&t);
		return -1;
	}
	ret = make_link(&t, &l, name, why);
	if (!ret) {
		index = if_nametoindex(name);
		ret = index ? new_address(&t, index, gateway, n->prefix) : -errno;
		if (!ret)
			ret = set_up(&t, index);
		if (ret)
			snprintf(why, RS_WHY, "cannot set up the network interface %s: %s%s%s%s", name,
				 strerror(-ret), *t.said ? " (" : "", t.said, *t.said ? ")" : "");
	}
	close_talk(&t);
	return ret ? -1 : 0;
}

int rs_net_available(void)
{
	static const uint8_t mac[6] = { 2 };
	/* Everything is checked in order, so what is refused is known by the error. */
	struct link l = { .name = "rs-try", .vm_fd = -1, .event_fd = -1, .mtu = DEFAULT_MTU, .mac = mac };
	struct talk t;
	int ret = open_talk(&t);

	if (!ret)
		ret = new_link(&t, &l);
	close_talk(&t);
	return ret == -EBADF ? 1 : ret == -EPERM ? 0 : ret ? ret : -EIO;
}

/* --- events ---------------------------------------------------------------------------------- */

static void *event_thread(void *arg)
{
	struct rs_sandbox *sb = arg;
	uint64_t count;
	long n;

	for (;;) {
		n = rs_raw3(__NR_read, sb->nic_event, (long)&count, sizeof(count));
		if (n == sizeof(count))
			rs_vcpu_notify(sb->vcpus[0], RS_EVENT_NIC);
		else if (n != -EINTR)
			return NULL;	/* cannot be: the descriptor is ours alone */
	}
}

int rs_net_start(struct rs_sandbox *sb)
{
	return rs_thread_start(sb, event_thread, sb, false);
}
