// SPDX-License-Identifier: MIT
/*
 * All registers over a great many entries, leaves, faults, system calls and signals, in any order: what an action does not change by
 * its own definition is the same behind it. Another signal comes all the time at any place. Handlers of all kinds change what they can.
 *
 * RS_STRESS: how many actions.
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>
#include "self.h"
#include "self/layout.h"

#define PAGE	4096ul

/* In the order of the assembly below. */
struct regs {
	uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15, flags;
	uint64_t vector[16][4];
	uint16_t fcw;
	uint32_t mxcsr;
};

void stress_round(const struct regs *want, struct regs *got, const void *action);
extern const char act_int3[], act_ud2[], act_write[], act_syscall[], act_vmcall[];
int stress_avx;

asm("	.text\n"
    "	.globl stress_round\n"
    "stress_round:\n"
    "	pushq %rbx; pushq %rbp; pushq %r12; pushq %r13; pushq %r14; pushq %r15\n"
    "	subq $8, %rsp; stmxcsr (%rsp); fnstcw 4(%rsp)\n"
    "	pushq %rsi; pushq %rdx\n"
    "	fldcw 640(%rdi); ldmxcsr 644(%rdi)\n"
    "	cmpl $0, stress_avx(%rip)\n"
    "	jne 1f\n"
    "	.set n, 0\n"
    "	.altmacro\n"
    "	.macro VEC op, n\n	\\op 128+32*\\n(%rdi), %xmm\\n\n	.endm\n"
    "	.macro VECY op, n\n	\\op 128+32*\\n(%rdi), %ymm\\n\n	.endm\n"
    "	.macro SVEC op, n\n	\\op %xmm\\n, 128+32*\\n(%rdi)\n	.endm\n"
    "	.macro SVECY op, n\n	\\op %ymm\\n, 128+32*\\n(%rdi)\n	.endm\n"
    "	.rept 16\n	VEC movups, %n\n	.set n, n+1\n	.endr\n"
    "	jmp 2f\n"
    "1:	.set n, 0\n"
    "	.rept 16\n	VECY vmovups, %n\n	.set n, n+1\n	.endr\n"
    "2:	pushq 120(%rdi); popfq\n"
    "	movq 0(%rdi), %rax; movq 8(%rdi), %rbx; movq 16(%rdi), %rcx; movq 24(%rdi), %rdx; movq 32(%rdi), %rsi\n"
    "	movq 48(%rdi), %rbp; movq 56(%rdi), %r8; movq 64(%rdi), %r9; movq 72(%rdi), %r10; movq 80(%rdi), %r11\n"
    "	movq 88(%rdi), %r12; movq 96(%rdi), %r13; movq 104(%rdi), %r14; movq 112(%rdi), %r15; movq 40(%rdi), %rdi\n"
    "	jmp *(%rsp)\n"
    "act_int3: int3; jmp 3f\n"
    "act_ud2: ud2; jmp 3f\n"
    "act_write: movb $1, (%r15); jmp 3f\n"
    "act_syscall: syscall; jmp 3f\n"
    "act_vmcall: vmcall; jmp 3f\n"
    "3:	pushfq; pushq %rdi; movq 24(%rsp), %rdi\n"
    "	movq %rax, 0(%rdi); movq %rbx, 8(%rdi); movq %rcx, 16(%rdi); movq %rdx, 24(%rdi); movq %rsi, 32(%rdi)\n"
    "	movq %rbp, 48(%rdi); movq %r8, 56(%rdi); movq %r9, 64(%rdi); movq %r10, 72(%rdi); movq %r11, 80(%rdi)\n"
    "	movq %r12, 88(%rdi); movq %r13, 96(%rdi); movq %r14, 104(%rdi); movq %r15, 112(%rdi)\n"
    "	popq %rax; movq %rax, 40(%rdi); popq %rax; movq %rax, 120(%rdi)\n"
    "	fnstcw 640(%rdi); stmxcsr 644(%rdi)\n"
    "	cmpl $0, stress_avx(%rip)\n"
    "	jne 4f\n"
    "	.set n, 0\n"
    "	.rept 16\n	SVEC movups, %n\n	.set n, n+1\n	.endr\n"
    "	jmp 5f\n"
    "4:	.set n, 0\n"
    "	.rept 16\n	SVECY vmovups, %n\n	.set n, n+1\n	.endr\n"
    "	vzeroupper\n"
    "5:	.noaltmacro\n"
    "	addq $16, %rsp\n"
    "	ldmxcsr (%rsp); fldcw 4(%rsp); addq $8, %rsp\n"
    "	popq %r15; popq %r14; popq %r13; popq %r12; popq %rbp; popq %rbx\n"
    "	cld\n"
    "	ret\n");

_Static_assert(offsetof(struct regs, vector) == 128 && offsetof(struct regs, fcw) == 640 && offsetof(struct regs, mxcsr) == 644,
	       "as the assembly has them");

static volatile unsigned long traps, signals;
static uint8_t *page;

static void spoil(void)
{
	asm volatile("pcmpeqb %%xmm0, %%xmm0; movdqa %%xmm0, %%xmm1; movdqa %%xmm0, %%xmm8; movdqa %%xmm0, %%xmm15\n"
		     ::: "xmm0", "xmm1", "xmm8", "xmm15");
	if (stress_avx)
		asm volatile("vxorps %%ymm2, %%ymm2, %%ymm2; vcmptrueps %%ymm2, %%ymm2, %%ymm9" ::: "xmm2", "xmm9");
}

static void on_trap(struct rs_trap_frame *f)
{
	spoil();
	__atomic_fetch_add(&traps, 1, __ATOMIC_RELAXED);
	if (f->vector == 6)
		f->rip += 2;
	else if (f->vector == 14)
		rs_ring0_protect((void *)(f->addr & ~(PAGE - 1)), PAGE, RS_PAGE_WRITE | RS_PAGE_EXEC);
}

static void on_signal(int sig, siginfo_t *info, void *uc)
{
	spoil();
	__atomic_fetch_add(&signals, 1, __ATOMIC_RELAXED);
}

static void on_ill(int sig, siginfo_t *info, void *uc)
{
	spoil();
	__atomic_fetch_add(&signals, 1, __ATOMIC_RELAXED);
	((ucontext_t *)uc)->uc_mcontext.gregs[REG_RIP] += 2;
}

static uint64_t next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

enum { INT3, UD2, WRITE, CALL, VMCALL, SIGNAL, LEAVE, ACTIONS };

/* How many of a thousand: of ring 0; in ring 3 exceptions are signals, so they are less. */
static const unsigned int shares[2][ACTIONS] = {
	{ 50, 50, 0, 850, 20, 25, 5 },
	{ 300, 30, 560, 90, 10, 8, 2 },
};

static void compare(const struct regs *want, const struct regs *got, int action)
{
	static const char *const names[] = { "int3", "ud2", "a write", "a system call", "vmcall", "a signal", "leaving" };
	const uint64_t *a = (const uint64_t *)want, *b = (const uint64_t *)got;
	unsigned int i;

	for (i = 0; i < 80; i++) {
		if ((i == 0 || i == 2 || i == 10) && action >= CALL)	/* rax, rcx, r11 are a system call's */
			continue;
		if (!stress_avx && i >= 16 && (i & 2))
			continue;
		if ((i == 15 ? (a[i] ^ b[i]) & 0xcd5 : a[i] ^ b[i])) {
			FAIL("%s: word %u is %#lx, was %#lx", names[action], i, b[i], a[i]);
			test_leave();
		}
	}
	if (want->fcw != got->fcw || want->mxcsr != got->mxcsr)
		FAIL("%s: x87 control word %#x, was %#x; mxcsr %#x, was %#x", names[action], got->fcw, want->fcw, got->mxcsr, want->mxcsr);
}

static void stress(unsigned int flags)
{
	static const char *const code[ACTIONS] = { act_int3, act_ud2, act_write, act_syscall, act_vmcall, act_syscall, act_syscall };
	struct itimerval off = { 0 }, tick;
	struct sigaction sa = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART }, ill = sa;
	const char *env = getenv("RS_STRESS"), *backend = getenv("RINGSIDE_VM_BACKEND");
	unsigned long n, i, count[ACTIONS] = { 0 };
	uint64_t seed = 0x1234567 + flags, *w;
	struct regs want, got;
	int slow = backend && !strcmp(backend, "vmx");
	unsigned int k, r;
	pid_t pid = getpid();

	tick.it_interval.tv_sec = 0;
	tick.it_interval.tv_usec = slow ? 30000 : 3000;
	tick.it_value = tick.it_interval;
	/* A million in all where that takes seconds. */
	n = env ? strtoul(env, NULL, 0) : test_rounds(slow ? 5000 : flags ? 1000000 : 30000);
	page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT(page != MAP_FAILED);
	__builtin_cpu_init();
	stress_avx = __builtin_cpu_supports("avx") != 0;
	SYS(sigaction(SIGUSR1, &sa, NULL));
	SYS(sigaction(SIGALRM, &sa, NULL));
	SYS(sigaction(SIGTRAP, &sa, NULL));
	ill.sa_sigaction = on_ill;
	SYS(sigaction(SIGILL, &ill, NULL));
	rs_ring0_handle(3, on_trap);
	rs_ring0_handle(6, on_trap);
	rs_ring0_handle(14, on_trap);
	enter(flags);
	SYS(setitimer(ITIMER_REAL, &tick, NULL));
	for (i = 0; i < n; i++) {
		for (w = (uint64_t *)&want; w < (uint64_t *)&want + 80; w++)
			*w = next(&seed);
		want.flags = (want.flags & 0xcd5) | 0x202;
		want.fcw = 0x37f | (next(&seed) & 0xc00);
		want.mxcsr = 0x1f80 | (next(&seed) & 0x6000);
		want.r15 = (uintptr_t)page + (next(&seed) & (PAGE - 1));
		r = next(&seed) % 1000;
		for (k = 0; r >= shares[!!flags][k]; k++)
			r -= shares[!!flags][k];
		count[k]++;
		switch (k) {
		case WRITE:
			rs_ring0_protect(page, PAGE, next(&seed) & 1 ? RS_PAGE_READ | RS_PAGE_EXEC : RS_PAGE_NONE);
			break;
		case CALL:
		case VMCALL:
			want.rax = SYS_getppid;
			break;
		case SIGNAL:
			want.rax = SYS_kill;
			want.rdi = pid;
			want.rsi = SIGUSR1;
			break;
		case LEAVE:
			want.rax = RS_SELF_SYS_LEAVE;
			break;
		}
		stress_round(&want, &got, code[k]);
		compare(&want, &got, k);
		if (k == LEAVE) {
			EXPECT_EQ(got.rax, 0);
			enter(flags);
		}
	}
	SYS(setitimer(ITIMER_REAL, &off, NULL));
	EXPECT_EQ(rs_leave(), 0);
	EXPECT_GE(signals, count[SIGNAL]);
	EXPECT_GE(traps, flags ? count[INT3] + count[UD2] + count[WRITE] : 0);
	test_note("%lu actions, %lu traps, %lu signals, %lu times outside%s", n, traps, signals, count[LEAVE], stress_avx ? ", AVX" : "");
}

TEST_FOR(everything_survives_in_ring3, 120)
{
	stress(0);
}

TEST_FOR(everything_survives_in_ring0, 120)
{
	stress(RS_ENTER_RING0);
}
