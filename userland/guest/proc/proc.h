/* SPDX-License-Identifier: MIT */
/*
 * proc.h - processes and threads
 *
 * F1 has one process with one thread, on CPU 0; the structures are per process and per thread from
 * the start. A thread has a kernel stack of its own; struct kstack at its bottom leads from the
 * stack pointer to the thread, so current() needs no register.
 *
 * The layer above (syscall, fs) hangs its state on the opaque pointers, which it allocates in
 * syscall_process_init() and syscall_thread_init(); this layer never looks inside.
 */
#ifndef RS_PROC_PROC_H
#define RS_PROC_PROC_H

#include "../lib/types.h"
#include "../lib/list.h"
#include "../lib/refstr.h"
#include "../arch/cpu.h"
#include "../arch/frame.h"
#include "../mm/vma.h"
#include "../mm/fault.h"

struct fd_table;	/* fs/ */
struct signal_process;	/* syscall/ */
struct signal_thread;	/* syscall/ */
struct trace_state;	/* syscall/ */

/** struct process - what has a pid */
struct process {
	struct mm *mm;
	u32 pid, ppid, pgid, sid;
	u32 uid, euid, suid, fsuid, gid, egid, sgid, fsgid;
	u32 umask;
	int cwd_fd;			/* host directory descriptor; fs/ replaces it at chdir */
	char comm[16];			/* PR_SET_NAME; set by exec */
	struct refstr *exe;		/* absolute or as given: the path that was executed */
	struct list threads;
	u32 nthreads;
	u64 start_tsc;
	bool dumpable, no_new_privs;
	struct fd_table *files;
	struct signal_process *signals;
	struct trace_state *trace;
};

/** struct fault_info - why a thread is about to get a signal that no other process sent */
struct fault_info {
	u32 vector;			/* 0-31 */
	u64 error;			/* error code of the CPU */
	u64 addr;			/* CR2 for page faults, else rip */
	enum fault_cause cause;
	int sig, code;			/* SIGSEGV and SEGV_MAPERR, say */
};

/** struct thread - what runs */
struct thread {
	struct process *proc;
	struct list list;		/* proc->threads */
	struct kstack *kstack;
	u32 tid;
	/* not 0: rs_return_to_user() runs before ring 3 does. Own thread only. */
	volatile u32 work;
	struct rs_frame *frame;		/* registers of ring 3 during the present trap or call */
	u64 clear_child_tid;		/* set_tid_address */
	u64 robust_list, robust_len;
	u64 rseq;			/* registered area, 0 without */
	u32 rseq_len, rseq_sig;
	struct fault_info fault;	/* the last one */
	struct signal_thread *sig;
	u64 in_syscall;			/* number + 1 while in one, for reports */
};

#define THREAD_WORK_SIGNAL	(1u << 0)	/* a signal may have to be delivered */

/** current() - the thread whose kernel stack this is; never NULL after boot */
static inline struct thread *current(void)
{
#ifdef RS_HOSTED
	return rs_hosted_cpu->current;
#else
	return this_kstack()->thread;
#endif
}

static inline struct process *current_proc(void)
{
	return current()->proc;
}

/** process_create() - a process with one thread, no address space yet; NULL without memory */
struct process *process_create(void);

/**
 * process_exit() - the end of the current process, with a wait status (as wait(2) reports it: code
 * << 8, or a signal number). In F1 the sandbox ends with it.
 */
void process_exit(int wait_status) __noreturn;

/**
 * process_die() - the default action of a deadly signal for the current process. Prints a death
 * report (report.h) when @fault is not NULL or @sig is one a bug causes (SIGABRT excepted); then
 * process_exit(sig).
 */
void process_die(int sig, const struct fault_info *fault) __noreturn;

/*
 * Implemented by the layers above; called by kernel/.
 *
 * syscall_process_init()	hangs descriptor table, signal and trace state on the first process:
 *				stdio, cwd, masks from the boot page
 * signal_fault()		the current thread faulted in ring 3, t->fault says how: force the
 *				signal (handler, or process_die())
 * syscall_exec_done()		exec has replaced the program: reset handlers, close descriptors
 *				marked close-on-exec
 */
int syscall_process_init(struct process *p);
void signal_fault(struct rs_frame *f);
void syscall_exec_done(struct process *p);

#endif
