/* SPDX-License-Identifier: MIT */
/*
 * park.h - a thread that waits without its kernel stack
 *
 * Who is parked sleeps in a SYSCALL and keeps nothing of what it has on its kernel stack: all it
 * will do is to come back to ring 3 behind the SYSCALL, with what its frame says by then. So
 * whoever has put the result there can hand the CPU over to it, and it is in ring 3 at once
 * (thread_leave_to()). It may also be woken as any other thread, and the scheduler may run it; then
 * it goes on in rs_unparked() (syscall/ipc.c).
 *
 * Nothing of it is for several CPUs: what says where a thread runs is not touched, since it is
 * right from the first time on when there is only one.
 */
#ifndef RS_PROC_PARK_H
#define RS_PROC_PARK_H

#include "proc.h"

/** sched_unparked() - the first thing in rs_unparked() */
void sched_unparked(void);
void rs_unparked(struct rs_frame *f);

#ifndef RS_HOSTED
extern struct list sched_timers;
extern char rs_parked[];	/* arch/entry.S: calls rs_unparked() */

/*
 * The frame is the last thing below the stack's end, and the word under it the address entry.S has
 * called C code from. There @t goes on, at rs_parked; the registers that rs_switch_stack() loads
 * before that may be anything. As in switch_to() for the rest.
 */
static always_inline void __noreturn thread_leave(struct kstack *me, struct thread *next,
						  bool parked)
{
	u64 *sp = (u64 *)kstack_frame(me) - 1, now = rdtsc(), unused;
	struct kstack *k = next->kstack;
	struct thread *t = me->thread;
	struct cpu *cpu = me->cpu;
	struct mm *mm = next->proc->mm;

	t->sched.used += now - t->sched.since;
	next->sched.since = now;
	xsave(kstack_fpu(me));
	t->sched.fs_base = rdfsbase();
	t->sched.gs_base = rdgsbase();
	*sp = (u64)rs_parked;
	t->sched.ksp = (u64)(sp - 6);
	t->sched.state = THREAD_SLEEPING;
	t->proc->used.switches++;
	next->sched.state = THREAD_RUNNING;
	cpu->current = next;
	cpu_set_kstack(cpu, k);
	if (likely(cpu->mm != mm)) {
		cpu->mm = mm;
		write_cr3(mm->pt.root);
	}
	xrstor(kstack_fpu(k));
	wrfsbase(next->sched.fs_base);
	wrgsbase(next->sched.gs_base);
	if (likely(parked)) {
		asm volatile("jmp rs_leave_syscall" : : "D"(kstack_frame(k)) : "memory");
		__builtin_unreachable();
	}
	rs_switch_stack(&unused, next->sched.ksp);
	__builtin_unreachable();
}

/** thread_can_park() - what is said above, and the instructions used here are there */
static inline bool thread_can_park(void)
{
	return rs_ncpus == 1 && cpu_has.osxsave && cpu_has.fsgsbase;
}

void thread_leave_to_slow(struct kstack *me, struct thread *next, bool parked) __noreturn;

/**
 * thread_leave_to() - the current thread, in a SYSCALL and on the stack @me, is parked, and @next,
 * which sleeps, has the CPU at once; @parked: so is @next. thread_can_park() must hold
 */
static always_inline void __noreturn thread_leave_to(struct kstack *me, struct thread *next,
						     bool parked)
{
	if (unlikely(next->proc->cpu_due || next->alarm || !list_empty(&sched_timers)))
		thread_leave_to_slow(me, next, parked);
	thread_leave(me, next, parked);
}
#else
static inline bool thread_can_park(void)
{
	return false;
}
#endif

#endif
