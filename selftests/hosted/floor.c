// SPDX-License-Identifier: MIT
/*
 * floor.c - see floor.h
 */
#include <asm/unistd.h>
#include <errno.h>
#include <linux/fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "floor.h"
#include "../../userland/guest/lib/assert.h"
#include "../../userland/guest/lib/string.h"
#include "../../userland/guest/mm/kmalloc.h"
#include "../../userland/guest/mm/page_alloc.h"
#include "../../userland/guest/mm/peek.h"
#include "../../userland/guest/mm/transfer.h"
#include "../../userland/guest/mm/uaccess.h"
#include "../../userland/guest/proc/exec.h"
#include "../../userland/guest/proc/proc.h"
#include "../../userland/guest/proc/report.h"

long syscall(long nr, ...);

u64 rs_direct_base;
struct rs_boot floor_boot = { .pid = 4711, .ppid = 1, .pgid = 4711, .sid = 1, .uid = 1000,
			      .euid = 1000 };
struct rs_boot *rs_boot = &floor_boot;
__thread struct cpu *rs_hosted_cpu;
struct cpu_features cpu_has = { .xcr0 = 7, .xsave_size = 832 };
u32 rs_ncpus = 1;
struct rs_vcpu_shared floor_shared;
struct cpu rs_cpus[RS_NR_CPUS];
unsigned long hosted_base[2], hosted_tsc;
struct kstack *hosted_boot_stack;

long live_objects, live_segs, live_mms, host_calls, explained, floor_fail_in = -1;
u64 last_host_nr;
long (*host_hook)(u64 nr, const u64 a[6], long *ret);
long (*hypercall_hook)(u64 nr, u64 a0, u64 a1, u64 a2);
u64 floor_total = 20;
void (*floor_on_exit)(int wait_status) __noreturn;
char floor_console[65536];
size_t floor_console_len;
int floor_reported;

static bool fail(void)
{
	return floor_fail_in >= 0 && !(floor_fail_in && floor_fail_in--);
}

void *kmalloc(size_t n)
{
	if (fail())
		return NULL;
	live_objects++;
	return malloc(n);
}

void *kzalloc(size_t n)
{
	if (fail())
		return NULL;
	live_objects++;
	return calloc(1, n);
}

void kfree(void *p)
{
	live_objects -= !!p;
	free(p);
}

struct refstr *refstr_new(const char *s)
{
	struct refstr *r = kmalloc(sizeof(*r) + strlen(s) + 1);

	r->refs = 1;
	strcpy(r->text, s);
	return r;
}

void refstr_put(struct refstr *r)
{
	if (r && !--r->refs)
		kfree(r);
}

void rs_panic(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	fprintf(stderr, "\n");
	abort();
}

/* process_vm_readv on ourselves: EFAULT instead of a signal. */
static long self_copy(long nr, u64 user, void *kernel, size_t n)
{
	u64 l[2] = { (u64)kernel, n }, r[2] = { user, n };

	if (!n)
		return 0;
	if (!user_range_ok(user, n))
		return -EFAULT;
	return syscall(nr, syscall(__NR_getpid), l, 1ul, r, 1ul, 0ul) == (long)n ? 0 : -EFAULT;
}

long copyin(void *dst, u64 src, size_t n)
{
	return self_copy(__NR_process_vm_readv, src, dst, n);
}

long copyout(u64 dst, const void *src, size_t n)
{
	return self_copy(__NR_process_vm_writev, dst, (void *)src, n);
}

long clearout(u64 dst, size_t n)
{
	static const u8 zero[512];

	return n > sizeof(zero) ? -EFAULT : copyout(dst, zero, n);
}

u64 floor_cr2;
u64 read_cr2(void)
{
	return floor_cr2;
}

void write_cr2(u64 v)
{
	floor_cr2 = v;
}

u64 copyout_trap(u64 dst, const struct rs_frame *f, u64 addr, u64 cause)
{
	u64 head[2] = { addr, cause };

	return copyout(dst, head, sizeof(head)) ? 1 : copyout(dst + sizeof(head), f, sizeof(*f));
}

long copyinstr(char *dst, u64 src, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++) {
		if (copyin(dst + i, src + i, 1))
			return -EFAULT;
		if (!dst[i])
			return (long)i;
	}
	return -ENAMETOOLONG;
}

int user_segs_get(u64 addr, u64 len, bool write, struct user_seg *segs, int max, u64 *done)
{
	char c;
	int n = 0;

	*done = 0;
	while (len && n < max) {
		u64 k = min(len, PIECE - (addr & (PIECE - 1)));

		/* Touch the page as the guest kernel's fault handler would. */
		if (copyin(&c, addr, 1) || (write && copyout(addr, &c, 1)))
			break;
		segs[n++] = (struct user_seg){ addr, k };
		addr += k;
		len -= k;
		*done += k;
	}
	live_segs += n;
	return n || !len ? n : -EFAULT;
}

bool user_page_get(u64 addr, u64 len, bool write, u64 *gpa)
{
	struct user_seg s;
	u64 done;

	if (len > PIECE - (addr & (PIECE - 1)) ||
	    user_segs_get(addr, len, write, &s, 1, &done) != 1)
		return false;
	*gpa = s.gpa;
	return true;
}

void user_page_put(u64 gpa)
{
	live_segs--;
}

void user_segs_put(const struct user_seg *segs, int n)
{
	(void)segs;
	live_segs -= n;
}

long host_call(u64 nr, u64 a0, u64 a1, u64 a2, u64 a3, u64 a4, u64 a5)
{
	long ret;

	host_calls++;
	last_host_nr = nr;
	if (host_hook && host_hook(nr, (u64[6]){ a0, a1, a2, a3, a4, a5 }, &ret))
		return ret;
	if (nr == RS_CALL_TIMER || nr == RS_CALL_TICK)
		return 0;
	if (nr == RS_CALL_IDLE) {
		u64 ts[2] = { a0 / 1000000000, a0 % 1000000000 };

		if (a0 == ~0ull)
			rs_panic("a sleep that nobody ends");
		syscall(__NR_nanosleep, ts, 0ul);
		return -ETIME;
	}
	if (nr >= RS_CALL_BASE)
		return -ENOSYS;
	ret = syscall((long)nr, a0, a1, a2, a3, a4, a5);
	return ret == -1 ? -errno : ret;
}

long rs_hypercall(u64 nr, u64 a0, u64 a1, u64 a2, u64 a3)
{
	(void)a3;
	if (hypercall_hook)
		return hypercall_hook(nr, a0, a1, a2);
	return nr == RS_HC_NULL ? 0 : RS_HC_ENOSYS;
}

void host_explain(int nr, int error, const char *path)
{
	(void)nr, (void)error, (void)path;
	explained++;
}

void rs_report_text(int kind, const struct textbuf *t)
{
	(void)kind;
	memcpy(floor_console + floor_console_len, t->buf, t->len);
	floor_console_len += t->len;
	floor_console[floor_console_len] = 0;
}

static u64 shared_at, shared_len;

void floor_share(const void *p, u64 len)
{
	shared_at = (u64)p;
	shared_len = len;
}

static bool floor_shared_at(u64 a)
{
	return a - shared_at < shared_len;
}

/* The address space's own calls are mm/'s to test. */
long mm_mmap(struct mm *m, const struct mmap_req *r)
{
	(void)m;
	return r->host_fd;
}
long mm_munmap(struct mm *m, u64 a, u64 l)
{
	(void)m, (void)a, (void)l;
	return 0;
}
bool prot_refused(u32 prot)
{
	(void)prot;
	return false;
}

long mm_mprotect(struct mm *m, u64 a, u64 l, u32 p)
{
	(void)m, (void)a, (void)l, (void)p;
	return 0;
}
long mm_mremap(struct mm *m, u64 o, u64 ol, u64 nl, u32 f, u64 n)
{
	(void)m, (void)o, (void)ol, (void)nl, (void)f, (void)n;
	return 0;
}
/* No page tables here: what mm/pages.c does is tested with them (pages_test.c). */
long mm_pages_protect(struct mm *m, u64 a, u64 l, u64 r)
{
	return -ENOSYS;
}

long mm_pages_bits_begin(struct mm *m, u64 a, u64 l, bool accessed, bool clear)
{
	return -ENOSYS;
}

u64 mm_pages_bits(struct mm *m, u64 a, u64 n, bool accessed, bool clear, u64 *bits)
{
	return 0;
}

void mm_pages_bits_end(void)
{
}

void mm_pages_written(struct mm *mm, u64 addr, u64 len)
{
}

long mm_map2(struct mm *m, u64 a, u64 l, u64 to, u64 prot)
{
	return -ENOSYS;
}

/* The pages of one process are those of all: they go from one address to another. */
long mm_transfer(const struct pages_offer *o, struct mm *to, u64 at)
{
	(void)to;
	if (fail())
		return -ENOMEM;
	memmove((void *)at, (void *)o->addr, o->len);
	return 0;
}

long mm_transfer_missing(const struct pages_offer *o, struct mm *to, u64 at, u64 id)
{
	(void)id;
	return mm_transfer(o, to, at);
}

long mm_set_pager(struct mm *mm, u64 addr, u64 len, struct pager *p)
{
	(void)mm, (void)addr, (void)len;
	if (p)
		shm_put(&p->shm);
	return 0;
}

void shm_put(struct shm *s)
{
	if (!--s->refs)
		s->gone(s);
}

long mm_replace(struct mm *m, u64 to, struct mm *src, u64 from, u64 len, u64 arg)
{
	return -ENOSYS;
}

long mm_give(struct mm *m, u64 to, struct mm *from, u64 addr, u64 len)
{
	return -ENOSYS;
}

long mm_brk(struct mm *m, u64 a)
{
	(void)m;
	return (long)a;
}
long mm_madvise(struct mm *m, u64 a, u64 l, int v)
{
	(void)m, (void)a, (void)l, (void)v;
	return 0;
}
long mm_msync(struct mm *m, u64 a, u64 l, u32 f)
{
	(void)m, (void)a, (void)l, (void)f;
	return 0;
}
long mm_mincore(struct mm *m, u64 a, u64 n, u8 *v)
{
	(void)m, (void)a;
	memset(v, 1, n);
	return 0;
}
struct vma *mm_find(struct mm *m, u64 a)
{
	static struct vma v;
	char c;

	(void)m;
	v.flags = floor_shared_at(a) ? VM_SHARED : 0;
	return copyin(&c, a, 1) ? NULL : &v;
}
size_t mm_peek(struct mm *m, void *dst, u64 va, size_t n)
{
	(void)m;
	return copyin(dst, va, n) ? 0 : n;
}
void mm_maps(struct mm *m, struct textbuf *t)
{
	(void)m;
	text_printf(t, "1000-2000 r--p x\n");
}
u64 pages_free(void)
{
	return 10;
}
u64 pages_total(void)
{
	return floor_total;
}
/*
 * Pages: only kernel stacks are made of any. They lie at a fixed address, so that an address's
 * struct page is found as in the kernel.
 */
#define STACKS_AT	0x40000000ul
#define MAX_STACKS	4096u
#define STACK_PAGES	(KSTACK_SIZE / PAGE_SIZE)
#define FIRST_SINGLE	(MAX_STACKS * STACK_PAGES)	/* page_alloc()'s, behind the stacks */
#define MAX_SINGLE	4096u

struct page *rs_pages;
u64 rs_npages;
static struct page pages[FIRST_SINGLE + MAX_SINGLE];
struct page_cpu rs_page_cpus[RS_NR_CPUS];
bool rs_page_debug;

static void pages_init(void)
{
	void *p = mmap((void *)STACKS_AT, sizeof(pages) / sizeof(pages[0]) * PAGE_SIZE,
		       PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

	if (p == MAP_FAILED)
		rs_panic("no room for stacks");
	rs_pages = (struct page *)((u64)pages - STACKS_AT / PAGE_SIZE * sizeof(pages[0]));
	rs_npages = STACKS_AT / PAGE_SIZE + ARRAY_SIZE(pages);
}

struct page *page_alloc_run(size_t n, size_t align)
{
	size_t i, k;

	if (n != STACK_PAGES || align != STACK_PAGES)
		rs_panic("a run of %zu pages", n);
	if (fail())
		return NULL;
	for (i = 0; i < FIRST_SINGLE; i += n) {
		for (k = 0; k < n && !pages[i + k].refs; k++)
			;
		if (k < n)
			continue;
		for (k = 0; k < n; k++)
			pages[i + k].refs = 1;
		memset((void *)(STACKS_AT + i * PAGE_SIZE), 0x5a, n * PAGE_SIZE);
		return &pages[i];
	}
	return NULL;
}

/* A page that nobody refers to is free, whatever the CPU's list says. */
void page_drain(struct page_cpu *c)
{
	c->count = 0;
}

long floor_stacks(void)
{
	long n = 0;

	for (size_t i = 0; i < FIRST_SINGLE; i++)
		n += !!pages[i].refs;
	return n / (long)STACK_PAGES;
}

long floor_pages(void)
{
	long n = 0;

	for (size_t i = FIRST_SINGLE; i < ARRAY_SIZE(pages); i++)
		n += !!pages[i].refs;
	return n;
}

/* Called by page_alloc() before anything else: what is on the list may be of a stack. */
bool page_alloc_injected(void)
{
	page_drain(&rs_page_cpus[0]);
	return fail();
}

bool page_refill(struct page_cpu *c)
{
	for (size_t i = FIRST_SINGLE; i < ARRAY_SIZE(pages); i++)
		if (!pages[i].refs) {
			c->stack[c->count++] = &pages[i];
			return true;
		}
	return false;
}

bool page_alloc_debug(struct page *p)
{
	(void)p;
	return true;
}

void page_free_debug(struct page *p)
{
	memset(page_ptr(p), 0xdd, PAGE_SIZE);
}

void page_alloc_stats_update(void)
{
}

void page_alloc_check(void)
{
}

u64 kmalloc_in_use(void)
{
	return (u64)live_objects;
}

/* --- address spaces: all have the same memory ------------------------------------------------- */

static struct mm first_mm = { .refs = 1 };

struct mm *mm_fork(struct mm *parent)
{
	struct mm *mm = kmalloc(sizeof(*mm));

	if (!mm)
		return NULL;
	*mm = *parent;
	mm->refs = 1;
	live_mms++;
	return mm;
}

struct mm *mm_create_like(const struct mm *old)
{
	return mm_fork((struct mm *)old);
}

bool mm_fork_keep(struct mm *parent, struct mm *child, u64 addr)
{
	(void)parent, (void)child, (void)addr;
	return true;
}

bool mm_fork_begin(struct mm *parent, u64 addr)
{
	(void)parent, (void)addr;
	return true;
}

void mm_fork_failed(struct mm *parent, u64 addr)
{
	(void)parent, (void)addr;
}

bool (*page_alloc_refuse)(void);
bool (*page_reclaim)(void);

bool kmalloc_locked(void)
{
	return false;
}

/* There is one CPU, and upcall_fast() is entry.S's. */
const struct vma *mm_find_reader(const struct mm *mm, u64 addr)
{
	(void)mm, (void)addr;
	return NULL;
}

void kmalloc_drop_spare(void)
{
}

struct vma *mm_find_from(struct mm *mm, u64 addr)
{
	(void)mm, (void)addr;
	return NULL;
}

long mm_lock(struct mm *mm, u64 addr, u64 len)
{
	(void)mm, (void)addr, (void)len;
	return 0;
}

/* The floor keeps no page tables. */
void file_map_drop_spare(void)
{
}

void pgtable_drop_spare(void)
{
}

void mm_put(struct mm *mm)
{
	if (--mm->refs)
		return;
	if (this_cpu()->mm == mm)
		rs_panic("the address space of this CPU is freed");
	live_mms--;
	if (mm != &first_mm)
		kfree(mm);
}

void mm_activate(struct mm *mm)
{
	this_cpu()->mm = mm;
}

void mm_check(struct mm *mm)
{
	(void)mm;
}

void pgtable_dump(const struct pgtable *pt, struct textbuf *t)
{
	(void)pt, (void)t;
}

/* --- CPU -------------------------------------------------------------------------------------- */

void cpu_set_kstack(struct cpu *c, struct kstack *k)
{
	c->kstack_top = (u64)kstack_frame(k);
}

/* Which thread's registers these are, so that a switch that mixes them up is seen. */
static u64 fpu_owner;

void fpu_save(struct kstack *k)
{
	*(u64 *)kstack_fpu(k) = fpu_owner;
}

void fpu_load(struct kstack *k)
{
	fpu_owner = *(u64 *)kstack_fpu(k);
}

void fpu_init_user(void)
{
}

long xstate_save(u64 va)
{
	u8 buf[520] = { [28] = 0xff, [29] = 0xff, [100] = 0x5a, [512] = 3 };

	return copyout(va, buf, sizeof(buf));
}

u8 floor_restored[832];

long xstate_restore(u64 va)
{
	u8 *buf = floor_restored;
	u64 h[8];

	/* A kernel buffer or the process's memory: the instruction takes both. */
	if (va & 63)
		return -EFAULT;
	if (copyin(buf, va, sizeof(floor_restored)))
		memcpy(buf, (void *)va, 576);
	memcpy(h, buf + 512, sizeof(h));
	/* What the CPU would refuse. */
	return !(h[0] & ~7ull) && !h[1] && !h[2] && !h[7] && !(buf[27] || buf[26]) ? 0 : -EFAULT;
}

/* --- proc/ ------------------------------------------------------------------------------------ */

bool report_is_bug(int sig)
{
	return sig == 4 || sig == 7 || sig == 8 || sig == 11;
}

void report_death(struct thread *t, int sig, const struct fault_info *fault)
{
	(void)t, (void)fault;
	floor_reported = sig;
}

void console_write(int kind, const char *text, size_t len)
{
	(void)kind, (void)text, (void)len;
}

void rs_printf(const char *fmt, ...)
{
	(void)fmt;
}

void host_exit(int wait_status, int error)
{
	(void)error;
	floor_on_exit(wait_status);
}

void floor_init(void)
{
	struct cpu *c = &rs_cpus[0];
	int i;

	fiber_init();
	pages_init();
	/* The sandbox closes its descriptors; ours stay. */
	for (i = 0; i < 3; i++)
		floor_boot.stdio[i] = (int)syscall(__NR_dup, (long)i);
	floor_boot.cwd_fd = (int)syscall(__NR_open, ".", O_RDONLY | O_DIRECTORY);
	rs_hosted_cpu = c;
	c->shared = &floor_shared;
	c->pages = &rs_page_cpus[0];
	rs_page_debug = true;
	hosted_boot_stack = page_ptr(page_alloc_run(STACK_PAGES, STACK_PAGES));
	*hosted_boot_stack = (struct kstack){ .cpu = c, .shared = c->shared, .magic = KSTACK_MAGIC };
	sched_init();
}

void floor_run(void (*firstly)(void))
{
	struct process *p = process_create();
	struct thread *t;

	if (!p)
		rs_panic("no first process");
	p->mm = &first_mm;
	live_mms++;
	if (syscall_process_init(p))
		rs_panic("no first process");
	t = list_first(&p->threads, struct thread, list);
	memset(t->frame, 0, sizeof(*t->frame));
	sched_prepare(t);
	sched_first = firstly;
	sched_start(t);
	sched_idle();
}

/* --- arguments of programs: a test that executes some has its own -------------------------------- */

void exec_args_init(struct exec_args *a)
{
	memset(a, 0, sizeof(*a));
}

void exec_args_free(struct exec_args *a)
{
	(void)a;
}

long exec_args_copyin(struct exec_args *a, u64 argv, u64 envp)
{
	(void)a, (void)argv, (void)envp;
	return 0;
}
