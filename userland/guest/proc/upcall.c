// SPDX-License-Identifier: MIT
/*
 * upcall.c - exceptions delivered to ring 3
 *
 * The kernel writes one frame and changes rip and rsp, and that is all: no state is kept about a trap
 * under way, since the process comes back from it without a call. So everything about nesting has to
 * be seen from rsp. On the trap stack: the frame goes below it and its red zone. Not on it: nothing of
 * the stack is in use, and the frame goes to the top; but for one case, a handler of a signal that has
 * come during an upcall and runs on the alternate stack. Then an upcall is under way that rsp does not
 * show. The way of a signal leads through the kernel at both ends, so there it is kept:
 * upcall_signal() remembers where the interrupted upcall was, the word it replaces goes with the
 * signal's frame and comes back with it (upcall_signal_return()). The process may write what it likes
 * into that word: it is looked at, and says only where on the process's own stack a frame goes.
 *
 * The way back is the process's own business. IRETQ in ring 3 takes what the frame has from rip on: rip,
 * rflags and rsp at once. Or the process writes rip to the word below the red zone of the interrupted
 * stack, loads the other registers, rsp last and to that word, and returns by RET, which takes the red
 * zone off as well. On the trap stack this word must not be part of the frame, so it is kept free.
 * Selectors and flags that ring 3 may not have are refused or ignored by the CPU as anywhere else.
 *
 * Whatever is wrong with upcall or stack is found when a trap comes, and ends the process: the program
 * cannot go on, and going on with a signal instead would hide why. An upcall whose first instruction
 * traps would do so for ever, down to the end of the stack; it is told by its rip.
 */
#include <linux/sched.h>
#include <ringside_app.h>
#include "alarm.h"
#include "proc.h"
#include "upcall.h"
#include "../arch/trap.h"
#include "../lib/signo.h"
#include "../mm/uaccess.h"

#define RED_ZONE	128
#define FRAME_ALIGN	64

_Static_assert(sizeof(struct rs_trap_frame) == 192 && sizeof(struct rs_trap_frame) % FRAME_ALIGN == 0,
	       "the frame ends where it is aligned");
_Static_assert(offsetof(struct rs_trap_frame, r15) == 16 &&
	       sizeof(struct rs_trap_frame) - 16 == sizeof(struct rs_frame) &&
	       offsetof(struct rs_trap_frame, rip) - 16 == offsetof(struct rs_frame, rip) &&
	       offsetof(struct rs_trap_frame, rax) - 16 == offsetof(struct rs_frame, rax),
	       "behind two words, it is the kernel's frame");
_Static_assert(RS_CAUSE_UNMAPPED == FAULT_NO_VMA && RS_CAUSE_NO_ADDRESS == FAULT_NON_CANONICAL &&
	       RS_CAUSE_GUARD == FAULT_GUARD && RS_CAUSE_STACK_LIMIT == FAULT_STACK_LIMIT &&
	       RS_CAUSE_READ == FAULT_READ_DENIED && RS_CAUSE_WRITE == FAULT_WRITE_DENIED &&
	       RS_CAUSE_EXEC == FAULT_EXEC_DENIED && RS_CAUSE_BEYOND_FILE == FAULT_BEYOND_FILE &&
	       RS_CAUSE_EXCEPTION == FAULT_OTHER && RS_CAUSE_ALARM == FAULT_ALARM,
	       "causes are the kernel's own");

#define CODE_KERNEL	0x80	/* SI_KERNEL */
#define SEGV_MAPERR	1
#define SEGV_ACCERR	2
#define BUS_ADRALN	1
#define BUS_ADRERR	2
#define ILL_ILLOPN	2
#define TRAP_TRACE	2
#define FPE_INTDIV	1

/* --- what an exception means without an upcall ------------------------------------------------ */

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

static void memory_signal(enum fault_cause cause, int *sig, int *code)
{
	*sig = cause == FAULT_BEYOND_FILE || fault_of_pager(cause) ? SIGBUS : SIGSEGV;
	switch (cause) {
	case FAULT_PAGER_ENDED:
	case FAULT_PAGER_REFUSED:
	case FAULT_PAGER_LIMIT:
	case FAULT_BEYOND_FILE:
		*code = BUS_ADRERR;
		break;
	case FAULT_READ_DENIED:
	case FAULT_WRITE_DENIED:
	case FAULT_EXEC_DENIED:
	case FAULT_GUARD:
		*code = SEGV_ACCERR;
		break;
	default:
		*code = SEGV_MAPERR;
	}
}

void fault_signal(u32 vector, enum fault_cause cause, int *sig, int *code)
{
	switch (vector) {
	case VEC_DE:
		*sig = SIGFPE;
		*code = FPE_INTDIV;
		break;
	case VEC_DB:
		*sig = SIGTRAP;
		*code = TRAP_TRACE;
		break;
	case VEC_BP:
		*sig = SIGTRAP;
		*code = CODE_KERNEL;
		break;
	case VEC_UD:
		*sig = SIGILL;
		*code = ILL_ILLOPN;
		break;
	case VEC_MF:
	case VEC_XM:
		*sig = SIGFPE;
		*code = fpe_code(vector);
		break;
	case VEC_AC:
		*sig = SIGBUS;
		*code = BUS_ADRALN;
		break;
	case VEC_SS:
	case VEC_NP:
		*sig = SIGBUS;
		*code = CODE_KERNEL;
		break;
	case VEC_PF:
		memory_signal(cause, sig, code);
		break;
	default:
		*sig = SIGSEGV;
		*code = CODE_KERNEL;
	}
}

/* --- delivery --------------------------------------------------------------------------------- */

bool upcall_place(const struct upcall_stack *s, u64 rsp, u64 room, u64 *at)
{
	u64 top;

	if (upcall_on_stack(s, rsp))
		top = rsp - RED_ZONE - 8;
	else
		top = s->used ? s->used - RED_ZONE - 8 : s->hi;
	*at = ALIGN_DOWN(top, FRAME_ALIGN) - sizeof(struct rs_trap_frame);
	/* A subtraction that wraps ends above the stack. */
	return *at - s->lo <= s->hi - s->lo && *at - s->lo >= room;
}

static noinline void __noreturn no_upcall(const struct rs_frame *f, u64 addr,
					  enum fault_cause cause, enum fault_cause why, u64 where)
{
	struct fault_info *fi = &current()->fault;
	int sig = why == FAULT_NO_MEMORY ? SIGKILL : SIGSEGV;

	*fi = (struct fault_info){
		.vector = f->vector, .error = f->error, .addr = where, .cause = why,
		.sig = sig, .code = CODE_KERNEL, .trap_cause = cause, .trap_addr = addr,
	};
	process_die(sig, fi);
}

static void enter(struct rs_frame *f, u64 entry, u64 at)
{
	f->rip = entry;
	f->rsp = at;
	/* SS is always USER_SS: ring 3 has no other */
	f->cs = USER_CS;
	f->rflags &= ~(RFLAGS_DF | RFLAGS_TF | RFLAGS_RF | RFLAGS_AC);
}

bool upcall_deliver(struct rs_frame *f, u64 addr, enum fault_cause cause)
{
	struct thread *t = current();
	const struct upcall *u = &t->proc->upcall;
	u64 at;

	if (likely(!t->upcall_stack.hi) || f->vector > RS_VECTOR_ALARM ||
	    !(u->vectors >> f->vector & 1))
		return false;
	if (unlikely(u->entry >= USER_TOP))
		no_upcall(f, addr, cause, FAULT_UPCALL_ADDRESS, u->entry);
	if (unlikely(f->rip == u->entry))
		no_upcall(f, addr, cause, FAULT_UPCALL_ENTRY, u->entry);
	if (unlikely(!upcall_place(&t->upcall_stack, f->rsp, u->room, &at)))
		no_upcall(f, addr, cause, FAULT_UPCALL_OVERFLOW, t->upcall_stack.lo);
	if (unlikely(!user_range_ok(at, sizeof(struct rs_trap_frame))))
		no_upcall(f, addr, cause, FAULT_UPCALL_STACK_ADDRESS, at);
	if (unlikely(copyout_trap(at, f, addr, cause))) {
		if (t->no_memory)
			no_upcall(f, addr, cause, FAULT_NO_MEMORY, at);
		no_upcall(f, addr, cause, FAULT_UPCALL_STACK, at);
	}
	enter(f, u->entry, at);
	return true;
}

/*
 * What a program takes faults for is memory it has closed itself. So: a write or a read of memory that
 * is mapped, that the mapping does not allow or that the process has taken from the page (mm/pages.c).
 * To these the kernel has no answer. Anything else, and all that may be wrong, is upcall_deliver()'s
 * business, later.
 *
 * This is a reader without the kernel's lock (sync/rcu.h). Others may be changing the mappings, the
 * tables, and which traps the process takes, all at once. So: everything is read first, between
 * mm_read_begin() and mm_read_valid(), for which the process's upcall counts as a part of its address
 * space; tables are only looked at (pgtable_peek()). Then the frame is written. With several CPUs
 * that access is not resolved when it faults (kernel/trap.c), and the long way does it all again.
 *
 * Whatever others do meanwhile, the trap is delivered as if they had done it later or not yet: at the
 * moment of mm_read_valid() the mapping did not allow the access, or at that of pgtable_peek() the
 * page did not. What was read of pages and mappings at two moments does no harm: a page that the
 * process has closed is closed whatever its mapping says.
 *
 * It is there twice, so that the case that is counted in single instructions calls no function:
 * @common, in the mapping of the last lookup and with nothing in use of the trap stack; and the rest.
 */
static noinline bool upcall_rest(struct rs_frame *f);

static always_inline bool upcall_try(struct rs_frame *f, bool common)
{
	struct thread *t = current();
	const struct process *p = t->proc;
	const struct mm *mm = p->mm;
	u32 seq = mm_read_begin(mm), need, cause, flags;
	const struct vma *v = rcu_dereference(mm->cache);
	u64 addr = read_cr2(), error = f->error, entry = p->upcall.entry, rsp = f->rsp, at;
	pte_t taken;

	if (unlikely(f->vector != p->upcall.fast || f->rip == entry))
		return false;
	if (unlikely(!v || addr < v->start || addr >= v->end)) {
		if (common)
			return upcall_rest(f);
		v = mm_find_reader(mm, addr);
		if (!v)
			return false;
	}
	flags = v->flags;
	if (likely((error | PF_PRESENT) == (PF_PRESENT | PF_USER | PF_WRITE))) {
		need = VM_WRITE;
		cause = FAULT_WRITE_DENIED;
		taken = PTE_NO_WRITE | PTE_NO_ACCESS;
	} else if (error == PF_USER) {
		need = VM_PROT;
		cause = FAULT_READ_DENIED;
		taken = PTE_NO_ACCESS;
	} else {
		return false;
	}
	if (!(flags & need)) {
		/* Without any right it may be the guard of a stack; see there. */
		if (!(flags & VM_PROT))
			return false;
	} else if (!(pgtable_peek(&mm->pt, addr) & taken)) {
		return false;
	}
	if (unlikely(t->upcall_stack.used || upcall_on_stack(&t->upcall_stack, rsp))) {
		if (common)
			return upcall_rest(f);
		if (!upcall_place(&t->upcall_stack, rsp, p->upcall.room, &at))
			return false;
	} else {
		at = t->upcall_stack.first;
	}
	if (unlikely(!mm_read_valid(mm, seq)))
		return false;
	if (unlikely(copyout_trap(at, f, addr, cause))) {
		/* The long way looks there for the address, where the fault of the copy has left its own. */
		write_cr2(addr);
		return false;
	}
	t->short_faults++;
	enter(f, entry, at);
	return true;
}

static noinline bool upcall_rest(struct rs_frame *f)
{
	return upcall_try(f, false);
}

bool upcall_fast(struct rs_frame *f)
{
	return upcall_try(f, true);
}

/* --- fork, exec, signals ---------------------------------------------------------------------- */

void upcall_fork(struct thread *t, u64 flags)
{
	const struct thread *old = current();

	/* Who shares the memory and runs beside the other needs a stack of its own. */
	if (flags & CLONE_THREAD || (flags & (CLONE_VM | CLONE_VFORK)) == CLONE_VM)
		return;
	t->upcall_stack = old->upcall_stack;
	/* In memory that is shared, what the parent has there stays when the child has left it. */
	if (flags & CLONE_VM && upcall_on_stack(&old->upcall_stack, old->frame->rsp))
		t->upcall_stack.used = old->frame->rsp;
}

void upcall_reset(void)
{
	current_proc()->upcall = (struct upcall){ .fast = ~0ull };
	current()->upcall_stack = (struct upcall_stack){ 0 };
	alarm_end(current());
}

u64 upcall_signal(u64 rsp)
{
	struct upcall_stack *s = &current()->upcall_stack;
	u64 old = s->used;

	if (upcall_on_stack(s, rsp))
		s->used = rsp;
	return old;
}

void upcall_signal_return(u64 used)
{
	struct upcall_stack *s = &current()->upcall_stack;

	s->used = upcall_on_stack(s, used) ? used : 0;
}

/* --- calls ------------------------------------------------------------------------------------ */

static void find_first(struct upcall_stack *s, u64 room)
{
	struct upcall_stack unused = { .lo = s->lo, .hi = s->hi };

	if (!s->hi || s->hi > USER_TOP || !upcall_place(&unused, 0, room, &s->first))
		s->first = 0;
}

long upcall_set(u64 entry, u64 vectors, u64 room)
{
	struct process *p = current_proc();
	struct thread *t;

	if (vectors & ~(RS_UPCALL_VECTORS | RS_UPCALL_ALARM) || room > RS_UPCALL_ROOM_MAX)
		return -EINVAL;
	/* Other threads may be in upcall_fast(). */
	mm_change_begin(p->mm);
	p->upcall = (struct upcall){
		.entry = entry, .vectors = vectors, .room = room,
		.fast = vectors >> VEC_PF & 1 && entry < USER_TOP ? VEC_PF : ~0ull,
	};
	list_for_each(t, &p->threads, list)
		find_first(&t->upcall_stack, room);
	mm_change_end(p->mm);
	return 0;
}

long upcall_set_stack(u64 base, u64 size)
{
	struct upcall_stack *s = &current()->upcall_stack;

	if (size && (size < RS_UPCALL_STACK_MIN || base + size < base))
		return -EINVAL;
	*s = (struct upcall_stack){ 0 };
	if (!size)
		return 0;
	s->lo = base;
	s->hi = base + size;
	find_first(s, current_proc()->upcall.room);
	return 0;
}

long upcall_decline(struct rs_frame *f, u64 at)
{
	struct thread *t = current();
	struct rs_trap_frame s;
	int sig, code;

	if (copyin(&s, at, sizeof(s)))
		return -EFAULT;
	if (s.vector > 31 || !(RS_UPCALL_VECTORS >> s.vector & 1) || !s.cause ||
	    (s.cause > RS_CAUSE_EXCEPTION && !fault_of_pager(s.cause)) ||
	    s.cause == FAULT_NO_MEMORY || s.rip >= USER_TOP)
		return -EINVAL;
	fault_signal((u32)s.vector, (enum fault_cause)s.cause, &sig, &code);
	t->fault = (struct fault_info){
		.vector = (u32)s.vector, .error = s.error, .addr = s.addr,
		.cause = (enum fault_cause)s.cause, .sig = sig, .code = code,
	};
	__builtin_memcpy(f, &s.r15, sizeof(*f));
	f->vector = RS_VECTOR_RESTORED;
	f->cs = USER_CS;
	f->ss = USER_SS;
	frame_set_flags(f, s.rflags);
	return 0;
}
