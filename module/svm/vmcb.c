// SPDX-License-Identifier: GPL-2.0-only
/*
 * vmcb.c - what a VMCB says: which events leave the guest, and the guest's registers
 *
 * What the guest is given without an exit: CR2 and CR3, its descriptor tables and TR, the MSRs that
 * VMLOAD and VMSAVE switch, the TSC. All else is intercepted: I/O and MSRs by bitmaps with every
 * bit set but for those MSRs, control register writes, debug registers, XSETBV, the SVM
 * instructions themselves (VMRUN must be, APM 15.5.1; without the others the guest could read and
 * change host state or hold off interrupts).
 */
#include <linux/gfp.h>
#include <linux/kernel.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>
#include <asm/tlbflush.h>
#include <asm/trapnr.h>
#include "svm.h"

static_assert(offsetof(struct vmcb, save) == 0x400);
static_assert(offsetof(struct vmcb_control_area, exit_code) == 0x70);
static_assert(offsetof(struct vmcb_control_area, event_inj) == 0xa8);
static_assert(offsetof(struct vmcb_control_area, nested_cr3) == 0xb0);
static_assert(offsetof(struct vmcb_control_area, next_rip) == 0xc8);
static_assert(offsetof(struct vmcb_save_area, cpl) == 0xcb);
static_assert(offsetof(struct vmcb_save_area, rip) == 0x178);
static_assert(offsetof(struct vmcb_save_area, rax) == 0x1f8);
static_assert(offsetof(struct vmcb_save_area, cr2) == 0x240);

#define DR6_RESET	0xffff0ff0
#define DR7_RESET	0x400

#define IOPM_ORDER	2	/* 12 KiB and one byte used, a power of two allocated */
#define MSRPM_ORDER	1	/* 8 KiB */

static struct page *iopm, *msrpm;

/* MSRs that VMLOAD and VMSAVE switch: the guest's own, without exits. */
static const u32 free_msrs[] = {
	MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE,
	MSR_STAR, MSR_LSTAR, MSR_CSTAR, MSR_SYSCALL_MASK,
	MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_ESP, MSR_IA32_SYSENTER_EIP,
};

/*
 * The bitmap has two bits per MSR, read and write, in three ranges of 8192 MSRs of 2 KiB each (APM
 * 15.11).
 */
static void msrpm_free(u8 *map, u32 msr)
{
	static const u32 bases[] = { 0, 0xc0000000, 0xc0010000 };
	int i;

	for (i = 0; i < ARRAY_SIZE(bases); i++) {
		u32 n = msr - bases[i];

		if (n < 0x2000) {
			map[i * 0x800 + n / 4] &= ~(3 << (n % 4 * 2));
			return;
		}
	}
	WARN_ON_ONCE(1);
}

int rs_svm_bitmaps_alloc(void)
{
	int i;

	iopm = alloc_pages(GFP_KERNEL, IOPM_ORDER);
	msrpm = alloc_pages(GFP_KERNEL, MSRPM_ORDER);
	if (!iopm || !msrpm)
		return -ENOMEM;
	memset(page_address(iopm), 0xff, PAGE_SIZE << IOPM_ORDER);
	memset(page_address(msrpm), 0xff, PAGE_SIZE << MSRPM_ORDER);
	for (i = 0; i < ARRAY_SIZE(free_msrs); i++)
		msrpm_free(page_address(msrpm), free_msrs[i]);
	return 0;
}

/* Accepts what a failed rs_svm_bitmaps_alloc left. */
void rs_svm_bitmaps_free(void)
{
	if (iopm)
		__free_pages(iopm, IOPM_ORDER);
	if (msrpm)
		__free_pages(msrpm, MSRPM_ORDER);
	iopm = msrpm = NULL;
}

static void intercept(struct vmcb *vmcb, unsigned int bit)
{
	vmcb->control.intercepts[bit / 32] |= BIT(bit % 32);
}

static const u8 intercepts[] = {
	INTERCEPT_CR0_WRITE, INTERCEPT_CR4_WRITE, INTERCEPT_CR8_READ, INTERCEPT_CR8_WRITE,
	INTERCEPT_EXCEPTION_OFFSET + X86_TRAP_DB, INTERCEPT_EXCEPTION_OFFSET + X86_TRAP_AC,
	INTERCEPT_EXCEPTION_OFFSET + X86_TRAP_MC, INTERCEPT_INTR, INTERCEPT_NMI, INTERCEPT_SMI,
	INTERCEPT_INIT, INTERCEPT_RDPMC, INTERCEPT_CPUID, INTERCEPT_RSM, INTERCEPT_INVD,
	INTERCEPT_HLT, INTERCEPT_INVLPGA, INTERCEPT_IOIO_PROT, INTERCEPT_MSR_PROT,
	INTERCEPT_TASK_SWITCH, INTERCEPT_FERR_FREEZE, INTERCEPT_SHUTDOWN, INTERCEPT_VMRUN,
	INTERCEPT_VMMCALL, INTERCEPT_VMLOAD, INTERCEPT_VMSAVE, INTERCEPT_STGI, INTERCEPT_CLGI,
	INTERCEPT_SKINIT, INTERCEPT_WBINVD, INTERCEPT_MONITOR, INTERCEPT_MWAIT,
	INTERCEPT_XSETBV, INTERCEPT_RDPRU, INTERCEPT_INVLPGB, INTERCEPT_INVLPGB_ILLEGAL,
	INTERCEPT_MCOMMIT, INTERCEPT_TLBSYNC,
};

/*
 * Segment attributes as the VMCB packs them: type, S, DPL, P in bits 0-7, AVL, L, D, G in bits
 * 8-11.
 */
#define ATTR_CODE64	0x0a9b
#define ATTR_DATA	0x0c93
#define ATTR_TSS_BUSY	0x008b
#define ATTR_DPL(n)	((n) << 5)

static void set_seg(struct vmcb_seg *seg, u16 selector, u16 attrib, u32 limit)
{
	*seg = (struct vmcb_seg) { .selector = selector, .attrib = attrib, .limit = limit };
}

static void set_segments(struct vmcb_save_area *s, u8 cpl)
{
	set_seg(&s->cs, cpl ? 0x33 : 0x10, ATTR_CODE64 | ATTR_DPL(cpl), ~0u);
	set_seg(&s->ss, cpl ? 0x2b : 0x18, ATTR_DATA | ATTR_DPL(cpl), ~0u);
	set_seg(&s->ds, 0, ATTR_DATA | ATTR_DPL(cpl), ~0u);
	s->es = s->fs = s->gs = s->ds;
	set_seg(&s->tr, 0, ATTR_TSS_BUSY, 0x67);
	set_seg(&s->ldtr, 0, 0, 0);		/* not present */
	set_seg(&s->gdtr, 0, 0, 0);
	set_seg(&s->idtr, 0, 0, 0);
	s->cpl = cpl;
}

void rs_svm_vmcb_reset(struct rs_vcpu *vcpu)
{
	struct rs_svm *svm = vcpu->svm;
	struct vmcb *vmcb = svm->vmcb;
	struct vmcb_control_area *ctl = &vmcb->control;
	struct vmcb_save_area *s = &vmcb->save;
	int i;

	memset(vmcb, 0, PAGE_SIZE);
	for (i = 0; i < ARRAY_SIZE(intercepts); i++)
		intercept(vmcb, intercepts[i]);
	ctl->intercepts[INTERCEPT_DR] = ~0u;
	ctl->iopm_base_pa = __sme_set(page_to_phys(iopm));
	ctl->msrpm_base_pa = __sme_set(page_to_phys(msrpm));
	/* The guest's CLI and STI are about virtual interrupts; the host's always get through. */
	ctl->int_ctl = V_INTR_MASKING_MASK;
	ctl->nested_ctl = SVM_NESTED_CTL_NP_ENABLE;
	ctl->nested_cr3 = __sme_set(rs_mmu_root_pa(vcpu->mmu));

	set_segments(s, 0);
	s->rflags = X86_EFLAGS_FIXED;
	s->cr0 = X86_CR0_PE | X86_CR0_MP | X86_CR0_ET | X86_CR0_NE | X86_CR0_WP |
		 X86_CR0_AM | X86_CR0_PG;
	s->cr4 = X86_CR4_PAE;
	s->efer = EFER_LME | EFER_LMA | EFER_SVME;
	s->dr6 = DR6_RESET;
	s->dr7 = DR7_RESET;
	s->g_pat = 0x0007040600070406;	/* the value after reset (APM 7.8.2) */

	svm->clean = 0;
	svm->asid_gen = 0;
	svm->virq = 0;
	svm->window = false;
}

int rs_svm_vcpu_create(struct rs_vcpu *vcpu)
{
	struct rs_svm *svm;

	svm = kzalloc(sizeof(*svm), GFP_KERNEL_ACCOUNT);
	if (!svm)
		return -ENOMEM;
	svm->vmcb = (struct vmcb *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!svm->vmcb) {
		kfree(svm);
		return -ENOMEM;
	}
	svm->vmcb_pa = __sme_set(__pa(svm->vmcb));
	svm->cpu = -1;
	vcpu->svm = svm;
	rs_svm_vmcb_reset(vcpu);
	return 0;
}

void rs_svm_vcpu_destroy(struct rs_vcpu *vcpu)
{
	struct rs_svm *svm = vcpu->svm;
	int cpu;

	/* A later vCPU may get the same address. The CPUs may be writing other values just now. */
	for_each_possible_cpu(cpu)
		cmpxchg(&per_cpu_ptr(&rs_svm_cpu, cpu)->last_vcpu, vcpu, NULL);
	free_page((unsigned long)svm->vmcb);
	kfree(svm);
	vcpu->svm = NULL;
}

/* Machine checks must not turn into a shutdown because the guest has CR4.MCE clear. */
static u64 host_mce(void)
{
	return cr4_read_shadow() & X86_CR4_MCE;
}

void rs_svm_set_state(struct rs_vcpu *vcpu, const struct rs_vcpu_state *st)
{
	struct vmcb_save_area *s = &vcpu->svm->vmcb->save;

	rs_svm_vmcb_reset(vcpu);
	set_segments(s, st->cpl);
	s->rsp = st->rsp;
	s->rip = st->rip;
	s->rflags = st->rflags;
	s->cr2 = st->cr2;
	s->cr3 = st->cr3;
	s->cr4 = st->cr4 | host_mce();
	s->efer = st->efer | EFER_SVME;
	s->fs.base = st->fs_base;
	s->gs.base = st->gs_base;
}

void rs_svm_get_state(struct rs_vcpu *vcpu, struct rs_vcpu_state *st)
{
	const struct vmcb_save_area *s = &vcpu->svm->vmcb->save;

	st->rsp = s->rsp;
	st->rip = s->rip;
	st->rflags = s->rflags;
	st->cr2 = s->cr2;
	st->cr3 = s->cr3;
	st->cr4 = s->cr4 & ~(u64)X86_CR4_MCE;
	st->efer = s->efer & ~(u64)EFER_SVME;
	st->fs_base = s->fs.base;
	st->gs_base = s->gs.base;
	st->cpl = s->cpl;
}

u64 rs_svm_get_rip(struct rs_vcpu *vcpu)
{
	return vcpu->svm->vmcb->save.rip;
}

int rs_svm_get_msr(struct rs_vcpu *vcpu, u32 msr, u64 *val)
{
	/* The others of the policy are the guest's own. */
	if (msr != MSR_EFER)
		return -EPERM;
	*val = vcpu->svm->vmcb->save.efer & ~(u64)EFER_SVME;
	return 0;
}

int rs_svm_set_msr(struct rs_vcpu *vcpu, u32 msr, u64 val)
{
	return -EPERM;
}
