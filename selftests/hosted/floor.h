/* SPDX-License-Identifier: MIT */
/*
 * floor.h - the world below proc/ and syscall/, for their hosted tests
 *
 * This program's memory is the memory of every process, guest physical addresses are its addresses
 * (rs_direct_base 0), and a host call is a real system call unless a test answers it. Threads are
 * fibers (fiber.c), scheduled by the real proc/sched.c. Objects and references are counted.
 */
#ifndef HOSTED_FLOOR_H
#define HOSTED_FLOOR_H

#include "../../userland/guest/host/host.h"
#include "../../userland/guest/lib/types.h"

#define PIECE 4096ul	/* user_segs_get() hands out memory in pieces of at most this */

extern struct rs_boot floor_boot;
extern struct rs_vcpu_shared floor_shared;

/* Balances: objects of kmalloc(), references on user memory, address spaces */
extern long live_objects, live_segs, live_mms;
extern long host_calls, explained;
extern u64 last_host_nr;
/* may answer a host call instead of Linux: true with *@ret set */
extern long (*host_hook)(u64 nr, const u64 a[6], long *ret);
extern long (*hypercall_hook)(u64 nr, u64 a0, u64 a1, u64 a2);	/* answers all of them */
extern u64 floor_total;			/* pages_total() */
/* host_exit() ends here; does not return */
extern void (*floor_on_exit)(int wait_status) __noreturn;
/* kmalloc() and pages that succeed before all fail, -1: none does */
extern long floor_fail_in;
extern u8 floor_restored[832];		/* the last extended state that was loaded */
extern char floor_console[65536];
extern size_t floor_console_len;
extern u64 floor_cr2;
extern int floor_reported;		/* signal of the last death report */

/** floor_share() - [p, p + len) is a shared mapping from now on, and nothing else is */
void floor_share(const void *p, u64 len);
/** floor_stacks() - kernel stacks in use, and those proc.c keeps for later */
long floor_stacks(void);
/** floor_pages() - pages of page_alloc() in use */
long floor_pages(void);

struct thread;
/** floor_user() - the test's: ring 3 of a thread that runs for the first time; does not return */
void floor_user(struct thread *t);

/** floor_init() - before everything; then floor_run() */
void floor_init(void);
/** floor_run() - the first process, whose thread does @first before floor_user(); does not return */
void floor_run(void (*first)(void)) __noreturn;

/* fiber.c */
void fiber_init(void);

#endif
