// SPDX-License-Identifier: MIT
/*
 * Signals of a process that is inside.
 *
 * Linux sends signals to the process, keeps them while they are blocked, and chooses the thread: the native mask of a thread is the
 * program's whenever it may sleep or run. Only handlers are different: Linux knows our wrapper in place of each (and always of SIGSEGV and
 * SIGBUS, which the loop needs for itself), and `actions` is what the program has set.
 *
 * The wrapper, which runs with everything blocked, looks where the thread was:
 *
 *	in self_copy() and the like	the access is answered with "no"; nobody sees a signal
 *	not on a native stack		the thread is outside: the program's handler is called as if Linux had called it
 *	in the loop			the signal is noted, with the mask the program had. From then on the thread has all but SIGSEGV and SIGBUS
 *					blocked (`held`), so that one is noted at a time. If it was about to make a system call that has not
 *					begun, or that Linux would begin again, it does not (native.S). The next entry is interrupted at once.
 *
 * When the vCPU stands in a hypercall next, the program's registers are in v->frame and its vector registers in the thread's: the frame is
 * built on its stack as Linux would (frame.c), v->frame becomes the handler's, the thread's mask what Linux would make it. A signal that was
 * pending behind that mask comes now, is noted, and its frame lies above the first one's, as it would.
 *
 * held, mask, and the wrapper. While `held` is set, `mask` is the program's mask and the native one is MASK_HELD. Setting it: mask first,
 * then held, then the native mask. Ending it (self_signals_release): `releasing` keeps the wrapper from taking the mask it interrupted for
 * the program's; if it has noted something in between, everything is held again.
 *
 * Exceptions of the program become signals by rt_tgsigqueueinfo() to the thread itself, with the siginfo that Linux would make: so that a
 * debugger or a core sees them. Where the program has no handler (or blocks or ignores the signal, which does not help against exceptions)
 * the thread goes on outside with the signal pending and its default action: Linux ends the process there, with the program's registers.
 *
 * No libc, no vector registers, no TLS in any of this.
 */
#include <asm/errno.h>
#include <asm/unistd.h>

#include "raw.h"
#include "signals.h"

#define NSIG_		64
#define BIT_OF(sig)	(1ull << ((sig) - 1))
#define MASK_ALL	(~0ull)
#define MASK_HELD	(MASK_ALL & ~(BIT_OF(SIGSEGV) | BIT_OF(SIGBUS)))
#define MASK_NEVER	(BIT_OF(SIGKILL) | BIT_OF(SIGSTOP))

#define SIGRTMIN_	32	/* Linux's: more than one may be pending from here on */
#define SI_KERNEL_	0x80
#define CODE_MCEERR_AO	5
#define CODE_SECCOMP	1

#define USER_END	0x800000000000ull
#define LINUX_END	0x7ffffffff000ull /* TASK_SIZE_MAX */
#define NOT_CANONICAL	0x8000000000000000ull

#define EFLAGS_TF	(1ul << 8)

/* One that comes before everything is held, SIGSEGV and SIGBUS after that, one while the mask is being set. */
#define NOTED	4

/* In v->signals. */
struct signals {
	struct self_altstack alt;
	uint64_t mask;
	volatile int held;
	volatile int releasing;
	uint32_t used;		/* which of noted[] are to be delivered */
	uint32_t kept;		/* and which only go back to Linux, as they are blocked */
	volatile int suspended;	/* the call that a signal ended and that had a mask of its own; 0: none */
	volatile int raised;	/* an exception's signal that we have just sent ourselves; it has come when 0 */
	uint64_t trapno, err, cr2;
	/* of the last access that was refused */
	struct self_siginfo refused;
	uint64_t refused_trapno, refused_err, refused_cr2;
	struct self_siginfo noted[NOTED];
};

_Static_assert(sizeof(struct signals) <= sizeof(((struct self_vcpu *)0)->signals), "fits");

/* What the program has set, and for which signals Linux has the wrapper. */
static struct self_action actions[NSIG_ + 1];
static uint64_t wrapped;
static unsigned int users; /* threads inside, and those on their way */
static volatile uint32_t actions_lock;

static struct self_vector vector;
static uint32_t initial_pkru;

/* x87 and vector registers as they are at first: XRSTOR loads MXCSR even so. */
static const struct {
	uint16_t fcw, fsw;
	uint8_t ftw, pad[19];
	uint32_t mxcsr;
	uint8_t rest[4096 - 28];
} __attribute__((packed, aligned(64))) initial = { .fcw = 0x37f, .mxcsr = 0x1f80 };

SELF_HIDDEN void self_wrapper(int sig, struct self_siginfo *info, struct self_ucontext *uc);

static struct signals *signals_of(struct self_vcpu *v)
{
	return (struct signals *)v->signals;
}

static long native_action(int sig, const struct self_action *act, struct self_action *old)
{
	return rs_raw4(__NR_rt_sigaction, sig, (long)act, (long)old, sizeof(uint64_t));
}

static long native_mask(uint64_t mask, uint64_t *old)
{
	return rs_raw4(__NR_rt_sigprocmask, SIG_SETMASK, (long)&mask, (long)old, sizeof(mask));
}

static void zero(void *p, unsigned long n)
{
	uint64_t *w = p;

	for (; n >= sizeof(*w); n -= sizeof(*w))
		*w++ = 0;
}

/* What Linux sends a thread for something it has done itself, at once: neither blocking nor ignoring helps. */
static bool by_exception(const struct self_siginfo *info)
{
	static const uint64_t synchronous = BIT_OF(SIGSEGV) | BIT_OF(SIGBUS) | BIT_OF(SIGILL) | BIT_OF(SIGTRAP) | BIT_OF(SIGFPE) |
					    BIT_OF(SIGSYS);

	if (info->code <= 0 || !(synchronous & BIT_OF(info->signo)))
		return false;
	return !(info->signo == SIGBUS && info->code == CODE_MCEERR_AO);
}

/* --- what the program has set --------------------------------------------------------------------------------------------------------- */

/* Linux is told what stands in actions[sig]. */
static long install(int sig)
{
	struct self_action native = actions[sig];
	bool handler = native.handler != SELF_SIG_DFL && native.handler != SELF_SIG_IGN;
	long ret;

	if (handler || sig == SIGSEGV || sig == SIGBUS) {
		if (!(native.flags & SELF_SA_RESTORER))
			native.restorer = (uint64_t)self_restore_rt;
		native.flags &= SELF_SA_NOCLDSTOP | SELF_SA_NOCLDWAIT | SELF_SA_ONSTACK | SELF_SA_RESTART;
		native.flags |= SELF_SA_SIGINFO | SELF_SA_RESTORER;
		native.handler = (uint64_t)self_wrapper;
		native.mask = MASK_ALL;
		ret = native_action(sig, &native, NULL);
		if (!ret)
			wrapped |= BIT_OF(sig);
	} else {
		ret = native_action(sig, &native, NULL);
		if (!ret)
			wrapped &= ~BIT_OF(sig);
	}
	return ret;
}

/* What a signal does that is delivered now; SA_RESETHAND happens here. */
static struct self_action action_take(int sig)
{
	struct self_action a;

	self_mend();
	self_lock(&actions_lock);
	a = actions[sig];
	if ((a.flags & SELF_SA_RESETHAND) && a.handler != SELF_SIG_DFL && a.handler != SELF_SIG_IGN) {
		/* A vfork child's is its own, which Linux alone knows; what it shares with us is not to be changed. */
		if (rs_raw3(__NR_getpid, 0, 0, 0) == rs_self.pid) {
			actions[sig].handler = SELF_SIG_DFL;
			install(sig);
		} else {
			struct self_action dfl = a;

			dfl.handler = SELF_SIG_DFL;
			native_action(sig, &dfl, NULL);
		}
	}
	self_unlock(&actions_lock);
	return a;
}

static void default_natively(int sig)
{
	struct self_action dfl = { .handler = SELF_SIG_DFL };

	native_action(sig, &dfl, NULL);
}

static long queue_to_self(const struct self_siginfo *info)
{
	long pid = rs_raw3(__NR_getpid, 0, 0, 0);
	long tid = rs_raw3(__NR_gettid, 0, 0, 0);

	return rs_raw4(__NR_rt_tgsigqueueinfo, pid, tid, info->signo, (long)info);
}

/* --- the wrapper ---------------------------------------------------------------------------------------------------------------------- */

/* The vCPU on whose native stack @rsp is: its thread is in the loop. The same block has a stack that the program may be on outside. */
static struct self_vcpu *in_loop(uint64_t rsp)
{
	struct self_vcpu *v = self_vcpu_at(rsp);
	uint64_t off = rsp & (RS_SELF_BLOCK - 1);

	return v && off >= RS_BLOCK_NATIVE && off <= RS_BLOCK_NATIVE_TOP ? v : NULL;
}

static bool between(uint64_t rip, const char *first, const char *last)
{
	return rip >= (uint64_t)first && rip <= (uint64_t)last;
}

static void outside(int sig, struct self_siginfo *info, struct self_ucontext *uc)
{
	struct self_action a = action_take(sig);

	if (a.handler == SELF_SIG_IGN && !by_exception(info))
		return;
	if (a.handler == SELF_SIG_DFL || a.handler == SELF_SIG_IGN) {
		/* An exception comes once more, and is Linux's then. */
		default_natively(sig);
		if (!by_exception(info))
			queue_to_self(info);
		return;
	}
	native_mask(self_frame_mask(&a, sig, uc->sigmask), NULL);
	((void (*)(int, struct self_siginfo *, struct self_ucontext *))a.handler)(sig, info, uc);
}

/* Calls that sleep with another mask: it is the one the handler's is made of, when a signal has ended them. */
static bool has_own_mask(uint64_t nr)
{
	return nr == __NR_rt_sigsuspend || nr == __NR_ppoll || nr == __NR_pselect6 || nr == __NR_epoll_pwait ||
	       nr == __NR_epoll_pwait2 || nr == __NR_io_pgetevents;
}

static uint64_t fpu_features(const struct self_sigcontext *sc)
{
	return ((const struct self_sw_bytes *)(sc->fpstate + SELF_FX_SW))->features;
}

static void note(struct self_vcpu *v, const struct self_siginfo *info, bool blocked)
{
	struct signals *s = signals_of(v);
	int i, to = -1;

	for (i = 0; i < NOTED; i++) {
		if (!((s->used | s->kept) & 1u << i))
			to = to < 0 ? i : to;
		else if (s->noted[i].signo == info->signo && info->signo < SIGRTMIN_)
			return; /* it is pending, and counts once */
	}
	if (to < 0)
		self_die("no room to note signal %d", info->signo);
	s->noted[to] = *info;
	if (blocked) {
		__atomic_fetch_or(&s->kept, 1u << to, __ATOMIC_RELAXED);
		return;
	}
	__atomic_fetch_or(&s->used, 1u << to, __ATOMIC_RELAXED);
	v->pending = 1;
	self_want_here(v);
}

void self_wrapper(int sig, struct self_siginfo *info, struct self_ucontext *uc)
{
	struct self_sigcontext *sc = &uc->mcontext;
	uint64_t rip = sc->rip;
	struct self_vcpu *v = in_loop(sc->rsp);
	bool blocked = false;
	struct signals *s;

	if ((sig == SIGSEGV || sig == SIGBUS) && by_exception(info) && rip >= (uint64_t)self_safe_begin &&
	    rip < (uint64_t)self_safe_end) {
		if (!vector.sw.size) {
			if (fpu_features(sc) & SELF_PKRU)
				__asm__ volatile("rdpkru" : "=a"(initial_pkru) : "c"(0) : "edx");
			self_vector_of(&vector, (void *)((char *)uc - offsetof(struct self_sigframe, uc)),
				       (void *)(sc->fpstate + SELF_FX_SW));
		}
		if (v) {
			s = signals_of(v);
			s->refused = *info;
			s->refused_trapno = sc->trapno;
			s->refused_err = sc->err;
			s->refused_cr2 = sc->cr2;
		}
		sc->rip = (uint64_t)self_safe_faulted;
		return;
	}
	if (!v) {
		outside(sig, info, uc);
		return;
	}
	s = signals_of(v);
	if (by_exception(info) && (sig == SIGSEGV || sig == SIGBUS) && s->raised != sig)
		self_die("signal %d in the ring's own code, at %#lx, address %#lx", sig, rip, info->fault.addr);
	if (s->raised == sig)
		s->raised = 0;

	if (between(rip, self_syscall_begin, self_syscall_insn) ||
	    between(rip, self_clone_inside_begin, self_clone_inside_insn)) {
		sc->rip = (uint64_t)self_syscall_interrupted;
	} else if (between(rip, self_clone_outside_begin, self_clone_outside_insn)) {
		sc->rip = (uint64_t)self_clone_outside_interrupted;
	} else if (rip == (uint64_t)self_syscall_end) {
		if ((int64_t)sc->rax == -EINTR && has_own_mask(v->frame.rax))
			s->suspended = v->frame.rax;
		if (sig == SIGSYS && info->code == CODE_SECCOMP)
			info->words[0] = v->frame.rip;
	}
	/* SIGSEGV and SIGBUS come while everything is held, though the program may block them. */
	if (!s->held && !s->releasing)
		s->mask = uc->sigmask;
	else
		blocked = (s->mask & BIT_OF(sig)) && !by_exception(info);
	s->held = 1;
	uc->sigmask = MASK_HELD;
	note(v, info, blocked);
}

/* --- holding -------------------------------------------------------------------------------------------------------------------------- */

void self_signals_hold(struct self_vcpu *v)
{
	struct signals *s = signals_of(v);
	uint64_t mask;

	if (s->held)
		return;
	rs_raw4(__NR_rt_sigprocmask, SIG_SETMASK, 0, (long)&mask, sizeof(mask));
	if (s->held)
		return;
	/* A signal that came by now has held everything itself, with this mask. */
	s->mask = mask;
	s->held = 1;
	native_mask(MASK_HELD, NULL);
}

/* What is blocked goes back to Linux, where it stays pending: the native mask blocks it. */
static void give_back(struct signals *s)
{
	int i;

	for (i = 0; i < NOTED && s->kept; i++) {
		if (!(s->kept & 1u << i))
			continue;
		queue_to_self(&s->noted[i]);
		__atomic_fetch_and(&s->kept, ~(1u << i), __ATOMIC_RELAXED);
	}
}

void self_signals_release(struct self_vcpu *v)
{
	struct signals *s = signals_of(v);

	if (s->used) {
		v->pending = 1;
		return;
	}
	s->releasing = 1;
	s->held = 0;
	native_mask(s->mask, NULL);
	s->releasing = 0;
	if (s->held)
		native_mask(MASK_HELD, NULL);	/* noted before the mask was set: it is not what it should be */
	else
		give_back(s);
}

void self_signals_begin(struct self_vcpu *v)
{
	self_signals_release(v);
}

enum self_next self_signals_again(struct self_vcpu *v)
{
	v->frame.rip -= v->insn_len;
	return self_signals_deliver(v, SELF_LOAD);
}

/* --- delivery ------------------------------------------------------------------------------------------------------------------------- */

/* The vector registers to the area at @fx, as Linux leaves it there. */
static int put_vector(uint64_t fx)
{
	static const uint64_t header[8];
	uint32_t magic2 = SELF_MAGIC2, features;
	char *area = (char *)fx;

	if (vector.xsave) {
		if (self_copy(area + SELF_XSAVE_HEADER, header, sizeof(header)) ||
		    self_xsave(area, vector.sw.features) ||
		    self_copy(area + vector.sw.size, &magic2, sizeof(magic2)) ||
		    self_copy(&features, area + SELF_XSAVE_HEADER, sizeof(features)))
			return -1;
		features |= SELF_FPSSE;
		if (self_copy(area + SELF_XSAVE_HEADER, &features, sizeof(features)))
			return -1;
	} else if (self_fxsave(area)) {
		return -1;
	}
	return self_copy(area + SELF_FX_SW, &vector.sw, sizeof(vector.sw));
}

/* What the handler starts with. */
static void initial_vector(uint64_t features)
{
	if (vector.xsave)
		self_xrstor(&initial, features & ~SELF_PKRU);
	else
		self_fxrstor(&initial);
}

static int get_vector(uint64_t fx)
{
	struct self_sw_bytes sw;
	uint64_t features;
	uint32_t magic2 = 0;
	bool fx_only;

	if (!fx) {
		initial_vector(vector.sw.features);
		return 0;
	}
	if (!vector.xsave)
		return self_fxrstor((void *)fx);
	if (self_copy(&sw, (char *)fx + SELF_FX_SW, sizeof(sw)))
		return -1;
	if (self_frame_has_magic2(&vector, &sw) && self_copy(&magic2, (char *)fx + sw.size, sizeof(magic2)))
		return -1;
	features = self_frame_vector(&vector, &sw, magic2, &fx_only);
	if (fx_only ? self_fxrstor((void *)fx) : self_xrstor((void *)fx, features))
		return -1;
	if (vector.sw.features & ~features & ~SELF_PKRU)
		initial_vector(vector.sw.features & ~features);
	return 0;
}

static int put_frame(const struct self_place *place, const struct self_sigframe *f, unsigned int left)
{
	const unsigned int gap = offsetof(struct self_sigframe, uc.mcontext.reserved);
	const unsigned int rest = offsetof(struct self_sigframe, uc.sigmask);
	char *to = (char *)place->frame;

	if (place->frame >= USER_END)
		return -1;
	return self_copy(to, f, gap) || self_copy(to + rest, (const char *)f + rest, sizeof(*f) - rest - left) ? -1 : 0;
}

/* The mask that a call which a signal has ended had put into place. */
static uint64_t own_mask(const struct self_vcpu *v, int nr, uint64_t otherwise)
{
	const struct rs_trap_frame *f = &v->frame;
	uint64_t at = 0, mask;

	switch (nr) {
	case __NR_rt_sigsuspend:
		at = f->rdi;
		break;
	case __NR_ppoll:
		at = f->r10;
		break;
	case __NR_epoll_pwait:
	case __NR_epoll_pwait2:
		at = f->r8;
		break;
	case __NR_pselect6:
	case __NR_io_pgetevents:
		if (f->r9 && self_copy(&at, (void *)f->r9, sizeof(at)))
			at = 0;
		break;
	}
	if (!at || self_copy(&mask, (void *)at, sizeof(mask)))
		return otherwise;
	return mask & ~MASK_NEVER;
}

/*
 * The frame of @info's handler, and its registers. -1: it cannot be written.
 */
static int build(struct self_vcpu *v, const struct self_siginfo *info, const struct self_action *a)
{
	struct signals *s = signals_of(v);
	struct rs_trap_frame *f = &v->frame;
	struct self_event event = { .info = *info, .mask = s->mask, .trapno = s->trapno, .err = s->err, .cr2 = s->cr2 };
	uint64_t base = s->suspended ? own_mask(v, s->suspended, s->mask) : s->mask;
	struct self_sigframe frame;
	struct self_place place;
	unsigned int left;
	uint64_t mark = self_is_inner(v) ? RS_UC_RING3 : 0;
	/* Ring 3's rsp is anything, and its stack is not to be trusted: as for exceptions, the frame goes where the next trap's would. */
	uint64_t rsp = mark ? v->trap_top : f->rsp;

	if (!(a->flags & SELF_SA_RESTORER) || self_frame_place(&vector, a, &s->alt, rsp, &place) ||
	    place.fx >= USER_END || put_vector(place.fx))
		return -1;
	left = self_frame_fill(&frame, &vector, &place, a, &event, &s->alt, f);
	if (put_frame(&place, &frame, left))
		return -1;
	if (v->ring0 && self_copy((char *)place.frame + offsetof(struct self_sigframe, uc.mcontext.reserved[7]), &mark,
				  sizeof(mark)))
		return -1;
	self_frame_enter(&place, a, info->signo, &s->alt, f);
	if (v->ring0)
		f->cs = RS_SEL_KERNEL_CS;
	s->mask = self_frame_mask(a, info->signo, base);
	initial_vector(vector.sw.features);
	if (vector.sw.features & SELF_PKRU)
		__asm__ volatile("wrpkru" : : "a"(initial_pkru), "c"(0), "d"(0));
	return 0;
}

/* Ends the process by the default action of @info's signal, with the registers of v->frame; everything is held. */
static void __attribute__((noreturn)) end(struct self_vcpu *v, const struct self_siginfo *info)
{
	struct signals *s = signals_of(v);

	native_mask(MASK_ALL, NULL);
	default_natively(info->signo);
	queue_to_self(info);
	/* Nothing else is to come first. */
	s->mask = MASK_ALL & ~BIT_OF(info->signo);
	s->used = 0;
	s->kept = 0;
	v->pending = 0;
	self_outside(v);
}

/* An exception of the program, or a frame that could not be written: blocking and ignoring do not help. Everything is held. */
static void force(struct self_vcpu *v, const struct self_siginfo *info)
{
	struct self_action a = action_take(info->signo);

	if (a.handler == SELF_SIG_DFL || a.handler == SELF_SIG_IGN || (signals_of(v)->mask & BIT_OF(info->signo)))
		end(v, info);
	if (build(v, info, &a)) {
		struct self_siginfo bad = { .signo = SIGSEGV, .code = SI_KERNEL_ };

		if (info->signo == SIGSEGV)
			end(v, &bad);
		force(v, &bad);
	}
}

/*
 * Everything is held: all that is noted becomes frames, each above the one before; s->mask is that of the last one's handler. Exceptions
 * go first, as Linux has it. What has become blocked since goes back to Linux.
 */
static void deliver_held(struct self_vcpu *v)
{
	struct signals *s = signals_of(v);
	struct self_siginfo info;
	struct self_action a;
	int i, take;

	while (s->used) {
		take = -1;
		for (i = 0; i < NOTED; i++)
			if ((s->used & 1u << i) && (take < 0 || by_exception(&s->noted[i])))
				take = i;
		info = s->noted[take];
		__atomic_fetch_and(&s->used, ~(1u << take), __ATOMIC_RELAXED);
		if (by_exception(&info)) {
			force(v, &info);
		} else {
			a = action_take(info.signo);
			if (a.handler == SELF_SIG_IGN)
				continue;
			if (a.handler == SELF_SIG_DFL) {
				if (info.signo == SIGSEGV || info.signo == SIGBUS)
					end(v, &info);
				/* It had a handler when it came. Linux knows what else to do, as soon as it is let through. */
				queue_to_self(&info);
				continue;
			}
			if (build(v, &info, &a)) {
				struct self_siginfo bad = { .signo = SIGSEGV, .code = SI_KERNEL_ };

				if (info.signo == SIGSEGV)
					end(v, &bad);
				force(v, &bad);
			}
		}
		s->suspended = 0;
		v->signals_delivered++;
		/* What the handler blocks waits until it has returned. */
		for (i = 0; i < NOTED; i++) {
			if (!(s->used & 1u << i) || by_exception(&s->noted[i]) ||
			    !(s->mask & BIT_OF(s->noted[i].signo)))
				continue;
			__atomic_fetch_or(&s->kept, 1u << i, __ATOMIC_RELAXED);
			__atomic_fetch_and(&s->used, ~(1u << i), __ATOMIC_RELAXED);
		}
	}
	s->suspended = 0;
}

enum self_next self_signals_deliver(struct self_vcpu *v, enum self_next next)
{
	while (v->pending) {
		self_signals_hold(v);
		deliver_held(v);
		v->pending = 0;
		self_signals_release(v);
		next = SELF_LOAD;
	}
	return next;
}

/* --- exceptions ----------------------------------------------------------------------------------------------------------------------- */

int self_probe(struct self_vcpu *v, uint64_t addr, uint32_t access, siginfo_t *info)
{
	struct signals *s = signals_of(v);
	int ret;

	self_signals_hold(v);
	ret = access & RS_FAULT_WRITE ? self_touch_write(addr) : self_touch_read(addr);
	if (ret) {
		if (access & RS_FAULT_FETCH)
			s->refused_err |= 1u << 4;
		*(struct self_siginfo *)info = s->refused;
	}
	self_signals_release(v);
	return ret ? 1 : 0;
}

enum self_next self_signals_fault(struct self_vcpu *v, const siginfo_t *linux_info)
{
	struct self_siginfo info = *(const struct self_siginfo *)linux_info;
	struct signals *s = signals_of(v);
	struct self_action a;

	if (info.signo == s->refused.signo && info.code == s->refused.code && info.fault.addr == s->refused.fault.addr) {
		s->trapno = s->refused_trapno;
		s->err = s->refused_err;
		s->cr2 = s->refused_cr2;
		s->refused.signo = 0;
	} else {
		s->trapno = v->frame.vector == RS_VECTOR_NESTED_FAULT ? 14 : v->frame.vector;
		s->err = v->frame.error;
		if (s->trapno == 14) {
			s->cr2 = info.fault.addr;
			s->err |= 1u << 2; /* in ring 0, too, it is the program's */
			if (s->cr2 >= LINUX_END)
				s->err |= 1u; /* Linux does not tell what is mapped there */
		}
	}
	/* Nothing else comes in between: this one's frame is the first, and has the registers of the exception. */
	self_signals_hold(v);
	self_lock(&actions_lock);
	a = actions[info.signo];
	self_unlock(&actions_lock);
	if (a.handler != SELF_SIG_DFL && a.handler != SELF_SIG_IGN && !(s->mask & BIT_OF(info.signo))) {
		s->raised = info.signo;
		native_mask(MASK_HELD & ~BIT_OF(info.signo), NULL);
		queue_to_self(&info);
		native_mask(MASK_HELD, NULL);
		/* If it has not come a debugger has it, and wants the instruction to be repeated. */
		s->raised = 0;
	} else {
		force(v, &info);
		v->signals_delivered++;
	}
	v->pending = 1;
	return self_signals_deliver(v, SELF_LOAD);
}

#define FPE_INTDIV_	1
#define ILL_ILLOPN_	2
#define TRAP_BRKPT_	1
#define TRAP_TRACE_	2
#define SEGV_MAPERR_	1
#define SEGV_ACCERR_	2
#define BUS_ADRALN_	1

/* Which of the exceptions of x87 or SSE that are not masked it was: FPE_*, 0: none. */
static int fpe_code(unsigned int raised)
{
	if (raised & 0x01)
		return 7; /* FPE_FLTINV */
	if (raised & 0x04)
		return 3; /* FPE_FLTDIV */
	if (raised & 0x08)
		return 4; /* FPE_FLTOVF */
	if (raised & 0x12)
		return 5; /* FPE_FLTUND */
	if (raised & 0x20)
		return 6; /* FPE_FLTRES */
	return 0;
}

enum self_next self_signals_trap(struct self_vcpu *v)
{
	struct self_siginfo info = { .code = SI_KERNEL_ };
	struct rs_trap_frame *f = &v->frame;
	uint16_t fcw, fsw;
	uint32_t mxcsr;

	switch (f->vector) {
	case 0:
		info.signo = SIGFPE;
		info.code = FPE_INTDIV_;
		info.fault.addr = f->rip;
		break;
	case 1:
		info.signo = SIGTRAP;
		info.code = f->rflags & EFLAGS_TF ? TRAP_TRACE_ : TRAP_BRKPT_;
		info.fault.addr = f->rip;
		break;
	case 3:
		info.signo = SIGTRAP;
		break;
	case 6:
		info.signo = SIGILL;
		info.code = ILL_ILLOPN_;
		info.fault.addr = f->rip;
		break;
	case 11:
	case 12:
		info.signo = SIGBUS;
		break;
	case 14:
		info.signo = SIGSEGV;
		info.code = v->cr2 < USER_END ? SEGV_ACCERR_ : SEGV_MAPERR_;
		info.fault.addr = v->cr2;
		break;
	case 16:
		__asm__ volatile("fnstcw %0; fnstsw %1" : "=m"(fcw), "=m"(fsw));
		info.signo = SIGFPE;
		info.code = fpe_code(fsw & ~fcw);
		info.fault.addr = f->rip;
		break;
	case 17:
		info.signo = SIGBUS;
		info.code = BUS_ADRALN_;
		break;
	case 19:
		__asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
		info.signo = SIGFPE;
		info.code = fpe_code(~(mxcsr >> 7) & mxcsr);
		info.fault.addr = f->rip;
		break;
	default: /* 4, 5, 13 */
		info.signo = SIGSEGV;
		break;
	}
	return self_signals_fault(v, (const siginfo_t *)&info);
}

/* --- calls ---------------------------------------------------------------------------------------------------------------------------- */

static long call_sigaction(const struct rs_trap_frame *f)
{
	struct self_action act = { 0 }, old;
	int sig = f->rdi;
	long ret = 0;

	if (f->r10 != sizeof(uint64_t))
		return -EINVAL;
	if (f->rsi && self_copy(&act, (void *)f->rsi, sizeof(act)))
		return -EFAULT;
	if (sig < 1 || sig > NSIG_ || (f->rsi && (BIT_OF(sig) & MASK_NEVER)))
		return -EINVAL;
	self_lock(&actions_lock);
	old = actions[sig];
	if (f->rsi) {
		actions[sig] = act;
		actions[sig].flags &= SELF_SA_ALL;
		actions[sig].mask &= ~MASK_NEVER;
		ret = install(sig);
		if (ret)
			actions[sig] = old;
	}
	self_unlock(&actions_lock);
	if (!ret && f->rdx && self_copy((void *)f->rdx, &old, sizeof(old)))
		return -EFAULT;
	return ret;
}

static long call_sigaltstack(struct signals *s, const struct rs_trap_frame *f)
{
	struct self_altstack set = { 0 }, old = { 0 };
	long ret;

	if (f->rdi && self_copy(&set, (void *)f->rdi, sizeof(set)))
		return -EFAULT;
	ret = self_altstack_set(&s->alt, f->rdi ? &set : NULL, &old, f->rsp, SELF_MINSIGSTKSZ);
	if (!ret && f->rsi && self_copy((void *)f->rsi, &old, sizeof(old)))
		return -EFAULT;
	return ret;
}

/* Everything is held. 0, or -1: no frame that can be returned to. */
static int take_back(struct self_vcpu *v)
{
	struct signals *s = signals_of(v);
	struct rs_trap_frame *f = &v->frame;
	uint64_t at = f->rsp - 8;
	struct self_sigframe frame;

	if (at >= USER_END || self_copy(&frame, (void *)at, sizeof(frame)))
		return -1;
	s->mask = frame.uc.sigmask & ~MASK_NEVER;
	self_frame_take(&frame, f);
	if (v->ring0)
		f->cs = frame.uc.mcontext.reserved[7] == RS_UC_RING3 ? RS_SEL_USER_CS : RS_SEL_KERNEL_CS;
	if (frame.uc.mcontext.fpstate >= USER_END || get_vector(frame.uc.mcontext.fpstate)) {
		initial_vector(vector.sw.features);
		return -1;
	}
	self_altstack_set(&s->alt, &frame.uc.stack, NULL, f->rsp, SELF_MINSIGSTKSZ);
	return f->rip >= USER_END && !v->ring0 ? -1 : 0;
}

int self_signals_call(struct self_vcpu *v, enum self_next *next)
{
	static const struct self_siginfo bad = { .signo = SIGSEGV, .code = SI_KERNEL_ };
	uint64_t nr = v->frame.rax;
	int failed;

	if (nr != __NR_rt_sigaction && nr != __NR_rt_sigreturn && nr != __NR_sigaltstack)
		return 0;
	self_signals_hold(v);
	if (v->pending) {
		*next = self_signals_again(v);
		return 1;
	}
	if (nr == __NR_rt_sigreturn) {
		failed = take_back(v);
		self_signals_release(v);
		*next = failed ? self_signals_fault(v, (const siginfo_t *)&bad) : SELF_LOAD;
		return 1;
	}
	v->frame.rax = nr == __NR_rt_sigaction ? call_sigaction(&v->frame) : call_sigaltstack(signals_of(v), &v->frame);
	self_signals_release(v);
	*next = SELF_CALL;
	return 1;
}

/* --- coming and going ----------------------------------------------------------------------------------------------------------------- */

/* Linux has the program's handlers again, but for those that somebody outside has replaced since. */
static void unwrap(void)
{
	struct self_action a;
	int sig;

	for (sig = 1; sig <= NSIG_; sig++)
		if ((wrapped & BIT_OF(sig)) && !native_action(sig, NULL, &a) && a.handler == (uint64_t)self_wrapper)
			native_action(sig, &actions[sig], NULL);
	wrapped = 0;
}

int self_signals_start(void)
{
	struct self_action a;
	uint64_t mask;
	long ret = 0;
	int sig;

	native_mask(MASK_HELD, &mask);
	self_lock(&actions_lock);
	for (sig = 1; sig <= NSIG_ && !ret && !users; sig++) {
		if (BIT_OF(sig) & MASK_NEVER)
			continue;
		ret = native_action(sig, NULL, &a);
		if (ret || a.handler == (uint64_t)self_wrapper)
			continue;
		actions[sig] = a;
		if (sig == SIGSEGV || sig == SIGBUS || (a.handler != SELF_SIG_DFL && a.handler != SELF_SIG_IGN))
			ret = install(sig);
	}
	if (!ret)
		users++;
	else
		unwrap();
	self_unlock(&actions_lock);
	/* The first frame that Linux makes says what they look like here. */
	if (!ret && !vector.sw.size)
		self_touch_read(NOT_CANONICAL);
	native_mask(mask, NULL);
	return ret;
}

void self_signals_stop(void)
{
	uint64_t mask;

	native_mask(MASK_ALL, &mask);
	self_lock(&actions_lock);
	if (!--users)
		unwrap();
	self_unlock(&actions_lock);
	native_mask(mask, NULL);
}

void self_signals_enter(struct self_vcpu *v)
{
	static const struct self_altstack off = { .flags = SELF_SS_DISABLE };
	struct signals *s = signals_of(v);
	struct self_altstack old;

	zero(s, sizeof(*s));
	v->pending = 0;
	s->mask = v->mask;
	s->held = 1;
	/* Not from a stack that may be the one in question. */
	self_call_on((char *)v + RS_BLOCK_NATIVE_TOP - 64, __NR_sigaltstack, (long)&off, (long)&old);
	s->alt.sp = old.sp;
	s->alt.size = old.size;
	s->alt.flags = old.flags & (SELF_SS_AUTODISARM | SELF_SS_DISABLE);
}

void self_signals_thread(struct self_vcpu *v)
{
	struct signals *s = signals_of(v);

	zero(s, sizeof(*s));
	v->pending = 0;
	s->alt.flags = SELF_SS_DISABLE;
	self_lock(&actions_lock);
	users++;
	self_unlock(&actions_lock);
}

void self_signals_child(struct self_vcpu *v)
{
	struct signals *s = signals_of(v);

	s->used = s->kept = 0;
	v->pending = 0;
	/* self_outside() is to come, for the one thread there is. */
	actions_lock = 0;
	users = 1;
}

void self_signals_copied(void)
{
	actions_lock = 0;
	users = 0;
}

void self_signals_lock(void)
{
	self_lock(&actions_lock);
}

void self_signals_unlock(void)
{
	self_unlock(&actions_lock);
}

void self_signals_exec(int undo)
{
	static const int own[] = { SIGSEGV, SIGBUS };
	unsigned int i;

	self_lock(&actions_lock);
	for (i = 0; i < 2; i++) {
		if (actions[own[i]].handler != SELF_SIG_IGN)
			continue;
		if (undo)
			install(own[i]);
		else
			native_action(own[i], &actions[own[i]], NULL);
	}
	self_unlock(&actions_lock);
}

static void set_bases(uint64_t fs, uint64_t gs)
{
	if (rs_self.fsgsbase) {
		__asm__ volatile("wrfsbase %0; wrgsbase %1" : : "r"(fs), "r"(gs));
	} else {
		rs_raw3(__NR_arch_prctl, 0x1002 /* ARCH_SET_FS */, fs, 0);
		rs_raw3(__NR_arch_prctl, 0x1001 /* ARCH_SET_GS */, gs, 0);
	}
}

void self_signals_bases(const struct self_vcpu *v)
{
	if (self_is_inner(v))
		set_bases(v->user_fs, v->user_gs);
	else
		set_bases(v->fs_base, v->gs_base);
}

void self_outside_as(struct self_vcpu *v, const struct rs_trap_frame *f)
{
	struct signals *s = signals_of(v);
	struct self_event event = { .mask = s->mask };
	struct self_action none = { 0 };
	struct self_sigframe frame;
	struct self_place place;

	place.frame = (uint64_t)&frame;
	place.fx = ((uint64_t)__builtin_alloca(self_vector_bytes(&vector) + 64) + 63) & ~63ull;
	zero((void *)place.fx, self_vector_bytes(&vector));
	put_vector(place.fx);
	zero(&frame, sizeof(frame));
	self_frame_fill(&frame, &vector, &place, &none, &event, &s->alt, f);
	self_signals_bases(v);
	self_sigreturn(&frame);
}

void self_outside(struct self_vcpu *v)
{
	struct signals *s = signals_of(v);

	do {
		self_signals_hold(v);
		deliver_held(v);
		native_mask(MASK_ALL, NULL);
	} while (s->used);
	give_back(s);
	v->pending = 0;
	self_signals_stop();
	self_outside_as(v, &v->frame);
}
