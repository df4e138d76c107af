/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * debugfs.h - the directory; what concerns a VM is in vm.h. P. Failures are not errors: the module
 * goes on without the files.
 */
#ifndef RS_DEBUGFS_H
#define RS_DEBUGFS_H

void rs_debugfs_init(void);
void rs_debugfs_exit(void);

#endif /* RS_DEBUGFS_H */
