// SPDX-License-Identifier: MIT
/*
 * uthread.c - the ledger's operation on user threads, beside the C library's contexts
 *
 * Two of them hand control to each other. swapcontext keeps the signal mask, too, and so makes a
 * system call each time.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <ucontext.h>
#include <ringside/uthread.h>
#include "bench.h"

#define ROUNDS	100
#define STACK	(64 << 10)

static struct rs_uthread *here;
static ucontext_t from, to;

static void *answers(void *arg)
{
	for (;;)
		rs_uthread_switch(here, arg);
	return NULL;
}

static void answers_native(void)
{
	for (;;)
		swapcontext(&to, &from);
}

static void batch_switch(struct sample *s, unsigned int param)
{
	const struct rs_uthread_attr a = { .flags = RS_UTHREAD_SUSPENDED };
	static struct rs_uthread *u;

	(void)param;
	if (!u) {
		here = rs_uthread_self();
		if (rs_uthread_create(&u, answers, NULL, &a))
			die("rs_uthread_create");
	}
	s->ops = 2 * ROUNDS;
	rs_uthread_switch(u, NULL);
	span_begin(s);
	for (int i = 0; i < ROUNDS; i++)
		rs_uthread_switch(u, NULL);
	span_end(s);
}

static void batch_switch_native(struct sample *s, unsigned int param)
{
	static char *stack;

	(void)param;
	if (!stack) {
		stack = malloc(STACK);
		if (!stack || getcontext(&to))
			die("getcontext");
		to.uc_stack.ss_sp = stack;
		to.uc_stack.ss_size = STACK;
		makecontext(&to, answers_native, 0);
	}
	s->ops = 2 * ROUNDS;
	swapcontext(&from, &to);
	span_begin(s);
	for (int i = 0; i < ROUNDS; i++)
		swapcontext(&from, &to);
	span_end(s);
}

const struct op uthread_ops[] = {
	{ "basic", "uthread_switch", 0, NATIVE, BATCHES, batch_switch_native },
	{ "basic", "uthread_switch", 0, RING, BATCHES, batch_switch },
	{ 0 }
};
