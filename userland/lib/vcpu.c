// SPDX-License-Identifier: MIT
/*
 * The run loop of a vCPU.
 *
 *	enter the guest
 *	why did it come back?	a call: do it, leave the result, again
 *				interrupted: again (a handler has left what the guest must know in
 *				the run page and the shared page) anything else: rare, behind
 *				rs_slow()
 *
 * The guest's vector registers are in this thread's registers all the time: nothing here may use
 * them (the Makefile compiles this file with -mgeneral-regs-only and checks that it calls nothing
 * of libc).
 */
#include <errno.h>

#include "raw.h"
#include "sandbox.h"

static void leave(struct rs_vcpu *v, int result)
{
	v->run_result = result;
	rs_slow(rs_exit_slow, v, v->caller.xsave);
}

void rs_vcpu_loop(struct rs_vcpu *v)
{
	int (*run)(struct rs_engine_vcpu *) = v->caller.sb->engine.ops->run;
	struct rs_sandbox *sb = v->caller.sb;
	struct rs_run *page = v->engine.run;

	while (!sb->finished) {
		int ret = run(&v->engine);

		if (ret == 0 && page->exit_reason == RS_EXIT_HYPERCALL &&
		    page->hypercall.nr == RS_HC_CALL) {
			v->shared->call.ret = rs_dispatch(&v->caller);
			page->hypercall.ret = 0;
			continue;
		}
		if (ret == -EINTR && !sb->force_signal)
			continue;
		leave(v, ret);
	}
}
