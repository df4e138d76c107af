// SPDX-License-Identifier: MIT
/*
 * pager.c - memory whose pages another process provides
 *
 * The range has a struct pager for an object (mm/transfer.h), which names the port and the badge of
 * the handle it was made with, and counts as a sender there, like the handle itself. Faults find it
 * by the mapping; so it follows the mapping wherever that goes, and goes with it.
 *
 * A fault is a call by a thread that has not made one: the message tells of the fault, the thread's
 * registers are not touched, and the answer brings pages to where they are missing, not to a
 * window. Then the thread tries the access again, and whatever it finds is found as by any access.
 * So nothing hangs on the answer being the right one, or on the mapping being the same as before: a
 * page that is not there is asked for again. That is what happens after a signal, too: the thread
 * gives the request up, since the handler may do anything.
 *
 * Only ring 3's own accesses wait. A copy from or to the process in a system call cannot: the
 * kernel may be half through with something. It ends as with a bad address, EFAULT.
 */
#include "ipc.h"
#include "pager.h"
#include "proc.h"
#include "../mm/kmalloc.h"
#include "../mm/transfer.h"

struct port_pager {
	struct pager pager;
	struct port *port;
	u64 badge, limit;
};

static u64 last_id;

u64 ipc_deadline(u64 limit)
{
	u64 now;

	if (limit == RS_IPC_FOREVER || !limit)
		return NO_DEADLINE;
	if (limit & RS_IPC_ABSOLUTE)
		return limit & ~RS_IPC_ABSOLUTE;
	now = clock_monotonic();
	return limit < NO_DEADLINE - 1 - now ? now + limit : NO_DEADLINE - 1;
}

static void gone(struct shm *s)
{
	struct port_pager *p = container_of(s, struct port_pager, pager.shm);

	port_put_sender(p->port);
	kfree(p);
}

long pager_set(u64 addr, u64 len, u64 handle, u64 limit)
{
	struct process *proc = current_proc();
	struct port_pager *p;
	struct handle *h;

	if (!handle)
		return mm_set_pager(proc->mm, addr, len, NULL);
	h = ipc_handle(proc->ipc, handle, RS_RIGHT_SEND);
	if (!h)
		return ipc_no_handle(proc->ipc, handle);
	p = kzalloc(sizeof(*p));
	if (!p)
		return -ENOMEM;
	*p = (struct port_pager){
		.pager = { .id = ++last_id }, .port = h->port, .badge = h->badge, .limit = limit,
	};
	p->pager.shm.refs = 1;
	p->pager.shm.gone = gone;
	port_get_sender(h->port);
	return mm_set_pager(proc->mm, addr, len, &p->pager);
}

enum fault_cause pager_ask(u64 addr, u32 access)
{
	struct thread *t = current();
	struct vma *v = mm_find(t->proc->mm, addr);
	struct port_pager *p = container_of(mm_pager(v), struct port_pager, pager);
	struct ipc_more *m = ipc_more();
	u64 page = addr & PAGE_MASK;

	if (!m)
		return FAULT_NO_MEMORY;
	m->fault_addr = page;
	m->fault_distance = v->file_off + (page - v->start);
	m->fault_access = access;
	m->pager = p->pager.id;
	switch (ipc_fault(p->port, p->badge, ipc_deadline(p->limit))) {
	case -EPIPE:
		return FAULT_PAGER_ENDED;
	case -EFAULT:
		return FAULT_PAGER_REFUSED;
	case -ETIMEDOUT:
		return FAULT_PAGER_LIMIT;
	case -EINTR:
		t->work |= THREAD_WORK_SIGNAL;
	}
	return FAULT_OK;
}

_Static_assert(RS_PAGER_READ == FAULT_READ && RS_PAGER_WRITE == FAULT_WRITE &&
	       RS_PAGER_EXEC == FAULT_EXEC, "accesses are told as they are");
_Static_assert(RS_CAUSE_PAGER_ENDED == FAULT_PAGER_ENDED &&
	       RS_CAUSE_PAGER_REFUSED == FAULT_PAGER_REFUSED &&
	       RS_CAUSE_PAGER_LIMIT == FAULT_PAGER_LIMIT, "causes are the kernel's own");
