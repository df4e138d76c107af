/* SPDX-License-Identifier: MIT */
/*
 * events.h - taking in what the guest kernel tells, and asking where it is. See events.c, sample.c.
 */
#ifndef RS_EVENTS_H
#define RS_EVENTS_H

#include "load.h"

#include "ringside/events.h"

/** The guest kernel with hooks (image.S). */
extern const char rs_traced_image_start[], rs_traced_image_end[];

#define RS_TRACE_SLOTS	16384	/* of a ring: 1 MiB */

/** rs_events_ring_size() - bytes of guest memory that each vCPU's ring takes */
static inline uint64_t rs_events_ring_size(void)
{
	return sizeof(struct rs_trace_ring) + (uint64_t)RS_TRACE_SLOTS * RS_TRACE_SLOT;
}

/**
 * rs_events_create() - after rs_load(), which has made the rings: memory for what will be taken out of
 * them, at most @memory bytes per vCPU. 0, or -1 with words in @why.
 */
int rs_events_create(struct rs_sandbox *sb, uint64_t memory, char *why);

/** rs_events_take() - RS_HC_TRACE: all there is in the ring of @v. By any thread */
void rs_events_take(struct rs_vcpu *v);

/** rs_events_finish() - no guest runs any more: take the rest */
void rs_events_finish(struct rs_sandbox *sb);

/**
 * rs_events_note() - an event of the host's own, about vCPU @v, in whose thread this is; nothing else
 * may make one for it meanwhile. Async-signal-safe. @n places of callers.
 */
void rs_events_note(struct rs_vcpu *v, const struct rs_trace_event *e, const uint64_t *places,
		    unsigned int n);

/** rs_events_want_sample() - the guest shall tell where it is. Async-signal-safe */
void rs_events_want_sample(struct rs_vcpu *v);

/* --- symbols.c ------------------------------------------------------------------------------- */

struct rs_symbols;

/** rs_symbols_of() - those of the file @path, or of the ELF image in memory; NULL when there are none */
struct rs_symbols *rs_symbols_of(const char *path);
struct rs_symbols *rs_symbols_of_image(const void *data, size_t size);

/**
 * rs_symbols_find() - the function at @at, an offset in the file, or with @address an address as the
 * file has them; NULL when there is none. @delta: bytes from its beginning
 */
const char *rs_symbols_find(const struct rs_symbols *s, uint64_t at, bool address, uint64_t *delta);

/* --- sample.c -------------------------------------------------------------------------------- */

/**
 * rs_sample_start() - from now on, and @hz times a second, an event RS_TRACE_SAMPLE of each vCPU
 * Its thread is like all others confined as the caller is. Returns 0 or -errno.
 */
int rs_sample_start(struct rs_sandbox *sb, unsigned int hz);

/** rs_sample_here() - in the handler of RS_SIGNAL_KICK, in the thread of @v: if it was for a sample */
void rs_sample_here(struct rs_vcpu *v);

#endif /* RS_EVENTS_H */
