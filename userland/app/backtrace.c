// SPDX-License-Identifier: MIT
/*
 * backtrace.c - return addresses by frame pointers, from any stack, never with a fault
 *
 * A frame pointer leads to two words: the caller's frame pointer and the return address. What is
 * read may be anything at all, so it is the kernel that reads it: write() of bad memory into a
 * pipe is EFAULT, in a ring as on Linux, and so it is when another thread unmaps it at this very
 * moment. The pipe exists for one backtrace only: nobody else can have a byte in it, not even a
 * child of fork. Up to WINDOW bytes at once, within one page: the frames next to each other take
 * one look.
 *
 * Frames lie on one stack, each above the one before; so the walk ends, whatever it finds.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <unistd.h>
#include <ringside/app.h>
#include "internal.h"

#define PAGE	4096ul
#define WINDOW	512ul

struct window {
	int fd[2];
	uint64_t at, len;	/* [at, at + len) is in @buf */
	char buf[WINDOW];
};

/* All of it or nothing: a pipe takes that much at once, and the range does not leave its page. */
static bool fill(struct window *w, uint64_t at)
{
	uint64_t len = PAGE - at % PAGE;
	ssize_t n;

	if (len > WINDOW)
		len = WINDOW;
	w->len = 0;
	do
		n = write(w->fd[1], (const void *)at, len);
	while (n == -1 && errno == EINTR);
	if (n != (ssize_t)len)
		return false;
	do
		n = read(w->fd[0], w->buf, len);
	while (n == -1 && errno == EINTR);
	if (n != (ssize_t)len)
		return false;
	w->at = at;
	w->len = len;
	return true;
}

/* @at is a multiple of 8, so that a word lies in one page. */
static bool word(struct window *w, uint64_t at, uint64_t *v)
{
	if ((at - w->at >= w->len || w->len - (at - w->at) < 8) && !fill(w, at))
		return false;
	__builtin_memcpy(v, w->buf + (at - w->at), 8);
	return true;
}

static size_t walk(void **pcs, size_t n, size_t max, uint64_t fp, uint64_t low)
{
	struct window w = { .len = 0 };
	uint64_t next, ret;

	if (n == max || pipe2(w.fd, O_CLOEXEC | O_NONBLOCK))
		return n;
	while (n < max && fp >= low && fp % 8 == 0 && fp < -16ul && word(&w, fp, &next) &&
	       word(&w, fp + 8, &ret) && ret) {
		pcs[n++] = (void *)ret;
		low = fp + 16;
		fp = next;
	}
	close(w.fd[0]);
	close(w.fd[1]);
	return n;
}

size_t rs_backtrace(void **pcs, size_t n, const struct rs_trap_frame *f)
{
	uint64_t frame = (uint64_t)__builtin_frame_address(0);
	size_t found = 0;
	int err = errno;

	if (!n)
		return 0;
	if (f) {
		pcs[found++] = (void *)f->rip;
		found = walk(pcs, found, n, f->rbp, f->rsp);
	} else {
		/*
		 * This function has a frame, whatever the compiler's options say: it asks for its
		 * address.
		 */
		found = walk(pcs, found, n, frame, frame);
	}
	errno = err;
	return found;
}
