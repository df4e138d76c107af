/* SPDX-License-Identifier: MIT */
/*
 * table.h - rs_calls.def as data: one row per system call
 */
#ifndef RS_SYSCALL_TABLE_H
#define RS_SYSCALL_TABLE_H

#include "../lib/types.h"

#define RS_NR_SYSCALLS 512 /* numbers from here on are not Linux's on x86-64 (x32 begins there) */

enum rs_class {
	RS_CLASS_NONE, /* not in the table: ENOSYS */
	RS_CLASS_GUEST,
	RS_CLASS_FORWARD,
	RS_CLASS_SPECIAL,
	RS_CLASS_REFUSE,
};

/**
 * struct rs_sysrow - what is known about a system call; args: descriptors of rs_calls.h
 * @nargs: arguments up to the last used one
 * @plain: forwarded, one descriptor and otherwise numbers: nothing to translate but the descriptor,
 * nothing to copy back
 */
struct rs_sysrow {
	u8 class, policy, ret, plain, nargs, reserved[3];
	u32 arg[6];
};

extern const struct rs_sysrow rs_sysrows[RS_NR_SYSCALLS];

/**
 * sysrow() - the row of @nr, NULL when it is not in the table or refused (then nothing is known
 * about its arguments)
 */
static inline const struct rs_sysrow *sysrow(u64 nr)
{
	const struct rs_sysrow *r;

	if (nr >= RS_NR_SYSCALLS)
		return NULL;
	r = &rs_sysrows[nr];
	return r->class == RS_CLASS_NONE || r->class == RS_CLASS_REFUSE ? NULL : r;
}

/**
 * bycmd_arg() - descriptor of the argument after command @cmd of ioctl or fcntl (@kind RS_A_IOCTL
 * or RS_A_FCNTL); false when not allowed
 */
bool bycmd_arg(unsigned int kind, u32 cmd, u32 *desc);

#endif
