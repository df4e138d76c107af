// SPDX-License-Identifier: MIT
/*
 * What the guest kernel tells (struct rs_trace_event), taken out of its rings and kept to the end.
 *
 * A ring is read by the thread that runs its vCPU, when the guest asks for it (RS_HC_TRACE), and once
 * more when no guest runs any more. So a ring that is full loses nothing, and no thread runs beside
 * the vCPUs only to read. What is kept is bounded; when the bound is reached the ring is closed: what
 * comes then is counted by the guest, which asks no more.
 *
 * The guest is hostile. head is read once and must be within one turn of tail, which is kept here;
 * slots are copied before anything in them is looked at; what they say about their own size is checked
 * against what is there. A ring that is wrong is read no more, the others go on.
 *
 * Merging by time: in each ring events are in order, since they are written when they happen, by the
 * TSC, which modules leave as the host has it (where CPUs differ in it, so will the order). The oldest
 * of the heads comes next. Events of the host's own (samples) are rings like the others, never
 * full and never shared with the guest.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#include "events.h"

#define NOTES_MEMORY	(64ull << 20)
#define MAX_STREAMS	(2 * RS_MAX_VCPUS)

_Static_assert(sizeof(struct rs_trace_ring) == RS_PAGE, "slots begin at a page");
_Static_assert(sizeof(struct rs_trace_event) == RS_TRACE_SLOT, "an event is a slot");

/**
 * struct stream - events in the order in which they happened
 * @ring: guest memory; NULL for the host's own
 * @kept: slots that have been taken out, @used of @most
 * @at:   for merging: the next event; @time: not before that
 */
struct stream {
	pthread_mutex_t lock;
	struct rs_trace_ring *ring;
	uint64_t tail;
	uint8_t *kept;
	uint64_t used, most;
	bool broken;
	uint64_t at, time;
};

static struct stream streams[MAX_STREAMS];
static unsigned int nstreams, nrings;
static uint64_t lost, khz;
static bool any_broken;

static struct file_name {
	char *path;
	struct rs_symbols *symbols;
	bool looked;
} *files;
static struct rs_symbols *kernel_symbols;
static const void *vdso_image;
static size_t vdso_size;

static int add_stream(void *ring, uint64_t bytes, char *why)
{
	struct stream *s = &streams[nstreams];
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED) {
		snprintf(why, RS_WHY, "cannot get %llu MiB of address space for events: %s",
			 (unsigned long long)bytes >> 20, strerror(errno));
		return -1;
	}
	pthread_mutex_init(&s->lock, NULL);
	s->ring = ring;
	s->kept = p;
	s->most = bytes / RS_TRACE_SLOT;
	nstreams++;
	return 0;
}

int rs_events_create(struct rs_sandbox *sb, uint64_t memory, char *why)
{
	unsigned int i;

	files = calloc(RS_TRACE_NAMES, sizeof(*files));
	if (!files) {
		snprintf(why, RS_WHY, "out of memory");
		return -1;
	}
	for (i = 0; i < sb->ncpus; i++)
		if (add_stream(sb->mem.arena + sb->trace_gpa + i * rs_events_ring_size(), memory,
			       why))
			return -1;
	nrings = nstreams;
	for (i = 0; i < sb->ncpus; i++)
		if (add_stream(NULL, NOTES_MEMORY, why))
			return -1;
	khz = sb->boot->tsc_khz;
	if (sb->mem.vdso_size) {
		vdso_image = (const void *)(sb->mem.vdso_hva + sb->mem.vvar_size);
		vdso_size = sb->mem.vdso_size;
	}
	return 0;
}

/* --- out of the rings ------------------------------------------------------------------------ */

static void close_ring(struct stream *s, bool broken)
{
	s->broken |= broken;
	__atomic_store_n(&s->ring->closed, 1, __ATOMIC_RELAXED);
}

static void take(struct stream *s)
{
	uint64_t head = __atomic_load_n(&s->ring->head, __ATOMIC_ACQUIRE), n = head - s->tail;
	const uint8_t *slots = (const uint8_t *)(s->ring + 1);

	if (s->broken)
		return;
	if (n > RS_TRACE_SLOTS) {
		close_ring(s, true);
		return;
	}
	if (n > s->most - s->used) {
		/* It stays where it is, and the guest counts what does not fit behind it. */
		close_ring(s, false);
		return;
	}
	for (; n; n--, s->tail++, s->used++)
		memcpy(s->kept + s->used * RS_TRACE_SLOT,
		       slots + s->tail % RS_TRACE_SLOTS * RS_TRACE_SLOT, RS_TRACE_SLOT);
	__atomic_store_n(&s->ring->tail, s->tail, __ATOMIC_RELEASE);
}

void rs_events_take(struct rs_vcpu *v)
{
	struct stream *s = &streams[v->index];

	if (v->index >= nrings)
		return;
	pthread_mutex_lock(&s->lock);
	take(s);
	pthread_mutex_unlock(&s->lock);
}

void rs_events_note(struct rs_vcpu *v, const struct rs_trace_event *e, const uint64_t *places,
		    unsigned int n)
{
	struct stream *s = &streams[nrings + v->index];
	struct rs_trace_event copy = *e;
	uint8_t *to;

	copy.places = n;
	copy.more = (n * sizeof(*places) + RS_TRACE_SLOT - 1) / RS_TRACE_SLOT;
	copy.vcpu = v->index;
	if (v->index >= nrings || 1u + copy.more > s->most - s->used) {
		__atomic_fetch_add(&lost, 1, __ATOMIC_RELAXED);
		return;
	}
	to = s->kept + s->used * RS_TRACE_SLOT;
	memcpy(to, &copy, sizeof(copy));
	memcpy(to + RS_TRACE_SLOT, places, n * sizeof(*places));
	s->used += 1 + copy.more;
}

void rs_events_want_sample(struct rs_vcpu *v)
{
	if (v->index < nrings)
		__atomic_store_n(&streams[v->index].ring->sample, 1, __ATOMIC_RELEASE);
}

/* --- the whole ------------------------------------------------------------------------------- */

static const struct rs_trace_event *event_at(const struct stream *s, uint64_t at)
{
	return (const struct rs_trace_event *)(s->kept + at * RS_TRACE_SLOT);
}

static bool event_ok(const struct stream *s, uint64_t at)
{
	const struct rs_trace_event *e = event_at(s, at);

	return e->type && e->type < RS_TRACE_TYPES && e->more < s->used - at &&
	       e->more <= RS_TRACE_MORE_MAX && e->places * 8u <= e->more * RS_TRACE_SLOT;
}

static void learn_name(const struct rs_trace_event *e)
{
	struct file_name *f;

	if (!e->extra || e->extra >= RS_TRACE_NAMES || e->addr > e->more * RS_TRACE_SLOT)
		return;
	f = &files[e->extra];
	if (!f->path)
		f->path = strndup((const char *)(e + 1), e->addr);
}

/* Cuts a stream off where it is wrong, and learns the names in it. */
static void check_stream(struct stream *s)
{
	uint64_t at = 0;

	while (at < s->used && event_ok(s, at)) {
		if (event_at(s, at)->type == RS_TRACE_NAME)
			learn_name(event_at(s, at));
		at += 1 + event_at(s, at)->more;
	}
	if (at < s->used)
		s->broken = true;
	s->used = at;
	any_broken |= s->broken;
}

/* Events that found no room in what is kept: they are in the ring still. */
static uint64_t count_left(const struct stream *s)
{
	uint64_t head = __atomic_load_n(&s->ring->head, __ATOMIC_ACQUIRE), at = s->tail, n = 0;
	const uint8_t *slots = (const uint8_t *)(s->ring + 1);
	struct rs_trace_event e;

	if (s->broken || head - at > RS_TRACE_SLOTS)
		return 0;
	for (; at < head; at += 1 + e.more) {
		memcpy(&e, slots + at % RS_TRACE_SLOTS * RS_TRACE_SLOT, sizeof(e));
		n += e.type != RS_TRACE_NAME;
	}
	return n;
}

void rs_events_finish(struct rs_sandbox *sb)
{
	unsigned int i;

	for (i = 0; i < nstreams; i++) {
		struct stream *s = &streams[i];

		pthread_mutex_lock(&s->lock);
		if (s->ring) {
			take(s);
			close_ring(s, false);
			lost += __atomic_load_n(&s->ring->lost, __ATOMIC_RELAXED);
			lost += count_left(s);
		}
		check_stream(s);
		s->broken = true;	/* a thread that has not ended yet changes nothing any more */
		pthread_mutex_unlock(&s->lock);
	}
	(void)sb;
}

uint64_t rs_events_lost(void)
{
	return lost;
}

bool rs_events_broken(void)
{
	return any_broken;
}

uint64_t rs_events_tsc_khz(void)
{
	return khz;
}

/* The stream whose next event is the oldest; NULL when there is none left. */
static struct stream *oldest(void)
{
	struct stream *best = NULL;
	unsigned int i;

	for (i = 0; i < nstreams; i++) {
		struct stream *s = &streams[i];

		if (s->at == s->used)
			continue;
		/* A time before the last one's is the guest's mistake: order is kept. */
		if (event_at(s, s->at)->tsc > s->time)
			s->time = event_at(s, s->at)->tsc;
		if (!best || s->time < best->time)
			best = s;
	}
	return best;
}

int rs_events_each(int (*fn)(void *ctx, const struct rs_event *e), void *ctx)
{
	struct stream *s;
	unsigned int i;
	int ret = 0;

	for (i = 0; i < nstreams; i++)
		streams[i].at = streams[i].time = 0;
	while (!ret && (s = oldest())) {
		const struct rs_trace_event *t = event_at(s, s->at);
		struct rs_event e = {
			.tsc = s->time, .type = t->type, .vector = t->vector, .cause = t->cause,
			.vcpu = (uint32_t)t->vcpu, .pid = t->pid, .tid = t->tid, .addr = t->addr,
			.rip = t->rip, .place = t->place, .extra = t->extra, .nplaces = t->places,
			.places = (const uint64_t *)(t + 1),
		};

		s->at += 1 + t->more;
		if (e.type != RS_TRACE_NAME)
			ret = fn(ctx, &e);
	}
	return ret;
}

/* --- places ---------------------------------------------------------------------------------- */

const char *rs_events_file(uint64_t number)
{
	return files && number < RS_TRACE_NAMES ? files[number].path : NULL;
}

static struct rs_where in_kernel(uint64_t addr)
{
	struct rs_where w = { .file = "[guest kernel]", .offset = addr };

	if (!kernel_symbols)
		kernel_symbols = rs_symbols_of_image(rs_traced_image_start,
						     (size_t)(rs_traced_image_end -
							      rs_traced_image_start));
	w.symbol = rs_symbols_find(kernel_symbols, addr, true, &w.delta);
	return w;
}

struct rs_where rs_events_where(uint64_t place)
{
	struct rs_where w = { .offset = place };
	struct file_name *f;

	if (place >> 63)
		return in_kernel(place);
	w.file = rs_events_file(place >> 48);
	if (!w.file)
		return w;
	w.offset = place & ((1ull << 48) - 1);
	f = &files[place >> 48];
	if (!f->looked) {
		f->looked = true;
		f->symbols = strcmp(f->path, "[vdso]") ? rs_symbols_of(f->path) :
			     rs_symbols_of_image(vdso_image, vdso_size);
	}
	w.symbol = rs_symbols_find(f->symbols, w.offset, false, &w.delta);
	return w;
}
