// SPDX-License-Identifier: MIT
/*
 * Where rs_slow() keeps the guest's vector registers, and how.
 *
 * The area is as large as CPUID says for all features in XCR0. Its header starts as zero, as XRSTOR
 * demands; XSAVE writes the rest.
 */
#include <cpuid.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sandbox.h"

#define CPUID_1_ECX_OSXSAVE	(1u << 27)
#define XFEATURE_PKRU		(1ull << 9)
#define XFEATURE_TILES		(3ull << 17)
#define FXSAVE_SIZE		512

/* Read by rs_slow(). */
int rs_vector_xsave;
uint64_t rs_vector_mask;

void *rs_vector_area(void)
{
	unsigned int eax, ebx, ecx, edx;
	size_t size = FXSAVE_SIZE;
	void *area;

	__cpuid(1, eax, ebx, ecx, edx);
	if (ecx & CPUID_1_ECX_OSXSAVE) {
		__asm__ volatile("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
		rs_vector_mask = ((uint64_t)edx << 32 | eax) & ~(XFEATURE_PKRU | XFEATURE_TILES);
		__cpuid_count(0xd, 0, eax, ebx, ecx, edx);
		if (ebx > size)
			size = ebx;
		rs_vector_xsave = 1;
	}
	size = (size + 63) & ~63ul;
	area = aligned_alloc(64, size);
	if (area)
		memset(area, 0, size);
	return area;
}
