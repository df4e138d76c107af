// SPDX-License-Identifier: GPL-2.0-only
/*
 * main.c - loading and unloading
 *
 * Construction: the backend (chosen, not turned on), debugfs, last the device, because user space
 * can come in from then on. Unloading is the reverse; the descriptors' .owner keeps it from being
 * tried while anything is open.
 */
#define pr_fmt(fmt) "ringside: " fmt

#include <linux/init.h>
#include <linux/module.h>
#include "debugfs.h"
#include "dev.h"
#include "virt.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

static int __init ringside_init(void)
{
	int ret;

	ret = rs_backend_init();
	if (ret)
		return ret;
	rs_debugfs_init();
	ret = rs_dev_init();
	if (ret)
		goto err_dev;
	return 0;

err_dev:
	rs_debugfs_exit();
	rs_backend_exit();
	return ret;
}

static void __exit ringside_exit(void)
{
	rs_dev_exit();
	rs_debugfs_exit();
	rs_backend_exit();
}

module_init(ringside_init);
module_exit(ringside_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("A hardware guest ring beside Linux for selected processes");
MODULE_VERSION("1");
