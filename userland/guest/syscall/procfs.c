// SPDX-License-Identifier: MIT
/*
 * procfs.c - names below /proc/self and /dev/fd
 *
 * To the host, /proc/self is the host process: its mappings, its descriptors, its memory. So these
 * names are answered here, for the sandboxed process: as text made on open (and put into a memfd,
 * so that reading, seeking and passing on work as with any file), as the program's own path, or as
 * the host's descriptor behind a number. What is not known is ENOENT rather than the host
 * process's.
 */
#include <asm/unistd.h>
#include "procfs.h"
#include "syscall.h"
#include "../lib/string.h"
#include "../mm/kmalloc.h"
#include "../mm/page_alloc.h"

#define TEXT_ROOM (256ul << 10)

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

static void text_maps(struct textbuf *t)
{
	mm_maps(current_proc()->mm, t);
}

static void text_comm(struct textbuf *t)
{
	text_printf(t, "%s\n", current_proc()->comm);
}

static void text_bytes(struct textbuf *t, u64 start, u64 end)
{
	char buf[256];

	while (start < end) {
		size_t n = min(end - start, (u64)sizeof(buf)), i;

		if (copyin(buf, start, n))
			return;
		for (i = 0; i < n; i++)
			text_putc(t, buf[i]);
		start += n;
	}
}

static void text_cmdline(struct textbuf *t)
{
	text_bytes(t, current_proc()->mm->arg_start, current_proc()->mm->arg_end);
}

static void text_environ(struct textbuf *t)
{
	text_bytes(t, current_proc()->mm->env_start, current_proc()->mm->env_end);
}

static void text_statm(struct textbuf *t)
{
	struct mm *mm = current_proc()->mm;

	text_printf(t, "%lu %lu 0 0 0 %lu 0\n", (unsigned long)(mm->total >> PAGE_SHIFT),
		    (unsigned long)mm->pt.mapped, (unsigned long)(mm->total >> PAGE_SHIFT));
}

static void text_stat(struct textbuf *t)
{
	struct process *p = current_proc();
	int i;

	text_printf(t, "%u (%s) R %u %u %u 0 -1 0 0 0 0 0 0 0 0 0 20 0 %u 0 0 %lu %lu", p->pid,
		    p->comm, p->ppid, p->pgid, p->sid, p->nthreads, (unsigned long)p->mm->total,
		    (unsigned long)p->mm->pt.mapped);
	for (i = 25; i <= 52; i++)
		text_printf(t, " 0");
	text_putc(t, '\n');
}

static void text_status(struct textbuf *t)
{
	struct process *p = current_proc();

	text_printf(t,
		    "Name:\t%s\nUmask:\t%04o\nState:\tR "
		    "(running)\nTgid:\t%u\nPid:\t%u\nPPid:\t%u\nTracerPid:\t0\n",
		    p->comm, p->umask, p->pid, p->pid, p->ppid);
	text_printf(t, "Uid:\t%u\t%u\t%u\t%u\nGid:\t%u\t%u\t%u\t%u\nFDSize:\t%u\n", p->uid, p->euid,
		    p->suid, p->fsuid, p->gid, p->egid, p->sgid, p->fsgid, p->files->size);
	text_printf(t, "VmSize:\t%8lu kB\nVmRSS:\t%8lu kB\nVmPTE:\t%8lu kB\nThreads:\t%u\n",
		    (unsigned long)(p->mm->total >> 10),
		    (unsigned long)(p->mm->pt.mapped << (PAGE_SHIFT - 10)),
		    (unsigned long)(p->mm->pt.tables << (PAGE_SHIFT - 10)), p->nthreads);
	text_printf(t, "CapInh:\t%016x\nCapPrm:\t%016x\nCapEff:\t%016x\nNoNewPrivs:\t%d\n", 0, 0, 0,
		    p->no_new_privs);
}

static void text_meminfo(struct textbuf *t)
{
	unsigned long total = pages_total() << (PAGE_SHIFT - 10), avail = pages_free()
									  << (PAGE_SHIFT - 10);

	text_printf(t,
		    "MemTotal:       %8lu kB\nMemFree:        %8lu kB\nMemAvailable:   %8lu kB\n",
		    total, avail, avail);
	text_printf(t,
		    "Buffers:        %8d kB\nCached:         %8d kB\nSwapTotal:      %8d "
		    "kB\nSwapFree:       %8d kB\n",
		    0, 0, 0, 0);
}

static const struct {
	const char *name;
	void (*text)(struct textbuf *t);
} self_files[] = {
	{ "maps", text_maps },	     { "comm", text_comm },   { "cmdline", text_cmdline },
	{ "environ", text_environ }, { "statm", text_statm }, { "stat", text_stat },
	{ "status", text_status },
};

/* The host's /proc/self shows these of any process of the machine alike. */
static const char *const harmless[] = { "mounts", "mountinfo",	  "mountstats", "cgroup",
					"cwd",	  "root",	  "fd",		"fdinfo",
					"limits", "oom_score_adj" };

static const char *after(const char *path, const char *prefix)
{
	size_t n = strlen(prefix);

	return strncmp(path, prefix, n) ? NULL : path + n;
}

static long to_fd(char *path, const char *number, struct proc_name *pn)
{
	struct file *f;
	u32 fd;

	if (!procfs_parse_fd(number, &fd))
		return -ENOENT;
	f = fd_lookup(current_proc()->files, fd);
	if (!f)
		return -ENOENT;
	if (f->ops)
		pn->object = f;
	rs_snprintf(path, PATH_SIZE, "/proc/self/fd/%d", f->host_fd);
	return 0;
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

long procfs_resolve(char *path, struct proc_name *pn)
{
	const struct process *p = current_proc();
	const char *rest;
	char own[32];
	unsigned int i;

	pn->text = NULL;
	pn->exe = false;
	pn->object = NULL;
	if (path[0] != '/')
		return 0;
	rest = after(path, "/dev/fd/");
	if (rest)
		return to_fd(path, rest, pn);
	if (!strcmp(path, "/dev/stdin"))
		return to_fd(path, "0", pn);
	if (!strcmp(path, "/dev/stdout"))
		return to_fd(path, "1", pn);
	if (!strcmp(path, "/dev/stderr"))
		return to_fd(path, "2", pn);
	if (!after(path, "/proc/"))
		return 0;
	if (!strcmp(path, "/proc/meminfo")) {
		pn->text = text_meminfo;
		return 0;
	}
	rs_snprintf(own, sizeof(own), "/proc/%u/", p->pid);
	rest = after(path, "/proc/self/");
	if (!rest)
		rest = after(path, "/proc/thread-self/");
	if (!rest)
		rest = after(path, own);
	if (!rest || !*rest)
		return 0;
	if (!strcmp(rest, "exe")) {
		if (!p->exe)
			return -ENOENT;
		pn->exe = true;
		rs_strlcpy(path, refstr_text(p->exe), PATH_SIZE);
		return 0;
	}
	if (after(rest, "fd/"))
		return to_fd(path, rest + 3, pn);
	for (i = 0; i < ARRAY_SIZE(self_files); i++)
		if (!strcmp(rest, self_files[i].name)) {
			pn->text = self_files[i].text;
			return 0;
		}
	for (i = 0; i < ARRAY_SIZE(harmless); i++)
		if (!strcmp(rest, harmless[i])) {
			rs_snprintf(path, PATH_SIZE, "/proc/self/%s", harmless[i]);
			return 0;
		}
	return -ENOENT;
}

long procfs_open(const struct proc_name *pn)
{
	struct textbuf t = { .size = TEXT_ROOM };
	char *name = host_bounce();
	long fd, ret = 0;
	size_t done = 0;

	t.buf = kmalloc(TEXT_ROOM);
	if (!t.buf)
		return -ENOMEM;
	pn->text(&t);
	rs_strlcpy(name, "proc", HOST_BOUNCE_SIZE);
	rs_stats()->forwarded++;
	fd = host_call2(__NR_memfd_create, gpa_of(name), 1);
	if (fd < 0) {
		kfree(t.buf);
		return fd;
	}
	while (done < t.len && ret >= 0) {
		rs_stats()->forwarded++;
		ret = host_call4(__NR_pwrite64, fd, gpa_of(t.buf + done), t.len - done, done);
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
