// SPDX-License-Identifier: MIT
/*
 * rs_run(): the order in which a sandbox comes to be.
 *
 *	1  check what was asked; close descriptors that nobody asked to pass on
 *	2  find the program (127, 126), and what may be reached
 *	3  engine, VM, memory, NIC, guest kernel, vCPU: everything that needs descriptors or files
 *	   of ours
 *	4  signals
 *	5  confinement: from here on this process can only do what a guest may make it do
 *	6  run. Further threads are made from here on only: they inherit the confinement
 *
 * Every step before the last can fail, and then the program has not run. Nothing is undone on the
 * way out: the caller's process is used up by rs_run() anyway and its end gives everything back.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <unistd.h>

#include "confine.h"
#include "events.h"
#include "net.h"
#include "program.h"
#include "threads.h"

const struct rs_engine_ops *rs_engine_default = &rs_engine_device;

static int setup_failed(struct rs_result *r, int status, const char *why)
{
	r->status = status;
	snprintf(r->error, sizeof(r->error), "%s", why);
	return -1;
}

static const char *bad_config(const struct rs_config *c)
{
	static char text[96];

	if (c->size != sizeof(*c))
		return "rs_config has a size of another version of the library";
	if (!c->program || !c->argv || !c->argv[0])
		return "no program";
	if (c->memory < RS_MIN_MEMORY || c->memory > RS_MAX_MEMORY) {
		snprintf(text, sizeof(text), "memory must be between %lluM and %lluG",
			 RS_MIN_MEMORY >> 20, RS_MAX_MEMORY >> 30);
		return text;
	}
	if (c->cpus == 0 || c->cpus > RS_MAX_CPUS)
		return "cpus must be between 1 and 16";
	if (c->pids == 0 || c->pids > RS_MAX_PIDS)
		return "pids must be between 1 and 30000";
	if (c->sample_hz > RS_MAX_SAMPLE_HZ || (c->sample_hz && !c->events))
		return "samples: 1 to 10000 a second, and only with events";
	if (c->events && (c->event_memory < 1 << 20 || c->event_memory > 1ull << 40))
		return "memory for events must be between 1M and 1024G";
	if (c->net != RS_NET_NONE && c->net != RS_NET_HOST && c->net != RS_NET_E1000)
		return "this kind of network is not available in this version";
	return c->net == RS_NET_E1000 ? rs_net_bad(&c->nic) : NULL;
}

/*
 * Standard descriptors that were closed when we started stay closed for the guest, though not for
 * us.
 */
static void note_stdio(int stdio[3])
{
	int i;

	for (i = 0; i < 3; i++)
		stdio[i] = fcntl(i, F_GETFD) < 0 ? -1 : i;
}

/* Files that the caller will write to when it is confined, too. */
static int open_outputs(const struct rs_config *c, struct rs_result *r, char *why)
{
	unsigned int i;

	for (i = 0; i < RS_OUTPUTS; i++) {
		if (!c->outputs[i])
			continue;
		r->output_fds[i] = open(c->outputs[i], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC |
					O_NOCTTY, 0666);
		if (r->output_fds[i] < 0) {
			snprintf(why, RS_WHY, "cannot write to %s: %s", c->outputs[i],
				 strerror(errno));
			return -1;
		}
	}
	return 0;
}

static int open_own(struct rs_sandbox *sb, int *cwd, char *why)
{
	sb->message_fd = fcntl(2, F_DUPFD_CLOEXEC, 3);
	if (sb->message_fd < 0) {
		snprintf(why, RS_WHY, "cannot duplicate standard error: %s", strerror(errno));
		return -1;
	}
	sb->proc_fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	*cwd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (*cwd < 0) {
		snprintf(why, RS_WHY, "cannot open the working directory: %s", strerror(errno));
		return -1;
	}
	return 0;
}

/*
 * Addresses in the guest are as random as Linux would make them here: not at all with norandmaps,
 * kernel.randomize_va_space = 0 or setarch -R; nor when instructions are counted.
 */
static bool fixed_addresses(const struct rs_config *c)
{
	char mode = '2';
	int fd = open("/proc/sys/kernel/randomize_va_space", O_RDONLY | O_CLOEXEC);

	if (fd >= 0) {
		if (read(fd, &mode, 1) != 1)
			mode = '2';
		close(fd);
	}
	return c->bench || mode == '0' || (personality(0xffffffff) & ADDR_NO_RANDOMIZE);
}

static uint32_t boot_flags(const struct rs_config *c)
{
	return (fixed_addresses(c) ? RS_BOOT_NO_ASLR : 0) | (c->trace ? RS_BOOT_TRACE : 0) |
	       (c->explain ? RS_BOOT_EXPLAIN : 0) | (c->verbose ? RS_BOOT_VERBOSE : 0) |
	       (c->bench ? RS_BOOT_BENCH : 0) | (c->debug ? RS_BOOT_DEBUG : 0) |
	       (c->allow_wx ? RS_BOOT_WX : 0) | (c->net == RS_NET_HOST ? RS_BOOT_NET_HOST : 0) |
	       (c->net == RS_NET_E1000 ? RS_BOOT_NET_NIC : 0);
}

static int make_vcpus(struct rs_sandbox *sb, const struct rs_image *image,
		      const struct rs_start *start, char *why)
{
	struct rs_vcpu_shared *shared[RS_MAX_VCPUS];
	struct rs_vcpu_state *states = calloc(sb->ncpus, sizeof(*states));
	struct rs_engine *e = &sb->engine;
	unsigned int i;
	int ret;

	if (!states || rs_load(sb, image, start, shared, states, why)) {
		if (!states)
			snprintf(why, RS_WHY, "out of memory");
		free(states);
		return -1;
	}
	for (i = 0; i < sb->ncpus; i++) {
		struct rs_vcpu *v = calloc(1, sizeof(*v));

		if (!v || !(v->caller.xsave = rs_vector_area())) {
			snprintf(why, RS_WHY, "out of memory");
			goto fail;
		}
		v->index = i;
		v->caller.sb = sb;
		v->shared = shared[i];
		v->caller.call = &shared[i]->call;
		v->caller.pending = &shared[i]->pending;
		if (e->ops->create_vcpu(e, i, &v->engine, why))
			goto fail;
		ret = e->ops->set_state(&v->engine, &states[i]);
		if (ret) {
			snprintf(why, RS_WHY,
				 "the module does not take the vCPU's first registers: %s",
				 strerror(-ret));
			goto fail;
		}
		sb->vcpus[i] = v;
	}
	free(states);
	return 0;
fail:
	free(states);
	return -1;
}

static void collect(struct rs_sandbox *sb, struct rs_counts *c)
{
	const struct rs_guest_stats *g = &sb->boot->stats;
	struct rs_stats s;

	memset(c, 0, sizeof(*c));
	memset(&s, 0, sizeof(s));
	sb->engine.ops->stats(&sb->engine, &s);
	c->exits = s.exits;
	c->npf = s.exit_npf;
	c->hypercall = s.exit_hypercall;
	c->interrupt = s.exit_interrupt;
	c->nmi = s.exit_nmi;
	c->window = s.exit_window;
	c->cpuid = s.exit_cpuid;
	c->msr = s.exit_msr;
	c->io = s.exit_io;
	c->cr = s.exit_cr;
	c->dr = s.exit_dr;
	c->hlt = s.exit_hlt;
	c->exception = s.exit_exception;
	c->shutdown = s.exit_shutdown;
	c->other = s.exit_other;
	c->entries = s.entries;
	c->user_exits = s.user_exits;
	c->map_4k = s.map_4k;
	c->map_2m = s.map_2m;
	c->injected = s.injected;
	c->invalidated = s.inval_zapped;
	c->kicks = s.kicks;
	c->faults = g->faults;
	c->cow_copies = g->cow_copies;
	c->table_copies = g->table_copies;
	c->zero_fills = g->zero_fills;
	c->forks = g->forks;
	c->execs = g->execs;
	c->syscalls = g->syscalls;
	c->forwarded = g->forwarded;
	c->signals = g->signals;
	c->file_maps = g->file_maps;
	c->pages_total = g->pages_total;
	c->pages_free = g->pages_free;
	c->pages_peak = g->pages_peak;
}

/* Of a path that is too long to be shown whole, the end. */
static const char *program_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] && strlen(path) >= RS_VM_NAME_MAX ? slash + 1 : path;
}

int rs_run(const struct rs_config *config, struct rs_result *result)
{
	static struct rs_sandbox sandbox = { .message_fd = 2, .proc_fd = -1 };
	static bool used;
	const struct rs_image plain = { rs_guest_image_start,
					(size_t)(rs_guest_image_end - rs_guest_image_start) };
	const struct rs_image traced = { rs_traced_image_start,
					 (size_t)(rs_traced_image_end - rs_traced_image_start) };
	struct rs_sandbox *sb = &sandbox;
	struct rs_program program;
	struct rs_start start;
	char why[RS_WHY] = "";
	unsigned int i;
	int ret;

	memset(result, 0, sizeof(*result));
	result->message_fd = 2;
	for (i = 0; i < RS_OUTPUTS; i++)
		result->output_fds[i] = -1;
	rs_table_init();
	if (used)
		return setup_failed(result, RS_STATUS_SETUP,
				    "rs_run() was called before in this process");
	used = true;
	sb->start = rs_moment();
	if (bad_config(config))
		return setup_failed(result, RS_STATUS_SETUP, bad_config(config));

	memset(&start, 0, sizeof(start));
	note_stdio(start.stdio);
	if (rs_confine_descriptors(why))
		return setup_failed(result, RS_STATUS_SETUP, why);
	ret = rs_program_find(&program, config->program, config->argv, config->envp, why);
	if (ret)
		return setup_failed(result, ret, why);
	sb->ncpus = config->cpus;
	sb->net_host = config->net == RS_NET_HOST;
	sb->net_nic = config->net == RS_NET_E1000;
	sb->explain = config->explain;
	if (sb->explain)
		rs_table_no_short_way();
	sb->verbose = config->verbose;
	sb->program = program.path;
	if (rs_confine_roots(sb, config->ro, config->rw, &program, why) ||
	    open_own(sb, &start.cwd_fd, why) || open_outputs(config, result, why))
		return setup_failed(result, RS_STATUS_SETUP, why);
	result->message_fd = sb->message_fd;

	sb->engine.ops = rs_engine_default;
	sb->engine.name = program_name(sb->program);
	sb->engine.end_signal = RS_SIGNAL_KICK;
	if (sb->engine.ops->open(&sb->engine, why) ||
	    sb->engine.ops->create_vm(&sb->engine, RS_VM_NESTED_FAULT_VECTOR, why) ||
	    rs_memory_create(sb, (config->memory + RS_HUGE - 1) & ~(RS_HUGE - 1), why) ||
	    sb->engine.ops->add_region(&sb->engine, 0, sb->mem.arena_size, (uint64_t)sb->mem.arena,
				       0, why) ||
	    sb->engine.ops->add_region(&sb->engine, sb->mem.window_gpa, sb->mem.window_size,
				       (uint64_t)sb->mem.window, 0, why))
		return setup_failed(result, RS_STATUS_SETUP, why);
	rs_vdso_find(sb);
	if (sb->mem.vdso_size &&
	    sb->engine.ops->add_region(&sb->engine, sb->mem.vdso_at,
				       sb->mem.vvar_size + sb->mem.vdso_size, sb->mem.vdso_hva,
				       RS_REGION_READONLY, why))
		return setup_failed(result, RS_STATUS_SETUP, why);
	start.program = program.path;
	start.argv = program.argv;
	start.envp = config->envp;
	start.boot_flags = boot_flags(config);
	start.trace_mask = config->trace_mask;
	start.pids = config->pids;
	start.trace_events = config->events;
	start.trace_depth = config->event_depth;
	if (sb->net_nic && rs_net_create(sb, &config->nic, &start.net, why))
		return setup_failed(result, RS_STATUS_SETUP, why);
	if (make_vcpus(sb, config->events ? &traced : &plain, &start, why) ||
	    (config->events && rs_events_create(sb, config->event_memory, why)))
		return setup_failed(result, RS_STATUS_SETUP, why);
	for (i = 0; i < 3; i++)
		if (start.stdio[i] >= 0)
			rs_fd_set_owned(sb, i);
	rs_fd_set_owned(sb, start.cwd_fd);

	if (rs_signals_install(sb)) {
		snprintf(why, sizeof(why), "cannot take over signals: %s", strerror(errno));
		return setup_failed(result, RS_STATUS_SETUP, why);
	}
	if (rs_confine(sb, why))
		return setup_failed(result, RS_STATUS_SETUP, why);

	if (sb->net_nic && rs_net_start(sb))
		return setup_failed(result, RS_STATUS_SETUP, "cannot make a thread for the NIC");
	if (config->sample_hz && rs_sample_start(sb, config->sample_hz))
		return setup_failed(result, RS_STATUS_SETUP, "cannot make a thread for samples");
	rs_vcpu_begin(sb->vcpus[0]);
	rs_vcpu_loop(sb->vcpus[0]);
	rs_vcpu_end(sb->vcpus[0]);

	if (config->events)
		rs_events_finish(sb);
	collect(sb, &result->counts);
	result->status = sb->status;
	snprintf(result->error, sizeof(result->error), "%s", sb->error);
	return sb->finished == 1 ? 0 : -1;
}
