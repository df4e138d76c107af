// SPDX-License-Identifier: MIT
/*
 * thread_test.c - glibc's threads: life and death, storage, locks, cancellation, locks between processes
 */
#include <math.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/socket.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <linux/membarrier.h>
#include "proc.h"

#define MANY 64

static pthread_t start(void *(*fn)(void *), void *arg)
{
	pthread_t t;
	int err = pthread_create(&t, NULL, fn, arg);

	ASSERT_EQ(err, 0);
	return t;
}

static void *joined(pthread_t t)
{
	void *ret = NULL;

	ASSERT_EQ(pthread_join(t, &ret), 0);
	return ret;
}

static void *twice(void *arg)
{
	return (void *)((intptr_t)arg * 2);
}

TEST(thread_create_and_join)
{
	pthread_t t[MANY];

	for (int i = 0; i < MANY; i++)
		t[i] = start(twice, (void *)(intptr_t)i);
	for (int i = 0; i < MANY; i++)
		EXPECT_EQ((intptr_t)joined(t[i]), 2 * i);
	for (int i = 0; i < 1000; i++)
		EXPECT_EQ((intptr_t)joined(start(twice, (void *)(intptr_t)i)), 2 * i);
	EXPECT_EQ(pthread_join(pthread_self(), NULL), EDEADLK);
}

static void *exits_deep(void *arg)
{
	char room[20000];

	memset(room, 1, sizeof(room));
	pthread_exit((void *)(intptr_t)(room[7] + 41));
}

TEST(thread_exit_value)
{
	EXPECT_EQ((intptr_t)joined(start(exits_deep, NULL)), 42);
}

static pid_t *tids;

static void *own_ids(void *arg)
{
	tids[(intptr_t)arg] = gettid();
	EXPECT_EQ(getpid(), tids[MANY]);
	return NULL;
}

TEST(thread_ids)
{
	pthread_t t[MANY];

	tids = private_pages(1);
	tids[MANY] = getpid();
	for (int i = 0; i < MANY; i++)
		t[i] = start(own_ids, (void *)(intptr_t)i);
	for (int i = 0; i < MANY; i++)
		joined(t[i]);
	for (int i = 0; i < MANY; i++)
		EXPECT(tids[i] > 0 && tids[i] != getpid());
}

static __thread int tls_zero;
static __thread int tls_value = 17;
static __thread char tls_large[20000];

static void *uses_tls(void *arg)
{
	EXPECT_EQ(tls_zero, 0);
	EXPECT_EQ(tls_value, 17);
	for (int i = 0; i < 100; i++) {
		tls_zero++;
		tls_value += (intptr_t)arg;
		tls_large[i * 200] = (intptr_t)arg;
		errno = (intptr_t)arg;
		sched_yield();
		EXPECT_EQ(errno, (intptr_t)arg);
		EXPECT_EQ(tls_large[i * 200], (char)(intptr_t)arg);
	}
	EXPECT_EQ(tls_zero, 100);
	EXPECT_EQ(tls_value, 17 + 100 * (intptr_t)arg);
	return NULL;
}

TEST(thread_local_storage)
{
	pthread_t t[8];

	tls_value = 5;
	for (int i = 0; i < 8; i++)
		t[i] = start(uses_tls, (void *)(intptr_t)(i + 1));
	for (int i = 0; i < 8; i++)
		joined(t[i]);
	EXPECT_EQ(tls_value, 5);
	EXITS(CHILD(EXPECT_EQ(tls_value, 5)), 0);
}

static pthread_key_t key;
static _Atomic int destroyed;

static void destroy(void *value)
{
	destroyed += (intptr_t)value;
}

static void *uses_key(void *arg)
{
	EXPECT(!pthread_getspecific(key));
	pthread_setspecific(key, arg);
	return NULL;
}

TEST(thread_keys)
{
	ASSERT_EQ(pthread_key_create(&key, destroy), 0);
	for (int i = 1; i <= 4; i++)
		joined(start(uses_key, (void *)(intptr_t)i));
	EXPECT_EQ(destroyed, 10);
}

/* --- locks ----------------------------------------------------------------------------------------------------------- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_spinlock_t spin;
static pthread_rwlock_t rw = PTHREAD_RWLOCK_INITIALIZER;
static long counter, counter2;

static void *counts_by_mutex(void *arg)
{
	for (int i = 0; i < 20000; i++) {
		pthread_mutex_lock(&lock);
		counter++;
		if (i % 1000 == 0)
			sched_yield();		/* with the lock held: the others have to sleep */
		pthread_mutex_unlock(&lock);
	}
	return NULL;
}

static void *counts_by_spin(void *arg)
{
	for (int i = 0; i < 2000; i++) {
		pthread_spin_lock(&spin);
		counter2++;
		pthread_spin_unlock(&spin);
	}
	return NULL;
}

TEST(mutex_excludes)
{
	pthread_t t[6];

	pthread_spin_init(&spin, 0);
	for (int i = 0; i < 6; i++)
		t[i] = start(i < 4 ? counts_by_mutex : counts_by_spin, NULL);
	for (int i = 0; i < 6; i++)
		joined(t[i]);
	EXPECT_EQ(counter, 80000);
	EXPECT_EQ(counter2, 4000);
}

static void *tries(void *arg)
{
	return (void *)(intptr_t)pthread_mutex_trylock(arg);
}

static void *locks_in_time(void *arg)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	t.tv_nsec += 30000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_nsec -= 1000000000;
		t.tv_sec++;
	}
	return (void *)(intptr_t)pthread_mutex_timedlock(arg, &t);
}

TEST(mutex_kinds)
{
	pthread_mutexattr_t attr;
	pthread_mutex_t m;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&m, &attr);
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(pthread_mutex_lock(&m), 0);
	EXPECT_EQ((intptr_t)joined(start(tries, &m)), EBUSY);
	EXPECT_EQ((intptr_t)joined(start(locks_in_time, &m)), ETIMEDOUT);
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(pthread_mutex_unlock(&m), 0);
	EXPECT_EQ(pthread_mutex_unlock(&m), EPERM);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK);
	pthread_mutex_init(&m, &attr);
	EXPECT_EQ(pthread_mutex_lock(&m), 0);
	EXPECT_EQ(pthread_mutex_lock(&m), EDEADLK);
	EXPECT_EQ(pthread_mutex_unlock(&m), 0);
	EXPECT_EQ(pthread_mutex_unlock(&m), EPERM);
}

static pthread_cond_t filled = PTHREAD_COND_INITIALIZER, emptied = PTHREAD_COND_INITIALIZER;
static int queue[4], in_queue;
static long sum;

static void *produces(void *arg)
{
	for (int i = 1; i <= 2000; i++) {
		pthread_mutex_lock(&lock);
		while (in_queue == 4)
			pthread_cond_wait(&emptied, &lock);
		queue[in_queue++] = i;
		pthread_cond_signal(&filled);
		pthread_mutex_unlock(&lock);
	}
	return NULL;
}

static void *consumes(void *arg)
{
	for (int i = 0; i < 2000; i++) {
		pthread_mutex_lock(&lock);
		while (!in_queue)
			pthread_cond_wait(&filled, &lock);
		sum += queue[--in_queue];
		pthread_cond_signal(&emptied);
		pthread_mutex_unlock(&lock);
	}
	return NULL;
}

TEST(condition_queue)
{
	pthread_t t[6];

	for (int i = 0; i < 6; i++)
		t[i] = start(i % 2 ? produces : consumes, NULL);
	for (int i = 0; i < 6; i++)
		joined(t[i]);
	EXPECT_EQ(sum, 3 * 2000 * 2001 / 2);
}

static int generation, waiting;

static void *waits_for_broadcast(void *arg)
{
	pthread_mutex_lock(&lock);
	waiting++;
	while (!generation)
		pthread_cond_wait(&filled, &lock);
	waiting--;
	pthread_mutex_unlock(&lock);
	return NULL;
}

TEST(condition_broadcast)
{
	pthread_t t[20];

	for (int i = 0; i < 20; i++)
		t[i] = start(waits_for_broadcast, NULL);
	for (int n = 0; n < 20; ) {
		pthread_mutex_lock(&lock);
		n = waiting;
		pthread_mutex_unlock(&lock);
		sched_yield();
	}
	pthread_mutex_lock(&lock);
	generation = 1;
	pthread_cond_broadcast(&filled);
	pthread_mutex_unlock(&lock);
	for (int i = 0; i < 20; i++)
		joined(t[i]);
	EXPECT_EQ(waiting, 0);
}

TEST(condition_timeout)
{
	pthread_condattr_t attr;
	pthread_cond_t c;
	struct timespec t;
	double begin = now();

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c, &attr);
	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_nsec += 50000000;
	if (t.tv_nsec >= 1000000000) {
		t.tv_nsec -= 1000000000;
		t.tv_sec++;
	}
	pthread_mutex_lock(&lock);
	EXPECT_EQ(pthread_cond_timedwait(&c, &lock, &t), ETIMEDOUT);
	EXPECT(now() - begin >= 0.05);
	EXPECT_EQ(pthread_cond_timedwait(&c, &lock, &t), ETIMEDOUT);	/* a time that is over */
	pthread_mutex_unlock(&lock);
}

static _Atomic int readers, writers;
static _Atomic bool wrong;

static void *reads(void *arg)
{
	for (int i = 0; i < 2000; i++) {
		pthread_rwlock_rdlock(&rw);
		readers++;
		if (writers)
			wrong = true;
		if (i % 50 == 0)
			sched_yield();
		readers--;
		pthread_rwlock_unlock(&rw);
	}
	return NULL;
}

static void *writes(void *arg)
{
	for (int i = 0; i < 500; i++) {
		pthread_rwlock_wrlock(&rw);
		if (++writers != 1 || readers)
			wrong = true;
		if (i % 50 == 0)
			sched_yield();
		writers--;
		pthread_rwlock_unlock(&rw);
	}
	return NULL;
}

static void *reads_too(void *arg)
{
	int err = pthread_rwlock_tryrdlock(&rw);

	if (!err)
		pthread_rwlock_unlock(&rw);
	return (void *)(intptr_t)err;
}

static void *tries_to_write(void *arg)
{
	int err = pthread_rwlock_trywrlock(&rw);

	if (!err)
		pthread_rwlock_unlock(&rw);
	return (void *)(intptr_t)err;
}

TEST(readers_and_writers)
{
	pthread_t t[6];

	for (int i = 0; i < 6; i++)
		t[i] = start(i < 4 ? reads : writes, NULL);
	for (int i = 0; i < 6; i++)
		joined(t[i]);
	EXPECT(!wrong);
	/* two readers at once, and no writer beside them */
	pthread_rwlock_rdlock(&rw);
	EXPECT_EQ((intptr_t)joined(start(reads_too, NULL)), 0);
	EXPECT_EQ((intptr_t)joined(start(tries_to_write, NULL)), EBUSY);
	pthread_rwlock_unlock(&rw);
	EXPECT_EQ((intptr_t)joined(start(tries_to_write, NULL)), 0);
}

static pthread_barrier_t barrier;
static _Atomic int arrived, serial;

static void *meets(void *arg)
{
	for (int round = 1; round <= 100; round++) {
		arrived++;
		if (pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD)
			serial++;
		if (arrived < 8 * round)
			wrong = true;
		pthread_barrier_wait(&barrier);
	}
	return NULL;
}

TEST(barriers)
{
	pthread_t t[8];

	pthread_barrier_init(&barrier, NULL, 8);
	for (int i = 0; i < 8; i++)
		t[i] = start(meets, NULL);
	for (int i = 0; i < 8; i++)
		joined(t[i]);
	EXPECT(!wrong);
	EXPECT_EQ(serial, 100);
}

static sem_t sem_a, sem_b;

static void *passes(void *arg)
{
	for (int i = 0; i < 2000; i++) {
		sem_wait(&sem_a);
		counter++;
		sem_post(&sem_b);
	}
	return NULL;
}

TEST(semaphores)
{
	struct timespec t = { 1, 0 };
	pthread_t p;
	int value;

	sem_init(&sem_a, 0, 0);
	sem_init(&sem_b, 0, 0);
	EXPECT_ERRNO(sem_trywait(&sem_a), EAGAIN);
	EXPECT_ERRNO(sem_timedwait(&sem_a, &t), ETIMEDOUT);
	p = start(passes, NULL);
	for (int i = 0; i < 2000; i++) {
		EXPECT_EQ(counter, i);
		sem_post(&sem_a);
		sem_wait(&sem_b);
	}
	joined(p);
	sem_getvalue(&sem_a, &value);
	EXPECT_EQ(value, 0);
}

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void initialise(void)
{
	sched_yield();
	counter++;
}

static void *calls_once(void *arg)
{
	pthread_once(&once, initialise);
	EXPECT_EQ(counter, 1);
	return NULL;
}

TEST(once_only)
{
	pthread_t t[10];

	for (int i = 0; i < 10; i++)
		t[i] = start(calls_once, NULL);
	for (int i = 0; i < 10; i++)
		joined(t[i]);
	EXPECT_EQ(counter, 1);
}

static void *dies_with(void *arg)
{
	pthread_mutex_lock(arg);
	return NULL;
}

TEST(robust_mutex_of_a_dead_thread)
{
	pthread_mutexattr_t attr;
	pthread_mutex_t m;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&m, &attr);
	joined(start(dies_with, &m));
	EXPECT_EQ(pthread_mutex_lock(&m), EOWNERDEAD);
	EXPECT_EQ(pthread_mutex_consistent(&m), 0);
	EXPECT_EQ(pthread_mutex_unlock(&m), 0);
	EXPECT_EQ(pthread_mutex_lock(&m), 0);
	pthread_mutex_unlock(&m);
	joined(start(dies_with, &m));
	EXPECT_EQ(pthread_mutex_lock(&m), EOWNERDEAD);
	pthread_mutex_unlock(&m);
	EXPECT_EQ(pthread_mutex_lock(&m), ENOTRECOVERABLE);
}

/* --- between processes ----------------------------------------------------------------------------------------------- */

struct shared {
	pthread_mutex_t m;
	pthread_cond_t c;
	pthread_barrier_t b;
	sem_t s;
	long count;
	int turn;
};

static struct shared *share(bool robust)
{
	struct shared *sh = shared_pages(1);
	pthread_mutexattr_t ma;
	pthread_condattr_t ca;
	pthread_barrierattr_t ba;

	pthread_mutexattr_init(&ma);
	pthread_mutexattr_setpshared(&ma, PTHREAD_PROCESS_SHARED);
	if (robust)
		pthread_mutexattr_setrobust(&ma, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&sh->m, &ma);
	pthread_condattr_init(&ca);
	pthread_condattr_setpshared(&ca, PTHREAD_PROCESS_SHARED);
	pthread_cond_init(&sh->c, &ca);
	pthread_barrierattr_init(&ba);
	pthread_barrierattr_setpshared(&ba, PTHREAD_PROCESS_SHARED);
	pthread_barrier_init(&sh->b, &ba, 4);
	sem_init(&sh->s, 1, 0);
	return sh;
}

TEST(locks_between_processes)
{
	struct shared *sh = share(false);
	pid_t pid[4];

	for (int k = 0; k < 4; k++)
		pid[k] = CHILD({
			for (int i = 0; i < 3000; i++) {
				pthread_mutex_lock(&sh->m);
				sh->count++;
				if (i % 500 == 0)
					sched_yield();
				pthread_mutex_unlock(&sh->m);
			}
			pthread_barrier_wait(&sh->b);
			EXPECT_EQ(sh->count, 12000);
			for (int round = 0; round < 100; round++) {
				pthread_mutex_lock(&sh->m);
				while (sh->turn % 4 != k)
					pthread_cond_wait(&sh->c, &sh->m);
				sh->turn++;
				pthread_cond_broadcast(&sh->c);
				pthread_mutex_unlock(&sh->m);
			}
			sem_post(&sh->s);
		});
	for (int k = 0; k < 4; k++)
		sem_wait(&sh->s);
	for (int k = 0; k < 4; k++)
		EXITS(pid[k], 0);
	EXPECT_EQ(sh->turn, 400);
}

TEST(robust_mutex_of_a_killed_process)
{
	struct shared *sh = share(true);
	struct gate held = gate_make();

	for (int i = 0; i < 20; i++) {
		pid_t pid = CHILD({
			pthread_mutex_lock(&sh->m);
			gate_open(held);
			for (;;)
				pause();
		});

		gate_wait(held);
		EXPECT_EQ(pthread_mutex_trylock(&sh->m), EBUSY);
		SYS(kill(pid, SIGKILL));
		/* not reaped: the death itself has to wake us */
		EXPECT_EQ(pthread_mutex_lock(&sh->m), EOWNERDEAD);
		pthread_mutex_consistent(&sh->m);
		pthread_mutex_unlock(&sh->m);
		DIES(pid, SIGKILL);
	}
}

/* --- cancellation ---------------------------------------------------------------------------------------------------- */

static _Atomic int cleaned;
static struct gate ready;

static void cleans(void *arg)
{
	cleaned++;
}

enum { IN_READ, IN_SEM, IN_SLEEP, IN_COND, IN_PAUSE, IN_NOTHING, NR_PLACES };

static void *cancelled(void *arg)
{
	char c;
	int end[2];

	SYS(pipe(end));
	pthread_cleanup_push(cleans, NULL);
	gate_open(ready);
	switch ((intptr_t)arg) {
	case IN_READ:
		(void)!read(end[0], &c, 1);
		break;
	case IN_SEM:
		sem_wait(&sem_a);
		break;
	case IN_SLEEP:
		sleep(1000);
		break;
	case IN_COND:
		pthread_mutex_lock(&lock);
		pthread_cond_wait(&filled, &lock);
		break;
	case IN_PAUSE:
		pause();
		break;
	case IN_NOTHING:
		pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
		for (;;)
			;
	}
	pthread_cleanup_pop(1);
	return NULL;
}

TEST(cancellation)
{
	ready = gate_make();
	sem_init(&sem_a, 0, 0);
	for (intptr_t place = 0; place < NR_PLACES; place++) {
		pthread_t t = start(cancelled, (void *)place);

		gate_wait(ready);
		EXPECT_EQ(pthread_cancel(t), 0);
		EXPECT(joined(t) == PTHREAD_CANCELED);
		EXPECT_EQ(cleaned, place + 1);
	}
}

static void *resists(void *arg)
{
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	gate_open(ready);
	gate_wait(*(struct gate *)arg);
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
	counter = 1;
	pthread_testcancel();
	counter = 2;
	return NULL;
}

TEST(cancellation_disabled)
{
	struct gate cancelled = gate_make();
	pthread_t t;

	ready = gate_make();
	t = start(resists, &cancelled);
	gate_wait(ready);
	pthread_cancel(t);
	gate_open(cancelled);
	EXPECT(joined(t) == PTHREAD_CANCELED);
	EXPECT_EQ(counter, 1);
}

/* --- how it ends ----------------------------------------------------------------------------------------------------- */

static void *blocks_somehow(void *arg)
{
	struct gate g = gate_make();

	switch ((intptr_t)arg % 5) {
	case 0:
		gate_wait(g);
		break;
	case 1:
		sleep(1000);
		break;
	case 2:
		pause();
		break;
	case 3:
		sem_wait(&sem_a);
		break;
	case 4:
		for (;;)
			;
	}
	return NULL;
}

static void many_blocked(void)
{
	sem_init(&sem_a, 0, 0);
	for (intptr_t i = 0; i < 10; i++)
		start(blocks_somehow, (void *)i);
}

TEST(exit_with_blocked_threads)
{
	for (int i = 0; i < 5; i++)
		EXITS(CHILD(many_blocked(); _exit(20 + i)), 20 + i);
	EXITS(CHILD(many_blocked(); exit(7)), 7);
}

static void *exits_process(void *arg)
{
	_exit((intptr_t)arg);
}

TEST(exit_by_a_thread)
{
	for (int i = 0; i < 5; i++)
		EXITS(CHILD({
			many_blocked();
			start(exits_process, (void *)(intptr_t)(30 + i));
			for (;;)
				pause();
		}), 30 + i);
}

TEST(kill_with_blocked_threads)
{
	pid_t pid;

	ready = gate_make();
	for (int i = 0; i < 5; i++) {
		pid = CHILD(many_blocked(); gate_open(ready); for (;;) pause());
		gate_wait(ready);
		SYS(kill(pid, i % 2 ? SIGKILL : SIGTERM));
		DIES(pid, i % 2 ? SIGKILL : SIGTERM);
	}
}

/* Threads that all leave at the same moment, each by exit_group: one status wins, nobody hangs. */
static void *races_to_exit(void *arg)
{
	pthread_barrier_wait(&barrier);
	_exit(50 + (intptr_t)arg);
}

TEST(everybody_exits)
{
	for (int i = 0; i < 20; i++) {
		int status = status_of(CHILD({
			pthread_barrier_init(&barrier, NULL, 5);
			for (intptr_t k = 0; k < 5; k++)
				start(races_to_exit, (void *)k);
			for (;;)
				pause();
		}));

		EXPECT(WIFEXITED(status) && WEXITSTATUS(status) >= 50 && WEXITSTATUS(status) < 55);
	}
}

static void *outlives(void *arg)
{
	usleep(50000);
	*(volatile int *)arg = 1;
	return NULL;
}

/* The first thread leaves; the process ends when the last one does, with status 0. */
TEST(leader_leaves_first)
{
	volatile int *s = shared_pages(1);
	pid_t pid = CHILD({
		start(outlives, (void *)s);
		pthread_exit(NULL);
	});

	EXITS(pid, 0);
	EXPECT_EQ(s[0], 1);
	/* while it has left, the process is there all the same: it can be killed, and it is no zombie to wait for */
	s[0] = 0;
	pid = CHILD({
		many_blocked();
		s[0] = 1;
		pthread_exit(NULL);
	});
	EXPECT(eventually(s[0] == 1));
	usleep(10000);
	EXPECT_EQ(waitpid(pid, NULL, WNOHANG), 0);
	EXPECT_EQ(kill(pid, 0), 0);
	SYS(kill(pid, SIGKILL));
	DIES(pid, SIGKILL);
}

static void *detached(void *arg)
{
	usleep(1000);
	counter2 = 1;
	sem_post(arg);
	return NULL;
}

TEST(detached_threads)
{
	pthread_attr_t attr;
	pthread_t t;
	sem_t s;

	sem_init(&s, 0, 0);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	for (int i = 0; i < 100; i++) {
		int err;

		/* those before may not have given their memory back yet */
		do
			err = pthread_create(&t, &attr, detached, &s);
		while (err == EAGAIN);
		ASSERT_EQ(err, 0);
	}
	for (int i = 0; i < 100; i++)
		sem_wait(&s);
	EXPECT_EQ(counter2, 1);
}

static int goes_down(volatile char *above)
{
	volatile char here[4096];

	here[0] = above[0];
	return here[0] == 77 ? 0 : goes_down(here) + here[1];
}

static void *overflows(void *arg)
{
	volatile char c = 0;

	goes_down(&c);
	return NULL;
}

TEST(stack_overflow_in_a_thread)
{
	DIES(CHILD(joined(start(overflows, NULL))), SIGSEGV);
}

static void *uses_stack(void *arg)
{
	char room[3 * MIB];

	memset(room, 3, sizeof(room));
	return (void *)(intptr_t)room[2 * MIB];
}

TEST(large_stack_and_attributes)
{
	pthread_attr_t attr;
	size_t size;
	void *stack;
	pthread_t t;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 4 * MIB);
	ASSERT_EQ(pthread_create(&t, &attr, uses_stack, NULL), 0);
	EXPECT_EQ((intptr_t)joined(t), 3);
	/* of the first thread: glibc reads /proc/self/maps */
	ASSERT_EQ(pthread_getattr_np(pthread_self(), &attr), 0);
	pthread_attr_getstack(&attr, &stack, &size);
	EXPECT((char *)&attr > (char *)stack && (char *)&attr < (char *)stack + size);
}

/* --- time slices ----------------------------------------------------------------------------------------------------- */

static volatile int flag;

static void *spins(void *arg)
{
	while (!flag)
		;
	return NULL;
}

/* A thread that never calls anything does not keep the others from running. */
TEST(preemption)
{
	pthread_t t[4];

	for (int i = 0; i < 4; i++)
		t[i] = start(spins, NULL);
	flag = 1;
	for (int i = 0; i < 4; i++)
		joined(t[i]);
}

static void *computes(void *arg)
{
	double seed = (intptr_t)arg, x[8];
	unsigned int mxcsr = 0x1f80 | ((intptr_t)arg % 4) << 13, got;	/* a rounding mode of its own */
	double end = now() + 0.3;

	asm volatile("ldmxcsr %0" : : "m" (mxcsr));
	while (now() < end) {
		for (int k = 0; k < 8; k++)
			x[k] = seed * (k + 1);
		for (int i = 0; i < 20000; i++)
			asm volatile("" : "+x" (x[0]), "+x" (x[1]), "+x" (x[2]), "+x" (x[3]), "+x" (x[4]),
				     "+x" (x[5]), "+x" (x[6]), "+x" (x[7]));
		for (int k = 0; k < 8; k++)
			if (x[k] != seed * (k + 1))
				wrong = true;
		asm volatile("stmxcsr %0" : "=m" (got));
		if ((got & 0x6000) != (mxcsr & 0x6000))
			wrong = true;
	}
	return NULL;
}

TEST(vector_registers_belong_to_the_thread)
{
	pthread_t t[6];

	for (intptr_t i = 0; i < 6; i++)
		t[i] = start(computes, (void *)(i + 1));
	for (int i = 0; i < 6; i++)
		joined(t[i]);
	EXPECT(!wrong);
}

static void *sets_name(void *arg)
{
	char name[16];

	EXPECT_EQ(pthread_setname_np(pthread_self(), "a-thread"), 0);
	EXPECT_EQ(pthread_getname_np(pthread_self(), name, sizeof(name)), 0);
	EXPECT(!strcmp(name, "a-thread"));
	prctl(PR_GET_NAME, name);
	EXPECT(!strcmp(name, "a-thread"));
	return NULL;
}

TEST(thread_name)
{
	char before[16], after[16];

	prctl(PR_GET_NAME, before);
	joined(start(sets_name, NULL));
	prctl(PR_GET_NAME, after);
	EXPECT(!strcmp(before, after));
}

static void *is_named(void *arg)
{
	struct gate *g = arg;
	char name[16];

	EXPECT_EQ(pthread_setname_np(pthread_self(), "first"), 0);
	gate_open(g[0]);
	gate_wait(g[1]);
	prctl(PR_GET_NAME, name);
	EXPECT(!strcmp(name, "by-another"));
	return NULL;
}

static bool comm_is(const char *path, const char *want)
{
	char got[32] = "";
	int fd = SYS(open(path, O_RDONLY));

	SYS(read(fd, got, sizeof(got) - 1));
	close(fd);
	return !strcmp(got, want);
}

/* A name can be read and written below /proc; children and threads begin with that of their maker. */
TEST(names_in_proc)
{
	struct gate g[2] = { gate_make(), gate_make() };
	char path[64];
	pthread_t t;
	pid_t pid;
	int fd;

	SYS(prctl(PR_SET_NAME, "leader"));
	t = start(is_named, g);
	gate_wait(g[0]);
	EXPECT(comm_is("/proc/self/comm", "leader\n"));
	EXPECT(comm_is("/proc/thread-self/comm", "leader\n"));
	fd = SYS(open("/proc/self/comm", O_RDWR));
	EXPECT_EQ(write(fd, "abcdefghijklmnopqrst", 20), 20);
	close(fd);
	EXPECT(comm_is("/proc/self/comm", "abcdefghijklmno\n"));
	EXPECT_EQ(pthread_setname_np(t, "by-another-thread-too-long"), ERANGE);
	EXPECT_EQ(pthread_setname_np(t, "by-another-threa"), ERANGE);
	EXPECT_EQ(pthread_setname_np(t, "by-another"), 0);
	pid = CHILD(EXPECT(comm_is("/proc/self/comm", "abcdefghijklmno\n")); gate_open(g[0]); pause());
	gate_wait(g[0]);
	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	fd = SYS(open(path, O_WRONLY));
	EXPECT_ERRNO(write(fd, "x", 1), EINVAL);	/* another's */
	close(fd);
	SYS(kill(pid, SIGKILL));
	DIES(pid, SIGKILL);
	gate_open(g[1]);
	joined(t);
}

/* The cheap side of a pair: membarrier orders what the other threads do. */
TEST(membarrier_commands)
{
	long supported = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);

	if (supported == -1 && errno == ENOSYS)
		SKIP("no membarrier");
	ASSERT(supported & MEMBARRIER_CMD_PRIVATE_EXPEDITED);
	EXPECT_ERRNO(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0), EPERM);
	SYS(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0));
	SYS(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
	EXPECT_ERRNO(syscall(SYS_membarrier, 1 << 30, 0, 0), EINVAL);
	EXPECT_ERRNO(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 1 << 10, 0), EINVAL);
	EXITS(CHILD(SYS(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0))), 0);
}

/* Memory is one for all threads: mapped in one, used in the next, unmapped in a third. */
static void *maps_memory(void *arg)
{
	unsigned char *p = private_pages(64);

	memset(p, 9, 64 * PAGE);
	return p;
}

static void *protects_memory(void *arg)
{
	SYS(mprotect(arg, PAGE, PROT_READ));
	SYS(munmap((char *)arg + 10 * PAGE, PAGE));
	return NULL;
}

TEST(memory_is_shared_by_threads)
{
	char *p = joined(start(maps_memory, NULL));

	EXPECT_EQ(p[63 * PAGE], 9);
	p[0] = 8;
	p[10 * PAGE] = 8;
	joined(start(protects_memory, p));
	EXPECT_EQ(dies_by(touch_write, p), SIGSEGV);
	EXPECT_EQ(dies_by(touch_read, p), 0);
	EXPECT_EQ(dies_by(touch_read, p + 10 * PAGE), SIGSEGV);
}

/* Mapped and unmapped in one thread while the others write next to it. */
static void *writes_around(void *arg)
{
	volatile unsigned char *p = arg;

	while (!flag)
		for (int i = 0; i < 16; i += 2)
			p[i * PAGE]++;
	return NULL;
}

TEST(unmapping_beside_writers)
{
	char *p = private_pages(16);
	pthread_t t[2];

	for (int i = 0; i < 2; i++)
		t[i] = start(writes_around, p);
	for (int i = 0; i < 500; i++) {
		for (int k = 1; k < 16; k += 2) {
			p[k * PAGE] = k;
			SYS(munmap(p + k * PAGE, PAGE));
		}
		for (int k = 1; k < 16; k += 2) {
			ASSERT(mmap(p + k * PAGE, PAGE, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED);
			EXPECT_EQ(p[k * PAGE], 0);
		}
	}
	flag = 1;
	for (int i = 0; i < 2; i++)
		joined(t[i]);
}

static int stream[2];

static void *reads_one(void *arg)
{
	char c = 0;

	EXPECT_EQ(read(stream[0], &c, 1), 1);
	return (void *)(intptr_t)c;
}

/* What they wait for comes from a thread that has to make such a call itself. */
TEST(hundreds_of_threads_in_calls)
{
	enum { THREADS = 300 };
	static pthread_t t[THREADS];
	pthread_attr_t attr;

	SYS(socketpair(AF_UNIX, SOCK_STREAM, 0, stream));
	ASSERT_EQ(pthread_attr_init(&attr), 0);
	ASSERT_EQ(pthread_attr_setstacksize(&attr, 64 << 10), 0);
	for (int i = 0; i < THREADS; i++)
		ASSERT_EQ(pthread_create(&t[i], &attr, reads_one, NULL), 0);
	for (int i = 0; i < THREADS; i++) {
		EXPECT_EQ(write(stream[1], "x", 1), 1);
		sched_yield();
	}
	for (int i = 0; i < THREADS; i++)
		EXPECT_EQ((intptr_t)joined(t[i]), 'x');
}

static void *writes_later(void *arg)
{
	double end = now() + 0.02;

	flag = 1;
	while (now() < end)
		;
	EXPECT_EQ(write(stream[1], "y", 1), 1);
	return NULL;
}

/* A call that waits for a thread which runs on another CPU does not keep it from making calls. */
TEST(call_beside_a_running_thread)
{
	SYS(socketpair(AF_UNIX, SOCK_STREAM, 0, stream));
	for (int i = 0; i < 3; i++) {
		pthread_t t;

		flag = 0;
		t = start(writes_later, NULL);
		while (!flag)
			;
		EXPECT_EQ((intptr_t)reads_one(NULL), 'y');
		joined(t);
	}
}

static void *asks_by_number(void *arg)
{
	pthread_attr_t attr;
	struct sched_param param = { .sched_priority = 7 };
	struct rlimit limit;
	cpu_set_t set;
	pid_t tid = gettid();

	(void)arg;
	CPU_ZERO(&set);
	EXPECT_EQ(sched_getaffinity(tid, sizeof(set), &set), 0);
	EXPECT(CPU_COUNT(&set) > 0);
	EXPECT_EQ(sched_getscheduler(tid), SCHED_OTHER);
	EXPECT_EQ(sched_getparam(tid, &param), 0);
	EXPECT_EQ(param.sched_priority, 0);
	EXPECT_EQ(prlimit(tid, RLIMIT_NOFILE, NULL, &limit), 0);
	EXPECT_EQ(getpriority(PRIO_PROCESS, tid), 0);
	EXPECT_EQ(pthread_getattr_np(pthread_self(), &attr), 0);
	pthread_attr_destroy(&attr);
	/* its own, not the process's */
	EXPECT_EQ(setpriority(PRIO_PROCESS, tid, 6), 0);
	EXPECT_EQ(getpriority(PRIO_PROCESS, 0), 6);
	EXPECT_EQ(getpriority(PRIO_PROCESS, getpid()), 0);
	return NULL;
}

TEST(threads_by_number)
{
	joined(start(asks_by_number, NULL));
	EXPECT_ERRNO(getpriority(PRIO_PROCESS, 1 << 29), ESRCH);
	EXPECT_ERRNO(sched_getscheduler(1 << 29), ESRCH);
}

TEST(nice_and_affinity_are_inherited)
{
	cpu_set_t one, got;
	int cpu;

	CPU_ZERO(&got);
	SYS(sched_getaffinity(0, sizeof(got), &got));
	for (cpu = 0; !CPU_ISSET(cpu, &got); cpu++)
		;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	SYS(setpriority(PRIO_PROCESS, 0, 30));
	SYS(sched_setaffinity(0, sizeof(one), &one));
	EXITS(CHILD({
		EXPECT_EQ(getpriority(PRIO_PROCESS, 0), 19);
		CPU_ZERO(&got);
		SYS(sched_getaffinity(0, sizeof(got), &got));
		EXPECT(CPU_EQUAL(&one, &got));
		SYS(setpgid(0, 0));
		EXPECT_EQ(getpriority(PRIO_PGRP, 0), 19);
	}), 0);
	CPU_ZERO(&one);
	EXPECT_ERRNO(sched_setaffinity(0, sizeof(one), &one), EINVAL);
	EXPECT_ERRNO(setpriority(3, 0, 0), EINVAL);
}
