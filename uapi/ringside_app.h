/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * ringside_app.h - what the guest kernel offers to programs beyond Linux's system calls
 *
 * Programs reach it with the SYSCALL instruction and numbers that Linux does not use. Outside the ring the kernel answers ENOSYS, which is
 * how a program finds out that it has to do without.
 */
#ifndef _UAPI_RINGSIDE_APP_H
#define _UAPI_RINGSIDE_APP_H

#define RS_SYS_BASE		0x52530000

/*
 * long RS_SYS_BENCH(op, iterations): runs @op @iterations times in the guest kernel and returns the time-stamp counter's advance over
 * the loop. Only in a ring that was started for measuring (ENOSYS otherwise). EINVAL: op unknown, iterations 0 or above 10,000,000.
 */
#define RS_SYS_BENCH		(RS_SYS_BASE + 0)
#define RS_BENCH_EMPTY		0	/* the loop alone, to subtract */
#define RS_BENCH_HYPERCALL_NULL	1	/* RS_HC_NULL */
#define RS_BENCH_PAGE_ALLOC	2	/* allocate one page and free it */
#define RS_BENCH_CRASH		3	/* the guest kernel makes a mistake: this guest ends, with a report. EPERM without --debug */

/* long RS_SYS_EXITS(void): VM exits of this vCPU so far, without external interrupts and NMIs, this call's own included. EPERM as above. */
#define RS_SYS_EXITS		(RS_SYS_BASE + 1)

/*
 * long RS_SYS_INJECT(n): from now on the guest kernel counts its memory allocations for the calling process and for processes it has
 * forked that have not executed a program yet; the @n-th of them fails, once. 0 ends that (another process's, too: there is one count at a
 * time). Returns how many allocations were counted since the call before, so a loop over n = 1, 2, 3, ... is done when the answer to the
 * ending call is below n. What the kernel keeps for the next fork is given back first, so that every place that allocates does so.
 * ENOSYS without --debug.
 */
#define RS_SYS_INJECT		(RS_SYS_BASE + 2)

#endif /* _UAPI_RINGSIDE_APP_H */
