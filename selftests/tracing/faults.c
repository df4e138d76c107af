// SPDX-License-Identifier: MIT
/*
 * rs-faults - a program whose page faults are known: each kind is made by a function of its own, with one
 * instruction that faults, so many times as its table says. check/tracing.suite compares with what
 * `ringside trace` has seen.
 *
 *	rs-faults FILE		all kinds; FILE has at least FILE_PAGES pages
 *	rs-faults spin N	N times a million turns in spin_here(), for ringside profile
 *	rs-faults switch N	two threads that wake each other N times
 *	rs-faults touch PAGES	so many zero fills
 */
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ringside/app.h>

#define PAGE		4096ul
#define ZERO_FILLS	96
#define COW_COPIES	37
#define LAZY_READS	24
#define FILE_PAGES	64
#define FILE_COPIES	10
#define SHARED		12
#define UPCALLS		7
#define SIGNALS		5
#define BAD_ADDRESSES	3
#define POPULATED	20

#define KIND	__attribute__((noinline, noclone)) static void
#define WRITE	for (i = 0; i < n; i++) p[i * PAGE] = 1
#define READ	for (i = 0; i < n; i++) (void)p[i * PAGE]

KIND zero_fills(volatile char *p, long n) { long i; WRITE; }
KIND cow_copies(volatile char *p, long n) { long i; WRITE; }
KIND lazy_reads(volatile char *p, long n) { long i; READ; }
KIND late_fills(volatile char *p, long n) { long i; WRITE; }
KIND file_reads(volatile char *p, long n) { long i; READ; }
KIND file_copies(volatile char *p, long n) { long i; WRITE; }
KIND shared_pages(volatile char *p, long n) { long i; WRITE; }
KIND upcalls(volatile char *p, long n) { long i; WRITE; }
KIND signals(volatile char *p, long n) { long i; WRITE; }
KIND null_store(volatile char *p) { *p = 1; }

static void *memory(unsigned long pages, int prot, int flags, int fd)
{
	/* At a multiple of 16 pages: what is mapped around a page of a file is known. */
	static char *next = (char *)0x200000000000ul;
	void *p = mmap(next, pages * PAGE, prot, flags | MAP_FIXED_NOREPLACE, fd, 0);

	next += 256 * PAGE;
	if (p == MAP_FAILED) {
		perror("rs-faults: mmap");
		exit(1);
	}
	return p;
}

static int open_page(struct rs_trap_frame *f)
{
	return rs_page_protect((void *)(f->addr & ~(PAGE - 1)), PAGE, RS_PAGE_WRITE) ?
	       RS_TRAP_SIGNAL : RS_TRAP_RESUME;
}

static void on_segv(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	if (mprotect((void *)((unsigned long)info->si_addr & ~(PAGE - 1)), PAGE,
		     PROT_READ | PROT_WRITE))
		_exit(3);
}

static void in_child(void (*fn)(void *), void *arg, int want)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		fn(arg);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid || status != want) {
		fprintf(stderr, "rs-faults: a child ended with %#x\n", status);
		exit(1);
	}
}

static void copy(void *p)
{
	cow_copies(p, COW_COPIES);
}

static void die(void *p)
{
	signal(SIGSEGV, SIG_DFL);
	null_store(p);
}

static int all_kinds(const char *file)
{
	struct sigaction sa = { .sa_sigaction = on_segv, .sa_flags = SA_SIGINFO };
	int private = MAP_PRIVATE | MAP_ANONYMOUS, rw = PROT_READ | PROT_WRITE;
	int fd = open(file, O_RDONLY | O_CLOEXEC), i;
	char *p = memory(ZERO_FILLS, rw, private, -1), *q;

	if (fd < 0) {
		perror(file);
		return 1;
	}
	zero_fills(p, ZERO_FILLS);
	q = memory(LAZY_READS, rw, private, -1);
	lazy_reads(q, LAZY_READS);
	late_fills(q, LAZY_READS);
	file_reads(memory(FILE_PAGES, PROT_READ, MAP_PRIVATE, fd), FILE_PAGES);
	file_copies(memory(FILE_PAGES, rw, MAP_PRIVATE, fd), FILE_COPIES);
	shared_pages(memory(SHARED, rw, MAP_SHARED | MAP_ANONYMOUS, -1), SHARED);
	memory(POPULATED, rw, private | MAP_POPULATE, -1);
	for (i = 0; i < BAD_ADDRESSES; i++)
		syscall(SYS_open, 8, O_RDONLY);

	q = memory(UPCALLS, rw, private | MAP_POPULATE, -1);
	if (rs_trap_stack_alloc(65536) || rs_trap_handle(14, open_page, 0) ||
	    rs_page_protect(q, UPCALLS * PAGE, RS_PAGE_READ)) {
		fprintf(stderr, "rs-faults: no upcalls here\n");
		return 1;
	}
	upcalls(q, UPCALLS);
	rs_trap_handle(14, NULL, 0);

	sigaction(SIGSEGV, &sa, NULL);
	signals(memory(SIGNALS, PROT_READ, private, -1), SIGNALS);

	in_child(copy, p, 0);
	in_child(die, (void *)16, SIGSEGV);
	return 0;
}

/* --- the rest -------------------------------------------------------------------------------- */

__attribute__((noinline, noclone)) static unsigned long spin_here(unsigned long n)
{
	unsigned long x = n;

	while (n--)
		x = x * 6364136223846793005ul + 1442695040888963407ul;
	return x;
}

static int spin(long n)
{
	volatile unsigned long sink = 0;

	/* The argument changes: calls that are alike would be one. */
	while (n--)
		sink += spin_here(1000000 + sink % 2);
	return 0;
}

static int turn;
static long rounds;

static void wait_turn(int mine)
{
	int now;

	while ((now = __atomic_load_n(&turn, __ATOMIC_SEQ_CST)) != mine)
		syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, now, NULL, NULL, 0);
}

static void *player(void *arg)
{
	int mine = (int)(long)arg;
	long i;

	for (i = 0; i < rounds; i++) {
		wait_turn(mine);
		__atomic_store_n(&turn, !mine, __ATOMIC_SEQ_CST);
		syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	}
	return NULL;
}

static int switches(long n)
{
	pthread_t t;

	rounds = n;
	if (pthread_create(&t, NULL, player, (void *)1l))
		return 1;
	player(NULL);
	return pthread_join(t, NULL);
}

int main(int argc, char **argv)
{
	if (argc == 2)
		return all_kinds(argv[1]);
	if (argc == 3 && !strcmp(argv[1], "spin"))
		return spin(atol(argv[2]));
	if (argc == 3 && !strcmp(argv[1], "switch"))
		return switches(atol(argv[2]));
	if (argc == 3 && !strcmp(argv[1], "touch")) {
		long pages = atol(argv[2]);

		zero_fills(mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), pages);
		return 0;
	}
	fprintf(stderr, "usage: rs-faults FILE | spin N | switch N | touch PAGES\n");
	return 2;
}
