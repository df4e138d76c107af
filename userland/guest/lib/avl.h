/* SPDX-License-Identifier: MIT */
/*
 * avl.h - balanced trees whose links lie inside the objects, ordered by a 64-bit key, with one
 * value summed up over subtrees
 *
 * The key is unique. @own is a value of the node (for VMAs: the free space below it), @best the
 * largest @own in the subtree: that finds "the highest node with at least so much" in logarithmic
 * time. Whoever changes @own calls avl_update(). Recursion is bounded by the height, at most 1.44
 * log2(n).
 */
#ifndef RS_LIB_AVL_H
#define RS_LIB_AVL_H

#include "types.h"

struct avl_node {
	struct avl_node *left, *right, *parent;
	u64 key, own, best;
	int height;
};

struct avl_tree {
	struct avl_node *root;
	size_t count;
};

/** avl_insert() - adds @n, whose key and own are set; false when the key is there already */
bool avl_insert(struct avl_tree *t, struct avl_node *n);
void avl_remove(struct avl_tree *t, struct avl_node *n);
/** avl_update() - @n->own has changed */
void avl_update(struct avl_node *n);
/** avl_floor() - the node with the largest key <= @key, NULL when there is none */
struct avl_node *avl_floor(const struct avl_tree *t, u64 key);
/**
 * avl_floor_reader() - the same while somebody else may be changing the tree: then any node of it, or
 * NULL, and the caller finds out by other means. Nodes that have left the tree stay memory meanwhile
 * (sync/rcu.h).
 */
struct avl_node *avl_floor_reader(const struct avl_tree *t, u64 key);
struct avl_node *avl_first(const struct avl_tree *t);
struct avl_node *avl_last(const struct avl_tree *t);
struct avl_node *avl_next(const struct avl_node *n);
struct avl_node *avl_prev(const struct avl_node *n);
/**
 * avl_last_with() - the node with the highest key below @below whose own value is at least @own,
 * NULL when there is none
 */
struct avl_node *avl_last_with(const struct avl_tree *t, u64 below, u64 own);

#endif
