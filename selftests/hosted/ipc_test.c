// SPDX-License-Identifier: MIT
/*
 * ipc_test.c - the rules of ports, handles and messages, one by one
 *
 * usage: ipc_test [SEED]
 */
#include "ipc_world.h"

/* Answers @n calls with what has come, each word and 1. */
static int serves(u64 n)
{
	struct msg m = { { 0 } };
	long what = receive(port, &m);

	while (n--) {
		EQ(what, RS_IPC_CALL);
		EQ(m.badge, 77);
		for (u32 i = 0; i < 4; i++)
			m.w[i]++;
		what = n ? reply_wait(port, &m) : reply_wait(0, &m);
	}
	EQ(what, 0);
	return 0;
}

static int calls_once(u64 slot)
{
	struct msg m = { { slot, 1, 2, 3 } };

	seen[slot] = ipc(to, &m, RS_IPC_FOREVER);
	if (!seen[slot]) {
		EQ(m.w[0], slot + 1);
		EQ(m.w[3], 4);
	}
	return 0;
}

static void t_call(void)
{
	struct msg m = { { 10, 20, 30, 40 } };
	u64 before;
	u32 i;

	open_port();
	/* the server waits first, then the callers do */
	spawn(serves, 100);
	sleep_ms(1);
	before = current_proc()->used.switches;
	for (i = 0; i < 100; i++) {
		m.w[0] = i;
		EQ(ipc(to, &m, RS_IPC_FOREVER), 0);
		EQ(m.w[0], i + 1);
		EQ(m.w[3], 41 + i);
	}
	EQ(current_proc()->used.switches - before, 100);
	EQ(wait_for(-1), 0);
	for (i = 0; i < 10; i++)
		spawn(calls_once, i);
	sleep_ms(1);
	EQ(serves(10), 0);
	for (i = 0; i < 10; i++) {
		EQ(wait_for(-1), 0);
		EQ(seen[i], 0);
	}
	close_port();
}

static int receives_one(u64 slot)
{
	struct msg m;

	seen[slot] = receive(port, &m);
	seen[slot + 1] = (long)m.w[0];
	seen[slot + 2] = (long)m.reply;
	return 0;
}

static int tells(u64 word)
{
	return (int)tell(to, word, RS_IPC_FOREVER);
}

static void t_send(void)
{
	struct msg m;
	u32 i;

	open_port();
	EQ(tell(to, 5, 0), -EAGAIN);
	EQ(ipc(to, &m, 0), -EAGAIN);
	spawn(receives_one, 0);
	sleep_ms(1);
	EQ(tell(to, 5, 0), 0);
	EQ(wait_for(-1), 0);
	EQ(seen[0], 0);
	EQ(seen[1], 5);
	EQ(seen[2], 0);
	EQ(tell(to, 5, 0), -EAGAIN);
	/* in the order they have come */
	for (i = 0; i < 5; i++)
		spawn(tells, i);
	sleep_ms(1);
	for (i = 0; i < 5; i++) {
		EQ(receive(port, &m), 0);
		EQ(m.w[0], i);
		EQ(wait_for(-1), 0);
	}
	close_port();
}

static u64 stolen;

static int answers_stolen(u64 arg)
{
	struct msg m = { { 0 }, 0, stolen };
	u64 own = (u64)R(HANDLE, RS_HANDLE_COPY, port, RS_RIGHT_RECEIVE, 0);

	(void)arg;
	EQ(reply_wait(0, &m), -ESRCH);
	EQ(R(HANDLE, RS_HANDLE_CLOSE, port), 0);
	EQ(R(HANDLE, RS_HANDLE_CLOSE, to), 0);
	/* it is dropped, and the wait goes on until nobody can send any more */
	EQ(reply_wait(own, &(struct msg){ { 0 }, 0, stolen }), -EPIPE);
	return 0;
}

/* Only the process that has taken a call answers it, by any of its threads, and once. */
static void t_who_answers(void)
{
	struct msg m;

	open_port();
	spawn(calls_once, 3);
	EQ(receive(port, &m), RS_IPC_CALL);
	stolen = m.reply;
	spawn(answers_stolen, 0);
	sleep_ms(1);
	m = (struct msg){ { 4, 2, 3, 4 }, 0, stolen + (1 << 16) };
	EQ(reply_wait(0, &m), -ESRCH);
	m = (struct msg){ { 4, 2, 3, 4 }, 0, stolen };
	EQ(reply_wait(0, &m), 0);
	m.reply = stolen;
	EQ(reply_wait(0, &m), -ESRCH);
	EQ(wait_for(-1), 0);
	EQ(seen[3], 0);
	close_port();
	EQ(wait_for(-1), 0);
}

static void t_handles(void)
{
	struct msg m = { { 0 } };
	long h, n;

	open_port();
	EQ(R(HANDLE, RS_HANDLE_INFO, port), 7);
	EQ(R(HANDLE, RS_HANDLE_INFO, to), RS_RIGHT_SEND);
	EQ(R(HANDLE, RS_HANDLE_INFO, 0), -EBADF);
	EQ(R(HANDLE, RS_HANDLE_INFO, 1000), -EBADF);
	EQ(R(HANDLE, RS_HANDLE_INFO, ~0ull), -EBADF);
	EQ(R(HANDLE, RS_HANDLE_INFO, port | 1ull << 32), -EBADF);
	EQ(R(HANDLE, 0, port), -EINVAL);
	EQ(R(HANDLE, 5, port), -EINVAL);
	EQ(R(HANDLE, RS_HANDLE_CLOSE, port, 1), -EINVAL);
	EQ(R(HANDLE, RS_HANDLE_INFO, port, 0, 1), -EINVAL);
	EQ(R(HANDLE, RS_HANDLE_FLAGS, port, 1), -EINVAL);
	EQ(R(PORT, 1), -EINVAL);
	/* rights only shrink, and a badge stays */
	EQ(R(HANDLE, RS_HANDLE_COPY, to, RS_RIGHT_SEND | RS_RIGHT_RECEIVE, 0), -EACCES);
	EQ(R(HANDLE, RS_HANDLE_COPY, to, RS_RIGHT_SEND, 5), -EACCES);
	EQ(R(HANDLE, RS_HANDLE_COPY, port, 7, 5), -EACCES);
	EQ(R(HANDLE, RS_HANDLE_COPY, port, 8, 0), -EINVAL);
	EQ(receive(to, &m), -EACCES);
	h = R(HANDLE, RS_HANDLE_COPY, port, RS_RIGHT_RECEIVE, 0);
	CHECK(h > 0);
	EQ(ipc((u64)h, &m, 0), -EACCES);
	EQ(tell((u64)h, 0, 0), -EACCES);
	EQ(R(HANDLE, RS_HANDLE_COPY, h, RS_RIGHT_SEND, 0), -EACCES);
	EQ(R(HANDLE, RS_HANDLE_CLOSE, h), 0);
	EQ(R(HANDLE, RS_HANDLE_CLOSE, h), -EBADF);
	/* the lowest number again, up to the limit */
	EQ(R(PORT, 0), h);
	for (n = 0; (h = R(HANDLE, RS_HANDLE_COPY, port, 1, 0)) > 0; n++)
		;
	EQ(h, -EMFILE);
	EQ(n, RS_HANDLES_MAX - 3);
	EQ(R(PORT, 0), -EMFILE);
	for (h = 4; h <= RS_HANDLES_MAX; h++)
		EQ(R(HANDLE, RS_HANDLE_CLOSE, (u64)h), 0);
	EQ(R(HANDLE, RS_HANDLE_CLOSE, 3), 0);
	close_port();
}

static int fills(u64 arg)
{
	u32 i;

	for (i = 0; i < RS_HANDLES_MAX - 2; i++)
		if (R(PORT, 0) < 0)
			break;
	EQ(tell(to, i, RS_IPC_FOREVER), 0);
	K(pause);
	return (int)arg;
}

static void t_ports_limit(void)
{
	struct msg m;
	u64 sum = 0;
	u32 i;

	open_port();
	for (i = 0; i < 9; i++)
		spawn(fills, 0);
	for (i = 0; i < 9; i++) {
		EQ(receive(port, &m), 0);
		sum += m.w[0];
	}
	EQ(sum, RS_PORTS_MAX - 1);
	EQ(R(PORT, 0), -ENFILE);
	for (struct process *p = process_next(NULL); p; p = process_next(p))
		if (p != current_proc())
			K(kill, p->pid, SIGKILL);
	for (i = 0; i < 9; i++)
		EQ(wait_for(-1), SIGKILL);
	CHECK(R(PORT, 0) > 0);
	EQ(R(HANDLE, RS_HANDLE_CLOSE, 3), 0);
	close_port();
}

/* --- ends ------------------------------------------------------------------------------------- */

static int takes_and_ends(u64 how)
{
	struct msg m;

	EQ(R(HANDLE, RS_HANDLE_CLOSE, to), 0);
	EQ(receive(port, &m), RS_IPC_CALL);
	if (how == 1)
		EQ(R(HANDLE, RS_HANDLE_CLOSE, port), 0);
	if (how == 2)
		EQ(K(execve, P("/program"), 0, 0), 0);
	if (how)
		sleep_ms(20);
	if (how == 1)
		EQ(reply_wait(0, &m), 0);
	return 0;
}

static int is_server_of(u64 how)
{
	struct msg m = { { 1, 2, 3, 4 } };
	u64 before = now;
	long pid = spawn(takes_and_ends, how);

	/* only the child can receive; our own handle that could is closed */
	EQ(R(HANDLE, RS_HANDLE_CLOSE, port), 0);
	EQ(ipc(to, &m, RS_IPC_FOREVER), how == 1 ? 0 : -EPIPE);
	EQ(now - before, how == 1 ? 20 * MS : 0);
	if (how != 2)
		EQ(ipc(to, &m, RS_IPC_FOREVER), -EPIPE);
	EQ(wait_for(pid), 0);
	EQ(ipc(to, &m, RS_IPC_FOREVER), -EPIPE);
	EQ(tell(to, 1, RS_IPC_FOREVER), -EPIPE);
	return 0;
}

static int closes_receiver(u64 arg)
{
	(void)arg;
	sleep_ms(5);
	EQ(R(HANDLE, RS_HANDLE_CLOSE, port), 0);
	return 0;
}

static int waits_in_vain(u64 arg)
{
	struct msg m;

	spawn_thread(closes_receiver, 0);
	seen[arg] = receive(port, &m);
	sleep_ms(1);
	return 0;
}

static void t_ends(void)
{
	struct msg m;
	u32 i;

	for (i = 0; i < 3; i++) {
		open_port();
		spawn(is_server_of, i);
		close_port();
		EQ(wait_for(-1), 0);
	}
	/* who waits to be received, when nobody can receive any more */
	open_port();
	for (i = 0; i < 4; i++)
		spawn(calls_once, i);
	sleep_ms(1);
	EQ(R(HANDLE, RS_HANDLE_CLOSE, port), 0);
	for (i = 0; i < 4; i++)
		EQ(R(HANDLE, RS_HANDLE_INFO, to), RS_RIGHT_SEND);
	/* the children have the port as well: they are among those who could receive */
	for (struct process *p = process_next(NULL); p; p = process_next(p))
		if (p != current_proc() && p->pid % 2)
			K(kill, p->pid, SIGKILL);
	for (i = 0; i < 2; i++)
		EQ(wait_for(-1), SIGKILL);
	for (struct process *p = process_next(NULL); p; p = process_next(p))
		if (p != current_proc())
			K(kill, p->pid, SIGKILL);
	for (i = 0; i < 2; i++)
		EQ(wait_for(-1), SIGKILL);
	EQ(tell(to, 0, RS_IPC_FOREVER), -EPIPE);
	EQ(R(HANDLE, RS_HANDLE_CLOSE, to), 0);
	/* a thread of the same process closes it */
	open_port();
	spawn(waits_in_vain, 0);
	close_port();
	EQ(wait_for(-1), 0);
	EQ(seen[0], -EPIPE);
	/* nobody who could send */
	open_port();
	EQ(R(HANDLE, RS_HANDLE_COPY, port, RS_RIGHT_RECEIVE, 0), 3);
	close_port();
	EQ(receive(3, &m), -EPIPE);
	EQ(R(HANDLE, RS_HANDLE_CLOSE, 3), 0);
}

static void program_looks(void)
{
	EQ(R(HANDLE, RS_HANDLE_INFO, port), -EBADF);
	EQ(R(HANDLE, RS_HANDLE_INFO, to), RS_RIGHT_SEND);
}

static int execs(u64 arg)
{
	(void)arg;
	exec_program = program_looks;
	EQ(R(HANDLE, RS_HANDLE_FLAGS, port, RS_HANDLE_CLOEXEC), 0);
	EQ(R(HANDLE, RS_HANDLE_INFO, port), 7 | RS_HANDLE_CLOEXEC);
	EQ(K(execve, P("/program"), 0, 0), 0);
	exec_program();
	return 0;
}

static void t_exec(void)
{
	open_port();
	spawn(execs, 0);
	EQ(wait_for(-1), 0);
	EQ(R(HANDLE, RS_HANDLE_INFO, port), 7);
	close_port();
}

/* --- time and signals ------------------------------------------------------------------------- */

static void t_limits(void)
{
	struct msg m = { { 0 } };
	struct rs_ipc i = { .port = 0 };
	u64 before = now;

	open_port();
	EQ(ipc(to, &m, 5 * MS), -ETIMEDOUT);
	EQ(now - before, 5 * MS);
	EQ(m.badge, 0);
	EQ(tell(to, 1, RS_IPC_ABSOLUTE | (now + 3 * MS)), -ETIMEDOUT);
	EQ(now - before, 8 * MS);
	EQ(tell(to, 1, RS_IPC_ABSOLUTE | 5), -ETIMEDOUT);
	EQ(now - before, 8 * MS);
	i = (struct rs_ipc){ .port = (u32)port, .limit = 4 * MS };
	EQ(R(IPC, RS_SYS_IPC_REPLY_WAIT, P(&i)), -ETIMEDOUT);
	EQ(now - before, 12 * MS);
	i.limit = 0;
	EQ(R(IPC, RS_SYS_IPC_REPLY_WAIT, P(&i)), -EAGAIN);
	/* nobody is left in a list */
	EQ(tell(to, 1, 0), -EAGAIN);
	EQ(receive(0, &m), -ESRCH);
	close_port();
}

static int calls_with_limit(u64 slot)
{
	struct msg m = { { 1 } };

	seen[slot] = ipc(to, &m, 5 * MS);
	seen[slot + 1] = (long)m.badge;		/* rdi: taken */
	return 0;
}

/* The limit of a call holds for its answer, too; an answer that comes too late is told. */
static void t_late_answer(void)
{
	struct msg m;

	open_port();
	spawn(calls_with_limit, 0);
	EQ(receive(port, &m), RS_IPC_CALL);
	sleep_ms(6);
	EQ(reply_wait(0, &m), -ESRCH);
	EQ(wait_for(-1), 0);
	EQ(seen[0], -ETIMEDOUT);
	EQ(seen[1], 1);
	close_port();
}

static int calls_and_catches(u64 slot)
{
	struct msg m = { { 6, 7, 8, 9 } };

	catch(10);
	seen[slot] = ipc(to, &m, RS_IPC_FOREVER);
	seen[slot + 1] = seen[slot] ? (long)m.badge : (long)m.w[0];
	return 0;
}

static int receives_and_catches(u64 slot)
{
	catch(10);
	return receives_one(slot);
}

static void t_signals(void)
{
	struct msg m;
	long pid;

	open_port();
	/* before the message is taken, and after */
	pid = spawn(calls_and_catches, 0);
	sleep_ms(1);
	EQ(K(kill, (u64)pid, 10), 0);
	EQ(wait_for(pid), 0);
	EQ(seen[0], -EINTR);
	EQ(seen[1], 0);
	EQ(handled, 1);
	EQ(send_regs(RS_SYS_IPC, RS_SYS_IPC_REPLY_WAIT, (&(struct msg){ { 0 } }), 0), -EFAULT);
	pid = spawn(calls_and_catches, 0);
	EQ(receive(port, &m), RS_IPC_CALL);
	EQ(K(kill, (u64)pid, 10), 0);
	EQ(wait_for(pid), 0);
	EQ(seen[0], -EINTR);
	EQ(seen[1], 1);
	EQ(reply_wait(0, &m), -ESRCH);
	/* stopped and continued: waits on, at each of the three places */
	pid = spawn(calls_and_catches, 0);
	sleep_ms(1);
	EQ(K(kill, (u64)pid, SIGSTOP), 0);
	sleep_ms(1);
	EQ(receive(port, &m), RS_IPC_CALL);	/* taken while it is stopped */
	EQ(K(kill, (u64)pid, SIGCONT), 0);
	sleep_ms(1);
	EQ(K(kill, (u64)pid, SIGSTOP), 0);
	sleep_ms(1);
	m.w[0] = 55;
	EQ(reply_wait(0, &m), 0);		/* answered, too */
	EQ(K(kill, (u64)pid, SIGCONT), 0);
	EQ(wait_for(pid), 0);
	EQ(seen[0], 0);
	EQ(seen[1], 55);
	pid = spawn(receives_and_catches, 0);
	sleep_ms(1);
	EQ(K(kill, (u64)pid, SIGSTOP), 0);
	sleep_ms(1);
	EQ(tell(to, 1, 0), -EAGAIN);
	EQ(K(kill, (u64)pid, SIGCONT), 0);
	sleep_ms(1);
	EQ(tell(to, 44, 0), 0);
	EQ(wait_for(pid), 0);
	EQ(seen[0], 0);
	EQ(seen[1], 44);
	pid = spawn(receives_and_catches, 0);
	sleep_ms(1);
	EQ(K(kill, (u64)pid, 10), 0);
	EQ(wait_for(pid), 0);
	EQ(seen[0], -EINTR);
	/* killed, wherever it is */
	pid = spawn(calls_once, 0);
	sleep_ms(1);
	EQ(K(kill, (u64)pid, SIGKILL), 0);
	EQ(wait_for(pid), SIGKILL);
	pid = spawn(calls_once, 0);
	EQ(receive(port, &m), RS_IPC_CALL);
	EQ(K(kill, (u64)pid, SIGKILL), 0);
	EQ(wait_for(pid), SIGKILL);
	EQ(reply_wait(0, &m), -ESRCH);
	pid = spawn(receives_one, 0);
	sleep_ms(1);
	EQ(K(kill, (u64)pid, SIGKILL), 0);
	EQ(wait_for(pid), SIGKILL);
	EQ(tell(to, 1, 0), -EAGAIN);
	close_port();
}

static int thread_executes(u64 arg)
{
	(void)arg;
	sleep_ms(2);
	K(execve, P("/program"), 0, 0);
	K(exit, 3);
	return 0;
}

static int calls_beside_exec(u64 slot)
{
	spawn_thread(thread_executes, 0);
	seen[slot] = 1;
	calls_once(slot);
	seen[slot] = 2;
	return 0;
}

static void t_exec_of_another_thread(void)
{
	struct msg m;
	long pid;

	open_port();
	pid = spawn(calls_beside_exec, 0);
	EQ(receive(port, &m), RS_IPC_CALL);
	EQ(wait_for(pid), 3 << 8);
	EQ(seen[0], 1);
	EQ(reply_wait(0, &m), -ESRCH);
	close_port();
}

static int vforks(u64 slot)
{
	long pid = call(__NR_vfork, (u64[6]){ 0 }, calls_once, slot);

	return wait_for(pid);
}

static void t_vfork(void)
{
	open_port();
	spawn(serves, 1);
	spawn(vforks, 0);
	EQ(wait_for(-1), 0);
	EQ(wait_for(-1), 0);
	EQ(seen[0], 0);
	close_port();
}

/* --- what goes along -------------------------------------------------------------------------- */

static u8 pages[4][4096] __attribute__((aligned(4096)));

static int serves_items(u64 n)
{
	struct rs_ipc i = { .port = (u32)port, .limit = RS_IPC_FOREVER, .window = P(pages[1]),
			    .window_len = 4096, .flags = RS_IPC_HANDLE };

	while (n--) {
		EQ(R(IPC, RS_SYS_IPC_REPLY_WAIT, P(&i)), RS_IPC_CALL | RS_IPC_PAGES | RS_IPC_HANDLE);
		EQ(i.got, RS_IPC_CALL | RS_IPC_PAGES | RS_IPC_HANDLE);
		EQ(i.got_len, 4096);
		EQ(i.got_rights, RS_PAGE_READ);
		EQ(i.got_handle_rights, RS_RIGHT_SEND);
		EQ(pages[1][5], 42);
		EQ(R(HANDLE, RS_HANDLE_INFO, i.got_handle), RS_RIGHT_SEND);
		EQ(R(HANDLE, RS_HANDLE_CLOSE, i.got_handle), 0);
		pages[1][5]++;
		i.addr = P(pages[1]);
		i.len = 4096;
		i.rights = RS_PAGE_WRITE;
		i.word[0] = 99;
	}
	i.port = 0;
	EQ(R(IPC, RS_SYS_IPC_REPLY_WAIT, P(&i)), 0);
	return 0;
}

static void t_items(void)
{
	struct rs_ipc i = { .port = (u32)to, .limit = RS_IPC_FOREVER, .addr = P(pages[0]),
			    .len = 4096, .rights = RS_PAGE_READ, .window = P(pages[2]),
			    .window_len = 8192, .handle = 1, .handle_rights = RS_RIGHT_SEND };
	struct rs_ipc bad = i;

	open_port();
	i.port = bad.port = (u32)to;
	pages[0][5] = 42;
	spawn(serves_items, 1);
	sleep_ms(1);
	/* each of these is as if it had not been sent */
	bad.len = 8192;
	EQ(R(IPC, RS_SYS_IPC_CALL, P(&bad)), -EMSGSIZE);
	bad.len = 4096;
	bad.handle = 99;
	EQ(R(IPC, RS_SYS_IPC_CALL, P(&bad)), -EBADF);
	bad.handle = (u32)to;
	EQ(R(IPC, RS_SYS_IPC_CALL, P(&bad)), -EACCES);
	bad.handle = (u32)port;
	floor_fail_in = 0;
	EQ(R(IPC, RS_SYS_IPC_CALL, P(&bad)), -ENOMEM);
	floor_fail_in = -1;
	EQ(R(IPC, RS_SYS_IPC_CALL, P(&i)), RS_IPC_PAGES);
	EQ(i.word[0], 99);
	EQ(i.got, RS_IPC_PAGES);
	EQ(i.got_rights, RS_PAGE_WRITE);
	EQ(i.got_handle, 0);
	EQ(pages[2][5], 43);
	EQ(wait_for(-1), 0);
	/* who waits with registers only takes none, and is not told */
	spawn(serves, 1);
	sleep_ms(1);
	i = (struct rs_ipc){ .port = (u32)to, .limit = RS_IPC_FOREVER, .addr = P(pages[0]),
			     .len = 4096, .rights = RS_PAGE_READ };
	EQ(R(IPC, RS_SYS_IPC_CALL, P(&i)), -EMSGSIZE);
	i.len = 0;
	i.word[0] = 4;
	EQ(R(IPC, RS_SYS_IPC_CALL, P(&i)), 0);
	EQ(i.word[0], 5);
	EQ(wait_for(-1), 0);
	close_port();
}

static void t_bad_struct(void)
{
	static const struct {
		u32 where, size;
		u64 value;
	} bad[] = {
#define B(field, v) { offsetof(struct rs_ipc, field), sizeof(((struct rs_ipc *)0)->field), v }
		B(zero, 1), B(flags, 1), B(flags, 16), B(addr, 1), B(len, 1), B(window, 8),
		B(window_len, 4097), B(len, 513 * 4096), B(rights, 2), B(rights, 4), B(rights, 0x800),
		B(handle_rights, 8), B(window, 1ull << 63), B(addr, 1ull << 47), B(window_len, 1ull << 47),
	};
	struct rs_ipc good, m;

	open_port();
	good = (struct rs_ipc){ .port = (u32)port, .addr = P(pages[0]), .len = 4096,
				.rights = RS_PAGE_READ, .window = P(pages[1]), .window_len = 4096 };
	for (u32 i = 0; i < ARRAY_SIZE(bad); i++) {
		m = good;
		memcpy((u8 *)&m + bad[i].where, &bad[i].value, bad[i].size);
		EQ(R(IPC, RS_SYS_IPC_CALL, P(&m)), -EINVAL);
	}
	EQ(R(IPC, RS_SYS_IPC_CALL, P(&good)), -EAGAIN);
	EQ(R(IPC, RS_SYS_IPC_CALL, 0), -EFAULT);
	EQ(R(IPC, RS_SYS_PORT, P(&good)), -EINVAL);
	EQ(R(IPC, 0, P(&good)), -EINVAL);
	close_port();
}

/* --- the frame -------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	void (*fn)(void);
} tests[] = {
#define T(n) { #n, t_##n }
	T(call), T(send), T(who_answers), T(handles), T(ports_limit), T(ends), T(exec), T(limits),
	T(late_answer), T(signals), T(exec_of_another_thread), T(vfork), T(items), T(bad_struct),
};

static void all_tests(void)
{
	long objects;

	/* what the first process keeps once it has had handles, and a struct rs_ipc */
	t_handles();
	catch(10);
	t_items();
	objects = live_objects;
	for (u32 i = 0; i < ARRAY_SIZE(tests); i++) {
		tests[i].fn();
		EQ(process_count(), 1);
		EQ(live_objects, objects);
		EQ(floor_pages(), 0);
		printf("ok %u - %s\n", i + 1, tests[i].name);
	}
	printf("1..%zu\n", ARRAY_SIZE(tests));
}
