// SPDX-License-Identifier: MIT
/*
 * trap.c - what becomes of exceptions and interrupts
 *
 * From ring 3: a page fault is resolved or becomes a signal; other exceptions become signals; a
 * notification needs nothing here, because what it announces is looked at on every way back. From
 * ring 0: a fault at an instruction of the exception table is resolved like one of the process or
 * goes on at the fixup; anything else is a bug of ours and ends the guest.
 */
#include "kernel.h"
#include "../arch/arch_asm.h"
#include "../arch/trap.h"
#include "../host/host.h"
#include "../mm/uaccess.h"
#include "../proc/proc.h"
#include "../lib/assert.h"

#define SIGILL		4
#define SIGTRAP		5
#define SIGBUS		7
#define SIGFPE		8
#define SIGKILL		9
#define SIGSEGV		11

#define CODE_KERNEL	0x80	/* SI_KERNEL */
#define SEGV_MAPERR	1
#define SEGV_ACCERR	2
#define BUS_ADRALN	1
#define BUS_ADRERR	2
#define ILL_ILLOPN	2
#define TRAP_TRACE	2
#define FPE_INTDIV	1

static void force_signal(struct rs_frame *f, int sig, int code, u64 addr, enum fault_cause cause)
{
	current()->fault = (struct fault_info){
		.vector = f->vector, .error = f->error, .addr = addr, .cause = cause, .sig = sig,
		.code = code,
	};
	signal_fault(f);
}

static void memory_signal(struct rs_frame *f, u64 addr, enum fault_cause cause)
{
	switch (cause) {
	case FAULT_BEYOND_FILE:
		force_signal(f, SIGBUS, BUS_ADRERR, addr, cause);
		break;
	case FAULT_NO_MEMORY:
		/* No handler could run: its frame may need memory. */
		current()->fault = (struct fault_info){
			.vector = f->vector, .error = f->error, .addr = addr, .cause = cause,
			.sig = SIGKILL,
		};
		process_die(SIGKILL, &current()->fault);
	case FAULT_READ_DENIED:
	case FAULT_WRITE_DENIED:
	case FAULT_EXEC_DENIED:
	case FAULT_GUARD:
		force_signal(f, SIGSEGV, SEGV_ACCERR, addr, cause);
		break;
	default:
		force_signal(f, SIGSEGV, SEGV_MAPERR, addr, cause);
	}
}

static u32 access_of(u64 error)
{
	return error & PF_WRITE ? FAULT_WRITE : error & PF_FETCH ? FAULT_EXEC : FAULT_READ;
}

static void page_fault(struct rs_frame *f)
{
	u64 addr = read_cr2(), fixup;
	enum fault_cause cause;

	if (unlikely(f->error & PF_RSVD))
		panic_frame(f, "page table entry with reserved bits at %#lx", addr);
	if (likely(frame_from_user(f))) {
		rs_stats()->faults++;
		current()->faults++;
		cause = mm_fault(current_mm(), addr, access_of(f->error));
		if (unlikely(cause))
			memory_signal(f, addr, cause);
		return;
	}
	fixup = extable_fixup(f->rip);
	if (!fixup || addr >= USER_TOP || f->error & PF_FETCH || !current_mm())
		panic_frame(f, "page fault in the kernel at %#lx, error %#lx", addr, f->error);
	rs_stats()->faults++;
	current()->faults++;
	cause = mm_fault(current_mm(), addr, access_of(f->error));
	if (!cause)
		return;
	f->rip = fixup;
	if (cause == FAULT_NO_MEMORY) {
		current()->no_memory = true;
		current()->work |= THREAD_WORK_SIGNAL;
	}
}

/*
 * Address of the process for a GPA of the file window, for CPUs that do not tell the address
 * accessed. A file may be mapped at several: one whose page is present, where the access has been.
 */
static u64 window_to_user(struct mm *mm, u64 gpa)
{
	struct vma *v;

	list_for_each(v, &mm->vma_list, list) {
		u64 off, at;
		pte_t *slot;

		if (!v->file || gpa < v->file->gpa + v->file_off)
			continue;
		off = gpa - (v->file->gpa + v->file_off);
		if (off >= v->end - v->start)
			continue;
		at = v->start + off;
		slot = pgtable_lookup(&mm->pt, at, NULL);
		if (slot && *slot & PTE_P && (*slot & PTE_ADDR) == (gpa & PAGE_MASK))
			return at;
	}
	return 0;
}

/* Linux could not give the guest the memory behind a GPA: the end of a file, mostly. */
static void nested_fault(struct rs_frame *f)
{
	u64 gpa = rs_hypercall(RS_HC_FAULT_INFO, 0, 0, 0, 0),
		  gva = rs_hypercall(RS_HC_FAULT_INFO, 1, 0, 0, 0);
	u64 fixup;

	if (frame_from_user(f)) {
		if (!gva)
			gva = window_to_user(current_mm(), gpa);
		memory_signal(f, gva, FAULT_BEYOND_FILE);
		return;
	}
	fixup = extable_fixup(f->rip);
	if (!fixup)
		panic_frame(f, "no memory behind guest physical %#lx (address %#lx)", gpa, gva);
	f->rip = fixup;
}

/* What the x87 or SSE exception flags say: FPE_FLTINV, FLTDIV, FLTOVF, FLTUND, FLTRES. */
static int fpe_code(u32 vector)
{
	u32 mxcsr, flags;
	u16 sw, cw;

	if (vector == VEC_XM) {
		asm volatile("stmxcsr %0" : "=m"(mxcsr));
		flags = mxcsr & ~(mxcsr >> 7);
	} else {
		asm volatile("fnstsw %0; fnstcw %1" : "=m"(sw), "=m"(cw));
		flags = sw & ~cw;
	}
	if (flags & 1)
		return 7;
	if (flags & 4)
		return 3;
	if (flags & 8)
		return 4;
	return flags & 0x12 ? 5 : 6;
}

static void exception(struct rs_frame *f)
{
	u64 fixup;

	if (!frame_from_user(f)) {
		/*
		 * #GP at a user access: a non-canonical address got past a check, which is still
		 * EFAULT.
		 */
		fixup = f->vector == VEC_GP || f->vector == VEC_SS ? extable_fixup(f->rip) : 0;
		if (!fixup)
			panic_frame(f, "unexpected trap");
		f->rip = fixup;
		return;
	}
	switch (f->vector) {
	case VEC_DE:
		force_signal(f, SIGFPE, FPE_INTDIV, f->rip, FAULT_OTHER);
		break;
	case VEC_DB:
		force_signal(f, SIGTRAP, TRAP_TRACE, f->rip, FAULT_OTHER);
		break;
	case VEC_BP:
		force_signal(f, SIGTRAP, CODE_KERNEL, f->rip, FAULT_OTHER);
		break;
	case VEC_UD:
		force_signal(f, SIGILL, ILL_ILLOPN, f->rip, FAULT_OTHER);
		break;
	case VEC_MF:
	case VEC_XM:
		force_signal(f, SIGFPE, fpe_code(f->vector), f->rip, FAULT_OTHER);
		break;
	case VEC_AC:
		force_signal(f, SIGBUS, BUS_ADRALN, f->rip, FAULT_OTHER);
		break;
	case VEC_SS:
	case VEC_NP:
		force_signal(f, SIGBUS, CODE_KERNEL, 0, FAULT_OTHER);
		break;
	default:
		force_signal(f, SIGSEGV, CODE_KERNEL, 0, FAULT_OTHER);
	}
}

static void trap(struct rs_frame *f)
{
	if (likely(f->vector == VEC_PF)) {
		page_fault(f);
		return;
	}
	switch (f->vector) {
	case RS_VECTOR_NOTIFY:
	case VEC_NMI:
		break;
	case RS_VECTOR_NESTED_FAULT:
		nested_fault(f);
		break;
	case VEC_DF:
	case VEC_MC:
		panic_frame(f, f->vector == VEC_DF ? "double fault" : "machine check");
	default:
		if (f->vector >= 32 && frame_from_user(f))
			break;	/* an interrupt nobody asked for */
		exception(f);
	}
}

void rs_trap(struct rs_frame *f)
{
	bool user = frame_from_user(f);

	if (user)
		sched_enter();
	trap(f);
	if (user)
		sched_leave();
}

void rs_bad_rip(struct rs_frame *f)
{
	sched_enter();
	f->vector = VEC_GP;
	f->error = 0;
	force_signal(f, SIGSEGV, CODE_KERNEL, f->rip, FAULT_OTHER);
	sched_leave();
}
