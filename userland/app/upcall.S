/* SPDX-License-Identifier: MIT */
/*
 * upcall.S - where traps arrive, and the way back
 *
 * In: rsp = struct rs_trap_frame, aligned to 64. All other registers are those of the interrupted code,
 * and the frame has them, so all may be used. rbx leads to the frame from here to the end: functions
 * preserve it. rbp is left as it is, so that frame pointers lead on to the interrupted code.
 *
 * Vector and x87 registers are the interrupted code's too. A C function may use them, so they are saved
 * below the frame, in one XSAVE area of standard format (its header has to be zero before: XSAVE
 * writes only the bits that are its own), and the function finds the state a function expects. Handlers that
 * promise to use none of them (RS_TRAP_GENERAL_REGS) are spared all that.
 *
 * A frame may also be one that rs_trap_call() has written to the interrupted stack itself, with a
 * function to call before that code goes on. It is entered behind the look at the table, with the
 * registers that this code would have there: rbx and rdi the frame, r12 the function.
 *
 * The handler is taken from the table once: it may be changed by another thread at any moment, and
 * a vector that has lost it is declined.
 *
 * Back: IRETQ would take rip, rflags and rsp from the frame at once, but is slow in hardware and a trap to the guest kernel in some
 * emulators. So rip goes to the scratch word that the guest kernel keeps free for it, below the red zone of the interrupted stack; after the
 * general registers and the flags comes rsp, which then points at that word, and a RET that takes the word and the red zone off. A signal or
 * trap between any two of these finds a stack in order: what is still needed is at rsp or above.
 *
 * IRETQ it is when that would not do: with the trap flag, which would stop between POPF and RET; with alignment checks; for another code
 * segment; and when the interrupted stack cannot be written. The last shows by a page fault at that one store, which comes here like any
 * other; so the kernel is told that page faults are taken whatever the program says (trap.c), and the address must be one that can only
 * give a page fault.
 */
#include <ringside_app.h>
#include "internal.h"

#define XSAVE_HEADER	512
#define RED_ZONE	128
#define FLAGS_TF_AC	0x40100
#define CS_64		0x33

	.macro	POP_REGS
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	pop	%r11
	pop	%r10
	pop	%r9
	pop	%r8
	pop	%rax
	pop	%rcx
	pop	%rdx
	pop	%rsi
	pop	%rdi
	.endm

	/* The body, by the instructions that save and restore. The header of XSAVE's area lies behind 512 bytes. */
	.macro	UPCALL name, save, restore, header
	.globl	\name
	.hidden	\name
	.type	\name, @function
	.balign	64
\name:
	lea	.Lstore_\name(%rip), %rcx
	cmp	%rcx, TF_RIP(%rsp)
	je	no_scratch
	mov	%rsp, %rbx
	mov	TF_VECTOR(%rsp), %eax
	shl	$HANDLER_SHIFT, %eax
	lea	rs_app_handlers(%rip), %rcx
	mov	(%rcx, %rax), %r12
	mov	8(%rcx, %rax), %r13d
	/* functions may be called where rsp is a multiple of 16 */
	mov	%rbx, %rdi
	test	%r12, %r12
	jz	decline
	test	%r13d, %r13d
	jnz	.Lgeneral_\name

	.globl	\name\()_call
	.hidden	\name\()_call
\name\()_call:
	sub	rs_app_xsave_size(%rip), %rsp
	.if	\header
	xor	%ecx, %ecx
	.set	i, 0
	.rept	8
	mov	%rcx, XSAVE_HEADER + i(%rsp)
	.set	i, i + 8
	.endr
	mov	$-1, %eax
	mov	$-1, %edx
	.endif
	\save	(%rsp)
	fninit
	ldmxcsr	default_mxcsr(%rip)
	call	*%r12
	mov	%eax, %ecx
	.if	\header
	mov	$-1, %eax
	mov	$-1, %edx
	.endif
	\restore (%rsp)
	mov	%rbx, %rsp
	test	%ecx, %ecx
	jnz	decline

.Lresume_\name:
	testl	$FLAGS_TF_AC, TF_RFLAGS(%rsp)
	jnz	resume_iret
	cmpq	$CS_64, TF_CS(%rsp)
	jne	resume_iret
	mov	TF_RSP(%rsp), %rax
	sub	$RED_ZONE + 8, %rax
	mov	%rax, %rcx
	shr	$47, %rcx
	jnz	resume_iret
	mov	TF_RIP(%rsp), %rcx
.Lstore_\name:
	mov	%rcx, (%rax)
	mov	%rax, TF_RSP(%rsp)
	add	$TF_REGS, %rsp
	POP_REGS
	add	$TF_RFLAGS - TF_VECTOR, %rsp
	popfq
	pop	%rsp
	ret	$RED_ZONE

.Lgeneral_\name:
	call	*%r12
	test	%eax, %eax
	jz	.Lresume_\name
	jmp	decline
	.size	\name, . - \name
	.endm

	.text
	.globl	rs_app_upcall_text
	.hidden	rs_app_upcall_text
rs_app_upcall_text:
	UPCALL	rs_app_upcall, xsave64, xrstor64, 1
	UPCALL	rs_app_upcall_fxsave, fxsave64, fxrstor64, 0

	/* rbx of the code that trapped there is the frame it was about to leave */
no_scratch:
	mov	TF_RBX(%rsp), %rsp
resume_iret:
	add	$TF_REGS, %rsp
	POP_REGS
	add	$TF_RIP - TF_VECTOR, %rsp
	iretq
	/*
	 * RS_SYS_TRAP_SIGNAL(frame): a frame that is not good for it is not good for anything. Of
	 * an alarm that nobody wants there is nothing to tell.
	 */
decline:
	mov	%rbx, %rsp
	cmpl	$RS_VECTOR_ALARM, TF_VECTOR(%rbx)
	je	resume_iret
	mov	%rbx, %rdi
	mov	$RS_SYS_TRAP_SIGNAL, %eax
	syscall
	ud2
	.globl	rs_app_upcall_text_end
	.hidden	rs_app_upcall_text_end
rs_app_upcall_text_end:

	.section .rodata
	.balign	4
default_mxcsr:
	.long	0x1f80

	.section .note.GNU-stack, "", @progbits
