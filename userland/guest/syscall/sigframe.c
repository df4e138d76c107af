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
 * one XSAVE into a kernel buffer and a copy.
 *
 * sigreturn trusts nothing: selectors and privileged flags are ours whatever the frame says, rip
 * has to be an address of ring 3, and the extended state is copied into the kernel, its header
 * cleaned of every bit that would fault, before XRSTOR sees it. Whatever is left makes at worst the
 * process fault.
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
#define FXSAVE_MXCSR	     24
#define FXSAVE_MXCSR_MASK    28
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
	u64 err, trapno, oldmask, cr2, fpstate, reserved[8];
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

/* Room for one extended state; a CPU uses it between two instructions of ring 3. */
static u8 *buffers[RS_NR_CPUS];

void sigframe_drop_buffers(void)
{
	u32 i;

	for (i = 0; i < RS_NR_CPUS; i++) {
		kfree(buffers[i]);
		buffers[i] = NULL;
	}
}

static u8 *xstate_buffer(void)
{
	u32 id = this_cpu()->id;

	if (!buffers[id])
		buffers[id] = kzalloc(cpu_has.xsave_size + 64);
	return buffers[id] ? (u8 *)ALIGN_UP((u64)buffers[id], 64) : NULL;
}

#ifndef RS_HOSTED
static void xstate_save(u8 *buf)
{
	if (cpu_has.xcr0)
		asm volatile("xsave64 (%0)"
			     :
			     : "r"(buf), "a"((u32)cpu_has.xcr0), "d"((u32)(cpu_has.xcr0 >> 32))
			     : "memory");
	else
		asm volatile("fxsave64 (%0)" : : "r"(buf) : "memory");
}

/* False when the CPU does not accept the state (#GP); the registers are as before then. */
static bool xstate_restore(const u8 *buf)
{
	u32 bad = 0;

	if (cpu_has.xcr0)
		asm volatile("1: xrstor64 (%1)\n"
			     "2:\n"
			     ".pushsection .text.unlikely\n"
			     "3: movl $1, %0\n"
			     "jmp 2b\n"
			     ".popsection\n" EXTABLE(1b, 3b)
			     : "+r"(bad)
			     : "r"(buf), "a"((u32)cpu_has.xcr0), "d"((u32)(cpu_has.xcr0 >> 32))
			     : "memory");
	else
		asm volatile("1: fxrstor64 (%1)\n"
			     "2:\n"
			     ".pushsection .text.unlikely\n"
			     "3: movl $1, %0\n"
			     "jmp 2b\n"
			     ".popsection\n" EXTABLE(1b, 3b)
			     : "+r"(bad)
			     : "r"(buf)
			     : "memory");
	return !bad;
}
#else
void xstate_save(u8 *buf);
bool xstate_restore(const u8 *buf);
#endif

/* What follows the state in memory: the second magic, when there is a header to go with it. */
static u64 xstate_total(void)
{
	return cpu_has.xcr0 ? cpu_has.xsave_size + 4ull : FXSAVE_SIZE;
}

static long put_xstate(u64 va)
{
	u8 *buf = xstate_buffer();
	struct sw_reserved sw = { .magic1 = FP_XSTATE_MAGIC1 };

	if (!buf)
		return -EFAULT;
	xstate_save(buf);
	memset(buf + SW_RESERVED, 0, sizeof(sw));
	if (cpu_has.xcr0) {
		sw.extended_size = cpu_has.xsave_size + 4;
		sw.xfeatures = cpu_has.xcr0;
		sw.xstate_size = cpu_has.xsave_size;
		memcpy(buf + SW_RESERVED, &sw, sizeof(sw));
	}
	if (copyout(va, buf, cpu_has.xcr0 ? cpu_has.xsave_size : FXSAVE_SIZE))
		return -EFAULT;
	return cpu_has.xcr0 ? put_user_u32(va + cpu_has.xsave_size, FP_XSTATE_MAGIC2) : 0;
}

/* MXCSR bits this CPU knows; one of the others in memory would be #GP. */
static u32 mxcsr_mask(void)
{
	static u32 mask;

	if (!mask) {
		u8 *buf = xstate_buffer();

		xstate_save(buf);
		memcpy(&mask, buf + FXSAVE_MXCSR_MASK, 4);
		if (!mask)
			mask = 0xffbf;
	}
	return mask;
}

static long get_xstate(u64 va)
{
	u8 *buf = xstate_buffer();
	struct sw_reserved sw;
	u32 magic2, mxcsr, mask;
	bool full = false;
	u64 header[XSAVE_HEADER / 8] = { 0 };

	if (!buf)
		return -EFAULT;
	if (!va) {
		fpu_init_user();
		return 0;
	}
	mask = mxcsr_mask();
	if (copyin(&sw, va + SW_RESERVED, sizeof(sw)))
		return -EFAULT;
	/*
	 * Only a state of exactly our layout is taken whole; of anything else the part that never
	 * changed.
	 */
	if (cpu_has.xcr0 && sw.magic1 == FP_XSTATE_MAGIC1 && sw.xstate_size == cpu_has.xsave_size &&
	    sw.extended_size == cpu_has.xsave_size + 4 &&
	    !get_user_u32(&magic2, va + cpu_has.xsave_size) && magic2 == FP_XSTATE_MAGIC2)
		full = true;
	if (copyin(buf, va, full ? cpu_has.xsave_size : FXSAVE_SIZE))
		return -EFAULT;
	memcpy(&mxcsr, buf + FXSAVE_MXCSR, 4);
	mxcsr &= mask;
	memcpy(buf + FXSAVE_MXCSR, &mxcsr, 4);
	if (cpu_has.xcr0) {
		if (full)
			memcpy(&header[0], buf + FXSAVE_SIZE, 8);
		else
			header[0] = 3; /* x87 and SSE from memory, the rest initial */
		header[0] &= cpu_has.xcr0;
		memcpy(buf + FXSAVE_SIZE, header,
		       sizeof(header)); /* no compaction, reserved words 0 */
	}
	return xstate_restore(buf) ? 0 : -EFAULT;
}

long sigframe_build(struct rs_frame *f, const struct k_sigaction *act, const struct k_siginfo *info,
		    u64 mask, struct signal_thread *st, const struct fault_info *fault)
{
	struct frame s;
	bool on = sigframe_on_altstack(st, f->rsp), alt = false;
	u64 sp = f->rsp - RED_ZONE, at, fp;

	/*
	 * Without a restorer a handler could not return: Linux on x86-64 has no other way either.
	 */
	if (!(act->flags & SA_RESTORER) || act->handler >= USER_TOP)
		return -EFAULT;
	if ((act->flags & SA_ONSTACK) && !(st->alt.flags & SS_DISABLE) && !on) {
		sp = st->alt.sp + st->alt.size;
		alt = true;
	}
	if (!sigframe_position(sp, xstate_total(), sizeof(s), &at, &fp))
		return -EFAULT;
	/* The alternate stack has an end; going below it would overwrite whatever lies there. */
	if ((alt || on) && at < st->alt.sp)
		return -EFAULT;
	memset(&s, 0, sizeof(s));
	s.restorer = act->restorer;
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
	if (put_xstate(fp) || copyout(at, &s, sizeof(s)))
		return -EFAULT;
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
