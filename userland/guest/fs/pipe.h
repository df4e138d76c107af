/* SPDX-License-Identifier: MIT */
/*
 * pipe.h - pipes between processes of the sandbox
 */
#ifndef RS_FS_PIPE_H
#define RS_FS_PIPE_H

#include "fd.h"

#define PIPE_SIZE_DEFAULT	65536u
#define PIPE_SIZE_MAX		(1u << 20)	/* of F_SETPIPE_SZ, as for users on Linux */
#define PIPE_ATOMIC		4096u		/* PIPE_BUF: up to here a write is not divided */

/**
 * pipe_create() - a pipe: end[0] to read from, end[1] to write to, one reference each
 * @flags: O_NONBLOCK or 0, for both. 0 or -ENOMEM
 */
long pipe_create(struct file *end[2], u32 flags);

struct pipe;
/** pipe_of() - the pipe that @f is an end of; NULL for anything else */
struct pipe *pipe_of(const struct file *f);
/** pipe_ino() - its inode number, which no other pipe of the guest has had */
u64 pipe_ino(const struct pipe *p);
/** pipe_available() - bytes that wait to be read */
u32 pipe_available(const struct pipe *p);
/** pipe_size() - bytes that find room */
u32 pipe_size(const struct pipe *p);
/**
 * pipe_resize() - room for at least @size bytes from now on; what it is, rounded up
 * -EINVAL, -EPERM (above PIPE_SIZE_MAX), -EBUSY (less than waits there), -ENOMEM
 */
long pipe_resize(struct pipe *p, u64 size);
/** pipe_assert() - panics unless the invariants of pipe.c hold (tests) */
void pipe_assert(const struct pipe *p);

#endif
