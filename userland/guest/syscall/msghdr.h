/* SPDX-License-Identifier: MIT */
/*
 * msghdr.h - messages as sendmsg() and recvmsg() have them
 */
#ifndef RS_SYSCALL_MSGHDR_H
#define RS_SYSCALL_MSGHDR_H

#include "../lib/types.h"

#define MMSGHDR_SIZE	 64 /* struct mmsghdr: struct msghdr, a 32-bit length, padding */

/* struct msghdr */
struct k_msghdr {
	u64 name;
	u32 namelen, pad0;
	u64 iov, iovlen, control, controllen;
	u32 flags, pad1;
};

struct k_cmsghdr {
	u64 len;
	u32 level, type;
};

_Static_assert(sizeof(struct k_msghdr) == 56, "struct msghdr");

#endif
