/* SPDX-License-Identifier: MIT */
/*
 * timers.h - what signals know of the timers of setitimer() and timer_create()
 */
#ifndef RS_SYSCALL_TIMERS_H
#define RS_SYSCALL_TIMERS_H

#include "signal.h"

/**
 * timer_signal_gone() - the signal of @t is not pending any more; @info: it is about to be handled
 * with this, which is completed; NULL: it was dropped
 * @t may be freed by this.
 */
void timer_signal_gone(struct posix_timer *t, struct k_siginfo *info);
/** itimers_init(), itimers_stop() - of a process; a child has none of its parent's, exec keeps them */
void itimers_init(struct signal_process *sp);
void itimers_stop(struct signal_process *sp);
/** timers_delete() - all of a process: exec, end */
void timers_delete(struct signal_process *sp);

#endif
