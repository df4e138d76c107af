// SPDX-License-Identifier: MIT
/*
 * ring_test.c - what a program may expect of memory, system calls and signals, wherever it runs
 *
 * The same static binary runs natively and in the ring; every case must hold in both, so a case that is wrong about Linux fails natively.
 * A case that shall die runs as a program of its own (`rs-ring-test die NAME`): the suite beside this file compares the status of both runs.
 * Prints TAP. usage: rs-ring-test | rs-ring-test die NAME | rs-ring-test deaths (prints the names)
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define PAGE 4096UL

static const char *failure;
static int failure_line;
static long failure_got;

/* The first condition that does not hold ends the case. */
#define CHECK(cond) do { if (!(cond)) { failure = #cond; failure_line = __LINE__; failure_got = errno; return; } } while (0)

static volatile sig_atomic_t caught;
static volatile int caught_code;
static void *volatile caught_addr;
static sigjmp_buf back;

static void on_fault(int sig, siginfo_t *si, void *uc)
{
	(void)uc;
	caught = sig;
	caught_code = si->si_code;
	caught_addr = si->si_addr;
	siglongjmp(back, 1);
}

static void catch(int sig, void (*fn)(int, siginfo_t *, void *), int flags)
{
	struct sigaction sa = { .sa_sigaction = fn, .sa_flags = SA_SIGINFO | flags };

	sigemptyset(&sa.sa_mask);
	sigaction(sig, &sa, NULL);
	caught = 0;
	caught_addr = NULL;
}

/* The signal that @touch raises, 0 if none. */
static int signal_of(void (*touch)(volatile char *), volatile char *p)
{
	catch(SIGSEGV, on_fault, 0);
	catch(SIGBUS, on_fault, 0);
	if (!sigsetjmp(back, 1))
		touch(p);
	signal(SIGSEGV, SIG_DFL);
	signal(SIGBUS, SIG_DFL);
	return caught;
}

static void rd(volatile char *p) { (void)*p; }
static void wr(volatile char *p) { *p = 1; }
static void run(volatile char *p) { ((void (*)(void))(uintptr_t)p)(); }

static char *anon(size_t size, int prot)
{
	return mmap(NULL, size, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/* --- memory ---------------------------------------------------------------------------------------------------------- */

static void t_anon_is_zero_and_keeps(void)
{
	size_t n = 5 * 1024 * 1024 + PAGE;
	unsigned char *p = (void *)anon(n, PROT_READ | PROT_WRITE);

	CHECK(p != MAP_FAILED);
	for (size_t i = 0; i < n; i += 511)
		CHECK(p[i] == 0);
	for (size_t i = 0; i < n; i += PAGE)
		*(size_t *)(p + i) = i * 2654435761u;
	for (size_t i = 0; i < n; i += PAGE)
		CHECK(*(size_t *)(p + i) == (size_t)(i * 2654435761u) && p[i + 8] == 0);
	CHECK(munmap(p, n) == 0);
	CHECK(signal_of(rd, (char *)p) == SIGSEGV && caught_code == SEGV_MAPERR && caught_addr == p);
}

static void t_protections(void)
{
	char *p = anon(3 * PAGE, PROT_READ);

	CHECK(p != MAP_FAILED && p[0] == 0);
	CHECK(signal_of(wr, p) == SIGSEGV && caught_code == SEGV_ACCERR && caught_addr == p);
	CHECK(mprotect(p + PAGE, PAGE, PROT_READ | PROT_WRITE) == 0);
	CHECK(signal_of(wr, p + PAGE) == 0 && p[PAGE] == 1);
	CHECK(signal_of(wr, p + 2 * PAGE) == SIGSEGV && signal_of(wr, p) == SIGSEGV);
	CHECK(mprotect(p, 3 * PAGE, PROT_NONE) == 0);
	CHECK(signal_of(rd, p + PAGE) == SIGSEGV && caught_code == SEGV_ACCERR);
	CHECK(mprotect(p, 3 * PAGE, PROT_READ) == 0 && p[PAGE] == 1);
	CHECK(signal_of(run, p) == SIGSEGV && caught_code == SEGV_ACCERR);
	CHECK(munmap(p, 3 * PAGE) == 0);
	CHECK(mprotect(p, PAGE, PROT_READ) == -1 && errno == ENOMEM);
	CHECK(mprotect(p + 1, PAGE, PROT_READ) == -1 && errno == EINVAL);
}

static void t_code_written_then_run(void)
{
	static const unsigned char code[] = { 0xb8, 0x2a, 0, 0, 0, 0xc3 };	/* mov $42,%eax; ret */
	char *p = anon(PAGE, PROT_READ | PROT_WRITE);

	memcpy(p, code, sizeof(code));
	CHECK(mprotect(p, PAGE, PROT_READ | PROT_EXEC) == 0);
	CHECK(((int (*)(void))(uintptr_t)p)() == 42);
	CHECK(signal_of(wr, p) == SIGSEGV);
	munmap(p, PAGE);
}

static void t_munmap_head_tail_hole(void)
{
	char *p = anon(10 * PAGE, PROT_READ | PROT_WRITE);

	memset(p, 7, 10 * PAGE);
	CHECK(munmap(p, PAGE) == 0 && munmap(p + 9 * PAGE, PAGE) == 0 && munmap(p + 4 * PAGE, 2 * PAGE) == 0);
	for (int i = 0; i < 10; i++) {
		int gone = i == 0 || i == 9 || i == 4 || i == 5;

		CHECK(signal_of(rd, p + i * PAGE) == (gone ? SIGSEGV : 0));
		CHECK(gone || p[i * PAGE + 100] == 7);
	}
	CHECK(munmap(p, 10 * PAGE) == 0);
	CHECK(munmap(p + 1, PAGE) == -1 && errno == EINVAL);
	CHECK(munmap(p, 0) == -1 && errno == EINVAL);
}

static void t_fixed_and_hints(void)
{
	char *p = anon(8 * PAGE, PROT_READ | PROT_WRITE), *q;

	memset(p, 1, 8 * PAGE);
	q = mmap(p + 2 * PAGE, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	CHECK(q == p + 2 * PAGE && q[0] == 0 && p[PAGE] == 1 && p[4 * PAGE] == 1);
	q = mmap(p, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	CHECK(q == MAP_FAILED && errno == EEXIST);
	q = mmap((void *)(1UL << 60), PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	CHECK(q == MAP_FAILED && errno == ENOMEM);
	q = mmap(p + 1, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	CHECK(q == MAP_FAILED && errno == EINVAL);
	q = mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(q == MAP_FAILED && errno == EINVAL);
	q = mmap(NULL, PAGE, PROT_READ, MAP_ANONYMOUS, -1, 0);
	CHECK(q == MAP_FAILED && errno == EINVAL);
	q = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, -1, 0);
	CHECK(q == MAP_FAILED && errno == EBADF);
	munmap(p, 8 * PAGE);
}

static void t_mremap(void)
{
	char *p = anon(4 * PAGE, PROT_READ | PROT_WRITE), *q, *r;

	for (int i = 0; i < 4; i++)
		p[i * PAGE] = 10 + i;
	q = mremap(p, 4 * PAGE, 64 * PAGE, MREMAP_MAYMOVE);
	CHECK(q != MAP_FAILED);
	for (int i = 0; i < 64; i++)
		CHECK(q[i * PAGE] == (i < 4 ? 10 + i : 0));
	r = mremap(q, 64 * PAGE, 2 * PAGE, 0);
	CHECK(r == q && r[PAGE] == 11 && signal_of(rd, q + 2 * PAGE) == SIGSEGV);
	r = anon(4 * PAGE, PROT_READ);
	q = mremap(q, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, r + PAGE);
	CHECK(q == r + PAGE && q[0] == 10 && q[PAGE] == 11 && r[0] == 0);
	munmap(r, 4 * PAGE);
	CHECK(mremap(r, PAGE, 2 * PAGE, MREMAP_MAYMOVE) == MAP_FAILED && errno == EFAULT);
}

static void t_brk(void)
{
	char *start = sbrk(0), *p;

	CHECK(sbrk(5 * 1024 * 1024 + 123) == start);
	for (p = start; p < start + 5 * 1024 * 1024; p += PAGE)
		*p = 5;
	CHECK(sbrk(-(5 * 1024 * 1024 + 123)) != (void *)-1 && sbrk(0) == start);
	p = (char *)(((uintptr_t)start + 2 * PAGE) & ~(PAGE - 1));
	CHECK(signal_of(rd, p) == SIGSEGV);
	CHECK(sbrk(4 * PAGE) == start && *p == 0);
	CHECK(sbrk(-4 * (long)PAGE) != (void *)-1);
}

static void t_madvise_dontneed(void)
{
	char *p = anon(600 * PAGE, PROT_READ | PROT_WRITE);

	memset(p, 9, 600 * PAGE);
	CHECK(madvise(p + 10 * PAGE, 500 * PAGE, MADV_DONTNEED) == 0);
	CHECK(p[10 * PAGE - 1] == 9 && p[10 * PAGE] == 0 && p[509 * PAGE + 5] == 0 && p[510 * PAGE] == 9);
	CHECK(madvise(p + 1, PAGE, MADV_DONTNEED) == -1 && errno == EINVAL);
	munmap(p, 600 * PAGE);
	CHECK(madvise(p, PAGE, MADV_DONTNEED) == -1 && errno == ENOMEM);
}

static int temp_file(const void *data, size_t n)
{
	char name[] = "rs-ring-XXXXXX";
	int fd = mkstemp(name);

	if (fd >= 0) {
		unlink(name);
		if (write(fd, data, n) != (ssize_t)n || lseek(fd, 0, SEEK_SET)) {
			close(fd);
			fd = -1;
		}
	}
	return fd;
}

static void t_file_private(void)
{
	char page[PAGE * 2 + 100], buf[16];
	char *p;
	int fd;

	memset(page, 'a', sizeof(page));
	fd = temp_file(page, sizeof(page));
	CHECK(fd >= 0);
	p = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	CHECK(p != MAP_FAILED && p[0] == 'a' && p[2 * PAGE + 99] == 'a' && p[2 * PAGE + 100] == 0);
	p[PAGE] = 'b';
	CHECK(pread(fd, buf, 1, PAGE) == 1 && buf[0] == 'a' && p[PAGE] == 'b' && p[PAGE + 1] == 'a');
	CHECK(signal_of(rd, p + 3 * PAGE) == SIGBUS);
	CHECK(signal_of(wr, p + 3 * PAGE) == SIGBUS);
	CHECK(read(fd, p + 3 * PAGE, 10) == -1 && errno == EFAULT);
	munmap(p, 4 * PAGE);
	p = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, PAGE);
	CHECK(p != MAP_FAILED && p[0] == 'a');
	munmap(p, PAGE);
	CHECK(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 100) == MAP_FAILED && errno == EINVAL);
	close(fd);
}

static void t_file_shared(void)
{
	char page[PAGE], buf[16];
	char *p;
	int fd;

	memset(page, 'a', sizeof(page));
	fd = temp_file(page, sizeof(page));
	CHECK(fd >= 0);
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(p != MAP_FAILED);
	memcpy(p + 10, "shared", 6);
	CHECK(msync(p, PAGE, MS_SYNC) == 0);
	CHECK(pread(fd, buf, 6, 10) == 6 && !memcmp(buf, "shared", 6));
	CHECK(pwrite(fd, "ERASED", 6, 10) == 6 && !memcmp(p + 10, "ERASED", 6));
	munmap(p, PAGE);
	close(fd);
	fd = open((const char *)getauxval(AT_EXECFN), O_RDONLY);
	CHECK(fd >= 0);
	CHECK(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED && errno == EACCES);
	close(fd);
}

/* --- system calls and bad pointers ------------------------------------------------------------------------------------ */

static void t_bad_pointers(void)
{
	char *hole = anon(2 * PAGE, PROT_READ | PROT_WRITE), *ro = anon(PAGE, PROT_READ);
	char *bad[] = { (char *)8, (char *)0xffff888000000000, (char *)0xffffffff80200000, (char *)0x800000000000, (char *)-1, NULL };
	int fd = open("/dev/null", O_RDWR), z = open("/dev/zero", O_RDONLY), p[2];
	struct iovec iov = { hole, 5 };

	CHECK(fd >= 0 && z >= 0 && pipe(p) == 0);
	munmap(hole + PAGE, PAGE);
	bad[5] = hole + PAGE;
	for (int i = 0; i < 6; i++) {
		CHECK(syscall(SYS_write, p[1], bad[i], 10) == -1 && errno == EFAULT);
		CHECK(syscall(SYS_read, z, bad[i], 10) == -1 && errno == EFAULT);
		CHECK(syscall(SYS_open, bad[i], O_RDONLY) == -1 && errno == EFAULT);
		CHECK(syscall(SYS_newfstatat, AT_FDCWD, ".", bad[i], 0) == -1 && errno == EFAULT);
		CHECK(syscall(SYS_uname, bad[i]) == -1 && errno == EFAULT);
		CHECK(syscall(SYS_writev, p[1], bad[i], 1) == -1 && errno == EFAULT);
		CHECK(syscall(SYS_pipe2, bad[i], 0) == -1 && errno == EFAULT);
		CHECK(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, bad[i]) == -1 && errno == EFAULT);
		CHECK(syscall(SYS_rt_sigaction, SIGUSR1, bad[i], NULL, 8) == -1 && errno == EFAULT);
		CHECK(syscall(SYS_getcwd, bad[i], 100) == -1 && errno == EFAULT);
	}
	CHECK(syscall(SYS_read, z, ro, 10) == -1 && errno == EFAULT);
	/* half of the buffer is there: Linux moves what it can */
	CHECK(syscall(SYS_read, z, hole + PAGE - 4, 8) == 4 || errno == EFAULT);
	/* an iovec array that runs into the hole */
	memcpy(hole + PAGE - sizeof(iov), &iov, sizeof(iov));
	CHECK(syscall(SYS_writev, p[1], hole + PAGE - sizeof(iov), 2) == -1 && errno == EFAULT);
	CHECK(syscall(SYS_writev, p[1], hole, -1) == -1 && errno == EINVAL);
	/* a path that ends at the last mapped byte, and one that does not end */
	memcpy(hole + PAGE - 2, ".", 2);
	CHECK(syscall(SYS_access, hole + PAGE - 2, F_OK) == 0);
	hole[PAGE - 1] = 'x';
	CHECK(syscall(SYS_access, hole + PAGE - 2, F_OK) == -1 && errno == EFAULT);
	close(fd), close(z), close(p[0]), close(p[1]);
	munmap(hole, PAGE), munmap(ro, PAGE);
}

static void t_path_too_long(void)
{
	char *p = malloc(2 * PATH_MAX);

	memset(p, 'x', 2 * PATH_MAX - 1);
	p[2 * PATH_MAX - 1] = 0;
	CHECK(open(p, O_RDONLY) == -1 && errno == ENAMETOOLONG);
	free(p);
}

static void t_large_io(void)
{
	size_t n = 9 * 1024 * 1024 + 77;
	unsigned char *a = malloc(n), *b = malloc(n);
	int fd;

	for (size_t i = 0; i < n; i++)
		a[i] = i * 31 + (i >> 9);
	fd = temp_file("", 0);
	CHECK(fd >= 0);
	for (size_t done = 0; done < n;) {
		ssize_t r = write(fd, a + done, n - done);

		CHECK(r > 0);
		done += r;
	}
	CHECK(lseek(fd, 0, SEEK_CUR) == (off_t)n);
	CHECK(lseek(fd, 0, SEEK_SET) == 0);
	for (size_t done = 0; done < n;) {		/* the target was never touched: the kernel's write brings it in */
		ssize_t r = read(fd, b + done, n - done);

		CHECK(r > 0);
		done += r;
	}
	CHECK(!memcmp(a, b, n));
	CHECK(pread(fd, b, 10, 4000) == 10 && !memcmp(b, a + 4000, 10));
	close(fd);
	free(a), free(b);
}

static void t_vectors(void)
{
	char a[3] = "abc", b[5] = "defgh", x[2], y[8];
	struct iovec w[3] = { { a, 3 }, { NULL, 0 }, { b, 5 } }, r[2] = { { x, 2 }, { y, 8 } };
	int p[2];

	CHECK(pipe(p) == 0);
	CHECK(writev(p[1], w, 3) == 8);
	CHECK(readv(p[0], r, 2) == 8 && !memcmp(x, "ab", 2) && !memcmp(y, "cdefgh", 6));
	w[2].iov_len = (size_t)-1;
	CHECK(writev(p[1], w, 3) == -1 && errno == EINVAL);
	close(p[0]), close(p[1]);
}

static void t_descriptors(void)
{
	int a = open("/dev/null", O_RDONLY), b, c;
	struct rlimit old, lim;

	CHECK(a >= 3);
	b = dup(a);
	CHECK(b == a + 1 && fcntl(a, F_DUPFD, 50) == 50 && fcntl(b, F_DUPFD_CLOEXEC, 50) == 51);
	CHECK(fcntl(51, F_GETFD) == FD_CLOEXEC && fcntl(50, F_GETFD) == 0);
	CHECK(fcntl(50, F_SETFD, FD_CLOEXEC) == 0 && fcntl(50, F_GETFD) == FD_CLOEXEC);
	CHECK(dup2(a, 60) == 60 && dup2(60, 60) == 60 && close(60) == 0 && close(60) == -1 && errno == EBADF);
	CHECK(dup3(a, a, 0) == -1 && errno == EINVAL);
	CHECK(dup2(99, 60) == -1 && errno == EBADF);
	close(b);
	c = open("/dev/null", O_RDONLY | O_CLOEXEC);
	CHECK(c == b && fcntl(c, F_GETFD) == FD_CLOEXEC);
	CHECK((fcntl(c, F_GETFL) & O_ACCMODE) == O_RDONLY);
	CHECK(write(c, "x", 1) == -1 && errno == EBADF);
	CHECK(getrlimit(RLIMIT_NOFILE, &old) == 0);
	lim = old;
	lim.rlim_cur = c + 1;
	close(50), close(51);
	CHECK(setrlimit(RLIMIT_NOFILE, &lim) == 0);
	CHECK(dup(a) == -1 && errno == EMFILE);
	CHECK(setrlimit(RLIMIT_NOFILE, &old) == 0);
	close(a), close(c);
	CHECK(read(-1, NULL, 0) == -1 && errno == EBADF);
	CHECK(close(1000000) == -1 && errno == EBADF);
}

static void t_unknown_calls(void)
{
	CHECK(syscall(9999) == -1 && errno == ENOSYS);
	CHECK(syscall(-1L) == -1 && errno == ENOSYS);
}

static void t_identity(void)
{
	struct utsname u;
	char name[16] = "";

	CHECK(getpid() > 0 && getpid() == syscall(SYS_gettid) && getppid() >= 0);
	CHECK(uname(&u) == 0 && !strcmp(u.sysname, "Linux") && !strcmp(u.machine, "x86_64"));
	CHECK(getuid() == geteuid() && getauxval(AT_UID) == getuid() && getauxval(AT_PAGESZ) == PAGE);
	CHECK(getauxval(AT_RANDOM) && getauxval(AT_PHDR) && getauxval(AT_SECURE) == 0);
	CHECK(syscall(SYS_prctl, 15, "ring-name") == 0 && syscall(SYS_prctl, 16, name) == 0 && !strcmp(name, "ring-name"));
}

static void t_time(void)
{
	struct timespec a, b, d = { 0, 20000000 };
	struct timeval tv;

	CHECK(clock_gettime(CLOCK_MONOTONIC, &a) == 0);
	CHECK(nanosleep(&d, NULL) == 0);
	CHECK(clock_gettime(CLOCK_MONOTONIC, &b) == 0);
	CHECK((b.tv_sec - a.tv_sec) * 1000000000L + b.tv_nsec - a.tv_nsec >= 20000000);
	CHECK(gettimeofday(&tv, NULL) == 0 && tv.tv_sec > 1600000000);
	CHECK(clock_gettime(1000, &a) == -1 && errno == EINVAL);
	d.tv_nsec = 1000000000;
	CHECK(nanosleep(&d, NULL) == -1 && errno == EINVAL);
	CHECK(poll(NULL, 0, 5) == 0);
}

/* --- signals ---------------------------------------------------------------------------------------------------------- */

static void on_count(int sig, siginfo_t *si, void *uc)
{
	(void)uc;
	caught++;
	caught_code = si->si_code;
	(void)sig;
}

static void t_raise_and_mask(void)
{
	sigset_t set, old, pend;

	catch(SIGUSR1, on_count, 0);
	CHECK(raise(SIGUSR1) == 0 && caught == 1);
	CHECK(kill(getpid(), SIGUSR1) == 0 && caught == 2 && caught_code == SI_USER);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	CHECK(sigprocmask(SIG_BLOCK, &set, &old) == 0);
	raise(SIGUSR1);
	raise(SIGUSR1);
	CHECK(caught == 2 && sigpending(&pend) == 0 && sigismember(&pend, SIGUSR1));
	CHECK(sigprocmask(SIG_SETMASK, &old, NULL) == 0 && caught == 3);
	signal(SIGUSR1, SIG_IGN);
	CHECK(raise(SIGUSR1) == 0 && caught == 3);
	signal(SIGUSR1, SIG_DFL);
	CHECK(sigaction(SIGKILL, &(struct sigaction){ .sa_handler = SIG_IGN }, NULL) == -1 && errno == EINVAL);
	CHECK(kill(getpid(), 0) == 0 && kill(getpid(), 65) == -1 && errno == EINVAL);
}

static double fp_before;

static void on_clobber(int sig, siginfo_t *si, void *ucv)
{
	ucontext_t *uc = ucv;
	volatile double junk = 1e300;

	(void)sig, (void)si;
	for (int i = 0; i < 10; i++)
		junk = junk / 3.0 + i;
	asm volatile("pcmpeqd %%xmm0,%%xmm0\n\tmovdqa %%xmm0,%%xmm1\n\tmovdqa %%xmm0,%%xmm7\n\tmovdqa %%xmm0,%%xmm15" :
		     : : "xmm0", "xmm1", "xmm7", "xmm15");
	caught = uc->uc_mcontext.gregs[REG_RIP] != 0;
}

static void t_registers_over_signal(void)
{
	uint64_t in[2] = { 0x1122334455667788, 0x99aabbccddeeff00 }, out[2] = { 0, 0 }, r12 = 0, rbx = 0;
	long pid = getpid(), ret;

	fp_before = 1.5;
	catch(SIGUSR2, on_clobber, 0);
	asm volatile("movdqu %[in], %%xmm7\n\tmovdqu %[in], %%xmm15\n\t"
		     "mov $0x1234567890, %%r12\n\tmov $0x777, %%rbx\n\t"
		     "mov $62, %%eax\n\tmov %[pid], %%rdi\n\tmov $12, %%esi\n\tsyscall\n\t"
		     "mov %%r12, %[r12]\n\tmov %%rbx, %[rbx]\n\t"
		     "pxor %%xmm15, %%xmm7\n\tmovdqu %%xmm15, %[out]\n\tptest %%xmm7, %%xmm7\n\tsetz %%cl\n\tmovzbl %%cl, %%ecx\n\tadd %%rcx, %%rax"
		     : "=&a"(ret), [out] "=m"(out), [r12] "=m"(r12), [rbx] "=m"(rbx)
		     : [in] "m"(in), [pid] "m"(pid)
		     : "rcx", "r11", "rdi", "rsi", "r12", "rbx", "xmm7", "xmm15", "memory");
	signal(SIGUSR2, SIG_DFL);
	CHECK(caught == 1 && ret == 1 && out[0] == in[0] && out[1] == in[1]);
	CHECK(r12 == 0x1234567890 && rbx == 0x777 && fp_before == 1.5);
}

static char altstack[65536];
static char *volatile sp_seen;

static void on_alt(int sig, siginfo_t *si, void *uc)
{
	char here;

	(void)sig, (void)si, (void)uc;
	sp_seen = &here;
	siglongjmp(back, 1);
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winfinite-recursion"
static int __attribute__((noinline)) deep(int n)
{
	volatile char page[PAGE];

	page[0] = n;
	return deep(n + 1) + page[0];
}
#pragma GCC diagnostic pop

static void t_stack_overflow_on_altstack(void)
{
	stack_t ss = { .ss_sp = altstack, .ss_size = sizeof(altstack) };

	CHECK(sigaltstack(&ss, NULL) == 0);
	catch(SIGSEGV, on_alt, SA_ONSTACK);
	if (!sigsetjmp(back, 1))
		deep(0);
	signal(SIGSEGV, SIG_DFL);
	CHECK(sp_seen >= altstack && sp_seen < altstack + sizeof(altstack));
	ss.ss_flags = SS_DISABLE;
	CHECK(sigaltstack(&ss, NULL) == 0);
}

static void on_skip(int sig, siginfo_t *si, void *ucv)
{
	ucontext_t *uc = ucv;

	caught = sig;
	caught_code = si->si_code;
	uc->uc_mcontext.gregs[REG_RIP] += 2;
}

static void t_faults_as_signals(void)
{
	catch(SIGILL, on_skip, 0);
	asm volatile("ud2");
	CHECK(caught == SIGILL && caught_code == ILL_ILLOPN);
	catch(SIGFPE, on_fault, 0);
	if (!sigsetjmp(back, 1))
		asm volatile("xor %%eax,%%eax\n\tcltd\n\tdiv %%eax" : : : "eax", "edx");
	CHECK(caught == SIGFPE && caught_code == FPE_INTDIV);
	catch(SIGTRAP, on_count, 0);
	asm volatile("int3");
	CHECK(caught == 1);
	catch(SIGSEGV, on_fault, 0);
	if (!sigsetjmp(back, 1))
		asm volatile("cli");
	CHECK(caught == SIGSEGV && caught_code == SI_KERNEL);
	catch(SIGSEGV, on_fault, 0);
	if (!sigsetjmp(back, 1))
		asm volatile("mov (%0), %%al" : : "r"(1UL << 60) : "eax");
	CHECK(caught == SIGSEGV);
	catch(SIGSEGV, on_fault, 0);
	if (!sigsetjmp(back, 1))
		rd((char *)0xffffffff80200000);
	CHECK(caught == SIGSEGV);
	signal(SIGSEGV, SIG_DFL), signal(SIGILL, SIG_DFL), signal(SIGFPE, SIG_DFL), signal(SIGTRAP, SIG_DFL);
}

static void t_privileged_instructions_fault(void)
{
	static const struct { const char *name; unsigned char code[8]; } insn[] = {
		{ "hlt", { 0xf4, 0xc3 } }, { "mov cr3", { 0x0f, 0x20, 0xd8, 0xc3 } }, { "wrmsr", { 0x0f, 0x30, 0xc3 } },
		{ "rdmsr", { 0x0f, 0x32, 0xc3 } }, { "in", { 0xec, 0xc3 } }, { "out", { 0xee, 0xc3 } }, { "invlpg", { 0x0f, 0x01, 0x38, 0xc3 } },
		{ "lgdt", { 0x0f, 0x01, 0x10, 0xc3 } }, { "swapgs", { 0x0f, 0x01, 0xf8, 0xc3 } }, { "sysret", { 0x48, 0x0f, 0x07, 0xc3 } },
		{ "vmcall", { 0x0f, 0x01, 0xc1, 0xc3 } }, { "vmmcall", { 0x0f, 0x01, 0xd9, 0xc3 } }, { "vmrun", { 0x0f, 0x01, 0xd8, 0xc3 } },
		{ "mov dr7", { 0x0f, 0x21, 0xf8, 0xc3 } }, { "int 0x20", { 0xcd, 0x20, 0xc3 } }, { "int 14", { 0xcd, 0x0e, 0xc3 } },
	};
	char *p = anon(PAGE, PROT_READ | PROT_WRITE);

	for (size_t i = 0; i < sizeof(insn) / sizeof(insn[0]); i++)
		memcpy(p + 16 * i, insn[i].code, 8);
	CHECK(mprotect(p, PAGE, PROT_READ | PROT_EXEC) == 0);
	for (volatile size_t i = 0; i < sizeof(insn) / sizeof(insn[0]); i++) {
		catch(SIGSEGV, on_fault, 0);
		catch(SIGILL, on_fault, 0);
		if (!sigsetjmp(back, 1))
			run(p + 16 * i);
		if (!caught) {
			failure = insn[i].name;
			return;
		}
	}
	signal(SIGSEGV, SIG_DFL), signal(SIGILL, SIG_DFL);
	munmap(p, PAGE);
}

static void t_hostile_sigreturn(void)
{
	/* A frame with kernel selectors and flags: the way back must not give rights. */
	struct { void *ret; ucontext_t uc; char fp[1024]; } frame;

	CHECK(sigaltstack(&(stack_t){ .ss_sp = altstack, .ss_size = sizeof(altstack) }, NULL) == 0);
	catch(SIGSEGV, on_fault, SA_ONSTACK);
	if (!sigsetjmp(back, 1)) {
		memset(&frame, 0, sizeof(frame));
		frame.uc.uc_mcontext.gregs[REG_CSGSFS] = 0x18ULL << 48 | 0x10;
		frame.uc.uc_mcontext.gregs[REG_EFL] = 0x3002;		/* IOPL 3, IF off */
		frame.uc.uc_mcontext.gregs[REG_RIP] = 0xffffffff80200000;
		asm volatile("mov %0, %%rsp\n\tmov $15, %%eax\n\tsyscall" : : "r"(&frame.uc) : "memory");
	}
	signal(SIGSEGV, SIG_DFL);
	sigaltstack(&(stack_t){ .ss_flags = SS_DISABLE }, NULL);
	CHECK(caught == SIGSEGV);
}

static const struct { const char *name; void (*fn)(void); } cases[] = {
#define T(f) { #f, t_##f }
	T(anon_is_zero_and_keeps), T(protections), T(code_written_then_run), T(munmap_head_tail_hole), T(fixed_and_hints), T(mremap), T(brk),
	T(madvise_dontneed), T(file_private), T(file_shared), T(bad_pointers), T(path_too_long), T(large_io), T(vectors), T(descriptors),
	T(unknown_calls), T(identity), T(time), T(raise_and_mask), T(registers_over_signal), T(stack_overflow_on_altstack),
	T(faults_as_signals), T(privileged_instructions_fault), T(hostile_sigreturn),
};

/* --- programs that die ------------------------------------------------------------------------------------------------- */

static void d_null(void) { wr(NULL); }
static void d_abort(void) { abort(); }
static void d_overflow(void) { deep(0); }
static void d_jump(void) { run((char *)0x1000); }
static void d_ud2(void) { asm volatile("ud2"); }
static void d_divide(void) { asm volatile("xor %%eax,%%eax\n\tcltd\n\tdiv %%eax" : : : "eax", "edx"); }
static void d_kernel(void) { wr((char *)0xffff888000001000); }
static void d_term(void) { raise(SIGTERM); }
static void d_kill(void) { kill(getpid(), SIGKILL); }
static void d_stack_pointer(void) { asm volatile("mov $8, %%rsp\n\tpush %%rax" : : : "memory"); }
static void d_exit(void) { exit(77); }
static void d_exit_raw(void) { syscall(SYS_exit, 300); }

static void d_blocked_fault(void)
{
	sigset_t set;

	sigfillset(&set);
	sigprocmask(SIG_SETMASK, &set, NULL);
	wr(NULL);
}

static const struct { const char *name; void (*fn)(void); } deaths[] = {
#define D(f) { #f, d_##f }
	D(null), D(abort), D(overflow), D(jump), D(ud2), D(divide), D(kernel), D(term), D(kill), D(stack_pointer), D(exit), D(exit_raw),
	D(blocked_fault),
};

int main(int argc, char **argv)
{
	size_t n = sizeof(cases) / sizeof(cases[0]);
	int failed = 0;

	if (argc == 2 && !strcmp(argv[1], "deaths")) {
		for (size_t i = 0; i < sizeof(deaths) / sizeof(deaths[0]); i++)
			puts(deaths[i].name);
		return 0;
	}
	if (argc == 3 && !strcmp(argv[1], "die")) {
		for (size_t i = 0; i < sizeof(deaths) / sizeof(deaths[0]); i++)
			if (!strcmp(argv[2], deaths[i].name))
				deaths[i].fn();
		fprintf(stderr, "rs-ring-test: %s: lives, or is unknown\n", argv[2]);
		return 99;
	}
	printf("TAP version 13\n1..%zu\n", n);
	for (size_t i = 0; i < n; i++) {
		failure = NULL;
		errno = 0;
		cases[i].fn();
		if (failure)
			printf("# line %d: %s (errno %ld, signal %d, code %d)\n", failure_line, failure, failure_got, (int)caught, caught_code);
		printf("%s %zu %s\n", failure ? "not ok" : "ok", i + 1, cases[i].name);
		fflush(stdout);
		failed |= !!failure;
	}
	return failed;
}
