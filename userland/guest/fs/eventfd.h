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

#endif
