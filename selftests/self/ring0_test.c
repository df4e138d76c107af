// SPDX-License-Identifier: MIT
/*
 * Ring 0 of the program's own guest: handlers, ring 3 below it, tables, threads. Handlers count what they see; the tests compare.
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "self.h"
#include "self/self.h"

#define PAGE	4096ul

static struct rs_trap_frame last;
static volatile unsigned int traps;
static volatile uint8_t *page;
static sigjmp_buf back;

static void new_page(void)
{
	page = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT(page != MAP_FAILED);
	memset((void *)page, 0, 16 * PAGE);
}

/* --- handlers --- */

static void skip_ud2(struct rs_trap_frame *f)
{
	last = *f;
	traps++;
	f->rip += 2;
}

static void count_int3(struct rs_trap_frame *f)
{
	last = *f;
	traps++;
}

TEST(handler_gets_the_frame_and_may_change_it)
{
	uint64_t rax = 0x1234, rbx = 5;

	enter(RS_ENTER_RING0);
	EXPECT_EQ(rs_ring0_handle(6, skip_ud2), 0);
	EXPECT_EQ(rs_ring0_handle(3, count_int3), 0);
	asm volatile("ud2" : "+a"(rax), "+b"(rbx));
	EXPECT_EQ(traps, 1);
	EXPECT_EQ(last.vector, 6);
	EXPECT_EQ(last.rax, 0x1234);
	EXPECT_EQ(last.rbx, 5);
	EXPECT_EQ(last.cause, RS_CAUSE_EXCEPTION);
	EXPECT_EQ(last.cs & 3, 0);
	EXPECT_EQ(rax, 0x1234);
	asm volatile("int3" : "+a"(rax));
	EXPECT_EQ(traps, 2);
	EXPECT_EQ(last.vector, 3);
	EXPECT_EQ(rs_ring0_handle(2, skip_ud2), -EINVAL);
	EXPECT_EQ(rs_ring0_handle(8, skip_ud2), -EINVAL);
	EXPECT_EQ(rs_ring0_handle(32, skip_ud2), -EINVAL);
	EXPECT_EQ(rs_leave(), 0);
}

/* A handler whose compiled code uses vector registers, and changes them. */
static void vector_handler(struct rs_trap_frame *f)
{
	volatile double x[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	double sum = 0;
	int i;

	for (i = 0; i < 8; i++)
		sum += x[i] / 3;
	asm volatile("pcmpeqb %%xmm0, %%xmm0; movdqa %%xmm0, %%xmm7; movdqa %%xmm0, %%xmm15; fldz; fld1" ::: "xmm0", "xmm7", "xmm15");
	if (sum > 11 && sum < 13)
		traps++;
	f->rip += 2;
}

/* Patterns in the registers and below the stack pointer; what differs after an UD2. */
static unsigned int patterns(void)
{
	unsigned int bad;

	asm volatile(
		"xorl %%eax, %%eax\n"
		"movq $0x5a5a, -8(%%rsp); movq $0xa5a5, -128(%%rsp); movq $0x7777, -64(%%rsp)\n"
		"movl $0x11, %%ebx; movl $0x22, %%r12d; movl $0x33, %%r15d\n"
		"movq %%rbx, %%xmm0; movq %%r12, %%xmm7; movq %%r15, %%xmm15\n"
		"stc\n"
		"ud2\n"
		"jc 1f; orl $1, %%eax\n"
		"1: cmpq $0x5a5a, -8(%%rsp); je 2f; orl $2, %%eax\n"
		"2: cmpq $0xa5a5, -128(%%rsp); je 3f; orl $4, %%eax\n"
		"3: cmpq $0x7777, -64(%%rsp); je 4f; orl $8, %%eax\n"
		"4: cmpl $0x11, %%ebx; je 5f; orl $16, %%eax\n"
		"5: cmpl $0x22, %%r12d; je 6f; orl $32, %%eax\n"
		"6: cmpl $0x33, %%r15d; je 7f; orl $64, %%eax\n"
		"7: movq %%xmm0, %%rcx; cmpq $0x11, %%rcx; je 8f; orl $128, %%eax\n"
		"8: movq %%xmm7, %%rcx; cmpq $0x22, %%rcx; je 9f; orl $256, %%eax\n"
		"9: movq %%xmm15, %%rcx; cmpq $0x33, %%rcx; je 10f; orl $512, %%eax\n"
		"10:\n"
		: "=&a"(bad) :: "rbx", "rcx", "r12", "r15", "xmm0", "xmm7", "xmm15", "cc", "memory");
	return bad;
}

static void registers_survive(void)
{
	uint16_t before, after;
	int i;

	enter(RS_ENTER_RING0);
	rs_ring0_handle(6, vector_handler);
	asm volatile("fnstcw %0" : "=m"(before));
	for (i = 0; i < 1000; i++)
		EXPECT_EQ(patterns(), 0);
	EXPECT_EQ(traps, 1000);
	asm volatile("fnstcw %0" : "=m"(after));
	EXPECT_EQ(before, after);
	EXPECT_EQ(rs_leave(), 0);
}

TEST(red_zone_flags_and_vector_registers_survive)
{
	registers_survive();
}

TEST(red_zone_flags_and_sse_registers_survive_without_xsave)
{
	rs_self.no_xsave = 1;
	registers_survive();
}

/* --- page faults --- */

static void unprotect(struct rs_trap_frame *f)
{
	last = *f;
	traps++;
	rs_ring0_protect((void *)(f->addr & ~(PAGE - 1)), PAGE, RS_PAGE_WRITE | RS_PAGE_EXEC);
}

TEST(own_rights_are_faults_to_the_handler_without_an_exit)
{
	struct rs_self_stats a, b;
	int i;

	enter(RS_ENTER_RING0);
	new_page();
	rs_ring0_handle(14, unprotect);
	EXPECT_EQ(rs_ring0_protect((void *)page, PAGE, RS_PAGE_READ), 0);
	EXPECT_EQ(page[5], 0);
	EXPECT_EQ(traps, 0);
	page[5] = 7;
	EXPECT_EQ(traps, 1);
	EXPECT_EQ(last.addr, (uintptr_t)page + 5);
	EXPECT_EQ(last.error & 7, 3);
	EXPECT_EQ(last.cause, RS_CAUSE_TABLES);
	EXPECT_EQ(page[5], 7);
	EXPECT_EQ(rs_ring0_protect((void *)page, PAGE, RS_PAGE_NONE), 0);
	EXPECT_EQ(page[5], 7);
	EXPECT_EQ(traps, 2);
	EXPECT_EQ(last.error & 7, 0);
	EXPECT_EQ(page[PAGE], 0);
	EXPECT_EQ(traps, 2);

	rs_self_stats(&a);
	for (i = 0; i < 1000; i++) {
		rs_ring0_protect((void *)page, PAGE, RS_PAGE_READ);
		page[i] = i;
	}
	rs_self_stats(&b);
	EXPECT_EQ(traps, 1002);
	/* the first rs_self_stats() comes back by one, the second has an exit of its own */
	EXPECT_LE(b.exits - a.exits - (b.exits_interrupt - a.exits_interrupt), 2);
	EXPECT_EQ(rs_ring0_protect((void *)page + 1, PAGE, RS_PAGE_READ), -EINVAL);
	EXPECT_EQ(rs_ring0_protect((void *)page, PAGE, 0x40000), -EINVAL);
	EXPECT_EQ(rs_ring0_protect((void *)-PAGE, PAGE, 0), -EINVAL);
	EXPECT_EQ(rs_leave(), 0);
}

TEST(rights_of_large_ranges)
{
	const size_t size = 16ul << 20;
	uint8_t *p;
	size_t i;

	enter(RS_ENTER_RING0);
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT(p != MAP_FAILED);
	rs_ring0_handle(14, unprotect);
	EXPECT_EQ(rs_ring0_protect(p, size, RS_PAGE_NONE), 0);
	for (i = 0; i < size; i += 100 * PAGE)
		p[i] = 1;
	EXPECT_EQ(traps, (size + 100 * PAGE - 1) / (100 * PAGE));
	EXPECT_EQ(rs_ring0_protect(p, size, RS_PAGE_WRITE), 0);
	traps = 0;
	for (i = 0; i < size; i += PAGE)
		EXPECT_EQ(p[i], i % (100 * PAGE) == 0);
	EXPECT_EQ(traps, 0);
	EXPECT_EQ(rs_leave(), 0);
}

static void map_it(struct rs_trap_frame *f)
{
	void *at = (void *)(f->addr & ~(PAGE - 1));

	last = *f;
	traps++;
	if (mmap(at, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != at)
		rs_leave();
}

TEST(what_linux_refuses_is_a_fault_to_the_handler)
{
	enter(RS_ENTER_RING0);
	new_page();
	rs_ring0_handle(14, map_it);
	munmap((void *)page + PAGE, PAGE);
	EXPECT_EQ(page[PAGE + 3], 0);
	EXPECT_EQ(traps, 1);
	EXPECT_EQ(last.cause, RS_CAUSE_LINUX);
	EXPECT_EQ(last.addr, (uintptr_t)page + PAGE + 3);
	EXPECT_EQ(last.error & 3, 0);
	mprotect((void *)page + 2 * PAGE, PAGE, PROT_READ);
	EXPECT_EQ(page[2 * PAGE], 0);
	page[2 * PAGE + 9] = 1;
	EXPECT_EQ(traps, 2);
	EXPECT_EQ(last.addr, (uintptr_t)page + 2 * PAGE + 9);
	EXPECT_EQ(last.error & 3, 3);
	/* a part of the address space that nothing has touched */
	*(volatile int *)0x234500000123 = 1;
	EXPECT_EQ(traps, 3);
	EXPECT_EQ(last.addr, 0x234500000123);
	EXPECT_EQ(rs_leave(), 0);
}

static void to_signal(struct rs_trap_frame *f)
{
	traps++;
	f->cause = RS_CAUSE_SIGNAL;
}

static siginfo_t info;

static void on_signal(int sig, siginfo_t *i, void *uc)
{
	info = *i;
	siglongjmp(back, sig);
}

static void take(int sig)
{
	struct sigaction sa = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO };

	SYS(sigaction(sig, &sa, NULL));
}

static void faults_are_signals(void)
{
	take(SIGSEGV);
	take(SIGILL);
	take(SIGFPE);
	new_page();
	munmap((void *)page, PAGE);
	if (!sigsetjmp(back, 1)) {
		page[1] = 1;
		FAIL("no fault");
	}
	EXPECT_EQ(info.si_signo, SIGSEGV);
	EXPECT_EQ(info.si_code, SEGV_MAPERR);
	EXPECT_EQ((uintptr_t)info.si_addr, (uintptr_t)page + 1);
	mprotect((void *)page + PAGE, PAGE, PROT_READ);
	if (!sigsetjmp(back, 1)) {
		page[PAGE] = 1;
		FAIL("no fault");
	}
	EXPECT_EQ(info.si_code, SEGV_ACCERR);
	if (!sigsetjmp(back, 1)) {
		asm volatile("ud2");
		FAIL("no fault");
	}
	EXPECT_EQ(info.si_signo, SIGILL);
	if (!sigsetjmp(back, 1)) {
		asm volatile("divl %0" :: "r"(0), "a"(1), "d"(0));
		FAIL("no fault");
	}
	EXPECT_EQ(info.si_signo, SIGFPE);
	EXPECT_EQ(info.si_code, FPE_INTDIV);
	page[2 * PAGE] = 0xc3;
	if (!sigsetjmp(back, 1)) {
		((void (*)(void))(page + 2 * PAGE))();
		FAIL("no fault");
	}
	EXPECT_EQ(info.si_signo, SIGSEGV);
	EXPECT_EQ(info.si_code, SEGV_ACCERR);
	EXPECT_EQ((uintptr_t)info.si_addr, (uintptr_t)page + 2 * PAGE);
	mprotect((void *)page + 2 * PAGE, PAGE, PROT_READ | PROT_EXEC);
	((void (*)(void))(page + 2 * PAGE))();
	if (!sigsetjmp(back, 1)) {
		*(volatile int *)0x8000000000000000 = 1;
		FAIL("no fault");
	}
	EXPECT_EQ(info.si_signo, SIGSEGV);
	EXPECT_EQ(info.si_code, SI_KERNEL);
}

TEST(faults_are_signals_in_ring3)
{
	void *arena;
	size_t len;

	enter(0);
	faults_are_signals();
	/* what the library has is not ring 3's */
	EXPECT_EQ(rs_ring0_arena(&arena, &len), 0);
	if (!sigsetjmp(back, 1)) {
		*(volatile int *)arena = 1;
		FAIL("no fault");
	}
	EXPECT_EQ(info.si_code, SEGV_ACCERR);
	EXPECT_EQ((uintptr_t)info.si_addr, (uintptr_t)arena);
	if (!sigsetjmp(back, 1)) {
		*(volatile int *)0xffff800000000000 = 1;
		FAIL("no fault");
	}
	EXPECT_EQ(info.si_code, SEGV_MAPERR);
	EXPECT_EQ(rs_leave(), 0);
}

TEST(faults_are_signals_in_ring0)
{
	enter(RS_ENTER_RING0);
	faults_are_signals();
	rs_ring0_handle(14, to_signal);
	rs_ring0_handle(6, to_signal);
	rs_ring0_handle(0, to_signal);
	faults_are_signals();
	EXPECT_EQ(traps, 5);
	EXPECT_EQ(rs_leave(), 0);
}

/* --- nesting, calls and jumps in handlers --- */

static void deep(struct rs_trap_frame *f)
{
	unsigned int depth = f->rax;

	traps++;
	if (depth)
		asm volatile("ud2" :: "a"(depth - 1));
	f->rip += 2;
}

TEST(handlers_nest)
{
	enter(RS_ENTER_RING0);
	rs_ring0_handle(6, deep);
	asm volatile("ud2" :: "a"(20));
	EXPECT_EQ(traps, 21);
	asm volatile("ud2" :: "a"(0));
	EXPECT_EQ(traps, 22);
	EXPECT_EQ(rs_leave(), 0);
}

static int out = -1;

static void talks(struct rs_trap_frame *f)
{
	char text[64];
	int n = snprintf(text, sizeof(text), "vector %d %.2f\n", (int)f->vector, 0.25);

	if (write(out, text, n) == n)
		traps++;
	f->rip += 2;
}

TEST(handlers_make_system_calls_with_their_own_stack)
{
	char text[64] = "";
	int fds[2];

	SYS(pipe(fds));
	out = fds[1];
	enter(RS_ENTER_RING0);
	rs_ring0_handle(6, talks);
	asm volatile("ud2");
	EXPECT_EQ(traps, 1);
	EXPECT_GT(read(fds[0], text, sizeof(text) - 1), 0);
	EXPECT(!strcmp(text, "vector 6 0.25\n"));
	EXPECT_EQ(rs_leave(), 0);
}

static void jumps(struct rs_trap_frame *f)
{
	traps++;
	siglongjmp(back, 1);
}

TEST(handlers_may_jump_away)
{
	int i;

	enter(RS_ENTER_RING0);
	rs_ring0_handle(6, jumps);
	for (i = 0; i < 5000; i++)
		if (!sigsetjmp(back, 0))
			asm volatile("ud2");
	EXPECT_EQ(traps, 5000);
	EXPECT_EQ(rs_leave(), 0);
}

static void leaves(struct rs_trap_frame *f)
{
	char text[16];

	if (rs_leave() == 0 && rs_inside() == -1)
		traps++;
	snprintf(text, sizeof(text), "%d", 77);
	if (!strcmp(text, "77") && rs_enter(RS_ENTER_RING0) == 0)
		traps++;
	asm volatile("int3");
	f->rip += 2;
}

TEST(handlers_may_leave_and_enter)
{
	enter(RS_ENTER_RING0);
	rs_ring0_handle(6, leaves);
	rs_ring0_handle(3, count_int3);
	asm volatile("ud2");
	EXPECT_EQ(traps, 3);
	EXPECT_EQ(rs_inside(), 0);
	EXPECT_EQ(rs_leave(), 0);
}

/* --- rs_ring0_resume, literal calls --- */

TEST(resume_loads_everything)
{
	struct rs_trap_frame f = { .rax = 1, .rbx = 2, .rcx = 3, .rdx = 4, .rsi = 5, .rdi = 6, .r8 = 8, .r9 = 9, .r10 = 10, .r11 = 11,
				   .r12 = 12, .r13 = 13, .r14 = 14, .r15 = 15, .rbp = 16, .rflags = 0x203 };
	static volatile int again;

	enter(RS_ENTER_RING0);
	rs_ring0_handle(3, count_int3);
	if (!sigsetjmp(back, 0)) {
		asm volatile("movq %%rsp, %0; leaq 1f(%%rip), %%rax; movq %%rax, %1; jmp 2f\n"
			     "1: int3; jmp resumed_here\n2:" : "=m"(f.rsp), "=m"(f.rip) :: "rax", "memory");
		again = 1;
		rs_ring0_resume(&f);
	}
	EXPECT_EQ(again, 1);
	EXPECT_EQ(traps, 1);
	EXPECT_EQ(last.rax, 1);
	EXPECT_EQ(last.rbx, 2);
	EXPECT_EQ(last.rcx, 3);
	EXPECT_EQ(last.r11, 11);
	EXPECT_EQ(last.r15, 15);
	EXPECT_EQ(last.rbp, 16);
	EXPECT_EQ(last.rsp, f.rsp);
	EXPECT_EQ(last.rflags & 1, 1);
	EXPECT_EQ(rs_leave(), 0);
}

void resumed(void);
void resumed(void)
{
	siglongjmp(back, 1);
}
asm("resumed_here: andq $-16, %rsp; call resumed; ud2");

static long literal(int amd, long nr)
{
	long ret;

	if (amd)
		asm volatile("vmmcall" : "=a"(ret) : "a"(nr), "D"(0), "S"(0), "d"(0) : "memory");
	else
		asm volatile("vmcall" : "=a"(ret) : "a"(nr), "D"(0), "S"(0), "d"(0) : "memory");
	return ret;
}

static void literals(unsigned int flags)
{
	pid_t pid = getpid();

	enter(flags);
	if (!flags)
		take(SIGILL);
	else
		rs_ring0_handle(6, skip_ud2);
	EXPECT_EQ(literal(0, SYS_getpid), pid);
	EXPECT_EQ(literal(1, SYS_getpid), pid);
	EXPECT_EQ(literal(0, 0x7fff), -ENOSYS);
	EXPECT_EQ(literal(0, 0x200), -ENOSYS);	/* not the library's own calls */
	EXPECT_EQ(traps, 0);
	EXPECT_EQ(rs_leave(), 0);
}

TEST(literal_vmcall_is_a_system_call_in_ring3)
{
	literals(0);
}

TEST(literal_vmcall_is_a_system_call_in_ring0)
{
	literals(RS_ENTER_RING0);
}

/* --- ring 3 of a program in ring 0 --- */

static uint64_t user_calls[4];

static void user_syscall(struct rs_trap_frame *f)
{
	last = *f;
	traps++;
	if (f->rax == 1000)
		rs_ring0_user_exit(f->rdi);
	if (f->rax == SYS_getpid)
		rs_ring0_linux(f);
	else
		f->rax = -ENOSYS;
}

static void user_fault(struct rs_trap_frame *f)
{
	last = *f;
	traps++;
	rs_ring0_user_exit(-(int)f->vector);
}

asm("user_calls_code: movl $39, %eax; syscall; movq %rax, (%rdi); movl $77, %eax; syscall; movq %rax, 8(%rdi)\n"
    "movq %cs, %rax; movq %rax, 16(%rdi); movl $1000, %eax; movl $42, %edi; syscall; ud2\n"
    "user_cli_code: cli; ud2\n"
    "user_loop_code: movq (%rdi), %rax; jmp user_loop_code\n"
    "user_base_code: movq %fs:0, %rdi; movl $1000, %eax; syscall; ud2\n"
    "user_stack_code: xorl %esp, %esp; movq $1, (%rdi); int3; ud2\n");
extern char user_calls_code[], user_cli_code[], user_loop_code[], user_base_code[], user_stack_code[];

static int run_user(void *code, void *arg)
{
	static char stack[8192] __attribute__((aligned(16)));
	struct rs_trap_frame f = { .rip = (uintptr_t)code, .rsp = (uintptr_t)stack + sizeof(stack), .rdi = (uintptr_t)arg, .cs = 3,
				   .rflags = 0x202 };

	return rs_ring0_user(&f);
}

/* The literal is no way around the program's handler. */
asm("user_vmcall_code: movl $39, %eax; vmcall; ud2");
extern char user_vmcall_code[];

TEST(literal_vmcall_of_ring3_is_no_system_call)
{
	enter(RS_ENTER_RING0);
	rs_ring0_handle(6, user_fault);
	EXPECT_EQ(run_user(user_vmcall_code, NULL), -6);
	EXPECT_EQ(last.rip, (uintptr_t)user_vmcall_code + 5);
	EXPECT_EQ(rs_leave(), 0);
}

static void below(void)
{
	uint64_t bases[2], word[2] = { 0x42 }, fs;
	int i;

	enter(RS_ENTER_RING0);
	rs_ring0_syscalls(user_syscall);
	rs_ring0_handle(13, user_fault);
	rs_ring0_handle(14, user_fault);
	rs_ring0_handle(3, user_fault);
	for (i = 0; i < 100; i++) {
		EXPECT_EQ(run_user(user_calls_code, user_calls), 42);
		EXPECT_EQ(user_calls[0], getpid());
		EXPECT_EQ(user_calls[1], -ENOSYS);
		EXPECT_EQ(user_calls[2], 0x33);
		EXPECT_EQ(run_user(user_cli_code, NULL), -13);
		EXPECT_EQ(last.rip, (uintptr_t)user_cli_code);
		EXPECT_EQ(last.cs & 3, 3);
	}
	/* no access to the library's memory, whatever the address */
	EXPECT_EQ(run_user(user_loop_code, (void *)0xffff800000000000), -14);
	EXPECT_EQ(last.error & 7, 5);
	EXPECT_EQ(run_user(user_loop_code, rs_ring0_root()), -14);
	EXPECT_EQ(last.error & 7, 5);
	/* a stack pointer of nothing does not matter to handlers */
	EXPECT_EQ(run_user(user_stack_code, word), -3);
	EXPECT_EQ(last.rsp, 0);
	/* bases of its own */
	asm("movq %%fs:0, %0" : "=r"(fs));
	word[0] = 0x99;
	bases[0] = (uintptr_t)word;
	bases[1] = 0;
	EXPECT_EQ(rs_ring0_user_bases(bases, NULL), 0);
	EXPECT_EQ(run_user(user_base_code, NULL), 0x99);
	EXPECT_EQ(rs_ring0_user_bases(NULL, bases), 0);
	EXPECT_EQ(bases[0], (uintptr_t)word);
	{
		uint64_t now;

		asm("movq %%fs:0, %0" : "=r"(now));
		EXPECT_EQ(now, fs);
	}
	/* the trap stack is as before */
	rs_ring0_handle(6, deep);
	traps = 0;
	asm volatile("ud2" :: "a"(20));
	EXPECT_EQ(traps, 21);
	/* Linux answers when nobody else does */
	rs_ring0_syscalls(NULL);
	user_calls[0] = 0;
	rs_ring0_handle(6, user_fault);
	EXPECT_EQ(run_user(user_calls_code, user_calls), -6);
	EXPECT_EQ(user_calls[0], getpid());
	EXPECT_EQ(rs_leave(), 0);
}

TEST(ring3_below_ring0)
{
	below();
}

TEST(ring3_below_ring0_without_fsgsbase)
{
	rs_self.no_fsgsbase = 1;
	below();
}

static void user_in_handler(struct rs_trap_frame *f)
{
	rs_ring0_handle(6, user_fault);
	if (run_user(user_calls_code, user_calls) == 42)
		traps = 1000;
	rs_ring0_handle(6, user_in_handler);
	f->rip += 2;
}

TEST(ring3_from_a_handler)
{
	int i;

	enter(RS_ENTER_RING0);
	rs_ring0_syscalls(user_syscall);
	rs_ring0_handle(6, user_in_handler);
	for (i = 0; i < 100; i++) {
		traps = 0;
		asm volatile("ud2");
		EXPECT_EQ(traps, 1000);
	}
	EXPECT_EQ(rs_leave(), 0);
}

/* --- own tables and gates --- */

static uint64_t read_cr3(void)
{
	uint64_t v;

	asm volatile("mov %%cr3, %0" : "=r"(v));
	return v;
}

static void write_cr3(uint64_t v)
{
	asm volatile("mov %0, %%cr3" :: "r"(v) : "memory");
}

TEST(own_page_tables)
{
	uint64_t *root, *own, old, *entry;
	int i;

	enter(RS_ENTER_RING0);
	new_page();
	rs_ring0_handle(6, skip_ud2);
	root = rs_ring0_root();
	old = read_cr3();
	EXPECT_EQ(rs_ring0_gpa(root), old);
	EXPECT(rs_ring0_va(old) == root);
	own = rs_ring0_table_alloc();
	ASSERT(own);
	for (i = 0; i < 512; i++)
		own[i] = root[i];
	write_cr3(rs_ring0_gpa(own));
	page[0] = 1;
	asm volatile("ud2");
	EXPECT_EQ(traps, 1);
	EXPECT_EQ(getppid() > 0, 1);
	write_cr3(old);
	rs_ring0_table_free(own);

	/* a page shown at another place */
	entry = rs_ring0_entry(root, (void *)page + PAGE, 1);
	ASSERT(entry);
	EXPECT(rs_ring0_entry(root, (void *)page + PAGE, 0) == entry);
	page[PAGE] = 5;
	page[2 * PAGE] = 6;
	EXPECT_EQ(*entry & 0x000ffffffffff000, rs_ring0_gpa((void *)page + PAGE));
	*entry = (*entry & ~0x000ffffffffff060) | rs_ring0_gpa((void *)page + 2 * PAGE);
	EXPECT_EQ(rs_ring0_flush((void *)page + PAGE, PAGE), 0);
	EXPECT_EQ(page[PAGE], 6);
	EXPECT(*entry & 0x20);			/* accessed */
	EXPECT_EQ(*entry & 0x40, 0);
	page[PAGE] = 7;
	EXPECT(*entry & 0x40);			/* dirty */
	EXPECT_EQ(page[2 * PAGE], 7);
	EXPECT_EQ(rs_leave(), 0);
}

struct __attribute__((packed)) pointer {
	uint16_t limit;
	uint64_t base;
};

static volatile int own_gate_hits;
asm("own_gate: incl own_gate_hits(%rip); addq $2, (%rsp); iretq");
extern char own_gate[];

TEST(own_interrupt_table)
{
	struct pointer old, own;
	uint64_t *idt = aligned_alloc(4096, 4096), g = (uintptr_t)own_gate;

	enter(RS_ENTER_RING0);
	rs_ring0_handle(6, skip_ud2);
	asm volatile("sidt %0" : "=m"(old));
	memcpy(idt, (void *)old.base, old.limit + 1);
	idt[12] = (g & 0xffff) | 0x10 << 16 | 0x8eull << 40 | (g >> 16 & 0xffff) << 48;
	idt[13] = g >> 32;
	own = (struct pointer){ old.limit, (uintptr_t)idt };
	asm volatile("lidt %0" :: "m"(own));
	/* no stack of its own in the gate: below the red zone by hand */
	asm volatile("subq $128, %%rsp; ud2; addq $128, %%rsp" ::: "memory");
	asm volatile("lidt %0" :: "m"(old));
	EXPECT_EQ(own_gate_hits, 1);
	EXPECT_EQ(traps, 0);
	asm volatile("ud2");
	EXPECT_EQ(traps, 1);
	EXPECT_EQ(rs_leave(), 0);
}

TEST(only_in_ring0)
{
	struct rs_trap_frame f = { 0 };
	uint64_t b[2];

	EXPECT(!rs_ring0_root());
	EXPECT_EQ(rs_ring0_gpa(&f), ~0ul);
	EXPECT_EQ(rs_ring0_user(&f), -EPERM);
	EXPECT_EQ(rs_ring0_linux(&f), -EPERM);
	EXPECT_EQ(rs_ring0_flush(&f, 1), -EPERM);
	EXPECT_EQ(rs_ring0_protect(&f, 0, 0), -EPERM);
	enter(0);
	EXPECT(!rs_ring0_root());
	EXPECT(!rs_ring0_table_alloc());
	EXPECT_EQ(rs_ring0_handle(6, skip_ud2), -EPERM);
	EXPECT_EQ(rs_ring0_user_bases(NULL, b), -EPERM);
	EXPECT_EQ(rs_leave(), 0);
}

/* --- threads --- */

static volatile int stop, started;
static volatile uint64_t *shared_word;

static void stop_writing(struct rs_trap_frame *f)
{
	last = *f;
	traps++;
	rs_ring0_resume(&(struct rs_trap_frame){ .rip = f->rbx, .rsp = f->r12, .rflags = 0x202, .rbp = f->rbp });
}

/* Writes until its page is taken away. */
static void *writer(void *arg)
{
	if (rs_enter(RS_ENTER_RING0))
		return (void *)1;
	asm volatile(
		"pushq %%rbp\n"
		"leaq 2f(%%rip), %%rbx\n"
		"movq %%rsp, %%r12\n"
		"1: incq (%0)\n"
		"movl $1, started(%%rip)\n"
		"jmp 1b\n"
		"2: popq %%rbp\n"
		:: "r"(shared_word) : "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory");
	rs_leave();
	return NULL;
}

TEST(changes_of_tables_reach_all_threads)
{
	pthread_t t;
	uint64_t seen;
	void *ret;
	int i, round;

	enter(RS_ENTER_RING0);
	new_page();
	shared_word = (void *)page;
	rs_ring0_handle(14, stop_writing);
	for (round = 0; round < 20; round++) {
		EXPECT_EQ(rs_leave(), 0);
		traps = started = 0;
		SYS(-pthread_create(&t, NULL, writer, NULL));
		enter(RS_ENTER_RING0);
		while (!started)
			sched_yield();
		EXPECT_EQ(rs_ring0_protect((void *)page, PAGE, RS_PAGE_READ), 0);
		seen = *shared_word;
		for (i = 0; i < 1000; i++)
			EXPECT_EQ(*shared_word, seen);
		EXPECT_EQ(rs_leave(), 0);
		pthread_join(t, &ret);
		EXPECT(!ret);
		EXPECT_EQ(traps, 1);
		enter(RS_ENTER_RING0);
		EXPECT_EQ(rs_ring0_protect((void *)page, PAGE, RS_PAGE_WRITE), 0);
	}
	EXPECT_EQ(rs_leave(), 0);
}

/* --- what must not be silent --- */

static void overflow(struct rs_trap_frame *f)
{
	volatile char use[4000];

	use[0] = f->rax;
	asm volatile("ud2" :: "a"(use[0]));
}

static void bad_handler(struct rs_trap_frame *f)
{
	f->rip = 0x8000000000000000;
}

static void dies(void (*fn)(void), const char *words)
{
	char text[1024] = "";
	int fds[2], status;
	size_t n = 0;
	ssize_t got;
	pid_t pid;

	SYS(pipe(fds));
	pid = SYS(fork());
	if (!pid) {
		dup2(fds[1], 2);
		fn();
		_exit(99);
	}
	close(fds[1]);
	while ((got = read(fds[0], text + n, sizeof(text) - 1 - n)) > 0)
		n += got;
	SYS(waitpid(pid, &status, 0));
	EXPECT(WIFSIGNALED(status));
	if (!strstr(text, words))
		FAIL("'%s', not '%s'", text, words);
}

static void die_of_overflow(void)
{
	if (rs_enter(RS_ENTER_RING0))
		_exit(98);
	rs_ring0_handle(6, overflow);
	asm volatile("ud2");
}

static void die_of_exit(void)
{
	if (rs_enter(RS_ENTER_RING0))
		_exit(98);
	rs_ring0_user_exit(1);
}

static void die_of_tables(void)
{
	if (rs_enter(RS_ENTER_RING0))
		_exit(98);
	write_cr3(0);
}

/* The IST stack of all gates is gone: what comes next is a double fault. */
static void die_of_double_fault(void)
{
	struct pointer old;
	uint64_t *idt;

	if (rs_enter(RS_ENTER_RING0))
		_exit(98);
	asm volatile("sidt %0" : "=m"(old));
	idt = (void *)old.base;
	idt[12] &= ~(1ull << 47);	/* #UD is not present, and neither is #NP */
	idt[22] &= ~(1ull << 47);
	asm volatile("ud2");
}

TEST(ends_come_with_words)
{
	struct rs_self_stats st;

	enter(RS_ENTER_RING0);
	rs_self_stats(&st);
	EXPECT_EQ(rs_leave(), 0);
	dies(die_of_overflow, "the trap stack is used up");
	dies(die_of_exit, "rs_ring0_user_exit() without");
	dies(die_of_double_fault, "double fault");
	dies(die_of_tables, "the ring cannot go on");
}

TEST(a_handler_that_returns_to_nowhere)
{
	enter(RS_ENTER_RING0);
	take(SIGSEGV);
	rs_ring0_handle(6, bad_handler);
	if (!sigsetjmp(back, 1)) {
		asm volatile("ud2");
		FAIL("no fault");
	}
	EXPECT_EQ(info.si_signo, SIGSEGV);
	EXPECT_EQ(rs_leave(), 0);
}
