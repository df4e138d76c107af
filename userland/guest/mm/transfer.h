/* SPDX-License-Identifier: MIT */
/*
 * transfer.h - pages of one address space appear in another
 */
#ifndef RS_MM_TRANSFER_H
#define RS_MM_TRANSFER_H

#include "shm.h"
#include "vma.h"

/** struct pages_offer - what one side gives: whole pages [@addr, @addr + @len) of @mm, not none */
struct pages_offer {
	struct mm *mm;
	u64 addr, len;
	bool write;	/* the other side may write */
	bool move;	/* they leave @mm */
};

/**
 * mm_transfer() - the pages of @o appear in @to at @at, a range of the process's, where they
 * replace what is there
 * Private memory copy-on-write, of a shared mapping the object or file itself; see transfer.c. 0,
 * or -EFAULT: not mapped and readable throughout; -EACCES: @o->write without the right; -EINVAL:
 * private and shared memory, more than one shared mapping, or one that shall move; -EMSGSIZE: a
 * mapping cannot be at @at; -ENOMEM. After an error @o->mm is as before, and [@at, ...) may be
 * anything. Any address space may be the current one, before and after it is the same.
 */
long mm_transfer(const struct pages_offer *o, struct mm *to, u64 at);
/**
 * mm_transfer_missing() - the same for a range of a pager (@id) in @to: @at is to have the first
 * page, unless there is one by now, and the pages behind it, as far as the range reaches, what is
 * left of the others. Shared memory is copied. 0 also when @at does not belong to that pager any
 * more.
 */
long mm_transfer_missing(const struct pages_offer *o, struct mm *to, u64 at, u64 id);

/*
 * struct pager - stands where a mapping of private anonymous memory (VM_PAGER) has its object: then
 * pages that are not there are not zero, but somebody's to provide. vma->file_off is the distance
 * from the start of the range that has got the pager, in bytes. It goes with the mapping like any
 * object.
 * @id: of the pager, never used twice; @shm.gone frees it
 */
struct pager {
	struct shm shm;
	u64 id;
};

/** mm_pager() - that of the mapping @v, or NULL */
static inline struct pager *mm_pager(const struct vma *v)
{
	return v->flags & VM_PAGER ? container_of(v->shm, struct pager, shm) : NULL;
}

/**
 * mm_set_pager() - @p (one reference, taken over also by an error) provides [@addr, @addr + @len)
 * of @mm; NULL: nobody does. -EINVAL: not whole pages, none, or other memory than private
 * anonymous; -ENOMEM: not mapped throughout, or no memory
 */
long mm_set_pager(struct mm *mm, u64 addr, u64 len, struct pager *p);

#endif
