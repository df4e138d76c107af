// SPDX-License-Identifier: MIT
/*
 * Threads and processes made inside: not here yet, they answer ENOSYS. exit and exec are Linux's.
 */
#include <errno.h>

#include "raw.h"
#include "self.h"

void self_thread_begin(struct self_vcpu *v) __attribute__((noreturn, visibility("hidden")));
void self_thread_begin(struct self_vcpu *v)
{
	self_loop(v);
}

int self_threads_call(struct self_vcpu *v, enum self_next *next)
{
	switch (v->frame.rax) {
	case __NR_exit:
	case __NR_exit_group:
	case __NR_execve:
	case __NR_execveat:
		return 0;
	}
	v->frame.rax = -ENOSYS;
	*next = SELF_CALL;
	return 1;
}
