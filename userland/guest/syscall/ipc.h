/* SPDX-License-Identifier: MIT */
/*
 * ipc.h - the calls of ringside_app.h on ports and pagers
 */
#ifndef RS_SYSCALL_IPC_H
#define RS_SYSCALL_IPC_H

#include "syscall.h"

long app_port(struct rs_frame *f);
long app_handle(struct rs_frame *f);
long app_ipc_call(struct rs_frame *f);
long app_ipc_send(struct rs_frame *f);
long app_ipc_reply_wait(struct rs_frame *f);
long app_ipc(struct rs_frame *f);
long app_pager(struct rs_frame *f);

#endif
