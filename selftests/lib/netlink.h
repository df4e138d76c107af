/* SPDX-License-Identifier: MIT */
/*
 * netlink.h - the module's netlink family without a library: messages as bytes, also wrong ones
 *
 * A test builds a message, nl_talk() sends it and collects what comes back. Functions leave the test
 * (ASSERT) when the socket itself fails.
 */
#ifndef SELFTESTS_NETLINK_H
#define SELFTESTS_NETLINK_H

#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "ringside_netlink.h"

/** struct nl_msg - a message being built, or one that came */
struct nl_msg {
	union {
		struct nlmsghdr h;
		uint8_t bytes[4096];
	};
};

struct nl {
	int fd;
	uint16_t family;
	uint32_t group;
	uint32_t seq;
	/* of the last nl_talk(): answers, and the words of a failure */
	struct nl_msg *answers;
	size_t n, room;
	char words[160];
};

struct nl *nl_open(void);
void nl_close(struct nl *nl);

void nl_begin(struct nl *nl, struct nl_msg *m, uint8_t cmd, int flags);
void nl_put(struct nl_msg *m, int type, const void *data, size_t len);
void nl_put_u32(struct nl_msg *m, int type, uint32_t value);
void nl_put_u64(struct nl_msg *m, int type, uint64_t value);

/* 0 or -errno as the kernel said; the answers are in nl->answers. */
int nl_talk(struct nl *nl, struct nl_msg *m);

/* Commands with nothing but a VM's number (0: none), and with a vCPU's (-1: none). */
int nl_command(struct nl *nl, uint8_t cmd, uint32_t vm);
int nl_dump(struct nl *nl, uint8_t cmd, uint32_t vm);
int nl_vcpu_command(struct nl *nl, uint8_t cmd, uint32_t vm, int vcpu);
int nl_limit(struct nl *nl, uint32_t vm, int attr, uint64_t value);

uint8_t nl_cmd(const struct nl_msg *m);
const struct nlattr *nl_attr(const struct nl_msg *m, int type);
/* NL_NONE when it is not there. */
#define NL_NONE	(~0ull)
uint64_t nl_number(const struct nl_msg *m, int type);
const char *nl_text(const struct nl_msg *m, int type);	/* "" when it is not there */
uint64_t nl_stat(const struct nl_msg *m, int stat);	/* RS_S_* */

/* Answer number @i of the last nl_talk(), or the one about this VM and vCPU (NL_NONE); NULL. */
const struct nl_msg *nl_about(const struct nl *nl, uint32_t vm, uint64_t vcpu);

/* The VM that this process made last. Any socket that sees it. */
uint32_t nl_my_vm(struct nl *nl);

/* A socket that hears events; @buffer: SO_RCVBUF, 0: the default. */
int nl_listen(const struct nl *nl, int buffer);
/*
 * The next event of a VM (0: of any), within ten seconds, others thrown away. False and a failed test:
 * none came. With @lost: ENOBUFS is counted there, else it fails the test.
 */
bool nl_event(int fd, uint32_t vm, int cmd, struct nl_msg *m);
/* 1: an event; 0: none is there; -ENOBUFS */
int nl_event_now(int fd, struct nl_msg *m);
uint64_t nl_event_seq(struct nl *nl);

#endif /* SELFTESTS_NETLINK_H */
