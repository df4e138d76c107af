/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * pte_format.h - what differs between EPT and NPT entries, as data
 *
 * One walker (pgtable.c) serves both vendors. An entry has a physical address in bits 12..51, and the bits named here.
 * `rs_npte_t` is bitwise for sparse: only the accessors below look inside.
 */
#ifndef RS_PTE_FORMAT_H
#define RS_PTE_FORMAT_H

#include <linux/types.h>

typedef u64 __bitwise rs_npte_t;

#define RS_NPTE_ADDR_MASK	GENMASK_ULL(51, 12)

/**
 * struct rs_pte_format - one nested-entry format
 * @present:	any of these bits set: the entry is present (EPT: R|W|X; NPT: P)
 * @table:	bits of an entry that points to a lower table
 * @leaf:	bits of every leaf (EPT: memory type WB, ignore-PAT; NPT: P, U)
 * @read, @write, @exec: bits that grant a right (0 where it is implied)
 * @noexec:	bits set where execution is denied (NPT: NX; EPT: 0)
 * @huge:	page-size bit of a leaf above level 1
 * @accessed, @dirty: 0 where the hardware does not set them
 * @sme:	memory-encryption bit that goes into every entry
 */
struct rs_pte_format {
	const char *name;
	u64 present;
	u64 table;
	u64 leaf;
	u64 read;
	u64 write;
	u64 exec;
	u64 noexec;
	u64 huge;
	u64 accessed;
	u64 dirty;
	u64 sme;
};

#endif /* RS_PTE_FORMAT_H */
