/* SPDX-License-Identifier: MIT */
/*
 * procfs.h - names below /proc/self and /dev/fd
 */
#ifndef RS_SYSCALL_PROCFS_H
#define RS_SYSCALL_PROCFS_H

#include "../lib/printf.h"
#include "../lib/types.h"

struct file;

/** struct proc_name - what procfs_resolve() found */
struct proc_name {
	void (*text)(struct textbuf
			     *t); /* a file whose contents the guest kernel makes; NULL otherwise */
	bool exe;		  /* /proc/self/exe: the path was replaced by the program's */
	struct file *object;	  /* of the guest, behind a number; NULL otherwise */
};

/**
 * procfs_resolve() - looks at @path (path_buffer(), PATH_SIZE bytes), which it may rewrite into
 * what the host has to be asked for 0, or -ENOENT for a name that would tell about the host
 * process. Only absolute names as written are recognised; what gets there by symbolic links or
 * relative to a directory is the host's to decide (Landlock).
 */
long procfs_resolve(char *path, struct proc_name *pn);
/**
 * procfs_to_host() - for a name that the host is to be asked about: an object of the guest becomes
 * the host's, @path its name there. 0 or -errno
 */
long procfs_to_host(char *path, const struct proc_name *pn);
/** procfs_open() - a new host descriptor from which the text of @pn can be read, or -errno */
long procfs_open(const struct proc_name *pn);

/** procfs_parse_fd() - "17" as a number; false for anything else */
bool procfs_parse_fd(const char *s, u32 *fd);

#endif
