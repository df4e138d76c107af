// SPDX-License-Identifier: GPL-2.0-only
/*
 * fpu.c - loading the thread's FPU registers; see fpu.h
 */
#include <linux/sched.h>
#include <asm/fpu/api.h>
#include "compat.h"
#include "fpu.h"

void rs_fpu_load(void)
{
	lockdep_assert_irqs_disabled();
	/*
	 * A kernel thread has none, and the scheduler marks it all the same (6.1). Only the module's own
	 * tests run a vCPU in one.
	 */
	if (unlikely(current->flags & PF_KTHREAD)) {
		clear_thread_flag(TIF_NEED_FPU_LOAD);
		return;
	}
	/*
	 * The scheduler and in-kernel users of the FPU saved the thread's registers and left its
	 * reloading to the way back to user space. Guest code needs them now. Interrupts stay off
	 * until the guest is entered, so nobody takes them away again.
	 */
	switch_fpu_return();
}
