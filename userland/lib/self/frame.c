// SPDX-License-Identifier: MIT
/*
 * Linux's rt_sigframe (see frame.h).
 *
 * From high to low addresses: 128 bytes of red zone (not on an alternate stack), the vector area at
 * a multiple of 64, and struct self_sigframe, placed so that the handler finds the stack as if it
 * had been called. The facts are those of arch/x86/kernel/signal.c and fpu/signal.c of Linux 6.1.
 */
#include <asm/errno.h>

#include "frame.h"

#define RED_ZONE	128u

#define EFLAGS_CF	(1ul << 0)
#define EFLAGS_PF	(1ul << 2)
#define EFLAGS_AF	(1ul << 4)
#define EFLAGS_ZF	(1ul << 6)
#define EFLAGS_SF	(1ul << 7)
#define EFLAGS_TF	(1ul << 8)
#define EFLAGS_IF	(1ul << 9)
#define EFLAGS_DF	(1ul << 10)
#define EFLAGS_OF	(1ul << 11)
#define EFLAGS_RF	(1ul << 16)
#define EFLAGS_AC	(1ul << 18)
/* What rt_sigreturn takes from the frame. */
#define EFLAGS_TAKEN                                                                               \
	(EFLAGS_AC | EFLAGS_OF | EFLAGS_DF | EFLAGS_TF | EFLAGS_SF | EFLAGS_ZF | EFLAGS_AF |       \
	 EFLAGS_PF | EFLAGS_CF | EFLAGS_RF)

#define USER_CS		0x33
#define USER_SS		0x2b

#define SIGKILL_STOP	(1ull << (9 - 1) | 1ull << (19 - 1))

void self_vector_of(struct self_vector *v, const struct self_sigframe *frame,
		    const struct self_sw_bytes *sw)
{
	v->sw = *sw;
	v->xsave = frame->uc.flags & SELF_UC_FP_XSTATE;
}

uint64_t self_vector_bytes(const struct self_vector *v)
{
	return v->xsave ? (uint64_t)v->sw.size + sizeof(uint32_t) : SELF_FX_SIZE;
}

/* Linux: above the lowest byte, up to and including the end, where a stack pointer is at first. */
static bool within(const struct self_altstack *stack, uint64_t rsp)
{
	return rsp > stack->sp && rsp - stack->sp <= stack->size;
}

bool self_altstack_on(const struct self_altstack *stack, uint64_t rsp)
{
	/* With AUTODISARM the stack is off while it is in use. */
	return !(stack->flags & SELF_SS_AUTODISARM) && within(stack, rsp);
}

int self_frame_place(const struct self_vector *v, const struct self_action *action,
		     const struct self_altstack *stack, uint64_t rsp, struct self_place *place)
{
	bool nested = self_altstack_on(stack, rsp);
	bool entering = false;
	uint64_t sp = rsp - RED_ZONE;

	if ((action->flags & SELF_SA_ONSTACK) && stack->size && !self_altstack_on(stack, sp)) {
		sp = stack->sp + stack->size;
		entering = true;
	}
	sp = (sp - self_vector_bytes(v)) & ~63ull;
	place->fx = sp;
	place->frame = ((sp - sizeof(struct self_sigframe)) & ~15ull) - 8;
	if ((nested || entering) && !within(stack, place->frame))
		return -1;
	return 0;
}

unsigned int self_frame_fill(struct self_sigframe *f, const struct self_vector *v,
			     const struct self_place *place, const struct self_action *action,
			     const struct self_event *event, const struct self_altstack *stack,
			     const struct rs_trap_frame *regs)
{
	struct self_sigcontext *sc = &f->uc.mcontext;

	f->restorer = action->restorer;
	f->uc.flags = SELF_UC_SIGCONTEXT_SS | SELF_UC_STRICT_RESTORE_SS;
	if (v->xsave)
		f->uc.flags |= SELF_UC_FP_XSTATE;
	f->uc.link = 0;
	f->uc.stack = *stack;
	f->uc.sigmask = event->mask;

	sc->r8 = regs->r8;
	sc->r9 = regs->r9;
	sc->r10 = regs->r10;
	sc->r11 = regs->r11;
	sc->r12 = regs->r12;
	sc->r13 = regs->r13;
	sc->r14 = regs->r14;
	sc->r15 = regs->r15;
	sc->rdi = regs->rdi;
	sc->rsi = regs->rsi;
	sc->rbp = regs->rbp;
	sc->rbx = regs->rbx;
	sc->rdx = regs->rdx;
	sc->rax = regs->rax;
	sc->rcx = regs->rcx;
	sc->rsp = regs->rsp;
	sc->rip = regs->rip;
	sc->rflags = regs->rflags;
	sc->cs = USER_CS;
	sc->gs = 0;
	sc->fs = 0;
	sc->ss = USER_SS;
	sc->err = event->err;
	sc->trapno = event->trapno;
	sc->oldmask = event->mask;
	sc->cr2 = event->cr2;
	sc->fpstate = place->fx;

	if (!(action->flags & SELF_SA_SIGINFO))
		return sizeof(f->info);
	f->info = event->info;
	return 0;
}

void self_frame_enter(const struct self_place *place, const struct self_action *action, int sig,
		      struct self_altstack *stack, struct rs_trap_frame *regs)
{
	regs->rdi = sig;
	regs->rax = 0;
	regs->rsi = place->frame + __builtin_offsetof(struct self_sigframe, info);
	regs->rdx = place->frame + __builtin_offsetof(struct self_sigframe, uc);
	regs->rip = action->handler;
	regs->rsp = place->frame;
	regs->rflags &= ~(EFLAGS_DF | EFLAGS_RF | EFLAGS_TF);
	if (stack->flags & SELF_SS_AUTODISARM) {
		stack->sp = 0;
		stack->size = 0;
		stack->flags = SELF_SS_DISABLE;
	}
}

uint64_t self_frame_mask(const struct self_action *action, int sig, uint64_t mask)
{
	mask |= action->mask;
	if (!(action->flags & SELF_SA_NODEFER))
		mask |= 1ull << (sig - 1);
	return mask & ~SIGKILL_STOP;
}

void self_frame_take(const struct self_sigframe *f, struct rs_trap_frame *regs)
{
	const struct self_sigcontext *sc = &f->uc.mcontext;

	regs->r8 = sc->r8;
	regs->r9 = sc->r9;
	regs->r10 = sc->r10;
	regs->r11 = sc->r11;
	regs->r12 = sc->r12;
	regs->r13 = sc->r13;
	regs->r14 = sc->r14;
	regs->r15 = sc->r15;
	regs->rdi = sc->rdi;
	regs->rsi = sc->rsi;
	regs->rbp = sc->rbp;
	regs->rbx = sc->rbx;
	regs->rdx = sc->rdx;
	regs->rax = sc->rax;
	regs->rcx = sc->rcx;
	regs->rsp = sc->rsp;
	regs->rip = sc->rip;
	regs->rflags = (regs->rflags & ~EFLAGS_TAKEN) | (sc->rflags & EFLAGS_TAKEN);
}

bool self_frame_has_magic2(const struct self_vector *v, const struct self_sw_bytes *sw)
{
	return v->xsave && sw->magic1 == SELF_MAGIC1 && sw->size >= SELF_FX_SIZE + 64 &&
	       sw->size <= v->sw.size && sw->size <= sw->extended_size;
}

uint64_t self_frame_vector(const struct self_vector *v, const struct self_sw_bytes *sw,
			   uint32_t magic2, bool *fx_only)
{
	*fx_only = !self_frame_has_magic2(v, sw) || magic2 != SELF_MAGIC2;
	return *fx_only ? SELF_FPSSE : sw->features & v->sw.features;
}

long self_altstack_set(struct self_altstack *stack, const struct self_altstack *set,
		       struct self_altstack *old, uint64_t rsp, uint64_t min)
{
	/* @old may be where @set is: the answer is the state before. */
	struct self_altstack was = *stack;
	struct self_altstack to;
	long ret = 0;
	int mode;

	if (set) {
		to = *set;
		mode = to.flags & ~SELF_SS_AUTODISARM;
		if (self_altstack_on(stack, rsp)) {
			ret = -EPERM;
		} else if (mode != SELF_SS_DISABLE && mode != SELF_SS_ONSTACK && mode != 0) {
			ret = -EINVAL;
		} else if (to.sp != was.sp || to.size != was.size || to.flags != was.flags) {
			if (mode == SELF_SS_DISABLE)
				to.size = to.sp = 0;
			else if (to.size < min)
				ret = -ENOMEM;
			if (!ret) {
				to.pad = 0;
				*stack = to;
			}
		}
	}
	if (old && !ret) {
		old->sp = was.sp;
		old->size = was.size;
		old->pad = 0;
		old->flags = was.flags & SELF_SS_AUTODISARM;
		if (!was.size)
			old->flags |= SELF_SS_DISABLE;
		else if (self_altstack_on(&was, rsp))
			old->flags |= SELF_SS_ONSTACK;
	}
	return ret;
}
