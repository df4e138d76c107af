/* SPDX-License-Identifier: MIT */
/*
 * symbols.h - numbers of Linux's interface as names, for --trace and reports
 */
#ifndef RS_SYSCALL_SYMBOLS_H
#define RS_SYSCALL_SYMBOLS_H

#include "../lib/types.h"
#include "../lib/printf.h"

/**
 * text_set() - @v as the names of set @set (enum rs_set): "O_RDONLY|O_CLOEXEC"; what has no name
 * follows in hexadecimal
 */
void text_set(struct textbuf *t, unsigned int set, u64 v);
/** text_error() - errno @e (positive) as "ENOENT (No such file or directory)" */
void text_error(struct textbuf *t, int e);
/** errno_name() - "ENOENT", NULL when @e has no name */
const char *errno_name(int e);
/** signal_name() - "SIGSEGV", NULL when @sig has no name of its own */
const char *signal_name(int sig);
/** signal_code_name() - "SEGV_MAPERR": si_code @code of @sig, NULL when it has no name */
const char *signal_code_name(int sig, int code);
/** syscall_name() - "openat", NULL when @nr is not in rs_calls.def */
const char *syscall_name(u64 nr);
/**
 * syscall_name_any() - the same, and the names of some that programs try although they are not
 * there
 */
const char *syscall_name_any(u64 nr);

#endif
