/* SPDX-License-Identifier: MIT */
/*
 * trace.h - a system call as a line of text
 */
#ifndef RS_SYSCALL_TRACE_H
#define RS_SYSCALL_TRACE_H

#include "../lib/types.h"
#include "../lib/printf.h"

/**
 * struct trace_memory - how the formatter looks at the process's memory; hosted tests bring their
 * own
 */
struct trace_memory {
	/* copies up to @n bytes from @va; returns how many could be read */
	size_t (*read)(void *ctx, void *dst, u64 va, size_t n);
	void *ctx;
};

/**
 * trace_struct() - argument @i of call @nr, where it looks different from what rs_calls.def says;
 * false when it does not (trace_structs.c)
 */
bool trace_struct(struct textbuf *t, u64 nr, unsigned int i, const u64 *args, long ret,
		  const struct trace_memory *mem);
/** trace_nargs() - how many of @n arguments mean something, by the values of the others */
unsigned int trace_nargs(u64 nr, const u64 *args, unsigned int n);

struct k_siginfo;
/** trace_siginfo() - "--- SIGCHLD {...} ---\n" */
void trace_siginfo(struct textbuf *t, const struct k_siginfo *info);

#define TRACE_NO_RETURN (-1000000l) /* result of a call that does not come back: printed as "?" */

/**
 * trace_format() - writes "name(arguments) = result\n"
 * @args: the six argument registers as the process passed them
 * @ret:  the result, or TRACE_NO_RETURN
 *
 * Never fails: what cannot be read is printed as an address, what does not fit in @t is cut off
 * before the result.
 */
void trace_format(struct textbuf *t, u64 nr, const u64 *args, long ret,
		  const struct trace_memory *mem);

#endif
