/* SPDX-License-Identifier: MIT */
/*
 * The guest kernel's two images (userland/guest/events), as files inside this one. RS_GUEST_IMAGE and
 * RS_TRACED_IMAGE are their paths; the Makefile names them.
 */
	.section .rodata
	.balign	4096
	.globl	rs_guest_image_start
rs_guest_image_start:
	.incbin	RS_GUEST_IMAGE
	.globl	rs_guest_image_end
rs_guest_image_end:
	.balign	4096
	.globl	rs_traced_image_start
rs_traced_image_start:
	.incbin	RS_TRACED_IMAGE
	.globl	rs_traced_image_end
rs_traced_image_end:
	.section .note.GNU-stack, "", @progbits
