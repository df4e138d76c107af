// SPDX-License-Identifier: MIT
/*
 * pipe.c - pipes between processes of the sandbox
 *
 * A pipe is a ring of bytes in pages that are allocated when the first byte arrives there and freed
 * when the last one is gone; positions are counted on for ever and taken modulo the size, a power of
 * two. A pipe that has become empty begins again at the start of the page it was in, and keeps that
 * page: short messages to and fro always use the same page and never allocate.
 *
 * Each end is one open file however many descriptors lead to it, so "no writer is left" is that the
 * writer's file is gone. Named pipes are the host's; opening an end again by its name in /proc makes
 * the pipe the host's first.
 *
 * Waiting: readers wait for a byte (or for the last writer to go), writers for room of PIPE_ATOMIC,
 * pollers for either. Of readers, and of writers, only the first is woken; whoever leaves the list
 * wakes the next if there is still something for him, whatever made him leave. So while there is
 * something for them the first of a list is awake, and a token put into a pipe that hundred
 * processes read from wakes one.
 *
 * Nothing else runs between two sleeps (proc/sched.h), and neither the copies from and to the process
 * nor waking sleep: so a write of up to PIPE_ATOMIC bytes, which begins only when there is room for
 * all of it, is in one piece.
 *
 * Invariants: 0 <= head - tail <= size; every slot that has a byte of [tail, head) has a page; the
 * last slot may have bytes of both ends in its page (tail's behind head's).
 */
#include <asm/unistd.h>
#include <linux/fcntl.h>
#include <linux/poll.h>
#include "pipe.h"
#include "../host/host.h"
#include "../lib/assert.h"
#include "../lib/string.h"
#include "../mm/kmalloc.h"
#include "../mm/page_alloc.h"
#include "../mm/uaccess.h"

#define SLOTS	(PIPE_SIZE_DEFAULT / PAGE_SIZE)

struct pipe {
	struct file *reader, *writer;	/* not counted; NULL: closed */
	u32 head, tail;			/* where the next byte goes to, and comes from */
	u32 size;
	void **page;			/* [size / PAGE_SIZE] */
	struct wait_list readers, writers, pollers;
	u64 ino;
	void *own_page[SLOTS];		/* what page points to as long as that is enough */
};

static const struct file_ops pipe_ops;
static u64 last_ino;

static u32 used(const struct pipe *p)
{
	return p->head - p->tail;
}

static u32 room(const struct pipe *p)
{
	return p->size - used(p);
}

static void **slot_of(const struct pipe *p, u32 pos)
{
	return &p->page[(pos & (p->size - 1)) >> PAGE_SHIFT];
}

static void slot_free(void **slot)
{
	if (*slot)
		page_put(gpa_page(gpa_of(*slot)));
	*slot = NULL;
}

/* --- news for those who wait ------------------------------------------------------------------ */

static void news_for_readers(struct pipe *p)
{
	if (p->head == p->tail)
		return;
	wait_wake_first(&p->readers);
	if (unlikely(!list_empty(&p->pollers.entries)))
		wait_wake(&p->pollers);
}

static void news_for_writers(struct pipe *p)
{
	if (room(p) < PIPE_ATOMIC)
		return;
	wait_wake_first(&p->writers);
	if (unlikely(!list_empty(&p->pollers.entries)))
		wait_wake(&p->pollers);
}

/* --- bytes ------------------------------------------------------------------------------------ */

/* Position @p->tail has come to the end of a page. */
static void page_read(struct pipe *p)
{
	u32 left = used(p);

	/* Nothing left: the page is kept. More than this: the slot has the newest bytes, too. */
	if (left && left <= p->size - PAGE_SIZE)
		slot_free(slot_of(p, p->tail - 1));
}

/* Bytes read; 0 at the end, -EAGAIN when there may be some later, -EFAULT. */
static long take(struct pipe *p, struct user_cursor *c)
{
	u64 before = c->left;

	if (p->head == p->tail)
		return p->writer ? -EAGAIN : 0;
	while (c->left && p->head != p->tail) {
		u32 at = p->tail & ~PAGE_MASK;
		u64 n = min(min((u64)used(p), PAGE_SIZE - at), min(cursor_run(c), c->left));

		if (copyout(cursor_va(c), (char *)*slot_of(p, p->tail) + at, n))
			break;
		p->tail += n;
		cursor_move(c, n);
		if (at + n == PAGE_SIZE)
			page_read(p);
	}
	if (unlikely(before == c->left))
		return -EFAULT;
	if (p->head == p->tail)
		p->head = p->tail = (p->tail - 1) & PAGE_MASK;
	news_for_writers(p);
	return before - c->left;
}

/* 0 when all is in, -EAGAIN when the rest has to wait for room, -EFAULT, -ENOMEM. */
static long put(struct pipe *p, struct user_cursor *c, u64 total)
{
	if (total <= PIPE_ATOMIC && room(p) < c->left)
		return -EAGAIN;
	while (c->left) {
		u32 at = p->head & ~PAGE_MASK;
		u64 n = min(min((u64)room(p), PAGE_SIZE - at), min(cursor_run(c), c->left));
		void **slot = slot_of(p, p->head);

		if (!n)
			return -EAGAIN;
		if (unlikely(!*slot)) {
			struct page *page = page_alloc();

			if (!page)
				return -ENOMEM;
			*slot = page_ptr(page);
		}
		if (copyin((char *)*slot + at, cursor_va(c), n))
			return -EFAULT;
		p->head += n;
		cursor_move(c, n);
	}
	return 0;
}

/* --- read and write --------------------------------------------------------------------------- */

static noinline long read_wait(struct file *f, struct user_cursor *c, const struct user_vec *v,
			       u32 n)
{
	struct pipe *p = f->object;
	struct wait_entry e;
	long ret, err;

	file_get(f);
	wait_enter(&p->readers, &e);
	for (;;) {
		err = thread_sleep(NO_DEADLINE, SLEEP_SIGNALS);
		if (unlikely(f->ops != &pipe_ops)) {
			wait_leave(&e);
			ret = err ? err : file_host_rw(f, v, n, 0, FILE_READ);
			goto out;
		}
		ret = take(p, c);
		if (ret != -EAGAIN || f->flags & O_NONBLOCK)
			break;
		if (err) {
			ret = err;
			break;
		}
	}
	wait_leave(&e);
	news_for_readers(p);
out:
	file_put(f);
	return ret;
}

static long pipe_read(struct file *f, const struct user_vec *v, u32 n)
{
	struct user_cursor c;
	long ret;

	if (unlikely((f->flags & O_ACCMODE) != O_RDONLY))
		return -EBADF;
	cursor_init(&c, v, n);
	if (unlikely(!c.left))
		return 0;
	ret = take(f->object, &c);
	if (ret != -EAGAIN || f->flags & O_NONBLOCK)
		return ret;
	return read_wait(f, &c, v, n);
}

static noinline long write_wait(struct file *f, struct user_cursor *c, u64 total,
				const struct user_vec *v, u32 n)
{
	struct pipe *p = f->object;
	struct wait_entry e;
	long ret, err;

	file_get(f);
	wait_enter(&p->writers, &e);
	for (;;) {
		err = thread_sleep(NO_DEADLINE, SLEEP_SIGNALS);
		if (unlikely(f->ops != &pipe_ops)) {
			wait_leave(&e);
			ret = total - c->left;
			if (!err)
				ret = file_host_rw(f, v, n, ret, FILE_WRITE_ALL);
			else if (!ret)
				ret = err;
			goto out;
		}
		if (!p->reader) {
			file_broken_pipe();
			ret = -EPIPE;
			break;
		}
		ret = put(p, c, total);
		news_for_readers(p);
		if (ret != -EAGAIN || f->flags & O_NONBLOCK)
			break;
		if (err) {
			ret = err;
			break;
		}
	}
	wait_leave(&e);
	news_for_writers(p);
	/* What has been written has been written. */
	if (c->left != total)
		ret = total - c->left;
out:
	file_put(f);
	return ret;
}

static long pipe_write(struct file *f, const struct user_vec *v, u32 n)
{
	struct pipe *p = f->object;
	struct user_cursor c;
	u64 total;
	long err;

	if (unlikely((f->flags & O_ACCMODE) != O_WRONLY))
		return -EBADF;
	cursor_init(&c, v, n);
	total = c.left;
	if (unlikely(!total))
		return 0;
	if (unlikely(!p->reader)) {
		file_broken_pipe();
		return -EPIPE;
	}
	err = put(p, &c, total);
	news_for_readers(p);
	if (likely(!err))
		return total;
	if (err == -EAGAIN && !(f->flags & O_NONBLOCK))
		return write_wait(f, &c, total, v, n);
	return c.left != total ? (long)(total - c.left) : err;
}

static u32 pipe_poll(struct file *f, struct wait_list **w)
{
	struct pipe *p = f->object;

	*w = &p->pollers;
	if (f == p->reader)
		return (used(p) ? POLLIN | POLLRDNORM : 0) | (p->writer ? 0 : POLLHUP);
	return (room(p) >= PIPE_ATOMIC ? POLLOUT | POLLWRNORM : 0) | (p->reader ? 0 : POLLERR);
}

/* --- what else there is to a pipe ------------------------------------------------------------- */

struct pipe *pipe_of(const struct file *f)
{
	return f->ops == &pipe_ops ? f->object : NULL;
}

u64 pipe_ino(const struct pipe *p)
{
	return p->ino;
}

u32 pipe_available(const struct pipe *p)
{
	return used(p);
}

u32 pipe_size(const struct pipe *p)
{
	return p->size;
}

/* Pages that have bytes, one that has bytes of both ends twice. */
static u32 pages_used(const struct pipe *p)
{
	return used(p) ? page_up((p->tail & ~PAGE_MASK) + used(p)) >> PAGE_SHIFT : 0;
}

static void set_pages(struct pipe *p, void **page, u32 size)
{
	u32 i;

	for (i = 0; i < p->size / PAGE_SIZE; i++)
		slot_free(&p->page[i]);
	if (p->page != p->own_page)
		kfree(p->page);
	p->page = page;
	p->size = size;
}

/*
 * The pages move to a new array, from its front on, and so do head and tail. A page with bytes of
 * both ends is divided.
 */
long pipe_resize(struct pipe *p, u64 want)
{
	u32 size = PAGE_SIZE, n = pages_used(p), i, at = p->tail & ~PAGE_MASK, bytes = used(p);
	void **page, *second = NULL;

	if (want > 1u << 31)
		return -EINVAL;
	while (size < want)
		size *= 2;
	if (size > PIPE_SIZE_MAX)
		return -EPERM;
	if (n > size / PAGE_SIZE)
		return -EBUSY;
	if (size == p->size)
		return size;
	page = kzalloc(size / PAGE_SIZE * sizeof(*page));
	if (!page)
		return -ENOMEM;
	if (n > p->size / PAGE_SIZE) {
		struct page *copy = page_alloc();

		if (!copy) {
			kfree(page);
			return -ENOMEM;
		}
		second = page_ptr(copy);
		memcpy(second, *slot_of(p, p->head), p->head & ~PAGE_MASK);
		n--;
	}
	for (i = 0; i < n; i++) {
		void **slot = slot_of(p, p->tail + i * PAGE_SIZE);

		page[i] = *slot;
		*slot = NULL;
	}
	if (second)
		page[n] = second;
	set_pages(p, page, size);
	p->tail = at;
	p->head = at + bytes;
	if (!bytes)
		p->head = p->tail = 0;
	news_for_writers(p);
	return size;
}

static void pipe_free(struct pipe *p)
{
	set_pages(p, NULL, 0);
	kfree(p);
}

static void pipe_release(struct file *f)
{
	struct pipe *p = f->object;

	if (f == p->reader)
		p->reader = NULL;
	else
		p->writer = NULL;
	if (!p->reader && !p->writer) {
		pipe_free(p);
		return;
	}
	wait_wake(&p->readers);
	wait_wake(&p->writers);
	wait_wake(&p->pollers);
}

long pipe_create(struct file *end[2], u32 flags)
{
	struct pipe *p = kzalloc(sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->size = PIPE_SIZE_DEFAULT;
	p->page = p->own_page;
	p->ino = ++last_ino;
	wait_list_init(&p->readers);
	wait_list_init(&p->writers);
	wait_list_init(&p->pollers);
	p->reader = file_new_object(&pipe_ops, p, O_RDONLY | flags);
	p->writer = file_new_object(&pipe_ops, p, O_WRONLY | flags);
	if (!p->reader || !p->writer) {
		kfree(p->reader);
		kfree(p->writer);
		kfree(p);
		return -ENOMEM;
	}
	end[0] = p->reader;
	end[1] = p->writer;
	return 0;
}

void pipe_assert(const struct pipe *p)
{
	u32 pos;

	ASSERT(p->size && !(p->size & (p->size - 1)) && p->size <= PIPE_SIZE_MAX);
	ASSERT(used(p) <= p->size && (p->reader || p->writer));
	ASSERT(!p->reader || (p->reader->object == p && p->reader->refs));
	ASSERT(!p->writer || (p->writer->object == p && p->writer->refs));
	for (pos = p->tail; (s32)(p->head - pos) > 0; pos = (pos & PAGE_MASK) + PAGE_SIZE)
		ASSERT(*slot_of(p, pos));
}

/* --- to the host ------------------------------------------------------------------------------ */

/* What waits to be read, into the host's pipe @fd, which is empty and does not block. */
static long pour(const struct pipe *p, int fd)
{
	u32 n = pages_used(p), i, pos = p->tail, bytes = used(p);
	struct user_vec *iov;
	long ret;

	if (p->size != PIPE_SIZE_DEFAULT &&
	    file_host_call(__NR_fcntl, fd, F_SETPIPE_SZ, p->size) < (long)p->size)
		return -ENFILE;
	if (!bytes)
		return 0;
	iov = kmalloc(n * sizeof(*iov));
	if (!iov)
		return -ENOMEM;
	for (i = 0; i < n; i++) {
		u32 at = pos & ~PAGE_MASK, len = min((u32)PAGE_SIZE - at, p->head - pos);

		iov[i] = (struct user_vec){ gpa_of(*slot_of(p, pos)) + at, len };
		pos += len;
	}
	ret = file_host_call(__NR_writev, fd, gpa_of(iov), n);
	kfree(iov);
	/* The host may give a user with many pipes less room than a pipe usually has. */
	return ret == bytes ? 0 : -ENFILE;
}

static long set_flags(const struct file *f, int fd)
{
	if (!f || (f->flags & ~O_ACCMODE) == O_NONBLOCK)
		return 0;
	return file_host_call(__NR_fcntl, fd, F_SETFL, f->flags & ~O_ACCMODE);
}

static void hand_over(struct file *f, int fd)
{
	if (f)
		file_became_host(f, fd);
	else
		file_host_close(fd);
}

static long pipe_materialise(struct file *f)
{
	struct pipe *p = f->object;
	s32 *pair = host_bounce(), fd[2];
	long err;

	err = file_host_call(__NR_pipe2, gpa_of(pair), O_CLOEXEC | O_NONBLOCK, 0);
	if (err < 0)
		return err;
	fd[0] = pair[0];
	fd[1] = pair[1];
	err = pour(p, fd[1]);
	if (!err)
		err = set_flags(p->reader, fd[0]);
	if (!err)
		err = set_flags(p->writer, fd[1]);
	if (err < 0) {
		file_host_close(fd[0]);
		file_host_close(fd[1]);
		return err;
	}
	hand_over(p->reader, fd[0]);
	hand_over(p->writer, fd[1]);
	wait_drain(&p->readers);
	wait_drain(&p->writers);
	wait_drain(&p->pollers);
	pipe_free(p);
	return 0;
}

static const struct file_ops pipe_ops = {
	.read = pipe_read,
	.write = pipe_write,
	.poll = pipe_poll,
	.materialise = pipe_materialise,
	.release = pipe_release,
};
