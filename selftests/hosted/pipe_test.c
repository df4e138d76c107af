// SPDX-License-Identifier: MIT
/*
 * pipe_test.c - pipes and counters under random traffic, with the real scheduler
 *
 * Programs are C functions, as in process_test.c, but signals never have handlers here. Each round
 * makes one pipe, or one eventfd, lets several writers and readers loose on it, and meanwhile stops
 * and kills them, wakes them for nothing, resizes the pipe and turns it into one of the host, with
 * memory and descriptors there or not. What must hold:
 *
 *	bytes	a byte names its writer and its place in what that one wrote: with one reader each
 *		writer's bytes arrive all and in order, and a write of up to PIPE_BUF bytes in one
 *		piece; with several readers all bytes arrive, each once
 *	waking	nobody sleeps for ever: when all sleep, the floor panics
 *	ends	readers find the end when the last writer is gone
 *	memory	no object, page or descriptor is left
 *
 * The host's side of a helper makes calls that would wait as one who does not wait would, again and
 * again, whenever all of the guest sleeps.
 *
 * usage: pipe_test [SEED]
 */
#include <asm/unistd.h>
#include <linux/fcntl.h>
#include <linux/poll.h>
#include <linux/sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "floor.h"
#include "../../userland/guest/fs/eventfd.h"
#include "../../userland/guest/fs/pipe.h"
#include "../../userland/guest/lib/string.h"
#include "../../userland/guest/mm/kmalloc.h"
#include "../../userland/guest/mm/uaccess.h"
#include "../../userland/guest/proc/exec.h"
#include "../../userland/guest/proc/proc.h"
#include "../../userland/guest/syscall/signal.h"
#include "../../userland/guest/syscall/syscall.h"

#include "seeded.h"

long syscall(long nr, ...);
int *__errno_location(void);

#define ROUNDS	400

/* --- ring 3 ----------------------------------------------------------------------------------- */

static long call(u64 nr, const u64 *a, program fn, u64 arg)
{
	return plain_call(nr, a, fn, arg);
}

static long spawn(program fn, u64 arg)
{
	return call(__NR_clone, (u64[6]){ SIGCHLD }, fn, arg);
}

/* --- the host --------------------------------------------------------------------------------- */

#define NSLOTS 64

static u64 now = 1000 * SEC;
static struct rs_slot slots[NSLOTS];
static u64 slot_done[NSLOTS];		/* bytes of a write so far */
static bool no_descriptors;
static u32 moves, refused;

static void event(u64 e)
{
	floor_shared.events |= e;
	floor_shared.pending |= RS_PENDING_EVENTS;
}

static long host_syscall(long nr, u64 a0, u64 a1, u64 a2)
{
	long ret = syscall(nr, a0, a1, a2);

	return ret == -1 ? -*__errno_location() : ret;
}

/* One try of a call that may wait; -EAGAIN when it would. */
static long try_call(struct rs_slot *s, u64 *so_far)
{
	u64 *a = (u64 *)s->call.args, nr = s->call.nr;
	bool write = nr == __NR_write || nr == __NR_writev;
	struct user_vec one = { a[1], a[2] }, v[1024];
	long flags, ret, n = 1, skip, i;
	u64 total = 0;

	if (nr == __NR_ppoll) {
		ret = host_syscall(__NR_poll, a[0], a[1], 0);
		return ret ? ret : -EAGAIN;
	}
	if (nr == __NR_readv || nr == __NR_writev) {
		n = (long)a[2];
		memcpy(v, (void *)a[1], (size_t)n * sizeof(v[0]));
	} else {
		CHECK(nr == __NR_read || nr == __NR_write);
		v[0] = one;
	}
	for (i = 0; i < n; i++)
		total += v[i].len;
	skip = (long)*so_far;
	for (i = 0; i < n; i++) {
		long part = min(skip, (long)v[i].len);

		v[i].va += part;
		v[i].len -= part;
		skip -= part;
	}
	flags = host_syscall(__NR_fcntl, a[0], F_GETFL, 0);
	CHECK(flags >= 0);
	host_syscall(__NR_fcntl, a[0], F_SETFL, flags | O_NONBLOCK);
	ret = host_syscall(write ? __NR_writev : __NR_readv, a[0], P(v), n);
	host_syscall(__NR_fcntl, a[0], F_SETFL, flags);
	if (ret < 0 && ret != -EAGAIN)
		return *so_far ? (long)*so_far : ret;
	if (ret > 0)
		*so_far += ret;
	if (ret == 0 || *so_far == total || flags & O_NONBLOCK || (!write && ret > 0))
		return *so_far || ret != -EAGAIN ? (long)*so_far : ret;
	return -EAGAIN;
}

static bool helper_does(u32 i)
{
	struct rs_slot *s = &slots[i];
	long flags = 0, ret;

	if (s->state != RS_SLOT_SUBMITTED)
		return false;
	ret = try_call(s, &slot_done[i]);
	if (ret == -EAGAIN && s->call.nr != __NR_ppoll)
		flags = host_syscall(__NR_fcntl, s->call.args[0], F_GETFL, 0);
	if (ret == -EAGAIN && !(flags & O_NONBLOCK))
		return false;
	s->call.ret = ret;
	s->state = RS_SLOT_DONE;
	event(RS_EVENT_DONE);
	return true;
}

/* For the report of a deadlock: who is in which call, and what a slot waits for. */
static void who_sleeps(void)
{
	struct process *p = NULL;
	u32 i;

	while ((p = process_next(p))) {
		struct thread *t;

		if (p->state != PROCESS_ALIVE)
			continue;
		list_for_each(t, &p->threads, list)
			printf("# %u: call %ld(%lu), state %d, work %#x, stopped %d\n", t->tid,
			       (long)t->in_syscall - 1, (unsigned long)t->frame->rdi,
			       t->sched.state, t->work, p->stopped);
	}
	for (i = 0; i < NSLOTS; i++)
		if (slots[i].state == RS_SLOT_SUBMITTED)
			printf("# slot %u: call %lu(%lu), %lu done\n", i,
			       (unsigned long)slots[i].call.nr,
			       (unsigned long)slots[i].call.args[0], (unsigned long)slot_done[i]);
}

static long host(u64 nr, const u64 a[6], long *ret)
{
	struct rs_slot here = { .call.nr = nr };
	u64 so_far = 0;
	u32 i, k;

	*ret = 0;
	switch (nr) {
	case __NR_clock_gettime:
		((u64 *)a[1])[0] = now / SEC;
		((u64 *)a[1])[1] = now % SEC;
		return 1;
	case __NR_pipe2:
	case __NR_eventfd2:
		*ret = no_descriptors ? -EMFILE : 0;
		return no_descriptors;
	case RS_CALL_TIMER:
		return 1;
	case RS_CALL_IDLE:
		if (floor_shared.pending)
			return 1;
		/* Not always the same helper first; and what one has written may be for another. */
		for (k = 0, i = below(NSLOTS); k < NSLOTS; k++, i = (i + 1) % NSLOTS) {
			u64 before = slot_done[i];

			if (helper_does(i))
				return 1;
			if (slot_done[i] != before)
				k = 0;
		}
		if (a[0] == NO_DEADLINE)
			who_sleeps();
		if (a[0] == NO_DEADLINE)
			rs_panic("round %u of seed %lu: all sleep, and nothing will ever wake them",
				 round_no, seed0);
		now += a[0];
		*ret = -ETIME;
		return 1;
	case RS_CALL_SUBMIT:
		slot_done[a[0]] = 0;
		return 1;
	case RS_CALL_CANCEL:
		i = (u32)a[0];
		if (slots[i].state == RS_SLOT_SUBMITTED) {
			slots[i].call.ret = slot_done[i] ? (long)slot_done[i] : -EINTR;
			slots[i].state = RS_SLOT_DONE;
			event(RS_EVENT_DONE);
		}
		return 1;
	case __NR_read:
	case __NR_write:
	case __NR_readv:
	case __NR_writev:
		/* What the host has announced comes first; a real one that would wait is a deadlock. */
		if (floor_shared.pending) {
			*ret = -EINTR;
			return 1;
		}
		memcpy((void *)here.call.args, a, sizeof(here.call.args));
		*ret = try_call(&here, &so_far);
		if (*ret == -EAGAIN &&
		    !(host_syscall(__NR_fcntl, a[0], F_GETFL, 0) & O_NONBLOCK)) {
			/* Interrupted by the next tick, as it waits. */
			*ret = so_far ? (long)so_far : -EINTR;
			event(RS_EVENT_TICK);
		}
		return 1;
	}
	return 0;
}

/* --- not part of this ------------------------------------------------------------------------- */

long proc_exec(struct process *p, int dirfd, const char *path, struct exec_args *args,
	       struct rs_frame *f)
{
	(void)p, (void)dirfd, (void)path, (void)args, (void)f;
	return -ENOENT;
}

/* --- bytes ------------------------------------------------------------------------------------ */

#define MAX_WRITERS	3
#define MAX_READERS	4
#define MAX_WRITES	4000
#define BUF		40000

static struct {
	s32 fd[2];
	u32 writers, readers;
	bool victims;			/* somebody was killed: what he had read is lost */
	struct {
		u64 want, wrote;	/* bytes in all, bytes that calls have answered for */
		u32 nwhole;
		u64 whole[MAX_WRITES][2];	/* writes that must be in one piece: from, to */
		u64 seen;
		u32 at;			/* of whole: the first that does not end before seen */
	} w[MAX_WRITERS];
	u32 last;			/* writer of the last byte that was read */
	u64 count[256], counted[256];
} r;

static void check_pipe(s32 fd)
{
	struct file *f = fd_lookup(current_proc()->files, (u64)fd);

	CHECK(f);
	CHECK(!f->ops == (f->host_fd >= 0));
	if (f->ops && pipe_of(f))
		pipe_assert(pipe_of(f));
}

/* Splits @n bytes at @buf into pieces, some of them empty. */
static u32 pieces_of(u8 *buf, u64 n, struct user_vec *v)
{
	u32 k = 0;

	while (n && k < 11) {
		u64 part = below(4) ? below(n) + 1 : 0;

		v[k++] = (struct user_vec){ P(buf), part };
		buf += part;
		n -= part;
	}
	if (n)
		v[k++] = (struct user_vec){ P(buf), n };
	return k;
}

static void waits_for(s32 fd, u16 events)
{
	struct {
		s32 fd;
		u16 events, revents;
	} p[2] = { { fd, events, 0 }, { -1, POLLIN, 0 } };
	u64 set[2] = { 1ull << fd, 0 }, tv[2] = { 0, 1000 };

	switch (below(3)) {
	case 0: K(poll, P(p), 1 + below(2), (u64)-1); break;
	case 1: K(poll, P(p), 1, 1 + below(5)); break;
	default:
		K(select, (u64)fd + 1, events == POLLIN ? P(set) : 0,
		  events == POLLIN ? 0 : P(set), 0, below(2) ? P(tv) : 0);
	}
	/* Ready need not mean that there is enough room for what a counter is to have added. */
	K(sched_yield);
}

static void maybe_yield(void)
{
	if (!below(3))
		K(sched_yield);
}

static u64 some_size(void)
{
	switch (below(6)) {
	case 0: return 1;
	case 1: return below(16) + 1;
	case 2: return 4096;
	case 3: return 4096 + below(3) - 1;
	case 4: return below(4096) + 1;
	default: return below(BUF) + 1;
	}
}

static int writes(u64 me)
{
	u8 *buf = malloc(BUF);
	s32 fd = r.fd[1];
	struct user_vec v[12];

	K(close, (u64)r.fd[0]);
	while (r.w[me].wrote < r.w[me].want) {
		u64 at = r.w[me].wrote, n = min(some_size(), r.w[me].want - at), i;
		u32 nw = r.w[me].nwhole;
		long ret;

		for (i = 0; i < n; i++)
			buf[i] = (u8)(me << 6 | ((at + i) & 63));
		if (n <= 4096) {
			CHECK(nw < MAX_WRITES);
			r.w[me].whole[nw][0] = at;
			r.w[me].whole[nw][1] = at + n;
			r.w[me].nwhole++;
		}
		if (below(2))
			ret = K(write, (u64)fd, P(buf), n);
		else
			ret = K(writev, (u64)fd, P(v), pieces_of(buf, n, v));
		check_pipe(fd);
		if (ret == -EAGAIN) {
			r.w[me].nwhole = nw;
			waits_for(fd, POLLOUT);
			continue;
		}
		CHECK(ret > 0 && ret <= (long)n);
		CHECK(n > 4096 || ret == (long)n);
		for (i = 0; i < (u64)ret; i++)
			r.count[buf[i]]++;
		r.w[me].wrote += ret;
		maybe_yield();
	}
	free(buf);
	return 0;
}

static void arrived(const u8 *buf, u64 n)
{
	u64 i;

	for (i = 0; i < n; i++) {
		u32 me = buf[i] >> 6, l = r.last;

		r.counted[buf[i]]++;
		if (r.readers > 1)
			continue;
		CHECK(me < r.writers && (buf[i] & 63) == (r.w[me].seen & 63));
		if (me != l && l < r.writers && r.w[l].at < r.w[l].nwhole) {
			u64 *whole = r.w[l].whole[r.w[l].at];

			CHECK(r.w[l].seen <= whole[0] || r.w[l].seen >= whole[1]);
		}
		r.w[me].seen++;
		while (r.w[me].at < r.w[me].nwhole &&
		       r.w[me].whole[r.w[me].at][1] <= r.w[me].seen)
			r.w[me].at++;
		r.last = me;
	}
}

static int reads(u64 me)
{
	u8 *buf = malloc(BUF);
	s32 fd = r.fd[0];
	struct user_vec v[12];
	long ret;

	(void)me;
	K(close, (u64)r.fd[1]);
	for (;;) {
		u64 n = some_size();
		u32 k;

		if (!below(4))
			waits_for(fd, POLLIN);
		memset(buf, 0xee, BUF);
		if (below(2)) {
			ret = K(read, (u64)fd, P(buf), n);
		} else {
			k = pieces_of(buf, n, v);
			ret = K(readv, (u64)fd, P(v), k);
		}
		check_pipe(fd);
		if (ret == -EAGAIN) {
			waits_for(fd, POLLIN);
			continue;
		}
		CHECK(ret >= 0 && ret <= (long)n);
		if (!ret)
			break;
		arrived(buf, (u64)ret);
		maybe_yield();
	}
	free(buf);
	return 0;
}

/* --- what happens meanwhile ------------------------------------------------------------------- */

static long pids[MAX_WRITERS + MAX_READERS];
static u32 npids;
static bool killed[MAX_WRITERS + MAX_READERS];
static s32 second;		/* the other end, while it is open here */

static void move(s32 fd)
{
	struct file *f = fd_lookup(current_proc()->files, (u64)fd);
	u32 kind = below(4);
	bool was = !f->ops;
	long ret;

	if (kind == 1)
		floor_fail_in = 0;
	else if (kind == 2)
		no_descriptors = true;
	ret = file_host(f);
	floor_fail_in = -1;
	no_descriptors = false;
	CHECK(ret == f->host_fd || (ret < 0 && f->ops && f->host_fd == -1));
	refused += ret < 0;
	moves += !was && ret >= 0;
	check_pipe(fd);
}

/* @fd: of the caller; @lethal: readers of a pipe may be killed */
static void disturb(s32 fd, bool lethal)
{
	u32 who = below(npids);
	struct thread *t = thread_find((u32)pids[who]);

	switch (below(10)) {
	case 0:
		if (t && t->proc)
			thread_wake(t);
		break;
	case 1:
		K(kill, (u64)pids[who], 19);
		K(sched_yield);
		K(kill, (u64)pids[who], 18);
		break;
	case 2:
		/* One reader has to stay. */
		if (lethal && who >= r.writers && who + 1 < npids) {
			K(kill, (u64)pids[who], SIGKILL);
			killed[who] = true;
			r.victims = true;
		}
		break;
	case 3:
		if (!below(8))
			move(fd);
		break;
	case 4: {
		long ret = K(fcntl, (u64)fd, F_SETPIPE_SZ, below(2) ? below(70000) : below(1 << 20));

		CHECK(ret == -EBUSY || ret == -EBADF || ret == -ENOMEM || ret >= 4096);
		break;
	}
	case 5: {
		u64 end = (u64)(below(2) ? fd : second);
		long fl = K(fcntl, end, F_GETFL);

		if (fl >= 0)
			CHECK(!K(fcntl, end, F_SETFL, (u64)fl ^ O_NONBLOCK));
		break;
	}
	default: K(sched_yield);
	}
}

static void all_end(void)
{
	int status;
	u32 i;

	for (i = 0; i < npids; i++) {
		CHECK(K(wait4, (u64)pids[i], P(&status), 0, 0) == pids[i]);
		CHECK(status == 0 || (killed[i] && status == SIGKILL));
	}
}

static void bytes_round(void)
{
	u32 i, n;

	memset(&r, 0, sizeof(r));
	r.last = MAX_WRITERS;
	r.writers = 1 + below(MAX_WRITERS);
	r.readers = below(2) ? 1 : 1 + below(MAX_READERS);
	CHECK(K(pipe2, P(r.fd), below(4) ? 0 : O_NONBLOCK) == 0);
	if (below(2))
		CHECK(K(fcntl, (u64)r.fd[0], F_SETPIPE_SZ, 4096ull << below(5)) >= 4096);
	second = r.fd[1];
	npids = 0;
	memset(killed, 0, sizeof(killed));
	for (i = 0; i < r.writers; i++)
		r.w[i].want = below(3) ? below(200000) : below(3000);
	for (i = 0; i < r.writers; i++)
		CHECK((pids[npids++] = spawn(writes, i)) > 0);
	for (i = 0; i < r.readers; i++)
		CHECK((pids[npids++] = spawn(reads, i)) > 0);
	n = below(60);
	for (i = 0; i < n; i++)
		disturb(r.fd[0], r.readers > 1);
	/* The end is found when all who write have come to theirs. */
	CHECK(!K(close, (u64)r.fd[1]));
	second = r.fd[0];
	for (i = 0; i < n; i++)
		disturb(r.fd[0], false);
	all_end();
	for (i = 0; i < 256 && !r.victims; i++)
		CHECK(r.count[i] == r.counted[i]);
	for (i = 0; i < r.writers; i++)
		CHECK(r.w[i].wrote == r.w[i].want &&
		      (r.readers > 1 || r.w[i].seen == r.w[i].want));
	check_pipe(r.fd[0]);
	CHECK(!K(close, (u64)r.fd[0]));
}

/* --- tokens ----------------------------------------------------------------------------------- */

/* Everybody does one thing, and what makes that possible for all happens at once. */
static int takes_one(u64 arg)
{
	char b;

	(void)arg;
	while (K(read, (u64)r.fd[0], P(&b), 1) != 1)
		waits_for(r.fd[0], POLLIN);
	return 0;
}

static int puts_some(u64 arg)
{
	char b[100] = { 0 };

	(void)arg;
	while (K(write, (u64)r.fd[1], P(b), sizeof(b)) != sizeof(b))
		waits_for(r.fd[1], POLLOUT);
	return 0;
}

static void token_round(void)
{
	u32 i, n = below(20), readers = below(2);
	static u8 buf[65536];

	memset(&r, 0, sizeof(r));
	CHECK(K(pipe2, P(r.fd), 0) == 0);
	second = r.fd[1];
	npids = 0;
	memset(killed, 0, sizeof(killed));
	if (!readers)
		CHECK(K(write, (u64)r.fd[1], P(buf), sizeof(buf)) == sizeof(buf));
	for (i = 0; i < MAX_WRITERS + MAX_READERS; i++)
		CHECK((pids[npids++] = spawn(readers ? takes_one : puts_some, 0)) > 0);
	for (i = 0; i < n; i++)
		disturb(r.fd[0], true);
	K(sched_yield);
	CHECK(!K(fcntl, (u64)r.fd[0], F_SETFL, 0) && !K(fcntl, (u64)r.fd[1], F_SETFL, 0));
	/* One that was killed may have taken its token with it. */
	if (readers)
		CHECK(K(write, (u64)r.fd[1], P(buf), npids) == npids);
	else
		CHECK(K(read, (u64)r.fd[0], P(buf), sizeof(buf)) == sizeof(buf));
	all_end();
	CHECK(!K(close, (u64)r.fd[0]) && !K(close, (u64)r.fd[1]));
}

/* --- counters --------------------------------------------------------------------------------- */

#define ADDERS	2
#define ADDS	30

static struct {
	s32 fd;
	bool semaphore;
	u32 each;
	u64 value[ADDERS][ADDS];
	unsigned __int128 expect, taken;	/* the sum of all may be more than a counter holds */
} c;

static int adds(u64 me)
{
	for (u32 i = 0; i < c.each; i++) {
		long ret;

		while ((ret = K(write, (u64)c.fd, P(&c.value[me][i]), 8)) == -EAGAIN)
			waits_for(c.fd, POLLOUT);
		CHECK(ret == 8);
		maybe_yield();
	}
	return 0;
}

/* A semaphore @n times, a plain counter until all has come. */
static int takes(u64 n)
{
	u64 v;

	while (c.semaphore ? n-- : c.taken < c.expect) {
		u32 part = 1 + below(7);
		struct user_vec vec[2] = { { P(&v), part }, { P(&v) + part, 8 - part } };
		long ret;

		if (!below(4))
			waits_for(c.fd, POLLIN);
		while ((ret = K(readv, (u64)c.fd, P(vec), 2)) == -EAGAIN)
			waits_for(c.fd, POLLIN);
		CHECK(ret == 8);
		CHECK(v && (v == 1 || !c.semaphore));
		c.taken += v;
		maybe_yield();
	}
	return 0;
}

static void counter_round(void)
{
	u32 i, k, n = below(60), half;

	memset(&c, 0, sizeof(c));
	c.semaphore = below(2);
	c.each = below(ADDS);
	for (i = 0; i < ADDERS; i++)
		for (k = 0; k < c.each; k++) {
			c.value[i][k] = c.semaphore ? 1 : below(2) ? 1 + below(100) : 1 + rnd() / 2;
			c.expect += c.value[i][k];
		}
	c.fd = (s32)K(eventfd2, 0, (c.semaphore ? 1 : 0) | (below(4) ? 0 : O_NONBLOCK));
	CHECK(c.fd >= 0);
	second = c.fd;
	npids = 0;
	memset(killed, 0, sizeof(killed));
	for (i = 0; i < ADDERS; i++)
		CHECK((pids[npids++] = spawn(adds, i)) > 0);
	half = c.semaphore ? c.each / 2 : 0;
	CHECK((pids[npids++] = spawn(takes, ADDERS * c.each - half)) > 0);
	if (c.semaphore)
		CHECK((pids[npids++] = spawn(takes, half)) > 0);
	for (i = 0; i < n; i++)
		disturb(c.fd, false);
	all_end();
	CHECK(c.taken == c.expect);
	CHECK(!K(close, (u64)c.fd));
}

static u32 open_descriptors(void)
{
	u32 n = 0;

	for (u64 fd = 0; fd < 1024; fd++)
		n += host_syscall(__NR_fcntl, fd, F_GETFD, 0) >= 0;
	return n;
}

/* --- memory that is not there ----------------------------------------------------------------- */

/* Makes, fills, enlarges, waits and moves, all in one; the first thing that fails is its result. */
static long everything(void)
{
	struct {
		s32 fd;
		u16 events, revents;
	} p = { -1, POLLIN, 0 };
	static u8 buf[70000];
	s32 fd[2] = { -1, -1 }, e = -1;
	struct user_vec v[20] = { { P(buf), 1 } };
	long ret;

	(void)((ret = K(pipe2, P(fd), 0)) < 0 ||
	       (ret = K(fcntl, (u64)fd[1], F_SETFL, O_NONBLOCK)) < 0 ||
	       (ret = K(write, (u64)fd[1], P(buf), 65536)) < 0 ||
	       (ret = K(read, (u64)fd[0], P(buf), 5000)) < 0 ||
	       (ret = K(write, (u64)fd[1], P(buf), 5000)) < 0 ||
	       (ret = K(fcntl, (u64)fd[0], F_SETPIPE_SZ, 1 << 18)) < 0 ||
	       (ret = K(writev, (u64)fd[1], P(v), 20)) < 0 ||
	       (ret = K(eventfd2, 0, 0)) < 0);
	if (ret >= 0) {
		e = (s32)ret;
		p.fd = e;
		(void)((ret = K(poll, P(&p), 1, 1)) < 0 ||
		       (ret = fd_host(current_proc()->files, (u64)e)) < 0 ||
		       (ret = fd_host(current_proc()->files, (u64)fd[0])) < 0);
	}
	floor_fail_in = -1;
	if (e >= 0)
		K(close, (u64)e);
	if (fd[0] >= 0) {
		K(close, (u64)fd[0]);
		K(close, (u64)fd[1]);
	}
	return ret;
}

static void no_memory(void)
{
	long objects = live_objects, n, ret, failed = 0;
	u32 fds = open_descriptors();

	for (n = 0;; n++) {
		floor_fail_in = n;
		ret = everything();
		CHECK(ret >= 0 || ret == -ENOMEM);
		CHECK(live_objects == objects && !floor_pages() && open_descriptors() == fds);
		failed += ret < 0;
		if (ret >= 0 && n > 200)
			break;
	}
	CHECK(failed >= 20);
	printf("ok 2 - no memory from allocation N on, N up to %ld: %ld calls failed\n", n, failed);
}

/* --- the sandbox ------------------------------------------------------------------------------ */

static void all_rounds(void)
{
	long objects = 0;
	u32 fds = 0;

	for (round_no = 0; round_no < ROUNDS; round_no++) {
		switch (round_no % 4) {
		case 0: counter_round(); break;
		case 1: token_round(); break;
		default: bytes_round();
		}
		/* The first rounds leave what every process leaves once. */
		if (round_no == 20) {
			objects = live_objects;
			fds = open_descriptors();
		}
		CHECK(floor_pages() == 0 && live_segs == 0);
		CHECK(round_no < 20 || (live_objects == objects && open_descriptors() == fds));
	}
	CHECK(moves > ROUNDS / 20 && refused > ROUNDS / 40);
	printf("ok 1 - %u rounds, %u objects became the host's, %u could not at first\n", ROUNDS, moves,
	       refused);
}

void floor_user(struct thread *t)
{
	program fn = (program)t->frame->rbx;
	int ret = 0;

	if (fn) {
		ret = fn(t->frame->rbp);
	} else {
		all_rounds();
		no_memory();
	}
	K(exit, (u64)ret);
	abort();
}

static void __noreturn ended(int status)
{
	fflush(stdout);
	_exit(!!status);
}

int main(int argc, char **argv)
{
	seed0 = argc > 1 ? strtoul(argv[1], NULL, 0) : 1;
	seed = seed0;
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("TAP version 13\n1..2\n");
	floor_init();
	floor_boot.flags = RS_BOOT_DEBUG;
	floor_boot.nslots = NSLOTS;
	floor_boot.slots_gpa = P(slots);
	host_hook = host;
	floor_on_exit = ended;
	floor_run(NULL);
}
