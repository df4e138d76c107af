// SPDX-License-Identifier: MIT
/*
 * trap.c - what becomes of exceptions and interrupts
 *
 * From ring 3: a page fault is resolved; if it cannot be, it is the process's own to take or becomes
 * a signal, like all other exceptions (proc/upcall.c); a notification needs nothing here, because what it announces is looked at on every way back. From
 * ring 0: a fault at an instruction of the exception table is resolved like one of the process or
 * goes on at the fixup; anything else is a bug of ours and ends the guest.
 */
#include "kernel.h"
#include "../arch/arch_asm.h"
#include "../arch/trap.h"
#include "../host/host.h"
#include "../mm/uaccess.h"
#include "../proc/pager.h"
#include "../proc/proc.h"
#include "../lib/assert.h"
#include "../lib/signo.h"


/* An exception of ring 3 that the kernel has no answer to: the process's own business, or a signal. */
static void unresolved(struct rs_frame *f, u64 addr, enum fault_cause cause)
{
	struct fault_info *fi = &current()->fault;

	if (upcall_deliver(f, addr, cause))
		return;
	*fi = (struct fault_info){
		.vector = f->vector, .error = f->error, .addr = addr, .cause = cause,
	};
	fault_signal(f->vector, cause, &fi->sig, &fi->code);
	signal_fault(f);
}

static void unresolved_memory(struct rs_frame *f, u64 addr, enum fault_cause cause)
{
	if (likely(cause != FAULT_NO_MEMORY)) {
		unresolved(f, addr, cause);
		return;
	}
	/* No handler could run: its frame may need memory. */
	current()->fault = (struct fault_info){
		.vector = f->vector, .error = f->error, .addr = addr, .cause = cause,
		.sig = SIGKILL,
	};
	process_die(SIGKILL, &current()->fault);
}

static u32 access_of(u64 error)
{
	return error & PF_WRITE ? FAULT_WRITE : error & PF_FETCH ? FAULT_EXEC : FAULT_READ;
}

/*
 * An access of ring 3 that the CPU says was not with its rights: to its own memory there is none in
 * hardware, but QEMU before 9.1 reads the stack of an IRETQ in ring 3 so, which SMAP then forbids. It
 * is done here. Whatever else comes this way has no other end either.
 */
static noinline void iret_of_user(struct rs_frame *f, u64 addr)
{
	u64 s[5];	/* rip, cs, rflags, rsp, ss */
	u8 insn[2];

	if (copyin(insn, f->rip, sizeof(insn)) || insn[0] != 0x48 || insn[1] != 0xcf ||
	    copyin(s, f->rsp, sizeof(s)) || s[1] != USER_CS || s[4] != USER_SS ||
	    s[2] & RFLAGS_NT) {
		f->vector = VEC_GP;
		f->error = 0;
		unresolved(f, 0, FAULT_OTHER);
		return;
	}
	f->rip = s[0];
	f->rsp = s[3];
	frame_set_flags(f, s[2]);
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
		if (likely(!cause) && unlikely(!(f->error & PF_USER)))
			iret_of_user(f, addr);
		if (unlikely(cause)) {
			if (cause == FAULT_PAGER)
				cause = pager_ask(addr, access_of(f->error));
			if (cause)
				unresolved_memory(f, addr, cause);
		}
		return;
	}
	fixup = extable_fixup(f->rip);
	if (!fixup || addr >= USER_TOP || f->error & PF_FETCH || !current_mm())
		panic_frame(f, "page fault in the kernel at %#lx, error %#lx", addr, f->error);
	/* A reader without the kernel's lock; it will be done again with it. */
	if (unlikely(!sched_inside())) {
		f->rip = fixup;
		return;
	}
	rs_stats()->faults++;
	current()->faults++;
	cause = mm_fault(current_mm(), addr, access_of(f->error) | FAULT_CALL);
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
		f->vector = VEC_PF;
		f->error = PF_USER;
		unresolved(f, gva, FAULT_BEYOND_FILE);
		return;
	}
	fixup = extable_fixup(f->rip);
	if (!fixup)
		panic_frame(f, "no memory behind guest physical %#lx (address %#lx)", gpa, gva);
	f->rip = fixup;
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
	case VEC_DB:
	case VEC_BP:
	case VEC_UD:
	case VEC_MF:
	case VEC_XM:
	case VEC_AC:
		unresolved(f, f->rip, FAULT_OTHER);
		break;
	default:
		unresolved(f, 0, FAULT_OTHER);
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
	unresolved(f, f->rip, FAULT_OTHER);
	sched_leave();
}
