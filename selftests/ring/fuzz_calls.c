// SPDX-License-Identifier: MIT
/*
 * fuzz_calls.c - a program that makes random system calls with random arguments
 *
 * Whatever it asks for, the worst that may happen is its own death: the guest kernel must not panic
 * and the host process must not fail. So its exit status does not matter; the suite looks at how
 * the sandbox ended. The same seed makes the same calls.
 *
 * Values are drawn from what hurts: descriptors that are open and that are not, the edges of mapped
 * memory, read-only memory, addresses of the kernel's half, lengths around zero, a page and 2^31
 * and 2^63, structures full of random bytes, names of all kinds. A timer breaks what blocks.
 *
 * usage: rs-fuzz-calls SEED COUNT
 */
#define _GNU_SOURCE
#include <asm/unistd.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define PAGE 4096UL
#define AREA (16 * PAGE)

/*
 * Those that would end the program, take away its stack or its thread pointer, or wait under a mask
 * that may hold the timer's signal.
 */
static const short left_out[] = {
	__NR_exit,
	__NR_exit_group,
	__NR_rt_sigreturn,
	__NR_kill,
	__NR_tkill,
	__NR_tgkill,
	__NR_rt_sigqueueinfo,
	__NR_rt_tgsigqueueinfo,
	__NR_execve,
	__NR_arch_prctl,
	__NR_rt_sigsuspend,
	__NR_ppoll,
	__NR_pselect6,
	__NR_epoll_pwait,
	__NR_epoll_pwait2,
	__NR_brk,
	__NR_rt_sigtimedwait,
	__NR_setitimer,
	__NR_alarm,
	__NR_rt_sigaction,
	__NR_rt_sigprocmask,
	__NR_pause,
	__NR_vfork,
	__NR_fork,
	__NR_clone,
	__NR_clone3,
};

static const char *const names[] = {
	".",
	"..",
	"f",
	"d",
	"d/g",
	"",
	"/",
	"/proc/self/maps",
	"/proc/self/exe",
	"/proc/self/fd/3",
	"/proc/self/mem",
	"/dev/null",
	"/dev/zero",
	"/nowhere",
	"user.name",
	"/proc/self/fd/99999999999",
	"./././././././././f",
	"\377\376",
	"/dev/fd/0",
	"link",
};

static uint64_t state;
static char *area; /* AREA bytes with a hole, a read-only page and nothing behind */
static volatile int ticks;

static uint64_t rnd(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state * 0x2545f4914f6cdd1dull;
}

static long raw(long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f)
{
	register uint64_t r10 asm("r10") = d, r8 asm("r8") = e, r9 asm("r9") = f;
	long ret;

	asm volatile("syscall"
		     : "=a"(ret)
		     : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
		     : "rcx", "r11", "memory");
	return ret;
}

static uint64_t address(void)
{
	static const uint64_t wild[] = { 0,
					 1,
					 8,
					 0x7fffffffefff,
					 0x7ffffffff000,
					 0x800000000000,
					 0xffff888000000000,
					 0xffff888000200000,
					 0xffffffff80200000,
					 ~0ull,
					 ~0ull - 4095,
					 1ull << 63,
					 0x1000 };

	switch (rnd() % 8) {
	case 0: return wild[rnd() % (sizeof(wild) / sizeof(wild[0]))];
	case 1: return (uint64_t)area + (rnd() % 17) * PAGE;
	case 2: return (uint64_t)area + (rnd() % 17) * PAGE - rnd() % 64;
	case 3: return (uint64_t)names[rnd() % (sizeof(names) / sizeof(names[0]))];
	default: return (uint64_t)area + rnd() % AREA;
	}
}

static uint64_t value(void)
{
	static const uint64_t edges[] = { 0,
					  1,
					  2,
					  3,
					  7,
					  8,
					  16,
					  100,
					  4095,
					  4096,
					  4097,
					  65535,
					  65536,
					  65537,
					  0x7fffffff,
					  0x80000000,
					  0xffffffff,
					  0x100000000,
					  0x7fffffffffffffff,
					  1ull << 63,
					  ~0ull,
					  ~0ull - 1,
					  (uint64_t)-100 };

	switch (rnd() % 8) {
	case 0:
	case 1:
	case 2: return address();
	case 3:
	case 4: return rnd() % 16; /* descriptors, commands, small counts */
	case 5: return rnd();
	case 6: return 1ull << rnd() % 64;
	default: return edges[rnd() % (sizeof(edges) / sizeof(edges[0]))];
	}
}

/* Structures with pointers and lengths in them: fill a stretch with values rather than bytes. */
static void scribble(void)
{
	uint64_t at = rnd() % (AREA - 256), v;
	int i;

	if (at / PAGE == 5 || at / PAGE == 9 || (at + 256) / PAGE == 5 || (at + 256) / PAGE == 9)
		return;
	for (i = 0; i < 32; i++) {
		v = value();
		memcpy(area + at + i * 8, &v, 8);
	}
	strcpy(area + at, names[rnd() % (sizeof(names) / sizeof(names[0]))]);
}

static void on_tick(int sig)
{
	(void)sig;
	ticks++;
}

static void prepare(void)
{
	struct itimerval it = { { 0, 20000 }, { 0, 20000 } };
	struct sigaction sa = { .sa_handler = on_tick };
	sigset_t none;
	int p[2];

	/* Whatever the calls did to it meanwhile. */
	mmap(area, AREA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	munmap(area + 5 * PAGE, PAGE);
	mprotect(area + 9 * PAGE, PAGE, PROT_READ);
	sigaction(SIGALRM, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setitimer(ITIMER_REAL, &it, NULL);
	syscall(__NR_close_range, 3, 60, 0);
	open("f", O_RDWR | O_CREAT, 0600);
	open(".", O_RDONLY | O_DIRECTORY);
	open("/dev/zero", O_RDWR);
	if (!pipe2(p, O_NONBLOCK) && !socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, p))
		syscall(__NR_epoll_create1, 0);
	syscall(__NR_eventfd2, 1, O_NONBLOCK);
	syscall(__NR_timerfd_create, 1, O_NONBLOCK);
	syscall(__NR_memfd_create, "m", 0);
}

int main(int argc, char **argv)
{
	unsigned long i, count;
	unsigned int k;

	if (argc != 3)
		return 2;
	state = strtoull(argv[1], NULL, 0) * 0x9e3779b97f4a7c15ull + 1;
	count = strtoul(argv[2], NULL, 0);
	area = mmap(NULL, AREA + 4 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (area == MAP_FAILED)
		return 2;
	area += PAGE;
	syscall(__NR_mkdir, "d", 0700);
	for (i = 0; i < count; i++) {
		long nr = rnd() % 64 ? (long)(rnd() % 340) : (long)(rnd() % 512);

		if (i % 64 == 0)
			prepare();
		for (k = 0; k < sizeof(left_out) / sizeof(left_out[0]); k++)
			if (left_out[k] == nr)
				break;
		if (k < sizeof(left_out) / sizeof(left_out[0]))
			continue;
		if (i % 4 == 0 && i % 64 < 8)
			scribble();
		raw(nr, value(), value(), value(), value(), value(), value());
	}
	return 0;
}
