/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * internal.h - what the files of mmu/ share and nobody else uses
 */
#ifndef RS_MMU_INTERNAL_H
#define RS_MMU_INTERNAL_H

#include "mmu.h"

/**
 * struct rs_host_page - what Linux has mapped at an address, seen once
 * @page: referenced; NULL for a page that Linux maps without counting (VM_PFNMAP)
 * @write: Linux's entry is writable now, so that writing needs no copy
 */
struct rs_host_page {
	struct page *page;
	u64 pa;
	bool write;
};

/* host.c */
int rs_host_lookup(struct mm_struct *mm, u64 hva, bool write, bool exec, bool try_write,
		   struct rs_host_page *hp);
void rs_host_put(struct rs_host_page *hp, bool dirtied);
int rs_host_may_exec(struct mm_struct *mm, u64 hva);
int rs_host_level(struct mm_struct *mm, u64 hva);

/* mmu.c */
int rs_mmu_setup(struct rs_mmu *mmu, const struct rs_pte_format *fmt, int levels, u8 gpa_bits,
		 const struct rs_mmu_ops *ops);
void rs_mmu_leaf_dropped(struct rs_pgtable *pt, rs_npte_t old, int level);
bool rs_mmu_region_copy(struct rs_mmu *mmu, u64 gpa, struct rs_mmu_region *copy);

/* access.c */
void rs_mmu_access_wait(struct rs_mmu *mmu);

/* notifier.c; all under mmu->lock */
void rs_mmu_hva_link(struct rs_mmu *mmu, struct rs_mmu_region *r);
void rs_mmu_hva_unlink(struct rs_mmu *mmu, struct rs_mmu_region *r);
extern const struct mmu_notifier_ops rs_mmu_notifier_ops;
void rs_mmu_flush_locked(struct rs_mmu *mmu);
bool rs_mmu_range_busy(const struct rs_mmu *mmu, u64 hva);

#endif /* RS_MMU_INTERNAL_H */
