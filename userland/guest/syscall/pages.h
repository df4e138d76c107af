/* SPDX-License-Identifier: MIT */
/*
 * pages.h - page calls of ringside_app.h
 */
#ifndef RS_SYSCALL_PAGES_H
#define RS_SYSCALL_PAGES_H

#include <ringside_app.h>
#include "syscall.h"

long app_protect(struct rs_frame *f);
long app_pages(struct rs_frame *f);
long app_dirty(struct rs_frame *f);

/* children.c */
long app_exofork(struct rs_frame *f);
long app_child_status(struct rs_frame *f);
long app_child_pages(struct rs_frame *f);
long app_mappings(struct rs_frame *f);

/** page_op() - an operation that is about one address space, @mm; 0 or -errno */
long page_op(struct mm *mm, struct rs_page_op *op);
/** page_ops() - the @n operations at @at of the current process's memory by @fn, as RS_SYS_PAGES */
long page_ops(u64 at, u64 n, long (*fn)(void *ctx, struct rs_page_op *op), void *ctx);

#endif
