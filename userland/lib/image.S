/* SPDX-License-Identifier: MIT */
/*
 * The guest kernel, as a file inside this one. RS_GUEST_IMAGE is its path; the Makefile names it.
 */
	.section .rodata
	.balign	4096
	.globl	rs_guest_image_start
rs_guest_image_start:
	.incbin	RS_GUEST_IMAGE
	.globl	rs_guest_image_end
rs_guest_image_end:
	.section .note.GNU-stack, "", @progbits
