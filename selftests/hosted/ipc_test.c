// SPDX-License-Identifier: MIT
/*
 * ipc_test.c - ports, handles and messages, with the real scheduler
 *
 * Programs are C functions and all processes have the same memory, as in process_test.c; time stands still
 * but when everybody sleeps, and a sleep that nothing could end is a failure. First the rules one by one, then
 * memory that is not there, then many processes that call each other, answer late or never, are
 * stopped, interrupted and killed, and exit: every call must end, with the answer to this very call or with an
 * error that fits, and nothing may be left.
 *
 * usage: ipc_test [SEED]
 */
#include <asm/unistd.h>
#include <linux/sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "floor.h"
#include "../../userland/guest/lib/string.h"
#include "../../userland/guest/mm/kmalloc.h"
#include "../../userland/guest/mm/uaccess.h"
#include "../../userland/guest/proc/exec.h"
#include "../../userland/guest/proc/proc.h"
#include "../../userland/guest/syscall/signal.h"
#include "../../userland/guest/syscall/syscall.h"

void _exit(int status) __noreturn;

#define P(p)	((u64)(p))
#define MS	1000000ull
#define SEC	1000000000ull
#define CHECK(c)                                                                                \
	do {                                                                                    \
		if (!(c)) {                                                                     \
			printf("not ok - seed %lu, %s:%d: %s\n", seed0, __func__, __LINE__, #c); \
			fflush(stdout);                                                         \
			_exit(1);                                                               \
		}                                                                               \
	} while (0)
#define EQ(a, b)                                                                                \
	do {                                                                                    \
		long _a = (long)(a), _b = (long)(b);                                            \
		if (_a != _b) {                                                                 \
			printf("not ok - seed %lu, %s:%d: %s is %ld, not %ld\n", seed0, __func__, \
			       __LINE__, #a, _a, _b);                                           \
			fflush(stdout);                                                         \
			_exit(1);                                                               \
		}                                                                               \
	} while (0)

static u64 seed, seed0;

static u64 rnd(void)
{
	u64 z = seed += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static u64 below(u64 n)
{
	return rnd() % n;
}

/* --- ring 3 ----------------------------------------------------------------------------------- */

#define AFTER_SYSCALL	0x401002ull

struct user {
	u64 rsp;
	u8 stack[16384] __attribute__((aligned(64)));
};

typedef int (*program)(u64 arg);

static struct user **user_slot(struct thread *t)
{
	return (struct user **)((char *)t->kstack + KSTACK_FREE);
}

static void maybe_work(struct thread *t)
{
	if (t->work || floor_shared.pending)
		rs_return_to_user(t->frame);
}

/* A call with all its registers, in @r, which has those it comes back with; handlers run on the way. */
static long call_regs(struct rs_frame *r)
{
	struct thread *t = current();
	struct user *u = *user_slot(t);

	r->vector = RS_VECTOR_SYSCALL;
	r->error = r->rax;
	r->rip = r->rcx = AFTER_SYSCALL;
	r->rsp = u->rsp;
	r->cs = USER_CS;
	r->ss = USER_SS;
	r->rflags = 0x202;
	for (;;) {
		*t->frame = *r;
		rs_syscall(t->frame);
		maybe_work(t);
		*r = *t->frame;
		while (r->rip != AFTER_SYSCALL && r->rip != AFTER_SYSCALL - 2) {
			u64 rsp = u->rsp;

			u->rsp = (r->rsp & ~15ull) - 512;
			((void (*)(u64))r->rip)(r->rdi);
			u->rsp = rsp;
			r->rsp += 8;
			r->vector = RS_VECTOR_SYSCALL;
			r->error = r->rax = __NR_rt_sigreturn;
			*t->frame = *r;
			rs_syscall(t->frame);
			maybe_work(t);
			*r = *t->frame;
		}
		if (r->rip == AFTER_SYSCALL)
			return (long)r->rax;
		r->rip = AFTER_SYSCALL;		/* again */
		r->vector = RS_VECTOR_SYSCALL;
		r->error = r->rax;
	}
}

static long call(u64 nr, const u64 *a, program fn, u64 arg)
{
	struct rs_frame r = {
		.rax = nr, .rdi = a[0], .rsi = a[1], .rdx = a[2], .r10 = a[3], .r8 = a[4],
		.r9 = a[5], .rbx = P(fn), .rbp = arg,
	};

	return call_regs(&r);
}

#define K(name, ...) call(__NR_##name, (u64[6]){ __VA_ARGS__ }, NULL, 0)
#define R(name, ...) call(RS_SYS_##name, (u64[6]){ __VA_ARGS__ }, NULL, 0)

static long spawn(program fn, u64 arg)
{
	long pid = call(__NR_clone, (u64[6]){ SIGCHLD }, fn, arg);

	CHECK(pid > 0);
	return pid;
}

static long spawn_thread(program fn, u64 arg)
{
	return call(__NR_clone, (u64[6]){ CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND |
					  CLONE_THREAD | CLONE_SYSVSEM }, fn, arg);
}

static int wait_for(s64 pid)
{
	int status = -1;

	CHECK(K(wait4, (u64)pid, P(&status), 0, 0) > 0);
	return status;
}

static void sleep_ms(u64 ms)
{
	u64 ts[2] = { ms / 1000, ms % 1000 * MS };

	K(nanosleep, P(ts), 0);
}

struct msg {
	u64 w[4], badge, reply;
};

static long send_regs(u64 nr, u64 handle, struct msg *m, u64 last)
{
	struct rs_frame r = { .rax = nr, .rdi = handle, .rsi = m->w[0], .rdx = m->w[1],
			      .r10 = m->w[2], .r8 = m->w[3], .r9 = last };
	long ret = call_regs(&r);

	*m = (struct msg){ { r.rsi, r.rdx, r.r10, r.r8 }, r.rdi, r.r9 };
	return ret;
}

static long ipc(u64 handle, struct msg *m, u64 limit)
{
	return send_regs(RS_SYS_IPC_CALL, handle, m, limit);
}

static long reply_wait(u64 handle, struct msg *m)
{
	return send_regs(RS_SYS_IPC_REPLY_WAIT, handle, m, m->reply);
}

static long receive(u64 handle, struct msg *m)
{
	m->reply = 0;
	return reply_wait(handle, m);
}

static long tell(u64 handle, u64 word, u64 limit)
{
	struct msg m = { { word } };

	return send_regs(RS_SYS_IPC_SEND, handle, &m, limit);
}

/* --- the host --------------------------------------------------------------------------------- */

static u64 now = 1000 * SEC;
static struct rs_vcpu_shared slots[1];

static long host(u64 nr, const u64 a[6], long *ret)
{
	*ret = 0;
	switch (nr) {
	case __NR_clock_gettime:
		((u64 *)a[1])[0] = now / SEC;
		((u64 *)a[1])[1] = now % SEC;
		return 1;
	case RS_CALL_TIMER: return 1;
	case RS_CALL_IDLE:
		if (floor_shared.pending)
			return 1;
		if (a[0] == NO_DEADLINE)
			rs_panic("seed %lu: all sleep, and nothing will ever wake them", seed0);
		now += a[0];
		*ret = -ETIME;
		return 1;
	}
	return 0;
}

static void (*exec_program)(void);

void exec_args_init(struct exec_args *a)
{
	memset(a, 0, sizeof(*a));
}

void exec_args_free(struct exec_args *a)
{
	(void)a;
}

long exec_args_copyin(struct exec_args *a, u64 argv, u64 envp)
{
	(void)a, (void)argv, (void)envp;
	return 0;
}

/* The program is called by whoever executes it: only what it still has is of interest. */
long proc_exec(struct process *p, int dirfd, const char *path, struct exec_args *args,
	       struct rs_frame *f)
{
	long err = process_single_thread();

	(void)dirfd, (void)path, (void)args, (void)f;
	if (err)
		return err;
	syscall_exec_leaves(current());
	syscall_exec_done(p);
	return 0;
}

/* --- the rules -------------------------------------------------------------------------------- */

static u64 port, to;		/* all rights; to send only */
static long seen[16];
static u32 handled;

static void handler(u64 sig)
{
	(void)sig;
	handled++;
}

static void catch(int sig)
{
	u64 a[4] = { P(handler), SA_RESTORER | SA_RESTART, 0x402000, 0 };

	EQ(K(rt_sigaction, (u64)sig, P(a), 0, 8), 0);
}

static void open_port(void)
{
	port = (u64)R(PORT, 0);
	CHECK((long)port > 0);
	to = (u64)R(HANDLE, RS_HANDLE_COPY, port, RS_RIGHT_SEND, 77);
	CHECK((long)to > 0);
	memset(seen, 0, sizeof(seen));
	handled = 0;
}

static void close_port(void)
{
	EQ(R(HANDLE, RS_HANDLE_CLOSE, to), 0);
	EQ(R(HANDLE, RS_HANDLE_CLOSE, port), 0);
}

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

/* --- memory that is not there ----------------------------------------------------------------- */

static long everything(void)
{
	struct rs_ipc i = { .limit = 0 };
	long p = R(PORT, 0), h = -ENOMEM, pid = -ENOMEM, ret = p, k;
	int status;

	if (p > 0) {
		ret = h = R(HANDLE, RS_HANDLE_COPY, (u64)p, 7, 0);
		for (k = 0; k < 20 && ret > 0; k++)
			ret = R(HANDLE, RS_HANDLE_COPY, (u64)p, 1, 0);
	}
	if (ret > 0) {
		i.port = (u32)p;
		ret = R(IPC, RS_SYS_IPC_CALL, P(&i));
		if (ret == -EAGAIN)
			ret = pid = call(__NR_clone, (u64[6]){ SIGCHLD }, tells, 1);
	}
	floor_fail_in = -1;
	for (k = 1; k < 40; k++)
		R(HANDLE, RS_HANDLE_CLOSE, (u64)k);
	if (pid > 0)
		K(wait4, (u64)pid, P(&status), 0, 0);
	return ret;
}

static int everything_without_memory(u64 arg)
{
	long n, failed = 0, ret;

	(void)arg;
	to = 999;
	for (n = 0;; n++) {
		floor_fail_in = n;
		ret = everything();
		CHECK(ret > 0 || ret == -ENOMEM);
		failed += ret < 0;
		if (ret > 0 && n > 40)
			break;
	}
	CHECK(failed >= 6);
	return 0;
}

static void t_no_memory(void)
{
	spawn(everything_without_memory, 0);
	EQ(wait_for(-1), 0);
}

/* --- many ------------------------------------------------------------------------------------- */

#define MANY	60u
#define PORTS	6u

static struct {
	u64 port[PORTS], to[PORTS];
	u32 left;			/* steps until all go home */
	u64 asked, answered, given_up, ended;
} many;

/* Is a server of one port for a while: late, early, in another order, or never. */
static void be_server(u64 n)
{
	struct msg open[4];
	u32 nopen = 0;

	while (n-- && many.left) {
		struct msg m = { { 0 } };
		struct rs_ipc i = { .port = (u32)many.port[n % PORTS], .limit = 2 * MS };
		long what = R(IPC, RS_SYS_IPC_REPLY_WAIT, P(&i));

		CHECK(what == RS_IPC_CALL || what == 0 || what == -ETIMEDOUT || what == -EINTR ||
		      what == -EPIPE || what == -EBADF);
		if (what == RS_IPC_CALL) {
			memcpy(m.w, i.word, sizeof(m.w));
			m.reply = i.reply;
			EQ(m.w[3], ~m.w[0]);
			open[nopen++] = m;
		}
		if (nopen == 4 || (nopen && !below(3))) {
			u32 k = (u32)below(nopen);
			long ret;

			open[k].w[1]++;
			ret = reply_wait(0, &open[k]);
			CHECK(ret == 0 || ret == -ESRCH);
			if (!ret)
				many.answered++;
			open[k] = open[--nopen];
		}
	}
	if (below(2))
		while (nopen) {
			open[--nopen].w[1]++;
			if (!reply_wait(0, &open[nopen]))
				many.answered++;
		}
}

static u64 asked_so_far;

static void be_client(u64 n)
{
	while (n-- && many.left) {
		u64 id = ++asked_so_far, limit = below(3) ? RS_IPC_FOREVER : below(4) * MS;
		struct msg m = { { id, id * 3, id * 5, ~id } };
		long ret;

		many.left--;
		ret = ipc(many.to[below(PORTS)], &m, limit == RS_IPC_FOREVER && below(8) ? 3 * MS :
			  limit);
		CHECK(ret == 0 || ret == -ETIMEDOUT || ret == -EINTR || ret == -EPIPE ||
		      ret == -EAGAIN || ret == -EBADF);
		many.asked++;
		if (ret == 0) {
			EQ(m.w[0], id);
			EQ(m.w[1], id * 3 + 1);
			EQ(m.w[2], id * 5);
			many.ended++;
		} else {
			many.given_up++;
		}
		if (!below(8))
			tell(many.to[below(PORTS)], id, below(2) * MS);
	}
}

static int one_of_many(u64 arg)
{
	catch(10);
	if (!below(4))
		spawn_thread(one_of_many, arg);
	while (many.left) {
		u32 i = (u32)below(PORTS);

		if (!below(10))
			R(HANDLE, RS_HANDLE_CLOSE, below(2) ? many.port[i] : many.to[i]);
		if (below(2))
			be_server(1 + below(6));
		else
			be_client(1 + below(6));
	}
	return 0;
}

static void t_many(void)
{
	u32 alive = 0, killed = 0;
	int status;

	memset(&many, 0, sizeof(many));
	many.left = 20000;
	for (u32 i = 0; i < PORTS; i++) {
		many.port[i] = (u64)R(PORT, 0);
		many.to[i] = (u64)R(HANDLE, RS_HANDLE_COPY, many.port[i], 1, i + 1);
	}
	while (many.left || alive) {
		while (many.left && alive < MANY) {
			spawn(one_of_many, 0);
			alive++;
		}
		for (struct process *p = process_next(NULL); p; p = process_next(p)) {
			if (p == current_proc() || below(12))
				continue;
			switch (below(6)) {
			case 0:
				K(kill, p->pid, SIGKILL);
				killed++;
				break;
			case 1: K(kill, p->pid, SIGSTOP); break;
			case 2:
			case 3: K(kill, p->pid, 10); break;
			default: K(kill, p->pid, SIGCONT);
			}
		}
		if (!many.left)
			for (struct process *p = process_next(NULL); p; p = process_next(p))
				if (p != current_proc())
					K(kill, p->pid, SIGCONT);
		sleep_ms(1);
		while (alive && K(wait4, (u64)-1, P(&status), 1, 0) > 0)
			alive--;
	}
	printf("# %lu calls: %lu answered, %lu given up; %u killed\n", (unsigned long)many.asked,
	       (unsigned long)many.ended, (unsigned long)many.given_up, killed);
	/* who is killed right after an answer does not count it */
	CHECK(many.ended > 100 && many.answered + killed >= many.ended && many.given_up > 100 && killed > 20);
	for (u32 i = 0; i < PORTS; i++) {
		EQ(R(HANDLE, RS_HANDLE_CLOSE, many.port[i]), 0);
		EQ(R(HANDLE, RS_HANDLE_CLOSE, many.to[i]), 0);
	}
}

/* --- the frame -------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	void (*fn)(void);
} tests[] = {
#define T(n) { #n, t_##n }
	T(call), T(send), T(who_answers), T(handles), T(ports_limit), T(ends), T(exec), T(limits),
	T(late_answer), T(signals), T(exec_of_another_thread), T(vfork), T(items), T(bad_struct),
	T(no_memory), T(many),
};

static void all_tests(void)
{
	long objects = 0;

	/* what the first process keeps once it has had a handle */
	open_port();
	close_port();
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
}

void floor_user(struct thread *t)
{
	struct user u;
	program fn = (program)t->frame->rbx;
	int ret = 0;

	u.rsp = P(u.stack + sizeof(u.stack));
	*user_slot(t) = &u;
	if (fn)
		ret = fn(t->frame->rbp);
	else
		all_tests();
	K(exit, (u64)ret);
	abort();
}

static void __noreturn ended(int status)
{
	EQ(live_mms, 0);
	fflush(stdout);
	_exit(!!status);
}

int main(int argc, char **argv)
{
	seed = seed0 = argc > 1 ? strtoul(argv[1], NULL, 0) : 1;
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("TAP version 13\n1..%zu\n", ARRAY_SIZE(tests));
	floor_init();
	floor_boot.flags = RS_BOOT_DEBUG;
	floor_boot.nslots = ARRAY_SIZE(slots);
	floor_boot.slots_gpa = P(slots);
	host_hook = host;
	floor_on_exit = ended;
	floor_run(NULL);
}
