// SPDX-License-Identifier: MIT
/*
 * Where two things meet: Linux's answers to ring 3 below ring 0, a process whose first thread has ended, locked memory, interrupts off, numbers
 * of system calls with something above them.
 *
 * Code for ring 3 has what it needs in RDI, and ends by INT3, which gives up its RAX.
 */
#include <asm/prctl.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "self.h"
#include "self/self.h"

#define PAGE	4096ul
#define IF_BIT	0x200ul

static __thread uint64_t tls = 4711;

/* FS:0 is the base in every program of glibc: so ring 0's are seen without asking Linux. */
static uint64_t fs_word(void)
{
	uint64_t value;

	asm volatile("movq %%fs:0, %0" : "=r"(value));
	return value;
}

/* --- bases of ring 3 -------------------------------------------------------------------------------------------------------------- */

static void *looks_at_bases(void *arg)
{
	uint64_t b[2] = { 1, 1 }, other[2] = { (uintptr_t)&b, 0x1000 };

	EXPECT_EQ(rs_inside(), 0);
	EXPECT_EQ(rs_ring0_user_bases(NULL, b), 0);
	EXPECT_EQ(b[0], fs_word());
	EXPECT_EQ(b[1], 0);
	/* for who has this vCPU next */
	EXPECT_EQ(rs_ring0_user_bases(other, NULL), 0);
	return NULL;
}

TEST(a_new_threads_ring3_has_its_ring0s_bases)
{
	pthread_t t;
	int i;

	enter(RS_ENTER_RING0 | RS_ENTER_THREADS);
	for (i = 0; i < 3; i++) {
		SYS(-pthread_create(&t, NULL, looks_at_bases, NULL));
		pthread_join(t, NULL);
	}
	EXPECT_EQ(rs_leave(), 0);
}

static void user_ends(struct rs_trap_frame *f)
{
	rs_ring0_user_exit(f->rax);
}

static void passes_on(struct rs_trap_frame *f)
{
	f->cause = RS_CAUSE_SIGNAL;
}

static int run_user(const void *code, void *arg)
{
	static char stack[8192] __attribute__((aligned(16)));
	struct rs_trap_frame f = { .rip = (uintptr_t)code, .rsp = (uintptr_t)stack + sizeof(stack), .rdi = (uintptr_t)arg, .cs = 3,
				   .rflags = 0x202 };

	return rs_ring0_user(&f);
}

static void expect_ring0_whole(uint64_t fs)
{
	EXPECT_EQ(fs_word(), fs);
	EXPECT_EQ(tls, 4711);
}

/* RDI: code, address, result; what is at FS:0 or GS:0 afterwards */
asm("user_prctl: movq %rdi, %rbx; movl $158, %eax; movq 8(%rbx), %rsi; movq (%rbx), %rdi; syscall\n"
    "movq %rax, 16(%rbx); xorl %eax, %eax; int3\n"
    "user_fs: movq %fs:0, %rax; int3\n"
    "user_gs: movq %gs:0, %rax; int3\n");
extern char user_prctl[], user_fs[], user_gs[];

static long user_arch_prctl(uint64_t code, uint64_t arg)
{
	uint64_t words[3] = { code, arg, 1 };

	EXPECT_EQ(run_user(user_prctl, words), 0);
	return words[2];
}

static void prctl_of_ring3(void)
{
	uint64_t fs = fs_word(), word[2] = { 0x77, 0x88 }, got, bases[2];
	int i;

	rs_ring0_handle(3, user_ends);
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(user_arch_prctl(ARCH_SET_FS, (uintptr_t)&word[0]), 0);
		expect_ring0_whole(fs);
		EXPECT_EQ(user_arch_prctl(ARCH_SET_GS, (uintptr_t)&word[1]), 0);
		expect_ring0_whole(fs);
		EXPECT_EQ(run_user(user_fs, NULL), 0x77);
		EXPECT_EQ(run_user(user_gs, NULL), 0x88);
		got = 0;
		EXPECT_EQ(user_arch_prctl(ARCH_GET_FS, (uintptr_t)&got), 0);
		EXPECT_EQ(got, (uintptr_t)&word[0]);
		EXPECT_EQ(user_arch_prctl(ARCH_GET_GS, (uintptr_t)&got), 0);
		EXPECT_EQ(got, (uintptr_t)&word[1]);
		EXPECT_EQ(user_arch_prctl(ARCH_GET_FS, 8), -EFAULT);
		EXPECT_EQ(user_arch_prctl(ARCH_SET_FS, 1ul << 47), -EPERM);
		EXPECT_EQ(user_arch_prctl(ARCH_SET_GS, ~0ul), -EPERM);
		EXPECT_EQ(user_arch_prctl(0x4711, 0), -EINVAL);
		/* ring 0's are its own still, and what it asks for is answered for them */
		EXPECT_EQ(syscall(SYS_arch_prctl, ARCH_GET_FS, &got), 0);
		EXPECT_EQ(got, fs);
		EXPECT_EQ(syscall(SYS_arch_prctl, ARCH_SET_GS, 0x5000), 0);
		EXPECT_EQ(rs_ring0_user_bases(NULL, bases), 0);
		EXPECT_EQ(bases[0], (uintptr_t)&word[0]);
		EXPECT_EQ(bases[1], (uintptr_t)&word[1]);
		EXPECT_EQ(syscall(SYS_arch_prctl, ARCH_GET_GS, &got), 0);
		EXPECT_EQ(got, 0x5000);
	}
	EXPECT_EQ(rs_leave(), 0);
}

TEST(arch_prctl_of_ring3_is_ring3s)
{
	enter(RS_ENTER_RING0);
	prctl_of_ring3();
}

TEST(arch_prctl_of_ring3_passed_on_is_ring3s)
{
	enter(RS_ENTER_RING0);
	rs_ring0_syscalls(passes_on);
	prctl_of_ring3();
}

TEST(arch_prctl_of_ring3_without_fsgsbase_is_ring3s)
{
	rs_self.no_fsgsbase = 1;
	enter(RS_ENTER_RING0);
	prctl_of_ring3();
}

/*
 * RDI: number, arguments 1 to 5. The child ends with what is at FS:0 + GS:0, as its status or at [R9], and never uses its stack. user_child_after:
 * at its own FS:0 there is what is expected only later.
 */
asm("user_child: movq %rdi, %rbx; movq 16(%rbx), %rsi; movq 24(%rbx), %rdx; movq 32(%rbx), %r10; movq 40(%rbx), %r8\n"
    "movq (%rbx), %rax; movq 8(%rbx), %rdi; syscall\n"
    "testq %rax, %rax; jz 1f; int3\n"
    "1: movq %fs:0, %rdi; addq %gs:0, %rdi; movq %rdi, 48(%rbx); movq 56(%rbx), %rax; syscall; ud2\n");
extern char user_child[];

static uint64_t child_words[8];	/* number, five arguments, what it saw, how it ends */

static int make_child(long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, long end)
{
	uint64_t w[8] = { nr, a, b, c, d, e, 0, end };

	memcpy(child_words, w, sizeof(w));
	return run_user(user_child, child_words);
}

static void with_bases(const void *fs, const void *gs)
{
	uint64_t bases[2] = { (uintptr_t)fs, (uintptr_t)gs };

	EXPECT_EQ(rs_ring0_user_bases(bases, NULL), 0);
}

static void wait_for_zero(volatile int *tid)
{
	int now;

	while ((now = *tid))
		syscall(SYS_futex, tid, FUTEX_WAIT, now, NULL);
}

static void children(void)
{
	const uint64_t thread = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_CHILD_CLEARTID |
				CLONE_CHILD_SETTID;
	static uint64_t fs[2] = { 0x21, 0 }, gs[2] = { 0x10, 0 }, own[2] = { 0x41, 0 };
	static char stack[4096] __attribute__((aligned(16)));
	static volatile int tid;
	uint64_t top = (uintptr_t)stack + sizeof(stack), mine = fs_word();
	int status, pid, i;

	rs_ring0_handle(3, user_ends);
	for (i = 0; i < 2; i++) {
		with_bases(fs, gs);
		pid = make_child(SYS_fork, 0, 0, 0, 0, 0, SYS_exit_group);
		EXPECT_EQ(SYS(waitpid(pid, &status, 0)), pid);
		EXPECT_EQ(status, 0x31 << 8);
		expect_ring0_whole(mine);
		pid = make_child(SYS_vfork, 0, 0, 0, 0, 0, SYS_exit_group);
		EXPECT_EQ(SYS(waitpid(pid, &status, 0)), pid);
		EXPECT_EQ(status, 0x31 << 8);
		expect_ring0_whole(mine);
		pid = make_child(SYS_clone, CLONE_SETTLS | SIGCHLD, 0, 0, 0, (uintptr_t)own, SYS_exit_group);
		EXPECT_EQ(SYS(waitpid(pid, &status, 0)), pid);
		EXPECT_EQ(status, 0x51 << 8);
		expect_ring0_whole(mine);
		/* a stack of its own, our memory */
		pid = make_child(SYS_clone, CLONE_VM | SIGCHLD, top, 0, 0, 0, SYS_exit_group);
		EXPECT_EQ(SYS(waitpid(pid, &status, 0)), pid);
		EXPECT_EQ(status, 0x31 << 8);
		expect_ring0_whole(mine);

		tid = 1;
		EXPECT_GT(make_child(SYS_clone, thread, top, 0, (uintptr_t)&tid, 0, SYS_exit), 0);
		wait_for_zero(&tid);
		EXPECT_EQ(child_words[6], 0x31);
		tid = 1;
		EXPECT_GT(make_child(SYS_clone, thread | CLONE_SETTLS, top, 0, (uintptr_t)&tid, (uintptr_t)own, SYS_exit), 0);
		wait_for_zero(&tid);
		EXPECT_EQ(child_words[6], 0x51);
		expect_ring0_whole(mine);
	}
	EXPECT_EQ(rs_leave(), 0);
}

TEST(children_of_ring3_have_its_bases)
{
	enter(RS_ENTER_RING0);
	children();
}

TEST(children_and_threads_of_ring3_have_its_bases)
{
	enter(RS_ENTER_RING0 | RS_ENTER_THREADS);
	children();
}

TEST(children_of_ring3_passed_on_have_its_bases)
{
	enter(RS_ENTER_RING0 | RS_ENTER_THREADS);
	rs_ring0_syscalls(passes_on);
	children();
}

/* --- the first thread has ended --------------------------------------------------------------------------------------------------- */

static void *survivor(void *arg)
{
	struct rs_self_stats st = { 0 };
	uint64_t got = 0, words[3] = { ARCH_GET_FS, (uintptr_t)&got, 1 };
	long ret;

	while (test_thread_state(getpid()) != 'Z')
		sched_yield();
	asm volatile("vmmcall" : "=a"(ret) : "a"(SYS_getpid) : "memory");
	if (ret != getpid())
		_exit(2);
	if (rs_self_stats(&st) || st.enters != 2)
		_exit(3);
	if (rs_inside() == 0) {
		rs_ring0_handle(3, user_ends);
		if (run_user(user_prctl, words) || words[2] || got != fs_word())
			_exit(4);
	}
	_exit(42);
}

static void without_first(unsigned int flags)
{
	pthread_t t;
	pid_t pid;
	int status;

	/* for who has no device */
	enter(flags);
	rs_leave();
	pid = SYS(fork());
	if (!pid) {
		if (rs_enter(flags | RS_ENTER_THREADS) || pthread_create(&t, NULL, survivor, NULL))
			_exit(1);
		syscall(SYS_exit, 0);
	}
	EXPECT_EQ(SYS(waitpid(pid, &status, 0)), pid);
	EXPECT_EQ(status, 42 << 8);
}

TEST(life_after_the_first_thread_in_ring3)
{
	without_first(0);
}

TEST(life_after_the_first_thread_in_ring0)
{
	without_first(RS_ENTER_RING0);
}

/* --- locked memory ---------------------------------------------------------------------------------------------------------------- */

static volatile uint64_t *word;
static volatile int stop, waits, go_on;

/* The writer waits here until it may write again. */
static void wait_in_fault(struct rs_trap_frame *f)
{
	waits = 1;
	while (!go_on)
		sched_yield();
}

static void *writes(void *arg)
{
	while (!stop)
		(*word)++;
	return NULL;
}

TEST(tables_change_for_all_threads_when_memory_is_locked)
{
	uint64_t seen;
	pthread_t t;
	int i, k;

	enter(RS_ENTER_RING0 | RS_ENTER_THREADS);
	word = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT(word != MAP_FAILED);
	rs_ring0_handle(14, wait_in_fault);
	SYS(-pthread_create(&t, NULL, writes, NULL));
	SYS(mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT));
	for (i = 0; i < 20; i++) {
		seen = *word;
		while (*word == seen)
			sched_yield();
		EXPECT_EQ(rs_ring0_protect((void *)word, PAGE, RS_PAGE_READ), 0);
		seen = *word;
		for (k = 0; k < 1000; k++)
			EXPECT_EQ(*word, seen);
		while (!waits)
			sched_yield();
		EXPECT_EQ(*word, seen);
		EXPECT_EQ(rs_ring0_flush((void *)word, PAGE), 0);
		EXPECT_EQ(rs_ring0_protect((void *)word, PAGE, RS_PAGE_WRITE), 0);
		waits = 0;
		go_on = 1;
		while (*word == seen)
			sched_yield();
		go_on = 0;
	}
	stop = 1;
	go_on = 1;
	pthread_join(t, NULL);
	EXPECT_EQ(rs_leave(), 0);
}

/* --- numbers ---------------------------------------------------------------------------------------------------------------------- */

static long garbled(long nr, long a, long b, long c, long d)
{
	register long r10 asm("r10") = d;
	long ret;

	asm volatile("syscall" : "=a"(ret) : "a"((nr & 0xffffffff) | 0x5ca1ab1e00000000), "D"(a), "S"(b), "d"(c), "r"(r10)
		     : "rcx", "r11", "memory");
	return ret;
}

static long garbled_literal(long nr)
{
	long ret;

	asm volatile("vmmcall" : "=a"(ret) : "a"((nr & 0xffffffff) | 0xffffffff00000000), "D"(0) : "memory");
	return ret;
}

static void on_usr1(int sig)
{
	waits++;
}

static void numbers(enum where where)
{
	struct { void (*fn)(int); uint64_t flags; void *restorer; uint64_t mask; } act, old = { 0 };
	struct sigaction sa = { .sa_handler = on_usr1 };

	SYS(sigaction(SIGUSR2, &sa, NULL));
	SYS(syscall(SYS_rt_sigaction, SIGUSR2, NULL, &act, 8));
	go_inside(where, 0);
	EXPECT_EQ(garbled(SYS_getpid, 0, 0, 0, 0), getpid());
	EXPECT_EQ(garbled(-1, 0, 0, 0, 0), -ENOSYS);
	EXPECT_EQ(garbled(0x40007fff, 0, 0, 0, 0), -ENOSYS);
	/* one that the library answers */
	EXPECT_EQ(garbled(SYS_rt_sigaction, SIGUSR1, (long)&act, 0, 8), 0);
	EXPECT_EQ(syscall(SYS_rt_sigaction, SIGUSR1, NULL, &old, 8), 0);
	EXPECT(old.fn == on_usr1);
	waits = 0;
	EXPECT_EQ(garbled(SYS_tgkill, getpid(), gettid(), SIGUSR1, 0), 0);
	EXPECT_EQ(waits, 1);
	if (where == NATIVE)
		return;
	EXPECT_EQ(garbled_literal(SYS_getpid), getpid());
	EXPECT_EQ(garbled(SYS_close, rs_self.vm_fd, 0, 0, 0), -EBADF);
	EXPECT_EQ(garbled(RS_SELF_SYS_ENTER, 0, 0, 0, 0), -EALREADY);
	EXPECT_EQ(garbled(RS_SELF_SYS_LEAVE, 0, 0, 0, 0), 0);
	EXPECT_EQ(rs_inside(), -1);
}

TEST(native_numbers_of_calls_have_32_bits)
{
	numbers(NATIVE);
}

TEST(ring3_numbers_of_calls_have_32_bits)
{
	numbers(RING3);
}

TEST(ring0_numbers_of_calls_have_32_bits)
{
	numbers(RING0);
}

/* --- interrupts off --------------------------------------------------------------------------------------------------------------- */

static volatile int in_cli, early, handled, tid_of_first;

static void counts(int sig)
{
	if (in_cli)
		early++;
	handled++;
}

static void *sends(void *arg)
{
	while (!in_cli)
		sched_yield();
	syscall(SYS_tgkill, getpid(), tid_of_first, SIGUSR1);
	in_cli = 2;
	return NULL;
}

TEST(first_touches_with_interrupts_off_deliver_nothing)
{
	struct sigaction sa = { .sa_handler = counts };
	volatile char *p[8];
	pthread_t t;
	unsigned int i;

	/* each in a GiB of its own */
	for (i = 0; i < 8; i++) {
		p[i] = mmap((void *)(0x100000000000ul + ((uint64_t)i << 32)), PAGE, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
		ASSERT(p[i] != MAP_FAILED);
	}
	SYS(sigaction(SIGUSR1, &sa, NULL));
	tid_of_first = gettid();
	SYS(-pthread_create(&t, NULL, sends, NULL));
	enter(RS_ENTER_RING0);
	asm volatile("cli" ::: "memory");
	in_cli = 1;
	while (in_cli == 1)
		asm volatile("pause");
	for (i = 0; i < 8; i++)
		p[i][0]++;
	EXPECT_EQ(handled, 0);
	in_cli = 0;
	asm volatile("sti; nop" ::: "memory");
	for (i = 0; i < 1000000 && !handled; i++)
		asm volatile("pause");
	EXPECT_EQ(handled, 1);
	EXPECT_EQ(early, 0);
	/* a system call is a point of delivery all the same, and is made once */
	asm volatile("cli" ::: "memory");
	EXPECT_EQ(syscall(SYS_tgkill, getpid(), tid_of_first, SIGUSR1), 0);
	EXPECT_EQ(syscall(SYS_getpid), getpid());
	EXPECT_EQ(handled, 2);
	EXPECT_EQ(__builtin_ia32_readeflags_u64() & IF_BIT, 0);
	asm volatile("sti" ::: "memory");
	pthread_join(t, NULL);
	EXPECT_EQ(rs_leave(), 0);
}
