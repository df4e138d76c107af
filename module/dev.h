/* SPDX-License-Identifier: GPL-2.0-only */
/* dev.h - see dev.c */
#ifndef RS_DEV_H
#define RS_DEV_H

struct file;
struct rs_vm;

/**
 * rs_vm_file_get() - the file of a VM's descriptor of the current process, and the VM
 * The VM lives while the file is held; fput() it. ERR_PTR: -EBADF, -ENODEV: not a VM's, -EPERM: of
 * another address space.
 */
struct file *rs_vm_file_get(int fd, struct rs_vm **vm);

int rs_dev_init(void);		/* P. From here on user space can reach the module. */
void rs_dev_exit(void);

#endif /* RS_DEV_H */
