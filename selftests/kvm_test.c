// SPDX-License-Identifier: MIT
/*
 * kvm_test.c - beside KVM: loaded together, one of them uses the CPU at a time, the other is told
 * so
 *
 * KVM's modules are in the VM for this. The hypervisor that came second gets EBUSY, and works when
 * the first is done.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "testvm.h"

static int kvm_open(void)
{
	int fd;

	if (access("/dev/kvm", F_OK))
		(void)!system("modprobe kvm-intel 2>/dev/null || modprobe kvm-amd 2>/dev/null");
	fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		SKIP("no /dev/kvm and no module for it");
	return fd;
}

/* Files of a VM are closed by deferred work at times. */
static int create_soon(int fd, unsigned long cmd, void *arg)
{
	struct timespec now, end;
	int ret;

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += 5;
	do {
		ret = ioctl(fd, cmd, arg);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (ret < 0 && errno == EBUSY && now.tv_sec < end.tv_sec);
	return ret;
}

TEST_FOR(ringside_first, 120)
{
	int kvm = kvm_open(), vm;
	struct tvm *t = tvm_new(0);
	struct tcpu *c = tcpu_new(t, 0);

	EXPECT_EQ(tcpu_call(c, G_NULL), 0);
	EXPECT_ERRNO(ioctl(kvm, KVM_CREATE_VM, 0), EBUSY);
	/* and that has done no harm */
	EXPECT_EQ(tcpu_call(c, G_EXIT_DELTA, 5), 6);
	tcpu_close(c);
	tvm_close(t);
	vm = SYS(create_soon(kvm, KVM_CREATE_VM, NULL));
	close(vm);
}

TEST_FOR(kvm_first, 120)
{
	int kvm = kvm_open(), vm = SYS(create_soon(kvm, KVM_CREATE_VM, NULL)), dev = dev_open();
	struct rs_vm_config cfg = { 0 };
	struct rs_info info;
	int fd;

	EXPECT_ERRNO(ioctl(dev, RS_CREATE_VM, &cfg), EBUSY);
	/* what the machine has can still be asked */
	SYS(ioctl(dev, RS_GET_INFO, &info));
	/* KVM's VM is unharmed: it can have a vCPU with memory, and run into its first exit */
	{
		int vcpu = SYS(ioctl(vm, KVM_CREATE_VCPU, 0));
		int size = SYS(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0));

		EXPECT_GE(size, (int)sizeof(struct kvm_run));
		close(vcpu);
	}
	close(vm);
	fd = SYS(create_soon(dev, RS_CREATE_VM, &cfg));
	close(fd);
	EXPECT_EQ(tcpu_call(tcpu_new(tvm_new(0), 0), G_EXIT_DELTA, 1), 2);
}

/* In turns, without a pause. */
TEST_FOR(taking_turns, 120)
{
	int kvm = kvm_open();

	for (int i = 0; i < 10; i++) {
		struct rs_vm_config cfg = { 0 };
		int dev = dev_open(), vm, fd;

		vm = SYS(create_soon(kvm, KVM_CREATE_VM, NULL));
		close(vm);
		fd = SYS(create_soon(dev, RS_CREATE_VM, &cfg));
		EXPECT_ERRNO(ioctl(kvm, KVM_CREATE_VM, 0), EBUSY);
		close(fd);
		close(dev);
	}
}
