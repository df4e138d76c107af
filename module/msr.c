// SPDX-License-Identifier: GPL-2.0-only
/*
 * msr.c - RDMSR and WRMSR that exit
 *
 * Closed by default: what is not in the table is #GP(0) in the guest, as it would be on a CPU that
 * lacks the register. MSRs that the backend gives to the guest outright (its bitmap) do not get
 * here; of those only the ones a backend cannot give are asked for through get_msr and set_msr,
 * which also check the value (canonical addresses, reserved bits).
 */
#include <linux/kernel.h>
#include <asm/msr-index.h>
#include "vcpu.h"

static const struct {
	u32 msr;
	bool read, write;
} msr_policy[] = {
	{ MSR_EFER,		.read = true },
	{ MSR_FS_BASE,		.read = true, .write = true },
	{ MSR_GS_BASE,		.read = true, .write = true },
	{ MSR_KERNEL_GS_BASE,	.read = true, .write = true },
	{ MSR_STAR,		.read = true, .write = true },
	{ MSR_LSTAR,		.read = true, .write = true },
	{ MSR_CSTAR,		.read = true, .write = true },
	{ MSR_SYSCALL_MASK,	.read = true, .write = true },
	{ MSR_IA32_SYSENTER_CS,	.read = true, .write = true },
	{ MSR_IA32_SYSENTER_ESP, .read = true, .write = true },
	{ MSR_IA32_SYSENTER_EIP, .read = true, .write = true },
};

static bool allowed(u32 msr, bool write)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(msr_policy); i++) {
		if (msr_policy[i].msr == msr)
			return write ? msr_policy[i].write : msr_policy[i].read;
	}
	return false;
}

enum rs_next rs_emulate_rdmsr(struct rs_vcpu *vcpu)
{
	u32 msr = vcpu->regs.rcx;
	u64 val = 0;

	if (!allowed(msr, false) || rs_backend->get_msr(vcpu, msr, &val)) {
		rs_inject_gp(vcpu);
		return RS_NEXT_ENTER;
	}
	vcpu->regs.rax = lower_32_bits(val);
	vcpu->regs.rdx = upper_32_bits(val);
	static_call(rs_skip_insn)(vcpu);
	return RS_NEXT_ENTER;
}

enum rs_next rs_emulate_wrmsr(struct rs_vcpu *vcpu)
{
	u32 msr = vcpu->regs.rcx;
	u64 val = (u64)lower_32_bits(vcpu->regs.rdx) << 32 | lower_32_bits(vcpu->regs.rax);

	if (!allowed(msr, true) || rs_backend->set_msr(vcpu, msr, val)) {
		rs_inject_gp(vcpu);
		return RS_NEXT_ENTER;
	}
	static_call(rs_skip_insn)(vcpu);
	return RS_NEXT_ENTER;
}
