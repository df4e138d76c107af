// SPDX-License-Identifier: MIT
/*
 * sched.c - see sched.h
 *
 * Invariants: a READY thread is in the queue of exactly one CPU, others are in none. The thread
 * that a CPU runs is RUNNING; the idle thread is never in a queue. woken is set by thread_wake()
 * whatever the thread does, and cleared only by its own thread_sleep(), which does not sleep if it
 * finds it set: so a wake-up between the decision to sleep and the sleep is kept.
 *
 * A thread that has ended still stands on its stack when it gives the CPU away; who runs next frees
 * both (finish_switch()).
 *
 * sched_pending counts what could make some thread want a CPU without the current one doing
 * anything: threads that are ready, timers that run, calls with helpers (async.c counts these). Only
 * when it is 0 may a thread block its whole CPU in the host.
 */
#include <asm/unistd.h>
#include "alarm.h"
#include "sched.h"
#include "park.h"
#include "proc.h"
#include "../arch/cpu.h"
#include "../arch/tlb.h"
#include "../host/host.h"
#include "../lib/assert.h"
#include "../lib/string.h"
#include "../mm/kmalloc.h"
#include "../mm/page_alloc.h"
#include "../sync/rcu.h"

#define CLOCK_MONOTONIC	1
#define NSEC		1000000000ull

struct queue {
	struct list ready;
	u32 n;
	struct thread *idle;
	struct thread *dead;		/* has just left its stack */
};

static struct queue queues[RS_NR_CPUS];
static struct thread idle_threads[RS_NR_CPUS];
u32 sched_pending;

static struct queue *this_queue(void)
{
	return &queues[this_cpu()->id];
}

/* --- time ------------------------------------------------------------------------------------- */

struct list sched_timers = LIST_INIT(sched_timers);
static u64 host_timer = NO_DEADLINE;	/* what the host was told last and has not announced */

u64 clock_monotonic(void)
{
	s64 *t = host_bounce();

	rs_stats()->forwarded++;
	if (host_call2(__NR_clock_gettime, CLOCK_MONOTONIC, gpa_of(t)))
		return 0;
	return (u64)t[0] * NSEC + (u64)t[1];
}

static u64 tsc_khz(void)
{
	return rs_boot->tsc_khz ? rs_boot->tsc_khz : 1000000;
}

u64 tsc_to_us(u64 tsc)
{
	u64 khz = tsc_khz();

	return tsc / khz * 1000 + tsc % khz * 1000 / khz;
}

u64 ns_to_tsc(u64 ns)
{
	u64 khz = tsc_khz();

	ns = min(ns, NSEC * NSEC);	/* 30 years; the product stays below 2^64 */
	return ns / 1000000 * khz + ns % 1000000 * khz / 1000000;
}

void timer_init(struct timer *t, void (*fn)(struct timer *t))
{
	list_init(&t->link);
	t->fn = fn;
}

/* Most deadlines are later than those there are, so the search begins at the end. */
void timer_start(struct timer *t, u64 deadline)
{
	struct list *at;

	timer_stop(t);
	t->deadline = deadline;
	for (at = sched_timers.prev; at != &sched_timers; at = at->prev)
		if (list_entry(at, struct timer, link)->deadline <= deadline)
			break;
	list_insert(at, &t->link);
	sched_pending++;
}

void timer_stop(struct timer *t)
{
	if (!timer_running(t))
		return;
	list_del(&t->link);
	sched_pending--;
}

static void run_timers(void)
{
	u64 now;

	if (list_empty(&sched_timers))
		return;
	now = clock_monotonic();
	while (!list_empty(&sched_timers)) {
		struct timer *t = list_first(&sched_timers, struct timer, link);

		if (t->deadline > now)
			break;
		timer_stop(t);
		t->fn(t);
	}
}

/* A thread is going to run: the host has to say when the first timer is due. May refuse: next time. */
static void tell_host_timer(void)
{
	u64 first = list_first(&sched_timers, struct timer, link)->deadline;

	if (first < host_timer && !host_call1(RS_CALL_TIMER, first))
		host_timer = first;
}

void sched_timers_changed(void)
{
	if (!list_empty(&sched_timers))
		tell_host_timer();
}

/* --- the network ------------------------------------------------------------------------------ */

static const struct sched_nic *nic;
static bool sched_polling;
bool sched_quiet;

/* Somebody has to look at this CPU's thread from time to time. */
static void start_ticking(void)
{
	if (likely(READ_ONCE(rs_boot->ticking)))
		return;
	WRITE_ONCE(rs_boot->ticking, 1);
	if (host_call0(RS_CALL_TICK))
		WRITE_ONCE(rs_boot->ticking, 0);
}

void sched_set_nic(const struct sched_nic *n)
{
	nic = n;
	sched_polling = sched_quiet = false;
}

void sched_set_polling(bool on)
{
	sched_polling = sched_quiet = on;
	if (on) {
		__atomic_store_n(&this_cpu()->shared->want_tick, 1, __ATOMIC_SEQ_CST);
		start_ticking();
	} else if (!this_queue()->n) {
		this_cpu()->shared->want_tick = 0;
	}
}

void sched_nic_sleep(void)
{
	u32 i;

	/* A NIC that always has something does not keep a call from being made. */
	for (i = 0; i < 4 && !nic->sleep(false); i++)
		;
}

/* --- events ----------------------------------------------------------------------------------- */

static void handle_events(void)
{
	struct cpu *cpu = this_cpu();
	u64 events = __atomic_exchange_n(&cpu->shared->events, 0, __ATOMIC_SEQ_CST);

	if (events & RS_EVENT_DONE)
		async_done();
	if (events & RS_EVENT_TIMER) {
		host_timer = NO_DEADLINE;
		run_timers();
		/* Whoever runs goes on running; an idle CPU looks before it sleeps. */
		if (current() != this_queue()->idle)
			sched_timers_changed();
	}
	if (events & RS_EVENT_NIC && nic)
		nic->event();
	if (events & RS_EVENT_TICK) {
		if (sched_polling)
			nic->tick();
		if (this_queue()->n)
			current()->work |= THREAD_WORK_RESCHED;
	}
}

void host_events(void)
{
	__u64 *where = &this_cpu()->shared->pending;
	u64 set;

	while (unlikely(READ_ONCE(*where))) {
		set = __atomic_exchange_n(where, 0, __ATOMIC_SEQ_CST);
		if (set & RS_PENDING_EVENTS)
			handle_events();
		for (set &= ~RS_PENDING_EVENTS; set; set &= set - 1)
			signal_from_host(__builtin_ctzll(set) + 1);
	}
}

/* --- several CPUs ----------------------------------------------------------------------------- */

/*
 * The big lock has an owner: a CPU, which keeps it over a switch of threads. away[N] says that CPU N
 * is outside of the kernel; only the owner changes its own, so the owner of the lock sees them all
 * as they are. flush[N] is set by an owner: CPU N must forget its translations before it is outside
 * again. quiet[N]: it is in the host, from where it comes back through the lock. So after
 *
 *	flush[N] = true;  if (away[N] and not quiet[N]) kick N, wait until it is not away
 *
 * CPU N cannot use an old translation any more: it is waiting for the lock or has done so since. The
 * same two words say whether N may be a reader (sync/rcu.h): when it is away and not quiet.
 */
void (*tlb_flush_others)(void);
static u32 big_lock;			/* owner + 1, 0: none */
static bool away[RS_NR_CPUS], flush[RS_NR_CPUS], idle[RS_NR_CPUS], quiet[RS_NR_CPUS];

#define PATIENCE	1000		/* turns until the host may run somebody else */
#define YIELD_NS	20000

/* The one that is waited for may be a CPU that Linux is not running: it gets a chance. */
static void wait_turn(u32 *turns)
{
	cpu_relax();
	if (++*turns % PATIENCE == 0)
		host_call1(RS_CALL_IDLE, YIELD_NS);
}

void sched_enter_slow(void)
{
	struct cpu *cpu = this_cpu();
	u32 me = cpu->id, nobody, turns = 0;

	__atomic_store_n(&away[me], false, __ATOMIC_SEQ_CST);
	for (;;) {
		nobody = 0;
		if (__atomic_compare_exchange_n(&big_lock, &nobody, me + 1, false,
						__ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
			break;
		while (READ_ONCE(big_lock)) {
			wait_turn(&turns);
		}
	}
	quiet[me] = false;
	if (flush[me]) {
		flush[me] = false;
		tlb_flush_here();
	}
	rcu_passed(me);
}

bool sched_inside(void)
{
	return rs_ncpus == 1 || READ_ONCE(big_lock) == this_cpu()->id + 1;
}

void sched_leave_slow(void)
{
	u32 me = this_cpu()->id;

	__atomic_store_n(&away[me], true, __ATOMIC_SEQ_CST);
	__atomic_store_n(&big_lock, 0, __ATOMIC_SEQ_CST);
}

void sched_leave_for_host(void)
{
	if (rs_ncpus == 1)
		return;
	quiet[this_cpu()->id] = true;
	sched_leave_slow();
}

static void kick(u32 cpu)
{
	host_call1(RS_CALL_KICK, cpu);
}

/* The CPUs in this address space that are outside come in once. */
static void flush_others(void)
{
	struct mm *mm = this_cpu()->mm;
	u32 me = this_cpu()->id, i, turns = 0;
	u64 wait = 0;

	if (!mm)
		return;
	for (i = 0; i < rs_ncpus; i++) {
		if (i == me || rs_cpus[i].mm != mm)
			continue;
		flush[i] = true;
		if (away[i] && !quiet[i]) {
			kick(i);
			wait |= 1ull << i;
		}
	}
	for (; wait; wait &= wait - 1) {
		i = __builtin_ctzll(wait);
		while (__atomic_load_n(&away[i], __ATOMIC_SEQ_CST))
			wait_turn(&turns);
	}
}

void sched_barrier(void)
{
	if (rs_ncpus > 1)
		flush_others();
}

/* quiet changes under the lock only, which the caller has; away also when a CPU begins to wait for it. */
static bool may_read(u32 cpu)
{
	return !quiet[cpu] && __atomic_load_n(&away[cpu], __ATOMIC_SEQ_CST);
}

static const struct rcu_cpus rcu_cpus = { .reading = may_read, .kick = kick, .wait = wait_turn };

/* Not while allocations are made to fail on purpose (syscall/inject.c). */
static bool reclaim(void)
{
	return !page_alloc_refuse && !kmalloc_locked() && rcu_drain();
}

/* A thread that runs has to look at its work. */
static void kick_running(struct thread *t)
{
	u32 cpu = t->sched.cpu;

	if (rs_ncpus > 1 && cpu != this_cpu()->id && away[cpu])
		kick(cpu);
}

/* A CPU that would run it at once, otherwise this one. */
static u32 choose_cpu(struct thread *t)
{
	u32 me = this_cpu()->id, last = t->sched.cpu, i;

	if (rs_ncpus == 1 || (current() == queues[me].idle && !queues[me].n))
		return me;
	if (idle[last])
		return last;
	for (i = 0; i < rs_ncpus; i++)
		if (idle[i])
			return i;
	return me;
}

/* --- queues ----------------------------------------------------------------------------------- */

static void enqueue_on(struct thread *t, u32 cpu)
{
	struct queue *q = &queues[cpu];

	t->sched.state = THREAD_READY;
	t->sched.cpu = cpu;
	list_add_tail(&q->ready, &t->sched.run);
	sched_pending++;
	q->n++;
	/* Visible before ticking is looked at: the host clears that and looks at this again. */
	__atomic_store_n(&rs_cpus[cpu].shared->want_tick, 1, __ATOMIC_SEQ_CST);
	if (cpu != this_cpu()->id) {
		idle[cpu] = false;	/* one thread for one idle CPU */
		kick(cpu);
		return;
	}
	/* Who runs must not run for ever; an idle CPU looks by itself. */
	if (unlikely(!READ_ONCE(rs_boot->ticking)) && current() != q->idle)
		start_ticking();
}

static void enqueue(struct thread *t)
{
	enqueue_on(t, choose_cpu(t));
}

/* From the longest queue of the others. */
static struct thread *steal(void)
{
	struct queue *from = NULL;
	struct thread *t;
	u32 i;

	for (i = 0; i < rs_ncpus; i++)
		if (queues[i].n && (!from || queues[i].n > from->n))
			from = &queues[i];
	if (!from)
		return NULL;
	t = list_first(&from->ready, struct thread, sched.run);
	list_del(&t->sched.run);
	sched_pending--;
	from->n--;
	if (!from->n)
		rs_cpus[from - queues].shared->want_tick = 0;
	return t;
}

static struct thread *dequeue(struct queue *q)
{
	struct thread *t;

	if (!q->n)
		return unlikely(rs_ncpus > 1) ? steal() : NULL;
	t = list_first(&q->ready, struct thread, sched.run);
	list_del(&t->sched.run);
	sched_pending--;
	q->n--;
	if (!q->n)
		this_cpu()->shared->want_tick = sched_polling;
	return t;
}

void thread_wake(struct thread *t)
{
	t->sched.woken = true;
	if (t->sched.state == THREAD_SLEEPING)
		enqueue(t);
	else if (unlikely(t->sched.state == THREAD_RUNNING))
		kick_running(t);
}

void sched_start(struct thread *t)
{
	enqueue(t);
}

/* --- switching -------------------------------------------------------------------------------- */

static void finish_switch(void)
{
	struct queue *q = this_queue();
	struct thread *dead = q->dead;

	if (likely(!dead))
		return;
	q->dead = NULL;
	thread_free(dead);
}

/* The first thing a thread does: switch.S. */
void (*sched_first)(void);

void rs_thread_first(void);
void rs_thread_first(void)
{
	void (*first)(void) = sched_first;

	finish_switch();
	if (unlikely(first)) {
		sched_first = NULL;
		first();
	}
	sched_leave();
}

static void switch_to(struct thread *next)
{
	struct thread *prev = current();
	struct cpu *cpu = this_cpu();
	u64 now = rdtsc();

	prev->sched.used += now - prev->sched.since;
	next->sched.since = now;
	if (prev->proc && prev->sched.state != THREAD_DEAD) {
		fpu_save(prev->kstack);
		prev->sched.fs_base = user_fs_base();
		prev->sched.gs_base = user_gs_base();
	}
	next->kstack->cpu = cpu;
	next->kstack->shared = cpu->shared;
	next->sched.cpu = cpu->id;
	next->sched.state = THREAD_RUNNING;
	cpu->current = next;
	cpu_set_kstack(cpu, next->kstack);
	if (unlikely(!next->proc)) {
		/* What another CPU takes down must be in no CR3. */
		if (rs_ncpus > 1 && cpu->mm)
			mm_activate(NULL);
	} else {
		if (next->proc->mm != cpu->mm)
			mm_activate(next->proc->mm);
		fpu_load(next->kstack);
		set_user_fs_base(next->sched.fs_base);
		set_user_gs_base(next->sched.gs_base);
	}
	rs_switch_stack(&prev->sched.ksp, next->sched.ksp);
	finish_switch();
}

static always_inline void before_run(struct thread *next, bool is_idle)
{
	if (next->proc && unlikely(next->proc->cpu_due))
		syscall_cpu_runs(next->proc);
	if (unlikely(next->alarm))
		alarm_runs(next);
	if (unlikely(!list_empty(&sched_timers)) && !is_idle)
		tell_host_timer();
}

/* The current thread is not RUNNING any more, or is in a queue. */
static void schedule(void)
{
	struct queue *q = this_queue();
	struct thread *next = dequeue(q);

	if (!next)
		next = q->idle;
	if (next == current()) {
		next->sched.state = THREAD_RUNNING;
		return;
	}
	before_run(next, next == q->idle);
	switch_to(next);
}

void thread_hand_over(struct thread *next)
{
	struct thread *t = current();

	t->sched.state = THREAD_SLEEPING;
	t->proc->used.switches++;
	before_run(next, false);
	switch_to(next);
}

#ifndef RS_HOSTED
void thread_leave_to_slow(struct kstack *me, struct thread *next, bool parked)
{
	before_run(next, false);
	thread_leave(me, next, parked);
}
#endif

void sched_unparked(void)
{
	finish_switch();
}

void sched_prepare(struct thread *t)
{
	u64 *sp = (u64 *)kstack_frame(t->kstack);

	*--sp = (u64)rs_thread_begin;
	sp -= 6;
	memset(sp, 0, 6 * sizeof(*sp));
	t->sched.ksp = (u64)sp;
	memset(kstack_fpu(t->kstack), 0, 576);
	fpu_save(t->kstack);
	t->sched.fs_base = user_fs_base();
	t->sched.gs_base = user_gs_base();
}

void sched_exit(void)
{
	struct thread *t = current();

	t->sched.state = THREAD_DEAD;
	this_queue()->dead = t;
	schedule();
	__builtin_unreachable();
}

void thread_yield(void)
{
	struct thread *t = current();

	t->work &= ~THREAD_WORK_RESCHED;
	if (!this_queue()->n)
		return;
	t->proc->used.preempted++;
	enqueue_on(t, this_cpu()->id);
	schedule();
}

u64 sched_now_used(const struct thread *t)
{
	u64 used = t->sched.used;

	return t->sched.state == THREAD_RUNNING ? used + (rdtsc() - t->sched.since) : used;
}

/* --- sleeping --------------------------------------------------------------------------------- */

static void sleep_is_over(struct timer *timer)
{
	struct thread *t = container_of(timer, struct thread, sched.timer);

	t->sched.timed_out = true;
	thread_wake(t);
}

static bool interrupted(u32 how)
{
	if (how == SLEEP_ALWAYS)
		return false;
	if (current()->work & THREAD_WORK_EXIT)
		return true;
	return how == SLEEP_SIGNALS && signal_ready();
}

long thread_sleep(u64 deadline, u32 how)
{
	struct thread *t = current();
	struct sched_thread *s = &t->sched;

	if (s->woken) {
		s->woken = false;
		return interrupted(how) ? -EINTR : 0;
	}
	if (interrupted(how))
		return -EINTR;
	s->timed_out = false;
	if (deadline != NO_DEADLINE) {
		s->timer.fn = sleep_is_over;
		timer_start(&s->timer, deadline);
	}
	if (!s->woken) {
		s->state = THREAD_SLEEPING;
		t->proc->used.switches++;
		schedule();
	}
	timer_stop(&s->timer);
	s->woken = false;
	if (interrupted(how))
		return -EINTR;
	return s->timed_out ? -ETIMEDOUT : 0;
}

void wait_enter(struct wait_list *w, struct wait_entry *e)
{
	e->thread = current();
	e->thread->sched.woken = false;
	list_add_tail(&w->entries, &e->link);
}

void wait_leave(struct wait_entry *e)
{
	list_del(&e->link);
}

void wait_wake(struct wait_list *w)
{
	struct wait_entry *e;

	list_for_each(e, &w->entries, link)
		thread_wake(e->thread);
}

/* --- the locks that sleep (sync/) ------------------------------------------------------------- */

static struct waiter *waiter_of_current(void)
{
	struct thread *t = current();

	return t && t->proc ? &t->sched.waiter : NULL;
}

static void waiter_block(struct waiter *w)
{
	(void)w;
	thread_sleep(NO_DEADLINE, SLEEP_ALWAYS);
}

static void waiter_wake(struct waiter *w)
{
	thread_wake(container_of(w, struct thread, sched.waiter));
}

static const struct waiter_ops waiter_ops = {
	.self = waiter_of_current, .block = waiter_block, .wake = waiter_wake,
};

/* --- idle ------------------------------------------------------------------------------------- */

/*
 * The host looks at pending once more before it sleeps, so what is announced after host_events()
 * ends the sleep at once.
 */
static void idle_once(void)
{
	u64 timeout = NO_DEADLINE, now, most;

	host_events();
	if (this_queue()->n)
		return;
	most = nic ? nic->sleep(true) : NO_DEADLINE;
	if (!most || this_queue()->n)
		return;
	if (!list_empty(&sched_timers)) {
		u64 first = list_first(&sched_timers, struct timer, link)->deadline;

		now = clock_monotonic();
		if (first <= now) {
			run_timers();
			return;
		}
		timeout = first - now;
	}
	rcu_idle();
	page_alloc_stats_update();
	idle[this_cpu()->id] = true;
	sched_leave_for_host();
	host_call1(RS_CALL_IDLE, min(timeout, most));
	sched_enter();
	if (most != NO_DEADLINE)
		sched_quiet = true;
	idle[this_cpu()->id] = false;
}

static bool someone_waits(void)
{
	u32 i;

	for (i = 0; i < rs_ncpus; i++)
		if (queues[i].n)
			return true;
	return false;
}

void sched_idle(void)
{
	struct queue *q = this_queue();

	for (;;) {
		while (!q->n && !someone_waits())
			idle_once();
		current()->sched.state = THREAD_SLEEPING;
		schedule();
	}
}

void sched_init(void)
{
	struct cpu *cpu = this_cpu();
	struct queue *q = this_queue();
	struct thread *t = &idle_threads[cpu->id];

	list_init(&q->ready);
	t->kstack = this_kstack();
	t->sched.state = THREAD_RUNNING;
	t->sched.cpu = cpu->id;
	q->idle = t;
	this_kstack()->thread = t;
	cpu->current = t;
	if (cpu->id)
		return;
	waiter_setup(&waiter_ops);
	if (rs_ncpus > 1) {
		big_lock = 1;
		tlb_flush_others = flush_others;
		rcu_setup(&rcu_cpus);
		page_reclaim = reclaim;
	}
}
