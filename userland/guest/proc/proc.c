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

void process_exit(int wait_status)
{
	page_alloc_stats_update();
	host_exit(wait_status, 0);
}

void process_die(int sig, const struct fault_info *fault)
{
	if (fault || report_is_bug(sig))
		report_death(current(), sig, fault);
	process_exit(sig);
}
