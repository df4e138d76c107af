// SPDX-License-Identifier: MIT
/*
 * testvm.c - see testvm.h
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "testvm.h"

extern const uint8_t payload_start[], payload_end[];

volatile int tcpu_stop;

int dev_open(void)
{
	int fd = open(RS_DEVICE_PATH, O_RDWR | O_CLOEXEC);

	if (fd < 0 && (errno == ENOENT || errno == ENXIO))
		SKIP("no %s: the module is not loaded", RS_DEVICE_PATH);
	return SYS(fd);
}

void *map_aligned(size_t size)
{
	uint8_t *p = mmap(NULL, size + HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0), *q;

	ASSERT(p != MAP_FAILED);
	q = (uint8_t *)(((uintptr_t)p + HUGE - 1) & ~(HUGE - 1));
	if (q != p)
		munmap(p, q - p);
	munmap(q + size, p + HUGE - q);
	return q;
}

struct tvm *tvm_bare(uint32_t flags)
{
	return tvm_of(&(struct rs_vm_config){ .flags = flags });
}

struct tvm *tvm_of(const struct rs_vm_config *cfg)
{
	struct tvm *vm = calloc(1, sizeof(*vm));

	vm->dev = dev_open();
	SYS(ioctl(vm->dev, RS_GET_INFO, &vm->info));
	ASSERT_EQ(vm->info.abi_version, RS_ABI_VERSION);
	vm->fd = SYS(ioctl(vm->dev, RS_CREATE_VM, cfg));
	return vm;
}

static void put_tables(uint8_t *mem)
{
	uint64_t *pml4 = (void *)(mem + G_PML4), *pdpt = (void *)(mem +
								  G_PDPT), *pd = (void *)(mem +
											  G_PD);
	uint64_t *pt = (void *)(mem + G_PT);
	unsigned long i;

	pml4[0] = G_PDPT | 7;
	pdpt[0] = G_PD | 7;
	for (i = 0; i < G_ARENA / HUGE; i++)
		pd[i] = (G_PT + i * PAGE) | 7;
	for (i = 1; i < G_ARENA / PAGE; i++)
		pt[i] = i * PAGE | 7;
}

void tvm_refill(struct tvm *vm)
{
	memset(vm->mem + G_TABLES, 0, G_PT - G_TABLES);
	put_tables(vm->mem);
	memcpy(vm->mem + G_CODE, payload_start, payload_end - payload_start);
}

void tvm_load(struct tvm *vm, void *mem)
{
	ASSERT((size_t)(payload_end - payload_start) < G_STACKS - G_CODE);
	vm->mem = mem;
	tvm_refill(vm);
	SYS(tvm_region_raw(vm, 0, G_ARENA, mem, 0));
}

struct tvm *tvm_new(uint32_t flags)
{
	struct tvm *vm = tvm_bare(flags);

	tvm_load(vm, map_aligned(G_ARENA));
	return vm;
}

void tvm_close(struct tvm *vm)
{
	close(vm->fd);
	close(vm->dev);
	if (vm->mem)
		munmap(vm->mem, G_ARENA);
	free(vm);
}

int tvm_region_raw(struct tvm *vm, uint64_t gpa, uint64_t size, const void *hva, uint32_t flags)
{
	struct rs_region r = { .gpa = gpa, .size = size, .hva = (uintptr_t)hva, .flags = flags };

	return ioctl(vm->fd, RS_ADD_REGION, &r);
}

int tvm_unregion_raw(struct tvm *vm, uint64_t gpa, uint64_t size)
{
	struct rs_region r = { .gpa = gpa, .size = size };

	return ioctl(vm->fd, RS_REMOVE_REGION, &r);
}

struct rs_stats tvm_stats(struct tvm *vm)
{
	struct rs_stats s;

	SYS(ioctl(vm->fd, RS_GET_VM_STATS, &s));
	return s;
}

volatile uint64_t *tvm_pte(struct tvm *vm, uint64_t gva)
{
	ASSERT(gva < G_ARENA);
	return (volatile uint64_t *)(vm->mem + G_PT) + gva / PAGE;
}

struct tcpu *tcpu_new(struct tvm *vm, unsigned int id)
{
	struct rs_vcpu_config cfg = { .id = id };
	struct tcpu *c = calloc(1, sizeof(*c));

	c->vm = vm;
	c->id = id;
	c->fd = SYS(ioctl(vm->fd, RS_CREATE_VCPU, &cfg));
	c->run = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, c->fd, 0);
	ASSERT(c->run != MAP_FAILED);
	c->args = (void *)(vm->mem + G_ARGS + id % G_CPUS * PAGE);
	return c;
}

void tcpu_close(struct tcpu *c)
{
	munmap(c->run, PAGE);
	close(c->fd);
	free(c);
}

struct rs_stats tcpu_stats(struct tcpu *c)
{
	struct rs_stats s;

	SYS(ioctl(c->fd, RS_GET_VCPU_STATS, &s));
	return s;
}

void tcpu_state(struct tcpu *c, struct rs_vcpu_state *st)
{
	uint64_t cr4 = 1ul << 5 | 1ul << 9 | 1ul << 10;	/* PAE, OSFXSR, OSXMMEXCPT */

	if (c->vm->info.features & RS_FEATURE_XSAVE)
		cr4 |= 1ul << 18;
	*st = (struct rs_vcpu_state){
		.rip = G_CODE,
		.rsp = G_STACKS + (c->id % G_CPUS + 1) * 0x10000,
		.rdi = G_ARGS + c->id % G_CPUS * PAGE,
		/*
		 * IF set: one of the test machines delivers no host interrupt to a guest entered
		 * with it clear
		 */
		.rflags = 0x202,
		.cr3 = G_PML4,
		.cr4 = cr4,
		.efer = 0xd01 & c->vm->info.efer_allowed,	/* SCE, LME, LMA, NXE */
	};
}

void tcpu_start_args(struct tcpu *c, enum g_fn fn, const uint64_t *a)
{
	struct rs_vcpu_state st;
	int i;

	c->args->fn = fn;
	for (i = 0; i < 6; i++)
		c->args->a[i] = a[i];
	c->args->vmx = c->vm->info.backend == RS_BACKEND_VMX;
	c->args->cpu = c->id % G_CPUS;
	tcpu_state(c, &st);
	SYS(ioctl(c->fd, RS_SET_STATE, &st));
}

int tcpu_run_raw(struct tcpu *c)
{
	int ret;

	do {
		ret = ioctl(c->fd, RS_RUN, 0);
	} while (ret < 0 && errno == EINTR && !tcpu_stop);
	return ret < 0 ? ret : (int)c->run->exit_reason;
}

static void explain(struct tcpu *c, int got)
{
	const struct rs_run *r = c->run;

	if (got < 0)
		test_note("RS_RUN: %s", strerror(errno));
	else
		test_note("exit %d, rip %#llx cpl %u", got, (unsigned long long)r->rip, r->cpl);
	if (got == RS_EXIT_HYPERCALL)
		test_note("hypercall %#llx(%#llx, %#llx, %#llx, %#llx)%s", r->hypercall.nr,
			  r->hypercall.args[0],
			  r->hypercall.args[1], r->hypercall.args[2], r->hypercall.args[3],
			  r->hypercall.nr == GHC_PANIC ?
			  ": an exception in the payload (vector, error, rip, cr2)" : "");
	if (got == RS_EXIT_MEMORY_FAULT || got == RS_EXIT_MMIO)
		test_note("gpa %#llx gva %#llx access %#x error %d", r->fault.gpa, r->fault.gva,
			  r->fault.access, r->fault.error);
	if (got == RS_EXIT_FAIL_ENTRY || got == RS_EXIT_UNHANDLED)
		test_note("reason %#llx info %#llx %#llx", r->hw.reason, r->hw.info1, r->hw.info2);
}

void tcpu_run_to(struct tcpu *c, int reason)
{
	int got = tcpu_run_raw(c);

	if (got == reason)
		return;
	explain(c, got);
	FAIL("the vCPU stopped with %d, not %d", got, reason);
	test_leave();
}

static void run_to_hypercall(struct tcpu *c, uint64_t nr)
{
	tcpu_run_to(c, RS_EXIT_HYPERCALL);
	if (c->run->hypercall.nr == nr)
		return;
	explain(c, RS_EXIT_HYPERCALL);
	FAIL("hypercall %#llx, not %#lx", c->run->hypercall.nr, nr);
	test_leave();
}

uint64_t tcpu_finish(struct tcpu *c)
{
	run_to_hypercall(c, GHC_DONE);
	return c->args->ret;
}

void tcpu_to_sync(struct tcpu *c)
{
	run_to_hypercall(c, GHC_SYNC);
}

struct runner {
	pthread_t thread;
	struct tcpu *c;
	volatile int tid;
	uint64_t ret;
};

static void *runner_main(void *arg)
{
	struct runner *r = arg;

	r->tid = syscall(SYS_gettid);
	r->ret = tcpu_finish(r->c);
	return NULL;
}

struct runner *runner_start(struct tcpu *c)
{
	struct runner *r = calloc(1, sizeof(*r));

	r->c = c;
	ASSERT_EQ(pthread_create(&r->thread, NULL, runner_main, r), 0);
	while (!r->tid)
		sched_yield();
	return r;
}

int runner_tid(struct runner *r)
{
	return r->tid;
}

uint64_t runner_join(struct runner *r)
{
	uint64_t ret;

	pthread_join(r->thread, NULL);
	ret = r->ret;
	free(r);
	return ret;
}

void await_progress(struct tvm *vm, uint64_t gpa, uint64_t n)
{
	uint64_t start = *tvm_at(vm, gpa);
	struct timespec now, end;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += 30;
	while (*tvm_at(vm, gpa) - start < n) {
		sched_yield();
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec > end.tv_sec) {
			FAIL("the guest makes no progress: %#lx stays at %lu", gpa,
			     *tvm_at(vm, gpa));
			test_leave();
		}
	}
}

static cpu_set_t cpus;

__attribute__((constructor)) static void find_cpus(void)
{
	if (sched_getaffinity(0, sizeof(cpus), &cpus))
		abort();
}

int ncpus(void)
{
	return CPU_COUNT(&cpus);
}

int cpu_number(int cpu)
{
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &cpus) && !cpu--)
			return i;
	FAIL("there are only %d CPUs", ncpus());
	test_leave();
}

bool on_tcg(void)
{
	unsigned int r[4] = { 0 };

	__get_cpuid(0x80000002, &r[0], &r[1], &r[2], &r[3]);
	return !memcmp(r, "QEMU TCG", 8);
}

void pin_thread(int tid, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu_number(cpu), &set);
	SYS(sched_setaffinity(tid, sizeof(set), &set));
}

void pin_to(int cpu)
{
	pin_thread(0, cpu);
}
