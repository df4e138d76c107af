/* SPDX-License-Identifier: MIT */
/*
 * sandbox.h - the host process's side of one guest, shared by the files of libringside
 *
 * Ownership: one struct rs_sandbox per process, made by run.c, never freed before the process ends
 * (its end is the process's end).
 *
 * Who may use what, since guest vector registers live in the thread's registers between two
 * RS_RUNs:
 *	vcpu.c, forward.c, entry.S	the hot path: general registers only, no libc
 *	everything else			reached from there only through rs_slow(), which saves and
 *					restores the vector state around it
 *	signals.c			signal handlers: the kernel saves and restores the state
 *					around them
 */
#ifndef RS_SANDBOX_H
#define RS_SANDBOX_H

#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "engine.h"
#include "ringside_guest.h"
#include "table.h"

#include "ringside/ringside.h"

#define RS_PAGE		4096ull
#define RS_HUGE		(2ull << 20)
#define RS_GIANT	(1ull << 30)
#define RS_FD_LIMIT	65536		/* of the host process; the guest can own those below */
#define RS_IOV_MAX	1024
#define RS_POLL_MAX	1024
#define RS_CONTROL_MAX	4096
#define RS_BLOCK_MAX	65536		/* RS_A_BLKIN, RS_A_BLKOUTP */
#define RS_ADDR_MAX	128		/* RS_A_ADDR */
#define RS_PATH_MAX	4096
#define RS_SLOTS	4096		/* of RS_CALL_SUBMIT: calls that can sleep at once */

/** struct rs_mem - where guest physical memory lies in this process. Constant after loading. */
struct rs_mem {
	uint8_t *arena;
	uint64_t arena_size;
	uint8_t *window;
	uint64_t window_gpa;
	uint64_t window_size;
	uint64_t vdso_hva;	/* [vvar], then [vdso]; not memory that calls may name */
	uint64_t vdso_at;	/* GPA of the same */
	uint64_t vvar_size, vdso_size;
};

/**
 * rs_gpa() - the HVA of [gpa, gpa + len), or NULL when it is not wholly inside the arena or the
 * window What is behind a window address may be inaccessible: give it to the kernel, or read it
 * with rs_copy_from_guest().
 */
static inline void *rs_gpa(const struct rs_mem *m, uint64_t gpa, uint64_t len)
{
	uint64_t off = gpa - m->window_gpa;

	if (gpa < m->arena_size && len <= m->arena_size - gpa)
		return m->arena + gpa;
	if (off < m->window_size && len <= m->window_size - off)
		return m->window + off;
	return NULL;
}

/** enum rs_root_kind - what a path may be used for */
enum { RS_ROOT_READ = 1, RS_ROOT_WRITE = 2 };

/** struct rs_root - a place the guest may reach, canonical */
struct rs_root {
	char *path;
	size_t len;
	unsigned int access;	/* RS_ROOT_* */
	bool dir;
	bool name;		/* only its metadata may be read: a link to a root, the cwd */
	const char *why;	/* "--ro", "--rw", "default" */
};

#define RS_MAX_ROOTS	256

/** struct rs_scratch - host copies of what a call points to, so that checked is what is used */
struct rs_scratch {
	struct iovec iov[RS_IOV_MAX];
	struct pollfd polls[RS_POLL_MAX];
	struct msghdr msg;
	uint8_t control[RS_CONTROL_MAX] __attribute__((aligned(16)));
	uint8_t addr[RS_ADDR_MAX] __attribute__((aligned(8)));
	uint32_t length;
	int pair[2];
};

/* A call names at most so many descriptors: a full poll set, or control data full of them. */
#define RS_HELD_MAX	(RS_POLL_MAX + 16)

_Static_assert(RS_CONTROL_MAX / 4 <= RS_POLL_MAX, "control data holds no more than a poll set");

/**
 * struct rs_caller - a thread that makes calls for the guest: a vCPU's, or a helper's
 * @call, @pending: in the vCPU's page or the slot: guest memory, hostile, changes under our eyes
 * @xsave:  for rs_slow()
 * @helper: only what may go through a slot is done
 * @held:   descriptors that must not be closed before the call is over, @nheld of them; used when
 *	    sb->several
 */
struct rs_caller {
	struct rs_sandbox *sb;
	struct rs_call *call;
	__u64 *pending;			/* not 0: no call may begin to sleep */
	void *xsave;
	bool helper;
	unsigned int nheld;
	struct rs_scratch scratch;
	int32_t held[RS_HELD_MAX];
};

/**
 * struct rs_vcpu - one vCPU and the thread that runs it
 * @tid: of that thread, 0 while there is none; atomic. Who sets it looks at the shared page's
 *	 pending afterwards, so that a notification finds the one or the other
 */
struct rs_vcpu {
	struct rs_engine_vcpu engine;
	unsigned int index;
	int run_result;			/* of the last RS_RUN, for rs_exit_slow() */
	int tid;
	bool started, left;		/* its thread was made; has left the loop. Atomic */
	int sample_due;			/* sample.c; atomic */
	struct rs_vcpu_shared *shared;	/* guest memory */
	struct rs_caller caller;
};

/** struct rs_moment - CLOCK_MONOTONIC and the TSC */
struct rs_moment {
	uint64_t ns, tsc;
};

struct rs_sandbox {
	struct rs_mem mem;
	struct rs_engine engine;
	struct rs_vcpu *vcpus[RS_MAX_VCPUS];
	unsigned int ncpus;
	struct rs_boot *boot;		/* guest memory */
	struct rs_moment start;		/* when rs_run() began */
	uint64_t trace_gpa;		/* rings of events in the arena; 0: none */

	/* policy */
	bool net_host, net_nic, explain, verbose;
	bool covers_proc;		/* a root holds files of a proc file system */
	struct rs_root roots[RS_MAX_ROOTS];
	unsigned int nroots;
	uint64_t owned[RS_FD_LIMIT / 64]; /* bit N: descriptor N belongs to the guest; atomic */
	/*
	 * There may be more callers than one. Set once, by the only caller there is, while it holds
	 * no descriptor; the next two are used from then on, atomically.
	 */
	bool several;
	uint32_t users[RS_FD_LIMIT];	  /* callers that hold descriptor N */
	uint64_t closing[RS_FD_LIMIT / 64]; /* bit N: the last of them closes it */
	int message_fd;			/* standard error, a duplicate of our own */
	int nic_event;			/* net_nic: the eventfd */
	int proc_fd;			/* /proc/self/fd, -1 when there is none */

	struct rs_slot *slots;		/* guest memory; [nslots] */
	unsigned int nslots;
	struct helper **serving;	/* helpers.c; [nslots] */

	int pid;			/* of this process; 0 until it has a second thread */
	const char *program;		/* as the user named it */

	/* end */
	int ending;			/* 1: somebody decides how it ends; atomic */
	volatile int finished;		/* 1: by the guest (RS_CALL_EXIT), 2: by us */
	int status;			/* exit status for the caller, when finished */
	char error[RS_WHY];

	/* signals.c */
	volatile int force_signal;	/* the guest did not take this signal in time: end it */
};

/* --- descriptors that the guest owns --------------------------------------------------------- */

static inline bool rs_fd_owned(const struct rs_sandbox *sb, int64_t fd)
{
	uint64_t n = fd;

	return n < RS_FD_LIMIT &&
	       __atomic_load_n(&sb->owned[n / 64], __ATOMIC_RELAXED) >> (n % 64) & 1;
}

static inline void rs_fd_set_owned(struct rs_sandbox *sb, int64_t fd)
{
	if ((uint64_t)fd < RS_FD_LIMIT)
		__atomic_fetch_or(&sb->owned[fd / 64], 1ull << (fd % 64), __ATOMIC_RELAXED);
}

static inline void rs_fd_clear_owned(struct rs_sandbox *sb, int64_t fd)
{
	if ((uint64_t)fd < RS_FD_LIMIT)
		__atomic_fetch_and(&sb->owned[fd / 64], ~(1ull << (fd % 64)), __ATOMIC_RELAXED);
}

/* --- entry.S --------------------------------------------------------------------------------- */

/**
 * rs_host_call() - execute a system call that may block, unless a signal for the guest is pending
 * Returns the call's result, or -EINTR without having made it when *pending is not 0 or a signal
 * handler ran between the test and the instruction.
 */
long rs_host_call(long nr, const long args[6], const volatile __u64 *pending);

/**
 * rs_copy_from_guest() - copy @n bytes; returns 0, or -EFAULT when memory behind @src is not
 * accessible
 */
long rs_copy_from_guest(void *dst, const void *src, unsigned long n);

/** rs_copy_to_guest() - the same in the other direction */
long rs_copy_to_guest(void *dst, const void *src, unsigned long n);

/**
 * rs_slow() - call @fn(arg) with clean vector registers, and give them back as they were. @area is
 * from rs_vector_area().
 */
long rs_slow(long (*fn)(void *arg), void *arg, void *area);

/*
 * Bounds of the critical sections, and where a signal handler sends a thread that it found inside.
 */
extern const char rs_host_call_begin[], rs_host_call_end[], rs_host_call_interrupted[];
extern const char rs_copy_begin[], rs_copy_end[], rs_copy_faulted[];

/* --- hot path -------------------------------------------------------------------------------- */

/** rs_vcpu_loop() - run the vCPU until the sandbox has finished. vcpu.c */
void rs_vcpu_loop(struct rs_vcpu *v);

/** rs_dispatch() - do what by->call asks for and return its result. forward.c */
long rs_dispatch(struct rs_caller *by);

/* --- behind rs_slow() ------------------------------------------------------------------------ */

/** struct rs_slow_call - a request on its way to a slow handler */
struct rs_slow_call {
	struct rs_caller *by;
	const struct rs_call_row *row;	/* NULL for requests (RS_CALL_*) */
	long nr;
	uint64_t in[6];			/* as the guest gave them */
	long args[6]; /* checked and translated; pointers are HVAs. Forwarded calls only */
	long result;			/* rs_explain_slow() only */
};

/** rs_request_slow() - RS_CALL_* requests; arg is a struct rs_slow_call. requests.c */
long rs_request_slow(void *arg);

/**
 * rs_policy_slow() - forwarded calls that Landlock does not cover; arg is a struct rs_slow_call.
 * policy.c
 */
long rs_policy_slow(void *arg);

/**
 * rs_explain_slow() - say why a forwarded call failed with EACCES or EPERM; arg is a struct
 * rs_slow_call. explain.c
 */
long rs_explain_slow(void *arg);

/**
 * rs_exit_slow() - an exit that is not a call: report and finish; arg is a struct rs_vcpu.
 * requests.c
 */
long rs_exit_slow(void *arg);

/* --- the rest -------------------------------------------------------------------------------- */

/** rs_vector_area() - memory for rs_slow(); NULL when there is none. Never freed. fpu.c */
void *rs_vector_area(void);

/**
 * rs_end() - finish the sandbox with @status; words for the user in printf style, or NULL. Only the
 * first call counts. requests.c
 */
void rs_end(struct rs_sandbox *sb, int how, int status, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/**
 * rs_say() - one line to the user, with "ringside: " before it. Not before message_fd is set.
 * requests.c
 */
void rs_say(const struct rs_sandbox *sb, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/**
 * rs_sleep() - wait until a signal for the guest is pending or @timeout_ns is over (~0: for ever):
 * 0 or -ETIME. requests.c
 */
long rs_sleep(struct rs_caller *by, uint64_t timeout_ns);

/**
 * rs_signals_install() - take over the signals of the process. Returns 0 or -1 with errno.
 * signals.c
 */
int rs_signals_install(struct rs_sandbox *sb);

/**
 * rs_signals_stop() - stop the process as signal @sig would by default; returns 0 when continued,
 * -EINVAL when no stop signal. signals.c
 */
long rs_signals_stop(int sig);

/**
 * rs_path_of() - the path of descriptor @fd in @buf (RS_PATH_MAX bytes); 0 or -errno. What is no
 * file has a name without leading slash.
 */
int rs_path_of(const struct rs_sandbox *sb, int fd, char *buf);

/** rs_root_for() - the root that covers canonical @path and grants @access, or NULL. policy.c */
const struct rs_root *rs_root_for(const struct rs_sandbox *sb, const char *path,
				  unsigned int access);

/** rs_explain_path() - for --explain: path refused for @access (RS_ROOT_*). explain.c */
void rs_explain_path(const struct rs_sandbox *sb, long nr, const char *path, unsigned int access);

#endif /* RS_SANDBOX_H */
