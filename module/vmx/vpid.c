// SPDX-License-Identifier: GPL-2.0-only
/*
 * vpid.c - virtual-processor identifiers: which translations in the TLB belong to which vCPU
 *
 * Each CPU hands out its VPIDs 1..65535 in order. A vCPU that comes to the CPU takes the next one,
 * which by construction tags nothing yet; what it leaves behind on another CPU is never used again.
 * When a CPU has no more, it forgets all translations (INVVPID, all contexts), begins a new
 * generation and starts again at 1; a vCPU whose generation is not the CPU's takes a new VPID at
 * its next load.
 *
 * Taking a new VPID is also how the translations of one vCPU are dropped (RS_SET_STATE gives it
 * another CR3 behind the guest's back). Changes of the nested table are INVEPT's business (ept.c),
 * which works across VPIDs.
 *
 * Without VPIDs the CPU drops linear translations at each entry and exit, and there is nothing to
 * do.
 */
#include "vmx.h"

#define VPID_END	VMX_NR_VPIDS

static bool used(void)
{
	return rs_vmx_caps.proc2 & SECONDARY_EXEC_ENABLE_VPID;
}

static void forget_all(void)
{
	WARN_ON_ONCE(!rs_invvpid(VMX_VPID_EXTENT_ALL_CONTEXT, 0, 0));
}

/*
 * A generation is never used twice, not even when the CPU is turned off and on again: vCPUs
 * remember theirs.
 */
void rs_vpid_cpu_on(struct rs_vmx_cpu *pcpu)
{
	if (!used())
		return;
	forget_all();
	pcpu->vpid_gen++;
	pcpu->next_vpid = 1;
}

/* Of a vCPU that ran on this CPU last. */
bool rs_vpid_valid(const struct rs_vmx_cpu *pcpu, const struct rs_vmx *vmx)
{
	return !used() || vmx->vpid_gen == pcpu->vpid_gen;
}

void rs_vpid_renew(struct rs_vmx_cpu *pcpu, struct rs_vmx *vmx)
{
	if (!used())
		return;
	if (pcpu->next_vpid == VPID_END) {
		forget_all();
		pcpu->vpid_gen++;
		pcpu->next_vpid = 1;
	}
	vmx->vpid = pcpu->next_vpid++;
	vmx->vpid_gen = pcpu->vpid_gen;
	rs_vmwrite(VIRTUAL_PROCESSOR_ID, vmx->vpid);
}
