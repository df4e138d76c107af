// SPDX-License-Identifier: MIT
/*
 * abi_test.c - what RTM_NEWLINK refuses and tells, and what the hypercalls do with what is not there
 */
#define _GNU_SOURCE
#include <linux/if_ether.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "link.h"

#define REGS_GPA	0x40000000ul

static int event_new(void)
{
	return SYS(eventfd(0, EFD_CLOEXEC));
}

TEST(bad_attributes)
{
	struct tvm *vm = tvm_new(0);
	struct tcpu *cpu = tcpu_new(vm, 0);
	int event = event_new(), pipes[2], i;
	static const uint8_t group[6] = { 1, 2, 3, 4, 5, 6 }, none[6], good[6] = { 2, 0, 0, 0, 0, 9 };
	static const uint64_t places[] = {
		REGS_GPA + 1,				/* not aligned */
		REGS_GPA - PAGE,			/* begins before the region */
		REGS_GPA + PAGE,			/* ends behind it */
		G_SCRATCH,				/* memory */
		0x80000000,				/* nothing */
		~0ul << 12, ~0ul,
	};

	own_network();
	SYS(pipe(pipes));
	SYS(tvm_region_raw(vm, REGS_GPA, RS_NIC_REGS_SIZE, NULL, RS_REGION_MMIO));

#define TRY(want, ...) do {								\
	struct link_config c_ = LINK_CONFIG(vm->fd, event);				\
	__VA_ARGS__;									\
	EXPECT_EQ(link_new_raw(&c_), -(want));						\
} while (0)
	TRY(EINVAL, c_.vm_fd = -1);
	TRY(EINVAL, c_.event_fd = -1);
	TRY(EBADF, c_.vm_fd = 1000);
	TRY(ENODEV, c_.vm_fd = pipes[0]);
	TRY(ENODEV, c_.vm_fd = vm->dev);
	TRY(ENODEV, c_.vm_fd = cpu->fd);
	TRY(EBADF, c_.event_fd = 1000);
	TRY(EINVAL, c_.event_fd = pipes[0]);
	TRY(EINVAL, c_.event_fd = vm->fd);
	TRY(ERANGE, c_.index = RS_MAX_NICS);
	TRY(ERANGE, c_.index = 0x7fffffff);
	TRY(EADDRNOTAVAIL, c_.guest_mac = group; c_.guest_mac_len = 6);
	TRY(EADDRNOTAVAIL, c_.guest_mac = none; c_.guest_mac_len = 6);
	TRY(ERANGE, c_.guest_mac = good; c_.guest_mac_len = 5);
	TRY(ERANGE, c_.guest_mac = good; c_.guest_mac_len = 7);
	TRY(EADDRNOTAVAIL, c_.address = group);
	for (i = 0; i < (int)(sizeof(places) / sizeof(places[0])); i++)
		TRY(EINVAL, c_.regs_gpa = &places[i]);
	/* none of them has left anything */
	EXPECT(!dev_exists("rs0"));

	/* all of them are good, once each */
	for (i = 0; i < RS_MAX_NICS; i++) {
		static const uint64_t regs = REGS_GPA;

		TRY(0, c_.index = i; c_.guest_mac = good; c_.guest_mac_len = 6; c_.address = good;
		    c_.regs_gpa = i ? NULL : &regs);
		TRY(EEXIST, c_.index = i);
	}
	for (i = 0; i < RS_MAX_NICS; i++) {
		char name[] = "rs0";
		uint8_t mac[6] = { 0 };
		uint32_t v;

		name[2] += i;
		EXPECT_EQ(link_info_raw(name, IFLA_RINGSIDE_INDEX, &v, sizeof(v)), 4);
		EXPECT_EQ(v, i);
		EXPECT_EQ(link_info_raw(name, IFLA_RINGSIDE_VM_ID, &v, sizeof(v)), 4);
		EXPECT_EQ(link_info_raw(name, IFLA_RINGSIDE_GUEST_MAC, mac, sizeof(mac)), 6);
		EXPECT(!memcmp(mac, good, 6));
		dev_mac(name, mac);
		EXPECT(!memcmp(mac, good, 6));
		/* what was told, and what is nobody's business */
		EXPECT_EQ(link_info_raw(name, IFLA_RINGSIDE_VM_FD, &v, sizeof(v)), -ENOENT);
	}
	/* a NIC whose interface has gone is not free */
	EXPECT_EQ(link_del_raw("rs1"), 0);
	EXPECT(!dev_exists("rs1"));
	TRY(EEXIST, c_.index = 1);
	tcpu_close(cpu);
	tvm_close(vm);
	for (i = 0; i < RS_MAX_NICS; i++) {
		char name[] = "rs0";

		name[2] += i;
		EXPECT(!dev_exists(name));
	}
}

/* A child that shares the descriptors has another address space. */
TEST(other_address_space)
{
	struct tvm *vm = tvm_new(0);
	struct link_config c = LINK_CONFIG(vm->fd, event_new());
	int status, pid;

	own_network();
	pid = SYS(fork());
	if (!pid)
		_exit(-link_new_raw(&c));
	SYS(waitpid(pid, &status, 0));
	EXPECT(WIFEXITED(status));
	EXPECT_EQ(WEXITSTATUS(status), EPERM);
	EXPECT(!dev_exists("rs0"));
	tvm_close(vm);
}

/* Root of a user namespace has the network of this one no more than anybody. */
TEST(needs_the_right_to)
{
	struct tvm *vm = tvm_new(0);
	struct link_config c = LINK_CONFIG(vm->fd, event_new());

	if (unshare(CLONE_NEWUSER))
		SKIP("no user namespaces");
	EXPECT_EQ(link_new_raw(&c), -EPERM);
	EXPECT(!dev_exists("rs0"));
	/* but one of its own, where there are such */
	if (unshare(CLONE_NEWNET)) {
		EXPECT_EQ(errno, EINVAL);
		return;
	}
	EXPECT_EQ(link_new_raw(&c), 0);
	EXPECT(dev_exists("rs0"));
	tvm_close(vm);
	EXPECT(!dev_exists("rs0"));
}

TEST(registers_by_hypercall)
{
	struct nic *n;
	uint32_t low;
	unsigned int i;

	own_network();
	n = nic_new();
	/* numbers of NICs */
	for (i = 1; i < 70; i++)
		EXPECT_EQ(tcpu_call(n->cpu, G_HYPERCALL, RS_HC_NIC_READ, i, 8), (uint64_t)RS_HC_ENODEV);
	EXPECT_EQ(tcpu_call(n->cpu, G_HYPERCALL, RS_HC_NIC_DOORBELL, 1ul << 63), (uint64_t)RS_HC_ENODEV);
	EXPECT_EQ(tcpu_call(n->cpu, G_HYPERCALL, RS_HC_NIC_WRITE, ~0ul, 0, 0), (uint64_t)RS_HC_ENODEV);
	/* offsets: what does not exist reads as 0 and takes nothing */
	EXPECT_EQ(tcpu_call(n->cpu, G_HYPERCALL, RS_HC_NIC_READ, 0, RS_NIC_REGS_SIZE), 0);
	EXPECT_EQ(tcpu_call(n->cpu, G_HYPERCALL, RS_HC_NIC_READ, 0, REG_STATUS + 1), 0);
	EXPECT_EQ(tcpu_call(n->cpu, G_HYPERCALL, RS_HC_NIC_READ, 0, REG_STATUS + (1ul << 32)), 0);
	EXPECT_EQ(tcpu_call(n->cpu, G_HYPERCALL, RS_HC_NIC_WRITE, 0, 1ul << 63, 1), 0);
	/* values: the low 32 bits */
	EXPECT_EQ(tcpu_call(n->cpu, G_HYPERCALL, RS_HC_NIC_WRITE, 0, REG_RDBAL, 0xffffffff12345670), 0);
	EXPECT_EQ(tcpu_call(n->cpu, G_HYPERCALL, RS_HC_NIC_READ, 0, REG_RDBAL), 0x12345670);
	/* the address in RAL0 is the one that was given */
	low = nic_read(n, REG_RAL0);
	EXPECT_EQ(link_info_raw(n->name, IFLA_RINGSIDE_GUEST_MAC, (uint8_t[8]){ 0 }, 8), 6);
	{
		uint8_t mac[6];

		link_info_raw(n->name, IFLA_RINGSIDE_GUEST_MAC, mac, 6);
		EXPECT_EQ(low, mac[0] | mac[1] << 8 | mac[2] << 16 | (uint32_t)mac[3] << 24);
	}
	nic_close(n);
}

/* --- the register page ---------------------------------------------------- */

/* Bytes of an instruction that is to be executed with RCX = the register's address, RDX = @v. */
static uint64_t do_insn(struct nic *n, uint64_t gva, uint64_t v, const uint8_t *insn, int len)
{
	/* mov $gva, %rcx; mov $v, %rdx; xor %eax, %eax; INSN; mov %rax, (result); ret */
	uint8_t *at = n->vm->mem + G_SCRATCH + 0x200000, *p = at;
	const uint64_t result = G_SCRATCH + 0x201000;

	*p++ = 0x48; *p++ = 0xb9; memcpy(p, &gva, 8); p += 8;
	*p++ = 0x48; *p++ = 0xba; memcpy(p, &v, 8); p += 8;
	*p++ = 0x31; *p++ = 0xc0;
	memcpy(p, insn, len); p += len;
	*p++ = 0x48; *p++ = 0xa3; memcpy(p, &result, 8); p += 8;
	*p++ = 0xc3;
	*tvm_at(n->vm, result) = 0x1234;
	tcpu_call(n->cpu, G_CALL, G_SCRATCH + 0x200000);
	return *tvm_at(n->vm, result);
}
#define INSN(...) (const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ })

TEST(register_page)
{
	const uint64_t window = G_ARENA - RS_NIC_REGS_SIZE, regs = REGS_GPA;
	struct nic *n = calloc(1, sizeof(*n));
	struct link_config c;
	struct rs_stats before;
	uint64_t i;

	own_network();
	n->vm = tvm_new(0);
	n->cpu = tcpu_new(n->vm, 0);
	n->event = event_new();
	SYS(tvm_region_raw(n->vm, REGS_GPA, RS_NIC_REGS_SIZE + PAGE, NULL, RS_REGION_MMIO));
	for (i = 0; i < RS_NIC_REGS_SIZE + PAGE && window + i < G_ARENA; i += PAGE)
		*tvm_pte(n->vm, window + i) = (REGS_GPA + i) | 7;
	c = (struct link_config)LINK_CONFIG(n->vm->fd, n->event);
	c.regs_gpa = &regs;
	ASSERT_EQ(link_new_raw(&c), 0);
	before = tcpu_stats(n->cpu);

	/* mov (%rcx), %eax; mov %edx, (%rcx); movl $0x55550, (%rcx) */
	EXPECT_EQ(do_insn(n, window + REG_CTRL, 0, INSN(0x8b, 0x01)), nic_read(n, REG_CTRL));
	EXPECT_EQ(n->cpu->args->vector, G_NO_VECTOR);
	do_insn(n, window + REG_RDBAL, 0xffffffff00abcde0, INSN(0x89, 0x11));
	EXPECT_EQ(nic_read(n, REG_RDBAL), 0xabcde0);
	do_insn(n, window + REG_RDBAL, 0, INSN(0xc7, 0x01, 0x50, 0x55, 0x05, 0x00));
	EXPECT_EQ(nic_read(n, REG_RDBAL), 0x55550);
	/* a read clears the upper half; through an index and a displacement; the last register */
	EXPECT_EQ(do_insn(n, window + REG_RDBAL - 0x10, 0, INSN(0x48, 0x83, 0xc8, 0xff, 0x8b, 0x41, 0x10)), 0x55550);
	do_insn(n, window + RS_NIC_REG_PAGE_HIGH, 0x77, INSN(0x89, 0x11));
	EXPECT_EQ(do_insn(n, window + RS_NIC_REG_PAGE_HIGH, 0, INSN(0x8b, 0x01)), 0x77);
	/* all of that has not left RS_RUN */
	EXPECT_EQ(tcpu_stats(n->cpu).exit_npf - before.exit_npf >= 6, 1);

#define REFUSED(...) do {								\
	do_insn(n, window + REG_RDBAL, 0xdead0, __VA_ARGS__);				\
	EXPECT_EQ(n->cpu->args->vector, 13);						\
	EXPECT_EQ(n->cpu->args->error, 0);						\
	EXPECT_EQ(nic_read(n, REG_RDBAL), 0x55550);					\
} while (0)
	REFUSED(INSN(0x88, 0x11));			/* a byte */
	REFUSED(INSN(0x66, 0x89, 0x11));		/* two */
	REFUSED(INSN(0x48, 0x89, 0x11));		/* eight */
	REFUSED(INSN(0x89, 0x51, 0x02));		/* four, but not aligned */
	REFUSED(INSN(0x09, 0x11));			/* or */
	REFUSED(INSN(0xf0, 0x87, 0x11));		/* lock xchg */
	REFUSED(INSN(0xf3, 0x0f, 0x7f, 0x01));		/* movdqu */
	REFUSED(INSN(0xff, 0x11));			/* call */
	REFUSED(INSN(0x8b, 0x21));			/* mov (%rcx), %esp */
	REFUSED(INSN(0xff, 0xe1));			/* jmp *%rcx: code in the page */

	/* ring 3 has no business there */
	tcpu_start(n->cpu, G_USER, tcpu_call(n->cpu, G_USER_CODE, GU_READ), window + REG_STATUS);
	tcpu_finish(n->cpu);
	EXPECT_EQ(n->cpu->args->vector, 13);
	EXPECT_EQ(n->cpu->args->cpl, 3);
	/* what is in the region but behind the registers ends RS_RUN as ever */
	*tvm_pte(n->vm, window) = (REGS_GPA + RS_NIC_REGS_SIZE) | 7;
	tcpu_start(n->cpu, G_LOAD, window);
	tcpu_run_to(n->cpu, RS_EXIT_MMIO);
	EXPECT_EQ(n->cpu->run->fault.gpa, REGS_GPA + RS_NIC_REGS_SIZE);
	nic_close(n);
}
