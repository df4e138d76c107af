// SPDX-License-Identifier: MIT
/*
 * Threads beside the first one, and notifications.
 *
 * The first thread runs vCPU 0 and takes the signals that come from outside. The others are made
 * when they are needed, after the confinement, which they inherit: one per further vCPU, one per
 * forwarded call that sleeps (helpers.c), one that knows the time (clock.c). They block every
 * signal but RS_SIGNAL_KICK, so Linux gives signals for the process to the first thread.
 *
 * A notification is lost by nobody. Who notifies a vCPU
 *	1  sets the event's bit in events, then RS_PENDING_EVENTS in pending
 *	2  sends RS_SIGNAL_KICK to the vCPU's thread, if that bit was not set before
 * The guest takes pending with an exchange, then events with another. If the bit was set before,
 * the guest has not yet taken it, so it will find this event with the earlier one, for whose sake
 * somebody has sent the signal, or is about to. If it was not, the signal is on its way, and the
 * kernel runs the handler in the vCPU's thread, wherever that is:
 *
 *	in RS_RUN, or at its beginning	Linux sees the signal before the guest is entered (again) and
 *					RS_RUN returns EINTR. The handler asks for RS_VECTOR_NOTIFY,
 *					the loop enters again, the guest gets the vector as soon as it
 *					takes interrupts
 *	between two RS_RUNs		the handler asks for the vector, the next RS_RUN delivers it
 *	in a forwarded call that sleeps, in RS_CALL_IDLE
 *					the call returns EINTR (RS_CALL_IDLE: 0), and the vector comes
 *					with the next RS_RUN
 *	before such a call		pending is not 0, and rs_host_call() does not begin it: either it
 *					looks after step 1, or it has looked before, and then the
 *					signal finds it before the instruction (the handler takes it
 *					out) or in the kernel (EINTR)
 *
 * The vector is asked for by the vCPU's own thread alone, so the module, which takes the wish back
 * when it is fulfilled, never races with it. A vCPU whose thread is about to begin has no thread to
 * send the signal to: it publishes its number, then looks at pending; the notifier does it the
 * other way round.
 *
 * The end. Whoever ends the sandbox is a vCPU's thread. It leaves its loop and makes the others
 * leave theirs: RS_KICK ends the RS_RUN in progress or the next one, the signal ends a call that
 * sleeps. A call that was about to sleep may miss both, if a hostile guest takes pending back, so
 * the two are repeated until all have left; not for ever, since the end of the process needs
 * nobody's consent.
 */
#define _GNU_SOURCE
#include <asm/unistd.h>
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "raw.h"
#include "threads.h"

/* Paths and messages are on the stack (policy.c, explain.c), and a signal frame with all registers. */
#define STACK_SIZE	(256ul << 10)
#define END_AGAIN_NS	10000000ull
#define END_PATIENCE_NS	2000000000ull

__thread struct rs_vcpu *rs_this_vcpu __attribute__((tls_model("initial-exec")));

/* Making threads, and rs_vcpu.started. Taken with helpers.c's lock held, never the other way. */
static pthread_mutex_t making = PTHREAD_MUTEX_INITIALIZER;
static uint32_t vcpus_left;	/* a futex: changes when a vCPU's thread has left its loop */

/* --- time and sleep -------------------------------------------------------------------------- */

uint64_t rs_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

struct rs_moment rs_moment(void)
{
	struct rs_moment best = { 0 };
	uint64_t before, after, shortest = UINT64_MAX, ns;
	int i;

	for (i = 0; i < 8; i++) {
		before = __builtin_ia32_rdtsc();
		ns = rs_now_ns();
		after = __builtin_ia32_rdtsc();
		if (after - before >= shortest)
			continue;
		shortest = after - before;
		best = (struct rs_moment){ .ns = ns, .tsc = before + shortest / 2 };
	}
	return best;
}

void rs_futex_wait(uint32_t *word, uint32_t value, uint64_t deadline)
{
	struct timespec ts = { .tv_sec = deadline / 1000000000, .tv_nsec = deadline % 1000000000 };

	rs_raw6(__NR_futex, (long)word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, value,
		deadline == ~0ull ? 0 : (long)&ts, 0, (long)FUTEX_BITSET_MATCH_ANY);
}

void rs_futex_wake(uint32_t *word)
{
	rs_raw3(__NR_futex, (long)word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1);
}

/* --- making ---------------------------------------------------------------------------------- */

/* Before the first of them: what the process did not need as long as it was one thread. */
static int become_several(struct rs_sandbox *sb)
{
	if (sb->pid)
		return 0;
	if (rs_signals_kick())
		return -EAGAIN;
	__atomic_store_n(&sb->vcpus[0]->tid, (int)rs_raw3(__NR_getpid, 0, 0, 0), __ATOMIC_SEQ_CST);
	sb->pid = sb->vcpus[0]->tid;
	return 0;
}

int rs_thread_start(struct rs_sandbox *sb, void *(*fn)(void *arg), void *arg, bool caller)
{
	sigset_t blocked, before;
	pthread_attr_t attr;
	pthread_t thread;
	int ret;

	pthread_mutex_lock(&making);
	ret = become_several(sb);
	if (!ret && caller && !sb->several) {
		/* The only caller is the thread we are in, and it is in this request. */
		rs_table_several();
		sb->several = true;
	}
	if (!ret && pthread_attr_init(&attr))
		ret = -EAGAIN;
	if (!ret) {
		pthread_attr_setstacksize(&attr, STACK_SIZE);
		pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
		sigfillset(&blocked);
		sigdelset(&blocked, SIGSEGV);
		sigdelset(&blocked, SIGBUS);
		sigdelset(&blocked, RS_SIGNAL_KICK);
		pthread_sigmask(SIG_SETMASK, &blocked, &before);
		if (pthread_create(&thread, &attr, fn, arg))
			ret = -EAGAIN;
		pthread_sigmask(SIG_SETMASK, &before, NULL);
		pthread_attr_destroy(&attr);
	}
	pthread_mutex_unlock(&making);
	return ret;
}

int rs_thread_own_directory(void)
{
	return rs_raw3(__NR_unshare, CLONE_FS, 0, 0);
}

/* --- notifications --------------------------------------------------------------------------- */

void rs_vcpu_interrupt(struct rs_vcpu *v)
{
	int tid = __atomic_load_n(&v->tid, __ATOMIC_SEQ_CST);

	if (tid)
		rs_raw3(__NR_tgkill, v->caller.sb->pid, tid, RS_SIGNAL_KICK);
}

void rs_vcpu_notify(struct rs_vcpu *v, uint64_t event)
{
	struct rs_vcpu_shared *shared = v->shared;

	__atomic_fetch_or(&shared->events, event, __ATOMIC_SEQ_CST);
	if (__atomic_fetch_or(&shared->pending, RS_PENDING_EVENTS, __ATOMIC_SEQ_CST) &
	    RS_PENDING_EVENTS)
		return;
	rs_vcpu_interrupt(v);
}

/* --- vCPUs ----------------------------------------------------------------------------------- */

void rs_vcpu_begin(struct rs_vcpu *v)
{
	rs_this_vcpu = v;
	if (!v->index)
		return;		/* its number is known before there is anybody to use it */
	__atomic_store_n(&v->tid, (int)rs_raw3(__NR_gettid, 0, 0, 0), __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&v->shared->pending, __ATOMIC_SEQ_CST))
		v->engine.run->irq_vector = RS_VECTOR_NOTIFY;
}

static void *vcpu_thread(void *arg)
{
	struct rs_vcpu *v = arg;
	int ret = rs_thread_own_directory();

	rs_vcpu_begin(v);
	if (ret)
		rs_end(v->caller.sb, 2, RS_STATUS_SETUP,
		       "the thread of vCPU %u gets no working directory of its own: %s", v->index,
		       strerror(-ret));
	rs_vcpu_loop(v);
	rs_vcpu_end(v);
	return NULL;
}

void rs_vcpu_end(struct rs_vcpu *v)
{
	struct rs_sandbox *sb = v->caller.sb;
	uint64_t now, until = 0;

	__atomic_store_n(&v->left, true, __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&vcpus_left, 1, __ATOMIC_SEQ_CST);
	rs_futex_wake(&vcpus_left);
	for (;;) {
		uint32_t seen = __atomic_load_n(&vcpus_left, __ATOMIC_SEQ_CST);
		unsigned int i, inside = 0;

		for (i = 0; i < sb->ncpus; i++) {
			struct rs_vcpu *other = sb->vcpus[i];

			if ((i && !__atomic_load_n(&other->started, __ATOMIC_SEQ_CST)) ||
			    __atomic_load_n(&other->left, __ATOMIC_SEQ_CST))
				continue;
			inside++;
			sb->engine.ops->kick(&other->engine);
			rs_vcpu_interrupt(other);
		}
		if (!inside)
			return;
		now = rs_now_ns();
		if (!until)
			until = now + END_PATIENCE_NS;
		if (now > until)
			return;
		rs_futex_wait(&vcpus_left, seen, now + END_AGAIN_NS);
	}
}

long rs_vcpu_start(struct rs_sandbox *sb, uint64_t index)
{
	struct rs_vcpu *v;
	long ret;

	if (index >= sb->ncpus)
		return -EINVAL;
	v = sb->vcpus[index];
	if (!index || __atomic_exchange_n(&v->started, true, __ATOMIC_SEQ_CST))
		return -EBUSY;
	ret = rs_thread_start(sb, vcpu_thread, v, true);
	if (ret)
		__atomic_store_n(&v->started, false, __ATOMIC_SEQ_CST);
	return ret;
}

long rs_vcpu_kick(struct rs_sandbox *sb, uint64_t index)
{
	struct rs_vcpu *v;

	if (index >= sb->ncpus)
		return -EINVAL;
	v = sb->vcpus[index];
	if (index && !__atomic_load_n(&v->started, __ATOMIC_SEQ_CST))
		return -EINVAL;
	rs_vcpu_notify(v, RS_EVENT_KICK);
	return 0;
}
