// SPDX-License-Identifier: MIT
/*
 * exofork_test.c - children made by hand, marks of pages, and pages in the place of others
 */
#include <pthread.h>
#include <ringside/fork.h>
#include "app.h"

#define RW	(PROT_READ | PROT_WRITE)
#define ADDR(p)	((uint64_t)(p))
#define FAR	0x200000000000ul	/* where this program has nothing */

static int outcome(long done, const struct rs_page_op *op)
{
	return done == 1 ? 0 : done < 0 ? (int)done : op->result;
}

static int own_op(uint32_t nr, const void *addr, uint64_t len, uint64_t arg, const void *to)
{
	struct rs_page_op op = {
		.op = nr, .addr = ADDR(addr), .len = len, .arg = arg, .to = ADDR(to)
	};

	return outcome(rs_page_ops(&op, 1), &op);
}

static int child_op(long pid, uint32_t nr, const void *addr, uint64_t len, uint64_t arg,
		    const void *to)
{
	struct rs_page_op op = {
		.op = nr, .addr = ADDR(addr), .len = len, .arg = arg, .to = ADDR(to)
	};

	return outcome(rs_child_pages(pid, &op, 1), &op);
}

TEST(outside_exofork_is_enosys)
{
	struct rs_mapping m;

	if (rs_app_features())
		SKIP("this is a ring");
	EXPECT_EQ(rs_exofork(0), -ENOSYS);
	EXPECT_EQ(rs_child_run(1), -ENOSYS);
	EXPECT_EQ(rs_child_gone(1), -ENOSYS);
	EXPECT_EQ(rs_mappings(NULL, &m, 1), -ENOSYS);
	EXPECT_EQ(rs_user_fork(), -ENOSYS);
	EXPECT_EQ(rs_user_fork_end(), -ENOSYS);
	EXPECT_ERRNO(syscall(RS_SYS_EXOFORK, 0), ENOSYS);
}

/* --- mappings --------------------------------------------------------------------------------- */

TEST(own_mappings)
{
	struct rs_mapping m[200], one;
	char *p = private_pages(3), *q = shared_pages(2);
	int seen = 0;
	long n;

	NEEDS(RS_APP_PROCESSES);
	SYS(mprotect(p + PAGE, PAGE, PROT_READ));
	SYS(madvise(p + 2 * PAGE, PAGE, MADV_DONTFORK));
	n = rs_mappings(NULL, m, 200);
	ASSERT_GE(n, 6);
	for (long i = 0; i < n; i++) {
		EXPECT_LT(m[i].start, m[i].end);
		EXPECT(!i || m[i - 1].end <= m[i].start);
		if (m[i].start <= ADDR(p) && m[i].end == ADDR(p + PAGE))
			seen |= m[i].rights == RW && !m[i].flags ? 1 : 0;
		if (m[i].start == ADDR(p + PAGE))
			seen |= m[i].rights == PROT_READ && !m[i].flags ? 2 : 0;
		if (m[i].start == ADDR(p + 2 * PAGE))
			seen |= m[i].rights == RW && m[i].flags == RS_MAPPING_NOT_FORKED ? 4 : 0;
		if (m[i].start == ADDR(q))
			seen |= m[i].flags == RS_MAPPING_SHARED && m[i].end == ADDR(q + 2 * PAGE)
					? 8
					: 0;
		if (m[i].start <= ADDR(&n) && ADDR(&n) < m[i].end)
			seen |= m[i].flags == RS_MAPPING_GROWS ? 16 : 0;
		if (m[i].start <= ADDR(own_op) && ADDR(own_op) < m[i].end)
			seen |= m[i].flags == RS_MAPPING_FILE &&
						m[i].rights == (PROT_READ | PROT_EXEC)
					? 32
					: 0;
		if (m[i].flags & RS_MAPPING_FIXED)
			seen |= 64;
	}
	EXPECT_EQ(seen, 127);
	/* one by one it is the same list */
	for (long i = 0; i < n; i++) {
		ASSERT_EQ(rs_mappings(i ? (void *)m[i - 1].end : NULL, &one, 1), 1);
		EXPECT(!memcmp(&one, &m[i], sizeof(one)));
	}
	EXPECT_EQ(rs_mappings((void *)m[n - 1].end, &one, 1), 0);
	EXPECT_EQ(rs_mappings((void *)-1ul, &one, 1), 0);
	EXPECT_EQ(rs_mappings(p + 5, &one, 1), 1);
	EXPECT_EQ(one.end, p + PAGE);
	EXPECT_EQ(rs_mappings(NULL, NULL, 0), 0);
	EXPECT_EQ(rs_mappings(NULL, NULL, 1), -EFAULT);
	EXPECT_EQ(rs_mappings(NULL, (void *)(p + PAGE), 1), -EFAULT);
	EXPECT_EQ(rs_mappings(NULL, m, RS_MAPPINGS_MAX + 1), -EINVAL);
}

/* --- marks ------------------------------------------------------------------------------------ */

#define MARKS(p) (rs_page_entry(p, NULL) >> 52 & 15)

TEST(marks)
{
	char *p = private_pages(4), *q;
	uint64_t e;
	pid_t pid;

	NEEDS(RS_APP_PROCESSES);
	EXPECT_EQ(rs_page_protect(p, PAGE, RS_PAGE_WRITE | RS_PAGE_MARK(0) | RS_PAGE_MARK(3)), 0);
	EXPECT_EQ(MARKS(p), 9);
	e = rs_page_entry(p, NULL);
	*p = 1;
	EXPECT_NE(rs_page_entry(p, NULL) & RS_PTE_ADDR, e & RS_PTE_ADDR);
	EXPECT_EQ(MARKS(p), 9);
	/* over fork, in both; and changed in one */
	pid = CHILD({
		EXPECT_EQ(MARKS(p), 9);
		*p = 2;
		EXPECT_EQ(MARKS(p), 9);
		EXPECT_EQ(rs_page_protect(p, PAGE, RS_PAGE_WRITE | RS_PAGE_MARK(1)), 0);
		EXPECT_EQ(MARKS(p), 2);
		*p = 3;
	});
	EXITS(pid, 0);
	EXPECT_EQ(MARKS(p), 9);
	*p = 4;
	EXPECT_EQ(MARKS(p), 9);
	SYS(mprotect(p, PAGE, PROT_READ));
	SYS(mprotect(p, PAGE, RW));
	EXPECT_EQ(MARKS(p), 9);
	q = mremap(p, PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, FAR);
	ASSERT(q != MAP_FAILED);
	EXPECT_EQ(MARKS(q), 9);
	EXPECT_EQ(rs_page_protect(q, PAGE, RS_PAGE_READ | RS_PAGE_MARK(2)), 0);
	EXPECT_EQ(MARKS(q), 4);
	EXPECT_EQ(dies_by(touch_write, q), SIGSEGV);
	EXPECT_EQ(rs_page_protect(q, PAGE, RS_PAGE_WRITE), 0);
	EXPECT_EQ(MARKS(q), 0);
	SYS(madvise(q, PAGE, MADV_DONTNEED));
	EXPECT_EQ(*q, 0);
	EXPECT_EQ(MARKS(q), 0);
	/* touched pages only */
	p = private_pages(4);
	p[PAGE] = 1;
	(void)*(volatile char *)(p + 2 * PAGE);
	EXPECT_EQ(rs_page_protect(p, 4 * PAGE, RS_PAGE_READ | RS_PAGE_MARK(1) | RS_PAGE_TOUCHED),
		  0);
	EXPECT_EQ(rs_page_entry(p, NULL), 0);
	EXPECT_EQ(MARKS(p + PAGE), 2);
	EXPECT_EQ(MARKS(p + 2 * PAGE), 2);
	EXPECT_EQ(rs_page_entry(p + 3 * PAGE, NULL), 0);
	p[0] = p[3 * PAGE] = 1;
	EXPECT_EQ(rs_page_protect(p, PAGE, 0x1000 | RS_PAGE_READ), -EINVAL);
	EXPECT_EQ(rs_page_protect(p, PAGE, RS_PAGE_CALLS | RS_PAGE_WRITE), -EINVAL);
	EXPECT_EQ(rs_page_protect(p, PAGE, RS_PAGE_CALLS), -EINVAL);
	EXPECT_EQ(rs_page_protect(p, PAGE, RS_PAGE_CLOSED | RS_PAGE_WRITE), -EINVAL);
}

/* What is closed to the program but not to calls: the first call that writes opens it. */
TEST(calls_may_write)
{
	char *p = private_pages(3);
	int fd[2];
	pid_t pid;

	NEEDS(RS_APP_PROCESSES);
	SYS(pipe(fd));
	memset(p, 1, 3 * PAGE);
	EXPECT_EQ(rs_page_protect(p, 3 * PAGE, RS_PAGE_READ | RS_PAGE_CALLS | RS_PAGE_MARK(1)), 0);
	EXPECT_EQ(dies_by(touch_write, p), SIGSEGV);
	pid = CHILD({
		SYS(write(fd[1], "abc", 3));
		SYS(read(fd[0], p + PAGE - 1, 2));
		EXPECT_EQ(p[PAGE - 1], 'a');
		EXPECT_EQ(p[PAGE], 'b');
		EXPECT_EQ(MARKS(p) | MARKS(p + PAGE), 0);
		EXPECT_EQ(MARKS(p + 2 * PAGE), 2);
		p[0] = p[PAGE + 1] = 7;
		EXPECT_EQ(dies_by(touch_write, p + 2 * PAGE), SIGSEGV);
		/* Linux writes this one */
		int file = scratch_file("file", 4);

		SYS(read(file, p + 2 * PAGE, 4));
		p[2 * PAGE + 1] = 'x';
		EXPECT(!memcmp(p + 2 * PAGE, "fxle", 4));
	});
	EXITS(pid, 0);
	EXPECT_EQ(p[0] + p[PAGE - 1] + p[PAGE] + p[2 * PAGE], 4);
	EXPECT_EQ(MARKS(p), 2);
	/* what is closed altogether stays so */
	EXPECT_EQ(rs_page_protect(p, PAGE, RS_PAGE_READ), 0);
	EXPECT_ERRNO(read(fd[0], p, 1), EFAULT);
}

/* --- a page in the place of another ----------------------------------------------------------- */

TEST(replaced_pages)
{
	char *p = private_pages(8), *q = private_pages(8);
	uint64_t e;

	NEEDS(RS_APP_PROCESSES);
	memset(p, 1, 8 * PAGE);
	memset(q, 2, 8 * PAGE);
	e = rs_page_entry(q, NULL) & RS_PTE_ADDR;
	EXPECT_EQ(own_op(RS_OP_REPLACE, q, PAGE, RS_PAGE_WRITE, p), 0);
	EXPECT_EQ(rs_page_entry(p, NULL) & RS_PTE_ADDR, e);
	EXPECT_EQ(rs_page_entry(q, NULL), 0);
	EXPECT_EQ(p[0], 2);
	EXPECT_EQ(p[PAGE], 1);
	EXPECT_EQ(q[0], 0);
	p[0] = 3;
	/* with marks, closed; several; untouched ones are zeros */
	EXPECT_EQ(own_op(RS_OP_REPLACE, q + PAGE, 2 * PAGE, RS_PAGE_READ | RS_PAGE_MARK(2), p), 0);
	EXPECT_EQ(MARKS(p) & MARKS(p + PAGE), 4);
	EXPECT_EQ(p[0] + p[PAGE], 4);
	EXPECT_EQ(dies_by(touch_write, p), SIGSEGV);
	EXPECT_EQ(own_op(RS_OP_REPLACE, q + PAGE, PAGE, RS_PAGE_WRITE, p), 0);
	EXPECT_EQ(p[0], 0);
	EXPECT_EQ(MARKS(p), 0);
	p[0] = 5;
	/* where there was nothing */
	SYS(madvise(p + 2 * PAGE, PAGE, MADV_DONTNEED));
	q[3 * PAGE] = 9;
	EXPECT_EQ(own_op(RS_OP_REPLACE, q + 3 * PAGE, PAGE, RS_PAGE_WRITE, p + 2 * PAGE), 0);
	EXPECT_EQ(p[2 * PAGE], 9);
	/* only what is closed */
	EXPECT_EQ(own_op(RS_OP_REPLACE, q + 4 * PAGE, PAGE, RS_PAGE_WRITE | RS_PAGE_CLOSED,
			 p + 3 * PAGE),
		  -EAGAIN);
	EXPECT_EQ(p[3 * PAGE], 1);
	EXPECT_EQ(q[4 * PAGE], 2);
	EXPECT_EQ(rs_page_protect(p + 3 * PAGE, PAGE, RS_PAGE_READ), 0);
	EXPECT_EQ(own_op(RS_OP_REPLACE, q + 4 * PAGE, PAGE, RS_PAGE_WRITE | RS_PAGE_CLOSED,
			 p + 3 * PAGE),
		  0);
	p[3 * PAGE]++;
	EXPECT_EQ(p[3 * PAGE], 3);
}

TEST(replacing_has_rules)
{
	struct rs_page_op op = { .op = RS_OP_MAP, .len = PAGE, .arg = RW | RS_PAGES_SHARED };
	char *p = private_pages(4), *q = private_pages(2), *s;
	const char *code = (const char *)(ADDR(own_op) & -PAGE);

	NEEDS(RS_APP_PROCESSES);
	ASSERT_EQ(rs_page_ops(&op, 1), 1);
	s = (char *)op.to;
	memset(p, 1, 4 * PAGE);
	EXPECT_EQ(own_op(RS_OP_REPLACE, p, PAGE, RS_PAGE_WRITE, p), -EINVAL);
	EXPECT_EQ(own_op(RS_OP_REPLACE, p, 2 * PAGE, RS_PAGE_WRITE, p + PAGE), -EINVAL);
	EXPECT_EQ(own_op(RS_OP_REPLACE, p + 1, PAGE, RS_PAGE_WRITE, q), -EINVAL);
	EXPECT_EQ(own_op(RS_OP_REPLACE, p, PAGE, RS_PAGE_WRITE, q + 1), -EINVAL);
	EXPECT_EQ(own_op(RS_OP_REPLACE, p, 0, RS_PAGE_WRITE, q), -EINVAL);
	EXPECT_EQ(own_op(RS_OP_REPLACE, p, PAGE, RS_PAGE_WRITE | RS_PAGE_TOUCHED, q), -EINVAL);
	EXPECT_EQ(own_op(RS_OP_REPLACE, p, PAGE, 2, q), -EINVAL);
	EXPECT_EQ(own_op(RS_OP_REPLACE, p, -PAGE, RS_PAGE_WRITE, q), -ENOMEM);
	EXPECT_EQ(own_op(RS_OP_REPLACE, p, PAGE, RS_PAGE_WRITE, (char *)FAR), -ENOMEM);
	EXPECT_EQ(own_op(RS_OP_REPLACE, (char *)FAR, PAGE, RS_PAGE_WRITE, p), -ENOMEM);
	EXPECT_EQ(own_op(RS_OP_REPLACE, p, PAGE, RS_PAGE_WRITE, (char *)-PAGE), -ENOMEM);
	EXPECT_EQ(own_op(RS_OP_REPLACE, s, PAGE, RS_PAGE_WRITE, p), -EINVAL);
	EXPECT_EQ(own_op(RS_OP_REPLACE, p, PAGE, RS_PAGE_WRITE, s), -EINVAL);
	/* what could be written gets nowhere where it could be executed */
	EXPECT_EQ(own_op(RS_OP_REPLACE, p, PAGE, RS_PAGE_WRITE, code), -EACCES);
	EXPECT_EQ(own_op(RS_OP_REPLACE, code, PAGE, RS_PAGE_WRITE, p), -EACCES);
	SYS(mprotect(q, PAGE, PROT_READ));
	EXPECT_EQ(own_op(RS_OP_REPLACE, p, PAGE, RS_PAGE_WRITE, q), -EACCES);
	EXPECT_EQ(own_op(RS_OP_REPLACE, q, PAGE, RS_PAGE_WRITE, p), -EACCES);
	EXPECT_EQ(rs_page_protect(q + PAGE, PAGE, RS_PAGE_NONE), 0);
	EXPECT_EQ(own_op(RS_OP_REPLACE, q + PAGE, PAGE, RS_PAGE_WRITE, p), -EACCES);
	EXPECT_EQ(own_op(RS_OP_GIVE, p, PAGE, 0, (char *)FAR), -EINVAL);
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(p[i * PAGE], 1);
}

/*
 * A page that a child shares is not changed for it by what its parent puts there, or takes from
 * there.
 */
TEST(replaced_pages_over_fork)
{
	char *p = private_pages(4);
	struct gate g = gate_make();
	pid_t pid;

	NEEDS(RS_APP_PROCESSES);
	for (int i = 0; i < 4; i++)
		p[i * PAGE] = 1 + i;
	pid = CHILD({
		gate_wait(g);
		for (int i = 0; i < 4; i++) {
			EXPECT_EQ(p[i * PAGE], 1 + i);
			p[i * PAGE] += 10;
		}
	});
	EXPECT_EQ(own_op(RS_OP_REPLACE, p, 2 * PAGE, RS_PAGE_WRITE, p + 2 * PAGE), 0);
	EXPECT_EQ(p[2 * PAGE] * 100 + p[3 * PAGE] * 10 + p[0] + p[PAGE], 120);
	p[2 * PAGE] = 77;
	p[0] = 78;
	gate_open(g);
	EXITS(pid, 0);
	EXPECT_EQ(p[2 * PAGE], 77);
	EXPECT_EQ(p[3 * PAGE], 2);
}

/* --- children --------------------------------------------------------------------------------- */

/* Everything this process has, at its place. */
static __attribute__((noinline)) void give_all(long pid)
{
	static struct rs_mapping m[200];
	long n = rs_mappings(NULL, m, 200);

	ASSERT_GE(n, 1);
	for (long i = 0; i < n; i++)
		ASSERT_EQ(child_op(pid, RS_OP_GIVE, (void *)m[i].start, m[i].end - m[i].start, 0,
				   (void *)m[i].start),
			  0);
}

/* An unstarted child that has all of it runs @... when it is started. */
#define EXOCHILD(...) ({								\
	long child_ = rs_exofork(RS_EXOFORK_TID);					\
	if (!child_) {									\
		__VA_ARGS__;								\
		test_leave();								\
	}										\
	ASSERT_GE(child_, 1);								\
	give_all(child_);								\
	child_;										\
})

static int data = 5;

TEST(a_child_with_all_of_it)
{
	char *p = private_pages(2), *s = shared_pages(1);
	pid_t maker = getpid();
	pthread_mutexattr_t ma;
	pthread_mutex_t mutex;
	double x = 1.25;
	long pid;

	NEEDS(RS_APP_PROCESSES);
	pthread_mutexattr_init(&ma);
	pthread_mutexattr_settype(&ma, PTHREAD_MUTEX_ERRORCHECK);
	pthread_mutex_init(&mutex, &ma);
	p[0] = 1;
	asm volatile("" : "+x"(x));
	pid = EXOCHILD({
		asm volatile("" : "+x"(x));
		EXPECT(x == 1.25);
		EXPECT_EQ(p[0], 1);
		EXPECT_EQ(p[PAGE], 0);
		EXPECT_EQ(data, 5);
		data = p[0] = p[PAGE] = 7;
		s[0] = 8;
		EXPECT_EQ(getppid(), maker);
		EXPECT_NE(getpid(), maker);
		/* the C library knows the number of its thread */
		EXPECT_EQ(pthread_mutex_lock(&mutex), 0);
		EXPECT_EQ(mutex.__data.__owner, getpid());
		/* heap, stack, vDSO */
		char *big = malloc(4 << 20);
		ASSERT(big);
		memset(big, 1, 4 << 20);
		memset(alloca(1 << 20), 1, 1 << 20);
		EXPECT(now() > 0);
		EXPECT_NE(sbrk(PAGE), (void *)-1);
	});
	p[0] = data = 9;
	EXPECT_EQ(rs_child_run(pid), 0);
	EXPECT_EQ(p[PAGE], 0);
	EXITS(pid, 0);
	EXPECT_EQ(data, 9);
	EXPECT_EQ(p[0], 9);
	EXPECT_EQ(s[0], 8);
}

/* The child's memory is what it is given: more, other, less. */
TEST(a_child_with_other_memory)
{
	char *p = private_pages(4), *copy = private_pages(1), *s = shared_pages(1);
	int fd = scratch_file("from a file", 11);
	volatile char *far = (char *)FAR;
	char *f;
	long pid;

	NEEDS(RS_APP_PROCESSES);
	f = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	ASSERT(f != MAP_FAILED);
	memset(p, 1, 4 * PAGE);
	s[0] = 4;
	pid = EXOCHILD({
		EXPECT_EQ(far[0], 0);
		EXPECT_EQ(far[PAGE], 6);
		EXPECT_EQ(far[2 * PAGE], 1);
		EXPECT_EQ(far[3 * PAGE], 4);
		EXPECT(!memcmp((char *)far + 4 * PAGE, "from a file", 11));
		far[0] = far[PAGE] = far[2 * PAGE] = 9;
		far[3 * PAGE] = 9;
		EXPECT_EQ(dies_by(touch_write, (char *)far + 4 * PAGE), SIGSEGV);
		EXPECT_EQ(dies_by(touch_read, (char *)far + 5 * PAGE), SIGSEGV);
		EXPECT_EQ(dies_by(touch_read, p), SIGSEGV);
		EXPECT_EQ(MARKS(p + PAGE), 1);
		EXPECT_EQ(dies_by(touch_write, p + PAGE), SIGSEGV);
		EXPECT_EQ(p[2 * PAGE], 1);
		p[2 * PAGE] = 3;
		EXPECT_EQ(dies_by(touch_read, p + 3 * PAGE), SIGSEGV);
	});
	EXPECT_EQ(child_op(pid, RS_OP_MAP, NULL, 2 * PAGE, RW, (char *)FAR), 0);
	copy[0] = 6;
	EXPECT_EQ(child_op(pid, RS_OP_REPLACE, copy, PAGE, RS_PAGE_WRITE, (char *)FAR + PAGE), 0);
	EXPECT_EQ(copy[0], 0);
	EXPECT_EQ(child_op(pid, RS_OP_GIVE, p, PAGE, 0, (char *)FAR + 2 * PAGE), 0);
	EXPECT_EQ(child_op(pid, RS_OP_GIVE, s, PAGE, 0, (char *)FAR + 3 * PAGE), 0);
	EXPECT_EQ(child_op(pid, RS_OP_GIVE, f, PAGE, 0, (char *)FAR + 4 * PAGE), 0);
	EXPECT_EQ(child_op(pid, RS_OP_UNMAP, p, PAGE, 0, NULL), 0);
	EXPECT_EQ(
		child_op(pid, RS_OP_PROTECT, p + PAGE, PAGE, RS_PAGE_READ | RS_PAGE_MARK(0), NULL),
		0);
	EXPECT_EQ(child_op(pid, RS_OP_PROTECT, p + 3 * PAGE, PAGE, RS_PAGE_NONE, NULL), 0);
	/* none of it is to be seen here */
	EXPECT_EQ(dies_by(touch_read, (char *)FAR), SIGSEGV);
	memset(p, 2, 4 * PAGE);
	EXPECT_EQ(rs_child_run(pid), 0);
	EXITS(pid, 0);
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(p[i * PAGE], 2);
	EXPECT_EQ(s[0], 9);
	EXPECT_EQ(MARKS(p + PAGE), 0);
}

TEST(giving_has_rules)
{
	struct rs_page_op bad = { .op = 99 }, ops[2] = { { 0 } };
	char *p = private_pages(4);
	struct rs_mapping m[200];
	struct rlimit { uint64_t cur, max; } old, small;
	long pid, n, i;

	NEEDS(RS_APP_PROCESSES);
	memset(p, 1, 4 * PAGE);
	SYS(munmap(p + 2 * PAGE, PAGE));
	pid = rs_exofork(0);
	ASSERT_GE(pid, 1);
	EXPECT_EQ(child_op(pid, RS_OP_GIVE, p, PAGE, 0, p), 0);
	EXPECT_EQ(child_op(pid, RS_OP_GIVE, p, PAGE, 0, p), -EEXIST);
	EXPECT_EQ(child_op(pid, RS_OP_GIVE, p, 2 * PAGE, 0, p), -EEXIST);
	EXPECT_EQ(child_op(pid, RS_OP_GIVE, p + PAGE, 2 * PAGE, 0, p + PAGE), -ENOMEM);
	EXPECT_EQ(child_op(pid, RS_OP_GIVE, p + 2 * PAGE, PAGE, 0, p + PAGE), -ENOMEM);
	EXPECT_EQ(child_op(pid, RS_OP_GIVE, p + PAGE, PAGE, 1, p + PAGE), -EINVAL);
	EXPECT_EQ(child_op(pid, RS_OP_GIVE, p + PAGE, 0, 0, p + PAGE), -EINVAL);
	EXPECT_EQ(child_op(pid, RS_OP_GIVE, p + PAGE + 8, PAGE, 0, p + PAGE), -EINVAL);
	EXPECT_EQ(child_op(pid, RS_OP_GIVE, p + PAGE, PAGE, 0, p + PAGE + 8), -EINVAL);
	EXPECT_EQ(child_op(pid, RS_OP_GIVE, p + PAGE, -PAGE, 0, p + PAGE), -ENOMEM);
	EXPECT_EQ(child_op(pid, RS_OP_GIVE, p + PAGE, PAGE, 0, (char *)-PAGE), -ENOMEM);
	EXPECT_EQ(child_op(pid, RS_OP_GIVE, (char *)-PAGE, PAGE, 0, (char *)FAR), -ENOMEM);
	EXPECT_EQ(child_op(pid, RS_OP_GIVE, p + PAGE, PAGE, 0, NULL), -EPERM);
	EXPECT_EQ(child_op(pid, RS_OP_GIVE, (char *)RS_PT_BASE, PAGE, 0, (char *)FAR), -ENOMEM);
	EXPECT_EQ(child_op(pid, RS_OP_MAP, NULL, PAGE, RW | PROT_EXEC, (char *)FAR), -EACCES);
	EXPECT_EQ(child_op(pid, RS_OP_MAP, NULL, PAGE, RW, p), -EEXIST);
	EXPECT_EQ(child_op(pid, RS_OP_PROTECT, p, 2 * PAGE, 0, NULL), -ENOMEM);
	EXPECT_EQ(child_op(pid, RS_OP_REPLACE, p + PAGE, PAGE, RS_PAGE_WRITE, (char *)FAR),
		  -ENOMEM);
	/* the vDSO has one address, and may not be changed */
	n = rs_mappings(NULL, m, 200);
	for (i = 0; i < n && !(m[i].flags & RS_MAPPING_FIXED); i++)
		;
	ASSERT(i < n);
	EXPECT_EQ(child_op(pid, RS_OP_GIVE, (void *)m[i].start, PAGE, 0, (char *)FAR), -EPERM);
	EXPECT_EQ(child_op(pid, RS_OP_GIVE, (void *)m[i].start, PAGE, 0, (void *)m[i].start), 0);
	EXPECT_EQ(child_op(pid, RS_OP_UNMAP, (void *)m[i].start, PAGE, 0, NULL), -EPERM);
	EXPECT_EQ(child_op(pid, RS_OP_PROTECT, (void *)m[i].start, PAGE, 0, NULL), -EPERM);
	/* vectored: up to the first that fails */
	ops[0] = (struct rs_page_op){ .op = RS_OP_MAP, .len = PAGE, .arg = RW, .to = FAR };
	ops[1] = ops[0];
	EXPECT_EQ(rs_child_pages(pid, ops, 2), 1);
	EXPECT_EQ(ops[1].result, -EEXIST);
	EXPECT_EQ(rs_child_pages(pid, &bad, 1), 0);
	EXPECT_EQ(bad.result, -EINVAL);
	EXPECT_EQ(rs_child_pages(pid, NULL, 1), -EFAULT);
	EXPECT_EQ(rs_child_pages(pid, &bad, RS_PAGE_OPS_MAX + 1), -EINVAL);
	EXPECT_EQ(rs_child_gone(pid), 0);
	/* the child's limit, which is that of its maker */
	SYS(syscall(SYS_prlimit64, 0, 9 /* RLIMIT_AS */, NULL, &old));
	small = (struct rlimit){ 3 * PAGE, old.max };
	SYS(syscall(SYS_prlimit64, 0, 9, &small, NULL));
	pid = rs_exofork(0);
	SYS(syscall(SYS_prlimit64, 0, 9, &old, NULL));
	ASSERT_GE(pid, 1);
	EXPECT_EQ(child_op(pid, RS_OP_GIVE, p, 2 * PAGE, 0, p), 0);
	EXPECT_EQ(child_op(pid, RS_OP_MAP, NULL, 2 * PAGE, RW, (char *)FAR), -ENOMEM);
	EXPECT_EQ(child_op(pid, RS_OP_GIVE, p, 2 * PAGE, 0, (char *)FAR), -ENOMEM);
	EXPECT_EQ(child_op(pid, RS_OP_MAP, NULL, PAGE, RW, (char *)FAR), 0);
	EXPECT_EQ(rs_child_gone(pid), 0);
}

static void *idle(void *arg)
{
	gate_wait(*(struct gate *)arg);
	return NULL;
}

TEST(rights_over_unstarted_children_only)
{
	struct gate g = gate_make();
	struct rs_page_op op = { .op = RS_OP_MAP, .len = PAGE, .arg = RW };
	long child, unstarted;
	pthread_t t;

	NEEDS(RS_APP_PROCESSES);
	EXPECT_EQ(rs_exofork(4), -EINVAL);
	for (long *p = (long[]){ 0, 1, -1, getpid(), getppid(), 1l << 32, 30000, 99 }; *p != 99;
	     p++) {
		EXPECT_EQ(rs_child_run(*p), -ESRCH);
		EXPECT_EQ(rs_child_gone(*p), -ESRCH);
		EXPECT_EQ(rs_child_pages(*p, &op, 1), -ESRCH);
	}
	unstarted = rs_exofork(0);
	ASSERT_GE(unstarted, 1);
	EXPECT_EQ(rs_child_pages(unstarted, &op, 1), 1);
	EXPECT_EQ(rs_app_call(RS_SYS_CHILD_STATUS, unstarted, 0, 0, 0), -EINVAL);
	EXPECT_EQ(rs_app_call(RS_SYS_CHILD_STATUS, unstarted, 3, 0, 0), -EINVAL);
	EXPECT_EQ(rs_app_call(RS_SYS_CHILD_STATUS, unstarted | 1l << 32, RS_CHILD_GONE, 0, 0),
		  -ESRCH);
	/* nobody else's: not a child's, which is a grandparent's and a stranger's case as well */
	child = CHILD({
		EXPECT_EQ(rs_child_run(unstarted), -ESRCH);
		EXPECT_EQ(rs_child_gone(unstarted), -ESRCH);
		EXPECT_EQ(rs_child_pages(unstarted, &op, 1), -ESRCH);
		gate_wait(g);
	});
	EXPECT_EQ(rs_child_pages(child, &op, 1), -ESRCH);
	EXPECT_EQ(rs_child_gone(child), -ESRCH);
	gate_open(g);
	EXITS(child, 0);
	/* any thread's of the maker */
	ASSERT_EQ(pthread_create(&t, NULL, idle, &g), 0);
	EXPECT_EQ(rs_exofork(RS_EXOFORK_ALONE), -EBUSY);
	gate_open(g);
	pthread_join(t, NULL);
	/* until it has been started, or is gone */
	EXPECT_EQ(rs_child_gone(unstarted), 0);
	EXPECT_EQ(rs_child_gone(unstarted), -ESRCH);
	child = EXOCHILD({ gate_wait(g); });
	EXPECT_EQ(rs_child_run(child), 0);
	EXPECT_EQ(rs_child_run(child), -ESRCH);
	EXPECT_EQ(rs_child_pages(child, &op, 1), -ESRCH);
	EXPECT_EQ(rs_child_gone(child), -ESRCH);
	gate_open(g);
	EXITS(child, 0);
}

static volatile sig_atomic_t children_told;

static void told(int sig)
{
	children_told++;
}

TEST(nobody_waits_for_an_unstarted_child)
{
	struct sigaction sa = { .sa_handler = told };
	long pid;

	NEEDS(RS_APP_PROCESSES);
	SYS(sigaction(SIGCHLD, &sa, NULL));
	pid = rs_exofork(0);
	ASSERT_GE(pid, 1);
	EXPECT_ERRNO(waitpid(-1, NULL, 0), ECHILD);
	EXPECT_ERRNO(waitpid(pid, NULL, WNOHANG), ECHILD);
	SYS(kill(pid, 0));
	SYS(setpgid(pid, 0));
	EXPECT_EQ(getpgid(pid), pid);
	EXPECT_EQ(rs_child_gone(pid), 0);
	EXPECT_ERRNO(kill(pid, 0), ESRCH);
	EXPECT_ERRNO(waitpid(-1, NULL, 0), ECHILD);
	EXPECT_EQ(children_told, 0);
}

static volatile sig_atomic_t usr1;

static void on_usr1(int sig)
{
	usr1++;
}

TEST(signals_before_the_start)
{
	struct sigaction sa = { .sa_handler = on_usr1 };
	long pid;

	NEEDS(RS_APP_PROCESSES);
	SYS(sigaction(SIGUSR1, &sa, NULL));
	pid = EXOCHILD({ EXPECT_EQ(usr1, 1); });
	SYS(kill(pid, SIGUSR1));
	EXPECT_EQ(rs_child_run(pid), 0);
	EXITS(pid, 0);
	pid = EXOCHILD({ FAIL("it runs"); });
	SYS(kill(pid, SIGKILL));
	EXPECT_EQ(rs_child_run(pid), 0);
	DIES(pid, SIGKILL);
	/* without any memory it dies of its first instruction */
	pid = rs_exofork(0);
	ASSERT_GE(pid, 1);
	EXPECT_EQ(rs_child_run(pid), 0);
	DIES(pid, SIGSEGV);
}

__attribute__((constructor)) static void gone(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "@gone"))
		_exit(0);
}

/*
 * Whoever ends or executes a program takes its unstarted children along: they end with it, and
 * their numbers are free.
 */
TEST(makers_that_go)
{
	struct { _Atomic long pid[3]; } *s = (void *)shared_pages(1);
	pid_t pid;

	NEEDS(RS_APP_PROCESSES);
	for (int how = 0; how < 3; how++) {
		pid = CHILD({
			for (int i = 0; i < 3; i++) {
				s->pid[i] = rs_exofork(0);
				if (i)
					give_all(s->pid[i]);
			}
			if (how == 1)
				kill(getpid(), SIGKILL);
			if (how == 2)
				execl("/proc/self/exe", "rs-app-test", "@gone", NULL);
		});
		if (how == 1)
			DIES(pid, SIGKILL);
		else
			EXITS(pid, 0);
		for (int i = 0; i < 3; i++) {
			EXPECT_GE(s->pid[i], 1);
			EXPECT_ERRNO(kill(s->pid[i], 0), ESRCH);
		}
	}
}

/*
 * Each sees what its maker had when it was made, whoever starts first, and nobody what another
 * writes.
 */
TEST(many_children_at_once)
{
	static int values[16];
	char *p = private_pages(16);
	long pid[16];

	NEEDS(RS_APP_PROCESSES);
	for (int i = 0; i < 16; i++) {
		p[i * PAGE] = values[i] = i;
		pid[i] = rs_exofork(RS_EXOFORK_TID);
		if (!pid[i]) {
			int n = 0, bad = 0;

			while (n < 15 && values[n + 1])
				n++;
			for (int k = 0; k < 16; k++) {
				bad |= p[k * PAGE] != (k <= n ? k : 0);
				p[k * PAGE] = 100 + n;
			}
			_exit(bad ? 99 : n);
		}
		ASSERT_GE(pid[i], 1);
		give_all(pid[i]);
	}
	for (int i = 15; i >= 0; i--)
		EXPECT_EQ(rs_child_run(pid[i]), 0);
	for (int i = 0; i < 16; i++) {
		EXITS(pid[i], i);
		EXPECT_EQ(p[i * PAGE], i);
	}
}

/* --- hostile arguments ------------------------------------------------------------------------ */

TEST_FOR(random_child_calls, 200)
{
	NEEDS(RS_APP_PROCESSES);
	for (int round = 0; round < 6; round++) {
		int status;
		pid_t pid = SYS(fork());

		if (!pid) {
			char *p = shared_pages(16), *q = private_pages(16);
			unsigned int seed = round * 91 + 3;
			const uint64_t value[] = { 0,
						   RS_PAGE_READ | RS_PAGE_CALLS,
						   PAGE,
						   3 * PAGE,
						   -1ul,
						   -PAGE,
						   FAR,
						   (1ul << 47) - PAGE,
						   ADDR(p),
						   ADDR(q),
						   ADDR(p) + 5 * PAGE,
						   ADDR(q) + 3 * PAGE,
						   2,
						   3,
						   RS_PAGE_WRITE | RS_PAGE_MARK(2),
						   64 * PAGE };
			long child = -1;

			for (int i = 0; i < 2000; i++) {
				struct rs_page_op op;
				uint64_t a[4];

				for (int k = 0; k < 4; k++)
					a[k] = value[(seed = seed * 1103515245 + 12345) >> 16 & 15];
				op = (struct rs_page_op){ .op = seed >> 20 & 7,
							  .addr = a[0],
							  .len = a[1],
							  .arg = a[2],
							  .to = a[3] };
				switch (seed >> 24 & 7) {
				case 0:
					rs_app_call(RS_SYS_CHILD_STATUS, a[0], a[1], a[2], a[3]);
					break;
				case 1: rs_app_call(RS_SYS_MAPPINGS, a[0], a[1], a[2], a[3]); break;
				case 2:
					rs_app_call(RS_SYS_CHILD_PAGES, child, a[1], a[2], a[3]);
					break;
				case 3:
					if (child > 0 && i % 16 == 0)
						rs_app_call(RS_SYS_CHILD_STATUS, child,
							    i % 128 ? RS_CHILD_GONE : RS_CHILD_RUN, 0, 0);
					if (i % 4 == 0 || child < 0)
						child = rs_exofork(0);
					if (!child)
						_exit(0);
					break;
				case 4: rs_page_ops(&op, 1); break;
				default: rs_child_pages(child, &op, 1); break;
				}
				while (waitpid(-1, NULL, WNOHANG) > 0)
					;
			}
			_exit(0);
		}
		status = status_of(pid);
		if (status && !WIFSIGNALED(status))
			FAIL("round %d: wait status %#x", round, status);
	}
}
