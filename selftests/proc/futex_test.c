// SPDX-License-Identifier: MIT
/*
 * futex_test.c - the futex call itself: waiting, waking, requeueing, time limits, robust lists, sharing
 *
 * A waiter cannot be seen from outside. So nobody asks whether it waits already: the waking side repeats its
 * call until it reports that somebody was woken (or moved).
 */
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/select.h>
#include <sys/time.h>
#include "proc.h"

static long futex(_Atomic int *word, int op, int value, const struct timespec *t, _Atomic int *word2, int value3)
{
	return syscall(SYS_futex, word, op, value, t, word2, value3);
}

static _Atomic int *words;	/* set by each test: private or shared memory */
static _Atomic int done;

static void until_woken(_Atomic int *word, int op, int n)
{
	for (double end = now() + 20; n > 0 && now() < end; sched_yield()) {
		long got = futex(word, op, n, NULL, NULL, 0);

		ASSERT_GE(got, 0);
		n -= got;
	}
	EXPECT_EQ(n, 0);
}

TEST(futex_mismatch_and_errors)
{
	_Atomic int w = 1, unaligned[2];
	struct timespec bad = { 0, 2000000000 };

	EXPECT_ERRNO(futex(&w, FUTEX_WAIT, 2, NULL, NULL, 0), EAGAIN);
	EXPECT_ERRNO(futex(&w, FUTEX_WAIT_PRIVATE, 2, NULL, NULL, 0), EAGAIN);
	EXPECT_EQ(futex(&w, FUTEX_WAKE, 1, NULL, NULL, 0), 0);
	EXPECT_ERRNO(futex((void *)((char *)unaligned + 1), FUTEX_WAKE, 1, NULL, NULL, 0), EINVAL);
	EXPECT_ERRNO(futex((void *)((char *)unaligned + 1), FUTEX_WAIT, 1, NULL, NULL, 0), EINVAL);
	EXPECT_ERRNO(futex((void *)16, FUTEX_WAIT, 1, NULL, NULL, 0), EFAULT);
	EXPECT_ERRNO(futex((void *)0x8000000000000000, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0), EFAULT);
	EXPECT_ERRNO(futex(&w, 99, 1, NULL, NULL, 0), ENOSYS);
	EXPECT_ERRNO(futex(&w, FUTEX_WAIT, 1, &bad, NULL, 0), EINVAL);
	EXPECT_ERRNO(futex(&w, FUTEX_WAIT, 1, (void *)16, NULL, 0), EFAULT);
	EXPECT_ERRNO(futex(&w, FUTEX_WAIT_BITSET, 1, NULL, NULL, 0), EINVAL);
	EXPECT_ERRNO(futex(&w, FUTEX_WAKE_BITSET, 1, NULL, NULL, 0), EINVAL);
}

TEST(futex_timeouts)
{
	struct timespec t = { 0, 40000000 };
	_Atomic int w = 0;
	double begin = now();

	EXPECT_ERRNO(futex(&w, FUTEX_WAIT_PRIVATE, 0, &t, NULL, 0), ETIMEDOUT);
	EXPECT(now() - begin >= 0.04);
	begin = now();
	EXPECT_ERRNO(futex(&w, FUTEX_WAIT, 0, &t, NULL, 0), ETIMEDOUT);
	EXPECT(now() - begin >= 0.04);
	/* absolute, on either clock */
	begin = now();
	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_nsec += 40000000;
	t.tv_sec += t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	EXPECT_ERRNO(futex(&w, FUTEX_WAIT_BITSET_PRIVATE, 0, &t, NULL, -1), ETIMEDOUT);
	EXPECT(now() - begin >= 0.04);
	EXPECT_ERRNO(futex(&w, FUTEX_WAIT_BITSET_PRIVATE, 0, &t, NULL, -1), ETIMEDOUT);
	begin = now();
	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_nsec += 40000000;
	t.tv_sec += t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	EXPECT_ERRNO(futex(&w, FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME, 0, &t, NULL, -1), ETIMEDOUT);
	EXPECT(now() - begin >= 0.03);
	t = (struct timespec){ 0, 0 };
	EXPECT_ERRNO(futex(&w, FUTEX_WAIT, 0, &t, NULL, 0), ETIMEDOUT);
}

static void *waits(void *arg)
{
	long ret = futex(&words[0], (intptr_t)arg, 0, NULL, NULL, 0);

	done++;
	return (void *)ret;
}

static pthread_t waiter(int op)
{
	pthread_t t;

	ASSERT_EQ(pthread_create(&t, NULL, waits, (void *)(intptr_t)op), 0);
	return t;
}

TEST(futex_wake_counts)
{
	pthread_t t[8];
	void *ret;

	words = private_pages(1);
	for (int i = 0; i < 8; i++)
		t[i] = waiter(FUTEX_WAIT_PRIVATE);
	until_woken(&words[0], FUTEX_WAKE_PRIVATE, 3);
	EXPECT(eventually(done == 3));
	until_woken(&words[0], FUTEX_WAKE_PRIVATE, 5);
	for (int i = 0; i < 8; i++) {
		pthread_join(t[i], &ret);
		EXPECT_EQ((intptr_t)ret, 0);
	}
	EXPECT_EQ(futex(&words[0], FUTEX_WAKE_PRIVATE, 100, NULL, NULL, 0), 0);
}

static void *waits_bits(void *arg)
{
	long ret = futex(&words[0], FUTEX_WAIT_BITSET_PRIVATE, 0, NULL, NULL, (intptr_t)arg);

	done |= (intptr_t)arg;
	return (void *)ret;
}

TEST(futex_bitset)
{
	pthread_t t[4];

	words = private_pages(1);
	for (intptr_t i = 0; i < 4; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, waits_bits, (void *)(1L << i)), 0);
	/* only those whose bits are asked for */
	for (long n = 0; n < 1; sched_yield())
		n += futex(&words[0], FUTEX_WAKE_BITSET_PRIVATE, 100, NULL, NULL, 4);
	pthread_join(t[2], NULL);
	EXPECT_EQ(done, 4);
	for (long n = 0; n < 2; sched_yield())
		n += futex(&words[0], FUTEX_WAKE_BITSET_PRIVATE, 100, NULL, NULL, 3 | 16);
	pthread_join(t[0], NULL);
	pthread_join(t[1], NULL);
	EXPECT_EQ(done, 7);
	EXPECT_EQ(futex(&words[0], FUTEX_WAKE_BITSET_PRIVATE, 100, NULL, NULL, 16), 0);
	/* a plain wake is for all */
	until_woken(&words[0], FUTEX_WAKE_PRIVATE, 1);
	pthread_join(t[3], NULL);
}

TEST(futex_requeue)
{
	pthread_t t[6];
	long moved = 0;

	words = private_pages(1);
	for (int i = 0; i < 6; i++)
		t[i] = waiter(FUTEX_WAIT_PRIVATE);
	EXPECT_ERRNO(futex(&words[0], FUTEX_CMP_REQUEUE_PRIVATE, 0, (void *)6L, &words[4], 1), EAGAIN);
	while (moved < 6) {
		long n = futex(&words[0], FUTEX_CMP_REQUEUE_PRIVATE, 0, (void *)6L, &words[4], 0);

		ASSERT_GE(n, 0);
		moved += n;
		sched_yield();
	}
	/* none is left where it was, all are there */
	EXPECT_EQ(futex(&words[0], FUTEX_WAKE_PRIVATE, 100, NULL, NULL, 0), 0);
	EXPECT_EQ(done, 0);
	EXPECT_EQ(futex(&words[4], FUTEX_WAKE_PRIVATE, 2, NULL, NULL, 0), 2);
	EXPECT_EQ(futex(&words[4], FUTEX_REQUEUE_PRIVATE, 1, (void *)2L, &words[8], 0), 3);
	EXPECT_EQ(futex(&words[8], FUTEX_WAKE_PRIVATE, 100, NULL, NULL, 0), 2);
	EXPECT_EQ(futex(&words[4], FUTEX_WAKE_PRIVATE, 100, NULL, NULL, 0), 1);
	for (int i = 0; i < 6; i++)
		pthread_join(t[i], NULL);
	EXPECT_EQ(done, 6);
}

TEST(futex_wake_op)
{
	int op = FUTEX_OP(FUTEX_OP_ADD, 5, FUTEX_OP_CMP_EQ, 10);
	pthread_t t = 0;

	words = private_pages(1);
	words[4] = 10;
	EXPECT_EQ(futex(&words[0], FUTEX_WAKE_OP_PRIVATE, 1, (void *)1L, &words[4], op), 0);
	EXPECT_EQ(words[4], 15);
	t = waiter(FUTEX_WAIT_PRIVATE);
	for (long n = 0; n < 1; sched_yield())
		n = futex(&words[4], FUTEX_WAKE_OP_PRIVATE, 1, (void *)1L, &words[0],
			  FUTEX_OP(FUTEX_OP_OR, 0, FUTEX_OP_CMP_EQ, 0));
	pthread_join(t, NULL);
}

static void on_alarm(int sig)
{
}

static void ticking(int flags, bool on)
{
	struct itimerval it = { { 0, on ? 10000 : 0 }, { 0, on ? 10000 : 0 } };
	struct sigaction sa = { .sa_handler = on_alarm, .sa_flags = flags };

	SYS(sigaction(SIGALRM, &sa, NULL));
	SYS(setitimer(ITIMER_REAL, &it, NULL));
}

static void *wakes_later(void *arg)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	usleep(100000);
	until_woken(arg, FUTEX_WAKE_PRIVATE, 1);
	return NULL;
}

TEST(futex_and_signals)
{
	struct timespec t = { 100, 0 };
	static _Atomic int w;
	pthread_t p;

	ticking(0, true);
	EXPECT_ERRNO(futex(&w, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0), EINTR);
	EXPECT_ERRNO(futex(&w, FUTEX_WAIT_PRIVATE, 0, &t, NULL, 0), EINTR);
	/* with a time limit a handler ends the wait in any case, without one it is restarted */
	ticking(SA_RESTART, true);
	EXPECT_ERRNO(futex(&w, FUTEX_WAIT_PRIVATE, 0, &t, NULL, 0), EINTR);
	ASSERT_EQ(pthread_create(&p, NULL, wakes_later, (void *)&w), 0);
	EXPECT_EQ(futex(&w, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0), 0);
	ticking(0, false);
	pthread_join(p, NULL);
}

/* Stopped and continued, a wait goes on with what was left of its time. */
TEST(futex_and_stop)
{
	struct gate ready = gate_make();
	int status;
	pid_t pid = CHILD({
		struct timespec t = { 0, 300000000 };
		_Atomic int w = 0;
		double begin = now();

		gate_open(ready);
		EXPECT_ERRNO(futex(&w, FUTEX_WAIT_PRIVATE, 0, &t, NULL, 0), ETIMEDOUT);
		EXPECT(now() - begin >= 0.3);
	});

	gate_wait(ready);
	for (int i = 0; i < 3; i++) {
		SYS(kill(pid, SIGSTOP));
		EXPECT_EQ(waitpid(pid, &status, WUNTRACED), pid);
		if (!WIFSTOPPED(status))	/* so slow a machine that it has ended already */
			break;
		SYS(kill(pid, SIGCONT));
	}
	if (WIFSTOPPED(status))
		EXITS(pid, 0);
	else
		EXPECT_EQ(status, 0);
}

static void *open_gate(void *arg)
{
	gate_open(*(struct gate *)arg);
	return NULL;
}

/* The same of other waits: none ends early, none begins again from the start. */
TEST(waits_and_stop)
{
	static const char *const what[] = { "nanosleep", "clock_nanosleep", "poll", "ppoll", "select" };

	for (int k = 0; k < 5; k++) {
		struct gate ready = gate_make(), never = gate_make();
		int status;
		pid_t pid = CHILD({
			struct timespec t = { 0, 300000000 };
			struct timeval tv = { 0, 300000 };
			struct pollfd p = { never.fd[0], POLLIN, 0 };
			double begin = now();
			pthread_t other;
			fd_set set;
			int ret;

			FD_ZERO(&set);
			FD_SET(never.fd[0], &set);
			/* a second thread: what is stopped is the process, whichever thread the signal finds */
			pthread_create(&other, NULL, open_gate, &ready);
			switch (k) {
			case 0: ret = nanosleep(&t, NULL); break;
			case 1: ret = clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL); break;
			case 2: ret = poll(&p, 1, 300); break;
			case 3: ret = ppoll(&p, 1, &t, NULL); break;
			default: ret = select(never.fd[0] + 1, &set, NULL, NULL, &tv); break;
			}
			if (ret)
				FAIL("%s: %d, %s", what[k], ret, strerror(errno));
			EXPECT(now() - begin >= 0.3);
			pthread_join(other, NULL);
		});

		gate_wait(ready);
		for (int i = 0; i < 3; i++) {
			SYS(kill(pid, SIGSTOP));
			/* so slow a machine that it has ended already tests nothing */
			if (waitpid(pid, &status, WUNTRACED) != pid || !WIFSTOPPED(status))
				break;
			SYS(kill(pid, SIGCONT));
		}
		if (WIFSTOPPED(status))
			EXITS(pid, 0);
		else
			EXPECT_EQ(status, 0);
	}
}

/* Two processes, one word: found by what the memory is, not by its address. */
TEST(futex_shared_between_processes)
{
	_Atomic int *other;
	int fd = SYS(memfd_create("words", 0));
	pid_t pid;

	SYS(ftruncate(fd, 2 * PAGE));
	words = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	other = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, PAGE);
	ASSERT((void *)words != MAP_FAILED && (void *)other != MAP_FAILED);
	pid = CHILD(SYS(futex(&words[1024 + 5], FUTEX_WAIT, 0, NULL, NULL, 0)));
	until_woken(&other[5], FUTEX_WAKE, 1);
	EXITS(pid, 0);
	/* anonymous shared memory as well, in both directions */
	words = shared_pages(1);
	pid = CHILD({
		for (int i = 0; i < 200; i++) {
			while (words[0] == i)
				futex(&words[0], FUTEX_WAIT, i, NULL, NULL, 0);
			words[1] = i + 1;
			futex(&words[1], FUTEX_WAKE, 1, NULL, NULL, 0);
		}
	});
	for (int i = 0; i < 200; i++) {
		words[0] = i + 1;
		futex(&words[0], FUTEX_WAKE, 1, NULL, NULL, 0);
		while (words[1] == i)
			futex(&words[1], FUTEX_WAIT, i, NULL, NULL, 0);
	}
	EXITS(pid, 0);
}

/* The same address in parent and child, but private memory: a wake in one does not reach the other. */
TEST(futex_private_memory_after_fork)
{
	struct gate go = gate_make();
	struct timespec t = { 0, 100000000 };
	pid_t pid[2];

	words = private_pages(1);
	for (int i = 0; i < 2; i++)
		pid[i] = CHILD({
			gate_open(go);
			/* FUTEX_WAIT without the private flag, on memory that is private all the same */
			EXPECT_ERRNO(futex(&words[0], i ? FUTEX_WAIT : FUTEX_WAIT_PRIVATE, 0, &t, NULL, 0),
				     ETIMEDOUT);
		});
	gate_wait(go);
	gate_wait(go);
	for (int i = 0; i < 50; i++) {
		EXPECT_EQ(futex(&words[0], FUTEX_WAKE, 100, NULL, NULL, 0), 0);
		EXPECT_EQ(futex(&words[0], FUTEX_WAKE_PRIVATE, 100, NULL, NULL, 0), 0);
		usleep(1000);
	}
	EXITS(pid[0], 0);
	EXITS(pid[1], 0);
}

/* A waiter whose page is copied by a fork's first write still waits at the same word. */
TEST(futex_waiter_over_fork)
{
	struct gate go = gate_make();
	pthread_t t;
	pid_t pid;

	words = private_pages(1);
	t = waiter(FUTEX_WAIT_PRIVATE);
	pid = CHILD(gate_wait(go));
	words[1] = 1;			/* the page is another one now */
	until_woken(&words[0], FUTEX_WAKE_PRIVATE, 1);
	pthread_join(t, NULL);
	gate_open(go);
	EXITS(pid, 0);
}

struct held {
	struct robust_list list;
	_Atomic int word;
};

static void *leaves_held(void *arg)
{
	struct held *h = arg;
	static struct robust_list_head head;

	head.list.next = &h[0].list;
	h[0].list.next = &h[1].list;
	h[1].list.next = &head.list;
	head.futex_offset = offsetof(struct held, word) - offsetof(struct held, list);
	head.list_op_pending = &h[2].list;	/* one that was just being taken */
	SYS(syscall(SYS_set_robust_list, &head, sizeof(head)));
	for (int i = 0; i < 3; i++)
		h[i].word = gettid() | (i ? FUTEX_WAITERS : 0);
	h[3].word = gettid();			/* not in the list */
	return NULL;
}

static void *waits_for_owner(void *arg)
{
	struct held *h = arg;
	int now_word;

	while (!((now_word = h[1].word) & FUTEX_OWNER_DIED))
		futex(&h[1].word, FUTEX_WAIT, now_word, NULL, NULL, 0);
	return NULL;
}

TEST(robust_list)
{
	struct held *h = private_pages(1);
	struct robust_list_head *head;
	pthread_t t, w;
	size_t len;

	SYS(syscall(SYS_get_robust_list, 0, &head, &len));
	EXPECT_EQ(len, sizeof(*head));
	EXPECT_ERRNO(syscall(SYS_set_robust_list, head, len + 1), EINVAL);
	ASSERT_EQ(pthread_create(&w, NULL, waits_for_owner, h), 0);
	ASSERT_EQ(pthread_create(&t, NULL, leaves_held, h), 0);
	pthread_join(t, NULL);
	pthread_join(w, NULL);
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(h[i].word & (FUTEX_OWNER_DIED | FUTEX_TID_MASK), FUTEX_OWNER_DIED);
	EXPECT_EQ(h[3].word & FUTEX_OWNER_DIED, 0);
}

static void *endless_list(void *arg)
{
	struct held *h = arg;
	static struct robust_list_head head;

	/* a circle that does not come back to the head, and pointers that lead nowhere */
	head.list.next = &h[0].list;
	h[0].list.next = &h[1].list;
	h[1].list.next = &h[0].list;
	head.list_op_pending = (void *)16;
	SYS(syscall(SYS_set_robust_list, &head, sizeof(head)));
	return NULL;
}

TEST(robust_list_of_rubbish)
{
	pthread_t t;

	ASSERT_EQ(pthread_create(&t, NULL, endless_list, private_pages(1)), 0);
	pthread_join(t, NULL);
	EXITS(CHILD(endless_list(private_pages(1))), 0);
}

/* Many on many words: each is woken exactly as often as somebody meant it. */
static void *ring_of_threads(void *arg)
{
	int me = (intptr_t)arg;

	for (int round = 1; round <= 200; round++) {
		int seen;

		while ((seen = words[me * 16]) < round)
			futex(&words[me * 16], FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
		int next = (me + 1) % 8;

		words[next * 16]++;
		futex(&words[next * 16], FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	}
	return NULL;
}

TEST(futex_ring)
{
	pthread_t t[8];

	words = private_pages(1);
	for (intptr_t i = 0; i < 8; i++)
		ASSERT_EQ(pthread_create(&t[i], NULL, ring_of_threads, (void *)i), 0);
	words[0]++;
	futex(&words[0], FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	for (int i = 0; i < 8; i++)
		pthread_join(t[i], NULL);
	EXPECT_EQ(words[0], 201);
}
