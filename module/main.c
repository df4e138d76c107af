// SPDX-License-Identifier: GPL-2.0-only
/*
 * main.c - loading and unloading
 *
 * Construction: the backend (chosen, not turned on), debugfs, network namespaces and the netlink
 * family, which VMs tell their events to, the kind of network interface, last the device, because VMs
 * can come from then on. Unloading is the reverse; the descriptors' .owner keeps it from being
 * tried while anything is open.
 *
 * Preempt notifiers are on as long as the module is loaded. Turning them on and off patches the code
 * of the scheduler, with an interrupt to every CPU several times over: too much for each sandbox
 * that comes and goes, while a thread without notifiers pays one test of its empty list per switch.
 */
#define pr_fmt(fmt) "ringside: " fmt

#include <linux/init.h>
#include <linux/module.h>
#include <linux/preempt.h>
#include "debugfs.h"
#include "dev.h"
#include "net/genl.h"
#include "net/nic.h"
#include "virt.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

static int __init ringside_init(void)
{
	int ret;

	ret = rs_backend_init();
	if (ret)
		return ret;
	preempt_notifier_inc();
	rs_debugfs_init();
	ret = rs_netns_init();
	if (ret)
		goto err_netns;
	ret = rs_genl_init();
	if (ret)
		goto err_genl;
	ret = rs_net_init();
	if (ret)
		goto err_net;
	ret = rs_dev_init();
	if (ret)
		goto err_dev;
	return 0;

err_dev:
	rs_net_exit();
err_net:
	rs_genl_exit();
err_genl:
	rs_netns_exit();
err_netns:
	rs_debugfs_exit();
	preempt_notifier_dec();
	rs_backend_exit();
	return ret;
}

static void __exit ringside_exit(void)
{
	rs_dev_exit();
	rs_net_exit();
	rs_genl_exit();
	rs_netns_exit();
	rs_debugfs_exit();
	preempt_notifier_dec();
	rs_backend_exit();
}

module_init(ringside_init);
module_exit(ringside_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("A hardware guest ring beside Linux for selected processes");
MODULE_VERSION("1");
