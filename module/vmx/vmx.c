// SPDX-License-Identifier: GPL-2.0-only
/*
 * vmx.c - the VMX backend: CPUs, vCPUs, and what is exchanged between host and guest
 *
 * Three circles, from the rare to the frequent:
 *
 *	CPU on and off	VMXON; the host's constant MSRs.
 *	load and put	The VMCS; SYSCALL MSRs where guest and host differ; the host's FS base; the
 *			inactive GS base, which SWAPGS in the guest exchanges without an exit. put
 *			gives the thread its selectors back, and the limits of GDT and TSS, which a
 *			VM exit spoils. Between load and put only kernel code of this thread and
 *			interrupt handlers run, none of which look at these.
 *	enter		CR2; HOST_CR3 and HOST_CR4 when they changed; debug registers when the host
 *			uses them.
 *
 * What host and guest share: EFER as long as it is equal, PAT (irrelevant to the guest, ept.c),
 * SPEC_CTRL, XCR0, XSS and the FPU, TSC and TSC_AUX. The guest reaches none of these MSRs: the
 * bitmap lets only the segment bases through.
 */
#define pr_fmt(fmt) "ringside: " fmt

#include <linux/bitops.h>
#include <linux/build_bug.h>
#include <linux/gfp.h>
#include <linux/hardirq.h>
#include <linux/hw_breakpoint.h>
#include <linux/kprobes.h>
#include <linux/percpu.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <asm/cpufeature.h>
#include <asm/debugreg.h>
#include <asm/desc.h>
#include <asm/fsgsbase.h>
#include <asm/intel_pt.h>
#include <asm/mce.h>
#include <asm/msr.h>
#include <asm/mwait.h>
#include <asm/nospec-branch.h>
#include <asm/perf_event.h>
#include <asm/processor.h>
#include <asm/segment.h>
#include <asm/special_insns.h>
#include <asm/tlbflush.h>
#include <asm/trapnr.h>
#include "../compat.h"
#include "vmx.h"

DEFINE_PER_CPU(struct rs_vmx_cpu, rs_vmx_cpu);

static_assert(HOST_RSP == 0x6c14, "run.S");

void *rs_vmx_msr_bitmap;

static const u32 msr_numbers[RS_VMX_NR_MSRS] = {
	[RS_VMX_STAR]	= MSR_STAR,
	[RS_VMX_LSTAR]	= MSR_LSTAR,
	[RS_VMX_CSTAR]	= MSR_CSTAR,
	[RS_VMX_SFMASK]	= MSR_SYSCALL_MASK,
};

/*
 * DEBUGCTL may be in use by the host: branch records or traces for perf, bus locks. Then its value
 * is looked at whenever it may have changed.
 */
static bool host_uses_debugctl;

/*
 * CPUs with L1TF: what the guest's page tables point to can be read from L1, whatever the nested
 * table says.
 */
static DEFINE_STATIC_KEY_FALSE(l1d_flush);
static DEFINE_STATIC_KEY_FALSE(l1d_flush_always);
static void *l1d_flush_pages;
#define L1D_FLUSH_ORDER	4	/* 64 KiB, twice the size of L1: where microcode cannot flush */

/* --- machine and CPUs --- */

static int vmx_probe(void)
{
	struct rs_backend *b = &rs_vmx_backend;
	int err = rs_vmx_read_caps(&rs_vmx_caps);

	if (err)
		return err;
#ifdef X86_FEATURE_FRED
	/*
	 * The exit would have to restore FRED's MSRs, and the NMI cannot be handed over by INT 2.
	 */
	if (cpu_feature_enabled(X86_FEATURE_FRED)) {
		pr_info("VT-x together with FRED is not supported yet; boot with fred=off\n");
		return -ENODEV;
	}
#endif
	b->format = rs_ept_pick_format();
	b->levels = 4;
	b->gpa_bits = min_t(u8, boot_cpu_data.x86_phys_bits, 48);
	b->features = (rs_vmx_caps.ept_2m ? RS_FEATURE_NESTED_2M : 0) |
		      (rs_vmx_caps.ept_ad ? RS_FEATURE_NESTED_AD : 0);
	if (boot_cpu_has(X86_FEATURE_PCID) && boot_cpu_has(X86_FEATURE_INVPCID) &&
	    (rs_vmx_caps.proc2 & SECONDARY_EXEC_ENABLE_INVPCID))
		b->features |= RS_FEATURE_PCID;
	return 0;
}

/* As Linux decided for KVM's guests: l1tf= on the command line. */
static int setup_l1d_flush(void)
{
	u64 arch_caps = 0;

	if (!boot_cpu_has_bug(X86_BUG_L1TF) || l1tf_mitigation == L1TF_MITIGATION_OFF)
		return 0;
	if (boot_cpu_has(X86_FEATURE_ARCH_CAPABILITIES))
		rdmsrl(MSR_IA32_ARCH_CAPABILITIES, arch_caps);
	if (arch_caps & ARCH_CAP_SKIP_VMENTRY_L1DFLUSH)
		return 0;

	if (!boot_cpu_has(X86_FEATURE_FLUSH_L1D)) {
		l1d_flush_pages = (void *)__get_free_pages(GFP_KERNEL | __GFP_ZERO,
							   L1D_FLUSH_ORDER);
		if (!l1d_flush_pages)
			return -ENOMEM;
	}
	static_branch_enable(&l1d_flush);
	if (l1tf_mitigation >= L1TF_MITIGATION_FULL)
		static_branch_enable(&l1d_flush_always);
	return 0;
}

/*
 * Everything that is not named here exits: 1 in the bitmap. Four bitmaps of 8192 MSRs: read low,
 * read high, write low, write high.
 */
static void open_msr(u32 msr)
{
	unsigned long *read_high = rs_vmx_msr_bitmap + 1024, *write_high = rs_vmx_msr_bitmap + 3072;

	__clear_bit(msr & 0x1fff, read_high);
	__clear_bit(msr & 0x1fff, write_high);
}

static int vmx_setup(void)
{
	struct x86_pmu_capability pmu;
	int cpu;

	rs_vmx_msr_bitmap = (void *)__get_free_page(GFP_KERNEL);
	if (!rs_vmx_msr_bitmap)
		return -ENOMEM;
	memset(rs_vmx_msr_bitmap, 0xff, PAGE_SIZE);
	open_msr(MSR_FS_BASE);			/* fields of the VMCS */
	open_msr(MSR_GS_BASE);
	open_msr(MSR_KERNEL_GS_BASE);		/* exchanged by load and put */

	for_each_possible_cpu(cpu) {
		struct rs_vmx_cpu *pcpu = per_cpu_ptr(&rs_vmx_cpu, cpu);
		struct page *page = alloc_pages_node(cpu_to_node(cpu), GFP_KERNEL | __GFP_ZERO, 0);

		if (!page)
			return -ENOMEM;
		pcpu->vmxon = page_address(page);
		*(u32 *)pcpu->vmxon = rs_vmx_caps.revision;
		INIT_LIST_HEAD(&pcpu->active);
	}

	perf_get_x86_pmu_capability(&pmu);
	host_uses_debugctl = pmu.version || boot_cpu_has(X86_FEATURE_BTS) ||
			     boot_cpu_has(X86_FEATURE_BUS_LOCK_DETECT);
	return setup_l1d_flush();
}

static void vmx_cleanup(void)
{
	int cpu;

	static_branch_disable(&l1d_flush);
	static_branch_disable(&l1d_flush_always);
	free_pages((unsigned long)l1d_flush_pages, L1D_FLUSH_ORDER);
	l1d_flush_pages = NULL;
	for_each_possible_cpu(cpu) {
		struct rs_vmx_cpu *pcpu = per_cpu_ptr(&rs_vmx_cpu, cpu);

		free_page((unsigned long)pcpu->vmxon);
		pcpu->vmxon = NULL;
	}
	free_page((unsigned long)rs_vmx_msr_bitmap);
	rs_vmx_msr_bitmap = NULL;
}

static int vmx_cpu_on(void)
{
	struct rs_vmx_cpu *pcpu = this_cpu_ptr(&rs_vmx_cpu);
	struct rs_vmx_caps caps;
	int i;

	if (__read_cr4() & X86_CR4_VMXE)
		return -EBUSY;
	/* A VMCS written for one CPU must run on all. */
	if (rs_vmx_read_caps(&caps) || memcmp(&caps, &rs_vmx_caps, sizeof(caps))) {
		pr_err("CPU %d has another VT-x than the others\n", smp_processor_id());
		return -ENODEV;
	}

	intel_pt_handle_vmx(1);
	cr4_set_bits(X86_CR4_VMXE);
	if (!rs_vmxon(__pa(pcpu->vmxon))) {
		cr4_clear_bits(X86_CR4_VMXE);
		intel_pt_handle_vmx(0);
		return -EBUSY;
	}
	for (i = 0; i < RS_VMX_NR_MSRS; i++)
		rdmsrl(msr_numbers[i], pcpu->msr[i]);
	pcpu->gdt.address = (unsigned long)get_cpu_gdt_ro(smp_processor_id());
	pcpu->gdt.size = GDT_SIZE - 1;
	pcpu->current_vmx = NULL;
	rs_ept_flush_all();
	rs_vpid_cpu_on(pcpu);
	pcpu->on = true;
	return 0;
}

static void vmx_cpu_emergency_off(void)
{
	struct rs_vmx_cpu *pcpu = this_cpu_ptr(&rs_vmx_cpu);

	pcpu->on = false;
	rs_vmcs_clear_all(pcpu);
	rs_vmxoff();
	cr4_clear_bits(X86_CR4_VMXE);
}

static void vmx_cpu_off(void)
{
	vmx_cpu_emergency_off();
	intel_pt_handle_vmx(0);
}

/* --- vCPUs --- */

static int vmx_vcpu_create(struct rs_vcpu *vcpu)
{
	struct rs_vmx *vmx = kzalloc(sizeof(*vmx), GFP_KERNEL_ACCOUNT);
	int err;

	if (!vmx)
		return -ENOMEM;
	vmx->vcpu = vcpu;
	vmx->eptp = rs_ept_pointer(vcpu->mmu);
	err = rs_vmcs_alloc(vmx);
	if (err) {
		kfree(vmx);
		return err;
	}
	vcpu->vmx = vmx;
	return 0;
}

static void vmx_vcpu_destroy(struct rs_vcpu *vcpu)
{
	rs_vmcs_free(vcpu->vmx);
	kfree(vcpu->vmx);
	vcpu->vmx = NULL;
}

/*
 * The GS base that SWAPGS would bring in: the host thread's own. With FSGSBASE it can be reached
 * without touching an MSR; an NMI in between copes with either GS base, other interrupts do not.
 * Interrupts off.
 */
static __always_inline unsigned long exchange_user_gs(unsigned long want)
{
	unsigned long old;

	if (!cpu_feature_enabled(X86_FEATURE_FSGSBASE)) {
		rdmsrl(MSR_KERNEL_GS_BASE, old);
		if (old != want)
			wrmsrl(MSR_KERNEL_GS_BASE, want);
		return old;
	}
	asm volatile("swapgs\n\t"
		     "rdgsbase %[old]\n\t"
		     "cmp	%[old], %[want]\n\t"
		     "je	1f\n\t"
		     "wrgsbase %[want]\n\t"
		     "1: swapgs"
		     : [old] "=&r" (old) : [want] "r" (want) : "cc", "memory");
	return old;
}

/*
 * FS base of the host's thread, after the selectors were read. Without FSGSBASE Linux knows it
 * unless a segment was loaded.
 */
static __always_inline unsigned long host_fs_base(u32 fs)
{
	unsigned long base;

	if (cpu_feature_enabled(X86_FEATURE_FSGSBASE))
		return rdfsbase();
	if (!fs)
		return current->thread.fsbase;
	rdmsrl(MSR_FS_BASE, base);
	return base;
}

/*
 * Write the MSRs in @diff. The values were checked when they came, and are written without the
 * tracepoint of wrmsrl. Usually it is LSTAR alone.
 */
static __always_inline void exchange_msrs(unsigned long diff, const u64 *val)
{
	if (likely(diff == BIT(RS_VMX_LSTAR))) {
		__wrmsr(MSR_LSTAR, lower_32_bits(val[RS_VMX_LSTAR]),
			upper_32_bits(val[RS_VMX_LSTAR]));
		return;
	}
	for (; diff; diff &= diff - 1) {
		int i = __ffs(diff);

		__wrmsr(msr_numbers[i], lower_32_bits(val[i]), upper_32_bits(val[i]));
	}
}

static void vmx_vcpu_load(struct rs_vcpu *vcpu, int cpu)
{
	struct rs_vmx *vmx = vcpu->vmx;
	unsigned long base;
	u32 ds, es, fs, gs, ldt;

	if (unlikely(this_cpu_read(rs_vmx_cpu.current_vmx) != vmx))
		rs_vmcs_load(vmx, cpu);
	vmx->host_ran = true;

	savesegment(ds, ds);
	savesegment(es, es);
	savesegment(fs, fs);
	savesegment(gs, gs);
	asm("sldt %0" : "=r" (ldt));
	vmx->selectors = ds | es | fs | gs | ldt;
	if (unlikely(vmx->selectors)) {
		vmx->ds = ds;
		vmx->es = es;
		vmx->fs = fs;
		vmx->gs = gs;
		vmx->ldt = ldt;
	}

	base = host_fs_base(fs);
	if (unlikely(base != vmx->host_fs_base)) {
		vmx->host_fs_base = base;
		rs_vmwrite(HOST_FS_BASE, base);
	}
	/* In RS_RUN, or when the scheduler has switched to the thread and is done. */
	lockdep_assert_irqs_enabled();
	raw_local_irq_disable();
	vmx->user_gs = exchange_user_gs(vmx->guest_kernel_gs);
	raw_local_irq_enable();
	exchange_msrs(vmx->msr_diff, vmx->msr);
}
NOKPROBE_SYMBOL(vmx_vcpu_load);

/*
 * Selectors that are not null: rare, programs that use an LDT or 16-bit code. Loading one also
 * loads a base, so the bases come last.
 */
static void restore_selectors(struct rs_vmx *vmx)
{
	if (vmx->ldt)
		asm volatile("lldt %0" : : "m" (vmx->ldt));
	if (vmx->ds)
		loadsegment(ds, vmx->ds);
	if (vmx->es)
		loadsegment(es, vmx->es);
	if (vmx->fs) {
		loadsegment(fs, vmx->fs);
		x86_fsbase_write_cpu(vmx->host_fs_base);
	}
	if (vmx->gs) {
		load_gs_index(vmx->gs);
		exchange_user_gs(vmx->user_gs);
	}
}

static void vmx_vcpu_put(struct rs_vcpu *vcpu)
{
	struct rs_vmx *vmx = vcpu->vmx;
	struct rs_vmx_cpu *pcpu = this_cpu_ptr(&rs_vmx_cpu);

	exchange_msrs(vmx->msr_diff, pcpu->msr);
	vmx->guest_kernel_gs = exchange_user_gs(vmx->user_gs);
	if (unlikely(vmx->selectors))
		restore_selectors(vmx);
	/* A VM exit leaves both with the largest limit, beyond what is a GDT or an I/O bitmap. */
	native_load_gdt(&pcpu->gdt);
	invalidate_tss_limit();
}
NOKPROBE_SYMBOL(vmx_vcpu_put);

/* --- MSRs --- */

static void set_switched_msr(struct rs_vmx *vmx, int i, u64 val)
{
	struct rs_vmx_cpu *pcpu = this_cpu_ptr(&rs_vmx_cpu);

	vmx->msr[i] = val;
	/* SYSCALL does not exist in compatibility mode on CPUs with VT-x: kept, never used. */
	if (i == RS_VMX_CSTAR)
		return;
	wrmsrl(msr_numbers[i], val);		/* loaded: this CPU has the guest's */
	if (val != pcpu->msr[i])
		vmx->msr_diff |= BIT(i);
	else
		vmx->msr_diff &= ~BIT(i);
}

void rs_vmx_reset_msrs(struct rs_vmx *vmx)
{
	const struct rs_vmx_cpu *pcpu = this_cpu_ptr(&rs_vmx_cpu);

	set_switched_msr(vmx, RS_VMX_STAR, pcpu->msr[RS_VMX_STAR]);
	set_switched_msr(vmx, RS_VMX_SFMASK, pcpu->msr[RS_VMX_SFMASK]);
	set_switched_msr(vmx, RS_VMX_LSTAR, 0);
	set_switched_msr(vmx, RS_VMX_CSTAR, 0);
	exchange_user_gs(0);
}

static int switched_msr(u32 msr)
{
	int i;

	for (i = 0; i < RS_VMX_NR_MSRS; i++)
		if (msr_numbers[i] == msr)
			return i;
	return -1;
}

/* Guests have 48-bit linear addresses. */
static bool canonical(u64 addr)
{
	return (u64)((s64)(addr << 16) >> 16) == addr;
}

static int vmx_get_msr(struct rs_vcpu *vcpu, u32 msr, u64 *val)
{
	int i = switched_msr(msr);

	if (i >= 0) {
		*val = vcpu->vmx->msr[i];
		return 0;
	}
	switch (msr) {
	case MSR_EFER:
		*val = vcpu->vmx->efer;
		return 0;
	case MSR_IA32_SYSENTER_CS:
		*val = rs_vmread(GUEST_SYSENTER_CS);
		return 0;
	case MSR_IA32_SYSENTER_ESP:
		*val = rs_vmread(GUEST_SYSENTER_ESP);
		return 0;
	case MSR_IA32_SYSENTER_EIP:
		*val = rs_vmread(GUEST_SYSENTER_EIP);
		return 0;
	default:
		return -EPERM;
	}
}

static int vmx_set_msr(struct rs_vcpu *vcpu, u32 msr, u64 val)
{
	int i = switched_msr(msr);

	switch (msr) {
	case MSR_LSTAR:
	case MSR_CSTAR:
	case MSR_IA32_SYSENTER_ESP:
	case MSR_IA32_SYSENTER_EIP:
		if (!canonical(val))
			return -EPERM;
		break;
	case MSR_SYSCALL_MASK:
	case MSR_IA32_SYSENTER_CS:
		if (upper_32_bits(val))
			return -EPERM;
		break;
	case MSR_STAR:
		break;
	default:
		return -EPERM;
	}

	switch (msr) {
	case MSR_IA32_SYSENTER_CS:
		rs_vmwrite(GUEST_SYSENTER_CS, val);
		break;
	case MSR_IA32_SYSENTER_ESP:
		rs_vmwrite(GUEST_SYSENTER_ESP, val);
		break;
	case MSR_IA32_SYSENTER_EIP:
		rs_vmwrite(GUEST_SYSENTER_EIP, val);
		break;
	default:
		set_switched_msr(vcpu->vmx, i, val);
		break;
	}
	return 0;
}

/* --- in and out --- */

static void vmx_flush(struct rs_vcpu *vcpu)
{
	rs_ept_flush(vcpu->vmx->eptp);
	vcpu->vmx->stale &= ~RS_VMX_STALE_EPT;
}

static noinline void renew_stale(struct rs_vcpu *vcpu)
{
	struct rs_vmx *vmx = vcpu->vmx;

	if (vmx->stale & RS_VMX_STALE_EPT) {
		rs_ept_flush(vmx->eptp);
		vcpu->count.flushes++;
	}
	if (vmx->stale & RS_VMX_STALE_VPID)
		rs_vpid_renew(this_cpu_ptr(&rs_vmx_cpu), vmx);
	vmx->stale = 0;
}

/*
 * Interrupts that look at much memory ask for it, see asm/hardirq.h; without KVM nobody keeps the
 * books, and it is always due.
 */
static bool l1d_used_by_interrupt(void)
{
#if IS_ENABLED(CONFIG_KVM_INTEL)
	if (!kvm_get_cpu_l1tf_flush_l1d())
		return false;
	kvm_clear_cpu_l1tf_flush_l1d();
#endif
	return true;
}

static noinline void flush_l1d(struct rs_vmx *vmx)
{
	bool due = l1d_used_by_interrupt() | vmx->host_ran;
	int i;

	if (!due && !static_branch_unlikely(&l1d_flush_always))
		return;
	if (boot_cpu_has(X86_FEATURE_FLUSH_L1D)) {
		native_wrmsrl(MSR_IA32_FLUSH_CMD, L1D_FLUSH);
		return;
	}
	for (i = 0; i < PAGE_SIZE << L1D_FLUSH_ORDER; i += 64)
		READ_ONCE(*(u8 *)(l1d_flush_pages + i));
}

static void machine_check(void)
{
#ifdef CONFIG_X86_MCE
	/*
	 * As if it had come in user mode: the guest's context is not the kernel's, and nothing of
	 * the kernel is lost.
	 */
	struct pt_regs regs = {
		.cs = 3,
		.flags = X86_EFLAGS_IF,
	};

	do_machine_check(&regs);
#endif
}

/*
 * NMI and machine check end the guest's turn without having been handled; both are due before
 * anything else happens.
 */
static noinline void dispatch_host_exception(void)
{
	u32 info = rs_vmread(VM_EXIT_INTR_INFO);

	if ((info & INTR_INFO_INTR_TYPE_MASK) == INTR_TYPE_NMI_INTR) {
		/* NMIs are blocked since the exit; the handler's IRET unblocks them. */
		asm volatile("int $2" : : : "memory");
	} else if ((info & INTR_INFO_VECTOR_MASK) == X86_TRAP_MC) {
		machine_check();
	}
}

static void vmx_enter(struct rs_vcpu *vcpu)
{
	struct rs_vmx *vmx = vcpu->vmx;
	unsigned long val;

	if (unlikely(vmx->stale))
		renew_stale(vcpu);

	/* Both change under a running thread: PCID of the mm, TSD and PCE of the task. */
	val = __native_read_cr3();
	if (unlikely(val != vmx->host_cr3)) {
		vmx->host_cr3 = val;
		rs_vmwrite(HOST_CR3, val);
	}
	val = native_read_cr4();
	if (unlikely(val != vmx->host_cr4)) {
		vmx->host_cr4 = val;
		rs_vmwrite(HOST_CR4, val);
	}
	if (static_branch_unlikely(&l1d_flush))
		flush_l1d(vmx);
	if (vmx->host_ran) {
		vmx->host_ran = false;
		/* perf changes it, in process context or by an IPI, which makes the guest exit. */
		if (unlikely(host_uses_debugctl))
			vmx->host_debugctl = get_debugctlmsr();
	}
	if (vcpu->regs.cr2 != native_read_cr2())
		native_write_cr2(vcpu->regs.cr2);

	if (unlikely(rs_vmx_run(&vcpu->regs, &vmx->host_rsp, vmx->launched))) {
		vmx->reason = RS_VMX_VMFAIL;
		return;
	}
	vcpu->regs.cr2 = native_read_cr2();
	vmx->event = false;

	if (unlikely(vmx->host_debugctl))
		update_debugctlmsr(vmx->host_debugctl);
	if (unlikely(hw_breakpoint_active()))
		hw_breakpoint_restore();

	vmx->reason = rs_vmread(VM_EXIT_REASON);
	if (unlikely(vmx->reason == EXIT_REASON_EXCEPTION_NMI))
		dispatch_host_exception();
	if (unlikely(vmx->reason & RS_VMX_ENTRY_FAILED)) {
		if ((u16)vmx->reason == EXIT_REASON_MCE_DURING_VMENTRY)
			machine_check();
		return;		/* refused: the VMCS is as it was, launched or not */
	}
	vmx->launched = true;
}

struct rs_backend rs_vmx_backend = {
	.name		= "VT-x with EPT",
	.id		= RS_BACKEND_VMX,
	.probe		= vmx_probe,
	.setup		= vmx_setup,
	.cleanup	= vmx_cleanup,
	.cpu_on		= vmx_cpu_on,
	.cpu_off	= vmx_cpu_off,
	.cpu_emergency_off = vmx_cpu_emergency_off,
	.vcpu_create	= vmx_vcpu_create,
	.vcpu_destroy	= vmx_vcpu_destroy,
	.vcpu_load	= vmx_vcpu_load,
	.vcpu_put	= vmx_vcpu_put,
	.set_state	= rs_vmx_set_state,
	.get_state	= rs_vmx_get_state,
	.get_rip	= rs_vmx_get_rip,
	.flush		= vmx_flush,
	.enter		= vmx_enter,
	.decode		= rs_vmx_decode,
	.skip_insn	= rs_vmx_skip_insn,
	.inject		= rs_vmx_inject,
	.event_pending	= rs_vmx_event_pending,
	.can_interrupt	= rs_vmx_can_interrupt,
	.want_window	= rs_vmx_want_window,
	.get_msr	= vmx_get_msr,
	.set_msr	= vmx_set_msr,
};
