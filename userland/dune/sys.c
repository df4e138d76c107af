// SPDX-License-Identifier: MIT
/*
 * sys.c - what the pure parts need of the ring and of Linux, on top of ringside/self.h
 *
 * Physical addresses are asked for once per GiB and remembered: the answer stays true for good, also in a child of fork, and a thread outside
 * can go on with what is known. A GiB has a slot of physical memory, so one number each way is all there is to know.
 */
#define _GNU_SOURCE
#include <ringside/self.h>
#include <sys/syscall.h>
#include <sys/mman.h>
#include "sys.h"
#include "run.h"

#define SLOTS		(1u << 22)	/* 52 bits */
#define CHUNKS		(LOWER_HALF / GIB)

static uint32_t slot_of[CHUNKS];	/* + 1; 0: not known */
static uint32_t chunk_of[4096];		/* the other way round, of the first slots: all there are so far */

bool dune_sys_monitor(uintptr_t va)
{
	void *start;
	size_t len;

	return !rs_ring0_arena(&start, &len) && va - (uintptr_t)start < len;
}

uint64_t dune_sys_gpa(uintptr_t va)
{
	uint64_t chunk = va / GIB, gpa;
	uint32_t slot;

	if (chunk >= CHUNKS)
		return ~0ull;
	/* The monitor's memory is apart, whatever is around it. */
	if (dune_sys_monitor(va))
		return rs_ring0_gpa((void *)va);
	slot = __atomic_load_n(&slot_of[chunk], __ATOMIC_RELAXED);
	if (!slot) {
		gpa = rs_ring0_gpa((void *)va);
		if (gpa == ~0ull || gpa / GIB >= SLOTS)
			return ~0ull;
		slot = gpa / GIB + 1;
		__atomic_store_n(&slot_of[chunk], slot, __ATOMIC_RELAXED);
		if (gpa / GIB < sizeof(chunk_of) / sizeof(chunk_of[0]))
			__atomic_store_n(&chunk_of[gpa / GIB], chunk + 1, __ATOMIC_RELAXED);
	}
	return (slot - 1) * GIB + va % GIB;
}

void *dune_sys_va(uint64_t gpa)
{
	uint64_t slot = gpa / GIB, chunk = 0;

	if (slot < sizeof(chunk_of) / sizeof(chunk_of[0]))
		chunk = __atomic_load_n(&chunk_of[slot], __ATOMIC_RELAXED);
	return chunk ? (void *)((chunk - 1) * GIB + gpa % GIB) : rs_ring0_va(gpa);
}

uintptr_t dune_va_to_pa(void *ptr)
{
	return dune_sys_gpa((uintptr_t)ptr);
}

/* Threads that go on with the rights, or the pages, of before are a hole in whatever the program builds on them. */
static void must(int ret)
{
	if (!ret)
		return;
	dune_printf("dune: the other threads' TLBs cannot be flushed (error %d)\n", -ret);
	dune_die();
}

void dune_sys_flush(uintptr_t va, size_t len)
{
	int ret;

	if (rs_inside() == 0) {
		must(rs_ring0_flush((void *)va, len));
	} else if (pgroot && rs_inside() < 0) {
		/* Threads inside are told by one that is; without a guest ring there are none. */
		ret = rs_enter(RS_ENTER_RING0);
		if (!ret) {
			must(rs_ring0_flush((void *)va, len));
			rs_leave();
		} else if (rs_ring0_root()) {
			must(ret);
		}
	}
}

ptent_t *dune_sys_root(void)
{
	uint64_t cr3;

	if (rs_inside() != 0)
		return NULL;
	asm volatile("mov %%cr3, %0" : "=r"(cr3));
	cr3 = PTE_ADDR(cr3);
	return cr3 < IDENTITY_END ? (ptent_t *)cr3 : dune_sys_va(cr3);
}

bool dune_sys_mapped(uintptr_t va)
{
	unsigned char there;

	return rs_raw6(SYS_mincore, PGADDR(va), PGSIZE, (long)&there, 0, 0, 0) == 0;
}

bool dune_sys_gigabytes(void)
{
	static int known = -1;
	uint32_t a = 0x80000001, b, c, d;

	if (known < 0) {
		asm volatile("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
		known = d >> 26 & 1;
	}
	return known;
}

/* The page fault that is being handled is not anybody's: trap.c sees to it. */
void dune_sys_segv(uintptr_t addr)
{
	(void)addr;
	dune_gave_up = true;
}
