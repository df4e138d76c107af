// SPDX-License-Identifier: MIT
/*
 * main.c - from the boot page to the first instruction of the first program
 *
 * CPU 0 does all of it. Order matters: the stack's struct kstack and the boot
 * page come first, because printing and panicking need them; descriptor tables next, so that a
 * mistake is a report and not a triple fault; then memory, from the bottom up; then the process.
 */
#include "kernel.h"
#include "../arch/arch_asm.h"
#include "../arch/cpu.h"
#include "../host/host.h"
#include "../lib/assert.h"
#include "../lib/string.h"
#include "../mm/fault.h"
#include "../mm/page_alloc.h"
#include "../mm/pgtable.h"
#include "../mm/window.h"
#include "../net/net.h"
#include "../proc/exec.h"
#include "../proc/proc.h"
#include "../sync/lockcheck.h"

/* Stack of CPU 0 while it starts, and then of its idle thread; entry.S knows it. */
u8 rs_boot_kstack[KSTACK_SIZE] __attribute__((aligned(KSTACK_SIZE)));
extern const char rs_rodata_end[];
static u8 ist_stacks[CPU_IST_STACKS * KSTACK_SIZE] __attribute__((aligned(KSTACK_SIZE)));

static void check_boot_page(void)
{
	const struct rs_boot *b = rs_boot;

	if (b->magic != RS_BOOT_MAGIC || b->version != RS_BOOT_VERSION)
		rs_panic("boot page of version %u, made for %u", b->version, RS_BOOT_VERSION);
	if (!b->ncpus || b->ncpus > RS_NR_CPUS)
		rs_panic("%u CPUs", b->ncpus);
	if (b->free_gpa & ~PAGE_MASK || b->free_gpa >= b->arena_size)
		rs_panic("free memory begins at %#lx of %#lx", (u64)b->free_gpa,
			 (u64)b->arena_size);
}

static void init_cpu0(void)
{
	struct kstack *k = (struct kstack *)rs_boot_kstack;
	struct cpu *cpu = &rs_cpus[0];

	cpu->id = 0;
	cpu->shared = gpa_ptr(rs_boot->shared_gpa);
	cpu->pages = &rs_page_cpus[0];
	*k = (struct kstack){ .cpu = cpu, .shared = cpu->shared, .magic = KSTACK_MAGIC };
	check_boot_page();
	cpu_init_boot(rs_boot->cr4, rs_boot->efer);
	cpu_init(cpu, ist_stacks);
	cpu_set_kstack(cpu, k);
	rs_ncpus = rs_boot->ncpus;
}

/*
 * The strings behind args_gpa: path, argv, envp. They come from the host process, yet a cut-off
 * list is a panic.
 */
static const char *next_string(const char *s, const char *end)
{
	s += strnlen(s, end - s) + 1;
	if (s > end)
		rs_panic("the first program's arguments are cut off");
	return s;
}

static const char *first_args(struct exec_args *a)
{
	const char *path = gpa_ptr(rs_boot->args_gpa), *end = path + rs_boot->args_size;
	const char *s = next_string(path, end);
	long err = 0;
	u32 i;

	exec_args_init(a);
	for (i = 0; i < rs_boot->argc + rs_boot->envc && !err; i++) {
		const char *next = next_string(s, end);

		err = exec_args_add(a, s, i >= rs_boot->argc);
		s = next;
	}
	if (err)
		host_exit(126 << 8, err);
	return path;
}

/*
 * The direct map shows all memory writable, the image's own code and constants included. Without
 * this they could be changed there, and W^X would hold for one of two doors only.
 */
static void protect_image(void)
{
	pgtable_kernel_readonly((u64)gpa_ptr(RS_KERNEL_GPA), (u64)gpa_ptr(gpa_of(rs_rodata_end)));
}

/* The first thread, on its own stack; rs_thread_first() has come here. */
static void first_thread(void)
{
	struct thread *t = current();
	struct exec_args args;
	const char *path;
	long err;

	if (rs_boot->flags & RS_BOOT_DEBUG)
		kstack_mark(this_kstack());
	path = first_args(&args);
	err = proc_exec(t->proc, process_cwd(t->proc), path, &args, t->frame);
	exec_args_free(&args);
	if (err)
		host_exit((err == -ENOENT || err == -ENOTDIR ? 127 : 126) << 8, err);
}

static void start_first_process(void)
{
	struct process *p = process_create();
	struct thread *t;

	if (!p || syscall_process_init(p))
		rs_panic("no memory for the first process");
	t = list_first(&p->threads, struct thread, list);
	sched_prepare(t);
	sched_first = first_thread;
	sched_start(t);
	sched_idle();
}

/* --- the other CPUs --------------------------------------------------------------------------- */

u64 rs_cpu_stacks[RS_NR_CPUS];	/* entry.S */
static void *cpu_ist[RS_NR_CPUS];

static void *stack_pages(size_t n)
{
	struct page *p = page_alloc_run(n * KSTACK_SIZE / PAGE_SIZE, KSTACK_SIZE / PAGE_SIZE);

	if (!p)
		rs_panic("no memory for the stacks of the CPUs");
	return page_ptr(p);
}

static void start_others(void)
{
	u32 i;

	for (i = 1; i < rs_ncpus; i++) {
		rs_cpu_stacks[i] = (u64)stack_pages(1);
		cpu_ist[i] = stack_pages(CPU_IST_STACKS);
		rs_cpus[i].id = i;
		rs_cpus[i].shared = (struct rs_vcpu_shared *)gpa_ptr(rs_boot->shared_gpa) + i;
		rs_cpus[i].pages = &rs_page_cpus[i];
		if (host_call1(RS_CALL_START_CPU, i))
			rs_panic("CPU %u does not start", i);
	}
}

static void __noreturn other_cpu(unsigned int n)
{
	struct cpu *cpu = &rs_cpus[n];
	struct kstack *k = this_kstack();

	*k = (struct kstack){ .cpu = cpu, .shared = cpu->shared, .magic = KSTACK_MAGIC };
	cpu_init(cpu, cpu_ist[n]);
	cpu_set_kstack(cpu, k);
	sched_enter();
	sched_init();
	sched_idle();
}

void rs_main(struct rs_boot *boot, unsigned int cpu)
{
	if (cpu)
		other_cpu(cpu);
	rs_boot = boot;
	init_cpu0();
	lockcheck_on = rs_boot->flags & RS_BOOT_DEBUG;
	page_alloc_init(rs_boot->arena_size, rs_boot->free_gpa, rs_boot->flags & RS_BOOT_DEBUG);
	pgtable_init_kernel(rs_boot->cr3);
	protect_image();
	window_init(rs_boot->window_gpa, rs_boot->window_size);
	fault_init();
	fields_init();
	rs_printf("guest kernel: %lu MiB, %lu pages free, CR4 %#lx\n",
		  (u64)rs_boot->arena_size >> 20, pages_free(),
		  read_cr4());
	sched_init();
	if (rs_boot->flags & RS_BOOT_NET_NIC && !net_init())
		rs_panic("the NIC that was announced is not there");
	start_others();
	start_first_process();
	__builtin_unreachable();
}
