// SPDX-License-Identifier: MIT
/*
 * process.c - identity, limits and settings of a process, its end, its exec
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
#include <asm/resource.h>
#include <linux/wait.h>
#include "procfs.h"
#include "signal.h"
#include "syscall.h"
#include "../lib/string.h"
#include "../mm/page_alloc.h"
#include "../proc/exec.h"

bool pid_is_self(int pid)
{
	return !pid || pid == (int)current_proc()->pid;
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

long sys_getpgid(struct rs_frame *f)
{
	return pid_is_self((int)ARG0(f)) ? (long)current_proc()->pgid : -ESRCH;
}

long sys_getsid(struct rs_frame *f)
{
	return pid_is_self((int)ARG0(f)) ? (long)current_proc()->sid : -ESRCH;
}

long sys_setpgid(struct rs_frame *f)
{
	struct process *p = current_proc();
	int pgid = (int)ARG1(f);

	if (pgid < 0)
		return -EINVAL;
	if (!pid_is_self((int)ARG0(f)))
		return -ESRCH;
	if (p->sid == p->pid)
		return -EPERM; /* a session leader keeps its group */
	if (pgid && pgid != (int)p->pid && pgid != (int)p->pgid)
		return -EPERM; /* no such group in this session */
	p->pgid = pgid ? (u32)pgid : p->pid;
	return 0;
}

long sys_setsid(struct rs_frame *f)
{
	struct process *p = current_proc();

	(void)f;
	if (p->pgid == p->pid)
		return -EPERM;
	p->sid = p->pgid = p->pid;
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
	case RLIMIT_CORE: r->cur = r->max = 0; return 0;
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

/* --- scheduling ------------------------------------------------------------------------------- */

long sys_getpriority(struct rs_frame *f)
{
	if ((u32)ARG0(f) > 2)
		return -EINVAL;
	return 20; /* nice 0, as the system call encodes it */
}

long sys_setpriority(struct rs_frame *f)
{
	if ((u32)ARG0(f) > 2)
		return -EINVAL;
	return (int)ARG2(f) < 0
		       ? -EACCES
		       : 0; /* being nicer to the others of the sandbox costs nothing to promise */
}

long sys_sched_yield(struct rs_frame *f)
{
	(void)f;
	return 0;
}

long sys_sched_getaffinity(struct rs_frame *f)
{
	u64 mask = rs_ncpus >= 64 ? ~0ull : (1ull << rs_ncpus) - 1;

	if (!pid_is_self((int)ARG0(f)))
		return -ESRCH;
	if (ARG1(f) < sizeof(mask) || (ARG1(f) & 7))
		return -EINVAL;
	return copyout(ARG2(f), &mask, sizeof(mask)) ? -EFAULT : (long)sizeof(mask);
}

long sys_sched_setaffinity(struct rs_frame *f)
{
	u64 mask = 0;

	if (!pid_is_self((int)ARG0(f)))
		return -ESRCH;
	if (copyin(&mask, ARG2(f), min(ARG1(f), (u64)sizeof(mask))))
		return -EFAULT;
	return mask & (rs_ncpus >= 64 ? ~0ull : (1ull << rs_ncpus) - 1) ? 0 : -EINVAL;
}

long sys_sched_getscheduler(struct rs_frame *f)
{
	return pid_is_self((int)ARG0(f)) ? 0 : -ESRCH; /* SCHED_OTHER */
}

long sys_sched_getparam(struct rs_frame *f)
{
	if (!pid_is_self((int)ARG0(f)))
		return -ESRCH;
	return put_user_u32(ARG1(f), 0);
}

/* SCHED_OTHER, BATCH, IDLE have priority 0 only; FIFO and RR 1 to 99. */
static long priority(u32 policy, long fifo)
{
	switch (policy) {
	case 0:
	case 3:
	case 5: return 0;
	case 1:
	case 2: return fifo;
	}
	return -EINVAL;
}

long sys_sched_get_priority_max(struct rs_frame *f)
{
	return priority((u32)ARG0(f), 99);
}

long sys_sched_get_priority_min(struct rs_frame *f)
{
	return priority((u32)ARG0(f), 1);
}

long sys_getcpu(struct rs_frame *f)
{
	if ((ARG0(f) && put_user_u32(ARG0(f), this_cpu()->id)) ||
	    (ARG1(f) && put_user_u32(ARG1(f), 0)))
		return -EFAULT;
	return 0;
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
		memcpy(p->comm, name, sizeof(name));
		return 0;
	case PR_GET_NAME: return copyout(ARG1(f), p->comm, sizeof(p->comm));
	case PR_GET_DUMPABLE: return p->dumpable;
	case PR_SET_DUMPABLE:
		if (ARG1(f) > 1)
			return -EINVAL;
		p->dumpable = ARG1(f);
		return 0;
	case PR_SET_PDEATHSIG:
		return ARG1(f) > NSIG ? -EINVAL
				      : 0; /* the sandbox ends with its host process anyway */
	case PR_GET_PDEATHSIG: return put_user_u32(ARG1(f), 0);
	case PR_SET_NO_NEW_PRIVS:
		if (ARG1(f) != 1 || ARG2(f) || ARG3(f) || ARG4(f))
			return -EINVAL;
		p->no_new_privs = true;
		return 0;
	case PR_GET_NO_NEW_PRIVS: return p->no_new_privs;
	case PR_GET_TIMERSLACK: return 50000;
	case PR_SET_TIMERSLACK:
	case PR_SET_CHILD_SUBREAPER:
	case PR_SET_THP_DISABLE: return 0;
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
		.procs = 1,
		.mem_unit = 1,
	};

	return copyout(ARG0(f), &si, sizeof(si));
}

/* --- end, exec, children ---------------------------------------------------------------------- */

static void exit_with(int status)
{
	trace_exit(current_proc(), status);
	process_exit(status);
}

long sys_exit(struct rs_frame *f)
{
	exit_with(((int)ARG0(f) & 0xff) << 8);
	return 0;
}

long sys_exit_group(struct rs_frame *f)
{
	exit_with(((int)ARG0(f) & 0xff) << 8);
	return 0;
}

long sys_execve(struct rs_frame *f)
{
	struct exec_args args;
	struct proc_name pn;
	char *path = path_buffer(0);
	long err = path_in(path, ARG0(f));

	if (!err)
		err = procfs_resolve(path, &pn); /* /proc/self/fd/N: how fexecve() does it */
	if (!err && pn.text)
		err = -EACCES;
	if (err)
		return err;
	exec_args_init(&args);
	err = exec_args_copyin(&args, ARG1(f), ARG2(f));
	if (!err)
		err = proc_exec(current_proc(), AT_FDCWD, path, &args, f);
	exec_args_free(&args);
	return err;
}

/* Until there is a fork there are no children. */
long sys_wait4(struct rs_frame *f)
{
	(void)f;
	return -ECHILD;
}

long sys_waitid(struct rs_frame *f)
{
	(void)f;
	return -ECHILD;
}
