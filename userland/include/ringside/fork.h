/* SPDX-License-Identifier: MIT */
/*
 * ringside/fork.h - children made by hand, and a fork that is made of that
 *
 * A child begins as a process without memory that does not run; its maker maps what it shall have,
 * and starts it (ringside_app.h, RS_SYS_EXOFORK). rs_user_fork() is fork(2) written with these
 * calls, for programs that want another fork than the kernel's: one that leaves something out, or
 * tells them which pages are written. It is also the example of how to do so.
 *
 * Outside the ring everything here answers -ENOSYS. Results are 0 or more, or a negative errno.
 */
#ifndef RINGSIDE_FORK_H
#define RINGSIDE_FORK_H

#include <errno.h>
#include <ringside/app.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * rs_exofork() - RS_SYS_EXOFORK: the number of an unstarted child; 0 in the child, with the
 * registers of this moment Inline, since the child's stack is what the maker gives to it later: a
 * function that has returned by then is not on it any more. The same holds for the function that
 * this is called in: what the child needs of its variables is not to change before its stack is
 * given.
 */
static inline __attribute__((always_inline)) long rs_exofork(unsigned int flags)
{
	long ret;

	if (!(rs_app_features() & RS_APP_PROCESSES))
		return -ENOSYS;
	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "0"((long)RS_SYS_EXOFORK), "D"((long)flags)
			 : "rcx", "r11", "memory");
	return ret;
}

/**
 * rs_child_pages() - RS_SYS_CHILD_PAGES: how many of the @n operations on @pid's memory have been
 * done
 */
long rs_child_pages(long pid, struct rs_page_op *ops, size_t n);
/** rs_child_run() - @pid starts; from here on it is a child as any */
int rs_child_run(long pid);
/** rs_child_gone() - @pid has never been */
int rs_child_gone(long pid);
/** rs_mappings() - RS_SYS_MAPPINGS: own mappings from @addr on to @maps; how many, at most @n */
long rs_mappings(const void *addr, struct rs_mapping *maps, size_t n);

/**
 * rs_user_fork() - as fork(2): the child's number, 0 in the child, or a negative errno, then
 * nothing has changed
 *
 * Private memory that may be written is closed in both, with a mark of the library's in each page's
 * entry (RS_PAGE_MARK(3)), and copied when one of the two writes, by the library's handler of page
 * faults. What calls write into is copied by the guest kernel. Shared mappings stay shared. Pages
 * that the program has closed itself stay as they are. A handler for page faults that the program
 * has or sets goes on to get what is not the library's.
 *
 * Each thread that writes afterwards needs a trap stack (rs_trap_stack()) of RS_USER_FORK_STACK
 * bytes above what the program's own handlers use; the caller gets one if it has none. Handlers of
 * pthread_atfork() are not called.
 *
 * -EBUSY: there are other threads, or the memory is another process's as well (vfork); -ENOMEM;
 * -EAGAIN; -EINVAL: the trap stack is too small.
 */
long rs_user_fork(void);
#define RS_USER_FORK_STACK	(16u << 10)

/**
 * rs_user_fork_end() - all pages may be written again, and the guest kernel copies them: for
 * threads without trap stacks. -ENOMEM
 */
int rs_user_fork_end(void);

#ifdef __cplusplus
}
#endif

#endif /* RINGSIDE_FORK_H */
