/* SPDX-License-Identifier: MIT */
/* payload.S - the guest's code as bytes in the test program */
	.section .rodata
	.globl	payload_start, payload_end
payload_start:
	.incbin	"guest.bin"
payload_end:
	.section .note.GNU-stack, "", @progbits
