// SPDX-License-Identifier: MIT
/*
 * The second wall. The first one is the guest kernel; if it falls, whoever took it talks to this
 * process, and what this process can do is what he has won. So before the first guest instruction:
 *
 *	descriptors	all closed but 0, 1, 2 and the engine's (which no request of the guest can
 *			name)
 *	no_new_privs	no setuid program can undo the rest
 *	capabilities	of root's only those that concern the files it may reach anyway
 *	limits		no core dumps, no locked memory, at most RS_FD_LIMIT descriptors; memory
 *			that descriptors hold is not bounded by --memory, see set_limits()
 *	Landlock	every right it knows is taken away, then given back below --ro (read) and
 *			--rw (everything but device nodes, which would lead out of the directory),
 *			and for what the program needs to start: its own file,
 *			its interpreter, /lib* and /usr/lib*, /etc/ld.so.cache, and the harmless
 *			devices; with
 *			--net host also what names of machines are looked up in
 *	seccomp		the calls of the forwarding table that the options allow, and the few this
 *			library makes itself; the rest is EPERM. Arguments are looked at where the
 *			number says too little: commands of ioctl and fcntl, PROT_EXEC, targets of
 *			kill
 *
 * All of it binds one thread and those it makes later, so there must be no other before. Threads are
 * all it can make; their number is bounded by RS_SLOTS and --cpus as long as this process is its
 * own master, and by the machine's limits (pids.max of a cgroup) when it is not.
 *
 * Fails closed: anything that cannot be set up is an error with its reason, and the program does
 * not run. A Linux without Landlock is such an error; a newer Landlock than we know is not, its
 * rights are simply not asked for.
 */
#define _GNU_SOURCE
#include <asm/unistd.h>
#include <asm/ioctls.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "confine.h"
#include "policy.h"
#include "raw.h"

/* Rights of later ABIs than the oldest header we build with. */
#define FS_EXECUTE	(1ull << 0)
#define FS_WRITE_FILE	(1ull << 1)
#define FS_READ_FILE	(1ull << 2)
#define FS_READ_DIR	(1ull << 3)
#define FS_MAKE_CHAR	(1ull << 6)
#define FS_MAKE_BLOCK	(1ull << 11)
#define FS_ABI_1	((1ull << 13) - 1)
#define FS_REFER	(1ull << 13)	/* ABI 2 */
#define FS_TRUNCATE	(1ull << 14)	/* ABI 3 */
#define FS_IOCTL_DEV	(1ull << 15)	/* ABI 5 */
#define NET_ALL		3ull		/* ABI 4: bind and connect of TCP */
#define SCOPE_ALL	3ull		/* ABI 6: abstract unix sockets, signals */
#define FS_OF_FILES	(FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV)

struct ruleset_attr {
	uint64_t fs, net, scoped;
};

int rs_landlock_abi(void)
{
	return rs_raw3(__NR_landlock_create_ruleset, 0, 0, LANDLOCK_CREATE_RULESET_VERSION);
}

bool rs_seccomp_available(void)
{
	/* EFAULT: the kernel knows filters and would have read one. */
	return prctl(PR_SET_SECCOMP, 2 /* SECCOMP_MODE_FILTER */, NULL) && errno == EFAULT;
}

/* --- what may be reached --------------------------------------------------------------------- */

/* Remember canonical @path (which becomes the table's) as a name. */
static void add_name(struct rs_sandbox *sb, char *path)
{
	struct rs_root *r = &sb->roots[sb->nroots];

	if (!path || sb->nroots == RS_MAX_ROOTS) {
		free(path);	/* one name less that may be looked at */
		return;
	}
	*r = (struct rs_root){
		.path = path,
		.len = strlen(path),
		.access = RS_ROOT_READ,
		.name = true,
		.why = "a name",
	};
	sb->nroots++;
}

/*
 * Programs look at the names they were called by: the links from @path to what it leads to are
 * known to the guest.
 */
static void add_links(struct rs_sandbox *sb, const char *path)
{
	char *at = strdup(path);
	int depth;

	for (depth = 0; at && depth < 16; depth++) {
		char target[PATH_MAX], *slash, *dir, *name = NULL, *next = NULL;
		ssize_t n = readlink(at, target, sizeof(target) - 1);

		if (n < 0)
			break;
		target[n] = 0;
		slash = strrchr(at, '/');
		if (!slash)
			break;
		*slash = 0;
		dir = realpath(*at ? at : "/", NULL);
		if (!dir)
			break;
		if (asprintf(&name, "%s/%s", dir[1] ? dir : "", slash + 1) < 0)
			name = NULL;
		add_name(sb, name);
		if (target[0] == '/')
			next = strdup(target);
		else if (asprintf(&next, "%s/%s", dir[1] ? dir : "", target) < 0)
			next = NULL;
		free(dir);
		free(at);
		at = next;
	}
	free(at);
}

static int add_root(struct rs_sandbox *sb, const char *path, unsigned int access,
		    const char *why_root, bool must, char *why)
{
	struct rs_root *r = &sb->roots[sb->nroots];
	struct stat st;
	char *real;

	real = realpath(path, NULL);
	if (!real || stat(real, &st)) {
		if (must)
			snprintf(why, RS_WHY, "%s %s: %s", why_root, path, strerror(errno));
		free(real);
		return must ? -1 : 0;
	}
	if (sb->nroots == RS_MAX_ROOTS) {
		snprintf(why, RS_WHY, "more than %d paths", RS_MAX_ROOTS);
		free(real);
		return -1;
	}
	r->path = real;
	r->len = strlen(real);
	r->access = access;
	r->dir = S_ISDIR(st.st_mode);
	r->name = false;
	r->why = why_root;
	sb->nroots++;
	add_links(sb, path);
	return 0;
}

static bool inside(const char *path, const char *dir)
{
	size_t n = dir[1] ? strlen(dir) : 0;	/* "/" holds everything */

	return !strncmp(path, dir, n) && (path[n] == 0 || path[n] == '/');
}

static bool meets(const struct rs_sandbox *sb, const char *mount)
{
	unsigned int i;

	for (i = 0; i < sb->nroots; i++)
		if (!sb->roots[i].name &&
		    (inside(mount, sb->roots[i].path) || inside(sb->roots[i].path, mount)))
			return true;
	return false;
}

/* Can a file of a proc file system be reached, wherever it is mounted? */
static bool covers_proc(const struct rs_sandbox *sb)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	bool found = meets(sb, "/proc");
	char *line = NULL, *at;
	size_t size = 0;

	while (f && !found && getline(&line, &size, f) > 0) {
		if (!strstr(line, " - proc ") || sscanf(line, "%*s %*s %*s %*s %ms", &at) != 1)
			continue;
		/* An escaped name is not worth being taken apart. */
		found = strchr(at, '\\') || meets(sb, at);
		free(at);
	}
	free(line);
	if (f)
		fclose(f);
	return found;
}

int rs_confine_roots(struct rs_sandbox *sb, const char *const *ro, const char *const *rw,
		     const struct rs_program *program, char *why)
{
	static const char *const libraries[] = { "/lib",     "/lib32",	   "/lib64",
						 "/usr/lib", "/usr/lib64", "/etc/ld.so.cache" };
	static const char *const readable[] = { "/dev/urandom", "/dev/random", "/dev/zero" };
	static const char *const resolver[] = { "/etc/resolv.conf", "/etc/hosts",
						"/etc/host.conf",   "/etc/nsswitch.conf",
						"/etc/gai.conf",    "/etc/services",
						"/etc/protocols" };
	static const char *const writable[] = { "/dev/null", "/dev/full", "/dev/tty" };
	unsigned int i;

	for (i = 0; rw && rw[i]; i++)
		if (add_root(sb, rw[i], RS_ROOT_READ | RS_ROOT_WRITE, "--rw", true, why))
			return -1;
	for (i = 0; ro && ro[i]; i++)
		if (add_root(sb, ro[i], RS_ROOT_READ, "--ro", true, why))
			return -1;
	for (i = 0; i < program->nfiles; i++)
		if (add_root(sb, program->files[i], RS_ROOT_READ, "the program", true, why))
			return -1;
	for (i = 0; i < sizeof(libraries) / sizeof(libraries[0]); i++)
		if (add_root(sb, libraries[i], RS_ROOT_READ, "the default for libraries", false,
			     why))
			return -1;
	for (i = 0; i < sizeof(readable) / sizeof(readable[0]); i++)
		if (add_root(sb, readable[i], RS_ROOT_READ, "the default for devices", false, why))
			return -1;
	for (i = 0; i < sizeof(writable) / sizeof(writable[0]); i++)
		if (add_root(sb, writable[i], RS_ROOT_READ | RS_ROOT_WRITE,
			     "the default for devices", false, why))
			return -1;
	for (i = 0; sb->net_host && i < sizeof(resolver) / sizeof(resolver[0]); i++)
		if (add_root(sb, resolver[i], RS_ROOT_READ, "the default for --net host", false,
			     why))
			return -1;
	add_name(sb, getcwd(NULL, 0));
	sb->covers_proc = covers_proc(sb);
	return 0;
}

/* --- descriptors, limits --------------------------------------------------------------------- */

int rs_confine_descriptors(char *why)
{
	int fd;

	/* A file of ours must never get number 0, 1 or 2: messages would go into it. */
	do {
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (fd < 0) {
			snprintf(why, RS_WHY, "cannot open /dev/null: %s", strerror(errno));
			return -1;
		}
	} while (fd <= 2);
	if (close_range(3, ~0u, 0)) {
		snprintf(why, RS_WHY, "cannot close inherited descriptors (close_range): %s",
			 strerror(errno));
		return -1;
	}
	return 0;
}

/*
 * The guest's own memory is bounded by its arena. What its descriptors hold is memory of the host,
 * and of that the kernel bounds a part: a pipe by pipe-max-size (the capability to go beyond it is
 * dropped), a socket's buffers by net.core's limits, the number of both by RLIMIT_NOFILE. What is
 * written to a memfd is bounded by nothing here: RLIMIT_FSIZE would bound files below --rw as well,
 * with a signal, RLIMIT_NPROC counts the user's other processes, RLIMIT_AS does not count files.
 * Who needs a bound for everything puts the process into a cgroup with memory.max.
 */
static int set_limits(char *why)
{
	static const struct {
		int what;
		rlim_t most;
		const char *name;
	} limits[] = {
		{ RLIMIT_CORE, 0, "core dumps" },
		{ RLIMIT_NOFILE, RS_FD_LIMIT, "open files" },
		{ RLIMIT_MEMLOCK, 0, "locked memory" },
		{ RLIMIT_MSGQUEUE, 0, "message queues" },
	};
	unsigned int i;

	for (i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		struct rlimit r;

		if (getrlimit(limits[i].what, &r)) {
			snprintf(why, RS_WHY, "cannot read the limit of %s: %s", limits[i].name,
				 strerror(errno));
			return -1;
		}
		if (r.rlim_max > limits[i].most)
			r.rlim_max = limits[i].most;
		if (r.rlim_cur > r.rlim_max)
			r.rlim_cur = r.rlim_max;
		if (setrlimit(limits[i].what, &r)) {
			snprintf(why, RS_WHY, "cannot limit %s: %s", limits[i].name,
				 strerror(errno));
			return -1;
		}
	}
	return 0;
}

/* --- capabilities ---------------------------------------------------------------------------- */

/*
 * The device belongs to root, so root is who runs sandboxes on many machines. What is kept lets the
 * guest do to files below --rw what their owner may; CAP_FSETID is not among it, so that a file
 * with the setuid bit loses the bit when it is written to. With the network goes the right to
 * listen on ports below 1024.
 */
static int drop_capabilities(const struct rs_sandbox *sb, char *why)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];
	uint32_t keep = 1u << CAP_CHOWN | 1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH |
			1u << CAP_FOWNER;
	long ret = rs_raw3(__NR_capget, (long)&head, (long)data, 0);

	if (sb->net_host)
		keep |= 1u << CAP_NET_BIND_SERVICE;
	if (!ret) {
		data[0].permitted &= keep;
		data[0].effective &= keep;
		data[0].inheritable = 0;
		memset(&data[1], 0, sizeof(data[1]));
		ret = rs_raw3(__NR_capset, (long)&head, (long)data, 0);
	}
	if (ret) {
		snprintf(why, RS_WHY, "cannot drop capabilities: %s", strerror(-ret));
		return -1;
	}
	return 0;
}

/* --- Landlock -------------------------------------------------------------------------------- */

static int landlock(const struct rs_sandbox *sb, char *why)
{
	struct ruleset_attr attr = { .fs = FS_ABI_1 };
	int abi = rs_landlock_abi(), ruleset, err;
	size_t size = sizeof(attr.fs);
	unsigned int i;

	if (abi < 1) {
		snprintf(why, RS_WHY,
			 "this Linux has no Landlock (%s): it needs 5.13 or later with "
			 "CONFIG_SECURITY_LANDLOCK=y and landlock "
			 "among the security modules (boot with lsm=landlock,...)",
			 strerror(-abi));
		return -1;
	}
	if (abi >= 2)
		attr.fs |= FS_REFER;
	if (abi >= 3)
		attr.fs |= FS_TRUNCATE;
	if (abi >= 5)
		attr.fs |= FS_IOCTL_DEV;
	if (abi >= 4) {
		attr.net = sb->net_host ? 0 : NET_ALL;
		size = 2 * sizeof(uint64_t);
	}
	if (abi >= 6) {
		attr.scoped = sb->net_host ? SCOPE_ALL & ~1ull : SCOPE_ALL;
		size = sizeof(attr);
	}
	ruleset = rs_raw3(__NR_landlock_create_ruleset, (long)&attr, size, 0);
	if (ruleset < 0) {
		snprintf(why, RS_WHY, "cannot make a Landlock rule set: %s", strerror(-ruleset));
		return -1;
	}
	for (i = 0; i < sb->nroots; i++) {
		const struct rs_root *r = &sb->roots[i];
		uint64_t rights = FS_READ_FILE | FS_READ_DIR;
		struct landlock_path_beneath_attr rule;

		if (r->name)
			continue;
		if (r->access & RS_ROOT_WRITE)
			rights = attr.fs & ~(FS_EXECUTE | FS_MAKE_CHAR | FS_MAKE_BLOCK);
		if (!r->dir)
			rights &= FS_OF_FILES;
		memset(&rule, 0, sizeof(rule));
		rule.allowed_access = rights & attr.fs;
		rule.parent_fd = open(r->path, O_PATH | O_CLOEXEC);
		if (rule.parent_fd < 0) {
			snprintf(why, RS_WHY, "%s %s: %s", r->why, r->path, strerror(errno));
			close(ruleset);
			return -1;
		}
		err = rs_raw4(__NR_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH,
			      (long)&rule, 0);
		close(rule.parent_fd);
		if (err) {
			snprintf(why, RS_WHY, "cannot make a Landlock rule for %s %s: %s", r->why,
				 r->path, strerror(-err));
			close(ruleset);
			return -1;
		}
	}
	err = rs_raw3(__NR_landlock_restrict_self, ruleset, 0, 0);
	close(ruleset);
	if (err) {
		snprintf(why, RS_WHY, "cannot put the Landlock rule set into force: %s",
			 strerror(-err));
		return -1;
	}
	return 0;
}

/* --- seccomp --------------------------------------------------------------------------------- */

/* What this library calls itself while the guest runs and until the process ends. */
static const int own_calls[] = { __NR_exit_group,     __NR_exit,
				 __NR_rt_sigreturn,   __NR_rt_sigaction,
				 __NR_rt_sigprocmask, __NR_write,
				 __NR_writev,	      __NR_ppoll,
				 __NR_munmap,	      __NR_madvise,
				 __NR_msync,	      __NR_brk,
				 __NR_futex,	      __NR_timer_settime,
				 __NR_clock_gettime,  __NR_gettimeofday,
				 __NR_getpid,	      __NR_gettid,
				 __NR_fstat,	      __NR_newfstatat,
				 __NR_readlinkat,     __NR_close,
				 __NR_openat,	      __NR_restart_syscall,
				 __NR_lseek,	      __NR_set_robust_list,
				 __NR_rseq,	      -1 };

/* A thread as pthread_create() makes it. All of memory, descriptors and signals is shared. */
#define THREAD_FLAGS                                                                          \
	(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SYSVSEM | CLONE_SIGHAND | CLONE_THREAD |   \
	 CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID)

static int allow(scmp_filter_ctx ctx, bool *done, int nr)
{
	int ret;

	if (done[nr])
		return 0;
	done[nr] = true;
	ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, nr, 0);
	return ret;
}

static int allow_commands(scmp_filter_ctx ctx, int nr, const struct rs_cmd_row *rows,
			  unsigned int n)
{
	unsigned int i;
	int ret = 0;

	for (i = 0; i < n && !ret; i++)
		ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, nr, 1,
				       SCMP_A1(SCMP_CMP_EQ, rows[i].cmd));
	return ret == -EEXIST ? 0 : ret;
}

static int fill_filter(struct rs_sandbox *sb, scmp_filter_ctx ctx)
{
	static bool done[RS_TABLE_SIZE + 64];
	pid_t self = getpid();
	const int *own;
	unsigned int nr;
	int i, ret = 0;

	/*
	 * On the way of every forwarded call are read (which enters the guest) and the call itself:
	 * what is allowed whatever its arguments Linux answers without running the filter.
	 */
	for (i = 0; !ret && sb->engine.requests[i]; i++)
		ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, __NR_ioctl, 1,
				       SCMP_A1(SCMP_CMP_EQ, sb->engine.requests[i]));
	if (!ret)
		ret = allow_commands(ctx, __NR_ioctl, rs_ioctl_table, rs_ioctl_count);
	if (!ret)
		ret = allow_commands(ctx, __NR_fcntl, rs_fcntl_table, rs_fcntl_count);
	done[__NR_ioctl] = done[__NR_fcntl] = true;

	/* Memory: never executable. */
	if (!ret)
		ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, __NR_mmap, 1,
				       SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (!ret)
		ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, __NR_mprotect, 1,
				       SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	/* A second mapping of what is mapped, with its rights (RS_CALL_MAP_MORE). */
	if (!ret)
		ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, __NR_mremap, 2,
				       SCMP_A1(SCMP_CMP_EQ, 0),
				       SCMP_A3(SCMP_CMP_EQ, MREMAP_MAYMOVE | MREMAP_FIXED));
	done[__NR_mremap] = true;
	/* Signals: to ourselves. */
	if (!ret)
		ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, __NR_kill, 1,
				       SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)self));
	if (!ret)
		ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, __NR_tgkill, 1,
				       SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)self));
	/*
	 * Threads, in one form. The arguments of clone3 are in memory, where no filter looks: libc
	 * hears that there is no such call and takes clone. A thread may have a working directory
	 * of its own.
	 */
	if (!ret)
		ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, __NR_clone, 1,
				       SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)THREAD_FLAGS));
	if (!ret)
		ret = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), __NR_clone3, 0);
	if (!ret)
		ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, __NR_unshare, 1,
				       SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)CLONE_FS));
	done[__NR_clone] = done[__NR_clone3] = done[__NR_unshare] = true;
	done[__NR_mmap] = done[__NR_mprotect] = done[__NR_kill] = done[__NR_tgkill] = true;
	/* Sockets: pairs always, others with the network. */
	if (!ret)
		ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, __NR_socketpair, 1,
				       SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
	done[__NR_socketpair] = true;
	if (!ret && sb->net_host) {
		static const int families[] = { AF_UNIX, AF_INET, AF_INET6, AF_NETLINK };

		for (i = 0; i < 4 && !ret; i++)
			ret = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, __NR_socket, 1,
					       SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i]));
	}
	done[__NR_socket] = true;

	for (own = own_calls; *own >= 0 && !ret; own++)
		ret = allow(ctx, done, *own);
	for (own = rs_policy_host_calls(); *own >= 0 && !ret; own++)
		ret = allow(ctx, done, *own);
	for (nr = 0; nr < RS_TABLE_SIZE && !ret; nr++) {
		const struct rs_call_row *row = &rs_call_table[nr];

		if (row->class != RS_CLASS_FORWARD || (row->policy == RS_P_NET && !sb->net_host))
			continue;
		if (row->flags & RS_ROW_POLICY)
			continue;	/* policy.c makes calls of its own */
		ret = allow(ctx, done, nr);
	}
	return ret;
}

static int seccomp(struct rs_sandbox *sb, char *why)
{
	scmp_filter_ctx ctx;
	int ret;

	if (!rs_seccomp_available()) {
		snprintf(why, RS_WHY,
			 "this Linux has no seccomp filters: it needs CONFIG_SECCOMP_FILTER=y");
		return -1;
	}
	ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	if (!ctx) {
		snprintf(why, RS_WHY, "cannot make a seccomp filter: out of memory");
		return -1;
	}
	/* Calls of other architectures end the process: nobody here makes them by mistake. */
	ret = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (!ret)
		ret = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_NNP, 1);
	/* A tree instead of a list: the kernel walks it for every number when it is loaded. */
	if (!ret)
		ret = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (!ret)
		ret = fill_filter(sb, ctx);
	if (!ret)
		ret = seccomp_load(ctx);
	seccomp_release(ctx);
	if (ret) {
		snprintf(why, RS_WHY, "cannot put the seccomp filter into force: %s",
			 strerror(-ret));
		return -1;
	}
	return 0;
}

/*
 * Landlock, seccomp and capabilities bind the calling thread only. Others would go on unconfined,
 * in memory that the guest's calls are made in. unshare(CLONE_VM) changes nothing and succeeds for
 * a process of one thread whose memory is its own; where it may not be asked, /proc counts.
 */
static int alone(char *why)
{
	struct stat st;

	if (!unshare(CLONE_VM))
		return 0;
	/* "." and ".." (in it and above) are two links, each thread is one. */
	if (errno != EINVAL && !stat("/proc/self/task", &st) && st.st_nlink == 3)
		return 0;
	snprintf(why, RS_WHY,
		 "the process has other threads, or shares its memory: they would stay unconfined");
	return -1;
}

int rs_confine(struct rs_sandbox *sb, char *why)
{
	if (alone(why))
		return -1;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) {
		snprintf(why, RS_WHY, "cannot set no_new_privs: %s", strerror(errno));
		return -1;
	}
	/*
	 * Other processes of the same user may not look into this one, nor it into them by what it
	 * would inherit.
	 */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)) {
		snprintf(why, RS_WHY, "cannot make the process undumpable: %s", strerror(errno));
		return -1;
	}
	if (set_limits(why) || landlock(sb, why) || drop_capabilities(sb, why) || seccomp(sb, why))
		return -1;
	return 0;
}
