// SPDX-License-Identifier: MIT
/*
 * signalfd.c - signals that are read from a descriptor
 *
 * What can be read is the reader's: the open file only holds the mask. A thread that reads waits as
 * sigtimedwait does. To be waited for together with files of the host there is a stand-in, an eventfd,
 * for each process that asks (its threads' signals count as they do for the one that asked): its
 * counter is not 0 exactly while a signal of the mask is pending, so every change of what is
 * pending looks here (signalfd_changed()). As on Linux an epoll set that is inherited tells of the
 * signals of the process that has put the descriptor in.
 */
#include <asm/unistd.h>
#include <linux/fcntl.h>
#include <linux/poll.h>
#include "signal.h"
#include "syscall.h"
#include "../fs/eventfd.h"
#include "../lib/string.h"
#include "../mm/kmalloc.h"

struct signalfd {
	u64 mask;
	struct list stand_ins;
};

struct stand_in {
	struct list of_file, of_process;
	const struct signalfd *s;
	struct signal_process *sp;
	u32 tid;
	s32 host_fd;
	bool set;
};

/* struct signalfd_siginfo */
struct k_signalfd_siginfo {
	u32 signo;
	s32 err, code;
	u32 pid, uid;
	s32 fd;
	u32 tid, band, overrun, trapno;
	s32 status, value_int;
	u64 value_ptr, utime, stime, addr;
	u8 pad[48];
};

_Static_assert(sizeof(struct k_signalfd_siginfo) == 128, "struct signalfd_siginfo");

static const struct file_ops signalfd_ops;

/* --- stand-ins -------------------------------------------------------------------------------- */

static void update(struct stand_in *i)
{
	const struct thread *t = thread_find(i->tid);
	u64 set = i->sp->pending.set;
	bool ready;

	if (t && t->proc == i->sp->proc)
		set |= t->sig->pending.set;
	ready = set & i->s->mask;
	if (ready == i->set)
		return;
	i->set = ready;
	eventfd_host_set(i->host_fd, ready);
}

void signalfd_changed(struct signal_process *sp)
{
	struct stand_in *i;

	list_for_each(i, &sp->stand_ins, of_process)
		update(i);
	wait_wake(&sp->signalfd_pollers);
}

static void drop(struct stand_in *i)
{
	list_del(&i->of_file);
	list_del(&i->of_process);
	file_host_close(i->host_fd);
	kfree(i);
}

void signalfd_process_free(struct signal_process *sp)
{
	while (!list_empty(&sp->stand_ins))
		drop(list_first(&sp->stand_ins, struct stand_in, of_process));
}

static long signalfd_stand_in(struct file *f)
{
	struct signal_process *sp = current_proc()->signals;
	struct signalfd *s = f->object;
	struct stand_in *i;
	long fd;

	list_for_each(i, &s->stand_ins, of_file)
		if (i->sp == sp)
			return i->host_fd;
	i = kzalloc(sizeof(*i));
	if (!i)
		return -ENOMEM;
	fd = eventfd_host_new(false);
	if (fd < 0) {
		kfree(i);
		return fd;
	}
	i->s = s;
	i->sp = sp;
	i->tid = current()->tid;
	i->host_fd = (s32)fd;
	list_add_tail(&s->stand_ins, &i->of_file);
	list_add_tail(&sp->stand_ins, &i->of_process);
	update(i);
	return fd;
}

/* --- the object ------------------------------------------------------------------------------- */

static void fill(struct k_signalfd_siginfo *s, const struct k_siginfo *info)
{
	*s = (struct k_signalfd_siginfo){ .signo = (u32)info->signo, .err = info->err,
					  .code = info->code };
	if (info->code == SI_TIMER) {
		s->tid = (u32)info->pid;
		s->overrun = info->uid;
		s->value_ptr = info->value;
		s->value_int = (s32)info->value;
	} else if (info->code > 0 && info->code != SI_KERNEL && info->signo == SIGCHLD) {
		s->pid = (u32)info->pid;
		s->uid = info->uid;
		s->status = (s32)info->value;
	} else {
		s->pid = (u32)info->pid;
		s->uid = info->uid;
		if (info->code < 0 && info->code != SI_TKILL) {
			s->value_ptr = info->value;
			s->value_int = (s32)info->value;
		}
	}
}

static long put(struct user_cursor *c, const struct k_siginfo *info)
{
	struct k_signalfd_siginfo s;
	const char *from = (const char *)&s;
	u64 left = sizeof(s), part;

	fill(&s, info);
	for (; left; left -= part, from += part) {
		part = min(cursor_run(c), left);
		if (copyout(cursor_va(c), from, part))
			return -EFAULT;
		cursor_move(c, part);
	}
	return 0;
}

static long signalfd_read(struct file *f, const struct user_vec *v, u32 n)
{
	struct signalfd *s = f->object;
	struct k_siginfo info;
	struct user_cursor c;
	long done = 0, err = 0;
	bool block = !(f->flags & O_NONBLOCK);

	cursor_init(&c, v, n);
	if (c.left < sizeof(struct k_signalfd_siginfo))
		return -EINVAL;
	file_get(f);
	while (c.left >= sizeof(struct k_signalfd_siginfo)) {
		if (!signal_take(s->mask, block && !done, 0, &info, &err))
			break;
		if (put(&c, &info)) {
			err = -EFAULT;
			break;
		}
		done += (long)sizeof(struct k_signalfd_siginfo);
	}
	file_put(f);
	if (done)
		return done;
	return err ? err : -EAGAIN;
}

static long signalfd_write(struct file *f, const struct user_vec *v, u32 n)
{
	(void)f, (void)v, (void)n;
	return -EINVAL;
}

static u32 signalfd_poll(struct file *f, struct wait_list **w)
{
	struct signal_process *sp = current_proc()->signals;
	const struct signalfd *s = f->object;

	*w = &sp->signalfd_pollers;
	host_events();
	return (sp->pending.set | current()->sig->pending.set) & s->mask ? POLLIN | POLLRDNORM : 0;
}

static void signalfd_release(struct file *f)
{
	struct signalfd *s = f->object;

	while (!list_empty(&s->stand_ins))
		drop(list_first(&s->stand_ins, struct stand_in, of_file));
	kfree(s);
}

static const struct file_ops signalfd_ops = {
	.name = "signalfd", .read = signalfd_read, .write = signalfd_write, .poll = signalfd_poll,
	.stand_in = signalfd_stand_in, .release = signalfd_release,
};

/* --- calls ------------------------------------------------------------------------------------ */

static long new_signalfd(u64 mask, u32 flags)
{
	struct signalfd *s = kzalloc(sizeof(*s));
	struct file *f;
	long fd;

	if (!s)
		return -ENOMEM;
	s->mask = mask;
	list_init(&s->stand_ins);
	f = file_new_object(&signalfd_ops, s, O_RDWR | (flags & O_NONBLOCK));
	if (!f) {
		kfree(s);
		return -ENOMEM;
	}
	fd = fd_install(current_proc()->files, f, 0, flags & O_CLOEXEC);
	if (fd < 0)
		file_put(f);
	return fd;
}

static long do_signalfd(struct rs_frame *f, u32 flags)
{
	struct file *file;
	struct signalfd *s;
	struct stand_in *i;
	u64 mask;

	if (ARG2(f) != 8)
		return -EINVAL;
	if (get_user_u64(&mask, ARG1(f)))
		return -EFAULT;
	if (flags & ~(u32)(O_CLOEXEC | O_NONBLOCK))
		return -EINVAL;
	mask &= ~(SIGBIT(SIGKILL) | SIGBIT(SIGSTOP));
	if ((int)ARG0(f) == -1)
		return new_signalfd(mask, flags);
	file = fd_lookup(current_proc()->files, ARG0(f));
	if (!file)
		return -EBADF;
	if (file->ops != &signalfd_ops)
		return -EINVAL;
	s = file->object;
	s->mask = mask;
	list_for_each(i, &s->stand_ins, of_file)
		update(i);
	wait_wake(&current_proc()->signals->signalfd_pollers);
	return (int)ARG0(f);
}

long sys_signalfd(struct rs_frame *f)
{
	return do_signalfd(f, 0);
}

long sys_signalfd4(struct rs_frame *f)
{
	return do_signalfd(f, (u32)ARG3(f));
}
