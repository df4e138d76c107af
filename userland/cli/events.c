// SPDX-License-Identifier: MIT
/*
 * ringside events: what happens to VMs, line by line as it happens, until Ctrl-C. What could not be
 * told, because this was too slow, is counted in the place where it is missing.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli.h"
#include "ringside.h"
#include "vms.h"

#include "ringside/ringside.h"

static const char help[] =
	"usage: ringside events [--json] [-n COUNT] [-t SECONDS] [--buffer BYTES]\n"
	"\n"
	"Tells when VMs of this network namespace are made, are gone, fail, or reach a limit, one line each,\n"
	"until it is interrupted. When events come faster than they are read, some are dropped: then a line\n"
	"says how many.\n"
	"  -n COUNT          end after so many lines\n"
	"  -t SECONDS        end when nothing has happened for so long\n"
	"  --buffer BYTES    of the socket: how much may wait to be read\n"
	"  --json            one object per line\n";

static const char *const kinds[] = {
	[RS_VM_EVENT_CREATED] = "created", [RS_VM_EVENT_ENDED] = "ended", [RS_VM_EVENT_FAULT] = "fault",
	[RS_VM_EVENT_LIMIT] = "limit", [RS_VM_EVENT_DROPPED] = "dropped",
};

static const char *end_reason(uint32_t reason)
{
	static const char *const names[] = {
		[RS_END_CLOSED] = "closed", [RS_END_REQUEST] = "request",
		[RS_END_LIMIT_CPU_TIME] = "cpu", [RS_END_LIMIT_EXITS] = "exits",
		[RS_END_LIMIT_VCPUS] = "vcpus",
	};

	return reason < sizeof(names) / sizeof(names[0]) ? names[reason] : "?";
}

static const char *exit_reason(uint32_t reason)
{
	switch (reason) {
	case RS_EXIT_MEMORY_FAULT:
		return "memory fault";
	case RS_EXIT_SHUTDOWN:
		return "triple fault";
	case RS_EXIT_FAIL_ENTRY:
		return "entry refused";
	case RS_EXIT_UNHANDLED:
		return "unhandled exit";
	}
	return "?";
}

static const char *access_name(uint32_t access)
{
	return access & RS_FAULT_WRITE ? "write" : access & RS_FAULT_FETCH ? "fetch" : "read";
}

static void as_json(const struct rs_vm_event *e)
{
	struct rs_json j = { .out = stdout };
	char hex[24];

	rs_json_open(&j, NULL, '{');
	rs_json_text(&j, "event", kinds[e->kind]);
	rs_json_u64(&j, "seq", e->seq);
	if (e->kind == RS_VM_EVENT_DROPPED) {
		rs_json_u64(&j, "count", e->count);
		rs_json_close(&j, '}');
		putchar('\n');
		return;
	}
	rs_json_u64(&j, "time_ns", e->time);
	rs_json_u64(&j, "vm", e->vm);
	rs_json_u64(&j, "pid", e->pid);
	rs_json_u64(&j, "uid", e->uid);
	rs_json_text(&j, "name", e->name);
#define HEX(key, value) (snprintf(hex, sizeof(hex), "%#" PRIx64, (uint64_t)(value)), \
			 rs_json_text(&j, key, hex))
	switch (e->kind) {
	case RS_VM_EVENT_ENDED:
		rs_json_text(&j, "reason", end_reason(e->reason));
		rs_json_u64(&j, "age_ns", e->age);
		rs_json_u64(&j, "cpu_ns", e->cpu_time);
		rs_json_u64(&j, "exits", e->exits);
		break;
	case RS_VM_EVENT_LIMIT:
		rs_json_text(&j, "reason", end_reason(e->reason));
		rs_json_u64(&j, "limit", e->limit);
		break;
	case RS_VM_EVENT_FAULT:
		rs_json_text(&j, "reason", exit_reason(e->reason));
		rs_json_u64(&j, "vcpu", e->vcpu);
		HEX("rip", e->rip);
		rs_json_u64(&j, "ring", e->cpl);
		if (e->reason == RS_EXIT_MEMORY_FAULT) {
			HEX("gpa", e->gpa);
			HEX("gva", e->gva);
			rs_json_text(&j, "access", access_name(e->access));
			rs_json_text(&j, "error", strerror(-e->error));
		} else if (e->reason != RS_EXIT_SHUTDOWN) {
			HEX("hw_reason", e->hw[0]);
			HEX("hw_info1", e->hw[1]);
			HEX("hw_info2", e->hw[2]);
		}
		break;
	default:
		break;
	}
#undef HEX
	rs_json_close(&j, '}');
	putchar('\n');
}

static void as_text(const struct rs_vm_event *e)
{
	char at[32] = "", name[128], age[16], cpu[16];
	time_t s = e->time / 1000000000;
	struct tm tm;

	if (e->kind == RS_VM_EVENT_DROPPED) {
		printf("%llu event%s dropped: this was too slow\n", (unsigned long long)e->count,
		       e->count == 1 ? "" : "s");
		return;
	}
	if (localtime_r(&s, &tm))
		strftime(at, sizeof(at), "%H:%M:%S", &tm);
	printf("%s.%03u VM %u %s: ", at, (unsigned int)(e->time / 1000000 % 1000), e->vm,
	       kinds[e->kind]);
	switch (e->kind) {
	case RS_VM_EVENT_CREATED:
		printf("process %u, user %u, %s\n", e->pid, e->uid,
		       rs_text_name(name, sizeof(name), e->name, 64));
		break;
	case RS_VM_EVENT_ENDED:
		printf("%s%s after %s, %s of CPU time, %llu exits\n",
		       e->reason > RS_END_REQUEST ? "limit of " : "", end_reason(e->reason),
		       rs_text_time(age, sizeof(age), e->age),
		       rs_text_time(cpu, sizeof(cpu), e->cpu_time), (unsigned long long)e->exits);
		break;
	case RS_VM_EVENT_LIMIT:
		if (e->reason == RS_END_LIMIT_CPU_TIME)
			printf("%.9g s of CPU time\n", e->limit / 1e9);
		else
			printf("%llu %s\n", (unsigned long long)e->limit, end_reason(e->reason));
		break;
	default:
		printf("%s on vCPU %u, rip %#llx ring %u", exit_reason(e->reason), e->vcpu,
		       (unsigned long long)e->rip, e->cpl);
		if (e->reason == RS_EXIT_MEMORY_FAULT)
			printf(", %s of guest physical %#llx: %s", access_name(e->access),
			       (unsigned long long)e->gpa, strerror(-e->error));
		else if (e->reason != RS_EXIT_SHUTDOWN)
			printf(", reason %#llx, info %#llx %#llx", (unsigned long long)e->hw[0],
			       (unsigned long long)e->hw[1], (unsigned long long)e->hw[2]);
		putchar('\n');
	}
}

/* -1 when it is none. */
static long number(const char *s, long most)
{
	char *end;
	long n;

	if (!s || *s < '0' || *s > '9')
		return -1;
	errno = 0;
	n = strtol(s, &end, 10);
	return *end || errno || n > most ? -1 : n;
}

static int follow(struct rs_control *c, bool json, long count, long timeout, long buffer)
{
	struct rs_vm_event e;
	long told = 0;
	int ret;

	if (rs_control_listen(c, buffer))
		return rs_vms_say(STATUS_REFUSED, "events", "%s", rs_control_error(c));
	while (!count || told < count) {
		ret = rs_control_event(c, &e, timeout ? timeout * 1000 : -1);
		if (ret == -EINTR)
			continue;
		if (ret == -ETIMEDOUT)
			return 0;
		if (ret)
			return rs_vms_say(STATUS_REFUSED, "events", "%s", rs_control_error(c));
		(json ? as_json : as_text)(&e);
		told++;
		if (fflush(stdout))
			return rs_vms_say(STATUS_REFUSED, "events", "cannot write: %s",
					  strerror(errno));
	}
	return 0;
}

int rs_cli_events(int argc, char **argv)
{
	long count = 0, timeout = 0, buffer = 0;
	struct rs_control *c;
	bool json = false;
	int i, status;

	for (i = 1; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : NULL;

		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
			fputs(help, stdout);
			return 0;
		} else if (!strcmp(argv[i], "--json")) {
			json = true;
			continue;
		} else if (!strcmp(argv[i], "-n")) {
			count = number(value, 1l << 40);
		} else if (!strcmp(argv[i], "-t")) {
			timeout = number(value, 1 << 20);
		} else if (!strcmp(argv[i], "--buffer")) {
			buffer = number(value, 1 << 30);
		} else {
			return rs_vms_say(RS_STATUS_SETUP, argv[0],
					  "there is no option \"%s\" (ringside events --help says more)",
					  argv[i]);
		}
		if (count < 0 || timeout < 0 || buffer < 0 || !value)
			return rs_vms_say(RS_STATUS_SETUP, argv[0], "%s needs a number", argv[i]);
		i++;
	}
	c = rs_vms_open(argv[0]);
	if (!c)
		return RS_STATUS_SETUP;
	status = follow(c, json, count, timeout, buffer);
	rs_control_close(c);
	return status;
}
