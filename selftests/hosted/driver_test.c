// SPDX-License-Identifier: MIT
/*
 * driver_test.c - what a packet costs in the driver of the sandbox's NIC, in instructions
 *
 * The driver and its buffers, compiled as in the guest kernel, run in a child that is stepped instruction by
 * instruction; the device is a page and two rings, and the other side is done as soon as it is told. What counts
 * is all of what a packet takes: to be sent, a buffer, the descriptor, the tail, the look at the
 * doorbell, and taking it back; received, the buffer out of the ring, an empty one in, the tail, and freeing
 * it. The bar is that of the project, 250.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../userland/guest/dev/e1000.h"
#include "../../userland/guest/mm/kmalloc.h"

#define BAR	250u
#define PACKETS	600u	/* before anything is counted: more than a ring */
#define COUNTED	128u
#define FEW	64u	/* that come at once */

/* --- what the driver stands on ---------------------------------------------------------------- */

void *kmalloc(size_t n)
{
	return aligned_alloc(16, (n + 15) & ~15ul);
}

void *kzalloc(size_t n)
{
	void *p = kmalloc(n);

	memset(p, 0, n);
	return p;
}

void kfree(void *p)
{
	free(p);
}

long rs_hypercall(u64 nr, u64 a0, u64 a1, u64 a2, u64 a3)
{
	(void)a0, (void)a2, (void)a3;
	/* The EEPROM is done at once, and so is a reset. */
	return nr == RS_HC_NIC_READ && a1 == 0x14 ? 0x10 : 0;
}

static struct e1000 nic;

static void mark(void)
{
	raise(SIGUSR1);
}

/* A frame in each of the next @n buffers. */
static void arrive(u32 n)
{
	struct desc {
		u64 addr;
		u16 len, sum;
		u8 status, errors;
		u16 special;
	} *d = (struct desc *)nic.rx;

	while (n--) {
		u32 i = nic.page->rx_head;

		d[i].len = 100;
		d[i].status = 3;
		nic.page->rx_head = (i + 1) & (E1000_RX_RING - 1);
	}
}

static void send_one(void)
{
	struct nbuf *n = nbuf_chain(60);

	n->flags = NBUF_SUM_UDP;
	if (e1000_send(&nic, n))
		_exit(2);
	nic.page->tx_head = nic.page->tx_tail;
}

static void receive_few(void)
{
	u32 i;

	for (i = 0; i < FEW; i++) {
		struct nbuf *n = e1000_receive(&nic);

		if (!n)
			_exit(3);
		nbuf_free(n);
	}
	e1000_refilled(&nic);
}

static void child(void)
{
	u32 i;

	if (e1000_init(&nic, 0))
		_exit(1);
	for (i = 0; i < PACKETS; i++)
		send_one();
	mark();
	for (i = 0; i < COUNTED; i++)
		send_one();
	mark();
	arrive(FEW);
	receive_few();
	for (i = 0; i < COUNTED; i += FEW) {
		arrive(FEW);
		mark();
		receive_few();
		mark();
	}
	_exit(0);
}

/* --- the one who counts ----------------------------------------------------------------------- */

/* Runs on to the next mark; false: the child has ended, well. */
static int to_mark(pid_t pid)
{
	int status;

	if (ptrace(PTRACE_CONT, pid, 0, 0) || waitpid(pid, &status, 0) != pid)
		return -1;
	if (WIFEXITED(status))
		return WEXITSTATUS(status) ? -1 : 0;
	return WIFSTOPPED(status) && WSTOPSIG(status) == SIGUSR1 ? 1 : -1;
}

/* Steps to the next mark: instructions, or -1. */
static long step_to_mark(pid_t pid)
{
	long n = 0;
	int status;

	for (;; n++) {
		if (ptrace(PTRACE_SINGLESTEP, pid, 0, 0) || waitpid(pid, &status, 0) != pid ||
		    !WIFSTOPPED(status))
			return -1;
		if (WSTOPSIG(status) == SIGUSR1)
			return n;
		if (WSTOPSIG(status) != SIGTRAP)
			return -1;
	}
}

static int report(int n, const char *what, long insns, u32 packets)
{
	long each = insns < 0 ? -1 : (insns + packets - 1) / packets;

	printf("%sok %d - %s: %ld instructions a packet (bar %u)\n",
	       each < 0 || each > (long)BAR ? "not " : "", n, what, each, BAR);
	return each < 0 || each > (long)BAR;
}

int main(void)
{
	long sent, received = 0;
	u32 packets = 0;
	int bad, more;
	pid_t pid = fork();

	if (!pid) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		mark();
		child();
	}
	if (pid < 0 || waitpid(pid, NULL, 0) != pid || to_mark(pid) != 1) {
		printf("not ok 1 - the driver starts\n1..1\n");
		return 1;
	}
	sent = step_to_mark(pid);
	while ((more = to_mark(pid)) == 1) {
		long n = step_to_mark(pid);

		received = n < 0 || received < 0 ? -1 : received + n;
		packets += FEW;
	}
	bad = report(1, "sending", sent, COUNTED);
	bad |= report(2, "receiving", more ? -1 : received, packets ? packets : 1);
	printf("1..2\n");
	return bad;
}
