// SPDX-License-Identifier: MIT
/*
 * entry.c - dune_init(), dune_enter(): the ring, its page table, where things are
 *
 * pgroot is a table of the library's own (vm.c), in the pool, so that its address is its physical one. Its upper half is the ring's. While
 * dune_init() makes it, the thread is inside for a moment, as only there physical addresses are given out.
 *
 * A child of fork begins outside, with all tables as they were. The ring that it makes for itself has another upper half and other memory of
 * its own; everything else is where it was (rs_ring0_gpa). So the first dune_enter() of a process that has not made the tables renews
 * that part of every root, before one of them is loaded.
 */
#define _GNU_SOURCE
#include <ringside/self.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include "sys.h"
#include "run.h"

uintptr_t phys_limit;
uintptr_t mmap_base;
uintptr_t stack_base;

static bool ready;
static int owner;	/* the process that the roots are right for */
static int renewing;

struct layout {
	uintptr_t stack_begin, stack_end;	/* Linux's mapping */
	uintptr_t top;				/* of what is below */
	int ret;
};

static bool look(const struct dune_procmap_entry *e, void *arg)
{
	struct layout *l = arg;

	if (e->begin >= LOWER_HALF)
		return false;
	if (e->type == PROCMAP_TYPE_STACK) {
		l->stack_begin = e->begin;
		l->stack_end = e->end;
	} else if (!l->stack_end && e->type != PROCMAP_TYPE_VDSO && e->type != PROCMAP_TYPE_VVAR) {
		l->top = e->end;
	}
	return true;
}

/* What ring 3 needs of the vDSO, where memory is not its own otherwise. */
static bool show_vdso(const struct dune_procmap_entry *e, void *arg)
{
	int *ret = arg;

	if (!*ret && e->type == PROCMAP_TYPE_VDSO)
		*ret = dune_vm_mprotect(pgroot, (void *)e->begin, e->end - e->begin, PERM_U | PERM_R | PERM_X);
	else if (!*ret && e->type == PROCMAP_TYPE_VVAR)
		*ret = dune_vm_mprotect(pgroot, (void *)e->begin, e->end - e->begin, PERM_U | PERM_R);
	return true;
}

static void find_windows(void)
{
	struct layout l = { 0 };
	uint32_t a = 0x80000008, b, c, d;
	long probe;

	dune_procmap_each(look, &l);
	/* Where Linux begins with the next mapping, if there is no hole: near the top. */
	probe = rs_raw6(SYS_mmap, 0, PGSIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (probe > 0) {
		if ((uintptr_t)probe < l.stack_begin && (uintptr_t)probe + PGSIZE > l.top)
			l.top = probe + PGSIZE;
		rs_raw6(SYS_munmap, probe, PGSIZE, 0, 0, 0, 0);
	}
	if (!l.stack_end)
		l.stack_end = (uintptr_t)__builtin_frame_address(0);
	stack_base = LG_ALIGN(l.stack_end) - GPA_STACK_SIZE;
	/* Without randomization the two windows may overlap: both end where what they are for ends. */
	l.top = LG_ALIGN(l.top);
	mmap_base = l.top > GPA_MAP_SIZE + IDENTITY_END ? l.top - GPA_MAP_SIZE : IDENTITY_END;
	asm volatile("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
	phys_limit = 1ull << (a & 0xff);
}

int dune_init(bool map_full)
{
	int ret, entered = 0;
	ptent_t *root;

	if (ready)
		return 0;
	if (rs_inside() < 0) {
		ret = rs_enter(RS_ENTER_RING0);
		if (ret)
			return ret;
		entered = 1;
	} else if (rs_inside()) {
		return -EINVAL;
	}
	root = rs_ring0_root();
	ret = root ? 0 : -ENODEV;
	if (!ret && !pages)
		ret = dune_page_init();
	if (!ret && !pgroot)
		ret = dune_vm_init(map_full, root + NPTENTRIES / 2);
	if (!ret)
		ret = dune_vm_populate(pgroot, 0, LOWER_HALF - 1);
	if (!ret && !map_full)
		dune_procmap_each(show_vdso, &ret);
	if (!ret)
		ret = dune_trap_init();
	if (!ret) {
		find_windows();
		owner = rs_raw6(SYS_getpid, 0, 0, 0, 0, 0, 0);
		ready = true;
	}
	if (entered)
		rs_leave();
	return ret;
}

/* Threads of a new process may come here at once: all wait for the one that renews. */
static int renew(void)
{
	int pid = rs_raw6(SYS_getpid, 0, 0, 0, 0, 0, 0), ret = 0;

	while (__atomic_load_n(&owner, __ATOMIC_ACQUIRE) != pid) {
		if (__atomic_exchange_n(&renewing, pid, __ATOMIC_ACQUIRE) == pid) {
			rs_raw6(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
			continue;
		}
		ret = dune_vm_renew(rs_ring0_root() + NPTENTRIES / 2);
		if (!ret)
			__atomic_store_n(&owner, pid, __ATOMIC_RELEASE);
		__atomic_store_n(&renewing, 0, __ATOMIC_RELEASE);
		if (ret)
			break;
	}
	return ret;
}

int dune_enter(void)
{
	int ret;

	if (!ready)
		return -EINVAL;
	if (rs_inside() == 0) {
		load_cr3((unsigned long)pgroot);
		return 0;
	}
	ret = rs_enter(RS_ENTER_RING0);
	if (ret)
		return ret;
	ret = renew();
	if (ret) {
		rs_leave();
		return ret;
	}
	load_cr3((unsigned long)pgroot);
	return 0;
}
