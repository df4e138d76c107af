// SPDX-License-Identifier: MIT
/*
 * self.c - the ledger's operations of a process that has taken itself into the ring (ringside/self.h), beside what Linux offers for the same
 *
 * ring0_trap and the two of Appel and Li are app.c's, with handlers in the program's own ring 0 and rights in its own page tables, changed by
 * their entries and INVLPG as such a program would. ctx_switch_cr3 is one switch between two address spaces, with an access to a page that is
 * another one there: MOV CR3 in the ring; natively a byte through a pipe to another process, since Linux has nothing cheaper that does it.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <errno.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <ringside/self.h>
#include "bench.h"

#define PAGE		4096ul
#define PTE_PRESENT	1ul
#define PTE_WRITE	2ul
#define PTE_USER	4ul

#define STORE(p) asm volatile("movb $1, (%0)" : : "a"(p) : "memory")
#define STORE_LEN 3

uint64_t self_exits(void)
{
	struct rs_self_stats s;

	return rs_self_stats(&s) ? 0 : s.exits;
}

static void be(bool inside)
{
	if ((rs_inside() >= 0) == inside)
		return;
	errno = -(inside ? rs_enter(RS_ENTER_RING0) : rs_leave());
	if (errno)
		die(inside ? "rs_enter" : "rs_leave");
}

static void take_faults(rs_ring0_fn fn)
{
	errno = -rs_ring0_handle(14, fn);
	if (errno)
		die("taking page faults");
}

static void batch_enter_leave(struct sample *s, unsigned int param)
{
	(void)param;
	/* the first one makes the guest ring */
	be(true);
	be(false);
	s->ops = 10;
	span_begin(s);
	for (uint64_t i = 0; i < s->ops; i++)
		if (rs_enter(RS_ENTER_RING0) || rs_leave())
			die("entering or leaving");
	span_end(s);
}

static void step(struct rs_trap_frame *f)
{
	f->rip += STORE_LEN;
}

static void batch_ring0_trap(struct sample *s, unsigned int param)
{
	static char *p;

	(void)param;
	be(true);
	if (!p) {
		p = memory_pages(1);
		errno = -rs_ring0_protect(p, PAGE, RS_PAGE_READ);
		if (errno)
			die("rs_ring0_protect");
	}
	take_faults(step);
	s->ops = 100;
	STORE(p);
	span_begin(s);
	for (uint64_t i = 0; i < s->ops; i++)
		STORE(p);
	span_end(s);
}

/* --- pages that are closed, and opened by the trap -------------------------------------------- */

#define MAX_PAGES 100

/* What a program that often changes rights keeps: where the entries of its pages are. They stay there. */
static struct area {
	char *base;
	uint64_t *entry[MAX_PAGES];
} one, many, *area;

static void close_page(size_t i)
{
	*area->entry[i] &= ~PTE_WRITE;
	asm volatile("invlpg (%0)" : : "r"(area->base + i * PAGE) : "memory");
}

/* More rights need no INVLPG: the fault has removed what the CPU had cached. */
static void open_page(struct rs_trap_frame *f)
{
	*area->entry[(f->addr - (uint64_t)area->base) / PAGE] |= PTE_WRITE;
}

/* @n pages with 4 KiB entries of their own. */
static char *small_pages(struct area *a, size_t n)
{
	char *p = a->base;

	be(true);
	area = a;
	take_faults(open_page);
	if (p)
		return p;
	p = a->base = memory_pages(n);
	for (size_t i = 0; i < n; i++) {
		a->entry[i] = rs_ring0_entry(rs_ring0_root(), p + i * PAGE, 1);
		if (!a->entry[i])
			die("rs_ring0_entry");
	}
	rs_ring0_flush(p, n * PAGE);
	for (size_t i = 0; i < n; i++)
		p[i * PAGE] = 1;
	return p;
}

static void batch_ring0_prot1(struct sample *s, unsigned int param)
{
	char *p = small_pages(&one, 1);

	(void)param;
	s->ops = 100;
	span_begin(s);
	for (uint64_t i = 0; i < s->ops; i++) {
		close_page(0);
		STORE(p);
	}
	span_end(s);
}

static void batch_ring0_protn(struct sample *s, unsigned int param)
{
	char *p = small_pages(&many, MAX_PAGES);

	(void)param;
	s->ops = MAX_PAGES;
	span_begin(s);
	for (uint64_t i = 0; i < MAX_PAGES; i++)
		close_page(i);
	for (uint64_t i = 0; i < MAX_PAGES; i++)
		STORE(p + i * 37 % MAX_PAGES * PAGE);
	span_end(s);
}

static void batch_passthrough(struct sample *s, unsigned int param)
{
	be(true);
	batch_forwarded(s, param);
}

/* --- two address spaces ----------------------------------------------------------------------- */

/* Nobody's: Linux maps nothing there by itself. */
#define SWITCHED ((volatile uint64_t *)0x600000000000)

static uint64_t space(uint64_t *content)
{
	uint64_t *table = rs_ring0_table_alloc(), *e;

	if (!table)
		die("rs_ring0_table_alloc");
	memcpy(table, rs_ring0_root(), PAGE);
	/* the tables below are the root's: here one begins that is not */
	table[(uintptr_t)SWITCHED >> 39] = 0;
	e = rs_ring0_entry(table, (void *)SWITCHED, 1);
	if (!e)
		die("rs_ring0_entry");
	*e = rs_ring0_gpa(content) | PTE_PRESENT | PTE_WRITE | PTE_USER;
	return rs_ring0_gpa(table);
}

static void load_cr3(uint64_t gpa)
{
	asm volatile("mov %0, %%cr3" : : "r"(gpa) : "memory");
}

static void batch_ctx_switch(struct sample *s, unsigned int param)
{
	static uint64_t cr3[3], wrong;

	(void)param;
	be(true);
	if (!cr3[0]) {
		uint64_t *content = (uint64_t *)memory_pages(2);

		content[0] = 0;
		content[PAGE / 8] = 1;
		cr3[0] = space(content);
		cr3[1] = space(content + PAGE / 8);
		cr3[2] = rs_ring0_gpa(rs_ring0_root());
	}
	wrong = 0;
	s->ops = 200;
	span_begin(s);
	for (uint64_t i = 0; i < s->ops; i++) {
		load_cr3(cr3[i & 1]);
		wrong += *SWITCHED != (i & 1);
	}
	load_cr3(cr3[2]);
	span_end(s);
	if (wrong) {
		errno = EIO;
		die("the other address space was seen");
	}
}

static void batch_ctx_switch_native(struct sample *s, unsigned int param)
{
	static int to[2], from[2];
	static pid_t child;
	char c = 0;

	(void)param;
	if (!child) {
		if (pipe(to) || pipe(from))
			die("pipe");
		child = fork();
		if (child < 0)
			die("fork");
		if (!child) {
			close(to[1]);
			while (read(to[0], &c, 1) == 1 && write(from[1], &c, 1) == 1)
				;
			_exit(0);
		}
		close(to[0]);
	}
	s->ops = 8;	/* two of them are there and back */
	span_begin(s);
	for (uint64_t i = 0; i < s->ops; i += 2)
		if (write(to[1], &c, 1) != 1 || read(from[0], &c, 1) != 1)
			die("the other process");
	span_end(s);
}

const struct op self_ops[] = {
	{ "self", "enter_leave", 0, INSIDE, BATCHES, batch_enter_leave },
	{ "self", "ring0_trap", 0, NATIVE, BATCHES, batch_trap },
	{ "self", "ring0_trap", 0, INSIDE, BATCHES, batch_ring0_trap },
	{ "self", "ring0_prot1_trap_unprot", 0, NATIVE, BATCHES, batch_prot1 },
	{ "self", "ring0_prot1_trap_unprot", 0, INSIDE, BATCHES, batch_ring0_prot1 },
	{ "self", "ring0_protn_trap_unprot", 0, NATIVE, BATCHES, batch_protn },
	{ "self", "ring0_protn_trap_unprot", 0, INSIDE, BATCHES, batch_ring0_protn },
	{ "self", "passthrough_call", 0, NATIVE, BATCHES, batch_forwarded },
	{ "self", "passthrough_call", 0, INSIDE, BATCHES, batch_passthrough },
	{ "self", "ctx_switch_cr3", 0, NATIVE, BATCHES, batch_ctx_switch_native },
	{ "self", "ctx_switch_cr3", 0, INSIDE, BATCHES, batch_ctx_switch },
	{ 0 }
};
