// SPDX-License-Identifier: MIT
/*
 * rs-vector-test: x87, SSE and AVX registers and their control words over system calls of every
 * kind.
 *
 * In the ring the program's registers stay in the CPU while the host process works for it, so any
 * handler there that uses vector registers without saving them shows here as a changed register.
 * The calls take the different ways: answered by the guest kernel, forwarded with nothing else
 * done, forwarded by way of the host's path policy (which runs libc), requests to the host (console
 * by --trace, idle), a signal.
 */
#define _GNU_SOURCE
#include <asm/unistd.h>
#include <cpuid.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int has_avx;

struct regs {
	uint8_t v[16][32];
	uint32_t mxcsr;
	uint16_t fcw;
	double st0;
} __attribute__((aligned(32)));

/*
 * Load everything from @in, make the call, store everything to @out: in one piece of assembly, so
 * that the compiler uses nothing between.
 */
static long around(long nr, long a, long b, long c, const struct regs *in, struct regs *out)
{
	register long r10 __asm__("r10") = 0;
	long ret;

#define EACH(op) \
	op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7) \
	op(8) op(9) op(10) op(11) op(12) op(13) op(14) op(15)
#define SSE_IN(n)	"movdqu " #n "*32(%[in]), %%xmm" #n "\n"
#define SSE_OUT(n)	"movdqu %%xmm" #n ", " #n "*32(%[out])\n"
#define AVX_IN(n)	"vmovdqu " #n "*32(%[in]), %%ymm" #n "\n"
#define AVX_OUT(n)	"vmovdqu %%ymm" #n ", " #n "*32(%[out])\n"
#define CONTROL_IN	"ldmxcsr 512(%[in])\n fninit\n fldcw 516(%[in])\n fldl 520(%[in])\n"
#define CONTROL_OUT	"stmxcsr 512(%[out])\n fnstcw 516(%[out])\n fstpl 520(%[out])\n"
#define OPERANDS \
	: "=a"(ret) \
	: "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), [in] "r"(in), [out] "r"(out) \
	: "rcx", "r11", "memory"
	if (has_avx)
		__asm__ volatile(EACH(AVX_IN) CONTROL_IN "syscall\n" EACH(AVX_OUT) CONTROL_OUT
				 "vzeroupper\n fninit\n" OPERANDS);
	else
		__asm__ volatile(EACH(SSE_IN) CONTROL_IN "syscall\n" EACH(SSE_OUT) CONTROL_OUT
				 "fninit\n" OPERANDS);
	__asm__ volatile("ldmxcsr %0" : : "m"((uint32_t){ 0x1f80 }));
	return ret;
}

_Static_assert(offsetof(struct regs, mxcsr) == 512 && offsetof(struct regs, fcw) == 516 &&
		       offsetof(struct regs, st0) == 520,
	       "asm");

static volatile double sink;

static void on_signal(int sig)
{
	/* A handler that uses them itself. */
	sink = sig * 1.5;
	__asm__ volatile("pcmpeqd %%xmm7, %%xmm7" : : : "xmm7");
}

int main(void)
{
	static struct stat st;
	struct timespec ts = { 0, 1000000 };
	unsigned int a, b, c, d, i, k, round, bad = 0, n = 0;
	struct regs in, out;
	const struct {
		const char *what;
		long nr, a, b, c;
	} calls[] = {
		{ "getpid", __NR_getpid, 0, 0, 0 },
		{ "lseek", __NR_lseek, 0, 0, SEEK_CUR },
		{ "stat", __NR_stat, (long)"/dev/null", (long)&st, 0 },
		{ "stat of a place outside", __NR_stat, (long)"/root/none", (long)&st, 0 },
		{ "access", __NR_access, (long)"/dev/null", R_OK, 0 },
		{ "chmod, refused", __NR_chmod, (long)"/dev/zero", 0600, 0 },
		{ "open", __NR_open, (long)"/dev/null", O_RDONLY, 0 },
		{ "write", __NR_write, 1, (long)"", 0 },
		{ "socket, refused", __NR_socket, 2, 1, 0 },
		{ "nanosleep", __NR_nanosleep, (long)&ts, 0, 0 },
		{ "kill, to itself", __NR_kill, getpid(), SIGUSR1, 0 },
	};

	__cpuid(1, a, b, c, d);
	has_avx = c & 1u << 27 && c & 1u << 28;
	signal(SIGUSR1, on_signal);
	for (k = 0; k < sizeof(calls) / sizeof(calls[0]); k++) {
		int same = 1;

		for (round = 0; round < 20 && same; round++) {
			memset(&in, 0, sizeof(in));
			memset(&out, 0, sizeof(out));
			for (i = 0; i < sizeof(in.v); i++)
				((uint8_t *)in.v)[i] = i * 7 + k * 13 + round + 1;
			if (!has_avx)
				for (i = 0; i < 16; i++)
					memset(in.v[i] + 16, 0, 16);
			/* Rounding modes and unmasked exceptions that libc would trip over. */
			in.mxcsr = 0x1f80 | (round & 3) << 13;
			if (round & 4)
				in.mxcsr &= ~0x1000;	/* precision */
			in.fcw = 0x037f | (round & 3) << 10;
			if (round & 8)
				in.fcw &= ~0x20;
			in.st0 = 3.25 + round;
			around(calls[k].nr, calls[k].a, calls[k].b, calls[k].c, &in, &out);
			same = !memcmp(in.v, out.v, sizeof(in.v)) && in.mxcsr == out.mxcsr &&
			       in.fcw == out.fcw && in.st0 == out.st0;
		}
		n++;
		bad += !same;
		printf("%sok %u - registers over %s\n", same ? "" : "not ", n, calls[k].what);
		if (!same) {
			for (i = 0; i < 16; i++)
				if (memcmp(in.v[i], out.v[i], 32))
					printf("# register %u differs\n", i);
			printf("# mxcsr %#x, was %#x; fcw %#x, was %#x; st0 %g, was %g\n",
			       out.mxcsr, in.mxcsr, out.fcw, in.fcw, out.st0, in.st0);
		}
	}
	printf("# %s\n1..%u\n", has_avx ? "AVX" : "SSE", n);
	return bad != 0;
}
