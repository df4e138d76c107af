// SPDX-License-Identifier: MIT
/*
 * ipc.c - ports, messages, pagers
 *
 * Messages go in the registers they are in anyway when a function is called, and come back in them;
 * so the calls are made here, and not by rs_app_call(), which loses all registers but one.
 */
#include <errno.h>
#include <ringside/ipc.h>
#include "internal.h"

/* Whether there are messages here: a look, once it has been asked for. */
static inline int here(void)
{
	return __builtin_expect(!!(rs_app_known & RS_APP_IPC), 1);
}

/* A first call: the same again if it is a ring after all. */
#define ASK(again) (rs_app_features() & RS_APP_IPC ? (again) : -ENOSYS)
#define COLD __attribute__((noinline, cold))

/* One call: @rdi and @r9 and the words are what goes there, and what has come back. */
#define MESSAGE(nr, rdi, w0, w1, w2, w3, r9)	\
	asm volatile("syscall"	\
		     : "=a"(ret), "+D"(rdi), "+S"(w0), "+d"(w1), "+r"(w2), "+r"(w3), "+r"(r9)	\
		     : "0"(nr)	\
		     : "rcx", "r11", "memory")

/* The words of @in, and @last, in the registers of the ABI: no function is called from here on. */
#define REGISTERS(in, last)	\
	uint64_t w0 = (in)[0], w1 = (in)[1];	\
	register uint64_t w2 asm("r10") = (in)[2];	\
	register uint64_t w3 asm("r8") = (in)[3];	\
	register uint64_t r9 asm("r9") = (last);	\
	long ret

static inline void words_out(uint64_t *out, uint64_t w0, uint64_t w1, uint64_t w2, uint64_t w3)
{
	out[0] = w0;
	out[1] = w1;
	out[2] = w2;
	out[3] = w3;
}

static long call(uint64_t handle, uint64_t *word, uint64_t limit)
{
	REGISTERS(word, limit);

	MESSAGE(RS_SYS_IPC_CALL, handle, w0, w1, w2, w3, r9);
	words_out(word, w0, w1, w2, w3);
	if (__builtin_expect(ret != 0, 0) && (ret == -EINTR || ret == -ETIMEDOUT))
		word[0] = handle;
	return ret;
}

static COLD long first_call(unsigned int handle, uint64_t *word, uint64_t limit)
{
	return ASK(rs_ipc_call(handle, word, limit));
}

long rs_ipc_call(unsigned int handle, uint64_t word[RS_IPC_WORDS], uint64_t limit)
{
	return here() ? call(handle, word, limit) : first_call(handle, word, limit);
}

static long reply_wait(uint64_t handle, uint64_t *word, struct rs_from *from)
{
	REGISTERS(word, from->reply);

	MESSAGE(RS_SYS_IPC_REPLY_WAIT, handle, w0, w1, w2, w3, r9);
	words_out(word, w0, w1, w2, w3);
	from->badge = handle;
	from->reply = r9;
	if (__builtin_expect(ret < 0, 0))
		from->reply = 0;
	return ret;
}

static COLD long first_reply_wait(unsigned int handle, uint64_t *word, struct rs_from *from)
{
	return ASK(rs_ipc_reply_wait(handle, word, from));
}

long rs_ipc_reply_wait(unsigned int handle, uint64_t word[RS_IPC_WORDS], struct rs_from *from)
{
	return here() ? reply_wait(handle, word, from) : first_reply_wait(handle, word, from);
}

long rs_ipc_receive(unsigned int handle, uint64_t word[RS_IPC_WORDS], struct rs_from *from)
{
	from->reply = 0;
	return rs_ipc_reply_wait(handle, word, from);
}

/* What comes back in the registers of these means nothing. */
static long send(long nr, uint64_t handle, const uint64_t *word, uint64_t last)
{
	REGISTERS(word, last);

	MESSAGE(nr, handle, w0, w1, w2, w3, r9);
	return ret;
}

long rs_ipc_send(unsigned int handle, const uint64_t word[RS_IPC_WORDS], uint64_t limit)
{
	return here() ? send(RS_SYS_IPC_SEND, handle, word, limit) :
			ASK(rs_ipc_send(handle, word, limit));
}

long rs_ipc_reply(uint64_t reply, const uint64_t word[RS_IPC_WORDS])
{
	return here() ? send(RS_SYS_IPC_REPLY_WAIT, 0, word, reply) :
			ASK(rs_ipc_reply(reply, word));
}

static long ipc(uint64_t op, struct rs_ipc *m)
{
	const uint64_t args[RS_IPC_WORDS] = { (uint64_t)m };
	int is_call = op == RS_SYS_IPC_CALL;
	REGISTERS(args, 0);

	MESSAGE(RS_SYS_IPC, op, w0, w1, w2, w3, r9);
	if (__builtin_expect(is_call && (ret == -EINTR || ret == -ETIMEDOUT), 0))
		m->word[0] = op;
	return ret;
}

long rs_ipc(long op, struct rs_ipc *m)
{
	return here() ? ipc((uint64_t)op, m) : ASK(rs_ipc(op, m));
}

int rs_port_create(unsigned int flags)
{
	return (int)rs_app_call(RS_SYS_PORT, flags, 0, 0, 0);
}

int rs_handle_copy(unsigned int handle, unsigned int rights, uint64_t badge)
{
	return (int)rs_app_call(RS_SYS_HANDLE, RS_HANDLE_COPY, handle, rights, (long)badge);
}

int rs_handle_close(unsigned int handle)
{
	return (int)rs_app_call(RS_SYS_HANDLE, RS_HANDLE_CLOSE, handle, 0, 0);
}

int rs_handle_info(unsigned int handle)
{
	return (int)rs_app_call(RS_SYS_HANDLE, RS_HANDLE_INFO, handle, 0, 0);
}

int rs_handle_flags(unsigned int handle, unsigned int flags)
{
	return (int)rs_app_call(RS_SYS_HANDLE, RS_HANDLE_FLAGS, handle, flags, 0);
}

int rs_pager(void *addr, size_t len, unsigned int handle, uint64_t limit)
{
	return (int)rs_app_call(RS_SYS_PAGER, (long)addr, (long)len, handle, (long)limit);
}

long rs_pager_provide(uint64_t reply, const void *page, size_t len, unsigned int rights)
{
	struct rs_ipc m = { .reply = reply, .addr = (uint64_t)page, .len = len, .rights = rights };

	return rs_ipc(RS_SYS_IPC_REPLY_WAIT, &m);
}

long rs_pager_refuse(uint64_t reply)
{
	const uint64_t word[RS_IPC_WORDS] = { 0 };

	return rs_ipc_reply(reply, word);
}
