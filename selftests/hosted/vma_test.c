// SPDX-License-Identifier: MIT
/*
 * vma_test.c - address spaces against a flat model
 *
 * The model has one cell per page of a small stretch of the address space: mapped or not, with
 * which rights, shared or not, of which page of the file, and the number last written there (0:
 * untouched). Every call is made on both and its result compared; every touched page is compared at
 * once, the whole from time to time.
 */
#include <linux/mman.h>
#include "core.h"
#include "../../userland/guest/mm/fault.h"
#include "../../userland/guest/mm/kmalloc.h"
#include "../../userland/guest/mm/mm_internal.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

#define BASE	0x7f0000000000ul
#define CELLS	192u

struct cell {
	bool mapped, shared, file, brk;
	u32 prot;
	u32 file_page;
	u64 value;	/* first word as the process sees it */
};

static struct cell cell[CELLS];
static struct mm *mm;
static u64 stamp;

static u64 va(u32 i)
{
	return BASE + (u64)i * PAGE_SIZE;
}

static u64 first_value(const struct cell *c)
{
	return c->file ? (c->file_page < FILE_PAGES ? c->file_page + 1 : 0) : 0;
}

/* Touches page @i as a process would and compares what is seen. */
static void touch(u32 i, bool write)
{
	struct cell *c = &cell[i];
	enum fault_cause r = mm_fault(mm, va(i), write ? FAULT_WRITE : FAULT_READ);
	pte_t *slot;
	u64 *w;

	if (!c->mapped) {
		CHECK(r == FAULT_NO_VMA, "page %u: %d", i, r);
		return;
	}
	if (write && !(c->prot & PROT_WRITE)) {
		CHECK(r == FAULT_WRITE_DENIED || r == FAULT_GUARD, "page %u: %d", i, r);
		return;
	}
	if (!c->prot) {
		CHECK(r == FAULT_READ_DENIED || r == FAULT_GUARD, "page %u: %d", i, r);
		return;
	}
	if (write && c->file && !c->shared && c->file_page >= FILE_PAGES && !c->value) {
		CHECK(r == FAULT_BEYOND_FILE, "page %u: %d", i, r);
		return;
	}
	CHECK(r == FAULT_OK, "page %u: %d", i, r);
	slot = pgtable_lookup(&mm->pt, va(i), NULL);
	CHECK(slot && *slot & PTE_P && *slot & PTE_U);
	CHECK(!write || *slot & PTE_W);
	CHECK(!(*slot & PTE_NX) == !!(c->prot & PROT_EXEC));
	CHECK(c->prot & PROT_WRITE || !(*slot & PTE_W));
	w = gpa_ptr(*slot & PTE_ADDR);
	CHECK(*w == c->value, "page %u: %lu instead of %lu", i, *w, c->value);
	if (write && !(c->file && c->shared)) {
		/*
		 * Nobody else may see it: not the file, not the zero page, not another page of
		 * ours.
		 */
		CHECK(gpa_is_arena(*slot & PTE_ADDR));
		/* Shared memory belongs to an object, which has a reference too. */
		CHECK(gpa_page(*slot & PTE_ADDR)->refs == (c->shared ? 2 : 1));
		*w = c->value = ++stamp;
	}
}

static void check_cells(u32 from, u32 to)
{
	for (u32 i = from; i < to; i++) {
		struct vma *v = mm_find(mm, va(i));

		CHECK(!!v == cell[i].mapped, "page %u", i);
		if (!v)
			continue;
		CHECK((v->flags & VM_PROT) == cell[i].prot &&
		      !!(v->flags & VM_SHARED) == cell[i].shared);
		CHECK(!!v->file == cell[i].file);
		if (v->file)
			CHECK(v->file->offset + v->file_off + (va(i) - v->start) ==
			      (u64)cell[i].file_page * PAGE_SIZE);
	}
}

static void pick(u32 *from, u32 *to)
{
	u32 n = 1 + rnd_below(rnd_below(4) ? 6 : 40);

	*from = rnd_below(CELLS);
	*to = min(*from + n, CELLS);
}

static bool free_range(u32 from, u32 to)
{
	for (; from < to; from++)
		if (cell[from].mapped)
			return false;
	return true;
}

static bool full_range(u32 from, u32 to)
{
	for (; from < to; from++)
		if (!cell[from].mapped)
			return false;
	return true;
}

static u32 any_prot(void)
{
	static const u32 p[] = { 0, PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE,
				 PROT_READ | PROT_EXEC, PROT_WRITE };

	return p[rnd_below(ARRAY_SIZE(p))];
}

static void op_mmap(u32 from, u32 to)
{
	bool file = rnd_below(3) == 0, shared = rnd_below(4) == 0, noreplace = rnd_below(4) == 0;
	u32 page = rnd_below(FILE_PAGES + 4);
	struct mmap_req r = {
		.addr = va(from), .len = (u64)(to - from) * PAGE_SIZE - rnd_below(PAGE_SIZE),
		.prot = any_prot(),
		.flags = (shared ? MAP_SHARED : MAP_PRIVATE) | (noreplace ? MAP_FIXED_NOREPLACE :
								MAP_FIXED) |
			 (file ? 0 : MAP_ANONYMOUS),
		.host_fd = file ? FILE_FD : -1, .offset = file ? page * PAGE_SIZE : 0,
	};
	long ret = mm_mmap(mm, &r);

	if (noreplace && !free_range(from, to)) {
		CHECK(ret == -EEXIST);
		return;
	}
	CHECK(ret == (long)va(from), "%ld", ret);
	for (; from < to; from++, page++) {
		cell[from] = (struct cell){ .mapped = true, .shared = shared, .file = file,
					    .prot = r.prot, .file_page = page };
		cell[from].value = first_value(&cell[from]);
	}
}

static void op_munmap(u32 from, u32 to)
{
	CHECK(mm_munmap(mm, va(from), (u64)(to - from) * PAGE_SIZE - rnd_below(PAGE_SIZE)) == 0);
	memset(&cell[from], 0, (to - from) * sizeof(cell[0]));
}

static void op_mprotect(u32 from, u32 to)
{
	u32 prot = any_prot(), i;
	long ret = mm_mprotect(mm, va(from), (u64)(to - from) * PAGE_SIZE, prot);

	CHECK(ret == (full_range(from, to) ? 0 : -ENOMEM), "%ld", ret);
	for (i = from; i < to && cell[i].mapped; i++)
		cell[i].prot = prot;
}

static void op_madvise(u32 from, u32 to)
{
	long ret = mm_madvise(mm, va(from), (u64)(to - from) * PAGE_SIZE, MADV_DONTNEED);

	CHECK(ret == (full_range(from, to) ? 0 : -ENOMEM), "%ld", ret);
	for (; from < to; from++)
		if (cell[from].mapped && !(cell[from].shared && !cell[from].file))
			cell[from].value = first_value(&cell[from]);
}

/* All pages of [from, to) belong to one VMA. */
static bool one_vma(u32 from, u32 to)
{
	struct vma *v = mm_find(mm, va(from));

	return v && v->end >= va(to);
}

static void op_mremap(u32 from, u32 to)
{
	u32 n = to - from, m = 1 + rnd_below(24), at = rnd_below(CELLS), i;
	struct cell moved[CELLS];
	bool file;
	long ret;

	if (at + m > CELLS || (at < to && from < at + m))
		return;
	host_no_more = rnd_below(4) == 0;
	ret = mm_mremap(mm, va(from), (u64)n * PAGE_SIZE, (u64)m * PAGE_SIZE,
			MREMAP_MAYMOVE | MREMAP_FIXED, va(at));
	if (!cell[from].mapped || !one_vma(from, to)) {
		/* It may be one no more, because it has moved: then everything was right before. */
		if (ret < 0) {
			CHECK(ret == -EFAULT, "%ld", ret);
			return;
		}
	}
	file = cell[from].file;
	if (ret == -ENOMEM && file && m > n && host_no_more) {
		/* What was at the target is gone, as in Linux. */
		memset(&cell[at], 0, m * sizeof(cell[0]));
		return;
	}
	CHECK(ret == (long)va(at), "%ld", ret);
	memcpy(moved, &cell[from], n * sizeof(cell[0]));
	memset(&cell[from], 0, n * sizeof(cell[0]));
	for (i = 0; i < m; i++) {
		cell[at + i] = i < n ? moved[i] : moved[0];
		if (i >= n) {
			cell[at + i].file_page = moved[0].file_page + i;
			cell[at + i].value = first_value(&cell[at + i]);
		}
	}
}

static void test_random(u64 rounds)
{
	u64 before = pages_free(), objects = kmalloc_in_use(), i;

	core_files_known = true;

	memset(cell, 0, sizeof(cell));
	mm = mm_create();
	CHECK(mm);
	mm_activate(mm);
	for (i = 0; i < rounds; i++) {
		u32 from, to, k;

		pick(&from, &to);
		switch (rnd_below(12)) {
		case 0:
		case 1:
			op_mmap(from, to);
			break;
		case 2:
			op_munmap(from, to);
			break;
		case 3:
		case 4:
			op_mprotect(from, to);
			break;
		case 5:
			op_madvise(from, to);
			break;
		case 6:
			op_mremap(from, to);
			break;
		default:
			k = rnd_below(CELLS);
			touch(k, rnd() & 1);
			from = k;
			to = k + 1;
		}
		check_cells(from, to);
		if (i % 256 == 0) {
			mm_check(mm);
			check_cells(0, CELLS);
		}
		if (i % 4096 == 0)
			for (k = 0; k < CELLS; k++)
				touch(k, false);
	}
	mm_check(mm);
	mm_activate(NULL);
	mm_put(mm);
	core_files_known = false;
	CHECK(window_maps > 0);	/* kept for the next time */
	file_map_drop_spare();
	CHECK(kmalloc_in_use() == objects && window_maps == 0);
	CHECK(before - pages_free() <= 14, "%lu pages are gone", before - pages_free());
	page_alloc_check();
	PASS("VMAs: %lu random calls and touches as the model says, nothing leaked", i);
}

/*
 * Where the kernel chooses: highest free place below mmap_base, never over something, never near a
 * stack.
 */
static void test_placement(void)
{
	enum { N = 300 };
	u64 at[N], len[N], base;
	struct mmap_req r = { .prot = PROT_READ, .flags = MAP_PRIVATE | MAP_ANONYMOUS,
			      .host_fd = -1 };

	mm = mm_create();
	base = mm->mmap_base;
	memset(at, 0, sizeof(at));
	for (int i = 0; i < 30000; i++) {
		u32 k = rnd_below(N);

		if (at[k]) {
			CHECK(!mm_munmap(mm, at[k], len[k]));
			at[k] = 0;
			continue;
		}
		r.len = len[k] = (1 + rnd_below(64)) * PAGE_SIZE;
		r.prot = rnd() & 1 ? PROT_READ : PROT_READ | PROT_WRITE;
		at[k] = mm_mmap(mm, &r);
		CHECK((long)at[k] > 0 && at[k] + len[k] <= base);
		for (u32 j = 0; j < N; j++)
			CHECK(j == k || !at[j] || at[j] + len[j] <= at[k] ||
			      at[k] + len[k] <= at[j]);
		/* Nothing higher would have done. */
		for (u64 a = at[k] + PAGE_SIZE; i % 64 == 0 && a + len[k] <= base; a += PAGE_SIZE) {
			bool clear = true;

			for (u32 j = 0; j < N && clear; j++)
				clear = j == k || !at[j] || at[j] + len[j] <= a ||
					a + len[k] <= at[j];
			CHECK(!clear || a < at[k] + len[k], "%#lx is higher than %#lx", a, at[k]);
		}
		if (i % 256 == 0)
			mm_check(mm);
	}
	mm_put(mm);
	PASS("placement: the highest free place, 30000 times");
}

struct row {
	const char *what;
	u64 addr, len;
	u32 prot, flags;
	long want;
};

static void test_errors(void)
{
	const u32 anon = MAP_PRIVATE | MAP_ANONYMOUS;
	const struct row rows[] = {
		{ "no length", 0, 0, PROT_READ, anon, -EINVAL },
		{ "length that wraps", 0, ~0ul, PROT_READ, anon, -ENOMEM },
		{ "too long", 0, 1ul << 47, PROT_READ, anon, -ENOMEM },
		{ "neither shared nor private", 0, 4096, PROT_READ, MAP_ANONYMOUS, -EINVAL },
		{ "unknown protection", 0, 4096, 0x100, anon, -EINVAL },
		{ "writable and executable", 0, 4096, PROT_WRITE | PROT_EXEC, anon, -EACCES },
		{ "fixed, not aligned", 0x10001, 4096, PROT_READ, anon | MAP_FIXED, -EINVAL },
		{ "fixed at 0", 0, 4096, PROT_READ, anon | MAP_FIXED, -EPERM },
		{ "fixed, low", 0xf000, 4096, PROT_READ, anon | MAP_FIXED, -EPERM },
		{ "fixed at the kernel's half", 0xffff800000000000, 4096, PROT_READ,
		  anon | MAP_FIXED, -ENOMEM },
		{ "fixed over the end", USER_TOP - 4096, 8192, PROT_READ, anon | MAP_FIXED,
		  -ENOMEM },
		{ "huge pages", 0, 2 << 20, PROT_READ, anon | MAP_HUGETLB, -ENOMEM },
		{ "no descriptor", 0, 4096, PROT_READ, MAP_PRIVATE, -EBADF },
		{ "shared-validate with unknown flag", 0, 4096, PROT_READ,
		  MAP_SHARED_VALIDATE | MAP_ANONYMOUS | 0x8000000, -EOPNOTSUPP },
		{ "hint is taken", 0x20000000, 4096, PROT_READ, anon, 0x20000000 },
		{ "noreplace on it", 0x20000000, 4096, PROT_READ, anon | MAP_FIXED_NOREPLACE,
		  -EEXIST },
		{ "in the second GiB", 0, 1 << 20, PROT_READ, anon | MAP_32BIT, 1 << 30 },
		{ "behind it", 0, 4096, PROT_READ, anon | MAP_32BIT, (1 << 30) + (1 << 20) },
		{ "too much for it", 0, 1ul << 30, PROT_READ, anon | MAP_32BIT, -ENOMEM },
		{ "lowest address", 0x10000, 4096, PROT_READ, anon | MAP_FIXED, 0x10000 },
		{ "highest address", USER_TOP - 4096, 4096, PROT_READ, anon | MAP_FIXED,
		  USER_TOP - 4096 },
	};
	struct mmap_req r;

	mm = mm_create();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		long ret;

		r = (struct mmap_req){ .addr = rows[i].addr, .len = rows[i].len,
				       .prot = rows[i].prot, .flags = rows[i].flags,
				       .host_fd = -1 };
		ret = mm_mmap(mm, &r);
		CHECK(ret == rows[i].want, "%s: %ld", rows[i].what, ret);
	}
	r = (struct mmap_req){ .len = 4096, .prot = PROT_READ, .flags = MAP_PRIVATE,
			       .host_fd = FILE_FD, .offset = 1 };
	CHECK(mm_mmap(mm, &r) == -EINVAL);
	r.offset = ~0ul << 12;
	CHECK(mm_mmap(mm, &r) == -EOVERFLOW);
	r.offset = 0;
	host_map_fails = true;
	CHECK(mm_mmap(mm, &r) == -ENOMEM && window_maps == 0);
	host_map_fails = false;
	r.len = WINDOW_SIZE + 4096;
	CHECK(mm_mmap(mm, &r) == -ENOMEM);

	CHECK(mm_munmap(mm, 1, 4096) == -EINVAL && mm_munmap(mm, 0, 0) == -EINVAL);
	CHECK(mm_munmap(mm, 4096, ~0ul - 4096) == -EINVAL &&
	      mm_munmap(mm, USER_TOP + 4096, 4096) == -EINVAL);
	CHECK(mm_munmap(mm, 0x30000000, 4096) == 0);
	CHECK(mm_mprotect(mm, 1, 4096, PROT_READ) == -EINVAL &&
	      mm_mprotect(mm, 0x30000000, 4096, PROT_READ) == -ENOMEM);
	CHECK(mm_mprotect(mm, 0x20000000, 4096, 0x80) == -EINVAL &&
	      mm_mprotect(mm, 0x20000000, 0, PROT_READ) == 0);
	CHECK(mm_mprotect(mm, 0x20000000, 4096, PROT_READ | PROT_WRITE | PROT_EXEC) == -EACCES);
	CHECK(mm_mremap(mm, 1, 4096, 4096, 0, 0) == -EINVAL &&
	      mm_mremap(mm, 0x20000000, 4096, 0, 0, 0) == -EINVAL);
	CHECK(mm_mremap(mm, 0x30000000, 4096, 4096, 0, 0) == -EFAULT &&
	      mm_mremap(mm, 0x20000000, 8192, 4096, 0, 0) == -EFAULT);
	CHECK(mm_mremap(mm, 0x20000000, 4096, 8192, MREMAP_FIXED, 0x40000000) == -EINVAL);
	CHECK(mm_mremap(mm, 0x20000000, 4096, 4096, MREMAP_FIXED | MREMAP_MAYMOVE,
			0x20000000) == -EINVAL);
	CHECK(mm_mremap(mm, 0x20000000, 4096, 8192, 0, 0) == 0x20000000 && mm_find(mm, 0x20001000));
	CHECK(mm_madvise(mm, 1, 4096, MADV_DONTNEED) == -EINVAL &&
	      mm_madvise(mm, 0x20000000, 4096, 9999) == -EINVAL);
	CHECK(mm_madvise(mm, 0x30000000, 4096, MADV_DONTNEED) == -ENOMEM);
	CHECK(mm_msync(mm, 0x20000000, 4096, MS_SYNC | MS_ASYNC) == -EINVAL &&
	      mm_msync(mm, 0x20000000, 4096, MS_SYNC) == 0);
	mm->limit_as = mm->total + 8192;
	r = (struct mmap_req){ .len = 12288, .prot = PROT_READ,
			       .flags = MAP_PRIVATE | MAP_ANONYMOUS, .host_fd = -1 };
	CHECK(mm_mmap(mm, &r) == -ENOMEM);
	r.len = 8192;
	CHECK(mm_mmap(mm, &r) > 0);
	mm_put(mm);
	PASS("bad arguments get Linux's errors, %zu rows and more", ARRAY_SIZE(rows));
}

static void test_stack_and_brk(void)
{
	struct vma *v;

	mm = mm_create();
	mm->limit_stack = 1ul << 20;
	mm->stack_top = 0x7ffff0000000;
	CHECK(vma_add(mm, mm->stack_top - 0x4000, mm->stack_top,
		      VM_READ | VM_WRITE | VM_MAYWRITE | VM_GROWSDOWN, NULL, 0));
	CHECK(mm_fault(mm, mm->stack_top - 0x8000, FAULT_WRITE) == FAULT_OK);
	v = mm_find(mm, mm->stack_top - 1);
	CHECK(v && v->start == mm->stack_top - 0x8000);
	CHECK(mm_fault(mm, mm->stack_top - (1ul << 20), FAULT_WRITE) == FAULT_OK);
	CHECK(mm_fault(mm, mm->stack_top - (1ul << 20) - 1, FAULT_WRITE) == FAULT_STACK_LIMIT);
	CHECK(mm_fault(mm, mm->stack_top - (8ul << 20), FAULT_WRITE) == FAULT_NO_VMA);
	/* However low it begins, it does not grow to where nothing may be mapped. */
	CHECK(vma_add(mm, 0x10000, 0x11000, VM_READ | VM_WRITE | VM_MAYWRITE | VM_GROWSDOWN, NULL,
		      0));
	CHECK(mm_fault(mm, 0xf000, FAULT_WRITE) == FAULT_NO_VMA);
	CHECK(mm_fault(mm, 0, FAULT_READ) == FAULT_NO_VMA);
	CHECK(mm_fault(mm, 0x10000, FAULT_WRITE) == FAULT_OK);
	/* A thread's stack: a guard page below it. */
	{
		struct mmap_req r = { .addr = 0x40000000, .len = 0x10000,
				      .flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
				      .host_fd = -1 };

		CHECK(mm_mmap(mm, &r) == 0x40000000);
		CHECK(!mm_mprotect(mm, 0x40001000, 0xf000, PROT_READ | PROT_WRITE));
		CHECK(mm_fault(mm, 0x40000ff8, FAULT_WRITE) == FAULT_GUARD);
		CHECK(mm_fault(mm, 0x40001000, FAULT_WRITE) == FAULT_OK);
		CHECK(mm_fault(mm, 0x40001000, FAULT_EXEC) == FAULT_EXEC_DENIED);
	}
	mm->brk_start = mm->brk = 0x10000123;
	CHECK(mm_brk(mm, 0) == 0x10000123);
	CHECK(mm_brk(mm, 0x10005001) == 0x10005001 && mm_find(mm, 0x10005fff) &&
	      !mm_find(mm, 0x10006000));
	CHECK(mm_fault(mm, 0x10005000, FAULT_WRITE) == FAULT_OK);
	CHECK(mm_brk(mm, 0x10002000) == 0x10002000 && !mm_find(mm, 0x10002000) &&
	      mm_find(mm, 0x10001fff));
	CHECK(mm_brk(mm, 0x10000000) == 0x10002000);
	CHECK(mm_brk(mm, 0x41000000) == 0x10002000);	/* something is in the way */
	mm->limit_data = 0x1000000;
	CHECK(mm_brk(mm, 0x12000000) == 0x10002000);
	mm_check(mm);
	mm_put(mm);
	PASS("stack growth, its limit, guard pages, brk");
}

/*
 * A page that somebody else holds too (a request to the host under way, later a child) must be
 * copied before it is written again; the last owner just gets its write bit back.
 */
static void test_copy_on_write(void)
{
	struct mmap_req r = { .addr = BASE, .len = PAGE_SIZE, .prot = PROT_READ | PROT_WRITE,
			      .flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, .host_fd = -1 };
	struct page *p, *q;
	u64 copies;

	mm = mm_create();
	CHECK(mm_mmap(mm, &r) == (long)BASE);
	CHECK(mm_fault(mm, BASE, FAULT_WRITE) == FAULT_OK);
	p = gpa_page(*pgtable_lookup(&mm->pt, BASE, NULL) & PTE_ADDR);
	*(u64 *)page_ptr(p) = 4711;
	copies = core_boot.stats.cow_copies;
	CHECK(!mm_mprotect(mm, BASE, PAGE_SIZE, PROT_READ));
	CHECK(!mm_mprotect(mm, BASE, PAGE_SIZE, PROT_READ | PROT_WRITE));
	CHECK(mm_fault(mm, BASE, FAULT_WRITE) == FAULT_OK);
	CHECK(gpa_page(*pgtable_lookup(&mm->pt, BASE, NULL) & PTE_ADDR) == p);
	CHECK(core_boot.stats.cow_copies == copies);

	page_get(p);
	CHECK(!mm_mprotect(mm, BASE, PAGE_SIZE, PROT_READ));
	CHECK(!mm_mprotect(mm, BASE, PAGE_SIZE, PROT_READ | PROT_WRITE));
	tlb_flushes = 0;
	CHECK(mm_fault(mm, BASE, FAULT_WRITE) == FAULT_OK);
	q = gpa_page(*pgtable_lookup(&mm->pt, BASE, NULL) & PTE_ADDR);
	CHECK(q != p && p->refs == 1 && q->refs == 1 && tlb_flushes);
	CHECK(*(u64 *)page_ptr(q) == 4711 && core_boot.stats.cow_copies == copies + 1);
	page_put(p);
	mm_put(mm);
	page_alloc_check();
	PASS("a page that two hold is copied, the last owner's is not");
}

static void test_out_of_memory(void)
{
	struct mmap_req r = { .addr = BASE, .len = ARENA_SIZE * 2, .prot = PROT_READ | PROT_WRITE,
			      .flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, .host_fd = -1 };
	u64 before, n = 0;

	mm = mm_create();
	before = pages_free();
	CHECK(mm_mmap(mm, &r) == (long)BASE);
	while (mm_fault(mm, BASE + n * PAGE_SIZE, FAULT_WRITE) == FAULT_OK)
		n++;
	CHECK(n > before - before / 256 - 300 && mm_fault(mm, BASE + n * PAGE_SIZE,
							  FAULT_WRITE) == FAULT_NO_MEMORY);
	mm_check(mm);
	CHECK(!mm_madvise(mm, BASE, n * PAGE_SIZE, MADV_DONTNEED));
	CHECK(mm_fault(mm, BASE, FAULT_WRITE) == FAULT_OK);
	mm_put(mm);
	page_alloc_check();
	PASS("out of memory: an answer, and everything works again afterwards");
}

int main(int argc, char **argv)
{
	u64 rounds = argc > 2 ? strtoul(argv[2], NULL, 0) : 1200000;

	rnd_seed(argc > 1 ? strtoul(argv[1], NULL, 0) : 1);
	core_init(0x100000);
	page_alloc_init(ARENA_SIZE, 0x100000, false);
	window_init(WINDOW_GPA, WINDOW_SIZE);
	fault_init();
	test_random(rounds);
	test_placement();
	test_errors();
	test_stack_and_brk();
	test_copy_on_write();
	test_out_of_memory();
	DONE();
}
