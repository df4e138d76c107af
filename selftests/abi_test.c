// SPDX-License-Identifier: MIT
/*
 * abi_test.c - every argument that uapi/ringside.h says is refused, one by one
 *
 * Each row changes one thing of something that is accepted, and the accepted form is tried as well,
 * so that a row cannot be refused for another reason than its own.
 */
#define _GNU_SOURCE
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "netlink.h"
#include "testvm.h"

#define BAD_POINTER	((void *)8)

TEST(layout)
{
	/* one layout for 32- and 64-bit callers, and no holes that could leak */
	EXPECT_EQ(sizeof(struct rs_info), 64);
	EXPECT_EQ(sizeof(struct rs_vm_config), 32);
	EXPECT_EQ(sizeof(struct rs_region), 48);
	EXPECT_EQ(sizeof(struct rs_vcpu_config), 32);
	EXPECT_EQ(sizeof(struct rs_stats), 32 * 8);
	EXPECT_EQ(sizeof(struct rs_vcpu_state), 28 * 8);
	EXPECT_EQ(offsetof(struct rs_run, exit_reason), 64);
	EXPECT_EQ(offsetof(struct rs_run, hypercall), 80);
	EXPECT_LE(sizeof(struct rs_run), PAGE);
}

TEST(info)
{
	struct rs_info a, b;
	int dev = dev_open();

	memset(&a, 0, sizeof(a));
	memset(&b, 0xff, sizeof(b));
	SYS(ioctl(dev, RS_GET_INFO, &a));
	SYS(ioctl(dev, RS_GET_INFO, &b));
	EXPECT(!memcmp(&a, &b, sizeof(a)));
	EXPECT_EQ(a.abi_version, RS_ABI_VERSION);
	EXPECT(a.backend == RS_BACKEND_VMX || a.backend == RS_BACKEND_SVM);
	EXPECT_EQ(a.features & ~0x1fu, 0);
	EXPECT(a.gpa_bits >= 36 && a.gpa_bits <= 52);
	EXPECT(a.cr4_allowed & (1 << 5));
	EXPECT_EQ(a.cr4_allowed & (1 << 13 | 1 << 14), 0);	/* VMXE, SMXE */
	EXPECT_EQ(a.efer_allowed & 0x500, 0x500);
	EXPECT_EQ(a.efer_allowed & (1 << 12), 0);		/* SVME */
	if (a.features & RS_FEATURE_XSAVE) {
		EXPECT_EQ(a.xcr0 & 3, 3);
		EXPECT(a.cr4_allowed & (1 << 18));
	} else {
		EXPECT_EQ(a.xcr0, 0);
	}
	EXPECT_EQ(a.reserved[0] | a.reserved[1] | a.reserved[2], 0);
	EXPECT_ERRNO(ioctl(dev, RS_GET_INFO, BAD_POINTER), EFAULT);
	EXPECT_ERRNO(ioctl(dev, RS_GET_INFO, NULL), EFAULT);
}

/* Every command of the wrong kind of descriptor, and numbers that mean nothing. */
TEST(wrong_descriptor)
{
	struct tvm *vm = tvm_new(0);
	struct tcpu *c = tcpu_new(vm, 0);
	static const unsigned long of_dev[] = { RS_GET_INFO, RS_CREATE_VM };
	static const unsigned long of_vm[] = { RS_ADD_REGION, RS_REMOVE_REGION, RS_CREATE_VCPU,
					      RS_GET_VM_STATS };
	static const unsigned long of_vcpu[] = { RS_SET_STATE, RS_GET_STATE, RS_RUN, RS_KICK,
						RS_GET_VCPU_STATS };
	static const unsigned long of_none[] = {
		0, ~0ul, _IO(RS_IOC_MAGIC, 0x00), _IO(RS_IOC_MAGIC, 0xff), _IO(RS_IOC_MAGIC + 1,
									       0x22),
		_IOW(RS_IOC_MAGIC, 0x10, struct rs_info), _IOR(RS_IOC_MAGIC, 0x22,
							       int), _IOWR(RS_IOC_MAGIC, 0x00,
									   struct rs_info),
	};
	uint8_t buf[512] = { 0 };
	int fds[3] = { vm->dev, vm->fd, c->fd };
	const struct { const unsigned long *cmd; size_t n; int owner; } sets[] = {
		{ of_dev, 2, 0 }, { of_vm, 4, 1 }, { of_vcpu, 5, 2 }, { of_none,
								       sizeof(of_none) / 8, -1 },
	};

	for (int f = 0; f < 3; f++)
		for (int s = 0; s < 4; s++)
			for (size_t i = 0; i < sets[s].n && f != sets[s].owner; i++) {
				errno = 0;
				EXPECT_EQ(ioctl(fds[f], sets[s].cmd[i], buf), -1);
				/*
				 * "no such command", or "the file is not of the kind the command is
				 * for"
				 */
				if (errno != ENOTTY && (errno != ENODEV || s == 3))
					FAIL("file %d command %#lx: %s", f, sets[s].cmd[i],
					     strerror(errno));
			}
	/* plain file operations have no meaning */
	EXPECT_EQ(write(vm->fd, buf, 1), -1);
	EXPECT_EQ(read(c->fd, buf, 1), -1);
	EXPECT(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, vm->fd, 0) == MAP_FAILED);
	EXPECT(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, vm->dev, 0) == MAP_FAILED);
}

TEST(create_vm)
{
	int dev = dev_open();
	struct rs_vm_config cfg = { 0 };
	char name[RS_VM_NAME_MAX + 1];
	int fd;

	EXPECT_ERRNO(ioctl(dev, RS_CREATE_VM, BAD_POINTER), EFAULT);
	for (int bit = 4; bit < 32; bit++) {
		cfg = (struct rs_vm_config){ .flags = 1u << bit };
		EXPECT_ERRNO(ioctl(dev, RS_CREATE_VM, &cfg), EINVAL);
	}
	for (int sig = 65; sig < 1 << 30; sig *= 3) {
		cfg = (struct rs_vm_config){ .end_signal = sig };
		EXPECT_ERRNO(ioctl(dev, RS_CREATE_VM, &cfg), EINVAL);
	}
	cfg = (struct rs_vm_config){ .end_signal = -1 };
	EXPECT_ERRNO(ioctl(dev, RS_CREATE_VM, &cfg), EINVAL);
	cfg = (struct rs_vm_config){ .name = (uintptr_t)BAD_POINTER };
	EXPECT_ERRNO(ioctl(dev, RS_CREATE_VM, &cfg), EFAULT);
	memset(name, 'n', sizeof(name));
	cfg = (struct rs_vm_config){ .name = (uintptr_t)name };
	EXPECT_ERRNO(ioctl(dev, RS_CREATE_VM, &cfg), ENAMETOOLONG);
	name[RS_VM_NAME_MAX - 1] = 0;
	cfg.end_signal = 64;
	fd = SYS(ioctl(dev, RS_CREATE_VM, &cfg));
	close(fd);
	for (int i = 0; i < 2; i++) {
		cfg = (struct rs_vm_config){ 0 };
		cfg.reserved[i] = 1ull << 63;
		EXPECT_ERRNO(ioctl(dev, RS_CREATE_VM, &cfg), EINVAL);
	}
	for (unsigned int flags = 0; flags < 16; flags++) {
		cfg = (struct rs_vm_config){ .flags = flags };
		fd = SYS(ioctl(dev, RS_CREATE_VM, &cfg));
		close(fd);
	}
}

TEST(descriptors_are_close_on_exec)
{
	struct tvm *vm = tvm_new(0);
	struct tcpu *c = tcpu_new(vm, 0);
	char cmd[200];

	snprintf(cmd, sizeof(cmd), "! [ -e /proc/self/fd/%d ] && ! [ -e /proc/self/fd/%d ]", vm->fd,
		 c->fd);
	EXPECT_EQ(system(cmd), 0);
}

TEST(add_region)
{
	struct tvm *vm = tvm_bare(0);
	uint64_t top = 1ull << vm->info.gpa_bits;
	uint8_t *mem = map_aligned(HUGE);
	uint64_t hva = (uintptr_t)mem;
	const struct { struct rs_region r; int err; } rows[] = {
		{ { .gpa = 0, .size = PAGE, .hva = hva }, 0 },
		{ { .gpa = top - PAGE, .size = PAGE, .hva = hva }, 0 },
		{ { .gpa = PAGE, .size = PAGE, .hva = hva, .flags = RS_REGION_READONLY }, 0 },
		{ { .gpa = PAGE, .size = PAGE, .flags = RS_REGION_MMIO }, 0 },
		/* nothing needs to be mapped there */
		{ { .gpa = PAGE, .size = 1ull << 30, .hva = 0x100000000000 }, 0 },
		{ { .gpa = 0, .size = 0, .hva = hva }, EINVAL },
		{ { .gpa = 1, .size = PAGE, .hva = hva }, EINVAL },
		{ { .gpa = 0, .size = PAGE - 1, .hva = hva }, EINVAL },
		{ { .gpa = 0, .size = PAGE, .hva = hva + 1 }, EINVAL },
		{ { .gpa = top, .size = PAGE, .hva = hva }, EINVAL },
		{ { .gpa = top - PAGE, .size = 2 * PAGE, .hva = hva }, EINVAL },
		{ { .gpa = -PAGE, .size = 2 * PAGE, .hva = hva }, EINVAL },
		{ { .gpa = PAGE, .size = -PAGE, .hva = hva }, EINVAL },
		/* no process has that much, with five levels of page tables either */
		{ { .gpa = 0, .size = PAGE, .hva = 1ull << 56 }, EINVAL },
		{ { .gpa = 0, .size = 2 * PAGE, .hva = -PAGE }, EINVAL },
		{ { .gpa = 0, .size = PAGE, .hva = 0xffffffff81000000 }, EINVAL },
		{ { .gpa = 0, .size = PAGE, .hva = hva, .flags = 1 << 2 }, EINVAL },
		{ { .gpa = 0, .size = PAGE, .hva = hva, .flags = 1u << 31 }, EINVAL },
		{ { .gpa = 0, .size = PAGE, .hva = hva, .flags = RS_REGION_MMIO }, EINVAL },
		{ { .gpa = 0, .size = PAGE, .hva = hva, .reserved0 = 1 }, EINVAL },
		{ { .gpa = 0, .size = PAGE, .hva = hva, .reserved = { 1, 0 } }, EINVAL },
		{ { .gpa = 0, .size = PAGE, .hva = hva, .reserved = { 0, 1 } }, EINVAL },
	};

	EXPECT_ERRNO(ioctl(vm->fd, RS_ADD_REGION, BAD_POINTER), EFAULT);
	EXPECT_ERRNO(ioctl(vm->fd, RS_REMOVE_REGION, BAD_POINTER), EFAULT);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct rs_region r = rows[i].r;

		errno = 0;
		if (ioctl(vm->fd, RS_ADD_REGION, &r) != (rows[i].err ? -1 : 0) ||
		    errno != rows[i].err)
			FAIL("row %zu: %s", i, strerror(errno));
		if (!rows[i].err)
			EXPECT_EQ(tvm_unregion_raw(vm, r.gpa, r.size), 0);
	}

	EXPECT_EQ(tvm_region_raw(vm, 4 * PAGE, 4 * PAGE, mem, 0), 0);
	EXPECT_ERRNO(tvm_region_raw(vm, 4 * PAGE, 4 * PAGE, mem, 0), EEXIST);
	EXPECT_ERRNO(tvm_region_raw(vm, 3 * PAGE, 2 * PAGE, mem, 0), EEXIST);
	EXPECT_ERRNO(tvm_region_raw(vm, 7 * PAGE, PAGE, NULL, RS_REGION_MMIO), EEXIST);
	EXPECT_ERRNO(tvm_region_raw(vm, 0, HUGE, mem, 0), EEXIST);
	EXPECT_EQ(tvm_region_raw(vm, 8 * PAGE, PAGE, mem, 0), 0);
	EXPECT_EQ(tvm_region_raw(vm, 3 * PAGE, PAGE, mem, 0), 0);
	for (int i = 3; i < RS_MAX_REGIONS; i++)
		EXPECT_EQ(tvm_region_raw(vm, (100 + i) * PAGE, PAGE, mem, 0), 0);
	EXPECT_ERRNO(tvm_region_raw(vm, 2000 * PAGE, PAGE, mem, 0), ENOSPC);
	EXPECT_EQ(tvm_unregion_raw(vm, 3 * PAGE, PAGE), 0);
	EXPECT_EQ(tvm_region_raw(vm, 2000 * PAGE, PAGE, mem, 0), 0);
}

TEST(remove_region)
{
	struct tvm *vm = tvm_bare(0);
	uint8_t *mem = map_aligned(HUGE);
	struct rs_region r;

	EXPECT_ERRNO(tvm_unregion_raw(vm, 0, PAGE), ENOENT);
	EXPECT_EQ(tvm_region_raw(vm, 4 * PAGE, 4 * PAGE, mem, 0), 0);
	EXPECT_ERRNO(tvm_unregion_raw(vm, 4 * PAGE, 3 * PAGE), ENOENT);
	EXPECT_ERRNO(tvm_unregion_raw(vm, 5 * PAGE, 3 * PAGE), ENOENT);
	EXPECT_ERRNO(tvm_unregion_raw(vm, 4 * PAGE + 1, 4 * PAGE), ENOENT);
	EXPECT_ERRNO(tvm_unregion_raw(vm, -PAGE, PAGE), ENOENT);
	r = (struct rs_region){ .gpa = 4 * PAGE, .size = 4 * PAGE, .flags = 1 };
	EXPECT_ERRNO(ioctl(vm->fd, RS_REMOVE_REGION, &r), EINVAL);
	r = (struct rs_region){ .gpa = 4 * PAGE, .size = 4 * PAGE, .hva = (uintptr_t)mem };
	EXPECT_ERRNO(ioctl(vm->fd, RS_REMOVE_REGION, &r), EINVAL);
	r = (struct rs_region){ .gpa = 4 * PAGE, .size = 4 * PAGE, .reserved0 = 1 };
	EXPECT_ERRNO(ioctl(vm->fd, RS_REMOVE_REGION, &r), EINVAL);
	r = (struct rs_region){ .gpa = 4 * PAGE, .size = 4 * PAGE, .reserved = { 0, 1 } };
	EXPECT_ERRNO(ioctl(vm->fd, RS_REMOVE_REGION, &r), EINVAL);
	EXPECT_EQ(tvm_unregion_raw(vm, 4 * PAGE, 4 * PAGE), 0);
	EXPECT_ERRNO(tvm_unregion_raw(vm, 4 * PAGE, 4 * PAGE), ENOENT);
}

TEST(create_vcpu)
{
	struct tvm *vm = tvm_new(0);
	struct rs_vcpu_config cfg = { .id = 0 };
	int fd[RS_MAX_VCPUS];

	EXPECT_ERRNO(ioctl(vm->fd, RS_CREATE_VCPU, BAD_POINTER), EFAULT);
	cfg.id = RS_MAX_VCPUS;
	EXPECT_ERRNO(ioctl(vm->fd, RS_CREATE_VCPU, &cfg), EINVAL);
	cfg.id = ~0u;
	EXPECT_ERRNO(ioctl(vm->fd, RS_CREATE_VCPU, &cfg), EINVAL);
	cfg = (struct rs_vcpu_config){ .flags = 1 };
	EXPECT_ERRNO(ioctl(vm->fd, RS_CREATE_VCPU, &cfg), EINVAL);
	for (int i = 0; i < 3; i++) {
		cfg = (struct rs_vcpu_config){ 0 };
		cfg.reserved[i] = 1;
		EXPECT_ERRNO(ioctl(vm->fd, RS_CREATE_VCPU, &cfg), EINVAL);
	}
	cfg = (struct rs_vcpu_config){ 0 };
	for (unsigned int i = 0; i < RS_MAX_VCPUS; i++) {
		cfg.id = i;
		fd[i] = SYS(ioctl(vm->fd, RS_CREATE_VCPU, &cfg));
		EXPECT_ERRNO(ioctl(vm->fd, RS_CREATE_VCPU, &cfg), EEXIST);
	}
	/* an id is free again when its descriptor is closed */
	close(fd[5]);
	cfg.id = 5;
	fd[5] = SYS(ioctl(vm->fd, RS_CREATE_VCPU, &cfg));
	for (unsigned int i = 0; i < RS_MAX_VCPUS; i++)
		close(fd[i]);
}

TEST(run_page)
{
	struct tvm *vm = tvm_new(0);
	struct tcpu *c = tcpu_new(vm, 0);

	EXPECT(mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, c->fd, 0) == MAP_FAILED);
	EXPECT(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, c->fd, PAGE) == MAP_FAILED);
	EXPECT(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, c->fd, 0) == MAP_FAILED);
	/* the page may outlive the descriptor */
	close(c->fd);
	c->run->irq_vector = 77;
	EXPECT_EQ(c->run->irq_vector, 77);
}

struct state_row {
	const char *what;
	size_t off;
	uint64_t val;
	int err;
};

#define ROW(field, val, err)	{ #field " = " #val, offsetof(struct rs_vcpu_state, field), \
				  val, err }

static void state_rows(struct tcpu *c, const struct state_row *row, size_t n)
{
	for (; n--; row++) {
		struct rs_vcpu_state st;

		tcpu_state(c, &st);
		if (row->off == offsetof(struct rs_vcpu_state, cpl))
			st.cpl = row->val;
		else if (row->off == offsetof(struct rs_vcpu_state, reserved0))
			st.reserved0 = row->val;
		else
			*(uint64_t *)((uint8_t *)&st + row->off) = row->val;
		errno = 0;
		if (ioctl(c->fd, RS_SET_STATE, &st) != (row->err ? -1 : 0) || errno != row->err)
			FAIL("%s: %s", row->what, strerror(errno));
	}
}

TEST(set_state)
{
	struct tvm *vm = tvm_new(0);
	struct tcpu *c = tcpu_new(vm, 0);
	uint64_t top = 1ull << vm->info.gpa_bits;
	struct rs_vcpu_state st;
	static const struct state_row rows[] = {
		ROW(rip, 0, 0), ROW(rip, 0x7fffffffffff, 0), ROW(rip, 0xffff800000000000, 0),
		ROW(rip, 0x800000000000, EINVAL), ROW(rip, 0xffff7fffffffffff, EINVAL),
		ROW(rip, 1ull << 63, EINVAL),
		/* an address is checked when it is used */
		ROW(rsp, 0x1234567890abcdef, 0),
		ROW(fs_base, 0x7fffffffffff, 0), ROW(fs_base, 0x800000000000, EINVAL),
		ROW(fs_base, 1ull << 63, EINVAL),
		ROW(gs_base, 0xffffffffffffffff, 0), ROW(gs_base, 0x800000000000, EINVAL),
		ROW(gs_base, 0xfffe800000000000, EINVAL),
		ROW(rflags, 0x2, 0), ROW(rflags, 0x202, 0), ROW(rflags, 0x40ad7, 0),
		ROW(rflags, 0x200, EINVAL), ROW(rflags, 0, EINVAL), ROW(rflags, 0x20202, EINVAL),
		ROW(rflags, 0x80202, EINVAL), ROW(rflags, 0x100202, EINVAL),
		ROW(rflags, 0x20a, EINVAL), ROW(rflags, 0x222, EINVAL),
		ROW(rflags, 0x8202, EINVAL), ROW(rflags, 0x400202, EINVAL),
		ROW(rflags, 0x100000202, EINVAL),
		ROW(cr4, 0x20, 0), ROW(cr4, 0, EINVAL), ROW(cr4, 0x2020, EINVAL),
		ROW(cr4, 0x4020, EINVAL), ROW(cr4, 0x80000020, EINVAL),
		ROW(cr4, 1ull << 63 | 0x20, EINVAL),
		ROW(efer, 0x500, 0), ROW(efer, 0x501, 0), ROW(efer, 0x100, EINVAL),
		ROW(efer, 0x400, EINVAL), ROW(efer, 0, EINVAL), ROW(efer, 0x1500, EINVAL),
		ROW(efer, 0x502, EINVAL), ROW(efer, 1ull << 63 | 0x500, EINVAL),
		ROW(cpl, 0, 0), ROW(cpl, 3, 0), ROW(cpl, 1, EINVAL), ROW(cpl, 2, EINVAL),
		ROW(cpl, 4, EINVAL), ROW(cpl, 0x80000000, EINVAL),
		ROW(reserved0, 1, EINVAL),
		ROW(reserved[0], 1, EINVAL),
		ROW(reserved[1], 1, EINVAL),
		ROW(reserved[2], 1ull << 63, EINVAL),
	};
	const struct state_row cr3[] = {
		ROW(cr3, 0, 0), ROW(cr3, top - PAGE, 0), ROW(cr3, top, EINVAL),
		ROW(cr3, 1ull << 63 | G_PML4, EINVAL), ROW(cr3, top | G_PML4, EINVAL),
	};

	EXPECT_ERRNO(ioctl(c->fd, RS_SET_STATE, BAD_POINTER), EFAULT);
	state_rows(c, rows, sizeof(rows) / sizeof(*rows));
	state_rows(c, cr3, sizeof(cr3) / sizeof(*cr3));
	/* each bit that is allowed is accepted alone, each other one refused */
	for (int bit = 0; bit < 64; bit++) {
		uint64_t b = 1ull << bit;
		struct state_row r = { "cr4 bit", offsetof(struct rs_vcpu_state, cr4), b | 0x20,
				      vm->info.cr4_allowed & b ? 0 : EINVAL };

		if (bit != 17 && bit != 23)	/* PCIDE and CET depend on other registers */
			state_rows(c, &r, 1);
		r = (struct state_row){ "efer bit", offsetof(struct rs_vcpu_state, efer), b | 0x500,
					vm->info.efer_allowed & b ? 0 : EINVAL };
		state_rows(c, &r, 1);
	}

	/* what was set is what is read, and a refused state changes nothing */
	tcpu_state(c, &st);
	st.rax = 0x1111;
	st.rbx = 0x2222;
	st.r8 = 0x8888;
	st.r15 = 0xffff;
	st.rsi = ~0ull;
	st.cr2 = 0x123456789;
	st.fs_base = 0x5000; st.gs_base = 0xffffffff80000000;
	SYS(ioctl(c->fd, RS_SET_STATE, &st));
	{
		struct rs_vcpu_state bad = st, back;

		bad.rax = 9;
		bad.rip = 1ull << 63;
		EXPECT_ERRNO(ioctl(c->fd, RS_SET_STATE, &bad), EINVAL);
		memset(&back, 0xff, sizeof(back));
		SYS(ioctl(c->fd, RS_GET_STATE, &back));
		for (size_t i = 0; i < sizeof(st) / 8; i++)
			if (((uint64_t *)&st)[i] != ((uint64_t *)&back)[i])
				FAIL("word %zu: set %#lx, got %#lx", i, ((uint64_t *)&st)[i],
				     ((uint64_t *)&back)[i]);
	}
	EXPECT_ERRNO(ioctl(c->fd, RS_GET_STATE, BAD_POINTER), EFAULT);
	EXPECT_ERRNO(ioctl(c->fd, RS_GET_VCPU_STATS, BAD_POINTER), EFAULT);
	EXPECT_ERRNO(ioctl(vm->fd, RS_GET_VM_STATS, BAD_POINTER), EFAULT);
}

TEST(run)
{
	struct tvm *vm = tvm_new(0);
	struct tcpu *c = tcpu_new(vm, 0);
	ssize_t got;

	/* no state yet */
	EXPECT_EQ(tcpu_run_raw(c), -1);
	EXPECT_EQ(errno, EIO);
	for (unsigned int v = 1; v < 32; v++) {
		tcpu_start(c, G_NULL);
		c->run->irq_vector = v;
		EXPECT_EQ(tcpu_run_raw(c), -1);
		EXPECT_EQ(errno, EINVAL);
		EXPECT_EQ(c->run->exit_reason, RS_EXIT_NONE);
	}
	c->run->irq_vector = 256;
	EXPECT_EQ(tcpu_run_raw(c), -1);
	EXPECT_EQ(errno, EINVAL);
	c->run->irq_vector = ~0u;
	EXPECT_EQ(tcpu_run_raw(c), -1);
	EXPECT_EQ(errno, EINVAL);
	c->run->irq_vector = 0;
	EXPECT_EQ(tcpu_call(c, G_NULL), 0);
	/* the same by read(2), which takes no bytes */
	EXPECT_EQ(read(c->fd, vm, 1), -1);
	EXPECT_EQ(errno, EINVAL);
	tcpu_start(c, G_NULL);
	/* EINTR may come at any time: work of Linux's for the thread. */
	do
		got = read(c->fd, NULL, 0);
	while (got < 0 && errno == EINTR);
	EXPECT_EQ(got, 0);
	EXPECT_EQ(c->run->exit_reason, RS_EXIT_HYPERCALL);
}

TEST(busy)
{
	struct tvm *vm = tvm_new(0);
	struct tcpu *c = tcpu_new(vm, 0);
	struct nl *nl = nl_open();
	uint32_t id = nl_my_vm(nl);
	struct rs_vcpu_state st, back;
	struct runner *r;

	tcpu_state(c, &st);
	tcpu_start(c, G_WRITER, G_SCRATCH, G_SCRATCH + PAGE, G_SCRATCH + 2 * PAGE);
	r = runner_start(c);
	await_progress(vm, G_SCRATCH + 2 * PAGE, 1000);
	/* Running, its thread may just be between two runs, for work that is done outside. Paused it is in RS_RUN, and stays there. */
	ASSERT_EQ(nl_command(nl, RS_CMD_PAUSE, id), 0);
	do
		ASSERT_EQ(nl_command(nl, RS_CMD_GET_VM, id), 0);
	while (nl_number(&nl->answers[0], RS_A_VCPUS_PAUSED) != 1);
	EXPECT_ERRNO(ioctl(c->fd, RS_GET_STATE, &back), EBUSY);
	EXPECT_ERRNO(ioctl(c->fd, RS_SET_STATE, &st), EBUSY);
	EXPECT_ERRNO(ioctl(c->fd, RS_RUN, 0), EBUSY);
	EXPECT_GT(tcpu_stats(c).entries, 0);
	ASSERT_EQ(nl_command(nl, RS_CMD_RESUME, id), 0);
	*tvm_at(vm, G_SCRATCH + PAGE) = 1;
	runner_join(r);
	SYS(ioctl(c->fd, RS_SET_STATE, &st));
}

static int in_child(int (*fn)(struct tvm *, struct tcpu *), struct tvm *vm, struct tcpu *c)
{
	int status;
	pid_t pid = SYS(fork());

	if (!pid)
		_exit(fn(vm, c));
	SYS(waitpid(pid, &status, 0));
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int child_gets_eperm(struct tvm *vm, struct tcpu *c)
{
	struct rs_region region = { .gpa = 1ull << 32, .size = PAGE };
	struct rs_vcpu_config cfg = { .id = 1 };
	struct rs_vcpu_state st;
	struct rs_stats stats;

	tcpu_state(c, &st);
	EXPECT_ERRNO(ioctl(vm->fd, RS_ADD_REGION, &region), EPERM);
	EXPECT_ERRNO(ioctl(vm->fd, RS_REMOVE_REGION, &region), EPERM);
	EXPECT_ERRNO(ioctl(vm->fd, RS_CREATE_VCPU, &cfg), EPERM);
	EXPECT_ERRNO(ioctl(vm->fd, RS_GET_VM_STATS, &stats), EPERM);
	EXPECT_ERRNO(ioctl(c->fd, RS_SET_STATE, &st), EPERM);
	EXPECT_ERRNO(ioctl(c->fd, RS_GET_STATE, &st), EPERM);
	EXPECT_ERRNO(ioctl(c->fd, RS_RUN, 0), EPERM);
	EXPECT_ERRNO(ioctl(c->fd, RS_KICK, 0), EPERM);
	EXPECT_ERRNO(ioctl(c->fd, RS_GET_VCPU_STATS, &stats), EPERM);
	test_leave();
}

TEST(other_process)
{
	struct tvm *vm = tvm_new(0);
	struct tcpu *c = tcpu_new(vm, 0);

	EXPECT_EQ(in_child(child_gets_eperm, vm, c), 0);
	/* and the parent is not hurt by it */
	EXPECT_EQ(tcpu_call(c, G_NULL), 0);
}
