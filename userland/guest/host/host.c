// SPDX-License-Identifier: MIT
/*
 * host.c - hypercalls, requests to the host process, the console
 *
 * The hypercall instruction is assembled as VMMCALL; the host process finds its addresses in
 * .rs_hypercall_sites and writes there the one this machine has.
 */
#include "host.h"
#include "../lib/assert.h"
#include "../lib/string.h"

struct rs_boot *rs_boot;

long rs_hypercall(u64 nr, u64 a0, u64 a1, u64 a2, u64 a3)
{
	register u64 r10 asm("r10") = a3;
	long ret;

	asm volatile(HYPERCALL_INSN
		     : "=a"(ret)
		     : "a"(nr), "D"(a0), "S"(a1), "d"(a2), "r"(r10)
		     : "memory");
	return ret;
}

long host_call(u64 nr, u64 a0, u64 a1, u64 a2, u64 a3, u64 a4, u64 a5)
{
	struct rs_call *c = host_call_begin();

	c->nr = nr;
	c->args[0] = a0;
	c->args[1] = a1;
	c->args[2] = a2;
	c->args[3] = a3;
	c->args[4] = a4;
	c->args[5] = a5;
	return host_call_go(c);
}

void console_write(int kind, const char *text, size_t len)
{
	if (len)
		host_call3(RS_CALL_CONSOLE, gpa_of(text), len, kind);
}

static void console_vprintf(int kind, const char *fmt, va_list ap)
{
	char buf[1024];
	int n = rs_vsnprintf(buf, sizeof(buf), fmt, ap);

	console_write(kind, buf, min((size_t)n, sizeof(buf) - 1));
}

void rs_printf(const char *fmt, ...)
{
	va_list ap;

	if (!(rs_boot->flags & RS_BOOT_VERBOSE))
		return;
	va_start(ap, fmt);
	console_vprintf(RS_CONSOLE_LOG, fmt, ap);
	va_end(ap);
}

void rs_report(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	console_vprintf(RS_CONSOLE_REPORT, fmt, ap);
	va_end(ap);
}

void rs_report_text(int kind, const struct textbuf *t)
{
	console_write(kind, t->buf, t->len);
}

void host_exit(int wait_status, int error)
{
	for (;;)
		host_call2(RS_CALL_EXIT, wait_status, error);
}

void host_explain(int nr, int error, const char *path)
{
	if (rs_boot->flags & RS_BOOT_EXPLAIN)
		host_call3(RS_CALL_EXPLAIN, nr, error, path ? gpa_of(path) : 0);
}
