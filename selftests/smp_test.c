// SPDX-License-Identifier: MIT
/*
 * smp_test.c - several vCPUs of one VM, on several CPUs where there are several, and CPUs that come
 * and go
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
#include "testvm.h"

#define PROGRESS	(G_SCRATCH + PAGE)
#define STOP		(G_SCRATCH + 2 * PAGE)

TEST(atomic_counter)
{
	struct tvm *vm = tvm_new(0);
	struct tcpu *c[G_CPUS];
	struct runner *r[G_CPUS];
	const uint64_t n = test_rounds(20000);

	for (int i = 0; i < G_CPUS; i++) {
		c[i] = tcpu_new(vm, i);
		tcpu_start(c[i], G_ATOMIC, G_SCRATCH, n);
	}
	for (int i = 0; i < G_CPUS; i++)
		r[i] = runner_start(c[i]);
	for (int i = 0; i < G_CPUS; i++)
		runner_join(r[i]);
	EXPECT_EQ(*tvm_at(vm, G_SCRATCH), G_CPUS * n);
}

/* What one vCPU writes, the other sees: a ring of values passed through memory. */
TEST(shared_memory)
{
	struct tvm *vm = tvm_new(0);
	struct tcpu *w = tcpu_new(vm, 0), *d = tcpu_new(vm, 1);
	struct runner *r;

	tcpu_start(w, G_WRITER, G_SCRATCH, STOP, PROGRESS);
	r = runner_start(w);
	await_progress(vm, PROGRESS, 100);
	for (uint64_t last = 0, i = 0; i < 50; i++) {
		uint64_t v = tcpu_call(d, G_LOAD, G_SCRATCH);

		EXPECT_GE(v, last);
		last = v;
	}
	*tvm_at(vm, STOP) = 1;
	runner_join(r);
	EXPECT_EQ(tcpu_call(d, G_LOAD, G_SCRATCH), *tvm_at(vm, G_SCRATCH));
}

static void write_file(const char *path, const char *text)
{
	int fd = SYS(open(path, O_WRONLY | O_CLOEXEC));

	if (write(fd, text, strlen(text)) < 0)
		SKIP("%s: %s", path, strerror(errno));
	close(fd);
}

static void second_cpu_online(const char *on)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/online", cpu_number(1));
	write_file(path, on);
}

/* The vCPU's thread is moved from CPU to CPU while it is in the guest. */
TEST(migration)
{
	struct tvm *vm = tvm_new(0);
	struct tcpu *c = tcpu_new(vm, 0);
	struct rs_stats s;
	struct runner *r;

	if (ncpus() < 2)
		SKIP("one CPU");
	tcpu_start(c, G_WRITER, G_SCRATCH, STOP, PROGRESS);
	r = runner_start(c);
	for (int i = 0; i < 40; i++) {
		pin_thread(runner_tid(r), i % 2);
		await_progress(vm, PROGRESS, 200);
	}
	*tvm_at(vm, STOP) = 1;
	runner_join(r);
	s = tcpu_stats(c);
	EXPECT_GE(s.migrations, 39);
	EXPECT_EQ(*tvm_at(vm, G_SCRATCH), *tvm_at(vm, PROGRESS));
}

/*
 * Something that always wants to run. One of the test machines lets idle time pass at once, in
 * which a starting CPU does not get done. Ends with the test.
 */
static void keep_busy(void)
{
	if (!SYS(fork()))
		for (;;)
			;
}

TEST_FOR(cpu_offline, 120)
{
	struct tvm *vm = tvm_new(0);
	struct runner *r[G_CPUS];
	const int n = 3;

	if (ncpus() < 2)
		SKIP("one CPU");
	for (int i = 0; i < n; i++) {
		struct tcpu *c = tcpu_new(vm, i);

		tcpu_start(c, G_WRITER, G_SCRATCH + (10 + i) * PAGE, STOP, PROGRESS +
			   (20 + i) * PAGE);
		r[i] = runner_start(c);
	}
	for (int round = 0; round < 8; round++) {
		second_cpu_online("0");
		for (int i = 0; i < n; i++)
			await_progress(vm, PROGRESS + (20 + i) * PAGE, 100);
		second_cpu_online("1");
		for (int i = 0; i < n; i++)
			await_progress(vm, PROGRESS + (20 + i) * PAGE, 100);
	}
	*tvm_at(vm, STOP) = 1;
	for (int i = 0; i < n; i++)
		runner_join(r[i]);
	for (int i = 0; i < n; i++)
		EXPECT_EQ(*tvm_at(vm, G_SCRATCH + (10 + i) * PAGE),
			  *tvm_at(vm, PROGRESS + (20 + i) * PAGE));
}

/* A CPU that comes back has virtualisation on again: a VM made while it was away runs there. */
TEST(vm_made_while_a_cpu_is_offline)
{
	struct tvm *vm;
	struct tcpu *c;

	if (ncpus() < 2)
		SKIP("one CPU");
	keep_busy();
	second_cpu_online("0");
	vm = tvm_new(0);
	c = tcpu_new(vm, 0);
	EXPECT_EQ(tcpu_call(c, G_NULL), 0);
	second_cpu_online("1");
	pin_to(1);
	EXPECT_EQ(tcpu_call(c, G_EXIT_DELTA, 3), 4);
}

/* What another CPU does until load_stop(): @loop looks at loading. */
static bool loading;

static pthread_t load_start(void *(*loop)(void *))
{
	pthread_t t;

	pin_to(0);
	__atomic_store_n(&loading, true, __ATOMIC_RELAXED);
	ASSERT_EQ(pthread_create(&t, NULL, loop, NULL), 0);
	return t;
}

static void load_stop(pthread_t t)
{
	__atomic_store_n(&loading, false, __ATOMIC_RELAXED);
	pthread_join(t, NULL);
}

static void *x87_thread(void *unused)
{
	unsigned char env[28];

	pin_to(1);
	asm volatile("fnstenv %0" : "=m"(env));
	while (__atomic_load_n(&loading, __ATOMIC_RELAXED))
		asm volatile("fldenv %0" : : "m"(env));
	return NULL;
}

/*
 * Another CPU loads x87 state all the time. In QEMU that writes into the state of CPU 0 (vm/machine.py
 * says what): on a test machine whose guests run there this test, or the machine, does not last.
 */
TEST(x87_on_another_cpu)
{
	const uint64_t n = test_rounds(20000);
	struct tvm *vm = tvm_new(0);
	struct tcpu *c = tcpu_new(vm, 0);
	pthread_t t;

	if (ncpus() < 2)
		SKIP("one CPU");
	t = load_start(x87_thread);
	EXPECT_GE(tcpu_call(c, G_EXIT_DELTA, n), n);
	load_stop(t);
}

static void *unaligned_thread(void *unused)
{
	static uint64_t words[2] __attribute__((aligned(64)));

	pin_to(1);
	while (__atomic_load_n(&loading, __ATOMIC_RELAXED))
		asm volatile("lock incq 1+%0" : "+m"(words));
	return NULL;
}

/*
 * Another CPU does what in QEMU stops all CPUs for a moment, again and again: a locked access that is
 * not aligned. A CPU that leaves its loop so between VMRUN and #VMEXIT is where QEMU delivers an
 * injected interrupt a second time (see rs_svm_inject).
 */
TEST_FOR(interrupts_come_once, 120)
{
	const uint64_t n = test_rounds(400);
	struct tvm *vm = tvm_new(0);
	struct tcpu *c = tcpu_new(vm, 0);
	uint64_t before;
	pthread_t t;

	if (ncpus() < 2)
		SKIP("one CPU");
	tcpu_call(c, G_NULL);		/* descriptor tables are in place now */
	before = c->args->irqs[0x90];
	t = load_start(unaligned_thread);
	tcpu_start(c, G_SYNCS, n, 3000);
	for (uint64_t i = 0; i < n; i++) {
		tcpu_to_sync(c);
		c->run->irq_vector = 0x90;
	}
	tcpu_finish(c);
	load_stop(t);
	EXPECT_EQ(c->args->irqs[0x90] - before, n);
}

/* NMIs of the host while a vCPU is in the guest: taken by the host, not seen by the guest. */
TEST_FOR(nmi, 180)
{
	struct tvm *vm = tvm_new(0);
	struct tcpu *c = tcpu_new(vm, 0);
	struct runner *r;

	if (ncpus() < 2)
		SKIP("one CPU: nobody could send an NMI");
	tcpu_start(c, G_WRITER, G_SCRATCH, STOP, PROGRESS);
	r = runner_start(c);
	pin_thread(runner_tid(r), 1);
	pin_to(0);
	/* one may find the CPU in the host, on its way out of the guest or into it */
	for (int i = 0; i < 3 || (i < 100 && !tcpu_stats(c).exit_nmi); i++) {
		await_progress(vm, PROGRESS, 1000);
		/* backtraces of all CPUs: an NMI to the other one */
		write_file("/proc/sysrq-trigger", "l");
	}
	await_progress(vm, PROGRESS, 1000);
	*tvm_at(vm, STOP) = 1;
	runner_join(r);
	EXPECT_EQ(c->args->irqs[2], 0);
	EXPECT_GT(tcpu_stats(c).exit_nmi, 0);
}
