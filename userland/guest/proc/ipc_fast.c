// SPDX-License-Identifier: MIT
/*
 * ipc_fast.c - the short way of a call and its answer
 *
 * RS_SYS_IPC_CALL and RS_SYS_IPC_REPLY_WAIT come here first, from entry.S. When the other side
 * waits already and there is nothing but words to be handed over, one CPU, and nothing else to look
 * at, all of it is done here and the CPU goes to ring 3 as the other thread: the frames have the
 * result, and who waits from now on is parked (park.h). In any other case nothing has been changed,
 * and the call is one as any (rs_syscall()).
 *
 * What is done is what ipc.c does, and the invariants are those of ipc.h. The other side may have
 * come to its wait by the long way: then it goes on there, and finds the result where it looks for
 * it.
 */
#include "ipc_way.h"
#include "park.h"

#ifndef RS_HOSTED

void rs_ipc_call(struct rs_frame *f);
void rs_ipc_reply_wait(struct rs_frame *f);
void rs_syscall(struct rs_frame *f);

/* ipc_thread.all: of one who is parked; what is 0 of one who does not wait and has words only */
#define PARKED(state, kind)	((state) | 1u << 16 | (u32)(kind) << 24)
#define BUSY			0xffffffu
_Static_assert(offsetof(struct ipc_thread, parked) - offsetof(struct ipc_thread, all) == 2 &&
	       offsetof(struct ipc_thread, kind) - offsetof(struct ipc_thread, all) == 3, "PARKED");

/*
 * @t, which is in a list, is let go with @result. A thread that is not parked looks for it
 * elsewhere than in its frame.
 */
static always_inline bool let_go(struct thread *t, struct rs_frame *f, s32 result)
{
	struct list *next = t->ipc.link.next, *prev = t->ipc.link.prev;
	bool parked = t->ipc.parked;

	/* It is in another list soon, or its link is of no account. */
	next->prev = prev;
	prev->next = next;
	f->rax = (u64)result;
	t->ipc.state = IPC_IDLE;
	if (unlikely(!parked))
		t->ipc.result = result;
	t->ipc.parked = false;
	return parked;
}

void rs_ipc_call(struct rs_frame *f)
{
	struct kstack *me = this_kstack();
	struct thread *t = me->thread, *r;
	struct ipc_process *ipc = t->proc->ipc, *server;
	const struct handle *h;
	struct rs_frame *rf;
	struct list *first;
	bool parked;
	u64 seq;

	if (unlikely(!ipc_short || !ipc || f->rdi >= ipc->size || f->r9 != RS_IPC_FOREVER))
		goto slow;
	h = &ipc->handles[f->rdi];
	if (unlikely(!(h->rights & RS_RIGHT_SEND)))
		goto slow;
	first = h->port->receivers.next;
	if (unlikely(first == &h->port->receivers || t->ipc.all & BUSY || t->work))
		goto slow;
	r = ipc_thread_of(first);
	if (unlikely(r->sched.state != THREAD_SLEEPING))
		goto slow;
	rf = r->frame;
	ipc_words_go(f, rf);
	seq = ++ipc_last_seq;
	rf->rdi = h->badge;
	rf->r9 = seq << IPC_TID_BITS | t->tid;
	parked = let_go(r, rf, RS_IPC_CALL);

	f->rdi = 0;
	server = r->proc->ipc;
	t->ipc.all = PARKED(IPC_ANSWER, RS_IPC_CALL);
	t->ipc.seq = seq;
	t->ipc.server = server;
	list_add(&server->open, &t->ipc.link);
	rs_stats()->syscalls++;
	thread_leave_to(me, r, parked);
slow:
	rs_syscall(f);
}

void rs_ipc_reply_wait(struct rs_frame *f)
{
	struct kstack *me = this_kstack();
	struct thread *t = me->thread, *c;
	struct ipc_process *ipc = t->proc->ipc;
	const struct handle *h;
	struct rs_frame *cf;
	struct port *port;
	bool parked;

	if (unlikely(!ipc_short || !ipc || f->rdi >= ipc->size))
		goto slow;
	h = &ipc->handles[f->rdi];
	if (unlikely(!(h->rights & RS_RIGHT_RECEIVE)))
		goto slow;
	port = h->port;
	if (unlikely(!list_empty(&port->senders) || !port->nsend || t->ipc.all & BUSY || t->work))
		goto slow;
	c = ipc_who_waits(ipc, f->r9);
	if (unlikely(!c || c->ipc.kind != RS_IPC_CALL || c->sched.state != THREAD_SLEEPING))
		goto slow;
	cf = c->frame;
	ipc_words_go(f, cf);
	parked = let_go(c, cf, 0);

	t->ipc.all = PARKED(IPC_RECEIVES, 0);
	list_add_tail(&port->receivers, &t->ipc.link);
	rs_stats()->syscalls++;
	thread_leave_to(me, c, parked);
slow:
	rs_syscall(f);
}

#endif

bool ipc_short;

void ipc_init(bool plain)
{
	ipc_short = plain && thread_can_park();
}
