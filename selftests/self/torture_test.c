// SPDX-License-Identifier: MIT
/*
 * torture_test.c - every register survives what may happen to a program inside, in any order
 *
 * A step loads all general registers, the flags, the red zone and all of x87, SSE, AVX and AVX-512 that the machine has with random content,
 * lets something happen - a system call, a fault with its handler, a page that comes, a signal, rs_enter() or rs_leave() - and compares
 * everything with what must be there. Handlers use every register for something else, and change some of the interrupted ones by their
 * context or frame, which must be seen. Several threads do it at once while a timer's signal comes whenever it comes.
 *
 * The same runs natively first, as in all of these: what is expected is what Linux does. RS_TORTURE=N: as many steps.
 */
#include <cpuid.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>
#include "self.h"
#include "torture.h"

#define PAGE		4096ul
#define THREADS		2
#define STEPS		1500		/* of each thread, but for RS_TORTURE */
#define X_SIZE		4096		/* no less than XSAVE's area for what is used of it */
#define CHANGE		0x1122334455667788ul	/* what handlers do to the interrupted r12 and, by Linux's frame, xmm0 */
#define FLAGS		0x200cd5ul	/* CF PF AF ZF SF DF OF ID; IF is set always */

/* The parts of the vector state: where in XSAVE's area. */
struct part {
	uint32_t at, size;
};

static struct {
	struct part parts[8];
	unsigned int nparts;
	uint64_t x_mask;
	uint32_t mxcsr_mask;
	int avx;
	enum where where;
	bool handlers;
	uint64_t alarms;
	int wrong;			/* steps with a difference: a few say enough */
} t;

/* Of one thread. */
struct victim {
	struct step step;
	uint64_t seed, steps, counts[32];
	uint8_t *closed, *readonly, *dropped;	/* pages */
	volatile uint64_t *word;		/* what the signal writes that is waited for */
	bool inside, changed;			/* the handler of a signal did change registers */
	int toggled;
	pid_t tid;
	pthread_t thread;
};
static __thread struct victim *self;

static uint64_t rnd(struct victim *v)
{
	v->seed ^= v->seed << 13;
	v->seed ^= v->seed >> 7;
	v->seed ^= v->seed << 17;
	return v->seed * 0x2545f4914f6cdd1d;
}

/* --- what the machine has ----------------------------------------------- */

static uint64_t xgetbv(void)
{
	uint32_t lo, hi;

	asm volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	return lo | (uint64_t)hi << 32;
}

static void add_part(uint32_t at, uint32_t size)
{
	ASSERT(t.nparts < 8 && at + size <= X_SIZE);
	t.parts[t.nparts++] = (struct part){ at, size };
}

static void machine(void)
{
	static uint8_t area[512] __attribute__((aligned(64)));
	uint32_t a, b, c, d;

	asm volatile("fxsave64 %0" : "=m"(area));
	memcpy(&t.mxcsr_mask, area + 28, 4);
	if (!t.mxcsr_mask)
		t.mxcsr_mask = 0xffbf;
	add_part(160, 256);	/* xmm */
	__cpuid(1, a, b, c, d);
	if (!(c & bit_OSXSAVE))
		return;
	t.x_mask = xgetbv() & 0xe7;	/* not MPX, not PKRU: that is no register of computing */
	for (int i = 2; i < 8; i++)
		if (t.x_mask >> i & 1) {
			__cpuid_count(0xd, i, a, b, c, d);
			add_part(b, a);
		}
	t.avx = t.x_mask >> 2 & 1;
}

/* --- handlers ----------------------------------------------------------- */

static void change_by_context(ucontext_t *uc)
{
	uc->uc_mcontext.gregs[REG_R12] ^= CHANGE;
	uc->uc_mcontext.fpregs->_xmm[0].element[1] ^= (uint32_t)CHANGE;
}

static int length_of(int sig, uint64_t rip)
{
	if (sig == SIGTRAP)
		return 0;
	if (rip == (uint64_t)torture_load || rip == (uint64_t)torture_store)
		return LEN_LOAD;
	return rip == (uint64_t)torture_ud2 ? LEN_UD2 : rip == (uint64_t)torture_div ? LEN_DIV : -1;
}

static void on_fault_signal(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	int len = length_of(sig, uc->uc_mcontext.gregs[REG_RIP]);

	if (len < 0) {
		/* not ours: the test dies of it */
		signal(sig, SIG_DFL);
		return;
	}
	uc->uc_mcontext.gregs[REG_RIP] += len;
	change_by_context(uc);
	torture_clobber(t.avx);
}

static void on_fault_frame(struct rs_trap_frame *f)
{
	static const int sig[] = { [0] = SIGFPE, [3] = SIGTRAP, [6] = SIGILL, [14] = SIGSEGV };
	int len = length_of(sig[f->vector], f->rip);

	if (len < 0) {
		f->cause = RS_CAUSE_SIGNAL;
		return;
	}
	f->rip += len;
	f->r12 ^= CHANGE;
	torture_clobber(t.avx);
}

static void on_alarm(int sig)
{
	__atomic_fetch_add(&t.alarms, 1, __ATOMIC_RELAXED);
	torture_clobber(t.avx);
}

/* It may come before the step that waits for it: then there is nothing to change. */
static void on_sent(int sig, siginfo_t *info, void *context)
{
	uint64_t rip = ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];

	self->changed = rip == (uint64_t)torture_syscall + LEN_SYSCALL || (rip >= (uint64_t)torture_wait && rip < (uint64_t)torture_call);
	if (self->changed)
		change_by_context(context);
	*self->word = 77;
	torture_clobber(t.avx);
}

/* --- events ------------------------------------------------------------- */

enum event { NOTHING, SYSCALL, BAD_SYSCALL, LOAD_CLOSED, STORE_READONLY, UD2, INT3, DIV, TOUCH, SELF_SIGNAL, WAITED_SIGNAL, ENTER_LEAVE, CHUNK,
	     EVENTS };
static const char *const names[EVENTS] = { "nothing", "system call", "unknown call", "load of a closed page", "store to a read-only page", "ud2",
	"int3", "division by 0", "page that was dropped", "signal to itself", "signal while waiting", "enter or leave", "part of 1 GiB" };
/* How often, in thousandths; the rest is system calls. */
static const int shares[EVENTS] = { [NOTHING] = 50, [BAD_SYSCALL] = 50, [LOAD_CLOSED] = 120, [STORE_READONLY] = 120, [UD2] = 80, [INT3] = 80,
	[DIV] = 80, [TOUCH] = 100, [SELF_SIGNAL] = 80, [WAITED_SIGNAL] = 10, [ENTER_LEAVE] = 60, [CHUNK] = 3 };

static enum event pick(struct victim *v)
{
	int at = rnd(v) % 1000;

	for (int i = 0; i < EVENTS; i++) {
		if (at < shares[i])
			return i;
		at -= shares[i];
	}
	return SYSCALL;
}

static void toggle(void)
{
	struct victim *v = self;

	if (t.where == NATIVE) {
		v->toggled = 0;
		return;
	}
	v->toggled = v->inside ? rs_leave() : rs_enter(t.where == RING0 ? RS_ENTER_RING0 : 0);
	if (!v->toggled)
		v->inside = !v->inside;
}

/* Sends the signal that a victim waits for, when it waits. */
static struct victim *volatile waiting;
static volatile bool stop;

static void *sender(void *unused)
{
	while (!stop) {
		struct victim *v = __atomic_exchange_n(&waiting, NULL, __ATOMIC_SEQ_CST);

		if (v)
			syscall(SYS_tgkill, getpid(), v->tid, SIGUSR2);
		else
			usleep(100);
	}
	return NULL;
}

/* --- a step ------------------------------------------------------------- */

static void fill(struct victim *v)
{
	struct step *s = &v->step;
	uint8_t *x = s->x_want;

	for (int i = 0; i < REGS; i++)
		s->want[i] = rnd(v);
	for (int i = 0; i < 16; i++)
		s->red_want[i] = rnd(v);
	s->want_flags = (rnd(v) & FLAGS) | 0x202;
	for (unsigned int i = 0; i < t.nparts; i++)
		for (unsigned int j = 0; j < t.parts[i].size; j += 8)
			*(uint64_t *)(x + t.parts[i].at + j) = rnd(v);
	/* x87: no exception is pending, none will be; some registers are in use. MXCSR: the same. */
	*(uint16_t *)x = 0x37f | (rnd(v) & 0xc00);
	*(uint16_t *)(x + 2) = rnd(v) & 0x7f00;
	*(uint16_t *)(x + 4) = 1u << (rnd(v) & 7) | (rnd(v) & 0xff);
	*(uint16_t *)(x + 6) = 0;
	*(uint32_t *)(x + 24) = 0x1f80 | (rnd(v) & t.mxcsr_mask & 0xe07f);
	for (int i = 0; i < 8; i++) {
		*(uint64_t *)(x + 32 + 16 * i) = rnd(v);
		*(uint64_t *)(x + 40 + 16 * i) = rnd(v) & 0xffff;
	}
	*(uint64_t *)(x + 512) = t.x_mask;
	memset(s->x_got, 0, X_SIZE);
}

static bool prepare(struct victim *v, enum event e)
{
	struct step *s = &v->step;

	s->event = torture_nothing;
	switch (e) {
	case SYSCALL:
		s->event = torture_syscall;
		s->want[RAX] = SYS_getppid;
		break;
	case BAD_SYSCALL:
		s->event = torture_syscall;
		s->want[RAX] = 4000 + rnd(v) % 100000;
		break;
	case LOAD_CLOSED:
		s->event = torture_load;
		s->want[RSI] = (uint64_t)v->closed + rnd(v) % (PAGE - 8);
		break;
	case STORE_READONLY:
		s->event = torture_store;
		s->want[RSI] = (uint64_t)v->readonly + rnd(v) % (PAGE - 8);
		break;
	case UD2:
		s->event = torture_ud2;
		break;
	case INT3:
		s->event = torture_int3;
		break;
	case DIV:
		s->event = torture_div;
		s->want[RSI] = 0;
		break;
	case TOUCH:
		SYS(madvise(v->dropped, PAGE, MADV_DONTNEED));
		s->event = rnd(v) & 1 ? torture_load : torture_store;
		s->want[RSI] = (uint64_t)v->dropped + rnd(v) % (PAGE - 8);
		break;
	case CHUNK: {
		/* where nothing is near, in the part of the address space that Linux gives to nobody by itself */
		uint64_t at = (1ul << 44) + ((rnd(v) % 4096) << 30);
		void *p = mmap((void *)at, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

		if (p == MAP_FAILED)	/* another thread is there */
			return false;
		s->event = torture_load;
		s->want[RSI] = at;
		break;
	}
	case SELF_SIGNAL:
		s->event = torture_syscall;
		s->want[RAX] = SYS_tgkill;
		s->want[RDI] = getpid();
		s->want[RSI] = v->tid;
		s->want[RDX] = SIGUSR2;
		break;
	case WAITED_SIGNAL:
		*v->word = 0;
		v->changed = false;
		s->event = torture_wait;
		s->want[RSI] = (uint64_t)v->word;
		while (!__sync_bool_compare_and_swap(&waiting, NULL, v))
			usleep(100);
		break;
	case ENTER_LEAVE:
		s->event = torture_call;
		s->call = toggle;
		s->want_flags &= ~0x400ul;
		break;
	default:
		break;
	}
	return true;
}

/* How the handler of an event changed what it interrupted: bit 0 r12, bit 1 xmm0. */
static int changed(const struct victim *v, enum event e)
{
	switch (e) {
	case LOAD_CLOSED: case STORE_READONLY: case UD2: case INT3: case DIV:
		return t.handlers && v->inside ? 1 : 3;
	case SELF_SIGNAL:
		return 3;
	case WAITED_SIGNAL:
		return v->changed ? 3 : 0;
	default:
		return 0;
	}
}

static void differs(struct victim *v, enum event e, const char *what, int n, uint64_t got, uint64_t want)
{
	__atomic_fetch_add(&t.wrong, 1, __ATOMIC_RELAXED);
	FAIL("%s: step %lu, %s: %s %d is %#lx, not %#lx", where_name(v->inside ? t.where : NATIVE), v->steps, names[e], what, n, got, want);
}

static void compare_vectors(struct victim *v, enum event e)
{
	const uint8_t *got = v->step.x_got, *want = v->step.x_want;

	for (unsigned int i = 0; i < t.nparts; i++)
		for (unsigned int j = t.parts[i].at; j < t.parts[i].at + t.parts[i].size; j += 8)
			if (*(uint64_t *)(got + j) != *(uint64_t *)(want + j))
				differs(v, e, "vector state at", j, *(uint64_t *)(got + j), *(uint64_t *)(want + j));
	for (int i = 0; i < 8; i++)
		if (memcmp(got + 32 + 16 * i, want + 32 + 16 * i, 10))
			differs(v, e, "x87 register", i, *(uint64_t *)(got + 32 + 16 * i), *(uint64_t *)(want + 32 + 16 * i));
	if (*(uint16_t *)(got + 2) != *(uint16_t *)(want + 2))
		differs(v, e, "x87 status", 0, *(uint16_t *)(got + 2), *(uint16_t *)(want + 2));
	if (got[4] != want[4])
		differs(v, e, "x87 tags", 0, got[4], want[4]);
}

static void compare(struct victim *v, enum event e)
{
	static const uint32_t kept = 1u << RBX | 1u << RBP | 1u << R12 | 1u << R13 | 1u << R14 | 1u << R15;
	struct step *s = &v->step;
	uint32_t look = (1u << REGS) - 1 - (1u << NO_REG);
	int change = changed(v, e);

	if (s->event == torture_syscall) {
		look &= ~(1u << RCX | 1u << R11);
		s->want[RAX] = e == SYSCALL ? getppid() : e == SELF_SIGNAL ? 0 : -ENOSYS;
	}
	if ((e == TOUCH && s->event == torture_load) || e == CHUNK)
		s->want[RBX] = 0;
	if (e == WAITED_SIGNAL)
		s->want[RCX] = 77;
	if (e == DIV)	/* the flags after a division are undefined, also when there was none */
		s->got_flags = s->want_flags;
	if (change & 1)
		s->want[R12] ^= CHANGE;
	if (change & 2)
		*(uint32_t *)(s->x_want + 164) ^= (uint32_t)CHANGE;
	if (e == ENTER_LEAVE) {
		look = kept;
		if (v->toggled)
			differs(v, e, "result", 0, v->toggled, 0);
	}
	for (int i = 0; i < REGS; i++)
		if (look >> i & 1 && s->got[i] != s->want[i])
			differs(v, e, "register", i, s->got[i], s->want[i]);
	if (*(uint16_t *)s->x_got != *(uint16_t *)s->x_want)
		differs(v, e, "x87 control", 0, *(uint16_t *)s->x_got, *(uint16_t *)s->x_want);
	/* a function may raise flags of exceptions, not change what is asked for */
	if ((*(uint32_t *)(s->x_got + 24) ^ *(uint32_t *)(s->x_want + 24)) & (e == ENTER_LEAVE ? 0xffc0 : ~0u))
		differs(v, e, "MXCSR", 0, *(uint32_t *)(s->x_got + 24), *(uint32_t *)(s->x_want + 24));
	if (e == ENTER_LEAVE) {
		if (s->got_flags & 0x400)
			differs(v, e, "flags", 0, s->got_flags, s->want_flags);
		return;
	}
	if (s->got_flags != s->want_flags)
		differs(v, e, "flags", 0, s->got_flags, s->want_flags);
	for (int i = 0; i < 16; i++)
		if (s->red_got[i] != s->red_want[i])
			differs(v, e, "red zone", i, s->red_got[i], s->red_want[i]);
	compare_vectors(v, e);
}

static uint8_t *map(size_t len, int prot)
{
	void *p = mmap(NULL, len, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT(p != MAP_FAILED);
	return p;
}

static unsigned long steps_wanted(void)
{
	const char *s = getenv("RS_TORTURE");

	return s ? strtoul(s, NULL, 10) : test_rounds(STEPS);
}

static void *suffer(void *arg)
{
	struct victim *v = arg;
	unsigned long n = steps_wanted(), gs;

	self = v;
	v->tid = gettid();
	v->step.x_want = map(X_SIZE, PROT_READ | PROT_WRITE);
	v->step.x_got = map(X_SIZE, PROT_READ | PROT_WRITE);
	v->step.x_mask = t.x_mask;
	v->closed = map(PAGE, PROT_NONE);
	v->readonly = map(PAGE, PROT_READ);
	v->dropped = map(PAGE, PROT_READ | PROT_WRITE);
	v->word = (void *)map(PAGE, PROT_READ | PROT_WRITE);
	SYS(syscall(SYS_arch_prctl, 0x1001, (unsigned long)v));	/* ARCH_SET_GS */
	go_inside(t.where, 0);
	v->inside = t.where != NATIVE;
	for (v->steps = 0; v->steps < n && t.wrong < 12; v->steps++) {
		enum event e = pick(v);

		fill(v);
		if (!prepare(v, e))
			continue;
		v->counts[e]++;
		torture_step(&v->step);
		compare(v, e);
		if (e == CHUNK)
			SYS(munmap((void *)v->step.want[RSI], PAGE));
		if (self != v)	/* TLS: FS */
			abort();
		asm volatile("mov %%gs:(%1), %0" : "=r"(gs) : "r"(offsetof(struct victim, seed)) : "memory");
		if (gs != v->seed)
			FAIL("%s: GS is not what it was", names[e]);
		if (t.where != NATIVE && rs_inside() != (v->inside ? (int)t.where : -1))
			differs(v, e, "where it is", 0, rs_inside(), t.where);
	}
	if (v->inside)
		EXPECT_EQ(rs_leave(), 0);
	return NULL;
}

static void torture(enum where where, bool handlers)
{
	static struct victim victims[THREADS];
	static const int faults[] = { SIGSEGV, SIGILL, SIGTRAP, SIGFPE };
	static const unsigned int vectors[] = { 14, 6, 3, 0 };
	struct sigaction sa = { .sa_sigaction = on_fault_signal, .sa_flags = SA_SIGINFO };
	struct itimerval every = { { 0, 3000 }, { 0, 3000 } };
	uint64_t counts[EVENTS] = { 0 };
	pthread_t helper;
	sigset_t set;

	machine();
	t.where = where;
	t.handlers = handlers;
	for (int i = 0; i < 4; i++)
		SYS(sigaction(faults[i], &sa, NULL));
	sa.sa_sigaction = on_sent;
	sa.sa_flags |= SA_RESTART;
	SYS(sigaction(SIGUSR2, &sa, NULL));
	sa.sa_handler = on_alarm;
	sa.sa_flags = SA_RESTART;
	SYS(sigaction(SIGALRM, &sa, NULL));
	for (int i = 0; handlers && i < 4; i++)
		ASSERT_EQ(rs_ring0_handle(vectors[i], on_fault_frame), 0);
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	ASSERT_EQ(pthread_create(&helper, NULL, sender, NULL), 0);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	SYS(setitimer(ITIMER_REAL, &every, NULL));
	for (int i = 0; i < THREADS; i++) {
		victims[i].seed = 0x9e3779b97f4a7c15 + i;
		ASSERT_EQ(pthread_create(&victims[i].thread, NULL, suffer, &victims[i]), 0);
	}
	/* the alarms are for the victims */
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	for (int i = 0; i < THREADS; i++) {
		ASSERT_EQ(pthread_join(victims[i].thread, NULL), 0);
		for (int e = 0; e < EVENTS; e++)
			counts[e] += victims[i].counts[e];
	}
	stop = true;
	ASSERT_EQ(pthread_join(helper, NULL), 0);
	/* in a short run there may be none of what is rare */
	for (int e = 0; e < EVENTS && steps_wanted() >= STEPS; e++)
		EXPECT_GT(counts[e], 0);
	EXPECT(t.alarms > 0 || steps_wanted() < STEPS);
	test_note("%s%s: %lu calls, %lu faults, %lu signals, %lu enters or leaves, %lu alarms, vector state %#lx", where_name(where),
		  handlers ? " with handlers" : "", counts[SYSCALL] + counts[BAD_SYSCALL],
		  counts[LOAD_CLOSED] + counts[STORE_READONLY] + counts[UD2] + counts[INT3] + counts[DIV],
		  counts[SELF_SIGNAL] + counts[WAITED_SIGNAL], counts[ENTER_LEAVE], t.alarms, t.x_mask);
}

/* A million steps take their time. */
#define SECONDS	3600
TEST_FOR(native, SECONDS)		{ torture(NATIVE, false); }
TEST_FOR(ring3, SECONDS)		{ torture(RING3, false); }
TEST_FOR(ring0, SECONDS)		{ torture(RING0, false); }
TEST_FOR(ring0_handlers, SECONDS)	{ torture(RING0, true); }
