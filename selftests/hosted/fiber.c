// SPDX-License-Identifier: MIT
/*
 * fiber.c - rs_switch_stack() for ordinary programs
 *
 * A kernel stack has no room for sanitized code, so a thread of the guest kernel runs on a stack of
 * its own here, a fiber; its struct kstack keeps only what the kernel keeps there: the frame and
 * the saved registers. The switch itself is arch/switch.S, under other names. While a thread does
 * not run, its sched.ksp is the fiber's address; that of a thread that has never run still points
 * into its kernel stack, as sched_prepare() left it, and that is how a first run is recognised.
 *
 * A fiber whose thread has ended is freed by the next one that runs, as the kernel does it with
 * the thread. The sanitizer is told of every switch: it keeps the bounds of the stack it is on.
 */
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sanitizer/common_interface_defs.h>

#include "floor.h"
#include "../../userland/guest/proc/proc.h"

#define FIBER_STACK (256ul << 10)

struct fiber {
	u64 sp;
	void *fake_stack;		/* the sanitizer's */
	void *bottom;
	size_t size;
};

char rs_thread_begin[1];
void rs_thread_first(void);

/* arch/switch.S: rs_switch_stack(), rs_thread_begin, and what that calls */
void fiber_switch(u64 *save, u64 load);
extern char fiber_begin[];
void fiber_first(void);
void fiber_main(void *frame);

static struct fiber boot_fiber, *running = &boot_fiber, *finished;

static void arrived(void)
{
	struct fiber *from = finished;

	if (!from)
		return;
	finished = NULL;
	munmap(from->bottom, from->size);
	free(from);
}

void fiber_first(void)
{
	__sanitizer_finish_switch_fiber(NULL, NULL, NULL);
	arrived();
	rs_thread_first();
}

/* Not entered by a CALL. */
__attribute__((force_align_arg_pointer)) void fiber_main(void *frame)
{
	(void)frame;
	floor_user(current());
	abort();
}

static struct fiber *fiber_new(void)
{
	struct fiber *f = calloc(1, sizeof(*f));
	u64 *sp;

	if (!f)
		abort();
	f->size = FIBER_STACK;
	f->bottom = mmap(NULL, f->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (f->bottom == MAP_FAILED)
		abort();
	/* What switch.S takes off a stack; what it calls finds it aligned. */
	sp = (u64 *)((char *)f->bottom + f->size) - 2;
	*--sp = (u64)fiber_begin;
	f->sp = (u64)(sp - 6);
	return f;
}

void rs_switch_stack(u64 *save, u64 load)
{
	struct thread *prev = container_of(save, struct thread, sched.ksp);
	u64 base = (u64)current()->kstack;
	struct fiber *from = running, *to;
	bool dead = prev->sched.state == THREAD_DEAD;

	to = load - base < KSTACK_SIZE ? fiber_new() : (struct fiber *)load;
	if (dead)
		finished = from;
	*save = (u64)from;
	running = to;
	__sanitizer_start_switch_fiber(dead ? NULL : &from->fake_stack, to->bottom, to->size);
	fiber_switch(&from->sp, to->sp);
	__sanitizer_finish_switch_fiber(from->fake_stack, NULL, NULL);
	arrived();
}

void fiber_init(void)
{
	pthread_attr_t a;

	/* The sanitizer wants to know the bounds of the program's own stack, too. */
	pthread_getattr_np(pthread_self(), &a);
	pthread_attr_getstack(&a, &boot_fiber.bottom, &boot_fiber.size);
	pthread_attr_destroy(&a);
}
