/* SPDX-License-Identifier: MIT */
/*
 * frame.h - Linux's rt_sigframe: made and taken apart without Linux
 *
 * A signal whose handler runs in the ring gets the frame that Linux would have made for it, byte by
 * byte where Linux writes; programs look into it, change it, and some make one by hand. The pure
 * part is here: where the frame goes, what is in it, which frames are refused. It works on copies.
 * Memory of the program and the vector registers are the business of the caller (signal.c), in this
 * order:
 *
 *	deliver		self_frame_place()	where; an alternate stack may be too small
 *			XSAVE to @fx
 *			self_frame_fill()	a copy of what goes to @frame
 *			the software bytes and the second magic number to @fx
 *			self_frame_enter()	the registers of the handler
 *	return		self_frame_take()	registers and mask of a copy of the frame
 *			self_frame_vector()	which components of the area at sc.fpstate are to be
 *						loaded
 *			self_altstack_set()	of uc_stack, at last, as Linux does
 *
 * What the vector area looks like (size, features) only Linux knows, and it says so in every frame
 * it makes: struct self_vector is read from one.
 */
#ifndef RS_SELF_FRAME_H
#define RS_SELF_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#include <ringside_app.h>

/* As the kernel's struct sigaction: what rt_sigaction takes. */
struct self_action {
	uint64_t handler;
	uint64_t flags;
	uint64_t restorer;
	uint64_t mask;
};

#define SELF_SIG_DFL		0ul
#define SELF_SIG_IGN		1ul

#define SELF_SA_NOCLDSTOP	0x00000001ul
#define SELF_SA_NOCLDWAIT	0x00000002ul
#define SELF_SA_SIGINFO		0x00000004ul
#define SELF_SA_EXPOSE_TAGBITS	0x00000800ul
#define SELF_SA_RESTORER	0x04000000ul
#define SELF_SA_ONSTACK		0x08000000ul
#define SELF_SA_RESTART		0x10000000ul
#define SELF_SA_NODEFER		0x40000000ul
#define SELF_SA_RESETHAND	0x80000000ul
#define SELF_SA_ALL                                                                                \
	(SELF_SA_NOCLDSTOP | SELF_SA_NOCLDWAIT | SELF_SA_SIGINFO | SELF_SA_EXPOSE_TAGBITS |        \
	 SELF_SA_RESTORER | SELF_SA_ONSTACK | SELF_SA_RESTART | SELF_SA_NODEFER |                  \
	 SELF_SA_RESETHAND)

/* As struct sigaltstack; also what a thread's is set to. */
struct self_altstack {
	uint64_t sp;
	int32_t flags;
	uint32_t pad;
	uint64_t size;
};

#define SELF_SS_ONSTACK		1
#define SELF_SS_DISABLE		2
#define SELF_SS_AUTODISARM	((int32_t)(1u << 31))

struct self_siginfo {
	int32_t signo;
	int32_t error;
	int32_t code;
	int32_t pad;
	union {
		uint64_t words[14];
		struct {
			uint64_t addr;
			int16_t addr_lsb;
		} fault;
		struct {
			int32_t pid;
			uint32_t uid;
			uint64_t value;
		} sender;
	};
};

/* asm/sigcontext.h's struct sigcontext, named as the registers are in struct rs_trap_frame. */
struct self_sigcontext {
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
	uint64_t rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip;
	uint64_t rflags;
	uint16_t cs, gs, fs, ss;
	uint64_t err, trapno, oldmask, cr2;
	uint64_t fpstate;
	uint64_t reserved[8];
};

#define SELF_UC_FP_XSTATE		1ul
#define SELF_UC_SIGCONTEXT_SS		2ul
#define SELF_UC_STRICT_RESTORE_SS	4ul

struct self_ucontext {
	uint64_t flags;
	uint64_t link;
	struct self_altstack stack;
	struct self_sigcontext mcontext;
	uint64_t sigmask;
};

struct self_sigframe {
	uint64_t restorer;
	struct self_ucontext uc;
	struct self_siginfo info;
};

_Static_assert(sizeof(struct self_siginfo) == 128, "as struct siginfo");
_Static_assert(sizeof(struct self_sigcontext) == 256, "as struct sigcontext");
_Static_assert(sizeof(struct self_ucontext) == 304, "as the kernel's struct ucontext");
_Static_assert(sizeof(struct self_sigframe) == 440, "as the kernel's struct rt_sigframe");

/* The last 48 bytes of the FXSAVE area of a frame: asm/sigcontext.h's struct _fpx_sw_bytes. */
struct self_sw_bytes {
	uint32_t magic1;
	uint32_t extended_size;
	uint64_t features;
	uint32_t size;
	uint32_t pad[7];
};

_Static_assert(sizeof(struct self_sw_bytes) == 48, "as struct _fpx_sw_bytes");

#define SELF_FX_SIZE		512u
#define SELF_FX_SW		464u	/* where the software bytes are in it */
#define SELF_XSAVE_HEADER	512u	/* 64 bytes, of which the first word are the features */
#define SELF_MAGIC1		0x46505853u
#define SELF_MAGIC2		0x46505845u
#define SELF_FPSSE		3ull	/* the features of FXSAVE */
#define SELF_PKRU		(1ull << 9)

/**
 * struct self_vector - what Linux's vector areas are like on this machine
 * @sw:    the software bytes of every frame
 * @xsave: the area is XSAVE's, with features and a second magic number; otherwise FXSAVE's
 */
struct self_vector {
	struct self_sw_bytes sw;
	bool xsave;
};

/**
 * self_vector_of() - what frames are like, read from @frame that Linux made; @sw: the software
 * bytes of the area that its sc.fpstate points to
 */
void self_vector_of(struct self_vector *v, const struct self_sigframe *frame,
		    const struct self_sw_bytes *sw);

/** self_vector_bytes() - size of the area, the second magic number included */
uint64_t self_vector_bytes(const struct self_vector *v);

/**
 * struct self_place - where a frame goes
 * @frame: address of the struct self_sigframe
 * @fx:    address of the vector area, a multiple of 64
 */
struct self_place {
	uint64_t frame;
	uint64_t fx;
};

/**
 * self_frame_place() - the place of a frame for @action, when the code interrupted has @rsp
 * -1: the alternate stack is too small for it, as Linux decides that
 */
int self_frame_place(const struct self_vector *v, const struct self_action *action,
		     const struct self_altstack *stack, uint64_t rsp, struct self_place *place);

/**
 * struct self_event - a signal about to be delivered
 * @mask: what the handler's return restores; @trap: vector, error code and address of the thread's
 * last exception, as Linux shows them with every signal
 */
struct self_event {
	struct self_siginfo info;
	uint64_t mask;
	uint64_t trapno, err, cr2;
};

/**
 * self_frame_fill() - what goes to @place->frame, for the registers @regs
 * Selectors are those of 64-bit user code, whatever ring @regs is of. sc.reserved is not written,
 * nor is info without SA_SIGINFO: as many bytes at the end as the return value says (0 or 128) are
 * to be left alone in the program's memory.
 */
unsigned int self_frame_fill(struct self_sigframe *f, const struct self_vector *v,
			     const struct self_place *place, const struct self_action *action,
			     const struct self_event *event, const struct self_altstack *stack,
			     const struct rs_trap_frame *regs);

/**
 * self_frame_enter() - @regs become those of the handler; the alternate stack is disarmed where it
 * asks for that
 */
void self_frame_enter(const struct self_place *place, const struct self_action *action, int sig,
		      struct self_altstack *stack, struct rs_trap_frame *regs);

/**
 * self_frame_mask() - the mask the handler runs with, when it was @mask before
 */
uint64_t self_frame_mask(const struct self_action *action, int sig, uint64_t mask);

/**
 * self_frame_take() - the registers in @f to @regs; flags that a program may not set, and the
 * selectors, stay as they are
 */
void self_frame_take(const struct self_sigframe *f, struct rs_trap_frame *regs);

/**
 * self_frame_vector() - which features of an area with @sw and @magic2 (the word behind sw->size
 * bytes) XRSTOR has to load; the others of v->sw.features get their initial state
 * @fx_only: it is an FXSAVE area: FXRSTOR
 */
uint64_t self_frame_vector(const struct self_vector *v, const struct self_sw_bytes *sw,
			   uint32_t magic2, bool *fx_only);
/** self_frame_has_magic2() - whether @sw is such that there is a second magic number to read */
bool self_frame_has_magic2(const struct self_vector *v, const struct self_sw_bytes *sw);

/** self_altstack_on() - @rsp is on the alternate stack, as far as Linux thinks of it */
bool self_altstack_on(const struct self_altstack *stack, uint64_t rsp);

/**
 * self_altstack_set() - sigaltstack() by a thread with @rsp: @set or @old may be NULL; 0 or -errno
 * (-EPERM, -EINVAL, -ENOMEM)
 * @min: the least size: SELF_MINSIGSTKSZ, or what AT_MINSIGSTKSZ says where Linux checks that
 */
long self_altstack_set(struct self_altstack *stack, const struct self_altstack *set,
		       struct self_altstack *old, uint64_t rsp, uint64_t min);
#define SELF_MINSIGSTKSZ	2048u

#endif /* RS_SELF_FRAME_H */
