// SPDX-License-Identifier: MIT
/*
 * ring.c - writing events where the host process reads them
 *
 * A ring has one writer, its CPU, which is never interrupted here, and one reader. An event is
 * written whole into free slots, then @head is moved with release order; a reader that sees the new
 * @head sees the event. Free slots are those that @tail has passed. When they are too few the host
 * is asked to read (RS_HC_TRACE), which it does before it answers; if there are still too few, the
 * event is counted in @lost. So what is in the ring is never overwritten.
 *
 * Files have numbers, so that an event is small. A name is told (RS_TRACE_NAME) before the first
 * event that has its number, in the ring of the CPU that met it first. Another CPU may use the
 * number at once: the host reads all rings before it looks at events, so the order there is no
 * matter.
 *
 * Backtraces follow frame pointers: in the kernel, which is compiled with them, from the frame to
 * the end of its stack; then in the process, by looking at its page table only. What is not present
 * in the arena ends them. A CPU without the kernel's lock (upcall_fast() with several CPUs) looks at
 * neither mappings nor tables: others may be changing them.
 */
#include "events.h"
#include "../arch/trap.h"
#include "../host/host.h"
#include "../lib/string.h"
#include "../mm/page_alloc.h"

#define MAX_DEPTH	64
#define NAME_HASH	1024
#define NAME_LEN	1024	/* longer ones are cut off */

_Static_assert(sizeof(struct rs_trace_event) == RS_TRACE_SLOT, "an event is a slot");
_Static_assert(sizeof(struct rs_trace_ring) == PAGE_SIZE, "slots begin at a page");
_Static_assert(MAX_DEPTH * 8 / RS_TRACE_SLOT <= RS_TRACE_MORE_MAX, "callers fit into an event");
_Static_assert(NAME_LEN / RS_TRACE_SLOT <= RS_TRACE_MORE_MAX, "names fit into an event");

extern const char rs_image_start[];

/* --- the ring --------------------------------------------------------------------------------- */

static struct rs_trace_ring *ring_of(u32 cpu)
{
	u64 size = sizeof(struct rs_trace_ring) + (u64)rs_boot->trace_slots * RS_TRACE_SLOT;

	return gpa_ptr(rs_boot->trace_gpa + cpu * size);
}

bool events_on(u32 type)
{
	return rs_boot && rs_boot->trace_gpa && rs_boot->trace_events >> type & 1 && this_cpu();
}

static bool room(const struct rs_trace_ring *r, u32 slots)
{
	u64 used = r->head - __atomic_load_n(&r->tail, __ATOMIC_ACQUIRE);

	return slots <= rs_boot->trace_slots && used <= rs_boot->trace_slots - slots;
}

static void put(const struct rs_trace_event *e, const void *more, u32 bytes)
{
	struct rs_trace_ring *r = ring_of(this_cpu()->id);
	u32 slots = 1 + e->more, mask = rs_boot->trace_slots - 1, i;
	char *base = (char *)(r + 1);
	u64 at = r->head;

	if (unlikely(!room(r, slots))) {
		if (!READ_ONCE(r->closed))
			rs_hypercall(RS_HC_TRACE, 0, 0, 0, 0);
		if (!room(r, slots)) {
			r->lost++;
			return;
		}
	}
	memcpy(base + (at & mask) * RS_TRACE_SLOT, e, sizeof(*e));
	for (i = 1; i < slots; i++) {
		char *to = base + ((at + i) & mask) * RS_TRACE_SLOT;
		u32 n = min(bytes, (u32)RS_TRACE_SLOT);

		memset(to, 0, RS_TRACE_SLOT);
		memcpy(to, more, n);
		more = (const char *)more + n;
		bytes -= n;
	}
	__atomic_store_n(&r->head, at + slots, __ATOMIC_RELEASE);
}

static u32 slots_for(u32 bytes)
{
	return (bytes + RS_TRACE_SLOT - 1) / RS_TRACE_SLOT;
}

static void fill_in(struct rs_trace_event *e)
{
	struct thread *t = this_kstack()->thread;

	e->tsc = rdtsc();
	e->vcpu = this_cpu()->id;
	if (t && t->proc) {
		e->pid = t->proc->pid;
		e->tid = t->tid;
	}
}

/* --- names ------------------------------------------------------------------------------------ */

static struct name {
	struct name *next;
	u32 number;
	u16 len;
	char text[];
} *names[NAME_HASH];
static u32 name_count;
static u32 name_lock;		/* also taken by CPUs without the kernel's lock: it spins */
static char name_room[1 << 20] __attribute__((aligned(8)));
static size_t name_used;

static struct name *name_find(const char *text, u32 len, u32 hash)
{
	struct name *n;

	for (n = names[hash]; n; n = n->next)
		if (n->len == len && !memcmp(n->text, text, len))
			return n;
	return NULL;
}

static struct name *name_add(const char *text, u32 len, u32 hash)
{
	size_t size = ALIGN_UP(sizeof(struct name) + len, 8);
	struct rs_trace_event e = {
		.type = RS_TRACE_NAME, .more = slots_for(len), .addr = len,
	};
	struct name *n;

	if (name_count + 1 >= RS_TRACE_NAMES || size > sizeof(name_room) - name_used)
		return NULL;
	n = (struct name *)(name_room + name_used);
	name_used += size;
	n->number = ++name_count;
	n->len = len;
	memcpy(n->text, text, len);
	n->next = names[hash];
	names[hash] = n;
	e.extra = n->number;
	fill_in(&e);
	put(&e, n->text, len);
	return n;
}

u32 event_name(const char *text)
{
	u32 len = strnlen(text, NAME_LEN), hash = 2166136261u, i;
	struct name *n;

	for (i = 0; i < len; i++)
		hash = (hash ^ (u8)text[i]) * 16777619u;
	hash = (hash ^ hash >> 16) % NAME_HASH;
	while (__atomic_exchange_n(&name_lock, 1, __ATOMIC_ACQUIRE))
		cpu_relax();
	n = name_find(text, len, hash);
	if (!n)
		n = name_add(text, len, hash);
	__atomic_store_n(&name_lock, 0, __ATOMIC_RELEASE);
	return n ? n->number : 0;
}

/* --- places ----------------------------------------------------------------------------------- */

static struct mm *mm_to_look_at(void)
{
	return sched_inside() ? this_cpu()->mm : NULL;
}

static u64 in_file(u32 number, u64 offset, u64 va)
{
	return number && offset < 1ull << 48 ? (u64)number << 48 | offset : va;
}

u64 event_place(u64 va)
{
	struct mm *mm = mm_to_look_at();
	const struct vma *v;

	if (va >= USER_TOP || !mm)
		return va;
	v = mm_find_reader(mm, va);
	if (!v)
		return va;
	if (mm->vdso && v->flags & VM_FIXED_KERNEL && va >= mm->vdso)
		return in_file(event_name("[vdso]"), va - mm->vdso, va);
	if (!v->file || !v->file->name)
		return va;
	return in_file(event_name(refstr_text(v->file->name)),
		       v->file->offset + v->file_off + (va - v->start), va);
}

/* --- who called ------------------------------------------------------------------------------- */

/* Two words of the process, if they lie in one page that is there. */
static bool read_pair(struct mm *mm, u64 va, u64 pair[2])
{
	pte_t e;
	u64 gpa;

	if (va & 7 || va >= USER_TOP - 16 || (va & ~PAGE_MASK) > PAGE_SIZE - 16)
		return false;
	e = pgtable_peek(&mm->pt, va);
	gpa = (e & PTE_ADDR) + (va & ~PAGE_MASK);
	if ((e & (PTE_P | PTE_U)) != (PTE_P | PTE_U) || gpa > rs_boot->arena_size - 16)
		return false;
	memcpy(pair, gpa_ptr(gpa), 16);
	return true;
}

static u32 callers_kernel(const struct rs_frame *f, u64 *places, u32 most)
{
	u64 fp = f->rbp, low = (u64)this_kstack(), high = (u64)kstack_frame(this_kstack());
	u32 n = 0;

	while (n < most && fp > low + sizeof(struct kstack) && fp <= high - 16 && !(fp & 7)) {
		const u64 *pair = (const u64 *)fp;

		if (pair[1] < (u64)rs_image_start)
			break;
		places[n++] = pair[1] - 1;
		if (pair[0] <= fp)
			break;
		fp = pair[0];
	}
	return n;
}

static u32 callers_user(const struct rs_frame *f, u64 *places, u32 most)
{
	struct mm *mm = mm_to_look_at();
	u64 fp = f->rbp, pair[2];
	u32 n = 0;

	while (mm && n < most && read_pair(mm, fp, pair)) {
		if (!pair[1] || pair[1] >= USER_TOP)
			break;
		/* The call, not what follows it, which may be another line or function. */
		places[n++] = event_place(pair[1] - 1);
		if (pair[0] <= fp)
			break;
		fp = pair[0];
	}
	return n;
}

static u32 callers_of(const struct rs_frame *f, u64 *places)
{
	u32 most = min(rs_boot->trace_depth, (u32)MAX_DEPTH), n = 0;

	if (!frame_from_user(f)) {
		n = callers_kernel(f, places, most);
		f = kstack_frame(this_kstack());
		if (n < most && this_kstack()->thread && frame_from_user(f))
			places[n++] = event_place(f->rip);
		else
			return n;
	}
	return n + callers_user(f, places + n, most - n);
}

/* --- events ----------------------------------------------------------------------------------- */

void event(struct rs_trace_event e, const struct rs_frame *f, bool callers)
{
	u64 places[MAX_DEPTH];

	if (f) {
		e.rip = f->rip;
		e.place = event_place(f->rip);
		if (callers)
			e.places = callers_of(f, places);
	}
	e.more = slots_for(e.places * sizeof(u64));
	fill_in(&e);
	put(&e, places, e.places * sizeof(u64));
}

bool event_sample_wanted(void)
{
	if (!rs_boot->trace_gpa)
		return false;
	return __atomic_exchange_n(&ring_of(this_cpu()->id)->sample, 0, __ATOMIC_ACQ_REL);
}
