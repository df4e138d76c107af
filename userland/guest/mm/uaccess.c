// SPDX-License-Identifier: MIT
/*
 * uaccess.c - copies from and to the running process, and translation of its pointers
 *
 * The copies use the process's own mapping at ring 0. Their instructions are in the exception
 * table; a fault at one of them is first resolved like a fault of the process and only if that
 * fails goes on behind the copy, with a count that is not zero. With SMAP the window in which user
 * memory can be reached at all is just these instructions.
 */
#include "uaccess.h"
#include "fault.h"
#include "../arch/trap.h"
#include "../lib/string.h"

/* Bytes (and words) not copied; 0 when all went well. */
static always_inline size_t copy_fixed(void *dst, const void *src, size_t n)
{
	size_t count = n / 8;

	asm volatile("1:	rep movsq\n"
		     "	mov	%[rest], %%ecx\n"
		     "2:	rep movsb\n"
		     "3:\n"
		     EXTABLE(1b, 3b)
		     EXTABLE(2b, 3b)
		     : "+D"(dst), "+S"(src), "+c"(count)
		     : [rest] "r"((u32)(n % 8))
		     : "memory");
	return count;
}

bool copy_checked(void *dst, const void *src, size_t n)
{
	return copy_fixed(dst, src, n) == 0;
}

bool copy_page_checked(void *dst, const void *src)
{
	return copy_fixed(dst, src, PAGE_SIZE) == 0;
}

long copyin(void *dst, u64 src, size_t n)
{
	size_t left;

	if (!user_range_ok(src, n))
		return -EFAULT;
	user_begin();
	left = copy_fixed(dst, (const void *)src, n);
	user_end();
	return left ? -EFAULT : 0;
}

long copyout(u64 dst, const void *src, size_t n)
{
	size_t left;

	if (!user_range_ok(dst, n))
		return -EFAULT;
	user_begin();
	left = copy_fixed((void *)dst, src, n);
	user_end();
	return left ? -EFAULT : 0;
}

long clearout(u64 dst, size_t n)
{
	size_t count = n;

	if (!user_range_ok(dst, n))
		return -EFAULT;
	user_begin();
	asm volatile("1:	rep stosb\n"
		     "2:\n"
		     EXTABLE(1b, 2b)
		     : "+D"(dst), "+c"(count)
		     : "a"(0)
		     : "memory");
	user_end();
	return count ? -EFAULT : 0;
}

/* One word or byte of the process; false on a fault. */
static always_inline bool load_word(u64 *v, u64 addr)
{
	u64 ok = 0;

	asm volatile("1:	mov	(%[a]), %[v]\n"
		     "	mov	$1, %k[ok]\n"
		     "2:\n"
		     EXTABLE(1b, 2b)
		     : [v] "=&r"(*v), [ok] "+r"(ok)
		     : [a] "r"(addr)
		     : "memory");
	return ok;
}

static always_inline bool load_byte(u8 *v, u64 addr)
{
	u64 ok = 0;
	u32 b;

	asm volatile("1:	movzbl	(%[a]), %[v]\n"
		     "	mov	$1, %k[ok]\n"
		     "2:\n"
		     EXTABLE(1b, 2b)
		     : [v] "=&r"(b), [ok] "+r"(ok)
		     : [a] "r"(addr)
		     : "memory");
	*v = b;
	return ok;
}

static bool has_zero_byte(u64 w)
{
	return (w - 0x0101010101010101ull) & ~w & 0x8080808080808080ull;
}

long copyinstr(char *dst, u64 src, size_t size)
{
	size_t n = 0;
	long ret = -ENAMETOOLONG;

	user_begin();
	while (n < size) {
		u64 a = src + n, w;
		u8 c;

		if (a >= USER_TOP) {
			ret = -EFAULT;
			break;
		}
		/* Eight at a time while none of them can lie in another page. */
		if (size - n >= 8 && (a & ~PAGE_MASK) <= PAGE_SIZE - 8) {
			if (!load_word(&w, a)) {
				ret = -EFAULT;
				break;
			}
			__builtin_memcpy(dst + n, &w, 8);
			if (!has_zero_byte(w)) {
				n += 8;
				continue;
			}
			while (dst[n])
				n++;
			ret = n;
			break;
		}
		if (!load_byte(&c, a)) {
			ret = -EFAULT;
			break;
		}
		dst[n] = c;
		if (!c) {
			ret = n;
			break;
		}
		n++;
	}
	user_end();
	return ret;
}

/*
 * The leaf of the page at @addr and its level, present with the right asked for, or NULL. The write
 * bits of all levels count: below a table that fork has shared, a leaf's alone says nothing.
 */
static pte_t *page_present(struct mm *mm, u64 addr, bool write, int *level, int *err)
{
	pte_t want = write ? PTE_P | PTE_W : PTE_P;
	pte_t *slot = pgtable_present(&mm->pt, addr, want, level);
	enum fault_cause c;

	if (slot)
		return slot;
	c = mm_fault(mm, addr, write ? FAULT_WRITE | FAULT_CALL : FAULT_READ);
	if (!c)
		return pgtable_present(&mm->pt, addr, want, level);
	*err = c == FAULT_NO_MEMORY ? -ENOMEM : -EFAULT;
	return NULL;
}

int user_segs_get(u64 addr, u64 len, bool write, struct user_seg *segs, int max, u64 *done)
{
	struct mm *mm = current_mm();
	u64 at = addr, end = addr + len;
	int n = 0, err = -EFAULT;

	*done = 0;
	if (!user_range_ok(addr, len))
		return -EFAULT;
	while (at < end) {
		u64 next = min((at & PAGE_MASK) + PAGE_SIZE, end), gpa;
		int level;
		pte_t *slot = page_present(mm, at, write, &level, &err);

		if (!slot)
			break;
		if (write)
			*slot |= PTE_D;	/* the CPU does not see the host's write */
		gpa = (*slot & PTE_ADDR) + (at & (pt_size(level) - 1));
		if (n && segs[n - 1].gpa + segs[n - 1].len == gpa) {
			segs[n - 1].len += next - at;
		} else {
			if (n == max)
				break;
			segs[n++] = (struct user_seg){ .gpa = gpa, .len = next - at };
		}
		if (gpa_is_arena(gpa))
			page_get(gpa_page(gpa));
		at = next;
	}
	*done = at - addr;
	return len && !n ? err : n;
}

void user_segs_put(const struct user_seg *segs, int n)
{
	int i;

	for (i = 0; i < n; i++) {
		u64 a = segs[i].gpa & PAGE_MASK, end = segs[i].gpa + segs[i].len;

		for (; gpa_is_arena(a) && a < end; a += PAGE_SIZE)
			page_put(gpa_page(a));
	}
}
