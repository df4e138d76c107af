/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * trace.h - tracepoints: what happens between host and guest, in
 * /sys/kernel/tracing/events/ringside
 *
 * A disabled tracepoint costs one no-op instruction. Names and fields are an interface: fields are
 * added behind the others, none is removed or gets another meaning. Every event says which VM (the N of
 * debugfs vmN) and, if it is about one, which vCPU; README.md has the table. Text is an array in the
 * event and enumerations are named with TRACE_DEFINE_ENUM, so that perf and trace-cmd, which have
 * nothing but the format file, print them as the kernel does.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM ringside

#if !defined(RS_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define RS_TRACE_H

#include <linux/tracepoint.h>
#include "vcpu.h"

TRACE_DEFINE_ENUM(RS_X_INTERRUPT);
TRACE_DEFINE_ENUM(RS_X_NMI);
TRACE_DEFINE_ENUM(RS_X_NPF);
TRACE_DEFINE_ENUM(RS_X_HYPERCALL);
TRACE_DEFINE_ENUM(RS_X_WINDOW);
TRACE_DEFINE_ENUM(RS_X_CPUID);
TRACE_DEFINE_ENUM(RS_X_RDMSR);
TRACE_DEFINE_ENUM(RS_X_WRMSR);
TRACE_DEFINE_ENUM(RS_X_IO);
TRACE_DEFINE_ENUM(RS_X_CR);
TRACE_DEFINE_ENUM(RS_X_DR);
TRACE_DEFINE_ENUM(RS_X_XSETBV);
TRACE_DEFINE_ENUM(RS_X_HLT);
TRACE_DEFINE_ENUM(RS_X_EXCEPTION);
TRACE_DEFINE_ENUM(RS_X_UD);
TRACE_DEFINE_ENUM(RS_X_SHUTDOWN);
TRACE_DEFINE_ENUM(RS_X_FAIL_ENTRY);
TRACE_DEFINE_ENUM(RS_X_UNKNOWN);

#define rs_trace_exit_names				\
	{ RS_X_INTERRUPT, "interrupt" },		\
	{ RS_X_NMI, "nmi" },				\
	{ RS_X_NPF, "nested fault" },			\
	{ RS_X_HYPERCALL, "hypercall" },		\
	{ RS_X_WINDOW, "interrupt window" },		\
	{ RS_X_CPUID, "cpuid" },			\
	{ RS_X_RDMSR, "rdmsr" },			\
	{ RS_X_WRMSR, "wrmsr" },			\
	{ RS_X_IO, "io" },				\
	{ RS_X_CR, "control register" },		\
	{ RS_X_DR, "debug register" },			\
	{ RS_X_XSETBV, "xsetbv" },			\
	{ RS_X_HLT, "hlt" },				\
	{ RS_X_EXCEPTION, "exception" },		\
	{ RS_X_UD, "refused instruction" },		\
	{ RS_X_SHUTDOWN, "triple fault" },		\
	{ RS_X_FAIL_ENTRY, "entry refused" },		\
	{ RS_X_UNKNOWN, "unknown" }

#define rs_trace_access_names				\
	{ RS_FAULT_READ, "read" },			\
	{ RS_FAULT_WRITE, "write" },			\
	{ RS_FAULT_FETCH, "fetch" },			\
	{ RS_FAULT_WALK, "walk" },			\
	{ RS_FAULT_NO_REGION, "no region" },		\
	{ RS_FAULT_DELIVERY, "delivery" }

#define rs_trace_vcpu_fields	__field(u32, vm) __field(u32, vcpu)
#define rs_trace_vcpu_assign(v)	do { __entry->vm = (v)->vm_id; __entry->vcpu = (v)->id; } while (0)

/* a VM of this process was made, or its last descriptor was closed: the last that is heard of it */
DECLARE_EVENT_CLASS(rs_vm,
	TP_PROTO(u32 vm),
	TP_ARGS(vm),
	TP_STRUCT__entry(
		__field(u32, vm)
	),
	TP_fast_assign(
		__entry->vm = vm;
	),
	TP_printk("vm %u", __entry->vm)
);
DEFINE_EVENT(rs_vm, rs_vm_created, TP_PROTO(u32 vm), TP_ARGS(vm));
DEFINE_EVENT(rs_vm, rs_vm_ended, TP_PROTO(u32 vm), TP_ARGS(vm));

/* the same of a vCPU */
DECLARE_EVENT_CLASS(rs_vcpu,
	TP_PROTO(const struct rs_vcpu *vcpu),
	TP_ARGS(vcpu),
	TP_STRUCT__entry(
		rs_trace_vcpu_fields
	),
	TP_fast_assign(
		rs_trace_vcpu_assign(vcpu);
	),
	TP_printk("vm %u vcpu %u", __entry->vm, __entry->vcpu)
);
DEFINE_EVENT(rs_vcpu, rs_vcpu_created, TP_PROTO(const struct rs_vcpu *vcpu), TP_ARGS(vcpu));
DEFINE_EVENT(rs_vcpu, rs_vcpu_ended, TP_PROTO(const struct rs_vcpu *vcpu), TP_ARGS(vcpu));
/* translations of the vCPU were flushed, on the CPU it is about to enter the guest on */
DEFINE_EVENT(rs_vcpu, rs_flush, TP_PROTO(const struct rs_vcpu *vcpu), TP_ARGS(vcpu));

/* the vCPU is about to enter the guest at @rip on this CPU */
TRACE_EVENT(rs_enter,
	TP_PROTO(const struct rs_vcpu *vcpu, u64 rip),
	TP_ARGS(vcpu, rip),
	TP_STRUCT__entry(
		rs_trace_vcpu_fields
		__field(u64, rip)
	),
	TP_fast_assign(
		rs_trace_vcpu_assign(vcpu);
		__entry->rip = rip;
	),
	TP_printk("vm %u vcpu %u rip 0x%llx", __entry->vm, __entry->vcpu, __entry->rip)
);

/* it came back; @rip is where the guest is, the instruction not yet stepped over */
TRACE_EVENT(rs_exit,
	TP_PROTO(const struct rs_vcpu *vcpu, u64 rip),
	TP_ARGS(vcpu, rip),
	TP_STRUCT__entry(
		rs_trace_vcpu_fields
		__field(u32, kind)
		__field(u8, cpl)
		__field(bool, delivering)
		__field(u64, rip)
	),
	TP_fast_assign(
		rs_trace_vcpu_assign(vcpu);
		__entry->kind = vcpu->exit.kind;
		__entry->cpl = vcpu->exit.cpl;
		__entry->delivering = vcpu->exit.delivering;
		__entry->rip = rip;
	),
	TP_printk("vm %u vcpu %u %s rip 0x%llx ring %u%s", __entry->vm, __entry->vcpu,
		  __print_symbolic(__entry->kind, rs_trace_exit_names), __entry->rip, __entry->cpl,
		  __entry->delivering ? " while delivering an event" : "")
);

/*
 * a nested fault was dealt with: @level 0 when nothing had to be mapped, else the level of the new
 * entry; @error and @what when it failed
 */
TRACE_EVENT(rs_nested_fault,
	TP_PROTO(const struct rs_vcpu *vcpu, u64 gpa, u32 access, u64 hva, int level, int error,
		 const char *what),
	TP_ARGS(vcpu, gpa, access, hva, level, error, what),
	TP_STRUCT__entry(
		rs_trace_vcpu_fields
		__field(u32, access)
		__field(u64, gpa)
		__field(u64, hva)
		__field(int, level)
		__field(int, error)
		__array(char, what, 48)
	),
	TP_fast_assign(
		rs_trace_vcpu_assign(vcpu);
		__entry->access = access;
		__entry->gpa = gpa;
		__entry->hva = hva;
		__entry->level = level;
		__entry->error = error;
		memset(__entry->what, 0, sizeof(__entry->what));
		strscpy(__entry->what, what ? what : "ok", sizeof(__entry->what));
	),
	TP_printk("vm %u vcpu %u gpa 0x%llx %s hva 0x%llx level %d error %d: %s",
		  __entry->vm, __entry->vcpu, __entry->gpa,
		  __print_flags(__entry->access, "|", rs_trace_access_names), __entry->hva,
		  __entry->level, __entry->error, __entry->what)
);

/*
 * Linux changes [start, end) of the process's addresses, and the guest has memory there; @zapped
 * nested entries were removed, @flush says whether CPUs had to be told
 */
TRACE_EVENT(rs_invalidate,
	TP_PROTO(u32 vm, u64 start, u64 end, u64 zapped, bool flush),
	TP_ARGS(vm, start, end, zapped, flush),
	TP_STRUCT__entry(
		__field(u32, vm)
		__field(u64, start)
		__field(u64, end)
		__field(u64, zapped)
		__field(bool, flush)
	),
	TP_fast_assign(
		__entry->vm = vm;
		__entry->start = start;
		__entry->end = end;
		__entry->zapped = zapped;
		__entry->flush = flush;
	),
	TP_printk("vm %u hva 0x%llx-0x%llx zapped %llu%s", __entry->vm, __entry->start,
		  __entry->end, __entry->zapped, __entry->flush ? " flush" : "")
);

/* @cpus CPUs were sent an interrupt, because vCPUs of the VM were in the guest there, for a flush */
TRACE_EVENT(rs_kick_all,
	TP_PROTO(u32 vm, u32 cpus),
	TP_ARGS(vm, cpus),
	TP_STRUCT__entry(
		__field(u32, vm)
		__field(u32, cpus)
	),
	TP_fast_assign(
		__entry->vm = vm;
		__entry->cpus = cpus;
	),
	TP_printk("vm %u cpus %u", __entry->vm, __entry->cpus)
);

/* RS_KICK; @sent: the vCPU was in the guest, so its CPU @cpu was sent an interrupt */
TRACE_EVENT(rs_kick,
	TP_PROTO(const struct rs_vcpu *vcpu, int cpu, bool sent),
	TP_ARGS(vcpu, cpu, sent),
	TP_STRUCT__entry(
		rs_trace_vcpu_fields
		__field(int, cpu)
		__field(bool, sent)
	),
	TP_fast_assign(
		rs_trace_vcpu_assign(vcpu);
		__entry->cpu = cpu;
		__entry->sent = sent;
	),
	TP_printk("vm %u vcpu %u cpu %d%s", __entry->vm, __entry->vcpu, __entry->cpu,
		  __entry->sent ? " interrupt" : "")
);

/* a hypercall @nr of ring @cpl with its arguments, before it is answered or passed on */
TRACE_EVENT(rs_hypercall,
	TP_PROTO(const struct rs_vcpu *vcpu, u64 nr),
	TP_ARGS(vcpu, nr),
	TP_STRUCT__entry(
		rs_trace_vcpu_fields
		__field(u8, cpl)
		__field(u64, nr)
		__field(u64, a0)
		__field(u64, a1)
		__field(u64, a2)
		__field(u64, a3)
	),
	TP_fast_assign(
		rs_trace_vcpu_assign(vcpu);
		__entry->cpl = vcpu->exit.cpl;
		__entry->nr = nr;
		__entry->a0 = vcpu->regs.rdi;
		__entry->a1 = vcpu->regs.rsi;
		__entry->a2 = vcpu->regs.rdx;
		__entry->a3 = vcpu->regs.r10;
	),
	TP_printk("vm %u vcpu %u ring %u nr 0x%llx (0x%llx, 0x%llx, 0x%llx, 0x%llx)", __entry->vm,
		  __entry->vcpu, __entry->cpl, __entry->nr, __entry->a0, __entry->a1, __entry->a2,
		  __entry->a3)
);

/* an exception or interrupt will be delivered to the guest with the next entry */
TRACE_EVENT(rs_inject,
	TP_PROTO(const struct rs_vcpu *vcpu, const struct rs_event *ev),
	TP_ARGS(vcpu, ev),
	TP_STRUCT__entry(
		rs_trace_vcpu_fields
		__field(u32, error)
		__field(u8, vector)
		__field(bool, interrupt)
		__field(bool, has_error)
	),
	TP_fast_assign(
		rs_trace_vcpu_assign(vcpu);
		__entry->vector = ev->vector;
		__entry->interrupt = ev->interrupt;
		__entry->has_error = ev->has_error;
		__entry->error = ev->has_error ? ev->error : 0;
	),
	TP_printk("vm %u vcpu %u %s %u%s 0x%x", __entry->vm, __entry->vcpu,
		  __entry->interrupt ? "interrupt" : "exception", __entry->vector,
		  __entry->has_error ? " error" : " no error", __entry->error)
);

/* NIC @nic of the VM: */
DECLARE_EVENT_CLASS(rs_nic,
	TP_PROTO(u32 vm, u32 nic),
	TP_ARGS(vm, nic),
	TP_STRUCT__entry(
		__field(u32, vm)
		__field(u32, nic)
	),
	TP_fast_assign(
		__entry->vm = vm;
		__entry->nic = nic;
	),
	TP_printk("vm %u nic %u", __entry->vm, __entry->nic)
);
/* the guest has rung the doorbell */
DEFINE_EVENT(rs_nic, rs_nic_doorbell, TP_PROTO(u32 vm, u32 nic), TP_ARGS(vm, nic));
/* the guest is interrupted */
DEFINE_EVENT(rs_nic, rs_nic_interrupt, TP_PROTO(u32 vm, u32 nic), TP_ARGS(vm, nic));
/* its worker begins to poll, and wants no doorbells; it has found nothing for a while, and wants them */
DEFINE_EVENT(rs_nic, rs_nic_awake, TP_PROTO(u32 vm, u32 nic), TP_ARGS(vm, nic));
DEFINE_EVENT(rs_nic, rs_nic_asleep, TP_PROTO(u32 vm, u32 nic), TP_ARGS(vm, nic));

#endif /* RS_TRACE_H */

/* Found through -I module/ (Kbuild). */
#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
