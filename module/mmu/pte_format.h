/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * pte_format.h - what differs between EPT and NPT entries, as data
 *
 * One walker (pgtable.c) serves both vendors. An entry has a physical address in bits 12..51, and
 * the bits named here. `rs_npte_t` is bitwise for sparse: only the accessors below look inside.
 */
#ifndef RS_PTE_FORMAT_H
#define RS_PTE_FORMAT_H

#include <linux/bits.h>
#include <linux/types.h>

typedef u64 __bitwise rs_npte_t;

#define RS_NPTE_ADDR_MASK	GENMASK_ULL(51, 12)

/*
 * Bit 11 is ignored by both vendors' hardware in present entries. Set in a leaf whose page Linux
 * maps without counting references (VM_PFNMAP): such a page takes no dirty or accessed feedback.
 */
#define RS_NPTE_SPECIAL		BIT_ULL(11)

#define RS_NPT_INDEX_BITS	9
#define RS_NPT_ENTRIES		(1u << RS_NPT_INDEX_BITS)
#define RS_NPT_MAX_LEVELS	5

/**
 * struct rs_pte_format - one nested-entry format
 * @present:	any of these bits set: the entry is present (EPT: R|W|X; NPT: P)
 * @table:	bits of an entry that points to a lower table
 * @leaf:	bits of every leaf (EPT: memory type WB, ignore-PAT; NPT: P, U)
 * @read, @write, @exec: bits that grant a right (0 where it is implied)
 * @noexec:	bits set where execution is denied (NPT: NX; EPT: 0)
 * @huge:	page-size bit of a leaf above level 1; 0 where the CPU has no 2 MiB leaves, then
 *		none is made
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

static inline u64 rs_npte_val(rs_npte_t e)
{
	return (__force u64)e;
}

static inline rs_npte_t rs_npte(u64 val)
{
	return (__force rs_npte_t)val;
}

/* How much an entry of a table of @level maps, as a shift: 12 at level 1, 21 at level 2, ... */
static inline unsigned int rs_npt_shift(int level)
{
	return 12 + RS_NPT_INDEX_BITS * (level - 1);
}

static inline u64 rs_npt_size(int level)
{
	return 1ull << rs_npt_shift(level);
}

static inline unsigned int rs_npt_index(u64 gpa, int level)
{
	return (gpa >> rs_npt_shift(level)) & (RS_NPT_ENTRIES - 1);
}

static inline bool rs_npte_present(const struct rs_pte_format *f, rs_npte_t e)
{
	return rs_npte_val(e) & f->present;
}

/*
 * Of a present entry. The page-size bit means something else at level 1, so the level is asked
 * first.
 */
static inline bool rs_npte_is_leaf(const struct rs_pte_format *f, rs_npte_t e, int level)
{
	return level == 1 || (rs_npte_val(e) & f->huge);
}

/* Of a present leaf: a format without a write bit does not exist, so no special case. */
static inline bool rs_npte_writable(const struct rs_pte_format *f, rs_npte_t e)
{
	return rs_npte_val(e) & f->write;
}

static inline bool rs_npte_executable(const struct rs_pte_format *f, rs_npte_t e)
{
	return f->exec ? rs_npte_val(e) & f->exec : !(rs_npte_val(e) & f->noexec);
}

static inline u64 rs_npte_pa(const struct rs_pte_format *f, rs_npte_t e)
{
	return rs_npte_val(e) & RS_NPTE_ADDR_MASK & ~f->sme;
}

static inline rs_npte_t rs_npte_make_table(const struct rs_pte_format *f, u64 pa)
{
	return rs_npte(pa | f->table | f->sme);
}

/* A readable, executable leaf. */
static inline rs_npte_t rs_npte_make_leaf(const struct rs_pte_format *f, u64 pa, int level,
					  bool write)
{
	u64 v = pa | f->leaf | f->read | f->exec | f->sme;

	if (write)
		v |= f->write;
	if (level > 1)
		v |= f->huge;
	return rs_npte(v);
}

/* The same without the right to execute. */
static inline rs_npte_t rs_npte_without_exec(const struct rs_pte_format *f, rs_npte_t e)
{
	return rs_npte((rs_npte_val(e) & ~f->exec) | f->noexec);
}

#endif /* RS_PTE_FORMAT_H */
