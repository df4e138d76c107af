// SPDX-License-Identifier: MIT
/*
 * What the program itself calls: where am I, leave, and the functions for ring 0.
 *
 * This code runs in the program, in either ring. It knows its vCPU by a descriptor that exists in our guest alone (RS_SEL_SELF): LSL of it
 * fails outside. What it has of a vCPU it reaches in the upper half, which every root has; tables at Linux's address, as in the loop.
 *
 * tables_lock is taken with interrupts off, so that no signal handler of this thread can want it, too. Its holder may lose the CPU to another
 * thread, but not its place in the guest: who waits lets others run.
 */
#include <errno.h>

#include "raw.h"
#include "self.h"

#define RFLAGS_IF	0x200
#define LOWER_HALF	(1ull << 47)
#define FLUSH_PAGES	64	/* more are forgotten at once */

#pragma GCC visibility push(hidden)
int self_user(struct self_vcpu *v, const struct rs_trap_frame *f);
void self_user_exit(struct self_vcpu *v, int value) __attribute__((noreturn));
void self_resume(struct self_vcpu *v, const struct rs_trap_frame *f) __attribute__((noreturn));
long self_linux(const struct rs_trap_frame *f);
#pragma GCC visibility pop

/* The vCPU's number, or -1 outside. */
static inline int vcpu_id(void)
{
	uint64_t limit = 0;
	int ok;

	__asm__ volatile("lsl %2, %0" : "+r"(limit), "=@ccz"(ok) : "r"((uint64_t)RS_SEL_SELF));
	return ok && (limit & ~63ull) == RS_SELF_MAGIC ? (int)(limit & 63) : -1;
}

static inline unsigned int ring(void)
{
	uint64_t cs;

	__asm__ volatile("mov %%cs, %0" : "=r"(cs));
	return cs & 3;
}

/* Of the calling thread in ring 0, the monitor's address; NULL elsewhere */
static inline struct self_vcpu *ring0_vcpu(void)
{
	int id = vcpu_id();

	return id < 0 || ring() ? NULL : (struct self_vcpu *)(RS_SELF_BASE + (uint64_t)id * RS_SELF_BLOCK);
}

int rs_inside(void)
{
	return vcpu_id() < 0 ? -1 : (int)ring();
}

int rs_leave(void)
{
	if (vcpu_id() < 0)
		return -EINVAL;
	return rs_raw3(RS_SELF_SYS_LEAVE, 0, 0, 0);
}

/* --- handlers --- */

static int set_handler(unsigned int i, rs_ring0_fn fn)
{
	if (rs_inside() == 3)
		return -EPERM;
	__atomic_store_n(&rs_self.handlers[i], fn, __ATOMIC_RELEASE);
	if (rs_self.ready && rs_self.ring0)
		__atomic_store_n(&rs_self.shared->handlers[i], fn, __ATOMIC_RELEASE);
	return 0;
}

int rs_ring0_handle(unsigned int vector, rs_ring0_fn fn)
{
	if (vector >= 32 || vector == 2 || vector == 8 || vector == 18)
		return -EINVAL;
	return set_handler(vector, fn);
}

int rs_ring0_syscalls(rs_ring0_fn fn)
{
	return set_handler(SELF_HANDLER_SYSCALLS, fn);
}

/* --- ring 3 and registers --- */

int rs_ring0_user(struct rs_trap_frame *f)
{
	struct self_vcpu *v = ring0_vcpu();

	return v ? self_user(v, f) : -EPERM;
}

int rs_ring0_user_bases(const uint64_t new_bases[2], uint64_t old_bases[2])
{
	struct self_vcpu *v = ring0_vcpu();
	uint64_t fs, gs;

	if (!v)
		return -EPERM;
	fs = v->user_fs;
	gs = v->user_gs;
	if (new_bases) {
		if (new_bases[0] >= LOWER_HALF || new_bases[1] >= LOWER_HALF)
			return -EINVAL;
		v->user_fs = new_bases[0];
		v->user_gs = new_bases[1];
	}
	if (old_bases) {
		old_bases[0] = fs;
		old_bases[1] = gs;
	}
	return 0;
}

void rs_ring0_user_exit(int value)
{
	struct self_vcpu *v = ring0_vcpu();

	if (!v || !v->user_context)
		self_die("rs_ring0_user_exit() without rs_ring0_user()");
	self_user_exit(v, value);
}

void rs_ring0_resume(const struct rs_trap_frame *f)
{
	struct self_vcpu *v = ring0_vcpu();

	if (!v)
		self_die("rs_ring0_resume() outside of ring 0");
	self_resume(v, f);
}

long rs_ring0_linux(struct rs_trap_frame *f)
{
	if (!ring0_vcpu())
		return -EPERM;
	return f->rax = self_linux(f);
}

/* --- addresses --- */

uint64_t *rs_ring0_root(void)
{
	return rs_self.ready && rs_inside() != 3 ? (uint64_t *)rs_self.shared->root : NULL;
}

int rs_ring0_arena(void **start, size_t *len)
{
	if (!rs_self.ready)
		return -EINVAL;
	*start = rs_self.arena;
	*len = RS_SELF_ARENA;
	return 0;
}

static void touch_flush_page(struct self_vcpu *v)
{
	*((volatile uint8_t *)v + RS_BLOCK_FLUSH) = 0;
}

/* The chunk is given out, for good: its entry of level 3. 0: it cannot be */
static uint64_t keep_chunk(struct self_vcpu *v, uint64_t va)
{
	const struct self_shared *s = rs_self.shared;
	volatile uint64_t *entry = (volatile uint64_t *)s->pdpts_here + va / SELF_CHUNK;
	long ret;
	uint64_t e;

	if (va >= LOWER_HALF)
		return 0;
	for (;;) {
		e = *entry;
		/* Who takes it away says so before the entry goes. */
		if ((e & SELF_PTE_P) && __atomic_load_n(&s->slot_seq[SELF_SLOT_OF(e)], __ATOMIC_ACQUIRE) == SELF_KEEP)
			return e;
		ret = rs_raw3(RS_SELF_SYS_CHUNK, va, 0, 0);
		if (ret == -EAGAIN)
			touch_flush_page(v);
		else if (ret)
			return 0;
	}
}

uint64_t rs_ring0_gpa(const void *va)
{
	struct self_vcpu *v = ring0_vcpu();
	uint64_t addr = (uint64_t)(uintptr_t)va, e;

	if (!v)
		return ~0ull;
	if (addr - rs_self.shared->arena < RS_SELF_ARENA)
		return addr - rs_self.shared->arena + rs_self.shared->arena_gpa;
	e = keep_chunk(v, addr);
	return e ? SELF_SLOT_OF(e) * SELF_CHUNK + addr % SELF_CHUNK : ~0ull;
}

void *rs_ring0_va(uint64_t gpa)
{
	const struct self_shared *s = rs_self.shared;
	uint64_t slot = gpa / SELF_CHUNK;

	if (!ring0_vcpu())
		return NULL;
	if (gpa - s->arena_gpa < RS_SELF_ARENA)
		return (void *)(uintptr_t)(gpa - s->arena_gpa + s->arena);
	if (slot >= s->slots || !s->slot_chunk[slot])
		return NULL;
	return (void *)(uintptr_t)((s->slot_chunk[slot] - 1) * SELF_CHUNK + gpa % SELF_CHUNK);
}

/* --- tables --- */

static uint64_t lock_tables(void)
{
	uint64_t flags = __builtin_ia32_readeflags_u64();
	unsigned int tries = 0;

	__asm__ volatile("cli" : : : "memory");
	while (__atomic_exchange_n(&rs_self.shared->tables_lock, 1, __ATOMIC_ACQUIRE)) {
		__asm__ volatile("pause");
		if (++tries % 64 == 0)
			rs_raw3(__NR_sched_yield, 0, 0, 0);
	}
	return flags;
}

static void unlock_tables(uint64_t flags)
{
	__atomic_store_n(&rs_self.shared->tables_lock, 0, __ATOMIC_RELEASE);
	if (flags & RFLAGS_IF)
		__asm__ volatile("sti" : : : "memory");
}

uint64_t *rs_ring0_table_alloc(void)
{
	uint64_t flags, *table;

	if (!ring0_vcpu())
		return NULL;
	flags = lock_tables();
	table = self_table_alloc(&rs_self.shared->tables);
	unlock_tables(flags);
	return table;
}

void rs_ring0_table_free(uint64_t *table)
{
	uint64_t flags, off;

	if (!ring0_vcpu())
		return;
	off = (uint64_t)(uintptr_t)table - rs_self.shared->arena;
	if (off % 4096 || off < (uint64_t)RS_SELF_TABLES_BLOCK * RS_SELF_BLOCK || off >= RS_SELF_ARENA)
		return;
	flags = lock_tables();
	self_table_free(&rs_self.shared->tables, table);
	unlock_tables(flags);
}

/*
 * The entry of 4 KiB for @va in the process's own table, where it is there already, and in a chunk that stays: so that the usual case takes few
 * instructions. Else NULL, which says nothing.
 */
static inline uint64_t *quick_entry(uint64_t va)
{
	const struct self_shared *s = rs_self.shared;
	uint64_t e, *table;

	if (va >= LOWER_HALF)
		return NULL;
	e = ((volatile uint64_t *)s->pdpts_here)[va / SELF_CHUNK];
	if (!(e & SELF_PTE_P) || __atomic_load_n(&s->slot_seq[SELF_SLOT_OF(e)], __ATOMIC_ACQUIRE) != SELF_KEEP)
		return NULL;
	table = self_table_at(&s->tables, e);
	if (!table)
		return NULL;
	e = ((volatile uint64_t *)table)[va >> 21 & 511];
	if ((e & (SELF_PTE_P | SELF_PTE_LARGE)) != SELF_PTE_P)
		return NULL;
	table = self_table_at(&s->tables, e);
	return table ? &table[va >> 12 & 511] : NULL;
}

uint64_t *rs_ring0_entry(uint64_t *root, const void *va, int create)
{
	struct self_shared *s = rs_self.shared;
	uint64_t addr = (uint64_t)(uintptr_t)va, flags, *entry;
	struct self_vcpu *v = ring0_vcpu();
	int level;

	if (!v)
		return NULL;
	entry = (uint64_t)(uintptr_t)root == s->root ? quick_entry(addr) : NULL;
	if (entry)
		return entry;
	if ((uint64_t)(uintptr_t)root == s->root && addr < LOWER_HALF && !keep_chunk(v, addr))
		return NULL;
	entry = self_entry(&s->tables, root, addr, &level);
	if (!create)
		return entry && (level == 1 || (*entry & (SELF_PTE_P | SELF_PTE_LARGE))) ? entry : NULL;
	if (entry && level == 1)
		return entry;
	flags = lock_tables();
	entry = self_entry_make(&s->tables, root, addr);
	unlock_tables(flags);
	return entry;
}

static void forget_here(uint64_t va, size_t len)
{
	uint64_t end, cr3;

	if (len > FLUSH_PAGES * 4096ul) {
		__asm__ volatile("mov %%cr3, %0; mov %0, %%cr3" : "=r"(cr3) : : "memory");
		return;
	}
	end = va + len;
	for (va &= ~4095ull; va < end; va += 4096)
		__asm__ volatile("invlpg (%0)" : : "r"(va) : "memory");
}

/*
 * Other threads: the page that is dropped was mapped a moment ago, for this very vCPU; so Linux's announcement makes the module stop every
 * vCPU and flush what it knows of the guest's addresses before it goes on. Who is outside now reloads CR3 on its way in.
 */
static __attribute__((noinline)) int flush_others(void)
{
	struct self_vcpu *v = ring0_vcpu();

	touch_flush_page(v);
	return self_drop_flush_page(v->block + RS_BLOCK_FLUSH);
}

static inline int forget_everywhere(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return __atomic_load_n(&rs_self.shared->inside, __ATOMIC_SEQ_CST) <= 1 ? 0 : flush_others();
}

int rs_ring0_flush(const void *va, size_t len)
{
	if (ring())
		return -EPERM;
	forget_here((uint64_t)(uintptr_t)va, len);
	return forget_everywhere();
}

/* All but the address */
static uint64_t entry_bits(unsigned int rights)
{
	return (rights & RS_PAGE_READ ? SELF_PTE_P : 0) | ((rights & RS_PAGE_WRITE) == RS_PAGE_WRITE ? SELF_PTE_W : 0) |
	       (rights & RS_PAGE_USER ? SELF_PTE_U : 0) | (rights & RS_PAGE_EXEC ? 0 : SELF_PTE_NX);
}

/* An entry of a 2 MiB page that lies in the range as a whole may stay one. */
static uint64_t *protect_entry(uint64_t *root, uint64_t va, uint64_t end, uint64_t *step)
{
	const struct self_shared *s = rs_self.shared;
	uint64_t *entry;
	int level;

	entry = self_entry(&s->tables, root, va, &level);
	*step = 4096;
	if (!entry || level == 1)
		return entry;
	if (level == 2 && (*entry & SELF_PTE_LARGE) && !(va & 0x1fffff) && end - va >= 0x200000) {
		*step = 0x200000;
		return entry;
	}
	return rs_ring0_entry(root, (void *)(uintptr_t)va, 1);
}

static __attribute__((noinline)) int protect_range(uint64_t start, uint64_t len, unsigned int rights)
{
	struct self_vcpu *v = ring0_vcpu();
	uint64_t *root = (uint64_t *)rs_self.shared->root;
	uint64_t end = start + len, va, step, *entry, bits = entry_bits(rights);

	if ((start | len) & 4095 || end < start || end > LOWER_HALF)
		return -EINVAL;
	for (va = start; va < end; va += step) {
		step = 4096;
		if (!quick_entry(va) && !(keep_chunk(v, va) && protect_entry(root, va, end, &step)))
			return -ENOMEM;
	}
	for (va = start; va < end; va += step) {
		entry = quick_entry(va);
		step = 4096;
		if (!entry)
			entry = protect_entry(root, va, end, &step);
		*(volatile uint64_t *)entry = (*entry & (SELF_PTE_ADDR | SELF_PTE_LARGE)) | bits;
	}
	forget_here(start, len);
	return forget_everywhere();
}

static int rights_are_known(unsigned int rights)
{
	unsigned int access = rights & RS_PAGE_WRITE;

	return !(rights & ~(RS_PAGE_WRITE | RS_PAGE_EXEC | RS_PAGE_USER)) && (access & 1 || !rights);
}

int rs_ring0_protect(void *addr, size_t len, unsigned int rights)
{
	uint64_t va = (uint64_t)(uintptr_t)addr, *entry;

	/* Nobody is in ring 0 but inside. */
	if (ring())
		return -EPERM;
	if (!rights_are_known(rights))
		return -EINVAL;
	if (len != 4096 || va & 4095 || !(entry = quick_entry(va)))
		return protect_range(va, len, rights);
	*(volatile uint64_t *)entry = (*entry & SELF_PTE_ADDR) | entry_bits(rights);
	__asm__ volatile("invlpg (%0)" : : "r"(va) : "memory");
	return forget_everywhere();
}
