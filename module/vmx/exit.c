// SPDX-License-Identifier: GPL-2.0-only
/*
 * exit.c - why the guest was left, and what is delivered to it at the next entry
 *
 * A VMREAD is not cheap, so that decode reads what the kind of exit needs and nothing else: the
 * table below says for each exit reason what kind it is and which fields go with it.
 *
 * Interrupted deliveries. An exit may happen while the CPU delivers an event (the guest's IDT or
 * stack is not mapped yet, say). The event is then in the IDT-vectoring fields. Interrupts and
 * hardware exceptions are put back for the next entry. Software interrupts and exceptions (INT n,
 * INT3, INTO, INT1) are not: RIP is still at the instruction, which is executed again.
 */
#include <linux/kernel.h>
#include <asm/trapnr.h>
#include "vmx.h"

#define INFO_VALID	INTR_INFO_VALID_MASK
#define INFO_ERROR	INTR_INFO_DELIVER_CODE_MASK
#define INFO_TYPE	INTR_INFO_INTR_TYPE_MASK
#define INFO_EVENT	(INTR_INFO_VECTOR_MASK | INFO_TYPE | INFO_ERROR | INFO_VALID)

/* GUEST_PENDING_DBG_EXCEPTIONS: a single step is to be reported. */
#define PENDING_STEP	BIT(14)

#define SHADOW		(GUEST_INTR_STATE_STI | GUEST_INTR_STATE_MOV_SS)

/* Which fields of rs_exit come with an exit reason. */
#define D_LEN		BIT(0)	/* insn_len */
#define D_QUAL		BIT(2)	/* hw_info1: exit qualification */
#define D_DELIVERY	BIT(3)	/* can happen during the delivery of an event */
#define D_FAULT		BIT(4)	/* gpa, gva, access */
#define D_VECTOR	BIT(5)	/* hw_info2: interruption information; vector */
#define D_HOST		BIT(6)	/* the host has work to do */
#define D_KNOWN		BIT(7)	/* the reason is in the table */

static const struct {
	u8 kind;
	u8 details;
} reasons[] = {
#define REASON(reason, kind, details)	\
	[EXIT_REASON_##reason] = { RS_X_##kind, D_KNOWN | (details) }
	REASON(EXCEPTION_NMI,		EXCEPTION,	D_QUAL | D_VECTOR | D_DELIVERY),
	REASON(EXTERNAL_INTERRUPT,	INTERRUPT,	D_HOST),
	REASON(TRIPLE_FAULT,		SHUTDOWN,	0),
	REASON(INTERRUPT_WINDOW,	WINDOW,		0),
	REASON(CPUID,			CPUID,		D_LEN),
	REASON(HLT,			HLT,		D_LEN),
	REASON(INVD,			UD,		0),
	REASON(RDPMC,			CR,		0),	/* #GP: no counters */
	REASON(VMCALL,			HYPERCALL,	D_LEN),
	REASON(VMCLEAR,			UD,		0),
	REASON(VMLAUNCH,		UD,		0),
	REASON(VMPTRLD,			UD,		0),
	REASON(VMPTRST,			UD,		0),
	REASON(VMREAD,			UD,		0),
	REASON(VMRESUME,		UD,		0),
	REASON(VMWRITE,			UD,		0),
	REASON(VMOFF,			UD,		0),
	REASON(VMON,			UD,		0),
	REASON(CR_ACCESS,		CR,		D_LEN | D_QUAL),
	REASON(DR_ACCESS,		DR,		D_LEN | D_QUAL),
	REASON(IO_INSTRUCTION,		IO,		D_LEN | D_QUAL),
	REASON(MSR_READ,		RDMSR,		D_LEN),
	REASON(MSR_WRITE,		WRMSR,		D_LEN),
	REASON(MWAIT_INSTRUCTION,	UD,		0),
	REASON(MONITOR_INSTRUCTION,	UD,		0),
	REASON(EPT_VIOLATION,		NPF,		D_QUAL | D_FAULT | D_DELIVERY),
	REASON(INVEPT,			UD,		0),
	REASON(PREEMPTION_TIMER,	INTERRUPT,	0),	/* as if one had come */
	REASON(INVVPID,			UD,		0),
	REASON(WBINVD,			UD,		0),
	REASON(XSETBV,			XSETBV,		D_LEN),
	REASON(VMFUNC,			UD,		0),
	REASON(ENCLS,			UD,		0),
#undef REASON
};

static void decode_delivery(struct rs_vmx *vmx, struct rs_exit *exit)
{
	u32 info = rs_vmread(IDT_VECTORING_INFO_FIELD);

	if (likely(!(info & INFO_VALID)))
		return;
	exit->delivering = true;

	switch (info & INFO_TYPE) {
	case INTR_TYPE_EXT_INTR:
	case INTR_TYPE_HARD_EXCEPTION:
		if (info & INFO_ERROR)
			rs_vmwrite(VM_ENTRY_EXCEPTION_ERROR_CODE,
				   rs_vmread(IDT_VECTORING_ERROR_CODE));
		rs_vmwrite(VM_ENTRY_INTR_INFO_FIELD, info & INFO_EVENT);
		vmx->event = true;
		break;
	default:
		break;
	}
}

/* SDM vol. 3, table 28-7. */
static void decode_fault(struct rs_exit *exit)
{
	u64 qual = exit->hw_info1;

	exit->gpa = rs_vmread(GUEST_PHYSICAL_ADDRESS);
	exit->hw_info2 = exit->gpa;
	exit->access = (qual & EPT_VIOLATION_ACC_READ ? RS_FAULT_READ : 0) |
		       (qual & EPT_VIOLATION_ACC_WRITE ? RS_FAULT_WRITE : 0) |
		       (qual & EPT_VIOLATION_ACC_INSTR ? RS_FAULT_FETCH : 0);
	exit->gva = 0;
	if (qual & EPT_VIOLATION_GVA_IS_VALID) {
		exit->gva = rs_vmread(GUEST_LINEAR_ADDRESS);
		if (!(qual & EPT_VIOLATION_GVA_TRANSLATED))
			exit->access |= RS_FAULT_WALK;
	}
}

static __always_inline void advance(u32 len)
{
	u32 shadow = rs_vmread(GUEST_INTERRUPTIBILITY_INFO);

	rs_vmwrite(GUEST_RIP, rs_vmread(GUEST_RIP) + len);
	if (unlikely(shadow & SHADOW))
		rs_vmwrite(GUEST_INTERRUPTIBILITY_INFO, shadow & ~SHADOW);
}

static void report_step(void)
{
	u64 pending = rs_vmread(GUEST_PENDING_DBG_EXCEPTIONS);

	rs_vmwrite(GUEST_PENDING_DBG_EXCEPTIONS, pending | PENDING_STEP);
}

/*
 * An intercepted #DB. Two cases need care before it is delivered as an exception: after INT1 the
 * guest's handler expects RIP behind the instruction; and with single-stepping in an interrupt
 * shadow, VM entry insists on a pending single step (SDM vol. 3, 26.3.1.5).
 */
static void decode_debug(struct rs_exit *exit)
{
	if ((exit->hw_info2 & INFO_TYPE) == INTR_TYPE_PRIV_SW_EXCEPTION) {
		advance(rs_vmread(VM_EXIT_INSTRUCTION_LEN));
		return;
	}
	if ((rs_vmread(GUEST_RFLAGS) & X86_EFLAGS_TF) &&
	    (rs_vmread(GUEST_INTERRUPTIBILITY_INFO) & SHADOW))
		report_step();
}

static void decode_exception(struct rs_vmx *vmx, struct rs_exit *exit)
{
	exit->vector = exit->hw_info2 & INTR_INFO_VECTOR_MASK;
	/* enter() has given these to the host; the guest just goes on. */
	if ((exit->hw_info2 & INFO_TYPE) == INTR_TYPE_NMI_INTR || exit->vector == X86_TRAP_MC)
		exit->kind = RS_X_NMI;
	else if (exit->vector == X86_TRAP_DB)
		decode_debug(exit);
}

static void decode_failure(struct rs_vmx *vmx, struct rs_exit *exit)
{
	exit->kind = RS_X_FAIL_ENTRY;
	if (vmx->reason == RS_VMX_VMFAIL)
		exit->hw_info1 = rs_vmread(VM_INSTRUCTION_ERROR);
	else
		exit->hw_info1 = rs_vmread(EXIT_QUALIFICATION);
}

void rs_vmx_decode(struct rs_vcpu *vcpu)
{
	struct rs_vmx *vmx = vcpu->vmx;
	struct rs_exit *exit = &vcpu->exit;
	u32 reason = vmx->reason;
	u8 details;

	exit->hw_reason = reason;
	exit->cpl = VMX_AR_DPL(rs_vmread(GUEST_SS_AR_BYTES));
	exit->delivering = false;
	exit->insn_len = 0;

	if (unlikely(reason >= ARRAY_SIZE(reasons) || !reasons[reason].details)) {
		exit->hw_info1 = 0;
		exit->hw_info2 = 0;
		if (reason & RS_VMX_ENTRY_FAILED) {
			decode_failure(vmx, exit);
		} else if (reason == EXIT_REASON_EPT_MISCONFIG) {
			/*
			 * The nested table is ours: an entry that the CPU does not understand is a
			 * mistake of the module.
			 */
			exit->kind = RS_X_FAIL_ENTRY;
			exit->hw_info1 = rs_vmread(GUEST_PHYSICAL_ADDRESS);
			WARN_ONCE(1, "EPT misconfiguration at GPA %#llx\n", exit->hw_info1);
		} else {
			exit->kind = RS_X_UNKNOWN;
			exit->hw_info1 = rs_vmread(EXIT_QUALIFICATION);
		}
		return;
	}

	exit->kind = reasons[reason].kind;
	details = reasons[reason].details;
	if (details & D_LEN)
		exit->insn_len = rs_vmread(VM_EXIT_INSTRUCTION_LEN);
	if (likely(!(details & ~(D_KNOWN | D_LEN))))
		return;
	vmx->host_ran = true;

	if (details & D_QUAL)
		exit->hw_info1 = rs_vmread(EXIT_QUALIFICATION);
	if (details & D_FAULT)
		decode_fault(exit);
	if (details & D_VECTOR) {
		exit->hw_info2 = rs_vmread(VM_EXIT_INTR_INFO);
		decode_exception(vmx, exit);
	}
	if (details & D_DELIVERY)
		decode_delivery(vmx, exit);
}

/* --- events and instructions --- */

void rs_vmx_skip_insn(struct rs_vcpu *vcpu)
{
	advance(vcpu->exit.insn_len);
	/* A single step ends here too, though it is we who have executed the instruction. */
	if (unlikely(rs_vmread(GUEST_RFLAGS) & X86_EFLAGS_TF))
		report_step();
}

void rs_vmx_inject(struct rs_vcpu *vcpu, const struct rs_event *ev)
{
	u32 type = ev->interrupt ? INTR_TYPE_EXT_INTR : INTR_TYPE_HARD_EXCEPTION;
	u32 info = INFO_VALID | type | ev->vector;

	if (ev->has_error) {
		info |= INFO_ERROR;
		rs_vmwrite(VM_ENTRY_EXCEPTION_ERROR_CODE, ev->error);
	}
	rs_vmwrite(VM_ENTRY_INTR_INFO_FIELD, info);
	vcpu->vmx->event = true;
}

bool rs_vmx_event_pending(struct rs_vcpu *vcpu)
{
	return vcpu->vmx->event;
}

bool rs_vmx_can_interrupt(struct rs_vcpu *vcpu)
{
	return (rs_vmread(GUEST_RFLAGS) & X86_EFLAGS_IF) &&
	       !(rs_vmread(GUEST_INTERRUPTIBILITY_INFO) & SHADOW);
}

void rs_vmx_want_window(struct rs_vcpu *vcpu, bool on)
{
	struct rs_vmx *vmx = vcpu->vmx;
	u32 proc = vmx->proc & ~CPU_BASED_INTR_WINDOW_EXITING;

	if (on)
		proc |= CPU_BASED_INTR_WINDOW_EXITING;
	if (proc == vmx->proc)
		return;
	vmx->proc = proc;
	rs_vmwrite(CPU_BASED_VM_EXEC_CONTROL, proc);
}
