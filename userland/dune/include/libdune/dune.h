/* SPDX-License-Identifier: MIT */
/*
 * dune.h - the interface of Dune (libdune), on top of ringside/self.h
 *
 * A program written for Dune builds with this header and links with libdune.a (dune.pc); README.md beside the library says what is different.
 *
 *	dune_init(full)		once per process: page tables, the pool of pages
 *	dune_enter()		the calling thread goes on in ring 0 of a guest of its own; each thread, and each child of fork, for itself
 *
 * From then on the thread handles exceptions itself (dune_register_*), changes its page tables (dune_vm_*, pgroot), and may run code that it
 * does not trust in ring 3 (dune_jump_to_user). Whatever it does not handle is Linux's, as outside: system calls, signals, memory.
 *
 * Handlers run on a stack of the thread's own (RS_RING0_STACK bytes), with all registers in the frame and vector registers kept; they may
 * make system calls, fault, and leave by longjmp or dune_ret_from_user(). Results are 0 or more, or -errno, where nothing else is said.
 */
#ifndef RINGSIDE_DUNE_H
#define RINGSIDE_DUNE_H

#include <sys/queue.h>
#include <stdbool.h>

#include "mmu.h"
#include "elf.h"
#include "fpu.h"
#include "../kern/dune.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef void (*sighandler_t)(int);

/* --- odds and ends --- */

static inline unsigned long dune_get_ticks(void)
{
	uint32_t low, high;

	asm volatile("rdtsc" : "=a"(low), "=d"(high));
	return low | (unsigned long)high << 32;
}

/** dune_printf() - to standard output at once, past stdio; also in handlers. At most 1023 bytes. The number written, or -errno */
int dune_printf(const char *fmt, ...);
/** dune_die() - the process ends here, with exit status 1; nothing is flushed */
void dune_die(void) __attribute__((noreturn));
/** dune_mmap() - mmap(2) */
void *dune_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset);
/** dune_signal() - signal(2) with @cb. NULL; SIG_ERR with errno */
sighandler_t dune_signal(int sig, sighandler_t cb);
/** dune_get_user_fs() - FS base of the thread's ring 3; dune_set_user_fs() - from the next time it runs. Inside only. */
unsigned long dune_get_user_fs(void);
void dune_set_user_fs(unsigned long fs_base);

#ifndef assert
#define assert(expr)									\
	do {										\
		if (!(expr)) {								\
			dune_printf("ASSERT(" #expr ") at %s:%d in function %s\n",	\
				    __FILE__, __LINE__, __func__);			\
			dune_die();							\
		}									\
	} while (0)
#endif

/* --- exceptions, system calls of ring 3, ring 3 --- */

/* Selectors of the descriptor table: Linux's. The TSS's number is for reading only: a program loads no task register. */
#define GD_KT		0x10
#define GD_KD		0x18
#define GD_UD		0x28
#define GD_UT		0x30
#define GD_TSS		0x38
#define GD_TSS2		0x40
#define NR_GDT_ENTRIES	9

/**
 * struct dune_tf - registers of interrupted code, or of code to be run
 * Layout of struct rs_trap_frame. In a system call @rcx is the fourth argument (ring 3 has it in R10).
 * @addr, @cause, @vector: what is known of an exception; not looked at when the frame is loaded
 * @err: the error code
 */
struct dune_tf {
	uint64_t addr, cause;
	uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8;
	uint64_t rax, rcx, rdx, rsi, rdi;
	uint64_t vector;
	uint32_t err, pad1;
	uint64_t rip;
	uint16_t cs, pad2[3];
	uint64_t rflags;
	uint64_t rsp;
	uint16_t ss, pad3[3];
};

#define ARG0(tf)	((tf)->rdi)
#define ARG1(tf)	((tf)->rsi)
#define ARG2(tf)	((tf)->rdx)
#define ARG3(tf)	((tf)->rcx)
#define ARG4(tf)	((tf)->r8)
#define ARG5(tf)	((tf)->r9)

typedef void (*dune_intr_cb)(struct dune_tf *tf);
typedef void (*dune_pgflt_cb)(uintptr_t addr, uint64_t fec, struct dune_tf *tf);
typedef void (*dune_syscall_cb)(struct dune_tf *tf);

/**
 * dune_register_intr_handler() - @cb takes @vec (0 to 255) of all threads; NULL: nobody
 * Exceptions of both rings (of 14, page faults, before a handler that is for them alone); from 32 on, INT instructions of ring 0. -EINVAL: no
 * such vector, or one of 2, 8 and 18, which end the process with a report.
 */
int dune_register_intr_handler(int vec, dune_intr_cb cb);
/**
 * dune_register_signal_handler() - @cb takes Linux's signal @signum, with what it interrupted; NULL: SIG_DFL. -EINVAL, as sigaction(2)
 * The signal is blocked meanwhile. One that has interrupted ring 3 (tf->cs & 3) may end that by dune_ret_from_user().
 */
int dune_register_signal_handler(int signum, dune_intr_cb cb);
/**
 * dune_register_pgflt_handler() - @cb takes page faults that are not the library's own to resolve; NULL: they are signals
 * An access that the page tables allow and Linux does not (nothing mapped there, no right) is one as well. Any becomes a signal when the
 * handler has been asked 64 times in a row and nothing has changed.
 */
void dune_register_pgflt_handler(dune_pgflt_cb cb);
/** dune_register_syscall_handler() - @cb takes SYSCALL of ring 3; without one Linux executes it */
void dune_register_syscall_handler(dune_syscall_cb cb);

/** dune_pop_trap_frame() - load all registers from @tf and go on there, in the ring of its cs. Does not return. */
void dune_pop_trap_frame(struct dune_tf *tf);
/** dune_jump_to_user() - run @tf in ring 3, until dune_ret_from_user(): its value. May be nested, from handlers. -EPERM: outside */
int dune_jump_to_user(struct dune_tf *tf);
/** dune_ret_from_user() - in a handler of what ring 3 did: the innermost dune_jump_to_user() of this thread returns @ret */
void dune_ret_from_user(int ret) __attribute__((noreturn));
/** dune_dump_trap_frame() - @tf, its stack and its code, by dune_printf() */
void dune_dump_trap_frame(struct dune_tf *tf);
/** dune_passthrough_syscall() - Linux executes the system call of @tf; its result to tf->rax */
void dune_passthrough_syscall(struct dune_tf *tf);

/* --- the pool of pages: memory whose physical address is its virtual one --- */

SLIST_HEAD(page_head, page);
typedef SLIST_ENTRY(page) page_entry_t;

/** struct page - of the pool; @ref: references, 0 while it is free; @link: the library's */
struct page {
	page_entry_t link;
	uint64_t ref;
};

extern struct page *pages;	/* all of them, by number */
extern int num_pages;		/* those that have memory so far */

#ifndef PAGEBASE
#define PAGEBASE	0x200000000
#endif
#define MAX_PAGES	(1ul << 20)	/* 4 GiB */

/** dune_page_alloc() - a page with one reference, its contents whatever they are; NULL: none left. Any thread, handlers as well. */
struct page *dune_page_alloc(void);
/** dune_page_free() - @pg, without references, goes back */
void dune_page_free(struct page *pg);
void dune_page_stats(void);

static inline struct page *dune_pa2page(physaddr_t pa)
{
	return &pages[PPN(pa - PAGEBASE)];
}

static inline physaddr_t dune_page2pa(struct page *pg)
{
	return PAGEBASE + ((physaddr_t)(pg - pages) << PGSHIFT);
}

bool dune_page_isfrompool(physaddr_t pa);

static inline struct page *dune_page_get(struct page *pg)
{
	assert(pg >= pages);
	assert(pg < pages + num_pages);
	__atomic_fetch_add(&pg->ref, 1, __ATOMIC_RELAXED);
	return pg;
}

/** dune_page_put() - one reference less; the last one frees. Nothing for a page that has none. */
static inline void dune_page_put(struct page *pg)
{
	uint64_t ref;

	assert(pg >= pages);
	assert(pg < pages + num_pages);
	ref = __atomic_load_n(&pg->ref, __ATOMIC_RELAXED);
	do {
		if (!ref)
			return;
	} while (!__atomic_compare_exchange_n(&pg->ref, &ref, ref - 1, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
	if (ref == 1)
		dune_page_free(pg);
}

/* --- virtual memory --- */

extern ptent_t *pgroot;		/* the page table of all threads, by its physical address as well */
extern uintptr_t phys_limit;	/* physical addresses are below */
extern uintptr_t mmap_base;	/* where the window of mmap begins */
extern uintptr_t stack_base;	/* and that of the stack */

/**
 * dune_va_to_pa() - the physical address of memory of the process, mapped or not; ~0: none (no address of a program, or no room)
 * Good for the rest of its GiB; dune_vm_map_phys() accepts more. The other two are the same.
 */
uintptr_t dune_va_to_pa(void *ptr);
static inline uintptr_t dune_mmap_addr_to_pa(void *ptr)
{
	return dune_va_to_pa(ptr);
}
static inline uintptr_t dune_stack_addr_to_pa(void *ptr)
{
	return dune_va_to_pa(ptr);
}

#define PERM_NONE	0
#define PERM_R		0x0001
#define PERM_W		0x0002
#define PERM_X		0x0004
#define PERM_U		0x0008	/* for ring 3, too */
#define PERM_UC		0x0010	/* not cached */
#define PERM_COW	0x0020	/* PTE_COW */
#define PERM_USR1	0x1000	/* PTE_USR1 */
#define PERM_USR2	0x2000	/* PTE_USR2 */
#define PERM_USR3	0x3000	/* PTE_USR3, and both others */
#define PERM_BIG	0x0100	/* 2 MiB pages where they fit */
#define PERM_BIG_1GB	0x0200	/* 1 GiB pages where they fit and the CPU has them, else as PERM_BIG */

#define PERM_SCODE	(PERM_R | PERM_X)
#define PERM_STEXT	(PERM_R | PERM_W)
#define PERM_SSTACK	PERM_STEXT
#define PERM_UCODE	(PERM_R | PERM_U | PERM_X)
#define PERM_UTEXT	(PERM_R | PERM_U | PERM_W)
#define PERM_USTACK	PERM_UTEXT

/* This thread's TLB; the functions below see to those of all threads. Ring 0 only. */
static inline void dune_flush_tlb_one(unsigned long addr)
{
	asm volatile("invlpg (%0)" : : "r"(addr) : "memory");
}

#define CR3_NOFLUSH	(1UL << 63)

/** load_cr3() - the table to use from now on; its address, and bits that are of no account here (there is no PCID) */
static inline void load_cr3(unsigned long cr3)
{
	asm volatile("mov %0, %%cr3" : : "r"(PTE_ADDR(cr3)) : "memory");
}

static inline void dune_flush_tlb(void)
{
	unsigned long cr3;

	asm volatile("mov %%cr3, %0\n\tmov %0, %%cr3" : "=r"(cr3) : : "memory");
}

/** __invpcid() - mode 0: @addr; others: everything */
static inline void __invpcid(int mode, unsigned long addr)
{
	if (mode == 0)
		dune_flush_tlb_one(addr);
	else
		dune_flush_tlb();
}

#define VA_START	((void *)0)
#define VA_END		((void *)-1)

enum {
	CREATE_NONE = 0,
	CREATE_NORMAL = 1,
	CREATE_BIG = 2,
	CREATE_BIG_1GB = 3,
};

/*
 * All of them take any root (pgroot, a clone, a program's own) and concern the lower half: addresses from 2^47 on are the monitor's (-EINVAL;
 * a walk ends there). Pages of any size are split where a range covers a part. Safe against each other in several threads and in
 * handlers, as far as they do not change the same entry.
 *
 * A page of the pool that is mapped, other than at its own address, owes its entry a reference: dune_vm_map_phys() and dune_vm_map_pages()
 * take over the one that the caller, or the pool, has; dune_vm_insert_page() and dune_vm_clone() add one; dune_vm_unmap(), dune_vm_free() and
 * mapping something else there give it back.
 */

/** dune_vm_mprotect() - @perm for what is mapped in [@va, @va + @len); the rest is passed over. -EINVAL: PERM_W without PERM_R; -ENOMEM */
int dune_vm_mprotect(ptent_t *root, void *va, size_t len, int perm);
/** dune_vm_map_phys() - the memory that begins at physical address @pa. -EINVAL: there is none; -ENOMEM: some may be mapped */
int dune_vm_map_phys(ptent_t *root, void *va, size_t len, void *pa, int perm);
/** dune_vm_map_pages() - pages of the pool, zeroed. As above */
int dune_vm_map_pages(ptent_t *root, void *va, size_t len, int perm);
void dune_vm_unmap(ptent_t *root, void *va, size_t len);
/**
 * dune_vm_lookup() - the entry for @va, of a 4 KiB page or of a bigger one that was asked for
 * @create: CREATE_NONE: -ENOENT when there are no tables for it. CREATE_NORMAL: makes them (-ENOMEM). CREATE_BIG, CREATE_BIG_1GB: the entry of that size,
 * -EEXIST when there are smaller ones.
 */
int dune_vm_lookup(ptent_t *root, void *va, int create, ptent_t **pte_out);

/** dune_vm_insert_page() - @pg at @va, with a reference of its own */
int dune_vm_insert_page(ptent_t *root, void *va, struct page *pg, int perm);
/** dune_vm_lookup_page() - the page of the pool at @va, no reference; NULL: none */
struct page *dune_vm_lookup_page(ptent_t *root, void *va);

/** dune_vm_clone() - a copy of all tables, which map the same pages; NULL: no memory */
ptent_t *dune_vm_clone(ptent_t *root);
/** dune_vm_free() - of a clone, or a root of the program's: its tables and references. Nothing for pgroot and for the one that is loaded. */
void dune_vm_free(ptent_t *root);
/**
 * dune_vm_default_pgflt_handler() - a write to a PTE_COW page gets a copy, or the page itself when nobody else has it
 * In the table that is loaded. For handlers. Any other fault: SIGSEGV.
 */
void dune_vm_default_pgflt_handler(uintptr_t addr, uint64_t fec);

/** dune_vm_page_walk() - @cb for each entry that is not 0 from @start_va to @end_va (both inclusive), in order; a result that is not 0 ends it */
typedef int (*page_walk_cb)(const void *arg, ptent_t *ptep, void *va);
int dune_vm_page_walk(ptent_t *root, void *start_va, void *end_va, page_walk_cb cb, const void *arg);

/* --- /proc/self/maps --- */

#define PROCMAP_TYPE_UNKNOWN	0x00
#define PROCMAP_TYPE_FILE	0x01
#define PROCMAP_TYPE_ANONYMOUS	0x02
#define PROCMAP_TYPE_HEAP	0x03
#define PROCMAP_TYPE_STACK	0x04
#define PROCMAP_TYPE_VSYSCALL	0x05
#define PROCMAP_TYPE_VDSO	0x06
#define PROCMAP_TYPE_VVAR	0x07

/** struct dune_procmap_entry - @p: private; @path: as Linux prints it, with its blanks, "" for none; until the callback returns */
struct dune_procmap_entry {
	uintptr_t begin;
	uintptr_t end;
	uint64_t offset;
	bool r;
	bool w;
	bool x;
	bool p;
	char *path;
	int type;
};

typedef void (*dune_procmap_cb)(const struct dune_procmap_entry *);

void dune_procmap_iterate(dune_procmap_cb cb);
void dune_procmap_dump(void);

/* --- ELF files, which may be hostile --- */

/** struct dune_elf - an open file, or @len bytes at @mem; @priv is the caller's. @phdr, @shdr, @shdrstr: NULL until first iterated */
struct dune_elf {
	int fd;
	unsigned char *mem;
	int len;
	Elf64_Ehdr hdr;
	Elf64_Phdr *phdr;
	Elf64_Shdr *shdr;
	char *shdrstr;
	void *priv;
};

typedef int (*dune_elf_phcb)(struct dune_elf *elf, Elf64_Phdr *phdr);
typedef int (*dune_elf_shcb)(struct dune_elf *elf, const char *sname, int snum, Elf64_Shdr *shdr);

/** dune_elf_open() - -EIO: cannot be read; -EINVAL: no 64-bit ELF file for x86-64. Whatever was opened is closed again then. */
int dune_elf_open(struct dune_elf *elf, const char *path);
int dune_elf_open_mem(struct dune_elf *elf, void *mem, int len);
int dune_elf_close(struct dune_elf *elf);
/** dune_elf_dump() - sections and segments by dune_printf() */
int dune_elf_dump(struct dune_elf *elf);
/** dune_elf_iter_sh(), dune_elf_iter_ph() - @cb for each, until a result is not 0, which is theirs. -EINVAL, -EIO, -ENOMEM: not to be read */
int dune_elf_iter_sh(struct dune_elf *elf, dune_elf_shcb cb);
int dune_elf_iter_ph(struct dune_elf *elf, dune_elf_phcb cb);
/**
 * dune_elf_load_ph() - maps segment @phdr at its address + @off, over what is there, as execve would
 * -EINVAL: no PT_LOAD, or a segment that no loader accepts; -ENOMEM. From memory: a copy.
 */
int dune_elf_load_ph(struct dune_elf *elf, Elf64_Phdr *phdr, off_t off);

/* --- entering --- */

/**
 * dune_init() - @map_full: ring 3 may access all memory of the process, else only what is mapped for it (PERM_U), and the vDSO
 * Once; a second time is 0 and nothing. Errors of rs_enter(); -ENOMEM: the pool's address is taken.
 */
int dune_init(bool map_full);
/** dune_enter() - the calling thread goes on in ring 0, with pgroot. 0, also when it is inside; errors of rs_enter(); -EINVAL: no dune_init() */
int dune_enter(void);

static inline int dune_init_and_enter(void)
{
	int ret = dune_init(true);

	return ret ? ret : dune_enter();
}

#ifdef __cplusplus
}
#endif

#endif
