// SPDX-License-Identifier: GPL-2.0-only
/*
 * vcpu.c - the run loop
 *
 * RS_RUN is three nested loops, each for one state of the thread:
 *
 *	rs_vcpu_run	preemptible. Resolves nested faults, reschedules, waits. Leaves with a
 *			result for user space.
 *	rounds		loaded, interrupts off. Goes round and round through the guest as long as
 *			the exits are of the kind that can be dealt with on the spot: then an exit
 *			costs the two transitions and little else.
 *	one round	may_enter (the reasons not to enter, in order), enter, decode, dispatch
 *			through a table by exit kind.
 *
 * The vCPU stays loaded all the time. While the thread can be preempted, and only then, a preempt
 * notifier puts it when the scheduler takes the CPU away and loads it when the thread is back.
 *
 * Why no request is lost: in_guest is set, then a full barrier, then every reason not to enter is
 * looked at (kick, flush_gen, thread flags). Others change the reason, then a full barrier, then
 * look at in_guest and send an IPI. The IPI cannot be taken before the entry since interrupts are
 * off; pending, it makes the guest exit at once. In the rounds after the first no new barrier is
 * needed: in_guest has been set all along, so whoever changed something has sent an IPI that is
 * pending, and the next entry will be short.
 */
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/smp.h>
#include <linux/string.h>
#include <asm/processor-flags.h>
#include <asm/trapnr.h>
#include "compat.h"
#include "fpu.h"
#include "trace.h"
#include "vcpu.h"
#include "virt.h"

/* --- events --- */

void rs_inject(struct rs_vcpu *vcpu, const struct rs_event *ev)
{
	trace_rs_inject(vcpu, ev);
	vcpu->count.injected++;
	static_call(rs_inject)(vcpu, ev);
}

void rs_inject_fault(struct rs_vcpu *vcpu, u8 vector)
{
	const struct rs_event ev = { .vector = vector };

	rs_inject(vcpu, &ev);
}

void rs_inject_gp(struct rs_vcpu *vcpu)
{
	const struct rs_event ev = { .vector = X86_TRAP_GP, .has_error = true };

	rs_inject(vcpu, &ev);
}

/*
 * The interrupt that user space asked for: now if the guest can take it, else as soon as it can. I.
 */
static void deliver_interrupt(struct rs_vcpu *vcpu)
{
	if (!static_call(rs_event_pending)(vcpu) && static_call(rs_can_interrupt)(vcpu)) {
		const struct rs_event ev = { .vector = vcpu->irq_vector, .interrupt = true };

		rs_inject(vcpu, &ev);
		vcpu->irq_vector = 0;
		WRITE_ONCE(vcpu->run->irq_vector, 0);
		return;
	}
	if (!vcpu->window_wanted) {
		vcpu->window_wanted = true;
		static_call(rs_want_window)(vcpu, true);
	}
}

/* --- exits: a table of small functions, context I --- */

static enum rs_next user_exit(struct rs_vcpu *vcpu, enum rs_exit_reason reason)
{
	vcpu->run->exit_reason = reason;
	return RS_NEXT_USER;
}

static enum rs_next exit_interrupt(struct rs_vcpu *vcpu)
{
	return RS_NEXT_WINDOW;
}

static enum rs_next exit_nothing(struct rs_vcpu *vcpu)
{
	return RS_NEXT_ENTER;
}

static enum rs_next exit_npf(struct rs_vcpu *vcpu)
{
	return RS_NEXT_FAULT;
}

static enum rs_next exit_window(struct rs_vcpu *vcpu)
{
	vcpu->window_wanted = false;
	static_call(rs_want_window)(vcpu, false);
	return RS_NEXT_ENTER;
}

static enum rs_next exit_gp(struct rs_vcpu *vcpu)
{
	rs_inject_gp(vcpu);
	return RS_NEXT_ENTER;
}

/*
 * Instructions the guest does not have, MOV DR among them: it has no debug registers, and #UD is
 * what MOV to a debug register that does not exist gives (AMD64 Architecture Programmer's Manual
 * volume 3, MOV DRn: DR4 and DR5 with CR4.DE). #GP would mean a register with a bad value.
 */
static enum rs_next exit_ud(struct rs_vcpu *vcpu)
{
	rs_inject_fault(vcpu, X86_TRAP_UD);
	return RS_NEXT_ENTER;
}

/*
 * VT-x exits before it looks at the privilege (SDM volume 3, 25.1.3), so the #GP of ring 3 is ours
 * to give.
 */
static enum rs_next exit_dr(struct rs_vcpu *vcpu)
{
	return vcpu->exit.cpl ? exit_gp(vcpu) : exit_ud(vcpu);
}

static enum rs_next exit_hlt(struct rs_vcpu *vcpu)
{
	static_call(rs_skip_insn)(vcpu);
	if (vcpu->irq_vector && static_call(rs_can_interrupt)(vcpu))
		return RS_NEXT_ENTER;
	return user_exit(vcpu, RS_EXIT_HLT);
}

/*
 * #DB and #AC are intercepted only because a guest can make the CPU deliver them without end while
 * it delivers one (a #AC handler whose stack is misaligned, a #DB on the page of its own frame):
 * each turn is an exit, so interrupts and signals of the host get through.
 */
static enum rs_next exit_exception(struct rs_vcpu *vcpu)
{
	switch (vcpu->exit.vector) {
	case X86_TRAP_DB:
		rs_inject_fault(vcpu, X86_TRAP_DB);
		return RS_NEXT_ENTER;
	case X86_TRAP_AC: {
		const struct rs_event ev = { .vector = X86_TRAP_AC, .has_error = true };

		rs_inject(vcpu, &ev);
		return RS_NEXT_ENTER;
	}
	case X86_TRAP_MC:
		/* The host's, and the host has handled it. */
		return RS_NEXT_ENTER;
	default:
		return RS_NEXT_BUG;
	}
}

static void fill_hw(struct rs_vcpu *vcpu)
{
	vcpu->run->hw.reason = vcpu->exit.hw_reason;
	vcpu->run->hw.info1 = vcpu->exit.hw_info1;
	vcpu->run->hw.info2 = vcpu->exit.hw_info2;
}

/* Not before RS_SET_STATE again. */
static void needs_state(struct rs_vcpu *vcpu)
{
	vcpu->life = RS_VCPU_NEW;
	vcpu->runner = NULL;
}

static enum rs_next exit_shutdown(struct rs_vcpu *vcpu)
{
	needs_state(vcpu);
	user_exit(vcpu, RS_EXIT_SHUTDOWN);
	return RS_NEXT_REPORT;
}

static enum rs_next exit_fail_entry(struct rs_vcpu *vcpu)
{
	needs_state(vcpu);
	vcpu->state_lost = true;
	fill_hw(vcpu);
	user_exit(vcpu, RS_EXIT_FAIL_ENTRY);
	return RS_NEXT_REPORT;
}

static enum rs_next exit_unhandled(struct rs_vcpu *vcpu)
{
	fill_hw(vcpu);
	user_exit(vcpu, RS_EXIT_UNHANDLED);
	return RS_NEXT_REPORT;
}

static enum rs_next (*const exit_handlers[RS_X_NR])(struct rs_vcpu *vcpu) = {
	[RS_X_INTERRUPT]	= exit_interrupt,
	[RS_X_NMI]		= exit_nothing,
	[RS_X_NPF]		= exit_npf,
	[RS_X_HYPERCALL]	= rs_hypercall,
	[RS_X_WINDOW]		= exit_window,
	[RS_X_CPUID]		= rs_emulate_cpuid,
	[RS_X_RDMSR]		= rs_emulate_rdmsr,
	[RS_X_WRMSR]		= rs_emulate_wrmsr,
	[RS_X_IO]		= exit_gp,
	[RS_X_CR]		= exit_gp,
	[RS_X_DR]		= exit_dr,
	[RS_X_XSETBV]		= exit_gp,
	[RS_X_HLT]		= exit_hlt,
	[RS_X_EXCEPTION]	= exit_exception,
	[RS_X_UD]		= exit_ud,
	[RS_X_SHUTDOWN]		= exit_shutdown,
	[RS_X_FAIL_ENTRY]	= exit_fail_entry,
	[RS_X_UNKNOWN]		= exit_unhandled,
};

static enum rs_next dispatch(struct rs_vcpu *vcpu)
{
	unsigned int kind = vcpu->exit.kind;

	/* The one exit that is often wanted does without the indirect branch. */
	if (likely(kind == RS_X_HYPERCALL)) {
		vcpu->count.exits[RS_X_HYPERCALL]++;
		return rs_hypercall(vcpu);
	}
	if (WARN_ON_ONCE(kind >= RS_X_NR))
		return RS_NEXT_BUG;
	vcpu->count.exits[kind]++;
	return exit_handlers[kind](vcpu);
}

/* --- one round --- */

/*
 * Somebody wants something of this vCPU: may it enter all the same? Only if it is no more than a limit
 * of exits with something left; what is taken off here is used, since nothing after this keeps the
 * vCPU from entering. I.
 */
static noinline bool enter_all_the_same(struct rs_vcpu *vcpu)
{
	unsigned int gate = READ_ONCE(vcpu->gate->flags);

	if ((gate & (RS_GATE_PAUSED | RS_GATE_ENDED)) || test_bit(RS_KICK_USER, &vcpu->kick))
		return false;
	return !(gate & RS_GATE_METERED) || atomic64_dec_return(&vcpu->gate->entries_left) >= 0;
}

/*
 * What the kernel does for a thread on its way to user space waits for that thread (RS_RUN fails with
 * EINTR), but not without end: restartable sequences ask for it at each switch of threads, so a tracer
 * that stops the thread at each system call has it asked for before each first entry. Of two calls of
 * RS_RUN one enters. It waits no longer than to the next exit then; a clock tick is one. I.
 */
static noinline bool work_can_wait(struct rs_vcpu *vcpu, unsigned long work)
{
	if ((work & RS_COMPAT_WORK) != _TIF_NOTIFY_RESUME)
		return false;
	if (vcpu->count.entries == vcpu->put_off)
		return true;
	vcpu->put_off = vcpu->count.entries;
	return false;
}

/* The reasons not to enter, and what must be done before. I. */
static __always_inline enum rs_next may_enter(struct rs_vcpu *vcpu)
{
	unsigned long work = READ_ONCE(current_thread_info()->flags);

	if (unlikely(!rs_cpu_is_on()))
		return RS_NEXT_OFF;
	if (unlikely(work & (RS_COMPAT_WORK | _TIF_NEED_FPU_LOAD))) {
		if ((work & RS_COMPAT_WORK) && !work_can_wait(vcpu, work))
			return RS_NEXT_WORK;
		if (work & _TIF_NEED_FPU_LOAD)
			rs_fpu_load();
	}
	if (unlikely(READ_ONCE(vcpu->kick)) && !enter_all_the_same(vcpu))
		return RS_NEXT_KICKED;
	if (unlikely(rs_mmu_flush_pending(vcpu->mmu, &vcpu->flush_seen))) {
		static_call(rs_flush)(vcpu);
		vcpu->count.flushes++;
		trace_rs_flush(vcpu);
	}
	if (unlikely(vcpu->irq_vector))
		deliver_interrupt(vcpu);
	return RS_NEXT_ENTER;
}

/* Loaded, interrupts off on entry and return. */
static enum rs_next rounds(struct rs_vcpu *vcpu)
{
	enum rs_next next;

	WRITE_ONCE(vcpu->in_guest, true);
	smp_mb();	/* see the head of this file; pairs with vm_kick and rs_vcpu_kick */
	do {
		next = may_enter(vcpu);
		if (next != RS_NEXT_ENTER)
			break;
		if (trace_rs_enter_enabled())
			trace_rs_enter(vcpu, static_call(rs_get_rip)(vcpu));
		vcpu->count.entries++;
		static_call(rs_enter)(vcpu);
		static_call(rs_decode)(vcpu);
		if (trace_rs_exit_enabled())
			trace_rs_exit(vcpu, static_call(rs_get_rip)(vcpu));
		next = dispatch(vcpu);
	} while (next == RS_NEXT_ENTER);
	rs_compat_guest_ran();
	rs_fpu_restore_host(vcpu);
	/* whoever sees it clear may count on everything above */
	smp_store_release(&vcpu->in_guest, false);
	return next;
}

/* --- loading --- */

/* Preemption off. */
static void load(struct rs_vcpu *vcpu)
{
	int cpu = smp_processor_id();

	if (unlikely(vcpu->cpu != cpu)) {
		if (vcpu->cpu >= 0)
			vcpu->count.migrations++;
		/* Not yet in_guest: nobody reads cpu. */
		WRITE_ONCE(vcpu->cpu, cpu);
	}
	static_call(rs_vcpu_load)(vcpu, cpu);
	rs_fpu_note_host(vcpu);
}

static void sched_in(struct preempt_notifier *pn, int cpu)
{
	load(container_of(pn, struct rs_vcpu, notifier));
}

static void sched_out(struct preempt_notifier *pn, struct task_struct *next)
{
	static_call(rs_vcpu_put)(container_of(pn, struct rs_vcpu, notifier));
}

static struct preempt_ops preempt_ops = {
	.sched_in = sched_in,
	.sched_out = sched_out,
};

/* P -> L */
static void vcpu_load(struct rs_vcpu *vcpu)
{
	preempt_disable();
	load(vcpu);
}

/* L -> P */
static void vcpu_put(struct rs_vcpu *vcpu)
{
	local_irq_disable();
	static_call(rs_vcpu_put)(vcpu);
	local_irq_enable();
	preempt_enable();
}

/* L -> P and back, the vCPU loaded whenever the thread runs. */
static void preemptible_begin(struct rs_vcpu *vcpu)
{
	preempt_notifier_register(&vcpu->notifier);
	preempt_enable();
}

static void preemptible_end(struct rs_vcpu *vcpu)
{
	preempt_disable();
	preempt_notifier_unregister(&vcpu->notifier);
}

/* --- the thread that runs it --- */

/*
 * The scheduler's own account, up to the thread's last switch or tick. It stays in the structure
 * when the thread has ended.
 */
static u64 thread_time(const struct task_struct *t)
{
	return READ_ONCE(t->se.sum_exec_runtime);
}

/* Another thread than before runs the vCPU, or it has a new state. P, claimed. */
static noinline void adopt(struct rs_vcpu *vcpu)
{
	struct task_struct *old;

	vcpu->runner = current;
	if (vcpu->thread == current)
		return;
	spin_lock(&vcpu->thread_lock);
	old = vcpu->thread;
	if (old)
		vcpu->cpu_past += thread_time(old) - vcpu->cpu_base;
	vcpu->thread = get_task_struct(current);
	vcpu->cpu_base = thread_time(current);
	spin_unlock(&vcpu->thread_lock);
	if (old)
		put_task_struct(old);
}

u64 rs_vcpu_cpu_time(struct rs_vcpu *vcpu)
{
	u64 sum;

	spin_lock(&vcpu->thread_lock);
	sum = vcpu->cpu_past;
	if (vcpu->thread)
		sum += thread_time(vcpu->thread) - vcpu->cpu_base;
	spin_unlock(&vcpu->thread_lock);
	return sum;
}

struct task_struct *rs_vcpu_get_thread(struct rs_vcpu *vcpu)
{
	struct task_struct *t;

	spin_lock(&vcpu->thread_lock);
	t = vcpu->thread ? get_task_struct(vcpu->thread) : NULL;
	spin_unlock(&vcpu->thread_lock);
	return t;
}

enum rs_vcpu_run_state rs_vcpu_run_state(struct rs_vcpu *vcpu)
{
	enum rs_vcpu_run_state state = RS_VCPU_STATE_NEW;
	struct task_struct *t;

	if (READ_ONCE(vcpu->waiting))
		return RS_VCPU_STATE_PAUSED;
	if (READ_ONCE(vcpu->in_guest))
		return RS_VCPU_STATE_GUEST;
	t = rs_vcpu_get_thread(vcpu);
	if (t) {
		state = task_is_running(t) ? RS_VCPU_STATE_HOST : RS_VCPU_STATE_IDLE;
		put_task_struct(t);
	}
	return state;
}

/* --- RS_RUN --- */

/* Others learn of a fault that ends RS_RUN; @r has what is special to it. L on entry and return. */
static void report(struct rs_vcpu *vcpu, struct rs_fault_report *r)
{
	r->rip = static_call(rs_get_rip)(vcpu);
	r->cpl = vcpu->exit.cpl;
	preemptible_begin(vcpu);
	vcpu->gate->ops->fault(vcpu, r);
	preemptible_end(vcpu);
}

static void report_exit(struct rs_vcpu *vcpu)
{
	const struct rs_exit *x = &vcpu->exit;
	struct rs_fault_report r = {
		.hw_reason = x->hw_reason, .hw_info1 = x->hw_info1, .hw_info2 = x->hw_info2,
	};

	/* Not from the run page: user space can write there. */
	switch (x->kind) {
	case RS_X_SHUTDOWN:
		r.reason = RS_EXIT_SHUTDOWN;
		break;
	case RS_X_FAIL_ENTRY:
		r.reason = RS_EXIT_FAIL_ENTRY;
		break;
	default:
		r.reason = RS_EXIT_UNHANDLED;
	}
	report(vcpu, &r);
}

static int say_ended(struct rs_vcpu *vcpu)
{
	vcpu->run->ended.reason = vcpu->gate->end_reason;
	vcpu->run->ended.pad = 0;
	vcpu->run->ended.limit = vcpu->gate->end_limit;
	vcpu->run->exit_reason = RS_EXIT_ENDED;
	return 1;
}

/* The gate is shut, or its meter has run out. 0: it is open again. -EINTR. L on entry and return. */
static int wait_at_gate(struct rs_vcpu *vcpu)
{
	struct rs_gate *gate = vcpu->gate;
	int ret = 0;

	preemptible_begin(vcpu);
	if (!rs_gate_is_shut(gate)) {
		gate->ops->used_up(gate);
	} else if (!rs_gate_has_ended(gate)) {
		WRITE_ONCE(vcpu->waiting, true);
		ret = wait_event_interruptible(gate->wait,
					       !(READ_ONCE(gate->flags) & RS_GATE_PAUSED) ||
					       rs_gate_has_ended(gate));
		WRITE_ONCE(vcpu->waiting, false);
	}
	preemptible_end(vcpu);
	return ret ? -EINTR : 0;
}

/*
 * What keeps it from entering: the end of the VM, a pause, RS_KICK, a limit, in this order. The gate
 * may have been opened meanwhile. L on entry and return.
 */
static int kicked(struct rs_vcpu *vcpu)
{
	int ret = 0;

	if (rs_gate_is_shut(vcpu->gate) || !test_bit(RS_KICK_USER, &vcpu->kick))
		ret = wait_at_gate(vcpu);
	if (ret)
		return ret;
	if (rs_gate_has_ended(vcpu->gate))
		return say_ended(vcpu);
	if (test_and_clear_bit(RS_KICK_USER, &vcpu->kick)) {
		vcpu->run->exit_reason = RS_EXIT_KICK;
		return 1;
	}
	return 0;
}

/*
 * A fault in a region without memory: a register of the NIC? 0: yes, enter again. -ENODEV: no.
 * -EINTR. L on entry and return.
 */
static int resolve_mmio(struct rs_vcpu *vcpu)
{
	struct rs_mmio m;
	int ret;

	rs_backend->get_state(vcpu, &m.state);
	preemptible_begin(vcpu);
	ret = rs_nic_mmio(vcpu, &m);
	preemptible_end(vcpu);
	if (ret)
		return ret;
	if (m.len) {
		vcpu->exit.insn_len = m.len;
		static_call(rs_skip_insn)(vcpu);
	} else {
		rs_inject_gp(vcpu);
	}
	return 0;
}

/* L on entry and return. */
static int nic_hypercall(struct rs_vcpu *vcpu)
{
	int ret;

	preemptible_begin(vcpu);
	ret = rs_nic_hypercall(vcpu);
	preemptible_end(vcpu);
	if (!ret)
		static_call(rs_skip_insn)(vcpu);
	return ret;
}

/*
 * A nested fault, in a context that may sleep. 0: enter again. 1: user exit. -errno: RS_RUN fails.
 * L on entry and return.
 */
static int resolve_fault(struct rs_vcpu *vcpu)
{
	const struct rs_exit x = vcpu->exit;
	struct rs_fault fault = { .gpa = x.gpa, .access = x.access };
	struct rs_run *run = vcpu->run;
	u32 access;
	int ret;

	preemptible_begin(vcpu);
	ret = rs_mmu_fault(vcpu->mmu, &fault);
	trace_rs_nested_fault(vcpu, x.gpa, x.access, fault.hva, fault.level, ret, fault.what);
	preemptible_end(vcpu);

	if (fault.retried)
		vcpu->count.fault_retry++;
	if (likely(!ret)) {
		if (fault.level == 1)
			vcpu->count.map_4k++;
		else if (fault.level == 2)
			vcpu->count.map_2m++;
		return 0;
	}
	if (ret == -EINTR || ret == -EIO)
		return ret;
	if (fault.mmio && ret == -EFAULT) {
		int done = resolve_mmio(vcpu);

		if (done != -ENODEV)
			return done;
	}
	if (!fault.mmio)
		vcpu->count.fault_failed++;

	access = x.access;
	if (fault.no_region)
		access |= RS_FAULT_NO_REGION;
	if (fault.no_exec)
		access |= RS_FAULT_NO_EXEC;
	if (x.delivering)
		access |= RS_FAULT_DELIVERY;
	if ((vcpu->vm_flags & RS_VM_NESTED_FAULT_VECTOR) && ret == -EFAULT && !fault.mmio &&
	    !x.delivering) {
		vcpu->fault_info.gpa = x.gpa;
		vcpu->fault_info.gva = x.gva;
		vcpu->fault_info.access = access;
		rs_inject_fault(vcpu, RS_VECTOR_NESTED_FAULT);
		return 0;
	}
	run->fault.gpa = x.gpa;
	run->fault.gva = x.gva;
	run->fault.access = access;
	run->fault.error = ret;
	run->exit_reason = fault.mmio ? RS_EXIT_MMIO : RS_EXIT_MEMORY_FAULT;
	if (!fault.mmio) {
		struct rs_fault_report r = {
			.reason = RS_EXIT_MEMORY_FAULT, .gpa = x.gpa, .gva = x.gva,
			.access = access, .error = ret,
		};

		report(vcpu, &r);
	}
	return 1;
}

/* Signals go to user space; rescheduling is done here. L on entry and return. */
static int do_work(struct rs_vcpu *vcpu)
{
	int ret = 0;

	preemptible_begin(vcpu);
	if (signal_pending(current) || test_thread_flag(TIF_NOTIFY_RESUME))
		ret = -EINTR;
	else if (need_resched())
		schedule();
	preemptible_end(vcpu);
	return ret;
}

/*
 * Virtualisation is off on this CPU: for good, or because the CPU goes offline and the thread is
 * about to be moved. L on entry and return.
 */
static int wait_on(struct rs_vcpu *vcpu)
{
	if (rs_is_rebooting())
		return -ESHUTDOWN;
	preemptible_begin(vcpu);
	schedule_timeout_interruptible(1);
	preemptible_end(vcpu);
	return signal_pending(current) ? -EINTR : 0;
}

/* L. 0: go on. 1: user exit. -errno. */
static int leave(struct rs_vcpu *vcpu, enum rs_next next)
{
	switch (next) {
	case RS_NEXT_ENTER:
	case RS_NEXT_WINDOW:
		return 0;
	case RS_NEXT_FAULT:
		return resolve_fault(vcpu);
	case RS_NEXT_NIC:
		return nic_hypercall(vcpu);
	case RS_NEXT_USER:
		return 1;
	case RS_NEXT_REPORT:
		report_exit(vcpu);
		return 1;
	case RS_NEXT_KICKED:
		return kicked(vcpu);
	case RS_NEXT_WORK:
		return do_work(vcpu);
	case RS_NEXT_OFF:
		return wait_on(vcpu);
	case RS_NEXT_BUG:
		break;
	}
	/* Our own mistake: this VM cannot go on, the host can. */
	needs_state(vcpu);
	return -EIO;
}

static int take_irq_vector(struct rs_vcpu *vcpu)
{
	u32 vector = READ_ONCE(vcpu->run->irq_vector);

	if (unlikely(vector && (vector < 32 || vector > 255)))
		return -EINVAL;
	/* When user space takes its wish back, a window asked for opens once more for nothing. */
	vcpu->irq_vector = vector;
	return 0;
}

int rs_vcpu_run(struct rs_vcpu *vcpu)
{
	struct rs_run *run = vcpu->run;
	enum rs_next next;
	int ret;

	run->exit_reason = RS_EXIT_NONE;
	if (unlikely(vcpu->runner != current || READ_ONCE(vcpu->mmu->dead))) {
		if (vcpu->life == RS_VCPU_READY && !READ_ONCE(vcpu->mmu->dead)) {
			adopt(vcpu);
		} else {
			if (!rs_gate_has_ended(vcpu->gate))
				return -EIO;
			say_ended(vcpu);
			return 0;
		}
	}
	ret = take_irq_vector(vcpu);
	if (unlikely(ret))
		return ret;
	if (vcpu->ret_pending) {
		vcpu->ret_pending = false;
		vcpu->regs.rax = READ_ONCE(run->hypercall.ret);
	}

	vcpu_load(vcpu);
	do {
		local_irq_disable();
		rs_compat_guest_time_begin();
		next = rounds(vcpu);
		local_irq_enable();
		rs_compat_guest_time_end();
		ret = leave(vcpu, next);
	} while (!ret);
	if (ret > 0) {
		run->rip = static_call(rs_get_rip)(vcpu);
		run->cpl = vcpu->exit.cpl;
		vcpu->count.user_exits++;
		ret = 0;
	}
	vcpu_put(vcpu);
	return ret;
}

void rs_vcpu_kick(struct rs_vcpu *vcpu)
{
	int cpu;
	bool sent;

	set_bit(RS_KICK_USER, &vcpu->kick);
	smp_mb();	/* pairs with the one in rounds() */
	preempt_disable();	/* the CPU cannot go away */
	cpu = READ_ONCE(vcpu->cpu);
	sent = READ_ONCE(vcpu->in_guest);
	if (sent) {
		smp_send_reschedule(cpu);
		atomic64_inc(&vcpu->kicks);
	}
	preempt_enable();
	trace_rs_kick(vcpu, cpu, sent);
}

/* --- state --- */

static bool is_canonical(u64 addr)
{
	/* The guest has 4-level paging, whatever the host has. */
	return (u64)((s64)(addr << 16) >> 16) == addr;
}

#define RS_RFLAGS_ALLOWED									\
	(X86_EFLAGS_CF | X86_EFLAGS_FIXED | X86_EFLAGS_PF | X86_EFLAGS_AF | X86_EFLAGS_ZF |	\
	 X86_EFLAGS_SF | X86_EFLAGS_TF | X86_EFLAGS_IF | X86_EFLAGS_DF | X86_EFLAGS_OF |	\
	 X86_EFLAGS_IOPL | X86_EFLAGS_NT | X86_EFLAGS_RF | X86_EFLAGS_AC | X86_EFLAGS_ID)

static bool state_is_valid(const struct rs_vcpu_state *st)
{
	const u64 efer_must = EFER_LME | EFER_LMA;

	if (st->reserved0 || memchr_inv(st->reserved, 0, sizeof(st->reserved)))
		return false;
	if (!is_canonical(st->rip) || !is_canonical(st->fs_base) || !is_canonical(st->gs_base))
		return false;
	if (st->cr3 >> rs_backend->gpa_bits)
		return false;
	if (!(st->cr4 & X86_CR4_PAE) || (st->cr4 & ~rs_cr4_allowed()))
		return false;
	if ((st->efer & efer_must) != efer_must || (st->efer & ~rs_efer_allowed()))
		return false;
	if (!(st->rflags & X86_EFLAGS_FIXED) || (st->rflags & ~(u64)RS_RFLAGS_ALLOWED))
		return false;
	return st->cpl == 0 || st->cpl == 3;
}

int rs_vcpu_set_state(struct rs_vcpu *vcpu, const struct rs_vcpu_state *st)
{
	struct rs_regs *r = &vcpu->regs;
	bool on;
	int ret;

	WARN_ON_ONCE(!vcpu->claimed);
	if (!state_is_valid(st))
		return -EINVAL;
	*r = (struct rs_regs) {
		.rax = st->rax, .rcx = st->rcx, .rdx = st->rdx, .rbx = st->rbx,
		.rbp = st->rbp, .rsi = st->rsi, .rdi = st->rdi, .cr2 = st->cr2,
		.r8 = st->r8, .r9 = st->r9, .r10 = st->r10, .r11 = st->r11,
		.r12 = st->r12, .r13 = st->r13, .r14 = st->r14, .r15 = st->r15,
	};
	vcpu->cr4 = st->cr4;
	vcpu->ret_pending = false;
	vcpu->window_wanted = false;
	vcpu->fault_info.gpa = vcpu->fault_info.gva = 0;
	vcpu->fault_info.access = 0;
	vcpu->exit = (struct rs_exit) { .cpl = st->cpl };
	vcpu_load(vcpu);
	do {	/* a CPU on its way offline cannot take the state */
		local_irq_disable();
		on = rs_cpu_is_on();
		if (on)
			rs_backend->set_state(vcpu, st);
		local_irq_enable();
		ret = on ? 0 : wait_on(vcpu);
	} while (!on && !ret);
	vcpu_put(vcpu);
	if (ret)
		return ret;
	vcpu->life = RS_VCPU_READY;
	vcpu->state_lost = false;
	return 0;
}

int rs_vcpu_get_state(struct rs_vcpu *vcpu, struct rs_vcpu_state *st)
{
	const struct rs_regs *r = &vcpu->regs;

	WARN_ON_ONCE(!vcpu->claimed);
	if (vcpu->state_lost)
		return -EIO;
	*st = (struct rs_vcpu_state) {
		.rax = r->rax, .rcx = r->rcx, .rdx = r->rdx, .rbx = r->rbx,
		.rbp = r->rbp, .rsi = r->rsi, .rdi = r->rdi, .cr2 = r->cr2,
		.r8 = r->r8, .r9 = r->r9, .r10 = r->r10, .r11 = r->r11,
		.r12 = r->r12, .r13 = r->r13, .r14 = r->r14, .r15 = r->r15,
	};
	vcpu_load(vcpu);
	rs_backend->get_state(vcpu, st);
	vcpu_put(vcpu);
	return 0;
}

/* --- life --- */

int rs_vcpu_init(struct rs_vcpu *vcpu, struct rs_vm *vm, struct rs_mmu *mmu, struct rs_gate *gate,
		 u32 vm_flags, u32 id)
{
	int ret;

	vcpu->vm = vm;
	vcpu->mmu = mmu;
	vcpu->mm = mmu->mm;
	vcpu->gate = gate;
	spin_lock_init(&vcpu->thread_lock);
	vcpu->vm_flags = vm_flags;
	vcpu->id = id;
	vcpu->cpu = -1;
	vcpu->life = RS_VCPU_NEW;
	vcpu->state_lost = true;
	/* No generation has been seen: the first entry flushes. */
	vcpu->flush_seen = ~0ull;
	vcpu->host_xcr0 = rs_xcr0();
	preempt_notifier_init(&vcpu->notifier, &preempt_ops);
	vcpu->run_page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	if (!vcpu->run_page)
		return -ENOMEM;
	vcpu->run = page_address(vcpu->run_page);
	ret = rs_backend->vcpu_create(vcpu);
	if (ret)
		put_page(vcpu->run_page);
	return ret;
}

void rs_vcpu_destroy(struct rs_vcpu *vcpu)
{
	rs_backend->vcpu_destroy(vcpu);
	put_page(vcpu->run_page);
	if (vcpu->thread)
		put_task_struct(vcpu->thread);
}

u64 rs_vcpu_exits(const struct rs_vcpu *vcpu)
{
	u64 sum = 0;
	int i;

	for (i = 0; i < RS_X_NR; i++)
		sum += READ_ONCE(vcpu->count.exits[i]);
	return sum;
}

/* Where each kind of exit is counted in struct rs_stats. */
#define RS_STAT(name) (offsetof(struct rs_stats, name) / sizeof(u64))
static const u8 exit_stat[RS_X_NR] = {
	[RS_X_INTERRUPT]	= RS_STAT(exit_interrupt),
	[RS_X_NMI]		= RS_STAT(exit_nmi),
	[RS_X_NPF]		= RS_STAT(exit_npf),
	[RS_X_HYPERCALL]	= RS_STAT(exit_hypercall),
	[RS_X_WINDOW]		= RS_STAT(exit_window),
	[RS_X_CPUID]		= RS_STAT(exit_cpuid),
	[RS_X_RDMSR]		= RS_STAT(exit_msr),
	[RS_X_WRMSR]		= RS_STAT(exit_msr),
	[RS_X_IO]		= RS_STAT(exit_io),
	[RS_X_CR]		= RS_STAT(exit_cr),
	[RS_X_DR]		= RS_STAT(exit_dr),
	[RS_X_XSETBV]		= RS_STAT(exit_other),
	[RS_X_HLT]		= RS_STAT(exit_hlt),
	[RS_X_EXCEPTION]	= RS_STAT(exit_exception),
	[RS_X_UD]		= RS_STAT(exit_other),
	[RS_X_SHUTDOWN]		= RS_STAT(exit_shutdown),
	[RS_X_FAIL_ENTRY]	= RS_STAT(exit_other),
	[RS_X_UNKNOWN]		= RS_STAT(exit_other),
};

void rs_vcpu_add_stats(const struct rs_vcpu *vcpu, struct rs_stats *stats)
{
	u64 *field = (u64 *)stats;
	int i;

	for (i = 0; i < RS_X_NR; i++) {
		u64 n = READ_ONCE(vcpu->count.exits[i]);

		field[exit_stat[i]] += n;
		stats->exits += n;
	}
	stats->entries += READ_ONCE(vcpu->count.entries);
	stats->user_exits += READ_ONCE(vcpu->count.user_exits);
	stats->map_4k += READ_ONCE(vcpu->count.map_4k);
	stats->map_2m += READ_ONCE(vcpu->count.map_2m);
	stats->fault_retry += READ_ONCE(vcpu->count.fault_retry);
	stats->fault_failed += READ_ONCE(vcpu->count.fault_failed);
	stats->injected += READ_ONCE(vcpu->count.injected);
	stats->flushes += READ_ONCE(vcpu->count.flushes);
	stats->kicks += atomic64_read(&vcpu->kicks);
	stats->migrations += READ_ONCE(vcpu->count.migrations);
}
