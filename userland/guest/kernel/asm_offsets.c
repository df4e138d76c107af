// SPDX-License-Identifier: MIT
/*
 * asm_offsets.c - numbers for entry.S
 *
 * Compiled to assembly only; the Makefile turns the marked lines into asm_offsets.h.
 */
#include "../arch/arch_asm.h"
#include "../arch/cpu.h"
#include "../host/host.h"
#include "../proc/proc.h"

#define DEFINE(name, value)	asm volatile("\n->" #name " %0" : : "i"((long)(value)))

void asm_offsets(void);
void asm_offsets(void)
{
	DEFINE(FRAME_SIZE, sizeof(struct rs_frame));
	DEFINE(FRAME_RBP, offsetof(struct rs_frame, rbp));
	DEFINE(FRAME_R11, offsetof(struct rs_frame, r11));
	DEFINE(FRAME_VECTOR, offsetof(struct rs_frame, vector));
	DEFINE(FRAME_RIP, offsetof(struct rs_frame, rip));
	DEFINE(FRAME_CS, offsetof(struct rs_frame, cs));
	DEFINE(FRAME_RFLAGS, offsetof(struct rs_frame, rflags));
	DEFINE(FRAME_RSP, offsetof(struct rs_frame, rsp));
	DEFINE(KSTACK_SIZE, KSTACK_SIZE);
	DEFINE(KSTACK_SHARED, offsetof(struct kstack, shared));
	DEFINE(KSTACK_THREAD, offsetof(struct kstack, thread));
	DEFINE(THREAD_PROC, offsetof(struct thread, proc));
	DEFINE(THREAD_UPCALL, offsetof(struct thread, upcall_stack.first));
	DEFINE(THREAD_WORK, offsetof(struct thread, work));
	DEFINE(CPU_SIZE, sizeof(struct cpu));
	DEFINE(CPU_KSTACK_TOP, offsetof(struct cpu, kstack_top));
	DEFINE(CPU_USER_RSP, offsetof(struct cpu, user_rsp));
	DEFINE(CPU_HAS_SMAP, offsetof(struct cpu_features, smap));
	DEFINE(SHARED_PENDING, offsetof(struct rs_vcpu_shared, pending));
	DEFINE(RS_NR_CPUS, RS_NR_CPUS);
	DEFINE(USER_CS, USER_CS);
	DEFINE(USER_SS, USER_SS);
	DEFINE(SHARED_SHORT, offsetof(struct rs_vcpu_shared, short_calls));
	DEFINE(RS_FIELD_CALLS, RS_FIELD_CALLS);
	DEFINE(RS_VECTOR_SYSCALL, RS_VECTOR_SYSCALL);
	DEFINE(RS_SYS_IPC_CALL, RS_SYS_IPC_CALL);
	DEFINE(RS_SYS_IPC_REPLY_WAIT, RS_SYS_IPC_REPLY_WAIT);
	DEFINE(SYSCALL_STUB_SIZE, SYSCALL_STUB_SIZE);
	DEFINE(TRAP_STUB_SIZE, TRAP_STUB_SIZE);
}
