// SPDX-License-Identifier: MIT
/*
 * children.c - RS_SYS_EXOFORK and what goes with it: arguments and results; proc/child.c and mm/ do
 * the work
 */
#include <ringside_app.h>
#include "pages.h"
#include "../mm/pages.h"

_Static_assert(sizeof(struct rs_mapping) == 24, "struct rs_mapping");

long app_exofork(struct rs_frame *f)
{
	return process_exofork(ARG0(f), f);
}

long app_child_status(struct rs_frame *f)
{
	struct process *p = ARG0(f) >> 31 ? NULL : process_child((u32)ARG0(f));

	if (ARG1(f) != RS_CHILD_RUN && ARG1(f) != RS_CHILD_GONE)
		return -EINVAL;
	if (!p)
		return -ESRCH;
	if (ARG1(f) == RS_CHILD_RUN)
		return process_child_start(p);
	process_child_gone(p);
	return 0;
}

static long give(struct mm *mm, struct rs_page_op *op)
{
	if (op->arg)
		return -EINVAL;
	if (process_host_writes(op->addr, op->len))
		return -EBUSY;
	return mm_give(mm, op->to, current_proc()->mm, op->addr, op->len);
}

static long child_op(void *ctx, struct rs_page_op *op)
{
	const struct process *p = process_child((u32)(u64)ctx);

	/* Looked for each time: the call has copied from and to memory meanwhile. */
	if (!p)
		return -ESRCH;
	switch (op->op) {
	case RS_OP_GIVE: return give(p->mm, op);
	case RS_OP_REPLACE:
		return mm_replace(p->mm, op->to, current_proc()->mm, op->addr, op->len, op->arg);
	default: return page_op(p->mm, op);
	}
}

long app_child_pages(struct rs_frame *f)
{
	u64 pid = ARG0(f);

	if (pid >> 31 || !process_child((u32)pid))
		return -ESRCH;
	return page_ops(ARG1(f), ARG2(f), child_op, (void *)pid);
}

/* --- the own mappings ------------------------------------------------------------------------- */

static struct rs_mapping mapping_of(const struct vma *v)
{
	static const struct {
		u32 vm, flag;
	} flags[] = {
		{ VM_SHARED, RS_MAPPING_SHARED },	{ VM_GROWSDOWN, RS_MAPPING_GROWS },
		{ VM_BRK, RS_MAPPING_BRK },		{ VM_FIXED_KERNEL, RS_MAPPING_FIXED },
		{ VM_DONTFORK, RS_MAPPING_NOT_FORKED },	{ VM_WIPEONFORK, RS_MAPPING_WIPED },
	};
	struct rs_mapping m = {
		.start = v->start, .end = v->end, .rights = v->flags & VM_PROT,
		.flags = v->file ? RS_MAPPING_FILE : 0,
	};
	u32 i;

	for (i = 0; i < ARRAY_SIZE(flags); i++)
		if (v->flags & flags[i].vm)
			m.flags |= flags[i].flag;
	return m;
}

#define MAPPINGS 16u /* at a time */

/* Found anew for each part: what is written to may be a stack that grows. */
long app_mappings(struct rs_frame *f)
{
	u64 addr = ARG0(f), to = ARG1(f), n = ARG2(f), done = 0, i;
	struct mm *mm = current_proc()->mm;
	struct rs_mapping some[MAPPINGS];

	if (n > RS_MAPPINGS_MAX)
		return -EINVAL;
	while (done < n) {
		const struct vma *v = mm_find_from(mm, addr);

		for (i = 0; v && i < MAPPINGS && done + i < n; i++, v = mm_find_from(mm, addr)) {
			some[i] = mapping_of(v);
			addr = v->end;
		}
		if (!i)
			break;
		if (copyout(to + done * sizeof(some[0]), some, i * sizeof(some[0])))
			return -EFAULT;
		done += i;
	}
	return (long)done;
}
