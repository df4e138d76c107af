// SPDX-License-Identifier: MIT
/*
 * guest.c - a tiny ring-0 program for the tests of the module
 *
 * Sets up its descriptor tables, does what it is told, reports. An exception inside a function ends
 * the function and is part of the result; external interrupts are counted and execution goes on. No
 * state survives a start, but what memory holds.
 */
#include "guest.h"
#include "ringside_guest.h"

typedef unsigned long u64;
typedef unsigned int u32;
typedef unsigned short u16;
typedef unsigned char u8;

struct g_frame {
	u64 r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
	u64 vector, error, rip, cs, rflags, rsp, ss;
};

struct g_jump {
	u64 rbx, rbp, r12, r13, r14, r15, rsp, rflags;
};

struct tss {
	u32 reserved0;
	u64 rsp[3];
	u64 reserved1, ist[7], reserved2;
	u16 reserved3, iomap;
} __attribute__((packed));

/* Found by GS base. The first field is what g_syscall_entry counts in. */
struct g_cpu {
	u64 *syscalls;
	struct g_cpu *self;
	volatile struct g_args *args;
	struct g_jump jump;
	u64 trying;		/* jump is valid */
	u64 gdt[9];
	struct tss tss;
};

struct gate {
	u16 low, sel;
	u8 ist, type;
	u16 mid;
	u32 high, zero;
};

struct table_ptr {
	u16 limit;
	u64 base;
} __attribute__((packed));

static struct g_cpu cpus[G_CPUS];
static struct gate idt[256] __attribute__((aligned(16)));

extern const u8 g_stubs[256][16], g_int_table[256][16];
extern const u8 gu_leave[], gu_cli[], gu_read[], gu_vmcall[], gu_vmmcall[], gu_syscall[], gu_in[];
extern const u8 gu_hlt[], gu_ud2[], gu_loop[];
void g_syscall_entry(void);
long g_try(void (*fn)(u64), u64 arg, struct g_jump *j);
void g_jump_back(struct g_jump *j, long value) __attribute__((noreturn));
long g_user_enter(u64 rip, u64 arg, struct g_jump *j, u64 rsp, u64 *rsp0);
u64 g_gprs(u64 nr, u64 vmx);
u64 g_xmm(u64 seed, u64 rounds);
u64 g_ymm(u64 seed, u64 rounds);
u64 g_nic(volatile struct g_args *a);
u64 g_hypercall(u64 nr, u64 a, u64 b, u64 c);

void *memset(void *p, int c, u64 n);
void *memset(void *p, int c, u64 n)
{
	u8 *b = p;

	while (n--)
		*b++ = c;
	return p;
}

static struct g_cpu *this_cpu(void)
{
	struct g_cpu *c;

	asm volatile("movq %%gs:8, %0" : "=r"(c));
	return c;
}

static u64 hc(u64 nr, u64 a, u64 b, u64 c, u64 d)
{
	register u64 r10 asm("r10") = d;
	u64 ret;

	if (this_cpu()->args->vmx)
		asm volatile("vmcall" : "=a"(ret) : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10) :
			     "memory");
	else
		asm volatile("vmmcall" : "=a"(ret) : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10) :
			     "memory");
	return ret;
}

u64 g_hypercall(u64 nr, u64 a, u64 b, u64 c)
{
	return hc(nr, a, b, c, 0);
}

static void wrmsr(u32 msr, u64 v)
{
	asm volatile("wrmsr" :: "c"(msr), "a"((u32)v), "d"((u32)(v >> 32)) : "memory");
}

static u64 rdmsr(u32 msr)
{
	u32 lo, hi;

	asm volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
	return lo | (u64)hi << 32;
}

static void cpuid(u32 leaf, u32 sub, u32 out[4])
{
	asm volatile("cpuid" : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3]) : "a"(leaf),
		     "c"(sub));
}

void g_trap(struct g_frame *f);
void g_trap(struct g_frame *f)
{
	struct g_cpu *c = this_cpu();
	volatile struct g_args *a = c->args;
	u64 cr2;
	int i;

	asm volatile("mov %%cr2, %0" : "=r"(cr2));
	a->irqs[f->vector]++;
	if (f->vector >= 32 && !(f->vector == 0x81 && (f->cs & 3)))
		return;
	a->vector = f->vector;
	a->error = f->error;
	a->rip = f->rip;
	a->cr2 = cr2;
	a->cpl = f->cs & 3;
	a->rflags = f->rflags;
	a->out[0] = f->rax;
	if (f->vector == RS_VECTOR_NESTED_FAULT)
		for (i = 0; i < 3; i++)
			a->fault_info[i] = hc(RS_HC_FAULT_INFO, i, 0, 0, 0);
	if (!c->trying)
		hc(GHC_PANIC, f->vector, f->error, f->rip, cr2);
	c->trying = 0;
	g_jump_back(&c->jump, 1);
}

/* Its place in the packed structure is 4 modulo 8, which the compiler would mind. */
static u64 *tss_rsp0(struct g_cpu *c)
{
	return (void *)((u8 *)&c->tss + 4);
}

static void set_gate(int n, const void *handler, u8 dpl)
{
	u64 h = (u64)handler;

	idt[n] = (struct gate){ (u16)h, 0x10, 0, 0x8e | dpl << 5, (u16)(h >> 16), (u32)(h >> 32),
			       0 };
}

static void setup(struct g_cpu *c)
{
	u64 tss = (u64)&c->tss;
	struct table_ptr gdtr = { sizeof(c->gdt) - 1, (u64)c->gdt }, idtr = { sizeof(idt) - 1,
									     (u64)idt };
	int i;

	memset(&c->tss, 0, sizeof(c->tss));
	c->tss.iomap = sizeof(c->tss);
	*tss_rsp0(c) = G_STACKS + (c->args->cpu + 1) * 0x10000 - 0x8000;
	c->gdt[0] = c->gdt[1] = 0;
	c->gdt[2] = 0x00af9b000000ffff;		/* 0x10: ring 0 code */
	c->gdt[3] = 0x00cf93000000ffff;		/* 0x18: ring 0 data */
	c->gdt[4] = 0x00cffb000000ffff;		/* 0x20: ring 3 code, 32 bits */
	c->gdt[5] = 0x00cff3000000ffff;		/* 0x28: ring 3 data */
	c->gdt[6] = 0x00affb000000ffff;		/* 0x30: ring 3 code */
	c->gdt[7] = (sizeof(c->tss) - 1) | (tss & 0xffffff) << 16 | 0x89ul << 40 |
		    (tss >> 24 & 0xff) << 56;
	c->gdt[8] = tss >> 32;
	for (i = 0; i < 256; i++)
		set_gate(i, g_stubs[i], i == 0x81 ? 3 : 0);
	asm volatile("lgdt %0; lidt %1; ltr %w2" :: "m"(gdtr), "m"(idtr), "r"(0x38) : "memory");
	asm volatile("movl %0, %%ds; movl %0, %%es; movl %0, %%ss" :: "r"(0x18) : "memory");
}

/* xorshift64*: good enough to be unpredictable, the same on every machine */
static u64 rnd(u64 *s)
{
	*s ^= *s >> 12;
	*s ^= *s << 25;
	*s ^= *s >> 27;
	return *s * 0x2545f4914f6cdd1d;
}

static volatile u64 *at(u64 gva)
{
	return (volatile u64 *)gva;
}

/* --- what the tests ask for --------------------------------------------- */

static void do_exit_delta(volatile struct g_args *a)
{
	u64 n = a->a[0], first = hc(RS_HC_EXIT_COUNT, 0, 0, 0, 0);

	while (n--)
		hc(RS_HC_NULL, 0, 0, 0, 0);
	a->ret = hc(RS_HC_EXIT_COUNT, 0, 0, 0, 0) - first;
}

static void do_syncs(volatile struct g_args *a)
{
	volatile u64 turns;
	u64 i;

	for (i = 0; i < a->a[0]; i++) {
		a->ret += hc(GHC_SYNC, i, 0, 0, 0);
		for (turns = a->a[1]; turns; turns--)
			;
	}
}

static void do_cpuid(volatile struct g_args *a)
{
	u32 out[4];
	int i;

	cpuid(a->a[0], a->a[1], out);
	for (i = 0; i < 4; i++)
		a->out[i] = out[i];
}

static void do_user(volatile struct g_args *a)
{
	struct g_cpu *c = this_cpu();

	c->trying = 1;
	g_user_enter(a->a[0], a->a[1], &c->jump, G_USER_STACKS + (a->cpu + 1) * 0x10000,
		     tss_rsp0(c));
}

static u64 user_code(u64 which)
{
	switch (which) {
	case GU_CLI: return (u64)gu_cli;
	case GU_READ: return (u64)gu_read;
	case GU_VMCALL: return (u64)gu_vmcall;
	case GU_VMMCALL: return (u64)gu_vmmcall;
	case GU_SYSCALL: return (u64)gu_syscall;
	case GU_IN: return (u64)gu_in;
	case GU_HLT: return (u64)gu_hlt;
	case GU_UD2: return (u64)gu_ud2;
	case GU_LOOP: return (u64)gu_loop;
	default: return (u64)gu_leave;
	}
}

/* IF off, the host arranges for an interrupt, IF on: it comes in the shadow's end, not before */
static void do_sti_window(volatile struct g_args *a)
{
	u64 early, v = a->a[0];

	asm volatile("cli" ::: "memory");
	early = a->irqs[v];
	hc(GHC_SYNC, 0, 0, 0, 0);
	a->out[0] = a->irqs[v] - early;		/* must be 0: still off */
	asm volatile("sti; nop" ::: "memory");
	a->out[1] = a->irqs[v] - early;		/* must be 1 now */
}

/*
 * a0: page, a1: address of the least value that is not stale, a2: progress. The host raises *a1
 * after the new page is in place, so that a value read from the page later than *a1 may not be
 * lower. ret counts violations; ends when *a1 is ~0.
 */
static void do_reader(volatile struct g_args *a)
{
	volatile u64 *page = at(a->a[0]), *least = at(a->a[1]), *progress = at(a->a[2]);
	u64 stale = 0;

	for (;;) {
		u64 min = *least, got;

		if (min == ~0ul)
			break;
		got = *page;
		if (got < min) {
			stale++;
			a->out[0] = got;
			a->out[1] = min;
		}
		a->ret = stale;
		++*progress;
	}
}

/* a0: page, a1: stop when not 0, a2: progress. Writes rising values to the page's first word. */
/*
 * One instruction reads and writes the page: were they two, a change between them would carry the
 * old page's count into the new page.
 */
static void do_writer(volatile struct g_args *a)
{
	volatile u64 *page = at(a->a[0]), *stop = at(a->a[1]), *progress = at(a->a[2]);

	while (!*stop) {
		asm volatile("incq %0" : "+m" (*page));
		++*progress;
	}
}

static void do_wait_irq(volatile struct g_args *a)
{
	u64 v = a->a[0], want = a->irqs[v] + a->a[1];

	asm volatile("sti" ::: "memory");
	while (a->irqs[v] < want)
		if (a->a[2])
			++*at(a->a[2]);
}

/*
 * Remap pages of [a0, a0 + 16 pages) at random among each other, with INVLPG, and check that each
 * address shows the page mapped there. The pages' first words hold their own GPA.
 */
static void do_churn(volatile struct g_args *a)
{
	volatile u64 *pt = at(G_PT);
	u64 seed = 1, base = a->a[0] >> 12, rounds = a->a[1], bad = 0, i;

	for (i = 0; i < 16; i++)
		*at((base + i) << 12) = (base + i) << 12;
	while (rounds--) {
		u64 r = rnd(&seed), which = r & 15, target = base + (r >> 8 & 15);

		if (r & 1ul << 20) {
			pt[base + which] = 0;
			asm volatile("invlpg (%0)" :: "r"((base + which) << 12) : "memory");
		}
		pt[base + which] = target << 12 | 7;
		asm volatile("invlpg (%0)" :: "r"((base + which) << 12) : "memory");
		if (*at((base + which) << 12) != target << 12)
			bad++;
	}
	for (i = 0; i < 16; i++) {
		pt[base + i] = (base + i) << 12 | 7;
		asm volatile("invlpg (%0)" :: "r"((base + i) << 12) : "memory");
	}
	a->ret = bad;
}

static void do_fuzz_hc(volatile struct g_args *a)
{
	u64 seed = a->a[0] | 1, n = a->a[1];

	while (n--) {
		u64 nr = rnd(&seed);

		/* half of them small numbers, and never one that means the end of the test */
		if (nr & 1ul << 40)
			nr &= 0xff;
		if (nr >= GHC_DONE && nr <= GHC_SYNC)
			continue;
		hc(nr, rnd(&seed), rnd(&seed), rnd(&seed), rnd(&seed));
	}
}

/* One random privileged access; most end with an exception, which is what g_try() is for. */
static void fuzz_one(u64 r)
{
	u32 out[4], msr = r >> 8, port = r >> 8 & 0xffff;
	u64 v = r * 0x9e3779b97f4a7c15;

	/* mostly numbers that exist */
	if (r & 0x80)
		msr = (r & 0x40 ? 0xc0000080 : 0xc0010000) + (msr & 0x1ff);
	else if (r & 0x40)
		msr &= 0xfff;
	switch (r & 7) {
	case 0:
		rdmsr(msr);
		break;
	case 1:
		/* the descriptor and stack of this very code stay as they are */
		if (msr == 0xc0000101 || msr == 0xc0000100)
			break;
		wrmsr(msr, v);
		break;
	case 2:
		asm volatile("inb %w1, %b0" : "=a"(v) : "d"(port));
		break;
	case 3:
		asm volatile("outb %b0, %w1" :: "a"(v), "d"(port));
		break;
	case 4:
		cpuid(msr & 0x8000001f, port & 0xff, out);
		break;
	case 5:
		asm volatile("mov %0, %%cr4" :: "r"(v & 0x7fffff) : "memory");
		break;
	case 6:
		asm volatile("mov %0, %%cr0" :: "r"(v) : "memory");
		break;
	case 7:
		asm volatile("mov %0, %%dr7; mov %%dr6, %0" : "+r"(v) :: "memory");
		v = 0x400;
		asm volatile("mov %0, %%dr7" :: "r"(v));
		break;
	}
}

static void do_fuzz_regs(volatile struct g_args *a)
{
	struct g_cpu *c = this_cpu();
	u64 seed = a->a[0] | 1, n = a->a[1], cr4, cr0;

	asm volatile("mov %%cr4, %0; mov %%cr0, %1" : "=r"(cr4), "=r"(cr0));
	while (n--) {
		c->trying = 1;
		g_try(fuzz_one, rnd(&seed), &c->jump);
		/* what the accesses were allowed to change must not end the loop */
		asm volatile("mov %0, %%cr4; mov %1, %%cr0" :: "r"(cr4), "r"(cr0) : "memory");
		a->ret++;
	}
}

static void do_steal(volatile struct g_args *a)
{
	struct table_ptr wild = { 0xffff, 0xffff800000000000 }, none = { 0, 0 };

	switch (a->a[0]) {
	case 0:
		asm volatile("lidt %0; int3" :: "m"(wild));
		break;
	case 1:
		asm volatile("lgdt %0; movl %1, %%ds" :: "m"(wild), "r"(0x18));
		break;
	case 2:
		asm volatile("lidt %0; ud2" :: "m"(none));
		break;
	case 3:
		asm volatile("movq $0, %%rsp; pushq $0" ::: "memory");
		break;
	case 4:
		asm volatile("movq %0, %%cr3" :: "r"(a->a[1]) : "memory");
		break;
	}
}

static void do_fn(u64 args)
{
	volatile struct g_args *a = (void *)args;
	u64 v;

	switch (a->fn) {
	case G_NULL:
		break;
	case G_HYPERCALL:
		a->ret = hc(a->a[0], a->a[1], a->a[2], a->a[3], a->a[4]);
		break;
	case G_EXIT_DELTA:
		do_exit_delta(a);
		break;
	case G_GPRS:
		a->ret = g_gprs(a->a[0], a->vmx);
		break;
	case G_SYNCS:
		do_syncs(a);
		break;
	case G_HLT:
		if (a->a[1]) {
			asm volatile("cli" ::: "memory");
			hc(GHC_SYNC, 0, 0, 0, 0);
		}
		if (a->a[0])
			asm volatile("sti; hlt" ::: "memory");
		else
			asm volatile("cli; hlt; sti" ::: "memory");
		break;
	case G_TRIPLE_FAULT:
		a->a[0] = 2;
		do_steal(a);
		break;
	case G_LOAD:
		a->ret = *at(a->a[0]);
		break;
	case G_STORE:
		*at(a->a[0]) = a->a[1];
		break;
	case G_CALL:
		((void (*)(void))a->a[0])();
		break;
	case G_RDMSR:
		a->ret = rdmsr(a->a[0]);
		break;
	case G_WRMSR:
		wrmsr(a->a[0], a->a[1]);
		a->ret = rdmsr(a->a[0]);
		break;
	case G_IN:
		asm volatile("inb %w1, %b0" : "=a"(v) : "d"(a->a[0]), "a"(0ul));
		a->ret = v;
		break;
	case G_OUT:
		asm volatile("outb %b0, %w1" :: "a"(a->a[1]), "d"(a->a[0]));
		break;
	case G_INT:
		((void (*)(void))g_int_table[a->a[0] & 255])();
		break;
	case G_CPUID:
		do_cpuid(a);
		break;
	case G_USER:
		do_user(a);
		break;
	case G_USER_CODE:
		a->ret = user_code(a->a[0]);
		break;
	case G_SPIN:
		for (;;)
			++*at(a->a[0]);
	case G_WAIT_IRQ:
		do_wait_irq(a);
		break;
	case G_IRQ_COUNT:
		a->ret = a->irqs[a->a[0] & 255];
		break;
	case G_STI_WINDOW:
		do_sti_window(a);
		break;
	case G_READER:
		do_reader(a);
		break;
	case G_WRITER:
		do_writer(a);
		break;
	case G_ATOMIC:
		for (v = a->a[1]; v; v--)
			__atomic_add_fetch(at(a->a[0]), 1, __ATOMIC_SEQ_CST);
		break;
	case G_XMM:
		a->ret = g_xmm(a->a[0], a->a[1]);
		break;
	case G_YMM:
		a->ret = g_ymm(a->a[0], a->a[1]);
		break;
	case G_CHURN:
		do_churn(a);
		break;
	case G_FUZZ_HC:
		do_fuzz_hc(a);
		break;
	case G_FUZZ_REGS:
		do_fuzz_regs(a);
		break;
	case G_STEAL:
		do_steal(a);
		break;
	case G_NIC:
		a->ret = g_nic(a);
		break;
	default:
		a->ret = ~0ul;
	}
}

void g_main(volatile struct g_args *a);
void g_main(volatile struct g_args *a)
{
	struct g_cpu *c = &cpus[a->cpu % G_CPUS];
	u64 v;

	/* tests change page tables between two starts */
	asm volatile("mov %%cr3, %0; mov %0, %%cr3" : "=r"(v) :: "memory");
	c->self = c;
	c->args = a;
	c->syscalls = (u64 *)&a->syscalls;
	c->trying = 0;
	a->ret = 0;
	a->vector = G_NO_VECTOR;
	/* GS base by MSR, as a guest kernel would */
	wrmsr(0xc0000101, (u64)c);
	setup(c);
	wrmsr(0xc0000081, 0x10ul << 32 | 0x23ul << 48);		/* STAR */
	wrmsr(0xc0000082, (u64)g_syscall_entry);		/* LSTAR */
	wrmsr(0xc0000084, 0x200);				/* SFMASK: IF */
	if (a->fn == G_USER) {
		do_user(a);
	} else {
		c->trying = 1;
		g_try(do_fn, (u64)a, &c->jump);
	}
	c->trying = 0;
	for (;;)
		hc(GHC_DONE, a->ret, 0, 0, 0);
}
