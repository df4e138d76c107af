/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * backend.h - the contract between the generic half of the module and vmx/ or svm/
 *
 * One backend is chosen when the module is loaded. Beside each callback stands the context it is
 * called in:
 *	P	preemptible process context, may sleep
 *	L	loaded: preemption off, between vcpu_load and vcpu_put on this CPU, interrupts on
 *	I	loaded, interrupts off
 *	C	on the CPU in question, interrupts off (hotplug, reboot)
 * A backend never looks at ioctls or regions; the generic half never looks at a VMCS or VMCB.
 *
 * One round in the guest, interrupts off all the way when the exit is a quick one:
 *	[flush] -> enter -> decode -> (skip_insn | inject | want_window)* -> [flush] -> enter ...
 * Virtualisation may be turned off under a thread (reboot, CPU offline). The generic half has
 * checked rs_cpu_is_on() before every callback of context I; in the callbacks of contexts L and P a
 * backend checks it itself, interrupts off, around each SVM or VMX instruction.
 */
#ifndef RS_BACKEND_H
#define RS_BACKEND_H

#include <linux/percpu.h>
#include <linux/static_call.h>
#include <linux/types.h>
#include "mmu/mmu.h"

struct rs_vm;
struct rs_vcpu;

/** enum rs_exit_kind - why the guest was left, neutral */
enum rs_exit_kind {
	RS_X_INTERRUPT,		/* host interrupt: taken as soon as interrupts are on */
	RS_X_NMI,		/* already dispatched to the host by enter() */
	RS_X_NPF,		/* exit->fault_* */
	RS_X_HYPERCALL,		/* exit->cpl */
	RS_X_WINDOW,		/* guest can take an interrupt now */
	RS_X_CPUID,
	RS_X_RDMSR,
	RS_X_WRMSR,
	RS_X_IO,
	RS_X_CR,		/* CR0/CR4/CR8/EFER access that the guest may not make */
	RS_X_DR,
	RS_X_XSETBV,
	RS_X_HLT,
	RS_X_EXCEPTION,		/* #DB, #AC, #MC intercepted */
	/* instruction that does not exist for the guest (VMRUN, VMXON, MONITOR, ...): inject #UD */
	RS_X_UD,
	RS_X_SHUTDOWN,
	RS_X_FAIL_ENTRY,
	RS_X_UNKNOWN,
	RS_X_NR
};

/** struct rs_exit - one decoded exit */
struct rs_exit {
	enum rs_exit_kind kind;
	u8 cpl;
	/* of the exiting instruction, for skip_insn; 0 when not an instruction */
	u8 insn_len;
	u8 vector;		/* RS_X_EXCEPTION */
	/* happened while an event was delivered; the backend has queued it for re-injection */
	bool delivering;
	u32 access;		/* RS_X_NPF: RS_FAULT_* */
	u64 gpa;		/* RS_X_NPF */
	u64 gva;		/* RS_X_NPF, 0 when not known */
	u64 hw_reason, hw_info1, hw_info2;
};

/** struct rs_event - an exception or interrupt for the guest */
struct rs_event {
	u8 vector;
	bool interrupt;		/* external interrupt, else hardware exception */
	bool has_error;
	u32 error;
};

/** struct rs_backend - one vendor */
struct rs_backend {
	const char *name;
	u32 id;						/* enum rs_backend_id */

	/*
	 * P: 0, or -ENODEV with a pr_info that says what is missing. Fills the capabilities below.
	 * No state is changed.
	 */
	int (*probe)(void);
	/* P: bitmaps, per-CPU areas; cleanup undoes it, also after a setup that failed half-way. */
	int (*setup)(void);
	void (*cleanup)(void);
	/*
	 * C: turn virtualisation on here. -EBUSY: somebody else has it. off is called only where on
	 * succeeded.
	 */
	int (*cpu_on)(void);
	void (*cpu_off)(void);
	/*
	 * The kernel is crashing: as cpu_off, on this CPU, maybe from an NMI, maybe in the middle
	 * of anything.
	 */
	void (*cpu_emergency_off)(void);

	/*
	 * P: vcpu->priv (svm, vmx). vcpu_destroy is called only after vcpu_create succeeded, and
	 * not while loaded.
	 */
	int (*vcpu_create)(struct rs_vcpu *vcpu);
	void (*vcpu_destroy)(struct rs_vcpu *vcpu);

	/*
	 * L: make this CPU the vCPU's (VMPTRLD, host state that belongs to the CPU, MSRs).
	 * I: put restores the host's values.
	 */
	void (*vcpu_load)(struct rs_vcpu *vcpu, int cpu);
	void (*vcpu_put)(struct rs_vcpu *vcpu);

	/*
	 * set_state: I, virtualisation is on. get_state: L. Registers; the general-purpose ones but
	 * RSP are in vcpu->regs. The state was validated by the caller.
	 */
	void (*set_state)(struct rs_vcpu *vcpu, const struct rs_vcpu_state *st);
	void (*get_state)(struct rs_vcpu *vcpu, struct rs_vcpu_state *st);
	u64 (*get_rip)(struct rs_vcpu *vcpu);		/* L or I */

	/*
	 * I: translations of this vCPU's guest made before now must not be used by the next entry.
	 */
	void (*flush)(struct rs_vcpu *vcpu);
	/*
	 * I: enter, come back, restore everything the host needs; NMIs and machine checks are
	 * dispatched before it returns.
	 */
	void (*enter)(struct rs_vcpu *vcpu);
	/*
	 * I, after each enter: fill vcpu->exit from what enter left; queue an interrupted delivery
	 * for re-injection. kind, cpl, insn_len and delivering are always set, the rest as the kind
	 * needs it (hw_* for FAIL_ENTRY and UNKNOWN). After FAIL_ENTRY no state of the host may
	 * remain where get_state or get_rip would find it.
	 */
	void (*decode)(struct rs_vcpu *vcpu);

	/* L or I: step over the exiting instruction (clears the interrupt shadow). */
	void (*skip_insn)(struct rs_vcpu *vcpu);
	/*
	 * L or I: deliver at the next entry, nothing else being pending there. For an interrupt
	 * can_interrupt() was true.
	 */
	void (*inject)(struct rs_vcpu *vcpu, const struct rs_event *ev);
	/* L or I: inject() or a re-injection occupies the next entry */
	bool (*event_pending)(struct rs_vcpu *vcpu);
	bool (*can_interrupt)(struct rs_vcpu *vcpu);	/* L or I: RFLAGS.IF, no shadow */
	void (*want_window)(struct rs_vcpu *vcpu, bool on);	/* L or I */

	/*
	 * L or I: guest MSRs that are not intercepted are not seen here. 0, or -EPERM: inject #GP.
	 * set_msr checks the value.
	 */
	int (*get_msr)(struct rs_vcpu *vcpu, u32 msr, u64 *val);
	int (*set_msr)(struct rs_vcpu *vcpu, u32 msr, u64 val);

	/* Valid after probe. */
	const struct rs_pte_format *format;
	int levels;
	u8 gpa_bits;
	/* RS_FEATURE_NESTED_*, RS_FEATURE_PCID; the generic half knows the others */
	u32 features;
};

/* set once at load; NULL when the machine has nothing usable */
extern const struct rs_backend *rs_backend;

/*
 * The callbacks of every round in the guest are called without an indirect branch:
 * static_call(rs_enter)(vcpu).
 */
#define RS_STATIC_CALLS(X) \
	X(vcpu_load) X(vcpu_put) X(get_rip) X(flush) X(enter) X(decode) X(skip_insn)	\
	X(inject) X(event_pending) X(can_interrupt) X(want_window)
#define RS_DECLARE_CALL(name) DECLARE_STATIC_CALL(rs_##name, *(((struct rs_backend *)0)->name));
RS_STATIC_CALLS(RS_DECLARE_CALL)

extern struct rs_backend rs_vmx_backend, rs_svm_backend;

/*
 * May SVM or VMX instructions be executed on this CPU now? False after the reboot notifier or a
 * CPU's way offline turned it off. To be asked with interrupts off, which are to stay off until
 * after the last such instruction: turning it off happens in an IPI or with interrupts off.
 */
DECLARE_PER_CPU(bool, rs_cpu_on);
static __always_inline bool rs_cpu_is_on(void)
{
	return __this_cpu_read(rs_cpu_on);
}

#endif /* RS_BACKEND_H */
