// SPDX-License-Identifier: MIT
/*
 * generations.c - a generational collector whose write barrier is the dirty bit
 *
 * New objects are made in a nursery. When that is full, what is alive moves to the old space, and
 * the nursery is empty again. Alive is what the roots lead to, or an old object: and an old object
 * can only have come to lead into the nursery if its page has been written since the last
 * collection. The CPU has noted that in the page's dirty bit, so storing a pointer costs the
 * program nothing; a collection asks for the dirty pages of the old space, clears the bits, and
 * looks at the objects on those pages only. (Appel and Li, "Virtual memory primitives for user
 * programs", 1991, section 3.)
 *
 * In the ring that is one call, rs_page_dirty(). Elsewhere the old space is made read-only after
 * each collection, and the first write to a page is a signal that notes the page.
 *
 * The program: an index of the words of a file. For each word there is a list of the places where
 * it occurs, built as the file is read, so that old words are made to lead to new places all the
 * time. At the end it is compared with a plain count.
 *
 * usage: generations FILE
 */
#include "faults.h"

/*
 * One size for all objects, so that a page can be looked at from its first byte on. @link:
 * pointers, to be followed. @value: of a word, its occurrences; of a place, its number; of what has
 * moved out of the nursery, where to, and MOVED.
 */
struct cell {
	struct cell *link[2];
	const char *word;
	uint64_t value;
};

#define MOVED	(1ul << 63)
#define NURSERY	(64 * PAGE)
#define OLD	(4096 * PAGE)
#define TABLE	(16 * PAGE)	/* of the index, part of the old space: pointers to words */
#define BUCKETS	(TABLE / sizeof(struct cell *))

static char *old, *old_next;			/* the index, then cells */
static struct cell *nursery, *nursery_next;
static uint8_t written[OLD / PAGE];		/* outside the ring: the barrier's notes */
static unsigned long collections, pages_looked_at, pages_there, moved, made;

static int note_write(char *page, int write)
{
	if (!write || page < old || page >= old + OLD)
		return 0;
	written[(page - old) / PAGE] = 1;
	set_rights(page, PAGE, RS_PAGE_WRITE);
	return 1;
}

/* --- collection ------------------------------------------------------------------------------- */

/* Where the object is from now on; NULL and what is old already stay. */
static struct cell *move(struct cell *c)
{
	struct cell *to;

	if (c < nursery || c >= nursery_next)
		return c;
	if (c->value & MOVED)
		return (struct cell *)(c->value & ~MOVED);
	if (old_next + sizeof(*c) > old + OLD) {
		fprintf(stderr, "generations: the old space is full\n");
		exit(1);
	}
	to = (struct cell *)old_next;
	old_next += sizeof(*c);
	*to = *c;
	c->value = (uint64_t)to | MOVED;
	moved++;
	return to;
}

static void look_at_page(char *page)
{
	struct cell *c;

	pages_looked_at++;
	if (page < old + TABLE) {
		for (struct cell **p = (struct cell **)page; p < (struct cell **)(page + PAGE); p++)
			*p = move(*p);
		return;
	}
	for (c = (struct cell *)page; c < (struct cell *)(page + PAGE) && (char *)c < old_next; c++)
		for (int i = 0; i < 2; i++)
			c->link[i] = move(c->link[i]);
}

/*
 * The pages of the old space up to @end that have been written since the last time, to written[].
 */
static void dirty_pages(char *end)
{
	static uint64_t bits[OLD / PAGE / 64];
	size_t n = (size_t)(end - old + PAGE - 1) / PAGE;

	if (!in_ring())
		return;
	if (rs_page_dirty(old, n * PAGE, bits, RS_DIRTY_CLEAR) < 0)
		fail("dirty bits");
	for (size_t i = 0; i < n; i++)
		written[i] = bits[i / 64] >> (i % 64) & 1;
}

static void collect(void)
{
	char *scan = old_next;

	collections++;
	dirty_pages(old_next);
	for (char *page = old; page < scan; page += PAGE, pages_there++)
		if (written[(page - old) / PAGE])
			look_at_page(page);
	/* What has moved leads on: as far as the old space grows by that. */
	for (; scan < old_next; scan += sizeof(struct cell))
		for (int i = 0; i < 2; i++)
			((struct cell *)scan)->link[i] = move(((struct cell *)scan)->link[i]);
	nursery_next = nursery;
	/* What this has written leads nowhere but to the old space. */
	memset(written, 0, sizeof(written));
	if (in_ring())
		dirty_pages(old_next);
	else
		set_rights(old, OLD, RS_PAGE_READ);
}

static struct cell *new_cell(void)
{
	if ((char *)(nursery_next + 1) > (char *)nursery + NURSERY)
		collect();
	*nursery_next = (struct cell){ 0 };
	made++;
	return nursery_next++;
}

/* --- the program ------------------------------------------------------------------------------ */

static struct cell **bucket(const char *word)
{
	uint64_t h = 5381;

	while (*word)
		h = h * 33 + (unsigned char)*word++;
	return (struct cell **)old + h % BUCKETS;
}

static struct cell *find(const char *word)
{
	struct cell *c = *bucket(word);

	while (c && strcmp(c->word, word))
		c = c->link[0];
	return c;
}

/*
 * A new cell may be a collection, after which pointers to others are out of date: so it comes
 * first, and once.
 */
static void add(const char *word, uint64_t number)
{
	struct cell *c, *place;

	if (!find(word)) {
		c = new_cell();
		c->word = word;
		c->link[0] = *bucket(word);
		*bucket(word) = c;
	}
	place = new_cell();
	c = find(word);
	place->value = number;
	place->link[0] = c->link[1];
	c->link[1] = place;
	c->value++;
	new_cell();	/* garbage, as programs make it */
}

static int check(char *text, unsigned long words)
{
	unsigned long n = 0, wrong = 0;
	const char *word;

	for (size_t i = 0; i < BUCKETS; i++)
		for (struct cell *c = ((struct cell **)old)[i]; c; c = c->link[0]) {
			uint64_t places = 0, last = ~0ul;

			for (struct cell *p = c->link[1]; p;
			     last = p->value, p = p->link[0], places++)
				wrong += p->value >= last;
			wrong += places != c->value;
			n += places;
		}
	wrong += n != words;
	/* once more through the text, taking one away for each word: nothing is left */
	while ((word = next_word(&text))) {
		struct cell *c = find(word);

		if (c)
			c->value--;
		else
			wrong++;
	}
	for (size_t i = 0; i < BUCKETS; i++)
		for (struct cell *c = ((struct cell **)old)[i]; c; c = c->link[0])
			wrong += c->value;
	return wrong == 0;
}

int main(int argc, char **argv)
{
	char *text, *copy, *at;
	unsigned long words = 0;
	const char *word;

	if (argc != 2) {
		fprintf(stderr, "usage: generations FILE\n");
		return 2;
	}
	text = at = read_file(argv[1], NULL);
	copy = strdup(text);
	old = memory(OLD);
	old_next = old + TABLE;
	nursery = nursery_next = memory(NURSERY);
	if (!in_ring())
		take_faults(note_write, 64 << 10);
	collect();
	while ((word = next_word(&at)))
		add(word, words++);
	collect();
	printf("generations: by %s\n",
	       in_ring() ? "the ring's dirty bits" : "Linux's signals and mprotect");
	printf("generations: %lu words, %lu collections moved %lu of %lu cells and looked at %lu of %lu "
	       "old pages\n",
	       words, collections, moved, made, pages_looked_at, pages_there);
	if (!check(copy, words)) {
		printf("generations: the index is wrong\n");
		return 1;
	}
	printf("generations: the index is right\n");
	return 0;
}
