// SPDX-License-Identifier: GPL-2.0-only
/*
 * nic.c - the NIC's two users on the guest's side: vCPUs, and the worker
 *
 * The worker alternates between two states.
 *
 *	asleep	the guest was asked for doorbells (rs_e1000_sleep). Woken by a doorbell, by a write of
 *		a register that means work, by a frame from Linux, by a timer.
 *	busy	it uses the VM's mm and goes round: frames of the guest to the port, frames of the port
 *		to the guest, publish, interrupt. Between two rounds it lets others run, because the one
 *		CPU there is may be the one the guest wants to fill its ring on. When nic_poll_us have
 *		passed and POLL_SPINS rounds have found nothing, it goes to sleep.
 *
 * So a guest that sends all the time finds the worker awake and makes no exit; what it costs is a
 * doorbell when it begins again after a pause. While the worker is awake but has nothing to do it first
 * yields a few times, then takes naps, so that an idle CPU is not kept busy for nic_poll_us.
 *
 * No wake-up is lost: rs_nic_wake() sets work, then wakes; the worker clears work, then looks at
 * everything, and before it sleeps looks at work with its state already set.
 *
 * The mm is used only while the worker is busy. When it cannot be had any more, the guest will not run
 * again either: the carrier goes, frames for the guest are dropped.
 */
#include <linux/etherdevice.h>
#include <linux/eventfd.h>
#include <linux/hrtimer.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/moduleparam.h>
#include <linux/nospec.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include "compat.h"
#include "nic.h"
#include "trace.h"

#define BUDGET		64			/* frames per direction and round */
#define POLL_SPINS	8
#define POLL_NAP_NS	(50 * NSEC_PER_USEC)
#define LEFT_ALONE_JIFFIES	HZ	/* with a mm that nobody else uses */
/* A frame that found no room this long is dropped, and so are others until there is room again. */
#define PATIENCE_NS	(200 * NSEC_PER_MSEC)

/* Longer: fewer doorbells and interrupts. 0: each frame that comes alone costs them, which tests want. */
static unsigned int nic_poll_us = 1000;
module_param(nic_poll_us, uint, 0644);
MODULE_PARM_DESC(nic_poll_us, "NIC: microseconds without work until the worker sleeps");

/* --- what the model needs --- */

static int mem_read(void *ctx, u64 gpa, void *buf, u32 len)
{
	struct rs_nic *nic = ctx;

	return rs_mmu_read(&nic->access, gpa, buf, len);
}

static int mem_write(void *ctx, u64 gpa, const void *buf, u32 len)
{
	struct rs_nic *nic = ctx;

	return rs_mmu_write(&nic->access, gpa, buf, len);
}

static s64 mem_or32(void *ctx, u64 gpa, u32 bits)
{
	struct rs_nic *nic = ctx;

	return rs_mmu_or32(&nic->access, gpa, bits);
}

static void full_barrier(void)
{
	smp_mb();	/* against the guest's, on the queue page */
}

static u64 now_ns(void *unused)
{
	return ktime_get_ns();
}

static const struct rs_e1000_ops model_ops = {
	.read = mem_read,
	.write = mem_write,
	.or32 = mem_or32,
	.transmit = rs_nic_transmit,
	.barrier = full_barrier,
	.now_ns = now_ns,
};

/* --- both users --- */

void rs_nic_wake(struct rs_nic *nic)
{
	if (!test_and_set_bit(0, &nic->work))
		wake_up_process(nic->worker);
}

int rs_nic_begin(struct rs_nic *nic)
{
	if (mutex_lock_interruptible(&nic->lock))
		return -EINTR;
	if (!rs_mmu_access_begin(&nic->access, nic->mmu))
		return 0;
	mutex_unlock(&nic->lock);
	return -EINTR;
}

void rs_nic_end(struct rs_nic *nic, u32 what)
{
	if (what & RS_E1000_IRQ) {
		WRITE_ONCE(nic->interrupts, nic->interrupts + 1);
		trace_rs_nic_interrupt(nic->vm_id, nic->index);
		rs_compat_eventfd_signal(nic->event);
	}
	if (what & RS_E1000_LINK)
		rs_port_carrier(nic, rs_e1000_receives(nic->model));
	spin_lock_bh(&nic->port.lock);
	nic->port.model = *rs_e1000_stats(nic->model);
	nic->port.model.rx_filtered += nic->filtered;
	spin_unlock_bh(&nic->port.lock);
	rs_mmu_access_end(&nic->access);
	mutex_unlock(&nic->lock);
}

/* --- vCPUs --- */

struct rs_nic *rs_nic_of(const struct rs_vcpu *vcpu, u64 n)
{
	if (n >= RS_MAX_NICS || !vcpu->vm)
		return NULL;
	/* pairs with the release in newlink */
	return smp_load_acquire(&vcpu->vm->nics[array_index_nospec(n, RS_MAX_NICS)]);
}

u64 rs_nic_doorbell(struct rs_vcpu *vcpu, u64 n)
{
	struct rs_nic *nic = rs_nic_of(vcpu, n);

	if (!nic)
		return RS_HC_ENODEV;
	atomic64_inc(&nic->doorbells);
	trace_rs_nic_doorbell(nic->vm_id, nic->index);
	rs_nic_wake(nic);
	return 0;
}

int rs_nic_hypercall(struct rs_vcpu *vcpu)
{
	struct rs_regs *r = &vcpu->regs;
	struct rs_nic *nic = rs_nic_of(vcpu, r->rdi);
	const bool exists = r->rsi < RS_NIC_REGS_SIZE && !(r->rsi & 3);
	u32 what = 0;
	u64 ret = 0;

	if (!nic) {
		r->rax = RS_HC_ENODEV;
		return 0;
	}
	if (rs_nic_begin(nic))
		return -EINTR;
	if (exists && r->rax == RS_HC_NIC_READ)
		ret = rs_e1000_reg_read(nic->model, r->rsi, &what);
	else if (exists)
		what = rs_e1000_reg_write(nic->model, r->rsi, r->rdx);
	rs_nic_settle(nic, what);
	r->rax = ret;
	return 0;
}

void rs_nic_settle(struct rs_nic *nic, u32 what)
{
	/* A throttled interrupt is the worker's to send later. */
	const bool wake = (what & RS_E1000_WORK) || rs_e1000_throttled(nic->model);

	rs_nic_end(nic, what);
	if (wake)
		rs_nic_wake(nic);
}

/* --- the worker --- */

static void follow_link(struct rs_nic *nic, u32 *what)
{
	const bool up = READ_ONCE(nic->port.up);

	if (up == nic->link)
		return;
	nic->link = up;
	*what |= rs_e1000_set_link(nic->model, up) | RS_E1000_LINK;
	if (!up)
		__skb_queue_purge(&nic->waiting);
}

/* Frames of the port into the guest. Returns how many have left the queue. */
static u32 feed_guest(struct rs_nic *nic, u32 *what)
{
	u32 sent = 0, dropped = 0, bytes = 0, all = 0;
	struct sk_buff *skb;

	if (skb_queue_empty(&nic->waiting))
		nic->waiting_epoch = rs_port_take(nic, &nic->waiting, BUDGET);
	while ((skb = skb_peek(&nic->waiting))) {
		u32 w = 0, len = skb->len;
		int ret = rs_skb_to_guest(nic, skb, &w);

		*what |= w;
		if (ret == -ENOBUFS) {
			u64 now = ktime_get_ns();

			if (!nic->no_room_since)
				nic->no_room_since = now;
			if (now - nic->no_room_since < PATIENCE_NS)
				break;
		} else {
			nic->no_room_since = 0;
		}
		__skb_unlink(skb, &nic->waiting);
		all += len;
		if (ret) {
			dropped++;
			kfree_skb(skb);
		} else {
			sent++;
			bytes += len;
			consume_skb(skb);
		}
	}
	if (sent || dropped)
		rs_port_done(nic, nic->waiting_epoch, sent, dropped, bytes, all);
	return sent + dropped;
}

/* Once everything. Did it find something to do? */
static bool move_frames(struct rs_nic *nic, u32 *what)
{
	u32 w = 0, n;

	follow_link(nic, what);
	n = rs_e1000_tx(nic->model, BUDGET, &w);
	/* descriptors that were no frame, and more behind them */
	if (w & RS_E1000_WORK)
		n++;
	*what |= w;
	if (!skb_queue_empty(&nic->batch))
		rs_port_give(nic, &nic->batch);
	n += feed_guest(nic, what);
	*what |= rs_e1000_publish(nic->model);
	return n;
}

/* When the worker has to look again without being asked: ns from now; 0: it need not. */
static u64 next_look(struct rs_nic *nic)
{
	u64 due = rs_e1000_throttled(nic->model), waited;

	if (skb_queue_empty(&nic->waiting) || !nic->no_room_since)
		return due;
	waited = ktime_get_ns() - nic->no_room_since;
	waited = waited < PATIENCE_NS ? PATIENCE_NS - waited : 1;
	return due ? min(due, waited) : waited;
}

static bool ending(struct rs_nic *nic)
{
	return READ_ONCE(nic->stop) || kthread_should_stop();
}

/* Until somebody wants something, or for @ns; 0: for ever. */
static void wait_for_work(struct rs_nic *nic, u64 ns)
{
	ktime_t t = ns_to_ktime(ns);

	set_current_state(TASK_IDLE);
	if (!test_bit(0, &nic->work) && !ending(nic))
		schedule_hrtimeout_range(ns ? &t : NULL, ns / 8, HRTIMER_MODE_REL);
	__set_current_state(TASK_RUNNING);
}

static u64 poll_ns(void)
{
	return (u64)READ_ONCE(nic_poll_us) * NSEC_PER_USEC;
}

/* Busy until there is nothing to do; the mm is in use. Returns what wait_for_work() is to get. */
static u64 work_until_idle(struct rs_nic *nic)
{
	u64 last = ktime_get_ns(), due = 0;
	unsigned int empty = 0;
	bool woken = false;

	for (;;) {
		u32 what = 0;

		clear_bit(0, &nic->work);
		smp_mb__after_atomic();		/* pairs with test_and_set_bit in rs_nic_wake */
		if (rs_nic_begin(nic))
			return 0;		/* killed */
		if (!woken) {
			WRITE_ONCE(nic->wakeups, nic->wakeups + 1);
			rs_e1000_awake(nic->model);
			trace_rs_nic_awake(nic->vm_id, nic->index);
			woken = true;
		}
		if (move_frames(nic, &what)) {
			last = ktime_get_ns();
			empty = 0;
		} else if (++empty > POLL_SPINS && ktime_get_ns() - last >= poll_ns()) {
			const bool rx_waits = !skb_queue_empty(&nic->waiting);

			if (!rs_e1000_sleep(nic->model, rx_waits) || ending(nic)) {
				trace_rs_nic_asleep(nic->vm_id, nic->index);
				due = next_look(nic);
				rs_nic_end(nic, what);
				return due;
			}
		}
		due = next_look(nic);
		rs_nic_end(nic, what);
		if (ending(nic))
			return 0;
		if (empty <= POLL_SPINS)
			yield();
		else
			wait_for_work(nic, due ? min_t(u64, due, POLL_NAP_NS) : POLL_NAP_NS);
	}
}

/* The address space is gone, or its owner about to be: there is no guest any more. */
static void guest_gone(struct rs_nic *nic)
{
	u32 all = 0, n = 0, epoch;
	struct sk_buff *skb;

	rs_port_carrier(nic, false);
	mutex_lock(&nic->lock);
	epoch = nic->waiting_epoch;
	if (skb_queue_empty(&nic->waiting))
		epoch = rs_port_take(nic, &nic->waiting, RS_PORT_TO_GUEST);
	while ((skb = __skb_dequeue(&nic->waiting))) {
		all += skb->len;
		n++;
		kfree_skb(skb);
	}
	mutex_unlock(&nic->lock);
	if (n)
		rs_port_done(nic, epoch, 0, n, 0, all);
}

/*
 * Let go of the mm until there is work again. Its last user takes it down, with the files that are
 * mapped there, and the end of a file is put off when a kernel thread brings it about: the process would
 * be gone, and its VM not yet. So the last reference is left to rs_nic_stop(), which the end of the same
 * process is about to call, unless another one keeps the VM's descriptor open.
 */
static void put_mm(struct rs_nic *nic)
{
	long left = LEFT_ALONE_JIFFIES;

	if (atomic_add_unless(&nic->mm->mm_users, -1, 1))
		return;
	while (left && !ending(nic)) {
		/* a frame for the guest may wake us: there is no guest for it */
		set_current_state(TASK_IDLE);
		if (!ending(nic))
			left = schedule_timeout(left);
		__set_current_state(TASK_RUNNING);
	}
	if (ending(nic))
		nic->mm_left = true;
	else
		mmput(nic->mm);
}

static int worker(void *arg)
{
	struct rs_nic *nic = arg;
	u64 due = 0;

	/* A page of the guest may never come; then this ends the wait (rs_nic_stop). */
	allow_signal(SIGKILL);
	while (!ending(nic)) {
		wait_for_work(nic, due);
		if (ending(nic))
			break;
		due = 0;
		if (mmget_not_zero(nic->mm)) {
			kthread_use_mm(nic->mm);
			due = work_until_idle(nic);
			kthread_unuse_mm(nic->mm);
			put_mm(nic);
		} else {
			clear_bit(0, &nic->work);
			smp_mb__after_atomic();	/* pairs with test_and_set_bit in rs_nic_wake */
			guest_gone(nic);
		}
	}
	return 0;
}

/* --- life --- */

static void nic_free(struct kref *ref)
{
	struct rs_nic *nic = container_of(ref, struct rs_nic, ref);

	WARN_ON_ONCE(nic->worker && !nic->stop);
	__skb_queue_purge(&nic->batch);
	__skb_queue_purge(&nic->waiting);
	__skb_queue_purge(&nic->port.to_guest);
	__skb_queue_purge(&nic->port.to_host);
	if (nic->frag.page)
		put_page(nic->frag.page);
	if (nic->model)
		rs_e1000_free(nic->model);
	if (nic->event)
		eventfd_ctx_put(nic->event);
	if (nic->worker)
		put_task_struct(nic->worker);
	mmdrop(nic->mm);
	mutex_destroy(&nic->lock);
	kfree(nic);
}

void rs_nic_put(struct rs_nic *nic)
{
	kref_put(&nic->ref, nic_free);
}

void rs_nic_stop(struct rs_nic *nic)
{
	if (nic->stop)
		return;
	/* stop, then the signal: a worker that did not take signals yet sees stop. */
	WRITE_ONCE(nic->stop, true);
	smp_mb();	/* pairs with the locks of allow_signal, which the worker takes before it reads stop */
	send_sig(SIGKILL, nic->worker, 1);
	kthread_stop(nic->worker);
	if (nic->mm_left)
		mmput(nic->mm);
}

struct rs_nic *rs_nic_new(struct rs_vm *vm, const struct rs_nic_params *p, struct eventfd_ctx *event)
{
	struct rs_nic *nic = kzalloc(sizeof(*nic), GFP_KERNEL_ACCOUNT);
	struct task_struct *task;

	if (!nic)
		return ERR_PTR(-ENOMEM);
	kref_init(&nic->ref);
	mutex_init(&nic->lock);
	spin_lock_init(&nic->port.lock);
	__skb_queue_head_init(&nic->batch);
	__skb_queue_head_init(&nic->waiting);
	__skb_queue_head_init(&nic->port.to_guest);
	__skb_queue_head_init(&nic->port.to_host);
	nic->index = p->index;
	nic->vm_id = vm->id;
	nic->mmu = &vm->mmu;
	nic->mm = vm->mm;
	mmgrab(nic->mm);
	nic->has_regs = p->has_regs;
	nic->regs_gpa = p->regs_gpa;
	ether_addr_copy(nic->mac, p->mac);

	nic->model = rs_e1000_new(&model_ops, nic);
	if (!nic->model) {
		rs_nic_put(nic);
		return ERR_PTR(-ENOMEM);
	}
	rs_e1000_reset(nic->model, nic->mac);
	nic->port.model = *rs_e1000_stats(nic->model);

	task = kthread_create(worker, nic, "rs-nic-%u.%u", vm->id, p->index);
	if (IS_ERR(task)) {
		rs_nic_put(nic);
		return ERR_CAST(task);
	}
	get_task_struct(task);
	nic->worker = task;
	nic->event = event;
	wake_up_process(task);
	return nic;
}
