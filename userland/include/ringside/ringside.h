/* SPDX-License-Identifier: MIT */
/*
 * ringside.h - libringside: run a Linux program in a hardware guest ring
 *
 * The library loads a small guest kernel into a VM of /dev/ringside, starts the program in the
 * guest's ring 3 and executes the system calls that the guest kernel forwards. The order, for a
 * caller:
 *
 *	struct rs_config c = RS_CONFIG_INIT;
 *	struct rs_result r;
 *
 *	c.program = "/usr/bin/sha256sum";	c.argv = ...;	c.ro = ...;
 *	if (rs_run(&c, &r))			r.error says why; r.status is 125, 126 or 127
 *	exit(r.status);
 *
 * rs_run() CONFINES THE CALLING PROCESS before the first guest instruction: no_new_privs, Landlock,
 * seccomp and resource limits stay with it for ever, all its descriptors but 0, 1 and 2 are closed,
 * its signal handlers are replaced. Call it in a process made for the purpose (fork first), from
 * its only thread, once; with more threads than one it fails: the others would stay unconfined.
 * Threads of its own it makes afterwards, and leaves some of them behind.
 */
#ifndef RINGSIDE_RINGSIDE_H
#define RINGSIDE_RINGSIDE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RINGSIDE_VERSION	"0.1"

/* Exit statuses of a run that are not the program's own */
#define RS_STATUS_SETUP		125	/* no sandbox could be set up; the program did not run */
#define RS_STATUS_NOEXEC	126	/* the program was found and cannot be executed */
#define RS_STATUS_NOTFOUND	127	/* there is no such program */

#define RS_DEFAULT_MEMORY	(1ull << 30)	/* bytes */
#define RS_MIN_MEMORY		(16ull << 20)
#define RS_MAX_MEMORY		(256ull << 30)
#define RS_MAX_CPUS		16
#define RS_DEFAULT_PIDS		4096
#define RS_MAX_PIDS		30000
#define RS_OUTPUTS		2
#define RS_DEFAULT_EVENTS	(256ull << 20)
#define RS_MAX_SAMPLE_HZ	10000

enum rs_net {
	RS_NET_NONE,		/* no sockets but socketpair(2) */
	RS_NET_HOST,		/* the host's network */
	RS_NET_E1000,		/* its own: sockets of the guest kernel over a NIC, see struct rs_nic_config */
};

/**
 * struct rs_nic_config - the NIC of RS_NET_E1000, and the network interface that is its other end, in the
 * network namespace of the caller, who needs CAP_NET_ADMIN there. Addresses in network byte order.
 * @address: the guest's
 * @prefix:  bits of its subnet, 1 .. 30
 * @gateway: the interface's address, in the same subnet, and the guest's default route. 0: the first
 *	     address of the subnet
 * @mtu:     576 .. 9000; 0: 1500
 * @mac:     the guest's; zeros: a random one
 * @name:    the interface's, with its NUL; empty: the first of rs0, rs1, ... that is free
 */
struct rs_nic_config {
	uint32_t address;
	unsigned int prefix;
	uint32_t gateway;
	unsigned int mtu;
	uint8_t mac[6];
	char name[16];
};

enum rs_stats_format { RS_STATS_OFF, RS_STATS_TABLE, RS_STATS_JSON };

/**
 * struct rs_config - what to run and what it may reach; all strings stay the caller's and are only
 * read
 * @size:    sizeof(struct rs_config); RS_CONFIG_INIT sets it
 * @program: a name to be looked up in PATH, or a path when it contains a slash
 * @argv:    NULL-terminated, argv[0] included
 * @envp:    NULL-terminated
 * @ro, @rw: NULL-terminated paths that the program may read, or read and write; each must exist.
 *           NULL: none. What the program and
 *	     its libraries need to start is readable anyway, see confine.c.
 * @memory:  bytes of guest memory, RS_MIN_MEMORY .. RS_MAX_MEMORY, rounded up to 2 MiB. A bound for
 *	     the program's memory, not for all it can make the host use: what it leaves in pipes,
 *	     sockets and memfd_create(2) files is the host's, and memory.max of a cgroup bounds it
 * @cpus:    vCPUs of the guest, a thread each, 1 .. RS_MAX_CPUS
 * @pids:    processes and threads that may exist at once, 1 .. RS_MAX_PIDS
 * @trace:   print system calls; @trace_mask bit NR selects, when @trace
 * @explain: print, for every refusal, the rule that refused and the option that would allow it
 * @verbose: print the guest kernel's messages
 * @allow_wx: memory may be writable and executable at once, as just-in-time compilers want it
 * @bench:   the guest answers the measuring calls of ringside_app.h
 * @events:  bit N: events of type N (RS_TRACE_*, uapi/ringside_guest.h) are gathered; afterwards
 *	     ringside/events.h has them. 0: none, and the guest kernel is one without them
 * @event_depth: with each, so many callers at most, found by frame pointers
 * @event_memory: bytes kept for them per vCPU; what comes when they are full is counted
 * @sample_hz: so many times a second, events of type RS_TRACE_SAMPLE; needs @events
 * @nic:     with RS_NET_E1000
 * @outputs: files to be written to when rs_run() has returned, made or emptied before the confinement;
 *	     NULL: none
 */
struct rs_config {
	size_t size;
	const char *program;
	const char *const *argv;
	const char *const *envp;
	const char *const *ro;
	const char *const *rw;
	uint64_t memory;
	unsigned int cpus;
	unsigned int pids;
	enum rs_net net;
	int trace;
	int explain;
	int verbose;
	int bench;
	int debug;
	int allow_wx;
	uint64_t trace_mask[8];
	uint64_t events;
	unsigned int event_depth;
	uint64_t event_memory;
	unsigned int sample_hz;
	const char *outputs[RS_OUTPUTS];
	struct rs_nic_config nic;
};

#define RS_CONFIG_INIT                                                                   \
	{                                                                                \
		.size = sizeof(struct rs_config), .memory = RS_DEFAULT_MEMORY,           \
		.cpus = 1, .pids = RS_DEFAULT_PIDS, .event_memory = RS_DEFAULT_EVENTS    \
	}

/**
 * struct rs_counts - what the run cost; all exact
 */
struct rs_counts {
	uint64_t exits, npf, hypercall, interrupt, nmi, window, cpuid, msr, io, cr, dr, hlt,
		exception, shutdown, other;
	uint64_t entries, user_exits, map_4k, map_2m, injected, invalidated, kicks;
	uint64_t faults, cow_copies, table_copies, zero_fills, forks, execs, syscalls, forwarded,
		signals, file_maps;
	uint64_t pages_total, pages_free, pages_peak;
};

/**
 * struct rs_result - how a run ended
 * @status: for exit(3): the program's, 128+N for a signal, or one of RS_STATUS_*
 * @error:  why the program did not run, or why the guest was ended; empty when the program ended by
 *          itself
 * @counts: zero when no guest ran
 * @message_fd: a duplicate of standard error to write the rest of the story to: the program may
 *              have closed number 2, or opened a
 *	    file of its own there
 * @output_fds: of rs_config.outputs; -1 where there is none
 */
struct rs_result {
	int status;
	int message_fd;
	int output_fds[RS_OUTPUTS];
	char error[512];
	struct rs_counts counts;
};

/**
 * rs_run() - run a program in a guest ring and wait for its end
 *
 * Returns 0 when the program ran and ended (status in @result), -1 when it did not run or the guest
 * had to be ended (status and error in @result). Never runs the program less confined than @config
 * asks.
 */
int rs_run(const struct rs_config *config, struct rs_result *result);

/**
 * rs_print_counts() - write @counts to @out as one line of JSON or as a table; RS_STATS_OFF writes
 * nothing
 */
void rs_print_counts(FILE *out, const struct rs_counts *counts, enum rs_stats_format format);

/**
 * rs_trace_set() - parse what --trace= takes into a mask: names of system calls and the sets all,
 * file, desc, net, memory, process, signal, separated by commas. Returns 0, or -1 with the word
 * that is not known in @bad (at least @len bytes).
 */
int rs_trace_set(const char *words, uint64_t mask[8], char *bad, size_t len);

/**
 * rs_net_set() - parse what --net takes: none, host, or e1000,ip=A/LEN[,gw=A][,mtu=N][,mac=M][,name=NAME]
 * Sets @config's net and nic. Returns 0, or -1 with what is wrong in @why (@size bytes).
 */
int rs_net_set(const char *words, struct rs_config *config, char *why, size_t size);

/** rs_call_name() - the name of system call @nr, NULL when it is not known */
const char *rs_call_name(uint64_t nr);

/**
 * rs_doctor() - print what this machine offers and what to do about what is missing; returns 0 when
 * a run is possible, else 1
 */
int rs_doctor(FILE *out);

#ifdef __cplusplus
}
#endif

#endif /* RINGSIDE_RINGSIDE_H */
