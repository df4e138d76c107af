/* SPDX-License-Identifier: GPL-2.0-only */
/* fake_backend.h - a backend that plays a script; see fake_backend.c */
#ifndef RS_FAKE_BACKEND_H
#define RS_FAKE_BACKEND_H

#include "vcpu.h"

#define FAKE_RIP	0x1234

/**
 * struct fake_step - one stay in the guest
 * @exit:   how it ends
 * @rax, @rcx, @rdi, ...: what the guest leaves in its registers
 * @rip:    where it is left; 0: FAKE_RIP
 * @guest:  done while "in the guest", on its behalf or as somebody else meanwhile; may be NULL
 */
struct fake_step {
	struct rs_exit exit;
	u64 rax, rcx, rdx, rsi, rdi, r10;
	u64 rip;
	void (*guest)(struct rs_vcpu *vcpu);
};

/** struct fake_log - what the generic half asked for, since fake_start() */
struct fake_log {
	unsigned int enters, skips, flushes, injects, windows_on, windows_off, loads, puts;
	unsigned int misuse;		/* a callback in the wrong context or order */
	struct rs_event injected;	/* the last one */
	unsigned int flushes_at_enter[16];
};

extern struct rs_backend fake_backend;
extern struct fake_log fake_log;
extern bool fake_can_interrupt;
extern unsigned int fake_cpus_on;	/* CPUs with virtualisation on */

/* The steps of the next runs; entering beyond the last is a misuse and a triple fault. */
void fake_start(const struct fake_step *steps, unsigned int n);

#endif /* RS_FAKE_BACKEND_H */
