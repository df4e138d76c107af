// SPDX-License-Identifier: MIT
/*
 * process_test.c - processes, threads, signals, futexes and timers, with the real scheduler
 *
 * Programs are C functions here. A thread of the guest kernel is a fiber; its ring 3 is
 * floor_user(), which calls the function that the thread was made for, and what such a program says
 * with K() is a SYSCALL of its thread: the frame is filled in, rs_syscall() answers it, signal
 * handlers that the kernel has built frames for are called as C functions and return by
 * rt_sigreturn, a call that is to be made again is made again. All memory is shared by all
 * processes, which is what makes the tests short; what belongs to mm/ is tested there.
 *
 * Time stands still unless a test says so (burn()) or everybody sleeps: then it jumps to where the
 * first sleep ends. A sleep that nothing could end is a failure. So every run is the same.
 *
 * Each test is a sandbox of its own, in a process of its own, and at its end nothing may be left.
 */
#include <asm/unistd.h>
#include <linux/fcntl.h>
#include <linux/futex.h>
#include <linux/poll.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <ringside_app.h>
#include <stdio.h>
#include <stdlib.h>

#include "floor.h"
#include "../../userland/guest/lib/string.h"
#include "../../userland/guest/mm/kmalloc.h"
#include "../../userland/guest/mm/uaccess.h"
#include "../../userland/guest/proc/exec.h"
#include "../../userland/guest/proc/proc.h"
#include "../../userland/guest/fs/fd.h"
#include "../../userland/guest/syscall/signal.h"
#include "../../userland/guest/syscall/syscall.h"

/* The C library's headers for these do not go together with the guest's. */
long syscall(long nr, ...);
int fork(void);
int waitpid(int pid, int *status, int options);
void _exit(int status) __noreturn;
char *strchrnul(const char *s, int c);
char *getcwd(char *buf, size_t size);
int chdir(const char *path);

static int failures;

#define CHECK(c)                                                             \
	do {                                                                 \
		if (!(c)) {                                                  \
			printf("#   %s:%d: %s\n", __func__, __LINE__, #c);   \
			failures++;                                          \
		}                                                            \
	} while (0)
#define EQ(a, b)                                                             \
	do {                                                                 \
		long _a = (long)(a), _b = (long)(b);                         \
		if (_a != _b) {                                              \
			printf("#   %s:%d: %s is %ld, not %ld\n", __func__,  \
			       __LINE__, #a, _a, _b);                        \
			failures++;                                          \
		}                                                            \
	} while (0)
#define P(p)	 ((u64)(p))
#define MS	 1000000ull
#define SEC	 1000000000ull
#define WNOHANG	 1
#define EXIT(n)	 ((n) << 8)

/* --- ring 3 ----------------------------------------------------------------------------------- */

#define AFTER_SYSCALL 0x401002ull
#define IN_LOOP	      0x403000ull	/* where burn() is interrupted */

struct user {
	u64 rsp;
	u8 stack[32768] __attribute__((aligned(64)));
};

typedef int (*program)(u64 arg);

static struct user **user_slot(struct thread *t)
{
	return (struct user **)((char *)t->kstack + KSTACK_FREE);
}

static void (*exec_program)(void);	/* what /program is */
static u32 last_exec_tid;

static void (*upcall)(const struct rs_trap_frame *f);	/* the process's own */

static void maybe_work(struct thread *t)
{
	if (t->work || floor_shared.pending)
		rs_return_to_user(t->frame);
}

/* Goes on in ring 3 from what the kernel has made of the frame, up to where the call was. */
static struct rs_frame ring3(struct rs_frame r, u64 home)
{
	struct thread *t = current();
	struct user *u = *user_slot(t);
	u64 rsp = u->rsp;

	while (r.rip != home && r.rip != home - 2) {
		if (r.rip == P(upcall)) {
			struct rs_trap_frame f = *(struct rs_trap_frame *)r.rsp;

			/* It comes back without a call, as the registers were. */
			u->rsp = r.rsp - 512;
			upcall(&f);
			memcpy(&r, &f.r15, sizeof(r));
			continue;
		}
		if (r.rip == P(exec_program)) {
			u->rsp = P(u->stack + sizeof(u->stack));
			exec_program();
			abort();
		}
		/* A handler's first instruction. What it calls uses the stack below the frame. */
		u->rsp = (r.rsp & ~15ull) - 512;
		((void (*)(u64, u64, u64))r.rip)(r.rdi, r.rsi, r.rdx);
		r.rsp += 8; /* its RET */
		r.vector = RS_VECTOR_SYSCALL;
		r.error = r.rax = __NR_rt_sigreturn;
		*t->frame = r;
		rs_syscall(t->frame);
		maybe_work(t);
		r = *t->frame;
	}
	u->rsp = rsp;
	return r;
}

static long call(u64 nr, const u64 *a, program fn, u64 arg)
{
	struct thread *t = current();
	struct rs_frame r = {
		.vector = RS_VECTOR_SYSCALL, .error = nr, .rax = nr, .rip = AFTER_SYSCALL,
		.rcx = AFTER_SYSCALL, .rsp = (*user_slot(t))->rsp, .cs = USER_CS, .ss = USER_SS,
		.rflags = 0x202, .rdi = a[0], .rsi = a[1], .rdx = a[2], .r10 = a[3], .r8 = a[4],
		.r9 = a[5], .rbx = P(fn), .rbp = arg,
	};

	for (;;) {
		*t->frame = r;
		rs_syscall(t->frame);
		maybe_work(t);
		r = ring3(*t->frame, AFTER_SYSCALL);
		if (r.rip == AFTER_SYSCALL)
			return (long)r.rax;
		r.rip = AFTER_SYSCALL; /* again */
		r.error = r.rax;
		r.vector = RS_VECTOR_SYSCALL;
	}
}

#define K(name, ...) call(__NR_##name, (u64[6]){ __VA_ARGS__ }, NULL, 0)

/* A process: fork, whose child runs @fn and exits with what that returns. */
static long spawn(program fn, u64 arg)
{
	return call(__NR_clone, (u64[6]){ SIGCHLD }, fn, arg);
}

#define THREAD_FLAGS (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)

/* A thread; *@tid is its number until it has ended. */
static long spawn_thread(program fn, u64 arg, u32 *tid)
{
	return call(__NR_clone, (u64[6]){ THREAD_FLAGS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID,
					  0, P(tid), P(tid) }, fn, arg);
}

static void join(u32 *tid)
{
	u32 v;

	while ((v = *(volatile u32 *)tid))
		K(futex, P(tid), FUTEX_WAIT, v, 0);
}

static long wait_for(s64 pid, int *status)
{
	return K(wait4, (u64)pid, P(status), 0, 0);
}

static void sleep_ms(u64 ms)
{
	u64 ts[2] = { ms / 1000, ms % 1000 * MS };

	EQ(K(nanosleep, P(ts), 0), 0);
}

static void set_action(int sig, u64 handler, u64 flags, u64 mask)
{
	u64 a[4] = { handler, flags | SA_RESTORER, 0x402000, mask };

	EQ(K(rt_sigaction, (u64)sig, P(a), 0, 8), 0);
}

static void set_blocked(u64 mask)
{
	EQ(K(rt_sigprocmask, 2, P(&mask), 0, 8), 0);
}

/* --- the host --------------------------------------------------------------------------------- */

#define NSLOTS 4

static u64 now = 1000 * SEC, host_timer = NO_DEADLINE;
static u64 idles;
static struct rs_slot slots[NSLOTS];
static u32 submits, cancels;
static u32 refuse_timer, refuse_tick;	/* so many times */
static bool ticks;

static void event(u64 e)
{
	floor_shared.events |= e;
	floor_shared.pending |= RS_PENDING_EVENTS;
}

static void time_passes(u64 ns)
{
	now += ns;
	if (now >= host_timer) {
		host_timer = NO_DEADLINE;
		event(RS_EVENT_TIMER);
	}
}

/* A helper makes a call only when it would not wait. */
static bool helper_does(struct rs_slot *s)
{
	struct {
		int fd;
		short events, revents;
	} p = { (int)s->call.args[0], POLLIN, 0 };
	u64 *a = (u64 *)s->call.args;

	if (s->state != RS_SLOT_SUBMITTED)
		return false;
	if (s->call.nr == __NR_read && syscall(__NR_poll, &p, 1ul, 0ul) != 1)
		return false;
	s->call.ret = syscall((long)s->call.nr, a[0], a[1], a[2], a[3], a[4], a[5]);
	s->state = RS_SLOT_DONE;
	event(RS_EVENT_DONE);
	return true;
}

static long host(u64 nr, const u64 a[6], long *ret)
{
	u32 i;

	*ret = 0;
	switch (nr) {
	case __NR_clock_gettime:
		((u64 *)a[1])[0] = now / SEC;
		((u64 *)a[1])[1] = now % SEC;
		return 1;
	case RS_CALL_TIMER:
		if (refuse_timer) {
			refuse_timer--;
			*ret = -EAGAIN;
		} else {
			host_timer = a[0];
		}
		return 1;
	case RS_CALL_TICK:
		if (refuse_tick) {
			refuse_tick--;
			*ret = -EAGAIN;
		} else {
			ticks = true;
		}
		return 1;
	case RS_CALL_IDLE:
		idles++;
		if (floor_shared.pending)
			return 1;
		for (i = 0; i < NSLOTS; i++)
			if (helper_does(&slots[i]))
				return 1;
		if (a[0] == NO_DEADLINE)
			rs_panic("all sleep, and nothing will ever wake them");
		time_passes(a[0]);
		*ret = floor_shared.pending ? 0 : -ETIME;
		return 1;
	case RS_CALL_SUBMIT:
		submits++;
		return 1;
	case RS_CALL_CANCEL:
		cancels++;
		if (slots[a[0]].state == RS_SLOT_SUBMITTED) {
			slots[a[0]].call.ret = -EINTR;
			slots[a[0]].state = RS_SLOT_DONE;
			event(RS_EVENT_DONE);
		}
		return 1;
	}
	return 0;
}

/* The program computes for @ns; the clock and the tick interrupt it. */
static void burn(u64 ns)
{
	struct thread *t = current();
	struct rs_frame r = { .vector = RS_VECTOR_NOTIFY, .rip = IN_LOOP, .cs = USER_CS,
			      .ss = USER_SS, .rflags = 0x202, .rsp = (*user_slot(t))->rsp };

	time_passes(ns);
	if (floor_shared.want_tick && ticks)
		event(RS_EVENT_TICK);
	*t->frame = r;
	maybe_work(t);
	ring3(*t->frame, IN_LOOP);
}

/* --- exec ------------------------------------------------------------------------------------- */

/* The order of proc/exec.c: what may fail, the other threads, the memory, the rest. */
long proc_exec(struct process *p, int dirfd, const char *path, struct exec_args *args,
	       struct rs_frame *f)
{
	long err;

	(void)dirfd, (void)args;
	if (strcmp(path, "/program"))
		return -ENOENT;
	err = process_single_thread();
	if (err)
		return err;
	syscall_exec_leaves(current());
	if (p->mm->refs > 1) {
		struct mm *old = p->mm;

		p->mm = mm_fork(old);
		mm_activate(p->mm);
		mm_put(old);
	}
	syscall_exec_done(p);
	f->rip = P(exec_program);
	f->vector = RS_VECTOR_RESTORED;
	return 0;
}

/* --- beginnings and ends ---------------------------------------------------------------------- */

static int exits_with(u64 n)
{
	return (int)n;
}

static void t_fork_and_wait(void)
{
	long pid[10], last = K(getpid);
	int status, i;
	u64 ru[18];

	EQ(last, 4711);
	EQ(K(wait4, (u64)-1l, 0, 0, 0), -ECHILD);
	EQ(K(getppid), 1);
	for (i = 0; i < 10; i++) {
		pid[i] = spawn(exits_with, (u64)i + 40);
		EQ(pid[i], last + 1 + i);
	}
	EQ(process_count(), 11);
	EQ(K(wait4, (u64)-1l, P(&status), WNOHANG, 0), 0);	/* none has run yet */
	EQ(wait_for(pid[7], &status), pid[7]);
	EQ(status, EXIT(47));
	EQ(wait_for(pid[7], &status), -ECHILD);
	for (i = 0; i < 9; i++) {
		long p = K(wait4, (u64)-1l, P(&status), 0, P(ru));

		EQ(status, EXIT((int)(p - last) + 39));
	}
	EQ(wait_for(-1, &status), -ECHILD);
	EQ(process_count(), 1);
	EQ(rs_stats()->forks, 10);
}

static int forks_and_leaves(u64 depth)
{
	if (depth)
		spawn(forks_and_leaves, depth - 1);
	else
		sleep_ms(10);
	return 3;
}

static int is_reaper(u64 arg)
{
	int status, n = 0;

	(void)arg;
	EQ(K(prctl, PR_SET_CHILD_SUBREAPER, 1), 0);
	spawn(forks_and_leaves, 3);
	while (wait_for(-1, &status) > 0)
		n++;
	EQ(n, 4);
	return 0;
}

static void t_orphans(void)
{
	int status, n = 0;
	long pid;

	pid = spawn(forks_and_leaves, 5);
	EQ(wait_for(pid, &status), pid);
	/* the others became ours, one after the other */
	while (wait_for(-1, &status) > 0) {
		EQ(status, EXIT(3));
		n++;
	}
	EQ(n, 5);
	pid = spawn(is_reaper, 0);
	EQ(wait_for(-1, &status), pid);
	EQ(wait_for(-1, &status), -ECHILD);
	/* no zombies are wanted: waiting lasts until none is left, and says so */
	set_action(SIGCHLD, SIG_IGN, 0, 0);
	spawn(forks_and_leaves, 2);
	EQ(wait_for(-1, &status), -ECHILD);
	EQ(process_count(), 1);
	set_action(SIGCHLD, SIG_DFL, SA_NOCLDWAIT, 0);
	spawn(exits_with, 1);
	EQ(wait_for(-1, &status), -ECHILD);
	set_action(SIGCHLD, SIG_DFL, 0, 0);
	EQ(process_count(), 1);
}

static int vfork_order;

static int vfork_child(u64 exec)
{
	sleep_ms(10);
	EQ(vfork_order, 0);
	vfork_order = 1;
	if (exec)
		K(execve, P("/program"), 0, 0);
	return 9;
}

static void program_5(void)
{
	last_exec_tid = (u32)K(gettid);
	sleep_ms(10);
	K(exit_group, 5);
}

static void t_vfork(void)
{
	u64 flags = CLONE_VM | CLONE_VFORK | SIGCHLD, before = now;
	int status;
	long pid;

	exec_program = program_5;
	pid = call(__NR_clone, (u64[6]){ flags }, vfork_child, 0);
	EQ(vfork_order, 1);
	EQ(now - before, 10 * MS);
	EQ(wait_for(pid, &status), pid);
	EQ(status, EXIT(9));
	vfork_order = 0;
	before = now;
	pid = call(__NR_vfork, (u64[6]){ 0 }, vfork_child, 1);
	EQ(vfork_order, 1);
	EQ(now - before, 10 * MS);	/* the program itself takes longer */
	EQ(K(wait4, (u64)pid, P(&status), WNOHANG, 0), 0);
	EQ(wait_for(pid, &status), pid);
	EQ(status, EXIT(5));
	EQ(last_exec_tid, pid);
}

static int vforks(u64 fn)
{
	return (int)call(__NR_vfork, (u64[6]){ 0 }, (program)fn, 0);
}

static int killed_at_once(u64 arg)
{
	u64 ts[2] = { 3, 0 };

	K(nanosleep, P(ts), 0);
	return (int)arg;
}

/* The parent is killed while it waits for the child, which ends later. */
static void t_vfork_parent_killed(void)
{
	long pid;
	int status;

	vfork_order = 0;
	pid = spawn(vforks, P(vfork_child));
	sleep_ms(5);
	EQ(K(kill, (u64)pid, SIGKILL), 0);
	EQ(wait_for(pid, &status), pid);
	EQ(status, SIGKILL);
	EQ(vfork_order, 0);
	EQ(K(prctl, PR_SET_CHILD_SUBREAPER, 1), 0);
	EQ(wait_for(-1, &status) > pid, true);
	EQ(vfork_order, 1);
	EQ(status, EXIT(9));
	/* and the other way round */
	pid = spawn(vforks, P(killed_at_once));
	sleep_ms(5);
	EQ(K(kill, (u64)pid + 1, SIGKILL), 0);
	EQ(wait_for(pid, &status), pid);
	EQ(status, EXIT((pid + 1) & 255));
}

static bool reaped;

static int reaps_all(u64 arg)
{
	int status;

	while (K(wait4, -1ull, P(&status), WNOHANG, 0) <= 0)
		K(sched_yield);
	EQ(status, EXIT(4));
	reaped = true;
	return (int)arg;
}

static int yields_then_exits(u64 arg)
{
	int i;

	for (i = 0; i < 5; i++)
		K(sched_yield);
	return 4 + (int)arg;
}

/* Another thread has waited for the child before the parent's thread looks again. */
static void t_vfork_child_reaped(void)
{
	u32 tid;

	reaped = false;
	spawn_thread(reaps_all, 0, &tid);
	CHECK(vforks(P(yields_then_exits)) > 0);
	join(&tid);
	CHECK(reaped);
}

/* CLONE_VFORK with a thread: until the thread has ended. */
static void t_vfork_thread(void)
{
	u32 tid = 0;

	CHECK(call(__NR_clone, (u64[6]){ THREAD_FLAGS | CLONE_VFORK | CLONE_CHILD_CLEARTID |
					 CLONE_PARENT_SETTID, 0, P(&tid), P(&tid) },
		   yields_then_exits, 0) > 0);
	EQ(tid, 0);
}

static void t_clone_arguments(void)
{
	static const u64 bad[] = {
		CLONE_THREAD, CLONE_THREAD | CLONE_SIGHAND, CLONE_SIGHAND | SIGCHLD,
		CLONE_THREAD | CLONE_VM, CLONE_VM | CLONE_SIGHAND | SIGCHLD,
		CLONE_PIDFD | CLONE_PARENT_SETTID | SIGCHLD, CLONE_PIDFD | CLONE_DETACHED | SIGCHLD, 100,
	};
	struct clone_args c = { .exit_signal = SIGCHLD };
	u64 big[32] = { 0 };
	u32 tid = 0;
	int status;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(bad); i++)
		EQ(K(clone, bad[i]), -EINVAL);
	EQ(K(clone, CLONE_PIDFD | SIGCHLD), -EFAULT);
	EQ(K(clone, CLONE_NEWNS | SIGCHLD), -EPERM);
	EQ(K(clone, CLONE_SETTLS | SIGCHLD, 0, 0, 0, 1ull << 62), -EPERM);
	EQ(K(clone, SIGCHLD, USER_TOP), -EINVAL);
	EQ(K(clone3, P(&c), 8), -EINVAL);
	EQ(K(clone3, P(&c), 5000), -E2BIG);
	EQ(K(clone3, 8, sizeof(c)), -EFAULT);
	c.stack = 0x1000;
	EQ(K(clone3, P(&c), sizeof(c)), -EINVAL);
	c.stack_size = ~0ull;
	EQ(K(clone3, P(&c), sizeof(c)), -EINVAL);
	c.stack = c.stack_size = 0;
	c.exit_signal = 1ull << 32;
	EQ(K(clone3, P(&c), sizeof(c)), -EINVAL);
	c.exit_signal = SIGCHLD;
	c.set_tid_size = 1;
	EQ(K(clone3, P(&c), sizeof(c)), -EINVAL);
	c.set_tid_size = 0;
	memcpy(big, &c, sizeof(c));
	big[20] = 1;
	EQ(K(clone3, P(big), sizeof(big)), -E2BIG);
	EQ(process_count(), 1);
	big[20] = 0;
	((struct clone_args *)big)->flags = CLONE_PARENT_SETTID | CLONE_CHILD_SETTID;
	((struct clone_args *)big)->parent_tid = ((struct clone_args *)big)->child_tid = P(&tid);
	i = (u32)call(__NR_clone3, (u64[6]){ P(big), sizeof(big) }, exits_with, 6);
	EQ(tid, i);
	EQ(wait_for(i, &status), i);
	EQ(status, EXIT(6));
	/* where nothing can be written, nobody learns the number, as on Linux */
	i = (u32)call(__NR_clone, (u64[6]){ CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | SIGCHLD, 0, 8, 8 },
		      exits_with, 7);
	EQ(wait_for(i, &status), i);
	EQ(status, EXIT(7));
}

/* --- children made by hand -------------------------------------------------------------------- */

static long exofork(u64 flags, program fn, u64 arg)
{
	return call(RS_SYS_EXOFORK, (u64[6]){ flags }, fn, arg);
}

static long child_status(long pid, u64 status)
{
	return call(RS_SYS_CHILD_STATUS, (u64[6]){ (u64)pid, status }, NULL, 0);
}

static u32 exo_tid;

static int knows_its_number(u64 code)
{
	EQ(exo_tid, K(gettid));
	return (int)code;
}

static void t_unstarted(void)
{
	int status, n;
	long pid, fd;
	struct {
		int fd;
		short events, revents;
	} poll;

	pid = exofork(0, exits_with, 9);
	EQ(pid, K(getpid) + 1);
	EQ(process_count(), 2);
	EQ(K(wait4, (u64)-1l, 0, 0, 0), -ECHILD);
	EQ(K(kill, (u64)pid, 0), 0);
	EQ(K(kill, (u64)pid, SIGTERM), 0);
	EQ(K(setpgid, (u64)pid, 0), 0);
	fd = K(pidfd_open, (u64)pid, 0);
	CHECK(fd >= 0);
	poll.fd = (int)fd;
	poll.events = POLLIN;
	EQ(K(poll, P(&poll), 1, 0), 0);
	EQ(call(RS_SYS_CHILD_PAGES, (u64[6]){ (u64)pid, 0, 0 }, NULL, 0), 0);
	EQ(child_status(pid, 0), -EINVAL);
	EQ(child_status(pid + 1, RS_CHILD_RUN), -ESRCH);
	EQ(child_status(K(getpid), RS_CHILD_RUN), -ESRCH);
	EQ(child_status(pid, RS_CHILD_GONE), 0);
	EQ(child_status(pid, RS_CHILD_GONE), -ESRCH);
	EQ(K(poll, P(&poll), 1, 0), 1);
	EQ(process_count(), 1);
	/* started: a child as any */
	K(set_tid_address, P(&exo_tid));
	pid = exofork(RS_EXOFORK_TID, knows_its_number, 9);
	EQ(child_status(pid, RS_CHILD_RUN), 0);
	EQ(exo_tid, pid);
	EQ(child_status(pid, RS_CHILD_RUN), -ESRCH);
	EQ(call(RS_SYS_CHILD_PAGES, (u64[6]){ (u64)pid, 0, 0 }, NULL, 0), -ESRCH);
	EQ(wait_for(pid, &status), pid);
	EQ(status, EXIT(9));
	/* what came before the start */
	pid = exofork(0, exits_with, 9);
	EQ(K(kill, (u64)pid, SIGKILL), 0);
	EQ(child_status(pid, RS_CHILD_RUN), 0);
	EQ(wait_for(pid, &status), pid);
	EQ(status, SIGKILL);
	EQ(exofork(8, exits_with, 9), -EINVAL);
	for (n = 0; exofork(0, exits_with, 9) > 0; n++)
		;
	CHECK(n > 100 && process_count() == (u32)n + 1);
	/* they go with their maker, who is about to end */
}

static int makes_some(u64 how)
{
	long pid;
	u32 i;

	for (i = 0; i < 5; i++) {
		pid = exofork(0, exits_with, 1);
		CHECK(pid > 0);
		if (i == 2)
			EQ(K(kill, (u64)pid, SIGKILL), 0);
	}
	if (how == 1)
		K(kill, (u64)K(getpid), SIGKILL);
	if (how == 2)
		K(execve, P("/program"), 0, 0);
	return 5;
}

static void t_makers_that_go(void)
{
	int status;
	u32 how;

	exec_program = program_5;
	for (how = 0; how < 3; how++) {
		long pid = spawn(makes_some, how);

		EQ(wait_for(pid, &status), pid);
		EQ(status, how == 1 ? SIGKILL : EXIT(5));
		EQ(process_count(), 1);
		EQ(wait_for(-1, &status), -ECHILD);
	}
}

static int other_thread(u64 pid)
{
	EQ(exofork(RS_EXOFORK_ALONE, exits_with, 1), -EBUSY);
	EQ(child_status((long)pid, RS_CHILD_RUN), 0);
	return 0;
}

static void t_unstarted_and_threads(void)
{
	long pid = exofork(RS_EXOFORK_ALONE, exits_with, 6);
	static u32 tid;
	int status;

	CHECK(pid > 0);
	CHECK(spawn_thread(other_thread, (u64)pid, &tid) > 0);
	join(&tid);
	EQ(wait_for(pid, &status), pid);
	EQ(status, EXIT(6));
}

/* --- threads ---------------------------------------------------------------------------------- */

static u32 tids[8], progress;

static int adds(u64 n)
{
	u32 i;

	for (i = 0; i < n; i++) {
		progress++;
		K(sched_yield);
	}
	return 0;
}

static int sleeps_for_ever(u64 arg)
{
	(void)arg;
	K(pause);
	failures++;	/* nobody wakes it */
	return 0;
}

static int with_sleeping_threads(u64 how)
{
	u32 i;

	for (i = 0; i < 4; i++)
		spawn_thread(sleeps_for_ever, 0, &tids[i]);
	sleep_ms(1);
	switch (how) {
	case 0: K(exit_group, 8); break;
	case 1: K(kill, K(getpid), SIGKILL); break;
	case 2: K(execve, P("/program"), 0, 0); break;
	case 3: K(kill, K(getpid), SIGTERM); break;
	default: K(pause); break;
	}
	failures++;
	return 0;
}

static int executes(u64 arg)
{
	(void)arg;
	K(execve, P("/program"), 0, 0);
	failures++;
	return 0;
}

static int leader_waits(u64 exec)
{
	spawn_thread(exec ? executes : adds, 3, &tids[0]);
	spawn_thread(sleeps_for_ever, 0, &tids[1]);
	K(pause);
	failures++;
	return 0;
}

static int leader_leaves(u64 arg)
{
	(void)arg;
	spawn_thread(adds, 10, &tids[0]);
	K(exit, 1);	/* the thread only; its status is the process's later */
	return 0;
}

static int leader_leaves_one_that_executes(u64 arg)
{
	(void)arg;
	spawn_thread(executes, 0, &tids[0]);
	K(exit, 1);
	return 0;
}

static void t_threads(void)
{
	int status;
	long pid;
	u32 i;

	for (i = 0; i < 8; i++)
		EQ(spawn_thread(adds, 100, &tids[i]), tids[i]);
	EQ(process_count(), 9);
	EQ(process_first()->nthreads, 9);
	for (i = 0; i < 8; i++)
		join(&tids[i]);
	EQ(progress, 800);
	EQ(process_first()->nthreads, 1);
	EQ(process_count(), 1);
	exec_program = program_5;
	static const int want[] = { EXIT(8), SIGKILL, EXIT(5), SIGTERM };

	for (i = 0; i < 4; i++) {
		pid = spawn(with_sleeping_threads, i);
		EQ(wait_for(pid, &status), pid);
		EQ(status, want[i]);
		EQ(process_count(), 1);
	}
	/* a thread that is not the first one executes: it becomes the process */
	pid = spawn(leader_waits, 1);
	EQ(wait_for(pid, &status), pid);
	EQ(status, EXIT(5));
	EQ(last_exec_tid, pid);
	pid = spawn(leader_leaves_one_that_executes, 0);
	EQ(wait_for(pid, &status), pid);
	EQ(status, EXIT(5));
	EQ(last_exec_tid, pid);
	progress = 0;
	pid = spawn(leader_leaves, 0);
	EQ(wait_for(pid, &status), pid);
	EQ(status, EXIT(1));
	EQ(progress, 10);
	EQ(process_count(), 1);
}

static u32 turns[3];

static int computes(u64 who)
{
	u32 i;

	for (i = 0; i < 50; i++) {
		turns[who]++;
		burn(10 * MS);
	}
	return 0;
}

static void t_round_robin(void)
{
	u32 i;

	for (i = 0; i < 3; i++)
		spawn_thread(computes, i, &tids[i]);
	while (turns[0] + turns[1] + turns[2] < 75) {
		burn(10 * MS);
		for (i = 0; i < 3; i++)
			CHECK(turns[i] + 2 >= turns[(i + 1) % 3]);
	}
	for (i = 0; i < 3; i++)
		join(&tids[i]);
	/* alone: no ticks are asked for any more */
	EQ(floor_shared.want_tick, 0);
	CHECK(process_usage(process_first()).preempted > 75);
}

/* --- wait ------------------------------------------------------------------------------------- */

static int joins_group_and_sleeps(u64 pgid)
{
	EQ(K(setpgid, 0, pgid), 0);
	sleep_ms(50);
	return 1;
}

static int stops_itself(u64 sig)
{
	K(kill, K(getpid), sig);
	return 7;
}

static int handled;
static u64 handled_value[2000];

static void handler(u64 sig, u64 info, u64 context)
{
	struct k_siginfo *i = (struct k_siginfo *)info;

	(void)context;
	if (handled < (int)ARRAY_SIZE(handled_value))
		handled_value[handled] = sig << 32 | (u32)i->value;
	handled++;
}

static void t_wait_selection(void)
{
	struct k_siginfo info;
	long a, b, c, d;
	int status = 0;

	a = spawn(joins_group_and_sleeps, 0);
	b = spawn(joins_group_and_sleeps, (u64)a);
	c = spawn(exits_with, 2);
	d = call(__NR_clone, (u64[6]){ 0 }, exits_with, 3);	/* tells nobody of its end */
	EQ(K(wait4, (u64)-a, P(&status), WNOHANG, 0), -ECHILD);	/* they have not joined yet */
	EQ(K(wait4, 0, P(&status), 0, 0), c);			/* of our group */
	EQ(K(wait4, 0, P(&status), 0, 0), -ECHILD);
	EQ(K(wait4, (u64)d, P(&status), 0, 0), -ECHILD);
	EQ(K(wait4, (u64)d, P(&status), WAIT_CLONE, 0), d);
	EQ(status, EXIT(3));
	d = call(__NR_clone, (u64[6]){ 0 }, exits_with, 4);
	EQ(K(wait4, (u64)d, P(&status), WAIT_ALL, 0), d);
	EQ(K(wait4, (u64)-a, P(&status), 0, 0), a);
	EQ(K(waitid, 2, (u64)a, P(&info), WAIT_EXITED | WAIT_NOWAIT, 0), 0);
	EQ(info.pid, b);
	EQ(info.code, 1);
	EQ((u32)info.value, 1);
	EQ(info.signo, SIGCHLD);
	EQ(K(waitid, 1, (u64)b, P(&info), WAIT_EXITED, 0), 0);
	EQ(info.pid, b);
	EQ(K(waitid, 0, 0, P(&info), WAIT_EXITED, 0), -ECHILD);
	EQ(K(waitid, 0, 0, P(&info), 0, 0), -EINVAL);
	EQ(K(waitid, 9, 0, P(&info), WAIT_EXITED, 0), -EINVAL);
	EQ(K(waitid, 1, 0, P(&info), WAIT_EXITED, 0), -EINVAL);
	EQ(K(wait4, (u64)-1l, 0, 0x10, 0), -EINVAL);
	/* nothing there: says so with a pid of 0 */
	a = spawn(stops_itself, SIGSTOP);
	memset(&info, 0x55, sizeof(info));
	EQ(K(waitid, 0, 0, P(&info), WAIT_EXITED | WAIT_NOHANG, 0), 0);
	EQ(info.pid, 0);
	EQ(info.signo, 0);
	/* stopped: told once, only to who asks; then continued; then ended */
	EQ(K(wait4, (u64)a, P(&status), WAIT_UNTRACED, 0), a);
	EQ(status, SIGSTOP << 8 | 0x7f);
	EQ(K(wait4, (u64)a, P(&status), WAIT_UNTRACED | WNOHANG, 0), 0);
	EQ(K(kill, (u64)a, SIGCONT), 0);
	EQ(K(waitid, 1, (u64)a, P(&info), WAIT_CONTINUED | WAIT_NOWAIT, 0), 0);
	EQ(info.code, 6);
	EQ((u32)info.value, SIGCONT);
	EQ(K(wait4, (u64)a, P(&status), WAIT_CONTINUED, 0), a);
	EQ(status, 0xffff);
	EQ(K(wait4, (u64)a, P(&status), WAIT_CONTINUED, 0), a);
	EQ(status, EXIT(7));
	a = spawn(stops_itself, SIGTERM);
	EQ(K(waitid, 0, 0, P(&info), WAIT_EXITED, 0), 0);
	EQ(info.code, 2);
	EQ((u32)info.value, SIGTERM);
	EQ(process_count(), 1);
}

static int interrupts_parent(u64 sig)
{
	sleep_ms(5);
	K(kill, K(getppid), sig);
	sleep_ms(5);
	return 1;
}

static void t_wait_interrupted(void)
{
	int status;
	long a;

	set_action(10, P(handler), 0, 0);
	a = spawn(interrupts_parent, 10);
	EQ(wait_for(-1, &status), -EINTR);
	EQ(handled, 1);
	EQ(wait_for(-1, &status), a);
	set_action(10, P(handler), SA_RESTART, 0);
	a = spawn(interrupts_parent, 10);
	EQ(wait_for(-1, &status), a);
	EQ(handled, 2);
	set_action(10, SIG_IGN, 0, 0);
	a = spawn(interrupts_parent, 10);
	EQ(wait_for(-1, &status), a);
}

/* --- signals ---------------------------------------------------------------------------------- */

static long queue(long pid, int sig, u64 value)
{
	struct k_siginfo info = { .signo = sig, .code = SI_QUEUE, .pid = (s32)K(getpid),
				  .uid = 1000, .value = value };

	return K(rt_sigqueueinfo, (u64)pid, (u64)sig, P(&info));
}

static void t_realtime_queue(void)
{
	u64 all = ~0ull, none[2] = { 0, 0 }, set;
	struct k_siginfo info;
	long self = K(getpid);
	u32 i;

	set_action(34, P(handler), SA_SIGINFO, all);
	set_action(40, P(handler), SA_SIGINFO, all);
	set_action(10, P(handler), SA_SIGINFO, all);
	set_blocked(all);
	for (i = 0; i < 5; i++)
		EQ(queue(self, 40, 100 + i), 0);
	for (i = 0; i < 5; i++)
		EQ(queue(self, 34, i), 0);
	/* of a standard signal the first is kept */
	EQ(queue(self, 10, 77), 0);
	EQ(queue(self, 10, 78), 0);
	EQ(K(rt_sigpending, P(&set), 8), 0);
	EQ(set, SIGBIT(10) | SIGBIT(34) | SIGBIT(40));
	/* taken one by one: the lowest number first, each in its order */
	EQ(K(rt_sigtimedwait, P(&all), P(&info), P(none), 8), 10);
	EQ(info.value, 77);
	EQ(info.code, SI_QUEUE);
	EQ(info.pid, self);
	for (i = 0; i < 3; i++) {
		EQ(K(rt_sigtimedwait, P(&all), P(&info), P(none), 8), 34);
		EQ(info.value, i);
	}
	/* frames nest, so the last one built runs first: 40, then 34; both in order by the mask */
	set_blocked(0);
	EQ(handled, 7);
	for (i = 0; i < 5; i++) {
		int k, n = 0;

		for (k = 0; k < handled; k++)
			n += handled_value[k] == (40ull << 32 | (100 + i));
		EQ(n, 1);
	}
	/* the queue is finite: then -EAGAIN, for kill() a bit without a value */
	set_blocked(all);
	for (i = 0; i < SIGQUEUE_MAX; i++)
		EQ(queue(self, 40, i), 0);
	EQ(queue(self, 40, 1), -EAGAIN);
	EQ(queue(self, 34, 1), -EAGAIN);
	EQ(K(kill, self, 34), 0);
	EQ(K(rt_sigtimedwait, P(&all), P(&info), P(none), 8), 34);
	EQ(info.value, 0);
	for (i = 0; i < SIGQUEUE_MAX; i++) {
		EQ(K(rt_sigtimedwait, P(&all), P(&info), P(none), 8), 40);
		EQ(info.value, i);
	}
	EQ(K(rt_sigtimedwait, P(&all), P(&info), P(none), 8), -EAGAIN);
	/* what may be said about a signal to others */
	info = (struct k_siginfo){ .code = SI_USER };
	EQ(K(rt_sigqueueinfo, 1, 34, P(&info)), -EPERM);
	info.code = SI_QUEUE;
	EQ(K(rt_sigqueueinfo, 1, 34, P(&info)), -ESRCH);
	EQ(K(rt_sigqueueinfo, (u64)self, 65, P(&info)), -EINVAL);
	EQ(K(rt_sigqueueinfo, (u64)self, 34, 8), -EFAULT);
	/* what nobody wants is dropped, also later */
	EQ(queue(self, 40, 1), 0);
	set_action(40, SIG_IGN, 0, 0);
	EQ(K(rt_sigpending, P(&set), 8), 0);
	EQ(set, 0);
}

static volatile u32 ready_threads;
static u64 got[4];

static int waits_for_signals(u64 who)
{
	u64 mask = SIGBIT(10) | SIGBIT(12);
	struct k_siginfo info;
	long sig;

	ready_threads++;
	sig = K(rt_sigtimedwait, P(&mask), P(&info), 0, 8);
	got[who] = (u64)sig;
	return 0;
}

static int takes_handler(u64 who)
{
	set_blocked(0);
	ready_threads++;
	got[who] = (u64)K(pause);
	return 0;
}

static void t_thread_signals(void)
{
	u64 set, both = SIGBIT(10) | SIGBIT(12);
	long self = K(getpid);
	int status;

	set_action(10, P(handler), 0, 0);
	set_action(12, P(handler), 0, 0);
	set_blocked(both);
	/* for a thread: nobody else gets it */
	spawn_thread(waits_for_signals, 0, &tids[0]);
	spawn_thread(waits_for_signals, 1, &tids[1]);
	while (ready_threads < 2)
		K(sched_yield);
	EQ(K(tgkill, (u64)self, tids[1], 12), 0);
	join(&tids[1]);
	EQ(got[1], 12);
	EQ(got[0], 0);
	/* for the process: who waits for it takes it, though all block it */
	EQ(K(kill, (u64)self, 10), 0);
	join(&tids[0]);
	EQ(got[0], 10);
	EQ(handled, 0);
	EQ(K(rt_sigpending, P(&set), 8), 0);
	EQ(set, 0);
	/* one that does not block it runs the handler, and only one */
	spawn_thread(takes_handler, 2, &tids[2]);
	spawn_thread(takes_handler, 3, &tids[3]);
	while (ready_threads < 4)
		K(sched_yield);
	sleep_ms(1);
	EQ(K(kill, (u64)self, 10), 0);
	sleep_ms(1);
	EQ(handled, 1);
	EQ((got[2] == (u64)-EINTR) + (got[3] == (u64)-EINTR), 1);
	EQ(K(kill, (u64)self, 10), 0);
	join(&tids[2]);
	join(&tids[3]);
	EQ(handled, 2);
	/* pending for one thread dies with it */
	spawn_thread(adds, 1, &tids[0]);
	EQ(K(tgkill, (u64)self, tids[0], 12), 0);
	join(&tids[0]);
	EQ(K(rt_sigpending, P(&set), 8), 0);
	EQ(set, 0);
	EQ(K(tgkill, (u64)self, (u64)self, 12), 0);
	EQ(K(rt_sigpending, P(&set), 8), 0);
	EQ(set, SIGBIT(12));
	/* a child starts with the mask, but with nothing pending */
	spawn(exits_with, 0);
	EQ(wait_for(-1, &status), self + 6);
	EQ(status, 0);
	EQ(K(tgkill, (u64)self, 9999, 12), -ESRCH);
	EQ(K(tgkill, 1, (u64)self, 12), -ESRCH);
	EQ(K(tkill, 0, 12), -EINVAL);
	set_blocked(0);
	EQ(handled, 3);
}

static int loops(u64 arg)
{
	for (;;)
		sleep_ms(10);
	return (int)arg;
}

static int clones_when_told_to_go(u64 arg)
{
	u32 tid;

	/* as if another CPU had done so while this one was in ring 3 */
	current()->work |= THREAD_WORK_EXIT;
	EQ(arg ? spawn(loops, 0) : spawn_thread(loops, 0, &tid), -EAGAIN);
	CHECK(false);	/* it does not come back */
	return 0;
}

/* Whoever was told to go leaves nobody behind who was not. */
static void t_clone_while_ending(void)
{
	u32 tid, process;

	for (process = 0; process < 2; process++) {
		spawn_thread(clones_when_told_to_go, process, &tid);
		join(&tid);
		EQ(process_count(), 1);
	}
}

static void t_stop_and_continue(void)
{
	u64 set, all = ~0ull, none[2] = { 0, 0 };
	long self = K(getpid), a;
	int status;

	/* pending ones cancel each other */
	set_blocked(all);
	EQ(K(kill, self, SIGTSTP), 0);
	EQ(K(kill, self, SIGTTIN), 0);
	EQ(K(rt_sigpending, P(&set), 8), 0);
	EQ(set, SIGBIT(SIGTSTP) | SIGBIT(SIGTTIN));
	EQ(K(kill, self, SIGCONT), 0);
	EQ(K(rt_sigpending, P(&set), 8), 0);
	EQ(set, SIGBIT(SIGCONT));
	EQ(K(kill, self, SIGTTOU), 0);
	EQ(K(rt_sigpending, P(&set), 8), 0);
	EQ(set, SIGBIT(SIGTTOU));
	EQ(K(kill, self, SIGCONT), 0);
	EQ(K(rt_sigtimedwait, P(&all), 0, P(none), 8), SIGCONT);
	/* a child stops wherever it is, in a sleep too, and goes on where it was */
	set_action(SIGCHLD, P(handler), SA_SIGINFO, 0);
	set_blocked(0);
	a = spawn(loops, 0);
	sleep_ms(1);
	EQ(K(kill, (u64)a, SIGSTOP), 0);
	/* the child has news when the signal comes, so the call ends with them and not with EINTR */
	EQ(K(wait4, (u64)a, P(&status), WAIT_UNTRACED, 0), a);
	EQ(handled, 1);
	EQ(handled_value[0], (u64)SIGCHLD << 32 | SIGSTOP);
	EQ(status, SIGSTOP << 8 | 0x7f);
	EQ(process_find((u32)a)->stopped, true);
	/* what is sent meanwhile waits; another stop is none */
	EQ(K(kill, (u64)a, SIGTSTP), 0);
	EQ(K(kill, (u64)a, SIGTERM), 0);
	EQ(K(wait4, (u64)a, P(&status), WAIT_UNTRACED | WNOHANG, 0), 0);
	EQ(handled, 1);
	EQ(process_find((u32)a)->state, PROCESS_ALIVE);
	EQ(K(kill, (u64)a, SIGCONT), 0);
	EQ(handled, 2);
	EQ(handled_value[1], (u64)SIGCHLD << 32 | SIGCONT);
	set_action(SIGCHLD, SIG_DFL, 0, 0);
	EQ(wait_for(a, &status), a);
	EQ(status, SIGTERM);
	/* killed while it is stopped */
	a = spawn(loops, 0);
	sleep_ms(1);
	EQ(K(kill, (u64)a, SIGSTOP), 0);
	EQ(K(wait4, (u64)a, P(&status), WAIT_UNTRACED, 0), a);
	EQ(K(kill, (u64)a, SIGKILL), 0);
	EQ(wait_for(a, &status), a);
	EQ(status, SIGKILL);
	/* not told of stops */
	set_action(SIGCHLD, P(handler), SA_NOCLDSTOP, 0);
	a = spawn(loops, 0);
	EQ(K(kill, (u64)a, SIGSTOP), 0);
	sleep_ms(50);
	EQ(K(wait4, (u64)a, P(&status), WAIT_UNTRACED | WNOHANG, 0), a);
	EQ(handled, 2);
	EQ(K(kill, (u64)a, SIGKILL), 0);
	EQ(wait_for(a, &status), a);
	EQ(handled, 3);
}

static volatile u32 alive[3];

static int is_in_group(u64 which)
{
	if (which)
		EQ(K(setpgid, 0, which == 1 ? 0 : alive[0]), 0);
	alive[which ? which - 1 : 2] = (u32)K(getpid);
	loops(0);
	return 0;
}

static int own_session(u64 arg)
{
	long me = K(getpid);

	(void)arg;
	EQ(K(setsid), me);
	EQ(K(getsid, 0), me);
	EQ(K(getpgrp), me);
	EQ(K(setsid), -EPERM);
	EQ(K(setpgid, 0, 0), -EPERM);	/* leads a session */
	sleep_ms(20);
	return 0;
}

static int executes_later(u64 arg)
{
	(void)arg;
	exec_program = program_5;
	K(execve, P("/program"), 0, 0);
	return 0;
}

static void t_groups(void)
{
	long self = K(getpid), a, b, c;
	int status;

	a = spawn(is_in_group, 1);
	while (!alive[0])
		K(sched_yield);
	b = spawn(is_in_group, 2);
	c = spawn(is_in_group, 0);
	while (!alive[1] || !alive[2])
		K(sched_yield);
	EQ(K(getpgid, (u64)a), a);
	EQ(K(getpgid, (u64)b), a);
	EQ(K(getpgid, (u64)c), self);
	EQ(K(getpgid, 9999), -ESRCH);
	EQ(K(getsid, (u64)b), 1);
	EQ(K(setpgid, 0, 12345), -EPERM);
	EQ(K(setpgid, 1, 0), -ESRCH);
	EQ(K(setpgid, 0, (u64)-1l), -EINVAL);
	EQ(K(setsid), -EPERM);		/* leads a group */
	EQ(K(kill, (u64)-a, 0), 0);
	EQ(K(kill, (u64)-9999l, 0), -ESRCH);
	EQ(K(kill, 1, 0), -ESRCH);	/* is outside */
	EQ(K(kill, (u64)-a, SIGTERM), 0);
	EQ(wait_for(-a, &status) + wait_for(-a, &status), a + b);
	EQ(wait_for(-a, &status), -ECHILD);
	EQ(K(kill, (u64)-a, 0), -ESRCH);
	/* our own group: us, too */
	set_action(10, P(handler), 0, 0);
	EQ(K(kill, 0, 10), 0);
	EQ(handled, 1);
	EQ(wait_for(c, &status), c);
	EQ(status, 10);
	/* all but us and the first */
	a = spawn(loops, 0);
	b = spawn(loops, 0);
	EQ(K(kill, (u64)-1l, SIGKILL), 0);
	EQ(wait_for(-1, &status) + wait_for(-1, &status), a + b);
	EQ(K(kill, (u64)-1l, SIGKILL), -ESRCH);
	/* of another session, or beyond its exec: not ours to move any more */
	a = spawn(own_session, 0);
	sleep_ms(1);
	EQ(K(setpgid, (u64)a, (u64)self), -EPERM);
	b = spawn(executes_later, 0);
	K(sched_yield);
	sleep_ms(1);
	EQ(K(setpgid, (u64)b, 0), -EACCES);
	EQ(wait_for(a, &status), a);
	EQ(wait_for(b, &status), b);
	EQ(process_count(), 1);
}

/* --- futexes ---------------------------------------------------------------------------------- */

static u32 word, word2;
static volatile u32 asleep, awake;
static u32 op_flags;

static int waits_on_word(u64 bitset)
{
	long ret;

	asleep++;
	ret = bitset ? K(futex, P(&word), FUTEX_WAIT_BITSET | op_flags, 0, 0, 0, bitset) :
		       K(futex, P(&word), FUTEX_WAIT | op_flags, 0, 0);
	EQ(ret, 0);
	awake++;
	return 0;
}

static void waiters(u32 n, u64 bitset)
{
	u32 i;

	asleep = awake = 0;
	for (i = 0; i < n; i++)
		EQ(spawn_thread(waits_on_word, bitset, &tids[i]), tids[i]);
	while (asleep < n)
		K(sched_yield);
	sleep_ms(1);
}

static void all_joined(u32 n)
{
	u32 i;

	for (i = 0; i < n; i++)
		join(&tids[i]);
}

#define WAKE(op, ...) K(futex, P(&word), (op) | op_flags, __VA_ARGS__)

static void t_futex_wake(void)
{
	u64 ts[2] = { 0, 20 * MS }, at[2], before;

	for (op_flags = 0; op_flags <= FUTEX_PRIVATE_FLAG; op_flags += FUTEX_PRIVATE_FLAG) {
		waiters(5, 0);
		EQ(WAKE(FUTEX_WAKE, 0), 0);
		EQ(WAKE(FUTEX_WAKE, 2), 2);
		sleep_ms(1);
		EQ(awake, 2);
		EQ(WAKE(FUTEX_WAKE, 100), 3);
		EQ(WAKE(FUTEX_WAKE, 100), 0);
		all_joined(5);
		waiters(3, 6);
		EQ(WAKE(FUTEX_WAKE_BITSET, 9, 0, 0, 1), 0);
		EQ(WAKE(FUTEX_WAKE_BITSET, 1, 0, 0, 4), 1);
		EQ(WAKE(FUTEX_WAKE_BITSET, 9, 0, 0, 3), 2);
		EQ(WAKE(FUTEX_WAKE_BITSET, 9, 0, 0, 0), -EINVAL);
		all_joined(3);
	}
	op_flags = 0;
	EQ(K(futex, P(&word), FUTEX_WAIT_BITSET, 0, 0, 0, 0), -EINVAL);
	EQ(WAKE(FUTEX_WAIT, 1, 0), -EAGAIN);
	before = now;
	EQ(WAKE(FUTEX_WAIT, 0, P(ts)), -ETIMEDOUT);
	EQ(now - before, 20 * MS);
	/* with a bitset the time is a moment */
	at[0] = (now + 30 * MS) / SEC;
	at[1] = (now + 30 * MS) % SEC;
	EQ(K(futex, P(&word), FUTEX_WAIT_BITSET, 0, P(at), 0, ~0u), -ETIMEDOUT);
	EQ(now - before, 50 * MS);
	EQ(K(futex, P(&word), FUTEX_WAIT_BITSET, 0, P(at), 0, ~0u), -ETIMEDOUT);
	EQ(now - before, 50 * MS);
	EQ(K(futex, P(&word) + 1, FUTEX_WAKE, 1), -EINVAL);
	EQ(K(futex, 64, FUTEX_WAKE, 1), -EFAULT);
	EQ(K(futex, P(&word), 60, 1), -ENOSYS);
}

static void t_futex_requeue(void)
{
	waiters(6, 0);
	word = 0;
	EQ(WAKE(FUTEX_CMP_REQUEUE, 1, 3, P(&word2), 5), -EAGAIN);
	EQ(WAKE(FUTEX_CMP_REQUEUE, 1, 3, P(&word2), 0), 4);	/* woken and moved */
	sleep_ms(1);
	EQ(awake, 1);
	EQ(K(futex, P(&word2), FUTEX_WAKE, 2), 2);
	EQ(K(futex, P(&word), FUTEX_WAKE, 9), 2);
	EQ(K(futex, P(&word2), FUTEX_WAKE, 9), 1);
	all_joined(6);
	waiters(3, 0);
	EQ(WAKE(FUTEX_REQUEUE, 0, 9, P(&word2)), 3);
	EQ(WAKE(FUTEX_WAKE, 9), 0);
	EQ(WAKE(FUTEX_REQUEUE, (u64)-1l, 9, P(&word2)), -EINVAL);
	EQ(WAKE(FUTEX_REQUEUE, 1, (u64)-1l, P(&word2)), -EINVAL);
	EQ(WAKE(FUTEX_REQUEUE, 1, 1, 64), -EFAULT);
	EQ(K(futex, P(&word2), FUTEX_WAKE, 9), 3);
	all_joined(3);
}

static u32 wake_op(u32 op, u32 oparg, u32 cmp, u32 cmparg)
{
	return (u32)FUTEX_OP(op, oparg, cmp, cmparg);
}

static void t_futex_wake_op(void)
{
	static const struct {
		u32 op, arg, before, after;
	} ops[] = {
		{ FUTEX_OP_SET, 7, 100, 7 },		{ FUTEX_OP_ADD, 5, 100, 105 },
		{ FUTEX_OP_ADD, 0xfff, 100, 99 },	{ FUTEX_OP_OR, 3, 4, 7 },
		{ FUTEX_OP_ANDN, 3, 7, 4 },		{ FUTEX_OP_XOR, 5, 6, 3 },
		{ FUTEX_OP_OR | FUTEX_OP_OPARG_SHIFT, 4, 1, 17 },
	};
	static const struct {
		u32 cmp, arg, value;
		bool yes;
	} cmps[] = {
		{ FUTEX_OP_CMP_EQ, 5, 5, true },	{ FUTEX_OP_CMP_EQ, 5, 6, false },
		{ FUTEX_OP_CMP_NE, 5, 5, false },	{ FUTEX_OP_CMP_NE, 5, 6, true },
		{ FUTEX_OP_CMP_LT, 5, 4, true },	{ FUTEX_OP_CMP_LT, 5, 5, false },
		{ FUTEX_OP_CMP_LE, 5, 5, true },	{ FUTEX_OP_CMP_GT, 5, 6, true },
		{ FUTEX_OP_CMP_GT, 5, 5, false },	{ FUTEX_OP_CMP_GE, 5, 5, true },
		{ FUTEX_OP_CMP_GE, 0xfff, 0, true },	/* is -1 */
	};
	u32 i;

	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		word2 = ops[i].before;
		EQ(WAKE(FUTEX_WAKE_OP, 1, 1, P(&word2),
			wake_op(ops[i].op, ops[i].arg, FUTEX_OP_CMP_EQ, 0)), 0);
		EQ(word2, ops[i].after);
	}
	for (i = 0; i < ARRAY_SIZE(cmps); i++) {
		/* one waiter at the second word, none at the first */
		waiters(1, 0);
		word2 = 0;
		EQ(WAKE(FUTEX_REQUEUE, 0, 1, P(&word2)), 1);
		word2 = cmps[i].value;
		EQ(WAKE(FUTEX_WAKE_OP, 1, 1, P(&word2),
			wake_op(FUTEX_OP_SET, 1, cmps[i].cmp, cmps[i].arg)), cmps[i].yes);
		EQ(word2, 1);
		if (!cmps[i].yes)
			EQ(K(futex, P(&word2), FUTEX_WAKE, 1), 1);
		all_joined(1);
	}
	waiters(2, 0);
	EQ(WAKE(FUTEX_WAKE_OP, 1, 1, P(&word2), wake_op(FUTEX_OP_SET, 0, FUTEX_OP_CMP_EQ, 1)), 1);
	EQ(WAKE(FUTEX_WAKE, 9), 1);
	all_joined(2);
	EQ(WAKE(FUTEX_WAKE_OP, 1, 1, P(&word2), 7u << 28), -ENOSYS);
	EQ(WAKE(FUTEX_WAKE_OP, 1, 1, 64, wake_op(FUTEX_OP_SET, 0, FUTEX_OP_CMP_EQ, 1)), -EFAULT);
}

static void t_futex_between_processes(void)
{
	int status;

	/* private memory: another process's word is another word, though it is the same address */
	floor_share(&word, 4);
	asleep = awake = 0;
	spawn(waits_on_word, 0);
	while (!asleep)
		K(sched_yield);
	sleep_ms(1);
	EQ(K(futex, P(&word), FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 9), 0);
	EQ(K(futex, P(&word), FUTEX_WAKE, 9), 1);
	CHECK(wait_for(-1, &status) > 0);
	EQ(status, 0);
	floor_share(NULL, 0);
	op_flags = 0;
	asleep = awake = 0;
	spawn(waits_on_word, 0);
	while (!asleep)
		K(sched_yield);
	sleep_ms(1);
	EQ(K(futex, P(&word), FUTEX_WAKE, 9), 0);
	EQ(K(kill, (u64)-1l, SIGKILL), 0);
	CHECK(wait_for(-1, &status) > 0);
	EQ(status, SIGKILL);
}

struct lock {
	u64 next;
	u32 word;
};

static struct {
	u64 first;
	s64 offset;
	u64 pending;
	struct lock lock[4];
} robust;

/* Holds 0 and 2 and is about to take 3; 1 is in the list, too, but somebody else's. */
static int dies_with_locks(u64 how)
{
	u32 tid = (u32)K(gettid), i;

	for (i = 0; i < 3; i++) {
		robust.lock[i].next = i < 2 ? P(&robust.lock[i + 1]) : P(&robust);
		robust.lock[i].word = tid;
	}
	robust.lock[0].word |= FUTEX_WAITERS;
	robust.lock[1].word = 1;
	robust.lock[3].word = tid;
	robust.first = P(&robust.lock[0]);
	robust.offset = offsetof(struct lock, word);
	robust.pending = P(&robust.lock[3]);
	EQ(K(set_robust_list, P(&robust), 23), -EINVAL);
	EQ(K(set_robust_list, P(&robust), 24), 0);
	asleep = 1;
	sleep_ms(5);
	if (how)
		K(kill, K(getpid), SIGKILL);
	return 0;
}

static int waits_for_lock(u64 flags)
{
	while (!asleep)
		K(sched_yield);
	EQ(K(futex, P(&robust.lock[0].word), FUTEX_WAIT | flags, robust.lock[0].word, 0), 0);
	awake++;
	return 0;
}

static void after_death(void)
{
	EQ(robust.lock[0].word, FUTEX_WAITERS | FUTEX_OWNER_DIED);
	EQ(robust.lock[1].word, 1);
	EQ(robust.lock[2].word, FUTEX_OWNER_DIED);
	EQ(robust.lock[3].word, FUTEX_OWNER_DIED);
}

static int has_list_at(u64 at)
{
	EQ(K(set_robust_list, at, 24), 0);
	return 0;
}

static void t_robust_list(void)
{
	u64 loop[3], wild[3] = { 0xffff888000000000, 8, 16 }, at, len;
	int status;

	asleep = awake = 0;
	spawn_thread(dies_with_locks, 0, &tids[0]);
	spawn_thread(waits_for_lock, FUTEX_PRIVATE_FLAG, &tids[1]);
	join(&tids[0]);
	join(&tids[1]);
	EQ(awake, 1);
	after_death();
	/* killed, in another process, with memory that is shared */
	floor_share(&robust, sizeof(robust));
	asleep = awake = 0;
	spawn(dies_with_locks, 1);
	spawn(waits_for_lock, 0);
	CHECK(wait_for(-1, &status) > 0);
	EQ(status, SIGKILL);
	CHECK(wait_for(-1, &status) > 0);
	EQ(awake, 1);
	after_death();
	floor_share(NULL, 0);
	/* lists that never end, or lead nowhere */
	loop[0] = P(&loop[1]);
	loop[1] = P(&loop[1]);
	loop[2] = 0;
	spawn_thread(has_list_at, P(loop), &tids[0]);
	spawn_thread(has_list_at, P(wild), &tids[1]);
	spawn_thread(has_list_at, 64, &tids[2]);
	spawn_thread(has_list_at, 0xffff888000000000, &tids[3]);
	for (status = 0; status < 4; status++)
		join(&tids[status]);
	EQ(K(set_robust_list, P(&robust), 24), 0);
	EQ(K(get_robust_list, 0, P(&at), P(&len)), 0);
	EQ(at, P(&robust));
	EQ(len, 24);
	EQ(K(get_robust_list, 9999, P(&at), P(&len)), -ESRCH);
	EQ(K(set_robust_list, 0, 24), 0);
}

/* --- time ------------------------------------------------------------------------------------- */

static void t_timers(void)
{
	u64 it[4] = { 0, 20000, 0, 50000 }, old[4], before = now;
	int i;

	set_action(SIGALRM, P(handler), 0, 0);
	EQ(K(alarm, 10), 0);
	EQ(K(alarm, 20), 10);
	EQ(K(getitimer, 0, P(old)), 0);
	EQ(old[2], 20);
	EQ(K(setitimer, 0, P(it), P(old)), 0);
	EQ(old[2], 20);
	EQ(K(pause), -EINTR);
	EQ(now - before, 50 * MS);
	EQ(handled, 1);
	for (i = 2; i < 6; i++) {
		EQ(K(pause), -EINTR);
		EQ(handled, i);
		EQ(now - before, 50 * MS + (u64)(i - 1) * 20 * MS);
	}
	/* while the program computes: by the host's timer */
	burn(19 * MS);
	EQ(handled, 5);
	burn(1 * MS);
	EQ(handled, 6);
	it[1] = it[3] = 0;
	EQ(K(setitimer, 0, P(it), 0), 0);
	burn(SEC);
	EQ(handled, 6);
	EQ(K(alarm, 1), 0);
	EQ(K(alarm, 0), 1);
	burn(2 * SEC);
	EQ(handled, 6);
	it[3] = 1000000;
	EQ(K(setitimer, 0, P(it), 0), -EINVAL);
	EQ(K(setitimer, 9, P(it), 0), -EINVAL);
}

static int sleeps_ms(u64 ms)
{
	sleep_ms(ms);
	return 0;
}

/* The host has no thread for the timer or the tick now: it is asked again. */
static void t_host_refuses_time(void)
{
	u64 it[4] = { 0, 0, 0, 20000 };
	u32 i;

	set_action(SIGALRM, P(handler), 0, 0);
	refuse_timer = refuse_tick = 1;
	EQ(K(setitimer, 0, P(it), 0), 0);
	EQ(refuse_timer, 0);
	EQ(host_timer, NO_DEADLINE);
	spawn_thread(sleeps_ms, 30, &tids[0]);
	K(sched_yield);
	burn(20 * MS);
	EQ(handled, 1);
	join(&tids[0]);
	EQ(refuse_tick, 0);
	for (i = 0; i < 2; i++)
		spawn_thread(computes, i, &tids[i]);
	for (i = 0; i < 100 && turns[0] + turns[1] < 100; i++)
		burn(10 * MS);
	for (i = 0; i < 2; i++)
		join(&tids[i]);
	EQ(turns[0] + turns[1], 100);
}

static u32 order[50], norder;

static int sleeps_then_notes(u64 ms)
{
	sleep_ms(ms);
	order[norder++] = (u32)ms;
	return 0;
}

static int alarm_is_not_inherited(u64 arg)
{
	u64 it[4];

	(void)arg;
	EQ(K(getitimer, 0, P(it)), 0);
	EQ(it[2] + it[3], 0);
	sleep_ms(3000);
	return 4;
}

static void t_timer_order(void)
{
	u64 x = 12345, before = now, ts[2] = { 0, 100 * MS }, rem[2] = { 9, 9 };
	int status;
	u32 i;

	for (i = 0; i < 50; i++) {
		x = x * 6364136223846793005ull + 1442695040888963407ull;
		spawn(sleeps_then_notes, (x >> 33) % 1000 + 1);
	}
	while (wait_for(-1, &status) > 0)
		EQ(status, 0);
	EQ(norder, 50);
	for (i = 1; i < norder; i++)
		CHECK(order[i - 1] <= order[i]);
	EQ(now - before, order[49] * MS);
	/* a child has no alarm of its parent's */
	EQ(K(alarm, 1), 0);
	set_action(SIGALRM, P(handler), SA_RESTART, 0);
	spawn(alarm_is_not_inherited, 0);
	CHECK(wait_for(-1, &status) > 0);
	EQ(status, EXIT(4));
	EQ(handled, 1);
	/* a sleep that is cut short says how much is left */
	spawn(interrupts_parent, SIGALRM);
	EQ(K(nanosleep, P(ts), P(rem)), -EINTR);
	EQ(rem[0], 0);
	EQ(rem[1], 95 * MS);
	CHECK(wait_for(-1, &status) > 0);
}

/* --- numbers ---------------------------------------------------------------------------------- */

static int leads_group(u64 arg)
{
	(void)arg;
	EQ(K(setpgid, 0, 0), 0);
	spawn(loops, 0);	/* stays in the group when its leader has gone */
	return 0;
}

static void t_pid_wrap(void)
{
	u32 seen_low = ~0u, i, collisions = 0;
	long group, keep, pid = 0;
	bool wrapped = false;
	int status;

	keep = spawn(loops, 0);
	group = spawn(leads_group, 0);
	EQ(wait_for(group, &status), group);
	for (i = 0; i < 33000; i++) {
		long last = pid;

		pid = spawn(exits_with, 0);
		if (pid < last)
			wrapped = true;
		if (wrapped && (u32)pid < seen_low)
			seen_low = (u32)pid;
		collisions += pid == keep || pid == group || pid == 4711 || pid == 1 || pid <= 0;
		if (wait_for(pid, &status) != pid)
			break;
	}
	EQ(i, 33000);
	CHECK(wrapped);
	EQ(seen_low, 300);
	EQ(collisions, 0);
	EQ(K(kill, (u64)-group, SIGKILL), 0);
	EQ(K(kill, (u64)keep, SIGKILL), 0);
	CHECK(wait_for(-1, &status) > 0);
	CHECK(wait_for(-1, &status) > 0);
	EQ(process_count(), 1);
}

static int bomb(u64 depth)
{
	u32 i;

	for (i = 0; i < 3; i++)
		if (depth && spawn(bomb, depth - 1) == -EAGAIN)
			progress++;
	K(pause);
	return 0;
}

static void t_pids_limit(void)
{
	long pid[10];
	int status;
	u32 i;

	floor_boot.max_pids = 10;
	for (i = 0; i < 9; i++) {
		pid[i] = spawn(loops, 0);
		CHECK(pid[i] > 0);
	}
	EQ(spawn(loops, 0), -EAGAIN);
	EQ(spawn_thread(adds, 1, &tids[0]), -EAGAIN);
	EQ(process_count(), 10);
	/* a zombie still has its number */
	EQ(K(kill, (u64)pid[3], SIGKILL), 0);
	sleep_ms(1);
	EQ(process_find((u32)pid[3])->state, PROCESS_ZOMBIE);
	EQ(spawn(loops, 0), -EAGAIN);
	EQ(wait_for(pid[3], &status), pid[3]);
	/* threads count as well */
	CHECK(spawn_thread(adds, 1, &tids[0]) > 0);
	EQ(spawn(loops, 0), -EAGAIN);
	join(&tids[0]);
	K(kill, (u64)-1l, SIGKILL);
	for (i = 0; i < 8; i++)
		CHECK(wait_for(-1, &status) > 0);
	/* a fork bomb: all of it can be killed */
	floor_boot.max_pids = 200;
	spawn(bomb, 20);
	sleep_ms(1);
	EQ(process_count(), 200);
	CHECK(progress > 0);
	EQ(spawn(bomb, 1), -EAGAIN);
	K(kill, (u64)-1l, SIGKILL);
	while (wait_for(-1, &status) > 0)
		;
	EQ(process_count(), 1);
}

static void t_many(void)
{
	static long pid[1000];
	int status;
	u32 i, k;

	for (i = 0; i < 1000; i++)
		CHECK((pid[i] = spawn(loops, 0)) > 0);
	EQ(process_count(), 1001);
	/* they end in an order of its own: 7 is prime to 1000 */
	for (i = 0; i < 1000; i++) {
		k = (i * 7 + 3) % 1000;
		EQ(K(kill, (u64)pid[k], SIGKILL), 0);
		if (i % 2)
			EQ(wait_for(pid[k], &status), pid[k]);
	}
	for (i = 0; i < 500; i++)
		CHECK(wait_for(-1, &status) > 0);
	EQ(wait_for(-1, &status), -ECHILD);
	EQ(process_count(), 1);
}

/* --- descriptors, directory, mask ------------------------------------------------------------- */

static int fds[2];

static int changes_things(u64 arg)
{
	char here[256];

	(void)arg;
	EQ(K(umask, 077), 022);
	EQ(K(chdir, P("/usr")), 0);
	EQ(K(stat, P("lib"), P(here)), 0);	/* relative to it */
	CHECK(getcwd(here, sizeof(here)) && !strcmp(here, "/usr"));
	EQ(K(close, fds[0]), 0);
	EQ(K(dup2, fds[1], 9), 9);
	sleep_ms(5);
	EQ(K(umask, 0), 077);
	return 0;
}

static int closes_shared(u64 arg)
{
	(void)arg;
	EQ(K(close, fds[0]), 0);
	return 0;
}

static void t_what_is_inherited(void)
{
	char here[256], there[256], b;
	int status;
	long pid;

	CHECK(getcwd(here, sizeof(here)));
	EQ(K(umask, 022), floor_boot.umask);
	EQ(K(pipe, P(fds)), 0);
	pid = spawn(changes_things, 0);
	sleep_ms(1);
	/* nothing of it is seen here; the host's directory follows who asks */
	EQ(K(umask, 022), 022);
	EQ(K(access, P("."), 0), 0);
	CHECK(getcwd(there, sizeof(there)) && !strcmp(here, there));
	EQ(K(fcntl, 9, F_GETFD), -EBADF);
	EQ(K(fcntl, fds[0], F_GETFD), 0);
	EQ(wait_for(pid, &status), pid);
	EQ(status, 0);
	EQ(process_first()->files->slot[fds[0]]->refs, 1);
	EQ(K(write, fds[1], P("x"), 1), 1);
	EQ(K(read, fds[0], P(&b), 1), 1);
	/* CLONE_FILES: one table */
	pid = call(__NR_clone, (u64[6]){ CLONE_VM | CLONE_FILES | SIGCHLD }, closes_shared, 0);
	EQ(wait_for(pid, &status), pid);
	EQ(K(fcntl, fds[0], F_GETFD), -EBADF);
	EQ(process_first()->files->refs, 1);
	EQ(K(close, fds[1]), 0);
}

/* --- /proc ------------------------------------------------------------------------------------ */

/* What is in the file, as text; NULL when it cannot be opened. */
static const char *slurp(const char *path)
{
	static char text[65536];
	long fd = K(openat, (u64)AT_FDCWD, P(path), O_RDONLY), n, all = 0;

	if (fd < 0)
		return NULL;
	while ((n = K(read, (u64)fd, P(text + all), sizeof(text) - 1 - (u64)all)) > 0)
		all += n;
	text[all] = 0;
	EQ(K(close, (u64)fd), 0);
	return text;
}

static const char *slurp_of(long pid, const char *name)
{
	char path[64];

	rs_snprintf(path, sizeof(path), "/proc/%ld/%s", pid, name);
	return slurp(path);
}

/* Field @n (from 1) of a process's stat; the second one has no blanks here. */
static const char *field(long pid, int n)
{
	static char text[4][64];
	static int turn;
	const char *s = slurp_of(pid, "stat");
	char *to = text[turn++ % 4];

	while (s && --n)
		s = strchr(s, ' ') ? strchr(s, ' ') + 1 : NULL;
	rs_snprintf(to, 64, "%.*s", s ? (int)(strchrnul(s, ' ') - s) : 0, s ? s : "");
	return to;
}

#define FIELD(pid, n, want) CHECK(!strcmp(field(pid, n), want))

/* The names in a directory, each followed by a blank, in order, read in pieces of @piece bytes. */
static const char *list_dir(const char *path, u64 piece)
{
	static char names[65536];
	long fd = K(openat, (u64)AT_FDCWD, P(path), O_RDONLY | O_DIRECTORY), n, at;
	size_t len = 0;
	u8 buf[4096];
	s64 off = 0;

	names[0] = 0;
	if (fd < 0)
		return NULL;
	while ((n = K(getdents64, (u64)fd, P(buf), piece)) > 0)
		for (at = 0; at < n; at += *(u16 *)(buf + at + 16)) {
			CHECK(*(s64 *)(buf + at + 8) > off);
			off = *(s64 *)(buf + at + 8);
			len += (size_t)rs_snprintf(names + len, sizeof(names) - len, "%s ",
						   (char *)buf + at + 19);
		}
	EQ(n, 0);
	EQ(K(lseek, (u64)fd, 0, 0), 0);
	EQ(K(getdents64, (u64)fd, P(buf), 16), -EINVAL);
	EQ(K(getdents64, (u64)fd, 64, piece), -EFAULT);
	CHECK(K(getdents64, (u64)fd, P(buf), piece) > 0);
	EQ(K(read, (u64)fd, P(buf), 1), -EISDIR);
	EQ(K(close, (u64)fd), 0);
	return names;
}

static int has_descriptors(u64 arg)
{
	(void)arg;
	EQ(K(dup2, 0, 20), 20);
	EQ(K(chdir, P("/usr")), 0);
	K(prctl, PR_SET_NAME, P("a-name"));
	spawn_thread(sleeps_for_ever, 0, &tids[0]);
	set_action(10, P(handler), 0, 0);
	set_action(12, SIG_IGN, 0, 0);
	set_blocked(SIGBIT(14));
	sleep_ms(1000);
	return 0;
}

static void t_proc_files(void)
{
	long self = K(getpid), a, b, z;
	char want[128], link[256];
	const char *s;
	int status;
	u8 st[144];
	u32 i;

	a = spawn(has_descriptors, 0);
	b = spawn(stops_itself, SIGSTOP);
	z = spawn(exits_with, 5);
	sleep_ms(10);
	/* all of them are there, and nobody else is */
	rs_snprintf(want, sizeof(want), "%ld %ld %ld %ld ", self, a, b, z);
	for (i = 32; i < 4096; i *= 2) {
		s = list_dir("/proc", i);
		CHECK(s && !strncmp(s, ". .. ", 5) && strstr(s, " self ") && strstr(s, " meminfo "));
		CHECK(s && strstr(s, want) && strlen(strstr(s, want)) == strlen(want));
	}
	EQ(K(open, P("/proc/1/stat"), 0), -ENOENT);
	EQ(K(open, P("/proc/1"), 0), -ENOENT);
	EQ(K(open, P("/proc/99999/stat"), 0), -ENOENT);
	EQ(K(stat, P("/proc/2"), P(st)), -ENOENT);
	EQ(K(open, P("/proc/4711x/stat"), 0), -ENOENT);
	EQ(K(open, P("/proc/../proc/./1//stat"), 0), -ENOENT);
	EQ(K(open, P("/proc/self/root/../proc/1/stat"), 0), -ENOENT);
	/* states, relations */
	FIELD(self, 3, "R");
	FIELD(a, 3, "S");
	FIELD(b, 3, "T");
	FIELD(z, 3, "Z");
	FIELD(a, 4, "4711");
	FIELD(a, 5, "4711");
	FIELD(a, 6, "1");
	FIELD(a, 38, "17");
	FIELD(z, 52, "1280\n");
	CHECK(!strcmp(slurp_of(a, "comm"), "a-name\n"));
	s = slurp_of(a, "status");
	CHECK(strstr(s, "Name:\ta-name\n") && strstr(s, "State:\tS (sleeping)\n"));
	CHECK(strstr(s, "PPid:\t4711\n") && strstr(s, "Threads:\t2\n"));
	CHECK(strstr(s, "SigBlk:\t0000000000002000\n"));
	CHECK(strstr(s, "SigIgn:\t0000000000000800\n"));
	CHECK(strstr(s, "SigCgt:\t0000000000000200\n"));
	CHECK(strstr(slurp_of(z, "status"), "State:\tZ (zombie)\n"));
	EQ(*slurp_of(z, "cmdline"), 0);
	EQ(*slurp_of(z, "maps"), 0);
	rs_snprintf(want, sizeof(want), "%ld %ld %ld ", a, b, z);
	rs_snprintf(link, sizeof(link), "task/%ld/children", self);
	CHECK(!strcmp(slurp_of(self, link), want));
	/* descriptors, directory, threads of another process */
	rs_snprintf(want, sizeof(want), "/proc/%ld/fd", a);
	CHECK(!strcmp(list_dir(want, 1000), ". .. 0 1 2 20 "));
	rs_snprintf(want, sizeof(want), "/proc/%ld/cwd", a);
	EQ(K(readlink, P(want), P(link), sizeof(link)), 4);
	CHECK(!memcmp(link, "/usr", 4));
	EQ(K(access, P("."), 0), 0);	/* and we are still where we were */
	rs_snprintf(want, sizeof(want), "/proc/%ld/cwd/lib", a);
	EQ(K(stat, P(want), P(st)), 0);
	EQ(*(u32 *)(st + 24) & 0170000, 0040000);
	rs_snprintf(want, sizeof(want), "/proc/%ld/task", a);
	rs_snprintf(link, sizeof(link), ". .. %ld %u ", a, tids[0]);
	CHECK(!strcmp(list_dir(want, 100), link));
	rs_snprintf(link, sizeof(link), "task/%u/status", tids[0]);
	rs_snprintf(want, sizeof(want), "Tgid:\t%ld\nNgid:\t0\nPid:\t%u\n", a, tids[0]);
	CHECK(strstr(slurp_of(a, link), want));
	rs_snprintf(link, sizeof(link), "task/%ld/stat", b);
	CHECK(!slurp_of(a, link));
	/* metadata, links */
	rs_snprintf(want, sizeof(want), "/proc/%ld", a);
	EQ(K(stat, P(want), P(st)), 0);
	EQ(*(u32 *)(st + 24), 0040555);
	EQ(*(u32 *)(st + 28), 1000);
	EQ(K(lstat, P("/proc/self"), P(st)), 0);
	EQ(*(u32 *)(st + 24), 0120777);
	EQ(K(stat, P("/proc/self"), P(st)), 0);
	EQ(*(u32 *)(st + 24), 0040555);
	EQ(K(readlink, P("/proc/self"), P(link), sizeof(link)), 4);
	CHECK(!memcmp(link, "4711", 4));
	EQ(K(readlink, P("/proc/self/stat"), P(link), sizeof(link)), -EINVAL);
	EQ(K(open, P("/proc/self/stat/x"), 0), -ENOTDIR);
	EQ(K(open, P("/proc/self/stat/"), 0), -ENOTDIR);
	EQ(K(open, P("/proc/self/stat"), O_DIRECTORY), -ENOTDIR);
	EQ(K(open, P("/proc/self"), O_RDWR), -EISDIR);
	EQ(K(open, P("/proc/self"), O_NOFOLLOW), -ELOOP);
	EQ(K(access, P("/proc/self/stat"), 4), 0);
	EQ(K(access, P("/proc/self/stat"), 2), -EACCES);
	EQ(K(access, P("/proc/self/nothing"), 0), -ENOENT);
	/* a place to be, and names relative to it */
	EQ(K(chdir, P("/proc/self/fd/..")), 0);
	EQ(K(getcwd, P(link), sizeof(link)), 11);
	CHECK(!strcmp(link, "/proc/4711"));
	EQ(K(getcwd, P(link), 5), -ERANGE);
	CHECK(slurp("stat") && slurp("../self/stat") && slurp("./task/4711/stat"));
	EQ(K(mkdir, P("x"), 0777), -ENOENT);
	EQ(K(chdir, P("..")), 0);
	EQ(K(stat, P("self/status"), P(st)), 0);
	EQ(K(chdir, P("../usr")), 0);
	EQ(K(stat, P("lib"), P(st)), 0);
	status = (int)K(open, P("/proc"), O_RDONLY | O_DIRECTORY);
	EQ(K(newfstatat, (u64)status, P("self/stat"), P(st), 0), 0);
	EQ(K(openat, (u64)status, P("1/stat"), O_RDONLY), -ENOENT);
	EQ(K(newfstatat, (u64)status, P(""), P(st), AT_EMPTY_PATH), 0);
	EQ(*(u32 *)(st + 24), 0040555);
	EQ(K(fstat, (u64)status, P(st)), 0);
	EQ(*(u32 *)(st + 24), 0040555);
	EQ(K(fchdir, (u64)status), 0);
	EQ(K(stat, P("uptime"), P(st)), 0);
	EQ(K(close, (u64)status), 0);
	EQ(K(chdir, P("/")), 0);
	/* the machine's */
	CHECK(slurp("/proc/uptime") && strchr(slurp("/proc/uptime"), '.'));
	CHECK(strstr(slurp("/proc/meminfo"), "MemTotal:"));
	CHECK(strstr(slurp("/proc/stat"), "btime ") && strstr(slurp("/proc/loadavg"), "/4 "));
	CHECK(!strncmp(slurp("/proc/version"), "Linux version ", 14));
	K(kill, (u64)-1l, SIGKILL);
	for (i = 0; i < 3; i++)
		CHECK(wait_for(-1, &status) > 0);
	EQ(K(open, P("/proc/4712"), 0), -ENOENT);
}

/* Names made of parts that mean something, in all orders: nothing but an answer may come of it. */
static void t_proc_names(void)
{
	static const char *const parts[] = {
		"/", "//", ".", "..", "proc", "self", "4711", "1", "fd", "0", "77", "task", "stat",
		"cwd", "root", "exe", "thread-self", "mounts", "nothing", "usr", "00", "-1",
		"18446744073709551617",
	};
	char path[512];
	u64 x = 1, i;
	u8 st[256];
	size_t n;

	K(chdir, P("/proc"));
	for (i = 0; i < 200000; i++) {
		path[0] = 0;
		for (n = 0; n < sizeof(path) - 40;) {
			x = x * 6364136223846793005ull + 1442695040888963407ull;
			n += (size_t)rs_snprintf(path + n, sizeof(path) - n, "%s%s",
						 n || x >> 63 ? "/" : "",
						 parts[(x >> 33) % ARRAY_SIZE(parts)]);
			if ((x >> 25) % 6 == 0)
				break;
		}
		switch (i % 4) {
		case 0: K(stat, P(path), P(st)); break;
		case 1: K(lstat, P(path), P(st)); break;
		case 2: K(readlink, P(path), P(st), sizeof(st)); break;
		case 3: {
			long fd = i % 32 == 3 ? K(open, P(path), O_RDONLY | O_NONBLOCK) : -1;

			if (fd >= 0)
				K(close, (u64)fd);
			break;
		}
		}
	}
	K(chdir, P("/"));
}

/* --- calls by helpers ------------------------------------------------------------------------- */

static int reads_pipe(u64 arg)
{
	char b = 0;
	long n = K(read, fds[0], P(&b), 1);

	(void)arg;
	if (n == 1)
		return b;
	return n == -EINTR ? 100 : 101;
}

static void t_helpers(void)
{
	int status, i, out;
	long pid[6];

	EQ(K(socketpair, 1, 1, 0, P(fds)), 0);
	out = fd_host(process_first()->files, (u64)fds[1]);
	/* more of them than slots */
	for (i = 0; i < 6; i++)
		pid[i] = spawn(reads_pipe, 0);
	progress = 0;
	adds(10);	/* everybody else runs meanwhile */
	EQ(progress, 10);
	/* from outside: in here, even the write would need a slot */
	for (i = 0; i < 6; i++)
		EQ(syscall(__NR_write, (long)out, &(char){ 'a' + (char)i }, 1ul), 1);
	u32 seen = 0;

	for (i = 0; i < 6; i++) {
		CHECK(wait_for(-1, &status) > 0);
		CHECK(!(status & 0xff) && status >> 8 >= 'a' && status >> 8 <= 'f');
		seen |= 1u << (status >> 8) % 32;
	}
	EQ(__builtin_popcount(seen), 6);	/* none lost, none twice */
	CHECK(submits >= 6);
	/* a signal ends such a call; what it was for is not taken from the pipe */
	set_action(10, P(handler), 0, 0);
	pid[0] = spawn(reads_pipe, 0);
	sleep_ms(1);
	EQ(K(kill, (u64)pid[0], 10), 0);
	EQ(wait_for(-1, &status), pid[0]);
	EQ(status, EXIT(100));
	EQ(cancels, 1);
	set_action(10, P(handler), SA_RESTART, 0);
	pid[0] = spawn(reads_pipe, 0);
	sleep_ms(1);
	EQ(K(kill, (u64)pid[0], 10), 0);
	sleep_ms(1);
	EQ(syscall(__NR_write, (long)out, "z", 1ul), 1);
	EQ(wait_for(-1, &status), pid[0]);
	EQ(status, EXIT('z'));
	EQ(handled, 2);
	/* killed while the helper has it */
	pid[0] = spawn(reads_pipe, 0);
	sleep_ms(1);
	EQ(K(kill, (u64)pid[0], SIGKILL), 0);
	EQ(wait_for(-1, &status), pid[0]);
	EQ(status, SIGKILL);
	for (i = 0; i < NSLOTS; i++)
		EQ(slots[i].state, RS_SLOT_FREE);
	EQ(K(close, fds[0]), 0);
	EQ(K(close, fds[1]), 0);
}

/* --- memory that is not there ----------------------------------------------------------------- */

static void t_no_memory(void)
{
	u64 began = rdtsc() - process_usage(current_proc()).user_tsc;
	u32 tid = 0, kinds;
	long n, ret, objects, stacks, mms;
	int status;

	spawn(exits_with, 0);	/* a stack to keep */
	wait_for(-1, &status);
	for (kinds = 0; kinds < 2; kinds++) {
		for (n = 0;; n++) {
			objects = live_objects;
			mms = live_mms;
			stacks = floor_stacks();
			floor_fail_in = n;
			ret = kinds ? spawn_thread(adds, 0, &tid) : spawn(exits_with, 3);
			floor_fail_in = -1;
			if (ret > 0)
				break;
			EQ(ret, -ENOMEM);
			EQ(live_objects, objects);
			EQ(live_mms, mms);
			CHECK(floor_stacks() >= stacks && floor_stacks() <= stacks + 1);
			EQ(process_count(), 1);
			if (n > 100)
				break;
		}
		CHECK(n >= 2 && n < 100);
		/* a thread that never ran has used nothing */
		CHECK(process_usage(current_proc()).user_tsc <= rdtsc() - began);
		if (kinds) {
			join(&tid);
		} else {
			EQ(wait_for(ret, &status), ret);
			EQ(status, EXIT(3));
		}
	}
}

/* Ends last, so it has to have what the first thread has: see floor_user(). */
static int uses_path_and_sleeps(u64 arg)
{
	EQ(K(access, P("."), 0), 0);
	return sleeps_for_ever(arg);
}

/* The first process ends while others are still there: the frame of every test looks for leaks. */
static void t_end_with_others(void)
{
	u32 i;

	for (i = 0; i < 5; i++)
		spawn(loops, 0);
	spawn(with_sleeping_threads, 9);
	spawn(stops_itself, SIGSTOP);
	spawn(exits_with, 1);
	spawn_thread(uses_path_and_sleeps, 0, &tids[5]);
	sleep_ms(5);
	K(exit_group, 0);
}

/* --- upcalls ---------------------------------------------------------------------------------- */

/* The same with numbers that cannot wrap. */
static bool place(const struct upcall_stack *s, u64 rsp, u64 room, u64 *at)
{
	bool on = rsp > s->lo && rsp <= s->hi;
	__int128 top = on ? (__int128)rsp - 136 : s->used ? (__int128)s->used - 136 : s->hi;

	top -= (top % 64 + 64) % 64;
	top -= sizeof(struct rs_trap_frame);
	*at = (u64)top;
	return top >= 0 && top <= s->hi && top - s->lo >= (__int128)room;
}

static void t_upcall_place(void)
{
	static const struct {
		struct upcall_stack s;
		u64 rsp, room;
		bool fits;
		u64 at;
	} rows[] = {
		/* nothing in use; its top, and one above and below its ends */
		{ { .lo = 0x10000, .hi = 0x20000 }, 0x50000, 4096, true, 0x1ff40 },
		{ { .lo = 0x10000, .hi = 0x20000 }, 0x10000, 4096, true, 0x1ff40 },
		{ { .lo = 0x10000, .hi = 0x20000 }, 0x20001, 4096, true, 0x1ff40 },
		{ { .lo = 0x10000, .hi = 0x20000 }, 0x20000, 4096, true, 0x1fe80 },
		{ { .lo = 0x10000, .hi = 0x20000 }, 0x10001, 0, false, 0 },
		/* nested: 128 bytes of red zone, the word below, 64 for the alignment */
		{ { .lo = 0x10000, .hi = 0x20000 }, 0x18000, 4096, true, 0x17e80 },
		{ { .lo = 0x10000, .hi = 0x20000 }, 0x18007, 4096, true, 0x17e80 },
		{ { .lo = 0x10000, .hi = 0x20000 }, 0x18008, 4096, true, 0x17ec0 },
		/* the last that has room */
		{ { .lo = 0x10000, .hi = 0x20000 }, 0x11188, 4096, true, 0x11040 },
		{ { .lo = 0x10000, .hi = 0x20000 }, 0x11147, 4096, false, 0 },
		{ { .lo = 0x10000, .hi = 0x20000 }, 0x11148, 4096, true, 0x11000 },
		{ { .lo = 0x10000, .hi = 0x20000 }, 0x20000, 0xfe80, true, 0x1fe80 },
		{ { .lo = 0x10000, .hi = 0x20000 }, 0x20000, 0xfe81, false, 0 },
		/* in use by whom a signal handler elsewhere has interrupted */
		{ { .lo = 0x10000, .hi = 0x20000, .used = 0x18008 }, 0x50000, 0, true, 0x17ec0 },
		{ { .lo = 0x10000, .hi = 0x20000, .used = 0x10080 }, 0x50000, 0, false, 0 },
		{ { .lo = 0x10000, .hi = 0x20000, .used = 0x10080 }, 0x18008, 0, true, 0x17ec0 },
		/* at the ends of the address space */
		{ { .lo = 0, .hi = 1024 }, 200, 0, false, 0 },
		{ { .lo = 0, .hi = 1024 }, 0, 0, true, 832 },
		{ { .lo = 0, .hi = 64 }, ~0ull, 0, false, 0 },
		{ { .lo = ~0ull - 1024, .hi = ~0ull }, 5, 512, true, 0xffffffffffffff00 },
	};
	u64 seed = 1, at, want;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		EQ(upcall_place(&rows[i].s, rows[i].rsp, rows[i].room, &at), rows[i].fits);
		if (rows[i].fits)
			EQ(at, rows[i].at);
	}
	for (i = 0; i < 300000; i++) {
		struct upcall_stack s = { 0 };
		u64 rsp, room;

#define RANDOM(n) ((seed = seed * 6364136223846793005ull + 1442695040888963407ull) >> 20 & (n))
		s.lo = RANDOM(3) ? RANDOM(0xffff) : 0ull - 70000 + RANDOM(0xffff);
		s.hi = s.lo + 1024 + RANDOM(0xfff);
		if (s.hi < s.lo)
			s.hi = ~0ull;
		s.used = RANDOM(3) ? 0 : s.lo + 1 + RANDOM(0x3ff);
		rsp = s.lo - 300 + RANDOM(0x1fff);
		room = RANDOM(3) ? RANDOM(0xfff) : RANDOM((1 << 20) - 1);
		if (upcall_place(&s, rsp, room, &at) != place(&s, rsp, room, &want) ||
		    (upcall_place(&s, rsp, room, &at) && at != want)) {
			printf("#   (%#lx, %#lx] used %#lx, rsp %#lx, room %lu\n", s.lo, s.hi,
			       s.used, rsp, room);
			failures++;
			break;
		}
	}
}

#define ALARM(us) call(RS_SYS_ALARM, (u64[6]){ us }, NULL, 0)

static struct { u8 bytes[65536]; } trap_stack __attribute__((aligned(64)));
static u64 alarms;
static u32 alarm_depth, alarm_takes;

static void compute(u64 ms)
{
	for (; ms; ms--) {
		hosted_tsc += MS;
		burn(MS);
	}
}

static void on_alarm(const struct rs_trap_frame *f)
{
	alarms++;
	EQ(f->vector, RS_VECTOR_ALARM);
	EQ(f->cause, RS_CAUSE_ALARM);
	EQ(f->addr | f->error, 0);
	EQ(f->rip, IN_LOOP);
	EQ(alarm_depth++, 0);
	compute(alarm_takes);
	alarm_depth--;
}

static int has_no_alarm(u64 arg)
{
	(void)arg;
	CHECK(!current()->alarm);
	compute(20);
	return 0;
}

static void program_alarm(void)
{
	CHECK(!current()->alarm && !current()->upcall_stack.hi);
	K(exit_group, 4);
}

static int executes_with_alarm(u64 arg)
{
	(void)arg;
	EQ(ALARM(1000), 0);
	CHECK(current()->alarm);
	exec_program = program_alarm;
	EQ(K(execve, P("/program"), 0, 0), 0);
	return 1;
}

static int ends_with_alarm(u64 arg)
{
	call(RS_SYS_UPCALL_STACK, (u64[6]){ arg, 4096 }, NULL, 0);
	EQ(ALARM(1000), 0);
	CHECK(current()->alarm);
	return 0;
}

static void t_alarm(void)
{
	u64 n;
	int status;
	u32 tid;

	EQ(ALARM(2000), -EINVAL);
	upcall = on_alarm;
	EQ(call(RS_SYS_UPCALL, (u64[6]){ P(upcall), RS_UPCALL_ALARM }, NULL, 0), 0);
	EQ(ALARM(2000), -EINVAL);
	EQ(call(RS_SYS_UPCALL_STACK, (u64[6]){ P(&trap_stack), sizeof(trap_stack) }, NULL, 0), 0);
	floor_fail_in = 0;
	EQ(ALARM(2000), -ENOMEM);
	floor_fail_in = -1;
	EQ(ALARM(2000), 0);
	compute(1);
	EQ(alarms, 0);
	compute(1);
	EQ(alarms, 1);
	compute(10);
	EQ(alarms, 6);
	/* nobody's CPU time */
	sleep_ms(100);
	EQ(alarms, 6);
	compute(1);
	EQ(alarms, 6);
	compute(1);
	EQ(alarms, 7);
	/* not while it has not come back, however long that takes; then soon, and once */
	alarm_takes = 20;
	compute(2);
	EQ(alarms, 8);
	alarm_takes = 0;
	compute(1);
	EQ(alarms, 9);
	compute(1);
	EQ(alarms, 9);
	compute(1);
	EQ(alarms, 10);
	/* children have none, and what other processes use is not counted */
	n = spawn(has_no_alarm, 0);
	EQ(wait_for(n, &status), n);
	EQ(status, 0);
	n = spawn(executes_with_alarm, 0);
	EQ(wait_for(n, &status), n);
	EQ(status, EXIT(4));
	EQ(spawn_thread(ends_with_alarm, P(&trap_stack), &tid) > 0, 1);
	join(&tid);
	compute(1);
	EQ(alarms, 10);
	EQ(ALARM(7), 2000);
	EQ(ALARM(0), 7);
	compute(20);
	EQ(alarms, 10);
	/* one that is due when nobody takes it is lost, and the next is not */
	EQ(ALARM(2000), 0);
	EQ(call(RS_SYS_UPCALL, (u64[6]){ P(upcall), 0 }, NULL, 0), 0);
	compute(2);
	EQ(call(RS_SYS_UPCALL, (u64[6]){ P(upcall), RS_UPCALL_ALARM }, NULL, 0), 0);
	compute(1);
	EQ(alarms, 10);
	compute(1);
	EQ(alarms, 11);
}

/* --- the frame -------------------------------------------------------------------------------- */

static const struct {
	const char *name;
	void (*fn)(void);
} tests[] = {
#define T(n) { #n, t_##n }
	T(fork_and_wait), T(orphans), T(vfork), T(vfork_parent_killed), T(vfork_child_reaped),
	T(vfork_thread), T(clone_arguments), T(clone_while_ending), T(unstarted), T(makers_that_go),
	T(unstarted_and_threads), T(host_refuses_time), T(threads), T(round_robin),
	T(wait_selection), T(wait_interrupted), T(realtime_queue), T(thread_signals),
	T(stop_and_continue), T(groups), T(futex_wake), T(futex_requeue), T(futex_wake_op),
	T(futex_between_processes), T(robust_list), T(timers), T(timer_order), T(pid_wrap),
	T(pids_limit), T(many), T(what_is_inherited), T(proc_files), T(proc_names), T(helpers), T(no_memory), T(end_with_others),
	T(upcall_place), T(alarm),
};

static u32 number;
static long objects_at_end = -1;	/* what the first process itself leaves */

void floor_user(struct thread *t)
{
	struct user u;
	program fn = (program)t->frame->rbx;
	int ret = 0;

	u.rsp = P(u.stack + sizeof(u.stack));
	*user_slot(t) = &u;
	if (fn) {
		ret = fn(t->frame->rbp);
	} else {
		/* What the first use of a path and of a handler leaves is there in every test. */
		EQ(K(access, P("."), 0), 0);
		set_action(10, P(handler), 0, 0);
		EQ(K(kill, K(getpid), 10), 0);
		EQ(handled, 1);
		handled = 0;
		set_action(10, SIG_DFL, 0, 0);
		if (number < ARRAY_SIZE(tests))
			tests[number].fn();
	}
	K(exit, (u64)ret);
	abort();
}

static void __noreturn ended(int status)
{
	EQ(status, 0);
	EQ(live_mms, 0);
	EQ(live_segs, 0);
	EQ(floor_stacks(), 2);	/* this one, and the boot's */
	EQ(floor_pages(), 0);
	EQ(process_count(), 1);
	if (objects_at_end < 0)
		_exit((int)live_objects);
	EQ(live_objects, objects_at_end);
	fflush(stdout);
	_exit(!!failures);
}

static void __noreturn begin(u32 n)
{
	number = n;
	floor_init();
	floor_boot.flags = RS_BOOT_DEBUG;
	floor_boot.nslots = NSLOTS;
	floor_boot.slots_gpa = P(slots);
	host_hook = host;
	floor_on_exit = ended;
	floor_run(NULL);
}

static int sandbox(u32 n)
{
	int status = -1, pid;

	fflush(stdout);
	pid = fork();
	if (!pid)
		begin(n);
	waitpid(pid, &status, 0);
	return status;
}

/* With a-name: that test only, in this process, for a debugger. */
int main(int argc, char **argv)
{
	bool failed = false;
	u32 i;

	setvbuf(stdout, NULL, _IOLBF, 0);
	objects_at_end = sandbox(~0u) >> 8;
	printf("TAP version 13\n1..%zu\n", ARRAY_SIZE(tests));
	for (i = 0; argc > 1 && i < ARRAY_SIZE(tests); i++)
		if (!strcmp(argv[1], tests[i].name))
			begin(i);
	for (i = 0; i < ARRAY_SIZE(tests); i++) {
		int status = sandbox(i);
		bool ok = !status;

		if (status & 0xff)
			printf("#   wait status %#x\n", status);
		printf("%s %u - %s\n", ok ? "ok" : "not ok", i + 1, tests[i].name);
		failed |= !ok;
	}
	return failed;
}
