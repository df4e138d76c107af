// SPDX-License-Identifier: GPL-2.0-only
/*
 * debugfs.c - /sys/kernel/debug/ringside/vmN/stats: what RS_GET_VM_STATS tells, as text, for who
 * looks from outside
 *
 * The file reads the live VM. It holds no reference: removing the directory waits for readers, and
 * the VM is freed after that.
 */
#include <linux/debugfs.h>
#include <linux/seq_file.h>
#include <linux/stddef.h>
#include "debugfs.h"
#include "vm.h"

static struct dentry *root;

#define RS_STAT(name) { #name, offsetof(struct rs_stats, name) }
static const struct {
	const char *name;
	size_t offset;
} stat_names[] = {
	RS_STAT(entries), RS_STAT(exits), RS_STAT(exit_npf), RS_STAT(exit_hypercall),
	RS_STAT(exit_interrupt), RS_STAT(exit_nmi), RS_STAT(exit_window), RS_STAT(exit_cpuid),
	RS_STAT(exit_msr), RS_STAT(exit_io), RS_STAT(exit_cr), RS_STAT(exit_dr), RS_STAT(exit_hlt),
	RS_STAT(exit_exception), RS_STAT(exit_shutdown), RS_STAT(exit_other), RS_STAT(user_exits),
	RS_STAT(map_4k), RS_STAT(map_2m), RS_STAT(fault_retry), RS_STAT(fault_failed),
	RS_STAT(injected), RS_STAT(inval), RS_STAT(inval_zapped), RS_STAT(flush_requests),
	RS_STAT(flushes), RS_STAT(kicks), RS_STAT(migrations),
};

static int stats_show(struct seq_file *m, void *unused)
{
	struct rs_vm *vm = m->private;
	struct rs_stats stats;
	int i;

	rs_vm_stats(vm, &stats);
	for (i = 0; i < ARRAY_SIZE(stat_names); i++)
		seq_printf(m, "%-16s %llu\n", stat_names[i].name,
			   *(u64 *)((void *)&stats + stat_names[i].offset));
	seq_printf(m, "%-16s %llu\n", "tables", READ_ONCE(vm->mmu.pt.nr_tables));
	seq_printf(m, "%-16s %d\n", "dead", READ_ONCE(vm->mmu.dead));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(stats);

void rs_debugfs_add_vm(struct rs_vm *vm)
{
	char name[16];

	snprintf(name, sizeof(name), "vm%u", vm->id);
	vm->debugfs = debugfs_create_dir(name, root);
	debugfs_create_file("stats", 0400, vm->debugfs, vm, &stats_fops);
}

void rs_debugfs_remove_vm(struct rs_vm *vm)
{
	debugfs_remove_recursive(vm->debugfs);
}

void rs_debugfs_init(void)
{
	root = debugfs_create_dir("ringside", NULL);
}

void rs_debugfs_exit(void)
{
	debugfs_remove_recursive(root);
}
