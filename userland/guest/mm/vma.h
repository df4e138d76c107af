/* SPDX-License-Identifier: MIT */
/*
 * vma.h - the address space of a process: what is where, and with which rights
 *
 * A struct mm is a sorted set of VMAs that do not overlap, and a page table that holds what has
 * been touched. The VMAs are the truth, the page table is a cache of it that faults fill
 * (mm/fault.c). Neighbours that are alike are merged.
 *
 * The functions below are Linux's calls with Linux's error codes, on addresses the caller takes
 * straight from ring 3: everything is checked here. They work on any struct mm, but the TLB is
 * flushed for the current one only (F1 has one). Context: kernel, mm->lock not held; they may call
 * the host (file mappings) but do not sleep otherwise.
 *
 * Readers without the kernel's lock (sync/rcu.h) may look a VMA up, and read its start, end and
 * flags. Whoever changes these, or the place of a VMA in the tree, does so between
 * mm_change_begin() and mm_change_end(); a reader that finds mm->seq changed has seen nothing:
 *
 *	seq = mm_read_begin(mm);
 *	v = mm_find_reader(mm, addr);
 *	... READ_ONCE(v->flags) ...
 *	if (!mm_read_valid(mm, seq))
 *		as if there had been no answer;
 *
 * A VMA that is taken out is freed after a grace period, so what a reader follows always is a VMA or
 * has been one. Changes are made in steps (cut, change, join), each complete in itself: between two of
 * them a reader may miss a VMA that is there, but never sees rights that the address has not had since
 * the reader began.
 */
#ifndef RS_MM_VMA_H
#define RS_MM_VMA_H

#include "../lib/types.h"
#include "../lib/avl.h"
#include "../lib/list.h"
#include "../lib/refstr.h"
#include "../host/host.h"
#include "../sync/rcu.h"
#include "../sync/spinlock.h"
#include "pgtable.h"
#include "shm.h"
#include "window.h"

#define VM_READ		(1u << 0)	/* equal to PROT_* */
#define VM_WRITE	(1u << 1)
#define VM_EXEC		(1u << 2)
#define VM_PROT		(VM_READ | VM_WRITE | VM_EXEC)
#define VM_SHARED	(1u << 3)
#define VM_MAYWRITE	(1u << 4)	/* mprotect may add PROT_WRITE */
#define VM_GROWSDOWN	(1u << 5)	/* the stack */
#define VM_FIXED_KERNEL	(1u << 6)	/* the kernel's own (vDSO): no munmap, mprotect, mremap */
#define VM_NORESERVE	(1u << 7)
#define VM_BRK		(1u << 8)	/* the heap that brk moves */
#define VM_DONTFORK	(1u << 9)	/* children do not have it */
#define VM_WIPEONFORK	(1u << 10)	/* children have zeros there */
#define VM_PAGER	(1u << 11)	/* not shared; @shm is a pager's (mm/transfer.h) */

/**
 * struct vma - [start, end), all alike
 * @file: NULL for anonymous memory; one reference. Page @start maps @file->gpa + @file_off
 * @shm: the pages of shared anonymous memory, NULL before it is touched or forked; one reference.
 * Page @start maps the page at byte @file_off. With VM_PAGER: who provides missing pages
 */
struct vma {
	/* key = start; own = free bytes between the previous VMA and this one */
	struct avl_node node;
	union {
		struct list list;	/* mm->vma_list, sorted */
		struct rcu_head rcu;	/* it is out of all that */
	};
	u64 start, end;
	u32 flags;		/* VM_* */
	u32 reserved;
	struct file_map *file;
	struct shm *shm;
	u64 file_off;		/* bytes into file or shm, multiple of the page size */
	struct vma *copy;	/* in the child, during mm_fork() only */
};

/** struct mm - an address space */
struct mm {
	struct spinlock lock;
	u32 refs;
	struct pgtable pt;
	struct avl_tree tree;
	struct list vma_list;
	struct vma *cache;		/* where the last fault was; NULL or valid */
	u32 seq;			/* odd: a VMA is being changed (mm_find_reader()) */
	u64 mmap_base;			/* free space is looked for below this, downwards */
	u64 brk_start, brk;
	u64 stack_top;
	u64 total;			/* bytes in VMAs */
	/* RLIMIT_*, bytes; ~0 unlimited. The owner of prlimit writes them. */
	u64 limit_as, limit_stack, limit_data;
	u64 arg_start, arg_end, env_start, env_end;
	u64 vdso;			/* address, 0 without */
	bool barriers;			/* MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED; a copy has it too */
	bool fork_marks;		/* VM_DONTFORK or VM_WIPEONFORK has been set somewhere */
};

/** mm_create() - an empty address space with one reference; NULL without memory */
struct mm *mm_create(void);
/**
 * mm_fork() - a copy of @parent, which is the current address space: private memory copy-on-write,
 * shared memory shared. One reference; NULL without memory, then nothing has changed. Its cost
 * depends on the number of VMAs, not of pages.
 */
struct mm *mm_fork(struct mm *parent);
/**
 * mm_fork_begin(), mm_fork_keep(), mm_fork_failed() - the page at @addr, which the host is writing
 * into for @parent (user_segs_get()), stays @parent's without a copy; @child gets one of what it has
 * now. begin comes before mm_fork(), keep after it; failed when there is no child then or it has been
 * dropped, but only for what begin was asked about and agreed to. For addresses where nothing of the kind goes on they do no harm. False
 * without memory: then there shall be no child.
 */
bool mm_fork_begin(struct mm *parent, u64 addr);
bool mm_fork_keep(struct mm *parent, struct mm *child, u64 addr);
void mm_fork_failed(struct mm *parent, u64 addr);
/**
 * mm_put() - drops a reference; the last one frees everything. Not on the CPU whose CR3 it is in.
 */
void mm_put(struct mm *mm);
/** mm_activate() - loads CR3; NULL: the boot table, without a lower half */
void mm_activate(struct mm *mm);

/** current_mm() - the address space this CPU is in; NULL before the first */
static inline struct mm *current_mm(void)
{
	return this_cpu()->mm;
}

/**
 * struct mmap_req - arguments of mmap
 * @host_fd: host descriptor, -1 with MAP_ANONYMOUS. @name: shown in reports, may be NULL; the VMA
 * takes its own reference
 */
struct mmap_req {
	u64 addr, len;
	u32 prot, flags;	/* PROT_*, MAP_* of Linux */
	int host_fd;
	u64 offset;
	struct refstr *name;
};

/**
 * mm_mmap() - the address, or -EINVAL -ENOMEM -EPERM -EEXIST -EACCES -EOPNOTSUPP -EOVERFLOW, or
 * what the host's mmap answers
 */
long mm_mmap(struct mm *mm, const struct mmap_req *req);
/** mm_munmap() - 0 also when nothing is there; -EINVAL, -ENOMEM */
long mm_munmap(struct mm *mm, u64 addr, u64 len);
/** prot_refused() - writable and executable at once: -EACCES unless RS_BOOT_WX allows it */
bool prot_refused(u32 prot);
/**
 * mm_mprotect() - -EINVAL, -ENOMEM (hole; what lies before it is changed), -EACCES (file not
 * writable, or writable and executable)
 */
long mm_mprotect(struct mm *mm, u64 addr, u64 len, u32 prot);
/**
 * mm_mremap() - new address or -EINVAL -EFAULT -ENOMEM
 * A file that the host maps no more of without a descriptor (file_map_extend()) does not grow:
 * -ENOMEM.
 */
long mm_mremap(struct mm *mm, u64 old, u64 old_len, u64 new_len, u32 flags, u64 new_addr);
/**
 * mm_brk() - moves the break to @addr if possible; returns the break (never an error), as the
 * system call does
 */
long mm_brk(struct mm *mm, u64 addr);
/**
 * mm_madvise() - DONTNEED and FREE drop pages, POPULATE_* fault them in, *FORK says what children
 * have, hints are accepted; -EINVAL -ENOMEM
 */
long mm_madvise(struct mm *mm, u64 addr, u64 len, int advice);
/** mm_msync() - writes dirty pages of shared file mappings to the file; @flags MS_* */
long mm_msync(struct mm *mm, u64 addr, u64 len, u32 flags);
/**
 * mm_mincore() - one byte per page to @vec (kernel memory): bit 0 = present. @pages of them at
 * most. -ENOMEM for holes
 */
long mm_mincore(struct mm *mm, u64 addr, u64 pages, u8 *vec);

/**
 * mm_lock() - makes [addr, addr + len) present, as mlock does: nothing here is ever swapped out.
 * -ENOMEM: holes, memory that may not be accessed, or none left
 */
long mm_lock(struct mm *mm, u64 addr, u64 len);

/** mm_find() - the VMA that holds @addr, or NULL; valid until the address space changes */
struct vma *mm_find(struct mm *mm, u64 addr);
/** mm_change_begin(), mm_change_end() - around a change that readers without the lock must not see half */
static inline void mm_change_begin(struct mm *mm)
{
	__atomic_store_n(&mm->seq, mm->seq + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
}

static inline void mm_change_end(struct mm *mm)
{
	__atomic_store_n(&mm->seq, mm->seq + 1, __ATOMIC_RELEASE);
}

/** mm_read_begin() - for mm_read_valid(): nothing has changed since, nor was it changing then */
static always_inline u32 mm_read_begin(const struct mm *mm)
{
	return __atomic_load_n(&mm->seq, __ATOMIC_ACQUIRE) & ~1u;
}

static always_inline bool mm_read_valid(const struct mm *mm, u32 seq)
{
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return mm->seq == seq;
}

/** mm_find_reader() - mm_find() by a reader; leaves mm->cache, which is the lock's, as it is */
const struct vma *mm_find_reader(const struct mm *mm, u64 addr);
/** mm_find_from() - the first VMA that ends above @addr, or NULL */
struct vma *mm_find_from(struct mm *mm, u64 addr);
/** mm_maps() - text of /proc/self/maps into @t */
void mm_maps(struct mm *mm, struct textbuf *t);
/** mm_check() - panics unless all invariants hold (tests, debug) */
void mm_check(struct mm *mm);

#endif
