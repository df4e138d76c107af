// SPDX-License-Identifier: GPL-2.0-only
/*
 * vmcs.c - the life of a VMCS, and the registers in it
 *
 * A VMCS may be active on one CPU only, because the CPU is free to keep its contents inside. So
 * there is an order:
 *
 *	1. A vCPU that comes to another CPU has the old one do VMCLEAR, by an IPI that it waits
 *	   for: the contents are in memory now.
 *	2. VMPTRLD here, and the VMCS goes into this CPU's list.
 *	3. A CPU that turns VMX off clears all in its list first (rs_vmcs_clear_all).
 *
 * VMPTRLD is done with interrupts off, so that neither 1 nor 3 for the same CPU gets between it and
 * the list. After VMCLEAR the next entry must be VMLAUNCH.
 *
 * Fields are written from tables of (field, value). Host fields that cannot change are written at
 * the first load (host_fields), those that depend on the CPU at each migration (cpu_fields); vmx.c
 * keeps those that may change at any time. Guest fields are written by RS_SET_STATE.
 */
#include <linux/gfp.h>
#include <linux/kernel.h>
#include <linux/percpu.h>
#include <linux/smp.h>
#include <asm/cpu_entry_area.h>
#include <asm/desc.h>
#include <asm/msr.h>
#include <asm/nospec-branch.h>
#include <asm/processor-flags.h>
#include <asm/segment.h>
#include <asm/special_insns.h>
#include <asm/tlbflush.h>
#include <asm/trapnr.h>
#include "vmx.h"

/*
 * What the guest's CR0 is, always; NE is demanded by VMX, the rest is the contract of struct
 * rs_vcpu_state.
 */
#define GUEST_CR0_VALUE							\
	(X86_CR0_PE | X86_CR0_MP | X86_CR0_ET | X86_CR0_NE | X86_CR0_WP |	\
	 X86_CR0_AM | X86_CR0_PG)

/* The bits of CR4 that the guest may change without us: a global flush by toggling PGE. */
#define GUEST_OWNED_CR4	X86_CR4_PGE

struct field_value {
	u32 field;
	u64 value;
};

static void write_fields(const struct field_value *f, size_t n)
{
	for (; n; n--, f++)
		rs_vmwrite(f->field, f->value);
}

#define WRITE_FIELDS(table)	write_fields(table, ARRAY_SIZE(table))

static u64 read_msr(u32 msr)
{
	u64 val;

	rdmsrl(msr, val);
	return val;
}

#define EXCEPTIONS	(BIT(X86_TRAP_DB) | BIT(X86_TRAP_AC) | BIT(X86_TRAP_MC))

static void write_constant_fields(const struct rs_vmx *vmx)
{
	const struct rs_vmx_caps *caps = &rs_vmx_caps;
	const struct field_value control_fields[] = {
		{ PIN_BASED_VM_EXEC_CONTROL,	caps->pin },
		{ CPU_BASED_VM_EXEC_CONTROL,	caps->proc },
		{ SECONDARY_VM_EXEC_CONTROL,	caps->proc2 },
		{ VM_EXIT_CONTROLS,		caps->exit },
		{ VM_ENTRY_CONTROLS,		caps->entry },
		/*
		 * #DB and #AC: a guest whose handlers run at the privilege that faults could keep
		 * the CPU delivering them for ever. #MC is the host's. Everything else is the
		 * guest's own affair.
		 */
		{ EXCEPTION_BITMAP,		EXCEPTIONS },
		{ PAGE_FAULT_ERROR_CODE_MASK,	0 },
		{ PAGE_FAULT_ERROR_CODE_MATCH,	0 },
		{ CR3_TARGET_COUNT,		0 },
		{ VM_EXIT_MSR_STORE_COUNT,	0 },
		{ VM_EXIT_MSR_LOAD_COUNT,	0 },
		{ VM_ENTRY_MSR_LOAD_COUNT,	0 },
		{ MSR_BITMAP,			__pa(rs_vmx_msr_bitmap) },
		{ EPT_POINTER,			vmx->eptp },
		{ VMCS_LINK_POINTER,		~0ull },
		{ CR0_GUEST_HOST_MASK,		~0ull },
		{ CR4_GUEST_HOST_MASK,		~(u64)GUEST_OWNED_CR4 },
	};
	const struct field_value host_fields[] = {
		{ HOST_CR0,			read_cr0() },
		{ HOST_CS_SELECTOR,		__KERNEL_CS },
		{ HOST_SS_SELECTOR,		__KERNEL_DS },
		/*
		 * A host selector must have RPL 0; what the thread really has is put back by
		 * vcpu_put.
		 */
		{ HOST_DS_SELECTOR,		0 },
		{ HOST_ES_SELECTOR,		0 },
		{ HOST_FS_SELECTOR,		0 },
		{ HOST_GS_SELECTOR,		0 },
		{ HOST_TR_SELECTOR,		GDT_ENTRY_TSS * 8 },
		{ HOST_IA32_SYSENTER_CS,	read_msr(MSR_IA32_SYSENTER_CS) },
		{ HOST_IA32_SYSENTER_EIP,	read_msr(MSR_IA32_SYSENTER_EIP) },
		{ HOST_RIP,			(unsigned long)rs_vmx_exit },
	};

	WRITE_FIELDS(control_fields);
	WRITE_FIELDS(host_fields);
	if (caps->timer)
		rs_vmwrite(VMX_PREEMPTION_TIMER_VALUE, caps->timer);
	if (caps->proc2 & SECONDARY_EXEC_ENCLS_EXITING)
		rs_vmwrite(ENCLS_EXITING_BITMAP, ~0ull);
}

static void write_cpu_fields(int cpu)
{
	struct desc_ptr idt;

	const struct x86_hw_tss *tss = &get_cpu_entry_area(cpu)->tss.x86_tss;

	store_idt(&idt);
	{
		const struct field_value cpu_fields[] = {
			{ HOST_GS_BASE,			read_msr(MSR_GS_BASE) },
			{ HOST_TR_BASE,			(unsigned long)tss },
			{ HOST_GDTR_BASE,		(unsigned long)get_cpu_gdt_ro(cpu) },
			{ HOST_IDTR_BASE,		idt.address },
			{ HOST_IA32_SYSENTER_ESP,	read_msr(MSR_IA32_SYSENTER_ESP) },
		};

		WRITE_FIELDS(cpu_fields);
	}
}

/* --- life --- */

int rs_vmcs_alloc(struct rs_vmx *vmx)
{
	u32 *vmcs = (u32 *)get_zeroed_page(GFP_KERNEL_ACCOUNT);

	if (!vmcs)
		return -ENOMEM;
	vmcs[0] = rs_vmx_caps.revision;
	vmx->vmcs = vmcs;
	vmx->cpu = -1;
	vmx->last_cpu = -1;
	INIT_LIST_HEAD(&vmx->active_link);
	return 0;
}

/* On the CPU where the VMCS is active, interrupts off. */
static void clear_here(struct rs_vmx *vmx, struct rs_vmx_cpu *pcpu)
{
	rs_vmclear(__pa(vmx->vmcs));
	list_del_init(&vmx->active_link);
	if (pcpu->current_vmx == vmx)
		pcpu->current_vmx = NULL;
	vmx->launched = false;
	/* Last: another CPU takes the VMCS when it sees this. Pairs with the acquire in clear(). */
	smp_store_release(&vmx->cpu, -1);
}

static void clear_ipi(void *arg)
{
	struct rs_vmx *vmx = arg;

	/* The CPU may have been turned off, which clears, before this IPI came. */
	if (vmx->cpu == smp_processor_id())
		clear_here(vmx, this_cpu_ptr(&rs_vmx_cpu));
}

/* Make the VMCS active nowhere. Interrupts on. */
static void clear(struct rs_vmx *vmx)
{
	int cpu = READ_ONCE(vmx->cpu);

	/* Fails when the CPU has gone offline, and then it cleared the VMCS on its way. */
	if (cpu >= 0)
		smp_call_function_single(cpu, clear_ipi, vmx, 1);
	/* pairs with the release of clear_here() */
	WARN_ON_ONCE(smp_load_acquire(&vmx->cpu) >= 0);
}

void rs_vmcs_free(struct rs_vmx *vmx)
{
	if (!vmx->vmcs)
		return;
	clear(vmx);
	free_page((unsigned long)vmx->vmcs);
	vmx->vmcs = NULL;
}

void rs_vmcs_clear_all(struct rs_vmx_cpu *pcpu)
{
	struct rs_vmx *vmx, *tmp;

	list_for_each_entry_safe(vmx, tmp, &pcpu->active, active_link)
		clear_here(vmx, pcpu);
	pcpu->current_vmx = NULL;
}

void rs_vmcs_load(struct rs_vmx *vmx, int cpu)
{
	struct rs_vmx_cpu *pcpu = this_cpu_ptr(&rs_vmx_cpu);
	unsigned long flags;

	if (vmx->cpu != cpu)
		clear(vmx);

	local_irq_save(flags);
	if (!pcpu->on)
		goto out;
	if (vmx->cpu < 0) {
		/* A new one is in no defined state before its first VMCLEAR. */
		rs_vmclear(__pa(vmx->vmcs));
		list_add(&vmx->active_link, &pcpu->active);
		vmx->cpu = cpu;
	}
	if (WARN_ON_ONCE(!rs_vmptrld(__pa(vmx->vmcs)))) {
		clear_here(vmx, pcpu);
		goto out;
	}
	pcpu->current_vmx = vmx;
	/* What one guest taught the branch predictors must not steer another. */
	indirect_branch_prediction_barrier();

	if (vmx->last_cpu != cpu) {
		if (!vmx->initialised) {
			write_constant_fields(vmx);
			vmx->proc = rs_vmx_caps.proc;
			vmx->host_rsp = 0;
			vmx->host_cr3 = 0;
			vmx->host_cr4 = 0;
			vmx->host_fs_base = 0;
			rs_vmwrite(HOST_FS_BASE, 0);
			vmx->initialised = true;
		}
		write_cpu_fields(cpu);
		vmx->last_cpu = cpu;
		vmx->stale = RS_VMX_STALE_VPID | RS_VMX_STALE_EPT;
	} else if (!rs_vpid_valid(pcpu, vmx)) {
		vmx->stale |= RS_VMX_STALE_VPID;
	}
out:
	local_irq_restore(flags);
}

/* --- registers --- */

/* Access rights: 64-bit code, readable; data, writable; both accessed; a busy 64-bit TSS. */
#define AR_SEG		(VMX_AR_G_MASK | VMX_AR_P_MASK | VMX_AR_S_MASK)
#define AR_CODE		(AR_SEG | VMX_AR_L_MASK | 0xb)
#define AR_DATA		(AR_SEG | VMX_AR_DB_MASK | 0x3)
#define AR_TSS		(VMX_AR_P_MASK | VMX_AR_TYPE_BUSY_64_TSS)

void rs_vmx_set_state(struct rs_vcpu *vcpu, const struct rs_vcpu_state *st)
{
	struct rs_vmx *vmx = vcpu->vmx;
	u32 dpl = st->cpl << VMX_AR_DPL_SHIFT;
	u64 host_efer = read_msr(MSR_EFER);
	u32 entry_efer = st->efer != host_efer ? VM_ENTRY_LOAD_IA32_EFER : 0;
	u32 exit_efer = st->efer != host_efer ? VM_EXIT_LOAD_IA32_EFER : 0;
	const struct field_value guest_fields[] = {
		{ GUEST_RIP,			st->rip },
		{ GUEST_RSP,			st->rsp },
		{ GUEST_RFLAGS,			st->rflags },
		{ GUEST_CR0,			GUEST_CR0_VALUE },
		{ CR0_READ_SHADOW,		GUEST_CR0_VALUE },
		{ GUEST_CR3,			st->cr3 },
		/*
		 * VMX demands CR4.VMXE, and without CR4.MCE a machine check in the guest would shut
		 * the CPU down; the guest sees neither.
		 */
		{ GUEST_CR4,			st->cr4 | rs_vmx_caps.cr4_fixed0 |
						(cr4_read_shadow() & X86_CR4_MCE) },
		{ CR4_READ_SHADOW,		st->cr4 },
		{ GUEST_DR7,			0x400 },
		{ GUEST_IA32_DEBUGCTL,		0 },
		{ GUEST_CS_SELECTOR,		st->cpl ? __USER_CS : __KERNEL_CS },
		{ GUEST_SS_SELECTOR,		st->cpl ? __USER_DS : __KERNEL_DS },
		{ GUEST_DS_SELECTOR,		0 },
		{ GUEST_ES_SELECTOR,		0 },
		{ GUEST_FS_SELECTOR,		0 },
		{ GUEST_GS_SELECTOR,		0 },
		{ GUEST_LDTR_SELECTOR,		0 },
		{ GUEST_TR_SELECTOR,		GDT_ENTRY_TSS * 8 },
		{ GUEST_CS_AR_BYTES,		AR_CODE | dpl },
		{ GUEST_SS_AR_BYTES,		AR_DATA | dpl },
		{ GUEST_DS_AR_BYTES,		AR_DATA | dpl },
		{ GUEST_ES_AR_BYTES,		AR_DATA | dpl },
		{ GUEST_FS_AR_BYTES,		AR_DATA | dpl },
		{ GUEST_GS_AR_BYTES,		AR_DATA | dpl },
		{ GUEST_LDTR_AR_BYTES,		VMX_AR_UNUSABLE_MASK },
		{ GUEST_TR_AR_BYTES,		AR_TSS },
		{ GUEST_CS_LIMIT,		~0u },
		{ GUEST_SS_LIMIT,		~0u },
		{ GUEST_DS_LIMIT,		~0u },
		{ GUEST_ES_LIMIT,		~0u },
		{ GUEST_FS_LIMIT,		~0u },
		{ GUEST_GS_LIMIT,		~0u },
		{ GUEST_LDTR_LIMIT,		0 },
		{ GUEST_TR_LIMIT,		0x67 },
		{ GUEST_GDTR_LIMIT,		0 },
		{ GUEST_IDTR_LIMIT,		0 },
		{ GUEST_CS_BASE,		0 },
		{ GUEST_SS_BASE,		0 },
		{ GUEST_DS_BASE,		0 },
		{ GUEST_ES_BASE,		0 },
		{ GUEST_FS_BASE,		st->fs_base },
		{ GUEST_GS_BASE,		st->gs_base },
		{ GUEST_LDTR_BASE,		0 },
		{ GUEST_TR_BASE,		0 },
		{ GUEST_GDTR_BASE,		0 },
		{ GUEST_IDTR_BASE,		0 },
		{ GUEST_SYSENTER_CS,		0 },
		{ GUEST_SYSENTER_ESP,		0 },
		{ GUEST_SYSENTER_EIP,		0 },
		{ GUEST_ACTIVITY_STATE,		GUEST_ACTIVITY_ACTIVE },
		{ GUEST_INTERRUPTIBILITY_INFO,	0 },
		{ GUEST_PENDING_DBG_EXCEPTIONS,	0 },
		{ VM_ENTRY_INTR_INFO_FIELD,	0 },
		{ VM_ENTRY_CONTROLS,		rs_vmx_caps.entry | entry_efer },
		{ VM_EXIT_CONTROLS,		rs_vmx_caps.exit | exit_efer },
		{ GUEST_IA32_EFER,		st->efer },
		{ HOST_IA32_EFER,		host_efer },
	};

	WRITE_FIELDS(guest_fields);
	vcpu->regs.cr2 = st->cr2;
	vmx->efer = st->efer;
	vmx->event = false;
	rs_vmx_want_window(vcpu, false);
	/* Translations of the old CR3 must not be found under the new one. */
	vmx->stale |= RS_VMX_STALE_VPID;

	/*
	 * The SYSCALL MSRs: selectors and flags as Linux has them, no entry point. This CPU has the
	 * old ones loaded.
	 */
	rs_vmx_reset_msrs(vmx);
}

void rs_vmx_get_state(struct rs_vcpu *vcpu, struct rs_vcpu_state *st)
{
	st->rip = rs_vmread(GUEST_RIP);
	st->rsp = rs_vmread(GUEST_RSP);
	st->rflags = rs_vmread(GUEST_RFLAGS);
	st->cr2 = vcpu->regs.cr2;
	st->cr3 = rs_vmread(GUEST_CR3);
	st->cr4 = (rs_vmread(CR4_READ_SHADOW) & ~(u64)GUEST_OWNED_CR4) |
		  (rs_vmread(GUEST_CR4) & GUEST_OWNED_CR4);
	st->efer = vcpu->vmx->efer;
	st->fs_base = rs_vmread(GUEST_FS_BASE);
	st->gs_base = rs_vmread(GUEST_GS_BASE);
	st->cpl = VMX_AR_DPL(rs_vmread(GUEST_SS_AR_BYTES));
}

u64 rs_vmx_get_rip(struct rs_vcpu *vcpu)
{
	return rs_vmread(GUEST_RIP);
}
