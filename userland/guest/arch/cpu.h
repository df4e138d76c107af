/* SPDX-License-Identifier: MIT */
/*
 * cpu.h - a virtual CPU: its data, how to find them, its instructions
 *
 * The kernel does not use GS (MSR_KERNEL_GS_BASE is the host's and is never touched), so a CPU
 * finds its data through its stack: every kernel stack is KSTACK_SIZE bytes, aligned to its size,
 * and begins (lowest address) with struct kstack, which names the CPU and the thread. The kernel
 * runs with interrupts off, always; ring 3 runs with them on.
 */
#ifndef RS_ARCH_CPU_H
#define RS_ARCH_CPU_H

#include "../lib/types.h"
#include "frame.h"

#define RS_NR_CPUS	64
#define KSTACK_SIZE	16384

#define KERNEL_CS	0x10
#define KERNEL_SS	0x18
#define USER32_CS	0x23
#define USER_SS		0x2b
#define USER_CS		0x33
#define TSS_SELECTOR	0x40

struct thread;
struct mm;
struct page_cpu;
struct rs_vcpu_shared;

/** struct kstack - lowest bytes of every kernel stack */
struct kstack {
	struct cpu *cpu;
	struct thread *thread;	/* that runs on this stack; NULL on boot and IST stacks */
	struct rs_vcpu_shared *shared;	/* of the CPU; entry.S looks at its pending signals */
	u64 magic;		/* KSTACK_MAGIC; overwritten by an overflow */
};
#define KSTACK_MAGIC	0x4b737461636b5269ul
/*
 * Behind it, room for the vector and x87 registers of the thread while it does not run (XSAVE area,
 * standard format, of all that Linux enables but AMX's tiles).
 */
#define KSTACK_FPU	64
#define KSTACK_FPU_SIZE	2816
#define KSTACK_FREE	(KSTACK_FPU + KSTACK_FPU_SIZE)	/* the stack proper begins here */

/* The TSS is not aligned to its words. */
typedef u64 cpu_rsp0 __attribute__((aligned(4)));

/**
 * struct cpu - per-CPU data, written only by its CPU
 * The first two fields are read by the SYSCALL stubs in entry.S.
 */
struct cpu {
	/* where a trap from ring 3 puts its frame's end; also in TSS.RSP0 */
	u64 kstack_top;
	u64 user_rsp;		/* scratch of the SYSCALL stub */
	u32 id;
	u16 irq_depth;		/* what keeps interrupts off, nested (arch/irq.h) */
	bool irq_was_on;	/* what the outermost of these found */
	bool hosted_if;		/* the interrupt flag, where the CPU is a thread of a test */
	struct rs_vcpu_shared *shared;
	struct thread *current;
	struct mm *mm;		/* whose page table CR3 has; NULL for the boot table */
	struct page_cpu *pages;	/* its free pages (mm/page_alloc.h) */
	cpu_rsp0 *rsp0;		/* TSS.RSP0 */
} __attribute__((aligned(64)));
_Static_assert(sizeof(struct cpu) == 64, "the SYSCALL stubs count on it");

extern struct cpu rs_cpus[RS_NR_CPUS];
extern u32 rs_ncpus;

#ifdef RS_HOSTED
extern __thread struct cpu *rs_hosted_cpu;
static inline struct cpu *this_cpu(void)
{
	return rs_hosted_cpu;
}
#else
/*
 * kstack_mark(), kstack_used() - fills what is free of the present stack with a pattern; later, how
 * many bytes of it were used at most. For debugging: how much room is left.
 */
void kstack_mark(struct kstack *k);
u64 kstack_used(const struct kstack *k);

static always_inline struct kstack *this_kstack(void)
{
	u64 sp;

	asm("mov %%rsp, %0" : "=r"(sp));
	return (struct kstack *)(sp & ~(u64)(KSTACK_SIZE - 1));
}

/** this_cpu() - the CPU we are on */
static always_inline struct cpu *this_cpu(void)
{
	return this_kstack()->cpu;
}
#endif

/** struct cpu_features - what this machine's CR4 and CPUID allow; fixed after boot */
struct cpu_features {
	bool smap, smep, fsgsbase, pcid, osxsave, nx, pages_1g;
	u8 phys_bits;
	u64 xcr0;		/* 0 without XSAVE */
	/* bytes of an XSAVE area of standard format with xcr0; 512 without XSAVE */
	u32 xsave_size;
};
extern struct cpu_features cpu_has;

#define CR4_FSGSBASE	(1ul << 16)
#define CR4_PCIDE	(1ul << 17)
#define CR4_OSXSAVE	(1ul << 18)
#define CR4_SMEP	(1ul << 20)
#define CR4_SMAP	(1ul << 21)

#define MSR_EFER	0xc0000080
#define MSR_STAR	0xc0000081
#define MSR_LSTAR	0xc0000082
#define MSR_CSTAR	0xc0000083
#define MSR_SFMASK	0xc0000084
#define MSR_FS_BASE	0xc0000100
#define MSR_GS_BASE	0xc0000101

/* First address that is not a process's (TASK_SIZE_MAX of Linux). */
#define USER_TOP	0x00007ffffffff000ul

/** is_canonical() - 48-bit addresses */
static inline bool is_canonical(u64 a)
{
	return (u64)((s64)(a << 16) >> 16) == a;
}

#ifndef RS_HOSTED
static inline u64 rdmsr(u32 msr)
{
	u32 lo, hi;

	asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
	return (u64)hi << 32 | lo;
}

/* A guest is allowed the MSRs named above and TSC_AUX; others are #GP. */
static inline void wrmsr(u32 msr, u64 v)
{
	asm volatile("wrmsr" : : "c"(msr), "a"((u32)v), "d"((u32)(v >> 32)) : "memory");
}

static inline void cpuid(u32 leaf, u32 sub, u32 *a, u32 *b, u32 *c, u32 *d)
{
	asm volatile("cpuid" : "=a"(*a), "=b"(*b), "=c"(*c), "=d"(*d) : "a"(leaf), "c"(sub));
}

static inline u64 read_cr2(void)
{
	u64 v;

	asm volatile("mov %%cr2, %0" : "=r"(v));
	return v;
}

static inline void write_cr2(u64 v)
{
	asm volatile("mov %0, %%cr2" : : "r"(v));
}

static inline u64 read_cr3(void)
{
	u64 v;

	asm volatile("mov %%cr3, %0" : "=r"(v));
	return v;
}

static inline void write_cr3(u64 v)
{
	asm volatile("mov %0, %%cr3" : : "r"(v) : "memory");
}

static inline u64 read_cr4(void)
{
	u64 v;

	asm volatile("mov %%cr4, %0" : "=r"(v));
	return v;
}

static inline u64 rdtsc(void)
{
	u32 lo, hi;

	asm volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (u64)hi << 32 | lo;
}

static inline void cpu_relax(void)
{
	asm volatile("pause" ::: "memory");
}

/* FS and GS base of ring 3, where there are instructions for them */
static always_inline u64 rdfsbase(void)
{
	u64 v;

	asm volatile("rdfsbase %0" : "=r"(v));
	return v;
}

static always_inline u64 rdgsbase(void)
{
	u64 v;

	asm volatile("rdgsbase %0" : "=r"(v));
	return v;
}

static always_inline void wrfsbase(u64 v)
{
	asm volatile("wrfsbase %0" : : "r"(v));
}

static always_inline void wrgsbase(u64 v)
{
	asm volatile("wrgsbase %0" : : "r"(v));
}

/*
 * The same anywhere; the kernel itself uses neither. @v must be canonical (otherwise #GP).
 */
static inline u64 user_fs_base(void)
{
	return cpu_has.fsgsbase ? rdfsbase() : rdmsr(MSR_FS_BASE);
}

static inline void set_user_fs_base(u64 v)
{
	if (!cpu_has.fsgsbase)
		wrmsr(MSR_FS_BASE, v);
	else
		wrfsbase(v);
}

static inline u64 user_gs_base(void)
{
	return cpu_has.fsgsbase ? rdgsbase() : rdmsr(MSR_GS_BASE);
}

static inline void set_user_gs_base(u64 v)
{
	if (!cpu_has.fsgsbase)
		wrmsr(MSR_GS_BASE, v);
	else
		wrgsbase(v);
}
#else
u64 read_cr2(void);
void write_cr2(u64 v);
/* A CPU is a thread there, and there may be fewer real ones than that. */
int sched_yield(void);
static inline void cpu_relax(void)
{
	sched_yield();
}
#endif

/** cpu_init_boot() - reads what the CPU can do into cpu_has; once, before anything else */
void cpu_init_boot(u64 cr4, u64 efer);
/**
 * cpu_init() - GDT, IDT, TSS, SYSCALL MSRs of the CPU that runs this
 * @ist: CPU_IST_STACKS kernel stacks (KSTACK_SIZE, aligned to it), for NMI, #DF, #MC
 */
void cpu_init(struct cpu *cpu, void *ist);
#define CPU_IST_STACKS	3
/** kstack_fpu() - the saved vector registers of the thread on @k */
static inline void *kstack_fpu(struct kstack *k)
{
	return (char *)k + KSTACK_FPU;
}
#ifdef RS_HOSTED
void cpu_set_kstack(struct cpu *cpu, struct kstack *k);
void fpu_save(struct kstack *k);
void fpu_load(struct kstack *k);
#else
/** cpu_set_kstack() - traps from ring 3 arrive on @k from now on */
static always_inline void cpu_set_kstack(struct cpu *cpu, struct kstack *k)
{
	cpu->kstack_top = (u64)k + KSTACK_SIZE;
	*cpu->rsp0 = (u64)k + KSTACK_SIZE;
}

/* xsave(), xrstor() - where there is XSAVE. Tiles are never in use (xcr0 is without them). */
static always_inline void xsave(void *area)
{
	asm volatile("xsave64 (%0)" : : "r"(area), "a"((u32)cpu_has.xcr0),
		     "d"((u32)(cpu_has.xcr0 >> 32)) : "memory");
}

static always_inline void xrstor(void *area)
{
	asm volatile("xrstor64 (%0)" : : "r"(area), "a"((u32)cpu_has.xcr0),
		     "d"((u32)(cpu_has.xcr0 >> 32)) : "memory");
}

/** fpu_save(), fpu_load() - the registers as they are, to and from kstack_fpu() */
static always_inline void fpu_save(struct kstack *k)
{
	if (likely(cpu_has.osxsave))
		xsave(kstack_fpu(k));
	else
		asm volatile("fxsave64 (%0)" : : "r"(kstack_fpu(k)) : "memory");
}

static always_inline void fpu_load(struct kstack *k)
{
	if (likely(cpu_has.osxsave))
		xrstor(kstack_fpu(k));
	else
		asm volatile("fxrstor64 (%0)" : : "r"(kstack_fpu(k)) : "memory");
}
#endif
/** rs_switch_stack() - leaves this stack, *@save says where, and goes on on another: switch.S */
void rs_switch_stack(u64 *save, u64 load);
extern char rs_thread_begin[];
/** fpu_init_user() - vector and x87 registers as a new program finds them */
void fpu_init_user(void);
/** kstack_frame() - where the frame of ring 3 lies on @k */
static inline struct rs_frame *kstack_frame(struct kstack *k)
{
	return (struct rs_frame *)((char *)k + KSTACK_SIZE) - 1;
}
/**
 * enter_user() - loads all registers from @f, which is kstack_frame() of this stack, and goes to
 * ring 3
 */
void enter_user(struct rs_frame *f) __noreturn;

#endif
