// SPDX-License-Identifier: MIT
/*
 * ipc.c - ports, messages, pagers
 *
 * Messages go in the registers they are in anyway when a function is called, and come back in them; so the
 * calls are made here, and not by rs_app_call(), which loses all registers but one.
 */
#include <errno.h>
#include <ringside/ipc.h>

/* The registers of one call, before and after; @rdi and @r9 are arguments and results, too. */
struct regs {
	uint64_t rdi, r9;
};

static inline long message(long nr, struct regs *r, const uint64_t *in, uint64_t *out)
{
	uint64_t w0 = in[0], w1 = in[1];
	register uint64_t w2 asm("r10");
	register uint64_t w3 asm("r8");
	register uint64_t r9 asm("r9");
	long ret;

	if (!(rs_app_features() & RS_APP_IPC))
		return -ENOSYS;
	w2 = in[2];
	w3 = in[3];
	r9 = r->r9;
	asm volatile("syscall"
		     : "=a"(ret), "+D"(r->rdi), "+S"(w0), "+d"(w1), "+r"(w2), "+r"(w3), "+r"(r9)
		     : "0"(nr)
		     : "rcx", "r11", "memory");
	r->r9 = r9;
	out[0] = w0;
	out[1] = w1;
	out[2] = w2;
	out[3] = w3;
	return ret;
}

long rs_ipc_call(unsigned int handle, uint64_t word[RS_IPC_WORDS], uint64_t limit)
{
	struct regs r = { handle, limit };
	long ret = message(RS_SYS_IPC_CALL, &r, word, word);

	if (__builtin_expect(ret == -EINTR || ret == -ETIMEDOUT, 0))
		word[0] = r.rdi;
	return ret;
}

long rs_ipc_send(unsigned int handle, const uint64_t word[RS_IPC_WORDS], uint64_t limit)
{
	struct regs r = { handle, limit };
	uint64_t nothing[RS_IPC_WORDS];

	return message(RS_SYS_IPC_SEND, &r, word, nothing);
}

long rs_ipc_reply_wait(unsigned int handle, uint64_t word[RS_IPC_WORDS], struct rs_from *from)
{
	struct regs r = { handle, from->reply };
	long ret = message(RS_SYS_IPC_REPLY_WAIT, &r, word, word);

	from->badge = r.rdi;
	from->reply = ret >= 0 ? r.r9 : 0;
	return ret;
}

long rs_ipc_receive(unsigned int handle, uint64_t word[RS_IPC_WORDS], struct rs_from *from)
{
	from->reply = 0;
	return rs_ipc_reply_wait(handle, word, from);
}

long rs_ipc_reply(uint64_t reply, const uint64_t word[RS_IPC_WORDS])
{
	struct regs r = { 0, reply };
	uint64_t nothing[RS_IPC_WORDS];

	return message(RS_SYS_IPC_REPLY_WAIT, &r, word, nothing);
}

/* All words are registers' business in the kernel: they are other ones afterwards here, too. */
long rs_ipc(long op, struct rs_ipc *ipc)
{
	const uint64_t args[RS_IPC_WORDS] = { (uint64_t)ipc };
	uint64_t nothing[RS_IPC_WORDS];
	struct regs r = { (uint64_t)op, 0 };
	long ret = message(RS_SYS_IPC, &r, args, nothing);

	if (op == RS_SYS_IPC_CALL && __builtin_expect(ret == -EINTR || ret == -ETIMEDOUT, 0))
		ipc->word[0] = r.rdi;
	return ret;
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
