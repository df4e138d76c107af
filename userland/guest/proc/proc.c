// SPDX-License-Identifier: MIT
/*
 * proc.c - processes and threads: their beginning, their end, who waits for whom
 *
 * See proc.h for the life of a process. The end, in order, each step by the process's own last
 * thread: the layers above let go of what is theirs, the address space goes, children are given
 * away, the process becomes a zombie and its parent is told; the thread leaves its stack for the
 * last time, and whoever runs next frees it. Nothing of a process is freed by another one but the
 * zombie's struct process, by the parent that has waited for it.
 *
 * Numbers: those of threads, processes, groups and sessions are one space, and one is free only
 * when it is none of these. in_use counts that.
 */
#include <asm/unistd.h>
#include <linux/sched.h>
#include "alarm.h"
#include "proc.h"
#include "report.h"
#include "../lib/assert.h"
#include "../lib/signo.h"
#include "../lib/string.h"
#include "../mm/kmalloc.h"
#include "../mm/page_alloc.h"
#include "../mm/pages.h"
#include "../mm/uaccess.h"

#define PID_MAX		32768u
#define FIRST_REUSED	300u		/* lower numbers are given once */
#define HASH_SIZE	256u

static struct list all = LIST_INIT(all);
static struct hlist process_hash[HASH_SIZE];
static struct list thread_hash[HASH_SIZE];
static u16 in_use[PID_MAX];
static u32 last_pid, count;
static struct process *first;

/* --- numbers ---------------------------------------------------------------------------------- */

static void pid_get(u32 pid)
{
	in_use[pid % PID_MAX]++;
}

static void pid_put(u32 pid)
{
	ASSERT(in_use[pid % PID_MAX]);
	in_use[pid % PID_MAX]--;
}

static u32 pid_new(void)
{
	u32 n;

	for (n = 0; n < PID_MAX; n++) {
		last_pid = last_pid + 1 < PID_MAX ? last_pid + 1 : FIRST_REUSED;
		if (!in_use[last_pid])
			return last_pid;
	}
	return 0;
}

struct process *process_first(void)
{
	return first;
}

u32 process_count(void)
{
	return count;
}

struct process *process_next(const struct process *p)
{
	struct list *next = p ? p->all.next : all.next;

	return next == &all ? NULL : list_entry(next, struct process, all);
}

struct process *process_find(u32 pid)
{
	struct process *p;

	rcu_hlist_for_each(p, &process_hash[pid % HASH_SIZE], hash)
		if (p->pid == pid)
			return p;
	return NULL;
}

/* A number is for life, and a process stays in its list: what is found is right, and so is nothing. */
const struct process *process_find_reader(u32 pid)
{
	return process_find(pid);
}

struct thread *thread_find(u32 tid)
{
	struct thread *t;

	list_for_each(t, &thread_hash[tid % HASH_SIZE], hash)
		if (t->tid == tid)
			return t;
	return NULL;
}

void process_set_group(struct process *p, u32 pgid)
{
	pid_get(pgid);
	pid_put(p->pgid);
	p->pgid = pgid;
}

void process_set_session(struct process *p, u32 sid)
{
	pid_get(sid);
	pid_put(p->sid);
	p->sid = sid;
}

bool process_group_alive(u32 pgid, u32 sid)
{
	struct process *p;

	list_for_each(p, &all, all)
		if (p->pgid == pgid && (!sid || p->sid == sid))
			return true;
	return false;
}

/* --- memory of threads ------------------------------------------------------------------------ */

/*
 * Stacks are kept for the next thread: a run of pages is searched for, and forks come in series.
 * @next lies where the saved registers will.
 */
#define STACKS_KEPT	32

struct free_stack {
	struct free_stack *next;
};

static struct free_stack *stacks;
static u32 nstacks;

static struct kstack *stack_alloc(void)
{
	struct free_stack *s = stacks;
	struct page *p;

	if (s) {
		stacks = s->next;
		nstacks--;
		return (struct kstack *)s;
	}
	p = page_alloc_run(KSTACK_SIZE / PAGE_SIZE, KSTACK_SIZE / PAGE_SIZE);
	return p ? page_ptr(p) : NULL;
}

static void stack_free_pages(struct kstack *k)
{
	u32 i;

	for (i = 0; i < KSTACK_SIZE / PAGE_SIZE; i++)
		page_put(gpa_page(gpa_of(k) + i * PAGE_SIZE));
}

static void stack_free(struct kstack *k)
{
	struct free_stack *s = (struct free_stack *)k;

	if (nstacks >= STACKS_KEPT) {
		stack_free_pages(k);
		return;
	}
	s->next = stacks;
	stacks = s;
	nstacks++;
}

void thread_drop_spare(void)
{
	while (stacks) {
		struct kstack *k = (struct kstack *)stacks;

		stacks = stacks->next;
		stack_free_pages(k);
	}
	nstacks = 0;
}

static struct thread *thread_alloc(void)
{
	struct thread *t = kzalloc(sizeof(*t));

	if (!t)
		return NULL;
	t->kstack = stack_alloc();
	if (!t->kstack) {
		kfree(t);
		return NULL;
	}
	*t->kstack = (struct kstack){ .thread = t, .magic = KSTACK_MAGIC };
	t->frame = kstack_frame(t->kstack);
	waiter_init(&t->sched.waiter);
	timer_init(&t->sched.timer, NULL);
	list_init(&t->sched.run);
	return t;
}

void thread_free(struct thread *t)
{
	ASSERT(t->kstack->magic == KSTACK_MAGIC);
	syscall_thread_free(t);
	stack_free(t->kstack);
	kfree(t);
}

static void thread_add(struct thread *t, struct process *p, u32 tid)
{
	t->proc = p;
	t->tid = tid;
	pid_get(tid);
	list_add_tail(&p->threads, &t->list);
	if (p->nthreads++)
		count++;	/* the first is counted with its process */
	list_add(&thread_hash[tid % HASH_SIZE], &t->hash);
}

static void thread_remove(struct thread *t)
{
	struct process *p = t->proc;

	list_del(&t->list);
	list_del(&t->hash);
	if (--p->nthreads)
		count--;
	p->used.user_tsc += sched_now_used(t);
	p->used.faults += t->faults + t->short_faults;
	rs_stats()->faults += t->short_faults;
	pid_put(t->tid);
}

static void process_add(struct process *p, u32 pid)
{
	p->pid = pid;
	pid_get(pid);
	pid_get(p->pgid);
	pid_get(p->sid);
	count++;
	list_add_tail(&all, &p->all);
}

/* It is there to stay: whoever asks for its number finds it. */
static void process_publish(struct process *p)
{
	rcu_hlist_add(&process_hash[p->pid % HASH_SIZE], &p->hash);
}

static void process_free_memory(struct rcu_head *h)
{
	kfree(container_of(h, struct process, rcu));
}

static void process_free(struct process *p)
{
	list_del(&p->all);
	rcu_hlist_del(&p->hash);
	pid_put(p->pid);
	pid_put(p->pgid);
	pid_put(p->sid);
	count--;
	syscall_process_free(p);
	refstr_put(p->exe);
	rcu_call(&p->rcu, process_free_memory);
}

static struct process *process_alloc(void)
{
	struct process *p = kzalloc(sizeof(*p));

	if (!p)
		return NULL;
	list_init(&p->threads);
	list_init(&p->children);
	list_init(&p->sibling);
	wait_list_init(&p->child_event);
	return p;
}

struct process *process_create(void)
{
	struct process *p = process_alloc();
	struct thread *t = thread_alloc();
	u32 i;

	if (!p || !t)
		return NULL;
	for (i = 0; i < HASH_SIZE; i++) {
		process_hash[i].first = NULL;
		list_init(&thread_hash[i]);
	}
	p->ppid = rs_boot->ppid;
	p->pgid = rs_boot->pgid;
	p->sid = rs_boot->sid;
	p->uid = rs_boot->uid;
	p->euid = p->suid = p->fsuid = rs_boot->euid;
	p->gid = rs_boot->gid;
	p->egid = p->sgid = p->fsgid = rs_boot->egid;
	p->core_hard_limit = ~0ull;
	p->dumpable = true;
	p->start_ns = clock_monotonic();
	p->start_tsc = rdtsc();
	p->exit_signal = SIGCHLD;
	last_pid = rs_boot->pid;
	/* Outside the sandbox, yet no number of ours. */
	pid_get(p->ppid);
	process_add(p, rs_boot->pid);
	process_publish(p);
	thread_add(t, p, p->pid);
	first = p;
	return p;
}

/* --- fork ------------------------------------------------------------------------------------- */

static struct process *process_copy(struct process *old, const struct fork_args *a)
{
	struct process *p = process_alloc();

	if (!p)
		return NULL;
	memcpy(&p->ppid, &old->ppid, offsetof(struct process, fs) - offsetof(struct process, ppid));
	memcpy(p->comm, thread_comm(current()), sizeof(p->comm));
	p->exe = refstr_get(old->exe);
	p->dumpable = old->dumpable;
	p->no_new_privs = old->no_new_privs;
	p->exit_signal = a->exit_signal;
	p->start_tsc = rdtsc();
	if (a->flags & CLONE_VM) {
		p->mm = old->mm;
		__atomic_add_fetch(&p->mm->refs, 1, __ATOMIC_RELAXED);
	} else {
		p->mm = likely(!a->unstarted) ? mm_fork(old->mm) : mm_create_like(old->mm);
		if (!p->mm) {
			refstr_put(p->exe);
			kfree(p);
			return NULL;
		}
	}
	return p;
}

typedef bool (*page_fn)(struct mm *mm, struct mm *child, u64 addr);

static bool host_writes_of(struct process *p, struct mm *child, page_fn how)
{
	struct thread *t;
	u32 i;

	list_for_each(t, &p->threads, list)
		for (i = 0; i < t->nhost_writes; i++) {
			u64 at = t->host_write[i].addr & PAGE_MASK;
			u64 end = t->host_write[i].addr + t->host_write[i].len;

			for (; at < end; at += PAGE_SIZE)
				if (!how(p->mm, child, at))
					return false;
		}
	return true;
}

/*
 * Pages the host writes to for sleeping threads of @p, or of another process in the same address
 * space, stay there (mm/fork.c): @how for each of them; false as soon as that says so.
 */
static bool for_host_writes(struct process *p, struct mm *child, page_fn how)
{
	struct process *each;

	if (likely(p->mm->refs == 1))
		return host_writes_of(p, child, how);
	list_for_each(each, &all, all)
		if (each->mm == p->mm && !host_writes_of(each, child, how))
			return false;
	return true;
}

bool process_host_writes(u64 addr, u64 len)
{
	struct process *p = current_proc(), *each;
	struct thread *t;
	u32 i;

	if (p->nthreads == 1 && p->mm->refs == 1)
		return false;
	list_for_each(each, &all, all) {
		if (each->mm != p->mm)
			continue;
		list_for_each(t, &each->threads, list)
			for (i = 0; i < t->nhost_writes; i++)
				if (t->host_write[i].addr < addr + len &&
				    addr < t->host_write[i].addr + t->host_write[i].len)
					return true;
	}
	return false;
}

static bool begin_host_write(struct mm *mm, struct mm *child, u64 addr)
{
	(void)child;
	return mm_fork_begin(mm, addr);
}

static bool end_host_write(struct mm *mm, struct mm *child, u64 addr)
{
	(void)child;
	mm_fork_failed(mm, addr);
	return true;
}

/* A thread of somebody who can fork at the same time may have the host write for it. */
static bool has_host_writes(const struct process *p)
{
	return p->nthreads > 1 || p->mm->refs > 1;
}

static void thread_copy_state(struct thread *t, const struct fork_args *a,
			      const struct rs_frame *frame)
{
	struct thread *old = current();
	struct rs_frame *f = t->frame;

	*f = *frame;
	f->rax = 0;
	f->vector = RS_VECTOR_RESTORED;
	if (a->stack)
		f->rsp = a->stack;
	sched_prepare(t);
	if (a->flags & CLONE_SETTLS)
		t->sched.fs_base = a->tls;
	if (a->flags & CLONE_CHILD_CLEARTID)
		t->clear_child_tid = a->child_tid;
	if (unlikely(a->keep_tid))
		t->clear_child_tid = old->clear_child_tid;
	memcpy(t->comm, thread_comm(old), sizeof(t->comm));
	t->affinity = old->affinity;
	t->nice = old->nice;
	upcall_fork(t, a->flags);
	if (!(a->flags & CLONE_VM)) {
		t->robust_list = old->robust_list;
		t->robust_len = old->robust_len;
		t->rseq = old->rseq;
		t->rseq_len = old->rseq_len;
		t->rseq_sig = old->rseq_sig;
	}
}

/* As on Linux a bad address is no error; but a number that is lost for want of memory is. */
static long put_tid(u64 addr, u32 tid)
{
	current()->no_memory = false;
	return put_user_u32(addr, tid) && current()->no_memory ? -ENOMEM : 0;
}

/* The child's memory is not the current one unless it is shared. */
long process_put_tid(struct thread *t, u64 addr)
{
	struct mm *mine = current_mm();
	long err;

	if (t->proc->mm != mine)
		mm_activate(t->proc->mm);
	err = put_tid(addr, t->tid);
	if (t->proc->mm != mine)
		mm_activate(mine);
	return err;
}

static long put_tids(struct thread *t, const struct fork_args *a)
{
	long err = 0;

	if (a->flags & CLONE_PARENT_SETTID)
		err = put_tid(a->parent_tid, t->tid);
	return err || !(a->flags & CLONE_CHILD_SETTID) ? err : process_put_tid(t, a->child_tid);
}

/* Each side lets go before it can be freed: the parent when it is killed, the child at its end. */
static void vfork_wait(struct thread *child)
{
	struct thread *t = current();

	child->vfork_parent = t;
	t->vfork_child = child;
	while (t->vfork_child)
		if (thread_sleep(NO_DEADLINE, SLEEP_KILL) == -EINTR)
			break;
	if (t->vfork_child)
		t->vfork_child->vfork_parent = NULL;
	t->vfork_child = NULL;
}

static void vfork_done(struct thread *t)
{
	struct thread *parent = t->vfork_parent;

	if (likely(!parent))
		return;
	t->vfork_parent = NULL;
	parent->vfork_child = NULL;
	thread_wake(parent);
}

/* --pids, and the numbers must last. */
static u32 max_pids(void)
{
	u32 limit = PID_MAX - FIRST_REUSED - 2;

	return rs_boot->max_pids ? min(rs_boot->max_pids, limit) : limit;
}

long process_fork(const struct fork_args *a, const struct rs_frame *frame)
{
	struct process *old = current_proc(), *p = old;
	bool new_process = !(a->flags & CLONE_THREAD), private = false;
	struct thread *t;
	u32 tid;
	long ret = -ENOMEM;

	/* Who was told to go leaves nobody behind who was not told. */
	if (count >= max_pids() || current()->work & THREAD_WORK_EXIT)
		return -EAGAIN;
	tid = pid_new();
	if (!tid)
		return -EAGAIN;
	t = thread_alloc();
	if (!t)
		return -ENOMEM;
	if (new_process) {
		if (!(a->flags & CLONE_VM) && !a->unstarted && has_host_writes(old)) {
			if (!for_host_writes(old, NULL, begin_host_write))
				goto no_process;
			private = true;
		}
		p = process_copy(old, a);
		if (!p)
			goto no_process;
		p->parent = a->flags & CLONE_PARENT && old->parent ? old->parent : old;
		p->ppid = p->parent->pid;
		process_add(p, tid);
	}
	thread_add(t, p, tid);
	thread_copy_state(t, a, frame);
	ret = syscall_fork(t, current(), a->flags);
	if (!ret && private && !for_host_writes(old, p->mm, mm_fork_keep))
		ret = -ENOMEM;
	if (!ret)
		ret = put_tids(t, a);
	if (!ret && a->flags & CLONE_PIDFD)
		ret = syscall_fork_pidfd(p, a->pidfd);
	if (ret)
		goto undo;
	if (new_process) {
		list_add_tail(&p->parent->children, &p->sibling);
		process_publish(p);
		rs_stats()->forks++;
	}
	if (unlikely(a->unstarted)) {
		p->unstarted = true;
		return tid;
	}
	sched_start(t);
	if (a->flags & CLONE_VFORK)
		vfork_wait(t);
	return tid;

undo:
	if (new_process) {
		process_undo(p, t);
		t = NULL;
	} else {
		thread_remove(t);
	}
no_process:
	if (private)
		for_host_writes(old, NULL, end_host_write);
	if (t)
		thread_free(t);
	return ret;
}

void process_undo(struct process *p, struct thread *t)
{
	thread_remove(t);
	syscall_process_end(p);
	mm_put(p->mm);
	process_free(p);
	thread_free(t);
}

/* --- end -------------------------------------------------------------------------------------- */

/* --verbose --debug: the page table as it was at the end, in pieces that the console takes. */
static void dump_page_table(const struct mm *mm)
{
	size_t size = 1ul << 20, at, n;
	struct textbuf t = { .size = size, .buf = kmalloc(size) };

	if (!t.buf)
		return;
	pgtable_dump(&mm->pt, &t);
	for (at = 0; at < t.len; at += n) {
		n = min(t.len - at, (size_t)4096);
		console_write(RS_CONSOLE_LOG, t.buf + at, n);
	}
	kfree(t.buf);
}

/* All other threads of the process go, from wherever they sleep. */
static void tell_threads_to_go(struct process *p)
{
	struct thread *t;

	list_for_each(t, &p->threads, list) {
		if (t == current())
			continue;
		t->work |= THREAD_WORK_EXIT;
		thread_wake(t);
	}
}

static struct process *new_parent(struct process *p)
{
	struct process *a;

	for (a = p->parent; a; a = a->parent)
		if (a->subreaper && a->state == PROCESS_ALIVE && !a->exiting)
			return a;
	return first;
}

static void give_children_away(struct process *p)
{
	struct process *to = new_parent(p), *c, *next;

	list_for_each_safe(c, next, &p->children, sibling) {
		list_del(&c->sibling);
		c->parent = to;
		c->ppid = to->pid;
		c->exit_signal = SIGCHLD;	/* what another wanted is nothing to the new one */
		list_add_tail(&to->children, &c->sibling);
		signal_parent_ended(c, p);
		if (c->state != PROCESS_ZOMBIE)
			continue;
		/* It was nobody's business yet: the new parent's, unless it wants no zombies. */
		if (signal_ignores_children(to)) {
			list_del(&c->sibling);
			process_free(c);
		} else {
			wait_wake(&to->child_event);
		}
	}
}

static struct usage usage_sum(struct usage a, const struct usage *b)
{
	a.user_tsc += b->user_tsc;
	a.faults += b->faults;
	a.switches += b->switches;
	a.preempted += b->preempted;
	a.max_pages = max(a.max_pages, b->max_pages);
	return a;
}

struct usage process_usage(const struct process *p)
{
	struct usage u = p->used;
	struct thread *t;

	list_for_each(t, &p->threads, list) {
		u.user_tsc += sched_now_used(t);
		u.faults += t->faults + t->short_faults;
	}
	if (p->mm)
		u.max_pages = max(u.max_pages, p->mm->pt.mapped);
	return u;
}

/* A zombie's parent has been told, or there is none that wants to know. */
static void reap(struct process *p)
{
	struct process *parent = p->parent;

	parent->children_used = usage_sum(parent->children_used, &p->used);
	parent->children_used = usage_sum(parent->children_used, &p->children_used);
	list_del(&p->sibling);
	process_free(p);
}

static void leave_memory(struct process *p)
{
	struct mm *mm = p->mm;

	p->used.max_pages = max(p->used.max_pages, mm->pt.mapped);
	p->mm = NULL;
	mm_activate(NULL);
	mm_put(mm);
}

/*
 * The end of the sandbox. With --debug everything is given back first, and every page must be where
 * the counts say.
 */
static void __noreturn sandbox_end(int wait_status)
{
	struct process *p, *next;
	struct thread *t;
	u32 i;

	syscall_sandbox_ends();
	page_alloc_stats_update();
	for (i = 0; i < rs_ncpus; i++)
		rs_stats()->syscalls += rs_cpus[i].shared->short_calls;
	/* Threads that have ended have been counted. */
	list_for_each(p, &all, all)
		list_for_each(t, &p->threads, list)
			rs_stats()->faults += t->short_faults;
	if (!(rs_boot->flags & RS_BOOT_DEBUG))
		host_exit(wait_status, 0);
	list_for_each_safe(p, next, &all, all)
		if (p != first && p->state == PROCESS_ZOMBIE) {
			list_del(&p->sibling);
			process_free(p);
		}
	rcu_drain();
	syscall_drop_spare();
	thread_drop_spare();
	pgtable_drop_spare();
	file_map_drop_spare();
	kmalloc_drop_spare();
	page_alloc_check();
	rs_printf("guest kernel: %lu of %lu pages and %lu objects are the kernel's at the end\n",
		  pages_total() - pages_free(), pages_total(), kmalloc_in_use());
	host_exit(wait_status, 0);
}

static bool tell_others_to_go(void)
{
	struct process *p;
	bool alive = false;

	list_for_each(p, &all, all) {
		if (p == first || p->state == PROCESS_ZOMBIE)
			continue;
		alive = true;
		p->exiting = true;
		tell_threads_to_go(p);
	}
	return alive;
}

/*
 * With --debug the others end before the first one does, so that what is left is a leak. Each that
 * becomes a zombie tells so: first->child_event.
 */
static void end_others(void)
{
	struct wait_entry e;

	if (!(rs_boot->flags & RS_BOOT_DEBUG))
		return;
	first->exiting = true;
	wait_enter(&first->child_event, &e);
	while (tell_others_to_go())
		thread_sleep(NO_DEADLINE, SLEEP_ALWAYS);
	wait_leave(&e);
}

/* The last thread of the process: from here on it is a zombie. */
static void process_end(struct process *p)
{
	bool parent_ignores;

	process_children_gone();
	if (p == first)
		end_others();
	if (rs_boot->flags & RS_BOOT_DEBUG) {
		if (rs_boot->flags & RS_BOOT_VERBOSE && p == first)
			dump_page_table(p->mm);
		mm_check(p->mm);
		if (p == first)
			rs_printf("guest kernel: %lu bytes of the kernel stack were used at most\n",
				  kstack_used(this_kstack()));
	}
	p->exiting = true;
	syscall_process_end(p);
	leave_memory(p);
	vfork_done(current());
	if (p == first)
		sandbox_end(p->wait_status);
	give_children_away(p);
	p->state = PROCESS_ZOMBIE;
	p->stopped = false;
	signal_orphaned(p, p->parent);
	parent_ignores = signal_ignores_children(p->parent);
	signal_child(p, p->wait_status & 0x7f ? CLD_KILLED : CLD_EXITED,
		     p->wait_status & 0x7f ? p->wait_status & 0x7f : p->wait_status >> 8);
	wait_wake(&p->parent->child_event);
	if (unlikely(first->exiting))
		wait_wake(&first->child_event);
	if (parent_ignores && p->exit_signal == SIGCHLD)
		reap(p);
}

void thread_exit(int wait_status)
{
	struct thread *t = current();
	struct process *p = t->proc;
	struct thread *exec = p->exec_thread;

	syscall_thread_exit(t);
	alarm_end(t);
	/* Unless all end at once, the first thread's status is the process's, whenever it ended. */
	if (!p->exiting && t->tid == p->pid)
		p->wait_status = wait_status;
	if (p->nthreads == 1) {
		thread_remove(t);
		process_end(p);
	} else {
		thread_remove(t);
		vfork_done(t);
		if (exec && p->nthreads == 1)
			thread_wake(exec);
	}
	t->proc = NULL;
	sched_exit();
}

void process_exit(int wait_status)
{
	struct process *p = current_proc();

	if (!p->exiting) {
		p->exiting = true;
		p->wait_status = wait_status;
		tell_threads_to_go(p);
	}
	thread_exit(wait_status);
}

void process_die(int sig, const struct fault_info *fault)
{
	if (fault || report_is_bug(sig))
		report_death(current(), sig, fault);
	process_exit(sig);
}

/* --- exec ------------------------------------------------------------------------------------- */

long process_single_thread(void)
{
	struct thread *t = current(), *leader;
	struct process *p = t->proc;

	if (p->exec_thread || p->exiting)
		return -EINTR;
	if (p->nthreads > 1) {
		p->exec_thread = t;
		tell_threads_to_go(p);
		while (p->nthreads > 1)
			thread_sleep(NO_DEADLINE, SLEEP_ALWAYS);
		p->exec_thread = NULL;
	}
	if (t->tid != p->pid) {
		leader = thread_find(p->pid);
		ASSERT(!leader);
		list_del(&t->hash);
		pid_put(t->tid);
		t->tid = p->pid;
		pid_get(t->tid);
		list_add(&thread_hash[t->tid % HASH_SIZE], &t->hash);
	}
	return 0;
}

void process_exec_done(void)
{
	current_proc()->execed = true;
	process_children_gone();
	vfork_done(current());
}

/* --- stop and continue ------------------------------------------------------------------------ */

void process_stop(int sig)
{
	struct process *p = current_proc();
	struct thread *t;

	if (!p->stopped) {
		p->stopped = true;
		p->continued = false;
		p->stop_reported = false;
		p->stop_signal = sig;
		list_for_each(t, &p->threads, list) {
			t->work |= THREAD_WORK_SIGNAL;
			if (t != current())
				thread_wake(t);
		}
		/* Those on other CPUs do nothing more in ring 3 before anybody hears of it. */
		if (p->nthreads > 1)
			sched_barrier();
		if (p->parent) {
			signal_child(p, CLD_STOPPED, sig);
			wait_wake(&p->parent->child_event);
		}
	}
	thread_park();
}

void process_continue(struct process *p)
{
	struct thread *t;

	if (!p->stopped)
		return;
	p->stopped = false;
	p->continued = true;
	list_for_each(t, &p->threads, list)
		thread_wake(t);
	if (p->parent) {
		signal_child(p, CLD_CONTINUED, SIGCONT);
		wait_wake(&p->parent->child_event);
	}
}

void thread_park(void)
{
	struct process *p = current_proc();

	while (p->stopped && !p->exiting && thread_sleep(NO_DEADLINE, SLEEP_KILL) != -EINTR)
		;
}

/* --- wait ------------------------------------------------------------------------------------- */

static bool is_meant(const struct process *c, s64 id, u32 options)
{
	bool clone_child = c->exit_signal != SIGCHLD;

	if (c->unstarted)
		return false;
	if (!(options & WAIT_ALL) && clone_child != !!(options & WAIT_CLONE))
		return false;
	if (id > 0)
		return c->pid == (u32)id;
	if (id == -1)
		return true;
	return c->pgid == (id ? (u32)-id : current_proc()->pgid);
}

/* Something to tell of @c? Fills in @r; true. */
static bool news(struct process *c, u32 options, struct wait_result *r)
{
	bool keep = options & WAIT_NOWAIT;

	*r = (struct wait_result){ .pid = c->pid, .uid = c->uid };
	if (c->state == PROCESS_ZOMBIE) {
		if (!(options & WAIT_EXITED))
			return false;
		r->status = c->wait_status;
		r->used = usage_sum(c->used, &c->children_used);
		if (!keep)
			reap(c);
		return true;
	}
	if (c->stopped && !c->stop_reported && options & WAIT_UNTRACED) {
		r->status = c->stop_signal << 8 | 0x7f;
		c->stop_reported = !keep;
	} else if (c->continued && options & WAIT_CONTINUED) {
		r->status = 0xffff;
		if (!keep)
			c->continued = false;
	} else {
		return false;
	}
	r->used = process_usage(c);
	return true;
}

static long look_at_children(s64 id, u32 options, struct wait_result *r)
{
	struct process *p = current_proc(), *c;
	bool some = false;

	list_for_each(c, &p->children, sibling) {
		if (!is_meant(c, id, options))
			continue;
		some = true;
		if (news(c, options, r))
			return r->pid;
	}
	return some ? 0 : -ECHILD;
}

long process_wait(s64 id, u32 options, struct wait_result *r)
{
	struct wait_entry e;
	long ret, err = 0;

	wait_enter(&current_proc()->child_event, &e);
	for (;;) {
		ret = look_at_children(id, options, r);
		if (ret || options & WAIT_NOHANG)
			break;
		if (err) {
			ret = err;
			break;
		}
		err = thread_sleep(NO_DEADLINE, SLEEP_SIGNALS);
	}
	wait_leave(&e);
	return ret;
}
