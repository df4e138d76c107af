// SPDX-License-Identifier: GPL-2.0-only
/*
 * cpuid.c - the CPU that the guest sees: the host's, less what a guest of ours does not have
 *
 * The answer is the CPU's own, cut down by a table. Leaves that are not in the table read as zero.
 * What is cut: virtualisation, the local APIC and everything about power, performance counters and
 * machine checks (no MSR of them can be reached), protection keys, shadow stacks, 5-level paging,
 * AMX (its first use needs Linux), XSAVES (IA32_XSS is out of reach). XCR0 and the TSC are the
 * host's, so leaf 0xd and the TSC leaves are as they are.
 *
 * Bit numbers are the manuals': Intel SDM volume 2A (CPUID), AMD64 APM volume 3 appendix E.
 */
#include <linux/bits.h>
#include <linux/kernel.h>
#include <asm/cpufeature.h>
#include <asm/fpu/xcr.h>
#include <asm/msr-index.h>
#include <asm/processor.h>
#include <asm/processor-flags.h>
#include <asm/special_insns.h>
#include "vcpu.h"

#define HV_BASE		0x40000000u
#define EXT_BASE	0x80000000u
#define MAX_BASIC	0x1du
#define MAX_EXT		0x8000001eu

#define B(n)		(1u << (n))
#define BITS(h, l)	((u32)GENMASK(h, l))
#define ALL		(~0u)

/* What of a leaf's four registers is shown; @sub: subleaf, or ANY_SUB for all. */
#define ANY_SUB		(~0u)
static const struct leaf {
	u32 leaf, sub;
	u32 eax, ebx, ecx, edx;
} leaves[] = {
	{ 0x0, ANY_SUB, ALL, ALL, ALL, ALL },
	{ 0x1, ANY_SUB, ALL, 0x00ffffff,
	  /* DTES64 MONITOR DS-CPL VMX SMX EST TM2 CNXT-ID SDBG xTPR PDCM DCA x2APIC TSC-DEADLINE */
	  ~(BITS(8, 2) | B(10) | B(11) | B(14) | B(15) | B(18) | B(21) | B(24)),
	  /* MCE APIC MTRR MCA PSN DS ACPI HTT TM PBE */
	  ~(B(7) | B(9) | B(12) | B(14) | B(18) | B(21) | B(22) | B(28) | B(29) | B(31)) },
	{ 0x2, ANY_SUB, ALL, ALL, ALL, ALL },
	/* caches, without the counts of cores */
	{ 0x4, ANY_SUB, 0x3fff, ALL, ALL, ALL },
	/*
	 * EBX: SGX, PQM, RDT-A, PT; ECX: PKU OSPKE WAITPKG CET-SS TME LA57 MAWAU KL BUSLOCK ENQCMD
	 * SGX-LC PKS; EDX: what is left is ALU
	 */
	{ 0x7, 0, ALL, ~(B(2) | B(12) | B(15) | B(25)),
	  ~(BITS(5, 3) | B(7) | B(13) | BITS(21, 16) | B(23) | B(24) | BITS(31, 29)),
	/* AVX512 4VNNIW 4FMAPS, FSRM, VP2INTERSECT, MD_CLEAR, SERIALIZE, FP16 */
	  B(2) | B(3) | B(4) | B(8) | B(10) | B(14) | B(23) },
	/* AVX additions, fast string moves */
	{ 0x7, 1, B(4) | B(5) | B(10) | B(11) | B(12) | B(23), 0, 0, B(4) | B(5) | B(10) },
	{ 0xb, ANY_SUB, 0, 0, 0, 0 },
	{ 0xd, 0, ALL, ALL, ALL, ALL },
	{ 0xd, 1, B(0) | B(1) | B(2), ALL, 0, 0 },		/* XSAVEOPT XSAVEC XGETBV1 */
	{ 0xd, ANY_SUB, ALL, ALL, ALL, ALL },
	{ 0x15, ANY_SUB, ALL, ALL, ALL, 0 },
	{ 0x16, ANY_SUB, ALL, ALL, ALL, 0 },
	{ 0x80000000, ANY_SUB, ALL, ALL, ALL, ALL },
	/* ECX: CmpLegacy SVM ExtApic IBS SKINIT WDT LWP NodeId PerfCtr PerfL3 PerfTsc MWAITX */
	{ 0x80000001, ANY_SUB, ALL, ALL,
	  ~(BITS(3, 1) | B(10) | B(12) | B(13) | B(15) | B(19) | B(23) | B(24) | BITS(29, 26)),
	  ~(B(7) | B(9) | B(12) | B(14)) },
	{ 0x80000002, ANY_SUB, ALL, ALL, ALL, ALL },
	{ 0x80000003, ANY_SUB, ALL, ALL, ALL, ALL },
	{ 0x80000004, ANY_SUB, ALL, ALL, ALL, ALL },
	{ 0x80000005, ANY_SUB, ALL, ALL, ALL, ALL },
	{ 0x80000006, ANY_SUB, ALL, ALL, ALL, ALL },
	{ 0x80000007, ANY_SUB, 0, 0, 0, B(8) },			/* invariant TSC */
	/* physical address bits; CLZERO, XSAVEERPTR */
	{ 0x80000008, ANY_SUB, 0xff, B(0) | B(2), 0, 0 },
	{ 0x80000019, ANY_SUB, ALL, ALL, 0, 0 },
	{ 0x8000001a, ANY_SUB, ALL, 0, 0, 0 },
	{ 0x8000001d, ANY_SUB, 0x3fff, ALL, ALL, ALL },
};

static const struct leaf *find_leaf(u32 leaf, u32 sub)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(leaves); i++) {
		if (leaves[i].leaf == leaf && (leaves[i].sub == sub || leaves[i].sub == ANY_SUB))
			return &leaves[i];
	}
	return NULL;
}

static void clear_bit_if(u32 *reg, u32 bits, bool clear)
{
	if (clear)
		*reg &= ~bits;
}

enum rs_next rs_emulate_cpuid(struct rs_vcpu *vcpu)
{
	u32 leaf = vcpu->regs.rax, sub = vcpu->regs.rcx;
	u32 a = 0, b = 0, c = 0, d = 0;
	bool pcid = rs_features() & RS_FEATURE_PCID;
	const struct leaf *l = find_leaf(leaf, sub);

	/*
	 * A leaf beyond the host's last would answer with that of another leaf (Intel) or anything.
	 */
	if (l && leaf > cpuid_eax(leaf & EXT_BASE))
		l = NULL;
	if (l) {
		cpuid_count(leaf, sub, &a, &b, &c, &d);
		a &= l->eax;
		b &= l->ebx;
		c &= l->ecx;
		d &= l->edx;
	}

	switch (leaf) {
	case 0x0:
		a = min(a, MAX_BASIC);
		break;
	case 0x1:
		b |= vcpu->id << 24;
		c |= B(31);				/* a hypervisor is there */
		clear_bit_if(&c, B(17), !pcid);
		clear_bit_if(&c, BITS(29, 26) | B(12), !(rs_cr4_allowed() & X86_CR4_OSXSAVE));
		clear_bit_if(&c, B(27), !(vcpu->cr4 & X86_CR4_OSXSAVE));
		break;
	case 0x7:
		if (!sub) {
			a = min(a, 1u);
			clear_bit_if(&b, B(10), !pcid);		/* INVPCID */
			clear_bit_if(&b, B(5) | BITS(17, 16) | B(21) | BITS(28, 26) | BITS(31, 30),
				     !(rs_cr4_allowed() & X86_CR4_OSXSAVE));	/* AVX2, AVX-512 */
		}
		break;
	case 0xb:
		c = sub & 0xff;
		d = vcpu->id;
		break;
	case HV_BASE:
		a = HV_BASE;
		memcpy(&b, "Ring", 4);
		memcpy(&c, "side", 4);
		memcpy(&d, "Ring", 4);
		break;
	case EXT_BASE:
		a = min(a, MAX_EXT);
		break;
	case 0x80000008:
		a |= 48 << 8;				/* virtual address bits: 4-level paging */
		break;
	}

	vcpu->regs.rax = a;
	vcpu->regs.rbx = b;
	vcpu->regs.rcx = c;
	vcpu->regs.rdx = d;
	static_call(rs_skip_insn)(vcpu);
	return RS_NEXT_ENTER;
}

/*
 * What Linux disabled on the command line is not there for the guest either: boot_cpu_has, not
 * CPUID.
 */
u32 rs_features(void)
{
	u32 features = rs_backend->features & (RS_FEATURE_NESTED_2M | RS_FEATURE_NESTED_AD);

	if (boot_cpu_has(X86_FEATURE_GBPAGES))
		features |= RS_FEATURE_GUEST_1G;
	if (boot_cpu_has(X86_FEATURE_OSXSAVE))
		features |= RS_FEATURE_XSAVE;
	if ((rs_backend->features & RS_FEATURE_PCID) && boot_cpu_has(X86_FEATURE_PCID) &&
	    boot_cpu_has(X86_FEATURE_INVPCID))
		features |= RS_FEATURE_PCID;
	return features;
}

u64 rs_xcr0(void)
{
	return boot_cpu_has(X86_FEATURE_OSXSAVE) ? xgetbv(XCR_XFEATURE_ENABLED_MASK) : 0;
}

u64 rs_cr4_allowed(void)
{
	u64 cr4 = X86_CR4_TSD | X86_CR4_DE | X86_CR4_PSE | X86_CR4_PAE | X86_CR4_PGE |
		  X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT;
	u32 features = rs_features();

	if (boot_cpu_has(X86_FEATURE_FSGSBASE))
		cr4 |= X86_CR4_FSGSBASE;
	if (boot_cpu_has(X86_FEATURE_SMEP))
		cr4 |= X86_CR4_SMEP;
	if (boot_cpu_has(X86_FEATURE_SMAP))
		cr4 |= X86_CR4_SMAP;
	if (boot_cpu_has(X86_FEATURE_UMIP))
		cr4 |= X86_CR4_UMIP;
	if (features & RS_FEATURE_PCID)
		cr4 |= X86_CR4_PCIDE;
	if (features & RS_FEATURE_XSAVE)
		cr4 |= X86_CR4_OSXSAVE;
	return cr4;
}

u64 rs_efer_allowed(void)
{
	u64 efer = EFER_SCE | EFER_LME | EFER_LMA;

	if (boot_cpu_has(X86_FEATURE_NX))
		efer |= EFER_NX;
	return efer;
}
