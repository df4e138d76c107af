/* SPDX-License-Identifier: MIT */
/*
 * rcu.h - readers without a lock: when may what they might still see be freed?
 *
 * The kernel's lock (proc/sched.h) lets one CPU at a time in. A few short paths do not take it: a
 * trap that a process takes itself (upcall_fast()), calls that only look something up
 * (syscall/readers.c). These are the readers. They run with interrupts off, do not sleep, are not
 * switched, and what they read may change under them; sequence counts and lib/rculist.h are for
 * that. What is taken away from them is freed only after a grace period: when every CPU has been
 * somewhere where there are no readers.
 *
 * Where that is: a reader begins with a trap from ring 3 and ends before the CPU takes the lock or
 * is back in ring 3. So a CPU that has the lock, waits for it, or is in the host (idle, or in a
 * request that may block) reads nothing, nor did it keep anything from before; a context switch
 * needs the lock, so it is one of these. A CPU in ring 3 reads nothing either, but it could begin
 * to at any moment, and nobody sees it: readers leave no trace, that is what makes them cheap. So
 * "in ring 3 or reading" is one state (rcu_cpus.reading()), and leaving it by way of the lock is
 * the event that counts:
 *
 *	writer			has the lock: takes an object out of what readers find, rcu_call()
 *	grace period begins	waiting = the CPUs that are in ring 3 or reading
 *	a CPU gets the lock	rcu_passed(): leaves waiting
 *	waiting is empty	the objects queued before the beginning are freed
 *
 * Why a CPU that was not reading at the beginning does not count: to read again it must first get
 * the lock, which the writer holds, and after that sees what the writer has done. So no barrier is
 * needed here; the lock's are enough. Readers see either all of the old or the new pointer.
 *
 * Nothing hurries a grace period but need. CPUs come in by themselves, mostly soon; one that
 * computes in ring 3 for long is made to come (rcu_cpus.kick()) when RCU_MANY objects wait, or when
 * memory is short and everything must be given back: rcu_drain(). Small batches wait for company
 * (RCU_BATCH) or for a CPU that has nothing else to do.
 *
 * With one CPU there is nobody else who could read: rcu_call() frees at once.
 *
 * Everything here but the readers' macros is called by the CPU that has the kernel's lock.
 */
#ifndef RS_SYNC_RCU_H
#define RS_SYNC_RCU_H

#include "../arch/cpu.h"
#include "../lib/rculist.h"

/** struct rcu_head - part of an object that is freed so; may lie over what readers do not look at */
struct rcu_head {
	struct rcu_head *next;
	void (*fn)(struct rcu_head *h);
};

/**
 * struct rcu_cpus - what this needs of the scheduler (tests: of threads that play CPUs)
 * @reading: CPU @cpu is in ring 3 or reading; false means that it must get the lock before it reads
 *	     again. Acquires: what it read before is read. Not asked about the CPU that asks.
 * @kick:    CPU @cpu, which is in ring 3 or reading, comes in soon; does not wait
 * @wait:    a turn of waiting for another CPU; *@turns counts them, 0 at first
 */
struct rcu_cpus {
	bool (*reading)(u32 cpu);
	void (*kick)(u32 cpu);
	void (*wait)(u32 *turns);
};

#define RCU_BATCH	32	/* objects of one CPU that are worth a grace period */
#define RCU_MANY	512	/* objects waiting at which CPUs are kicked */

/* CPUs the present grace period waits for */
extern u64 rcu_waiting;

/** rcu_setup() - boot, with more than one CPU; @cpus stays */
void rcu_setup(const struct rcu_cpus *cpus);

/* Slow halves. */
void rcu_queue(struct rcu_head *h, void (*fn)(struct rcu_head *h));
void rcu_pass(u32 cpu);

/**
 * rcu_call() - @fn(@h) after a grace period, or now if there are no other CPUs; no reader finds the
 * object any more. @fn runs with the lock held, perhaps within somebody's allocation: it frees
 * memory and does nothing else.
 */
static always_inline void rcu_call(struct rcu_head *h, void (*fn)(struct rcu_head *h))
{
	if (likely(rs_ncpus == 1))
		fn(h);
	else
		rcu_queue(h, fn);
}

/** rcu_passed() - CPU @cpu has just got the lock */
static always_inline void rcu_passed(u32 cpu)
{
	if (unlikely(rcu_waiting >> cpu & 1))
		rcu_pass(cpu);
}

/** rcu_idle() - this CPU has nothing to do: small batches, too */
void rcu_idle(void);

/** rcu_synchronize() - waits for a grace period; the lock is held throughout */
void rcu_synchronize(void);

/**
 * rcu_drain() - waits until all that has been queued so far is freed, by kicking CPUs if need be
 * True when there was something. Not with a lock held that freeing takes.
 */
bool rcu_drain(void);

/** rcu_queued() - objects that wait */
u32 rcu_queued(void);

#endif
