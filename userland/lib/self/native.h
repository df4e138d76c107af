/* SPDX-License-Identifier: MIT */
/*
 * native.h - native.S for C
 *
 * self_syscall() is declared in self.h. What it answers when a signal came first is
 * SELF_INTERRUPTED: the call has not begun. The program's instruction pointer then goes back to its
 * SYSCALL, RAX becomes v->restart (its number, or restart_syscall's), and the signal is delivered.
 */
#ifndef RS_SELF_NATIVE_H
#define RS_SELF_NATIVE_H

#include <stdint.h>

#include "frame.h"
#include "self.h"

#define SELF_INTERRUPTED	(-512l)

#pragma GCC visibility push(hidden)

extern const char self_syscall_interrupted[];
extern const char self_clone_outside_begin[], self_clone_outside_insn[];
extern const char self_clone_outside_interrupted[];
extern const char self_clone_inside_begin[], self_clone_inside_insn[];
extern const char self_safe_begin[], self_safe_end[], self_safe_faulted[];

long self_clone_outside(const struct rs_trap_frame *f);
long self_clone_inside(const struct rs_trap_frame *f);
long self_vfork(const struct rs_trap_frame *f, void (*child)(void *), void *arg);

/**
 * self_first() - @fn(@v) at the bottom of @v's native stack: how every thread begins the loop
 * The unwinder finds the program's registers in v->frame from there.
 */
void self_first(struct self_vcpu *v, void (*fn)(struct self_vcpu *)) __attribute__((noreturn));
void self_sigreturn(const struct self_sigframe *frame) __attribute__((noreturn));
/* A system call on another stack. */
long self_call_on(void *stack, long nr, long a, long b);
void self_restore_rt(void);
void self_exit(volatile int *state, int free, long code) __attribute__((noreturn));

/* 0, or -1: SIGSEGV or SIGBUS, whose details are kept by signals.c */
int self_copy(void *dst, const void *src, unsigned long n);
int self_xsave(void *area, unsigned long mask);
int self_xrstor(const void *area, unsigned long mask);
int self_fxsave(void *area);
int self_fxrstor(const void *area);
int self_touch_read(unsigned long addr);
int self_touch_write(unsigned long addr);

#pragma GCC visibility pop

#endif /* RS_SELF_NATIVE_H */
