/* SPDX-License-Identifier: MIT */
/*
 * futex.h - the part of futexes that others call
 */
#ifndef RS_SYSCALL_FUTEX_H
#define RS_SYSCALL_FUTEX_H

#include "../proc/proc.h"

/** futex_init() - boot */
void futex_init(void);
/** futex_thread_exit() - own thread, before its memory goes: robust list, CLONE_CHILD_CLEARTID */
void futex_thread_exit(struct thread *t);

#endif
