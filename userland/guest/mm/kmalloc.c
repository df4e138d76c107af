// SPDX-License-Identifier: MIT
/*
 * kmalloc.c - kernel objects
 *
 * Up to 2032 bytes: slabs, one page each, that begin with struct slab and hold objects of one size
 * class; the free objects of a slab are chained through their first word. Slabs with free objects
 * are on their class's list; one that becomes all free goes back at once unless it is the only one
 * with room. Larger: a run of pages. The two are told apart by alignment: behind the slab's header
 * no object begins at a page boundary.
 */
#include "kmalloc.h"
#include "page_alloc.h"
#include "../lib/assert.h"
#include "../lib/list.h"
#include "../lib/string.h"

struct slab {
	struct list list;	/* partial slabs of the class; points at itself when full */
	void *free;		/* first free object */
	u16 class, used;
	u32 magic;
};
#define SLAB_MAGIC	0x51ab51abu

static const u16 class_size[] = { 16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 672, 1008, 1344,
				  2032 };
#define NCLASSES	ARRAY_SIZE(class_size)
#define SLAB_FIRST	ALIGN_UP(sizeof(struct slab), 16)

static struct spinlock heap_lock = SPINLOCK_INIT("heap", LOCK_RANK_HEAP);
static struct list partial[NCLASSES];
static u64 in_use;

#define REFUSED		(NCLASSES + 1)

/* By units of 16 bytes, filled in on first use. */
static u8 class_by_size[2032 / 16 + 1];
static bool class_plain;	/* the table is there, and nobody may refuse (no --debug) */

static noinline unsigned int class_slow(size_t size)
{
	static bool filled;
	unsigned int c = 0, i;

	if (rs_page_debug && page_alloc_refused())
		return REFUSED;
	for (i = 0; i < ARRAY_SIZE(class_by_size) && !filled; i++) {
		while (class_size[c] < i * 16)
			c++;
		class_by_size[i] = c;
	}
	filled = true;
	class_plain = !rs_page_debug;
	return size > 2032 ? NCLASSES : class_by_size[(size + 15) / 16];
}

static unsigned int class_of(size_t size)
{
	if (unlikely(!class_plain))
		return class_slow(size);
	return size > 2032 ? NCLASSES : class_by_size[(size + 15) / 16];
}

static struct slab *slab_new(unsigned int class)
{
	struct page *p = page_alloc();
	struct slab *s;
	size_t at;

	if (!p)
		return NULL;
	p->flags = PG_SLAB;
	s = page_ptr(p);
	*s = (struct slab){ .class = class, .magic = SLAB_MAGIC };
	/* Chained so that the lowest object is handed out first. */
	for (at = SLAB_FIRST; at + class_size[class] <= PAGE_SIZE; at += class_size[class])
		;
	while (at > SLAB_FIRST) {
		at -= class_size[class];
		*(void **)((char *)s + at) = s->free;
		s->free = (char *)s + at;
	}
	return s;
}

static always_inline void *slab_alloc(unsigned int class)
{
	struct slab *s;
	void *obj;

	if (!partial[class].next)
		list_init(&partial[class]);
	if (list_empty(&partial[class])) {
		s = slab_new(class);
		if (!s)
			return NULL;
		list_add(&partial[class], &s->list);
	}
	s = list_first(&partial[class], struct slab, list);
	obj = s->free;
	s->free = *(void **)obj;
	s->used++;
	if (!s->free)
		list_del(&s->list);
	return obj;
}

/*
 * Returns the slab's page when that was its last object and the class has another slab with room.
 */
static struct page *slab_free(void *obj)
{
	struct slab *s = (struct slab *)((u64)obj & PAGE_MASK);
	size_t off = (u64)obj % PAGE_SIZE;

	ASSERT(s->magic == SLAB_MAGIC && s->used && s->class < NCLASSES &&
	       (off - SLAB_FIRST) % class_size[s->class] == 0);
	if (rs_page_debug)
		memset(obj, 0x5a, class_size[s->class]);
	if (!s->free)
		list_add(&partial[s->class], &s->list);
	*(void **)obj = s->free;
	s->free = obj;
	if (--s->used == 0 && (s->list.next != &partial[s->class] ||
			       s->list.prev != &partial[s->class])) {
		list_del(&s->list);
		s->magic = 0;
		return gpa_page(gpa_of(s));
	}
	return NULL;
}

static void *alloc_pages(size_t n)
{
	struct page *p = n == 1 ? page_alloc() : page_alloc_run(n, 1);

	if (!p)
		return NULL;
	p->flags = PG_SLAB;
	p->priv = n;
	__atomic_add_fetch(&in_use, 1, __ATOMIC_RELAXED);
	return page_ptr(p);
}

static always_inline void *slab_alloc_locked(unsigned int class)
{
	void *obj;

	spin_lock(&heap_lock);
	obj = slab_alloc(class);
	if (obj)
		in_use++;
	spin_unlock(&heap_lock);
	return obj;
}

/* No slab and no page. The search for one could not ask for any back: it held the heap's lock. */
static noinline void *slab_alloc_again(unsigned int class)
{
	return page_reclaimed() ? slab_alloc_locked(class) : NULL;
}

void *kmalloc(size_t size)
{
	unsigned int class = class_of(size);
	void *obj;

	if (!size || size > HUGE_SIZE || page_alloc_injected())
		return NULL;
	if (class >= NCLASSES)
		return class == REFUSED ? NULL : alloc_pages(page_up(size) >> PAGE_SHIFT);
	obj = slab_alloc_locked(class);
	return likely(obj) ? obj : slab_alloc_again(class);
}

bool kmalloc_locked(void)
{
	return spin_held(&heap_lock);
}

void *kzalloc(size_t size)
{
	void *p = kmalloc(size);

	return p ? memset(p, 0, size) : NULL;
}

void kfree(void *obj)
{
	struct page *empty;

	if (!obj)
		return;
	if (IS_ALIGNED((u64)obj, PAGE_SIZE)) {
		struct page *p = gpa_page(gpa_of(obj));
		size_t n = p->priv, i;

		ASSERT(p->flags & PG_SLAB && n);
		for (i = 0; i < n; i++)
			page_put(p + i);
		__atomic_sub_fetch(&in_use, 1, __ATOMIC_RELAXED);
		return;
	}
	spin_lock(&heap_lock);
	empty = slab_free(obj);
	in_use--;
	spin_unlock(&heap_lock);
	if (empty)
		page_put(empty);
}

/* Bytes an object may use. */
static size_t object_room(void *obj)
{
	if (IS_ALIGNED((u64)obj, PAGE_SIZE))
		return gpa_page(gpa_of(obj))->priv << PAGE_SHIFT;
	return class_size[((struct slab *)((u64)obj & PAGE_MASK))->class];
}

void *krealloc(void *obj, size_t size)
{
	size_t room;
	void *p;

	if (!obj)
		return kmalloc(size);
	room = object_room(obj);
	if (size && size <= room && size >= room / 2)
		return obj;
	p = kmalloc(size);
	if (p) {
		memcpy(p, obj, min(room, size));
		kfree(obj);
	}
	return p;
}

void kmalloc_drop_spare(void)
{
	struct slab *s, *next;
	struct list empty;
	unsigned int c;

	list_init(&empty);
	spin_lock(&heap_lock);
	for (c = 0; c < NCLASSES; c++) {
		if (!partial[c].next)
			continue;
		list_for_each_safe(s, next, &partial[c], list) {
			if (s->used)
				continue;
			list_del(&s->list);
			list_add(&empty, &s->list);
			s->magic = 0;
		}
	}
	spin_unlock(&heap_lock);
	list_for_each_safe(s, next, &empty, list)
		page_put(gpa_page(gpa_of(s)));
}

u64 kmalloc_in_use(void)
{
	return in_use;
}
