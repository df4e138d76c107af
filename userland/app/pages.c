// SPDX-License-Identifier: MIT
/*
 * pages.c - page calls, and reading page tables
 */
#include <errno.h>
#include <ringside/app.h>

int rs_page_protect(void *addr, size_t len, unsigned int rights)
{
	return (int)rs_app_call(RS_SYS_PROTECT, (long)addr, (long)len, rights, 0);
}

long rs_page_ops(struct rs_page_op *ops, size_t n)
{
	return rs_app_call(RS_SYS_PAGES, (long)ops, (long)n, 0, 0);
}

long rs_page_dirty(void *addr, size_t len, uint64_t *bitmap, unsigned int flags)
{
	return rs_app_call(RS_SYS_DIRTY, (long)addr, (long)len, (long)bitmap, flags);
}

uint64_t rs_page_entry(const void *addr, int *level)
{
	uint64_t e, rights = RS_PTE_W | RS_PTE_U;
	int l;

	if (!(rs_app_features() & RS_APP_PAGE_TABLES) || (uint64_t)addr >> 47)
		return 0;
	/* From the top: an entry can be read when the one above it is there and leads to a table. */
	for (l = 4; ; l--) {
		e = *(const volatile uint64_t *)RS_PT_ENTRY(addr, l);
		if (!(e & RS_PTE_P))
			return 0;
		rights &= e;
		if (l == 1 || e & RS_PTE_LARGE)
			break;
	}
	if (level)
		*level = l;
	return (e & ~(RS_PTE_W | RS_PTE_U)) | rights;
}
