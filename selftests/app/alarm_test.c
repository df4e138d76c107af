// SPDX-License-Identifier: MIT
/*
 * alarm_test.c - the handler that runs each time a thread has used so much CPU time
 *
 * Nothing here says that an alarm comes in time, as the machine may be slow: tests wait until
 * enough have come, and a loop that must not see any goes on for several intervals of the thread's
 * own CPU time, which is the alarm's clock.
 */
#include <pthread.h>
#include <setjmp.h>
#include <sys/time.h>
#include "app.h"
#include "regs.h"

#define US	1000u	/* an interval: the shortest */

static __thread volatile uint64_t count;
static struct rs_trap_frame seen;

/* CPU time of this thread, in microseconds. */
static uint64_t used(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * 1000000ull + t.tv_nsec / 1000;
}

static void burn(uint64_t us)
{
	uint64_t end = used() + us;

	while (used() < end)
		;
}

static int counts(struct rs_trap_frame *f)
{
	seen = *f;
	count++;
	return RS_TRAP_RESUME;
}

static void start(rs_trap_fn fn, uint64_t us)
{
	ASSERT_EQ(rs_trap_stack_alloc(64 << 10), 0);
	ASSERT_EQ(rs_trap_handle(RS_VECTOR_ALARM, fn, 0), 0);
	ASSERT_EQ(rs_alarm(us), 0);
}

TEST(outside_alarms_are_enosys)
{
	if (rs_app_features())
		SKIP("this is a ring");
	EXPECT_EQ(rs_alarm(1000), -ENOSYS);
	EXPECT_EQ(rs_trap_handle(RS_VECTOR_ALARM, counts, 0), -ENOSYS);
	EXPECT_ERRNO(syscall(RS_SYS_ALARM, 1000, 0), ENOSYS);
}

/* --- when ------------------------------------------------------------------------------------ */

TEST_FOR(it_comes_again_and_again, 120)
{
	uint64_t begin = used(), n;

	NEEDS(RS_APP_ALARM);
	start(counts, 3 * US);
	while ((n = count) < 10)
		EXPECT_GE(used() - begin, n * 3 * US);	/* never too early */
	EXPECT_EQ(seen.vector, RS_VECTOR_ALARM);
	EXPECT_EQ(seen.cause, RS_CAUSE_ALARM);
	EXPECT_EQ(seen.addr, 0);
	EXPECT_EQ(seen.error, 0);
	EXPECT_EQ(seen.cs, 0x33);
	EXPECT_EQ(seen.ss, 0x2b);
	EXPECT_EQ(rs_app_call(RS_SYS_ALARM, 5 * US, 0, 0, 0), 3 * US);
	EXPECT_EQ(rs_app_call(RS_SYS_ALARM, 0, 0, 0, 0), 5 * US);
	EXPECT_EQ(rs_app_call(RS_SYS_ALARM, 0, 0, 0, 0), 0);
	n = count;
	burn(20 * US);
	EXPECT_EQ(count, n);
}

/* A thread that sleeps uses nothing; and what it sleeps in is not interrupted. */
TEST_FOR(it_is_cpu_time, 120)
{
	uint64_t begin;
	struct gate g;
	pid_t pid;
	char c;

	NEEDS(RS_APP_ALARM);
	g = gate_make();
	pid = CHILD({
		burn(50 * US);
		gate_open(g);
	});
	begin = used();
	start(counts, 2 * US);
	ASSERT_EQ(read(g.fd[0], &c, 1), 1);
	EXPECT_LE(count * 2 * US, used() - begin);
	EXITS(pid, 0);
	while (count < 3)
		;
	EXPECT_LE(count * 2 * US, used() - begin);
}

/* --- what it leaves alone -------------------------------------------------------------------- */

static volatile uint64_t stop;
static uint64_t enough;

static int destroys(struct rs_trap_frame *f)
{
	asm volatile("fninit; fldz; fld1; fldcw %0; ldmxcsr %1"
		     : : "m"((uint16_t){ 0x27f }), "m"((uint32_t){ 0x1fc0 }));
	asm volatile(".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n pcmpeqd %%xmm\\n, %%xmm\\n\n.endr" : : : "memory");
	if (++count >= enough)
		stop = 1;
	return RS_TRAP_RESUME;
}

TEST_FOR(all_registers_over_alarms, 120)
{
	struct regs want, got;

	NEEDS(RS_APP_ALARM);
	start(destroys, US);
	for (unsigned int i = 0; i < 4; i++) {
		regs_pattern(&want, i);
		stop = 0;
		enough = count + 3;
		regs_hold(&want, &got, &stop);
		EXPECT_GE(count, enough);
		regs_compare(&want, &got);
	}
}

TEST_FOR(calls_are_not_interrupted, 120)
{
	int fd[2];

	NEEDS(RS_APP_ALARM);
	SYS(pipe(fd));
	start(counts, US);
	for (uint64_t i = 0; count < 20; i++) {
		uint64_t v = 0;

		ASSERT_EQ(write(fd[1], &i, 8), 8);
		ASSERT_EQ(read(fd[0], &v, 8), 8);
		ASSERT_EQ(v, i);
		ASSERT_EQ(lseek(0, 0, SEEK_CUR) == -1 && errno == EINTR, 0);
	}
}

/* --- one at a time --------------------------------------------------------------------------- */

static volatile int depth, deepest;

static int takes_long(struct rs_trap_frame *f)
{
	if (++depth > deepest)
		deepest = depth;
	count++;
	burn(6 * US);
	depth--;
	return RS_TRAP_RESUME;
}

TEST_FOR(it_does_not_interrupt_itself, 120)
{
	NEEDS(RS_APP_ALARM);
	start(takes_long, US);
	while (count < 4)
		;
	EXPECT_EQ(deepest, 1);
}

static uint64_t in_trap;

static int slow_trap(struct rs_trap_frame *f)
{
	uint64_t n = count;

	burn(6 * US);
	in_trap += count - n;
	mprotect((void *)(f->addr & -PAGE), PAGE, PROT_READ | PROT_WRITE);
	return RS_TRAP_RESUME;
}

static char *closed;

static int traps(struct rs_trap_frame *f)
{
	uint64_t n = ++count;

	SYS(mprotect(closed, PAGE, PROT_READ));
	*(volatile uint64_t *)closed = n;
	EXPECT_EQ(*(volatile uint64_t *)closed, n);
	return RS_TRAP_RESUME;
}

TEST_FOR(traps_and_alarms, 120)
{
	NEEDS(RS_APP_ALARM);
	closed = private_pages(1);
	start(counts, US);
	ASSERT_EQ(rs_trap_handle(VEC_PF, slow_trap, 0), 0);
	/* none during a trap, and again afterwards */
	for (int i = 0; i < 3; i++) {
		uint64_t n;

		SYS(mprotect(closed, PAGE, PROT_READ));
		*(volatile char *)closed = 1;
		n = count;
		while (count < n + 2)
			;
	}
	EXPECT_EQ(in_trap, 0);
	/* a trap in an alarm is one like any other */
	ASSERT_EQ(rs_trap_handle(RS_VECTOR_ALARM, traps, 0), 0);
	count = 0;
	while (count < 3)
		;
	EXPECT_EQ(in_trap, 0);
}

static sigjmp_buf away;

static int jumps(struct rs_trap_frame *f)
{
	count++;
	siglongjmp(away, 1);
}

TEST_FOR(a_handler_may_not_come_back, 120)
{
	NEEDS(RS_APP_ALARM);
	sigsetjmp(away, 1);
	if (!count)
		start(jumps, US);
	while (count < 5)
		;
}

/* --- calls on the interrupted stack ---------------------------------------------------------- */

static volatile uint64_t called, nested;

static void is_called(void *arg)
{
	char here;

	/* not on the trap stack: alarms come here, too */
	EXPECT((uint64_t)&here - seen.rsp + 16384 < 32768);
	EXPECT_EQ(arg, 99);
	if (!nested++) {
		uint64_t n = count;

		while (count < n + 2)
			;
	}
	nested--;
	asm volatile(".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n pcmpeqd %%xmm\\n, %%xmm\\n\n.endr" : : : "memory");
	if (++called >= 6)
		stop = 1;
}

static int has_it_call(struct rs_trap_frame *f)
{
	counts(f);
	rs_trap_call(f, is_called, (void *)99);
	return RS_TRAP_RESUME;
}

TEST_FOR(a_handler_may_have_functions_called, 120)
{
	struct regs want, got;

	NEEDS(RS_APP_ALARM);
	regs_pattern(&want, 5);
	start(has_it_call, US);
	regs_hold(&want, &got, &stop);
	rs_alarm(0);
	regs_compare(&want, &got);
	EXPECT_GE(called, 6);
}

/* --- signals --------------------------------------------------------------------------------- */

static volatile int signals;

static void waits_for_alarms(int sig)
{
	uint64_t n = count;

	signals++;
	while (count < n + 2)
		;
}

TEST_FOR(alarms_in_signal_handlers, 120)
{
	static char alt[65536];
	stack_t ss = { .ss_sp = alt, .ss_size = sizeof(alt) };
	struct sigaction sa = { .sa_handler = waits_for_alarms };

	NEEDS(RS_APP_ALARM);
	SYS(sigaltstack(&ss, NULL));
	start(counts, US);
	for (int i = 0; i < 4; i++) {
		sa.sa_flags = i & 1 ? SA_ONSTACK : 0;
		SYS(sigaction(SIGUSR1, &sa, NULL));
		raise(SIGUSR1);
	}
	EXPECT_EQ(signals, 4);
}

static void burns(int sig)
{
	signals++;
	burn(5 * US);
}

static int raises(struct rs_trap_frame *f)
{
	if (++depth > deepest)
		deepest = depth;
	count++;
	raise(SIGUSR1);
	depth--;
	return RS_TRAP_RESUME;
}

/* On the trap stack or elsewhere: while it runs, the alarm's handler has not come back. */
TEST_FOR(signal_handlers_in_alarms, 120)
{
	static char alt[65536];
	stack_t ss = { .ss_sp = alt, .ss_size = sizeof(alt) };
	struct sigaction sa = { .sa_handler = burns };

	NEEDS(RS_APP_ALARM);
	SYS(sigaltstack(&ss, NULL));
	for (int i = 0; i < 2; i++) {
		sa.sa_flags = i ? SA_ONSTACK : 0;
		SYS(sigaction(SIGUSR1, &sa, NULL));
		count = 0;
		start(raises, US);
		while (count < 3)
			;
		rs_alarm(0);
	}
	EXPECT_EQ(deepest, 1);
	EXPECT_GE(signals, 6);
}

static int opens(struct rs_trap_frame *f)
{
	mprotect((void *)(f->addr & -PAGE), PAGE, PROT_READ | PROT_WRITE);
	return RS_TRAP_RESUME;
}

static void just_counts(int sig)
{
	signals++;
}

/* Alarms, traps and a timer's signals meet each other at any instruction. */
TEST_FOR(alarms_traps_and_signals_at_once, 120)
{
	struct itimerval it = { { 0, 7000 }, { 0, 7000 } };
	struct sigaction sa = { .sa_handler = just_counts, .sa_flags = SA_RESTART };

	NEEDS(RS_APP_ALARM);
	closed = private_pages(1);
	SYS(sigaction(SIGALRM, &sa, NULL));
	start(counts, US);
	ASSERT_EQ(rs_trap_handle(VEC_PF, opens, 0), 0);
	SYS(setitimer(ITIMER_REAL, &it, NULL));
	for (uint64_t a = 1; count < 40 || signals < 10; a++) {
		uint64_t b = ~a;

		mprotect(closed, PAGE, PROT_READ);
		asm volatile("mov %0, (%2)" : "+r"(a), "+r"(b) : "r"(closed) : "memory");
		ASSERT_EQ(a, ~b);
		ASSERT_EQ(*(uint64_t *)closed, a);
	}
}

/* --- whose it is ----------------------------------------------------------------------------- */

static int forks(struct rs_trap_frame *f)
{
	static int once;
	pid_t pid;

	count++;
	if (once++)
		return RS_TRAP_RESUME;
	pid = fork();
	if (!pid)
		count = 1000;
	else
		EXITS(pid, 0);
	return RS_TRAP_RESUME;
}

TEST_FOR(children_have_none, 120)
{
	uint64_t n;
	pid_t pid;

	NEEDS(RS_APP_ALARM);
	start(counts, US);
	pid = CHILD({
		n = count;
		burn(20 * US);
		EXPECT_EQ(count, n);
		/* but may have their own */
		EXPECT_EQ(rs_alarm(US), 0);
		while (count < n + 3)
			;
	});
	EXITS(pid, 0);
	n = count;
	while (count < n + 3)
		;
	/* a child made by the handler comes back from it, and has nothing of it in use then */
	ASSERT_EQ(rs_trap_handle(RS_VECTOR_ALARM, forks, 0), 0);
	n = count;
	while (count < n + 2)
		;
	if (count < 1000)
		return;
	burn(10 * US);
	EXPECT_EQ(count, 1000);
	EXPECT_EQ(rs_alarm(US), 0);
	while (count < 1003)
		;
}

/* Whoever executes has no alarm any more, and no upcall that it could come to. */
__attribute__((constructor)) static void programs(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "@burn")) {
		burn(20 * US);
		_exit(rs_app_call(RS_SYS_ALARM, 0, 0, 0, 0) == 0 ? 0 : 1);
	}
}

TEST_FOR(exec_ends_the_alarm, 120)
{
	pid_t pid;

	NEEDS(RS_APP_ALARM);
	start(counts, US);
	pid = CHILD({
		rs_alarm(US);
		execl("/proc/self/exe", "burn", "@burn", NULL);
	});
	EXITS(pid, 0);
}

#define THREADS	4

static void *counts_its_own(void *arg)
{
	uint64_t begin = used(), mine = (uintptr_t)arg;

	ASSERT_EQ(rs_trap_stack_alloc(64 << 10), 0);
	if (!mine) {
		burn(20 * US);
		EXPECT_EQ(count, 0);
		return NULL;
	}
	ASSERT_EQ(rs_alarm(mine * US), 0);
	while (count < 10)
		EXPECT_LE(count * mine * US, used() - begin);
	/* and one that ends with its alarm on */
	if (mine & 1)
		rs_alarm(0);
	return NULL;
}

TEST_FOR(each_thread_has_its_own, 120)
{
	pthread_t t[THREADS];

	NEEDS(RS_APP_ALARM);
	start(counts, US);
	for (uintptr_t i = 0; i < THREADS; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, counts_its_own, (void *)i), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	while (count < 3)
		;
}

/* --- bad arguments, and what is taken away --------------------------------------------------- */

TEST_FOR(bad_alarms, 120)
{
	uint64_t n;

	NEEDS(RS_APP_ALARM);
	/* neither a stack nor a handler; only one of them */
	EXPECT_EQ(rs_alarm(US), -EINVAL);
	EXPECT_EQ(rs_alarm(0), 0);
	ASSERT_EQ(rs_trap_stack_alloc(64 << 10), 0);
	EXPECT_EQ(rs_alarm(US), -EINVAL);
	ASSERT_EQ(rs_trap_handle(RS_VECTOR_ALARM, counts, 0), 0);
	EXPECT_EQ(rs_app_call(RS_SYS_ALARM, US, 1, 0, 0), -EINVAL);
	EXPECT_EQ(rs_app_call(RS_SYS_ALARM, 0, 1, 0, 0), -EINVAL);
	EXPECT_EQ(rs_app_call(RS_SYS_ALARM, RS_ALARM_US_MAX + 1, 0, 0, 0), -EINVAL);
	EXPECT_EQ(rs_app_call(RS_SYS_ALARM, -1l, 0, 0, 0), -EINVAL);
	EXPECT_EQ(rs_app_call(RS_SYS_ALARM, RS_ALARM_US_MAX, 0, 0, 0), 0);
	EXPECT_EQ(rs_app_call(RS_SYS_ALARM, 1, 0, 0, 0), RS_ALARM_US_MAX);
	/* 1 microsecond counts as a millisecond, and the program gets on */
	n = used();
	while (count < 5)
		;
	EXPECT_GE(used() - n, 4 * US);
	ASSERT_EQ(rs_trap_stack(NULL, 0), 0);
	n = count;
	burn(10 * US);
	EXPECT_EQ(count, n);
	ASSERT_EQ(rs_trap_stack_alloc(64 << 10), 0);
	while (count < n + 2)
		;
	ASSERT_EQ(rs_trap_handle(RS_VECTOR_ALARM, NULL, 0), 0);
	n = count;
	burn(10 * US);
	EXPECT_EQ(count, n);
	/* no trap: declining means nothing */
	seen.rip = 0x1000;
	EXPECT_EQ(rs_app_call(RS_SYS_TRAP_SIGNAL, (long)&seen, 0, 0, 0), -EINVAL);
}

static int declines(struct rs_trap_frame *f)
{
	count++;
	return RS_TRAP_SIGNAL;
}

TEST_FOR(what_is_declined_is_over, 120)
{
	struct regs want, got;

	NEEDS(RS_APP_ALARM);
	regs_pattern(&want, 7);
	start(declines, US);
	while (count < 3)
		;
	ASSERT_EQ(rs_trap_handle(RS_VECTOR_ALARM, destroys, 0), 0);
	enough = count + 2;
	regs_hold(&want, &got, &stop);
	regs_compare(&want, &got);
}

/* --- deaths ---------------------------------------------------------------------------------- */

static void alarm_at(void *stack, size_t size, uint64_t room)
{
	rs_app_call(RS_SYS_UPCALL, (long)counts, (long)RS_UPCALL_ALARM, (long)room, 0);
	rs_app_call(RS_SYS_UPCALL_STACK, (long)stack, (long)size, 0, 0);
	rs_app_call(RS_SYS_ALARM, US, 0, 0, 0);
	for (;;)
		;
}

static void d_unmapped(void) { alarm_at((void *)0x10000, 4096, 0); }
static void d_small(void) { alarm_at(private_pages(1), 4096, 8192); }
static void d_kernel(void) { alarm_at((void *)0xffffffff80200000, 4096, 0); }

const struct death alarm_deaths[] = {
	{ "alarm-unmapped", "its trap stack is not writable memory", d_unmapped },
	{ "alarm-small", "trap stack overflow: no room for another trap", d_small },
	{ "alarm-kernel", "its trap stack is at an address no process can have", d_kernel },
	{ "alarm-words", "the trap: its alarm", d_unmapped },
};
const size_t nr_alarm_deaths = sizeof(alarm_deaths) / sizeof(alarm_deaths[0]);
