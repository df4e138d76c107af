/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * caps.h - what the VMX of this machine can do, and what we make of it
 *
 * Everything in struct rs_vmx_caps is computed once by rs_vmx_probe_caps() and constant afterwards.
 * The control words are the values written to a VMCS; bits that are switched while a guest runs
 * (interrupt window, EFER switch) are off in them but known to be available.
 */
#ifndef RS_VMX_CAPS_H
#define RS_VMX_CAPS_H

#include <linux/types.h>

struct rs_vmx_caps {
	u32 revision;		/* of VMXON regions and VMCSs */
	u32 pin, proc, proc2, exit, entry;
	u32 timer;		/* VMX preemption timer: value at each entry, 0: not used */
	u32 ept_vpid_lo;	/* IA32_VMX_EPT_VPID_CAP, EPT half */
	u32 ept_vpid_hi;	/* VPID half */
	bool ept_ad;		/* accessed and dirty bits in EPT entries */
	bool ept_2m;
	bool invept_single;	/* else INVEPT of all contexts is used */
	u64 cr4_fixed0, cr4_fixed1;
};

extern struct rs_vmx_caps rs_vmx_caps;

/**
 * rs_vmx_ctls - compute one word of VMX controls
 * @cap:      the capability MSR (a "true" one): low half, bits that must be 1; high half, bits that
 * may be 1
 * @want:     bits without which we cannot work
 * @optional: bits to be set where they may be
 * @out:      the word to use; on failure the wanted bits that are missing
 *
 * Pure. Bits that must be 1 are set whether wanted or not: the caller looks for those it cannot
 * live with. Return 0 or -ENODEV.
 */
int rs_vmx_ctls(u64 cap, u32 want, u32 optional, u32 *out);

/**
 * rs_vmx_read_caps - compute the capabilities of this CPU Any context in which the CPU does not
 * change. VMX need not be on. Says with pr_info what is missing. Return 0 or -ENODEV.
 */
int rs_vmx_read_caps(struct rs_vmx_caps *caps);

#endif /* RS_VMX_CAPS_H */
