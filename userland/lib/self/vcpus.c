// SPDX-License-Identifier: MIT
/*
 * vCPUs and the threads that have them.
 *
 * A vCPU is made when a thread needs one and none is free, and stays until the process ends. It is FREE, or a thread's: IDLE while the thread
 * is outside, INSIDE between self_mark_inside() and self_mark_outside(). One that has been inside and stands in a hypercall (primed) is
 * entered again by an answer to that; a fresh one by RS_SET_STATE, at the monitor's start.
 *
 * rs_self.lock guards who has what, but for the last step of a thread that ends: it stores SELF_FREE when it has left its stack.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>

#include "raw.h"
#include "self.h"

struct self rs_self __attribute__((visibility("hidden")));

extern const char self_monitor_resume[];
extern const char self_monitor_start[], self_monitor_end[], self_monitor_first[], self_monitor_vectors[], self_monitor_here[];
extern const uint32_t self_monitor_sites[], self_monitor_sites_end[];

/* --- locks --- */

/* 0: free, 1: taken, 2: taken and somebody sleeps. */
void self_lock(volatile uint32_t *lock)
{
	uint32_t old = 0;

	if (__atomic_compare_exchange_n(lock, &old, 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		return;
	while (__atomic_exchange_n(lock, 2, __ATOMIC_ACQUIRE))
		rs_raw6(__NR_futex, (long)lock, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 2, 0, 0, 0);
}

void self_unlock(volatile uint32_t *lock)
{
	if (__atomic_exchange_n(lock, 0, __ATOMIC_RELEASE) == 2)
		rs_raw6(__NR_futex, (long)lock, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, 0, 0, 0);
}

/* --- descriptor tables --- */

struct table_ptr {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

/* The monitor's address of something in the arena. */
static uint64_t monitor_address(const void *p)
{
	return RS_SELF_BASE + (uint64_t)((const uint8_t *)p - rs_self.arena);
}

static void put_u64(uint8_t *p, uint64_t value)
{
	int i;

	for (i = 0; i < 8; i++)
		((volatile uint8_t *)p)[i] = value >> 8 * i;
}

/* The limit of the descriptor by which the vDSO knows its CPU; a hint, as of now. */
static uint64_t cpunode_limit(void)
{
	uint64_t limit = 0;

	__asm__("lsl %1, %0" : "+r"(limit) : "r"((uint64_t)RS_SEL_CPUNODE) : "cc");
	return limit & 0xfffff;
}

/* A descriptor of a data segment whose limit, in bytes, says something; for ring 3. */
static uint64_t limit_descriptor(uint64_t limit)
{
	return (limit & 0xffff) | 0xf1ull << 40 | (limit >> 16 & 15) << 48 | 1ull << 54;
}

static void put_gdt(struct self_vcpu *v)
{
	uint8_t *block = (uint8_t *)v;
	volatile uint64_t *gdt = (void *)(block + RS_BLOCK_GDT);
	uint8_t *tss = block + RS_BLOCK_TSS;
	struct table_ptr *gdtr = (void *)(block + RS_BLOCK_GDTR), *idtr = (void *)(block + RS_BLOCK_IDTR);
	uint64_t base = monitor_address(tss);
	int i;

	gdt[RS_SEL_KERNEL_CS / 8] = 0x00af9b000000ffff;
	gdt[RS_SEL_KERNEL_SS / 8] = 0x00cf93000000ffff;
	gdt[4] = 0x00cffb000000ffff;				/* 32-bit code: where SYSRET counts from */
	gdt[RS_SEL_USER_SS / 8] = 0x00cff3000000ffff;
	gdt[RS_SEL_USER_CS / 8] = 0x00affb000000ffff;
	gdt[RS_SEL_TSS / 8] = 0x67 | (base & 0xffffff) << 16 | 0x89ull << 40 | (base >> 24 & 0xff) << 56;
	gdt[RS_SEL_TSS / 8 + 1] = base >> 32;
	gdt[RS_SEL_CPUNODE / 8] = limit_descriptor(cpunode_limit());
	gdt[RS_SEL_SELF / 8] = limit_descriptor(RS_SELF_MAGIC | v->id);
	put_u64(tss + 4, monitor_address(block + RS_F_SIZE));	/* ring 0's stack: all gates name another, but for own ones */
	put_u64(tss + 36, monitor_address(block + RS_F_SIZE));	/* 1: the frame's end */
	for (i = 1; i < 5; i++)					/* 2 to 5 */
		put_u64(tss + 36 + 8 * i, monitor_address(block + RS_BLOCK_STACKS + 0x1000 * i));
	tss[102] = 0x68;					/* no I/O bitmap */
	gdtr->limit = RS_SEL_SELF / 8 * 8 + 7;
	gdtr->base = monitor_address(block + RS_BLOCK_GDT);
	idtr->limit = 0xfff;
	idtr->base = monitor_address(block + RS_BLOCK_IDT);
}

static void put_gate(struct self_vcpu *v, unsigned int vector, const char *handler, int ist, int dpl)
{
	uint64_t *gate = (uint64_t *)((uint8_t *)v + RS_BLOCK_IDT) + 2 * vector;
	uint64_t h = monitor_address((uint8_t *)v + RS_BLOCK_MONITOR + (handler - self_monitor_start));

	gate[0] = (h & 0xffff) | RS_SEL_KERNEL_CS << 16 | (uint64_t)ist << 32 | (0x8eull | dpl << 5) << 40 | (h >> 16 & 0xffff) << 48;
	gate[1] = h >> 32;
}

static void put_idt(struct self_vcpu *v)
{
	unsigned int i;

	for (i = 0; i < 32; i++) {
		int ist = i == 8 ? 2 : i == 2 ? 3 : i == 18 ? 4 : 1;

		put_gate(v, i, self_monitor_vectors + 16 * i, ist, i == 3 || i == 4 ? 3 : 0);
	}
	put_gate(v, RS_VECTOR_HERE, self_monitor_here, 1, 0);
}

/* The copy, with this CPU's hypercall instruction. */
static int put_monitor(struct self_vcpu *v)
{
	volatile uint8_t *to = (uint8_t *)v + RS_BLOCK_MONITOR;
	const uint32_t *site;
	long i, n = self_monitor_end - self_monitor_start;

	for (i = 0; i < n; i++)
		to[i] = self_monitor_start[i];
	for (site = self_monitor_sites; site < self_monitor_sites_end; site++)
		to[*site + 2] = rs_self.info.backend == RS_BACKEND_VMX ? 0xc1 : 0xd9;
	return rs_raw3(__NR_mprotect, (long)to, RS_BLOCK_MONITOR_SIZE, PROT_READ | PROT_EXEC);
}

/* --- life --- */

/* Descriptors of ours are out of the way of those that programs and shells number by hand. */
int self_high_fd(int fd)
{
	struct { uint64_t soft, hard; } limit;
	long high = -1, base;

	if (fd < 0)
		return fd;
	if (!rs_raw4(__NR_prlimit64, 0, 7 /* RLIMIT_NOFILE */, 0, (long)&limit)) {
		base = limit.soft > 1 << 20 ? 1 << 20 : (long)limit.soft;
		if (base >= 2 * SELF_VCPUS + 16)
			high = rs_raw3(__NR_fcntl, fd, F_DUPFD_CLOEXEC, base - SELF_VCPUS - 4);
	}
	if (high < 0)
		return fd;
	rs_raw3(__NR_close, fd, 0, 0);
	return high;
}

static int vcpu_make(unsigned int id, struct self_vcpu **out)
{
	struct self_vcpu *v = (void *)(rs_self.arena + (uint64_t)id * RS_SELF_BLOCK);
	struct rs_vcpu_config config = { .id = id };
	uint8_t *block = (uint8_t *)v;
	long ret;

	if (!(rs_self.blocks_made >> id & 1)) {
		ret = put_monitor(v);
		if (!ret)
			ret = rs_raw3(__NR_mprotect, (long)block + RS_BLOCK_NATIVE, 0x1000, PROT_NONE);
		if (!ret)
			ret = rs_raw3(__NR_mprotect, (long)block + RS_BLOCK_TRAP, 0x1000, PROT_NONE);
		if (ret)
			return ret;
		rs_self.blocks_made |= 1ull << id;
	}
	v->fd = self_high_fd(rs_raw3(__NR_ioctl, rs_self.vm_fd, RS_CREATE_VCPU, (long)&config));
	if (v->fd < 0)
		return v->fd;
	ret = rs_raw6(__NR_mmap, (long)block + RS_BLOCK_RUN, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, v->fd, 0);
	if (ret < 0 && ret > -4096) {
		rs_raw3(__NR_close, v->fd, 0, 0);
		return ret;
	}
	v->run = (struct rs_run *)ret;
	v->id = id;
	v->shared = (struct self_shared *)monitor_address(rs_self.shared);
	v->cr3 = rs_self.shared->root_gpa;
	v->fsgsbase = rs_self.fsgsbase;
	v->xsave = rs_self.xsave_mask != 0;
	v->ring0 = rs_self.ring0;
	v->xsave_mask = rs_self.xsave_mask;
	v->xsave_size = rs_self.xsave_size;
	v->resume = monitor_address(block + RS_BLOCK_MONITOR + (self_monitor_resume - self_monitor_start));
	v->calls = v->faults = v->enters = v->leaves = v->signals_delivered = 0;
	v->victim = 0;
	v->state = SELF_FREE;
	v->block = (uintptr_t)block;
	v->trap_end = v->block + RS_BLOCK_TRAP_TOP;
	/* The guard, what a trap puts there, and room for the handler to say something. */
	v->trap_low = v->block + RS_BLOCK_TRAP + 0x1000 + 0x2000 + v->xsave_size;
	put_idt(v);
	*out = v;
	return 0;
}

/* The thread is no more, or has gone outside without a word (a handler that ran natively jumped away). 1: it counted as one that is inside. */
static int take_back(struct self_vcpu *v)
{
	int inside = v->state == SELF_INSIDE;

	if (inside)
		__atomic_fetch_sub(&rs_self.shared->inside, 1, __ATOMIC_SEQ_CST);
	v->in_loop = 0;
	self_vcpu_put(v);
	return inside;
}

/* The vCPUs of threads that have ended outside. How many of them counted as inside; lock. */
static unsigned int take_back_dead(unsigned int *unused)
{
	unsigned int i, inside = 0;

	for (i = 0; i < SELF_VCPUS && rs_self.vcpus[i]; i++) {
		struct self_vcpu *v = rs_self.vcpus[i];

		if (v->tid <= 0 || __atomic_load_n(&v->state, __ATOMIC_ACQUIRE) == SELF_FREE ||
		    rs_raw3(__NR_tgkill, rs_self.pid, v->tid, 0) != -ESRCH)
			continue;
		inside += take_back(v);
		*unused = i;
	}
	return inside;
}

struct self_vcpu *self_vcpu_get(int tid, int *err)
{
	struct self_vcpu *v = NULL;
	unsigned int i, unused = SELF_VCPUS, lost = 0;

	self_lock(&rs_self.lock);
	for (i = 0; i < SELF_VCPUS && rs_self.vcpus[i]; i++) {
		struct self_vcpu *w = rs_self.vcpus[i];
		int state = __atomic_load_n(&w->state, __ATOMIC_ACQUIRE);

		if (state == SELF_INSIDE && w->tid == tid) {
			lost += take_back(w);
			state = SELF_FREE;
		}
		if (state != SELF_FREE && w->tid == tid) {
			v = w;
			unused = SELF_VCPUS;
			break;
		}
		if (state == SELF_FREE && unused == SELF_VCPUS)
			unused = i;
	}
	if (!v && unused == SELF_VCPUS)
		lost += take_back_dead(&unused);
	if (!v && unused == SELF_VCPUS)
		unused = i;
	*err = 0;
	if (!v) {
		if (unused == SELF_VCPUS)
			*err = -EAGAIN;
		else if (rs_self.vcpus[unused])
			v = rs_self.vcpus[unused];
		else
			*err = vcpu_make(unused, &v);
		if (v) {
			rs_self.vcpus[v->id] = v;
			v->tid = tid;
			v->state = SELF_IDLE;
			v->primed = 0;		/* nothing of its last thread stays */
			v->pending = 0;
		}
	}
	self_unlock(&rs_self.lock);
	while (lost--)
		self_signals_stop();
	return v;
}

void self_vcpu_put(struct self_vcpu *v)
{
	v->tid = 0;
	__atomic_store_n(&v->state, SELF_FREE, __ATOMIC_RELEASE);
}

void self_mark_inside(struct self_vcpu *v)
{
	v->state = SELF_INSIDE;
	v->enters++;
	__atomic_fetch_add(&rs_self.shared->inside, 1, __ATOMIC_SEQ_CST);
}

void self_mark_outside(struct self_vcpu *v)
{
	__atomic_fetch_sub(&rs_self.shared->inside, 1, __ATOMIC_SEQ_CST);
	v->leaves++;
	v->state = SELF_IDLE;
}

/*
 * The vCPU will load v->frame when it runs: by the answer to the hypercall it stands in, or by beginning at the monitor's start. The stack is
 * the frame's end, as for everything else in the monitor.
 */
int self_prime(struct self_vcpu *v)
{
	struct rs_vcpu_state st = { 0 };

	v->user = !v->ring0;
	if (v->primed) {
		v->run->hypercall.ret = RS_ANS_ENTER;
		return 0;
	}
	v->trap_top = v->trap_end;
	v->user_context = 0;
	put_gdt(v);
	st.rip = monitor_address((uint8_t *)v + RS_BLOCK_MONITOR + (self_monitor_first - self_monitor_start));
	st.rsp = monitor_address((uint8_t *)v + RS_F_SIZE);
	st.rflags = 2;
	st.cr3 = v->cr3;
	st.cr4 = rs_self.cr4;
	st.efer = rs_self.efer;
	return rs_raw3(__NR_ioctl, v->fd, RS_SET_STATE, (long)&st);
}

int self_mark_make(void)
{
	volatile uint32_t *mark, *none = NULL;
	long ret;

	if (__atomic_load_n(&rs_self.mark, __ATOMIC_ACQUIRE))
		return 0;
	ret = rs_raw6(__NR_mmap, 0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (ret < 0 && ret > -4096)
		return ret;
	mark = (volatile uint32_t *)ret;
	ret = rs_raw3(__NR_madvise, (long)mark, 4096, MADV_WIPEONFORK);
	*mark = SELF_MARK_OURS;
	if (ret || !__atomic_compare_exchange_n(&rs_self.mark, &none, mark, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		rs_raw3(__NR_munmap, (long)mark, 4096, 0);
	return ret;
}

void self_mend(void)
{
	volatile uint32_t *mark = __atomic_load_n(&rs_self.mark, __ATOMIC_ACQUIRE);
	uint32_t old = SELF_MARK_COPY;

	if (!mark)
		return;
	while (!__atomic_compare_exchange_n(mark, &old, SELF_MARK_MENDING, 0, __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE)) {
		if (old == SELF_MARK_OURS)
			return;
		old = SELF_MARK_COPY;
		rs_raw3(__NR_sched_yield, 0, 0, 0);
	}
	rs_self.lock = 0;
	rs_self.making = 0;
	self_signals_copied();
	rs_self.copied = 1;
	__atomic_store_n(mark, SELF_MARK_OURS, __ATOMIC_RELEASE);
}

int self_fd_ask(int fd, unsigned long request)
{
	struct rs_stats stats;

	return rs_raw3(__NR_ioctl, fd, request, (long)&stats);
}

/* Not what the program has opened in its place since. A ring that is another process's answers EPERM, what is none ENOTTY. */
static void close_ours(int fd, unsigned long request)
{
	int ret = self_fd_ask(fd, request);

	if (!ret || ret == -EPERM)
		rs_raw3(__NR_close, fd, 0, 0);
}

void self_forget(int shared)
{
	unsigned int i;

	/*
	 * The parent's, of which nothing is ours. The arena is a copy, and stays: the caller may be on a stack in it, and tables that the
	 * program has made say the same in the ring that may be made here.
	 */
	for (i = 0; i < SELF_VCPUS && rs_self.vcpus[i]; i++) {
		if (!shared)
			close_ours(rs_self.vcpus[i]->fd, RS_GET_VCPU_STATS);
		/* a mapping would keep the parent's vCPU */
		rs_raw6(__NR_mmap, (long)rs_self.vcpus[i]->run, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
			0);
		rs_self.vcpus[i] = NULL;
	}
	if (rs_self.ready && !shared)
		close_ours(rs_self.vm_fd, RS_GET_VM_STATS);
	rs_self.ready = 0;
	rs_self.copied = 0;
	rs_self.lock = 0;
	rs_self.threads = 0;
	rs_self.given = 0;
	rs_self.chunks = rs_self.recycled = rs_self.threads_outside = 0;
	if (rs_self.shared) {
		rs_self.shared->tables_lock = 0;
		rs_self.shared->inside = 0;
	}
}
