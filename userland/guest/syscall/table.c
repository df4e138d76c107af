// SPDX-License-Identifier: MIT
/*
 * table.c - rs_calls.def and rs_ioctls.def as data
 */
#include <asm/unistd.h>
#include <asm/ioctls.h>
#include <linux/fs.h>
#include <linux/fcntl.h>
#include "table.h"
#include "../../include/rs_calls.h"

/* Arguments up to the last one that is used. */
#define NARGS(a, b, c, d, e, f) ((f) ? 6 : (e) ? 5 : (d) ? 4 : (c) ? 3 : (b) ? 2 : (a) ? 1 : 0)
#define IS_NUMBER(d)		(RS_ARG_KIND(d) <= RS_A_FLAGS)
#define IS_PLAIN(policy, ret, a, b, c, d, e, f)                                               \
	(policy == RS_P_IO && ret == RS_R_INT && RS_ARG_KIND(a) == RS_A_FD && IS_NUMBER(b) && \
	 IS_NUMBER(c) && IS_NUMBER(d) && IS_NUMBER(e) && IS_NUMBER(f))
#define ROW(name, class, policy, ret, plain, ...) \
	[__NR_##name] = { class, policy, ret, plain, NARGS(__VA_ARGS__), { 0 }, { __VA_ARGS__ } },

#define RS_GUEST(name, ret, ...) ROW(name, RS_CLASS_GUEST, RS_P_IO, ret, 0, __VA_ARGS__)
#define RS_FORWARD(name, policy, ret, ...) \
	ROW(name, RS_CLASS_FORWARD, policy, ret, IS_PLAIN(policy, ret, __VA_ARGS__), __VA_ARGS__)
#define RS_SPECIAL(name, policy, ret, ...) ROW(name, RS_CLASS_SPECIAL, policy, ret, 0, __VA_ARGS__)
#define RS_REFUSE(name, policy) \
	ROW(name, RS_CLASS_REFUSE, policy, 0, 0, 0, 0, 0, 0, 0, 0)

_Static_assert(RS_A_NO == 0 && RS_A_FLAGS == 5 && RS_A_FD == 6, "numbers come first");
_Static_assert(sizeof(struct rs_sysrow) == 32, "found by a shift");

const struct rs_sysrow rs_sysrows[RS_NR_SYSCALLS] = {
#include "../../include/rs_calls.def"
};

static const struct {
	u32 kind, cmd, desc;
} bycmd[] = {
#define RS_IOCTL(cmd, desc) { RS_A_IOCTL, (u32)(cmd), desc },
#define RS_FCNTL(cmd, desc) { RS_A_FCNTL, (u32)(cmd), desc },
#include "../../include/rs_ioctls.def"
};

bool bycmd_arg(unsigned int kind, u32 cmd, u32 *desc)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(bycmd); i++)
		if (bycmd[i].kind == kind && bycmd[i].cmd == cmd) {
			*desc = bycmd[i].desc;
			return true;
		}
	return false;
}
