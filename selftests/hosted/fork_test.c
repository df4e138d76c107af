// SPDX-License-Identifier: MIT
/*
 * fork_test.c - a tree of address spaces against a plain model
 *
 * The model has, for each process and each page of a few stretches of the address space (across
 * borders of all levels of the page table, and one that 2 MiB pages can be put into), what a
 * process must see there. Private pages have a value of their own, which fork copies; shared ones
 * name a slot, which all processes that inherited the mapping see.
 *
 * Processes touch memory through a simulated CPU: a TLB that remembers translations until it is
 * told to forget, then a walk with the write bits of all levels, then mm_fault(). It sets dirty
 * bits as a CPU does: once, when a translation is first used to write. After each step the TLB may
 * hold nothing that the page table would not give as well, so a flush that is missing is found.
 * From time to time everything is checked: every page of every process, that no page one process
 * can write is seen by another one (but shared memory), and all reference counts, counted anew
 * from all page tables and objects.
 *
 * Every now and then allocations fail: the operation must say so and have changed nothing (or what
 * its comment says), and nothing may be lost.
 */
#include <linux/mman.h>
#include <ringside_app.h>
#include "core.h"
#include "../../userland/guest/arch/tlb.h"
#include "../../userland/guest/mm/fault.h"
#include "../../userland/guest/mm/kmalloc.h"
#include "../../userland/guest/mm/mm_internal.h"
#include "../../userland/guest/mm/pages.h"

#define NPROCS		10u
#define STRETCH		64u
#define NSTRETCH	3u
#define HUGE_CELLS	512u
#define HUGE_FIRST	(STRETCH * NSTRETCH)
#define NCELLS		(HUGE_FIRST + HUGE_CELLS)
#define NSLOTS		(NPROCS * NCELLS)
#define RIGHTS_RW	(PROT_READ | PROT_WRITE)
#define LAST_WORD	511	/* of a page */

/* Across a border of levels 2, 3 and 4; the 2 MiB page lies beside the first one. */
static const u64 stretch_base[NSTRETCH] = {
	0x40000000 - STRETCH / 2 * PAGE_SIZE, 0x7f0040000000 - STRETCH / 2 * PAGE_SIZE,
	0x8000000000 - STRETCH / 2 * PAGE_SIZE,
};
#define HUGE_BASE	0x40200000ul

struct cell {
	bool mapped, shared, file;
	bool dontfork, wipe;
	bool beyond;	/* of the file, not written yet */
	u8 prot;
	u8 taken;	/* from this page alone: 1 to write, 2 all rights */
	bool dirty;	/* written here since it is there, or since the bit was taken */
	bool unclear;	/* may be reported as dirty without */
	u8 mark;	/* set of four */
	bool calls;	/* what is taken is not for calls */
	u32 page;	/* of the file */
	u32 slot;	/* shared: where the value is */
	u64 value;	/* private: both the first and the last word, if not the file's */
};

struct proc {
	struct mm *mm;
	bool unstarted;	/* is given memory, and does not run */
	struct cell cell[NCELLS];
};

static struct proc procs[NPROCS];
static struct proc *cur;
static struct { u64 value; u32 refs; } slots[NSLOTS];
static u64 stamp = 1ull << 32;	/* no page of the file has such a value */
static u64 failures, forks, exits, huge_maps, marks, host_writes, takes, gifts, replaced, call_writes;
static u64 scans, doubles;

static u64 va(u32 i)
{
	if (i >= HUGE_FIRST)
		return HUGE_BASE + (u64)(i - HUGE_FIRST) * PAGE_SIZE;
	return stretch_base[i / STRETCH] + (u64)(i % STRETCH) * PAGE_SIZE;
}

/* --- the CPU ---------------------------------------------------------------------------------- */

#define TLB_SIZE 128u

/* @size: of the page it was part of, which one flush forgets altogether. */
static struct { u64 va, gpa, size; bool write, dirty; } tlb[TLB_SIZE];
static u64 flushes;

/* Pointers to level-1 tables that the CPU remembers; any flush forgets all (SDM 3A 4.10.4.1). */
#define NPOINTERS 16u
static struct { u64 va, table; } pointers[NPOINTERS];

void tlb_flush_page(u64 a)
{
	flushes++;
	memset(pointers, 0, sizeof(pointers));
	for (u32 i = 0; i < TLB_SIZE; i++)
		if (tlb[i].va && !((tlb[i].va ^ a) & ~(tlb[i].size - 1)))
			tlb[i].va = 0;
}

void tlb_flush_all(void)
{
	flushes++;
	memset(pointers, 0, sizeof(pointers));
	memset(tlb, 0, sizeof(tlb));
}

void tlb_load_root(u64 gpa)
{
	(void)gpa;
	memset(pointers, 0, sizeof(pointers));
	memset(tlb, 0, sizeof(tlb));
}

/* What the page table gives for @a: the GPA, and the rights of all levels together. */
static bool walk_size(struct mm *mm, u64 a, u64 *gpa, pte_t *rights, u64 *size)
{
	u64 table = mm->pt.root;
	pte_t e, all = PTE_P | PTE_W | PTE_U;

	*rights = 0;
	for (int l = PT_LEVELS; ; l--) {
		e = ((pte_t *)gpa_ptr(table))[pt_index(a, l)];
		all &= e;
		if (!(e & PTE_P))
			return false;
		if (l == 1 || e & PTE_PS) {
			*gpa = (e & PTE_ADDR) + (a & (pt_size(l) - 1) & PAGE_MASK);
			*rights = all | (e & (PTE_NX | PTE_OWNED));
			*size = pt_size(l);
			return true;
		}
		table = e & PTE_ADDR;
	}
}

static bool walk(struct mm *mm, u64 a, u64 *gpa, pte_t *rights)
{
	u64 size;

	return walk_size(mm, a, gpa, rights, &size);
}

/* The level-1 table that holds @a's entry, 0 without. */
static u64 level1_table(struct mm *mm, u64 a)
{
	u64 table = mm->pt.root;

	for (int l = PT_LEVELS; l > 1; l--) {
		pte_t e = ((pte_t *)gpa_ptr(table))[pt_index(a, l)];

		if (!(e & PTE_P) || e & PTE_PS)
			return 0;
		table = e & PTE_ADDR;
	}
	return table;
}

/* Nothing in the TLB that the page table would not give. */
static void check_tlb(void)
{
	for (u32 i = 0; i < NPOINTERS; i++)
		CHECK(!pointers[i].va ||
		      level1_table(cur->mm, pointers[i].va) == pointers[i].table,
		      "stale pointer to the table of %#lx", pointers[i].va);
	for (u32 i = 0; i < TLB_SIZE; i++) {
		pte_t rights;
		u64 gpa;

		if (!tlb[i].va)
			continue;
		CHECK(walk(cur->mm, tlb[i].va, &gpa, &rights) && gpa == tlb[i].gpa,
		      "stale translation of %#lx", tlb[i].va);
		CHECK(!tlb[i].write || rights & PTE_W, "stale write right for %#lx", tlb[i].va);
		CHECK(!tlb[i].dirty || *pgtable_lookup(&cur->mm->pt, tlb[i].va, NULL) & PTE_D,
		      "%#lx will be written and not be dirty", tlb[i].va);
	}
}

static void set_dirty(u32 t)
{
	if (!tlb[t].dirty)
		*pgtable_lookup(&cur->mm->pt, tlb[t].va, NULL) |= PTE_D;
	tlb[t].dirty = true;
}

/* An access of the current process: where it goes, or why not. */
static enum fault_cause access_by(u64 a, bool write, bool call, u64 *gpa)
{
	enum fault_cause c = FAULT_OK;
	pte_t rights;
	u32 t = a / PAGE_SIZE % TLB_SIZE;
	int level;

	if (tlb[t].va == a && (tlb[t].write || !write)) {
		*gpa = tlb[t].gpa;
		if (write)
			set_dirty(t);
		return FAULT_OK;
	}
	if (!walk(cur->mm, a, gpa, &rights) || (write && !(rights & PTE_W)))
		c = mm_fault(cur->mm, a + rnd_below(PAGE_SIZE),
			     (write ? FAULT_WRITE : FAULT_READ) | (call ? FAULT_CALL : 0));
	if (c)
		return c;
	CHECK(walk_size(cur->mm, a, gpa, &rights, &tlb[t].size) && rights & PTE_U &&
	      (!write || rights & PTE_W));
	CHECK(pgtable_present(&cur->mm->pt, a, PTE_P | (rights & PTE_W), &level));
	CHECK(rights & PTE_W || !pgtable_present(&cur->mm->pt, a, PTE_P | PTE_W, &level));
	tlb[t].va = a;
	tlb[t].gpa = *gpa;
	tlb[t].write = write;
	tlb[t].dirty = false;
	if (write)
		set_dirty(t);
	t = a / HUGE_SIZE % NPOINTERS;
	pointers[t].table = level1_table(cur->mm, a);
	pointers[t].va = pointers[t].table ? a : 0;
	return FAULT_OK;
}

static enum fault_cause access(u64 a, bool write, u64 *gpa)
{
	return access_by(a, write, false, gpa);
}

static void run(struct proc *p)
{
	if (p == cur)
		return;
	cur = p;
	mm_activate(p ? p->mm : NULL);
}

/* --- the model -------------------------------------------------------------------------------- */

static u64 cell_value(const struct cell *c)
{
	return c->shared ? slots[c->slot].value : c->value;
}

static u32 slot_new(u64 value)
{
	static u32 next;

	for (;; next++) {
		if (next == NSLOTS)
			next = 0;
		if (!slots[next].refs) {
			slots[next].refs = 1;
			slots[next].value = value;
			return next;
		}
	}
}

static void cell_clear(struct cell *c)
{
	if (c->mapped && c->shared)
		slots[c->slot].refs--;
	*c = (struct cell){ 0 };
}

static void cells_clear(struct proc *p, u32 from, u32 to)
{
	for (; from < to; from++)
		cell_clear(&p->cell[from]);
}

static struct proc *free_proc(void)
{
	for (u32 i = 0; i < NPROCS; i++)
		if (!procs[i].mm)
			return &procs[i];
	return NULL;
}

static struct proc *any_proc(void)
{
	u32 i = rnd_below(NPROCS);

	while (!procs[i].mm || procs[i].unstarted)
		i = (i + 1) % NPROCS;
	return &procs[i];
}

static struct proc *any_unstarted(void)
{
	u32 first = rnd_below(NPROCS), i;

	for (i = first; i < first + NPROCS; i++)
		if (procs[i % NPROCS].mm && procs[i % NPROCS].unstarted)
			return &procs[i % NPROCS];
	return NULL;
}

/* A range of pages of one stretch. */
static void pick(u32 *from, u32 *to)
{
	u32 first, size, n = 1 + rnd_below(rnd_below(4) ? 6 : 40);

	if (rnd_below(5) == 0) {
		first = HUGE_FIRST;
		size = HUGE_CELLS;
		if (rnd_below(8) == 0)
			n = 512;
	} else {
		first = rnd_below(NSTRETCH) * STRETCH;
		size = STRETCH;
		if (rnd_below(16) == 0)
			n = STRETCH;
	}
	*from = first + (n >= size ? 0 : rnd_below(size));
	*to = min(*from + n, first + size);
}

static bool all_mapped(u32 from, u32 to)
{
	for (; from < to; from++)
		if (!cur->cell[from].mapped)
			return false;
	return true;
}

static void check_cells(struct proc *p, u32 from, u32 to)
{
	for (; from < to; from++) {
		struct cell *c = &p->cell[from];
		struct vma *v = mm_find(p->mm, va(from));

		CHECK(!!v == c->mapped, "page %u", from);
		if (v)
			CHECK((v->flags & VM_PROT) == c->prot && !!v->file == c->file &&
			      !!(v->flags & VM_SHARED) == c->shared &&
			      !!(v->flags & VM_DONTFORK) == c->dontfork &&
			      !!(v->flags & VM_WIPEONFORK) == c->wipe, "page %u", from);
	}
}

/* Allocations may fail from here on, until the operation is over. */
static void injection_on(void)
{
	core_failed = 0;
	core_fail_all = rnd() & 1;
	core_fail_in = rnd_below(8) ? -1 : (s64)rnd_below(rnd() & 1 ? 4 : 12);
}

/* True if one has. */
static bool injection_off(void)
{
	core_fail_in = -1;
	failures += core_failed;
	return core_failed;
}

static void touch(u32 i, bool write)
{
	struct cell *c = &cur->cell[i];
	bool failed, call = rnd() & 1;
	enum fault_cause r;
	u64 gpa, *w;

	injection_on();
	r = access_by(va(i), write, call, &gpa);
	failed = injection_off();
	if (r == FAULT_NO_MEMORY && failed)
		return;
	if (!c->mapped) {
		CHECK(r == FAULT_NO_VMA, "page %u: %d", i, r);
		return;
	}
	if (c->mapped && c->prot & PROT_WRITE && write && call && c->calls && !r) {
		c->taken = c->mark = 0;
		c->calls = false;
		call_writes++;
	}
	if (!c->prot || (write && !(c->prot & PROT_WRITE)) ||
	    (c->taken > !write && !(write && call && c->calls))) {
		CHECK(r == FAULT_GUARD || r == (write ? FAULT_WRITE_DENIED : FAULT_READ_DENIED),
		      "page %u: %d", i, r);
		return;
	}
	if (write && c->beyond && !c->shared) {
		CHECK(r == FAULT_BEYOND_FILE, "page %u: %d", i, r);
		return;
	}
	CHECK(r == FAULT_OK, "page %u: %d", i, r);
	w = gpa_ptr(gpa);
	CHECK(*w == cell_value(c), "page %u: %#lx instead of %#lx", i, *w, cell_value(c));
	/* The host of these tests fills first words of a file's pages only. */
	if (gpa_is_arena(gpa) && (*w >> 32 || !c->file))
		CHECK(w[LAST_WORD] == *w);
	if (!write)
		return;
	c->dirty = true;
	*w = ++stamp;
	if (gpa_is_arena(gpa))
		w[LAST_WORD] = stamp;
	if (c->shared)
		slots[c->slot].value = stamp;
	else
		c->value = stamp;
	CHECK(gpa_is_arena(gpa) || (c->shared && c->file));
}

/* --- operations of the current process -------------------------------------------------------- */

static u32 any_prot(void)
{
	static const u32 p[] = { 0, PROT_READ, RIGHTS_RW, RIGHTS_RW, RIGHTS_RW,
				 PROT_READ | PROT_EXEC, PROT_WRITE };

	return p[rnd_below(ARRAY_SIZE(p))];
}

static u64 first_value(bool file, u32 page)
{
	return file && page < FILE_PAGES ? page + 1 : 0;
}

/* Nothing of [from, to) is mapped in fact. */
static bool is_gone(u32 from, u32 to)
{
	return range_free(cur->mm, va(from), va(from) + (u64)(to - from) * PAGE_SIZE);
}

static void op_mmap(u32 from, u32 to)
{
	bool file = to - from <= STRETCH && rnd_below(3) == 0, shared = rnd_below(4) == 0;
	u32 page = rnd_below(FILE_PAGES + 4);
	struct mmap_req r = {
		.addr = va(from), .len = (u64)(to - from) * PAGE_SIZE, .prot = any_prot(),
		.flags = (shared ? MAP_SHARED : MAP_PRIVATE) | MAP_FIXED |
			 (file ? 0 : MAP_ANONYMOUS),
		.host_fd = file ? FILE_FD : -1, .offset = file ? page * PAGE_SIZE : 0,
	};
	long ret;

	injection_on();
	ret = mm_mmap(cur->mm, &r);
	if (injection_off() && ret == -ENOMEM) {
		/* What was there may be gone, or not. */
		if (is_gone(from, to))
			cells_clear(cur, from, to);
		return;
	}
	if (ret == -ENOMEM && file && window_maps > 100)
		return;
	CHECK(ret == (long)va(from), "%ld", ret);
	for (; from < to; from++, page++) {
		struct cell *c = &cur->cell[from];

		cell_clear(c);
		*c = (struct cell){ .mapped = true, .shared = shared, .file = file, .prot = r.prot,
				    .page = page, .beyond = file && page >= FILE_PAGES,
				    .value = first_value(file, page) };
		if (shared)
			c->slot = slot_new(c->value);
	}
}

static void op_munmap(u32 from, u32 to)
{
	u64 len = (u64)(to - from) * PAGE_SIZE;
	long ret;

	injection_on();
	ret = mm_munmap(cur->mm, va(from), len);
	if (injection_off() && ret == -ENOMEM) {
		check_cells(cur, from, to);
		return;
	}
	CHECK(!ret);
	cells_clear(cur, from, to);
}

static void op_mprotect(u32 from, u32 to)
{
	u64 len = (u64)(to - from) * PAGE_SIZE;
	u32 prot = any_prot();
	long ret;

	injection_on();
	ret = mm_mprotect(cur->mm, va(from), len, prot);
	/* Those before the VMA that failed are done; again, then it is well-defined. */
	if (injection_off() && ret == -ENOMEM)
		ret = mm_mprotect(cur->mm, va(from), len, prot);
	CHECK(ret == (all_mapped(from, to) ? 0 : -ENOMEM), "%ld", ret);
	for (; from < to && cur->cell[from].mapped; from++)
		cur->cell[from].prot = prot;
}

static void op_madvise(u32 from, u32 to)
{
	u64 len = (u64)(to - from) * PAGE_SIZE;
	struct vma *v;
	long ret;
	u32 i;

	/* What a private file page had before it was written is not in the model: not these. */
	for (i = from; i < to; i++)
		if (cur->cell[i].file && !cur->cell[i].shared)
			return;
	injection_on();
	ret = mm_madvise(cur->mm, va(from), len, MADV_DONTNEED);
	if (injection_off() && ret == -ENOMEM)
		ret = mm_madvise(cur->mm, va(from), len, MADV_DONTNEED);
	CHECK(ret == (all_mapped(from, to) ? 0 : -ENOMEM), "%ld", ret);
	for (i = from; i < to; i++) {
		v = mm_find(cur->mm, va(i));
		if (v && !(v->flags & VM_SHARED))
			cur->cell[i].value = 0;
		/* of shared anonymous memory nothing is dropped */
		if (v && (v->file || !(v->flags & VM_SHARED))) {
			cur->cell[i].taken = cur->cell[i].mark = 0;
			cur->cell[i].calls = false;
			cur->cell[i].dirty = cur->cell[i].unclear = false;
		}
	}
}

/* What the entry of page @i of @p says; false without one. */
static bool words_of(struct proc *p, u32 i, struct cell *c)
{
	pte_t *slot = pgtable_lookup(&p->mm->pt, va(i), NULL), e = slot ? *slot : 0;

	c->taken = e & PTE_NO_ACCESS ? 2 : e & PTE_NO_WRITE ? 1 : 0;
	c->mark = e >> 52 & 15;
	c->calls = e & PTE_CALLS;
	return e;
}

static bool same_words(const struct cell *a, const struct cell *b)
{
	return a->taken == b->taken && a->mark == b->mark && a->calls == b->calls;
}

/* Rights and marks for RS_SYS_PROTECT, and in @c what they make of a page. */
static u64 any_words(struct cell *c)
{
	static const u32 some[] = { 0, VM_READ, VM_READ | VM_WRITE };
	u64 arg = some[rnd_below(ARRAY_SIZE(some))];

	*c = (struct cell){ .taken = !arg ? 2 : arg == VM_READ };
	if (rnd() & 1)
		return arg;
	c->mark = rnd_below(16);
	c->calls = arg == VM_READ && rnd_below(4);
	return arg | (u64)c->mark * RS_PAGE_MARK(0) | (c->calls ? RS_PAGE_CALLS : 0);
}

/* Rights of single pages. Of memory without any right it is not known what has been touched. */
static void op_take(u32 from, u32 to)
{
	static struct cell old;
	struct cell words, is;
	u64 arg = any_words(&words), rights = arg & RS_PAGE_WRITE;
	bool failed, touched_only = rnd_below(3) == 0, there[NCELLS];
	long ret, want = 0;
	u32 i;

	for (i = from; i < to && !want; i++) {
		struct cell *c = &cur->cell[i];

		if (!c->mapped)
			want = -ENOMEM;
		else if ((rights & VM_WRITE && !(c->prot & PROT_WRITE)) || (rights && !c->prot))
			want = -EACCES;
	}
	for (i = from; i < to; i++)
		there[i] = words_of(cur, i, &is);
	injection_on();
	ret = mm_pages_protect(cur->mm, va(from), (u64)(to - from) * PAGE_SIZE,
			       arg | (touched_only ? RS_PAGE_TOUCHED : 0));
	failed = injection_off();
	CHECK(ret == want || (failed && ret == -ENOMEM), "%ld, not %ld", ret, want);
	for (i = from; i < to && !want; i++) {
		struct cell *c = &cur->cell[i];
		bool now = words_of(cur, i, &is);

		old = *c;
		if (touched_only) {
			CHECK(now == there[i], "page %u", i);
			CHECK(same_words(&is, now ? &words : &old) || (ret && same_words(&is, &old)),
			      "page %u", i);
		} else if (ret || !c->prot) {
			CHECK(same_words(&is, &old) || same_words(&is, &words), "page %u", i);
		} else {
			CHECK(same_words(&is, &words), "page %u", i);
		}
		c->taken = is.taken;
		c->mark = is.mark;
		c->calls = is.calls;
	}
	takes += !ret;
}

/*
 * Dirty bits of some pages, as the model has them. Of 2 MiB pages there is one bit for all, so
 * they may be said to be dirty when they are not.
 */
static void op_dirty(u32 from, u32 to)
{
	u64 bits[(NCELLS + 63) / 64], n, found = 0;
	bool clear = rnd() & 1;
	long err;
	u32 i;

	injection_on();
	err = mm_pages_bits_begin(cur->mm, va(from), (u64)(to - from) * PAGE_SIZE, false, clear);
	if (injection_off() && err) {
		CHECK(err == -ENOMEM && clear);
		return;
	}
	CHECK(!err);
	n = mm_pages_bits(cur->mm, va(from), to - from, false, clear, bits);
	if (clear && n)
		mm_pages_bits_end();
	for (i = from; i < to; i++) {
		struct cell *c = &cur->cell[i];
		bool is = bits[(i - from) / 64] >> ((i - from) % 64) & 1;

		CHECK(is == c->dirty || (is && (c->unclear || i >= HUGE_FIRST)),
		      "page %u is %sdirty", i, is ? "" : "not ");
		found += is;
		if (clear)
			c->dirty = c->unclear = false;
	}
	CHECK(found == n && !((to - from) % 64 && bits[(to - from) / 64] >> (to - from) % 64));
	scans++;
}

/* Shared memory at a second address. */
static void op_map2(u32 from, u32 to)
{
	u32 prot = any_prot(), at, end, i;
	long ret, want = 0;
	struct vma *v = mm_find(cur->mm, va(from));
	bool failed;

	pick(&at, &end);
	to = from + min(to - from, end - at);
	end = at + (to - from);
	if (!v || v->end < va(to - 1) + PAGE_SIZE)
		want = -ENOMEM;
	else if (!(v->flags & VM_SHARED))
		want = -EINVAL;
	else if (prot & PROT_EXEC || (prot & PROT_WRITE && !(v->flags & VM_MAYWRITE)))
		want = -EACCES;
	else if (!is_gone(at, end))
		want = -EEXIST;
	injection_on();
	ret = mm_map2(cur->mm, va(from), (u64)(to - from) * PAGE_SIZE, va(at), prot);
	failed = injection_off();
	if ((failed && ret == -ENOMEM) || want) {
		CHECK(ret == want || failed, "%ld, not %ld", ret, want);
		check_cells(cur, at, end);
		return;
	}
	CHECK(ret == (long)va(at), "%ld", ret);
	for (i = 0; i < to - from; i++) {
		struct cell *c = &cur->cell[at + i];

		*c = cur->cell[from + i];
		c->prot = prot;
		c->taken = c->mark = 0;
		c->calls = c->dirty = c->unclear = false;
		slots[c->slot].refs++;
	}
	doubles++;
}

/* What children shall have. */
static void op_mark(u32 from, u32 to)
{
	static const int advice[] = { MADV_DONTFORK, MADV_DOFORK, MADV_WIPEONFORK,
				      MADV_KEEPONFORK };
	int a = advice[rnd_below(ARRAY_SIZE(advice))];
	u64 len = (u64)(to - from) * PAGE_SIZE;
	long ret, want = all_mapped(from, to) ? 0 : -ENOMEM;
	u32 i;

	injection_on();
	ret = mm_madvise(cur->mm, va(from), len, a);
	if (injection_off() && ret == -ENOMEM)
		ret = mm_madvise(cur->mm, va(from), len, a);
	for (i = from; i < to; i++) {
		struct cell *c = &cur->cell[i];

		if (!c->mapped)
			continue;
		if (a == MADV_WIPEONFORK && (c->file || c->shared)) {
			want = -EINVAL;
			break;
		}
		if (a == MADV_DONTFORK || a == MADV_DOFORK)
			c->dontfork = a == MADV_DONTFORK;
		else
			c->wipe = a == MADV_WIPEONFORK;
	}
	CHECK(ret == want, "%ld", ret);
	marks++;
}

static bool one_vma(u32 from, u32 to)
{
	struct vma *v = mm_find(cur->mm, va(from));

	return v && v->end >= va(from) + (u64)(to - from) * PAGE_SIZE;
}

static void op_mremap(u32 from, u32 to)
{
	static struct cell moved[NCELLS];
	u32 n = to - from, m, at, end, i;
	struct cell like;
	bool failed;
	long ret;

	pick(&at, &end);
	m = end - at;
	if (at < to && from < end)
		return;
	/* What is written into one piece of a file the host of these tests does not show in others. */
	if (!one_vma(from, to) || (m > n && cur->cell[from].file && cur->cell[from].shared))
		return;
	injection_on();
	ret = mm_mremap(cur->mm, va(from), (u64)n * PAGE_SIZE, (u64)m * PAGE_SIZE,
			MREMAP_MAYMOVE | MREMAP_FIXED, va(at));
	failed = injection_off();
	if (failed && ret == -ENOMEM) {
		/* The target and the end of what shrinks may be gone. */
		if (is_gone(at, end))
			cells_clear(cur, at, end);
		if (m < n && is_gone(from + m, to))
			cells_clear(cur, from + m, to);
		check_cells(cur, from, to);
		check_cells(cur, at, end);
		return;
	}
	if (ret == -ENOMEM && m > n && cur->cell[from].file && window_maps > 100) {
		cells_clear(cur, at, end);
		return;
	}
	CHECK(ret == (long)va(at), "%ld", ret);
	cells_clear(cur, at, end);
	if (m < n)
		cells_clear(cur, from + m, to);
	n = min(n, m);
	memcpy(moved, &cur->cell[from], n * sizeof(moved[0]));
	memset(&cur->cell[from], 0, n * sizeof(moved[0]));
	for (i = 0; i < n; i++)
		moved[i].unclear |= from >= HUGE_FIRST;
	memcpy(&cur->cell[at], moved, n * sizeof(moved[0]));
	like = moved[0];
	for (i = n; i < m; i++) {
		struct cell *c = &cur->cell[at + i];

		*c = (struct cell){ .mapped = true, .shared = like.shared, .prot = like.prot,
				    .dontfork = like.dontfork, .wipe = like.wipe,
				    .file = like.file, .page = like.page + i };
		c->beyond = c->file && c->page >= FILE_PAGES;
		c->value = first_value(c->file, c->page);
		if (c->shared)
			c->slot = slot_new(c->value);
	}
}

/* A new private mapping with a 2 MiB page in it, as a future fault might give one. */
static void op_huge(void)
{
	struct mmap_req r = { .addr = HUGE_BASE, .len = HUGE_SIZE, .prot = RIGHTS_RW,
			      .flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, .host_fd = -1 };
	struct page *p;
	bool done;
	u32 i;

	p = page_alloc_run(512, 512);
	if (!p)
		return;
	CHECK(mm_mmap(cur->mm, &r) == HUGE_BASE);
	cells_clear(cur, HUGE_FIRST, NCELLS);
	for (i = HUGE_FIRST; i < NCELLS; i++)
		cur->cell[i] = (struct cell){ .mapped = true, .prot = RIGHTS_RW };
	injection_on();
	done = pgtable_map(&cur->mm->pt, HUGE_BASE,
			   page_gpa(p) | PTE_P | PTE_W | PTE_U | PTE_NX | PTE_OWNED, 2);
	if (injection_off() && !done) {
		for (i = 0; i < 512; i++)
			page_put(p + i);
		return;
	}
	CHECK(done);
	for (i = 0; i < 512; i++) {
		u64 *w = page_ptr(p + i);

		p[i].flags = 0;
		memset(w, 0, PAGE_SIZE);
		w[0] = w[LAST_WORD] = cur->cell[HUGE_FIRST + i].value = ++stamp;
	}
	huge_maps++;
}

static void cell_wipe(struct cell *c)
{
	c->value = c->taken = c->mark = 0;
	c->calls = c->dirty = c->unclear = false;
}

/* What the child has of what the parent has. */
static void cells_fork(struct proc *child)
{
	memcpy(child->cell, cur->cell, sizeof(child->cell));
	for (u32 i = 0; i < NCELLS; i++) {
		struct cell *c = &child->cell[i];

		if (c->mapped && c->dontfork)
			*c = (struct cell){ 0 };
		else if (c->wipe)
			cell_wipe(c);
		if (c->mapped && c->shared)
			slots[c->slot].refs++;
	}
}

/* Pages the host may be writing to while the process forks; the first one really is. */
#define MAX_PINS 5u
static struct { u32 cell; u64 gpa; } pins[MAX_PINS];

static u32 pin_some(void)
{
	u32 n = 0, want = rnd_below(4) ? 0 : 1 + rnd_below(MAX_PINS);
	u64 gpa;

	while (n < want) {
		u32 i = rnd_below(NCELLS);
		struct cell *c = &cur->cell[i];

		if (!n && (!c->mapped || c->shared || c->taken || c->beyond || !(c->prot & PROT_WRITE) ||
			   access(va(i), true, &gpa)))
			return 0;
		c->dirty |= !n;
		pins[n].cell = i;
		pins[n++].gpa = gpa;
	}
	return n;
}

/*
 * The host's data, which came after the fork or after its failure: the parent's, in the page the
 * host was given.
 */
static void host_writes_now(void)
{
	u64 *w = gpa_ptr(pins[0].gpa), gpa;

	w[0] = w[LAST_WORD] = cur->cell[pins[0].cell].value = ++stamp;
	CHECK(access(va(pins[0].cell), true, &gpa) == FAULT_OK && gpa == pins[0].gpa,
	      "page %u is another one now", pins[0].cell);
	page_put(gpa_page(pins[0].gpa));
	host_writes++;
}

static void op_fork(void)
{
	struct proc *p = free_proc();
	u64 before = flushes;
	u32 n, i;
	struct mm *mm = NULL;
	bool failed, begun;

	if (!p)
		return;
	n = pin_some();
	if (n)
		page_get(gpa_page(pins[0].gpa));
	injection_on();
	for (i = 0; i < n && mm_fork_begin(cur->mm, va(pins[i].cell)); i++)
		;
	begun = i == n;
	if (begun)
		mm = mm_fork(cur->mm);
	if (mm)
		CHECK(flushes > before);
	for (i = 0; mm && i < n; i++)
		if (!mm_fork_keep(cur->mm, mm, va(pins[i].cell))) {
			mm_put(mm);
			mm = NULL;
		}
	for (i = 0; begun && !mm && i < n; i++)
		mm_fork_failed(cur->mm, va(pins[i].cell));
	failed = injection_off();
	CHECK(mm || failed);
	if (mm) {
		p->mm = mm;
		cells_fork(p);
		forks++;
	}
	/* Each was made ready to be written. */
	for (i = 0; i < n; i++) {
		cur->cell[pins[i].cell].unclear = true;
		if (mm)
			p->cell[pins[i].cell].unclear = true;
	}
	if (n)
		host_writes_now();
}

/* --- children made by hand -------------------------------------------------------------------- */

static void op_exofork(void)
{
	struct proc *p = free_proc();
	bool failed;

	if (!p)
		return;
	injection_on();
	p->mm = mm_create_like(cur->mm);
	failed = injection_off();
	CHECK(p->mm || failed);
	p->unstarted = p->mm;
}

static bool any_mapped(struct proc *p, u32 from, u32 n)
{
	for (; n; n--, from++)
		if (p->cell[from].mapped)
			return true;
	return false;
}

/* The current process gives [from, to) to a child, half of the time at the same address. */
static void op_give(u32 from, u32 to)
{
	struct proc *p = any_unstarted();
	u32 n = to - from, at = from, end, i;
	long ret, want;
	bool failed;

	if (!p)
		return;
	if (rnd() & 1) {
		pick(&at, &end);
		if (end - at < n)
			n = end - at;
	}
	want = any_mapped(p, at, n) ? -EEXIST : all_mapped(from, from + n) ? 0 : -ENOMEM;
	injection_on();
	ret = mm_give(p->mm, va(at), cur->mm, va(from), (u64)n * PAGE_SIZE);
	failed = injection_off();
	CHECK(ret == want || (failed && ret == -ENOMEM), "%ld, not %ld", ret, want);
	if (ret) {
		check_cells(p, at, at + n);
		return;
	}
	for (i = 0; i < n; i++) {
		struct cell *c = &p->cell[at + i];

		*c = cur->cell[from + i];
		/* whether it was written by others is not said */
		c->unclear = true;
		c->dirty = false;
		if (c->wipe)
			cell_wipe(c);
		if (c->shared)
			slots[c->slot].refs++;
	}
	gifts++;
}

static long replace_error(struct proc *p, u32 from, u32 n)
{
	for (; n; n--, from++) {
		struct cell *c = &p->cell[from];

		if (!c->mapped || c->shared || !(c->prot & PROT_WRITE))
			return !c->mapped ? -ENOMEM : c->shared ? -EINVAL : -EACCES;
	}
	return 0;
}

/*
 * Pages of the current process in the place of others, its own or a child's. What a file's page is
 * when the own copy has gone is not in the model, and pages that are closed before they were touched
 * are another test's: neither is moved here.
 */
static void op_replace(u32 from, u32 to)
{
	struct proc *p = rnd() & 1 ? cur : any_unstarted();
	u32 n, at, end, i;
	struct cell words;
	long ret, want;
	bool failed;
	u64 arg;

	if (!p)
		return;
	pick(&at, &end);
	n = rnd() & 1 ? 1 : min(to - from, end - at);
	for (i = 0; i < n; i++)
		if (cur->cell[from + i].file || cur->cell[from + i].taken)
			return;
	arg = any_words(&words);
	want = p == cur && at < from + n && from < at + n ? -EINVAL : replace_error(cur, from, n);
	if (!want)
		want = replace_error(p, at, n);
	if (n == 1)
		injection_on();
	ret = mm_replace(p->mm, va(at), cur->mm, va(from), (u64)n * PAGE_SIZE, arg);
	failed = n == 1 && injection_off();
	CHECK(ret == want || (failed && ret == -ENOMEM), "%ld, not %ld", ret, want);
	for (i = 0; !ret && i < n; i++) {
		struct cell *c = &p->cell[at + i], *gone = &cur->cell[from + i];

		c->value = gone->value;
		c->beyond = false;
		c->unclear = true;
		c->dirty = false;
		c->taken = words.taken;
		c->mark = words.mark;
		c->calls = words.calls;
		cell_wipe(gone);
	}
	replaced += !ret;
}

static void op_start(void)
{
	struct proc *p = any_unstarted();

	if (p)
		p->unstarted = false;
}

static void op_exit(struct proc *p)
{
	mm_put(p->mm);
	p->mm = NULL;
	p->unstarted = false;
	cells_clear(p, 0, NCELLS);
	exits++;
}

/* --- checks of the whole ---------------------------------------------------------------------- */

#define ARENA_PAGES	(ARENA_SIZE / PAGE_SIZE)

/* Pages in use, but the heap's, which keeps an empty slab per size. */
static u64 pages_used(void)
{
	u64 n = 0;

	for (u64 i = 0; i < ARENA_PAGES; i++)
		n += rs_pages[i].refs && !(rs_pages[i].flags & (PG_FIXED | PG_SLAB));
	return n;
}

static u32 expected[ARENA_PAGES];	/* references */
static bool seen[ARENA_PAGES];		/* tables and nodes already walked */

static void count_table(u64 table, int level)
{
	u32 n = level == PT_LEVELS ? PT_KERNEL_FIRST : PT_ENTRIES;

	expected[table / PAGE_SIZE]++;
	if (seen[table / PAGE_SIZE])
		return;
	seen[table / PAGE_SIZE] = true;
	for (u32 i = 0; i < n; i++) {
		pte_t e = ((pte_t *)gpa_ptr(table))[i];

		if (!e)
			continue;
		if (level > 1 && !(e & PTE_PS))
			count_table(e & PTE_ADDR, level - 1);
		else if (e & PTE_OWNED)
			for (u64 k = 0; k < pt_size(level) / PAGE_SIZE; k++)
				expected[(e & PTE_ADDR) / PAGE_SIZE + k]++;
	}
}

static void count_object(u64 page, int height)
{
	expected[page / PAGE_SIZE]++;
	for (u32 i = 0; height && i < 512; i++) {
		u64 e = ((u64 *)gpa_ptr(page))[i];

		if (e)
			count_object(e, height - 1);
	}
}

/* Objects and files: as many references as VMAs that name them. */
#define MAX_NAMED 4096
static struct { void *what; u32 refs, counted; } named[MAX_NAMED];
static u32 nnamed;

static bool count_name(void *what, u32 refs)
{
	for (u32 i = 0; i < nnamed; i++)
		if (named[i].what == what) {
			named[i].counted++;
			return false;
		}
	CHECK(nnamed < MAX_NAMED);
	named[nnamed].what = what;
	named[nnamed].refs = refs;
	named[nnamed++].counted = 1;
	return true;
}

static void check_references(void)
{
	struct vma *v;

	memset(expected, 0, sizeof(expected));
	memset(seen, 0, sizeof(seen));
	nnamed = 0;
	for (u32 i = 0; i < NPROCS; i++) {
		if (!procs[i].mm)
			continue;
		count_table(procs[i].mm->pt.root, PT_LEVELS);
		list_for_each(v, &procs[i].mm->vma_list, list) {
			if (v->file)
				count_name(v->file, v->file->refs);
			if (v->shm && count_name(v->shm, v->shm->refs) && v->shm->root)
				count_object(page_gpa(v->shm->root), v->shm->height);
		}
	}
	for (u32 i = 0; i < nnamed; i++)
		CHECK(named[i].refs == named[i].counted);
	for (u64 i = 0; i < ARENA_PAGES; i++) {
		struct page *p = &rs_pages[i];

		if (p->flags & (PG_FIXED | PG_SLAB))
			continue;
		CHECK(p->refs == expected[i], "page %lu: %u references, %u holders", i, p->refs,
		      expected[i]);
	}
	page_alloc_check();
}

/* Who can reach each page: a page that one process can write is another's only as the same slot. */
static void check_aliases(void)
{
	static u32 slot_of[(ARENA_SIZE + WINDOW_SIZE) / PAGE_SIZE];	/* slot + 1, ~0: private */
	static u8 nproc[(ARENA_SIZE + WINDOW_SIZE) / PAGE_SIZE];
	static bool writable[(ARENA_SIZE + WINDOW_SIZE) / PAGE_SIZE];

	memset(slot_of, 0, sizeof(slot_of));
	memset(nproc, 0, sizeof(nproc));
	memset(writable, 0, sizeof(writable));
	for (u32 k = 0; k < NPROCS; k++) {
		for (u32 i = 0; procs[k].mm && i < NCELLS; i++) {
			struct cell *c = &procs[k].cell[i];
			u32 who = c->shared ? c->slot + 1 : ~0u;
			pte_t rights;
			u64 gpa, n;

			if (!walk(procs[k].mm, va(i), &gpa, &rights))
				continue;
			n = gpa / PAGE_SIZE;
			CHECK(c->mapped && c->prot, "page %u of %u is there", i, k);
			CHECK(!(rights & PTE_W) || c->prot & PROT_WRITE);
			CHECK(!(rights & PTE_NX) == !!(c->prot & PROT_EXEC));
			CHECK(*(u64 *)gpa_ptr(gpa) == cell_value(c), "page %u of %u", i, k);
			CHECK(!nproc[n] || slot_of[n] == who);
			CHECK(!nproc[n] || who != ~0u || (!writable[n] && !(rights & PTE_W)),
			      "page %u of %u: a writable alias", i, k);
			slot_of[n] = who;
			nproc[n] = 1;
			writable[n] |= !!(rights & PTE_W);
		}
	}
}

static void check_all(void)
{
	for (u32 k = 0; k < NPROCS; k++) {
		if (!procs[k].mm)
			continue;
		mm_check(procs[k].mm);
		check_cells(&procs[k], 0, NCELLS);
	}
	check_aliases();
	check_references();
}

static void step(void)
{
	u32 from, to, i;

	pick(&from, &to);
	switch (rnd_below(44)) {
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
		if (rnd() & 1)
			op_madvise(from, to);
		else
			op_mark(from, to);
		break;
	case 6:
		op_mremap(from, to);
		break;
	case 12:
		op_take(from, to);
		break;
	case 13:
		if (rnd() & 1)
			op_exofork();
		else
			op_start();
		break;
	case 14:
	case 15:
		op_give(from, to);
		break;
	case 16:
		op_replace(from, to);
		break;
	case 17:
		op_dirty(from, to);
		break;
	case 18:
		if (rnd() & 1)
			op_map2(from, to);
		break;
	case 7:
		op_fork();
		break;
	case 8:
		i = rnd_below(NPROCS);
		if (procs[i].mm && &procs[i] != cur)
			op_exit(&procs[i]);
		break;
	case 9:
		if (rnd_below(4) == 0)
			op_huge();
		break;
	case 10:
	case 11:
		run(any_proc());
		break;
	default:
		for (i = from; i < min(from + 1 + rnd_below(3), (u64)to); i++)
			touch(i, rnd() & 1);
		break;
	}
	check_tlb();
}

static void test_random(u64 rounds)
{
	u64 used = pages_used(), objects = kmalloc_in_use(), maps = window_maps, i;
	u64 copies = core_boot.stats.cow_copies, tables = core_boot.stats.table_copies;

	core_files_known = true;
	procs[0].mm = mm_create();
	CHECK(procs[0].mm);
	run(&procs[0]);
	for (i = 0; i < rounds; i++) {
		step();
		if (i % 2048 == 0)
			check_all();
		if (i % 16384 == 0)
			for (u32 k = 0; k < NCELLS; k++)
				touch(k, false);
	}
	check_all();
	run(NULL);
	for (u32 k = 0; k < NPROCS; k++)
		if (procs[k].mm) {
			op_exit(&procs[k]);
			check_references();
		}
	core_files_known = false;
	file_map_drop_spare();
	CHECK(pages_used() == used, "%lu pages instead of %lu", pages_used(), used);
	CHECK(kmalloc_in_use() == objects && window_maps == maps);
	printf("# %lu gifts, %lu pages replaced, %lu written by calls\n", gifts, replaced, call_writes);
	printf("# %lu forks (the host writing during %lu), %lu exits, %lu marks, %lu failed "
	       "allocations, %lu looks at dirty bits, %lu second mappings, %lu pages of 2 MiB, %lu pages and %lu tables "
	       "copied\n", forks,
	       host_writes, exits, marks, failures, scans, doubles, huge_maps,
	       (u64)core_boot.stats.cow_copies - copies,
	       (u64)core_boot.stats.table_copies - tables);
	CHECK(forks > rounds / 1000 && exits > rounds / 1000 && failures > rounds / 1000 &&
	      huge_maps && marks > rounds / 1000 && takes > rounds / 1000 && gifts > rounds / 1000 &&
	      replaced > rounds / 10000 && call_writes > rounds / 50000 && host_writes > rounds / 10000 &&
	      scans > rounds / 1000 && doubles > rounds / 10000 && core_boot.stats.cow_copies > copies &&
	      core_boot.stats.table_copies > tables);
	PASS("fork tree: %lu random operations as the model says, nothing leaked", i);
}

/* --- costs ------------------------------------------------------------------------------------ */

#define AREA	0x7f0000000000ul

static struct mm *mm_with(u64 pages)
{
	struct mmap_req r = { .addr = AREA, .len = pages * PAGE_SIZE, .prot = RIGHTS_RW,
			      .flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, .host_fd = -1 };
	struct mm *mm = mm_create();

	CHECK(mm && mm_mmap(mm, &r) == (long)AREA);
	mm_activate(mm);
	for (u64 i = 0; i < pages; i++)
		CHECK(mm_fault(mm, AREA + i * PAGE_SIZE, FAULT_WRITE) == FAULT_OK);
	return mm;
}

/* Words of the arena (page tables, struct page, heap: all is there) that differ from @before. */
static u64 words_changed(const u64 *before)
{
	const u64 *now = gpa_ptr(0);
	u64 n = 0;

	for (u64 p = 0; p < ARENA_SIZE / 8; p += PAGE_SIZE / 8) {
		if (!memcmp(now + p, before + p, PAGE_SIZE))
			continue;
		for (u64 i = p; i < p + PAGE_SIZE / 8; i++)
			n += now[i] != before[i];
	}
	return n;
}

static void test_constant(void)
{
	static const u64 sizes[] = { 16, 512, 4096, 12000 };
	u64 *before = malloc(ARENA_SIZE), fork_words[ARRAY_SIZE(sizes)], n;
	u64 exit_words[ARRAY_SIZE(sizes)];

	for (u32 i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct mm *mm = mm_with(sizes[i]), *child;

		/* So that the heap and the page lists are in the same state each time. */
		child = mm_fork(mm);
		CHECK(child);
		mm_put(child);
		memcpy(before, gpa_ptr(0), ARENA_SIZE);
		child = mm_fork(mm);
		CHECK(child);
		fork_words[i] = words_changed(before);
		memcpy(before, gpa_ptr(0), ARENA_SIZE);
		mm_put(child);
		exit_words[i] = words_changed(before);

		/* A child that wrote one page: exit looks at what it copied, not at the rest. */
		child = mm_fork(mm);
		CHECK(child);
		mm_activate(child);
		CHECK(mm_fault(child, AREA, FAULT_WRITE) == FAULT_OK);
		mm_activate(mm);
		memcpy(before, gpa_ptr(0), ARENA_SIZE);
		mm_put(child);
		n = words_changed(before);
		CHECK(n < 2 * PT_ENTRIES, "%lu words to exit", n);
		mm_activate(NULL);
		mm_put(mm);
	}
	for (u32 i = 0; i < ARRAY_SIZE(sizes); i++)
		CHECK(fork_words[i] == fork_words[0] && exit_words[i] == exit_words[0] &&
		      fork_words[i] < 100, "%lu pages: %lu and %lu words, not %lu and %lu",
		      sizes[i], fork_words[i], exit_words[i], fork_words[0], exit_words[0]);
	free(before);
	PASS("fork changes %lu words and exit %lu, with 16 pages as with 12000", fork_words[0],
	     exit_words[0]);
}

static void test_first_write(void)
{
	struct mm *mm = mm_with(8192), *child = mm_fork(mm);
	volatile struct rs_guest_stats *s = &core_boot.stats;
	u64 tables = s->table_copies, copies = s->cow_copies, free;
	u64 at = AREA + 1000 * PAGE_SIZE;

	CHECK(child);
	CHECK(mm_fault(mm, at, FAULT_WRITE) == FAULT_OK);
	CHECK(s->table_copies == tables + 3 && s->cow_copies == copies + 1);
	CHECK(mm_fault(mm, at + PAGE_SIZE, FAULT_WRITE) == FAULT_OK);
	CHECK(s->table_copies == tables + 3 && s->cow_copies == copies + 2);
	CHECK(mm_fault(mm, at + HUGE_SIZE, FAULT_WRITE) == FAULT_OK);
	CHECK(s->table_copies == tables + 4 && s->cow_copies == copies + 3);
	/* The child is the last owner of all that. */
	mm_activate(child);
	free = pages_free();
	CHECK(mm_fault(child, at, FAULT_WRITE) == FAULT_OK);
	CHECK(mm_fault(child, at + PAGE_SIZE, FAULT_WRITE) == FAULT_OK);
	CHECK(mm_fault(child, at + HUGE_SIZE, FAULT_WRITE) == FAULT_OK);
	CHECK(s->table_copies == tables + 4 && s->cow_copies == copies + 3 && pages_free() == free);
	/* Once it is gone, the parent is the last owner of the rest. */
	mm_activate(mm);
	mm_put(child);
	for (u64 i = 0; i < 8192; i++)
		CHECK(mm_fault(mm, AREA + i * PAGE_SIZE, FAULT_WRITE) == FAULT_OK);
	CHECK(s->table_copies == tables + 4 && s->cow_copies == copies + 3);
	mm_check(mm);
	mm_activate(NULL);
	mm_put(mm);
	PASS("first write after a fork: three tables and a page; the last owner copies nothing");
}

/* The host writes into the parent's page while it forks. */
static void test_keep(void)
{
	struct mm *mm = mm_with(600), *child, *second;
	struct page *p = gpa_page(*pgtable_lookup(&mm->pt, AREA, NULL) & PTE_ADDR);
	u64 used = pages_used(), gpa, old, *w = page_ptr(p);
	pte_t rights;

	page_get(p);
	*w = 1;
	child = mm_fork_begin(mm, AREA + 8) ? mm_fork(mm) : NULL;
	CHECK(child && mm_fork_keep(mm, child, AREA + 8));
	*w = 2;
	CHECK(walk(mm, AREA, &gpa, &rights) && rights & PTE_W && gpa == page_gpa(p));
	CHECK(mm_fault(mm, AREA, FAULT_WRITE) == FAULT_OK);
	CHECK(walk(mm, AREA, &gpa, &rights) && rights & PTE_W && gpa == page_gpa(p));
	CHECK(walk(child, AREA, &gpa, &rights) && rights & PTE_W && gpa != page_gpa(p));
	CHECK(*(u64 *)gpa_ptr(gpa) == 1 && p->refs == 2);
	/* Its neighbours are shared as ever. */
	CHECK(walk(mm, AREA + PAGE_SIZE, &gpa, &rights) && !(rights & PTE_W));
	/* Nothing to keep: no page, no memory. */
	CHECK(mm_fork_keep(mm, child, AREA - PAGE_SIZE));
	core_fail_in = 0;
	CHECK(!mm_fork_keep(mm, child, AREA + PAGE_SIZE));
	core_fail_in = -1;
	mm_check(mm);
	mm_check(child);
	/* A claim about a page that an older child shares gives nobody a way to write to it. */
	CHECK(mm_fork_begin(mm, AREA) && mm_fork_begin(mm, AREA + PAGE_SIZE));
	second = mm_fork(mm);
	CHECK(second && mm_fork_keep(mm, second, AREA) &&
	      mm_fork_keep(mm, second, AREA + PAGE_SIZE));
	CHECK(walk(mm, AREA + PAGE_SIZE, &gpa, &rights) && rights & PTE_W);
	CHECK(walk(child, AREA + PAGE_SIZE, &old, &rights) && old != gpa);
	mm_put(second);
	mm_put(child);
	/* No child after all: the page is the parent's as before, though it has two references. */
	CHECK(mm_fork_begin(mm, AREA));
	child = mm_fork(mm);
	CHECK(child && mm_fault(child, AREA + PAGE_SIZE, FAULT_WRITE) == FAULT_OK);
	mm_put(child);
	mm_fork_failed(mm, AREA);
	CHECK(mm_fault(mm, AREA, FAULT_WRITE) == FAULT_OK);
	CHECK(walk(mm, AREA, &gpa, &rights) && rights & PTE_W && gpa == page_gpa(p));
	page_put(p);
	CHECK(pages_used() == used);
	mm_activate(NULL);
	mm_put(mm);
	PASS("a page the host writes into stays the parent's");
}

/* A 2 MiB page has one dirty bit: whoever clears a part of it leaves the rest as it was. */
static void test_dirty_large(void)
{
	struct mmap_req r = { .addr = HUGE_BASE, .len = HUGE_SIZE, .prot = RIGHTS_RW,
			      .flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, .host_fd = -1 };
	struct mm *mm = mm_create();
	struct page *p = page_alloc_run(512, 512);
	u64 bits[8], i;

	CHECK(mm && p);
	mm_activate(mm);
	CHECK(mm_mmap(mm, &r) == HUGE_BASE);
	CHECK(pgtable_map(&mm->pt, HUGE_BASE, page_gpa(p) | PTE_P | PTE_W | PTE_U | PTE_NX |
			  PTE_OWNED | PTE_D, 2));
	for (i = 0; i < 512; i++)
		p[i].flags = 0;
	core_fail_in = 0;
	CHECK(mm_pages_bits_begin(mm, HUGE_BASE + 70 * PAGE_SIZE, PAGE_SIZE, false, true) ==
	      -ENOMEM);
	core_fail_in = -1;
	CHECK(mm_pages_bits(mm, HUGE_BASE, 512, false, false, bits) == 512);
	CHECK(!mm_pages_bits_begin(mm, HUGE_BASE + 70 * PAGE_SIZE, PAGE_SIZE, false, true));
	CHECK(mm_pages_bits(mm, HUGE_BASE + 70 * PAGE_SIZE, 1, false, true, bits) == 1);
	CHECK(mm_pages_bits(mm, HUGE_BASE, 512, false, false, bits) == 511);
	for (i = 0; i < 8; i++)
		CHECK(bits[i] == (i == 1 ? ~(1ull << 6) : ~0ull));
	CHECK(!mm_munmap(mm, HUGE_BASE, HUGE_SIZE) && mm_mmap(mm, &r) == HUGE_BASE);
	p = page_alloc_run(512, 512);
	CHECK(p && pgtable_map(&mm->pt, HUGE_BASE, page_gpa(p) | PTE_P | PTE_W | PTE_U | PTE_NX |
			       PTE_OWNED | PTE_D, 2));
	for (i = 0; i < 512; i++)
		p[i].flags = 0;
	CHECK(!mm_pages_bits_begin(mm, HUGE_BASE, HUGE_SIZE, false, true));
	CHECK(mm_pages_bits(mm, HUGE_BASE, 512, false, true, bits) == 512);
	CHECK(mm_pages_bits(mm, HUGE_BASE, 512, false, false, bits) == 0);
	mm_check(mm);
	mm_activate(NULL);
	mm_put(mm);
	PASS("dirty bits of a part of a 2 MiB page, and of a whole one");
}

/* What must not copy: going as a whole, and what a range does not hold. */
static void test_whole(void)
{
	struct mm *mm = mm_with(4096), *child = mm_fork(mm);
	volatile struct rs_guest_stats *s = &core_boot.stats;
	u64 tables = s->table_copies, mapped;

	CHECK(child);
	mm_activate(child);
	mapped = child->pt.mapped;
	CHECK(!mm_munmap(child, AREA, 1ul << 39));
	CHECK(s->table_copies == tables && !child->pt.mapped && child->pt.tables == 1);
	mm_check(child);
	mm_activate(mm);
	mm_put(child);
	child = mm_fork(mm);
	CHECK(child);
	mm_activate(child);
	/* One table of the eight whole, and half of the next: the two above it, and that one. */
	CHECK(!mm_munmap(child, AREA + HUGE_SIZE, HUGE_SIZE + HUGE_SIZE / 2));
	CHECK(s->table_copies == tables + 3 && child->pt.mapped == mapped - 768);
	mm_check(child);
	mm_check(mm);
	mm_activate(mm);
	mm_put(child);
	mm_activate(NULL);
	mm_put(mm);
	PASS("unmapping shared tables as a whole copies none, a border its own path");
}

/* --- no memory at each place in turn ---------------------------------------------------------- */

static struct mm *victim;

static bool try_fork(void)
{
	struct mm *child = mm_fork(victim);

	if (child)
		mm_put(child);
	return child;
}

static bool try_write(void)
{
	return mm_fault(victim, AREA + 5 * PAGE_SIZE, FAULT_WRITE) == FAULT_OK;
}

static bool try_munmap(void)
{
	return !mm_munmap(victim, AREA + 10 * PAGE_SIZE, PAGE_SIZE);
}

static bool try_mprotect(void)
{
	return !mm_mprotect(victim, AREA + 20 * PAGE_SIZE, 600 * PAGE_SIZE, PROT_READ);
}

static bool try_mremap(void)
{
	return mm_mremap(victim, AREA + 30 * PAGE_SIZE, 600 * PAGE_SIZE, 700 * PAGE_SIZE,
			 MREMAP_MAYMOVE | MREMAP_FIXED, AREA - (3ul << 39)) > 0;
}

static bool try_madvise(void)
{
	return !mm_madvise(victim, AREA + 5 * PAGE_SIZE, PAGE_SIZE, MADV_DONTNEED);
}

static void test_no_memory(void)
{
	static const struct { const char *name; bool (*try)(void); } ops[] = {
		{ "fork", try_fork }, { "write", try_write }, { "munmap", try_munmap },
		{ "mprotect", try_mprotect }, { "mremap", try_mremap }, { "madvise", try_madvise },
	};
	u64 used = pages_used(), objects = kmalloc_in_use(), places = 0;

	for (u32 k = 0; k < ARRAY_SIZE(ops); k++) {
		for (u32 n = 0;; n++) {
			struct mm *mm = mm_with(2048), *child = mm_fork(mm);
			u64 vmas, mapped;
			bool done;

			CHECK(child);
			victim = n & 1 ? child : mm;
			mm_activate(victim);
			vmas = victim->tree.count;
			mapped = victim->pt.mapped;
			core_failed = 0;
			core_fail_all = true;
			core_fail_in = n;
			done = ops[k].try();
			core_fail_in = -1;
			mm_check(mm);
			mm_check(child);
			CHECK(done == !core_failed, "%s", ops[k].name);
			if (!done)
				CHECK(victim->tree.count == vmas && victim->pt.mapped == mapped &&
				      ops[k].try(), "%s", ops[k].name);
			mm_activate(NULL);
			mm_put(n & 2 ? mm : child);
			mm_put(n & 2 ? child : mm);
			CHECK(pages_used() == used && kmalloc_in_use() == objects, "%s",
			      ops[k].name);
			if (done) {
				CHECK(n, "%s allocates nothing", ops[k].name);
				break;
			}
			places++;
		}
	}
	PASS("no memory at each of %lu places: an error, nothing changed, nothing leaked", places);
}

/* --- a private mapping of a file that grows --------------------------------------------------- */

#define OLD_PAGES 8u
#define NEW_PAGES 20u
#define WRITTEN(i) ((i) == 1 || (i) == 5)

/* What @mm sees at @at: what was written into pages 1 and 5, in the others the file. */
static void check_private(struct mm *mm, u64 at, u32 pages, u64 written)
{
	mm_activate(mm);
	for (u32 i = 0; i < pages; i++) {
		u64 gpa, want = WRITTEN(i) ? written + i : i + 1;
		pte_t rights;

		CHECK(mm_fault(mm, at + i * PAGE_SIZE, FAULT_READ) == FAULT_OK);
		CHECK(walk(mm, at + i * PAGE_SIZE, &gpa, &rights));
		CHECK(*(u64 *)gpa_ptr(gpa) == want && gpa_is_arena(gpa) == WRITTEN(i),
		      "page %u: %lu", i, *(u64 *)gpa_ptr(gpa));
	}
	mm_check(mm);
}

static void write_private(struct mm *mm, u64 written)
{
	mm_activate(mm);
	for (u32 i = 0; i < OLD_PAGES; i++) {
		pte_t rights;
		u64 gpa;

		CHECK(mm_fault(mm, AREA + i * PAGE_SIZE, WRITTEN(i) ? FAULT_WRITE : FAULT_READ) ==
		      FAULT_OK);
		CHECK(walk(mm, AREA + i * PAGE_SIZE, &gpa, &rights));
		if (WRITTEN(i))
			*(u64 *)gpa_ptr(gpa) = written + i;
	}
}

/*
 * Parent or child enlarges its mapping, in place or by moving it, while the page tables are shared
 * with the other, and allocations fail from the n-th on.
 */
static void test_private_file_grows(void)
{
	struct mmap_req r = { .addr = AREA, .len = OLD_PAGES * PAGE_SIZE, .prot = RIGHTS_RW,
			      .flags = MAP_PRIVATE | MAP_FIXED, .host_fd = FILE_FD };
	struct mmap_req guard = { .addr = AREA + OLD_PAGES * PAGE_SIZE, .len = PAGE_SIZE,
				  .flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
				  .host_fd = -1 };
	u64 used, objects, maps, places = 0;

	file_map_drop_spare();
	used = pages_used();
	objects = kmalloc_in_use();
	maps = window_maps;
	for (u32 kind = 0; kind < 4; kind++) {
		bool moves = kind & 1, done = false;

		for (s64 n = 0; !done; n++) {
			struct mm *mm = mm_create(), *child, *by;
			u64 at, written = ++stamp * 16;
			long ret;

			CHECK(mm && mm_mmap(mm, &r) == (long)AREA);
			CHECK(!moves || mm_mmap(mm, &guard) == (long)guard.addr);
			write_private(mm, written);
			child = mm_fork(mm);
			CHECK(child);
			by = kind & 2 ? child : mm;
			/* No room where it may not move, or no more of the file: it is as it was. */
			mm_activate(by);
			CHECK(!moves || mm_mremap(by, AREA, OLD_PAGES * PAGE_SIZE,
						  NEW_PAGES * PAGE_SIZE, 0, 0) == -ENOMEM);
			host_no_more = true;
			CHECK(mm_mremap(by, AREA, OLD_PAGES * PAGE_SIZE, NEW_PAGES * PAGE_SIZE,
					MREMAP_MAYMOVE, 0) == -ENOMEM);
			host_no_more = false;
			/* A look makes the tables on the way its own: else they are shared. */
			if (!n)
				check_private(by, AREA, OLD_PAGES, written);
			mm_activate(by);
			core_failed = 0;
			core_fail_all = true;
			core_fail_in = n;
			ret = mm_mremap(by, AREA, OLD_PAGES * PAGE_SIZE, NEW_PAGES * PAGE_SIZE,
					MREMAP_MAYMOVE, 0);
			core_fail_in = -1;
			done = !core_failed;
			CHECK(done ? ret > 0 : ret == -ENOMEM, "%ld", ret);
			if (!done) {
				places++;
				check_private(by, AREA, OLD_PAGES, written);
				mm_activate(by);
				ret = mm_mremap(by, AREA, OLD_PAGES * PAGE_SIZE,
						NEW_PAGES * PAGE_SIZE, MREMAP_MAYMOVE, 0);
			}
			at = ret;
			CHECK(moves ? ret > 0 && at != AREA : at == AREA, "%ld", ret);
			CHECK(mm_find(by, at)->end == at + NEW_PAGES * PAGE_SIZE);
			check_private(by, at, NEW_PAGES, written);
			check_private(by == mm ? child : mm, AREA, OLD_PAGES, written);
			/* One mapping still: it grows again, and forgets what was written. */
			mm_activate(by);
			ret = mm_mremap(by, at, NEW_PAGES * PAGE_SIZE, 2 * NEW_PAGES * PAGE_SIZE,
					MREMAP_MAYMOVE, 0);
			CHECK(ret > 0);
			check_private(by, ret, 2 * NEW_PAGES, written);
			CHECK(!mm_madvise(by, ret, NEW_PAGES * PAGE_SIZE, MADV_DONTNEED));
			for (u32 i = 0; i < 2; i++) {
				u64 gpa;
				pte_t rights;

				CHECK(mm_fault(by, ret + i * PAGE_SIZE, FAULT_READ) == FAULT_OK);
				CHECK(walk(by, ret + i * PAGE_SIZE, &gpa, &rights) &&
				      *(u64 *)gpa_ptr(gpa) == i + 1);
			}
			check_private(by == mm ? child : mm, AREA, OLD_PAGES, written);
			mm_activate(NULL);
			mm_put(mm);
			mm_put(child);
			file_map_drop_spare();
			CHECK(pages_used() == used && kmalloc_in_use() == objects &&
			      window_maps == maps);
		}
	}
	CHECK(places > 8, "%lu", places);
	PASS("a private mapping of a file grows and keeps what was written; no memory at each of %lu places",
	     places);
}

int main(int argc, char **argv)
{
	u64 rounds = argc > 2 ? strtoul(argv[2], NULL, 0) : 1200000;

	rnd_seed(argc > 1 ? strtoul(argv[1], NULL, 0) : 1);
	core_init(0x100000);
	page_alloc_init(ARENA_SIZE, 0x100000, false);
	window_init(WINDOW_GPA, WINDOW_SIZE);
	fault_init();
	test_first_write();
	test_keep();
	test_dirty_large();
	test_whole();
	test_constant();
	test_no_memory();
	test_private_file_grows();
	test_random(rounds);
	DONE();
}
