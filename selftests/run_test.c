// SPDX-License-Identifier: MIT
/*
 * run_test.c - what a guest can do, cannot do, and sees; and what its host process gets to know
 *
 * The host half of each pair is here, the guest half in payload/.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "testvm.h"

#define V_DE	0
#define V_BP	3
#define V_UD	6
#define V_GP	13
#define V_PF	14
#define V_LEAVE	0x81

struct guest {
	struct tvm *vm;
	struct tcpu *c;
};

static struct guest guest(uint32_t flags)
{
	struct guest g;

	g.vm = tvm_new(flags);
	g.c = tcpu_new(g.vm, 0);
	return g;
}

/* The function ended with this exception. */
#define EXPECT_VECTOR(c, v)	EXPECT_EQ((c)->args->vector, v)

/* Ring 3 does what enum g_user says. */
static void user(struct guest *g, enum g_user what, uint64_t arg)
{
	uint64_t code = tcpu_call(g->c, G_USER_CODE, what);

	tcpu_call(g->c, G_USER, code, arg);
}

/* exits is the sum of the exit_ fields */
static void expect_sum(const struct rs_stats *s)
{
	EXPECT_EQ(s->exits, s->exit_npf + s->exit_hypercall + s->exit_interrupt + s->exit_nmi +
		  s->exit_window + s->exit_cpuid + s->exit_msr + s->exit_io + s->exit_cr +
		  s->exit_dr + s->exit_hlt + s->exit_exception + s->exit_shutdown + s->exit_other);
}

/* --- hypercalls --------------------------------------------------------- */

TEST(hypercalls_of_the_module)
{
	struct guest g = guest(0);

	EXPECT_EQ(tcpu_call(g.c, G_HYPERCALL, RS_HC_NULL), 0);
	/* there is no NIC */
	EXPECT_EQ(tcpu_call(g.c, G_HYPERCALL, RS_HC_NIC_DOORBELL), (uint64_t)RS_HC_ENODEV);
	EXPECT_EQ(tcpu_call(g.c, G_HYPERCALL, RS_HC_NIC_READ), (uint64_t)RS_HC_ENODEV);
	EXPECT_EQ(tcpu_call(g.c, G_HYPERCALL, RS_HC_NIC_WRITE, ~0ul), (uint64_t)RS_HC_ENODEV);
	EXPECT_EQ(tcpu_call(g.c, G_HYPERCALL, RS_HC_NIC_WRITE + 1), (uint64_t)RS_HC_ENOSYS);
	EXPECT_EQ(tcpu_call(g.c, G_HYPERCALL, RS_HC_USER - 1), (uint64_t)RS_HC_ENOSYS);
	/* each hypercall is one exit, and nothing else exits in between */
	EXPECT_EQ(tcpu_call(g.c, G_EXIT_DELTA, 0), 1);
	EXPECT_EQ(tcpu_call(g.c, G_EXIT_DELTA, 100), 101);
}

TEST(hypercalls_to_user_space)
{
	struct guest g = guest(0);
	struct rs_run *r = g.c->run;
	static const uint64_t nrs[] = { RS_HC_USER, RS_HC_USER + 1, 0x7fffffff, 0x80000000,
				       0x100000000, ~0ull };

	for (unsigned int i = 0; i < sizeof(nrs) / sizeof(*nrs); i++) {
		tcpu_start(g.c, G_HYPERCALL, nrs[i], 0x1111111111111111, ~0ull, 3,
			   0x8000000000000000);
		tcpu_run_to(g.c, RS_EXIT_HYPERCALL);
		EXPECT_EQ(r->hypercall.nr, nrs[i]);
		EXPECT_EQ(r->hypercall.args[0], 0x1111111111111111);
		EXPECT_EQ(r->hypercall.args[1], ~0ull);
		EXPECT_EQ(r->hypercall.args[2], 3);
		EXPECT_EQ(r->hypercall.args[3], 0x8000000000000000);
		EXPECT_EQ(r->cpl, 0);
		EXPECT(r->rip > G_CODE && r->rip < G_STACKS);
		r->hypercall.ret = 0xfedcba9876543210;
		EXPECT_EQ(tcpu_finish(g.c), 0xfedcba9876543210);
	}
	tcpu_start(g.c, G_SYNCS, 5);
	for (int i = 0; i < 5; i++) {
		tcpu_to_sync(g.c);
		EXPECT_EQ(r->hypercall.args[0], i);
		r->hypercall.ret = 1 << i;
	}
	EXPECT_EQ(tcpu_finish(g.c), 31);
}

TEST(hypercalls_keep_registers)
{
	struct guest g = guest(0);

	EXPECT_EQ(tcpu_call(g.c, G_GPRS, RS_HC_NULL), 0);
	EXPECT_EQ(tcpu_call(g.c, G_GPRS, 77), 0);
	tcpu_start(g.c, G_GPRS, RS_HC_USER);
	tcpu_run_to(g.c, RS_EXIT_HYPERCALL);
	EXPECT_EQ(g.c->run->hypercall.args[0], 0x5555555555555555);
	EXPECT_EQ(g.c->run->hypercall.args[1], 0x4444444444444444);
	EXPECT_EQ(g.c->run->hypercall.args[2], 0x3333333333333333);
	EXPECT_EQ(g.c->run->hypercall.args[3], 0x9999999999999999);
	EXPECT_EQ(tcpu_finish(g.c), 0);
}

/* RS_GET_STATE in the middle of a hypercall shows the guest's registers. */
TEST(state_after_exit)
{
	struct guest g = guest(0);
	struct rs_vcpu_state st;

	tcpu_start(g.c, G_GPRS, RS_HC_USER);
	tcpu_run_to(g.c, RS_EXIT_HYPERCALL);
	SYS(ioctl(g.c->fd, RS_GET_STATE, &st));
	EXPECT_EQ(st.rbx, 0x1111111111111111);
	EXPECT_EQ(st.rcx, 0x2222222222222222);
	EXPECT_EQ(st.rbp, 0x6666666666666666);
	EXPECT_EQ(st.r8, 0x7777777777777777);
	EXPECT_EQ(st.r15, 0xeeeeeeeeeeeeeeee);
	EXPECT_EQ(st.rip, g.c->run->rip);
	EXPECT_EQ(st.cr3, G_PML4);
	EXPECT_EQ(st.cpl, 0);
	EXPECT_EQ(st.efer & 0x500, 0x500);
	/* what was read can be written back, and the guest goes on where it was */
	SYS(ioctl(g.c->fd, RS_SET_STATE, &st));
}

/* --- exits -------------------------------------------------------------- */

TEST(hlt)
{
	struct guest g = guest(0);
	uint64_t rip;

	for (int on = 0; on < 2; on++) {
		tcpu_start(g.c, G_HLT, on);
		tcpu_run_to(g.c, RS_EXIT_HLT);
		rip = g.c->run->rip;
		/* behind the instruction: the next run goes on */
		EXPECT_EQ(*(uint8_t *)(g.vm->mem + rip - 1), 0xf4);
		tcpu_finish(g.c);
		EXPECT_VECTOR(g.c, G_NO_VECTOR);
	}
	/* an interrupt wakes it */
	tcpu_start(g.c, G_HLT, 1);
	tcpu_run_to(g.c, RS_EXIT_HLT);
	g.c->run->irq_vector = 0x55;
	tcpu_finish(g.c);
	EXPECT_EQ(g.c->args->irqs[0x55], 1);
	/* and one that is there before keeps it from halting */
	tcpu_start(g.c, G_HLT, 1, 1);
	tcpu_to_sync(g.c);
	g.c->run->irq_vector = 0x56;
	tcpu_finish(g.c);
	EXPECT_EQ(g.c->args->irqs[0x56], 1);
}

TEST(shutdown_needs_set_state)
{
	struct guest g = guest(0);

	tcpu_start(g.c, G_TRIPLE_FAULT);
	tcpu_run_to(g.c, RS_EXIT_SHUTDOWN);
	EXPECT_EQ(tcpu_run_raw(g.c), -1);
	EXPECT_EQ(errno, EIO);
	EXPECT_EQ(tcpu_call(g.c, G_NULL), 0);
	EXPECT_EQ(tcpu_stats(g.c).exit_shutdown, 1);
}

static void expect_fault(struct tcpu *c, int reason, uint64_t gpa, uint32_t must, uint32_t not)
{
	tcpu_run_to(c, reason);
	EXPECT_EQ(c->run->fault.gpa & ~(PAGE - 1), gpa & ~(PAGE - 1));
	EXPECT_EQ(c->run->fault.access & must, must);
	EXPECT_EQ(c->run->fault.access & not, 0);
	EXPECT(c->run->fault.gva == 0 || c->run->fault.gva == gpa);
}

TEST(memory_fault)
{
	struct guest g = guest(0);
	uint8_t *hole = g.vm->mem + G_SCRATCH + PAGE;
	uint64_t gpa = G_SCRATCH + PAGE;

	/* a page the process has, then has not, then has again */
	EXPECT_EQ(tcpu_call(g.c, G_LOAD, gpa), 0);
	SYS(mprotect(hole, PAGE, PROT_NONE));
	tcpu_start(g.c, G_LOAD, gpa + 8);
	expect_fault(g.c, RS_EXIT_MEMORY_FAULT, gpa + 8, RS_FAULT_READ,
		     RS_FAULT_WRITE | RS_FAULT_NO_REGION);
	EXPECT_EQ(g.c->run->fault.error, -EFAULT);
	/* still, and the instruction was not skipped */
	expect_fault(g.c, RS_EXIT_MEMORY_FAULT, gpa + 8, RS_FAULT_READ, RS_FAULT_WRITE);
	SYS(mprotect(hole, PAGE, PROT_READ));
	EXPECT_EQ(tcpu_finish(g.c), 0);
	tcpu_start(g.c, G_STORE, gpa, 0x1234);
	expect_fault(g.c, RS_EXIT_MEMORY_FAULT, gpa, RS_FAULT_WRITE, RS_FAULT_NO_REGION);
	SYS(mprotect(hole, PAGE, PROT_READ | PROT_WRITE));
	tcpu_finish(g.c);
	EXPECT_EQ(*tvm_at(g.vm, gpa), 0x1234);

	/* no region behind the guest's page-table entry */
	*tvm_pte(g.vm, gpa) = G_ARENA | 7;
	tcpu_start(g.c, G_LOAD, gpa);
	tcpu_run_to(g.c, RS_EXIT_MEMORY_FAULT);
	EXPECT_EQ(g.c->run->fault.gpa, G_ARENA);
	EXPECT(g.c->run->fault.access & RS_FAULT_NO_REGION);
	/* nor behind a table */
	*tvm_pte(g.vm, gpa) = gpa | 7;
	*tvm_at(g.vm, G_PD + gpa / HUGE * 8) = 1ull << 38 | 7;
	tcpu_start(g.c, G_LOAD, gpa);
	tcpu_run_to(g.c, RS_EXIT_MEMORY_FAULT);
	EXPECT_EQ(g.c->run->fault.gpa & ~(PAGE - 1), 1ull << 38);
	EXPECT(g.c->run->fault.access & RS_FAULT_WALK);
	*tvm_at(g.vm, G_PD + gpa / HUGE * 8) = (G_PT + gpa / HUGE * PAGE) | 7;
	EXPECT_EQ(tcpu_call(g.c, G_LOAD, gpa), 0x1234);
	EXPECT_GE(tvm_stats(g.vm).fault_failed, 5);
}

TEST(read_only_region)
{
	struct guest g = guest(0);
	uint64_t gpa = 1ull << 30, gva = G_SCRATCH;
	uint64_t *mem = map_aligned(HUGE);

	mem[0] = 0xabcd;
	SYS(tvm_region_raw(g.vm, gpa, HUGE, mem, RS_REGION_READONLY));
	*tvm_pte(g.vm, gva) = gpa | 7;
	EXPECT_EQ(tcpu_call(g.c, G_LOAD, gva), 0xabcd);
	tcpu_start(g.c, G_STORE, gva, 1);
	tcpu_run_to(g.c, RS_EXIT_MEMORY_FAULT);
	EXPECT_EQ(g.c->run->fault.gpa, gpa);
	EXPECT_EQ(g.c->run->fault.access & (RS_FAULT_WRITE | RS_FAULT_NO_REGION), RS_FAULT_WRITE);
	EXPECT_EQ(mem[0], 0xabcd);
	/* the process itself may write, and the guest sees it */
	mem[0] = 0xef01;
	EXPECT_EQ(tcpu_call(g.c, G_LOAD, gva), 0xef01);
	/* when the region is gone, so is the memory */
	SYS(tvm_unregion_raw(g.vm, gpa, HUGE));
	tcpu_start(g.c, G_LOAD, gva);
	tcpu_run_to(g.c, RS_EXIT_MEMORY_FAULT);
	EXPECT(g.c->run->fault.access & RS_FAULT_NO_REGION);
}

TEST(mmio_region)
{
	struct guest g = guest(0);
	uint64_t gpa = 0x800000000 - PAGE, gva = G_SCRATCH;

	SYS(tvm_region_raw(g.vm, gpa, PAGE, NULL, RS_REGION_MMIO));
	*tvm_pte(g.vm, gva) = gpa | 7;
	tcpu_start(g.c, G_STORE, gva + 0x10, 1);
	tcpu_run_to(g.c, RS_EXIT_MMIO);
	EXPECT_EQ(g.c->run->fault.gpa, gpa + 0x10);
	EXPECT(g.c->run->fault.access & RS_FAULT_WRITE);
	tcpu_start(g.c, G_LOAD, gva + 0xff8);
	tcpu_run_to(g.c, RS_EXIT_MMIO);
	EXPECT_EQ(g.c->run->fault.gpa, gpa + 0xff8);
	EXPECT_EQ(g.c->run->fault.access & RS_FAULT_WRITE, 0);
	/* RIP is at the instruction: again the same */
	tcpu_run_to(g.c, RS_EXIT_MMIO);
	EXPECT_EQ(g.c->run->fault.gpa, gpa + 0xff8);
}

TEST(nested_fault_vector)
{
	struct guest g = guest(RS_VM_NESTED_FAULT_VECTOR);
	uint64_t gpa = G_SCRATCH + PAGE;

	EXPECT_EQ(tcpu_call(g.c, G_LOAD, gpa), 0);
	EXPECT_VECTOR(g.c, G_NO_VECTOR);
	SYS(mprotect(g.vm->mem + gpa, PAGE, PROT_READ));
	tcpu_call(g.c, G_STORE, gpa + 0x18, 1);
	EXPECT_VECTOR(g.c, RS_VECTOR_NESTED_FAULT);
	EXPECT(g.c->args->rip > G_CODE && g.c->args->rip < G_STACKS);
	EXPECT_EQ(g.c->args->fault_info[0], gpa + 0x18);
	EXPECT(g.c->args->fault_info[1] == 0 || g.c->args->fault_info[1] == gpa + 0x18);
	EXPECT_EQ(g.c->args->fault_info[2] & (RS_FAULT_WRITE | RS_FAULT_NO_REGION), RS_FAULT_WRITE);
	/* ring 3 meets it too, and ring 0 learns of it */
	SYS(mprotect(g.vm->mem + gpa, PAGE, PROT_NONE));
	user(&g, GU_READ, gpa);
	EXPECT_VECTOR(g.c, RS_VECTOR_NESTED_FAULT);
	EXPECT_EQ(g.c->args->cpl, 3);
	/* no region at all */
	*tvm_pte(g.vm, G_SCRATCH) = 1ull << 37 | 7;
	tcpu_call(g.c, G_LOAD, G_SCRATCH);
	EXPECT_VECTOR(g.c, RS_VECTOR_NESTED_FAULT);
	EXPECT(g.c->args->fault_info[2] & RS_FAULT_NO_REGION);
	EXPECT_EQ(g.c->args->fault_info[0], 1ull << 37);
}

/* While an event is being delivered there is nobody to tell but the host process. */
TEST(fault_during_delivery)
{
	for (uint32_t flags = 0; flags < 2; flags++) {
		struct guest g = guest(flags);
		struct rs_vcpu_state st;

		/* a stack that is not there, then an exception that needs it */
		tcpu_state(g.c, &st);
		tcpu_call(g.c, G_NULL);		/* descriptor tables are in place now */
		SYS(mprotect(g.vm->mem + G_SCRATCH, 2 * PAGE, PROT_NONE));
		memcpy(g.vm->mem + G_USER_STACKS, (uint8_t[]){ 0x48, 0xc7, 0xc4, 0, 0x10, 0x40, 0,
							      0x0f, 0x0b }, 9);
		/* mov $G_SCRATCH + 0x1000, %rsp; ud2 */
		tcpu_start(g.c, G_CALL, G_USER_STACKS);
		tcpu_run_to(g.c, RS_EXIT_MEMORY_FAULT);
		EXPECT_EQ(g.c->run->fault.gpa & ~(PAGE - 1), G_SCRATCH);
		EXPECT(g.c->run->fault.access & RS_FAULT_DELIVERY);
		/* with memory there the exception is delivered after all: nothing was lost */
		SYS(mprotect(g.vm->mem + G_SCRATCH, 2 * PAGE, PROT_READ | PROT_WRITE));
		tcpu_finish(g.c);
		EXPECT_VECTOR(g.c, V_UD);
		EXPECT_EQ(g.c->args->rip, G_USER_STACKS + 7);
		tvm_close(g.vm);
	}
}

/* --- what is closed ----------------------------------------------------- */

TEST(msrs_are_closed)
{
	struct guest g = guest(0);
	static const uint32_t closed[] = {
		0x10, 0x1b, 0x3a, 0x48, 0x49, 0x79, 0x8b, 0xfe, 0x10a, 0x184, 0x179, 0x17a, 0x186,
		0x199, 0x1a0, 0x1d9, 0x200, 0x277, 0x2ff, 0x309, 0x38f, 0x400, 0x480, 0x6e0, 0x800,
		0x802, 0x80b, 0xc80, 0xda0, 0xc0000103, 0xc0010000, 0xc0010010, 0xc0010015,
		0xc0010114, 0xc0010117, 0x40000000, 0x4b564d00, 0xffffffff,
	};

	for (unsigned int i = 0; i < sizeof(closed) / sizeof(*closed); i++) {
		/*
		 * reading the TSC by MSR or its adjustment, or TSC_AUX, tells nothing RDTSC does
		 * not
		 */
		if (closed[i] != 0x10 && closed[i] != 0xc0000103) {
			tcpu_call(g.c, G_RDMSR, closed[i]);
			if (g.c->args->vector != V_GP)
				FAIL("RDMSR %#x: vector %#lx, value %#lx", closed[i],
				     g.c->args->vector, g.c->args->ret);
		}
		tcpu_call(g.c, G_WRMSR, closed[i], 0);
		if (g.c->args->vector != V_GP)
			FAIL("WRMSR %#x: vector %#lx", closed[i], g.c->args->vector);
		if (g.c->args->vector == V_GP)
			EXPECT_EQ(g.c->args->error, 0);
	}
	/* EFER can be read; changing it must not turn on virtualisation or turn off long mode */
	EXPECT_EQ(tcpu_call(g.c, G_RDMSR, 0xc0000080) & ~0x801ull, 0x500);
	tcpu_call(g.c, G_WRMSR, 0xc0000080, 0x1d01);
	EXPECT_VECTOR(g.c, V_GP);
}

TEST(msrs_that_are_open)
{
	struct guest g = guest(0);
	static const uint32_t open[] = {
		0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, 0xc0000100, 0xc0000102,
	};

	for (int i = 0; i < 6; i++) {
		uint64_t v = open[i] == 0xc0000084 ? 0x47700 : 0xffff800012345678 + i;

		EXPECT_EQ(tcpu_call(g.c, G_WRMSR, open[i], v), v);
		EXPECT_VECTOR(g.c, G_NO_VECTOR);
		EXPECT_EQ(tcpu_call(g.c, G_WRMSR, open[i], 0), 0);
		EXPECT_VECTOR(g.c, G_NO_VECTOR);
	}
	/* TCG lets through what is not canonical */
	for (int i = 0; i < 6 && !on_tcg(); i++) {
		if (open[i] == 0xc0000081 || open[i] == 0xc0000084)
			continue;
		tcpu_call(g.c, G_WRMSR, open[i], 1ull << 63);
		if (g.c->args->vector != V_GP)
			FAIL("MSR %#x takes an address that is not canonical", open[i]);
	}
}

/*
 * After the guest has run, the process has its own segment bases and system-call entry; the other
 * way round the guest has its own.
 */
TEST(msrs_of_the_host_are_untouched)
{
	struct guest g = guest(0);
	static __thread volatile int tls = 17;

	for (int i = 0; i < 50; i++) {
		tcpu_call(g.c, G_WRMSR, 0xc0000100, 0xdead0000 + i);
		ASSERT_EQ(tls, 17);
		ASSERT_EQ(getppid() > 0, 1);
		sched_yield();
		ASSERT_EQ(tcpu_call(g.c, G_RDMSR, 0xc0000082) > G_CODE, 1);
	}
}

TEST(io_is_closed)
{
	struct guest g = guest(0);
	static const uint16_t ports[] = { 0, 0x20, 0x21, 0x40, 0x60, 0x64, 0x70, 0x80, 0xb2, 0xcf8,
					 0xcfc, 0x3f8, 0x8900, 0xffff };

	for (unsigned int i = 0; i < sizeof(ports) / sizeof(*ports); i++) {
		tcpu_call(g.c, G_IN, ports[i]);
		EXPECT_VECTOR(g.c, V_GP);
		EXPECT_EQ(g.c->args->error, 0);
		tcpu_call(g.c, G_OUT, ports[i], 0);
		EXPECT_VECTOR(g.c, V_GP);
	}
	EXPECT_EQ(tcpu_stats(g.c).exit_io, 2 * sizeof(ports) / sizeof(*ports));
}

static void cpuid(struct tcpu *c, uint32_t leaf, uint32_t sub, uint32_t out[4])
{
	tcpu_call(c, G_CPUID, leaf, sub);
	for (int i = 0; i < 4; i++)
		out[i] = c->args->out[i];
}

TEST(cpuid_is_filtered)
{
	struct guest g = guest(0);
	uint32_t r[4], max;

	cpuid(g.c, 0, 0, r);
	max = r[0];
	EXPECT_GE(max, 1);
	cpuid(g.c, 1, 0, r);
	/* MONITOR VMX SMX x2APIC TSC-deadline */
	EXPECT_EQ(r[2] & (1 << 3 | 1 << 5 | 1 << 6 | 1 << 21 | 1 << 24), 0);
	EXPECT_EQ(r[3] & (1 << 9 | 1 << 12), 0);				/* APIC MTRR */
	/* FPU FXSR SSE2 */
	EXPECT_EQ(r[3] & (1 << 0 | 1 << 24 | 1 << 26), 1 << 0 | 1 << 24 | 1 << 26);
	/* OSXSAVE follows the guest's own CR4 */
	EXPECT_EQ(!!(r[2] & 1 << 27), !!(g.vm->info.features & RS_FEATURE_XSAVE));
	cpuid(g.c, 0x80000001, 0, r);
	EXPECT_EQ(r[2] & 1 << 2, 0);						/* SVM */
	EXPECT_EQ(r[3] & 1 << 29, 1 << 29);					/* LM */
	cpuid(g.c, 0x8000000a, 0, r);
	EXPECT_EQ(r[0] | r[1] | r[2] | r[3], 0);
	cpuid(g.c, 0x8000001f, 0, r);
	EXPECT_EQ(r[0] | r[1] | r[2] | r[3], 0);
	if (max >= 7) {
		cpuid(g.c, 7, 0, r);
		EXPECT_EQ(r[1] & (1 << 2), 0);					/* SGX */
	}
	if (max >= 0xa) {
		cpuid(g.c, 0xa, 0, r);
		/* performance counters */
		EXPECT_EQ(r[0], 0);
	}
	/* beyond the end there is nothing of the host's */
	cpuid(g.c, 0x7fffffff, 0, r);
	EXPECT_EQ(r[0] | r[1] | r[2] | r[3], 0);
}

/*
 * Instructions, as bytes, that a guest may not execute, and what it gets. They may clobber any
 * register but RSP.
 */
static const struct insn {
	const char *name;
	int vector;
	uint8_t len, code[15];
} insns[] = {
	{ "vmrun", V_UD, 3, { 0x0f, 0x01, 0xd8 } },
	{ "vmload", V_UD, 3, { 0x0f, 0x01, 0xda } },
	{ "vmsave", V_UD, 3, { 0x0f, 0x01, 0xdb } },
	{ "stgi", V_UD, 3, { 0x0f, 0x01, 0xdc } },
	{ "clgi", V_UD, 3, { 0x0f, 0x01, 0xdd } },
	{ "invlpga", V_UD, 3, { 0x0f, 0x01, 0xdf } },
	{ "vmlaunch", V_UD, 3, { 0x0f, 0x01, 0xc2 } },
	{ "vmresume", V_UD, 3, { 0x0f, 0x01, 0xc3 } },
	{ "vmxoff", V_UD, 3, { 0x0f, 0x01, 0xc4 } },
	{ "vmread", V_UD, 3, { 0x0f, 0x78, 0xc1 } },
	{ "monitor", V_UD, 7, { 0x31, 0xc9, 0x31, 0xd2, 0x0f, 0x01, 0xc8 } },
	{ "mwait", V_UD, 7, { 0x31, 0xc9, 0x31, 0xc0, 0x0f, 0x01, 0xc9 } },
	{ "rsm", V_UD, 2, { 0x0f, 0xaa } },
	{ "mov %rax,%cr4 with VMXE", V_GP, 9, { 0x0f, 0x20, 0xe0, 0x80, 0xcc, 0x20, 0x0f, 0x22,
					       0xe0 } },
	{ "mov %rax,%cr4 without PAE", V_GP, 8, { 0x0f, 0x20, 0xe0, 0x24, 0xdf, 0x0f, 0x22,
						 0xe0 } },
	{ "ud2", V_UD, 2, { 0x0f, 0x0b } },
	{ "int3", V_BP, 1, { 0xcc } },
	{ "div by zero", V_DE, 4, { 0x31, 0xc9, 0xf7, 0xf1 } },
	{ "rdpmc", V_GP, 7, { 0xb9, 0x40, 0x10, 0x00, 0x00, 0x0f, 0x33 } },
};

static void run_code(struct tcpu *c, const uint8_t *code, size_t len)
{
	uint8_t *at = c->vm->mem + G_SCRATCH;

	memcpy(at, code, len);
	at[len] = 0xc3;
	tcpu_call(c, G_CALL, G_SCRATCH);
}

TEST(instructions_that_do_not_exist)
{
	struct guest g = guest(0);

	for (unsigned int i = 0; i < sizeof(insns) / sizeof(*insns); i++) {
		run_code(g.c, insns[i].code, insns[i].len);
		if (g.c->args->vector != (unsigned long)insns[i].vector)
			FAIL("%s: vector %#lx, not %d", insns[i].name, g.c->args->vector,
			     insns[i].vector);
	}
	/* the other vendor's hypercall */
	run_code(g.c, g.c->args->vmx ? (uint8_t[]){ 0x0f, 0x01, 0xd9 } :
		 (uint8_t[]){ 0x0f, 0x01, 0xc1 }, 3);
	EXPECT_VECTOR(g.c, V_UD);
}

/*
 * Whatever the guest writes to CR0, protection and paging stay on; the host's caches are not its
 * business.
 */
TEST(cr0)
{
	struct guest g = guest(0);
	static const uint8_t no_pg[] = { 0x0f, 0x20, 0xc0, 0x0f, 0xba, 0xf0, 31, 0x0f, 0x22, 0xc0 };
	static const uint8_t cd[] = { 0x0f, 0x20, 0xc0, 0x0f, 0xba, 0xe8, 30, 0x0f, 0x22, 0xc0,
				     0x0f, 0x20, 0xc0 };
	static const uint8_t ts[] = { 0x0f, 0x20, 0xc0, 0x0c, 0x08, 0x0f, 0x22, 0xc0, 0x0f, 0x06 };

	run_code(g.c, no_pg, sizeof(no_pg));
	EXPECT_VECTOR(g.c, V_GP);
	run_code(g.c, cd, sizeof(cd));
	EXPECT(g.c->args->vector == V_GP || g.c->args->vector == G_NO_VECTOR);
	run_code(g.c, ts, sizeof(ts));
	EXPECT(g.c->args->vector == V_GP || g.c->args->vector == G_NO_VECTOR);
	EXPECT_EQ(tcpu_call(g.c, G_NULL), 0);
}

TEST(xcr0_is_the_hosts)
{
	struct guest g = guest(0);
	uint64_t xcr0 = g.vm->info.xcr0;
	uint32_t lo;
	static const uint8_t get[] = { 0x31, 0xc9, 0x0f, 0x01, 0xd0, 0x48, 0xa3, 0, 0, 0x50, 0, 0,
				      0, 0, 0 };
	static const uint8_t same[] = { 0x31, 0xc9, 0x0f, 0x01, 0xd0, 0x0f, 0x01, 0xd1 };
	static const uint8_t less[] = { 0x31, 0xc9, 0x31, 0xd2, 0xb8, 1, 0, 0, 0, 0x0f, 0x01,
				       0xd1 };

	if (!xcr0)
		SKIP("the host has no XSAVE");
	run_code(g.c, get, sizeof(get));		/* xgetbv; mov %rax, 0x500000 */
	EXPECT_VECTOR(g.c, G_NO_VECTOR);
	EXPECT_EQ((uint32_t)*tvm_at(g.vm, 0x500000), (uint32_t)xcr0);
	run_code(g.c, same, sizeof(same));
	EXPECT(g.c->args->vector == G_NO_VECTOR || g.c->args->vector == V_GP);
	run_code(g.c, less, sizeof(less));
	/* TCG has no exit for XSETBV; then the module must put the host's value back */
	if (!on_tcg())
		EXPECT_VECTOR(g.c, V_GP);
	asm volatile("xgetbv" : "=a"(lo) : "c"(0) : "edx");
	EXPECT_EQ(lo, (uint32_t)xcr0);
	run_code(g.c, get, sizeof(get));
	EXPECT_EQ((uint32_t)*tvm_at(g.vm, 0x500000), (uint32_t)xcr0);
}

TEST(debug_registers_are_the_guests_own)
{
	struct guest g = guest(0);
	static volatile int x;
	/*
	 * DR0 = address of the host's own code: must never fire there; DR7 armed for execution and
	 * for writes
	 */
	uint8_t arm[] = { 0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0x0f, 0x23, 0xc0, 0xb8, 0x01, 0x04,
			 0x0d, 0x00, 0x0f, 0x23, 0xf8 };
	volatile int *p = &x;

	memcpy(arm + 2, &p, 8);
	for (int i = 0; i < 20; i++) {
		run_code(g.c, arm, sizeof(arm));
		*p = i;			/* a breakpoint left armed kills the test with SIGTRAP */
	}
	EXPECT_EQ(*p, 19);
}

/* --- exceptions and interrupts ------------------------------------------ */

TEST(every_vector_by_int)
{
	struct guest g = guest(0);

	for (int v = 0; v < 256; v++) {
		uint64_t before = g.c->args->irqs[v];

		tcpu_call(g.c, G_INT, v);
		if (g.c->args->irqs[v] != before + 1)
			FAIL("INT %d came %ld times", v, g.c->args->irqs[v] - before);
		EXPECT_VECTOR(g.c, v < 32 ? (unsigned long)v : G_NO_VECTOR);
	}
}

TEST(page_faults)
{
	struct guest g = guest(0);
	uint64_t a = G_SCRATCH + 3 * PAGE;

	*tvm_pte(g.vm, a) = 0;
	tcpu_call(g.c, G_LOAD, a + 5);
	EXPECT_VECTOR(g.c, V_PF);
	EXPECT_EQ(g.c->args->error, 0);
	EXPECT_EQ(g.c->args->cr2, a + 5);
	tcpu_call(g.c, G_STORE, a + 8, 0);
	EXPECT_VECTOR(g.c, V_PF);
	EXPECT_EQ(g.c->args->error, 2);
	*tvm_pte(g.vm, a) = a | 5;	/* read-only, and CR0.WP is set */
	tcpu_call(g.c, G_STORE, a, 0);
	EXPECT_VECTOR(g.c, V_PF);
	EXPECT_EQ(g.c->args->error, 3);
	*tvm_pte(g.vm, a) = a | 7 | 1ull << 51;	/* reserved: beyond the physical address width */
	tcpu_call(g.c, G_LOAD, a);
	EXPECT_VECTOR(g.c, V_PF);
	/* an emulator reports it without "present" */
	EXPECT_EQ(g.c->args->error & ~1ul, 8);
	if (g.vm->info.efer_allowed & 0x800) {
		*tvm_pte(g.vm, a) = a | 7 | 1ull << 63;
		tcpu_call(g.c, G_CALL, a);
		EXPECT_VECTOR(g.c, V_PF);
		EXPECT_EQ(g.c->args->error, 0x11);
	}
	/* not canonical */
	tcpu_call(g.c, G_LOAD, 1ull << 63);
	EXPECT_VECTOR(g.c, V_GP);
	/* faults that the guest handles by itself cost no exit */
	{
		uint64_t before, after;

		*tvm_pte(g.vm, a) = 0;
		tcpu_call(g.c, G_LOAD, a);
		before = tcpu_stats(g.c).exit_npf;
		tcpu_call(g.c, G_LOAD, a);
		after = tcpu_stats(g.c).exit_npf;
		EXPECT_EQ(after, before);
		EXPECT_EQ(tcpu_stats(g.c).exit_exception, 0);
	}
}

TEST(interrupts)
{
	struct guest g = guest(0);
	struct rs_vcpu_state st;

	/* IF set: at once */
	for (int v = 32; v < 256; v++) {
		uint64_t before = g.c->args->irqs[v];

		tcpu_start(g.c, G_SYNCS, 1);
		tcpu_to_sync(g.c);
		g.c->run->irq_vector = v;
		tcpu_finish(g.c);
		EXPECT_EQ(g.c->run->irq_vector, 0);
		if (g.c->args->irqs[v] != before + 1)
			FAIL("vector %d came %ld times", v, g.c->args->irqs[v] - before);
	}
	/* IF clear: not before sti, and then at once */
	tcpu_start(g.c, G_STI_WINDOW, 0x40);
	tcpu_to_sync(g.c);
	g.c->run->irq_vector = 0x40;
	tcpu_finish(g.c);
	EXPECT_EQ(g.c->args->out[0], 0);
	EXPECT_EQ(g.c->args->out[1], 1);
	EXPECT_EQ(g.c->run->irq_vector, 0);
	/* RS_SET_STATE drops what is pending */
	tcpu_start(g.c, G_STI_WINDOW, 0x41);
	tcpu_to_sync(g.c);
	g.c->run->irq_vector = 0x41;
	SYS(ioctl(g.c->fd, RS_GET_STATE, &st));
	EXPECT_EQ(st.rflags & 0x200, 0);
	EXPECT_EQ(g.c->args->irqs[0x41], 1);	/* from above */
}

/* A stream of interrupts into a loop: none lost, none doubled. */
static volatile sig_atomic_t irq_left;
static struct rs_run *irq_run;
static volatile uint64_t *irq_progress;

static void raise_irq(int sig)
{
	/* not before the guest has its descriptor table */
	if (irq_left && *irq_progress && !irq_run->irq_vector) {
		irq_run->irq_vector = 0x90;
		irq_left--;
	}
}

TEST(interrupts_from_a_signal_handler)
{
	struct guest g = guest(0);
	struct sigaction sa = { .sa_handler = raise_irq };
	timer_t timer;
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM };
	struct itimerspec its = { { 0, 10000000 }, { 0, 10000000 } };

	irq_run = g.c->run;
	irq_progress = tvm_at(g.vm, G_SCRATCH);
	irq_left = 20;
	sigaction(SIGALRM, &sa, NULL);
	SYS(timer_create(CLOCK_MONOTONIC, &ev, &timer));
	SYS(timer_settime(timer, 0, &its, NULL));
	tcpu_start(g.c, G_WAIT_IRQ, 0x90, 20, G_SCRATCH);
	tcpu_finish(g.c);
	timer_delete(timer);
	EXPECT_EQ(g.c->args->irqs[0x90], 20);
	EXPECT_EQ(irq_left, 0);
}

/*
 * The guest's memory is new to the nested tables each time an interrupt comes, in pages of 4 KiB: its
 * delivery, which is the only one that reads the descriptor table, ends with a nested fault first and
 * is done again. None is lost, none comes twice.
 */
TEST(interrupts_meet_nested_faults)
{
	const uint64_t n = 16;
	struct guest g = guest(0);
	uint64_t before, faults;

	tcpu_call(g.c, G_NULL);		/* descriptor tables are in place now */
	/* one page with other rights for a moment, and Linux has the large one in small pages from then on */
	for (uint64_t gpa = 0; gpa < G_SCRATCH; gpa += HUGE) {
		SYS(mprotect(g.vm->mem + gpa, PAGE, PROT_READ));
		SYS(mprotect(g.vm->mem + gpa, PAGE, PROT_READ | PROT_WRITE));
	}
	before = g.c->args->irqs[0x91];
	faults = tcpu_stats(g.c).exit_npf;
	tcpu_start(g.c, G_SYNCS, n, 10);
	for (uint64_t i = 0; i < n; i++) {
		tcpu_to_sync(g.c);
		SYS(mprotect(g.vm->mem, G_SCRATCH, PROT_READ));
		SYS(mprotect(g.vm->mem, G_SCRATCH, PROT_READ | PROT_WRITE));
		g.c->run->irq_vector = 0x91;
	}
	tcpu_finish(g.c);
	EXPECT_EQ(g.c->args->irqs[0x91] - before, n);
	EXPECT_GE(tcpu_stats(g.c).exit_npf - faults, 4 * n);	/* code, stack, descriptors, arguments */
}

/* --- ring 3 ------------------------------------------------------------- */

TEST(ring_3)
{
	struct guest g = guest(0);

	user(&g, GU_LEAVE, 0);
	EXPECT_VECTOR(g.c, V_LEAVE);
	EXPECT_EQ(g.c->args->cpl, 3);
	user(&g, GU_CLI, 0);
	EXPECT_VECTOR(g.c, V_GP);
	EXPECT_EQ(g.c->args->error, 0);
	EXPECT_EQ(g.c->args->cpl, 3);
	user(&g, GU_IN, 0x80);
	EXPECT_VECTOR(g.c, V_GP);
	EXPECT_EQ(g.c->args->cpl, 3);
	user(&g, GU_HLT, 0);
	EXPECT_VECTOR(g.c, V_GP);
	user(&g, GU_UD2, 0);
	EXPECT_VECTOR(g.c, V_UD);
	user(&g, GU_READ, 1ull << 63);
	EXPECT_VECTOR(g.c, V_GP);
	/* a supervisor page */
	*tvm_pte(g.vm, G_SCRATCH) = G_SCRATCH | 3;
	user(&g, GU_READ, G_SCRATCH);
	EXPECT_VECTOR(g.c, V_PF);
	EXPECT_EQ(g.c->args->error, 5);
	EXPECT_EQ(g.c->args->cr2, G_SCRATCH);
}

TEST(ring_3_syscalls_do_not_exit)
{
	struct guest g = guest(0);
	struct rs_stats a, b;

	user(&g, GU_SYSCALL, 10);
	EXPECT_VECTOR(g.c, V_LEAVE);
	EXPECT_EQ(g.c->args->syscalls, 10);
	a = tcpu_stats(g.c);
	user(&g, GU_SYSCALL, 1000);
	b = tcpu_stats(g.c);
	EXPECT_EQ(g.c->args->syscalls, 1010);
	/*
	 * two starts end with a hypercall each; the payload's set-up may exit for its MSRs; nothing
	 * else
	 */
	EXPECT_EQ(b.exits - a.exits - (b.exit_interrupt - a.exit_interrupt) -
		  (b.exit_nmi - a.exit_nmi) - (b.exit_msr - a.exit_msr), 2);
	EXPECT_LE(b.exit_msr - a.exit_msr, 8);
	expect_sum(&b);
}

TEST(ring_3_hypercalls)
{
	struct guest g = guest(0);

	user(&g, g.vm->info.backend == RS_BACKEND_VMX ? GU_VMCALL : GU_VMMCALL, 0);
	EXPECT_VECTOR(g.c, V_UD);
	EXPECT_EQ(g.c->args->cpl, 3);
	user(&g, g.vm->info.backend == RS_BACKEND_VMX ? GU_VMMCALL : GU_VMCALL, 0);
	EXPECT_VECTOR(g.c, V_UD);
	tvm_close(g.vm);

	g = guest(RS_VM_USER_HYPERCALLS);
	user(&g, g.vm->info.backend == RS_BACKEND_VMX ? GU_VMCALL : GU_VMMCALL, 0);
	EXPECT_VECTOR(g.c, V_LEAVE);
	EXPECT_EQ(g.c->args->out[0], 0);
}

/* A vCPU may start in ring 3; it has no descriptor tables, so its first exception ends it. */
TEST(start_in_ring_3)
{
	struct guest g = guest(RS_VM_USER_HYPERCALLS);
	struct rs_vcpu_state st;
	uint8_t code[] = { 0xb8, 0x34, 0x12, 0, 0, 0x0f, 0x01, 0xc1, 0x0f, 0x0b };

	if (g.vm->info.backend == RS_BACKEND_SVM)
		code[7] = 0xd9;
	memcpy(g.vm->mem + G_SCRATCH, code, sizeof(code));
	tcpu_state(g.c, &st);
	st.cpl = 3;
	st.rip = G_SCRATCH;
	SYS(ioctl(g.c->fd, RS_SET_STATE, &st));
	tcpu_run_to(g.c, RS_EXIT_HYPERCALL);
	EXPECT_EQ(g.c->run->hypercall.nr, 0x1234);
	EXPECT_EQ(g.c->run->cpl, 3);
	tcpu_run_to(g.c, RS_EXIT_SHUTDOWN);
}

/*
 * RS_VM_KERNEL_HYPERCALLS. The code runs at two addresses: the guest's memory is mapped in the upper
 * half, too. It loads tables whose only gate is #UD's, makes a hypercall, jumps to the lower half
 * and makes another; the handler, above again, tells where #UD came from.
 */
#define UPPER		0xffff800000000000ul

extern const uint8_t kh_code[], kh_gdtr[], kh_idtr[], kh_upper[], kh_lower[], kh_handler[];
extern const uint8_t kh_call1[], kh_call2[], kh_call3[], kh_end[];

__asm__(".pushsection .rodata\n"
	"kh_code:	lgdt kh_gdtr(%rip)\n"
	"		lidt kh_idtr(%rip)\n"
	"kh_upper:	mov $0x2000, %eax\n"
	"kh_call1:	vmcall\n"
	"		jmp *%rbx\n"
	"kh_lower:	mov $0x2001, %eax\n"
	"kh_call2:	vmcall\n"
	"kh_handler:	mov (%rsp), %rdi\n"
	"		mov $0x2002, %eax\n"
	"kh_call3:	vmcall\n"
	"		hlt\n"
	"kh_gdtr:	.skip 10\n"
	"kh_idtr:	.skip 10\n"
	"kh_end:	.popsection");

static uint64_t kh_at(const uint8_t *label)
{
	return G_SCRATCH + (label - kh_code);
}

static void kh_table(struct guest *g, const uint8_t *reg, uint64_t base, uint16_t limit)
{
	uint8_t *p = (uint8_t *)g->vm->mem + kh_at(reg);

	base += UPPER;
	memcpy(p, &limit, 2);
	memcpy(p + 2, &base, 8);
}

static struct guest kh_guest(uint32_t flags, uint32_t cpl, uint64_t rip)
{
	static const uint64_t gdt[] = { 0, 0, 0x00209b0000000000, 0x0000930000000000 };
	const uint8_t *calls[] = { kh_call1, kh_call2, kh_call3 };
	struct guest g = guest(flags);
	uint8_t *mem = (uint8_t *)g.vm->mem;
	uint64_t handler = UPPER + kh_at(kh_handler);
	struct rs_vcpu_state st;

	memcpy(mem + G_SCRATCH, kh_code, kh_end - kh_code);
	for (int i = 0; i < 3; i++)
		if (g.vm->info.backend == RS_BACKEND_SVM)
			mem[kh_at(calls[i]) + 2] = 0xd9;
	memcpy(mem + G_SCRATCH + PAGE, gdt, sizeof(gdt));
	tvm_at(g.vm, G_SCRATCH + 2 * PAGE)[2 * V_UD] = (handler & 0xffff) | 0x10 << 16 |
		0x8eul << 40 | (handler >> 16 & 0xffff) << 48;
	tvm_at(g.vm, G_SCRATCH + 2 * PAGE)[2 * V_UD + 1] = handler >> 32;
	kh_table(&g, kh_gdtr, G_SCRATCH + PAGE, sizeof(gdt) - 1);
	kh_table(&g, kh_idtr, G_SCRATCH + 2 * PAGE, 256 * 16 - 1);
	tvm_at(g.vm, G_PML4)[256] = *tvm_at(g.vm, G_PML4);

	tcpu_state(g.c, &st);
	st.cpl = cpl;
	st.rip = rip;
	st.rbx = kh_at(kh_lower);
	SYS(ioctl(g.c->fd, RS_SET_STATE, &st));
	return g;
}

TEST(kernel_hypercalls)
{
	struct guest g;

	/* ring 0: above yes, below #UD at the instruction */
	g = kh_guest(RS_VM_KERNEL_HYPERCALLS, 0, UPPER + G_SCRATCH);
	tcpu_run_to(g.c, RS_EXIT_HYPERCALL);
	EXPECT_EQ(g.c->run->hypercall.nr, 0x2000);
	tcpu_run_to(g.c, RS_EXIT_HYPERCALL);
	EXPECT_EQ(g.c->run->hypercall.nr, 0x2002);
	EXPECT_EQ(g.c->run->hypercall.args[0], kh_at(kh_call2));
	EXPECT_EQ(g.c->run->cpl, 0);
	EXPECT_EQ(tcpu_stats(g.c).injected, 1);
	tvm_close(g.vm);

	/* without the flag both are taken */
	g = kh_guest(0, 0, UPPER + G_SCRATCH);
	tcpu_run_to(g.c, RS_EXIT_HYPERCALL);
	tcpu_run_to(g.c, RS_EXIT_HYPERCALL);
	EXPECT_EQ(g.c->run->hypercall.nr, 0x2001);
	tvm_close(g.vm);

	/* ring 3 needs the other flag; then it may above, too. Without tables a fault is the end. */
	g = kh_guest(RS_VM_KERNEL_HYPERCALLS, 3, UPPER + kh_at(kh_upper));
	tcpu_run_to(g.c, RS_EXIT_SHUTDOWN);
	EXPECT_EQ(tcpu_stats(g.c).injected, 1);
	tvm_close(g.vm);
	g = kh_guest(RS_VM_KERNEL_HYPERCALLS | RS_VM_USER_HYPERCALLS, 3, UPPER + kh_at(kh_upper));
	tcpu_run_to(g.c, RS_EXIT_HYPERCALL);
	EXPECT_EQ(g.c->run->hypercall.nr, 0x2000);
	EXPECT_EQ(g.c->run->cpl, 3);
	tcpu_run_to(g.c, RS_EXIT_SHUTDOWN);
	EXPECT_EQ(tcpu_stats(g.c).injected, 1);
	tvm_close(g.vm);
}

/*
 * RS_VM_EXEC_RIGHTS: what may be executed follows the process, page by page, up and down, beside the
 * other rights; without it reading is enough.
 */
TEST(exec_rights)
{
	const uint64_t at = G_SCRATCH + HUGE;
	struct guest g = guest(RS_VM_EXEC_RIGHTS);
	uint8_t *page = (uint8_t *)g.vm->mem + at;
	int rwx = PROT_READ | PROT_WRITE | PROT_EXEC;

	SYS(mprotect(g.vm->mem, G_ARENA, rwx));
	SYS(mprotect(page, PAGE, PROT_READ | PROT_WRITE));
	page[0] = 0xc3;		/* ret */
	for (int i = 0; i < 3; i++) {
		/* read and written, but not executed */
		tcpu_call(g.c, G_STORE, at + 8, i);
		EXPECT_EQ(tcpu_call(g.c, G_LOAD, at + 8), i);
		EXPECT_VECTOR(g.c, G_NO_VECTOR);
		tcpu_start(g.c, G_CALL, at);
		tcpu_run_to(g.c, RS_EXIT_MEMORY_FAULT);
		EXPECT_EQ(g.c->run->fault.gpa & -PAGE, at);
		EXPECT(g.c->run->fault.access & RS_FAULT_FETCH);
		EXPECT(g.c->run->fault.access & RS_FAULT_NO_EXEC);
		EXPECT_EQ(g.c->run->fault.error, -EFAULT);
		EXPECT_EQ(g.c->run->rip, at);
		/* closed for reading as well: that is not it */
		SYS(mprotect(page, PAGE, PROT_NONE));
		tcpu_run_to(g.c, RS_EXIT_MEMORY_FAULT);
		EXPECT(g.c->run->fault.access & RS_FAULT_FETCH);
		EXPECT_EQ(g.c->run->fault.access & RS_FAULT_NO_EXEC, 0);
		/* and when it may, it goes on where it was */
		SYS(mprotect(page, PAGE, rwx));
		tcpu_finish(g.c);
		EXPECT_VECTOR(g.c, G_NO_VECTOR);
		/* executed and written in turn: code that is made as it goes */
		for (int j = 0; j < 3; j++) {
			tcpu_call(g.c, G_STORE, at, 0xc3);
			tcpu_call(g.c, G_CALL, at);
			EXPECT_VECTOR(g.c, G_NO_VECTOR);
		}
		/* after a page of its own that it took by writing, and one that it has only read */
		SYS(madvise(page, PAGE, MADV_DONTNEED));
		EXPECT_EQ(tcpu_call(g.c, G_LOAD, at), 0);
		page[0] = 0xc3;
		tcpu_call(g.c, G_CALL, at);
		EXPECT_VECTOR(g.c, G_NO_VECTOR);
		SYS(mprotect(page, PAGE, PROT_READ | PROT_WRITE));
	}
	tvm_close(g.vm);

	g = guest(0);
	page = (uint8_t *)g.vm->mem + at;
	page[0] = 0xc3;
	SYS(mprotect(page, PAGE, PROT_READ));
	tcpu_call(g.c, G_CALL, at);
	EXPECT_VECTOR(g.c, G_NO_VECTOR);
}

/* --- kicks, signals ----------------------------------------------------- */

static void *kicker(void *arg)
{
	struct guest *g = arg;

	await_progress(g->vm, G_SCRATCH, 1000);
	SYS(ioctl(g->c->fd, RS_KICK, 0));
	return NULL;
}

TEST(kick)
{
	struct guest g = guest(0);
	pthread_t t;

	/* before the run: it ends at once, once */
	tcpu_start(g.c, G_NULL);
	SYS(ioctl(g.c->fd, RS_KICK, 0));
	SYS(ioctl(g.c->fd, RS_KICK, 0));
	tcpu_run_to(g.c, RS_EXIT_KICK);
	tcpu_finish(g.c);
	/* during the run, from another thread, again and again */
	tcpu_start(g.c, G_SPIN, G_SCRATCH);
	for (int i = 0; i < 20; i++) {
		ASSERT_EQ(pthread_create(&t, NULL, kicker, &g), 0);
		tcpu_run_to(g.c, RS_EXIT_KICK);
		pthread_join(t, NULL);
	}
	/* the guest goes on where it was */
	EXPECT_GE(*tvm_at(g.vm, G_SCRATCH), 20000);
}

static void on_alarm(int sig)
{
	tcpu_stop = 1;
}

TEST(signals_end_a_run)
{
	struct guest g = guest(0);
	struct sigaction sa = { .sa_handler = on_alarm };
	uint64_t seen;

	sigaction(SIGALRM, &sa, NULL);
	tcpu_start(g.c, G_SPIN, G_SCRATCH);
	for (int i = 0; i < 2; i++) {
		seen = *tvm_at(g.vm, G_SCRATCH);
		tcpu_stop = 0;
		alarm(1);
		EXPECT_EQ(tcpu_run_raw(g.c), -1);
		EXPECT_EQ(errno, EINTR);
		EXPECT_EQ(g.c->run->exit_reason, RS_EXIT_NONE);
		EXPECT_GT(*tvm_at(g.vm, G_SCRATCH), seen);
	}
}

/* --- vector registers --------------------------------------------------- */

/*
 * glibc tells the kernel of restartable sequences; then every preemption sends RS_RUN back to user
 * space, where the kernel restores the registers by itself. Without that, a preempted vCPU goes on
 * inside RS_RUN, and the registers are the module's business.
 */
static void no_rseq(void)
{
	if (__rseq_size)
		SYS(syscall(SYS_rseq, (char *)__builtin_thread_pointer() + __rseq_offset,
			    sizeof(struct rseq), RSEQ_FLAG_UNREGISTER, RSEQ_SIG));
}

static int compete(enum g_fn fn, int which)
{
	struct guest g = guest(0);
	uint64_t bad = tcpu_call(g.c, fn, 0x1000000 * (which + 1), 300);

	if (g.c->args->vector != G_NO_VECTOR)
		FAIL("vector %#lx in the register loop", g.c->args->vector);
	if (bad)
		FAIL("%lu registers changed", bad);
	return bad || g.c->args->vector != G_NO_VECTOR;
}

/*
 * Three processes on one CPU, each with its own values in the registers, in guest mode when it is
 * preempted.
 */
static void vector_registers(enum g_fn fn)
{
	pid_t pid[3];
	int status;

	for (int i = 0; i < 3; i++) {
		pid[i] = SYS(fork());
		if (!pid[i]) {
			pin_to(0);
			no_rseq();
			_exit(compete(fn, i));
		}
	}
	for (int i = 0; i < 3; i++) {
		SYS(waitpid(pid[i], &status, 0));
		EXPECT_EQ(status, 0);
	}
}

TEST_FOR(xmm_under_preemption, 120)
{
	vector_registers(G_XMM);
}

TEST_FOR(ymm_under_preemption, 120)
{
	struct tvm *vm = tvm_new(0);

	if (!(vm->info.xcr0 & 4))
		SKIP("the host has no AVX");
	tvm_close(vm);
	vector_registers(G_YMM);
}

/*
 * A thread that computes beside one that runs a guest has its own values, and nobody else's, in its
 * registers.
 */
static volatile bool host_stop;

static void *host_math(void *arg)
{
	double x = 1.0, *bad = arg;

	while (!host_stop) {
		double y = x * 3.0;

		asm volatile("pause" ::: "memory");
		if (y != x + x + x)
			*bad += 1;
		x = x > 1e6 ? 1.0 : x + 1.0;
	}
	return NULL;
}

TEST_FOR(host_registers_beside_a_guest, 120)
{
	pthread_t t;
	double bad = 0;

	ASSERT_EQ(pthread_create(&t, NULL, host_math, &bad), 0);
	compete(G_XMM, 7);
	host_stop = true;
	pthread_join(t, NULL);
	EXPECT_EQ(bad, 0);
}

/* --- memory and counters ------------------------------------------------ */

TEST(large_pages)
{
	struct guest g = guest(0);
	struct rs_stats a, b;
	uint8_t *mem;

	if (!(g.vm->info.features & RS_FEATURE_NESTED_2M))
		SKIP("no nested 2 MiB entries here");
	mem = map_aligned(HUGE);
	SYS(madvise(mem, HUGE, MADV_HUGEPAGE));
	mem[0] = 1;
	SYS(tvm_region_raw(g.vm, 1ul << 30, HUGE, mem, 0));
	tcpu_call(g.c, G_LOAD, G_SCRATCH);	/* code and tables on the way there are in now */
	for (int i = 0; i < 512; i++)
		*tvm_pte(g.vm, G_SCRATCH + i * PAGE) = (1ul << 30) + i * PAGE + 7;
	a = tvm_stats(g.vm);
	for (int i = 0; i < 512; i += 37)
		tcpu_call(g.c, G_STORE, G_SCRATCH + i * PAGE, 0x77);
	b = tvm_stats(g.vm);
	if (b.map_2m == a.map_2m)
		SKIP("Linux gave no huge page");
	EXPECT_EQ(b.map_2m - a.map_2m, 1);
	EXPECT_EQ(b.map_4k - a.map_4k, 0);
	EXPECT_EQ(mem[37 * PAGE], 0x77);

	/* an address that does not agree modulo 2 MiB gets small entries */
	a = tvm_stats(g.vm);
	SYS(tvm_unregion_raw(g.vm, 1ul << 30, HUGE));
	SYS(tvm_region_raw(g.vm, (1ul << 30) + PAGE, HUGE - PAGE, mem, 0));
	*tvm_pte(g.vm, G_SCRATCH) = (1ul << 30) + PAGE + 7;
	EXPECT_EQ(tcpu_call(g.c, G_LOAD, G_SCRATCH), *(uint64_t *)mem);
	b = tvm_stats(g.vm);
	EXPECT_EQ(b.map_2m - a.map_2m, 0);
	EXPECT_EQ(b.map_4k - a.map_4k, 1);

	/* nor does a part of 2 MiB */
	SYS(tvm_unregion_raw(g.vm, (1ul << 30) + PAGE, HUGE - PAGE));
	SYS(tvm_region_raw(g.vm, 1ul << 30, HUGE - PAGE, mem, 0));
	*tvm_pte(g.vm, G_SCRATCH) = (1ul << 30) + 7;
	EXPECT_EQ(tcpu_call(g.c, G_LOAD, G_SCRATCH), *(uint64_t *)mem);
	EXPECT_EQ(tvm_stats(g.vm).map_2m, b.map_2m);
}

/* Each page the guest touches is one nested fault and one entry, however often it is touched. */
TEST(nested_faults_are_counted)
{
	struct guest g = guest(0);
	struct rs_stats a, b;

	for (uint64_t p = 0; p < 32; p++)
		g.vm->mem[G_SCRATCH + p * PAGE] = p;
	tcpu_call(g.c, G_LOAD, G_SCRATCH);	/* the guest's own tables and code are in now */
	a = tvm_stats(g.vm);
	for (uint64_t round = 0; round < 3; round++)
		for (uint64_t p = 1; p < 32; p++)
			EXPECT_EQ(tcpu_call(g.c, G_LOAD, G_SCRATCH + p * PAGE), p);
	b = tvm_stats(g.vm);
	EXPECT_EQ(b.exit_npf - a.exit_npf, 31);
	EXPECT_EQ(b.map_4k - a.map_4k, 31);
	EXPECT_EQ(b.fault_failed - a.fault_failed, 0);
	expect_sum(&b);
}

TEST(vm_counters_keep_those_of_closed_vcpus)
{
	struct guest g = guest(0);
	struct tcpu *d;
	struct rs_stats v, s;

	tcpu_call(g.c, G_EXIT_DELTA, 10);
	v = tcpu_stats(g.c);
	EXPECT_GE(v.exit_hypercall, 13);
	expect_sum(&v);
	tcpu_close(g.c);
	s = tvm_stats(g.vm);
	EXPECT_EQ(s.exit_hypercall, v.exit_hypercall);
	EXPECT_EQ(s.exits, v.exits);
	d = tcpu_new(g.vm, 0);
	tcpu_call(d, G_EXIT_DELTA, 10);
	EXPECT_EQ(tvm_stats(g.vm).exit_hypercall, v.exit_hypercall + tcpu_stats(d).exit_hypercall);
}
