// SPDX-License-Identifier: MIT
/*
 * user_fork_test.c - rs_user_fork(): a fork by the program itself, held against what fork(2)
 * promises
 */
#include <pthread.h>
#include <sys/time.h>
#include <ringside/fork.h>
#include "app.h"

#define USER_CHILD(...) ({								\
	long pid_ = rs_user_fork();							\
	ASSERT(pid_ >= 0);								\
	if (!pid_) {									\
		__VA_ARGS__;								\
		test_leave();								\
	}										\
	pid_;										\
})
#define MARKED(p) (!!(rs_page_entry((const void *)(p), NULL) & RS_PTE_MARK(3)))

static int data[3 * PAGE / sizeof(int)] = { 1, 2, 3 };
static int bss[3 * PAGE / sizeof(int)];

TEST(user_fork_copies_what_is_private)
{
	char *p = private_pages(4), *s = shared_pages(2), *heap = malloc(3 * PAGE), local[3 * PAGE];
	int fd = scratch_file("in the file", 11);
	struct gate g[2] = { gate_make(), gate_make() };
	char *shared, *private, *only;
	pid_t maker = getpid();
	long pid;

	NEEDS(RS_APP_PROCESSES);
	shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	private = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	only = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	ASSERT(shared != MAP_FAILED && private != MAP_FAILED && only != MAP_FAILED);
	p[0] = p[PAGE] = local[0] = local[2 * PAGE] = heap[0] = 1;
	s[0] = 1;
	(void)*(volatile char *)private;
	pid = USER_CHILD({
		EXPECT_EQ(getppid(), maker);
		EXPECT(MARKED(p) && MARKED(p + PAGE) && !MARKED(p + 2 * PAGE) && MARKED(private) &&
		       !MARKED(s) && !MARKED(only));
		p[0] = p[2 * PAGE] = local[0] = heap[0] = 2;
		EXPECT(!MARKED(p) && MARKED(p + PAGE));
		data[0] = bss[PAGE / 4] = 2;
		s[0] = s[PAGE] = 2;
		memcpy(shared, "IN", 2);
		memcpy(private, "on", 2);
		gate_open(g[0]);
		gate_wait(g[1]);
		EXPECT_EQ(p[0] + p[PAGE] + p[2 * PAGE] + p[3 * PAGE], 5);
		EXPECT_EQ(local[0] + local[2 * PAGE] + heap[0], 5);
		EXPECT_EQ(data[0] + data[1] + bss[0] + bss[PAGE / 4], 6);
		EXPECT_EQ(s[0] + s[PAGE], 7);
		EXPECT(!memcmp(shared, "IN THE FILE", 11) && !memcmp(private, "on ", 3) &&
		       !memcmp(only, "IN ", 3));
	});
	gate_wait(g[0]);
	EXPECT_EQ(p[0] + p[PAGE] + p[2 * PAGE] + p[3 * PAGE], 2);
	EXPECT_EQ(local[0] + local[2 * PAGE] + heap[0], 3);
	EXPECT_EQ(data[0] + data[1] + bss[0] + bss[PAGE / 4], 3);
	EXPECT_EQ(s[0] + s[PAGE], 4);
	EXPECT(MARKED(p) && MARKED(p + PAGE));
	p[0] = p[PAGE] = p[3 * PAGE] = local[0] = local[2 * PAGE] = heap[0] = 9;
	data[0] = data[1] = bss[0] = bss[PAGE / 4] = 9;
	EXPECT(!MARKED(p) && !MARKED(p + PAGE));
	memcpy(shared, "IN THE FILE", 11);
	memcpy(private, "nothing", 7);
	s[0] = 5;
	gate_open(g[1]);
	EXITS(pid, 0);
	EXPECT_EQ(p[0] + p[PAGE] + p[2 * PAGE], 18);
	EXPECT_EQ(getpid(), maker);
}

/*
 * 1,000 writes by each of the two, at random, against a model of what each must see; over several
 * generations.
 */
#define MODEL	64u	/* pages */

static unsigned int seed;

static unsigned int rnd(unsigned int n)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 8) % n;
}

static void write_at_random(char *p, unsigned char *model, int n)
{
	while (n--) {
		unsigned int page = rnd(MODEL), old = rnd(MODEL);

		model[page] = (unsigned char)rnd(256);
		p[page * PAGE + page] = (char)model[page];
		p[page * PAGE + PAGE - 1] = (char)model[page];
		if ((unsigned char)p[old * PAGE + old] != model[old] ||
		    (unsigned char)p[old * PAGE + PAGE - 1] != model[old]) {
			FAIL("page %u", old);
			return;
		}
	}
}

static void check_model(const char *p, const unsigned char *model)
{
	for (unsigned int i = 0; i < MODEL; i++)
		if ((unsigned char)p[i * PAGE + i] != model[i] ||
		    (unsigned char)p[i * PAGE + PAGE - 1] != model[i])
			FAIL("page %u", i);
}

static void generation(char *p, unsigned char *model, int depth)
{
	long pid;

	if (!depth)
		return;
	pid = USER_CHILD({
		seed = depth * 1000 + 1;
		write_at_random(p, model, 1000);
		generation(p, model, depth - 1);
		check_model(p, model);
	});
	write_at_random(p, model, 1000);
	check_model(p, model);
	EXITS(pid, 0);
	check_model(p, model);
}

TEST(user_fork_as_a_model_says)
{
	char *p = private_pages(MODEL);
	static unsigned char model[MODEL];

	NEEDS(RS_APP_PROCESSES);
	seed = 1;
	write_at_random(p, model, 300);
	generation(p, model, 4);
}

TEST(user_fork_in_a_long_chain)
{
	int *depth = shared_pages(1);
	char *p = private_pages(2);
	long pid = 0;
	int i;

	NEEDS(RS_APP_PROCESSES);
	for (i = 0; i < 40; i++) {
		p[0] = i;
		pid = rs_user_fork();
		ASSERT(pid >= 0);
		if (pid)
			break;
		EXPECT_EQ(p[0], i);
		p[PAGE] += 1;
		++*depth;
	}
	EXPECT_EQ(p[PAGE], i);
	if (i < 40)
		EXITS(pid, 0);
	if (i)
		test_leave();
	EXPECT_EQ(*depth, 40);
}

/* What calls write into pages that are closed is theirs alone, as what the program writes. */
TEST(calls_write_into_copies)
{
	char *p = private_pages(4);
	struct gate g = gate_make();
	int fd[2], status;
	long pid;

	NEEDS(RS_APP_PROCESSES);
	SYS(pipe(fd));
	memset(p, 1, 4 * PAGE);
	pid = USER_CHILD({
		EXPECT_EQ(read(fd[0], p + PAGE - 2, 4), 4);
		EXPECT(!memcmp(p + PAGE - 2, "abcd", 4));
		gate_open(g);
	});
	SYS(write(fd[1], "abcd", 4));
	EXPECT_EQ(waitpid(pid, (int *)(p + 2 * PAGE), 0), pid);
	memcpy(&status, p + 2 * PAGE, 4);
	EXPECT_EQ(status, 0);
	gate_wait(g);
	EXPECT_EQ(p[PAGE - 2] + p[PAGE], 2);
	EXPECT_EQ(p[2 * PAGE + 4], 1);
}

static volatile int own_faults, usr1;
static volatile char *closed;

static int own_handler(struct rs_trap_frame *f)
{
	if ((volatile char *)(f->addr & -PAGE) != closed)
		return RS_TRAP_SIGNAL;
	own_faults++;
	return rs_page_protect((void *)closed, PAGE, RS_PAGE_WRITE) ? RS_TRAP_SIGNAL
								    : RS_TRAP_RESUME;
}

/* The program's own handler goes on to get what is its own, whether it came before or after. */
TEST(the_handler_of_the_program)
{
	char *p = private_pages(3);
	long pid;

	NEEDS(RS_APP_PROCESSES);
	closed = p + PAGE;
	memset(p, 1, 3 * PAGE);
	ASSERT_EQ(rs_trap_stack_alloc(64 << 10), 0);
	ASSERT_EQ(rs_trap_handle(VEC_PF, own_handler, RS_TRAP_GENERAL_REGS), 0);
	ASSERT_EQ(rs_page_protect((void *)closed, PAGE, RS_PAGE_NONE), 0);
	for (int i = 0; i < 2; i++) {
		pid = USER_CHILD({
			own_faults = 0;
			p[0] = p[2 * PAGE] = 2;
			EXPECT_EQ(own_faults, 0);
			EXPECT_EQ(closed[0], 1);
			EXPECT_EQ(own_faults, 1);
			closed[0] = 2;
			EXPECT_EQ(own_faults, 1);
			EXPECT_EQ(dies_by(touch_write, (char *)0x7000), SIGSEGV);
		});
		EXITS(pid, 0);
		EXPECT_EQ(own_faults, 0);
		EXPECT_EQ(p[0], 1);
		ASSERT_EQ(rs_trap_handle(VEC_PF, own_handler, 0), 0);
	}
	EXPECT_EQ(closed[0], 1);
	EXPECT_EQ(own_faults, 1);
}

/* Rights that the mapping has lost are no business of the library's. */
TEST(marked_pages_of_a_mapping_that_is_read_only)
{
	char *p = private_pages(1);
	long pid;

	NEEDS(RS_APP_PROCESSES);
	*p = 1;
	pid = USER_CHILD({
		SYS(mprotect(p, PAGE, PROT_READ));
		EXPECT_EQ(dies_by(touch_write, p), SIGSEGV);
		SYS(mprotect(p, PAGE, PROT_READ | PROT_WRITE));
		*p = 2;
	});
	EXITS(pid, 0);
	EXPECT_EQ(*p, 1);
}

static int forking(struct rs_trap_frame *f)
{
	volatile char *p = private_pages(1);
	volatile int on_stack = 3;
	long pid;

	(void)f;
	*p = 1;
	pid = rs_user_fork();
	if (!pid) {
		*p = 2;
		_exit(*p + on_stack == 5 ? 0 : 1);
	}
	on_stack = 4;
	EXPECT(pid > 0);
	EXITS(pid, 0);
	EXPECT_EQ(*p, 1);
	return own_handler(f);
}

TEST(user_fork_in_a_trap)
{
	volatile char *p = (char *)private_pages(1);

	NEEDS(RS_APP_PROCESSES);
	closed = p;
	*p = 1;
	ASSERT_EQ(rs_trap_stack_alloc(128 << 10), 0);
	ASSERT_EQ(rs_trap_handle(VEC_PF, forking, 0), 0);
	ASSERT_EQ(rs_page_protect((void *)closed, PAGE, RS_PAGE_READ), 0);
	*p = 2;
	EXPECT_EQ(*p, 2);
	EXPECT_EQ(own_faults, 1);
}

static void on_usr1(int sig)
{
	(void)sig;
	usr1++;
	data[0]++;
}

/* Signals come during forks and copies, and what their handlers write is not lost. */
TEST_FOR(signals_and_user_fork, 120)
{
	struct itimerval it = { { 0, 2000 }, { 0, 2000 } };
	struct sigaction sa = { .sa_handler = on_usr1, .sa_flags = SA_RESTART };
	int before = data[0], n = 0;
	double end;

	NEEDS(RS_APP_PROCESSES);
	SYS(sigaction(SIGALRM, &sa, NULL));
	SYS(setitimer(ITIMER_REAL, &it, NULL));
	for (end = now() + 60; (usr1 < 10 || n < 5) && now() < end; n++) {
		long pid = rs_user_fork();

		ASSERT(pid >= 0);
		if (!pid)
			_exit(data[0] - before == usr1 ? 0 : 1);
		bss[n % 3 * PAGE / 4]++;
		EXITS(pid, 0);
	}
	it = (struct itimerval){ 0 };
	SYS(setitimer(ITIMER_REAL, &it, NULL));
	EXPECT_GE(usr1, 10);
	EXPECT_EQ(data[0] - before, usr1);
}

static void *idle(void *arg)
{
	gate_wait(*(struct gate *)arg);
	return NULL;
}

static void *write_data(void *arg)
{
	(void)arg;
	data[0] = 77;
	return NULL;
}

TEST(user_fork_and_threads)
{
	struct gate g = gate_make();
	pthread_t t;
	pid_t pid;

	NEEDS(RS_APP_PROCESSES);
	ASSERT_EQ(pthread_create(&t, NULL, idle, &g), 0);
	EXPECT_EQ(rs_user_fork(), -EBUSY);
	gate_open(g);
	pthread_join(t, NULL);
	pid = vfork();
	if (!pid)
		_exit(rs_user_fork() == -EBUSY ? 0 : 1);
	EXITS(pid, 0);
	pid = (pid_t)USER_CHILD({ data[0] = 5; });
	EXITS(pid, 0);
	EXPECT(MARKED(&data[0]));
	/* a thread without a trap stack, afterwards */
	EXPECT_EQ(rs_user_fork_end(), 0);
	EXPECT(!MARKED(&data[0]));
	ASSERT_EQ(pthread_create(&t, NULL, write_data, NULL), 0);
	pthread_join(t, NULL);
	EXPECT_EQ(data[0], 77);
	/* a stack that is too small for it */
	static char small[4096] __attribute__((aligned(4096)));

	EXPECT_EQ(rs_trap_stack(small, sizeof(small)), 0);
	EXPECT_EQ(rs_user_fork(), -EINVAL);
}

/* The kernel's fork, exec and spawn, from a child that was made by hand. */
TEST(fork_and_exec_after_user_fork)
{
	char *p = private_pages(1);
	long pid;

	NEEDS(RS_APP_PROCESSES);
	*p = 1;
	pid = USER_CHILD({
		pid_t again = CHILD({
			EXPECT(MARKED(p));
			*p = 3;
			EXPECT(!MARKED(p));
		});

		EXITS(again, 0);
		EXPECT_EQ(*p, 1);
		again = vfork();
		if (!again) {
			execl("/proc/self/exe", "rs-app-test", "@gone", NULL);
			_exit(1);
		}
		EXITS(again, 0);
		*p = 2;
		execl("/proc/self/exe", "rs-app-test", "@gone", NULL);
		FAIL("exec");
	});
	EXITS(pid, 0);
	EXPECT_EQ(*p, 1);
}

/* What madvise() has said about fork. */
TEST(user_fork_leaves_out)
{
	char *p = private_pages(3);
	long pid;

	NEEDS(RS_APP_PROCESSES);
	memset(p, 1, 3 * PAGE);
	SYS(madvise(p, PAGE, MADV_DONTFORK));
	SYS(madvise(p + PAGE, PAGE, MADV_WIPEONFORK));
	pid = USER_CHILD({
		EXPECT_EQ(dies_by(touch_read, p), SIGSEGV);
		EXPECT_EQ(p[PAGE], 0);
		EXPECT_EQ(p[2 * PAGE], 1);
		p[PAGE] = p[2 * PAGE] = 2;
	});
	EXITS(pid, 0);
	EXPECT_EQ(p[0] + p[PAGE] + p[2 * PAGE], 3);
}

/*
 * The n-th allocation of the guest kernel fails, for each n: the fork says so, and nothing has
 * changed, or it succeeds; or it is that of a copy which has nowhere to go, and then only the
 * process that needed it dies.
 */
TEST_FOR(user_fork_without_memory, 200)
{
	char *p = private_pages(40);
	long pid, n, counted;
	int failed = 0;

	NEEDS(RS_APP_PROCESSES);
	for (int i = 0; i < 40; i += 3)
		p[i * PAGE] = (char)i;
	/* what is made once is not to be tried for each number */
	pid = USER_CHILD({});
	EXITS(pid, 0);
	for (n = 1; ; n++) {
		pid_t runner = SYS(fork());
		int status;

		if (!runner) {
			counted = syscall(RS_SYS_INJECT, n);
			pid = rs_user_fork();
			if (!pid) {
				for (int i = 0; i < 40; i++) {
					if (p[i * PAGE] != (i % 3 ? 0 : i))
						_exit(9);
					p[i * PAGE] = 1;
				}
				_exit(0);
			}
			if (pid > 0 && waitpid(pid, &status, 0) == pid && status &&
			    !(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL))
				_exit(8);
			counted = syscall(RS_SYS_INJECT, 0);
			if (pid < 0 &&
			    (pid != -ENOMEM || waitpid(-1, NULL, WNOHANG) != -1 || errno != ECHILD))
				_exit(7);
			for (int i = 0; i < 40; i++)
				if (p[i * PAGE] != (i % 3 ? 0 : i) || !(p[i * PAGE] = 2))
					_exit(6);
			_exit(counted < n ? 2 : pid < 0 ? 3 : 4);
		}
		status = status_of(runner);
		if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
			continue;
		ASSERT(WIFEXITED(status));
		if (WEXITSTATUS(status) == 2)
			break;
		failed += WEXITSTATUS(status) == 3;
		if (WEXITSTATUS(status) > 4) {
			FAIL("allocation %ld: status %#x", n, status);
			break;
		}
	}
	test_note("%ld allocations, %d forks without memory", n - 1, failed);
	EXPECT_GE(failed, 5);
	for (int i = 0; i < 40; i++)
		EXPECT_EQ(p[i * PAGE], i % 3 ? 0 : i);
}

/*
 * A program for little memory (in-vm): children that write all they have need more than there is.
 * Each dies, its parent goes on, and a small one finds room again.
 */
__attribute__((constructor)) static void exhaust(int argc, char **argv)
{
	const size_t size = 20 * MIB;
	int status, right = 1;
	char *p;

	if (argc != 2 || strcmp(argv[1], "@exhaust"))
		return;
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		_exit(say("mmap"));
	memset(p, 1, size);
	for (int k = 0; k < 4; k++) {
		size_t some = k < 3 ? size : PAGE;
		long pid = rs_user_fork();

		if (!pid) {
			memset(p, 2, some);
			_exit(0);
		}
		if (pid < 0 || waitpid(pid, &status, 0) != pid)
			_exit(say("rs_user_fork"));
		right &= k < 3 ? WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL : !status;
		for (size_t i = 0; i < size; i += PAGE)
			right &= p[i] == 1;
		memset(p, 1, size);
	}
	_exit(right ? 0 : 1);
}
