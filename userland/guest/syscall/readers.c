// SPDX-License-Identifier: MIT
/*
 * readers.c - system calls that are answered without the kernel's lock
 *
 * With several CPUs a call takes the lock, of which there is one (proc/sched.h). These do not: they
 * tell a number of the caller, of nobody, or of a process that is looked up by its number. The last
 * kind are readers as in sync/rcu.h: the process stays memory as long as they look, and may be dead
 * or reaped by the time the caller has the answer, as after any answer about somebody else.
 *
 * They may neither sleep, nor touch the caller's memory, nor ask the host. What is not as simple as
 * that (a signal that is sent, the number of a thread that is not its process's) has the lock taken
 * after all.
 */
#include <asm/unistd.h>
#include "readers.h"

#define BIT_OF(nr, word)	((nr) / 64 == (word) ? 1ull << (nr) % 64 : 0)
#define WORD(w)									\
	(BIT_OF(__NR_gettid, w) | BIT_OF(__NR_getpgrp, w) | BIT_OF(__NR_getpgid, w) |	\
	 BIT_OF(__NR_getsid, w) | BIT_OF(__NR_kill, w) |				\
	 BIT_OF(__NR_sched_get_priority_max, w) | BIT_OF(__NR_sched_get_priority_min, w))

const u64 rs_reader_calls[READER_CALLS / 64] = { WORD(0), WORD(1), WORD(2) };
_Static_assert(__NR_gettid < READER_CALLS && __NR_sched_get_priority_min < READER_CALLS,
	       "the others are lower");

/* A zombie is found, too. Of a process the sandbox does not have, nothing is known. */
static long of_process(int pid, size_t field)
{
	const struct process *p = pid ? process_find_reader((u32)pid) : current_proc();

	return p ? (long)READ_ONCE(*(const u32 *)((const char *)p + field)) : -ESRCH;
}

long syscall_reader(struct rs_frame *f, u32 nr)
{
	int pid = (int)ARG0(f);

	switch (nr) {
	case __NR_getpgid:
		return of_process(pid, offsetof(struct process, pgid));
	case __NR_getsid:
		return of_process(pid, offsetof(struct process, sid));
	case __NR_kill:
		/* Is it there? If not, a thread of another process may have the number. */
		return pid > 0 && !(int)ARG1(f) && process_find_reader((u32)pid) ? 0 : NEEDS_LOCK;
	case __NR_gettid:
		return sys_gettid(f);
	case __NR_getpgrp:
		return sys_getpgrp(f);
	case __NR_sched_get_priority_max:
		return sys_sched_get_priority_max(f);
	case __NR_sched_get_priority_min:
		return sys_sched_get_priority_min(f);
	}
	return NEEDS_LOCK;
}
