/* SPDX-License-Identifier: MIT */
/*
 * tables.h - self-entry: page tables of the guest, without anything else
 *
 * Table pages come from one range of memory that is seen at @base and lies at guest physical @gpa. Nothing here locks, flushes, or looks
 * at the CPU.
 */
#ifndef RS_SELF_TABLES_H
#define RS_SELF_TABLES_H

#include <stdint.h>
#include <stddef.h>

#define SELF_PTE_P	(1ull << 0)
#define SELF_PTE_W	(1ull << 1)
#define SELF_PTE_U	(1ull << 2)
#define SELF_PTE_LARGE	(1ull << 7)
#define SELF_PTE_NX	(1ull << 63)
#define SELF_PTE_ADDR	0x000ffffffffff000ull
#define SELF_PTE_TABLE	(SELF_PTE_P | SELF_PTE_W | SELF_PTE_U)

/**
 * struct self_tables - where table pages come from
 * @base, @gpa, @size: the range that tables are in
 * @unused: offset of the first page never used; up to @size
 * @free:   offset of the first page that was given back, 0: none; its first word is the next one's
 */
struct self_tables {
	uint64_t base, gpa, size;
	uint64_t unused, free;
};

/* A page of zeros, or NULL. */
uint64_t *self_table_alloc(struct self_tables *t);
/* Must be one that was allocated. */
void self_table_free(struct self_tables *t, uint64_t *table);

static inline uint64_t self_table_gpa(const struct self_tables *t, const uint64_t *table)
{
	return (uint64_t)(uintptr_t)table - t->base + t->gpa;
}

/* The table that @entry points to; NULL when it is not in the range. */
static inline uint64_t *self_table_at(const struct self_tables *t, uint64_t entry)
{
	uint64_t off = (entry & SELF_PTE_ADDR) - t->gpa;

	return off < t->size ? (uint64_t *)(uintptr_t)(t->base + off) : NULL;
}

/**
 * self_entry() - the entry for @va under @root: of the lowest level that is there, *@level (1 to 4; the entry may be absent)
 * NULL: a table on the way is not in the range, or @va is not canonical.
 */
uint64_t *self_entry(const struct self_tables *t, uint64_t *root, uint64_t va, int *level);
/* The same of level 1: tables are made, large entries split with their rights. NULL: no page left (what was made stays), or as above. */
uint64_t *self_entry_make(struct self_tables *t, uint64_t *root, uint64_t va);

#endif /* RS_SELF_TABLES_H */
