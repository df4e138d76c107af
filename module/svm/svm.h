/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * svm.h - what the files of the SVM backend share
 *
 *	svm.c	per-CPU on and off, loading, entering
 *	caps.c	what the CPU can do
 *	vmcb.c	building a VMCB, reading and writing its registers
 *	exit.c	decoding exits, injecting events
 *	npt.c	the nested entry format
 *	asid.c	address space identifiers, flushing
 *	run.S	the VMRUN itself
 *
 * "APM" is AMD64 Architecture Programmer's Manual volume 2, revision 3.41, chapter 15.
 */
#ifndef RS_SVM_H
#define RS_SVM_H

#include <linux/percpu.h>
#include <linux/types.h>
#include <asm/svm.h>
#include "vcpu.h"

/**
 * struct rs_svm - the SVM half of a vCPU; belongs to who claimed the vCPU
 * @vmcb, @vmcb_pa: the page and where it is
 * @clean:	clean bits for the next VMRUN: groups of the VMCB not written since the last exit on
 *		this CPU
 * @asid_gen:	generation of vmcb->control.asid on the CPU it was taken on; 0: needs a new one
 * @virq:	vector of the interrupt that the CPU takes as a virtual one, see rs_svm_inject(); 0: none
 * @window:	an interrupt window is wanted
 * @host_stale:	the per-CPU host save page does not have this thread's FS, GS, TR, ... yet
 */
struct rs_svm {
	struct vmcb *vmcb;
	u64 vmcb_pa;
	u64 asid_gen;
	u32 clean;
	int cpu;		/* that it was loaded on last; -1 never */
	u8 virq;
	bool window;
	bool host_stale;
};

/**
 * struct rs_svm_cpu - one CPU
 * @hsave:	page for VMRUN to save host state in (MSR_VM_HSAVE_PA)
 * @host:	page for our own VMSAVE of the state that VMRUN leaves alone
 * @asid_gen:	generation: ASIDs of older ones are not used any more. Starts at 1
 * @next_asid:	next one to give out
 * @last_vcpu:	the vCPU that ran here last, only compared
 */
struct rs_svm_cpu {
	struct page *hsave;
	struct page *host;
	u64 host_pa;
	u64 asid_gen;
	u32 next_asid;
	struct rs_vcpu *last_vcpu;
};
DECLARE_PER_CPU(struct rs_svm_cpu, rs_svm_cpu);

/** struct rs_svm_caps - capabilities; written by probe, constant after that */
struct rs_svm_caps {
	u32 nr_asids;		/* 1 .. nr_asids - 1 are usable */
	bool nrips;		/* control.next_rip is filled in */
	bool flush_asid;	/* TLB_CONTROL_FLUSH_ASID works */
	bool clean_bits;
	bool repeats_interrupts;	/* see rs_svm_inject() */
};
extern struct rs_svm_caps rs_svm_caps;

/* Clean bits, APM 15.15.3: a set bit lets the CPU use its own copy of the group. */
#define RS_CLEAN_INTERCEPTS	BIT(0)	/* intercepts, TSC offset, pause filter */
#define RS_CLEAN_PERM		BIT(1)	/* addresses of the bitmaps */
#define RS_CLEAN_ASID		BIT(2)
#define RS_CLEAN_INTR		BIT(3)	/* int_ctl, int_vector */
#define RS_CLEAN_NPT		BIT(4)	/* nested CR3, PAT */
#define RS_CLEAN_CR		BIT(5)	/* CR0 CR3 CR4 EFER */
#define RS_CLEAN_DR		BIT(6)
#define RS_CLEAN_DT		BIT(7)	/* GDT IDT */
#define RS_CLEAN_SEG		BIT(8)	/* CS DS SS ES, CPL */
#define RS_CLEAN_CR2		BIT(9)
#define RS_CLEAN_LBR		BIT(10)
#define RS_CLEAN_ALL		0x7ffu

static inline void rs_svm_dirty(struct rs_svm *svm, u32 groups)
{
	svm->clean &= ~groups;
}

/* caps.c */
int rs_svm_probe(void);

/* vmcb.c */
int rs_svm_bitmaps_alloc(void);
void rs_svm_bitmaps_free(void);
int rs_svm_vcpu_create(struct rs_vcpu *vcpu);
void rs_svm_vcpu_destroy(struct rs_vcpu *vcpu);
void rs_svm_vmcb_reset(struct rs_vcpu *vcpu);	/* everything as for a vCPU without state */
void rs_svm_set_state(struct rs_vcpu *vcpu, const struct rs_vcpu_state *st);
void rs_svm_get_state(struct rs_vcpu *vcpu, struct rs_vcpu_state *st);
u64 rs_svm_get_rip(struct rs_vcpu *vcpu);
int rs_svm_get_msr(struct rs_vcpu *vcpu, u32 msr, u64 *val);
int rs_svm_set_msr(struct rs_vcpu *vcpu, u32 msr, u64 val);

/* exit.c */
void rs_svm_decode(struct rs_vcpu *vcpu);
void rs_svm_skip_insn(struct rs_vcpu *vcpu);
void rs_svm_inject(struct rs_vcpu *vcpu, const struct rs_event *ev);
bool rs_svm_event_pending(struct rs_vcpu *vcpu);
bool rs_svm_can_interrupt(struct rs_vcpu *vcpu);
void rs_svm_want_window(struct rs_vcpu *vcpu, bool on);

/* npt.c */
extern struct rs_pte_format rs_npt_format;
int rs_npt_levels(void);
void rs_npt_setup(void);

/* asid.c */
void rs_svm_asid_cpu_init(struct rs_svm_cpu *c);
void rs_svm_asid_get(struct rs_svm *svm);	/* I: a new ASID of this CPU */
void rs_svm_flush(struct rs_vcpu *vcpu);

/**
 * rs_svm_run - run.S: load the guest's registers, VMRUN, save them, restore the host's
 * @regs:    all general-purpose registers but RAX and RSP, which are in the VMCB
 * @vmcb_pa: physical address of the VMCB
 * @host_pa: page with this thread's VMSAVE state
 * Context I. NMIs are held off until it returns.
 */
asmlinkage void rs_svm_run(struct rs_regs *regs, u64 vmcb_pa, u64 host_pa);

#endif /* RS_SVM_H */
