/* SPDX-License-Identifier: MIT */
/*
 * engine.h - the contract between libringside and what gives it a guest ring
 *
 * An engine makes a VM, gives it memory out of this process's address space, makes vCPUs and runs
 * them. Everything above this header (loader, run loop, forwarding) is the same for every engine;
 * engine_device.c, the one for /dev/ringside, is the only file that knows the device. The
 * vocabulary (struct rs_info, rs_vcpu_state, rs_run, rs_stats) is that of uapi/ringside.h.
 *
 * Order: open, create_vm, add_region..., create_vcpu, set_state, run..., close. close() accepts an
 * engine at any point of that order. All functions return 0 or -errno. Those that set up also leave
 * words for the user in @why (RS_WHY bytes) when they fail; @why is never NULL.
 *
 * run() is on the hot path: the guest's vector registers are in the thread's registers when it
 * returns and when it is called, so it must not touch x87, SSE or AVX state and must not call libc.
 * run() and kick() are async-signal-safe.
 */
#ifndef RS_ENGINE_H
#define RS_ENGINE_H

#include <stdint.h>
#include "ringside.h"

#define RS_WHY	512

struct rs_engine;

/**
 * struct rs_engine_vcpu - one vCPU, owned by the engine until close()
 * @run:    page shared with the vCPU; the meaning is uapi/ringside.h's
 * @handle: of the engine
 */
struct rs_engine_vcpu {
	struct rs_engine *engine;
	struct rs_run *run;
	long handle;
};

struct rs_engine_ops {
	const char *name;
	int (*open)(struct rs_engine *e, char *why);
	int (*create_vm)(struct rs_engine *e, uint32_t vm_flags, char *why);
	int (*add_region)(struct rs_engine *e, uint64_t gpa, uint64_t size, uint64_t hva,
			  uint32_t flags, char *why);
	int (*create_vcpu)(struct rs_engine *e, uint32_t id, struct rs_engine_vcpu *vcpu,
			   char *why);
	int (*set_state)(struct rs_engine_vcpu *vcpu, const struct rs_vcpu_state *state);
	/* The guest's registers, for reports. -EBUSY while it runs. */
	int (*get_state)(struct rs_engine_vcpu *vcpu, struct rs_vcpu_state *state);
	/* Returns 0 with vcpu->run->exit_reason set, or -errno; -EINTR also without a signal. */
	int (*run)(struct rs_engine_vcpu *vcpu);
	int (*kick)(struct rs_engine_vcpu *vcpu);
	/* Of the whole VM. */
	int (*stats)(struct rs_engine *e, struct rs_stats *stats);
	void (*close)(struct rs_engine *e);
	/* The VM's descriptor, for IFLA_RINGSIDE_VM_FD. NULL: this engine's VMs have no NIC. */
	int (*vm_fd)(struct rs_engine *e);
};

/**
 * struct rs_engine - an engine in use
 * @ops:  how
 * @info: filled in by open()
 * @fds:  descriptors that are the engine's own; -1 where unused. The confinement keeps them and
 *        keeps the guest from them.
 * @requests: ioctl commands the engine needs after confinement, ended by 0
 * @name:     what the VM is called for who lists VMs; NULL: nothing. Before create_vm
 * @end_signal: sent to threads that ran a vCPU when somebody else ends the VM; run() then answers
 *	      RS_EXIT_ENDED. 0: none. Before create_vm
 */
struct rs_engine {
	const struct rs_engine_ops *ops;
	const char *name;
	int end_signal;
	struct rs_info info;
	int fds[2 + RS_MAX_VCPUS];
	uint32_t requests[8];
	struct rs_engine_vcpu *vcpus[RS_MAX_VCPUS];
};

extern const struct rs_engine_ops rs_engine_device;

/* What rs_run() uses: rs_engine_device, unless a test puts something else here first. */
extern const struct rs_engine_ops *rs_engine_default;

#endif /* RS_ENGINE_H */
