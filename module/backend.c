// SPDX-License-Identifier: GPL-2.0-only
/*
 * backend.c - which vendor's half is used, and when the CPUs have virtualisation turned on
 *
 * The backend is chosen when the module is loaded. Virtualisation is turned on, on all CPUs, when
 * the first VM is created and off when the last one is gone: a CPU whose SVM or VMX is on belongs
 * to one hypervisor, and an idle module shall not keep KVM from working.
 *
 * Per CPU, rs_cpu_on says what the hardware was told. It is changed with interrupts off on that CPU
 * and nowhere else:
 *	virt_get, virt_put	all CPUs, through the CPU hotplug state, which also follows CPUs
 *				that come and go
 *	reboot			all CPUs by IPI, for good (rebooting)
 *	suspend			the last CPU, by syscore; the others went offline before
 * A thread in RS_RUN may still sit on a CPU where it was turned off. It notices because it looks at
 * rs_cpu_on with interrupts off before it executes an instruction that would be undefined now.
 *
 * Lock order: virt_lock -> the kernel's CPU hotplug lock. Taken with nothing of the module held.
 */
#define pr_fmt(fmt) "ringside: " fmt

#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/reboot.h>
#include <linux/smp.h>
#include <asm/reboot.h>
#include "compat.h"
#include "virt.h"

const struct rs_backend *rs_backend;

#define RS_DEFINE_CALL(name) DEFINE_STATIC_CALL_NULL(rs_##name, *(((struct rs_backend *)0)->name));
RS_STATIC_CALLS(RS_DEFINE_CALL)

static DEFINE_MUTEX(virt_lock);
static unsigned int virt_users;		/* virt_lock */
static int virt_cpuhp_state;		/* virt_lock; valid while virt_users > 0 */
static bool rebooting;			/* set once */
DEFINE_PER_CPU(bool, rs_cpu_on);		/* virtualisation is on here, and it is ours */
static DEFINE_PER_CPU(bool, resume_on);	/* suspend turned it off here */

bool rs_is_rebooting(void)
{
	return READ_ONCE(rebooting);
}

/* Context C. */
static int cpu_turn_on(void)
{
	int ret;

	if (rs_is_rebooting())
		return -ESHUTDOWN;
	if (WARN_ON_ONCE(__this_cpu_read(rs_cpu_on)))
		return 0;
	ret = rs_backend->cpu_on();
	if (!ret)
		__this_cpu_write(rs_cpu_on, true);
	return ret;
}

/* Context C. */
static void cpu_turn_off(void *unused)
{
	if (!__this_cpu_read(rs_cpu_on))
		return;
	/* First: an NMI between the two must not believe in instructions that are gone. */
	__this_cpu_write(rs_cpu_on, false);
	barrier();
	rs_backend->cpu_off();
}

static int virt_cpu_online(unsigned int cpu)
{
	unsigned long flags;
	int ret;

	local_irq_save(flags);
	ret = cpu_turn_on();
	local_irq_restore(flags);
	if (ret == -EBUSY) {
		const bool svm = rs_backend->id == RS_BACKEND_SVM;

		pr_err("CPU %u: %s is in use by another hypervisor\n", cpu, svm ? "SVM" : "VMX");
		pr_err("end its virtual machines; if it is KVM and has none, unload %s or set kvm.enable_virt_at_load=0\n",
		       svm ? "kvm_amd" : "kvm_intel");
	} else if (ret) {
		pr_err("CPU %u: cannot turn virtualisation on (%d)\n", cpu, ret);
	}
	return ret;
}

static int virt_cpu_offline(unsigned int cpu)
{
	unsigned long flags;

	local_irq_save(flags);
	cpu_turn_off(NULL);
	local_irq_restore(flags);
	return 0;
}

/*
 * Crash: the kernel that takes the dump needs CPUs out of VMX operation (INIT is blocked in it).
 * Kernels with this hook have room for one callback, and warn when it is taken. KVM's does what
 * ours would do, so ours is only registered when KVM is not there.
 */
#ifdef RS_HAVE_EMERGENCY_VIRT
static bool emergency_registered;	/* virt_lock */

static void emergency_off(void)
{
	if (!raw_cpu_read(rs_cpu_on))
		return;
	raw_cpu_write(rs_cpu_on, false);
	rs_backend->cpu_emergency_off();
}

static void emergency_register(void)
{
	bool kvm;

	if (!rs_backend->cpu_emergency_off)
		return;
	kvm = rs_compat_kvm_is_loaded();
	if (!kvm)
		cpu_emergency_register_virt_callback(emergency_off);
	emergency_registered = !kvm;
}

static void emergency_unregister(void)
{
	if (emergency_registered)
		cpu_emergency_unregister_virt_callback(emergency_off);
	emergency_registered = false;
}
#else
static void emergency_register(void) { }
static void emergency_unregister(void) { }
#endif

int rs_virt_get(void)
{
	int ret = 0;

	if (!rs_backend)
		return -ENODEV;
	if (mutex_lock_killable(&virt_lock))
		return -EINTR;
	if (rs_is_rebooting()) {
		ret = -ESHUTDOWN;
	} else if (!virt_users) {
		ret = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "x86/ringside:online",
					virt_cpu_online, virt_cpu_offline);
		if (ret >= 0) {
			virt_cpuhp_state = ret;
			ret = 0;
			emergency_register();
		}
	}
	if (!ret)
		virt_users++;
	mutex_unlock(&virt_lock);
	return ret;
}

void rs_virt_put(void)
{
	mutex_lock(&virt_lock);
	if (!--virt_users) {
		emergency_unregister();
		cpuhp_remove_state(virt_cpuhp_state);
	}
	mutex_unlock(&virt_lock);
}

/*
 * Before the firmware or a kexec'ed kernel gets the machine. Threads in RS_RUN see rebooting and
 * leave with ESHUTDOWN.
 */
static int virt_reboot(struct notifier_block *nb, unsigned long action, void *data)
{
	WRITE_ONCE(rebooting, true);
	if (rs_backend)
		on_each_cpu(cpu_turn_off, NULL, 1);
	return NOTIFY_DONE;
}

static struct notifier_block virt_reboot_nb = {
	.notifier_call = virt_reboot,
};

/* Suspend and hibernation: on the last CPU, interrupts off. */
static int virt_suspend(void)
{
	__this_cpu_write(resume_on, __this_cpu_read(rs_cpu_on));
	cpu_turn_off(NULL);
	return 0;
}

static void virt_resume(void)
{
	if (__this_cpu_read(resume_on) && cpu_turn_on())
		pr_err("virtualisation could not be turned on after resume\n");
	__this_cpu_write(resume_on, false);
}

RS_COMPAT_SYSCORE(virt, virt_suspend, virt_resume)

void rs_backend_use(const struct rs_backend *b)
{
	rs_backend = b;
#define RS_UPDATE_CALL(name) static_call_update(rs_##name, b ? b->name : NULL);
	RS_STATIC_CALLS(RS_UPDATE_CALL)
}

static struct rs_backend * const backends[] = {
	&rs_vmx_backend,
	&rs_svm_backend,
};

int __init rs_backend_init(void)
{
	struct rs_backend *b = NULL;
	int i, ret;

	for (i = 0; i < ARRAY_SIZE(backends) && !b; i++) {
		if (backends[i]->probe() == 0)
			b = backends[i];
	}
	if (!b) {
		pr_warn("no usable VT-x with EPT or SVM with nested paging on this machine: VMs cannot be created\n");
		return 0;
	}
	ret = b->setup();
	if (ret) {
		b->cleanup();
		return ret;
	}
	rs_backend_use(b);
	register_reboot_notifier(&virt_reboot_nb);
	rs_compat_register_virt();
	pr_info("%s, %d-bit guest physical addresses, %d-level nested tables\n", b->name,
		b->gpa_bits, b->levels);
	return 0;
}

void rs_backend_exit(void)
{
	if (!rs_backend)
		return;
	rs_compat_unregister_virt();
	unregister_reboot_notifier(&virt_reboot_nb);
	rs_backend->cleanup();
}
