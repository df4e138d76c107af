/* SPDX-License-Identifier: MIT */
/*
 * host.h - requests to the world outside
 *
 * A hypercall is one VMCALL/VMMCALL instruction; the host process writes the right one over the
 * sites listed in .rs_hypercall_sites. Numbers below RS_HC_USER stop at the module, RS_HC_CALL goes
 * on to the host process with the request in this CPU's rs_vcpu_shared. A host_call() is
 * synchronous: the CPU is away until the answer is there, which for a blocking system call may be
 * long; a signal for the sandbox makes it return -EINTR as usual. The bounce area of rs_vcpu_shared
 * may hold small arguments of one call; it belongs to whoever is between filling it in and reading
 * the results, nothing else may call the host in between.
 */
#ifndef RS_HOST_HOST_H
#define RS_HOST_HOST_H

#include <ringside_guest.h>
#include "../lib/types.h"
#include "../lib/printf.h"
#include "../arch/cpu.h"
#include "../sync/spinlock.h"

/**
 * rs_boot - the boot page; its strings and numbers are trusted (the host process is outside our
 * walls), never written except stats
 */
extern struct rs_boot *rs_boot;

/**
 * rs_stats() - counters shown to the user; F1 has one running CPU, so plain increments are exact
 */
static inline struct rs_guest_stats *rs_stats(void)
{
	return &rs_boot->stats;
}

/* The instruction, in the list of those that the host process sets right for this machine. */
#define HYPERCALL_INSN					\
	"771:	vmmcall\n"				\
	"	.pushsection .rs_hypercall_sites, \"a\"\n"	\
	"	.balign	8\n"				\
	"	.quad	771b\n"				\
	"	.popsection\n"

/** rs_hypercall() - any hypercall; unknown ones return RS_HC_ENOSYS */
long rs_hypercall(u64 nr, u64 a0, u64 a1, u64 a2, u64 a3);

/**
 * host_call() - a request to the host process: a Linux system call or RS_CALL_*
 *
 * Pointer arguments are GPAs (gpa_of() for kernel memory). Returns what the call returns: a value
 * or -errno.
 */
long host_call(u64 nr, u64 a0, u64 a1, u64 a2, u64 a3, u64 a4, u64 a5);
#define host_call0(nr)			host_call(nr, 0, 0, 0, 0, 0, 0)
#define host_call1(nr, a)		host_call(nr, (u64)(a), 0, 0, 0, 0, 0)
#define host_call2(nr, a, b)		host_call(nr, (u64)(a), (u64)(b), 0, 0, 0, 0)
#define host_call3(nr, a, b, c)		host_call(nr, (u64)(a), (u64)(b), (u64)(c), 0, 0, 0)
#define host_call4(nr, a, b, c, d)	host_call(nr, (u64)(a), (u64)(b), (u64)(c), (u64)(d), 0, 0)
#define host_call5(nr, a, b, c, d, e)	\
	host_call(nr, (u64)(a), (u64)(b), (u64)(c), (u64)(d), (u64)(e), 0)

/*
 * The same in two halves, for paths that are counted in instructions: the caller fills in nr and args of what
 * host_call_begin() returns, host_call_go() makes the request. Nothing else may call the host in between.
 */
#ifdef RS_HOSTED
static inline struct rs_call *host_call_begin(void)
{
	return &this_cpu()->shared->call;
}

static inline long host_call_go(struct rs_call *c)
{
	return host_call(c->nr, c->args[0], c->args[1], c->args[2], c->args[3], c->args[4],
			 c->args[5]);
}
#else
static always_inline struct rs_call *host_call_begin(void)
{
	return &this_kstack()->shared->call;
}

static always_inline long host_call_go(struct rs_call *c)
{
	u64 nr = RS_HC_CALL;

	asm volatile(HYPERCALL_INSN : "+a"(nr) : : "memory");
	return (long)nr < 0 ? (long)nr : c->ret;
}
#endif

/* --- physical addresses ----------------------------------------------------------------------- */

#ifdef RS_HOSTED
extern u64 rs_direct_base;	/* the test's own memory */
#else
#define rs_direct_base	RS_DIRECT_BASE
#endif

/** gpa_ptr() - kernel address of guest physical memory (arena or file window) */
static inline void *gpa_ptr(u64 gpa)
{
	return (void *)(rs_direct_base + gpa);
}

/** gpa_of() - GPA of kernel memory: of the direct map or of the kernel's image */
static inline u64 gpa_of(const void *p)
{
	u64 a = (u64)p;

#ifndef RS_HOSTED
	if (a >= RS_KERNEL_BASE)
		return a - RS_KERNEL_BASE;
#endif
	return a - rs_direct_base;
}

/** host_bounce() - this CPU's bounce area of HOST_BOUNCE_SIZE bytes, for arguments of one call */
static inline void *host_bounce(void)
{
	return this_cpu()->shared->bounce;
}
#define HOST_BOUNCE_SIZE	3584

/* --- console ---------------------------------------------------------------------------------- */

/**
 * console_write() - text for the user; @kind is RS_CONSOLE_*; @text is kernel memory, contiguous in
 * GPA (image, kmalloc, stack)
 */
void console_write(int kind, const char *text, size_t len);
/** rs_printf() - a line of the guest kernel's log (RS_CONSOLE_LOG); cut off at 1 KiB */
void rs_printf(const char *fmt, ...) __printf(1, 2);
/** rs_report() - the same to RS_CONSOLE_REPORT: always shown to the user */
void rs_report(const char *fmt, ...) __printf(1, 2);
/** rs_report_text() - what a textbuf has gathered, to @kind */
void rs_report_text(int kind, const struct textbuf *t);
/**
 * host_exit() - ends the sandbox with a wait status; @error 0, or -errno of a first exec that
 * failed
 */
void host_exit(int wait_status, int error) __noreturn;
/**
 * host_explain() - for --explain: the guest kernel refused system call @nr with @error (positive
 * errno); @path may be NULL
 */
void host_explain(int nr, int error, const char *path);

#endif
