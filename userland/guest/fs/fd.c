// SPDX-License-Identifier: MIT
/*
 * fd.c - the descriptors of a process
 *
 * A table grows by doubling. The arrays of slots and bits are replaced together; the old ones are
 * freed at once, since a borrowed lookup (fd_lookup()) is not held over a growth: the kernel is not
 * preempted and only the thread itself grows its table while F1 has one thread. @first_free makes
 * the usual open and close cost one bit scan that starts where the answer is.
 */
#include "fd.h"
#include "../host/host.h"
#include "../lib/assert.h"
#include "../lib/bitmap.h"
#include "../lib/string.h"
#include "../mm/kmalloc.h"

#define FD_FIRST_SIZE 64

struct file *file_new(int host_fd, struct refstr *name)
{
	struct file *f = kmalloc(sizeof(*f));

	if (!f) {
		file_host_close(host_fd);
		return NULL;
	}
	*f = (struct file){ .refs = 1, .host_fd = host_fd, .name = refstr_get(name) };
	return f;
}

struct file *file_new_object(const struct file_ops *ops, void *object, u32 flags)
{
	struct file *f = kmalloc(sizeof(*f));

	if (f)
		*f = (struct file){
			.refs = 1, .host_fd = -1, .ops = ops, .object = object, .flags = flags,
		};
	return f;
}

long file_host_call(u64 nr, u64 a0, u64 a1, u64 a2)
{
	long ret;

	for (;;) {
		rs_stats()->forwarded++;
		ret = host_call3(nr, a0, a1, a2);
		if (likely(ret != -EINTR))
			return ret;
		host_events();
	}
}

long file_materialise(struct file *f)
{
	return f->ops ? f->ops->materialise(f) : 0;
}

int file_host_slow(struct file *f)
{
	long err;

	if (f->ops->stand_in)
		return (int)f->ops->stand_in(f);
	err = file_materialise(f);
	return err ? (int)err : f->host_fd;
}

long file_put(struct file *f)
{
	long ret = 0;

	if (__atomic_sub_fetch(&f->refs, 1, __ATOMIC_ACQ_REL))
		return 0;
	if (unlikely(f->nlocks))
		file_released(f);
	if (unlikely(f->tty))
		file_tty_released(f);
	if (f->ops)
		f->ops->release(f);
	else
		ret = file_host_close(f->host_fd);
	refstr_put(f->name);
	kfree(f);
	return ret;
}

/*
 * Makes room for number @fd. The caller checked @fd against the limit, so the sizes here do not
 * overflow.
 */
static int grow(struct fd_table *t, u32 fd)
{
	u32 size = t->size ? t->size : FD_FIRST_SIZE;
	struct file **slot;
	u64 *used, *cloexec;

	while (size <= fd)
		size *= 2;
	if (size <= t->size)
		return 0;
	slot = kzalloc(size * sizeof(*slot));
	used = kzalloc(size / 8);
	cloexec = kzalloc(size / 8);
	if (!slot || !used || !cloexec) {
		kfree(slot);
		kfree(used);
		kfree(cloexec);
		return -ENOMEM;
	}
	if (t->size) {
		memcpy(slot, t->slot, t->size * sizeof(*slot));
		memcpy(used, t->used, t->size / 8);
		memcpy(cloexec, t->cloexec, t->size / 8);
	}
	kfree(t->slot);
	kfree(t->used);
	kfree(t->cloexec);
	t->slot = slot;
	t->used = used;
	t->cloexec = cloexec;
	t->size = size;
	return 0;
}

struct fd_table *fd_table_new(void)
{
	struct fd_table *t = kzalloc(sizeof(*t));

	if (!t)
		return NULL;
	spin_init(&t->lock, "files", LOCK_RANK_FILES);
	t->refs = 1;
	t->limit = FD_LIMIT_DEFAULT;
	t->hard_limit = FD_LIMIT_MAX;
	if (grow(t, 0)) {
		kfree(t);
		return NULL;
	}
	return t;
}

struct fd_table *fd_table_copy(struct fd_table *t)
{
	struct fd_table *c = fd_table_new();
	u32 i;

	if (!c)
		return NULL;
	spin_lock(&t->lock);
	if (grow(c, t->size - 1)) {
		spin_unlock(&t->lock);
		fd_table_put(c);
		return NULL;
	}
	memcpy(c->used, t->used, t->size / 8);
	memcpy(c->cloexec, t->cloexec, t->size / 8);
	for (i = 0; (i = bit_find_set(t->used, t->size, i)) < t->size; i++)
		c->slot[i] = file_get(t->slot[i]);
	c->limit = t->limit;
	c->hard_limit = t->hard_limit;
	c->first_free = t->first_free;
	spin_unlock(&t->lock);
	return c;
}

void fd_table_put(struct fd_table *t)
{
	u32 i;

	if (__atomic_sub_fetch(&t->refs, 1, __ATOMIC_ACQ_REL))
		return;
	if (unlikely(t->nlocks))
		table_closed(t);
	for (i = 0; (i = bit_find_set(t->used, t->size, i)) < t->size; i++)
		file_put(t->slot[i]);
	kfree(t->slot);
	kfree(t->used);
	kfree(t->cloexec);
	kfree(t);
}

static void set(struct fd_table *t, u32 fd, struct file *f, bool cloexec)
{
	t->slot[fd] = f;
	bit_set(t->used, fd);
	if (cloexec)
		bit_set(t->cloexec, fd);
	else
		bit_clear(t->cloexec, fd);
}

int fd_install(struct fd_table *t, struct file *f, u32 from, bool cloexec)
{
	u32 fd;
	int err;

	spin_lock(&t->lock);
	fd = bit_find_clear(t->used, t->size, max(from, t->first_free));
	if (fd < from)
		fd = from; /* the table ends below @from */
	if (fd >= t->limit) {
		spin_unlock(&t->lock);
		return -EMFILE;
	}
	err = grow(t, fd);
	if (err) {
		spin_unlock(&t->lock);
		return err;
	}
	set(t, fd, f, cloexec);
	if (from <= t->first_free)
		t->first_free = fd + 1;
	spin_unlock(&t->lock);
	return fd;
}

int fd_install_at(struct fd_table *t, struct file *f, u32 fd, bool cloexec)
{
	struct file *old;
	int err;

	spin_lock(&t->lock);
	if (fd >= t->limit) {
		spin_unlock(&t->lock);
		return -EBADF;
	}
	err = grow(t, fd);
	if (err) {
		spin_unlock(&t->lock);
		return err;
	}
	old = t->slot[fd];
	set(t, fd, f, cloexec);
	spin_unlock(&t->lock);
	if (old)
		fd_close_file(t, old);
	return fd;
}

struct file *fd_remove(struct fd_table *t, u32 fd)
{
	struct file *f = NULL;

	spin_lock(&t->lock);
	if (fd < t->size && t->slot[fd]) {
		f = t->slot[fd];
		t->slot[fd] = NULL;
		bit_clear(t->used, fd);
		bit_clear(t->cloexec, fd);
		if (fd < t->first_free)
			t->first_free = fd;
	}
	spin_unlock(&t->lock);
	return f;
}

long fd_close_file(struct fd_table *t, struct file *f)
{
	if (unlikely(t->nlocks))
		file_closed(t, f);
	return file_put(f);
}

bool fd_holds(const struct fd_table *t, const struct file *f)
{
	u32 i;

	for (i = 0; (i = bit_find_set(t->used, t->size, i)) < t->size; i++)
		if (t->slot[i] == f)
			return true;
	return false;
}

void fd_close_on_exec(struct fd_table *t)
{
	struct file *f;
	u32 fd;

	for (fd = 0; (fd = bit_find_set(t->cloexec, t->size, fd)) < t->size; fd++) {
		f = fd_remove(t, fd);
		if (f)
			fd_close_file(t, f);
	}
}

int fd_get_cloexec(const struct fd_table *t, u32 fd)
{
	return fd_lookup(t, fd) ? bit_test(t->cloexec, fd) : -EBADF;
}

int fd_set_cloexec(struct fd_table *t, u32 fd, bool on)
{
	int ret = 0;

	spin_lock(&t->lock);
	if (!fd_lookup(t, fd))
		ret = -EBADF;
	else if (on)
		bit_set(t->cloexec, fd);
	else
		bit_clear(t->cloexec, fd);
	spin_unlock(&t->lock);
	return ret;
}

int fd_next(const struct fd_table *t, u32 from)
{
	u32 fd = bit_find_set(t->used, t->size, from);

	return fd < t->size ? (int)fd : -1;
}

void fd_table_check(const struct fd_table *t)
{
	u32 i;

	ASSERT(t->refs >= 1 && t->size % 64 == 0 && t->size <= FD_LIMIT_MAX);
	for (i = 0; i < t->size; i++) {
		ASSERT(!!t->slot[i] == bit_test(t->used, i));
		ASSERT(t->slot[i] || !bit_test(t->cloexec, i));
		ASSERT(!t->slot[i] || t->slot[i]->refs >= 1);
		ASSERT(i >= t->first_free || t->slot[i]);
	}
}
