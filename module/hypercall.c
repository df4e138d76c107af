// SPDX-License-Identifier: GPL-2.0-only
/*
 * hypercall.c - hypercalls: the few the module answers, and passing on the others
 *
 * The number and every argument are the guest's: nothing here trusts them, and nothing here reads
 * guest memory. Registers of the NIC are reached in a context that may sleep (RS_NEXT_NIC).
 */
#include <asm/trapnr.h>
#include "trace.h"
#include "vcpu.h"

static u64 fault_info(const struct rs_vcpu *vcpu, u64 what)
{
	switch (what) {
	case 0:
		return vcpu->fault_info.gpa;
	case 1:
		return vcpu->fault_info.gva;
	case 2:
		return vcpu->fault_info.access;
	default:
		return RS_HC_ENOSYS;
	}
}

static u64 exit_count(const struct rs_vcpu *vcpu)
{
	const u64 *exits = vcpu->count.exits;

	return rs_vcpu_exits(vcpu) - exits[RS_X_INTERRUPT] - exits[RS_X_NMI];
}

static enum rs_next to_user(struct rs_vcpu *vcpu)
{
	struct rs_run *run = vcpu->run;

	run->hypercall.nr = vcpu->regs.rax;
	run->hypercall.args[0] = vcpu->regs.rdi;
	run->hypercall.args[1] = vcpu->regs.rsi;
	run->hypercall.args[2] = vcpu->regs.rdx;
	run->hypercall.args[3] = vcpu->regs.r10;
	run->exit_reason = RS_EXIT_HYPERCALL;
	vcpu->ret_pending = true;
	return RS_NEXT_USER;
}

/*
 * The instruction exits from ring 3 as it does from ring 0, wherever it stands. Ring 3 must not get
 * past the guest kernel that way; nor may program code where the kernel is only a part of the upper
 * half. Each flag is a rule of its own.
 */
static noinline bool is_allowed(const struct rs_vcpu *vcpu)
{
	if (vcpu->exit.cpl && !(vcpu->vm_flags & RS_VM_USER_HYPERCALLS))
		return false;
	/* the sign is the half: an address between the halves cannot be executed */
	return !(vcpu->vm_flags & RS_VM_KERNEL_HYPERCALLS) ||
	       (s64)static_call(rs_get_rip)((struct rs_vcpu *)vcpu) < 0;
}

enum rs_next rs_hypercall(struct rs_vcpu *vcpu)
{
	struct rs_regs *r = &vcpu->regs;
	u64 nr = r->rax;

	if (unlikely(vcpu->exit.cpl | (vcpu->vm_flags & RS_VM_KERNEL_HYPERCALLS)) &&
	    !is_allowed(vcpu)) {
		rs_inject_fault(vcpu, X86_TRAP_UD);
		return RS_NEXT_ENTER;
	}
	if (trace_rs_hypercall_enabled())
		trace_rs_hypercall(vcpu, nr);
	if (nr >= RS_HC_USER) {
		static_call(rs_skip_insn)(vcpu);
		return to_user(vcpu);
	}
	/* A signal may come before it is done; then the guest makes the call once more. */
	if (nr == RS_HC_NIC_READ || nr == RS_HC_NIC_WRITE)
		return RS_NEXT_NIC;
	static_call(rs_skip_insn)(vcpu);
	switch (nr) {
	case RS_HC_NULL:
		r->rax = 0;
		break;
	case RS_HC_EXIT_COUNT:
		r->rax = exit_count(vcpu);
		break;
	case RS_HC_FAULT_INFO:
		r->rax = fault_info(vcpu, r->rdi);
		break;
	case RS_HC_NIC_DOORBELL:
		r->rax = rs_nic_doorbell(vcpu, r->rdi);
		break;
	default:
		r->rax = RS_HC_ENOSYS;
	}
	return RS_NEXT_ENTER;
}
