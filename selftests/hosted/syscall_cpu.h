/* SPDX-License-Identifier: MIT */
/*
 * syscall_cpu.h - instructions of ring 0 that the system-call layer uses, for its hosted test;
 * included before everything else
 */
#ifndef SYSCALL_CPU_H
#define SYSCALL_CPU_H

static unsigned long hosted_base[2];

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

#endif
