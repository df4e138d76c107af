// SPDX-License-Identifier: MIT
/*
 * peek.c - see peek.h
 *
 * The other address space is not in CR3, so its page table is walked by hand, page by page, and
 * what is found is read through the direct map. A page is looked up again after a fault has made it
 * present, and nothing else runs between the look and the copy, so it is there as long as it is
 * read. Pages of files may turn out not to be there when the host is asked for them (the file has
 * become shorter): copy_checked() ends the copy then.
 */
#include "peek.h"
#include "fault.h"
#include "uaccess.h"

static const void *page_at(struct mm *mm, u64 va)
{
	int level;
	pte_t *e = pgtable_present(&mm->pt, va, PTE_P, &level);

	if (!e) {
		if (mm_fault(mm, va, FAULT_READ))
			return NULL;
		e = pgtable_present(&mm->pt, va, PTE_P, &level);
		if (!e)
			return NULL;
	}
	if (level == 2)
		return gpa_ptr((*e & PTE_ADDR & ~(HUGE_SIZE - 1)) + (va & (HUGE_SIZE - 1)));
	return gpa_ptr((*e & PTE_ADDR) + (va & ~PAGE_MASK));
}

size_t mm_peek(struct mm *mm, void *dst, u64 va, size_t n)
{
	size_t done = 0;

	while (done < n && user_range_ok(va + done, 1)) {
		size_t part = min(n - done, (size_t)(PAGE_SIZE - ((va + done) & ~PAGE_MASK)));
		const void *from = page_at(mm, va + done);

		if (!from || !copy_checked((char *)dst + done, from, part))
			break;
		done += part;
	}
	return done;
}
