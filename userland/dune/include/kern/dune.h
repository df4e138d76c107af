/* SPDX-License-Identifier: MIT */
/*
 * dune.h - what programs written for Dune take from its kernel's header: sizes of the windows and numbers of signals
 *
 * There is no /dev/dune: its ioctls are not here, and a program that uses them does not build.
 */
#ifndef RINGSIDE_DUNE_KERN_DUNE_H
#define RINGSIDE_DUNE_KERN_DUNE_H

#define DUNE_SIGNAL_INTR_BASE	200	/* a signal's interrupt vector is this and its number */

/* The window of the stack, [stack_base, + GPA_STACK_SIZE), and that of mmap, [mmap_base, + GPA_MAP_SIZE). */
#define GPA_STACK_SIZE	((unsigned long)1 << 30)
#define GPA_MAP_SIZE	(((unsigned long)1 << 36) - GPA_STACK_SIZE)
#define LG_ALIGN(addr)	((addr + (1 << 30) - 1) & ~((1 << 30) - 1))

/* Why a program left Dune: for programs that name them. Here a signal or an exit is Linux's own. */
#define DUNE_RET_EXIT			1
#define DUNE_RET_EPT_VIOLATION		2
#define DUNE_RET_INTERRUPT		3
#define DUNE_RET_SIGNAL			4
#define DUNE_RET_UNHANDLED_VMEXIT	5
#define DUNE_RET_NOENTER		6

#endif
