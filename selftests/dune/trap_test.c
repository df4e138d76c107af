// SPDX-License-Identifier: MIT
/*
 * Exceptions, INT, page faults, signals in ring 0: who gets them, with what, and what becomes of the program.
 */
#include "dune_test.h"
#include <sys/time.h>

static volatile int calls;
static struct dune_tf last;
static uintptr_t last_addr;
static uint64_t last_fec;

/* --- exceptions ------------------------------------------------------------------------------------------------------------------------- */

/* Goes on behind the instruction, whose length the test knows. */
static volatile int skip;
static void skip_it(struct dune_tf *tf)
{
	calls++;
	last = *tf;
	tf->rip += skip;
}

/* Runs @insn with a handler for @vec; rax is what the handler leaves. */
#define TRAPS(vec, len, insn, ...) do {						\
	ASSERT_EQ(dune_register_intr_handler(vec, skip_it), 0);			\
	calls = 0;								\
	skip = len;								\
	asm volatile(insn : : __VA_ARGS__ : "memory", "cc");			\
	EXPECT_EQ(calls, 1);							\
	EXPECT_EQ(last.cs & 3, 0);						\
	ASSERT_EQ(dune_register_intr_handler(vec, NULL), 0);			\
} while (0)

static const uint32_t masked = 0x1f80, unmasked = 0x1d80;
static void divide_simd(void)
{
	float one = 1, zero = 0;

	asm volatile("ldmxcsr %2\n\tdivss %0, %1" : : "x"(zero), "x"(one), "m"(unmasked));
}

TEST(exceptions_by_vector)
{
	uint16_t cw = 0x37b, old;	/* division by zero is unmasked */
	float one = 1, zero = 0;

	enter(true);
	TRAPS(T_DIVIDE, 3, "divq %2", "a"(1ul), "d"(0ul), "r"(0ul));
	TRAPS(T_BRKPT, 0, "int3", "a"(0));
	TRAPS(T_OFLOW, 0, "int $4", "a"(0));
	TRAPS(T_ILLOP, 2, "ud2", "a"(0));
	TRAPS(T_GPFLT, 3, "movq (%0), %%rax", "a"(0x8000000000000000ul));
	EXPECT_EQ(last.err, 0);
	TRAPS(T_GPFLT, 2, "wrmsr", "c"(0x1b), "a"(0), "d"(0));		/* a machine's own */
	/* four instructions with the trap flag set */
	ASSERT_EQ(dune_register_intr_handler(T_DEBUG, skip_it), 0);
	calls = skip = 0;
	asm volatile("pushfq\n\torl $0x100, (%%rsp)\n\tpopfq\n\tnop\n\tpushfq\n\tandl $~0x100, (%%rsp)\n\tpopfq" : : : "memory", "cc");
	EXPECT_EQ(calls, 4);
	/* x87's comes with the next instruction that waits for it */
	asm volatile("fnstcw %0" : "=m"(old));
	TRAPS(T_FPERR, 1, "fldcw %0\n\tfld1\n\tfdivs %1\n\tfwait\n\tfninit\n\tfldcw %2", "m"(cw), "m"(zero), "m"(old));
	/* not every machine has it */
	if (end_of(divide_simd) == 128 + SIGFPE) {
		TRAPS(T_SIMDERR, 4, "ldmxcsr %2\n\tdivss %0, %1\n\tldmxcsr %3", "x"(zero), "x"(one), "m"(unmasked), "m"(masked));
		EXPECT_EQ(last.rflags & FL_IF, FL_IF);
	}
}

TEST(registration_errors)
{
	enter(true);
	EXPECT_EQ(dune_register_intr_handler(-1, skip_it), -EINVAL);
	EXPECT_EQ(dune_register_intr_handler(IDT_ENTRIES, skip_it), -EINVAL);
	EXPECT_EQ(dune_register_intr_handler(T_NMI, skip_it), -EINVAL);
	EXPECT_EQ(dune_register_intr_handler(T_DBLFLT, skip_it), -EINVAL);
	EXPECT_EQ(dune_register_intr_handler(T_MCHK, skip_it), -EINVAL);
	EXPECT_EQ(dune_register_signal_handler(0, skip_it), -EINVAL);
	EXPECT_EQ(dune_register_signal_handler(65, skip_it), -EINVAL);
	EXPECT_EQ(dune_register_signal_handler(SIGKILL, skip_it), -EINVAL);
	EXPECT(dune_signal(SIGKILL, SIG_IGN) == SIG_ERR);
}

static void recovered(void)
{
	_exit(44);
}

static void go_elsewhere(struct dune_tf *tf)
{
	tf->rip = (uintptr_t)recovered;
	tf->rsp = (tf->rsp & ~15ul) - 8;
}

static void divide(void)
{
	asm volatile("divq %0" : : "r"(0ul), "a"(1ul), "d"(0ul));
}

static void divide_and_recover(void)
{
	if (dune_enter() || dune_register_intr_handler(T_DIVIDE, go_elsewhere))
		_exit(1);
	divide();
}

static void divide_unhandled(void)
{
	if (dune_enter() || dune_register_intr_handler(T_DIVIDE, go_elsewhere) || dune_register_intr_handler(T_DIVIDE, NULL))
		_exit(1);
	divide();
}

static void int_unhandled(void)
{
	if (dune_enter())
		_exit(1);
	asm volatile("int $77");
}

TEST(handler_goes_elsewhere_and_none_is_a_signal)
{
	enter(true);
	EXPECT_EQ(end_of(divide_and_recover), 44);
	EXPECT_EQ(end_of(divide_unhandled), 128 + SIGFPE);
	EXPECT_EQ(end_of(int_unhandled), 128 + SIGSEGV);
}

static void add_vector(struct dune_tf *tf)
{
	calls++;
	tf->rax += tf->vector;
}

TEST(int_of_the_programs_own_vectors)
{
	uint64_t a = 1000;

	enter(true);
	ASSERT_EQ(dune_register_intr_handler(T_SYSCALL, add_vector), 0);
	ASSERT_EQ(dune_register_intr_handler(255, add_vector), 0);
	ASSERT_EQ(dune_register_intr_handler(32, add_vector), 0);
	asm volatile("int $48" : "+a"(a));
	EXPECT_EQ(a, 1048);
	asm volatile("int $255" : "+a"(a));
	EXPECT_EQ(a, 1303);
	asm volatile("int $32" : "+a"(a));
	EXPECT_EQ(a, 1335);
	EXPECT_EQ(calls, 3);
	/* a #GP that is none of them is still one */
	TRAPS(T_GPFLT, 3, "movq (%0), %%rax", "a"(0x8000000000000000ul));
	asm volatile("int $48" : "+a"(a));
	EXPECT_EQ(calls, 2);
}

/* The handler uses vector registers, libc and plenty of stack; what it has interrupted keeps all of its own. */
static void messy(struct dune_tf *tf)
{
	char text[4096];
	volatile double x = 1.25;

	snprintf(text, sizeof(text), "%f %s", x * calls, "text");
	memset(text, 0x55, sizeof(text));
	asm volatile("pxor %%xmm0, %%xmm0\n\tpxor %%xmm7, %%xmm7\n\tfninit" : : : "memory");
	errno = 77;
	calls++;
	tf->rip += 2;
}

static uint64_t __attribute__((noinline)) red_zone(void)
{
	uint64_t sum;

	/* words below rsp, as a leaf function has them */
	asm volatile("movq $11, -8(%%rsp)\n\tmovq $22, -64(%%rsp)\n\tmovq $33, -128(%%rsp)\n\tud2\n\t"
		     "movq -8(%%rsp), %0\n\taddq -64(%%rsp), %0\n\taddq -128(%%rsp), %0" : "=r"(sum) : : "memory");
	return sum;
}

TEST(red_zone_vector_registers_and_tls)
{
	uint64_t in[4] = { 1, ~2ull, 0x123456789abcdef0, 4 }, out[4];
	int i;

	enter(true);
	ASSERT_EQ(dune_register_intr_handler(T_ILLOP, messy), 0);
	for (i = 0; i < 100; i++) {
		errno = 5;
		asm volatile("movdqu %1, %%xmm0\n\tmovdqu %2, %%xmm7\n\tfld1\n\tud2\n\tmovdqu %%xmm0, %0\n\tmovdqu %%xmm7, 16+%0\n\tfstp %%st"
			     : "=m"(*(uint64_t (*)[4])out) : "m"(*(uint64_t (*)[2])in), "m"(*(uint64_t (*)[2])(in + 2)) : "xmm0", "xmm7", "memory");
		EXPECT(!memcmp(in, out, sizeof(in)));
		EXPECT_EQ(errno, 77);		/* the thread's own, in the handler as well */
		EXPECT_EQ(red_zone(), 66);
	}
	EXPECT_EQ(calls, 200);
}

static jmp_buf out_of_it;
static void leave_by_longjmp(struct dune_tf *tf)
{
	calls++;
	longjmp(out_of_it, 9);
}

TEST(handlers_may_be_left_by_longjmp)
{
	volatile int i;

	enter(true);
	ASSERT_EQ(dune_register_intr_handler(T_ILLOP, leave_by_longjmp), 0);
	for (i = 0; i < 1000; i++)
		if (!setjmp(out_of_it))
			asm volatile("ud2");
	EXPECT_EQ(calls, 1000);
}

static void nest(struct dune_tf *tf)
{
	calls++;
	tf->rip += 2;
	if (tf->rax) {
		uint64_t below = tf->rax - 1, mark = 0x1234567 + below;

		asm volatile("ud2" : "+a"(below), "+b"(mark));
		EXPECT_EQ(mark, 0x1234567 + tf->rax - 1);
		EXPECT_EQ(below, 77);
	}
	tf->rax = 77;
}

TEST(exceptions_in_handlers)
{
	uint64_t depth = 20;

	enter(true);
	ASSERT_EQ(dune_register_intr_handler(T_ILLOP, nest), 0);
	asm volatile("ud2" : "+a"(depth));
	EXPECT_EQ(depth, 77);
	EXPECT_EQ(calls, 21);
}

/* --- page faults ------------------------------------------------------------------------------------------------------------------------- */

static void allow_write(uintptr_t addr, uint64_t fec, struct dune_tf *tf)
{
	ptent_t *pte;

	calls++;
	last_addr = addr;
	last_fec = fec;
	last = *tf;
	ASSERT_EQ(dune_vm_lookup(pgroot, (void *)addr, CREATE_NONE, &pte), 0);
	*pte |= PTE_P | PTE_W | PTE_U | PTE_A | PTE_D;
	dune_flush_tlb_one(addr);
}

TEST(a_protected_page_faults_once)
{
	char *p = pages_of(3);

	enter(true);
	memset(p, 1, 3 * PGSIZE);
	dune_register_pgflt_handler(allow_write);
	ASSERT_EQ(dune_vm_mprotect(pgroot, p, 3 * PGSIZE, PERM_R), 0);
	EXPECT_EQ(LOAD(p), 1);
	EXPECT_EQ(calls, 0);
	STORE(p + PGSIZE + 5, 2);
	EXPECT_EQ(calls, 1);
	EXPECT_EQ(last_addr, (uintptr_t)p + PGSIZE + 5);
	EXPECT_EQ(last_fec & (FEC_P | FEC_W | FEC_U | FEC_RSV | FEC_I), FEC_P | FEC_W);
	EXPECT_EQ(last.err, last_fec);
	STORE(p + PGSIZE + 6, 3);
	EXPECT_EQ(calls, 1);
	EXPECT_EQ(LOAD(p + PGSIZE + 5), 2);
	ASSERT_EQ(dune_vm_mprotect(pgroot, p, 3 * PGSIZE, PERM_NONE), 0);
	EXPECT_EQ(LOAD(p), 1);
	EXPECT_EQ(calls, 2);
	EXPECT_EQ(last_fec & (FEC_P | FEC_W), 0);
	STORE(p + 2 * PGSIZE, 1);
	EXPECT_EQ(calls, 3);
	EXPECT_EQ(last_fec & (FEC_P | FEC_W), FEC_W);
}

static void map_it(uintptr_t addr, uint64_t fec, struct dune_tf *tf)
{
	calls++;
	last_addr = addr;
	last_fec = fec;
	ASSERT_EQ(dune_vm_map_pages(pgroot, (void *)PGADDR(addr), PGSIZE, PERM_R | PERM_W), 0);
}

TEST(demand_paging_where_linux_has_nothing)
{
	char *p = (char *)0x400000000000;
	int i;

	enter(true);
	dune_register_pgflt_handler(map_it);
	for (i = 0; i < 600; i++)
		STORE(p + i * PGSIZE, i);
	EXPECT_EQ(calls, 600);
	EXPECT_EQ(last_fec & (FEC_P | FEC_W), FEC_W);
	for (i = 0; i < 600; i++)
		EXPECT_EQ(LOAD(p + i * PGSIZE), (char)i);
	EXPECT_EQ(calls, 600);
	/* taken away: it faults again, and is zeros */
	dune_vm_unmap(pgroot, p, 2 * PGSIZE);
	EXPECT_EQ(LOAD(p + PGSIZE), 0);
	EXPECT_EQ(calls, 601);
}

static void map_linux(uintptr_t addr, uint64_t fec, struct dune_tf *tf)
{
	calls++;
	last_addr = addr;
	last_fec = fec;
	SYS(mmap((void *)PGADDR(addr), PGSIZE, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

TEST(what_linux_refuses_is_the_handlers_too)
{
	char *p = pages_of(4);
	int i;

	enter(true);
	dune_register_pgflt_handler(map_linux);
	STORE(p, 1);
	SYS(munmap(p + PGSIZE, PGSIZE));
	STORE(p + PGSIZE + 9, 7);
	EXPECT_EQ(calls, 1);
	EXPECT_EQ(last_addr, (uintptr_t)p + PGSIZE + 9);
	EXPECT_EQ(last_fec & (FEC_P | FEC_W | FEC_U | FEC_I), FEC_W);
	EXPECT_EQ(LOAD(p + PGSIZE + 9), 7);
	SYS(munmap(p + 2 * PGSIZE, PGSIZE));
	EXPECT_EQ(LOAD(p + 2 * PGSIZE), 0);
	EXPECT_EQ(last_fec & (FEC_P | FEC_W | FEC_U | FEC_I), 0);
	SYS(mprotect(p + 2 * PGSIZE, PGSIZE, PROT_READ));
	STORE(p + 2 * PGSIZE, 1);
	EXPECT_EQ(calls, 3);
	EXPECT_EQ(last_fec & (FEC_P | FEC_W | FEC_U | FEC_I), FEC_P | FEC_W);
	EXPECT_EQ(LOAD(p + 2 * PGSIZE), 1);
	calls = 1;
	/* more often than a handler without success is asked */
	for (i = 0; i < 200; i++) {
		SYS(munmap(p + PGSIZE, PGSIZE));
		STORE(p + PGSIZE, i);
	}
	EXPECT_EQ(calls, 201);
}

static void do_nothing(uintptr_t addr, uint64_t fec, struct dune_tf *tf)
{
	calls++;
	if (calls > 10000)
		_exit(3);
}

static void touch_null_with_a_handler(void)
{
	if (dune_enter())
		_exit(1);
	dune_register_pgflt_handler(do_nothing);
	STORE((char *)8, 1);
}

static void touch_null(void)
{
	if (dune_enter())
		_exit(1);
	STORE((char *)8, 1);
}

static char *gone;
static void touch_gone(void)
{
	if (dune_enter())
		_exit(1);
	munmap(gone, PGSIZE);
	LOAD(gone);
}

static void write_const(void)
{
	if (dune_enter())
		_exit(1);
	mprotect(gone, PGSIZE, PROT_READ);
	STORE(gone, 1);
}

static void touch_protected(void)
{
	if (dune_enter() || dune_vm_mprotect(pgroot, gone, PGSIZE, PERM_R))
		_exit(1);
	STORE(gone, 1);
}

static void past_the_end(void)
{
	FILE *f = tmpfile();
	char *p = mmap(NULL, PGSIZE, PROT_READ, MAP_SHARED, fileno(f), 0);

	if (dune_enter())
		_exit(1);
	LOAD(p);
}

TEST(faults_of_nobody_are_signals)
{
	gone = pages_of(1);
	STORE(gone, 1);
	enter(true);
	EXPECT_EQ(end_of(touch_null_with_a_handler), 128 + SIGSEGV);
	EXPECT_EQ(end_of(touch_null), 128 + SIGSEGV);
	EXPECT_EQ(end_of(touch_gone), 128 + SIGSEGV);
	EXPECT_EQ(end_of(write_const), 128 + SIGSEGV);
	EXPECT_EQ(end_of(touch_protected), 128 + SIGSEGV);
	EXPECT_EQ(end_of(past_the_end), 128 + SIGBUS);
}

static void all_of_it(struct dune_tf *tf)
{
	calls += 100;
	allow_write(tf->addr, tf->err, tf);
}

TEST(a_handler_of_vector_14_comes_first)
{
	char *p = pages_of(1);

	enter(true);
	STORE(p, 1);
	dune_register_pgflt_handler(allow_write);
	ASSERT_EQ(dune_register_intr_handler(T_PGFLT, all_of_it), 0);
	ASSERT_EQ(dune_vm_mprotect(pgroot, p, PGSIZE, PERM_R), 0);
	STORE(p, 2);
	EXPECT_EQ(calls, 101);
	ASSERT_EQ(dune_register_intr_handler(T_PGFLT, NULL), 0);
	ASSERT_EQ(dune_vm_mprotect(pgroot, p, PGSIZE, PERM_R), 0);
	STORE(p, 3);
	EXPECT_EQ(calls, 102);
}

static void cow(uintptr_t addr, uint64_t fec, struct dune_tf *tf)
{
	calls++;
	dune_vm_default_pgflt_handler(addr, fec);
}

static void cow_fails(void)
{
	if (dune_enter())
		_exit(1);
	dune_register_pgflt_handler(cow);
	if (dune_vm_mprotect(pgroot, gone, PGSIZE, PERM_R))
		_exit(1);
	STORE(gone, 1);
}

TEST(copy_on_write_by_the_default_handler)
{
	char *p = (char *)0x400000000000;
	struct page *pg, *mine;

	gone = pages_of(1);
	enter(true);
	EXPECT_EQ(end_of(cow_fails), 128 + SIGSEGV);
	dune_register_pgflt_handler(cow);
	pg = dune_page_alloc();
	memset((void *)dune_page2pa(pg), 7, PGSIZE);
	ASSERT_EQ(dune_vm_insert_page(pgroot, p, pg, PERM_R | PERM_COW), 0);
	EXPECT_EQ(LOAD(p + 9), 7);
	EXPECT_EQ(calls, 0);
	STORE(p, 1);
	EXPECT_EQ(calls, 1);
	EXPECT_EQ(LOAD(p), 1);
	EXPECT_EQ(LOAD(p + 9), 7);
	EXPECT_EQ(*(char *)dune_page2pa(pg), 7);
	mine = dune_vm_lookup_page(pgroot, p);
	EXPECT(mine && mine != pg);
	/* the only one who has it gets it as it is */
	ASSERT_EQ(dune_vm_mprotect(pgroot, p, PGSIZE, PERM_R | PERM_COW), 0);
	STORE(p, 2);
	EXPECT_EQ(calls, 2);
	EXPECT(dune_vm_lookup_page(pgroot, p) == mine);
}

/* The stack's next pages have no mapping before they are touched. */
static int __attribute__((noinline)) deep(int n)
{
	volatile char frame[8192];

	frame[0] = n;
	return n ? deep(n - 1) + frame[0] - (char)n : 0;
}

TEST(the_stack_grows)
{
	enter(true);
	dune_register_pgflt_handler(do_nothing);
	EXPECT_EQ(deep(300), 0);
	EXPECT_EQ(calls, 0);
}

/* --- showing ----------------------------------------------------------------------------------------------------------------------------- */

static void dump(struct dune_tf *tf)
{
	struct dune_tf wild = *tf;

	dune_dump_trap_frame(tf);
	wild.rip = 0x8000000000000000;
	wild.rsp = 16;
	dune_dump_trap_frame(&wild);
	tf->rip += 2;
}

static void dump_one(void)
{
	asm volatile("ud2" : : "a"(0x1122334455667788));
}

TEST(dump_of_a_frame_and_of_a_wild_one)
{
	char *text;

	enter(true);
	ASSERT_EQ(dune_register_intr_handler(T_ILLOP, dump), 0);
	text = output_of(dump_one);
	EXPECT(strstr(text, "RAX 0x1122334455667788"));
	EXPECT(strstr(text, "code at IP\t0f 0b "));
	EXPECT(strstr(text, "CS 0x10 SS 0x18"));
	EXPECT(strstr(text, "RSP+88"));
	EXPECT(strstr(text, "RIP 0x8000000000000000"));
	EXPECT(strstr(text, "reached unmapped addr"));
	EXPECT(strstr(text, "code at IP\t?? ?? "));
	free(text);
}

/* --- the literal VMCALL -------------------------------------------------------------------------------------------------------------------- */

TEST(a_literal_vmcall_is_a_system_call)
{
	uint64_t a = SYS_getpid, c = 0x1111, r11v;
	char text[] = "x";
	int fds[2];

	enter(true);
	asm volatile("movq $0x2222, %%r11\n\tvmcall\n\tmovq %%r11, %2" : "+a"(a), "+c"(c), "=r"(r11v) : : "r11", "memory");
	EXPECT_EQ(a, getpid());
	EXPECT_EQ(c, 0x1111);		/* as on the CPUs that have it: nothing but the result */
	EXPECT_EQ(r11v, 0x2222);
	SYS(pipe(fds));
	a = SYS_write;
	asm volatile("vmcall" : "+a"(a) : "D"((long)fds[1]), "S"(text), "d"(1) : "memory", "rcx", "r11");
	EXPECT_EQ(a, 1);
	EXPECT_EQ(read(fds[0], text, 1), 1);
	a = 12345;
	asm volatile("vmcall" : "+a"(a) : : "memory", "rcx", "r11");
	EXPECT_EQ(a, -ENOSYS);
	a = SYS_close;
	asm volatile("vmcall" : "+a"(a) : "D"(-1l) : "memory", "rcx", "r11");
	EXPECT_EQ(a, -EBADF);
}

/* --- signals ------------------------------------------------------------------------------------------------------------------------------- */

static void plain(int sig)
{
	calls += sig;
}

TEST(dune_signal_is_signal)
{
	enter(true);
	EXPECT(dune_signal(SIGUSR1, plain) == NULL);
	SYS(kill(getpid(), SIGUSR1));
	EXPECT_EQ(calls, SIGUSR1);
	asm volatile("int $210");
	EXPECT_EQ(calls, 2 * SIGUSR1);
	EXPECT(dune_signal(SIGUSR1, SIG_IGN) == NULL);
	SYS(kill(getpid(), SIGUSR1));
	EXPECT_EQ(calls, 2 * SIGUSR1);
}

static void change_rbx(struct dune_tf *tf)
{
	calls++;
	last = *tf;
	tf->rbx += 5;
}

TEST(signal_handlers_have_the_frame)
{
	struct itimerval soon = { { 0, 0 }, { 0, 10000 } };
	uint64_t b = 37;
	long a = SYS_kill;

	enter(true);
	ASSERT_EQ(dune_register_signal_handler(SIGUSR2, change_rbx), 0);
	asm volatile("syscall" : "+a"(a), "+b"(b) : "D"((long)getpid()), "S"((long)SIGUSR2) : "rcx", "r11", "memory");
	EXPECT_EQ(a, 0);
	EXPECT_EQ(b, 42);
	EXPECT_EQ(calls, 1);
	EXPECT_EQ(last.vector, DUNE_SIGNAL_INTR_BASE + SIGUSR2);
	EXPECT_EQ(last.rbx, 37);
	EXPECT_EQ(last.rax, 0);
	ASSERT_EQ(dune_register_signal_handler(SIGUSR2, NULL), 0);
	ASSERT_EQ(dune_register_signal_handler(SIGALRM, change_rbx), 0);
	/* in the middle of anything */
	SYS(setitimer(ITIMER_REAL, &soon, NULL));
	while (calls == 1)
		asm volatile("pause");
	EXPECT_EQ(calls, 2);
}

TEST(the_programs_own_handlers_of_linux_stay)
{
	struct sigaction sa = { .sa_handler = plain }, old;

	SYS(sigaction(SIGWINCH, &sa, NULL));
	enter(true);
	SYS(kill(getpid(), SIGWINCH));
	EXPECT_EQ(calls, SIGWINCH);
	SYS(sigaction(SIGWINCH, NULL, &old));
	EXPECT(old.sa_handler == plain);
	SYS(sigaction(SIGPIPE, NULL, &old));
	EXPECT(old.sa_handler == SIG_DFL);
}
