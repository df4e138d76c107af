// SPDX-License-Identifier: GPL-2.0-only
/*
 * ept.c - extended page tables: the format of their entries, the pointer in the VMCS, invalidation
 *
 * The walker in mmu/ does the rest. Memory is always write-back, whatever the guest's PAT says: a
 * region is ordinary memory of a process. Where the CPU keeps accessed and dirty bits in EPT
 * entries (EPTP bit 6), its accesses to guest page tables count as writes, so that those pages must
 * be writable (SDM vol. 3, 29.3.3.2 "Access rights").
 *
 * INVEPT removes what is tagged with the table's address, for all VPIDs of this CPU. It is due
 * whenever an entry was made less permissive (flush, asked for by the mmu), and when a vCPU comes
 * to a CPU on which it did not run last: another vCPU of the VM, or an earlier VM whose top-level
 * table had the same address, may have left translations there.
 */
#include <asm/io.h>
#include "vmx.h"

#define EPT_FORMAT(format_name, huge_bit, accessed_bit, dirty_bit)	\
{									\
	.name = format_name,						\
	.present = VMX_EPT_RWX_MASK,					\
	.table = VMX_EPT_RWX_MASK,					\
	.leaf = (VMX_EPTP_MT_WB << VMX_EPT_MT_EPTE_SHIFT) | VMX_EPT_IPAT_BIT, \
	.read = VMX_EPT_READABLE_MASK,					\
	.write = VMX_EPT_WRITABLE_MASK,					\
	.exec = VMX_EPT_EXECUTABLE_MASK,				\
	.huge = huge_bit,						\
	.accessed = accessed_bit,					\
	.dirty = dirty_bit,						\
}

#define EPT_HUGE	BIT_ULL(7)

static const struct rs_pte_format ept =
	EPT_FORMAT("EPT", EPT_HUGE, VMX_EPT_ACCESS_BIT, VMX_EPT_DIRTY_BIT);
static const struct rs_pte_format ept_no_ad =
	EPT_FORMAT("EPT without A/D", EPT_HUGE, 0, 0);
static const struct rs_pte_format ept_no_2m =
	EPT_FORMAT("EPT without A/D and 2M", 0, 0, 0);

/* CPUs with accessed and dirty bits have 2 MiB entries. */
const struct rs_pte_format *rs_ept_pick_format(void)
{
	if (!rs_vmx_caps.ept_2m)
		return &ept_no_2m;
	return rs_vmx_caps.ept_ad ? &ept : &ept_no_ad;
}

u64 rs_ept_pointer(const struct rs_mmu *mmu)
{
	return rs_mmu_root_pa(mmu) | VMX_EPTP_MT_WB | VMX_EPTP_PWL_4 |
	       (rs_vmx_caps.ept_ad ? VMX_EPTP_AD_ENABLE_BIT : 0);
}

void rs_ept_flush(u64 eptp)
{
	if (!rs_vmx_caps.invept_single) {
		rs_ept_flush_all();
		return;
	}
	WARN_ON_ONCE(!rs_invept(VMX_EPT_EXTENT_CONTEXT, eptp, 0));
}

void rs_ept_flush_all(void)
{
	if (rs_vmx_caps.ept_vpid_lo & VMX_EPT_EXTENT_GLOBAL_BIT)
		WARN_ON_ONCE(!rs_invept(VMX_EPT_EXTENT_GLOBAL, 0, 0));
}
