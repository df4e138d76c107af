/* SPDX-License-Identifier: MIT */
/*
 * pager.h - memory whose pages another process provides
 */
#ifndef RS_PROC_PAGER_H
#define RS_PROC_PAGER_H

#include "../lib/types.h"
#include "../mm/fault.h"

/**
 * pager_set() - RS_SYS_PAGER for the current process; @limit as RS_IPC_FOREVER and so on. 0 or
 * -errno
 */
long pager_set(u64 addr, u64 len, u64 handle, u64 limit);
/**
 * pager_ask() - mm_fault() of the current process has answered FAULT_PAGER for @addr: asks and
 * sleeps
 * FAULT_OK: try again (the page is there, or a signal is to be handled first). Only for faults of
 * ring 3: the kernel's own cannot sleep.
 */
enum fault_cause pager_ask(u64 addr, u32 access);
/** ipc_deadline() - a time limit of ringside_app.h as a deadline; asks the host for the time */
u64 ipc_deadline(u64 limit);

#endif
