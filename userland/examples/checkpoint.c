// SPDX-License-Identifier: MIT
/*
 * checkpoint.c - a large heap is written to a file as it is at one moment, while the program goes
 * on changing it
 *
 * A checkpoint stops the program only to find out what has changed since the last one: it reads and
 * clears the dirty bits of the heap, and closes the pages that have one. A clean page costs next to
 * nothing, and none is copied. Then the program goes on, and a thread writes the closed pages to
 * the file, each at its place, and opens them. When the program writes to one that is still closed,
 * it traps; the page is then written by the handler, before the program changes it. (Li, Naughton,
 * Plank, "Real-time, concurrent checkpoint for parallel programs", 1990; dirty bits make it
 * incremental.)
 *
 * In the ring the dirty bits are the CPU's (rs_page_dirty()). Elsewhere all pages are closed by
 * mprotect() at each checkpoint, and a signal says which have been written.
 *
 * The program counts the words of a file in a hash table that is spread over the heap, again and
 * again. At the end, the file must be what the heap was after that many words: another heap,
 * counted up to there, is compared with it byte for byte.
 *
 * usage: checkpoint FILE IMAGE MIB CHECKPOINTS [LIMIT]
 *
 * LIMIT: ticks of the time-stamp counter that a checkpoint may stop the program for, for each 100 MiB
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <x86intrin.h>
#include "faults.h"

#define MIB (1024ul * 1024)
#define SLOT 64ul

struct slot {
	uint64_t count;
	char word[SLOT - 8];
};

static char *heap;
static size_t pages;
static uint64_t *words_done;	/* in the heap's first page: how far the program is */
static int image = -1;

/* Of a page: nobody's business; to be written to the file; somebody is doing that. */
enum { OPEN, CLOSED, BUSY };
static _Atomic uint8_t *state;
static uint8_t *changed;	/* outside the ring: written since the last checkpoint */
static _Atomic unsigned long left, by_thread, by_trap;
static uint64_t longest, dirty_total;

/* --- writing pages ---------------------------------------------------------------------------- */

/* Who has made the page BUSY writes it; then it is open. */
static void save(size_t i)
{
	if (pwrite(image, heap + i * PAGE, PAGE, (off_t)(i * PAGE)) != (ssize_t)PAGE)
		fail("the image");
	/*
	 * Outside the ring a page that has been saved is closed still: its next write has to be
	 * noticed.
	 */
	if (in_ring())
		set_rights(heap + i * PAGE, PAGE, RS_PAGE_WRITE);
	atomic_store(&state[i], OPEN);
	left--;
}

static int on_write(char *page, int write)
{
	size_t i = (size_t)(page - heap) / PAGE;
	uint8_t closed = CLOSED;

	if (!write || page < heap || i >= pages)
		return 0;
	if (atomic_compare_exchange_strong(&state[i], &closed, BUSY)) {
		save(i);
		by_trap++;
	}
	while (atomic_load(&state[i]) != OPEN)
		sched_yield();
	if (!in_ring()) {
		changed[i] = 1;
		set_rights(page, PAGE, RS_PAGE_WRITE);
	}
	return 1;
}

static void *writer(void *arg)
{
	for (size_t i = 0; i < pages && left; i++) {
		uint8_t closed = CLOSED;

		if (atomic_load(&state[i]) == CLOSED &&
		    atomic_compare_exchange_strong(&state[i], &closed, BUSY)) {
			save(i);
			by_thread++;
		}
	}
	return arg;
}

/* --- the moment ------------------------------------------------------------------------------- */

static void close_run(size_t from, size_t to)
{
	set_rights(heap + from * PAGE, (to - from) * PAGE, RS_PAGE_READ);
	memset((void *)(state + from), CLOSED, to - from);
	left += to - from;
}

/* All dirty pages are closed. Runs of them by one call each; of 64 clean pages one look. */
static void stop_ring(uint64_t *bits)
{
	size_t i, from = 0;
	int open = 0;

	if (rs_page_dirty(heap, pages * PAGE, bits, RS_DIRTY_CLEAR) < 0)
		fail("dirty bits");
	for (i = 0; i < pages; i++) {
		if (!open && !bits[i / 64]) {
			i |= 63;
			continue;
		}
		if ((bits[i / 64] >> (i % 64) & 1) == (unsigned int)open)
			continue;
		if (open)
			close_run(from, i);
		from = i;
		open = !open;
	}
	if (open)
		close_run(from, pages);
}

static void stop_linux(void)
{
	set_rights(heap, pages * PAGE, RS_PAGE_READ);
	for (size_t i = 0; i < pages; i++)
		if (changed[i]) {
			state[i] = CLOSED;
			left++;
		}
	memset(changed, 0, pages);
}

/* The file is the heap of this moment when the thread has come to its end. */
static pthread_t checkpoint(uint64_t *bits)
{
	uint64_t t = __rdtsc();
	pthread_t thread;

	if (in_ring())
		stop_ring(bits);
	else
		stop_linux();
	t = __rdtsc() - t;
	dirty_total += left;
	if (t > longest)
		longest = t;
	if (pthread_create(&thread, NULL, writer, NULL))
		fail("a thread");
	return thread;
}

/* --- the program ------------------------------------------------------------------------------ */

static char **words;
static size_t nwords;

static void count_next(char *base)
{
	uint64_t *done = (uint64_t *)base, h = 5381;
	const char *word = words[*done % nwords];
	struct slot *slots = (struct slot *)(base + PAGE), *s;
	size_t n = (pages - 1) * PAGE / SLOT;

	for (const char *c = word; *c; c++)
		h = (h ^ (unsigned char)*c) * 1099511628211u;
	for (s = &slots[h % n]; s->count && strcmp(s->word, word);
	     s = s + 1 < slots + n ? s + 1 : slots)
		;
	if (!s->count)
		strcpy(s->word, word);
	s->count++;
	++*done;
}

static void read_words(const char *path)
{
	char *text = read_file(path, NULL);
	const char *word;
	size_t room = 0;

	while ((word = next_word(&text))) {
		if (nwords == room) {
			room = room * 2 + 1024;
			words = realloc(words, room * sizeof(*words));
			if (!words)
				fail("words");
		}
		words[nwords] = strndup(word, SLOT - 9);
		nwords++;
	}
	if (!nwords)
		fail("a file without words");
}

/* The file is the heap after as many words as it says itself. */
static int image_is_right(void)
{
	char *other = memory(pages * PAGE), *buf = memory(MIB);
	uint64_t done;
	int same = 1;

	if (pread(image, &done, sizeof(done), 0) != sizeof(done))
		fail("the image");
	while (*(uint64_t *)other < done)
		count_next(other);
	for (size_t at = 0; at < pages * PAGE; at += MIB)
		same &= pread(image, buf, MIB, (off_t)at) == (ssize_t)MIB &&
			!memcmp(buf, other + at, MIB);
	printf("checkpoint: the image is of word %lu of %lu\n", done, *words_done);
	return same;
}

int main(int argc, char **argv)
{
	unsigned long limit = argc == 6 ? strtoul(argv[5], NULL, 0) : 0, before = 0;
	int checkpoints = argc < 5 ? 0 : atoi(argv[4]), right;
	uint64_t *bits;

	if (argc < 5 || argc > 6 || atoi(argv[3]) < 1 || checkpoints < 1) {
		fprintf(stderr, "usage: checkpoint FILE IMAGE MIB CHECKPOINTS [LIMIT]\n");
		return 2;
	}
	read_words(argv[1]);
	pages = (size_t)atoi(argv[3]) * MIB / PAGE;
	heap = memory(pages * PAGE);
	words_done = (uint64_t *)heap;
	state = calloc(pages, 1);
	changed = calloc(pages, 1);
	bits = calloc(pages / 64 + 1, 8);
	image = open(argv[2], O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (!state || !changed || !bits || image < 0)
		fail(argv[2]);
	/* The first one is of a heap without contents: all of it is there, and clean. */
	memset(heap, 0, pages * PAGE);
	if (ftruncate(image, (off_t)(pages * PAGE)))
		fail("the image");
	take_faults(on_write, 64 << 10);
	if (in_ring())
		rs_page_dirty(heap, pages * PAGE, bits, RS_DIRTY_CLEAR);
	else
		set_rights(heap, pages * PAGE, RS_PAGE_READ);
	for (int k = 0; k < checkpoints; k++) {
		pthread_t thread;

		for (int i = 0; i < 200; i++)
			count_next(heap);
		before = *words_done;
		thread = checkpoint(bits);
		/* the program goes on beside the thread, on the same words among others */
		for (int i = 0; i < 200; i++)
			count_next(heap);
		pthread_join(thread, NULL);
	}
	right = image_is_right();
	longest = longest * 100 * MIB / (pages * PAGE);
	printf("checkpoint: by %s\n", which_way());
	printf("checkpoint: %d of %zu MiB with %lu pages to write, %lu by the thread, %lu by traps; "
	       "stopped for %lu ticks per 100 MiB\n",
	       checkpoints, pages * PAGE / MIB, dirty_total, by_thread, by_trap, longest);
	pread(image, &dirty_total, sizeof(dirty_total), 0);
	if (!right || dirty_total != before) {
		printf("checkpoint: the image is wrong\n");
		return 1;
	}
	if (limit && longest > limit) {
		printf("checkpoint: stopped for too long\n");
		return 1;
	}
	printf("checkpoint: the image is right\n");
	return 0;
}
