// SPDX-License-Identifier: MIT
/*
 * fault.c - making memory present on first touch
 *
 * One function for all: page faults of ring 3, of the kernel on behalf of it, and requests to make
 * memory present. The VMA says what is allowed and what belongs there; the entry in the page table
 * says what is there already:
 *
 *	entry		anonymous			private file		shared file
 *	none, read	shared zero page, read-only	window, read-only	window
 *	none, write	new page of zeros		new page, copied	window, writable
 *	no write bit	last owner: write bit back, otherwise a copy		write bit
 *	no P bit	rights as they are now (it was PROT_NONE for a while)
 *	taken		not allowed: the process has closed the page (pages.c); but for a call
 *			that writes, where PTE_CALLS says so: then nothing is taken any more
 *
 * Private anonymous memory that has a pager (VM_PAGER, transfer.h) is never filled here: FAULT_PAGER.
 *
 * "Write bit" is that of all levels: below tables shared by fork there is none, and pgtable_leaf()
 * makes them our own (pgtable.c, fork.c).
 *
 * Shared anonymous memory gets real pages at once, its object's (shm.c). Text read from files is
 * mapped AROUND pages at a time: the entries cost a few instructions each, a fault a few hundred.
 */
#include "fault.h"
#include "mm_internal.h"
#include "uaccess.h"
#include "../arch/tlb.h"
#include "../lib/assert.h"
#include "../lib/string.h"

#define AROUND	16	/* pages; a power of two, at most 512 */

static u64 zero_gpa;

/** fault_init() - boot: the page of zeros that untouched memory shares */
void fault_init(void)
{
	struct page *p = page_alloc_zeroed();

	ASSERT(p);
	p->flags = PG_FIXED;
	p->refs = PAGE_FIXED_REFS;
	zero_gpa = page_gpa(p);
}

const char *fault_cause_text(enum fault_cause c)
{
	static const char *const text[] = {
		[FAULT_OK] = "no fault",
		[FAULT_NO_VMA] = "access to memory that is not mapped",
		[FAULT_NON_CANONICAL] = "access to an address no process can have",
		[FAULT_GUARD] = "stack overflow: access to the guard page below a stack",
		[FAULT_STACK_LIMIT] = "stack overflow: the stack has reached its limit",
		[FAULT_READ_DENIED] = "read from inaccessible memory",
		[FAULT_WRITE_DENIED] = "write to read-only memory",
		[FAULT_EXEC_DENIED] = "jump to memory that is not executable",
		[FAULT_NO_MEMORY] = "out of memory: the sandbox's memory is used up (see --memory)",
		[FAULT_BEYOND_FILE] = "access to a mapped file beyond its end",
		[FAULT_OTHER] = "exception",
		[FAULT_UPCALL_ADDRESS] = "its upcall is at an address no process can have",
		[FAULT_UPCALL_ENTRY] = "its upcall traps at its first instruction",
		[FAULT_UPCALL_OVERFLOW] = "trap stack overflow: no room for another trap",
		[FAULT_UPCALL_STACK_ADDRESS] = "its trap stack is at an address no process can have",
		[FAULT_UPCALL_STACK] = "its trap stack is not writable memory",
		[FAULT_PAGER_ENDED] = "the pager of this memory has ended, or its port is closed",
		[FAULT_PAGER_REFUSED] = "the pager of this memory has refused the page",
		[FAULT_PAGER_LIMIT] = "the pager of this memory has not provided the page in time",
		[FAULT_PAGER] = "the pager of this memory has to be asked",
		[FAULT_ALARM] = "its alarm",
	};

	return (size_t)c < ARRAY_SIZE(text) && text[c] ? text[c] : "unknown";
}

static pte_t rights(const struct vma *v)
{
	return PTE_P | PTE_U | PTE_A | (v->flags & VM_EXEC ? 0 : PTE_NX);
}

/* @addr lies in no VMA: is it just below a stack that may grow? */
static enum fault_cause grow_stack(struct mm *mm, u64 addr, struct vma **out)
{
	struct vma *v = mm_find_from(mm, addr), *below;
	u64 start = addr & PAGE_MASK, size;

	if (!v || !(v->flags & VM_GROWSDOWN) || start < MMAP_MIN)
		return FAULT_NO_VMA;
	size = v->end - start;
	if (size > mm->limit_stack) {
		/* Near the limit it is an overflow, far below just a wild pointer. */
		return size - mm->limit_stack <= STACK_GAP ? FAULT_STACK_LIMIT : FAULT_NO_VMA;
	}
	below = vma_prev(mm, v);
	if (below && below->flags & VM_PROT && start - min(start, STACK_GAP) < below->end)
		return FAULT_GUARD;
	if (v->start - start > mm->limit_as - min(mm->limit_as, mm->total))
		return FAULT_STACK_LIMIT;
	vma_resize(mm, v, start, v->end);
	*out = v;
	return FAULT_OK;
}

/* The access is not allowed: which words fit best? */
static enum fault_cause denied(struct mm *mm, const struct vma *v, u32 access)
{
	struct vma *next = vma_next(mm, v);

	if (!(v->flags & VM_PROT) && !v->file && v->end - v->start <= STACK_GAP && next &&
	    next->start == v->end && (next->flags & (VM_READ | VM_WRITE)) == (VM_READ | VM_WRITE) &&
	    !next->file)
		return FAULT_GUARD;
	if (access & FAULT_WRITE)
		return FAULT_WRITE_DENIED;
	return access & FAULT_EXEC ? FAULT_EXEC_DENIED : FAULT_READ_DENIED;
}

/* A page of the process's own with the contents of @from (GPA; 0: zeros). */
static enum fault_cause own_copy(u64 from, struct page **out)
{
	struct page *p;

	if (!from || from == zero_gpa) {
		p = page_alloc_zeroed();
		if (!p)
			return FAULT_NO_MEMORY;
		rs_stats()->zero_fills++;
	} else {
		p = page_alloc();
		if (!p)
			return FAULT_NO_MEMORY;
		p->flags = 0;
		if (!copy_page_checked(page_ptr(p), gpa_ptr(from))) {
			page_put(p);
			return FAULT_BEYOND_FILE;
		}
		rs_stats()->cow_copies++;
	}
	*out = p;
	return FAULT_OK;
}

static u64 file_gpa(const struct vma *v, u64 addr)
{
	return v->file->gpa + v->file_off + (addr - v->start);
}

/* Empty entries around @slot (for the page @addr) that the same VMA covers are filled as well. */
static void map_around(struct mm *mm, const struct vma *v, u64 addr, pte_t *slot, pte_t pte)
{
	u64 from = max(ALIGN_DOWN(addr, AROUND * PAGE_SIZE), v->start);
	u64 to = min(ALIGN_DOWN(addr, AROUND * PAGE_SIZE) + AROUND * PAGE_SIZE, v->end);
	struct page *table = gpa_page(gpa_of(slot));
	u64 n = 0;

	slot -= (addr - from) >> PAGE_SHIFT;
	pte -= addr - from;
	for (; from < to; from += PAGE_SIZE, slot++, pte += PAGE_SIZE) {
		if (!*slot) {
			*slot = pte;
			n++;
		}
	}
	table->priv += n;
	mm->pt.mapped += n;
}

/* The page of @v's object for @addr; the object is made on first touch. */
static noinline struct page *object_page(struct vma *v, u64 addr)
{
	if (!vma_object(v))
		return NULL;
	return shm_page(v->shm, (v->file_off + (addr - v->start)) >> PAGE_SHIFT);
}

/* Nothing is there yet. */
static enum fault_cause fill(struct mm *mm, struct vma *v, u64 addr, u32 access, pte_t *slot)
{
	pte_t pte = rights(v);
	enum fault_cause c;
	struct page *p;

	if (v->file && (v->flags & VM_SHARED || !(access & FAULT_WRITE))) {
		pte |= file_gpa(v, addr);
		if (v->flags & VM_SHARED && v->flags & VM_WRITE)
			pte |= PTE_W;
		map_around(mm, v, addr, slot, pte);
		return FAULT_OK;
	}
	if (!(access & FAULT_WRITE) && !(v->flags & (VM_SHARED | VM_PAGER))) {
		pgtable_set(&mm->pt, addr, slot, pte | zero_gpa);
		return FAULT_OK;
	}
	if (unlikely(v->flags & (VM_SHARED | VM_PAGER))) {
		if (v->flags & VM_PAGER)
			return FAULT_PAGER;
		p = object_page(v, addr);
		c = p ? FAULT_OK : FAULT_NO_MEMORY;
	} else {
		c = own_copy(v->file ? file_gpa(v, addr) : 0, &p);
	}
	if (c)
		return c;
	pte |= page_gpa(p) | PTE_OWNED;
	if (v->flags & VM_WRITE)
		pte |= PTE_W;
	if (access & FAULT_WRITE)
		pte |= PTE_D;
	pgtable_set(&mm->pt, addr, slot, pte);
	return FAULT_OK;
}

/* Something is there, with fewer rights than the VMA gives. */
static enum fault_cause upgrade(struct mm *mm, const struct vma *v, u64 addr, u32 access,
				pte_t *slot)
{
	pte_t old = *slot, pte;
	enum fault_cause c;
	struct page *p;

	if (unlikely(old & PTE_TAKEN)) {
		if (access & FAULT_WRITE) {
			if (!(access & FAULT_CALL) || !(old & PTE_CALLS))
				return FAULT_WRITE_DENIED;
			old &= ~(PTE_TAKEN | PTE_CALLS | PTE_MARKS);
		} else if (old & PTE_NO_ACCESS) {
			return access & FAULT_EXEC ? FAULT_EXEC_DENIED : FAULT_READ_DENIED;
		}
	}
	pte = (old & ~PTE_NX) | rights(v);
	if (access & FAULT_WRITE && !(old & PTE_W)) {
		u64 gpa = old & PTE_ADDR;

		if (!(v->flags & VM_SHARED) && !(old & PTE_OWNED && page_last_owner(gpa))) {
			c = own_copy(gpa, &p);
			if (c)
				return c;
			pte = rights(v) | page_gpa(p) | PTE_OWNED | (old & PTE_MARKS);
		}
		pte |= PTE_W | PTE_D;
	}
	pgtable_set(&mm->pt, addr, slot, pte);
	return FAULT_OK;
}

enum fault_cause mm_fault(struct mm *mm, u64 addr, u32 access)
{
	enum fault_cause c;
	struct vma *v;
	pte_t *slot;
	u32 need;

	if (unlikely(addr >= USER_TOP))
		return FAULT_NON_CANONICAL;
	v = mm_find(mm, addr);
	if (unlikely(!v)) {
		c = grow_stack(mm, addr, &v);
		if (c)
			return c;
	}
	need = access & FAULT_WRITE ? VM_WRITE : access & FAULT_EXEC ? VM_EXEC : VM_PROT;
	if (unlikely(!(v->flags & need)))
		return denied(mm, v, access);
	addr &= PAGE_MASK;
	slot = pgtable_leaf(&mm->pt, addr);
	if (unlikely(!slot))
		return FAULT_NO_MEMORY;
	if (likely(!*slot))
		return fill(mm, v, addr, access, slot);
	return upgrade(mm, v, addr, access, slot);
}
