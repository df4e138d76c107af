// SPDX-License-Identifier: MIT
/*
 * Helper threads, timer and ticks of the host process, with this program as the guest.
 *
 * The main thread is vCPU 0: it fills in calls and slots as a guest kernel would and asks the
 * library (rs_dispatch()). There is no ring, and no confinement, so that sanitizers can look on;
 * host_confine_test has the threads behind a real filter. What must never happen here is silence: an
 * event that is lost, a call that is not called off, shows as a wait that ends with its timeout.
 *
 *	host_threads_test [ROUNDS [SEED]]
 */
#define _GNU_SOURCE
#include <asm/unistd.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <ucontext.h>
#include <unistd.h>

#include "load.h"
#include "threads.h"

#define ARENA		(16ull << 20)
#define SLOTS_AT	(1ull << 20)
#define ALL_SLOTS	128
#define BUFFERS		(4ull << 20)	/* a page per slot */
#define PATIENCE	20000000000ull	/* ns; an emulator or a busy machine is slow */

static struct rs_sandbox sb;
static struct rs_vcpu vcpu;
static struct rs_run run_page;
static struct rs_boot boot;
static struct rs_vcpu_shared *shared;
static int tests, failures;
static unsigned int seed = 1;

static void check(bool ok, const char *what, long got, long want)
{
	tests++;
	if (!ok)
		failures++;
	printf("%sok %d - %s", ok ? "" : "not ", tests, what);
	if (!ok)
		printf(" (got %ld, wanted %ld)", got, want);
	putchar('\n');
	fflush(stdout);
}

#define EQ(got, want, what)						\
	do {								\
		long got_ = (got), want_ = (want);			\
									\
		check(got_ == want_, what, got_, want_);		\
	} while (0)

/* --- the guest ------------------------------------------------------------------------------- */

static long ask(long nr, uint64_t a, uint64_t b, uint64_t c)
{
	shared->call = (struct rs_call){ .nr = nr, .args = { a, b, c } };
	return rs_dispatch(&vcpu.caller);
}

static struct rs_slot *slot(unsigned int i)
{
	return &sb.slots[i];
}

static uint64_t buffer(unsigned int i)
{
	return BUFFERS + i * RS_PAGE;
}

static void fill(unsigned int i, long nr, uint64_t a, uint64_t b, uint64_t c)
{
	struct rs_slot *s = slot(i);

	s->call = (struct rs_call){ .nr = nr, .args = { a, b, c }, .ret = -12345 };
	__atomic_store_n(&s->pending, 0, __ATOMIC_SEQ_CST);
	__atomic_store_n(&s->state, RS_SLOT_SUBMITTED, __ATOMIC_RELEASE);
}

static long submit(unsigned int i, long nr, uint64_t a, uint64_t b, uint64_t c)
{
	fill(i, nr, a, b, c);
	return ask(RS_CALL_SUBMIT, i, 0, 0);
}

static long cancel(unsigned int i)
{
	__atomic_store_n(&slot(i)->pending, 1, __ATOMIC_SEQ_CST);
	return ask(RS_CALL_CANCEL, i, 0, 0);
}

static bool done(unsigned int i)
{
	return __atomic_load_n(&slot(i)->state, __ATOMIC_ACQUIRE) == RS_SLOT_DONE;
}

/* As the guest kernel's handler: pending first, then the events. */
static uint64_t take(void)
{
	if (!(__atomic_exchange_n(&shared->pending, 0, __ATOMIC_SEQ_CST) & RS_PENDING_EVENTS))
		return 0;
	return __atomic_exchange_n(&shared->events, 0, __ATOMIC_SEQ_CST);
}

/* Idle until @event; events that come before are thrown away. False: it never came. */
static bool await(uint64_t event)
{
	uint64_t end = rs_now_ns() + PATIENCE;

	while (rs_now_ns() < end) {
		if (take() & event)
			return true;
		ask(RS_CALL_IDLE, PATIENCE, 0, 0);
	}
	return false;
}

/* Idle until slot @i is done; its result, or -ETIME. */
static long result(unsigned int i)
{
	while (!done(i)) {
		if (!await(RS_EVENT_DONE))
			return -ETIME;
	}
	return slot(i)->call.ret;
}

struct pipe {
	int in, out;
};

static struct pipe guest_pipe(void)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC)) {
		printf("Bail out! pipe\n");
		exit(1);
	}
	rs_fd_set_owned(&sb, fds[0]);
	rs_fd_set_owned(&sb, fds[1]);
	return (struct pipe){ fds[1], fds[0] };
}

static void close_pipe(struct pipe p)
{
	rs_fd_clear_owned(&sb, p.in);
	rs_fd_clear_owned(&sb, p.out);
	close(p.in);
	close(p.out);
}

static void put(struct pipe p, const char *text)
{
	if (write(p.in, text, strlen(text)) != (ssize_t)strlen(text)) {
		printf("Bail out! write\n");
		exit(1);
	}
}

static unsigned int threads(void)
{
	DIR *d = opendir("/proc/self/task");
	unsigned int n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n - 2;
}

/* --- slots ----------------------------------------------------------------------------------- */

static bool no_threads;

int __real_pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *), void *arg);
int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *), void *arg);
int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
	return no_threads ? EAGAIN : __real_pthread_create(t, attr, fn, arg);
}

static void test_none(void)
{
	no_threads = true;
	EQ(submit(5, __NR_fstat, 0, buffer(5), 0), -EAGAIN, "no thread can be had for a call");
	EQ(slot(5)->state, RS_SLOT_SUBMITTED, "then nothing has happened");
	EQ(ask(RS_CALL_TIMER, 1, 0, 0), -EAGAIN, "nor for a timer");
	EQ(ask(RS_CALL_TICK, 0, 0, 0), -EAGAIN, "nor for ticks");
	EQ(ask(RS_CALL_CANCEL, 5, 0, 0), 0, "what does not run is called off");
	no_threads = false;
	EQ(ask(RS_CALL_SUBMIT, 5, 0, 0), 0, "the call again");
	EQ(result(5), -EBADF, "is made");
}

static void test_one(void)
{
	struct pipe p = guest_pipe();

	EQ(submit(0, __NR_read, p.out, buffer(0), 100), 0, "a read that sleeps is submitted");
	EQ(ask(__NR_fstat, p.out, 0x1000, 0), 0, "the vCPU makes another call meanwhile");
	EQ(ask(RS_CALL_SUBMIT, 0, 0, 0), -EINVAL, "a slot that is served cannot be submitted");
	EQ(done(0), false, "the read sleeps");
	put(p, "hello");
	EQ(result(0), 5, "it is done, and its event comes");
	EQ(memcmp(sb.mem.arena + buffer(0), "hello", 5), 0, "the bytes are there");
	EQ(ask(RS_CALL_SUBMIT, 0, 0, 0), -EINVAL, "a slot that is done cannot be submitted");
	EQ(ask(RS_CALL_SUBMIT, sb.nslots, 0, 0), -EINVAL, "there is no slot behind the last");
	EQ(ask(RS_CALL_SUBMIT, ~0ull, 0, 0), -EINVAL, "nor one with a huge number");
	EQ(ask(RS_CALL_CANCEL, sb.nslots, 0, 0), -EINVAL, "likewise for cancel");
	EQ(cancel(0), 0, "cancel after the end is no error");
	EQ(slot(0)->call.ret, 5, "and changes nothing");
	EQ(ask(RS_CALL_CANCEL, 77, 0, 0), 0, "nor is one of a slot that was never used");
	close_pipe(p);
}

static void test_cancel(void)
{
	struct pipe p = guest_pipe();
	char c;

	submit(0, __NR_read, p.out, buffer(0), 100);
	EQ(cancel(0), 0, "cancel of a read");
	EQ(result(0), -EINTR, "it comes back with EINTR");
	submit(0, __NR_read, p.out, buffer(0), 100);
	usleep(20000);
	cancel(0);
	EQ(result(0), -EINTR, "one that surely sleeps likewise");
	put(p, "x");
	fill(0, __NR_read, p.out, buffer(0), 1);
	slot(0)->pending = 1;
	EQ(ask(RS_CALL_SUBMIT, 0, 0, 0), 0, "one that was called off before");
	EQ(result(0), -EINTR, "does not begin");
	EQ(read(p.out, &c, 1), 1, "and has read nothing");
	close_pipe(p);
}

static void test_kinds(void)
{
	static const uint16_t never[] = { 0, 1, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14 };
	unsigned int i, wrong = 0;
	int fd = memfd_create("f", MFD_CLOEXEC);

	for (i = 0; i < sizeof(never) / sizeof(never[0]); i++) {
		submit(1, RS_CALL_BASE + never[i], 1, 2, 3);
		wrong += result(1) != -ENOSYS;
	}
	EQ(wrong, 0, "requests for the vCPU or the sandbox are ENOSYS in a slot");
	EQ(sb.finished, 0, "RS_CALL_EXIT among them");
	submit(1, __NR_ptrace, 0, 0, 0);
	EQ(result(1), -EPERM, "a refused call is refused there too");
	submit(1, __NR_read, 9999, buffer(1), 1);
	EQ(result(1), -EBADF, "and a foreign descriptor");
	if (ftruncate(fd, 4096))
		exit(1);
	rs_fd_set_owned(&sb, fd);
	fill(1, RS_CALL_MAP_FILE, fd, 0, 4096);
	slot(1)->call.args[3] = sb.mem.window_gpa;
	ask(RS_CALL_SUBMIT, 1, 0, 0);
	EQ(result(1), 0, "a file is mapped through a slot");
	EQ(sb.mem.window[0], 0, "and there");
	rs_fd_clear_owned(&sb, fd);
	close(fd);
}

static void test_pool(void)
{
	struct pipe p = guest_pipe();
	unsigned int i, n, bad = 0, round, before;

	for (round = 0; round < 2; round++) {
		before = threads();
		for (i = 0; i < sb.nslots; i++)
			bad += submit(i, __NR_read, p.out, buffer(i), 1) != 0;
		EQ(bad, 0, "all slots are submitted, with calls that all sleep");
		for (n = i = 0; i < sb.nslots; i++)
			n += done(i);
		EQ(n, 0, "none is done");
		for (i = 0; i < sb.nslots; i++)
			put(p, "y");
		for (i = 0; i < sb.nslots; i++)
			bad += result(i) != 1;
		EQ(bad, 0, "all are done");
		if (round)
			EQ(threads(), before, "and the second time with the threads of the first");
	}
	for (n = threads(), i = 0; i < 200; i++) {
		submit(0, __NR_fstat, p.out, buffer(0), 0);
		bad += result(0) != 0;
	}
	EQ(bad, 0, "calls one after the other");
	EQ(threads(), n, "need no further thread");
	close_pipe(p);
}

/*
 * Slot 0 is called off around the moment at which it ends, slot 1, which the same helper takes next
 * as a rule, never is: the signal must not hit it.
 */
static void test_stray(unsigned int rounds)
{
	struct pipe a = guest_pipe(), b = guest_pipe();
	unsigned int i, hit = 0, lost = 0, interrupted = 0;
	char c;

	for (i = 0; i < rounds; i++) {
		volatile unsigned int spin = rand_r(&seed) % 3000;
		long ret;

		submit(0, __NR_read, a.out, buffer(0), 1);
		if (rand_r(&seed) % 2)
			sched_yield();
		put(a, "a");
		while (spin--)
			;
		cancel(0);
		while (!done(0) && take() != ~0ull)
			ask(RS_CALL_IDLE, PATIENCE, 0, 0);
		submit(1, __NR_read, b.out, buffer(1), 1);
		ret = result(0);
		if (ret == -EINTR) {
			interrupted++;
			lost += read(a.out, &c, 1) != 1;
		} else {
			lost += ret != 1;
		}
		sched_yield();
		put(b, "b");
		ret = result(1);
		hit += ret != 1;
		if (ret != 1 && read(b.out, &c, 1) != 1)
			lost++;
	}
	printf("# %u of %u were called off in time\n", interrupted, rounds);
	EQ(hit, 0, "a signal for one call never hits another");
	EQ(lost, 0, "a call was made or called off, not both");
	close_pipe(a);
	close_pipe(b);
}

/* Many slots, submitted, answered and called off at random; bytes are conserved. */
static void test_storm(unsigned int rounds)
{
	enum { SLOTS = 16 };
	struct pipe p = guest_pipe();
	bool busy[SLOTS] = { 0 }, off[SLOTS] = { 0 };
	unsigned int i, written = 0, got = 0, called_off = 0, wrong = 0;
	char rest[256];

	for (i = 0; i < rounds; i++) {
		unsigned int n = rand_r(&seed) % SLOTS;

		switch (rand_r(&seed) % 4) {
		case 0: case 1:
			if (!busy[n]) {
				wrong += submit(n, __NR_read, p.out, buffer(n), 1) != 0;
				busy[n] = true;
				off[n] = false;
			}
			break;
		case 2:
			if (written - got < 100) {
				put(p, "z");
				written++;
			}
			break;
		case 3:
			if (busy[n]) {
				wrong += cancel(n) != 0;
				off[n] = true;
			}
			break;
		}
		take();
		for (n = 0; n < SLOTS; n++) {
			if (!busy[n] || !done(n))
				continue;
			busy[n] = false;
			if (slot(n)->call.ret == 1)
				got++;
			else if (slot(n)->call.ret == -EINTR && off[n])
				called_off++;
			else
				wrong++;
		}
	}
	for (i = 0; i < SLOTS; i++)
		if (busy[i])
			cancel(i);
	for (i = 0; i < SLOTS; i++) {
		long ret = busy[i] ? result(i) : 0;

		got += ret == 1;
		wrong += ret != 1 && ret != 0 && ret != -EINTR;
	}
	printf("# %u rounds: %u written, %u read, %u called off\n", rounds, written, got,
	       called_off);
	EQ(wrong, 0, "every result is one that was to be expected");
	fcntl(p.out, F_SETFL, O_NONBLOCK);
	i = read(p.out, rest, sizeof(rest));
	EQ(got + ((int)i < 0 ? 0 : i), written, "no byte is lost or read twice");
	EQ(called_off > 0 && got > 0, true, "both happened");
	close_pipe(p);
}

/* A descriptor that a call uses keeps its number until the call is over. */
static void test_held(void)
{
	struct pipe p = guest_pipe();
	unsigned int i, held = 0;

	submit(0, __NR_read, p.out, buffer(0), 1);
	submit(2, __NR_read, p.out, buffer(2), 1);
	/* They hold it soon, but nobody can say when. */
	while (__atomic_load_n(&sb.users[p.out], __ATOMIC_SEQ_CST) != 2)
		sched_yield();
	EQ(ask(__NR_close, p.out, 0, 0), 0, "close of a descriptor that calls use");
	EQ(ask(__NR_close, p.out, 0, 0), -EBADF, "it is gone for the guest");
	EQ(ask(__NR_fstat, p.out, 0x1000, 0), -EBADF, "for every call");
	EQ(fcntl(p.out, F_GETFD) >= 0, true, "its number is not free yet");
	put(p, "1");
	while (!done(0) && !done(2))
		await(RS_EVENT_DONE);
	EQ(fcntl(p.out, F_GETFD) >= 0, true, "nor when one call is over");
	put(p, "2");
	EQ(result(0) + result(2), 2, "the calls end as if nothing had been");
	EQ(fcntl(p.out, F_GETFD), -1, "then it is closed");
	EQ(ask(__NR_close, p.in, 0, 0), 0, "close of another one");
	EQ(fcntl(p.in, F_GETFD), -1, "is a close at once");
	for (i = 0; i < RS_FD_LIMIT; i++)
		held += sb.users[i];
	for (i = 0; i < RS_FD_LIMIT / 64; i++)
		held += !!sb.closing[i];
	EQ(held, 0, "nothing is held when no call is made");
}

static void test_directory(void)
{
	char here[4096], after[4096];

	if (!getcwd(here, sizeof(here)))
		exit(1);
	strcpy((char *)sb.mem.arena + buffer(3), "/");
	submit(3, __NR_chdir, buffer(3), 0, 0);
	EQ(result(3), 0, "a helper goes to another directory");
	EQ(getcwd(after, sizeof(after)) && !strcmp(here, after), true, "alone");
}

/* --- time ------------------------------------------------------------------------------------ */

/*
 * A timer in @first ns that is set to @then, from now as well or ~0 for none, before it can have come: what a busy machine held up too long
 * in between is done again. Returns the time it is set to.
 */
static uint64_t timer_moved(uint64_t first, uint64_t then)
{
	for (;;) {
		uint64_t now = rs_now_ns(), t = then == ~0ull ? then : now + then;

		ask(RS_CALL_TIMER, now + first, 0, 0);
		ask(RS_CALL_TIMER, t, 0, 0);
		if (rs_now_ns() < now + first)
			return t;
		ask(RS_CALL_TIMER, ~0ull, 0, 0);
		ask(RS_CALL_IDLE, 1000000, 0, 0);
		take();
	}
}

static void test_timer(unsigned int rounds)
{
	uint64_t t, now;
	unsigned int i, early = 0, lost = 0;

	EQ(ask(RS_CALL_TIMER, ~0ull, 0, 0), 0, "no timer");
	t = rs_now_ns() + 30000000;
	EQ(ask(RS_CALL_TIMER, t, 0, 0), 0, "a timer");
	EQ(await(RS_EVENT_TIMER), true, "comes");
	EQ(rs_now_ns() >= t, true, "not too early");
	EQ(ask(RS_CALL_TIMER, 1, 0, 0), 0, "one in the past");
	EQ(await(RS_EVENT_TIMER), true, "comes too");
	ask(RS_CALL_TIMER, rs_now_ns() + PATIENCE, 0, 0);
	t = rs_now_ns() + 20000000;
	ask(RS_CALL_TIMER, t, 0, 0);
	EQ(await(RS_EVENT_TIMER), true, "one that is moved to earlier");
	timer_moved(20000000, ~0ull);
	EQ(ask(RS_CALL_IDLE, 60000000, 0, 0), -ETIME, "one that was taken back does not come");
	t = timer_moved(10000000, 80000000);
	EQ(await(RS_EVENT_TIMER) && rs_now_ns() >= t, true, "one that is moved to later");
	for (i = 0; i < rounds; i++) {
		unsigned int moves = rand_r(&seed) % 3;

		while (moves--)
			ask(RS_CALL_TIMER, rs_now_ns() + rand_r(&seed) % 400000, 0, 0);
		now = rs_now_ns();
		t = now + rand_r(&seed) % 200000;
		take();
		ask(RS_CALL_TIMER, t, 0, 0);
		/* An earlier one may have come just before it was moved. */
		while (!lost && (rs_now_ns() < t || sb.force_signal))
			lost += !await(RS_EVENT_TIMER) && rs_now_ns() > t + PATIENCE / 2;
		early += rs_now_ns() < t;
	}
	ask(RS_CALL_TIMER, ~0ull, 0, 0);
	EQ(lost + early, 0, "a storm of timers");
}

/* The guest's side of the ticks' protocol. */
static void want_ticks(void)
{
	__atomic_store_n(&shared->want_tick, 1, __ATOMIC_SEQ_CST);
	if (!__atomic_exchange_n(&boot.ticking, 1, __ATOMIC_SEQ_CST))
		ask(RS_CALL_TICK, 0, 0, 0);
}

static bool ticks_end(void)
{
	uint64_t end = rs_now_ns() + PATIENCE;

	while (__atomic_load_n(&boot.ticking, __ATOMIC_SEQ_CST)) {
		if (rs_now_ns() > end)
			return false;
		usleep(1000);
	}
	return true;
}

static void test_tick(unsigned int rounds)
{
	uint64_t begin = rs_now_ns();
	unsigned int i, lost = 0;

	want_ticks();
	for (i = 0; i < 10; i++)
		lost += !await(RS_EVENT_TICK);
	EQ(lost, 0, "ticks come");
	EQ(rs_now_ns() - begin >= 9 * (uint64_t)RS_TICK_NS, true, "not more often than they should");
	__atomic_store_n(&shared->want_tick, 0, __ATOMIC_SEQ_CST);
	EQ(ticks_end(), true, "they end when nobody wants one");
	take();
	EQ(ask(RS_CALL_IDLE, 5 * RS_TICK_NS, 0, 0), -ETIME, "and are not raised any more");
	/* Begin again around the moment at which they end. */
	for (i = 0; i < rounds; i++) {
		want_ticks();
		lost += !await(RS_EVENT_TICK);
		__atomic_store_n(&shared->want_tick, 0, __ATOMIC_SEQ_CST);
		usleep(9 * RS_TICK_NS / 1000 + rand_r(&seed) % 20000);
		take();
	}
	EQ(lost, 0, "they come whenever they are wanted");
	EQ(ticks_end(), true, "and end at last");
}

#ifdef __SANITIZE_THREAD__
/*
 * The sanitizer would put off a handler until the thread calls libc, which is too late for one that
 * looks at where the thread was. So Linux gets this one directly; it does what signals.c's does.
 */
int __wrap_rs_signals_kick(void);
extern const char raw_restorer[];
__asm__(".globl raw_restorer\nraw_restorer: movl $15, %eax\n\tsyscall");

__attribute__((no_sanitize("thread"))) static void raw_kick(int sig, siginfo_t *info, void *context)
{
	greg_t *rip = &((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];

	(void)sig;
	(void)info;
	if (rs_this_vcpu)
		run_page.irq_vector = RS_VECTOR_NOTIFY;
	if (*rip >= (greg_t)rs_host_call_begin && *rip < (greg_t)rs_host_call_end)
		*rip = (greg_t)rs_host_call_interrupted;
}

int __wrap_rs_signals_kick(void)
{
	const struct {
		void (*handler)(int sig, siginfo_t *info, void *context);
		unsigned long flags;
		const char *restorer;
		uint64_t mask;
	} action = { raw_kick, SA_SIGINFO | 0x04000000 /* SA_RESTORER */, raw_restorer, ~0ull };

	return syscall(__NR_rt_sigaction, RS_SIGNAL_KICK, &action, NULL, 8);
}
#endif

int main(int argc, char **argv)
{
	static const struct rs_engine_ops none;
	unsigned int rounds = argc > 1 ? strtoul(argv[1], NULL, 0) : 3000;
	char why[RS_WHY] = "";

	if (argc > 2)
		seed = strtoul(argv[2], NULL, 0);
	rs_table_init();
	sb.engine.info.gpa_bits = 40;
	sb.engine.ops = &none;
	sb.message_fd = 2;
	sb.proc_fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	sb.roots[0] = (struct rs_root){ .path = "/", .len = 1, .access = RS_ROOT_READ, .dir = true };
	sb.nroots = 1;
	if (rs_memory_create(&sb, ARENA, why)) {
		printf("Bail out! %s\n", why);
		return 1;
	}
	shared = (struct rs_vcpu_shared *)(sb.mem.arena + 0x2000);
	vcpu.caller.sb = &sb;
	vcpu.shared = shared;
	vcpu.caller.call = &shared->call;
	vcpu.caller.pending = &shared->pending;
	vcpu.caller.xsave = rs_vector_area();
	vcpu.engine.run = &run_page;
	sb.vcpus[0] = &vcpu;
	sb.ncpus = 1;
	sb.boot = &boot;
	sb.slots = (struct rs_slot *)(sb.mem.arena + SLOTS_AT);
	sb.nslots = ALL_SLOTS;
	if (!vcpu.caller.xsave || rs_signals_install(&sb)) {
		printf("Bail out! signals\n");
		return 1;
	}
	rs_vcpu_begin(&vcpu);
	test_none();
	test_one();
	test_cancel();
	test_kinds();
	test_held();
	if (sb.proc_fd >= 0)
		test_directory();
	test_pool();
	test_stray(rounds);
	test_storm(rounds * 10);
	test_timer(rounds / 3);
	test_tick(12);
	EQ(run_page.irq_vector, RS_VECTOR_NOTIFY, "the vector was asked for");
	printf("1..%d\n", tests);
	return failures != 0;
}
