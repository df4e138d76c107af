// SPDX-License-Identifier: MIT
/*
 * panic.c - the last words of the guest kernel
 *
 * Registers where there are any, then the stack by frame pointers, with names. Uses nothing that
 * may be broken: no allocator, no locks; the text is built in static memory. A second panic says
 * only so.
 */
#include "kernel.h"
#include "../host/host.h"
#include "../lib/assert.h"
#include "../lib/signo.h"
#include "../lib/string.h"
#include "../proc/proc.h"

#define MAX_FRAMES	24

/*
 * The symbol table that the second link adds (Makefile): count, then pairs (offset from
 * rs_text_start, offset of the name in the strings behind the table), sorted.
 */
struct ksym {
	u32 addr, name;
};
extern const u32 rs_ksym_count;
extern const struct ksym rs_ksyms[];
extern const char rs_ksym_names[];
extern const char rs_text_start[], rs_text_end[];

const char *ksym_find(u64 addr, u64 *delta)
{
	u64 off = addr - (u64)rs_text_start;
	u32 lo = 0, hi = rs_ksym_count;

	if (addr < (u64)rs_text_start || addr >= (u64)rs_text_end)
		return NULL;
	while (lo < hi) {
		u32 mid = (lo + hi) / 2;

		if (rs_ksyms[mid].addr <= off)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (!lo)
		return NULL;
	*delta = off - rs_ksyms[lo - 1].addr;
	return rs_ksym_names + rs_ksyms[lo - 1].name;
}

static char text[8192];
static struct textbuf out = TEXTBUF(text);

static void put_code(u64 addr)
{
	u64 delta;
	const char *name = ksym_find(addr, &delta);

	if (name)
		text_printf(&out, "  %#lx %s+%#lx\n", addr, name, delta);
	else
		text_printf(&out, "  %#lx\n", addr);
}

/* Frame pointers are followed within one kernel stack only. */
static void put_stack(u64 fp)
{
	u64 base = fp & ~(u64)(KSTACK_SIZE - 1);
	int n;

	for (n = 0; n < MAX_FRAMES; n++) {
		u64 next;

		if (!fp || fp % 8 || fp < base + sizeof(struct kstack) ||
		    fp > base + KSTACK_SIZE - 16)
			return;
		if (!((u64 *)fp)[1])
			return;
		put_code(((u64 *)fp)[1]);
		next = ((u64 *)fp)[0];
		if (next <= fp)
			return;
		fp = next;
	}
}

static void put_frame(const struct rs_frame *f)
{
	text_printf(&out, "vector %lu error %#lx cs %#lx rip %016lx rsp %016lx flags %#lx\n",
		    f->vector, f->error, f->cs, f->rip, f->rsp,
		    f->rflags);
	text_printf(&out, "rax %016lx rbx %016lx rcx %016lx rdx %016lx\n", f->rax, f->rbx, f->rcx,
		    f->rdx);
	text_printf(&out, "rsi %016lx rdi %016lx rbp %016lx r8  %016lx\n", f->rsi, f->rdi, f->rbp,
		    f->r8);
	text_printf(&out, "r9  %016lx r10 %016lx r11 %016lx r12 %016lx\n", f->r9, f->r10, f->r11,
		    f->r12);
	text_printf(&out, "r13 %016lx r14 %016lx r15 %016lx cr2 %016lx cr3 %016lx\n", f->r13,
		    f->r14, f->r15, read_cr2(), read_cr3());
}

static void __noreturn finish(const struct rs_frame *f, u64 fp)
{
	const struct kstack *k = this_kstack();

	if (k->magic != KSTACK_MAGIC)
		text_printf(&out, "the kernel stack at %p has overflowed\n", (const void *)k);
	if (f) {
		put_frame(f);
		text_printf(&out, "backtrace:\n");
		put_code(f->rip);
		if (!frame_from_user(f))
			put_stack(f->rbp);
	} else {
		text_printf(&out, "backtrace:\n");
		put_stack(fp);
	}
	console_write(RS_CONSOLE_PANIC, out.buf, out.len);
	host_exit(SIGABRT, 0);
}

static void begin(const char *fmt, va_list ap)
{
	static bool panicking;
	size_t n;

	if (panicking) {
		static const char again[] = "guest kernel: panic within a panic\n";

		console_write(RS_CONSOLE_PANIC, again, sizeof(again) - 1);
		host_exit(SIGABRT, 0);
	}
	panicking = true;
	text_printf(&out, "guest kernel panic: ");
	n = rs_vsnprintf(out.buf + out.len, out.size - out.len, fmt, ap);
	out.len += min(n, out.size - out.len - 1);
	text_putc(&out, '\n');
}

void rs_panic(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	begin(fmt, ap);
	va_end(ap);
	finish(NULL, (u64)__builtin_frame_address(0));
}

void panic_frame(const struct rs_frame *f, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	begin(fmt, ap);
	va_end(ap);
	finish(f, 0);
}
