// SPDX-License-Identifier: MIT
/*
 * trap.c - exceptions as function calls
 *
 * The process has one upcall (upcall.S), which calls a handler by the vector. The kernel is told a vector
 * when it gets a handler and after the handler is in the table, so that the upcall finds it; and that it has
 * none any more before it is taken out. What was under way meanwhile finds NULL and declines.
 */
#include <cpuid.h>
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>
#include <ringside/app.h>
#include "internal.h"

/** struct handler - of a vector; upcall.S looks here */
struct handler {
	rs_trap_fn fn;
	uint32_t flags, reserved;
};

HIDDEN void rs_app_upcall(void);
HIDDEN void rs_app_upcall_fxsave(void);
HIDDEN void rs_app_upcall_call(void);
HIDDEN void rs_app_upcall_fxsave_call(void);
HIDDEN struct handler rs_app_handlers[RS_VECTOR_ALARM + 1];
HIDDEN uint64_t rs_app_xsave_size;	/* of the area below a frame, a multiple of 64 */
static void (*upcall)(void);	/* that of the two this CPU can execute */
static void (*upcall_call)(void);	/* and its second entry */
static uint64_t vectors;	/* that have a handler */

/* Before the program's handler of page faults; then that is not in the table but here. */
static rs_trap_fn fault_first, fault_next;
HIDDEN __thread struct rs_app_stack rs_app_stack __attribute__((tls_model("initial-exec")));
#define VEC_PF	14

_Static_assert(offsetof(struct rs_trap_frame, r15) == TF_REGS &&
	       offsetof(struct rs_trap_frame, rdi) == TF_RDI &&
	       offsetof(struct rs_trap_frame, vector) == TF_VECTOR &&
	       offsetof(struct rs_trap_frame, rbx) == TF_RBX &&
	       offsetof(struct rs_trap_frame, rip) == TF_RIP &&
	       offsetof(struct rs_trap_frame, cs) == TF_CS &&
	       offsetof(struct rs_trap_frame, rflags) == TF_RFLAGS &&
	       offsetof(struct rs_trap_frame, rsp) == TF_RSP &&
	       sizeof(struct rs_trap_frame) == TF_SIZE, "upcall.S counts on it");
_Static_assert(sizeof(struct handler) == 1u << HANDLER_SHIFT, "found by a shift");

#define HANDLER_FRAME	256	/* what a function may call its own at the least */

static void measure(void)
{
	unsigned int a, b, c, d;
	uint64_t size = 512;

	if (rs_app_xsave_size)
		return;
	upcall = rs_app_upcall_fxsave;
	upcall_call = rs_app_upcall_fxsave_call;
	/* OSXSAVE, then the size of what XCR0 enables */
	if (__get_cpuid(1, &a, &b, &c, &d) && c & 1u << 27 && __get_cpuid_count(13, 0, &a, &b, &c, &d)) {
		size = b;
		upcall = rs_app_upcall;
		upcall_call = rs_app_upcall_call;
	}
	rs_app_xsave_size = (size + 63) & ~63ull;
}

/* Page faults are always among them: one may come from the upcall's own way back. Without a handler they are declined. */
static int tell(uint64_t set)
{
	if (set)
		set |= 1u << VEC_PF;
	return (int)rs_app_call(RS_SYS_UPCALL, (long)upcall, (long)set,
				(long)(rs_app_xsave_size + HANDLER_FRAME), 0);
}

static int install(unsigned int vector, rs_trap_fn fn, unsigned int flags)
{
	uint64_t set;
	int err;

	measure();
	set = vectors & ~(1ul << vector);
	err = tell(set);
	if (err)
		return err;
	vectors = set;
	__atomic_store_n(&rs_app_handlers[vector].fn, NULL, __ATOMIC_RELEASE);
	if (!fn)
		return 0;
	__atomic_store_n(&rs_app_handlers[vector].flags, flags, __ATOMIC_RELEASE);
	__atomic_store_n(&rs_app_handlers[vector].fn, fn, __ATOMIC_RELEASE);
	err = tell(set | 1ul << vector);
	if (!err)
		vectors = set | 1ul << vector;
	return err;
}

int rs_trap_handle(unsigned int vector, rs_trap_fn fn, unsigned int flags)
{
	unsigned int feature = vector == RS_VECTOR_ALARM ? RS_APP_ALARM : RS_APP_UPCALL;

	if (!(rs_app_features() & feature))
		return -ENOSYS;
	if (vector > RS_VECTOR_ALARM || !((RS_UPCALL_VECTORS | RS_UPCALL_ALARM) >> vector & 1) ||
	    flags & ~RS_TRAP_GENERAL_REGS)
		return -EINVAL;
	if (vector == VEC_PF && fault_first) {
		__atomic_store_n(&fault_next, fn, __ATOMIC_RELEASE);
		return 0;
	}
	return install(vector, fn, flags);
}

int rs_app_fault_first(rs_trap_fn fn)
{
	int err;

	if (fault_first)
		return 0;
	fault_next = rs_app_handlers[VEC_PF].fn;
	err = install(VEC_PF, fn, 0);
	if (!err)
		fault_first = fn;
	return err;
}

int rs_app_fault_next(struct rs_trap_frame *f)
{
	rs_trap_fn fn = __atomic_load_n(&fault_next, __ATOMIC_ACQUIRE);

	return fn ? fn(f) : RS_TRAP_SIGNAL;
}

/* --- calls on the interrupted stack ---------------------------------------------------------- */

#define RED_ZONE	128
#define FLAGS_TF_DF_AC	0x40500ul
#define CS_64		0x33

/* A copy of the frame says what to call, in words that nobody needs any more. */
static int run_call(struct rs_trap_frame *s)
{
	((void (*)(void *))s->addr)((void *)s->cause);
	return RS_TRAP_RESUME;
}

/* Handlers that use no vector register may call it: nothing here is left to the C library. */
__attribute__((target("general-regs-only")))
void rs_trap_call(struct rs_trap_frame *f, void (*fn)(void *arg), void *arg)
{
	/* below the word that the copy's way back writes */
	uint64_t to = (f->rsp - RED_ZONE - 8 - sizeof(*f)) & -64ul, n = sizeof(*f) / 8;
	struct rs_trap_frame *s = (struct rs_trap_frame *)to;

	__asm__ volatile("rep movsq" : "+D"(to), "+S"((const void *){ f }), "+c"(n) : : "memory");
	s->addr = (uint64_t)fn;
	s->cause = (uint64_t)arg;
	f->rip = (uint64_t)upcall_call;
	f->cs = CS_64;
	f->rsp = f->rbx = f->rdi = (uint64_t)s;
	f->r12 = (uint64_t)run_call;
	f->rflags &= ~FLAGS_TF_DF_AC;
}

int rs_alarm(uint64_t microseconds)
{
	long ret;

	if (!(rs_app_features() & RS_APP_ALARM))
		return -ENOSYS;
	ret = rs_app_call(RS_SYS_ALARM, (long)microseconds, 0, 0, 0);
	return ret < 0 ? (int)ret : 0;
}

/* --- stacks ---------------------------------------------------------------------------------- */

int rs_trap_stack(void *base, size_t size)
{
	int err = (int)rs_app_call(RS_SYS_UPCALL_STACK, (long)base, (long)size, 0, 0);

	if (!err)
		rs_app_stack = (struct rs_app_stack){ (uint64_t)base, size };
	return err;
}

size_t rs_trap_stack_need(void)
{
	measure();
	/* red zone, alignment, frame, saved registers, return address and a little */
	return 128 + 64 + sizeof(struct rs_trap_frame) + rs_app_xsave_size + HANDLER_FRAME;
}

int rs_trap_stack_alloc(size_t size)
{
	const size_t page = 4096;
	char *p;
	int err;

	if (!(rs_app_features() & RS_APP_UPCALL))
		return -ENOSYS;
	if (size > (size_t)1 << 40)
		return -ENOMEM;
	size = (size + rs_trap_stack_need() + page - 1) & ~(page - 1);
	p = mmap(NULL, size + page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return -ENOMEM;
	if (mprotect(p + page, size, PROT_READ | PROT_WRITE)) {
		munmap(p, size + page);
		return -ENOMEM;
	}
	err = rs_trap_stack(p + page, size);
	if (err)
		munmap(p, size + page);
	return err;
}
