// SPDX-License-Identifier: MIT
/*
 * baker.c - a copying collector that runs beside the program, after Baker, by page protection
 *
 * The heap has two halves. When the one in use is full, the halves change places (a flip): what the
 * roots lead to is copied to the new half, and the program goes on at once. The copies still lead
 * to the old half. So that the program never sees such a pointer, all pages of copies are closed to
 * it. A thread looks through them one after the other, copies what they lead to, and opens them.
 * When the program touches a page that is closed still, it traps; the handler does the same with
 * that page, then the program goes on. What is new comes from the other end of the new half, leads
 * to copies only, and needs no look. (Appel, Ellis, Li, "Real-time concurrent collection on stock
 * multiprocessors", 1988.)
 *
 * The collector works on pages that the program must not see, so the heap is mapped twice: the
 * program's view, which is closed and opened, and the collector's, which is not. In the ring that
 * is RS_OP_MAP2 and rs_page_protect(); elsewhere a memfd that is mapped twice, mprotect() and
 * SIGSEGV.
 *
 * The program counts the words of a file in a search tree that is never changed: a word that is
 * added makes a new path from the root, and the old one is garbage. At the end the tree is compared
 * with the text.
 *
 * usage: baker FILE PAGES-OF-A-HALF
 */
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include "faults.h"

/*
 * One size for all. In the old half, of what has been copied: @word is NULL and @link[0] leads to
 * the copy.
 */
struct cell {
	struct cell *link[2];
	const char *word;
	uint64_t count;
};

static size_t half;			/* bytes */
static char *view, *back;		/* the program's, the collector's: 2 * half bytes each */

/*
 * Of the half in use; under the lock, but for @fresh, which is the program's own.
 * @space: its beginning, in the program's view
 * @copied: bytes of copies, from there on; @scan: so far they have been looked at in turn
 * @fresh: new cells come from above and are below each other; @fresh_end: where the lowest page
 * of theirs begins, which are all open
 */
static char *space;
static size_t copied, scan, fresh, fresh_end;
static uint8_t *looked_at;		/* by page */

static atomic_flag lock = ATOMIC_FLAG_INIT;
static sem_t work;
static unsigned long flips, by_thread, by_trap, cells;

/*
 * Held for a page's worth of work at most, or a flip. The program holds it nowhere where it could
 * trap.
 */
static void lock_take(void)
{
	while (atomic_flag_test_and_set(&lock))
		sched_yield();
}

static void lock_drop(void)
{
	atomic_flag_clear(&lock);
}

/* --- the collector ---------------------------------------------------------------------------- */

static struct cell *behind(struct cell *c)
{
	return (struct cell *)((char *)c - view + back);
}

/*
 * The copy of @c, which is made if there is none yet. NULL and what is in the half in use already
 * stay.
 */
static struct cell *copy(struct cell *c)
{
	struct cell *old, *to;

	if (!c || ((char *)c >= space && (char *)c < space + half))
		return c;
	old = behind(c);
	if (!old->word)
		return old->link[0];
	if (copied + sizeof(*c) > fresh_end) {
		fprintf(stderr, "baker: the heap is full\n");
		_exit(1);
	}
	to = (struct cell *)(space + copied);
	copied += sizeof(*c);
	*behind(to) = *old;
	old->word = NULL;
	old->link[0] = to;
	return to;
}

/*
 * Page @i has no pointers to the old half any more, and is open. If copies are being put there just
 * now, what it leads to is put there as well, and looked at, until it is full; or until it leads to
 * nothing more, then the next page is begun.
 */
static void look_at(size_t i)
{
	size_t at = i * PAGE, end = at + PAGE;

	for (; at < end && at < copied; at += sizeof(struct cell)) {
		struct cell *c = behind((struct cell *)(space + at));

		c->link[0] = copy(c->link[0]);
		c->link[1] = copy(c->link[1]);
	}
	if (copied < end)
		copied = end;
	looked_at[i] = 1;
	set_rights(space + i * PAGE, PAGE, RS_PAGE_WRITE);
}

/* The next page in turn. False: there is none. */
static int look_at_next(unsigned long *counter)
{
	size_t i;

	while (scan < copied) {
		i = scan / PAGE;
		scan += PAGE;
		if (!looked_at[i]) {
			look_at(i);
			++*counter;
			return 1;
		}
	}
	return 0;
}

static void *collector(void *arg)
{
	int more;

	for (;;) {
		sem_wait(&work);
		do {
			lock_take();
			more = look_at_next(&by_thread);
			lock_drop();
			sched_yield();
		} while (more);
	}
	return arg;
}

static int on_fault(char *page, int write)
{
	size_t i = (size_t)(page - space) / PAGE;

	(void)write;
	if (page < space || page >= space + half)
		return 0;
	lock_take();
	if (!looked_at[i]) {
		look_at(i);
		by_trap++;
	}
	lock_drop();
	return 1;
}

/* --- the program's side of it ----------------------------------------------------------------- */

/* All that the program keeps of the heap while it makes new cells. */
#define DEPTH 256
static struct cell *root, *path[DEPTH], *made;
static int depth;

static void flip(void)
{
	while (look_at_next(&by_trap))
		;
	flips++;
	space = space == view ? view + half : view;
	copied = scan = 0;
	fresh = fresh_end = half;
	memset(looked_at, 0, half / PAGE);
	set_rights(space, half, RS_PAGE_NONE);
	root = copy(root);
	made = copy(made);
	for (int i = 0; i < depth; i++)
		path[i] = copy(path[i]);
	sem_post(&work);
}

static struct cell *new_cell(void)
{
	int busy;

	if (fresh == fresh_end) {
		lock_take();
		/* One page must stay between: look_at() may skip to the next. */
		if (fresh_end < copied + 2 * PAGE)
			flip();
		if (fresh_end < copied + 2 * PAGE) {
			fprintf(stderr, "baker: the heap is full\n");
			exit(1);
		}
		fresh_end -= PAGE;
		looked_at[fresh_end / PAGE] = 1;
		set_rights(space + fresh_end, PAGE, RS_PAGE_WRITE);
		busy = scan < copied;
		lock_drop();
		/* Who makes garbage gives the collector its turn, where they share a CPU. */
		if (busy)
			sched_yield();
	}
	fresh -= sizeof(struct cell);
	cells++;
	return (struct cell *)(space + fresh);
}

static int compare(const char *a, const char *b)
{
	uint64_t x = 5381, y = 5381;

	/* by a hash, so that the tree of an ordered text is no list */
	for (const char *c = a; *c; c++)
		x = (x ^ (unsigned char)*c) * 1099511628211u;
	for (const char *c = b; *c; c++)
		y = (y ^ (unsigned char)*c) * 1099511628211u;
	return x != y ? (x < y ? -1 : 1) : strcmp(a, b);
}

/* A new tree with one more of @word; the old one is as it was. */
static void add(const char *word)
{
	int way[DEPTH], c = 1;
	struct cell *n;

	depth = 0;
	for (n = root; n; n = n->link[c > 0]) {
		c = compare(word, n->word);
		if (depth == DEPTH) {
			fprintf(stderr, "baker: the tree is too deep\n");
			exit(1);
		}
		way[depth] = c;
		path[depth++] = n;
		if (!c)
			break;
	}
	if (!n) {
		made = new_cell();
		*made = (struct cell){ .word = word, .count = 1 };
	} else {
		n = new_cell();
		made = path[--depth];
		*n = *made;
		n->count++;
		made = n;
	}
	while (depth) {
		n = new_cell();
		depth--;
		*n = *path[depth];
		n->link[way[depth] > 0] = made;
		made = n;
	}
	root = made;
}

static const struct cell *find(const char *word)
{
	const struct cell *n = root;
	int c;

	while (n && (c = compare(word, n->word)))
		n = n->link[c > 0];
	return n;
}

static unsigned long sum(const struct cell *n)
{
	return n ? n->count + sum(n->link[0]) + sum(n->link[1]) : 0;
}

static int check(char *text, unsigned long words)
{
	unsigned long wrong = sum(root) != words;
	const char *word;

	while ((word = next_word(&text))) {
		struct cell *n = (struct cell *)find(word);

		/* the first occurrence is told by the pointer, of each other one is taken away */
		if (!n || !n->count)
			wrong++;
		else
			n->count--;
	}
	return !wrong && !sum(root);
}

static void map_twice(void)
{
	struct rs_page_op op = { .op = RS_OP_MAP,
				 .len = 2 * half,
				 .arg = PROT_READ | PROT_WRITE | RS_PAGES_SHARED };
	int fd;

	if (in_ring()) {
		if (rs_page_ops(&op, 1) != 1)
			fail("the heap");
		view = (char *)op.to;
		op = (struct rs_page_op){ .op = RS_OP_MAP2,
					  .addr = op.to,
					  .len = 2 * half,
					  .arg = PROT_READ | PROT_WRITE };
		if (rs_page_ops(&op, 1) != 1)
			fail("the heap");
		back = (char *)op.to;
		return;
	}
	fd = memfd_create("heap", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, (off_t)(2 * half)))
		fail("the heap");
	view = mmap(NULL, 2 * half, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	back = mmap(NULL, 2 * half, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (view == MAP_FAILED || back == MAP_FAILED)
		fail("the heap");
	close(fd);
}

int main(int argc, char **argv)
{
	unsigned long words = 0;
	char *text, *again, *at;
	const char *word;
	pthread_t thread;

	if (argc != 3 || atoi(argv[2]) < 8) {
		fprintf(stderr, "usage: baker FILE PAGES-OF-A-HALF\n");
		return 2;
	}
	text = at = read_file(argv[1], NULL);
	again = strdup(text);
	half = (size_t)atoi(argv[2]) * PAGE;
	map_twice();
	looked_at = calloc(half / PAGE, 1);
	if (!again || !looked_at || sem_init(&work, 0, 0))
		fail("memory");
	take_faults(on_fault, 64 << 10);
	lock_take();
	flip();
	lock_drop();
	if (pthread_create(&thread, NULL, collector, NULL))
		fail("a thread");
	while ((word = next_word(&at))) {
		add(word);
		words++;
	}
	printf("baker: by %s\n", which_way());
	printf("baker: %lu words, %lu cells of %zu bytes made in a heap of 2 * %zu KiB, %lu flips; "
	       "%lu pages looked through by the thread, %lu by traps and flips\n",
	       words, cells, sizeof(struct cell), half / 1024, flips, by_thread, by_trap);
	if (!check(again, words)) {
		printf("baker: the tree is wrong\n");
		return 1;
	}
	printf("baker: the tree is right\n");
	return 0;
}
