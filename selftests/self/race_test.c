// SPDX-License-Identifier: MIT
/*
 * race_test.c - one thread changes the address space, another uses it from inside
 *
 * A window of a few pages. The mutator maps, unmaps, protects, moves, drops and truncates what is in it, one system call after the other.
 * Before each call it writes down what the window is afterwards (states[k]), then says that change k has begun, makes it, and says that it
 * is done. The accessor reads "done" (c), makes one access, reads "begun" (s): what it saw must be explained by one of the states c to s. That
 * is what Linux promises: each of these calls is one step for a single page.
 *
 *	a value		the page was there with the right, and with that content: what a mapping began with, or the accessor's own last write
 *			to that very page, which is told from others by its identity. So a stale page and a lost write are both found.
 *	a call		code at the page's address 64 says which page it is; only pages of one file may ever be executed
 *	a fault		the page was not there, or closed, or beyond the end of its file; the signal, its code and its address are those
 *			of that state. In ring 0 with a handler of its own the frame says the same.
 *
 * The same runs natively first: what it expects is what Linux does. RS_RACE=N: as many changes.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>
#include "self.h"

#define PAGE	4096ul
#define HUGE	(2ul << 20)
#define CODE	64		/* in a page: what can be called */
#define PAGES	8		/* of the window */
#define FILES	4		/* pages of each file */
#define OPS	300		/* changes, but for RS_RACE */
#define MAX_OPS	100000

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

enum kind { NONE, CLOSED, READ, WRITE };

/*
 * What a page of the window is. @id: whose memory; two pages with one id are one. @tag: its first word. @beyond: its file ends before
 * it. @file: 0, or which page of the shared file + 1, of the one that is truncated + 101. @exec: it may be executed.
 */
struct state {
	uint32_t id;
	uint8_t kind, beyond, file, private_file, exec;
	uint64_t tag;
};

/* What the second word of an identity may hold; more than these: anything. */
struct memory {
	uint64_t value[6];
	uint32_t n;
};

static struct {
	uint8_t *base;
	size_t stride;
	int shared, constant, shrinking;
	uint32_t next_id, short_id;
	uint64_t begun, done, accesses;
	bool stop, huge;
	enum where accessor, mutator;
	bool own_handler;
	uint64_t reads, writes, calls, faults, wide;
} w;
static struct state states[MAX_OPS + 1][PAGES];
static struct memory memory[MAX_OPS * PAGES + 2 * FILES + PAGES + 8];
static uint64_t wrong_address;

static uint64_t rnd(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed >> 11;
}

static uint8_t *page(unsigned int i)
{
	return w.base + i * w.stride;
}

/* --- the mutator -------------------------------------------------------- */

#define TAG_CONSTANT	0x5000
#define TAG_SHARED	0x9000

static uint32_t new_id(void)
{
	ASSERT(w.next_id < sizeof(memory) / sizeof(*memory));
	return w.next_id++;
}

static int file_of(uint64_t tag)
{
	int fd = SYS(memfd_create("race", MFD_CLOEXEC));

	for (unsigned int i = 0; i < FILES; i++) {
		uint64_t words[PAGE / 8] = { tag ? tag + i : 0 };

		/* mov $tag, %eax; ret */
		words[CODE / 8] = 0xb8 | (tag + i) << 8 | 0xc3ul << 40;
		SYS(write(fd, words, PAGE));
	}
	return fd;
}

/* Change k: what will be, then the system call. */
struct change {
	struct state *to;
	unsigned int first, n;
	int prot, source, index;
	int (*make)(const struct change *c);
};

static void *must(void *p)
{
	ASSERT(p != MAP_FAILED);
	return p;
}

enum { ANON, CONSTANT, SHARED, SHRINKING };

static int make_map(const struct change *c)
{
	static const int flags[] = { MAP_PRIVATE | MAP_ANONYMOUS, MAP_PRIVATE, MAP_SHARED, MAP_SHARED };
	int fd[] = { -1, w.constant, w.shared, w.shrinking };

	must(mmap(page(c->first), c->n * PAGE, c->prot, flags[c->source] | MAP_FIXED, fd[c->source], c->index * PAGE));
	return 0;
}

static int make_unmap(const struct change *c)
{
	return munmap(page(c->first), c->n * PAGE);
}

static int make_protect(const struct change *c)
{
	return mprotect(page(c->first), c->n * PAGE, c->prot);
}

static int make_drop(const struct change *c)
{
	return madvise(page(c->first), c->n * PAGE, MADV_DONTNEED);
}

/* Some of it may be unmapped: the rest is dropped all the same. */
static int make_drop_all(const struct change *c)
{
	madvise(w.base, (PAGES - 1) * w.stride + PAGE, MADV_DONTNEED);
	return 0;
}

static int make_collapse(const struct change *c)
{
	madvise(w.base, 2 * HUGE, MADV_COLLAPSE);
	return 0;
}

static int make_move(const struct change *c)
{
	must(mremap(page(c->first), PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, page(c->index)));
	return 0;
}

static int make_truncate(const struct change *c)
{
	return ftruncate(w.shrinking, c->index * PAGE);
}

static const int prots[] = { [CLOSED] = PROT_NONE, [READ] = PROT_READ, [WRITE] = PROT_READ | PROT_WRITE };

static void drop(struct state *p)
{
	if (p->kind != NONE && !p->file) {
		p->id = new_id();
		if (!p->private_file)
			p->tag = 0;
	}
}

static bool plan_map(struct change *c, uint64_t *seed)
{
	unsigned int kind = CLOSED + rnd(seed) % 3;

	c->make = make_map;
	c->source = w.huge ? ANON : rnd(seed) % 5;
	if (c->source > SHRINKING)
		c->source = CONSTANT;
	c->index = c->source == SHRINKING ? 0 : rnd(seed) % (FILES - c->n + 1);
	if (c->source == SHRINKING)
		c->n = 1;
	c->prot = prots[kind] | (c->source == CONSTANT && kind != CLOSED && rnd(seed) % 4 ? PROT_EXEC : 0);
	for (unsigned int i = 0; i < c->n; i++) {
		struct state *p = &c->to[c->first + i];

		*p = (struct state){ .kind = kind, .exec = !!(c->prot & PROT_EXEC) };
		switch (c->source) {
		case ANON:
			p->id = new_id();
			break;
		case CONSTANT:
			p->id = new_id();
			p->tag = TAG_CONSTANT + c->index + i;
			p->private_file = 1;
			break;
		case SHARED:
			p->id = 1 + c->index + i;
			p->tag = TAG_SHARED + c->index + i;
			p->file = 1 + c->index + i;
			break;
		case SHRINKING:
			p->id = w.short_id;
			p->beyond = !w.short_id;
			p->file = 101;
		}
	}
	return true;
}

static bool plan(struct change *c, uint64_t *seed)
{
	unsigned int what = rnd(seed) % 100;
	struct state *p;

	c->first = rnd(seed) % PAGES;
	c->n = w.huge ? 1 : 1 + rnd(seed) % 3;
	if (c->first + c->n > PAGES)
		c->n = 1;
	p = &c->to[c->first];
	if (what < 30)
		return plan_map(c, seed);
	if (what < 40) {
		c->make = make_unmap;
		for (unsigned int i = 0; i < c->n; i++)
			p[i] = (struct state){ .kind = NONE };
		return true;
	}
	if (p->kind == NONE)
		return false;
	c->n = 1;
	if (what < 65) {
		p->kind = CLOSED + rnd(seed) % 3;
		p->exec = p->private_file && p->kind != CLOSED && rnd(seed) % 4;
		c->prot = prots[p->kind] | (p->exec ? PROT_EXEC : 0);
		c->make = make_protect;
	} else if (what < 80) {
		drop(p);
		c->make = make_drop;
	} else if (what < 90) {
		c->index = rnd(seed) % PAGES;
		if ((unsigned int)c->index == c->first)
			return false;
		c->to[c->index] = *p;
		*p = (struct state){ .kind = NONE };
		c->make = make_move;
	} else if (what < 95 || w.huge) {
		if (w.huge && what < 93) {
			c->make = make_collapse;
			return true;
		}
		for (unsigned int i = 0; i < PAGES; i++)
			drop(&c->to[i]);
		c->make = make_drop_all;
	} else {
		/* away, or there again and empty */
		w.short_id = w.short_id ? 0 : new_id();
		for (unsigned int i = 0; i < PAGES; i++)
			if (c->to[i].file == 101) {
				c->to[i].beyond = !w.short_id;
				c->to[i].id = w.short_id;
			}
		c->index = w.short_id ? 1 : 0;
		c->make = make_truncate;
	}
	return true;
}

static void mutate(uint64_t seed)
{
	const char *s = getenv("RS_RACE");
	uint64_t n = s ? strtoul(s, NULL, 10) : test_rounds(OPS);

	ASSERT(n <= MAX_OPS);
	for (uint64_t k = 1; k <= n && !__atomic_load_n(&w.stop, __ATOMIC_RELAXED); k++) {
		struct change c;
		uint64_t seen;

		do {
			c = (struct change){ .to = states[k] };
			memcpy(states[k], states[k - 1], sizeof(states[k]));
		} while (!plan(&c, &seed));
		__atomic_store_n(&w.begun, k, __ATOMIC_SEQ_CST);
		SYS(c.make(&c));
		__atomic_store_n(&w.done, k, __ATOMIC_SEQ_CST);
		/* The accessor keeps up, also where there is one CPU, or is in the middle of things. */
		seen = __atomic_load_n(&w.accesses, __ATOMIC_RELAXED);
		if (rnd(&seed) % 4)
			while (__atomic_load_n(&w.accesses, __ATOMIC_RELAXED) < seen + 2 && !__atomic_load_n(&w.stop, __ATOMIC_RELAXED))
				sched_yield();
	}
}

/* --- the accessor ------------------------------------------------------- */

/* One access. rdx: where a fault goes on; rcx: 0, or what the fault was; rsi: the address. */
static uint64_t load(volatile uint64_t *p, uint64_t *fault)
{
	uint64_t v = 0;

	asm volatile("xor %%ecx, %%ecx\n lea 1f(%%rip), %%rdx\n mov (%%rsi), %0\n1:"
		     : "+r"(v), "=&c"(*fault) : "S"(p) : "rdx", "memory", "cc");
	return v;
}

static void store(volatile uint64_t *p, uint64_t v, uint64_t *fault)
{
	asm volatile("xor %%ecx, %%ecx\n lea 1f(%%rip), %%rdx\n mov %1, (%%rsi)\n mfence\n1:"
		     : "=&c"(*fault) : "r"(v), "S"(p) : "rdx", "memory", "cc");
}

/* What a fault in it leaves of the stack is not looked at. */
static uint64_t call(volatile uint64_t *p, uint64_t *fault)
{
	uint64_t v = 0;

	asm volatile("mov %%rsp, %%rbx\n sub $128, %%rsp\n xor %%ecx, %%ecx\n lea 1f(%%rip), %%rdx\n call *%%rsi\n1: mov %%rbx, %%rsp"
		     : "+a"(v), "=&c"(*fault) : "S"(p) : "rbx", "rdx", "memory", "cc");
	return v;
}

#define FAULT(sig, code)	((uint64_t)(sig) << 8 | (code))
#define FAULT_FRAME		0x10000		/* by the handler of ring 0 */

/* Code may be gone before its second instruction: there it is in its page. */
#define CODE_RET	5

static bool is_where(uint64_t addr, uint64_t rsi)
{
	return addr == rsi || ((rsi & (PAGE - 1)) == CODE && addr == rsi + CODE_RET);
}

static void on_signal(int sig, siginfo_t *info, void *context)
{
	greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;

	if (!is_where((uint64_t)info->si_addr, r[REG_RSI]))
		wrong_address = (uint64_t)info->si_addr;
	r[REG_RCX] = FAULT(sig, info->si_code);
	r[REG_RIP] = r[REG_RDX];
}

static void on_fault(struct rs_trap_frame *f)
{
	if (!is_where(f->addr, f->rsi))
		wrong_address = f->addr;
	f->rcx = FAULT_FRAME | (f->cause == RS_CAUSE_LINUX) << 1 | (f->error >> 1 & 1);
	f->rip = f->rdx;
}

enum access { LOAD_TAG, LOAD_WORD, STORE_WORD, CALL_CODE, ACCESSES };

/* The fault that a state gives to an access; 0: none. */
static uint64_t fault_of(const struct state *p, enum access a)
{
	bool write = a == STORE_WORD;

	if (p->kind == NONE)
		return FAULT(SIGSEGV, SEGV_MAPERR);
	if (p->kind == CLOSED || (write && p->kind == READ))
		return FAULT(SIGSEGV, SEGV_ACCERR);
	/* Linux brings the page before the CPU finds that it may not be executed */
	if (p->beyond)
		return FAULT(SIGBUS, BUS_ADRERR);
	return a == CALL_CODE && !p->exec ? FAULT(SIGSEGV, SEGV_ACCERR) : 0;
}

static bool same_fault(uint64_t seen, uint64_t of, bool write)
{
	if (seen & FAULT_FRAME)
		return of && seen == (FAULT_FRAME | 2 | write);
	return seen == of;
}

static void explain(const char *what, unsigned int i, uint64_t c, uint64_t s, uint64_t fault, uint64_t value)
{
	static int said;

	if (said++ >= 5) {
		__atomic_store_n(&w.stop, true, __ATOMIC_RELAXED);
		return;
	}
	FAIL("page %u, changes %lu to %lu: %s: fault %#lx, value %#lx", i, c, s, what, fault, value);
	for (uint64_t k = c; k <= s && k < c + 8; k++)
		test_note("after change %lu: kind %u id %u tag %#lx beyond %u, may hold %#lx", k, states[k][i].kind, states[k][i].id,
			  states[k][i].tag, states[k][i].beyond, memory[states[k][i].id].value[0]);
}

static bool may_hold(const struct memory *m, uint64_t v)
{
	if (m->n > 6)
		return true;
	for (uint32_t i = 0; i < m->n; i++)
		if (m->value[i] == v)
			return true;
	return m->n == 0 && v == 0;
}

static void also_holds(struct memory *m, uint64_t v)
{
	if (m->n == 0)
		m->value[m->n++] = 0;
	if (m->n < 6)
		m->value[m->n] = v;
	m->n++;
}

static void now_holds(struct memory *m, uint64_t v)
{
	m->value[0] = v;
	m->n = 1;
}

static void check(enum access a, unsigned int i, uint64_t c, uint64_t s, uint64_t fault, uint64_t v)
{
	bool write = a == STORE_WORD, good = false, one = true;
	uint32_t id = 0;

	for (uint64_t k = c; k <= s; k++) {
		const struct state *p = &states[k][i];
		uint64_t f = fault_of(p, a);

		if (fault) {
			good |= same_fault(fault, f, write);
			continue;
		}
		if (f)
			continue;
		one &= !id || id == p->id;
		id = p->id;
		good |= a == LOAD_TAG || a == CALL_CODE ? v == p->tag : a == STORE_WORD || may_hold(&memory[id], v);
	}
	if (!good)
		explain("no state explains it", i, c, s, fault, v);
	w.wide += s > c;
	if (fault) {
		w.faults++;
		return;
	}
	w.writes += write;
	w.reads += !write;
	w.calls += a == CALL_CODE;
	if (a == LOAD_TAG || a == CALL_CODE)
		return;
	if (one && id)
		now_holds(&memory[id], v);
	else if (write)
		for (uint64_t k = c; k <= s; k++)
			if (!fault_of(&states[k][i], a))
				also_holds(&memory[states[k][i].id], v);
}

static void *access_window(void *arg)
{
	uint64_t seed = 0x1234567, value = 1ull << 32;

	go_inside(w.accessor, 0);
	if (w.own_handler)
		ASSERT_EQ(rs_ring0_handle(14, on_fault), 0);
	while (!__atomic_load_n(&w.stop, __ATOMIC_RELAXED)) {
		unsigned int i = rnd(&seed) % PAGES;
		enum access a = rnd(&seed) % ACCESSES;
		uint64_t *p = (uint64_t *)page(i) + (a == CALL_CODE ? CODE / 8 : a != LOAD_TAG), c, s, fault, v;

		c = __atomic_load_n(&w.done, __ATOMIC_SEQ_CST);
		if (a == STORE_WORD)
			store(p, v = ++value, &fault);
		else if (a == CALL_CODE)
			v = call(p, &fault);
		else
			v = load(p, &fault);
		s = __atomic_load_n(&w.begun, __ATOMIC_SEQ_CST);
		check(a, i, c, s, fault, v);
		__atomic_store_n(&w.accesses, w.accesses + 1, __ATOMIC_RELAXED);
	}
	if (w.accessor != NATIVE) {
		EXPECT_EQ(rs_inside(), w.accessor);
		EXPECT_EQ(rs_leave(), 0);
	}
	return NULL;
}

static void race(enum where accessor, enum where mutator, bool own_handler, bool huge)
{
	struct sigaction sa = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO };
	size_t area = huge ? 2 * HUGE : PAGES * PAGE;
	pthread_t t;

	w.accessor = accessor;
	w.mutator = mutator;
	w.own_handler = own_handler;
	w.huge = huge;
	w.stride = huge ? area / PAGES : PAGE;
	/* Where Linux never puts a mapping by itself: it would turn up in a hole. One is mapped one to one in ring 0's tables, one not. */
	w.base = (uint8_t *)(accessor == RING0 && !huge ? 3ul << 32 : 1ul << 45);
	w.shared = file_of(TAG_SHARED);
	w.constant = file_of(TAG_CONSTANT);
	w.shrinking = file_of(0);
	SYS(ftruncate(w.shrinking, 0));
	w.next_id = FILES + 1;
	if (huge) {
		must(mmap(w.base, area, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0));
		madvise(w.base, area, MADV_HUGEPAGE);
	}
	for (unsigned int i = 0; huge && i < PAGES; i++)
		states[0][i] = (struct state){ .kind = WRITE, .id = new_id() };
	SYS(sigaction(SIGSEGV, &sa, NULL));
	SYS(sigaction(SIGBUS, &sa, NULL));
	ASSERT_EQ(pthread_create(&t, NULL, access_window, NULL), 0);
	go_inside(mutator, 0);
	mutate(0x9e3779b97f4a7c15 ^ accessor ^ (uint64_t)huge << 7);
	__atomic_store_n(&w.stop, true, __ATOMIC_RELAXED);
	ASSERT_EQ(pthread_join(t, NULL), 0);
	if (mutator != NATIVE)
		EXPECT_EQ(rs_leave(), 0);
	EXPECT_EQ(wrong_address, 0);
	test_note("%s, mutator %s: %lu values, %lu writes, %lu calls, %lu faults; %lu accesses while something changed", where_name(accessor),
		  where_name(mutator), w.reads, w.writes, w.calls, w.faults, w.wide);
	EXPECT_GT(w.reads, 0);
	EXPECT_GT(w.faults, 0);
	/* of so few there may be none in a short run */
	EXPECT(w.begun < 300 || w.writes > 0);
	EXPECT(w.begun < 300 || w.calls > 0 || huge);
}

/* As many changes as are wanted take their time. */
#define SECONDS	1800
TEST_FOR(native, SECONDS)			{ race(NATIVE, NATIVE, false, false); }
TEST_FOR(native_huge, SECONDS)		{ race(NATIVE, NATIVE, false, true); }
TEST_FOR(ring3, SECONDS)			{ race(RING3, NATIVE, false, false); }
TEST_FOR(ring3_both, SECONDS)		{ race(RING3, RING3, false, false); }
TEST_FOR(ring3_huge, SECONDS)		{ race(RING3, RING3, false, true); }
TEST_FOR(ring0, SECONDS)			{ race(RING0, NATIVE, false, false); }
TEST_FOR(ring0_both, SECONDS)		{ race(RING0, RING0, false, false); }
TEST_FOR(ring0_huge, SECONDS)		{ race(RING0, NATIVE, false, true); }
TEST_FOR(ring0_own_handler, SECONDS)	{ race(RING0, RING0, true, false); }
