// SPDX-License-Identifier: MIT
/*
 * Chunks: 1 GiB of the program's addresses at a time get a place in guest physical memory.
 *
 * A place is a slot, a GiB of guest physical memory. Slots below 64 are for the chunks of the same number (so that there the address is the
 * guest physical one), the others for whoever comes. Each slot has a page of level 2 that never changes hands: its entries say what they
 * say whatever chunk the slot has. A chunk is given out by making the slot's region, then its entry of level 3.
 *
 * When no slot is free, or the module takes no more regions, the oldest slot is taken away from its chunk. The order matters, because other
 * vCPUs run: 1. the entry of level 3 goes; 2. every CPU forgets it; 3. the slot's region is replaced. For 2 there is the flush page: a
 * page of the vCPU's own block that the guest has just touched, and that is then dropped natively, which Linux announces and which makes
 * the module flush every vCPU before it goes on. The touch has to be done in the guest, so the loop answers RS_ANS_TOUCH after 1 and is
 * called once more. In between the slot has no chunk.
 */
#include <errno.h>
#include <sys/mman.h>

#include "raw.h"
#include "self.h"

#define LOW_SLOTS	64
#define USER_END	0x7ffffffff000ull	/* Linux has nothing from here on */
#define NO_SLOT		(~0u)

#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED	24	/* Linux 5.18 */
#endif

static uint64_t *chunk_entry(uint64_t chunk)
{
	return (uint64_t *)rs_self.shared->pdpts_here + chunk;
}

static int region(unsigned long request, uint64_t slot, uint64_t chunk)
{
	struct rs_region r = { .gpa = slot * SELF_CHUNK, .size = SELF_CHUNK };
	uint64_t hva = chunk * SELF_CHUNK;

	if (hva + r.size > USER_END)
		r.size = USER_END - hva;
	if (request == RS_ADD_REGION)
		r.hva = hva;
	return rs_raw3(__NR_ioctl, rs_self.vm_fd, request, (long)&r);
}

/* The slot's entries of level 2, all there is, made when it is first used. 0: no memory. */
static uint64_t slot_table(uint64_t slot)
{
	struct self_shared *s = rs_self.shared;
	uint64_t *pd, i;

	if (s->slot_pd[slot])
		return s->slot_pd[slot];
	self_tables_lock();
	pd = self_table_alloc(&s->tables);
	self_tables_unlock();
	if (!pd)
		return 0;
	for (i = 0; i < 512; i++)
		pd[i] = (slot * SELF_CHUNK + (i << 21)) | SELF_PTE_TABLE | SELF_PTE_LARGE;
	return s->slot_pd[slot] = self_table_gpa(&s->tables, pd);
}

/* Ring 3 does not get at the arena by the address where Linux has it. */
static void hide_arena(uint64_t slot, uint64_t chunk)
{
	struct self_shared *s = rs_self.shared;
	uint64_t *pd = self_table_at(&s->tables, s->slot_pd[slot]), i;

	for (i = 0; i < 512; i++) {
		uint64_t va = chunk * SELF_CHUNK + (i << 21);

		if (va - s->arena < RS_SELF_ARENA)
			pd[i] &= ~SELF_PTE_U;
	}
}

static void put_entry(uint64_t slot, uint64_t chunk)
{
	__atomic_store_n(chunk_entry(chunk), rs_self.shared->slot_pd[slot] | SELF_PTE_TABLE | slot << SELF_SLOT_SHIFT, __ATOMIC_RELEASE);
}

static int give(uint64_t slot, uint64_t chunk)
{
	struct self_shared *s = rs_self.shared;
	uint64_t a = s->arena / SELF_CHUNK, b = (s->arena + RS_SELF_ARENA - 1) / SELF_CHUNK;
	int ret;

	if (!slot_table(slot))
		return -ENOMEM;
	ret = region(RS_ADD_REGION, slot, chunk);
	if (ret)
		return ret;
	s->slot_chunk[slot] = chunk + 1;
	s->slot_seq[slot] = ++rs_self.given_seq;
	if (chunk == a || chunk == b) {
		hide_arena(slot, chunk);
		s->slot_seq[slot] = SELF_KEEP;
	}
	rs_self.chunks++;
	rs_self.given++;
	put_entry(slot, chunk);
	return 0;
}

static unsigned int free_slot(uint64_t chunk)
{
	struct self_shared *s = rs_self.shared;
	unsigned int i;

	if (chunk < LOW_SLOTS && chunk < s->slots)
		return chunk;
	for (i = LOW_SLOTS; i < s->slots; i++)
		if (!s->slot_chunk[i])
			return i;
	return NO_SLOT;
}

/*
 * The arena's own place, before anything runs; and the chunks in which Linux has it, as the monitor uses the trap stack there and cannot take
 * a page fault.
 */
int self_chunk_arena(void)
{
	struct self_shared *s = rs_self.shared;
	struct rs_region r = { .gpa = s->arena_gpa, .size = RS_SELF_ARENA, .hva = s->arena };
	uint64_t chunk;
	int ret = 0;

	if (s->arena_gpa != s->arena)
		ret = rs_raw3(__NR_ioctl, rs_self.vm_fd, RS_ADD_REGION, (long)&r);
	for (chunk = s->arena / SELF_CHUNK; !ret && chunk <= (s->arena + RS_SELF_ARENA - 1) / SELF_CHUNK; chunk++)
		ret = give(free_slot(chunk), chunk);
	return ret;
}

/* The oldest one that may be taken; a low slot frees a region only. */
static unsigned int oldest(int low)
{
	struct self_shared *s = rs_self.shared;
	unsigned int i, best = NO_SLOT;

	for (i = low ? 0 : LOW_SLOTS; i < s->slots; i++)
		if (s->slot_chunk[i] && s->slot_seq[i] < SELF_TAKING && (best == NO_SLOT || s->slot_seq[i] < s->slot_seq[best]))
			best = i;
	return best;
}

/* Also where the program has locked all its memory, the arena with it. */
int self_drop_flush_page(uint64_t page)
{
	int ret = rs_raw3(__NR_madvise, page, 4096, MADV_DONTNEED_LOCKED);

	return ret == -EINVAL ? rs_raw3(__NR_madvise, page, 4096, MADV_DONTNEED) : ret;
}

/* Steps 2 and 3 for the slot that this vCPU took; its region goes. The guest has touched the flush page. */
static int finish_taking(struct self_vcpu *v)
{
	unsigned int slot = v->victim - 1;
	uint64_t chunk = v->victim_chunk;
	int ret;

	v->victim = 0;
	ret = self_drop_flush_page((uint64_t)v + RS_BLOCK_FLUSH);
	if (ret)
		self_die("the CPUs cannot be made to forget an address (error %d)", ret);
	rs_self.shared->slot_chunk[slot] = 0;
	rs_self.given--;
	rs_self.recycled++;
	return region(RS_REMOVE_REGION, slot, chunk);
}

/* Step 1. */
static int begin_taking(struct self_vcpu *v, unsigned int slot)
{
	struct self_shared *s = rs_self.shared;

	if (slot == NO_SLOT)
		return -ENOMEM;
	v->victim = slot + 1;
	v->victim_chunk = s->slot_chunk[slot] - 1;
	s->slot_seq[slot] = SELF_TAKING;
	__atomic_store_n(chunk_entry(v->victim_chunk), 0, __ATOMIC_SEQ_CST);
	return 1;
}

int self_chunk_is_given(uint64_t addr)
{
	return addr < USER_END && (__atomic_load_n(chunk_entry(addr / SELF_CHUNK), __ATOMIC_ACQUIRE) & SELF_PTE_P);
}

int self_chunk_keep(uint64_t addr)
{
	struct self_shared *s = rs_self.shared;
	uint64_t e;
	int given = 0;

	self_lock(&rs_self.lock);
	if (self_chunk_is_given(addr)) {
		e = *chunk_entry(addr / SELF_CHUNK);
		s->slot_seq[SELF_SLOT_OF(e)] = SELF_KEEP;
		given = 1;
	}
	self_unlock(&rs_self.lock);
	return given;
}

/*
 * In a copy of the process. Another thread of the parent may have been at any point of giving or taking when the copy was made: the slots say
 * what there is, and the entries are made to say the same.
 */
int self_chunks_again(void)
{
	struct self_shared *s = rs_self.shared;
	struct rs_region r = { .gpa = s->arena_gpa, .size = RS_SELF_ARENA, .hva = s->arena };
	unsigned int i;
	int ret = 0;

	if (s->arena_gpa != s->arena)
		ret = rs_raw3(__NR_ioctl, rs_self.vm_fd, RS_ADD_REGION, (long)&r);
	for (i = 0; i < s->slots && !ret; i++) {
		if (!s->slot_chunk[i])
			continue;
		if (s->slot_seq[i] == SELF_TAKING) {	/* by a thread that is not here */
			__atomic_store_n(chunk_entry(s->slot_chunk[i] - 1), 0, __ATOMIC_RELEASE);
			s->slot_chunk[i] = 0;
			continue;
		}
		put_entry(i, s->slot_chunk[i] - 1);
		ret = region(RS_ADD_REGION, i, s->slot_chunk[i] - 1);
		rs_self.given++;
		rs_self.chunks++;
	}
	return ret;
}

int self_chunk_give(struct self_vcpu *v, uint64_t addr)
{
	const struct self_shared *s = rs_self.shared;
	uint64_t chunk = addr / SELF_CHUNK;
	unsigned int slot;
	int ret = 0;

	if (addr >= USER_END)
		return -EFAULT;
	self_lock(&rs_self.lock);
	if (v->victim)
		ret = finish_taking(v);
	if (ret || self_chunk_is_given(addr))
		goto out;
	if (rs_self.chunk_limit && rs_self.given >= rs_self.chunk_limit) {
		ret = begin_taking(v, oldest(1));
		goto out;
	}
	slot = free_slot(chunk);
	if (slot == NO_SLOT) {
		ret = begin_taking(v, oldest(0));
		goto out;
	}
	if (s->slot_chunk[slot]) {
		/* Somebody is taking it from this very chunk; the access is repeated until he is done. */
		self_unlock(&rs_self.lock);
		rs_raw3(__NR_sched_yield, 0, 0, 0);
		return 0;
	}
	ret = give(slot, chunk);
	if (ret == -ENOSPC)
		ret = begin_taking(v, oldest(1));
out:
	self_unlock(&rs_self.lock);
	return ret;
}
