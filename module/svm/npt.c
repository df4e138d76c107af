// SPDX-License-Identifier: GPL-2.0-only
/*
 * npt.c - nested page table entries as AMD has them: the host's own format
 *
 * The nested walk runs in the host's paging mode with every access a user access, so U is set
 * everywhere, the depth is the host's, and NX works because Linux always sets EFER.NX (APM
 * 15.25.5).
 */
#include <linux/mem_encrypt.h>
#include <linux/pgtable.h>
#include "svm.h"

struct rs_pte_format rs_npt_format = {
	.name		= "NPT",
	.present	= _PAGE_PRESENT,
	.table		= _PAGE_PRESENT | _PAGE_RW | _PAGE_USER,
	.leaf		= _PAGE_PRESENT | _PAGE_USER,	/* cache type: WB of PAT entry 0 */
	.read		= 0,
	.write		= _PAGE_RW,
	.exec		= 0,
	.noexec		= _PAGE_NX,
	.huge		= _PAGE_PSE,
	.accessed	= _PAGE_ACCESSED,
	.dirty		= _PAGE_DIRTY,
};

int rs_npt_levels(void)
{
	return pgtable_l5_enabled() ? 5 : 4;
}

void rs_npt_setup(void)
{
	rs_npt_format.sme = __sme_set(0);
}
