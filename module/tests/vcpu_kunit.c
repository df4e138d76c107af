// SPDX-License-Identifier: GPL-2.0-only
/*
 * vcpu_kunit.c - the run loop, events, statistics, CPUID and MSR policy, with a scripted backend
 *
 * No hardware is needed and no address space: nested faults go to MMIO regions or to no region at
 * all. A test says how the stays in the guest end and then looks at what RS_RUN answered and at
 * what the backend was asked to do. The backend itself checks the context of each call
 * (fake_log.misuse).
 */
#include <kunit/test.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>
#include <asm/trapnr.h>
#include "mmu/internal.h"
#include "tests/fake_backend.h"
#include "tests/formats.h"
#include "virt.h"

#define MMIO_GPA	0x100000ull

struct bench {
	const struct rs_backend *real;
	struct rs_mmu mmu;
	struct mm_struct *mm;
	struct rs_vcpu vcpu;
	struct rs_gate gate;
	unsigned int used_up;
	struct rs_fault_report report;	/* the last one */
};

static void no_kick(struct rs_mmu *mmu)
{
}

static const struct rs_mmu_ops bench_ops = { .kick_all = no_kick };

/* What control.c does, without a VM. */
static void end_at_limit(struct rs_gate *gate)
{
	container_of(gate, struct bench, gate)->used_up++;
	gate->end_reason = RS_END_LIMIT_EXITS;
	gate->end_limit = 3;
	gate->flags |= RS_GATE_ENDED;
}

static void note_fault(struct rs_vcpu *vcpu, const struct rs_fault_report *report)
{
	container_of(vcpu, struct bench, vcpu)->report = *report;
}

static const struct rs_gate_ops bench_gate_ops = { .used_up = end_at_limit, .fault = note_fault };

static struct rs_vcpu_state good_state(void)
{
	return (struct rs_vcpu_state) {
		.rip = 0x1000, .rflags = X86_EFLAGS_FIXED, .cr4 = X86_CR4_PAE,
		.efer = EFER_LME | EFER_LMA,
	};
}

static int bench_init(struct kunit *test)
{
	const struct rs_region mmio = { .gpa = MMIO_GPA, .size = 0x1000, .flags = RS_REGION_MMIO };
	const struct rs_vcpu_state st = good_state();
	struct bench *b = kunit_kzalloc(test, sizeof(*b), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, b);
	b->mm = kunit_kzalloc(test, sizeof(*b->mm), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, b->mm);
	b->mm->task_size = 1ull << 47;
	KUNIT_ASSERT_EQ(test, rs_mmu_setup(&b->mmu, &test_npt, 4, 40, &bench_ops), 0);
	b->mmu.mm = b->mm;
	KUNIT_ASSERT_EQ(test, rs_mmu_add_region(&b->mmu, &mmio), 0);
	/* faults are resolved by a thread of the address space; here none has one */
	b->mmu.mm = current->mm;

	b->real = rs_backend;
	rs_backend_use(&fake_backend);
	KUNIT_ASSERT_EQ(test, rs_virt_get(), 0);
	test->priv = b;
	preempt_notifier_inc();
	fake_start(NULL, 0);
	fake_can_interrupt = false;
	rs_gate_init(&b->gate, &bench_gate_ops);
	KUNIT_ASSERT_EQ(test, rs_vcpu_init(&b->vcpu, NULL, &b->mmu, &b->gate, 0, 5), 0);
	KUNIT_ASSERT_TRUE(test, rs_vcpu_claim(&b->vcpu));
	KUNIT_EXPECT_FALSE(test, rs_vcpu_claim(&b->vcpu));
	KUNIT_ASSERT_EQ(test, rs_vcpu_set_state(&b->vcpu, &st), 0);
	return 0;
}

static void bench_exit(struct kunit *test)
{
	struct bench *b = test->priv;

	if (!b)
		return;
	rs_vcpu_release(&b->vcpu);
	rs_vcpu_destroy(&b->vcpu);
	preempt_notifier_dec();
	rs_virt_put();
	rs_backend_use(b->real);
	b->mmu.mm = NULL;	/* no notifier to unregister */
	rs_mmu_destroy(&b->mmu);
	KUNIT_EXPECT_EQ(test, fake_log.misuse, 0u);
	KUNIT_EXPECT_EQ(test, fake_cpus_on, 0u);
}

/* EINTR without a signal is no answer: the thread had other work to do. */
static int run(struct rs_vcpu *vcpu)
{
	int ret;

	do {
		ret = rs_vcpu_run(vcpu);
	} while (ret == -EINTR && !signal_pending(current));
	return ret;
}

#define HYPERCALL(nr, ...) { .exit = { .kind = RS_X_HYPERCALL }, .rax = (nr), __VA_ARGS__ }
#define USER_CALL HYPERCALL(RS_HC_USER)

static void quick_exits_stay_in_the_guest(struct kunit *test)
{
	static const struct fake_step steps[] = {
		HYPERCALL(RS_HC_NULL), HYPERCALL(RS_HC_EXIT_COUNT), HYPERCALL(77),
		{ .exit = { .kind = RS_X_INTERRUPT } }, { .exit = { .kind = RS_X_NMI } },
		HYPERCALL(RS_HC_USER + 7, .rdi = 1, .rsi = 2, .rdx = 3, .r10 = 4),
	};
	struct bench *b = test->priv;
	struct rs_run *run_page = b->vcpu.run;

	fake_start(steps, ARRAY_SIZE(steps));
	KUNIT_EXPECT_EQ(test, run(&b->vcpu), 0);
	KUNIT_EXPECT_EQ(test, run_page->exit_reason, (u32)RS_EXIT_HYPERCALL);
	KUNIT_EXPECT_EQ(test, run_page->hypercall.nr, RS_HC_USER + 7ull);
	KUNIT_EXPECT_EQ(test, run_page->hypercall.args[0], 1ull);
	KUNIT_EXPECT_EQ(test, run_page->hypercall.args[1], 2ull);
	KUNIT_EXPECT_EQ(test, run_page->hypercall.args[2], 3ull);
	KUNIT_EXPECT_EQ(test, run_page->hypercall.args[3], 4ull);
	KUNIT_EXPECT_EQ(test, run_page->rip, 0x1234ull);
	KUNIT_EXPECT_EQ(test, fake_log.enters, 6u);
	KUNIT_EXPECT_EQ(test, fake_log.skips, 4u);
	KUNIT_EXPECT_EQ(test, fake_log.loads, fake_log.puts);
	/* the first entry flushes, nothing else asked for it */
	KUNIT_EXPECT_EQ(test, fake_log.flushes, 1u);
	KUNIT_EXPECT_FALSE(test, b->vcpu.in_guest);
}

/* The scheduler sets the flag whenever it brings a thread back, a kernel thread (this one) too. */
static void a_kernel_thread_has_no_fpu_registers(struct kunit *test)
{
	static const struct fake_step steps[] = { USER_CALL };
	struct bench *b = test->priv;

	set_thread_flag(TIF_NEED_FPU_LOAD);
	fake_start(steps, ARRAY_SIZE(steps));
	KUNIT_EXPECT_EQ(test, run(&b->vcpu), 0);
	KUNIT_EXPECT_EQ(test, fake_log.enters, 1u);
	KUNIT_EXPECT_FALSE(test, test_thread_flag(TIF_NEED_FPU_LOAD));
}

static void answers_reach_the_guest(struct kunit *test)
{
	static const struct {
		u64 nr, rdi, want;
	} cases[] = {
		{ RS_HC_NULL, 0, 0 },
		{ RS_HC_EXIT_COUNT, 0, 1 },
		{ RS_HC_FAULT_INFO, 0, 0 },
		{ RS_HC_FAULT_INFO, 3, (u64)RS_HC_ENOSYS },
		{ RS_HC_NIC_DOORBELL, 0, (u64)RS_HC_ENODEV },
		{ RS_HC_NIC_DOORBELL, ~0ull, (u64)RS_HC_ENODEV },
		{ RS_HC_NIC_WRITE + 1, 0, (u64)RS_HC_ENOSYS },
		{ RS_HC_USER - 1, 0, (u64)RS_HC_ENOSYS },
	};
	struct bench *b = test->priv;
	int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		b->vcpu.exit = (struct rs_exit) { .kind = RS_X_HYPERCALL };
		b->vcpu.regs.rax = cases[i].nr;
		b->vcpu.regs.rdi = cases[i].rdi;
		memset(&b->vcpu.count, 0, sizeof(b->vcpu.count));
		b->vcpu.count.exits[RS_X_HYPERCALL] = 1;
		b->vcpu.count.exits[RS_X_INTERRUPT] = 100;
		b->vcpu.count.exits[RS_X_NMI] = 100;
		preempt_disable();
		static_call(rs_vcpu_load)(&b->vcpu, smp_processor_id());
		KUNIT_EXPECT_EQ(test, (int)rs_hypercall(&b->vcpu), (int)RS_NEXT_ENTER);
		static_call(rs_vcpu_put)(&b->vcpu);
		preempt_enable();
		KUNIT_EXPECT_EQ_MSG(test, b->vcpu.regs.rax, cases[i].want, "case %d", i);
	}
}

static void user_answer_is_loaded_once(struct kunit *test)
{
	static const struct fake_step first[] = { USER_CALL };
	static const struct fake_step second[] = { { .exit = { .kind = RS_X_HLT } } };
	struct bench *b = test->priv;

	fake_start(first, 1);
	KUNIT_EXPECT_EQ(test, run(&b->vcpu), 0);
	KUNIT_EXPECT_TRUE(test, b->vcpu.ret_pending);
	b->vcpu.run->hypercall.ret = 0x55aa;
	/* nothing to enter for: the kick comes first, but the answer is there */
	rs_vcpu_kick(&b->vcpu);
	KUNIT_EXPECT_EQ(test, run(&b->vcpu), 0);
	KUNIT_EXPECT_EQ(test, b->vcpu.run->exit_reason, (u32)RS_EXIT_KICK);
	KUNIT_EXPECT_EQ(test, b->vcpu.regs.rax, 0x55aaull);
	b->vcpu.run->hypercall.ret = 1;
	fake_start(second, 1);
	KUNIT_EXPECT_EQ(test, run(&b->vcpu), 0);
	KUNIT_EXPECT_EQ(test, b->vcpu.run->exit_reason, (u32)RS_EXIT_HLT);
	KUNIT_EXPECT_FALSE(test, b->vcpu.ret_pending);
}

static void ring3_hypercall_is_ud(struct kunit *test)
{
	static const struct fake_step steps[] = {
		{ .exit = { .kind = RS_X_HYPERCALL, .cpl = 3 }, .rax = RS_HC_USER }, USER_CALL,
	};
	struct bench *b = test->priv;

	fake_start(steps, 2);
	KUNIT_EXPECT_EQ(test, run(&b->vcpu), 0);
	KUNIT_EXPECT_EQ(test, fake_log.enters, 2u);
	KUNIT_EXPECT_EQ(test, fake_log.injects, 1u);
	KUNIT_EXPECT_EQ(test, fake_log.injected.vector, (u8)X86_TRAP_UD);
	KUNIT_EXPECT_FALSE(test, fake_log.injected.has_error);

	b->vcpu.vm_flags = RS_VM_USER_HYPERCALLS;
	fake_start(steps, 2);
	KUNIT_EXPECT_EQ(test, run(&b->vcpu), 0);
	KUNIT_EXPECT_EQ(test, fake_log.enters, 1u);
	KUNIT_EXPECT_EQ(test, b->vcpu.run->cpl, 3u);
}

/* Who may make a hypercall from where. The flags are rules of their own. */
static void kernel_hypercalls(struct kunit *test)
{
	const u32 user = RS_VM_USER_HYPERCALLS, kernel = RS_VM_KERNEL_HYPERCALLS;
	static const u64 low = 0x7fffffffffff, high = 0xffff800000000000;
	const struct {
		u32 flags;
		u8 cpl;
		u64 rip;
		bool allowed;
	} cases[] = {
		{ 0, 0, low, true }, { 0, 0, high, true },
		{ 0, 3, low, false }, { 0, 3, high, false },
		{ user, 0, low, true }, { user, 0, high, true },
		{ user, 3, low, true }, { user, 3, high, true },
		{ kernel, 0, low, false }, { kernel, 0, high, true },
		{ kernel, 0, FAKE_RIP, false }, { kernel, 0, -1ull, true },
		{ kernel, 3, low, false }, { kernel, 3, high, false },
		{ user | kernel, 0, low, false }, { user | kernel, 0, high, true },
		{ user | kernel, 3, low, false }, { user | kernel, 3, high, true },
	};
	struct bench *b = test->priv;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct fake_step steps[] = {
			{ .exit = { .kind = RS_X_HYPERCALL, .cpl = cases[i].cpl },
			  .rip = cases[i].rip, .rax = RS_HC_USER + 7 },
			{ .exit = { .kind = RS_X_HLT } },
		};

		b->vcpu.vm_flags = cases[i].flags;
		fake_start(steps, 2);
		KUNIT_EXPECT_EQ_MSG(test, run(&b->vcpu), 0, "case %u", i);
		KUNIT_EXPECT_EQ_MSG(test, b->vcpu.run->exit_reason,
				    (u32)(cases[i].allowed ? RS_EXIT_HYPERCALL : RS_EXIT_HLT),
				    "case %u", i);
		KUNIT_EXPECT_EQ_MSG(test, fake_log.injects, cases[i].allowed ? 0u : 1u, "case %u",
				    i);
		/* a fault is at the instruction: only the HLT was stepped over */
		KUNIT_EXPECT_EQ_MSG(test, fake_log.skips, 1u, "case %u", i);
		if (!cases[i].allowed) {
			KUNIT_EXPECT_EQ(test, fake_log.injected.vector, (u8)X86_TRAP_UD);
			KUNIT_EXPECT_FALSE(test, fake_log.injected.has_error);
		}
		b->vcpu.ret_pending = false;
	}
}

/* What the guest may not do is a fault of the right kind, at the instruction. */
static void forbidden_instructions(struct kunit *test)
{
	static const struct {
		struct rs_exit exit;
		u8 vector;
		bool has_error;
	} cases[] = {
		{ { .kind = RS_X_IO }, X86_TRAP_GP, true },
		{ { .kind = RS_X_CR }, X86_TRAP_GP, true },
		{ { .kind = RS_X_XSETBV }, X86_TRAP_GP, true },
		{ { .kind = RS_X_RDMSR }, X86_TRAP_GP, true },
		{ { .kind = RS_X_WRMSR }, X86_TRAP_GP, true },
		{ { .kind = RS_X_DR }, X86_TRAP_UD, false },
		{ { .kind = RS_X_DR, .cpl = 3 }, X86_TRAP_GP, true },
		{ { .kind = RS_X_UD }, X86_TRAP_UD, false },
		{ { .kind = RS_X_EXCEPTION, .vector = X86_TRAP_DB }, X86_TRAP_DB, false },
		{ { .kind = RS_X_EXCEPTION, .vector = X86_TRAP_AC }, X86_TRAP_AC, true },
	};
	struct bench *b = test->priv;
	int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct fake_step steps[] = { { .exit = cases[i].exit }, USER_CALL };

		fake_start(steps, 2);
		KUNIT_EXPECT_EQ(test, run(&b->vcpu), 0);
		KUNIT_EXPECT_EQ_MSG(test, fake_log.injects, 1u, "case %d", i);
		KUNIT_EXPECT_EQ_MSG(test, fake_log.injected.vector, cases[i].vector, "case %d", i);
		KUNIT_EXPECT_EQ_MSG(test, fake_log.injected.has_error, cases[i].has_error,
				    "case %d", i);
		KUNIT_EXPECT_EQ(test, fake_log.injected.error, 0u);
		KUNIT_EXPECT_FALSE(test, fake_log.injected.interrupt);
		KUNIT_EXPECT_EQ(test, fake_log.skips, 1u);	/* the last hypercall */
	}
}

static void nested_faults(struct kunit *test)
{
	static const struct fake_step lost[] = {
		{ .exit = { .kind = RS_X_NPF, .gpa = 0x5000, .gva = 0x77,
			    .access = RS_FAULT_WRITE } },
	};
	static const struct fake_step mmio[] = {
		{ .exit = { .kind = RS_X_NPF, .gpa = MMIO_GPA + 8, .access = RS_FAULT_READ } },
	};
	static const struct fake_step delivery[] = {
		{ .exit = { .kind = RS_X_NPF, .gpa = 0x5000, .access = RS_FAULT_WRITE,
			    .delivering = true } },
	};
	static const struct fake_step vector[] = {
		{ .exit = { .kind = RS_X_NPF, .gpa = 0x5000, .gva = 0x77,
			    .access = RS_FAULT_FETCH } },
		USER_CALL,
	};
	struct bench *b = test->priv;
	struct rs_run *r = b->vcpu.run;

	fake_start(lost, 1);
	KUNIT_EXPECT_EQ(test, run(&b->vcpu), 0);
	KUNIT_EXPECT_EQ(test, r->exit_reason, (u32)RS_EXIT_MEMORY_FAULT);
	KUNIT_EXPECT_EQ(test, r->fault.gpa, 0x5000ull);
	KUNIT_EXPECT_EQ(test, r->fault.gva, 0x77ull);
	KUNIT_EXPECT_EQ(test, r->fault.access, RS_FAULT_WRITE | RS_FAULT_NO_REGION);
	KUNIT_EXPECT_EQ(test, r->fault.error, -EFAULT);

	fake_start(mmio, 1);
	KUNIT_EXPECT_EQ(test, run(&b->vcpu), 0);
	KUNIT_EXPECT_EQ(test, r->exit_reason, (u32)RS_EXIT_MMIO);
	KUNIT_EXPECT_EQ(test, r->fault.gpa, MMIO_GPA + 8);
	KUNIT_EXPECT_EQ(test, r->fault.access, RS_FAULT_READ);

	b->vcpu.vm_flags = RS_VM_NESTED_FAULT_VECTOR;
	fake_start(vector, 2);
	KUNIT_EXPECT_EQ(test, run(&b->vcpu), 0);
	KUNIT_EXPECT_EQ(test, r->exit_reason, (u32)RS_EXIT_HYPERCALL);
	KUNIT_EXPECT_EQ(test, fake_log.injected.vector, (u8)RS_VECTOR_NESTED_FAULT);
	KUNIT_EXPECT_FALSE(test, fake_log.injected.has_error);
	KUNIT_EXPECT_EQ(test, b->vcpu.fault_info.gpa, 0x5000ull);
	KUNIT_EXPECT_EQ(test, b->vcpu.fault_info.gva, 0x77ull);
	KUNIT_EXPECT_EQ(test, b->vcpu.fault_info.access, RS_FAULT_FETCH | RS_FAULT_NO_REGION);

	/* neither MMIO nor what happens while an event is delivered goes to the guest */
	fake_start(mmio, 1);
	KUNIT_EXPECT_EQ(test, run(&b->vcpu), 0);
	KUNIT_EXPECT_EQ(test, r->exit_reason, (u32)RS_EXIT_MMIO);
	fake_start(delivery, 1);
	KUNIT_EXPECT_EQ(test, run(&b->vcpu), 0);
	KUNIT_EXPECT_EQ(test, r->exit_reason, (u32)RS_EXIT_MEMORY_FAULT);
	KUNIT_EXPECT_EQ(test, r->fault.access,
			RS_FAULT_WRITE | RS_FAULT_NO_REGION | RS_FAULT_DELIVERY);
	KUNIT_EXPECT_EQ(test, fake_log.injects, 0u);
	KUNIT_EXPECT_EQ(test, b->vcpu.count.fault_failed, 3ull);
}

static void advance_flush_gen(struct rs_vcpu *vcpu)
{
	atomic64_inc(&vcpu->mmu->flush_gen);
}

/* An invalidation while in the guest: the entry after it has been preceded by a flush. */
static void invalidation_flushes_before_next_entry(struct kunit *test)
{
	static const struct fake_step steps[] = {
		HYPERCALL(RS_HC_NULL), HYPERCALL(RS_HC_NULL, .guest = advance_flush_gen),
		HYPERCALL(RS_HC_NULL),
		{ .exit = { .kind = RS_X_INTERRUPT }, .guest = advance_flush_gen },
		USER_CALL,
	};
	static const unsigned int flushes[] = { 1, 1, 2, 2, 3 };
	struct bench *b = test->priv;
	int i;

	fake_start(steps, ARRAY_SIZE(steps));
	KUNIT_EXPECT_EQ(test, run(&b->vcpu), 0);
	for (i = 0; i < ARRAY_SIZE(flushes); i++)
		KUNIT_EXPECT_EQ_MSG(test, fake_log.flushes_at_enter[i], flushes[i], "entry %d", i);
	KUNIT_EXPECT_EQ(test, b->vcpu.count.flushes, 3ull);
}

static void kick_from_inside(struct rs_vcpu *vcpu)
{
	rs_vcpu_kick(vcpu);
}

static void kicks(struct kunit *test)
{
	static const struct fake_step inside[] = {
		HYPERCALL(RS_HC_NULL, .guest = kick_from_inside),
	};
	static const struct fake_step after[] = { USER_CALL };
	struct bench *b = test->priv;

	/* before: nothing is entered, several are one */
	fake_start(NULL, 0);
	rs_vcpu_kick(&b->vcpu);
	rs_vcpu_kick(&b->vcpu);
	KUNIT_EXPECT_EQ(test, run(&b->vcpu), 0);
	KUNIT_EXPECT_EQ(test, b->vcpu.run->exit_reason, (u32)RS_EXIT_KICK);
	KUNIT_EXPECT_EQ(test, fake_log.enters, 0u);
	KUNIT_EXPECT_EQ(test, (u64)atomic64_read(&b->vcpu.kicks), 0ull);

	/* in the guest: an IPI, and out before the next entry */
	fake_start(inside, 1);
	KUNIT_EXPECT_EQ(test, run(&b->vcpu), 0);
	KUNIT_EXPECT_EQ(test, b->vcpu.run->exit_reason, (u32)RS_EXIT_KICK);
	KUNIT_EXPECT_EQ(test, fake_log.enters, 1u);
	KUNIT_EXPECT_EQ(test, (u64)atomic64_read(&b->vcpu.kicks), 1ull);

	fake_start(after, 1);
	KUNIT_EXPECT_EQ(test, run(&b->vcpu), 0);
	KUNIT_EXPECT_EQ(test, b->vcpu.run->exit_reason, (u32)RS_EXIT_HYPERCALL);
}

static void shut(struct bench *b, unsigned int flags)
{
	b->gate.flags = flags;
	rs_vcpu_mark(&b->vcpu, RS_KICK_GATE);
}

static void the_gate(struct kunit *test)
{
	static const struct fake_step steps[] = {
		HYPERCALL(RS_HC_NULL), HYPERCALL(RS_HC_NULL), HYPERCALL(RS_HC_NULL),
		HYPERCALL(RS_HC_NULL), USER_CALL,
	};
	struct bench *b = test->priv;
	struct rs_run *r = b->vcpu.run;

	/* the mark alone keeps nobody: the gate was opened again, or the limit is far */
	shut(b, 0);
	fake_start(steps, ARRAY_SIZE(steps));
	KUNIT_EXPECT_EQ(test, run(&b->vcpu), 0);
	KUNIT_EXPECT_EQ(test, r->exit_reason, (u32)RS_EXIT_HYPERCALL);
	KUNIT_EXPECT_EQ(test, fake_log.enters, 5u);

	/* each entry takes one off; RS_KICK is not one */
	shut(b, RS_GATE_METERED);
	atomic64_set(&b->gate.entries_left, 8);
	rs_vcpu_kick(&b->vcpu);
	KUNIT_EXPECT_EQ(test, run(&b->vcpu), 0);
	KUNIT_EXPECT_EQ(test, r->exit_reason, (u32)RS_EXIT_KICK);
	fake_start(steps, ARRAY_SIZE(steps));
	KUNIT_EXPECT_EQ(test, run(&b->vcpu), 0);
	KUNIT_EXPECT_EQ(test, r->exit_reason, (u32)RS_EXIT_HYPERCALL);
	KUNIT_EXPECT_EQ(test, (s64)atomic64_read(&b->gate.entries_left), 3ll);
	fake_start(steps, ARRAY_SIZE(steps));
	KUNIT_EXPECT_EQ(test, run(&b->vcpu), 0);
	KUNIT_EXPECT_EQ(test, fake_log.enters, 3u);
	KUNIT_EXPECT_EQ(test, b->used_up, 1u);
	KUNIT_EXPECT_EQ(test, r->exit_reason, (u32)RS_EXIT_ENDED);
	KUNIT_EXPECT_EQ(test, r->ended.reason, (u32)RS_END_LIMIT_EXITS);
	KUNIT_EXPECT_EQ(test, r->ended.limit, 3ull);

	/* for good, before RS_KICK and without a state as well */
	rs_vcpu_kick(&b->vcpu);
	fake_start(NULL, 0);
	KUNIT_EXPECT_EQ(test, run(&b->vcpu), 0);
	KUNIT_EXPECT_EQ(test, r->exit_reason, (u32)RS_EXIT_ENDED);
	b->vcpu.life = RS_VCPU_NEW;
	b->vcpu.runner = NULL;
	KUNIT_EXPECT_EQ(test, run(&b->vcpu), 0);
	KUNIT_EXPECT_EQ(test, r->exit_reason, (u32)RS_EXIT_ENDED);
	KUNIT_EXPECT_EQ(test, fake_log.enters, 0u);
	KUNIT_EXPECT_EQ(test, b->used_up, 1u);
}

static void open_window(struct rs_vcpu *vcpu)
{
	fake_can_interrupt = true;
}

static void interrupts_wait_for_their_window(struct kunit *test)
{
	static const struct fake_step steps[] = {
		HYPERCALL(RS_HC_NULL), HYPERCALL(RS_HC_NULL),
		{ .exit = { .kind = RS_X_WINDOW }, .guest = open_window }, USER_CALL,
	};
	static const struct fake_step now[] = { USER_CALL };
	struct bench *b = test->priv;

	b->vcpu.run->irq_vector = RS_VECTOR_NOTIFY;
	fake_start(steps, ARRAY_SIZE(steps));
	KUNIT_EXPECT_EQ(test, run(&b->vcpu), 0);
	KUNIT_EXPECT_EQ(test, fake_log.windows_on, 1u);
	KUNIT_EXPECT_EQ(test, fake_log.windows_off, 1u);
	KUNIT_EXPECT_EQ(test, fake_log.injects, 1u);
	KUNIT_EXPECT_EQ(test, fake_log.injected.vector, (u8)RS_VECTOR_NOTIFY);
	KUNIT_EXPECT_TRUE(test, fake_log.injected.interrupt);
	KUNIT_EXPECT_EQ(test, b->vcpu.run->irq_vector, 0u);

	b->vcpu.run->irq_vector = 32;
	fake_start(now, 1);
	KUNIT_EXPECT_EQ(test, run(&b->vcpu), 0);
	KUNIT_EXPECT_EQ(test, fake_log.windows_on, 0u);
	KUNIT_EXPECT_EQ(test, fake_log.injected.vector, (u8)32);
}

static void bad_vectors(struct kunit *test)
{
	static const u32 bad[] = { 1, 20, 31, 256, 0x80000020, ~0u };
	struct bench *b = test->priv;
	int i;

	fake_start(NULL, 0);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		b->vcpu.run->irq_vector = bad[i];
		KUNIT_EXPECT_EQ_MSG(test, run(&b->vcpu), -EINVAL, "vector %u", bad[i]);
	}
	KUNIT_EXPECT_EQ(test, fake_log.enters, 0u);
}

static void halts(struct kunit *test)
{
	static const struct fake_step steps[] = { { .exit = { .kind = RS_X_HLT } }, USER_CALL };
	struct bench *b = test->priv;

	fake_start(steps, 2);
	KUNIT_EXPECT_EQ(test, run(&b->vcpu), 0);
	KUNIT_EXPECT_EQ(test, b->vcpu.run->exit_reason, (u32)RS_EXIT_HLT);
	KUNIT_EXPECT_EQ(test, fake_log.skips, 1u);

	/* an interrupt that came while it could not be taken ends the halt when it can */
	b->vcpu.run->irq_vector = 0x40;
	b->vcpu.window_wanted = true;
	fake_start((const struct fake_step[]) {
		{ .exit = { .kind = RS_X_HLT }, .guest = open_window }, USER_CALL }, 2);
	KUNIT_EXPECT_EQ(test, run(&b->vcpu), 0);
	KUNIT_EXPECT_EQ(test, b->vcpu.run->exit_reason, (u32)RS_EXIT_HYPERCALL);
	KUNIT_EXPECT_EQ(test, fake_log.injected.vector, (u8)0x40);
}

static void broken_vcpus_need_new_state(struct kunit *test)
{
	static const struct fake_step shutdown[] = { { .exit = { .kind = RS_X_SHUTDOWN } } };
	static const struct fake_step fail[] = {
		{ .exit = { .kind = RS_X_FAIL_ENTRY, .hw_reason = 7, .hw_info1 = 8,
			    .hw_info2 = 9 } },
	};
	static const struct fake_step unknown[] = {
		{ .exit = { .kind = RS_X_UNKNOWN, .hw_reason = 1, .hw_info1 = 2, .hw_info2 = 3 } },
	};
	struct bench *b = test->priv;
	struct rs_run *r = b->vcpu.run;
	struct rs_vcpu_state st;

	fake_start(unknown, 1);
	KUNIT_EXPECT_EQ(test, run(&b->vcpu), 0);
	KUNIT_EXPECT_EQ(test, r->exit_reason, (u32)RS_EXIT_UNHANDLED);
	KUNIT_EXPECT_EQ(test, r->hw.info2, 3ull);
	KUNIT_EXPECT_EQ(test, b->report.reason, (u32)RS_EXIT_UNHANDLED);
	KUNIT_EXPECT_EQ(test, b->report.hw_info2, 3ull);
	KUNIT_EXPECT_EQ(test, b->report.rip, r->rip);

	fake_start(shutdown, 1);
	KUNIT_EXPECT_EQ(test, run(&b->vcpu), 0);
	KUNIT_EXPECT_EQ(test, r->exit_reason, (u32)RS_EXIT_SHUTDOWN);
	KUNIT_EXPECT_EQ(test, b->report.reason, (u32)RS_EXIT_SHUTDOWN);
	KUNIT_EXPECT_EQ(test, run(&b->vcpu), -EIO);
	KUNIT_EXPECT_EQ(test, r->exit_reason, (u32)RS_EXIT_NONE);
	KUNIT_EXPECT_EQ(test, rs_vcpu_get_state(&b->vcpu, &st), 0);

	st = good_state();
	KUNIT_EXPECT_EQ(test, rs_vcpu_set_state(&b->vcpu, &st), 0);
	fake_start(fail, 1);
	KUNIT_EXPECT_EQ(test, run(&b->vcpu), 0);
	KUNIT_EXPECT_EQ(test, r->exit_reason, (u32)RS_EXIT_FAIL_ENTRY);
	KUNIT_EXPECT_EQ(test, r->hw.reason, 7ull);
	KUNIT_EXPECT_EQ(test, r->hw.info1, 8ull);
	KUNIT_EXPECT_EQ(test, b->report.reason, (u32)RS_EXIT_FAIL_ENTRY);
	KUNIT_EXPECT_EQ(test, b->report.hw_reason, 7ull);
	KUNIT_EXPECT_EQ(test, run(&b->vcpu), -EIO);
	/* the CPU may have left anything where the state was */
	KUNIT_EXPECT_EQ(test, rs_vcpu_get_state(&b->vcpu, &st), -EIO);
	st = good_state();
	KUNIT_EXPECT_EQ(test, rs_vcpu_set_state(&b->vcpu, &st), 0);
	KUNIT_EXPECT_EQ(test, rs_vcpu_get_state(&b->vcpu, &st), 0);
}

static void dead_address_space(struct kunit *test)
{
	struct bench *b = test->priv;

	b->mmu.dead = true;
	fake_start(NULL, 0);
	KUNIT_EXPECT_EQ(test, run(&b->vcpu), -EIO);
	KUNIT_EXPECT_EQ(test, fake_log.enters, 0u);
}

static void signal_arrives(struct rs_vcpu *vcpu)
{
	set_thread_flag(TIF_SIGPENDING);
}

static void signals_end_the_run(struct kunit *test)
{
	static const struct fake_step steps[] = { HYPERCALL(RS_HC_NULL, .guest = signal_arrives) };
	struct bench *b = test->priv;
	int ret;

	fake_start(steps, 1);
	do {
		ret = rs_vcpu_run(&b->vcpu);
	} while (ret == -EINTR && !fake_log.enters);
	clear_thread_flag(TIF_SIGPENDING);
	KUNIT_EXPECT_EQ(test, ret, -EINTR);
	KUNIT_EXPECT_EQ(test, fake_log.enters, 1u);
	KUNIT_EXPECT_EQ(test, b->vcpu.run->exit_reason, (u32)RS_EXIT_NONE);
	KUNIT_EXPECT_EQ(test, b->vcpu.count.user_exits, 0ull);
}

/*
 * Work that is done on the way to user space and is asked for again each time, as a tracer does that
 * stops at each system call: the guest comes on all the same.
 */
static void work_for_the_way_out_does_not_come_for_ever(struct kunit *test)
{
	static const struct fake_step steps[] = { USER_CALL, USER_CALL, USER_CALL };
	struct bench *b = test->priv;
	int i, made_way = 0;

	fake_start(steps, ARRAY_SIZE(steps));
	for (i = 0; i < 12 && fake_log.enters < ARRAY_SIZE(steps); i++) {
		set_thread_flag(TIF_NOTIFY_RESUME);
		made_way += rs_vcpu_run(&b->vcpu) == -EINTR;
	}
	clear_thread_flag(TIF_NOTIFY_RESUME);
	KUNIT_EXPECT_EQ(test, fake_log.enters, (unsigned int)ARRAY_SIZE(steps));
	KUNIT_EXPECT_GE(test, made_way, 2);
}

/* Each kind is counted in one place, and the places add up. */
static void exits_add_up(struct kunit *test)
{
	struct bench *b = test->priv;
	struct rs_stats stats = {};
	u64 sum = 0, *field;
	int i;

	for (i = 0; i < RS_X_NR; i++)
		b->vcpu.count.exits[i] = 1ull << (2 * i);
	rs_vcpu_add_stats(&b->vcpu, &stats);
	for (field = &stats.exit_npf; field <= &stats.exit_other; field++)
		sum += *field;
	KUNIT_EXPECT_EQ(test, stats.exits, sum);
	KUNIT_EXPECT_EQ(test, stats.exits, ((1ull << (2 * RS_X_NR)) - 1) / 3);
	KUNIT_EXPECT_EQ(test, stats.exits, rs_vcpu_exits(&b->vcpu));
	KUNIT_EXPECT_EQ(test, stats.exit_npf, 1ull << (2 * RS_X_NPF));
	KUNIT_EXPECT_EQ(test, stats.exit_msr,
			(1ull << (2 * RS_X_RDMSR)) + (1ull << (2 * RS_X_WRMSR)));
	KUNIT_EXPECT_EQ(test, stats.exit_nmi, 1ull << (2 * RS_X_NMI));
	KUNIT_EXPECT_EQ(test, stats.exit_shutdown, 1ull << (2 * RS_X_SHUTDOWN));
}

static void refused_states(struct kunit *test)
{
	struct bench *b = test->priv;
	struct rs_vcpu_state st;

#define REFUSED(member, value) do {								\
	st = good_state();									\
	st.member = (value);									\
	KUNIT_EXPECT_EQ_MSG(test, rs_vcpu_set_state(&b->vcpu, &st), -EINVAL,			\
			    #member " = " #value);						\
} while (0)
#define ACCEPTED(member, value) do {								\
	st = good_state();									\
	st.member = (value);									\
	KUNIT_EXPECT_EQ_MSG(test, rs_vcpu_set_state(&b->vcpu, &st), 0, #member " = " #value);	\
} while (0)
	REFUSED(rip, 0x800000000000);
	ACCEPTED(rip, 0x7fffffffffff);
	ACCEPTED(rip, 0xffff800000000000);
	REFUSED(rip, 0xffff7fffffffffff);
	REFUSED(fs_base, 1ull << 63);
	REFUSED(gs_base, 1ull << 47);
	REFUSED(cr3, 1ull << 40);
	ACCEPTED(cr3, (1ull << 40) - 4096);
	REFUSED(cr4, 0);
	REFUSED(cr4, X86_CR4_PAE | X86_CR4_VMXE);
	REFUSED(cr4, X86_CR4_PAE | X86_CR4_LA57);
	REFUSED(cr4, X86_CR4_PAE | X86_CR4_PKE);
	REFUSED(cr4, X86_CR4_PAE | 1ull << 32);
	REFUSED(efer, EFER_LME);
	REFUSED(efer, EFER_LME | EFER_LMA | EFER_SVME);
	ACCEPTED(efer, EFER_LME | EFER_LMA | EFER_SCE);
	REFUSED(rflags, 0);
	REFUSED(rflags, X86_EFLAGS_FIXED | X86_EFLAGS_VM);
	REFUSED(rflags, X86_EFLAGS_FIXED | X86_EFLAGS_VIP);
	REFUSED(rflags, X86_EFLAGS_FIXED | BIT(3));
	REFUSED(rflags, X86_EFLAGS_FIXED | 1ull << 22);
	ACCEPTED(rflags, X86_EFLAGS_FIXED | X86_EFLAGS_IF | X86_EFLAGS_TF);
	REFUSED(cpl, 1);
	REFUSED(cpl, 2);
	REFUSED(cpl, 4);
	ACCEPTED(cpl, 3);
	REFUSED(reserved0, 1);
	REFUSED(reserved[0], 1);
	REFUSED(reserved[2], 1ull << 63);
#undef REFUSED
#undef ACCEPTED
}

static void ask_cpuid(struct rs_vcpu *vcpu, u32 leaf, u32 sub)
{
	/* what is above 32 bits is not looked at */
	vcpu->regs.rax = leaf | 1ull << 40;
	vcpu->regs.rcx = sub | 1ull << 40;
	preempt_disable();
	static_call(rs_vcpu_load)(vcpu, smp_processor_id());
	rs_emulate_cpuid(vcpu);
	static_call(rs_vcpu_put)(vcpu);
	preempt_enable();
}

static void cpuid_shows_what_a_guest_has(struct kunit *test)
{
	static const u32 empty[] = {
		0x3, 0x5, 0x6, 0xa, 0xf, 0x10, 0x12, 0x14, 0x17, 0x1f, 0x20, 0x40000001, 0x4fffffff,
		0x8000000a, 0x8000001f, 0x80000021, 0x8fffffff, 0xc0000000, ~0u,
	};
	struct bench *b = test->priv;
	struct rs_regs *r = &b->vcpu.regs;
	int i;

	fake_start(NULL, 0);
	ask_cpuid(&b->vcpu, 0x40000000, 0);
	KUNIT_EXPECT_EQ(test, r->rax, 0x40000000ull);
	KUNIT_EXPECT_EQ(test, memcmp(&r->rbx, "Ring\0\0\0", 8), 0);
	KUNIT_EXPECT_EQ(test, memcmp(&r->rcx, "side\0\0\0", 8), 0);
	KUNIT_EXPECT_EQ(test, memcmp(&r->rdx, "Ring\0\0\0", 8), 0);

	for (i = 0; i < ARRAY_SIZE(empty); i++) {
		ask_cpuid(&b->vcpu, empty[i], 0);
		KUNIT_EXPECT_EQ_MSG(test, r->rax | r->rbx | r->rcx | r->rdx, 0ull, "leaf %x",
				    empty[i]);
	}

	ask_cpuid(&b->vcpu, 1, 0);
	KUNIT_EXPECT_EQ(test, (u32)r->rbx >> 24, 5u);			/* the vCPU's number */
	KUNIT_EXPECT_TRUE(test, r->rcx & BIT(31));			/* hypervisor */
	KUNIT_EXPECT_FALSE(test, r->rcx & (BIT(3) | BIT(5)));		/* MONITOR, VMX */
	KUNIT_EXPECT_FALSE(test, r->rcx & (BIT(21) | BIT(24)));		/* x2APIC, TSC deadline */
	KUNIT_EXPECT_FALSE(test, r->rcx & BIT(17));			/* PCID: not the fake's */
	KUNIT_EXPECT_FALSE(test, r->rcx & BIT(27));			/* OSXSAVE as in CR4 */
	KUNIT_EXPECT_TRUE(test, r->rdx & BIT(0));			/* FPU */
	if (rs_cr4_allowed() & X86_CR4_OSXSAVE) {
		b->vcpu.cr4 |= X86_CR4_OSXSAVE;
		ask_cpuid(&b->vcpu, 1, 0);
		KUNIT_EXPECT_TRUE(test, r->rcx & BIT(27));
	}

	ask_cpuid(&b->vcpu, 7, 0);
	KUNIT_EXPECT_FALSE(test, r->rbx & BIT(10));			/* INVPCID */
	KUNIT_EXPECT_FALSE(test, r->rcx & (BIT(3) | BIT(4) | BIT(16)));	/* PKU, OSPKE, LA57 */
	ask_cpuid(&b->vcpu, 0x80000001, 0);
	KUNIT_EXPECT_FALSE(test, r->rcx & BIT(2));			/* SVM */
	ask_cpuid(&b->vcpu, 0x80000008, 0);
	KUNIT_EXPECT_EQ(test, (u32)r->rax >> 8, 48u);
	KUNIT_EXPECT_EQ(test, fake_log.skips, fake_log.loads);
}

static enum rs_next ask_msr(struct rs_vcpu *vcpu, u32 msr, bool write, u64 val)
{
	enum rs_next next;

	fake_start(NULL, 0);
	vcpu->regs.rcx = msr | 1ull << 40;
	vcpu->regs.rax = lower_32_bits(val) | 1ull << 50;
	vcpu->regs.rdx = upper_32_bits(val) | 1ull << 50;
	preempt_disable();
	static_call(rs_vcpu_load)(vcpu, smp_processor_id());
	next = write ? rs_emulate_wrmsr(vcpu) : rs_emulate_rdmsr(vcpu);
	static_call(rs_vcpu_put)(vcpu);
	preempt_enable();
	return next;
}

static void msrs_are_closed(struct kunit *test)
{
	static const u32 closed[] = {
		0, MSR_IA32_TSC, MSR_IA32_APICBASE, MSR_IA32_SPEC_CTRL, MSR_IA32_PRED_CMD, 0x800,
		MSR_IA32_DEBUGCTLMSR, MSR_IA32_CR_PAT, MSR_IA32_XSS, MSR_TSC_AUX, MSR_VM_HSAVE_PA,
		MSR_VM_CR, 0xc0002000, 0xffffffff,
	};
	struct bench *b = test->priv;
	struct rs_vcpu *v = &b->vcpu;
	int i, write;

	for (i = 0; i < ARRAY_SIZE(closed); i++) {
		for (write = 0; write < 2; write++) {
			KUNIT_EXPECT_EQ(test, (int)ask_msr(v, closed[i], write, 0),
					(int)RS_NEXT_ENTER);
			KUNIT_EXPECT_EQ_MSG(test, fake_log.injected.vector, (u8)X86_TRAP_GP,
					    "MSR %x", closed[i]);
			KUNIT_EXPECT_EQ(test, fake_log.skips, 0u);
		}
	}

	ask_msr(v, MSR_EFER, false, 0);
	KUNIT_EXPECT_EQ(test, fake_log.injects, 0u);
	KUNIT_EXPECT_EQ(test, fake_log.skips, 1u);
	KUNIT_EXPECT_EQ(test, v->regs.rax, 0x55667788ull);
	KUNIT_EXPECT_EQ(test, v->regs.rdx, 0x11223344ull);
	ask_msr(v, MSR_EFER, true, EFER_LME | EFER_LMA);
	KUNIT_EXPECT_EQ(test, fake_log.injected.vector, (u8)X86_TRAP_GP);

	/* the backend has the last word about values */
	ask_msr(v, MSR_LSTAR, true, 0x1122334455667788);
	KUNIT_EXPECT_EQ(test, fake_log.injects, 0u);
	KUNIT_EXPECT_EQ(test, fake_log.skips, 1u);
	ask_msr(v, MSR_LSTAR, true, 1);
	KUNIT_EXPECT_EQ(test, fake_log.injected.vector, (u8)X86_TRAP_GP);
}

static struct kunit_case vcpu_tests[] = {
	KUNIT_CASE(quick_exits_stay_in_the_guest),
	KUNIT_CASE(a_kernel_thread_has_no_fpu_registers),
	KUNIT_CASE(answers_reach_the_guest),
	KUNIT_CASE(user_answer_is_loaded_once),
	KUNIT_CASE(ring3_hypercall_is_ud),
	KUNIT_CASE(kernel_hypercalls),
	KUNIT_CASE(forbidden_instructions),
	KUNIT_CASE(nested_faults),
	KUNIT_CASE(invalidation_flushes_before_next_entry),
	KUNIT_CASE(kicks),
	KUNIT_CASE(the_gate),
	KUNIT_CASE(interrupts_wait_for_their_window),
	KUNIT_CASE(bad_vectors),
	KUNIT_CASE(halts),
	KUNIT_CASE(broken_vcpus_need_new_state),
	KUNIT_CASE(dead_address_space),
	KUNIT_CASE(signals_end_the_run),
	KUNIT_CASE(work_for_the_way_out_does_not_come_for_ever),
	KUNIT_CASE(exits_add_up),
	KUNIT_CASE(refused_states),
	KUNIT_CASE(cpuid_shows_what_a_guest_has),
	KUNIT_CASE(msrs_are_closed),
	{}
};

static struct kunit_suite vcpu_suite = {
	.name = "ringside-vcpu",
	.init = bench_init,
	.exit = bench_exit,
	.test_cases = vcpu_tests,
};
kunit_test_suite(vcpu_suite);
