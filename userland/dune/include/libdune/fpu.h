/* SPDX-License-Identifier: MIT */
/*
 * fpu.h - x87, SSE and AVX registers in memory, for programs written for Dune that switch between threads of their own
 *
 * A struct fpu_area holds x87, SSE and the upper halves of AVX. Saving and loading take those components and no other (AVX-512, PKRU and
 * the rest would not fit), and never the optimised form, whose memory of what was loaded last is wrong for an area that moves. On a CPU
 * without XSAVE they are FXSAVE and FXRSTOR.
 */
#ifndef RINGSIDE_DUNE_FPU_H
#define RINGSIDE_DUNE_FPU_H

#include <stdint.h>
#include <string.h>

struct fxsave_area {
	uint16_t cwd, swd, twd, fop;
	uint64_t rip, rdp;
	uint32_t mxcsr, mxcsr_mask;
	uint32_t st_regs[32];	/* 8 of 16 bytes */
	uint32_t xmm_regs[64];	/* 16 of 16 bytes */
	uint32_t padding[24];
} __attribute__((packed));

struct xsave_header {
	uint64_t xstate_bv;
	uint64_t reserved_zero[2];
	uint64_t reserved[5];
} __attribute__((packed));

struct xsave_area {
	struct fxsave_area fxsave;
	struct xsave_header header;
	uint32_t ymm_regs[64];	/* the upper halves */
} __attribute__((packed, aligned(64)));

struct fpu_area {
	struct xsave_area xsave;
};

/* Components that struct xsave_area has room for, of those the CPU has enabled; 0: no XSAVE. */
static inline uint64_t dune_fpu_components(void)
{
	static uint64_t known = ~0ull;	/* CPUID may be an exit */
	uint32_t a = 1, b, c = 0, d;

	if (known == ~0ull) {
		asm volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
		a = 0;
		if (c & 1u << 27)	/* OSXSAVE */
			asm volatile("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
		known = a & 7;
	}
	return known;
}

static inline void fpu_xsave(struct fpu_area *fp, uint64_t mask)
{
	mask &= dune_fpu_components();
	if (mask)
		asm volatile("xsave64 %0" : "+m"(fp->xsave) : "a"((uint32_t)mask), "d"(0) : "memory");
	else
		asm volatile("fxsave64 %0" : "+m"(fp->xsave) : : "memory");
}

static inline void fpu_xsaveopt(struct fpu_area *fp, uint64_t mask)
{
	fpu_xsave(fp, mask);
}

static inline void fpu_xrstor(struct fpu_area *fp, uint64_t mask)
{
	mask &= dune_fpu_components();
	if (mask)
		asm volatile("xrstor64 %0" : : "m"(fp->xsave), "a"((uint32_t)mask), "d"(0) : "memory");
	else
		asm volatile("fxrstor64 %0" : : "m"(fp->xsave) : "memory");
}

/* An area as of a thread that has not calculated yet. */
static inline void dune_fpu_init(struct fpu_area *fp)
{
	memset(fp, 0, sizeof(*fp));
	fp->xsave.fxsave.cwd = 0x37f;
	fp->xsave.fxsave.mxcsr = 0x1f80;
	fp->xsave.header.xstate_bv = 3;	/* else XRSTOR would pass over the two values above */
}

static inline void dune_fpu_load(struct fpu_area *fp)
{
	fpu_xrstor(fp, ~0ull);
}

/* The two that save are the same: any area will do for either. */
static inline void dune_fpu_save(struct fpu_area *fp)
{
	fpu_xsave(fp, ~0ull);
}

static inline void dune_fpu_save_safe(struct fpu_area *fp)
{
	fpu_xsave(fp, ~0ull);
}

#endif
