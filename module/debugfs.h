/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * debugfs.h - see debugfs.c. All P. Failures are not errors: the kernel goes on without the files.
 */
#ifndef RS_DEBUGFS_H
#define RS_DEBUGFS_H

struct rs_vm;

void rs_debugfs_init(void);
void rs_debugfs_exit(void);
void rs_debugfs_add_vm(struct rs_vm *vm);
/* When it returns nobody reads the files of @vm any more. */
void rs_debugfs_remove_vm(struct rs_vm *vm);

#endif /* RS_DEBUGFS_H */
