// SPDX-License-Identifier: MIT
/*
 * Signals of the host process become signals of the sandbox.
 *
 * A handler sets the signal's bit in the shared page and asks for RS_VECTOR_NOTIFY with the next
 * RS_RUN; the guest kernel takes the bits and does what the program wants (a handler, the default
 * action, nothing). Where the thread is decides what makes it notice:
 *
 *	in RS_RUN			it returns EINTR, the loop enters again, the vector is
 *					delivered
 *	in a forwarded call that sleeps	the call returns EINTR
 *	just before such a call		the handler finds the thread in rs_host_call()'s critical
 *					section and takes it out
 *	between RS_RUN's end and that	rs_host_call() sees the bit
 *
 * All this happens in the thread of vCPU 0, the first one: the others block these signals. What
 * they get is RS_SIGNAL_KICK, from each other (threads.c), and, as the first one does too, from the
 * module when the VM is ended from outside: out of RS_RUN, out of a call.
 *
 * Ctrl-C always works: INT, TERM, HUP and QUIT must be taken out of the shared page by the guest
 * kernel within a grace period (or before the user sends it again, a moment later); if not, the
 * guest kernel is not well and the sandbox ends with 128+N. What the program does with a signal
 * that was taken is its own affair.
 *
 * Left alone: SIGTTIN and SIGTTOU (the terminal's job control stops us as any process), SIGCHLD.
 * SIGURG is RS_SIGNAL_KICK. SIGPIPE is ignored, the guest kernel raises it from EPIPE. What was ignored when we
 * started stays ignored (nohup). SIGSEGV and SIGBUS in rs_copy_*() are an answer, elsewhere a bug.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "events.h"
#include "raw.h"
#include "threads.h"

#define GRACE_NS	3000000000ull	/* an emulator may be slow; a person waits that long */
#define AGAIN_NS	500000000ull

#define SIGNAL_GRACE	(SIGRTMAX)	/* the grace timer's own */

static struct rs_sandbox *sandbox;
static timer_t grace_timer;
static volatile int grace_signal; /* the signal it was started for, 0 when it is not running */
static uint64_t grace_since;

static __u64 *pending_word(void)
{
	return &sandbox->vcpus[0]->shared->pending;
}

static bool is_terminating(int sig)
{
	return sig == SIGINT || sig == SIGTERM || sig == SIGHUP || sig == SIGQUIT;
}

static void leave_critical_section(ucontext_t *uc)
{
	greg_t *rip = &uc->uc_mcontext.gregs[REG_RIP];

	if (*rip >= (greg_t)rs_host_call_begin && *rip < (greg_t)rs_host_call_end)
		*rip = (greg_t)rs_host_call_interrupted;
}

/*
 * The guest did not react. The run loop sees it when RS_RUN returns, and RS_KICK makes sure that it
 * does, also when we are on the way into it.
 */
static void force(int sig)
{
	sandbox->force_signal = sig;
	sandbox->engine.ops->kick(&sandbox->vcpus[0]->engine);
}

static void on_signal(int sig, siginfo_t *info, void *context)
{
	uint64_t bit = 1ull << (sig - 1), before;
	int saved = errno;

	(void)info;
	before = __atomic_fetch_or(pending_word(), bit, __ATOMIC_SEQ_CST);
	sandbox->vcpus[0]->engine.run->irq_vector = RS_VECTOR_NOTIFY;
	leave_critical_section(context);
	if (is_terminating(sig)) {
		uint64_t now = rs_now_ns();

		if (before & bit && grace_signal == sig && now - grace_since > AGAIN_NS) {
			force(sig);
		} else if (!grace_signal || !(before & 1ull << (grace_signal - 1))) {
			struct itimerspec when = { .it_value = { GRACE_NS / 1000000000,
								 GRACE_NS % 1000000000 } };

			grace_signal = sig;
			grace_since = now;
			timer_settime(grace_timer, 0, &when, NULL);
		}
	}
	errno = saved;
}

static void on_grace(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)info;
	if (grace_signal &&
	    __atomic_load_n(pending_word(), __ATOMIC_SEQ_CST) & 1ull << (grace_signal - 1))
		force(grace_signal);
	grace_signal = 0;
	leave_critical_section(context);
}

/*
 * From another thread: there is something for this thread's vCPU, or the call of this helper is
 * called off. From the kernel: the VM has been ended, and RS_RUN says so. The guest does not run any
 * more, so nothing takes back what keeps this thread from sleeping on the way there.
 */
static void on_kick(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	if (rs_this_vcpu) {
		if (info->si_code == SI_KERNEL)
			__atomic_fetch_or(&rs_this_vcpu->shared->pending, RS_PENDING_EVENTS,
					  __ATOMIC_SEQ_CST);
		rs_this_vcpu->engine.run->irq_vector = RS_VECTOR_NOTIFY;
		rs_sample_here(rs_this_vcpu);
	}
	leave_critical_section(context);
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
	greg_t *rip = &((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];

	(void)info;
	if (*rip >= (greg_t)rs_copy_begin && *rip < (greg_t)rs_copy_end) {
		*rip = (greg_t)rs_copy_faulted;
		return;
	}
	/* A bug of ours: die of it where it happened. */
	signal(sig, SIG_DFL);
}

static bool collected(int sig)
{
	switch (sig) {
	case SIGKILL:
	case SIGSTOP:
	case SIGSEGV:
	case SIGBUS:
	case SIGILL:
	case SIGFPE:
	case SIGTRAP:
	case SIGSYS:
	case SIGPIPE: case SIGTTIN: case SIGTTOU: case SIGCHLD: case SIGURG:
		return false;
	}
	return sig < 32 || (sig >= SIGRTMIN && sig < SIGNAL_GRACE);
}

static int install(int sig, void (*handler)(int, siginfo_t *, void *))
{
	struct sigaction sa;

	memset(&sa, 0, sizeof(sa));
	sa.sa_sigaction = handler;
	sa.sa_flags = SA_SIGINFO;	/* no SA_RESTART: a forwarded call must come back */
	sigfillset(&sa.sa_mask);
	if (handler != on_fault) {
		sigdelset(&sa.sa_mask, SIGSEGV);
		sigdelset(&sa.sa_mask, SIGBUS);
	}
	return sigaction(sig, &sa, NULL);
}

int rs_signals_kick(void)
{
	return install(RS_SIGNAL_KICK, on_kick);
}

int rs_signals_install(struct rs_sandbox *sb)
{
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL };
	struct sigaction old;
	sigset_t none;
	int sig;

	sandbox = sb;
	ev.sigev_signo = SIGNAL_GRACE;
	if (timer_create(CLOCK_MONOTONIC, &ev, &grace_timer) || install(SIGNAL_GRACE, on_grace) ||
	    install(SIGSEGV, on_fault) || install(SIGBUS, on_fault) ||
	    rs_signals_kick())
		return -1;
	for (sig = 1; sig < SIGNAL_GRACE; sig++) {
		if (!collected(sig))
			continue;
		if (!sigaction(sig, NULL, &old) && old.sa_handler == SIG_IGN)
			continue;
		if (install(sig, on_signal))
			return -1;
	}
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		return -1;
	sigemptyset(&none);
	return sigprocmask(SIG_SETMASK, &none, NULL);
}

/*
 * The signal goes to this very thread, which may be any vCPU's: the kernel stops all threads before
 * it lets this one go on, so that we are back here only when the process was continued.
 */
long rs_signals_stop(int sig)
{
	uint64_t bit = 1ull << (sig - 1), before;

	if (sig != SIGSTOP && sig != SIGTSTP && sig != SIGTTIN && sig != SIGTTOU)
		return -EINVAL;
	if (sig == SIGTSTP)
		signal(sig, SIG_DFL);
	rs_raw4(__NR_rt_sigprocmask, SIG_UNBLOCK, (long)&bit, (long)&before, sizeof(bit));
	rs_raw3(__NR_tgkill, rs_raw3(__NR_getpid, 0, 0, 0), rs_raw3(__NR_gettid, 0, 0, 0), sig);
	rs_raw4(__NR_rt_sigprocmask, SIG_SETMASK, (long)&before, 0, sizeof(before));
	if (sig == SIGTSTP)
		install(sig, on_signal);
	return 0;
}
