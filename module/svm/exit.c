// SPDX-License-Identifier: GPL-2.0-only
/*
 * exit.c - from #VMEXIT to struct rs_exit, and events into the guest
 *
 * An exit can interrupt the delivery of an event: EXITINTINFO then says which. Hardware exceptions
 * and interrupts are put back into EVENTINJ, so that the next entry delivers them again. What an
 * instruction caused (INT n, INT3, INTO) is not: RIP is still at the instruction, which simply runs
 * again. INT3 and INTO show as type "software" or as exception 3 and 4, depending on the CPU.
 */
#include <asm/trapnr.h>
#include <asm/processor-flags.h>
#include <uapi/ringside_guest.h>
#include "svm.h"

/*
 * Lengths for CPUs that do not tell the next RIP. Prefixes are not counted: only the guest that
 * uses them suffers.
 */
enum { LEN_VMMCALL = 3, LEN_CPUID = 2, LEN_HLT = 1, LEN_MSR = 2 };

/*
 * Bits of EXITINFO1 after a nested page fault (APM 15.25.6): as in a page fault's error code, and
 * whose access it was.
 */
#define NPF_WRITE	BIT_ULL(1)
#define NPF_FETCH	BIT_ULL(4)
#define NPF_WALK	BIT_ULL(33)

#define VMEXIT_INVALID	0xffffffffu

/* Exit codes that uapi/asm/svm.h does not have (APM appendix C). */
#define EXIT_INVLPGB		0xa0
#define EXIT_INVLPGB_ILLEGAL	0xa1
#define EXIT_MCOMMIT		0xa3
#define EXIT_TLBSYNC		0xa4

static u32 npf_access(u64 info1)
{
	u32 access;

	if (info1 & NPF_FETCH)
		access = RS_FAULT_FETCH;
	else if (info1 & NPF_WRITE)
		access = RS_FAULT_WRITE;
	else
		access = RS_FAULT_READ;
	/*
	 * The CPU's own accesses to guest page tables are always writes, for the accessed and dirty
	 * bits.
	 */
	if (info1 & NPF_WALK)
		access = RS_FAULT_WALK | RS_FAULT_WRITE;
	return access;
}

static bool redeliver(u32 info)
{
	u32 type = info & SVM_EXITINTINFO_TYPE_MASK;
	u8 vector = info & SVM_EXITINTINFO_VEC_MASK;

	if (type == SVM_EXITINTINFO_TYPE_SOFT)
		return false;
	if (type == SVM_EXITINTINFO_TYPE_EXEPT)
		return vector != X86_TRAP_BP && vector != X86_TRAP_OF;
	return true;
}

static void unknown(struct rs_exit *x, const struct vmcb_control_area *ctl)
{
	x->kind = RS_X_UNKNOWN;
	x->hw_reason = ctl->exit_code;
	x->hw_info1 = ctl->exit_info_1;
	x->hw_info2 = ctl->exit_info_2;
}

/*
 * What int_ctl asks of the CPU: an interrupt that the guest takes as soon as it can, or an exit then.
 * It is of the highest priority, so that nothing but RFLAGS.IF and the shadow of STI and SS counts.
 */
static void set_virq(struct rs_svm *svm)
{
	struct vmcb_control_area *ctl = &svm->vmcb->control;

	if (svm->virq || svm->window)
		ctl->int_ctl |= V_IRQ_MASK | V_INTR_PRIO_MASK | V_IGN_TPR_MASK;
	else
		ctl->int_ctl &= ~(V_IRQ_MASK | V_INTR_PRIO_MASK | V_IGN_TPR_MASK);
	if (svm->window && !svm->virq)
		ctl->intercepts[INTERCEPT_VINTR / 32] |= BIT(INTERCEPT_VINTR % 32);
	else
		ctl->intercepts[INTERCEPT_VINTR / 32] &= ~BIT(INTERCEPT_VINTR % 32);
	ctl->int_vector = svm->virq;
	rs_svm_dirty(svm, RS_CLEAN_INTR | RS_CLEAN_INTERCEPTS);
}

/*
 * After an exit, with a virtual interrupt asked for. The CPU takes V_IRQ back when the guest takes the
 * interrupt. An exit in the middle of that has it in EXITINTINFO, which QEMU calls an exception then.
 */
static noinline void look_at_virq(struct rs_svm *svm)
{
	struct vmcb_control_area *ctl = &svm->vmcb->control;

	if (ctl->event_inj & SVM_EVTINJ_VALID && (ctl->event_inj & SVM_EVTINJ_VEC_MASK) == svm->virq)
		ctl->event_inj = 0;
	else if (!(ctl->int_ctl & V_IRQ_MASK))
		svm->virq = 0;
	set_virq(svm);
}

/* All but hypercalls, which do not pay for the calls made here. */
static noinline void decode_rest(struct rs_vcpu *vcpu, struct rs_exit *x,
				 const struct vmcb_control_area *ctl)
{
	if (unlikely(vcpu->svm->virq))
		look_at_virq(vcpu->svm);
	x->insn_len = 0;
	switch (ctl->exit_code) {
	case SVM_EXIT_INTR:
	/* These stay pending and are taken by the host once it lets them in. */
	case SVM_EXIT_SMI:
	case SVM_EXIT_INIT:
		x->kind = RS_X_INTERRUPT;
		break;
	case SVM_EXIT_NMI:
		x->kind = RS_X_NMI;
		break;
	case SVM_EXIT_NPF:
		x->kind = RS_X_NPF;
		x->gpa = ctl->exit_info_2;
		x->gva = 0;
		x->access = npf_access(ctl->exit_info_1);
		break;
	case SVM_EXIT_VINTR:
		x->kind = RS_X_WINDOW;
		break;
	case SVM_EXIT_CPUID:
		x->kind = RS_X_CPUID;
		x->insn_len = LEN_CPUID;
		break;
	case SVM_EXIT_MSR:
		x->kind = ctl->exit_info_1 & 1 ? RS_X_WRMSR : RS_X_RDMSR;
		x->insn_len = LEN_MSR;
		break;
	case SVM_EXIT_IOIO:
		x->kind = RS_X_IO;
		break;
	case SVM_EXIT_READ_CR0 ... SVM_EXIT_WRITE_CR8:
	case SVM_EXIT_RDPMC:	/* #GP: there are no counters */
		x->kind = RS_X_CR;
		break;
	case SVM_EXIT_READ_DR0 ... SVM_EXIT_READ_DR0 + 15:
	case SVM_EXIT_WRITE_DR0 ... SVM_EXIT_WRITE_DR0 + 15:
		x->kind = RS_X_DR;
		break;
	case SVM_EXIT_XSETBV:
		x->kind = RS_X_XSETBV;
		break;
	case SVM_EXIT_HLT:
		x->kind = RS_X_HLT;
		x->insn_len = LEN_HLT;
		break;
	case SVM_EXIT_EXCP_BASE ... SVM_EXIT_EXCP_BASE + 31:
		x->kind = RS_X_EXCEPTION;
		x->vector = ctl->exit_code - SVM_EXIT_EXCP_BASE;
		break;
	case SVM_EXIT_RSM:
	case SVM_EXIT_INVD:
	case SVM_EXIT_INVLPGA:
	case SVM_EXIT_VMRUN:
	case SVM_EXIT_VMLOAD:
	case SVM_EXIT_VMSAVE:
	case SVM_EXIT_STGI:
	case SVM_EXIT_CLGI:
	case SVM_EXIT_SKINIT:
	case SVM_EXIT_WBINVD:
	case SVM_EXIT_MONITOR:
	case SVM_EXIT_MWAIT:
	case SVM_EXIT_RDPRU:
	case EXIT_INVLPGB:
	case EXIT_INVLPGB_ILLEGAL:
	case EXIT_MCOMMIT:
	case EXIT_TLBSYNC:
		x->kind = RS_X_UD;
		break;
	case SVM_EXIT_SHUTDOWN:
		x->kind = RS_X_SHUTDOWN;
		break;
	case VMEXIT_INVALID:
		unknown(x, ctl);
		x->kind = RS_X_FAIL_ENTRY;
		/*
		 * The CPU may have left the host's registers in the save area. The guest had none
		 * that it could run with; so there is none now.
		 */
		rs_svm_vmcb_reset(vcpu);
		vcpu->regs.rax = 0;
		x->cpl = 0;
		x->delivering = false;
		break;
	default:
		unknown(x, ctl);
	}
}

void rs_svm_decode(struct rs_vcpu *vcpu)
{
	struct rs_svm *svm = vcpu->svm;
	struct vmcb_control_area *ctl = &svm->vmcb->control;
	struct rs_exit *x = &vcpu->exit;
	u32 info = ctl->exit_int_info;

	ctl->event_inj = 0;
	x->cpl = svm->vmcb->save.cpl;
	x->delivering = false;
	if (unlikely(info & SVM_EXITINTINFO_VALID)) {
		x->delivering = true;
		if (redeliver(info)) {
			ctl->event_inj = info;
			ctl->event_inj_err = ctl->exit_int_info_err;
		}
	}
	if (likely(ctl->exit_code == SVM_EXIT_VMMCALL)) {
		x->kind = RS_X_HYPERCALL;
		x->insn_len = LEN_VMMCALL;
		if (unlikely(svm->virq))
			look_at_virq(svm);
		return;
	}
	decode_rest(vcpu, x, ctl);
}

void rs_svm_skip_insn(struct rs_vcpu *vcpu)
{
	struct vmcb *vmcb = vcpu->svm->vmcb;

	if (rs_svm_caps.nrips && vmcb->control.next_rip)
		vmcb->save.rip = vmcb->control.next_rip;
	else
		vmcb->save.rip += vcpu->exit.insn_len;
	vmcb->control.int_state = 0;
	/*
	 * A single step ends behind the instruction, also when we have executed it for the guest.
	 */
	if (unlikely(vmcb->save.rflags & X86_EFLAGS_TF))
		rs_inject_fault(vcpu, X86_TRAP_DB);
}

void rs_svm_inject(struct rs_vcpu *vcpu, const struct rs_event *ev)
{
	struct vmcb_control_area *ctl = &vcpu->svm->vmcb->control;
	u32 inj = ev->vector | SVM_EVTINJ_VALID;

	/*
	 * Vector 20 is no exception on AMD, and VMRUN refuses exceptions that do not exist (APM
	 * 15.20). As an interrupt it is delivered just the same: at once, whatever RFLAGS.IF says.
	 *
	 * QEMU's own VMRUN (TCG; seen in 7.2) delivers an interrupt and keeps it in exception_index:
	 * when the CPU is asked to leave its loop before the next #VMEXIT, it comes once more, in the
	 * middle of anything. Not so as an exception, which QEMU takes vector 20 for, nor as a
	 * virtual interrupt, which waits for RFLAGS.IF; the caller knows that it is set.
	 */
	if (rs_svm_caps.repeats_interrupts && ev->interrupt) {
		vcpu->svm->virq = ev->vector;
		set_virq(vcpu->svm);
		return;
	}
	if ((ev->interrupt || ev->vector == RS_VECTOR_NESTED_FAULT) &&
	    !rs_svm_caps.repeats_interrupts)
		inj |= SVM_EVTINJ_TYPE_INTR;
	else
		inj |= SVM_EVTINJ_TYPE_EXEPT;
	if (ev->has_error)
		inj |= SVM_EVTINJ_VALID_ERR;
	ctl->event_inj = inj;
	ctl->event_inj_err = ev->error;
}

bool rs_svm_event_pending(struct rs_vcpu *vcpu)
{
	const struct rs_svm *svm = vcpu->svm;

	return svm->virq || (svm->vmcb->control.event_inj & SVM_EVTINJ_VALID);
}

bool rs_svm_can_interrupt(struct rs_vcpu *vcpu)
{
	const struct vmcb *vmcb = vcpu->svm->vmcb;

	return (vmcb->save.rflags & X86_EFLAGS_IF) &&
	       !(vmcb->control.int_state & SVM_INTERRUPT_SHADOW_MASK);
}

void rs_svm_want_window(struct rs_vcpu *vcpu, bool on)
{
	vcpu->svm->window = on;
	set_virq(vcpu->svm);
}
