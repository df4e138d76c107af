// SPDX-License-Identifier: MIT
/*
 * child.c - children that are made by hand
 *
 * An unstarted child is what process_fork() makes, but that its address space is empty and its
 * thread has been given to no scheduler (THREAD_NEW). So there is nobody who could be on a CPU in
 * its memory, sleep in a call, hold a lock or have a translation in a TLB: its maker changes its
 * memory without asking anybody, and undoes it from its own context, as process_fork() undoes a
 * child that it has no memory for.
 *
 * Its parent is its maker from the beginning to the end of this state: whoever loses the right to
 * its children, by its end or a new program, takes these along first, so none is ever given away.
 * Nobody waits for one (proc.c, is_meant()), so that a wait for children that cannot end does not
 * begin. What others may do about it is by its number: signals stay pending; SIGKILL tells its
 * thread to go, which it does as soon as it is started; it may be put into a group, and have a
 * pidfd, which says that it has ended when it is undone.
 *
 * Starting is the one step that cannot be taken back, and the last that may need memory: the word
 * that the C library keeps its thread's number in (clear_child_tid) gets the new one first.
 */
#include <linux/sched.h>
#include <ringside_app.h>
#include "proc.h"
#include "../lib/signo.h"

long process_exofork(u64 flags, const struct rs_frame *frame)
{
	struct process *p = current_proc();
	struct fork_args a = {
		.exit_signal = SIGCHLD, .unstarted = true, .keep_tid = flags & RS_EXOFORK_TID,
	};

	if (flags & ~(u64)(RS_EXOFORK_ALONE | RS_EXOFORK_TID))
		return -EINVAL;
	if (flags & RS_EXOFORK_ALONE && (p->nthreads > 1 || p->mm->refs > 1))
		return -EBUSY;
	return process_fork(&a, frame);
}

struct process *process_child(u32 pid)
{
	struct process *p = process_find(pid);

	return p && p->unstarted && p->parent == current_proc() ? p : NULL;
}

static struct thread *only_thread(struct process *p)
{
	return list_first(&p->threads, struct thread, list);
}

long process_child_start(struct process *p)
{
	struct thread *t = only_thread(p);
	long err = t->clear_child_tid ? process_put_tid(t, t->clear_child_tid) : 0;

	if (err)
		return err;
	p->unstarted = false;
	sched_start(t);
	return 0;
}

void process_child_gone(struct process *p)
{
	list_del(&p->sibling);
	process_undo(p, only_thread(p));
}

void process_children_gone(void)
{
	struct process *p = current_proc(), *c, *next;

	list_for_each_safe(c, next, &p->children, sibling)
		if (unlikely(c->unstarted))
			process_child_gone(c);
}
