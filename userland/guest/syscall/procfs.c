// SPDX-License-Identifier: MIT
/*
 * procfs.c - names below /proc and /dev/fd: the sandbox's own processes and nothing else
 *
 * To the host, /proc/self is the host process: its mappings, its descriptors, its memory; and the
 * other numbers are the machine's. So these names are answered here, from tables: a directory is an
 * array of nodes, and a function that lists what is numbered in it. Files are text made on open and
 * put into a memfd, so that reading, seeking and passing on work as with any file. Directories are
 * objects of the guest (fs/fd.h) of which only a listing can be had. Links to files of the host
 * become names of the host.
 *
 * A number that is not one of the sandbox's is ENOENT, as is a name below a process that is not in
 * the tables. What lies directly in /proc and is not in the tables (/proc/cpuinfo, /proc/sys) tells
 * about the machine: the host decides whether the program may know.
 *
 * A position in a directory is the index of a node, and behind these, NODES_END and the number: so
 * it means the same whatever comes and goes meanwhile.
 */
#include <asm/unistd.h>
#include <linux/fcntl.h>
#include <linux/poll.h>
#include "inet.h"
#include "procfs.h"
#include "stat.h"
#include "syscall.h"
#include "../fs/pipe.h"
#include "../lib/string.h"
#include "../mm/kmalloc.h"

#define TEXT_ROOM	(256ul << 10)
#define NODES_END	64u		/* more than any table has */
#define PROC_DEV	0xffffeu	/* a device that the host has not */

enum node_type { NODE_TEXT, NODE_DIR, NODE_LINK, NODE_HOST };

/**
 * struct proc_node - a name in a directory
 * @table: of NODE_DIR. @next: the first number in it from @from on, or 0xffffffff; NULL when it has
 * none. @number: the node that a number in it is
 */
struct proc_node {
	const char *name;
	enum node_type type;
	u16 mode;
	void (*text)(struct textbuf *t, const struct proc_whose *w);
	const struct proc_node *table;
	u32 (*next)(const struct proc_whose *w, u32 from);
	const struct proc_node *number;
};

#define NONE 0xffffffffu

static u32 next_pid(const struct proc_whose *w, u32 from)
{
	const struct process *p = NULL;
	u32 best = NONE;

	(void)w;
	while ((p = process_next(p)))
		if (p->pid >= from && p->pid < best)
			best = p->pid;
	return best;
}

static u32 next_tid(const struct proc_whose *w, u32 from)
{
	const struct thread *t;
	u32 best = NONE;

	/* A zombie has no thread any more, but its first one is still shown. */
	if (w->p->state == PROCESS_ZOMBIE)
		return w->p->pid >= from ? w->p->pid : NONE;
	list_for_each(t, &w->p->threads, list)
		if (t->tid >= from && t->tid < best)
			best = t->tid;
	return best;
}

static u32 next_fd(const struct proc_whose *w, u32 from)
{
	int fd = w->p->files && from < FD_LIMIT_MAX ? fd_next(w->p->files, from) : -1;

	return fd < 0 ? NONE : (u32)fd;
}

#define FILE_(n, fn)	{ .name = n, .type = NODE_TEXT, .mode = 0444, .text = proc_text_##fn }
#define SECRET(n, fn)	{ .name = n, .type = NODE_TEXT, .mode = 0400, .text = proc_text_##fn }
/* that may be written to, by the process itself */
#define NAME(n, fn)	{ .name = n, .type = NODE_TEXT, .mode = 0644, .text = proc_text_##fn }
#define LINK(n)		{ .name = n, .type = NODE_LINK, .mode = 0777 }
#define HOST(n)		{ .name = n, .type = NODE_HOST, .mode = 0444 }
/* the host's, and if it does not tell, what can be said here */
#define HOST_OR(n, fn)	{ .name = n, .type = NODE_HOST, .mode = 0444, .text = proc_text_##fn }

static const struct proc_node fd_link = { .type = NODE_LINK, .mode = 0700 };
static const struct proc_node no_nodes[] = { { 0 } };

static const struct proc_node thread_nodes[] = {
	FILE_("cgroup", cgroup), FILE_("children", children), FILE_("cmdline", cmdline), NAME("comm", comm),
	LINK("cwd"), SECRET("environ", environ), LINK("exe"),
	{ .name = "fd", .type = NODE_DIR, .mode = 0500, .table = no_nodes, .next = next_fd,
	  .number = &fd_link },
	FILE_("limits", limits), FILE_("maps", maps), HOST("mountinfo"), HOST("mounts"),
	FILE_("oom_score", zero), FILE_("oom_score_adj", oom_score_adj), LINK("root"),
	FILE_("stat", stat), FILE_("statm", statm), FILE_("status", status), FILE_("wchan", zero),
	{ 0 },
};

static const struct proc_node thread_dir = {
	.type = NODE_DIR, .mode = 0555, .table = thread_nodes,
};

static const struct proc_node process_nodes[] = {
	FILE_("cgroup", cgroup), FILE_("cmdline", cmdline), NAME("comm", comm), LINK("cwd"),
	SECRET("environ", environ), LINK("exe"),
	{ .name = "fd", .type = NODE_DIR, .mode = 0500, .table = no_nodes, .next = next_fd,
	  .number = &fd_link },
	FILE_("limits", limits), FILE_("maps", maps), HOST("mountinfo"), HOST("mounts"),
	HOST("mountstats"), FILE_("oom_score", zero), FILE_("oom_score_adj", oom_score_adj),
	LINK("root"), FILE_("stat", stat), FILE_("statm", statm), FILE_("status", status),
	{ .name = "task", .type = NODE_DIR, .mode = 0555, .table = no_nodes, .next = next_tid,
	  .number = &thread_dir },
	FILE_("wchan", zero), { 0 },
};

static const struct proc_node process_dir = {
	.type = NODE_DIR, .mode = 0555, .table = process_nodes,
};

static const struct proc_node root_nodes[] = {
	HOST_OR("cpuinfo", cpuinfo), FILE_("loadavg", loadavg), FILE_("meminfo", meminfo), LINK("self"), FILE_("stat", system),
	LINK("thread-self"), FILE_("uptime", uptime), FILE_("version", version), { 0 },
};

static const struct proc_node root_dir = {
	.name = "proc", .type = NODE_DIR, .mode = 0555, .table = root_nodes, .next = next_pid,
	.number = &process_dir,
};

static const struct proc_node *find_node(const struct proc_node *table, const char *name, size_t n)
{
	for (; table->name; table++)
		if (!strncmp(table->name, name, n) && !table->name[n])
			return table;
	return NULL;
}

static bool is_link(const struct proc_node *n, const char *name)
{
	return n->name && !strcmp(n->name, name);
}

/* --- names ------------------------------------------------------------------------------------ */

bool procfs_parse_fd(const char *s, u32 *fd)
{
	u32 v = 0;

	if (!*s || (s[0] == '0' && s[1]))
		return false;
	for (; *s; s++) {
		if (*s < '0' || *s > '9' || v > 100000000)
			return false;
		v = v * 10 + (u32)(*s - '0');
	}
	*fd = v;
	return true;
}

static bool parse_number(const char *s, size_t n, u32 *v)
{
	char text[12];

	if (n >= sizeof(text))
		return false;
	memcpy(text, s, n);
	text[n] = 0;
	return procfs_parse_fd(text, v);
}

static bool whose(const struct proc_name *pn, struct proc_whose *w)
{
	*w = (struct proc_whose){ .tid = pn->tid };
	if (!pn->pid)
		return true;
	w->p = process_find(pn->pid);
	if (!w->p)
		return false;
	w->t = thread_find(pn->tid ? pn->tid : pn->pid);
	if (w->t && w->t->proc != w->p)
		w->t = NULL;
	return w->t || !pn->tid || pn->tid == pn->pid;
}

/*
 * struct walk - on the way through a name
 * The directories above are kept, for "..".
 */
struct walk {
	struct proc_name at[8];
	u32 depth;
	const char *rest;	/* what is still to be looked at */
};

static bool push(struct walk *w, const struct proc_node *node, u32 pid, u32 tid, u32 fd)
{
	if (++w->depth == ARRAY_SIZE(w->at))
		return false;
	w->at[w->depth] = (struct proc_name){ .node = node, .pid = pid, .tid = tid, .fd = fd };
	return true;
}

/* One part of the name, @n bytes: 0 or -ENOENT; the host's business: 1. */
static long step(struct walk *w, const char *name, size_t n)
{
	const struct proc_name *dir = &w->at[w->depth];
	const struct proc_node *node = find_node(dir->node->table, name, n);
	struct proc_whose who;
	u32 number;

	if (node)
		return push(w, node, dir->pid, dir->tid, 0) ? 0 : -ENOENT;
	if (!dir->node->next || !parse_number(name, n, &number))
		return dir->node == &root_dir && (!n || name[0] < '0' || name[0] > '9') ? 1 :
										      -ENOENT;
	if (!whose(dir, &who))
		return -ENOENT;
	if (dir->node->next == next_pid) {
		const struct thread *t = thread_find(number);

		/* The number of a thread leads to its process, though it is not listed. */
		if (!process_find(number) && (!t || !t->proc))
			return -ENOENT;
		return push(w, dir->node->number, process_find(number) ? number : t->proc->pid, 0,
			    0) ? 0 : -ENOENT;
	}
	if (dir->node->next(&who, number) != number)
		return -ENOENT;
	if (dir->node->next == next_tid)
		return push(w, dir->node->number, dir->pid, number, 0) ? 0 : -ENOENT;
	return push(w, dir->node->number, dir->pid, dir->tid, number) ? 0 : -ENOENT;
}

/* @prefix, then what is left of the name: into @path, whose end @w->rest is. */
static long to_host(char *path, const char *prefix, const struct walk *w, struct proc_name *pn)
{
	size_t n = strlen(prefix), left = strlen(w->rest);

	if (n + left >= PATH_SIZE)
		return -ENAMETOOLONG;
	memmove(path + n, w->rest, left + 1);
	memcpy(path, prefix, n);
	pn->kind = PROC_HOST;
	pn->node = NULL;
	return 0;
}

static long follow_fd(char *path, const struct walk *w, struct proc_whose *who,
		      struct proc_name *pn)
{
	struct file *f = who->p->files ? fd_lookup(who->p->files, pn->fd) : NULL;
	char name[32];

	if (!f)
		return -ENOENT;
	if (f->ops) {
		if (procfs_dir(f, pn))
			return *w->rest ? -ENOTDIR : 0;
		if (*w->rest)
			return -ENOTDIR;
		pn->object = f;
	}
	rs_snprintf(name, sizeof(name), "/proc/self/fd/%d", f->host_fd);
	return to_host(path, name, w, pn);
}

/*
 * What is there is a link, and more comes behind it or it is to be followed: 1 goes on here, 2 with
 * the whole of @path
 */
static long follow_link(char *path, struct walk *w, struct proc_name *pn)
{
	struct proc_name name_of_dir;
	struct proc_whose who;
	char name[32];
	long ret;

	*pn = w->at[w->depth];
	if (is_link(pn->node, "self") || is_link(pn->node, "thread-self")) {
		bool thread = is_link(pn->node, "thread-self");

		w->depth--;
		push(w, thread ? &thread_dir : &process_dir, current_proc()->pid,
		     thread ? current()->tid : 0, 0);
		return 1;
	}
	if (!whose(pn, &who))
		return -ENOENT;
	if (pn->node == &fd_link)
		return follow_fd(path, w, &who, pn);
	if (is_link(pn->node, "root")) {
		ret = to_host(path, *w->rest ? "" : "/", w, pn);
		return ret ? ret : 2;
	}
	if (is_link(pn->node, "cwd")) {
		if (!who.p->fs)
			return -ENOENT;
		if (procfs_dir(who.p->fs->cwd, &name_of_dir)) {
			w->at[1] = name_of_dir;
			w->depth = 1;
			return 1;
		}
		rs_snprintf(name, sizeof(name), "/proc/self/fd/%d", who.p->fs->cwd->host_fd);
		return to_host(path, name, w, pn);
	}
	if (!who.p->exe || !*refstr_text(who.p->exe) || !who.p->mm)
		return -ENOENT;
	if (*w->rest)
		return -ENOTDIR;
	rs_strlcpy(path, refstr_text(who.p->exe), PATH_SIZE);
	pn->kind = PROC_HOST;
	pn->node = NULL;
	return 0;
}

/* 0 or -errno; 1: the name leads out of /proc, @path is what is left of it. */
static long walk_name(char *path, bool follow, struct walk *w, struct proc_name *pn)
{
	long ret;
	size_t n;

	for (;;) {
		const struct proc_node *node = w->at[w->depth].node;
		bool slash = *w->rest == '/';
		const char *name = w->rest;

		while (*name == '/')
			name++;
		if (node->type == NODE_LINK && (slash || follow)) {
			ret = follow_link(path, w, pn);
			if (ret != 1)
				return ret > 0 ? 1 : ret;
			continue;
		}
		if (!*name)
			break;
		if (node->type != NODE_DIR)
			return node->type == NODE_HOST ? 0 : -ENOTDIR;
		for (n = 0; name[n] && name[n] != '/'; n++)
			;
		w->rest = name + n;
		if (n == 1 && name[0] == '.')
			continue;
		if (n == 2 && name[0] == '.' && name[1] == '.') {
			if (!w->depth) {
				ret = to_host(path, *w->rest ? "" : "/", w, pn);
				return ret ? ret : 1;
			}
			w->depth--;
			continue;
		}
		ret = step(w, name, n);
		if (ret > 0)
			pn->kind = PROC_HOST;
		if (ret)
			return ret > 0 ? 0 : ret;
	}
	*pn = w->at[w->depth];
	if (*w->rest && pn->node->type != NODE_DIR)
		return -ENOTDIR;
	switch (pn->node->type) {
	case NODE_TEXT: pn->kind = PROC_TEXT; break;
	case NODE_DIR: pn->kind = PROC_DIR; break;
	case NODE_LINK: pn->kind = PROC_LINK; break;
	case NODE_HOST:
		/* The host's /proc/self shows these of any process of the machine alike. */
		rs_snprintf(path, PATH_SIZE, pn->pid ? "/proc/self/%s" : "/proc/%s",
			    pn->node->name);
		pn->kind = PROC_HOST;
		break;
	}
	return 0;
}

static const char *after(const char *path, const char *prefix)
{
	size_t n = strlen(prefix);

	return strncmp(path, prefix, n) ? NULL : path + n;
}

/* /dev/fd and the like are links into /proc/self/fd. */
static long resolve_dev(char *path, struct proc_name *pn)
{
	static const char *const std[] = { "/dev/stdin", "/dev/stdout", "/dev/stderr" };
	const char *rest = after(path, "/dev/fd");
	char name[32];
	size_t i, n;

	if (rest && (!*rest || *rest == '/')) {
		n = strlen(rest);
		if (n + sizeof("/proc/self/fd") > PATH_SIZE)
			return -ENAMETOOLONG;
		memmove(path + strlen("/proc/self/fd"), rest, n + 1);
		memcpy(path, "/proc/self/fd", strlen("/proc/self/fd"));
		return procfs_resolve(path, true, pn);
	}
	for (i = 0; i < ARRAY_SIZE(std); i++) {
		if (strcmp(path, std[i]))
			continue;
		rs_snprintf(name, sizeof(name), "/proc/self/fd/%lu", (unsigned long)i);
		rs_strlcpy(path, name, PATH_SIZE);
		return procfs_resolve(path, true, pn);
	}
	return 0;
}

/* Parts at the beginning that mean nothing: the last slash before the first that does. */
static const char *skip_root(const char *p)
{
	for (;;) {
		if (p[1] == '/')
			p++;
		else if (p[1] == '.' && p[2] == '/')
			p += 2;
		else if (p[1] == '.' && p[2] == '.' && p[3] == '/')
			p += 3;
		else
			return p;
	}
}

long procfs_resolve(char *path, bool follow, struct proc_name *pn)
{
	struct walk w;
	const char *p;
	long ret;

	do {
		*pn = (struct proc_name){ .kind = PROC_HOST };
		if (path[0] != '/')
			return 0;
		p = skip_root(path);
		if (p[1] == 'd')
			return resolve_dev(path, pn);
		w = (struct walk){ .at = { { .node = &root_dir } }, .rest = after(p, "/proc") };
		if (!w.rest || (*w.rest && *w.rest != '/'))
			return 0;
		ret = walk_name(path, follow, &w, pn);
	} while (ret > 0);
	return ret;
}

long procfs_to_host(char *path, const struct proc_name *pn)
{
	int host;

	if (!pn->object)
		return 0;
	host = file_host(pn->object);
	if (host < 0)
		return host;
	rs_snprintf(path, PATH_SIZE, "/proc/self/fd/%d", host);
	return 0;
}

/* --- links ------------------------------------------------------------------------------------ */

/* Where a directory of the host is: it becomes the working directory, and is asked for. */
static long dir_path(struct file *dir, char *buf)
{
	long n;

	if (dir->ops) {
		rs_strlcpy(buf, refstr_text(dir->name), PATH_SIZE);
		return (long)strlen(buf);
	}
	if (file_host_call(__NR_fchdir, (u64)dir->host_fd, 0, 0))
		return -EACCES;
	cwd_now(dir);
	n = file_host_call(__NR_getcwd, gpa_of(buf), PATH_SIZE, 0);
	return n > 0 ? n - 1 : n ? n : -ENOENT;
}

/* Files that no name leads to are shown by their kind, as on Linux. */
static long unnamed(const struct file *f, char *buf)
{
	static const char *const memory[] = { [3] = "null", [5] = "zero", [7] = "full",
					      [8] = "random", [9] = "urandom" };
	struct k_stat *st = host_bounce();
	unsigned long major, minor;

	if (file_host_call(__NR_fstat, (u64)f->host_fd, gpa_of(st), 0))
		return -EACCES;
	major = st->rdev >> 8 & 0xfff;
	minor = (st->rdev & 0xff) | (st->rdev >> 12 & 0xfff00);
	switch (st->mode & 0170000) {
	case 0010000:
		return rs_snprintf(buf, PATH_SIZE, "pipe:[%lu]", (unsigned long)st->ino);
	case 0140000:
		return rs_snprintf(buf, PATH_SIZE, "socket:[%lu]", (unsigned long)st->ino);
	case 0020000:
		if (major == 1 && minor < ARRAY_SIZE(memory) && memory[minor])
			return rs_snprintf(buf, PATH_SIZE, "/dev/%s", memory[minor]);
		if (major >= 136 && major < 144)
			return rs_snprintf(buf, PATH_SIZE, "/dev/pts/%lu",
					   (major - 136) * 256 + minor);
		if (major == 4)
			return minor < 64 ? rs_snprintf(buf, PATH_SIZE, "/dev/tty%lu", minor) :
					    rs_snprintf(buf, PATH_SIZE, "/dev/ttyS%lu", minor - 64);
		if (major == 5 && minor < 2)
			return rs_snprintf(buf, PATH_SIZE, minor ? "/dev/console" : "/dev/tty");
		break;
	case 0:
		return rs_snprintf(buf, PATH_SIZE, "anon_inode:[file]");
	}
	return -EACCES;
}

/*
 * The host may know the file by its name, and may tell: not for what lies outside of the sandbox's
 * directories. Otherwise it is the name it was opened as.
 */
static long fd_path(struct file *f, char *buf)
{
	const char *name;
	char link[32];
	long n;

	if (f->ops) {
		if (procfs_dir(f, NULL))
			return dir_path(f, buf);
		if (pipe_of(f))
			return rs_snprintf(buf, PATH_SIZE, "pipe:[%lu]",
					   (unsigned long)pipe_ino(pipe_of(f)));
		if (inet_of(f))
			return rs_snprintf(buf, PATH_SIZE, "socket:[%lu]",
					   (unsigned long)inet_of(f)->ino);
		return rs_snprintf(buf, PATH_SIZE, "anon_inode:[%s]", f->ops->name);
	}
	rs_snprintf(link, sizeof(link), "/proc/self/fd/%d", f->host_fd);
	n = file_host_call(__NR_readlink, gpa_of(link), gpa_of(buf), PATH_SIZE - 1);
	if (n > 0)
		return n;
	name = f->name ? refstr_text(f->name) : "";
	if (*name == '/') {
		rs_strlcpy(buf, name, PATH_SIZE);
		return (long)strlen(buf);
	}
	n = unnamed(f, buf);
	return n > 0 ? n : dir_path(f, buf);
}

long procfs_readlink(const struct proc_name *pn, char *buf)
{
	struct proc_whose w;
	struct file *f;

	if (is_link(pn->node, "self"))
		return rs_snprintf(buf, PATH_SIZE, "%u", current_proc()->pid);
	if (is_link(pn->node, "thread-self"))
		return rs_snprintf(buf, PATH_SIZE, "%u/task/%u", current_proc()->pid,
				   current()->tid);
	if (!whose(pn, &w))
		return -ENOENT;
	if (is_link(pn->node, "root"))
		return rs_snprintf(buf, PATH_SIZE, "/");
	if (is_link(pn->node, "cwd"))
		return w.p->fs ? dir_path(w.p->fs->cwd, buf) : -ENOENT;
	if (pn->node == &fd_link) {
		f = w.p->files ? fd_lookup(w.p->files, pn->fd) : NULL;
		return f ? fd_path(f, buf) : -ENOENT;
	}
	if (!w.p->exe || !*refstr_text(w.p->exe) || !w.p->mm)
		return -ENOENT;
	rs_strlcpy(buf, refstr_text(w.p->exe), PATH_SIZE);
	return (long)strlen(buf);
}

/* --- metadata --------------------------------------------------------------------------------- */

static u64 inode_of(const struct proc_name *pn, const struct proc_node *table)
{
	u64 base = ((u64)(pn->tid ? pn->tid : pn->pid) << 20) + (pn->tid ? 1u << 19 : 0);

	if (pn->node == &fd_link)
		return base + (1u << 18) + pn->fd;
	if (!table || pn->node < table || pn->node >= table + NODES_END)
		return base + 1;
	return base + 2 + (u64)(pn->node - table);
}

static const struct proc_node *table_of(const struct proc_name *pn)
{
	return pn->tid ? thread_nodes : pn->pid ? process_nodes : root_nodes;
}

void procfs_stat(const struct proc_name *pn, struct k_stat *st)
{
	static const u32 types[] = { [NODE_TEXT] = 0100000, [NODE_DIR] = 0040000,
				     [NODE_LINK] = 0120000, [NODE_HOST] = 0100000 };
	u64 *now = host_bounce();
	struct proc_whose w;

	*st = (struct k_stat){
		.dev = PROC_DEV, .ino = inode_of(pn, table_of(pn)), .nlink = 1,
		.mode = types[pn->node->type] | pn->node->mode, .blksize = 1024,
		.size = pn->node->type == NODE_LINK ? 64 : 0,
	};
	if (pn->node->type == NODE_DIR)
		st->nlink = 2;
	if (whose(pn, &w) && w.p) {
		st->uid = w.p->euid;
		st->gid = w.p->egid;
	}
	if (!file_host_call(__NR_clock_gettime, 0, gpa_of(now), 0)) {
		memcpy(st->atime, now, 16);
		memcpy(st->mtime, now, 16);
		memcpy(st->ctime, now, 16);
	}
}

/* --- files ------------------------------------------------------------------------------------ */

long procfs_open_text(const struct proc_name *pn)
{
	struct textbuf t = { .size = TEXT_ROOM };
	static const char name[] = "proc";
	struct proc_whose w;
	long fd, ret = 0;
	size_t done = 0;

	if (!pn->node || !pn->node->text)
		return -EACCES;
	if (!whose(pn, &w))
		return -ESRCH;
	t.buf = kmalloc(TEXT_ROOM);
	if (!t.buf)
		return -ENOMEM;
	pn->node->text(&t, &w);
	fd = file_host_call(__NR_memfd_create, gpa_of(name), 1, 0);
	if (fd < 0) {
		kfree(t.buf);
		return fd;
	}
	t.len = min(t.len, TEXT_ROOM);
	while (done < t.len && ret >= 0) {
		rs_stats()->forwarded++;
		ret = host_call4(__NR_pwrite64, fd, gpa_of(t.buf + done), t.len - done, done);
		if (ret == -EINTR) {
			host_events();
			ret = 0;
			continue;
		}
		if (!ret)
			ret = -EIO;
		if (ret > 0)
			done += (size_t)ret;
	}
	kfree(t.buf);
	if (ret < 0) {
		file_host_close((int)fd);
		return ret;
	}
	return fd;
}

/* There is nothing like it at the host. */
static long nothing_like_it(struct file *f)
{
	(void)f;
	return -EPERM;
}

static void free_object(struct file *f)
{
	kfree(f->object);
}

/* --- the name of a thread, to be written ------------------------------------------------------- */

struct open_name {
	u32 pid, tid;
	u64 pos;			/* of reading */
	struct wait_list nobody;	/* it is always ready */
};

static struct thread *named(const struct open_name *o)
{
	struct process *p = process_find(o->pid);
	struct thread *t = thread_find(o->tid ? o->tid : o->pid);

	return p && t && t->proc == p ? t : NULL;
}

static long name_read(struct file *f, const struct user_vec *v, u32 n)
{
	struct open_name *o = f->object;
	struct thread *t = named(o);
	char text[17];
	u64 len, done = 0, part;
	struct user_cursor c;

	if (!t)
		return -ESRCH;
	if ((f->flags & O_ACCMODE) == O_WRONLY)
		return -EBADF;
	len = (u64)rs_snprintf(text, sizeof(text), "%s\n", thread_comm(t));
	cursor_init(&c, v, n);
	while (c.left && o->pos < len) {
		part = min(cursor_run(&c), len - o->pos);
		if (copyout(cursor_va(&c), text + o->pos, part))
			return done ? (long)done : -EFAULT;
		cursor_move(&c, part);
		o->pos += part;
		done += part;
	}
	return (long)done;
}

/* All that is written at once is the name; what is too long is cut off. */
static long name_write(struct file *f, const struct user_vec *v, u32 n)
{
	struct thread *t = named(f->object);
	char name[16] = "";
	u64 done = 0, all, part;
	struct user_cursor c;

	if (!t)
		return -ESRCH;
	if (t->proc != current_proc())
		return -EINVAL;
	cursor_init(&c, v, n);
	all = c.left;
	while (c.left && done < sizeof(name) - 1) {
		part = min(cursor_run(&c), sizeof(name) - 1 - done);
		if (copyin(name + done, cursor_va(&c), part))
			return -EFAULT;
		cursor_move(&c, part);
		done += part;
	}
	memcpy(thread_comm(t), name, sizeof(name));
	return (long)all;
}

static u32 name_poll(struct file *f, struct wait_list **w)
{
	*w = &((struct open_name *)f->object)->nobody;
	return POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;
}

static const struct file_ops name_ops = {
	.name = "comm", .read = name_read, .write = name_write, .poll = name_poll,
	.materialise = nothing_like_it, .release = free_object,
};

struct file *procfs_open_name(const struct proc_name *pn, u32 flags)
{
	struct open_name *o = kzalloc(sizeof(*o));
	struct file *f;

	if (!o)
		return NULL;
	o->pid = pn->pid;
	o->tid = pn->tid;
	wait_list_init(&o->nobody);
	f = file_new_object(&name_ops, o, flags & (O_ACCMODE | O_NONBLOCK));
	if (!f)
		kfree(o);
	return f;
}

bool procfs_may_write(const struct proc_name *pn)
{
	return pn->node->mode & 0200;
}

/* --- directories ------------------------------------------------------------------------------ */

struct open_dir {
	struct proc_name name;
	u64 pos;
	struct wait_list nobody;	/* it is always ready */
};

static long dir_read(struct file *f, const struct user_vec *v, u32 n)
{
	(void)f, (void)v, (void)n;
	return -EISDIR;
}

static long dir_write(struct file *f, const struct user_vec *v, u32 n)
{
	(void)f, (void)v, (void)n;
	return -EBADF;
}

static u32 dir_poll(struct file *f, struct wait_list **w)
{
	*w = &((struct open_dir *)f->object)->nobody;
	return POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;
}

static const struct file_ops dir_ops = {
	.read = dir_read, .write = dir_write, .poll = dir_poll, .materialise = nothing_like_it,
	.release = free_object,
};

bool procfs_dir(const struct file *f, struct proc_name *pn)
{
	if (f->ops != &dir_ops)
		return false;
	if (pn) {
		*pn = ((struct open_dir *)f->object)->name;
		pn->kind = PROC_DIR;
	}
	return true;
}

static void canonical(const struct proc_name *pn, char *buf, size_t size)
{
	const char *name = pn->node->name ? pn->node->name : "";
	const char *slash = *name ? "/" : "";

	if (!pn->pid)
		rs_snprintf(buf, size, "/proc");
	else if (pn->tid)
		rs_snprintf(buf, size, "/proc/%u/task/%u%s%s", pn->pid, pn->tid, slash, name);
	else
		rs_snprintf(buf, size, "/proc/%u%s%s", pn->pid, slash, name);
}

struct file *procfs_open_dir(const struct proc_name *pn)
{
	struct open_dir *d = kzalloc(sizeof(*d));
	struct file *f;
	char name[64];

	if (!d)
		return NULL;
	d->name = *pn;
	wait_list_init(&d->nobody);
	f = file_new_object(&dir_ops, d, O_RDONLY | O_DIRECTORY);
	if (!f) {
		kfree(d);
		return NULL;
	}
	canonical(pn, name, sizeof(name));
	f->name = refstr_new(name);
	return f;
}

long procfs_relative(const struct file *dir, char *path)
{
	char name[64];
	struct proc_name pn;
	size_t n, len;

	if (!procfs_dir(dir, &pn))
		return -ENOTDIR;
	canonical(&pn, name, sizeof(name));
	n = strlen(name);
	len = strlen(path);
	if (n + 1 + len >= PATH_SIZE)
		return -ENAMETOOLONG;
	memmove(path + n + 1, path, len + 1);
	memcpy(path, name, n);
	path[n] = '/';
	return 0;
}

struct k_dirent {
	u64 ino;
	s64 off;
	u16 reclen;
	u8 type;
	char name[40];
};

/* The entry at or after position @*pos, which moves behind it; false at the end. */
static bool dir_entry(const struct proc_name *dir, const struct proc_whose *w, u64 *pos,
		      struct k_dirent *e)
{
	static const u8 types[] = { [NODE_TEXT] = 8, [NODE_DIR] = 4, [NODE_LINK] = 10,
				    [NODE_HOST] = 8 };
	struct proc_name pn = *dir;
	u32 count = 0, number;

	while (dir->node->table[count].name)
		count++;
	if (*pos < 2) {
		rs_strlcpy(e->name, *pos ? ".." : ".", sizeof(e->name));
		e->ino = inode_of(dir, table_of(dir));
		e->type = 4;
		++*pos;
		return true;
	}
	if (*pos < count + 2ull) {
		pn.node = &dir->node->table[*pos - 2];
		rs_strlcpy(e->name, pn.node->name, sizeof(e->name));
		e->ino = inode_of(&pn, dir->node->table);
		e->type = types[pn.node->type];
		++*pos;
		return true;
	}
	if (!dir->node->next)
		return false;
	number = dir->node->next(w, *pos < NODES_END ? 0 : (u32)min(*pos - NODES_END, (u64)NONE));
	if (number == NONE)
		return false;
	pn.node = dir->node->number;
	if (dir->node->next == next_pid)
		pn.pid = number;
	else if (dir->node->next == next_tid)
		pn.tid = number;
	else
		pn.fd = number;
	rs_snprintf(e->name, sizeof(e->name), "%u", number);
	e->ino = inode_of(&pn, NULL);
	e->type = types[pn.node->type];
	*pos = NODES_END + number + 1ull;
	return true;
}

long procfs_getdents(struct file *f, u64 va, u64 size)
{
	struct open_dir *d = f->object;
	struct k_dirent e = { 0 };
	struct proc_whose w;
	u64 pos = d->pos, done = 0;

	if (!whose(&d->name, &w))
		return -ENOENT;
	while (dir_entry(&d->name, &w, &pos, &e)) {
		size_t n = offsetof(struct k_dirent, name) + strlen(e.name) + 1;

		n = ALIGN_UP(n, 8ul);
		if (n > size - done)
			return done ? (long)done : -EINVAL;
		e.off = (s64)pos;
		e.reclen = (u16)n;
		if (copyout(va + done, &e, n))
			return done ? (long)done : -EFAULT;
		d->pos = pos;
		done += n;
		memset(e.name, 0, sizeof(e.name));
	}
	return (long)done;
}

long procfs_seek(struct file *f, s64 offset, u32 whence)
{
	struct open_dir *d = f->object;

	if (whence == 1)
		offset += (s64)d->pos;
	else if (whence)
		return -EINVAL;
	if (offset < 0)
		return -EINVAL;
	d->pos = (u64)offset;
	return offset;
}
