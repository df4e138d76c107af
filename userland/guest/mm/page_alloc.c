// SPDX-License-Identifier: MIT
/*
 * page_alloc.c - the pool of free pages behind the CPUs' lists
 *
 * Three tiers. A CPU's stack (page_alloc.h) is its alone. Its shelf takes what the stack is too
 * full for, one batch at a time, under a lock, so that other CPUs can steal from it. The pool owns
 * the rest, in blocks of 2 MiB with a bitmap each:
 *
 *	refill:	own shelf, then the pool, then the other CPUs' shelves
 *	drain:	own shelf, then the pool
 *
 * A block is in one state: fresh (never used, at or above pool.fresh, its struct block not even
 * initialised: starting up costs the same for any arena), partial, empty of users with old content
 * ("idle"), or given back to Linux ("released"). Refills take lowest addresses first from one block
 * until it is used up, so that memory touched in order is contiguous and nested faults come once
 * per
 * 2 MiB. When more than IDLE_HIGH blocks are idle, the oldest go back to Linux until IDLE_LOW are
 * left; the gap between the two keeps a process that allocates and frees at the edge from
 * causing a request each time.
 *
 * block.zero says which pages are known to be all zero (fresh, released): they need no clearing.
 *
 * Invariant: stack counts + shelf counts + the pool's free pages + pages in use (base - count of
 * each CPU) = total. Locks: page_cpu.lock, then pool.lock. Neither is held while the host is
 * called.
 */
#include "page_alloc.h"
#include "../lib/assert.h"
#include "../lib/bitmap.h"
#include "../lib/list.h"
#include "../lib/string.h"

#define IDLE_HIGH	16
#define IDLE_LOW	8
#define JUNK		0xa5a5a5a5a5a5a5a5ull

enum block_state { BLOCK_FRESH, BLOCK_FULL, BLOCK_PARTIAL, BLOCK_IDLE, BLOCK_RELEASING,
		   BLOCK_RELEASED };

struct block {
	u64 free[8];
	u64 zero[8];		/* subset of free */
	struct list list;	/* of its state; unused for FULL, RELEASING */
	u16 nfree;
	/* pages the allocator may hand out; less than 512 at the arena's ends */
	u16 managed;
	u8 state;
};

struct page *rs_pages;
u64 rs_npages;
struct page_cpu rs_page_cpus[RS_NR_CPUS];
bool rs_page_debug;
bool (*page_alloc_refuse)(void);
bool (*page_reclaim)(void);

static struct {
	struct spinlock lock;
	struct block *blocks;
	u64 nblocks;
	u64 fresh;		/* blocks from here on are fresh */
	u64 first;		/* first page that can be allocated */
	u64 total;
	u64 nfree;		/* pages in the pool, fresh ones included */
	struct block *current;	/* refills go on here; NULL or PARTIAL */
	struct list partial, idle, released;
	u32 nidle;
} pool;

static u64 block_index(const struct block *b)
{
	return b - pool.blocks;
}

static void block_set_state(struct block *b, enum block_state state)
{
	if (b->state == BLOCK_IDLE)
		pool.nidle--;
	list_del(&b->list);
	b->state = state;
	switch (state) {
	case BLOCK_PARTIAL:
		list_add(&pool.partial, &b->list);
		break;
	case BLOCK_IDLE:
		list_add(&pool.idle, &b->list);
		pool.nidle++;
		break;
	case BLOCK_RELEASED:
		list_add(&pool.released, &b->list);
		break;
	default:
		break;
	}
}

/* The next fresh block becomes an ordinary one whose pages are all free and zero. */
static struct block *block_open(void)
{
	u64 i = pool.fresh++, lo = i * PAGES_PER_HUGE, hi = min(lo + PAGES_PER_HUGE, rs_npages), p;
	struct block *b = &pool.blocks[i];

	memset(b, 0, sizeof(*b));
	list_init(&b->list);
	for (p = max(lo, pool.first); p < hi; p++) {
		bit_set(b->free, p - lo);
		b->managed++;
	}
	memcpy(b->zero, b->free, sizeof(b->zero));
	b->nfree = b->managed;
	b->state = BLOCK_FULL;
	if (b->nfree)
		block_set_state(b, BLOCK_PARTIAL);
	return b;
}

/*
 * The first access to memory that Linux has not given us yet must be a write: a read would get us
 * its huge page of zeros, and the first write after that would make Linux take the 2 MiB apart for
 * good.
 */
static void block_populate(struct block *b)
{
	u64 i = block_index(b) * PAGES_PER_HUGE + bit_find_set(b->free, PAGES_PER_HUGE, 0);

	*(volatile u64 *)gpa_ptr(i << PAGE_SHIFT) = 0;
}

/* A block with free pages to refill from; NULL when the pool is empty. */
static struct block *block_choose(void)
{
	struct block *b;

	if (pool.current && pool.current->nfree)
		return pool.current;
	if (!list_empty(&pool.partial)) {
		b = list_first(&pool.partial, struct block, list);
	} else if (!list_empty(&pool.idle)) {
		b = list_first(&pool.idle, struct block, list);
		block_set_state(b, BLOCK_PARTIAL);
	} else if (!list_empty(&pool.released)) {
		b = list_first(&pool.released, struct block, list);
		block_set_state(b, BLOCK_PARTIAL);
		block_populate(b);
	} else {
		do {
			if (pool.fresh == pool.nblocks)
				return NULL;
			b = block_open();
		} while (!b->nfree);
		block_populate(b);
	}
	pool.current = b;
	return b;
}

/* Takes page @i out of @b. */
static struct page *block_take(struct block *b, unsigned int i)
{
	struct page *p = &rs_pages[block_index(b) * PAGES_PER_HUGE + i];

	bit_clear(b->free, i);
	p->flags = rs_page_debug && (p->flags & PG_JUNK) ? PG_JUNK : 0;
	if (bit_test(b->zero, i)) {
		bit_clear(b->zero, i);
		p->flags = PG_ZEROED;
	}
	pool.nfree--;
	if (--b->nfree == 0) {
		block_set_state(b, BLOCK_FULL);
		if (pool.current == b)
			pool.current = NULL;
	}
	return p;
}

/* Takes up to @max of the lowest pages out of @b; returns how many. */
static u32 block_take_lowest(struct block *b, struct page **out, u32 max)
{
	struct page *first = &rs_pages[block_index(b) * PAGES_PER_HUGE];
	u32 n = 0, w;

	for (w = 0; w < ARRAY_SIZE(b->free) && n < max; w++) {
		u64 left = b->free[w], zero = b->zero[w];

		while (left && n < max) {
			u32 i = __builtin_ctzll(left);
			struct page *p = first + w * 64 + i;

			p->flags = zero >> i & 1 ? PG_ZEROED : p->flags & PG_JUNK;
			left &= left - 1;
			out[n++] = p;
		}
		b->zero[w] &= left;
		b->free[w] = left;
	}
	pool.nfree -= n;
	b->nfree -= n;
	if (!b->nfree) {
		block_set_state(b, BLOCK_FULL);
		if (pool.current == b)
			pool.current = NULL;
	}
	return n;
}

static void block_give(struct page *p)
{
	u64 n = p - rs_pages, i = n % PAGES_PER_HUGE;
	struct block *b = &pool.blocks[n / PAGES_PER_HUGE];

	ASSERT(n >= pool.first && n < rs_npages && !bit_test(b->free, i));
	bit_set(b->free, i);
	pool.nfree++;
	b->nfree++;
	if (b->nfree == PAGES_PER_HUGE) {
		if (pool.current == b)
			pool.current = NULL;
		block_set_state(b, BLOCK_IDLE);
	} else if (b->nfree == 1) {
		block_set_state(b, BLOCK_PARTIAL);
	}
}

/*
 * Idle blocks go back to Linux: the oldest one, with the neighbours that are idle too, in one
 * request. They are in no list while the request is under way, so nobody takes them.
 */
static void release_some(void)
{
	spin_lock(&pool.lock);
	while (pool.nidle > IDLE_LOW) {
		u64 i = block_index(list_entry(pool.idle.prev, struct block, list)), lo = i,
			hi = i + 1;
		long err;

		while (lo && pool.blocks[lo - 1].state == BLOCK_IDLE)
			lo--;
		while (hi < pool.fresh && pool.blocks[hi].state == BLOCK_IDLE)
			hi++;
		for (i = lo; i < hi; i++)
			block_set_state(&pool.blocks[i], BLOCK_RELEASING);
		pool.nfree -= (hi - lo) * PAGES_PER_HUGE;
		spin_unlock(&pool.lock);

		err = host_call2(RS_CALL_RELEASE, lo << HUGE_SHIFT, (hi - lo) << HUGE_SHIFT);

		spin_lock(&pool.lock);
		pool.nfree += (hi - lo) * PAGES_PER_HUGE;
		for (i = lo; i < hi; i++) {
			struct block *b = &pool.blocks[i];

			if (!err)
				memset(b->zero, 0xff, sizeof(b->zero));
			/* Without the host's help the content is old, but the memory is as free. */
			block_set_state(b, BLOCK_RELEASED);
		}
	}
	spin_unlock(&pool.lock);
}

/* Moves up to a batch from the top of @c's shelf to @to's stack, which is empty. */
static bool take_shelf(struct page_cpu *c, struct page_cpu *to)
{
	u32 n;

	if (!READ_ONCE(c->shelf_count))
		return false;
	spin_lock(&c->lock);
	n = min(c->shelf_count, (u32)PCP_BATCH);
	c->shelf_count -= n;
	memcpy(to->stack, c->shelf + c->shelf_count, n * sizeof(c->shelf[0]));
	spin_unlock(&c->lock);
	page_cpu_move(to, n, 0);
	return n;
}

/** page_refill() - a batch for @c, whose stack is empty; false when there is no memory anywhere */
bool page_refill(struct page_cpu *c)
{
	struct page *batch[PCP_BATCH];
	struct block *b;
	u32 n = 0, i;

	if (take_shelf(c, c))
		return true;
	spin_lock(&pool.lock);
	while (n < PCP_BATCH && (b = block_choose())) {
		n += block_take_lowest(b, batch + n, PCP_BATCH - n);
	}
	spin_unlock(&pool.lock);
	/* Lowest address on top of the stack. */
	for (i = 0; i < n; i++)
		c->stack[i] = batch[n - 1 - i];
	page_cpu_move(c, n, 0);
	c->refills++;
	if (n)
		return true;
	for (i = 0; i < RS_NR_CPUS; i++) {
		if (take_shelf(&rs_page_cpus[i], c)) {
			c->steals++;
			return true;
		}
	}
	/* What comes back comes to this CPU, most of it. */
	return page_reclaimed() && (c->count || page_refill(c));
}

/**
 * page_drain() - makes room on @c's full stack: the oldest batch goes to the shelf, or to the pool
 */
void page_drain(struct page_cpu *c)
{
	bool release = false;
	u32 i;

	c->drains++;
	spin_lock(&c->lock);
	if (c->shelf_count + PCP_BATCH <= PCP_MAX) {
		memcpy(c->shelf + c->shelf_count, c->stack, PCP_BATCH * sizeof(c->stack[0]));
		c->shelf_count += PCP_BATCH;
		spin_unlock(&c->lock);
	} else {
		spin_unlock(&c->lock);
		spin_lock(&pool.lock);
		for (i = 0; i < PCP_BATCH; i++)
			block_give(c->stack[i]);
		release = pool.nidle > IDLE_HIGH;
		spin_unlock(&pool.lock);
	}
	page_cpu_move(c, -PCP_BATCH, 0);
	memmove(c->stack, c->stack + PCP_BATCH, c->count * sizeof(c->stack[0]));
	if (release)
		release_some();
}

struct page *page_alloc_zeroed(void)
{
	struct page *p = page_alloc();

	if (likely(p)) {
		if (!(p->flags & PG_ZEROED))
			clear_page(page_ptr(p));
		p->flags = 0;
	}
	return p;
}

/* A run in @b with the right alignment, 512 without. */
static size_t find_run(const struct block *b, size_t n, size_t align)
{
	size_t s, i;

	for (s = 0; s + n <= PAGES_PER_HUGE; s += align) {
		for (i = 0; i < n && bit_test(b->free, s + i); i++)
			;
		if (i == n)
			return s;
	}
	return PAGES_PER_HUGE;
}

/* A block that has such a run, opening a new one if need be. */
static struct block *block_with_run(size_t n, size_t align, size_t *at)
{
	struct list *lists[] = { &pool.partial, &pool.idle, &pool.released };
	struct block *b;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(lists); i++) {
		list_for_each(b, lists[i], list) {
			*at = b->nfree < n ? PAGES_PER_HUGE : find_run(b, n, align);
			if (*at < PAGES_PER_HUGE) {
				if (b->state == BLOCK_RELEASED)
					block_populate(b);
				if (b->state != BLOCK_PARTIAL)
					block_set_state(b, BLOCK_PARTIAL);
				return b;
			}
		}
	}
	while (pool.fresh < pool.nblocks) {
		b = block_open();
		if (b->nfree)
			block_populate(b);
		*at = find_run(b, n, align);
		if (*at < PAGES_PER_HUGE)
			return b;
	}
	return NULL;
}

/* Whoever wrote to the page while it was free is found here. */
static void page_check_junk(struct page *p)
{
	u64 *w = page_ptr(p);
	int i;

	if (p->refs > 1)
		rs_panic("free page %#lx has %u references", page_gpa(p), p->refs);
	if (!(p->flags & PG_JUNK))
		return;
	for (i = 0; i < 512; i++)
		if (w[i] != JUNK)
			rs_panic("page %#lx was written while free: %#lx at offset %#x",
				 page_gpa(p), w[i],
				 i * 8);
	p->flags = 0;
}

static struct page *take_run(size_t n, size_t align)
{
	struct page_cpu *c = this_cpu()->pages;
	struct page *first = NULL, *p;
	struct block *b;
	size_t at, i;

	spin_lock(&pool.lock);
	b = block_with_run(n, align, &at);
	for (i = 0; b && i < n; i++) {
		p = block_take(b, at + i);
		if (!first)
			first = p;
		p->refs = 1;
	}
	spin_unlock(&pool.lock);
	if (!first)
		return NULL;
	if (rs_page_debug)
		for (i = 0; i < n; i++)
			page_check_junk(first + i);
	page_cpu_move(c, 0, n);
	return first;
}

struct page *page_alloc_run(size_t n, size_t align)
{
	struct page *first;

	if (!n || n > PAGES_PER_HUGE || !align || align > PAGES_PER_HUGE || (align & (align - 1)))
		return NULL;
	if (unlikely(rs_page_debug) && page_alloc_refused())
		return NULL;
	first = take_run(n, align);
	return first || !page_reclaimed() ? first : take_run(n, align);
}

/** page_free_debug() - junk, so that whoever still looks at the page notices */
void page_free_debug(struct page *p)
{
	u64 *w = page_ptr(p);
	int i;

	for (i = 0; i < 512; i++)
		w[i] = JUNK;
	p->flags = PG_JUNK;
}

/**
 * page_alloc_debug() - checks a page that has just been taken from this CPU's stack; false: it may not
 * be had, and is back there
 */
bool page_alloc_debug(struct page *p)
{
	if (page_alloc_refused()) {
		this_cpu()->pages->count++;
		return false;
	}
	page_check_junk(p);
	return true;
}

void page_alloc_init(u64 arena_size, u64 free_gpa, bool debug)
{
	u64 at = ALIGN_UP(free_gpa, 64ul), i;

	rs_npages = arena_size >> PAGE_SHIFT;
	rs_page_debug = debug;
	memset(rs_page_cpus, 0, sizeof(rs_page_cpus));
	for (i = 0; i < RS_NR_CPUS; i++)
		spin_init(&rs_page_cpus[i].lock, "page shelf", LOCK_RANK_POOL - 1);

	/* Both arrays are zero already, as all of the arena above free_gpa. */
	rs_pages = gpa_ptr(at);
	at += rs_npages * sizeof(struct page);
	memset(&pool, 0, sizeof(pool));
	spin_init(&pool.lock, "page pool", LOCK_RANK_POOL);
	pool.blocks = gpa_ptr(ALIGN_UP(at, 64ul));
	pool.nblocks = (rs_npages + PAGES_PER_HUGE - 1) / PAGES_PER_HUGE;
	at = ALIGN_UP(at, 64ul) + pool.nblocks * sizeof(struct block);
	pool.first = page_up(at) >> PAGE_SHIFT;
	if (pool.first >= rs_npages)
		rs_panic("the arena of %lu KiB is too small", arena_size >> 10);
	pool.total = pool.nfree = rs_npages - pool.first;
	list_init(&pool.partial);
	list_init(&pool.idle);
	list_init(&pool.released);
	for (i = 0; i < pool.first; i++) {
		rs_pages[i].refs = PAGE_FIXED_REFS;
		rs_pages[i].flags = PG_FIXED;
	}
	/*
	 * Blocks that lie below the first free page are opened at once: there is nothing in them.
	 */
	while (pool.fresh < pool.first / PAGES_PER_HUGE)
		block_open();
}

static s64 pages_in_use(void)
{
	s64 n = 0;
	u32 i;

	for (i = 0; i < RS_NR_CPUS; i++)
		n += rs_page_cpus[i].base - rs_page_cpus[i].count;
	return n;
}

u64 pages_total(void)
{
	return pool.total;
}

u64 pages_free(void)
{
	return pool.total - pages_in_use();
}

u64 pages_peak(void)
{
	u64 n = 0;
	u32 i;

	for (i = 0; i < RS_NR_CPUS; i++)
		n += max(rs_page_cpus[i].peak, rs_page_cpus[i].base - rs_page_cpus[i].low);
	return n;
}

void page_alloc_stats_update(void)
{
	rs_stats()->pages_total = pages_total();
	rs_stats()->pages_free = pages_free();
	rs_stats()->pages_peak = pages_peak();
}

void page_alloc_check(void)
{
	u64 listed = 0, nfree = 0, n, idle = 0, i, k;

	for (i = 0; i < pool.fresh; i++) {
		struct block *b = &pool.blocks[i];

		for (n = 0, k = 0; k < PAGES_PER_HUGE; k++) {
			n += bit_test(b->free, k);
			ASSERT(!bit_test(b->zero, k) || bit_test(b->free, k));
			if (bit_test(b->free, k))
				ASSERT(rs_pages[i * PAGES_PER_HUGE + k].refs == 0);
		}
		ASSERT(n == b->nfree && n <= b->managed);
		ASSERT((b->state == BLOCK_FULL) == (n == 0));
		if (b->state == BLOCK_IDLE || b->state == BLOCK_RELEASED)
			ASSERT(n == PAGES_PER_HUGE);
		idle += b->state == BLOCK_IDLE;
		nfree += n;
	}
	ASSERT(idle == pool.nidle);
	for (i = pool.fresh; i < pool.nblocks; i++)
		nfree += min((i + 1) * PAGES_PER_HUGE, rs_npages) - max(i * PAGES_PER_HUGE,
									pool.first);
	ASSERT(nfree == pool.nfree);
	for (i = 0; i < RS_NR_CPUS; i++) {
		struct page_cpu *c = &rs_page_cpus[i];

		for (k = 0; k < c->count; k++)
			ASSERT(c->stack[k]->refs == 0);
		listed += c->count + c->shelf_count;
	}
	ASSERT(listed + nfree + pages_in_use() == pool.total);
}
