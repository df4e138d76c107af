/* SPDX-License-Identifier: MIT */
/*
 * inject.h - making the n-th allocation fail, for tests (RS_SYS_INJECT)
 */
#ifndef RS_SYSCALL_INJECT_H
#define RS_SYSCALL_INJECT_H

#include "../lib/types.h"

/** inject_set() - RS_SYS_INJECT(@n), see ringside_app.h */
long inject_set(u64 n);

#endif
