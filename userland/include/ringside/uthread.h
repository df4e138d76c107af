/* SPDX-License-Identifier: MIT */
/*
 * ringside/uthread.h - user threads and coroutines
 *
 * Threads of a program's own making: a stack each, and a switch between two of them is a function
 * call of some 30 instructions that no kernel hears of. They work in a ring and outside of one, in
 * the program's first thread and in any other: a user thread lives in the kernel thread that has
 * made it, and only those of the same kernel thread switch to each other. What that kernel thread
 * was before is a user thread as well, its main one.
 *
 * A user thread runs, is ready (in a queue, in the order in which it became so), is suspended (it
 * runs again when somebody switches to it or makes it ready), waits for the end of another one, or
 * has ended. There are two ways to use them, and they mix:
 *
 *	threads		rs_uthread_create(), rs_uthread_yield(), rs_uthread_join()
 *	coroutines	rs_uthread_create() with RS_UTHREAD_SUSPENDED, rs_uthread_switch() to a
 *			given one and with a value
 *
 * A switch keeps what a function call keeps by the ABI: rbx, rbp, rsp, r12 to r15, the control
 * bits of mxcsr and the x87 control word. It leaves alone what belongs to the kernel thread:
 * errno, thread-local variables, the signal mask. The end of a kernel thread is not the end of
 * what lives in it: join them before.
 *
 * None of these functions may be called in a signal handler or on a trap stack, rs_uthread_tick()
 * excepted. Results: 0, or a negative errno.
 */
#ifndef RINGSIDE_UTHREAD_H
#define RINGSIDE_UTHREAD_H

#include <stddef.h>
#include <ringside/app.h>

#ifdef __cplusplus
extern "C" {
#endif

struct rs_uthread;

#define RS_UTHREAD_SUSPENDED	1u	/* not ready at first */
#define RS_UTHREAD_STACK_MIN	4096
#define RS_UTHREAD_STACK	(64 << 10)	/* where none is said */

/**
 * struct rs_uthread_attr - how a user thread is made; all 0 is right
 * @stack: lowest address of the caller's memory for it, which stays the caller's and is free again
 * after the join; NULL: memory of its own, with a guard page below it
 * @size:  of the stack, RS_UTHREAD_STACK_MIN or more; 0 without @stack: RS_UTHREAD_STACK
 * @flags: RS_UTHREAD_*
 */
struct rs_uthread_attr {
	void *stack;
	size_t size;
	unsigned int flags;
};

/**
 * rs_uthread_create() - @fn(@arg) in a user thread of its own, ready to run
 * Its result is that of the thread, which begins with the floating-point control words of the
 * caller. To be joined, or it stays for ever. @a may be NULL. -EINVAL, -ENOMEM
 */
int rs_uthread_create(struct rs_uthread **u, void *(*fn)(void *arg), void *arg,
		      const struct rs_uthread_attr *a);
/** rs_uthread_self() - the one that runs */
struct rs_uthread *rs_uthread_self(void);
/**
 * rs_uthread_yield() - becomes the last that is ready, and the first of them goes on
 * Without others that is the caller, at once.
 */
void rs_uthread_yield(void);
/**
 * rs_uthread_switch() - suspends the caller and goes on with @to, for which @value is
 * (rs_uthread_value()); 0 when it is the caller's turn again
 * -EINVAL: @to has ended, waits for the end of another, or belongs to another kernel thread. To
 * itself: just the value.
 */
int rs_uthread_switch(struct rs_uthread *to, void *value);
/** rs_uthread_value() - what the last rs_uthread_switch() to the caller has handed over, or NULL */
void *rs_uthread_value(void);
/**
 * rs_uthread_ready() - @u, if it is suspended, becomes the last that is ready
 * -EINVAL: it runs, waits or has ended.
 */
int rs_uthread_ready(struct rs_uthread *u);
/**
 * rs_uthread_exit() - the end of the caller, with @result, as by returning from its function
 * Who goes on: @to, as by a switch to it with @result; when it is NULL whoever waits for this end,
 * otherwise the first that is ready, otherwise the main one. Comes back only with -EINVAL: the
 * caller is the main one, or @to cannot be switched to.
 */
int rs_uthread_exit(struct rs_uthread *to, void *result);
/**
 * rs_uthread_join() - waits for the end of @u, frees it, and gives its result in *@result
 * @result may be NULL. -EINVAL: the caller itself, the main one, of another kernel thread, somebody
 * waits for it already. -EDEADLK: it has not ended, and nobody is left who is ready; @u is as it
 * was.
 */
int rs_uthread_join(struct rs_uthread *u, void **result);

/*
 * Preemption, in a ring that has RS_APP_ALARM: each time the kernel thread has used so much CPU
 * time its current user thread yields, at whatever instruction it is. All registers come back to
 * it, and errno.
 *
 *	rs_trap_stack_alloc(16 << 10);
 *	rs_trap_handle(RS_VECTOR_ALARM, rs_uthread_tick, RS_TRAP_GENERAL_REGS);
 *	rs_alarm(10000);
 *
 * It is then with user threads as with signal handlers: what is not reentrant (malloc, stdio) must
 * not be left in the middle for another to enter. Between rs_uthread_hold() and
 * rs_uthread_release() the caller is not preempted. A stack has to have room for
 * rs_trap_stack_need() bytes more. Signal handlers are preempted like all else, so there should be
 * none on an alternate stack: another user thread's would be put over it.
 */

/**
 * rs_uthread_tick() - a handler of traps: the interrupted user thread yields
 * Unless it is in one of these functions, or held: then this time it goes on.
 */
int rs_uthread_tick(struct rs_trap_frame *f);
/** rs_uthread_hold(), rs_uthread_release() - the caller is not preempted; they nest */
void rs_uthread_hold(void);
void rs_uthread_release(void);

#ifdef __cplusplus
}
#endif

#endif /* RINGSIDE_UTHREAD_H */
