/* SPDX-License-Identifier: MIT */
/*
 * testvm.h - a VM with the test payload loaded, and its vCPUs
 *
 * The functions leave the test (ASSERT) when something fails that the caller did not ask about;
 * those with _raw in the name return what the kernel said.
 */
#ifndef SELFTESTS_TESTVM_H
#define SELFTESTS_TESTVM_H

#include <stddef.h>
#include <sys/ioctl.h>
#include "guest.h"
#include "harness.h"
#include "ringside.h"
#include "ringside_guest.h"

#define PAGE	4096ul
#define HUGE	(2ul << 20)

struct tvm {
	int dev, fd;
	struct rs_info info;
	uint8_t *mem;		/* HVA of GPA 0, G_ARENA bytes, 2 MiB aligned */
};

struct tcpu {
	struct tvm *vm;
	int fd;
	unsigned int id;
	struct rs_run *run;
	volatile struct g_args *args;
};

/* The device; the test is skipped where it does not exist. */
int dev_open(void);

/* Memory of @size at a 2 MiB boundary, fresh. */
void *map_aligned(size_t size);

/* A VM with arena, tables and payload in place. @flags: RS_VM_* */
struct tvm *tvm_new(uint32_t flags);
/* The parts: a VM without memory, one made as asked; @mem of G_ARENA bytes filled and made the region at GPA 0. */
struct tvm *tvm_bare(uint32_t flags);
struct tvm *tvm_of(const struct rs_vm_config *cfg);
void tvm_load(struct tvm *vm, void *mem);
/* Tables and payload as they were at first, whatever the guest has done to its memory. */
void tvm_refill(struct tvm *vm);
void tvm_close(struct tvm *vm);
int tvm_region_raw(struct tvm *vm, uint64_t gpa, uint64_t size, const void *hva, uint32_t flags);
int tvm_unregion_raw(struct tvm *vm, uint64_t gpa, uint64_t size);
struct rs_stats tvm_stats(struct tvm *vm);

/* The guest's page-table entry of a GVA below G_ARENA. */
volatile uint64_t *tvm_pte(struct tvm *vm, uint64_t gva);
/* A u64 of guest memory, from the host's side. */
static inline volatile uint64_t *tvm_at(struct tvm *vm, uint64_t gpa)
{
	return (volatile uint64_t *)(vm->mem + gpa);
}

struct tcpu *tcpu_new(struct tvm *vm, unsigned int id);
void tcpu_close(struct tcpu *c);
struct rs_stats tcpu_stats(struct tcpu *c);

/* Registers with which the payload starts on this vCPU. */
void tcpu_state(struct tcpu *c, struct rs_vcpu_state *st);
/* Make the payload ready to do @fn; up to six arguments follow, see the macro. */
void tcpu_start_args(struct tcpu *c, enum g_fn fn, const uint64_t *a);
#define tcpu_start(c, fn, ...)	tcpu_start_args(c, fn, (const uint64_t[6]){ __VA_ARGS__ })

/*
 * RS_RUN until it returns 0, over EINTR (but not for a signal for which a handler has set
 * tcpu_stop). The exit reason; -1 with errno when it fails.
 */
int tcpu_run_raw(struct tcpu *c);
extern volatile int tcpu_stop;
/* The same, and nothing but @reason is expected; a payload's panic is explained. */
void tcpu_run_to(struct tcpu *c, int reason);
/* Until GHC_DONE. Returns args->ret. */
uint64_t tcpu_finish(struct tcpu *c);
#define tcpu_call(c, fn, ...) ({								\
	struct tcpu *c_ = (c);								\
	tcpu_start(c_, fn, ##__VA_ARGS__);						\
	tcpu_finish(c_);								\
})
/* Until GHC_SYNC; the answer is what the next run returns to the guest. */
void tcpu_to_sync(struct tcpu *c);

/* tcpu_finish() in a thread of its own. */
struct runner;
struct runner *runner_start(struct tcpu *c);
uint64_t runner_join(struct runner *r);
/* The thread as the kernel knows it, for signals. */
int runner_tid(struct runner *r);

/* Wait until the counter in guest memory has moved by @n. Fails the test after 30 s. */
void await_progress(struct tvm *vm, uint64_t gpa, uint64_t n);
/*
 * The CPUs that this program may use, as it was started, are 0 to ncpus() - 1 here. Linux's numbers
 * may be others: cpu_number() says which.
 */
int ncpus(void);
int cpu_number(int cpu);
/*
 * Is this machine QEMU without hardware under it? Some of its instructions are not as the manuals
 * have them.
 */
bool on_tcg(void);
void pin_to(int cpu);	/* the calling thread */
void pin_thread(int tid, int cpu);

#endif /* SELFTESTS_TESTVM_H */
