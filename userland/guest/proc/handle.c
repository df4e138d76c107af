// SPDX-License-Identifier: MIT
/*
 * handle.c - tables of handles, and the life of ports
 *
 * A port is counted by what it can be used for: everything that names it (refs), what can send,
 * what can receive. Each handle and each pager goes through ref_get() and ref_put(), so the counts
 * are right by construction. When the last that can receive has gone, all that wait there are let
 * go (receivers, too: another thread has closed their handle); when the last that can send has
 * gone, whoever waits to receive. Then nobody is in a list of the port, and nobody can enter one
 * again, since handles come from handles: it is freed with the last of these.
 *
 * A number is the lowest that is free, as with descriptors. The table grows by doubling.
 */
#include "ipc.h"
#include "proc.h"
#include "../lib/assert.h"
#include "../lib/string.h"
#include "../mm/kmalloc.h"

#define FIRST_SIZE	16u

static u32 nports;

static void ref_get(struct port *port, u32 rights)
{
	port->refs++;
	port->nsend += !!(rights & RS_RIGHT_SEND);
	port->nreceive += !!(rights & RS_RIGHT_RECEIVE);
}

static void ref_put(struct port *port, u32 rights)
{
	if (rights & RS_RIGHT_RECEIVE && !--port->nreceive) {
		ipc_let_go(&port->senders);
		ipc_let_go(&port->receivers);
	}
	if (rights & RS_RIGHT_SEND && !--port->nsend)
		ipc_let_go(&port->receivers);
	if (--port->refs)
		return;
	ASSERT(list_empty(&port->senders) && list_empty(&port->receivers));
	nports--;
	kfree(port);
}

void port_get_sender(struct port *port)
{
	ref_get(port, RS_RIGHT_SEND);
}

void port_put_sender(struct port *port)
{
	ref_put(port, RS_RIGHT_SEND);
}

/* --- tables ----------------------------------------------------------------------------------- */

static struct ipc_process *table_of(struct process *p)
{
	if (!p->ipc) {
		p->ipc = kzalloc(sizeof(*p->ipc));
		if (p->ipc)
			list_init(&p->ipc->open);
	}
	return p->ipc;
}

/* A number that is free, 0 without memory; the table has it. */
static u32 free_number(struct ipc_process *ipc)
{
	struct handle *more;
	u32 n, size;

	if (ipc->used + 1 < ipc->size) {
		for (n = 1; ipc->handles[n].port; n++)
			;
		return n;
	}
	size = ipc->size ? 2 * ipc->size : FIRST_SIZE;
	more = kzalloc(size * sizeof(*more));
	if (!more)
		return 0;
	if (ipc->size)
		memcpy(more, ipc->handles, ipc->size * sizeof(*more));
	kfree(ipc->handles);
	ipc->handles = more;
	n = ipc->size ? ipc->size : 1;
	ipc->size = size;
	return n;
}

static long install(struct process *p, struct port *port, u32 rights, u64 badge)
{
	struct ipc_process *ipc = table_of(p);
	u32 n;

	if (!ipc)
		return -ENOMEM;
	if (ipc->used == RS_HANDLES_MAX)
		return -EMFILE;
	n = free_number(ipc);
	if (!n)
		return -ENOMEM;
	ipc->handles[n] = (struct handle){ .port = port, .badge = badge, .rights = rights };
	ipc->used++;
	ref_get(port, rights);
	return n;
}

long ipc_handle_add(struct process *p, const struct handle *h, u32 rights, u64 badge)
{
	/* the table @h lies in may move */
	return install(p, h->port, rights, badge);
}

long ipc_port_create(u32 flags)
{
	struct port *port;
	long n;

	if (nports == RS_PORTS_MAX)
		return -ENFILE;
	port = kzalloc(sizeof(*port));
	if (!port)
		return -ENOMEM;
	list_init(&port->receivers);
	list_init(&port->senders);
	n = install(current_proc(), port, RIGHTS | flags, 0);
	if (n < 0)
		kfree(port);
	else
		nports++;
	return n;
}

long ipc_no_handle(struct ipc_process *ipc, u64 n)
{
	return ipc_handle(ipc, n, 0) ? -EACCES : -EBADF;
}

void ipc_handle_close(struct ipc_process *ipc, u32 n)
{
	struct handle h = ipc->handles[n];

	ipc->handles[n] = (struct handle){ 0 };
	ipc->used--;
	ref_put(h.port, h.rights);
}

/* --- processes -------------------------------------------------------------------------------- */

bool ipc_fork(struct process *p, const struct process *from)
{
	const struct ipc_process *old = from->ipc;
	struct ipc_process *new;
	u32 i;

	if (likely(!old))
		return true;
	new = table_of(p);
	if (!new)
		return false;
	if (!old->size)
		return true;
	new->handles = kmalloc(old->size * sizeof(*new->handles));
	if (!new->handles)
		return false;
	memcpy(new->handles, old->handles, old->size * sizeof(*new->handles));
	new->size = old->size;
	new->used = old->used;
	for (i = 1; i < new->size; i++)
		if (new->handles[i].port)
			ref_get(new->handles[i].port, new->handles[i].rights);
	return true;
}

static void close_all(struct ipc_process *ipc, u32 rights)
{
	u32 i;

	for (i = 1; i < ipc->size; i++)
		if (ipc->handles[i].port && (ipc->handles[i].rights & rights) == rights)
			ipc_handle_close(ipc, i);
}

void ipc_exec(struct process *p)
{
	if (likely(!p->ipc))
		return;
	ipc_let_go(&p->ipc->open);
	close_all(p->ipc, RS_HANDLE_CLOEXEC);
}

void ipc_process_end(struct process *p)
{
	struct ipc_process *ipc = p->ipc;

	if (likely(!ipc))
		return;
	ipc_let_go(&ipc->open);
	close_all(ipc, 0);
	kfree(ipc->handles);
	kfree(ipc);
	p->ipc = NULL;
}
