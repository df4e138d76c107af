/* SPDX-License-Identifier: MIT */
/*
 * readers.h - system calls that are answered without the kernel's lock
 */
#ifndef RS_SYSCALL_READERS_H
#define RS_SYSCALL_READERS_H

#include "syscall.h"

#define READER_CALLS	192	/* their numbers lie below */
extern const u64 rs_reader_calls[READER_CALLS / 64];

/** reader_call() - call @nr may be one of them */
static always_inline bool reader_call(u32 nr)
{
	return nr < READER_CALLS && rs_reader_calls[nr / 64] >> nr % 64 & 1;
}

/** NEEDS_LOCK - the answer takes the lock after all; no call has such a result */
#define NEEDS_LOCK	(-100000L)

/**
 * syscall_reader() - the result of call @nr, which is one of them, or NEEDS_LOCK
 * The caller does not have the lock, and interrupts are off.
 */
long syscall_reader(struct rs_frame *f, u32 nr);

#endif
