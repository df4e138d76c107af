// SPDX-License-Identifier: GPL-2.0-only
/*
 * fake_backend.c - a backend without hardware, for tests of the generic half
 *
 * "Entering the guest" plays the next step of a script. Each callback checks that it is called in
 * the context that backend.h promises, which is what real backends rely on and cannot check.
 */
#include <linux/irqflags.h>
#include <linux/preempt.h>
#include <linux/smp.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <asm/msr-index.h>
#include "tests/fake_backend.h"

struct fake_log fake_log;
bool fake_can_interrupt;
unsigned int fake_cpus_on;

static DEFINE_SPINLOCK(cpus_lock);	/* fake_cpus_on */

static const struct fake_step *script;
static unsigned int script_len, script_pos;
static bool loaded, event_queued;

static void require(bool condition)
{
	if (!condition)
		fake_log.misuse++;
}

/* Contexts of backend.h. */
static void require_l(void)
{
	require(loaded && preempt_count());
}

static void require_i(void)
{
	require(loaded && irqs_disabled());
}

void fake_start(const struct fake_step *steps, unsigned int n)
{
	script = steps;
	script_len = n;
	script_pos = 0;
	event_queued = false;
	memset(&fake_log, 0, sizeof(fake_log));
}

static int fake_probe(void)
{
	return 0;
}

static void fake_cleanup(void)
{
}

static int fake_cpu_on(void)
{
	require(irqs_disabled());
	spin_lock(&cpus_lock);
	fake_cpus_on++;
	spin_unlock(&cpus_lock);
	return 0;
}

static void fake_cpu_off(void)
{
	require(irqs_disabled());
	spin_lock(&cpus_lock);
	fake_cpus_on--;
	spin_unlock(&cpus_lock);
}

static int fake_vcpu_create(struct rs_vcpu *vcpu)
{
	vcpu->priv = &fake_backend;
	return 0;
}

static void fake_vcpu_destroy(struct rs_vcpu *vcpu)
{
	require(!loaded && vcpu->priv == &fake_backend);
}

static void fake_vcpu_load(struct rs_vcpu *vcpu, int cpu)
{
	require(!loaded && preempt_count() && cpu == smp_processor_id());
	loaded = true;
	fake_log.loads++;
}

static void fake_vcpu_put(struct rs_vcpu *vcpu)
{
	require_l();
	loaded = false;
	fake_log.puts++;
}

static void fake_set_state(struct rs_vcpu *vcpu, const struct rs_vcpu_state *st)
{
	require_l();
	event_queued = false;
}

static void fake_get_state(struct rs_vcpu *vcpu, struct rs_vcpu_state *st)
{
	require_l();
	st->rip = FAKE_RIP;
}

static u64 fake_get_rip(struct rs_vcpu *vcpu)
{
	require_l();
	/* left once the script has gone on */
	if (!script_pos || script_pos > script_len || !script[script_pos - 1].rip)
		return FAKE_RIP;
	return script[script_pos - 1].rip;
}

static void fake_flush(struct rs_vcpu *vcpu)
{
	require_i();
	fake_log.flushes++;
}

static void fake_enter(struct rs_vcpu *vcpu)
{
	const struct fake_step *s;

	require_i();
	require(READ_ONCE(vcpu->in_guest) && vcpu->cpu == smp_processor_id());
	if (fake_log.enters < ARRAY_SIZE(fake_log.flushes_at_enter))
		fake_log.flushes_at_enter[fake_log.enters] = fake_log.flushes;
	fake_log.enters++;
	event_queued = false;
	if (script_pos >= script_len)
		return;
	s = &script[script_pos];
	vcpu->regs.rax = s->rax;
	vcpu->regs.rcx = s->rcx;
	vcpu->regs.rdx = s->rdx;
	vcpu->regs.rsi = s->rsi;
	vcpu->regs.rdi = s->rdi;
	vcpu->regs.r10 = s->r10;
	if (s->guest)
		s->guest(vcpu);
}

static void fake_decode(struct rs_vcpu *vcpu)
{
	require_i();
	if (script_pos >= script_len) {
		fake_log.misuse++;
		vcpu->exit = (struct rs_exit) { .kind = RS_X_SHUTDOWN };
		return;
	}
	vcpu->exit = script[script_pos++].exit;
	event_queued = vcpu->exit.delivering;
}

static void fake_skip_insn(struct rs_vcpu *vcpu)
{
	require_l();
	fake_log.skips++;
}

static void fake_inject(struct rs_vcpu *vcpu, const struct rs_event *ev)
{
	require_l();
	require(!ev->interrupt || (fake_can_interrupt && !event_queued));
	event_queued = true;
	fake_log.injects++;
	fake_log.injected = *ev;
}

static bool fake_event_pending(struct rs_vcpu *vcpu)
{
	return event_queued;
}

static bool fake_get_can_interrupt(struct rs_vcpu *vcpu)
{
	return fake_can_interrupt;
}

static void fake_want_window(struct rs_vcpu *vcpu, bool on)
{
	require_l();
	if (on)
		fake_log.windows_on++;
	else
		fake_log.windows_off++;
}

static int fake_get_msr(struct rs_vcpu *vcpu, u32 msr, u64 *val)
{
	if (msr != MSR_EFER)
		return -EPERM;
	*val = 0x1122334455667788;
	return 0;
}

static int fake_set_msr(struct rs_vcpu *vcpu, u32 msr, u64 val)
{
	return msr == MSR_LSTAR && val == 0x1122334455667788 ? 0 : -EPERM;
}

struct rs_backend fake_backend = {
	.name		= "fake",
	.id		= RS_BACKEND_SVM,
	.probe		= fake_probe,
	.setup		= fake_probe,
	.cleanup	= fake_cleanup,
	.cpu_on		= fake_cpu_on,
	.cpu_off	= fake_cpu_off,
	.vcpu_create	= fake_vcpu_create,
	.vcpu_destroy	= fake_vcpu_destroy,
	.vcpu_load	= fake_vcpu_load,
	.vcpu_put	= fake_vcpu_put,
	.set_state	= fake_set_state,
	.get_state	= fake_get_state,
	.get_rip	= fake_get_rip,
	.flush		= fake_flush,
	.enter		= fake_enter,
	.decode		= fake_decode,
	.skip_insn	= fake_skip_insn,
	.inject		= fake_inject,
	.event_pending	= fake_event_pending,
	.can_interrupt	= fake_get_can_interrupt,
	.want_window	= fake_want_window,
	.get_msr	= fake_get_msr,
	.set_msr	= fake_set_msr,
	.levels		= 4,
	.gpa_bits	= 40,
};
