// SPDX-License-Identifier: GPL-2.0-only
/*
 * mmio.c - the register page: an access of the guest that trapped is finished here
 *
 * The page is part of a region without memory, so every access is a nested fault. The protocol:
 *
 *	1. fetch the instruction at RIP through the guest's page tables (in guest memory, hostile)
 *	2. decode it; its address, translated the same way, must be the one that trapped, and it must
 *	   store if the access was a write
 *	3. the model's register is read or written; the guest's register gets the value; RIP moves on
 *
 * Nothing has happened before 3. What cannot be finished is a general protection fault, error code 0,
 * in the guest, as for an access that the bus refuses on hardware that has an error to report: an
 * instruction that is not a plain MOV of 4 aligned bytes (decode.h), or that cannot be fetched any
 * more, a load of RSP, instruction fetches and page tables in the page. It is not #UD, because the
 * instruction exists. Ring 3 gets it for every access: it may run 32-bit code, whose instructions mean
 * something else, and registers of devices are not its to reach. (Ring 0 is in 64-bit mode: ringside.h.)
 *
 * The delivery of an event that runs into the page ends RS_RUN: there is no instruction to blame.
 */
#include <linux/kernel.h>
#include <linux/string.h>
#include <asm/pgtable_types.h>
#include "decode.h"
#include "nic.h"
#include "trace.h"

#define RSP	4	/* number of the register */

/* The NIC whose register page holds @gpa. */
static struct rs_nic *nic_at(const struct rs_vcpu *vcpu, u64 gpa)
{
	int i;

	for (i = 0; i < RS_MAX_NICS; i++) {
		struct rs_nic *nic = rs_nic_of(vcpu, i);

		if (nic && nic->has_regs && gpa >= nic->regs_gpa &&
		    gpa - nic->regs_gpa < RS_NIC_REGS_SIZE)
			return nic;
	}
	return NULL;
}

/*
 * GVA to GPA by the guest's 4-level tables, as the CPU has just done for a supervisor access. Rights
 * were its to check. -EFAULT: what it has found is not there any more.
 */
static int translate(struct rs_mmu_access *a, u64 cr3, u64 gva, u64 *gpa)
{
	u64 table = cr3 & PTE_PFN_MASK, entry;
	int level;

	if ((u64)((s64)(gva << 16) >> 16) != gva)
		return -EFAULT;
	for (level = 4; ; level--) {
		const int shift = PAGE_SHIFT + 9 * (level - 1);
		const u64 mask = (1ull << shift) - 1;

		if (rs_mmu_read(a, table + 8 * (gva >> shift & 511), &entry, sizeof(entry)) ||
		    !(entry & _PAGE_PRESENT))
			return -EFAULT;
		if (level == 1 || (level < 4 && (entry & _PAGE_PSE))) {
			*gpa = (entry & PTE_PFN_MASK & ~mask) | (gva & mask);
			return 0;
		}
		table = entry & PTE_PFN_MASK;
	}
}

/* The bytes at @rip, up to @max; fewer when the next page is not to be had. Returns how many. */
static u32 fetch(struct rs_mmu_access *a, u64 cr3, u64 rip, u8 *insn, u32 max)
{
	u32 got = 0;

	while (got < max) {
		u32 n = min_t(u32, max - got, PAGE_SIZE - offset_in_page(rip + got));
		u64 gpa;

		if (translate(a, cr3, rip + got, &gpa) || rs_mmu_read(a, gpa, insn + got, n))
			break;
		got += n;
	}
	return got;
}

/* Steps 1 and 2. false: not an access that can be finished. */
static bool understand(struct rs_nic *nic, const struct rs_exit *x, u64 cr3,
		       const struct rs_mov_cpu *cpu, struct rs_mov *mov)
{
	const u32 no = RS_FAULT_FETCH | RS_FAULT_WALK;
	u8 insn[RS_MOV_MAX];
	u64 gpa;
	u32 n;

	if (x->cpl || (x->access & no))
		return false;
	n = fetch(&nic->access, cr3, cpu->rip, insn, sizeof(insn));
	if (rs_mov_decode(insn, n, cpu, mov))
		return false;
	if (mov->size != 4 || (x->gpa & 3) || (!mov->write && mov->reg == RSP && !mov->high))
		return false;
	if (mov->write != !!(x->access & RS_FAULT_WRITE))
		return false;
	return !translate(&nic->access, cr3, mov->ea, &gpa) && gpa == x->gpa;
}

/* Step 3, but for RIP. */
static void finish(struct rs_vcpu *vcpu, struct rs_nic *nic, const struct rs_exit *x,
		   const struct rs_mov *mov, u32 *what)
{
	u64 *gpr = (u64 *)&vcpu->regs;
	u32 offset = x->gpa - nic->regs_gpa, value;

	if (mov->write) {
		*what = rs_e1000_reg_write(nic->model, offset, mov->value);
		return;
	}
	value = rs_e1000_reg_read(nic->model, offset, what);
	gpr[mov->reg] = rs_mov_result(mov, gpr[mov->reg], value);
}

int rs_nic_mmio(struct rs_vcpu *vcpu, struct rs_mmio *m)
{
	const struct rs_exit *x = &vcpu->exit;
	struct rs_nic *nic = nic_at(vcpu, x->gpa);
	struct rs_mov_cpu cpu;
	struct rs_mov mov;
	u32 what = 0;

	BUILD_BUG_ON(offsetof(struct rs_regs, r15) != 15 * sizeof(u64));
	if (!nic || x->delivering)
		return -ENODEV;
	memcpy(cpu.gpr, &vcpu->regs, sizeof(cpu.gpr));
	cpu.gpr[RSP] = m->state.rsp;
	cpu.rip = m->state.rip;
	cpu.fs_base = m->state.fs_base;
	cpu.gs_base = m->state.gs_base;
	if (rs_nic_begin(nic))
		return -EINTR;
	m->len = 0;
	if (understand(nic, x, m->state.cr3, &cpu, &mov)) {
		finish(vcpu, nic, x, &mov, &what);
		m->len = mov.len;
	}
	rs_nic_settle(nic, what);
	return 0;
}
