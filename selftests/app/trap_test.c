// SPDX-License-Identifier: MIT
/*
 * trap_test.c - exceptions that a program takes itself
 */
#include <pthread.h>
#include <sys/auxv.h>
#include <sys/time.h>
#include <ucontext.h>
#include "app.h"

#define STACK	(64 << 10)

/* --- without a ring ---------------------------------------------------------------------------------- */

static int no_handler(struct rs_trap_frame *f)
{
	return RS_TRAP_SIGNAL;
}

TEST(outside_every_call_is_enosys)
{
	static const long nr[] = { RS_SYS_UPCALL, RS_SYS_UPCALL_STACK, RS_SYS_TRAP_SIGNAL, RS_SYS_BASE + 200 };

	if (rs_app_features())
		SKIP("this is a ring");
	for (size_t i = 0; i < sizeof(nr) / sizeof(nr[0]); i++) {
		EXPECT_ERRNO(syscall(nr[i], 0, 0, 0), ENOSYS);
		EXPECT_EQ(rs_app_call(nr[i], 0, 0, 0, 0), -ENOSYS);
	}
	errno = 77;
	EXPECT_EQ(rs_trap_handle(VEC_PF, no_handler, 0), -ENOSYS);
	EXPECT_EQ(rs_trap_stack(NULL, 0), -ENOSYS);
	EXPECT_EQ(rs_trap_stack_alloc(STACK), -ENOSYS);
	EXPECT_EQ(errno, 77);
}

TEST(inside_the_auxiliary_vector_says_so)
{
	unsigned long v = getauxval(AT_RINGSIDE);

	if (!rs_app_features())
		SKIP("no ring");
	EXPECT_EQ(v >> 32, RS_APP_ABI);
	EXPECT(v & RS_APP_UPCALL);
	EXPECT_ERRNO(syscall(RS_SYS_BASE + 200), ENOSYS);
}

/* --- one fault ------------------------------------------------------------------------------------------ */

static volatile int count;
static struct rs_trap_frame seen;

static int open_page(struct rs_trap_frame *f)
{
	seen = *f;
	count++;
	mprotect((void *)(f->addr & -PAGE), PAGE, PROT_READ | PROT_WRITE);
	return RS_TRAP_RESUME;
}

/* A page of the program that may be read only, or not at all. */
static volatile char *closed_page(int prot)
{
	char *p = private_pages(1);

	*p = 5;
	SYS(mprotect(p, PAGE, prot));
	return p;
}

static void start(unsigned int vector, rs_trap_fn fn)
{
	ASSERT_EQ(rs_trap_stack_alloc(STACK), 0);
	ASSERT_EQ(rs_trap_handle(vector, fn, 0), 0);
}

TEST(page_fault_is_fixed_by_the_handler)
{
	volatile char *p;

	NEEDS(RS_APP_UPCALL);
	start(VEC_PF, open_page);
	p = closed_page(PROT_READ);
	p[8] = 7;
	EXPECT_EQ(count, 1);
	EXPECT_EQ(p[0] + p[8], 12);
	EXPECT_EQ(seen.addr, p + 8);
	EXPECT_EQ(seen.cause, RS_CAUSE_WRITE);
	EXPECT_EQ(seen.vector, VEC_PF);
	EXPECT_EQ(seen.error, 7);
	EXPECT_EQ(seen.cs, 0x33);
	EXPECT_EQ(seen.ss, 0x2b);
	p = closed_page(PROT_NONE);
	EXPECT_EQ(p[0], 5);
	/* below memory that may be written it looks like the guard of a stack */
	EXPECT(seen.cause == RS_CAUSE_READ || seen.cause == RS_CAUSE_GUARD);
	EXPECT_EQ(count, 2);
}

/* What the kernel resolves by itself no handler sees; what a call meets is EFAULT. */
TEST(only_what_is_the_programs_business)
{
	char *p = private_pages(16);
	volatile char *q;
	pid_t pid;

	NEEDS(RS_APP_UPCALL);
	start(VEC_PF, open_page);
	for (int i = 0; i < 16; i++)
		p[i * PAGE] = 1;
	pid = CHILD({
		for (int i = 0; i < 16; i++)
			p[i * PAGE] = 2;
		EXPECT_EQ(count, 0);
	});
	EXITS(pid, 0);
	p[0] = 3;
	q = closed_page(PROT_NONE);
	EXPECT_ERRNO(write(1, (void *)q, 1), EFAULT);
	/* The last thing that was looked for is not the program's to write; what is touched next is, for the first time. */
	q = closed_page(PROT_READ);
	p = private_pages(1);
	EXPECT_ERRNO(pipe((int *)q), EFAULT);
	*(volatile char *)p = 1;
	EXPECT_EQ(count, 0);
}

/* --- every register ------------------------------------------------------------------------------------- */

/* Scratch for the assembly: what was there before and after the trap. */
struct regs {
	uint64_t r[16];		/* rax rbx rcx rdx rsi rdi rbp rsp r8 .. r15 */
	uint64_t rflags;
	uint32_t mxcsr;
	uint16_t fcw, pad;
	uint64_t red[16];	/* 128 bytes below rsp */
	uint8_t vec[16][32];
	uint8_t x87[80];
};
/* by name in the assembly */
struct regs want, got;
bool have_avx;

/*
 * Loads everything from `want`, writes to the page that rax is in, which traps, and stores
 * everything into `got`. rsp is the function's own.
 */
asm(".text\n.balign 16\nall_registers:\n"
    "push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
    "lea want(%rip), %rax\n"
    "mov %rsp, 7*8(%rax)\n"
    "cmpb $0, have_avx(%rip)\n jz 1f\n"
    ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n vmovdqu 272+\\n*32(%rax), %ymm\\n\n.endr\n jmp 2f\n"
    "1:\n"
    ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n movdqu 272+\\n*32(%rax), %xmm\\n\n.endr\n"
    "2: fninit\n fldpi\n fldl2e\n fldln2\n fldcw 140(%rax)\n ldmxcsr 136(%rax)\n"
    ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n mov 144+\\n*8(%rax), %rbx\n mov %rbx, -128+\\n*8(%rsp)\n.endr\n"
    "mov 8(%rax), %rbx; mov 16(%rax), %rcx; mov 24(%rax), %rdx; mov 32(%rax), %rsi; mov 40(%rax), %rdi; mov 48(%rax), %rbp\n"
    "mov 64(%rax), %r8; mov 72(%rax), %r9; mov 80(%rax), %r10; mov 88(%rax), %r11; mov 96(%rax), %r12; mov 104(%rax), %r13\n"
    "mov 112(%rax), %r14; mov 120(%rax), %r15\n"
    "mov 0(%rax), %rax\n"
    "lea -256(%rsp), %rsp; push saved_flags(%rip); popf; lea 256(%rsp), %rsp\n"
    ".globl trap_here\ntrap_here: movb $1, (%rax)\n"
    "mov %rax, got(%rip)\n lea got(%rip), %rax\n"
    "mov %rbx, 8(%rax); mov %rcx, 16(%rax); mov %rdx, 24(%rax); mov %rsi, 32(%rax); mov %rdi, 40(%rax); mov %rbp, 48(%rax)\n"
    "mov %rsp, 56(%rax); mov %r8, 64(%rax); mov %r9, 72(%rax); mov %r10, 80(%rax); mov %r11, 88(%rax); mov %r12, 96(%rax)\n"
    "mov %r13, 104(%rax); mov %r14, 112(%rax); mov %r15, 120(%rax)\n"
    ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n mov -128+\\n*8(%rsp), %rbx\n mov %rbx, 144+\\n*8(%rax)\n.endr\n"
    "lea -256(%rsp), %rsp; pushf; popq 128(%rax); lea 256(%rsp), %rsp; cld\n"
    "cmpb $0, have_avx(%rip)\n jz 1f\n"
    ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n vmovdqu %ymm\\n, 272+\\n*32(%rax)\n.endr\n vzeroupper\n jmp 2f\n"
    "1:\n"
    ".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n movdqu %xmm\\n, 272+\\n*32(%rax)\n.endr\n"
    "2: stmxcsr 136(%rax)\n fnstcw 140(%rax)\n"
    "fstpt 784(%rax)\n fstpt 794(%rax)\n fstpt 804(%rax)\n fninit\n ldmxcsr default_mx(%rip)\n"
    "pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n ret\n"
    "default_mx: .long 0x1f80\n");
void all_registers(void);
extern char trap_here[];
uint64_t saved_flags;
_Static_assert(offsetof(struct regs, rflags) == 128 && offsetof(struct regs, mxcsr) == 136 &&
	       offsetof(struct regs, fcw) == 140 && offsetof(struct regs, red) == 144 &&
	       offsetof(struct regs, vec) == 272 + 0, "the assembly counts on it");

/* Leaves nothing of vector and x87 registers as it was, and traps itself on the way. */
static void destroy_vectors(void)
{
	static const uint32_t mx = 0x1fc0;
	static const uint16_t cw = 0x27f;

	asm volatile("fninit; fldz; fld1; fldcw %0; ldmxcsr %1" : : "m"(cw), "m"(mx));
	if (have_avx)
		asm volatile(".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n vpcmpeqd %%xmm\\n, %%xmm\\n, %%xmm\\n\n.endr" : : :
			     "memory");
	else
		asm volatile(".irp n,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n pcmpeqd %%xmm\\n, %%xmm\\n\n.endr" : : : "memory");
}

static volatile char *inner;

static int destroy(struct rs_trap_frame *f)
{
	uint64_t mx = 0;

	count++;
	asm volatile("stmxcsr %0" : "=m"(mx));
	EXPECT_EQ(mx, 0x1f80);
	destroy_vectors();
	if (count == 1)
		*inner = 1;	/* nests */
	destroy_vectors();
	mprotect((void *)(f->addr & -PAGE), PAGE, PROT_READ | PROT_WRITE);
	return RS_TRAP_RESUME;
}

#define CF	0x1
#define ZF	0x40
#define DF	0x400
#define OF	0x800

static void registers_over_traps(void)
{
	static const uint64_t flags[] = { 0x202, 0x202 | CF | ZF | OF, 0x202 | DF | 0x80 | 0x4 | 0x10 };

	for (int round = 0; round < 3; round++) {
		uint8_t *raw = (uint8_t *)&want;

		for (size_t i = 0; i < sizeof(want); i++)
			raw[i] = (uint8_t)(i * 37 + 11 + round);
		want.mxcsr = 0x1f80 | 0x2000 * round;
		want.fcw = 0x37f | 0x400 * round;
		if (!have_avx)
			for (int i = 0; i < 16; i++)
				memset(want.vec[i] + 16, 0, 16);
		memset(&got, 0, sizeof(got));
		count = 0;
		inner = closed_page(PROT_READ);
		want.r[0] = (uint64_t)closed_page(PROT_READ);
		saved_flags = want.rflags = flags[round];
		all_registers();
		EXPECT_EQ(count, 2);
		for (int i = 0; i < 16; i++)
			if (want.r[i] != got.r[i])
				FAIL("register %d: %#lx, not %#lx", i, got.r[i], want.r[i]);
		EXPECT_EQ(got.rflags, want.rflags);
		EXPECT_EQ(got.mxcsr & 0xffc0, want.mxcsr & 0xffc0);
		EXPECT_EQ(got.fcw, want.fcw);
		EXPECT(!memcmp(got.red, want.red, sizeof(got.red)));
		EXPECT(!memcmp(got.vec, want.vec, sizeof(got.vec)));
		/* ln 2, log2 e and pi, in the order they come off the stack */
		EXPECT(*(long double *)(got.x87 + 0) > 0.693L && *(long double *)(got.x87 + 0) < 0.694L);
		EXPECT(!memcmp(got.x87 + 10, "\xbc\xf0\x17\x5c\x29\x3b\xaa\xb8\xff\x3f", 10));
		EXPECT(!memcmp(got.x87 + 20, "\x35\xc2\x68\x21\xa2\xda\x0f\xc9\x00\x40", 10));
	}
}

TEST(all_registers_over_a_trap)
{
	NEEDS(RS_APP_UPCALL);
	have_avx = __builtin_cpu_supports("avx");
	test_note("with%s AVX", have_avx ? "" : "out");
	start(VEC_PF, destroy);
	registers_over_traps();
}

/* The library's upcall for CPUs without XSAVE does on others what it does there. */
void rs_app_upcall_fxsave(void);

TEST(all_registers_over_a_trap_with_fxsave)
{
	NEEDS(RS_APP_UPCALL);
	start(VEC_PF, destroy);
	ASSERT_EQ(rs_app_call(RS_SYS_UPCALL, (long)rs_app_upcall_fxsave, 1 << VEC_PF, 4096, 0), 0);
	registers_over_traps();
}

/* The handler finds the registers in the frame, and what it writes there is what the code has. */
extern char after_here[];
asm(".text\n.balign 16\nchanged:\n"
    "push %rbx\n mov $3, %ebx\n mov $4, %ecx\n xor %eax, %eax\n mov %rsp, %rdx\n"
    "movb $1, (%rax)\n"
    "ud2\n"
    "after_here: pushf\n pop %rax\n mov %rdx, %rsp\n and $0x401, %eax\n cld\n add %rcx, %rax\n pop %rbx\n ret\n");
uint64_t changed(void);

static uint64_t other_stack[64];

static int change(struct rs_trap_frame *f)
{
	seen = *f;
	f->rip = (uint64_t)after_here;
	f->rcx = 0x1000;
	f->rflags |= CF | DF;
	f->rsp = (uint64_t)(other_stack + 64);
	return RS_TRAP_RESUME;
}

TEST(the_frame_may_be_changed)
{
	NEEDS(RS_APP_UPCALL);
	start(VEC_PF, change);
	EXPECT_EQ(changed(), 0x1401);
	EXPECT_EQ(seen.rbx, 3);
	EXPECT_EQ(seen.rcx, 4);
	EXPECT_EQ(seen.rax, 0);
	EXPECT_EQ(seen.rsp, seen.rdx);
	EXPECT_EQ(seen.cause, RS_CAUSE_UNMAPPED);
	EXPECT_EQ(seen.addr, 0);
	EXPECT(other_stack[63] & CF);
}

/* --- every vector --------------------------------------------------------------------------------------- */

static uint64_t skip_to;

static int skip(struct rs_trap_frame *f)
{
	seen = *f;
	count++;
	f->rip = skip_to;
	f->rflags &= ~(1ul << 18);
	return RS_TRAP_RESUME;
}

#define RAISES(nr, ...) do {								\
	count = 0;									\
	EXPECT_EQ(rs_trap_handle(nr, skip, 0), 0);						\
	asm volatile("lea 1f(%%rip), %%rax; mov %%rax, %0\n" __VA_ARGS__ "\n1:\n"		\
		     : "=m"(skip_to) : : "rax", "rcx", "rdx", "memory", "cc");		\
	EXPECT_EQ(count, 1);								\
	EXPECT_EQ(seen.vector, nr);							\
	EXPECT_EQ(seen.cause, RS_CAUSE_EXCEPTION);					\
	EXPECT_EQ(rs_trap_handle(nr, NULL, 0), 0);						\
} while (0)

TEST(every_exception)
{
	static const uint32_t mx = 0x1f80 & ~0x200u;
	static const uint16_t cw = 0x37f & ~4;

	NEEDS(RS_APP_UPCALL);
	ASSERT_EQ(rs_trap_stack_alloc(STACK), 0);
	RAISES(VEC_DE, "xor %%eax, %%eax; cltd; mov %%eax, %%ecx; div %%ecx");
	RAISES(VEC_BP, "int3; nop");
	EXPECT_EQ(*(uint8_t *)(seen.rip - 1), 0xcc);
	EXPECT_EQ(seen.addr, seen.rip);
	RAISES(VEC_UD, "ud2");
	EXPECT_EQ(*(uint16_t *)seen.rip, 0x0b0f);
	RAISES(VEC_GP, "hlt");
	RAISES(VEC_GP, "mov $0x123456789abcdef0, %%rcx; mov (%%rcx), %%rcx");
	EXPECT_EQ(seen.error, 0);
	RAISES(VEC_GP, "int $0x40");
	EXPECT(seen.error == 0x202 || seen.error == 0x402);	/* the latter is QEMU's */
	/* A stack pointer that is none at all is restored, too. #SS; QEMU says #GP. */
	count = 0;
	EXPECT_EQ(rs_trap_handle(VEC_SS, skip, 0), 0);
	EXPECT_EQ(rs_trap_handle(VEC_GP, skip, 0), 0);
	asm volatile("lea 1f(%%rip), %%rax; mov %%rax, %0; mov %%rsp, %%rdx; mov $0x123456789abcdef0, %%rcx; mov %%rcx, %%rsp\n"
		     "push %%rcx\n1: mov %%rsp, %%rcx; mov %%rdx, %%rsp; mov %%rcx, %1"
		     : "=m"(skip_to), "=m"(other_stack[0]) : : "rax", "rcx", "rdx", "memory", "cc");
	EXPECT_EQ(count, 1);
	EXPECT(seen.vector == VEC_SS || seen.vector == VEC_GP);
	EXPECT_EQ(seen.rsp, 0x123456789abcdef0);
	EXPECT_EQ(other_stack[0], 0x123456789abcdef0);
	EXPECT_EQ(rs_trap_handle(VEC_SS, NULL, 0), 0);
	EXPECT_EQ(rs_trap_handle(VEC_GP, NULL, 0), 0);
	RAISES(4, "int $4; nop");
	/* x87 and SSE: what is raised is masked again by the handler's return to here */
	count = 0;
	EXPECT_EQ(rs_trap_handle(VEC_XM, skip, 0), 0);
	asm volatile("lea 1f(%%rip), %%rax; mov %%rax, %0; ldmxcsr %1; xorps %%xmm0, %%xmm0; mov $0x3f800000, %%eax; movd %%eax, %%xmm1\n"
		     "divss %%xmm0, %%xmm1\n1:"
		     : "=m"(skip_to) : "m"(mx) : "rax", "xmm0", "xmm1", "memory");
	/* QEMU, where the processor says AMD, has no unmasked SSE exceptions. */
	if (count || __builtin_cpu_is("intel")) {
		EXPECT_EQ(count, 1);
		EXPECT_EQ(seen.vector, VEC_XM);
	}
	asm volatile("ldmxcsr %0" : : "m"((uint32_t){ 0x1f80 }));
	count = 0;
	EXPECT_EQ(rs_trap_handle(VEC_MF, skip, 0), 0);
	asm volatile("lea 1f(%%rip), %%rax; mov %%rax, %0; fninit; fldcw %1; fldz; fld1; fdivp; fwait\n1:"
		     : "=m"(skip_to) : "m"(cw) : "rax", "memory");
	asm volatile("fninit");
	EXPECT_EQ(count, 1);
	EXPECT_EQ(seen.vector, VEC_MF);
}

static char words[16] __attribute__((aligned(16)));

static int aligns(struct rs_trap_frame *f)
{
	seen = *f;
	count++;
	f->rdx = (uint64_t)words;
	return RS_TRAP_RESUME;
}

/*
 * Alignment checks, which the program has turned on for itself; they are still on when the handler
 * has come back.
 */
#define UNALIGNED(flags) asm volatile(							\
	"lea -128(%%rsp), %%rsp; pushf; orl $0x40000, (%%rsp); popf; mov (%%rdx), %%ecx\n"		\
	"pushf; mov (%%rsp), %%rax; andl $~0x40000, (%%rsp); popf; lea 128(%%rsp), %%rsp"		\
	: "=a"(flags) : "d"(words + 1) : "rcx", "memory", "cc")

static void on_sigbus(int sig)
{
	_exit(44);
}

TEST(unaligned_accesses)
{
	uint64_t flags = 0;
	bool has;
	pid_t pid;

	/* QEMU does not check */
	pid = CHILD({
		signal(SIGBUS, on_sigbus);
		UNALIGNED(flags);
		_exit(45);
	});
	flags = WEXITSTATUS(status_of(pid));
	has = flags == 44;
	EXPECT(has || (flags == 45 && !__builtin_cpu_is("intel")));
	NEEDS(RS_APP_UPCALL);
	start(VEC_AC, aligns);
	for (int i = 1; i <= 3; i++) {
		UNALIGNED(flags);
		EXPECT(flags & 0x40000);
		EXPECT_EQ(count, has ? i : 0);
	}
	if (has) {
		EXPECT_EQ(seen.vector, VEC_AC);
		EXPECT_EQ(seen.cause, RS_CAUSE_EXCEPTION);
		EXPECT_EQ(seen.error, 0);
		EXPECT(seen.rflags & 0x40000);
	}
}

/* Where the interrupted stack cannot be written: the word below its red zone lies in memory that only reads are allowed to. */
TEST(an_interrupted_stack_that_is_not_writable)
{
	char *p = private_pages(2);
	uint64_t sp = (uint64_t)p + PAGE + 64, was = 0;

	NEEDS(RS_APP_UPCALL);
	start(VEC_PF, skip);
	SYS(mprotect(p, PAGE, PROT_READ));
	for (int i = 0; i < 3; i++) {
		asm volatile("lea 1f(%%rip), %%rax; mov %%rax, %0; mov %%rsp, %%rdx; mov %2, %%rsp; mov $0x7000, %%ecx\n"
			     "movb $1, (%%rcx)\n1: mov %%rsp, %1; mov %%rdx, %%rsp"
			     : "=m"(skip_to), "=&r"(was) : "r"(sp) : "rax", "rcx", "rdx", "memory", "cc");
		EXPECT_EQ(was, sp);
		EXPECT_EQ(count, i + 1);
		sp = i ? 0x5000 : sp;
	}
}

/* A program that traces itself: the trap flag in the frame, one #DB per instruction. */
static uint64_t steps[64];

static int step(struct rs_trap_frame *f)
{
	if (f->vector == VEC_BP) {
		f->rflags |= 0x100;
		return RS_TRAP_RESUME;
	}
	if (count < 64)
		steps[count] = f->rip;
	count++;
	if (*(uint8_t *)f->rip == 0xf4) {	/* hlt: the end */
		f->rip++;
		f->rflags &= ~0x100ul;
	}
	return RS_TRAP_RESUME;
}

TEST(single_steps)
{
	uint64_t a = 0;

	NEEDS(RS_APP_UPCALL);
	start(VEC_BP, step);
	ASSERT_EQ(rs_trap_handle(VEC_DB, step, 0), 0);
	asm volatile("int3\n nop\n mov $5, %%eax\n 1: dec %%eax\n jnz 1b\n hlt\n" : "=a"(a));
	/* nop, mov, five times dec and jnz */
	EXPECT_EQ(count, 12);
	EXPECT_EQ(a, 0);
	EXPECT_EQ(steps[1] - steps[0], 5);
}

/* --- nesting -------------------------------------------------------------------------------------------- */

#define NESTED_PAGES	64
static char *nested;
static unsigned int seed = 1, depth, deepest;

static unsigned int next_random(void)
{
	return (seed = seed * 1103515245 + 12345) >> 16;
}

/* A fault at any depth may touch further pages that are closed: nothing of what lies around it may change. */
static int nest(struct rs_trap_frame *f)
{
	volatile uint64_t local[8];
	char *p = (char *)(f->addr & -PAGE);

	count++;
	depth++;
	if (depth > deepest)
		deepest = depth;
	for (int i = 0; i < 8; i++)
		local[i] = depth * 100 + i;
	mprotect(p, PAGE, PROT_READ | PROT_WRITE);
	while (depth < 40 && next_random() % 4) {
		char *q = nested + next_random() % NESTED_PAGES * PAGE;

		if (q == p)
			continue;
		if (next_random() % 2)
			mprotect(q, PAGE, next_random() % 2 ? PROT_READ : PROT_NONE);
		*(volatile char *)q = *(volatile char *)q + 1;
		/* whoever ran in between may have closed what the outer ones have opened: they fault again */
		if (count > 20000)
			break;
	}
	for (int i = 0; i < 8; i++)
		EXPECT_EQ(local[i], depth * 100 + i);
	depth--;
	return RS_TRAP_RESUME;
}

TEST_FOR(ten_thousand_nested_random_faults, 300)
{
	NEEDS(RS_APP_UPCALL);
	nested = private_pages(NESTED_PAGES);
	ASSERT_EQ(rs_trap_stack_alloc(64 * (rs_trap_stack_need() + 512)), 0);
	ASSERT_EQ(rs_trap_handle(VEC_PF, nest, 0), 0);
	while (count < 10000) {
		char *q = nested + next_random() % NESTED_PAGES * PAGE;
		uint64_t a = next_random(), b = a * 3;

		mprotect(q, PAGE, PROT_NONE);
		*(volatile char *)q = 1;
		asm("" : "+r"(a), "+r"(b));
		EXPECT_EQ(b, a * 3);
		EXPECT_EQ(depth, 0);
	}
	test_note("%d faults, %u deep", count, deepest);
	EXPECT_GT(deepest, 4);
}

/* --- signals -------------------------------------------------------------------------------------------- */

static volatile int signals;
static volatile uint64_t signal_rip, signal_addr, signal_err, signal_rbx;

static void on_signal(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;

	signals++;
	signal_rip = uc->uc_mcontext.gregs[REG_RIP];
	signal_rbx = uc->uc_mcontext.gregs[REG_RBX];
	signal_err = uc->uc_mcontext.gregs[REG_ERR];
	signal_addr = (uint64_t)info->si_addr;
	uc->uc_mcontext.gregs[REG_RIP] = skip_to;
}

static void take_signal(int sig, void (*fn)(int, siginfo_t *, void *), int flags)
{
	struct sigaction sa = { .sa_sigaction = fn, .sa_flags = SA_SIGINFO | flags };

	SYS(sigaction(sig, &sa, NULL));
}

#define FAULT_AT(address) do {								\
	asm volatile("lea 1f(%%rip), %%rax; mov %%rax, %0; movb $1, (%1)\n1:\n"		\
		     : "=m"(skip_to) : "r"(address) : "rax", "memory");			\
} while (0)

/* As natively: signal handler, error code, address, and it can repair the registers. */
TEST(declined_traps_are_signals)
{
	uint64_t p = 0x7000;

	take_signal(SIGSEGV, on_signal, 0);
	if (rs_app_features())
		start(VEC_PF, no_handler);
	FAULT_AT(p);
	EXPECT_EQ(signals, 1);
	EXPECT_EQ(signal_addr, 0x7000);
	EXPECT_EQ(signal_err, 6);
	EXPECT_NE(signal_rip, 0);
}

TEST(what_is_not_taken_is_a_signal)
{
	NEEDS(RS_APP_UPCALL);
	take_signal(SIGSEGV, on_signal, 0);
	/* a stack and no vector */
	ASSERT_EQ(rs_trap_stack_alloc(STACK), 0);
	FAULT_AT(0x7000ul);
	EXPECT_EQ(signals, 1);
	/* another vector */
	ASSERT_EQ(rs_trap_handle(VEC_UD, skip, 0), 0);
	FAULT_AT(0x7000ul);
	EXPECT_EQ(signals, 2);
	/* and the vector, but no stack */
	ASSERT_EQ(rs_trap_handle(VEC_PF, skip, 0), 0);
	FAULT_AT(0x7000ul);
	EXPECT_EQ(signals, 2);
	EXPECT_EQ(count, 1);
	ASSERT_EQ(rs_trap_stack(NULL, 0), 0);
	FAULT_AT(0x7000ul);
	EXPECT_EQ(signals, 3);
	EXPECT_EQ(count, 1);
}

/* A handler of a signal that comes during an upcall, on the trap stack or on its own, may trap as well. */
static char *sig_page;

static void trapping_signal(int sig, siginfo_t *info, void *context)
{
	int me = ++signals;

	mprotect(sig_page, PAGE, PROT_NONE);
	*(volatile char *)sig_page = 1;
	if (me == 1)
		raise(SIGUSR2);
	mprotect(sig_page, PAGE, PROT_NONE);
	*(volatile char *)sig_page = 1;
}

static int signalling(struct rs_trap_frame *f)
{
	volatile uint64_t local[64];
	struct rs_trap_frame copy = *f;

	count++;
	for (int i = 0; i < 64; i++)
		local[i] = count + i * 1000;
	if (count == 1)
		raise(SIGUSR1);
	/* the trap of a signal handler: a signal in it, too */
	if (count == 2)
		raise(SIGUSR2);
	for (int i = 0; i < 64; i++)
		if (local[i] % 1000 + local[i] / 1000 * 1000 != local[0] % 1000 + i * 1000)
			FAIL("a local variable of the upcall has changed");
	EXPECT(!memcmp(&copy, f, sizeof(copy)));
	mprotect((void *)(f->addr & -PAGE), PAGE, PROT_READ | PROT_WRITE);
	return RS_TRAP_RESUME;
}

static void signals_in_upcalls(int flags)
{
	volatile char *p;

	take_signal(SIGUSR1, trapping_signal, flags);
	take_signal(SIGUSR2, trapping_signal, flags);
	sig_page = private_pages(1);
	start(VEC_PF, signalling);
	p = closed_page(PROT_READ);
	*p = 9;
	EXPECT_EQ(*p, 9);
	EXPECT_EQ(signals, 3);
	EXPECT_GE(count, 5);
}

TEST(signals_during_an_upcall_on_its_stack)
{
	NEEDS(RS_APP_UPCALL);
	signals_in_upcalls(0);
}

TEST(signals_during_an_upcall_on_the_other_stack)
{
	static char alt[65536];
	stack_t ss = { .ss_sp = alt, .ss_size = sizeof(alt) };

	NEEDS(RS_APP_UPCALL);
	SYS(sigaltstack(&ss, NULL));
	signals_in_upcalls(SA_ONSTACK);
}

/* A timer's signals at any moment of the way there and back. */
static void tick(int sig, siginfo_t *info, void *context)
{
	signals++;
}

TEST_FOR(signals_race_with_traps, 120)
{
	static char alt[65536];
	stack_t ss = { .ss_sp = alt, .ss_size = sizeof(alt) };
	struct itimerval it = { { 0, 20000 }, { 0, 20000 } };
	volatile char *p;
	double end;

	NEEDS(RS_APP_UPCALL);
	SYS(sigaltstack(&ss, NULL));
	take_signal(SIGALRM, tick, SA_ONSTACK | SA_RESTART);
	start(VEC_PF, open_page);
	p = closed_page(PROT_READ);
	SYS(setitimer(ITIMER_REAL, &it, NULL));
	for (end = now() + 60; (signals < 20 || count < 2000) && now() < end; ) {
		for (int i = 0; i < 50; i++) {
			uint64_t a = count, b = ~a;

			mprotect((void *)p, PAGE, PROT_READ);
			asm volatile("movb $1, (%2)" : "+r"(a), "+r"(b) : "r"(p) : "memory");
			ASSERT_EQ(a, ~b);
			ASSERT_EQ(count, a + 1);
		}
	}
	EXPECT_GE(signals, 20);
	EXPECT_GE(count, 2000);
}

/* --- processes and threads ------------------------------------------------------------------------------ */

TEST(children_have_the_upcall_and_the_stack)
{
	volatile char *p;
	pid_t pid;

	NEEDS(RS_APP_UPCALL);
	start(VEC_PF, open_page);
	p = closed_page(PROT_READ);
	pid = CHILD({
		*p = 8;
		EXPECT_EQ(*p, 8);
		EXPECT_EQ(count, 1);
	});
	EXITS(pid, 0);
	EXPECT_EQ(*p, 5);
	*p = 9;
	EXPECT_EQ(count, 1);
}

static int forking(struct rs_trap_frame *f)
{
	volatile char *p = closed_page(PROT_READ);
	pid_t pid;

	if (!count++) {
		pid = vfork();
		if (!pid) {
			/* on a trap stack that the parent is on as well: it goes below */
			*p = 3;
			_exit(*p);
		}
		EXITS(pid, 3);
		pid = fork();
		if (!pid) {
			*p = 4;
			_exit(*p);
		}
		EXITS(pid, 4);
	}
	mprotect((void *)(f->addr & -PAGE), PAGE, PROT_READ | PROT_WRITE);
	return RS_TRAP_RESUME;
}

TEST(forks_in_an_upcall)
{
	volatile char *p;

	NEEDS(RS_APP_UPCALL);
	start(VEC_PF, forking);
	p = closed_page(PROT_READ);
	*p = 9;
	EXPECT_EQ(*p, 9);
}

/* The program that exec makes knows nothing of the upcall: it dies of a signal as any. */
__attribute__((constructor)) static void programs(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "@null")) {
		*at(0x7000) = 1;
		_exit(0);
	}
}

TEST(exec_ends_it)
{
	pid_t pid;

	NEEDS(RS_APP_UPCALL);
	start(VEC_PF, skip);
	pid = CHILD({
		execl("/proc/self/exe", "null", "@null", NULL);
	});
	DIES(pid, SIGSEGV);
}

static void *no_stack(void *arg)
{
	FAULT_AT(0x7000ul);
	return NULL;
}

TEST(a_new_thread_has_no_stack)
{
	pthread_t t;

	NEEDS(RS_APP_UPCALL);
	take_signal(SIGSEGV, on_signal, 0);
	start(VEC_PF, skip);
	ASSERT_EQ(pthread_create(&t, NULL, no_stack, NULL), 0);
	pthread_join(t, NULL);
	EXPECT_EQ(signals, 1);
	EXPECT_EQ(count, 0);
}

#define THREADS	4
static _Atomic int faults, stop;

static int thread_fault(struct rs_trap_frame *f)
{
	faults++;
	mprotect((void *)(f->addr & -PAGE), PAGE, PROT_READ | PROT_WRITE);
	return RS_TRAP_RESUME;
}

static void *faulting(void *arg)
{
	char *p = private_pages(1);

	ASSERT_EQ(rs_trap_stack_alloc(STACK), 0);
	for (int i = 0; i < 2000; i++) {
		mprotect(p, PAGE, PROT_READ);
		*(volatile int *)p = i;
		ASSERT_EQ(*(volatile int *)p, i);
	}
	return NULL;
}

TEST_FOR(threads_trap_at_once, 120)
{
	pthread_t t[THREADS];

	NEEDS(RS_APP_UPCALL);
	ASSERT_EQ(rs_trap_handle(VEC_PF, thread_fault, 0), 0);
	for (int i = 0; i < THREADS; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, faulting, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	EXPECT_EQ(faults, THREADS * 2000);
}

/* Another thread takes the pages away that are being opened; and then the process ends in the middle of it. */
static char *contested;

static void *taking(void *arg)
{
	while (!stop) {
		mprotect(contested, 4 * PAGE, PROT_NONE);
		munmap(contested + PAGE, PAGE);
		sched_yield();
	}
	return NULL;
}

static int giving(struct rs_trap_frame *f)
{
	char *p = (char *)(f->addr & -PAGE);

	faults++;
	if (p < contested || p >= contested + 4 * PAGE)
		return RS_TRAP_SIGNAL;
	mmap(p, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	return RS_TRAP_RESUME;
}

static void *touching(void *arg)
{
	ASSERT_EQ(rs_trap_stack_alloc(STACK), 0);
	for (unsigned int i = 0; !stop; i++)
		contested[i % 4 * PAGE] = 1;
	return NULL;
}

static void contend(int enough)
{
	pthread_t t[3];

	ASSERT_EQ(rs_trap_handle(VEC_PF, giving, 0), 0);
	contested = private_pages(4);
	pthread_create(&t[0], NULL, taking, NULL);
	pthread_create(&t[1], NULL, touching, NULL);
	pthread_create(&t[2], NULL, touching, NULL);
	EXPECT(eventually(faults >= enough));
	if (enough < 100)
		_exit(0);
	stop = 1;
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
}

TEST_FOR(unmapping_races_with_traps, 120)
{
	NEEDS(RS_APP_UPCALL);
	contend(400);
}

TEST_FOR(the_end_races_with_traps, 120)
{
	NEEDS(RS_APP_UPCALL);
	for (int i = 0; i < 10; i++) {
		pid_t pid = CHILD({ contend(5 + i * 3); });

		EXITS(pid, 0);
	}
}

/* --- handlers that use no vector registers -------------------------------------------------------------- */

__attribute__((target("general-regs-only"))) static int plain(struct rs_trap_frame *f)
{
	count++;
	f->rip = skip_to;
	return RS_TRAP_RESUME;
}

TEST(plain_handlers)
{
	double x = 1.5;

	NEEDS(RS_APP_UPCALL);
	ASSERT_EQ(rs_trap_stack_alloc(STACK), 0);
	ASSERT_EQ(rs_trap_handle(VEC_PF, plain, RS_TRAP_GENERAL_REGS), 0);
	for (int i = 0; i < 10; i++) {
		asm volatile("" : "+x"(x));
		FAULT_AT(0x7000ul);
		asm volatile("" : "+x"(x));
	}
	EXPECT_EQ(count, 10);
	EXPECT(x == 1.5);
}

/* --- hostile arguments ---------------------------------------------------------------------------------- */

TEST(bad_arguments)
{
	char *p = private_pages(2);
	struct rs_trap_frame f = { .vector = VEC_PF, .cause = RS_CAUSE_WRITE, .rip = 0x1000 }, bad;

	NEEDS(RS_APP_UPCALL);
	SYS(munmap(p + PAGE, PAGE));
	EXPECT_EQ(rs_app_call(RS_SYS_UPCALL, 0x1000, 1 << 2, 0, 0), -EINVAL);
	EXPECT_EQ(rs_app_call(RS_SYS_UPCALL, 0x1000, 1 << 8, 0, 0), -EINVAL);
	EXPECT_EQ(rs_app_call(RS_SYS_UPCALL, 0x1000, 1L << 46, 0, 0), -EINVAL);
	EXPECT_EQ(rs_app_call(RS_SYS_UPCALL, 0x1000, -1L, 0, 0), -EINVAL);
	EXPECT_EQ(rs_app_call(RS_SYS_UPCALL, 0x1000, 1 << 14, RS_UPCALL_ROOM_MAX + 1, 0), -EINVAL);
	EXPECT_EQ(rs_app_call(RS_SYS_UPCALL_STACK, (long)p, RS_UPCALL_STACK_MIN - 1, 0, 0), -EINVAL);
	EXPECT_EQ(rs_app_call(RS_SYS_UPCALL_STACK, -4096L, 4097, 0, 0), -EINVAL);
	EXPECT_EQ(rs_app_call(RS_SYS_UPCALL_STACK, 0, -1L, 0, 0), 0);
	EXPECT_EQ(rs_app_call(RS_SYS_UPCALL_STACK, 1, -1L, 0, 0), -EINVAL);
	EXPECT_EQ(rs_app_call(RS_SYS_UPCALL_STACK, 2, -1L, 0, 0), -EINVAL);
	EXPECT_EQ(rs_trap_stack(NULL, 0), 0);
	EXPECT_EQ(rs_trap_handle(2, skip, 0), -EINVAL);
	EXPECT_EQ(rs_trap_handle(33, skip, 0), -EINVAL);
	EXPECT_EQ(rs_app_call(RS_SYS_UPCALL, 0x1000, 1L << 33, 0, 0), -EINVAL);
	EXPECT_EQ(rs_trap_handle(14, skip, 2), -EINVAL);
	EXPECT_EQ(rs_app_call(RS_SYS_TRAP_SIGNAL, 0, 0, 0, 0), -EFAULT);
	EXPECT_EQ(rs_app_call(RS_SYS_TRAP_SIGNAL, -1L, 0, 0, 0), -EFAULT);
	EXPECT_EQ(rs_app_call(RS_SYS_TRAP_SIGNAL, (long)(p + PAGE - 8), 0, 0, 0), -EFAULT);
#define BAD(field, value) do {								\
	bad = f;									\
	bad.field = (value);								\
	EXPECT_EQ(rs_app_call(RS_SYS_TRAP_SIGNAL, (long)&bad, 0, 0, 0), -EINVAL);		\
} while (0)
	BAD(vector, 2);
	BAD(vector, 32);
	BAD(vector, 14 + (1ul << 32));
	BAD(cause, 0);
	BAD(cause, 8);
	BAD(cause, 11);
	BAD(cause, -1ul);
	BAD(rip, 1ul << 47);
	BAD(rip, -1ul);
}

/* Whatever is asked for, this process may die of it at the worst. */
TEST_FOR(random_calls, 200)
{
	volatile unsigned int *made = shared_pages(1);
	unsigned int wanted = fuzz_calls() / 2;

	NEEDS(RS_APP_UPCALL);
	for (int round = 0; *made < wanted; round++) {
		int status;
		pid_t pid = SYS(fork());

		if (!pid) {
			char *p = private_pages(4);
			const uint64_t value[] = { 0, 1, 4095, 4096, -1ul, -4096ul, 1ul << 47, (1ul << 47) - 4096, 1ul << 63, (uint64_t)p,
						   (uint64_t)p + 2 * PAGE, (uint64_t)skip, 0x4000, 0xffff888000000000ul, 0xb787b, 0x123456789abcdef0ul,
						   RS_UPCALL_ALARM | 0x4000 };
			const int n = sizeof(value) / sizeof(value[0]);

			seed = round * 7919 + 1;
			for (int i = 0; i < 5000; i++) {
				unsigned int k = next_random() % 16;
				long nr = k ? RS_SYS_UPCALL + k % 3 : RS_SYS_ALARM;

				++*made;
				rs_app_call(nr, value[next_random() % n], value[next_random() % n], value[next_random() % n], 0);
			}
			*at(0x7000) = 1;
			_exit(0);
		}
		status = status_of(pid);
		if (!(WIFSIGNALED(status) && (WTERMSIG(status) == SIGSEGV || WTERMSIG(status) == SIGILL)) && status)
			FAIL("round %d: wait status %#x", round, status);
	}
	test_note("%u calls", *made);
}

/* --- deaths: programs, and what the report of their end says --------------------------------------------- */

static char *good_stack(void)
{
	return (char *)private_pages(4);
}

static void take(uint64_t entry, void *stack, size_t size)
{
	rs_app_call(RS_SYS_UPCALL, entry, 1 << VEC_PF, 0, 0);
	rs_app_call(RS_SYS_UPCALL_STACK, (long)stack, size, 0, 0);
	*at(0x7000) = 1;
}

static int recurse(struct rs_trap_frame *f)
{
	*at(f->addr + 8) = 1;
	return 0;
}

static void d_overflow(void)
{
	rs_trap_stack_alloc(STACK);
	rs_trap_handle(VEC_PF, recurse, 0);
	*at(0x7000) = 1;
}

static void d_small(void)
{
	rs_app_call(RS_SYS_UPCALL, (long)d_small, 1 << VEC_PF, 4096, 0);
	rs_app_call(RS_SYS_UPCALL_STACK, (long)good_stack(), 4096, 0, 0);
	*at(0x7000) = 1;
}

static void d_stack_unmapped(void) { take((uint64_t)d_small, (void *)0x10000, 4096); }
static void d_stack_readonly(void)
{
	void *p = good_stack();

	mprotect(p, PAGE, PROT_READ);
	take((uint64_t)d_small, p, PAGE);
}
static void d_stack_code(void) { take((uint64_t)d_small, (void *)((uint64_t)d_overflow & -PAGE), PAGE); }
static void d_stack_kernel(void) { take((uint64_t)d_small, (void *)0xffffffff80200000, 4096); }
static void d_stack_border(void) { take((uint64_t)d_small, (void *)0x00007ffffffff000, 4096); }
static void d_entry_unmapped(void) { take(0x20000, good_stack(), 4 * PAGE); }
static void d_entry_data(void) { take((uint64_t)good_stack(), good_stack(), 4 * PAGE); }
static void d_entry_kernel(void) { take(0xffffffff80200000, good_stack(), 4 * PAGE); }
static void d_entry_wild(void) { take(0x123456789abcdef0, good_stack(), 4 * PAGE); }
static void d_declined(void)
{
	start(VEC_PF, no_handler);
	*at(0x7000) = 1;
}
static void d_masked(void)
{
	rs_trap_stack_alloc(STACK);
	*at(0x7000) = 1;
}

static const struct death deaths[] = {
	{ "overflow", "trap stack overflow: no room for another trap", d_overflow },
	{ "small", "trap stack overflow: no room for another trap", d_small },
	{ "stack-unmapped", "its trap stack is not writable memory", d_stack_unmapped },
	{ "stack-readonly", "its trap stack is not writable memory", d_stack_readonly },
	{ "stack-code", "its trap stack is not writable memory", d_stack_code },
	{ "stack-kernel", "its trap stack is at an address no process can have", d_stack_kernel },
	{ "stack-border", "its trap stack is at an address no process can have", d_stack_border },
	{ "entry-unmapped", "its upcall traps at its first instruction", d_entry_unmapped },
	{ "entry-data", "its upcall traps at its first instruction", d_entry_data },
	{ "entry-kernel", "its upcall is at an address no process can have", d_entry_kernel },
	{ "entry-wild", "its upcall is at an address no process can have", d_entry_wild },
	{ "declined", "access to memory that is not mapped", d_declined },
	{ "masked", "access to memory that is not mapped", d_masked },
};

static void list_or_run(const struct death *d, size_t n, const char *name)
{
	for (; n; n--, d++) {
		if (!name)
			printf("%s\t%s\n", d->name, d->text);
		else if (!strcmp(name, d->name))
			d->run();
	}
}

__attribute__((constructor)) static void death_programs(int argc, char **argv)
{
	if (argc < 2 || strcmp(argv[1], "@die"))
		return;
	list_or_run(deaths, sizeof(deaths) / sizeof(deaths[0]), argv[2]);
	list_or_run(alarm_deaths, nr_alarm_deaths, argv[2]);
	exit(argc == 2 ? 0 : 1);
}
