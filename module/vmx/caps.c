// SPDX-License-Identifier: GPL-2.0-only
/*
 * caps.c - is there a usable VMX, and with which controls do guests run
 *
 * The idea: one table row per control word says which bits we need and which we like. rs_vmx_ctls()
 * reconciles that with what the CPU demands and permits (SDM vol. 3, appendix A.3). Only "true"
 * capability MSRs are used: they exist on every CPU with EPT, and without them CR3 accesses of the
 * guest would have to exit.
 *
 * What the guest may do without an exit: change CR3, invalidate its own translations, read the TSC,
 * use the FS, GS and SYSCALL instructions, INVPCID, RDTSCP, XSAVE. Everything else that reaches
 * beyond its own registers and memory exits.
 */
#define pr_fmt(fmt) "ringside: " fmt

#include <linux/bitfield.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/moduleparam.h>
#include <linux/string.h>
#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/processor.h>
#include <asm/vmx.h>
#include "caps.h"
#include "vmx.h"

struct rs_vmx_caps rs_vmx_caps;

/*
 * With the VMX preemption timer a guest leaves at the latest after so many TSC ticks even where no
 * host interrupt makes it leave. Real hardware needs none of it. Bochs 2.7 does: it holds back
 * interrupts from a guest that was entered with RFLAGS.IF clear.
 */
static unsigned int vmx_slice;
module_param(vmx_slice, uint, 0444);
MODULE_PARM_DESC(vmx_slice, "VMX: longest stay in the guest in TSC ticks (0: until an interrupt)");

int rs_vmx_ctls(u64 cap, u32 want, u32 optional, u32 *out)
{
	u32 must1 = lower_32_bits(cap), may1 = upper_32_bits(cap);

	*out = want & ~may1;
	if (*out)
		return -ENODEV;
	*out = want | (optional & may1) | must1;
	return 0;
}

/*
 * What we need of a control word. @never: bits that would make the guest exit all the time or give
 * it too much if the CPU insists on them.
 */
struct ctl_row {
	const char *name;
	u32 msr;
	u32 want, optional, never;
	u32 toggled;		/* must be available, but is off at first */
	size_t out;		/* offset of the word in struct rs_vmx_caps */
};

#define OUT(field)	offsetof(struct rs_vmx_caps, field)

static const struct ctl_row ctl_rows[] = {
	{
		.name = "pin-based", .msr = MSR_IA32_VMX_TRUE_PINBASED_CTLS, .out = OUT(pin),
		.want = PIN_BASED_EXT_INTR_MASK | PIN_BASED_NMI_EXITING,
		.never = PIN_BASED_VIRTUAL_NMIS | PIN_BASED_POSTED_INTR |
			 PIN_BASED_VMX_PREEMPTION_TIMER,
	}, {
		.name = "primary", .msr = MSR_IA32_VMX_TRUE_PROCBASED_CTLS, .out = OUT(proc),
		.want = CPU_BASED_HLT_EXITING | CPU_BASED_MWAIT_EXITING |
			CPU_BASED_MONITOR_EXITING | CPU_BASED_RDPMC_EXITING |
			CPU_BASED_MOV_DR_EXITING |
			CPU_BASED_CR8_LOAD_EXITING | CPU_BASED_CR8_STORE_EXITING |
			CPU_BASED_UNCOND_IO_EXITING | CPU_BASED_USE_MSR_BITMAPS |
			CPU_BASED_ACTIVATE_SECONDARY_CONTROLS,
		.never = CPU_BASED_CR3_LOAD_EXITING | CPU_BASED_CR3_STORE_EXITING |
			 CPU_BASED_INVLPG_EXITING | CPU_BASED_RDTSC_EXITING |
			 CPU_BASED_PAUSE_EXITING | CPU_BASED_TPR_SHADOW |
			 CPU_BASED_MONITOR_TRAP_FLAG | CPU_BASED_NMI_WINDOW_EXITING |
			 CPU_BASED_INTR_WINDOW_EXITING | CPU_BASED_USE_IO_BITMAPS,
		.toggled = CPU_BASED_INTR_WINDOW_EXITING,
	}, {
		.name = "secondary", .msr = MSR_IA32_VMX_PROCBASED_CTLS2, .out = OUT(proc2),
		.want = SECONDARY_EXEC_ENABLE_EPT,
		.optional = SECONDARY_EXEC_ENABLE_VPID | SECONDARY_EXEC_ENABLE_RDTSCP |
			    SECONDARY_EXEC_ENABLE_INVPCID | SECONDARY_EXEC_WBINVD_EXITING |
			    SECONDARY_EXEC_ENCLS_EXITING,
	}, {
		.name = "exit", .msr = MSR_IA32_VMX_TRUE_EXIT_CTLS, .out = OUT(exit),
		.want = VM_EXIT_HOST_ADDR_SPACE_SIZE,
		.never = VM_EXIT_LOAD_IA32_PERF_GLOBAL_CTRL | VM_EXIT_ACK_INTR_ON_EXIT |
			 VM_EXIT_LOAD_IA32_PAT | VM_EXIT_LOAD_IA32_EFER,
		.toggled = VM_EXIT_LOAD_IA32_EFER,
	}, {
		/*
		 * Debug controls: the guest runs with DR7 and DEBUGCTL of its own, whatever the
		 * host traces.
		 */
		.name = "entry", .msr = MSR_IA32_VMX_TRUE_ENTRY_CTLS, .out = OUT(entry),
		.want = VM_ENTRY_IA32E_MODE | VM_ENTRY_LOAD_DEBUG_CONTROLS,
		.never = VM_ENTRY_LOAD_IA32_PERF_GLOBAL_CTRL | VM_ENTRY_LOAD_IA32_PAT |
			 VM_ENTRY_LOAD_IA32_EFER,
		.toggled = VM_ENTRY_LOAD_IA32_EFER,
	},
};

static int read_ctls(struct rs_vmx_caps *caps)
{
	const struct ctl_row *row;

	for (row = ctl_rows; row < ctl_rows + ARRAY_SIZE(ctl_rows); row++) {
		u32 *out = (void *)caps + row->out;
		u64 cap;

		rdmsrl(row->msr, cap);
		if (rs_vmx_ctls(cap, row->want | row->toggled, row->optional, out)) {
			pr_info("VT-x lacks %s controls %#x\n", row->name, *out);
			return -ENODEV;
		}
		*out &= ~row->toggled | lower_32_bits(cap);
		if (*out & row->never) {
			pr_info("VT-x insists on %s controls %#x\n", row->name, *out & row->never);
			return -ENODEV;
		}
	}
	return 0;
}

/* The preemption timer counts TSC ticks divided by a power of two. */
static void read_timer(struct rs_vmx_caps *caps)
{
	u64 cap, misc;
	u32 pin;

	if (!vmx_slice)
		return;
	rdmsrl(MSR_IA32_VMX_TRUE_PINBASED_CTLS, cap);
	rdmsrl(MSR_IA32_VMX_MISC, misc);
	if (rs_vmx_ctls(cap, PIN_BASED_VMX_PREEMPTION_TIMER, 0, &pin)) {
		pr_info_once("vmx_slice is ignored: this CPU has no VMX preemption timer\n");
		return;
	}
	caps->pin |= PIN_BASED_VMX_PREEMPTION_TIMER;
	caps->timer = max(vmx_slice >> vmx_misc_preemption_timer_rate(misc), 1u);
}

static int read_ept(struct rs_vmx_caps *caps)
{
	u64 cap;

	rdmsrl(MSR_IA32_VMX_EPT_VPID_CAP, cap);
	caps->ept_vpid_lo = lower_32_bits(cap);
	caps->ept_vpid_hi = upper_32_bits(cap);

	if (!(cap & VMX_EPT_PAGE_WALK_4_BIT) || !(cap & VMX_EPTP_WB_BIT)) {
		pr_info("EPT without 4-level tables in write-back memory is not supported\n");
		return -ENODEV;
	}
	if (!(cap & VMX_EPT_INVEPT_BIT) ||
	    !(cap & (VMX_EPT_EXTENT_CONTEXT_BIT | VMX_EPT_EXTENT_GLOBAL_BIT))) {
		pr_info("EPT without INVEPT is not supported\n");
		return -ENODEV;
	}
	caps->invept_single = cap & VMX_EPT_EXTENT_CONTEXT_BIT;
	caps->ept_ad = cap & VMX_EPT_AD_BIT;
	caps->ept_2m = cap & VMX_EPT_2MB_PAGE_BIT;

	/*
	 * A VPID can be given to another vCPU only after all of its translations are gone: vpid.c
	 * does that for all VPIDs at once.
	 */
	if (!(caps->ept_vpid_hi & VMX_VPID_INVVPID_BIT) ||
	    !(caps->ept_vpid_hi & VMX_VPID_EXTENT_GLOBAL_CONTEXT_BIT))
		caps->proc2 &= ~SECONDARY_EXEC_ENABLE_VPID;
	return 0;
}

int rs_vmx_read_caps(struct rs_vmx_caps *caps)
{
	u64 basic, feat;
	int err;

	memset(caps, 0, sizeof(*caps));

	if (!(cpuid_ecx(1) & BIT(X86_FEATURE_VMX & 31))) {
		pr_info("this CPU has no VT-x%s\n",
			boot_cpu_has(X86_FEATURE_HYPERVISOR) ?
			" (the hypervisor it runs on does not offer it)" : "");
		return -ENODEV;
	}
	if (rdmsrl_safe(MSR_IA32_FEAT_CTL, &feat) || !(feat & FEAT_CTL_LOCKED) ||
	    !(feat & FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX)) {
		pr_info("VT-x is off in the firmware: turn Virtualization Technology on there\n");
		return -ENODEV;
	}

	rdmsrl(MSR_IA32_VMX_BASIC, basic);
	caps->revision = basic & GENMASK(30, 0);
	/*
	 * Size, no 32-bit limit on addresses, write-back memory type, true controls: SDM vol. 3,
	 * A.1.
	 */
	if (FIELD_GET(GENMASK_ULL(44, 32), basic) > PAGE_SIZE || (basic & BIT_ULL(48)) ||
	    FIELD_GET(GENMASK_ULL(53, 50), basic) != 6 || !(basic & BIT_ULL(55))) {
		pr_info("this VT-x is too old (IA32_VMX_BASIC %#llx)\n", basic);
		return -ENODEV;
	}

	err = read_ctls(caps);
	if (err)
		return err;
	read_timer(caps);
	err = read_ept(caps);
	if (err)
		return err;

	rdmsrl(MSR_IA32_VMX_CR4_FIXED0, caps->cr4_fixed0);
	rdmsrl(MSR_IA32_VMX_CR4_FIXED1, caps->cr4_fixed1);
	return 0;
}
