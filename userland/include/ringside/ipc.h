/* SPDX-License-Identifier: MIT */
/*
 * ringside/ipc.h - messages between processes of the ring, and pagers
 *
 * Functions for the calls of ringside_app.h from RS_SYS_PORT on, which is the manual: what ports,
 * handles and their rights are, who is told of whose end, and what a signal does to a wait. Results
 * are 0 or more, or a negative errno; outside the ring -ENOSYS.
 *
 *	server					client (a child, or it was sent the handle)
 *	port = rs_port_create(0);
 *	to = rs_handle_copy(port, RS_RIGHT_SEND, 1);
 *	...fork()...
 *	struct rs_from from = { 0 };		uint64_t w[4] = { 6, 7 };
 *	uint64_t w[4];				rs_ipc_call(to, w, RS_IPC_FOREVER);
 *	for (;;) {				// w[0] is 42
 *		if (rs_ipc_reply_wait(port, w, &from) < 0)
 *			break;
 *		w[0] *= w[1];
 *	}
 */
#ifndef RINGSIDE_IPC_H
#define RINGSIDE_IPC_H

#include <ringside/app.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- ports and handles ------------------------------------------------------------------------ */

/** rs_port_create() - RS_SYS_PORT: a port's first handle, above 0; @flags: RS_HANDLE_CLOEXEC, 0 */
int rs_port_create(unsigned int flags);
/**
 * rs_handle_copy() - another handle for the port of @handle, with @rights (RS_RIGHT_*,
 * RS_HANDLE_CLOEXEC); messages sent by it and its copies come with @badge, or, 0, with that of
 * @handle
 */
int rs_handle_copy(unsigned int handle, unsigned int rights, uint64_t badge);
int rs_handle_close(unsigned int handle);
/** rs_handle_info() - RS_RIGHT_* and RS_HANDLE_* of @handle */
int rs_handle_info(unsigned int handle);
/** rs_handle_flags() - @handle has the flags @flags (0 or RS_HANDLE_CLOEXEC) from now on */
int rs_handle_flags(unsigned int handle, unsigned int flags);

/* --- messages of RS_IPC_WORDS words, in registers --------------------------------------------- */

/**
 * struct rs_from - who has sent a message
 * @badge: of the handle it was sent by
 * @reply: what it is answered by; 0: no answer is waited for
 */
struct rs_from {
	uint64_t badge, reply;
};

/**
 * rs_ipc_call() - sends @word and waits for the answer, which is in @word then; @limit:
 * RS_IPC_FOREVER, ... After -EINTR and -ETIMEDOUT, word[0] is 1 if the message has been taken, and
 * 0 if it has not.
 */
long rs_ipc_call(unsigned int handle, uint64_t word[RS_IPC_WORDS], uint64_t limit);
/** rs_ipc_send() - sends @word; no answer. @limit 0: only to who waits already (-EAGAIN) */
long rs_ipc_send(unsigned int handle, const uint64_t word[RS_IPC_WORDS], uint64_t limit);
/** rs_ipc_receive() - waits for a message: RS_IPC_*; @from says whose it is */
long rs_ipc_receive(unsigned int handle, uint64_t word[RS_IPC_WORDS], struct rs_from *from);
/** rs_ipc_reply() - answers @reply with @word; -ESRCH: nobody waits for that any more */
long rs_ipc_reply(uint64_t reply, const uint64_t word[RS_IPC_WORDS]);
/** rs_ipc_reply_wait() - answers @from->reply (0: nobody) with @word, then rs_ipc_receive() */
long rs_ipc_reply_wait(unsigned int handle, uint64_t word[RS_IPC_WORDS], struct rs_from *from);

/* --- messages with pages and handles ---------------------------------------------------------- */

/** rs_ipc() - RS_SYS_IPC: @op is RS_SYS_IPC_CALL, RS_SYS_IPC_SEND or RS_SYS_IPC_REPLY_WAIT */
long rs_ipc(long op, struct rs_ipc *ipc);

/* --- pagers ----------------------------------------------------------------------------------- */

/**
 * rs_pager() - RS_SYS_PAGER: the receiver of @handle's port provides the pages of [@addr, @addr +
 * @len); 0: nobody does any more. @limit for each page: RS_IPC_FOREVER, ...
 */
int rs_pager(void *addr, size_t len, unsigned int handle, uint64_t limit);
/**
 * rs_pager_provide() - answers the fault @reply with [@page, @page + @len); @rights: RS_PAGE_READ
 * or RS_PAGE_WRITE, with RS_PAGES_MOVE. -ESRCH: the fault is not waiting any more
 */
long rs_pager_provide(uint64_t reply, const void *page, size_t len, unsigned int rights);
/** rs_pager_refuse() - answers the fault @reply without a page: SIGBUS there */
long rs_pager_refuse(uint64_t reply);

#ifdef __cplusplus
}
#endif

#endif /* RINGSIDE_IPC_H */
