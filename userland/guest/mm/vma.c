// SPDX-License-Identifier: MIT
/*
 * vma.c - the sorted set of VMAs and the calls that change it
 *
 * VMAs lie in a list (neighbours) and in a tree by start, whose "own" value is the free space below
 * the VMA, so that a place for a new one is found in logarithmic time. Every change goes through
 * four steps: link, unlink, cut (one VMA becomes two at an address) and join (two alike become
 * one); each keeps list, tree, free space and mm->total right.
 *
 * These four, and a change of rights, are also what readers without the lock see: each is one change
 * of mm->seq (vma.h). A VMA is changed in other ways only while it is unlinked.
 *
 * Order when something is taken away: what may fail (cutting needs memory) first, then the VMAs,
 * then the page table, then references on files.
 *
 * Free space is looked for from mmap_base downwards, then above it. The space below a stack that
 * grows counts as used for STACK_GAP bytes.
 */
#include <asm/unistd.h>
#include <linux/mman.h>
#include "vma.h"
#include "fault.h"
#include "kmalloc.h"
#include "mm_internal.h"
#include "../arch/tlb.h"
#include "../lib/assert.h"
#include "../lib/string.h"

struct vma *vma_next(struct mm *mm, const struct vma *v)
{
	return v->list.next == &mm->vma_list ? NULL : list_entry(v->list.next, struct vma, list);
}

struct vma *vma_prev(struct mm *mm, const struct vma *v)
{
	return v->list.prev == &mm->vma_list ? NULL : list_entry(v->list.prev, struct vma, list);
}

struct vma *mm_find(struct mm *mm, u64 addr)
{
	struct vma *v = mm->cache;

	if (likely(v && addr >= v->start && addr < v->end))
		return v;
	v = vma_of(avl_floor(&mm->tree, addr));
	if (!v || addr >= v->end)
		return NULL;
	rcu_publish(mm->cache, v);
	return v;
}

const struct vma *mm_find_reader(const struct mm *mm, u64 addr)
{
	const struct vma *v = vma_of(avl_floor_reader(&mm->tree, addr));

	return v && addr >= READ_ONCE(v->start) && addr < READ_ONCE(v->end) ? v : NULL;
}

struct vma *mm_find_from(struct mm *mm, u64 addr)
{
	struct vma *v = vma_of(avl_floor(&mm->tree, addr));

	if (v && addr < v->end)
		return v;
	if (v)
		return vma_next(mm, v);
	return list_empty(&mm->vma_list) ? NULL : list_first(&mm->vma_list, struct vma, list);
}

/* Free bytes below @v that a new mapping may use. */
static u64 gap_below(struct mm *mm, const struct vma *v)
{
	struct vma *p = vma_prev(mm, v);
	u64 from = p ? p->end : MMAP_MIN, gap;

	if (v->start <= from)
		return 0;
	gap = v->start - from;
	if (v->flags & VM_GROWSDOWN)
		gap -= min(gap, STACK_GAP);
	return gap;
}

static void update_gap(struct mm *mm, struct vma *v)
{
	if (v) {
		v->node.own = gap_below(mm, v);
		avl_update(&v->node);
	}
}

void vma_link(struct mm *mm, struct vma *v, struct vma *prev)
{
	list_insert(prev ? &prev->list : &mm->vma_list, &v->list);
	v->node.key = v->start;
	v->node.own = gap_below(mm, v);
	mm_change_begin(mm);
	ASSERT(avl_insert(&mm->tree, &v->node));
	mm_change_end(mm);
	update_gap(mm, vma_next(mm, v));
	mm->total += v->end - v->start;
}

void vma_unlink(struct mm *mm, struct vma *v)
{
	struct vma *next = vma_next(mm, v);

	if (mm->cache == v)
		WRITE_ONCE(mm->cache, NULL);
	list_del(&v->list);
	mm_change_begin(mm);
	avl_remove(&mm->tree, &v->node);
	mm_change_end(mm);
	mm->total -= v->end - v->start;
	update_gap(mm, next);
}

static void vma_drop_refs(struct vma *v)
{
	if (v->file)
		file_map_put(v->file);
	if (v->shm)
		shm_put(v->shm);
}

static void vma_free_memory(struct rcu_head *h)
{
	kfree(container_of(h, struct vma, rcu));
}

/* It is unlinked. What it refers to is nothing to readers; its memory is. */
static void vma_free(struct vma *v)
{
	vma_drop_refs(v);
	rcu_call(&v->rcu, vma_free_memory);
}

void vma_drop(struct mm *mm, struct vma *v)
{
	vma_unlink(mm, v);
	vma_free(v);
}

/* A new limit for @v; @start may not pass a neighbour. */
void vma_resize(struct mm *mm, struct vma *v, u64 start, u64 end)
{
	ASSERT(!v->file || start == v->start);	/* only stacks move their start */
	mm->total += (end - start) - (v->end - v->start);
	mm_change_begin(mm);
	if (start != v->start) {
		/* The key changes, the order does not. */
		v->start = start;
		v->node.key = start;
	}
	v->end = end;
	mm_change_end(mm);
	update_gap(mm, v);
	update_gap(mm, vma_next(mm, v));
}

void vma_set_flags(struct mm *mm, struct vma *v, u32 flags)
{
	mm_change_begin(mm);
	v->flags = flags;
	mm_change_end(mm);
}

/* Makes @at a border of @v, which holds it inside: false without memory. */
static bool vma_cut(struct mm *mm, struct vma *v, u64 at)
{
	struct vma *n = kmalloc(sizeof(*n));

	if (!n)
		return false;
	*n = *v;
	n->start = at;
	if (n->file || n->shm)
		n->file_off += at - v->start;
	if (n->file)
		file_map_get(n->file);
	if (n->shm)
		shm_get(n->shm);
	/*
	 * Only the upper part touches what is below the stack, and that is the lower part's
	 * business.
	 */
	vma_resize(mm, v, v->start, at);
	vma_link(mm, n, v);
	return true;
}

static bool alike(const struct vma *a, const struct vma *b)
{
	return a->end == b->start && a->flags == b->flags && a->file == b->file &&
	       a->shm == b->shm &&
	       ((!a->file && !a->shm) || a->file_off + (a->end - a->start) == b->file_off);
}

/* Joins @v with its neighbours where they are alike; returns the VMA it has become part of. */
struct vma *vma_join(struct mm *mm, struct vma *v)
{
	struct vma *p = vma_prev(mm, v), *n = vma_next(mm, v);
	u64 end;

	if (n && alike(v, n)) {
		end = n->end;
		vma_unlink(mm, n);
		vma_resize(mm, v, v->start, end);
		vma_free(n);
	}
	if (p && alike(p, v)) {
		end = v->end;
		vma_unlink(mm, v);
		vma_resize(mm, p, p->start, end);
		vma_free(v);
		v = p;
	}
	return v;
}

/* Makes @start and @end borders between VMAs; false without memory, then nothing has changed. */
bool vma_cut_borders(struct mm *mm, u64 start, u64 end)
{
	struct vma *v = mm_find(mm, start);

	if (v && v->start < start && !vma_cut(mm, v, start))
		return false;
	v = mm_find(mm, end);
	if (!v || v->start == end || vma_cut(mm, v, end))
		return true;
	v = mm_find(mm, start);
	if (v)
		vma_join(mm, v);
	return false;
}

/*
 * A VMA [start, end) in free space, joined with its neighbours if possible; takes over @file's
 * reference.
 */
struct vma *vma_add(struct mm *mm, u64 start, u64 end, u32 flags, struct file_map *file,
		    u64 file_off)
{
	struct vma *prev = vma_of(avl_floor(&mm->tree, start)), *v = kmalloc(sizeof(*v));

	if (!v)
		return NULL;
	*v = (struct vma){
		.start = start, .end = end, .flags = flags, .file = file, .file_off = file_off,
	};
	vma_link(mm, v, prev);
	return vma_join(mm, v);
}

bool vma_object_make(struct vma *v)
{
	v->shm = shm_create();
	if (!v->shm)
		return false;
	v->file_off = 0;
	return true;
}

/* @n becomes what vma_add_part() adds. */
void vma_link_part(struct mm *mm, struct vma *n, const struct vma *v, u64 start, u64 end, u64 to)
{
	*n = *v;
	if (n->file || n->shm)
		n->file_off += start - v->start;
	n->start = to;
	n->end = to + (end - start);
	if (to != start)
		n->flags &= ~(VM_BRK | VM_GROWSDOWN);
	if (n->file)
		file_map_get(n->file);
	if (n->shm)
		shm_get(n->shm);
	vma_link(mm, n, vma_of(avl_floor(&mm->tree, to)));
}

struct vma *vma_add_part(struct mm *mm, const struct vma *v, u64 start, u64 end, u64 to)
{
	struct vma *n = kmalloc(sizeof(*n));

	if (n)
		vma_link_part(mm, n, v, start, end, to);
	return n;
}

void vma_join_range(struct mm *mm, u64 start, u64 end)
{
	struct vma *v;

	for (v = mm_find_from(mm, start); v && v->start < end; v = vma_next(mm, v))
		v = vma_join(mm, v);
}

void mm_free_vmas(struct mm *mm)
{
	struct vma *v, *next;

	/* Nobody is in this address space any more, or yet. */
	list_for_each_safe(v, next, &mm->vma_list, list) {
		vma_drop_refs(v);
		kfree(v);
	}
}

/*
 * Empties [start, end), whose borders are VMA borders; nothing can fail after
 * pgtable_unmap_prepare().
 */
void vma_remove_range(struct mm *mm, u64 start, u64 end)
{
	struct vma *v, *next;
	struct list gone;

	list_init(&gone);
	for (v = mm_find_from(mm, start); v && v->start < end; v = next) {
		next = vma_next(mm, v);
		vma_unlink(mm, v);
		list_add_tail(&gone, &v->list);
	}
	pgtable_unmap(&mm->pt, start, end);
	list_for_each_safe(v, next, &gone, list)
		vma_free(v);
}

bool vma_range_has(struct mm *mm, u64 start, u64 end, u32 flags)
{
	struct vma *v;

	for (v = mm_find_from(mm, start); v && v->start < end; v = vma_next(mm, v))
		if (v->flags & flags)
			return true;
	return false;
}

/**
 * find_free() - the highest place for @len bytes below mmap_base, else the lowest above; 0 when
 * there is none
 */
u64 find_free(struct mm *mm, u64 len)
{
	struct vma *above = mm_find_from(mm, mm->mmap_base), *below, *v;
	u64 from, to;

	/* The gap that mmap_base lies in. */
	below = above ? vma_prev(mm, above) : vma_of(avl_last(&mm->tree));
	if (!above || above->start > mm->mmap_base) {
		from = below ? below->end : MMAP_MIN;
		to = mm->mmap_base;
		if (above && above->flags & VM_GROWSDOWN)
			to = min(to, above->start - min(above->start, STACK_GAP));
		if (to > from && to - from >= len)
			return to - len;
	}
	v = vma_of(avl_last_with(&mm->tree, above && above->start <= mm->mmap_base ?
				 above->start + 1 :
				 mm->mmap_base, len));
	if (v) {
		to = v->start;
		if (v->flags & VM_GROWSDOWN)
			to -= STACK_GAP;
		return to - len;
	}
	/* Above mmap_base, from below. */
	from = max(mm->mmap_base, below ? below->end : 0);
	for (v = above; v; v = vma_next(mm, v)) {
		to = v->start;
		if (v->flags & VM_GROWSDOWN)
			to -= min(to, STACK_GAP);
		if (to > from && to - from >= len)
			return from;
		from = max(from, v->end);
	}
	return USER_TOP - from >= len ? from : 0;
}

/* For MAP_32BIT: the lowest place in the second GiB, as Linux has it; 0 when there is none. */
u64 find_free_32bit(struct mm *mm, u64 len)
{
	u64 from = 1ul << 30, end = 1ul << 31;
	struct vma *v;

	for (v = mm_find_from(mm, from); v && v->start < end; v = vma_next(mm, v)) {
		if (v->start > from && v->start - from >= len)
			return from;
		from = v->end;
	}
	return from < end && end - from >= len ? from : 0;
}

/** range_free() - nothing is mapped in [start, end) */
bool range_free(struct mm *mm, u64 start, u64 end)
{
	struct vma *v = mm_find_from(mm, start);

	return !v || v->start >= end;
}

/* --- objects (transfer.c) ---------------------------------------------------------------------- */

/*
 * A mapping of what @like maps at @addr, in the present address space @mm at @at, where it replaces
 * what is there. @like may lie there itself.
 */
long mm_map_same(struct mm *mm, u64 at, u64 len, struct vma *like, u64 addr, u32 flags)
{
	struct vma *v = kmalloc(sizeof(*v));
	long err = -ENOMEM;

	if (!v)
		return -ENOMEM;
	if (!vma_object(like)) {
		kfree(v);
		return -ENOMEM;
	}
	*v = (struct vma){
		.start = at, .end = at + len, .flags = flags, .file = like->file,
		.shm = like->shm, .file_off = like->file_off + (addr - like->start),
	};
	if (v->file)
		file_map_get(v->file);
	if (v->shm)
		shm_get(v->shm);
	err = mm_munmap(mm, at, len);
	if (err) {
		err = err == -ENOMEM ? err : -EMSGSIZE;
		goto no_window;
	}
	err = -ENOMEM;
	if (mm->tree.count >= MAX_VMAS || len > mm->limit_as - min(mm->limit_as, mm->total))
		goto no_window;
	vma_link(mm, v, vma_of(avl_floor(&mm->tree, at)));
	vma_join(mm, v);
	return 0;

no_window:
	vma_free(v);
	return err;
}

#define NO_PAGER (VM_SHARED | VM_GROWSDOWN | VM_FIXED_KERNEL | VM_BRK)

long mm_set_object(struct mm *mm, u64 start, u64 end, struct shm *s)
{
	struct vma *v;
	u64 at;

	for (at = start; at < end; at = v->end) {
		v = mm_find(mm, at);
		if (!v)
			return -ENOMEM;
		if (v->file || v->flags & NO_PAGER)
			return -EINVAL;
	}
	if (mm->tree.count + 2 > MAX_VMAS || !vma_cut_borders(mm, start, end))
		return -ENOMEM;
	for (at = start; at < end; at = v->end) {
		struct shm *old;

		v = mm_find(mm, at);
		old = v->shm;
		v->shm = s ? shm_get(s) : NULL;
		vma_set_flags(mm, v, s ? v->flags | VM_PAGER : v->flags & ~VM_PAGER);
		v->file_off = s ? at - start : 0;
		if (old)
			shm_put(old);
		v = vma_join(mm, v);
	}
	/* The last one may have been joined with what was there before its own other half. */
	v = mm_find(mm, end);
	if (v)
		vma_join(mm, v);
	return 0;
}

/* --- the whole -------------------------------------------------------------------------------- */

struct mm *mm_create(void)
{
	struct mm *mm = kzalloc(sizeof(*mm));

	if (!mm)
		return NULL;
	if (!pgtable_create(&mm->pt)) {
		kfree(mm);
		return NULL;
	}
	spin_init(&mm->lock, "mm", LOCK_RANK_MM);
	list_init(&mm->vma_list);
	mm->refs = 1;
	mm->mmap_base = USER_TOP - (128ul << 20);
	mm->limit_as = mm->limit_data = ~0ull;
	mm->limit_stack = 8ul << 20;
	return mm;
}

struct mm *mm_alloc_like(const struct mm *old)
{
	struct mm *mm = kmalloc(sizeof(*mm));

	if (!mm)
		return NULL;
	*mm = *old;
	spin_init(&mm->lock, "mm", LOCK_RANK_MM);
	list_init(&mm->vma_list);
	mm->tree = (struct avl_tree){ 0 };
	mm->cache = NULL;
	mm->refs = 1;
	return mm;
}

void mm_put(struct mm *mm)
{
	if (__atomic_sub_fetch(&mm->refs, 1, __ATOMIC_ACQ_REL))
		return;
	/* Pages of files before the references on the files. */
	pgtable_destroy(&mm->pt);
	mm_free_vmas(mm);
	kfree(mm);
}

void mm_activate(struct mm *mm)
{
	this_cpu()->mm = mm;
	tlb_load_root(mm ? mm->pt.root : rs_boot->cr3);
}

void mm_maps(struct mm *mm, struct textbuf *t)
{
	struct vma *v;

	list_for_each(v, &mm->vma_list, list) {
		const char *name = v->file ? refstr_text(v->file->name) : "";
		u64 off = v->file ? v->file->offset + v->file_off : 0;

		if (v->flags & VM_BRK)
			name = "[heap]";
		else if (v->flags & VM_GROWSDOWN && v->end == mm->stack_top)
			name = "[stack]";
		else if (v->flags & VM_FIXED_KERNEL)
			name = mm->vdso && v->end > mm->vdso && v->start <= mm->vdso ? "[vdso]" :
			       "[vvar]";
		text_printf(t, "%08lx-%08lx %c%c%c%c %08lx 00:00 0 %s%s\n", v->start, v->end,
			    v->flags & VM_READ ? 'r' : '-', v->flags & VM_WRITE ? 'w' : '-',
			    v->flags & VM_EXEC ? 'x' : '-', v->flags & VM_SHARED ? 's' : 'p', off,
			    *name ? "                         " : "", name);
	}
}

void mm_check(struct mm *mm)
{
	u64 last = 0, total = 0, n = 0;
	struct vma *v, *prev = NULL;

	list_for_each(v, &mm->vma_list, list) {
		ASSERT(v->start < v->end && v->start >= last && v->end <= USER_TOP);
		ASSERT(IS_ALIGNED(v->start, PAGE_SIZE) && IS_ALIGNED(v->end, PAGE_SIZE));
		ASSERT(v->node.key == v->start && v->node.own == gap_below(mm, v));
		ASSERT(mm_find(mm, v->start) == v && mm_find(mm, v->end - 1) == v);
		ASSERT(!prev || !alike(prev, v));
		if (v->file)
			ASSERT(v->file->refs && v->file_off + (v->end - v->start) <= v->file->size);
		ASSERT(!v->shm || (v->flags & (VM_SHARED | VM_PAGER) && !v->file && v->shm->refs));
		ASSERT(!(v->flags & VM_PAGER) || (v->shm && !(v->flags & VM_SHARED)));
		last = v->end;
		total += v->end - v->start;
		n++;
		prev = v;
	}
	ASSERT(total == mm->total && n == mm->tree.count);
	pgtable_check(&mm->pt);
}
