// SPDX-License-Identifier: GPL-2.0-only
/*
 * svm.c - the SVM backend: CPUs on and off, a vCPU onto a CPU, into the guest and back
 *
 * Host state at an entry. VMRUN itself saves and restores RIP, RSP, RAX, RFLAGS, CS, SS, DS, ES,
 * CR0, CR3, CR4, EFER, GDTR, IDTR (in the page that MSR_VM_HSAVE_PA names). FS, GS, TR, LDTR and
 * the system call MSRs are exchanged with VMSAVE and VMLOAD: the host's are saved once after the
 * thread came onto the CPU, since nothing changes them while it is in RS_RUN, and loaded again
 * after every exit. Debug registers: VMRUN disables DR7, so breakpoints that the host has are put
 * back. Nothing else of the host is changed by the guest: no MSR is read or written on the way in
 * or out.
 *
 * SPEC_CTRL: the guest cannot write it and runs with the host thread's value.
 */
#include <linux/gfp.h>
#include <linux/hw_breakpoint.h>
#include <linux/mem_encrypt.h>
#include <linux/smp.h>
#include <linux/string.h>
#include <asm/debugreg.h>
#include <asm/mce.h>
#include <asm/msr.h>
#include <asm/nospec-branch.h>
#include <asm/trapnr.h>
#include "compat.h"
#include "svm.h"

DEFINE_PER_CPU(struct rs_svm_cpu, rs_svm_cpu);

static int svm_setup(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		struct rs_svm_cpu *c = per_cpu_ptr(&rs_svm_cpu, cpu);

		c->hsave = alloc_page(GFP_KERNEL | __GFP_ZERO);
		c->host = alloc_page(GFP_KERNEL | __GFP_ZERO);
		if (!c->hsave || !c->host)
			return -ENOMEM;
		c->host_pa = __sme_set(page_to_phys(c->host));
	}
	return rs_svm_bitmaps_alloc();
}

static void svm_cleanup(void)
{
	int cpu;

	rs_svm_bitmaps_free();
	for_each_possible_cpu(cpu) {
		struct rs_svm_cpu *c = per_cpu_ptr(&rs_svm_cpu, cpu);

		if (c->hsave)
			__free_page(c->hsave);
		if (c->host)
			__free_page(c->host);
		c->hsave = c->host = NULL;
	}
}

static int svm_cpu_on(void)
{
	struct rs_svm_cpu *c = this_cpu_ptr(&rs_svm_cpu);
	u64 efer;

	rdmsrl(MSR_EFER, efer);
	if (efer & EFER_SVME)
		return -EBUSY;
	wrmsrl(MSR_EFER, efer | EFER_SVME);
	wrmsrl(MSR_VM_HSAVE_PA, __sme_set(page_to_phys(c->hsave)));
	rs_svm_asid_cpu_init(c);
	return 0;
}

static void svm_cpu_off(void)
{
	u64 efer;

	wrmsrl(MSR_VM_HSAVE_PA, 0);
	rdmsrl(MSR_EFER, efer);
	wrmsrl(MSR_EFER, efer & ~(u64)EFER_SVME);
}

static void svm_vcpu_load(struct rs_vcpu *vcpu, int cpu)
{
	struct rs_svm *svm = vcpu->svm;
	struct rs_svm_cpu *c = per_cpu_ptr(&rs_svm_cpu, cpu);

	/* FS base, GS base and the like may have changed since it was last here. */
	svm->host_stale = true;
	if (likely(c->last_vcpu == vcpu && svm->cpu == cpu))
		return;
	/*
	 * Another vCPU used this CPU, or this one was elsewhere meanwhile: its ASID may be
	 * another's now, the CPU's copy of the VMCB is not its own, and branch predictions were
	 * trained by another guest.
	 */
	c->last_vcpu = vcpu;
	svm->cpu = cpu;
	svm->asid_gen = 0;
	svm->clean = 0;
	indirect_branch_prediction_barrier();
}

static void svm_vcpu_put(struct rs_vcpu *vcpu)
{
	u16 ldt;

	/*
	 * Nothing of the guest's stays in the CPU after an exit but its FPU registers, which are
	 * the thread's. Of the host's, the LDT may have been replaced by another thread of the
	 * process since our VMSAVE (Linux reloads LDTR by IPI and frees the old table), and VMLOAD
	 * brought the old one back: read the descriptor again, before anybody can use it.
	 */
	asm volatile("sldt %0" : "=r" (ldt));
	if (unlikely(ldt))
		asm volatile("lldt %0" : : "r" (ldt));
}

static void svm_machine_check(void)
{
#ifdef CONFIG_X86_MCE
	/*
	 * As if it had hit user space, so that the handler may kill the process rather than the
	 * machine.
	 */
	struct pt_regs regs = { .cs = 3, .flags = X86_EFLAGS_IF };

	do_machine_check(&regs);
#endif
}

static void svm_enter(struct rs_vcpu *vcpu)
{
	struct rs_svm_cpu *c = this_cpu_ptr(&rs_svm_cpu);
	struct rs_svm *svm = vcpu->svm;
	struct vmcb *vmcb = svm->vmcb;

	if (unlikely(svm->host_stale)) {
		asm volatile("vmsave %0" : : "a" (c->host_pa) : "memory");
		svm->host_stale = false;
	}
	if (unlikely(svm->asid_gen != c->asid_gen))
		rs_svm_asid_get(svm);
	vmcb->save.rax = vcpu->regs.rax;
	vmcb->control.clean = svm->clean;

	rs_svm_run(&vcpu->regs, svm->vmcb_pa, c->host_pa);

	vcpu->regs.rax = vmcb->save.rax;
	vmcb->control.tlb_ctl = TLB_CONTROL_DO_NOTHING;
	if (rs_svm_caps.clean_bits)
		svm->clean = RS_CLEAN_ALL;
	if (unlikely(hw_breakpoint_active()))
		hw_breakpoint_restore();
	if (unlikely(vmcb->control.exit_code == SVM_EXIT_EXCP_BASE + X86_TRAP_MC))
		svm_machine_check();
}

struct rs_backend rs_svm_backend = {
	.name		= "SVM",
	.id		= RS_BACKEND_SVM,
	.probe		= rs_svm_probe,
	.setup		= svm_setup,
	.cleanup	= svm_cleanup,
	.cpu_on		= svm_cpu_on,
	.cpu_off	= svm_cpu_off,
	/*
	 * Nothing to do in a crash: EFER.SVME is harmless to the kernel that takes over. What would
	 * not be is GIF = 0, and NMIs, by which a crash stops the other CPUs, only get through with
	 * GIF = 1.
	 */
	.cpu_emergency_off = NULL,
	.vcpu_create	= rs_svm_vcpu_create,
	.vcpu_destroy	= rs_svm_vcpu_destroy,
	.vcpu_load	= svm_vcpu_load,
	.vcpu_put	= svm_vcpu_put,
	.set_state	= rs_svm_set_state,
	.get_state	= rs_svm_get_state,
	.get_rip	= rs_svm_get_rip,
	.flush		= rs_svm_flush,
	.enter		= svm_enter,
	.decode		= rs_svm_decode,
	.skip_insn	= rs_svm_skip_insn,
	.inject		= rs_svm_inject,
	.event_pending	= rs_svm_event_pending,
	.can_interrupt	= rs_svm_can_interrupt,
	.want_window	= rs_svm_want_window,
	.get_msr	= rs_svm_get_msr,
	.set_msr	= rs_svm_set_msr,
	.format		= &rs_npt_format,
};
