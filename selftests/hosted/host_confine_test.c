// SPDX-License-Identifier: MIT
/*
 * The second wall, from the inside: a whole rs_run() with real Landlock, seccomp and signals, but
 * with a script in place of the guest.
 *
 * A fake engine stands behind the engine contract. Its run() takes the next step of a script, puts
 * it into the vCPU's shared page as a guest kernel would, and returns "hypercall"; the next run()
 * finds the result there and compares. Steps marked "taken over" skip the library and make the
 * system call right here, in the confined process: that is what an attacker could do who owns the
 * host process. Each script runs in a process of its own, since confinement cannot be undone;
 * results go to memory shared with the parent.
 */
#define _GNU_SOURCE
#include <asm/ioctls.h>
#include <asm/unistd.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "confine.h"
#include "engine.h"
#include "ringside_guest.h"

#include "ringside/ringside.h"

/* GPA of strings and results; the arena has 32 MiB and the guest kernel lies below. */
#define SCRATCH		(12ull << 20)
#define OUT		(SCRATCH + 0x8000)	/* GPA for what a call writes */
#define GOOD		1000000		/* "any result that is no error" */
#define KEEP		1000001		/* the same, and remember it as the descriptor FD */
#define FD		(-77)		/* in arguments: that descriptor */

static char *dir;		/* the test's directory, canonical */

/* --- script ---------------------------------------------------------------------------------- */

/**
 * struct step - one call: @nr with @args; strings (paths below dir, absolute ones, or NAME.SUFFIX
 * as it is) go to arguments @at
 * @taken_over: made directly, not through the library; IN_SLOT: by a helper thread
 */
struct step {
	const char *what;
	long nr;
	long want;
	const char *path[2];
	int at[2];
	long args[6];
	int taken_over;
};

#define IN_SLOT			2
#define P(n, path)		{ path }, { n }
#define AT			AT_FDCWD

static const struct step steps[] = {
	/* opens: Landlock */
	{ "open a file outside", __NR_openat, -EACCES, P(1, "secret/file"), { AT, 0, O_RDONLY } },
	{ "open a file in --ro", __NR_openat, KEEP, P(1, "ro/file"), { AT, 0, O_RDONLY } },
	{ "fstat it", __NR_fstat, 0, P(0, NULL), { FD, OUT } },
	{ "fchmod it, though it is read-only", __NR_fchmod, -EACCES, P(0, NULL), { FD, 0600 } },
	{ "close it", __NR_close, 0, P(0, NULL), { FD } },
	{ "close it twice", __NR_close, -EBADF, P(0, NULL), { FD } },
	{ "open a file in --ro for writing",
	  __NR_openat,
	  -EACCES,
	  P(1, "ro/file"),
	  { AT, 0, O_WRONLY } },
	{ "truncate one in --ro by opening it",
	  __NR_openat,
	  -EACCES,
	  P(1, "ro/file"),
	  { AT, 0, O_RDONLY | O_TRUNC } },
	{ "create a file in --ro",
	  __NR_openat,
	  -EACCES,
	  P(1, "ro/new"),
	  { AT, 0, O_WRONLY | O_CREAT, 0600 } },
	{ "create a file in --rw",
	  __NR_openat,
	  KEEP,
	  P(1, "rw/new"),
	  { AT, 0, O_RDWR | O_CREAT, 0600 } },
	{ "fchmod it", __NR_fchmod, 0, P(0, NULL), { FD, 0640 } },
	{ "O_PATH of a file outside",
	  __NR_openat,
	  -EACCES,
	  P(1, "secret/file"),
	  { AT, 0, O_PATH } },
	{ "O_PATH of a file in --ro", __NR_openat, GOOD, P(1, "ro/file"), { AT, 0, O_PATH } },
	{ "mkdir in --ro", __NR_mkdir, -EACCES, P(0, "ro/d"), { 0, 0700 } },
	{ "mkdir in --rw", __NR_mkdir, 0, P(0, "rw/d"), { 0, 0700 } },
	{ "creat in --rw", __NR_creat, GOOD, P(0, "rw/created"), { 0, 0600 } },
	{ "creat in --ro", __NR_creat, -EACCES, P(0, "ro/created"), { 0, 0600 } },
	{ "mknod of a FIFO in --rw", __NR_mknod, 0, P(0, "rw/fifo"), { 0, S_IFIFO | 0600 } },
	{ "mknod of a device in --rw",
	  __NR_mknod,
	  -EPERM,
	  P(0, "rw/null"),
	  { 0, S_IFCHR | 0600, 0x103 } },
	{ "unlink in --ro", __NR_unlink, -EACCES, P(0, "ro/file"), { 0 } },
	{ "write into a device", __NR_openat, GOOD, P(1, "/dev/null"), { AT, 0, O_WRONLY } },
	/* metadata: the library */
	{ "stat a file outside", __NR_stat, -EACCES, P(0, "secret/file"), { 0, OUT } },
	{ "stat a file in --ro", __NR_stat, 0, P(0, "ro/file"), { 0, OUT } },
	{ "stat what is not there", __NR_stat, -ENOENT, P(0, "ro/none"), { 0, OUT } },
	{ "stat the root, which leads to a root", __NR_stat, 0, P(0, "/"), { 0, OUT } },
	{ "newfstatat", __NR_newfstatat, 0, P(1, "rw/new"), { AT, 0, OUT, 0 } },
	{ "newfstatat of a descriptor",
	  __NR_newfstatat,
	  0,
	  P(1, ""),
	  { FD, 0, OUT, AT_EMPTY_PATH } },
	{ "statx", __NR_statx, 0, P(1, "ro/file"), { AT, 0, 0, 0x7ff, OUT } },
	{ "statx outside", __NR_statx, -EACCES, P(1, "secret/file"), { AT, 0, 0, 0x7ff, OUT } },
	{ "access for reading", __NR_access, 0, P(0, "ro/file"), { 0, R_OK } },
	{ "access for writing in --ro", __NR_access, -EACCES, P(0, "ro/file"), { 0, W_OK } },
	{ "access for writing in --rw", __NR_access, 0, P(0, "rw/new"), { 0, W_OK } },
	{ "faccessat2 outside", __NR_faccessat2, -EACCES, P(1, "secret/file"), { AT, 0, R_OK, 0 } },
	{ "chmod in --ro", __NR_chmod, -EACCES, P(0, "ro/file"), { 0, 0777 } },
	{ "chmod in --rw", __NR_chmod, 0, P(0, "rw/new"), { 0, 0600 } },
	{ "chmod u+s in --rw", __NR_chmod, 0, P(0, "rw/created"), { 0, 06755 } },
	{ "chown in --ro", __NR_chown, -EACCES, P(0, "ro/file"), { 0, -1, -1 } },
	{ "chown in --rw", __NR_chown, 0, P(0, "rw/new"), { 0, -1, -1 } },
	{ "truncate in --ro", __NR_truncate, -EACCES, P(0, "ro/file"), { 0, 0 } },
	{ "truncate in --rw", __NR_truncate, 0, P(0, "rw/new"), { 0, 10 } },
	{ "times in --ro", __NR_utimensat, -EACCES, P(1, "ro/file"), { AT, 0, 0, 0 } },
	{ "times in --rw", __NR_utimensat, 0, P(1, "rw/new"), { AT, 0, 0, 0 } },
	{ "times of a descriptor", __NR_utimensat, 0, P(0, NULL), { FD, 0, 0, 0 } },
	{ "xattr in --ro",
	  __NR_setxattr,
	  -EACCES,
	  { "ro/file", "user.a" },
	  { 0, 1 },
	  { 0, 0, OUT, 1, 0 } },
	{ "statfs outside", __NR_statfs, -EACCES, P(0, "secret/file"), { 0, OUT } },
	{ "statfs", __NR_statfs, 0, P(0, "rw"), { 0, OUT } },
	{ "chdir outside", __NR_chdir, -EACCES, P(0, "secret"), { 0 } },
	{ "chdir", __NR_chdir, 0, P(0, "rw"), { 0 } },
	/* links: checked is what they lead to */
	{ "make a link to a file outside",
	  __NR_symlink,
	  0,
	  { "secret/file", "rw/link" },
	  { 0, 1 },
	  { 0 } },
	{ "open through it", __NR_openat, -EACCES, P(1, "rw/link"), { AT, 0, O_RDONLY } },
	{ "stat through it", __NR_stat, -EACCES, P(0, "rw/link"), { 0, OUT } },
	{ "lstat it", __NR_lstat, 0, P(0, "rw/link"), { 0, OUT } },
	{ "chmod through it", __NR_chmod, -EACCES, P(0, "rw/link"), { 0, 0777 } },
	{ "truncate through it", __NR_truncate, -EACCES, P(0, "rw/link"), { 0, 0 } },
	{ "readlink it", __NR_readlink, GOOD, P(0, "rw/link"), { 0, OUT, 4096 } },
	{ "readlink of no link", __NR_readlink, -EINVAL, P(0, "rw/new"), { 0, OUT, 4096 } },
	{ "a name that climbs out", __NR_stat, -EACCES, P(0, "rw/../secret/file"), { 0, OUT } },
	{ "hard link from --ro into --rw",
	  __NR_link,
	  -EXDEV,
	  { "ro/file", "rw/hard" },
	  { 0, 1 },
	  { 0 } },
	{ "rename from --rw into --ro",
	  __NR_rename,
	  -EACCES,
	  { "rw/new", "ro/new" },
	  { 0, 1 },
	  { 0 } },
	{ "rename in --rw", __NR_rename, 0, { "rw/new", "rw/newer" }, { 0, 1 }, { 0 } },
	/* the rest */
	{ "socket", __NR_socket, -EPERM, P(0, NULL), { AF_INET, SOCK_STREAM, 0 } },
	{ "socketpair", __NR_socketpair, 0, P(0, NULL), { AF_UNIX, SOCK_STREAM, 0, OUT } },
	{ "pipe2", __NR_pipe2, 0, P(0, NULL), { OUT, 0 } },
	{ "map a file into the window",
	  RS_CALL_MAP_FILE,
	  0,
	  P(0, NULL),
	  { FD, 0, 4096, 1 << 30, 0 } },
	{ "console", RS_CALL_CONSOLE, 0, P(0, "text"), { 0, 0, RS_CONSOLE_LOG } },
	{ "idle for a moment", RS_CALL_IDLE, -ETIME, P(0, NULL), { 1000000 } },
	/* a helper thread, made behind the walls, stands behind them */
	{ "in a slot: open a file outside",
	  __NR_openat,
	  -EACCES,
	  P(1, "secret/file"),
	  { AT, 0, O_RDONLY },
	  IN_SLOT },
	{ "in a slot: open a file in --ro",
	  __NR_openat,
	  GOOD,
	  P(1, "ro/file"),
	  { AT, 0, O_RDONLY },
	  IN_SLOT },
	{ "in a slot: open it for writing",
	  __NR_openat,
	  -EACCES,
	  P(1, "ro/file"),
	  { AT, 0, O_RDWR },
	  IN_SLOT },
	{ "in a slot: stat a file outside",
	  __NR_stat,
	  -EACCES,
	  P(0, "secret/file"),
	  { 0, OUT },
	  IN_SLOT },
	{ "in a slot: chdir", __NR_chdir, 0, P(0, "ro"), { 0 }, IN_SLOT },
	{ "and the vCPU's directory is another", __NR_stat, -ENOENT, P(0, "only.here"), { 0, OUT } },
	{ "in a slot: socket", __NR_socket, -EPERM, P(0, NULL), { AF_INET, SOCK_STREAM }, IN_SLOT },
	{ "a timer", RS_CALL_TIMER, 0, P(0, NULL), { 1 } },
	{ "ticks", RS_CALL_TICK, 0, P(0, NULL), { 0 } },
	/* an attacker in the host process */
	{ "taken over: open outside",
	  __NR_openat,
	  -EACCES,
	  P(1, "secret/file"),
	  { AT, 0, O_RDONLY },
	  1 },
	{ "taken over: write in --ro",
	  __NR_openat,
	  -EACCES,
	  P(1, "ro/file"),
	  { AT, 0, O_WRONLY },
	  1 },
	{ "taken over: a device node in --rw",
	  __NR_mknod,
	  -EACCES,
	  P(0, "rw/null"),
	  { 0, S_IFCHR | 0600, 0x103 },
	  1 },
	{ "taken over: a disk's node in --rw",
	  __NR_mknodat,
	  -EACCES,
	  P(1, "rw/disk"),
	  { AT, 0, S_IFBLK | 0600, 0x800 },
	  1 },
	{ "taken over: what only root may set",
	  __NR_setxattr,
	  -EPERM,
	  { "rw/newer", "trusted.x" },
	  { 0, 1 },
	  { 0, 0, 0, 0, 0 },
	  1 },
	{ "taken over: socket", __NR_socket, -EPERM, P(0, NULL), { AF_INET, SOCK_STREAM, 0 }, 1 },
	{ "taken over: execve", __NR_execve, -EPERM, P(0, "/bin/sh"), { 0 }, 1 },
	{ "taken over: fork", __NR_fork, -EPERM, P(0, NULL), { 0 }, 1 },
	{ "taken over: clone", __NR_clone, -EPERM, P(0, NULL), { SIGCHLD }, 1 },
	{ "taken over: a process that shares all but its number",
	  __NR_clone,
	  -EPERM,
	  P(0, NULL),
	  { 0x3d0f00 & ~CLONE_THREAD, OUT },
	  1 },
	{ "taken over: a thread with descriptors of its own",
	  __NR_clone,
	  -EPERM,
	  P(0, NULL),
	  { 0x3d0f00 & ~CLONE_FILES, OUT },
	  1 },
	{ "taken over: a thread in a name space of its own",
	  __NR_clone,
	  -EPERM,
	  P(0, NULL),
	  { 0x3d0f00 | CLONE_NEWUSER, OUT },
	  1 },
	{ "taken over: clone3", __NR_clone3, -ENOSYS, P(0, NULL), { OUT, 88 }, 1 },
	{ "taken over: unshare descriptors",
	  __NR_unshare,
	  -EPERM,
	  P(0, NULL),
	  { CLONE_FS | CLONE_FILES },
	  1 },
	{ "taken over: unshare into a name space",
	  __NR_unshare,
	  -EPERM,
	  P(0, NULL),
	  { CLONE_NEWUSER },
	  1 },
	{ "taken over: a signal to a thread of another",
	  __NR_tgkill,
	  -EPERM,
	  P(0, NULL),
	  { 1, 1, 0 },
	  1 },
	{ "taken over: executable memory",
	  __NR_mmap,
	  -EPERM,
	  P(0, NULL),
	  { 0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1 },
	  1 },
	{ "taken over: mremap of a mapping that goes",
	  __NR_mremap,
	  -EPERM,
	  P(0, NULL),
	  { 0x10000, 4096, 8192, 3, 0x20000 },
	  1 },
	{ "taken over: mprotect executable",
	  __NR_mprotect,
	  -EPERM,
	  P(0, NULL),
	  { 0x10000, 4096, PROT_EXEC },
	  1 },
	{ "taken over: kill of another", __NR_kill, -EPERM, P(0, NULL), { 1, 0 }, 1 },
	{ "taken over: ptrace", __NR_ptrace, -EPERM, P(0, NULL), { 16, 1 }, 1 },
	{ "taken over: prctl", __NR_prctl, -EPERM, P(0, NULL), { PR_SET_DUMPABLE, 1 }, 1 },
	{ "taken over: TIOCSTI", __NR_ioctl, -EPERM, P(0, NULL), { 0, TIOCSTI, 0 }, 1 },
	{ "taken over: a second VM",
	  __NR_ioctl,
	  -EPERM,
	  P(0, NULL),
	  { 0, (long)RS_CREATE_VM, 0 },
	  1 },
	{ "taken over: mount", __NR_mount, -EPERM, P(0, "rw"), { 0 }, 1 },
	{ "taken over: setuid", __NR_setuid, -EPERM, P(0, NULL), { 0 }, 1 },
	{ "taken over: unshare", __NR_unshare, -EPERM, P(0, NULL), { 0 }, 1 },
	{ "taken over: process_vm_readv", __NR_process_vm_readv, -EPERM, P(0, NULL), { 1 }, 1 },
};

#define NR_STEPS	((int)(sizeof(steps) / sizeof(steps[0])))

/* With --rw /: the process in /proc is the library's, not the guest's. */
static const struct step proc_steps[] = {
	{ "creat of this process's memory",
	  __NR_creat,
	  -EACCES,
	  P(0, "/proc/self/mem"),
	  { 0, 0600 } },
	{ "open it for writing", __NR_openat, -EACCES, P(1, "/proc/self/mem"), { AT, 0, O_RDWR } },
	{ "open it for reading",
	  __NR_openat,
	  -EACCES,
	  P(1, "/proc/self/mem"),
	  { AT, 0, O_RDONLY } },
	{ "open its map by a longer name",
	  __NR_open,
	  -EACCES,
	  P(0, "/proc//self/../thread-self/maps"),
	  { 0, O_RDONLY } },
	{ "open a directory of it", __NR_open, -EACCES, P(0, "/proc/self/fd"), { 0, O_RDONLY } },
	{ "open /proc/mounts", __NR_open, GOOD, P(0, "/proc/mounts"), { 0, O_RDONLY } },
	{ "open /proc/meminfo", __NR_open, GOOD, P(0, "/proc/meminfo"), { 0, O_RDONLY } },
	{ "open a file elsewhere", __NR_open, GOOD, P(0, "ro/file"), { 0, O_RDWR } },
};

#define NR_PROC_STEPS	((int)(sizeof(proc_steps) / sizeof(proc_steps[0])))

static const struct step *script = steps;
static int script_length = NR_STEPS;

/* --- the fake engine ------------------------------------------------------------------------- */

/* Shared with the parent. */
static struct results {
	int taken;		/* steps done */
	long got[NR_STEPS + 8];
	long foreign;		/* descriptors that the guest could use and should not */
	long idle, pending;
} *results;

static struct rs_run run_page;
static uint8_t *arena;
static struct rs_vcpu_shared *shared;
static struct rs_slot *slot;
static unsigned int last_slot;
static int step, phase, fd_kept, want_bad_exit, want_thread;

static int fake_open(struct rs_engine *e, char *why)
{
	size_t i;

	(void)why;
	for (i = 0; i < sizeof(e->fds) / sizeof(e->fds[0]); i++)
		e->fds[i] = -1;
	e->info = (struct rs_info){ .abi_version = RS_ABI_VERSION,
				    .backend = RS_BACKEND_SVM,
				    .gpa_bits = 40,
				    .cr4_allowed = ~0ull,
				    .efer_allowed = ~0ull };
	e->requests[0] = RS_RUN;
	e->requests[1] = 0;
	return 0;
}

static int fake_create_vm(struct rs_engine *e, uint32_t flags, char *why)
{
	(void)e, (void)flags, (void)why;
	return 0;
}

static int fake_add_region(struct rs_engine *e, uint64_t gpa, uint64_t size, uint64_t hva,
			   uint32_t flags, char *why)
{
	(void)e, (void)size, (void)flags, (void)why;
	if (!gpa)
		arena = (uint8_t *)hva;
	return 0;
}

static int fake_create_vcpu(struct rs_engine *e, uint32_t id, struct rs_engine_vcpu *v, char *why)
{
	(void)id, (void)why;
	v->engine = e;
	v->run = &run_page;
	return 0;
}

static int fake_set_state(struct rs_engine_vcpu *v, const struct rs_vcpu_state *st)
{
	struct rs_boot *boot = (struct rs_boot *)(arena + (st->rdi - RS_DIRECT_BASE));

	(void)v;
	shared = (struct rs_vcpu_shared *)(arena + boot->shared_gpa);
	slot = (struct rs_slot *)(arena + boot->slots_gpa) + boot->nslots - 1;
	last_slot = boot->nslots - 1;
	return boot->magic == RS_BOOT_MAGIC ? 0 : -EINVAL;
}

static int fake_get_state(struct rs_engine_vcpu *v, struct rs_vcpu_state *st)
{
	(void)v, (void)st;
	return -EBUSY;
}

static int fake_kick(struct rs_engine_vcpu *v)
{
	(void)v;
	return 0;
}

static int fake_stats(struct rs_engine *e, struct rs_stats *s)
{
	(void)e, (void)s;
	return 0;
}

static void fake_close(struct rs_engine *e)
{
	(void)e;
}

static int ask(long nr, const long *args)
{
	int i;

	shared->call.nr = nr;
	for (i = 0; i < 6; i++)
		shared->call.args[i] = args[i];
	run_page.exit_reason = RS_EXIT_HYPERCALL;
	run_page.hypercall.nr = RS_HC_CALL;
	return 0;
}

static long direct(long nr, const long *a)
{
	long ret = syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);

	return ret < 0 ? -errno : ret;
}

/* Put the step's strings into the arena and their addresses into @args. */
static void prepare(const struct step *s, long *args)
{
	uint64_t gpa = SCRATCH;
	int i;

	memcpy(args, s->args, sizeof(s->args));
	for (i = 0; i < 6; i++)
		if (args[i] == FD)
			args[i] = fd_kept;
	for (i = 0; i < 2; i++) {
		const char *p = s->path[i];

		if (!p)
			continue;
		if (p[0] == '/' || !p[0] || (strchr(p, '.') && !strchr(p, '/')))
			snprintf((char *)arena + gpa, 4096, "%s", p);
		else
			snprintf((char *)arena + gpa, 4096, "%s/%s", dir, p);
		args[s->at[i]] = s->taken_over == 1 ? (long)(arena + gpa) : (long)gpa;
		gpa += 4096;
	}
}

/* What the guest kernel does when it is notified. */
static void take(void)
{
	__atomic_exchange_n(&shared->pending, 0, __ATOMIC_SEQ_CST);
	__atomic_exchange_n(&shared->events, 0, __ATOMIC_SEQ_CST);
}

/* Phases: 0 the steps, 1 every descriptor number, 2 a signal, 3 the end. */
static int fake_run(struct rs_engine_vcpu *v)
{
	static int fd = -1, asked;
	long args[6] = { 0 };

	(void)v;
	if (phase == 0) {
		if (asked && script[step].taken_over == IN_SLOT) {
			/* Submitted, or woken out of idling; a time-out ends it as a failure. */
			if (!shared->call.ret && slot->state != RS_SLOT_DONE) {
				take();
				args[0] = 20000000000;
				return ask(RS_CALL_IDLE, args);
			}
			results->got[step++] = shared->call.ret ? shared->call.ret : slot->call.ret;
			asked = 0;
		}
		if (asked) {
			results->got[step] = shared->call.ret;
			if (script[step].want == KEEP)
				fd_kept = shared->call.ret;
			step++;
			asked = 0;
		}
		while (step < script_length && script[step].taken_over == 1) {
			prepare(&script[step], args);
			results->got[step] = direct(script[step].nr, args);
			step++;
		}
		results->taken = step;
		if (step < script_length) {
			prepare(&script[step], args);
			asked = 1;
			if (script[step].taken_over != IN_SLOT)
				return ask(script[step].nr, args);
			slot->call.nr = script[step].nr;
			memcpy(slot->call.args, args, sizeof(slot->call.args));
			slot->state = RS_SLOT_SUBMITTED;
			args[0] = last_slot;
			return ask(RS_CALL_SUBMIT, args);
		}
		phase = 1;
	}
	if (phase == 1) {
		/*
		 * Of our own the library has at least standard error's duplicate and /proc/self/fd.
		 */
		static const char *const own[] = { "/proc/self/fd" };
		char path[64], link[64];
		ssize_t n;

		if (fd >= 0 && shared->call.ret == 0) {
			snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
			n = readlinkat(AT_FDCWD, path, link, sizeof(link) - 1);
			link[n > 0 ? n : 0] = 0;
			if (strstr(link, own[0]) || strstr(link, "/proc/") == link)
				results->foreign++;
		}
		if (++fd < 64) {
			args[0] = fd;
			args[1] = OUT;
			return ask(__NR_fstat, args);
		}
		phase = 2;
		take();
		kill(getpid(), SIGUSR1);
		args[0] = -1;
		return ask(RS_CALL_IDLE, args);
	}
	if (phase == 2) {
		results->idle = shared->call.ret;
		results->pending = __atomic_exchange_n(&shared->pending, 0, __ATOMIC_SEQ_CST) &
				   ~RS_PENDING_EVENTS;	/* the timer's may be among them */
		phase = 3;
		if (want_bad_exit) {
			run_page.exit_reason = RS_EXIT_SHUTDOWN;
			return 0;
		}
	}
	args[0] = 7 << 8;
	return ask(RS_CALL_EXIT, args);
}

static const struct rs_engine_ops fake = {
	.name = "script",
	.open = fake_open,
	.create_vm = fake_create_vm,
	.add_region = fake_add_region,
	.create_vcpu = fake_create_vcpu,
	.set_state = fake_set_state,
	.get_state = fake_get_state,
	.run = fake_run,
	.kick = fake_kick,
	.stats = fake_stats,
	.close = fake_close,
};

/* --- the parent ------------------------------------------------------------------------------ */

static int tests, failures;

static void check(int ok, const char *what, long got, long want)
{
	tests++;
	if (!ok)
		failures++;
	printf("%sok %d - %s", ok ? "" : "not ", tests, what);
	if (!ok)
		printf(" (got %ld, wanted %ld)", got, want);
	putchar('\n');
}

static void make_file(const char *name)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_CREAT | O_WRONLY, 0644);
	if (fd < 0 || write(fd, "content\n", 8) != 8) {
		printf("Bail out! cannot write %s\n", path);
		exit(1);
	}
	close(fd);
}

static int sub(const char *name, char *out)
{
	sprintf(out, "%s/%s", dir, name);
	return mkdir(out, 0755);
}

static struct {
	int what;
	rlim_t most;
	struct rlimit seen;	/* when the last run ended */
} limited[] = {
	{ RLIMIT_CORE, 0 }, { RLIMIT_NOFILE, 65536 }, { RLIMIT_MEMLOCK, 0 }, { RLIMIT_MSGQUEUE, 0 }
};

#define NR_LIMITED	((int)(sizeof(limited) / sizeof(limited[0])))

static void *second_thread(void *arg)
{
	for (;;)
		pause();
	return arg;
}

/* Run the script in a child; returns its exit status, or 1000 + signal. */
static int run(const char *const *ro, const char *const *rw, int bad_exit, char *error)
{
	const char *argv[] = { "true", NULL }, *envp[] = { "A=B", NULL };
	int pipe_fd[2], status;
	pid_t pid;
	ssize_t n;

	memset(results, 0, sizeof(*results));
	if (pipe(pipe_fd))
		return -1;
	fflush(stdout);
	pid = fork();
	if (!pid) {
		struct rs_config c = RS_CONFIG_INIT;
		struct rs_result r;

		/* Standard output becomes the pipe: all others will be closed. */
		dup2(pipe_fd[1], 1);
		rs_engine_default = &fake;
		want_bad_exit = bad_exit;
		if (want_thread && pthread_create(&(pthread_t){ 0 }, NULL, second_thread, NULL))
			_exit(98);
		c.program = "/bin/true";
		c.argv = argv;
		c.envp = envp;
		c.ro = ro;
		c.rw = rw;
		c.memory = 32 << 20;
		rs_run(&c, &r);
		if (write(1, r.error, strlen(r.error) + 1) < 0)
			_exit(99);
		_exit(r.status);
	}
	close(pipe_fd[1]);
	n = read(pipe_fd[0], error, RS_WHY - 1);
	error[n > 0 ? n : 0] = 0;
	close(pipe_fd[0]);
	/* The limits of a process can be read until it is waited for. */
	waitid(P_PID, pid, &(siginfo_t){ 0 }, WEXITED | WNOWAIT);
	for (status = 0; status < NR_LIMITED; status++)
		prlimit(pid, limited[status].what, NULL, &limited[status].seen);
	waitpid(pid, &status, 0);
	return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

int main(void)
{
	static char template[] = "/tmp/ringside-confine-XXXXXX";
	char ro_path[512], rw_path[512], secret[512], error[RS_WHY], command[600];
	const char *ro[] = { ro_path, NULL }, *rw[] = { rw_path, NULL },
		   *all[] = { "/", NULL }, *none[] = { "/no/such/place", NULL };
	struct stat st;
	int i, status;

	if (rs_landlock_abi() < 1 || access("/proc/self/fd", F_OK)) {
		printf("1..0 # SKIP this machine has no Landlock or no /proc\n");
		return 0;
	}
	dir = mkdtemp(template) ? realpath(template, NULL) : NULL;
	results = mmap(NULL, sizeof(*results), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);
	if (!dir || results == MAP_FAILED || sub("ro", ro_path) || sub("rw", rw_path) ||
	    sub("secret", secret)) {
		printf("Bail out! no directory\n");
		return 1;
	}
	make_file("ro/file");
	make_file("ro/only.here");
	make_file("secret/file");

	status = run(ro, rw, 0, error);
	check(status == 7, "the script runs to its end, with its exit status", status, 7);
	if (status != 7)
		printf("# %s\n", error);
	for (i = 0; i < NR_STEPS; i++) {
		long want = steps[i].want, got = results->got[i];

		check(i < results->taken && (want >= GOOD ? got >= 0 : got == want), steps[i].what,
		      got, want);
	}
	for (i = 0; i < NR_LIMITED; i++)
		check(limited[i].seen.rlim_max <= limited[i].most, "a resource limit is in force",
		      limited[i].seen.rlim_max, limited[i].most);
	check(results->foreign == 0, "no descriptor of the library is the guest's",
	      results->foreign, 0);
	check(results->idle == 0 && results->pending == 1l << (SIGUSR1 - 1),
	      "a signal ends idling and is pending", results->pending, 512);
	snprintf(command, sizeof(command), "%s/ro/file", dir);
	check(!stat(command, &st) && st.st_size == 8 && (st.st_mode & 0777) == 0644,
	      "the read-only file is as it was", st.st_mode, 0);
	snprintf(command, sizeof(command), "%s/rw/created", dir);
	check(!stat(command, &st) && (st.st_mode & 07777) == 0755,
	      "no setuid bit is left behind", st.st_mode & 07777, 0755);

	status = run(ro, rw, 1, error);
	check(status == 134 && strstr(error, "triple fault"), "a guest that crashes is reported",
	      status, 134);
	status = run(ro, none, 0, error);
	check(status == 125 && results->taken == 0 && strstr(error, "/no/such/place"),
	      "--rw on what is not there: 125, nothing runs", status, 125);
	status = run(none, rw, 0, error);
	check(status == 125 && results->taken == 0, "--ro likewise", status, 125);
	script = proc_steps;
	script_length = NR_PROC_STEPS;
	status = run(ro, all, 0, error);
	check(status == 7, "with --rw / the script runs to its end", status, 7);
	for (i = 0; i < NR_PROC_STEPS; i++) {
		long want = script[i].want, got = results->got[i];

		check(i < results->taken && (want >= GOOD ? got >= 0 : got == want), script[i].what,
		      got, want);
	}
	want_thread = 1;
	status = run(ro, rw, 0, error);
	check(status == 125 && results->taken == 0 && strstr(error, "threads"),
	      "a process with another thread: 125, nothing runs", status, 125);
	want_thread = 0;

	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	if (system(command))
		printf("# could not remove %s\n", dir);
	printf("1..%d\n", tests);
	return failures != 0;
}
