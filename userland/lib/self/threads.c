// SPDX-License-Identifier: MIT
/*
 * Calls that make, replace or end processes and threads, and those that close descriptors.
 *
 * Linux makes the child in the middle of the loop. Where it goes on:
 *
 *	fork, clone without CLONE_VM	a copy of us: it forgets the ring and goes outside, by self_outside()
 *	vfork				it has our memory and our native stack while we sleep: it goes outside without changing anything of either
 *					but below where we are (self_vfork)
 *	a stack of its own, no thread	outside, with the program's registers from its first instruction on (self_clone_outside)
 *	a thread			on the native stack of a vCPU of its own (self_clone_inside), if new threads are to be inside and there is one
 *					left; else as the former
 *
 * Descriptors of the ring have high numbers, and for the program they do not exist: what would close or replace one is EBADF, or passes over it.
 *
 * No libc, no vector registers, no TLS in any of this.
 */
#include <asm/errno.h>
#include <asm/unistd.h>
#include <linux/close_range.h>
#include <linux/sched.h>

#include "raw.h"
#include "signals.h"

#define USER_END	0x800000000000ull
#define CLONE3_SIZE	sizeof(struct clone_args)
#define CLONE3_MAX	4096u

static long native(const struct rs_trap_frame *f)
{
	return rs_raw6(f->rax, f->rdi, f->rsi, f->rdx, f->r10, f->r8, f->r9);
}

/* Result @ret of a call; or it has not begun. */
static enum self_next answer(struct self_vcpu *v, long ret)
{
	if (ret == SELF_INTERRUPTED) {
		v->frame.rax = v->restart;
		return self_signals_again(v);
	}
	v->frame.rax = ret;
	return SELF_CALL;
}

/* --- processes ------------------------------------------------------------------------------------------------------------------------ */

/* What a clone or clone3 asks for. @flags without the signal at its low end. */
struct wish {
	uint64_t flags;
	uint64_t stack; /* the child's stack pointer, 0: ours */
	uint64_t tls;
	struct clone_args args; /* of clone3 */
	uint64_t size;
};

/* A copy of us. Signals are held; what is sent to the child from now on is noted in its own memory. */
static enum self_next call_fork(struct self_vcpu *v, struct wish *w)
{
	struct rs_trap_frame call = v->frame;
	long ret;

	/* A stack of its own is for later: the child begins on its copy of this one. */
	if (call.rax == __NR_clone3) {
		w->args.stack = w->args.stack_size = 0;
		call.rdi = (uint64_t)&w->args;
		call.rsi = w->size;
	} else if (call.rax == __NR_clone) {
		call.rsi = 0;
	}
	self_signals_lock();
	self_signals_bases(v);
	ret = native(&call);
	if (ret == 0) {
		self_mend();
		self_signals_child(v);
		self_mark_outside(v);
		self_forget(!!(w->flags & CLONE_FILES));
		v->frame.rax = 0;
		if (w->stack)
			v->frame.rsp = w->stack;
		if ((w->flags & CLONE_SETTLS) && self_is_inner(v))
			v->user_fs = w->tls;
		else if (w->flags & CLONE_SETTLS)
			v->fs_base = w->tls;
		self_outside(v);
	}
	self_signals_unlock();
	self_signals_release(v);
	return answer(v, ret);
}

struct vfork_child {
	struct self_vcpu *v;
	struct rs_trap_frame frame;
};

static void vfork_child(void *arg)
{
	struct vfork_child *c = arg;

	self_signals_exec(0);
	self_outside_as(c->v, &c->frame);
}

static enum self_next call_vfork(struct self_vcpu *v)
{
	struct vfork_child c = { .v = v, .frame = v->frame };
	long ret;

	c.frame.rax = 0;
	self_signals_bases(v);
	ret = self_vfork(&v->frame, vfork_child, &c);
	self_signals_release(v);
	return answer(v, ret);
}

/* --- threads -------------------------------------------------------------------------------------------------------------------------- */

/* The new thread, at the bottom of its native stack. */
void self_thread_begin(struct self_vcpu *v);
void self_thread_begin(struct self_vcpu *v)
{
	self_signals_hold(v);
	v->tid = rs_raw3(__NR_gettid, 0, 0, 0);
	self_mark_inside(v);
	self_loop(v);
}

/* The child has a stack of its own and our memory. */
static enum self_next call_outside(struct self_vcpu *v, const struct wish *w)
{
	uint64_t words[2] = { v->frame.rflags, v->frame.rip };

	if (self_copy((void *)(w->stack - sizeof(words)), words, sizeof(words))) {
		/* Linux would make it, for it to die of its first push. */
		self_signals_release(v);
		v->frame.rax = -EFAULT;
		return SELF_CALL;
	}
	self_signals_bases(v);
	self_signals_release(v);
	return answer(v, self_clone_outside(&v->frame));
}

/*
 * Of a thread that begins inside. In ring 0 that ring is its own, and its ring 3 has the same bases at first, as after rs_enter(). One that
 * ring 3 makes has a ring 3 of its own; ring 0's bases it shares with its maker, whose handlers know what they do.
 */
static void thread_bases(struct self_vcpu *child, const struct self_vcpu *v, const struct wish *w)
{
	bool settls = w->flags & CLONE_SETTLS;

	child->fs_base = v->fs_base;
	child->gs_base = v->gs_base;
	if (self_is_inner(v)) {
		child->user_fs = settls ? w->tls : v->user_fs;
		child->user_gs = v->user_gs;
		return;
	}
	if (settls)
		child->fs_base = w->tls;
	child->user_fs = child->fs_base;
	child->user_gs = child->gs_base;
}

static uint32_t unborn;

static enum self_next call_thread(struct self_vcpu *v, struct wish *w)
{
	struct rs_trap_frame call = v->frame;
	struct self_vcpu *child;
	uint64_t stack;
	long ret;
	int err;

	/* The thread has no number yet; this one is nobody's. */
	child = self_vcpu_get(-1 - (int)(__atomic_fetch_add(&unborn, 1, __ATOMIC_RELAXED) & 0x3fffffff), &err);
	if (!child) {
		__atomic_fetch_add(&rs_self.threads_outside, 1, __ATOMIC_RELAXED);
		return call_outside(v, w);
	}
	child->frame = v->frame;
	child->frame.rax = 0;
	child->frame.rsp = w->stack;
	thread_bases(child, v, w);
	self_signals_thread(child);
	err = self_prime(child);
	if (err) {
		self_signals_stop();
		self_vcpu_put(child);
		__atomic_fetch_add(&rs_self.threads_outside, 1, __ATOMIC_RELAXED);
		return call_outside(v, w);
	}
	/* self_first() sets the stack pointer once more. */
	stack = (uint64_t)child + RS_BLOCK_NATIVE_TOP - 64;
	if (call.rax == __NR_clone3) {
		w->args.stack = stack - 4096;
		w->args.stack_size = 4096;
		call.rdi = (uint64_t)&w->args;
		call.rsi = w->size;
	} else {
		call.rsi = stack;
	}
	self_signals_bases(v);
	self_signals_release(v);
	ret = self_clone_inside(&call);
	if (ret < 0) {
		self_signals_stop();
		self_vcpu_put(child);
	}
	return answer(v, ret);
}

/* 0, or -errno that the call is answered with; 1: Linux is to answer, it is no good. */
static long look_at_clone(const struct rs_trap_frame *f, struct wish *w)
{
	unsigned int i;

	if (f->rax == __NR_clone) {
		w->flags = f->rdi & ~(uint64_t)CSIGNAL;
		w->stack = f->rsi;
		w->tls = f->r8;
		return 0;
	}
	if (f->rax != __NR_clone3) {
		w->flags = f->rax == __NR_vfork ? CLONE_VM | CLONE_VFORK : 0;
		w->stack = 0;
		return 0;
	}
	w->size = f->rsi;
	for (i = 0; i < sizeof(w->args) / 8; i++)
		((uint64_t *)&w->args)[i] = 0;
	if (w->size < CLONE_ARGS_SIZE_VER0 || w->size > CLONE3_MAX)
		return 1;
	if (self_copy(&w->args, (void *)f->rdi, w->size < CLONE3_SIZE ? w->size : CLONE3_SIZE))
		return -EFAULT;
	/* What we do not know must be zero, or we know not what it is. */
	for (i = CLONE3_SIZE; i < w->size; i++) {
		char byte;

		if (self_copy(&byte, (char *)f->rdi + i, 1))
			return -EFAULT;
		if (byte)
			return -E2BIG;
	}
	if (w->size > CLONE3_SIZE)
		w->size = CLONE3_SIZE;
	w->flags = w->args.flags;
	w->stack = w->args.stack ? w->args.stack + w->args.stack_size : 0;
	w->tls = w->args.tls;
	return 0;
}

static enum self_next call_clone(struct self_vcpu *v)
{
	struct wish w = { 0 };
	long ret;

	self_signals_hold(v);
	if (v->pending)
		return self_signals_again(v);
	ret = look_at_clone(&v->frame, &w);
	if (ret) {
		if (ret == 1)
			ret = native(&v->frame);
		self_signals_release(v);
		v->frame.rax = ret;
		return SELF_CALL;
	}
	if (!(w.flags & CLONE_VM))
		return call_fork(v, &w);
	if (!w.stack)
		return call_vfork(v);
	if ((w.flags & CLONE_THREAD) && rs_self.threads)
		return call_thread(v, &w);
	return call_outside(v, &w);
}

static void __attribute__((noreturn)) call_exit(struct self_vcpu *v)
{
	const uint64_t all = ~0ull;
	int code = v->frame.rdi;

	self_signals_hold(v);
	/* Signals for the process find another thread, or end with it. */
	rs_raw4(__NR_rt_sigprocmask, SIG_SETMASK, (long)&all, 0, sizeof(all));
	self_mark_outside(v);
	self_signals_stop();
	v->tid = 0;
	self_exit(&v->state, SELF_FREE, code);
}

static enum self_next call_exec(struct self_vcpu *v)
{
	long ret;

	self_signals_exec(0);
	ret = self_syscall(&v->frame);
	self_signals_exec(1);
	return answer(v, ret);
}

/* --- descriptors ---------------------------------------------------------------------------------------------------------------------- */

static bool is_ours(int fd)
{
	int i;

	if (fd == rs_self.vm_fd || fd == rs_self.dev_fd)
		return true;
	for (i = 0; i < SELF_VCPUS && rs_self.vcpus[i]; i++)
		if (rs_self.vcpus[i]->fd == fd)
			return true;
	return false;
}

/* The least of ours in [@first, @last]; -1: none. */
static int first_of_ours(unsigned int first, unsigned int last)
{
	unsigned int best = ~0u, fd;
	int i;

	for (i = -2; i < SELF_VCPUS; i++) {
		if (i >= 0 && !rs_self.vcpus[i])
			break;
		fd = i == -2 ? rs_self.dev_fd : i == -1 ? rs_self.vm_fd : rs_self.vcpus[i]->fd;
		if (fd >= first && fd <= last && fd < best)
			best = fd;
	}
	return best == ~0u ? -1 : (int)best;
}

static enum self_next call_close_range(struct self_vcpu *v)
{
	unsigned int first = v->frame.rdi, last = v->frame.rsi, flags = v->frame.rdx;
	long ret = 0;
	int ours;

	if ((flags & CLOSE_RANGE_CLOEXEC) || first > last || first_of_ours(first, last) < 0)
		return answer(v, self_syscall(&v->frame));
	while (!ret && first <= last) {
		ours = first_of_ours(first, last);
		if (ours < 0) {
			ret = rs_raw3(__NR_close_range, first, last, flags);
			break;
		}
		if ((unsigned int)ours > first)
			ret = rs_raw3(__NR_close_range, first, ours - 1, flags);
		first = ours + 1;
	}
	return answer(v, ret);
}

int self_threads_call(struct self_vcpu *v, enum self_next *next)
{
	const struct rs_trap_frame *f = &v->frame;

	switch (f->rax) {
	case __NR_fork:
	case __NR_vfork:
	case __NR_clone:
	case __NR_clone3:
		*next = call_clone(v);
		return 1;
	case __NR_exit:
		call_exit(v);
	case __NR_execve:
	case __NR_execveat:
		*next = call_exec(v);
		return 1;
	case __NR_close:
		if (!is_ours(f->rdi))
			return 0;
		*next = answer(v, -EBADF);
		return 1;
	case __NR_dup2:
	case __NR_dup3:
		if (!is_ours(f->rdi) && !is_ours(f->rsi))
			return 0;
		*next = answer(v, -EBADF);
		return 1;
	case __NR_close_range:
		*next = call_close_range(v);
		return 1;
	}
	return 0;
}
