/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * vmx.h - what the files of the VMX backend share
 *
 *	caps.c	which VMX this is			vmx.c	CPUs, load and put, enter, MSRs
 *	vmcs.c	life of a VMCS, registers		exit.c	why the guest was left, events
 *	ept.c	format and pointer of the nested table	vpid.c	tags of translations
 *	run.S	the entry itself
 *
 * Where things are. A VMCS is "active" on the CPU that last loaded it (rs_vmx.cpu) and in that
 * CPU's list, until it is cleared there; it is "current" on a CPU when VMREAD and VMWRITE mean it.
 * Context L of backend.h implies: current here.
 *
 * Every VMX instruction may find VMX off: the reboot notifier turns it off under the feet of vCPU
 * threads. With interrupts off and rs_cpu_is_on() it cannot happen; elsewhere the instruction
 * faults, the exception table skips it, and reads give 0. Such a vCPU never enters again, so that
 * wrong values in its registers are of no consequence.
 */
#ifndef RS_VMX_H
#define RS_VMX_H

#include <linux/bug.h>
#include <linux/list.h>
#include <linux/types.h>
#include <asm/asm.h>
#include <asm/desc_defs.h>
#include <asm/vmx.h>
#include "../vcpu.h"
#include "caps.h"

/*
 * MSRs of the SYSCALL instruction: not in the VMCS, so that load and put exchange them, where they
 * differ.
 */
enum rs_vmx_msr {
	RS_VMX_STAR,
	RS_VMX_LSTAR,
	RS_VMX_CSTAR,
	RS_VMX_SFMASK,
	RS_VMX_NR_MSRS
};

/* What must be renewed before the next entry. */
#define RS_VMX_STALE_VPID	BIT(0)	/* no VPID here yet, or one with outdated translations */
#define RS_VMX_STALE_EPT	BIT(1)	/* this CPU may have outdated nested translations */

/** struct rs_vmx - a vCPU on VMX */
struct rs_vmx {
	/* --- each entry --- */
	unsigned long host_rsp;		/* what the VMCS has in HOST_RSP, HOST_CR3, ... */
	unsigned long host_cr3;
	unsigned long host_cr4;
	u64 host_debugctl;		/* of this CPU; a VM exit clears the MSR */
	u32 stale;			/* RS_VMX_STALE_* */
	u32 reason;			/* VM_EXIT_REASON of the last exit, or RS_VMX_VMFAIL */
	bool launched;			/* the next entry is VMRESUME */
	bool event;			/* VM_ENTRY_INTR_INFO_FIELD is valid */
	bool host_ran;			/* other code of the host than this ran since the entry */
	u32 proc;			/* what the VMCS has in CPU_BASED_VM_EXEC_CONTROL */

	/* --- each load and put --- */
	unsigned long host_fs_base;	/* what the VMCS has in HOST_FS_BASE */
	unsigned long user_gs;		/* of the host's thread */
	unsigned long guest_kernel_gs;	/* MSR_KERNEL_GS_BASE of the guest */
	u32 selectors;			/* 0: all of the next are, and not written */
	u16 ds, es, fs, gs, ldt;	/* selectors of the host's thread */
	u32 msr_diff;			/* bit per enum rs_vmx_msr: not the host's value */
	u64 msr[RS_VMX_NR_MSRS];	/* of the guest */

	/* --- the rest --- */
	struct rs_vcpu *vcpu;
	void *vmcs;
	/* Where the VMCS is active, -1: nowhere. Changed on that CPU with interrupts off. */
	int cpu;
	int last_cpu;			/* where it was active last, -1: never was */
	struct list_head active_link;	/* in rs_vmx_cpu.active */
	bool initialised;		/* the constant fields are written */
	u16 vpid;			/* 0: VPIDs are not used */
	u64 vpid_gen;			/* generation of the CPU's VPIDs that @vpid belongs to */
	u64 efer;
	u64 eptp;
};

/** struct rs_vmx_cpu - a CPU; used on that CPU only */
struct rs_vmx_cpu {
	bool on;			/* VMXON was done. Changed with interrupts off */
	void *vmxon;			/* region */
	struct rs_vmx *current_vmx;	/* whose VMCS is current; NULL: unknown */
	struct list_head active;	/* struct rs_vmx; changed with interrupts off */
	struct desc_ptr gdt;		/* Linux's, with its limit */
	u64 msr[RS_VMX_NR_MSRS];	/* Linux's, constant after boot */
	u32 next_vpid;			/* vpid.c */
	u64 vpid_gen;
};

DECLARE_PER_CPU(struct rs_vmx_cpu, rs_vmx_cpu);

#define RS_VMX_VMFAIL		0xffffffff	/* rs_vmx.reason: no entry, no exit */
#define RS_VMX_ENTRY_FAILED	BIT(31)		/* of an exit reason: guest state was refused */

/* --- run.S --- */
/*
 * Enter the guest of the current VMCS with @regs, come back with its registers in @regs. @host_rsp
 * caches HOST_RSP. Return 0 after a VM exit, 1 when the instruction failed. Interrupts off.
 */
asmlinkage int rs_vmx_run(struct rs_regs *regs, unsigned long *host_rsp, bool launched);
extern const char rs_vmx_exit[];	/* HOST_RIP */

/* --- vmx.c --- */
extern void *rs_vmx_msr_bitmap;
void rs_vmx_reset_msrs(struct rs_vmx *vmx);		/* L */

/* --- vmcs.c --- */
int rs_vmcs_alloc(struct rs_vmx *vmx);
void rs_vmcs_free(struct rs_vmx *vmx);			/* P; NULL VMCS allowed */
void rs_vmcs_load(struct rs_vmx *vmx, int cpu);		/* L: make it current here */
void rs_vmcs_clear_all(struct rs_vmx_cpu *pcpu);	/* C */
void rs_vmx_set_state(struct rs_vcpu *vcpu, const struct rs_vcpu_state *st);
void rs_vmx_get_state(struct rs_vcpu *vcpu, struct rs_vcpu_state *st);
u64 rs_vmx_get_rip(struct rs_vcpu *vcpu);

/* --- exit.c --- */
void rs_vmx_decode(struct rs_vcpu *vcpu);
void rs_vmx_skip_insn(struct rs_vcpu *vcpu);
void rs_vmx_inject(struct rs_vcpu *vcpu, const struct rs_event *ev);
bool rs_vmx_event_pending(struct rs_vcpu *vcpu);
bool rs_vmx_can_interrupt(struct rs_vcpu *vcpu);
void rs_vmx_want_window(struct rs_vcpu *vcpu, bool on);

/* --- ept.c --- */
const struct rs_pte_format *rs_ept_pick_format(void);
u64 rs_ept_pointer(const struct rs_mmu *mmu);
void rs_ept_flush(u64 eptp);				/* I: of this table, on this CPU */
void rs_ept_flush_all(void);				/* I: of every table */

/* --- vpid.c --- */
void rs_vpid_cpu_on(struct rs_vmx_cpu *pcpu);		/* C */
bool rs_vpid_valid(const struct rs_vmx_cpu *pcpu, const struct rs_vmx *vmx);
void rs_vpid_renew(struct rs_vmx_cpu *pcpu, struct rs_vmx *vmx);	/* I */

/* --- VMX instructions --- */

/*
 * In the debug kernel each access is checked. A failure means a field that this CPU lacks, or no
 * current VMCS: mistakes of ours, which do not depend on the guest, so that the other kernels need
 * not spend instructions on it.
 */
#define RS_VMX_CHECKED		IS_ENABLED(CONFIG_PROVE_LOCKING)

static __always_inline u64 rs_vmread(u32 field)
{
	unsigned long val;
	bool failed = false;

	if (RS_VMX_CHECKED)
		asm volatile("1:	vmread %[field], %[val]\n"
			     "	setna %[failed]\n"
			     "2:\n"
			     _ASM_EXTABLE_TYPE_REG(1b, 2b, EX_TYPE_ZERO_REG, %[val])
			     : [val] "=r" (val), [failed] "+r" (failed)
			     : [field] "r" ((unsigned long)field) : "cc");
	else
		asm volatile("1:	vmread %[field], %[val]\n"
			     "2:\n"
			     _ASM_EXTABLE_TYPE_REG(1b, 2b, EX_TYPE_ZERO_REG, %[val])
			     : [val] "=r" (val) : [field] "r" ((unsigned long)field) : "cc");
	if (RS_VMX_CHECKED)
		WARN_ONCE(failed, "VMREAD of field %#x failed\n", field);
	return val;
}

static __always_inline void rs_vmwrite(u32 field, u64 val)
{
	bool failed = false;

	if (RS_VMX_CHECKED)
		asm volatile("1:	vmwrite %[val], %[field]\n"
			     "	setna %[failed]\n"
			     "2:\n"
			     _ASM_EXTABLE(1b, 2b)
			     : [failed] "+r" (failed)
			     : [field] "r" ((unsigned long)field), [val] "rm" (val) : "cc");
	else
		asm volatile("1:	vmwrite %[val], %[field]\n"
			     "2:\n"
			     _ASM_EXTABLE(1b, 2b)
			     : : [field] "r" ((unsigned long)field), [val] "rm" (val) : "cc");
	if (RS_VMX_CHECKED)
		WARN_ONCE(failed, "VMWRITE of %#llx to field %#x failed\n", val, field);
}

/*
 * VMPTRLD, VMCLEAR and VMXON take the address of a 64-bit physical address. True: done; false:
 * refused, or VMX is off.
 */
#define RS_VMX_INSN(name)						\
static inline bool rs_##name(u64 pa)					\
{									\
	bool done = false;						\
									\
	asm volatile("1:	" #name " %[pa]\n"			\
		     "	seta %[done]\n"					\
		     "2:\n"						\
		     _ASM_EXTABLE(1b, 2b)				\
		     : [done] "+r" (done) : [pa] "m" (pa) : "cc", "memory"); \
	return done;							\
}

RS_VMX_INSN(vmxon)
RS_VMX_INSN(vmptrld)
RS_VMX_INSN(vmclear)

static inline void rs_vmxoff(void)
{
	asm volatile("1:	vmxoff\n"
		     "2:\n"
		     _ASM_EXTABLE(1b, 2b)
		     : : : "cc", "memory");
}

/* INVEPT and INVVPID: a type in a register and a 128-bit descriptor. */
#define RS_VMX_INV(name)						\
static inline bool rs_##name(unsigned long type, u64 lo, u64 hi)	\
{									\
	const struct { u64 lo, hi; } desc = { lo, hi };			\
	bool done = false;						\
									\
	asm volatile("1:	" #name " %[desc], %[type]\n"		\
		     "	seta %[done]\n"					\
		     "2:\n"						\
		     _ASM_EXTABLE(1b, 2b)				\
		     : [done] "+r" (done)				\
		     : [type] "r" (type), [desc] "m" (desc) : "cc", "memory"); \
	return done;							\
}

RS_VMX_INV(invept)
RS_VMX_INV(invvpid)

#endif /* RS_VMX_H */
