// SPDX-License-Identifier: MIT
/*
 * control_test.c - pausing, ending and limiting VMs over netlink, and the events of VMs
 */
#define _GNU_SOURCE
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "netlink.h"
#include "testvm.h"

#define COUNTER	(G_SCRATCH + 0x1000)

/* RS_RUN in a thread until it returns something else than EINTR; what that is. */
struct loop {
	pthread_t thread;
	struct tcpu *c;
	volatile int tid;
	int got, err;
	struct rs_run run;
};

static void *loop_main(void *arg)
{
	struct loop *l = arg;

	l->tid = syscall(SYS_gettid);
	l->got = tcpu_run_raw(l->c);
	l->err = errno;
	l->run = *l->c->run;
	return NULL;
}

static void loop_start(struct loop *l, struct tcpu *c)
{
	*l = (struct loop){ .c = c };
	ASSERT_EQ(pthread_create(&l->thread, NULL, loop_main, l), 0);
}

static void loop_join(struct loop *l, int want)
{
	pthread_join(l->thread, NULL);
	if (l->got != want)
		FAIL("RS_RUN: %d (%s), not %d", l->got, strerror(l->err), want);
}

static struct tcpu *spinning(struct tvm *vm, unsigned int id)
{
	struct tcpu *c = tcpu_new(vm, id);

	tcpu_start(c, G_SPIN, COUNTER + 64 * id);
	return c;
}

static uint64_t number(struct nl *nl, uint32_t vm, int attr)
{
	ASSERT_EQ(nl_command(nl, RS_CMD_GET_VM, vm), 0);
	return nl_number(&nl->answers[0], attr);
}

/* Until so many vCPUs are in this state; it takes as long as the machine needs. */
static void await(struct nl *nl, uint32_t vm, int attr, uint64_t want)
{
	for (int i = 0; i < 20000; i++) {
		if (number(nl, vm, attr) == want)
			return;
		usleep(500);
	}
	FAIL("attribute %d of VM %u does not become %" PRIu64, attr, vm, want);
	test_leave();
}

/* --- pause ----------------------------------------------------------------------------------- */

TEST(pause_is_exact)
{
	enum { CPUS = 3 };
	unsigned int rounds = test_rounds(24);
	struct nl *nl = nl_open();
	struct tvm *vm = tvm_new(0);
	struct loop loops[CPUS];
	uint32_t id = nl_my_vm(nl);

	for (int i = 0; i < CPUS; i++)
		loop_start(&loops[i], spinning(vm, i));
	for (int i = 0; i < CPUS; i++)
		await_progress(vm, COUNTER + 64 * i, 1);
	while (rounds--) {
		uint64_t counts[CPUS], exits;

		ASSERT_EQ(nl_command(nl, RS_CMD_PAUSE, id), 0);
		/* From here on nothing moves. */
		exits = tvm_stats(vm).entries;
		for (int i = 0; i < CPUS; i++)
			counts[i] = *tvm_at(vm, COUNTER + 64 * i);
		EXPECT_EQ(number(nl, id, RS_A_VCPUS_GUEST), 0);
		EXPECT_EQ(number(nl, id, RS_A_VM_STATE), RS_VM_STATE_PAUSED);
		if (rounds % 8 == 0) {
			await(nl, id, RS_A_VCPUS_PAUSED, CPUS);
			usleep(20000);
		}
		for (int i = 0; i < CPUS; i++)
			EXPECT_EQ(*tvm_at(vm, COUNTER + 64 * i), counts[i]);
		EXPECT_EQ(tvm_stats(vm).entries, exits);
		EXPECT_EQ(tvm_stats(vm).exits, exits);
		ASSERT_EQ(nl_command(nl, RS_CMD_RESUME, id), 0);
		EXPECT_EQ(number(nl, id, RS_A_VM_STATE), RS_VM_STATE_RUNNING);
		for (int i = 0; i < CPUS; i++)
			await_progress(vm, COUNTER + 64 * i, 1);
	}
	EXPECT_EQ(nl_command(nl, RS_CMD_END, id), 0);
	for (int i = 0; i < CPUS; i++)
		loop_join(&loops[i], RS_EXIT_ENDED);
}

/* A vCPU that is made, or set going, while its VM is paused waits as well. */
TEST(paused_before_it_runs)
{
	struct nl *nl = nl_open();
	struct tvm *vm = tvm_new(0);
	uint32_t id = nl_my_vm(nl);
	struct loop old, new;
	struct tcpu *c = spinning(vm, 0);

	ASSERT_EQ(nl_command(nl, RS_CMD_PAUSE, id), 0);
	loop_start(&old, c);
	loop_start(&new, spinning(vm, 1));
	await(nl, id, RS_A_VCPUS_PAUSED, 2);
	EXPECT_EQ(tvm_stats(vm).entries, 0);
	ASSERT_EQ(nl_dump(nl, RS_CMD_GET_VCPU, id), 0);
	ASSERT(nl_about(nl, id, 1));
	EXPECT_EQ(nl_number(nl_about(nl, id, 1), RS_A_VCPU_STATE), RS_VCPU_STATE_PAUSED);
	EXPECT_EQ(nl_number(nl_about(nl, id, 1), RS_A_TID), new.tid);
	/* The state of a vCPU in RS_RUN is nobody else's, paused or not. */
	struct rs_vcpu_state st;

	EXPECT_ERRNO(ioctl(c->fd, RS_GET_STATE, &st), EBUSY);
	ASSERT_EQ(nl_command(nl, RS_CMD_RESUME, id), 0);
	await_progress(vm, COUNTER, 1);
	await_progress(vm, COUNTER + 64, 1);
	EXPECT_EQ(nl_command(nl, RS_CMD_END, id), 0);
	loop_join(&old, RS_EXIT_ENDED);
	loop_join(&new, RS_EXIT_ENDED);
}

static void on_signal(int sig)
{
	tcpu_stop = 1;
}

/* The wait ends for signals, and goes on when RS_RUN is called again. */
TEST(signals_end_the_wait)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct nl *nl = nl_open();
	struct tvm *vm = tvm_new(0);
	struct tcpu *c = spinning(vm, 0);
	uint32_t id = nl_my_vm(nl);
	struct loop l;
	int status;
	pid_t pid;

	SYS(sigaction(SIGUSR1, &sa, NULL));
	ASSERT_EQ(nl_command(nl, RS_CMD_PAUSE, id), 0);
	loop_start(&l, c);
	await(nl, id, RS_A_VCPUS_PAUSED, 1);
	pthread_kill(l.thread, SIGUSR1);
	loop_join(&l, -1);
	EXPECT_EQ(l.err, EINTR);
	tcpu_stop = 0;
	loop_start(&l, c);
	await(nl, id, RS_A_VCPUS_PAUSED, 1);
	ASSERT_EQ(nl_command(nl, RS_CMD_END, id), 0);
	loop_join(&l, RS_EXIT_ENDED);

	/* SIGKILL too. */
	pid = SYS(fork());
	if (!pid) {
		vm = tvm_new(0);
		c = spinning(vm, 0);
		id = nl_my_vm(nl = nl_open());
		if (!nl_command(nl, RS_CMD_PAUSE, id))
			tcpu_run_raw(c);
		_exit(9);
	}
	for (;;) {
		const struct nl_msg *m = NULL;

		ASSERT_EQ(nl_dump(nl, RS_CMD_GET_VM, 0), 0);
		for (size_t i = 0; i < nl->n; i++)
			if (nl_number(&nl->answers[i], RS_A_PID) == (uint32_t)pid &&
			    nl_number(&nl->answers[i], RS_A_VCPUS_PAUSED) == 1)
				m = &nl->answers[i];
		if (m)
			break;
		usleep(1000);
	}
	SYS(kill(pid, SIGKILL));
	SYS(waitpid(pid, &status, 0));
	EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* RS_KICK and the netlink command are the same; on a paused VM they wait with it. */
TEST(kick)
{
	struct nl *nl = nl_open();
	struct tvm *vm = tvm_new(0);
	struct tcpu *c = spinning(vm, 0), *d = spinning(vm, 1);
	uint32_t id = nl_my_vm(nl);
	struct loop a, b;

	loop_start(&a, c);
	await_progress(vm, COUNTER, 1);
	EXPECT_EQ(nl_vcpu_command(nl, RS_CMD_KICK, id, 0), 0);
	loop_join(&a, RS_EXIT_KICK);
	/* One that is not running is kicked the next time, and the other not at all. */
	EXPECT_EQ(nl_vcpu_command(nl, RS_CMD_KICK, id, 1), 0);
	EXPECT_EQ(tcpu_run_raw(d), RS_EXIT_KICK);
	loop_start(&a, c);
	loop_start(&b, d);
	await_progress(vm, COUNTER, 1);
	await_progress(vm, COUNTER + 64, 1);
	EXPECT_EQ(nl_command(nl, RS_CMD_KICK, id), 0);
	loop_join(&a, RS_EXIT_KICK);
	loop_join(&b, RS_EXIT_KICK);

	ASSERT_EQ(nl_command(nl, RS_CMD_PAUSE, id), 0);
	loop_start(&a, c);
	await(nl, id, RS_A_VCPUS_PAUSED, 1);
	SYS(ioctl(c->fd, RS_KICK));
	usleep(20000);
	EXPECT_EQ(number(nl, id, RS_A_VCPUS_PAUSED), 1);
	ASSERT_EQ(nl_command(nl, RS_CMD_RESUME, id), 0);
	loop_join(&a, RS_EXIT_KICK);
	/* Taken: not a second time. */
	loop_start(&a, c);
	await_progress(vm, COUNTER, 1);
	EXPECT_EQ(nl_command(nl, RS_CMD_END, id), 0);
	loop_join(&a, RS_EXIT_ENDED);
}

/* --- end ------------------------------------------------------------------------------------- */

TEST(end_of_a_busy_vm)
{
	unsigned int rounds = test_rounds(20);
	struct nl *nl = nl_open();

	while (rounds--) {
		struct tvm *vm = tvm_new(0);
		struct tcpu *c = spinning(vm, 0), *d = tcpu_new(vm, 1), *e;
		uint32_t id = nl_my_vm(nl);
		uint64_t count;
		struct loop l;

		loop_start(&l, c);
		await_progress(vm, COUNTER, rounds % 3);
		if (rounds % 4 == 3)
			ASSERT_EQ(nl_command(nl, RS_CMD_PAUSE, id), 0);
		ASSERT_EQ(nl_command(nl, RS_CMD_END, id), 0);
		count = *tvm_at(vm, COUNTER);
		loop_join(&l, RS_EXIT_ENDED);
		EXPECT_EQ(l.run.ended.reason, RS_END_REQUEST);
		EXPECT_EQ(l.run.ended.limit, 0);
		EXPECT_EQ(*tvm_at(vm, COUNTER), count);
		EXPECT_EQ(number(nl, id, RS_A_VM_STATE), RS_VM_STATE_ENDED);
		/* For good: the same vCPU, one without state, one made afterwards. */
		EXPECT_EQ(tcpu_run_raw(c), RS_EXIT_ENDED);
		EXPECT_EQ(tcpu_run_raw(d), RS_EXIT_ENDED);
		e = spinning(vm, 2);
		EXPECT_EQ(tcpu_run_raw(e), RS_EXIT_ENDED);
		SYS(ioctl(e->fd, RS_KICK));
		EXPECT_EQ(tcpu_run_raw(e), RS_EXIT_ENDED);
		EXPECT_EQ(*tvm_at(vm, COUNTER + 128), 0);
		tcpu_close(c);
		tcpu_close(d);
		tcpu_close(e);
		tvm_close(vm);
	}
}

static volatile sig_atomic_t told, told_code;

static void on_end(int sig, siginfo_t *info, void *context)
{
	told_code = info->si_code;
	told = sig;
}

/* Sleeps in a call of its own, having run a vCPU; and is told. */
enum { STOPPED_BEFORE, STOPPED, ASLEEP, HOWS };

static int idle_process(int ready, int how)
{
	struct sigaction sa = { .sa_sigaction = on_end, .sa_flags = SA_SIGINFO };
	const struct rs_vm_config cfg = { .end_signal = SIGRTMIN };
	struct tvm *vm = tvm_of(&cfg);
	struct tcpu *c;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sigaction(SIGRTMIN, &sa, NULL);
	tvm_load(vm, map_aligned(G_ARENA));
	c = tcpu_new(vm, 0);
	if (how != STOPPED_BEFORE)
		tcpu_call(c, G_NULL);
	if (write(ready, "r", 1) != 1)
		return 1;
	if (how != ASLEEP)
		raise(SIGSTOP);
	/* A thread that has not run its vCPU is told by RS_RUN. */
	if (how == STOPPED_BEFORE)
		return tcpu_run_raw(c) == RS_EXIT_ENDED && !told ? 42 : 1;
	sigemptyset(&set);
	sigsuspend(&set);
	return told == SIGRTMIN && told_code == SI_KERNEL && tcpu_run_raw(c) == RS_EXIT_ENDED ? 42 : 1;
}

/* A thread that sleeps hears of the end, and one that is stopped as well. */
TEST(end_of_an_idle_process)
{
	struct nl *nl = nl_open();

	for (int how = 0; how < HOWS; how++) {
		uint32_t id = 0;
		int ready[2], status;
		pid_t pid;
		char c;

		SYS(pipe(ready));
		pid = SYS(fork());
		if (!pid)
			_exit(idle_process(ready[1], how));
		SYS(read(ready[0], &c, 1));
		if (how != ASLEEP) {
			SYS(waitpid(pid, &status, WUNTRACED));
			ASSERT(WIFSTOPPED(status));
		}
		ASSERT_EQ(nl_dump(nl, RS_CMD_GET_VM, 0), 0);
		for (size_t i = 0; i < nl->n; i++)
			if (nl_number(&nl->answers[i], RS_A_PID) == (uint32_t)pid)
				id = nl_number(&nl->answers[i], RS_A_VM_ID);
		ASSERT_EQ(nl_command(nl, RS_CMD_END, id), 0);
		SYS(waitpid(pid, &status, 0));
		EXPECT(WIFEXITED(status));
		EXPECT_EQ(WEXITSTATUS(status), 42);
		close(ready[0]);
		close(ready[1]);
	}
}

/* --- limits ---------------------------------------------------------------------------------- */

/* However many vCPUs make them, the exits of a VM are as many as its limit, not one more. */
TEST(limit_of_exits)
{
	struct nl *nl = nl_open();

	for (unsigned int cpus = 1; cpus <= 3; cpus++) {
		int events = nl_listen(nl, 0);
		struct tvm *vm = tvm_new(0);
		struct tcpu *c[3];
		struct loop loops[3];
		uint32_t id = nl_my_vm(nl);
		uint64_t limit;
		struct nl_msg m;

		for (unsigned int i = 0; i < cpus; i++) {
			c[i] = tcpu_new(vm, i);
			tcpu_call(c[i], G_EXIT_DELTA, 5);
			tcpu_start(c[i], G_EXIT_DELTA, 1ul << 40);
		}
		limit = tvm_stats(vm).exits + 1000;
		ASSERT_EQ(nl_limit(nl, id, RS_A_LIMIT_EXITS, limit), 0);
		EXPECT_EQ(number(nl, id, RS_A_LIMIT_EXITS), limit);
		for (unsigned int i = 0; i < cpus; i++)
			loop_start(&loops[i], c[i]);
		for (unsigned int i = 0; i < cpus; i++) {
			loop_join(&loops[i], RS_EXIT_ENDED);
			EXPECT_EQ(loops[i].run.ended.reason, RS_END_LIMIT_EXITS);
			EXPECT_EQ(loops[i].run.ended.limit, limit);
		}
		EXPECT_EQ(tvm_stats(vm).exits, limit);
		EXPECT_EQ(number(nl, id, RS_A_EXITS), limit);
		if (nl_event(events, id, RS_CMD_EVENT_LIMIT, &m)) {
			EXPECT_EQ(nl_number(&m, RS_A_END_REASON), RS_END_LIMIT_EXITS);
			EXPECT_EQ(nl_number(&m, RS_A_LIMIT_EXITS), limit);
		}
		for (unsigned int i = 0; i < cpus; i++)
			tcpu_close(c[i]);
		tvm_close(vm);
		if (nl_event(events, id, RS_CMD_EVENT_ENDED, &m)) {
			EXPECT_EQ(nl_number(&m, RS_A_END_REASON), RS_END_LIMIT_EXITS);
			EXPECT_EQ(nl_number(&m, RS_A_EXITS), limit);
		}
		close(events);
	}
}

/* A limit that is set and changed while the VM runs is counted from its first exit. */
TEST(limit_of_exits_while_running)
{
	struct nl *nl = nl_open();
	struct tvm *vm = tvm_new(0);
	struct tcpu *c = tcpu_new(vm, 0), *d = tcpu_new(vm, 1);
	uint32_t id = nl_my_vm(nl);
	struct loop a, b;
	uint64_t limit;

	tcpu_start(c, G_EXIT_DELTA, 1ul << 40);
	tcpu_start(d, G_EXIT_DELTA, 1ul << 40);
	loop_start(&a, c);
	loop_start(&b, d);
	await(nl, id, RS_A_LIMIT_EXITS, NL_NONE);
	for (int i = 0; i < 20; i++) {
		ASSERT_EQ(nl_limit(nl, id, RS_A_LIMIT_EXITS, 1ull << 40), 0);
		ASSERT_EQ(nl_limit(nl, id, RS_A_LIMIT_EXITS, 0), 0);
	}
	limit = tvm_stats(vm).exits + 50000;
	ASSERT_EQ(nl_limit(nl, id, RS_A_LIMIT_EXITS, limit), 0);
	loop_join(&a, RS_EXIT_ENDED);
	loop_join(&b, RS_EXIT_ENDED);
	EXPECT_GE(tvm_stats(vm).exits, limit);
	/* More only if the machine was so slow that they were made before the limit came. */
	if (tvm_stats(vm).exits != limit)
		test_note("%llu exits for %" PRIu64, tvm_stats(vm).exits, limit);
}

/* Below what is used already: at once. */
TEST(limits_already_reached)
{
	struct nl *nl = nl_open();
	struct tvm *vm = tvm_new(0);
	struct tcpu *c = tcpu_new(vm, 0);
	uint32_t id = nl_my_vm(nl);

	tcpu_call(c, G_EXIT_DELTA, 100);
	ASSERT_EQ(nl_limit(nl, id, RS_A_LIMIT_EXITS, 50), 0);
	EXPECT_EQ(number(nl, id, RS_A_VM_STATE), RS_VM_STATE_ENDED);
	EXPECT_EQ(tcpu_run_raw(c), RS_EXIT_ENDED);
	EXPECT_EQ(c->run->ended.reason, RS_END_LIMIT_EXITS);
	EXPECT_EQ(nl_limit(nl, id, RS_A_LIMIT_EXITS, 0), -ESHUTDOWN);
}

TEST(limit_of_cpu_time)
{
	const uint64_t limit = 100000000;
	struct nl *nl = nl_open();
	int events = nl_listen(nl, 0);
	struct tvm *vm = tvm_new(0);
	uint32_t id = nl_my_vm(nl);
	struct loop a, b;
	struct nl_msg m;

	ASSERT_EQ(nl_limit(nl, id, RS_A_LIMIT_CPU_TIME, limit), 0);
	loop_start(&a, spinning(vm, 0));
	loop_start(&b, spinning(vm, 1));
	loop_join(&a, RS_EXIT_ENDED);
	loop_join(&b, RS_EXIT_ENDED);
	EXPECT_EQ(a.run.ended.reason, RS_END_LIMIT_CPU_TIME);
	EXPECT_EQ(a.run.ended.limit, limit);
	EXPECT_GE(number(nl, id, RS_A_CPU_TIME), limit);
	test_note("%.1f ms of %.1f", number(nl, id, RS_A_CPU_TIME) / 1e6, limit / 1e6);
	if (nl_event(events, id, RS_CMD_EVENT_LIMIT, &m)) {
		EXPECT_EQ(nl_number(&m, RS_A_END_REASON), RS_END_LIMIT_CPU_TIME);
		EXPECT_EQ(nl_number(&m, RS_A_LIMIT_CPU_TIME), limit);
	}
}

/* CPU time is the threads', and stays when they have gone. */
TEST(cpu_time)
{
	struct nl *nl = nl_open();
	struct tvm *vm = tvm_new(0);
	struct tcpu *c = spinning(vm, 0);
	uint32_t id = nl_my_vm(nl);
	uint64_t first = 0, second = 0, before;
	struct loop l;

	for (int i = 0; i < 2; i++) {
		before = second;
		loop_start(&l, c);
		while (number(nl, id, RS_A_CPU_TIME) < 50000000ull * (i + 1))
			usleep(1000);
		EXPECT_EQ(nl_command(nl, RS_CMD_KICK, id), 0);
		loop_join(&l, RS_EXIT_KICK);
		/* The thread ends, and from then on nothing uses any. */
		for (int tries = 0; tries < 200; tries++) {
			first = number(nl, id, RS_A_CPU_TIME);
			usleep(20000);
			second = number(nl, id, RS_A_CPU_TIME);
			if (first == second)
				break;
		}
		EXPECT_EQ(first, second);
		EXPECT_GE(second, before);
		EXPECT_GE(second, 50000000ull * (i + 1));
	}
	tcpu_close(c);
	EXPECT_EQ(number(nl, id, RS_A_CPU_TIME), second);
}

TEST(limit_of_vcpus)
{
	struct rs_vcpu_config cfg = { .id = 9 };
	struct nl *nl = nl_open();
	int events = nl_listen(nl, 0);
	struct tvm *vm = tvm_new(0);
	struct tcpu *c, *d;
	uint32_t id = nl_my_vm(nl);
	struct nl_msg m;

	c = tcpu_new(vm, 0);
	ASSERT_EQ(nl_limit(nl, id, RS_A_LIMIT_VCPUS, 2), 0);
	d = tcpu_new(vm, 1);
	/* What is gone counts no more, what cannot be does not count. */
	tcpu_close(d);
	tcpu_new(vm, 2);
	cfg.id = 2;
	EXPECT_ERRNO(ioctl(vm->fd, RS_CREATE_VCPU, &cfg), EEXIST);
	EXPECT_EQ(number(nl, id, RS_A_VM_STATE), RS_VM_STATE_RUNNING);
	cfg.id = 9;
	EXPECT_ERRNO(ioctl(vm->fd, RS_CREATE_VCPU, &cfg), EDQUOT);
	EXPECT_EQ(tcpu_run_raw(c), RS_EXIT_ENDED);
	EXPECT_EQ(c->run->ended.reason, RS_END_LIMIT_VCPUS);
	EXPECT_EQ(c->run->ended.limit, 2);
	if (nl_event(events, id, RS_CMD_EVENT_LIMIT, &m))
		EXPECT_EQ(nl_number(&m, RS_A_LIMIT_VCPUS), 2);
}

/* --- events ---------------------------------------------------------------------------------- */

TEST(created_and_ended)
{
	const struct rs_vm_config cfg = { .name = (uintptr_t)"events" };
	struct nl *nl = nl_open();
	int events = nl_listen(nl, 0);
	uint64_t seq = nl_event_seq(nl);
	struct timespec now;
	struct tvm *vm;
	struct tcpu *c;
	struct nl_msg m;
	uint64_t exits;
	uint32_t id;

	vm = tvm_of(&cfg);
	tvm_load(vm, map_aligned(G_ARENA));
	id = nl_my_vm(nl);
	clock_gettime(CLOCK_REALTIME, &now);
	ASSERT_EQ(nl_event_now(events, &m), 1);
	EXPECT_EQ(nl_cmd(&m), RS_CMD_EVENT_CREATED);
	EXPECT_EQ(nl_number(&m, RS_A_EVENT_SEQ), seq + 1);
	EXPECT_EQ(nl_number(&m, RS_A_VM_ID), id);
	EXPECT_EQ(nl_number(&m, RS_A_PID), getpid());
	EXPECT_EQ(nl_number(&m, RS_A_UID), getuid());
	EXPECT_EQ(strcmp(nl_text(&m, RS_A_NAME), "events"), 0);
	EXPECT_LE(nl_number(&m, RS_A_EVENT_TIME), now.tv_sec * 1000000000ull + now.tv_nsec);
	c = tcpu_new(vm, 0);
	tcpu_call(c, G_EXIT_DELTA, 10);
	exits = tvm_stats(vm).exits;
	tcpu_close(c);
	EXPECT_EQ(nl_event_now(events, &m), 0);
	tvm_close(vm);
	ASSERT(nl_event(events, 0, RS_CMD_EVENT_ENDED, &m));
	EXPECT_EQ(nl_number(&m, RS_A_EVENT_SEQ), seq + 2);
	EXPECT_EQ(nl_number(&m, RS_A_VM_ID), id);
	EXPECT_EQ(nl_number(&m, RS_A_END_REASON), RS_END_CLOSED);
	EXPECT_EQ(nl_number(&m, RS_A_EXITS), exits);
	EXPECT_EQ(nl_event_seq(nl), seq + 2);
}

TEST(fault_reports)
{
	struct nl *nl = nl_open();
	int events = nl_listen(nl, 0);
	struct tvm *vm = tvm_new(0);
	struct tcpu *c = tcpu_new(vm, 3);
	uint32_t id = nl_my_vm(nl);
	struct nl_msg m;

	/* Memory that no region has; the guest's tables have it at another address. */
	*tvm_pte(vm, G_SCRATCH) = (1ull << 36) | 7;
	tcpu_start(c, G_STORE, G_SCRATCH + 0x10, 1);
	ASSERT_EQ(tcpu_run_raw(c), RS_EXIT_MEMORY_FAULT);
	ASSERT(nl_event(events, id, RS_CMD_EVENT_FAULT, &m));
	EXPECT_EQ(nl_number(&m, RS_A_EXIT_REASON), RS_EXIT_MEMORY_FAULT);
	EXPECT_EQ(nl_number(&m, RS_A_VCPU_ID), 3);
	EXPECT_EQ(nl_number(&m, RS_A_GPA), c->run->fault.gpa);
	EXPECT_EQ(nl_number(&m, RS_A_GPA), (1ull << 36) + 0x10);
	EXPECT_EQ(nl_number(&m, RS_A_GVA), c->run->fault.gva);
	EXPECT_EQ(nl_number(&m, RS_A_ACCESS), c->run->fault.access);
	EXPECT_EQ(nl_number(&m, RS_A_ERRNO), -c->run->fault.error);
	EXPECT_EQ(nl_number(&m, RS_A_RIP), c->run->rip);
	EXPECT_EQ(nl_number(&m, RS_A_CPL), c->run->cpl);

	tcpu_start(c, G_TRIPLE_FAULT);
	ASSERT_EQ(tcpu_run_raw(c), RS_EXIT_SHUTDOWN);
	ASSERT(nl_event(events, id, RS_CMD_EVENT_FAULT, &m));
	EXPECT_EQ(nl_number(&m, RS_A_EXIT_REASON), RS_EXIT_SHUTDOWN);
	EXPECT_EQ(nl_number(&m, RS_A_RIP), c->run->rip);
	EXPECT_EQ(nl_number(&m, RS_A_GPA), NL_NONE);

	/* What a host process deals with by itself is no fault. */
	SYS(tvm_region_raw(vm, 1ull << 36, PAGE, NULL, RS_REGION_MMIO));
	*tvm_pte(vm, G_SCRATCH) = (1ull << 36) | 7;
	tcpu_start(c, G_STORE, G_SCRATCH + 0x10, 1);
	ASSERT_EQ(tcpu_run_raw(c), RS_EXIT_MMIO);
	tcpu_call(c, G_NULL);
	EXPECT_EQ(nl_event_now(events, &m), 0);
}

/* A reader that does not read: what it gets and what it misses is everything, to the event. */
TEST(slow_reader)
{
	enum { VMS = 60 };
	struct nl *nl = nl_open();
	int slow = nl_listen(nl, 4096), quick = nl_listen(nl, 1 << 20);
	uint64_t first = nl_event_seq(nl), last = first, got = 0, missed = 0, overruns = 0;
	struct nl_msg m;
	int ret;

	for (int i = 0; i < VMS; i++)
		tvm_close(tvm_bare(0));
	/* The end of a VM may come a moment after the close. */
	for (int i = 0; i < 2 * VMS; i++) {
		ASSERT(nl_event(quick, 0, i % 2 ? RS_CMD_EVENT_ENDED : RS_CMD_EVENT_CREATED, &m));
		EXPECT_EQ(nl_number(&m, RS_A_EVENT_SEQ), first + 1 + i);
	}
	EXPECT_EQ(nl_event_seq(nl), first + 2 * VMS);
	while ((ret = nl_event_now(slow, &m))) {
		uint64_t seq;

		if (ret < 0) {
			overruns++;
			continue;
		}
		seq = nl_number(&m, RS_A_EVENT_SEQ);
		EXPECT_GT(seq, last);
		missed += seq - last - 1;
		last = seq;
		got++;
	}
	EXPECT_EQ(overruns, 1);
	EXPECT_GT(got, 0);
	missed += nl_event_seq(nl) - last;
	EXPECT_GT(missed, 0);
	EXPECT_EQ(got + missed, 2 * VMS);
	/* It hears what comes later. */
	tvm_close(tvm_bare(0));
	ASSERT(nl_event(slow, 0, RS_CMD_EVENT_CREATED, &m));
	EXPECT_EQ(nl_number(&m, RS_A_EVENT_SEQ), first + 2 * VMS + 1);
}

/* Events of many VMs at once are one sequence. */
static void *come_and_go(void *arg)
{
	for (int i = 0; i < 25; i++)
		tvm_close(tvm_bare(0));
	return NULL;
}

TEST(one_sequence)
{
	struct nl *nl = nl_open();
	int events = nl_listen(nl, 1 << 20);
	uint64_t seq = nl_event_seq(nl);
	pthread_t threads[4];
	struct pollfd p = { .fd = events, .events = POLLIN };
	struct nl_msg m;

	for (int i = 0; i < 4; i++)
		ASSERT_EQ(pthread_create(&threads[i], NULL, come_and_go, NULL), 0);
	for (int i = 0; i < 200; i++) {
		ASSERT_EQ(poll(&p, 1, 10000), 1);
		ASSERT_EQ(nl_event_now(events, &m), 1);
		ASSERT_EQ(nl_number(&m, RS_A_EVENT_SEQ), ++seq);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	EXPECT_EQ(nl_event_now(events, &m), 0);
}
