// SPDX-License-Identifier: MIT
/*
 * Signals of a thread inside: not here yet. Until then handlers are called by Linux on the loop's stack with the loop's registers, which is
 * wrong for all that look at them; rt_sigreturn answers ENOSYS; a fault of the program ends the process by its signal.
 */
#include <errno.h>
#include <sys/mman.h>

#include "raw.h"
#include "self.h"

int self_signals_start(void)
{
	return 0;
}

void self_signals_enter(struct self_vcpu *v)
{
	(void)v;
}

void self_signals_leave(struct self_vcpu *v)
{
	(void)v;
}

void self_signals_child(struct self_vcpu *v)
{
	(void)v;
}

int self_signals_call(struct self_vcpu *v, enum self_next *next)
{
	if (v->frame.rax != __NR_rt_sigreturn)
		return 0;
	v->frame.rax = -ENOSYS;
	*next = SELF_CALL;
	return 1;
}

enum self_next self_signals_deliver(struct self_vcpu *v, enum self_next next)
{
	v->pending = 0;
	return next;
}

enum self_next self_signals_fault(struct self_vcpu *v, const siginfo_t *info)
{
	uint64_t dfl[4] = { 0 }, none = 0;

	self_say("signal %d code %d at %#llx address %#lx", info->si_signo, info->si_code, v->frame.rip, (unsigned long)info->si_addr);
	rs_raw4(__NR_rt_sigaction, info->si_signo, (long)dfl, 0, 8);
	rs_raw4(__NR_rt_sigprocmask, SIG_SETMASK, (long)&none, 0, 8);
	rs_raw3(__NR_tkill, rs_raw3(__NR_gettid, 0, 0, 0), info->si_signo, 0);
	self_die("the signal did not end the process");
}

/* By asking Linux for the page, which knows no address's reason. */
int self_probe(struct self_vcpu *v, uint64_t addr, uint32_t access, siginfo_t *info)
{
	volatile uint64_t *w = (uint64_t *)info;
	unsigned int i;
	long ret = rs_raw3(__NR_madvise, addr & ~4095ul, 4096, access & RS_FAULT_WRITE ? 23 /* MADV_POPULATE_WRITE */ : 22);

	(void)v;
	if (!ret)
		return 0;
	for (i = 0; i < sizeof(*info) / 8; i++)
		w[i] = 0;
	info->si_signo = SIGSEGV;
	info->si_code = ret == -ENOMEM ? SEGV_MAPERR : SEGV_ACCERR;
	info->si_addr = (void *)addr;
	return 1;
}
