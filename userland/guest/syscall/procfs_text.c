// SPDX-License-Identifier: MIT
/*
 * procfs_text.c - what is in the files below /proc
 *
 * Formats are Linux's, as proc(5) has them; what the guest kernel does not keep is 0. A process's
 * arguments and environment are read from its memory, which it may have written anything into.
 * A zombie has no memory, no descriptors and no signals any more.
 */
#include <asm/ioctls.h>
#include <asm/resource.h>
#include <asm/unistd.h>
#include <cpuid.h>
#include "procfs.h"
#include "signal.h"
#include "stat.h"
#include "syscall.h"
#include "tty.h"
#include "../lib/string.h"
#include "../mm/page_alloc.h"
#include "../mm/peek.h"

#define HZ		100u	/* of the ticks in stat: USER_HZ */
#define KIB(pages)	((unsigned long)(pages) << (PAGE_SHIFT - 10))

static unsigned long ticks(u64 tsc)
{
	return tsc_to_us(tsc) / (1000000 / HZ);
}

/* --- states ----------------------------------------------------------------------------------- */

static const char *name_of(const struct proc_whose *w)
{
	return w->t && w->tid ? thread_comm(w->t) : w->p->comm;
}

static char state_of(const struct proc_whose *w)
{
	if (w->p->state == PROCESS_ZOMBIE || !w->t)
		return 'Z';
	if (w->p->stopped)
		return 'T';
	switch (w->t->sched.state) {
	case THREAD_NEW:
	case THREAD_RUNNING:
	case THREAD_READY: return 'R';
	case THREAD_SLEEPING: return 'S';
	case THREAD_DEAD: break;
	}
	return 'Z';
}

static const char *state_name(char state)
{
	switch (state) {
	case 'R': return "running";
	case 'S': return "sleeping";
	case 'T': return "stopped";
	}
	return "zombie";
}

/* The number of a process's terminal; the outer one may not have been looked at yet. */
static u32 tty_number(const struct process *p, const struct tty *t)
{
	struct k_stat *st = host_bounce();
	u32 fd;

	if (!t || t->dev || !p->files)
		return t ? t->dev : 0;
	for (fd = 0; fd < 3; fd++) {
		const struct file *f = fd_lookup(p->files, fd);

		if (!f || f->host_fd < 0)
			continue;
		if (file_host_call(__NR_ioctl, (u64)f->host_fd, TCGETS, gpa_of(st)))
			continue;
		if (!file_host_call(__NR_fstat, (u64)f->host_fd, gpa_of(st), 0))
			return (u32)st->rdev;
	}
	return 0;
}

/* --- memory ----------------------------------------------------------------------------------- */

static void put_memory(struct textbuf *t, struct mm *mm, u64 start, u64 end)
{
	char buf[256];

	while (start < end) {
		size_t n = min(end - start, (u64)sizeof(buf)), i;

		n = mm_peek(mm, buf, start, n);
		for (i = 0; i < n; i++)
			text_putc(t, buf[i]);
		if (!n || t->lost)
			return;
		start += n;
	}
}

void proc_text_cmdline(struct textbuf *t, const struct proc_whose *w)
{
	if (w->p->mm)
		put_memory(t, w->p->mm, w->p->mm->arg_start, w->p->mm->arg_end);
}

void proc_text_environ(struct textbuf *t, const struct proc_whose *w)
{
	if (w->p->mm)
		put_memory(t, w->p->mm, w->p->mm->env_start, w->p->mm->env_end);
}

void proc_text_maps(struct textbuf *t, const struct proc_whose *w)
{
	if (w->p->mm)
		mm_maps(w->p->mm, t);
}

void proc_text_statm(struct textbuf *t, const struct proc_whose *w)
{
	const struct mm *mm = w->p->mm;
	unsigned long total = mm ? mm->total >> PAGE_SHIFT : 0;

	text_printf(t, "%lu %lu 0 0 0 %lu 0\n", total, mm ? (unsigned long)mm->pt.mapped : 0, total);
}

/* --- processes -------------------------------------------------------------------------------- */

void proc_text_comm(struct textbuf *t, const struct proc_whose *w)
{
	text_printf(t, "%s\n", name_of(w));
}

void proc_text_children(struct textbuf *t, const struct proc_whose *w)
{
	const struct process *c;

	list_for_each(c, &w->p->children, sibling)
		text_printf(t, "%u ", c->pid);
}

void proc_text_cgroup(struct textbuf *t, const struct proc_whose *w)
{
	(void)w;
	text_printf(t, "0::/\n");
}

void proc_text_zero(struct textbuf *t, const struct proc_whose *w)
{
	(void)w;
	text_putc(t, '0');
}

void proc_text_oom_score_adj(struct textbuf *t, const struct proc_whose *w)
{
	(void)w;
	text_printf(t, "0\n");
}

/* struct masks - signals of a process and of one of its threads, for stat and status */
struct masks {
	u64 own, shared, blocked, ignored, caught;
	u32 queued, limit;
};

static struct masks masks_of(const struct proc_whose *w)
{
	const struct signal_process *sp = w->p->signals;
	struct masks m = { 0 };
	u32 i;

	if (!sp)
		return m;
	m.shared = sp->pending.set;
	m.queued = sp->nqueued;
	m.limit = sp->queue_limit;
	for (i = 0; i < NSIG; i++) {
		if (sp->act[i].handler == SIG_IGN)
			m.ignored |= 1ull << i;
		else if (sp->act[i].handler != SIG_DFL)
			m.caught |= 1ull << i;
	}
	if (w->t && w->t->sig) {
		m.own = w->t->sig->pending.set;
		m.blocked = w->t->sig->blocked;
	}
	return m;
}

static u64 start_ns(const struct process *p)
{
	const struct process *first = process_first();

	return first->start_ns + tsc_to_us(p->start_tsc - first->start_tsc) * 1000;
}

void proc_text_stat(struct textbuf *t, const struct proc_whose *w)
{
	const struct process *p = w->p;
	const struct mm *mm = p->mm;
	struct usage u = process_usage(p);
	struct masks m = masks_of(w);
	const struct tty *terminal = tty_of(p);
	u32 tty = tty_number(p, terminal), low = 0x7fffffff;
	u64 used = w->tid && w->t ? sched_now_used(w->t) : u.user_tsc;
	int nice = w->t ? w->t->nice : 0;

	text_printf(t, "%u (%s) %c %u %u %u %u %d 0 %lu %lu 0 0 %lu 0 %lu 0 %d %d %u 0 %lu ",
		    w->tid ? w->tid : p->pid, name_of(w), state_of(w), p->ppid, p->pgid, p->sid, tty,
		    tty ? (int)terminal->foreground : -1, (unsigned long)u.faults,
		    (unsigned long)p->children_used.faults, ticks(used),
		    ticks(p->children_used.user_tsc), 20 + nice, nice, p->nthreads,
		    (unsigned long)(start_ns(p) / (1000000000 / HZ)));
	/* vsize rss rsslim, code, stack and registers, signals */
	text_printf(t, "%lu %lu %lu 0 0 %lu 0 0 %lu %lu %lu %lu 0 0 0 %u %u 0 0 0 0 0 0 0 %lu ",
		    mm ? (unsigned long)mm->total : 0, mm ? (unsigned long)mm->pt.mapped : 0, ~0ul,
		    mm ? (unsigned long)mm->stack_top : 0,
		    (unsigned long)((m.own | m.shared) & low), (unsigned long)(m.blocked & low),
		    (unsigned long)(m.ignored & low), (unsigned long)(m.caught & low),
		    p->exit_signal, w->t ? w->t->sched.cpu : 0,
		    mm ? (unsigned long)mm->brk_start : 0);
	text_printf(t, "%lu %lu %lu %lu %d\n", mm ? (unsigned long)mm->arg_start : 0,
		    mm ? (unsigned long)mm->arg_end : 0, mm ? (unsigned long)mm->env_start : 0,
		    mm ? (unsigned long)mm->env_end : 0,
		    p->state == PROCESS_ZOMBIE ? p->wait_status : 0);
}

static void put_cpus(struct textbuf *t, u64 set)
{
	const char *comma = "";
	u32 i, end;

	text_printf(t, "Cpus_allowed:\t%lx\nCpus_allowed_list:\t", (unsigned long)set);
	for (i = 0; i < 64; i = end + 1) {
		for (end = i; end < 64 && set >> end & 1; end++)
			;
		if (end > i)
			text_printf(t, end > i + 1 ? "%s%u-%u" : "%s%u", comma, i, end - 1);
		if (end > i)
			comma = ",";
	}
	text_printf(t, "\n");
}

void proc_text_status(struct textbuf *t, const struct proc_whose *w)
{
	const struct process *p = w->p;
	const struct mm *mm = p->mm;
	char state = state_of(w);
	struct masks m = masks_of(w);
	struct usage u = process_usage(p);

	text_printf(t, "Name:\t%s\n", name_of(w));
	if (p->fs)
		text_printf(t, "Umask:\t%04o\n", p->fs->umask);
	text_printf(t, "State:\t%c (%s)\n", state, state_name(state));
	text_printf(t, "Tgid:\t%u\nNgid:\t0\nPid:\t%u\nPPid:\t%u\nTracerPid:\t0\n", p->pid,
		    w->tid ? w->tid : p->pid, p->ppid);
	text_printf(t, "Uid:\t%u\t%u\t%u\t%u\nGid:\t%u\t%u\t%u\t%u\nFDSize:\t%u\n", p->uid, p->euid,
		    p->suid, p->fsuid, p->gid, p->egid, p->sgid, p->fsgid,
		    p->files ? p->files->size : 0);
	text_printf(t, "NStgid:\t%u\nNSpid:\t%u\nNSpgid:\t%u\nNSsid:\t%u\n", p->pid,
		    w->tid ? w->tid : p->pid, p->pgid, p->sid);
	if (mm) {
		text_printf(t, "VmPeak:\t%8lu kB\nVmSize:\t%8lu kB\n",
			    (unsigned long)(mm->total >> 10), (unsigned long)(mm->total >> 10));
		text_printf(t, "VmHWM:\t%8lu kB\nVmRSS:\t%8lu kB\nVmPTE:\t%8lu kB\n",
			    KIB(u.max_pages), KIB(mm->pt.mapped), KIB(mm->pt.tables));
	}
	text_printf(t, "Threads:\t%u\nSigQ:\t%u/%u\n", p->nthreads, m.queued, m.limit);
	text_printf(t, "SigPnd:\t%016lx\nShdPnd:\t%016lx\nSigBlk:\t%016lx\nSigIgn:\t%016lx\n",
		    (unsigned long)m.own, (unsigned long)m.shared, (unsigned long)m.blocked,
		    (unsigned long)m.ignored);
	text_printf(t, "SigCgt:\t%016lx\nCapInh:\t%016x\nCapPrm:\t%016x\nCapEff:\t%016x\n",
		    (unsigned long)m.caught, 0, 0, 0);
	text_printf(t, "CapBnd:\t%016x\nCapAmb:\t%016x\nNoNewPrivs:\t%d\nSeccomp:\t0\n", 0, 0,
		    p->no_new_privs);
	put_cpus(t, affinity_of(w->t));
	text_printf(t, "voluntary_ctxt_switches:\t%lu\nnonvoluntary_ctxt_switches:\t%lu\n",
		    (unsigned long)u.switches, (unsigned long)u.preempted);
}

static void put_limit(struct textbuf *t, const char *name, u64 soft, u64 hard, const char *unit)
{
	text_printf(t, "%-26s", name);
	if (soft == ~0ull)
		text_printf(t, "%-21s", "unlimited");
	else
		text_printf(t, "%-21lu", (unsigned long)soft);
	if (hard == ~0ull)
		text_printf(t, "%-21s%s\n", "unlimited", unit);
	else
		text_printf(t, "%-21lu%s\n", (unsigned long)hard, unit);
}

void proc_text_limits(struct textbuf *t, const struct proc_whose *w)
{
	const struct mm *mm = w->p->mm;
	const struct fd_table *f = w->p->files;
	u64 none = ~0ull;

	text_printf(t, "%-26s%-21s%-21s%s\n", "Limit", "Soft Limit", "Hard Limit", "Units");
	put_limit(t, "Max cpu time", none, none, "seconds");
	put_limit(t, "Max file size", none, none, "bytes");
	put_limit(t, "Max data size", mm ? mm->limit_data : none, none, "bytes");
	put_limit(t, "Max stack size", mm ? mm->limit_stack : none, none, "bytes");
	put_limit(t, "Max core file size", 0, 0, "bytes");
	put_limit(t, "Max processes", rs_boot->max_pids ? rs_boot->max_pids : none,
		  rs_boot->max_pids ? rs_boot->max_pids : none, "processes");
	put_limit(t, "Max open files", f ? f->limit : 0, f ? f->hard_limit : 0, "files");
	put_limit(t, "Max address space", mm ? mm->limit_as : none, none, "bytes");
	put_limit(t, "Max pending signals", w->p->signals ? w->p->signals->queue_limit : 0,
		  w->p->signals ? w->p->signals->queue_hard_limit : 0, "signals");
}

/* --- the machine, which is the sandbox -------------------------------------------------------- */

static void count_threads(u32 *running, u32 *blocked, u32 *all, u32 *last)
{
	const struct process *p = NULL;
	const struct thread *t;

	*running = *blocked = *all = *last = 0;
	while ((p = process_next(p))) {
		*last = p->pid;
		list_for_each(t, &p->threads, list) {
			++*all;
			if (t->sched.state != THREAD_SLEEPING)
				++*running;
		}
	}
}

void proc_text_loadavg(struct textbuf *t, const struct proc_whose *w)
{
	u32 running, blocked, all, last;

	(void)w;
	count_threads(&running, &blocked, &all, &last);
	text_printf(t, "0.00 0.00 0.00 %u/%u %u\n", running, all, last);
}

void proc_text_meminfo(struct textbuf *t, const struct proc_whose *w)
{
	unsigned long total = KIB(pages_total()), avail = KIB(pages_free());

	(void)w;
	text_printf(t,
		    "MemTotal:       %8lu kB\nMemFree:        %8lu kB\nMemAvailable:   %8lu kB\n",
		    total, avail, avail);
	text_printf(t, "Buffers:        %8d kB\nCached:         %8d kB\n", 0, 0);
	text_printf(t, "SwapTotal:      %8d kB\nSwapFree:       %8d kB\nShmem:          %8d kB\n", 0,
		    0, 0);
	text_printf(t, "Slab:           %8d kB\nSReclaimable:   %8d kB\nSUnreclaim:     %8d kB\n", 0,
		    0, 0);
}

static u64 host_seconds(int clock, u64 *nsec)
{
	u64 *ts = host_bounce();

	if (file_host_call(__NR_clock_gettime, (u64)clock, gpa_of(ts), 0))
		return 0;
	if (nsec)
		*nsec = ts[1];
	return ts[0];
}

/* Time that all threads together have had a CPU, in ticks. */
static unsigned long used_ticks(void)
{
	const struct process *p = NULL;
	u64 tsc = 0;

	while ((p = process_next(p)))
		tsc += process_usage(p).user_tsc;
	return ticks(tsc + process_first()->children_used.user_tsc);
}

void proc_text_uptime(struct textbuf *t, const struct proc_whose *w)
{
	u64 nsec = 0, up = host_seconds(7 /* CLOCK_BOOTTIME */, &nsec);
	u64 hundredths = up * 100 + nsec / 10000000, used = used_ticks();
	u64 idle = hundredths * rs_ncpus > used ? hundredths * rs_ncpus - used : 0;

	(void)w;
	text_printf(t, "%lu.%02lu %lu.%02lu\n", (unsigned long)(hundredths / 100),
		    (unsigned long)(hundredths % 100), (unsigned long)(idle / 100),
		    (unsigned long)(idle % 100));
}

void proc_text_system(struct textbuf *t, const struct proc_whose *w)
{
	u64 up = host_seconds(7, NULL), now = host_seconds(0, NULL);
	unsigned long used = used_ticks(), all_cpus = (unsigned long)(up * HZ * rs_ncpus);
	unsigned long idle = all_cpus > used ? all_cpus - used : 0;
	u32 running, blocked, all, last, i;

	(void)w;
	count_threads(&running, &blocked, &all, &last);
	text_printf(t, "cpu  %lu 0 0 %lu 0 0 0 0 0 0\n", used, idle);
	for (i = 0; i < rs_ncpus; i++)
		text_printf(t, "cpu%u %lu 0 0 %lu 0 0 0 0 0 0\n", i, used / rs_ncpus,
			    idle / rs_ncpus);
	text_printf(t, "intr 0\nctxt %lu\nbtime %lu\nprocesses %lu\nprocs_running %u\n", 0ul,
		    (unsigned long)(now > up ? now - up : 0), (unsigned long)rs_stats()->forks + 1,
		    running);
	text_printf(t, "procs_blocked %u\nsoftirq 0 0 0 0 0 0 0 0 0 0 0\n", blocked);
}

/* What a program can find out by itself, in the host's form. */
void proc_text_cpuinfo(struct textbuf *t, const struct proc_whose *w)
{
	u32 a, b, c, d, name[13] = { 0 }, vendor[4] = { 0 }, family, model, i;

	(void)w;
	__cpuid(0, a, vendor[0], vendor[2], vendor[1]);
	__cpuid(0x80000000, a, b, c, d);
	for (i = 0; i < 3 && a >= 0x80000004; i++)
		__cpuid(0x80000002 + i, name[4 * i], name[4 * i + 1], name[4 * i + 2],
			name[4 * i + 3]);
	__cpuid(1, a, b, c, d);
	family = (a >> 8 & 15) + ((a >> 8 & 15) == 15 ? a >> 20 & 255 : 0);
	model = (a >> 4 & 15) | (family >= 6 ? a >> 12 & 0xf0 : 0);
	for (i = 0; i < rs_ncpus; i++) {
		text_printf(t, "processor\t: %u\nvendor_id\t: %s\ncpu family\t: %u\nmodel\t\t: %u\n",
			    i, (char *)vendor, family, model);
		text_printf(t, "model name\t: %s\nstepping\t: %u\n", (char *)name, a & 15);
		text_printf(t, "cpu MHz\t\t: %lu.%03lu\n", (unsigned long)(rs_boot->tsc_khz / 1000),
			    (unsigned long)(rs_boot->tsc_khz % 1000));
		text_printf(t, "physical id\t: 0\nsiblings\t: %u\ncore id\t\t: %u\n", rs_ncpus, i);
		text_printf(t, "cpu cores\t: %u\nfpu\t\t: yes\nwp\t\t: yes\n\n", rs_ncpus);
	}
}

#define UTS_FIELD 65

void proc_text_version(struct textbuf *t, const struct proc_whose *w)
{
	char *uts = host_bounce();
	u32 i;

	(void)w;
	if (file_host_call(__NR_uname, gpa_of(uts), 0, 0))
		return;
	for (i = 0; i < 5; i++)
		uts[i * UTS_FIELD + UTS_FIELD - 1] = 0;
	text_printf(t, "%s version %s (ringside) %s\n", uts, uts + 2 * UTS_FIELD,
		    uts + 3 * UTS_FIELD);
}
