// SPDX-License-Identifier: MIT
/*
 * ringside stat: the exact counters of a VM and its vCPUs, side by side.
 */
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "vms.h"

#include "ringside/ringside.h"

static const char help[] =
	"usage: ringside stat [--json] VM\n"
	"\n"
	"Shows every counter of a VM, of the whole and of each virtual CPU that exists (counters of those\n"
	"that are gone are in the whole). The names are those of struct rs_stats.\n";

static const char *const vcpu_states[] = {
	[RS_VCPU_NEVER_RAN] = "new", [RS_VCPU_GUEST] = "guest", [RS_VCPU_HOST] = "host",
	[RS_VCPU_IDLE] = "idle", [RS_VCPU_PAUSED] = "paused",
};

static const char *state_of(const struct rs_vcpu_info *v)
{
	return v->state <= RS_VCPU_PAUSED ? vcpu_states[v->state] : "?";
}

static const struct rs_vcpu_info *find(const struct rs_vcpu_info *v, size_t n, int32_t id)
{
	size_t i;

	for (i = 0; i < n; i++)
		if ((int32_t)v[i].id == id)
			return &v[i];
	return NULL;
}

static void as_json(const struct rs_vm_info *vm, const struct rs_counters *s, size_t n,
		    const struct rs_vcpu_info *vcpus, size_t nvcpus)
{
	struct rs_json j = { .out = stdout };
	size_t i;
	int k;

	rs_json_open(&j, NULL, '{');
	rs_vms_json(&j, vm);
	for (i = 0; i < n; i++) {
		const struct rs_vcpu_info *v = find(vcpus, nvcpus, s[i].vcpu);

		if (i == 1)
			rs_json_open(&j, "each", '[');
		rs_json_open(&j, i ? NULL : "counters", '{');
		if (i) {
			rs_json_u64(&j, "vcpu", s[i].vcpu);
			rs_json_text(&j, "state", v ? state_of(v) : "new");
			rs_json_u64(&j, "tid", v ? v->tid : 0);
			rs_json_i64(&j, "cpu", v ? v->cpu : -1);
			rs_json_u64(&j, "cpu_ns", s[i].cpu_time);
		}
		for (k = 0; k < RS_COUNTERS; k++)
			rs_json_u64(&j, rs_counter_names[k], s[i].value[k]);
		rs_json_close(&j, '}');
	}
	if (n > 1)
		rs_json_close(&j, ']');
	rs_json_close(&j, '}');
	putchar('\n');
}

static void as_table(const struct rs_vm_info *vm, const struct rs_counters *s, size_t n,
		     const struct rs_vcpu_info *vcpus, size_t nvcpus)
{
	char name[128];
	size_t i;
	int k;

	printf("VM %u, %s, process %u: %s\n", vm->id, rs_vms_state(vm), vm->pid,
	       rs_text_name(name, sizeof(name), rs_vms_name(vm), 60));
	printf("%-16s", "");
	for (i = 0; i < n; i++) {
		if (i)
			snprintf(name, sizeof(name), "vCPU %d", s[i].vcpu);
		printf(" %14s", i ? name : "VM");
	}
	printf("\n%-16s", "state");
	for (i = 0; i < n; i++) {
		const struct rs_vcpu_info *v = find(vcpus, nvcpus, s[i].vcpu);

		printf(" %14s", i ? v ? state_of(v) : "new" : rs_vms_state(vm));
	}
	printf("\n%-16s", "cpu_ns");
	for (i = 0; i < n; i++)
		printf(" %14llu", (unsigned long long)s[i].cpu_time);
	putchar('\n');
	for (k = 0; k < RS_COUNTERS; k++) {
		printf("%-16s", rs_counter_names[k]);
		for (i = 0; i < n; i++)
			printf(" %14llu", (unsigned long long)s[i].value[k]);
		putchar('\n');
	}
}

int rs_cli_stat(int argc, char **argv)
{
	struct rs_vcpu_info *vcpus = NULL;
	struct rs_counters *s = NULL;
	size_t n, nvcpus;
	struct rs_control *c;
	struct rs_vm_info vm;
	bool json = false;
	int i, status;

	i = rs_vms_options(argc, argv, help, &json, &status);
	if (i <= 0)
		return status;
	if (i != argc - 1)
		return rs_vms_say(RS_STATUS_SETUP, argv[0], "takes one VM (ringside ps lists them)");
	c = rs_vms_open(argv[0]);
	if (!c)
		return RS_STATUS_SETUP;
	status = rs_vms_find(c, argv[0], argv[i], &vm);
	if (!status && (rs_control_vcpus(c, vm.id, &vcpus, &nvcpus) ||
			rs_control_stats(c, vm.id, &s, &n)))
		status = rs_vms_say(STATUS_REFUSED, argv[0], "%s: %s", argv[i], rs_control_error(c));
	else if (!status && !n)
		status = rs_vms_say(STATUS_REFUSED, argv[0], "%s: it has just gone", argv[i]);
	if (!status)
		(json ? as_json : as_table)(&vm, s, n, vcpus, nvcpus);
	free(s);
	free(vcpus);
	rs_control_close(c);
	return status;
}
