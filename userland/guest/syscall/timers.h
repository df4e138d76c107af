/* SPDX-License-Identifier: MIT */
/*
 * timers.h - what signals know of the timers of timer_create()
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
/** timers_delete() - all of a process: exec, end */
void timers_delete(struct signal_process *sp);

#endif
