// SPDX-License-Identifier: MIT
/*
 * signal.c - raising, blocking, waiting for and delivering signals
 *
 * A signal becomes pending (signal_raise(), signal_take_host()), and the thread's work flag sends
 * it through signal_deliver() before ring 3 runs again. There, in one loop: the lowest pending
 * signal that is not blocked is taken; an ignored one is dropped, a default action carried out, a
 * handler entered by building its frame (several frames nest if several signals are pending, the
 * last one built runs first).
 *
 * A call that was cut short leaves -ERESTARTSYS or -ERESTARTNOHAND in rax. The first handler
 * decides: with SA_RESTART (and ERESTARTSYS) the frame saves a rip that points at the SYSCALL
 * again, otherwise rax becomes EINTR. Without any handler the call starts again.
 *
 * The mask of sigsuspend, ppoll and the like is in force from the call until here; saved_mask is
 * what the frame of the first handler restores, or what is put back at once when none runs.
 */
#include "signal.h"
#include "syscall.h"

#define UNBLOCKABLE	   (SIGBIT(SIGKILL) | SIGBIT(SIGSTOP))
#define STOP_SIGNALS	   (SIGBIT(SIGSTOP) | SIGBIT(SIGTSTP) | SIGBIT(SIGTTIN) | SIGBIT(SIGTTOU))
#define IGNORED_BY_DEFAULT (SIGBIT(SIGCHLD) | SIGBIT(SIGCONT) | SIGBIT(SIGURG) | SIGBIT(SIGWINCH))
#define SA_KNOWN                                                                            \
	(SA_NOCLDSTOP | SA_NOCLDWAIT | SA_SIGINFO | SA_RESTORER | SA_ONSTACK | SA_RESTART | \
	 SA_NODEFER | SA_RESETHAND)

static bool ignored(const struct signal_process *sp, int sig)
{
	u64 h = sp->act[sig - 1].handler;

	return h == SIG_IGN || (h == SIG_DFL && (IGNORED_BY_DEFAULT & SIGBIT(sig)));
}

/* --- raising ---------------------------------------------------------------------------------- */

void signal_raise(struct process *p, const struct k_siginfo *info)
{
	struct signal_process *sp = p->signals;
	struct thread *t = list_first(&p->threads, struct thread, list);
	u64 bit = SIGBIT(info->signo);

	/* Stopping and continuing cancel each other, even when nobody looks. */
	if (info->signo == SIGCONT)
		sp->pending &= ~STOP_SIGNALS;
	else if (bit & STOP_SIGNALS)
		sp->pending &= ~SIGBIT(SIGCONT);
	if (ignored(sp, info->signo) && !(t->sig->blocked & bit) && !(t->sig->waiting & bit))
		return;
	if (!(sp->pending & bit)) {
		sp->pending |= bit;
		sp->info[info->signo - 1] = *info;
	}
	t->work |= THREAD_WORK_SIGNAL;
}

void signal_take_host(void)
{
	struct k_siginfo info = { .code = SI_KERNEL };
	__u64 *where = &this_cpu()->shared->pending;
	u64 set;

	if (likely(!READ_ONCE(*where)))
		return;
	for (set = atomic_xchg(where, 0); set; set &= set - 1) {
		info.signo = __builtin_ctzll(set) + 1;
		signal_raise(current_proc(), &info);
	}
}

bool signal_ready(void)
{
	struct thread *t = current();
	struct signal_process *sp = t->proc->signals;
	u64 set;

	signal_take_host();
	if (sp->pending & t->sig->waiting)
		return true;
	for (set = sp->pending & ~t->sig->blocked; set; set &= set - 1)
		if (!ignored(sp, __builtin_ctzll(set) + 1))
			return true;
	return false;
}

void signal_set_mask_for_wait(u64 mask)
{
	struct thread *t = current();

	t->sig->saved_mask = t->sig->blocked;
	t->sig->restore_mask = true;
	t->sig->blocked = mask & ~UNBLOCKABLE;
	t->work |= THREAD_WORK_SIGNAL;
}

static void set_mask(u64 mask)
{
	struct thread *t = current();

	t->sig->blocked = mask & ~UNBLOCKABLE;
	if (t->proc->signals->pending & ~t->sig->blocked)
		t->work |= THREAD_WORK_SIGNAL;
}

/* --- delivery --------------------------------------------------------------------------------- */

static void __noreturn die(int sig, const struct fault_info *fault)
{
	trace_exit(current_proc(), sig);
	process_die(sig, fault);
}

static void rewind_call(struct rs_frame *f)
{
	f->rax = f->error; /* the number */
	f->rip -= 2;	   /* the length of SYSCALL */
}

static void enter_handler(struct rs_frame *f, int sig, const struct k_siginfo *info,
			  const struct fault_info *fault)
{
	struct thread *t = current();
	struct signal_thread *st = t->sig;
	struct k_sigaction *slot = &t->proc->signals->act[sig - 1], act = *slot;
	u64 mask = st->restore_mask ? st->saved_mask : st->blocked;

	st->restore_mask = false;
	if (act.flags & SA_RESETHAND)
		*slot = (struct k_sigaction){ .handler = SIG_DFL };
	if (sigframe_build(f, &act, info, mask, st, fault)) {
		/* No room for the frame: what would be the handler's chance is gone. */
		trace_signal(t->proc, SIGSEGV, SI_KERNEL, 0);
		die(SIGSEGV, fault);
	}
	st->blocked |= act.mask | (act.flags & SA_NODEFER ? 0 : SIGBIT(sig));
	st->blocked &= ~UNBLOCKABLE;
	rs_stats()->signals++;
}

void signal_deliver(struct rs_frame *f)
{
	struct thread *t = current();
	struct signal_process *sp = t->proc->signals;
	struct signal_thread *st = t->sig;
	bool restart = f->vector == RS_VECTOR_SYSCALL && IS_RESTART(f->rax);
	long code = (long)f->rax;
	u64 ready;

	t->work &= ~THREAD_WORK_SIGNAL;
	for (;;) {
		struct k_siginfo info;
		struct k_sigaction *act;
		int sig;

		signal_take_host();
		ready = sp->pending & ~st->blocked;
		if (!ready) {
			if (!st->restore_mask)
				break;
			/*
			 * No handler ran under the temporary mask; under the old one some may have
			 * to.
			 */
			st->restore_mask = false;
			st->blocked = st->saved_mask;
			continue;
		}
		sig = __builtin_ctzll(ready) + 1;
		info = sp->info[sig - 1];
		sp->pending &= ~SIGBIT(sig);
		act = &sp->act[sig - 1];
		if (act->handler == SIG_IGN || ignored(sp, sig))
			continue;
		trace_signal(t->proc, sig, info.code, info.addr);
		if (act->handler != SIG_DFL) {
			if (restart) {
				if (code == -ERESTARTSYS && (act->flags & SA_RESTART))
					rewind_call(f);
				else
					f->rax = -EINTR;
				restart = false;
				st->sleep_deadline = 0;
			}
			enter_handler(f, sig, &info, NULL);
			continue;
		}
		if (SIGBIT(sig) & STOP_SIGNALS) {
			host_call1(RS_CALL_STOP, sig);
			continue;
		}
		die(sig, NULL);
	}
	if (restart)
		rewind_call(f);
	t->work &= ~THREAD_WORK_SIGNAL;
}

void signal_fault(struct rs_frame *f)
{
	struct thread *t = current();
	struct fault_info fault = t->fault;
	struct k_sigaction *act = &t->proc->signals->act[fault.sig - 1];
	struct k_siginfo info = { .signo = fault.sig, .code = fault.code, .addr = fault.addr };

	trace_signal(t->proc, fault.sig, fault.code, fault.addr);
	/* A fault cannot wait or be ignored: the instruction would only fault again. */
	if (act->handler == SIG_DFL || act->handler == SIG_IGN ||
	    (t->sig->blocked & SIGBIT(fault.sig)))
		die(fault.sig, &fault);
	enter_handler(f, fault.sig, &info, &fault);
}

void rs_return_to_user(struct rs_frame *f)
{
	/* Also called without work, when only the host's word of pending signals is set. */
	do
		signal_deliver(f);
	while (current()->work);
}

/* --- calls ------------------------------------------------------------------------------------ */

long sys_rt_sigaction(struct rs_frame *f)
{
	struct signal_process *sp = current_proc()->signals;
	u64 n = ARG0(f);
	int sig = (int)n;
	struct k_sigaction new, old;

	if (ARG3(f) != 8 || sig < 1 || sig > NSIG)
		return -EINVAL;
	if (ARG1(f)) {
		if (copyin(&new, ARG1(f), sizeof(new)))
			return -EFAULT;
		if (SIGBIT(sig) & UNBLOCKABLE)
			return -EINVAL;
		new.flags &= SA_KNOWN;
		new.mask &= ~UNBLOCKABLE;
	}
	old = sp->act[sig - 1];
	if (ARG1(f)) {
		sp->act[sig - 1] = new;
		if (ignored(sp, sig))
			sp->pending &= ~SIGBIT(sig);
	}
	return ARG2(f) ? copyout(ARG2(f), &old, sizeof(old)) : 0;
}

long sys_rt_sigprocmask(struct rs_frame *f)
{
	u64 old = current()->sig->blocked, set, new = old;

	if (ARG3(f) != 8)
		return -EINVAL;
	if (ARG1(f)) {
		if (get_user_u64(&set, ARG1(f)))
			return -EFAULT;
		switch ((int)ARG0(f)) {
		case 0: new = old | set; break;
		case 1: new = old & ~set; break;
		case 2: new = set; break;
		default: return -EINVAL;
		}
	}
	if (ARG2(f) && put_user_u64(ARG2(f), old))
		return -EFAULT;
	if (ARG1(f))
		set_mask(new);
	return 0;
}

long sys_rt_sigreturn(struct rs_frame *f)
{
	struct thread *t = current();
	u64 mask;

	/*
	 * Whatever becomes of it, the registers are not those of a call any more: nothing of them
	 * is a restart code.
	 */
	f->vector = VEC_GP;
	if (!sigframe_return(f, &mask, t->sig)) {
		set_mask(mask);
		return f->rax;
	}
	t->fault = (struct fault_info){ .vector = VEC_GP,
					.addr = f->rip,
					.cause = FAULT_OTHER,
					.sig = SIGSEGV,
					.code = SI_KERNEL };
	signal_fault(f);
	return f->rax;
}

long sys_rt_sigpending(struct rs_frame *f)
{
	u64 set;

	if (ARG1(f) > 8)
		return -EINVAL;
	signal_take_host();
	set = current_proc()->signals->pending & current()->sig->blocked;
	return copyout(ARG0(f), &set, ARG1(f));
}

long sys_rt_sigsuspend(struct rs_frame *f)
{
	u64 mask;

	if (ARG1(f) != 8)
		return -EINVAL;
	if (get_user_u64(&mask, ARG0(f)))
		return -EFAULT;
	signal_set_mask_for_wait(mask);
	sleep_for_signal(0);
	return -ERESTARTNOHAND;
}

long sys_pause(struct rs_frame *f)
{
	(void)f;
	sleep_for_signal(0);
	return -ERESTARTNOHAND;
}

static int take(u64 set, struct k_siginfo *info)
{
	struct signal_process *sp = current_proc()->signals;
	int sig;

	set &= sp->pending;
	if (!set)
		return 0;
	sig = __builtin_ctzll(set) + 1;
	*info = sp->info[sig - 1];
	sp->pending &= ~SIGBIT(sig);
	return sig;
}

long sys_rt_sigtimedwait(struct rs_frame *f)
{
	struct signal_thread *st = current()->sig;
	struct k_siginfo info;
	u64 set;
	long ret = 0;
	int sig;

	if (ARG3(f) != 8)
		return -EINVAL;
	if (get_user_u64(&set, ARG0(f)))
		return -EFAULT;
	set &= ~UNBLOCKABLE;
	signal_take_host();
	sig = take(set, &info);
	if (!sig) {
		st->waiting = set;
		ret = sleep_for_signal(ARG2(f));
		st->waiting = 0;
		sig = take(set, &info);
	}
	if (!sig) {
		if (ret == -EINTR)
			current()->work |= THREAD_WORK_SIGNAL;
		return ret ? ret : -EAGAIN;
	}
	if (ARG1(f) && copyout(ARG1(f), &info, sizeof(info)))
		return -EFAULT;
	return sig;
}

static long send(int sig, int code)
{
	struct process *p = current_proc();
	struct k_siginfo info = { .signo = sig, .code = code, .pid = (s32)p->pid, .uid = p->uid };

	if (sig < 0 || sig > NSIG)
		return -EINVAL;
	if (sig)
		signal_raise(p, &info);
	return 0;
}

/* Processes outside the sandbox do not exist for those inside. */
long sys_kill(struct rs_frame *f)
{
	int pid = (int)ARG0(f), sig = (int)ARG1(f);

	if (sig < 0 || sig > NSIG)
		return -EINVAL;
	if (pid_is_self(pid) || (pid < -1 && -pid == (int)current_proc()->pgid))
		return send(sig, SI_USER);
	return -ESRCH;
}

long sys_tkill(struct rs_frame *f)
{
	if ((int)ARG0(f) <= 0)
		return -EINVAL;
	return (u32)ARG0(f) == current()->tid ? send((int)ARG1(f), SI_TKILL) : -ESRCH;
}

long sys_tgkill(struct rs_frame *f)
{
	if ((int)ARG0(f) <= 0 || (int)ARG1(f) <= 0)
		return -EINVAL;
	if ((u32)ARG0(f) != current_proc()->pid || (u32)ARG1(f) != current()->tid)
		return -ESRCH;
	return send((int)ARG2(f), SI_TKILL);
}

static long queue(int sig, u64 uinfo)
{
	struct k_siginfo info;

	if (sig < 0 || sig > NSIG)
		return -EINVAL;
	if (copyin(&info, uinfo, sizeof(info)))
		return -EFAULT;
	info.signo = sig;
	if (sig)
		signal_raise(current_proc(), &info);
	return 0;
}

long sys_rt_sigqueueinfo(struct rs_frame *f)
{
	return pid_is_self((int)ARG0(f)) && (int)ARG0(f) ? queue((int)ARG1(f), ARG2(f)) : -ESRCH;
}

long sys_rt_tgsigqueueinfo(struct rs_frame *f)
{
	if ((u32)ARG0(f) != current_proc()->pid || (u32)ARG1(f) != current()->tid)
		return -ESRCH;
	return queue((int)ARG2(f), ARG3(f));
}

long sys_sigaltstack(struct rs_frame *f)
{
	struct signal_thread *st = current()->sig;
	struct k_stack new, old = st->alt;
	bool on = sigframe_on_altstack(st, f->rsp);

	if (on)
		old.flags |= SS_ONSTACK;
	if (ARG0(f)) {
		u32 mode;

		if (copyin(&new, ARG0(f), sizeof(new)))
			return -EFAULT;
		if (on)
			return -EPERM;
		mode = (u32) new.flags & ~SS_AUTODISARM;
		if (mode != 0 && mode != SS_ONSTACK && mode != SS_DISABLE)
			return -EINVAL;
		if (mode == SS_DISABLE) {
			new.sp = new.size = 0;
		} else {
			if (new.size < MINSIGSTKSZ)
				return -ENOMEM;
			new.flags &= ~SS_ONSTACK;
		}
		new.pad = 0;
		st->alt = new;
	}
	return ARG1(f) ? copyout(ARG1(f), &old, sizeof(old)) : 0;
}
