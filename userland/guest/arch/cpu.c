// SPDX-License-Identifier: MIT
/*
 * cpu.c - descriptor tables and control registers of a CPU
 *
 * Segments have the selectors Linux gives them, so that MSR_STAR can keep the host's value; but for
 * the 32-bit code of ring 3, which stays empty: SYSRET takes only its number. With a descriptor
 * there ring 3 could jump into compatibility mode, and on AMD a SYSCALL from there begins at CSTAR,
 * on the process's own stack. CSTAR leads to the entry of 64-bit calls all the same. Each
 * CPU has its own GDT, because loading TR marks the TSS descriptor busy. One IDT serves all: every
 * vector is an interrupt gate, those for NMI, #DF and #MC with a stack of their own, because they
 * can come when the stack is not usable; INT3 and INTO may be used by ring 3.
 */
#include "cpu.h"
#include "trap.h"
#include "../lib/string.h"
#include "../lib/assert.h"
#include "arch_asm.h"

struct tss {
	u32 reserved0;
	u64 rsp[3];
	u64 reserved1;
	u64 ist[7];
	u64 reserved2;
	u16 reserved3;
	u16 iomap;
} __attribute__((packed));
_Static_assert(sizeof(struct tss) == 104, "64-bit TSS");

struct gate {
	u16 offset_low;
	u16 selector;
	u8 ist;
	u8 type;
	u16 offset_mid;
	u32 offset_high;
	u32 reserved;
};
_Static_assert(sizeof(struct gate) == 16, "64-bit gate");

struct desc_ptr {
	u16 limit;
	u64 base;
} __attribute__((packed));

struct cpu_tables {
	u64 gdt[10];
	struct tss tss;
} __attribute__((aligned(64)));

#define GATE_INTERRUPT	0x8e
#define GATE_USER	0xee
#define IST_NMI		1
#define IST_DF		2
#define IST_MC		3

/* Code and data, present, accessed (so that the CPU never writes to them) */
#define DESC_KERNEL32	0x00cf9b000000ffffull
#define DESC_KERNEL_CS	0x00af9b000000ffffull
#define DESC_KERNEL_SS	0x00cf93000000ffffull
#define DESC_USER_SS	0x00cff3000000ffffull
#define DESC_USER_CS	0x00affb000000ffffull

#define XFEATURE_TILES	(3ull << 17)

struct cpu rs_cpus[RS_NR_CPUS];
u32 rs_ncpus;
struct cpu_features cpu_has;

static struct cpu_tables tables[RS_NR_CPUS];
static struct gate idt[256] __attribute__((aligned(4096)));
static u8 fpu_clean[4096] __attribute__((aligned(64)));

void cpu_init_boot(u64 cr4, u64 efer)
{
	u32 a, b, c, d;

	cpu_has = (struct cpu_features){
		.smap = cr4 & CR4_SMAP,
		.smep = cr4 & CR4_SMEP,
		.fsgsbase = cr4 & CR4_FSGSBASE,
		.pcid = cr4 & CR4_PCIDE,
		.osxsave = cr4 & CR4_OSXSAVE,
		.nx = efer & (1u << 11),
		.xsave_size = 512,
	};
	cpuid(0x80000008, 0, &a, &b, &c, &d);
	cpu_has.phys_bits = a;
	cpuid(0x80000001, 0, &a, &b, &c, &d);
	cpu_has.pages_1g = d & (1u << 26);
	if (cpu_has.osxsave) {
		asm volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
		/*
		 * Without AMX's tiles: a process cannot use them (XFD is armed, and the permission
		 * is the host's), and loading them from a frame it made would be #NM in ring 0.
		 */
		cpu_has.xcr0 = ((u64)d << 32 | a) & ~XFEATURE_TILES;
		cpuid(0xd, 0, &a, &b, &c, &d);
		cpu_has.xsave_size = b;
		/* What would not fit into the room on a kernel stack is not switched: not there. */
		for (int i = 2; i < 63; i++) {
			if (!(cpu_has.xcr0 >> i & 1))
				continue;
			cpuid(0xd, i, &a, &b, &c, &d);
			if (a + b > KSTACK_FPU_SIZE)
				cpu_has.xcr0 &= ~(1ull << i);
		}
	}
	/* Legacy area of a reset FPU; the XSAVE header behind it says "all components initial". */
	*(u16 *)(fpu_clean + 0) = 0x37f;
	*(u32 *)(fpu_clean + 24) = 0x1f80;
}

static void idt_fill(void)
{
	int v;

	for (v = 0; v < 256; v++) {
		u64 at = (u64)rs_trap_stubs + v * TRAP_STUB_SIZE;

		idt[v] = (struct gate){
			.offset_low = at,
			.offset_mid = at >> 16,
			.offset_high = at >> 32,
			.selector = KERNEL_CS,
			.type = v == VEC_BP || v == VEC_OF ? GATE_USER : GATE_INTERRUPT,
			.ist = v == VEC_NMI ? IST_NMI : v == VEC_DF ? IST_DF : v == VEC_MC ?
			IST_MC : 0,
		};
	}
}

static void gdt_fill(struct cpu_tables *t)
{
	u64 tss = (u64)&t->tss, limit = sizeof(t->tss) - 1;

	t->gdt[1] = DESC_KERNEL32;
	t->gdt[KERNEL_CS / 8] = DESC_KERNEL_CS;
	t->gdt[KERNEL_SS / 8] = DESC_KERNEL_SS;
	t->gdt[USER_SS / 8] = DESC_USER_SS;
	t->gdt[USER_CS / 8] = DESC_USER_CS;
	/* Available 64-bit TSS, present. */
	t->gdt[TSS_SELECTOR / 8] = limit | (tss & 0xffffff) << 16 | 0x89ull << 40 |
				   (tss >> 24 & 0xff) << 56;
	t->gdt[TSS_SELECTOR / 8 + 1] = tss >> 32;
}

#define STACK_PATTERN	0x6b6373206b6e6c62ul

void kstack_mark(struct kstack *k)
{
	u64 *p = (u64 *)((char *)k + KSTACK_FREE), *end = (u64 *)__builtin_frame_address(0) - 32;

	while (p < end)
		*p++ = STACK_PATTERN;
}

u64 kstack_used(const struct kstack *k)
{
	const u64 *p = (const u64 *)((const char *)k + KSTACK_FREE);
	const u64 *end = (const u64 *)((const char *)k + KSTACK_SIZE);

	while (p < end && *p == STACK_PATTERN)
		p++;
	return (const char *)end - (const char *)p;
}

void cpu_init(struct cpu *cpu, void *ist)
{
	struct cpu_tables *t = &tables[cpu->id];
	struct desc_ptr gdtr = { .limit = sizeof(t->gdt) - 1, .base = (u64)t->gdt };
	struct desc_ptr idtr = { .limit = sizeof(idt) - 1, .base = (u64)idt };
	int i;

	if (!idt[0].selector)
		idt_fill();
	memset(t, 0, sizeof(*t));
	cpu->rsp0 = (cpu_rsp0 *)((char *)&t->tss + offsetof(struct tss, rsp));
	t->tss.iomap = sizeof(t->tss);
	for (i = 0; i < CPU_IST_STACKS; i++) {
		struct kstack *k = (struct kstack *)((char *)ist + i * KSTACK_SIZE);

		*k = (struct kstack){ .cpu = cpu, .shared = cpu->shared, .magic = KSTACK_MAGIC };
		t->tss.ist[i] = (u64)k + KSTACK_SIZE;
	}
	gdt_fill(t);
	asm volatile("lgdt %0" : : "m"(gdtr));
	/* CS by a far return, SS by a move; DS, ES, FS, GS are null: nothing uses them. */
	asm volatile("pushq	%0\n"
		     "leaq	1f(%%rip), %%rax\n"
		     "pushq	%%rax\n"
		     "lretq\n"
		     "1:	mov	%1, %%ss\n"
		     "mov	%2, %%ds\n"
		     "mov	%2, %%es\n"
		     : : "i"(KERNEL_CS), "r"(KERNEL_SS), "r"(0) : "rax", "memory");
	asm volatile("lidt %0" : : "m"(idtr));
	asm volatile("ltr %w0" : : "r"(TSS_SELECTOR));

	wrmsr(MSR_STAR, (u64)USER32_CS << 48 | (u64)KERNEL_CS << 32);
	wrmsr(MSR_LSTAR, (u64)rs_syscall_stubs + cpu->id * SYSCALL_STUB_SIZE);
	wrmsr(MSR_CSTAR, (u64)rs_syscall_stubs + cpu->id * SYSCALL_STUB_SIZE);
	wrmsr(MSR_SFMASK, SYSCALL_MASK);
}

void fpu_init_user(void)
{
	if (cpu_has.osxsave)
		asm volatile("xrstor64 %0" : : "m"(fpu_clean), "a"(-1), "d"(-1) : "memory");
	else
		asm volatile("fxrstor64 %0" : : "m"(fpu_clean) : "memory");
}

/* Between these lie pairs (faulting instruction, where to go on), see EXTABLE. */
extern const struct {
	u64 from, to;
} rs_extable_start[], rs_extable_end[];

u64 extable_fixup(u64 rip)
{
	u64 i, n = rs_extable_end - rs_extable_start;

	for (i = 0; i < n; i++)
		if (rs_extable_start[i].from == rip)
			return rs_extable_start[i].to;
	return 0;
}
