// SPDX-License-Identifier: MIT
/*
 * What the commands about VMs share, and ringside ps.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "vms.h"

#include "ringside/ringside.h"

int rs_vms_say(int status, const char *command, const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fprintf(stderr, "ringside %s: ", command);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return status;
}

struct rs_control *rs_vms_open(const char *command)
{
	struct rs_control *c;

	if (!rs_control_open(&c))
		return c;
	rs_vms_say(0, command, "%s", rs_control_error(NULL));
	return NULL;
}

int rs_vms_find(struct rs_control *c, const char *command, const char *word, struct rs_vm_info *vm)
{
	bool id = !strncmp(word, "id:", 3), pid = !strncmp(word, "pid:", 4);
	const char *digits = id ? word + 3 : pid ? word + 4 : word;
	unsigned long long number;
	struct rs_vm_info *vms;
	size_t n, i, found = 0;
	char *end;

	errno = 0;
	number = strtoull(digits, &end, 10);
	if (*digits < '0' || *digits > '9' || *end || errno || number > UINT32_MAX)
		return rs_vms_say(RS_STATUS_SETUP, command,
				  "\"%s\" names no VM: say its number, or its process's", word);
	if (rs_control_vms(c, &vms, &n))
		return rs_vms_say(STATUS_REFUSED, command, "%s", rs_control_error(c));
	for (i = 0; i < n; i++) {
		if (!((!pid && vms[i].id == number) || (!id && number && vms[i].pid == number)))
			continue;
		*vm = vms[i];
		found++;
	}
	free(vms);
	if (!found)
		return rs_vms_say(STATUS_REFUSED, command, "there is no VM %s here", word);
	if (found > 1)
		return rs_vms_say(STATUS_REFUSED, command, "%s means %zu VMs: say id:NUMBER", word,
				  found);
	return 0;
}

const char *rs_vms_state(const struct rs_vm_info *vm)
{
	static const char *const states[] = {
		[RS_VM_RUNNING] = "running", [RS_VM_PAUSED] = "paused", [RS_VM_ENDED] = "ended",
	};

	return vm->state <= RS_VM_ENDED ? states[vm->state] : "?";
}

const char *rs_vms_name(const struct rs_vm_info *vm)
{
	const char *slash = strrchr(vm->name, '/');

	if (slash && slash[1])
		return slash + 1;
	return vm->name[0] ? vm->name : vm->comm;
}

void rs_vms_json(struct rs_json *j, const struct rs_vm_info *vm)
{
	rs_json_u64(j, "id", vm->id);
	rs_json_text(j, "state", rs_vms_state(vm));
	rs_json_u64(j, "pid", vm->pid);
	rs_json_u64(j, "uid", vm->uid);
	rs_json_text(j, "comm", vm->comm);
	rs_json_text(j, "name", vm->name);
	rs_json_u64(j, "netns", vm->netns);
	rs_json_u64(j, "age_ns", vm->age);
	rs_json_open(j, "vcpus", '{');
	rs_json_u64(j, "total", vm->vcpus);
	rs_json_u64(j, "guest", vm->guest);
	rs_json_u64(j, "host", vm->host);
	rs_json_u64(j, "idle", vm->idle);
	rs_json_u64(j, "paused", vm->paused);
	rs_json_close(j, '}');
	rs_json_u64(j, "nics", vm->nics);
	rs_json_open(j, "memory", '{');
	rs_json_u64(j, "bytes", vm->memory);
	rs_json_u64(j, "mapped_4k", vm->mapped_4k);
	rs_json_u64(j, "mapped_2m", vm->mapped_2m);
	rs_json_u64(j, "tables", vm->tables);
	rs_json_close(j, '}');
	rs_json_u64(j, "cpu_ns", vm->cpu_time);
	rs_json_u64(j, "exits", vm->exits);
	rs_json_open(j, "limits", '{');
	if (vm->limit_cpu_time)
		rs_json_u64(j, "cpu_ns", vm->limit_cpu_time);
	if (vm->limit_exits)
		rs_json_u64(j, "exits", vm->limit_exits);
	if (vm->limit_vcpus)
		rs_json_u64(j, "vcpus", vm->limit_vcpus);
	rs_json_close(j, '}');
}

int rs_vms_options(int argc, char **argv, const char *help, bool *json, int *status)
{
	int i;

	for (i = 1; i < argc && argv[i][0] == '-' && argv[i][1]; i++) {
		if (!strcmp(argv[i], "--"))
			return i + 1;
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
			fputs(help, stdout);
			return *status = 0;
		}
		if (!json || strcmp(argv[i], "--json")) {
			*status = rs_vms_say(RS_STATUS_SETUP, argv[0],
					     "there is no option \"%s\" (ringside %s --help says more)",
					     argv[i], argv[0]);
			return -1;
		}
		*json = true;
	}
	return i;
}

/* --- ps -------------------------------------------------------------------------------------- */

static const char ps_help[] =
	"usage: ringside ps [--json]\n"
	"\n"
	"Lists the VMs of this network namespace: number, process, user, state, virtual CPUs (how many are\n"
	"in the guest, busy in Linux, idle, and paused), CPU time, exits, memory and how much of it is\n"
	"mapped, age, program. --json: one array on one line.\n";

static void ps_table(const struct rs_vm_info *vms, size_t n)
{
	char cpus[48], cpu[16], memory[16], mapped[16], age[16], name[64];
	size_t i;

	printf("%5s %7s %6s %-7s %-12s %9s %12s %6s %6s %8s %s\n", "ID", "PID", "UID", "STATE",
	       "CPUS g/h/i/p", "CPU", "EXITS", "SPACE", "MAPPED", "AGE", "PROGRAM");
	for (i = 0; i < n; i++) {
		const struct rs_vm_info *vm = &vms[i];

		snprintf(cpus, sizeof(cpus), "%u %u/%u/%u/%u", vm->vcpus, vm->guest, vm->host,
			 vm->idle, vm->paused);
		printf("%5u %7u %6u %-7s %-12s %9s %12llu %6s %6s %8s %s\n", vm->id, vm->pid,
		       vm->uid, rs_vms_state(vm), cpus,
		       rs_text_time(cpu, sizeof(cpu), vm->cpu_time),
		       (unsigned long long)vm->exits,
		       rs_text_size(memory, sizeof(memory), vm->memory),
		       rs_text_size(mapped, sizeof(mapped),
				    vm->mapped_4k * 4096 + vm->mapped_2m * (2u << 20)),
		       rs_text_time(age, sizeof(age), vm->age),
		       rs_text_name(name, sizeof(name), rs_vms_name(vm), 32));
	}
}

int rs_cli_ps(int argc, char **argv)
{
	struct rs_json j = { .out = stdout };
	struct rs_vm_info *vms;
	struct rs_control *c;
	bool json = false;
	int i, status;
	size_t n, k;

	i = rs_vms_options(argc, argv, ps_help, &json, &status);
	if (i <= 0)
		return status;
	if (i < argc)
		return rs_vms_say(RS_STATUS_SETUP, argv[0], "takes no argument, but was given \"%s\"",
				  argv[i]);
	c = rs_vms_open(argv[0]);
	if (!c)
		return RS_STATUS_SETUP;
	if (rs_control_vms(c, &vms, &n)) {
		rs_vms_say(0, argv[0], "%s", rs_control_error(c));
		rs_control_close(c);
		return STATUS_REFUSED;
	}
	if (json) {
		rs_json_open(&j, NULL, '[');
		for (k = 0; k < n; k++) {
			rs_json_open(&j, NULL, '{');
			rs_vms_json(&j, &vms[k]);
			rs_json_close(&j, '}');
		}
		rs_json_close(&j, ']');
		putchar('\n');
	} else {
		ps_table(vms, n);
	}
	free(vms);
	rs_control_close(c);
	return fflush(stdout) ? rs_vms_say(STATUS_REFUSED, "ps", "cannot write: %s", strerror(errno)) : 0;
}
