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

#define PROT_ALL	(PROT_READ | PROT_WRITE | PROT_EXEC)

static struct vma *vma_of(struct avl_node *n)
{
	return n ? container_of(n, struct vma, node) : NULL;
}

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

static void vma_link(struct mm *mm, struct vma *v, struct vma *prev)
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

static void vma_unlink(struct mm *mm, struct vma *v)
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

static void set_flags(struct mm *mm, struct vma *v, u32 flags)
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
static struct vma *vma_join(struct mm *mm, struct vma *v)
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
static bool cut_borders(struct mm *mm, u64 start, u64 end)
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
static void link_part(struct mm *mm, struct vma *n, const struct vma *v, u64 start, u64 end, u64 to)
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
		link_part(mm, n, v, start, end, to);
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
static void remove_range(struct mm *mm, u64 start, u64 end)
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

static bool range_has(struct mm *mm, u64 start, u64 end, u32 flags)
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
static u64 find_free_32bit(struct mm *mm, u64 len)
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

/* --- mmap ------------------------------------------------------------------------------------- */

#define MAP_KNOWN_LEGACY (MAP_SHARED | MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS | MAP_DENYWRITE | \
			  MAP_EXECUTABLE | MAP_GROWSDOWN | MAP_LOCKED | MAP_NORESERVE | \
			  MAP_POPULATE | \
			  MAP_NONBLOCK | MAP_STACK | MAP_HUGETLB | MAP_UNINITIALIZED | \
			  MAP_FIXED_NOREPLACE | MAP_32BIT)

#ifndef MAP_32BIT
#define MAP_32BIT 0x40
#endif

bool prot_refused(u32 prot)
{
	return (prot & (PROT_WRITE | PROT_EXEC)) == (PROT_WRITE | PROT_EXEC) &&
	       !(rs_boot->flags & RS_BOOT_WX);
}

static long mmap_check(const struct mmap_req *r, u64 len)
{
	u32 type = r->flags & MAP_TYPE;

	if (!r->len)
		return -EINVAL;
	if (!len || len > USER_TOP)
		return -ENOMEM;
	if (type != MAP_SHARED && type != MAP_PRIVATE && type != MAP_SHARED_VALIDATE)
		return -EINVAL;
	if (type == MAP_SHARED_VALIDATE && r->flags & ~(u32)(MAP_KNOWN_LEGACY | MAP_TYPE))
		return -EOPNOTSUPP;
	if (r->flags & MAP_HUGETLB)
		return -ENOMEM;	/* there is no pool of huge pages */
	if (r->prot & ~(u32)(PROT_ALL | PROT_SEM))
		return -EINVAL;
	if (prot_refused(r->prot))
		return -EACCES;
	if (!(r->flags & MAP_ANONYMOUS)) {
		if (r->offset & ~PAGE_MASK)
			return -EINVAL;
		if (r->offset + len < r->offset || (s64)(r->offset + len) < 0)
			return -EOVERFLOW;
		if (r->host_fd < 0)
			return -EBADF;
	}
	return 0;
}

/* Where the mapping goes: an address or -errno. */
static long mmap_place(struct mm *mm, const struct mmap_req *r, u64 len)
{
	u64 addr = r->addr, at;

	if (r->flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) {
		if (addr & ~PAGE_MASK)
			return -EINVAL;
		if (len > USER_TOP || addr > USER_TOP - len)
			return -ENOMEM;
		if (addr < MMAP_MIN)
			return -EPERM;
		if (r->flags & MAP_FIXED_NOREPLACE && !range_free(mm, addr, addr + len))
			return -EEXIST;
		if (range_has(mm, addr, addr + len, VM_FIXED_KERNEL))
			return -EPERM;
		return addr;
	}
	addr = page_up(addr);
	if (addr >= MMAP_MIN && addr <= USER_TOP - len && range_free(mm, addr, addr + len)) {
		struct vma *next = mm_find_from(mm, addr + len);

		if (!next || !(next->flags & VM_GROWSDOWN) ||
		    next->start - (addr + len) >= STACK_GAP)
			return addr;
	}
	at = r->flags & MAP_32BIT ? find_free_32bit(mm, len) : find_free(mm, len);
	return at ? (long)at : -ENOMEM;
}

/*
 * Two mappings of a file may lie at two places of the window: those who share memory by it
 * (futexes) go by the file itself.
 */
static struct file_map *shared_file(const struct mmap_req *r, u64 len, u32 flags)
{
	struct file_map *f = file_map_create(r->host_fd, r->offset, len, RS_MAP_SHARED | flags,
					     r->name);
	struct stat_head {
		u64 dev, ino;
	} *st = host_bounce();

	if (IS_ERR(f))
		return f;
	rs_stats()->forwarded++;
	if (!host_call2(__NR_fstat, r->host_fd, gpa_of(st))) {
		f->dev = st->dev;
		f->ino = st->ino;
	}
	return f;
}

/*
 * The host's mapping behind a file VMA; clears VM_MAYWRITE in *@flags where the file may not be
 * written.
 */
static struct file_map *mmap_file(const struct mmap_req *r, u64 len, u32 *flags)
{
	struct file_map *f;

	if (!(*flags & VM_SHARED))
		return file_map_create(r->host_fd, r->offset, len, 0, r->name);
	f = shared_file(r, len, RS_MAP_WRITE);
	if (PTR_ERR(f) != -EACCES || *flags & VM_WRITE)
		return f;
	*flags &= ~VM_MAYWRITE;
	return shared_file(r, len, 0);
}

static u32 vma_flags(const struct mmap_req *r)
{
	u32 flags = (r->prot & PROT_ALL) | VM_MAYWRITE;

	if ((r->flags & MAP_TYPE) != MAP_PRIVATE)
		flags |= VM_SHARED;
	if (r->flags & MAP_GROWSDOWN && !(flags & VM_SHARED) && r->flags & MAP_ANONYMOUS)
		flags |= VM_GROWSDOWN;
	if (r->flags & MAP_NORESERVE)
		flags |= VM_NORESERVE;
	return flags;
}

long mm_mmap(struct mm *mm, const struct mmap_req *r)
{
	u64 len = page_up(r->len), replaced = 0;
	struct file_map *file = NULL;
	u32 flags = vma_flags(r);
	long addr = mmap_check(r, len);
	struct vma *v;

	if (addr)
		return addr;
	addr = mmap_place(mm, r, len);
	if (addr < 0)
		return addr;
	for (v = mm_find_from(mm, addr); v && v->start < addr + len; v = vma_next(mm, v))
		replaced += min(v->end, addr + len) - max(v->start, (u64)addr);
	if (mm->total - replaced > mm->limit_as || len > mm->limit_as - (mm->total - replaced))
		return -ENOMEM;
	if (mm->tree.count >= MAX_VMAS)
		return -ENOMEM;

	if (!(r->flags & MAP_ANONYMOUS)) {
		file = mmap_file(r, len, &flags);
		if (IS_ERR(file))
			return PTR_ERR(file);
	}
	if (!range_free(mm, addr, addr + len)) {
		if (!pgtable_unmap_prepare(&mm->pt, addr, addr + len) ||
		    !cut_borders(mm, addr, addr + len))
			goto no_memory;
		remove_range(mm, addr, addr + len);
	}
	if (!vma_add(mm, addr, addr + len, flags, file, 0))
		goto no_memory;
	if (r->flags & (MAP_POPULATE | MAP_LOCKED) && !(r->flags & MAP_NONBLOCK))
		mm_populate(mm, addr, addr + len);
	return addr;

no_memory:
	if (file)
		file_map_put(file);
	return -ENOMEM;
}

/**
 * mm_populate() - faults [start, end) in as far as that is possible, for writing where the VMA
 * allows
 */
void mm_populate(struct mm *mm, u64 start, u64 end)
{
	u64 a;

	for (a = start; a < end; a += PAGE_SIZE) {
		struct vma *v = mm_find(mm, a);

		if (!v || !(v->flags & VM_PROT))
			return;
		if (mm_fault(mm, a, v->flags & VM_WRITE && !v->file ? FAULT_WRITE : FAULT_READ))
			return;
	}
}

long mm_munmap(struct mm *mm, u64 addr, u64 len)
{
	len = page_up(len);
	if (addr & ~PAGE_MASK || !len || addr > USER_TOP || len > USER_TOP - addr)
		return -EINVAL;
	if (range_free(mm, addr, addr + len))
		return 0;
	if (range_has(mm, addr, addr + len, VM_FIXED_KERNEL))
		return -EPERM;
	if (mm->tree.count >= MAX_VMAS && mm_find(mm, addr) &&
	    mm_find(mm, addr) == mm_find(mm, addr + len))
		return -ENOMEM;
	if (!pgtable_unmap_prepare(&mm->pt, addr, addr + len) ||
	    !cut_borders(mm, addr, addr + len))
		return -ENOMEM;
	remove_range(mm, addr, addr + len);
	return 0;
}

/* --- mprotect --------------------------------------------------------------------------------- */

/* What mprotect answers for @v and @prot. */
static long protect_check(const struct vma *v, u32 prot)
{
	if (v->flags & VM_FIXED_KERNEL)
		return -EPERM;
	if (prot & VM_WRITE && v->flags & VM_SHARED && !(v->flags & VM_MAYWRITE))
		return -EACCES;
	return 0;
}

/*
 * Rights that go are taken from the page table now; rights that come are given by the next fault,
 * which alone knows which pages must be copied first. Executable is the exception: it needs no
 * copy.
 */
static bool protect_pages(struct mm *mm, const struct vma *v, u32 prot)
{
	u64 clear = 0, set = 0;

	if (!prot)
		clear = PTE_P;
	if (!(prot & VM_WRITE))
		clear |= PTE_W;
	if (prot & VM_EXEC)
		clear |= PTE_NX;
	else
		set |= PTE_NX;
	return pgtable_protect(&mm->pt, v->start, v->end, clear, set);
}

long mm_mprotect(struct mm *mm, u64 addr, u64 len, u32 prot)
{
	bool down = prot & PROT_GROWSDOWN;
	u64 end, at;
	struct vma *v;
	long err;

	prot &= ~(u32)(PROT_GROWSDOWN | PROT_SEM);
	if (addr & ~PAGE_MASK)
		return -EINVAL;
	if (!len)
		return 0;
	len = page_up(len);
	if (!len || addr > USER_TOP || len > USER_TOP - addr)
		return -ENOMEM;
	if (prot & ~(u32)PROT_ALL || prot & PROT_GROWSUP)
		return -EINVAL;
	if (prot_refused(prot))
		return -EACCES;
	end = addr + len;
	if (down) {
		v = mm_find(mm, addr);
		if (!v)
			return -ENOMEM;
		if (!(v->flags & VM_GROWSDOWN))
			return -EINVAL;
		addr = v->start;
	}
	for (at = addr; at < end; at = v->end) {
		v = mm_find(mm, at);
		if (!v)
			return -ENOMEM;
		err = protect_check(v, prot);
		if (err)
			return err;
		if ((v->flags & VM_PROT) == prot)
			continue;
		if (mm->tree.count + 2 > MAX_VMAS || !cut_borders(mm, at, min(end, v->end)))
			return -ENOMEM;
		v = mm_find(mm, at);
		if (!protect_pages(mm, v, prot)) {
			vma_join(mm, v);
			return -ENOMEM;
		}
		set_flags(mm, v, (v->flags & ~VM_PROT) | prot);
		v = vma_join(mm, v);
	}
	return 0;
}

/* --- mremap ----------------------------------------------------------------------------------- */

/*
 * Shared anonymous memory that has an object grows by a VMA with one of its own: what lies further
 * on in the object may be somebody else's.
 */
static bool grows_apart(const struct vma *v)
{
	return v->shm;
}

/* What it grows by then is nobody's to provide. */
static u32 flags_apart(const struct vma *v)
{
	return v->flags & ~VM_PAGER;
}

/* The @more bytes behind @v are free. */
static bool room_behind(struct mm *mm, const struct vma *v, u64 more)
{
	struct vma *next = vma_next(mm, v);
	u64 end = v->end + more;

	if (end < v->end || end > USER_TOP)
		return false;
	return !next || (next->start >= end &&
			 (!(next->flags & VM_GROWSDOWN) || next->start - end >= STACK_GAP));
}

/* Grows @v by @more bytes at its end, where there is room; false without memory. */
static bool grow_in_place(struct mm *mm, struct vma *v, u64 more)
{
	u64 end = v->end + more;

	if (grows_apart(v))
		return vma_add(mm, v->end, end, flags_apart(v), NULL, 0);
	vma_resize(mm, v, v->start, end);
	vma_join(mm, v);
	return true;
}

/*
 * The host maps no more of a file than was asked for: a larger piece of the window for [old, old +
 * len), which is to have @new_len bytes. The leaves that show the old piece show the new one. What
 * a private mapping has copied stays. When the mapping cannot be enlarged
 * after that, it has a piece that is larger than needed, which nobody notices.
 */
static long grow_file(struct mm *mm, u64 old, u64 len, u64 new_len)
{
	struct vma *v = mm_find(mm, old);
	struct file_map *more;
	u64 off;

	if (!v->file)
		return 0;
	off = v->file_off + (old - v->start);
	if (off + new_len <= v->file->size)
		return 0;
	if (v->file->offset + off + new_len < new_len)
		return -ENOMEM;
	more = file_map_extend(v->file, off, new_len);
	if (IS_ERR(more))
		return -ENOMEM;
	if (mm->tree.count + 2 > MAX_VMAS || !cut_borders(mm, old, old + len)) {
		file_map_put(more);
		return -ENOMEM;
	}
	v = mm_find(mm, old);
	if (!pgtable_move_window(&mm->pt, v->start, v->end,
				 more->gpa - (v->file->gpa + v->file_off))) {
		vma_join(mm, v);
		file_map_put(more);
		return -ENOMEM;
	}
	file_map_put(v->file);
	v->file = more;
	v->file_off = 0;
	return 0;
}

/*
 * What mremap leaves a mapping at the old place of as well: a second VMA at @to for [old, old +
 * len) of one VMA. The pages that are there move to it (@move; MREMAP_DONTUNMAP), or both map the
 * same (shared memory, duplicated with an old length of 0).
 */
static long double_vma(struct mm *mm, u64 old, u64 len, u64 to, bool move)
{
	struct vma *v = mm_find(mm, old), *n;

	if (mm->tree.count + 3 > MAX_VMAS || len > mm->limit_as - min(mm->limit_as, mm->total))
		return -ENOMEM;
	n = vma_object(v) ? kmalloc(sizeof(*n)) : NULL;
	if (!n)
		return -ENOMEM;
	if (move && !pgtable_move_prepare(&mm->pt, old, to, len)) {
		pgtable_unmap(&mm->pt, to, to + len);
		kfree(n);
		return -ENOMEM;
	}
	link_part(mm, n, v, old, old + len, to);
	if (move)
		ASSERT(pgtable_move(&mm->pt, old, to, len));
	vma_join(mm, n);
	return to;
}

/*
 * Moves [old, old + len) of one VMA to @to with size @new_len >= @len; the target is free. The VMA
 * itself moves, so that nothing can fail once something has changed.
 */
static long move_vma(struct mm *mm, u64 old, u64 len, u64 to, u64 new_len)
{
	struct vma *v = mm_find(mm, old), *more = NULL;

	if (mm->tree.count + 3 > MAX_VMAS)
		return -ENOMEM;
	if (grows_apart(v) && new_len > len) {
		more = kmalloc(sizeof(*more));
		if (!more)
			return -ENOMEM;
	}
	if (!pgtable_move_prepare(&mm->pt, old, to, len) || !cut_borders(mm, old, old + len)) {
		pgtable_unmap(&mm->pt, to, to + len);
		kfree(more);
		return -ENOMEM;
	}
	v = mm_find(mm, old);
	vma_unlink(mm, v);
	v->start = to;
	v->end = to + (more ? len : new_len);
	v->flags &= ~VM_BRK;
	vma_link(mm, v, vma_of(avl_floor(&mm->tree, to)));
	if (more) {
		*more = (struct vma){
			.start = v->end, .end = to + new_len, .flags = flags_apart(v),
		};
		vma_link(mm, more, v);
	}
	ASSERT(pgtable_move(&mm->pt, old, to, len));
	if (more)
		vma_join(mm, more);
	vma_join(mm, v);
	return to;
}

long mm_mremap(struct mm *mm, u64 old, u64 old_len, u64 new_len, u32 flags, u64 new_addr)
{
	bool in_place;
	struct vma *v;
	long err;
	u64 to;

	if (flags & ~(u32)(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP) || old & ~PAGE_MASK)
		return -EINVAL;
	old_len = page_up(old_len);
	new_len = page_up(new_len);
	if (!new_len || new_len > USER_TOP)
		return -EINVAL;
	if (flags & (MREMAP_FIXED | MREMAP_DONTUNMAP) && !(flags & MREMAP_MAYMOVE))
		return -EINVAL;
	if (flags & MREMAP_DONTUNMAP && old_len != new_len)
		return -EINVAL;
	if (flags & MREMAP_FIXED) {
		if (new_addr & ~PAGE_MASK ||
		    new_addr > USER_TOP - new_len)
			return -EINVAL;
		/* With an old length of 0 the source is as long as the duplicate. */
		if (new_addr < old + (old_len ? old_len : new_len) && old < new_addr + new_len)
			return -EINVAL;
		if (new_addr < MMAP_MIN)
			return -EPERM;
	}
	v = mm_find(mm, old);
	if (!v || old > USER_TOP || old_len > USER_TOP - old)
		return -EFAULT;
	if (v->flags & VM_FIXED_KERNEL)
		return -EPERM;
	if (!old_len && (!(v->flags & VM_SHARED) || !(flags & MREMAP_MAYMOVE)))
		return -EINVAL;
	/* Of a duplicate, too, there is no more than what is mapped. */
	if (max(old_len, old_len ? 0 : new_len) > v->end - old)
		return old_len ? -EFAULT : -ENOMEM;
	if (new_len > old_len && new_len - old_len > mm->limit_as - min(mm->limit_as, mm->total))
		return -ENOMEM;

	if (!old_len || flags & MREMAP_DONTUNMAP) {
		to = flags & MREMAP_FIXED ? new_addr : find_free(mm, new_len);
		if (!to)
			return -ENOMEM;
		err = flags & MREMAP_FIXED ? mm_munmap(mm, to, new_len) : 0;
		return err ? err : double_vma(mm, old, new_len, to, old_len);
	}
	if (flags & MREMAP_FIXED) {
		err = mm_munmap(mm, new_addr, new_len);
		if (!err && new_len > old_len)
			err = grow_file(mm, old, old_len, new_len);
		if (err)
			return err;
		if (new_len < old_len) {
			err = mm_munmap(mm, old + new_len, old_len - new_len);
			if (err)
				return err;
			old_len = new_len;
		}
		return move_vma(mm, old, old_len, new_addr, new_len);
	}
	if (new_len <= old_len) {
		err = new_len < old_len ? mm_munmap(mm, old + new_len, old_len - new_len) : 0;
		return err ? err : (long)old;
	}
	in_place = old + old_len == v->end && room_behind(mm, v, new_len - old_len);
	to = in_place ? old : flags & MREMAP_MAYMOVE ? find_free(mm, new_len) : 0;
	if (!to)
		return -ENOMEM;
	err = grow_file(mm, old, old_len, new_len);
	if (err)
		return err;
	if (!in_place)
		return move_vma(mm, old, old_len, to, new_len);
	return grow_in_place(mm, mm_find(mm, old), new_len - old_len) ? (long)old : -ENOMEM;
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
	if (mm->tree.count + 2 > MAX_VMAS || !cut_borders(mm, start, end))
		return -ENOMEM;
	for (at = start; at < end; at = v->end) {
		struct shm *old;

		v = mm_find(mm, at);
		old = v->shm;
		v->shm = s ? shm_get(s) : NULL;
		set_flags(mm, v, s ? v->flags | VM_PAGER : v->flags & ~VM_PAGER);
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

/* --- brk, madvise, msync, mincore ------------------------------------------------------------- */

long mm_brk(struct mm *mm, u64 addr)
{
	u64 old = page_up(mm->brk), new = page_up(addr);
	struct vma *next;

	if (addr < mm->brk_start || addr > USER_TOP || addr - mm->brk_start > mm->limit_data)
		return mm->brk;
	if (new < old) {
		if (mm_munmap(mm, new, old - new))
			return mm->brk;
	} else if (new > old) {
		next = mm_find_from(mm, old);
		if (next && next->start < new + (next->flags & VM_GROWSDOWN ? STACK_GAP :
						 PAGE_SIZE))
			return mm->brk;
		if (mm->total > mm->limit_as || new - old > mm->limit_as - mm->total ||
		    mm->tree.count >= MAX_VMAS)
			return mm->brk;
		if (!vma_add(mm, old, new, VM_READ | VM_WRITE | VM_MAYWRITE | VM_BRK, NULL, 0))
			return mm->brk;
	}
	mm->brk = addr;
	return addr;
}

/* What children shall have of [start, end), which lies in @v. */
static long mark_for_fork(struct mm *mm, struct vma *v, u64 start, u64 end, int advice)
{
	u32 flags = v->flags;

	if (flags & VM_FIXED_KERNEL)
		return -EINVAL;
	switch (advice) {
	case MADV_DONTFORK: flags |= VM_DONTFORK; break;
	case MADV_DOFORK: flags &= ~VM_DONTFORK; break;
	case MADV_WIPEONFORK:
		if (v->file || flags & VM_SHARED)
			return -EINVAL;
		flags |= VM_WIPEONFORK;
		break;
	default: flags &= ~VM_WIPEONFORK; break;
	}
	if (flags == v->flags)
		return 0;
	if (mm->tree.count + 2 > MAX_VMAS || !cut_borders(mm, start, end))
		return -ENOMEM;
	v = mm_find(mm, start);
	set_flags(mm, v, flags);
	mm->fork_marks = true;
	vma_join(mm, v);
	return 0;
}

/*
 * @fn for what each VMA has of [addr, end), in order, up to its first error; -ENOMEM when a part
 * has no VMA, after the others. @fn may change the VMA it is given.
 */
static long for_each_part(struct mm *mm, u64 addr, u64 end,
			  long (*fn)(struct mm *mm, struct vma *v, u64 start, u64 end, u32 arg),
			  u32 arg)
{
	long err, hole = 0;
	struct vma *v;
	u64 to;

	for (; addr < end; addr = to) {
		v = mm_find_from(mm, addr);
		if (!v || v->start >= end)
			return -ENOMEM;
		if (v->start > addr) {
			hole = -ENOMEM;
			addr = v->start;
		}
		to = min(end, v->end);
		err = fn(mm, v, addr, to, arg);
		if (err)
			return err;
	}
	return hole;
}

static long advise(struct mm *mm, struct vma *v, u64 start, u64 end, u32 advice)
{
	switch ((int)advice) {
	case MADV_DONTFORK:
	case MADV_DOFORK:
	case MADV_WIPEONFORK:
	case MADV_KEEPONFORK:
		return mark_for_fork(mm, v, start, end, (int)advice);
	case MADV_DONTNEED:
	case MADV_FREE:
		if (v->flags & VM_FIXED_KERNEL)
			return -EINVAL;
		if (advice == MADV_FREE && (v->file || v->flags & VM_SHARED))
			return -EINVAL;
		/* Shared anonymous memory keeps its contents: it belongs to no single mapping. */
		if (!v->file && v->flags & VM_SHARED)
			return 0;
		if (!pgtable_unmap_prepare(&mm->pt, start, end))
			return -ENOMEM;
		pgtable_unmap(&mm->pt, start, end);
		return 0;
	case MADV_POPULATE_READ:
	case MADV_POPULATE_WRITE:
		for (; start < end; start += PAGE_SIZE) {
			enum fault_cause c = mm_fault(mm, start, advice == MADV_POPULATE_WRITE ?
						      FAULT_WRITE | FAULT_CALL : FAULT_READ);

			if (c)
				return c == FAULT_NO_MEMORY ? -ENOMEM : -EFAULT;
		}
		return 0;
	default:
		return 0;
	}
}

static bool advice_known(int advice)
{
	switch (advice) {
	case MADV_NORMAL:
	case MADV_RANDOM:
	case MADV_SEQUENTIAL:
	case MADV_WILLNEED:
	case MADV_DONTNEED:
	case MADV_FREE:
	case MADV_DONTFORK:
	case MADV_DOFORK:
	case MADV_WIPEONFORK:
	case MADV_KEEPONFORK:
	case MADV_MERGEABLE:
	case MADV_UNMERGEABLE:
	case MADV_HUGEPAGE:
	case MADV_NOHUGEPAGE:
	case MADV_DONTDUMP:
	case MADV_DODUMP:
	case MADV_COLD:
	case MADV_PAGEOUT:
	case MADV_POPULATE_READ:
	case MADV_POPULATE_WRITE:
		return true;
	default:
		return false;
	}
}

long mm_madvise(struct mm *mm, u64 addr, u64 len, int advice)
{
	if (addr & ~PAGE_MASK || !advice_known(advice))
		return -EINVAL;
	if (!len)
		return 0;
	len = page_up(len);
	if (!len || addr > USER_TOP || len > USER_TOP - addr)
		return -EINVAL;
	return for_each_part(mm, addr, addr + len, advise, (u32)advice);
}

static long sync_part(struct mm *mm, struct vma *v, u64 start, u64 end, u32 flags)
{
	(void)mm;
	if (!v->file || !(v->flags & VM_SHARED))
		return 0;
	return host_call3(RS_CALL_SYNC_FILE, v->file->gpa + v->file_off + (start - v->start),
			  end - start, flags);
}

long mm_msync(struct mm *mm, u64 addr, u64 len, u32 flags)
{
	if (addr & ~PAGE_MASK || flags & ~(u32)(MS_ASYNC | MS_SYNC | MS_INVALIDATE) ||
	    (flags & (MS_ASYNC | MS_SYNC)) == (MS_ASYNC | MS_SYNC))
		return -EINVAL;
	len = page_up(len);
	if (addr > USER_TOP || len > USER_TOP - addr)
		return -ENOMEM;
	return for_each_part(mm, addr, addr + len, sync_part, flags);
}

long mm_mincore(struct mm *mm, u64 addr, u64 pages, u8 *vec)
{
	u64 i;

	for (i = 0; i < pages; i++) {
		u64 a = addr + i * PAGE_SIZE;
		struct vma *v = mm_find(mm, a);
		pte_t *slot;

		if (!v)
			return -ENOMEM;
		slot = pgtable_lookup(&mm->pt, a, NULL);
		if (v->file || (slot && *slot))
			vec[i] = 1;
		else	/* another process may have touched it */
			vec[i] = v->shm && shm_has(v->shm, (v->file_off + (a - v->start)) >> PAGE_SHIFT);
	}
	return 0;
}

long mm_lock(struct mm *mm, u64 addr, u64 len)
{
	u64 at = ALIGN_DOWN(addr, PAGE_SIZE), end = ALIGN_UP(addr + len, PAGE_SIZE);
	struct vma *v;

	if (addr > USER_TOP || len > USER_TOP - addr)
		return -ENOMEM;
	for (; at < end; at += PAGE_SIZE) {
		v = mm_find(mm, at);
		/* A file's pages are the host's business, and private ones are copied when written. */
		if (!v || mm_fault(mm, at, v->flags & VM_WRITE && !v->file ?
						   FAULT_WRITE | FAULT_CALL : FAULT_READ))
			return -ENOMEM;
	}
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
