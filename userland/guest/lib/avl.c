// SPDX-License-Identifier: MIT
/*
 * avl.c - balanced trees inside objects
 *
 * AVL: the heights of a node's two sides differ by one at most. A change is made at the bottom,
 * then fix_up() walks to the root and at each node restores height and best, rotating where the
 * balance is lost. Nothing recurses.
 */
#include "avl.h"
#include "rculist.h"

static int height(const struct avl_node *n)
{
	return n ? n->height : 0;
}

/* Height and best of @n from its children; true when either changed. */
static bool refresh(struct avl_node *n)
{
	int h = max(height(n->left), height(n->right)) + 1;
	u64 best = n->own;
	bool changed;

	if (n->left && n->left->best > best)
		best = n->left->best;
	if (n->right && n->right->best > best)
		best = n->right->best;
	changed = h != n->height || best != n->best;
	n->height = h;
	n->best = best;
	return changed;
}

/* The parent's pointer to @n. */
static struct avl_node **link_of(struct avl_tree *t, struct avl_node *n)
{
	if (!n->parent)
		return &t->root;
	return n->parent->left == n ? &n->parent->left : &n->parent->right;
}

static void set_left(struct avl_node *n, struct avl_node *c)
{
	n->left = c;
	if (c)
		c->parent = n;
}

static void set_right(struct avl_node *n, struct avl_node *c)
{
	n->right = c;
	if (c)
		c->parent = n;
}

/* @n's left (@right: right) child takes its place; returns it. */
static struct avl_node *rotate(struct avl_tree *t, struct avl_node *n, bool right)
{
	struct avl_node **link = link_of(t, n);
	struct avl_node *c = right ? n->right : n->left;

	c->parent = n->parent;
	rcu_publish(*link, c);
	if (right) {
		set_right(n, c->left);
		set_left(c, n);
	} else {
		set_left(n, c->right);
		set_right(c, n);
	}
	refresh(n);
	refresh(c);
	return c;
}

static void fix_up(struct avl_tree *t, struct avl_node *n)
{
	for (; n; n = n->parent) {
		int bal;

		refresh(n);
		bal = height(n->left) - height(n->right);
		if (bal > 1) {
			if (height(n->left->left) < height(n->left->right))
				rotate(t, n->left, true);
			n = rotate(t, n, false);
		} else if (bal < -1) {
			if (height(n->right->right) < height(n->right->left))
				rotate(t, n->right, false);
			n = rotate(t, n, true);
		}
	}
}

bool avl_insert(struct avl_tree *t, struct avl_node *n)
{
	struct avl_node *parent = NULL, **link = &t->root;

	while (*link) {
		parent = *link;
		if (n->key == parent->key)
			return false;
		link = n->key < parent->key ? &parent->left : &parent->right;
	}
	n->left = n->right = NULL;
	n->parent = parent;
	n->height = 1;
	n->best = n->own;
	rcu_publish(*link, n);
	t->count++;
	fix_up(t, parent);
	return true;
}

void avl_remove(struct avl_tree *t, struct avl_node *n)
{
	struct avl_node **link = link_of(t, n), *from;

	t->count--;
	if (n->left && n->right) {
		/* The next node in order, which has no left side, takes the place of @n. */
		struct avl_node *s = n->right;

		while (s->left)
			s = s->left;
		from = s->parent == n ? s : s->parent;
		if (s->parent != n) {
			set_left(s->parent, s->right);
			set_right(s, n->right);
		}
		set_left(s, n->left);
		s->parent = n->parent;
		*link = s;
	} else {
		struct avl_node *c = n->left ? n->left : n->right;

		*link = c;
		if (c)
			c->parent = n->parent;
		from = n->parent;
	}
	fix_up(t, from);
}

void avl_update(struct avl_node *n)
{
	while (n && refresh(n))
		n = n->parent;
}

struct avl_node *avl_floor(const struct avl_tree *t, u64 key)
{
	struct avl_node *n = t->root, *found = NULL;

	while (n) {
		if (n->key == key)
			return n;
		if (n->key < key) {
			found = n;
			n = n->right;
		} else {
			n = n->left;
		}
	}
	return found;
}

/*
 * Far more than the height of a tree that fits into memory: who is sent round by rotations gives up.
 */
#define READER_STEPS	64

struct avl_node *avl_floor_reader(const struct avl_tree *t, u64 key)
{
	struct avl_node *n = rcu_dereference(t->root), *best = NULL;
	int steps;

	for (steps = 0; n; steps++) {
		if (steps == READER_STEPS)
			return NULL;
		if (READ_ONCE(n->key) <= key) {
			best = n;
			n = rcu_dereference(n->right);
		} else {
			n = rcu_dereference(n->left);
		}
	}
	return best;
}

struct avl_node *avl_first(const struct avl_tree *t)
{
	struct avl_node *n = t->root;

	while (n && n->left)
		n = n->left;
	return n;
}

struct avl_node *avl_last(const struct avl_tree *t)
{
	struct avl_node *n = t->root;

	while (n && n->right)
		n = n->right;
	return n;
}

struct avl_node *avl_next(const struct avl_node *n)
{
	if (n->right) {
		n = n->right;
		while (n->left)
			n = n->left;
		return (struct avl_node *)n;
	}
	while (n->parent && n->parent->right == n)
		n = n->parent;
	return n->parent;
}

struct avl_node *avl_prev(const struct avl_node *n)
{
	if (n->left) {
		n = n->left;
		while (n->right)
			n = n->right;
		return (struct avl_node *)n;
	}
	while (n->parent && n->parent->left == n)
		n = n->parent;
	return n->parent;
}

/* The highest node of the subtree at @n with enough of its own; there is one. */
static struct avl_node *last_in(struct avl_node *n, u64 own)
{
	for (;;) {
		if (n->right && n->right->best >= own)
			n = n->right;
		else if (n->own >= own)
			return n;
		else
			n = n->left;
	}
}

struct avl_node *avl_last_with(const struct avl_tree *t, u64 below, u64 own)
{
	struct avl_node *n = t->root, *next = NULL;

	/*
	 * Down to the highest key below @below; then look left, and back up, for the first that
	 * does.
	 */
	while (n) {
		if (n->key < below) {
			next = n;
			n = n->right;
		} else {
			n = n->left;
		}
	}
	for (n = next; n;) {
		if (n->own >= own)
			return n;
		if (n->left && n->left->best >= own)
			return last_in(n->left, own);
		while (n->parent && n->parent->left == n)
			n = n->parent;
		n = n->parent;
	}
	return NULL;
}
