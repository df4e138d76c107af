// SPDX-License-Identifier: MIT
/*
 * stress.c - ordinary programs that are not on every machine: threads of all kinds, a large sparse heap, signals, processes
 *
 * Nothing here knows about the ring: selftests/compat runs it outside and inside and compares. What is printed does not depend on who runs when.
 *
 * usage: rs-stress threads|heap|signals|processes [N]
 */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

/* --- threads ------------------------------------------------------------ */

#define WORKERS 8
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
static pthread_barrier_t barrier;
static pthread_key_t key;
static __thread uint64_t mine;
static uint64_t total, turn, shared[2], torn, keys_gone, rounds;

static void key_gone(void *value)
{
	__atomic_fetch_add(&keys_gone, (uintptr_t)value, __ATOMIC_RELAXED);
}

static void *worker(void *arg)
{
	uint64_t id = (uintptr_t)arg;
	double x = id + 1;

	pthread_setspecific(key, (void *)(id + 1));
	for (uint64_t i = 0; i < rounds; i++) {
		char *p = malloc(16 + (i * 37 + id * 101) % 5000);

		/* its turn, in a circle */
		pthread_mutex_lock(&lock);
		while (turn % WORKERS != id)
			pthread_cond_wait(&changed, &lock);
		turn++;
		pthread_cond_broadcast(&changed);
		pthread_mutex_unlock(&lock);

		memset(p, (int)i, 16);
		if (i % 5 == id % 5) {
			pthread_rwlock_wrlock(&rw);
			shared[0]++;
			shared[1]++;
			pthread_rwlock_unlock(&rw);
		} else {
			pthread_rwlock_rdlock(&rw);
			if (shared[0] != shared[1])
				__atomic_fetch_add(&torn, 1, __ATOMIC_RELAXED);
			pthread_rwlock_unlock(&rw);
		}
		x = x * 1.000001 + 1.0 / (i + 1);
		mine += i * id + p[3];
		free(p);
		if (i % 16 == 15)
			pthread_barrier_wait(&barrier);
	}
	pthread_mutex_lock(&lock);
	total += mine + (uint64_t)(x * 1000);
	pthread_mutex_unlock(&lock);
	return (void *)(uintptr_t)mine;
}

static void *short_lived(void *arg)
{
	mine = (uintptr_t)arg * 3;
	return (void *)(uintptr_t)mine;
}

static void *cancelled(void *arg)
{
	(void)arg;
	for (;;)
		pause();
	return NULL;
}

static void threads(unsigned long n)
{
	pthread_t t[WORKERS];
	uint64_t sum = 0;
	void *ret;

	rounds = n;
	pthread_key_create(&key, key_gone);
	pthread_barrier_init(&barrier, NULL, WORKERS);
	for (uintptr_t i = 0; i < WORKERS; i++)
		if (pthread_create(&t[i], NULL, worker, (void *)i))
			fail("pthread_create");
	for (int i = 0; i < WORKERS; i++) {
		pthread_join(t[i], &ret);
		sum += (uintptr_t)ret;
	}
	printf("turns %lu, total %lu, sum %lu, torn %lu, keys %lu, both %d\n", turn, total, sum, torn, keys_gone, shared[0] == shared[1]);
	sum = 0;
	for (uintptr_t i = 0; i < n; i++) {
		if (pthread_create(&t[0], NULL, short_lived, (void *)i))
			fail("pthread_create");
		pthread_join(t[0], &ret);
		sum += (uintptr_t)ret;
	}
	printf("short-lived %lu, mine %lu\n", sum, mine);
	pthread_create(&t[0], NULL, cancelled, NULL);
	pthread_cancel(t[0]);
	pthread_join(t[0], &ret);
	printf("cancelled %d\n", ret == PTHREAD_CANCELED);
}

/* --- a heap ------------------------------------------------------------- */

static void heap(unsigned long mib)
{
	size_t size = mib << 20, pages = size / 4096, step = 911;
	uint64_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0), sum = 0, zeros = 0;

	if (p == MAP_FAILED)
		fail("mmap");
	madvise(p, size, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < pages; i += step)
		p[i * 512 + i % 512] = i * 0x9e3779b97f4a7c15;
	for (size_t i = 0; i < pages; i += step) {
		sum += p[i * 512 + i % 512] ^ i;
		zeros += p[i * 512 + (i + 1) % 512] == 0;
	}
	printf("sum %lu, zeros %lu\n", sum, zeros);
	/* every second one away again, and what is left moved */
	for (size_t i = 0; i < pages; i += 2 * step)
		madvise(p + i * 512, 4096, MADV_DONTNEED);
	p = mremap(p, size, size + (1ul << 30), MREMAP_MAYMOVE);
	if (p == MAP_FAILED)
		fail("mremap");
	sum = 0;
	for (size_t i = 0; i < pages; i += step)
		sum = sum * 31 + p[i * 512 + i % 512];
	printf("sum %lu\n", sum);
	if (munmap(p, size + (1ul << 30)))
		fail("munmap");
}

/* --- signals ------------------------------------------------------------ */

static volatile unsigned long came, depth, deepest, on_stack;
static char *alternate;
static sigjmp_buf again;

static void nest(int sig)
{
	char here;

	depth++;
	if (depth > deepest)
		deepest = depth;
	came++;
	on_stack += &here >= alternate && &here < alternate + SIGSTKSZ * 4;
	if (sig < SIGRTMIN + 5)
		raise(sig + 1);
	depth--;
}

static void jump(int sig)
{
	siglongjmp(again, sig);
}

static void *aside(void *arg)
{
	sigset_t *set = arg;
	unsigned long n = 0;
	int sig;

	while (!sigwait(set, &sig) && sig == SIGUSR1)
		n++;
	return (void *)n;
}

static void queued(void)
{
	union sigval value = { 0 };
	sigset_t set;

	/* while it is blocked: all of them, in order */
	for (value.sival_int = 0; value.sival_int < 10; value.sival_int++)
		if (sigqueue(getpid(), SIGRTMAX, value))
			fail("sigqueue");
	sigemptyset(&set);
	sigaddset(&set, SIGRTMAX);
	for (int i = 0; i < 10; i++) {
		siginfo_t info;

		if (sigwaitinfo(&set, &info) != SIGRTMAX || info.si_value.sival_int != i || info.si_pid != getpid())
			printf("queue: not %d\n", i);
	}
	printf("queue done\n");
}

static void signals(unsigned long n)
{
	struct sigaction sa = { .sa_handler = nest, .sa_flags = SA_ONSTACK };
	volatile unsigned long jumps = 0;
	volatile char *closed;
	stack_t st = { .ss_size = SIGSTKSZ * 4 };
	sigset_t set;
	pthread_t t;
	void *ret;

	st.ss_sp = alternate = malloc(st.ss_size);
	if (sigaltstack(&st, NULL))
		fail("sigaltstack");
	for (int sig = SIGRTMIN; sig <= SIGRTMIN + 5; sig++)
		sigaction(sig, &sa, NULL);
	for (unsigned long i = 0; i < n; i++)
		raise(SIGRTMIN + (int)(i % 6));
	printf("came %lu, deepest %lu, on the stack %lu\n", came, deepest, on_stack);

	sa.sa_handler = jump;
	sigaction(SIGSEGV, &sa, NULL);
	closed = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	while (jumps < n)
		if (sigsetjmp(again, 1) == SIGSEGV)
			jumps++;
		else
			*closed = 1;
	printf("jumps %lu\n", jumps);

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGRTMAX);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	sigdelset(&set, SIGRTMAX);
	pthread_create(&t, NULL, aside, &set);
	pthread_kill(t, SIGUSR1);
	pthread_kill(t, SIGUSR2);
	pthread_join(t, &ret);
	printf("aside %d\n", (uintptr_t)ret <= 1);
	queued();
}

/* --- processes ---------------------------------------------------------- */

static void *forker(void *arg)
{
	unsigned long n = (uintptr_t)arg, sum = 0;

	for (unsigned long i = 0; i < n; i++) {
		int status;
		pid_t pid = fork();

		if (pid < 0)
			fail("fork");
		if (!pid) {
			char *p = malloc(100000);

			memset(p, 1, 100000);
			_exit((int)(i * 7 + p[500]) & 0x7f);
		}
		if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
			fail("waitpid");
		sum += WEXITSTATUS(status);
	}
	return (void *)sum;
}

static void processes(unsigned long n)
{
	pthread_t t[3];
	void *ret;

	for (int i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, forker, (void *)(n + i));
	for (int i = 0; i < 3; i++) {
		pthread_join(t[i], &ret);
		printf("forker %d: %lu\n", i, (unsigned long)ret);
	}
	printf("shell: %d\n", system("exit 3") >> 8);
}

int main(int argc, char **argv)
{
	static const struct { const char *name; void (*run)(unsigned long n); unsigned long n; } what[] = {
		{ "threads", threads, 96 }, { "heap", heap, 4096 }, { "signals", signals, 60 }, { "processes", processes, 5 },
	};

	for (size_t i = 0; argc > 1 && i < sizeof(what) / sizeof(*what); i++)
		if (!strcmp(argv[1], what[i].name)) {
			what[i].run(argc > 2 ? strtoul(argv[2], NULL, 10) : what[i].n);
			return fflush(stdout) != 0;
		}
	fprintf(stderr, "usage: rs-stress threads|heap|signals|processes [N]\n");
	return 2;
}
