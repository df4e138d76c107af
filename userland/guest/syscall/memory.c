// SPDX-License-Identifier: MIT
/*
 * memory.c - calls about the address space: the arguments' way to mm/
 *
 * mm/ checks addresses and rights; what is decided here is only what a descriptor or a length in
 * C's types means.
 */
#include <linux/mman.h>
#include <linux/membarrier.h>
#include "syscall.h"
#include "../mm/kmalloc.h"

long sys_brk(struct rs_frame *f)
{
	return mm_brk(current_proc()->mm, ARG0(f));
}

/* The one refusal here that is the sandbox's and not Linux's. */
static long explained(const struct rs_frame *f, u32 prot, long ret)
{
	if (unlikely(ret == -EACCES) && prot_refused(prot))
		host_explain((int)f->error, EACCES, NULL);
	return ret;
}

long sys_mmap(struct rs_frame *f)
{
	struct process *p = current_proc();
	struct mmap_req req = {
		.addr = ARG0(f),
		.len = ARG1(f),
		.prot = (u32)ARG2(f),
		.flags = (u32)ARG3(f),
		.host_fd = -1,
		.offset = ARG5(f),
	};

	if (!(req.flags & MAP_ANONYMOUS)) {
		struct file *file = fd_lookup(p->files, ARG4(f));

		if (!file)
			return -EBADF;
		if (file->ops)
			return -ENODEV; /* there is nothing in a pipe or a counter to map */
		req.host_fd = file->host_fd;
		req.name = file->name;
	}
	return explained(f, req.prot, mm_mmap(p->mm, &req));
}

long sys_munmap(struct rs_frame *f)
{
	return mm_munmap(current_proc()->mm, ARG0(f), ARG1(f));
}

long sys_mprotect(struct rs_frame *f)
{
	return explained(f, (u32)ARG2(f), mm_mprotect(current_proc()->mm, ARG0(f), ARG1(f), (u32)ARG2(f)));
}

long sys_mremap(struct rs_frame *f)
{
	return mm_mremap(current_proc()->mm, ARG0(f), ARG1(f), ARG2(f), (u32)ARG3(f), ARG4(f));
}

long sys_madvise(struct rs_frame *f)
{
	return mm_madvise(current_proc()->mm, ARG0(f), ARG1(f), (int)ARG2(f));
}

long sys_msync(struct rs_frame *f)
{
	return mm_msync(current_proc()->mm, ARG0(f), ARG1(f), (u32)ARG2(f));
}

long sys_mincore(struct rs_frame *f)
{
	u64 addr = ARG0(f), len = ARG1(f), vec = ARG2(f), pages = page_up(len) >> PAGE_SHIFT, n;
	u8 buf[256];
	long err;

	if (!IS_ALIGNED(addr, PAGE_SIZE))
		return -EINVAL;
	if ((len && !pages) || !user_range_ok(addr, len))
		return -ENOMEM;
	for (; pages; pages -= n, addr += n << PAGE_SHIFT, vec += n) {
		n = min(pages, (u64)sizeof(buf));
		err = mm_mincore(current_proc()->mm, addr, n, buf);
		if (err)
			return err;
		if (copyout(vec, buf, n))
			return -EFAULT;
	}
	return 0;
}

/*
 * The arena is the sandbox's own and is not swapped: memory is locked once it is there. What is
 * mapped later is there when it is touched, as with MCL_ONFAULT.
 */
static long is_mapped(u64 addr, u64 len)
{
	u64 end = ALIGN_UP(addr + len, PAGE_SIZE);

	addr = ALIGN_DOWN(addr, PAGE_SIZE);
	if (!user_range_ok(addr, len) || end < addr)
		return -ENOMEM;
	while (addr < end) {
		struct vma *v = mm_find(current_proc()->mm, addr);

		if (!v)
			return -ENOMEM;
		addr = v->end;
	}
	return 0;
}

long sys_mlock(struct rs_frame *f)
{
	return mm_lock(current_proc()->mm, ARG0(f), ARG1(f));
}

long sys_mlock2(struct rs_frame *f)
{
	if (ARG2(f) & ~(u64)MLOCK_ONFAULT)
		return -EINVAL;
	return ARG2(f) ? is_mapped(ARG0(f), ARG1(f)) : sys_mlock(f);
}

long sys_munlock(struct rs_frame *f)
{
	return is_mapped(ARG0(f), ARG1(f));
}

/* As on Linux what cannot be made present is no error here. */
long sys_mlockall(struct rs_frame *f)
{
	struct mm *mm = current_proc()->mm;
	u64 flags = ARG0(f), at = 0;
	struct vma *v;

	if (!flags || flags & ~(u64)(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) || flags == MCL_ONFAULT)
		return -EINVAL;
	if (!(flags & MCL_CURRENT) || flags & MCL_ONFAULT)
		return 0;
	while ((v = mm_find_from(mm, at))) {
		at = v->end;
		if (v->flags & VM_PROT)
			mm_lock(mm, v->start, v->end - v->start);
	}
	return 0;
}

long sys_munlockall(struct rs_frame *f)
{
	(void)f;
	return 0;
}

/*
 * A thread that does not run passes the kernel before it does; those that run on other CPUs are made
 * to. So every kind of barrier is this one, and registering is only what a program has to have done.
 */
long sys_membarrier(struct rs_frame *f)
{
	u32 cmd = (u32)ARG0(f);
	const u32 known = MEMBARRIER_CMD_GLOBAL | MEMBARRIER_CMD_GLOBAL_EXPEDITED |
			  MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED |
			  MEMBARRIER_CMD_PRIVATE_EXPEDITED |
			  MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED;

	if (ARG1(f))
		return -EINVAL;
	switch (cmd) {
	case MEMBARRIER_CMD_QUERY: return known;
	case MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED: current_mm()->barriers = true; return 0;
	case MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED: return 0;
	case MEMBARRIER_CMD_PRIVATE_EXPEDITED:
		if (!current_mm()->barriers)
			return -EPERM;
		break;
	case MEMBARRIER_CMD_GLOBAL:
	case MEMBARRIER_CMD_GLOBAL_EXPEDITED: break;
	default: return -EINVAL;
	}
	sched_barrier();
	return 0;
}
