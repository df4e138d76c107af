// SPDX-License-Identifier: MIT
/*
 * hostile_test.c - guests that do their worst
 *
 * Nothing here has one right outcome for the guest. What must hold each time: the run ends (with an
 * exit, or by the signal sent), another VM of the same process is unharmed, and the vCPU works
 * again after RS_SET_STATE. That the host survives is seen by the kernel's log, which vm/run reads.
 * Random tests take their seed from the environment variable SEED (default 1) and print it when
 * they fail.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "testvm.h"

struct pair {
	struct tvm *vm, *other;
	struct tcpu *c, *witness;
};

static struct pair pair_new(uint32_t flags)
{
	struct pair p;

	p.vm = tvm_new(flags);
	p.c = tcpu_new(p.vm, 0);
	p.other = tvm_new(0);
	p.witness = tcpu_new(p.other, 0);
	*tvm_at(p.other, G_SCRATCH) = 0x0ddba11;
	tcpu_call(p.witness, G_NULL);
	return p;
}

/* The neighbour is well, and so is this vCPU once it has state again. */
static void still_alive(struct pair *p)
{
	EXPECT_EQ(tcpu_call(p->witness, G_LOAD, G_SCRATCH), 0x0ddba11);
	EXPECT_EQ(p->witness->args->vector, G_NO_VECTOR);
}

static void works_again(struct pair *p)
{
	still_alive(p);
	tvm_refill(p->vm);	/* it may have written anywhere in its own memory */
	EXPECT_EQ(tcpu_call(p->c, G_EXIT_DELTA, 1), 2);
}

static uint64_t rnd_state;

static uint64_t rnd(void)
{
	rnd_state ^= rnd_state >> 12;
	rnd_state ^= rnd_state << 25;
	rnd_state ^= rnd_state >> 27;
	return rnd_state * 0x2545f4914f6cdd1dull;
}

static void rnd_init(void)
{
	const char *seed = getenv("SEED");

	rnd_state = seed ? strtoul(seed, NULL, 0) : 1;
	test_note("SEED=%lu", rnd_state);
	rnd_state = rnd_state * 0x9e3779b97f4a7c15ull + 1;
	rnd();
}

/*
 * A run of a guest that may loop for ever: SIGALRM takes the vCPU out of it. Returns the exit reason, -1 for the signal. A guest that must
 * end by itself is run by run_to_its_end(): a second may pass on a busy host without a guest's having done anything, and one that does
 * not end meets the test's time limit.
 */
static void on_alarm(int sig)
{
	tcpu_stop = 1;
}

static int run_bounded(struct tcpu *c, long ms)
{
	static timer_t timer;
	static bool made;
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM };
	struct itimerspec its = { .it_value = { ms / 1000, ms % 1000 * 1000000 } };
	struct sigaction sa = { .sa_handler = on_alarm };
	int ret;

	if (!made) {
		sigaction(SIGALRM, &sa, NULL);
		SYS(timer_create(CLOCK_MONOTONIC, &ev, &timer));
		made = true;
	}
	tcpu_stop = 0;
	/* again after a while: the first may come before the run has begun */
	its.it_interval = its.it_value;
	SYS(timer_settime(timer, 0, &its, NULL));
	ret = tcpu_run_raw(c);
	its = (struct itimerspec){ 0 };
	SYS(timer_settime(timer, 0, &its, NULL));
	/* meant for this run only: the next one must survive an EINTR that a reschedule causes */
	tcpu_stop = 0;
	if (ret < 0 && errno != EINTR)
		FAIL("RS_RUN: %s", strerror(errno));
	return ret;
}

static int run_to_its_end(struct tcpu *c)
{
	int got;

	do
		got = run_bounded(c, 1000);
	while (got < 0);
	return got;
}

/* --- one thing at a time ------------------------------------------------ */

TEST(wild_cr3)
{
	struct pair p = pair_new(0);
	uint64_t top = 1ull << p.vm->info.gpa_bits;
	const uint64_t cr3[] = { 0, PAGE, G_SCRATCH, G_CODE, G_ARENA - PAGE, G_ARENA, 1ull << 32,
				top - PAGE, G_PML4 | 0x18 };

	for (unsigned int i = 0; i < sizeof(cr3) / sizeof(*cr3); i++) {
		struct rs_vcpu_state st;

		/* from the start ... */
		tcpu_start(p.c, G_NULL);
		tcpu_state(p.c, &st);
		st.cr3 = cr3[i];
		SYS(ioctl(p.c->fd, RS_SET_STATE, &st));
		EXPECT_NE(run_bounded(p.c, 500), RS_EXIT_KICK);
		/* ... and by the guest itself, also with bits no address has */
		tcpu_start(p.c, G_STEAL, 4, cr3[i]);
		run_bounded(p.c, 500);
		tcpu_start(p.c, G_STEAL, 4, cr3[i] | 1ull << 51);
		run_bounded(p.c, 500);
		works_again(&p);
	}
}

TEST(reserved_bits_in_tables)
{
	struct pair p = pair_new(0);
	volatile uint64_t *slots[] = {
		tvm_at(p.vm, G_PML4), tvm_at(p.vm, G_PDPT), tvm_at(p.vm, G_PD),
		tvm_pte(p.vm, G_CODE), tvm_pte(p.vm, G_SCRATCH),
	};

	for (unsigned int s = 0; s < 5; s++)
		for (int bit = 0; bit < 64; bit++) {
			uint64_t old = *slots[s];

			*slots[s] = old ^ 1ull << bit;
			tcpu_start(p.c, G_LOAD, G_SCRATCH);
			run_bounded(p.c, 500);
			*slots[s] = old;
			if (bit % 16 == 0)
				works_again(&p);
		}
	works_again(&p);
}

/* Tables that point to themselves, to the code, to nothing. */
TEST(recursive_tables)
{
	struct pair p = pair_new(0);

	for (int i = 0; i < 3; i++) {
		*tvm_at(p.vm, G_PML4) = G_PML4 | 7;
		if (i == 1)
			*tvm_at(p.vm, G_PML4) = G_CODE | 7;
		if (i == 2)
			*tvm_at(p.vm, G_PML4) = (G_ARENA * 5) | 7;
		tcpu_start(p.c, G_NULL);
		run_bounded(p.c, 500);
		*tvm_at(p.vm, G_PML4) = G_PDPT | 7;
		works_again(&p);
	}
}

TEST(triple_faults)
{
	struct pair p = pair_new(0);

	for (int i = 0; i < 50; i++) {
		tcpu_start(p.c, G_TRIPLE_FAULT);
		tcpu_run_to(p.c, RS_EXIT_SHUTDOWN);
	}
	works_again(&p);
}

TEST(wild_descriptor_tables)
{
	struct pair p = pair_new(0);

	for (uint64_t how = 0; how < 4; how++) {
		tcpu_start(p.c, G_STEAL, how);
		run_bounded(p.c, 500);
		works_again(&p);
	}
}

/* Endless deliveries: an exception handler that faults by what it is entered with, for ever. */
TEST(endless_delivery)
{
	struct pair p = pair_new(0);
	/*
	 * lidt to a table in scratch whose #DB, #AC, #PF, #UD gates all lead back to the
	 * instruction that faults
	 */
	uint8_t *code = p.vm->mem + G_SCRATCH;
	uint8_t *idt = p.vm->mem + G_SCRATCH + PAGE;
	const uint8_t go[] = {
		0x0f, 0x01, 0x1c, 0x25, 0x00, 0x30, 0x40, 0x00,		/* lidt 0x403000 */
		0xfb,							/* sti */
		0x0f, 0x0b,						/* ud2 */
	};

	memcpy(code, go, sizeof(go));
	memcpy(p.vm->mem + G_SCRATCH + 3 * PAGE, &(uint16_t){ 0xfff }, 2);
	*(uint64_t *)(p.vm->mem + G_SCRATCH + 3 * PAGE + 2) = G_SCRATCH + PAGE;
	for (int v = 0; v < 32; v++) {
		uint64_t to = G_SCRATCH + 8;

		/* trap gates, so that interrupts stay on */
		*(uint64_t *)(idt + v * 16) = (to & 0xffff) | 0x10ul << 16 | 0x8ful << 40 |
					      (to >> 16) << 48;
		*(uint64_t *)(idt + v * 16 + 8) = 0;
	}
	tcpu_start(p.c, G_CALL, G_SCRATCH);
	run_bounded(p.c, 1000);
	works_again(&p);
}

TEST(endless_loops)
{
	struct pair p = pair_new(0);

	tcpu_start(p.c, G_SPIN, G_SCRATCH);
	EXPECT_EQ(run_bounded(p.c, 300), -1);
	{
		uint64_t code = tcpu_call(p.c, G_USER_CODE, GU_LOOP);

		tcpu_start(p.c, G_USER, code);
		EXPECT_EQ(run_bounded(p.c, 300), -1);
	}
	works_again(&p);
}

/* An interrupt vector that the guest has no gate for, into every state. */
TEST(interrupts_without_a_gate)
{
	struct pair p = pair_new(0);

	for (unsigned int v = 32; v < 256; v += 13) {
		tcpu_start(p.c, G_NULL);
		p.c->run->irq_vector = v;
		run_bounded(p.c, 500);
		p.c->run->irq_vector = 0;
	}
	works_again(&p);
}

/* --- the host process as the attacker ----------------------------------- */

/* The run page is written while the vCPU runs. */
static volatile bool scribble_over;

static void *scribble(void *arg)
{
	volatile uint64_t *page = arg;
	uint64_t s = 1;

	while (!scribble_over) {
		s = s * 6364136223846793005ull + 1442695040888963407ull;
		page[s >> 33 & 511] = s;
	}
	return NULL;
}

TEST(run_page_is_scribbled_on)
{
	struct pair p = pair_new(0);
	pthread_t t;

	tcpu_start(p.c, G_SYNCS, ~0ull);
	scribble_over = false;
	ASSERT_EQ(pthread_create(&t, NULL, scribble, p.c->run), 0);
	for (unsigned int i = 0; i < test_rounds(3000); i++) {
		if (ioctl(p.c->fd, RS_RUN, 0) && errno == EIO)
			tcpu_start(p.c, G_SYNCS, ~0ull);
	}
	scribble_over = true;
	pthread_join(t, NULL);
	memset(p.c->run, 0, PAGE);
	works_again(&p);
}

/* RS_SET_STATE with random words: refused, or run and bounded. */
TEST_FOR(random_state, 180)
{
	struct pair p = pair_new(0);
	unsigned int taken = 0, refused = 0;

	rnd_init();
	for (unsigned int i = 0; i < test_rounds(1500); i++) {
		struct rs_vcpu_state st;
		uint64_t *w = (uint64_t *)&st;

		tcpu_start(p.c, G_SYNCS, 3);
		tcpu_state(p.c, &st);
		for (unsigned int n = rnd() % 4 + 1; n; n--) {
			uint64_t v = rnd();

			/* numbers near the edges, single bits, and anything */
			switch (rnd() % 4) {
			case 0:
				v = 1ull << (v & 63);
				break;
			case 1:
				v = -(v & 0xfff);
				break;
			case 2:
				v &= G_ARENA - 1;
				break;
			}
			if (rnd() & 1)
				v ^= w[v % (sizeof(st) / 8)];
			w[rnd() % (sizeof(st) / 8)] = v;
		}
		/*
		 * one machine cannot interrupt a guest that starts with IF clear and loops; see
		 * VM-FACTS
		 */
		st.rflags |= 0x200;
		if (ioctl(p.c->fd, RS_SET_STATE, &st)) {
			EXPECT_EQ(errno, EINVAL);
			refused++;
			continue;
		}
		taken++;
		run_bounded(p.c, 200);
		if (i % 100 == 0)
			works_again(&p);
	}
	test_note("%u states taken, %u refused", taken, refused);
	EXPECT_GT(taken, 0);
	EXPECT_GT(refused, 0);
	works_again(&p);
}

/* --- random guests ------------------------------------------------------ */

TEST_FOR(random_hypercalls, 180)
{
	struct pair p = pair_new(0);

	rnd_init();
	for (int i = 0; i < 20; i++) {
		int got;

		tcpu_start(p.c, G_FUZZ_HC, rnd(), 300);
		while ((got = run_to_its_end(p.c)) == RS_EXIT_HYPERCALL &&
		       p.c->run->hypercall.nr != GHC_DONE) {
			EXPECT_GE(p.c->run->hypercall.nr, RS_HC_USER);
			p.c->run->hypercall.ret = rnd();
		}
		EXPECT_EQ(got, RS_EXIT_HYPERCALL);
		still_alive(&p);
	}
	works_again(&p);
}

TEST_FOR(random_privileged_accesses, 180)
{
	struct pair p = pair_new(0);

	rnd_init();
	for (int i = 0; i < 20; i++) {
		tcpu_start(p.c, G_FUZZ_REGS, rnd(), 300);
		/*
		 * an access may have broken the payload's own state; the run must end in any case
		 */
		run_bounded(p.c, 3000);
		still_alive(&p);
	}
	works_again(&p);
}

/* Random bytes as code, in ring 0 and ring 3. */
TEST_FOR(random_code, 300)
{
	struct pair p = pair_new(0);
	uint8_t code[64];

	rnd_init();
	for (unsigned int i = 0; i < test_rounds(400); i++) {
		uint64_t keep = *tvm_at(p.vm, G_PML4);

		for (unsigned int k = 0; k < sizeof(code); k += 8)
			*(uint64_t *)(code + k) = rnd();
		/* many of the interesting instructions begin with 0f or 0f 01 */
		if (i & 1)
			code[0] = 0x0f;
		if ((i & 3) == 3)
			code[1] = 0x01;
		memcpy(p.vm->mem + G_SCRATCH, code, sizeof(code));
		if (i & 4)
			tcpu_start(p.c, G_USER, G_SCRATCH, rnd());
		else
			tcpu_start(p.c, G_CALL, G_SCRATCH);
		run_bounded(p.c, 200);
		still_alive(&p);
		/* the code had the payload's memory at its mercy: a new guest now and then */
		if (*tvm_at(p.vm, G_PML4) != keep || i % 50 == 49) {
			tcpu_close(p.c);
			tvm_close(p.vm);
			p.vm = tvm_new(0);
			p.c = tcpu_new(p.vm, 0);
		}
	}
	still_alive(&p);
}

/* Page tables changed by the guest while it uses them, with the flushes a kernel would do. */
TEST_FOR(tables_churn, 120)
{
	struct pair p = pair_new(0);
	struct rs_stats a, b;

	tcpu_call(p.c, G_CHURN, G_SCRATCH, 10);
	a = tcpu_stats(p.c);
	EXPECT_EQ(tcpu_call(p.c, G_CHURN, G_SCRATCH, 5000), 0);
	b = tcpu_stats(p.c);
	EXPECT_EQ(p.c->args->vector, G_NO_VECTOR);
	/* its page tables are its own business: no exit for them */
	EXPECT_EQ(b.exit_npf, a.exit_npf);
	EXPECT_LE(b.exit_hypercall - a.exit_hypercall, 1);
	works_again(&p);
}

/* Page tables changed by the host's side, at random, while the vCPU runs. */
static void *table_scribbler(void *arg)
{
	struct tvm *vm = arg;
	uint64_t s = 7;

	while (!scribble_over) {
		volatile uint64_t *e;
		uint64_t old;

		s = s * 6364136223846793005ull + 1442695040888963407ull;
		e = tvm_at(vm, G_TABLES + (s >> 40) % (G_PT - G_TABLES + 8 * PAGE) / 8 * 8);
		old = *e;
		*e = s;
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		*e = old;
	}
	return NULL;
}

TEST_FOR(tables_scribbled_on, 180)
{
	struct pair p = pair_new(0);
	pthread_t t;

	scribble_over = false;
	ASSERT_EQ(pthread_create(&t, NULL, table_scribbler, p.vm), 0);
	for (unsigned int i = 0; i < test_rounds(150); i++) {
		tcpu_start(p.c, G_LOAD, G_SCRATCH + (i % 64) * PAGE);
		run_bounded(p.c, 300);
		if (i % 20 == 0)
			still_alive(&p);
	}
	scribble_over = true;
	pthread_join(t, NULL);
	works_again(&p);
}

/* Regions come and go under the running guest. */
static void *region_flipper(void *arg)
{
	struct tvm *vm = arg;
	uint8_t *mem = map_aligned(HUGE);

	while (!scribble_over) {
		tvm_region_raw(vm, 1ul << 33, HUGE, mem, 0);
		tvm_unregion_raw(vm, 1ul << 33, HUGE);
		tvm_region_raw(vm, 1ul << 33, PAGE, mem + PAGE, RS_REGION_READONLY);
		tvm_unregion_raw(vm, 1ul << 33, PAGE);
		tvm_region_raw(vm, 1ul << 33, PAGE, NULL, RS_REGION_MMIO);
		tvm_unregion_raw(vm, 1ul << 33, PAGE);
	}
	return NULL;
}

TEST_FOR(regions_flip, 120)
{
	struct pair p = pair_new(0);
	pthread_t t;

	*tvm_pte(p.vm, G_SCRATCH) = (1ul << 33) | 7;
	scribble_over = false;
	ASSERT_EQ(pthread_create(&t, NULL, region_flipper, p.vm), 0);
	for (unsigned int i = 0; i < test_rounds(500); i++) {
		int got;

		tcpu_start(p.c, G_STORE, G_SCRATCH, i);
		got = run_to_its_end(p.c);
		if (got != RS_EXIT_HYPERCALL && got != RS_EXIT_MEMORY_FAULT && got != RS_EXIT_MMIO)
			FAIL("exit %d", got);
	}
	scribble_over = true;
	pthread_join(t, NULL);
	works_again(&p);
}
