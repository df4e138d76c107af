// SPDX-License-Identifier: MIT
/*
 * fields.c - system calls that tell a number of the process, answered by entry.S without leaving
 * assembly
 *
 * Each has a handler in C as well, which is what runs when calls are traced or when a signal is
 * pending.
 */
#include <asm/unistd.h>
#include "kernel.h"
#include "../arch/arch_asm.h"
#include "../host/host.h"
#include "../lib/string.h"
#include "../proc/proc.h"

u16 rs_syscall_field[RS_FIELD_CALLS] = {
	[__NR_getpid] = offsetof(struct process, pid),
	[__NR_getppid] = offsetof(struct process, ppid),
	[__NR_getuid] = offsetof(struct process, uid),
	[__NR_geteuid] = offsetof(struct process, euid),
	[__NR_getgid] = offsetof(struct process, gid),
	[__NR_getegid] = offsetof(struct process, egid),
};
_Static_assert(offsetof(struct process, pid) != 0, "0 means: not such a call");

void fields_init(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rs_boot->trace_mask); i++)
		if (rs_boot->trace_mask[i])
			memset(rs_syscall_field, 0, sizeof(rs_syscall_field));
}
