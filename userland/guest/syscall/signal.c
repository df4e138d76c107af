// SPDX-License-Identifier: MIT
/*
 * signal.c - raising, blocking, waiting for and delivering signals
 *
 * A signal becomes pending (signal_raise()), and the work flag of a thread that does not block it
 * sends that one through signal_deliver() before ring 3 runs again. There, in one loop: the lowest pending
 * signal that is not blocked is taken; an ignored one is dropped, a default action carried out, a
 * handler entered by building its frame (several frames nest if several signals are pending, the
 * last one built runs first).
 *
 * A call that was cut short leaves one of the -ERESTART codes in rax. The first handler decides: with
 * SA_RESTART (and ERESTARTSYS) the frame saves a rip that points at the SYSCALL again, otherwise rax
 * becomes EINTR. Without any handler the call starts again; one with a time limit does so as
 * restart_syscall (ERESTART_RESTARTBLOCK), which knows when its time is over.
 *
 * The mask of sigsuspend, ppoll and the like is in force from the call until here; saved_mask is
 * what the frame of the first handler restores, or what is put back at once when none runs.
 */
#include <asm/unistd.h>
#include "signal.h"
#include "syscall.h"
#include "timers.h"
#include "tty.h"
#include "../lib/string.h"
#include "../mm/kmalloc.h"
#include "../proc/alarm.h"
#include "../proc/report.h"

#define UNBLOCKABLE	   (SIGBIT(SIGKILL) | SIGBIT(SIGSTOP))
#define STOP_SIGNALS	   (SIGBIT(SIGSTOP) | SIGBIT(SIGTSTP) | SIGBIT(SIGTTIN) | SIGBIT(SIGTTOU))
#define IGNORED_BY_DEFAULT (SIGBIT(SIGCHLD) | SIGBIT(SIGCONT) | SIGBIT(SIGURG) | SIGBIT(SIGWINCH))
#define FIRST_RT	   32
#define SA_KNOWN                                                                            \
	(SA_NOCLDSTOP | SA_NOCLDWAIT | SA_SIGINFO | SA_RESTORER | SA_ONSTACK | SA_RESTART | \
	 SA_NODEFER | SA_RESETHAND)

static bool ignored(const struct signal_process *sp, int sig)
{
	u64 h = sp->act[sig - 1].handler;

	return h == SIG_IGN || (h == SIG_DFL && (IGNORED_BY_DEFAULT & SIGBIT(sig)));
}

/* --- what is pending -------------------------------------------------------------------------- */

static void pending_init(struct sigpending *p)
{
	p->set = 0;
	p->first_used = false;
	list_init(&p->queue);
}

/* What is pending has changed. */
static void changed(struct signal_process *sp)
{
	if (unlikely(!list_empty(&sp->stand_ins) || !list_empty(&sp->signalfd_pollers.entries)))
		signalfd_changed(sp);
}

static struct sigqueue *entry_alloc(struct signal_process *sp, struct sigpending *p)
{
	struct sigqueue *q = &p->first;

	if (likely(!p->first_used))
		p->first_used = true;
	else
		q = kmalloc(sizeof(*q));
	if (q) {
		q->timer = NULL;
		sp->nqueued++;
	}
	return q;
}

/* @info: what it says is about to be handled; NULL: it is dropped. */
static void entry_free(struct signal_process *sp, struct sigpending *p, struct sigqueue *q,
		       struct k_siginfo *info)
{
	list_del(&q->link);
	if (unlikely(q->timer)) {
		timer_signal_gone(q->timer, info);
		return;
	}
	sp->nqueued--;
	if (likely(q == &p->first))
		p->first_used = false;
	else
		kfree(q);
}

static void pending_drop(struct signal_process *sp, struct sigpending *p, u64 set)
{
	struct sigqueue *q, *next;

	if (!(p->set & set))
		return;
	p->set &= ~set;
	list_for_each_safe(q, next, &p->queue, link)
		if (SIGBIT(q->info.signo) & set)
			entry_free(sp, p, q, NULL);
	changed(sp);
}

static long pending_add(struct signal_process *sp, struct sigpending *p,
			const struct k_siginfo *info, struct sigqueue *q)
{
	bool rt = info->signo >= FIRST_RT;

	if (!q && !rt && p->set & SIGBIT(info->signo))
		return 0;
	if (q || !rt || sp->nqueued < sp->queue_limit)
		q = q ? q : entry_alloc(sp, p);
	if (q) {
		q->info = *info;
		list_add_tail(&p->queue, &q->link);
	} else if (rt && info->code != SI_USER && info->code != SI_KERNEL) {
		return -EAGAIN;
	}
	p->set |= SIGBIT(info->signo);
	changed(sp);
	return 0;
}

/* Takes the lowest signal of @set, which has one that is pending. */
static int pending_take(struct signal_process *sp, struct sigpending *p, u64 set,
			struct k_siginfo *info)
{
	int sig = __builtin_ctzll(p->set & set) + 1;
	struct sigqueue *q, *next;
	bool found = false;

	p->set &= ~SIGBIT(sig);
	list_for_each_safe(q, next, &p->queue, link) {
		if (q->info.signo != sig)
			continue;
		if (found) {
			p->set |= SIGBIT(sig);
			break;
		}
		found = true;
		*info = q->info;
		entry_free(sp, p, q, info);
	}
	changed(sp);
	if (unlikely(!found))
		*info = (struct k_siginfo){ .signo = sig };
	return sig;
}

/* --- raising ---------------------------------------------------------------------------------- */

static bool wants(const struct thread *t, u64 bit)
{
	return !(t->sig->blocked & bit) || t->sig->waiting & bit;
}

/* Who is to handle it: the one it is for, otherwise the first that does not block it. */
static void notify(struct process *p, struct thread *only, u64 bit)
{
	struct thread *t, *chosen = NULL;

	list_for_each(t, &p->threads, list) {
		if ((only && t != only) || !wants(t, bit))
			continue;
		t->work |= THREAD_WORK_SIGNAL;
		if (!chosen || t == current())
			chosen = t;
	}
	if (chosen)
		thread_wake(chosen);
}

static void kill_process(struct process *p)
{
	struct thread *t;

	if (!p->exiting) {
		p->exiting = true;
		p->wait_status = SIGKILL;
	}
	p->stopped = false;
	list_for_each(t, &p->threads, list) {
		t->work |= THREAD_WORK_EXIT;
		thread_wake(t);
	}
}

/* @q: an entry for it, or NULL. 1: it is pending now; 0: nobody will hear of it; -EAGAIN */
static long do_raise(struct process *p, struct thread *t, const struct k_siginfo *info,
		  struct sigqueue *q)
{
	struct signal_process *sp = p->signals;
	u64 bit = SIGBIT(info->signo);
	struct thread *each;
	bool wanted = false;
	long ret;

	if (p->state != PROCESS_ALIVE || !sp)
		return 0;
	if (info->signo == SIGKILL) {
		kill_process(p);
		return 0;
	}
	/* Stopping and continuing cancel each other, even when nobody looks. */
	if (info->signo == SIGCONT || bit & STOP_SIGNALS) {
		u64 drop = info->signo == SIGCONT ? STOP_SIGNALS : SIGBIT(SIGCONT);

		pending_drop(sp, &sp->pending, drop);
		list_for_each(each, &p->threads, list)
			pending_drop(sp, &each->sig->pending, drop);
		if (info->signo == SIGCONT)
			process_continue(p);
	}
	if (ignored(sp, info->signo)) {
		list_for_each(each, &p->threads, list)
			if ((!t || each == t) &&
			    (each->sig->blocked & bit || each->sig->waiting & bit))
				wanted = true;
		if (!wanted)
			return 0;
	}
	ret = pending_add(sp, t ? &t->sig->pending : &sp->pending, info, q);
	if (ret)
		return ret;
	notify(p, t, bit);
	return 1;
}

long signal_raise(struct process *p, struct thread *t, const struct k_siginfo *info)
{
	return min(do_raise(p, t, info, NULL), 0l);
}

bool signal_raise_entry(struct process *p, struct thread *t, struct sigqueue *q)
{
	return do_raise(p, t, &q->info, q) > 0;
}

void signal_no_memory(u64 addr)
{
	struct fault_info fault = { .vector = VEC_PF, .addr = addr, .cause = FAULT_NO_MEMORY,
				    .sig = SIGKILL };

	if (current_proc()->exiting)
		return;
	report_death(current(), SIGKILL, &fault);
	kill_process(current_proc());
}

u32 signal_raise_group(u32 pgid, const struct k_siginfo *info)
{
	struct process *p;
	u32 n = 0;

	for (p = process_next(NULL); p; p = process_next(p))
		if (p->pgid == pgid) {
			signal_raise(p, NULL, info);
			n++;
		}
	return n;
}

/*
 * The terminal's signals are for the group in the foreground, the others for the program that the
 * sandbox was started for. A hangup is for both.
 */
void signal_from_host(int sig)
{
	struct k_siginfo info = { .signo = sig, .code = SI_KERNEL };
	struct process *p = process_first();
	u64 terminal = SIGBIT(SIGINT) | SIGBIT(SIGQUIT) | SIGBIT(SIGTSTP) | SIGBIT(SIGWINCH) |
		       SIGBIT(SIGCONT) | SIGBIT(SIGHUP);

	if (terminal & SIGBIT(sig) && signal_raise_group(tty_outer.foreground, &info)) {
		if (sig != SIGHUP || p->pgid == tty_outer.foreground)
			return;
	}
	signal_raise(p, NULL, &info);
}

void signal_child(struct process *p, int code, int status)
{
	struct k_siginfo info = { .signo = (s32)p->exit_signal, .code = code, .pid = (s32)p->pid,
				  .uid = p->uid, .value = (u32)status };
	struct signal_process *sp = p->parent->signals;

	if (code > 4) {
		/* stopped, continued: always SIGCHLD, and not for everybody */
		info.signo = SIGCHLD;
		if (sp && sp->act[SIGCHLD - 1].flags & SA_NOCLDSTOP)
			return;
	}
	if (info.signo)
		signal_raise(p->parent, NULL, &info);
}

bool signal_ignores_children(const struct process *p)
{
	const struct k_sigaction *act;

	if (!p->signals)
		return true;
	act = &p->signals->act[SIGCHLD - 1];
	return act->handler == SIG_IGN || act->flags & SA_NOCLDWAIT;
}

/*
 * A group is orphaned when none of its processes has a parent in another group of the same session:
 * nobody would continue it. The first process's parent is outside; what the host does with a stop
 * signal then says whether that one would.
 */
bool signal_group_orphaned(u32 pgid)
{
	const struct process *p;

	for (p = process_next(NULL); p; p = process_next(p)) {
		if (p->pgid != pgid || p->state != PROCESS_ALIVE)
			continue;
		if (p->parent ? p->parent->pgid != pgid && p->parent->sid == p->sid :
				p->sid == rs_boot->sid)
			return false;
	}
	return true;
}

static bool has_stopped(u32 pgid)
{
	const struct process *p;

	for (p = process_next(NULL); p; p = process_next(p))
		if (p->pgid == pgid && p->stopped)
			return true;
	return false;
}

void signal_orphaned(const struct process *p, const struct process *parent)
{
	/* Had it not been for this one that it was not orphaned, nothing has changed. */
	if (parent->pgid == p->pgid || parent->sid != p->sid)
		return;
	if (!signal_group_orphaned(p->pgid) || !has_stopped(p->pgid))
		return;
	signal_raise_group(p->pgid, &(struct k_siginfo){ .signo = SIGHUP, .code = SI_KERNEL });
	signal_raise_group(p->pgid, &(struct k_siginfo){ .signo = SIGCONT, .code = SI_KERNEL });
}

void signal_parent_ended(struct process *c, const struct process *parent)
{
	struct k_siginfo info = { .signo = (s32)c->death_signal, .code = SI_USER,
				  .pid = (s32)parent->pid, .uid = parent->uid };

	if (c->death_signal)
		signal_raise(c, NULL, &info);
	signal_orphaned(c, parent);
}

bool signal_ignored_now(int sig)
{
	return current()->sig->blocked & SIGBIT(sig) ||
	       current_proc()->signals->act[sig - 1].handler == SIG_IGN;
}

static bool would_do_something(const struct signal_process *sp, u64 set)
{
	for (; set; set &= set - 1)
		if (!ignored(sp, __builtin_ctzll(set) + 1))
			return true;
	return false;
}

bool signal_ready(void)
{
	struct thread *t = current();
	struct process *p = t->proc;
	u64 set;

	host_events();
	if (t->work & THREAD_WORK_EXIT || p->stopped)
		return true;
	set = p->signals->pending.set | t->sig->pending.set;
	if (likely(!set))
		return false;
	return set & t->sig->waiting || would_do_something(p->signals, set & ~t->sig->blocked);
}

/* --- a process's own -------------------------------------------------------------------------- */

/* A process's first thread and itself; @from: what it is a copy of, NULL for the first of all. */
int signal_init(struct thread *t, struct thread *from, bool new_process)
{
	struct process *p = t->proc;

	t->sig = kzalloc(sizeof(*t->sig));
	if (!t->sig)
		return -ENOMEM;
	pending_init(&t->sig->pending);
	t->sig->alt.flags = SS_DISABLE;
	if (from) {
		t->sig->blocked = from->sig->blocked;
		if (new_process)
			t->sig->alt = from->sig->alt;
	}
	if (!new_process)
		return 0;
	p->signals = kmalloc(sizeof(*p->signals));
	if (!p->signals)
		return -ENOMEM;
	if (from)
		memcpy(p->signals->act, from->proc->signals->act, sizeof(p->signals->act));
	else
		memset(p->signals->act, 0, sizeof(p->signals->act));
	pending_init(&p->signals->pending);
	p->signals->nqueued = 0;
	p->signals->queue_limit = from ? from->proc->signals->queue_limit : SIGQUEUE_MAX;
	p->signals->queue_hard_limit = from ? from->proc->signals->queue_hard_limit : SIGQUEUE_MAX;
	p->signals->proc = p;
	list_init(&p->signals->timers);
	p->signals->next_timer = 0;
	list_init(&p->signals->stand_ins);
	wait_list_init(&p->signals->signalfd_pollers);
	itimers_init(p->signals);
	return 0;
}

void signal_reset(struct signal_process *sp)
{
	int i;

	for (i = 0; i < NSIG; i++) {
		u64 handler = sp->act[i].handler;

		sp->act[i] = (struct k_sigaction){ .handler = handler == SIG_IGN ? SIG_IGN :
									     SIG_DFL };
	}
}

void signal_thread_exit(struct thread *t)
{
	pending_drop(t->proc->signals, &t->sig->pending, ~0ull);
}

void signal_thread_free(struct thread *t)
{
	kfree(t->sig);
	t->sig = NULL;
}

void signal_process_free(struct process *p)
{
	struct signal_process *sp = p->signals;

	if (!sp)
		return;
	itimers_stop(sp);
	timers_delete(sp);
	pending_drop(sp, &sp->pending, ~0ull);
	signalfd_process_free(sp);
	p->signals = NULL;
	kfree(sp);
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
	if ((t->proc->signals->pending.set | t->sig->pending.set) & ~t->sig->blocked)
		t->work |= THREAD_WORK_SIGNAL;
}

/* --- delivery --------------------------------------------------------------------------------- */

static void __noreturn die(int sig, const struct fault_info *fault)
{
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
	if (unlikely(t->ipc.state))
		ipc_give_up(t);
	if (act.flags & SA_RESETHAND)
		*slot = (struct k_sigaction){ .handler = SIG_DFL };
	if (sigframe_build(f, &act, info, mask, st, fault)) {
		if (t->no_memory) {
			signal_no_memory(f->rsp);
			thread_exit(t->proc->wait_status);
		}
		/* No room for the frame: what would be the handler's chance is gone. */
		trace_signal(t->proc, &(struct k_siginfo){ .signo = SIGSEGV, .code = SI_KERNEL });
		die(SIGSEGV, fault);
	}
	st->blocked |= act.mask | (act.flags & SA_NODEFER ? 0 : SIGBIT(sig));
	st->blocked &= ~UNBLOCKABLE;
	rs_stats()->signals++;
}

/*
 * A stop that comes from the terminal, or that the first program has coming, is one of the whole
 * sandbox: who continues it is outside. Otherwise the process stops, for its parent to continue.
 */
static void stop(int sig, const struct k_siginfo *info)
{
	struct process *p = current_proc(), *each;
	struct thread *t;

	if (p != process_first() && !(info->code == SI_KERNEL && p->pgid == rs_boot->pgid)) {
		process_stop(sig);
		return;
	}
	host_call1(RS_CALL_STOP, sig);
	/* All have been stopped with it, and continued. */
	for (each = process_next(NULL); each; each = process_next(each)) {
		if (!each->signals || each->pgid != p->pgid)
			continue;
		pending_drop(each->signals, &each->signals->pending, STOP_SIGNALS);
		list_for_each(t, &each->threads, list)
			pending_drop(each->signals, &t->sig->pending, STOP_SIGNALS);
	}
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

		ready = (sp->pending.set | st->pending.set) & ~st->blocked;
		if (likely(!ready)) {
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
		/* The thread's own first, as on Linux. */
		sig = pending_take(sp, st->pending.set & ready ? &st->pending : &sp->pending, ready,
				   &info);
		act = &sp->act[sig - 1];
		if (act->handler == SIG_IGN || ignored(sp, sig))
			continue;
		trace_signal(t->proc, &info);
		if (act->handler != SIG_DFL) {
			if (restart) {
				if (code == -ERESTARTSYS && (act->flags & SA_RESTART))
					rewind_call(f);
				else
					f->rax = -EINTR;
				restart = false;
				st->restart.fn = NULL;
			}
			enter_handler(f, sig, &info, NULL);
			continue;
		}
		if (SIGBIT(sig) & STOP_SIGNALS) {
			if (sig != SIGSTOP && signal_group_orphaned(t->proc->pgid))
				continue;
			stop(sig, &info);
			if (t->work & THREAD_WORK_EXIT)
				return;
			continue;
		}
		die(sig, NULL);
	}
	if (restart) {
		if (code == -ERESTART_RESTARTBLOCK)
			f->error = __NR_restart_syscall;
		rewind_call(f);
	}
	t->work &= ~THREAD_WORK_SIGNAL;
}

void signal_fault(struct rs_frame *f)
{
	struct thread *t = current();
	struct fault_info fault = t->fault;
	struct k_sigaction *act = &t->proc->signals->act[fault.sig - 1];
	struct k_siginfo info = { .signo = fault.sig, .code = fault.code, .addr = fault.addr };

	trace_signal(t->proc, &info);
	/* A fault cannot wait or be ignored: the instruction would only fault again. */
	if (act->handler == SIG_DFL || act->handler == SIG_IGN ||
	    (t->sig->blocked & SIGBIT(fault.sig)))
		die(fault.sig, &fault);
	enter_handler(f, fault.sig, &info, &fault);
}

void rs_return_to_user(struct rs_frame *f)
{
	struct thread *t = current();
	struct process *p = t->proc;

	sched_enter();
	if (unlikely(t->no_memory)) {
		t->no_memory = false;
		if (f->vector == RS_VECTOR_SYSCALL && f->rax == (u64)-EFAULT)
			f->rax = (u64)-ENOMEM;
	}
	/* Also called without work, when only the host's word is set. */
	do {
		host_events();
		if (t->work & THREAD_WORK_EXIT)
			thread_exit(p->wait_status);
		if (t->work & THREAD_WORK_RESCHED)
			thread_yield();
		if (p->stopped)
			thread_park();
		else
			signal_deliver(f);
		/* Last: what a call's restart code has come to is in the registers now. */
		if (unlikely(t->work & THREAD_WORK_ALARM))
			alarm_deliver(f);
	} while (t->work || READ_ONCE(this_cpu()->shared->pending));
	sched_leave();
}

/* --- calls ------------------------------------------------------------------------------------ */

long restart_later(long (*fn)(struct rs_frame *f), u64 deadline, u64 rem)
{
	struct signal_thread *st = current()->sig;

	st->restart.fn = fn;
	st->restart.deadline = deadline;
	st->restart.rem = rem;
	return -ERESTART_RESTARTBLOCK;
}

long sys_restart_syscall(struct rs_frame *f)
{
	long (*fn)(struct rs_frame *f) = current()->sig->restart.fn;

	current()->sig->restart.fn = NULL;
	return fn ? fn(f) : -EINTR;
}

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
		if (ignored(sp, sig)) {
			struct thread *t;

			pending_drop(sp, &sp->pending, SIGBIT(sig));
			list_for_each(t, &current_proc()->threads, list)
				pending_drop(sp, &t->sig->pending, SIGBIT(sig));
		}
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
	t->sig->restart.fn = NULL;
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
	host_events();
	set = (current_proc()->signals->pending.set | current()->sig->pending.set) &
	      current()->sig->blocked;
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
	struct sigpending *own = &current()->sig->pending;

	if (own->set & set)
		return pending_take(sp, own, set, info);
	if (sp->pending.set & set)
		return pending_take(sp, &sp->pending, set, info);
	return 0;
}

int signal_take(u64 set, bool wait, u64 timeout_va, struct k_siginfo *info, long *err)
{
	struct signal_thread *st = current()->sig;
	long ret;
	int sig;

	*err = 0;
	host_events();
	sig = take(set, info);
	if (sig || !wait)
		return sig;
	st->waiting = set;
	ret = sleep_for_signal(timeout_va);
	st->waiting = 0;
	sig = take(set, info);
	if (sig)
		return sig;
	if (ret == -EINTR)
		current()->work |= THREAD_WORK_SIGNAL;
	*err = ret;
	return 0;
}

long sys_rt_sigtimedwait(struct rs_frame *f)
{
	struct k_siginfo info;
	u64 set;
	long err;
	int sig;

	if (ARG3(f) != 8)
		return -EINVAL;
	if (get_user_u64(&set, ARG0(f)))
		return -EFAULT;
	sig = signal_take(set & ~UNBLOCKABLE, true, ARG2(f), &info, &err);
	if (!sig)
		return err ? err : -EAGAIN;
	if (ARG1(f) && copyout(ARG1(f), &info, sizeof(info)))
		return -EFAULT;
	return sig;
}

struct k_siginfo signal_sent(int sig, int code)
{
	struct process *p = current_proc();

	return (struct k_siginfo){ .signo = sig, .code = code, .pid = (s32)p->pid, .uid = p->uid };
}

/* Processes outside the sandbox do not exist for those inside. */
long sys_kill(struct rs_frame *f)
{
	int pid = (int)ARG0(f), sig = (int)ARG1(f);
	struct k_siginfo info = signal_sent(sig, SI_USER);
	struct process *p, *self = current_proc();
	u32 n = 0, pgid;

	if (sig < 0 || sig > NSIG || pid == (int)0x80000000)
		return sig < 0 || sig > NSIG ? -EINVAL : -ESRCH;
	if (pid > 0) {
		p = process_find((u32)pid);
		if (!p) {
			struct thread *t = thread_find((u32)pid);

			p = t ? t->proc : NULL;
		}
		if (!p)
			return -ESRCH;
		return sig ? signal_raise(p, NULL, &info) : 0;
	}
	pgid = pid ? (u32)-pid : self->pgid;
	for (p = process_next(NULL); p; p = process_next(p)) {
		if (pid == -1 ? p == self || p == process_first() : p->pgid != pgid)
			continue;
		n++;
		if (sig)
			signal_raise(p, NULL, &info);
	}
	return n ? 0 : -ESRCH;
}

static long send_thread(u32 tgid, u32 tid, int sig, const struct k_siginfo *info)
{
	struct thread *t = thread_find(tid);

	if (sig < 0 || sig > NSIG)
		return -EINVAL;
	if (!t || !t->proc || (tgid && t->proc->pid != tgid)) {
		struct process *zombie = process_find(tid);

		return zombie && (!tgid || tgid == tid) ? 0 : -ESRCH;
	}
	return sig ? signal_raise(t->proc, t, info) : 0;
}

long sys_tkill(struct rs_frame *f)
{
	struct k_siginfo info = signal_sent((int)ARG1(f), SI_TKILL);

	if ((int)ARG0(f) <= 0)
		return -EINVAL;
	return send_thread(0, (u32)ARG0(f), (int)ARG1(f), &info);
}

long sys_tgkill(struct rs_frame *f)
{
	struct k_siginfo info = signal_sent((int)ARG2(f), SI_TKILL);

	if ((int)ARG0(f) <= 0 || (int)ARG1(f) <= 0)
		return -EINVAL;
	return send_thread((u32)ARG0(f), (u32)ARG1(f), (int)ARG2(f), &info);
}

/* A siginfo of the caller's own making; it may not look like the kernel's to others. */
static long queued(struct k_siginfo *info, u32 pid, int sig, u64 uinfo)
{
	if (sig < 0 || sig > NSIG)
		return -EINVAL;
	if (copyin(info, uinfo, sizeof(*info)))
		return -EFAULT;
	if ((info->code >= 0 || info->code == SI_TKILL) && pid != current_proc()->pid)
		return -EPERM;
	info->signo = sig;
	return 0;
}

long sys_rt_sigqueueinfo(struct rs_frame *f)
{
	struct process *p = process_find((u32)ARG0(f));
	int sig = (int)ARG1(f);
	struct k_siginfo info;
	long err = queued(&info, (u32)ARG0(f), sig, ARG2(f));

	if (err)
		return err;
	if ((int)ARG0(f) <= 0 || !p)
		return -ESRCH;
	return sig ? signal_raise(p, NULL, &info) : 0;
}

long sys_rt_tgsigqueueinfo(struct rs_frame *f)
{
	int sig = (int)ARG2(f);
	struct k_siginfo info;
	long err;

	if ((int)ARG0(f) <= 0 || (int)ARG1(f) <= 0)
		return -EINVAL;
	err = queued(&info, (u32)ARG0(f), sig, ARG3(f));
	return err ? err : send_thread((u32)ARG0(f), (u32)ARG1(f), sig, &info);
}

/* --- the other stack -------------------------------------------------------------------------- */

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
