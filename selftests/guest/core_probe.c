// SPDX-License-Identifier: MIT
/*
 * core_probe.c - one thing at a time that only the core of the guest kernel can do right
 *
 * Memory and its cost, the deaths it reports, its own end. Each command prints one line or dies;
 * in-vm beside this file knows what must come out.   usage: rs-core-probe COMMAND
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "../../uapi/ringside_app.h"

#define PAGE	4096ul
#define MIB	(1ul << 20)

static long exits_now(void)
{
	return syscall(RS_SYS_EXITS);
}

static char *anon(size_t size)
{
	char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED) {
		perror("mmap");
		exit(3);
	}
	return p;
}

static void touch(volatile char *p, size_t size)
{
	for (size_t i = 0; i < size; i += PAGE)
		p[i] = 1;
}

/* "MiB exits": fresh memory, touched for the first time. */
static int walk_fresh(void)
{
	size_t size = 256 * MIB;
	char *p = anon(size);
	long e0, e1, own;

	e0 = exits_now();
	own = exits_now() - e0;
	e0 = exits_now();
	touch(p, size);
	e1 = exits_now();
	printf("%lu %ld\n", size / MIB, e1 - e0 - own);
	return 0;
}

/* "pages exits": memory that was used before, given back and touched again. */
static int walk_again(void)
{
	size_t size = 4 * MIB;
	char *p = anon(size);
	long e0, e1, own;

	touch(p, size);
	for (int i = 0; i < 3; i++) {
		madvise(p, size, MADV_DONTNEED);
		touch(p, size);
	}
	madvise(p, size, MADV_DONTNEED);
	e0 = exits_now();
	own = exits_now() - e0;
	e0 = exits_now();
	touch(p, size);
	e1 = exits_now();
	printf("%lu %ld\n", size / PAGE, e1 - e0 - own);
	return 0;
}

/* Reading 64 MiB nobody wrote takes no memory; every byte is zero. */
static int zero_page(void)
{
	size_t size = 64 * MIB;
	volatile char *p = anon(size);
	long sum = 0;

	for (size_t i = 0; i < size; i += PAGE)
		sum += p[i] | p[i + PAGE - 1];
	printf("sum %ld\n", sum);
	return sum != 0;
}

static int grow_and_shrink(void)
{
	char *first = sbrk(0), *p;

	/* In memory a tenth of what all rounds together touch. */
	for (int i = 0; i < 20; i++) {
		p = sbrk(20 * MIB);
		if (p == (char *)-1)
			return 1;
		touch(p, 20 * MIB);
		if (brk(first))
			return 2;
	}
	puts("grown and shrunk");
	return 0;
}

static int exhaust(void)
{
	for (int i = 0; i < 1 << 20; i++)
		touch(anon(MIB), MIB);
	return 0;
}

__attribute__((noinline)) static int deeper(int n)
{
	volatile char frame[4096];

	frame[0] = n;
	return n < 1 << 30 ? deeper(n + 1) + frame[0] : 0;
}

static int overflow(void)
{
	return deeper(1);
}

/* A file's page beyond its end, read, written, and passed to a system call. */
static char *beyond_the_end(int prot)
{
	int fd = open("/proc/self/exe", O_RDONLY);
	char *p = mmap(NULL, 64 * MIB, prot, MAP_PRIVATE, fd, 0);

	if (fd < 0 || p == MAP_FAILED) {
		perror("mapping this program");
		exit(3);
	}
	return p + 63 * MIB;
}

static int beyond_read(void)
{
	return *(volatile char *)beyond_the_end(PROT_READ);
}

static int beyond_write(void)
{
	*(volatile char *)beyond_the_end(PROT_READ | PROT_WRITE) = 1;
	return 0;
}

static int beyond_call(void)
{
	long n = write(1, beyond_the_end(PROT_READ), 10);

	printf("%ld %d\n", n, n < 0 ? errno == EFAULT : 0);
	return 0;
}

__attribute__((noinline)) static void writes_to_constant(void)
{
	*(volatile char *)"constant" = 1;
}

static int constant(void)
{
	writes_to_constant();
	return 0;
}

static int executes_data(void)
{
	static char data[] = { (char)0xc3 };

	((void (*)(void))(uintptr_t)data)();
	return 0;
}

static int kernel_memory(void)
{
	return *(volatile char *)0xffffffff80200000ul;
}

/*
 * Linux's 32-bit code segment, and a SYSCALL there, which on AMD does not begin where those of
 * 64-bit code do.
 */
static int compat_syscall(void)
{
	static const unsigned char code[] = { 0x0f, 0x05, 0xf4 }; /* SYSCALL; HLT */
	unsigned char *at = mmap((void *)0x20000000, 4096, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	struct {
		unsigned int offset;
		unsigned short selector;
	} to = { 0x20000000, 0x23 };

	if (at == MAP_FAILED)
		return 1;
	memcpy(at, code, sizeof(code));
	if (mprotect(at, 4096, PROT_READ | PROT_EXEC))
		return 1;
	asm volatile("ljmpl *%0" : : "m"(to));
	return 1;
}

static int kernel_crash(void)
{
	printf("%ld\n", syscall(RS_SYS_BENCH, RS_BENCH_CRASH, 1));
	return 0;
}

static int write_execute(void)
{
	char *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
		       -1, 0);
	int both = p == MAP_FAILED ? errno : 0, again;

	p = anon(PAGE);
	p[0] = (char)0xc3;
	again = mprotect(p, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC) ? errno : 0;
	if (mprotect(p, PAGE, PROT_READ | PROT_EXEC))
		return 1;
	((void (*)(void))(uintptr_t)p)();
	printf("%d %d\n", both == EACCES, again == EACCES);
	return 0;
}

static const struct {
	const char *name;
	int (*run)(void);
} commands[] = {
	{ "walk-fresh", walk_fresh }, { "walk-again", walk_again }, { "zero-page", zero_page },
	{ "brk", grow_and_shrink }, { "exhaust", exhaust }, { "overflow", overflow },
	{ "beyond-read", beyond_read }, { "beyond-write", beyond_write },
		{ "beyond-call", beyond_call },
	{ "constant", constant }, { "executes-data", executes_data },
		{ "kernel-memory", kernel_memory },
	{ "compat-syscall", compat_syscall },
	{ "kernel-crash", kernel_crash }, { "write-execute", write_execute },
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc == 2 && i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].run();
	fprintf(stderr, "usage: rs-core-probe COMMAND\n");
	return 2;
}
