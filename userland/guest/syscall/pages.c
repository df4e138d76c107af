// SPDX-License-Identifier: MIT
/*
 * pages.c - page calls of ringside_app.h: arguments and results; mm/pages.c does the work
 */
#include <linux/mman.h>
#include <ringside_app.h>
#include "pages.h"
#include "../lib/string.h"
#include "../mm/pages.h"

_Static_assert(RS_PAGE_NONE == 0 && RS_PAGE_READ == VM_READ && RS_PAGE_WRITE == (VM_READ | VM_WRITE),
	       "rights are those of mappings");
_Static_assert(sizeof(struct rs_page_op) == 40, "struct rs_page_op");

long app_protect(struct rs_frame *f)
{
	return mm_pages_protect(current_proc()->mm, ARG0(f), ARG1(f), ARG2(f));
}

static long op_map(struct mm *mm, struct rs_page_op *op)
{
	struct mmap_req req = {
		.addr = op->to,
		.len = op->len,
		.prot = (u32)op->arg & (PROT_READ | PROT_WRITE | PROT_EXEC),
		.flags = MAP_ANONYMOUS | (op->arg & RS_PAGES_SHARED ? MAP_SHARED : MAP_PRIVATE) |
			 (op->arg & RS_PAGES_NOW ? MAP_POPULATE : 0) |
			 (op->to ? MAP_FIXED_NOREPLACE : 0),
		.host_fd = -1,
	};
	long at;

	if (op->arg & ~(u64)(PROT_READ | PROT_WRITE | PROT_EXEC | RS_PAGES_SHARED | RS_PAGES_NOW) ||
	    (op->len | op->to) & ~PAGE_MASK || op->addr)
		return -EINVAL;
	at = mm_mmap(mm, &req);
	if (at < 0)
		return at;
	op->to = (u64)at;
	return 0;
}

static long op_map2(struct mm *mm, struct rs_page_op *op)
{
	long at = mm_map2(mm, op->addr, op->len, op->to, op->arg);

	if (at < 0)
		return at;
	op->to = (u64)at;
	return 0;
}

long page_op(struct mm *mm, struct rs_page_op *op)
{
	switch (op->op) {
	case RS_OP_PROTECT:
		return op->to ? -EINVAL : mm_pages_protect(mm, op->addr, op->len, op->arg);
	case RS_OP_MAP: return op_map(mm, op);
	case RS_OP_UNMAP: return op->to || op->arg ? -EINVAL : mm_munmap(mm, op->addr, op->len);
	case RS_OP_MAP2: return op_map2(mm, op);
	default: return -EINVAL;
	}
}

static long own_op(void *ctx, struct rs_page_op *op)
{
	struct mm *mm = ctx;

	if (op->op == RS_OP_REPLACE)
		return mm_replace(mm, op->to, mm, op->addr, op->len, op->arg);
	return page_op(mm, op);
}

/*
 * An operation whose result cannot be written has been done all the same, and counts: the program
 * has taken the memory away from under its own call.
 */
long page_ops(u64 at, u64 n, long (*fn)(void *ctx, struct rs_page_op *op), void *ctx)
{
	u64 i;

	if (n > RS_PAGE_OPS_MAX)
		return -EINVAL;
	for (i = 0; i < n; i++, at += sizeof(struct rs_page_op)) {
		struct rs_page_op op;

		if (copyin(&op, at, sizeof(op)))
			return i ? (long)i : -EFAULT;
		op.result = (s32)fn(ctx, &op);
		if (copyout(at, &op, sizeof(op)) && op.result)
			return i ? (long)i : -EFAULT;
		if (op.result)
			break;
	}
	return (long)i;
}

long app_pages(struct rs_frame *f)
{
	return page_ops(ARG0(f), ARG1(f), own_op, current_proc()->mm);
}

/*
 * What the host may be writing to now for some thread is going to be written after its bit has been
 * taken. So it has it again at once, and the page counts for this interval and for the next.
 */
static void keep_host_writes(struct mm *mm)
{
	struct process *p;
	struct thread *t;
	u32 i;

	if (current_proc()->nthreads == 1 && mm->refs == 1)
		return;
	for (p = process_next(NULL); p; p = process_next(p)) {
		if (p->mm != mm)
			continue;
		list_for_each(t, &p->threads, list)
			for (i = 0; i < t->nhost_writes; i++)
				mm_pages_written(mm, t->host_write[i].addr, t->host_write[i].len);
	}
}

#define WORDS 64u /* of the bitmap at a time */

/*
 * The bitmap is written with zeros first: it is there and writable before anything is cleared, and
 * nobody can change that until the end of the call, which does not sleep.
 */
long app_dirty(struct rs_frame *f)
{
	u64 addr = ARG0(f), len = ARG1(f), to = ARG2(f), flags = ARG3(f), pages, n = 0, part, words;
	bool clear = flags & RS_DIRTY_CLEAR, accessed = flags & RS_DIRTY_ACCESSED;
	struct mm *mm = current_proc()->mm;
	u64 bits[WORDS];
	long err;

	if (flags & ~(u64)(RS_DIRTY_CLEAR | RS_DIRTY_ACCESSED))
		return -EINVAL;
	pages = len >> PAGE_SHIFT;
	if (len > USER_TOP || clearout(to, (pages + 63) / 64 * 8))
		return len > USER_TOP ? -EINVAL : -EFAULT;
	err = mm_pages_bits_begin(mm, addr, len, accessed, clear);
	if (err)
		return err;
	for (; pages; pages -= part, addr += part << PAGE_SHIFT, to += words * 8) {
		u64 some;

		part = min(pages, WORDS * 64ull);
		words = (part + 63) / 64;
		some = mm_pages_bits(mm, addr, part, accessed, clear, bits);
		n += some;
		if (some && copyout(to, bits, words * 8)) {
			err = -EFAULT;
			break;
		}
	}
	if (clear && n) {
		if (!accessed)
			keep_host_writes(mm);
		mm_pages_bits_end();
	}
	return err ? err : (long)n;
}
