// SPDX-License-Identifier: MIT
/*
 * futex.c - waiting for a word of memory to change
 *
 * A waiter is an entry in one of BUCKETS lists, under the key of its word: the address space and
 * the address for private memory, the guest physical address for shared anonymous memory (an
 * object's page, which stays where it is), the file and the place in it for a shared mapping of one.
 * Waiters outside of the sandbox are not found by any key: the host's futexes are not these. Between the look at
 * the word and the entry nothing else runs, so no wake-up can come in between.
 *
 * A waker takes the entry out and marks it; a waiter that finds itself in the list when it stops
 * sleeping was not woken, whatever else has happened.
 *
 * At the end of a thread: its robust list is walked, so that mutexes it holds are marked as their
 * owner's death, and the word of CLONE_CHILD_CLEARTID is cleared and woken.
 */
#include <linux/futex.h>
#include "futex.h"
#include "signal.h"
#include "syscall.h"
#include "../mm/pgtable.h"

#define BUCKETS	     256
#define ROBUST_LIMIT 2048 /* entries of a robust list, as Linux has it */
#define REALTIME     0
#define MONOTONIC    1

struct futex_key {
	u64 space; /* the mm; 1: guest physical addresses; a file: its device * 4 + 2 */
	u64 addr;  /* or the byte of the file */
	u64 ino;   /* of a file, otherwise 0 */
};

struct futex_waiter {
	struct list link; /* empty: woken */
	struct futex_key key;
	u32 bitset;
	struct thread *thread;
};

static struct list buckets[BUCKETS];

void futex_init(void)
{
	u32 i;

	for (i = 0; i < BUCKETS; i++)
		list_init(&buckets[i]);
}

static struct list *bucket(const struct futex_key *k)
{
	u64 h = (k->space ^ k->addr >> 2) * 0x9e3779b97f4a7c15ull;

	return &buckets[h >> 56];
}

static bool same(const struct futex_key *a, const struct futex_key *b)
{
	return a->space == b->space && a->addr == b->addr && a->ino == b->ino;
}

static long make_key(u64 addr, bool private, struct futex_key *k)
{
	struct mm *mm = current_mm();
	struct user_seg seg;
	struct vma *v;
	u64 done;
	int n;

	if (addr & 3)
		return -EINVAL;
	if (!user_range_ok(addr, 4))
		return -EFAULT;
	*k = (struct futex_key){ (u64)mm, addr, 0 };
	if (private)
		return 0;
	v = mm_find(mm, addr);
	if (!v)
		return -EFAULT;
	if (!(v->flags & VM_SHARED))
		return 0;
	if (v->file && v->file->ino) {
		*k = (struct futex_key){ v->file->dev << 2 | 2,
					 v->file->offset + v->file_off + (addr - v->start),
					 v->file->ino };
		return 0;
	}
	n = user_segs_get(addr, 4, false, &seg, 1, &done);
	if (n <= 0)
		return n ? n : -EFAULT;
	*k = (struct futex_key){ 1, seg.gpa, 0 };
	user_segs_put(&seg, n);
	return 0;
}

static void wake_one(struct futex_waiter *w)
{
	list_del(&w->link);
	list_init(&w->link);
	thread_wake(w->thread);
}

static long wake(const struct futex_key *k, u32 max, u32 bitset)
{
	struct list *b = bucket(k);
	struct futex_waiter *w, *next;
	u32 n = 0;

	list_for_each_safe(w, next, b, link) {
		if (n >= max)
			break;
		if (!same(&w->key, k) || !(w->bitset & bitset))
			continue;
		wake_one(w);
		n++;
	}
	return n;
}

static long futex_wake(u64 addr, bool private, u32 max, u32 bitset)
{
	struct futex_key k;
	long err = make_key(addr, private, &k);

	if (err)
		return err;
	return bitset ? wake(&k, max, bitset) : -EINVAL;
}

static long restart_wait(struct rs_frame *f);

static long futex_wait(u64 addr, bool private, u32 expected, u64 deadline, u32 bitset)
{
	struct futex_waiter w = { .bitset = bitset, .thread = current() };
	long err;
	u32 now;

	if (!bitset)
		return -EINVAL;
	err = make_key(addr, private, &w.key);
	if (!err && get_user_u32(&now, addr))
		err = -EFAULT;
	if (err)
		return err;
	if (now != expected)
		return -EAGAIN;
	current()->sched.woken = false;
	list_add_tail(bucket(&w.key), &w.link);
	while (!list_empty(&w.link) && !err)
		err = thread_sleep(deadline, SLEEP_SIGNALS);
	if (list_empty(&w.link))
		return 0;
	list_del(&w.link);
	if (err == -EINTR)
		return deadline == NO_DEADLINE ? -ERESTARTSYS :
						 restart_later(restart_wait, deadline, 0);
	return err;
}

/* A wait with a time limit goes on until that; its arguments are still in the frame. */
static long restart_wait(struct rs_frame *f)
{
	u32 op = (u32)ARG1(f);

	return futex_wait(ARG0(f), op & FUTEX_PRIVATE_FLAG, (u32)ARG2(f),
			  current()->sig->restart.deadline,
			  (op & 0x7f) == FUTEX_WAIT ? ~0u : (u32)ARG5(f));
}

static long futex_requeue(u64 addr, u64 addr2, bool private, u32 nwake, u32 nmove, bool compare,
			  u32 expected)
{
	struct futex_waiter *w, *next;
	struct futex_key k, k2;
	long err = make_key(addr, private, &k);
	u32 now, n = 0;
	long woken;

	if (!err)
		err = make_key(addr2, private, &k2);
	if (err)
		return err;
	if ((s32)nwake < 0 || (s32)nmove < 0)
		return -EINVAL;
	if (compare) {
		if (get_user_u32(&now, addr))
			return -EFAULT;
		if (now != expected)
			return -EAGAIN;
	}
	woken = wake(&k, nwake, ~0u);
	if (same(&k, &k2))
		return woken;
	list_for_each_safe(w, next, bucket(&k), link) {
		if (n >= nmove)
			break;
		if (!same(&w->key, &k))
			continue;
		list_del(&w->link);
		w->key = k2;
		list_add_tail(bucket(&k2), &w->link);
		n++;
	}
	return woken + n;
}

/* FUTEX_WAKE_OP: changes the second word, wakes at the first, and at the second if it was so. */
static long futex_wake_op(u64 addr, u64 addr2, bool private, u32 max, u32 max2, u32 op)
{
	u32 what = op >> 28 & 7, cmp = op >> 24 & 15, old, new;
	s32 oparg = (s32)(op << 8) >> 20, cmparg = (s32)(op << 20) >> 20;
	struct futex_key k, k2;
	long err = make_key(addr, private, &k), n;
	bool yes;

	if (!err)
		err = make_key(addr2, private, &k2);
	if (err)
		return err;
	if (op >> 28 & FUTEX_OP_OPARG_SHIFT)
		oparg = 1 << (oparg & 31);
	if (get_user_u32(&old, addr2))
		return -EFAULT;
	switch (what) {
	case FUTEX_OP_SET: new = (u32)oparg; break;
	case FUTEX_OP_ADD: new = old + (u32)oparg; break;
	case FUTEX_OP_OR: new = old | (u32)oparg; break;
	case FUTEX_OP_ANDN: new = old & ~(u32)oparg; break;
	case FUTEX_OP_XOR: new = old ^ (u32)oparg; break;
	default: return -ENOSYS;
	}
	if (put_user_u32(addr2, new))
		return -EFAULT;
	switch (cmp) {
	case FUTEX_OP_CMP_EQ: yes = (s32)old == cmparg; break;
	case FUTEX_OP_CMP_NE: yes = (s32)old != cmparg; break;
	case FUTEX_OP_CMP_LT: yes = (s32)old < cmparg; break;
	case FUTEX_OP_CMP_LE: yes = (s32)old <= cmparg; break;
	case FUTEX_OP_CMP_GT: yes = (s32)old > cmparg; break;
	case FUTEX_OP_CMP_GE: yes = (s32)old >= cmparg; break;
	default: return -ENOSYS;
	}
	n = wake(&k, max, ~0u);
	return yes ? n + wake(&k2, max2, ~0u) : n;
}

long sys_futex(struct rs_frame *f)
{
	u32 op = (u32)ARG1(f), cmd = op & 0x7f, val = (u32)ARG2(f);
	bool private = op & FUTEX_PRIVATE_FLAG;
	u64 addr = ARG0(f), deadline = NO_DEADLINE;
	long err;

	switch (cmd) {
	case FUTEX_WAIT:
	case FUTEX_WAIT_BITSET:
		if (ARG3(f)) {
			err = deadline_in(ARG3(f), cmd == FUTEX_WAIT_BITSET,
					  op & FUTEX_CLOCK_REALTIME ? REALTIME : MONOTONIC,
					  &deadline);
			if (err)
				return err;
		}
		return futex_wait(addr, private, val, deadline,
				  cmd == FUTEX_WAIT ? ~0u : (u32)ARG5(f));
	case FUTEX_WAKE: return futex_wake(addr, private, val, ~0u);
	case FUTEX_WAKE_BITSET: return futex_wake(addr, private, val, (u32)ARG5(f));
	case FUTEX_REQUEUE:
	case FUTEX_CMP_REQUEUE:
		return futex_requeue(addr, ARG4(f), private, val, (u32)ARG3(f),
				     cmd == FUTEX_CMP_REQUEUE, (u32)ARG5(f));
	case FUTEX_WAKE_OP:
		return futex_wake_op(addr, ARG4(f), private, val, (u32)ARG3(f), (u32)ARG5(f));
	}
	return -ENOSYS;
}

/* --- the end of a thread ---------------------------------------------------------------------- */

/* A word that the dead thread owned: FUTEX_OWNER_DIED, and one waiter has to see it. */
static void owner_died(u64 addr, u32 tid)
{
	u32 v;

	if (addr & 3 || get_user_u32(&v, addr) || (v & FUTEX_TID_MASK) != tid)
		return;
	if (put_user_u32(addr, (v & FUTEX_WAITERS) | FUTEX_OWNER_DIED))
		return;
	if (v & FUTEX_WAITERS)
		futex_wake(addr, false, 1, ~0u);
	/* Private and shared waiters have different keys when the memory is shared. */
	if (v & FUTEX_WAITERS)
		futex_wake(addr, true, 1, ~0u);
}

static void robust_list(struct thread *t)
{
	u64 head = t->robust_list, at, offset, busy;
	u32 n;

	if (!head || get_user_u64(&at, head) || get_user_u64(&offset, head + 8) ||
	    get_user_u64(&busy, head + 16))
		return;
	/* The low bit marks mutexes with priority inheritance, which there are none of. */
	for (n = 0; n < ROBUST_LIMIT && (at & ~1ull) != head; n++) {
		u64 next;

		if (get_user_u64(&next, at & ~1ull))
			break;
		if ((at & ~1ull) != (busy & ~1ull))
			owner_died((at & ~1ull) + offset, t->tid);
		at = next;
	}
	if (busy & ~1ull)
		owner_died((busy & ~1ull) + offset, t->tid);
}

void futex_thread_exit(struct thread *t)
{
	robust_list(t);
	t->robust_list = 0;
	if (!t->clear_child_tid)
		return;
	/* Nobody is left to look when it is the last user of the memory. */
	if (t->proc->mm->refs > 1 || t->proc->nthreads > 1) {
		t->no_memory = false;
		/* Who waits for that word would wait for ever. */
		if (put_user_u32(t->clear_child_tid, 0) && t->no_memory)
			signal_no_memory(t->clear_child_tid);
		futex_wake(t->clear_child_tid, false, 1, ~0u);
		futex_wake(t->clear_child_tid, true, 1, ~0u);
	}
	t->clear_child_tid = 0;
}
