/* SPDX-License-Identifier: MIT */
/*
 * fd.h - the descriptors of a process
 *
 * Two layers, as everywhere in Unix. A struct file is an open file: it owns one descriptor of the
 * host process and is counted by everything that uses it (slots of tables, calls in progress). A
 * struct fd_table maps the numbers a process sees to open files; two numbers may name one file
 * (dup), and after a fork two tables will. Close-on-exec belongs to the number, everything else to
 * the file.
 *
 * The host's descriptor numbers never reach ring 3, and a number from ring 3 reaches the host only
 * after it was looked up here.
 *
 * Invariants: slot[i] != NULL iff bit i of @used; bit i of @cloexec only where bit i of @used;
 * every slot holds one reference; no slot at or above @size; an open file has refs >= 1 and its
 * host descriptor is open exactly that long.
 */
#ifndef RS_FS_FD_H
#define RS_FS_FD_H

#include "../lib/types.h"
#include "../lib/refstr.h"
#include "../sync/spinlock.h"

#define FD_LIMIT_DEFAULT 1024  /* RLIMIT_NOFILE, soft */
#define FD_LIMIT_MAX	 65536 /* and hard: the most a table can hold */

/** struct file - an open file */
struct file {
	u32 refs;
	s32 host_fd;
	struct refstr
		*name; /* what it was opened as, for reports and /proc/self/maps; may be NULL */
};

struct fd_table {
	struct spinlock lock;
	u32 refs;  /* processes that share it */
	u32 size;  /* slots allocated, multiple of 64 */
	u32 limit; /* RLIMIT_NOFILE: numbers below it may be handed out */
	u32 hard_limit;
	u32 first_free; /* no free number below this one */
	struct file **slot;
	u64 *used, *cloexec;
};

/**
 * file_new() - an open file with one reference that owns @host_fd from now on (closed at once
 * without memory); @name gains a reference
 */
struct file *file_new(int host_fd, struct refstr *name);
static inline struct file *file_get(struct file *f)
{
	__atomic_add_fetch(&f->refs, 1, __ATOMIC_RELAXED);
	return f;
}
/**
 * file_put() - the last one closes the host's descriptor; returns what that close answered, 0
 * otherwise
 */
long file_put(struct file *f);

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

/** fd_host() - host descriptor behind a number, -EBADF without */
static inline int fd_host(const struct fd_table *t, u64 fd)
{
	struct file *f = fd_lookup(t, fd);

	return likely(f) ? f->host_fd : -EBADF;
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
/** fd_close_on_exec() - closes the numbers that are marked so */
void fd_close_on_exec(struct fd_table *t);
/** fd_get_cloexec(), fd_set_cloexec() - the mark; -EBADF */
int fd_get_cloexec(const struct fd_table *t, u32 fd);
int fd_set_cloexec(struct fd_table *t, u32 fd, bool on);
/** fd_next() - the lowest used number at or above @from, -1 when there is none */
int fd_next(const struct fd_table *t, u32 from);
/** fd_table_check() - panics unless the invariants hold (tests, debug) */
void fd_table_check(const struct fd_table *t);

/** file_host_close() - closes a descriptor of the host; forward.c, tests bring their own */
long file_host_close(int host_fd);

#endif
