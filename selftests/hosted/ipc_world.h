/* SPDX-License-Identifier: MIT */
/*
 * ipc_world.h - ring 3 and the host for the tests of ports and messages
 *
 * Programs are C functions and all processes have the same memory, as in process_test.c; time
 * stands still but when everybody sleeps, and a sleep that nothing could end is a failure. To be included
 * once, by a test that has all_tests().
 */
#ifndef HOSTED_IPC_WORLD_H
#define HOSTED_IPC_WORLD_H

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

#include "seeded.h"

/* --- ring 3 ---------------------------------------------------------------------------------- */

struct user {
	u64 rsp;
	u8 stack[16384] __attribute__((aligned(64)));
};

static struct user **user_slot(struct thread *t)
{
	return (struct user **)((char *)t->kstack + KSTACK_FREE);
}

static void maybe_work(struct thread *t)
{
	if (t->work || floor_shared.pending)
		rs_return_to_user(t->frame);
}

/* A call with all its registers, @r, which has those it comes back with; handlers run, too. */
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

/* --- the host -------------------------------------------------------------------------------- */

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

/* --- a port, and handlers -------------------------------------------------------------------- */

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

static void all_tests(void);

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
	printf("TAP version 13\n");
	floor_init();
	floor_boot.flags = RS_BOOT_DEBUG;
	floor_boot.nslots = ARRAY_SIZE(slots);
	floor_boot.slots_gpa = P(slots);
	host_hook = host;
	floor_on_exit = ended;
	floor_run(NULL);
}

#endif /* HOSTED_IPC_WORLD_H */
