// SPDX-License-Identifier: MIT
/*
 * ipc.c - the ledger's operations on messages and pagers, beside what a Linux program would use
 * instead
 *
 * ipc_call_reply: a message of four words to another process and its answer. Natively a byte
 * through a pipe to another process, and one back through a second pipe.
 *
 * ipc_page: a page with something new in it to another process, which looks at it, and an answer.
 * Natively a write and a read of 4096 bytes through a pipe, and a byte back. In the ring the page
 * goes there and comes back (RS_PAGES_MOVE), so that there is one to send the next time.
 *
 * pager_fault: the first write to a page that another one provides, who has it ready. Natively a
 * thread that waits for faults of this memory (userfaultfd) and copies the page (UFFDIO_COPY); in
 * the ring another process, which gives its page away.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <ringside/ipc.h>
#include "bench.h"

#define PAGE	4096UL
#define WARM	2

static int in_ring(void)
{
	return !!rs_app_features();
}

static char *some_pages(size_t n)
{
	char *p = mmap(NULL, n * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		die("mmap");
	madvise(p, n * PAGE, MADV_NOHUGEPAGE);
	return p;
}

static void touch(char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i * PAGE] = 1;
}

/* --- the other process ----------------------------------------------------------------------- */

/* What leads to the other process: a handle, or pipes. Closing it is its end. */
static struct peer {
	pid_t pid;
	int port, to;
	int out[2], in[2];
} peer;

static void bad(const char *what, long ret)
{
	errno = ret < 0 && ret > -4096 ? (int)-ret : EIO;
	die(what);
}

static void peer_start(void (*ring)(void), void (*native)(void))
{
	int p;

	if (in_ring()) {
		p = rs_port_create(0);
		peer.port = rs_handle_copy(p, RS_RIGHT_RECEIVE, 0);
		peer.to = rs_handle_copy(p, RS_RIGHT_SEND, 1);
		if (p < 0 || peer.port < 0 || peer.to < 0 || rs_handle_close(p))
			bad("a port", p);
	} else if (pipe(peer.out) || pipe(peer.in)) {
		die("pipe");
	}
	peer.pid = syscall(SYS_fork);
	if (peer.pid < 0)
		die("fork");
	if (!peer.pid) {
		if (in_ring()) {
			rs_handle_close(peer.to);
			ring();
		} else {
			close(peer.out[1]);
			close(peer.in[0]);
			native();
		}
		syscall(SYS_exit_group, 0);
	}
	if (in_ring()) {
		rs_handle_close(peer.port);
	} else {
		close(peer.out[0]);
		close(peer.in[1]);
	}
}

static void peer_end(void)
{
	int status;

	if (in_ring()) {
		rs_handle_close(peer.to);
	} else {
		close(peer.out[1]);
		close(peer.in[0]);
	}
	if (waitpid(peer.pid, &status, 0) != peer.pid)
		die("waitpid");
	if (status) {
		errno = ECHILD;
		die("the other process did not end as it should");
	}
}

/* Natively @len bytes there, and one back. */
static void pipe_round(char *p, size_t len)
{
	char c;

	if (write(peer.out[1], p, len) != (ssize_t)len || read(peer.in[0], &c, 1) != 1)
		die("a pipe between two processes");
}

static void pipe_peer(char *p, size_t len)
{
	while (read(peer.out[0], p, len) == (ssize_t)len)
		if (write(peer.in[1], p, 1) != 1)
			syscall(SYS_exit_group, 1);
}

static void rounds(struct sample *s, uint64_t n, void (*round)(char *), char *p)
{
	for (int i = 0; i < WARM; i++)
		round(p);
	s->ops = n;
	span_begin(s);
	for (uint64_t i = 0; i < n; i++)
		round(p);
	span_end(s);
}

/* --- words ----------------------------------------------------------------------------------- */

static void answer_words(void)
{
	struct rs_from from = { 0 };
	uint64_t w[RS_IPC_WORDS];

	while (rs_ipc_reply_wait(peer.port, w, &from) >= 0)
		w[0]++;
}

static void answer_byte(void)
{
	char c;

	pipe_peer(&c, 1);
}

/* The answer is the next message. */
static void rounds_words(struct sample *s, uint64_t n)
{
	uint64_t w[RS_IPC_WORDS] = { 0, 1, 2, 3 };
	long ret = 0;

	for (int i = 0; i < WARM; i++)
		ret |= rs_ipc_call(peer.to, w, RS_IPC_FOREVER);
	s->ops = n;
	span_begin(s);
	for (uint64_t i = 0; i < n; i++)
		ret |= rs_ipc_call(peer.to, w, RS_IPC_FOREVER);
	span_end(s);
	if (ret || w[0] != n + WARM)
		bad("a call", ret);
}

static void send_byte(char *p)
{
	pipe_round(p, 1);
}

static void batch_call_reply(struct sample *s, unsigned int param)
{
	char c = 'x';

	(void)param;
	peer_start(answer_words, answer_byte);
	if (in_ring())
		rounds_words(s, 50);
	else
		rounds(s, 8, send_byte, &c);
	peer_end();
}

/* --- a page ---------------------------------------------------------------------------------- */

static void answer_page(void)
{
	char *p = some_pages(1);
	struct rs_ipc m = { .port = peer.port, .limit = RS_IPC_FOREVER, .window = (uint64_t)p,
			    .window_len = PAGE, .addr = (uint64_t)p, .len = PAGE,
			    .rights = RS_PAGE_WRITE | RS_PAGES_MOVE };

	while (rs_ipc(RS_SYS_IPC_REPLY_WAIT, &m) >= 0)
		m.word[0] = *(volatile char *)p;
}

static void answer_bytes(void)
{
	char *p = some_pages(1);

	pipe_peer(p, PAGE);
}

static void call_page(char *p)
{
	static char n;
	struct rs_ipc m = { .port = peer.to, .limit = RS_IPC_FOREVER, .window = (uint64_t)p,
			    .window_len = PAGE, .addr = (uint64_t)p, .len = PAGE,
			    .rights = RS_PAGE_WRITE | RS_PAGES_MOVE };
	long ret;

	n = (n + 1) & 63;
	*(volatile char *)p = n;
	ret = rs_ipc(RS_SYS_IPC_CALL, &m);
	if (ret != RS_IPC_PAGES || m.word[0] != (uint64_t)n)
		bad("a call with a page", ret);
}

static void send_bytes(char *p)
{
	*(volatile char *)p = 1;
	pipe_round(p, PAGE);
}

static void batch_page(struct sample *s, unsigned int param)
{
	char *p = some_pages(1);

	(void)param;
	touch(p, 1);
	peer_start(answer_page, answer_bytes);
	rounds(s, 8, in_ring() ? call_page : send_bytes, p);
	peer_end();
	munmap(p, PAGE);
}

/* --- a page that is missing ------------------------------------------------------------------ */

#define FAULTS	16U

static void provide_pages(void)
{
	char *p = some_pages(FAULTS + 1);
	struct rs_ipc m = { .port = peer.port, .limit = RS_IPC_FOREVER, .addr = (uint64_t)p,
			    .len = PAGE, .rights = RS_PAGE_WRITE | RS_PAGES_MOVE };

	touch(p, FAULTS + 1);
	while (rs_ipc(RS_SYS_IPC_REPLY_WAIT, &m) >= 0)
		m.addr = (uint64_t)p + m.word[2];
}

static void batch_pager_ring(struct sample *s)
{
	char *p = some_pages(FAULTS + 1);

	peer_start(provide_pages, NULL);
	if (rs_pager(p, (FAULTS + 1) * PAGE, peer.to, RS_IPC_FOREVER))
		bad("a pager", 0);
	/* the tables, and the pager's first steps */
	touch(p, 1);
	s->ops = FAULTS;
	span_begin(s);
	touch(p + PAGE, FAULTS);
	span_end(s);
	munmap(p, (FAULTS + 1) * PAGE);
	peer_end();
}

static int uffd;
static char *ready;

static void *copy_pages(void *range)
{
	struct uffd_msg msg;

	for (unsigned int i = 0; i <= FAULTS; i++) {
		struct uffdio_copy c = { .len = PAGE };

		if (read(uffd, &msg, sizeof(msg)) != sizeof(msg) ||
		    msg.event != UFFD_EVENT_PAGEFAULT)
			return NULL;
		c.dst = msg.arg.pagefault.address & -PAGE;
		c.src = (uint64_t)ready + (c.dst - (uint64_t)range);
		if (ioctl(uffd, UFFDIO_COPY, &c))
			return NULL;
	}
	return range;
}

static void batch_pager_native(struct sample *s)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .range.len = (FAULTS + 1) * PAGE,
				       .mode = UFFDIO_REGISTER_MODE_MISSING };
	char *p = some_pages(FAULTS + 1);
	void *all;
	pthread_t t;

	ready = some_pages(FAULTS + 1);
	touch(ready, FAULTS + 1);
	reg.range.start = (uint64_t)p;
	uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api) || ioctl(uffd, UFFDIO_REGISTER, &reg))
		die("userfaultfd");
	errno = pthread_create(&t, NULL, copy_pages, p);
	if (errno)
		die("pthread_create");
	touch(p, 1);
	s->ops = FAULTS;
	span_begin(s);
	touch(p + PAGE, FAULTS);
	span_end(s);
	pthread_join(t, &all);
	close(uffd);
	munmap(p, (FAULTS + 1) * PAGE);
	munmap(ready, (FAULTS + 1) * PAGE);
	if (all != p) {
		errno = EIO;
		die("faults of userfaultfd");
	}
}

static void batch_pager(struct sample *s, unsigned int param)
{
	(void)param;
	(in_ring() ? batch_pager_ring : batch_pager_native)(s);
}

const struct op ipc_ops[] = {
	{ "basic", "ipc_call_reply", 0, NATIVE | RING, BATCHES, batch_call_reply },
	{ "basic", "ipc_page", 0, NATIVE | RING, BATCHES, batch_page },
	{ "basic", "pager_fault", 0, NATIVE | RING, BATCHES, batch_pager },
	{ 0 }
};
