/* SPDX-License-Identifier: MIT */
/*
 * fault.h - making a process's memory present
 */
#ifndef RS_MM_FAULT_H
#define RS_MM_FAULT_H

#include "vma.h"

#define FAULT_READ	0u
#define FAULT_WRITE	(1u << 0)
#define FAULT_EXEC	(1u << 1)
#define FAULT_CALL	(1u << 2)	/* with FAULT_WRITE: a call does it for the process (PTE_CALLS) */

enum fault_cause {
	FAULT_OK = 0,
	FAULT_NO_VMA,		/* nothing is mapped there */
	FAULT_NON_CANONICAL,	/* or the kernel's half */
	FAULT_GUARD,		/* in the guard below a stack */
	FAULT_STACK_LIMIT,	/* the stack may not grow that far */
	FAULT_READ_DENIED,
	FAULT_WRITE_DENIED,
	FAULT_EXEC_DENIED,
	FAULT_NO_MEMORY,	/* the arena is used up */
	FAULT_BEYOND_FILE,	/* file mapping beyond the end of the file, or I/O error */
	FAULT_OTHER,		/* not a memory access: see thread.fault.vector */
	/* why an exception could not be delivered to a process that takes it itself */
	FAULT_UPCALL_ADDRESS,	/* the upcall is at an address no process has */
	FAULT_UPCALL_ENTRY,	/* its first instruction traps */
	FAULT_UPCALL_OVERFLOW,	/* no room on the trap stack */
	FAULT_UPCALL_STACK_ADDRESS,	/* the trap stack is at an address no process has */
	FAULT_UPCALL_STACK,	/* it is not writable memory */
	/* the memory has a pager, which has not provided the page; RS_CAUSE_PAGER_* */
	FAULT_PAGER_ENDED,
	FAULT_PAGER_REFUSED,
	FAULT_PAGER_LIMIT,
	FAULT_PAGER,		/* mm_fault(): it has to be asked (proc/pager.h) */
	FAULT_ALARM = 32,	/* none: time is over (proc/alarm.h) */
};

/** fault_of_pager() - it says why a pager's page is not there */
static inline bool fault_of_pager(u64 cause)
{
	return cause >= FAULT_PAGER_ENDED && cause <= FAULT_PAGER_LIMIT;
}

/** fault_init() - boot, once the page allocator works */
void fault_init(void);

/** fault_cause_text() - in words, for reports */
const char *fault_cause_text(enum fault_cause c);

/**
 * mm_fault() - resolves an access to @addr, or says why it cannot be
 * @access: FAULT_READ, or FAULT_WRITE, FAULT_EXEC. On FAULT_OK the page is present with those
 * rights. Counts nothing by itself but zero_fills and cow_copies. No exit unless memory of a file
 * is read that is copied.
 */
enum fault_cause mm_fault(struct mm *mm, u64 addr, u32 access);

#endif
