// SPDX-License-Identifier: MIT
/*
 * Ring 3 of a program in ring 0: what it may do, who gets what it does, and how it ends. Code for it is written as functions that use
 * nothing but what they are given.
 */
#include "dune_test.h"
#include <asm/prctl.h>
#include <sys/auxv.h>
#include <sys/time.h>

static volatile int calls;
static struct dune_tf last;
static uintptr_t last_addr;
static uint64_t last_fec;
static __thread int tls = 4711;

static char stack[16 * PGSIZE] __attribute__((aligned(4096)));

#define USER __attribute__((noinline, optimize("no-stack-protector")))

static inline long user_call(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 asm("r10") = d;
	register long r8 asm("r8") = e;
	register long r9 asm("r9") = f;
	long ret;

	asm volatile("syscall" : "=a"(ret) : "0"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
	return ret;
}

/* A frame that calls @fn(@a, @b) on the stack above. */
static struct dune_tf frame(void *fn, unsigned long a, unsigned long b)
{
	struct dune_tf tf;

	memset(&tf, 0, sizeof(tf));
	tf.rip = (uintptr_t)fn;
	tf.rsp = (uintptr_t)stack + sizeof(stack) - 8;
	tf.rflags = 2;
	tf.rdi = a;
	tf.rsi = b;
	return tf;
}

static int run(void *fn, unsigned long a, unsigned long b)
{
	struct dune_tf tf = frame(fn, a, b);

	return dune_jump_to_user(&tf);
}

#define SYS_RETURN	666	/* a call of the tests' own: back to ring 0 */

/* --- system calls --------------------------------------------------------------------------------------------------------------------------- */

static void on_call(struct dune_tf *tf)
{
	calls++;
	last = *tf;
	EXPECT_EQ(tls, 4711);
	EXPECT_EQ(tf->cs & 3, 3);
	switch (tf->rax) {
	case SYS_RETURN:
		dune_ret_from_user(ARG0(tf));
	case 1000:
		tf->rax = ARG0(tf) + 10 * ARG1(tf) + 100 * ARG2(tf) + 1000 * ARG3(tf) + 10000 * ARG4(tf) + 100000 * ARG5(tf);
		break;
	default:
		dune_passthrough_syscall(tf);
	}
}

static USER void returns(long value)
{
	user_call(SYS_RETURN, value, 0, 0, 0, 0, 0);
}

TEST(into_ring_3_and_back)
{
	int i;

	EXPECT_EQ(run(returns, 1, 0), -EPERM);
	enter(true);
	dune_register_syscall_handler(on_call);
	for (i = -3; i < 100; i++)
		EXPECT_EQ(run(returns, i, 0), i);
	EXPECT_EQ(calls, 103);
	EXPECT_EQ(last.rip & ~0xffffful, (uintptr_t)returns & ~0xffffful);
}

static USER void makes_calls(long fd)
{
	char text[4] = { 'r', 'i', 'n', 'g' };
	register long kept asm("r10") = 0;

	if (user_call(1000, 1, 2, 3, 4, 5, 6) != 654321)
		user_call(SYS_RETURN, 1, 0, 0, 0, 0, 0);
	/* R10 is what it was */
	asm volatile("movq $77, %%r10\n\tmovl $1000, %%eax\n\tsyscall" : "=r"(kept) : : "rax", "rcx", "r11", "memory");
	if (kept != 77)
		user_call(SYS_RETURN, 2, 0, 0, 0, 0, 0);
	if (user_call(SYS_write, fd, (long)text, 4, 0, 0, 0) != 4)
		user_call(SYS_RETURN, 3, 0, 0, 0, 0, 0);
	if (user_call(SYS_write, -1, (long)text, 4, 0, 0, 0) != -EBADF)
		user_call(SYS_RETURN, 4, 0, 0, 0, 0, 0);
	if (user_call(4000, 0, 0, 0, 0, 0, 0) != -ENOSYS)
		user_call(SYS_RETURN, 5, 0, 0, 0, 0, 0);
	user_call(SYS_RETURN, user_call(SYS_getpid, 0, 0, 0, 0, 0, 0), 0, 0, 0, 0, 0);
}

TEST(calls_and_their_arguments)
{
	char text[8] = "";
	int fds[2];

	SYS(pipe(fds));
	enter(true);
	dune_register_syscall_handler(on_call);
	EXPECT_EQ(run(makes_calls, fds[1], 0), getpid());
	EXPECT_EQ(read(fds[0], text, 8), 4);
	EXPECT(!strcmp(text, "ring"));
}

/* --- exceptions ------------------------------------------------------------------------------------------------------------------------------- */

static void report(struct dune_tf *tf)
{
	calls++;
	last = *tf;
	EXPECT_EQ(tls, 4711);
	EXPECT_EQ(tf->cs & 3, 3);
	dune_ret_from_user(-100 - (int)tf->vector);
}

static void report_fault(uintptr_t addr, uint64_t fec, struct dune_tf *tf)
{
	last_addr = addr;
	last_fec = fec;
	if (!(tf->cs & 3))
		abort();
	report(tf);
}

static USER void divides(void) { asm volatile("divq %0" : : "r"(0ul), "a"(1ul), "d"(0ul)); }
static USER void undefined(void) { asm volatile("ud2"); }
static USER void breaks(void) { asm volatile("int3"); }
static USER void halts(void) { asm volatile("hlt"); }
static USER void shuts_out(void) { asm volatile("cli"); }
static USER void loads_cr3(void) { asm volatile("mov %0, %%cr3" : : "r"(0ul)); }
static USER void reads_port(void) { asm volatile("inb $0x80, %%al" : : : "rax"); }
static USER void software(void) { asm volatile("int $48"); }
static USER void writes(char *p) { STORE(p, 1); returns(0); }
static USER void reads(char *p) { LOAD(p); returns(0); }

TEST(exceptions_of_ring_3)
{
	static const struct { void *fn; int vec; } t[] = {
		{ divides, T_DIVIDE }, { undefined, T_ILLOP }, { breaks, T_BRKPT }, { halts, T_GPFLT }, { shuts_out, T_GPFLT },
		{ loads_cr3, T_GPFLT }, { reads_port, T_GPFLT }, { software, T_GPFLT },
	};
	unsigned int i, n;

	enter(true);
	dune_register_syscall_handler(on_call);
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		ASSERT_EQ(dune_register_intr_handler(t[i].vec, report), 0);
	/* not from ring 3 */
	ASSERT_EQ(dune_register_intr_handler(T_SYSCALL, report), 0);
	for (n = 0; n < 20; n++)
		for (i = 0; i < sizeof(t) / sizeof(t[0]); i++)
			EXPECT_EQ(run(t[i].fn, 0, 0), -100 - t[i].vec);
}

/* --- memory ------------------------------------------------------------------------------------------------------------------------------------ */

TEST(rights_of_ring_3)
{
	char *p = pages_of(2);

	enter(true);
	dune_register_syscall_handler(on_call);
	dune_register_pgflt_handler(report_fault);
	memset(p, 0, 2 * PGSIZE);
	EXPECT_EQ(run(writes, (unsigned long)p, 0), 0);
	EXPECT_EQ(p[0], 1);
	ASSERT_EQ(dune_vm_mprotect(pgroot, p, PGSIZE, PERM_R | PERM_W), 0);
	EXPECT_EQ(run(reads, (unsigned long)p + 7, 0), -100 - T_PGFLT);
	EXPECT_EQ(last_addr, (uintptr_t)p + 7);
	EXPECT_EQ(last_fec & (FEC_P | FEC_U | FEC_W), FEC_P | FEC_U);
	STORE(p, 2);			/* ring 0's all the same */
	ASSERT_EQ(dune_vm_mprotect(pgroot, p, PGSIZE, PERM_R | PERM_U), 0);
	EXPECT_EQ(run(reads, (unsigned long)p, 0), 0);
	EXPECT_EQ(run(writes, (unsigned long)p, 0), -100 - T_PGFLT);
	EXPECT_EQ(last_fec & (FEC_P | FEC_U | FEC_W), FEC_P | FEC_U | FEC_W);
	EXPECT_EQ(run(reads, 0x400000000000, 0), -100 - T_PGFLT);
	EXPECT_EQ(last_fec & (FEC_P | FEC_U), FEC_U);
	/* the tables, or what is known of them */
	EXPECT_EQ(run(reads, (unsigned long)pgroot, 0), -100 - T_PGFLT);
	EXPECT_EQ(last_fec & (FEC_P | FEC_U), FEC_P | FEC_U);
	EXPECT_EQ(run(writes, (unsigned long)pages, 0), -100 - T_PGFLT);
	/* the monitor's half */
	EXPECT_EQ(run(reads, 0xffff800000000000, 0), -100 - T_PGFLT);
}

/* With dune_init(false) ring 3 has what it was given and nothing else. */
static void allow_ring3(void *from, size_t len, int perm)
{
	uintptr_t a = PGADDR(from), b = PGADDR((uintptr_t)from + len + PGMASK);

	ASSERT_EQ(dune_vm_map_phys(pgroot, (void *)a, b - a, (void *)dune_va_to_pa((void *)a), perm | PERM_U), 0);
}

TEST(ring_3_has_what_it_was_given)
{
	char *p = pages_of(1);
	uintptr_t vdso = getauxval(AT_SYSINFO_EHDR);

	enter(false);
	dune_register_syscall_handler(on_call);
	dune_register_pgflt_handler(report_fault);
	STORE(p, 1);
	EXPECT_EQ(run(returns, 5, 0), -100 - T_PGFLT);		/* not even its code */
	EXPECT_EQ(last_fec & FEC_U, FEC_U);
	allow_ring3((void *)reads, 64, PERM_R | PERM_X);
	allow_ring3((void *)writes, 64, PERM_R | PERM_X);
	allow_ring3((void *)returns, 64, PERM_R | PERM_X);
	allow_ring3(stack, sizeof(stack), PERM_R | PERM_W);
	EXPECT_EQ(run(returns, 5, 0), 5);
	EXPECT_EQ(run(reads, (unsigned long)p, 0), -100 - T_PGFLT);
	EXPECT_EQ(last_fec & (FEC_P | FEC_U), FEC_P | FEC_U);
	EXPECT_EQ(run(reads, (unsigned long)&p, 0), -100 - T_PGFLT);	/* ring 0's stack */
	EXPECT_EQ(run(reads, (unsigned long)pgroot, 0), -100 - T_PGFLT);
	EXPECT_EQ(run(reads, vdso, 0), 0);
	allow_ring3(p, PGSIZE, PERM_R);
	EXPECT_EQ(run(reads, (unsigned long)p, 0), 0);
	EXPECT_EQ(run(writes, (unsigned long)p, 0), -100 - T_PGFLT);
}

/* Neither do the monitor's stacks belong to ring 3 where everything else does. */
static char *monitor;
static void where(struct dune_tf *tf)
{
	char here;

	monitor = &here;
	tf->rip += 2;
}

TEST(the_monitors_stacks_are_not_ring_3s)
{
	enter(true);
	dune_register_syscall_handler(on_call);
	dune_register_pgflt_handler(report_fault);
	ASSERT_EQ(dune_register_intr_handler(T_ILLOP, where), 0);
	asm volatile("ud2");
	ASSERT(monitor);
	EXPECT_EQ(run(reads, (unsigned long)monitor, 0), -100 - T_PGFLT);
	EXPECT_EQ(last_addr, (uintptr_t)monitor);
	EXPECT_EQ(dune_vm_mprotect(pgroot, (void *)PGADDR(monitor), PGSIZE, PERM_R | PERM_U), 0);
	EXPECT_EQ(run(reads, (unsigned long)monitor, 0), -100 - T_PGFLT);
	EXPECT_EQ(dune_vm_map_pages(pgroot, (void *)PGADDR(monitor), PGSIZE, PERM_R | PERM_U), -EINVAL);
}

/* Demand paging for ring 3. */
static void give(uintptr_t addr, uint64_t fec, struct dune_tf *tf)
{
	calls++;
	EXPECT_EQ(tf->cs & 3, 3);
	ASSERT_EQ(dune_vm_map_pages(pgroot, (void *)PGADDR(addr), PGSIZE, PERM_R | PERM_W | PERM_U), 0);
}

static USER void writes_all(char *p, long n)
{
	long i, sum = 0;

	for (i = 0; i < n; i++)
		STORE(p + i * 4096, i);
	for (i = 0; i < n; i++)
		sum += LOAD(p + i * 4096);
	returns(sum);
}

TEST(pages_for_ring_3_on_demand)
{
	enter(true);
	dune_register_syscall_handler(on_call);
	dune_register_pgflt_handler(give);
	EXPECT_EQ(run(writes_all, 0x400000000000, 100), 99 * 100 / 2);
	EXPECT_EQ(calls, 101);
}

/* --- FS, GS --------------------------------------------------------------------------------------------------------------------------------------- */

static USER void reads_fs(void)
{
	long value;

	asm volatile("movq %%fs:8, %0" : "=r"(value));
	if (user_call(1000, 0, 0, 0, 0, 0, 0))
		value = -1;
	asm volatile("addq %%fs:8, %0" : "+r"(value));
	returns(value);
}

static USER void sets_fs(unsigned long base)
{
	unsigned long got = 0;

	if (user_call(SYS_arch_prctl, ARCH_SET_FS, base, 0, 0, 0, 0))
		returns(1);
	if (user_call(SYS_arch_prctl, ARCH_GET_FS, (long)&got, 0, 0, 0, 0) || got != base)
		returns(2);
	if (user_call(SYS_arch_prctl, ARCH_SET_FS, -4096, 0, 0, 0, 0) != -EPERM)
		returns(3);
	if (user_call(SYS_arch_prctl, ARCH_GET_FS, 8, 0, 0, 0, 0) != -EFAULT)
		returns(4);
	asm volatile("movq %%fs:8, %0" : "=r"(got));
	returns(got);
}

static USER void sets_gs(unsigned long base)
{
	unsigned long got = 0;

	if (user_call(SYS_arch_prctl, ARCH_SET_GS, base, 0, 0, 0, 0))
		returns(1);
	if (user_call(SYS_arch_prctl, ARCH_GET_GS, (long)&got, 0, 0, 0, 0) || got != base)
		returns(2);
	if (user_call(SYS_arch_prctl, ARCH_SET_GS, -4096, 0, 0, 0, 0) != -EPERM)
		returns(3);
	if (user_call(SYS_arch_prctl, ARCH_GET_GS, 8, 0, 0, 0, 0) != -EFAULT)
		returns(4);
	asm volatile("movq %%gs:8, %0" : "=r"(got));
	returns(got);
}

TEST(gs_of_ring_3)
{
	static long area[4] = { 0, 333 };
	unsigned long mine = 1, fs;

	enter(true);
	dune_register_syscall_handler(on_call);
	fs = dune_get_user_fs();
	EXPECT_EQ(run(sets_gs, (unsigned long)area, 0), 333);
	EXPECT_EQ(dune_get_user_fs(), fs);
	EXPECT_EQ(syscall(SYS_arch_prctl, ARCH_GET_GS, &mine), 0);
	EXPECT_EQ(mine, 0);
	EXPECT_EQ(tls, 4711);
}

static int mappings;

static void count_mapping(const struct dune_procmap_entry *e)
{
	mappings++;
}

static void *survivor(void *arg)
{
	static long area[4] = { 0, 222 };

	while (test_thread_state(getpid()) != 'Z')
		sched_yield();
	if (dune_enter())
		_exit(1);
	if (run(sets_fs, (unsigned long)area, 0) != 222)
		_exit(2);
	dune_procmap_iterate(count_mapping);
	_exit(mappings > 3 ? 42 : 3);
}

static void ends_first_thread(void)
{
	pthread_t t;

	if (pthread_create(&t, NULL, survivor, NULL))
		_exit(4);
	syscall(SYS_exit, 0);
}

TEST(a_first_thread_that_has_ended)
{
	int ret = dune_init(true);

	if (ret == -ENODEV)
		SKIP("no device: the module is not loaded");
	ASSERT_EQ(ret, 0);
	dune_register_syscall_handler(on_call);
	EXPECT_EQ(end_of(ends_first_thread), 42);
}

TEST(fs_of_ring_3)
{
	static long area[2][4] = { { 0, 111 }, { 0, 222 } };
	unsigned long mine;

	enter(true);
	dune_register_syscall_handler(on_call);
	rdmsrl(MSR_FS_BASE, mine);
	EXPECT_EQ(dune_get_user_fs(), mine);
	dune_set_user_fs((unsigned long)area[0]);
	EXPECT_EQ(dune_get_user_fs(), (unsigned long)area[0]);
	EXPECT_EQ(run(reads_fs, 0, 0), 222);
	EXPECT_EQ(tls, 4711);
	EXPECT_EQ(run(sets_fs, (unsigned long)area[1], 0), 222);
	EXPECT_EQ(dune_get_user_fs(), (unsigned long)area[1]);
	EXPECT_EQ(tls, 4711);
	dune_set_user_fs(0);
	dune_register_pgflt_handler(report_fault);
	EXPECT_EQ(run(reads_fs, 0, 0), -100 - T_PGFLT);
	EXPECT_EQ(tls, 4711);
}

/* Without a handler Linux answers ring 3. */
static USER void asks_linux(long fd)
{
	long value, pid = user_call(SYS_getpid, 0, 0, 0, 0, 0, 0);

	asm volatile("movq %%fs:8, %0" : "=r"(value));
	if (user_call(SYS_write, fd, (long)&value, 8, 0, 0, 0) != 8)
		pid = 0;
	asm volatile("ud2" : : "D"(pid), "S"(value));
}

static void take_both(struct dune_tf *tf)
{
	last = *tf;
	EXPECT_EQ(tls, 4711);
	dune_ret_from_user(1);
}

TEST(linux_answers_ring_3_where_nobody_does)
{
	static long area[4] = { 0, 333 };
	long got = 0;
	int fds[2];

	SYS(pipe(fds));
	enter(true);
	ASSERT_EQ(dune_register_intr_handler(T_ILLOP, take_both), 0);
	dune_set_user_fs((unsigned long)area);
	EXPECT_EQ(run(asks_linux, fds[1], 0), 1);
	EXPECT_EQ(last.rdi, getpid());
	EXPECT_EQ(last.rsi, 333);
	EXPECT_EQ(read(fds[0], &got, 8), 8);
	EXPECT_EQ(got, 333);
	EXPECT_EQ(dune_get_user_fs(), (unsigned long)area);
}

/* --- nesting, resuming --------------------------------------------------------------------------------------------------------------------------- */

static USER void asks(long depth)
{
	returns(1 + user_call(2000, depth, 0, 0, 0, 0, 0));
}

static void on_nested(struct dune_tf *tf)
{
	char below[8 * PGSIZE];

	if (tf->rax == SYS_RETURN)
		dune_ret_from_user(ARG0(tf));
	if (ARG0(tf)) {
		/* another ring 3, on a part of the stack of its own */
		struct dune_tf inner = frame(asks, ARG0(tf) - 1, 0);

		inner.rsp = tf->rsp - 1024;
		inner.rsp -= (inner.rsp - 8) & 15;
		memset(below, ARG0(tf), sizeof(below));
		tf->rax = dune_jump_to_user(&inner);
		EXPECT_EQ(below[sizeof(below) - 1], (char)ARG0(tf));
	} else {
		tf->rax = 0;
	}
}

TEST(ring_3_within_ring_3)
{
	enter(true);
	dune_register_syscall_handler(on_nested);
	EXPECT_EQ(run(asks, 0, 0), 1);
	EXPECT_EQ(run(asks, 5, 0), 6);
	EXPECT_EQ(run(asks, 5, 0), 6);
}

/* A program's threads: frames kept, gone on with later. */
static struct dune_tf kept[2];
static USER void yields(long id, long n)
{
	long i, sum = 0;

	for (i = 0; i < n; i++)
		sum += user_call(3000, id, 0, 0, 0, 0, 0);
	user_call(3001, id, sum, 0, 0, 0, 0);
}

static int left;
static long sums[2];
static void schedule(struct dune_tf *tf)
{
	int id = ARG0(tf);

	calls++;
	if (tf->rax == 3001) {
		sums[id] = ARG1(tf);
		if (!--left)
			dune_ret_from_user(55);
		dune_pop_trap_frame(&kept[!id]);
	}
	tf->rax = id + 1;
	if (left == 1)
		return;
	kept[id] = *tf;
	dune_pop_trap_frame(&kept[!id]);
}

TEST(frames_kept_and_gone_on_with)
{
	int i;

	enter(true);
	dune_register_syscall_handler(schedule);
	for (i = 0; i < 2; i++) {
		kept[i] = frame(yields, i, 1000);
		kept[i].rsp -= i * 8 * PGSIZE;
		kept[i].cs = GD_UT | 3;
		kept[i].ss = GD_UD | 3;
	}
	left = 2;
	EXPECT_EQ(dune_jump_to_user(&kept[0]), 55);
	EXPECT_EQ(sums[0], 1000);
	EXPECT_EQ(sums[1], 2000);
}

static volatile int arrived;
static void __attribute__((noreturn)) in_ring_0(long a)
{
	uint64_t cs;

	asm volatile("mov %%cs, %0" : "=r"(cs));
	_exit(a == 12 && !(cs & 3) ? 9 : 1);
}

static void pop_in_ring_0(void)
{
	struct dune_tf tf = frame(in_ring_0, 12, 0);

	if (dune_enter())
		_exit(2);
	tf.cs = GD_KT;
	tf.ss = GD_KD;
	dune_pop_trap_frame(&tf);
}

TEST(a_frame_of_ring_0)
{
	enter(true);
	EXPECT_EQ(end_of(pop_in_ring_0), 9);
}

/* --- a compartment: a table of its own, with copies of what it may write, which are thrown away ------------------------------------------------------- */

static long mine[512] __attribute__((aligned(4096))) = { 1 };
static char other_stack[4 * PGSIZE] __attribute__((aligned(4096)));

static USER void changes(long *p, long by)
{
	volatile long local[64];

	local[5] = *p + by;
	*p = local[5];
	user_call(SYS_RETURN, *p, 0, 0, 0, 0, 0);
}

static int dirty;
static int count_dirty(const void *arg, ptent_t *ptep, void *va)
{
	dirty += !!(*ptep & PTE_D) && !!(*ptep & PTE_U);
	return 0;
}

static int forbid(const void *arg, ptent_t *ptep, void *va)
{
	*ptep &= ~(ptent_t)PTE_U;
	return 0;
}

TEST(a_compartment)
{
	struct page *data = NULL, *pg;
	struct dune_tf tf;
	ptent_t *table;
	int i, n;

	enter(true);
	dune_register_syscall_handler(on_call);
	dune_register_pgflt_handler(report_fault);
	memset(other_stack, 0, sizeof(other_stack));
	for (n = 1; n <= 3; n++) {
		table = dune_vm_clone(pgroot);
		ASSERT(table);
		/* nothing of what the process has, but its code to read and two kinds of memory */
		ASSERT_EQ(dune_vm_page_walk(table, VA_START, VA_END, forbid, NULL), 0);
		ASSERT_EQ(dune_vm_mprotect(table, (void *)PGADDR(changes), 2 * PGSIZE, PERM_UCODE), 0);
		data = dune_page_alloc();
		memcpy((void *)dune_page2pa(data), mine, PGSIZE);
		ASSERT_EQ(dune_vm_insert_page(table, mine, data, PERM_UTEXT), 0);
		for (i = 0; i < 4; i++) {
			pg = dune_page_alloc();
			memset((void *)dune_page2pa(pg), 0, PGSIZE);
			ASSERT_EQ(dune_vm_insert_page(table, other_stack + i * PGSIZE, pg, PERM_USTACK), 0);
			dune_page_put(pg);
		}
		tf = frame(changes, (unsigned long)mine, n);
		tf.rsp = (uintptr_t)other_stack + sizeof(other_stack) - 8;
		load_cr3((unsigned long)table);
		EXPECT_EQ(dune_jump_to_user(&tf), 1 + n);
		tf = frame(changes, (unsigned long)&tls, n);
		tf.rsp = (uintptr_t)other_stack + sizeof(other_stack) - 8;
		EXPECT_EQ(dune_jump_to_user(&tf), -100 - T_PGFLT);
		load_cr3((unsigned long)pgroot);
		EXPECT_EQ(*PLACE(mine), 1);
		EXPECT_EQ(*(long *)dune_page2pa(data), 1 + n);
		dirty = 0;
		ASSERT_EQ(dune_vm_page_walk(table, mine, (char *)mine + PGSIZE - 1, count_dirty, NULL), 0);
		EXPECT_EQ(dirty, 1);
		ASSERT_EQ(dune_vm_page_walk(table, other_stack, other_stack + sizeof(other_stack) - 1, count_dirty, NULL), 0);
		EXPECT_EQ(dirty, 2);		/* and one page of the stack */
		EXPECT_EQ(data->ref, 2);
		dune_vm_free(table);
		EXPECT_EQ(data->ref, 1);
		dune_page_put(data);
	}
}

/* --- signals while ring 3 runs ----------------------------------------------------------------------------------------------------------------------- */

static volatile int ticks;
static void *tick_stack;
static void on_tick(int sig)
{
	char here;

	EXPECT_EQ(tls, 4711);
	tick_stack = &here;
	ticks++;
}

static USER void spins(volatile int *until, long n)
{
	int first = *until;

	while (*until - first < n)
		asm volatile("pause");
	returns(8);
}

TEST(signals_while_ring_3_runs)
{
	struct itimerval often = { { 0, 1000 }, { 0, 1000 } }, never = { { 0, 0 }, { 0, 0 } };
	static long area[4];

	enter(true);
	dune_register_syscall_handler(on_call);
	dune_set_user_fs((unsigned long)area);
	EXPECT(dune_signal(SIGALRM, on_tick) == NULL);
	SYS(setitimer(ITIMER_REAL, &often, NULL));
	EXPECT_EQ(run(spins, (unsigned long)&ticks, 5), 8);
	SYS(setitimer(ITIMER_REAL, &never, NULL));
	EXPECT_GE(ticks, 5);
	/* never on ring 3's stack, which is anybody's */
	EXPECT((char *)tick_stack < stack || (char *)tick_stack >= stack + sizeof(stack));
	EXPECT_EQ(tls, 4711);
}

/* Ring 3 that is nowhere near sane: no stack, all registers wild. */
static USER void spins_without_stack(volatile int *until, long n)
{
	asm volatile("movl (%0), %%eax\n\taddl %k1, %%eax\n\tmovq $-1, %%rsp\n\tmovq $-1, %%rbp\n1:\tpause\n\tcmpl %%eax, (%0)\n\tjl 1b\n\t"
		     "movl $666, %%eax\n\tmovl $8, %%edi\n\tsyscall" : : "r"(until), "r"(n) : "rax", "memory");
}

TEST(signals_while_ring_3_has_no_stack)
{
	struct itimerval often = { { 0, 1000 }, { 0, 1000 } }, never = { { 0, 0 }, { 0, 0 } };

	enter(true);
	dune_register_syscall_handler(on_call);
	EXPECT(dune_signal(SIGALRM, on_tick) == NULL);
	SYS(setitimer(ITIMER_REAL, &often, NULL));
	EXPECT_EQ(run(spins_without_stack, (unsigned long)&ticks, 5), 8);
	SYS(setitimer(ITIMER_REAL, &never, NULL));
	EXPECT_GE(ticks, 5);
}

/* Ring 3 that does not end by itself. */
static volatile int outside_of_it;
static void time_is_up(struct dune_tf *tf)
{
	EXPECT_EQ(tls, 4711);
	if (!(tf->cs & 3)) {
		outside_of_it++;
		return;
	}
	last = *tf;
	dune_ret_from_user(-ETIME);
}

static USER void spins_for_good(void)
{
	for (;;)
		asm volatile("pause");
}

TEST(ring_3_that_does_not_end)
{
	/* again and again: the first may come before ring 3 does */
	struct itimerval often = { { 0, 5000 }, { 0, 5000 } }, never = { { 0, 0 }, { 0, 0 } };
	sigset_t set;
	int i;

	enter(true);
	dune_register_syscall_handler(on_call);
	ASSERT_EQ(dune_register_signal_handler(SIGALRM, time_is_up), 0);
	for (i = 0; i < 5; i++) {
		SYS(setitimer(ITIMER_REAL, &often, NULL));
		EXPECT_EQ(run(spins_for_good, 0, 0), -ETIME);
		SYS(setitimer(ITIMER_REAL, &never, NULL));
		EXPECT(last.rip >= (uintptr_t)spins_for_good && last.rip < (uintptr_t)spins_for_good + 64);
		SYS(sigprocmask(SIG_BLOCK, NULL, &set));
		EXPECT(!sigismember(&set, SIGALRM));
		EXPECT_EQ(run(returns, 3, 0), 3);
	}
	outside_of_it = 0;
	SYS(kill(getpid(), SIGALRM));
	EXPECT_EQ(outside_of_it, 1);
}

/* --- a program of another's, loaded and run: what Dune's own sandbox does ------------------------------------------------------------------------------ */

/* write(1, "hi", 2); exit(7): as an ELF file, without a loader's help. */
static const unsigned char code[] = {
	0xb8, 1, 0, 0, 0, 0xbf, 1, 0, 0, 0, 0x48, 0x8d, 0x35, 0x17, 0, 0, 0, 0xba, 2, 0, 0, 0, 0x0f, 0x05,	/* lea 0x17(%rip): "hi" */
	0xb8, 60, 0, 0, 0, 0xbf, 7, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xfe, 0, 0, 'h', 'i',
};

static unsigned char image[2 * PGSIZE];
static uintptr_t entry;

static int load_one(struct dune_elf *elf, Elf64_Phdr *p)
{
	int ret, perm = PERM_U;

	if (p->p_type != PT_LOAD)
		return 0;
	ret = dune_elf_load_ph(elf, p, 0);
	if (ret)
		return ret;
	perm |= (p->p_flags & PF_R ? PERM_R : 0) | (p->p_flags & PF_W ? PERM_W : 0) | (p->p_flags & PF_X ? PERM_X : 0);
	return dune_vm_map_phys(pgroot, (void *)PGADDR(p->p_vaddr), PGSIZE, (void *)dune_va_to_pa((void *)PGADDR(p->p_vaddr)), perm);
}

static char written[8];
static void box(struct dune_tf *tf)
{
	if (tf->rax == SYS_write) {
		memcpy(written, (void *)ARG1(tf), ARG2(tf) & 7);
		tf->rax = ARG2(tf);
	} else if (tf->rax == SYS_exit) {
		dune_ret_from_user(ARG0(tf));
	} else {
		tf->rax = -EPERM;
	}
}

TEST(a_box_for_a_program)
{
	Elf64_Ehdr h = { .e_type = ET_EXEC, .e_machine = EM_X86_64, .e_version = 1, .e_entry = 0x60000000, .e_phoff = 64, .e_ehsize = 64,
			 .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 1 };
	Elf64_Phdr p = { .p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_offset = PGSIZE, .p_vaddr = 0x60000000, .p_filesz = sizeof(code),
			 .p_memsz = sizeof(code) };
	struct dune_elf elf;
	struct dune_tf tf;

	memcpy(h.e_ident, ELFMAG "\2\1\1", 7);
	memcpy(image, &h, sizeof(h));
	memcpy(image + 64, &p, sizeof(p));
	memcpy(image + PGSIZE, code, sizeof(code));
	enter(false);
	dune_register_syscall_handler(box);
	dune_register_pgflt_handler(report_fault);
	ASSERT_EQ(dune_elf_open_mem(&elf, image, sizeof(image)), 0);
	ASSERT_EQ(dune_elf_iter_ph(&elf, load_one), 0);
	entry = elf.hdr.e_entry;
	dune_elf_close(&elf);
	allow_ring3(stack, sizeof(stack), PERM_R | PERM_W);
	tf = frame((void *)entry, 0, 0);
	EXPECT_EQ(dune_jump_to_user(&tf), 7);
	EXPECT(!strcmp(written, "hi"));
}
