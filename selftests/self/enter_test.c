// SPDX-License-Identifier: MIT
/*
 * In and out: what a program notices of being in the ring, which is nothing but rs_inside().
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>
#include "self.h"
#include "self/self.h"

static void in_and_out(unsigned int flags, int ring)
{
	int i;

	EXPECT_EQ(rs_inside(), -1);
	EXPECT_EQ(rs_leave(), -EINVAL);
	for (i = 0; i < 3; i++) {
		enter(flags);
		EXPECT_EQ(rs_inside(), ring);
		EXPECT_EQ(rs_enter(flags), -EALREADY);
		EXPECT_EQ(rs_leave(), 0);
		EXPECT_EQ(rs_inside(), -1);
	}
}

TEST(ring3_in_and_out)
{
	in_and_out(0, 3);
}

TEST(ring0_in_and_out)
{
	in_and_out(RS_ENTER_RING0, 0);
}

TEST(flags_and_the_other_ring)
{
	EXPECT_EQ(rs_enter(4), -EINVAL);
	enter(0);
	EXPECT_EQ(rs_leave(), 0);
	EXPECT_EQ(rs_enter(RS_ENTER_RING0), -EINVAL);
}

static void libc(unsigned int flags)
{
	char text[64], path[] = "/tmp/rs-self-XXXXXX";
	struct rs_self_stats st;
	double x = 1.5;
	char *p[64];
	FILE *f;
	int i, fd;

	fd = SYS(mkstemp(path));
	f = fdopen(fd, "w+");
	enter(flags);
	fprintf(f, "%d %.3f\n", 42, x / 3);
	fflush(f);
	rewind(f);
	EXPECT(fgets(text, sizeof(text), f) && !strcmp(text, "42 0.500\n"));
	for (i = 0; i < 64; i++) {
		p[i] = malloc(i << 12 | 1);
		memset(p[i], i, i << 12 | 1);
	}
	for (i = 0; i < 64; i++) {
		EXPECT_EQ(p[i][i << 12], i);
		free(p[i]);
	}
	EXPECT_ERRNO(close(-1), EBADF);
	EXPECT_EQ(rs_self_stats(&st), 0);
	EXPECT_GE(st.calls, 3);
	EXPECT_EQ(st.enters, 1);
	EXPECT_EQ(st.leaves, 0);
	EXPECT_EQ(rs_leave(), 0);
	fclose(f);
	unlink(path);
}

TEST(ring3_libc)
{
	libc(0);
}

TEST(ring0_libc)
{
	libc(RS_ENTER_RING0);
}

TEST(libc_without_fsgsbase)
{
	rs_self.no_fsgsbase = 1;
	libc(0);
}

/* Mappings at all kinds of addresses, changed while inside; each access is what Linux has there. */
static void mappings(unsigned int flags)
{
	static const uintptr_t at[] = { 0x10000000, 0x3fe00000, 0x7c0000000, 0x1000000000, 0x123456789000, 0x7ff000000000 };
	const size_t size = 5ul << 20;
	unsigned int i;

	enter(flags);
	for (i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		char *p = mmap((void *)at[i], size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
		char *q;

		ASSERT(p == (char *)at[i]);
		p[0] = i;
		p[size - 1] = i + 1;
		EXPECT_EQ(madvise(p, size, MADV_DONTNEED), 0);
		EXPECT_EQ(p[0] | p[size - 1], 0);
		p[4096] = 7;
		q = mremap(p, size, 2 * size, MREMAP_MAYMOVE);
		ASSERT(q != MAP_FAILED);
		EXPECT_EQ(q[4096], 7);
		q[2 * size - 1] = 9;
		EXPECT_EQ(mprotect(q, 4096, PROT_READ), 0);
		EXPECT_EQ(q[0], 0);
		EXPECT_EQ(munmap(q, 2 * size), 0);
	}
	EXPECT_EQ(rs_leave(), 0);
}

TEST(ring3_mappings)
{
	mappings(0);
}

TEST(ring0_mappings)
{
	mappings(RS_ENTER_RING0);
}

/* Where there is no room below 64 GiB for the library's memory. */
static void arena_anywhere(unsigned int flags)
{
	void *arena;
	size_t len;

	SYS(mmap((void *)0x800000000, 0x800000000, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0));
	mappings(flags);
	EXPECT_EQ(rs_ring0_arena(&arena, &len), 0);
	EXPECT_GT((uintptr_t)arena, 0x1000000000);
}

TEST(ring3_arena_anywhere)
{
	arena_anywhere(0);
}

static void skip(struct rs_trap_frame *f)
{
	f->rip += 2;
}

TEST(ring0_arena_anywhere)
{
	uint64_t *root;

	rs_ring0_handle(6, skip);
	arena_anywhere(RS_ENTER_RING0);
	enter(RS_ENTER_RING0);
	asm volatile("ud2");
	root = rs_ring0_root();
	EXPECT(rs_ring0_va(rs_ring0_gpa(root)) == root);
	EXPECT_EQ(rs_ring0_protect((void *)((uintptr_t)&root & ~4095ul), 4096, 3), 0);
	EXPECT_EQ(rs_leave(), 0);
}

static pthread_barrier_t barrier;

static void *one_of_many(void *arg)
{
	long ret = rs_enter(0);

	pthread_barrier_wait(&barrier);
	if (!ret)
		rs_leave();
	pthread_barrier_wait(&barrier);
	return (void *)ret;
}

TEST(more_threads_than_the_ring_has_room_for)
{
	enum { N = 68 };
	pthread_t t[N];
	int i, failed = 0;
	void *ret;

	enter(0);
	EXPECT_EQ(rs_leave(), 0);
	pthread_barrier_init(&barrier, NULL, N);
	for (i = 0; i < N; i++)
		SYS(-pthread_create(&t[i], NULL, one_of_many, NULL));
	for (i = 0; i < N; i++) {
		pthread_join(t[i], &ret);
		if (ret) {
			EXPECT_EQ((long)ret, -EAGAIN);
			failed++;
		}
	}
	/* this thread has one of the 64 */
	EXPECT_EQ(failed, N - 63);
}

static int descriptors(void)
{
	int fd, n = 0;

	for (fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* What rs_enter() cannot have it says, and it leaves nothing that would keep it from working when there is enough. */
TEST(failures_leave_nothing)
{
	struct rlimit files, limit;
	int fd, tries, ret = -1, before = descriptors();

	SYS(getrlimit(RLIMIT_NOFILE, &files));
	fd = SYS(dup(0));
	close(fd);
	for (tries = 0; tries < 20 && ret; tries++) {
		limit = files;
		limit.rlim_cur = fd + tries;
		SYS(setrlimit(RLIMIT_NOFILE, &limit));
		ret = rs_enter(0);
		if (ret == -ENODEV)
			SKIP("no device: the module is not loaded");
		if (ret)
			EXPECT_EQ(ret, -EMFILE);
	}
	EXPECT_EQ(ret, 0);
	EXPECT_GE(tries, 3);
	EXPECT_EQ(rs_leave(), 0);
	/* the device's, the ring's and the thread's */
	EXPECT_EQ(descriptors(), before + 3);
	SYS(setrlimit(RLIMIT_NOFILE, &files));
}

TEST(no_room_for_the_arena)
{
	struct rlimit space, limit;

	SYS(getrlimit(RLIMIT_AS, &space));
	limit = space;
	limit.rlim_cur = 100 << 20;
	SYS(setrlimit(RLIMIT_AS, &limit));
	EXPECT_EQ(rs_enter(0), -ENOMEM);
	EXPECT_EQ(rs_inside(), -1);
	SYS(setrlimit(RLIMIT_AS, &space));
	enter(0);
	EXPECT_EQ(rs_leave(), 0);
}

/* Programs that would use protection keys do without, as on a CPU without. */
TEST(no_protection_keys_inside)
{
	enter(0);
	errno = 0;
	EXPECT_EQ(pkey_alloc(0, 0), -1);
	EXPECT_EQ(errno, ENOSPC);
	EXPECT_EQ(rs_leave(), 0);
}

TEST(who_uses_protection_keys_cannot_enter)
{
	int key;

	enter(0);
	EXPECT_EQ(rs_leave(), 0);
	key = pkey_alloc(0, PKEY_DISABLE_WRITE);
	if (key < 0) {
		EXPECT(errno == ENOSPC || errno == ENOSYS);
		SKIP("no protection keys here");
	}
	EXPECT_EQ(rs_enter(0), -EOPNOTSUPP);
	EXPECT_EQ(rs_inside(), -1);
	SYS(pkey_set(key, PKEY_DISABLE_ACCESS));
	SYS(pkey_free(key));
	enter(0);
	EXPECT_EQ(rs_leave(), 0);
}
