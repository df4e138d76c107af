/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * trace.h - tracepoints: what happens between host and guest, in
 * /sys/kernel/tracing/events/ringside
 *
 * A disabled tracepoint costs one no-op instruction. Strings are constants of the module.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM ringside

#if !defined(RS_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define RS_TRACE_H

#include <linux/tracepoint.h>
#include "backend.h"

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

/* vCPU @vcpu is about to enter the guest at @rip on this CPU */
TRACE_EVENT(rs_enter,
	TP_PROTO(u32 vcpu, u64 rip),
	TP_ARGS(vcpu, rip),
	TP_STRUCT__entry(
		__field(u32, vcpu)
		__field(u64, rip)
	),
	TP_fast_assign(
		__entry->vcpu = vcpu;
		__entry->rip = rip;
	),
	TP_printk("vcpu %u rip 0x%llx", __entry->vcpu, __entry->rip)
);

/* it came back; @rip is where the guest is, the instruction not yet stepped over */
TRACE_EVENT(rs_exit,
	TP_PROTO(u32 vcpu, u64 rip, const struct rs_exit *x),
	TP_ARGS(vcpu, rip, x),
	TP_STRUCT__entry(
		__field(u32, vcpu)
		__field(u32, kind)
		__field(u8, cpl)
		__field(bool, delivering)
		__field(u64, rip)
	),
	TP_fast_assign(
		__entry->vcpu = vcpu;
		__entry->kind = x->kind;
		__entry->cpl = x->cpl;
		__entry->delivering = x->delivering;
		__entry->rip = rip;
	),
	TP_printk("vcpu %u %s rip 0x%llx ring %u%s", __entry->vcpu,
		  __print_symbolic(__entry->kind, rs_trace_exit_names), __entry->rip, __entry->cpl,
		  __entry->delivering ? " while delivering an event" : "")
);

/*
 * a nested fault was dealt with: @level 0 when nothing had to be mapped, else the level of the new
 * entry; @error and @what when it failed
 */
TRACE_EVENT(rs_nested_fault,
	TP_PROTO(u32 vcpu, u64 gpa, u32 access, u64 hva, int level, int error, const char *what),
	TP_ARGS(vcpu, gpa, access, hva, level, error, what),
	TP_STRUCT__entry(
		__field(u32, vcpu)
		__field(u32, access)
		__field(u64, gpa)
		__field(u64, hva)
		__field(int, level)
		__field(int, error)
		__field(const char *, what)
	),
	TP_fast_assign(
		__entry->vcpu = vcpu;
		__entry->access = access;
		__entry->gpa = gpa;
		__entry->hva = hva;
		__entry->level = level;
		__entry->error = error;
		__entry->what = what ? what : "ok";
	),
	TP_printk("vcpu %u gpa 0x%llx %s hva 0x%llx level %d error %d: %s",
		  __entry->vcpu, __entry->gpa,
		  __print_flags(__entry->access, "|", rs_trace_access_names), __entry->hva,
		  __entry->level, __entry->error, __entry->what)
);

/*
 * Linux changes [start, end) of the process's addresses; @zapped nested entries were removed,
 * @flush says whether CPUs had to be told
 */
TRACE_EVENT(rs_invalidate,
	TP_PROTO(u64 start, u64 end, u64 zapped, bool flush),
	TP_ARGS(start, end, zapped, flush),
	TP_STRUCT__entry(
		__field(u64, start)
		__field(u64, end)
		__field(u64, zapped)
		__field(bool, flush)
	),
	TP_fast_assign(
		__entry->start = start;
		__entry->end = end;
		__entry->zapped = zapped;
		__entry->flush = flush;
	),
	TP_printk("hva 0x%llx-0x%llx zapped %llu%s", __entry->start, __entry->end,
		  __entry->zapped, __entry->flush ? " flush" : "")
);

TRACE_EVENT(rs_hypercall,
	TP_PROTO(u32 vcpu, u8 cpl, u64 nr, u64 a0, u64 a1, u64 a2, u64 a3),
	TP_ARGS(vcpu, cpl, nr, a0, a1, a2, a3),
	TP_STRUCT__entry(
		__field(u32, vcpu)
		__field(u8, cpl)
		__field(u64, nr)
		__field(u64, a0)
		__field(u64, a1)
		__field(u64, a2)
		__field(u64, a3)
	),
	TP_fast_assign(
		__entry->vcpu = vcpu;
		__entry->cpl = cpl;
		__entry->nr = nr;
		__entry->a0 = a0;
		__entry->a1 = a1;
		__entry->a2 = a2;
		__entry->a3 = a3;
	),
	TP_printk("vcpu %u ring %u nr 0x%llx (0x%llx, 0x%llx, 0x%llx, 0x%llx)",
		  __entry->vcpu, __entry->cpl, __entry->nr, __entry->a0, __entry->a1,
		  __entry->a2, __entry->a3)
);

TRACE_EVENT(rs_inject,
	TP_PROTO(u32 vcpu, const struct rs_event *ev),
	TP_ARGS(vcpu, ev),
	TP_STRUCT__entry(
		__field(u32, vcpu)
		__field(u32, error)
		__field(u8, vector)
		__field(bool, interrupt)
		__field(bool, has_error)
	),
	TP_fast_assign(
		__entry->vcpu = vcpu;
		__entry->vector = ev->vector;
		__entry->interrupt = ev->interrupt;
		__entry->has_error = ev->has_error;
		__entry->error = ev->has_error ? ev->error : 0;
	),
	TP_printk("vcpu %u %s %u%s 0x%x", __entry->vcpu,
		  __entry->interrupt ? "interrupt" : "exception", __entry->vector,
		  __entry->has_error ? " error" : " no error", __entry->error)
);

#endif /* RS_TRACE_H */

/* Found through -I module/ (Kbuild). */
#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
