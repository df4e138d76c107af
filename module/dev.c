// SPDX-License-Identifier: GPL-2.0-only
/*
 * dev.c - /dev/ringside and the descriptors it hands out: what user space may ask, under which
 * conditions
 *
 * Every ioctl is a row of a table: the kind of descriptor it is for, whether the vCPU is claimed
 * for it, what is copied in and out. The dispatcher checks in this order and the handlers rely on
 * it:
 *	ENOTTY	no such command			ENODEV	the descriptor is of another kind
 *	EPERM	not the VM's address space	EFAULT	argument unreadable
 *	EBUSY	the vCPU is running
 * The handlers check the fields. RS_RUN is looked at first and has its own way, since it is the
 * only command whose cost matters.
 *
 * A descriptor's private_data is its object; the object lives until the descriptor is released. The
 * address-space check is what makes current->mm the VM's own in every handler: pointers and
 * get_user_pages mean the right process.
 */
#include <linux/anon_inodes.h>
#include <linux/compat.h>
#include <linux/err.h>
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/signal.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include "compat.h"
#include "dev.h"
#include "vm.h"

/** union rs_arg - the argument of any command, in kernel memory */
union rs_arg {
	struct rs_info info;
	struct rs_vm_config vm_config;
	struct rs_region region;
	struct rs_vcpu_config vcpu_config;
	struct rs_stats stats;
	struct rs_vcpu_state state;
};

enum rs_file_kind { RS_FILE_DEV, RS_FILE_VM, RS_FILE_VCPU };

struct rs_ioctl {
	unsigned int cmd;
	enum rs_file_kind kind;
	bool claim;			/* the vCPU, for the time of the call */
	int (*fn)(void *object, union rs_arg *arg);
};

static const struct file_operations vm_fops, vcpu_fops;

#define RESERVED_IS_ZERO(s) (!memchr_inv((s)->reserved, 0, sizeof((s)->reserved)))

/* --- /dev/ringside --- */

static int get_info(void *unused, union rs_arg *arg)
{
	struct rs_info *info = &arg->info;

	*info = (struct rs_info) { .abi_version = RS_ABI_VERSION };
	if (!rs_backend)
		return 0;
	info->backend = rs_backend->id;
	info->features = rs_features();
	info->gpa_bits = rs_backend->gpa_bits;
	info->cr4_allowed = rs_cr4_allowed();
	info->efer_allowed = rs_efer_allowed();
	info->xcr0 = rs_xcr0();
	return 0;
}

static int create_vm(void *unused, union rs_arg *arg)
{
	const struct rs_vm_config *config = &arg->vm_config;
	const u32 flags = RS_VM_NESTED_FAULT_VECTOR | RS_VM_USER_HYPERCALLS |
			  RS_VM_KERNEL_HYPERCALLS | RS_VM_EXEC_RIGHTS;
	struct rs_vm_request req = { .flags = config->flags, .end_signal = config->end_signal };
	struct rs_vm *vm;
	long len;
	int fd;

	if ((config->flags & ~flags) || !RESERVED_IS_ZERO(config) ||
	    (config->end_signal && !valid_signal(config->end_signal)))
		return -EINVAL;
	if (config->name) {
		len = strncpy_from_user(req.name, u64_to_user_ptr(config->name), sizeof(req.name));
		if (len < 0)
			return len;
		if (len == sizeof(req.name))
			return -ENAMETOOLONG;
	}
	vm = rs_vm_create(&req);
	if (IS_ERR(vm))
		return PTR_ERR(vm);
	fd = anon_inode_getfd("ringside-vm", &vm_fops, vm, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		rs_vm_put(vm);
	return fd;
}

/* --- VM --- */

static int add_region(void *object, union rs_arg *arg)
{
	struct rs_vm *vm = object;

	return rs_mmu_add_region(&vm->mmu, &arg->region);
}

static int remove_region(void *object, union rs_arg *arg)
{
	struct rs_vm *vm = object;

	return rs_mmu_remove_region(&vm->mmu, &arg->region);
}

static int create_vcpu(void *object, union rs_arg *arg)
{
	const struct rs_vcpu_config *config = &arg->vcpu_config;
	struct rs_vcpu *vcpu;
	struct file *file;
	int fd;

	if (config->flags || !RESERVED_IS_ZERO(config))
		return -EINVAL;
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	vcpu = rs_vm_add_vcpu(object, config->id);
	if (IS_ERR(vcpu)) {
		put_unused_fd(fd);
		return PTR_ERR(vcpu);
	}
	file = anon_inode_getfile("ringside-vcpu", &vcpu_fops, vcpu, O_RDWR);
	if (IS_ERR(file)) {
		rs_vm_remove_vcpu(vcpu);
		put_unused_fd(fd);
		return PTR_ERR(file);
	}
	/* Nobody watches reads that transfer nothing, and RS_RUN is such a read. */
	file->f_mode |= FMODE_NONOTIFY;
	fd_install(fd, file);
	return fd;
}

static int get_vm_stats(void *object, union rs_arg *arg)
{
	rs_vm_stats(object, &arg->stats);
	return 0;
}

/* --- vCPU --- */

static int set_state(void *object, union rs_arg *arg)
{
	return rs_vcpu_set_state(object, &arg->state);
}

static int get_state(void *object, union rs_arg *arg)
{
	return rs_vcpu_get_state(object, &arg->state);
}

static int kick(void *object, union rs_arg *arg)
{
	rs_vcpu_kick(object);
	return 0;
}

static int get_vcpu_stats(void *object, union rs_arg *arg)
{
	memset(&arg->stats, 0, sizeof(arg->stats));
	rs_vcpu_add_stats(object, &arg->stats);
	return 0;
}

static int vcpu_mmap(struct file *file, struct vm_area_struct *vma)
{
	const unsigned long rw = VM_SHARED | VM_READ | VM_WRITE;
	struct rs_vcpu *vcpu = file->private_data;

	if (current->mm != vcpu->mm)
		return -EPERM;
	if (vma->vm_pgoff || vma->vm_end - vma->vm_start != PAGE_SIZE)
		return -EINVAL;
	if ((vma->vm_flags & (rw | VM_EXEC)) != rw)
		return -EINVAL;
	/*
	 * Not for children: they may not run the vCPU. The page lives as long as a mapping of it.
	 */
	rs_compat_vm_flags_set(vma, VM_DONTCOPY | VM_DONTEXPAND | VM_DONTDUMP);
	rs_compat_vm_flags_clear(vma, VM_MAYEXEC);
	return vm_insert_page(vma, vma->vm_start, vcpu->run_page);
}

/* --- dispatcher --- */

static const struct rs_ioctl ioctls[] = {
	{ RS_GET_INFO,		RS_FILE_DEV,	false,	get_info },
	{ RS_CREATE_VM,		RS_FILE_DEV,	false,	create_vm },
	{ RS_ADD_REGION,	RS_FILE_VM,	false,	add_region },
	{ RS_REMOVE_REGION,	RS_FILE_VM,	false,	remove_region },
	{ RS_CREATE_VCPU,	RS_FILE_VM,	false,	create_vcpu },
	{ RS_GET_VM_STATS,	RS_FILE_VM,	false,	get_vm_stats },
	{ RS_SET_STATE,		RS_FILE_VCPU,	true,	set_state },
	{ RS_GET_STATE,		RS_FILE_VCPU,	true,	get_state },
	/* vcpu_ioctl; here only to be known */
	{ RS_RUN,		RS_FILE_VCPU,	true,	NULL },
	{ RS_KICK,		RS_FILE_VCPU,	false,	kick },
	{ RS_GET_VCPU_STATS,	RS_FILE_VCPU,	false,	get_vcpu_stats },
};

static const struct rs_ioctl *find_ioctl(unsigned int cmd)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(ioctls); i++) {
		if (ioctls[i].cmd == cmd)
			return &ioctls[i];
	}
	return NULL;
}

/* @mm: the only address space that may ask; NULL: any */
static long dispatch(enum rs_file_kind kind, void *object, const struct mm_struct *mm,
		     unsigned int cmd, unsigned long uarg)
{
	const struct rs_ioctl *io = find_ioctl(cmd);
	void __user *user = (void __user *)uarg;
	struct rs_vcpu *vcpu = object;
	union rs_arg arg;
	long ret;

	BUILD_BUG_ON(sizeof(arg) > 512);	/* it is on the stack */
	if (!io)
		return -ENOTTY;
	if (io->kind != kind)
		return -ENODEV;
	if (mm && current->mm != mm)
		return -EPERM;
	if (_IOC_DIR(cmd) & _IOC_WRITE) {
		if (copy_from_user(&arg, user, _IOC_SIZE(cmd)))
			return -EFAULT;
	}
	if (io->claim && !rs_vcpu_claim(vcpu))
		return -EBUSY;
	ret = io->fn(object, &arg);
	if (io->claim)
		rs_vcpu_release(vcpu);
	if (ret >= 0 && (_IOC_DIR(cmd) & _IOC_READ)) {
		if (copy_to_user(user, &arg, _IOC_SIZE(cmd)))
			return -EFAULT;
	}
	return ret;
}

static long dev_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return dispatch(RS_FILE_DEV, NULL, NULL, cmd, arg);
}

static long vm_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct rs_vm *vm = file->private_data;

	return dispatch(RS_FILE_VM, vm, vm->mm, cmd, arg);
}

static int vcpu_run(struct rs_vcpu *vcpu)
{
	int ret;

	if (unlikely(current->mm != vcpu->mm))
		return -EPERM;
	if (unlikely(!rs_vcpu_claim(vcpu)))
		return -EBUSY;
	ret = rs_vcpu_run(vcpu);
	rs_vcpu_release(vcpu);
	return ret;
}

static long vcpu_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct rs_vcpu *vcpu = file->private_data;

	if (likely(cmd == RS_RUN))
		return vcpu_run(vcpu);
	return dispatch(RS_FILE_VCPU, vcpu, vcpu->mm, cmd, arg);
}

/* RS_RUN by another name, see ringside.h. */
static ssize_t vcpu_read(struct file *file, char __user *buf, size_t count, loff_t *pos)
{
	return count ? -EINVAL : vcpu_run(file->private_data);
}

static int vm_release(struct inode *inode, struct file *file)
{
	struct rs_vm *vm = file->private_data;

	rs_nics_end(vm);
	rs_vm_put(vm);
	return 0;
}

static int vcpu_release(struct inode *inode, struct file *file)
{
	rs_vm_remove_vcpu(file->private_data);
	return 0;
}

/* .owner keeps the module while any of these is open. */
static const struct file_operations dev_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = dev_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

static const struct file_operations vm_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = vm_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.release = vm_release,
	.llseek = noop_llseek,
};

static const struct file_operations vcpu_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = vcpu_ioctl,
	.read = vcpu_read,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = vcpu_mmap,
	.release = vcpu_release,
	.llseek = noop_llseek,
};

struct file *rs_vm_file_get(int fd, struct rs_vm **vm)
{
	struct file *file = fget(fd);
	int ret = -EBADF;

	if (!file)
		return ERR_PTR(ret);
	*vm = file->private_data;
	if (file->f_op != &vm_fops)
		ret = -ENODEV;
	else if (current->mm != (*vm)->mm)
		ret = -EPERM;
	else
		return file;
	fput(file);
	return ERR_PTR(ret);
}

static struct miscdevice rs_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "ringside",
	.fops = &dev_fops,
	.mode = 0600,
};

int rs_dev_init(void)
{
	return misc_register(&rs_misc);
}

void rs_dev_exit(void)
{
	misc_deregister(&rs_misc);
}
