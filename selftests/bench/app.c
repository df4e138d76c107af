// SPDX-License-Identifier: MIT
/*
 * app.c - the ledger's operations on what the ring offers beyond Linux, beside what a Linux program would use instead
 *
 * A trap is natively a SIGSEGV with its handler, and changes of rights are mprotect; in the ring a trap goes to the program's own handler,
 * with all vector registers saved and restored as for any C function.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <ringside/app.h>
#include "bench.h"

#define PAGE	4096UL

/* A store of three bytes' length, for handlers that step over it. */
#define STORE(p) asm volatile("movb $1, (%0)" : : "a"(p) : "memory")
#define STORE_LEN 3

static int in_ring(void)
{
	return !!rs_app_features();
}

/* Page faults go to @ring, or as SIGSEGV to @native. */
static void take_faults(rs_trap_fn ring, void (*native)(int, siginfo_t *, void *))
{
	struct sigaction sa = { .sa_sigaction = native, .sa_flags = SA_SIGINFO };
	static int stack;

	if (!in_ring()) {
		if (sigaction(SIGSEGV, &sa, NULL))
			die("sigaction");
		return;
	}
	if ((!stack++ && rs_trap_stack_alloc(64 << 10)) || rs_trap_handle(14, ring, 0))
		die("taking page faults");
}

/* --- a trap: to the handler, over the instruction, and back ------------------------------------------------------------------------ */

static int step_ring(struct rs_trap_frame *f)
{
	f->rip += STORE_LEN;
	return RS_TRAP_RESUME;
}

static void step_native(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)info;
	((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] += STORE_LEN;
}

void batch_trap(struct sample *s, unsigned int param)
{
	char *p = memory_pages(1);

	(void)param;
	take_faults(step_ring, step_native);
	if (mprotect(p, PAGE, PROT_READ))
		die("mprotect");
	s->ops = 50;
	STORE(p);
	span_begin(s);
	for (uint64_t i = 0; i < s->ops; i++)
		STORE(p);
	span_end(s);
	munmap(p, PAGE);
}

/* --- pages that are closed, and opened by the trap (Appel and Li: PROT1 or PROTN, TRAP, UNPROT) ------------------------------------- */

static void close_pages(char *p, size_t n)
{
	if (in_ring() ? rs_page_protect(p, n * PAGE, RS_PAGE_READ) : mprotect(p, n * PAGE, PROT_READ))
		die("closing pages");
}

static int open_ring(struct rs_trap_frame *f)
{
	return rs_page_protect((void *)(f->addr & -PAGE), PAGE, RS_PAGE_WRITE) ? RS_TRAP_SIGNAL : RS_TRAP_RESUME;
}

static void open_native(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)context;
	if (mprotect((void *)((uintptr_t)info->si_addr & -PAGE), PAGE, PROT_READ | PROT_WRITE))
		abort();
}

void batch_prot1(struct sample *s, unsigned int param)
{
	char *p = memory_pages(3);

	(void)param;
	take_faults(open_ring, open_native);
	s->ops = 20;
	close_pages(p + PAGE, 1);
	STORE(p + PAGE);
	span_begin(s);
	for (uint64_t i = 0; i < s->ops; i++) {
		close_pages(p + PAGE, 1);
		STORE(p + PAGE);
	}
	span_end(s);
	munmap(p, 3 * PAGE);
}

/* 100 pages closed at once and opened one by one, in an order that is not that of their addresses; the figure is for one page. */
void batch_protn(struct sample *s, unsigned int param)
{
	char *p = memory_pages(100);

	(void)param;
	take_faults(open_ring, open_native);
	s->ops = 100;
	close_pages(p, 100);
	STORE(p);
	span_begin(s);
	close_pages(p, 100);
	for (uint64_t i = 0; i < 100; i++)
		STORE(p + i * 37 % 100 * PAGE);
	span_end(s);
	munmap(p, 100 * PAGE);
}

const struct op app_ops[] = {
	{ "basic", "trap_upcall", 0, NATIVE | RING, BATCHES, batch_trap },
	{ "basic", "prot1_trap_unprot", 0, NATIVE | RING, BATCHES, batch_prot1 },
	{ "basic", "protn_trap_unprot", 0, NATIVE | RING, BATCHES, batch_protn },
	{ 0 }
};
