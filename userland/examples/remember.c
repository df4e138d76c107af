// SPDX-License-Identifier: MIT
/*
 * remember.c - a heap whose write barrier is the hardware's dirty bit, read without a call
 *
 * A generational collector must know which old objects have come to lead to young ones since it last looked. Here the process takes itself
 * into ring 0 of a guest of its own, where its page tables are its own: storing a pointer is one instruction, the CPU notes the page in its
 * dirty bit, and a collection reads the bits where they are, in the tables, and clears them. No call, no exit, no fault: neither when a pointer
 * is stored nor when the bits are read (generations.c has the same by the guest kernel's rs_page_dirty(), one call for a collection).
 *
 * The program stores pointers all over an old space of some MiB, and collects again and again; each time it compares what it found by
 * the dirty pages with what a look at everything finds.
 *
 * usage: remember [ROUNDS]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ringside/self.h>

#define PAGE	4096ul
#define OLD	2048		/* pages */
#define SLOTS	(PAGE / sizeof(void *))
#define YOUNG	16384		/* objects */
#define STORES	40		/* in a round */
#define DIRTY	(1ul << 6)

static void **old;
static char young[YOUNG];
static uint64_t *entries[OLD];	/* of the page table, one for each page of the old space */

static void fail(const char *what)
{
	fprintf(stderr, "remember: %s\n", what);
	exit(1);
}

static int is_young(void *p)
{
	return (char *)p >= young && (char *)p < young + YOUNG;
}

/* The pointers to young objects on a page, added up so that an order does not matter. */
static unsigned long look_at(size_t page, unsigned long *found)
{
	unsigned long sum = 0;

	for (size_t i = 0; i < SLOTS; i++) {
		void *p = old[page * SLOTS + i];

		if (is_young(p)) {
			sum += (page * SLOTS + i) * 31 + (unsigned long)((char *)p - young);
			++*found;
		}
	}
	return sum;
}

/*
 * The bit is cleared before the page is looked at: a store that comes in between dirties it again, for the next time. The CPU notes a
 * first store only where it has not cached that the page is dirty, hence INVLPG.
 */
static int take_dirty(size_t page)
{
	if (!(__atomic_fetch_and(entries[page], ~DIRTY, __ATOMIC_SEQ_CST) & DIRTY))
		return 0;
	asm volatile("invlpg (%0)" : : "r"(&old[page * SLOTS]) : "memory");
	return 1;
}

int main(int argc, char **argv)
{
	unsigned long rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 50, looked = 0, all = 0, seed = 88172645463325252;
	struct rs_self_stats before, after, again;
	int ret = rs_enter(RS_ENTER_RING0);

	if (ret) {
		fprintf(stderr, "remember: rs_enter: %s\n", strerror(-ret));
		return 1;
	}
	old = mmap(NULL, OLD * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (old == MAP_FAILED)
		fail("no memory");
	memset(old, 0, OLD * PAGE);
	for (size_t i = 0; i < OLD; i++) {
		entries[i] = rs_ring0_entry(rs_ring0_root(), &old[i * SLOTS], 1);
		if (!entries[i])
			fail("no memory for page tables");
		*entries[i] &= ~DIRTY;
	}
	rs_ring0_flush(old, OLD * PAGE);
	rs_self_stats(&before);
	for (unsigned long r = 0; r < rounds; r++) {
		unsigned long sum = 0, whole = 0, found = 0, there = 0;
		static unsigned char dirty[OLD];

		for (int i = 0; i < STORES; i++) {
			seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
			old[(seed >> 8) % (OLD * SLOTS)] = young + seed % YOUNG;
		}
		for (size_t i = 0; i < OLD; i++) {
			dirty[i] = (unsigned char)take_dirty(i);
			looked += dirty[i];
			if (dirty[i])
				sum += look_at(i, &found);
		}
		/* the same the slow way, and everything grows old: the slots are empty again */
		for (size_t i = 0; i < OLD; i++)
			whole += look_at(i, &there);
		if (sum != whole || found != there || !found)
			fail("a pointer was missed");
		for (size_t i = 0; i < OLD; i++)
			if (dirty[i]) {
				memset(&old[i * SLOTS], 0, PAGE);
				take_dirty(i);
			}
		all += OLD;
	}
	rs_self_stats(&after);
	rs_self_stats(&again);	/* what asking costs */
	printf("remember: %lu rounds looked at %lu of %lu pages\n", rounds, looked, all);
	printf("remember: system calls meanwhile: %lu\n", (unsigned long)(after.calls - before.calls - (again.calls - after.calls)));
	printf("remember: no pointer was missed\n");
	return rs_leave() ? 1 : 0;
}
