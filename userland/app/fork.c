// SPDX-License-Identifier: MIT
/*
 * fork.c - fork by the program itself
 *
 * The child is made without memory, and then, while it does not run:
 *
 *	1. The program's own pages are looked through in its page tables. A private page that may be
 *	   written is closed and marked; calls may still write it (RS_PAGE_CALLS), which copies it, opens
 *	   it and takes the mark. Pages that are marked already, from an earlier fork, stay so.
 *	2. Each mapping is given to the child with its pages, with what was taken from them, and with
 *	   their marks.
 *	3. The trap stack is not closed: a trap could not be told of there. The child gets copies of its
 *	   pages.
 *	4. The child starts.
 *
 * From the moment a page is closed until the child has it, the program may well write to it: its
 * stack, the variables of what runs here. Then it is copied, open and without a mark when it is
 * given, and the guest kernel's own copy-on-write keeps it private to each. So closing is about who
 * copies, never about who sees what; it is why none of this has to be done in one step.
 *
 * A write to a marked page traps. The handler copies the page into one on its own trap stack and
 * puts that in its place, in one operation, if the page is closed still (RS_PAGE_CLOSED): a signal
 * handler, another thread or a call may have copied it since, and have written to the copy. While
 * it is closed nobody writes to it, so the copy is whole.
 *
 * The child's registers are those of rs_exofork(), its stack is that of the moment it is given,
 * when the program is deep in fill(). So what the child does from there to its return may use
 * nothing of rs_user_fork()'s frame that the parent changes meanwhile: fill() is a function of its
 * own, and the saved mask is not written again.
 */
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <ringside/fork.h>
#include "internal.h"

#define PAGE	4096ul
#define COW	RS_PTE_MARK(3)
#define OTHER_MARKS(e) (((e) >> 52 & 7) * RS_PAGE_MARK(0))	/* as words of RS_SYS_PROTECT */
#define OPS	64u
#define MAPS	32u

long rs_child_pages(long pid, struct rs_page_op *ops, size_t n)
{
	return rs_app_call(RS_SYS_CHILD_PAGES, pid, (long)ops, (long)n, 0);
}

int rs_child_run(long pid)
{
	return (int)rs_app_call(RS_SYS_CHILD_STATUS, pid, RS_CHILD_RUN, 0, 0);
}

int rs_child_gone(long pid)
{
	return (int)rs_app_call(RS_SYS_CHILD_STATUS, pid, RS_CHILD_GONE, 0, 0);
}

long rs_mappings(const void *addr, struct rs_mapping *maps, size_t n)
{
	return rs_app_call(RS_SYS_MAPPINGS, (long)addr, (long)maps, (long)n, 0);
}

/* --- operations in batches -------------------------------------------------------------------- */

/* @pid 0: on the own memory */
struct batch {
	long pid;
	unsigned int n;
	struct rs_page_op op[OPS];
};

/* What has gone wrong, 0 if nothing has. */
static long batch_end(struct batch *b)
{
	unsigned int n = b->n;
	long done;

	if (!n)
		return 0;
	done = b->pid ? rs_child_pages(b->pid, b->op, n) : rs_page_ops(b->op, n);
	b->n = 0;
	return done == n ? 0 : done < 0 ? done : b->op[done].result;
}

static long batch_add(struct batch *b, unsigned int op, uint64_t addr, uint64_t end, uint64_t arg,
		      uint64_t to)
{
	b->op[b->n++] = (struct rs_page_op){
		.op = op, .addr = addr, .len = end - addr, .arg = arg, .to = to
	};
	return b->n == OPS ? batch_end(b) : 0;
}

/* --- the own memory --------------------------------------------------------------------------- */

static int is_trap_stack(uint64_t va)
{
	return va + PAGE > rs_app_stack.base && va < rs_app_stack.base + rs_app_stack.size;
}

/*
 * The entry of the page at @va as it is now, present or not (0: the page is untouched), and in
 * *@next the next page, or the next address that may have one when there is no table for this. A
 * large page is 512 that are alike.
 */
static uint64_t entry_at(uint64_t va, uint64_t *next)
{
	uint64_t e = 0;
	int l;

	*next = va + PAGE;
	for (l = 4; l; l--) {
		e = *(const volatile uint64_t *)RS_PT_ENTRY(va, l);
		if (e & RS_PTE_P && !(e & RS_PTE_LARGE))
			continue;
		if (!e)
			*next = (va | ((1ul << (9 * l + 3)) - 1)) + 1;
		break;
	}
	return e;
}

/*
 * A way through pages in order. Below @end there is a table of level 1, whose entries can be read. It
 * stays while this goes on, as it has an entry; but for a page of the trap stack, which a trap may
 * take away.
 */
struct walk {
	uint64_t end;
};

static uint64_t walk_entry(struct walk *w, uint64_t va, uint64_t *next)
{
	uint64_t e;

	if (va >= w->end) {
		e = entry_at(va, next);
		if (!e || is_trap_stack(va) ||
		    *(const volatile uint64_t *)RS_PT_ENTRY(va, 2) & RS_PTE_LARGE)
			return e;
		w->end = (va | (PAGE * 512 - 1)) + 1;
	}
	*next = va + PAGE;
	return *(const volatile uint64_t *)RS_PT_ENTRY(va, 1);
}

/* What is to be done with the page whose entry is @e: words for RS_SYS_PROTECT, or -1: nothing. */
typedef long (*words_fn)(uint64_t va, uint64_t e);

static long words_close(uint64_t va, uint64_t e)
{
	if (!(e & RS_PTE_P) || e & (RS_PTE_NO_WRITE | RS_PTE_NO_ACCESS) || is_trap_stack(va))
		return -1;
	return (long)(RS_PAGE_READ | RS_PAGE_CALLS | RS_PAGE_MARK(3) | OTHER_MARKS(e));
}

static long words_open(uint64_t va, uint64_t e)
{
	(void)va;
	return (e & (COW | RS_PTE_NO_WRITE)) == (COW | RS_PTE_NO_WRITE)
		       ? (long)(RS_PAGE_WRITE | OTHER_MARKS(e))
		       : -1;
}

/* Does @words to the pages of @m, in runs of those that are alike. */
static long protect_runs(struct batch *b, const struct rs_mapping *m, words_fn words)
{
	uint64_t va, next, from = 0;
	long now = -1, w, err = 0;
	struct walk walk = { 0 };

	for (va = m->start; va < m->end && !err; va = next) {
		w = words(va, walk_entry(&walk, va, &next));
		if (w == now)
			continue;
		if (now != -1)
			err = batch_add(b, RS_OP_PROTECT, from, va, (uint64_t)now | RS_PAGE_TOUCHED,
					0);
		now = w;
		from = va;
	}
	if (now != -1 && !err)
		err = batch_add(b, RS_OP_PROTECT, from, m->end, (uint64_t)now | RS_PAGE_TOUCHED, 0);
	return err;
}

static int is_copied(const struct rs_mapping *m)
{
	return m->rights & 2 /* PROT_WRITE */ &&
	       !(m->flags &
		 (RS_MAPPING_SHARED | RS_MAPPING_FIXED | RS_MAPPING_NOT_FORKED | RS_MAPPING_WIPED));
}

/* --- for each mapping ------------------------------------------------------------------------- */

typedef long (*mapping_fn)(struct batch *b, const struct rs_mapping *m);

static long close_mapping(struct batch *b, const struct rs_mapping *m)
{
	return is_copied(m) ? protect_runs(b, m, words_close) : 0;
}

static long open_mapping(struct batch *b, const struct rs_mapping *m)
{
	return is_copied(m) ? protect_runs(b, m, words_open) : 0;
}

static long give_mapping(struct batch *b, const struct rs_mapping *m)
{
	return m->flags & RS_MAPPING_NOT_FORKED
		       ? 0
		       : batch_add(b, RS_OP_GIVE, m->start, m->end, 0, m->start);
}

static long for_each_mapping(long pid, mapping_fn fn)
{
	struct batch b = { .pid = pid };
	struct rs_mapping m[MAPS];
	const void *at = NULL;
	long n, i, err;

	for (;;) {
		n = rs_mappings(at, m, MAPS);
		if (n <= 0)
			return n ? n : batch_end(&b);
		for (i = 0; i < n; i++) {
			err = fn(&b, &m[i]);
			if (err)
				return err;
		}
		at = (const void *)m[n - 1].end;
	}
}

/* --- copies ----------------------------------------------------------------------------------- */

/*
 * A copy of the own page at @va in its place: in the child's memory, or the own. The copy is made
 * on the stack this runs on, and its page is gone from there afterwards, as if it had never been
 * touched.
 */
static __attribute__((noinline)) long put_copy(long pid, uint64_t va, uint64_t arg)
{
	char copy[PAGE] __attribute__((aligned(4096)));
	struct rs_page_op op = {
		.op = RS_OP_REPLACE, .addr = (uint64_t)copy, .len = PAGE, .arg = arg, .to = va
	};
	long done;

	memcpy(copy, (const void *)va, PAGE);
	__asm__ volatile("" : : "r"(copy) : "memory");
	done = pid ? rs_child_pages(pid, &op, 1) : rs_page_ops(&op, 1);
	return done == 1 ? 0 : done < 0 ? done : op.result;
}

/* The mapping allows to write to @va: then a page that is not closed was opened after the trap. */
static int is_open(uint64_t va)
{
	struct rs_mapping m;

	return rs_mappings((const void *)va, &m, 1) == 1 && m.start <= va && m.rights & 2;
}

static int on_fault(struct rs_trap_frame *f)
{
	uint64_t va = f->addr & -PAGE, next, e;
	long err;

	if (f->cause != RS_CAUSE_WRITE)
		return rs_app_fault_next(f);
	e = entry_at(va, &next);
	if (!(e & (RS_PTE_NO_WRITE | RS_PTE_NO_ACCESS)) && is_open(va))
		return RS_TRAP_RESUME;
	if ((e & (COW | RS_PTE_NO_WRITE)) != (COW | RS_PTE_NO_WRITE))
		return rs_app_fault_next(f);
	err = put_copy(0, va, RS_PAGE_WRITE | RS_PAGE_CLOSED | OTHER_MARKS(e));
	/*
	 * Without memory for all that, the guest kernel may still have a page for the copy; or says
	 * what is missing.
	 */
	if (err == -ENOMEM)
		err = rs_page_protect((void *)va, PAGE, RS_PAGE_WRITE | OTHER_MARKS(e));
	return !err || err == -EAGAIN ? RS_TRAP_RESUME : rs_app_fault_next(f);
}

static long copy_trap_stack(long pid)
{
	uint64_t va = rs_app_stack.base & -PAGE, end = rs_app_stack.base + rs_app_stack.size, next;
	long err = 0;

	for (; va < end && !err; va = next)
		if (entry_at(va, &next) & RS_PTE_P)
			err = put_copy(pid, va, RS_PAGE_WRITE);
	return err;
}

/* --- fork ------------------------------------------------------------------------------------- */

/* The child has all of it and runs: its number; or it has never been: -errno */
static __attribute__((noinline)) long fill(long pid)
{
	long err = for_each_mapping(0, close_mapping);

	if (!err)
		err = for_each_mapping(pid, give_mapping);
	if (!err)
		err = copy_trap_stack(pid);
	if (!err)
		err = rs_child_run(pid);
	if (!err)
		return pid;
	rs_child_gone(pid);
	return err;
}

static __attribute__((noinline)) long prepare(void)
{
	long err = 0;

	if ((rs_app_features() &
	     (RS_APP_UPCALL | RS_APP_PAGES | RS_APP_PAGE_TABLES | RS_APP_PROCESSES)) !=
	    (RS_APP_UPCALL | RS_APP_PAGES | RS_APP_PAGE_TABLES | RS_APP_PROCESSES))
		return -ENOSYS;
	if (!rs_app_stack.size)
		err = rs_trap_stack_alloc(4 * RS_USER_FORK_STACK);
	else if (rs_app_stack.size < rs_trap_stack_need() + RS_USER_FORK_STACK)
		err = -EINVAL;
	return err ? err : rs_app_fault_first(on_fault);
}

static void set_mask(const uint64_t *set, uint64_t *old)
{
	/* the system call itself: the C library leaves two signals out */
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, set, old, sizeof(*set));
}

long rs_user_fork(void)
{
	const uint64_t all = ~0ul;
	uint64_t old;
	long pid = prepare();

	if (pid)
		return pid;
	/* A handler that ran now would be half in the one and half in the other. */
	set_mask(&all, &old);
	pid = rs_exofork(RS_EXOFORK_ALONE | RS_EXOFORK_TID);
	if (pid > 0)
		pid = fill(pid);
	set_mask(&old, NULL);
	return pid;
}

int rs_user_fork_end(void)
{
	return rs_app_features() & RS_APP_PROCESSES ? (int)for_each_mapping(0, open_mapping)
						    : -ENOSYS;
}
