/* SPDX-License-Identifier: MIT */
/*
 * eventfd.h - counters that can be waited for
 */
#ifndef RS_FS_EVENTFD_H
#define RS_FS_EVENTFD_H

#include "fd.h"

/**
 * eventfd_create() - an open file with one reference; NULL without memory
 * @flags: O_NONBLOCK or 0. @semaphore: a read takes 1, not all
 */
struct file *eventfd_create(u32 count, bool semaphore, u32 flags);

/*
 * Eventfds of the host as stand-ins for objects of the guest (fs/fd.h): ready to be read while they
 * are set.
 */
/** eventfd_host_new() - a host descriptor, or -errno */
long eventfd_host_new(bool set);
/** eventfd_host_set() - sets or clears one that is not so yet */
void eventfd_host_set(int host_fd, bool set);

#endif
