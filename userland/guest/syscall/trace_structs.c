// SPDX-License-Identifier: MIT
/*
 * trace_structs.c - --trace: arguments whose look depends on the call
 *
 * rs_calls.def says what the host has to know of an argument. Calls that are answered in the guest
 * need none of that, so there a pointer is only a pointer. Here is what a reader wants to see behind
 * it: a table of call, argument and the function that prints it. What cannot be read stays an
 * address.
 */
#include <asm/unistd.h>
#include <linux/futex.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include "signal.h"
#include "symbols.h"
#include "trace.h"
#include "../lib/string.h"
#include "../../include/rs_calls.h"

/** struct one_arg - argument @i of a call that returned @ret */
struct one_arg {
	const u64 *a;
	unsigned int i;
	long ret;
	const struct trace_memory *m;
};

static bool fetch(const struct one_arg *x, void *dst, size_t n)
{
	u64 va = x->a[x->i];

	return va && x->m->read(x->m->ctx, dst, va, n) == n;
}

static void signal_or_number(struct textbuf *t, int sig)
{
	const char *name = signal_name(sig);

	if (name)
		text_printf(t, "%s", name);
	else if (sig >= 32 && sig <= NSIG)
		text_printf(t, "SIGRT_%d", sig - 32);
	else
		text_printf(t, "%d", sig);
}

/* A mask of more than half of all signals is shown as what it leaves out. */
static void signal_mask(struct textbuf *t, u64 set)
{
	const char *between = "";
	const char *name;
	unsigned int n = 0;
	bool rest;
	u64 bits;

	for (bits = set; bits; bits &= bits - 1)
		n++;
	rest = n > NSIG / 2;
	if (rest)
		set = ~set;
	text_printf(t, rest ? "~[" : "[");
	for (; set; set &= set - 1) {
		int sig = __builtin_ctzll(set) + 1;

		name = signal_name(sig);
		if (name)
			text_printf(t, "%s%s", between, name + 3);
		else
			text_printf(t, "%sRT_%d", between, sig - 32);
		between = " ";
	}
	text_putc(t, ']');
}

static bool put_mask(struct textbuf *t, const struct one_arg *x)
{
	u64 set;

	if (!fetch(x, &set, sizeof(set)))
		return false;
	signal_mask(t, set);
	return true;
}

/* What the call has written: nothing when it failed. */
static bool put_mask_out(struct textbuf *t, const struct one_arg *x)
{
	return x->ret >= 0 && put_mask(t, x);
}

static bool put_action(struct textbuf *t, const struct one_arg *x)
{
	struct k_sigaction act;

	if (!fetch(x, &act, sizeof(act)))
		return false;
	if (act.handler == SIG_DFL || act.handler == SIG_IGN)
		text_printf(t, "{sa_handler=%s, sa_mask=", act.handler ? "SIG_IGN" : "SIG_DFL");
	else
		text_printf(t, "{sa_handler=%#lx, sa_mask=", (unsigned long)act.handler);
	signal_mask(t, act.mask);
	text_printf(t, ", sa_flags=");
	text_set(t, RS_SET_SIGACTION, act.flags);
	if (act.flags & SA_RESTORER)
		text_printf(t, ", sa_restorer=%#lx", (unsigned long)act.restorer);
	text_putc(t, '}');
	return true;
}

static bool put_action_out(struct textbuf *t, const struct one_arg *x)
{
	return x->ret >= 0 && put_action(t, x);
}

static bool put_time(struct textbuf *t, const struct one_arg *x)
{
	s64 ts[2];

	if (!fetch(x, ts, sizeof(ts)))
		return false;
	text_printf(t, "{tv_sec=%ld, tv_nsec=%ld}", (long)ts[0], (long)ts[1]);
	return true;
}

static bool put_wait_status(struct textbuf *t, const struct one_arg *x)
{
	int s;

	if (x->ret <= 0 || !fetch(x, &s, sizeof(s)))
		return false;
	if (s == 0xffff) {
		text_printf(t, "[{WIFCONTINUED(s)}]");
	} else if ((s & 0xff) == 0x7f) {
		text_printf(t, "[{WIFSTOPPED(s) && WSTOPSIG(s) == ");
		signal_or_number(t, s >> 8 & 0xff);
		text_printf(t, "}]");
	} else if (s & 0x7f) {
		text_printf(t, "[{WIFSIGNALED(s) && WTERMSIG(s) == ");
		signal_or_number(t, s & 0x7f);
		text_printf(t, "}]");
	} else {
		text_printf(t, "[{WIFEXITED(s) && WEXITSTATUS(s) == %d}]", s >> 8 & 0xff);
	}
	return true;
}

static void clone_flags(struct textbuf *t, u64 flags, u64 sig)
{
	if (flags)
		text_set(t, RS_SET_CLONE, flags);
	if (flags && sig)
		text_putc(t, '|');
	if (sig)
		signal_or_number(t, (int)sig);
	if (!flags && !sig)
		text_putc(t, '0');
}

static bool put_clone_flags(struct textbuf *t, const struct one_arg *x)
{
	clone_flags(t, x->a[0] & ~(u64)CSIGNAL & 0xffffffff, x->a[0] & CSIGNAL);
	return true;
}

static bool put_clone_args(struct textbuf *t, const struct one_arg *x)
{
	struct clone_args c = { 0 };
	size_t n = min(x->a[1], (u64)sizeof(c));

	if (n < CLONE_ARGS_SIZE_VER0 || !fetch(x, &c, n))
		return false;
	text_printf(t, "{flags=");
	clone_flags(t, c.flags, 0);
	text_printf(t, ", exit_signal=");
	if (c.exit_signal)
		signal_or_number(t, (int)min(c.exit_signal, (u64)0xffff));
	else
		text_putc(t, '0');
	text_printf(t, ", stack=%#lx, stack_size=%#lx", (unsigned long)c.stack,
		    (unsigned long)c.stack_size);
	if (c.tls)
		text_printf(t, ", tls=%#lx", (unsigned long)c.tls);
	text_putc(t, '}');
	return true;
}

/* Only waits have a time there; otherwise it is a number of waiters. */
static bool put_futex_time(struct textbuf *t, const struct one_arg *x)
{
	u32 cmd = (u32)x->a[1] & FUTEX_CMD_MASK;

	if (cmd == FUTEX_WAIT || cmd == FUTEX_WAIT_BITSET)
		return put_time(t, x);
	text_printf(t, "%u", (u32)x->a[3]);
	return true;
}

static bool put_futex_last(struct textbuf *t, const struct one_arg *x)
{
	u32 cmd = (u32)x->a[1] & FUTEX_CMD_MASK, v = (u32)x->a[5];

	if ((cmd == FUTEX_WAIT_BITSET || cmd == FUTEX_WAKE_BITSET) && v == ~0u)
		text_printf(t, "FUTEX_BITSET_MATCH_ANY");
	else
		text_printf(t, cmd == FUTEX_CMP_REQUEUE ? "%u" : "%#x", v);
	return true;
}

static bool put_name(struct textbuf *t, const struct one_arg *x)
{
	char name[16];
	size_t n;

	if ((u32)x->a[0] != PR_SET_NAME)
		return false;
	n = x->a[1] ? x->m->read(x->m->ctx, name, x->a[1], sizeof(name)) : 0;
	if (!n)
		return false;
	text_quote(t, name, strnlen(name, n));
	return true;
}

static const struct {
	u16 nr;
	u8 i;
	bool (*put)(struct textbuf *t, const struct one_arg *x);
} structs[] = {
	{ __NR_clone, 0, put_clone_flags },
	{ __NR_clone3, 0, put_clone_args },
	{ __NR_wait4, 1, put_wait_status },
	{ __NR_futex, 3, put_futex_time },
	{ __NR_futex, 5, put_futex_last },
	{ __NR_rt_sigaction, 1, put_action },
	{ __NR_rt_sigaction, 2, put_action_out },
	{ __NR_rt_sigprocmask, 1, put_mask },
	{ __NR_rt_sigprocmask, 2, put_mask_out },
	{ __NR_rt_sigpending, 0, put_mask_out },
	{ __NR_rt_sigsuspend, 0, put_mask },
	{ __NR_rt_sigtimedwait, 0, put_mask },
	{ __NR_rt_sigtimedwait, 2, put_time },
	{ __NR_nanosleep, 0, put_time },
	{ __NR_clock_nanosleep, 2, put_time },
	{ __NR_ppoll, 2, put_time },
	{ __NR_prctl, 1, put_name },
};

bool trace_struct(struct textbuf *t, u64 nr, unsigned int i, const u64 *args, long ret,
		  const struct trace_memory *mem)
{
	struct one_arg x = { .a = args, .i = i, .ret = ret, .m = mem };
	unsigned int k;

	for (k = 0; k < ARRAY_SIZE(structs); k++)
		if (structs[k].nr == nr && structs[k].i == i)
			return structs[k].put(t, &x);
	return false;
}

unsigned int trace_nargs(u64 nr, const u64 *args, unsigned int n)
{
	switch (nr) {
	case __NR_futex:
		switch ((u32)args[1] & FUTEX_CMD_MASK) {
		case FUTEX_WAKE: return 3;
		case FUTEX_WAIT: return 4;
		}
		return 6;
	case __NR_clone:
		/* The last two are looked at only with these flags. */
		return args[0] & CLONE_SETTLS ? 5 : args[0] & (CLONE_CHILD_SETTID |
							       CLONE_CHILD_CLEARTID) ? 4 : 3;
	case __NR_prctl:
		switch ((u32)args[0]) {
		case PR_SET_NAME:
		case PR_GET_NAME:
		case PR_SET_DUMPABLE:
		case PR_SET_PDEATHSIG:
		case PR_GET_PDEATHSIG:
		case PR_SET_CHILD_SUBREAPER:
		case PR_GET_CHILD_SUBREAPER: return 2;
		case PR_GET_DUMPABLE: return 1;
		}
		return n;
	}
	return n;
}

void trace_siginfo(struct textbuf *t, const struct k_siginfo *info)
{
	const char *code = signal_code_name(info->signo, info->code);

	text_printf(t, "--- ");
	signal_or_number(t, info->signo);
	text_printf(t, " {si_signo=");
	signal_or_number(t, info->signo);
	if (code)
		text_printf(t, ", si_code=%s", code);
	else
		text_printf(t, ", si_code=%d", info->code);
	if (info->signo == SIGCHLD && info->code > 0 && info->code != SI_KERNEL) {
		text_printf(t, ", si_pid=%d, si_uid=%u, si_status=", info->pid, info->uid);
		if (info->code == CLD_EXITED) /* a number, otherwise a signal */
			text_printf(t, "%d", (int)info->value);
		else
			signal_or_number(t, (int)info->value);
	} else if (info->code > 0 && info->code != SI_KERNEL) {
		text_printf(t, ", si_addr=%#lx", (unsigned long)info->addr);
	} else if (info->code != SI_KERNEL) {
		text_printf(t, ", si_pid=%d, si_uid=%u", info->pid, info->uid);
		if (info->code == SI_QUEUE)
			text_printf(t, ", si_value=%#lx", (unsigned long)info->value);
	}
	text_printf(t, "} ---\n");
}
