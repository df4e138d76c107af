/* SPDX-License-Identifier: MIT */
/*
 * kernel.h - what the top layer's files share
 */
#ifndef RS_KERNEL_KERNEL_H
#define RS_KERNEL_KERNEL_H

#include "../lib/types.h"
#include "../arch/frame.h"

/** panic_frame() - the end of the guest because of what happened at @f */
void panic_frame(const struct rs_frame *f, const char *fmt, ...) __printf(2, 3) __noreturn;

/**
 * ksym_find() - name of the kernel function that holds @addr, and the distance from its start; NULL
 * outside
 */
const char *ksym_find(u64 addr, u64 *delta);

/** fields_init() - boot: whether system calls may be answered without their handlers */
void fields_init(void);

#endif
