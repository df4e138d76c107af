// SPDX-License-Identifier: MIT
/*
 * window.c - the file window
 *
 * Pieces in use are kept in a tree by GPA whose "own" value is the free space below each piece, so
 * a place for a new piece is found in logarithmic time, from the top of the window downwards. A
 * last node, of size zero, stands at the end of the window.
 *
 * Lock: window_lock, not held while the host is called: a piece is entered before the host maps it
 * and removed after the host has unmapped it.
 */
#include "window.h"
#include "kmalloc.h"
#include "../lib/assert.h"
#include "../lib/avl.h"

struct piece {
	struct avl_node node;	/* key: gpa; own: free bytes below */
	struct file_map map;
};

static struct spinlock window_lock = SPINLOCK_INIT("window", LOCK_RANK_WINDOW);
static struct avl_tree pieces;
static struct avl_node window_end;
static u64 window_gpa;

void window_init(u64 gpa, u64 size)
{
	pieces = (struct avl_tree){ 0 };
	window_gpa = gpa;
	window_end = (struct avl_node){ .key = gpa + size, .own = size };
	avl_insert(&pieces, &window_end);
}

static struct piece *piece_of(struct avl_node *n)
{
	return container_of(n, struct piece, node);
}

/* End of the piece before @n, or the start of the window. */
static u64 end_before(struct avl_node *n)
{
	struct avl_node *p = avl_prev(n);

	return p ? p->key + piece_of(p)->map.size : window_gpa;
}

/* Gives @p the highest free place. */
static bool place(struct piece *p)
{
	struct avl_node *n;
	bool found = false;

	spin_lock(&window_lock);
	n = avl_last_with(&pieces, ~0ull, p->map.size);
	if (n) {
		p->node.key = n->key - p->map.size;
		p->node.own = n->own - p->map.size;
		p->map.gpa = p->node.key;
		n->own = 0;
		avl_update(n);
		found = avl_insert(&pieces, &p->node);
	}
	spin_unlock(&window_lock);
	return found;
}

static void unplace(struct piece *p)
{
	struct avl_node *next;

	spin_lock(&window_lock);
	next = avl_next(&p->node);
	avl_remove(&pieces, &p->node);
	next->own = next->key - end_before(next);
	avl_update(next);
	spin_unlock(&window_lock);
}

/* A piece with a place in the window and nothing there yet; ERR_PTR(-ENOMEM). */
static struct piece *piece_new(u64 offset, u64 size, u32 flags)
{
	struct piece *p = kmalloc(sizeof(*p));

	if (!p)
		return ERR_PTR(-ENOMEM);
	p->map = (struct file_map){
		.refs = 1, .flags = flags, .size = size, .offset = offset,
	};
	if (!place(p)) {
		kfree(p);
		return ERR_PTR(-ENOMEM);
	}
	return p;
}

/* The host has answered @err. */
static struct file_map *piece_done(struct piece *p, long err, struct refstr *name)
{
	rs_stats()->file_maps++;
	if (err < 0) {
		unplace(p);
		kfree(p);
		return ERR_PTR(err);
	}
	p->map.name = refstr_get(name);
	return &p->map;
}

struct file_map *file_map_create(int fd, u64 offset, u64 size, u32 flags, struct refstr *name)
{
	struct piece *p;

	if (!size || !IS_ALIGNED(size, PAGE_SIZE) || !IS_ALIGNED(offset, PAGE_SIZE))
		return ERR_PTR(-EINVAL);
	p = piece_new(offset, size, flags);
	if (IS_ERR(p))
		return ERR_PTR(PTR_ERR(p));
	return piece_done(p, host_call5(RS_CALL_MAP_FILE, fd, offset, size, p->map.gpa, flags),
			  name);
}

struct file_map *file_map_extend(const struct file_map *from, u64 off, u64 size)
{
	struct piece *p;

	if (!size || off >= from->size || (off | size) & ~PAGE_MASK)
		return ERR_PTR(-EINVAL);
	p = piece_new(from->offset + off, size, from->flags);
	if (IS_ERR(p))
		return ERR_PTR(PTR_ERR(p));
	p->map.dev = from->dev;
	p->map.ino = from->ino;
	return piece_done(p, host_call3(RS_CALL_MAP_MORE, from->gpa + off, size, p->map.gpa),
			  from->name);
}

void file_map_put(struct file_map *m)
{
	struct piece *p = container_of(m, struct piece, map);

	if (__atomic_sub_fetch(&m->refs, 1, __ATOMIC_ACQ_REL))
		return;
	/*
	 * If the host cannot unmap it, the place stays in use: it must not show up under a new
	 * file.
	 */
	if (host_call2(RS_CALL_UNMAP_FILE, m->gpa, m->size) == 0)
		unplace(p);
	else
		return;
	refstr_put(m->name);
	kfree(p);
}
