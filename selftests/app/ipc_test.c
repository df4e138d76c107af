// SPDX-License-Identifier: MIT
/*
 * ipc_test.c - ports, handles, calls and answers, time and signals
 *
 * Pages are in ipc_pages_test.c, pagers in pager_test.c, many processes in ipc_many_test.c. Rules
 * that need no second address space are in selftests/hosted/ipc_test.c as well, where time and
 * order are the test's.
 */
#include <pthread.h>
#include <sys/time.h>
#include "ipc.h"

/* Answers calls until nobody can call any more: each word and 1. */
static void serve(void)
{
	struct rs_from from = { 0 };
	uint64_t w[4];
	long what;

	EXPECT_EQ(rs_handle_close(to), 0);
	while ((what = rs_ipc_reply_wait(port, w, &from)) == RS_IPC_CALL) {
		EXPECT_EQ(from.badge, 5);
		for (int i = 0; i < 4; i++)
			w[i]++;
	}
	EXPECT_EQ(what, -EPIPE);
}

TEST(outside_ipc_is_enosys)
{
	struct rs_from from = { 0 };
	uint64_t w[4] = { 0 };
	struct rs_ipc m = { 0 };

	if (rs_app_features())
		SKIP("this is a ring");
	EXPECT_EQ(rs_port_create(0), -ENOSYS);
	EXPECT_EQ(rs_ipc_call(1, w, RS_IPC_FOREVER), -ENOSYS);
	EXPECT_EQ(rs_ipc_send(1, w, 0), -ENOSYS);
	EXPECT_EQ(rs_ipc_reply_wait(1, w, &from), -ENOSYS);
	EXPECT_EQ(rs_ipc(RS_SYS_IPC_CALL, &m), -ENOSYS);
	EXPECT_EQ(rs_handle_copy(1, 1, 0), -ENOSYS);
	EXPECT_EQ(rs_pager(&m, 4096, 1, 0), -ENOSYS);
	EXPECT_ERRNO(syscall(RS_SYS_IPC_CALL, 1, 2, 3, 4, 5, 6), ENOSYS);
}

TEST(calls_and_answers)
{
	pid_t pid;

	NEEDS(RS_APP_IPC);
	open_port();
	pid = server(serve);
	for (uint64_t i = 0; i < 2000; i++) {
		uint64_t w[4] = { i, -i, i << 40, ~0ul };

		ASSERT_EQ(rs_ipc_call(to, w, RS_IPC_FOREVER), 0);
		ASSERT(w[0] == i + 1 && w[1] == 1 - i && w[2] == (i << 40) + 1 && w[3] == 0);
	}
	EXPECT_EQ(rs_handle_close(to), 0);
	EXITS(pid, 0);
}

/* Registers that carry no message are the caller's over a switch to the server and back. */
static void serve_with_other_registers(void)
{
	struct rs_from from = { 0 };
	uint64_t w[4];

	rs_handle_close(to);
	while (rs_ipc_reply_wait(port, w, &from) == RS_IPC_CALL) {
		asm volatile("pcmpeqd %%xmm0, %%xmm0\n\tmovdqa %%xmm0, %%xmm7\n\t"
			     "movdqa %%xmm0, %%xmm15\n\tfldpi\n\tfldz\n\tfldz"
			     : : : "xmm0", "xmm7", "xmm15");
		asm volatile("fninit");
	}
}

TEST(other_registers_are_kept)
{
	uint64_t in[4] = { 0x1122334455667788, 2, 3, 4 }, out[4], kept[6];
	double x = 1.5, y = 0;
	pid_t pid;
	long ret;

	NEEDS(RS_APP_IPC);
	open_port();
	pid = server(serve_with_other_registers);
	for (int i = 0; i < 100; i++) {
		register uint64_t r10 asm("r10") = 7, r8 asm("r8") = 8;
		register uint64_t r9 asm("r9") = RS_IPC_FOREVER;
		uint64_t rdi = to, rsi = 5, rdx = 6;

		asm volatile("push %%rbx; push %%rbp; push %%r12; push %%r13\n\t"
			     "push %%r14; push %%r15\n\t"
			     "movdqu (%[in]), %%xmm7\n\tmovdqu 16(%[in]), %%xmm15\n\t"
			     "fldl (%[x])\n\t"
			     "push	%[in]; push %[out]; push %[kept]; push %[x]; push %[y]\n\t"
			     "mov $11, %%ebx; mov $12, %%ebp; mov $13, %%r12d\n\t"
			     "mov $14, %%r13d\n\t"
			     "mov	$15, %%r14d; mov $16, %%r15d\n\t"
			     "syscall\n\t"
			     "pop	%%rcx; fstpl (%%rcx); pop %%rcx; pop %%rcx\n\t"
			     "mov %%rbx, (%%rcx); mov %%rbp, 8(%%rcx)\n\t"
			     "mov %%r12, 16(%%rcx)\n\t"
			     "mov %%r13, 24(%%rcx); mov %%r14, 32(%%rcx)\n\t"
			     "mov %%r15, 40(%%rcx)\n\t"
			     "pop %%rcx; movdqu %%xmm7, (%%rcx)\n\t"
			     "movdqu %%xmm15, 16(%%rcx); pop %%rcx\n\t"
			     "pop %%r15; pop %%r14; pop %%r13; pop %%r12\n\t"
			     "pop %%rbp; pop %%rbx\n\t"
			     : "=a"(ret), "+D"(rdi), "+S"(rsi), "+d"(rdx), "+r"(r10),
			       "+r"(r8), "+r"(r9)
			     : "0"(RS_SYS_IPC_CALL), [in] "r"(in), [out] "r"(out), [kept] "r"(kept),
			       [x] "r"(&x), [y] "r"(&y)
			     : "rcx", "r11", "memory", "xmm7", "xmm15");
		ASSERT_EQ(ret, 0);
		ASSERT(rsi == 5 && rdx == 6 && r10 == 7 && r8 == 8);
		ASSERT(!memcmp(in, out, sizeof(in)));
		ASSERT(y == 1.5);
		for (int k = 0; k < 6; k++)
			ASSERT_EQ(kept[k], 11 + k);
	}
	rs_handle_close(to);
	EXITS(pid, 0);
}

TEST(a_message_is_tried)
{
	uint64_t w[4] = { 9 };
	pid_t pid;

	NEEDS(RS_APP_IPC);
	open_port();
	EXPECT_EQ(rs_ipc_send(to, w, 0), -EAGAIN);
	pid = CHILD({
		struct rs_from from;

		rs_handle_close(to);
		EXPECT_EQ(rs_ipc_receive(port, w, &from), 0);
		EXPECT_EQ(w[0], 9);
		EXPECT_EQ(from.badge, 5);
		EXPECT_EQ(from.reply, 0);
		EXPECT_EQ(rs_ipc_receive(port, w, &from), -EPIPE);
	});
	EXPECT(eventually(rs_ipc_send(to, w, 0) == 0));
	rs_handle_close(to);
	EXITS(pid, 0);
	EXPECT_EQ(rs_ipc_send(to, w, 0), -EBADF);
}

/* --- handles --------------------------------------------------------------------------------- */

/* Takes one handle; nothing works before it has come, and it does no more than it may. */
static void wants_a_handle(void)
{
	struct rs_ipc m = { .port = port, .limit = RS_IPC_FOREVER, .flags = RS_IPC_HANDLE };
	uint64_t w[4] = { 1, 2, 3, 4 };
	struct rs_from from;

	EXPECT_EQ(rs_handle_close(to), 0);
	for (int i = -2; i < 3000; i++) {
		if (i == port)
			continue;
		EXPECT_EQ(rs_ipc_call(i, w, RS_IPC_FOREVER), -EBADF);
		EXPECT_EQ(rs_ipc_receive(i ? i : 5000, w, &from), -EBADF);
		EXPECT_EQ(rs_handle_copy(i, 0, 0), -EBADF);
	}
	EXPECT_EQ(rs_ipc(RS_SYS_IPC_REPLY_WAIT, &m), RS_IPC_CALL | RS_IPC_HANDLE);
	EXPECT_EQ(m.got_handle_rights, RS_RIGHT_SEND);
	EXPECT_EQ(rs_handle_info(m.got_handle), RS_RIGHT_SEND);
	EXPECT_EQ(rs_ipc_receive(m.got_handle, w, &from), -EACCES);
	EXPECT_EQ(rs_handle_copy(m.got_handle, RS_RIGHT_RECEIVE, 0), -EACCES);
	EXPECT_EQ(rs_ipc_call(m.got_handle, w, RS_IPC_FOREVER), 0);
	EXPECT_EQ(w[3], 5);
	/* it may not be handed on */
	m = (struct rs_ipc){ .reply = m.reply, .handle = m.got_handle,
			     .handle_rights = RS_RIGHT_SEND };
	EXPECT_EQ(rs_ipc(RS_SYS_IPC_REPLY_WAIT, &m), -EACCES);
	m.handle = 0;
	EXPECT_EQ(rs_ipc(RS_SYS_IPC_REPLY_WAIT, &m), 0);
	EXPECT_EQ(rs_ipc(RS_SYS_IPC_REPLY_WAIT, &m), -ESRCH);
}

TEST(handles_come_with_messages)
{
	int first_port, first_to;
	struct rs_ipc m;
	pid_t a, b;

	NEEDS(RS_APP_IPC);
	open_port();
	first_port = port;
	first_to = to;
	/* who wants a handle is made before there is one */
	a = server(wants_a_handle);
	first_port = to;
	open_port();
	b = CHILD({ rs_handle_close(first_port); serve(); });
	rs_handle_close(port);
	m = (struct rs_ipc){ .port = first_to, .limit = RS_IPC_FOREVER, .handle = to,
			     .handle_rights = RS_RIGHT_SEND };
	m.handle_rights |= RS_RIGHT_RECEIVE;
	EXPECT_EQ(rs_ipc(RS_SYS_IPC_CALL, &m), -EACCES);
	m.handle_rights = RS_RIGHT_SEND;
	EXPECT_EQ(rs_ipc(RS_SYS_IPC_CALL, &m), 0);
	EXPECT_EQ(m.got_handle, 0);
	EXPECT_EQ(rs_handle_close(to), 0);
	EXITS(a, 0);
	EXITS(b, 0);
}

TEST(exec_keeps_handles)
{
	pid_t pid;
	char n[16], *const argv[] = { "sh", "-c", "exit 0", NULL };

	NEEDS(RS_APP_IPC);
	open_port();
	EXPECT_EQ(rs_handle_flags(to, RS_HANDLE_CLOEXEC), 0);
	EXPECT_EQ(rs_handle_info(to), RS_RIGHT_SEND | RS_RIGHT_GRANT | RS_HANDLE_CLOEXEC);
	snprintf(n, sizeof(n), "%d", port);
	/* the only one who could send executes: its handle is gone, and the receiver hears of it */
	pid = CHILD({
		rs_handle_close(port);
		execv("/bin/busybox", argv);
		execv("/usr/bin/busybox", argv);
	});
	rs_handle_close(to);
	EXPECT_EQ(rs_ipc_receive(port, (uint64_t[4]){ 0 }, &(struct rs_from){ 0 }), -EPIPE);
	status_of(pid);
}

/* --- time, signals, ends --------------------------------------------------------------------- */

static void on_alarm(int sig)
{
	(void)sig;
}

/* A call that nobody takes, and one that nobody answers; both are told apart. */
TEST(limits_and_signals)
{
	struct sigaction sa = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
	/* again and again: one that comes too early does no harm */
	const struct itimerval often = { { 0, 20000 }, { 0, 20000 } }, off = { 0 };
	struct timespec t;
	uint64_t w[4] = { 7 };
	pid_t pid;

	NEEDS(RS_APP_IPC);
	open_port();
	SYS(sigaction(SIGALRM, &sa, NULL));
	EXPECT_EQ(rs_ipc_call(to, w, 1000000), -ETIMEDOUT);
	EXPECT_EQ(w[0], 0);
	SYS(clock_gettime(CLOCK_MONOTONIC, &t));
	EXPECT_EQ(rs_ipc_call(to, w, RS_IPC_ABSOLUTE |
			      (t.tv_sec * 1000000000ul + t.tv_nsec + 1000000)), -ETIMEDOUT);
	SYS(setitimer(ITIMER_REAL, &often, NULL));
	EXPECT_EQ(rs_ipc_call(to, w, RS_IPC_FOREVER), -EINTR);
	SYS(setitimer(ITIMER_REAL, &off, NULL));
	EXPECT_EQ(w[0], 0);
	pid = CHILD({
		struct rs_from from[3];

		rs_handle_close(to);
		for (int i = 0; i < 3; i++)
			EXPECT_EQ(rs_ipc_receive(port, w, &from[i]), RS_IPC_CALL);
		EXPECT_EQ(rs_ipc_reply(from[0].reply, w), -ESRCH);
		EXPECT_EQ(rs_ipc_reply(from[1].reply, w), -ESRCH);
		EXPECT_EQ(rs_ipc_reply(from[2].reply, w), 0);
	});
	rs_handle_close(port);
	/* until it is taken in time */
	do
		EXPECT_EQ(rs_ipc_call(to, w, 20000000), -ETIMEDOUT);
	while (!w[0]);
	EXPECT_EQ(w[0], 1);
	SYS(setitimer(ITIMER_REAL, &often, NULL));
	do
		EXPECT_EQ(rs_ipc_call(to, w, RS_IPC_FOREVER), -EINTR);
	while (!w[0]);
	SYS(setitimer(ITIMER_REAL, &off, NULL));
	EXPECT_EQ(w[0], 1);
	EXPECT_EQ(rs_ipc_call(to, w, RS_IPC_FOREVER), 0);
	EXITS(pid, 0);
	EXPECT_EQ(rs_ipc_call(to, w, RS_IPC_FOREVER), -EPIPE);
}

TEST(stopped_and_continued)
{
	uint64_t w[4] = { 1 };
	struct rs_from from;
	int status;
	pid_t pid;

	NEEDS(RS_APP_IPC);
	open_port();
	pid = CHILD({
		rs_handle_close(port);
		EXPECT_EQ(rs_ipc_call(to, w, RS_IPC_FOREVER), 0);
		EXPECT_EQ(w[0], 3);
	});
	EXPECT_EQ(rs_ipc_receive(port, w, &from), RS_IPC_CALL);
	SYS(kill(pid, SIGSTOP));
	EXPECT_EQ(SYS(waitpid(pid, &status, WUNTRACED)), pid);
	w[0] = 3;
	EXPECT_EQ(rs_ipc_reply(from.reply, w), 0);
	SYS(kill(pid, SIGCONT));
	EXITS(pid, 0);
}

static void *one_of_many_servers(void *arg)
{
	struct rs_from from = { 0 };
	uint64_t w[4];

	while (rs_ipc_reply_wait(port, w, &from) == RS_IPC_CALL)
		for (int i = 0; i < 4; i++)
			w[i] += (uint64_t)arg;
	return NULL;
}

static void serve_by_threads(void)
{
	pthread_t t[4];

	rs_handle_close(to);
	for (uint64_t i = 0; i < 4; i++)
		EXPECT_EQ(pthread_create(&t[i], NULL, one_of_many_servers, (void *)(i + 1)), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
}

TEST(a_server_of_several_threads)
{
	pid_t pid, client[6];

	NEEDS(RS_APP_IPC);
	open_port();
	pid = server(serve_by_threads);
	for (int i = 0; i < 6; i++)
		client[i] = CHILD({
			for (uint64_t n = 0; n < 300; n++) {
				uint64_t w[4] = { n, n * 2, n * 3, n * 4 };

				ASSERT_EQ(rs_ipc_call(to, w, RS_IPC_FOREVER), 0);
				ASSERT(w[0] - n >= 1 && w[0] - n <= 4 && w[3] - 4 * n == w[0] - n);
			}
		});
	rs_handle_close(to);
	for (int i = 0; i < 6; i++)
		EXITS(client[i], 0);
	EXITS(pid, 0);
}
