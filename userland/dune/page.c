// SPDX-License-Identifier: MIT
/*
 * page.c - the pool of pages: memory at PAGEBASE, whose physical address is its virtual one; and behind it what is known of the pages
 *
 * Page tables come from here, and whatever programs map. The address range is reserved as a whole, without memory; it is made usable from its
 * beginning, GROW pages at a time. A page was never used (number >= used), is on the free list (ref is 0, link is the next one),
 * or is somebody's (ref > 0, link his).
 *
 * No lock: a handler may need a page while the code that it has interrupted, in this thread, is taking one. The list's head holds the first
 * page's number + 1 and a count of changes, so that a page that was taken and came back in between is noticed; reading the link of a page that
 * somebody else has just taken is harmless, since the exchange fails then.
 */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <sys/syscall.h>
#include "sys.h"

#define GROW	512

struct page *pages;
int num_pages;
static int used;
static uint64_t free_head;	/* number + 1 in the lower half, changes in the upper */

static bool grow(int have)
{
	uintptr_t at = PAGEBASE + (uintptr_t)have * PGSIZE;

	/* Whoever else does this at the same time does the same. */
	if ((unsigned long)have + GROW > MAX_PAGES || rs_raw6(SYS_mprotect, at, (long)GROW * PGSIZE, PROT_READ | PROT_WRITE, 0, 0, 0))
		return false;
	__atomic_compare_exchange_n(&num_pages, &have, have + GROW, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
	return true;
}

int dune_page_init(void)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	const size_t table = MAX_PAGES * sizeof(struct page);
	long at;

	at = rs_raw6(SYS_mmap, PAGEBASE, DUNE_POOL_BYTES, PROT_NONE, flags | MAP_FIXED_NOREPLACE, -1, 0);
	if (at != (long)PAGEBASE) {
		/* taken, or a Linux that does not know the flag and has put it elsewhere */
		if (at > 0)
			rs_raw6(SYS_munmap, at, DUNE_POOL_BYTES, 0, 0, 0, 0);
		return -ENOMEM;
	}
	at = PAGEBASE + MAX_PAGES * PGSIZE;
	if (rs_raw6(SYS_mprotect, at, table, PROT_READ | PROT_WRITE, 0, 0, 0) || !grow(0)) {
		rs_raw6(SYS_munmap, PAGEBASE, DUNE_POOL_BYTES, 0, 0, 0, 0);
		return -ENOMEM;
	}
	pages = (struct page *)at;
	return 0;
}

static struct page *from_list(void)
{
	uint64_t head = __atomic_load_n(&free_head, __ATOMIC_ACQUIRE), next;
	struct page *pg, *after;

	do {
		if (!(uint32_t)head)
			return NULL;
		pg = &pages[(uint32_t)head - 1];
		after = __atomic_load_n(&pg->link.sle_next, __ATOMIC_RELAXED);
		next = after ? (uint32_t)(after - pages) + 1 : 0;
		next |= (head >> 32) + 1 << 32;
	} while (!__atomic_compare_exchange_n(&free_head, &head, next, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE));
	return pg;
}

static struct page *never_used(void)
{
	int n = __atomic_load_n(&used, __ATOMIC_RELAXED);

	for (;;) {
		int have = __atomic_load_n(&num_pages, __ATOMIC_ACQUIRE);

		if (n >= have) {
			if (!grow(have))
				return NULL;
			continue;
		}
		if (__atomic_compare_exchange_n(&used, &n, n + 1, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
			return &pages[n];
	}
}

struct page *dune_page_alloc(void)
{
	struct page *pg;

	if (!pages)
		return NULL;
	pg = from_list();
	if (!pg)
		pg = never_used();
	if (!pg)
		return NULL;
	__atomic_store_n(&pg->link.sle_next, NULL, __ATOMIC_RELAXED);
	__atomic_store_n(&pg->ref, 1, __ATOMIC_RELAXED);
	return pg;
}

void dune_page_free(struct page *pg)
{
	uint64_t head, next;

	assert(pg >= pages && pg < pages + num_pages);
	assert(!pg->ref);
	head = __atomic_load_n(&free_head, __ATOMIC_RELAXED);
	do {
		__atomic_store_n(&pg->link.sle_next, (uint32_t)head ? &pages[(uint32_t)head - 1] : NULL, __ATOMIC_RELAXED);
		next = (uint32_t)(pg - pages) + 1;
		next |= (head >> 32) + 1 << 32;
	} while (!__atomic_compare_exchange_n(&free_head, &head, next, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
}

bool dune_page_isfrompool(physaddr_t pa)
{
	return pa >= PAGEBASE && pa - PAGEBASE < (physaddr_t)num_pages * PGSIZE;
}

void dune_page_stats(void)
{
	int i, mine = 0, have = num_pages;

	for (i = 0; i < have; i++)
		mine += pages[i].ref != 0;
	dune_printf("DUNE Page Allocator: Alloc %d, Free %d, Total %d\n", mine, have - mine, have);
}
