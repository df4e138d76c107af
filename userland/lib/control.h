/* SPDX-License-Identifier: MIT */
/*
 * control.h - what the two files behind ringside/control.h share: control.c requests, watch.c events
 */
#ifndef RS_CONTROL_PRIVATE_H
#define RS_CONTROL_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>
#include <libmnl/libmnl.h>

#include "ringside_netlink.h"
#include "ringside/control.h"

struct rs_control {
	struct mnl_socket *nl;
	uint16_t family;		/* what the kernel calls the module's */
	uint32_t group;			/* RS_GENL_EVENTS */
	uint32_t seq;			/* of the latest request */
	char error[256];
	char buf[32768];		/* as much as the kernel puts into one answer */

	/* watch.c */
	struct mnl_socket *events;
	uint64_t last;			/* event that was told or counted as dropped last */
	bool known;			/* one that came before the first event cannot be missing */
	bool lost;			/* the kernel said that there was no room */
	bool stashed;			/* next holds an event whose gap was told first */
	struct rs_vm_event next;
	char pending[32768];		/* what was read and not yet told */
	const struct nlmsghdr *at;
	int left;
};

struct rs_attrs {
	const struct nlattr *at[RS_A_MAX + 1];
};

/* Called with each answer; what is not 0 is what rs_talk() returns in the end. */
typedef int rs_answer_fn(struct rs_control *c, const struct nlmsghdr *nlh, void *arg);

int rs_control_fail(struct rs_control *c, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* A request in @buf (MNL_SOCKET_BUFFER_SIZE); attributes are to follow. */
struct nlmsghdr *rs_request(struct rs_control *c, void *buf, uint8_t cmd, int flags);
/* Send it, take the answers. 0 or -errno. */
int rs_talk(struct rs_control *c, struct nlmsghdr *nlh, rs_answer_fn *fn, void *arg);

void rs_attrs_of(const struct nlmsghdr *nlh, struct rs_attrs *a);
/* 0, or empty, when it is not there. */
uint32_t rs_attr_u32(const struct rs_attrs *a, int type);
uint64_t rs_attr_u64(const struct rs_attrs *a, int type);
void rs_attr_text(const struct rs_attrs *a, int type, char *to, size_t size);

#endif /* RS_CONTROL_PRIVATE_H */
