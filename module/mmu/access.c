// SPDX-License-Identifier: GPL-2.0-only
/*
 * access.c - the module itself reads and writes guest memory, for a device of the guest
 *
 * An access goes the way the guest's own would, but through Linux's page tables: GPA -> region ->
 * HVA -> copy_{from,to}_user, in a thread that uses the VM's address space. Nothing is pinned, and
 * what Linux does with a page meanwhile is its own business, as with any access of the process.
 *
 * A removed region must not be reached any more when RS_REMOVE_REGION returns. So accesses come in
 * rounds: rs_mmu_access_begin() takes access_sem for reading, and removal, once the region is
 * unlinked, takes it for writing and gives it back, which waits for every round that can have seen
 * the region. Within a round the region of the last access may therefore be used again without
 * looking it up.
 *
 * Locks: access_sem -> mmap_lock, mmu->lock. A copy can take as long as the page behind the address
 * wants (a file system in user space), so nothing that others wait for may be held around a round:
 * no spin lock, no rtnl. Waiting for a round is ended by a fatal signal.
 */
#include <linux/rwsem.h>
#include <linux/uaccess.h>
#include <asm/futex.h>
#include "internal.h"

/*
 * rs_mmu_access_begin() - begin a round of accesses
 * Process context that uses the VM's mm until the end of the round; may sleep. -EINTR: a fatal
 * signal is pending, and no round has begun.
 */
int rs_mmu_access_begin(struct rs_mmu_access *a, struct rs_mmu *mmu)
{
	if (down_read_killable(&mmu->access_sem))
		return -EINTR;
	a->mmu = mmu;
	a->gpa = a->end = 0;
	return 0;
}

void rs_mmu_access_end(struct rs_mmu_access *a)
{
	up_read(&a->mmu->access_sem);
}

/* Regions do not vanish under those who have begun before this call. After unlinking one. */
void rs_mmu_access_wait(struct rs_mmu *mmu)
{
	/* Who is killed here does not return to user space, and so promises nothing. */
	if (!down_write_killable(&mmu->access_sem))
		up_write(&mmu->access_sem);
}

/*
 * rs_mmu_access_at() - where the process has the guest's byte at @gpa
 * @at: gets its address; *@left the number of bytes from there to the end of its region
 * -EFAULT: there is no memory, or @write and the region is read-only.
 */
int rs_mmu_access_at(struct rs_mmu_access *a, u64 gpa, bool write, void __user **at, u64 *left)
{
	if (unlikely(gpa < a->gpa || gpa >= a->end)) {
		struct rs_mmu_region region;

		if (!rs_mmu_region_copy(a->mmu, gpa, &region))
			return -EFAULT;
		a->gpa = region.gpa;
		a->end = region.gpa + region.size;
		a->hva = region.hva;
		a->flags = region.flags;
	}
	if ((a->flags & RS_REGION_MMIO) || (write && (a->flags & RS_REGION_READONLY)))
		return -EFAULT;
	*at = (void __user *)(unsigned long)(a->hva + (gpa - a->gpa));
	*left = a->end - gpa;
	return 0;
}

/* A word that the guest may be writing, or waiting for, is read and written at once. */
static bool is_word(u64 gpa, u64 len)
{
	return len == sizeof(u32) && !(gpa & (sizeof(u32) - 1));
}

static int copy_in(void *buf, void __user *at, u64 n, bool word)
{
	if (word)
		return get_user(*(u32 *)buf, (u32 __user *)at);
	return copy_from_user(buf, at, n) ? -EFAULT : 0;
}

static int copy_out(void __user *at, const void *buf, u64 n, bool word)
{
	if (word)
		return put_user(*(const u32 *)buf, (u32 __user *)at);
	return copy_to_user(at, buf, n) ? -EFAULT : 0;
}

/*
 * rs_mmu_read() - copy @len bytes of the guest at @gpa, which may lie in several regions
 * In a round; may sleep. 4 bytes at a multiple of 4 are read at once; @buf is aligned then. -EFAULT: some
 * byte is not to be had.
 */
int rs_mmu_read(struct rs_mmu_access *a, u64 gpa, void *buf, u64 len)
{
	const bool word = is_word(gpa, len);

	while (len) {
		void __user *at;
		u64 n;

		if (rs_mmu_access_at(a, gpa, false, &at, &n))
			return -EFAULT;
		n = min(n, len);
		if (copy_in(buf, at, n, word))
			return -EFAULT;
		buf += n;
		gpa += n;
		len -= n;
	}
	return 0;
}

/* rs_mmu_write() - the other direction; bytes before the one that is not to be had are written */
int rs_mmu_write(struct rs_mmu_access *a, u64 gpa, const void *buf, u64 len)
{
	const bool word = is_word(gpa, len);

	while (len) {
		void __user *at;
		u64 n;

		if (rs_mmu_access_at(a, gpa, true, &at, &n))
			return -EFAULT;
		n = min(n, len);
		if (copy_out(at, buf, n, word))
			return -EFAULT;
		buf += n;
		gpa += n;
		len -= n;
	}
	return 0;
}

/*
 * rs_mmu_or32() - OR @bits into the word at @gpa, a multiple of 4, in one atomic operation
 * In a round; may sleep. What was there, or -EFAULT.
 */
s64 rs_mmu_or32(struct rs_mmu_access *a, u64 gpa, u32 bits)
{
	void __user *at;
	u64 left;
	int old;

	if ((gpa & 3) || rs_mmu_access_at(a, gpa, true, &at, &left))
		return -EFAULT;
	if (arch_futex_atomic_op_inuser(FUTEX_OP_OR, bits, &old, at))
		return -EFAULT;
	return (u32)old;
}
