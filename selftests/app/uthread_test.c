// SPDX-License-Identifier: MIT
/*
 * uthread_test.c - user threads and coroutines: natively, in the ring, and (preemption) with the
 * alarm
 */
#include <fenv.h>
#include <pthread.h>
#include <unwind.h>
#include <ringside/uthread.h>
#include "app.h"
#include "regs.h"

static struct rs_uthread *make(void *(*fn)(void *), void *arg, unsigned int flags)
{
	struct rs_uthread_attr a = { .flags = flags };
	struct rs_uthread *u = NULL;

	ASSERT_EQ(rs_uthread_create(&u, fn, arg, &a), 0);
	return u;
}

static void *join(struct rs_uthread *u)
{
	void *result = (void *)-1l;

	ASSERT_EQ(rs_uthread_join(u, &result), 0);
	return result;
}

/* --- coroutines ------------------------------------------------------------------------------ */

static void *squares(void *arg)
{
	struct rs_uthread *caller = arg;

	EXPECT_EQ(rs_uthread_value(), 77);
	for (uint64_t i = 1; i <= 100; i++) {
		EXPECT_EQ(rs_uthread_switch(caller, (void *)(i * i)), 0);
		EXPECT_EQ(rs_uthread_value(), i);
	}
	return (void *)4711;
}

TEST(values_are_handed_over)
{
	struct rs_uthread *self = rs_uthread_self(), *u = make(squares, self, RS_UTHREAD_SUSPENDED);

	EXPECT_EQ(rs_uthread_value(), 0);
	ASSERT_EQ(rs_uthread_switch(u, (void *)77), 0);
	for (uint64_t i = 1; i <= 100; i++) {
		EXPECT_EQ(rs_uthread_value(), i * i);
		ASSERT_EQ(rs_uthread_switch(u, (void *)i), 0);
	}
	/* the end has nothing to hand over: it is the main one's turn as nobody else is ready */
	EXPECT_EQ(rs_uthread_value(), 10000);
	EXPECT_EQ(rs_uthread_self(), self);
	EXPECT_EQ(rs_uthread_switch(u, NULL), -EINVAL);
	EXPECT_EQ(join(u), 4711);
	EXPECT_EQ(rs_uthread_switch(self, (void *)5), 0);
	EXPECT_EQ(rs_uthread_value(), 5);
}

static struct rs_uthread *next_one;

static void *ends_with_a_value(void *arg)
{
	rs_uthread_exit(next_one, (void *)33);
	FAIL("it has not ended");
	return NULL;
}

static void *drives(void *arg)
{
	struct rs_uthread *u;

	next_one = rs_uthread_self();
	u = make(ends_with_a_value, NULL, RS_UTHREAD_SUSPENDED);
	EXPECT_EQ(rs_uthread_switch(u, NULL), 0);
	EXPECT_EQ(rs_uthread_value(), 33);
	EXPECT_EQ(join(u), 33);
	return arg;
}

TEST(an_end_may_say_who_goes_on)
{
	EXPECT_EQ(join(make(drives, (void *)6, 0)), 6);
}

/* --- threads --------------------------------------------------------------------------------- */

static char order[64];
static unsigned int norder;

static void *takes_turns(void *arg)
{
	for (int i = 0; i < 3; i++) {
		order[norder++] = 'a' + (uintptr_t)arg;
		rs_uthread_yield();
	}
	return arg;
}

TEST(yielding_goes_round)
{
	struct rs_uthread *u[4];

	rs_uthread_yield();
	for (uintptr_t i = 0; i < 4; i++)
		u[i] = make(takes_turns, (void *)i, 0);
	order[norder++] = 'M';
	rs_uthread_yield();
	order[norder++] = 'M';
	for (uintptr_t i = 0; i < 4; i++)
		EXPECT_EQ(join(u[i]), i);
	EXPECT(!strcmp(order, "MabcdMabcdabcd"));
}

/* Whoever is ready may be switched to out of turn, and whoever is suspended put into the queue. */
TEST(both_ways_mix)
{
	struct rs_uthread *a = make(takes_turns, (void *)0, 0), *self = rs_uthread_self();
	struct rs_uthread *b = make(takes_turns, (void *)1, 0);
	struct rs_uthread *c = make(takes_turns, (void *)2, RS_UTHREAD_SUSPENDED);

	EXPECT_EQ(rs_uthread_ready(self), -EINVAL);
	EXPECT_EQ(rs_uthread_ready(b), 0);
	/*
	 * b's yield gives a its turn, a's gives it b again, and so on: nobody comes back here
	 * before all of them have ended
	 */
	EXPECT_EQ(rs_uthread_switch(b, NULL), 0);
	EXPECT(!strcmp(order, "bababa"));
	EXPECT_EQ(join(a), 0);
	EXPECT_EQ(rs_uthread_ready(b), -EINVAL);
	EXPECT_EQ(join(b), 1);
	EXPECT_EQ(rs_uthread_ready(c), 0);
	EXPECT_EQ(rs_uthread_ready(c), 0);
	EXPECT_EQ(join(c), 2);
	EXPECT(!strcmp(order, "bababaccc"));
}

static void *sums(void *arg)
{
	uintptr_t n = (uintptr_t)arg;
	struct rs_uthread *u[2];

	if (n < 2)
		return (void *)n;
	for (int i = 0; i < 2; i++)
		u[i] = make(sums, (void *)(n - 1 - i), 0);
	n = (uintptr_t)join(u[1]);
	return (void *)(n + (uintptr_t)join(u[0]));
}

TEST(a_tree_of_them)
{
	EXPECT_EQ(join(make(sums, (void *)12, 0)), 144);
}

static void *knows_its_stack(void *arg)
{
	char here;

	EXPECT((char *)arg < &here && &here < (char *)arg + 8192);
	rs_uthread_yield();
	return NULL;
}

TEST(on_the_callers_memory)
{
	static char memory[3][8192 + 3];
	struct rs_uthread *u[3];

	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 3; i++) {
			struct rs_uthread_attr a = { .stack = memory[i] + i, .size = 8192 };

			ASSERT_EQ(rs_uthread_create(&u[i], knows_its_stack, memory[i] + i, &a), 0);
		}
		for (int i = 0; i < 3; i++)
			EXPECT_EQ(join(u[i]), 0);
		/* what is over is over */
		EXPECT_EQ(rs_uthread_join(u[round], NULL), -EINVAL);
		EXPECT_EQ(rs_uthread_switch(u[round], NULL), -EINVAL);
		EXPECT_EQ(rs_uthread_ready(u[round]), -EINVAL);
	}
}

/* --- what a switch keeps --------------------------------------------------------------------- */

/*
 * Sets all that a call has to keep from @pattern, switches to @to @n times, and looks: the number
 * of the word that was another one, 0 for none. rsp is in it, as rbx and the others come back from
 * it.
 */
asm(".text\n.balign 16\nkeeps_registers:\n"
    "push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
    "push %rdi; push %rsi; push %rdx\n"
    "lea 1(%rsi), %rbx; lea 2(%rsi), %rbp; lea 3(%rsi), %r12; lea 4(%rsi), %r13; lea 5(%rsi), %r14; lea 6(%rsi), %r15\n"
    "1: mov 16(%rsp), %rdi\n call rs_uthread_switch\n test %eax, %eax\n jnz 2f\n"
    "mov 8(%rsp), %rsi\n mov $1, %eax\n"
    "lea 1(%rsi), %rcx; cmp %rcx, %rbx; jne 2f\n inc %eax\n"
    "lea 2(%rsi), %rcx; cmp %rcx, %rbp; jne 2f\n inc %eax\n"
    "lea 3(%rsi), %rcx; cmp %rcx, %r12; jne 2f\n inc %eax\n"
    "lea 4(%rsi), %rcx; cmp %rcx, %r13; jne 2f\n inc %eax\n"
    "lea 5(%rsi), %rcx; cmp %rcx, %r14; jne 2f\n inc %eax\n"
    "lea 6(%rsi), %rcx; cmp %rcx, %r15; jne 2f\n"
    "decq (%rsp)\n jnz 1b\n xor %eax, %eax\n"
    "2: add $24, %rsp\n pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n ret\n");
int keeps_registers(struct rs_uthread *to, uint64_t pattern, uint64_t n);

static uint32_t mxcsr(void)
{
	uint32_t v;

	asm volatile("stmxcsr %0" : "=m"(v));
	return v & 0xffc0;
}

static uint16_t fcw(void)
{
	uint16_t v;

	asm volatile("fnstcw %0" : "=m"(v));
	return v;
}

static struct rs_uthread *first;

static void *keeps_too(void *arg)
{
	/* made under the caller's modes */
	EXPECT_EQ(fegetround(), FE_UPWARD);
	EXPECT_EQ(fesetround(FE_TOWARDZERO), 0);
	asm volatile("fldcw %0" : : "m"((uint16_t){ 0x27f }));
	for (;;) {
		EXPECT_EQ(keeps_registers(first, 0x1111111111111111, 1), 0);
		EXPECT_EQ(mxcsr(), 0x7f80);
		EXPECT_EQ(fcw(), 0x27f);
	}
	return NULL;
}

TEST(registers_and_modes)
{
	struct rs_uthread *u;

	first = rs_uthread_self();
	EXPECT_EQ(fesetround(FE_UPWARD), 0);
	u = make(keeps_too, NULL, RS_UTHREAD_SUSPENDED);
	for (int i = 0; i < 100; i++) {
		EXPECT_EQ(keeps_registers(u, 0x2222222222222222 + i, 50), 0);
		EXPECT_EQ(mxcsr(), 0x5f80);
		EXPECT_EQ(fcw(), 0xb7f);
	}
	fesetround(FE_TONEAREST);
}

/* --- misuse ---------------------------------------------------------------------------------- */

static void *waits_for(void *arg)
{
	return (void *)(long)rs_uthread_join(arg, NULL);
}

static void *nothing(void *arg)
{
	return arg;
}

static void *misuses(void *arg)
{
	struct rs_uthread *self = rs_uthread_self(), *ended = make(nothing, NULL, 0);

	rs_uthread_yield();
	EXPECT_EQ(rs_uthread_join(self, NULL), -EINVAL);
	EXPECT_EQ(rs_uthread_exit(self, NULL), -EINVAL);
	EXPECT_EQ(rs_uthread_exit(ended, NULL), -EINVAL);
	/* the main one waits for this one */
	EXPECT_EQ(rs_uthread_switch(arg, NULL), -EINVAL);
	EXPECT_EQ(rs_uthread_exit(arg, NULL), -EINVAL);
	EXPECT_EQ(rs_uthread_ready(arg), -EINVAL);
	EXPECT_EQ(rs_uthread_join(arg, NULL), -EINVAL);
	EXPECT_EQ(join(ended), 0);
	return (void *)8;
}

TEST(misuse_is_einval)
{
	struct rs_uthread *self = rs_uthread_self(), *u, *v, *w;
	struct rs_uthread_attr small = { .size = 4095 }, bad = { .flags = 2 },
			       none = { .stack = &small },
			       wraps = { .stack = (void *)-8192l, .size = 16384 };
	void *result = (void *)3;

	EXPECT_EQ(rs_uthread_switch(NULL, NULL), -EINVAL);
	EXPECT_EQ(rs_uthread_ready(NULL), -EINVAL);
	EXPECT_EQ(rs_uthread_join(NULL, NULL), -EINVAL);
	EXPECT_EQ(rs_uthread_join(self, NULL), -EINVAL);
	EXPECT_EQ(rs_uthread_exit(NULL, NULL), -EINVAL);
	EXPECT_EQ(rs_uthread_create(&u, NULL, NULL, NULL), -EINVAL);
	EXPECT_EQ(rs_uthread_create(&u, nothing, NULL, &small), -EINVAL);
	EXPECT_EQ(rs_uthread_create(&u, nothing, NULL, &bad), -EINVAL);
	EXPECT_EQ(rs_uthread_create(&u, nothing, NULL, &none), -EINVAL);
	EXPECT_EQ(rs_uthread_create(&u, nothing, NULL, &wraps), -EINVAL);
	small.size = (1ul << 40) + 1;
	EXPECT_EQ(rs_uthread_create(&u, nothing, NULL, &small), -EINVAL);
	EXPECT_EQ(join(make(misuses, self, 0)), 8);
	/* nobody is left who could end it */
	u = make(nothing, (void *)9, RS_UTHREAD_SUSPENDED);
	EXPECT_EQ(rs_uthread_join(u, &result), -EDEADLK);
	EXPECT_EQ(result, 3);
	/* nor after one that waits for it; and one is waited for by one */
	v = make(waits_for, u, 0);
	w = make(waits_for, u, 0);
	EXPECT_EQ(rs_uthread_join(v, NULL), -EDEADLK);
	EXPECT_EQ(rs_uthread_join(u, NULL), -EINVAL);
	EXPECT_EQ(join(w), (uint64_t)-EINVAL);
	EXPECT_EQ(rs_uthread_ready(u), 0);
	EXPECT_EQ(join(v), 0);
}

/* --- overflow -------------------------------------------------------------------------------- */

__attribute__((noinline)) static int deeper(volatile char *below)
{
	volatile char local[512];

	local[0] = below ? *below : 1;
	return local[0] ? deeper(local) + local[0] : 0;
}

static void *overflows(void *arg)
{
	return (void *)(long)deeper(NULL);
}

TEST(an_overflow_meets_the_guard_page)
{
	pid_t pid = CHILD({
		signal(SIGSEGV, SIG_DFL);
		join(make(overflows, NULL, 0));
	});

	DIES(pid, SIGSEGV);
}

static uint64_t fault_addr, fault_cause;

static int ends_it(struct rs_trap_frame *f)
{
	fault_addr = f->addr;
	fault_cause = f->cause;
	f->rip = (uint64_t)rs_uthread_exit;
	f->rdi = 0;
	f->rsi = 55;
	/* a place on its stack that it does not need any more */
	f->rsp = ((f->addr + 32768) & -16ul) - 8;
	return RS_TRAP_RESUME;
}

TEST(a_trap_tells_of_an_overflow)
{
	struct rs_uthread *u;

	NEEDS(RS_APP_UPCALL);
	ASSERT_EQ(rs_trap_stack_alloc(64 << 10), 0);
	ASSERT_EQ(rs_trap_handle(VEC_PF, ends_it, 0), 0);
	u = make(overflows, NULL, 0);
	EXPECT_EQ(join(u), 55);
	EXPECT_EQ(fault_cause, RS_CAUSE_GUARD);
}

/* --- kernel threads, processes --------------------------------------------------------------- */

#define SWITCHES 3000
static struct rs_uthread *foreign;
static pthread_barrier_t meeting;

static void *adds(void *arg)
{
	for (int i = 0; i < SWITCHES; i++) {
		++*(uint64_t *)arg;
		rs_uthread_yield();
	}
	return arg;
}

static void *kernel_thread(void *arg)
{
	struct rs_uthread *u[3];
	uint64_t n = 0;

	if (arg)
		foreign = make(nothing, NULL, RS_UTHREAD_SUSPENDED);
	pthread_barrier_wait(&meeting);
	if (!arg) {
		EXPECT_EQ(rs_uthread_switch(foreign, NULL), -EINVAL);
		EXPECT_EQ(rs_uthread_join(foreign, NULL), -EINVAL);
		EXPECT_EQ(rs_uthread_ready(foreign), -EINVAL);
	}
	for (int i = 0; i < 3; i++)
		u[i] = make(adds, &n, 0);
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(join(u[i]), &n);
	EXPECT_EQ(n, 3 * SWITCHES);
	pthread_barrier_wait(&meeting);
	if (arg) {
		rs_uthread_ready(foreign);
		join(foreign);
	}
	return NULL;
}

TEST(kernel_threads_have_their_own)
{
	pthread_t t[4];

	pthread_barrier_init(&meeting, NULL, 4);
	for (uintptr_t i = 0; i < 4; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, kernel_thread, i == 1 ? &foreign : NULL), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
}

static void *forks(void *arg)
{
	uint64_t *n = arg;
	pid_t pid;

	rs_uthread_yield();
	pid = fork();
	for (int i = 0; i < 10; i++) {
		++*n;
		rs_uthread_yield();
	}
	return (void *)(long)pid;
}

TEST(a_child_has_them_all)
{
	uint64_t n = 0;
	struct rs_uthread *u = make(adds, &n, 0), *v = make(forks, &n, 0);
	pid_t pid = (long)join(v);

	join(u);
	EXPECT_EQ(n, SWITCHES + 10);
	if (!pid)
		test_leave();
	EXITS(pid, 0);
}

/* --- debuggers ------------------------------------------------------------------------------- */

extern char rs_uthread_text[], rs_uthread_text_end[];
static unsigned int unwound;
static uint64_t outermost;

static _Unwind_Reason_Code each_frame(struct _Unwind_Context *c, void *arg)
{
	outermost = _Unwind_GetIP(c) ? _Unwind_GetIP(c) : outermost;
	return ++unwound > 100 ? _URC_NORMAL_STOP : _URC_NO_REASON;
}

__attribute__((noinline)) static void *is_unwound(void *arg)
{
	void *pcs[32];
	size_t n;

	_Unwind_Backtrace(each_frame, NULL);
	rs_uthread_yield();
	n = rs_backtrace(pcs, 32, NULL);
	EXPECT_GE(n, 1);
	EXPECT_LT(n, 8);
	return NULL;
}

TEST(a_backtrace_ends_where_it_begins)
{
	join(make(is_unwound, NULL, 0));
	EXPECT_GE(unwound, 3);
	EXPECT_LT(unwound, 10);
	EXPECT(outermost >= (uint64_t)rs_uthread_text && outermost < (uint64_t)rs_uthread_text_end);
}

/* --- preemption ------------------------------------------------------------------------------ */

#define ROUNDS 8
static volatile uint64_t stop[2], over[2];
static volatile unsigned int preemptions;

static int tick(struct rs_trap_frame *f)
{
	preemptions++;
	return rs_uthread_tick(f);
}

static void preemptible(rs_trap_fn fn)
{
	ASSERT_EQ(rs_trap_stack_alloc(16 << 10), 0);
	ASSERT_EQ(rs_trap_handle(RS_VECTOR_ALARM, fn, fn == tick ? 0 : RS_TRAP_GENERAL_REGS), 0);
	ASSERT_EQ(rs_alarm(1000), 0);
}

/*
 * Neither ever yields; each ends the other's loop. All registers have values that only the alarm's
 * way there and back could change.
 */
static void *never_yields(void *arg)
{
	uintptr_t me = (uintptr_t)arg;
	struct regs want, got;

	for (int i = 0; i < ROUNDS; i++) {
		regs_pattern(&want, 17 * me + i);
		errno = 100 + (int)me;
		stop[me] = 0;
		stop[!me] = 1;
		if (over[!me])
			break;
		regs_hold(&want, &got, &stop[me]);
		EXPECT_EQ(errno, 100 + me);
		regs_compare(&want, &got);
	}
	over[me] = 1;
	stop[!me] = 1;
	return arg;
}

TEST_FOR(preemption_by_the_alarm, 120)
{
	struct rs_uthread *u[2];

	NEEDS(RS_APP_ALARM);
	for (uintptr_t i = 0; i < 2; i++)
		u[i] = make(never_yields, (void *)i, 0);
	preemptible(rs_uthread_tick);
	for (uintptr_t i = 0; i < 2; i++)
		EXPECT_EQ(join(u[i]), i);
	ASSERT_EQ(rs_alarm(0), 0);
}

/* Switching, yielding, making and ending all the while, with alarms in the middle of it. */
static void *is_busy(void *arg)
{
	uint64_t n = (uintptr_t)arg, sum = 0;

	while (preemptions < 60) {
		struct rs_uthread *u;

		rs_uthread_hold();	/* what makes a stack is the C library's */
		u = make(nothing, (void *)n, n & 1 ? RS_UTHREAD_SUSPENDED : 0);
		rs_uthread_release();
		if (n & 1)
			EXPECT_EQ(rs_uthread_ready(u), 0);
		rs_uthread_yield();
		rs_uthread_hold();
		EXPECT_EQ(join(u), n);
		rs_uthread_release();
		for (int i = 0; i < 1000; i++) {
			asm volatile("" : "+r"(i), "+r"(sum));
			sum += n;
		}
		EXPECT_EQ(sum, n * 1000);
		sum = 0;
		n++;
	}
	return arg;
}

TEST_FOR(preemption_in_the_middle_of_everything, 120)
{
	struct rs_uthread *u[4];

	NEEDS(RS_APP_ALARM);
	for (uintptr_t i = 0; i < 4; i++)
		u[i] = make(is_busy, (void *)(i * 1000), 0);
	preemptible(tick);
	for (uintptr_t i = 0; i < 4; i++)
		EXPECT_EQ(join(u[i]), i * 1000);
	ASSERT_EQ(rs_alarm(0), 0);
	EXPECT_GE(preemptions, 60);
}

/* Held, it is not preempted however often the alarm comes. */
static volatile int other_ran;

static void *runs(void *arg)
{
	other_ran = 1;
	return NULL;
}

TEST_FOR(who_is_held_goes_on, 120)
{
	struct rs_uthread *u;

	NEEDS(RS_APP_ALARM);
	preemptible(tick);
	rs_uthread_hold();
	rs_uthread_hold();
	rs_uthread_release();
	u = make(runs, NULL, 0);
	preemptions = 0;
	while (preemptions < 5)
		;
	EXPECT_EQ(other_ran, 0);
	rs_uthread_release();
	while (!other_ran)
		;
	rs_alarm(0);
	EXPECT_EQ(join(u), 0);
}
