// SPDX-License-Identifier: MIT
/*
 * proc.c - processes: their beginning and their end
 */
#include "proc.h"
#include "report.h"
#include "../lib/assert.h"
#include "../lib/string.h"
#include "../mm/kmalloc.h"
#include "../mm/page_alloc.h"

struct process *process_create(void)
{
	struct process *p = kzalloc(sizeof(*p));
	struct thread *t = kzalloc(sizeof(*t));

	if (!p || !t) {
		kfree(p);
		kfree(t);
		return NULL;
	}
	list_init(&p->threads);
	p->pid = rs_boot->pid;
	p->ppid = rs_boot->ppid;
	p->pgid = rs_boot->pgid;
	p->sid = rs_boot->sid;
	p->uid = rs_boot->uid;
	p->euid = p->suid = p->fsuid = rs_boot->euid;
	p->gid = rs_boot->gid;
	p->egid = p->sgid = p->fsgid = rs_boot->egid;
	p->umask = rs_boot->umask;
	p->cwd_fd = rs_boot->cwd_fd;
	p->dumpable = true;
	p->start_tsc = rdtsc();
	t->proc = p;
	t->tid = p->pid;
	list_add_tail(&p->threads, &t->list);
	p->nthreads = 1;
	return p;
}

/* --verbose --debug: the page table as it was at the end, in pieces that the console takes. */
static void dump_page_table(const struct mm *mm)
{
	size_t size = 1ul << 20, at, n;
	struct textbuf t = { .size = size, .buf = kmalloc(size) };

	if (!t.buf)
		return;
	pgtable_dump(&mm->pt, &t);
	for (at = 0; at < t.len; at += n) {
		n = min(t.len - at, (size_t)4096);
		console_write(RS_CONSOLE_LOG, t.buf + at, n);
	}
	kfree(t.buf);
}

/*
 * --debug: the address space is checked, taken down, and every page must be where the counts say.
 */
static void check_and_take_down(struct process *p)
{
	struct mm *mm = p->mm;

	if (!mm)
		return;
	mm_check(mm);
	p->mm = NULL;
	mm_activate(NULL);
	mm_put(mm);
	page_alloc_check();
	rs_printf("guest kernel: %lu bytes of the kernel stack were used at most\n",
		  kstack_used(this_kstack()));
	rs_printf("guest kernel: %lu of %lu pages and %lu objects are the kernel's at the end\n",
		  pages_total() - pages_free(), pages_total(), kmalloc_in_use());
}

void process_exit(int wait_status)
{
	struct process *p = current_proc();

	page_alloc_stats_update();
	if (rs_boot->flags & RS_BOOT_DEBUG) {
		if (rs_boot->flags & RS_BOOT_VERBOSE && p->mm)
			dump_page_table(p->mm);
		check_and_take_down(p);
	}
	host_exit(wait_status, 0);
}

void process_die(int sig, const struct fault_info *fault)
{
	if (fault || report_is_bug(sig))
		report_death(current(), sig, fault);
	process_exit(sig);
}
