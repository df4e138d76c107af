/* SPDX-License-Identifier: MIT */
/*
 * locks.h - record locks of the sandbox's processes
 */
#ifndef RS_SYSCALL_LOCKS_H
#define RS_SYSCALL_LOCKS_H

#include "../fs/fd.h"

/**
 * locks_fcntl() - F_GETLK, F_SETLK, F_SETLKW and their F_OFD forms on @f, with the struct flock at @va
 * May sleep; @f is held meanwhile. False when @cmd is none of these, otherwise the result in @*ret.
 */
bool locks_fcntl(struct file *f, u32 cmd, u64 va, long *ret);

/* file_closed(), table_closed(), file_released(): see fs/fd.h */

#endif
