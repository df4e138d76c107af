/* SPDX-License-Identifier: MIT */
/*
 * procfs.h - names below /proc and /dev/fd that are answered for the sandbox
 */
#ifndef RS_SYSCALL_PROCFS_H
#define RS_SYSCALL_PROCFS_H

#include "../lib/printf.h"
#include "../lib/types.h"

struct file;
struct process;
struct proc_node;

enum proc_kind {
	PROC_HOST,	/* the host is to be asked, by the path as it is now */
	PROC_TEXT,	/* a file whose contents the guest kernel makes */
	PROC_DIR,	/* a directory whose entries the guest kernel makes */
	PROC_LINK,	/* a symbolic link, which is not to be followed */
};

/** struct proc_name - what procfs_resolve() found; valid until the thread sleeps */
struct proc_name {
	enum proc_kind kind;
	/* with PROC_HOST: a file of the host's, of which only the metadata are ours; or NULL */
	const struct proc_node *node;
	u32 pid, tid;			/* whose it is; 0: the machine's */
	u32 fd;				/* of a link below fd/ */
	/* PROC_HOST: an object of the guest, behind a number; then @path means nothing */
	struct file *object;
};

/**
 * procfs_resolve() - looks at @path (path_buffer(), PATH_SIZE bytes), which it may rewrite into
 * what the host has to be asked for
 * @follow: whether the last part, if it is a link, is followed. 0, or -ENOENT (no such process of
 * the sandbox, a name that would tell about the host process), -ENOTDIR, -ENAMETOOLONG.
 *
 * Only absolute names as written are recognised; what gets there by symbolic links of the host or
 * relative to one of its directories is the host's to decide (policy.c of the library).
 */
long procfs_resolve(char *path, bool follow, struct proc_name *pn);
/**
 * procfs_relative() - @path is relative to @dir, an object of the guest: makes it absolute
 * 0, -ENOTDIR: it is not one of our directories, -ENAMETOOLONG
 */
long procfs_relative(const struct file *dir, char *path);
/**
 * procfs_to_host() - for a name that the host is to be asked about: an object of the guest becomes
 * the host's, @path its name there. 0 or -errno
 */
long procfs_to_host(char *path, const struct proc_name *pn);
/**
 * procfs_open_text() - a new host descriptor from which the text of @pn can be read, or -errno
 * Also for a PROC_HOST whose file the host would not open: -EACCES when there is no text either.
 */
long procfs_open_text(const struct proc_name *pn);
/** procfs_open_dir() - an open file of the directory @pn, one reference; NULL without memory */
struct file *procfs_open_dir(const struct proc_name *pn);
/** procfs_readlink() - where the link @pn leads, into @buf of PATH_SIZE bytes: its length, -errno */
long procfs_readlink(const struct proc_name *pn, char *buf);

struct k_stat;
/**
 * procfs_may_write() - a PROC_TEXT that is more than a text: the name of a thread. procfs_open_name():
 * opens it to be written; one reference, NULL without memory
 */
bool procfs_may_write(const struct proc_name *pn);
struct file *procfs_open_name(const struct proc_name *pn, u32 flags);
/** procfs_stat() - what stat() says of a PROC_TEXT, PROC_DIR or PROC_LINK */
void procfs_stat(const struct proc_name *pn, struct k_stat *st);
/** procfs_dir() - is @f an open directory of ours? Then @pn, if not NULL, says which */
bool procfs_dir(const struct file *f, struct proc_name *pn);
/** procfs_getdents() - getdents64() on it; procfs_seek() - lseek() */
long procfs_getdents(struct file *f, u64 va, u64 size);
long procfs_seek(struct file *f, s64 offset, u32 whence);

/** procfs_parse_fd() - "17" as a number; false for anything else */
bool procfs_parse_fd(const char *s, u32 *fd);

/* procfs_text.c: the contents of files; @p is NULL for the machine's */
struct thread;
/* whose name it is; @t NULL for the process itself, or when it has no thread any more */
struct proc_whose {
	struct process *p;
	struct thread *t;
	u32 tid;
};
#define PROC_TEXTS(X)                                                                    \
	X(cgroup) X(children) X(cmdline) X(comm) X(cpuinfo) X(environ) X(limits)         \
	X(loadavg) X(maps) X(meminfo) X(oom_score_adj) X(stat) X(statm) X(status)        \
	X(system) X(uptime) X(version) X(zero)
#define PROC_TEXT_DECLARE(name) void proc_text_##name(struct textbuf *t, const struct proc_whose *w);
PROC_TEXTS(PROC_TEXT_DECLARE)
#undef PROC_TEXT_DECLARE

#endif
