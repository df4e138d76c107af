// SPDX-License-Identifier: GPL-2.0-only
/*
 * caps.c - does this CPU have SVM with nested paging, and which of its optional parts
 *
 * Nested paging is required. Everything else is an optimisation that the backend does without when
 * it is missing.
 */
#define pr_fmt(fmt) "ringside: " fmt

#include <linux/kernel.h>
#include <linux/pgtable.h>
#include <linux/string.h>
#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/processor.h>
#include "svm.h"

#define CPUID_SVM		0x8000000a	/* EBX: ASIDs, EDX: features */
#define SVM_EDX_NPT		BIT(0)
#define SVM_EDX_NRIPS		BIT(3)
#define SVM_EDX_CLEAN		BIT(5)
#define SVM_EDX_FLUSH_ASID	BIT(6)

#define CPUID_HYPERVISOR	0x40000000	/* EBX, ECX, EDX: its name */

struct rs_svm_caps rs_svm_caps;

/* QEMU without KVM: its own code plays the CPU. No other hypervisor has this name. */
static bool is_tcg(void)
{
	u32 eax, name[3];

	if (!boot_cpu_has(X86_FEATURE_HYPERVISOR))
		return false;
	cpuid(CPUID_HYPERVISOR, &eax, &name[0], &name[1], &name[2]);
	return !memcmp(name, "TCGTCGTCGTCG", sizeof(name));
}

int rs_svm_probe(void)
{
	u32 eax, ebx, ecx, edx;
	u64 vm_cr;

	if (!boot_cpu_has(X86_FEATURE_SVM))
		return -ENODEV;
	if (!rdmsrl_safe(MSR_VM_CR, &vm_cr) && (vm_cr & SVM_VM_CR_SVM_DIS_MASK)) {
		pr_info("SVM is switched off by the firmware\n");
		return -ENODEV;
	}
	cpuid(CPUID_SVM, &eax, &ebx, &ecx, &edx);
	if (!(edx & SVM_EDX_NPT)) {
		pr_info("SVM has no nested paging on this machine\n");
		return -ENODEV;
	}
	if (ebx < 2) {
		pr_info("SVM has no address space identifiers on this machine\n");
		return -ENODEV;
	}
	/*
	 * KVM's host with SME encrypted memory etc. is fine; a guest with encrypted state has no
	 * SVM bit in CPUID.
	 */
	rs_svm_caps.nr_asids = ebx;
	rs_svm_caps.nrips = edx & SVM_EDX_NRIPS;
	rs_svm_caps.flush_asid = edx & SVM_EDX_FLUSH_ASID;
	rs_svm_caps.clean_bits = edx & SVM_EDX_CLEAN;
	rs_svm_caps.repeats_interrupts = is_tcg();

	rs_npt_setup();
	rs_svm_backend.levels = rs_npt_levels();
	rs_svm_backend.gpa_bits = min_t(int, boot_cpu_data.x86_phys_bits,
					rs_svm_backend.levels == 5 ? 52 : 48);
	rs_svm_backend.features = RS_FEATURE_NESTED_2M | RS_FEATURE_NESTED_AD | RS_FEATURE_PCID;
	return 0;
}
