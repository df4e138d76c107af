/* SPDX-License-Identifier: MIT */
/*
 * proc.h - processes and threads
 *
 * A process is what has a pid: an address space, a table of descriptors, a place in the tree of
 * parents and children. A thread is what runs. A thread has a kernel stack of its own; struct
 * kstack at its bottom leads from the stack pointer to the thread, so current() needs no register.
 *
 * Life of a process: process_fork() makes it, with one thread, as a child of the caller's;
 * process_exit() or the end of its last thread makes it a zombie, which keeps its pid, its status
 * and its counts until a parent has waited for it (process_wait()), or is gone. What it had is given
 * back when it becomes a zombie. Children of a dead process belong to the first one; when that one
 * ends, the sandbox ends.
 *
 * The kernel is not preempted, and only one CPU at a time is in it (proc/sched.h); so all of this
 * changes only where a thread sleeps. A thread is taken down by itself: others can only tell it to
 * go (THREAD_WORK_EXIT), and it goes on its way back to ring 3.
 *
 * But for readers, who find a process by its number without the lock: so its memory goes a grace period
 * after it has left the table.
 *
 * The layer above (syscall, fs) hangs its state on the opaque pointers; this layer only knows the
 * functions at the end of this file.
 */
#ifndef RS_PROC_PROC_H
#define RS_PROC_PROC_H

#include "../lib/types.h"
#include "../lib/list.h"
#include "../lib/refstr.h"
#include "../lib/rculist.h"
#include "../arch/cpu.h"
#include "../arch/frame.h"
#include "../mm/vma.h"
#include "../mm/fault.h"
#include "ipc.h"
#include "../sync/rcu.h"
#include "sched.h"
#include "upcall.h"

struct alarm;		/* alarm.c */
struct fd_table;	/* fs/ */
struct process_fs;	/* syscall/ */
struct pid_ref;		/* syscall/ */
struct signal_process;	/* syscall/ */
struct signal_thread;	/* syscall/ */
struct trace_state;	/* syscall/ */

/** struct usage - what somebody has used, for wait4 and getrusage */
struct usage {
	u64 user_tsc;			/* ticks of the TSC on a CPU, ring 0 included */
	u64 faults;			/* page faults from ring 3 and on behalf of it */
	u64 switches;			/* times it gave the CPU away by sleeping */
	u64 preempted;			/* times it was taken away */
	u64 max_pages;			/* most pages mapped at once */
};

enum process_state {
	PROCESS_ALIVE,
	PROCESS_ZOMBIE,			/* waits to be waited for */
};

/** struct process - what has a pid */
struct process {
	struct mm *mm;			/* NULL when it is a zombie */
	u32 pid, ppid, pgid, sid;
	u32 uid, euid, suid, fsuid, gid, egid, sgid, fsgid;
	bool no_tty;			/* has given its terminal up; tty.c */
	u64 core_limit, core_hard_limit;	/* RLIMIT_CORE: kept, there are no core files */
	struct upcall upcall;			/* exceptions it takes itself */
	struct process_fs *fs;		/* working directory and umask; NULL when it is a zombie */
	char comm[16];			/* see thread_comm() */
	struct refstr *exe;		/* absolute or as given: the path that was executed */
	struct list threads;
	u32 nthreads;
	u64 start_ns;			/* CLOCK_MONOTONIC; of the first only, see start_tsc */
	u64 start_tsc;			/* when it was made */
	bool dumpable, no_new_privs;
	struct fd_table *files;
	struct signal_process *signals;
	struct trace_state *trace;
	struct pid_ref *pid_ref;	/* NULL: has no pidfd */
	struct ipc_process *ipc;	/* NULL: has never had a handle */

	/* the tree, and the set of all */
	struct process *parent;		/* NULL for the first */
	struct list children, sibling, all;
	struct hnode hash;		/* readers without the lock find it by this */
	struct rcu_head rcu;
	enum process_state state;
	u32 exit_signal;		/* what the parent gets at the end; 0: none */
	u32 death_signal;		/* PR_SET_PDEATHSIG: what it gets when its parent ends */
	u32 hung_up_group;		/* in the foreground when its terminal hung up; 0: none */
	bool subreaper;			/* PR_SET_CHILD_SUBREAPER */
	bool execed;			/* has executed a program since its fork */
	bool unstarted;			/* without memory at first, and nobody runs it: child.c */

	/* end, stop, continue: what wait() reports */
	bool exiting;			/* all threads are told to go */
	int wait_status;
	bool stopped, stop_reported, continued;
	int stop_signal;
	struct wait_list child_event;	/* its threads in process_wait() */
	struct thread *exec_thread;	/* waits to be the last thread */
	struct usage used, children_used;
	u64 cpu_due;			/* user_tsc at which syscall_cpu_runs() wants to look; 0: never */
};

/** struct fault_info - why a thread is about to get a signal that no other process sent */
struct fault_info {
	u32 vector;			/* 0-31 */
	u64 error;			/* error code of the CPU */
	u64 addr;			/* CR2 for page faults, else rip */
	enum fault_cause cause;
	int sig, code;			/* SIGSEGV and SEGV_MAPERR, say */
	/* of the trap that could not be delivered, when @cause says why (FAULT_UPCALL_*) */
	enum fault_cause trap_cause;
	u64 trap_addr;
};

/** struct thread - what runs */
struct thread {
	struct process *proc;		/* NULL for the idle thread of a CPU */
	struct list list;		/* proc->threads */
	struct kstack *kstack;
	u32 tid;
	/* not 0: rs_return_to_user() runs before ring 3 does */
	volatile u32 work;
	struct rs_frame *frame;		/* registers of ring 3 during the present trap or call */
	u64 clear_child_tid;		/* set_tid_address, CLONE_CHILD_CLEARTID */
	u64 robust_list, robust_len;
	u64 rseq;			/* registered area, 0 without */
	u32 rseq_len, rseq_sig;
	struct fault_info fault;	/* the last one */
	struct upcall_stack upcall_stack;
	struct alarm *alarm;		/* NULL: has none */
	/*
	 * A copy from or to its memory failed because no page was left: not a bad address, so that
	 * a call's EFAULT becomes ENOMEM, and a signal that cannot be delivered for it is the end.
	 */
	bool no_memory;
	struct signal_thread *sig;
	u64 in_syscall;			/* number + 1 while in one, for reports */
	u64 faults;			/* without: */
	u64 short_faults;		/* those that upcall_fast() has delivered */
	char comm[16];			/* see thread_comm() */
	char *paths;			/* room for paths of the present call; syscall/ */
	u64 affinity;			/* CPUs it asked for, 0: all; kept, no more (syscall/sched.c) */
	s8 nice;			/* likewise */
	/* The first sleeps until the second executes or ends; they lead to each other or nowhere. */
	struct thread *vfork_parent, *vfork_child;
	struct list hash;		/* by tid */
	struct sched_thread sched;
	/* ranges of its memory that the host may be writing to now (syscall/forward.c) */
	u32 nhost_writes;
	struct {
		u64 addr, len;
	} host_write[8];
	void *call;			/* of syscall/: what the thread waits for in its call */
	struct ipc_thread ipc;
};

#define THREAD_WORK_SIGNAL	(1u << 0)	/* a signal may have to be delivered */
#define THREAD_WORK_RESCHED	(1u << 1)	/* others have waited long enough */
#define THREAD_WORK_EXIT	(1u << 2)	/* the process ends, or another thread executes */
#define THREAD_WORK_ALARM	(1u << 3)	/* its alarm may be due */

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

/**
 * thread_comm() - the name of a thread, 16 bytes with its NUL: PR_SET_NAME
 * That of the first thread is the process's; exec sets it, and it is there still in a zombie.
 */
static inline char *thread_comm(struct thread *t)
{
	return t->tid == t->proc->pid ? t->proc->comm : t->comm;
}

/** process_first() - the one the sandbox was started for */
struct process *process_first(void);
/** process_find(), thread_find() - by number, NULL when there is none; zombies are found, too */
struct process *process_find(u32 pid);
/**
 * process_find_reader() - the same by a reader without the kernel's lock (sync/rcu.h): of the process
 * it may read single numbers, which others may be changing
 */
const struct process *process_find_reader(u32 pid);
struct thread *thread_find(u32 tid);
/** process_count() - processes and threads alive or waiting to be waited for */
u32 process_count(void);
/** process_next() - all processes in the order of their making: NULL for the first, then on */
struct process *process_next(const struct process *p);
/** process_set_group(), process_set_session() - keep the numbers of groups and sessions in use */
void process_set_group(struct process *p, u32 pgid);
void process_set_session(struct process *p, u32 sid);

/** process_create() - the first one, with one thread, no address space yet; NULL without memory */
struct process *process_create(void);

/** struct fork_args - what clone(2) asks for */
struct fork_args {
	u64 flags;			/* CLONE_* without the signal */
	u32 exit_signal;
	u64 stack;			/* 0: the caller's */
	u64 tls;
	u64 parent_tid, child_tid;	/* addresses, for CLONE_PARENT_SETTID and the like */
	u64 pidfd;			/* CLONE_PIDFD */
	bool unstarted;			/* without memory, and not to run: child.c; flags are 0 */
	bool keep_tid;			/* it has the caller's clear_child_tid */
};
/**
 * process_fork() - a new process, or with CLONE_THREAD a new thread of this one, that returns 0 from
 * the caller's system call. It is ready to run, not running.
 * Its number; -EAGAIN (--pids), -ENOMEM, -EINVAL: then nothing has changed. CLONE_VFORK: comes back
 * when the child has executed a program or has ended.
 */
long process_fork(const struct fork_args *a, const struct rs_frame *frame);

/*
 * Unstarted children (child.c), of which the layers above know no more than their numbers.
 * process_exofork() - RS_SYS_EXOFORK; process_child() - @pid, an unstarted child of the current
 * process, or NULL; process_child_start() - RS_CHILD_RUN, process_child_gone() - RS_CHILD_GONE of
 * such a one. process_children_gone(): all of the current process, which ends or has a new program
 */
long process_exofork(u64 flags, const struct rs_frame *frame);
struct process *process_child(u32 pid);
long process_child_start(struct process *p);
void process_child_gone(struct process *p);
void process_children_gone(void);
/** process_undo() - the end of @p, whose thread @t has never run; @p is in no list of children */
void process_undo(struct process *p, struct thread *t);
/** process_host_writes() - the host may be writing to [@addr, @addr + @len) for a thread in this memory */
bool process_host_writes(u64 addr, u64 len);
/** process_put_tid() - @t's number to @addr of its memory: 0, also when the address is bad; -ENOMEM */
long process_put_tid(struct thread *t, u64 addr);

/** process_exit() - the end of the current process and all its threads, with a wait status */
void process_exit(int wait_status) __noreturn;
/** thread_exit() - the end of this thread; of the process if it is the last one */
void thread_exit(int wait_status) __noreturn;
/** thread_free() - of a thread that has left its stack for good */
void thread_free(struct thread *t);
/** thread_drop_spare() - gives back the stacks that are kept for the next threads */
void thread_drop_spare(void);
/**
 * process_single_thread() - for exec: the other threads are told to go, waits until they have; the
 * caller gets the process's own number. -EINTR: somebody else ends or executes first.
 */
long process_single_thread(void);
/** process_exec_done() - the current process has a new program: a parent in vfork goes on */
void process_exec_done(void);

/**
 * process_die() - the default action of a deadly signal for the current process. Prints a death
 * report (report.h) when @fault is not NULL or @sig is one a bug causes (SIGABRT excepted); then
 * process_exit(sig).
 */
void process_die(int sig, const struct fault_info *fault) __noreturn;

/** process_stop() - the current process stops for @sig, its parent is told; back when continued */
void process_stop(int sig);
/** process_continue() - SIGCONT for @p */
void process_continue(struct process *p);
/** thread_park() - own thread: sleeps as long as its process is stopped */
void thread_park(void);

/* options of process_wait(), Linux's numbers */
#define WAIT_NOHANG	0x1u
#define WAIT_UNTRACED	0x2u
#define WAIT_EXITED	0x4u
#define WAIT_CONTINUED	0x8u
#define WAIT_NOWAIT	0x01000000u
#define WAIT_NOTHREAD	0x20000000u
#define WAIT_ALL	0x40000000u
#define WAIT_CLONE	0x80000000u

/** struct wait_result - what happened to whom */
struct wait_result {
	u32 pid, uid;
	int status;			/* as wait4 reports it */
	struct usage used;
};
/**
 * process_wait() - a child of the current process that has ended, stopped or been continued
 * @id: as wait4's pid: > 0 that child, 0 the caller's group, -1 any, < -1 that group.
 * Its pid, 0 (WAIT_NOHANG), -ECHILD, -EINTR. Without WAIT_NOWAIT a zombie is gone afterwards.
 */
long process_wait(s64 id, u32 options, struct wait_result *r);

/** process_group_alive() - some process of group @pgid in session @sid (0: any) */
bool process_group_alive(u32 pgid, u32 sid);
/** process_usage() - of @p with its running thread */
struct usage process_usage(const struct process *p);

/*
 * Implemented by the layers above.
 *
 * syscall_process_init()	hangs descriptor table, signal and trace state on the first process:
 *				stdio, cwd, masks from the boot page
 * syscall_fork()		the same for @t, made by @parent's clone(@flags); @t->proc is
 *				@parent->proc for a thread. 0 or -ENOMEM, then syscall_thread_free()
 *				and syscall_process_free() are still called
 * syscall_fork_pidfd()	for CLONE_PIDFD, the last thing that can fail: a descriptor of @p for the
 *				current process, its number to @addr
 * syscall_thread_exit()	own thread, address space still there: futexes, robust lists
 * syscall_thread_free(), syscall_process_free()	nobody uses them any more
 * syscall_sandbox_ends()	what programs have left to be done outside is done; no program runs any more
 * syscall_drop_spare()	gives back what CPUs keep; nothing runs any more
 * syscall_process_end()	own process: descriptors and the rest that zombies do not have
 * signal_fault()		the current thread faulted in ring 3, t->fault says how: force the
 *				signal (handler, or process_die())
 * signal_ready()		a signal is to be handled by the current thread: ends sleeps
 * signal_child()		@p has ended, stopped or been continued: tell its parent
 *				@code: CLD_EXITED ...; @status: as in siginfo
 * signal_ignores_children()	@p does not want zombies (SIGCHLD ignored, SA_NOCLDWAIT)
 * signal_parent_ended()	@c has lost @parent, and has another one: its signal for that, and what
 *				becomes of its group (signal_orphaned())
 * signal_orphaned()		@p has lost @parent, or has ended itself: if its group has become an
 *				orphaned one by that, and has stopped members, it is told
 * syscall_exec_leaves()		the current thread is about to lose its address space to exec
 * syscall_cpu_runs()		a thread of @p, which has a cpu_due, is about to get a CPU
 * process_cwd()		a host descriptor of @p's working directory
 * syscall_exec_done()		exec has replaced the program: reset handlers, close descriptors
 *				marked close-on-exec
 */
int syscall_process_init(struct process *p);
int syscall_fork(struct thread *t, struct thread *parent, u64 flags);
int syscall_fork_pidfd(struct process *p, u64 addr);
void syscall_thread_exit(struct thread *t);
void syscall_thread_free(struct thread *t);
void syscall_process_end(struct process *p);
void syscall_process_free(struct process *p);
void syscall_sandbox_ends(void);
void syscall_drop_spare(void);
void signal_fault(struct rs_frame *f);
bool signal_ready(void);
void signal_child(struct process *p, int code, int status);
void signal_parent_ended(struct process *c, const struct process *parent);
void signal_orphaned(const struct process *p, const struct process *parent);
bool signal_ignores_children(const struct process *p);
void syscall_exec_leaves(struct thread *t);
void syscall_cpu_runs(struct process *p);
int process_cwd(const struct process *p);
void syscall_exec_done(struct process *p);

#endif
