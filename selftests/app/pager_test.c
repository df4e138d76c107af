// SPDX-License-Identifier: MIT
/*
 * pager_test.c - memory whose pages another process provides
 *
 * The pager is a child, and page N of the range begins with N * 3 + 1; what the faults tell it is
 * checked there, what the accesses find here.
 */
#include <pthread.h>
#include <ringside/ipc.h>
#include "app.h"

#define N	64		/* pages */
#define LIMIT	20000000000ul	/* ns: that long only when something hangs */

static int port, to;
static char *range;

static void open_port(void)
{
	int p = rs_port_create(0);

	ASSERT(p > 0);
	port = rs_handle_copy(p, RS_RIGHT_RECEIVE, 0);
	to = rs_handle_copy(p, RS_RIGHT_SEND, 5);
	ASSERT(port > 0 && to > 0);
	EXPECT_EQ(rs_handle_close(p), 0);
}

static uint64_t number(uint64_t page)
{
	return page * 3 + 1;
}

/* How many pages each answer has, whether they move, and the page it refuses. */
static struct {
	unsigned int ahead, rights, refuse, faults;
} how;

static void be_pager(void)
{
	struct rs_ipc m = { .port = port, .limit = RS_IPC_FOREVER };
	char *buf = private_pages(N);
	long what;

	rs_handle_close(to);
	while ((what = rs_ipc(RS_SYS_IPC_REPLY_WAIT, &m)) == RS_IPC_FAULT) {
		uint64_t first = m.word[2] / PAGE;

		EXPECT_EQ(m.badge, 5);
		EXPECT_EQ(m.word[0], range + m.word[2]);
		EXPECT_LE(m.word[1], 1);
		how.faults++;
		for (unsigned int i = 0; i <= how.ahead; i++)
			*(uint64_t *)(buf + i * PAGE) = number(first + i);
		m.addr = (uint64_t)buf;
		m.len = first == how.refuse ? 0 : (1 + how.ahead) * PAGE;
		m.rights = how.rights;
	}
	EXPECT_EQ(what, -EPIPE);
}

/* A pager for @range, made by fork, so that both know the address. */
static pid_t start_pager(unsigned int ahead, unsigned int rights)
{
	pid_t pid;

	open_port();
	range = private_pages(N);
	how.ahead = ahead;
	how.rights = rights;
	how.refuse = -1;
	pid = CHILD({ be_pager(); });
	rs_handle_close(port);
	ASSERT_EQ(rs_pager(range, N * PAGE, to, RS_IPC_FOREVER), 0);
	return pid;
}

static uint64_t word(size_t page)
{
	return *(volatile uint64_t *)(range + page * PAGE);
}

TEST(pages_come_when_they_are_touched)
{
	static const struct {
		unsigned int ahead, rights;
	} ways[] = { { 0, RS_PAGE_WRITE }, { 0, RS_PAGE_WRITE | RS_PAGES_MOVE },
		     { 3, RS_PAGE_WRITE }, { 7, RS_PAGE_WRITE | RS_PAGES_MOVE } };

	NEEDS(RS_APP_IPC);
	for (unsigned int k = 0; k < 4; k++) {
		pid_t pid = start_pager(ways[k].ahead, ways[k].rights);

		/* some are written first, and stay so when the neighbours come */
		for (int i = 0; i < N; i += 5)
			*(volatile uint64_t *)(range + i * PAGE + 8) = 1000 + i;
		for (int i = N - 1; i >= 0; i--) {
			EXPECT_EQ(word(i), number(i));
			EXPECT_EQ(*(uint64_t *)(range + i * PAGE + 8), i % 5 ? 0 : 1000 + i);
		}
		for (int i = 0; i < N; i++)
			*(volatile uint64_t *)(range + i * PAGE) = i;
		for (int i = 0; i < N; i++)
			EXPECT_EQ(word(i), i);
		/* what is dropped comes again; so it does in a child */
		SYS(madvise(range + PAGE, 2 * PAGE, MADV_DONTNEED));
		EXPECT_EQ(word(1), number(1));
		pid_t child = CHILD({ EXPECT_EQ(word(2), number(2)); EXPECT_EQ(word(3), 3); });
		EXITS(child, 0);
		EXPECT_EQ(rs_handle_close(to), 0);
		SYS(munmap(range, N * PAGE));
		EXITS(pid, 0);
	}
}

TEST(other_rights_and_no_pager)
{
	volatile char *p;
	pid_t pid;

	NEEDS(RS_APP_IPC);
	pid = start_pager(0, RS_PAGE_READ);
	p = range;
	EXPECT_EQ(word(1), number(1));
	EXPECT_EQ(dies_by(touch_write, p + PAGE), SIGSEGV);
	EXPECT_EQ(rs_page_protect((void *)(p + PAGE), PAGE, RS_PAGE_WRITE), 0);
	p[PAGE] = 1;
	/* what the mapping does not allow is not asked for */
	SYS(mprotect((void *)p, PAGE, PROT_NONE));
	EXPECT_EQ(dies_by(touch_read, p), SIGSEGV);
	/* calls do not wait for a page */
	EXPECT_ERRNO(syscall(SYS_getcwd, p + 5 * PAGE, PAGE), EFAULT);
	EXPECT_ERRNO(pipe((int *)(p + 5 * PAGE)), EFAULT);
	EXPECT_EQ(rs_page_protect((void *)(p + 6 * PAGE), PAGE, RS_PAGE_READ), -EFAULT);
	EXPECT_ERRNO(madvise((void *)(p + 7 * PAGE), PAGE, MADV_POPULATE_READ), EFAULT);
	/* the page that is not there is no page to send */
	struct rs_ipc m = { .port = to, .limit = 1000000, .addr = (uint64_t)p + 8 * PAGE,
			    .len = PAGE, .rights = RS_PAGE_READ };
	EXPECT(rs_ipc(RS_SYS_IPC_CALL, &m) < 0);
	EXPECT_EQ(rs_pager((void *)(p + 8 * PAGE), PAGE, 0, 0), 0);
	EXPECT_EQ(p[8 * PAGE], 0);
	EXPECT_EQ(rs_pager((void *)p, N * PAGE, 0, 0), 0);
	EXPECT_EQ(p[9 * PAGE], 0);
	/* that was the last of it: the pager ends */
	rs_handle_close(to);
	EXITS(pid, 0);
}

TEST(what_cannot_have_a_pager)
{
	char *p = private_pages(4), *s = shared_pages(1), *f;

	NEEDS(RS_APP_IPC);
	open_port();
	f = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, scratch_file("x", 1), 0);
	EXPECT_EQ(rs_pager(p, PAGE, port, 0), -EACCES);
	EXPECT_EQ(rs_pager(p, PAGE, 77, 0), -EBADF);
	EXPECT_EQ(rs_pager(p + 1, PAGE, to, 0), -EINVAL);
	EXPECT_EQ(rs_pager(p, 0, to, 0), -EINVAL);
	EXPECT_EQ(rs_pager(p, 100, to, 0), -EINVAL);
	EXPECT_EQ(rs_pager(s, PAGE, to, 0), -EINVAL);
	EXPECT_EQ(rs_pager(f, PAGE, to, 0), -EINVAL);
	EXPECT_EQ(rs_pager((void *)((uintptr_t)&p & -PAGE), PAGE, to, 0), -EINVAL);
	SYS(munmap(p + 2 * PAGE, PAGE));
	EXPECT_EQ(rs_pager(p, 4 * PAGE, to, 0), -ENOMEM);
	EXPECT_EQ(rs_pager((void *)-PAGE, PAGE, to, 0), -ENOMEM);
	EXPECT_EQ(rs_pager(p, -PAGE, to, 0), -ENOMEM);
	/* nothing of it has come to anything */
	p[0] = 1;
	EXPECT_EQ(rs_pager(p, PAGE, to, RS_IPC_FOREVER), 0);
	rs_handle_close(port);
	EXPECT_EQ(p[0], 1);
}

/* --- refusals, ends, limits ------------------------------------------------------------------ */

static struct rs_trap_frame seen;

static int see(struct rs_trap_frame *f)
{
	seen = *f;
	f->rip += 3;
	return RS_TRAP_RESUME;
}

/* A store of three bytes' length. */
static void store(volatile char *p)
{
	asm volatile("movb	$1, (%0)" : : "a"(p) : "memory");
}

static void touch_untrapped(volatile char *p)
{
	rs_trap_handle(VEC_PF, NULL, 0);
	store(p);
}

TEST(pages_that_do_not_come)
{
	pid_t pid;

	NEEDS(RS_APP_IPC);
	ASSERT_EQ(rs_trap_stack_alloc(64 << 10), 0);
	ASSERT_EQ(rs_trap_handle(VEC_PF, see, 0), 0);
	open_port();
	range = private_pages(N);
	how.rights = RS_PAGE_WRITE;
	how.refuse = 3;
	pid = CHILD({ be_pager(); });
	EXPECT_EQ(rs_pager(range, N * PAGE, to, RS_IPC_FOREVER), 0);
	rs_handle_close(port);
	store(range + 3 * PAGE + 7);
	EXPECT_EQ(seen.cause, RS_CAUSE_PAGER_REFUSED);
	EXPECT_EQ(seen.addr, range + 3 * PAGE + 7);
	EXPECT_EQ(dies_by(touch_untrapped, range + 3 * PAGE), SIGBUS);
	EXPECT_EQ(word(4), number(4));
	/* killed: what is there stays, the rest is an error at once */
	SYS(kill(pid, SIGKILL));
	DIES(pid, SIGKILL);
	store(range + 5 * PAGE);
	EXPECT_EQ(seen.cause, RS_CAUSE_PAGER_ENDED);
	EXPECT_EQ(dies_by(touch_untrapped, range + 6 * PAGE), SIGBUS);
	EXPECT_EQ(word(4), number(4));
	/* nobody receives, and the limit is over */
	open_port();
	EXPECT_EQ(rs_pager(range, N * PAGE, to, 1000000), 0);
	store(range + 5 * PAGE);
	EXPECT_EQ(seen.cause, RS_CAUSE_PAGER_LIMIT);
	EXPECT_EQ(word(4), number(4));
}

/* It ends while somebody waits for it: by its death, or by letting the port go. */
TEST(a_pager_that_ends_in_the_middle)
{
	NEEDS(RS_APP_IPC);
	for (int way = 0; way < 3; way++) {
		pid_t pid, victim;
		int own;

		open_port();
		own = port;
		range = private_pages(N);
		pid = CHILD({
			struct rs_from from;
			uint64_t w[4];

			rs_handle_close(to);
			EXPECT_EQ(rs_ipc_receive(own, w, &from), RS_IPC_FAULT);
			if (way == 0)
				raise(SIGKILL);
			if (way == 2)
				EXPECT_EQ(rs_pager_refuse(from.reply), 0);
		});
		rs_handle_close(port);
		EXPECT_EQ(rs_pager(range, N * PAGE, to, LIMIT), 0);
		victim = CHILD({
			signal(SIGBUS, SIG_DFL);
			touch_read(range + PAGE);
		});
		DIES(victim, SIGBUS);
		if (way)
			EXITS(pid, 0);
		else
			DIES(pid, SIGKILL);
		rs_handle_close(to);
	}
}

/* --- signals --------------------------------------------------------------------------------- */

static volatile int handled;

static void on_signal(int sig)
{
	(void)sig;
	handled++;
}

/* Who waits for a page can be killed, stopped, interrupted; then the page is asked for again. */
TEST(signals_while_a_page_is_waited_for)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct rs_from from, again;
	char *page = private_pages(1);
	uint64_t w[4];
	int status;
	pid_t pid;

	NEEDS(RS_APP_IPC);
	open_port();
	range = private_pages(N);
	*(uint64_t *)page = 77;
	SYS(sigaction(SIGUSR1, &sa, NULL));
	pid = CHILD({
		rs_handle_close(port);
		EXPECT_EQ(rs_pager(range, N * PAGE, to, RS_IPC_FOREVER), 0);
		touch_read(range);
	});
	EXPECT_EQ(rs_ipc_receive(port, w, &from), RS_IPC_FAULT);
	SYS(kill(pid, SIGKILL));
	DIES(pid, SIGKILL);
	EXPECT_EQ(rs_pager_provide(from.reply, page, PAGE, RS_PAGE_WRITE), -ESRCH);
	pid = CHILD({
		rs_handle_close(port);
		EXPECT_EQ(rs_pager(range, N * PAGE, to, RS_IPC_FOREVER), 0);
		EXPECT_EQ(word(0), 77);
		EXPECT_EQ(handled, 1);
	});
	EXPECT_EQ(rs_ipc_receive(port, w, &from), RS_IPC_FAULT);
	SYS(kill(pid, SIGUSR1));
	EXPECT_EQ(rs_ipc_receive(port, w, &again), RS_IPC_FAULT);
	EXPECT_EQ(rs_pager_provide(from.reply, page, PAGE, RS_PAGE_WRITE), -ESRCH);
	SYS(kill(pid, SIGSTOP));
	EXPECT_EQ(SYS(waitpid(pid, &status, WUNTRACED)), pid);
	EXPECT_EQ(rs_pager_provide(again.reply, page, PAGE, RS_PAGE_WRITE), -ESRCH);
	SYS(kill(pid, SIGCONT));
	EXPECT_EQ(rs_ipc_receive(port, w, &again), RS_IPC_FAULT);
	EXPECT_EQ(rs_pager_provide(again.reply, page, PAGE, RS_PAGE_WRITE), 0);
	EXITS(pid, 0);
}

/* The range goes, changes hands or is filled while a request for it is under way. */
static void *touch_it(void *arg)
{
	return (void *)*(volatile uint64_t *)arg;
}

static void *provide_later(void *arg)
{
	struct rs_from from;
	uint64_t w[4];
	char *page = arg;

	EXPECT_EQ(rs_ipc_receive(port, w, &from), RS_IPC_FAULT);
	/* other memory is there now: it is not the pager's, and stays as it is */
	ASSERT_EQ(mmap(range, N * PAGE, PROT_READ | PROT_WRITE,
		       MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), range);
	EXPECT_EQ(rs_pager_provide(from.reply, page, PAGE, RS_PAGE_WRITE), 0);
	return NULL;
}

TEST(the_range_goes_meanwhile)
{
	char *page = private_pages(1);
	pthread_t t, u;
	void *found;

	NEEDS(RS_APP_IPC);
	open_port();
	range = private_pages(N);
	*(uint64_t *)page = 77;
	EXPECT_EQ(rs_pager(range, N * PAGE, to, LIMIT), 0);
	ASSERT_EQ(pthread_create(&t, NULL, provide_later, page), 0);
	ASSERT_EQ(pthread_create(&u, NULL, touch_it, range + PAGE), 0);
	pthread_join(u, &found);
	pthread_join(t, NULL);
	EXPECT_EQ(found, 0);
	EXPECT_EQ(*(uint64_t *)page, 77);
}

/* Threads of several processes in one range, and pages that are dropped under them. */
static void *reads_all(void *arg)
{
	unsigned int seed = (uintptr_t)arg;

	for (int i = 0; i < 400; i++) {
		size_t page = (seed = seed * 1103515245 + 12345) >> 16 & (N - 1);

		if (i % 7 == 0)
			madvise(range + page * PAGE, PAGE, MADV_DONTNEED);
		EXPECT_EQ(word(page), number(page));
	}
	return NULL;
}

TEST(many_threads_in_one_range)
{
	pid_t pid, child;
	pthread_t t[3];

	NEEDS(RS_APP_IPC);
	pid = start_pager(1, RS_PAGE_WRITE | RS_PAGES_MOVE);
	child = CHILD({
		rs_handle_close(to);
		reads_all((void *)9ul);
	});
	for (uintptr_t i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, reads_all, (void *)(i + 1));
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	EXITS(child, 0);
	rs_handle_close(to);
	SYS(munmap(range, N * PAGE));
	EXITS(pid, 0);
}

/* --- deaths: programs, and what the report of their end says --------------------------------- */

static void touch_range(unsigned long limit)
{
	range = private_pages(1);
	rs_pager(range, PAGE, to, limit);
	touch_read(range);
}

static void d_ended(void)
{
	open_port();
	rs_handle_close(port);
	touch_range(RS_IPC_FOREVER);
}

static void d_limit(void)
{
	open_port();
	touch_range(1000000);
}

static void d_refused(void)
{
	struct rs_from from;
	uint64_t w[4];

	open_port();
	if (fork()) {
		rs_handle_close(port);
		touch_range(RS_IPC_FOREVER);
	}
	rs_handle_close(to);
	while (rs_ipc_receive(port, w, &from) >= 0)
		rs_pager_refuse(from.reply);
	_exit(0);
}

static const struct death deaths[] = {
	{ "ended", "the pager of this memory has ended, or its port is closed", d_ended },
	{ "limit", "the pager of this memory has not provided the page in time", d_limit },
	{ "refused", "the pager of this memory has refused the page", d_refused },
};

__attribute__((constructor)) static void death_programs(int argc, char **argv)
{
	if (argc < 2 || strcmp(argv[1], "@die-pager"))
		return;
	for (size_t i = 0; i < sizeof(deaths) / sizeof(deaths[0]); i++) {
		if (argc == 2)
			printf("%s\t%s\n", deaths[i].name, deaths[i].text);
		else if (!strcmp(argv[2], deaths[i].name))
			deaths[i].run();
	}
	exit(argc == 2 ? 0 : 1);
}
