// SPDX-License-Identifier: MIT
/*
 * dispatch.c - every SYSCALL of ring 3
 *
 * The way of a call: entry.S saves the registers into a frame and calls rs_syscall(); one load
 * finds the handler, its result goes into the frame's rax. Everything that is not the ordinary case
 * (a number that is not in the table, a refusal, --trace, a restart code) is behind one unlikely
 * branch each, because a call such as getpid is counted in single instructions.
 *
 * A handler's restart code stays in rax until signal_deliver() has decided; the work flag set here
 * makes sure that it gets to decide.
 */
#include <asm/unistd.h>
#include <linux/sched.h>
#include <ringside_app.h>
#include "async.h"
#include "futex.h"
#include "inet.h"
#include "inject.h"
#include "ipc.h"
#include "pages.h"
#include "pidfd.h"
#include "readers.h"
#include "signal.h"
#include "symbols.h"
#include "syscall.h"
#include "table.h"
#include "timers.h"
#include "trace.h"
#include "tty.h"
#include "../lib/string.h"
#include "../mm/kmalloc.h"
#include "../mm/page_alloc.h"
#include "../net/net.h"
#include "../proc/alarm.h"

#define RS_GUEST(name, ...)   [__NR_##name] = sys_##name,
#define RS_SPECIAL(name, ...) [__NR_##name] = sys_##name,
#define RS_FORWARD(name, ...) [__NR_##name] = sys_forward,
#define RS_REFUSE(name, ...)  [__NR_##name] = sys_refuse,

static long sys_refuse(struct rs_frame *f)
{
	host_explain((int)f->error, EPERM, NULL);
	return -EPERM;
}

static const sys_fn handlers[RS_NR_SYSCALLS] = {
#include "../../include/rs_calls.def"
};

/* --- calls of ringside_app.h ------------------------------------------------------------------ */

#define BENCH_MAX 10000000ul

static long bench(u64 op, u64 n)
{
	struct page *p;
	u64 i, t;

	if (!n || n > BENCH_MAX)
		return -EINVAL;
	t = __builtin_ia32_rdtsc();
	switch (op) {
	case RS_BENCH_EMPTY:
		for (i = 0; i < n; i++)
			asm volatile("");
		break;
	case RS_BENCH_HYPERCALL_NULL:
		for (i = 0; i < n; i++)
			rs_hypercall(RS_HC_NULL, 0, 0, 0, 0);
		break;
	case RS_BENCH_PAGE_ALLOC:
		for (i = 0; i < n; i++) {
			p = page_alloc();
			if (!p)
				return -ENOMEM;
			page_put(p);
		}
		break;
	case RS_BENCH_CRASH:
		if (!(rs_boot->flags & RS_BOOT_DEBUG))
			return -EPERM;
		*(volatile u64 *)0xffffe00000000000ul = 1;	/* nothing is mapped there */
		break;
	default: return -EINVAL;
	}
	return __builtin_ia32_rdtsc() - t;
}

/* Comes back with the result only when nothing has become of it. */
static long trap_signal(struct rs_frame *f)
{
	long err = upcall_decline(f, ARG0(f));

	if (err)
		return err;
	signal_fault(f);
	return (long)f->rax;
}

static long app_upcall(struct rs_frame *f)
{
	return upcall_set(ARG0(f), ARG1(f), ARG2(f));
}

static long app_upcall_stack(struct rs_frame *f)
{
	return upcall_set_stack(ARG0(f), ARG1(f));
}

static long app_alarm(struct rs_frame *f)
{
	return alarm_set(ARG0(f), ARG1(f));
}

/* Those that are made often, from RS_SYS_UPCALL on. */
#define APP_CALLS 64
static const sys_fn app_handlers[APP_CALLS] = {
	[RS_SYS_UPCALL - RS_SYS_UPCALL] = app_upcall,
	[RS_SYS_UPCALL_STACK - RS_SYS_UPCALL] = app_upcall_stack,
	[RS_SYS_TRAP_SIGNAL - RS_SYS_UPCALL] = trap_signal,
	[RS_SYS_ALARM - RS_SYS_UPCALL] = app_alarm,
	[RS_SYS_PROTECT - RS_SYS_UPCALL] = app_protect,
	[RS_SYS_PAGES - RS_SYS_UPCALL] = app_pages,
	[RS_SYS_DIRTY - RS_SYS_UPCALL] = app_dirty,
	[RS_SYS_EXOFORK - RS_SYS_UPCALL] = app_exofork,
	[RS_SYS_CHILD_STATUS - RS_SYS_UPCALL] = app_child_status,
	[RS_SYS_CHILD_PAGES - RS_SYS_UPCALL] = app_child_pages,
	[RS_SYS_MAPPINGS - RS_SYS_UPCALL] = app_mappings,
	[RS_SYS_PORT - RS_SYS_UPCALL] = app_port,
	[RS_SYS_HANDLE - RS_SYS_UPCALL] = app_handle,
	[RS_SYS_IPC_CALL - RS_SYS_UPCALL] = app_ipc_call,
	[RS_SYS_IPC_SEND - RS_SYS_UPCALL] = app_ipc_send,
	[RS_SYS_IPC_REPLY_WAIT - RS_SYS_UPCALL] = app_ipc_reply_wait,
	[RS_SYS_IPC - RS_SYS_UPCALL] = app_ipc,
	[RS_SYS_PAGER - RS_SYS_UPCALL] = app_pager,
};

static always_inline sys_fn handler_of(u32 nr)
{
	if (likely(nr < RS_NR_SYSCALLS))
		return handlers[nr];
	nr -= RS_SYS_UPCALL;
	return nr < APP_CALLS ? app_handlers[nr] : NULL;
}

static long app_call(struct rs_frame *f, u64 nr)
{
	if (handler_of((u32)nr))
		return handler_of((u32)nr)(f);
	if (nr == RS_SYS_INJECT)
		return rs_boot->flags & RS_BOOT_DEBUG ? inject_set(ARG0(f)) : -ENOSYS;
	if (nr != RS_SYS_BENCH && nr != RS_SYS_EXITS)
		return -ENOSYS;
	if (!(rs_boot->flags & RS_BOOT_BENCH))
		return -ENOSYS;
	if (nr == RS_SYS_EXITS)
		return rs_hypercall(RS_HC_EXIT_COUNT, 0, 0, 0, 0);
	return bench(ARG0(f), ARG1(f));
}

/* --- tracing ---------------------------------------------------------------------------------- */

#define TRACE_LINE 2048

static bool trace_on; /* some process is traced; set once at boot */

static bool traced(const struct process *p, u64 nr)
{
	return p->trace && nr < RS_NR_SYSCALLS && (p->trace->mask[nr / 64] >> (nr % 64) & 1);
}

static bool traced_at_all(const struct process *p)
{
	unsigned int i;

	if (likely(!trace_on))
		return false;
	for (i = 0; p->trace && i < ARRAY_SIZE(p->trace->mask); i++)
		if (p->trace->mask[i])
			return true;
	return false;
}

static size_t read_user(void *ctx, void *dst, u64 va, size_t n)
{
	size_t i;

	(void)ctx;
	if (!copyin(dst, va, n))
		return n;
	/* Byte by byte up to where it ends; only bad pointers come here. */
	for (i = 0; i < n && !copyin((char *)dst + i, va + i, 1); i++)
		;
	return i;
}

/* There has been more than one thread: lines begin with whose they are. */
static bool trace_many;

static void trace_prefix(struct textbuf *t, u32 tid)
{
	if (trace_many)
		text_printf(t, "[pid %u] ", tid);
}

/* The line in memory of its own, to be printed and freed by the caller; NULL without memory. */
static struct textbuf trace_text(u64 nr, const u64 *args, long ret)
{
	static const struct trace_memory mem = { .read = read_user };
	struct textbuf t = { .size = TRACE_LINE };

	t.buf = kmalloc(TRACE_LINE);
	if (t.buf) {
		trace_prefix(&t, current()->tid);
		trace_format(&t, nr, args, ret, &mem);
	}
	return t;
}

static void trace_line(u64 nr, const u64 *args, long ret)
{
	struct textbuf t = trace_text(nr, args, ret);

	rs_report_text(RS_CONSOLE_TRACE, &t);
	kfree(t.buf);
}

void trace_signal(const struct process *p, const struct k_siginfo *info)
{
	char buf[256];
	struct textbuf t = TEXTBUF(buf);

	if (!traced_at_all(p))
		return;
	trace_prefix(&t, current()->tid);
	trace_siginfo(&t, info);
	rs_report_text(RS_CONSOLE_TRACE, &t);
}

void trace_exit(const struct process *p, int wait_status)
{
	char buf[80];
	struct textbuf t = TEXTBUF(buf);
	const char *name = signal_name(wait_status & 0x7f);

	if (!traced_at_all(p))
		return;
	trace_prefix(&t, p->pid);
	if (!(wait_status & 0x7f))
		text_printf(&t, "+++ exited with %d +++\n", wait_status >> 8 & 0xff);
	else if (name)
		text_printf(&t, "+++ killed by %s +++\n", name);
	else
		text_printf(&t, "+++ killed by signal %d +++\n", wait_status & 0x7f);
	rs_report_text(RS_CONSOLE_TRACE, &t);
}

/*
 * The program the sandbox began with was executed by nobody's call; its line is made from what it
 * finds on its stack.
 */
static void trace_first_exec(const struct process *p)
{
	struct textbuf t = { .size = TRACE_LINE };
	char arg[256];
	u64 at;
	size_t n;

	t.buf = kmalloc(TRACE_LINE);
	if (!t.buf)
		return;
	text_printf(&t, "execve(");
	text_quote(&t, refstr_text(p->exe), strlen(refstr_text(p->exe)));
	text_printf(&t, ", [");
	for (at = p->mm->arg_start; at < p->mm->arg_end; at += n + 1) {
		n = read_user(NULL, arg, at, min(p->mm->arg_end - at, (u64)sizeof(arg)));
		n = strnlen(arg, n);
		if (at != p->mm->arg_start)
			text_printf(&t, ", ");
		text_quote(&t, arg, n);
		if (n == sizeof(arg) || t.lost) {
			text_printf(&t, "...");
			break;
		}
	}
	/* Whatever was cut off, the line ends. */
	t.len = min(t.len, (size_t)TRACE_LINE - 16);
	text_printf(&t, "], ...) = 0\n");
	rs_report_text(RS_CONSOLE_TRACE, &t);
	kfree(t.buf);
}

/* --- dispatch --------------------------------------------------------------------------------- */

/* Traced, not in the table, or not Linux's at all. */
static noinline long dispatch_slow(struct rs_frame *f, u64 nr)
{
	u64 args[6] = { ARG0(f), ARG1(f), ARG2(f), ARG3(f), ARG4(f), ARG5(f) };
	struct textbuf early = { 0 };
	long ret;

	if (nr >= RS_SYS_BASE && nr <= RS_SYS_BASE + 0xffff)
		return app_call(f, nr);
	if (!traced(current_proc(), nr))
		return nr < RS_NR_SYSCALLS && handlers[nr] ? handlers[nr](f) : -ENOSYS;
	/* These do not come back; and of an exec that succeeds, the arguments do not. */
	if (nr == __NR_exit || nr == __NR_exit_group || nr == __NR_rt_sigreturn)
		trace_line(nr, args, TRACE_NO_RETURN);
	else if (nr == __NR_execve)
		early = trace_text(nr, args, 0);
	ret = handlers[nr] ? handlers[nr](f) : -ENOSYS;
	if (early.buf && !ret)
		rs_report_text(RS_CONSOLE_TRACE, &early);
	else if (nr != __NR_rt_sigreturn)
		trace_line(nr, args, ret);
	kfree(early.buf);
	return ret;
}

/*
 * Calls that are traced, and all with several CPUs: the big lock is held from here to the end, but for
 * those that do without (readers.c). It is not the way of the common call, which is counted in single
 * instructions.
 */
static noinline void syscall_locked(struct rs_frame *f, struct thread *t, u32 nr)
{
	sys_fn fn = handler_of(nr);
	long ret;

	if (reader_call(nr) && !trace_on) {
		ret = syscall_reader(f, nr);
		if (likely(ret != NEEDS_LOCK)) {
			f->rax = ret;
			this_cpu()->shared->short_calls++;
			return;
		}
	}
	sched_enter();
	t->in_syscall = (u64)nr + 1;
	rs_stats()->syscalls++;
	ret = fn && !trace_on ? fn(f) : dispatch_slow(f, nr);
	f->rax = ret;
	if (IS_RESTART(ret))
		t->work |= THREAD_WORK_SIGNAL;
	t->in_syscall = 0;
	sched_leave();
}

static bool not_plain; /* every call takes syscall_locked() */

void rs_syscall(struct rs_frame *f)
{
	struct thread *t = current();
	u32 nr = (u32)f->error; /* Linux looks at 32 bits of rax, too */
	sys_fn fn = handler_of(nr);
	long ret;

	if (unlikely(!fn || not_plain)) {
		syscall_locked(f, t, nr);
		return;
	}
	t->in_syscall = (u64)nr + 1;
	rs_stats()->syscalls++;
	ret = fn(f);
	f->rax = ret;
	if (unlikely(IS_RESTART(ret)))
		t->work |= THREAD_WORK_SIGNAL;
	t->in_syscall = 0;
}

/* Takes over the reference to @cwd (NULL: there was no memory for it), also when it fails. */
static struct process_fs *fs_new(struct file *cwd, u32 umask)
{
	struct process_fs *fs = cwd ? kmalloc(sizeof(*fs)) : NULL;

	if (fs)
		*fs = (struct process_fs){ .refs = 1, .umask = umask, .cwd = cwd };
	else if (cwd)
		file_put(cwd);
	return fs;
}

static void fs_put(struct process_fs *fs)
{
	if (!fs || --fs->refs)
		return;
	file_put(fs->cwd);
	kfree(fs);
}

static int open_stdio(struct fd_table *files)
{
	struct file *f;
	int i, j, err;

	for (i = 0; i < 3; i++) {
		if (rs_boot->stdio[i] < 0)
			continue;
		/*
		 * 0, 1 and 2 often are one open file of the host; each has a descriptor of its own
		 * there, so each is closed by itself.
		 */
		for (j = 0; j < i; j++)
			if (rs_boot->stdio[j] == rs_boot->stdio[i])
				break;
		f = j < i ? fd_lookup(files, j) : NULL;
		f = f ? file_get(f) : file_new(rs_boot->stdio[i], NULL);
		if (!f)
			return -ENOMEM;
		err = fd_install_at(files, f, i, false);
		if (err < 0) {
			file_put(f);
			return err;
		}
	}
	files->first_free = 0;
	while (fd_lookup(files, files->first_free))
		files->first_free++;
	return 0;
}

int syscall_process_init(struct process *p)
{
	struct thread *t = list_first(&p->threads, struct thread, list);
	unsigned int i;

	async_init();
	futex_init();
	tty_init(p);
	p->files = fd_table_new();
	p->trace = kzalloc(sizeof(*p->trace));
	p->fs = fs_new(file_new(rs_boot->cwd_fd, NULL), rs_boot->umask);
	if (!p->files || !p->fs || !p->trace || signal_init(t, NULL, true))
		return -ENOMEM;
	p->trace->refs = 1;
	if (rs_boot->flags & RS_BOOT_TRACE) {
		for (i = 0; i < ARRAY_SIZE(p->trace->mask); i++) {
			p->trace->mask[i] = rs_boot->trace_mask[i];
			trace_on |= rs_boot->trace_mask[i] != 0;
		}
	}
	not_plain = trace_on || rs_ncpus > 1;
	ipc_init(!not_plain);
	return open_stdio(p->files);
}

int syscall_fork(struct thread *t, struct thread *parent, u64 flags)
{
	struct process *p = t->proc, *from = parent->proc;
	bool new_process = p != from;

	trace_many = true;
	if (signal_init(t, parent, new_process))
		return -ENOMEM;
	if (!new_process)
		return 0;
	if (!ipc_fork(p, from))
		return -ENOMEM;
	if (flags & CLONE_CLEAR_SIGHAND) {
		signal_reset(p->signals);
	}
	if (flags & CLONE_FS) {
		p->fs = from->fs;
		p->fs->refs++;
	} else {
		p->fs = fs_new(file_get(from->fs->cwd), from->fs->umask);
	}
	p->trace = from->trace;
	p->trace->refs++;
	if (flags & CLONE_FILES) {
		p->files = from->files;
		p->files->refs++;
	} else {
		p->files = fd_table_copy(from->files);
	}
	return p->files && p->fs ? 0 : -ENOMEM;
}

int syscall_fork_pidfd(struct process *p, u64 addr)
{
	long fd = pidfd_install(p, 0);

	if (fd < 0)
		return (int)fd;
	if (!put_user_u32(addr, (u32)fd))
		return 0;
	file_put(fd_remove(current_proc()->files, (u32)fd));
	return -EFAULT;
}

void syscall_thread_exit(struct thread *t)
{
	if (unlikely(t->ipc.state))
		ipc_give_up(t);
	futex_thread_exit(t);
	signal_thread_exit(t);
}

void syscall_exec_leaves(struct thread *t)
{
	futex_thread_exit(t);
}

void syscall_thread_free(struct thread *t)
{
	signal_thread_free(t);
	ipc_thread_free(t);
	kfree(t->paths);
	t->paths = NULL;
}

void syscall_process_end(struct process *p)
{
	tty_session_ends(p);
	ipc_process_end(p);
	if (p->files)
		fd_table_put(p->files);
	p->files = NULL;
	fs_put(p->fs);
	p->fs = NULL;
	/* Not for one that has never run, after a fork without memory. */
	if (p->exiting)
		trace_exit(p, p->wait_status);
	if (p->trace && !--p->trace->refs)
		kfree(p->trace);
	p->trace = NULL;
	signal_process_free(p);
	pidfd_ended(p);
}

void syscall_sandbox_ends(void)
{
	if (inet_available())
		net_finish();
}

void syscall_drop_spare(void)
{
	cwd_drop();
}

void syscall_process_free(struct process *p)
{
	pidfd_gone(p); /* a zombie has nothing else of ours any more */
}

void syscall_exec_done(struct process *p)
{
	struct thread *t = current();

	if (!t->in_syscall && traced(p, __NR_execve))
		trace_first_exec(p);
	if (p->files->refs > 1) {
		struct fd_table *own = fd_table_copy(p->files);

		/*
		 * With the others' descriptors it must not go on. Its memory is the new program's
		 * already, so it ends, on the way back: the caller has things to free.
		 */
		if (!own) {
			signal_no_memory(0);
		} else {
			fd_table_put(p->files);
			p->files = own;
		}
	}
	if (p->files->refs == 1)
		fd_close_on_exec(p->files);
	/* The mask and what is pending stay. */
	signal_reset(p->signals);
	timers_delete(p->signals);
	t->sig->alt = (struct k_stack){ .flags = SS_DISABLE };
	t->sig->restore_mask = false;
	t->sig->restart.fn = NULL;
	t->clear_child_tid = 0;
	t->robust_list = 0;
	t->robust_len = 0;
	upcall_reset();
	ipc_exec(p);
	process_exec_done();
}
