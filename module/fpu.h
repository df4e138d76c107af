/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * fpu.h - the guest uses the FPU registers of the thread that runs it
 *
 * There is no FPU state of a vCPU: x87, SSE, AVX and AVX-512 registers are those of the host
 * thread, so that nothing is saved or restored at an exit and the host process sees the guest's
 * registers in a hypercall. The scheduler saves and restores them with the thread. XCR0 is the
 * host's for everybody, XSETBV is intercepted.
 *
 * Two registers are put back before anything but the run loop runs. PKRU: to Linux it is the host
 * thread's protection for its own memory, and guest code can change it with XRSTOR although the
 * guest has no protection keys. XCR0: a guest that exits at XSETBV cannot change it, but not every
 * implementation of SVM exits there (QEMU's emulation does not), and Linux would lose track of its
 * FPU state.
 */
#ifndef RS_FPU_H
#define RS_FPU_H

#include <asm/fpu/xcr.h>
#include <asm/pkru.h>
#include "vcpu.h"

/* I: the registers may hold another's state (TIF_NEED_FPU_LOAD): load the thread's. */
void rs_fpu_load(void);

/* L: remember what guest code must not change. */
static __always_inline void rs_fpu_note_host(struct rs_vcpu *vcpu)
{
	vcpu->host_pkru = read_pkru();
}

/* I: undo what guest code changed. */
static __always_inline void rs_fpu_restore_host(const struct rs_vcpu *vcpu)
{
	write_pkru(vcpu->host_pkru);
	if (vcpu->host_xcr0 && unlikely(xgetbv(XCR_XFEATURE_ENABLED_MASK) != vcpu->host_xcr0))
		xsetbv(XCR_XFEATURE_ENABLED_MASK, vcpu->host_xcr0);
}

#endif /* RS_FPU_H */
