/* SPDX-License-Identifier: MIT */
/*
 * syscall_cpu.h - what arch/cpu.h has only for ring 0, for the hosted tests of the layers that
 * schedule threads and answer system calls; included before everything else
 */
#ifndef SYSCALL_CPU_H
#define SYSCALL_CPU_H

struct kstack;
struct thread;

extern unsigned long hosted_base[2];	/* FS and GS of ring 3 */
extern struct kstack *hosted_boot_stack;

static inline unsigned long user_fs_base(void)
{
	return hosted_base[0];
}
static inline unsigned long user_gs_base(void)
{
	return hosted_base[1];
}
static inline void set_user_fs_base(unsigned long v)
{
	hosted_base[0] = v;
}
static inline void set_user_gs_base(unsigned long v)
{
	hosted_base[1] = v;
}

/* Only asked for by boot, and by debugging at the end. */
static inline struct kstack *this_kstack(void)
{
	return hosted_boot_stack;
}
static inline unsigned long kstack_used(const struct kstack *k)
{
	(void)k;
	return 0;
}

/* Time on a CPU: each look at it is one tick. */
extern unsigned long hosted_tsc;
static inline unsigned long rdtsc(void)
{
	return ++hosted_tsc;
}

#endif
