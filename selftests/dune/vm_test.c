// SPDX-License-Identifier: MIT
/*
 * Page tables in the ring: what is changed in them is what the CPU does; where memory is; threads and children.
 */
#include "dune_test.h"

static volatile int calls;
static uintptr_t last_addr;
static uint64_t last_fec;

static void allow(uintptr_t addr, uint64_t fec, struct dune_tf *tf)
{
	calls++;
	last_addr = addr;
	last_fec = fec;
	ASSERT_EQ(dune_vm_mprotect(pgroot, (void *)PGADDR(addr), PGSIZE, PERM_R | PERM_W | PERM_X | PERM_U), 0);
}

static ptent_t pte_of(ptent_t *root, void *va)
{
	ptent_t *pte;

	return dune_vm_lookup(root, va, CREATE_NONE, &pte) ? 0 : *pte;
}

/* --- where things are ---------------------------------------------------------------------------------------------------------------------- */

TEST(layout)
{
	int local;
	char *p;

	enter(true);
	EXPECT_EQ(mmap_base & (GIB - 1), 0);
	EXPECT_EQ(stack_base & (GIB - 1), 0);
	EXPECT_LT(mmap_base, stack_base);
	EXPECT_LE(mmap_base + GPA_MAP_SIZE, stack_base + GPA_STACK_SIZE);
	EXPECT((uintptr_t)&local >= stack_base && (uintptr_t)&local < stack_base + GPA_STACK_SIZE);
	p = pages_of(1);
	EXPECT((uintptr_t)p >= mmap_base && (uintptr_t)p < mmap_base + GPA_MAP_SIZE);
	EXPECT_EQ(phys_limit & (phys_limit - 1), 0);
	EXPECT_LT(dune_va_to_pa(&local), phys_limit);
	EXPECT_EQ(dune_va_to_pa(&local), dune_stack_addr_to_pa(&local));
	EXPECT_EQ(dune_va_to_pa(p), dune_mmap_addr_to_pa(p));
	EXPECT_NE(dune_va_to_pa(p), dune_va_to_pa(&local));
	EXPECT_EQ(dune_va_to_pa(p) & (GIB - 1), (uintptr_t)p & (GIB - 1));
	/* below 64 GiB everything is where it is: so are the tables */
	EXPECT_EQ(dune_va_to_pa((void *)0x12345678), 0x12345678);
	EXPECT_EQ(dune_va_to_pa((void *)(40 * GIB)), 40 * GIB);
	EXPECT_EQ(dune_va_to_pa((void *)(1ul << 47)), ~0ul);
	EXPECT(dune_page_isfrompool((uintptr_t)pgroot));
	EXPECT_EQ(PTE_ADDR(pte_of(pgroot, p)), PGADDR(dune_va_to_pa(p)));
}

/* As programs do that know the layout of tables: every table is at its physical address. */
TEST(walk_by_hand_from_cr3)
{
	ptent_t *t, e = 0, *pte;
	char *p = pages_of(1);
	uint64_t cr3;
	int level;

	enter(true);
	STORE(p, 1);
	ASSERT_EQ(dune_vm_lookup(pgroot, p, CREATE_NORMAL, &pte), 0);
	asm volatile("mov %%cr3, %0" : "=r"(cr3));
	t = (ptent_t *)PTE_ADDR(cr3);
	EXPECT(t == pgroot);
	for (level = 3; level >= 0; level--) {
		e = t[PDX(level, p)];
		ASSERT(e & PTE_P);
		if (level && (e & PTE_PS))
			break;
		if (level)
			t = (ptent_t *)PTE_ADDR(e);
	}
	EXPECT_EQ(level, -1);
	EXPECT(&t[PDX(0, p)] == pte);
	EXPECT_EQ(PTE_ADDR(e), PGADDR(dune_va_to_pa(p)));
}

/* Tables are there as soon as dune_init() is done, for a thread outside as well. */
TEST(tables_before_entering)
{
	char *p = pages_of(1), *alias = (char *)0x410000000000;
	int ret = dune_init(true);

	if (ret == -ENODEV)
		SKIP("no device: the module is not loaded");
	ASSERT_EQ(ret, 0);
	STORE(p, 7);
	ASSERT_EQ(dune_vm_map_phys(pgroot, alias, PGSIZE, (void *)dune_va_to_pa(p), PERM_R | PERM_W), 0);
	ASSERT_EQ(dune_vm_map_pages(pgroot, alias + PGSIZE, PGSIZE, PERM_R | PERM_W), 0);
	ASSERT_EQ(dune_vm_mprotect(pgroot, alias, PGSIZE, PERM_R), 0);
	ASSERT_EQ(dune_enter(), 0);
	EXPECT_EQ(LOAD(alias), 7);
	STORE(alias + PGSIZE, 8);
	EXPECT_EQ(LOAD(alias + PGSIZE), 8);
}

static void *in_a_thread(void *arg)
{
	char local[100000], *p;

	if (dune_enter())
		return NULL;
	memset(local, 1, sizeof(local));
	p = malloc(5 << 20);
	memset(p, 2, 5 << 20);
	arg = (void *)(uintptr_t)(PLACE(local)[99999] + PLACE(p)[5 << 19]);
	free(p);
	return arg;
}

TEST(threads_where_memory_is_ring_0s_alone)
{
	pthread_t t[4];
	void *ret;
	int i;

	enter(false);
	for (i = 0; i < 4; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, in_a_thread, NULL), 0);
	for (i = 0; i < 4; i++) {
		ASSERT_EQ(pthread_join(t[i], &ret), 0);
		EXPECT(ret == (void *)3);
	}
}

/* --- rights -------------------------------------------------------------------------------------------------------------------------------- */

TEST(accessed_and_dirty)
{
	char *p = pages_of(2);
	ptent_t *pte;

	enter(true);
	memset(p, 1, 2 * PGSIZE);
	ASSERT_EQ(dune_vm_lookup(pgroot, p, CREATE_NONE, &pte), 0);
	*pte &= ~(ptent_t)(PTE_A | PTE_D);
	dune_flush_tlb_one((uintptr_t)p);
	EXPECT_EQ(*(volatile ptent_t *)pte & (PTE_A | PTE_D), 0);
	LOAD(p);
	EXPECT_EQ(*(volatile ptent_t *)pte & (PTE_A | PTE_D), PTE_A);
	STORE(p, 2);
	EXPECT_EQ(*(volatile ptent_t *)pte & (PTE_A | PTE_D), PTE_A | PTE_D);
	*pte &= ~(ptent_t)(PTE_A | PTE_D);
	dune_flush_tlb();
	LOAD(p);
	EXPECT_EQ(*(volatile ptent_t *)pte & (PTE_A | PTE_D), PTE_A);
	*pte &= ~(ptent_t)PTE_A;
	__invpcid(0, (uintptr_t)p);
	LOAD(p);
	EXPECT_EQ(*(volatile ptent_t *)pte & PTE_A, PTE_A);
	*pte &= ~(ptent_t)PTE_A;
	__invpcid(2, 0);
	LOAD(p);
	EXPECT_EQ(*(volatile ptent_t *)pte & PTE_A, PTE_A);
}

TEST(software_bits_and_uncached)
{
	static const struct { int perm; ptent_t bits; } t[] = {
		{ PERM_USR1, PTE_USR1 }, { PERM_USR2, PTE_USR2 }, { PERM_USR3, PTE_USR1 | PTE_USR2 | PTE_USR3 }, { PERM_UC, PTE_PCD },
	};
	char *p = pages_of(1);
	unsigned int i;

	enter(true);
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		/* Bits 59 to 62 are a key's number where the CPU has protection keys: they must mean nothing here. */
		ASSERT_EQ(dune_vm_mprotect(pgroot, p, PGSIZE, PERM_R | PERM_W | PERM_U | t[i].perm), 0);
		EXPECT_EQ(pte_of(pgroot, p) & (PTE_USR1 | PTE_USR2 | PTE_USR3 | PTE_PCD), t[i].bits);
		STORE(p, i);
		EXPECT_EQ(LOAD(p), (char)i);
	}
}

TEST(no_execution_without_perm_x)
{
	unsigned char *code = (unsigned char *)SYS(mmap(NULL, PGSIZE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	int (*fn)(void) = (int (*)(void))code;

	/* mov $42, %eax; ret */
	memcpy(code, "\xb8\x2a\0\0\0\xc3", 6);
	enter(true);
	EXPECT_EQ(fn(), 42);
	dune_register_pgflt_handler(allow);
	ASSERT_EQ(dune_vm_mprotect(pgroot, code, PGSIZE, PERM_R | PERM_W), 0);
	EXPECT(pte_of(pgroot, code) & PTE_NX);
	EXPECT_EQ(calls, 0);
	EXPECT_EQ(fn(), 42);
	EXPECT_EQ(calls, 1);
	EXPECT_EQ(last_addr, (uintptr_t)code);
	EXPECT_EQ(last_fec & (FEC_P | FEC_W | FEC_I), FEC_P | FEC_I);
	ASSERT_EQ(dune_vm_mprotect(pgroot, code, PGSIZE, PERM_SCODE), 0);
	EXPECT_EQ(fn(), 42);
	EXPECT_EQ(calls, 1);
	STORE(code + 100, 1);
	EXPECT_EQ(calls, 2);
}

/* What Linux changes later is followed whatever the program's own tables have been up to. */
TEST(linux_mappings_under_own_entries)
{
	char *p = pages_of(2), *q;

	enter(true);
	STORE(p, 1);
	ASSERT_EQ(dune_vm_mprotect(pgroot, p, PGSIZE, PERM_R | PERM_W), 0);
	SYS(madvise(p, PGSIZE, MADV_DONTNEED));
	EXPECT_EQ(LOAD(p), 0);
	STORE(p, 5);
	q = (char *)SYS(mremap(p, PGSIZE, PGSIZE, MREMAP_MAYMOVE | MREMAP_FIXED, p + PGSIZE));
	EXPECT_EQ(LOAD(q), 5);
	SYS(mmap(p, PGSIZE, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	EXPECT_EQ(LOAD(p), 0);
}

/* --- mapping ------------------------------------------------------------------------------------------------------------------------------- */

TEST(two_addresses_of_the_same_memory)
{
	char *p = pages_of(4), *alias = (char *)0x410000000000;
	int i;

	enter(true);
	for (i = 0; i < 4; i++)
		STORE(p + i * PGSIZE, 10 + i);
	ASSERT_EQ(dune_vm_map_phys(pgroot, alias, 4 * PGSIZE, (void *)dune_va_to_pa(p), PERM_R | PERM_W), 0);
	for (i = 0; i < 4; i++)
		EXPECT_EQ(LOAD(alias + i * PGSIZE), 10 + i);
	STORE(alias + 3 * PGSIZE + 5, 99);
	EXPECT_EQ(LOAD(p + 3 * PGSIZE + 5), 99);
	/* not with another page's rest */
	EXPECT_EQ(dune_vm_map_phys(pgroot, alias, PGSIZE, (void *)(dune_va_to_pa(p) + 8), PERM_R), -EINVAL);
	EXPECT_EQ(dune_vm_map_phys(pgroot, alias, PGSIZE, (void *)~0ul, PERM_R), -EINVAL);
}

/* Neighbouring GiB are not neighbours in physical memory; who maps over the border means the program's memory. */
TEST(memory_over_a_gib_border)
{
	char *border = (char *)(mmap_base + GIB), *p = border - 4 * PGSIZE, *alias = (char *)0x410000000000;
	int i;

	enter(true);
	border = (char *)(mmap_base + GIB);
	p = border - 4 * PGSIZE;
	SYS(mmap(p, 8 * PGSIZE, PROT_READ | PROT_WRITE, MAP_FIXED_NOREPLACE | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	for (i = 0; i < 8; i++)
		STORE(p + i * PGSIZE, 50 + i);
	ASSERT_EQ(dune_vm_map_phys(pgroot, alias, 8 * PGSIZE, (void *)dune_va_to_pa(p), PERM_R), 0);
	for (i = 0; i < 8; i++)
		EXPECT_EQ(LOAD(alias + i * PGSIZE), 50 + i);
}

TEST(big_pages)
{
	char *mem = pages_of(3 * 512), *p = (char *)BIG_PGADDR(mem + BIG_PGSIZE - 1), *alias = (char *)0x410000000000;
	ptent_t *pte;

	enter(true);
	STORE(p + 5 * PGSIZE, 5);
	ASSERT_EQ(dune_vm_map_phys(pgroot, alias, BIG_PGSIZE, (void *)dune_va_to_pa(p), PERM_R | PERM_W | PERM_BIG), 0);
	ASSERT_EQ(dune_vm_lookup(pgroot, alias + 5 * PGSIZE, CREATE_NONE, &pte), 0);
	EXPECT(*pte & PTE_PS);
	EXPECT_EQ(LOAD(alias + 5 * PGSIZE), 5);
	STORE(alias + 6 * PGSIZE, 6);
	EXPECT_EQ(LOAD(p + 6 * PGSIZE), 6);
	EXPECT(*(volatile ptent_t *)pte & PTE_D);
	dune_register_pgflt_handler(allow);
	ASSERT_EQ(dune_vm_mprotect(pgroot, alias + 7 * PGSIZE, PGSIZE, PERM_R), 0);
	STORE(alias + 6 * PGSIZE, 7);
	STORE(alias + 8 * PGSIZE, 7);
	EXPECT_EQ(calls, 0);
	STORE(alias + 7 * PGSIZE, 7);
	EXPECT_EQ(calls, 1);
	/* a whole GiB: of whatever pages the CPU has */
	ASSERT_EQ(dune_vm_map_phys(pgroot, alias + GIB, GIB, (void *)dune_va_to_pa((void *)(PGADDR(p) & ~(GIB - 1))),
				   PERM_R | PERM_W | PERM_BIG_1GB), 0);
	EXPECT_EQ(LOAD(alias + GIB + ((uintptr_t)p & (GIB - 1)) + 5 * PGSIZE), 5);
}

TEST(pages_of_the_pool)
{
	char *p = (char *)0x400000000000;
	struct page *pg = NULL;

	enter(true);
	pg = dune_page_alloc();
	ASSERT(pg);
	EXPECT_EQ(pg->ref, 1);
	EXPECT_EQ(dune_page2pa(pg), PAGEBASE + (uintptr_t)(pg - pages) * PGSIZE);
	EXPECT(dune_pa2page(dune_page2pa(pg)) == pg);
	EXPECT(num_pages > 0 && (unsigned long)num_pages <= MAX_PAGES);
	strcpy((char *)dune_page2pa(pg), "hello");
	ASSERT_EQ(dune_vm_insert_page(pgroot, p, pg, PERM_R), 0);
	EXPECT_EQ(pg->ref, 2);
	EXPECT(!strcmp(p, "hello"));
	EXPECT(dune_vm_lookup_page(pgroot, p) == pg);
	EXPECT(dune_vm_lookup_page(pgroot, p + PGSIZE) == NULL);
	dune_page_get(pg);
	EXPECT_EQ(pg->ref, 3);
	dune_page_put(pg);
	dune_vm_unmap(pgroot, p, PGSIZE);
	EXPECT_EQ(pg->ref, 1);
	EXPECT(dune_vm_lookup_page(pgroot, p) == NULL);
	dune_page_put(pg);
	EXPECT_EQ(pg->ref, 0);
	EXPECT(!dune_page_isfrompool((uintptr_t)&pg));
	ASSERT_EQ(dune_vm_map_pages(pgroot, p, 3000 * PGSIZE, PERM_R | PERM_W), 0);
	memset(p, 3, 3000 * PGSIZE);
	dune_vm_unmap(pgroot, p, 3000 * PGSIZE);
}

static void stats(void)
{
	dune_page_stats();
}

TEST(stats_of_the_pool)
{
	int alloc, nfree, total;
	char *text;

	enter(true);
	text = output_of(stats);
	EXPECT_EQ(sscanf(text, "DUNE Page Allocator: Alloc %d, Free %d, Total %d", &alloc, &nfree, &total), 3);
	EXPECT(alloc > 0 && nfree >= 0 && alloc + nfree == total && total == num_pages);
	free(text);
}

static int nseen;
static int see(const void *arg, ptent_t *ptep, void *va)
{
	EXPECT(*ptep);
	if (arg)
		EXPECT(va == (char *)arg + nseen * PGSIZE);
	nseen++;
	return 0;
}

static int stop(const void *arg, ptent_t *ptep, void *va)
{
	return ++nseen == 3 ? 33 : 0;
}

TEST(walks)
{
	char *p = pages_of(5), *q = (char *)0x400000000000;

	enter(true);
	EXPECT_EQ(dune_vm_page_walk(pgroot, p, p + 5 * PGSIZE - 1, see, p), 0);
	EXPECT_EQ(nseen, 5);
	nseen = 0;
	EXPECT_EQ(dune_vm_page_walk(pgroot, q, q + GIB - 1, see, NULL), 0);
	EXPECT_EQ(nseen, 0);
	ASSERT_EQ(dune_vm_map_pages(pgroot, q + 7 * PGSIZE, 4 * PGSIZE, PERM_R), 0);
	EXPECT_EQ(dune_vm_page_walk(pgroot, q, q + GIB - 1, see, q + 7 * PGSIZE), 0);
	EXPECT_EQ(nseen, 4);
	nseen = 0;
	EXPECT_EQ(dune_vm_page_walk(pgroot, VA_START, VA_END, stop, NULL), 33);
	EXPECT_EQ(nseen, 3);
}

/* --- several tables ------------------------------------------------------------------------------------------------------------------------ */

/* The same address, another page in each table; and everything else as before. */
TEST(a_clone_and_load_cr3)
{
	char *p = pages_of(2), *q = (char *)0x400000000000;
	ptent_t *other, *pte;
	struct page *a = NULL, *b;

	enter(true);
	STORE(p, 1);
	a = dune_page_alloc();
	b = dune_page_alloc();
	*(char *)dune_page2pa(a) = 'a';
	*(char *)dune_page2pa(b) = 'b';
	ASSERT_EQ(dune_vm_insert_page(pgroot, q, a, PERM_R | PERM_W), 0);
	other = dune_vm_clone(pgroot);
	ASSERT(other);
	EXPECT_EQ(a->ref, 3);
	ASSERT_EQ(dune_vm_insert_page(other, q, b, PERM_R | PERM_W), 0);
	EXPECT_EQ(a->ref, 2);
	EXPECT_EQ(LOAD(q), 'a');
	load_cr3((unsigned long)other | CR3_NOFLUSH | 1);
	EXPECT_EQ(LOAD(q), 'b');
	EXPECT_EQ(LOAD(p), 1);
	/* libc, new memory, system calls: all there */
	free(malloc(3 << 20));
	EXPECT_EQ(getpid(), syscall(SYS_getpid));
	/* a change to one is none to the other */
	ASSERT_EQ(dune_vm_lookup(other, p + PGSIZE, CREATE_NORMAL, &pte), 0);
	ASSERT_EQ(dune_vm_mprotect(other, p + PGSIZE, PGSIZE, PERM_NONE), 0);
	EXPECT(!(pte_of(other, p + PGSIZE) & PTE_P));
	load_cr3((unsigned long)pgroot | CR3_NOFLUSH | 0);
	EXPECT_EQ(LOAD(q), 'a');
	STORE(p + PGSIZE, 1);
	dune_vm_free(other);
	EXPECT_EQ(b->ref, 1);
	EXPECT_EQ(a->ref, 2);
}

/* --- threads -------------------------------------------------------------------------------------------------------------------------------- */

static char *shared;
static volatile int go, faulted, stop_now;

static void wait_for_go(uintptr_t addr, uint64_t fec, struct dune_tf *tf)
{
	ptent_t *pte;

	faulted = 1;
	while (!go)
		sched_yield();
	ASSERT_EQ(dune_vm_lookup(pgroot, (void *)addr, CREATE_NONE, &pte), 0);
	*pte |= PTE_W;
	dune_flush_tlb_one(addr);
}

static void *count_up(void *arg)
{
	volatile long *n = (volatile long *)shared;

	if (dune_enter())
		return NULL;
	while (!stop_now)
		++*n;
	return (void *)0x666;
}

/* When dune_vm_mprotect() returns no thread can write any more. */
TEST(a_change_is_seen_by_all_threads)
{
	volatile long *n;
	pthread_t t;
	void *ret;
	long before;
	int i;

	shared = pages_of(1);
	n = (volatile long *)shared;
	enter(true);
	dune_register_pgflt_handler(wait_for_go);
	ASSERT_EQ(pthread_create(&t, NULL, count_up, NULL), 0);
	for (i = 0; i < 8; i++) {
		before = *n;
		while (*n == before)
			sched_yield();
		go = faulted = 0;
		ASSERT_EQ(dune_vm_mprotect(pgroot, shared, PGSIZE, PERM_R), 0);
		before = *n;
		while (!faulted)
			sched_yield();
		EXPECT_EQ(*n, before);
		go = 1;
	}
	stop_now = 1;
	ASSERT_EQ(pthread_join(t, &ret), 0);
	EXPECT(ret == (void *)0x666);
}

static void *map_and_unmap(void *arg)
{
	char *q = (char *)0x400000000000 + (long)arg * 8 * BIG_PGSIZE;
	int i, j;

	if (dune_enter())
		return NULL;
	for (i = 0; i < 30; i++) {
		if (dune_vm_map_pages(pgroot, q, 64 * PGSIZE, PERM_R | PERM_W))
			return NULL;
		for (j = 0; j < 64; j++) {
			if (LOAD(q + j * PGSIZE))
				return NULL;
			STORE(q + j * PGSIZE, 1);
		}
		dune_vm_unmap(pgroot, q, 64 * PGSIZE);
	}
	return (void *)0x777;
}

TEST(threads_share_the_pool)
{
	pthread_t t[3];
	void *ret;
	long i;

	enter(true);
	for (i = 0; i < 3; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, map_and_unmap, (void *)i), 0);
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(pthread_join(t[i], &ret), 0);
		EXPECT(ret == (void *)0x777);
	}
}

/* --- children ------------------------------------------------------------------------------------------------------------------------------- */

static char *memory, *other_name;
static ptent_t *other_root;

static void child(void)
{
	char *fresh;

	if (dune_enter() || dune_enter())
		_exit(1);
	dune_flush_tlb();
	/* tables that were made before the fork are right in the child's ring, and about the child's memory */
	if (LOAD(memory) != 1 || LOAD(other_name) != 1)
		_exit(2);
	STORE(memory, 3);
	if (LOAD(other_name) != 3)
		_exit(3);
	STORE(other_name, 4);
	if (LOAD(memory) != 4)
		_exit(4);
	fresh = mmap(NULL, 64 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(fresh, 5, 4 << 20);
	load_cr3((unsigned long)other_root);
	if (LOAD(other_name) != 4 || LOAD(fresh) != 5)
		_exit(5);
	load_cr3((unsigned long)pgroot);
	_exit(69);
}

TEST(children_enter_for_themselves)
{
	memory = pages_of(1);
	other_name = (char *)0x410000000000;
	enter(true);
	STORE(memory, 1);
	ASSERT_EQ(dune_vm_map_phys(pgroot, other_name, PGSIZE, (void *)dune_va_to_pa(memory), PERM_R | PERM_W), 0);
	other_root = dune_vm_clone(pgroot);
	EXPECT_EQ(end_of(child), 69);
	EXPECT_EQ(end_of(child), 69);
	EXPECT_EQ(LOAD(memory), 1);
	EXPECT_EQ(LOAD(other_name), 1);
	dune_flush_tlb();
}
