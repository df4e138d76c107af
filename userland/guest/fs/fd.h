/* SPDX-License-Identifier: MIT */
/*
 * fd.h - the descriptors of a process
 *
 * Two layers, as everywhere in Unix. A struct file is an open file, counted by everything that uses
 * it (slots of tables, calls in progress). A struct fd_table maps the numbers a process sees to open
 * files; two numbers may name one file (dup), and after a fork two tables will. Close-on-exec
 * belongs to the number, everything else to the file.
 *
 * There are two kinds of open files. A file of the host owns one descriptor of the host process. An
 * object of the guest (pipe.h, eventfd.h) has @ops instead, and the host knows nothing of it. What
 * the guest cannot do with its objects itself (waiting for one together with files of the host,
 * passing it through a socket, splice, opening it by name) needs the host's kind: file_materialise()
 * turns the whole object, with what it holds, into one of the host; its files stay the same files.
 * Objects that the host could not have (signals, processes of the sandbox) stay the guest's, and
 * have a stand-in there that becomes ready when they do, which is enough to wait for them.
 * That happens once, at the first need, and only in this direction. fd_host() does it by itself, so
 * whoever needs a host descriptor gets one, and nobody has to know.
 *
 * A file can become the host's at any point where a thread sleeps: who has slept looks at @ops again
 * before anything else of the object, which may be gone.
 *
 * The host's descriptor numbers never reach ring 3, and a number from ring 3 reaches the host only
 * after it was looked up here.
 *
 * Invariants: slot[i] != NULL iff bit i of @used; bit i of @cloexec only where bit i of @used;
 * every slot holds one reference; no slot at or above @size; an open file has refs >= 1; either
 * @ops is NULL and @host_fd is open as long as the file is, or @ops is not and @host_fd is -1.
 */
#ifndef RS_FS_FD_H
#define RS_FS_FD_H

#include "../lib/types.h"
#include "../lib/list.h"
#include "../lib/refstr.h"
#include "../sync/spinlock.h"
#include "../proc/sched.h"

#define FD_LIMIT_DEFAULT 1024  /* RLIMIT_NOFILE, soft */
#define FD_LIMIT_MAX	 65536 /* and hard: the most a table can hold */

struct file_ops;
struct tty;	/* syscall/ */

/** struct file - an open file */
struct file {
	u32 refs;
	s32 host_fd;
	const struct file_ops *ops;
	void *object;	/* what @ops work on */
	u32 nlocks;	/* of F_OFD_SETLK; syscall/locks.c */
	struct tty *tty; /* the terminal it is of, as far as that is known; syscall/tty.c */
	struct list tty_link; /* of its files, unless it is the other side */
	bool tty_master, tty_known;
	u32 flags;	/* O_ACCMODE, O_NONBLOCK, O_APPEND, O_NOATIME of an object of the guest */
	struct refstr
		*name; /* what it was opened as, for reports and /proc/self/maps; may be NULL */
};

/** struct user_vec - a piece of the process's memory; struct iovec of Linux */
struct user_vec {
	u64 va, len;
};

#define FILE_RW_MAX	0x7ffff000ul	/* bytes of one read or write, as on Linux */

/**
 * struct file_ops - an object of the guest
 * All are called by a thread of a process. read, write: into and out of @n pieces of its memory,
 * which lie in the lower half and are FILE_RW_MAX bytes together at most. They may sleep; the result
 * is that of the call, with -EINTR for a signal that came before anything was done. When the object
 * becomes the host's meanwhile they go on there (file_host_rw()).
 */
struct file_ops {
	const char *name; /* in /proc/self/fd: "anon_inode:[name]"; NULL for those that have another */
	long (*read)(struct file *f, const struct user_vec *v, u32 n);
	long (*write)(struct file *f, const struct user_vec *v, u32 n);
	/* POLL* that hold now, and where one waits for others; does not sleep */
	u32 (*poll)(struct file *f, struct wait_list **w);
	/* see file_materialise(); sets host_fd, ops and object of all files of the object */
	long (*materialise)(struct file *f);
	/*
	 * For an object that the host has nothing like, instead of materialise(): a descriptor there
	 * that can be read from while this object can, to wait with; or -errno. The object keeps it.
	 */
	long (*stand_in)(struct file *f);
	bool stand_in_writes; /* and that can be written to while this object can */
	/* the last reference is gone; nobody waits through this file */
	void (*release)(struct file *f);
};

struct fd_table {
	struct spinlock lock;
	u32 refs;  /* processes that share it */
	u32 size;  /* slots allocated, multiple of 64 */
	u32 limit; /* RLIMIT_NOFILE: numbers below it may be handed out */
	u32 hard_limit;
	u32 first_free; /* no free number below this one */
	u32 nlocks; /* of F_SETLK that are the table's; syscall/locks.c */
	struct file **slot;
	u64 *used, *cloexec;
};

/**
 * file_new() - an open file with one reference that owns @host_fd from now on (closed at once
 * without memory); @name gains a reference
 */
struct file *file_new(int host_fd, struct refstr *name);
/** file_new_object() - an open file of an object of the guest, one reference; NULL without memory */
struct file *file_new_object(const struct file_ops *ops, void *object, u32 flags);
static inline struct file *file_get(struct file *f)
{
	__atomic_add_fetch(&f->refs, 1, __ATOMIC_RELAXED);
	return f;
}
/**
 * file_put() - the last one closes the host's descriptor, or releases the object; returns what that
 * close answered, 0 otherwise
 */
long file_put(struct file *f);

/**
 * file_materialise() - makes @f, and all files of its object, files of the host
 * Everybody who sleeps for the object is woken. 0, or -errno and nothing has changed: -ENFILE,
 * -EMFILE, -ENOMEM. Does not sleep.
 */
long file_materialise(struct file *f);
/**
 * file_host_call() - for materialise(): a call of the host that does not block
 * What the host has announced keeps it from making calls that could block; this one is made all the
 * same.
 */
long file_host_call(u64 nr, u64 a0, u64 a1, u64 a2);
/** file_became_host() - for materialise(): @f is a file of the host from now on */
static inline void file_became_host(struct file *f, int host_fd)
{
	f->host_fd = host_fd;
	f->ops = NULL;
	f->object = NULL;
}

/** file_host() - host descriptor of @f, or its stand-in's, made if there is none; or -errno */
int file_host_slow(struct file *f);
static inline int file_host(struct file *f)
{
	return likely(f->host_fd >= 0) ? f->host_fd : file_host_slow(f);
}

/** fd_table_new() - an empty table; NULL without memory */
struct fd_table *fd_table_new(void);
/** fd_table_copy() - all numbers and flags, the files shared (fork); NULL without memory */
struct fd_table *fd_table_copy(struct fd_table *t);
/** fd_table_put() - the last one closes everything */
void fd_table_put(struct fd_table *t);

/**
 * fd_lookup() - the file behind a number, borrowed: valid until this CPU lets another thread of the
 * process run or closes it
 * NULL when there is none.
 */
static inline struct file *fd_lookup(const struct fd_table *t, u64 fd)
{
	u32 n = (u32)fd;

	return likely(n < t->size) ? t->slot[n] : NULL;
}

/**
 * fd_host() - host descriptor behind a number, -EBADF without; an object of the guest becomes the
 * host's, -errno if that fails
 */
static inline int fd_host(const struct fd_table *t, u64 fd)
{
	struct file *f = fd_lookup(t, fd);

	return likely(f) ? file_host(f) : -EBADF;
}

/**
 * fd_install() - the lowest free number at or above @from for @f; takes over the caller's reference
 * when it succeeds -EMFILE (limit reached), -ENOMEM.
 */
int fd_install(struct fd_table *t, struct file *f, u32 from, bool cloexec);
/**
 * fd_install_at() - number @fd for @f as dup2 does, closing what was there; takes over the
 * reference. -EBADF (above the limit), -ENOMEM
 */
int fd_install_at(struct fd_table *t, struct file *f, u32 fd, bool cloexec);
/**
 * fd_remove() - takes the file out of a number; the caller gets its reference. NULL when there is
 * none
 */
struct file *fd_remove(struct fd_table *t, u32 fd);
/** fd_close_file() - closes @f, which fd_remove() has taken out of @t: as file_put() */
long fd_close_file(struct fd_table *t, struct file *f);
/** fd_holds() - some number of @t leads to @f */
bool fd_holds(const struct fd_table *t, const struct file *f);
/** fd_close_on_exec() - closes the numbers that are marked so */
void fd_close_on_exec(struct fd_table *t);
/** fd_get_cloexec(), fd_set_cloexec() - the mark; -EBADF */
int fd_get_cloexec(const struct fd_table *t, u32 fd);
int fd_set_cloexec(struct fd_table *t, u32 fd, bool on);
/** fd_next() - the lowest used number at or above @from, -1 when there is none */
int fd_next(const struct fd_table *t, u32 from);
/** fd_table_check() - panics unless the invariants hold (tests, debug) */
void fd_table_check(const struct fd_table *t);

/*
 * Implemented above.
 *
 * file_host_close()	closes a descriptor of the host
 * file_host_rw()	read or write (all of it, by several calls if need be) of @f, a file of the
 *			host by now, from byte @skip of @v on; @skip bytes are done already. The
 *			caller holds a reference. Result as of the whole call: @skip counts
 * file_closed()	a number of @t that led to @f does not any more, and @t has locks (@nlocks)
 * table_closed()	nobody uses @t any more, and it has locks; its files are still there
 * file_released()	the last reference to @f is gone, and it has locks; it is still open at the host
 * file_tty_released()	the last reference to @f is gone, and it has a @tty
 * file_broken_pipe()	the current thread has written where nobody can read: SIGPIPE
 */
long file_host_close(int host_fd);
enum file_rw { FILE_READ, FILE_WRITE, FILE_WRITE_ALL };
long file_host_rw(struct file *f, const struct user_vec *v, u32 n, u64 skip, enum file_rw how);
void file_closed(struct fd_table *t, struct file *f);
void table_closed(struct fd_table *t);
void file_released(struct file *f);
void file_tty_released(struct file *f);
void file_broken_pipe(void);

/**
 * struct user_cursor - a place in a list of pieces
 * @left: bytes from here on; while it is not 0, @at < @v->len.
 */
struct user_cursor {
	const struct user_vec *v;
	u64 at, left;
};

static inline void cursor_settle(struct user_cursor *c)
{
	while (unlikely(c->left && c->at == c->v->len)) {
		c->v++;
		c->at = 0;
	}
}

static inline void cursor_init(struct user_cursor *c, const struct user_vec *v, u32 n)
{
	u32 i;

	c->v = v;
	c->at = c->left = 0;
	for (i = 0; i < n; i++)
		c->left += v[i].len;
	cursor_settle(c);
}

/** cursor_run() - bytes from here that are in one piece */
static inline u64 cursor_run(const struct user_cursor *c)
{
	return c->v->len - c->at;
}

static inline u64 cursor_va(const struct user_cursor *c)
{
	return c->v->va + c->at;
}

/** cursor_move() - @n bytes on, at most cursor_run() */
static inline void cursor_move(struct user_cursor *c, u64 n)
{
	c->at += n;
	c->left -= n;
	cursor_settle(c);
}

#endif
