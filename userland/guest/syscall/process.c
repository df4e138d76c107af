// SPDX-License-Identifier: MIT
/*
 * process.c - identity, limits and settings of a process; fork, exec, end, children
 *
 * Ids are the sandbox's own (boot page): they say who the program is to itself. The host process
 * checks rights with its own ids, so nothing here grants anything; changing to an id that the
 * process has already is allowed, anything else is EPERM as for an unprivileged user.
 */
#include <asm/prctl.h>
#include <asm/unistd.h>
#include <linux/capability.h>
#include <linux/fcntl.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <asm/resource.h>
#include <linux/wait.h>
#include "pidfd.h"
#include "procfs.h"
#include "signal.h"
#include "syscall.h"
#include "../lib/string.h"
#include "../mm/page_alloc.h"
#include "../proc/exec.h"

bool pid_is_self(int pid)
{
	const struct thread *t;

	if (!pid || pid == (int)current_proc()->pid)
		return true;
	t = thread_find((u32)pid);
	return t && t->proc == current_proc();
}

/* --- identity --------------------------------------------------------------------------------- */

#define GETTER(name, what)                  \
	long sys_##name(struct rs_frame *f) \
	{                                   \
		(void)f;                    \
		return what;                \
	}

GETTER(getpid, current_proc()->pid)
GETTER(gettid, current()->tid)
GETTER(getppid, current_proc()->ppid)
GETTER(getpgrp, current_proc()->pgid)
GETTER(getuid, current_proc()->uid)
GETTER(geteuid, current_proc()->euid)
GETTER(getgid, current_proc()->gid)
GETTER(getegid, current_proc()->egid)

static struct process *process_or_self(int pid)
{
	return pid ? process_find((u32)pid) : current_proc();
}

long sys_getpgid(struct rs_frame *f)
{
	struct process *p = process_or_self((int)ARG0(f));

	return p ? (long)p->pgid : -ESRCH;
}

long sys_getsid(struct rs_frame *f)
{
	struct process *p = process_or_self((int)ARG0(f));

	return p ? (long)p->sid : -ESRCH;
}

long sys_setpgid(struct rs_frame *f)
{
	struct process *self = current_proc(), *p = process_or_self((int)ARG0(f));
	int pgid = (int)ARG1(f);

	if (pgid < 0)
		return -EINVAL;
	if (!p || (p != self && p->parent != self) || p->state != PROCESS_ALIVE)
		return -ESRCH;
	if (p != self && p->sid != self->sid)
		return -EPERM;
	if (p != self && p->execed)
		return -EACCES;
	if (p->sid == p->pid)
		return -EPERM; /* a session leader keeps its group */
	if (!pgid)
		pgid = (int)p->pid;
	if ((u32)pgid != p->pid && !process_group_alive((u32)pgid, self->sid))
		return -EPERM; /* no such group in this session */
	process_set_group(p, (u32)pgid);
	return 0;
}

long sys_setsid(struct rs_frame *f)
{
	struct process *p = current_proc();

	(void)f;
	if (process_group_alive(p->pid, 0))
		return -EPERM;
	process_set_session(p, p->pid);
	p->no_tty = false;
	process_set_group(p, p->pid);
	return p->sid;
}

static long put3(struct rs_frame *f, u32 a, u32 b, u32 c)
{
	if (put_user_u32(ARG0(f), a) || put_user_u32(ARG1(f), b) || put_user_u32(ARG2(f), c))
		return -EFAULT;
	return 0;
}

long sys_getresuid(struct rs_frame *f)
{
	struct process *p = current_proc();

	return put3(f, p->uid, p->euid, p->suid);
}

long sys_getresgid(struct rs_frame *f)
{
	struct process *p = current_proc();

	return put3(f, p->gid, p->egid, p->sgid);
}

static bool may_be(u32 id, u32 real, u32 effective, u32 saved)
{
	return id == (u32)-1 || id == real || id == effective || id == saved;
}

static long set_uids(u32 r, u32 e, u32 s)
{
	struct process *p = current_proc();

	if (!may_be(r, p->uid, p->euid, p->suid) || !may_be(e, p->uid, p->euid, p->suid) ||
	    !may_be(s, p->uid, p->euid, p->suid))
		return -EPERM;
	if (r != (u32)-1)
		p->uid = r;
	if (e != (u32)-1)
		p->euid = p->fsuid = e;
	if (s != (u32)-1)
		p->suid = s;
	return 0;
}

static long set_gids(u32 r, u32 e, u32 s)
{
	struct process *p = current_proc();

	if (!may_be(r, p->gid, p->egid, p->sgid) || !may_be(e, p->gid, p->egid, p->sgid) ||
	    !may_be(s, p->gid, p->egid, p->sgid))
		return -EPERM;
	if (r != (u32)-1)
		p->gid = r;
	if (e != (u32)-1)
		p->egid = p->fsgid = e;
	if (s != (u32)-1)
		p->sgid = s;
	return 0;
}

long sys_setuid(struct rs_frame *f)
{
	return (u32)ARG0(f) == (u32)-1 ? -EINVAL : set_uids(-1, (u32)ARG0(f), -1);
}

long sys_setgid(struct rs_frame *f)
{
	return (u32)ARG0(f) == (u32)-1 ? -EINVAL : set_gids(-1, (u32)ARG0(f), -1);
}

long sys_setreuid(struct rs_frame *f)
{
	return set_uids((u32)ARG0(f), (u32)ARG1(f), -1);
}

long sys_setregid(struct rs_frame *f)
{
	return set_gids((u32)ARG0(f), (u32)ARG1(f), -1);
}

long sys_setresuid(struct rs_frame *f)
{
	return set_uids((u32)ARG0(f), (u32)ARG1(f), (u32)ARG2(f));
}

long sys_setresgid(struct rs_frame *f)
{
	return set_gids((u32)ARG0(f), (u32)ARG1(f), (u32)ARG2(f));
}

/* Both return the old id whatever happens. */
long sys_setfsuid(struct rs_frame *f)
{
	struct process *p = current_proc();
	u32 old = p->fsuid;

	if ((u32)ARG0(f) != (u32)-1 && may_be((u32)ARG0(f), p->uid, p->euid, p->suid))
		p->fsuid = (u32)ARG0(f);
	return old;
}

long sys_setfsgid(struct rs_frame *f)
{
	struct process *p = current_proc();
	u32 old = p->fsgid;

	if ((u32)ARG0(f) != (u32)-1 && may_be((u32)ARG0(f), p->gid, p->egid, p->sgid))
		p->fsgid = (u32)ARG0(f);
	return old;
}

long sys_setgroups(struct rs_frame *f)
{
	(void)f;
	return -EPERM;
}

/* No capabilities at all, in every version of the interface. */
long sys_capget(struct rs_frame *f)
{
	struct __user_cap_header_struct h;
	struct __user_cap_data_struct d[2] = { 0 };
	size_t n = 2;

	if (copyin(&h, ARG0(f), sizeof(h)))
		return -EFAULT;
	if (h.version == _LINUX_CAPABILITY_VERSION_1) {
		n = 1;
	} else if (h.version != _LINUX_CAPABILITY_VERSION_2 &&
		   h.version != _LINUX_CAPABILITY_VERSION_3) {
		if (put_user_u32(ARG0(f), _LINUX_CAPABILITY_VERSION_3))
			return -EFAULT;
		return ARG1(f) ? -EINVAL : 0;
	}
	if (h.pid < 0)
		return -EINVAL;
	if (!pid_is_self(h.pid))
		return -ESRCH;
	return ARG1(f) ? copyout(ARG1(f), d, n * sizeof(d[0])) : 0;
}

long sys_capset(struct rs_frame *f)
{
	struct __user_cap_header_struct h;
	struct __user_cap_data_struct d[2] = { 0 };

	if (copyin(&h, ARG0(f), sizeof(h)))
		return -EFAULT;
	if (h.version != _LINUX_CAPABILITY_VERSION_1 && h.version != _LINUX_CAPABILITY_VERSION_2 &&
	    h.version != _LINUX_CAPABILITY_VERSION_3)
		return -EINVAL;
	if (copyin(d, ARG1(f), h.version == _LINUX_CAPABILITY_VERSION_1 ? sizeof(d[0]) : sizeof(d)))
		return -EFAULT;
	return d[0].effective | d[0].permitted | d[0].inheritable | d[1].effective |
			       d[1].permitted | d[1].inheritable
		       ? -EPERM
		       : 0;
}

/* --- limits ----------------------------------------------------------------------------------- */

#define RLIM_INF (~0ull)

struct rlimit64_k {
	u64 cur, max;
};

static long limit_get(u32 which, struct rlimit64_k *r)
{
	struct process *p = current_proc();

	r->cur = r->max = RLIM_INF;
	switch (which) {
	case RLIMIT_NOFILE:
		r->cur = p->files->limit;
		r->max = p->files->hard_limit;
		return 0;
	case RLIMIT_STACK: r->cur = p->mm->limit_stack; return 0;
	case RLIMIT_AS: r->cur = p->mm->limit_as; return 0;
	case RLIMIT_DATA: r->cur = p->mm->limit_data; return 0;
	case RLIMIT_CORE:
		r->cur = p->core_limit;
		r->max = p->core_hard_limit;
		return 0;
	case RLIMIT_SIGPENDING:
		r->cur = p->signals->queue_limit;
		r->max = p->signals->queue_hard_limit;
		return 0;
	case RLIMIT_NICE:
	case RLIMIT_RTPRIO: r->cur = r->max = 0; return 0;
	}
	return which < RLIM_NLIMITS ? 0 : -EINVAL;
}

/*
 * Limits that the guest kernel keeps are set; the others are the host process's and only accept
 * what they are.
 */
static long limit_set(u32 which, const struct rlimit64_k *r)
{
	struct process *p = current_proc();
	struct rlimit64_k now;
	long err = limit_get(which, &now);

	if (err)
		return err;
	if (r->cur > r->max)
		return -EINVAL;
	if (r->max > now.max)
		return -EPERM;
	switch (which) {
	case RLIMIT_NOFILE:
		p->files->limit = (u32)r->cur;
		p->files->hard_limit = (u32)r->max;
		break;
	case RLIMIT_STACK: p->mm->limit_stack = r->cur; break;
	case RLIMIT_AS: p->mm->limit_as = r->cur; break;
	case RLIMIT_DATA: p->mm->limit_data = r->cur; break;
	case RLIMIT_CORE:
		p->core_limit = r->cur;
		p->core_hard_limit = r->max;
		break;
	case RLIMIT_SIGPENDING: /* at most SIGQUEUE_MAX, so that these fit */
		p->signals->queue_limit = (u32)r->cur;
		p->signals->queue_hard_limit = (u32)r->max;
		break;
	}
	return 0;
}

static long prlimit(u32 which, u64 new, u64 old)
{
	struct rlimit64_k r, o;
	long err = limit_get(which, &o);

	if (err)
		return err;
	if (new) {
		if (copyin(&r, new, sizeof(r)))
			return -EFAULT;
		err = limit_set(which, &r);
		if (err)
			return err;
	}
	return old ? copyout(old, &o, sizeof(o)) : 0;
}

long sys_prlimit64(struct rs_frame *f)
{
	return pid_is_self((int)ARG0(f)) ? prlimit((u32)ARG1(f), ARG2(f), ARG3(f)) : -ESRCH;
}

long sys_getrlimit(struct rs_frame *f)
{
	return ARG1(f) ? prlimit((u32)ARG0(f), 0, ARG1(f)) : -EFAULT;
}

long sys_setrlimit(struct rs_frame *f)
{
	return ARG1(f) ? prlimit((u32)ARG0(f), ARG1(f), 0) : -EFAULT;
}

/* --- settings --------------------------------------------------------------------------------- */

long sys_arch_prctl(struct rs_frame *f)
{
	u64 a = ARG1(f);

	switch ((u32)ARG0(f)) {
	case ARCH_SET_FS:
	case ARCH_SET_GS:
		if (a >= USER_TOP)
			return -EPERM;
		if ((u32)ARG0(f) == ARCH_SET_FS)
			set_user_fs_base(a);
		else
			set_user_gs_base(a);
		return 0;
	case ARCH_GET_FS: return put_user_u64(a, user_fs_base());
	case ARCH_GET_GS: return put_user_u64(a, user_gs_base());
	}
	return -EINVAL;
}

long sys_prctl(struct rs_frame *f)
{
	struct process *p = current_proc();
	char name[16];
	unsigned int i;

	switch ((u32)ARG0(f)) {
	case PR_SET_NAME:
		memset(name, 0, sizeof(name));
		for (i = 0; i < sizeof(name) - 1; i++) {
			if (copyin(&name[i], ARG1(f) + i, 1))
				return -EFAULT;
			if (!name[i])
				break;
		}
		memcpy(thread_comm(current()), name, sizeof(name));
		return 0;
	case PR_GET_NAME: return copyout(ARG1(f), thread_comm(current()), sizeof(name));
	case PR_GET_DUMPABLE: return p->dumpable;
	case PR_SET_DUMPABLE:
		if (ARG1(f) > 1)
			return -EINVAL;
		p->dumpable = ARG1(f);
		return 0;
	case PR_SET_PDEATHSIG:
		if (ARG1(f) > NSIG)
			return -EINVAL;
		p->death_signal = (u32)ARG1(f);
		return 0;
	case PR_GET_PDEATHSIG: return put_user_u32(ARG1(f), p->death_signal);
	case PR_SET_NO_NEW_PRIVS:
		if (ARG1(f) != 1 || ARG2(f) || ARG3(f) || ARG4(f))
			return -EINVAL;
		p->no_new_privs = true;
		return 0;
	case PR_GET_NO_NEW_PRIVS: return p->no_new_privs;
	case PR_GET_TIMERSLACK: return 50000;
	case PR_SET_TIMERSLACK:
	case PR_SET_THP_DISABLE: return 0;
	case PR_SET_CHILD_SUBREAPER: p->subreaper = ARG1(f); return 0;
	case PR_GET_CHILD_SUBREAPER: return put_user_u32(ARG1(f), p->subreaper);
	case PR_GET_SECCOMP: return 0;
	case PR_CAPBSET_READ: return ARG1(f) > CAP_LAST_CAP ? -EINVAL : 0;
	}
	return -EINVAL;
}

long sys_set_tid_address(struct rs_frame *f)
{
	current()->clear_child_tid = ARG0(f);
	return current()->tid;
}

long sys_set_robust_list(struct rs_frame *f)
{
	if (ARG1(f) != 24) /* sizeof(struct robust_list_head) */
		return -EINVAL;
	current()->robust_list = ARG0(f);
	current()->robust_len = ARG1(f);
	return 0;
}

long sys_get_robust_list(struct rs_frame *f)
{
	struct thread *t = current();

	if (!pid_is_self((int)ARG0(f)))
		return -ESRCH;
	if (put_user_u64(ARG2(f), t->robust_len ? t->robust_len : 24) ||
	    put_user_u64(ARG1(f), t->robust_list))
		return -EFAULT;
	return 0;
}

long sys_personality(struct rs_frame *f)
{
	return (u32)ARG0(f) == 0xffffffff || !(u32)ARG0(f) ? 0 : -EINVAL;
}

/* struct sysinfo: what the sandbox has, not what the machine has. */
struct sysinfo_k {
	s64 uptime;
	u64 loads[3], totalram, freeram, sharedram, bufferram, totalswap, freeswap;
	u16 procs, pad0;
	u32 pad1;
	u64 totalhigh, freehigh;
	u32 mem_unit, pad2;
};

_Static_assert(sizeof(struct sysinfo_k) == 112, "struct sysinfo");

long sys_sysinfo(struct rs_frame *f)
{
	struct sysinfo_k si = {
		.uptime = clock_seconds_since_boot(),
		.totalram = pages_total() << PAGE_SHIFT,
		.freeram = pages_free() << PAGE_SHIFT,
		.procs = (u16)min(process_count(), 65535u),
		.mem_unit = 1,
	};

	return copyout(ARG0(f), &si, sizeof(si));
}

/* --- end, exec, children ---------------------------------------------------------------------- */

long sys_exit(struct rs_frame *f)
{
	thread_exit(((int)ARG0(f) & 0xff) << 8);
}

long sys_exit_group(struct rs_frame *f)
{
	process_exit(((int)ARG0(f) & 0xff) << 8);
}

static long exec(struct rs_frame *f, int dirfd, char *path, u64 argv, u64 envp)
{
	struct exec_args args;
	struct proc_name pn;
	char comm[16];
	long err;

	/* As Linux names it: by the name given, not by where /proc/self/exe leads. */
	rs_strlcpy(comm, strrchr(path, '/') ? strrchr(path, '/') + 1 : path, sizeof(comm));
	err = procfs_resolve(path, true, &pn); /* /proc/self/fd/N: how fexecve() does it */
	if (!err && (pn.kind != PROC_HOST || pn.object))
		err = -EACCES;
	if (err)
		return err;
	exec_args_init(&args);
	err = exec_args_copyin(&args, argv, envp);
	if (!err)
		err = proc_exec(current_proc(), dirfd, path, &args, f);
	exec_args_free(&args);
	if (!err)
		memcpy(current_proc()->comm, comm, sizeof(comm));
	return err;
}

long sys_execve(struct rs_frame *f)
{
	char *path = path_buffer(0);
	long err = path_in(path, ARG0(f));

	return err ? err : exec(f, process_cwd(current_proc()), path, ARG1(f), ARG2(f));
}

long sys_execveat(struct rs_frame *f)
{
	char *path = path_buffer(0);
	long err = path_in(path, ARG1(f)), dir = host_dirfd(ARG0(f));
	u32 flags = (u32)ARG4(f);

	if (err)
		return err;
	if (flags & ~(u32)(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW))
		return -EINVAL;
	if (!*path && flags & AT_EMPTY_PATH) {
		if (dir < 0)
			return dir == AT_FDCWD ? -EACCES : dir;
		rs_snprintf(path, PATH_SIZE, "/dev/fd/%d", (int)ARG0(f));
	}
	if (dir < 0 && dir != AT_FDCWD && *path != '/')
		return dir;
	return exec(f, dir < 0 ? process_cwd(current_proc()) : (int)dir, path, ARG2(f), ARG3(f));
}

/* --- fork ------------------------------------------------------------------------------------- */

#define CLONE_KNOWN                                                                             \
	(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_VFORK | CLONE_PARENT |       \
	 CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID |                    \
	 CLONE_CHILD_CLEARTID | CLONE_DETACHED | CLONE_UNTRACED | CLONE_CHILD_SETTID | CLONE_IO | \
	 CLONE_CLEAR_SIGHAND | CLONE_PIDFD)

/*
 * Of the things that clone() can share, processes share none but memory and descriptors; threads
 * share all. Nothing in between is used by C libraries: posix_spawn() is VM and VFORK.
 */
static long do_clone(struct rs_frame *f, struct fork_args *a)
{
	u64 thread = CLONE_VM | CLONE_SIGHAND | CLONE_FILES | CLONE_FS;

	if (a->flags & ~(u64)CLONE_KNOWN) {
		/* Namespaces, cgroups: not here. */
		host_explain((int)f->error, EPERM, NULL);
		return a->flags & (CLONE_NEWNS | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET |
				   CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP) ? -EPERM : -EINVAL;
	}
	if (a->flags & CLONE_SIGHAND && !(a->flags & CLONE_VM))
		return -EINVAL;
	if (a->flags & CLONE_SIGHAND && a->flags & CLONE_CLEAR_SIGHAND)
		return -EINVAL;
	if (a->flags & CLONE_THREAD && (a->flags & thread) != thread)
		return -EINVAL;
	if (!(a->flags & CLONE_THREAD) && a->flags & CLONE_SIGHAND)
		return -EINVAL;
	if (a->flags & CLONE_PIDFD && a->flags & (CLONE_THREAD | CLONE_DETACHED))
		return -EINVAL;
	if (a->exit_signal > NSIG || a->stack >= USER_TOP ||
	    (a->flags & CLONE_SETTLS && a->tls >= USER_TOP))
		return a->flags & CLONE_SETTLS && a->tls >= USER_TOP ? -EPERM : -EINVAL;
	if (a->flags & CLONE_THREAD)
		a->exit_signal = 0;
	return process_fork(a, f);
}

long sys_fork(struct rs_frame *f)
{
	struct fork_args a = { .exit_signal = SIGCHLD };

	return do_clone(f, &a);
}

long sys_vfork(struct rs_frame *f)
{
	struct fork_args a = { .flags = CLONE_VM | CLONE_VFORK, .exit_signal = SIGCHLD };

	return do_clone(f, &a);
}

long sys_clone(struct rs_frame *f)
{
	struct fork_args a = {
		.flags = (u32)ARG0(f) & ~(u64)CSIGNAL, .exit_signal = (u32)ARG0(f) & CSIGNAL,
		.stack = ARG1(f), .parent_tid = ARG2(f), .child_tid = ARG3(f), .tls = ARG4(f),
		.pidfd = ARG2(f),
	};

	if (a.flags & CLONE_PIDFD && a.flags & CLONE_PARENT_SETTID)
		return -EINVAL; /* one place for two numbers */

	return do_clone(f, &a);
}

long sys_clone3(struct rs_frame *f)
{
	struct clone_args c = { 0 };
	struct fork_args a;
	u64 size = ARG1(f), i;
	u8 byte;

	if (size < CLONE_ARGS_SIZE_VER0)
		return -EINVAL;
	if (size > PAGE_SIZE)
		return -E2BIG;
	if (copyin(&c, ARG0(f), min(size, (u64)sizeof(c))))
		return -EFAULT;
	for (i = sizeof(c); i < size; i++) {
		if (copyin(&byte, ARG0(f) + i, 1))
			return -EFAULT;
		if (byte)
			return -E2BIG;
	}
	if (c.flags & CSIGNAL || c.exit_signal & ~(u64)CSIGNAL || c.set_tid_size ||
	    !!c.stack != !!c.stack_size || c.stack + c.stack_size < c.stack)
		return -EINVAL;
	a = (struct fork_args){
		.flags = c.flags, .exit_signal = (u32)c.exit_signal,
		.stack = c.stack ? c.stack + c.stack_size : 0, .tls = c.tls,
		.parent_tid = c.parent_tid, .child_tid = c.child_tid, .pidfd = c.pidfd,
	};
	return do_clone(f, &a);
}

/* --- children --------------------------------------------------------------------------------- */

long sys_wait4(struct rs_frame *f)
{
	u32 options = (u32)ARG2(f);
	struct wait_result r;
	struct k_rusage ru;
	long pid;

	if (options & ~(WAIT_NOHANG | WAIT_UNTRACED | WAIT_CONTINUED | WAIT_NOTHREAD | WAIT_ALL |
			WAIT_CLONE))
		return -EINVAL;
	if ((int)ARG0(f) == (int)0x80000000)
		return -ESRCH;
	pid = process_wait((int)ARG0(f), options | WAIT_EXITED, &r);
	if (pid <= 0)
		return pid == -EINTR ? -ERESTARTSYS : pid;
	if (ARG1(f) && put_user_u32(ARG1(f), (u32)r.status))
		return -EFAULT;
	ru = rusage_of(&r.used);
	return ARG3(f) && copyout(ARG3(f), &ru, sizeof(ru)) ? -EFAULT : pid;
}

#define P_ALL_	0
#define P_PID_	1
#define P_PGID_ 2
#define P_PIDFD_ 3

long sys_waitid(struct rs_frame *f)
{
	struct k_siginfo info = { 0 };
	u32 options = (u32)ARG3(f);
	s64 id = (s32)ARG1(f);
	struct wait_result r;
	struct k_rusage ru;
	struct file *file;
	bool no_wait = false;
	long pid;
	u32 whose;

	if (options & ~(WAIT_NOHANG | WAIT_NOWAIT | WAIT_UNTRACED | WAIT_EXITED | WAIT_CONTINUED |
			WAIT_NOTHREAD | WAIT_ALL | WAIT_CLONE) ||
	    !(options & (WAIT_EXITED | WAIT_UNTRACED | WAIT_CONTINUED)))
		return -EINVAL;
	switch ((int)ARG0(f)) {
	case P_ALL_: id = -1; break;
	case P_PID_:
		if (id <= 0)
			return -EINVAL;
		break;
	case P_PGID_:
		if (id < 0)
			return -EINVAL;
		id = id ? -id : 0;
		if (id == -1)
			return -ECHILD; /* group 1 is nobody's here */
		break;
	case P_PIDFD_:
		if (id < 0)
			return -EINVAL;
		file = fd_lookup(current_proc()->files, (u64)id);
		if (!file || !pidfd_pid(file, &whose))
			return -EBADF;
		if (!whose)
			return -ECHILD;
		id = whose;
		no_wait = file->flags & O_NONBLOCK && !(options & WAIT_NOHANG);
		break;
	default: return -EINVAL;
	}
	pid = process_wait(id, no_wait ? options | WAIT_NOHANG : options, &r);
	if (!pid && no_wait)
		return -EAGAIN;
	if (pid < 0)
		return pid == -EINTR ? -ERESTARTSYS : pid;
	if (pid) {
		info.signo = SIGCHLD;
		info.pid = (s32)r.pid;
		info.uid = r.uid;
		if (r.status == 0xffff) {
			info.code = CLD_CONTINUED;
			info.value = SIGCONT;
		} else if ((r.status & 0xff) == 0x7f) {
			info.code = CLD_STOPPED;
			info.value = (u32)r.status >> 8 & 0xff;
		} else if (r.status & 0x7f) {
			info.code = CLD_KILLED;
			info.value = (u32)r.status & 0x7f;
		} else {
			info.code = CLD_EXITED;
			info.value = (u32)r.status >> 8 & 0xff;
		}
		ru = rusage_of(&r.used);
		if (ARG4(f) && copyout(ARG4(f), &ru, sizeof(ru)))
			return -EFAULT;
	}
	return ARG2(f) && copyout(ARG2(f), &info, sizeof(info)) ? -EFAULT : 0;
}
