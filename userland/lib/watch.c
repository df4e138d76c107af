// SPDX-License-Identifier: MIT
/*
 * Events of VMs, none missed without being counted.
 *
 * The module numbers the events of a network namespace without a gap. What arrives here arrives in
 * order, with gaps where the socket's buffer was full; so a gap before an event is counted when the
 * event comes. A gap at the end shows only by the kernel's ENOBUFS: then, when all that arrived has been
 * read, the module is asked for the latest number, and what has arrived until its answer is read first,
 * since an event is in the buffer, or lost, before its number is given out.
 *
 * The start: the socket joins the group first and asks for the latest number afterwards. An event
 * between the two is told (its number is not above that one), none before is counted as lost.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <libmnl/libmnl.h>
#include <linux/genetlink.h>

#include "control.h"

static int seq_answer(struct rs_control *c, const struct nlmsghdr *nlh, void *arg)
{
	struct rs_attrs a;

	(void)c;
	rs_attrs_of(nlh, &a);
	*(uint64_t *)arg = rs_attr_u64(&a, RS_A_EVENT_SEQ);
	return 0;
}

static int latest(struct rs_control *c, uint64_t *seq)
{
	char buf[MNL_SOCKET_BUFFER_SIZE];

	*seq = 0;
	return rs_talk(c, rs_request(c, buf, RS_CMD_GET_EVENT_SEQ, 0), seq_answer, seq);
}

int rs_control_listen(struct rs_control *c, int buffer)
{
	struct mnl_socket *s;

	if (c->events)
		return rs_control_fail(c, -EBUSY, "events are listened to already");
	s = mnl_socket_open2(NETLINK_GENERIC, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!s || mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID) < 0 ||
	    (buffer && setsockopt(mnl_socket_get_fd(s), SOL_SOCKET, SO_RCVBUF, &buffer,
				  sizeof(buffer))) ||
	    mnl_socket_setsockopt(s, NETLINK_ADD_MEMBERSHIP, &c->group, sizeof(c->group))) {
		int err = -errno;

		if (s)
			mnl_socket_close(s);
		return rs_control_fail(c, err, "cannot listen to events: %s", strerror(-err));
	}
	c->events = s;
	c->known = false;
	return latest(c, &c->last);
}

static void tell(const struct nlmsghdr *nlh, struct rs_vm_event *e)
{
	const struct genlmsghdr *g = mnl_nlmsg_get_payload(nlh);
	struct rs_attrs a;

	rs_attrs_of(nlh, &a);
	memset(e, 0, sizeof(*e));
	e->kind = RS_VM_EVENT_CREATED + g->cmd - RS_CMD_EVENT_CREATED;
	e->seq = rs_attr_u64(&a, RS_A_EVENT_SEQ);
	e->time = rs_attr_u64(&a, RS_A_EVENT_TIME);
	e->vm = rs_attr_u32(&a, RS_A_VM_ID);
	e->pid = rs_attr_u32(&a, RS_A_PID);
	e->uid = rs_attr_u32(&a, RS_A_UID);
	rs_attr_text(&a, RS_A_NAME, e->name, sizeof(e->name));
	e->reason = rs_attr_u32(&a, e->kind == RS_VM_EVENT_FAULT ? RS_A_EXIT_REASON
								 : RS_A_END_REASON);
	e->limit = rs_attr_u64(&a, RS_A_LIMIT_CPU_TIME) + rs_attr_u64(&a, RS_A_LIMIT_EXITS) +
		   rs_attr_u32(&a, RS_A_LIMIT_VCPUS);	/* one of them */
	e->age = rs_attr_u64(&a, RS_A_AGE);
	e->cpu_time = rs_attr_u64(&a, RS_A_CPU_TIME);
	e->exits = rs_attr_u64(&a, RS_A_EXITS);
	e->vcpu = rs_attr_u32(&a, RS_A_VCPU_ID);
	e->cpl = rs_attr_u32(&a, RS_A_CPL);
	e->access = rs_attr_u32(&a, RS_A_ACCESS);
	e->error = -(int32_t)rs_attr_u32(&a, RS_A_ERRNO);
	e->rip = rs_attr_u64(&a, RS_A_RIP);
	e->gpa = rs_attr_u64(&a, RS_A_GPA);
	e->gva = rs_attr_u64(&a, RS_A_GVA);
	e->hw[0] = rs_attr_u64(&a, RS_A_HW_REASON);
	e->hw[1] = rs_attr_u64(&a, RS_A_HW_INFO1);
	e->hw[2] = rs_attr_u64(&a, RS_A_HW_INFO2);
}

static bool is_event(const struct nlmsghdr *nlh)
{
	const struct genlmsghdr *g = mnl_nlmsg_get_payload(nlh);

	return nlh->nlmsg_type >= NLMSG_MIN_TYPE && mnl_nlmsg_get_payload_len(nlh) >= sizeof(*g) &&
	       g->cmd >= RS_CMD_EVENT_CREATED && g->cmd <= RS_CMD_EVENT_LIMIT;
}

/* The next event that has arrived: 1. 0: none has. -errno. */
static int arrived(struct rs_control *c, struct rs_vm_event *e)
{
	for (;;) {
		ssize_t n;

		for (; c->left > 0 && mnl_nlmsg_ok(c->at, c->left);
		     c->at = mnl_nlmsg_next(c->at, &c->left)) {
			if (!is_event(c->at))
				continue;
			tell(c->at, e);
			c->at = mnl_nlmsg_next(c->at, &c->left);
			return 1;
		}
		n = mnl_socket_recvfrom(c->events, c->pending, sizeof(c->pending));
		c->left = 0;
		if (n < 0 && errno == ENOBUFS) {
			c->lost = true;
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n < 0)
			return rs_control_fail(c, -errno, "cannot hear events: %s", strerror(errno));
		c->at = (void *)c->pending;
		c->left = n;
	}
}

static void dropped(struct rs_control *c, struct rs_vm_event *e, uint64_t next)
{
	memset(e, 0, sizeof(*e));
	e->kind = RS_VM_EVENT_DROPPED;
	e->count = next - c->last - 1;
	e->seq = next - 1;
	c->last = next - 1;
}

/* @e has arrived: what is told now, it or a gap. */
static void in_turn(struct rs_control *c, struct rs_vm_event *e)
{
	if (!c->known && e->seq <= c->last)
		c->last = e->seq - 1;
	c->known = true;
	if (e->seq > c->last + 1) {
		c->next = *e;
		c->stashed = true;
		dropped(c, e, c->next.seq);
		return;
	}
	c->last = e->seq;
}

/* 1: *@e is it. 0: nothing so far. */
static int next_event(struct rs_control *c, struct rs_vm_event *e)
{
	uint64_t seq;
	int ret;

	if (c->stashed) {
		*e = c->next;
		c->stashed = false;
		c->last = e->seq;
		return 1;
	}
	ret = arrived(c, e);
	if (!ret && c->lost) {
		c->lost = false;
		ret = latest(c, &seq);
		if (!ret)
			ret = arrived(c, e);
		if (!ret && seq > c->last) {
			dropped(c, e, seq + 1);
			c->known = true;
			return 1;
		}
		/* Something has arrived: the end of the gap is behind it, perhaps. */
		if (ret > 0)
			c->lost = true;
	}
	if (ret > 0)
		in_turn(c, e);
	return ret;
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ll + ts.tv_nsec / 1000000;
}

int rs_control_event(struct rs_control *c, struct rs_vm_event *e, int timeout_ms)
{
	int64_t end = now_ms() + timeout_ms;

	if (!c->events)
		return rs_control_fail(c, -EINVAL, "rs_control_listen() comes first");
	for (;;) {
		struct pollfd p = { .fd = mnl_socket_get_fd(c->events), .events = POLLIN };
		int ret = next_event(c, e);
		int64_t wait = timeout_ms < 0 ? -1 : end - now_ms();

		if (ret)
			return ret > 0 ? 0 : ret;
		if (timeout_ms >= 0 && wait <= 0)
			return rs_control_fail(c, -ETIMEDOUT, "no event came");
		if (poll(&p, 1, wait) < 0)
			return rs_control_fail(c, -errno, "%s", strerror(errno));
	}
}
