// SPDX-License-Identifier: MIT
/*
 * eventfd.c - counters that can be waited for
 *
 * A write adds to the counter, a read takes all of it, or one; readers wait for it to be more than
 * 0, writers until what they add keeps it below the largest number. Waiting and waking is as in
 * pipe.c: the first of a list is awake while there is something for it, and whoever leaves passes
 * that on. Writers wait for different amounts, so all of them are woken; they are few.
 */
#include <asm/unistd.h>
#include <linux/fcntl.h>
#include <linux/poll.h>
#include "eventfd.h"
#include "../host/host.h"
#include "../mm/kmalloc.h"
#include "../mm/uaccess.h"

#define COUNT_MAX	(~0ull - 1)
#define EFD_SEMAPHORE	1u

struct eventfd {
	u64 count;
	bool semaphore;
	struct wait_list readers, writers, pollers;
};

static const struct file_ops eventfd_ops;

static void news_for_readers(struct eventfd *e)
{
	if (!e->count)
		return;
	wait_wake_first(&e->readers);
	wait_wake(&e->pollers);
}

/* The copy comes first: what cannot be delivered is not taken. */
static long take(struct eventfd *e, const struct user_cursor *at)
{
	u64 n = e->semaphore ? 1 : e->count, part;
	struct user_cursor c = *at;
	char *from = (char *)&n;

	if (!e->count)
		return -EAGAIN;
	for (c.left = 8; c.left; cursor_move(&c, part)) {
		part = min(cursor_run(&c), c.left);
		if (copyout(cursor_va(&c), from, part))
			return -EFAULT;
		from += part;
	}
	e->count -= n;
	wait_wake(&e->writers);
	wait_wake(&e->pollers);
	return 8;
}

static long add(struct eventfd *e, u64 n)
{
	if (COUNT_MAX - e->count < n)
		return -EAGAIN;
	e->count += n;
	news_for_readers(e);
	return 8;
}

static long eventfd_read(struct file *f, const struct user_vec *v, u32 n)
{
	struct eventfd *e = f->object;
	struct user_cursor c;
	struct wait_entry w;
	long ret, err = 0;

	cursor_init(&c, v, n);
	if (c.left < 8)
		return -EINVAL;
	ret = take(e, &c);
	if (ret != -EAGAIN || f->flags & O_NONBLOCK)
		return ret;
	file_get(f);
	wait_enter(&e->readers, &w);
	while (ret == -EAGAIN && !err) {
		err = thread_sleep(NO_DEADLINE, SLEEP_SIGNALS);
		if (f->ops != &eventfd_ops) {
			wait_leave(&w);
			ret = err ? err : file_host_rw(f, v, n, 0, FILE_READ);
			goto out;
		}
		ret = take(e, &c);
	}
	wait_leave(&w);
	news_for_readers(e);
	if (ret == -EAGAIN)
		ret = err;
out:
	file_put(f);
	return ret;
}

static long eventfd_write(struct file *f, const struct user_vec *v, u32 n)
{
	struct eventfd *e = f->object;
	struct user_cursor c;
	struct wait_entry w;
	u64 value, part;
	char *to = (char *)&value;
	long ret, err = 0;

	cursor_init(&c, v, n);
	if (c.left < 8)
		return -EINVAL;
	for (c.left = 8; c.left; cursor_move(&c, part)) {
		part = min(cursor_run(&c), c.left);
		if (copyin(to, cursor_va(&c), part))
			return -EFAULT;
		to += part;
	}
	if (value == ~0ull)
		return -EINVAL;
	ret = add(e, value);
	if (ret != -EAGAIN || f->flags & O_NONBLOCK)
		return ret;
	file_get(f);
	wait_enter(&e->writers, &w);
	while (ret == -EAGAIN && !err) {
		err = thread_sleep(NO_DEADLINE, SLEEP_SIGNALS);
		if (f->ops != &eventfd_ops) {
			wait_leave(&w);
			ret = err ? err : file_host_rw(f, v, n, 0, FILE_WRITE);
			goto out;
		}
		ret = add(e, value);
	}
	wait_leave(&w);
	if (ret == -EAGAIN)
		ret = err;
out:
	file_put(f);
	return ret;
}

static u32 eventfd_poll(struct file *f, struct wait_list **w)
{
	struct eventfd *e = f->object;

	*w = &e->pollers;
	return (e->count ? POLLIN : 0) | (e->count < COUNT_MAX ? POLLOUT : 0);
}

static void eventfd_release(struct file *f)
{
	kfree(f->object);
}

static long eventfd_materialise(struct file *f)
{
	struct eventfd *e = f->object;
	u64 value = e->count;
	long fd, ret;

	fd = file_host_call(__NR_eventfd2, 0,
			    O_CLOEXEC | (f->flags & O_NONBLOCK) |
				    (e->semaphore ? EFD_SEMAPHORE : 0), 0);
	if (fd < 0)
		return fd;
	if (value) {
		ret = file_host_call(__NR_write, fd, gpa_of(&value), 8);
		if (ret != 8) {
			file_host_close((int)fd);
			return ret < 0 ? ret : -EIO;
		}
	}
	file_became_host(f, (int)fd);
	wait_drain(&e->readers);
	wait_drain(&e->writers);
	wait_drain(&e->pollers);
	kfree(e);
	return 0;
}

static const struct file_ops eventfd_ops = {
	.name = "eventfd",
	.read = eventfd_read,
	.write = eventfd_write,
	.poll = eventfd_poll,
	.materialise = eventfd_materialise,
	.release = eventfd_release,
};

struct file *eventfd_create(u32 count, bool semaphore, u32 flags)
{
	struct eventfd *e = kzalloc(sizeof(*e));
	struct file *f;

	if (!e)
		return NULL;
	e->count = count;
	e->semaphore = semaphore;
	wait_list_init(&e->readers);
	wait_list_init(&e->writers);
	wait_list_init(&e->pollers);
	f = file_new_object(&eventfd_ops, e, O_RDWR | flags);
	if (!f)
		kfree(e);
	return f;
}

long eventfd_host_new(bool set)
{
	return file_host_call(__NR_eventfd2, set, O_CLOEXEC | O_NONBLOCK, 0);
}

void eventfd_host_set(int host_fd, bool set)
{
	u64 n = 1;

	file_host_call(set ? __NR_write : __NR_read, (u64)host_fd, gpa_of(&n), sizeof(n));
}
