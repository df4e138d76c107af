/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * compat.h - the differences between kernel versions. No other file asks for a version, but for the
 * lookups of mmu/host.c, which are little else
 *
 * Kernels 6.1 to 6.12 are built and tested. What can be tested by looking for a symbol is tested by
 * Kbuild (RS_HAVE_*).
 */
#ifndef RS_COMPAT_H
#define RS_COMPAT_H

#include <linux/eventfd.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/syscore_ops.h>
#include <linux/thread_info.h>
#include <linux/version.h>
#include <linux/vtime.h>
#include <asm/cpufeature.h>
#include <asm/nospec-branch.h>
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
#include <asm/gsseg.h>	/* load_gs_index, before that in special_insns.h */
#endif

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
#include <trace/events/ipi.h>	/* smp_send_reschedule() became a macro that traces */
#endif

/* Work that must be done before guest code runs on: signals, rescheduling, task work. */
#define RS_COMPAT_WORK		\
	(_TIF_NEED_RESCHED | _TIF_SIGPENDING | _TIF_NOTIFY_SIGNAL | _TIF_NOTIFY_RESUME)

/*
 * Time in the guest counts as the thread's user time: a clock tick that ends a stay in the guest
 * finds PF_VCPU. Where time is not accounted by ticks (nohz_full) it counts as system time. Begin
 * with interrupts off, end with interrupts on, after the tick was taken.
 */
static __always_inline void rs_compat_guest_time_begin(void)
{
	if (!vtime_accounting_enabled_this_cpu())
		current->flags |= PF_VCPU;
}

static __always_inline void rs_compat_guest_time_end(void)
{
	/* STI lets interrupts in only after the instruction that follows it; the tick comes here. */
	asm volatile("nop");
	current->flags &= ~PF_VCPU;
}

/* Guest code ran on this CPU: its branch predictions must not reach user space (VMSCAPE). */
static __always_inline void rs_compat_guest_ran(void)
{
#ifdef X86_FEATURE_IBPB_EXIT_TO_USER
	if (cpu_feature_enabled(X86_FEATURE_IBPB_EXIT_TO_USER))
		this_cpu_write(x86_ibpb_exit_to_user, true);
#endif
}

/*
 * RS_COMPAT_SYSCORE(name, suspend, resume): rs_compat_register_name() and _unregister_name(). In
 * some kernels the operations have an argument and hang on a structure of their own.
 */
#ifdef RS_HAVE_SYSCORE_DATA
#define RS_COMPAT_SYSCORE(name, do_suspend, do_resume)						\
static int name##_do_suspend(void *data) { return do_suspend(); }			\
static void name##_do_resume(void *data) { do_resume(); }				\
static const struct syscore_ops name##_ops = {							\
	.suspend = name##_do_suspend, .resume = name##_do_resume,				\
};												\
static struct syscore name##_syscore = { .ops = &name##_ops };					\
static void rs_compat_register_##name(void) { register_syscore(&name##_syscore); }		\
static void rs_compat_unregister_##name(void) { unregister_syscore(&name##_syscore); }
#else
#define RS_COMPAT_SYSCORE(name, do_suspend, do_resume)						\
static struct syscore_ops name##_ops = { .suspend = do_suspend, .resume = do_resume };		\
static void rs_compat_register_##name(void) { register_syscore_ops(&name##_ops); }		\
static void rs_compat_unregister_##name(void) { unregister_syscore_ops(&name##_ops); }
#endif

/* 6.3: vm_flags became read-only. */
static inline void rs_compat_vm_flags_set(struct vm_area_struct *vma, unsigned long flags)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	vm_flags_set(vma, flags);
#else
	vma->vm_flags |= flags;
#endif
}

static inline void rs_compat_vm_flags_clear(struct vm_area_struct *vma, unsigned long flags)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	vm_flags_clear(vma, flags);
#else
	vma->vm_flags &= ~flags;
#endif
}

/* 6.8: signals once, nothing else was ever asked for. */
static inline void rs_compat_eventfd_signal(struct eventfd_ctx *ctx)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0)
	eventfd_signal(ctx);
#else
	eventfd_signal(ctx, 1);
#endif
}

/* Is kvm.ko loaded? It need not run anything. */
static inline bool rs_compat_kvm_is_loaded(void)
{
#if IS_ENABLED(CONFIG_KVM)
	void *sym = __symbol_get("kvm_rebooting");

	if (sym)
		__symbol_put("kvm_rebooting");
	return sym;
#else
	return false;
#endif
}

#endif /* RS_COMPAT_H */
