/* SPDX-License-Identifier: MIT */
/*
 * ipc_way.h - what the two ways of a message have in common (ipc.c, ipc_fast.c)
 */
#ifndef RS_PROC_IPC_WAY_H
#define RS_PROC_IPC_WAY_H

#include "ipc.h"
#include "proc.h"

extern u64 ipc_last_seq;	/* of all messages */

#define IPC_TID_BITS	16	/* PID_MAX fits */

static always_inline struct thread *ipc_thread_of(struct list *l)
{
	return container_of(l, struct thread, ipc.link);
}

static always_inline void ipc_words_go(const struct rs_frame *from, struct rs_frame *to)
{
	to->rsi = from->rsi;
	to->rdx = from->rdx;
	to->r10 = from->r10;
	to->r8 = from->r8;
}

/* Whom @reply names, if the current process, which has @ipc, is the one to answer. */
static always_inline struct thread *ipc_who_waits(const struct ipc_process *ipc, u64 reply)
{
	struct thread *c = thread_find((u32)(reply & ((1u << IPC_TID_BITS) - 1)));

	if (unlikely(!c || c->ipc.state != IPC_ANSWER || c->ipc.seq != reply >> IPC_TID_BITS ||
		     c->ipc.server != ipc))
		return NULL;
	return c;
}

#endif
