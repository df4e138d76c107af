/* SPDX-License-Identifier: MIT */
/*
 * stat.h - struct stat and struct statx of Linux on x86-64
 */
#ifndef RS_SYSCALL_STAT_H
#define RS_SYSCALL_STAT_H

#include "../lib/types.h"

struct k_stat {
	u64 dev, ino, nlink;
	u32 mode, uid, gid, pad0;
	u64 rdev;
	s64 size, blksize, blocks;
	u64 atime[2], mtime[2], ctime[2];
	s64 unused[3];
};

_Static_assert(sizeof(struct k_stat) == 144, "struct stat");

struct k_statx {
	u32 mask, blksize;
	u64 attributes;
	u32 nlink, uid, gid;
	u16 mode, spare0;
	u64 ino, size, blocks, attributes_mask;
	struct {
		s64 sec;
		u32 nsec, pad;
	} atime, btime, ctime, mtime;
	u32 rdev_major, rdev_minor, dev_major, dev_minor;
	u64 spare[14];
};

_Static_assert(sizeof(struct k_statx) == 256, "struct statx");

#endif
