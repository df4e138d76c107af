/* SPDX-License-Identifier: MIT */
/*
 * internal.h - what the files of the library share, the assembly among them
 */
#ifndef RSAPP_INTERNAL_H
#define RSAPP_INTERNAL_H

#define HIDDEN __attribute__((visibility("hidden")))

#ifndef __ASSEMBLER__
#include <ringside/app.h>

/*
 * What rs_app_features() has found, when it has been asked once, with a bit that says so; 0 before.
 * It never changes then, and a child has it, too.
 */
extern HIDDEN uint64_t rs_app_known;

/* The calling thread's trap stack as rs_trap_stack() was told; size 0: none */
struct rs_app_stack {
	uint64_t base, size;
};
extern HIDDEN __thread struct rs_app_stack rs_app_stack __attribute__((tls_model("initial-exec")));

/**
 * rs_app_fault_first() - page faults go to @fn before the program's own handler, which keeps what
 * it has and may change it; @fn may use all registers. 0 or -errno; once for a process
 */
HIDDEN int rs_app_fault_first(rs_trap_fn fn);
/** rs_app_fault_next() - what the program makes of a page fault, for @fn above */
HIDDEN int rs_app_fault_next(struct rs_trap_frame *f);

/* The code of upcall.S: what it does at the end with a frame must not be done twice. */
HIDDEN extern char rs_app_upcall_text[], rs_app_upcall_text_end[];
#endif

/* --- for upcall.S, which cannot read C: checked in trap.c --- */
#define TF_REGS		16	/* rs_trap_frame.r15 */
#define TF_RDI		128
#define TF_VECTOR	136
#define TF_RBX		56
#define TF_RIP		152
#define TF_CS		160
#define TF_RFLAGS	168
#define TF_RSP		176
#define TF_SIZE		192
#define HANDLER_SHIFT	4	/* log2 sizeof(struct handler) */

/* --- for uthread_switch.S: checked in uthread.c --- */
#define UT_IN		0	/* struct rs_uthread */
#define UT_SP		8
#define UT_MXCSR	16
#define UT_FCW		20
#define UT_VALUE	24
#define HOME_CURRENT	0	/* struct uthread_home */

#endif
