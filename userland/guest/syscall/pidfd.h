/* SPDX-License-Identifier: MIT */
/*
 * pidfd.h - descriptors of processes
 */
#ifndef RS_SYSCALL_PIDFD_H
#define RS_SYSCALL_PIDFD_H

#include "../fs/fd.h"
#include "../proc/proc.h"

/** pidfd_install() - a new number of the current process for @p: close-on-exec; -EMFILE, -ENOMEM */
long pidfd_install(struct process *p, u32 flags);
/**
 * pidfd_pid() - whose descriptor @f is: 0 when that one has been waited for. False: it is none
 */
bool pidfd_pid(const struct file *f, u32 *pid);
/** pidfd_ended() - @p is about to be a zombie; pidfd_gone() - @p is about to be freed */
void pidfd_ended(struct process *p);
void pidfd_gone(struct process *p);

#endif
