// SPDX-License-Identifier: MIT
/*
 * zpager.c - memory larger than what there is: a pager of the program's own, over a store of
 * compressed pages
 *
 * A range of addresses has many pages, of which few are in memory; the others are in a store,
 * compressed by zstd. A page that is touched and not there traps: the handler makes room by putting
 * another page into the store, and fills and opens the one that is wanted. A page comes back
 * read-only, so the first write traps again and says that the store's copy is out of date; a page
 * that was only read goes without being compressed anew. (Appel and Li, 1991, section 3:
 * data-compression paging.)
 *
 * Who goes is decided by the clock: the hand passes over pages that have been accessed since it
 * came by last. In the ring the CPU's accessed bits say that (rs_page_dirty(), for a stretch of
 * pages at a time), and the wanted page is made beside its place and put there in one operation
 * (RS_OP_REPLACE), so that nobody could see it half filled. Elsewhere it is first in, first out.
 *
 * The program reads a file into such memory, then reads it from end to end and at random, changes
 * some of it and looks at all of it again, and compares what it sees with the file.
 *
 * usage: zpager FILE PAGES-IN-MEMORY
 */
/* Contexts in memory of our own: a handler does not call malloc(). */
#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>
#include "faults.h"

#define UNIT	64u			/* of the store */
#define LEVEL	1

struct entry {
	uint8_t there, changed, accessed;
	uint16_t size;			/* in the store, 0: all zeros, never written */
	uint32_t at;			/* in units */
};

static char *area, *store, *beside;
static size_t pages, resident, limit, hand;
static struct entry *table;
static uint32_t store_next, store_units;
static uint32_t free_list[PAGE / UNIT + 1];	/* by units; linked by their first word, 0 ends */
static ZSTD_CCtx *packer;
static ZSTD_DCtx *unpacker;
static unsigned long faults, packed, dropped, in_store;

/* --- the store -------------------------------------------------------------------------------- */

static uint32_t units(size_t bytes)
{
	return (uint32_t)((bytes + UNIT - 1) / UNIT);
}

static void *at(uint32_t unit)
{
	return store + (size_t)unit * UNIT;
}

static void store_drop(struct entry *e)
{
	uint32_t n = units(e->size);

	if (!n)
		return;
	memcpy(at(e->at), &free_list[n], sizeof(free_list[n]));
	free_list[n] = e->at;
	in_store -= e->size;
	e->size = 0;
}

/* A page that zstd makes no smaller is kept as it is. */
static void store_put(struct entry *e, const char *page)
{
	static char buf[2 * PAGE];
	size_t size = ZSTD_compressCCtx(packer, buf, sizeof(buf), page, PAGE, LEVEL);
	const void *from = buf;
	uint32_t n;

	if (ZSTD_isError(size) || size >= PAGE) {
		size = PAGE;
		from = page;
	}
	store_drop(e);
	n = units(size);
	if (free_list[n]) {
		e->at = free_list[n];
		memcpy(&free_list[n], at(e->at), sizeof(free_list[n]));
	} else {
		if (store_next + n > store_units) {
			fprintf(stderr, "zpager: the store is full\n");
			_exit(1);
		}
		e->at = store_next;
		store_next += n;
	}
	e->size = (uint16_t)size;
	memcpy(at(e->at), from, size);
	in_store += size;
	packed++;
}

static void store_get(const struct entry *e, char *page)
{
	if (!e->size)
		memset(page, 0, PAGE);
	else if (e->size == PAGE)
		memcpy(page, at(e->at), PAGE);
	else if (ZSTD_decompressDCtx(unpacker, page, PAGE, at(e->at), e->size) != PAGE)
		abort();
}

/* --- pages that come and go ------------------------------------------------------------------- */

#define STRETCH 64u	/* pages whose accessed bits are read at a time */

static void read_accessed(size_t first)
{
	size_t n = pages - first < STRETCH ? pages - first : STRETCH;
	uint64_t bits;

	if (!in_ring())
		return;
	if (rs_page_dirty(area + first * PAGE, n * PAGE, &bits,
			  RS_DIRTY_ACCESSED | RS_DIRTY_CLEAR) < 0)
		abort();
	for (size_t i = 0; i < n; i++)
		table[first + i].accessed = bits >> i & 1;
}

static void evict(void)
{
	struct entry *e;
	char *page;

	for (;; hand = (hand + 1) % pages) {
		if (hand % STRETCH == 0)
			read_accessed(hand);
		e = &table[hand];
		if (!e->there)
			continue;
		if (!e->accessed)
			break;
		e->accessed = 0;	/* one more round */
	}
	page = area + hand * PAGE;
	if (e->changed)
		store_put(e, page);
	else
		dropped++;
	/* Its memory is given back; what is touched there from now on is not there. */
	if (madvise(page, PAGE, MADV_DONTNEED))
		abort();
	set_rights(page, PAGE, RS_PAGE_NONE);
	e->there = e->changed = 0;
	resident--;
}

static void fetch(struct entry *e, char *page)
{
	struct rs_page_op op = { .op = RS_OP_REPLACE,
				 .addr = (uint64_t)beside,
				 .len = PAGE,
				 .arg = RS_PAGE_READ,
				 .to = (uint64_t)page };

	if (in_ring()) {
		store_get(e, beside);
		if (rs_page_ops(&op, 1) != 1)
			abort();
	} else {
		set_rights(page, PAGE, RS_PAGE_WRITE);
		store_get(e, page);
		set_rights(page, PAGE, RS_PAGE_READ);
	}
}

static int on_fault(char *page, int write)
{
	struct entry *e = &table[(size_t)(page - area) / PAGE];

	if (page < area || page >= area + pages * PAGE)
		return 0;
	faults++;
	if (!e->there) {
		while (resident >= limit)
			evict();
		fetch(e, page);
		e->there = 1;
		e->accessed = 1;
		resident++;
	}
	if (write && !e->changed) {
		e->changed = 1;
		set_rights(page, PAGE, RS_PAGE_WRITE);
	}
	return 1;
}

static void *workspace(size_t size)
{
	char *p = memory(size + PAGE);

	memset(p, 0, size);
	return p;
}

static void pager_start(size_t size, size_t in_memory)
{
	size_t pack = ZSTD_estimateCCtxSize(LEVEL), unpack = ZSTD_estimateDCtxSize();

	pages = (size + PAGE - 1) / PAGE;
	limit = in_memory;
	area = memory(pages * PAGE);
	beside = memory(PAGE);
	store_units = (uint32_t)(pages * (PAGE / UNIT) + PAGE / UNIT);
	store = memory((size_t)store_units * UNIT);
	store_next = 1;		/* 0 is the end of a list */
	table = workspace(pages * sizeof(*table));
	packer = ZSTD_initStaticCCtx(workspace(pack), pack);
	unpacker = ZSTD_initStaticDCtx(workspace(unpack), unpack);
	if (!packer || !unpacker)
		fail("zstd");
	set_rights(area, pages * PAGE, RS_PAGE_NONE);
	take_faults(on_fault, 256 << 10);
}

/* --- the program ------------------------------------------------------------------------------ */

static unsigned int seed = 1;

static size_t any(size_t n)
{
	seed = seed * 1103515245 + 12345;
	return (((size_t)seed << 16) ^ (seed >> 8)) % n;
}

int main(int argc, char **argv)
{
	size_t size, i, wrong = 0, changes = 0;
	char *file;

	if (argc != 3 || atoi(argv[2]) < 2) {
		fprintf(stderr, "usage: zpager FILE PAGES-IN-MEMORY\n");
		return 2;
	}
	file = read_file(argv[1], &size);
	if (!size)
		fail("an empty file");
	pager_start(size, (size_t)atoi(argv[2]));
	memcpy(area, file, size);
	for (i = 0; i < size; i += 97)
		wrong += area[i] != file[i];
	for (int n = 0; n < 2000; n++) {
		i = any(size);
		/* a few are asked for often, and should be there mostly */
		if (n % 4)
			i %= 3 * PAGE < size ? 3 * PAGE : size;
		wrong += area[i] != file[i];
		if (n % 10 == 0) {
			area[i] ^= 0x20;
			file[i] ^= 0x20;
			changes++;
		}
	}
	wrong += memcmp(area, file, size) != 0;
	printf("zpager: by %s\n", which_way());
	printf("zpager: %zu pages, %zu in memory, %zu changes; %lu faults, %lu pages packed, %lu dropped "
	       "unchanged; the store holds %lu bytes\n",
	       pages, resident, changes, faults, packed, dropped, in_store);
	if (wrong || resident > limit || (pages > limit && !packed)) {
		printf("zpager: the memory is wrong\n");
		return 1;
	}
	printf("zpager: the memory is right\n");
	return 0;
}
