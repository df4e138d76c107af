/* SPDX-License-Identifier: MIT */
/*
 * alarm.h - an upcall each time a thread has used so much CPU time
 *
 * What a process sees of it is in uapi/ringside_app.h.
 */
#ifndef RS_PROC_ALARM_H
#define RS_PROC_ALARM_H

#include "../lib/types.h"
#include "../arch/frame.h"

struct thread;

/** alarm_set() - RS_SYS_ALARM for the current thread: the interval it had; -EINVAL, -ENOMEM */
long alarm_set(u64 us, u64 flags);
/** alarm_end() - @t has none any more; also when it had none */
void alarm_end(struct thread *t);
/** alarm_runs() - @t, which has one, is about to get a CPU */
void alarm_runs(struct thread *t);
/**
 * alarm_deliver() - the current thread, with THREAD_WORK_ALARM, is on its way to ring 3: takes the
 * flag, and has @f lead to the upcall if the alarm is due and can come now
 */
void alarm_deliver(struct rs_frame *f);

#endif
