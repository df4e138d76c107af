// SPDX-License-Identifier: MIT
/*
 * What the program itself calls: where am I, leave, and the functions for ring 0.
 *
 * This code runs in the program, in either ring. It knows its vCPU by a descriptor that exists in our guest alone (RS_SEL_SELF): LSL of it
 * fails outside.
 */
#include <errno.h>

#include "raw.h"
#include "self.h"

/* The vCPU's number, or -1 outside. */
static inline int vcpu_id(void)
{
	uint64_t limit = 0;
	int ok;

	__asm__ volatile("lsl %2, %0" : "+r"(limit), "=@ccz"(ok) : "r"((uint64_t)RS_SEL_SELF));
	return ok && (limit & ~63ull) == RS_SELF_MAGIC ? (int)(limit & 63) : -1;
}

static inline unsigned int ring(void)
{
	uint64_t cs;

	__asm__ volatile("mov %%cs, %0" : "=r"(cs));
	return cs & 3;
}

int rs_inside(void)
{
	return vcpu_id() < 0 ? -1 : (int)ring();
}

int rs_leave(void)
{
	if (vcpu_id() < 0)
		return -EINVAL;
	return rs_raw3(RS_SELF_SYS_LEAVE, 0, 0, 0);
}
