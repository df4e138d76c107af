/* SPDX-License-Identifier: MIT */
/*
 * pages.h - page calls of ringside_app.h
 */
#ifndef RS_SYSCALL_PAGES_H
#define RS_SYSCALL_PAGES_H

#include "syscall.h"

long app_protect(struct rs_frame *f);
long app_pages(struct rs_frame *f);
long app_dirty(struct rs_frame *f);

#endif
