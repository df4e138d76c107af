// SPDX-License-Identifier: MIT
/*
 * fork.c - an address space becomes two
 *
 * Constant time in the number of pages: VMAs are copied one by one, page tables are shared from the
 * second level down (pgtable.c says how, and why that is safe). Then, for any page:
 *
 *	1. mm_fork() takes the write bits of the top-level entries, in parent and child, so every
 *	   write of either one faults. Reads go on.
 *	2. mm_fault() asks the VMA first. What it does not allow is a violation, before any table is
 *	   touched. Otherwise pgtable_leaf() makes the tables on the way our own: at most three are
 *	   copied, and none again below the same entry.
 *	3. The leaf has lost its write bit if its table was copied. The VMA says what that means:
 *	   shared (a file's page, or an object's: shm.c): write bit back; private: a page with other
 *	   owners is copied, the last owner gets the write bit back.
 *	4. Filling a hole is a change too: the table becomes our own first. What one process maps at
 *	   an address is no business of the other's.
 *
 * Every page that can be reached from an address space is one that its VMAs allow: whoever removes
 * a VMA removes its leaves from its own tables (pgtable_unmap()), or lets go of shared ones as a
 * whole. So file pages need no count: the VMA's reference on the file keeps them.
 *
 * Order: what may fail comes first (VMAs, objects of shared mappings, the child's top-level table),
 * then the parent loses its write bits, and nothing fails after that. A parent whose fork failed is
 * as it was, but that its untouched shared mappings may have an object now.
 *
 * Context: the parent is the address space of this CPU; its lock keeps faults of its other threads
 * away, whose CPUs must flush before they go on in ring 3. A page that the host is writing into for
 * another thread at that moment (user_segs_get(), write) is a case of its own: were it shared like
 * the others, the parent's next write would copy it and the host's data would end in the child's.
 * Whoever forks with such calls under way gives the child its copies at once, mm_fork_keep().
 */
#include "fault.h"
#include "kmalloc.h"
#include "mm_internal.h"
#include "../lib/assert.h"

/* A copy of @v; its place in the tree comes later. */
static bool fork_vma(struct mm *child, struct vma *v)
{
	struct vma *n = kmalloc(sizeof(*n));

	if (!n)
		return false;
	if (v->flags & VM_SHARED && !v->file && !v->shm) {
		v->shm = shm_create();
		if (!v->shm) {
			kfree(n);
			return false;
		}
		v->file_off = 0;
	}
	*n = *v;
	v->copy = n;
	if (n->file)
		file_map_get(n->file);
	if (n->shm)
		shm_get(n->shm);
	list_add_tail(&child->vma_list, &n->list);
	return true;
}

static struct avl_node *copy_of(struct avl_node *n)
{
	return n ? &container_of(n, struct vma, node)->copy->node : NULL;
}

/* The same tree: nothing is searched, nothing rotated. */
static void fork_tree(struct mm *child, struct mm *parent)
{
	struct vma *v;

	list_for_each(v, &parent->vma_list, list) {
		struct avl_node *n = &v->copy->node;

		n->left = copy_of(v->node.left);
		n->right = copy_of(v->node.right);
		n->parent = copy_of(v->node.parent);
	}
	child->tree.root = copy_of(parent->tree.root);
	child->tree.count = parent->tree.count;
}

struct mm *mm_fork(struct mm *parent)
{
	struct mm *mm = kmalloc(sizeof(*mm));
	struct vma *v;

	if (!mm)
		return NULL;
	*mm = *parent;
	spin_init(&mm->lock, "mm", LOCK_RANK_MM);
	list_init(&mm->vma_list);
	mm->tree = (struct avl_tree){ 0 };
	mm->cache = NULL;
	mm->refs = 1;
	list_for_each(v, &parent->vma_list, list)
		if (!fork_vma(mm, v))
			goto no_memory;
	if (!pgtable_fork(&mm->pt, &parent->pt))
		goto no_memory;
	fork_tree(mm, parent);
	return mm;

no_memory:
	mm_free_vmas(mm);
	kfree(mm);
	return NULL;
}

bool mm_fork_keep(struct mm *parent, struct mm *child, u64 addr)
{
	struct vma *v = mm_find(parent, addr);
	pte_t *slot = pgtable_lookup(&parent->pt, addr & PAGE_MASK, NULL);
	enum fault_cause c;

	if (!v || v->flags & VM_SHARED || !slot || !(*slot & PTE_OWNED))
		return true;
	c = mm_fault(child, addr, FAULT_WRITE);
	if (c)
		return c != FAULT_NO_MEMORY;	/* neither side may write there now */
	slot = pgtable_leaf(&parent->pt, addr & PAGE_MASK);
	if (!slot)
		return false;
	/* The child has its copy, so this leaf is the only one beside the host's reference. */
	pgtable_set(&parent->pt, addr & PAGE_MASK, slot, *slot | PTE_W);
	return true;
}
