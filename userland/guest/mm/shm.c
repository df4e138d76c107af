// SPDX-License-Identifier: MIT
/*
 * shm.c - the pages behind shared anonymous mappings
 *
 * A page table cannot be the truth about memory that is shared: what one process touches after a
 * fork must be there in the other. So the pages belong to an object. It is made when a shared
 * mapping is first touched or first forked, whichever comes first; VMAs that are cut from one
 * another name the same object. The object holds a reference on each page, each leaf that maps it
 * another; pages live as long as the object, as in Linux.
 *
 * The tree grows upwards: page numbers are small as a rule, and an object of up to 2 MiB has one
 * node. A step that finds no memory leaves a tree that is valid (a node without entries at worst).
 */
#include "shm.h"
#include "kmalloc.h"

#define SLOTS_SHIFT	9
#define SLOTS		(1u << SLOTS_SHIFT)

struct shm *shm_create(void)
{
	struct shm *s = kzalloc(sizeof(*s));

	if (!s)
		return NULL;
	s->refs = 1;
	spin_init(&s->lock, "shm", LOCK_RANK_SHM);
	return s;
}

/* @p is @height nodes above the pages, which are at 0. */
static void put_tree(struct page *p, int height)
{
	u64 *slot = page_ptr(p);
	u32 i;

	for (i = 0; height && i < SLOTS; i++)
		if (slot[i])
			put_tree(gpa_page(slot[i]), height - 1);
	page_put(p);
}

void shm_put(struct shm *s)
{
	if (__atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL))
		return;
	if (s->gone) {
		s->gone(s);
		return;
	}
	if (s->root)
		put_tree(s->root, s->height);
	kfree(s);
}

static struct page *node_new(void)
{
	struct page *p = page_alloc_zeroed();

	if (p)
		p->flags = 0;
	return p;
}

/* Nodes on top until @index fits. */
static bool grow(struct shm *s, u64 index)
{
	while (!s->height || index >> (SLOTS_SHIFT * s->height)) {
		struct page *p = node_new();

		if (!p)
			return false;
		if (s->root)
			*(u64 *)page_ptr(p) = page_gpa(s->root);
		s->root = p;
		s->height++;
	}
	return true;
}

struct page *shm_page(struct shm *s, u64 index)
{
	struct page *p = NULL;
	int h;

	spin_lock(&s->lock);
	if (!grow(s, index))
		goto out;
	p = s->root;
	for (h = s->height; h; h--) {
		u64 *slot = (u64 *)page_ptr(p) +
			    (index >> (SLOTS_SHIFT * (h - 1)) & (SLOTS - 1));

		if (*slot) {
			p = gpa_page(*slot);
			continue;
		}
		p = node_new();
		if (!p)
			goto out;
		if (h == 1)
			rs_stats()->zero_fills++;
		*slot = page_gpa(p);
	}
	page_get(p);
out:
	spin_unlock(&s->lock);
	return p;
}

bool shm_has(struct shm *s, u64 index)
{
	u64 at = 0;
	int h;

	spin_lock(&s->lock);
	h = s->height;
	if (h && !(index >> (SLOTS_SHIFT * h)))
		at = page_gpa(s->root);
	for (; at && h; h--)
		at = *((u64 *)gpa_ptr(at) + (index >> (SLOTS_SHIFT * (h - 1)) & (SLOTS - 1)));
	spin_unlock(&s->lock);
	return at;
}
