/* SPDX-License-Identifier: MIT */
/*
 * signals.h - between signals.c and threads.c
 */
#ifndef RS_SELF_SIGNALS_H
#define RS_SELF_SIGNALS_H

#include "frame.h"
#include "native.h"
#include "self.h"

#pragma GCC visibility push(hidden)

/**
 * self_signals_hold() - from now on signals are noted only and none but SIGSEGV and SIGBUS comes; memory of the program may be copied
 * The program's mask is kept. May be called when it is so already.
 */
void self_signals_hold(struct self_vcpu *v);
/** self_signals_release() - the opposite. What has been noted stays noted, and signals held: self_signals_deliver() is to follow, v->pending says so. */
void self_signals_release(struct self_vcpu *v);

/** self_signals_again() - a call that is not to begin yet: the program is at the call again, the signal first. Its enum self_next */
enum self_next self_signals_again(struct self_vcpu *v);

/* What the program has set for signals does not change while it is locked; everything is held. */
void self_signals_lock(void);
void self_signals_unlock(void);

/* FS and GS bases of what v->frame is of, natively. */
void self_signals_bases(const struct self_vcpu *v);

/** self_signals_exec() - before exec and (@undo) when it has failed: what the program ignores is ignored by the next one */
void self_signals_exec(int undo);

/* For a child that shares memory and goes on outside: registers @f. Everything else as of @v, whose thread sleeps. On any stack. */
void self_outside_as(struct self_vcpu *v, const struct rs_trap_frame *f) __attribute__((noreturn));

#pragma GCC visibility pop

#endif /* RS_SELF_SIGNALS_H */
