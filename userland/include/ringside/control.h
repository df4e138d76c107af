/* SPDX-License-Identifier: MIT */
/*
 * control.h - libringside: watch and control VMs of the module, one's own and others'
 *
 *	struct rs_control *c;
 *	struct rs_vm_info *vms;
 *	size_t n;
 *
 *	if (rs_control_open(&c))		there is no module here
 *	if (rs_control_vms(c, &vms, &n))	rs_control_error(c) says why
 *	...
 *	free(vms);
 *	rs_control_close(c);
 *
 * What one sees are the VMs of the network namespace one is in; what one may change are one's own, and
 * others' with CAP_SYS_ADMIN. The rules are in uapi/ringside_netlink.h, which this speaks.
 *
 * All functions that return int return 0, or -errno with words in rs_control_error(). A struct
 * rs_control is used by one thread at a time. Lists that are handed out are the caller's, one free()
 * each. Times are nanoseconds, sizes bytes, counters exact. Text that comes from programs (comm, name)
 * may hold any byte but 0.
 */
#ifndef RINGSIDE_CONTROL_H
#define RINGSIDE_CONTROL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct rs_control;

int rs_control_open(struct rs_control **c);
void rs_control_close(struct rs_control *c);

/** rs_control_error() - why the last call on @c failed; @c NULL: why rs_control_open() did */
const char *rs_control_error(const struct rs_control *c);

enum rs_vm_info_state { RS_VM_RUNNING, RS_VM_PAUSED, RS_VM_ENDED };

/**
 * struct rs_vm_info - one VM
 * @id:      its number; not given again soon
 * @state:   enum rs_vm_info_state; ended: from outside or by a limit, and its process still has it open
 * @pid:     the process that made it, 0 when it is not of this pid namespace
 * @comm, @name: that process's name, empty when it is gone; the program's, empty when none was given
 * @netns:   cookie of its network namespace
 * @age:     since it was made
 * @guest .. @paused: how many of @vcpus are in the guest, do something in the host, sleep, wait for the
 *	     end of a pause
 * @memory:  of all its regions; @mapped_4k, @mapped_2m nested entries by size; @tables pages of nested
 *	     tables
 * @cpu_time, @exits: used so far; @limit_cpu_time, @limit_exits, @limit_vcpus: 0 without limit
 */
struct rs_vm_info {
	uint32_t id, state;
	uint32_t pid, uid;
	char comm[16], name[64];
	uint64_t netns, age;
	uint32_t vcpus, guest, host, idle, paused;
	uint32_t nics;
	uint64_t memory, mapped_4k, mapped_2m, tables;
	uint64_t cpu_time, exits;
	uint64_t limit_cpu_time, limit_exits;
	uint32_t limit_vcpus;
};

/** rs_control_vms() - all VMs that are seen, by number */
int rs_control_vms(struct rs_control *c, struct rs_vm_info **vms, size_t *n);
/** rs_control_vm() - VM @id. -ENOENT */
int rs_control_vm(struct rs_control *c, uint32_t id, struct rs_vm_info *vm);

enum rs_vcpu_info_state { RS_VCPU_NEVER_RAN, RS_VCPU_GUEST, RS_VCPU_HOST, RS_VCPU_IDLE, RS_VCPU_PAUSED };

/**
 * struct rs_vcpu_info - one vCPU
 * @tid: the thread that ran it last, @cpu: where; 0 and -1 before the first time
 */
struct rs_vcpu_info {
	uint32_t vm, id;
	uint32_t state;			/* enum rs_vcpu_info_state */
	uint32_t tid;
	int32_t cpu;
	uint64_t cpu_time;
};

/** rs_control_vcpus() - of VM @id, 0: of all */
int rs_control_vcpus(struct rs_control *c, uint32_t id, struct rs_vcpu_info **vcpus, size_t *n);

#define RS_COUNTERS		28

/** rs_counter_names - of the counters, as struct rs_stats of uapi/ringside.h has them */
extern const char *const rs_counter_names[RS_COUNTERS];

/** rs_counter_index() - which counter has this name; -1: none */
int rs_counter_index(const char *name);

/** struct rs_counters - of a whole VM (@vcpu -1), or of one of its vCPUs */
struct rs_counters {
	uint32_t vm;
	int32_t vcpu;
	uint64_t cpu_time;
	uint64_t value[RS_COUNTERS];
};

/** rs_control_stats() - of VM @id, 0: of all. Each VM comes before its vCPUs */
int rs_control_stats(struct rs_control *c, uint32_t id, struct rs_counters **list, size_t *n);

/*
 * Pause: when it returns no vCPU is in the guest, nor will be before the resume. End: never again; the
 * host process is told. Kick: @vcpu -1 for all. -ENOENT, -EPERM; -ESHUTDOWN: the VM has ended.
 */
int rs_control_pause(struct rs_control *c, uint32_t id);
int rs_control_resume(struct rs_control *c, uint32_t id);
int rs_control_end(struct rs_control *c, uint32_t id);
int rs_control_kick(struct rs_control *c, uint32_t id, int vcpu);

/** struct rs_vm_limits - what of it is set: the bits of @set; 0 takes a limit away */
enum { RS_SET_CPU_TIME = 1, RS_SET_EXITS = 2, RS_SET_VCPUS = 4 };
struct rs_vm_limits {
	unsigned int set;
	uint64_t cpu_time, exits;
	uint32_t vcpus;
};

/** rs_control_limit() - a VM that reaches a limit ends. Those not in @limits->set stay. -ERANGE */
int rs_control_limit(struct rs_control *c, uint32_t id, const struct rs_vm_limits *limits);

enum rs_vm_event_kind {
	RS_VM_EVENT_CREATED = 1,
	RS_VM_EVENT_ENDED,
	RS_VM_EVENT_FAULT,
	RS_VM_EVENT_LIMIT,
	RS_VM_EVENT_DROPPED,	/* @count events before this moment were lost: we were too slow */
};

/**
 * struct rs_vm_event - something happened to VM @vm
 * @seq:    number of the event in this network namespace; they are told in order
 * @time:   CLOCK_REALTIME
 * @reason: ended, limit: enum rs_end_reason; fault: enum rs_exit_reason (uapi/ringside.h)
 * @limit:  limit: which was reached, ns of CPU time, exits or vCPUs
 * @age, @cpu_time, @exits: ended
 * @vcpu .. @hw: fault; what is not of its kind is 0
 */
struct rs_vm_event {
	enum rs_vm_event_kind kind;
	uint64_t count;
	uint64_t seq, time;
	uint32_t vm, pid, uid;
	char name[64];
	uint32_t reason;
	uint64_t limit, age, cpu_time, exits;
	uint32_t vcpu, cpl, access;
	int32_t error;		/* -errno */
	uint64_t rip, gpa, gva, hw[3];
};

/**
 * rs_control_listen() - from now on events are kept for rs_control_event(); @buffer: bytes of the
 * socket's buffer, 0 for the system's default
 */
int rs_control_listen(struct rs_control *c, int buffer);

/**
 * rs_control_event() - the next event. @timeout_ms: -1 waits. -ETIMEDOUT; -EINTR: a signal came
 * Exactly the events that happened since rs_control_listen() are told, or counted in RS_VM_EVENT_DROPPED
 * in the place where they are missing.
 */
int rs_control_event(struct rs_control *c, struct rs_vm_event *event, int timeout_ms);

#ifdef __cplusplus
}
#endif

#endif /* RINGSIDE_CONTROL_H */
