// SPDX-License-Identifier: MIT
/*
 * hooks.c - around functions of the kernel: they are called, and what they did is told
 *
 * A page fault is told once, by whoever knows how it ends:
 *
 *	rs_trap()		notes that one has begun, on this CPU
 *	mm_fault()		resolved: told here. Not resolved, and the kernel's own: told here,
 *				too, as EFAULT. Else one of
 *	pager_ask()		told before it, since the thread sleeps there; what comes of it is not
 *				a fault any more but a trap (RS_TRACE_TRAP)
 *	upcall_deliver(), signal_fault(), process_die()		where it goes to
 *	upcall_fast()		a way of its own
 *
 * Between rs_trap() and that nothing sleeps, so what is noted for the CPU is the thread's. Calls of
 * mm_fault() without a fault (memory that a call wants to be there) are RS_TRACE_FILL.
 *
 * How a fault was resolved is seen from what has changed: the counts of rs_stats(), and the entry.
 * Both belong to who has the kernel's lock, which is the case here.
 */
#include <asm/unistd.h>
#include "events.h"
#include "../arch/trap.h"
#include "../fs/fd.h"
#include "../host/host.h"
#include "../mm/page_alloc.h"
#include "../proc/pager.h"
#include "../syscall/async.h"
#include "../syscall/signal.h"
#include "../syscall/syscall.h"
#include "../syscall/table.h"

#define WRAP(ret, name, ...)			\
	ret __real_##name(__VA_ARGS__);		\
	ret __wrap_##name(__VA_ARGS__);		\
	ret __wrap_##name(__VA_ARGS__)

/** struct noted - the trap that a CPU is in, until it has been told */
static struct noted {
	struct rs_frame *frame;		/* NULL: none */
	u64 addr;
	u64 extra;
	u32 how;
} noted[RS_NR_CPUS];

static struct noted *here(void)
{
	return &noted[this_cpu()->id];
}

/* --- faults ----------------------------------------------------------------------------------- */

static u32 access_bits(u32 access)
{
	return (access & FAULT_WRITE ? RS_HOW_WRITE : 0) | (access & FAULT_EXEC ? RS_HOW_EXEC : 0);
}

static u64 pages_extra(u64 pages, u64 tables, u32 cause)
{
	return min(pages, 0xffffull) | min(tables, 0xffffull) << 16 | (u64)cause << 32;
}

static u32 how_mapped(pte_t before, pte_t after)
{
	u64 gpa = after & PTE_ADDR;

	if (before)
		return RS_HOW_RIGHTS;
	if (gpa >= rs_boot->arena_size)
		return RS_HOW_FILE;
	return gpa_page(gpa)->flags & PG_FIXED ? RS_HOW_LAZY : RS_HOW_SHARED;
}

static void tell_fault(const struct noted *n)
{
	struct rs_trace_event e = {
		.type = RS_TRACE_FAULT, .vector = VEC_PF, .cause = n->how, .addr = n->addr,
		.extra = n->extra,
	};

	if (events_on(RS_TRACE_FAULT))
		event(e, n->frame, true);
}

WRAP(enum fault_cause, mm_fault, struct mm *mm, u64 addr, u32 access)
{
	struct rs_guest_stats *s = rs_stats(), before = *s;
	struct noted *n = here(), fill = { .addr = addr }, *to = n->frame ? n : &fill;
	bool looks = addr < USER_TOP;
	pte_t old = looks ? pgtable_peek(&mm->pt, addr) : 0, new;
	u64 mapped = mm->pt.mapped, tables, zeros, copies;
	enum fault_cause c = __real_mm_fault(mm, addr, access);

	if (!events_on(n->frame ? RS_TRACE_FAULT : RS_TRACE_FILL))
		goto out;
	mapped = mm->pt.mapped - mapped;
	tables = s->table_copies - before.table_copies;
	zeros = s->zero_fills - before.zero_fills;
	copies = s->cow_copies - before.cow_copies;
	to->how = access_bits(access) | (tables ? RS_HOW_TABLE : 0);
	if (zeros)
		to->how |= RS_HOW_ZERO;
	if (copies)
		to->how |= old & PTE_P ? RS_HOW_COW : RS_HOW_FILE_COPY;
	if (!c && !zeros && !copies && looks) {
		new = pgtable_peek(&mm->pt, addr);
		to->how |= how_mapped(old, new);
	}
	if (c && !n->frame)
		to->how |= RS_HOW_EFAULT;
	to->extra = pages_extra(max(mapped, zeros + copies), tables, c);
	if (!n->frame) {
		struct rs_trace_event e = {
			.type = RS_TRACE_FILL, .cause = fill.how, .addr = addr, .extra = fill.extra,
		};

		event(e, current() ? kstack_frame(this_kstack()) : NULL, true);
		return c;
	}
	if (!frame_from_user(n->frame))
		n->how |= RS_HOW_KERNEL | (c ? RS_HOW_EFAULT : 0);
	else if (c)
		return c;	/* told by whoever knows what becomes of it */
	tell_fault(n);
out:
	if (!c || (n->frame && !frame_from_user(n->frame)))
		n->frame = NULL;
	return c;
}

WRAP(enum fault_cause, pager_ask, u64 addr, u32 access)
{
	struct noted *n = here();

	if (n->frame) {
		n->how |= RS_HOW_PAGER;
		tell_fault(n);
		n->frame = NULL;
	}
	return __real_pager_ask(addr, access);
}

/* An exception that the kernel does not resolve has gone to where @how says; @rip is whose it was. */
static void tell_end(struct rs_frame *f, u32 how)
{
	struct noted *n = here();
	struct rs_trace_event e = {
		.type = RS_TRACE_TRAP, .vector = f->vector, .cause = how, .addr = n->addr,
	};

	if (n->frame) {
		n->how |= how;
		tell_fault(n);
		n->frame = NULL;
	} else if (f->vector < 32 && events_on(RS_TRACE_TRAP)) {
		event(e, f, true);
	}
}

static void tell_upcall(const struct rs_frame *was, u64 addr, u64 entry)
{
	struct rs_trace_event e = {
		.type = RS_TRACE_UPCALL, .vector = was->vector, .addr = addr, .extra = entry,
	};

	if (events_on(RS_TRACE_UPCALL))
		event(e, was, false);
}

WRAP(bool, upcall_deliver, struct rs_frame *f, u64 addr, enum fault_cause cause)
{
	struct rs_frame was = *f;
	struct noted *n = here();

	if (!__real_upcall_deliver(f, addr, cause))
		return false;
	if (n->frame)
		n->frame = &was;
	tell_end(&was, RS_HOW_UPCALL);
	tell_upcall(&was, addr, f->rip);
	return true;
}

/* The frame's own, whatever lock we have. */
WRAP(bool, upcall_fast, struct rs_frame *f)
{
	struct rs_frame was = *f;
	u64 addr = read_cr2();
	struct noted n = { .frame = &was, .addr = addr, .how = RS_HOW_UPCALL };

	if (!__real_upcall_fast(f))
		return false;
	n.how |= was.error & PF_WRITE ? RS_HOW_WRITE : 0;
	n.extra = pages_extra(0, 0, was.error & PF_WRITE ? FAULT_WRITE_DENIED : FAULT_READ_DENIED);
	tell_fault(&n);
	tell_upcall(&was, addr, f->rip);
	return true;
}

WRAP(void, signal_fault, struct rs_frame *f)
{
	struct thread *t = current();
	u32 sig = t->fault.sig;
	const struct k_sigaction *act = &t->proc->signals->act[sig - 1];
	bool deadly = act->handler == SIG_DFL || act->handler == SIG_IGN ||
		      t->sig->blocked >> (sig - 1) & 1;

	tell_end(f, deadly ? RS_HOW_KILL : RS_HOW_SIGNAL);
	__real_signal_fault(f);
}

/* Faults that end the process without being a signal first: no memory, an upcall that cannot be. */
WRAP(void, process_die, int sig, const struct fault_info *fault)
{
	if (here()->frame)
		tell_end(here()->frame, RS_HOW_KILL);
	__real_process_die(sig, fault);
}

WRAP(void, rs_trap, struct rs_frame *f)
{
	struct rs_trace_event sample = { .type = RS_TRACE_SAMPLE };
	bool kernel = !frame_from_user(f);
	struct noted outer = *here();
	u32 vector = f->vector;

	if (vector == VEC_PF)
		*here() = (struct noted){ .frame = f, .addr = read_cr2() };
	else
		*here() = (struct noted){ .addr = vector < 32 ? f->rip : 0 };
	__real_rs_trap(f);
	/*
	 * The kernel's own fault does not sleep, and may come before the one of ring 3 that it
	 * interrupts has been told. A reader's, not told, is nobody's: it is done again with the lock.
	 */
	if (kernel)
		*here() = outer;
	if (vector == RS_VECTOR_NOTIFY && !kernel && event_sample_wanted()) {
		sched_enter();
		event(sample, f, true);
		sched_leave();
	}
}

/* --- processes and threads -------------------------------------------------------------------- */

WRAP(void, sched_start, struct thread *t)
{
	bool thread = t->proc == current_proc();
	struct rs_trace_event e = { .type = RS_TRACE_FORK, .cause = thread, .extra = t->tid };

	if (events_on(RS_TRACE_FORK) && current_proc())
		event(e, kstack_frame(this_kstack()), true);
	__real_sched_start(t);
}

WRAP(void, syscall_exec_done, struct process *p)
{
	struct rs_trace_event e = { .type = RS_TRACE_EXEC };

	if (events_on(RS_TRACE_EXEC)) {
		e.extra = event_name(refstr_text(p->exe));
		event(e, kstack_frame(this_kstack()), false);
	}
	__real_syscall_exec_done(p);
}

WRAP(void, syscall_process_end, struct process *p)
{
	struct rs_trace_event e = { .type = RS_TRACE_EXIT, .extra = (u32)p->wait_status };

	if (events_on(RS_TRACE_EXIT) && p->exiting)
		event(e, NULL, false);
	__real_syscall_process_end(p);
}

WRAP(void, rs_switch_stack, u64 *save, u64 load)
{
	const struct thread *old = this_kstack()->thread, *next = this_cpu()->current;
	struct rs_trace_event e = { .type = RS_TRACE_SWITCH };

	if (events_on(RS_TRACE_SWITCH)) {
		e.extra = next->proc ? next->tid : 0;
		e.cause = next->proc && old && next->proc != old->proc;
		event(e, NULL, false);
	}
	__real_rs_switch_stack(save, load);
}

WRAP(long, sigframe_build, struct rs_frame *f, const struct k_sigaction *act,
     const struct k_siginfo *info, u64 mask, struct signal_thread *st, const struct fault_info *fault)
{
	struct rs_trace_event e = {
		.type = RS_TRACE_SIGNAL, .extra = info->signo, .addr = (u64)act->handler,
	};
	struct rs_frame was = *f;
	long ret = __real_sigframe_build(f, act, info, mask, st, fault);

	if (!ret && events_on(RS_TRACE_SIGNAL))
		event(e, &was, false);
	return ret;
}

/* --- calls to the host ------------------------------------------------------------------------ */

static void tell_call(u64 nr, bool helper)
{
	struct rs_trace_event e = { .type = RS_TRACE_CALL, .extra = nr, .cause = helper };
	struct thread *t = this_kstack()->thread;

	if (events_on(RS_TRACE_CALL))
		event(e, t && t->proc && t->in_syscall ? kstack_frame(this_kstack()) : NULL, true);
}

static void tell_call_end(u64 nr, long ret, bool helper)
{
	struct rs_trace_event e = {
		.type = RS_TRACE_CALL_END, .extra = ret, .cause = helper, .addr = nr,
	};

	if (events_on(RS_TRACE_CALL_END))
		event(e, NULL, false);
}

WRAP(long, host_call, u64 nr, u64 a0, u64 a1, u64 a2, u64 a3, u64 a4, u64 a5)
{
	long ret;

	tell_call(nr, false);
	ret = __real_host_call(nr, a0, a1, a2, a3, a4, a5);
	tell_call_end(nr, ret, false);
	return ret;
}

WRAP(bool, async_call, u64 nr, const u64 a[6], long *ret)
{
	bool done;

	tell_call(nr, true);
	done = __real_async_call(nr, a, ret);
	tell_call_end(nr, done ? *ret : -EAGAIN, true);
	return done;
}

/* The short way of a plain call goes to the host by itself (forward.c). */
WRAP(long, sys_forward, struct rs_frame *f)
{
	struct file *file = rs_sysrows[(u32)f->error].plain ?
			    fd_lookup(current_proc()->files, ARG0(f)) : NULL;
	bool direct = file && file->host_fd >= 0;
	u32 nr = f->error;
	long ret;

	if (direct)
		tell_call(nr, false);
	ret = __real_sys_forward(f);
	if (direct)
		tell_call_end(nr, ret, false);
	return ret;
}

/*
 * Messages between ports have a way that changes threads by itself, in assembly; here they take the
 * long one, on which they are calls like any other.
 */
WRAP(void, rs_ipc_call, struct rs_frame *f)
{
	rs_syscall(f);
}

WRAP(void, rs_ipc_reply_wait, struct rs_frame *f)
{
	rs_syscall(f);
}
