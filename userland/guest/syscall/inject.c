// SPDX-License-Identifier: MIT
/*
 * inject.c - making the n-th allocation fail, for tests
 *
 * One count for the sandbox. An allocation counts when the thread it is made for belongs to the
 * process that asked, or to a process below it that still runs the same program: what fork and exec
 * allocate is counted up to the point where the new program has been loaded. The refusal happens
 * once, at the one number, so whatever is done about it finds memory again.
 *
 * The hook is asked with locks of the allocator held, so it only counts.
 */
#include "inject.h"
#include "../mm/page_alloc.h"
#include "../mm/pgtable.h"
#include "../proc/proc.h"

static u32 target; /* pid */
static u64 count, fail_at;

static bool concerned(void)
{
	struct process *p = current_proc();

	while (p && p->pid != target && !p->execed)
		p = p->parent;
	return p && p->pid == target;
}

static bool refuse(void)
{
	return concerned() && ++count == fail_at;
}

long inject_set(u64 n)
{
	long counted = (long)count;

	page_alloc_refuse = NULL;
	thread_drop_spare();
	pgtable_drop_spare();
	count = 0;
	fail_at = n;
	target = current_proc()->pid;
	if (n)
		page_alloc_refuse = refuse;
	return counted;
}
