// SPDX-License-Identifier: MIT
/*
 * pages.c - the ledger's operations on memory that has two addresses, and on dirty bits
 *
 * dirty_scan is what a checkpoint or a collector does at the end of an interval: finds the pages
 * of 1 GiB that have been written in it, as a list of their numbers, and has the next interval
 * begin. One in a hundred has been written, at places that have no pattern. Natively that is
 * /proc/self/pagemap and clear_refs (soft-dirty), in the ring RS_SYS_DIRTY. What the writes
 * themselves cost is not in the figure: natively each is a fault after that.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <ringside/app.h>
#include "bench.h"

#define PAGE		4096UL
#define MIB		(1024UL * 1024)
#define SOFT_DIRTY	(1ull << 55)
#define ENTRIES		8192	/* of the pagemap at a time */
#define MAX_PAGES	(1024 * MIB / PAGE)

/* --- the pages of an interval ---------------------------------------------------------------- */

static uint32_t dirty[MAX_PAGES];	/* their numbers */
static size_t ndirty;

static void scan_ring(char *p, size_t pages)
{
	static uint64_t bitmap[MAX_PAGES / 64];

	if (rs_page_dirty(p, pages * PAGE, bitmap, RS_DIRTY_CLEAR) < 0)
		die("RS_SYS_DIRTY");
	ndirty = 0;
	for (size_t i = 0; i < pages / 64; i++)
		for (uint64_t w = bitmap[i]; w; w &= w - 1)
			dirty[ndirty++] = (uint32_t)(i * 64 + __builtin_ctzll(w));
}

static int pagemap = -1, clear_refs = -1;

static void scan_native(char *p, size_t pages)
{
	static uint64_t map[ENTRIES];
	size_t n;

	ndirty = 0;
	for (size_t at = 0; at < pages; at += n) {
		n = pages - at < ENTRIES ? pages - at : ENTRIES;
		if (pread(pagemap, map, n * 8, ((uintptr_t)p / PAGE + at) * 8) != (ssize_t)(n * 8))
			die("reading /proc/self/pagemap");
		for (size_t i = 0; i < n; i++)
			if (map[i] & SOFT_DIRTY)
				dirty[ndirty++] = (uint32_t)(at + i);
	}
	if (pwrite(clear_refs, "4", 1, 0) != 1)
		die("writing /proc/self/clear_refs");
}

static void batch_dirty_scan(struct sample *s, unsigned int mib)
{
	void (*scan)(char *p, size_t pages) = rs_app_features() ? scan_ring : scan_native;
	char *p = memory_touch(mib);
	size_t pages = mib * MIB / PAGE, n = 0;
	static bool begun;

	if (scan == scan_native && pagemap < 0) {
		pagemap = open("/proc/self/pagemap", O_RDONLY);
		clear_refs = open("/proc/self/clear_refs", O_WRONLY);
		if (pagemap < 0 || clear_refs < 0)
			die("opening /proc/self/pagemap and clear_refs");
	}
	s->ops = 1;
	/* The first one, which does not count, is where the first interval begins. */
	if (!begun) {
		begun = true;
		span_begin(s);
		scan(p, pages);
		span_end(s);
		return;
	}
	/* 37 and 100 have no common divisor: each hundred pages have one, each time another one */
	for (size_t i = 0; i + 100 <= pages; i += 100, n++)
		p[(i + n * 37 % 100) * PAGE]++;
	span_begin(s);
	scan(p, pages);
	span_end(s);
	if (ndirty != n) {
		errno = ENOSYS;
		die("the pages that were written are not those that are dirty");
	}
	for (size_t i = 0; i < n; i++)
		if (dirty[i] != i * 100 + i * 37 % 100) {
			errno = EIO;
			die("another page is dirty than was written");
		}
}

/* --- one page at a second address, with other rights, read there once; and gone again -------- */

static void batch_map2(struct sample *s, unsigned int param)
{
	struct rs_page_op op = { .op = RS_OP_MAP, .len = PAGE,
				 .arg = PROT_READ | PROT_WRITE | RS_PAGES_SHARED };
	static volatile char *p;

	(void)param;
	if (!p) {
		if (rs_page_ops(&op, 1) != 1)
			die("RS_OP_MAP");
		p = (char *)op.to;
	}
	*p = 5;
	s->ops = 4;	/* natively no more than what comes between two ticks */
	span_begin(s);
	for (uint64_t i = 0; i < s->ops; i++) {
		op = (struct rs_page_op){ .op = RS_OP_MAP2, .addr = (uint64_t)p, .len = PAGE,
					  .arg = PROT_READ };
		if (rs_page_ops(&op, 1) != 1 || *(volatile char *)op.to != 5)
			die("RS_OP_MAP2");
		op = (struct rs_page_op){ .op = RS_OP_UNMAP, .addr = op.to, .len = PAGE };
		if (rs_page_ops(&op, 1) != 1)
			die("RS_OP_UNMAP");
	}
	span_end(s);
}

static void batch_map2_native(struct sample *s, unsigned int param)
{
	static volatile char *p;
	static int fd;
	volatile char *q;

	(void)param;
	if (!p) {
		fd = memfd_create("map2", 0);
		if (fd < 0 || ftruncate(fd, PAGE))
			die("memfd");
		p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (p == MAP_FAILED)
			die("mmap of a memfd");
	}
	*p = 5;
	s->ops = 4;	/* natively no more than what comes between two ticks */
	span_begin(s);
	for (uint64_t i = 0; i < s->ops; i++) {
		q = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
		if (q == MAP_FAILED || *q != 5 || munmap((void *)q, PAGE))
			die("mmap of a memfd, again");
	}
	span_end(s);
}

const struct op pages_ops[] = {
	{ "basic", "map2", 0, NATIVE, BATCHES, batch_map2_native },
	{ "basic", "map2", 0, RING, BATCHES, batch_map2 },
	{ 0 }
};

const struct op dirty_ops[] = {
	{ "process", "dirty_scan", 1024, NATIVE | RING, 1, batch_dirty_scan },
	{ 0 }
};
