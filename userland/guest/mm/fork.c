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
 * then the parent loses its write bits. After that only the child can fail: what it shall not have
 * (leave_out()) may need memory, and then it goes as a whole. A parent whose fork failed is as it
 * was, but that its untouched shared mappings may have an object now, and that it may find tables
 * shared with nobody.
 *
 * Context: the parent is the address space of this CPU; its lock keeps faults of its other threads
 * away, whose CPUs must flush before they go on in ring 3. A page that the host is writing into for
 * another thread at that moment (user_segs_get(), write) is a case of its own: were it shared like
 * the others, the parent's next write would copy it and the host's data would end in the child's.
 * Whoever forks with such calls under way gives the child its copies at once, mm_fork_keep(). The
 * page has one reference more than its leaf, so a fault would take it for shared: the parent must get
 * its write bit back without one, also when the fork fails (mm_fork_failed()).
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
	if (!vma_object(v)) {
		kfree(n);
		return false;
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

/*
 * What madvise() has marked: not there in the child, or all zero. It is there at first like the rest
 * and then taken out again, which copies the tables that the borders cut.
 */
static noinline bool leave_out(struct mm *child)
{
	struct vma *v, *next;

	list_for_each_safe(v, next, &child->vma_list, list) {
		if (!(v->flags & (VM_DONTFORK | VM_WIPEONFORK)))
			continue;
		if (!pgtable_unmap_prepare(&child->pt, v->start, v->end))
			return false;
		pgtable_unmap(&child->pt, v->start, v->end);
		if (v->flags & VM_DONTFORK)
			vma_drop(child, v);
	}
	return true;
}

struct mm *mm_fork(struct mm *parent)
{
	struct mm *mm = mm_alloc_like(parent);
	struct vma *v;

	if (!mm)
		return NULL;
	list_for_each(v, &parent->vma_list, list)
		if (!fork_vma(mm, v))
			goto no_memory;
	if (!pgtable_fork(&mm->pt, &parent->pt))
		goto no_memory;
	fork_tree(mm, parent);
	if (unlikely(mm->fork_marks) && !leave_out(mm)) {
		mm_put(mm);
		return NULL;
	}
	return mm;

no_memory:
	mm_free_vmas(mm);
	kfree(mm);
	return NULL;
}

/*
 * Can the host be writing to the page at @addr? Such a page is private, there, and the parent's alone
 * (but for the host's reference), since its own write would have made it so. A page that may not be
 * written any more, by its mapping or for itself, is treated as any.
 */
static bool may_be_written(struct mm *mm, u64 addr)
{
	struct vma *v = mm_find(mm, addr);
	pte_t *slot;

	if (!v || v->flags & VM_SHARED || !(v->flags & VM_WRITE))
		return false;
	slot = pgtable_lookup(&mm->pt, addr & PAGE_MASK, NULL);
	return slot && *slot & PTE_OWNED && !(*slot & PTE_TAKEN);
}

/* The parent's alone, whatever the caller says: then giving back its write bit is right. */
bool mm_fork_begin(struct mm *parent, u64 addr)
{
	int level;

	return pgtable_present(&parent->pt, addr & PAGE_MASK, PTE_P | PTE_W, &level) ||
	       !may_be_written(parent, addr) || mm_fault(parent, addr, FAULT_WRITE) == FAULT_OK;
}

/*
 * Nobody else has the page (mm_fork_begin()) and nobody else the tables on the way, so this takes no
 * memory; the lookup of @slot does when that is not so, and then there was nothing to keep.
 */
static bool write_bit_back(struct mm *mm, u64 addr)
{
	pte_t *slot = pgtable_leaf(&mm->pt, addr & PAGE_MASK);

	if (!slot)
		return false;
	pgtable_set(&mm->pt, addr & PAGE_MASK, slot, *slot | PTE_W);
	return true;
}

bool mm_fork_keep(struct mm *parent, struct mm *child, u64 addr)
{
	enum fault_cause c;

	if (!may_be_written(parent, addr))
		return true;
	/* A page of its own there; with VM_DONTFORK it has nothing. */
	c = mm_fault(child, addr, FAULT_WRITE);
	return c != FAULT_NO_MEMORY && write_bit_back(parent, addr);
}

void mm_fork_failed(struct mm *parent, u64 addr)
{
	if (may_be_written(parent, addr))
		write_bit_back(parent, addr);
}
