// SPDX-License-Identifier: MIT
/*
 * sigframe.c - the frame of a signal handler on the process's stack
 *
 * The layout is Linux's for x86-64, since C libraries, unwinders and programs look into it:
 *
 *	(high)	the interrupted stack, 128 bytes of red zone, or the top of the alternate stack
 *		extended state: FXSAVE or XSAVE area, aligned to 64; FP_XSTATE_MAGIC2 after XSAVE
 *	(low)	struct frame: return address (the restorer), ucontext, siginfo; its address is 8
 *		below a multiple of 16, as after a call
 *
 * Vector registers are the process's own all the while (the kernel does not use them), so saving is
 * one XSAVE into its memory.
 *
 * sigreturn trusts nothing: selectors and privileged flags are ours whatever the frame says, rip
 * has to be an address of ring 3, and an extended state that XRSTOR does not take is the process's
 * own fault, a SIGSEGV.
 */
#include "signal.h"
#include "syscall.h"
#include "../lib/assert.h"
#include "../lib/string.h"
#include "../mm/kmalloc.h"

#define RED_ZONE	     128
#define FXSAVE_SIZE	     512
#define XSAVE_HEADER	     64
#define SW_RESERVED	     464 /* offset in the FXSAVE area that hardware leaves to software */
#define FP_XSTATE_MAGIC1     0x46505853u
#define FP_XSTATE_MAGIC2     0x46505845u

#define UC_FP_XSTATE	     0x1
#define UC_SIGCONTEXT_SS     0x2
#define UC_STRICT_RESTORE_SS 0x4

struct sw_reserved {
	u32 magic1, extended_size;
	u64 xfeatures;
	u32 xstate_size, padding[7];
};

struct sigcontext_k {
	u64 r8, r9, r10, r11, r12, r13, r14, r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip,
		rflags;
	u16 cs, gs, fs, ss;
	u64 err, trapno, oldmask, cr2, fpstate;
	u64 trap_stack; /* reserved on Linux: see upcall_signal() */
	u64 reserved[7];
};

struct frame {
	u64 restorer;
	struct {
		u64 flags, link;
		struct k_stack stack;
		struct sigcontext_k mc;
		u64 sigmask;
	} uc;
	struct k_siginfo info;
};

_Static_assert(sizeof(struct sw_reserved) == 48, "struct _fpx_sw_bytes");
_Static_assert(sizeof(struct sigcontext_k) == 256, "struct sigcontext");
_Static_assert(sizeof(struct k_siginfo) == 128, "siginfo_t");
_Static_assert(offsetof(struct frame, uc.mc) == 48 && offsetof(struct frame, uc.sigmask) == 304,
	       "struct ucontext");
_Static_assert(sizeof(struct frame) == 440, "struct rt_sigframe");
_Static_assert(sizeof(struct k_sigaction) == 32 && sizeof(struct k_stack) == 24,
	       "sigaction, stack_t");

bool sigframe_position(u64 sp, u64 xstate, u64 frame_size, u64 *frame, u64 *fpstate)
{
	u64 need = xstate + frame_size + 64 + 16 + 8;

	if (sp < need || sp > USER_TOP)
		return false;
	*fpstate = ALIGN_DOWN(sp - xstate, 64);
	*frame = ALIGN_DOWN(*fpstate - frame_size, 16) - 8;
	return true;
}

/*
 * The state goes to the process's memory and comes from there by the instruction itself; what is
 * not accessible, or not acceptable, ends it at its entry of the exception table. XRSTOR only loads
 * what ring 3 could load itself (xcr0), and faults on everything in the header that is not right,
 * so it needs no look at what another thread may change meanwhile anyway.
 */
#ifndef RS_HOSTED
#define XSTATE_INSN(insn, insn_old, where, bad)                                                   \
	do {                                                                                      \
		if (cpu_has.smap)                                                                 \
			asm volatile("stac" ::: "memory");                                        \
		if (cpu_has.xcr0)                                                                 \
			asm volatile("1: " insn " (%1)\n2:\n"                                     \
				     ".pushsection .text.unlikely\n"                              \
				     "3: movl $1, %0\njmp 2b\n"                                   \
				     ".popsection\n" EXTABLE(1b, 3b)                              \
				     : "+r"(bad)                                                  \
				     : "r"(where), "a"((u32)cpu_has.xcr0),                        \
				       "d"((u32)(cpu_has.xcr0 >> 32))                             \
				     : "memory");                                                 \
		else                                                                              \
			asm volatile("1: " insn_old " (%1)\n2:\n"                                 \
				     ".pushsection .text.unlikely\n"                              \
				     "3: movl $1, %0\njmp 2b\n"                                   \
				     ".popsection\n" EXTABLE(1b, 3b)                              \
				     : "+r"(bad)                                                  \
				     : "r"(where)                                                 \
				     : "memory");                                                 \
		if (cpu_has.smap)                                                                 \
			asm volatile("clac" ::: "memory");                                        \
	} while (0)

static long xstate_save(u64 va)
{
	u32 bad = 0;

	XSTATE_INSN("xsave64", "fxsave64", va, bad);
	return bad ? -EFAULT : 0;
}

/* The registers are as before when it fails. */
static long xstate_restore(u64 va)
{
	u32 bad = 0;

	XSTATE_INSN("xrstor64", "fxrstor64", va, bad);
	return bad ? -EFAULT : 0;
}
#else
long xstate_save(u64 va);
long xstate_restore(u64 va);
#endif

/* What follows the state in memory: the second magic, when there is a header to go with it. */
static u64 xstate_total(void)
{
	return cpu_has.xcr0 ? cpu_has.xsave_size + 4ull : FXSAVE_SIZE;
}

static const u64 clean_header[XSAVE_HEADER / 8];

static long put_xstate(u64 va)
{
	struct sw_reserved sw = { .magic1 = FP_XSTATE_MAGIC1 };
	u64 size = cpu_has.xsave_size;

	if (!user_range_ok(va, xstate_total()))
		return -EFAULT;
	if (!cpu_has.xcr0)
		return clearout(va + SW_RESERVED, sizeof(sw)) ? -EFAULT : xstate_save(va);
	/* XSAVE writes the first word of the header and leaves the rest. */
	if (copyout(va + FXSAVE_SIZE, clean_header, sizeof(clean_header)) || xstate_save(va))
		return -EFAULT;
	sw.extended_size = size + 4;
	sw.xfeatures = cpu_has.xcr0;
	sw.xstate_size = size;
	return copyout(va + SW_RESERVED, &sw, sizeof(sw)) ? -EFAULT :
	       put_user_u32(va + size, FP_XSTATE_MAGIC2);
}

/*
 * A state that is not exactly of our layout: the part that never changed, x87 and SSE, the rest
 * initial. What lies behind that part is not ours to touch, so this goes through memory of ours.
 */
static noinline long get_old_state(u64 va)
{
	u64 header[XSAVE_HEADER / 8] = { 3 };
	u8 *buf = kzalloc(cpu_has.xsave_size + 64), *at = (u8 *)ALIGN_UP((u64)buf, 64);
	long ret = -EFAULT;

	if (buf && !copyin(at, va, FXSAVE_SIZE)) {
		memcpy(at + FXSAVE_SIZE, header, cpu_has.xcr0 ? sizeof(header) : 0);
		ret = xstate_restore((u64)at);
	}
	kfree(buf);
	return ret;
}

static long get_xstate(u64 va)
{
	struct sw_reserved sw;
	u32 magic2;

	if (!va) {
		fpu_init_user();
		return 0;
	}
	if (!user_range_ok(va, xstate_total()) || copyin(&sw, va + SW_RESERVED, sizeof(sw)))
		return -EFAULT;
	if (!cpu_has.xcr0 || sw.magic1 != FP_XSTATE_MAGIC1 ||
	    sw.xstate_size != cpu_has.xsave_size || sw.extended_size != cpu_has.xsave_size + 4 ||
	    get_user_u32(&magic2, va + cpu_has.xsave_size) || magic2 != FP_XSTATE_MAGIC2)
		return get_old_state(va);
	return xstate_restore(va);
}

long sigframe_build(struct rs_frame *f, const struct k_sigaction *act, const struct k_siginfo *info,
		    u64 mask, struct signal_thread *st, const struct fault_info *fault)
{
	struct frame s;
	const struct upcall_stack *traps = &current()->upcall_stack;
	bool on = sigframe_on_altstack(st, f->rsp), alt = false;
	u64 sp = f->rsp - RED_ZONE, at, fp;

	/*
	 * Without a restorer a handler could not return: Linux on x86-64 has no other way either.
	 */
	if (!(act->flags & SA_RESTORER) || act->handler >= USER_TOP)
		return -EFAULT;
	/* A handler on the alternate stack may have been interrupted by the upcall that is now. */
	if ((act->flags & SA_ONSTACK) && !(st->alt.flags & SS_DISABLE) && !on &&
	    !(traps->used && upcall_on_stack(traps, f->rsp))) {
		sp = st->alt.sp + st->alt.size;
		alt = true;
	}
	if (!sigframe_position(sp, xstate_total(), sizeof(s), &at, &fp))
		return -EFAULT;
	/* The alternate stack has an end; going below it would overwrite whatever lies there. */
	if ((alt || on) && at < st->alt.sp)
		return -EFAULT;
	s.restorer = act->restorer;
	s.uc.link = 0;
	s.uc.flags = UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS | (cpu_has.xcr0 ? UC_FP_XSTATE : 0);
	s.uc.stack = st->alt;
	s.uc.sigmask = mask;
	s.info = *info;
	s.uc.mc = (struct sigcontext_k){
		.r8 = f->r8,
		.r9 = f->r9,
		.r10 = f->r10,
		.r11 = f->r11,
		.r12 = f->r12,
		.r13 = f->r13,
		.r14 = f->r14,
		.r15 = f->r15,
		.rdi = f->rdi,
		.rsi = f->rsi,
		.rbp = f->rbp,
		.rbx = f->rbx,
		.rdx = f->rdx,
		.rax = f->rax,
		.rcx = f->rcx,
		.rsp = f->rsp,
		.rip = f->rip,
		.rflags = f->rflags,
		.cs = USER_CS,
		.ss = USER_SS,
		.oldmask = mask,
		.fpstate = fp,
	};
	if (fault) {
		s.uc.mc.err = fault->error;
		s.uc.mc.trapno = fault->vector;
		s.uc.mc.cr2 = fault->addr;
	}
	s.uc.mc.trap_stack = traps->used;
	if (put_xstate(fp) || copyout(at, &s, sizeof(s)))
		return -EFAULT;
	upcall_signal(f->rsp);
	if (alt && ((u32)st->alt.flags & SS_AUTODISARM))
		st->alt = (struct k_stack){ .flags = SS_DISABLE };
	f->rdi = info->signo;
	f->rsi = at + offsetof(struct frame, info);
	f->rdx = at + offsetof(struct frame, uc);
	f->rax = 0;
	f->rip = act->handler;
	f->rsp = at;
	frame_set_flags(f, f->rflags & ~(RFLAGS_DF | RFLAGS_RF | RFLAGS_TF));
	return 0;
}

long sigframe_return(struct rs_frame *f, u64 *mask, struct signal_thread *st)
{
	struct frame s;
	struct sigcontext_k *c = &s.uc.mc;
	struct k_stack *alt = &s.uc.stack;

	/* siginfo is the handler's business alone. */
	if (copyin(&s, f->rsp - 8, offsetof(struct frame, info)))
		return -EFAULT;
	if (c->rip >= USER_TOP || get_xstate(c->fpstate))
		return -EFAULT;
	f->r8 = c->r8;
	f->r9 = c->r9;
	f->r10 = c->r10;
	f->r11 = c->r11;
	f->r12 = c->r12;
	f->r13 = c->r13;
	f->r14 = c->r14;
	f->r15 = c->r15;
	f->rdi = c->rdi;
	f->rsi = c->rsi;
	f->rbp = c->rbp;
	f->rbx = c->rbx;
	f->rdx = c->rdx;
	f->rax = c->rax;
	f->rcx = c->rcx;
	f->rsp = c->rsp;
	f->rip = c->rip;
	f->cs = USER_CS;
	f->ss = USER_SS;
	frame_set_flags(f, c->rflags);
	f->vector = RS_VECTOR_RESTORED;
	upcall_signal_return(c->trap_stack);
	*mask = s.uc.sigmask;
	/*
	 * As sigaltstack would, errors being nobody's to see: it takes back what an armed stack
	 * lost on entry.
	 */
	if (!sigframe_on_altstack(st, f->rsp)) {
		if ((u32)alt->flags & SS_DISABLE)
			st->alt = (struct k_stack){ .flags = SS_DISABLE };
		else if (!((u32)alt->flags & ~(SS_ONSTACK | SS_AUTODISARM)) &&
			 alt->size >= MINSIGSTKSZ)
			st->alt = (struct k_stack){ .sp = alt->sp,
						    .size = alt->size,
						    .flags = alt->flags & ~SS_ONSTACK };
	}
	return 0;
}
