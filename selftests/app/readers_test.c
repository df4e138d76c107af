// SPDX-License-Identifier: MIT
/*
 * readers_test.c - what the guest kernel answers without its lock, while others change what is
 * asked about
 *
 * With several vCPUs a trap reaches its handler, and a process is looked up, without the kernel's
 * lock. Whatever others do meanwhile, each answer must be one that was right at some moment; and
 * with --debug memory that is freed is poisoned, which a reader that is late would follow into
 * nowhere.
 */
#include <pthread.h>
#include "app.h"

static void must(int err)
{
	if (err) {
		errno = err;
		FAIL("a thread: %s", strerror(err));
		test_leave();
	}
}

static unsigned int roll(unsigned int *dice, unsigned int n)
{
	*dice = *dice * 1103515245 + 12345;
	return (*dice >> 16) % n;
}

/* --- traps ------------------------------------------------------------------------------------ */

/*
 * One stretch of memory. Of every 32 pages 4 are of a thread that traps there, and stay what they
 * are; the rest is mapped, protected and unmapped with the same rights as its neighbours or with
 * others, so that the mappings that the threads' pages lie in are cut, joined and replaced all the
 * time.
 */
#define TRAPPERS	3
#define STRIDE		32
#define OWN		4
#define TRAPS		400	/* of each thread and kind */
#define CHANGES		600
#define FORKS		15

static char *memory;
/* All stacks are there before the first hole is: nothing else may come to lie in one. */
static pthread_barrier_t all_there;

static __thread struct {
	volatile int count;
	uint64_t addr, cause, rip;
	bool step;
} seen;

/* A store of three bytes' length. */
#define STORE(p) asm volatile("movb $1, (%0)" : : "a"(p) : "memory")

static int on_fault(struct rs_trap_frame *f)
{
	seen.count++;
	seen.addr = f->addr;
	seen.cause = f->cause;
	seen.rip = f->rip;
	if (seen.step) {
		f->rip += 3;
		return RS_TRAP_RESUME;
	}
	return rs_page_protect((void *)(f->addr & -PAGE), PAGE, RS_PAGE_WRITE) ? RS_TRAP_SIGNAL : RS_TRAP_RESUME;
}

static int bad;		/* atomic: answers that were wrong */

static void expect(bool right)
{
	if (!right)
		__atomic_add_fetch(&bad, 1, __ATOMIC_RELAXED);
}

/* Pages of a mapping that may only be read, and pages of a writable one that the thread closes itself. */
static void *trapper(void *arg)
{
	size_t n = (uintptr_t)arg;
	char *fixed = memory + 2 * n * STRIDE * PAGE, *closed = fixed + STRIDE * PAGE, *p;
	unsigned int dice = n + 1;
	int before;

	must(-rs_trap_stack_alloc(64 << 10));
	pthread_barrier_wait(&all_there);
	for (unsigned int i = 0; i < test_rounds(TRAPS); i++) {
		p = fixed + roll(&dice, OWN * PAGE);
		before = seen.count;
		seen.step = true;
		STORE(p);
		expect(seen.count == before + 1 && seen.addr == (uintptr_t)p);
		expect(seen.cause == RS_CAUSE_WRITE && !*(volatile char *)p);
		seen.step = false;
		p = closed + roll(&dice, OWN * PAGE);
		*p = 0;
		expect(seen.count == before + 1);
		if (roll(&dice, 2)) {
			expect(!rs_page_protect((void *)((uintptr_t)p & -PAGE), PAGE, RS_PAGE_READ));
			STORE(p);
			expect(seen.cause == RS_CAUSE_WRITE);
		} else {
			expect(!rs_page_protect((void *)((uintptr_t)p & -PAGE), PAGE, RS_PAGE_NONE));
			expect(!*(volatile char *)p);
			expect(seen.cause == RS_CAUSE_READ);
			STORE(p);
		}
		expect(seen.count == before + 2 && seen.addr == (uintptr_t)p && *(volatile char *)p == 1);
	}
	return NULL;
}

/* Of one half of the stretch. */
static void *changer(void *arg)
{
	unsigned int half = (uintptr_t)arg, dice = half + 1000, group, first, n;

	pthread_barrier_wait(&all_there);
	for (unsigned int i = 0; i < test_rounds(CHANGES); i++) {
		int prot = roll(&dice, 2) ? PROT_READ : PROT_READ | PROT_WRITE;
		char *p;

		group = half + roll(&dice, TRAPPERS);
		first = OWN + roll(&dice, STRIDE - OWN);
		n = 1 + roll(&dice, STRIDE - first);
		p = memory + (group * STRIDE + first) * PAGE;
		switch (roll(&dice, 4)) {
		case 0:
			expect(!munmap(p, n * PAGE));
			break;
		case 1:	/* holes there may be */
			expect(!mprotect(p, n * PAGE, prot) || errno == ENOMEM);
			break;
		default:
			expect(mmap(p, n * PAGE, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == p);
			if (prot & PROT_WRITE)
				p[roll(&dice, n) * PAGE] = 1;
		}
		if (!roll(&dice, 8))
			sched_yield();
	}
	return NULL;
}

/* Tables and trap stacks are shared with a child for a moment. */
static void *forker(void *arg)
{
	(void)arg;
	pthread_barrier_wait(&all_there);
	for (unsigned int i = 0; i < test_rounds(FORKS); i++) {
		pid_t pid = fork();
		int status = -1;

		if (!pid)
			_exit(0);
		expect(pid > 0 && waitpid(pid, &status, 0) == pid && !status);
	}
	return NULL;
}

TEST(traps_while_mappings_change)
{
	pthread_t t[TRAPPERS + 3];
	size_t i, n = 0;

	NEEDS(RS_APP_UPCALL | RS_APP_PAGES);
	memory = private_pages(2 * TRAPPERS * STRIDE);
	for (i = 0; i < 2 * TRAPPERS; i += 2)
		SYS(mprotect(memory + i * STRIDE * PAGE, OWN * PAGE, PROT_READ));
	ASSERT_EQ(rs_trap_handle(VEC_PF, on_fault, 0), 0);
	must(pthread_barrier_init(&all_there, NULL, TRAPPERS + 3));
	for (i = 0; i < TRAPPERS; i++)
		must(pthread_create(&t[n++], NULL, trapper, (void *)i));
	must(pthread_create(&t[n++], NULL, changer, (void *)0));
	must(pthread_create(&t[n++], NULL, changer, (void *)TRAPPERS));
	must(pthread_create(&t[n++], NULL, forker, NULL));
	while (n)
		must(pthread_join(t[--n], NULL));
	EXPECT_EQ(bad, 0);
}

/*
 * A child has the trap stack's pages, too: the first frame that is written copies them, and is about
 * the trap and not about that.
 */
TEST(trap_stack_that_a_child_has_too)
{
	struct gate g = gate_make();
	char *p = private_pages(2);
	int before;
	pid_t pid;

	NEEDS(RS_APP_UPCALL | RS_APP_PAGES);
	ASSERT_EQ(rs_trap_stack_alloc(64 << 10), 0);
	ASSERT_EQ(rs_trap_handle(VEC_PF, on_fault, 0), 0);
	for (int i = 0; i < 10; i++) {
		*p = 1;
		ASSERT_EQ(rs_page_protect(p, PAGE, RS_PAGE_NONE), 0);
		pid = CHILD(gate_wait(g));
		before = seen.count;
		EXPECT_EQ(*(volatile char *)p, 1);
		EXPECT_EQ(seen.count, before + 1);
		EXPECT_EQ(seen.addr, p);
		EXPECT_EQ(seen.cause, RS_CAUSE_READ);
		gate_open(g);
		EXITS(pid, 0);
	}
}

/*
 * The process says what it takes while its threads trap: a trap finds the handler, or is a signal;
 * and never something in between.
 */
static volatile sig_atomic_t signals;
static volatile int trapping;	/* threads that still do */

static void on_segv(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)info;
	__atomic_add_fetch(&signals, 1, __ATOMIC_RELAXED);
	((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] += 3;
}

static int traps;

static int on_step(struct rs_trap_frame *f)
{
	__atomic_add_fetch(&traps, 1, __ATOMIC_RELAXED);
	f->rip += 3;
	return RS_TRAP_RESUME;
}

static void *stepper(void *arg)
{
	must(-rs_trap_stack_alloc(64 << 10));
	for (unsigned int i = 0; i < test_rounds(TRAPS); i++)
		STORE((char *)arg + i % PAGE);
	__atomic_sub_fetch(&trapping, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

TEST(traps_while_the_handler_changes)
{
	struct sigaction sa = { .sa_sigaction = on_segv, .sa_flags = SA_SIGINFO };
	pthread_t t[TRAPPERS];
	char *p;

	NEEDS(RS_APP_UPCALL);
	p = private_pages(1);
	SYS(mprotect(p, PAGE, PROT_READ));
	SYS(sigaction(SIGSEGV, &sa, NULL));
	trapping = TRAPPERS;
	for (int i = 0; i < TRAPPERS; i++)
		must(pthread_create(&t[i], NULL, stepper, p));
	while (__atomic_load_n(&trapping, __ATOMIC_SEQ_CST)) {
		EXPECT_EQ(rs_trap_handle(VEC_PF, on_step, 0), 0);
		sched_yield();
		EXPECT_EQ(rs_trap_handle(VEC_PF, NULL, 0), 0);
		sched_yield();
	}
	for (int i = 0; i < TRAPPERS; i++)
		must(pthread_join(t[i], NULL));
	EXPECT_EQ(traps + signals, TRAPPERS * test_rounds(TRAPS));
	EXPECT_EQ(*(volatile char *)p, 0);
}

/* --- processes -------------------------------------------------------------------------------- */

#define LOOKS		1500
#define CHILDREN	25	/* of each maker */

static volatile pid_t newest[2];	/* child of each maker; it may be gone */
static volatile int makers;

static void *maker(void *arg)
{
	size_t n = (uintptr_t)arg;

	for (unsigned int i = 0; i < test_rounds(CHILDREN); i++) {
		pid_t pid = fork();

		if (!pid)
			_exit(setpgid(0, 0) || (i % 2 && setpgid(0, getppid()) && errno != EPERM));
		expect(pid > 0);
		newest[n] = pid;
		/* A zombie is found until it has been waited for; without anybody else to reap it, this is certain. */
		siginfo_t info;

		expect(!waitid(P_PID, pid, &info, WEXITED | WNOWAIT));
		expect(!kill(pid, 0));
		expect(getpgid(pid) > 0 && getsid(pid) == getsid(0));
		expect(waitpid(pid, NULL, 0) == pid);
		expect(kill(pid, 0) == -1 && errno == ESRCH);
		expect(getpgid(pid) == -1 && errno == ESRCH);
	}
	__atomic_sub_fetch(&makers, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static void *looker(void *arg)
{
	unsigned int dice = (uintptr_t)arg, i = 0;
	pid_t self = getpid(), group = getpgrp(), session = getsid(0), pid, got;

	while (i++ < test_rounds(LOOKS) || __atomic_load_n(&makers, __ATOMIC_SEQ_CST)) {
		expect(getpgid(self) == group && getpgid(0) == group);
		expect(getsid(self) == session && !kill(self, 0));
		expect(kill(self, 1000) == -1 && errno == EINVAL);
		pid = newest[roll(&dice, 2)];
		if (!pid)
			continue;
		/* The sandbox may have others with numbers behind it, of which nothing is known. */
		got = getpgid(pid);
		expect(got == pid || got == group || (got == -1 && errno == ESRCH));
		got = getsid(pid);
		expect(got == session || (got == -1 && errno == ESRCH));
		expect(!kill(pid, 0) || errno == ESRCH);
		if (!roll(&dice, 16))
			sched_yield();
	}
	return NULL;
}

static void *ask_tid(void *arg)
{
	*(pid_t *)arg = gettid();
	expect(!kill(gettid(), 0));
	expect(getpgid(gettid()) == -1 || getpgid(gettid()) == getpgrp());
	return NULL;
}

TEST(lookups_while_processes_come_and_go)
{
	pthread_t t[4];
	pid_t tid = 0;

	makers = 2;
	for (size_t i = 0; i < 2; i++) {
		must(pthread_create(&t[i], NULL, maker, (void *)i));
		must(pthread_create(&t[2 + i], NULL, looker, (void *)(i + 1)));
	}
	for (size_t i = 0; i < 4; i++)
		must(pthread_join(t[i], NULL));
	/* What is no process's number, but a thread's. */
	must(pthread_create(&t[0], NULL, ask_tid, &tid));
	must(pthread_join(t[0], NULL));
	EXPECT_NE(tid, getpid());
	EXPECT_EQ(gettid(), getpid());
	EXPECT_EQ(bad, 0);
}
