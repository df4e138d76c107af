/* SPDX-License-Identifier: MIT */
/*
 * load.h - guest memory and what is in it before the first instruction. See load.c for the layout.
 */
#ifndef RS_LOAD_H
#define RS_LOAD_H

#include "sandbox.h"

/** struct rs_image - the guest kernel's ELF file */
struct rs_image {
	const void *data;
	size_t size;
};

/** The one built into this library. */
extern const char rs_guest_image_start[], rs_guest_image_end[];

/** struct rs_start - what the first process gets */
struct rs_start {
	const char *program;		/* absolute path */
	const char *const *argv;
	const char *const *envp;
	uint32_t boot_flags;		/* RS_BOOT_* */
	const uint64_t *trace_mask;	/* 8 words */
	int stdio[3];
	int cwd_fd;
	uint32_t pids;			/* rs_boot.max_pids */
	uint64_t trace_events;		/* rs_boot.trace_events; 0: no rings */
	uint32_t trace_depth;
	struct rs_boot_net net;		/* with RS_BOOT_NET_NIC */
};

/**
 * rs_memory_create() - reserve arena and file window in this process and fill in sb->mem
 * @memory is a multiple of 2 MiB. Returns 0, or -errno with words in @why. The memory lives as long
 * as the process.
 */
int rs_memory_create(struct rs_sandbox *sb, uint64_t memory, char *why);

/**
 * rs_vdso_find() - look for this process's vDSO and decide its GPA: sb->mem.vdso_*, vvar_size; 0
 * when there is none to offer
 */
void rs_vdso_find(struct rs_sandbox *sb);

/**
 * rs_load() - put the guest kernel, its boot page tables, boot page, stacks and arguments into the
 * arena, make the vCPUs' registers Wants sb->mem, sb->engine.info, sb->ncpus; fills in sb->boot,
 * sb->slots, sb->nslots, the shared page of each vCPU in @shared, and @states.
 */
int rs_load(struct rs_sandbox *sb, const struct rs_image *image, const struct rs_start *start,
	    struct rs_vcpu_shared *shared[], struct rs_vcpu_state states[], char *why);

#endif /* RS_LOAD_H */
