/* SPDX-License-Identifier: MIT */
/*
 * syscall.h - what the files of this directory share
 *
 * A handler takes the frame of the call and returns what goes into rax. Arguments are read from the
 * frame with ARG0() .. ARG5(), so that a call that needs none moves none. A handler that returns
 * one of the -ERESTART codes is resolved before ring 3 sees it (signal.c).
 */
#ifndef RS_SYSCALL_SYSCALL_H
#define RS_SYSCALL_SYSCALL_H

#include "../lib/types.h"
#include "../arch/frame.h"
#include "../arch/trap.h"
#include "../host/host.h"
#include "../mm/uaccess.h"
#include "../proc/proc.h"
#include "../fs/fd.h"

#define ARG0(f) ((f)->rdi)
#define ARG1(f) ((f)->rsi)
#define ARG2(f) ((f)->rdx)
#define ARG3(f) ((f)->r10)
#define ARG4(f) ((f)->r8)
#define ARG5(f) ((f)->r9)

/* Internal results, Linux's numbers; ring 3 never sees them. */
#define ERESTARTSYS \
	512 /* again after a handler with SA_RESTART or without any handler; otherwise EINTR */
#define ERESTARTNOHAND	514 /* again if no handler runs; otherwise EINTR */
/* again by restart_syscall, with what struct signal_thread says; EINTR if a handler runs */
#define ERESTART_RESTARTBLOCK 516
#define IS_RESTART(ret) ((u64)(ret) + 516 <= 4)

typedef long (*sys_fn)(struct rs_frame *f);

/** struct trace_state - --trace of a process; shared by those that inherited it */
struct trace_state {
	u32 refs;
	u64 mask[8];
};

/**
 * struct process_fs - where names begin and what files are made with; shared by processes that clone()
 * made so (CLONE_FS), and by all threads
 */
struct process_fs {
	u32 refs;
	u32 umask;
	struct file *cwd;
};

/* One handler for each row of class GUEST and SPECIAL. */
#define RS_GUEST(name, ...)   long sys_##name(struct rs_frame *f);
#define RS_SPECIAL(name, ...) long sys_##name(struct rs_frame *f);
#define RS_FORWARD(...)
#define RS_REFUSE(...)
#include "../../include/rs_calls.h"
#include "../../include/rs_calls.def"
#undef RS_GUEST
#undef RS_SPECIAL
#undef RS_FORWARD
#undef RS_REFUSE

/* dispatch.c */
/**
 * trace_signal() - "--- SIGINT {...} ---"; trace_exit() - "+++ exited with 0 +++"; nothing unless
 * the process is traced
 */
struct k_siginfo;
void trace_signal(const struct process *p, const struct k_siginfo *info);
void trace_exit(const struct process *p, int wait_status);

/* forward.c */
/**
 * forward() - executes call @nr in the host process, translating @a as the row of @nr says
 * Result as of the call, or -ERESTARTSYS when a signal came first. Descriptors in, descriptors out:
 * those of the process.
 */
long forward(u64 nr, const u64 a[6]);
long sys_forward(struct rs_frame *f);
/**
 * host_call_intr() - host_call() that may block: after -EINTR it returns -ERESTARTSYS if a signal
 * has to be handled, else tries again
 * The arguments must still be valid then.
 */
long host_call_intr(u64 nr, u64 a0, u64 a1, u64 a2, u64 a3, u64 a4, u64 a5);
long pipe_check(long ret);
/**
 * install_host_fd() - the lowest free number of the process for a new host descriptor; closed again
 * when there is none
 */
long install_host_fd(long host, bool cloexec, struct refstr *name);
/**
 * path_buffer() - the thread's buffer 0, 1 or 2 of PATH_SIZE bytes; contents last until its next
 * call; NULL without memory
 */
char *path_buffer(int i);
#define PATH_SIZE 4096
/** path_in() - a path of the process into @buf (path_buffer()); 0, -EFAULT, -ENAMETOOLONG */
long path_in(char *buf, u64 va);
/** host_dirfd() - host descriptor for a dirfd argument, AT_FDCWD as it is; -EBADF */
long host_dirfd(u64 fd);

/**
 * cwd_enter() - makes the host's working directory that of the process, for a call with a relative
 * path
 */
void cwd_enter(void);
/** cwd_now() - the host's working directory is @cwd now (chdir) */
void cwd_now(struct file *cwd);
/** cwd_drop() - forgets where each CPU was last; nothing runs any more */
void cwd_drop(void);
/**
 * note_host_write() - the host is going to write to [va, va + len) during the present call; until
 * forget_host_writes()
 */
void note_host_write(u64 va, u64 len);
void forget_host_writes(void);

/* files.c */
/** open_host_path() - a new number for what the host has at @path (path_buffer()), an absolute one */
long open_host_path(const char *path, u32 flags);

/* objects.c */
/** object_rw() - read() or write() of @f, an object of the guest */
long object_rw(struct file *f, u64 va, u64 len, bool write);
/**
 * object_call() - what call @nr(@a) does on @f, an object of the guest; false when the host
 * has to be asked
 */
bool object_call(u64 nr, struct file *f, const u64 *a, long *ret);
/** object_fcntl(), object_ioctl() - the same for one command and its argument */
bool object_fcntl(struct file *f, u32 cmd, u64 arg, long *ret);
bool object_ioctl(struct file *f, u32 cmd, u64 arg, long *ret);
struct k_stat;
/** object_stat() - what fstat() says of @f; false when the host has to be asked */
bool object_stat(const struct file *f, struct k_stat *st);

/* time.c */
/** clock_seconds_since_boot() - of the host */
u64 clock_seconds_since_boot(void);
/**
 * deadline_in() - the timespec at @va as a time of CLOCK_MONOTONIC in ns; @clock is its clock when it
 * is @absolute. 0, -EFAULT, -EINVAL
 */
long deadline_in(u64 va, bool absolute, int clock, u64 *deadline);
/**
 * sleep_for_signal() - until a signal is ready (-EINTR), or the timespec at @timeout_va (0: none)
 * is over (0)
 */
long sleep_for_signal(u64 timeout_va);

/* cputime.c */
/** struct k_rusage - Linux's struct rusage: times and a few counts; the rest is 0 */
struct k_rusage {
	s64 utime[2], stime[2];
	s64 maxrss, ixrss, idrss, isrss, minflt, majflt, nswap, inblock, oublock, msgsnd, msgrcv,
		nsignals, nvcsw, nivcsw;
};
_Static_assert(sizeof(struct k_rusage) == 144, "struct rusage");
struct usage;
/** rusage_of() - @u as a process may see it */
struct k_rusage rusage_of(const struct usage *u);

/* process.c */
/** affinity_of() - the CPUs a thread is said to be bound to; all for NULL */
u64 affinity_of(const struct thread *t);

/** pid_is_self() - @pid (0 and its threads included) names the calling process */
bool pid_is_self(int pid);

#endif
