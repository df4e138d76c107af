// SPDX-License-Identifier: MIT
/*
 * trap.c - exceptions, system calls of ring 3, signals: from ringside/self.h to the program's handlers
 *
 * Page faults come here all, since the library's tables fill themselves (vm.c). In this order: an address that was never touched gets its
 * default where Linux has something mapped; an access that the table allows by now (another thread was here) is repeated; the program's
 * handler; Linux's signal. Where Linux has nothing mapped an address is the handler's, but for the stack's next pages, which have no
 * mapping before they are touched.
 *
 * An access that Linux refuses is the handler's as well: it may map something else there. A handler that changes nothing would be asked for
 * ever; after STUCK times in a row at the same instruction, with the same entry, it is Linux's signal. (Of a refused access a handler that has
 * made Linux allow it does not count: its mapping is looked for before the access is given up.)
 *
 * INT n of ring 0 finds no gate from 32 on: a #GP whose error code names a gate. That is how the program's vectors are served. Which one it
 * was the instruction says: not all that emulate CPUs agree on the number in the error code.
 */
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <ringside/self.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <ucontext.h>
#include <unistd.h>
#include "cpu-x86.h"
#include "sys.h"
#include "run.h"

#define STUCK		64
#define STACK_NEAR	(256ul << 10)	/* a frame, and an array in it, may reach this far below rsp */
#define ERROR_IDT	2		/* of #GP: the error code names a gate */

#define SAME(field, theirs) \
	_Static_assert(offsetof(struct dune_tf, field) == offsetof(struct rs_trap_frame, theirs), #field " is " #theirs)
SAME(addr, addr);
SAME(cause, cause);
SAME(r15, r15);
SAME(rbx, rbx);
SAME(r8, r8);
SAME(rax, rax);
SAME(rdi, rdi);
SAME(vector, vector);
SAME(err, error);
SAME(rip, rip);
SAME(cs, cs);
SAME(rflags, rflags);
SAME(rsp, rsp);
SAME(ss, ss);
_Static_assert(sizeof(struct dune_tf) == sizeof(struct rs_trap_frame), "a frame is a frame");

__thread bool dune_gave_up TLS;

/* Whose memory ours is, for Linux: a first thread that has ended has none. */
static inline long own_tid(void)
{
	return rs_raw3(SYS_gettid, 0, 0, 0);
}

static dune_intr_cb intr_cbs[IDT_ENTRIES];
static dune_pgflt_cb pgflt_cb;
static dune_syscall_cb syscall_cb;
static sighandler_t plain_handlers[NSIG + 1];

/* The last refused access that the handler has let be. */
static __thread struct {
	uintptr_t addr, rip;
	ptent_t entry;
	unsigned int times;
} stuck TLS;

/*
 * Handlers of signals that are running (signal_depth), how many were when ring 3 was last entered, and the mask that the first one since
 * then has found: dune_ret_from_user() may leave all of them.
 */
static __thread unsigned int signal_depth TLS, signal_base TLS;
static __thread uint64_t signal_mask TLS;

/* --- page faults ------------------------------------------------------------------------------------------------------------------------ */

/* Entry @v allows an access of kind @fec. */
static bool allows(ptent_t v, uint64_t fec)
{
	return (v & PTE_P) && (!(fec & FEC_W) || (v & PTE_W)) && (!(fec & FEC_U) || (v & PTE_U)) && (!(fec & FEC_I) || !(v & PTE_NX)) &&
	       !(fec & FEC_RSV);
}

struct allowed {
	uintptr_t addr;
	uint64_t fec;
	bool yes;
};

static bool find_mapping(const struct dune_procmap_entry *e, void *arg)
{
	struct allowed *a = arg;

	if (e->end <= a->addr)
		return true;
	a->yes = e->begin <= a->addr && (e->r || e->w) && (!(a->fec & FEC_W) || e->w) && (!(a->fec & FEC_I) || e->x);
	return false;
}

/* The handler has returned. true: it is no use asking it again. @refused: by Linux */
static bool no_progress(ptent_t *root, const struct dune_tf *tf, uintptr_t addr, uintptr_t rip, uint64_t fec, bool refused, ptent_t before)
{
	struct allowed a = { addr, fec, false };
	ptent_t v = 0;

	if (dune_sys_root() == root)
		v = dune_vm_peek(root, addr, NULL);
	if (dune_sys_root() != root || v != before || tf->rip != rip) {
		stuck.times = 0;
		return false;
	}
	if (stuck.addr != addr || stuck.rip != rip || stuck.entry != v) {
		stuck.addr = addr;
		stuck.rip = rip;
		stuck.entry = v;
		stuck.times = 0;
	}
	if (++stuck.times < STUCK)
		return false;
	stuck.times = 0;
	if (refused)
		dune_procmap_each(find_mapping, &a);
	return !a.yes;
}

static void on_page_fault(struct rs_trap_frame *f)
{
	struct dune_tf *tf = (struct dune_tf *)f;
	uintptr_t addr = f->addr, rip = f->rip;
	uint64_t fec = f->error;
	bool refused = f->cause == RS_CAUSE_LINUX;
	dune_intr_cb intr = intr_cbs[T_PGFLT];
	dune_pgflt_cb cb = pgflt_cb;
	ptent_t *root = dune_sys_root(), v = 0;

	if (root && !refused) {
		bool near = !(f->cs & 3) && addr < f->rsp + PGSIZE && addr + STACK_NEAR > f->rsp;

		if (!(fec & FEC_P) && dune_vm_fill(root, addr, near || (!cb && !intr)))
			return;
		if (allows(dune_vm_peek(root, addr, NULL), fec) && stuck.times < STUCK) {
			/* Should a table above the entry be the one that does not allow it, this ends. */
			if (stuck.addr != addr || stuck.rip != rip || stuck.entry) {
				stuck.addr = addr;
				stuck.rip = rip;
				stuck.entry = 0;
				stuck.times = 0;
			}
			stuck.times++;
			dune_flush_tlb_one(addr);
			return;
		}
	}
	if (!cb && !intr) {
		f->cause = RS_CAUSE_SIGNAL;
		return;
	}
	if (root)
		v = dune_vm_peek(root, addr, NULL);
	dune_gave_up = false;
	if (intr)
		intr(tf);
	else
		cb(addr, fec, tf);
	if (dune_gave_up || (root && no_progress(root, tf, addr, rip, fec, refused, v))) {
		dune_gave_up = false;
		f->cause = RS_CAUSE_SIGNAL;
		f->addr = addr;
	}
}

void dune_register_pgflt_handler(dune_pgflt_cb cb)
{
	pgflt_cb = cb;
}

/* --- other exceptions --------------------------------------------------------------------------------------------------------------------- */

static void on_exception(struct rs_trap_frame *f)
{
	dune_intr_cb cb = intr_cbs[f->vector & 31];

	if (cb)
		cb((struct dune_tf *)f);
	else
		f->cause = RS_CAUSE_SIGNAL;
}

/* #GP, #NP: maybe INT n. */
static void on_gate(struct rs_trap_frame *f)
{
	/* The instruction was fetched just now, and this is ring 0: it can be read. */
	const uint8_t *insn = (const uint8_t *)f->rip;

	if ((f->error & ERROR_IDT) && !(f->cs & 3) && insn[0] == 0xcd && insn[1] >= 32 && intr_cbs[insn[1]]) {
		f->vector = insn[1];
		f->rip += 2;
		f->error = 0;
		intr_cbs[f->vector]((struct dune_tf *)f);
		return;
	}
	on_exception(f);
}

int dune_register_intr_handler(int vec, dune_intr_cb cb)
{
	int ret;

	if (vec < 0 || vec >= IDT_ENTRIES)
		return -EINVAL;
	if (vec == T_GPFLT || vec == T_SEGNP) {
		intr_cbs[vec] = cb;
		return rs_ring0_handle(vec, on_gate);
	}
	if (vec < 32 && vec != T_PGFLT) {
		/* A handler is known before it is called, and after it was. */
		if (cb)
			intr_cbs[vec] = cb;
		ret = rs_ring0_handle(vec, cb ? on_exception : NULL);
		if (ret || !cb)
			intr_cbs[vec] = NULL;
		return ret;
	}
	intr_cbs[vec] = cb;
	if (vec == T_PGFLT)
		return 0;
	ret = rs_ring0_handle(T_GPFLT, on_gate);
	return ret ? ret : rs_ring0_handle(T_SEGNP, on_gate);
}

int dune_trap_init(void)
{
	return rs_ring0_handle(T_PGFLT, on_page_fault);
}

/* --- ring 3 ------------------------------------------------------------------------------------------------------------------------------- */

/* SYSCALL takes RCX and R11 for itself, so that the fourth argument comes in R10: the program has it in RCX, as for a function. */
static void on_syscall(struct rs_trap_frame *f)
{
	dune_syscall_cb cb = syscall_cb;

	f->rcx = f->r10;
	if (cb) {
		cb((struct dune_tf *)f);
		f->r10 = f->rcx;
	} else {
		rs_ring0_linux(f);
	}
	f->rcx = f->rip;
	f->r11 = f->rflags;
}

void dune_register_syscall_handler(dune_syscall_cb cb)
{
	syscall_cb = cb;
	rs_ring0_syscalls(cb ? on_syscall : NULL);
}

/* arch_prctl() for the bases of ring 3, whose handler asks. */
static long user_arch_prctl(uint64_t code, uint64_t arg)
{
	int which = code == ARCH_SET_GS || code == ARCH_GET_GS;
	uint64_t bases[2] = { 0, 0 };
	struct iovec from = { &bases[which], sizeof(bases[0]) }, to = { (void *)arg, sizeof(bases[0]) };

	rs_ring0_user_bases(NULL, bases);
	if (code == ARCH_GET_FS || code == ARCH_GET_GS)
		return rs_raw6(SYS_process_vm_writev, own_tid(), (long)&from, 1, (long)&to, 1, 0) == sizeof(bases[0]) ? 0 : -EFAULT;
	bases[which] = arg;
	return rs_ring0_user_bases(bases, NULL) ? -EPERM : 0;
}

void dune_passthrough_syscall(struct dune_tf *tf)
{
	struct rs_trap_frame f;

	/* Of ring 3, the bases that a handler has are not the ones that the call means. */
	if ((uint32_t)tf->rax == SYS_arch_prctl && (tf->cs & 3) && ARG0(tf) >= ARCH_SET_GS && ARG0(tf) <= ARCH_GET_GS) {
		tf->rax = user_arch_prctl(ARG0(tf), ARG1(tf));
		return;
	}
	memcpy(&f, tf, sizeof(f));
	f.r10 = tf->rcx;
	tf->rax = rs_ring0_linux(&f);
}

unsigned long dune_get_user_fs(void)
{
	uint64_t bases[2] = { 0, 0 };

	rs_ring0_user_bases(NULL, bases);
	return bases[0];
}

void dune_set_user_fs(unsigned long fs_base)
{
	uint64_t bases[2];

	if (rs_ring0_user_bases(NULL, bases))
		return;
	bases[0] = fs_base;
	rs_ring0_user_bases(bases, NULL);
}

int dune_jump_to_user(struct dune_tf *tf)
{
	unsigned int before = signal_depth, base = signal_base;
	uint64_t mask = signal_mask;
	struct rs_trap_frame f;
	int ret;

	tf->cs = GD_UT | 3;
	tf->ss = GD_UD | 3;
	memcpy(&f, tf, sizeof(f));
	f.rflags |= FL_IF | 2;
	signal_base = before;
	ret = rs_ring0_user(&f);
	if (signal_depth != before) {
		/* out of a signal's handler, which does not return any more: the mask is what it was before */
		signal_depth = before;
		rs_raw6(SYS_rt_sigprocmask, SIG_SETMASK, (long)&signal_mask, 0, sizeof(signal_mask), 0, 0);
	}
	signal_base = base;
	signal_mask = mask;
	return ret;
}

void dune_ret_from_user(int ret)
{
	rs_ring0_user_exit(ret);
}

void dune_pop_trap_frame(struct dune_tf *tf)
{
	rs_ring0_resume((struct rs_trap_frame *)tf);
}

/* --- signals ------------------------------------------------------------------------------------------------------------------------------ */

#define REGS(X)										\
	X(r15, REG_R15) X(r14, REG_R14) X(r13, REG_R13) X(r12, REG_R12) X(rbp, REG_RBP)	\
	X(rbx, REG_RBX) X(r11, REG_R11) X(r10, REG_R10) X(r9, REG_R9) X(r8, REG_R8)	\
	X(rax, REG_RAX) X(rcx, REG_RCX) X(rdx, REG_RDX) X(rsi, REG_RSI) X(rdi, REG_RDI)	\
	X(rip, REG_RIP) X(rflags, REG_EFL) X(rsp, REG_RSP)

static void on_signal(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	greg_t *r = uc->uc_mcontext.gregs;
	dune_intr_cb cb = intr_cbs[DUNE_SIGNAL_INTR_BASE + sig];
	struct dune_tf tf = { .vector = DUNE_SIGNAL_INTR_BASE + sig, .addr = (uintptr_t)info->si_addr, .cs = GD_KT, .ss = GD_KD };

#define GET(field, reg)	tf.field = r[reg];
#define PUT(field, reg)	r[reg] = tf.field;
	if (uc->uc_mcontext.__reserved1[7] == RS_UC_RING3) {
		tf.cs = GD_UT | 3;
		tf.ss = GD_UD | 3;
	}
	REGS(GET)
	if (signal_depth++ == signal_base)
		memcpy(&signal_mask, &uc->uc_sigmask, sizeof(signal_mask));
	if (cb)
		cb(&tf);
	signal_depth--;
	REGS(PUT)
}

int dune_register_signal_handler(int signum, dune_intr_cb cb)
{
	struct sigaction sa = { .sa_flags = SA_SIGINFO | SA_RESTART };

	if (signum < 1 || signum >= NSIG || DUNE_SIGNAL_INTR_BASE + signum >= IDT_ENTRIES)
		return -EINVAL;
	sa.sa_sigaction = on_signal;
	if (!cb) {
		sa.sa_flags = 0;
		sa.sa_handler = SIG_DFL;
	}
	if (cb)
		intr_cbs[DUNE_SIGNAL_INTR_BASE + signum] = cb;
	if (sigaction(signum, &sa, NULL)) {
		intr_cbs[DUNE_SIGNAL_INTR_BASE + signum] = NULL;
		return -errno;
	}
	if (!cb)
		intr_cbs[DUNE_SIGNAL_INTR_BASE + signum] = NULL;
	else
		dune_register_intr_handler(DUNE_SIGNAL_INTR_BASE + signum, cb);
	return 0;
}

/* INT of the signal's vector: the handler has the signal's number, as from Linux. */
static void plain_signal(struct dune_tf *tf)
{
	int sig = tf->vector - DUNE_SIGNAL_INTR_BASE;

	if (sig > 0 && sig < NSIG && plain_handlers[sig])
		plain_handlers[sig](sig);
}

sighandler_t dune_signal(int sig, sighandler_t cb)
{
	bool function = cb != SIG_DFL && cb != SIG_IGN;

	if (signal(sig, cb) == SIG_ERR)
		return SIG_ERR;
	if (sig < NSIG && DUNE_SIGNAL_INTR_BASE + sig < IDT_ENTRIES) {
		plain_handlers[sig] = function ? cb : NULL;
		dune_register_intr_handler(DUNE_SIGNAL_INTR_BASE + sig, function ? plain_signal : NULL);
	}
	return NULL;
}

/* --- showing a frame ------------------------------------------------------------------------------------------------------------------------ */

/* @len bytes at @va as the loaded table has them, within a page; false: nothing there. Never a fault. */
static bool peek(uintptr_t va, void *buf, size_t len)
{
	ptent_t *root = dune_sys_root(), v;
	struct iovec to = { buf, len }, from = { (void *)va, len };
	int level = 0;

	v = root ? dune_vm_peek(root, va, &level) : 0;
	if (v & PTE_P) {
		uint64_t span = 1ull << PDSHIFT(level);
		char *mem = dune_sys_va((PTE_ADDR(v) & ~(span - 1)) + (va & (span - 1)));

		if (!mem)
			return false;
		from.iov_base = mem;
	} else if (v) {
		return false;
	}
	return rs_raw6(SYS_process_vm_readv, own_tid(), (long)&to, 1, (long)&from, 1, 0) == (long)len;
}

#define STACK_WORDS	12
#define CODE_BYTES	20

static void show_code(uintptr_t rip, int len)
{
	char text[3 * CODE_BYTES + 1];
	unsigned char byte;
	int i;

	for (i = 0; i < len; i++) {
		char *at = text + 3 * i;

		if (peek(rip + i, &byte, 1)) {
			at[0] = "0123456789abcdef"[byte >> 4];
			at[1] = "0123456789abcdef"[byte & 15];
		} else {
			at[0] = at[1] = '?';
		}
		at[2] = ' ';
	}
	text[3 * len] = 0;
	dune_printf("%s\n", text);
}

void dune_dump_trap_frame(struct dune_tf *tf)
{
	uint64_t word;
	int i;

	dune_printf("dune: --- Begin Trap Dump ---\n");
	dune_printf("dune: RIP 0x%016lx\n", tf->rip);
	dune_printf("dune: CS 0x%02x SS 0x%02x\n", tf->cs, tf->ss);
	dune_printf("dune: ERR 0x%08x RFLAGS 0x%08lx\n", tf->err, tf->rflags);
	dune_printf("dune: RAX 0x%016lx RCX 0x%016lx\n", tf->rax, tf->rcx);
	dune_printf("dune: RDX 0x%016lx RBX 0x%016lx\n", tf->rdx, tf->rbx);
	dune_printf("dune: RSP 0x%016lx RBP 0x%016lx\n", tf->rsp, tf->rbp);
	dune_printf("dune: RSI 0x%016lx RDI 0x%016lx\n", tf->rsi, tf->rdi);
	dune_printf("dune: R8  0x%016lx R9  0x%016lx\n", tf->r8, tf->r9);
	dune_printf("dune: R10 0x%016lx R11 0x%016lx\n", tf->r10, tf->r11);
	dune_printf("dune: R12 0x%016lx R13 0x%016lx\n", tf->r12, tf->r13);
	dune_printf("dune: R14 0x%016lx R15 0x%016lx\n", tf->r14, tf->r15);
	dune_printf("dune: Dumping Stack Contents...\n");
	for (i = 0; i < STACK_WORDS; i++) {
		if (!peek(tf->rsp + 8 * i, &word, 8)) {
			dune_printf("dune: reached unmapped addr\n");
			break;
		}
		dune_printf("dune: RSP%+-3d 0x%016lx\n", 8 * i, word);
	}
	dune_printf("dune: code before IP\t");
	show_code(tf->rip - CODE_BYTES, CODE_BYTES);
	dune_printf("dune: code at IP\t");
	show_code(tf->rip, CODE_BYTES);
	dune_printf("dune: --- End Trap Dump ---\n");
}
