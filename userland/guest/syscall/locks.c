// SPDX-License-Identifier: MIT
/*
 * locks.c - record locks: among the sandbox's processes, and against those outside
 *
 * To Linux all processes of a sandbox are one, the host process; so who has which bytes is kept
 * here, by owner: a table of descriptors for the locks of POSIX (which is what fork does not share,
 * and threads do), an open file for the others (F_OFD_*). What a lock conflicts with inside is
 * decided here alone. flock() needs nothing of this: its locks belong to the open file, which the
 * host has one of for each of ours.
 *
 * Against processes outside, each byte that somebody here has is locked at the host as well, by
 * locks of open files (F_OFD_SETLK): unlike those of POSIX they do not go when the host process
 * closes any other descriptor of the file. A lock of an open file is held by that one. All POSIX locks
 * of a file, whoever here owns them, are held by one open file (its holder), so that they do not
 * exclude each other there; by two where no open file can both read and write. The order:
 *
 *	get	no conflict here; then the host's lock; then it is written down
 *	put	it is crossed out; then the host's locks are what the remaining ones need
 *		(host_sync()); then those that wait look again
 *
 * A wait for an owner inside is on the list of the file, a wait for somebody outside is a blocking
 * call at the host. After either everything may have changed, so the search for conflicts begins
 * anew; what the host gave meanwhile and is not to be had is given back by host_sync(). Two that
 * wait at the host for the same bytes through one holder may both be let through: until the second
 * has looked, the first one's lock may be a weaker one at the host. Cycles of waiting are found among
 * the owners inside (EDEADLK); one that leads through a process outside is not, since Linux does not
 * look for cycles of such locks.
 *
 * Invariants: the locks of one owner on a file do not overlap; a holder is kept while there are POSIX
 * locks, and has a reference; a file is in the table while it has locks or somebody is in an
 * operation on it (users).
 */
#include <asm/unistd.h>
#include <linux/fcntl.h>
#include "locks.h"
#include "stat.h"
#include "syscall.h"
#include "../lib/string.h"
#include "../mm/kmalloc.h"

#define OFFSET_MAX	0x7fffffffffffffffull
#define BUCKETS		64u
#define LOCKS_MAX	16384u	/* of the sandbox: looking through them takes time */
#define CYCLE_MAX	64	/* owners that are followed in the search for a cycle */

struct k_flock {
	s16 type, whence;
	u32 pad0;
	s64 start, len;
	s32 pid;
	u32 pad1;
};

struct lock {
	struct list link;
	const void *owner;	/* struct fd_table, or struct file (@ofd) */
	bool ofd;
	s16 type;		/* F_RDLCK, F_WRLCK; in a request also F_UNLCK */
	u32 pid;
	u64 start, end;		/* first and last byte */
};

/** struct locked - a file of the host that has locks */
struct locked {
	struct list link;	/* in its bucket */
	u64 dev, ino;
	u32 users;
	struct list locks;
	struct file *holder[2];	/* of POSIX locks to read and to write; see holder_for() */
	struct wait_list waiters;
};

/** struct lock_wait - an owner that waits for another; on the stack of its thread */
struct lock_wait {
	struct list link;
	const void *owner, *blocker;
};

static struct list buckets[BUCKETS];
static struct list waits = LIST_INIT(waits);
static u32 nlocks;

/* --- files ------------------------------------------------------------------------------------ */

static struct list *bucket(u64 dev, u64 ino)
{
	struct list *b = &buckets[(ino ^ dev) % BUCKETS];

	if (!b->next)
		list_init(b);
	return b;
}

static struct locked *find(u64 dev, u64 ino)
{
	struct locked *l;

	list_for_each(l, bucket(dev, ino), link)
		if (l->dev == dev && l->ino == ino)
			return l;
	return NULL;
}

/* With a reference; @make: NULL means no memory, otherwise that it has no locks. */
static struct locked *locked_get(u64 dev, u64 ino, bool make)
{
	struct locked *l = find(dev, ino);

	if (!l && make) {
		l = kzalloc(sizeof(*l));
		if (l) {
			l->dev = dev;
			l->ino = ino;
			list_init(&l->locks);
			wait_list_init(&l->waiters);
			list_add(bucket(dev, ino), &l->link);
		}
	}
	if (l)
		l->users++;
	return l;
}

static bool has_posix(const struct locked *l)
{
	const struct lock *k;

	list_for_each(k, &l->locks, link)
		if (!k->ofd)
			return true;
	return false;
}

static void drop_holders(struct locked *l)
{
	u32 i;

	for (i = 0; i < 2; i++) {
		struct file *f = l->holder[i];

		l->holder[i] = NULL;
		if (f)
			file_put(f);
	}
}

static void locked_put(struct locked *l)
{
	/* A holder may have locks of its own, which go with it: this one is still in use meanwhile. */
	if (l->users == 1 && !has_posix(l))
		drop_holders(l);
	if (--l->users || !list_empty(&l->locks))
		return;
	list_del(&l->link);
	kfree(l);
}

static long identity(const struct file *f, struct k_stat *st)
{
	struct k_stat *at = host_bounce();
	long ret = file_host_call(__NR_fstat, (u64)f->host_fd, gpa_of(at), 0);

	if (!ret)
		*st = *at;
	return ret;
}

/* --- the host's locks ------------------------------------------------------------------------- */

static struct k_flock host_form(s16 type, u64 start, u64 end)
{
	return (struct k_flock){ .type = type, .start = (s64)start,
				 .len = end == OFFSET_MAX ? 0 : (s64)(end - start + 1) };
}

static long host_lock(const struct file *f, s16 type, u64 start, u64 end)
{
	struct k_flock k = host_form(type, start, end);

	return file_host_call(__NR_fcntl, (u64)f->host_fd, F_OFD_SETLK, gpa_of(&k));
}

/* The open file that has @k at the host. */
static const struct file *held_by(const struct locked *l, const struct lock *k)
{
	return k->ofd ? k->owner : l->holder[k->type == F_WRLCK];
}

/*
 * The host's locks of @f in [start, end] become what the locks here need, those of @except (NULL:
 * nobody) left out.
 */
static long host_sync(struct locked *l, const struct file *f, u64 start, u64 end, const void *except)
{
	u64 at = start, to;
	long err = 0, ret;

	for (;;) {
		const struct lock *k;
		s16 type = F_UNLCK;

		to = end;
		list_for_each(k, &l->locks, link) {
			if (k->owner == except || held_by(l, k) != f || k->end < at)
				continue;
			if (k->start > at) {
				to = min(to, k->start - 1);
				continue;
			}
			to = min(to, k->end);
			if (type != F_WRLCK)
				type = k->type;
		}
		ret = host_lock(f, type, at, to);
		if (ret)
			err = ret;
		if (to == end)
			return err;
		at = to + 1;
	}
}

static void sync_all(struct locked *l, const struct lock *r)
{
	u32 i;

	if (r->ofd) {
		host_sync(l, r->owner, r->start, r->end, NULL);
		return;
	}
	for (i = 0; i < 2; i++)
		if (l->holder[i] && (!i || l->holder[1] != l->holder[0]))
			host_sync(l, l->holder[i], r->start, r->end, NULL);
}

/*
 * The holder for a POSIX lock to be had through @f, whose access mode is @mode. The first one that
 * can do it stays, but one that can read and write takes over from one that can only read: so that
 * whoever makes a lock to read one to write does not let go of it in between.
 */
static struct file *holder_for(struct locked *l, struct file *f, u32 mode, s16 type)
{
	struct file **want = &l->holder[type == F_WRLCK], *old = l->holder[0];

	if (mode == O_RDWR && !l->holder[1]) {
		l->holder[1] = file_get(f);
		l->holder[0] = file_get(f);
		if (!old)
			return f;
		/* The new one has them, then the old one has only what is its own. */
		host_sync(l, f, 0, OFFSET_MAX, NULL);
		host_sync(l, old, 0, OFFSET_MAX, NULL);
		file_put(old);
		return f;
	}
	if (!*want)
		*want = file_get(f);
	return *want;
}

/* --- who has what ----------------------------------------------------------------------------- */

static bool overlap(const struct lock *a, const struct lock *b)
{
	return a->start <= b->end && b->start <= a->end;
}

static struct lock *conflict(const struct locked *l, const struct lock *r)
{
	struct lock *k;

	list_for_each(k, &l->locks, link)
		if (k->owner != r->owner && overlap(k, r) &&
		    (k->type == F_WRLCK || r->type == F_WRLCK))
			return k;
	return NULL;
}

static void count(const struct lock *k, int n)
{
	nlocks += (u32)n;
	if (k->ofd)
		((struct file *)k->owner)->nlocks += (u32)n;
	else
		((struct fd_table *)k->owner)->nlocks += (u32)n;
}

static void remove(struct lock *k)
{
	count(k, -1);
	list_del(&k->link);
	kfree(k);
}

static void insert(struct locked *l, struct lock *k)
{
	list_add_tail(&l->locks, &k->link);
	count(k, 1);
}

/*
 * Writes @r down: what its owner had there goes, and locks of the same kind that touch become one.
 * @spare: two entries, those that are used become NULL.
 */
static void apply(struct locked *l, const struct lock *r, struct lock *spare[2])
{
	struct lock all = *r, *k, *next;

	list_for_each_safe(k, next, &l->locks, link) {
		if (k->owner != r->owner)
			continue;
		if (k->type == r->type && k->start <= all.end + 1 && all.start <= k->end + 1) {
			all.start = min(all.start, k->start);
			all.end = max(all.end, k->end);
			remove(k);
			continue;
		}
		if (!overlap(k, r))
			continue;
		if (k->start < r->start && k->end > r->end) {
			*spare[1] = *k;
			spare[1]->start = r->end + 1;
			k->end = r->start - 1;
			insert(l, spare[1]);
			spare[1] = NULL;
			break;
		}
		if (k->start < r->start)
			k->end = r->start - 1;
		else if (k->end > r->end)
			k->start = r->end + 1;
		else
			remove(k);
	}
	if (r->type == F_UNLCK)
		return;
	*spare[0] = all;
	insert(l, spare[0]);
	spare[0] = NULL;
}

/* --- waiting ---------------------------------------------------------------------------------- */

static const void *waits_for(const void *owner)
{
	const struct lock_wait *w;

	list_for_each(w, &waits, link)
		if (w->owner == owner)
			return w->blocker;
	return NULL;
}

/* Does @blocker, perhaps by way of others, wait for @owner? */
static bool cycle(const void *owner, const void *blocker)
{
	int i;

	for (i = 0; i < CYCLE_MAX && blocker; i++) {
		if (blocker == owner)
			return true;
		blocker = waits_for(blocker);
	}
	return false;
}

static long wait_inside(struct locked *l, const struct lock *r, const struct lock *blocker)
{
	struct lock_wait w = { .owner = r->owner, .blocker = blocker->owner };
	struct wait_entry e;
	long err;

	if (!r->ofd && !blocker->ofd && cycle(r->owner, blocker->owner))
		return -EDEADLK;
	if (!r->ofd)
		list_add(&waits, &w.link);
	wait_enter(&l->waiters, &e);
	err = thread_sleep(NO_DEADLINE, SLEEP_SIGNALS);
	wait_leave(&e);
	if (!r->ofd)
		list_del(&w.link);
	return err == -EINTR ? -ERESTARTSYS : 0;
}

/* Somebody outside has it: 0 when that one has let go and the host has given it to @by. */
static long wait_outside(const struct file *by, const struct lock *r)
{
	struct k_flock k = host_form(r->type, r->start, r->end);

	return host_call_intr(__NR_fcntl, (u64)by->host_fd, F_OFD_SETLKW, gpa_of(&k), 0, 0, 0);
}

/* One attempt at the host: 0, or why not; 1: has slept, everything may have changed. */
static long try_host(struct locked *l, struct file *f, const struct lock *r, u32 mode, bool wait)
{
	struct file *by = file_get(r->ofd ? f : holder_for(l, f, mode, r->type));
	struct file *other = r->ofd ? NULL : l->holder[r->type != F_WRLCK];
	bool slept = false;
	long ret;

	/* What its owner has through another holder must not be in its way. */
	if (other == by)
		other = NULL;
	if (other)
		host_sync(l, file_get(other), r->start, r->end, r->owner);
	ret = host_lock(by, r->type, r->start, r->end);
	if (ret == -EAGAIN && wait) {
		ret = wait_outside(by, r);
		slept = !ret;
	}
	if (ret && other)
		host_sync(l, other, r->start, r->end, NULL);
	if (slept && (conflict(l, r) || (!r->ofd && l->holder[r->type == F_WRLCK] != by))) {
		host_sync(l, by, r->start, r->end, NULL);
		if (other)
			host_sync(l, other, r->start, r->end, NULL);
		ret = 1;
	}
	if (other)
		file_put(other);
	file_put(by);
	return ret;
}

static long set_lock(struct locked *l, struct file *f, const struct lock *r, u32 mode, bool wait)
{
	struct lock *spare[2] = { kmalloc(sizeof(*spare[0])), kmalloc(sizeof(*spare[0])) }, *k;
	long ret = 0;

	if (!spare[0] || !spare[1] || nlocks >= LOCKS_MAX)
		ret = r->type == F_UNLCK && spare[0] && spare[1] ? 0 : -ENOLCK;
	while (!ret && r->type != F_UNLCK) {
		k = conflict(l, r);
		if (!k) {
			ret = try_host(l, f, r, mode, wait);
			if (ret <= 0)
				break;
			ret = 0;
			continue;
		}
		ret = wait ? wait_inside(l, r, k) : -EAGAIN;
	}
	if (!ret) {
		apply(l, r, spare);
		sync_all(l, r);
		wait_wake(&l->waiters);
	}
	kfree(spare[0]);
	kfree(spare[1]);
	return ret;
}

/* --- calls ------------------------------------------------------------------------------------ */

static long to_range(const struct file *f, const struct k_flock *k, s64 size, struct lock *r)
{
	s64 base = 0, start, end;

	switch (k->whence) {
	case 0: break;
	case 1:
		base = file_host_call(__NR_lseek, (u64)f->host_fd, 0, 1);
		if (base < 0)
			base = 0; /* it has no position */
		break;
	case 2: base = size; break;
	default: return -EINVAL;
	}
	if (__builtin_add_overflow(base, k->start, &start))
		return -EOVERFLOW;
	if (start < 0)
		return -EINVAL;
	if (k->len > 0) {
		if (__builtin_add_overflow(start, k->len - 1, &end))
			return -EOVERFLOW;
	} else if (k->len < 0) {
		end = start - 1;
		if (start + k->len < 0)
			return -EINVAL;
		start += k->len;
	} else {
		end = (s64)OFFSET_MAX;
	}
	r->start = (u64)start;
	r->end = (u64)end;
	return 0;
}

static long get_lock(const struct locked *l, const struct file *f, const struct lock *r,
		     struct k_flock *k)
{
	const struct lock *c = l ? conflict(l, r) : NULL;
	struct k_flock h = host_form(r->type, r->start, r->end);
	long ret;

	if (!c) {
		ret = file_host_call(__NR_fcntl, (u64)f->host_fd, F_OFD_GETLK, gpa_of(&h));
		if (ret)
			return ret;
		if (h.type == F_UNLCK) {
			k->type = F_UNLCK;
			return 0;
		}
		*k = h;
		/* Processes outside have no numbers here. */
		k->pid = h.pid == -1 ? -1 : 0;
		return 0;
	}
	*k = host_form(c->type, c->start, c->end);
	k->pid = c->ofd ? -1 : (s32)c->pid;
	return 0;
}

static long do_locks(struct file *f, u32 cmd, u64 va)
{
	bool get = cmd == F_GETLK || cmd == F_OFD_GETLK;
	bool ofd = cmd == F_OFD_GETLK || cmd == F_OFD_SETLK || cmd == F_OFD_SETLKW;
	struct lock r = { .owner = ofd ? (void *)f : current_proc()->files, .ofd = ofd,
			  .pid = current_proc()->pid };
	struct locked *l;
	struct k_flock k;
	struct k_stat st;
	long ret, mode;

	if (copyin(&k, va, sizeof(k)))
		return -EFAULT;
	ret = file_host(f);
	if (ret >= 0)
		ret = identity(f, &st);
	if (ret < 0)
		return ret;
	mode = file_host_call(__NR_fcntl, (u64)f->host_fd, F_GETFL, 0);
	if (mode < 0)
		return mode;
	if (mode & O_PATH)
		return -EBADF;
	mode &= O_ACCMODE;
	if (ofd && k.pid)
		return -EINVAL;
	if (k.type < 0 || k.type > F_UNLCK || (get && k.type == F_UNLCK))
		return -EINVAL;
	r.type = k.type;
	ret = to_range(f, &k, st.size, &r);
	if (ret)
		return ret;
	if (!get && ((r.type == F_RDLCK && mode == O_WRONLY) ||
		     (r.type == F_WRLCK && mode == O_RDONLY)))
		return -EBADF;
	l = locked_get(st.dev, st.ino, !get && r.type != F_UNLCK);
	if (get) {
		ret = get_lock(l, f, &r, &k);
		if (!ret && copyout(va, &k, sizeof(k)))
			ret = -EFAULT;
	} else if (l) {
		ret = set_lock(l, f, &r, (u32)mode, cmd == F_SETLKW || cmd == F_OFD_SETLKW);
	} else {
		ret = r.type == F_UNLCK ? 0 : -ENOLCK;
	}
	if (l)
		locked_put(l);
	return ret;
}

bool locks_fcntl(struct file *f, u32 cmd, u64 va, long *ret)
{
	struct fd_table *t = current_proc()->files;

	switch (cmd) {
	case F_GETLK:
	case F_SETLK:
	case F_SETLKW:
	case F_OFD_GETLK:
	case F_OFD_SETLK:
	case F_OFD_SETLKW: break;
	default: return false;
	}
	file_get(f);
	*ret = do_locks(f, cmd, va);
	/* Closed meanwhile by another thread, which could not know of a lock that was not there yet. */
	if (!*ret && t->nlocks && !fd_holds(t, f))
		file_closed(t, f);
	file_put(f);
	return true;
}

/* --- what takes locks away -------------------------------------------------------------------- */

static void remove_all(struct locked *l, const void *owner)
{
	struct lock all = { .owner = owner, .end = OFFSET_MAX }, *k, *next;
	bool some = false;

	l->users++;
	list_for_each_safe(k, next, &l->locks, link)
		if (k->owner == owner) {
			all.ofd = k->ofd;
			some = true;
			remove(k);
		}
	if (some) {
		sync_all(l, &all);
		wait_wake(&l->waiters);
	}
	locked_put(l);
}

static void remove_everywhere(const void *owner, const u32 *left)
{
	struct locked *l, *next;
	u32 i;

	for (i = 0; i < BUCKETS && *left; i++)
		if (buckets[i].next)
			list_for_each_safe(l, next, &buckets[i], link)
				remove_all(l, owner);
}

void file_closed(struct fd_table *t, struct file *f)
{
	struct locked *l;
	struct k_stat st;

	if (f->host_fd < 0 || identity(f, &st))
		return;
	l = find(st.dev, st.ino);
	if (l)
		remove_all(l, t);
}

void table_closed(struct fd_table *t)
{
	remove_everywhere(t, &t->nlocks);
}

void file_released(struct file *f)
{
	remove_everywhere(f, &f->nlocks);
}
