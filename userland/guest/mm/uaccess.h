/* SPDX-License-Identifier: MIT */
/*
 * uaccess.h - the memory of the process that is running
 *
 * Two ways. Copies (copyin, copyout, copyinstr) go through the process's own mapping: a missing,
 * lazy or shared page faults and is resolved as if the process had touched it; what cannot be
 * resolved ends the copy with -EFAULT, nothing else. Segments (user_segs_get) translate a range to
 * guest physical pieces that the host process can use without a copy; pages are made present with
 * the right asked for and a reference keeps each of them until user_segs_put(), whatever happens to
 * the mapping meanwhile.
 *
 * A user pointer is a u64, never a C pointer. Null, wild, kernel and wrapping ones are all just
 * -EFAULT.
 */
#ifndef RS_MM_UACCESS_H
#define RS_MM_UACCESS_H

#include "../arch/frame.h"
#include "../arch/trap.h"
#include "vma.h"

/**
 * copy_page_checked() - one page of the file window; false when the host has nothing there (beyond
 * the end of the file)
 */
bool copy_page_checked(void *dst, const void *src);
/** copy_checked() - the same for @n bytes, from anywhere in the direct map */
bool copy_checked(void *dst, const void *src, size_t n);

/**
 * user_range_ok() - [addr, addr + len) lies in the lower half; says nothing about what is mapped
 */
static inline bool user_range_ok(u64 addr, u64 len)
{
	return addr <= USER_TOP && len <= USER_TOP - addr;
}

/** copyin(), copyout() - @n bytes; 0 or -EFAULT (then some of them may have been copied) */
long copyin(void *dst, u64 src, size_t n);
long copyout(u64 dst, const void *src, size_t n);
/**
 * copyout_trap() - a struct rs_trap_frame (uapi/ringside_app.h) to @dst: two words, then the frame;
 * user_range_ok() is the caller's business. 0, or not when it has failed
 */
#ifdef RS_HOSTED
u64 copyout_trap(u64 dst, const struct rs_frame *f, u64 addr, u64 cause);
#else
static always_inline void user_begin(void)
{
	if (cpu_has.smap)
		asm volatile("stac" ::: "memory");
}

static always_inline void user_end(void)
{
	if (cpu_has.smap)
		asm volatile("clac" ::: "memory");
}

static always_inline u64 copyout_trap(u64 dst, const struct rs_frame *f, u64 addr, u64 cause)
{
	u64 left = sizeof(*f) / 8;

	user_begin();
	asm volatile("1:	mov	%[addr], (%[to])\n"
		     "2:	mov	%[cause], 8(%[to])\n"
		     "	add	$16, %[to]\n"
		     "3:	rep movsq\n"
		     "4:\n"
		     EXTABLE(1b, 4b)
		     EXTABLE(2b, 4b)
		     EXTABLE(3b, 4b)
		     : [to] "+D"(dst), "+S"(f), "+c"(left)
		     : [addr] "r"(addr), [cause] "r"(cause)
		     : "memory");
	user_end();
	return left;
}
#endif
/** clearout() - @n zero bytes to the process; 0 or -EFAULT */
long clearout(u64 dst, size_t n);
/**
 * copyinstr() - a string with its NUL into @dst of @size bytes; its length, -EFAULT, or
 * -ENAMETOOLONG when it does not fit
 */
long copyinstr(char *dst, u64 src, size_t size);

static inline long get_user_u32(u32 *v, u64 src)
{
	return copyin(v, src, sizeof(*v));
}

static inline long get_user_u64(u64 *v, u64 src)
{
	return copyin(v, src, sizeof(*v));
}

static inline long put_user_u32(u64 dst, u32 v)
{
	return copyout(dst, &v, sizeof(v));
}

static inline long put_user_u64(u64 dst, u64 v)
{
	return copyout(dst, &v, sizeof(v));
}

/**
 * struct user_seg - a piece of a process's memory that is contiguous in GPA; references on its
 * pages are held
 */
struct user_seg {
	u64 gpa;
	u64 len;
};

/**
 * user_segs_get() - translates [@addr, @addr + @len), from the front, into at most @max pieces
 * @write: the host will write there (the pages are made writable and private copies are made first)
 * @done: bytes covered; less than @len when @max was not enough or a page further on could not be
 * resolved Returns the number of pieces (0 for @len 0); when not even the first byte could be
 * resolved -EFAULT, or -ENOMEM if that was for want of memory. Pieces of anonymous memory that was touched in order are long, because pages are
 * handed out in order.
 */
int user_segs_get(u64 addr, u64 len, bool write, struct user_seg *segs, int max, u64 *done);
/** user_segs_put() - drops the references of @n pieces */
void user_segs_put(const struct user_seg *segs, int n);

/**
 * user_page_get() - the ordinary case of user_segs_get(): all in one page of 4 KiB that is there
 * On true *@gpa is where it is, and user_page_put() drops the reference. False says nothing but
 * that user_segs_get() has to be asked. @len is not 0.
 */
#ifdef RS_HOSTED
bool user_page_get(u64 addr, u64 len, bool write, u64 *gpa);
void user_page_put(u64 gpa);
#else
static always_inline bool user_page_get(u64 addr, u64 len, bool write, u64 *gpa)
{
	pte_t want = write ? PTE_P | PTE_W : PTE_P, *slot, e;
	int level;

	if (unlikely(addr >= USER_TOP || len > PAGE_SIZE - (addr & ~PAGE_MASK)))
		return false;
	e = current_mm()->pt.root;
#pragma GCC unroll 4
	for (level = PT_LEVELS; level > 1; level--) {
		e = ((pte_t *)gpa_ptr(e & PTE_ADDR))[pt_index(addr, level)];
		/* below a table shared by fork there is no write bit */
		if (unlikely((e & (want | PTE_PS)) != want))
			return false;
	}
	slot = (pte_t *)gpa_ptr(e & PTE_ADDR) + pt_index(addr, 1);
	e = *slot;
	if (unlikely((e & want) != want))
		return false;
	if (write)
		*slot = e | PTE_D;	/* the CPU does not see the host's write */
	*gpa = (e & PTE_ADDR) | (addr & ~PAGE_MASK);
	if (gpa_is_arena(*gpa))
		page_get(gpa_page(*gpa));
	return true;
}

static inline void user_page_put(u64 gpa)
{
	if (gpa_is_arena(gpa))
		page_put(gpa_page(gpa));
}
#endif

#endif
