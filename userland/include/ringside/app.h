/* SPDX-License-Identifier: MIT */
/*
 * ringside/app.h - for programs that know about the ring
 *
 * Functions for what the guest kernel offers beyond Linux (ringside_app.h). A program is linked with librsapp.a (pkg-config rsapp) and runs
 * everywhere: outside the ring each call answers -ENOSYS, and rs_app_features() says so before.
 *
 * Results are 0 or more, or a negative errno; errno itself is not touched, so all of this may be used in a trap handler. Calls that need a
 * feature the ring does not have answer -ENOSYS, too.
 *
 *	if (rs_app_features() & RS_APP_UPCALL) {
 *		rs_trap_stack_alloc(64 << 10);
 *		rs_trap_handle(14, on_page_fault, 0);
 *	} else {
 *		... sigaction(SIGSEGV, ...) ...
 *	}
 */
#ifndef RINGSIDE_APP_H
#define RINGSIDE_APP_H

#include <stddef.h>
#include <stdint.h>
#include <ringside_app.h>

#ifdef __cplusplus
extern "C" {
#endif

/** rs_app_features() - RS_APP_* of the ring this program runs in; 0 outside of one, or in one of another ABI */
unsigned int rs_app_features(void);

/**
 * rs_app_call() - a call of ringside_app.h by its number (RS_SYS_*)
 * -ENOSYS without the system being asked when this is no ring: a filter for system calls sees no number that it does not know.
 */
long rs_app_call(long nr, long a, long b, long c, long d);

/* --- traps ------------------------------------------------------------------------------------------------------------------------ */

/* What a handler returns. */
#define RS_TRAP_RESUME	0	/* the thread goes on with the registers that are in the frame now */
#define RS_TRAP_SIGNAL	1	/* not mine: the signal it would be without a handler */

/**
 * typedef rs_trap_fn - a handler: the thread it runs in is the one that trapped, on its trap stack
 * It may change @f, trap itself, and call what a handler of SIGSEGV may call. rip behind a breakpoint (vector 3) is that of the next
 * instruction, for all others that of the one that traps. A handler that does not come back (longjmp) needs no further measures.
 */
typedef int (*rs_trap_fn)(struct rs_trap_frame *f);

/* rs_trap_handle(): the handler, with all it calls, uses no vector and no x87 register (-mgeneral-regs-only): they are not saved. */
#define RS_TRAP_GENERAL_REGS	1u

/**
 * rs_trap_handle() - @fn takes the exceptions of @vector in all threads that have a trap stack;
 * NULL: nobody, they are signals again
 * RS_VECTOR_ALARM: alarms (rs_alarm()); there is no signal for these. -EINVAL: @vector is not one
 * of RS_UPCALL_VECTORS, nor that one, unknown @flags. May be called at any time, but not by two
 * threads at once.
 */
int rs_trap_handle(unsigned int vector, rs_trap_fn fn, unsigned int flags);

/**
 * rs_trap_stack() - [@base, @base + @size) is the calling thread's trap stack; the caller's, and to stay until it is changed or the thread
 * ends. @size 0: none, exceptions of this thread are signals. -EINVAL: less than RS_UPCALL_STACK_MIN
 */
int rs_trap_stack(void *base, size_t size);
/**
 * rs_trap_stack_need() - bytes that a trap takes before the handler's own variables: what a handler uses and this, times the depth of
 * nesting, is what a trap stack should have
 */
size_t rs_trap_stack_need(void);
/**
 * rs_trap_stack_alloc() - a stack of @size bytes or a little more, with a guard page below it, for the calling thread; it stays until the
 * process ends. -ENOMEM
 */
int rs_trap_stack_alloc(size_t size);

/**
 * rs_trap_call() - for a handler of @f: when it has come back, the interrupted code calls @fn(@arg)
 * That is on its own stack and outside of the handler; then it goes on where it was, with all
 * registers, vector state included. So @fn may do what a handler may not: switch to another user
 * thread, say, or be interrupted by the next alarm. It takes rs_trap_stack_need() bytes of the
 * interrupted stack and its own. To be called once, at last; a stack that cannot be written is a
 * fault in the handler.
 */
void rs_trap_call(struct rs_trap_frame *f, void (*fn)(void *arg), void *arg);

/**
 * rs_alarm() - RS_SYS_ALARM: the handler of RS_VECTOR_ALARM runs each time the calling thread has
 * used so much CPU time; 0: no more
 * It interrupts whatever the thread does but handlers, its own
 * call included: there it is late. -EINVAL: no handler, or no trap stack
 */
int rs_alarm(uint64_t microseconds);

/**
 * rs_backtrace() - where the calling thread is: return addresses, the innermost first, to @pcs, up
 * to @n; how many there are
 * @f: NULL: the first is in the caller; otherwise the state of whoever was interrupted, the first
 * is its rip
 * By frame pointers, so functions compiled without (-fno-omit-frame-pointer has them)
 * are left out. Whatever the stack holds, it never faults: it ends where memory cannot be read or
 * what is there is no frame above the one before. In a ring and outside of one; in signal handlers
 * and traps. It reads memory through a pipe of its own; where none can be had it finds no more
 * than rip.
 */
size_t rs_backtrace(void **pcs, size_t n, const struct rs_trap_frame *f);

/* --- pages ------------------------------------------------------------------------------------------------------------------------ */

/** rs_page_protect() - RS_SYS_PROTECT: RS_PAGE_NONE, RS_PAGE_READ or RS_PAGE_WRITE for [@addr, @addr + @len) */
int rs_page_protect(void *addr, size_t len, unsigned int rights);
/** rs_page_ops() - RS_SYS_PAGES: how many of the @n operations have been done; the results are in them */
long rs_page_ops(struct rs_page_op *ops, size_t n);
/**
 * rs_page_dirty() - RS_SYS_DIRTY: a bit for each page of [@addr, @addr + @len) to @bitmap, (@len / 4096 + 63) / 64 words; how many are set
 * @flags: RS_DIRTY_*
 */
long rs_page_dirty(void *addr, size_t len, uint64_t *bitmap, unsigned int flags);
/**
 * rs_page_entry() - the present page-table entry that @addr is mapped by, and its level (1: 4 KiB, 2: 2 MiB; @level may be NULL); 0: none
 * The entry's write and user bits are those of all levels together. Without a call; not while another thread unmaps. 0 outside the ring
 */
uint64_t rs_page_entry(const void *addr, int *level);

#ifdef __cplusplus
}
#endif

#endif /* RINGSIDE_APP_H */
