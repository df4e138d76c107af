/* SPDX-License-Identifier: MIT */
/*
 * async.h - requests to the host that may take long, made by its helper threads
 */
#ifndef RS_SYSCALL_ASYNC_H
#define RS_SYSCALL_ASYNC_H

#include "../lib/types.h"

/** async_init() - boot */
void async_init(void);
/**
 * async_call() - as host_call(), but this thread sleeps meanwhile and others run
 * A signal that is to be handled ends it with -EINTR, as far as the call can be interrupted: what
 * has happened has happened, and @ret says so. What the arguments point to must stay.
 * False when the host has no helper to give: then nothing was called.
 */
bool async_call(u64 nr, const u64 a[6], long *ret);

#endif
