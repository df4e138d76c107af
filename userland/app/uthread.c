// SPDX-License-Identifier: MIT
/*
 * uthread.c - user threads: their states, their queue, and preemption
 *
 * A kernel thread's user threads belong together by its struct uthread_home, a thread-local
 * variable. States, by the fields of struct rs_uthread:
 *
 *	runs		home.current
 *	suspended	@in is the home; the switch in uthread_switch.S looks at nothing else
 *	ready		UT_READY, and in the queue
 *	waits for @u	UT_JOINS, and is u->joiner
 *	has ended	UT_ENDED
 *
 * A new user thread's control block lies at the upper end of its stack, where no overflow gets to.
 *
 * Preemption. The alarm's handler runs on the trap stack, which the next alarm will use again:
 * nobody can be switched away from there. So it has the interrupted code call preempted() before
 * it goes on (rs_trap_call()), which saves all its registers on its own stack, and yields there
 * like any other function. What must not be interrupted so are the lines below that change states:
 * @hold of the current one is not 0 then; and the switch itself, by its address. @hold belongs to
 * a user thread and not to the kernel thread, as the lines behind a switch belong to the one that
 * left them.
 */
#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>
#include <ringside/uthread.h>
#include "internal.h"

#define PAGE	4096ul

enum uthread_state { UT_NONE, UT_READY, UT_JOINS, UT_ENDED };

struct rs_uthread {
	struct uthread_home *in;	/* suspended there; NULL: is not */
	uint64_t sp;			/* all that does not run: where its registers are */
	uint32_t mxcsr;
	uint16_t fcw;
	void *value;			/* handed over by the last switch to it */
	struct uthread_home *home;
	enum uthread_state state;
	volatile uint32_t hold;
	struct rs_uthread *prev, *next;	/* ready: in the queue */
	struct rs_uthread *joiner;
	void *(*fn)(void *arg);
	void *arg, *result;
	void *memory;			/* its own, with the guard page; NULL: not of ours */
	size_t size;			/* of @memory */
};

struct uthread_home {
	struct rs_uthread *current;	/* NULL: this kernel thread has used none of this yet */
	struct rs_uthread *first, *last;	/* that are ready */
	struct rs_uthread main;
};

_Static_assert(offsetof(struct rs_uthread, in) == UT_IN &&
	       offsetof(struct rs_uthread, sp) == UT_SP &&
	       offsetof(struct rs_uthread, mxcsr) == UT_MXCSR &&
	       offsetof(struct rs_uthread, fcw) == UT_FCW &&
	       offsetof(struct rs_uthread, value) == UT_VALUE &&
	       offsetof(struct uthread_home, current) == HOME_CURRENT,
	       "uthread_switch.S counts on it");

/* A user thread stays in its kernel thread, so where this lies may be known over a switch. */
HIDDEN __thread struct uthread_home rs_uthread_home __attribute__((tls_model("initial-exec")));

HIDDEN extern char rs_uthread_text[], rs_uthread_text_end[];
HIDDEN void rs_uthread_swap(struct uthread_home *home, struct rs_uthread *to);
HIDDEN void rs_uthread_first(void);
HIDDEN void rs_uthread_begin(struct rs_uthread *u) __attribute__((noreturn, used));
HIDDEN int rs_uthread_switch_slow(struct rs_uthread *to, void *value) __attribute__((used));

/* --- not to be preempted --------------------------------------------------------------------- */

static struct uthread_home *home_get(void)
{
	struct uthread_home *h = &rs_uthread_home;

	if (!h->current) {
		h->main.home = h;
		h->current = &h->main;
	}
	return h;
}

static void hold(struct rs_uthread *u)
{
	u->hold++;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static void release(struct rs_uthread *u)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	u->hold--;
}

void rs_uthread_hold(void)
{
	hold(home_get()->current);
}

void rs_uthread_release(void)
{
	release(home_get()->current);
}

/* --- the queue; whoever calls these is held -------------------------------------------------- */

static void enqueue(struct rs_uthread *u)
{
	struct uthread_home *h = u->home;

	u->in = NULL;
	u->state = UT_READY;
	u->next = NULL;
	u->prev = h->last;
	*(h->last ? &h->last->next : &h->first) = u;
	h->last = u;
}

static struct rs_uthread *dequeue(struct rs_uthread *u)
{
	struct uthread_home *h = u->home;

	*(u->prev ? &u->prev->next : &h->first) = u->next;
	*(u->next ? &u->next->prev : &h->last) = u->prev;
	u->state = UT_NONE;
	return u;
}

/* @to is suspended or ready, and becomes neither. False: it is something else. */
static int take(struct uthread_home *h, struct rs_uthread *to)
{
	if (!to || to->home != h)
		return 0;
	if (to->state == UT_READY) {
		dequeue(to);
		return 1;
	}
	if (!to->in)
		return 0;
	to->in = NULL;
	return 1;
}

/* --- switching ------------------------------------------------------------------------------- */

struct rs_uthread *rs_uthread_self(void)
{
	return home_get()->current;
}

void *rs_uthread_value(void)
{
	return home_get()->current->value;
}

/* From rs_uthread_switch(), when @to is not simply suspended. */
int rs_uthread_switch_slow(struct rs_uthread *to, void *value)
{
	struct uthread_home *h = home_get();
	struct rs_uthread *self = h->current;
	int err = 0;

	hold(self);
	if (to == self) {
		self->value = value;
	} else if (take(h, to)) {
		to->value = value;
		self->in = h;
		rs_uthread_swap(h, to);
	} else {
		err = -EINVAL;
	}
	release(self);
	return err;
}

static void yield_held(struct uthread_home *h, struct rs_uthread *self)
{
	if (!h->first)
		return;
	enqueue(self);
	rs_uthread_swap(h, dequeue(h->first));
}

void rs_uthread_yield(void)
{
	struct uthread_home *h = home_get();
	struct rs_uthread *self = h->current;

	hold(self);
	yield_held(h, self);
	release(self);
}

int rs_uthread_ready(struct rs_uthread *u)
{
	struct uthread_home *h = home_get();
	struct rs_uthread *self = h->current;
	int err = 0;

	hold(self);
	if (!u || u->home != h || (!u->in && u->state != UT_READY))
		err = -EINVAL;
	else if (u->in)
		enqueue(u);
	release(self);
	return err;
}

/* --- beginning and end ----------------------------------------------------------------------- */

void rs_uthread_begin(struct rs_uthread *u)
{
	rs_uthread_exit(NULL, u->fn(u->arg));
	__builtin_trap();	/* there is always somebody to go on with: the main one */
}

static char *stack_alloc(size_t size)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE;
	char *p = mmap(NULL, size + PAGE, PROT_NONE, flags, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	if (mprotect(p + PAGE, size, PROT_READ | PROT_WRITE)) {
		munmap(p, size + PAGE);
		return NULL;
	}
	return p;
}

static int attr_ok(const struct rs_uthread_attr *a)
{
	if (a->flags & ~RS_UTHREAD_SUSPENDED || a->size > (size_t)1 << 40)
		return 0;
	if (!a->stack && !a->size)
		return 1;
	return a->size >= RS_UTHREAD_STACK_MIN && (uintptr_t)a->stack + a->size >= a->size;
}

int rs_uthread_create(struct rs_uthread **out, void *(*fn)(void *arg), void *arg,
		      const struct rs_uthread_attr *a)
{
	struct uthread_home *h = home_get();
	size_t size = a && a->size ? a->size : RS_UTHREAD_STACK;
	char *memory = NULL, *low;
	struct rs_uthread *u;
	uint64_t *top;
	int err = errno;

	if (!fn || (a && !attr_ok(a)))
		return -EINVAL;
	if (a && a->stack) {
		low = a->stack;
	} else {
		size = (size + PAGE - 1) & -PAGE;
		memory = stack_alloc(size);
		errno = err;
		if (!memory)
			return -ENOMEM;
		low = memory + PAGE;
	}
	u = (struct rs_uthread *)(((uintptr_t)low + size - sizeof(*u)) & -64ul);
	*u = (struct rs_uthread){
		.home = h, .fn = fn, .arg = arg, .memory = memory, .size = memory ? size + PAGE : 0,
	};
	__asm__ volatile("stmxcsr %0; fnstcw %1" : "=m"(u->mxcsr), "=m"(u->fcw));
	/*
	 * As a switch leaves it: r15 to r12, rbx, rbp, and where to go on. Above that, two words
	 * that end any chain.
	 */
	top = (uint64_t *)u;
	for (int i = 1; i <= 9; i++)
		top[-i] = 0;
	top[-3] = (uint64_t)rs_uthread_first;
	top[-5] = (uint64_t)u;
	u->sp = (uint64_t)(top - 9);
	*out = u;
	hold(h->current);
	if (a && a->flags & RS_UTHREAD_SUSPENDED)
		u->in = h;
	else
		enqueue(u);
	release(h->current);
	return 0;
}

int rs_uthread_exit(struct rs_uthread *to, void *result)
{
	struct uthread_home *h = home_get();
	struct rs_uthread *self = h->current, *joiner = self->joiner;

	hold(self);
	if (self == &h->main || (to && (to == self || !take(h, to)))) {
		release(self);
		return -EINVAL;
	}
	self->result = result;
	self->state = UT_ENDED;
	if (joiner) {
		joiner->state = UT_NONE;
		if (to)
			enqueue(joiner);
		else
			to = joiner;
	} else if (!to) {
		/*
		 * The main one is suspended, or waits for somebody who cannot run: its join says
		 * so.
		 */
		to = h->first ? dequeue(h->first) : &h->main;
		to->in = NULL;
		to->state = UT_NONE;
		result = to->value;
	}
	if (to != joiner)
		to->value = result;
	rs_uthread_swap(h, to);
	__builtin_trap();
}

int rs_uthread_join(struct rs_uthread *u, void **result)
{
	struct uthread_home *h = home_get();
	struct rs_uthread *self = h->current;
	int err = 0;

	hold(self);
	if (!u || u->home != h || u == self || u == &h->main || u->joiner) {
		err = -EINVAL;
	} else if (u->state != UT_ENDED) {
		if (h->first) {
			u->joiner = self;
			self->state = UT_JOINS;
			rs_uthread_swap(h, dequeue(h->first));
			u->joiner = NULL;
		}
		if (u->state != UT_ENDED)
			err = -EDEADLK;
	}
	if (!err) {
		if (result)
			*result = u->result;
		u->home = NULL;
		if (u->memory) {
			int saved = errno;

			munmap(u->memory, u->size);
			errno = saved;
		}
	}
	release(self);
	return err;
}

/* --- preemption ------------------------------------------------------------------------------ */

/* On the stack of the one that was interrupted, which rs_uthread_tick() has held. */
static void preempted(void *arg)
{
	struct uthread_home *h = home_get();
	struct rs_uthread *self = h->current;
	int err = errno;

	(void)arg;
	yield_held(h, self);
	errno = err;
	release(self);
}

/* What a handler runs that does not have its vector registers saved. */
#define GENERAL_REGS __attribute__((target("general-regs-only")))

GENERAL_REGS static int in_text(uint64_t rip, const char *begin, const char *end)
{
	return rip - (uint64_t)begin < (uint64_t)(end - begin);
}

/* In upcall.S on the stack of a user thread: the end of a preemption before. */
GENERAL_REGS int rs_uthread_tick(struct rs_trap_frame *f)
{
	struct uthread_home *h = &rs_uthread_home;
	struct rs_uthread *self = h->current;

	if (!self || self->hold || !h->first ||
	    in_text(f->rip, rs_uthread_text, rs_uthread_text_end) ||
	    in_text(f->rip, rs_app_upcall_text, rs_app_upcall_text_end))
		return RS_TRAP_RESUME;
	self->hold = 1;
	rs_trap_call(f, preempted, NULL);
	return RS_TRAP_RESUME;
}
