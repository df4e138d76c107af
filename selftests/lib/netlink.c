// SPDX-License-Identifier: MIT
/*
 * netlink.c - see netlink.h
 */
#define _GNU_SOURCE
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "harness.h"
#include "netlink.h"

/* --- building -------------------------------------------------------------------------------- */

void nl_begin(struct nl *nl, struct nl_msg *m, uint8_t cmd, int flags)
{
	struct genlmsghdr *g = NLMSG_DATA(&m->h);

	memset(m, 0, sizeof(*m));
	m->h.nlmsg_len = NLMSG_LENGTH(sizeof(*g));
	m->h.nlmsg_type = nl->family;
	m->h.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	m->h.nlmsg_seq = ++nl->seq;
	g->cmd = cmd;
	g->version = RS_GENL_VERSION;
}

void nl_put(struct nl_msg *m, int type, const void *data, size_t len)
{
	size_t at = NLMSG_ALIGN(m->h.nlmsg_len);
	struct nlattr *a = (void *)(m->bytes + at);

	ASSERT(at + NLA_HDRLEN + NLA_ALIGN(len) <= sizeof(m->bytes));
	a->nla_type = type;
	a->nla_len = NLA_HDRLEN + len;
	memcpy((uint8_t *)a + NLA_HDRLEN, data, len);
	m->h.nlmsg_len = at + NLA_HDRLEN + NLA_ALIGN(len);
}

void nl_put_u32(struct nl_msg *m, int type, uint32_t value)
{
	nl_put(m, type, &value, sizeof(value));
}

void nl_put_u64(struct nl_msg *m, int type, uint64_t value)
{
	nl_put(m, type, &value, sizeof(value));
}

/* --- reading --------------------------------------------------------------------------------- */

uint8_t nl_cmd(const struct nl_msg *m)
{
	return ((const struct genlmsghdr *)NLMSG_DATA(&m->h))->cmd;
}

static const struct nlattr *find(const uint8_t *at, size_t left, int type)
{
	while (left >= NLA_HDRLEN) {
		const struct nlattr *a = (const void *)at;
		size_t step = NLA_ALIGN(a->nla_len);

		if (a->nla_len < NLA_HDRLEN || a->nla_len > left)
			return NULL;
		if ((a->nla_type & NLA_TYPE_MASK) == type)
			return a;
		if (step > left)
			return NULL;
		at += step;
		left -= step;
	}
	return NULL;
}

const struct nlattr *nl_attr(const struct nl_msg *m, int type)
{
	size_t head = NLMSG_LENGTH(sizeof(struct genlmsghdr));

	return m->h.nlmsg_len < head ? NULL : find(m->bytes + head, m->h.nlmsg_len - head, type);
}

static uint64_t value(const struct nlattr *a)
{
	uint32_t small;
	uint64_t large;

	if (!a)
		return NL_NONE;
	if (a->nla_len == NLA_HDRLEN + 4) {
		memcpy(&small, (const uint8_t *)a + NLA_HDRLEN, 4);
		return small;
	}
	if (a->nla_len != NLA_HDRLEN + 8)
		return NL_NONE;
	memcpy(&large, (const uint8_t *)a + NLA_HDRLEN, 8);
	return large;
}

uint64_t nl_number(const struct nl_msg *m, int type)
{
	return value(nl_attr(m, type));
}

const char *nl_text(const struct nl_msg *m, int type)
{
	const struct nlattr *a = nl_attr(m, type);
	const char *s = (const char *)a + NLA_HDRLEN;

	return a && memchr(s, 0, a->nla_len - NLA_HDRLEN) ? s : "";
}

uint64_t nl_stat(const struct nl_msg *m, int stat)
{
	const struct nlattr *a = nl_attr(m, RS_A_STATS);

	if (!a)
		return NL_NONE;
	return value(find((const uint8_t *)a + NLA_HDRLEN, a->nla_len - NLA_HDRLEN, stat));
}

/* --- talking --------------------------------------------------------------------------------- */

static void keep(struct nl *nl, const struct nlmsghdr *h)
{
	if (nl->n == nl->room) {
		nl->room = nl->room ? 2 * nl->room : 16;
		nl->answers = realloc(nl->answers, nl->room * sizeof(*nl->answers));
		ASSERT(nl->answers);
	}
	ASSERT(h->nlmsg_len <= sizeof(*nl->answers));
	memcpy(&nl->answers[nl->n++], h, h->nlmsg_len);
}

static int result(struct nl *nl, const struct nlmsghdr *h)
{
	const struct nlmsgerr *e = NLMSG_DATA(h);
	size_t skip = h->nlmsg_type == NLMSG_DONE ? 4 : sizeof(*e);
	const struct nlattr *words;

	nl->words[0] = 0;
	if (h->nlmsg_len < NLMSG_HDRLEN + 4)
		return 0;
	if (e->error && (h->nlmsg_flags & NLM_F_ACK_TLVS) && h->nlmsg_len >= NLMSG_HDRLEN + skip) {
		words = find((const uint8_t *)e + skip, h->nlmsg_len - NLMSG_HDRLEN - skip,
			     NLMSGERR_ATTR_MSG);
		if (words)
			snprintf(nl->words, sizeof(nl->words), "%.*s", words->nla_len - NLA_HDRLEN,
				 (const char *)words + NLA_HDRLEN);
	}
	return e->error;
}

int nl_talk(struct nl *nl, struct nl_msg *m)
{
	static __thread uint8_t buf[32768];
	uint32_t seq = m->h.nlmsg_seq;
	ssize_t n;

	nl->n = 0;
	SYS(send(nl->fd, m, m->h.nlmsg_len, 0));
	for (;;) {
		struct nlmsghdr *h = (void *)buf;

		do {
			n = recv(nl->fd, buf, sizeof(buf), 0);
		} while (n < 0 && errno == EINTR);
		ASSERT_NE(n, -1);
		for (; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
			if (h->nlmsg_seq != seq)
				continue;
			if (h->nlmsg_type == NLMSG_ERROR || h->nlmsg_type == NLMSG_DONE)
				return result(nl, h);
			keep(nl, h);
		}
	}
}

static void find_family(struct nl *nl)
{
	const struct nlattr *groups, *group, *id;
	struct nl_msg m;

	nl->family = GENL_ID_CTRL;
	nl_begin(nl, &m, CTRL_CMD_GETFAMILY, 0);
	nl_put(&m, CTRL_ATTR_FAMILY_NAME, RS_GENL_NAME, sizeof(RS_GENL_NAME));
	if (nl_talk(nl, &m) == -ENOENT)
		SKIP("the module is not loaded");
	ASSERT_EQ(nl->n, 1);
	id = nl_attr(&nl->answers[0], CTRL_ATTR_FAMILY_ID);
	groups = nl_attr(&nl->answers[0], CTRL_ATTR_MCAST_GROUPS);
	ASSERT(id && groups);
	memcpy(&nl->family, (const uint8_t *)id + NLA_HDRLEN, 2);
	/* the only one */
	group = (const void *)((const uint8_t *)groups + NLA_HDRLEN);
	id = find((const uint8_t *)group + NLA_HDRLEN, group->nla_len - NLA_HDRLEN,
		  CTRL_ATTR_MCAST_GRP_ID);
	ASSERT(id);
	memcpy(&nl->group, (const uint8_t *)id + NLA_HDRLEN, 4);
}

static int open_socket(void)
{
	struct sockaddr_nl any = { .nl_family = AF_NETLINK };
	int fd = SYS(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC)), on = 1;

	SYS(bind(fd, (void *)&any, sizeof(any)));
	SYS(setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on)));
	SYS(setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on)));
	return fd;
}

struct nl *nl_open(void)
{
	struct nl *nl = calloc(1, sizeof(*nl));

	ASSERT(nl);
	nl->fd = open_socket();
	find_family(nl);
	return nl;
}

void nl_close(struct nl *nl)
{
	close(nl->fd);
	free(nl->answers);
	free(nl);
}

int nl_vcpu_command(struct nl *nl, uint8_t cmd, uint32_t vm, int vcpu)
{
	struct nl_msg m;

	nl_begin(nl, &m, cmd, 0);
	if (vm)
		nl_put_u32(&m, RS_A_VM_ID, vm);
	if (vcpu >= 0)
		nl_put_u32(&m, RS_A_VCPU_ID, vcpu);
	return nl_talk(nl, &m);
}

int nl_command(struct nl *nl, uint8_t cmd, uint32_t vm)
{
	return nl_vcpu_command(nl, cmd, vm, -1);
}

int nl_dump(struct nl *nl, uint8_t cmd, uint32_t vm)
{
	struct nl_msg m;

	nl_begin(nl, &m, cmd, NLM_F_DUMP);
	if (vm)
		nl_put_u32(&m, RS_A_VM_ID, vm);
	return nl_talk(nl, &m);
}

int nl_limit(struct nl *nl, uint32_t vm, int attr, uint64_t limit)
{
	struct nl_msg m;

	nl_begin(nl, &m, RS_CMD_SET_LIMITS, 0);
	nl_put_u32(&m, RS_A_VM_ID, vm);
	if (attr == RS_A_LIMIT_VCPUS)
		nl_put_u32(&m, attr, limit);
	else
		nl_put_u64(&m, attr, limit);
	return nl_talk(nl, &m);
}

const struct nl_msg *nl_about(const struct nl *nl, uint32_t vm, uint64_t vcpu)
{
	size_t i;

	for (i = 0; i < nl->n; i++)
		if (nl_number(&nl->answers[i], RS_A_VM_ID) == vm &&
		    nl_number(&nl->answers[i], RS_A_VCPU_ID) == vcpu)
			return &nl->answers[i];
	return NULL;
}

uint32_t nl_my_vm(struct nl *nl)
{
	uint32_t id = 0;
	size_t i;

	ASSERT_EQ(nl_dump(nl, RS_CMD_GET_VM, 0), 0);
	for (i = 0; i < nl->n; i++)
		if (nl_number(&nl->answers[i], RS_A_PID) == (uint32_t)getpid())
			id = nl_number(&nl->answers[i], RS_A_VM_ID);
	ASSERT(id);
	return id;
}

/* --- events ---------------------------------------------------------------------------------- */

int nl_listen(const struct nl *nl, int buffer)
{
	int fd = open_socket();

	if (buffer)
		SYS(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer)));
	SYS(setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &nl->group, sizeof(nl->group)));
	return fd;
}

int nl_event_now(int fd, struct nl_msg *m)
{
	ssize_t n = recv(fd, m, sizeof(*m), MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return 0;
	if (n < 0 && errno == ENOBUFS)
		return -ENOBUFS;
	ASSERT_GE(n, NLMSG_LENGTH(sizeof(struct genlmsghdr)));
	return 1;
}

bool nl_event(int fd, uint32_t vm, int cmd, struct nl_msg *m)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	while (poll(&p, 1, 10000) == 1) {
		ASSERT_EQ(nl_event_now(fd, m), 1);
		if (nl_cmd(m) == cmd && (!vm || nl_number(m, RS_A_VM_ID) == vm))
			return true;
	}
	FAIL("no event %d of VM %u", cmd, vm);
	return false;
}

uint64_t nl_event_seq(struct nl *nl)
{
	ASSERT_EQ(nl_command(nl, RS_CMD_GET_EVENT_SEQ, 0), 0);
	ASSERT_EQ(nl->n, 1);
	return nl_number(&nl->answers[0], RS_A_EVENT_SEQ);
}
