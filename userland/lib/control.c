// SPDX-License-Identifier: MIT
/*
 * The control interface (ringside/control.h): what the module says and takes over generic netlink,
 * through libmnl.
 *
 * A request is one message with NLM_F_ACK; what comes back up to the acknowledgement, or the end of
 * the dump, is handed message by message to a function. Words for failures are the module's own
 * (extended acknowledgements) where there are any.
 *
 * What the kernel sends is read as carefully as if it were not the kernel: attributes of a length that
 * is not theirs are left out. Events have a socket of their own, see watch.c.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <libmnl/libmnl.h>
#include <linux/genetlink.h>

#include "control.h"

static char open_error[sizeof(((struct rs_control *)0)->error)] = "";

const char *const rs_counter_names[RS_COUNTERS] = {
	"entries", "exits", "exit_npf", "exit_hypercall", "exit_interrupt", "exit_nmi",
	"exit_window", "exit_cpuid", "exit_msr", "exit_io", "exit_cr", "exit_dr", "exit_hlt",
	"exit_exception", "exit_shutdown", "exit_other", "user_exits", "map_4k", "map_2m",
	"fault_retry", "fault_failed", "injected", "inval", "inval_zapped", "flush_requests",
	"flushes", "kicks", "migrations",
};

_Static_assert(RS_S_MAX - RS_S_ENTRIES + 1 == RS_COUNTERS, "the module's counters are these");

int rs_counter_index(const char *name)
{
	int i;

	for (i = 0; i < RS_COUNTERS; i++)
		if (!strcmp(rs_counter_names[i], name))
			return i;
	return -1;
}

int rs_control_fail(struct rs_control *c, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(c->error, sizeof(c->error), fmt, ap);
	va_end(ap);
	return err;
}

const char *rs_control_error(const struct rs_control *c)
{
	return c ? c->error : open_error;
}

/* --- attributes ------------------------------------------------------------------------------ */

static int collect(const struct nlattr *attr, void *arg)
{
	struct rs_attrs *a = arg;

	if (mnl_attr_get_type(attr) <= RS_A_MAX)
		a->at[mnl_attr_get_type(attr)] = attr;
	return MNL_CB_OK;
}

void rs_attrs_of(const struct nlmsghdr *nlh, struct rs_attrs *a)
{
	memset(a, 0, sizeof(*a));
	mnl_attr_parse(nlh, sizeof(struct genlmsghdr), collect, a);
}

uint32_t rs_attr_u32(const struct rs_attrs *a, int type)
{
	const struct nlattr *attr = a->at[type];

	return attr && mnl_attr_get_payload_len(attr) == 4 ? mnl_attr_get_u32(attr) : 0;
}

uint64_t rs_attr_u64(const struct rs_attrs *a, int type)
{
	const struct nlattr *attr = a->at[type];

	return attr && mnl_attr_get_payload_len(attr) == 8 ? mnl_attr_get_u64(attr) : 0;
}

void rs_attr_text(const struct rs_attrs *a, int type, char *to, size_t size)
{
	const struct nlattr *attr = a->at[type];
	size_t n;

	to[0] = 0;
	if (!attr)
		return;
	n = strnlen(mnl_attr_get_payload(attr), mnl_attr_get_payload_len(attr));
	if (n >= size)
		n = size - 1;
	memcpy(to, mnl_attr_get_payload(attr), n);
	to[n] = 0;
}

/* --- requests -------------------------------------------------------------------------------- */

struct nlmsghdr *rs_request(struct rs_control *c, void *buf, uint8_t cmd, int flags)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct genlmsghdr *g;

	nlh->nlmsg_type = c->family;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	nlh->nlmsg_seq = ++c->seq;
	g = mnl_nlmsg_put_extra_header(nlh, sizeof(*g));
	g->cmd = cmd;
	g->version = RS_GENL_VERSION;
	return nlh;
}

struct words {
	char *to;
	size_t size;
};

static int find_words(const struct nlattr *attr, void *arg)
{
	struct words *w = arg;
	size_t n;

	if (mnl_attr_get_type(attr) != NLMSGERR_ATTR_MSG)
		return MNL_CB_OK;
	n = strnlen(mnl_attr_get_payload(attr), mnl_attr_get_payload_len(attr));
	snprintf(w->to, w->size, "%.*s", (int)n, (const char *)mnl_attr_get_payload(attr));
	return MNL_CB_STOP;
}

/* The answer to a request: 0 or -errno, with the kernel's words for it, else the C library's. */
static int acknowledged(struct rs_control *c, const struct nlmsghdr *nlh)
{
	size_t skip = nlh->nlmsg_type == NLMSG_DONE ? sizeof(int) : sizeof(struct nlmsgerr);
	struct words w = { c->error, sizeof(c->error) };
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(nlh);
	int err;

	if (mnl_nlmsg_get_payload_len(nlh) < skip)
		return nlh->nlmsg_type == NLMSG_DONE ? 0 : rs_control_fail(c, -EPROTO, "a short answer");
	err = e->error;		/* the first int in both */
	if (err >= 0)
		return 0;
	rs_control_fail(c, err, "%s", strerror(-err));
	if (!(nlh->nlmsg_flags & NLM_F_ACK_TLVS))
		return err;
	if (nlh->nlmsg_type != NLMSG_DONE && !(nlh->nlmsg_flags & NLM_F_CAPPED))
		skip = sizeof(int) + MNL_ALIGN(e->msg.nlmsg_len);
	if (mnl_nlmsg_get_payload_len(nlh) >= skip)
		mnl_attr_parse(nlh, skip, find_words, &w);
	return err;
}

int rs_talk(struct rs_control *c, struct nlmsghdr *nlh, rs_answer_fn *fn, void *arg)
{
	uint32_t seq = nlh->nlmsg_seq;
	int failed = 0;

	if (mnl_socket_sendto(c->nl, nlh, nlh->nlmsg_len) < 0)
		return rs_control_fail(c, -errno, "cannot send to the kernel: %s", strerror(errno));
	for (;;) {
		ssize_t n = mnl_socket_recvfrom(c->nl, c->buf, sizeof(c->buf));
		const struct nlmsghdr *at = (const void *)c->buf;
		int left = n;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return rs_control_fail(c, -errno, "cannot hear the kernel: %s",
					       strerror(errno));
		for (; mnl_nlmsg_ok(at, left); at = mnl_nlmsg_next(at, &left)) {
			/* Of a request that was given up. */
			if (at->nlmsg_seq != seq)
				continue;
			if (at->nlmsg_type == NLMSG_ERROR || at->nlmsg_type == NLMSG_DONE) {
				int err = acknowledged(c, at);

				return err ? err : failed;
			}
			if (at->nlmsg_type >= NLMSG_MIN_TYPE && fn && !failed)
				failed = fn(c, at, arg);
		}
	}
}

/* --- opening --------------------------------------------------------------------------------- */

struct family {
	uint16_t id;
	uint32_t group;
};

static int group_attr(const struct nlattr *attr, void *arg)
{
	const struct nlattr **g = arg;

	if (mnl_attr_get_type(attr) <= CTRL_ATTR_MCAST_GRP_MAX)
		g[mnl_attr_get_type(attr)] = attr;
	return MNL_CB_OK;
}

static int family_attr(const struct nlattr *attr, void *arg)
{
	const struct nlattr *group, *g[CTRL_ATTR_MCAST_GRP_MAX + 1];
	struct family *f = arg;

	if (mnl_attr_get_type(attr) == CTRL_ATTR_FAMILY_ID &&
	    mnl_attr_get_payload_len(attr) == sizeof(uint16_t))
		f->id = mnl_attr_get_u16(attr);
	if (mnl_attr_get_type(attr) != CTRL_ATTR_MCAST_GROUPS)
		return MNL_CB_OK;
	mnl_attr_for_each_nested(group, attr) {
		memset(g, 0, sizeof(g));
		mnl_attr_parse_nested(group, group_attr, g);
		if (g[CTRL_ATTR_MCAST_GRP_NAME] && g[CTRL_ATTR_MCAST_GRP_ID] &&
		    mnl_attr_get_payload_len(g[CTRL_ATTR_MCAST_GRP_ID]) == sizeof(uint32_t) &&
		    !strcmp(mnl_attr_get_str(g[CTRL_ATTR_MCAST_GRP_NAME]), RS_GENL_EVENTS))
			f->group = mnl_attr_get_u32(g[CTRL_ATTR_MCAST_GRP_ID]);
	}
	return MNL_CB_OK;
}

static int family_answer(struct rs_control *c, const struct nlmsghdr *nlh, void *arg)
{
	(void)c;
	mnl_attr_parse(nlh, sizeof(struct genlmsghdr), family_attr, arg);
	return 0;
}

static int find_family(struct rs_control *c)
{
	char buf[MNL_SOCKET_BUFFER_SIZE];
	struct family f = { 0 };
	struct nlmsghdr *nlh;
	int ret;

	c->family = GENL_ID_CTRL;
	nlh = rs_request(c, buf, CTRL_CMD_GETFAMILY, 0);
	mnl_attr_put_strz(nlh, CTRL_ATTR_FAMILY_NAME, RS_GENL_NAME);
	ret = rs_talk(c, nlh, family_answer, &f);
	if (ret == -ENOENT)
		return rs_control_fail(c, ret, "the module is not loaded (modprobe ringside, or insmod "
				       "ringside.ko), or it is an older one; `ringside doctor` says more");
	if (ret)
		return ret;
	c->family = f.id;
	c->group = f.group;
	return f.id && f.group ? 0 : rs_control_fail(c, -EPROTO, "the module's netlink family has no "
						     "group of events");
}

int rs_control_open(struct rs_control **out)
{
	struct rs_control *c = calloc(1, sizeof(*c));
	int ret, on = 1;

	*out = NULL;
	if (!c) {
		snprintf(open_error, sizeof(open_error), "out of memory");
		return -ENOMEM;
	}
	c->seq = time(NULL);
	c->nl = mnl_socket_open2(NETLINK_GENERIC, SOCK_CLOEXEC);
	if (!c->nl || mnl_socket_bind(c->nl, 0, MNL_SOCKET_AUTOPID) < 0)
		ret = rs_control_fail(c, -errno, "cannot open a netlink socket: %s", strerror(errno));
	else
		ret = 0;
	if (!ret) {
		/* Words with errors, and not the request again. An old kernel has neither. */
		mnl_socket_setsockopt(c->nl, NETLINK_EXT_ACK, &on, sizeof(on));
		mnl_socket_setsockopt(c->nl, NETLINK_CAP_ACK, &on, sizeof(on));
		ret = find_family(c);
	}
	if (ret) {
		snprintf(open_error, sizeof(open_error), "%s", c->error);
		rs_control_close(c);
		return ret;
	}
	*out = c;
	return 0;
}

void rs_control_close(struct rs_control *c)
{
	if (!c)
		return;
	if (c->nl)
		mnl_socket_close(c->nl);
	if (c->events)
		mnl_socket_close(c->events);
	free(c);
}

/* --- lists ----------------------------------------------------------------------------------- */

/* A growing list of entries of one size. */
struct list {
	char *items;
	size_t n, room, size;
};

static void *add(struct rs_control *c, struct list *l)
{
	if (l->n == l->room) {
		size_t room = l->room ? 2 * l->room : 16;
		char *items = reallocarray(l->items, room, l->size);

		if (!items) {
			rs_control_fail(c, -ENOMEM, "out of memory");
			return NULL;
		}
		l->items = items;
		l->room = room;
	}
	memset(l->items + l->n * l->size, 0, l->size);
	return l->items + l->n++ * l->size;
}

static int is_answer(const struct nlmsghdr *nlh, uint8_t cmd)
{
	const struct genlmsghdr *g = mnl_nlmsg_get_payload(nlh);

	return mnl_nlmsg_get_payload_len(nlh) >= sizeof(*g) && g->cmd == cmd;
}

static int vm_answer(struct rs_control *c, const struct nlmsghdr *nlh, void *arg)
{
	struct rs_vm_info *vm;
	struct rs_attrs a;

	if (!is_answer(nlh, RS_CMD_VM))
		return 0;
	vm = add(c, arg);
	if (!vm)
		return -ENOMEM;
	rs_attrs_of(nlh, &a);
	vm->id = rs_attr_u32(&a, RS_A_VM_ID);
	vm->state = rs_attr_u32(&a, RS_A_VM_STATE);
	vm->pid = rs_attr_u32(&a, RS_A_PID);
	vm->uid = rs_attr_u32(&a, RS_A_UID);
	rs_attr_text(&a, RS_A_COMM, vm->comm, sizeof(vm->comm));
	rs_attr_text(&a, RS_A_NAME, vm->name, sizeof(vm->name));
	vm->netns = rs_attr_u64(&a, RS_A_NETNS);
	vm->age = rs_attr_u64(&a, RS_A_AGE);
	vm->vcpus = rs_attr_u32(&a, RS_A_VCPUS);
	vm->guest = rs_attr_u32(&a, RS_A_VCPUS_GUEST);
	vm->host = rs_attr_u32(&a, RS_A_VCPUS_HOST);
	vm->idle = rs_attr_u32(&a, RS_A_VCPUS_IDLE);
	vm->paused = rs_attr_u32(&a, RS_A_VCPUS_PAUSED);
	vm->nics = rs_attr_u32(&a, RS_A_NICS);
	vm->memory = rs_attr_u64(&a, RS_A_MEMORY);
	vm->mapped_4k = rs_attr_u64(&a, RS_A_MAPPED_4K);
	vm->mapped_2m = rs_attr_u64(&a, RS_A_MAPPED_2M);
	vm->tables = rs_attr_u64(&a, RS_A_TABLES);
	vm->cpu_time = rs_attr_u64(&a, RS_A_CPU_TIME);
	vm->exits = rs_attr_u64(&a, RS_A_EXITS);
	vm->limit_cpu_time = rs_attr_u64(&a, RS_A_LIMIT_CPU_TIME);
	vm->limit_exits = rs_attr_u64(&a, RS_A_LIMIT_EXITS);
	vm->limit_vcpus = rs_attr_u32(&a, RS_A_LIMIT_VCPUS);
	return 0;
}

static int vcpu_answer(struct rs_control *c, const struct nlmsghdr *nlh, void *arg)
{
	struct rs_vcpu_info *v;
	struct rs_attrs a;

	if (!is_answer(nlh, RS_CMD_VCPU))
		return 0;
	v = add(c, arg);
	if (!v)
		return -ENOMEM;
	rs_attrs_of(nlh, &a);
	v->vm = rs_attr_u32(&a, RS_A_VM_ID);
	v->id = rs_attr_u32(&a, RS_A_VCPU_ID);
	v->state = rs_attr_u32(&a, RS_A_VCPU_STATE);
	v->tid = rs_attr_u32(&a, RS_A_TID);
	v->cpu = a.at[RS_A_CPU] ? (int32_t)rs_attr_u32(&a, RS_A_CPU) : -1;
	v->cpu_time = rs_attr_u64(&a, RS_A_CPU_TIME);
	return 0;
}

static int stats_answer(struct rs_control *c, const struct nlmsghdr *nlh, void *arg)
{
	const struct nlattr *attr;
	struct rs_counters *s;
	struct rs_attrs a;

	if (!is_answer(nlh, RS_CMD_STATS))
		return 0;
	s = add(c, arg);
	if (!s)
		return -ENOMEM;
	rs_attrs_of(nlh, &a);
	s->vm = rs_attr_u32(&a, RS_A_VM_ID);
	s->vcpu = a.at[RS_A_VCPU_ID] ? (int32_t)rs_attr_u32(&a, RS_A_VCPU_ID) : -1;
	s->cpu_time = rs_attr_u64(&a, RS_A_CPU_TIME);
	if (!a.at[RS_A_STATS])
		return 0;
	mnl_attr_for_each_nested(attr, a.at[RS_A_STATS]) {
		int i = (int)mnl_attr_get_type(attr) - RS_S_ENTRIES;

		if (i >= 0 && i < RS_COUNTERS && mnl_attr_get_payload_len(attr) == 8)
			s->value[i] = mnl_attr_get_u64(attr);
	}
	return 0;
}

static int ask(struct rs_control *c, uint8_t cmd, int flags, uint32_t id, rs_answer_fn *fn,
	       struct list *l)
{
	char buf[MNL_SOCKET_BUFFER_SIZE];
	struct nlmsghdr *nlh = rs_request(c, buf, cmd, flags);
	int ret;

	if (id)
		mnl_attr_put_u32(nlh, RS_A_VM_ID, id);
	ret = rs_talk(c, nlh, fn, l);
	if (ret) {
		free(l->items);
		l->items = NULL;
		l->n = 0;
	}
	return ret;
}

int rs_control_vms(struct rs_control *c, struct rs_vm_info **vms, size_t *n)
{
	struct list l = { .size = sizeof(**vms) };
	int ret = ask(c, RS_CMD_GET_VM, NLM_F_DUMP, 0, vm_answer, &l);

	*vms = (void *)l.items;
	*n = l.n;
	return ret;
}

int rs_control_vm(struct rs_control *c, uint32_t id, struct rs_vm_info *vm)
{
	struct list l = { .size = sizeof(*vm) };
	int ret;

	if (!id)
		return rs_control_fail(c, -ENOENT, "no VM has number 0");
	ret = ask(c, RS_CMD_GET_VM, 0, id, vm_answer, &l);
	if (!ret && l.n != 1)
		ret = rs_control_fail(c, -EPROTO, "the module did not answer");
	if (!ret)
		memcpy(vm, l.items, sizeof(*vm));
	free(l.items);
	return ret;
}

int rs_control_vcpus(struct rs_control *c, uint32_t id, struct rs_vcpu_info **vcpus, size_t *n)
{
	struct list l = { .size = sizeof(**vcpus) };
	int ret = ask(c, RS_CMD_GET_VCPU, NLM_F_DUMP, id, vcpu_answer, &l);

	*vcpus = (void *)l.items;
	*n = l.n;
	return ret;
}

int rs_control_stats(struct rs_control *c, uint32_t id, struct rs_counters **list, size_t *n)
{
	struct list l = { .size = sizeof(**list) };
	int ret = ask(c, RS_CMD_GET_STATS, NLM_F_DUMP, id, stats_answer, &l);

	*list = (void *)l.items;
	*n = l.n;
	return ret;
}

/* --- changes --------------------------------------------------------------------------------- */

static int change(struct rs_control *c, uint8_t cmd, uint32_t id)
{
	char buf[MNL_SOCKET_BUFFER_SIZE];
	struct nlmsghdr *nlh = rs_request(c, buf, cmd, 0);

	mnl_attr_put_u32(nlh, RS_A_VM_ID, id);
	return rs_talk(c, nlh, NULL, NULL);
}

int rs_control_pause(struct rs_control *c, uint32_t id)
{
	return change(c, RS_CMD_PAUSE, id);
}

int rs_control_resume(struct rs_control *c, uint32_t id)
{
	return change(c, RS_CMD_RESUME, id);
}

int rs_control_end(struct rs_control *c, uint32_t id)
{
	return change(c, RS_CMD_END, id);
}

int rs_control_kick(struct rs_control *c, uint32_t id, int vcpu)
{
	char buf[MNL_SOCKET_BUFFER_SIZE];
	struct nlmsghdr *nlh = rs_request(c, buf, RS_CMD_KICK, 0);

	mnl_attr_put_u32(nlh, RS_A_VM_ID, id);
	if (vcpu >= 0)
		mnl_attr_put_u32(nlh, RS_A_VCPU_ID, vcpu);
	return rs_talk(c, nlh, NULL, NULL);
}

int rs_control_limit(struct rs_control *c, uint32_t id, const struct rs_vm_limits *limits)
{
	char buf[MNL_SOCKET_BUFFER_SIZE];
	struct nlmsghdr *nlh = rs_request(c, buf, RS_CMD_SET_LIMITS, 0);

	mnl_attr_put_u32(nlh, RS_A_VM_ID, id);
	if (limits->set & RS_SET_CPU_TIME)
		mnl_attr_put_u64(nlh, RS_A_LIMIT_CPU_TIME, limits->cpu_time);
	if (limits->set & RS_SET_EXITS)
		mnl_attr_put_u64(nlh, RS_A_LIMIT_EXITS, limits->exits);
	if (limits->set & RS_SET_VCPUS)
		mnl_attr_put_u32(nlh, RS_A_LIMIT_VCPUS, limits->vcpus);
	return rs_talk(c, nlh, NULL, NULL);
}
