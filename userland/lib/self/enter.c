// SPDX-License-Identifier: MIT
/*
 * rs_enter(): the process's guest ring is made when its first thread comes, then the thread's vCPU, then the thread goes on in it.
 *
 *	the device, the VM; what the CPU offers
 *	the arena, below 64 GiB if there is room, so that its guest physical address is its address
 *	the root table: 256 pages of level 3 for the lower half, empty; the arena in the upper half
 *	signals.c takes the handlers over, each time that nobody was inside
 *
 * All signals are blocked from here to the loop, which sets the mask that was found: so a handler sees the thread outside, or in
 * the loop. Everything here runs on the program's stack, natively; libc may be used.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "raw.h"
#include "native.h"

#define CR4_PAE		(1ull << 5)
#define CR4_OSFXSR	(1ull << 9)
#define CR4_OSXMMEXCPT	(1ull << 10)
#define CR4_FSGSBASE	(1ull << 16)
#define CR4_OSXSAVE	(1ull << 18)
#define EFER_WANTED	0xd01		/* SCE LME LMA NXE */
#define HWCAP2_FSGSBASE_	2
#define XFEATURE_PKRU	(1ull << 9)
#define XFEATURE_TILES	(3ull << 17)
#define CPUID_OSPKE	(1u << 4)	/* leaf 7, ECX */
#define PKRU_DENIED	0x55555554u	/* no access by keys 1 to 15 */
#define LOW_END		(64ull << 30)
#define ARCH_GET_FS_	0x1003
#define ARCH_GET_GS_	0x1004

/* What rs_enter() has put on the stack (entry.S). */
struct self_caller {
	uint64_t rbx, rbp, r12, r13, r14, r15, rsp, rip;
};
int self_enter(unsigned int flags, const struct self_caller *c);

/*
 * The device stays open: a child may have changed its root, or given up the right to open it. (It has its parent's ring either way, so nothing
 * is kept from it that way.)
 */
static int open_device(void)
{
	int fd, err;

	if (rs_self.dev_fd && !ioctl(rs_self.dev_fd, RS_GET_INFO, &rs_self.info))
		return 0;
	rs_self.dev_fd = 0;
	fd = open(RS_DEVICE_PATH, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT || errno == ENXIO ? -ENODEV : errno == EPERM ? -EACCES : -errno;
	if (ioctl(fd, RS_GET_INFO, &rs_self.info)) {
		err = -errno;
		close(fd);
		return err == -ENOTTY ? -EPROTO : err;
	}
	rs_self.dev_fd = self_high_fd(fd);
	return 0;
}

static int open_vm(void)
{
	struct rs_vm_config config = {
		.flags = RS_VM_NESTED_FAULT_VECTOR | RS_VM_KERNEL_HYPERCALLS | RS_VM_EXEC_RIGHTS,
		.end_signal = SIGKILL,
	};
	char name[RS_VM_NAME_MAX];
	int fd, i;

	fd = open_device();
	if (fd)
		return fd;
	if (rs_self.info.abi_version != RS_ABI_VERSION)
		return -EPROTO;
	for (i = 0; i < RS_VM_NAME_MAX - 1 && program_invocation_short_name[i]; i++)
		name[i] = program_invocation_short_name[i];
	name[i] = 0;
	config.name = (uintptr_t)name;
	fd = ioctl(rs_self.dev_fd, RS_CREATE_VM, &config);
	if (fd < 0)
		return -errno;
	rs_self.vm_fd = self_high_fd(fd);
	return 0;
}

/* Bytes of XSAVE's standard format for these features. */
static uint64_t xsave_size(uint64_t features)
{
	unsigned int eax, ebx, ecx, edx, i;
	uint64_t end = 512 + 64;

	for (i = 2; i < 63; i++) {
		if (!(features >> i & 1))
			continue;
		__cpuid_count(0xd, i, eax, ebx, ecx, edx);
		if (eax + ebx > end)
			end = eax + ebx;
	}
	return end;
}

static void look_at_cpu(void)
{
	rs_self.cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT;
	rs_self.efer = EFER_WANTED & rs_self.info.efer_allowed;
	rs_self.fsgsbase = !rs_self.no_fsgsbase && (getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE_) && (rs_self.info.cr4_allowed & CR4_FSGSBASE);
	if (rs_self.fsgsbase)
		rs_self.cr4 |= CR4_FSGSBASE;
	rs_self.xsave_mask = 0;
	rs_self.xsave_size = 512;
	if (!(rs_self.info.features & RS_FEATURE_XSAVE))
		return;
	rs_self.cr4 |= CR4_OSXSAVE;
	if (rs_self.no_xsave)
		return;
	rs_self.xsave_mask = rs_self.info.xcr0 & ~(XFEATURE_PKRU | XFEATURE_TILES);
	rs_self.xsave_size = (xsave_size(rs_self.xsave_mask) + 63) & ~63ull;
}

/*
 * Memory protection keys: the ring does not have their register, and a program that has begun to use them goes on. Linux denies the
 * 15 keys until they are allocated (its own, for memory that is only executed, stays denied), so a register with fewer denials tells.
 */
static int uses_protection_keys(void)
{
	unsigned int eax, ebx, ecx, edx, pkru;

	if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) || !(ecx & CPUID_OSPKE))
		return 0;
	__asm__ volatile(".byte 0x0f, 0x01, 0xee" /* rdpkru */ : "=a"(pkru), "=d"(edx) : "c"(0));
	return (pkru & PKRU_DENIED) != PKRU_DENIED;
}

/* Where guest physical addresses are our own, within one chunk; else anywhere. */
static uint8_t *map_arena(void)
{
	uint64_t size = RS_SELF_ARENA, at;
	uint8_t *p, *q;

	for (at = LOW_END / 2; at < LOW_END; at += SELF_CHUNK) {
		p = mmap((void *)at, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE,
			 -1, 0);
		if (p == (uint8_t *)at)
			return p;
		if (p != MAP_FAILED)	/* a kernel that does not know the flag */
			munmap(p, size);
	}
	p = mmap(NULL, size + RS_SELF_BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	q = (uint8_t *)(((uintptr_t)p + RS_SELF_BLOCK - 1) & ~(uintptr_t)(RS_SELF_BLOCK - 1));
	if (q != p)
		munmap(p, q - p);
	munmap(q + size, p + RS_SELF_BLOCK - q);
	return q;
}

static void put_handlers(void)
{
	int i;

	for (i = 0; i <= SELF_HANDLER_SYSCALLS; i++)
		rs_self.shared->handlers[i] = rs_self.ring0 ? rs_self.handlers[i] : NULL;
}

static int make_arena(void)
{
	uint64_t i, slots = 1ull << (rs_self.info.gpa_bits - 30), pages = 0;
	uint64_t *root, *pdpt, *pd, *pdpts = NULL;
	struct self_shared *s;

	rs_self.arena = map_arena();
	if (!rs_self.arena)
		return -ENOMEM;
	/* A few pages of each block are used: no large ones for them. */
	madvise(rs_self.arena, RS_SELF_ARENA, MADV_NOHUGEPAGE);
	s = rs_self.shared = (void *)(rs_self.arena + (uint64_t)RS_SELF_SHARED_BLOCK * RS_SELF_BLOCK);
	s->arena = (uintptr_t)rs_self.arena;
	s->slots = (slots < SELF_SLOTS ? slots : SELF_SLOTS) - 1;
	s->arena_gpa = s->arena < LOW_END ? s->arena : (uint64_t)s->slots * SELF_CHUNK;
	s->tables.base = s->arena;
	s->tables.gpa = s->arena_gpa;
	s->tables.size = RS_SELF_ARENA;
	s->tables.unused = (uint64_t)RS_SELF_TABLES_BLOCK * RS_SELF_BLOCK;
	root = self_table_alloc(&s->tables);
	pdpt = self_table_alloc(&s->tables);
	pd = self_table_alloc(&s->tables);
	/* The lower half's level 3: pages that nobody has touched are zero. */
	pdpts = (uint64_t *)(s->tables.base + s->tables.unused);
	pages = 256;
	s->tables.unused += pages * 4096;
	s->pdpts = RS_SELF_BASE + ((uint64_t)pdpts - s->arena);
	s->pdpts_here = (uint64_t)pdpts;
	for (i = 0; i < 256; i++)
		root[i] = self_table_gpa(&s->tables, pdpts + 512 * i) | SELF_PTE_TABLE;
	root[256] = self_table_gpa(&s->tables, pdpt) | SELF_PTE_P | SELF_PTE_W;
	pdpt[0] = self_table_gpa(&s->tables, pd) | SELF_PTE_P | SELF_PTE_W;
	for (i = 0; i < RS_SELF_ARENA / RS_SELF_BLOCK; i++)
		pd[i] = (s->arena_gpa + i * RS_SELF_BLOCK) | SELF_PTE_P | SELF_PTE_W | SELF_PTE_LARGE;
	s->root = (uint64_t)root;
	s->root_gpa = self_table_gpa(&s->tables, root);
	put_handlers();
	return self_chunk_arena();
}

static int make(unsigned int flags)
{
	int ret;

	rs_self.ring0 = !!(flags & RS_ENTER_RING0);
	ret = open_vm();
	if (ret)
		return ret;
	look_at_cpu();
	if (rs_self.arena) {
		put_handlers();
		ret = self_chunks_again();
	} else {
		ret = make_arena();
	}
	if (ret) {
		if (rs_self.arena)
			munmap(rs_self.arena, RS_SELF_ARENA);
		rs_self.arena = NULL;
		rs_self.shared = NULL;
		rs_self.blocks_made = 0;
		close(rs_self.vm_fd);
		return ret;
	}
	rs_self.pid = getpid();
	__atomic_store_n(&rs_self.ready, 1, __ATOMIC_RELEASE);
	return 0;
}

static void block_all(uint64_t *old)
{
	uint64_t all = ~0ull;

	rs_raw4(__NR_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)old, 8);
}

static void unblock(const uint64_t *old)
{
	rs_raw4(__NR_rt_sigprocmask, SIG_SETMASK, (long)old, 0, 8);
}

/*
 * A program that closes all its descriptors while it is outside (a daemon does) has closed ours. When nobody is inside the ring is made anew.
 * making.
 */
static int look_at_descriptors(unsigned int flags)
{
	int threads = rs_self.threads;

	if (!self_fd_ask(rs_self.vm_fd, RS_GET_VM_STATS))
		return 0;
	if (__atomic_load_n(&rs_self.shared->inside, __ATOMIC_SEQ_CST))
		return -EBADF;
	self_forget(0);
	rs_self.threads = threads;
	return make(flags);
}

int self_enter(unsigned int flags, const struct self_caller *c)
{
	struct self_vcpu *v;
	uint64_t mask, rflags;
	int ret;

	if (flags & ~(RS_ENTER_RING0 | RS_ENTER_THREADS))
		return -EINVAL;
	if (rs_inside() >= 0)
		return -EALREADY;
	if (uses_protection_keys())
		return -EOPNOTSUPP;
	ret = self_mark_make();
	if (ret)
		return ret;
	block_all(&mask);
	self_mend();
	self_lock(&rs_self.making);
	if (rs_self.copied)
		self_forget(0);
	if (!rs_self.ready)
		ret = make(flags);
	else if (rs_self.pid != getpid())
		ret = -EBUSY;
	else if (rs_self.ring0 != !!(flags & RS_ENTER_RING0))
		ret = -EINVAL;
	else
		ret = look_at_descriptors(flags);
	self_unlock(&rs_self.making);
	if (ret)
		goto fail;
	ret = self_signals_start();
	if (ret)
		goto fail;
	if (flags & RS_ENTER_THREADS)
		rs_self.threads = 1;
	v = self_vcpu_get(rs_raw3(__NR_gettid, 0, 0, 0), &ret);
	if (!v)
		goto fail_vcpu;
	if (self_fd_ask(v->fd, RS_GET_VCPU_STATS)) {
		ret = -EBADF;
		goto fail_prime;
	}
	ret = self_prime(v);
	if (ret)
		goto fail_prime;
	__asm__ volatile("pushfq; popq %0" : "=r"(rflags));
	v->frame = (struct rs_trap_frame){
		.rbx = c->rbx, .rbp = c->rbp, .r12 = c->r12, .r13 = c->r13, .r14 = c->r14, .r15 = c->r15,
		.rsp = c->rsp, .rip = c->rip, .rflags = rflags | 0x202,
		.cs = v->ring0 ? RS_SEL_KERNEL_CS : RS_SEL_USER_CS, .ss = v->ring0 ? RS_SEL_KERNEL_SS : RS_SEL_USER_SS,
	};
	rs_raw3(__NR_arch_prctl, ARCH_GET_FS_, (long)&v->fs_base, 0);
	rs_raw3(__NR_arch_prctl, ARCH_GET_GS_, (long)&v->gs_base, 0);
	v->user_fs = v->fs_base;
	v->user_gs = v->gs_base;
	v->mask = mask;
	self_signals_enter(v);
	self_mark_inside(v);
	self_first(v, self_loop);

fail_prime:
	self_vcpu_put(v);
fail_vcpu:
	self_signals_stop();
fail:
	unblock(&mask);
	return ret;
}
