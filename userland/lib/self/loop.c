// SPDX-License-Identifier: MIT
/*
 * The loop: what the thread does natively while its program runs in the ring.
 *
 *	enter the guest
 *	why did it come back?	a hypercall of the monitor: do what it asks for; the program's registers are in v->frame
 *				interrupted (a signal handler has noted what there is, and asked for RS_HC_HERE): again
 *	a signal is noted:	deliver it, which changes the frame
 *	answer
 *
 * A signal that comes after the look at v->pending has set run->irq_vector; RS_RUN delivers that as soon as the program can be
 * interrupted, which is before its next instruction.
 *
 * System calls of the program are executed as they are, but for those that concern what is kept for the program: segment bases, and what
 * signals.c and threads.c have.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>

#include "raw.h"
#include "signals.h"

#define ARCH_SET_GS_	0x1001
#define ARCH_SET_FS_	0x1002
#define ARCH_GET_FS_	0x1003
#define ARCH_GET_GS_	0x1004
#define PR_SET_SYSCALL_USER_DISPATCH_	59
#define EFLAGS_IF	(1ul << 9)
#define EFLAGS_RF	(1ul << 16)
#define USER_END	0x7ffffffff000ull	/* Linux has nothing from here on */
#define MOVED		8	/* accesses at a place that another chunk may have had, or none */
#define PROGRESS	64	/* accesses that Linux permits and refuses in turn */

/* --- words --- */

struct text {
	unsigned int len;
	char buf[512];
};

static void put(struct text *t, char c)
{
	if (t->len < sizeof(t->buf))
		t->buf[t->len++] = c;
}

static void put_number(struct text *t, uint64_t n, unsigned int base)
{
	char digits[24];
	int i = 0;

	do
		digits[i++] = "0123456789abcdef"[n % base];
	while (n /= base);
	while (i)
		put(t, digits[--i]);
}

static void say(const char *fmt, va_list ap)
{
	static const char head[] = "ringside: ";
	struct text t = { .len = 0 };
	const char *s;
	int i;

	for (i = 0; head[i]; i++)
		put(&t, head[i]);
	for (; *fmt; fmt++) {
		int wide = 0;

		if (*fmt != '%') {
			put(&t, *fmt);
			continue;
		}
		for (fmt++; *fmt == 'l' || *fmt == '#'; fmt++)
			wide |= *fmt == 'l';
		switch (*fmt) {
		case 's':
			for (s = va_arg(ap, const char *); *s; s++)
				put(&t, *s);
			break;
		case 'd': {
			long n = wide ? va_arg(ap, long) : va_arg(ap, int);

			if (n < 0)
				put(&t, '-');
			put_number(&t, n < 0 ? -(uint64_t)n : (uint64_t)n, 10);
			break;
		}
		case 'u':
			put_number(&t, wide ? va_arg(ap, unsigned long) : va_arg(ap, unsigned int), 10);
			break;
		case 'x':
			put(&t, '0');
			put(&t, 'x');
			put_number(&t, wide ? va_arg(ap, unsigned long) : va_arg(ap, unsigned int), 16);
			break;
		default:
			put(&t, *fmt);
		}
	}
	put(&t, '\n');
	rs_raw3(__NR_write, 2, (long)t.buf, t.len);
}

void self_say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
}

void self_die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
	for (;;)
		rs_raw3(__NR_kill, rs_raw3(__NR_getpid, 0, 0, 0), SIGKILL, 0);
}

void self_tables_lock(void)
{
	while (__atomic_exchange_n(&rs_self.shared->tables_lock, 1, __ATOMIC_ACQUIRE))
		rs_raw3(__NR_sched_yield, 0, 0, 0);
}

void self_tables_unlock(void)
{
	__atomic_store_n(&rs_self.shared->tables_lock, 0, __ATOMIC_RELEASE);
}

/*
 * --- memory of the program, by Linux: which says whether it is there, and sends no signal ---
 *
 * It is asked for by this thread's number: a first thread that has ended has no memory any more.
 */

static int peek(const struct self_vcpu *v, uint64_t addr, void *to, unsigned long n)
{
	struct { uint64_t base, len; } local = { (uintptr_t)to, n }, remote = { addr, n };

	return rs_raw6(__NR_process_vm_readv, v->tid, (long)&local, 1, (long)&remote, 1, 0) == (long)n;
}

static int poke(const struct self_vcpu *v, uint64_t addr, const void *from, unsigned long n)
{
	struct { uint64_t base, len; } local = { (uintptr_t)from, n }, remote = { addr, n };

	return rs_raw6(__NR_process_vm_writev, v->tid, (long)&local, 1, (long)&remote, 1, 0) == (long)n;
}

/* --- system calls that Linux answers --- */

static enum self_next pass_on(struct self_vcpu *v)
{
	struct rs_trap_frame *f = &v->frame;
	long ret = self_syscall(f);

	if (ret == SELF_INTERRUPTED) {
		f->rip -= v->insn_len;
		f->rax = v->restart;
		return SELF_LOAD;
	}
	f->rax = ret;
	return SELF_CALL;
}

/* --- segment bases --- */

/* Of ring 3 below ring 0, as Linux would answer; the thread has none of these. */
static long inner_arch_prctl(struct self_vcpu *v, uint64_t code, uint64_t arg)
{
	uint64_t *base = code == ARCH_SET_FS_ || code == ARCH_GET_FS_ ? &v->user_fs : &v->user_gs;

	if (code == ARCH_GET_FS_ || code == ARCH_GET_GS_)
		return poke(v, arg, base, sizeof(*base)) ? 0 : -EFAULT;
	if (arg >= USER_END)
		return -EPERM;
	*base = arg;
	return 0;
}

/* The thread has the program's natively, too: for whoever looks at it from outside, and as Linux is asked. */
static enum self_next call_arch_prctl(struct self_vcpu *v)
{
	struct rs_trap_frame *f = &v->frame;
	uint64_t code = f->rdi, arg = f->rsi;
	enum self_next next;

	if (self_is_inner(v) && code >= ARCH_SET_GS_ && code <= ARCH_GET_GS_) {
		f->rax = inner_arch_prctl(v, code, arg);
		return SELF_CALL;
	}
	self_signals_bases(v);
	next = pass_on(v);
	if (next != SELF_CALL || f->rax)
		return next;
	if (code == ARCH_SET_FS_)
		v->fs_base = arg;
	else if (code == ARCH_SET_GS_)
		v->gs_base = arg;
	else
		return SELF_CALL;
	return SELF_LOAD;
}

/* --- system calls --- */

static int64_t sum_stats(struct rs_self_stats *st)
{
	struct rs_stats vm;
	unsigned int i;
	long ret = rs_raw3(__NR_ioctl, rs_self.vm_fd, RS_GET_VM_STATS, (long)&vm);

	if (ret)
		return ret;
	*st = (struct rs_self_stats){
		.chunks = rs_self.chunks, .recycled = rs_self.recycled, .threads_outside = rs_self.threads_outside, .exits = vm.exits,
		.exits_hypercall = vm.exit_hypercall, .exits_memory = vm.exit_npf, .exits_interrupt = vm.exit_interrupt + vm.exit_nmi,
		.exits_other = vm.exits - vm.exit_hypercall - vm.exit_npf - vm.exit_interrupt - vm.exit_nmi,
	};
	for (i = 0; i < SELF_VCPUS && rs_self.vcpus[i]; i++) {
		const struct self_vcpu *v = rs_self.vcpus[i];

		st->calls += RS_READ_ONCE(v->calls);
		st->faults += RS_READ_ONCE(v->faults);
		st->signals += RS_READ_ONCE(v->signals_delivered);
		st->enters += RS_READ_ONCE(v->enters);
		st->leaves += RS_READ_ONCE(v->leaves);
	}
	return 0;
}

int rs_self_stats(struct rs_self_stats *stats)
{
	if (rs_inside() >= 0)
		return rs_raw3(RS_SELF_SYS_STATS, (long)stats, 0, 0);
	if (!rs_self.ready || rs_self.pid != rs_raw3(__NR_getpid, 0, 0, 0))
		return -EINVAL;
	return sum_stats(stats);
}

static enum self_next own_call(struct self_vcpu *v)
{
	struct rs_trap_frame *f = &v->frame;

	switch (f->rax) {
	case RS_SELF_SYS_LEAVE:
		f->rax = 0;
		return SELF_OUTSIDE;
	case RS_SELF_SYS_CHUNK: {
		int ret = self_chunk_give(v, f->rdi);

		f->rax = ret == 1 || (!ret && !self_chunk_keep(f->rdi)) ? -EAGAIN : ret;
		return SELF_CALL;
	}
	case RS_SELF_SYS_STATS: {
		struct rs_self_stats st;
		long ret = sum_stats(&st);

		if (!ret && !poke(v, f->rdi, &st, sizeof(st)))
			ret = -EFAULT;
		f->rax = ret;
		return SELF_CALL;
	}
	case RS_SELF_SYS_ENTER:
		f->rax = -EALREADY;
		return SELF_CALL;
	default:
		f->rax = -ENOSYS;
		return SELF_CALL;
	}
}

static enum self_next call(struct self_vcpu *v)
{
	struct rs_trap_frame *f = &v->frame;
	enum self_next next;

	v->calls++;
	f->rax = (uint32_t)f->rax;	/* Linux looks at no more */
	if (f->rax >= RS_SELF_SYS && f->rax < RS_SELF_SYS + 256)
		return own_call(v);
	switch (f->rax) {
	case __NR_rt_sigaction:
	case __NR_rt_sigreturn:
	case __NR_sigaltstack:
		return self_signals_call(v, &next) ? next : pass_on(v);
	case __NR_clone:
	case 435: /* clone3 */
	case __NR_fork:
	case __NR_vfork:
	case __NR_exit:
	case __NR_execve:
	case __NR_execveat:
	case __NR_close:
	case 436: /* close_range */
	case __NR_dup2:
	case __NR_dup3:
		return self_threads_call(v, &next) ? next : pass_on(v);
	case __NR_arch_prctl:
		return call_arch_prctl(v);
	case __NR_prctl:
		if (f->rdi != PR_SET_SYSCALL_USER_DISPATCH_)
			return pass_on(v);
		f->rax = -EINVAL;
		return SELF_CALL;
	case __NR_pkey_alloc:	/* the ring has no register for them: as on a CPU without */
		f->rax = -ENOSPC;
		return SELF_CALL;
	default:
		return pass_on(v);
	}
}

/* --- exceptions --- */

/* VMCALL and VMMCALL in the program's text */
static int is_literal_call(const struct self_vcpu *v, uint64_t rip)
{
	uint8_t insn[3];

	return peek(v, rip, insn, 3) && insn[0] == 0x0f && insn[1] == 0x01 && (insn[2] == 0xc1 || insn[2] == 0xd9);
}

static enum self_next trap(struct self_vcpu *v)
{
	struct rs_trap_frame *f = &v->frame;

	/* Not of ring 3 below a program in ring 0: what that may call is for the program to say. */
	if (f->vector == 6 && v->ring0 == !(f->cs & 3) && is_literal_call(v, f->rip)) {
		enum self_next next;

		f->rip += 3;
		v->insn_len = 3;
		next = call(v);
		return next == SELF_CALL ? SELF_LOAD : next;
	}
	if (f->vector == 6 && rs_self.shared->handlers[6])
		return SELF_HANDLER;
	return self_signals_trap(v);
}

static enum self_next chunk(struct self_vcpu *v)
{
	int ret = self_chunk_give(v, v->cr2);

	if (ret == 0)
		return SELF_LOAD;
	if (ret == 1)
		return SELF_TOUCH;
	if (ret != -EFAULT)
		self_die("no place in guest physical memory for address %#lx (error %d)", v->cr2, ret);
	v->frame.addr = v->cr2;
	v->frame.cause = RS_CAUSE_TABLES;
	return rs_self.shared->handlers[14] ? SELF_HANDLER : trap(v);
}

/* A handler has passed it on. What Linux refuses is found by doing it; what it does not was against the program's own rights. */
static enum self_next pass(struct self_vcpu *v)
{
	struct rs_trap_frame *f = &v->frame;
	siginfo_t info;

	if (f->vector == RS_VECTOR_SYSCALL) {
		v->insn_len = 2;
		return call(v) == SELF_OUTSIDE ? SELF_OUTSIDE : SELF_LOAD;
	}
	if (f->vector == 14 && v->cr2 < 1ull << 47 &&
	    self_probe(v, v->cr2, f->error & 16 ? RS_FAULT_FETCH : f->error & 2 ? RS_FAULT_WRITE : RS_FAULT_READ, &info))
		return self_signals_fault(v, &info);
	return self_signals_trap(v);
}

/* Linux's address of what is at @gpa; ~0: nothing */
static uint64_t address_of(uint64_t gpa)
{
	const struct self_shared *s = rs_self.shared;
	uint64_t slot = gpa / SELF_CHUNK;

	if (gpa - s->arena_gpa < RS_SELF_ARENA)
		return gpa - s->arena_gpa + s->arena;
	if (slot >= s->slots || !s->slot_chunk[slot])
		return ~0ull;
	return (s->slot_chunk[slot] - 1) * SELF_CHUNK + gpa % SELF_CHUNK;
}

static void put_info(siginfo_t *info, int signo, int code, uint64_t addr)
{
	volatile uint64_t *w = (uint64_t *)info;
	unsigned int i;

	for (i = 0; i < sizeof(*info) / 8; i++)
		w[i] = 0;
	info->si_signo = signo;
	info->si_code = code;
	info->si_addr = (void *)addr;
}

/*
 * The access began when the place was another chunk's: the tables say something else by now, and it is repeated. Only where chunks have
 * changed places at all.
 */
static int has_moved(struct self_vcpu *v, uint64_t gpa)
{
	if (!RS_READ_ONCE(rs_self.recycled))
		return 0;
	if (v->moved_rip != v->frame.rip || v->moved_gpa != gpa) {
		v->moved_rip = v->frame.rip;
		v->moved_gpa = gpa;
		v->moved_count = 0;
	}
	return ++v->moved_count < MOVED;
}

/*
 * Linux refuses an access that the tables allow. Does it really? The access is done natively: that may make a stack grow, or wait for who
 * provides the page. A fetch is a read here.
 */
static enum self_next refused(struct self_vcpu *v, uint64_t gpa, uint64_t gva, uint32_t access)
{
	struct rs_trap_frame *f = &v->frame;
	uint64_t addr = address_of(gpa);
	siginfo_t info;

	v->faults++;
	if (has_moved(v, gpa))
		return SELF_LOAD;
	f->rflags |= EFLAGS_RF;		/* as of a page fault; an injected event has not set it on every CPU */
	if (addr == ~0ull) {
		/* Not behind any address of the program: a table of its own points nowhere, or a chunk has been taken away since. */
		if (gva && gva < 1ull << 47 && !self_chunk_is_given(gva))
			return SELF_LOAD;
		addr = gva;
		put_info(&info, SIGSEGV, SEGV_MAPERR, addr);
	} else if (access & RS_FAULT_NO_EXEC) {
		/* Doing it would be running the program's code out here; the module knows. */
		put_info(&info, SIGSEGV, SEGV_ACCERR, addr);
	} else if (!self_probe(v, addr, access, &info)) {
		if (v->doomed_rip != f->rip || v->doomed_addr != addr) {
			v->doomed_rip = f->rip;
			v->doomed_addr = addr;
			v->doomed_count = 0;
		}
		if (++v->doomed_count < PROGRESS)
			return SELF_LOAD;
		self_say("the access to %#lx at %#lx cannot be done in the ring, though Linux permits it", addr,
			 (unsigned long)f->rip);
		put_info(&info, SIGBUS, BUS_ADRERR, addr);
	}
	v->cr2 = addr;
	f->vector = 14;
	f->addr = addr;
	f->cause = RS_CAUSE_LINUX;
	f->error = (access & RS_FAULT_WRITE ? 2 : 0) | (f->cs & 3 ? 4 : 0) | (access & RS_FAULT_FETCH ? 16 : 0) |
		   (info.si_signo != SIGSEGV || info.si_code != SEGV_MAPERR ? 1 : 0);
	if (rs_self.shared->handlers[14])
		return SELF_HANDLER;
	return self_signals_fault(v, &info);
}

/* The monitor, or something under it, is not as it should be. */
static void broken(struct self_vcpu *v, uint64_t kind, uint64_t at, uint64_t cr2) __attribute__((noreturn));
static void broken(struct self_vcpu *v, uint64_t kind, uint64_t at, uint64_t cr2)
{
	static const char *const what[] = {
		"double fault", "NMI", "machine check", "exception in the monitor", "the trap stack is used up",
	};
	const struct rs_trap_frame *f = &v->frame;

	if (at - RS_SELF_BASE < RS_SELF_ARENA)
		f = (const struct rs_trap_frame *)(rs_self.arena + (at - RS_SELF_BASE));
	if (kind == RS_BROKEN_MONITOR && f->vector == RS_VECTOR_NESTED_FAULT)
		self_say("Linux refused access %#llx to guest physical %#llx, the arena is at %#lx", f->cause, f->addr,
			 rs_self.shared->arena_gpa);
	self_die("%s: vector %llu error %#llx rip %#llx rsp %#llx cs %#llx cr2 %#lx; rax %#llx rbx %#llx rcx %#llx rdx %#llx rsi %#llx "
		 "rdi %#llx rbp %#llx", kind < sizeof(what) / sizeof(what[0]) ? what[kind] : "?", f->vector, f->error, f->rip, f->rsp,
		 f->cs, cr2, f->rax, f->rbx, f->rcx, f->rdx, f->rsi, f->rdi, f->rbp);
}

/* --- the loop --- */

static enum self_next hypercall(struct self_vcpu *v, const struct rs_run *run)
{
	if (run->hypercall.nr != RS_HC_REFUSED)
		v->doomed_count = v->moved_count = 0;
	switch (run->hypercall.nr) {
	case RS_HC_SYSCALL:
		v->insn_len = 2;
		return call(v);
	case RS_HC_CHUNK:
		return chunk(v);
	case RS_HC_TRAP:
		return trap(v);
	case RS_HC_REFUSED:
		return refused(v, run->hypercall.args[0], run->hypercall.args[1], run->hypercall.args[2]);
	case RS_HC_PASS:
		return pass(v);
	case RS_HC_HERE:
		return SELF_LOAD;
	case RS_HC_BROKEN:
		broken(v, run->hypercall.args[0], run->hypercall.args[1], run->hypercall.args[2]);
	}
	self_die("unknown hypercall %#lx at %#lx", (unsigned long)run->hypercall.nr, (unsigned long)run->rip);
}

static const char *why_not(uint32_t reason)
{
	switch (reason) {
	case RS_EXIT_MEMORY_FAULT:
		return "a fault that no handler could take";
	case RS_EXIT_SHUTDOWN:
		return "triple fault";
	case RS_EXIT_FAIL_ENTRY:
		return "the CPU refuses the state";
	case RS_EXIT_ENDED:
		return "the ring was ended from outside";
	}
	return "an exit that should not be";
}

/*
 * Ring 0 with interrupts off touches memory: that is no place for a signal. It stays noted, and run->irq_vector is there for when interrupts
 * are on again. A system call is such a place: the call that finds a signal noted has not begun, and would never begin.
 */
static int must_wait(const struct self_vcpu *v, const struct rs_run *run)
{
	return (run->hypercall.nr == RS_HC_CHUNK || run->hypercall.nr == RS_HC_REFUSED) && !(v->frame.cs & 3) &&
	       !(v->frame.rflags & EFLAGS_IF);
}

void self_loop(struct self_vcpu *v)
{
	struct rs_run *run = v->run;
	enum self_next next;
	long ret;

	v->in_loop = 1;
	self_signals_begin(v);
	if (v->pending)
		self_want_here(v);
	for (;;) {
		ret = rs_raw3(__NR_read, v->fd, 0, 0);
		if (ret == -EINTR) {
			if (v->pending)
				self_want_here(v);
			continue;
		}
		if (ret)
			self_die("the ring cannot be entered: error %ld", ret);
		switch (run->exit_reason) {
		case RS_EXIT_HYPERCALL:
			break;
		case RS_EXIT_KICK:
		case RS_EXIT_HLT:
			continue;
		default:
			self_die("the ring cannot go on: %s (reason %u, rip %#lx, cpl %u, %#lx %#lx %#lx)", why_not(run->exit_reason),
				 run->exit_reason, (unsigned long)run->rip, run->cpl, (unsigned long)run->pad[0],
				 (unsigned long)run->pad[1], (unsigned long)run->pad[2]);
		}
		v->primed = 1;
		next = hypercall(v, run);
		if (next == SELF_OUTSIDE) {
			v->in_loop = 0;
			self_mark_outside(v);
			self_outside(v);
		}
		/* The exception first, which would be lost: the signal comes at the handler's first instruction. */
		if (v->pending && next != SELF_HANDLER && next != SELF_TOUCH && !must_wait(v, run))
			next = self_signals_deliver(v, next);
		run->hypercall.ret = next;
	}
}
