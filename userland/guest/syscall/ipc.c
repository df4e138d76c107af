// SPDX-License-Identifier: MIT
/*
 * ipc.c - ports and pagers: arguments, results, and waits that signals cut short; proc/ipc.c does
 * the work
 *
 * A wait that a signal has cut short goes on if no handler runs (restart_later()). A call or a
 * message that is sent still waits meanwhile: its message may be taken and answered, and coming
 * back finds that. What waits to receive has left, and enters again; it has given its answer
 * before, so only the second half of the call is made again.
 *
 * A struct rs_ipc is read at the beginning and written at the end. Its words go through the
 * registers, like those of the other calls. What goes along and may come is the thread's as long as
 * it waits (ipc_more()), and cleared in every case when the call is over.
 */
#include "ipc.h"
#include "signal.h"
#include "../proc/ipc.h"
#include "../proc/pager.h"
#include "../proc/park.h"

_Static_assert(sizeof(struct rs_ipc) == 136, "struct rs_ipc");

/* --- ports and handles ------------------------------------------------------------------------ */

long app_port(struct rs_frame *f)
{
	return ARG0(f) & ~(u64)RS_HANDLE_CLOEXEC ? -EINVAL : ipc_port_create((u32)ARG0(f));
}

static long handle_copy(struct process *p, const struct handle *h, u64 rights, u64 badge)
{
	if (rights & ~(u64)(RIGHTS | RS_HANDLE_CLOEXEC))
		return -EINVAL;
	if (rights & RIGHTS & ~h->rights)
		return -EACCES;
	if (badge && (h->badge || !(h->rights & RS_RIGHT_RECEIVE) || rights & RS_RIGHT_RECEIVE))
		return -EACCES;
	return ipc_handle_add(p, h, (u32)rights, badge ? badge : h->badge);
}

long app_handle(struct rs_frame *f)
{
	struct process *p = current_proc();
	u64 op = ARG0(f), arg = ARG2(f), badge = ARG3(f);
	struct handle *h;

	if (op < RS_HANDLE_CLOSE || op > RS_HANDLE_COPY || (badge && op != RS_HANDLE_COPY) ||
	    (arg && op <= RS_HANDLE_INFO))
		return -EINVAL;
	h = ipc_handle(p->ipc, ARG1(f), 0);
	if (!h)
		return ipc_no_handle(p->ipc, ARG1(f));
	switch (op) {
	case RS_HANDLE_CLOSE:
		ipc_handle_close(p->ipc, (u32)ARG1(f));
		return 0;
	case RS_HANDLE_INFO:
		return h->rights;
	case RS_HANDLE_FLAGS:
		if (arg & ~(u64)RS_HANDLE_CLOEXEC)
			return -EINVAL;
		h->rights = (h->rights & RIGHTS) | (u32)arg;
		return 0;
	default:
		return handle_copy(p, h, arg, badge);
	}
}

/* --- struct rs_ipc ---------------------------------------------------------------------------- */

static bool pages_ok(u64 addr, u64 len)
{
	return !((addr | len) & ~PAGE_MASK) && user_range_ok(addr, len);
}

static bool ipc_ok(const struct rs_ipc *m)
{
	u32 rights = m->rights & ~(u32)RS_PAGES_MOVE;

	return !m->zero && !(m->flags & ~RS_IPC_HANDLE) && pages_ok(m->window, m->window_len) &&
	       pages_ok(m->addr, m->len) && m->len <= RS_IPC_PAGES_MAX * PAGE_SIZE &&
	       (!m->len || rights == RS_PAGE_READ || rights == RS_PAGE_WRITE) &&
	       !(m->handle_rights & ~RIGHTS);
}

/* What @m says becomes the current thread's; its words go into the registers. */
static long ipc_in(struct rs_frame *f, u64 user, struct rs_ipc *m)
{
	struct thread *t = current();
	struct ipc_more *more = ipc_more();

	if (!more)
		return -ENOMEM;
	if (copyin(m, user, sizeof(*m)))
		return -EFAULT;
	if (!ipc_ok(m))
		return -EINVAL;
	if (unlikely(t->ipc.state != IPC_IDLE))
		ipc_give_up(t);
	more->user = user;
	more->addr = m->addr;
	more->len = m->len;
	more->rights = m->rights;
	more->handle = m->handle;
	more->handle_rights = m->handle_rights;
	more->window = m->window;
	more->window_len = m->window_len;
	more->takes_handle = m->flags & RS_IPC_HANDLE;
	more->got_len = 0;
	more->got_handle = 0;
	t->ipc.items = m->len || m->handle;
	f->rsi = m->word[0];
	f->rdx = m->word[1];
	f->r10 = m->word[2];
	f->r8 = m->word[3];
	return 0;
}

#define WRITTEN	offsetof(struct rs_ipc, limit)	/* the part of struct rs_ipc that is */

/* The end of a call with a struct rs_ipc that has the result @ret. */
static long ipc_out(struct rs_frame *f, long ret)
{
	struct thread *t = current();
	struct ipc_more *m = t->ipc.more;
	u64 user = m->user;
	struct rs_ipc out = {
		.word = { f->rsi, f->rdx, f->r10, f->r8 },
		.got = (u32)ret,
	};

	if (ret < 0) {
		ipc_clear(t);
		return ret;
	}
	if (m->got_len) {
		out.got |= RS_IPC_PAGES;
		out.got_len = m->got_len;
		out.got_rights = m->got_rights;
	}
	if (m->got_handle) {
		out.got |= RS_IPC_HANDLE;
		out.got_handle = m->got_handle;
		out.got_handle_rights = m->got_handle_rights;
	}
	/* Whose message it is; of an answer that is known. */
	if (!t->ipc.kind) {
		out.badge = f->rdi;
		out.reply = f->r9;
	}
	ipc_clear(t);
	return copyout(user, &out, WRITTEN) ? -EFAULT : out.got;
}

/* --- calls and messages that are sent --------------------------------------------------------- */

/* The wait is over, or will go on after a signal: sent_on(). */
static long sent_on(struct rs_frame *f);

static always_inline long sent(long ret, u64 deadline)
{
	if (unlikely(ret == -EINTR) && current()->ipc.state != IPC_IDLE)
		return restart_later(sent_on, deadline, 0);
	return ret;
}

/* Nothing comes back to who only sends. */
static long sent_out(struct rs_frame *f, long ret)
{
	struct thread *t = current();

	if (IS_RESTART(ret))
		return ret;
	if (t->ipc.kind)
		return ipc_out(f, ret);
	ipc_clear(t);
	return ret;
}

static long sent_on(struct rs_frame *f)
{
	struct ipc_thread *i = &current()->ipc;
	u64 deadline = current()->sig->restart.deadline;
	long ret = i->result;

	if (i->kind == RS_IPC_FAULT)
		ret = -EINTR;	/* the call was given up for it */
	else if (i->state != IPC_IDLE)
		ret = sent(ipc_wait(deadline), deadline);
	return i->more && i->more->user ? sent_out(f, ret) : ret;
}

long app_ipc_call(struct rs_frame *f)
{
	u64 limit = ARG5(f), deadline = NO_DEADLINE;

	if (unlikely(limit != RS_IPC_FOREVER))
		deadline = ipc_deadline(limit);
	return sent(ipc_call(f, ARG0(f), deadline, !limit), deadline);
}

long app_ipc_send(struct rs_frame *f)
{
	u64 limit = ARG5(f), deadline = NO_DEADLINE;

	if (unlikely(limit != RS_IPC_FOREVER))
		deadline = ipc_deadline(limit);
	return sent(ipc_send(f, ARG0(f), deadline, !limit), deadline);
}

/* --- answers and messages that are received --------------------------------------------------- */

/* rdi is still the handle: nothing has come that would have replaced it. */
static long receive_on(struct rs_frame *f)
{
	u64 deadline = current()->sig->restart.deadline;
	long ret = ipc_reply_wait(f, ARG0(f), 0, deadline, false);

	return ret == -EINTR ? restart_later(receive_on, deadline, 0) : ret;
}

long app_ipc_reply_wait(struct rs_frame *f)
{
	long ret = ipc_reply_wait(f, ARG0(f), ARG5(f), NO_DEADLINE, false);

	return likely(ret != -EINTR) ? ret : restart_later(receive_on, NO_DEADLINE, 0);
}

/* A thread that was parked is to run by the scheduler: its wait is over, or a signal has come. */
void rs_unparked(struct rs_frame *f)
{
	struct thread *t = current();
	long ret;

	sched_unparked();
	t->ipc.parked = false;
	if (t->ipc.kind) {
		ret = sent(ipc_wait(NO_DEADLINE), NO_DEADLINE);
	} else {
		ret = ipc_receive_wait();
		if (ret == -EINTR)
			ret = restart_later(receive_on, NO_DEADLINE, 0);
	}
	f->rax = (u64)ret;
	if (IS_RESTART(ret))
		t->work |= THREAD_WORK_SIGNAL;
	t->in_syscall = 0;
}

static long ipc_receive(struct rs_frame *f, const struct rs_ipc *m, u64 reply, u64 deadline,
			bool try, u64 user);

/* The same from a struct rs_ipc, whose address has been kept; what it says is read once more. */
static long ipc_receive_on(struct rs_frame *f)
{
	u64 user = current()->sig->restart.rem, deadline = current()->sig->restart.deadline;
	struct rs_ipc m;
	long err = ipc_in(f, user, &m);

	return err ? err : ipc_receive(f, &m, 0, deadline, false, user);
}

static long ipc_receive(struct rs_frame *f, const struct rs_ipc *m, u64 reply, u64 deadline,
			bool try, u64 user)
{
	long ret = ipc_reply_wait(f, m->port, reply, deadline, try);

	if (ret == -EINTR) {
		ipc_clear(current());
		return restart_later(ipc_receive_on, deadline, user);
	}
	if (m->port)
		return ipc_out(f, ret);
	ipc_clear(current());
	return ret;
}

long app_ipc(struct rs_frame *f)
{
	u64 op = ARG0(f), user = ARG1(f), deadline;
	struct rs_ipc m;
	long ret;

	if (op != RS_SYS_IPC_CALL && op != RS_SYS_IPC_SEND && op != RS_SYS_IPC_REPLY_WAIT)
		return -EINVAL;
	ret = ipc_in(f, user, &m);
	if (ret)
		return ret;
	deadline = ipc_deadline(m.limit);
	if (op == RS_SYS_IPC_REPLY_WAIT)
		return ipc_receive(f, &m, m.reply, deadline, !m.limit, user);
	if (op == RS_SYS_IPC_CALL)
		ret = ipc_call(f, m.port, deadline, !m.limit);
	else
		ret = ipc_send(f, m.port, deadline, !m.limit);
	return sent_out(f, sent(ret, deadline));
}

long app_pager(struct rs_frame *f)
{
	return pager_set(ARG0(f), ARG1(f), ARG2(f), ARG3(f));
}
