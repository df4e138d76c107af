/* SPDX-License-Identifier: MIT */
/*
 * exec.h - replacing the program of the current process
 */
#ifndef RS_PROC_EXEC_H
#define RS_PROC_EXEC_H

#include "proc.h"

#define EXEC_ARG_MAX	(2ul << 20)	/* bytes of strings and pointers together: E2BIG above */

/**
 * struct exec_args - argv and envp gathered in kernel memory. Strings lie one after the other in
 * @data, each with its NUL: argv[0..argc-1], then envp[0..envc-1].
 */
struct exec_args {
	char *data;		/* kmalloc'ed */
	size_t len, size;
	u32 argc, envc;
};

/** exec_args_init(), exec_args_free() - an empty set; its memory */
void exec_args_init(struct exec_args *a);
void exec_args_free(struct exec_args *a);
/** exec_args_add() - one more string (all of argv before the first of envp): 0, -E2BIG, -ENOMEM */
long exec_args_add(struct exec_args *a, const char *s, bool env);
/**
 * exec_args_copyin() - argv and envp of an execve call (user pointers to NULL-ended arrays, 0
 * allowed): 0, -EFAULT -E2BIG -ENOMEM
 */
long exec_args_copyin(struct exec_args *a, u64 argv, u64 envp);

/**
 * proc_exec() - the current process becomes the program at @path
 * @dirfd: host directory descriptor @path is relative to. @frame: gets the new program's first
 * registers. On success 0: the old address space is gone, syscall_exec_done() has been called.
 * Before the point of no return -errno (ENOENT EACCES ENOEXEC ELIBBAD ENOMEM E2BIG ...) and nothing
 * has changed; beyond it the process dies.
 */
long proc_exec(struct process *p, int dirfd, const char *path, struct exec_args *args,
	       struct rs_frame *frame);

#endif
