// SPDX-License-Identifier: MIT
/*
 * What the guest asks of the host process itself (RS_CALL_*), and how a sandbox ends.
 *
 * Everything here runs behind rs_slow() (or before the first RS_RUN), so libc is allowed. The first
 * rs_end() decides how the sandbox ended; the run loop sees sb->finished before it enters the guest
 * again.
 */
#define _GNU_SOURCE
#include <asm/unistd.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "events.h"
#include "explain.h"
#include "raw.h"
#include "threads.h"

#define CONSOLE_MAX	(64ul << 10)	/* bytes of one RS_CALL_CONSOLE */

/* Write it all; gives up when nobody takes it or when a signal must be served first. */
static void write_text(int fd, const char *text, size_t len)
{
	int patience = 100;

	while (len) {
		long n = rs_raw3(__NR_write, fd, (long)text, len);

		if (n == -EINTR && patience--)
			continue;
		if (n <= 0)
			return;
		text += n;
		len -= n;
	}
}

void rs_say(const struct rs_sandbox *sb, const char *fmt, ...)
{
	char line[5120];
	size_t len = 10;
	va_list ap;
	int n;

	memcpy(line, "ringside: ", 10);
	va_start(ap, fmt);
	n = vsnprintf(line + len, sizeof(line) - len - 1, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	len += (size_t)n < sizeof(line) - len - 1 ? (size_t)n : sizeof(line) - len - 2;
	line[len++] = '\n';
	write_text(sb->message_fd, line, len);
}

void rs_end(struct rs_sandbox *sb, int how, int status, const char *fmt, ...)
{
	va_list ap;

	if (__atomic_exchange_n(&sb->ending, 1, __ATOMIC_SEQ_CST))
		return;
	sb->status = status;
	sb->error[0] = 0;
	if (fmt) {
		va_start(ap, fmt);
		vsnprintf(sb->error, sizeof(sb->error), fmt, ap);
		va_end(ap);
	}
	/* With it the rest is decided, for the other vCPUs' threads too. */
	__atomic_store_n(&sb->finished, how, __ATOMIC_SEQ_CST);
}

long rs_sleep(struct rs_caller *by, uint64_t timeout_ns)
{
	struct timespec ts, *wait = NULL;
	long args[6] = { 0 };

	if (timeout_ns != ~0ull) {
		ts.tv_sec = timeout_ns / 1000000000;
		ts.tv_nsec = timeout_ns % 1000000000;
		wait = &ts;
	}
	args[2] = (long)wait;
	for (;;) {
		/* The kernel leaves what remains of the timeout in @ts. */
		long ret = rs_host_call(__NR_ppoll, args, by->pending);

		if (ret == 0)
			return -ETIME;
		if (RS_READ_ONCE(*by->pending) || by->sb->force_signal ||
		    by->sb->finished)
			return 0;
		if (ret != -EINTR)
			return ret;
	}
}

/*
 * RS_CALL_EXIT: a wait status, and why the first program could not be executed, if that is what
 * happened.
 */
static long request_exit(struct rs_sandbox *sb, uint64_t wait_status, int64_t error)
{
	int status = (int)wait_status;

	if (error < 0 && error > -4096) {
		rs_end(sb, 2,
		       error == -ENOENT || error == -ENOTDIR ? RS_STATUS_NOTFOUND
							     : RS_STATUS_NOEXEC,
		       "cannot execute %s: %s", sb->program, strerror(-(int)error));
		return 0;
	}
	if (WIFSIGNALED(status))
		rs_end(sb, 1, 128 + WTERMSIG(status), NULL);
	else
		rs_end(sb, 1, WEXITSTATUS(status), NULL);
	return 0;
}

static long request_console(struct rs_sandbox *sb, uint64_t gpa, uint64_t len, uint64_t kind)
{
	char buf[1024];
	const char *text;

	if (kind > RS_CONSOLE_PANIC)
		return -EINVAL;
	if (len > CONSOLE_MAX)
		return -EINVAL;
	text = rs_gpa(&sb->mem, gpa, len);
	if (!gpa || !text)
		return -EFAULT;
	if (kind == RS_CONSOLE_LOG && !sb->verbose)
		return 0;
	while (len) {
		size_t n = len < sizeof(buf) ? len : sizeof(buf);

		if (rs_copy_from_guest(buf, text, n))
			return -EFAULT;
		write_text(sb->message_fd, buf, n);
		text += n;
		len -= n;
	}
	return 0;
}

/* A path that the guest could open is one it may know. */
static long request_name(struct rs_sandbox *sb, int fd, uint64_t gpa)
{
	void *to = rs_gpa(&sb->mem, gpa, RS_PATH_MAX);
	char path[RS_PATH_MAX];
	size_t len;
	long ret;

	if (!gpa || !to)
		return -EFAULT;
	ret = rs_path_of(sb, fd, path);
	if (ret)
		return ret;
	if (path[0] != '/' || !rs_root_for(sb, path, RS_ROOT_READ))
		return -EACCES;
	len = strlen(path);
	ret = rs_copy_to_guest(to, path, len + 1);
	return ret ? ret : (long)len;
}

long rs_request_slow(void *arg)
{
	struct rs_slow_call *s = arg;
	struct rs_sandbox *sb = s->by->sb;

	switch (s->nr) {
	case RS_CALL_EXIT:
		return request_exit(sb, s->in[0], s->in[1]);
	case RS_CALL_CONSOLE:
		return request_console(sb, s->in[0], s->in[1], s->in[2]);
	case RS_CALL_FILE_NAME:
		return request_name(sb, (int)s->in[0], s->in[1]);
	case RS_CALL_STOP:
		return rs_signals_stop(s->in[0] < 65 ? (int)s->in[0] : 0);
	case RS_CALL_EXPLAIN:
		rs_explain_guest(sb, s->in[0], s->in[1], s->in[2]);
		return 0;
	case RS_CALL_IDLE:
		return rs_sleep(s->by, s->in[0]);
	case RS_CALL_SUBMIT:
		return rs_helper_submit(sb, s->in[0]);
	case RS_CALL_CANCEL:
		return rs_helper_cancel(sb, s->in[0]);
	case RS_CALL_TIMER:
		return rs_clock_timer(sb, s->in[0]);
	case RS_CALL_TICK:
		return rs_clock_tick(sb);
	case RS_CALL_START_CPU:
		return rs_vcpu_start(sb, s->in[0]);
	case RS_CALL_KICK:
		return rs_vcpu_kick(sb, s->in[0]);
	}
	return -ENOSYS;
}

static void describe(struct rs_vcpu *v, char *buf, size_t size)
{
	struct rs_vcpu_state st;

	buf[0] = 0;
	if (v->caller.sb->engine.ops->get_state(&v->engine, &st))
		return;
	snprintf(buf, size, "; rip %#llx rsp %#llx cr2 %#llx cr3 %#llx rflags %#llx ring %u",
		 (unsigned long long)st.rip, (unsigned long long)st.rsp, (unsigned long long)st.cr2,
		 (unsigned long long)st.cr3, (unsigned long long)st.rflags, st.cpl);
}

/*
 * A guest that has to be ended is not the program's doing; 134 is what a program that aborts has.
 */
#define STATUS_GUEST_BROKE	(128 + SIGABRT)

/* As if it had been killed, which is what somebody wanted. */
static void vm_ended(struct rs_sandbox *sb, const struct rs_run *run)
{
	unsigned long long limit = run->ended.limit;

	switch (run->ended.reason) {
	case RS_END_LIMIT_CPU_TIME:
		rs_end(sb, 2, 128 + SIGKILL, "the VM was ended: its limit of %llu.%03llu s of CPU time was reached",
		       limit / 1000000000, limit / 1000000 % 1000);
		break;
	case RS_END_LIMIT_EXITS:
		rs_end(sb, 2, 128 + SIGKILL, "the VM was ended: its limit of %llu exits was reached", limit);
		break;
	case RS_END_LIMIT_VCPUS:
		rs_end(sb, 2, 128 + SIGKILL, "the VM was ended: its limit of %llu vCPUs was reached", limit);
		break;
	default:
		rs_end(sb, 2, 128 + SIGKILL, "the VM was ended from outside (ringside kill)");
	}
}

long rs_exit_slow(void *arg)
{
	struct rs_vcpu *v = arg;
	struct rs_sandbox *sb = v->caller.sb;
	struct rs_run *run = v->engine.run;
	char state[256];

	if (sb->force_signal) {
		rs_end(sb, 2, 128 + sb->force_signal, "the guest did not react to signal %d; ended",
		       sb->force_signal);
		return 0;
	}
	if (v->run_result == -ESHUTDOWN) {
		rs_end(sb, 2, 128 + SIGTERM, "the machine is shutting down");
		return 0;
	}
	if (v->run_result) {
		rs_end(sb, 2, STATUS_GUEST_BROKE, "running the guest failed: %s",
		       strerror(-v->run_result));
		return 0;
	}
	switch (run->exit_reason) {
	case RS_EXIT_HYPERCALL:
		if (run->hypercall.nr == RS_HC_TRACE && sb->trace_gpa) {
			rs_events_take(v);
			run->hypercall.ret = 0;
			return 0;
		}
		run->hypercall.ret = (uint64_t)RS_HC_ENOSYS;
		return 0;
	case RS_EXIT_KICK:
		return 0;
	case RS_EXIT_HLT:
		rs_sleep(&v->caller, ~0ull);
		return 0;
	case RS_EXIT_ENDED:
		vm_ended(sb, run);
		return 0;
	}
	describe(v, state, sizeof(state));
	switch (run->exit_reason) {
	case RS_EXIT_MEMORY_FAULT:
	case RS_EXIT_MMIO:
		rs_end(sb, 2, STATUS_GUEST_BROKE,
		       "the guest's access (%s%s%s%s) to guest physical address %#llx failed: %s%s",
		       run->fault.access & RS_FAULT_WRITE   ? "write"
		       : run->fault.access & RS_FAULT_FETCH ? "fetch"
							    : "read",
		       run->fault.access & RS_FAULT_WALK ? ", page-table walk" : "",
		       run->fault.access & RS_FAULT_NO_REGION ? ", no memory there" : "",
		       run->fault.access & RS_FAULT_DELIVERY ? ", while an event was delivered"
							     : "",
		       (unsigned long long)run->fault.gpa, strerror(-run->fault.error), state);
		break;
	case RS_EXIT_SHUTDOWN:
		rs_end(sb, 2, STATUS_GUEST_BROKE, "the guest kernel crashed (triple fault)%s",
		       state);
		break;
	case RS_EXIT_FAIL_ENTRY:
	case RS_EXIT_UNHANDLED:
		rs_end(sb, 2, STATUS_GUEST_BROKE, "%s (reason %#llx, info %#llx %#llx)%s",
		       run->exit_reason == RS_EXIT_FAIL_ENTRY
			       ? "the CPU refused the guest's state"
			       : "the guest did what no guest should",
		       (unsigned long long)run->hw.reason, (unsigned long long)run->hw.info1,
		       (unsigned long long)run->hw.info2, state);
		break;
	default:
		rs_end(sb, 2, STATUS_GUEST_BROKE, "the module gives an unknown exit reason %u",
		       run->exit_reason);
	}
	return 0;
}
