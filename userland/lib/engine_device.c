// SPDX-License-Identifier: MIT
/*
 * The engine that is /dev/ringside.
 *
 * The three kinds of descriptors (device, VM, vCPU) are kept in rs_engine.fds: 0 the device, 1 the
 * VM, from 2 on the vCPUs. The device is closed as soon as the VM exists, since nothing needs it
 * any more and a confined process should hold little. Failures are turned into words that say what
 * to do, because they are what a new user meets first.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine.h"
#include "raw.h"

#define RUN_PAGE	4096

_Static_assert(sizeof(struct rs_run) <= RUN_PAGE, "the run page holds struct rs_run");

enum { FD_DEVICE, FD_VM, FD_VCPU };

static int device_open(struct rs_engine *e, char *why)
{
	struct stat st;
	int fd, err, i;

	for (i = 0; i < (int)(sizeof(e->fds) / sizeof(e->fds[0])); i++)
		e->fds[i] = -1;
	fd = open(RS_DEVICE_PATH, O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		err = errno;
		if (err == ENOENT || err == ENXIO)
			snprintf(why, RS_WHY,
				 "%s is not there: load the module (modprobe ringside, or insmod "
				 "ringside.ko); "
				 "`ringside doctor` says more",
				 RS_DEVICE_PATH);
		else if (err == EACCES || err == EPERM)
			snprintf(why, RS_WHY,
				 "no permission to open %s: become a member of its group or change "
				 "its mode (it is %o now)",
				 RS_DEVICE_PATH,
				 stat(RS_DEVICE_PATH, &st) ? 0 : st.st_mode & 07777);
		else
			snprintf(why, RS_WHY, "cannot open %s: %s", RS_DEVICE_PATH, strerror(err));
		return -err;
	}
	e->fds[FD_DEVICE] = fd;
	memset(&e->info, 0, sizeof(e->info));
	if (ioctl(fd, RS_GET_INFO, &e->info)) {
		err = errno;
		snprintf(why, RS_WHY, "%s does not answer RS_GET_INFO: %s", RS_DEVICE_PATH,
			 strerror(err));
		return -err;
	}
	if (e->info.abi_version != RS_ABI_VERSION) {
		snprintf(why, RS_WHY,
			 "the module speaks version %u of the interface and this program version "
			 "%u: install both from the "
			 "same release",
			 e->info.abi_version, RS_ABI_VERSION);
		return -EPROTO;
	}
	e->requests[0] = RS_KICK;
	e->requests[1] = RS_GET_STATE;
	e->requests[2] = RS_GET_VM_STATS;
	e->requests[3] = 0;
	return 0;
}

static int device_create_vm(struct rs_engine *e, uint32_t vm_flags, char *why)
{
	struct rs_vm_config config = { .flags = vm_flags, .end_signal = e->end_signal };
	char name[RS_VM_NAME_MAX];
	int fd, err;

	if (e->name) {
		snprintf(name, sizeof(name), "%s", e->name);
		config.name = (uintptr_t)name;
	}
	fd = ioctl(e->fds[FD_DEVICE], RS_CREATE_VM, &config);
	err = errno;
	if (fd < 0) {
		if (err == EBUSY)
			snprintf(why, RS_WHY,
				 "the CPU's virtualisation is in use by another hypervisor (KVM, "
				 "VirtualBox): end its guests, or "
				 "unload kvm_intel or kvm_amd");
		else if (err == ENODEV)
			snprintf(why, RS_WHY,
				 "this machine has no usable hardware virtualisation; `dmesg | "
				 "grep ringside` says why");
		else
			snprintf(why, RS_WHY, "cannot create a VM: %s", strerror(err));
		return -err;
	}
	e->fds[FD_VM] = fd;
	close(e->fds[FD_DEVICE]);
	e->fds[FD_DEVICE] = -1;
	return 0;
}

static int device_add_region(struct rs_engine *e, uint64_t gpa, uint64_t size, uint64_t hva,
			     uint32_t flags, char *why)
{
	struct rs_region region = { .gpa = gpa, .size = size, .hva = hva, .flags = flags };
	int err;

	if (!ioctl(e->fds[FD_VM], RS_ADD_REGION, &region))
		return 0;
	err = errno;
	snprintf(why, RS_WHY, "cannot add the memory region at %#llx of %llu MiB: %s",
		 (unsigned long long)gpa, (unsigned long long)size >> 20, strerror(err));
	return -err;
}

static int device_create_vcpu(struct rs_engine *e, uint32_t id, struct rs_engine_vcpu *vcpu,
			      char *why)
{
	struct rs_vcpu_config config = { .id = id };
	int fd, err;

	if (id >= RS_MAX_VCPUS) {
		snprintf(why, RS_WHY, "a VM has at most %d vCPUs", RS_MAX_VCPUS);
		return -EINVAL;
	}
	fd = ioctl(e->fds[FD_VM], RS_CREATE_VCPU, &config);
	if (fd < 0) {
		err = errno;
		snprintf(why, RS_WHY, "cannot create vCPU %u: %s", id, strerror(err));
		return -err;
	}
	e->fds[FD_VCPU + id] = fd;
	vcpu->run = mmap(NULL, RUN_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (vcpu->run == MAP_FAILED) {
		err = errno;
		vcpu->run = NULL;
		snprintf(why, RS_WHY, "cannot map the run page of vCPU %u: %s", id, strerror(err));
		return -err;
	}
	vcpu->engine = e;
	vcpu->handle = fd;
	e->vcpus[id] = vcpu;
	return 0;
}

static int device_set_state(struct rs_engine_vcpu *vcpu, const struct rs_vcpu_state *state)
{
	return rs_raw3(__NR_ioctl, vcpu->handle, RS_SET_STATE, (long)state);
}

static int device_get_state(struct rs_engine_vcpu *vcpu, struct rs_vcpu_state *state)
{
	return rs_raw3(__NR_ioctl, vcpu->handle, RS_GET_STATE, (long)state);
}

/*
 * RS_RUN in its shape without arguments to filter (ringside.h). Compiled to the instruction and a
 * few moves: no vector register can be touched here.
 */
static int device_run(struct rs_engine_vcpu *vcpu)
{
	return rs_raw3(__NR_read, vcpu->handle, 0, 0);
}

static int device_kick(struct rs_engine_vcpu *vcpu)
{
	return rs_raw3(__NR_ioctl, vcpu->handle, RS_KICK, 0);
}

static int device_stats(struct rs_engine *e, struct rs_stats *stats)
{
	return rs_raw3(__NR_ioctl, e->fds[FD_VM], RS_GET_VM_STATS, (long)stats);
}

static void device_close(struct rs_engine *e)
{
	int i;

	for (i = 0; i < RS_MAX_VCPUS; i++) {
		if (e->vcpus[i] && e->vcpus[i]->run)
			munmap(e->vcpus[i]->run, RUN_PAGE);
		e->vcpus[i] = NULL;
	}
	for (i = (int)(sizeof(e->fds) / sizeof(e->fds[0])) - 1; i >= 0; i--) {
		if (e->fds[i] >= 0)
			close(e->fds[i]);
		e->fds[i] = -1;
	}
}

static int device_vm_fd(struct rs_engine *e)
{
	return e->fds[FD_VM];
}

const struct rs_engine_ops rs_engine_device = {
	.name		= "device",
	.open		= device_open,
	.create_vm	= device_create_vm,
	.add_region	= device_add_region,
	.create_vcpu	= device_create_vcpu,
	.set_state	= device_set_state,
	.get_state	= device_get_state,
	.run		= device_run,
	.kick		= device_kick,
	.stats		= device_stats,
	.close		= device_close,
	.vm_fd		= device_vm_fd,
};
