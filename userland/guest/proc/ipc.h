/* SPDX-License-Identifier: MIT */
/*
 * ipc.h - ports, handles, and messages from thread to thread
 *
 * What a process sees of it is in uapi/ringside_app.h. Here are the objects and their invariants;
 * how a message goes is at the head of ipc.c, what pagers are at that of pager.c.
 *
 * A port has two lists of threads that wait, and only one of them is not empty: those that would
 * receive, and those whose message nobody has taken yet. It is kept by what names it: handles, and
 * the pagers that send to it. Threads that wait there do not keep it, and need not: they are let go
 * with an error when the last handle that can receive goes (callers) or the last that can send
 * (receivers). So who is in a list has somebody with a handle to meet.
 *
 * A call that was taken is on the list of the process that took it (ipc_process.open), until it is
 * answered or either side gives up. Nothing keeps a thread but itself: it leaves every list
 * before it runs a signal handler or ends.
 *
 * A process has a table of handles when it has had one. Threads of the process share it, fork
 * copies it.
 */
#ifndef RS_PROC_IPC_H
#define RS_PROC_IPC_H

#include <ringside_app.h>
#include "../lib/list.h"
#include "../lib/types.h"
#include "../arch/frame.h"
#include "../mm/fault.h"

struct process;
struct thread;

/** struct port - where messages arrive */
struct port {
	u32 refs;		/* handles and pagers */
	u32 nsend, nreceive;	/* of these, who can send, who can receive */
	struct list receivers;	/* threads, ipc_thread.link */
	struct list senders;	/* the same */
};

#define RIGHTS	(RS_RIGHT_SEND | RS_RIGHT_RECEIVE | RS_RIGHT_GRANT)

struct handle {
	struct port *port;	/* NULL: not in use */
	u64 badge;
	u32 rights;		/* RS_RIGHT_*, RS_HANDLE_* */
};

/** struct ipc_process - what a process has of all this; entry 0 is never used */
struct ipc_process {
	struct handle *handles;
	u32 size, used;
	struct list open;	/* calls to be answered, ipc_thread.link */
};

enum ipc_state {
	IPC_IDLE,
	IPC_RECEIVES,		/* in port->receivers */
	IPC_SENDS,		/* in port->senders */
	IPC_ANSWER,		/* in server->open: its message has been taken */
};

/** struct ipc_more - what is not in registers; a thread has one when it has needed one */
struct ipc_more {
	u64 user;		/* the struct rs_ipc of the present call; 0: it has none */
	/* goes along */
	u64 addr, len;
	u32 rights, handle, handle_rights;
	/* may come */
	bool takes_handle;
	u64 window, window_len;
	/* has come */
	u64 got_len;
	u32 got_rights, got_handle, got_handle_rights;
	/* of a fault, instead of the words */
	u64 fault_addr, fault_distance, pager;
	u32 fault_access;
};

/** struct ipc_thread - what a thread is doing; all zero at first */
struct ipc_thread {
	struct list link;
	union {
		struct {
			u8 state;	/* enum ipc_state */
			bool items;	/* @more has something that goes along */
			bool parked;	/* it sleeps as thread_leave_to() leaves it */
			u8 kind;	/* RS_IPC_CALL, RS_IPC_FAULT; 0: waits for no answer */
		};
		u32 all;		/* of these, to be looked at at once */
	};
	s32 result;		/* of the wait, when it is over */
	u64 seq;		/* of its last message; with the tid what it is answered by */
	u64 badge;
	struct ipc_process *server;	/* who has taken its call */
	struct ipc_more *more;
};

/* --- handle.c --------------------------------------------------------------------------------- */

/** ipc_port_create() - a port and the current process's handle for it, or -errno */
long ipc_port_create(u32 flags);
/** ipc_handle() - entry @n of @ipc (may be NULL) if it has all @rights; NULL: ipc_no_handle() */
static inline struct handle *ipc_handle(struct ipc_process *ipc, u64 n, u32 rights)
{
	struct handle *h;

	if (unlikely(!ipc || n >= ipc->size))
		return NULL;
	h = &ipc->handles[n];
	return likely((h->rights & rights) == rights && h->port) ? h : NULL;
}

/** ipc_no_handle() - why it answers NULL: -EBADF, -EACCES */
long ipc_no_handle(struct ipc_process *ipc, u64 n);

/**
 * ipc_handle_add() - a handle of @p for what @h (of any table) is for, with @rights (and flags);
 * its number, -EMFILE, -ENOMEM
 */
long ipc_handle_add(struct process *p, const struct handle *h, u32 rights, u64 badge);
/** ipc_handle_close() - entry @n of the current process, which is in use */
void ipc_handle_close(struct ipc_process *ipc, u32 n);
/** port_get_sender(), port_put_sender() - a pager sends to it */
void port_get_sender(struct port *port);
void port_put_sender(struct port *port);

/** ipc_fork() - @p has the handles of @from; false without memory */
bool ipc_fork(struct process *p, const struct process *from);
/** ipc_exec() - what a new program does not have: marked handles, calls to be answered */
void ipc_exec(struct process *p);
/** ipc_process_end() - the process has no thread that runs any more, or never had one */
void ipc_process_end(struct process *p);

/* --- ipc.c ------------------------------------------------------------------------------------ */

/*
 * The four ways of a message. Its words are in @f->rsi, rdx, r10, r8, and what is received comes
 * there.
 * @deadline: CLOCK_MONOTONIC, ns, or NO_DEADLINE; @try: nobody who waits already is -EAGAIN.
 * -EINTR: a signal is to be handled; what the thread waits for it still waits for, see ipc_wait().
 * -ETIMEDOUT: it has given up. A call sets @f->rdi: the message was taken, or not.
 */
/** ipc_call(), ipc_send() - 0 or -errno; ipc_call() comes back with the answer */
long ipc_call(struct rs_frame *f, u64 handle, u64 deadline, bool try);
long ipc_send(struct rs_frame *f, u64 handle, u64 deadline, bool try);
/**
 * ipc_reply_wait() - answers @reply (0: nobody), then receives at @handle (0: does not); RS_IPC_*,
 * with
 * @f->rdi the badge and @f->r9 the number to answer by
 * -EINTR: the answer is given, and the thread does not wait any more: again with @reply 0
 */
long ipc_reply_wait(struct rs_frame *f, u64 handle, u64 reply, u64 deadline, bool try);
extern bool ipc_short;	/* the short way may be taken: set once at boot by ipc_init() */
void ipc_init(bool plain);
/** ipc_receive_wait() - goes on to wait for a message, as ipc_reply_wait() does */
long ipc_receive_wait(void);
/** ipc_wait() - goes on with what -EINTR has interrupted: a call or a message that is sent */
long ipc_wait(u64 deadline);
/** ipc_more() - that of the current thread, made if there is none; NULL without memory */
struct ipc_more *ipc_more(void);
/** ipc_clear() - the call that has used the current thread's more is over */
void ipc_clear(struct thread *t);
/** ipc_give_up() - @t, not IPC_IDLE, waits for nothing any more: a signal handler, its end */
void ipc_give_up(struct thread *t);
/** ipc_thread_free() - nobody uses @t any more */
void ipc_thread_free(struct thread *t);
/** ipc_let_go() - all in @list (receivers, senders or open) stop waiting: -EPIPE */
void ipc_let_go(struct list *list);
/**
 * ipc_fault() - the current thread, whose more has the fault, asks @port for it; 0, -EPIPE, -EFAULT
 * (refused), -ETIMEDOUT, -EINTR: does not wait any more after any of them
 */
long ipc_fault(struct port *port, u64 badge, u64 deadline);

#endif
