// SPDX-License-Identifier: GPL-2.0-only
/*
 * asid.c - address space identifiers: which TLB entries of a CPU are a vCPU's
 *
 * An ASID belongs to one vCPU on one CPU, for one generation of that CPU. A vCPU needs a new one
 *	- when it comes to another CPU: what its old ASID means there is anybody's,
 *	- when its translations are to be forgotten and the CPU cannot flush by ASID: nobody has
 *	  entries under a new ASID,
 *	- when the CPU's generation has moved on.
 * When a CPU has given out all its ASIDs it starts a new generation, and the VMRUN that uses the
 * first of it flushes the whole TLB. vCPUs that come later find that their generation is old. ASID
 * 0 is the host's.
 *
 * Everything here runs with interrupts off on the CPU concerned.
 */
#include "svm.h"

void rs_svm_asid_cpu_init(struct rs_svm_cpu *c)
{
	/*
	 * Nobody has an ASID of the generation that begins here; the first VMRUN flushes what
	 * others left in the TLB.
	 */
	c->asid_gen++;
	c->next_asid = rs_svm_caps.nr_asids;
	c->last_vcpu = NULL;
}

void rs_svm_asid_get(struct rs_svm *svm)
{
	struct rs_svm_cpu *c = this_cpu_ptr(&rs_svm_cpu);
	struct vmcb_control_area *ctl = &svm->vmcb->control;

	lockdep_assert_irqs_disabled();
	ctl->tlb_ctl = TLB_CONTROL_DO_NOTHING;
	if (c->next_asid >= rs_svm_caps.nr_asids) {
		c->asid_gen++;
		c->next_asid = 1;
		ctl->tlb_ctl = TLB_CONTROL_FLUSH_ALL_ASID;
	}
	ctl->asid = c->next_asid++;
	svm->asid_gen = c->asid_gen;
	rs_svm_dirty(svm, RS_CLEAN_ASID);
}

void rs_svm_flush(struct rs_vcpu *vcpu)
{
	struct rs_svm *svm = vcpu->svm;

	if (rs_svm_caps.flush_asid && svm->asid_gen) {
		/* Not weaker than a flush of everything that is already asked for. */
		if (svm->vmcb->control.tlb_ctl == TLB_CONTROL_DO_NOTHING)
			svm->vmcb->control.tlb_ctl = TLB_CONTROL_FLUSH_ASID;
		return;
	}
	svm->asid_gen = 0;	/* svm_enter takes a new one */
}
