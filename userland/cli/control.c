// SPDX-License-Identifier: MIT
/*
 * ringside pause, resume, kill, limit: change VMs. Several may be named; each is tried, and the status is
 * that of the first that failed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "vms.h"

#include "ringside/ringside.h"

#define NAMES_HELP								\
	"A VM is named by its number or its process's (ringside ps); id:N and pid:N say which it is.\n" \
	"One's own VMs, and with CAP_SYS_ADMIN others'. The exit status is 1 when a VM is not there or\n" \
	"it is not allowed.\n"

struct verb {
	const char *help, *done;
	int (*fn)(struct rs_control *c, uint32_t id);
};

static const struct verb verb_pause = {
	"usage: ringside pause [--json] VM...\n"
	"\n"
	"Takes VMs out of the guest and keeps them out. What they have begun in Linux goes on.\n" NAMES_HELP,
	"paused", rs_control_pause,
};

static const struct verb verb_resume = {
	"usage: ringside resume [--json] VM...\n"
	"\n"
	"Lets paused VMs go on.\n" NAMES_HELP,
	"resumed", rs_control_resume,
};

static const struct verb verb_kill = {
	"usage: ringside kill [--json] VM...\n"
	"\n"
	"Ends VMs, whatever they do. Their `ringside run` says so and exits with 137.\n" NAMES_HELP,
	"ended", rs_control_end,
};

/* One VM: 0 or the status. */
static int one(struct rs_control *c, const struct verb *v, const char *command, const char *word,
	       struct rs_json *j)
{
	struct rs_vm_info vm;
	int ret = rs_vms_find(c, command, word, &vm);

	if (ret)
		return ret;
	if (v->fn(c, vm.id))
		return rs_vms_say(STATUS_REFUSED, command, "%s: %s", word, rs_control_error(c));
	if (j) {
		rs_json_open(j, NULL, '{');
		rs_json_u64(j, "id", vm.id);
		rs_json_u64(j, "pid", vm.pid);
		rs_json_text(j, "done", v->done);
		rs_json_close(j, '}');
	}
	return 0;
}

static int each(int argc, char **argv, const struct verb *v)
{
	struct rs_json j = { .out = stdout };
	struct rs_control *c;
	int i, status, ret;
	bool json = false;

	i = rs_vms_options(argc, argv, v->help, &json, &status);
	if (i <= 0)
		return status;
	if (i >= argc)
		return rs_vms_say(RS_STATUS_SETUP, argv[0], "which VM? (ringside ps lists them)");
	c = rs_vms_open(argv[0]);
	if (!c)
		return RS_STATUS_SETUP;
	if (json)
		rs_json_open(&j, NULL, '[');
	for (status = 0; i < argc; i++) {
		ret = one(c, v, argv[0], argv[i], json ? &j : NULL);
		if (!status)
			status = ret;
	}
	if (json) {
		rs_json_close(&j, ']');
		putchar('\n');
	}
	rs_control_close(c);
	return status;
}

int rs_cli_pause(int argc, char **argv)
{
	return each(argc, argv, &verb_pause);
}

int rs_cli_resume(int argc, char **argv)
{
	return each(argc, argv, &verb_resume);
}

int rs_cli_kill(int argc, char **argv)
{
	return each(argc, argv, &verb_kill);
}

/* --- limit ----------------------------------------------------------------------------------- */

static const char limit_help[] =
	"usage: ringside limit [--json] VM [cpu=TIME] [exits=N] [vcpus=N]\n"
	"\n"
	"Sets limits, and shows those that there are. A VM that reaches one is ended, and its\n"
	"`ringside run` exits with 137. \"none\" takes a limit away.\n"
	"  cpu=TIME   CPU time of the threads that run its virtual CPUs: seconds, or with ns, us, ms, s, m, h\n"
	"  exits=N    exits from the guest, with suffix K, M or G if you like\n"
	"  vcpus=N    virtual CPUs, 1 to 64; one more ends it\n" NAMES_HELP;

/* "2.5s" in ns. 0 when it is no time, or none at all, or too long. */
static uint64_t parse_time(const char *s)
{
	static const struct { const char *name; double ns; } units[] = {
		{ "", 1e9 }, { "ns", 1 }, { "us", 1e3 }, { "ms", 1e6 }, { "s", 1e9 }, { "m", 60e9 },
		{ "h", 3600e9 },
	};
	size_t digits = strspn(s, "0123456789"), i;
	double n;
	char *end;

	if (!digits || strspn(s, "0123456789.") != digits + (s[digits] == '.') +
	    (s[digits] == '.' ? strspn(s + digits + 1, "0123456789") : 0))
		return 0;
	/* Whole nanoseconds are exact, however many. */
	if (!strcmp(s + digits, "ns")) {
		unsigned long long ns;

		errno = 0;
		ns = strtoull(s, NULL, 10);
		return errno ? 0 : ns;
	}
	n = strtod(s, &end);
	for (i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (!strcmp(end, units[i].name) && n * units[i].ns < 9e18)
			return (uint64_t)(n * units[i].ns + 0.5);
	return 0;
}

/* "10M" is 10,000,000: exits are counted, not measured. */
static uint64_t parse_count(const char *s)
{
	unsigned long long n, unit = 1;
	char *end;

	if (*s < '0' || *s > '9')
		return 0;
	errno = 0;
	n = strtoull(s, &end, 10);
	if (!strcmp(end, "K"))
		unit = 1000;
	else if (!strcmp(end, "M"))
		unit = 1000000;
	else if (!strcmp(end, "G"))
		unit = 1000000000;
	else if (*end)
		return 0;
	return errno || n > UINT64_MAX / unit ? 0 : n * unit;
}

static int parse_limit(const char *word, struct rs_vm_limits *l)
{
	const char *value = strchr(word, '=');
	bool none;
	uint64_t n;

	if (!value)
		return rs_vms_say(RS_STATUS_SETUP, "limit", "\"%s\" is not cpu=TIME, exits=N or vcpus=N",
				  word);
	value++;
	none = !strcmp(value, "none");
	if (!strncmp(word, "cpu=", 4)) {
		n = none ? 0 : parse_time(value);
		l->set |= RS_SET_CPU_TIME;
		l->cpu_time = n;
	} else if (!strncmp(word, "exits=", 6)) {
		n = none ? 0 : parse_count(value);
		l->set |= RS_SET_EXITS;
		l->exits = n;
	} else if (!strncmp(word, "vcpus=", 6)) {
		n = none ? 0 : parse_count(value);
		if (n > 64)
			n = 0;
		l->set |= RS_SET_VCPUS;
		l->vcpus = n;
	} else {
		return rs_vms_say(RS_STATUS_SETUP, "limit", "there is no limit \"%.*s\": cpu, exits or vcpus",
				  (int)(value - 1 - word), word);
	}
	if (!n && !none)
		return rs_vms_say(RS_STATUS_SETUP, "limit", "\"%s\" is no value for %.*s", value,
				  (int)(value - 1 - word), word);
	return 0;
}

static void show(const struct rs_vm_info *vm, bool json)
{
	struct rs_json j = { .out = stdout };

	if (json) {
		rs_json_open(&j, NULL, '{');
		rs_vms_json(&j, vm);
		rs_json_close(&j, '}');
		putchar('\n');
		return;
	}
	printf("VM %u: ", vm->id);
	if (vm->limit_cpu_time)
		printf("cpu=%.9gs (used %.3fs) ", vm->limit_cpu_time / 1e9, vm->cpu_time / 1e9);
	if (vm->limit_exits)
		printf("exits=%llu (used %llu) ", (unsigned long long)vm->limit_exits,
		       (unsigned long long)vm->exits);
	if (vm->limit_vcpus)
		printf("vcpus=%u (has %u) ", vm->limit_vcpus, vm->vcpus);
	puts(vm->limit_cpu_time || vm->limit_exits || vm->limit_vcpus ? "" : "no limit");
}

int rs_cli_limit(int argc, char **argv)
{
	struct rs_vm_limits limits = { 0 };
	struct rs_control *c;
	struct rs_vm_info vm;
	int i, k, status;
	bool json = false;

	i = rs_vms_options(argc, argv, limit_help, &json, &status);
	if (i <= 0)
		return status;
	if (i >= argc)
		return rs_vms_say(RS_STATUS_SETUP, argv[0], "which VM? (ringside ps lists them)");
	for (k = i + 1; k < argc; k++) {
		status = parse_limit(argv[k], &limits);
		if (status)
			return status;
	}
	c = rs_vms_open(argv[0]);
	if (!c)
		return RS_STATUS_SETUP;
	status = rs_vms_find(c, argv[0], argv[i], &vm);
	if (!status && limits.set && rs_control_limit(c, vm.id, &limits))
		status = rs_vms_say(STATUS_REFUSED, argv[0], "%s: %s", argv[i], rs_control_error(c));
	/* One that was over it at once may be gone by now. */
	if (!status && !rs_control_vm(c, vm.id, &vm))
		show(&vm, json);
	rs_control_close(c);
	return status;
}
