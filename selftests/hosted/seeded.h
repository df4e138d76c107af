/* SPDX-License-Identifier: MIT */
/*
 * seeded.h - for hosted tests at random with the guest kernel's scheduler: numbers from a seed, checks
 * that tell it, and system calls of programs that take no signals
 *
 * One file per program includes it, behind floor.h and the kernel's headers. Programs are C functions; what
 * the kernel gives back of a frame is looked at, and a call that it wants made again is made again.
 */
#ifndef HOSTED_SEEDED_H
#define HOSTED_SEEDED_H

void _exit(int status) __noreturn;

#define P(p)	((u64)(p))
#define MS	1000000ull
#define SEC	1000000000ull

static u64 seed, seed0;		/* as it is now; as it was given */
static u32 round_no;		/* of a test that has rounds */

/* A failed one ends the program: what follows would mean nothing. */
#define CHECK(c)                                                                                \
	do {                                                                                    \
		if (!(c)) {                                                                     \
			printf("not ok - seed %lu, round %u, %s:%d: %s\n", seed0, round_no,      \
			       __func__, __LINE__, #c);                                         \
			fflush(stdout);                                                         \
			_exit(1);                                                               \
		}                                                                               \
	} while (0)
#define EQ(a, b)                                                                                \
	do {                                                                                    \
		long _a = (long)(a), _b = (long)(b);                                            \
		if (_a != _b) {                                                                 \
			printf("not ok - seed %lu, round %u, %s:%d: %s is %ld, not %ld\n",       \
			       seed0, round_no, __func__, __LINE__, #a, _a, _b);                \
			fflush(stdout);                                                         \
			_exit(1);                                                               \
		}                                                                               \
	} while (0)

static inline u64 rnd(void)
{
	u64 z = seed += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static inline u64 below(u64 n)
{
	return rnd() % n;
}

/* --- ring 3 ----------------------------------------------------------------------------------- */

#define AFTER_SYSCALL	0x401002ull

typedef int (*program)(u64 arg);

/* A process or thread that the call makes begins at @fn with @arg (floor_user()). */
static inline long plain_call(u64 nr, const u64 *a, program fn, u64 arg)
{
	struct thread *t = current();
	struct rs_frame r = {
		.vector = RS_VECTOR_SYSCALL, .error = nr, .rax = nr, .rip = AFTER_SYSCALL,
		.rcx = AFTER_SYSCALL, .rsp = 0x7000, .cs = USER_CS, .ss = USER_SS, .rflags = 0x202,
		.rdi = a[0], .rsi = a[1], .rdx = a[2], .r10 = a[3], .r8 = a[4], .r9 = a[5],
		.rbx = P(fn), .rbp = arg,
	};

	for (;;) {
		*t->frame = r;
		rs_syscall(t->frame);
		if (t->work || floor_shared.pending)
			rs_return_to_user(t->frame);
		if (t->frame->rip == AFTER_SYSCALL)
			return (long)t->frame->rax;
		CHECK(t->frame->rip == AFTER_SYSCALL - 2);	/* again */
	}
}

#define K(name, ...) call(__NR_##name, (u64[6]){ __VA_ARGS__ }, NULL, 0)

#endif
