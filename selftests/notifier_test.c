// SPDX-License-Identifier: MIT
/*
 * notifier_test.c - the process changes its address space while its guest uses it
 *
 * A guest reads or writes one page in a tight loop in a thread of its own; the main thread changes
 * what is behind the address. What must hold once the system call has returned:
 *
 *	G_READER	no value of the old page is read any more. The main thread raises the "least
 *			valid value" after the change, the guest reads that first and then the page:
 *			a lower value from the page is stale.
 *	G_WRITER	nothing is written to the old page any more. It is looked at, through
 *			another mapping of the same file page, over a time in which the guest makes
 *			progress.
 *
 * The emulators flush their translations at every exit, so a flush or a kick that the module
 * forgets cannot be seen from the outside; the counters tell: each change that met entries must
 * have asked for a flush, and the vCPU must have flushed.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "testvm.h"

#define TARGET		(G_SCRATCH + HUGE)	/* what is changed; a 2 MiB block of its own */
#define LEAST		G_SCRATCH
#define STOP		G_SCRATCH
#define PROGRESS	(G_SCRATCH + PAGE)

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

struct bench {
	struct tvm *vm;
	struct tcpu *c;
	struct runner *r;
	uint8_t *page;		/* HVA of TARGET */
	struct rs_stats before;
};

static struct bench bench_new(uint32_t flags)
{
	struct bench b = { 0 };

	b.vm = tvm_new(flags);
	b.c = tcpu_new(b.vm, 0);
	b.page = b.vm->mem + TARGET;
	return b;
}

static void start(struct bench *b, enum g_fn fn)
{
	tcpu_start(b->c, fn, TARGET, LEAST, PROGRESS);
	b->r = runner_start(b->c);
	await_progress(b->vm, PROGRESS, 100);
}

static void run_on(struct bench *b)
{
	await_progress(b->vm, PROGRESS, 300);
}

/* From here to changed() is one change. */
static void change(struct bench *b)
{
	run_on(b);
	b->before = tvm_stats(b->vm);
}

/* The guest used the page before and uses it after: the change must have met its entry. */
static void changed(struct bench *b)
{
	struct rs_stats s = tvm_stats(b->vm);

	EXPECT_GT(s.inval, b->before.inval);
	EXPECT_GT(s.inval_zapped, b->before.inval_zapped);
	EXPECT_GT(s.flush_requests, b->before.flush_requests);
	run_on(b);
	EXPECT_GT(tvm_stats(b->vm).flushes, b->before.flushes);
}

/* Over many changes the vCPU must have been met in the guest, on another CPU, and been kicked. */
static void expect_kicks(struct bench *b)
{
	if (ncpus() > 1)
		EXPECT_GT(tvm_stats(b->vm).kicks, 0);
}

static void new_least(struct bench *b, uint64_t v)
{
	*tvm_at(b->vm, LEAST) = v;
}

static void stop_reader(struct bench *b)
{
	uint64_t stale;

	new_least(b, ~0ull);
	stale = runner_join(b->r);
	if (stale)
		FAIL("%lu stale values, the last %#lx where at least %#lx was due", stale,
		     b->c->args->out[0],
		     b->c->args->out[1]);
	EXPECT_EQ(b->c->args->vector, G_NO_VECTOR);
}

static void stop_writer(struct bench *b)
{
	*tvm_at(b->vm, STOP) = 1;
	runner_join(b->r);
	EXPECT_EQ(b->c->args->vector, G_NO_VECTOR);
}

/* A fresh page with @v in its first word. */
static uint64_t *fresh(uint64_t v)
{
	uint64_t *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT(p != MAP_FAILED);
	*p = v;
	return p;
}

static int file_of(unsigned int pages)
{
	int fd = SYS(memfd_create("target", MFD_CLOEXEC));

	SYS(ftruncate(fd, pages * PAGE));
	return fd;
}

static uint64_t *map_page(int fd, unsigned int index, void *at, int prot)
{
	void *p = mmap(at, PAGE, prot, MAP_SHARED | (at ? MAP_FIXED : 0), fd, index * PAGE);

	ASSERT(p != MAP_FAILED);
	return p;
}

/* --- the page behind the address becomes another ------------------------ */

TEST(mremap_over)
{
	struct bench b = bench_new(0);

	*(uint64_t *)b.page = 1;
	start(&b, G_READER);
	for (uint64_t v = 2; v < 60; v++) {
		uint64_t *p = fresh(v);

		change(&b);
		ASSERT(mremap(p, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, b.page) == b.page);
		new_least(&b, v);
		changed(&b);
	}
	expect_kicks(&b);
	stop_reader(&b);
}

TEST(mmap_over)
{
	struct bench b = bench_new(0);
	int fd = file_of(60);

	for (int i = 0; i < 60; i++) {
		uint64_t v = i + 1;

		ASSERT_EQ(pwrite(fd, &v, 8, i * PAGE), 8);
	}
	map_page(fd, 0, b.page, PROT_READ | PROT_WRITE);
	start(&b, G_READER);
	for (int i = 1; i < 60; i++) {
		change(&b);
		map_page(fd, i, b.page, i & 1 ? PROT_READ : PROT_READ | PROT_WRITE);
		new_least(&b, i + 1);
		changed(&b);
	}
	stop_reader(&b);
}

/*
 * The same back to back: a fault on one page is still being answered when the next replaces it. An
 * answer that is stale by then must not get into the nested table, where it would stay until the
 * next change.
 */
TEST_FOR(mmap_over_without_a_pause, 120)
{
	struct bench b = bench_new(0);
	const unsigned int n = test_rounds(3000), pages = 200;
	int fd = file_of(pages);
	unsigned int pause = 1;

	map_page(fd, 0, b.page, PROT_READ | PROT_WRITE);
	start(&b, G_READER);
	b.before = tvm_stats(b.vm);
	for (uint64_t v = 1; v < n; v++) {
		/* this page was last behind the address @pages turns ago */
		ASSERT_EQ(pwrite(fd, &v, 8, v % pages * PAGE), 8);
		map_page(fd, v % pages, b.page, v & 1 ? PROT_READ : PROT_READ | PROT_WRITE);
		new_least(&b, v);
		/* bursts, and pauses long enough for a stale entry to be used */
		pause = pause * 1103515245 + 12345;
		if ((pause >> 16) % 8 == 0)
			await_progress(b.vm, PROGRESS, 20);
		else
			for (volatile unsigned int i = (pause >> 20) % 512; i; i--)
				;
	}
	test_note("%llu retries", tvm_stats(b.vm).fault_retry - b.before.fault_retry);
	stop_reader(&b);
}

/* Dropped contents: the guest reads zero, or what is written later, never the old value. */
TEST(madvise_dontneed)
{
	struct bench b = bench_new(0);
	uint64_t *page = (uint64_t *)b.page;

	/* the reader wants rising values: what is stale here is a value of a time long past */
	*page = 1;
	start(&b, G_READER);
	for (uint64_t v = 2; v < 60; v++) {
		change(&b);
		new_least(&b, 0);
		run_on(&b);	/* the guest has seen that nothing is expected now */
		SYS(madvise(page, PAGE, MADV_DONTNEED));
		EXPECT_EQ(__atomic_exchange_n(page, v, __ATOMIC_SEQ_CST), 0);
		new_least(&b, v);
		changed(&b);
	}
	stop_reader(&b);
}

/*
 * A guest that writes all the time: after the drop the count starts from zero, and no write is lost
 * in the old page.
 */
TEST(madvise_dontneed_under_a_writer)
{
	struct bench b = bench_new(0);
	volatile uint64_t *page = (uint64_t *)b.page;

	start(&b, G_WRITER);
	for (int i = 0; i < 50; i++) {
		uint64_t v, progress;

		change(&b);
		progress = *tvm_at(b.vm, PROGRESS);
		SYS(madvise((void *)page, PAGE, MADV_DONTNEED));
		/* the guest's next write is to a page of zeros */
		v = *page;
		EXPECT_LE(v, *tvm_at(b.vm, PROGRESS) - progress + 2);
		changed(&b);
	}
	stop_writer(&b);
}

TEST(write_goes_to_the_new_page)
{
	struct bench b = bench_new(0);
	int fd = file_of(2);
	volatile uint64_t *view[2];

	view[0] = map_page(fd, 0, NULL, PROT_READ | PROT_WRITE);
	view[1] = map_page(fd, 1, NULL, PROT_READ | PROT_WRITE);
	map_page(fd, 0, b.page, PROT_READ | PROT_WRITE);
	start(&b, G_WRITER);
	for (int i = 1; i < 60; i++) {
		volatile uint64_t *old = view[(i & 1) ^ 1], *new = view[i & 1];
		uint64_t last, grows;

		change(&b);
		map_page(fd, i & 1, b.page, PROT_READ | PROT_WRITE);
		last = *old;
		grows = *new;
		changed(&b);
		EXPECT_EQ(*old, last);
		EXPECT_GT(*new, grows);
	}
	expect_kicks(&b);
	stop_writer(&b);
}

/* The region is removed and another put there. */
TEST(region_replaced)
{
	struct bench b = bench_new(RS_VM_NESTED_FAULT_VECTOR);
	uint64_t gpa = 1ul << 32;

	*tvm_pte(b.vm, TARGET) = gpa | 7;
	for (uint64_t v = 1; v < 30; v++) {
		uint64_t *p = fresh(v);

		SYS(tvm_region_raw(b.vm, gpa, PAGE, p, 0));
		EXPECT_EQ(tcpu_call(b.c, G_LOAD, TARGET), v);
		b.before = tvm_stats(b.vm);
		SYS(tvm_unregion_raw(b.vm, gpa, PAGE));
		EXPECT_EQ(tvm_stats(b.vm).flush_requests, b.before.flush_requests + 1);
		tcpu_call(b.c, G_LOAD, TARGET);
		EXPECT_EQ(b.c->args->vector, RS_VECTOR_NESTED_FAULT);
	}
}

/* --- access is taken away ----------------------------------------------- */

/* The guest stops at the page with the fault, and goes on when it is allowed again. */
static void *until_fault(struct bench *b, uint32_t access)
{
	tcpu_run_to(b->c, RS_EXIT_MEMORY_FAULT);
	EXPECT_EQ(b->c->run->fault.gpa, TARGET);
	EXPECT_EQ(b->c->run->fault.access & access, access);
	return NULL;
}

struct taker {
	struct bench *b;
	int (*take)(struct bench *b);
};

static void *taker_main(void *arg)
{
	struct taker *t = arg;

	await_progress(t->b->vm, PROGRESS, 300);
	SYS(t->take(t->b));
	return NULL;
}


/*
 * take() runs in another thread while the guest, in this one, uses the page; then the guest is
 * found at a fault.
 */
static void take_away(struct bench *b, int (*take)(struct bench *), uint32_t access)
{
	struct taker t = { b, take };
	pthread_t thread;

	ASSERT_EQ(pthread_create(&thread, NULL, taker_main, &t), 0);
	until_fault(b, access);
	pthread_join(thread, NULL);
}

static int take_munmap(struct bench *b)
{
	return munmap(b->page, PAGE);
}

static int take_prot_none(struct bench *b)
{
	return mprotect(b->page, PAGE, PROT_NONE);
}

static int take_write(struct bench *b)
{
	return mprotect(b->page, PAGE, PROT_READ);
}

static int truncate_fd;

static int take_truncate(struct bench *b)
{
	return ftruncate(truncate_fd, 0);
}

TEST(munmap_takes_the_page)
{
	struct bench b = bench_new(0);

	tcpu_start(b.c, G_WRITER, TARGET, STOP, PROGRESS);
	for (int i = 0; i < 20; i++) {
		take_away(&b, take_munmap, 0);
		ASSERT(mmap(b.page, PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
		       b.page);
	}
	*tvm_at(b.vm, STOP) = 1;
	tcpu_finish(b.c);
}

TEST(mprotect_takes_access)
{
	struct bench b = bench_new(0);
	uint64_t v;

	tcpu_start(b.c, G_WRITER, TARGET, STOP, PROGRESS);
	for (int i = 0; i < 20; i++) {
		take_away(&b, i & 1 ? take_prot_none : take_write, i & 1 ? 0 : RS_FAULT_WRITE);
		SYS(mprotect(b.page, PAGE, PROT_READ));
		v = *(volatile uint64_t *)b.page;
		/* a second run meets the fault again and has changed nothing */
		until_fault(&b, RS_FAULT_WRITE);
		EXPECT_EQ(*(volatile uint64_t *)b.page, v);
		SYS(mprotect(b.page, PAGE, PROT_READ | PROT_WRITE));
	}
	*tvm_at(b.vm, STOP) = 1;
	tcpu_finish(b.c);
	EXPECT_EQ(*(volatile uint64_t *)b.page, *tvm_at(b.vm, PROGRESS));
}

TEST(truncate_takes_the_page)
{
	struct bench b = bench_new(0);

	truncate_fd = file_of(1);
	map_page(truncate_fd, 0, b.page, PROT_READ | PROT_WRITE);
	tcpu_start(b.c, G_WRITER, TARGET, STOP, PROGRESS);
	for (int i = 0; i < 20; i++) {
		take_away(&b, take_truncate, 0);
		SYS(ftruncate(truncate_fd, PAGE));
		/* and with it the contents */
		EXPECT_EQ(*(volatile uint64_t *)b.page, 0);
	}
	*tvm_at(b.vm, STOP) = 1;
	tcpu_finish(b.c);
}

TEST(mremap_takes_the_page)
{
	struct bench b = bench_new(0);

	tcpu_start(b.c, G_WRITER, TARGET, STOP, PROGRESS);
	for (int i = 0; i < 10; i++) {
		uint64_t *to = fresh(0), v;
		struct taker t = { &b, take_prot_none };
		pthread_t thread;

		/* moved to another address: the guest must not follow */
		ASSERT_EQ(pthread_create(&thread, NULL, taker_main, &t), 0);
		until_fault(&b, 0);
		pthread_join(thread, NULL);
		SYS(mprotect(b.page, PAGE, PROT_READ | PROT_WRITE));
		v = *(volatile uint64_t *)b.page;
		ASSERT(mremap(b.page, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
		until_fault(&b, 0);
		EXPECT_EQ(*(volatile uint64_t *)to, v);
		ASSERT(mremap(to, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, b.page) == b.page);
	}
	*tvm_at(b.vm, STOP) = 1;
	tcpu_finish(b.c);
	EXPECT_EQ(*(volatile uint64_t *)b.page, *tvm_at(b.vm, PROGRESS));
}

/* --- copy-on-write ------------------------------------------------------ */

/*
 * The child's copy is as it was at the fork, however much the guest writes afterwards; the parent's
 * goes on.
 */
TEST(fork_copies)
{
	struct bench b = bench_new(0);
	int pipes[2];

	SYS(pipe(pipes));
	start(&b, G_WRITER);
	for (int i = 0; i < 15; i++) {
		int status;
		pid_t pid;
		char ch;

		change(&b);
		pid = SYS(fork());
		if (!pid) {
			volatile uint64_t *page = (uint64_t *)b.page;
			uint64_t first = *page;

			/* the parent lets the guest run on before it answers */
			SYS(read(pipes[0], &ch, 1));
			_exit(*page == first ? 0 : 3);
		}
		changed(&b);
		run_on(&b);
		SYS(write(pipes[1], "x", 1));
		SYS(waitpid(pid, &status, 0));
		EXPECT_EQ(status, 0);
	}
	stop_writer(&b);
	EXPECT_EQ(*(volatile uint64_t *)b.page, *tvm_at(b.vm, PROGRESS));
}

/*
 * Reading does not break sharing: a guest that only reads a file's private mapping sees what others
 * write to the file.
 */
TEST(read_fault_does_not_copy)
{
	struct bench b = bench_new(0);
	int fd = file_of(1);
	uint64_t *view = map_page(fd, 0, NULL, PROT_READ | PROT_WRITE);

	*view = 41;
	ASSERT(mmap(b.page, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd,
		    0) == b.page);
	EXPECT_EQ(tcpu_call(b.c, G_LOAD, TARGET), 41);
	*view = 42;
	EXPECT_EQ(tcpu_call(b.c, G_LOAD, TARGET), 42);
	/* a write does */
	tcpu_call(b.c, G_STORE, TARGET, 7);
	EXPECT_EQ(*view, 42);
	EXPECT_EQ(*(uint64_t *)b.page, 7);
	*view = 43;
	EXPECT_EQ(tcpu_call(b.c, G_LOAD, TARGET), 7);
}

/*
 * Zero-fill by reading first: the zero page is replaced by the first write, for guest and process
 * alike.
 */
TEST(zero_page_is_replaced)
{
	struct bench b = bench_new(0);

	EXPECT_EQ(tcpu_call(b.c, G_LOAD, TARGET), 0);
	*(volatile uint64_t *)b.page = 5;
	EXPECT_EQ(tcpu_call(b.c, G_LOAD, TARGET), 5);
	EXPECT_EQ(tcpu_call(b.c, G_LOAD, TARGET + PAGE), 0);
	tcpu_call(b.c, G_STORE, TARGET + PAGE, 6);
	EXPECT_EQ(*(volatile uint64_t *)(b.page + PAGE), 6);
	EXPECT_EQ(tcpu_call(b.c, G_LOAD, TARGET + 2 * PAGE), 0);
}

/* --- what reaches the file ---------------------------------------------- */

TEST(file_gets_the_writes)
{
	struct bench b = bench_new(0);
	char name[] = "/tmp/ringside-XXXXXX";
	int fd = SYS(mkstemp(name));
	uint64_t v;

	unlink(name);
	SYS(ftruncate(fd, PAGE));
	map_page(fd, 0, b.page, PROT_READ | PROT_WRITE);
	for (uint64_t i = 1; i < 20; i++) {
		tcpu_call(b.c, G_STORE, TARGET, i);
		ASSERT_EQ(pread(fd, &v, 8, 0), 8);
		EXPECT_EQ(v, i);
		SYS(msync(b.page, PAGE, MS_SYNC));
		v = 100 + i;
		ASSERT_EQ(pwrite(fd, &v, 8, 0), 8);
		EXPECT_EQ(tcpu_call(b.c, G_LOAD, TARGET), 100 + i);
	}
}

/*
 * The kernel's clock pages cannot be looked up like others; a guest may read them all the same, and
 * not write.
 */
TEST(clock_pages)
{
	struct bench b = bench_new(0);
	unsigned long start = 0, end = 0;
	char line[256];
	FILE *f = fopen("/proc/self/maps", "re");

	ASSERT(f);
	while (fgets(line, sizeof(line), f))
		if (strstr(line, "[vvar]"))
			sscanf(line, "%lx-%lx", &start, &end);
	fclose(f);
	if (!start)
		SKIP("no [vvar]");
	SYS(tvm_region_raw(b.vm, 1ul << 33, end - start, (void *)start, 0));
	*tvm_pte(b.vm, TARGET) = (1ul << 33) | 7;
	EXPECT_EQ(tcpu_call(b.c, G_LOAD, TARGET + 8) != 0 || *(volatile uint64_t *)(start + 8) == 0,
		  1);
	tcpu_start(b.c, G_STORE, TARGET, 1);
	tcpu_run_to(b.c, RS_EXIT_MEMORY_FAULT);
	EXPECT(b.c->run->fault.access & RS_FAULT_WRITE);
}

/* --- large pages -------------------------------------------------------- */

static bool is_huge(void *p)
{
	char line[256];
	unsigned long s = 0, e = 0, kb = 0;
	bool in = false, huge = false;
	FILE *f = fopen("/proc/self/smaps", "re");

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &s, &e) == 2)
			in = (unsigned long)p >= s && (unsigned long)p < e;
		if (in && sscanf(line, "AnonHugePages: %lu", &kb) == 1)
			huge = kb >= 2048;
	}
	if (f)
		fclose(f);
	return huge;
}

/* Linux splits the large page under the running guest, and puts it together again. */
TEST_FOR(huge_page_split_and_collapse, 120)
{
	struct bench b = bench_new(0);
	struct rs_stats s0, s;
	uint64_t progress;

	if (!(b.vm->info.features & RS_FEATURE_NESTED_2M))
		SKIP("no nested 2 MiB entries here");
	SYS(madvise(b.page, HUGE, MADV_HUGEPAGE));
	b.page[PAGE] = 1;
	s0 = tvm_stats(b.vm);
	start(&b, G_WRITER);
	if (!is_huge(b.page))
		SKIP("Linux gave no huge page");
	EXPECT_EQ(tvm_stats(b.vm).map_2m, s0.map_2m + 1);
	for (int i = 0; i < 10; i++) {
		/* a part with other rights: the process's mapping is split, the guest's follows */
		change(&b);
		SYS(mprotect(b.page + 64 * PAGE, PAGE, PROT_READ));
		changed(&b);
		s = tvm_stats(b.vm);
		EXPECT_GT(s.map_4k, b.before.map_4k);
		EXPECT_EQ(s.map_2m, b.before.map_2m);
		SYS(mprotect(b.page + 64 * PAGE, PAGE, PROT_READ | PROT_WRITE));
		run_on(&b);
		change(&b);
		if (madvise(b.page, HUGE, MADV_COLLAPSE)) {
			test_note("MADV_COLLAPSE: %s", strerror(errno));
			continue;
		}
		changed(&b);
		EXPECT_GT(tvm_stats(b.vm).map_2m, b.before.map_2m);
	}
	progress = *tvm_at(b.vm, PROGRESS);
	EXPECT_LE(*(volatile uint64_t *)b.page, progress + 1000000);
	stop_writer(&b);
	/* not one write was lost on the way */
	EXPECT_EQ(*(volatile uint64_t *)b.page, *tvm_at(b.vm, PROGRESS));
}

/* A hole in the large page: what is left of it stays. */
TEST(hole_in_a_huge_page)
{
	struct bench b = bench_new(0);

	SYS(madvise(b.page, HUGE, MADV_HUGEPAGE));
	for (int i = 0; i < 512; i++)
		*(uint64_t *)(b.page + i * PAGE) = 1000 + i;
	for (int i = 0; i < 512; i += 51)
		EXPECT_EQ(tcpu_call(b.c, G_LOAD, TARGET + i * PAGE), 1000 + i);
	SYS(munmap(b.page + 102 * PAGE, PAGE));
	for (int i = 0; i < 512; i += 51) {
		if (i == 102)
			continue;
		EXPECT_EQ(tcpu_call(b.c, G_LOAD, TARGET + i * PAGE), 1000 + i);
	}
	tcpu_start(b.c, G_LOAD, TARGET + 102 * PAGE);
	tcpu_run_to(b.c, RS_EXIT_MEMORY_FAULT);
}

/* --- pages that Linux moves --------------------------------------------- */

static uint64_t pfn_of(void *p)
{
	uint64_t e = 0;
	int fd = SYS(open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));

	if (pread(fd, &e, 8, (uintptr_t)p / PAGE * 8) != 8)
		e = 0;
	close(fd);
	return e & ((1ull << 55) - 1);
}

/*
 * Compaction moves pages under a guest that writes to them; each page's count must come out right.
 */
TEST_FOR(compaction, 120)
{
	struct bench b = bench_new(0);
	const int n = 64;
	uint64_t pfn[n], v;
	uint8_t *filler;
	size_t size = 64 << 20;
	int moved = 0, fd;

	fd = open("/proc/sys/vm/compact_memory", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		SKIP("no /proc/sys/vm/compact_memory");
	/*
	 * Compaction moves pages from the low end of memory into holes at the high end. So: our
	 * pages on both sides of a large mapping (whichever way Linux hands out memory, one side is
	 * lower), then holes in that.
	 */
	for (int i = 0; i < n; i += 2)
		*(uint64_t *)(b.page + i * PAGE) = 5000 + i;
	filler = mmap(NULL, size, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	ASSERT(filler != MAP_FAILED);
	SYS(madvise(filler, size, MADV_NOHUGEPAGE));
	for (int i = 1; i < n; i += 2)
		*(uint64_t *)(b.page + i * PAGE) = 5000 + i;
	for (size_t i = 0; i < size / PAGE; i++)
		if (i % 8)
			madvise(filler + i * PAGE, PAGE, MADV_DONTNEED);
	*(uint64_t *)b.page = 0;
	start(&b, G_WRITER);
	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < n; i++)
			pfn[i] = pfn_of(b.page + i * PAGE);
		run_on(&b);
		if (write(fd, "1", 1) != 1)
			SKIP("compaction: %s", strerror(errno));
		run_on(&b);
		for (int i = 0; i < n; i++)
			moved += pfn_of(b.page + i * PAGE) != pfn[i];
	}
	stop_writer(&b);
	EXPECT_EQ(*(volatile uint64_t *)b.page, *tvm_at(b.vm, PROGRESS));
	for (int i = 1; i < n; i++) {
		v = tcpu_call(b.c, G_LOAD, TARGET + i * PAGE);
		EXPECT_EQ(v, 5000 + i);
	}
	test_note("%d moves of pages", moved);
	if (!moved)
		SKIP("compaction moved none of the pages");
}

/* Pages of the same content become one, and separate again by a write. */
TEST(ksm)
{
	struct bench b = bench_new(0);
	int fd = open("/sys/kernel/mm/ksm/run", O_RDWR | O_CLOEXEC);
	uint64_t merged = 0;

	if (fd < 0)
		SKIP("no KSM");
	for (int i = 0; i < 16; i++)
		memset(b.page + i * PAGE, 0x5a, PAGE);
	for (int i = 0; i < 16; i++)
		tcpu_call(b.c, G_STORE, TARGET + i * PAGE, 0x5a5a5a5a5a5a5a5a);
	SYS(madvise(b.page, 16 * PAGE, MADV_MERGEABLE));
	SYS(write(fd, "1", 1));
	for (int tries = 0; tries < 2000 && !merged; tries++) {
		char text[32] = "";
		int s = open("/sys/kernel/mm/ksm/pages_sharing", O_RDONLY | O_CLOEXEC);

		if (s >= 0) {
			if (read(s, text, 31) > 0)
				merged = strtoul(text, NULL, 10);
			close(s);
		}
		/* let the kernel's thread run, with the guest's accesses between its scans */
		usleep(5000);
		EXPECT_EQ(tcpu_call(b.c, G_LOAD, TARGET), 0x5a5a5a5a5a5a5a5a);
	}
	if (!merged)
		SKIP("KSM has not merged the pages in time");
	for (int i = 0; i < 16; i++)
		tcpu_call(b.c, G_STORE, TARGET + i * PAGE, i);
	for (int i = 0; i < 16; i++)
		EXPECT_EQ(*(uint64_t *)(b.page + i * PAGE), i);
	SYS(write(fd, "2", 1));
	close(fd);
}

/* --- many changes at once ----------------------------------------------- */

static volatile bool storm_over;

static void *storm(void *arg)
{
	uint8_t *mem = arg;
	unsigned int i = 0;

	while (!storm_over) {
		uint8_t *p = mem + (i++ % 16) * PAGE;

		mprotect(p, PAGE, PROT_READ);
		mprotect(p, PAGE, PROT_READ | PROT_WRITE);
		if (i % 7 == 0)
			madvise(p, PAGE, MADV_DONTNEED);
	}
	return NULL;
}

/*
 * Two threads change pages beside the guest's without a pause: the guest's faults come through all
 * the same.
 */
TEST_FOR(faults_converge_under_a_storm, 120)
{
	struct bench b = bench_new(0);
	pthread_t t[2];
	uint8_t *other = map_aligned(HUGE);
	struct rs_stats s;

	for (int i = 0; i < 2; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, storm, other + i * 16 * PAGE), 0);
	for (unsigned int i = 0; i < test_rounds(200); i++) {
		/* each a fresh page: a fault that must win its race */
		tcpu_call(b.c, G_STORE, TARGET + i * PAGE, i);
		EXPECT_EQ(*(uint64_t *)(b.page + i * PAGE), i);
	}
	storm_over = true;
	pthread_join(t[0], NULL);
	pthread_join(t[1], NULL);
	s = tvm_stats(b.vm);
	test_note("%llu retries", s.fault_retry);
	EXPECT_EQ(s.fault_failed, 0);
}

/* The same on the very pages the guest uses. */
TEST_FOR(storm_on_the_guests_pages, 120)
{
	struct bench b = bench_new(0);
	pthread_t t;

	ASSERT_EQ(pthread_create(&t, NULL, storm, b.page + PAGE), 0);
	for (unsigned int i = 0; i < test_rounds(300); i++) {
		tcpu_start(b.c, G_STORE, TARGET + (1 + i % 16) * PAGE, i);
		/* the page may be read-only at the moment: the guest is told, and tries again */
		while (tcpu_run_raw(b.c) == RS_EXIT_MEMORY_FAULT)
			EXPECT_EQ(b.c->run->fault.gpa, TARGET + (1 + i % 16) * PAGE);
		EXPECT_EQ(b.c->run->exit_reason, RS_EXIT_HYPERCALL);
	}
	storm_over = true;
	pthread_join(t, NULL);
}
