// SPDX-License-Identifier: MIT
/*
 * Signal frames of self-entry (userland/lib/self/frame.c) against those that Linux makes.
 *
 * A signal is sent with known registers on a known stack; the handler keeps what Linux has written there, and the same is made by frame.c:
 * the same place, the same bytes wherever Linux writes. The other way round, frames of our own are given to Linux's rt_sigreturn, and the
 * registers that come out are those that self_frame_take() says. sigaltstack() is asked the same questions as self_altstack_set().
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <errno.h>
#include <immintrin.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../userland/lib/self/frame.h"

static int tap_tests;
#include "tap.h"

#define VECTOR_MAX	16384
#define STACK_SIZE	(256 << 10)
#define RFLAGS_ANY	0x40cd5u	/* of what a program may set: AC OF DF SF ZF AF PF CF */

static uint64_t state = 0x9e3779b97f4a7c15;

static uint64_t rnd(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/*
 * fire(): all registers from fire_in, a system call, all registers to fire_out. The call is what rax says; land: where rt_sigreturn goes.
 */
struct all {
	uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi, rsp, rflags;
};
struct all fire_in, fire_out;
uint64_t fire_sp;
void fire(void);
extern char fire_behind[], land[], test_restore[];

__asm__(".text\n"
	"fire:\n"
	"	pushq %rbx; pushq %rbp; pushq %r12; pushq %r13; pushq %r14; pushq %r15\n"
	"	pushfq; popq %rax\n"
	"	movq %rsp, fire_sp(%rip)\n"
	"	movq fire_in+0(%rip), %r15; movq fire_in+8(%rip), %r14; movq fire_in+16(%rip), %r13\n"
	"	movq fire_in+24(%rip), %r12; movq fire_in+32(%rip), %rbp; movq fire_in+40(%rip), %rbx\n"
	"	movq fire_in+56(%rip), %r10; movq fire_in+64(%rip), %r9; movq fire_in+72(%rip), %r8\n"
	"	movq fire_in+80(%rip), %rax; movq fire_in+96(%rip), %rdx; movq fire_in+104(%rip), %rsi\n"
	"	movq fire_in+112(%rip), %rdi\n"
	"	movq fire_in+120(%rip), %rsp\n"
	"	syscall\n"
	"	.globl fire_behind\n"
	"fire_behind:\n"
	"land:\n"
	"	movq %rsp, fire_out+120(%rip)\n"
	"	movq fire_sp(%rip), %rsp\n"
	"	pushfq; popq fire_out+128(%rip)\n"
	"	movq %r15, fire_out+0(%rip); movq %r14, fire_out+8(%rip); movq %r13, fire_out+16(%rip)\n"
	"	movq %r12, fire_out+24(%rip); movq %rbp, fire_out+32(%rip); movq %rbx, fire_out+40(%rip)\n"
	"	movq %r11, fire_out+48(%rip); movq %r10, fire_out+56(%rip); movq %r9, fire_out+64(%rip)\n"
	"	movq %r8, fire_out+72(%rip); movq %rax, fire_out+80(%rip); movq %rcx, fire_out+88(%rip)\n"
	"	movq %rdx, fire_out+96(%rip); movq %rsi, fire_out+104(%rip); movq %rdi, fire_out+112(%rip)\n"
	"	pushq $0x202; popfq\n"
	"	popq %r15; popq %r14; popq %r13; popq %r12; popq %rbp; popq %rbx\n"
	"	ret\n"
	"test_restore:\n"
	"	movq $15, %rax\n"
	"	syscall\n");

/* What the handler saw. */
static struct {
	int count, sig;
	uint64_t at;
	struct self_sigframe frame;
	uint8_t vector[VECTOR_MAX];
	uint64_t mask;
	uint64_t sender_pid;
} seen;

static struct self_vector vector;
static void (*in_handler)(struct self_sigframe *frame);

static void handler(int sig, void *info, struct self_ucontext *uc)
{
	struct self_sigframe *f = (void *)((char *)uc - offsetof(struct self_sigframe, uc));
	struct self_sw_bytes sw;

	seen.count++;
	seen.sig = sig;
	seen.at = (uint64_t)f;
	memcpy(&seen.frame, f, sizeof(seen.frame));
	memcpy(&sw, (char *)uc->mcontext.fpstate + SELF_FX_SW, sizeof(sw));
	self_vector_of(&vector, f, &sw);
	CHECK(self_vector_bytes(&vector) <= sizeof(seen.vector));
	memcpy(seen.vector, (void *)uc->mcontext.fpstate, self_vector_bytes(&vector));
	syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &seen.mask, 8);
	if (in_handler)
		in_handler(f);
}

static void set_action(int sig, struct self_action *a, uint64_t flags, uint64_t mask)
{
	*a = (struct self_action){ .handler = (uint64_t)handler, .flags = flags | SELF_SA_RESTORER, .mask = mask,
				   .restorer = (uint64_t)test_restore };
	CHECK(!syscall(SYS_rt_sigaction, sig, a, NULL, 8));
}

static void set_mask(uint64_t mask)
{
	CHECK(!syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, 8));
}

static void random_registers(int sig, uint64_t rsp)
{
	uint64_t *w = (uint64_t *)&fire_in;
	unsigned int i;

	for (i = 0; i < sizeof(fire_in) / 8; i++)
		w[i] = rnd();
	fire_in.rsp = rsp;
	fire_in.rax = SYS_tgkill;
	fire_in.rdi = getpid();
	fire_in.rsi = gettid();
	fire_in.rdx = sig;
}

/* What a program finds in its registers behind the call when the handler runs. */
static struct rs_trap_frame expected_registers(void)
{
	return (struct rs_trap_frame){
		.r15 = fire_in.r15, .r14 = fire_in.r14, .r13 = fire_in.r13, .r12 = fire_in.r12, .rbp = fire_in.rbp, .rbx = fire_in.rbx,
		.r11 = seen.frame.uc.mcontext.rflags, .r10 = fire_in.r10, .r9 = fire_in.r9, .r8 = fire_in.r8, .rax = 0,
		.rcx = (uint64_t)fire_behind, .rdx = fire_in.rdx, .rsi = fire_in.rsi, .rdi = fire_in.rdi, .rip = (uint64_t)fire_behind,
		.rflags = seen.frame.uc.mcontext.rflags, .rsp = fire_in.rsp, .cs = 0x10, .ss = 0x18,
	};
}

/* The frame in `seen`, made anew; bytes that Linux does not write are not compared. */
static void compare(const struct self_action *a, int sig, struct self_altstack *stack, uint64_t mask, int code)
{
	struct rs_trap_frame regs = expected_registers(), entered = regs;
	struct self_event event = { .mask = mask };
	struct self_sigframe f, native = seen.frame;
	struct self_place place;
	unsigned int left;
	uint32_t magic2;

	CHECK(!self_frame_place(&vector, a, stack, fire_in.rsp, &place));
	CHECK(place.frame == seen.at, "%#lx, Linux %#lx", place.frame, seen.at);
	CHECK(place.fx == native.uc.mcontext.fpstate);
	event.info.signo = sig;
	event.info.code = code;
	event.info.sender.pid = getpid();
	event.info.sender.uid = getuid();
	event.trapno = native.uc.mcontext.trapno;
	event.err = native.uc.mcontext.err;
	event.cr2 = native.uc.mcontext.cr2;
	memset(&f, 0xee, sizeof(f));
	left = self_frame_fill(&f, &vector, &place, a, &event, stack, &regs);
	CHECK(left == (a->flags & SELF_SA_SIGINFO ? 0 : sizeof(f.info)));
	memcpy(f.uc.mcontext.reserved, native.uc.mcontext.reserved, sizeof(f.uc.mcontext.reserved));
	f.uc.stack.pad = native.uc.stack.pad;
	if (memcmp(&f, &native, sizeof(f) - left)) {
		unsigned int i;

		for (i = 0; i < sizeof(f) - left; i += 8)
			if (memcmp((char *)&f + i, (char *)&native + i, 8))
				printf("# at %u: %#lx, Linux %#lx\n", i, *(uint64_t *)((char *)&f + i),
				       *(uint64_t *)((char *)&native + i));
		CHECK(0, "frames differ");
	}
	CHECK(!memcmp(seen.vector + SELF_FX_SW, &vector.sw, sizeof(vector.sw)));
	if (vector.xsave) {
		memcpy(&magic2, seen.vector + vector.sw.size, 4);
		CHECK(magic2 == SELF_MAGIC2);
		CHECK(vector.sw.extended_size == vector.sw.size + 4);
		CHECK((seen.vector[SELF_XSAVE_HEADER] & 3) == 3);
	}
	CHECK(self_frame_mask(a, sig, mask) == seen.mask, "%#lx, Linux %#lx", self_frame_mask(a, sig, mask), seen.mask);
	self_frame_enter(&place, a, sig, stack, &entered);
	CHECK(entered.rdi == (uint64_t)sig && entered.rsp == seen.at && entered.rip == a->handler && !entered.rax &&
	      entered.rsi == seen.at + offsetof(struct self_sigframe, info) && entered.rdx == seen.at + offsetof(struct self_sigframe, uc));
}

static char *new_stack(void)
{
	char *p = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

static void test_frames(void)
{
	static const struct self_altstack none = { .flags = SELF_SS_DISABLE };
	char *stack = new_stack();
	int i;

	for (i = 0; i < 500; i++) {
		int sig = i % 3 ? SIGUSR1 : 40 + i % 20;
		uint64_t flags = (rnd() & 1 ? SELF_SA_SIGINFO : 0) | (rnd() & 1 ? SELF_SA_NODEFER : 0) | (rnd() & 1 ? SELF_SA_ONSTACK : 0);
		uint64_t mask = rnd() & ~(1ull << (sig - 1)) & ~(1ull << (SIGKILL - 1) | 1ull << (SIGSTOP - 1));
		struct self_altstack off = none;
		struct self_action a;

		/* What the sanitizers need for themselves. */
		mask &= ~(1ull << (SIGSEGV - 1) | 1ull << (SIGBUS - 1) | 1ull << (SIGABRT - 1));
		set_action(sig, &a, flags, rnd() & ~(1ull << (SIGKILL - 1) | 1ull << (SIGSTOP - 1)));
		random_registers(sig, (uint64_t)stack + STACK_SIZE - 64 - rnd() % 4096);
		set_mask(mask);
		seen.count = 0;
		fire();
		set_mask(0);
		CHECK(seen.count == 1 && seen.sig == sig);
		compare(&a, sig, &off, mask, SI_TKILL);
		/* And Linux gave everything back. */
		CHECK(!memcmp(&fire_out, &fire_in, offsetof(struct all, r11)) && fire_out.rsp == fire_in.rsp && fire_out.rax == 0);
	}
	PASS("500 frames are Linux's, byte by byte");
}

static void fire_again(struct self_sigframe *f)
{
	/* From the handler, on the stack where it runs. */
	struct all in = fire_in, out = fire_out;
	uint64_t sp = fire_sp;

	if (seen.count > 1)
		return;
	random_registers(SIGUSR2, (uint64_t)f - 512);
	fire();
	fire_in = in;
	fire_out = out;
	fire_sp = sp;
}

static void test_altstack(void)
{
	char *stack = new_stack(), *alt = new_stack();
	struct self_altstack set, ours;
	struct self_action a, b;
	int i;

	for (i = 0; i < 200; i++) {
		bool disarm = i & 1;
		struct self_altstack off = { .flags = SELF_SS_DISABLE };

		set = (struct self_altstack){ .sp = (uint64_t)alt + rnd() % 64, .size = 65536 + rnd() % 64,
					      .flags = disarm ? SELF_SS_AUTODISARM : 0 };
		CHECK(!syscall(SYS_sigaltstack, &set, NULL));
		ours = set;
		set_action(SIGUSR1, &a, SELF_SA_SIGINFO | SELF_SA_ONSTACK, 0);
		random_registers(SIGUSR1, (uint64_t)stack + STACK_SIZE - rnd() % 4096);
		seen.count = 0;
		fire();
		CHECK(seen.count == 1);
		CHECK(seen.at > set.sp && seen.at < set.sp + set.size);
		compare(&a, SIGUSR1, &ours, 0, SI_TKILL);
		CHECK(ours.flags == (disarm ? SELF_SS_DISABLE : 0));
		/* A second one while the first one's handler runs there. */
		if (!disarm) {
			set_action(SIGUSR2, &b, SELF_SA_SIGINFO | SELF_SA_ONSTACK, 0);
			in_handler = fire_again;
			seen.count = 0;
			fire();
			in_handler = NULL;
			CHECK(seen.count == 2);
			CHECK(seen.at > set.sp && seen.at < set.sp + set.size);
		}
		syscall(SYS_sigaltstack, &off, NULL);
	}
	PASS("frames on alternate stacks");

	/* One that is too small: Linux ends the process, we say that there is no place. */
	set = (struct self_altstack){ .sp = (uint64_t)alt, .size = SELF_MINSIGSTKSZ };
	if (self_vector_bytes(&vector) + sizeof(struct self_sigframe) > set.size) {
		struct self_place place;
		int status;
		pid_t pid = fork();

		if (!pid) {
			syscall(SYS_sigaltstack, &set, NULL);
			signal(SIGSEGV, SIG_DFL);
			set_action(SIGUSR1, &a, SELF_SA_SIGINFO | SELF_SA_ONSTACK, 0);
			random_registers(SIGUSR1, (uint64_t)stack + STACK_SIZE);
			fire();
			_exit(1);
		}
		CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV, "%#x", status);
		a.flags = SELF_SA_ONSTACK;
		CHECK(self_frame_place(&vector, &a, &set, (uint64_t)stack + STACK_SIZE, &place) == -1);
	}
	PASS("an alternate stack that is too small");
}

static void test_sigaltstack_call(void)
{
	static const uint64_t sizes[] = { 0, 1, 2047, 2048, 2049, 65536 };
	struct self_altstack ours = { .flags = SELF_SS_DISABLE }, set, old, linux_old;
	long ret, linux_ret;
	int i;

	for (i = 0; i < 5000; i++) {
		int has_set = rnd() % 4 > 0;

		set = (struct self_altstack){ .sp = 0x10000 + rnd() % 3 * 4096, .size = sizes[rnd() % 6],
					      .flags = rnd() % 4 | (rnd() % 2 ? SELF_SS_AUTODISARM : 0) | (rnd() % 8 ? 0 : 4) };
		memset(&old, 0, sizeof(old));
		memset(&linux_old, 0, sizeof(linux_old));
		linux_ret = syscall(SYS_sigaltstack, has_set ? &set : NULL, &linux_old);
		if (linux_ret)
			linux_ret = -errno;
		ret = self_altstack_set(&ours, has_set ? &set : NULL, &old, (uint64_t)__builtin_frame_address(0), SELF_MINSIGSTKSZ);
		CHECK(ret == linux_ret, "%ld, Linux %ld: sp %#lx size %lu flags %#x", ret, linux_ret, set.sp, set.size, set.flags);
		if (!ret)
			CHECK(!memcmp(&old, &linux_old, sizeof(old)), "flags %#x, Linux %#x; size %lu, Linux %lu", old.flags, linux_old.flags,
			      old.size, linux_old.size);
	}
	set = (struct self_altstack){ .flags = SELF_SS_DISABLE };
	syscall(SYS_sigaltstack, &set, NULL);
	PASS("sigaltstack() says what Linux says");
}

static void test_return(void)
{
	static uint8_t area[VECTOR_MAX] __attribute__((aligned(64)));
	static struct self_sigframe f __attribute__((aligned(64)));
	char *stack = new_stack();
	int i;

	for (i = 0; i < 500; i++) {
		struct self_sigcontext *sc = &f.uc.mcontext;
		struct rs_trap_frame regs = { .rflags = 0x202 };
		uint64_t *w = (uint64_t *)&f, mask = rnd(), got;
		unsigned int k;

		for (k = 0; k < sizeof(f) / 8; k++)
			w[k] = rnd();
		memcpy(area, seen.vector, sizeof(area));
		sc->fpstate = (uint64_t)area;
		sc->rip = (uint64_t)land;
		sc->rsp = (uint64_t)stack + STACK_SIZE - rnd() % 4096;
		sc->cs = 0x33;
		sc->ss = 0x2b;
		sc->rflags &= ~(1ull << 8); /* TF */
		mask &= ~(1ull << (SIGSEGV - 1) | 1ull << (SIGBUS - 1) | 1ull << (SIGABRT - 1));
		f.uc.sigmask = mask;
		f.uc.flags = SELF_UC_FP_XSTATE | SELF_UC_SIGCONTEXT_SS | SELF_UC_STRICT_RESTORE_SS;
		f.uc.stack = (struct self_altstack){ .flags = SELF_SS_DISABLE };
		fire_in = (struct all){ .rax = SYS_rt_sigreturn, .rsp = (uint64_t)&f + 8 };
		fire();
		syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &got, 8);
		set_mask(0);
		CHECK(got == (mask & ~(1ull << (SIGKILL - 1) | 1ull << (SIGSTOP - 1))));
		self_frame_take(&f, &regs);
		CHECK(regs.r15 == fire_out.r15 && regs.r14 == fire_out.r14 && regs.r13 == fire_out.r13 && regs.r12 == fire_out.r12 &&
		      regs.r11 == fire_out.r11 && regs.r10 == fire_out.r10 && regs.r9 == fire_out.r9 && regs.r8 == fire_out.r8 &&
		      regs.rbp == fire_out.rbp && regs.rbx == fire_out.rbx && regs.rax == fire_out.rax && regs.rcx == fire_out.rcx &&
		      regs.rdx == fire_out.rdx && regs.rsi == fire_out.rsi && regs.rdi == fire_out.rdi && regs.rsp == fire_out.rsp);
		/* PUSHF shows RF as 0 */
		CHECK((regs.rflags & ~(1ull << 16)) == fire_out.rflags, "%#llx, Linux %#lx", regs.rflags, fire_out.rflags);
	}
	PASS("500 frames are returned to as Linux does it");
}

static uint32_t change;	/* what is done to the frame's vector area */

static void change_vector(struct self_sigframe *f)
{
	char *area = (char *)f->uc.mcontext.fpstate;
	struct self_sw_bytes *sw = (void *)(area + SELF_FX_SW);

	switch (change) {
	case 1:
		sw->magic1 = 0;
		break;
	case 2:
		sw->size = SELF_FX_SIZE;
		break;
	case 3:
		sw->size = vector.sw.size + 64;
		break;
	case 4:
		sw->extended_size = sw->size - 1;
		break;
	case 5:
		*(uint32_t *)(area + sw->size) = 0;
		break;
	case 6:
		sw->features = SELF_FPSSE;
		break;
	case 7:
		sw->features = ~0ull;
		break;
	}
}

__attribute__((target("avx"))) static void test_vector(void)
{
	static uint8_t ymm[32] __attribute__((aligned(32))), after[32] __attribute__((aligned(32)));
	unsigned int eax, ebx, ecx, edx;
	struct self_action a;
	unsigned int i;

	__cpuid(1, eax, ebx, ecx, edx);
	if (!vector.xsave || !(ecx & bit_AVX) || !(vector.sw.features & 4)) {
		PASS("vector areas # SKIP no AVX");
		return;
	}
	set_action(SIGUSR1, &a, SELF_SA_SIGINFO, 0);
	in_handler = change_vector;
	for (change = 0; change <= 7; change++) {
		struct self_sw_bytes sw;
		uint32_t magic2 = 0;
		uint64_t features;
		bool fx_only;
		long pid = getpid(), tid = gettid(), rax = SYS_tgkill;
		char *area;

		for (i = 0; i < 32; i++)
			ymm[i] = i + 1 + change;
		__asm__ volatile("vmovdqa %[in], %%ymm5; syscall; vmovdqa %%ymm5, %[out]"
				 : [out] "=m"(after), "+a"(rax)
				 : [in] "m"(ymm), "D"(pid), "S"(tid), "d"(SIGUSR1)
				 : "rcx", "r11", "xmm5", "memory");
		/* the handler has kept the frame before the change */
		area = (char *)seen.vector;
		memcpy(&sw, area + SELF_FX_SW, sizeof(sw));
		{
			struct self_sigframe g = seen.frame;

			g.uc.mcontext.fpstate = (uint64_t)seen.vector;
			change_vector(&g);
		}
		memcpy(&sw, area + SELF_FX_SW, sizeof(sw));
		if (self_frame_has_magic2(&vector, &sw))
			memcpy(&magic2, area + sw.size, 4);
		features = self_frame_vector(&vector, &sw, magic2, &fx_only);
		CHECK(!memcmp(after, ymm, 16), "change %u", change);
		if (fx_only || !(features & 4)) {
			static const uint8_t zeros[16];

			CHECK(!memcmp(after + 16, zeros, 16), "change %u: Linux has taken the upper half", change);
			CHECK(change >= 1 && change <= 6);
		} else {
			CHECK(!memcmp(after + 16, ymm + 16, 16), "change %u: Linux has not taken the upper half", change);
			CHECK(change == 0 || change == 7);
			CHECK(!(features & ~vector.sw.features));
		}
	}
	in_handler = NULL;
	PASS("vector areas that are damaged are taken as Linux takes them");
}

int main(void)
{
	struct self_altstack off = { .flags = SELF_SS_DISABLE };

	/* The sanitizer's. */
	syscall(SYS_sigaltstack, &off, NULL);
	test_frames();
	test_altstack();
	test_sigaltstack_call();
	test_return();
	test_vector();
	DONE();
}
