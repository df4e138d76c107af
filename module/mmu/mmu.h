/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * mmu.h - the nested page table of one VM, and how it follows the process's address space
 *
 *	rs_mmu_fault()		GPA -> region -> HVA -> get_user_pages_fast -> nested entry, under
 *				the sequence protocol
 *	notifier.c		Linux changes the mm -> entries are zapped, flush_gen advances,
 *				vCPUs in the guest are kicked
 *	rs_mmu_flush_pending()	a vCPU about to enter compares its generation and flushes
 *
 *	access.c		the module's own reads and writes of guest memory, for devices
 *
 * Locks: region changes take regions_lock (mutex, outermost of the three); mmu->lock protects the
 * table, the invalidation count and the sequence and is a leaf of the notifier. flush_gen is
 * written under mmu->lock, read without it (pairs: see rs_mmu_flush_pending).
 */
#ifndef RS_MMU_H
#define RS_MMU_H

#include <linux/atomic.h>
#include <linux/mmu_notifier.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/rbtree.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <uapi/ringside.h>
#include "pgtable.h"

struct rs_mmu;

/** struct rs_mmu_ops - what the mmu needs from its VM */
struct rs_mmu_ops {
	/*
	 * Make every vCPU that may run with the old table leave the guest (an IPI to those in the
	 * guest, waiting for it), so that no stale translation is used after the return. Called
	 * with mmu->lock held, flush_gen already advanced; must not sleep.
	 */
	void (*kick_all)(struct rs_mmu *mmu);
	/*
	 * For who wants to see it; may be NULL. Linux changes [start, end) of the mm, regions are
	 * there, @zapped entries were removed and vCPUs were told (@flush). mmu->lock held.
	 */
	void (*invalidated)(struct rs_mmu *mmu, u64 start, u64 end, u64 zapped, bool flush);
};

struct rs_mmu_region {
	struct rb_node gpa_node;
	u64 gpa, size, hva;
	u32 flags;			/* RS_REGION_* */
	struct rb_node hva_node;
	u64 hva_last_below;		/* the highest last byte at and below hva_node in its tree */
};

/*
 * Exact, read any time. Names and meanings as in struct rs_stats. What faults did, the vCPU counts
 * from struct rs_fault.
 */
struct rs_mmu_stats {
	atomic64_t inval, inval_zapped, flush_requests;
};

struct rs_mmu {
	/* mmgrab()bed while the notifier is registered, NULL otherwise */
	struct mm_struct *mm;
	const struct rs_mmu_ops *ops;
	u8 gpa_bits;
	struct mmu_notifier mn;
	/* only what the process may execute is executable; set before the first fault */
	bool exec_rights;
	/* lock: the mm is gone, nothing may be mapped any more */
	bool dead;

	struct mutex regions_lock;		/* regions are changed */
	spinlock_t lock;
	struct rb_root regions;			/* by gpa; changed under regions_lock and lock */
	struct rb_root_cached regions_by_hva;	/* the same, by what they show; not MMIO regions */
	unsigned int nr_regions;		/* regions_lock */
	/* read: a round of accesses goes on (access.c), with mmap_lock taken inside; else none can */
	struct rw_semaphore access_sem;
	struct rs_pgtable pt;			/* lock */
	unsigned int inval_count;		/* lock: open range_start .. range_end pairs */
	/* lock: HVAs that hold all ranges open now; valid while inval_count */
	u64 inval_start, inval_end;
	/* lock: advanced at each range_end and by region removal */
	unsigned long inval_seq;
	/* faults sleep here while their address is being invalidated */
	wait_queue_head_t inval_wait;
	/* advanced under lock whenever a stale translation may exist */
	atomic64_t flush_gen;
	struct rs_mmu_stats stats;
};

/** struct rs_fault - a nested fault, passed around as a value */
struct rs_fault {
	/* in */
	u64 gpa;
	u32 access;		/* RS_FAULT_READ/WRITE/FETCH/WALK */
	/* out */
	const char *what;	/* why it failed, for the tracepoint */
	u64 hva;
	int level;		/* entry written: 1: 4 KiB, 2: 2 MiB, 0: none, it was there */
	bool retried;		/* Linux was changing the range */
	bool mmio;		/* the region is RS_REGION_MMIO */
	bool no_region;
	bool no_exec;		/* it is there, but may not be executed */
};

int rs_mmu_init(struct rs_mmu *mmu, struct mm_struct *mm, const struct rs_pte_format *fmt,
		int levels, u8 gpa_bits, const struct rs_mmu_ops *ops);
/*
 * The notifier is unregistered and every table freed. No vCPU runs. May sleep. Accepts what
 * rs_mmu_init left on failure.
 */
void rs_mmu_destroy(struct rs_mmu *mmu);

/*
 * The rules and errors of RS_ADD_REGION and RS_REMOVE_REGION, reserved fields and flags included.
 * May sleep; own locking.
 */
int rs_mmu_add_region(struct rs_mmu *mmu, const struct rs_region *r);
int rs_mmu_remove_region(struct rs_mmu *mmu, const struct rs_region *r);

/*
 * Resolve a nested fault. Process context of the owning mm, may sleep. 0: mapped, or already there,
 * enter again. -EINTR: fatal signal or pending signal while waiting. -EFAULT: cannot be resolved
 * (fault->no_region, mmio, no_exec say more). -ENOMEM. -EIO: mm gone.
 */
int rs_mmu_fault(struct rs_mmu *mmu, struct rs_fault *fault);

/** struct rs_mmu_usage - how large it is: bytes of all regions, nested entries by size, pages of tables */
struct rs_mmu_usage {
	u64 memory;
	u64 leaves_4k, leaves_2m;
	u64 tables;
};

void rs_mmu_usage(struct rs_mmu *mmu, struct rs_mmu_usage *usage);	/* own locking, may sleep */

/** struct rs_mmu_access - a round of the module's own accesses; the region of the last one */
struct rs_mmu_access {
	struct rs_mmu *mmu;
	u64 gpa, end, hva;
	u32 flags;
};

/* access.c */
int rs_mmu_access_begin(struct rs_mmu_access *a, struct rs_mmu *mmu);
void rs_mmu_access_end(struct rs_mmu_access *a);
int rs_mmu_access_at(struct rs_mmu_access *a, u64 gpa, bool write, void __user **at, u64 *left);
int rs_mmu_read(struct rs_mmu_access *a, u64 gpa, void *buf, u64 len);
int rs_mmu_write(struct rs_mmu_access *a, u64 gpa, const void *buf, u64 len);
s64 rs_mmu_or32(struct rs_mmu_access *a, u64 gpa, u32 bits);

/*
 * Is all of [@gpa, @gpa + @size) without memory, in one RS_REGION_MMIO region? May sleep.
 */
bool rs_mmu_is_mmio(struct rs_mmu *mmu, u64 gpa, u64 size);

static inline u64 rs_mmu_root_pa(const struct rs_mmu *mmu)
{
	return page_to_phys(mmu->pt.root);
}

/*
 * Called with interrupts off after vcpu->in_guest was set and a full barrier: pairs with the zap,
 * which advances flush_gen and then looks at in_guest. Either the vCPU sees the new generation and
 * flushes, or the zapper sees in_guest and kicks.
 */
static inline bool rs_mmu_flush_pending(struct rs_mmu *mmu, u64 *seen)
{
	u64 gen = atomic64_read(&mmu->flush_gen);

	if (likely(gen == *seen))
		return false;
	*seen = gen;
	return true;
}

#endif /* RS_MMU_H */
