// SPDX-License-Identifier: MIT
/*
 * cage.c - a shared library that nobody trusts, in the process that uses it
 *
 * The process takes itself into ring 0 of a guest of its own, loads the library, and makes a second page table: the same addresses, but ring 3
 * may use nothing, except what is the library's (its text to execute, its data to write), a stack, and what is handed to it. A call of the
 * library is a call in ring 3 under that table. It costs no system call and no copy; what the library may touch is decided by the CPU, by
 * pages. When it reaches outside, or makes a system call, the fault or the call is the program's, which ends it.
 *
 * usage: cage PLUGIN.so
 */
#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ringside/self.h>

#define PAGE		4096ul
#define PRESENT		1ul
#define WRITE		2ul
#define USER		4ul
#define LARGE		0x80ul
#define NOT_EXECUTED	(1ul << 63)
#define ADDRESS		0x000ffffffffff000ul

static uint64_t *cage;			/* the second table */
static char *stack;			/* the library's */
static const struct link_map *library;
static struct { const char *what; unsigned long at; } caught;

static void fail(const char *what)
{
	fprintf(stderr, "cage: %s\n", what);
	exit(1);
}

/* A copy of a table and those below it, in which ring 3 may use nothing. The upper half is the ring's own and stays. */
static uint64_t *copy(const uint64_t *table, int level)
{
	uint64_t *new = rs_ring0_table_alloc();

	if (!new)
		fail("no memory for page tables");
	for (int i = 0; i < 512; i++) {
		new[i] = table[i];
		if (level == 4 && i >= 256)
			continue;
		if (!(table[i] & PRESENT) || level == 1 || (table[i] & LARGE))
			new[i] &= ~USER;
		else
			new[i] = rs_ring0_gpa(copy(rs_ring0_va(table[i] & ADDRESS), level - 1)) | (table[i] & ~ADDRESS);
	}
	return new;
}

/* Ring 3 may use [@start, @start + @len). */
static void allow(const void *start, size_t len, uint64_t rights)
{
	for (uintptr_t at = (uintptr_t)start & -PAGE; at < (uintptr_t)start + len; at += PAGE) {
		uint64_t *e = rs_ring0_entry(cage, (void *)at, 1);

		if (!e)
			fail("no memory for page tables");
		*e = (*e & ~(WRITE | NOT_EXECUTED)) | USER | rights;
	}
}

static int allow_library(struct dl_phdr_info *info, size_t size, void *unused)
{
	(void)size, (void)unused;
	if (info->dlpi_addr != library->l_addr)
		return 0;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];

		if (p->p_type == PT_LOAD)
			allow((char *)info->dlpi_addr + p->p_vaddr, p->p_memsz,
			      (p->p_flags & PF_W ? WRITE : 0) | (p->p_flags & PF_X ? 0 : NOT_EXECUTED));
	}
	return 0;
}

/* An exception of ring 3 ends the call; of ours, it is a mistake, and Linux's affair. */
static void on_exception(struct rs_trap_frame *f)
{
	if (!(f->cs & 3)) {
		f->cause = RS_CAUSE_SIGNAL;
		return;
	}
	caught.what = f->vector == 14 ? f->error & 2 ? "writing" : f->error & 16 ? "executing" : "reading" : "an exception";
	caught.at = f->vector == 14 ? f->addr : f->rip;
	rs_ring0_user_exit(-1);
}

/* The return address of what is called in ring 3 is no address: the fetch from it ends the call, with the result. */
#define RETURN 0x10ul

static void on_page_fault(struct rs_trap_frame *f)
{
	if ((f->cs & 3) && f->rip == RETURN)
		rs_ring0_user_exit((int)f->rax);
	on_exception(f);
}

static void on_system_call(struct rs_trap_frame *f)
{
	caught.what = "system call";
	caught.at = f->rax;
	rs_ring0_user_exit(-1);
}

static void use_table(uint64_t *root)
{
	asm volatile("mov %0, %%cr3" : : "r"(rs_ring0_gpa(root)) : "memory");
}

/* @fn(@a, @b) in ring 3, and its result; what it did that it may not is in @caught. */
static int call(void *fn, const void *a, unsigned long b)
{
	struct rs_trap_frame f = { .rip = (uint64_t)fn, .cs = 3, .rflags = 0x202, .rdi = (uint64_t)a, .rsi = b };
	uint64_t *top = (uint64_t *)(stack + 16 * PAGE);
	int ret;

	*--top = RETURN;
	f.rsp = (uint64_t)top;
	caught.what = NULL;
	use_table(cage);
	ret = rs_ring0_user(&f);
	use_table(rs_ring0_root());
	return ret;
}

int main(int argc, char **argv)
{
	static char secret[PAGE] __attribute__((aligned(4096))) = "the password is ring";
	static const char *const bad[] = { "peek", "poke", "jump", "ask", "crash" };
	unsigned char *text;
	void *plugin, *fn;
	int n;

	if (argc != 2) {
		fprintf(stderr, "usage: cage PLUGIN.so\n");
		return 2;
	}
	n = rs_enter(RS_ENTER_RING0);
	if (n) {
		fprintf(stderr, "cage: rs_enter: %s\n", strerror(-n));
		return 1;
	}
	plugin = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
	if (!plugin || dlinfo(plugin, RTLD_DI_LINKMAP, &library))
		fail(dlerror());
	text = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	stack = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (text == MAP_FAILED || stack == MAP_FAILED)
		fail("no memory");
	strcpy((char *)text, "Hello from the plug-in");
	stack[0] = 0;	/* what is copied next is there then */

	cage = copy(rs_ring0_root(), 4);
	dl_iterate_phdr(allow_library, NULL);
	allow(stack, 16 * PAGE, WRITE | NOT_EXECUTED);
	allow(text, PAGE, WRITE | NOT_EXECUTED);
	for (int vector = 0; vector < 32; vector++)
		rs_ring0_handle(vector, vector == 14 ? on_page_fault : on_exception);
	rs_ring0_syscalls(on_system_call);

	fn = dlsym(plugin, "rot13");
	if (!fn)
		fail(dlerror());
	n = call(fn, text, strlen((char *)text));
	printf("cage: rot13: %d letters: %s\n", n, text);
	if (caught.what || strcmp((char *)text, "Uryyb sebz gur cyht-va"))
		fail("the library could not do its work");
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		fn = dlsym(plugin, bad[i]);
		if (!fn)
			fail(dlerror());
		n = call(fn, secret, 0);
		if (!caught.what)
			fail("the library reached outside");
		printf("cage: %s: caught: %s %#lx%s\n", bad[i], caught.what, caught.at,
		       caught.at - (unsigned long)secret < PAGE ? ", the secret" : "");
	}
	printf("cage: %s\n", secret);
	return rs_leave() ? 1 : strcmp(secret, "the password is ring") != 0;
}
