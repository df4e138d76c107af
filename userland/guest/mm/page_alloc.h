/* SPDX-License-Identifier: MIT */
/*
 * page_alloc.h - guest physical pages: who owns them, and where free ones come from
 *
 * Every page of the arena has a struct page with a reference count; 0 means free. page_alloc()
 * returns a page with one reference; the last page_put() frees it. Contents of a new page are
 * undefined unless asked for (page_alloc_zeroed()).
 *
 * A CPU allocates from and frees to its own list, without locks and atomics: the kernel is not
 * interrupted, and the holder of the only reference is alone with the page. An empty list is
 * refilled with a batch, a full one drained by a batch, from and to the pool (page_alloc.c). All
 * counts are exact.
 */
#ifndef RS_MM_PAGE_ALLOC_H
#define RS_MM_PAGE_ALLOC_H

#include "../lib/types.h"
#include "../arch/cpu.h"
#include "../host/host.h"

/* Never freed, references are not counted: image, boot tables, the zero page. */
#define PG_FIXED	(1u << 0)
#define PG_ZEROED	(1u << 1)	/* just allocated and known to be all zero */
#define PG_TABLE	(1u << 2)	/* a page table */
#define PG_SLAB		(1u << 3)	/* kmalloc's */
#define PG_JUNK		(1u << 4)	/* free and filled with junk (debug) */

/* References of a PG_FIXED page: never 1, which is all page_put() looks at first. */
#define PAGE_FIXED_REFS	(1u << 30)

/**
 * struct page - one page of the arena
 * @refs: references; changed without atomics only by a holder that sees 1
 * @priv: the user's: live entries of a page table, size class of a slab
 */
struct page {
	u32 refs;
	u32 flags;
	u64 priv;
};

extern struct page *rs_pages;	/* [arena_size / PAGE_SIZE] */
extern u64 rs_npages;

#define PCP_MAX		256	/* pages on a CPU's list at most */
#define PCP_BATCH	64

/**
 * struct page_cpu - a CPU's free pages
 * @stack: touched by this CPU alone. @shelf: batches that other CPUs may steal, under @lock. Pages
 * in use through this CPU (allocated minus freed here) are @base - @count, so that neither
 * allocating nor freeing has to count: @base changes only when pages move between the stack and
 * elsewhere. @low is the least @count since then, which is where the peak was.
 */
struct page_cpu {
	u32 count;
	s32 low;
	s64 base;
	/* most pages in use through this CPU, up to the last change of base */
	s64 peak;
	u32 shelf_count;
	u64 refills, drains, steals;
	struct spinlock lock;
	struct page *stack[PCP_MAX];
	struct page *shelf[PCP_MAX];
} __attribute__((aligned(64)));

/**
 * page_cpu_move() - @n pages have come to (or gone from) @c's stack or its users; call before
 * @count changes accordingly
 */
static inline void page_cpu_move(struct page_cpu *c, s64 stack_delta, s64 use_delta)
{
	s64 most = c->base - c->low;

	if (most > c->peak)
		c->peak = most;
	c->base += stack_delta + use_delta;
	c->count += stack_delta;
	c->low = c->count;
}

extern struct page_cpu rs_page_cpus[RS_NR_CPUS];

static inline struct page *gpa_page(u64 gpa)
{
	return &rs_pages[gpa >> PAGE_SHIFT];
}

static inline u64 page_gpa(const struct page *p)
{
	return (u64)(p - rs_pages) << PAGE_SHIFT;
}

static inline void *page_ptr(const struct page *p)
{
	return gpa_ptr(page_gpa(p));
}

/** page_last_owner() - nobody else has a reference. Pairs with the release in page_put(). */
static inline bool page_last_owner(u64 gpa)
{
	return __atomic_load_n(&gpa_page(gpa)->refs, __ATOMIC_ACQUIRE) == 1;
}

/** gpa_is_arena() - there is a struct page for it (the file window has none) */
static inline bool gpa_is_arena(u64 gpa)
{
	return gpa >> PAGE_SHIFT < rs_npages;
}

/* Slow halves, page_alloc.c. */
bool page_refill(struct page_cpu *c);
void page_drain(struct page_cpu *c);
bool page_alloc_debug(struct page *p);
void page_free_debug(struct page *p);
extern bool rs_page_debug;

/*
 * With --debug every allocation is offered to this function, if there is one, and fails when it
 * answers true (syscall/inject.c). Without --debug it is not looked at: the test for it lies behind
 * branches that are there anyway.
 */
extern bool (*page_alloc_refuse)(void);
static inline bool page_alloc_refused(void)
{
	return page_alloc_refuse && page_alloc_refuse();
}

/*
 * What is asked when no memory is left: true when something has been given back, then it is worth
 * looking again. NULL: nobody has anything.
 */
extern bool (*page_reclaim)(void);
static inline bool page_reclaimed(void)
{
	return page_reclaim && page_reclaim();
}

/* Hosted tests may make any allocation fail (selftests/hosted/core.h). */
#ifdef RS_INJECT
bool page_alloc_injected(void);
#else
static inline bool page_alloc_injected(void)
{
	return false;
}
#endif

/** page_alloc() - a page with one reference and undefined contents; NULL when no memory is left */
static inline struct page *page_alloc(void)
{
	struct page_cpu *c = this_cpu()->pages;
	struct page *p;
	u32 n;

	if (page_alloc_injected())
		return NULL;
	if (unlikely(!c->count) && !page_refill(c))
		return NULL;
	n = c->count - 1;
	c->count = n;
	if ((s32)n < c->low)
		c->low = n;
	p = c->stack[n];
	if (unlikely(rs_page_debug) && !page_alloc_debug(p))
		return NULL;
	p->refs = 1;
	return p;
}

/** page_alloc_zeroed() - the same, all zero; costs nothing extra for memory that was never used */
struct page *page_alloc_zeroed(void);

/** page_get() - one more reference; the caller has one or knows that somebody does */
static inline void page_get(struct page *p)
{
	if (p->flags & PG_FIXED)
		return;
	__atomic_add_fetch(&p->refs, 1, __ATOMIC_RELAXED);
}

/** page_free() - gives back the only reference; for callers who know that it is */
static inline void page_free(struct page *p)
{
	struct page_cpu *c = this_cpu()->pages;
	u32 n;

	p->refs = 0;
	p->flags = 0;
	if (unlikely(rs_page_debug))
		page_free_debug(p);
	if (unlikely(c->count == PCP_MAX))
		page_drain(c);
	n = c->count;
	c->stack[n] = p;
	c->count = n + 1;
}

/** page_put() - drops a reference; the last one frees the page */
static inline void page_put(struct page *p)
{
	if (likely(p->refs == 1)) {
		page_free(p);
		return;
	}
	if (p->flags & PG_FIXED)
		return;
	if (__atomic_sub_fetch(&p->refs, 1, __ATOMIC_ACQ_REL) == 0) {
		p->refs = 1;
		page_free(p);
	}
}

/**
 * page_alloc_run() - @n pages (1..512) contiguous in GPA, each with one reference, aligned to
 * @align pages (a power of two)
 *
 * From the pool directly; for large kernel objects. NULL when there is no such run.
 */
struct page *page_alloc_run(size_t n, size_t align);

/**
 * page_alloc_init() - boot: pages [free_gpa, arena_size) are free and zero, those below PG_FIXED;
 * takes the array from free memory
 */
void page_alloc_init(u64 arena_size, u64 free_gpa, bool debug);

/**
 * pages_free(), pages_total(), pages_peak() - exact; total counts pages that can be allocated. Peak
 * is exact with one CPU running.
 */
u64 pages_free(void);
u64 pages_total(void);
u64 pages_peak(void);
/** page_alloc_check() - walks everything and panics if any count is wrong (tests, debug) */
void page_alloc_check(void);
/** page_alloc_stats_update() - writes the counters to the boot page */
void page_alloc_stats_update(void);

#endif
