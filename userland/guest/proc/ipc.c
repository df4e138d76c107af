// SPDX-License-Identifier: MIT
/*
 * ipc.c - the way of a message
 *
 * A message is never stored. Its words stay in the registers of the thread that sends them, that is
 * in its frame on its kernel stack, until there is a thread to have them: then they are copied from
 * frame to frame. What is not in registers (pages, a handle) is looked up in the sender's process
 * at that moment.
 *
 *	call, and somebody receives: words, pages, handle go over; the caller is in the list of
 *	calls that the receiver's process has to answer, and sleeps; the CPU goes on as the
 *	receiver
 *	call, and nobody does: the caller sleeps in the port's list of senders
 *	send: the same, but that the sender does not sleep after the message is taken
 *	receive, and somebody sends: the same the other way round, without a switch
 *	receive, and nobody does: sleeps in the port's list of receivers
 *	answer: the caller is found by number, and must be in the list of this very process; words,
 *	pages, handle go over; it may run. If the one who answers is about to wait, the CPU goes on
 *	as the caller
 *
 * So a call and its answer cost two switches and no queue (thread_hand_over()). This is right
 * because of what sched.h says: between two sleeps nothing else happens, and a thread that sleeps
 * is on no CPU. With one CPU and words only there is a shorter way still: ipc_fast.c.
 *
 * The number to answer by is the caller's tid and a count of all messages, so no number is ever
 * used twice. It is no secret and needs to be none: only the process that has taken the call can
 * answer it.
 *
 * A wait ends when the thread's state is IPC_IDLE again; result says how. Whoever ends it takes it
 * out of its list. A thread that stops waiting by itself (time, end, a signal handler) does so by
 * ipc_give_up(). One that a signal has woken may come back to wait (ipc_wait()) if no handler has
 * run; meanwhile it is in its list, its message may be taken and its call be answered. In ring 3 it
 * comes by the instruction that made the call only, but that is memory like any other: whatever
 * begins a wait gives up first what may be left of another one.
 *
 * A message whose pages or handle cannot go over has not been sent: the sender gets the error, the
 * receiver is not told. Pages may have gone into the receiver's window by then, which says nothing
 * about its contents.
 */
#include "ipc_way.h"
#include "../lib/assert.h"
#include "../lib/string.h"
#include "../mm/kmalloc.h"
#include "../mm/transfer.h"

u64 ipc_last_seq;

/* --- waiting ---------------------------------------------------------------------------------- */

/* @t's wait is over: @result. It is woken by the caller. */
static always_inline void finish(struct thread *t, long result)
{
	list_del(&t->ipc.link);
	t->ipc.state = IPC_IDLE;
	t->ipc.parked = false;
	t->ipc.result = (s32)result;
}

void ipc_let_go(struct list *list)
{
	while (!list_empty(list)) {
		struct thread *t = ipc_thread_of(list->next);

		finish(t, -EPIPE);
		thread_wake(t);
	}
}

void ipc_clear(struct thread *t)
{
	struct ipc_more *m = t->ipc.more;

	t->ipc.items = false;
	m->user = m->len = m->window_len = m->got_len = 0;
	m->handle = m->got_handle = 0;
	m->takes_handle = false;
}

void ipc_give_up(struct thread *t)
{
	/* for the program to know */
	if (t->ipc.kind == RS_IPC_CALL)
		t->frame->rdi = t->ipc.state == IPC_ANSWER;
	finish(t, -EINTR);
	if (t->ipc.more)
		ipc_clear(t);
}

static void give_up(struct thread *t)
{
	if (unlikely(t->ipc.state != IPC_IDLE))
		ipc_give_up(t);
}

/* The current thread, in a list, sleeps until it is in none. @next, if any, may run instead. */
static always_inline long wait(struct thread *t, struct thread *next, u64 deadline)
{
	long err;

	t->sched.woken = false;
	if (next) {
		if (likely(next->sched.state == THREAD_SLEEPING && deadline == NO_DEADLINE &&
			   !t->work))
			thread_hand_over(next);
		else
			thread_wake(next);
	}
	while (unlikely(t->ipc.state != IPC_IDLE)) {
		err = thread_sleep(deadline, SLEEP_SIGNALS);
		if (err && t->ipc.state != IPC_IDLE) {
			if (err == -ETIMEDOUT)
				give_up(t);
			return err;
		}
	}
	return t->ipc.result;
}

long ipc_wait(u64 deadline)
{
	return wait(current(), NULL, deadline);
}

/* --- what goes along -------------------------------------------------------------------------- */

struct ipc_more *ipc_more(void)
{
	struct ipc_thread *i = &current()->ipc;

	if (!i->more)
		i->more = kzalloc(sizeof(*i->more));
	return i->more;
}

void ipc_thread_free(struct thread *t)
{
	kfree(t->ipc.more);
	t->ipc.more = NULL;
}

/* The handle that @from's message carries is one of @to now; @to must be the one to take it. */
static long handle_goes(struct thread *from, struct thread *to)
{
	struct ipc_more *s = from->ipc.more, *r = to->ipc.more;
	struct handle *h;
	long n;

	h = ipc_handle(from->proc->ipc, s->handle, RS_RIGHT_GRANT);
	if (!h)
		return ipc_no_handle(from->proc->ipc, s->handle);
	if (s->handle_rights & ~h->rights)
		return -EACCES;
	if (!r || !r->takes_handle)
		return -EMSGSIZE;
	n = ipc_handle_add(to->proc, h, s->handle_rights, h->badge);
	if (n < 0)
		return n;
	r->got_handle = (u32)n;
	r->got_handle_rights = s->handle_rights;
	return 0;
}

static long pages_go(struct thread *from, struct thread *to)
{
	struct ipc_more *s = from->ipc.more, *r = to->ipc.more;
	struct pages_offer o = {
		.mm = from->proc->mm, .addr = s->addr, .len = s->len,
		.write = (s->rights & RS_PAGE_WRITE) == RS_PAGE_WRITE,
		.move = s->rights & RS_PAGES_MOVE,
	};
	long err;

	if (to->ipc.state == IPC_ANSWER && to->ipc.kind == RS_IPC_FAULT)
		return mm_transfer_missing(&o, to->proc->mm, r->fault_addr, r->pager);
	if (!r || s->len > r->window_len)
		return -EMSGSIZE;
	err = mm_transfer(&o, to->proc->mm, r->window);
	if (err)
		return err;
	r->got_len = s->len;
	r->got_rights = s->rights & RS_PAGE_WRITE;
	return 0;
}

/* RS_IPC_* for what has gone over, or -errno: nothing has. */
static noinline long items_go(struct thread *from, struct thread *to)
{
	struct ipc_more *s = from->ipc.more, *r = to->ipc.more;
	long err = 0, what = 0;

	if (s->handle) {
		err = handle_goes(from, to);
		what |= RS_IPC_HANDLE;
	}
	if (!err && s->len) {
		err = pages_go(from, to);
		what |= RS_IPC_PAGES;
		if (err && what & RS_IPC_HANDLE) {
			ipc_handle_close(to->proc->ipc, r->got_handle);
			r->got_handle = 0;
		}
	}
	return err ? err : what;
}

static noinline void fault_goes(const struct ipc_more *from, struct rs_frame *to)
{
	to->rsi = from->fault_addr;
	to->rdx = from->fault_access;
	to->r10 = from->fault_distance;
	to->r8 = 0;
}

/*
 * The message of @from, which is in no list, goes to @to, which is in none either from now on if it
 * was in one: what @to's wait results in, or -errno: nothing has changed then. If @from waits for
 * an answer, it is in the list of those who do.
 */
static always_inline long message_goes(struct thread *from, struct thread *to)
{
	struct ipc_thread *i = &from->ipc;
	struct rs_frame *f = to->frame;
	long what = i->kind, err;

	if (unlikely(i->items)) {
		err = items_go(from, to);
		if (err < 0)
			return err;
		what |= err;
	}
	if (likely(i->kind != RS_IPC_FAULT))
		ipc_words_go(from->frame, f);
	else
		fault_goes(i->more, f);
	f->rdi = i->badge;
	f->r9 = 0;
	if (likely(i->kind)) {
		i->seq = ++ipc_last_seq;
		f->r9 = i->seq << IPC_TID_BITS | from->tid;
		i->server = to->proc->ipc;
		i->state = IPC_ANSWER;
		list_add_tail(&i->server->open, &i->link);
	}
	return what;
}

/* --- sending ---------------------------------------------------------------------------------- */

/* The current thread's message, whatever its kind; the sender waits for what it has to. */
static always_inline long send(struct thread *t, struct port *port, u8 kind, u64 badge,
			       u64 deadline, bool try)
{
	struct thread *r;
	long what;

	t->ipc.kind = kind;
	t->ipc.badge = badge;
	if (likely(!list_empty(&port->receivers))) {
		r = ipc_thread_of(port->receivers.next);
		what = message_goes(t, r);
		if (unlikely(what < 0))
			return what;
		finish(r, what);
		if (!kind) {
			thread_wake(r);
			return 0;
		}
		return wait(t, r, deadline);
	}
	if (!port->nreceive)
		return -EPIPE;
	if (try)
		return -EAGAIN;
	t->ipc.state = IPC_SENDS;
	list_add_tail(&port->senders, &t->ipc.link);
	return wait(t, NULL, deadline);
}

long ipc_call(struct rs_frame *f, u64 handle, u64 deadline, bool try)
{
	struct thread *t = current();
	struct handle *h = ipc_handle(t->proc->ipc, handle, RS_RIGHT_SEND);

	if (unlikely(!h))
		return ipc_no_handle(t->proc->ipc, handle);
	give_up(t);
	f->rdi = 0;
	return send(t, h->port, RS_IPC_CALL, h->badge, deadline, try);
}

long ipc_send(struct rs_frame *f, u64 handle, u64 deadline, bool try)
{
	struct thread *t = current();
	struct handle *h = ipc_handle(t->proc->ipc, handle, RS_RIGHT_SEND);

	if (unlikely(!h))
		return ipc_no_handle(t->proc->ipc, handle);
	give_up(t);
	return send(t, h->port, 0, h->badge, deadline, try);
}

long ipc_fault(struct port *port, u64 badge, u64 deadline)
{
	struct thread *t = current();
	long err;

	give_up(t);
	err = send(t, port, RS_IPC_FAULT, badge, deadline, false);
	give_up(t);
	return err;
}

/* --- receiving and answering ------------------------------------------------------------------ */

/* The first message at @port that @t can take: as message_goes(); -EAGAIN: there is none. */
static noinline long take(struct thread *t, struct port *port)
{
	while (!list_empty(&port->senders)) {
		struct thread *s = ipc_thread_of(port->senders.next);
		long what;

		/* in no list; its state is what it is until the message has gone */
		list_del(&s->ipc.link);
		what = message_goes(s, t);
		if (what >= 0 && s->ipc.kind)
			return what;
		finish(s, min(what, 0l));
		thread_wake(s);
		if (what >= 0)
			return what;
	}
	return -EAGAIN;
}

/* The answer goes to @c, which may be run then. */
static always_inline long answer(struct thread *t, struct thread *c)
{
	long what = 0;

	if (unlikely(t->ipc.items)) {
		what = items_go(t, c);
		if (what < 0)
			return what;
	}
	if (likely(c->ipc.kind == RS_IPC_CALL)) {
		ipc_words_go(t->frame, c->frame);
		finish(c, 0);
	} else {
		finish(c, what & RS_IPC_PAGES ? 0 : -EFAULT);
	}
	return 0;
}

long ipc_reply_wait(struct rs_frame *f, u64 handle, u64 reply, u64 deadline, bool try)
{
	struct thread *t = current(), *c = NULL;
	struct port *port = NULL;
	struct handle *h;
	long err;

	give_up(t);
	if (likely(handle)) {
		h = ipc_handle(t->proc->ipc, handle, RS_RIGHT_RECEIVE);
		if (unlikely(!h))
			return ipc_no_handle(t->proc->ipc, handle);
		port = h->port;
	}
	if (likely(reply)) {
		c = ipc_who_waits(t->proc->ipc, reply);
		if (likely(c)) {
			err = answer(t, c);
			if (unlikely(err))
				return err;
		}
	}
	if (unlikely(!port)) {
		if (!c)
			return -ESRCH;
		thread_wake(c);
		return 0;
	}
	t->ipc.kind = 0;
	if (unlikely(!list_empty(&port->senders) || !port->nsend || try)) {
		if (c)
			thread_wake(c);
		err = take(t, port);
		if (err != -EAGAIN)
			return err;
		if (!port->nsend)
			return -EPIPE;
		if (try)
			return -EAGAIN;
		c = NULL;
	}
	t->ipc.state = IPC_RECEIVES;
	list_add_tail(&port->receivers, &t->ipc.link);
	err = wait(t, c, deadline);
	give_up(t);
	return err;
}

long ipc_receive_wait(void)
{
	struct thread *t = current();
	long err = wait(t, NULL, NO_DEADLINE);

	give_up(t);
	return err;
}
