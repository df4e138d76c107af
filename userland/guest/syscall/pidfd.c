// SPDX-License-Identifier: MIT
/*
 * pidfd.c - descriptors of processes
 *
 * Between a process and its descriptors stands a struct pid_ref, made with the first of them and
 * counted by both sides: so a descriptor outlives its process, and knows. It can be waited for, which
 * is what it is for; together with files of the host by a stand-in there, an eventfd that is written
 * to when the process ends.
 */
#include <asm/unistd.h>
#include <linux/fcntl.h>
#include <linux/poll.h>
#include "pidfd.h"
#include "signal.h"
#include "syscall.h"
#include "../fs/eventfd.h"
#include "../mm/kmalloc.h"

struct pid_ref {
	u32 refs;
	struct process *p;	/* NULL: it has been waited for */
	bool ended;
	s32 stand_in;		/* host descriptor, -1 */
	struct wait_list pollers;
};

static const struct file_ops pidfd_ops;

static struct pid_ref *ref_of(struct process *p)
{
	struct pid_ref *r = p->pid_ref;

	if (r)
		return r;
	r = kzalloc(sizeof(*r));
	if (!r)
		return NULL;
	r->refs = 1;
	r->p = p;
	r->ended = p->state == PROCESS_ZOMBIE;
	r->stand_in = -1;
	wait_list_init(&r->pollers);
	p->pid_ref = r;
	return r;
}

static void ref_put(struct pid_ref *r)
{
	if (--r->refs)
		return;
	if (r->stand_in >= 0)
		file_host_close(r->stand_in);
	kfree(r);
}

void pidfd_ended(struct process *p)
{
	struct pid_ref *r = p->pid_ref;

	if (likely(!r) || r->ended)
		return;
	r->ended = true;
	wait_wake(&r->pollers);
	if (r->stand_in >= 0)
		eventfd_host_set(r->stand_in, true);
}

void pidfd_gone(struct process *p)
{
	struct pid_ref *r = p->pid_ref;

	if (likely(!r))
		return;
	pidfd_ended(p);
	p->pid_ref = NULL;
	r->p = NULL;
	ref_put(r);
}

/* --- the object ------------------------------------------------------------------------------- */

static long pidfd_rw(struct file *f, const struct user_vec *v, u32 n)
{
	(void)f, (void)v, (void)n;
	return -EINVAL;
}

static u32 pidfd_poll(struct file *f, struct wait_list **w)
{
	struct pid_ref *r = f->object;

	*w = &r->pollers;
	return r->ended ? POLLIN | POLLRDNORM : 0;
}

static long pidfd_stand_in(struct file *f)
{
	struct pid_ref *r = f->object;
	long fd;

	if (r->stand_in < 0) {
		fd = eventfd_host_new(r->ended);
		if (fd < 0)
			return fd;
		r->stand_in = (s32)fd;
	}
	return r->stand_in;
}

static void pidfd_release(struct file *f)
{
	ref_put(f->object);
}

static const struct file_ops pidfd_ops = {
	.name = "pidfd", .read = pidfd_rw, .write = pidfd_rw, .poll = pidfd_poll,
	.stand_in = pidfd_stand_in, .release = pidfd_release,
};

long pidfd_install(struct process *p, u32 flags)
{
	struct pid_ref *r = ref_of(p);
	struct file *f = r ? file_new_object(&pidfd_ops, r, O_RDWR | (flags & O_NONBLOCK)) : NULL;
	long fd;

	if (!f)
		return -ENOMEM;
	r->refs++;
	fd = fd_install(current_proc()->files, f, 0, true);
	if (fd < 0)
		file_put(f);
	return fd;
}

bool pidfd_pid(const struct file *f, u32 *pid)
{
	const struct pid_ref *r = f->object;

	if (f->ops != &pidfd_ops)
		return false;
	*pid = r->p ? r->p->pid : 0;
	return true;
}

/* --- calls ------------------------------------------------------------------------------------ */

long sys_pidfd_open(struct rs_frame *f)
{
	struct process *p;

	if ((u32)ARG1(f) & ~(u32)O_NONBLOCK || (int)ARG0(f) <= 0)
		return -EINVAL;
	p = process_find((u32)ARG0(f));
	if (!p)
		return thread_find((u32)ARG0(f)) ? -EINVAL : -ESRCH;
	return pidfd_install(p, (u32)ARG1(f));
}

long sys_pidfd_send_signal(struct rs_frame *f)
{
	struct file *file = fd_lookup(current_proc()->files, ARG0(f));
	struct k_siginfo info = signal_sent((int)ARG1(f), SI_USER);
	int sig = (int)ARG1(f);
	struct process *p;
	u32 pid;

	if ((u32)ARG3(f))
		return -EINVAL;
	if (!file || !pidfd_pid(file, &pid))
		return -EBADF;
	p = pid ? process_find(pid) : NULL;
	if (ARG2(f)) {
		if (copyin(&info, ARG2(f), sizeof(info)))
			return -EFAULT;
		if (info.signo != sig)
			return -EINVAL;
		if ((info.code >= 0 || info.code == SI_TKILL) && p != current_proc())
			return -EPERM;
	}
	if (sig < 0 || sig > NSIG)
		return -EINVAL;
	if (!p)
		return -ESRCH;
	return sig ? signal_raise(p, NULL, &info) : 0;
}
