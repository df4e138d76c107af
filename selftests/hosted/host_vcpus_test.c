// SPDX-License-Identifier: MIT
/*
 * Several vCPUs: a whole rs_run(), confined, with a thread per vCPU, and with functions of this file
 * in place of the guest.
 *
 * A fake engine stands behind the engine contract. Its run() behaves as RS_RUN does: what is asked
 * for in the run page is delivered, then the vCPU's function (its "guest") says what it does next: a
 * call, or computing. Computing is sleeping here, with signals let in by the very call that sleeps,
 * as the CPU lets them in. RS_KICK ends it, or the next one. Each case runs in a process of its own;
 * what is never told a vCPU shows as a case that does not end.
 */
#define _GNU_SOURCE
#include <asm/unistd.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "confine.h"
#include "engine.h"
#include "raw.h"
#include "ringside_guest.h"

#include "ringside/ringside.h"

#define CPUS		3
#define SCRATCH		(12ull << 20)
#define COMPUTE		(-1000)		/* instead of a call's number */
#define BREAK		(-1001)		/* a triple fault */
#define ROUNDS		2000
#define MANY_KICKS	50		/* 2 s of waiting for one vCPU are 200 of each other one */

/** struct cpu - a vCPU as its guest sees it */
struct cpu {
	unsigned int index;
	struct rs_run run;
	struct rs_vcpu_shared *shared;
	uint32_t kicked, inside;
	unsigned int step;	/* of start_all() */
	unsigned int phase;	/* of what comes after it */
	long ret;		/* of its last call */
	uint64_t got;		/* events taken; it resets them */
	uint64_t args[6];
};

static struct cpu cpus[CPUS];
static uint8_t *arena;

/* Shared with the parent. */
static struct results {
	uint32_t ready;
	uint32_t rounds[CPUS];
	int wrong;
	int inside;		/* vCPUs in run() when rs_run() had returned */
	uint32_t ending;	/* the guest has said that it ends */
	uint32_t end_kicks;	/* kicks of vCPUs since */
} *results;

static long (*guest)(struct cpu *c);
static unsigned int ender, end_how;	/* guest_end()'s */
static long end_nr;
static bool deaf;			/* the guest takes nothing */

static void wrong(int where)
{
	int none = 0;

	__atomic_compare_exchange_n(&results->wrong, &none, where, false, __ATOMIC_SEQ_CST,
				    __ATOMIC_SEQ_CST);
}

/* --- the fake engine ------------------------------------------------------------------------- */

static int fake_open(struct rs_engine *e, char *why)
{
	size_t i;

	(void)why;
	for (i = 0; i < sizeof(e->fds) / sizeof(e->fds[0]); i++)
		e->fds[i] = -1;
	e->info = (struct rs_info){ .abi_version = RS_ABI_VERSION,
				    .backend = RS_BACKEND_SVM,
				    .gpa_bits = 40,
				    .cr4_allowed = ~0ull,
				    .efer_allowed = ~0ull };
	e->requests[0] = 0;
	return 0;
}

static int fake_create_vm(struct rs_engine *e, uint32_t flags, char *why)
{
	(void)e, (void)flags, (void)why;
	return 0;
}

static int fake_add_region(struct rs_engine *e, uint64_t gpa, uint64_t size, uint64_t hva,
			   uint32_t flags, char *why)
{
	(void)e, (void)size, (void)flags, (void)why;
	if (!gpa)
		arena = (uint8_t *)hva;
	return 0;
}

static int fake_create_vcpu(struct rs_engine *e, uint32_t id, struct rs_engine_vcpu *v, char *why)
{
	(void)why;
	v->engine = e;
	v->run = &cpus[id].run;
	v->handle = id;
	cpus[id].index = id;
	return 0;
}

static int fake_set_state(struct rs_engine_vcpu *v, const struct rs_vcpu_state *st)
{
	struct rs_boot *boot = (struct rs_boot *)(arena + (st->rdi - RS_DIRECT_BASE));

	cpus[v->handle].shared =
		(struct rs_vcpu_shared *)(arena + boot->shared_gpa) + v->handle;
	return boot->ncpus == CPUS && (long)st->rsi == v->handle ? 0 : -EINVAL;
}

static int fake_get_state(struct rs_engine_vcpu *v, struct rs_vcpu_state *st)
{
	(void)v, (void)st;
	return -EBUSY;
}

static int fake_kick(struct rs_engine_vcpu *v)
{
	if (__atomic_load_n(&results->ending, __ATOMIC_SEQ_CST))
		__atomic_fetch_add(&results->end_kicks, 1, __ATOMIC_SEQ_CST);
	__atomic_store_n(&cpus[v->handle].kicked, 1, __ATOMIC_SEQ_CST);
	return 0;
}

static int fake_stats(struct rs_engine *e, struct rs_stats *s)
{
	(void)e, (void)s;
	return 0;
}

static void fake_close(struct rs_engine *e)
{
	(void)e;
}

static int run_once(struct cpu *c, const uint64_t *mask)
{
	struct rs_run *run = &c->run;
	long nr;

	run->exit_reason = RS_EXIT_NONE;
	if (__atomic_exchange_n(&c->kicked, 0, __ATOMIC_SEQ_CST)) {
		run->exit_reason = RS_EXIT_KICK;
		return 0;
	}
	if (run->irq_vector && !deaf) {
		run->irq_vector = 0;
		if (__atomic_exchange_n(&c->shared->pending, 0, __ATOMIC_SEQ_CST) &
		    RS_PENDING_EVENTS)
			c->got |= __atomic_exchange_n(&c->shared->events, 0, __ATOMIC_SEQ_CST);
	}
	memset(c->args, 0, sizeof(c->args));
	nr = guest(c);
	if (nr == COMPUTE)
		return rs_raw5(__NR_ppoll, 0, 0, 0, (long)mask, 8);
	if (nr == BREAK) {
		run->exit_reason = RS_EXIT_SHUTDOWN;
		return 0;
	}
	c->shared->call.nr = nr;
	memcpy(c->shared->call.args, c->args, sizeof(c->args));
	run->exit_reason = RS_EXIT_HYPERCALL;
	run->hypercall.nr = RS_HC_CALL;
	return 0;
}

static int fake_run(struct rs_engine_vcpu *v)
{
	struct cpu *c = &cpus[v->handle];
	uint64_t all = ~0ull, before;
	int ret;

	/* As in RS_RUN: from here on a signal is seen by what sleeps, or it has been handled. */
	rs_raw4(__NR_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&before, 8);
	c->ret = c->shared->call.ret;
	__atomic_store_n(&c->inside, 1, __ATOMIC_SEQ_CST);
	ret = run_once(c, &before);
	__atomic_store_n(&c->inside, 0, __ATOMIC_SEQ_CST);
	rs_raw4(__NR_rt_sigprocmask, SIG_SETMASK, (long)&before, 0, 8);
	return ret;
}

static const struct rs_engine_ops fake = {
	.name = "functions",
	.open = fake_open,
	.create_vm = fake_create_vm,
	.add_region = fake_add_region,
	.create_vcpu = fake_create_vcpu,
	.set_state = fake_set_state,
	.get_state = fake_get_state,
	.run = fake_run,
	.kick = fake_kick,
	.stats = fake_stats,
	.close = fake_close,
};

/* --- guests ---------------------------------------------------------------------------------- */

static long call(struct cpu *c, long nr, uint64_t a, uint64_t b, uint64_t d)
{
	c->args[0] = a;
	c->args[1] = b;
	c->args[2] = d;
	return nr;
}

static void want(struct cpu *c, long ret, int where)
{
	if (c->ret != ret)
		wrong(where);
}

/* Steps of vCPU 0 that start the others; then 0. */
static long start_all(struct cpu *c)
{
	switch (c->step++) {
	case 0:
		return call(c, RS_CALL_KICK, 1, 0, 0);
	case 1:
		want(c, -EINVAL, 1);	/* does not run yet */
		return call(c, RS_CALL_START_CPU, 0, 0, 0);
	case 2:
		want(c, -EBUSY, 2);
		return call(c, RS_CALL_START_CPU, CPUS, 0, 0);
	case 3:
		want(c, -EINVAL, 3);
		return call(c, RS_CALL_KICK, CPUS, 0, 0);
	case 4:
		want(c, -EINVAL, 4);
		return call(c, RS_CALL_START_CPU, 1, 0, 0);
	case 5:
		want(c, 0, 5);
		/* It may have no number yet; the event reaches it all the same. */
		return call(c, RS_CALL_KICK, 1, 0, 0);
	case 6:
		want(c, 0, 6);
		return call(c, RS_CALL_START_CPU, 1, 0, 0);
	case 7:
		want(c, -EBUSY, 7);
		return call(c, RS_CALL_START_CPU, 2, 0, 0);
	case 8:
		want(c, 0, 8);
		return call(c, RS_CALL_KICK, 2, 0, 0);
	}
	return 0;
}

/* Sleep in one of the ways a vCPU can sleep until there is an event. */
static long sleep_somehow(struct cpu *c, unsigned int how)
{
	switch (how % 3) {
	case 0:
		return COMPUTE;
	case 1:
		return call(c, RS_CALL_IDLE, ~0ull, 0, 0);
	}
	return call(c, __NR_read, 0, SCRATCH + c->index * 4096, 1);
}

/* Kicks go round: 0 to 1, 1 to 2, 2 to 0; whoever waits does so in another way each time. */
static long guest_ring(struct cpu *c)
{
	long nr = c->index ? 0 : start_all(c);

	if (nr)
		return nr;
	if (!c->index && !c->phase++)
		return call(c, RS_CALL_KICK, 1, 0, 0);
	if (!(c->got & RS_EVENT_KICK))
		return sleep_somehow(c, results->rounds[c->index] / 2 + c->index);
	c->got = 0;
	if (++results->rounds[c->index] >= ROUNDS && !c->index)
		return call(c, RS_CALL_EXIT, 5 << 8, 0, 0);
	return call(c, RS_CALL_KICK, (c->index + 1) % CPUS, 0, 0);
}

/* vCPU 0 starts the others and sleeps; when vCPU 2 runs, vCPU @ender does @end_nr. */
static long guest_end(struct cpu *c)
{
	long nr = c->index ? 0 : start_all(c);

	if (nr)
		return nr;
	if (c->index == 2)
		__atomic_store_n(&results->ready, 1, __ATOMIC_SEQ_CST);
	/* A hostile guest: it takes the others' notifications away. */
	if (end_how >= 3)
		for (unsigned int i = 0; i < CPUS; i++)
			__atomic_store_n(&cpus[i].shared->pending, 0, __ATOMIC_SEQ_CST);
	if (c->index == ender && __atomic_load_n(&results->ready, __ATOMIC_SEQ_CST)) {
		if (end_nr == COMPUTE)
			return COMPUTE;
		__atomic_store_n(&results->ending, 1, __ATOMIC_SEQ_CST);
		return end_nr == BREAK ? BREAK : call(c, RS_CALL_EXIT, 6 << 8, 0, 0);
	}
	if (c->index == ender)
		return call(c, RS_CALL_IDLE, 1000000, 0, 0);
	return sleep_somehow(c, end_how);
}

/* Each in a directory of its own. */
static long guest_directory(struct cpu *c)
{
	long nr = c->index ? 0 : start_all(c);
	char *names = (char *)arena + SCRATCH;

	if (nr)
		return nr;
	strcpy(names, "/usr/lib");
	if (c->index == 1) {
		switch (c->phase++) {
		case 0:
			return call(c, __NR_chdir, SCRATCH, 0, 0);
		case 1:
			want(c, 0, 20);
			return call(c, RS_CALL_KICK, 0, 0, 0);
		}
		return COMPUTE;
	}
	if (c->index == 2 || !(c->got & RS_EVENT_KICK))
		return COMPUTE;
	if (!c->phase++)
		return call(c, __NR_getcwd, SCRATCH + 8192, 4096, 0);
	if (c->ret <= 0)
		wrong(21);
	if (!strcmp((char *)arena + SCRATCH + 8192, "/usr/lib"))
		wrong(22);
	return call(c, RS_CALL_EXIT, 7 << 8, 0, 0);
}

/* --- the parent ------------------------------------------------------------------------------ */

static int tests, failures;

static void check(int ok, const char *what, long got, long wanted)
{
	tests++;
	if (!ok)
		failures++;
	printf("%sok %d - %s", ok ? "" : "not ", tests, what);
	if (!ok)
		printf(" (got %ld, wanted %ld)", got, wanted);
	putchar('\n');
	fflush(stdout);
}

/* Run @fn in a child, and send it @sig, twice, when it is ready; its exit status or 1000 + signal. */
static int run(long (*fn)(struct cpu *c), int sig)
{
	static const char *const argv[] = { "true", NULL }, *const none[] = { NULL };
	int status, fds[2], turns;
	uint32_t seen = 0;
	pid_t pid;

	memset(results, 0, sizeof(*results));
	if (pipe(fds))
		return -1;
	pid = fork();
	if (!pid) {
		struct rs_config c = RS_CONFIG_INIT;
		struct rs_result r;
		int i;

		dup2(fds[0], 0);	/* a pipe that nobody writes to */
		rs_engine_default = &fake;
		guest = fn;
		c.program = "/bin/true";
		c.argv = argv;
		c.envp = none;
		c.memory = 32 << 20;
		c.cpus = CPUS;
		rs_run(&c, &r);
		for (i = 0; i < CPUS; i++)
			results->inside += __atomic_load_n(&cpus[i].inside, __ATOMIC_SEQ_CST);
		if (r.status == 125)
			fprintf(stderr, "# %s\n", r.error);
		_exit(r.status);
	}
	close(fds[0]);
	if (sig) {
		int i;

		while (!__atomic_load_n(&results->ready, __ATOMIC_SEQ_CST) &&
		       !waitpid(pid, &status, WNOHANG))
			usleep(1000);
		for (i = 0; i < 2; i++) {
			kill(pid, sig);
			usleep(700000);
		}
	}
	/* A case that hangs is ended by the suite's time limit, and by this: 30 s in which it has not come any further. */
	for (turns = 0; turns < 3000; turns++) {
		uint32_t at = __atomic_load_n(&results->rounds[0], __ATOMIC_SEQ_CST);
		siginfo_t info = { 0 };

		if (waitid(P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT) || info.si_pid)
			break;
		if (at != seen)
			turns = 0;
		seen = at;
		usleep(10000);
	}
	if (turns == 3000)
		kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	close(fds[1]);
	return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

int main(void)
{
	static const char *const how[] = { "computes", "idles", "sleeps in a call",
					   "computes, and the guest is hostile",
					   "idles, and the guest is hostile",
					   "sleeps in a call, and the guest is hostile" };
	char what[160];
	int status;

	if (rs_landlock_abi() < 1 || access("/proc/self/fd", F_OK)) {
		printf("1..0 # SKIP this machine has no Landlock or no /proc\n");
		return 0;
	}
	results = mmap(NULL, sizeof(*results), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);
	if (results == MAP_FAILED)
		return 1;

	status = run(guest_ring, 0);
	check(status == 5, "kicks go round, whatever the vCPUs do", status, 5);
	check(results->wrong == 0, "start and kick answer as they should", results->wrong, 0);
	check(results->rounds[0] == ROUNDS, "all rounds were run", results->rounds[0], ROUNDS);
	check(results->inside == 0, "no vCPU runs when rs_run() has returned", results->inside, 0);

	for (end_how = 0; end_how < 6; end_how++) {
		for (ender = 0; ender < CPUS; ender++) {
			end_nr = RS_CALL_EXIT;
			status = run(guest_end, 0);
			snprintf(what, sizeof(what), "vCPU %u ends it while each other %s", ender,
				 how[end_how]);
			check(status == 6 && !results->inside, what, status, 6);
			/* Who does not come is kicked every 10 ms, for 2 s. */
			check(results->end_kicks <= MANY_KICKS, "without being waited for", results->end_kicks, MANY_KICKS);
		}
	}
	end_how = 0;
	ender = 2;
	end_nr = BREAK;
	status = run(guest_end, 0);
	check(status == 134, "a crash of vCPU 2 ends it", status, 134);
	end_nr = COMPUTE;
	ender = 1;
	deaf = true;
	status = run(guest_end, SIGTERM);
	deaf = false;
	check(status == 128 + SIGTERM, "a guest that does not take a signal is ended", status, 143);

	status = run(guest_directory, 0);
	check(status == 7 && !results->wrong, "each vCPU has a working directory of its own",
	      status == 7 ? results->wrong : status, status == 7 ? 0 : 7);
	printf("1..%d\n", tests);
	return failures != 0;
}
