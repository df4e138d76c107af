/* SPDX-License-Identifier: MIT */
/*
 * bench.h - what the operations of the ledger have in common
 *
 * An operation is a function that fills in a struct sample: one batch. It measures the span that counts between
 * span_begin() and span_end(); what it does outside of the two is free. An operation that cannot
 * be done here calls die(), which leaves it (and only it) with a message: the program goes on with the next
 * and ends with status 1.
 */
#ifndef SELFTESTS_BENCH_H
#define SELFTESTS_BENCH_H

#include <stdint.h>
#include <stddef.h>
#include <x86intrin.h>

/**
 * struct sample - one batch
 * @ticks: of the time-stamp counter
 * @exits: VM exits without the host's interrupts
 * @ops:   operations that @ticks and @exits are for
 */
struct sample {
	uint64_t ticks;
	uint64_t exits;
	uint64_t ops;
};

#define NATIVE	1	/* run when measuring Linux */
#define RING	2	/* run inside the ring */
#define OUTSIDE	4	/* the ring's figure, measured by a process outside it */
#define INSIDE	8	/* the figure of a process that takes itself into the ring */

/**
 * struct op - a row of the ledger
 * @param:   MiB touched, or 0 when the operation has no size
 * @batches: measured after one that is not; the least counts
 */
struct op {
	const char *group, *name;
	unsigned int param;
	unsigned int where;
	unsigned int batches;
	void (*batch)(struct sample *s, unsigned int param);
};

#define BATCHES 40

/* Each ends with one that is zero. */
extern const struct op process_ops[], app_ops[], ipc_ops[], pages_ops[], dirty_ops[], uthread_ops[], rcu_ops[], user_fork_ops[], net_ops[], self_ops[];
/* What Linux offers, for rows of other groups too: bench.c, app.c. */
void batch_forwarded(struct sample *s, unsigned int param);
void batch_trap(struct sample *s, unsigned int param);
void batch_prot1(struct sample *s, unsigned int param);
void batch_protn(struct sample *s, unsigned int param);
/** self_exits() - exits of this process's own guest ring so far, the host's interrupts included */
uint64_t self_exits(void);
/** net_peer() - the other side of net_ops; does not return but for an error */
int net_peer(void);
extern const char *self;	/* the path of this program */

void die(const char *what) __attribute__((noreturn));
/**
 * memory_touch() - the first @mib MiB (at most 1024) of memory in 4 KiB pages, each of which has
 * been written, and no more than these
 */
char *memory_touch(unsigned int mib);
/** memory_pages() - @n pages of 4 KiB of its own, each of which has been written */
char *memory_pages(size_t n);
/** exits_now() - exits so far; 0 outside the ring. Costs an exit or none, see exits_own. */
uint64_t exits_now(void);
extern uint64_t exits_own;

static inline void span_begin(struct sample *s)
{
	s->exits = exits_now();
	s->ticks = __rdtsc();
}

static inline void span_end(struct sample *s)
{
	s->ticks = __rdtsc() - s->ticks;
	s->exits = exits_now() - s->exits - exits_own;
}

#endif /* SELFTESTS_BENCH_H */
