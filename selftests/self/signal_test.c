// SPDX-License-Identifier: MIT
/*
 * Signals: what a handler sees and may do is the same outside and in both rings.
 *
 * For exceptions the same instruction is executed outside first and then inside, with the same registers: siginfo and ucontext have to be equal.
 * Signals from outside come from timers and from other processes; where one has to meet a blocked call, a timer repeats it.
 */
#include <fcntl.h>
#include <fenv.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/ucontext.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>
#include "inside.h"

static void handle(int sig, void (*fn)(int, siginfo_t *, void *), int flags)
{
	struct sigaction sa = { .sa_sigaction = fn, .sa_flags = SA_SIGINFO | flags };

	SYS(sigaction(sig, &sa, NULL));
}

static sigset_t set_of(int sig)
{
	sigset_t s;

	sigemptyset(&s);
	sigaddset(&s, sig);
	return s;
}

/* SIGALRM every @us; 0: no more. */
static void tick(long us)
{
	struct itimerval it = { { 0, us }, { 0, us } };

	SYS(setitimer(ITIMER_REAL, &it, NULL));
}

static volatile sig_atomic_t count[65];

static void counting(int sig, siginfo_t *si, void *uc)
{
	count[sig]++;
}

/* --- exceptions --- */

/*
 * run_insn(code, rax): all registers get known values, RAX is given, RSP is in insn_stack, and @code is executed; it ends with a jump to
 * insn_out, or the handler goes there.
 */
uint64_t insn_sp, insn_rax, insn_code;
static char insn_stack[16384] __attribute__((aligned(64)));
uint64_t insn_rsp;
void run_insn(void);
extern char insn_out[];

__asm__(".text\n"
	"run_insn:\n"
	"	pushq %rbx; pushq %rbp; pushq %r12; pushq %r13; pushq %r14; pushq %r15; pushfq\n"
	"	movq %rsp, insn_sp(%rip)\n"
	"	movq insn_rax(%rip), %rax\n"
	"	movq insn_rsp(%rip), %rsp\n"
	"	movq $0x1111, %rbx; movq $0, %rcx; movq $0, %rdx; movq $0x4444, %rsi; movq $0x5555, %rdi\n"
	"	movq $0x6666, %rbp; movq $0x8888, %r8; movq $0x9999, %r9; movq $0xaaaa, %r10; movq $0xbbbb, %r11\n"
	"	movq $0xcccc, %r12; movq $0xdddd, %r13; movq $0xeeee, %r14; movq $0xffff, %r15\n"
	"	cmpq %rcx, %rdx\n"
	"	jmp *insn_code(%rip)\n"
	"	.globl insn_out\n"
	"insn_out:\n"
	"	movq insn_sp(%rip), %rsp\n"
	"	popfq; popq %r15; popq %r14; popq %r13; popq %r12; popq %rbp; popq %rbx\n"
	"	cld\n"
	"	ret\n"
	"	.globl insn_div, insn_ud, insn_bp, insn_read, insn_write, insn_call, insn_sse, insn_tf, insn_simd, insn_x87, insn_ss, insn_hlt\n"
	"	.globl insn_int, insn_cli, insn_rmw\n"
	"insn_div:	divq %rcx; jmp insn_out\n"
	"insn_ud:	ud2\n"
	"insn_bp:	int3; jmp insn_out\n"
	"insn_read:	movq (%rax), %rcx; jmp insn_out\n"
	"insn_write:	movq %rcx, (%rax); jmp insn_out\n"
	"insn_rmw:	lock incq (%rax); jmp insn_out\n"
	"insn_call:	jmp *%rax\n"
	"insn_sse:	movaps 8(%rsp), %xmm0; jmp insn_out\n"
	"insn_tf:	pushfq; orq $0x100, (%rsp); popfq; nop; jmp insn_out\n"
	"insn_simd:	movq $1, %rcx; cvtsi2sdq %rcx, %xmm0; xorps %xmm1, %xmm1; divsd %xmm1, %xmm0; jmp insn_out\n"
	"insn_x87:	fld1; fldz; fdivrp; fwait; jmp insn_out\n"
	"insn_ss:	movq %rax, %rbp; movq (%rbp), %rcx; jmp insn_out\n"
	"insn_hlt:	hlt; jmp insn_out\n"
	"insn_cli:	cli; jmp insn_out\n"
	"insn_int:	int $0x29; jmp insn_out\n");
extern char insn_div[], insn_ud[], insn_bp[], insn_read[], insn_write[], insn_call[], insn_sse[], insn_tf[], insn_simd[], insn_x87[];
extern char insn_ss[], insn_hlt[], insn_int[], insn_cli[], insn_rmw[];

struct seen {
	int count;
	siginfo_t info;
	gregset_t gregs;
	sigset_t mask;
	uint64_t flags;
	uint32_t mxcsr, fsw;
};
static struct seen seen;
static const uint32_t insn_mxcsr = 0x1d00; /* invalid operation and division by zero are not masked */

static void on_exception(int sig, siginfo_t *si, void *context)
{
	ucontext_t *uc = context;

	seen.count++;
	seen.info = *si;
	memcpy(seen.gregs, uc->uc_mcontext.gregs, sizeof(seen.gregs));
	memcpy(&seen.mask, &uc->uc_sigmask, 8);
	seen.flags = uc->uc_flags;
	seen.mxcsr = uc->uc_mcontext.fpregs->mxcsr;
	seen.fsw = uc->uc_mcontext.fpregs->swd;
	uc->uc_mcontext.gregs[REG_RIP] = (greg_t)insn_out;
	uc->uc_mcontext.gregs[REG_EFL] &= ~0x100;
	/* The next round begins as this one. */
	uc->uc_mcontext.fpregs->swd = 0;
	uc->uc_mcontext.fpregs->ftw = 0;
	uc->uc_mcontext.fpregs->mxcsr &= ~0x3fu;
}

static void execute(struct seen *to, const char *code, uint64_t rax)
{
	memset(&seen, 0, sizeof(seen));
	insn_code = (uint64_t)code;
	insn_rax = rax;
	insn_rsp = (uint64_t)insn_stack + sizeof(insn_stack) - 4096;
	__asm__ volatile("fnclex; ldmxcsr %0" : : "m"(insn_mxcsr));
	run_insn();
	*to = seen;
}

struct insn {
	const char *name;
	char *code;
	uint64_t rax;
	int sig;	/* 0: machines differ */
	int ring3_only;
};

static char *map(size_t size, int prot)
{
	char *p = mmap(NULL, size, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT(p != MAP_FAILED);
	return p;
}

static void compare(const char *name, const struct seen *a, const struct seen *b, int sig)
{
	static const char *const regs[] = { "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rdi", "rsi", "rbp", "rbx", "rdx", "rax", "rcx",
					    "rsp", "rip", "eflags", "csgsfs", "err", "trapno", "oldmask", "cr2" };
	int i;

	/* QEMU has no exceptions of SSE. */
	EXPECT_EQ(b->count, sig == SIGFPE ? a->count : 1);
	if (!a->count)
		return;
	if (b->info.si_signo != a->info.si_signo || (sig && a->info.si_signo != sig))
		FAIL("%s: signal %d, outside %d, not %d", name, b->info.si_signo, a->info.si_signo, sig);
	if (a->info.si_code != b->info.si_code || a->info.si_errno != b->info.si_errno)
		FAIL("%s: si_code %d, outside %d", name, b->info.si_code, a->info.si_code);
	if (memcmp(&a->info, &b->info, sizeof(a->info)))
		FAIL("%s: siginfo differs, si_addr %p, outside %p", name, b->info.si_addr, a->info.si_addr);
	/* RF is set by CPUs when there is a fault, by QEMU never, and by the ring as by a CPU. */
	for (i = 0; i < 23; i++)
		if (((a->gregs[i] ^ b->gregs[i]) & (i == REG_EFL ? ~0x10000ll : ~0ll)) && (i != REG_CR2 || a->gregs[REG_TRAPNO] == 14))
			FAIL("%s: %s %#llx, outside %#llx", name, regs[i], b->gregs[i], a->gregs[i]);
	if (memcmp(&a->mask, &b->mask, 8) || a->flags != b->flags)
		FAIL("%s: mask or flags", name);
	if (a->mxcsr != b->mxcsr || a->fsw != b->fsw)
		FAIL("%s: mxcsr %#x, outside %#x; x87 status %#x, outside %#x", name, b->mxcsr, a->mxcsr, b->fsw, a->fsw);
}

EVERYWHERE(exceptions)
{
	static const int sigs[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP };
	char *none = map(8192, PROT_NONE), *ro = map(8192, PROT_READ);
	char path[] = "/tmp/rs-self-XXXXXX";
	int fd = SYS(mkstemp(path));
	char *file;
	struct insn insns[] = {
		{ "division by zero", insn_div, 1, SIGFPE },
		{ "undefined instruction", insn_ud, 2, SIGILL },
		{ "breakpoint", insn_bp, 3, SIGTRAP },
		{ "reading NULL", insn_read, 0, SIGSEGV },
		{ "writing NULL", insn_write, 8, SIGSEGV },
		{ "calling NULL", insn_call, 0, SIGSEGV },
		{ "reading without rights", insn_read, (uint64_t)none + 24, SIGSEGV },
		{ "writing without rights", insn_write, (uint64_t)none + 24, SIGSEGV },
		{ "writing what is read-only", insn_write, (uint64_t)ro + 4096 + 40, SIGSEGV },
		{ "adding to what is read-only", insn_rmw, (uint64_t)ro + 4096 + 40, SIGSEGV },
		{ "reading what is gone", insn_read, 0x123456000, SIGSEGV },
		{ "reading behind the end of a file", insn_read, 0, SIGBUS },
		{ "writing behind the end of a file", insn_write, 0, SIGBUS },
		{ "an address that is none", insn_read, 0x8000000000000000, SIGSEGV },
		{ "going to an address that is none", insn_call, 0x8000000000000000, SIGSEGV },
		{ "the stack at an address that is none", insn_ss, 0x8000000000000000, 0 },
		{ "misaligned SSE", insn_sse, 4, SIGSEGV },
		{ "single step", insn_tf, 5, SIGTRAP },
		{ "SSE exception", insn_simd, 6, SIGFPE },
		{ "x87 exception", insn_x87, 7, SIGFPE },
		{ "reading the kernel", insn_read, 0xffffffff81000000, SIGSEGV, 1 },
		{ "HLT", insn_hlt, 8, SIGSEGV, 1 },
		{ "CLI", insn_cli, 8, SIGSEGV, 1 },
		{ "an interrupt that is none", insn_int, 8, SIGSEGV, 1 },
	};
	const unsigned int n = sizeof(insns) / sizeof(insns[0]);
	struct seen *outside = calloc(n, sizeof(*outside)), inside;
	unsigned int i;

	SYS(ftruncate(fd, 4096));
	file = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ASSERT(file != MAP_FAILED);
	unlink(path);
	for (i = 0; i < n; i++)
		if (insns[i].sig == SIGBUS)
			insns[i].rax = (uint64_t)file + 4096 + 8;
	for (i = 0; i < 5; i++)
		handle(sigs[i], on_exception, 0);
	/* Divisions of SSE and x87 by zero are exceptions from here on. */
	feenableexcept(FE_DIVBYZERO | FE_INVALID);
	for (i = 0; i < n; i++)
		execute(&outside[i], insns[i].code, insns[i].rax);
	go_in(where);
	for (i = 0; i < n; i++) {
		if (where == RING0 && insns[i].ring3_only)
			continue;
		execute(&inside, insns[i].code, insns[i].rax);
		compare(insns[i].name, &outside[i], &inside, insns[i].sig);
		expect_inside(where);
	}
}

/* Exceptions nobody handles, or that are blocked, or ignored: the end, with Linux's status. */
EVERYWHERE(deadly)
{
	static const struct {
		char *code;
		uint64_t rax;
		int sig, how;	/* 0: default, 1: blocked with a handler, 2: ignored */
	} deaths[] = {
		{ insn_read, 8, SIGSEGV, 0 }, { insn_read, 8, SIGSEGV, 1 }, { insn_read, 8, SIGSEGV, 2 }, { insn_div, 1, SIGFPE, 0 },
		{ insn_div, 1, SIGFPE, 1 }, { insn_ud, 0, SIGILL, 0 }, { insn_ud, 0, SIGILL, 2 }, { insn_bp, 0, SIGTRAP, 0 },
	};
	unsigned int i;
	int status;

	for (i = 0; i < sizeof(deaths) / sizeof(deaths[0]); i++) {
		pid_t pid = SYS(fork());

		if (!pid) {
			struct seen s;

			go_in(where);
			if (deaths[i].how == 1) {
				sigset_t set = set_of(deaths[i].sig);

				handle(deaths[i].sig, on_exception, 0);
				SYS(sigprocmask(SIG_BLOCK, &set, NULL));
			} else if (deaths[i].how == 2) {
				signal(deaths[i].sig, SIG_IGN);
			}
			execute(&s, deaths[i].code, deaths[i].rax);
			_exit(99);
		}
		SYS(waitpid(pid, &status, 0));
		if (!WIFSIGNALED(status) || WTERMSIG(status) != deaths[i].sig)
			FAIL("%u: status %#x, not signal %d", i, status, deaths[i].sig);
	}
}

/* Default actions of signals that somebody sends. */
EVERYWHERE(default_actions)
{
	static const int sigs[] = { SIGHUP, SIGINT, SIGQUIT, SIGKILL, SIGTERM, SIGUSR1, SIGPIPE, SIGSEGV, SIGBUS, SIGABRT, SIGALRM, 40 };
	unsigned int i;
	int status;

	for (i = 0; i < sizeof(sigs) / sizeof(sigs[0]); i++) {
		pid_t pid = SYS(fork());

		if (!pid) {
			go_in(where);
			if (i & 1)
				raise(sigs[i]);
			else
				for (;;)
					kill(getpid(), sigs[i]);
			_exit(99);
		}
		SYS(waitpid(pid, &status, 0));
		if (!WIFSIGNALED(status) || WTERMSIG(status) != sigs[i])
			FAIL("signal %d: status %#x", sigs[i], status);
	}
}

EVERYWHERE(ignored)
{
	static const int sigs[] = { SIGSEGV, SIGBUS, SIGUSR1, SIGCHLD, SIGURG, 50 };
	unsigned int i;

	go_in(where);
	for (i = 0; i < sizeof(sigs) / sizeof(sigs[0]); i++) {
		struct sigaction old;

		signal(sigs[i], SIG_IGN);
		EXPECT_EQ(kill(getpid(), sigs[i]), 0);
		SYS(sigaction(sigs[i], NULL, &old));
		EXPECT(old.sa_handler == SIG_IGN);
		signal(sigs[i], SIG_DFL);
		SYS(sigaction(sigs[i], NULL, &old));
		EXPECT(old.sa_handler == SIG_DFL);
	}
	raise(SIGWINCH);
	expect_inside(where);
}

/* --- what handlers do --- */

static sigjmp_buf env;
static volatile char *volatile nowhere = (volatile char *)8;

static void jump(int sig, siginfo_t *si, void *uc)
{
	siglongjmp(env, sig);
}

EVERYWHERE(siglongjmp_out_of_handlers)
{
	volatile int i;
	sigset_t mask;

	handle(SIGSEGV, jump, 0);
	handle(SIGUSR1, jump, 0);
	go_in(where);
	for (i = 0; i < 200; i++) {
		int sig = sigsetjmp(env, 1);

		if (!sig) {
			if (i & 1)
				raise(SIGUSR1);
			else
				*nowhere = 1;
			FAIL("nothing happened");
			break;
		}
		EXPECT_EQ(sig, i & 1 ? SIGUSR1 : SIGSEGV);
	}
	sigprocmask(SIG_SETMASK, NULL, &mask);
	EXPECT(!sigismember(&mask, SIGSEGV) && !sigismember(&mask, SIGUSR1));
	expect_inside(where);
}

static volatile int depth, deepest;

static void nested(int sig, siginfo_t *si, void *uc)
{
	count[sig]++;
	if (++depth > deepest)
		deepest = depth;
	if (depth < 20)
		raise(depth & 1 ? SIGUSR2 : SIGUSR1);
	depth--;
}

EVERYWHERE(nested)
{
	go_in(where);
	handle(SIGUSR1, nested, SA_NODEFER);
	handle(SIGUSR2, nested, SA_NODEFER);
	depth = deepest = 0;
	raise(SIGUSR1);
	EXPECT_EQ(deepest, 20);
	EXPECT_EQ(count[SIGUSR1] + count[SIGUSR2], 20);
	EXPECT_EQ(depth, 0);
}

static sigset_t mask_in_handler;

static void look_at_mask(int sig, siginfo_t *si, void *uc)
{
	count[sig]++;
	sigprocmask(SIG_SETMASK, NULL, &mask_in_handler);
}

EVERYWHERE(flags_and_masks)
{
	struct sigaction sa = { .sa_sigaction = look_at_mask, .sa_flags = SA_SIGINFO }, old;
	sigset_t now;

	go_in(where);
	sigaddset(&sa.sa_mask, SIGTERM);
	SYS(sigaction(SIGUSR1, &sa, NULL));
	SYS(sigaction(SIGUSR1, NULL, &old));
	EXPECT(old.sa_sigaction == look_at_mask && sigismember(&old.sa_mask, SIGTERM) && !sigismember(&old.sa_mask, SIGUSR1));
	EXPECT_EQ(old.sa_flags & SA_SIGINFO, SA_SIGINFO);
	raise(SIGUSR1);
	EXPECT(sigismember(&mask_in_handler, SIGUSR1) && sigismember(&mask_in_handler, SIGTERM) && !sigismember(&mask_in_handler, SIGUSR2));
	sa.sa_flags |= SA_NODEFER;
	SYS(sigaction(SIGUSR1, &sa, NULL));
	raise(SIGUSR1);
	EXPECT(!sigismember(&mask_in_handler, SIGUSR1) && sigismember(&mask_in_handler, SIGTERM));
	sa.sa_flags = SA_SIGINFO | SA_RESETHAND;
	SYS(sigaction(SIGUSR1, &sa, NULL));
	raise(SIGUSR1);
	SYS(sigaction(SIGUSR1, NULL, &old));
	EXPECT(old.sa_handler == SIG_DFL);
	EXPECT_EQ(count[SIGUSR1], 3);
	sigprocmask(SIG_SETMASK, NULL, &now);
	EXPECT(!sigismember(&now, SIGUSR1) && !sigismember(&now, SIGTERM));
	EXPECT_ERRNO(sigaction(SIGKILL, &sa, NULL), EINVAL);
	EXPECT_ERRNO(sigaction(65, &sa, NULL), EINVAL);
	EXPECT_ERRNO(syscall(SYS_rt_sigaction, SIGUSR1, 8, NULL, 8), EFAULT);
	EXPECT_ERRNO(syscall(SYS_rt_sigaction, SIGUSR1, NULL, 8, 8), EFAULT);
	EXPECT_ERRNO(syscall(SYS_rt_sigaction, SIGUSR1, NULL, NULL, 4), EINVAL);
}

static volatile int order[64], ordered;

static void in_order(int sig, siginfo_t *si, void *uc)
{
	order[ordered++] = si->si_value.sival_int;
	EXPECT_EQ(si->si_code, SI_QUEUE);
	EXPECT_EQ(si->si_pid, getpid());
}

EVERYWHERE(queues)
{
	sigset_t set = set_of(40);
	int i;

	go_in(where);
	handle(40, in_order, 0);
	SYS(sigprocmask(SIG_BLOCK, &set, NULL));
	for (i = 0; i < 20; i++)
		SYS(sigqueue(getpid(), 40, (union sigval){ .sival_int = i }));
	SYS(sigprocmask(SIG_UNBLOCK, &set, NULL));
	EXPECT_EQ(ordered, 20);
	for (i = 0; i < 20; i++)
		EXPECT_EQ(order[i], i);
}

static void change_registers(int sig, siginfo_t *si, void *context)
{
	ucontext_t *uc = context;

	uc->uc_mcontext.gregs[REG_R12] ^= 0xf0;
	uc->uc_mcontext.gregs[REG_RAX] = 77;
	uc->uc_mcontext.gregs[REG_RIP] += 2;
	sigaddset(&uc->uc_sigmask, SIGUSR2);
}

EVERYWHERE(handlers_change_the_context)
{
	uint64_t rax = 1, r12;
	sigset_t mask;

	handle(SIGILL, change_registers, 0);
	go_in(where);
	__asm__ volatile("movq $0x0f, %%r12; ud2; movq %%r12, %1" : "+a"(rax), "=r"(r12) : : "r12", "memory");
	EXPECT_EQ(rax, 77);
	EXPECT_EQ(r12, 0xff);
	sigprocmask(SIG_SETMASK, NULL, &mask);
	EXPECT(sigismember(&mask, SIGUSR2));
}

/* --- vector registers --- */

static void clobber(int sig, siginfo_t *si, void *uc)
{
	volatile double x = 3.0;

	count[sig]++;
	/* What a handler begins with */
	if (fegetround() != FE_TONEAREST)
		count[0]++;
	__asm__ volatile("pcmpeqd %%xmm0, %%xmm0; movdqa %%xmm0, %%xmm1; movdqa %%xmm0, %%xmm2; movdqa %%xmm0, %%xmm7; movdqa %%xmm0, %%xmm15"
			 : : : "xmm0", "xmm1", "xmm2", "xmm7", "xmm15");
	x = x / 7;
	fesetround(FE_DOWNWARD);
}

EVERYWHERE(vector_registers)
{
	unsigned int i, rounds = 0, bad = 0;
	unsigned __int128 in[2], out[2];

	handle(SIGALRM, clobber, SA_RESTART);
	go_in(where);
	fesetround(FE_UPWARD);
	tick(1000);
	for (i = 0; count[SIGALRM] < 100; i++) {
		in[0] = (unsigned __int128)i * 0x9e3779b97f4a7c15 * 0x9e3779b97f4a7c15;
		in[1] = ~in[0] ^ 0x5555;
		__asm__ volatile("movdqa %2, %%xmm7; movdqa %3, %%xmm15; mov $2000, %%ecx; 1: dec %%ecx; jnz 1b; movdqa %%xmm7, %0; movdqa %%xmm15, %1"
				 : "=m"(out[0]), "=m"(out[1])
				 : "m"(in[0]), "m"(in[1])
				 : "xmm7", "xmm15", "rcx");
		if (memcmp(in, out, sizeof(in)))
			bad++;
		if (fegetround() != FE_UPWARD)
			bad++;
		rounds++;
	}
	tick(0);
	EXPECT_EQ(bad, 0);
	EXPECT_EQ(count[0], 0);
	expect_inside(where);
}

/* --- alternate stacks --- */

static char *alt;
static volatile int on_alt;

static void where_am_i(int sig, siginfo_t *si, void *uc)
{
	char here;
	stack_t ss;

	on_alt = &here >= alt && &here < alt + 65536;
	sigaltstack(NULL, &ss);
	count[0] = ss.ss_flags;
	count[sig]++;
}

static void overflow(int sig, siginfo_t *si, void *uc)
{
	char here;

	on_alt = &here >= alt && &here < alt + 65536;
	siglongjmp(env, 1);
}

static int __attribute__((noinline)) recurse(volatile char *above)
{
	volatile char here[1024];

	here[0] = above[0];
	if (above[0])
		return 0;
	return recurse(here) + here[0];
}

EVERYWHERE(alternate_stacks)
{
	stack_t ss, old;
	int i;

	alt = map(65536, PROT_READ | PROT_WRITE);
	ss = (stack_t){ .ss_sp = alt, .ss_size = 65536 };
	/* one before, one after entering */
	if (where != RING3)
		SYS(sigaltstack(&ss, NULL));
	go_in(where);
	if (where == RING3)
		SYS(sigaltstack(&ss, NULL));
	SYS(sigaltstack(NULL, &old));
	EXPECT(old.ss_sp == alt && old.ss_size == 65536 && old.ss_flags == 0);
	handle(SIGUSR1, where_am_i, SA_ONSTACK);
	handle(SIGUSR2, where_am_i, 0);
	raise(SIGUSR1);
	EXPECT_EQ(on_alt, 1);
	EXPECT_EQ(count[0], SS_ONSTACK);
	raise(SIGUSR2);
	EXPECT_EQ(on_alt, 0);
	EXPECT_EQ(count[0], 0);
	ss.ss_flags = (1u << 31);
	SYS(sigaltstack(&ss, NULL));
	raise(SIGUSR1);
	EXPECT_EQ(on_alt, 1);
	EXPECT_EQ(count[0], SS_DISABLE);
	SYS(sigaltstack(NULL, &old));
	EXPECT(old.ss_sp == alt && old.ss_flags == (int)(1u << 31));
	ss.ss_flags = 0;
	SYS(sigaltstack(&ss, NULL));
	handle(SIGSEGV, overflow, SA_ONSTACK);
	for (i = 0; i < 3; i++) {
		on_alt = 0;
		if (!sigsetjmp(env, 1)) {
			char c = 0;

			EXPECT_EQ(recurse(&c), 0);
		}
		EXPECT_EQ(on_alt, 1);
	}
	EXPECT_ERRNO(sigaltstack(&(stack_t){ .ss_sp = alt, .ss_size = 100 }, NULL), ENOMEM);
	EXPECT_ERRNO(sigaltstack(&(stack_t){ .ss_sp = alt, .ss_size = 65536, .ss_flags = 99 }, NULL), EINVAL);
	expect_inside(where);
}

/* A stack that cannot hold a frame: SIGSEGV, on the alternate stack if there is one; without, the end. */
EVERYWHERE(no_room_for_a_frame)
{
	int status;
	pid_t pid = SYS(fork());

	if (!pid) {
		go_in(where);
		handle(SIGUSR1, counting, 0);
		__asm__ volatile("movq %%rsp, %%rbx; movq $4096, %%rsp; syscall; movq %%rbx, %%rsp"
				 : : "a"(SYS_tgkill), "D"(getpid()), "S"(gettid()), "d"(SIGUSR1) : "rbx", "rcx", "r11", "memory");
		_exit(99);
	}
	SYS(waitpid(pid, &status, 0));
	EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

/* A frame that is none. */
EVERYWHERE(a_bad_frame)
{
	int status;
	pid_t pid = SYS(fork());

	if (!pid) {
		go_in(where);
		__asm__ volatile("movq $4096, %%rsp; syscall; ud2" : : "a"(SYS_rt_sigreturn) : "memory");
		_exit(99);
	}
	SYS(waitpid(pid, &status, 0));
	EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

/* --- signals and blocked calls --- */

EVERYWHERE(blocked_calls)
{
	struct timespec second = { 100, 0 };
	struct pollfd pfd;
	uint32_t word = 0;
	int p[2];
	char c;

	SYS(pipe(p));
	pfd = (struct pollfd){ .fd = p[0], .events = POLLIN };
	go_in(where);
	handle(SIGALRM, counting, 0);
	tick(3000);
	EXPECT_ERRNO(read(p[0], &c, 1), EINTR);
	EXPECT_ERRNO(poll(&pfd, 1, 100000), EINTR);
	EXPECT_ERRNO(nanosleep(&second, &second), EINTR);
	EXPECT_LE(second.tv_sec, 99);
	EXPECT_GE(second.tv_sec, 50);
	EXPECT_ERRNO(syscall(SYS_futex, &word, 0, 0, &second, NULL, 0), EINTR);
	EXPECT_ERRNO(pause(), EINTR);
	EXPECT_ERRNO(select(0, NULL, NULL, NULL, &(struct timeval){ 100, 0 }), EINTR);
	expect_inside(where);
	tick(0);
}

static int restart_pipe[2];

static void write_at_last(int sig, siginfo_t *si, void *uc)
{
	if (++count[sig] == 5)
		if (write(restart_pipe[1], "x", 1) != 1)
			_exit(98);
}

EVERYWHERE(restarted_calls)
{
	char c = 0;

	SYS(pipe(restart_pipe));
	go_in(where);
	handle(SIGALRM, write_at_last, SA_RESTART);
	tick(3000);
	EXPECT_EQ(read(restart_pipe[0], &c, 1), 1);
	tick(0);
	EXPECT_EQ(c, 'x');
	EXPECT_GE(count[SIGALRM], 5);
	/* poll is not restarted, whatever the flag */
	count[SIGALRM] = 10;
	tick(3000);
	EXPECT_ERRNO(poll(NULL, 0, 100000), EINTR);
	tick(0);
	expect_inside(where);
}

EVERYWHERE(masks_of_calls)
{
	sigset_t block = set_of(SIGALRM), open, mask;
	struct sigaction sa = { .sa_sigaction = look_at_mask, .sa_flags = SA_SIGINFO };
	struct timespec limit = { 100, 0 };

	go_in(where);
	SYS(sigprocmask(SIG_BLOCK, &block, NULL));
	SYS(sigaction(SIGALRM, &sa, NULL));
	sigemptyset(&open);
	sigaddset(&open, SIGUSR2);
	tick(3000);
	EXPECT_ERRNO(sigsuspend(&open), EINTR);
	EXPECT_GE(count[SIGALRM], 1);
	EXPECT(sigismember(&mask_in_handler, SIGUSR2) && sigismember(&mask_in_handler, SIGALRM));
	sigprocmask(SIG_SETMASK, NULL, &mask);
	EXPECT(sigismember(&mask, SIGALRM) && !sigismember(&mask, SIGUSR2));
	count[SIGALRM] = 0;
	EXPECT_ERRNO(ppoll(NULL, 0, &limit, &open), EINTR);
	EXPECT_GE(count[SIGALRM], 1);
	EXPECT(sigismember(&mask_in_handler, SIGUSR2));
	EXPECT_ERRNO(pselect(0, NULL, NULL, NULL, &limit, &open), EINTR);
	sigprocmask(SIG_SETMASK, NULL, &mask);
	EXPECT(sigismember(&mask, SIGALRM) && !sigismember(&mask, SIGUSR2));
	tick(0);
}

/* Stopped and continued, in code and in a call: it goes on as if nothing had been. */
EVERYWHERE(stop_and_continue)
{
	int status, i;
	pid_t pid = SYS(fork());

	if (!pid) {
		volatile unsigned long n = 0;

		go_in(where);
		while (n < 100000000ul && getppid() != 1)
			n++;
		_exit(7);
	}
	for (i = 0; i < 5; i++) {
		SYS(kill(pid, SIGSTOP));
		SYS(waitpid(pid, &status, WUNTRACED));
		if (!WIFSTOPPED(status))
			break;
		EXPECT_EQ(WSTOPSIG(status), SIGSTOP);
		SYS(kill(pid, SIGCONT));
	}
	SYS(kill(pid, SIGKILL));
	SYS(waitpid(pid, &status, 0));
	EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* A signal meets the thread everywhere: between calls, in them, in handlers. Nothing is lost or doubled. */
static volatile sig_atomic_t got;

static void count_value(int sig, siginfo_t *si, void *uc)
{
	got++;
}

EVERYWHERE(signals_from_another_process)
{
	const int n = 2000;
	int status, i;
	pid_t pid;

	handle(41, count_value, SA_RESTART);
	pid = SYS(fork());
	if (!pid) {
		go_in(where);
		while (got < n)
			getppid();
		EXPECT_EQ(got, n);
		expect_inside(where);
		test_leave();
	}
	for (i = 0; i < n; i++)
		while (sigqueue(pid, 41, (union sigval){ .sival_int = i }) && errno == EAGAIN)
			sched_yield();
	SYS(waitpid(pid, &status, 0));
	EXPECT_EQ(status, 0);
}

/* --- a tracer that stops the thread at every system call --- */

static void traced(enum where where)
{
	volatile char *page;
	int i;

	go_in(where);
	for (i = 0; i < 20; i++) {
		ASSERT_EQ(getppid(), syscall(SYS_getppid));
		page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		ASSERT(page != MAP_FAILED);
		page[4096] = i;
		SYS(munmap((void *)page, 8192));
	}
	raise(SIGUSR1);
	ASSERT_EQ(count[SIGUSR1], 1);
	expect_inside(where);
}

EVERYWHERE(traced_at_every_call)
{
	int status, stops = 0, sig = 0;
	pid_t pid = SYS(fork());

	if (!pid) {
		handle(SIGUSR1, counting, 0);
		SYS(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
		raise(SIGSTOP);
		traced(where);
		_exit(9);
	}
	SYS(waitpid(pid, &status, 0));
	while (WIFSTOPPED(status)) {
		if (++stops > 20000) {
			kill(pid, SIGKILL);
			SYS(waitpid(pid, &status, 0));
			break;
		}
		sig = WSTOPSIG(status) == SIGTRAP || WSTOPSIG(status) == SIGSTOP ? 0 : WSTOPSIG(status);
		SYS(ptrace(PTRACE_SYSCALL, pid, NULL, (long)sig));
		SYS(waitpid(pid, &status, 0));
	}
	EXPECT(stops > 100);
	EXPECT(stops <= 20000);
	EXPECT(WIFEXITED(status));
	EXPECT_EQ(WEXITSTATUS(status), 9);
}
