// SPDX-License-Identifier: MIT
/*
 * ipc_test.c - ports, handles, messages with pages and handles
 *
 * Servers and clients are parent and children: handles are inherited. A server ends by itself when nobody is
 * left who could send, so its parent closes what it does not need; that is part of what is tested. Pagers are in
 * pager_test.c; rules that need no second address space are in selftests/hosted/ipc_test.c as well, where time
 * and order are the test's.
 */
#include <pthread.h>
#include <sys/time.h>
#include <ringside/ipc.h>
#include "app.h"

static int port, to;		/* to receive with; to send by, badge 5 */

static void open_port(void)
{
	int p = rs_port_create(0);

	ASSERT(p > 0);
	port = rs_handle_copy(p, RS_RIGHT_RECEIVE | RS_RIGHT_GRANT, 0);
	to = rs_handle_copy(p, RS_RIGHT_SEND | RS_RIGHT_GRANT, 5);
	ASSERT(port > 0 && to > 0);
	EXPECT_EQ(rs_handle_close(p), 0);
}

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

static pid_t server(void (*fn)(void))
{
	pid_t pid = CHILD({ fn(); });

	EXPECT_EQ(rs_handle_close(port), 0);
	return pid;
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
		asm volatile("pcmpeqd %%xmm0, %%xmm0\n\tmovdqa %%xmm0, %%xmm7\n\tmovdqa %%xmm0, %%xmm15\n\t"
			     "fldpi\n\tfldz\n\tfldz"
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
		register uint64_t r10 asm("r10") = 7, r8 asm("r8") = 8, r9 asm("r9") = RS_IPC_FOREVER;
		uint64_t rdi = to, rsi = 5, rdx = 6;

		asm volatile("push	%%rbx; push %%rbp; push %%r12; push %%r13; push %%r14; push %%r15\n\t"
			     "movdqu	(%[in]), %%xmm7\n\tmovdqu 16(%[in]), %%xmm15\n\tfldl (%[x])\n\t"
			     "push	%[in]; push %[out]; push %[kept]; push %[x]; push %[y]\n\t"
			     "mov	$11, %%ebx; mov $12, %%ebp; mov $13, %%r12d; mov $14, %%r13d\n\t"
			     "mov	$15, %%r14d; mov $16, %%r15d\n\t"
			     "syscall\n\t"
			     "pop	%%rcx; fstpl (%%rcx); pop %%rcx; pop %%rcx\n\t"
			     "mov	%%rbx, (%%rcx); mov %%rbp, 8(%%rcx); mov %%r12, 16(%%rcx)\n\t"
			     "mov	%%r13, 24(%%rcx); mov %%r14, 32(%%rcx); mov %%r15, 40(%%rcx)\n\t"
			     "pop	%%rcx; movdqu %%xmm7, (%%rcx); movdqu %%xmm15, 16(%%rcx); pop %%rcx\n\t"
			     "pop	%%r15; pop %%r14; pop %%r13; pop %%r12; pop %%rbp; pop %%rbx\n\t"
			     : "=a"(ret), "+D"(rdi), "+S"(rsi), "+d"(rdx), "+r"(r10), "+r"(r8), "+r"(r9)
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

/* --- handles ---------------------------------------------------------------------------------------- */

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
	m = (struct rs_ipc){ .reply = m.reply, .handle = m.got_handle, .handle_rights = RS_RIGHT_SEND };
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

/* --- pages ------------------------------------------------------------------------------------------ */

#define WINDOW	4

static char *window;		/* of the server: WINDOW pages in the middle of 3 * WINDOW */

/* Word 0 says what is done with the page that has come; answers with what it found. */
enum { LOOK, WRITE, WRITE_DIES, MPROTECT, SEND_BACK, EXEC_WINDOW };

static void serve_pages(void)
{
	struct rs_ipc m = { .port = port, .limit = RS_IPC_FOREVER, .window_len = WINDOW * PAGE };
	char *all = private_pages(3 * WINDOW);
	long what;

	rs_handle_close(to);
	memset(all, 'a', 3 * WINDOW * PAGE);
	window = all + WINDOW * PAGE;
	m.window = (uint64_t)window;
	while ((what = rs_ipc(RS_SYS_IPC_REPLY_WAIT, &m)) >= 0) {
		EXPECT_EQ(what & ~RS_IPC_PAGES, RS_IPC_CALL);
		EXPECT_EQ(!m.got_len, !(what & RS_IPC_PAGES));
		m.word[1] = window[8];
		switch (m.word[0]) {
		case WRITE: window[8] = 'S'; break;
		case WRITE_DIES: m.word[2] = dies_by(touch_write, window); break;
		case MPROTECT:
			m.word[2] = mprotect(window, PAGE, PROT_READ | PROT_WRITE) ? errno : 0;
			break;
		case EXEC_WINDOW: m.word[2] = mprotect(window, PAGE, PROT_READ | PROT_EXEC); break;
		}
		/* nothing beside the window has changed */
		for (unsigned long i = 0; i < 3 * WINDOW * PAGE; i += 512)
			if (i / PAGE / WINDOW != 1)
				EXPECT_EQ(all[i], 'a');
		m.addr = (uint64_t)window;
		m.len = m.word[0] == SEND_BACK ? m.got_len : 0;
		m.rights = RS_PAGE_WRITE;
	}
	if (what == -EMSGSIZE)
		_exit(3);
	EXPECT_EQ(what, -EPIPE);
}

static long ask(int op, void *p, size_t n, unsigned int rights, uint64_t *found, uint64_t *second)
{
	struct rs_ipc m = { .port = to, .limit = RS_IPC_FOREVER, .word = { op }, .addr = (uint64_t)p,
			    .len = n * PAGE, .rights = rights };
	long ret = rs_ipc(RS_SYS_IPC_CALL, &m);

	if (found)
		*found = m.word[1];
	if (second)
		*second = m.word[2];
	return ret;
}

TEST(private_pages_are_copied)
{
	char *p = private_pages(8), *back = private_pages(2);
	uint64_t found, second;
	struct rs_ipc m;
	pid_t pid;

	NEEDS(RS_APP_IPC);
	open_port();
	pid = server(serve_pages);
	p[8] = 'C';
	p[PAGE] = 'D';
	EXPECT_EQ(ask(WRITE, p, 1, RS_PAGE_WRITE, &found, NULL), 0);
	EXPECT_EQ(found, 'C');
	EXPECT_EQ(p[8], 'C');
	/* what we write does not get there either */
	p[8] = 'E';
	EXPECT_EQ(ask(LOOK, NULL, 0, 0, &found, NULL), 0);
	EXPECT_EQ(found, 'S');
	/* untouched memory is zero there, several pages come in order, and the rest of the window stays */
	EXPECT_EQ(ask(LOOK, p + 4 * PAGE, 2, RS_PAGE_WRITE, &found, NULL), 0);
	EXPECT_EQ(found, 0);
	/* read only: there it is as if the receiver had closed it */
	EXPECT_EQ(ask(WRITE_DIES, p, 1, RS_PAGE_READ, &found, &second), 0);
	EXPECT_EQ(found, 'E');
	EXPECT_EQ(second, SIGSEGV);
	EXPECT_EQ(ask(WRITE_DIES, p, 1, RS_PAGE_WRITE, &found, &second), 0);
	EXPECT_EQ(second, 0);
	/* moved */
	EXPECT_EQ(ask(WRITE, p, 2, RS_PAGE_WRITE | RS_PAGES_MOVE, &found, NULL), 0);
	EXPECT_EQ(found, 'E');
	EXPECT_EQ(p[8], 0);
	EXPECT_EQ(p[PAGE], 0);
	/* and back, with the answer */
	p[8] = 'B';
	m = (struct rs_ipc){ .port = to, .limit = RS_IPC_FOREVER, .word = { SEND_BACK },
			     .addr = (uint64_t)p, .len = PAGE, .rights = RS_PAGE_WRITE,
			     .window = (uint64_t)back, .window_len = 2 * PAGE };
	EXPECT_EQ(rs_ipc(RS_SYS_IPC_CALL, &m), RS_IPC_PAGES);
	EXPECT_EQ(m.got_len, PAGE);
	EXPECT_EQ(back[8], 'B');
	back[8] = 'x';
	EXPECT_EQ(p[8], 'B');
	/* who takes no pages: the server's answer fails, it ends, and so does the call */
	m = (struct rs_ipc){ .port = to, .limit = RS_IPC_FOREVER, .word = { SEND_BACK },
			     .addr = (uint64_t)p, .len = PAGE, .rights = RS_PAGE_WRITE };
	EXPECT_EQ(rs_ipc(RS_SYS_IPC_CALL, &m), -EPIPE);
	EXITS(pid, 3);
}

TEST(shared_pages_are_shared)
{
	char *p = shared_pages(4);
	uint64_t found, second;
	pid_t pid;

	NEEDS(RS_APP_IPC);
	open_port();
	pid = server(serve_pages);
	/* not by the fork: that memory is newer */
	p = shared_pages(4);
	p[PAGE + 8] = 'C';
	EXPECT_EQ(ask(WRITE, p + PAGE, 2, RS_PAGE_WRITE, &found, NULL), 0);
	EXPECT_EQ(found, 'C');
	EXPECT_EQ(p[PAGE + 8], 'S');
	p[PAGE + 8] = 'T';
	EXPECT_EQ(ask(LOOK, NULL, 0, 0, &found, NULL), 0);
	EXPECT_EQ(found, 'T');
	EXPECT_EQ(ask(WRITE_DIES, p + PAGE, 1, RS_PAGE_READ, &found, &second), 0);
	EXPECT_EQ(second, SIGSEGV);
	EXPECT_EQ(ask(MPROTECT, p + PAGE, 1, RS_PAGE_READ, &found, &second), 0);
	EXPECT_EQ(second, EACCES);
	p[PAGE + 8] = 'U';
	EXPECT_EQ(ask(LOOK, NULL, 0, 0, &found, NULL), 0);
	EXPECT_EQ(found, 'U');
	/* private again */
	p = private_pages(1);
	p[8] = 'P';
	EXPECT_EQ(ask(WRITE, p, 1, RS_PAGE_WRITE, &found, NULL), 0);
	EXPECT_EQ(found, 'P');
	EXPECT_EQ(p[8], 'P');
	rs_handle_close(to);
	EXITS(pid, 0);
}

TEST(rights_of_pages_and_files)
{
	char *p = private_pages(4), *s = shared_pages(2), *f;
	uint64_t found, second;
	int fd, ro;
	pid_t pid;

	NEEDS(RS_APP_IPC);
	open_port();
	pid = server(serve_pages);
	memset(p, 'p', 4 * PAGE);
	SYS(mprotect(p, PAGE, PROT_READ));
	EXPECT_EQ(ask(LOOK, p, 1, RS_PAGE_WRITE, NULL, NULL), -EACCES);
	EXPECT_EQ(ask(LOOK, p, 1, RS_PAGE_READ, NULL, NULL), 0);
	SYS(mprotect(p, PAGE, PROT_NONE));
	EXPECT_EQ(ask(LOOK, p, 1, RS_PAGE_READ, NULL, NULL), -EFAULT);
	EXPECT_EQ(rs_page_protect(p + PAGE, PAGE, RS_PAGE_READ), 0);
	EXPECT_EQ(ask(LOOK, p + PAGE, 1, RS_PAGE_WRITE, NULL, NULL), -EACCES);
	EXPECT_EQ(rs_page_protect(p + PAGE, PAGE, RS_PAGE_NONE), 0);
	EXPECT_EQ(ask(LOOK, p + PAGE, 1, RS_PAGE_READ, NULL, NULL), -EFAULT);
	EXPECT_EQ(ask(LOOK, p, WINDOW + 1, RS_PAGE_READ, NULL, NULL), -EMSGSIZE);
	EXPECT_EQ(ask(LOOK, s, 1, RS_PAGE_WRITE | RS_PAGES_MOVE, NULL, NULL), -EINVAL);
	EXPECT_EQ(ask(LOOK, p + 2 * PAGE, 1, 4, NULL, NULL), -EINVAL);
	SYS(munmap(p + 3 * PAGE, PAGE));
	EXPECT_EQ(ask(LOOK, p + 2 * PAGE, 2, RS_PAGE_READ, NULL, NULL), -EFAULT);
	EXPECT_EQ(ask(LOOK, (void *)RS_PT_BASE, 1, RS_PAGE_READ, NULL, NULL), -EINVAL);
	EXPECT_EQ(ask(LOOK, (void *)0x7ffffffff000, 1, RS_PAGE_READ, NULL, NULL), -EINVAL);
	/* a file that may not be written, by its descriptor */
	fd = scratch_file("0123456789abcdef", 16);
	SYS(ftruncate(fd, PAGE));
	f = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT(f != MAP_FAILED);
	EXPECT_EQ(ask(WRITE, f, 1, RS_PAGE_WRITE, &found, NULL), 0);
	EXPECT_EQ(found, '8');
	EXPECT_EQ(f[8], 'S');
	ro = SYS(open("/proc/self/exe", O_RDONLY));
	f = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, ro, 0);
	ASSERT(f != MAP_FAILED);
	EXPECT_EQ(ask(LOOK, f, 1, RS_PAGE_WRITE, NULL, NULL), -EACCES);
	EXPECT_EQ(ask(MPROTECT, f, 1, RS_PAGE_READ, &found, &second), 0);
	EXPECT_EQ(found, f[8]);
	EXPECT_EQ(second, EACCES);
	/* a private mapping's pages are a copy, which is not the file's */
	f = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	EXPECT_EQ(ask(WRITE, f, 1, RS_PAGE_WRITE, &found, NULL), 0);
	EXPECT_EQ(found, 'S');
	EXPECT_EQ(f[9], '9');
	/* code that is not writable stays so, and is no code there */
	EXPECT_EQ(ask(LOOK, (void *)((uintptr_t)serve & -PAGE), 1, RS_PAGE_WRITE, NULL, NULL), -EACCES);
	EXPECT_EQ(ask(EXEC_WINDOW, p + 2 * PAGE, 1, RS_PAGE_WRITE, NULL, NULL), 0);
	EXPECT_EQ(ask(WRITE_DIES, p + 2 * PAGE, 1, RS_PAGE_WRITE, NULL, &second), 0);
	EXPECT_EQ(second, 0);
	rs_handle_close(to);
	EXITS(pid, 0);
}

/* --- time, signals, ends ---------------------------------------------------------------------------- */

static void on_alarm(int sig)
{
	(void)sig;
}

/* A call that nobody takes, and one that nobody answers; both are told apart. */
TEST(limits_and_signals)
{
	struct sigaction sa = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
	struct itimerval soon = { .it_value.tv_usec = 20000 };
	struct timespec t;
	uint64_t w[4] = { 7 };
	pid_t pid;

	NEEDS(RS_APP_IPC);
	open_port();
	SYS(sigaction(SIGALRM, &sa, NULL));
	EXPECT_EQ(rs_ipc_call(to, w, 1000000), -ETIMEDOUT);
	EXPECT_EQ(w[0], 0);
	SYS(clock_gettime(CLOCK_MONOTONIC, &t));
	EXPECT_EQ(rs_ipc_call(to, w, RS_IPC_ABSOLUTE | (t.tv_sec * 1000000000ul + t.tv_nsec + 1000000)), -ETIMEDOUT);
	SYS(setitimer(ITIMER_REAL, &soon, NULL));
	EXPECT_EQ(rs_ipc_call(to, w, RS_IPC_FOREVER), -EINTR);
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
	do {
		SYS(setitimer(ITIMER_REAL, &soon, NULL));
		EXPECT_EQ(rs_ipc_call(to, w, RS_IPC_FOREVER), -EINTR);
	} while (!w[0]);
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

/* --- many --------------------------------------------------------------------------------------------- */

#define SERVERS	10
#define CLIENTS	90

static unsigned int next(unsigned int *seed)
{
	return (*seed = *seed * 1103515245 + 12345) >> 16;
}

/* Serves one port; may end without a word at any moment, or forget whom it owes an answer. */
static void mortal_server(int at, unsigned int seed)
{
	char *p = private_pages(2);
	struct rs_ipc m = { .port = at, .limit = RS_IPC_FOREVER, .window = (uint64_t)p, .window_len = PAGE };

	for (;;) {
		long what = rs_ipc(RS_SYS_IPC_REPLY_WAIT, &m);

		if (what < 0) {
			EXPECT_EQ(what, -EPIPE);
			return;
		}
		if (next(&seed) % 400 == 0)
			_exit(42);
		m.word[1] = m.word[0] * 3 + (what & RS_IPC_PAGES ? *(uint64_t *)p : 0);
		if (next(&seed) % 500 == 0)
			m.reply = 0;
	}
}

static void mortal_client(const int *server_of, unsigned int seed)
{
	char *p = private_pages(2);
	int dead = 0;

	for (unsigned int i = 0; i < 120 && dead < 50; i++) {
		struct rs_ipc m = { .port = server_of[next(&seed) % SERVERS], .word = { i },
				    .limit = next(&seed) % 8 ? RS_IPC_FOREVER : 50000000 };
		long ret;

		if (next(&seed) % 2) {
			*(uint64_t *)p = i;
			m.addr = (uint64_t)p;
			m.len = PAGE;
			m.rights = RS_PAGE_WRITE;
		}
		if (next(&seed) % 300 == 0)
			_exit(42);
		/* forgotten by its server: there is a limit then, or the server's end */
		if (m.limit == RS_IPC_FOREVER)
			m.limit = 3000000000;
		ret = rs_ipc(RS_SYS_IPC_CALL, &m);
		dead += ret == -EPIPE;
		if (!ret)
			ASSERT_EQ(m.word[1], i * 3 + (m.word[0] == i && *(uint64_t *)p == i ? i : 0));
		else
			ASSERT(ret == -EPIPE || ret == -ETIMEDOUT);
		*(uint64_t *)p = 0;
	}
}

/* Everybody ends by himself, without being told: what they wait for ends first. */
TEST_FOR(many_processes_with_random_deaths, 120)
{
	int receive_at[SERVERS], send_to[SERVERS], ends[3] = { 0 };
	pid_t pid[SERVERS + CLIENTS];
	unsigned int seed = 1;

	NEEDS(RS_APP_IPC);
	for (int i = 0; i < SERVERS; i++) {
		open_port();
		receive_at[i] = port;
		send_to[i] = to;
	}
	for (int i = 0; i < SERVERS; i++)
		pid[i] = CHILD({
			for (int k = 0; k < SERVERS; k++) {
				rs_handle_close(send_to[k]);
				if (k != i)
					rs_handle_close(receive_at[k]);
			}
			mortal_server(receive_at[i], i * 31 + 7);
		});
	for (int i = 0; i < SERVERS; i++)
		rs_handle_close(receive_at[i]);
	for (int i = 0; i < CLIENTS; i++)
		pid[SERVERS + i] = CHILD({ mortal_client(send_to, i * 37 + 11); });
	for (int i = 0; i < SERVERS; i++)
		rs_handle_close(send_to[i]);
	for (int i = 0; i < 20; i++) {
		usleep(next(&seed) % 3000);
		kill(pid[next(&seed) % (SERVERS + CLIENTS)], SIGKILL);
	}
	for (int i = 0; i < SERVERS + CLIENTS; i++) {
		int status = status_of(pid[i]);

		if (status == 0)
			ends[0]++;
		else if (status == 42 << 8)
			ends[1]++;
		else if (status == SIGKILL)
			ends[2]++;
		else
			FAIL("process %d: wait status %#x", i, status);
	}
	test_note("%d ended, %d left, %d were killed", ends[0], ends[1], ends[2]);
	EXPECT(ends[0] > 0 && ends[1] + ends[2] > 0);
}

/* Random arguments to every call, by threads of processes that share handles and memory; they may die of it. */
#define ROUNDS	8
static int fuzz_ports[4];

static void *fuzz(void *arg)
{
	char *p = private_pages(8), *s = shared_pages(8);
	unsigned int seed = (uintptr_t)arg;
	const uint64_t value[] = {
		0, 1, 2, 3, 4, 5, 7, 8, PAGE, 2 * PAGE, -1ul, -PAGE, 1ul << 47, (1ul << 47) - PAGE, 1ul << 63, 513 * PAGE,
		(uint64_t)p, (uint64_t)s, (uint64_t)p + 3 * PAGE, (uint64_t)s + 3 * PAGE, (uint64_t)p + 8, RS_PT_BASE, 1 << 16, 20000,
	};
	const int n = sizeof(value) / sizeof(value[0]);
#define ANY	value[next(&seed) % n]
#define FEW	(next(&seed) % 16)

	for (unsigned int i = fuzz_calls() / (ROUNDS * 4 * 3); i; i--) {
		struct rs_ipc *m = (struct rs_ipc *)(next(&seed) % 16 ? p : (char *)ANY);
		struct rs_from from = { .reply = next(&seed) % 2 ? ANY : 0 };
		uint64_t w[4] = { ANY, ANY, ANY, ANY };

		if (m == (void *)p)
			*m = (struct rs_ipc){
				.word = { ANY }, .limit = next(&seed) % 20000, .reply = next(&seed) % 2 ? from.reply : 0,
				.addr = ANY, .len = next(&seed) % 4 ? FEW % 4 * PAGE : ANY, .window = ANY,
				.window_len = FEW % 4 * PAGE, .port = FEW, .flags = next(&seed) % 2 ? RS_IPC_HANDLE : FEW,
				.rights = FEW % 4, .handle = FEW, .handle_rights = FEW % 8, .zero = next(&seed) % 64 == 0,
			};
		switch (next(&seed) % 12) {
		case 0: rs_app_call(RS_SYS_PORT, FEW ? 0 : ANY, 0, 0, 0); break;
		case 1:
		case 2: rs_app_call(RS_SYS_HANDLE, FEW % 6, FEW, FEW, FEW % 3); break;
		case 3: rs_app_call(RS_SYS_HANDLE, ANY, ANY, ANY, ANY); break;
		case 4: rs_app_call(RS_SYS_PAGER, ANY, FEW * PAGE, FEW, 20000); break;
		case 5: rs_ipc_call(FEW, w, next(&seed) % 20000); break;
		case 6: rs_ipc_send(FEW, w, next(&seed) % 20000); break;
		case 7: rs_ipc_reply(next(&seed) % 2 ? from.reply : ANY, w); break;
		case 8: rs_app_call(RS_SYS_IPC, ANY, ANY, 0, 0); break;
		default:
			rs_app_call(RS_SYS_IPC, RS_SYS_IPC_CALL + next(&seed) % 3, (long)m, 0, 0);
		}
		if (next(&seed) % 16 == 0)
			s[next(&seed) % (8 * PAGE)]++;
	}
	return NULL;
}

TEST_FOR(random_ipc_calls, 200)
{
	NEEDS(RS_APP_IPC);
	for (unsigned int round = 0; round < ROUNDS; round++) {
		pid_t pid[4];

		for (int i = 0; i < 4; i++)
			fuzz_ports[i] = rs_port_create(0);
		for (unsigned int i = 0; i < 4; i++)
			pid[i] = CHILD({
				pthread_t t[2];

				/* a fault in what has become somebody else's window is a fair end */
				for (unsigned int k = 0; k < 2; k++)
					pthread_create(&t[k], NULL, fuzz, (void *)(uintptr_t)(round * 100 + i * 10 + k + 1));
				fuzz((void *)(uintptr_t)(round * 100 + i * 10 + 9));
				_exit(0);
			});
		for (int i = 0; i < 4; i++) {
			int status = status_of(pid[i]);

			if (status && !WIFSIGNALED(status))
				FAIL("round %u: wait status %#x", round, status);
		}
		for (int i = 0; i < 4; i++)
			rs_handle_close(fuzz_ports[i]);
	}
}
