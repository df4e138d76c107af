// SPDX-License-Identifier: MIT
/*
 * window_test.c - pieces of files in the window: who shares them, when they are kept, when they go
 *
 * The host's mappings are counted (window_maps), and each file has contents of its own, so a piece
 * that is given to the wrong file shows.
 */
#include "core.h"
#include "../../userland/guest/mm/kmalloc.h"
#include "../../userland/guest/mm/page_alloc.h"
#include "../../userland/guest/mm/window.h"

#define P	PAGE_SIZE
#define KEPT	64u	/* window.c: IDLE_MAX, */
#define PART	32u	/* IDLE_PART */

static u64 asked;	/* core_boot.stats.file_maps at the last look */

/* Mappings that the host was asked for since the last time. */
static u64 new_maps(void)
{
	u64 n = core_boot.stats.file_maps - asked;

	asked = core_boot.stats.file_maps;
	return n;
}

static struct file_map *map(u32 file, u64 page, u64 pages)
{
	struct file_map *m = file_map_create(FILE_FD + file, page * P, pages * P, 0, NULL);

	CHECK(!IS_ERR(m), "%ld", PTR_ERR(m));
	CHECK(m->offset == page * P && m->size == pages * P && m->refs == 1);
	for (u64 i = 0; i < pages; i++)
		CHECK(*(u64 *)gpa_ptr(m->gpa + i * P) ==
		      (page + i < FILE_PAGES ? page + i + 1 + file * 0x10000 : 0),
		      "file %u page %lu", file, page + i);
	return m;
}

/* No pieces; file N has inode N + 1. */
static void fresh(void)
{
	file_map_drop_spare();
	CHECK(window_maps == 0);
	memset(core_file_ids, 0, sizeof(core_file_ids));
	for (u32 i = 0; i < FILES; i++)
		core_file_ids[i] = (struct rs_file_id){ 8, i + 1, FILE_PAGES * P, 100, 5, 200, 6 };
	core_files_known = true;
	core_file_answer = 0;
	new_maps();
}

static void test_shared(void)
{
	struct refstr *a = refstr_new("/a"), *b = refstr_new("/b");
	struct file_map *m, *n, *o;
	u64 gpa;

	fresh();
	m = file_map_create(FILE_FD, 0, 16 * P, 0, a);
	n = file_map_create(FILE_FD, 4 * P, 2 * P, 0, b);
	CHECK(new_maps() == 1 && window_maps == 1);
	CHECK(n->gpa == m->gpa + 4 * P && n->offset == 4 * P && n->size == 2 * P);
	CHECK(!strcmp(refstr_text(m->name), "/a") && !strcmp(refstr_text(n->name), "/b"));
	/* Beyond it, before it, across its end: others. */
	o = map(0, 15, 2);
	CHECK(new_maps() == 1 && window_maps == 2);
	file_map_put(o);
	o = map(0, 16, 1);
	CHECK(new_maps() == 0 && window_maps == 2 && o->gpa != m->gpa + 16 * P);
	file_map_put(o);
	gpa = m->gpa;
	file_map_put(m);
	file_map_put(n);
	CHECK(window_maps == 2);
	m = map(0, 0, 16);
	CHECK(new_maps() == 0 && m->gpa == gpa);
	file_map_get(m);
	file_map_put(m);
	CHECK(m->refs == 1);
	file_map_put(m);
	refstr_put(a);
	refstr_put(b);
	PASS("a piece is shared in whole and in part, with names apart, and kept");
}

static void test_identity(void)
{
	struct file_map *m, *used;
	u64 *field = (u64 *)&core_file_ids[3];

	fresh();
	file_map_put(map(3, 0, 4));
	new_maps();
	for (u32 i = 0; i < sizeof(struct rs_file_id) / 8; i++) {
		u64 maps = window_maps;

		field[i]++;
		m = map(3, 0, 4);
		CHECK(new_maps() == 1, "field %u", i);
		/* What it was before is of no use to anybody, unless it is another inode's. */
		CHECK(window_maps == (i < 2 ? maps + 1 : maps), "field %u: %lu", i, window_maps);
		file_map_put(m);
		file_map_put(map(3, 1, 1));
		CHECK(new_maps() == 0);
	}
	fresh();
	used = map(3, 0, 4);
	core_file_ids[3].mtime_ns++;
	m = map(3, 0, 4);
	CHECK(new_maps() == 2 && window_maps == 2 && m->gpa != used->gpa);
	file_map_put(used);
	file_map_put(m);
	/* Two descriptors of one file are one file. */
	fresh();
	core_file_ids[4] = core_file_ids[3];
	used = map(3, 0, 4);
	m = file_map_create(FILE_FD + 4, 0, 4 * P, 0, NULL);
	CHECK(new_maps() == 1 && m->gpa == used->gpa);
	file_map_put(used);
	file_map_put(m);
	PASS("a file that was changed, truncated or replaced is another one");
}

static void test_not_kept(void)
{
	struct file_map *m, *n;

	fresh();
	m = file_map_create(FILE_FD, 0, P, RS_MAP_SHARED | RS_MAP_WRITE, NULL);
	n = file_map_create(FILE_FD, 0, P, RS_MAP_SHARED | RS_MAP_WRITE, NULL);
	CHECK(window_maps == 2 && m->gpa != n->gpa);
	file_map_put(map(0, 0, 1));
	CHECK(window_maps == 3);
	file_map_put(m);
	file_map_put(n);
	CHECK(window_maps == 1);
	fresh();
	file_map_put(map(0, 0, 1));
	new_maps();
	/* The host says what is wrong with a descriptor, whatever is there. */
	core_file_answer = -EACCES;
	m = file_map_create(FILE_FD, 0, P, 0, NULL);
	CHECK(new_maps() == 1 && !IS_ERR(m));
	file_map_put(m);
	CHECK(window_maps == 1);
	m = file_map_create(FILE_FD - 1, 0, P, 0, NULL);
	CHECK(PTR_ERR(m) == -EBADF && new_maps() == 1 && window_maps == 1);
	/* Not certain: it may find, but nobody finds it. */
	core_file_answer = 1;
	file_map_put(map(0, 0, 1));
	CHECK(new_maps() == 0);
	file_map_put(map(1, 0, 1));
	file_map_put(map(1, 0, 1));
	CHECK(new_maps() == 2 && window_maps == 1);
	CHECK(PTR_ERR(file_map_create(FILE_FD, 0, 0, 0, NULL)) == -EINVAL);
	CHECK(PTR_ERR(file_map_create(FILE_FD, 1, P, 0, NULL)) == -EINVAL);
	CHECK(PTR_ERR(file_map_create(FILE_FD, 0, P + 1, 0, NULL)) == -EINVAL);
	CHECK(PTR_ERR(file_map_create(FILE_FD, -P, P, 0, NULL)) == -EINVAL);
	PASS("shared mappings, what the host refuses and what it is not sure of");
}

static void test_oldest(void)
{
	struct file_map *m[FILES];
	u32 i;

	fresh();
	for (i = 0; i < FILES; i++)
		m[i] = map(i, 0, 1);
	CHECK(window_maps == FILES);
	for (i = 0; i < FILES; i++)
		file_map_put(m[i]);
	CHECK(window_maps == KEPT);
	new_maps();
	/* The last ones are there; used again they are the last to go. */
	for (i = FILES - KEPT; i < FILES; i++)
		file_map_put(map(i, 0, 1));
	CHECK(new_maps() == 0);
	file_map_put(map(FILES - KEPT, 0, 1));
	file_map_put(map(0, 0, 1));
	CHECK(new_maps() == 1 && window_maps == KEPT);
	file_map_put(map(FILES - KEPT, 0, 1));
	CHECK(new_maps() == 0);
	file_map_put(map(FILES - KEPT + 1, 0, 1));
	CHECK(new_maps() == 1);
	fresh();
	for (i = 0; i < 8; i++)
		file_map_put(map(i, 0, FILE_PAGES / 2));
	CHECK(window_maps == WINDOW_SIZE / PART / (FILE_PAGES / 2 * P));
	/* One that is larger than all of the part is not kept. */
	file_map_put(map(0, 0, WINDOW_SIZE / PART / P + 1));
	CHECK(window_maps == 0);
	PASS("so many are kept, and so many bytes; the one left first goes first");
}

static void test_full(void)
{
	struct file_map *a, *b;

	fresh();
	for (u32 i = 0; i < 8; i++)
		file_map_put(map(i, 0, 1));
	a = file_map_create(FILE_FD, 0, WINDOW_SIZE - 4 * P, 0, NULL);
	CHECK(!IS_ERR(a) && window_maps <= 5);
	b = map(9, 0, 4);
	CHECK(window_maps == 2);
	CHECK(PTR_ERR(file_map_create(FILE_FD + 10, 0, P, 0, NULL)) == -ENOMEM);
	file_map_put(b);
	CHECK(window_maps == 2);
	file_map_put(map(10, 0, 1));
	CHECK(window_maps == 2);
	file_map_put(a);
	fresh();
	for (u32 i = 0; i < 8; i++)
		file_map_put(map(i, 0, 1));
	host_map_fails = true;
	CHECK(PTR_ERR(file_map_create(FILE_FD + 9, 0, P, 0, NULL)) == -ENOMEM);
	CHECK(window_maps == 0);
	host_map_fails = false;
	PASS("what is kept makes room in the window and on the host");
}

static void test_random(u64 rounds)
{
	struct file_map *m[64] = { 0 };
	u64 objects, i;

	fresh();
	objects = kmalloc_in_use();
	for (i = 0; i < rounds; i++) {
		u32 k = rnd_below(ARRAY_SIZE(m)), file = rnd_below(FILES);
		u64 page = rnd_below(FILE_PAGES), pages = 1 + rnd_below(FILE_PAGES - page);

		if (m[k]) {
			CHECK(*(u64 *)gpa_ptr(m[k]->gpa) % 0x10000 == m[k]->offset / P + 1);
			file_map_put(m[k]);
			m[k] = NULL;
			continue;
		}
		if (rnd_below(16) == 0)
			core_file_ids[file].mtime++;
		core_file_answer = rnd_below(8) == 0;
		core_fail_in = rnd_below(8) ? -1 : (s64)rnd_below(2);
		m[k] = file_map_create(FILE_FD + file, page * P, pages * P,
				       rnd_below(8) ? 0 : RS_MAP_SHARED, NULL);
		core_fail_in = -1;
		if (IS_ERR(m[k])) {
			CHECK(PTR_ERR(m[k]) == -ENOMEM);
			m[k] = NULL;
			continue;
		}
		for (u64 p = 0; p < pages; p++)
			CHECK(*(u64 *)gpa_ptr(m[k]->gpa + p * P) == page + p + 1 + file * 0x10000);
	}
	for (i = 0; i < ARRAY_SIZE(m); i++)
		if (m[i])
			file_map_put(m[i]);
	file_map_drop_spare();
	CHECK(window_maps == 0 && kmalloc_in_use() == objects);
	/* All of the window is free again. */
	m[0] = file_map_create(FILE_FD, 0, WINDOW_SIZE, 0, NULL);
	CHECK(!IS_ERR(m[0]));
	file_map_put(m[0]);
	file_map_drop_spare();
	CHECK(window_maps == 0 && kmalloc_in_use() == objects);
	PASS("%lu random mappings show the right file, and nothing is left", rounds);
}

int main(int argc, char **argv)
{
	u64 objects;

	rnd_seed(argc > 1 ? strtoull(argv[1], NULL, 0) : 1);
	core_init(4 << 20);
	page_alloc_init(ARENA_SIZE, 4 << 20, true);
	window_init(WINDOW_GPA, WINDOW_SIZE);
	objects = kmalloc_in_use();
	test_shared();
	test_identity();
	test_not_kept();
	test_oldest();
	test_full();
	test_random(100000);
	CHECK(kmalloc_in_use() == objects);
	page_alloc_check();
	DONE();
}
