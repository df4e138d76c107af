// SPDX-License-Identifier: MIT
/*
 * transfer_test.c - pages that go from one address space to another, against a model
 *
 * Some address spaces with a few private and shared pages each; the model knows for each page which
 * number is its first word, and for shared ones which cell that is. Random writes, reads,
 * transfers, drops, rights and forks; what a read finds is compared each time, and a page that can
 * be written by two who should not see each other would show as a wrong number at once. Counts of
 * pages are exact at the end.
 */
#include <linux/mman.h>
#include "core.h"
#include "../../userland/guest/mm/fault.h"
#include "../../userland/guest/mm/kmalloc.h"
#include "../../userland/guest/mm/mm_internal.h"
#include "../../userland/guest/mm/pages.h"
#include "../../userland/guest/mm/transfer.h"

#define BASE	0x7f0000000000ul
#define SPACES	4u
#define N	40u	/* pages of each: the first half begins private, the second shared */
#define RW	(PROT_READ | PROT_WRITE)

/* Of one page. @cell: of shared memory, where its number is; 0: private, @value is it. */
struct model {
	bool mapped, read_only, taken;
	u32 cell;
	u64 value;
};

static struct mm *mm[SPACES];
static struct model model[SPACES][N];
static u64 cells[100000];
static u32 ncells;
static u64 stamp;

static u64 va(u32 i)
{
	return BASE + (u64)i * PAGE_SIZE;
}

static void map(u32 s, u32 from, u32 n, bool shared)
{
	struct mmap_req r = {
		.addr = va(from), .len = n * PAGE_SIZE, .prot = RW, .host_fd = -1,
		.flags = MAP_FIXED | MAP_ANONYMOUS | (shared ? MAP_SHARED : MAP_PRIVATE),
	};

	mm_activate(mm[s]);
	CHECK(mm_mmap(mm[s], &r) == (long)r.addr);
	for (u32 i = from; i < from + n; i++)
		model[s][i] = (struct model){ .mapped = true, .cell = shared ? ++ncells : 0 };
}

static u64 *number(u32 s, u32 i)
{
	struct model *m = &model[s][i];

	return m->cell ? &cells[m->cell] : &m->value;
}

static void touch(u32 s, u32 i, bool write)
{
	struct model *m = &model[s][i];
	enum fault_cause c;
	int level;
	pte_t *e;
	u64 *w;

	mm_activate(mm[s]);
	c = mm_fault(mm[s], va(i), write ? FAULT_WRITE : FAULT_READ);
	if (!m->mapped) {
		CHECK(c == FAULT_NO_VMA);
		return;
	}
	if (write && (m->read_only || m->taken)) {
		CHECK(c == FAULT_WRITE_DENIED, "%d", c);
		return;
	}
	CHECK(c == FAULT_OK, "space %u page %u: %d", s, i, c);
	e = pgtable_present(&mm[s]->pt, va(i), write ? PTE_P | PTE_W : PTE_P, &level);
	CHECK(e && *e & PTE_NX && *e & PTE_U);
	w = gpa_ptr(*e & PTE_ADDR);
	CHECK(*w == *number(s, i), "space %u page %u: %lu, not %lu", s, i, *w, *number(s, i));
	if (write)
		*w = *number(s, i) = ++stamp;
}

/* What the call must answer, and what the model is then. */
static void transfer(u32 s, u32 from, u32 d, u32 to, u32 n, bool write, bool move)
{
	struct pages_offer o = { mm[s], va(from), n * PAGE_SIZE, write, move };
	struct model was[N];
	bool shared = model[s][from].cell, one = true;
	long want = 0, got;
	struct vma *v;

	memcpy(was, model[s], sizeof(was));
	for (u32 i = from; i < from + n && !want; i++) {
		const struct model *m = &was[i];

		if (!m->mapped)
			want = -EFAULT;
		else if (write && m->read_only)
			want = -EACCES;
		else if (!m->cell != !shared)
			want = -EINVAL;
	}
	v = mm_find(mm[s], va(from));
	if (!want && shared && (!v || v->end < va(from + n)))
		one = false;	/* mappings that lie side by side, of different objects */
	if (!want && (!one || (shared && move)))
		want = -EINVAL;
	for (u32 i = from; i < from + n && !want && !shared; i++)
		if (write && was[i].taken)
			want = -EACCES;
	mm_activate(mm[rnd_below(SPACES)]);
	got = mm_transfer(&o, mm[d], va(to));
	CHECK(got == want || (want && got < 0), "%ld, not %ld", got, want);
	if (got) {
		/* the window may be anything: it is made new */
		map(d, to, n, false);
		return;
	}
	for (u32 i = 0; i < n; i++) {
		model[d][to + i] = was[from + i];
		model[d][to + i].read_only = shared && !write;
		model[d][to + i].taken = !shared && !write;
		if (move)
			model[s][from + i] = (struct model){ .mapped = true,
							     .read_only = was[from + i].read_only };
	}
}

static void replace_by_fork(u32 s, u32 d)
{
	mm_activate(mm[s]);
	mm_put(mm[d]);
	mm[d] = mm_fork(mm[s]);
	CHECK(mm[d]);
	memcpy(model[d], model[s], sizeof(model[d]));
}

static void step(void)
{
	u32 s = rnd_below(SPACES), d = rnd_below(SPACES), i = rnd_below(N), n, to;

	switch (rnd_below(16)) {
	case 0:
	case 1:
	case 2:
	case 3: touch(s, i, false); break;
	case 4:
	case 5:
	case 6:
	case 7: touch(s, i, true); break;
	case 8:
		n = 1 + rnd_below(3);
		map(s, rnd_below(N - n), n, rnd_below(2));
		break;
	case 9:
		mm_activate(mm[s]);
		CHECK(!mm_munmap(mm[s], va(i), PAGE_SIZE));
		model[s][i] = (struct model){ 0 };
		break;
	case 10:
		if (!model[s][i].mapped || model[s][i].read_only)
			break;
		mm_activate(mm[s]);
		CHECK(!mm_pages_protect(mm[s], va(i), PAGE_SIZE, VM_READ | VM_WRITE));
		model[s][i].taken = false;
		break;
	case 11:
		if (s != d && rnd_below(4) == 0)
			replace_by_fork(s, d);
		break;
	default:
		n = 1 + rnd_below(rnd_below(3) ? 1 : 4);
		i = rnd_below(N - n);
		to = rnd_below(N - n);
		/* from a range into itself: there is nothing sensible to expect */
		if (s == d && i < to + n && to < i + n)
			break;
		transfer(s, i, d, to, n, rnd_below(4), !rnd_below(4));
	}
}

static void test_random(u32 rounds)
{
	u64 before = pages_free();

	for (u32 s = 0; s < SPACES; s++) {
		mm[s] = mm_create();
		map(s, 0, N / 2, false);
		map(s, N / 2, N / 2, true);
	}
	for (u32 i = 0; i < rounds && ncells < ARRAY_SIZE(cells) - N; i++) {
		step();
		if (i % 512)
			continue;
		for (u32 s = 0; s < SPACES; s++) {
			mm_check(mm[s]);
			for (u32 p = 0; p < N; p++)
				touch(s, p, false);
		}
	}
	mm_activate(NULL);
	for (u32 s = 0; s < SPACES; s++)
		mm_put(mm[s]);
	pgtable_drop_spare();
	kmalloc_drop_spare();
	page_alloc_check();
	CHECK(pages_free() == before, "%lu pages are lost", before - pages_free());
	PASS("random transfers: nobody sees another's writes but of shared memory");
}

/* One page that goes and comes: its references, and who needs a copy. */
static void test_references(void)
{
	struct page *p;
	u64 copies;
	pte_t e;

	for (u32 s = 0; s < 2; s++) {
		mm[s] = mm_create();
		map(s, 0, N / 2, false);
	}
	touch(0, 0, true);
	p = gpa_page(*pgtable_lookup(&mm[0]->pt, va(0), NULL) & PTE_ADDR);
	transfer(0, 0, 1, 3, 1, true, false);
	CHECK(p->refs == 2);
	/* the same again is the same */
	transfer(0, 0, 1, 3, 1, true, false);
	CHECK(p->refs == 2);
	copies = core_boot.stats.cow_copies;
	touch(0, 0, true);
	CHECK(p->refs == 1 && core_boot.stats.cow_copies == copies + 1);
	touch(1, 3, true);
	CHECK(p->refs == 1 && core_boot.stats.cow_copies == copies + 1);
	/* it moves: no copy, and no fault for the write */
	transfer(1, 3, 0, 5, 1, true, true);
	e = *pgtable_lookup(&mm[0]->pt, va(5), NULL);
	CHECK((e & PTE_ADDR) == page_gpa(p) && p->refs == 1 && e & PTE_W);
	touch(1, 3, false);
	CHECK(*number(1, 3) == 0);
	/* the host writes into it for another thread: the receiver gets a copy, the sender keeps it */
	page_get(p);
	transfer(0, 5, 1, 7, 1, true, false);
	e = *pgtable_lookup(&mm[0]->pt, va(5), NULL);
	CHECK((e & PTE_ADDR) == page_gpa(p) && e & PTE_W && p->refs == 2);
	CHECK((*pgtable_lookup(&mm[1]->pt, va(7), NULL) & PTE_ADDR) != page_gpa(p));
	page_put(p);
	mm_activate(NULL);
	mm_put(mm[0]);
	mm_put(mm[1]);
	PASS("references of a page that goes");
}

static void test_rights(void)
{
	struct mmap_req file = { .addr = va(10), .len = 4 * PAGE_SIZE, .prot = PROT_READ,
				 .flags = MAP_FIXED | MAP_PRIVATE, .host_fd = FILE_FD };
	struct pages_offer o = { .addr = va(0), .len = PAGE_SIZE };
	struct vma *v;

	for (u32 s = 0; s < 2; s++) {
		mm[s] = mm_create();
		map(s, 0, 4, false);
		map(s, 4, 4, true);
	}
	o.mm = mm[0];
	/* places no mapping can have */
	CHECK(mm_transfer(&o, mm[1], 0) == -EMSGSIZE);
	CHECK(mm_transfer(&o, mm[1], USER_TOP) == -EMSGSIZE);
	CHECK(mm_transfer(&o, mm[1], -PAGE_SIZE) == -EMSGSIZE);
	/* executable memory is never made, nor kept, by a transfer */
	mm_activate(mm[1]);
	CHECK(!mm_mprotect(mm[1], va(1), PAGE_SIZE, PROT_READ | PROT_EXEC));
	transfer(0, 0, 1, 1, 1, true, false);
	CHECK(!(mm_find(mm[1], va(1))->flags & VM_EXEC));
	transfer(0, 4, 1, 1, 1, true, false);
	CHECK(!(mm_find(mm[1], va(1))->flags & VM_EXEC));
	/* without the right, a shared mapping cannot get it, and cannot give it */
	transfer(0, 4, 1, 2, 2, false, false);
	mm_activate(mm[1]);
	CHECK(mm_mprotect(mm[1], va(2), PAGE_SIZE, RW) == -EACCES);
	o = (struct pages_offer){ mm[1], va(2), PAGE_SIZE, true, false };
	CHECK(mm_transfer(&o, mm[0], va(3)) == -EACCES);
	o.write = false;
	CHECK(!mm_transfer(&o, mm[0], va(3)));
	v = mm_find(mm[0], va(3));
	CHECK(v->shm == mm_find(mm[0], va(4))->shm && !(v->flags & VM_MAYWRITE));
	/* pages of a file come as copies, and end with the file */
	mm_activate(mm[0]);
	CHECK(mm_mmap(mm[0], &file) == (long)file.addr);
	o = (struct pages_offer){ mm[0], va(11), 2 * PAGE_SIZE, false, false };
	CHECK(!mm_transfer(&o, mm[1], va(0)));
	CHECK(*pgtable_lookup(&mm[1]->pt, va(1), NULL) & PTE_OWNED);
	CHECK(*(u64 *)gpa_ptr(*pgtable_lookup(&mm[1]->pt, va(1), NULL) & PTE_ADDR) == 3);
	o.write = true;
	CHECK(mm_transfer(&o, mm[1], va(0)) == -EACCES);
	mm_check(mm[0]);
	mm_check(mm[1]);
	mm_activate(NULL);
	mm_put(mm[0]);
	mm_put(mm[1]);
	PASS("rights and places");
}

static u32 gone;

static void pager_gone(struct shm *s)
{
	(void)s;
	gone++;
}

static void test_pager(void)
{
	struct pager p = { .shm = { .refs = 2, .gone = pager_gone }, .id = 7 };
	struct pages_offer o;
	struct mm *child;

	gone = 0;
	for (u32 s = 0; s < 2; s++) {
		mm[s] = mm_create();
		map(s, 0, 16, false);
		map(s, 16, 4, true);
	}
	mm_activate(mm[0]);
	touch(0, 2, true);
	CHECK(mm_set_pager(mm[0], va(1), 6 * PAGE_SIZE, &p) == 0);
	CHECK(p.shm.refs == 2);
	CHECK(mm_fault(mm[0], va(1), FAULT_READ) == FAULT_PAGER);
	CHECK(mm_fault(mm[0], va(1), FAULT_WRITE) == FAULT_PAGER);
	touch(0, 2, true);
	touch(0, 0, true);
	touch(0, 7, false);
	CHECK(mm_pages_protect(mm[0], va(1), PAGE_SIZE, 0) == -EFAULT);
	/* from the middle on: what is there stays, the range's end is the end */
	for (u32 i = 0; i < 8; i++)
		touch(1, i, true);
	o = (struct pages_offer){ mm[1], va(0), 8 * PAGE_SIZE, true, false };
	CHECK(!mm_transfer_missing(&o, mm[0], va(1), 8));
	CHECK(mm_fault(mm[0], va(1), FAULT_READ) == FAULT_PAGER);
	CHECK(!mm_transfer_missing(&o, mm[0], va(1), 7));
	for (u32 i = 1; i < 7; i++)
		if (i != 2)
			model[0][i].value = model[1][i - 1].value;
	for (u32 i = 0; i < 9; i++)
		touch(0, i, true);
	for (u32 i = 0; i < 8; i++)
		touch(1, i, true);
	/* dropped: asked for again, also after a move and in a child */
	CHECK(!mm_madvise(mm[0], va(1), 6 * PAGE_SIZE, MADV_DONTNEED));
	CHECK(mm_fault(mm[0], va(3), FAULT_READ) == FAULT_PAGER);
	child = mm_fork(mm[0]);
	CHECK(child && p.shm.refs == 3);
	CHECK(mm_fault(child, va(3), FAULT_READ) == FAULT_PAGER);
	mm_check(child);
	mm_put(child);
	CHECK(mm_mremap(mm[0], va(3), 2 * PAGE_SIZE, 3 * PAGE_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED,
			va(30)) == (long)va(30));
	CHECK(mm_fault(mm[0], va(31), FAULT_READ) == FAULT_PAGER);
	CHECK(mm_find(mm[0], va(31))->file_off == 2 * PAGE_SIZE);
	CHECK(mm_fault(mm[0], va(32), FAULT_WRITE) == FAULT_OK);
	mm_check(mm[0]);
	/* shared memory is copied */
	touch(1, 16, true);
	o = (struct pages_offer){ mm[1], va(16), PAGE_SIZE, true, false };
	CHECK(!mm_transfer_missing(&o, mm[0], va(30), 7));
	CHECK(mm_fault(mm[0], va(30), FAULT_WRITE) == FAULT_OK);
	CHECK(*(u64 *)gpa_ptr(*pgtable_lookup(&mm[0]->pt, va(30), NULL) & PTE_ADDR) == *number(1, 16));
	CHECK(!(mm_find(mm[0], va(30))->flags & VM_SHARED));
	touch(1, 16, true);
	/* other memory has none, and it ends with the mapping, or when it is taken away */
	p.shm.refs++;
	CHECK(mm_set_pager(mm[1], va(15), 2 * PAGE_SIZE, &p) == -EINVAL);
	p.shm.refs++;
	CHECK(mm_set_pager(mm[1], va(60), PAGE_SIZE, &p) == -ENOMEM);
	CHECK(mm_set_pager(mm[0], va(1), PAGE_SIZE, NULL) == 0);
	CHECK(mm_fault(mm[0], va(1), FAULT_WRITE) == FAULT_OK);
	CHECK(!mm_munmap(mm[0], va(0), 64 * PAGE_SIZE));
	CHECK(p.shm.refs == 1 && !gone);
	shm_put(&p.shm);
	CHECK(gone == 1);
	mm_check(mm[0]);
	mm_activate(NULL);
	mm_put(mm[0]);
	mm_put(mm[1]);
	PASS("memory with a pager");
}

static void pager_freed(struct shm *s)
{
	gone++;
	kfree(s);
}

/* Pagers come and go in ranges that cut each other, and pages are sent across; the mappings stay in order. */
static void test_pager_random(void)
{
	u64 before, made = 0;

	pgtable_drop_spare();
	kmalloc_drop_spare();
	before = pages_free();
	gone = 0;
	for (u32 s = 0; s < 2; s++) {
		mm[s] = mm_create();
		map(s, 0, 8, false);
		map(s, 8, 8, true);
	}
	for (u32 i = 0; i < 30000; i++) {
		u32 s = rnd_below(2), n = 1 + rnd_below(3), at = rnd_below(16 - n), to = rnd_below(16 - n);
		struct pages_offer o = { mm[s], va(at), n * PAGE_SIZE, rnd_below(2), !rnd_below(4) };
		struct pager *p;

		mm_activate(mm[s]);
		switch (rnd_below(4)) {
		case 0:
			p = kzalloc(sizeof(*p));
			*p = (struct pager){ .shm = { .refs = 1, .gone = pager_freed }, .id = ++made };
			mm_set_pager(mm[s], va(at), n * PAGE_SIZE, p);
			break;
		case 1: mm_set_pager(mm[s], va(at), n * PAGE_SIZE, NULL); break;
		case 2: mm_fault(mm[s], va(at), rnd_below(2)); break;
		default: mm_transfer(&o, mm[rnd_below(2)], va(to));
		}
		mm_check(mm[0]);
		mm_check(mm[1]);
	}
	mm_activate(NULL);
	mm_put(mm[0]);
	mm_put(mm[1]);
	pgtable_drop_spare();
	kmalloc_drop_spare();
	CHECK(made > 1000 && gone == made);
	CHECK(pages_free() == before);
	PASS("pagers in random ranges");
}

/* Memory ends at each place in turn: an error, everything as before, nothing lost. */
static void test_no_memory(void)
{
	struct pages_offer o;
	u64 before;
	long err;

	pgtable_drop_spare();
	kmalloc_drop_spare();
	before = pages_free();
	for (u32 kind = 0; kind < 4; kind++)
		for (s64 n = 0; ; n++) {
			for (u32 s = 0; s < 2; s++) {
				mm[s] = mm_create();
				map(s, 0, 8, kind & 1);
			}
			touch(0, 1, true);
			mm_activate(mm[0]);
			o = (struct pages_offer){ mm[0], va(0), 4 * PAGE_SIZE, true, kind & 2 && !(kind & 1) };
			core_fail_in = n;
			core_failed = 0;
			err = mm_transfer(&o, mm[1], va(2));
			core_fail_in = -1;
			CHECK(err == (core_failed ? -ENOMEM : 0), "%ld", err);
			CHECK(current_mm() == mm[0]);
			mm_check(mm[0]);
			mm_check(mm[1]);
			if (err)
				for (u32 i = 0; i < 8; i++)
					touch(0, i, false);
			mm_activate(NULL);
			mm_put(mm[0]);
			mm_put(mm[1]);
			pgtable_drop_spare();
			kmalloc_drop_spare();
			CHECK(pages_free() == before, "kind %u, %ld", kind, (long)n);
			if (!core_failed)
				break;
		}
	PASS("no memory, at each place in turn");
}

int main(int argc, char **argv)
{
	u32 rounds = argc > 2 ? strtoul(argv[2], NULL, 0) : 200000;

	rnd_seed(argc > 1 ? strtoul(argv[1], NULL, 0) : 1);
	core_init(0x100000);
	page_alloc_init(ARENA_SIZE, 0x100000, false);
	window_init(WINDOW_GPA, WINDOW_SIZE);
	fault_init();
	test_references();
	test_rights();
	test_pager();
	test_pager_random();
	test_no_memory();
	test_random(rounds);
	DONE();
}
