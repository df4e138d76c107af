/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * vcpu.h - one virtual CPU: what the run loop, the hypercalls and the backends share
 *
 * A vCPU is used by one thread at a time, the one that has claimed it. Nobody ever waits for a
 * claim (who comes second gets EBUSY), so it is a bit and has no place in the lock order.
 * Everything in struct rs_vcpu belongs to the claimant, but for the few fields marked "any thread",
 * by which others make the vCPU leave the guest:
 *
 *	kick		RS_KICK and the gate (gate.h) set bits, the run loop looks at all at once
 *	in_guest	the vCPU may be executing guest code on vcpu->cpu. Set with interrupts off
 *			before the last look at everything that could be a reason not to enter,
 *			cleared with interrupts off. Who changes something and then finds in_guest
 *			set sends an IPI to vcpu->cpu; when it has been handled the vCPU has left
 *			the guest.
 *
 * "Loaded" means that this CPU's hardware state is the vCPU's (between vcpu_load and vcpu_put of
 * the backend). A vCPU stays loaded for the whole of RS_RUN. Where RS_RUN can be preempted and the
 * scheduler takes the thread off the CPU, the preempt notifier puts the vCPU and later loads it
 * again.
 */
#ifndef RS_VCPU_H
#define RS_VCPU_H

#include <linux/bitops.h>
#include <linux/preempt.h>
#include <linux/types.h>
#include <uapi/ringside.h>
#include <uapi/ringside_guest.h>
#include <uapi/ringside_netlink.h>
#include "backend.h"
#include "gate.h"

/*
 * struct rs_regs - the guest's general-purpose registers while it is not running, in the order of
 * the instruction encoding. RSP, RIP and RFLAGS live with the backend. @cr2 is for a backend whose
 * hardware does not switch it. run.S knows the offsets from asm-offsets.
 */
struct rs_regs {
	u64 rax, rcx, rdx, rbx;
	u64 rsp_unused;
	u64 rbp, rsi, rdi;
	u64 r8, r9, r10, r11, r12, r13, r14, r15;
	u64 cr2;
};

/**
 * struct rs_vcpu_counters - plain counters, written by the thread in RS_RUN, read by any thread
 * with READ_ONCE
 */
struct rs_vcpu_counters {
	u64 entries;
	u64 exits[RS_X_NR];		/* by kind; their sum is the number of exits */
	u64 user_exits;
	u64 map_4k, map_2m;
	u64 fault_retry, fault_failed;
	u64 injected;
	u64 flushes;
	u64 migrations;
};

/** enum rs_vcpu_life - what RS_RUN may do */
enum rs_vcpu_life {
	/* no state yet, or lost by a triple fault or a refused entry: needs RS_SET_STATE */
	RS_VCPU_NEW,
	RS_VCPU_READY,
};

struct rs_vm;
struct rs_svm;
struct rs_vmx;

struct rs_vcpu {
	/* --- hot: the run loop --- */
	struct rs_regs regs;
	struct rs_exit exit;			/* of the last exit, see rs_backend.decode */
	union {					/* the backend's own, made by vcpu_create */
		struct rs_svm *svm;
		struct rs_vmx *vmx;
		void *priv;
	};
	struct rs_mmu *mmu;			/* of the VM */
	/* shared with user space: read each input once, trust nothing */
	struct rs_run *run;
	u64 flush_seen;				/* flush_gen of the mmu at the last flush */
	u64 host_xcr0;				/* fpu.h; 0: none */
	u32 host_pkru;				/* fpu.h */
	/*
	 * any thread, when in_guest: the CPU it is loaded on; otherwise the last one, -1: none yet
	 */
	int cpu;
	bool in_guest;				/* any thread */
	unsigned long claimed;			/* any thread: bit 0, see rs_vcpu_claim */
	unsigned long kick;			/* any thread: RS_KICK_* */
	/* whose ioctls are obeyed; compared, never used */
	struct mm_struct *mm;
	/*
	 * who may run it without more ado: the thread that ran it last, since the state was set; NULL
	 * when there is none
	 */
	const struct task_struct *runner;
	/* the last exit was a hypercall for user space: run->hypercall.ret goes to RAX */
	bool ret_pending;
	bool window_wanted;			/* want_window(true) is in force */
	/* interrupt that run->irq_vector asks for and that is not injected yet; 0 none */
	u8 irq_vector;
	u8 life;				/* enum rs_vcpu_life */
	u32 vm_flags;				/* RS_VM_* */
	/* as RS_SET_STATE set it; the guest cannot change it */
	u64 cr4;
	struct rs_vcpu_counters count;
	struct preempt_notifier notifier;

	/* --- cold --- */
	/* count.entries when RS_RUN last made way for work that waits for the way to user space */
	u64 put_off;
	struct rs_vm *vm;
	struct page *run_page;
	u32 id;
	u32 vm_id;				/* of the VM; for tracepoints */
	struct rs_gate *gate;			/* of the VM */
	bool waiting;				/* at the gate; any thread */
	spinlock_t thread_lock;			/* the next three; a leaf */
	struct task_struct *thread;		/* that ran it last; a reference */
	u64 cpu_past;				/* CPU time of the threads before this one */
	u64 cpu_base;				/* the thread's own when it began */
	/* the backend has no state that get_state could show */
	bool state_lost;
	atomic64_t kicks;			/* any thread: IPIs sent by RS_KICK */
	struct {				/* last fault delivered as RS_VECTOR_NESTED_FAULT */
		u64 gpa, gva;
		u32 access;
	} fault_info;
};

/**
 * rs_vcpu_init - make a vCPU of @vm ready for its first RS_SET_STATE; P
 * @vcpu: zeroed
 * Return 0, -ENOMEM, or what the backend says. rs_vcpu_destroy undoes it; on failure nothing is
 * left to undo.
 */
int rs_vcpu_init(struct rs_vcpu *vcpu, struct rs_vm *vm, struct rs_mmu *mmu, struct rs_gate *gate,
		 u32 vm_flags, u32 id);
void rs_vcpu_destroy(struct rs_vcpu *vcpu);

/* Any context: become the one thread that uses the vCPU, or not (false). */
static __always_inline bool rs_vcpu_claim(struct rs_vcpu *vcpu)
{
	return !test_and_set_bit_lock(0, &vcpu->claimed);
}

static __always_inline void rs_vcpu_release(struct rs_vcpu *vcpu)
{
	clear_bit_unlock(0, &vcpu->claimed);
}

/*
 * RS_RUN, RS_SET_STATE, RS_GET_STATE: P, the vCPU claimed, current->mm is the VM's. Return as
 * ringside.h has it.
 */
int rs_vcpu_run(struct rs_vcpu *vcpu);
int rs_vcpu_set_state(struct rs_vcpu *vcpu, const struct rs_vcpu_state *st);
int rs_vcpu_get_state(struct rs_vcpu *vcpu, struct rs_vcpu_state *st);
/* RS_KICK: any context that may wait for an IPI, any thread. */
void rs_vcpu_kick(struct rs_vcpu *vcpu);
/*
 * The same without the IPI, when the caller sends them: set @bit (RS_KICK_*). A full barrier must
 * come before in_guest is looked at.
 */
static inline void rs_vcpu_mark(struct rs_vcpu *vcpu, int bit)
{
	set_bit(bit, &vcpu->kick);
}

/*
 * Any thread: CPU time in ns that the threads which ran the vCPU have got since they first did; and
 * the one that ran it last, with a reference, or NULL.
 */
u64 rs_vcpu_cpu_time(struct rs_vcpu *vcpu);
struct task_struct *rs_vcpu_get_thread(struct rs_vcpu *vcpu);
enum rs_vcpu_run_state rs_vcpu_run_state(struct rs_vcpu *vcpu);	/* any thread */
/* Any thread: adds the vCPU's counters to @stats. */
void rs_vcpu_add_stats(const struct rs_vcpu *vcpu, struct rs_stats *stats);

/**
 * enum rs_next - what an exit handler wants; handlers run in context I and return with interrupts
 * off
 */
enum rs_next {
	RS_NEXT_ENTER,		/* enter again at once */
	RS_NEXT_WINDOW,		/* turn interrupts on first */
	/* vcpu->exit is a nested fault to be resolved in preemptible context */
	RS_NEXT_FAULT,
	/* a hypercall for a register of the NIC, in preemptible context; not stepped over yet */
	RS_NEXT_NIC,
	RS_NEXT_USER,		/* run->exit_reason says why; RS_RUN returns 0 */
	RS_NEXT_REPORT,		/* the same, and it is a fault of the guest that others want to know */
	RS_NEXT_KICKED,		/* vcpu->kick says that something is wanted */
	RS_NEXT_WORK,		/* signal, reschedule or other work of the thread is pending */
	RS_NEXT_OFF,		/* virtualisation is off on this CPU */
	RS_NEXT_BUG,		/* the module is wrong: the vCPU stops, RS_RUN fails */
};

/* hypercall.c, cpuid.c, msr.c: exit handlers, context I */
enum rs_next rs_hypercall(struct rs_vcpu *vcpu);
enum rs_next rs_emulate_cpuid(struct rs_vcpu *vcpu);
enum rs_next rs_emulate_rdmsr(struct rs_vcpu *vcpu);
enum rs_next rs_emulate_wrmsr(struct rs_vcpu *vcpu);

/*
 * net/: the vCPU's side of the NIC. The doorbell: any context, interrupts off included; RAX.
 * The others: preemptible; -EINTR: a signal is pending and nothing has happened.
 */
u64 rs_nic_doorbell(struct rs_vcpu *vcpu, u64 n);
/* RS_HC_NIC_READ and _WRITE, in vcpu->regs; 0 */
int rs_nic_hypercall(struct rs_vcpu *vcpu);
/**
 * struct rs_mmio - an access to a region without memory
 * @state: rsp, rip, cr3 and the bases are the vCPU's
 * @len: of the instruction that was finished; 0: it could not be, and is to be #GP(0)
 */
struct rs_mmio {
	struct rs_vcpu_state state;
	u8 len;
};
/* The fault in vcpu->exit: 0; -ENODEV: it is not the NIC's, or not one that the guest can be told of */
int rs_nic_mmio(struct rs_vcpu *vcpu, struct rs_mmio *m);

/* cpuid.c: bits that RS_SET_STATE accepts, and what struct rs_info tells */
u64 rs_cr4_allowed(void);
u64 rs_efer_allowed(void);
u32 rs_features(void);
u64 rs_xcr0(void);

u64 rs_vcpu_exits(const struct rs_vcpu *vcpu);	/* their sum so far; any thread */

/*
 * vcpu.c: deliver an event at the next entry; context L or I. A fault makes the guest forget an
 * event that was to be delivered again.
 */
void rs_inject(struct rs_vcpu *vcpu, const struct rs_event *ev);
void rs_inject_fault(struct rs_vcpu *vcpu, u8 vector);	/* #UD, #DB, vector 20: no error code */
void rs_inject_gp(struct rs_vcpu *vcpu);		/* #GP(0) */

#endif /* RS_VCPU_H */
