// SPDX-License-Identifier: MIT
/*
 * Page tables of the guest: allocation of their pages, the walk, the split. See tables.h.
 *
 * A walk goes down one entry at a time with the level as a variable. An entry is replaced by a table with one store, after the table is
 * complete, so that a CPU that walks meanwhile sees one or the other, which mean the same.
 */
#include "tables.h"

#define PAGE	4096
#define ENTRIES	512

static inline void store(uint64_t *entry, uint64_t value)
{
	__atomic_store_n(entry, value, __ATOMIC_RELEASE);
}

uint64_t *self_table_alloc(struct self_tables *t)
{
	uint64_t *table;
	int i;

	if (t->free) {
		table = (uint64_t *)(uintptr_t)(t->base + t->free);
		t->free = *table;
	} else if (t->unused + PAGE <= t->size) {
		table = (uint64_t *)(uintptr_t)(t->base + t->unused);
		t->unused += PAGE;
	} else {
		return NULL;
	}
	for (i = 0; i < ENTRIES; i++)
		((volatile uint64_t *)table)[i] = 0;
	return table;
}

void self_table_free(struct self_tables *t, uint64_t *table)
{
	*table = t->free;
	t->free = (uint64_t)(uintptr_t)table - t->base;
}

static inline unsigned int index_of(uint64_t va, int level)
{
	return va >> (12 + 9 * (level - 1)) & (ENTRIES - 1);
}

static inline int is_canonical(uint64_t va)
{
	return (uint64_t)((int64_t)(va << 16) >> 16) == va;
}

uint64_t *self_entry(const struct self_tables *t, uint64_t *root, uint64_t va, int *level)
{
	uint64_t *table = root, *entry;

	if (!is_canonical(va))
		return NULL;
	for (*level = 4; ; (*level)--) {
		uint64_t e;

		entry = &table[index_of(va, *level)];
		e = __atomic_load_n(entry, __ATOMIC_ACQUIRE);
		if (*level == 1 || !(e & SELF_PTE_P) || (*level < 4 && (e & SELF_PTE_LARGE)))
			return entry;
		table = self_table_at(t, e);
		if (!table)
			return NULL;
	}
}

/* What the entry of @level maps, as a table of the next level. */
static uint64_t *split(struct self_tables *t, uint64_t e, int level)
{
	/* Bit 12 of a large entry is PAT, bit 7 of a small one; nobody sets it. */
	uint64_t rights = e & ~SELF_PTE_ADDR, step = 1ull << (12 + 9 * (level - 2));
	uint64_t *table = self_table_alloc(t);
	int i;

	if (!table)
		return NULL;
	if (level == 2)
		rights &= ~SELF_PTE_LARGE;
	for (i = 0; i < ENTRIES; i++)
		table[i] = ((e & SELF_PTE_ADDR) + i * step) | rights;
	return table;
}

uint64_t *self_entry_make(struct self_tables *t, uint64_t *root, uint64_t va)
{
	int level;

	for (;;) {
		uint64_t *entry = self_entry(t, root, va, &level), *table;
		uint64_t e;

		if (!entry || level == 1)
			return entry;
		e = *entry;
		/* A large entry without P is one whose rights somebody has taken. */
		table = e & (SELF_PTE_P | SELF_PTE_LARGE) ? split(t, e, level) : self_table_alloc(t);
		if (!table)
			return NULL;
		/* The table allows everything; rights are in the entries of level 1. A hole stays one: its table is empty. */
		store(entry, self_table_gpa(t, table) | SELF_PTE_TABLE);
	}
}
